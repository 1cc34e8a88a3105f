/*
 * deSEC, API v1. RRsets, one bulk PUT for all names of a zone: it creates,
 * replaces and (records: []) deletes, all or nothing, and it is served when
 * the call returns. Writes are rationed by domain (2 a second, 15 a minute,
 * 100 an hour, 300 a day), reads by account (50 a minute), so a zone is read
 * with one list and written with one call. Lists have pages of 500 behind a
 * Link header. Names are relative, data comes back in canonical form. All zones
 * are signed.
 */
#include "providers/api.h"

#include <string.h>

#define BULK_MAX 500 /* no limit is documented */
#define QUERY_MAX 1024
#define RIGHTS                                                                \
	"a token policy with perm_write for type TLSA of this domain, and a " \
	"default policy without"

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://desec.io/api/v1"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "token_file",
		.type = POPT_SECRET_FILE,
		.env = "DESEC_TOKEN",
		.help = "file with an API token" },
	API_OPT_END,
};

/* What a bulk was refused for is said part by part: desec_write reads it. */
static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	(void)arg;
	(void)err;
	return a->http == 400 && json_is_array(a->json) ? ST_OK : REST_DEFAULT;
}

/* ---- lists ---- */

struct list {
	struct rest *rest;
	char path[API_ID_MAX + 32];
	char query[QUERY_MAX]; /* of the next page; "" after the last */
	struct api_item *items;
	size_t n;
};

static enum status get_page(struct list *l, json_t **ret, struct err *err)
{
	auto_answer a = REST_ANSWER_INIT;
	char path[sizeof(l->path) + QUERY_MAX];
	struct rest_request q = { .method = "GET", .path = path };
	enum status st;

	(void)snprintf(path, sizeof(path), "%s?%s", l->path, l->query);
	st = rest_send(l->rest, &q, &a, err);
	/* That nothing is there is said with []. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFIG;
	if (st)
		return st;
	if (a.http != 200 || !json_is_array(a.json))
		return api_strange(err, "a list is no array");
	*ret = json_incref(a.json);
	return api_next_query(a.link, l->query, sizeof(l->query), err);
}

/* ---- zones ---- */

static bool domain_zone(const json_t *domain, struct api_zone *z)
{
	*z = (struct api_zone){ .dnssec = API_SIGNED };
	return api_zone_fill(z, api_text(domain, "name"), NULL);
}

static enum status desec_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	const struct api_client *c = v;
	struct list l = {
		.rest = c->rest, .path = "/domains/", .query = "cursor="
	};
	json_auto_t *page = NULL;
	const json_t *domain;
	struct api_zone z;
	size_t i;
	enum status st = get_page(&l, &page, err);

	json_array_foreach(page, i, domain)
	{
		if (!st && domain_zone(domain, &z))
			st = api_add_zone(list, &z, err);
	}
	*ret_all = !*l.query;
	return st;
}

/* The domain that owns the name; of interest only when it is that name. */
static enum status desec_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	const struct api_client *c = v;
	struct list l = { .rest = c->rest, .path = "/domains/" };
	char plain[DNS_NAME_MAX];
	json_auto_t *page = NULL;
	enum status st;

	if (*name == '*')
		return ST_NOTFOUND;
	(void)snprintf(l.query, sizeof(l.query),
		"owns_qname=%s&cursor=", api_undotted(name, plain));
	st = get_page(&l, &page, err);
	if (!st && (!domain_zone(json_array_get(page, 0), ret) ||
			   strcmp(ret->name, name) != 0))
		return ST_NOTFOUND;
	return st;
}

/* ---- records ---- */

static enum status take_rrset(
	struct api_item *it, const json_t *rrset, struct err *err)
{
	const json_t *records = json_object_get(rrset, "records"), *text;
	int64_t ttl = api_int(rrset, "ttl");
	enum status st = ST_OK;
	size_t i;

	if (ttl < 0 || !json_is_array(records))
		return api_strange(err, "an RRset without ttl and records");
	it->ttl = (uint32_t)ttl;
	json_array_foreach(records, i, text)
	{
		if (!json_is_string(text))
			return api_strange(err, "a record is no text");
		if (!st)
			st = api_add_record(it, NULL, json_string_value(text),
				it->ttl, false, NULL, err);
	}
	return st;
}

static enum status read_page(
	void *arg, unsigned nr, bool *ret_more, struct err *err)
{
	struct list *l = arg;
	json_auto_t *page = NULL;
	const json_t *rrset;
	size_t i;
	enum status st = get_page(l, &page, err);

	(void)nr;
	json_array_foreach(page, i, rrset)
	{
		const char *type = api_text(rrset, "type");
		struct api_item *it = api_item_labelled(
			l->items, l->n, api_text(rrset, "subname"));

		if (!it || st)
			continue;
		it->cname |= !strcmp(type, "CNAME");
		if (!strcmp(type, "TLSA"))
			st = take_rrset(it, rrset, err);
	}
	*ret_more = *l->query;
	return st;
}

/* One name: all that is there, so that a CNAME shows. Several: the TLSA RRsets
 * of the zone. */
static enum status desec_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	struct list l = { .rest = c->rest, .items = items, .n = n };
	char safe[API_SAFE_MAX];

	(void)snprintf(l.path, sizeof(l.path), "/domains/%s/rrsets/", z->id);
	(void)snprintf(l.query, sizeof(l.query),
		"%s=%s&cursor=", n > 1 ? "type" : "subname",
		n > 1 ? "TLSA" : api_safe(items->label, "", safe));
	return api_pages(read_page, &l, err);
}

/* One part for each that was sent, {} where nothing is wrong, else what is:
 * {"ttl": ["Ensure ..."]}. */
static enum status refused(
	const json_t *parts, struct api_item *items, size_t n, struct err *err)
{
	auto_buf all = BUF_INIT(1024);
	struct err ignored = ERR_INIT;
	const json_t *part;
	size_t i;

	json_array_foreach(parts, i, part)
	{
		auto_str text = json_dumps(part, JSON_COMPACT);

		if (i >= n || !json_object_size(part))
			continue;
		items[i].to_blame = true;
		(void)buf_printf(&all, &ignored, "%s%s: %.200s",
			all.len ? "; " : "", items[i].owner, text ? text : "");
	}
	return err_set(err, ST_REFUSED, "HTTP 400: %s", buf_str(&all));
}

static enum status desec_write(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	char path[API_ID_MAX + 32];
	json_auto_t *body = json_array();
	struct rest_request q = { .method = "PUT", .path = path, .json = body };
	auto_answer a = REST_ANSWER_INIT;
	enum status st;

	/* Both take over what is made, and refuse NULL. */
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(body,
			    json_pack("{ss, ss, sI, so}", "subname",
				    items[i].label, "type", "TLSA", "ttl",
				    (json_int_t)items[i].new_ttl, "records",
				    api_spelled_all(&items[i], NULL))))
			return api_no_memory(err);
	(void)snprintf(path, sizeof(path), "/domains/%s/rrsets/", z->id);
	st = rest_send(c->rest, &q, &a, err);
	if (!st && a.http == 400)
		return refused(a.json, items, n, err);
	return st;
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Token ",
	.rights = RIGHTS,
	.judge = judge,
	.max_bulk = BULK_MAX,
	.zones = desec_zones,
	.zone = desec_zone,
	.read = desec_read,
	.write = desec_write,
};

API_PROVIDER(desec, .type = "desec", .title = "deSEC",
	.caps = PCAP_READ | PCAP_ATOMIC | PCAP_BULK | PCAP_RRSET,
	.dnssec = PDNSSEC_ALWAYS, .rights = RIGHTS, .options = options);
