/*
 * netcup over the JSON API of its customer control panel. Everything is a POST
 * to one path and is answered with HTTP 200: what happened is in "statuscode",
 * which judge() sorts. The session id travels in the body, so it is kept as a
 * secret. A zone is read as a whole; one call changes many records of it, but
 * it is not documented whether all of them or none, nor in which order: so
 * additions are one call and removals are a later one. There is one TTL for
 * the whole zone, which is not ours to change. Invariant: a name that cannot
 * be a zone is not asked for, because too many errors get a customer locked
 * out.
 */
#include "providers/api.h"

#include <string.h>

#define HOLD_S 5
/* 180 calls a minute are allowed: so many at once, and later ones slowly. */
#define FREE_CALLS 60
#define PACE_MS 500
#define RIGHTS "an API key and an API password of the customer account"

enum { OPT_CUSTOMER = API_TOKEN, OPT_KEY, OPT_PASSWORD };

static const struct provider_option options[] = {
	[API_URL] =
		API_OPT_URL("https://ccp.netcup.net/run/webservice/servers"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[OPT_CUSTOMER] = { .name = "customer_number",
		.type = POPT_STRING,
		.required = true,
		.env = "NETCUP_CUSTOMER_NUMBER",
		.help = "customer number: the login's name" },
	[OPT_KEY] = { .name = "api_key_file",
		.type = POPT_SECRET_FILE,
		.env = "NETCUP_API_KEY",
		.help = "file with the API key" },
	[OPT_PASSWORD] = { .name = "api_password_file",
		.type = POPT_SECRET_FILE,
		.env = "NETCUP_API_PASSWORD",
		.help = "file with the API password" },
	API_OPT_END,
};

struct netcup {
	struct rest *rest;
	struct secret key, password, session;
	char *customer;
	int64_t code; /* of the latest answer */
	unsigned calls;
};

static enum status class_of(const struct netcup *n, const char *why)
{
	/* This one comes as an error of validation, too. */
	if (n->code == 4029 || strcasestr(why, "too many") ||
		strcasestr(why, "per minute")) {
		rest_hold(n->rest, HOLD_S);
		return ST_RETRY;
	}
	if (n->code == 4001) /* the session is gone: a new one next time */
		return ST_RETRY;
	if (n->code == 4013 && !n->session.len) /* in a login */
		return ST_DENIED;
	if (n->code == 4013 && strcasestr(why, "domainname"))
		return ST_NOTFOUND;
	if (n->code == 5029 || (n->code >= 5000 && strcasestr(why, "found")))
		return ST_NOTFOUND;
	return n->code >= 5000 ? ST_RETRY : ST_REFUSED;
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	struct netcup *n = arg;
	const char *why = api_text(a->json, "longmessage");

	if (a->http < 200 || a->http > 299)
		return REST_DEFAULT;
	n->code = api_int(a->json, "statuscode");
	if (n->code < 0)
		return api_strange(err, "it has no statuscode");
	if (n->code >= 2000 && n->code < 3000 &&
		strcmp(api_text(a->json, "status"), "error") != 0)
		return ST_OK;
	return err_set(err, class_of(n, why), "netcup says %lld: %.400s",
		(long long)n->code, why);
}

/* Completes param with what every call needs. *ret is responsedata, owned: an
 * object, or "" when there is nothing. */
static enum status call(struct netcup *n, const char *action, json_t *param,
	json_t **ret, struct err *err)
{
	json_auto_t *who =
		json_pack("{s:s, s:s, s:s*}", "customernumber", n->customer,
			"apikey", n->key.data, "apisessionid", n->session.data);
	json_auto_t *body =
		json_pack("{s:s, s:O}", "action", action, "param", param);
	json_auto_t *answer = NULL;
	enum status st = ST_OK;

	n->code = 0;
	if (!body || !who || json_object_update(param, who))
		return err_set(err, ST_CONFIG,
			"out of memory, or customer_number or one of the files "
			"holds what is not UTF-8");
	if (++n->calls > FREE_CALLS)
		st = rest_pause(n->rest, PACE_MS, err);
	if (!st)
		st = rest_call(n->rest, "POST", "/endpoint.php?JSON", body,
			&answer, err);
	if (st)
		return err_context(err, "%s", action);
	*ret = json_incref(json_object_get(answer, "responsedata"));
	return ST_OK;
}

static enum status login(void *v, struct err *err)
{
	struct netcup *n = v;
	json_auto_t *data = NULL;
	json_auto_t *param =
		json_pack("{s:s}", "apipassword", n->password.data);
	enum status st = call(n, "login", param, &data, err);
	const char *id = api_text(data, "apisessionid");

	if (st == ST_DENIED)
		return err_context(err,
			"customer_number, api_key_file or api_password_file "
			"is refused");
	if (!st && !*id)
		st = api_strange(err, "no session id");
	if (st)
		return st;
	n->session.data = strdup(id);
	n->session.len = strlen(id);
	return n->session.data ? ST_OK : api_no_memory(err);
}

static void logout(void *v)
{
	struct err ignored = ERR_INIT;
	json_auto_t *param = json_object();
	json_auto_t *data = NULL;

	(void)call(v, "logout", param, &data, &ignored);
}

/* ---- zones ---- */

static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	struct netcup *n = v;
	char plain[DNS_NAME_MAX];
	json_auto_t *data = NULL;

	/* No zone begins so, or is a top-level domain. */
	(void)api_undotted(name, plain);
	if (*name == '_' || *name == '*' || !strchr(plain, '.'))
		return ST_NOTFOUND;
	json_auto_t *param = json_pack("{s:s}", "domainname", plain);
	enum status st = call(n, "infoDnsZone", param, &data, err);
	if (st)
		return st;
	int64_t ttl = api_int(data, "ttl");
	const json_t *signed_ = json_object_get(data, "dnssecstatus");
	if (ttl < 0 || strcasecmp(api_text(data, "name"), plain) != 0)
		return api_strange(err, "no TTL, or another zone");
	/* Where the records' TTL is kept until they are read. */
	(void)snprintf(ret->id, sizeof(ret->id), "%lld", (long long)ttl);
	if (json_is_boolean(signed_))
		ret->dnssec = json_is_true(signed_) ? API_SIGNED : API_UNSIGNED;
	return ST_OK;
}

/* ---- records ---- */

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct netcup *nc = v;
	char plain[DNS_NAME_MAX];
	json_auto_t *param =
		json_pack("{s:s}", "domainname", api_undotted(z->name, plain));
	json_auto_t *data = NULL;
	json_t *o;
	size_t i;
	enum status st = call(nc, "infoDnsRecords", param, &data, err);
	const json_t *list = json_object_get(data, "dnsrecords");

	if (nc->code == 5029) /* so it says that there are none */
		return *err = (struct err)ERR_INIT, ST_OK;
	if (!st && !json_is_array(list))
		st = api_strange(err, "no dnsrecords");
	json_array_foreach(list, i, o)
	{
		struct api_item *it =
			api_item_labelled(items, n, api_text(o, "hostname"));
		const char *type = api_text(o, "type");

		if (st || !it)
			continue;
		it->cname |= !strcmp(type, "CNAME");
		if (!strcmp(type, "TLSA"))
			st = api_add_record(it, NULL,
				api_text(o, "destination"),
				(uint32_t)strtoul(z->id, NULL, 10), false, o,
				err);
	}
	return st;
}

static json_t *new_record(const struct api_item *it, const char *text)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b}", "hostname",
		*it->label ? it->label : "@", "type", "TLSA", "priority", "0",
		"destination", text, "deleterecord", 0);
}

static enum status update(struct netcup *n, const struct api_zone *z,
	json_t *records, struct err *err)
{
	char plain[DNS_NAME_MAX];
	json_auto_t *data = NULL;
	json_auto_t *param = json_pack("{s:s, s:{s:O}}", "domainname",
		api_undotted(z->name, plain), "dnsrecordset", "dnsrecords",
		records);

	return json_array_size(records)
		       ? call(n, "updateDnsRecords", param, &data, err)
		       : ST_OK;
}

static enum status write_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	json_auto_t *more = json_array();
	json_auto_t *less = json_array();
	int bad = 0;

	for (size_t i = 0; i < n; i++) {
		const struct api_item *it = &items[i];

		for (size_t j = 0; j < it->n_want; j++)
			if (!it->want[j].held)
				bad |= json_array_append_new(
					more, new_record(it, it->want[j].text));
		/* As it is held, or netcup would not know it again. */
		for (size_t j = 0; j < it->n_gone; j++) {
			json_t *old = it->gone[j]->raw;

			bad |= json_object_set_new(
				old, "deleterecord", json_true());
			bad |= json_array_append(less, old);
		}
	}
	if (bad)
		return api_no_memory(err);
	enum status st = update(v, z, more, err);
	return st ? st : update(v, z, less, err);
}

/* ---- set-up ---- */

static enum status init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct netcup *n = v;
	const char *customer = cred_text(cfg, options, OPT_CUSTOMER);
	const char *file = cfg->value[OPT_PASSWORD];
	struct rest_config rc = { .judge = judge,
		.arg = n,
		.secrets = { &n->key, &n->password, &n->session },
		.secret_option = "api_password_file",
		.secret_file = file ? file : "NETCUP_API_PASSWORD",
		.rights = RIGHTS };

	n->customer = strdup(customer ? customer : "");
	if (!n->customer)
		return api_no_memory(err);
	enum status st = cred_secret(cfg, options, OPT_KEY, &n->key, err);
	if (!st)
		st = cred_secret(cfg, options, OPT_PASSWORD, &n->password, err);
	return st ? st : api_rest_new(cfg, &rc, &n->rest, err);
}

static void release(void *v)
{
	struct netcup *n = v;

	rest_free(n->rest);
	secret_release(&n->key);
	secret_release(&n->password);
	secret_release(&n->session);
	free(n->customer);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct netcup),
	.rest = offsetof(struct netcup, rest),
	.parallel = 1, /* one session, and so many calls a minute */
	.init = init,
	.release = release,
	.login = login,
	.logout = logout,
	.zone = find_zone,
	.read = read_items,
	.max_bulk = 100,
	.write = write_items,
};

API_PROVIDER(netcup, .type = "netcup", .title = "netcup",
	.caps = PCAP_READ | PCAP_BULK | PCAP_NO_TTL, .dnssec = PDNSSEC_SWITCH,
	.rights = RIGHTS, .options = options);
