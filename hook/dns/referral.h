/*
 * Ask servers of the parent what they delegate a zone to. The resolver cannot
 * tell: its answers about NS come from the child. (RFC 1034 4.2.1, RFC 5452)
 */
#ifndef DANELAW_DNS_REFERRAL_H
#define DANELAW_DNS_REFERRAL_H

#include "hook/dns/authority.h"
#include "hook/dns/codec_referral.h"

struct referral_job {
	/* in, borrowed */
	const char *zone;
	const struct dns_addr *server; /* of the parent; asked in turn */
	size_t n_servers;
	/* out */
	bool ok;
	struct referral referral; /* owned: referral_release */
	char why[256];            /* when not ok: who said what, last first */
};

/* All at once. The first good answer wins; the status fails only for memory,
 * descriptors and bugs. */
enum status referral_ask(struct referral_job *const job[], size_t n,
	int64_t deadline_ms, struct err *err);

#endif
