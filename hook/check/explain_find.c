/*
 * Names, addresses, ports and status codes in a clean unit. Nothing is taken
 * as it stands: names go through name_canon and must look like a host of the
 * DNS, addresses go through inet_pton and back, ports are ranged. Invariants:
 * a field is written once, whole or not at all; each search is one pass, each
 * token bounded.
 */
#include "hook/check/explain_impl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TOKEN_MAX 254 /* a name with its dot */
#define LOCAL_MAX 128 /* of an address, as far as we look back */

static bool name_char(char c)
{
	return explain_alnum(c) || c == '.' || c == '-' || c == '_';
}

/* "192.0.2.1" and "4.96" are no names: a top-level domain has a letter. */
static bool is_host(const char *canon)
{
	const char *last = canon, *dot;
	bool letter = false;

	while ((dot = strchr(last, '.')) != NULL && dot[1] != '\0')
		last = dot + 1;
	if (last == canon)
		return false;
	for (; *last != '\0'; last++)
		letter = letter || (*last >= 'a' && *last <= 'z');
	return letter && canon[0] != '-' && canon[0] != '*';
}

/* The name that starts at offset at. */
static bool name_at(struct span s, size_t at, char ret[static DNS_NAME_MAX],
	size_t *ret_end)
{
	char text[TOKEN_MAX + 1], canon[DNS_NAME_MAX];
	struct err err = ERR_INIT;
	size_t n = 0;

	while (at + n < s.n && n < TOKEN_MAX && name_char(s.p[at + n])) {
		text[n] = s.p[at + n];
		n++;
	}
	if (n == 0 || (at + n < s.n && name_char(s.p[at + n])))
		return false;
	while (n > 0 && (text[n - 1] == '.' || text[n - 1] == '-'))
		n--;
	text[n] = '\0';
	if (name_canon(text, canon, &err) != ST_OK || !is_host(canon))
		return false;
	memcpy(ret, canon, sizeof(canon));
	*ret_end = at + n;
	return true;
}

/* The name that ends before offset end. */
static bool name_before(
	struct span s, size_t end, char ret[static DNS_NAME_MAX])
{
	size_t at = end, stop;

	while (at > 0 && end - at < TOKEN_MAX && name_char(s.p[at - 1]))
		at--;
	if (at == end ||
		(at > 0 && (name_char(s.p[at - 1]) || s.p[at - 1] == '@')))
		return false;
	return name_at(s, at, ret, &stop) && stop == end;
}

static bool ip_text(const char *text, char ret[static 64])
{
	unsigned char raw[16];
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	return inet_pton(family, text, raw) == 1 &&
	       inet_ntop(family, raw, ret, 64) != NULL;
}

static bool port_at(struct span s, size_t at, uint16_t *ret, size_t *ret_end)
{
	unsigned int port = 0;
	size_t n = 0;

	while (at + n < s.n && n < 6 && explain_digit(s.p[at + n])) {
		port = port * 10 + (unsigned int)(s.p[at + n] - '0');
		n++;
	}
	if (n == 0 || port == 0 || port > UINT16_MAX ||
		(at + n < s.n && explain_alnum(s.p[at + n])))
		return false;
	*ret = (uint16_t)port;
	*ret_end = at + n;
	return true;
}

/* "192.0.2.1", "192.0.2.1:25", "2001:db8::1:25". The last could be all
 * address; bare, where a port is always said, a last group 25 is the port. */
static bool ip_at(struct span s, size_t at, bool bare, struct endpoint *ret,
	size_t *ret_end)
{
	char text[64], ip[64];
	size_t n = 0, port_end;
	char *colon;
	uint16_t port = 0;

	if (explain_at(s, at, "ipv6:"))
		at += strlen("ipv6:");
	while (at + n < s.n && n < sizeof(text) - 1 &&
		(explain_alnum(s.p[at + n]) || s.p[at + n] == ':' ||
			s.p[at + n] == '.')) {
		text[n] = s.p[at + n];
		n++;
	}
	if (at + n < s.n && (name_char(s.p[at + n]) || s.p[at + n] == '%'))
		return false;
	while (n > 0 && (text[n - 1] == '.' || (n > 1 && text[n - 1] == ':' &&
						       text[n - 2] != ':')))
		n--;
	text[n] = '\0';
	*ret_end = at + n;
	colon = strrchr(text, ':');
	if (colon != NULL &&
		port_at((struct span){ text, n }, (size_t)(colon + 1 - text),
			&port, &port_end) &&
		port_end == n && (!ip_text(text, ip) || (bare && port == 25))) {
		*colon = '\0';
		if (ip_text(text, ret->ip)) {
			ret->port = port;
			return true;
		}
		*colon = ':';
	}
	if (!ip_text(text, ip))
		return false;
	memcpy(ret->ip, ip, sizeof(ip));
	return true;
}

static bool is_open(char c)
{
	return c == '[' || c == '(';
}

/* "[192.0.2.1]", "(192.0.2.1:25)", "[2001:db8::1]:25" at offset at. */
static bool bracketed(struct span s, size_t at, struct endpoint *ret)
{
	struct endpoint e = { .port = 0 };
	size_t end;

	if (at >= s.n || !is_open(s.p[at]) ||
		!ip_at(s, at + 1, false, &e, &end) || end >= s.n ||
		s.p[end] != (s.p[at] == '[' ? ']' : ')'))
		return false;
	if (end + 1 < s.n && s.p[end + 1] == ':')
		(void)port_at(s, end + 2, &e.port, &end);
	memcpy(ret->ip, e.ip, sizeof(e.ip));
	ret->port = e.port;
	return true;
}

static size_t skip_blanks(struct span s, size_t at)
{
	while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\'' ||
				   s.p[at] == '"' || s.p[at] == '<'))
		at++;
	return at;
}

bool explain_endpoint(struct span s, size_t at, struct endpoint *ret)
{
	struct endpoint e = { .port = 0 };
	size_t end, after;

	at = skip_blanks(s, at);
	if (bracketed(s, at, &e) || ip_at(s, at, true, &e, &end)) {
		*ret = e;
		return true;
	}
	if (!name_at(s, at, e.name, &end))
		return false;
	after = skip_blanks(s, end);
	if (!bracketed(s, after, &e) && end < s.n && s.p[end] == ':')
		(void)port_at(s, end + 1, &e.port, &end);
	*ret = e;
	return true;
}

/* Hosts of Exchange's own that it names as the ones that speak. */
static bool is_reporter(const char *canon)
{
	return name_is_under(canon, "prod.outlook.com.") ||
	       name_is_under(canon, "prod.protection.outlook.com.") ||
	       name_is_under(canon, "eop-prd.protection.outlook.com.");
}

static void take(const struct endpoint *e, struct explained *ret)
{
	if (e->name[0] != '\0' &&
		(is_reporter(e->name) ||
			(ret->host[0] != '\0' &&
				strcmp(ret->host, e->name) != 0)))
		return; /* not the host, or another one: nothing is mixed */
	if (ret->host[0] == '\0')
		memcpy(ret->host, e->name, sizeof(ret->host));
	if (ret->ip[0] == '\0')
		memcpy(ret->ip, e->ip, sizeof(ret->ip));
	if (ret->port == 0)
		ret->port = e->port;
}

/* What follows the first key, when it names something. */
static bool take_key(struct span s, const char *key, struct explained *ret)
{
	struct endpoint e;
	size_t at = explain_seek(s, 0, s.n, key);

	if (at == s.n || !explain_endpoint(s, at + strlen(key), &e))
		return false;
	take(&e, ret);
	return true;
}

/* "_25._tcp.mx.example.org" anywhere. */
static void take_owner(struct span s, struct explained *ret)
{
	char owner[DNS_NAME_MAX], host[DNS_NAME_MAX];
	struct err err = ERR_INIT;
	struct endpoint e = { .port = 0 };
	size_t at = explain_seek(s, 0, s.n, "._tcp."), end;

	if (at == s.n)
		return;
	while (at > 0 && explain_digit(s.p[at - 1]))
		at--;
	if (at == 0 || s.p[at - 1] != '_' || !name_at(s, at - 1, owner, &end) ||
		name_split_tlsa(owner, &e.port, host, &err) != ST_OK ||
		!is_host(host))
		return;
	memcpy(e.name, host, sizeof(host));
	take(&e, ret);
}

/* The first "name[address]" or "name (address)"; without any, "[address]". */
static void take_pair(struct span s, struct explained *ret)
{
	struct endpoint alone = { .port = 0 };

	for (size_t at = 0; at < s.n; at++) {
		struct endpoint e = { .port = 0 };

		if (!is_open(s.p[at]) || !bracketed(s, at, &e))
			continue;
		if (at > 0 &&
			name_before(s, at - (s.p[at - 1] == ' '), e.name) &&
			!is_reporter(e.name)) {
			take(&e, ret);
			return;
		}
		if (alone.ip[0] == '\0' && e.name[0] == '\0')
			alone = e;
	}
	take(&alone, ret);
}

void explain_find_host(struct span unit, const struct phrase *ph, size_t at,
	struct explained *ret)
{
	static const char *const keys[] = { "[lastattemptedservername=",
		"[lastattemptedip=", "{fqdn=", "{ip=", "relay=", " h=",
		"remote-mta: dns;", "server at " };
	struct endpoint e;
	size_t quote;

	if (ph != NULL && ph->tail == TAIL_HOST &&
		explain_endpoint(unit, at + strlen(ph->text), &e))
		take(&e, ret);
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		(void)take_key(unit, keys[k], ret);
	if (explain_at(unit, 0, "h="))
		(void)take_key(unit, "h=", ret);
	if (ret->host[0] == '\0')
		take_owner(unit, ret);
	if (ret->host[0] == '\0')
		take_pair(unit, ret);
	/* Exchange: recipient, host, "Remote Server returned '...'" */
	quote = explain_seek(unit, 0, unit.n, " remote server returned");
	if (ret->host[0] == '\0' && quote < unit.n &&
		name_before(unit, quote, e.name) && !is_reporter(e.name))
		memcpy(ret->host, e.name, sizeof(ret->host));
}

/* Domain of the address whose '@' is at offset at; one of the sender or of a
 * message id does not count. */
static bool address_at(struct span s, size_t at, char ret[static DNS_NAME_MAX],
	size_t *ret_end)
{
	static const char *const others[] = { "from=", "sender=", "from:",
		"sender:", "return-path:", "reply-to:", "message-id:", "id=",
		"f=", "<=" };
	char name[DNS_NAME_MAX];
	size_t start = at, low;

	if (at == 0 || s.p[at - 1] == ' ' || s.p[at - 1] == '<' ||
		s.p[at - 1] == '@' || !name_at(s, at + 1, name, ret_end))
		return false;
	while (start > 0 && at - start < LOCAL_MAX && s.p[start - 1] != ' ' &&
		s.p[start - 1] != '<' && s.p[start - 1] != '=' &&
		s.p[start - 1] != ',' && s.p[start - 1] != ';')
		start--;
	low = start > 20 ? start - 20 : 0;
	while (start > low && (s.p[start - 1] == '<' || s.p[start - 1] == ' '))
		start--;
	for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
		size_t n = strlen(others[k]);

		if (start >= n && explain_at(s, start - n, others[k]) &&
			(start == n || !explain_alnum(s.p[start - n - 1])))
			return false;
	}
	memcpy(ret, name, sizeof(name));
	return true;
}

/* First address at or after from and before to; skip: take the one after it,
 * when there is one. */
static bool find_address(struct span s, size_t from, size_t to, bool skip,
	char ret[static DNS_NAME_MAX])
{
	bool found = false;
	size_t end;

	for (size_t at = from; at < to && at < s.n; at++) {
		if (s.p[at] != '@' || !address_at(s, at, ret, &end))
			continue;
		if (!skip)
			return true;
		skip = false;
		found = true;
	}
	return found;
}

static bool take_address(struct span s, const char *key, struct explained *ret)
{
	size_t at = explain_seek(s, 0, s.n, key);

	if (at == s.n)
		return false;
	at += strlen(key);
	return find_address(s, at, at + LOCAL_MAX, false, ret->domain);
}

static const char *const recipient_keys[] = { "final-recipient: rfc822;",
	"original-recipient: rfc822;",
	"x-failed-recipients:", "x-postfix-recipient:" };

void explain_find_domain(struct span unit, const struct phrase *ph, size_t at,
	struct explained *ret)
{
	size_t end;
	/* Accounting of PowerMTA: type,time,...,sender,recipient,... */
	bool csv = unit.n > 3 && (unit.p[1] == ',' || unit.p[2] == ',');

	if (ret->domain[0] != '\0')
		return;
	if (ph != NULL && ph->tail == TAIL_DOMAIN &&
		name_at(unit, at + strlen(ph->text), ret->domain, &end))
		return;
	if (take_address(unit, " to=<", ret))
		return;
	for (size_t k = 0; k < 2; k++)
		if (take_address(unit, recipient_keys[k], ret))
			return;
	(void)find_address(unit, 0, unit.n, csv, ret->domain);
}

void explain_find_status(struct span unit, size_t from, struct explained *ret)
{
	for (size_t at = from; at < unit.n && ret->status[0] == '\0'; at++) {
		unsigned int part[3] = { 0, 0, 0 };
		size_t i = at, k = 0;

		if ((unit.p[at] != '2' && unit.p[at] != '4' &&
			    unit.p[at] != '5') ||
			(at > 0 && (name_char(unit.p[at - 1]) ||
					   unit.p[at - 1] == ':')))
			continue;
		for (; k < 3; k++) {
			size_t first = i;

			while (i < unit.n && i < first + 3 &&
				explain_digit(unit.p[i]))
				part[k] = part[k] * 10 +
					  (unsigned int)(unit.p[i++] - '0');
			if (i == first ||
				(k < 2 && (i >= unit.n || unit.p[i++] != '.')))
				break;
		}
		if (k < 3 || part[0] > 5 ||
			(i < unit.n &&
				(explain_alnum(unit.p[i]) ||
					(unit.p[i] == '.' && i + 1 < unit.n &&
						explain_digit(unit.p[i + 1])))))
			continue;
		(void)snprintf(ret->status, sizeof(ret->status), "%u.%u.%u",
			part[0], part[1], part[2]);
	}
}

void explain_find_fields(struct span doc, struct explained *ret)
{
	static const char *const hosts[] = { "[lastattemptedservername=",
		"[lastattemptedip=", "remote-mta: dns;",
		"{fqdn=", "{ip=", "server at " };
	size_t n = sizeof(recipient_keys) / sizeof(recipient_keys[0]), at;

	for (size_t k = 0; k < n && ret->domain[0] == '\0'; k++)
		(void)take_address(doc, recipient_keys[k], ret);
	if (ret->domain[0] == '\0')
		(void)take_address(doc, "your message to ", ret);
	for (size_t k = 0; k < sizeof(hosts) / sizeof(hosts[0]); k++)
		if (ret->host[0] == '\0' || ret->ip[0] == '\0')
			(void)take_key(doc, hosts[k], ret);
	at = explain_seek(doc, 0, doc.n, "status: ");
	if (ret->status[0] == '\0' && at < doc.n)
		explain_find_status((struct span){ doc.p,
					    at + 20 < doc.n ? at + 20 : doc.n },
			at, ret);
}
