/* Which zone holds a name: the closest enclosing name with an SOA, found
 * through the validating resolver, for many names at once. (RFC 1034 4.2) */
#ifndef DANELAW_DNS_APEX_H
#define DANELAW_DNS_APEX_H

#include "hook/dns/memo.h"

struct apex_job {
	const char *name; /* in, borrowed, canonical */
	/* out */
	char apex[DNS_NAME_MAX];
	/* BOGUS or FAILED: apex is then the highest name below a good zone
	 * that could not be resolved, which is as much as is known. */
	enum dns_security security;
	char why[256];
	/* private */
	const char *at;
	const struct lookup *bad;
	bool done;
};

enum status apex_find(
	struct memo *m, struct apex_job job[], size_t n, struct err *err);

/* Wants all that apex_find may ask about name, so that it is asked at once:
 * every level of a dead zone costs a whole time-out. */
enum status apex_want_levels(
	struct memo *m, const char *name, struct err *err);

#endif
