/*
 * Technitium DNS Server. Forms go in, JSON comes out, and an error comes with
 * HTTP 200: what counts is "status". Usages, selectors and matching types are
 * words of closed lists; a record of others is read as the number that the
 * server gives, and left alone. The token goes as a header, as 15.0 and later
 * want it, and in the form, as older ones do; in no URL. A change of the TTL
 * sends the comment and the expiry back, because what is left out is cleared.
 */
#include "providers/api.h"

#include <string.h>

#define RIGHTS "Zones: View, and View, Modify and Delete on this zone"
#define FORM_MAX (1024 * 1024)

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://localhost:53443"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[API_TOKEN] = { .name = "token_file",
		.type = POPT_SECRET_FILE,
		.env = "TECHNITIUM_API_TOKEN",
		.help = "file with the API token" },
	API_OPT_END,
};

/* The parts of a record, and the words for their numbers. A form has them
 * behind a prefix: tlsaSelector, newTlsaSelector. */
#define WORDS 4
static const struct field {
	const char *name;
	const char *word[WORDS];
} fields[] = {
	{ "certificateUsage", { "PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE" } },
	{ "selector", { "Cert", "SPKI" } },
	{ "matchingType", { "Full", "SHA2-256", "SHA2-512" } },
	{ "certificateAssociationData", { NULL } },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const char *st = api_text(a->json, "status");
	const char *text = api_text(a->json, "errorMessage");

	(void)arg;
	if (a->http >= 300 || a->json == NULL || !strcmp(st, "ok"))
		return REST_DEFAULT;
	if (!strcmp(st, "invalid-token") || !strcmp(st, "2fa-required"))
		return err_set(err, ST_DENIED,
			"the server does not take the token of token_file (%s)",
			st);
	if (strcmp(st, "error") != 0)
		return api_strange(err, "no status in it");
	if (strcasestr(text, "already exists"))
		return ST_OK;
	if (strcasestr(text, "no such") || strcasestr(text, "does not exist"))
		return err_set(err, ST_NOTFOUND, "%s", text);
	if (strcasestr(text, "access was denied"))
		return err_set(err, ST_DENIED,
			"%s The token must be allowed: " RIGHTS, text);
	return err_set(err, ST_REFUSED, "the server refuses: %s", text);
}

/* Posts a form; *ret: the list of that name in the answer, owned. */
static enum status call(void *v, const char *path, struct buf *form,
	const char *list, json_t **ret, struct err *err)
{
	const struct api_client *c = v;
	auto_answer a = REST_ANSWER_INIT;
	enum status st = buf_append(form, "&token=", 7, err);

	if (!st)
		st = rest_escape(c->token.data, form, err);
	const struct rest_request q = { .method = "POST",
		.path = path,
		.text = buf_str(form),
		.type = "application/x-www-form-urlencoded" };
	if (!st)
		st = rest_send(c->rest, &q, &a, err);
	if (st || !list)
		return st;
	*ret = json_incref(
		json_object_get(json_object_get(a.json, "response"), list));
	return json_is_array(*ret) ? ST_OK
				   : api_strange(err, "a list is missing");
}

static enum status take_zone(
	struct api_zones *list, const json_t *o, struct err *err)
{
	const char *type = api_text(o, "type");
	const char *dnssec = api_text(o, "dnssecStatus");
	struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };

	if (!api_zone_fill(&z, api_text(o, "name"), NULL) ||
		json_is_true(json_object_get(o, "internal")))
		return ST_OK;
	if (*dnssec)
		z.dnssec = strcmp(dnssec, "Unsigned") != 0 ? API_SIGNED
							   : API_UNSIGNED;
	if (json_is_true(json_object_get(o, "disabled")))
		(void)snprintf(z.unusable, sizeof(z.unusable),
			"it is disabled there: enable it first");
	else if (strcmp(type, "Primary") != 0)
		(void)snprintf(z.unusable, sizeof(z.unusable),
			"it is of type %.30s there: changes must be made at "
			"its primary",
			*type ? type : "(none)");
	return api_add_zone(list, &z, err);
}

/* Without a page number the server lists all. */
static enum status zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	auto_buf form = BUF_INIT(FORM_MAX);
	json_auto_t *all = NULL;
	json_t *o;
	size_t i;
	enum status st = call(v, "/api/zones/list", &form, "zones", &all, err);

	json_array_foreach(all, i, o)
	{
		if (!st)
			st = take_zone(list, o, err);
	}
	*ret_all = true;
	return st;
}

/* The number of a word; the server gives numbers where it has no word. */
static enum status put_number(struct buf *text, const struct field *f,
	const char *word, struct err *err)
{
	for (size_t i = 0; i < WORDS; i++)
		if (f->word[i] && !strcasecmp(f->word[i], word))
			return buf_printf(text, err, "%zu ", i);
	return buf_printf(text, err, "%s ", word);
}

static enum status take_record(struct api_item *it, json_t *o, struct err *err)
{
	const json_t *data = json_object_get(o, "rData");
	const char *type = api_text(o, "type");
	bool off = json_is_true(json_object_get(o, "disabled"));
	int64_t ttl = api_int(o, "ttl");
	auto_buf text = BUF_INIT(REST_BODY_MAX);
	enum status st = ST_OK;

	it->cname |= !off && !strcmp(type, "CNAME");
	if (strcmp(type, "TLSA") != 0)
		return ST_OK;
	for (size_t i = 0; !st && i < N_FIELDS; i++)
		st = put_number(
			&text, &fields[i], api_text(data, fields[i].name), err);
	if (!st && ttl < 0)
		st = api_strange(err, "a record without ttl");
	return st ? st
		  : api_add_record(it, NULL, buf_str(&text), (uint32_t)ttl, off,
			    o, err);
}

static enum status begin(struct buf *form, const struct api_zone *z,
	const struct api_item *it, struct err *err)
{
	char owner[DNS_NAME_MAX];

	return rest_form(form, err, "domain", api_undotted(it->owner, owner),
		"zone", z->id, "type", "TLSA", NULL);
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	enum status st = ST_OK;

	for (struct api_item *it = items; !st && it < items + n; it++) {
		auto_buf form = BUF_INIT(FORM_MAX);
		json_auto_t *list = NULL;
		json_t *o;
		size_t i;

		st = begin(&form, z, it, err);
		if (!st)
			st = call(v, "/api/zones/records/get", &form, "records",
				&list, err);
		json_array_foreach(list, i, o)
		{
			if (!st && api_item_of(it, 1, api_text(o, "name")))
				st = take_record(it, o, err);
		}
	}
	return st;
}

/* All parts of a record, behind a prefix that ends in "tlsa" or "Tlsa". */
static enum status put_fields(struct buf *form, const char *prefix,
	const char *const value[N_FIELDS], struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; !st && i < N_FIELDS; i++) {
		const char *name = fields[i].name;

		st = buf_printf(form, err, "&%s%c%s=", prefix,
			*name - 'a' + 'A', name + 1);
		if (!st)
			st = rest_escape(value[i], form, err);
	}
	return st;
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	auto_buf form = BUF_INIT(FORM_MAX);

	if (w->usage > 3 || w->selector > 1 || w->mtype > 2)
		return err_set(err, ST_REFUSED,
			"the server has no word for a record %u %u %u",
			w->usage, w->selector, w->mtype);
	const char *const value[N_FIELDS] = { fields[0].word[w->usage],
		fields[1].word[w->selector], fields[2].word[w->mtype], w->hex };
	if (begin(&form, z, it, err) ||
		buf_printf(&form, err, "&ttl=%u", it->new_ttl) ||
		put_fields(&form, "tlsa", value, err))
		return err->st;
	return call(v, "/api/zones/records/add", &form, NULL, NULL, err);
}

/* To a record that is there, named by its parts; `renew`: with a new TTL. */
static enum status change(void *v, const char *path, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, bool renew,
	struct err *err)
{
	const json_t *data = json_object_get(r->raw, "rData");
	int64_t expiry = api_int(r->raw, "expiryTtl");
	auto_buf form = BUF_INIT(FORM_MAX);
	const char *value[N_FIELDS];

	for (size_t i = 0; i < N_FIELDS; i++)
		value[i] = api_text(data, fields[i].name);
	if (begin(&form, z, it, err) || put_fields(&form, "tlsa", value, err))
		return err->st;
	if (renew &&
		(put_fields(&form, "newTlsa", value, err) ||
			buf_printf(
				&form, err, "&ttl=%u&comments=", it->new_ttl) ||
			rest_escape(api_text(r->raw, "comments"), &form, err)))
		return err->st;
	if (renew && expiry > 0 &&
		buf_printf(&form, err, "&expiryTtl=%lld", (long long)expiry))
		return err->st;
	return call(v, path, &form, NULL, NULL, err);
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return change(v, "/api/zones/records/update", z, it, r, true, err);
}

static enum status drop(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return change(v, "/api/zones/records/delete", z, it, r, false, err);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct api_client),
	.options = options,
	.header = "Authorization",
	.prefix = "Bearer ",
	.rights = RIGHTS,
	.judge = judge,
	.zones = zones,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = drop,
};

API_PROVIDER(technitium, .type = "technitium", .title = "Technitium DNS Server",
	.caps = PCAP_READ, .dnssec = PDNSSEC_SWITCH, .rights = RIGHTS,
	.options = options);
