/*
 * Ask every address of every name server of many owner names at once, over
 * sockets of our own. (dane.md B-15; RFC 5452, RFC 7766)
 */
#ifndef DANELAW_DNS_SWEEP_H
#define DANELAW_DNS_SWEEP_H

#include "hook/dns/authority.h"
#include "hook/dns/tlsa.h"

enum sweep_verdict {
	SWEEP_FOUND,  /* authoritative, verified, has a TLSA RRset */
	SWEEP_ABSENT, /* authoritative denial */
	SWEEP_UNKNOWN,
	SWEEP_UNTESTABLE /* no route to this address family from here */
};
const char *sweep_verdict_name(enum sweep_verdict v);

enum sweep_reason {
	SWR_NONE,
	SWR_TIMEOUT,
	SWR_REFUSED,
	SWR_SERVFAIL,
	SWR_NOTIMP,
	SWR_FORMERR,
	SWR_RCODE, /* another one, see why */
	SWR_LAME,  /* not authoritative, or a referral */
	SWR_BAD_RRSIG,
	SWR_RRSIG_EXPIRED,
	SWR_NO_RRSIG, /* in a zone that must be signed */
	SWR_GARBAGE,  /* cannot be decoded, wrong question ... */
	SWR_NETWORK,  /* ICMP unreachable, connection refused */
	SWR_NO_ADDRESS,
	SWR_ZONE_BOGUS,
	SWR__COUNT
};
const char *sweep_reason_name(enum sweep_reason r);

struct sweep_answer {
	size_t server; /* index into the zone's servers */
	enum sweep_verdict verdict;
	enum sweep_reason reason; /* for UNKNOWN */
	char why[160];
	struct tlsa_rrset rrset; /* FOUND: as served, TTL as served. owned */
	uint32_t neg_ttl;	 /* ABSENT: min(SOA TTL, SOA MINIMUM) */
	bool have_serial;
	uint32_t serial;
	int64_t rrsig_inception, rrsig_expiration; /* s since 1970; 0: unsigned
	    */
	bool ignored;
	int64_t at_mono_ms; /* when the answer arrived (clock_mono_ms) */
};

struct sweep_owner {
	struct sweep_answer *answer; /* one per server of the zone */
	size_t n;
};

struct sweep {
	struct sweep_owner *owner; /* same order as authority.owner */
	size_t n;
};

struct sweep_limits {
	int64_t deadline_ms; /* for the whole sweep; 0 = 20 s + size */
	int64_t try_ms;	     /* one UDP try; 0 = 2000 */
	int tries;	     /* UDP tries before TCP; 0 = 3 */
	int64_t wall_s;	     /* time for RRSIG validity; 0 = now */
};

/* Status fails only for memory, descriptors and bugs. An address has answered
 * well when one transport gave a good answer and none gave a bad one. Zones
 * that are BOGUS or FAILED give UNKNOWN everywhere. */
enum status sweep_run(const struct authority *a, const struct sweep_limits *lim,
	struct sweep *ret, struct err *err);
void sweep_release(struct sweep *s);

#endif
