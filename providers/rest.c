/*
 * HTTP for providers. Invariants: the secret goes to the configured origin
 * only (no redirects, no plain http beyond this host, no proxy for http), and
 * never into a text; nothing the server sends can make us wait longer than the
 * deadline or hold more than REST_BODY_MAX; no call is ever repeated here,
 * because only the caller can read back whether it was done.
 */
#include "providers/rest.h"

#include "hook/base/auto.h"
#include "hook/base/buf.h"
#include "hook/base/clock.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>

#define CONNECT_MS 5000L
#define TOTAL_MS 20000L
#define HEADERS_MAX (64 * 1024)
#define SAID_MAX 160
#define RETRY_AFTER_MAX 86400

struct rest {
	CURL *curl;
	char *url; /* without trailing slash */
	bool https;
	char *ca_file;
	long timeout_ms;
	char *header, *prefix, *secret_option, *secret_file;
	const struct secret *secret;
	int64_t not_before_ms; /* clock_mono_ms; 0: any time */
};

/* One answer. */
struct answer {
	struct buf body;
	bool body_too_large;
	size_t header_bytes;
	long http;
	char *redirect;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void free_slist(struct curl_slist **l)
{
	for (struct curl_slist *i = *l; i; i = i->next)
		explicit_bzero(i->data, strlen(i->data));
	curl_slist_free_all(*l);
}
#define auto_slist __attribute__((cleanup(free_slist))) struct curl_slist *

static void free_part(char **p)
{
	curl_free(*p);
}
#define auto_part __attribute__((cleanup(free_part))) char *

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

static bool is_loopback(const char *host)
{
	struct in_addr a;

	if (!strcasecmp(host, "localhost") || !strcmp(host, "[::1]"))
		return true;
	return inet_pton(AF_INET, host, &a) == 1 &&
	       (ntohl(a.s_addr) >> 24) == 127;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	auto_part text = NULL;

	return curl_url_get(u, part, &text, 0) == CURLUE_OK;
}

static enum status check_parts(
	CURLU *u, const char *url, bool *ret_https, struct err *err)
{
	auto_part scheme = NULL;
	auto_part host = NULL;

	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
		curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return err_set(err, ST_CONFIG,
			"url: must be https://HOST or https://HOST:PORT");
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		return err_set(err, ST_CONFIG,
			"url: must not hold a user name or a password");
	if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		return err_set(err, ST_CONFIG,
			"url = \"%s\": must not have '?' or '#'", url);
	*ret_https = !strcasecmp(scheme, "https");
	if (!*ret_https && (strcasecmp(scheme, "http") || !is_loopback(host)))
		return err_set(err, ST_CONFIG,
			"url = \"%s\": must be https:// (http:// only to "
			"127.0.0.1, [::1] or localhost: it would send the "
			"secret in clear)",
			url);
	return ST_OK;
}

static enum status take_url(struct rest *r, const char *url, struct err *err)
{
	/* libcurl would take "ftp.host" for ftp and worse without a scheme. */
	if (!strstr(url, "://"))
		return err_set(err, ST_CONFIG,
			"url = \"%s\": must begin with https://", url);
	CURLU *u = curl_url();
	if (!u)
		return no_memory(err);
	enum status st = check_parts(u, url, &r->https, err);
	curl_url_cleanup(u);
	if (st)
		return st;
	r->url = strdup(url);
	if (!r->url)
		return no_memory(err);
	for (size_t n = strlen(r->url); n && r->url[n - 1] == '/'; n--)
		r->url[n - 1] = '\0';
	return ST_OK;
}

static enum status check_secret(const struct rest_config *cfg, struct err *err)
{
	for (size_t i = 0; i < cfg->secret->len; i++)
		if (cfg->secret->data[i] < '!' || cfg->secret->data[i] > '~')
			return err_set(err, ST_CONFIG,
				"%s: %s holds blanks or other characters that "
				"no key has",
				cfg->secret_option, cfg->secret_file);
	if (!cfg->secret->len)
		return err_set(err, ST_CONFIG, "%s: %s is empty",
			cfg->secret_option, cfg->secret_file);
	return ST_OK;
}

static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

enum status rest_new(
	const struct rest_config *cfg, struct rest **ret, struct err *err)
{
	(void)pthread_once(&curl_once, init_curl);
	enum status st = check_secret(cfg, err);
	if (st)
		return st;
	struct rest *r = calloc(1, sizeof(*r));
	if (!r)
		return no_memory(err);
	r->secret = cfg->secret;
	r->timeout_ms = cfg->timeout_s ? cfg->timeout_s * 1000 : TOTAL_MS;
	st = take_url(r, cfg->url, err);
	if (!st && (!copy(&r->ca_file, cfg->ca_file) ||
			   !copy(&r->header, cfg->header) ||
			   !copy(&r->prefix, cfg->prefix) ||
			   !copy(&r->secret_option, cfg->secret_option) ||
			   !copy(&r->secret_file, cfg->secret_file) ||
			   !(r->curl = curl_easy_init())))
		st = no_memory(err);
	if (st)
		rest_free(r);
	else
		*ret = r;
	return st;
}

void rest_free(struct rest *r)
{
	if (!r)
		return;
	curl_easy_cleanup(r->curl);
	free(r->url);
	free(r->ca_file);
	free(r->header);
	free(r->prefix);
	free(r->secret_option);
	free(r->secret_file);
	free(r);
}

int64_t rest_retry_after(const struct rest *r)
{
	int64_t left = r->not_before_ms - clock_mono_ms();

	return r->not_before_ms && left > 0 ? (left + 999) / 1000 : 0;
}

/* Returning less than it was given makes libcurl stop. */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;
	struct err ignored = ERR_INIT;

	if (buf_append(&a->body, data, size * n, &ignored)) {
		a->body_too_large = ignored.st == ST_REFUSED;
		return 0;
	}
	return size * n;
}

/* libcurl 7 limits one header, not their number. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	(void)data;
	a->header_bytes += size * n;
	return a->header_bytes > HEADERS_MAX ? 0 : size * n;
}

static enum status add_header(
	struct curl_slist **list, const char *text, struct err *err)
{
	struct curl_slist *l = curl_slist_append(*list, text);

	if (!l)
		return no_memory(err);
	*list = l;
	return ST_OK;
}

static enum status make_headers(const struct rest *r, bool body,
	struct curl_slist **ret, struct err *err)
{
	auto_buf secret = BUF_INIT(SECRET_MAX + 256);
	enum status st = buf_printf(&secret, err, "%s: %s%s", r->header,
		r->prefix ? r->prefix : "", r->secret->data);

	if (!st)
		st = add_header(ret, buf_str(&secret), err);
	if (!st)
		st = add_header(ret, "Accept: application/json", err);
	if (!st)
		st = add_header(ret, "Expect:", err);
	if (!st && body)
		st = add_header(ret, "Content-Type: application/json", err);
	return st;
}

static CURLcode set_limits(const struct rest *r)
{
	const char *scheme = r->https ? "https" : "http";
	CURL *c = r->curl;
	CURLcode rc = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, scheme);

	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, scheme);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, r->timeout_ms);
	if (!rc)
		rc = curl_easy_setopt(
			c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!rc && r->ca_file)
		rc = curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file);
	/* A proxy would read the secret of a plain http call. */
	if (!rc && !r->https)
		rc = curl_easy_setopt(c, CURLOPT_PROXY, "");
	return rc;
}

static CURLcode set_request(const struct rest *r, const char *url,
	const char *method, const char *body, const struct curl_slist *headers,
	struct answer *a)
{
	CURL *c = r->curl;
	CURLcode rc = curl_easy_setopt(c, CURLOPT_URL, url);

	if (!rc && body)
		rc = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)strlen(body));
	if (!rc && body)
		rc = curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_USERAGENT, "danelaw");
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	return rc;
}

/* What libcurl says when there was no (whole) answer. */
static enum status transport_failed(struct rest *r, CURLcode rc,
	const struct answer *a, const char *why, struct err *err)
{
	if (a->body_too_large)
		return err_set(err, ST_RETRY,
			"the answer is larger than %d bytes", REST_BODY_MAX);
	if (a->header_bytes > HEADERS_MAX)
		return err_set(err, ST_RETRY,
			"the answer has more than %d bytes of headers",
			HEADERS_MAX);
	if (rc == CURLE_OUT_OF_MEMORY)
		return no_memory(err);
	if (rc == CURLE_PEER_FAILED_VERIFICATION)
		return err_set(err, ST_CONFIG,
			"the certificate of the server is not trusted (%s): "
			"ca_file can name its CA",
			*why ? why : curl_easy_strerror(rc));
	if (rc == CURLE_SSL_CACERT_BADFILE)
		return err_set(err, ST_CONFIG,
			"ca_file = \"%s\" cannot be used (%s)",
			r->ca_file ? r->ca_file : "",
			*why ? why : curl_easy_strerror(rc));
	return err_set(
		err, ST_RETRY, "%s", *why ? why : curl_easy_strerror(rc));
}

static void note_retry_after(struct rest *r, const struct answer *a)
{
	curl_off_t s = 0;

	if ((a->http != 429 && a->http != 503) ||
		curl_easy_getinfo(r->curl, CURLINFO_RETRY_AFTER, &s) || s <= 0)
		return;
	if (s > RETRY_AFTER_MAX)
		s = RETRY_AFTER_MAX;
	r->not_before_ms = clock_mono_ms() + (int64_t)s * 1000;
}

static enum status perform(struct rest *r, const char *url, const char *method,
	const char *body, struct answer *a, struct err *err)
{
	char why[CURL_ERROR_SIZE] = "";
	auto_slist headers = NULL;
	const char *redirect = NULL;
	enum status st = make_headers(r, body, &headers, err);

	if (st)
		return st;
	curl_easy_reset(r->curl);
	CURLcode rc = set_limits(r);
	if (!rc)
		rc = set_request(r, url, method, body, headers, a);
	if (!rc)
		rc = curl_easy_setopt(r->curl, CURLOPT_ERRORBUFFER, why);
	if (!rc)
		rc = curl_easy_perform(r->curl);
	if (!rc)
		rc = curl_easy_getinfo(
			r->curl, CURLINFO_RESPONSE_CODE, &a->http);
	if (!rc)
		rc = curl_easy_getinfo(
			r->curl, CURLINFO_REDIRECT_URL, &redirect);
	if (!rc) {
		note_retry_after(r, a);
		if (redirect && !(a->redirect = strdup(redirect)))
			rc = CURLE_OUT_OF_MEMORY;
	}
	if (rc)
		st = transport_failed(r, rc, a, why, err);
	/* The handle must not keep pointers to our locals. */
	curl_easy_reset(r->curl);
	return st;
}

/* Blots out the secret, should a server repeat it to us. */
static void scrub(const struct rest *r, char *text)
{
	size_t n = r->secret->len;

	for (char *at = text; (at = strstr(at, r->secret->data)); at += n)
		memset(at, '*', n);
}

/* What the server says, for people: its JSON error or the body, one short line
 * of ASCII. */
static void said(
	const struct rest *r, const struct answer *a, char ret[static SAID_MAX])
{
	json_auto_t *root = json_loadb(
		a->body.data ? a->body.data : "", a->body.len, 0, NULL);
	static const char *const keys[] = { "error", "message", "detail" };
	const char *text = NULL;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !text; i++)
		text = json_string_value(json_object_get(root, keys[i]));
	/* Before it is shortened: half a secret is one too much. */
	auto_str all = strdup(text ? text : buf_str(&a->body));
	if (all)
		scrub(r, all);
	for (const char *p = all; p && *p && n < SAID_MAX - 1; p++) {
		if (*p > ' ' && *p < '\177')
			ret[n++] = *p;
		else if (!isspace((unsigned char)*p))
			ret[n++] = '?';
		else if (n && ret[n - 1] != ' ')
			ret[n++] = ' ';
	}
	ret[n] = '\0';
}

static enum status http_failed(
	const struct rest *r, const struct answer *a, struct err *err)
{
	char text[SAID_MAX];
	int64_t wait = rest_retry_after(r);

	said(r, a, text);
	const char *sep = *text ? ": " : "";
	if (a->http == 401 || a->http == 403)
		return err_set(err, ST_DENIED,
			"HTTP %ld: the key of %s (%s) is refused%s%s", a->http,
			r->secret_option, r->secret_file, sep, text);
	if (a->http >= 300 && a->http < 400)
		return err_set(err, ST_CONFIG,
			"HTTP %ld: redirects are not followed, because they "
			"could lead the secret astray; url must be the final "
			"one (the server names %.200s)",
			a->http, a->redirect ? a->redirect : "none");
	if (wait)
		return err_set(err, ST_RETRY,
			"HTTP %ld, and the server asks to wait %lld s%s%s",
			a->http, (long long)wait, sep, text);
	enum status st = ST_REFUSED;
	if (a->http == 404)
		st = ST_NOTFOUND;
	else if (a->http == 409 || a->http == 412)
		st = ST_CONFLICT;
	else if (a->http == 408 || a->http == 425 || a->http == 429 ||
		 a->http >= 500 || a->http < 200)
		st = ST_RETRY;
	return err_set(err, st, "HTTP %ld%s%s", a->http, sep, text);
}

static enum status parse(const struct rest *r, const struct answer *a,
	json_t **ret, struct err *err)
{
	json_error_t je;
	char text[SAID_MAX];

	if (a->http < 200 || a->http >= 300)
		return http_failed(r, a, err);
	if (!ret)
		return ST_OK;
	json_t *root = NULL;
	if (a->body.len) {
		root = json_loadb(
			a->body.data, a->body.len, JSON_REJECT_DUPLICATES, &je);
		if (!root) {
			said(r, a, text);
			return err_set(err, ST_RETRY,
				"HTTP %ld, but the answer is not JSON (%.80s "
				"in line %d): %s",
				a->http, je.text, je.line, text);
		}
	}
	*ret = root;
	return ST_OK;
}

enum status rest_call(struct rest *r, const char *method, const char *path,
	const json_t *body, json_t **ret, struct err *err)
{
	struct answer a = { .body = BUF_INIT(REST_BODY_MAX) };
	auto_str url = NULL;
	auto_str text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int64_t wait = rest_retry_after(r);
	enum status st = ST_OK;

	if (asprintf(&url, "%s%s", r->url, path) < 0) {
		url = NULL;
		return no_memory(err);
	}
	if (body && !text)
		return no_memory(err);
	if (wait)
		st = err_set(err, ST_RETRY,
			"the server asked to wait %lld s still",
			(long long)wait);
	if (!st)
		st = perform(r, url, method, text, &a, err);
	if (!st)
		st = parse(r, &a, ret, err);
	if (st)
		(void)err_context(
			err, "%s %.*s", method, (int)strcspn(url, "?"), url);
	buf_release(&a.body);
	free(a.redirect);
	return st;
}
