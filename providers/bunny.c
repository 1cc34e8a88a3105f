/*
 * Bunny DNS. Types are numbers, PUT makes a record and POST changes it. The
 * list of zones holds their records, too, so its pages are kept short; a
 * search is for a part of a name. A zone is read whole. A change of a record
 * sends back all of it that can be written, because nothing says that what is
 * left out stays. The API makes a second record of the same data without a
 * word; so we read before we write, and remove each of them.
 */
#include "providers/api.h"

#include <string.h>

#define TLSA 15
#define CNAME 2
#define RIGHTS "an API key of the account, or of a user who may manage DNS"

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.bunny.net"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "api_key_file",
		.type = POPT_SECRET_FILE,
		.env = "BUNNY_API_KEY",
		.help = "file with the API key" },
	API_OPT_END,
};

/* What a change of a record may hold. */
static const char *const writable[] = { "Type", "Name", "Value", "Disabled",
	"Comment", "Priority", "Weight", "Port", "Flags", "Tag", "Accelerated",
	"MonitorType", "SmartRoutingType", "GeolocationLatitude",
	"GeolocationLongitude", "LatencyZone", "AutoSslIssuance" };

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const char *key = api_text(a->json, "ErrorKey");

	(void)arg;
	if (strstr(key, "duplicate") || strstr(key, "already_exist"))
		return ST_OK;
	/* Some gateways of theirs answer 200 to what went wrong. */
	if (a->http < 300 && *key)
		return err_set(err, ST_REFUSED, "it was not done: %s: %s", key,
			api_text(a->json, "Message"));
	return REST_DEFAULT;
}

static bool take_id(const json_t *o, char ret[static 32])
{
	json_int_t id = json_integer_value(json_object_get(o, "Id"));

	(void)snprintf(ret, 32, "%" JSON_INTEGER_FORMAT, id);
	return id > 0;
}

/* ---- zones ---- */

/* A list of them, page by page. */
struct finding {
	struct api_client *c;
	struct api_zones *list; /* all; or */
	const char *name;       /* this one, */
	struct api_zone *found; /* as found; id "" until then */
	char search[sizeof("&search=") + API_SAFE_MAX];
	bool more; /* pages */
};

static enum status take_zone(
	struct finding *f, const json_t *o, struct err *err)
{
	const json_t *is = json_object_get(o, "DnsSecEnabled");
	struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };
	char id[32];

	if (!take_id(o, id) || !api_zone_fill(&z, api_text(o, "Domain"), id))
		return ST_OK;
	if (json_is_boolean(is))
		z.dnssec = json_is_true(is) ? API_SIGNED : API_UNSIGNED;
	if (f->list)
		return api_add_zone(f->list, &z, err);
	if (!strcmp(z.name, f->name))
		*f->found = z;
	return ST_OK;
}

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct finding *f = arg;
	json_auto_t *answer = NULL;
	json_t *list, *o;
	size_t i;
	enum status st = api_call(f->c->rest, "GET", NULL, &answer, err,
		"/dnszone?page=%u&perPage=20%s", n, f->search);

	list = json_object_get(answer, "Items");
	if (!st && !json_is_array(list))
		st = api_strange(err, "the list of zones is no array");
	json_array_foreach(list, i, o)
	{
		if (!st)
			st = take_zone(f, o, err);
	}
	if (st)
		return st;
	f->more = json_array_size(list) &&
		  json_is_true(json_object_get(answer, "HasMoreItems"));
	*ret_more = f->more && f->name && !*f->found->id;
	return ST_OK;
}

static enum status first_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct finding f = { .c = v, .list = list };
	enum status st = api_pages(page, &f, err);

	*ret_all = !f.more;
	return st;
}

static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	struct finding f = { .c = v, .name = name, .found = ret };
	char safe[API_SAFE_MAX];
	enum status st;

	(void)snprintf(f.search, sizeof(f.search), "&search=%s",
		api_safe(name, "", safe));
	*ret->id = '\0';
	st = api_pages(page, &f, err);
	return !st && !*ret->id ? ST_NOTFOUND : st;
}

/* ---- records ---- */

/* The type, as a number or by its name, as the documentation has it. */
static bool is_type(const json_t *o, int number, const char *name)
{
	return api_int(o, "Type") == number ||
	       !strcmp(api_text(o, "Type"), name);
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *answer = NULL;
	enum status st = api_call(
		c->rest, "GET", NULL, &answer, err, "/dnszone/%s", z->id);
	json_t *list = json_object_get(answer, "Records"), *o;
	size_t i;

	if (!st && !json_is_array(list))
		st = api_strange(err, "the list of records is no array");
	json_array_foreach(list, i, o)
	{
		struct api_item *it =
			api_item_labelled(items, n, api_text(o, "Name"));
		bool off = json_is_true(json_object_get(o, "Disabled"));
		int64_t ttl = api_int(o, "Ttl");
		char id[32];

		if (st || !it)
			continue;
		it->cname |= !off && is_type(o, CNAME, "CNAME");
		if (!is_type(o, TLSA, "TLSA"))
			continue;
		st = take_id(o, id) && ttl >= 0
			     ? api_add_record(it, id, api_text(o, "Value"),
				       (uint32_t)ttl, off, o, err)
			     : api_strange(err, "a record without Id or Ttl");
	}
	return st;
}

/* Takes over the body; NULL: no memory. */
static enum status send(void *v, const char *method, const struct api_zone *z,
	const char *id, json_t *body, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *owned = body;

	return owned ? api_call(c->rest, method, owned, NULL, err,
			       "/dnszone/%s/records%s%s", z->id, *id ? "/" : "",
			       id)
		     : api_no_memory(err);
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	return send(v, "PUT", z, "",
		json_pack("{si, ss, ss, sI}", "Type", TLSA, "Name", it->label,
			"Value", w->text, "Ttl", (json_int_t)it->new_ttl),
		err);
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	json_auto_t *body = json_pack("{sO, sI}", "Id",
		json_object_get(r->raw, "Id"), "Ttl", (json_int_t)it->new_ttl);

	for (size_t i = 0; i < sizeof(writable) / sizeof(*writable); i++) {
		json_t *value = json_object_get(r->raw, writable[i]);
		if (body && value && !json_is_null(value) &&
			json_object_set(body, writable[i], value))
			return api_no_memory(err);
	}
	return send(v, "POST", z, r->id, json_incref(body), err);
}

static enum status drop(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	const struct api_client *c = v;

	(void)it;
	return api_call(c->rest, "DELETE", NULL, NULL, err,
		"/dnszone/%s/records/%s", z->id, r->id);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "AccessKey",
	.rights = RIGHTS,
	.judge = judge,
	.zones = first_zones,
	.zone = find_zone,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = drop,
};

API_PROVIDER(bunny, .type = "bunny", .title = "Bunny DNS", .caps = PCAP_READ,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
