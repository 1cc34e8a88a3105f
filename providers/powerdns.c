/*
 * PowerDNS Authoritative over its HTTP API (4.7 and later). The API replaces
 * whole RRsets, many of a zone in one call and all of them or none, and knows
 * no precondition: between the read and the write is a gap of one request that
 * only the server could close. Invariants: records that stay are sent back with
 * the very text they were read with; disabled records, which a read by name
 * does not show, are searched for, so that they survive every write; comments
 * survive because they are not sent (checked against 4.7.3).
 */
#include "providers/api.h"

#include <string.h>

#define RIGHTS "the API key of the server: it knows no smaller right"
#define SEARCH_MAX 1000

struct powerdns {
	struct api_client c;
	char base[96]; /* "/api/v1/servers/localhost" */
};

enum { OPT_SERVER_ID = API_TOKEN + 1 };

static const struct provider_option options[] = {
	[API_URL] = { .name = "url",
		.type = POPT_STRING,
		.required = true,
		.help = "https://host:port of the API (http:// only on "
			"loopback)" },
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "api_key_file",
		.type = POPT_SECRET_FILE,
		.required = true,
		.help = "file with the API key" },
	[OPT_SERVER_ID] = { .name = "server_id",
		.type = POPT_STRING,
		.def = "localhost",
		.help = "name of the server in the API" },
	API_OPT_END,
};

static enum status take_zone(const json_t *o, const char *name,
	struct api_zone *ret, struct err *err)
{
	const char *kind = api_text(o, "kind");
	const json_t *is = json_object_get(o, "dnssec");
	struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };

	if (!api_zone_fill(&z, name, api_text(o, "id")))
		return api_strange(err, "odd zone id");
	if (json_is_boolean(is))
		z.dnssec = json_is_true(is) ? API_SIGNED : API_UNSIGNED;
	if (!strcasecmp(kind, "Slave") || !strcasecmp(kind, "Consumer"))
		(void)snprintf(z.unusable, sizeof(z.unusable),
			"it is of kind %s there: changes must be made at its "
			"primary",
			kind);
	*ret = z;
	return ST_OK;
}

/* Old versions ignore the filter and list all zones. */
static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	struct powerdns *p = v;
	char safe[API_SAFE_MAX];
	json_auto_t *list = NULL;
	const json_t *o;
	size_t i;
	enum status st = api_call(p->c.rest, "GET", NULL, &list, err,
		"%s/zones?zone=%s.", p->base, api_safe(name, "", safe));

	if (st == ST_NOTFOUND) {
		err->st = ST_CONFIG;
		return err_context(err,
			"the API has no server \"%s\" (are url and server_id "
			"right?)",
			strrchr(p->base, '/') + 1);
	}
	if (!st && !json_is_array(list))
		st = api_strange(err, "the list of zones is no array");
	json_array_foreach(list, i, o)
	{
		if (!st && !strcasecmp(api_text(o, "name"), name))
			return take_zone(o, name, ret, err);
	}
	return st ? st : ST_NOTFOUND;
}

/* Unless it is there already, in the very same spelling. */
static enum status take_record(
	struct api_item *it, const json_t *o, int64_t ttl, struct err *err)
{
	const char *text = json_string_value(json_object_get(o, "content"));

	if (ttl < 0 || !text)
		return api_strange(
			err, ttl < 0 ? "odd TTL" : "a record without content");
	for (size_t i = 0; i < it->n_rec; i++)
		if (!strcmp(it->rec[i].text, text))
			return ST_OK;
	return api_add_record(it, NULL, text, (uint32_t)ttl,
		json_is_true(json_object_get(o, "disabled")), NULL, err);
}

/* One RRset at that name. A CNAME is told with its target, if it is the only
 * name: the others are not to suffer. */
static enum status take_rrset(
	struct api_item *it, const json_t *o, bool alone, struct err *err)
{
	const char *type = api_text(o, "type");
	const json_t *list = json_object_get(o, "records"), *rec;
	const json_t *first = json_array_get(list, 0);
	int64_t ttl = api_int(o, "ttl");
	enum status st = ST_OK;
	size_t i;

	if (!strcmp(type, "CNAME") && first &&
		!json_is_true(json_object_get(first, "disabled"))) {
		it->cname = true;
		if (alone)
			return err_set(err, ST_REFUSED,
				"%s is a CNAME for %.255s there: records "
				"belong at that name",
				it->owner, api_text(first, "content"));
	}
	if (strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (ttl < 0)
		return api_strange(err, "odd TTL");
	it->ttl = (uint32_t)ttl;
	json_array_foreach(list, i, rec)
	{
		if (!st)
			st = take_record(it, rec, ttl, err);
	}
	return st;
}

/* Filtered here, too: the type filter would hide a CNAME, and old servers know
 * no filter. */
static enum status read_served(struct powerdns *p, const struct api_zone *z,
	struct api_item *it, bool alone, struct err *err)
{
	char safe[API_SAFE_MAX];
	json_auto_t *zone = NULL;
	const json_t *o;
	size_t i;
	enum status st = api_call(p->c.rest, "GET", NULL, &zone, err,
		"%s/zones/%s?rrset_name=%s.", p->base, z->id,
		api_safe(it->owner, "", safe));
	const json_t *list = json_object_get(zone, "rrsets");

	if (!st && !json_is_array(list))
		st = api_strange(err, "no rrsets");
	json_array_foreach(list, i, o)
	{
		if (!st && !strcasecmp(api_text(o, "name"), it->owner))
			st = take_rrset(it, o, alone, err);
	}
	return st;
}

/* 4.7 leaves disabled records out when it filters by name, and a REPLACE would
 * delete what we do not know of. The search shows them; it wants no final dot.
 */
static enum status read_disabled(struct powerdns *p, const struct api_zone *z,
	struct api_item *it, struct err *err)
{
	char safe[API_SAFE_MAX];
	json_auto_t *found = NULL;
	const json_t *o;
	size_t i;
	enum status st = api_call(p->c.rest, "GET", NULL, &found, err,
		"%s/search-data?max=%d&q=%s", p->base, SEARCH_MAX,
		api_safe(it->owner, "", safe));

	if (!st && !json_is_array(found))
		st = api_strange(err, "the search has no list");
	if (!st && json_array_size(found) >= SEARCH_MAX)
		st = err_set(err, ST_REFUSED,
			"the search for disabled records at %s finds too much",
			it->owner);
	json_array_foreach(found, i, o)
	{
		if (!st && !strcasecmp(api_text(o, "name"), it->owner) &&
			!strcasecmp(api_text(o, "zone"), z->name) &&
			!strcmp(api_text(o, "object_type"), "record") &&
			!strcmp(api_text(o, "type"), "TLSA") &&
			json_is_true(json_object_get(o, "disabled")))
			st = take_record(it, o, api_int(o, "ttl"), err);
	}
	return st;
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < n && !st; i++) {
		st = read_served(v, z, &items[i], n == 1, err);
		if (!st)
			st = read_disabled(v, z, &items[i], err);
	}
	return st;
}

static json_t *rrset(const struct api_item *it)
{
	json_auto_t *records = json_array();
	uint32_t ttl = it->new_ttl;

	if (!it->n_want)
		return json_pack("{s:s, s:s, s:s}", "name", it->owner, "type",
			"TLSA", "changetype", "DELETE");
	for (size_t i = 0; i < it->n_want; i++) {
		const struct api_record *held = it->want[i].held;

		/* Disabled ones alone: theirs stays. */
		if (!ttl && held)
			ttl = held->ttl;
		if (json_array_append_new(records,
			    json_pack("{s:s, s:b}", "content",
				    api_spelled(&it->want[i]), "disabled",
				    held && held->disabled)))
			return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:I, s:O}", "name", it->owner, "type",
		"TLSA", "changetype", "REPLACE", "ttl", (json_int_t)ttl,
		"records", records);
}

static enum status write_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct powerdns *p = v;
	json_auto_t *body = json_pack("{s:[]}", "rrsets");

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(
			    json_object_get(body, "rrsets"), rrset(&items[i])))
			return api_no_memory(err);
	return api_call(p->c.rest, "PATCH", body, NULL, err, "%s/zones/%s",
		p->base, z->id);
}

static enum status init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct powerdns *p = v;
	const char *id = cfg->value[OPT_SERVER_ID];
	struct rest_config rc = { .header = "X-API-Key",
		.secret = &p->c.token,
		.secret_option = "api_key_file",
		.secret_file = cfg->value[API_TOKEN],
		.rights = RIGHTS };

	if (!api_plain_id(id) || strlen(id) > 64)
		return err_set(err, ST_CONFIG,
			"server_id = \"%s\": must be a plain word", id);
	(void)snprintf(p->base, sizeof(p->base), "/api/v1/servers/%s", id);
	enum status st = cred_secret(cfg, options, API_TOKEN, &p->c.token, err);
	return st ? st : api_rest_new(cfg, &rc, &p->c.rest, err);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct powerdns),
	/* Two writes at once, and one fails: "database is locked" of SQLite. */
	.parallel = 1,
	.init = init,
	.zone = find_zone,
	.read = read_items,
	.write = write_items,
	.max_bulk = 100,
};

API_PROVIDER(powerdns, .type = "powerdns", .title = "PowerDNS Authoritative",
	.caps = PCAP_READ | PCAP_ATOMIC | PCAP_BULK | PCAP_RRSET,
	.dnssec = PDNSSEC_OWN, .rights = RIGHTS, .options = options);
