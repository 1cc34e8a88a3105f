/*
 * Calls to a provider's HTTP API; the only user of libcurl. https only, http
 * to loopback addresses. No redirects, bodies of at most REST_BODY_MAX,
 * deadlines on everything, and no secret is ever in a URL, a log or an error.
 * No call is ever repeated here: only the caller can read back whether it was
 * done.
 */
#ifndef DANELAW_PROVIDERS_REST_H
#define DANELAW_PROVIDERS_REST_H

#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/base/secret.h"

#include <jansson.h>
#include <stdint.h>

#define REST_BODY_MAX (8 * 1024 * 1024)
#define REST_SECRETS_MAX 6
/* A judge that leaves the answer to the rule for everybody. */
#define REST_DEFAULT ST__COUNT

struct rest;
struct rest_headers;

struct rest_request {
	const char *method;
	/* Begins with '/', is appended to the URL and holds only what needs no
	 * further escaping (rest_escape). */
	const char *path;
	const json_t *json; /* body; or */
	const char *text;   /* this body, of this content type (both NULL: */
	const char *type;   /* no body) */
	/* "Name: value" each, NULL at the end; nothing secret. May be NULL */
	const char *const *headers;
};

struct rest_answer {
	long http;
	json_t *json; /* owned; NULL when empty or not JSON */
	char *body;   /* owned; NUL-terminated, "" when empty */
	size_t len;
	char etag[256]; /* "" when none */
	char *link;     /* owned; the Link header(s), NULL when none */
};
#define REST_ANSWER_INIT  \
	{                 \
		.http = 0 \
	}
void rest_answer_release(struct rest_answer *a);
#define auto_answer \
	__attribute__((cleanup(rest_answer_release))) struct rest_answer

/* Adds what authenticates: called for every request, with the full URL and the
 * exact body ("" when none), so that it can sign them. */
typedef enum status (*rest_auth)(void *arg, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err);
enum status rest_header(struct rest_headers *h, struct err *err,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What a complete answer means where the rule for everybody does not hold: an
 * error inside HTTP 200, a code of the vendor's. ST_OK, a status with its text
 * set, or REST_DEFAULT. */
typedef enum status (*rest_judge)(
	void *arg, const struct rest_answer *a, struct err *err);

struct rest_config {
	const char *url;     /* "https://host:port", maybe with a path */
	const char *ca_file; /* PEM; NULL: the system's */
	long timeout_s;      /* for one call; 0 = 20 */
	int64_t deadline_ms; /* clock_mono_ms; no call after it; 0: none */
	int pace_ms;         /* least time between two calls; 0: none */

	const char *header;          /* that carries the secret: "X-API-Key" */
	const char *prefix;          /* before the secret: "Bearer ", or NULL */
	const struct secret *secret; /* borrowed for the life of the object */
	rest_auth auth;              /* instead of the three above */
	rest_judge judge;            /* or NULL */
	void *arg;                   /* for auth and judge */
	const char *sigv4; /* CURLOPT_AWS_SIGV4 "aws:amz:REGION:SERVICE", with
			      secrets[0] the key id and secrets[1] the key */
	/* All that must never be in a text, borrowed; NULL at the end. `secret`
	 * need not be repeated. */
	const struct secret *secrets[REST_SECRETS_MAX];

	const char *secret_option; /* for messages: "api_key_file" */
	const char *secret_file;   /* for messages: where it came from */
	const char *rights;        /* for messages on 403: what the key must be
				      allowed; or NULL */
	bool xml;                  /* the answers are XML, not JSON */
};

/* ST_CONFIG when the URL is not allowed or the secret cannot be a header. *ret
 * owned; all but secrets and arg is copied. */
enum status rest_new(
	const struct rest_config *cfg, struct rest **ret, struct err *err);
void rest_free(struct rest *r);

/*
 * One call. ST_OK for 2xx. Otherwise: ST_DENIED 401 403; ST_NOTFOUND 404;
 * ST_CONFLICT 409 412; ST_RETRY 408 423 425 429 5xx, network trouble, and a 2xx
 * that is not JSON or too large; ST_CONFIG a redirect or a certificate that is
 * not trusted; ST_REFUSED other 4xx. The text has URL and what the server said,
 * shortened. *ret (may be NULL) is filled on ST_OK only.
 */
enum status rest_send(struct rest *r, const struct rest_request *q,
	struct rest_answer *ret, struct err *err);
/* The short form: JSON both ways. *ret is the answer (owned), NULL when it was
 * empty; ret itself may be NULL. */
enum status rest_call(struct rest *r, const char *method, const char *path,
	const json_t *body, json_t **ret, struct err *err);

/* Seconds that the server (Retry-After) wants us to wait still; until then
 * rest_call fails with ST_RETRY without asking. 0: none. */
int64_t rest_retry_after(const struct rest *r);
/* The same, from a vendor's own words. */
void rest_hold(struct rest *r, int64_t seconds);
/* Waits; others go on meanwhile (rest_together). ST_RETRY when the deadline
 * would be passed: nothing was waited for then. */
enum status rest_pause(struct rest *r, int64_t ms, struct err *err);

/*
 * Runs fn(arg, i) for each i < n, `parallel` of them side by side: where one
 * waits in rest_send or rest_pause, another goes on, and their calls share one
 * set of connections. Only one runs at any instant, so that nothing needs a
 * lock; but what was read before a call may be changed by another after it.
 * Returns when all are done. Not to be nested.
 */
void rest_together(size_t n, unsigned parallel, void (*fn)(void *arg, size_t i),
	void *arg);

/* Percent-encodes all but letters, digits and -._~ (RFC 3986 2.3). */
enum status rest_escape(const char *text, struct buf *ret, struct err *err);
/* "a=b&c=d" from pairs, encoded (RFC 3986, as queries and forms take it). The
 * list ends with NULL. */
enum status rest_form(struct buf *ret, struct err *err, const char *name, ...)
	__attribute__((sentinel));

#endif
