/*
 * The client of an XML service of AWS. Invariants: what the configuration names
 * beats the environment, and both beat the default credentials file; the three
 * parts of a key come from one place; no part is ever in a text. Keys that only
 * the instance's metadata knows are not looked for.
 */
#include "providers/aws.h"

#include <stdarg.h>

static enum status take(const char *text, struct secret *ret, struct err *err)
{
	ret->data = strdup(text);
	if (!ret->data)
		return api_no_memory(err);
	ret->len = strlen(text);
	return ST_OK;
}

/* From the file that the tools of AWS share. */
static enum status take_profile(
	struct aws *a, const char *path, const char *profile, struct err *err)
{
	auto_secret file = { .data = NULL };
	struct err ignored = ERR_INIT;
	enum status st = secret_read(path, &file, err);

	if (!st)
		st = cred_ini(&file, profile, "aws_access_key_id", &a->id, err);
	if (!st)
		st = cred_ini(
			&file, profile, "aws_secret_access_key", &a->key, err);
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFIG;
	if (!st && cred_ini(&file, profile, "aws_session_token", &a->token,
			   &ignored) == ST_NOMEM)
		st = err_set(err, ST_NOMEM, "out of memory");
	return st ? err_context(err, "credentials_file %s, profile %s", path,
			    profile)
		  : st;
}

static enum status take_key(
	struct aws *a, const struct provider_config *cfg, struct err *err)
{
	const struct provider_option *o = a->service->options;
	const char *id = cred_text(cfg, o, AWS_ID);
	const char *file = cred_text(cfg, o, AWS_FILE);
	const char *profile = cred_text(cfg, o, AWS_PROFILE);
	const char *home = secure_getenv("HOME");
	bool here = cfg->value[AWS_ID] || cfg->value[AWS_KEY];
	auto_str path = NULL;

	if (here && cfg->value[AWS_FILE])
		return err_set(err, ST_CONFIG,
			"either credentials_file or access_key_id and "
			"secret_access_key_file, not both");
	if (cfg->value[AWS_FILE] || (!here && !id && file))
		return take_profile(a, file, profile, err);
	if (!here && !id && home) {
		if (asprintf(&path, "%s/.aws/credentials", home) < 0) {
			path = NULL;
			return err_set(err, ST_NOMEM, "out of memory");
		}
		if (access(path, F_OK) == 0)
			return take_profile(a, path, profile, err);
	}
	if (!id)
		return err_set(err, ST_CONFIG,
			"access_key_id is missing (or the environment variable "
			"AWS_ACCESS_KEY_ID, or credentials_file)");
	enum status st = take(id, &a->id, err);
	if (!st)
		st = cred_secret(cfg, o, AWS_KEY, &a->key, err);
	/* A token of the environment belongs to the key of the environment. */
	if (!st && (!here || cfg->value[AWS_TOKEN]))
		st = cred_secret_maybe(cfg, o, AWS_TOKEN, &a->token, err);
	return st;
}

static enum status auth(void *arg, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err)
{
	const struct aws *a = arg;

	(void)q;
	(void)url;
	(void)body;
	return a->token.len ? rest_header(h, err, "X-Amz-Security-Token: %s",
				      a->token.data)
			    : ST_OK;
}

static enum status meaning(
	const struct aws *a, const char *code, const char *said, long http)
{
	static const char *const denied[] = { "AccessDenied", "ExpiredToken",
		"InvalidClientTokenId", "InvalidSignature",
		"MissingAuthentication", "OptInRequired", "RequestExpired",
		"SignatureDoesNotMatch", "UnrecognizedClient" };
	enum status st = a->service->meaning(code, said);

	if (st != REST_DEFAULT)
		return st;
	/* At HTTP 400, mostly. */
	if (!strncmp(code, "Throttl", 7) ||
		!strcmp(code, "RequestLimitExceeded"))
		return ST_RETRY;
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		if (!strncmp(code, denied[i], strlen(denied[i])))
			return ST_DENIED;
	if (http == 401 || http == 403)
		return ST_DENIED;
	if (http == 404)
		return ST_NOTFOUND;
	return http == 408 || http == 429 || http >= 500 ? ST_RETRY
							 : ST_REFUSED;
}

/* <ErrorResponse><Error><Code/><Message/>, or an element named like the code
 * with <Messages><Message/>. */
static enum status judge(
	void *arg, const struct rest_answer *an, struct err *err)
{
	const struct aws *a = arg;
	auto_xml x = NULL;
	struct err ignored = ERR_INIT;

	if ((an->http >= 200 && an->http < 300) ||
		xml_parse(an->body, an->len, &x, &ignored))
		return REST_DEFAULT;
	const struct xml *e = xml_at(x, "Error") ? xml_at(x, "Error") : x;
	const char *code = *xml_text(e, "Code") ? xml_text(e, "Code") : e->name;
	const char *said = xml_text(e, "Messages/Message");
	if (!*said)
		said = *xml_text(e, "Message") ? xml_text(e, "Message")
					       : xml_text(e, "message");
	enum status st = meaning(a, code, said, an->http);
	bool rights = !strncmp(code, "AccessDenied", 12);
	return err_set(err, st, "HTTP %ld %.60s: %.300s%s%s%s", an->http, code,
		said, rights ? " (it needs: " : "",
		rights ? a->service->rights : "", rights ? ")" : "");
}

enum status aws_open(struct aws *a, const struct aws_service *service,
	const struct provider_config *cfg, struct err *err)
{
	a->service = service;
	a->url = strdup(cfg->value[API_URL]);
	enum status st = a->url ? take_key(a, cfg, err) : api_no_memory(err);
	if (st)
		return st;
	struct rest_config rc = {
		.pace_ms =
			(int)(1000 / strtol(cfg->value[AWS_CALLS], NULL, 10)),
		.auth = auth,
		.judge = judge,
		.arg = a,
		.sigv4 = service->sigv4,
		.secrets = { &a->id, &a->key, &a->token },
		.secret_option = "secret_access_key_file",
		.secret_file = cfg->value[AWS_KEY] ? cfg->value[AWS_KEY]
						   : "the environment",
		.rights = service->rights,
		.xml = true
	};
	return api_rest_new(cfg, &rc, &a->rest, err);
}

void aws_release(struct aws *a)
{
	rest_free(a->rest);
	free(a->url);
	secret_release(&a->id);
	secret_release(&a->key);
	secret_release(&a->token);
}

enum status aws_call(struct aws *a, const char *body, const char *need,
	struct xml **ret, struct err *err, const char *fmt, ...)
{
	auto_answer an = REST_ANSWER_INIT;
	auto_str path = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (n < 0) {
		path = NULL;
		return api_no_memory(err);
	}
	const struct rest_request q = { .method = body ? "POST" : "GET",
		.path = path,
		.text = body,
		.type = "application/xml" };
	enum status st = rest_send(a->rest, &q, &an, err);
	if (st)
		return st;
	st = xml_parse(an.body, an.len, ret, err);
	if (!st && !xml_at(*ret, need))
		st = err_set(err, ST_RETRY,
			"the API's answer is not as documented: no %s", need);
	return st ? err_context(err, "%s %s%.*s", q.method, a->url,
			    (int)strcspn(path, "?"), path)
		  : ST_OK;
}
