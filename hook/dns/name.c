/*
 * Domain names as text. One canonical form (lower case, absolute) so that
 * names can be compared with strcmp everywhere else; what does not fit the
 * form is refused here and never reaches a query, a file name or a log line.
 * No escapes and no IDN: a TLSA owner needs neither. (RFC 1035 2.3.1,
 * RFC 2181 11, RFC 6698 3)
 */
#include "hook/dns/name.h"

#include <string.h>

#define LABEL_MAX 63
#define TEXT_MAX 253 /* without the trailing dot */

static bool label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

/* tolower() would follow the locale. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Checks one label of lower-case text; first: '*' may stand alone. */
static const char *label_fault(const char *label, size_t len, bool first)
{
	if (len == 0)
		return "it has an empty label";
	if (len > LABEL_MAX)
		return "a label is longer than 63 characters";
	if (first && len == 1 && label[0] == '*')
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!label_char(label[i]))
			return "only letters, digits, '-', '_' and '.' are "
			       "allowed (write an internationalised name in "
			       "its xn-- form)";
	return NULL;
}

static const char *name_fault(const char *text, size_t len)
{
	size_t start = 0;

	if (len > TEXT_MAX)
		return "it is longer than 253 characters";
	for (size_t i = 0; i <= len; i++) {
		const char *fault;

		if (i < len && text[i] != '.')
			continue;
		fault = label_fault(text + start, i - start, start == 0);
		if (fault != NULL)
			return fault;
		start = i + 1;
	}
	return NULL;
}

enum status name_canon(
	const char *in, char ret[static DNS_NAME_MAX], struct err *err)
{
	char text[DNS_NAME_MAX];
	const char *fault;
	size_t len = strnlen(in, DNS_NAME_MAX);

	if (strcmp(in, ".") == 0) {
		memcpy(ret, ".", 2);
		return ST_OK;
	}
	if (len > 0 && in[len - 1] == '.')
		len--;
	if (len > TEXT_MAX)
		return err_set(err, ST_CONFIG,
			"'%.60s...' is not a domain name: it is longer than "
			"253 characters",
			in);
	for (size_t i = 0; i < len; i++)
		text[i] = lower(in[i]);
	fault = name_fault(text, len);
	if (fault != NULL)
		return err_set(err, ST_CONFIG, "'%s' is not a domain name: %s",
			in, fault);
	memcpy(ret, text, len);
	ret[len] = '.';
	ret[len + 1] = '\0';
	return ST_OK;
}

const char *name_parent(const char *name)
{
	const char *dot;

	if (strcmp(name, ".") == 0)
		return NULL;
	dot = strchr(name, '.');
	if (dot == NULL)
		return NULL;
	return dot[1] == '\0' ? dot : dot + 1;
}

bool name_is_under(const char *name, const char *zone)
{
	size_t n = strlen(name), z = strlen(zone);

	if (strcmp(zone, ".") == 0)
		return true;
	if (n < z || strcmp(name + n - z, zone) != 0)
		return false;
	return n == z || name[n - z - 1] == '.';
}

/* "_25" -> 25; no sign, no leading zero, 1..65535. */
static bool port_label(const char *s, size_t len, uint16_t *ret)
{
	unsigned int port = 0;

	if (len < 2 || len > 6 || s[0] != '_' || s[1] == '0')
		return false;
	for (size_t i = 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (unsigned int)(s[i] - '0');
	}
	if (port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

enum status name_split_tlsa(const char *owner, uint16_t *ret_port,
	char ret_host[static DNS_NAME_MAX], struct err *err)
{
	static const char proto[] = "_tcp.";
	char canon[DNS_NAME_MAX];
	const char *rest, *host;
	uint16_t port;
	enum status st = name_canon(owner, canon, err);

	if (st != ST_OK)
		return st;
	rest = name_parent(canon);
	if (rest == NULL || strcmp(rest, ".") == 0 ||
		!port_label(canon, (size_t)(rest - 1 - canon), &port))
		return err_set(err, ST_CONFIG,
			"'%s' is not the owner name of a TLSA record: it must "
			"start with the port, as in _25._tcp.mx.example.com",
			owner);
	host = rest + strlen(proto);
	if (strncmp(rest, proto, strlen(proto)) != 0 || *host == '\0')
		return err_set(err, ST_CONFIG,
			"'%s' is not the owner name of a TLSA record: after "
			"the port must come _tcp and a host name, as in "
			"_25._tcp.mx.example.com",
			owner);
	*ret_port = port;
	memcpy(ret_host, host, strlen(host) + 1);
	return ST_OK;
}
