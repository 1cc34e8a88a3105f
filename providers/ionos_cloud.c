/*
 * IONOS Cloud DNS (dns.de-fra.ionos.com), record by record. A change is taken
 * at once (202) and made later: the record is PROVISIONING or DESTROYING until
 * then, and commit waits until no TLSA record of the zone is. Invariants: a
 * record that is being deleted is not there any more; one that is not enabled,
 * or that could not be made (FAILED), is not served; names are compared by the
 * API's own fqdn, and the list is that of the whole zone, because it is not
 * documented what its filter for names matches.
 */
#include "providers/api.h"

#include <string.h>

#define RIGHTS "a token of a user in a group that may access and manage DNS"
#define PAGE 1000 /* the API's most; it says what it gave */
#define TTL_DEFAULT 3600

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://dns.de-fra.ionos.com"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "token_file",
		.type = POPT_SECRET_FILE,
		.env = "IONOS_TOKEN",
		.help = "file with the authentication token" },
	API_OPT_END,
};

/* One page of a list, by "" or "&filter..=" and its value. *ret_items is in
 * *ret (owned); *ret_more: there can be another page. */
static enum status get_list(const struct api_client *c, const char *what,
	const char *filter, const char *value, size_t offset, json_t **ret,
	json_t **ret_items, bool *ret_more, struct err *err)
{
	enum status st = api_call(c->rest, "GET", NULL, ret, err,
		"/%s?limit=%d&offset=%zu%s%s", what, PAGE, offset, filter,
		value);
	int64_t limit = api_int(*ret, "limit");

	*ret_items = json_object_get(*ret, "items");
	if (!st && !json_is_array(*ret_items))
		st = api_strange(err, "a list without items");
	if (limit <= 0 || limit > PAGE)
		limit = PAGE;
	*ret_more = json_array_size(*ret_items) >= (size_t)limit;
	return st;
}

/* ---- zones ---- */

/* False: not one that we can work with. */
static bool take_zone(const json_t *o, struct api_zone *ret)
{
	const json_t *p = json_object_get(o, "properties");
	const json_t *m = json_object_get(o, "metadata");

	*ret = (struct api_zone){ .dnssec = API_SIGNED_UNKNOWN };
	if (!api_zone_fill(ret, api_text(p, "zoneName"), api_text(o, "id")))
		return false;
	if (json_is_false(json_object_get(p, "enabled")))
		(void)snprintf(ret->unusable, sizeof(ret->unusable),
			"it is not enabled there");
	else if (!strcmp(api_text(m, "state"), "DESTROYING"))
		(void)snprintf(ret->unusable, sizeof(ret->unusable),
			"it is being deleted there");
	return true;
}

static enum status first_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	json_auto_t *answer = NULL;
	json_t *items;
	struct api_zone z;
	bool more;
	enum status st =
		get_list(v, "zones", "", "", 0, &answer, &items, &more, err);

	for (size_t i = 0; i < json_array_size(items) && !st; i++)
		if (take_zone(json_array_get(items, i), &z))
			st = api_add_zone(list, &z, err);
	*ret_all = !more;
	return st;
}

/* The filter may match more than this one. */
static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	char safe[API_SAFE_MAX];
	json_auto_t *answer = NULL;
	json_t *items;
	bool more;
	enum status st = get_list(v, "zones",
		"&filter.zoneName=", api_safe(name, "", safe), 0, &answer,
		&items, &more, err);

	for (size_t i = 0; i < json_array_size(items); i++)
		if (take_zone(json_array_get(items, i), ret) &&
			!strcmp(ret->name, name))
			return ST_OK;
	return st ? st : ST_NOTFOUND;
}

/* ---- records ---- */

struct reading {
	const struct api_client *c;
	const struct api_zone *z;
	struct api_item *items;
	size_t n;
	size_t offset;
};

static enum status take_record(struct reading *r, json_t *o, struct err *err)
{
	const json_t *p = json_object_get(o, "properties");
	const json_t *m = json_object_get(o, "metadata");
	const char *type = api_text(p, "type"), *state = api_text(m, "state");
	const char *fqdn = api_text(m, "fqdn"), *id = api_text(o, "id");
	bool off = json_is_false(json_object_get(p, "enabled")) ||
		   !strcmp(state, "FAILED");
	int64_t ttl = api_int(p, "ttl");
	struct api_item *it =
		*fqdn ? api_item_of(r->items, r->n, fqdn)
		      : api_item_labelled(r->items, r->n, api_text(p, "name"));

	if (!it || !strcmp(state, "DESTROYING"))
		return ST_OK;
	it->cname |= !off && !strcmp(type, "CNAME");
	if (strcmp(type, "TLSA") != 0)
		return ST_OK;
	if (!api_plain_id(id))
		return api_strange(err, "a record without a proper id");
	return api_add_record(it, id, api_text(p, "content"),
		ttl < 0 ? TTL_DEFAULT : (uint32_t)ttl, off, o, err);
}

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct reading *r = arg;
	json_auto_t *answer = NULL;
	json_t *items;
	enum status st = get_list(r->c, "records", "&filter.zoneId=", r->z->id,
		r->offset, &answer, &items, ret_more, err);

	(void)n;
	for (size_t i = 0; i < json_array_size(items) && !st; i++)
		st = take_record(r, json_array_get(items, i), err);
	r->offset += json_array_size(items);
	return st;
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct reading r = { .c = v, .z = z, .items = items, .n = n };

	return api_pages(page, &r, err);
}

/* A new one (id ""), or all of what is there; what is off is never sent. */
static enum status send(const struct api_client *c, const struct api_zone *z,
	const struct api_item *it, const char *id, const char *text,
	struct err *err)
{
	json_auto_t *body = json_pack("{s:{ss, ss, ss, sI, sb}}", "properties",
		"name", *it->label ? it->label : "@", "type", "TLSA", "content",
		text, "ttl", (json_int_t)it->new_ttl, "enabled", 1);

	return body ? api_call(c->rest, *id ? "PUT" : "POST", body, NULL, err,
			      "/zones/%s/records%s%s", z->id, *id ? "/" : "",
			      id)
		    : api_no_memory(err);
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	return send(v, z, it, "", w->text, err);
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return send(v, z, it, r->id, r->text, err);
}

static enum status drop(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	const struct api_client *c = v;

	(void)it;
	return api_call(c->rest, "DELETE", NULL, NULL, err,
		"/zones/%s/records/%s", z->id, r->id);
}

/* ---- waiting ---- */

/* Also where a server should not know the filter for states. */
static bool pending(const json_t *o)
{
	const json_t *m = json_object_get(o, "metadata");
	const char *type = api_text(json_object_get(o, "properties"), "type");
	const char *state = api_text(m, "state");

	return !strcmp(type, "TLSA") &&
	       (!strcmp(state, "PROVISIONING") || !strcmp(state, "DESTROYING"));
}

static enum status all_made(void *arg, bool *ret_done, struct err *err)
{
	static const char *const filter[] = {
		"&filter.state=PROVISIONING&filter.zoneId=",
		"&filter.state=DESTROYING&filter.zoneId="
	};
	const struct reading *r = arg;
	enum status st = ST_OK;

	*ret_done = true;
	for (size_t s = 0; s < 2 && *ret_done && !st; s++) {
		json_auto_t *answer = NULL;
		json_t *items;
		bool more;

		st = get_list(r->c, "records", filter[s], r->z->id, 0, &answer,
			&items, &more, err);
		for (size_t i = 0; i < json_array_size(items); i++)
			*ret_done &= !pending(json_array_get(items, i));
	}
	return st;
}

static enum status commit(void *v, const struct api_zone *z, struct err *err)
{
	struct reading r = { .c = v, .z = z };

	return api_follow(r.c->rest, all_made, &r, err);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Bearer ",
	.rights = RIGHTS,
	.zones = first_zones,
	.zone = find_zone,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = drop,
	.commit = commit,
};

API_PROVIDER(ionos_cloud, .type = "ionos_cloud", .title = "IONOS Cloud DNS",
	.caps = PCAP_READ | PCAP_ASYNC, .dnssec = PDNSSEC_SWITCH,
	.rights = RIGHTS, .options = options);
