/*
 * Which URLs a secret may be sent to: https anywhere, http on this host only;
 * nothing in the URL itself that is a secret or that a path could not follow.
 */
#include "providers/rest_curl.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

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

enum status rest_take_url(
	const char *url, char **ret, bool *ret_https, struct err *err)
{
	/* libcurl would take "ftp.host" for ftp and worse without a scheme. */
	if (!strstr(url, "://"))
		return err_set(err, ST_CONFIG,
			"url = \"%s\": must begin with https://", url);
	CURLU *u = curl_url();
	if (!u)
		return no_memory(err);
	enum status st = check_parts(u, url, ret_https, err);
	curl_url_cleanup(u);
	if (st)
		return st;
	*ret = strdup(url);
	if (!*ret)
		return no_memory(err);
	for (size_t n = strlen(*ret); n && (*ret)[n - 1] == '/'; n--)
		(*ret)[n - 1] = '\0';
	return ST_OK;
}
