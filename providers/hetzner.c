/*
 * Hetzner DNS by the Cloud API (RRsets below /zones; dns.hetzner.com is gone).
 * Every write answers with an action that runs on and is followed to its end.
 * Records and TTL are two calls: the records, all at once, go first, so that a
 * longer TTL is never given to a set that lacks a new key; should the second
 * fail, the next read shows it. Invariants: what stays is sent back in its own
 * spelling with its comment; an RRset without a TTL of its own (null) has the
 * zone's until another is asked for. These servers do not sign.
 */
#include "providers/api.h"

#include <stdlib.h>
#include <string.h>

#define RIGHTS "an API token of the zone's project with Read & Write"
/* struct api_zone.id is "ID=TTL", with the zone's own TTL; ID is for %.*s. */
#define ID(z) (int)strcspn((z)->id, "="), (z)->id
#define ZONE_TTL(z) strtol((z)->id + strcspn((z)->id, "=") + 1, NULL, 10)

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.hetzner.cloud/v1"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "token_file",
		.type = POPT_SECRET_FILE,
		.env = "HCLOUD_TOKEN",
		.help = "file with the API token of the project" },
	API_OPT_END,
};

/* The vendor's codes that mean more than their HTTP status, or that stand in an
 * action, which has none. REST_DEFAULT: not one of them. */
static enum status class_of(const char *code)
{
	static const struct {
		enum status st;
		const char *code[8];
	} known[] = {
		{ ST_CONFLICT, { "conflict", "uniqueness_error" } },
		{ ST_RETRY, { "locked", "timeout", "maintenance", "unavailable",
				    "service_error", "server_error",
				    "resource_unavailable" } },
		{ ST_REFUSED, { "protected", "resource_limit_exceeded" } },
		{ ST_CONFIG, { "incorrect_zone_mode" } },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		for (size_t j = 0; known[i].code[j]; j++)
			if (!strcmp(code, known[i].code[j]))
				return known[i].st;
	return REST_DEFAULT;
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const json_t *error = json_object_get(a->json, "error");
	const char *code = api_text(error, "code");
	enum status st = class_of(code);

	(void)arg;
	/* The rule for everybody knows what was said about waiting. */
	if (st == REST_DEFAULT || a->http == 429 || a->http >= 500)
		return REST_DEFAULT;
	return err_set(err, st, "HTTP %ld: %.300s (%s)%s", a->http,
		api_text(error, "message"), code,
		strcmp(code, "protected")
			? ""
			: ": switch the protection off at the vendor first");
}

/* Of a list in pages. */
struct reading {
	const struct api_client *c;
	struct api_zones *zones; /* or: */
	const struct api_zone *z;
	struct api_item *items;
	size_t n;
};

static bool has_next_page(const json_t *answer)
{
	const json_t *meta = json_object_get(answer, "meta");

	return api_int(json_object_get(meta, "pagination"), "next_page") > 0;
}

/* ---- zones ---- */

static enum status take_zone(
	const json_t *o, struct api_zones *list, struct err *err)
{
	/* Beyond 31 bits, unlike what api_int takes. */
	json_int_t id = json_integer_value(json_object_get(o, "id"));
	struct api_zone z = { .dnssec = API_UNSIGNED };
	int64_t ttl = api_int(o, "ttl");
	char both[64];

	if (id <= 0 || ttl < 0)
		return api_strange(err, "a zone without id or ttl");
	(void)snprintf(
		both, sizeof(both), "%lld=%lld", (long long)id, (long long)ttl);
	if (!api_zone_fill(&z, api_text(o, "name"), both))
		return ST_OK;
	if (!strcmp(api_text(o, "mode"), "secondary"))
		(void)snprintf(z.unusable, sizeof(z.unusable),
			"it is a secondary zone there: changes must be made "
			"at its primary");
	return api_add_zone(list, &z, err);
}

static enum status zones_page(
	void *arg, unsigned n, bool *ret_more, struct err *err)
{
	const struct reading *r = arg;
	json_auto_t *answer = NULL;
	enum status st = api_call(r->c->rest, "GET", NULL, &answer, err,
		"/zones?per_page=50&page=%u", n);
	json_t *list = json_object_get(answer, "zones");

	if (!st && !json_is_array(list))
		st = api_strange(err, "no zones");
	for (size_t i = 0; i < json_array_size(list) && !st; i++)
		st = take_zone(json_array_get(list, i), r->zones, err);
	*ret_more = has_next_page(answer);
	return st;
}

static enum status all_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct reading r = { .c = v, .zones = list };

	*ret_all = true;
	return api_pages(zones_page, &r, err);
}

/* ---- reading ---- */

static enum status take_rrset(struct reading *r, json_t *rrset, struct err *err)
{
	const char *type = api_text(rrset, "type");
	json_t *records = json_object_get(rrset, "records");
	struct api_item *it =
		api_item_labelled(r->items, r->n, api_text(rrset, "name"));
	int64_t ttl = api_int(rrset, "ttl");
	enum status st = ST_OK;

	if (it)
		it->cname |= !strcmp(type, "CNAME");
	if (!it || strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (!json_is_array(records) || it->raw)
		return api_strange(err, "an RRset twice or without records");
	it->raw = json_incref(rrset);
	it->ttl = (uint32_t)(ttl < 0 ? ZONE_TTL(r->z) : ttl);
	for (size_t i = 0; i < json_array_size(records) && !st; i++) {
		json_t *o = json_array_get(records, i);
		st = api_add_record(
			it, NULL, api_text(o, "value"), it->ttl, false, o, err);
	}
	return st;
}

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct reading *r = arg;
	/* One name: only that. More: all in one call, as a rule. */
	bool one = r->n == 1;
	char safe[API_SAFE_MAX];
	json_auto_t *answer = NULL;
	enum status st = api_call(r->c->rest, "GET", NULL, &answer, err,
		"/zones/%.*s/rrsets?type=TLSA&type=CNAME&per_page=100&page=%u"
		"%s%s",
		ID(r->z), n, one ? "&name=" : "",
		one ? api_safe(r->items[0].label, "@", safe) : "");
	json_t *list = json_object_get(answer, "rrsets");

	if (!st && !json_is_array(list))
		st = api_strange(err, "no rrsets");
	for (size_t i = 0; i < json_array_size(list) && !st; i++)
		st = take_rrset(r, json_array_get(list, i), err);
	*ret_more = has_next_page(answer);
	return st;
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct reading r = { .c = v, .z = z, .items = items, .n = n };

	return api_pages(page, &r, err);
}

/* ---- writing ---- */

struct following {
	const struct api_client *c;
	json_t *answer; /* not looked at yet, owned; NULL: ask */
	json_int_t id;  /* of the action */
};

static enum status follow(void *arg, bool *ret_done, struct err *err)
{
	struct following *f = arg;
	json_auto_t *answer = f->answer;
	enum status st = ST_OK;

	f->answer = NULL;
	if (!answer)
		st = api_call(f->c->rest, "GET", NULL, &answer, err,
			"/actions/%lld", (long long)f->id);
	const json_t *action = json_object_get(answer, "action");
	const json_t *error = json_object_get(action, "error");
	const char *code = api_text(error, "code");
	const char *status = api_text(action, "status");
	f->id = json_integer_value(json_object_get(action, "id"));
	*ret_done = !strcmp(status, "success");
	if (st || *ret_done || !strcmp(status, "running"))
		return st;
	if (strcmp(status, "error") != 0)
		return api_strange(err, "an action without a known status");
	st = class_of(code);
	return err_set(err, st == REST_DEFAULT ? ST_REFUSED : st,
		"the API took the change and then failed to make it: %.300s "
		"(%.60s)",
		api_text(error, "message"), code);
}

/* One write, and its action to the end. it NULL: to all RRsets; verb: "" or
 * "/actions/.."; takes over body, which only a DELETE has none of. */
static enum status change(const struct api_client *c, const struct api_zone *z,
	const struct api_item *it, const char *method, const char *verb,
	json_t *body, struct err *err)
{
	struct following f = { .c = c };
	json_auto_t *owned = body;
	char safe[API_SAFE_MAX];

	if (!owned && strcmp(method, "DELETE") != 0)
		return api_no_memory(err);
	enum status st = api_call(c->rest, method, owned, &f.answer, err,
		"/zones/%.*s/rrsets%s%s%s%s", ID(z), it ? "/" : "",
		it ? api_safe(it->label, "@", safe) : "", it ? "/TLSA" : "",
		verb);
	return st ? st : api_follow(c->rest, follow, &f, err);
}

/* What stays keeps its comment. */
static json_t *wanted_records(const struct api_item *it)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < it->n_want; i++) {
		const struct api_record *r = it->want[i].held;
		json_t *comment = r ? json_object_get(r->raw, "comment") : NULL;
		json_t *o = json_pack("{ss, sO*}", "value",
			api_spelled(&it->want[i]), "comment", comment);

		if (json_array_append_new(list, o)) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

/* One item: max_bulk is 1. */
static enum status write_item(void *v, const struct api_zone *z,
	struct api_item *it, size_t n, struct err *err)
{
	json_int_t ttl = it->new_ttl;
	enum status st = ST_OK;

	(void)n;
	if (!it->n_want) {
		st = change(v, z, it, "DELETE", "", NULL, err);
		return st == ST_NOTFOUND ? ST_OK : st;
	}
	if (!it->raw)
		return change(v, z, NULL, "POST", "",
			json_pack("{ss, ss, sI, so}", "name",
				*it->label ? it->label : "@", "type", "TLSA",
				"ttl", ttl, "records", wanted_records(it)),
			err);
	if (it->n_gone || it->n_want != it->n_rec)
		st = change(v, z, it, "POST", "/actions/set_records",
			json_pack("{so}", "records", wanted_records(it)), err);
	if (!st && it->ttl_changes)
		st = change(v, z, it, "POST", "/actions/change_ttl",
			json_pack("{sI}", "ttl", ttl), err);
	/* It was there when it was read. */
	return st == ST_NOTFOUND ? (err->st = ST_CONFLICT) : st;
}

/* A write that names nothing is refused as such to those who may write, and
 * before that to a token that may only read. */
static enum status may_write(void *v, const struct api_zone *z, struct err *err)
{
	enum status st = change(v, z, NULL, "POST", "", json_object(), err);

	return st == ST_REFUSED ? ST_OK : st;
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Bearer ",
	.rights = RIGHTS,
	.judge = judge,
	.zones = all_zones,
	.read = read_items,
	.write = write_item,
	.may_write = may_write,
};

API_PROVIDER(hetzner, .type = "hetzner", .title = "Hetzner DNS (Cloud API)",
	.caps = PCAP_READ | PCAP_ATOMIC | PCAP_ASYNC | PCAP_RRSET,
	.dnssec = PDNSSEC_NEVER, .rights = RIGHTS, .options = options);
