/*
 * Validated look-ups through libunbound (the only user of it). A resolver
 * object starts with an empty cache: make a new one for each pass.
 * (RFC 4035 4.3; RFC 7672 2.1.1)
 */
#ifndef DANELAW_DNS_RESOLVER_H
#define DANELAW_DNS_RESOLVER_H

#include "hook/base/err.h"
#include "hook/dns/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resolver; /* opaque */

enum dns_security {
	DNS_SECURE,
	DNS_INSECURE, /* provably unsigned */
	DNS_BOGUS,
	DNS_FAILED /* no answer: timeout, SERVFAIL upstream; not a verdict */
};
const char *dns_security_name(enum dns_security s);

struct resolver_config {
	const char *const *forward; /* NULL-terminated "addr" or "addr@port" */
	const char *root_hints;     /* file or NULL */
	const char *trust_anchor;   /* file (DS or DNSKEY zone format) */
	int64_t timeout_ms;         /* per look-up; 0 = 15 s */
};

struct rdata {
	uint8_t *data;
	size_t len;
};

struct lookup {
	/* in */
	char name[DNS_NAME_MAX];
	uint16_t type;
	/* out */
	enum dns_security security;
	bool nxdomain; /* a denial is havedata = false */
	bool havedata;
	uint32_t ttl;
	char canon[DNS_NAME_MAX]; /* after CNAMEs; = name when none */
	char zone[DNS_NAME_MAX];  /* apex of the zone that holds canon, when the
				     answer tells; else "" */
	struct rdata *rr;         /* owned */
	size_t n;
	char why[256]; /* for BOGUS and FAILED */
	int rcode;     /* as libunbound says it; -1: it said nothing in time */
	/* Window of the RRSIG that covers the answer (of several: the one that
	 * ends last) or of the denial's proof; 0 when unsigned or not secure.
	 * For BOGUS it is what came, if anything came. */
	int64_t inception, expiration;
	int ede; /* extended error (RFC 8914) in the answer, -1 none */
	uint32_t took_ms;
};

void lookup_release(struct lookup *l);

/* ST_CONFIG when the anchor or the hints cannot be read. ret owned. Answers
 * names under test., localhost and private zones like all others (no local
 * zones), and may query loopback servers. */
enum status resolver_new(const struct resolver_config *cfg,
	struct resolver **ret, struct err *err);
void resolver_free(struct resolver *r);

/* All at once, asynchronously, one deadline. Failures are in each lookup's
 * security/why; the status fails only for memory and bugs. */
enum status resolver_lookup(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err);
enum status resolver_lookup_one(struct resolver *r, const char *name,
	uint16_t type, struct lookup *ret, struct err *err);

/* Is this resolver fit to judge DNSSEC? Looks up the root's keys (and, when
 * forwarding, through each forwarder). "" in ret_fault when it is, else what is
 * wrong and what to do: then nothing it says is a verdict. (dane.md S30) */
enum status resolver_selftest(
	struct resolver *r, char *ret_fault, size_t len, struct err *err);
/* The forwarders, ", " between; "" when it iterates. */
const char *resolver_forwarders(const struct resolver *r);

#define RRTYPE_A 1
#define RRTYPE_NS 2
#define RRTYPE_CNAME 5
#define RRTYPE_SOA 6
#define RRTYPE_MX 15
#define RRTYPE_TXT 16
#define RRTYPE_AAAA 28
#define RRTYPE_DS 43
#define RRTYPE_DNSKEY 48
#define RRTYPE_TLSA 52

/* "TLSA", "TYPE65280"; the text may be in ret. */
const char *dns_type_name(uint16_t type, char ret[static 16]);

#endif
