/*
 * Cloudflare, API v4. Records are objects with an id and a TTL each; a batch
 * makes up to 200 changes of a zone in one transaction. As deletions go first
 * in it, a write is two batches: what is new, then the deletions. So no name is
 * ever without what stays or comes, and a zone costs two calls under the limit
 * of 1200 in 5 minutes. A batch is all or nothing: a record that is there
 * already, or no more, means that nothing was done, and all is read again.
 */
#include "providers/api.h"

#include <string.h>

/* 200 changes are a batch of the free plan. What has more changes than two a
 * name is refused, and then written name by name. */
#define NAMES_MAX 100
#define AUTOMATIC 1 /* stands for this TTL: */
#define AUTOMATIC_TTL 300
#define TTL_MIN 30 /* of the largest plan; 60 of the others */
#define RIGHTS "Zone:Read and DNS:Edit on this zone"

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.cloudflare.com/client/v4"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "api_token_file",
		.type = POPT_SECRET_FILE,
		.env = "CLOUDFLARE_API_TOKEN",
		.help = "file with an API token (not the global API key)" },
	API_OPT_END,
};

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const json_t *o, *success = json_object_get(a->json, "success");
	const json_t *errors = json_object_get(a->json, "errors");
	const char *said = api_text(json_array_get(errors, 0), "message");
	size_t i;

	(void)arg;
	json_array_foreach(errors, i, o)
	{
		int64_t code = api_int(o, "code");

		/* exists, exists just so, does not exist */
		if (code == 81057 || code == 81058 || code == 81044)
			return err_set(err, ST_CONFLICT,
				"the records were changed in between");
		/* malformed token; none; not this one, or not for this */
		if (code == 6003 || code == 9106 || code == 9109 ||
			code == 10000)
			return err_set(err, ST_DENIED,
				"HTTP %ld: the API token is refused, code "
				"%lld (it needs: " RIGHTS ")",
				a->http, (long long)code);
	}
	if (a->http >= 300 || json_is_true(success))
		return REST_DEFAULT;
	return json_is_false(success)
		       ? err_set(err, ST_REFUSED, "it was not done: %s", said)
		       : api_strange(err, "it does not say if it was done");
}

/* ---- reading ---- */

/* A list that comes in pages. */
struct reading {
	const struct api_client *c;
	struct api_zones *zones; /* or: */
	struct api_item *items;
	size_t n;
	char path[API_ID_MAX + API_SAFE_MAX + 64];
};

static enum status take_zone(
	const json_t *o, struct api_zones *list, struct err *err)
{
	const char *status = api_text(o, "status"), *type = api_text(o, "type");
	struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };

	if (!api_zone_fill(&z, api_text(o, "name"), api_text(o, "id")))
		return ST_OK;
	if (!strcmp(type, "partial") || !strcmp(type, "secondary"))
		(void)snprintf(z.unusable, sizeof(z.unusable),
			"it is a %s zone at Cloudflare: change it where its "
			"primary server is",
			type);
	else if (strcmp(status, "active") != 0)
		(void)snprintf(z.unusable, sizeof(z.unusable),
			"its status at Cloudflare is \"%.40s\", not "
			"\"active\": it is not served from there",
			status);
	return api_add_zone(list, &z, err);
}

static enum status take_record(struct api_item *it, json_t *o, struct err *err)
{
	const json_t *data = json_object_get(o, "data");
	auto_buf text = BUF_INIT(2 * UINT16_MAX + 64);
	const char *type = api_text(o, "type"), *id = api_text(o, "id");
	int64_t ttl = api_int(o, "ttl");

	it->cname |= !strcmp(type, "CNAME");
	if (strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (!api_plain_id(id) || ttl < 0)
		return api_strange(err, "a record without id or TTL");
	enum status st = buf_printf(&text, err, "%lld %lld %lld %s",
		(long long)api_int(data, "usage"),
		(long long)api_int(data, "selector"),
		(long long)api_int(data, "matching_type"),
		api_text(data, "certificate"));
	return st ? st
		  : api_add_record(it, id, buf_str(&text),
			    ttl == AUTOMATIC ? AUTOMATIC_TTL : (uint32_t)ttl,
			    false, o, err);
}

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct reading *r = arg;
	json_auto_t *answer = NULL;
	json_t *list, *info, *o;
	struct api_item *it;
	size_t i;
	enum status st = api_call(r->c->rest, "GET", NULL, &answer, err,
		"%s&page=%u", r->path, n);

	list = json_object_get(answer, "result");
	if (!st && !json_is_array(list))
		st = api_strange(err, "a list that is no array");
	json_array_foreach(list, i, o)
	{
		it = api_item_of(r->items, r->n, api_text(o, "name"));
		if (!st && r->zones)
			st = take_zone(o, r->zones, err);
		else if (!st && it)
			st = take_record(it, o, err);
	}
	/* The total may be that without the filter: see if there was any. */
	info = json_object_get(answer, "result_info");
	*ret_more =
		json_array_size(list) &&
		api_int(info, "per_page") * n < api_int(info, "total_count");
	return st;
}

/* Of zones of one name (in several accounts) the active one comes first. */
static enum status read_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct reading r = { .c = v,
		.zones = list,
		.path = "/zones?order=status&direction=asc&per_page=50" };

	*ret_all = true;
	return api_pages(page, &r, err);
}

static enum status read_those(struct reading *r, const struct api_zone *z,
	const char *what, const char *value, struct err *err)
{
	(void)snprintf(r->path, sizeof(r->path),
		"/zones/%s/dns_records?per_page=1000&%s=%s", z->id, what,
		value);
	return api_pages(page, r, err);
}

/* One name is asked for as such. For more, all TLSA records of the zone are
 * listed, and its CNAMEs when a name has none. */
static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct reading r = { .c = v, .items = items, .n = n };
	char safe[API_SAFE_MAX];
	bool empty = false;
	enum status st;

	if (n == 1)
		return read_those(
			&r, z, "name", api_safe(items->owner, "", safe), err);
	st = read_those(&r, z, "type", "TLSA", err);
	for (size_t i = 0; i < n; i++)
		empty |= !items[i].n_rec;
	return !st && empty ? read_those(&r, z, "type", "CNAME", err) : st;
}

/* ---- writing ---- */

/* Takes over op, also on failure (as jansson does). */
static enum status put(
	json_t *batch, const char *kind, json_t *op, struct err *err)
{
	if (!json_object_get(batch, kind))
		(void)json_object_set_new(batch, kind, json_array());
	return json_array_append_new(json_object_get(batch, kind), op)
		       ? api_no_memory(err)
		       : ST_OK;
}

static enum status put_wanted(json_t *batch, const struct api_item *it,
	const struct api_want *w, struct err *err)
{
	char plain[DNS_NAME_MAX];

	if (it->new_ttl < TTL_MIN)
		return err_set(err, ST_REFUSED,
			"%s: Cloudflare takes no TTL of %u (60 to 86400)",
			it->owner, it->new_ttl);
	if (!w->held)
		return put(batch, "posts",
			json_pack("{ss, ss, sI, s{sI, sI, sI, ss}}", "type",
				"TLSA", "name", api_undotted(it->owner, plain),
				"ttl", (json_int_t)it->new_ttl, "data", "usage",
				(json_int_t)w->usage, "selector",
				(json_int_t)w->selector, "matching_type",
				(json_int_t)w->mtype, "certificate", w->hex),
			err);
	if (!it->ttl_changes || w->held->ttl == it->new_ttl)
		return ST_OK;
	return put(batch, "patches",
		json_pack("{ss, sI}", "id", w->held->id, "ttl",
			(json_int_t)it->new_ttl),
		err);
}

static enum status send(struct rest *r, const struct api_zone *z,
	const json_t *batch, struct err *err)
{
	return json_object_size(batch)
		       ? api_call(r, "POST", batch, NULL, err,
				 "/zones/%s/dns_records/batch", z->id)
		       : ST_OK;
}

static enum status write_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *first = json_object(), *then = json_object();
	enum status st = first && then ? ST_OK : api_no_memory(err);

	for (const struct api_item *it = items; it < items + n; it++) {
		for (size_t k = 0; k < it->n_want && !st; k++)
			st = put_wanted(first, it, &it->want[k], err);
		for (size_t k = 0; k < it->n_gone && !st; k++)
			st = put(then, "deletes",
				json_pack("{ss}", "id", it->gone[k]->id), err);
	}
	if (!st)
		st = send(c->rest, z, first, err);
	return st ? st : send(c->rest, z, then, err);
}

static enum status may_write(void *v, const struct api_zone *z, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *answer = NULL;
	enum status st = api_call(
		c->rest, "GET", NULL, &answer, err, "/zones/%s", z->id);
	const json_t *list = json_object_get(answer, "result"), *o;
	const char *may;
	size_t i;

	if (st)
		return st;
	list = json_object_get(list, "permissions");
	json_array_foreach(list, i, o)
	{
		may = json_string_value(o);
		if (may && !strcmp(may, "#dns_records:edit"))
			return ST_OK;
	}
	if (!json_array_size(list))
		return err_set(err, ST_NOTFOUND, "the API does not tell");
	return err_set(err, ST_DENIED,
		"the API token may not edit records of %s (it needs: " RIGHTS
		")",
		z->name);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Bearer ",
	.rights = RIGHTS,
	.judge = judge,
	.zones = read_zones,
	.read = read_items,
	.max_bulk = NAMES_MAX,
	.write = write_items,
	.may_write = may_write,
};

API_PROVIDER(cloudflare, .type = "cloudflare", .title = "Cloudflare",
	.caps = PCAP_READ | PCAP_BULK, .dnssec = PDNSSEC_SWITCH,
	.rights = RIGHTS, .options = options);
