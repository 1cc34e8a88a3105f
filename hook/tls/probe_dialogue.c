/*
 * The STARTTLS dialogues of SMTP, IMAP, POP3 and ManageSieve (RFC 3207, 9051,
 * 2595, 5804), and what all dialogues share; those that do not come in lines
 * are probe_ldap.c and probe_xmpp.c. Owns nothing but struct dialogue.
 *
 * Invariants: at most DIALOGUE_TOTAL_MAX octets are taken and at most
 * DIALOGUE_LINE_MAX kept; a verdict is final; DIALOGUE_TLS is only given when
 * the peer's agreement was the last octet that it had sent. What a peer pushes
 * in clear behind its agreement would be read as if TLS had protected it
 * (CVE-2011-0411 and its many children), so that is never success.
 */
#include "hook/tls/probe_dialogue_int.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHOWN 80 /* octets of the peer's text that go into a message */

char *dialogue_printable(
	char *ret, size_t ret_len, const char *data, size_t len)
{
	size_t n = 0;

	if (ret_len == 0)
		return ret;
	for (; n < len && n + 1 < ret_len; n++) {
		unsigned char c = (unsigned char)data[n];

		ret[n] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	ret[n] = '\0';
	return ret;
}

void dialogue_finish_(
	struct dialogue *d, enum dialogue_verdict v, const char *fmt, ...)
{
	va_list ap;

	d->verdict = v;
	va_start(ap, fmt);
	(void)vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
}

/* "what: the peer's line" */
static void finish_line(
	struct dialogue *d, enum dialogue_verdict v, const char *what)
{
	char text[SHOWN + 1];

	dialogue_finish_(d, v, "%s: %s", what,
		dialogue_printable(text, sizeof(text), d->line, d->line_len));
}

void dialogue_say_(
	struct dialogue *d, enum dialogue_step step, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (d->out_sent < d->out_len) {
		dialogue_finish_(
			d, DIALOGUE_PROTOCOL, "it answers before it was asked");
		return;
	}
	d->step = step;
	d->said = true;
	va_start(ap, fmt);
	n = vsnprintf(d->out, sizeof(d->out), fmt, ap);
	va_end(ap);
	d->out_len = n > 0 && (size_t)n < sizeof(d->out) ? (size_t)n : 0;
	d->out_sent = 0;
}

/* The line begins with word (any case), and the word ends there. */
static bool starts(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(line, word, n) == 0 &&
	       (line[n] == '\0' || line[n] == ' ');
}

/* word is one of the blank-separated words of text (any case). */
static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	while (*text != '\0') {
		size_t len = strcspn(text, " \t");

		if (len == n && strncasecmp(text, word, n) == 0)
			return true;
		text += len;
		text += strspn(text, " \t");
	}
	return false;
}

static void smtp_reply(struct dialogue *d, int code)
{
	switch (d->step) {
	case DIALOGUE_GREETING:
		if (code == 220)
			dialogue_say_(
				d, DIALOGUE_CAPABILITY, "EHLO %s\r\n", d->helo);
		else
			finish_line(d, DIALOGUE_PROTOCOL,
				"it does not greet with 220");
		return;
	case DIALOGUE_CAPABILITY:
		if (code / 100 == 5)
			finish_line(
				d, DIALOGUE_NO_STARTTLS, "EHLO was refused");
		else if (code != 250)
			finish_line(d, DIALOGUE_PROTOCOL, "answer to EHLO");
		else if (d->offered)
			dialogue_say_(d, DIALOGUE_STARTTLS, "STARTTLS\r\n");
		else
			dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
				"STARTTLS is not offered after EHLO");
		return;
	case DIALOGUE_STARTTLS:
		if (code == 220)
			dialogue_finish_(d, DIALOGUE_TLS, "agreed");
		else
			finish_line(d, DIALOGUE_NO_STARTTLS,
				"STARTTLS was refused");
		return;
	}
}

static void smtp_line(struct dialogue *d)
{
	const char *l = d->line;
	bool first = d->code == 0;
	int code;

	if (!isdigit((unsigned char)l[0]) || !isdigit((unsigned char)l[1]) ||
		!isdigit((unsigned char)l[2]) || strchr(" -", l[3]) == NULL) {
		finish_line(d, DIALOGUE_PROTOCOL, "not an SMTP reply");
		return;
	}
	code = (l[0] - '0') * 100 + (l[1] - '0') * 10 + (l[2] - '0');
	if (code < 200 || (!first && code != d->code)) {
		finish_line(d, DIALOGUE_PROTOCOL, "not a sane SMTP reply");
		return;
	}
	/* The first line of the answer to EHLO holds a name, not a keyword. */
	if (d->step == DIALOGUE_CAPABILITY && !first && l[3] != '\0' &&
		starts(l + 4, "STARTTLS"))
		d->offered = true;
	if (l[3] == '-') {
		d->code = code;
		return;
	}
	d->code = 0;
	smtp_reply(d, code);
	if ((d->verdict == DIALOGUE_NO_STARTTLS ||
		    d->verdict == DIALOGUE_PROTOCOL) &&
		code != 250)
		d->end_code = code;
}

static void imap_tagged(struct dialogue *d, const char *rest)
{
	bool ok = starts(rest, "OK");

	if (d->step == DIALOGUE_STARTTLS) {
		if (ok)
			dialogue_finish_(d, DIALOGUE_TLS, "agreed");
		else
			finish_line(d, DIALOGUE_NO_STARTTLS,
				"STARTTLS was refused");
		return;
	}
	if (!ok)
		finish_line(d, DIALOGUE_PROTOCOL, "CAPABILITY was refused");
	else if (d->offered)
		dialogue_say_(d, DIALOGUE_STARTTLS, "a002 STARTTLS\r\n");
	else
		dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
			"STARTTLS is not among the capabilities");
}

static void imap_line(struct dialogue *d)
{
	const char *l = d->line;
	const char *tag = d->step == DIALOGUE_STARTTLS ? "a002" : "a001";

	if (starts(l, "* BYE")) {
		finish_line(d, DIALOGUE_PROTOCOL, "it says good-bye");
	} else if (d->step == DIALOGUE_GREETING) {
		if (starts(l, "* OK"))
			dialogue_say_(
				d, DIALOGUE_CAPABILITY, "a001 CAPABILITY\r\n");
		else if (starts(l, "* PREAUTH"))
			finish_line(d, DIALOGUE_NO_STARTTLS,
				"logged in already, so no STARTTLS");
		else
			finish_line(
				d, DIALOGUE_PROTOCOL, "not an IMAP greeting");
	} else if (starts(l, tag) && l[4] == ' ') {
		imap_tagged(d, l + 5);
	} else if (starts(l, "* CAPABILITY")) {
		d->offered = has_word(l + 12, "STARTTLS");
	} else if (!starts(l, "*")) {
		finish_line(d, DIALOGUE_PROTOCOL, "not an IMAP response");
	}
}

static void pop3_line(struct dialogue *d)
{
	const char *l = d->line;
	bool ok = starts(l, "+OK");

	if (d->listing) {
		if (strcmp(l, ".") == 0) {
			d->listing = false;
			if (d->offered)
				dialogue_say_(d, DIALOGUE_STARTTLS, "STLS\r\n");
			else
				dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
					"STLS is not among the capabilities");
		} else if (starts(l, "STLS")) {
			d->offered = true;
		}
		return;
	}
	if (!ok && !starts(l, "-ERR")) {
		finish_line(d, DIALOGUE_PROTOCOL, "not a POP3 response");
		return;
	}
	switch (d->step) {
	case DIALOGUE_GREETING:
		if (ok)
			dialogue_say_(d, DIALOGUE_CAPABILITY, "CAPA\r\n");
		else
			finish_line(d, DIALOGUE_PROTOCOL, "it refuses service");
		return;
	case DIALOGUE_CAPABILITY:
		/* CAPA is optional (RFC 2449); then STLS itself is the test. */
		if (ok)
			d->listing = true;
		else
			dialogue_say_(d, DIALOGUE_STARTTLS, "STLS\r\n");
		return;
	case DIALOGUE_STARTTLS:
		if (ok)
			dialogue_finish_(d, DIALOGUE_TLS, "agreed");
		else
			finish_line(
				d, DIALOGUE_NO_STARTTLS, "STLS was refused");
		return;
	}
}

static void sieve_line(struct dialogue *d)
{
	const char *l = d->line;

	if (l[0] == '"') {
		if (d->step != DIALOGUE_GREETING)
			finish_line(d, DIALOGUE_PROTOCOL,
				"a capability out of turn");
		else if (strncasecmp(l, "\"STARTTLS\"", 10) == 0)
			d->offered = true;
		return;
	}
	if (starts(l, "OK")) {
		if (d->step == DIALOGUE_STARTTLS)
			dialogue_finish_(d, DIALOGUE_TLS, "agreed");
		else if (d->offered)
			dialogue_say_(d, DIALOGUE_STARTTLS, "STARTTLS\r\n");
		else
			dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
				"STARTTLS is not among the capabilities");
		return;
	}
	if (starts(l, "NO") && d->step == DIALOGUE_STARTTLS)
		finish_line(d, DIALOGUE_NO_STARTTLS, "STARTTLS was refused");
	else
		finish_line(d, DIALOGUE_PROTOCOL,
			"not what a ManageSieve server says here");
}

/*
 * RFC 5804: a string may be sent as {N} or {N+} and N octets after the line
 * end. Turns such an end of line into the opening quote of a quoted string, so
 * that sieve_line sees one form only.
 */
static bool sieve_literal(struct dialogue *d)
{
	char *open = strrchr(d->line, '{');
	size_t n = 0, i;

	if (open == NULL || d->line[d->line_len - 1] != '}')
		return false;
	for (i = 1; isdigit((unsigned char)open[i]); i++) {
		n = n * 10 + (size_t)(open[i] - '0');
		if (n > DIALOGUE_TOTAL_MAX) {
			finish_line(d, DIALOGUE_PROTOCOL, "a literal too long");
			return true;
		}
	}
	if (i == 1 || strcmp(open + i + (open[i] == '+'), "}") != 0)
		return false;
	*open = '"';
	d->line_len = (size_t)(open - d->line) + 1;
	d->literal = n;
	return true;
}

void dialogue_put_(struct dialogue *d, char c)
{
	if (d->line_len >= DIALOGUE_LINE_MAX) {
		dialogue_finish_(d, DIALOGUE_PROTOCOL,
			"a line longer than %d octets", DIALOGUE_LINE_MAX);
		return;
	}
	d->line[d->line_len++] = c;
}

static void take_line(struct dialogue *d)
{
	if (d->line_len > 0 && d->line[d->line_len - 1] == '\r')
		d->line_len--;
	d->line[d->line_len] = '\0';
	/* A NUL would end every comparison below early. */
	if (memchr(d->line, '\0', d->line_len) != NULL) {
		finish_line(d, DIALOGUE_PROTOCOL, "a NUL in its answer");
		return;
	}
	switch (d->proto) {
	case PROTO_SMTP:
		smtp_line(d);
		break;
	case PROTO_IMAP:
		imap_line(d);
		break;
	case PROTO_POP3:
		pop3_line(d);
		break;
	case PROTO_SIEVE:
		if (d->line_len > 0 && sieve_literal(d))
			return;
		sieve_line(d);
		break;
	case PROTO_TLS:
	case PROTO_LDAP:
	case PROTO_XMPP:
	case PROTO_XMPP_SERVER:
		break; /* not in lines */
	}
	d->line_len = 0;
}

static void line_octet(struct dialogue *d, char c)
{
	if (d->literal > 0) {
		/* A line end inside would split the line we rebuild. */
		dialogue_put_(d, c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
		d->literal--;
		if (d->literal > 0)
			return;
		if (d->verdict == DIALOGUE_MORE)
			dialogue_put_(d, '"');
		return;
	}
	if (c == '\n')
		take_line(d);
	else
		dialogue_put_(d, c);
}

static void take_octet(struct dialogue *d, char c)
{
	switch (d->proto) {
	case PROTO_LDAP:
		dialogue_ldap_(d, c);
		return;
	case PROTO_XMPP:
	case PROTO_XMPP_SERVER:
		dialogue_xmpp_(d, c);
		return;
	case PROTO_SMTP:
	case PROTO_TLS:
	case PROTO_IMAP:
	case PROTO_POP3:
	case PROTO_SIEVE:
		line_octet(d, c);
		return;
	}
}

void dialogue_init(struct dialogue *d, enum probe_proto proto, const char *helo,
	const char *host)
{
	memset(d, 0, sizeof(*d));
	d->proto = proto;
	(void)dialogue_printable(d->helo, sizeof(d->helo), helo, strlen(helo));
	d->verdict = proto == PROTO_TLS ? DIALOGUE_TLS : DIALOGUE_MORE;
	if (proto == PROTO_LDAP)
		dialogue_ldap_begin_(d);
	else if (proto == PROTO_XMPP || proto == PROTO_XMPP_SERVER)
		dialogue_xmpp_begin_(d, host);
}

/* A server waits for our answer; IMAP may add what it likes to a response, and
 * XML may have a blank behind it (what else is there is judged by itself). */
static bool may_go_on(const struct dialogue *d)
{
	return d->proto == PROTO_IMAP || d->proto == PROTO_XMPP ||
	       d->proto == PROTO_XMPP_SERVER;
}

enum dialogue_verdict dialogue_feed(
	struct dialogue *d, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (d->verdict == DIALOGUE_TLS) {
			d->agreed = true;
			dialogue_finish_(d, DIALOGUE_PROTOCOL,
				"%zu octets in clear after it agreed to TLS "
				"(injection)",
				len - i);
			break;
		}
		if (d->verdict != DIALOGUE_MORE)
			break;
		if (++d->total > DIALOGUE_TOTAL_MAX) {
			dialogue_finish_(d, DIALOGUE_PROTOCOL,
				"more than %d octets before TLS",
				DIALOGUE_TOTAL_MAX);
			break;
		}
		d->said = false;
		take_octet(d, data[i]);
		if (d->verdict == DIALOGUE_TLS && d->out_sent < d->out_len) {
			dialogue_finish_(d, DIALOGUE_PROTOCOL,
				"it agreed before it was asked");
			break;
		}
		if (d->said && i + 1 < len && !may_go_on(d))
			dialogue_finish_(d, DIALOGUE_PROTOCOL,
				"it speaks out of turn (%zu octets)",
				len - i - 1);
	}
	return d->verdict;
}
