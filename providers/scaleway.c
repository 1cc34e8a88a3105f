/*
 * Scaleway Domains and DNS, API v2beta1. Records with ids, but a change of kind
 * "set" replaces all that match a name and a type at once, and one PATCH
 * carries changes for many names. Records that stay are sent back as they were
 * read, with what else they carry (comment, geo_ip_config ...). A zone is
 * {subdomain}.{domain}, sub-zones have a list entry of their own; a PATCH would
 * make a zone that is missing, so that is always forbidden. After a change the
 * zone is "pending" until it is served, "error" when it cannot be.
 */
#include "providers/api.h"

#include <string.h>

#define BULK_MAX 100
#define A_PAGE 100
#define RIGHTS "DomainsDNSFullAccess on the project of this domain"

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.scaleway.com/domain/v2beta1"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "secret_key_file",
		.type = POPT_SECRET_FILE,
		.env = "SCW_SECRET_KEY",
		.help = "file with the secret key of an API key" },
	API_OPT_END,
};

/* What a status code does not tell: a quota is said with 403, a zone that is
 * busy with 409 or 412, what is wrong with a change deeper than the message. */
static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const char *type = api_text(a->json, "type"), *what = NULL;
	const char *said = api_text(a->json, "message");
	const json_t *part =
		json_array_get(json_object_get(a->json, "details"), 0);
	enum status st = ST_REFUSED;

	(void)arg;
	if (!strcmp(type, "quotas_exceeded")) {
		what = "a quota of the account is exceeded";
	} else if (!strcmp(type, "transient_state") ||
		   !strcmp(type, "locked") ||
		   !strcmp(type, "precondition_failed")) {
		what = "the zone is busy";
		st = ST_RETRY;
	} else if (a->http == 400 && part) {
		what = api_text(part, "argument_name");
		said = api_text(part, "help_message");
		said = *said ? said : api_text(part, "reason");
	}
	if (a->http < 400 || !what)
		return REST_DEFAULT;
	return err_set(err, st, "HTTP %ld: %.60s: %.300s", a->http, what, said);
}

/* ---- lists ---- */

/* Of records, of all zones, or of those that may be the one of this name. */
struct list {
	struct rest *rest;
	char path[API_ID_MAX + API_SAFE_MAX + 64]; /* all but the page */
	int64_t total, got;
	struct api_item *items; /* or: */
	size_t n;
	struct api_zones *zones; /* the first page will do; or: */
	const char *name;
	json_t *found; /* what is said of it; owned */
};

static bool read_zone(const json_t *o, struct api_zone *z)
{
	const char *sub = api_text(o, "subdomain"), *why = "";
	char name[2 * DNS_NAME_MAX];

	if (json_array_size(json_object_get(o, "ns_master")))
		why = "is a secondary zone there: change it at its primary";
	else if (!strcmp(api_text(o, "status"), "locked"))
		why = "is locked there: ask the vendor";
	*z = (struct api_zone){ .dnssec = API_SIGNED_UNKNOWN };
	(void)snprintf(z->unusable, sizeof(z->unusable), "%s", why);
	(void)snprintf(name, sizeof(name), "%.255s%s%.255s", sub,
		*sub ? "." : "", api_text(o, "domain"));
	return api_zone_fill(z, name, NULL);
}

/* The filter by name is not documented to be exact. */
static enum status take_zone(struct list *l, json_t *o, struct err *err)
{
	struct api_zone z;

	if (!read_zone(o, &z))
		return ST_OK;
	if (!l->name)
		return api_add_zone(l->zones, &z, err);
	if (!l->found && !strcmp(z.name, l->name))
		l->found = json_incref(o);
	return ST_OK;
}

static enum status take_record(struct list *l, json_t *o, struct err *err)
{
	const char *type = api_text(o, "type");
	struct api_item *it =
		api_item_labelled(l->items, l->n, api_text(o, "name"));
	int64_t ttl = api_int(o, "ttl");

	if (it)
		it->cname |= !strcmp(type, "CNAME");
	if (!it || strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (ttl < 0 || !*api_text(o, "data"))
		return api_strange(err, "a record without ttl and data");
	return api_add_record(
		it, NULL, api_text(o, "data"), (uint32_t)ttl, false, o, err);
}

/* A list that changes while its pages are read could hide a record, and what
 * is hidden would be lost in a "set": the numbers must agree. */
static enum status one_page(
	void *arg, unsigned nr, bool *ret_more, struct err *err)
{
	struct list *l = arg;
	json_auto_t *answer = NULL;
	json_t *array, *o;
	int64_t total;
	size_t i;
	enum status st = api_call(l->rest, "GET", NULL, &answer, err,
		"%spage=%u&page_size=%d", l->path, nr, A_PAGE);

	/* That nothing is there is said with []. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFIG;
	if (st)
		return st;
	array = json_object_get(answer, l->items ? "records" : "dns_zones");
	total = api_int(answer, "total_count");
	if (!json_is_array(array) || total < 0)
		return api_strange(err, "a list without total_count");
	if ((nr > 1 && total != l->total) ||
		(l->got < total && !json_array_size(array)))
		return err_set(
			err, ST_RETRY, "the list changed while it was read");
	l->total = total;
	l->got += (int64_t)json_array_size(array);
	json_array_foreach(array, i, o)
	{
		if (!st)
			st = l->items ? take_record(l, o, err)
				      : take_zone(l, o, err);
	}
	*ret_more = !l->zones && l->got < total;
	return st;
}

static enum status scaleway_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	const struct api_client *c = v;
	struct list l = {
		.rest = c->rest, .path = "/dns-zones?", .zones = list
	};
	enum status st = api_pages(one_page, &l, err);

	*ret_all = l.got >= l.total;
	return st;
}

/* Fills l->found. */
static enum status look_up(struct list *l, struct err *err)
{
	char safe[API_SAFE_MAX];
	enum status st;

	(void)snprintf(l->path, sizeof(l->path), "/dns-zones?dns_zone=%s&",
		api_safe(l->name, "", safe));
	st = api_pages(one_page, l, err);
	if (!st && !l->found)
		st = err_set(err, ST_NOTFOUND, "no such zone");
	return st;
}

static enum status scaleway_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	const struct api_client *c = v;
	struct list l = { .rest = c->rest, .name = name };
	enum status st = *name == '*' ? ST_NOTFOUND : look_up(&l, err);

	if (!st)
		(void)read_zone(l.found, ret);
	json_decref(l.found);
	return st;
}

static enum status is_active(void *arg, bool *ret_done, struct err *err)
{
	struct list l = *(const struct list *)arg;
	enum status st = look_up(&l, err);
	const char *status = api_text(l.found, "status");

	*ret_done = !strcmp(status, "active");
	if (!st && (!strcmp(status, "error") || !strcmp(status, "locked")))
		st = err_set(err, ST_RETRY,
			"the change was taken, but zone %s is \"%s\": %.160s",
			l.name, status, api_text(l.found, "message"));
	json_decref(l.found);
	return st;
}

static enum status scaleway_commit(
	void *v, const struct api_zone *z, struct err *err)
{
	const struct api_client *c = v;
	struct list l = { .rest = c->rest, .name = z->name };

	return api_follow(c->rest, is_active, &l, err);
}

/* One name: all that is there, so that a CNAME shows. Several, or the apex,
 * which no filter names: the TLSA records of the zone. */
static enum status scaleway_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	struct list l = { .rest = c->rest, .items = items, .n = n };
	bool one = n == 1 && *items->label;
	char safe[API_SAFE_MAX];

	(void)snprintf(l.path, sizeof(l.path), "/dns-zones/%s/records?%s=%s&",
		z->id, one ? "name" : "type",
		one ? api_safe(items->label, "", safe) : "TLSA");
	return api_pages(one_page, &l, err);
}

/* A record of a "set": new, or as it was read but for the TTL. Owned. */
static json_t *make_record(const struct api_item *it, const struct api_want *w)
{
	json_t *o = w->held ? json_copy(w->held->raw) : json_object(), *part;
	const char *key;
	void *next;

	json_object_foreach_safe(o, next, key, part)
	{
		if (json_is_null(part) || !strcmp(key, "id"))
			(void)json_object_del(o, key);
	}
	if (!json_object_update_new(
		    o, json_pack("{ss, ss, ss, sI}", "name", it->label, "type",
			       "TLSA", "data", api_spelled(w), "ttl",
			       (json_int_t)it->new_ttl)))
		return o;
	json_decref(o);
	return NULL;
}

/* Owned; NULL: no memory. */
static json_t *make_change(const struct api_item *it)
{
	json_auto_t *records = json_array();

	for (size_t i = 0; i < it->n_want; i++)
		if (json_array_append_new(
			    records, make_record(it, &it->want[i])))
			return NULL;
	return json_pack(it->n_want ? "{s{s{ss, ss}, sO}}" : "{s{s{ss, ss}}}",
		it->n_want ? "set" : "delete", "id_fields", "name", it->label,
		"type", "TLSA", "records", records);
}

static enum status scaleway_write(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct api_client *c = v;
	json_auto_t *body = json_pack("{sb, sb, s[]}", "return_all_records", 0,
		"disallow_new_zone_creation", 1, "changes");
	json_t *changes = json_object_get(body, "changes");
	enum status st;

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(changes, make_change(&items[i])))
			return api_no_memory(err);
	st = api_call(c->rest, "PATCH", body, NULL, err,
		"/dns-zones/%s/records", z->id);
	/* What was to go is gone already, or the zone is: read again. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFLICT;
	return st;
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "X-Auth-Token",
	.rights = RIGHTS,
	.judge = judge,
	.max_bulk = BULK_MAX,
	.zones = scaleway_zones,
	.zone = scaleway_zone,
	.read = scaleway_read,
	.write = scaleway_write,
	.commit = scaleway_commit,
};

API_PROVIDER(scaleway, .type = "scaleway", .title = "Scaleway Domains and DNS",
	.caps = PCAP_READ | PCAP_ATOMIC | PCAP_BULK | PCAP_ASYNC,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
