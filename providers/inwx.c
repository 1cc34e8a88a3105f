/*
 * INWX over its JSON-RPC API (DomRobot). Everything is a POST to one path and
 * is answered with HTTP 200: what happened is in "code", which judge() sorts.
 * A session is a cookie, so one object has one session and one zone is changed
 * at a time. Invariant: the password and the second factor go nowhere but to
 * account.login and account.unlock. Record by record. Names are relative when
 * written and whole when read; ids are sent back in the very type that they
 * came in.
 */
#include "providers/api.h"
#include "providers/sign.h"

#include "hook/base/clock.h"

#include <string.h>

#define ZONES_A_PAGE 250
#define TAN_MS 30000
#define HOLD_S 2
#define RIGHTS "a sub-account that may manage name servers (DNS) and no more"

enum { OPT_USER = API_TOKEN, OPT_PASSWORD, OPT_TOTP };

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.domrobot.com"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[OPT_USER] = { .name = "user",
		.type = POPT_STRING,
		.required = true,
		.env = "INWX_USERNAME",
		.help = "name of the (sub-)account" },
	[OPT_PASSWORD] = { .name = "password_file",
		.type = POPT_SECRET_FILE,
		.env = "INWX_PASSWORD",
		.help = "file with the password of the (sub-)account" },
	[OPT_TOTP] = { .name = "totp_secret_file",
		.type = POPT_SECRET_FILE,
		.env = "INWX_SHARED_SECRET",
		.help = "file with the TOTP secret (base32), if the login has "
			"a second factor" },
	API_OPT_END,
};

struct inwx {
	struct rest *rest;
	struct secret password, totp;
	char *user;
	int64_t code; /* of the latest answer */
	bool in;      /* logged in */
};

static enum status class_of(const struct inwx *x)
{
	int64_t code = x->code;

	if (code == 2302 || code == 2303) /* exists, does not exist */
		return code == 2302 ? ST_CONFLICT : ST_NOTFOUND;
	if (code == 2200 && x->in) /* no session any more: a new one next */
		return ST_RETRY;
	/* Authentication, authorisation. */
	if ((code >= 2200 && code <= 2202) || code == 2501)
		return ST_DENIED;
	return code >= 2400 ? ST_RETRY : ST_REFUSED;
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	struct inwx *x = arg;
	const char *why = api_text(a->json, "reason");

	if (a->http < 200 || a->http > 299)
		return REST_DEFAULT;
	x->code = api_int(a->json, "code");
	if (x->code < 1000)
		return api_strange(err, "it has no code");
	if (x->code < 2000)
		return ST_OK;
	if (x->code == 2400) /* "failed", and also what too many calls get */
		rest_hold(x->rest, HOLD_S);
	return err_set(err, class_of(x), "INWX says %lld: %.200s%s%.300s",
		(long long)x->code, api_text(a->json, "msg"), *why ? ": " : "",
		why);
}

/* *ret (may be NULL) is resData, owned; NULL when the answer has none. */
static enum status call(struct inwx *x, const char *method, json_t *params,
	json_t **ret, struct err *err)
{
	json_auto_t *answer = NULL;
	json_auto_t *body =
		json_pack("{s:s, s:O}", "method", method, "params", params);

	x->code = 0;
	if (!body)
		return api_no_memory(err);
	enum status st =
		rest_call(x->rest, "POST", "/jsonrpc/", body, &answer, err);
	if (st)
		return err_context(err, "%s", method);
	if (ret)
		*ret = json_incref(json_object_get(answer, "resData"));
	return ST_OK;
}

static enum status unlock(struct inwx *x, const char *kind, struct err *err)
{
	if (strcmp(kind, "GOOGLE-AUTH") != 0 || !x->totp.len)
		return err_set(err, ST_CONFIG,
			"the account has a second factor (%.40s): only TOTP "
			"can be done without a person, with totp_secret_file "
			"(or the environment variable INWX_SHARED_SECRET)",
			kind);
	for (int attempt = 0;; attempt++) {
		struct clock_reading now;
		struct err late = ERR_INIT;
		char tan[7];
		enum status st = clock_read(&now, err);

		if (!st)
			st = sign_totp(&x->totp, now.wall_ms / 1000, tan, err);
		if (st)
			return st;
		json_auto_t *params = json_pack("{s:s}", "tan", tan);
		st = call(x, "account.unlock", params, NULL, err);
		/* A code is taken once: another process may have used it. */
		if (x->code != 2200 || attempt > 0 ||
			rest_pause(x->rest, TAN_MS - now.wall_ms % TAN_MS + 500,
				&late))
			return st;
		*err = (struct err)ERR_INIT;
	}
}

static enum status login(void *v, struct err *err)
{
	struct inwx *x = v;
	json_auto_t *data = NULL;
	json_auto_t *params = json_pack("{s:s, s:s, s:s}", "user", x->user,
		"pass", x->password.data, "lang", "en");

	if (!params)
		return err_set(err, ST_CONFIG,
			"user or password_file holds what is not UTF-8");
	enum status st = call(x, "account.login", params, &data, err);
	const char *tfa = api_text(data, "tfa");
	if (!st && *tfa && strcmp(tfa, "0") != 0)
		st = unlock(x, tfa, err);
	x->in = st == ST_OK;
	return st;
}

static void logout(void *v)
{
	struct err ignored = ERR_INIT;
	json_auto_t *none = json_object();

	(void)call(v, "account.logout", none, NULL, &ignored);
}

/* ---- zones ---- */

static bool fill_zone(const json_t *o, struct api_zone *ret)
{
	if (!strcasecmp(api_text(o, "type"), "SLAVE"))
		(void)snprintf(ret->unusable, sizeof(ret->unusable),
			"it is a secondary zone there: changes must be made at "
			"its primary");
	return api_zone_fill(ret, api_text(o, "domain"), NULL);
}

static enum status read_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	json_auto_t *params =
		json_pack("{s:i, s:i}", "page", 1, "pagelimit", ZONES_A_PAGE);
	json_auto_t *data = NULL;
	const json_t *one;
	size_t i;
	enum status st = call(v, "nameserver.list", params, &data, err);
	const json_t *domains = json_object_get(data, "domains");
	int64_t count = api_int(data, "count");

	*ret_all = count >= 0 && count <= (int64_t)json_array_size(domains);
	json_array_foreach(domains, i, one)
	{
		struct api_zone z = { .name = "" };

		if (!st && fill_zone(one, &z))
			st = api_add_zone(list, &z, err);
	}
	return st;
}

static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	char plain[DNS_NAME_MAX];
	json_auto_t *params = json_pack("{s:s, s:s}", "domain",
		api_undotted(name, plain), "type", "SOA");
	json_auto_t *data = NULL;
	enum status st = call(v, "nameserver.info", params, &data, err);

	if (!st && (!fill_zone(data, ret) || strcmp(ret->name, name) != 0))
		st = api_strange(err, "it is about another domain");
	return st;
}

/* ---- records ---- */

/* One name, or the whole zone when there are more: one call either way. */
static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	char plain[DNS_NAME_MAX];
	json_auto_t *params = json_pack("{s:s, s:s*}", "domain", z->id, "name",
		n == 1 ? api_undotted(items[0].owner, plain) : NULL);
	json_auto_t *data = NULL;
	json_t *o;
	size_t i;
	enum status st = call(v, "nameserver.info", params, &data, err);

	json_array_foreach(json_object_get(data, "record"), i, o)
	{
		struct api_item *it =
			api_item_of(items, n, api_text(o, "name"));
		const char *type = api_text(o, "type");
		const json_t *id = json_object_get(o, "id");
		int64_t ttl = api_int(o, "ttl");

		if (st || !it)
			continue;
		it->cname |= !strcmp(type, "CNAME");
		if (strcmp(type, "TLSA") != 0)
			continue;
		if ((!json_is_string(id) && !json_is_integer(id)) || ttl < 0)
			st = api_strange(err, "a record without id or TTL");
		else
			st = api_add_record(it, NULL, api_text(o, "content"),
				(uint32_t)ttl, false, o, err);
	}
	return st;
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	struct inwx *x = v;
	json_auto_t *params = json_pack("{s:s, s:s, s:s, s:s, s:I}", "domain",
		z->id, "type", "TLSA", "name", it->label, "content", w->text,
		"ttl", (json_int_t)it->new_ttl);
	enum status st = call(x, "nameserver.createRecord", params, NULL, err);

	return x->code == 2302 ? ST_OK : st;
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	json_auto_t *params = json_pack("{s:O, s:s, s:I}", "id",
		json_object_get(r->raw, "id"), "content", r->text, "ttl",
		(json_int_t)it->new_ttl);

	(void)z;
	return call(v, "nameserver.updateRecord", params, NULL, err);
}

static enum status remove_record(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	json_auto_t *params =
		json_pack("{s:O}", "id", json_object_get(r->raw, "id"));

	(void)z;
	(void)it;
	return call(v, "nameserver.deleteRecord", params, NULL, err);
}

/* ---- set-up ---- */

static enum status init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct inwx *x = v;
	const char *file = cfg->value[OPT_PASSWORD];
	const char *user = cred_text(cfg, options, OPT_USER);
	struct rest_config rc = { .judge = judge,
		.arg = x,
		.secrets = { &x->password, &x->totp },
		.secret_option = "password_file",
		.secret_file = file ? file : "INWX_PASSWORD",
		.rights = RIGHTS };

	char tan[7];

	x->user = strdup(user ? user : "");
	if (!x->user)
		return api_no_memory(err);
	enum status st =
		cred_secret(cfg, options, OPT_PASSWORD, &x->password, err);
	if (!st)
		st = cred_secret_maybe(cfg, options, OPT_TOTP, &x->totp, err);
	if (!st && x->totp.len) /* better now than in certbot's hook */
		st = sign_totp(&x->totp, 0, tan, err);
	return st ? st : api_rest_new(cfg, &rc, &x->rest, err);
}

static void release(void *v)
{
	struct inwx *x = v;

	rest_free(x->rest);
	secret_release(&x->password);
	secret_release(&x->totp);
	free(x->user);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct inwx),
	.rest = offsetof(struct inwx, rest),
	.parallel = 1, /* one session */
	.init = init,
	.release = release,
	.login = login,
	.logout = logout,
	.zones = read_zones,
	.zone = find_zone,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = remove_record,
};

API_PROVIDER(inwx, .type = "inwx", .title = "INWX", .caps = PCAP_READ,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
