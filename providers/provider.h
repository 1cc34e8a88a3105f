/*
 * A publisher of TLSA RRsets. One const struct provider_ops per kind, found by
 * name in registry.c, with its own option table. A provider's word is never
 * proof: only a sweep of the authority is. (design.md, dane.md B-17..B-26)
 */
#ifndef DANELAW_PROVIDERS_PROVIDER_H
#define DANELAW_PROVIDERS_PROVIDER_H

#include "hook/base/err.h"
#include "hook/dns/name.h"
#include "hook/dns/tlsa.h"

#include <stdbool.h>
#include <stddef.h>

enum provider_option_type {
	POPT_STRING,
	POPT_SECRET_FILE, /* path; the provider reads it with secret_read*, or
			     with cred.h when it has an env */
	POPT_FILE,        /* path to something public, a CA file say */
	POPT_INT
};

struct provider_option {
	const char *name; /* NULL ends the table */
	enum provider_option_type type;
	bool required;   /* unless env is set in the environment */
	const char *def; /* default, NULL = none */
	long min, max;   /* POPT_INT */
	const char *help;
	/* Environment variable that holds the value itself (of a secret file:
	 * the secret) when the configuration does not name one; NULL: none */
	const char *env;
};

/* What the configuration gave: values in the order of the option table, as
 * text, NULL when absent and without default. Validated against the table. */
struct provider_config {
	const char *name; /* of the provider section, for messages */
	const char *const *value;
	/* clock_mono_ms after which no new call is begun (inside certbot's
	 * hook); 0: none */
	int64_t deadline_ms;
};

enum provider_caps {
	PCAP_CAS = 1 << 0,    /* a change is a compare-and-swap */
	PCAP_READ = 1 << 1,   /* the API can be read */
	PCAP_ATOMIC = 1 << 2, /* an RRset changes at once or not at all */
	PCAP_BULK = 1 << 3,   /* many RRsets of a zone in one call */
	PCAP_ASYNC = 1 << 4,  /* changes are followed until they are done */
	PCAP_NO_TTL = 1 << 5, /* the TTL is the zone's, and cannot be set */
	PCAP_RRSET = 1 << 6   /* the API speaks of RRsets, not of records */
};

/* Does the provider sign the zones it serves? */
enum provider_dnssec {
	PDNSSEC_OWN,    /* a server of the operator's: as it is set up there */
	PDNSSEC_ALWAYS, /* without anybody's doing */
	PDNSSEC_SWITCH, /* when it was switched on for the zone */
	PDNSSEC_NEVER   /* DANE has no effect there */
};

/* One owner name in a batch. */
struct provider_item {
	const char *owner; /* canonical, after CNAMEs */
	/* As the last validated look-up saw it, for a provider that cannot
	 * read; NULL: unknown. Borrowed. */
	const struct tlsa_rrset *seen;

	/* results; zero at the call. provider_item_release */
	struct tlsa_rrset now;   /* as the provider holds it */
	struct tlsa_rrset to;    /* as decided */
	char zone[DNS_NAME_MAX]; /* apex of the zone that holds it */
	bool changed;            /* a change was made */
	int64_t retry_after_s;   /* the provider asks to wait so long; 0 */
	struct err err;          /* err.st is this item's result */
};

/* From what the provider holds at item i to what it shall hold; *to is an empty
 * set at the call. Not ST_OK: the item is left alone and fails with that. */
typedef enum status (*provider_decide)(void *arg, size_t i,
	const struct tlsa_rrset *now, struct tlsa_rrset *to, struct err *err);

struct provider_ops {
	const char *type;  /* "rfc2136" */
	const char *title; /* for people: "RFC 2136 dynamic update" */
	unsigned caps;
	enum provider_dnssec dnssec;
	/* The least that the credentials must be allowed to do, one line. */
	const char *rights;
	const struct provider_option *options;

	/* Checks values that the table cannot; reads secrets; opens nothing on
	 * the network. *ret owned, freed by close. */
	enum status (*open)(
		const struct provider_config *cfg, void **ret, struct err *err);
	/* The RRset at owner (canonical, after CNAMEs) as the provider holds
	 * it; empty set when none. *ret_zone: apex of the zone that holds it
	 * (DNS_NAME_MAX). ST_REFUSED, with the reason, when owner is a CNAME
	 * there (where the API shows that), or is in no zone that this
	 * provider serves. NULL: the provider cannot read. */
	enum status (*get)(void *ctx, const char *owner, struct tlsa_rrset *ret,
		char *ret_zone, struct err *err);
	/* From exactly `from` (as get returned it) to `to`, whose ttl is the
	 * TTL to use. ST_CONFLICT: it is not `from` any more; observe and plan
	 * again. An empty `to` deletes the RRset. Records in both are not
	 * touched. ST_RETRY when it is unknown whether it was done. */
	enum status (*replace)(void *ctx, const char *owner,
		const struct tlsa_rrset *from, const struct tlsa_rrset *to,
		struct err *err);
	/* Reads all items, has each decided, and makes the changes: those of
	 * one zone in as few calls as the API can, several zones side by side.
	 * The owner names are all different. Every item has its own result. NULL: provider_edit goes through get
	 * and replace, item after item. */
	void (*edit)(void *ctx, struct provider_item *items, size_t n,
		provider_decide decide, void *arg);
	/* May the credentials change TLSA records of the zone that holds
	 * owner? Without changing anything. ST_DENIED: no. ST_NOTFOUND: cannot
	 * be told. NULL: it never can. */
	enum status (*may_write)(void *ctx, const char *owner, struct err *err);
	/* Is the zone that holds owner signed, as the API has it? 1 yes, 0 no,
	 * -1 it does not say. NULL: it never does. */
	int (*zone_signed)(void *ctx, const char *owner);
	void (*close)(void *ctx);
};

/* NULL when there is no such type. */
const struct provider_ops *provider_find(const char *type);
/* The i-th, NULL at the end. */
const struct provider_ops *provider_at(size_t i);

/* ops->edit, or its equal out of get and replace. A conflict is read and
 * decided once more. */
void provider_edit(const struct provider_ops *ops, void *ctx,
	struct provider_item *items, size_t n, provider_decide decide,
	void *arg);
void provider_item_release(struct provider_item *item);

#endif
