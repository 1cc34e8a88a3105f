/*
 * Calls to a provider's HTTP API; the only user of libcurl. https only, http
 * to loopback addresses. No redirects, bodies of at most 1 MiB, deadlines on
 * everything, and the secret is never in a URL, a log or an error.
 */
#ifndef DANELAW_PROVIDERS_REST_H
#define DANELAW_PROVIDERS_REST_H

#include "hook/base/err.h"
#include "hook/base/secret.h"

#include <jansson.h>
#include <stdint.h>

#define REST_BODY_MAX (1024 * 1024)

struct rest;

struct rest_config {
	const char *url;     /* "https://host:port", maybe with a path */
	const char *ca_file; /* PEM; NULL: the system's */
	long timeout_s;      /* for one call; 0 = 20 */
	const char *header;  /* that carries the secret: "X-API-Key" */
	const char *prefix;  /* before the secret: "Bearer ", or NULL */
	const struct secret *secret; /* borrowed for the life of the object */
	const char *secret_option;   /* for messages: "api_key_file" */
	const char *secret_file;     /* for messages */
};

/* ST_CONFIG when the URL is not allowed or the secret cannot be a header. *ret
 * owned; all but the secret is copied. */
enum status rest_new(
	const struct rest_config *cfg, struct rest **ret, struct err *err);
void rest_free(struct rest *r);

/*
 * One call. path begins with '/', is appended to the URL and holds only what
 * needs no further escaping. body may be NULL (borrowed).
 * ST_OK for 2xx: *ret is the answer (owned), NULL when it was empty; ret itself
 * may be NULL. Otherwise: ST_DENIED 401 403; ST_NOTFOUND 404; ST_CONFLICT 409
 * 412; ST_RETRY 408 425 429 5xx, network trouble, and a 2xx that is not JSON
 * or too large; ST_CONFIG a redirect or a certificate that is not trusted;
 * ST_REFUSED other 4xx. The text has URL and what the server said, shortened.
 */
enum status rest_call(struct rest *r, const char *method, const char *path,
	const json_t *body, json_t **ret, struct err *err);

/* Seconds that the server (Retry-After) wants us to wait still; until then
 * rest_call fails with ST_RETRY without asking. 0: none. */
int64_t rest_retry_after(const struct rest *r);

#endif
