/*
 * The Link header (RFC 8288) of lists that come in pages. What it says is
 * trusted with the query of the next page only, and with nothing but
 * characters of a query in it: host and path stay ours, so that it can lead
 * neither the secret nor a call astray.
 */
#include "providers/api.h"

#include <string.h>

/* Whether rel is "next", or begins with it, in the parameters of one link: from
 * '>' to the next '<' or the end. */
static bool is_next(const char *p)
{
	const char *end = p + strcspn(p, "<");

	while ((p = memchr(p, ';', (size_t)(end - p)))) {
		p += 1 + strspn(p + 1, " \t");
		if (strncasecmp(p, "rel=", 4) != 0)
			continue;
		p += 4 + (p[4] == '"');
		return !strncasecmp(p, "next", 4) &&
		       strchr("\" \t;,", p[4]); /* or the end */
	}
	return false;
}

enum status api_next_query(
	const char *link, char *ret, size_t len, struct err *err)
{
	*ret = '\0';
	for (const char *p = link; p && (p = strchr(p, '<')); p++) {
		const char *end = strchr(p, '>'), *q = strchr(p, '?');
		size_t n = q && end && q < end ? (size_t)(end - q - 1) : 0;

		if (!end || !is_next(end))
			continue;
		if (!n || n >= len ||
			strspn(q + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789-._~%=&+") < n)
			return api_strange(err, "odd link to the next page");
		memcpy(ret, q + 1, n);
		ret[n] = '\0';
		return ST_OK;
	}
	return ST_OK;
}
