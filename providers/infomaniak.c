/*
 * Infomaniak, API v2: a zone's whole list of records is read, and records are
 * made, changed and deleted one by one. Targets come back in upper case and
 * split by blanks. Every answer says "result": "success" or "error"; the HTTP
 * status mostly agrees. 60 calls a minute are allowed: they are not spread
 * out, because a rollover needs five, and what is too much is done later
 * (nothing is lost: each step can be repeated).
 */
#include "providers/api.h"

#include <string.h>

#define PAUSE_S 60 /* after "too many requests" that do not say how long */
#define RIGHTS "the scopes domain:read, dns:read and dns:write"

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.infomaniak.com/2"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "api_token_file",
		.type = POPT_SECRET_FILE,
		.env = "INFOMANIAK_ACCESS_TOKEN",
		.help = "file with an API token" },
	API_OPT_END,
};

static bool says(const char *code, const char *a, const char *b, const char *c)
{
	return strstr(code, a) || strstr(code, b) || strstr(code, c);
}

/* What an error code means where the HTTP status does not tell. */
static enum status mean(const struct api_client *c, const struct rest_answer *a,
	const char *code, struct err *err)
{
	if (says(code, "already_exist", "already_used", "duplicate"))
		return ST_OK;
	if (a->http >= 300)
		return REST_DEFAULT;
	if (says(code, "too_many", "rate_limit", "throttl")) {
		rest_hold(c->rest, PAUSE_S);
		return err_set(err, ST_RETRY, "too many requests (%s)", code);
	}
	if (says(code, "not_authorized", "access_denied", "unauthorized") ||
		says(code, "forbidden", "invalid_token", "invalid_scope"))
		return err_set(err, ST_DENIED,
			"the API token is refused: %s (it needs: " RIGHTS ")",
			code);
	return err_set(err,
		strstr(code, "not_found") ? ST_NOTFOUND : ST_REFUSED,
		"it was not done: %s", *code ? code : "no reason is given");
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const struct api_client *c = arg;
	const json_t *e = json_object_get(a->json, "error"), *more;
	enum status st;
	size_t i;

	if (a->http == 429 && !rest_retry_after(c->rest))
		rest_hold(c->rest, PAUSE_S);
	if (a->http < 300 && !strcmp(api_text(a->json, "result"), "success"))
		return ST_OK;
	/* The codes of fields say more than the one above them. */
	json_array_foreach(json_object_get(e, "errors"), i, more)
	{
		st = mean(c, a, api_text(more, "code"), err);
		if (st != REST_DEFAULT)
			return st;
	}
	if (json_is_object(e) || a->http >= 300)
		return mean(c, a, api_text(e, "code"), err);
	return api_strange(err, "it does not say if it was done");
}

/* The API lists the zones of the domain that a name is in, whatever the name;
 * one of exactly this name is looked for. */
static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *answer = NULL;
	const json_t *list, *o, *is;
	enum status st;
	size_t i;

	/* Zones have host names: this spares half of the calls. */
	if (!api_zone_fill(ret, name, NULL) || strchr(ret->id, '_') ||
		!strchr(ret->id, '.'))
		return ST_NOTFOUND;
	st = api_call(c->rest, "GET", NULL, &answer, err, "/domains/%s/zones",
		ret->id);
	list = json_object_get(answer, "data");
	if (!st && !json_is_array(list))
		st = api_strange(err, "the list of zones is no array");
	if (st)
		return st;
	json_array_foreach(list, i, o)
	{
		if (strcasecmp(api_text(o, "fqdn"), ret->id) != 0)
			continue;
		is = json_object_get(
			json_object_get(o, "dnssec"), "is_enabled");
		if (json_is_boolean(is))
			ret->dnssec =
				json_is_true(is) ? API_SIGNED : API_UNSIGNED;
		return ST_OK;
	}
	return ST_NOTFOUND;
}

static enum status take_record(
	struct api_item *items, size_t n, json_t *o, struct err *err)
{
	const char *source = api_text(o, "source"), *type = api_text(o, "type");
	json_int_t id = json_integer_value(json_object_get(o, "id"));
	struct api_item *it =
		api_item_labelled(items, n, strcmp(source, ".") ? source : "");
	int64_t ttl = api_int(o, "ttl");
	char text[32];

	if (!it || (strcmp(type, "TLSA") != 0 && strcmp(type, "CNAME") != 0))
		return ST_OK;
	it->cname |= *type == 'C';
	if (it->cname)
		return ST_OK;
	if (id <= 0 || ttl < 0)
		return api_strange(err, "a record without id or TTL");
	(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, id);
	return api_add_record(
		it, text, api_text(o, "target"), (uint32_t)ttl, false, o, err);
}

struct reading {
	const struct api_client *c;
	const struct api_zone *zone;
	struct api_item *items;
	size_t n;
};

/* Lists can come in pages; then they say how many. */
static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct reading *r = arg;
	json_auto_t *answer = NULL;
	json_t *list, *o;
	size_t i;
	enum status st = api_call(r->c->rest, "GET", NULL, &answer, err,
		"/zones/%s/records?page=%u", r->zone->id, n);

	list = json_object_get(answer, "data");
	if (!st && !json_is_array(list))
		st = api_strange(err, "the list of records is no array");
	json_array_foreach(list, i, o)
	{
		if (!st)
			st = take_record(r->items, r->n, o, err);
	}
	*ret_more = json_array_size(list) && api_int(answer, "pages") > n;
	return st;
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct reading r = { .c = v, .zone = z, .items = items, .n = n };

	return api_pages(page, &r, err);
}

/* Takes over the body; NULL: no memory. */
static enum status send(void *v, const char *method, const struct api_zone *z,
	const char *id, json_t *body, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *owned = body;

	return owned ? api_call(c->rest, method, owned, NULL, err,
			       "/zones/%s/records%s%s", z->id, *id ? "/" : "",
			       id)
		     : api_no_memory(err);
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	return send(v, "POST", z, "",
		json_pack("{ss, ss, sI, ss}", "source", it->label, "type",
			"TLSA", "ttl", (json_int_t)it->new_ttl, "target",
			w->text),
		err);
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return send(v, "PUT", z, r->id,
		json_pack("{sI, ss}", "ttl", (json_int_t)it->new_ttl, "target",
			r->text),
		err);
}

static enum status drop(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	const struct api_client *c = v;

	(void)it;
	return api_call(c->rest, "DELETE", NULL, NULL, err,
		"/zones/%s/records/%s", z->id, r->id);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Bearer ",
	.rights = RIGHTS,
	.judge = judge,
	.zone = find_zone,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = drop,
};

API_PROVIDER(infomaniak, .type = "infomaniak", .title = "Infomaniak",
	.caps = PCAP_READ, .dnssec = PDNSSEC_SWITCH, .rights = RIGHTS,
	.options = options);
