/*
 * Wire format of one question: "who are the name servers of this zone?", asked
 * at a server of the parent, and of the hint that an answer packet gives about
 * the zone it came from. (RFC 1034 4.2.1, RFC 1035 4.1)
 */
#ifndef DANELAW_DNS_CODEC_REFERRAL_H
#define DANELAW_DNS_CODEC_REFERRAL_H

#include "hook/base/err.h"
#include "hook/dns/name.h"

#include <stddef.h>
#include <stdint.h>

#define REFERRAL_NAMES_MAX 64
#define REFERRAL_GLUE_MAX 256
#define REFERRAL_QUERY_MAX 512

struct glue {
	char name[DNS_NAME_MAX];
	uint8_t addr[16];
	size_t len; /* 4 or 16 */
};

struct referral {
	char (*name)[DNS_NAME_MAX];
	size_t n;
	struct glue *glue; /* of those names only */
	size_t n_glue;
};

enum referral_verdict {
	REFERRAL_OK,
	REFERRAL_TRUNCATED, /* ask again over TCP */
	REFERRAL_FOREIGN,   /* not an answer to our question: keep waiting */
	REFERRAL_USELESS    /* a proper answer that tells nothing: why says */
};

void referral_release(struct referral *r);

/* A non-recursive query with EDNS (1232 octets). */
enum status codec_referral_query(const char *zone, uint16_t id,
	uint8_t ret[static REFERRAL_QUERY_MAX], size_t *ret_len,
	struct err *err);
/* Takes the NS RRset of zone from the answer or the authority section. *ret is
 * set for REFERRAL_OK only; why for REFERRAL_USELESS. */
enum referral_verdict codec_referral_parse(const uint8_t *wire, size_t len,
	const char *zone, uint16_t id, struct referral *ret, char *why,
	size_t why_len);

/* The apex of the zone that an answer about name came from: the signer of the
 * RRset (only when validated says that the resolver checked it), or the owner
 * of the SOA in a denial. "" when the packet does not tell. */
void codec_zone_hint(const uint8_t *wire, size_t len, const char *name,
	uint16_t type, bool validated, char ret[static DNS_NAME_MAX]);

#endif
