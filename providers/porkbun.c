/*
 * Porkbun, record by record. Both halves of the key go in headers, which all
 * calls take, and so in no body. An error is {"status": "ERROR"} under HTTP 200
 * or 400 alike: the judge tells them by code, and by text where older servers
 * have no code. Names are absolute when read, relative when written; TTLs are
 * digits in a string. Invariants: never the calls "by name and type", which
 * would make all records of an RRset alike or remove all; the whole zone is
 * read in one call, because the call for one name and type hides a CNAME.
 */
#include "providers/api.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define RIGHTS                                                              \
	"\"API Access\" switched on for the domain, and a key that is not " \
	"limited to other domains or addresses"
#define DOMAINS_PAGE 1000
#define TTL_MIN 600
#define PACE_MS 100 /* 20 calls in 2 s per key */

struct porkbun {
	struct secret key, secret;
	struct rest *rest;
};

enum { OPT_KEY = API_TOKEN, OPT_SECRET };

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.porkbun.com/api/json/v3"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[OPT_KEY] = { .name = "api_key_file",
		.type = POPT_SECRET_FILE,
		.env = "PORKBUN_API_KEY",
		.help = "file with the API key (pk1_..)" },
	[OPT_SECRET] = { .name = "secret_api_key_file",
		.type = POPT_SECRET_FILE,
		.env = "PORKBUN_SECRET_API_KEY",
		.help = "file with the secret API key (sk1_..)" },
	API_OPT_END,
};

/* ---- errors ---- */

/* What the API's words mean: its code, or, from servers without codes, a part
 * of its message. ST_OK: as good as done. REST_DEFAULT: unknown. */
static enum status class_of(const char *words)
{
	static const struct {
		enum status st;
		const char *part[11];
	} known[] = {
		{ ST_OK, { "DUPLICATE_RECORD" } },
		/* The zone was listed before: the domain is there. */
		{ ST_DENIED, { "API_KEY", "APIKEY", "api key", "INVALID_TOKEN",
				     "INVALID_USER", "_NOT_ALLOWED",
				     "API_ACCESS", "not opted in",
				     "INVALID_DOMAIN", "invalid domain" } },
		{ ST_NOTFOUND, { "_NOT_FOUND", "RECORD_ID", "record id" } },
		{ ST_RETRY, { "RATE_LIMIT", "rate limit", "IDEMPOTENCY" } },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		for (size_t j = 0; known[i].part[j]; j++)
			if (strcasestr(words, known[i].part[j]))
				return known[i].st;
	return REST_DEFAULT;
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	struct porkbun *v = arg;
	const char *status = api_text(a->json, "status");
	const char *code = api_text(a->json, "code");
	const char *message = api_text(a->json, "message");
	bool good = a->http < 300;

	if (good && !strcmp(status, "SUCCESS"))
		return REST_DEFAULT;
	if (good && strcmp(status, "ERROR") != 0)
		return api_strange(err, "neither SUCCESS nor ERROR");
	enum status st = class_of(*code ? code : message);
	if (st == ST_RETRY || a->http == 429)
		rest_hold(v->rest, api_int(a->json, "ttlRemaining"));
	/* The rule for everybody fits, and knows what else was said. */
	if (a->http == 401 || a->http == 403 || a->http == 429 ||
		a->http >= 500 || (st == REST_DEFAULT && !good))
		return REST_DEFAULT;
	if (st == ST_OK)
		return st;
	return err_set(err, st == REST_DEFAULT ? ST_REFUSED : st,
		"HTTP %ld: %.300s (%.60s)%s", a->http, message,
		*code ? code : "no code",
		st == ST_DENIED ? " (it needs: " RIGHTS ")" : "");
}

/* ---- opening ---- */

static enum status auth(void *arg, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err)
{
	const struct porkbun *v = arg;
	enum status st = rest_header(h, err, "X-API-Key: %s", v->key.data);

	(void)q, (void)url, (void)body;
	return st ? st
		  : rest_header(h, err, "X-Secret-API-Key: %s", v->secret.data);
}

static void release(void *arg)
{
	struct porkbun *v = arg;

	rest_free(v->rest);
	secret_release(&v->key);
	secret_release(&v->secret);
}

static enum status init(
	void *arg, const struct provider_config *cfg, struct err *err)
{
	struct porkbun *v = arg;
	const char *file = cfg->value[OPT_KEY];
	struct rest_config rc = { .pace_ms = PACE_MS,
		.auth = auth,
		.judge = judge,
		.arg = v,
		.secrets = { &v->key, &v->secret },
		.secret_option = options[OPT_KEY].name,
		.secret_file = file ? file : options[OPT_KEY].env,
		.rights = RIGHTS };
	enum status st = cred_secret(cfg, options, OPT_KEY, &v->key, err);

	if (!st)
		st = cred_secret(cfg, options, OPT_SECRET, &v->secret, err);
	return st ? st : api_rest_new(cfg, &rc, &v->rest, err);
}

/* ---- calls; all are POST ---- */

/* Of a zone (name "": of none), and of a record (id "": of none). Takes over
 * body; NULL: no memory. */
static enum status call(struct porkbun *v, const char *verb, const char *zone,
	const char *id, json_t *body, json_t **ret, struct err *err)
{
	json_auto_t *owned = body;
	char safe[API_SAFE_MAX];

	return owned ? api_call(v->rest, "POST", owned, ret, err, "/%s%s%s%s%s",
			       verb, *zone ? "/" : "", api_safe(zone, "", safe),
			       *id ? "/" : "", id)
		     : api_no_memory(err);
}

struct listing {
	struct porkbun *v;
	struct api_zones *list;
};

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct listing *l = arg;
	char start[16];
	json_auto_t *answer = NULL;

	(void)snprintf(start, sizeof(start), "%u", (n - 1) * DOMAINS_PAGE);
	enum status st = call(l->v, "domain/listAll", "", "",
		json_pack("{ss}", "start", start), &answer, err);
	json_t *domains = json_object_get(answer, "domains");

	if (!st && !json_is_array(domains))
		st = api_strange(err, "no domains");
	for (size_t i = 0; i < json_array_size(domains) && !st; i++) {
		const json_t *o = json_array_get(domains, i);
		struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };

		if (!api_zone_fill(&z, api_text(o, "domain"), NULL))
			continue;
		if (!strcmp(api_text(o, "apiAccess"), "no"))
			(void)snprintf(z.unusable, sizeof(z.unusable),
				"\"API Access\" is not switched on for it");
		st = api_add_zone(l->list, &z, err);
	}
	*ret_more = json_array_size(domains) >= DOMAINS_PAGE;
	return st;
}

static enum status all_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct listing l = { .v = v, .list = list };

	*ret_all = true;
	return api_pages(page, &l, err);
}

static enum status take_record(
	struct api_item *items, size_t n, json_t *o, struct err *err)
{
	const char *type = api_text(o, "type"), *id = api_text(o, "id");
	struct api_item *it = api_item_of(items, n, api_text(o, "name"));
	int64_t ttl = api_int(o, "ttl");

	if (it)
		it->cname |= !strcmp(type, "CNAME");
	if (!it || strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (!api_plain_id(id) || ttl < 0)
		return api_strange(err, "a record without proper id or ttl");
	return api_add_record(
		it, id, api_text(o, "content"), (uint32_t)ttl, false, o, err);
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	json_auto_t *answer = NULL;
	enum status st = call(
		v, "dns/retrieve", z->name, "", json_object(), &answer, err);
	json_t *list = json_object_get(answer, "records");

	if (!st && !json_is_array(list))
		st = api_strange(err, "no records");
	for (size_t i = 0; i < json_array_size(list) && !st; i++)
		st = take_record(items, n, json_array_get(list, i), err);
	return st;
}

/* A new record (id ""), or all of one but its notes, which stay when they are
 * not sent. */
static enum status send(struct porkbun *v, const struct api_zone *z,
	const struct api_item *it, const char *id, const char *text,
	struct err *err)
{
	char ttl[16];

	/* The API would raise it without a word. */
	if (it->new_ttl < TTL_MIN)
		return err_set(err, ST_CONFIG,
			"ttl = %u: Porkbun has TTLs from %d on", it->new_ttl,
			TTL_MIN);
	(void)snprintf(ttl, sizeof(ttl), "%u", it->new_ttl);
	return call(v, *id ? "dns/edit" : "dns/create", z->name, id,
		json_pack("{ss, ss, ss, ss}", "name", it->label, "type", "TLSA",
			"content", text, "ttl", ttl),
		NULL, err);
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	return send(v, z, it, "", w->text, err);
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return send(v, z, it, r->id, r->text, err);
}

static enum status drop(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	(void)it;
	return call(v, "dns/delete", z->name, r->id, json_object(), NULL, err);
}

/* There are no keys that may only read: who can read a zone may change it. A
 * dry run would tell more, but a server that does not know it would write. */
static enum status may_write(void *v, const struct api_zone *z, struct err *err)
{
	return call(v, "dns/retrieve", z->name, "", json_object(), NULL, err);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct porkbun),
	.rest = offsetof(struct porkbun, rest),
	.init = init,
	.release = release,
	.zones = all_zones,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = drop,
	.may_write = may_write,
};

API_PROVIDER(porkbun, .type = "porkbun", .title = "Porkbun", .caps = PCAP_READ,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
