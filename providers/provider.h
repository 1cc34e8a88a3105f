/*
 * A publisher of TLSA RRsets. One const struct provider_ops per kind, found by
 * name in registry.c, with its own option table. A provider's word is never
 * proof: only a sweep of the authority is. (design.md, dane.md B-17..B-26)
 */
#ifndef DANELAW_PROVIDERS_PROVIDER_H
#define DANELAW_PROVIDERS_PROVIDER_H

#include "hook/base/err.h"
#include "hook/dns/tlsa.h"

#include <stdbool.h>
#include <stddef.h>

enum provider_option_type {
	POPT_STRING,
	POPT_SECRET_FILE, /* path; the provider reads it with secret_read* */
	POPT_FILE,	  /* path to something public, a CA file say */
	POPT_INT
};

struct provider_option {
	const char *name; /* NULL ends the table */
	enum provider_option_type type;
	bool required;
	const char *def; /* default, NULL = none */
	long min, max;	 /* POPT_INT */
	const char *help;
};

/* What the configuration gave: values in the order of the option table, as
 * text, NULL when absent and without default. Validated against the table. */
struct provider_config {
	const char *name; /* of the provider section, for messages */
	const char *const *value;
};

enum provider_caps {
	PCAP_CAS = 1 << 0,   /* replace() is a compare-and-swap */
	PCAP_READ = 1 << 1,  /* get() works */
	PCAP_ATOMIC = 1 << 2 /* replace() is all or nothing */
};

struct provider_ops {
	const char *type; /* "rfc2136" */
	unsigned caps;
	const struct provider_option *options;

	/* Checks values that the table cannot; reads secrets; opens nothing on
	 * the network. *ret owned, freed by close. */
	enum status (*open)(const struct provider_config *cfg, void **ret,
		struct err *err);
	/* The RRset at owner (canonical, after CNAMEs) as the provider holds
	 * it; empty set when none. *ret_zone: apex of the zone that holds it
	 * (DNS_NAME_MAX). ST_REFUSED, with the reason, when owner is a CNAME
	 * there, or is in no zone that this provider serves. */
	enum status (*get)(void *ctx, const char *owner,
		struct tlsa_rrset *ret, char *ret_zone, struct err *err);
	/* From exactly `from` (as get returned it) to `to`, whose ttl is the
	 * TTL to use. ST_CONFLICT: it is not `from` any more; observe and plan
	 * again. An empty `to` deletes the RRset. Records in both are not
	 * touched. ST_RETRY when it is unknown whether it was done. */
	enum status (*replace)(void *ctx, const char *owner,
		const struct tlsa_rrset *from, const struct tlsa_rrset *to,
		struct err *err);
	void (*close)(void *ctx);
};

/* NULL when there is no such type. */
const struct provider_ops *provider_find(const char *type);
/* The i-th, NULL at the end. */
const struct provider_ops *provider_at(size_t i);

#endif
