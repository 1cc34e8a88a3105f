/*
 * Gandi LiveDNS, API v5. RRsets, a PUT or a DELETE for each name: there is no
 * bulk write that leaves the rest of a zone alone. It is read as a whole, for
 * two reasons: one call serves all names of it and shows CNAMEs, and an RRset
 * that is absent is absent from a list; asked for by name, it would be a 404,
 * which could as well mean that the domain left, and a PUT on that belief would
 * replace foreign records. Lists may have pages behind a Link header. There is
 * no call that tries a permission and surely changes nothing (Dry-Run is not
 * documented here).
 */
#include "providers/api.h"

#include <string.h>

#define QUERY_MAX 1024
#define RIGHTS                                                             \
	"a personal access token with \"See and renew domain names\" and " \
	"\"Manage domain name technical configurations\" for this domain only"

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.gandi.net/v5/livedns"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "token_file",
		.type = POPT_SECRET_FILE,
		.env = "GANDI_PERSONAL_ACCESS_TOKEN",
		.help = "file with a personal access token (not an API key)" },
	API_OPT_END,
};

/* ---- lists ---- */

struct list {
	struct rest *rest;
	char path[API_ID_MAX + 32];
	char query[QUERY_MAX]; /* of the next page; "" after the last */
	/* for each element */
	enum status (*take)(
		struct list *l, const json_t *element, struct err *err);
	struct api_zones *zones;
	struct api_item *items;
	size_t n;
};

static enum status one_page(
	void *arg, unsigned nr, bool *ret_more, struct err *err)
{
	struct list *l = arg;
	auto_answer a = REST_ANSWER_INIT;
	char path[sizeof(l->path) + QUERY_MAX];
	struct rest_request q = { .method = "GET", .path = path };
	const json_t *element;
	size_t i;
	enum status st;

	(void)nr;
	(void)snprintf(path, sizeof(path), "%s%s%s", l->path,
		*l->query ? "?" : "", l->query);
	st = rest_send(l->rest, &q, &a, err);
	if (!st && !json_is_array(a.json))
		st = api_strange(err, "a list is no array");
	json_array_foreach(a.json, i, element)
	{
		if (!st)
			st = l->take(l, element, err);
	}
	if (!st)
		st = api_next_query(a.link, l->query, sizeof(l->query), err);
	*ret_more = *l->query;
	return st;
}

/* ---- zones ---- */

static enum status take_domain(
	struct list *l, const json_t *domain, struct err *err)
{
	struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };

	return api_zone_fill(&z, api_text(domain, "fqdn"), NULL)
		       ? api_add_zone(l->zones, &z, err)
		       : ST_OK;
}

static enum status gandi_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	const struct api_client *c = v;
	struct list l = { .rest = c->rest,
		.path = "/domains",
		.query = "per_page=100",
		.take = take_domain,
		.zones = list };

	*ret_all = true;
	return api_pages(one_page, &l, err);
}

/* ---- records ---- */

static enum status take_rrset(
	struct list *l, const json_t *rrset, struct err *err)
{
	const char *type = api_text(rrset, "rrset_type");
	const json_t *values = json_object_get(rrset, "rrset_values"), *text;
	int64_t ttl = api_int(rrset, "rrset_ttl");
	struct api_item *it = api_item_labelled(
		l->items, l->n, api_text(rrset, "rrset_name"));
	enum status st = ST_OK;
	size_t i;

	if (it)
		it->cname |= !strcmp(type, "CNAME");
	if (!it || strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (ttl < 0 || !json_is_array(values))
		return api_strange(err, "an RRset without TTL and values");
	it->ttl = (uint32_t)ttl;
	json_array_foreach(values, i, text)
	{
		if (!json_is_string(text))
			return api_strange(err, "a value is no text");
		if (!st)
			st = api_add_record(it, NULL, json_string_value(text),
				it->ttl, false, NULL, err);
	}
	return st;
}

static enum status gandi_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	struct list l = {
		.rest = c->rest, .take = take_rrset, .items = items, .n = n
	};

	(void)snprintf(l.path, sizeof(l.path), "/domains/%s/records", z->id);
	return api_pages(one_page, &l, err);
}

static enum status gandi_write(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	char safe[API_SAFE_MAX];
	json_auto_t *body = NULL;
	enum status st;

	(void)n; /* 1: no bulk */
	/* Takes over the values; refuses NULL. */
	if (items->n_want)
		body = json_pack("{sI, so}", "rrset_ttl",
			(json_int_t)items->new_ttl, "rrset_values",
			api_spelled_all(items, NULL));
	if (items->n_want && !body)
		return api_no_memory(err);
	st = api_call(c->rest, items->n_want ? "PUT" : "DELETE", body, NULL,
		err, "/domains/%s/records/%s/TLSA", z->id,
		api_safe(items->label, "%40", safe));
	/* What was to go is gone already, or the zone is: read again. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFLICT;
	return st;
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Bearer ",
	.rights = RIGHTS,
	.zones = gandi_zones,
	.read = gandi_read,
	.write = gandi_write,
};

API_PROVIDER(gandi, .type = "gandi", .title = "Gandi LiveDNS",
	.caps = PCAP_READ | PCAP_ATOMIC | PCAP_RRSET, .dnssec = PDNSSEC_SWITCH,
	.rights = RIGHTS, .options = options);
