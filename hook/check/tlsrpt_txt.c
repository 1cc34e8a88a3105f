/*
 * Lint of the TXT records at _smtp._tls (RFC 8460 3). Pure. What senders do is
 * the measure: strings of a record are joined, records that do not begin with
 * v=TLSRPTv1; are dropped, exactly one must remain. Each slip that is common
 * has a sentence of its own, so the operator need not read the grammar.
 */
#include "hook/check/tlsrpt_txt.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VERSION "v=TLSRPTv1;"
#define EXT_NAME_MAX 32

struct lint {
	char *why;
	size_t len;
};

static enum tlsrpt_txt __attribute__((format(printf, 3, 4)))
say(const struct lint *l, enum tlsrpt_txt what, const char *fmt, ...)
{
	va_list ap;

	if (l->len == 0)
		return what;
	va_start(ap, fmt);
	(void)vsnprintf(l->why, l->len, fmt, ap);
	va_end(ap);
	for (char *p = l->why; *p != '\0'; p++)
		if (*p < 0x20 || *p >= 0x7f)
			*p = '?';
	return what;
}

#define INVALID(l, ...) say(l, TLSRPT_TXT_INVALID, __VA_ARGS__)

/* ---- a piece of text ---- */

struct piece {
	const char *p;
	size_t n;
};

static bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static struct piece trim(struct piece a)
{
	while (a.n > 0 && is_wsp(a.p[0])) {
		a.p++;
		a.n--;
	}
	while (a.n > 0 && is_wsp(a.p[a.n - 1]))
		a.n--;
	return a;
}

/* Takes up to the separator (or the end) from *rest; *ret_more: there was one.
 */
static struct piece split(struct piece *rest, char at, bool *ret_more)
{
	const char *end = memchr(rest->p, at, rest->n);
	struct piece a = *rest;

	*ret_more = end != NULL;
	if (end != NULL)
		a.n = (size_t)(end - rest->p);
	rest->p += a.n + *ret_more;
	rest->n -= a.n + *ret_more;
	return a;
}

static bool begins(struct piece a, const char *with)
{
	size_t n = strlen(with);

	return a.n >= n && memcmp(a.p, with, n) == 0;
}

static bool begins_case(struct piece a, const char *with)
{
	size_t n = strlen(with);

	return a.n >= n && strncasecmp(a.p, with, n) == 0;
}

static bool has(struct piece a, char c)
{
	return memchr(a.p, c, a.n) != NULL;
}

/* For messages. */
#define SHOW(a) (int)((a).n < 60 ? (a).n : 60), (a).p

/* ---- URIs ---- */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	       (c >= 'A' && c <= 'F');
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

static enum tlsrpt_txt lint_characters(const struct lint *l, struct piece u)
{
	if (has(u, '!'))
		return INVALID(l,
			"\"%.*s\": '!' in a URI of rua must be written %%21 (a "
			"size limit as in DMARC does not exist here)",
			SHOW(u));
	for (size_t i = 0; i < u.n; i++) {
		if (u.p[i] == '%' && (i + 2 >= u.n || !is_hex(u.p[i + 1]) ||
					     !is_hex(u.p[i + 2])))
			return INVALID(l,
				"\"%.*s\": '%%' without two hexadecimal digits "
				"in a URI of rua",
				SHOW(u));
		if (u.p[i] <= 0x20 || u.p[i] >= 0x7f ||
			strchr("\"<>\\^`{|}", u.p[i]) != NULL)
			return INVALID(l,
				"\"%.*s\": a character that no URI may hold "
				"in rua (at its position %zu)",
				SHOW(u), i + 1);
	}
	return TLSRPT_TXT_OK;
}

static enum tlsrpt_txt lint_mailto(const struct lint *l, struct piece u)
{
	struct piece a = { u.p + 7, u.n - 7 };
	struct piece rest, local, domain;
	bool more;

	if (begins(a, "//"))
		return INVALID(
			l, "\"%.*s\": mailto: is not followed by //", SHOW(u));
	rest = a;
	a = split(&rest, '?', &more); /* mailto:x@y?subject=z */
	rest = a;
	local = split(&rest, '@', &more);
	domain = rest;
	if (!more || local.n == 0 || domain.n == 0 || has(domain, '@'))
		return INVALID(l,
			"\"%.*s\": mailto: needs one address, user@domain "
			"(a ',' or ';' inside it must be written %%2C, %%3B)",
			SHOW(u));
	for (size_t i = 0; i < domain.n; i++)
		if (!is_alnum(domain.p[i]) &&
			strchr("-._", domain.p[i]) == NULL)
			return INVALID(l,
				"\"%.*s\": what follows '@' is no domain",
				SHOW(u));
	return TLSRPT_TXT_OK;
}

static enum tlsrpt_txt lint_https(const struct lint *l, struct piece u)
{
	char first = u.n > 8 ? u.p[8] : '\0';

	if (!begins(((struct piece){ u.p + 6, u.n - 6 }), "//") ||
		(!is_alnum(first) && first != '['))
		return INVALID(l, "\"%.*s\": https: needs //HOST/...", SHOW(u));
	return TLSRPT_TXT_OK;
}

/* Length of the scheme without its colon; 0 when there is none. */
static size_t scheme_len(struct piece u)
{
	size_t n = 0;

	while (n < u.n && (is_alnum(u.p[n]) || strchr("+-.", u.p[n]) != NULL))
		n++;
	return n > 0 && n < u.n && u.p[n] == ':' &&
			       !(u.p[0] >= '0' && u.p[0] <= '9')
		       ? n
		       : 0;
}

static enum tlsrpt_txt lint_uri(
	const struct lint *l, struct piece u, bool *usable)
{
	size_t scheme = scheme_len(u);

	if (u.n == 0)
		return INVALID(l, "rua holds an empty URI: take out the comma "
				  "that is too many");
	if (begins_case(u, "http:"))
		return INVALID(l,
			"\"%.*s\": reports go to https:, never to http:",
			SHOW(u));
	if (scheme == 0 && has(u, '@'))
		return INVALID(l,
			"\"%.*s\" lacks mailto: write rua=mailto:%.*s", SHOW(u),
			SHOW(u));
	if (scheme == 0)
		return INVALID(l,
			"\"%.*s\" in rua is no URI: mailto:ADDRESS or "
			"https://HOST/PATH is expected",
			SHOW(u));
	if (lint_characters(l, u) != TLSRPT_TXT_OK)
		return TLSRPT_TXT_INVALID;
	if (begins_case(u, "mailto:")) {
		*usable = true;
		return lint_mailto(l, u);
	}
	if (begins_case(u, "https:")) {
		*usable = true;
		return lint_https(l, u);
	}
	return TLSRPT_TXT_OK; /* a scheme of the future: senders skip it */
}

static enum tlsrpt_txt lint_rua(const struct lint *l, struct piece value)
{
	bool more = true, usable = false;

	if (value.n == 0)
		return INVALID(l, "rua is empty: rua=mailto:ADDRESS or "
				  "rua=https://HOST/PATH is expected");
	while (more) {
		struct piece u = trim(split(&value, ',', &more));

		if (lint_uri(l, u, &usable) != TLSRPT_TXT_OK)
			return TLSRPT_TXT_INVALID;
	}
	if (!usable)
		return INVALID(l, "rua holds neither a mailto: nor an https: "
				  "URI: no sender can deliver a report");
	return TLSRPT_TXT_OK;
}

/* ---- fields ---- */

static enum tlsrpt_txt lint_extension(
	const struct lint *l, struct piece name, struct piece value)
{
	bool ok = name.n > 0 && name.n <= EXT_NAME_MAX && is_alnum(name.p[0]);

	for (size_t i = 1; i < name.n && ok; i++)
		ok = is_alnum(name.p[i]) || strchr("_-.", name.p[i]) != NULL;
	if (!ok)
		return INVALID(l, "\"%.*s\" is no name of a field", SHOW(name));
	ok = value.n > 0;
	for (size_t i = 0; i < value.n && ok; i++)
		ok = value.p[i] > 0x20 && value.p[i] < 0x7f &&
		     value.p[i] != '=';
	if (!ok)
		return INVALID(l,
			"the value of the field \"%.*s\" is empty or holds a "
			"blank, '=' or a character that is not ASCII",
			SHOW(name));
	return TLSRPT_TXT_OK; /* unknown fields are ignored */
}

static enum tlsrpt_txt lint_field(
	const struct lint *l, struct piece field, bool *had_rua)
{
	struct piece value = field, name;
	bool more;

	name = split(&value, '=', &more);
	if (!more)
		return INVALID(l,
			"\"%.*s\" is no field: NAME=VALUE is expected",
			SHOW(field));
	if (is_wsp(name.n > 0 ? name.p[name.n - 1] : 'x') ||
		is_wsp(value.n > 0 ? value.p[0] : 'x'))
		return INVALID(l,
			"blanks around '=' in \"%.*s\": take them out",
			SHOW(field));
	if (name.n == 3 && strncasecmp(name.p, "rua", 3) == 0) {
		if (memcmp(name.p, "rua", 3) != 0)
			return INVALID(l,
				"\"%.*s\" must be written in lower case: rua",
				SHOW(name));
		if (*had_rua)
			return INVALID(l, "rua is there twice: join the URIs "
					  "with a comma in one rua");
		*had_rua = true;
		return lint_rua(l, value);
	}
	if (name.n == 3 && strncasecmp(name.p, "ruf", 3) == 0)
		return INVALID(l, "ruf is a field of DMARC; TLS-RPT has rua "
				  "only");
	return lint_extension(l, name, value);
}

static enum tlsrpt_txt lint_record(const struct lint *l, struct piece rest)
{
	bool more = true, had_rua = false;

	rest.p += strlen(VERSION);
	rest.n -= strlen(VERSION);
	while (more) {
		struct piece f = trim(split(&rest, ';', &more));

		if (f.n == 0 && !more)
			break; /* one at the end is fine */
		if (f.n == 0)
			return INVALID(l, "two ';' with nothing between them: "
					  "take one out");
		if (lint_field(l, f, &had_rua) != TLSRPT_TXT_OK)
			return TLSRPT_TXT_INVALID;
	}
	if (!had_rua)
		return INVALID(l, "rua is missing: add rua=mailto:ADDRESS or "
				  "rua=https://HOST/PATH");
	return TLSRPT_TXT_OK;
}

/* ---- records ---- */

/* Joins the strings of a TXT RDATA into text (which has room: RDATA is longer).
 * False when the lengths do not add up. */
static bool join(const struct rdata *rr, char *text, size_t max, size_t *ret_n)
{
	size_t n = 0;

	for (size_t i = 0; i < rr->len;) {
		size_t len = rr->data[i++];

		if (len > rr->len - i || len > max - n)
			return false;
		memcpy(text + n, rr->data + i, len);
		n += len;
		i += len;
	}
	*ret_n = n;
	return true;
}

/* Skips what people put before the version, and blanks inside it: is this
 * meant to be the record? Then *ret_rest is what follows the version. */
static bool meant(struct piece a, struct piece *ret_rest)
{
	static const char letters[] = "v=tlsrptv1";
	const char *want = letters;

	while (a.n > 0 && (is_wsp(a.p[0]) || strchr("\"';", a.p[0]) != NULL) &&
		a.p[0] != '\0') {
		a.p++;
		a.n--;
	}
	while (a.n > 0 && *want != '\0') {
		char c = a.p[0];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == *want)
			want++;
		else if (!is_wsp(c))
			break;
		a.p++;
		a.n--;
	}
	*ret_rest = a;
	/* "v=TLSRPT1", "v=TLSRPTv2" and "v=TLSRPT" are meant as well */
	return want - letters >= 8;
}

static void say_slip(const struct lint *l, struct piece a, struct piece rest)
{
	struct piece t = trim(a);

	if (begins(a, "v=TLSRPTv1")) {
		if (rest.n > 0 && trim(rest).n > 0 && trim(rest).p[0] == ';')
			(void)say(l, TLSRPT_TXT_NONE,
				"a blank stands before the first ';' in "
				"\"%.*s\": senders drop the record unless it "
				"begins with exactly " VERSION,
				SHOW(a));
		else
			(void)say(l, TLSRPT_TXT_NONE,
				"the ';' after v=TLSRPTv1 is missing in "
				"\"%.*s\": senders drop the record",
				SHOW(a));
	} else if (begins_case(t, "v=TLSRPTv1") && !begins(t, "v=TLSRPTv1")) {
		(void)say(l, TLSRPT_TXT_NONE,
			"\"%.*s\" is in the wrong case: it must begin with "
			"exactly " VERSION,
			SHOW(a));
	} else if (t.n > 0 && (t.p[0] == '"' || t.p[0] == '\'')) {
		(void)say(l, TLSRPT_TXT_NONE,
			"the record has quotes in its data (%.*s): it must "
			"begin with exactly " VERSION,
			SHOW(a));
	} else if (begins(t, VERSION)) {
		(void)say(l, TLSRPT_TXT_NONE,
			"the record begins with a blank (\"%.*s\"): it must "
			"begin with exactly " VERSION,
			SHOW(a));
	} else {
		(void)say(l, TLSRPT_TXT_NONE,
			"\"%.*s\" looks like TLS-RPT and is dropped by "
			"senders: it must begin with exactly " VERSION
			" (no blanks)",
			SHOW(a));
	}
}

enum tlsrpt_txt tlsrpt_txt_lint(
	const struct rdata *rr, size_t n, char *ret_why, size_t len)
{
	const struct lint l = { .why = ret_why, .len = len };
	char text[65536], slip_text[128];
	struct piece a, rest, slip = { NULL, 0 };
	size_t good = 0, at = 0, torn = 0;

	if (len > 0)
		ret_why[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		a = (struct piece){ text, 0 };
		if (!join(&rr[i], text, sizeof(text), &a.n)) {
			torn++;
		} else if (begins(a, VERSION)) {
			good++;
			at = i;
		} else if (slip.p == NULL && meant(a, &rest)) {
			slip = (struct piece){ slip_text,
				a.n < sizeof(slip_text) ? a.n
							: sizeof(slip_text) };
			memcpy(slip_text, text, slip.n);
		}
	}
	if (good > 1)
		return say(&l, TLSRPT_TXT_MANY,
			"%zu records begin with " VERSION
			": senders ignore all of them; keep one",
			good);
	if (good == 1) {
		a = (struct piece){ text, 0 };
		(void)join(&rr[at], text, sizeof(text), &a.n);
		return lint_record(&l, a);
	}
	if (slip.p != NULL && meant(slip, &rest)) {
		say_slip(&l, slip, rest);
		return TLSRPT_TXT_NONE;
	}
	if (torn > 0)
		return say(&l, TLSRPT_TXT_NONE,
			"a TXT record cannot be read: the lengths of its "
			"strings do not add up");
	return say(&l, TLSRPT_TXT_NONE,
		n == 0 ? "there is no TXT record: publish " VERSION
			 " rua=mailto:ADDRESS to receive reports"
		       : "no TXT record begins with " VERSION
			 " : publish one, with rua=mailto:ADDRESS");
}
