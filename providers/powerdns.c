/*
 * PowerDNS Authoritative over its HTTP API (4.7 and later; rest.c speaks
 * HTTP). The API replaces whole RRsets and knows no precondition, so replace()
 * reads again right before it writes and gives up when it does not find what
 * the change was planned on; between the two is a gap of one request that only
 * the server could close. Invariants: records that stay are sent back with the
 * very text they were read with; disabled records are not served, so they are
 * not in the set we return, but they survive every write; comments survive
 * because they are not sent (checked against 4.7.3).
 */
#include "providers/provider.h"

#include "hook/base/auto.h"
#include "hook/base/secret.h"
#include "hook/dns/name.h"
#include "providers/rest.h"

struct powerdns {
	struct secret key;
	struct rest *rest;
	char *server_id;
};

enum { OPT_URL, OPT_KEY_FILE, OPT_SERVER_ID, OPT_CA_FILE, OPT_TIMEOUT };

static const struct provider_option options[] = {
	[OPT_URL] = { "url", POPT_STRING, true, NULL, 0, 0,
		"https://host:port of the API (http:// only on loopback)" },
	[OPT_KEY_FILE] = { "api_key_file", POPT_SECRET_FILE, true, NULL, 0, 0,
		"file with the API key" },
	[OPT_SERVER_ID] = { "server_id", POPT_STRING, false, "localhost", 0, 0,
		"name of the server in the API" },
	[OPT_CA_FILE] = { "ca_file", POPT_FILE, false, NULL, 0, 0,
		"PEM file with the CA of the API's certificate" },
	[OPT_TIMEOUT] = { "timeout", POPT_INT, false, "20", 1, 300,
		"seconds for one call" },
	{ NULL, POPT_STRING, false, NULL, 0, 0, NULL },
};

#define URL_PATH_MAX 1024
#define SEARCH_MAX 1000
#define SAFE \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=-"

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

static enum status strange(struct err *err, const char *what)
{
	return err_set(err, ST_RETRY,
		"the API's answer is not as documented: %s", what);
}

/* Canonical names need no escaping but for a leading '*'. */
static const char *query_name(const char *name, char ret[static URL_PATH_MAX])
{
	bool star = name[0] == '*';

	(void)snprintf(
		ret, URL_PATH_MAX, "%s%s", star ? "%2A" : "", name + star);
	return ret;
}

static const char *get_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ST_NOTFOUND: no zone of exactly this name. Old versions ignore the filter and
 * list all zones. */
static enum status zone_named(struct powerdns *p, const char *name,
	char ret_path[static URL_PATH_MAX], struct err *err)
{
	char path[2 * URL_PATH_MAX], escaped[URL_PATH_MAX];
	json_auto_t *list = NULL;
	const json_t *zone;
	size_t i;

	(void)snprintf(path, sizeof(path), "/api/v1/servers/%s/zones?zone=%s",
		p->server_id, query_name(name, escaped));
	enum status st = rest_call(p->rest, "GET", path, NULL, &list, err);
	if (st == ST_NOTFOUND) {
		err->st = ST_CONFIG;
		return err_context(err,
			"the API has no server \"%s\" (are url and server_id "
			"right?)",
			p->server_id);
	}
	if (st)
		return st;
	if (!json_is_array(list))
		return strange(err, "the list of zones is no array");
	json_array_foreach(list, i, zone)
	{
		const char *id = get_text(zone, "id");
		const char *kind = get_text(zone, "kind");
		if (strcasecmp(get_text(zone, "name"), name) != 0)
			continue;
		if (!*id || strspn(id, SAFE) != strlen(id) ||
			strlen(id) > 2 * DNS_NAME_MAX)
			return strange(err, "odd zone id");
		if (!strcasecmp(kind, "Slave") || !strcasecmp(kind, "Consumer"))
			return err_set(err, ST_CONFIG,
				"zone %s is of kind %s there: changes must be "
				"made at its primary",
				name, kind);
		(void)snprintf(ret_path, URL_PATH_MAX,
			"/api/v1/servers/%s/zones/%s", p->server_id, id);
		return ST_OK;
	}
	return ST_NOTFOUND;
}

/* The longest zone that the owner is in. */
static enum status find_zone(struct powerdns *p, const char *owner,
	const char **ret_zone, char ret_path[static URL_PATH_MAX],
	struct err *err)
{
	for (const char *name = owner; name; name = name_parent(name)) {
		enum status st = zone_named(p, name, ret_path, err);
		if (st == ST_OK)
			*ret_zone = name;
		if (st != ST_NOTFOUND)
			return st;
	}
	return err_set(err, ST_REFUSED,
		"the PowerDNS server has no zone that holds %s", owner);
}

static const json_t *find_rrset(
	const json_t *zone, const char *owner, const char *type)
{
	const json_t *rrset;
	size_t i;

	json_array_foreach(json_object_get(zone, "rrsets"), i,
		rrset) if (!strcasecmp(get_text(rrset, "name"), owner) &&
			   !strcasecmp(
				   get_text(rrset, "type"), type)) return rrset;
	return NULL;
}

static enum status parse_record(
	const json_t *record, struct tlsa_rrset *set, struct err *err)
{
	const char *content = get_text(record, "content");
	enum status st = tlsa_rrset_add_text(set, content, err);

	return st ? err_context(err, "record \"%.100s\"", content) : ST_OK;
}

/* The served ones. */
static enum status parse_rrset(
	const json_t *rrset, struct tlsa_rrset *ret, struct err *err)
{
	auto_tlsa set = TLSA_RRSET_INIT;
	const json_t *record;
	size_t i;

	json_array_foreach(json_object_get(rrset, "records"), i, record)
	{
		if (json_is_true(json_object_get(record, "disabled")))
			continue;
		enum status st = parse_record(record, &set, err);
		if (st)
			return st;
	}
	if (set.n)
		set.ttl = (uint32_t)json_integer_value(
			json_object_get(rrset, "ttl"));
	*ret = set;
	set = (struct tlsa_rrset)TLSA_RRSET_INIT;
	return ST_OK;
}

/* Takes over a record that stays: same text, same disabled flag. */
static enum status keep(json_t *records, const json_t *record, struct err *err)
{
	json_t *copy = json_pack("{s:O, s:b}", "content",
		json_object_get(record, "content"), "disabled",
		json_is_true(json_object_get(record, "disabled")));

	if (!copy)
		return strange(err, "a record without content");
	if (json_array_append_new(records, copy))
		return no_memory(err);
	return ST_OK;
}

static bool has_record(const json_t *records, const char *content)
{
	const json_t *r;
	size_t i;

	json_array_foreach(records, i,
		r) if (!strcmp(get_text(r, "content"), content)) return true;
	return false;
}

/* 4.7 leaves disabled records out when it filters by name, and a REPLACE would
 * delete what we do not know of. The search shows them. */
static enum status add_disabled(struct powerdns *p, const char *zone,
	const char *owner, json_t *rrset, struct err *err)
{
	char path[2 * URL_PATH_MAX], escaped[URL_PATH_MAX];
	json_auto_t *found = NULL;
	json_t *records = json_object_get(rrset, "records");
	const json_t *hit;
	size_t i;

	(void)snprintf(path, sizeof(path),
		"/api/v1/servers/%s/search-data?max=%d&q=%s", p->server_id,
		SEARCH_MAX, query_name(owner, escaped));
	path[strlen(path) - 1] = '\0'; /* it wants no final dot */
	enum status st = rest_call(p->rest, "GET", path, NULL, &found, err);
	if (st)
		return st;
	if (json_array_size(found) >= SEARCH_MAX)
		return err_set(err, ST_REFUSED,
			"the search for disabled records at %s finds too much",
			owner);
	json_array_foreach(found, i, hit)
	{
		if (strcasecmp(get_text(hit, "name"), owner) ||
			strcasecmp(get_text(hit, "zone"), zone) ||
			strcmp(get_text(hit, "object_type"), "record") ||
			strcmp(get_text(hit, "type"), "TLSA") ||
			!json_is_true(json_object_get(hit, "disabled")) ||
			has_record(records, get_text(hit, "content")))
			continue;
		if (!json_integer_value(json_object_get(rrset, "ttl")) &&
			json_object_set(
				rrset, "ttl", json_object_get(hit, "ttl")))
			return no_memory(err);
		st = keep(records, hit, err);
		if (st)
			return st;
	}
	return ST_OK;
}

/* A copy of the RRset {ttl, records}; without records when there is none. */
static enum status copy_rrset(const json_t *from, json_t **ret, struct err *err)
{
	const json_t *ttl = json_object_get(from, "ttl");
	json_auto_t *copy = json_pack(
		"{s:I, s:[]}", "ttl", json_integer_value(ttl), "records");
	const json_t *record;
	size_t i;

	if (!copy)
		return no_memory(err);
	if (from && (!json_is_integer(ttl) || json_integer_value(ttl) < 0 ||
			    json_integer_value(ttl) > INT32_MAX))
		return strange(err, "odd TTL");
	json_array_foreach(json_object_get(from, "records"), i, record)
	{
		enum status st =
			keep(json_object_get(copy, "records"), record, err);
		if (st)
			return st;
	}
	*ret = json_incref(copy);
	return ST_OK;
}

/* The RRset at the owner, owned. Filtered here too: the type filter would hide
 * a CNAME, and old servers know no filter. */
static enum status read_owner(struct powerdns *p, const char *zone_path,
	const char *owner, json_t **ret, struct err *err)
{
	char path[2 * URL_PATH_MAX], escaped[URL_PATH_MAX];
	json_auto_t *zone = NULL;

	(void)snprintf(path, sizeof(path), "%s?rrset_name=%s", zone_path,
		query_name(owner, escaped));
	enum status st = rest_call(p->rest, "GET", path, NULL, &zone, err);
	if (st)
		return st;
	if (!json_is_array(json_object_get(zone, "rrsets")))
		return strange(err, "no rrsets");
	const json_t *cname =
		json_object_get(find_rrset(zone, owner, "CNAME"), "records");
	/* A disabled one is not served. */
	if (json_array_size(cname) &&
		!json_is_true(
			json_object_get(json_array_get(cname, 0), "disabled")))
		return err_set(err, ST_REFUSED,
			"%s is a CNAME for %.255s there: records belong at "
			"that name",
			owner, get_text(json_array_get(cname, 0), "content"));
	return copy_rrset(find_rrset(zone, owner, "TLSA"), ret, err);
}

static enum status powerdns_get(void *ctx, const char *owner,
	struct tlsa_rrset *ret, char *ret_zone, struct err *err)
{
	struct powerdns *p = ctx;
	char path[URL_PATH_MAX];
	const char *zone;
	json_auto_t *rrset = NULL;
	enum status st = find_zone(p, owner, &zone, path, err);

	if (!st)
		st = read_owner(p, path, owner, &rrset, err);
	if (!st)
		st = parse_rrset(rrset, ret, err);
	if (!st)
		(void)snprintf(ret_zone, DNS_NAME_MAX, "%s", zone);
	return st;
}

static enum status keep_old(json_t *records, const json_t *rrset,
	const struct tlsa_rrset *to, struct err *err)
{
	const json_t *record;
	size_t i;

	json_array_foreach(json_object_get(rrset, "records"), i, record)
	{
		auto_tlsa one = TLSA_RRSET_INIT;
		bool disabled =
			json_is_true(json_object_get(record, "disabled"));
		struct err ignored = ERR_INIT;
		enum status st =
			parse_record(record, &one, disabled ? &ignored : err);
		if (st && !disabled)
			return st;
		bool wanted = one.n && tlsa_rrset_has(to, &one.rr[0]);
		if (wanted && disabled)
			return err_set(err, ST_REFUSED,
				"the record \"%.100s\" is there and disabled: "
				"enable or remove it first",
				get_text(record, "content"));
		if ((wanted || disabled) && keep(records, record, err))
			return err->st;
	}
	return ST_OK;
}

static enum status add_new(json_t *records, const struct tlsa_rrset *now,
	const struct tlsa_rrset *to, struct err *err)
{
	for (size_t i = 0; i < to->n; i++) {
		auto_buf text = BUF_INIT(2 * UINT16_MAX + 32);
		if (tlsa_rrset_has(now, &to->rr[i]))
			continue;
		enum status st = tlsa_text(&to->rr[i], &text, err);
		if (st)
			return st;
		json_t *record = json_pack(
			"{s:s, s:b}", "content", buf_str(&text), "disabled", 0);
		if (!record || json_array_append_new(records, record))
			return no_memory(err);
	}
	return ST_OK;
}

/* The body of the PATCH, owned. */
static enum status make_patch(const char *owner, const json_t *rrset,
	const struct tlsa_rrset *now, const struct tlsa_rrset *to, json_t **ret,
	struct err *err)
{
	json_auto_t *records = json_array();
	json_int_t ttl =
		to->n ? (json_int_t)to->ttl
		      : json_integer_value(json_object_get(rrset, "ttl"));
	enum status st =
		records ? keep_old(records, rrset, to, err) : no_memory(err);

	if (!st)
		st = add_new(records, now, to, err);
	if (st)
		return st;
	if (json_array_size(records))
		*ret = json_pack("{s:[{s:s, s:s, s:s, s:I, s:O}]}", "rrsets",
			"name", owner, "type", "TLSA", "changetype", "REPLACE",
			"ttl", ttl, "records", records);
	else
		*ret = json_pack("{s:[{s:s, s:s, s:s}]}", "rrsets", "name",
			owner, "type", "TLSA", "changetype", "DELETE");
	return *ret ? ST_OK : no_memory(err);
}

static enum status change(struct powerdns *p, const char *zone,
	const char *path, const char *owner, const struct tlsa_rrset *from,
	const struct tlsa_rrset *to, struct err *err)
{
	auto_tlsa now = TLSA_RRSET_INIT;
	json_auto_t *rrset = NULL;
	json_auto_t *patch = NULL;
	enum status st = read_owner(p, path, owner, &rrset, err);

	if (!st)
		st = parse_rrset(rrset, &now, err);
	if (st)
		return st;
	/* Done already: by us, with an answer that was lost, say. */
	if (tlsa_rrset_eq(&now, to) && (!to->n || now.ttl == to->ttl))
		return ST_OK;
	if (!tlsa_rrset_eq(&now, from))
		return err_set(err, ST_CONFLICT,
			"%s: somebody else changed the TLSA records in between "
			"(%zu then, %zu now)",
			owner, from->n, now.n);
	st = add_disabled(p, zone, owner, rrset, err);
	if (!st)
		st = make_patch(owner, rrset, &now, to, &patch, err);
	if (st)
		return st;
	return rest_call(p->rest, "PATCH", path, patch, NULL, err);
}

static enum status powerdns_replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	struct powerdns *p = ctx;
	char path[URL_PATH_MAX];
	const char *zone;

	if (tlsa_rrset_eq(from, to) && (!to->n || from->ttl == to->ttl))
		return ST_OK;
	enum status st = find_zone(p, owner, &zone, path, err);
	return st ? st : change(p, zone, path, owner, from, to, err);
}

static void powerdns_close(void *ctx)
{
	struct powerdns *p = ctx;

	if (!p)
		return;
	rest_free(p->rest);
	secret_release(&p->key);
	free(p->server_id);
	free(p);
}

static enum status fill(
	struct powerdns *p, const struct provider_config *cfg, struct err *err)
{
	const char *id = cfg->value[OPT_SERVER_ID];
	const char *key_file = cfg->value[OPT_KEY_FILE];

	if (strspn(id, SAFE) != strlen(id) || strlen(id) > 64)
		return err_set(err, ST_CONFIG,
			"server_id = \"%s\": must be a plain word", id);
	p->server_id = strdup(id);
	if (!p->server_id)
		return no_memory(err);
	enum status st = secret_read_line(key_file, &p->key, err);
	if (st)
		return st;
	const struct rest_config rc = { .url = cfg->value[OPT_URL],
		.ca_file = cfg->value[OPT_CA_FILE],
		.timeout_s = strtol(cfg->value[OPT_TIMEOUT], NULL, 10),
		.header = "X-API-Key",
		.secret = &p->key,
		.secret_option = "api_key_file",
		.secret_file = key_file };
	return rest_new(&rc, &p->rest, err);
}

static enum status powerdns_open(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	struct powerdns *p = calloc(1, sizeof(*p));

	if (!p)
		return no_memory(err);
	enum status st = fill(p, cfg, err);
	if (st) {
		powerdns_close(p);
		return err_context(err, "provider \"%s\"", cfg->name);
	}
	*ret = p;
	return ST_OK;
}

extern const struct provider_ops provider_powerdns;
const struct provider_ops provider_powerdns = {
	.type = "powerdns",
	.caps = PCAP_READ | PCAP_ATOMIC,
	.options = options,
	.open = powerdns_open,
	.get = powerdns_get,
	.replace = powerdns_replace,
	.close = powerdns_close,
};
