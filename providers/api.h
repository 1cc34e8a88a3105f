/*
 * What all DNS APIs have in common: finding the zone, reading what is held,
 * comparing records whatever their spelling, adding before removing, following
 * a change to its end, one call for many names of a zone, many zones side by
 * side. A vendor is a const struct api_vendor: it only knows how its API spells
 * things. (dane.md B-17..B-26)
 *
 * Who calls whom: the ops of a provider are api_get .. api_close; its open is
 * one call of api_open. The mechanism calls the vendor; the vendor calls rest.h
 * and the helpers below.
 */
#ifndef DANELAW_PROVIDERS_API_H
#define DANELAW_PROVIDERS_API_H

#include "hook/base/auto.h"
#include "hook/base/buf.h"
#include "providers/cred.h"
#include "providers/provider.h"
#include "providers/rest.h"

#define API_ID_MAX 512

enum api_signed { API_SIGNED_UNKNOWN, API_SIGNED, API_UNSIGNED };

/* A zone as the API knows it. */
struct api_zone {
	char name[DNS_NAME_MAX]; /* canonical */
	char id[API_ID_MAX];     /* as paths need it; vendor's own business */
	enum api_signed dnssec;
	char unusable[160]; /* "" or why nothing can be changed in it */
};

/* A record as the API holds it. */
struct api_record {
	char *id;    /* the vendor's; NULL where records have none */
	char *text;  /* RDATA in the vendor's very spelling; of a vendor with
			fields: as text made from them */
	json_t *raw; /* the vendor's object, kept alive here; may be NULL */
	uint32_t ttl;
	bool disabled; /* held but not served: kept, never counted */
	/* by the mechanism */
	bool known; /* text could be read: rr is it. Others are left alone. */
	size_t rr;  /* index into api_item.now */
};

/* A record that the RRset shall have. */
struct api_want {
	const struct api_record *held;   /* as it is there already; or NULL: */
	const char *text;                /* "3 1 1 hex", lower case */
	unsigned usage, selector, mtype; /* and its parts */
	const char *hex;
};

/* One owner name of a zone. */
struct api_item {
	const char *owner; /* canonical: absolute, with dot */
	const char *label; /* relative to the zone, no dot at the end; "" apex
			    */
	/* what read() fills in: records, and what else a write will need */
	struct api_record *rec;
	size_t n_rec;
	uint32_t ttl;   /* of the RRset, where the vendor has one for it; else
			   0: the largest of its records */
	char etag[256]; /* vendor's own business */
	json_t *raw;    /* the RRset as read, owned; may be NULL */
	bool cname;     /* a CNAME is there instead */

	/* what a write gets */
	uint32_t new_ttl;            /* for all its records */
	bool ttl_changes;            /* new_ttl is not what is there */
	const struct api_want *want; /* all that shall be there; none: delete */
	size_t n_want;
	const struct api_record *const *gone; /* held, and to be removed */
	size_t n_gone;
	/* write() may set it when many were refused for the sake of this one;
	 * the others are then tried once more without it */
	bool to_blame;
	/* the mechanism's */
	struct tlsa_rrset now;
	void *own;
};

/* Collects zones in a list or records of an item. Texts are copied. */
struct api_zones;
enum status api_add_zone(
	struct api_zones *list, const struct api_zone *zone, struct err *err);
/* id and raw may be NULL; raw gets one more reference. */
enum status api_add_record(struct api_item *it, const char *id,
	const char *text, uint32_t ttl, bool disabled, json_t *raw,
	struct err *err);
/* The item of this owner name or label, in any case, with or without a final
 * dot; NULL: a name that was not asked for. */
struct api_item *api_item_of(
	struct api_item *items, size_t n, const char *owner);
struct api_item *api_item_labelled(
	struct api_item *items, size_t n, const char *label);

/* What the struct of a vendor with one secret begins with: then init and
 * release can be left out. */
struct api_client {
	struct rest *rest;
	struct secret token;
};

struct api_vendor {
	size_t size; /* of the vendor's own struct, zeroed for init */
	size_t rest; /* where in it the struct rest * of the API is: offsetof */
	unsigned parallel; /* zones side by side; 0 = 4 */
	/* Changes are not served before commit (else each at once). */
	bool staged;

	/* For a vendor without init: its secret is option API_TOKEN, and goes
	 * into this header behind this prefix. judge's arg is the vendor's
	 * struct. */
	const struct provider_option *options;
	const char *header, *prefix, *rights;
	rest_judge judge;
	int pace_ms;

	/* From options to clients (api_rest_new); no network. release() is
	 * called also when this failed. NULL: see above. */
	enum status (*init)(
		void *v, const struct provider_config *cfg, struct err *err);
	void (*release)(void *v);
	/* Once, before anything else goes over the network: fetches a token or
	 * a session. NULL: none. logout: at the end; its trouble is nobody's */
	enum status (*login)(void *v, struct err *err);
	void (*logout)(void *v);

	/* The first page of the account's zones, as many as the API gives at
	 * once; *ret_all when those are all. If there is no zone(), all pages,
	 * and *ret_all is true. NULL: the API has no list. */
	enum status (*zones)(void *v, struct api_zones *list, bool *ret_all,
		struct err *err);
	/* The zone of exactly this (canonical) name; ST_NOTFOUND. May be NULL
	 * when there is zones(). */
	enum status (*zone)(void *v, const char *name, struct api_zone *ret,
		struct err *err);
	/* What is held at n items (at least one) of one zone. */
	enum status (*read)(void *v, const struct api_zone *z,
		struct api_item *items, size_t n, struct err *err);

	/* Either: makes each RRset what it wants, n at a time if it can
	 * (max_bulk, 0 = 1). ST_CONFLICT: read and decide again. ST_REFUSED of
	 * many: without those to blame, or, if none is named, one by one. */
	size_t max_bulk;
	enum status (*write)(void *v, const struct api_zone *z,
		struct api_item *items, size_t n, struct err *err);
	/* Or: record by record. A record that is there already, or not there
	 * any more (ST_NOTFOUND from remove), is as good as done. set_ttl NULL:
	 * TTLs cannot be changed. */
	enum status (*add)(void *v, const struct api_zone *z,
		const struct api_item *it, const struct api_want *w,
		struct err *err);
	enum status (*set_ttl)(void *v, const struct api_zone *z,
		const struct api_item *it, const struct api_record *r,
		struct err *err);
	enum status (*remove)(void *v, const struct api_zone *z,
		const struct api_item *it, const struct api_record *r,
		struct err *err);
	/* After changes to a zone: publishes them, or follows them to their
	 * end. Unless staged, between additions and removals, too. NULL: both
	 * happen by themselves. */
	enum status (*commit)(
		void *v, const struct api_zone *z, struct err *err);
	/* See provider_ops. NULL: cannot be told. */
	enum status (*may_write)(
		void *v, const struct api_zone *z, struct err *err);
};

enum status api_open(const struct api_vendor *vendor,
	const struct provider_config *cfg, void **ret, struct err *err);
enum status api_get(void *ctx, const char *owner, struct tlsa_rrset *ret,
	char *ret_zone, struct err *err);
enum status api_replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err);
void api_edit(void *ctx, struct provider_item *items, size_t n,
	provider_decide decide, void *arg);
enum status api_may_write(void *ctx, const char *owner, struct err *err);
/* The zone that holds owner: its DNSSEC state, and all. Asks the API. */
enum status api_zone_of(
	void *ctx, const char *owner, struct api_zone *ret, struct err *err);
int api_zone_signed(void *ctx, const char *owner);
void api_close(void *ctx);

/* The provider called name, of `vendor` in the same file; the rest of its ops
 * (type, title, caps, dnssec, rights, options) follows. */
#define API_PROVIDER(name, ...)                                           \
	static enum status name##_open(const struct provider_config *cfg, \
		void **ret, struct err *err)                              \
	{                                                                 \
		return api_open(&vendor, cfg, ret, err);                  \
	}                                                                 \
	extern const struct provider_ops provider_##name;                 \
	const struct provider_ops provider_##name = {                     \
		.open = name##_open, API_OPS, __VA_ARGS__                 \
	}
#define API_OPS                                                     \
	.get = api_get, .replace = api_replace, .edit = api_edit,   \
	.may_write = api_may_write, .zone_signed = api_zone_signed, \
	.close = api_close

/* ---- helpers for vendors ---- */

/*
 * Asks done() until it says ST_OK with *ret_done true, with growing pauses
 * (0.5 s .. 5 s), a minute at most and not beyond the deadline: then ST_OK,
 * too: the change was accepted, and the sweep will show it. An error of done()
 * ends it.
 */
enum status api_follow(struct rest *r,
	enum status (*done)(void *arg, bool *ret_done, struct err *err),
	void *arg, struct err *err);
/* Goes through pages: page(arg, number from 1, &more, err) until it says that
 * there is no more; 1000 at most. */
enum status api_pages(enum status (*page)(void *arg, unsigned n, bool *ret_more,
			      struct err *err),
	void *arg, struct err *err);
/* The query of the next page from a Link header (NULL: none); "" when this was
 * the last. Host and path of the link are never used. */
enum status api_next_query(
	const char *link, char *ret, size_t len, struct err *err);
/* Completes rc with url, ca_file, timeout and deadline from the first three
 * options, and opens the client. */
enum status api_rest_new(const struct provider_config *cfg,
	struct rest_config *rc, struct rest **ret, struct err *err);
/* rest_call with a path made from a format: names through api_safe, ids seen by
 * api_plain_id. */
enum status api_call(struct rest *r, const char *method, const json_t *body,
	json_t **ret, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* A canonical name or label as it can stand in a path or query, without its
 * final dot; `apex` when it is "". */
#define API_SAFE_MAX (DNS_NAME_MAX + 8)
const char *api_safe(
	const char *name, const char *apex, char ret[static API_SAFE_MAX]);
/* Fills name (from any spelling) and id (NULL: the name without dot); false
 * when one of them cannot be: a zone that we cannot work with. */
bool api_zone_fill(struct api_zone *z, const char *name, const char *id);
/* A record's text as it shall be written: the old spelling, or ours. */
const char *api_spelled(const struct api_want *w);
/* All that the RRset shall have: an array of texts, or, with member, of objects
 * {member: text}. Owned; NULL: no memory. */
json_t *api_spelled_all(const struct api_item *it, const char *member);
/* ST_RETRY: "the API's answer is not as documented: what". */
enum status api_strange(struct err *err, const char *what);
enum status api_no_memory(struct err *err);
/* Member as text ("" when absent or no string), as a number (also of digits in
 * a string; -1 when absent or out of 0..INT32_MAX). */
const char *api_text(const json_t *o, const char *key);
int64_t api_int(const json_t *o, const char *key);
/* Canonical name without its final dot; in a static buffer of the caller. */
const char *api_undotted(const char *name, char ret[static DNS_NAME_MAX]);
/* True when the id is of letters, digits and -_.=~ only, so that it can be in a
 * path as it is. */
bool api_plain_id(const char *id);
/* What every REST vendor has as its first three options, in this order: url
 * (default given), ca_file, timeout. */
enum { API_URL, API_CA_FILE, API_TIMEOUT, API_TOKEN };
#define API_OPT_URL(default_url)                                          \
	{                                                                 \
		.name = "url", .type = POPT_STRING, .def = (default_url), \
		.help = "URL of the API (http:// only on loopback)"       \
	}
#define API_OPT_CA_FILE                                                 \
	{                                                               \
		.name = "ca_file", .type = POPT_FILE,                   \
		.help = "PEM file with the CA of the API's certificate" \
	}
#define API_OPT_TIMEOUT                                                     \
	{                                                                   \
		.name = "timeout", .type = POPT_INT, .def = "20", .min = 1, \
		.max = 300, .help = "seconds for one call"                  \
	}
#define API_OPT_END          \
	{                    \
		.name = NULL \
	}

#endif
