/*
 * HTTP for providers. Invariants: the secret goes to the configured origin
 * only (no redirects, no plain http beyond this host, no proxy for http), and
 * never into a text; nothing the server sends can make us wait longer than the
 * deadline or hold more than REST_BODY_MAX; no call is ever repeated here,
 * because only the caller can read back whether it was done.
 */
#include "providers/rest.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "providers/rest_curl.h"
#include "providers/rest_said.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>

#define CONNECT_MS 5000L
#define TOTAL_MS 20000L
#define HEADERS_MAX (64 * 1024)
#define RETRY_AFTER_MAX 86400

struct rest {
	CURL *curl;    /* for calls outside rest_together */
	CURLSH *share; /* cookies */
	char *url;     /* without trailing slash */
	bool https;
	char *ca_file;
	long timeout_ms;
	int64_t deadline_ms;
	int pace_ms;
	int64_t next_call_ms; /* not before; clock_mono_ms */
	char *header, *prefix, *secret_option, *secret_file, *rights, *sigv4;
	rest_auth auth;
	rest_judge judge;
	void *arg;
	bool xml;
	const struct secret *secrets[REST_SECRETS_MAX + 1]; /* [0]: the one for
							       the header */
	int64_t not_before_ms; /* clock_mono_ms; 0: any time */
};

struct rest_headers {
	struct curl_slist *list;
};

/* One answer as it comes in. */
struct incoming {
	struct buf body, link;
	bool body_too_large;
	size_t header_bytes;
	char etag[256];
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

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

static enum status check_secret(const struct rest_config *cfg, struct err *err)
{
	const struct secret *s = cfg->secret;

	for (size_t i = 0; s && i < s->len; i++)
		if (s->data[i] < '!' || s->data[i] > '~')
			return err_set(err, ST_CONFIG,
				"%s: %s holds blanks or other characters that "
				"no key has",
				cfg->secret_option, cfg->secret_file);
	if (s && !s->len)
		return err_set(err, ST_CONFIG, "%s: %s is empty",
			cfg->secret_option, cfg->secret_file);
	return ST_OK;
}

static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

static bool copy_texts(struct rest *r, const struct rest_config *cfg)
{
	return copy(&r->ca_file, cfg->ca_file) &&
	       copy(&r->header, cfg->header) && copy(&r->prefix, cfg->prefix) &&
	       copy(&r->secret_option, cfg->secret_option) &&
	       copy(&r->secret_file, cfg->secret_file) &&
	       copy(&r->rights, cfg->rights) && copy(&r->sigv4, cfg->sigv4);
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
	r->timeout_ms = cfg->timeout_s ? cfg->timeout_s * 1000 : TOTAL_MS;
	r->deadline_ms = cfg->deadline_ms;
	r->pace_ms = cfg->pace_ms;
	r->auth = cfg->auth;
	r->judge = cfg->judge;
	r->arg = cfg->arg;
	r->xml = cfg->xml;
	r->secrets[0] = cfg->secret;
	memcpy(r->secrets + 1, cfg->secrets, sizeof(cfg->secrets));
	st = rest_take_url(cfg->url, &r->url, &r->https, err);
	if (!st && cfg->ca_file && access(cfg->ca_file, R_OK) != 0)
		st = err_sys(err, ST_CONFIG, errno,
			"ca_file = \"%s\" cannot be read", cfg->ca_file);
	if (!st && (!copy_texts(r, cfg) || !(r->curl = curl_easy_init()) ||
			   !(r->share = curl_share_init()) ||
			   curl_share_setopt(r->share, CURLSHOPT_SHARE,
				   CURL_LOCK_DATA_COOKIE)))
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
	(void)curl_share_cleanup(r->share);
	free(r->url);
	free(r->ca_file);
	free(r->header);
	free(r->prefix);
	free(r->secret_option);
	free(r->secret_file);
	free(r->rights);
	free(r->sigv4);
	free(r);
}

/* ---- pauses ---- */

int64_t rest_retry_after(const struct rest *r)
{
	int64_t left = r->not_before_ms - clock_mono_ms();

	return r->not_before_ms && left > 0 ? (left + 999) / 1000 : 0;
}

void rest_hold(struct rest *r, int64_t seconds)
{
	if (seconds > RETRY_AFTER_MAX)
		seconds = RETRY_AFTER_MAX;
	if (seconds > 0)
		r->not_before_ms = clock_mono_ms() + seconds * 1000;
}

enum status rest_pause(struct rest *r, int64_t ms, struct err *err)
{
	if (r->deadline_ms && clock_mono_ms() + ms >= r->deadline_ms)
		return err_set(err, ST_RETRY,
			"no time is left for it here: \"danelaw run\" goes on "
			"with it");
	rest_sleep(ms);
	return ST_OK;
}

static enum status check_hold(const struct rest *r, struct err *err)
{
	int64_t wait = rest_retry_after(r);

	return wait ? err_set(err, ST_RETRY,
			      "the server asked to wait %lld s still",
			      (long long)wait)
		    : ST_OK;
}

/* Before a call: may it be made, and now? */
static enum status wait_turn(struct rest *r, struct err *err)
{
	int64_t now = clock_mono_ms(), pause;
	enum status st = check_hold(r, err);

	if (st)
		return st;
	pause = r->next_call_ms > now ? r->next_call_ms - now : 0;
	r->next_call_ms = now + pause + r->pace_ms;
	st = rest_pause(r, pause, err);
	/* Another job may have been told meanwhile. */
	return st ? st : check_hold(r, err);
}

/* ---- one transfer ---- */

/* Returning less than it was given makes libcurl stop. */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct incoming *in = arg;
	struct err ignored = ERR_INIT;

	if (buf_append(&in->body, data, size * n, &ignored)) {
		in->body_too_large = ignored.st == ST_REFUSED;
		return 0;
	}
	return size * n;
}

/* The value of "name: value" without blanks around; 0 when it is another. */
static size_t header_value(
	const char *line, size_t n, const char *name, const char **ret)
{
	size_t skip = strlen(name);

	if (n < skip + 1 || strncasecmp(line, name, skip) != 0 ||
		line[skip] != ':')
		return 0;
	for (skip++; skip < n && isspace((unsigned char)line[skip]);)
		skip++;
	while (n > skip && isspace((unsigned char)line[n - 1]))
		n--;
	*ret = line + skip;
	return n - skip;
}

/* libcurl 7 limits one header, not their number. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct incoming *in = arg;
	struct err ignored = ERR_INIT;
	const char *value;
	size_t len;

	in->header_bytes += size * n;
	if (in->header_bytes > HEADERS_MAX)
		return 0;
	len = header_value(data, size * n, "ETag", &value);
	if (len && len < sizeof(in->etag))
		(void)snprintf(
			in->etag, sizeof(in->etag), "%.*s", (int)len, value);
	len = header_value(data, size * n, "Link", &value);
	if (len && (buf_printf(&in->link, &ignored, "%s",
			    in->link.len ? ", " : "") ||
			   buf_append(&in->link, value, len, &ignored)))
		return 0;
	return size * n;
}

static enum status add_header(
	struct rest_headers *h, const char *text, struct err *err)
{
	struct curl_slist *l;

	/* A value from outside could end the header and begin another. */
	if (strpbrk(text, "\r\n"))
		return err_set(err, ST_BUG, "a header with a line break");
	l = curl_slist_append(h->list, text);
	if (!l)
		return no_memory(err);
	h->list = l;
	return ST_OK;
}

enum status rest_header(
	struct rest_headers *h, struct err *err, const char *fmt, ...)
{
	char *text = NULL;
	enum status st;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return no_memory(err);
	st = add_header(h, text, err);
	explicit_bzero(text, (size_t)n);
	free(text);
	return st;
}

static enum status make_headers(struct rest *r, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err)
{
	enum status st = ST_OK;

	if (r->auth)
		st = r->auth(r->arg, q, url, body ? body : "", h, err);
	else if (r->secrets[0])
		st = rest_header(h, err, "%s: %s%s", r->header,
			r->prefix ? r->prefix : "", r->secrets[0]->data);
	if (!st)
		st = rest_header(h, err, "Accept: %s",
			r->xml ? "text/xml, application/xml"
			       : "application/json");
	if (!st)
		st = rest_header(h, err, "Expect:");
	if (!st && body)
		st = rest_header(h, err, "Content-Type: %s",
			q->type ? q->type : "application/json");
	for (const char *const *p = q->headers; !st && p && *p; p++)
		st = add_header(h, *p, err);
	return st;
}

static CURLcode set_limits(const struct rest *r, CURL *c)
{
	const char *scheme = r->https ? "https" : "http";
	long timeout = r->timeout_ms;
	CURLcode rc = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, scheme);

	if (r->deadline_ms && r->deadline_ms - clock_mono_ms() < timeout)
		timeout = (long)(r->deadline_ms - clock_mono_ms());
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, scheme);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	if (!rc)
		rc = curl_easy_setopt(
			c, CURLOPT_TIMEOUT_MS, timeout > 1 ? timeout : 1L);
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

static CURLcode set_request(const struct rest *r, CURL *c, const char *url,
	const char *method, const char *body, const struct rest_headers *h,
	struct incoming *in)
{
	CURLcode rc = curl_easy_setopt(c, CURLOPT_URL, url);

	if (!rc && body)
		rc = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)strlen(body));
	if (!rc && body)
		rc = curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	/* On a connection of before that dies, libcurl would send it again,
	 * and it may have been done. */
	if (!rc && strcmp(method, "GET") != 0)
		rc = curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->list);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_USERAGENT, "danelaw");
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_WRITEDATA, in);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_HEADERDATA, in);
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_SHARE, r->share);
	/* The share alone does not switch cookies on. */
	if (!rc)
		rc = curl_easy_setopt(c, CURLOPT_COOKIEFILE, "");
	if (!rc && r->sigv4)
		rc = curl_easy_setopt(c, CURLOPT_AWS_SIGV4, r->sigv4);
	if (!rc && r->sigv4)
		rc = curl_easy_setopt(c, CURLOPT_USERNAME, r->secrets[1]->data);
	if (!rc && r->sigv4)
		rc = curl_easy_setopt(c, CURLOPT_PASSWORD, r->secrets[2]->data);
	return rc;
}

/* What libcurl says when there was no (whole) answer. */
static enum status transport_failed(const struct rest *r, CURLcode rc,
	const struct incoming *in, const char *why, struct err *err)
{
	if (in->body_too_large)
		return err_set(err, ST_RETRY,
			"the answer is larger than %d bytes", REST_BODY_MAX);
	if (in->header_bytes > HEADERS_MAX)
		return err_set(err, ST_RETRY,
			"the answer has more than %d bytes of headers",
			HEADERS_MAX);
	if (rc == CURLE_OUT_OF_MEMORY)
		return no_memory(err);
	if (rc == CURLE_PEER_FAILED_VERIFICATION && strstr(why, "subject name"))
		return err_set(err, ST_CONFIG,
			"the certificate of the server is for another name "
			"(%s): url must have a name that is in it",
			why);
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

static CURLcode take_results(struct rest *r, CURL *c, struct incoming *in)
{
	const char *redirect = NULL;
	curl_off_t wait = 0;
	CURLcode rc = curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &in->http);

	if (!rc)
		rc = curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &redirect);
	if (!rc)
		rc = curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &wait);
	if (!rc && (in->http == 429 || in->http == 503))
		rest_hold(r, wait);
	if (!rc && redirect && !(in->redirect = strdup(redirect)))
		rc = CURLE_OUT_OF_MEMORY;
	return rc;
}

static enum status perform(struct rest *r, const char *url,
	const struct rest_request *q, const char *body, struct incoming *in,
	struct err *err)
{
	char why[CURL_ERROR_SIZE] = "";
	struct rest_headers h = { .list = NULL };
	bool own = rest_in_company();
	CURL *c = own ? curl_easy_init() : r->curl;
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	enum status st = make_headers(r, q, url, body, &h, err);

	if (!st && c) {
		rc = set_limits(r, c);
		if (!rc)
			rc = set_request(r, c, url, q->method, body, &h, in);
		if (!rc)
			rc = curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
		if (!rc)
			rc = rest_perform(c);
		if (!rc)
			rc = take_results(r, c, in);
	}
	if (!st && rc)
		st = transport_failed(r, rc, in, why, err);
	/* The handle must not keep pointers to our locals. A reset would lose
	 * this list without freeing it. */
	(void)curl_easy_setopt(c, CURLOPT_COOKIEFILE, NULL);
	if (own)
		curl_easy_cleanup(c);
	else
		curl_easy_reset(c);
	free_slist(&h.list);
	return st;
}

/* ---- what it means ---- */

/* Blots out the secrets, should a server repeat them to us. */
static void scrub(const struct rest *r, char *text)
{
	for (size_t i = 0; i < REST_SECRETS_MAX + 1; i++) {
		const struct secret *s = r->secrets[i];

		if (!s || s->len < 4)
			continue;
		for (char *at = text; (at = strstr(at, s->data)); at += s->len)
			memset(at, '*', s->len);
	}
}

static enum status http_failed(const struct rest *r, const struct incoming *in,
	const char *text, struct err *err)
{
	const char *sep = *text ? ": " : "";

	if (in->http == 401 || in->http == 403)
		return err_set(err, ST_DENIED,
			"HTTP %ld: the key of %s (%s) is refused%s%s%s%s%s",
			in->http, r->secret_option, r->secret_file,
			r->rights ? " (it needs: " : "",
			r->rights ? r->rights : "", r->rights ? ")" : "", sep,
			text);
	if (in->http >= 300 && in->http < 400)
		return err_set(err, ST_CONFIG,
			"HTTP %ld: redirects are not followed, because they "
			"could lead the secret astray; url must be the final "
			"one (the server names %.200s)",
			in->http, in->redirect ? in->redirect : "none");
	enum status st = ST_REFUSED;
	if (in->http == 404)
		st = ST_NOTFOUND;
	else if (in->http == 409 || in->http == 412)
		st = ST_CONFLICT;
	else if (in->http == 408 || in->http == 423 || in->http == 425 ||
		 in->http == 429 || in->http >= 500 || in->http < 200)
		st = ST_RETRY;
	if (st == ST_RETRY && rest_retry_after(r))
		return err_set(err, st,
			"HTTP %ld, and the server asks to wait %lld s%s%s",
			in->http, (long long)rest_retry_after(r), sep, text);
	return err_set(err, st, "HTTP %ld%s%s", in->http, sep, text);
}

static enum status judge(const struct rest *r, const struct incoming *in,
	const struct rest_answer *a, const json_error_t *je, struct err *err)
{
	char text[REST_SAID_MAX];
	bool good = a->http >= 200 && a->http < 300;
	enum status st = REST_DEFAULT;

	/* An HTML page of something in between is no answer of the API's. */
	if (r->judge && (a->json || r->xml || !a->len || !good))
		st = r->judge(r->arg, a, err);
	if (st != REST_DEFAULT)
		return st;
	/* Before it is shortened: half a secret is one too much. */
	scrub(r, a->body);
	rest_said(a->json, a->body, text);
	if (!good)
		return http_failed(r, in, text, err);
	if (a->len && !a->json && !r->xml)
		return err_set(err, ST_RETRY,
			"HTTP %ld, but the answer is not JSON (%.80s in line "
			"%d): %s",
			a->http, je->text, je->line, text);
	return ST_OK;
}

/* Takes over what came in. */
static enum status take_answer(const struct rest *r, struct incoming *in,
	struct rest_answer *a, struct err *err)
{
	json_error_t je = { .line = 0 };

	a->http = in->http;
	/* Not strdup: it may hold a NUL, and len counts what is behind. */
	a->body = malloc(in->body.len + 1);
	a->link = in->link.len ? strdup(buf_str(&in->link)) : NULL;
	if (!a->body || (in->link.len && !a->link))
		return no_memory(err);
	memcpy(a->body, buf_str(&in->body), in->body.len + 1);
	a->len = in->body.len;
	memcpy(a->etag, in->etag, sizeof(a->etag));
	/* Before a judge cuts it. In good ones an id may look like a secret. */
	if (a->http < 200 || a->http >= 300)
		scrub(r, a->body);
	if (a->len && !r->xml)
		a->json = json_loadb(a->body, a->len,
			JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	return judge(r, in, a, &je, err);
}

enum status rest_send(struct rest *r, const struct rest_request *q,
	struct rest_answer *ret, struct err *err)
{
	struct incoming in = { .body = BUF_INIT(REST_BODY_MAX),
		.link = BUF_INIT(HEADERS_MAX) };
	auto_answer a = REST_ANSWER_INIT;
	auto_str url = NULL;
	char *text = q->json ? json_dumps(q->json, JSON_COMPACT) : NULL;
	const char *body = q->json ? text : q->text;
	enum status st = ST_OK;

	if (asprintf(&url, "%s%s", r->url, q->path) < 0) {
		url = NULL;
		st = no_memory(err);
	}
	if (!st && q->json && !text)
		st = no_memory(err);
	if (!st)
		st = wait_turn(r, err);
	if (!st)
		st = perform(r, url, q, body, &in, err);
	if (!st)
		st = take_answer(r, &in, &a, err);
	if (st && url) {
		scrub(r, err->text);
		(void)err_context(
			err, "%s %.*s", q->method, (int)strcspn(url, "?"), url);
	}
	if (!st && ret) {
		*ret = a;
		a = (struct rest_answer)REST_ANSWER_INIT;
	}
	/* A body can hold a password or a session. */
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	buf_release(&in.body);
	buf_release(&in.link);
	free(in.redirect);
	return st;
}

enum status rest_call(struct rest *r, const char *method, const char *path,
	const json_t *body, json_t **ret, struct err *err)
{
	const struct rest_request q = {
		.method = method, .path = path, .json = body
	};
	auto_answer a = REST_ANSWER_INIT;
	enum status st = rest_send(r, &q, &a, err);

	if (!st && ret) {
		*ret = a.json;
		a.json = NULL;
	}
	return st;
}
