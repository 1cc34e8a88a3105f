/*
 * TransIP, REST API version 6. A login is a POST whose exact bytes are signed
 * with the RSA key of the account; it gives a token for half an hour, which is
 * a bearer token for everything else. A zone is read as a whole. Records are
 * added and removed one by one, a removal naming all that the record has.
 * Invariant: a PUT (it replaces the whole zone) and a PATCH (it cannot tell
 * two records of one name apart) are never sent. A TTL is changed by adding
 * the record with the new one before the old one goes.
 */
#include "providers/api.h"
#include "providers/sign.h"

#include <string.h>

#define TOKEN_LIFE "30 minutes"
#define HOLD_S 5
#define RIGHTS                                                          \
	"a key pair of the account; with global_key = \"false\", this " \
	"machine's address on the whitelist"

enum { OPT_ACCOUNT = API_TOKEN, OPT_KEY, OPT_GLOBAL };

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://api.transip.nl/v6"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[OPT_ACCOUNT] = { .name = "account_name",
		.type = POPT_STRING,
		.required = true,
		.env = "TRANSIP_ACCOUNT_NAME",
		.help = "name that the account logs in with" },
	[OPT_KEY] = { .name = "private_key_file",
		.type = POPT_SECRET_FILE,
		.env = "TRANSIP_PRIVATE_KEY_PATH",
		.help = "PEM file with the private key of the API" },
	[OPT_GLOBAL] = { .name = "global_key",
		.type = POPT_STRING,
		.def = "true",
		.help = "\"false\": ask for tokens that are good from "
			"whitelisted addresses only" },
	API_OPT_END,
};

struct transip {
	struct rest *rest;
	struct secret key, token;
	char *account;
	bool global;
};

/* Every request: signs a login, else shows the token. */
static enum status auth(void *arg, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err)
{
	struct transip *t = arg;
	auto_buf raw = BUF_INIT(4096);
	auto_buf text = BUF_INIT(8192);

	(void)url;
	if (strcmp(q->path, "/auth") != 0)
		return rest_header(
			h, err, "Authorization: Bearer %s", t->token.data);
	enum status st =
		sign_rsa(&t->key, "SHA512", body, strlen(body), &raw, err);
	if (!st)
		st = sign_base64(raw.data, raw.len, false, &text, err);
	if (st)
		return st;
	return rest_header(h, err, "Signature: %s", buf_str(&text));
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	struct transip *t = arg;
	const char *why = api_text(a->json, "error");

	/* What is to be added is there. */
	if ((a->http == 406 || a->http == 409) && strstr(why, "exists") &&
		!strstr(why, "not exist"))
		return ST_OK;
	/* The calls of a quarter of an hour are used up. */
	if (a->http == 429 && !rest_retry_after(t->rest))
		rest_hold(t->rest, HOLD_S);
	if (a->http == 401 && strstr(why, "IP"))
		return err_set(err, ST_DENIED,
			"HTTP 401: %.300s: put the address on the whitelist of "
			"the key%s",
			why, t->global ? "" : ", or set global_key = \"true\"");
	return REST_DEFAULT;
}

/* Nonce and label must be new each time. */
static enum status login(void *v, struct err *err)
{
	struct transip *t = v;
	auto_buf nonce = BUF_INIT(64);
	auto_buf label = BUF_INIT(64);
	json_auto_t *answer = NULL;
	enum status st = sign_nonce(32, &nonce, err);

	if (!st)
		st = buf_printf(&label, err, "danelaw-%s", buf_str(&nonce));
	if (st)
		return st;
	json_auto_t *body = json_pack("{s:s, s:s, s:b, s:s, s:s, s:b}", "login",
		t->account, "nonce", buf_str(&nonce), "read_only", 0,
		"expiration_time", TOKEN_LIFE, "label", buf_str(&label),
		"global_key", t->global);
	if (!body)
		return err_set(err, ST_CONFIG, "account_name is not UTF-8");
	st = rest_call(t->rest, "POST", "/auth", body, &answer, err);
	const char *token = api_text(answer, "token");
	if (!st && (!*token || strpbrk(token, "\r\n")))
		st = api_strange(err, "no token");
	if (st)
		return st;
	t->token.data = strdup(token);
	t->token.len = strlen(token);
	return t->token.data ? ST_OK : api_no_memory(err);
}

/* ---- zones ---- */

static enum status read_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct transip *t = v;
	json_auto_t *answer = NULL;
	const json_t *o;
	size_t i;
	enum status st =
		rest_call(t->rest, "GET", "/domains", NULL, &answer, err);
	const json_t *domains = json_object_get(answer, "domains");

	if (!st && !json_is_array(domains))
		st = api_strange(err, "no domains");
	json_array_foreach(domains, i, o)
	{
		struct api_zone z = { .name = "" };

		if (!st && api_zone_fill(&z, api_text(o, "name"), NULL))
			st = api_add_zone(list, &z, err);
	}
	/* Only lists that have pages have links. */
	*ret_all = !json_object_get(answer, "_links");
	return st;
}

static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	struct transip *t = v;
	json_auto_t *answer = NULL;

	if (*name == '_' || *name == '*' || !api_zone_fill(ret, name, NULL))
		return ST_NOTFOUND; /* no registry sells these */
	enum status st = api_call(
		t->rest, "GET", NULL, &answer, err, "/domains/%s", ret->id);
	if (st == ST_REFUSED) /* it takes it for no domain at all */
		return ST_NOTFOUND;
	const json_t *domain = json_object_get(answer, "domain");
	if (!st && strcasecmp(api_text(domain, "name"), ret->id) != 0)
		st = api_strange(err, "it is about another domain");
	return st;
}

/* ---- records ---- */

/* Of the records at z: GET, POST, DELETE. */
static enum status call(struct transip *t, const char *method,
	const struct api_zone *z, const json_t *body, json_t **ret,
	struct err *err)
{
	return api_call(
		t->rest, method, body, ret, err, "/domains/%s/dns", z->id);
}

static enum status read_items(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	json_auto_t *answer = NULL;
	json_t *o;
	size_t i;
	enum status st = call(v, "GET", z, NULL, &answer, err);
	const json_t *list = json_object_get(answer, "dnsEntries");

	if (!st && !json_is_array(list))
		st = api_strange(err, "no dnsEntries");
	json_array_foreach(list, i, o)
	{
		struct api_item *it =
			api_item_labelled(items, n, api_text(o, "name"));
		const char *type = api_text(o, "type");
		int64_t ttl = api_int(o, "expire");

		if (st || !it)
			continue;
		it->cname |= !strcmp(type, "CNAME");
		if (strcmp(type, "TLSA") != 0)
			continue;
		st = ttl < 0 ? api_strange(err, "a record without expire")
			     : api_add_record(it, NULL, api_text(o, "content"),
				       (uint32_t)ttl, false, o, err);
	}
	return st;
}

static enum status post(struct transip *t, const struct api_zone *z,
	const struct api_item *it, const char *text, struct err *err)
{
	json_auto_t *body = json_pack("{s:{s:s, s:I, s:s, s:s}}", "dnsEntry",
		"name", *it->label ? it->label : "@", "expire",
		(json_int_t)it->new_ttl, "type", "TLSA", "content", text);

	return body ? call(t, "POST", z, body, NULL, err) : api_no_memory(err);
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	return post(v, z, it, w->text, err);
}

static enum status remove_record(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	json_auto_t *body = json_pack("{s:O}", "dnsEntry", r->raw);

	(void)it;
	return body ? call(v, "DELETE", z, body, NULL, err)
		    : api_no_memory(err);
}

/* The old one goes only when the new one is seen beside it: should the API take
 * them for the same record, it stays as it is, TTL and all. */
static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	json_auto_t *answer = NULL;
	const json_t *o;
	size_t i;
	bool held = false;
	enum status st = post(v, z, it, r->text, err);

	if (!st)
		st = call(v, "GET", z, NULL, &answer, err);
	json_array_foreach(json_object_get(answer, "dnsEntries"), i, o)
	{
		held |= !strcasecmp(api_text(o, "name"),
				api_text(r->raw, "name")) &&
			!strcmp(api_text(o, "type"), "TLSA") &&
			!strcasecmp(api_text(o, "content"), r->text) &&
			api_int(o, "expire") == (int64_t)it->new_ttl;
	}
	if (st || !held)
		return st;
	st = remove_record(v, z, it, r, err);
	return st == ST_NOTFOUND ? ST_OK : st;
}

/* ---- set-up ---- */

static enum status init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct transip *t = v;
	const char *account = cred_text(cfg, options, OPT_ACCOUNT);
	const char *file = cfg->value[OPT_KEY];
	const char *global = cfg->value[OPT_GLOBAL];
	struct rest_config rc = { .auth = auth,
		.judge = judge,
		.arg = t,
		.secrets = { &t->key, &t->token },
		.secret_option = "private_key_file",
		.secret_file = file ? file : "TRANSIP_PRIVATE_KEY_PATH",
		.rights = RIGHTS };

	t->global = !strcmp(global, "true");
	if (!t->global && strcmp(global, "false") != 0)
		return err_set(err, ST_CONFIG,
			"global_key = \"%.40s\": must be \"true\" or "
			"\"false\"",
			global);
	t->account = strdup(account ? account : "");
	if (!t->account)
		return api_no_memory(err);
	auto_buf trial = BUF_INIT(SECRET_MAX);
	enum status st = cred_file(cfg, options, OPT_KEY, &t->key, err);
	if (!st) /* better now than in certbot's hook */
		st = sign_rsa(&t->key, "SHA512", "", 0, &trial, err);
	return st ? st : api_rest_new(cfg, &rc, &t->rest, err);
}

static void release(void *v)
{
	struct transip *t = v;

	rest_free(t->rest);
	secret_release(&t->key);
	secret_release(&t->token);
	free(t->account);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct transip),
	.rest = offsetof(struct transip, rest),
	.init = init,
	.release = release,
	.login = login,
	.zones = read_zones,
	.zone = find_zone,
	.read = read_items,
	.add = add,
	.set_ttl = set_ttl,
	.remove = remove_record,
};

API_PROVIDER(transip, .type = "transip", .title = "TransIP", .caps = PCAP_READ,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
