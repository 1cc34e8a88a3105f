/*
 * Azure DNS (public zones) through Azure Resource Manager. Only the preview
 * version of the API knows TLSA. A client's secret buys a token (RFC 6749 4.4).
 * A record set is put as a whole, with the ETag that was read (If-Match) or on
 * the condition that there is none (If-None-Match: *): a compare-and-swap.
 * Invariants: records that stay are sent as the objects they were read as, and
 * metadata with them; of a link to the next page only the path is taken, so
 * that the token goes to the configured server only.
 */
#include "providers/api.h"

#include "providers/oauth.h"

#include <ctype.h>

#define VERSION "api-version=2023-07-01-preview"
#define ZONE                                   \
	"/subscriptions/%s/resourceGroups/%s/" \
	"providers/Microsoft.Network/dnsZones/%s"
#define RIGHTS                                                             \
	"the role \"DNS Zone Contributor\" on the zone, or a custom role " \
	"with Microsoft.Network/dnsZones/read and .../TLSA/*"

struct azure {
	struct oauth oauth;
	char *subscription;
	struct buf group; /* escaped; "" when not given */
};

enum {
	OPT_TENANT = API_TOKEN,
	OPT_CLIENT,
	OPT_SUBSCRIPTION,
	OPT_SECRET,
	OPT_GROUP,
	OPT_LOGIN_URL,
	OPT_SCOPE,
};

#define ID(i, called, from, what)    \
	[i] = { .name = (called),    \
		.type = POPT_STRING, \
		.required = true,    \
		.env = (from),       \
		.help = (what) }
static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://management.azure.com"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	ID(OPT_TENANT, "tenant_id", "AZURE_TENANT_ID", "directory (tenant) id"),
	ID(OPT_CLIENT, "client_id", "AZURE_CLIENT_ID",
		"application (client) id of the service principal"),
	ID(OPT_SUBSCRIPTION, "subscription_id", "AZURE_SUBSCRIPTION_ID",
		"subscription of the zones"),
	[OPT_SECRET] = { .name = "client_secret_file",
		.type = POPT_SECRET_FILE,
		.env = "AZURE_CLIENT_SECRET",
		.help = "file with the service principal's client secret" },
	[OPT_GROUP] = { .name = "resource_group",
		.type = POPT_STRING,
		.help = "resource group of the zones, found out if not given" },
	[OPT_LOGIN_URL] = { .name = "login_url",
		.type = POPT_STRING,
		.def = "https://login.microsoftonline.com",
		.env = "AZURE_AUTHORITY_HOST",
		.help = "where tokens come from" },
	[OPT_SCOPE] = { .name = "scope",
		.type = POPT_STRING,
		.def = "https://management.azure.com/.default",
		.help = "what tokens are for; another in national clouds" },
	API_OPT_END,
};

/* ---- start ---- */

static void azure_release(void *v)
{
	struct azure *a = v;

	oauth_release(&a->oauth);
	free(a->subscription);
	buf_release(&a->group);
}

static enum status azure_init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct azure *a = v;
	const char *login = cred_text(cfg, options, OPT_LOGIN_URL);
	const char *id[OPT_SECRET], *group = cfg->value[OPT_GROUP];
	auto_buf url = BUF_INIT(4096);
	size_t n = strlen(login);

	for (size_t i = OPT_TENANT; i < OPT_SECRET; i++) {
		id[i] = cred_text(cfg, options, i);
		if (!id[i] || !api_plain_id(id[i]))
			return err_set(err, ST_CONFIG,
				"%s = \"%s\": must be a plain id",
				options[i].name, id[i] ? id[i] : "");
	}
	a->subscription = strdup(id[OPT_SUBSCRIPTION]);
	a->group = (struct buf)BUF_INIT(API_ID_MAX - 1);
	a->oauth.form = (struct buf)BUF_INIT(4 * SECRET_MAX);
	a->oauth.rights = RIGHTS;
	enum status st = a->subscription ? ST_OK : api_no_memory(err);
	if (!st)
		st = cred_secret(cfg, options, OPT_SECRET, &a->oauth.key, err);
	if (!st)
		st = rest_form(&a->oauth.form, err, "grant_type",
			"client_credentials", "client_id", id[OPT_CLIENT],
			"client_secret", a->oauth.key.data, "scope",
			cfg->value[OPT_SCOPE], NULL);
	if (!st && group)
		st = rest_escape(group, &a->group, err);
	n -= n && login[n - 1] == '/';
	if (!st)
		st = buf_printf(&url, err, "%.*s/%s/oauth2/v2.0/token", (int)n,
			login, id[OPT_TENANT]);
	return st ? st
		  : oauth_init(&a->oauth, cfg, options, OPT_SECRET,
			    buf_str(&url), "login_url", err);
}

/* ---- zones ---- */

/* False: a zone that we cannot work with. Its id is the resource group, a part
 * of what the API calls its id, for paths. */
static bool fill(const json_t *o, struct api_zone *z)
{
	static const char groups[] = "/resourceGroups/";
	const json_t *p = json_object_get(o, "properties");
	const char *at = strcasestr(api_text(o, "id"), groups);
	auto_buf path = BUF_INIT(API_ID_MAX - 1);
	struct err ignored = ERR_INIT;

	at = at ? at + strlen(groups) : "";
	auto_str group = strndup(at, strcspn(at, "/"));
	if (!group || !*group || rest_escape(group, &path, &ignored) ||
		!strcmp(api_text(p, "zoneType"), "Private") ||
		!api_zone_fill(z, api_text(o, "name"), NULL))
		return false;
	(void)snprintf(z->id, sizeof(z->id), "%s", buf_str(&path));
	if (json_array_size(json_object_get(p, "signingKeys")))
		z->dnssec = API_SIGNED;
	return true;
}

/* With a resource group only. A role on one zone sees 403 for all others, be
 * they there or not. */
static enum status azure_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	struct azure *a = v;
	json_auto_t *o = NULL;
	char safe[API_SAFE_MAX];
	enum status st = api_call(a->oauth.api, "GET", NULL, &o, err,
		ZONE "?" VERSION, a->subscription, buf_str(&a->group),
		api_safe(name, "", safe));

	if (st == ST_DENIED && strstr(err->text, "HTTP 403"))
		return err->st = ST_NOTFOUND;
	return st || fill(o, ret) ? st
				  : err_set(err, ST_NOTFOUND, "no public zone");
}

/* ---- record sets ---- */

static enum status take_set(struct api_item *it, json_t *o, struct err *err)
{
	const json_t *p = json_object_get(o, "properties");
	const json_t *records = json_object_get(p, "TLSARecords");
	int64_t ttl = api_int(p, "TTL");
	enum status st = ST_OK;
	json_t *r;
	size_t i;

	if (ttl < 0 || (records && !json_is_array(records)))
		return api_strange(err, "a record set without TTL or records");
	(void)snprintf(it->etag, sizeof(it->etag), "%s", api_text(o, "etag"));
	it->raw = json_incref(o);
	it->ttl = (uint32_t)ttl;
	json_array_foreach(records, i, r)
	{
		auto_buf text = BUF_INIT(2 * UINT16_MAX + 64);
		if (st)
			return st;
		st = buf_printf(&text, err, "%d %d %d %s",
			(int)api_int(r, "usage"), (int)api_int(r, "selector"),
			(int)api_int(r, "matchingType"),
			api_text(r, "certAssociationData"));
		if (!st)
			st = api_add_record(it, NULL, buf_str(&text), it->ttl,
				false, r, err);
	}
	return st;
}

/* ---- lists ---- */

struct list {
	const struct azure *a;
	struct api_zones *zones; /* or: */
	struct api_item *items;
	size_t n;
	char path[4096];
};

static enum status take(struct list *l, json_t *o, struct err *err)
{
	struct api_item *it =
		api_item_labelled(l->items, l->n, api_text(o, "name"));
	struct api_zone z = { .name = "" };

	if (l->zones)
		return fill(o, &z) ? api_add_zone(l->zones, &z, err) : ST_OK;
	return it && !it->raw ? take_set(it, o, err) : ST_OK;
}

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct list *l = arg;
	json_auto_t *answer = NULL;
	json_t *o;
	size_t i;
	enum status st =
		rest_call(l->a->oauth.api, "GET", l->path, NULL, &answer, err);
	const json_t *list = json_object_get(answer, "value");
	const char *next = api_text(answer, "nextLink");
	const char *path = strstr(next, "://");

	(void)n;
	if (st == ST_NOTFOUND) /* of a zone: not "no records" */
		return err->st = ST_CONFIG;
	if (!st && !json_is_array(list))
		st = api_strange(err, "a list without value");
	json_array_foreach(list, i, o) if (!st) st = take(l, o, err);
	path = path ? strchr(path + 3, '/') : NULL;
	*ret_more = *next;
	if (st || !*next)
		return st;
	if (!path || strlen(path) >= sizeof(l->path))
		return api_strange(err, "an odd link to the next page");
	(void)snprintf(l->path, sizeof(l->path), "%s", path);
	return ST_OK;
}

/* With a resource group each zone is asked for: a role on it is enough. */
static enum status azure_zones(
	void *v, struct api_zones *zones, bool *ret_all, struct err *err)
{
	struct list l = { .a = v, .zones = zones };

	*ret_all = !l.a->group.len;
	(void)snprintf(l.path, sizeof(l.path),
		"/subscriptions/%s/providers/Microsoft.Network/dnszones"
		"?" VERSION,
		l.a->subscription);
	return *ret_all ? api_pages(page, &l, err) : ST_OK;
}

/* All of the zone at once, even for one name: there are few. */
static enum status azure_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct list l = { .a = v, .items = items, .n = n };
	char safe[API_SAFE_MAX];

	(void)snprintf(l.path, sizeof(l.path), ZONE "/TLSA?" VERSION,
		l.a->subscription, z->id, api_safe(z->name, "", safe));
	return api_pages(page, &l, err);
}

/* ---- writing ---- */

/* In upper case, as Azure has it itself. */
static json_t *record(const struct api_want *w)
{
	if (w->held)
		return json_incref(w->held->raw);
	auto_str hex = strdup(w->hex);
	for (char *p = hex; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return json_pack("{s:i, s:i, s:i, s:s}", "usage", (int)w->usage,
		"selector", (int)w->selector, "matchingType", (int)w->mtype,
		"certAssociationData", hex);
}

/* A PUT without metadata would take them away. */
static json_t *make_body(const struct api_item *it)
{
	json_t *records = json_array();
	const json_t *p = json_object_get(it->raw, "properties");

	for (size_t i = 0; i < it->n_want; i++)
		if (json_array_append_new(records, record(&it->want[i]))) {
			json_decref(records);
			return NULL;
		}
	return json_pack("{s:{s:I, s:o, s:O*}}", "properties", "TTL",
		(json_int_t)it->new_ttl, "TLSARecords", records, "metadata",
		json_object_get(p, "metadata"));
}

static enum status azure_write(void *v, const struct api_zone *z,
	struct api_item *it, size_t n, struct err *err)
{
	struct azure *a = v;
	char condition[sizeof(it->etag) + 16], path[2048];
	char zone[API_SAFE_MAX], safe[API_SAFE_MAX];
	const char *headers[] = { condition, NULL };
	json_auto_t *body = it->n_want ? make_body(it) : NULL;
	const struct rest_request q = { .method = body ? "PUT" : "DELETE",
		.path = path,
		.json = body,
		.headers = headers };

	(void)n;
	if (it->n_want && !body)
		return api_no_memory(err);
	if (it->raw && !*it->etag)
		return api_strange(err, "a record set without etag");
	(void)snprintf(path, sizeof(path), ZONE "/TLSA/%s?" VERSION,
		a->subscription, z->id, api_safe(z->name, "", zone),
		api_safe(it->label, "@", safe));
	(void)snprintf(condition, sizeof(condition), "%s: %s",
		it->raw ? "If-Match" : "If-None-Match",
		it->raw ? it->etag : "*");
	enum status st = rest_send(a->oauth.api, &q, NULL, err);
	if (st == ST_NOTFOUND) /* something above it */
		st = body ? (err->st = ST_CONFIG) : ST_OK;
	return st;
}

static const struct api_vendor vendor = {
	.size = sizeof(struct azure),
	.rest = offsetof(struct azure, oauth.api),
	.init = azure_init,
	.release = azure_release,
	.login = oauth_login,
	.zones = azure_zones,
	.zone = azure_zone,
	.read = azure_read,
	.write = azure_write,
};

API_PROVIDER(azure, .type = "azure", .title = "Azure DNS (preview API)",
	.caps = PCAP_READ | PCAP_CAS | PCAP_ATOMIC | PCAP_RRSET,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
