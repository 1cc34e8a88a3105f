/* The parts of the HTTP client that use libcurl; nobody else includes this. */
#ifndef DANELAW_PROVIDERS_REST_CURL_H
#define DANELAW_PROVIDERS_REST_CURL_H

#include "hook/base/err.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

/* Inside rest_together: a call needs a handle of its own there. */
bool rest_in_company(void);
/* curl_easy_perform; inside rest_together others go on meanwhile. */
CURLcode rest_perform(CURL *c);
/* Sleeps; likewise. */
void rest_sleep(int64_t ms);

/* ST_CONFIG when the URL is not one that a secret may be sent to. *ret: without
 * slashes at its end, owned. */
enum status rest_take_url(
	const char *url, char **ret, bool *ret_https, struct err *err);

#endif
