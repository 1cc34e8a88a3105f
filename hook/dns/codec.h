/*
 * DNS messages as bytes: our queries, the checks on replies, RRSIGs and proofs
 * of absence. Nothing in here allocates per packet, and nothing from the
 * network reaches ldns before its lengths and numbers were checked: ldns 1.8
 * has assertions that a crafted packet can reach. (RFC 1035 4, RFC 4034,
 * RFC 4035 5, RFC 5155 8, RFC 6891)
 */
#ifndef DANELAW_DNS_CODEC_H
#define DANELAW_DNS_CODEC_H

#include "hook/base/err.h"
#include "hook/dns/resolver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RRTYPE_DNAME 39
#define RRTYPE_OPT 41
#define RRTYPE_RRSIG 46
#define RRTYPE_NSEC 47
#define RRTYPE_NSEC3 50

#define CODEC_WIRE_MAX 255
#define CODEC_QUERY_MAX (12 + CODEC_WIRE_MAX + 4 + 11)
#define CODEC_RR_MAX 800 /* in one message; more is refused */
#define CODEC_EDNS_SIZE 1232

/* A name on the wire, uncompressed, lower case, root label included. */
struct codec_name {
	uint8_t len;
	uint8_t w[CODEC_WIRE_MAX];
};

enum codec_section { CODEC_ANSWER, CODEC_AUTHORITY, CODEC_ADDITIONAL };

struct codec_rr {
	uint16_t owner; /* offsets into the message */
	uint16_t rdata;
	uint16_t rdlen;
	uint16_t type;
	uint32_t ttl;
	enum codec_section section;
};

struct codec_msg {
	const uint8_t *wire; /* borrowed */
	size_t len;
	bool aa, tc;
	uint16_t rcode; /* with the upper bits of EDNS */
	int ede;        /* extended error (RFC 8914), -1: none */
	size_t n;       /* class IN records; none when tc */
	struct codec_rr rr[CODEC_RR_MAX];
};

enum codec_match {
	CODEC_REPLY,   /* answers this very query, and can be decoded */
	CODEC_FOREIGN, /* not a reply to it: ID, opcode, question ... */
	CODEC_BROKEN   /* replies to it, but cannot be decoded */
};

/* From canonical text (hook/dns/name.h). False when it does not fit. */
bool codec_name_set(struct codec_name *ret, const char *canon);
/* Follows compression, only backwards. False when it runs out of the message
 * or over 255 octets; ret_next (may be NULL) is the offset behind it. */
bool codec_name_read(const uint8_t *wire, size_t len, size_t off,
	struct codec_name *ret, size_t *ret_next);
bool codec_name_eq(const struct codec_name *a, const struct codec_name *b);
/* True when name is zone or below it. */
bool codec_name_under(
	const struct codec_name *name, const struct codec_name *zone);
/* Without the root: "mx.example." has 2. */
unsigned int codec_name_labels(const struct codec_name *name);
/* The rightmost n labels; n must not be more than there are. */
void codec_name_tail(
	const struct codec_name *name, unsigned int n, struct codec_name *ret);
/* "*." and name. False when too long. */
bool codec_name_wildcard(const struct codec_name *name, struct codec_name *ret);
/* Canonical order (RFC 4034 6.1): <0, 0, >0. */
int codec_name_cmp(const struct codec_name *a, const struct codec_name *b);
/* For messages; odd octets become '?'. Returns ret. */
char *codec_name_text(
	const struct codec_name *name, char ret[static DNS_NAME_MAX]);

/* A query with EDNS (1232, DO), RD clear. Returns its length. */
size_t codec_query(uint8_t ret[static CODEC_QUERY_MAX], uint16_t id,
	const struct codec_name *qname, uint16_t qtype);
/* ret is only valid after CODEC_REPLY. */
enum codec_match codec_parse(const uint8_t *wire, size_t len, uint16_t id,
	const struct codec_name *qname, uint16_t qtype, struct codec_msg *ret);

/* The record's owner. Cannot fail on a parsed message. */
void codec_rr_owner(const struct codec_msg *m, const struct codec_rr *rr,
	struct codec_name *ret);
/* First record of that owner and type in a section, or NULL. */
const struct codec_rr *codec_find(const struct codec_msg *m,
	enum codec_section section, const struct codec_name *owner,
	uint16_t type);

struct codec_soa {
	uint32_t serial, minimum;
	uint32_t refresh, retry;
};
bool codec_soa(const struct codec_msg *m, const struct codec_rr *rr,
	struct codec_soa *ret);

/* RDATA in canonical form (RFC 4034 6.2): names expanded and in lower case,
 * for types of the first days, which servers compress, and DNAME and SRV.
 * *ret is in the message when nothing had to change, else in buf. False when
 * it cannot be decoded or does not fit. */
bool codec_rdata_canon(const struct codec_msg *m, const struct codec_rr *rr,
	uint8_t *buf, size_t cap, const uint8_t **ret, size_t *ret_len);
/* Equal RRsets have equal digests, whatever their order; 0: there is none. Not
 * cryptographic. */
uint64_t codec_digest(const struct codec_msg *m, enum codec_section section,
	const struct codec_name *owner, uint16_t type);

struct codec_window {
	int64_t inception, expiration; /* s since 1970; 0: no RRSIG */
	bool timely;                   /* now is inside */
};
/* What the RRSIGs of an RRset claim; nothing is verified. Of several the one
 * that is timely and ends last. */
struct codec_window codec_window_of(const struct codec_msg *m,
	enum codec_section section, const struct codec_name *owner,
	uint16_t type, int64_t now_s);
/* The same of a denial: the RRset of the authority section that ends first. */
struct codec_window codec_window_denial(
	const struct codec_msg *m, int64_t now_s);

/* RFC 4034 B */
uint16_t codec_keytag(const uint8_t *dnskey, size_t len);
/* Is the DS record the digest of this key of zone? With a digest type that is
 * not known here, key tag and algorithm decide. (RFC 4034 5.1.4, RFC 4509) */
bool codec_ds_match(const struct rdata *ds, const struct codec_name *zone,
	const uint8_t *dnskey, size_t len);

/* The validated keys of a zone, ready for use. */
struct codec_zone;
enum status codec_zone_new(const char *zone, const struct rdata *dnskey,
	size_t n, struct codec_zone **ret, struct err *err);
void codec_zone_free(struct codec_zone *z);
const struct codec_name *codec_zone_apex(const struct codec_zone *z);

/* Remembers what it has verified: the same bytes from the next server cost a
 * hash. now_s is the time for the signatures' validity. */
struct codec_verifier;
enum status codec_verifier_new(
	int64_t now_s, struct codec_verifier **ret, struct err *err);
void codec_verifier_free(struct codec_verifier *v);
/* How many signatures went through cryptography; for tests and benchmarks. */
size_t codec_verifier_work(const struct codec_verifier *v);

enum codec_sig {
	CODEC_SIG_OK,
	CODEC_SIG_NONE,    /* no RRSIG at all */
	CODEC_SIG_EXPIRED, /* outside its window */
	CODEC_SIG_BAD
};

struct codec_verdict {
	enum codec_sig sig;
	int64_t inception, expiration; /* s since 1970; of the signature that
		decided */
	unsigned int labels; /* of that RRSIG: fewer than the owner's = made
		from a wildcard */
	const char *why;     /* static text when not OK */
};

/* Checks the RRset (owner, type) of a section against the zone's keys. One
 * good signature is enough; of several the one that lasts longest counts. */
void codec_verify(struct codec_verifier *v, const struct codec_zone *z,
	const struct codec_msg *m, enum codec_section section,
	const struct codec_name *owner, uint16_t type,
	struct codec_verdict *ret);

/* Verifies that the zone proves, by signed NSEC or NSEC3, that there is no
 * RRset (qname, qtype), and no CNAME. The window is that of the proof's
 * shortest-lived signature. */
void codec_verify_absent(struct codec_verifier *v, const struct codec_zone *z,
	const struct codec_msg *m, const struct codec_name *qname,
	uint16_t qtype, struct codec_verdict *ret);
/* For an answer made from a wildcard with that many labels: verifies that no
 * closer name exists. */
void codec_verify_wildcard(struct codec_verifier *v, const struct codec_zone *z,
	const struct codec_msg *m, const struct codec_name *qname,
	unsigned int labels, struct codec_verdict *ret);

#endif
