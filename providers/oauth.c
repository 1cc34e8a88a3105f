/*
 * OAuth 2.0's token endpoint, for vendors that want a token instead of a key
 * (RFC 6749 4.4 client credentials, RFC 7523 2.1 signed assertions). Owns the
 * token. Invariants: credentials are in the body of one POST to the configured
 * endpoint and nowhere else; the token is in headers only, wiped at the end,
 * and refused if it could not be a header.
 */
#include "providers/oauth.h"

#include "hook/base/auto.h"
#include "providers/api.h"
#include "providers/sign.h"

#include <strings.h>

#define TOKEN_MAX 16384
#define ASSERTION_LIFE_S 3600
#define GRANT_JWT "urn:ietf:params:oauth:grant-type:jwt-bearer"

/* RFC 6749 5.2: these come with HTTP 400 and say that the credentials are
 * wrong, not the request. */
static enum status judge_token(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const struct oauth *o = arg;
	static const char *const denied[] = { "invalid_grant", "invalid_client",
		"unauthorized_client", "access_denied", "invalid_scope" };
	const char *code = api_text(a->json, "error");
	const char *why = api_text(a->json, "error_description");

	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		if (!strcmp(code, denied[i]) && a->http >= 400 && a->http < 500)
			return err_set(err, ST_DENIED,
				"HTTP %ld: the credentials are refused: "
				"%s%s%.300s",
				a->http, code, *why ? ": " : "", why);
	return o->judge ? o->judge(arg, a, err) : REST_DEFAULT;
}

static enum status add_token(void *arg, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err)
{
	const struct oauth *o = arg;

	(void)q;
	(void)url;
	(void)body;
	if (!o->token.data)
		return err_set(err, ST_BUG, "no token was fetched");
	return rest_header(h, err, "Authorization: Bearer %s", o->token.data);
}

enum status oauth_init(struct oauth *o, const struct provider_config *cfg,
	const struct provider_option *options, size_t i, const char *url,
	const char *url_option, struct err *err)
{
	const char *host = strstr(url, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;
	size_t n = path ? (size_t)(path - url) : strlen(url);
	auto_str origin = strndup(url, n);
	struct rest_config rc = { .auth = add_token,
		.judge = o->judge,
		.arg = o,
		.secrets = { &o->key, &o->token },
		.secret_option = options[i].name,
		.secret_file = cfg->value[i] ? cfg->value[i] : options[i].env,
		.rights = o->rights };

	o->path = strdup(path ? path : "/");
	if (!origin || !o->path)
		return api_no_memory(err);
	enum status st = api_rest_new(cfg, &rc, &o->api, err);
	if (st)
		return st;
	rc.url = origin;
	rc.auth = NULL;
	rc.judge = judge_token;
	st = rest_new(&rc, &o->endpoint, err);
	return st ? err_context(err, "%s", url_option) : ST_OK;
}

void oauth_release(struct oauth *o)
{
	rest_free(o->api);
	rest_free(o->endpoint);
	free(o->path);
	buf_release(&o->form);
	secret_release(&o->key);
	secret_release(&o->token);
}

static enum status take_token(
	struct oauth *o, const char *token, struct err *err)
{
	size_t n = strlen(token);

	if (!n || n > TOKEN_MAX)
		return api_strange(err, "no access_token of a sane length");
	for (const char *p = token; *p; p++)
		if (*p < '!' || *p > '~')
			return api_strange(err, "an odd access_token");
	secret_release(&o->token);
	o->token.data = strdup(token);
	if (!o->token.data)
		return api_no_memory(err);
	o->token.len = n;
	return ST_OK;
}

enum status oauth_login(void *v, struct err *err)
{
	struct oauth *o = v;
	const struct rest_request q = { .method = "POST",
		.path = o->path,
		.text = buf_str(&o->form),
		.type = "application/x-www-form-urlencoded" };
	auto_answer a = REST_ANSWER_INIT;
	enum status st = rest_send(o->endpoint, &q, &a, err);

	rest_hold(o->api, rest_retry_after(o->endpoint));
	/* These would mean something else to those who call. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFIG;
	if (st == ST_CONFLICT)
		err->st = st = ST_RETRY;
	if (st)
		return err_context(err, "cannot get a token");
	const char *token = api_text(a.json, "access_token");
	const char *type = api_text(a.json, "token_type");
	if (*type && strcasecmp(type, "Bearer") != 0)
		st = api_strange(err, "the token is no bearer token");
	else
		st = take_token(o, token, err);
	explicit_bzero(a.body, a.len);
	/* The string is ours alone: the answer is released right now. */
	explicit_bzero((void *)(uintptr_t)token, strlen(token));
	return st ? err_context(err, "cannot get a token") : ST_OK;
}

static enum status append_part(
	struct buf *b, const json_t *part, const char *sep, struct err *err)
{
	auto_str text = part ? json_dumps(part, JSON_COMPACT) : NULL;

	if (!text)
		return api_no_memory(err);
	enum status st = sign_base64(text, strlen(text), true, b, err);
	return st ? st : buf_append(b, sep, strlen(sep), err);
}

/* RFC 7515 3.1: header "." claims "." signature */
static enum status make_jwt(const struct oauth *o, const struct oauth_jwt *jwt,
	struct buf *ret, struct err *err)
{
	auto_buf sig = BUF_INIT(4096);
	json_int_t now = (json_int_t)time(NULL);
	json_auto_t *head = json_pack("{s:s, s:s, s:s}", "alg", "RS256", "typ",
		"JWT", "kid", jwt->key_id);
	json_auto_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss",
		jwt->issuer, "scope", jwt->scope, "aud", jwt->audience, "iat",
		now, "exp", now + ASSERTION_LIFE_S);
	enum status st = append_part(ret, head, ".", err);

	if (!st)
		st = append_part(ret, claims, "", err);
	if (!st)
		st = sign_rsa(
			&o->key, "SHA256", ret->data, ret->len, &sig, err);
	if (!st)
		st = buf_append(ret, ".", 1, err);
	return st ? st : sign_base64(sig.data, sig.len, true, ret, err);
}

enum status oauth_login_jwt(
	struct oauth *o, const struct oauth_jwt *jwt, struct err *err)
{
	auto_buf text = BUF_INIT(16384);
	enum status st = make_jwt(o, jwt, &text, err);

	/* A login that failed is tried again by the next call. */
	buf_release(&o->form);
	o->form = (struct buf)BUF_INIT(32768);
	if (!st)
		st = rest_form(&o->form, err, "grant_type", GRANT_JWT,
			"assertion", buf_str(&text), NULL);
	return st ? st : oauth_login(o, err);
}
