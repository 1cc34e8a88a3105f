/*
 * STARTTLS in XMPP, client to server and server to server (RFC 6120 4.2 and 5):
 * stream header, features, <starttls/>, <proceed/>. The client speaks first.
 *
 * A scanner for tags, not an XML parser: it knows where a tag begins and ends,
 * how deep it is, its local name and its attributes, and takes one tag of
 * DIALOGUE_LINE_MAX octets at most. What RFC 6120 11.1 forbids (comments, DTDs,
 * processing instructions) ends the dialogue, so no entity is ever expanded.
 */
#include "hook/tls/probe_dialogue_int.h"

#include <stdio.h>
#include <string.h>

#define NS_TLS "urn:ietf:params:xml:ns:xmpp-tls"
#define BLANKS " \t\r\n"
#define DEPTH_MAX 32
#define SHOWN 60

static bool is_blank(char c)
{
	return c != '\0' && strchr(BLANKS, c) != NULL;
}

static void finish_tag(
	struct dialogue *d, enum dialogue_verdict v, const char *what)
{
	char text[SHOWN + 1];

	dialogue_finish_(d, v, "%s: <%s>", what,
		dialogue_printable(text, sizeof(text), d->line, d->line_len));
}

/* The element's name without its prefix is name. */
static bool is_element(const char *tag, const char *name)
{
	size_t len = strcspn(tag, BLANKS "/");
	const char *colon = memchr(tag, ':', len);

	if (colon != NULL) {
		len -= (size_t)(colon + 1 - tag);
		tag = colon + 1;
	}
	return len == strlen(name) && memcmp(tag, name, len) == 0;
}

struct attribute {
	const char *name, *value;
	size_t name_len, value_len;
};

/* The next attribute at *at, which moves behind it. */
static bool next_attribute(const char **at, struct attribute *ret)
{
	const char *p = *at + strspn(*at, BLANKS);
	char quote;

	ret->name = p;
	ret->name_len = strcspn(p, BLANKS "=");
	p += ret->name_len;
	p += strspn(p, BLANKS);
	if (ret->name_len == 0 || *p != '=')
		return false;
	p++;
	p += strspn(p, BLANKS);
	quote = *p;
	if (quote != '\'' && quote != '"')
		return false;
	ret->value = ++p;
	p = strchr(p, quote);
	if (p == NULL)
		return false;
	ret->value_len = (size_t)(p - ret->value);
	*at = p + 1;
	return true;
}

/* Some namespace that is declared in the tag is TLS's. */
static bool is_tls(const char *tag)
{
	const char *at = tag + strcspn(tag, BLANKS "/");
	struct attribute a;

	while (next_attribute(&at, &a))
		if (a.name_len >= 5 && memcmp(a.name, "xmlns", 5) == 0 &&
			a.value_len == strlen(NS_TLS) &&
			memcmp(a.value, NS_TLS, a.value_len) == 0)
			return true;
	return false;
}

/* Only streams of version 1 have features (RFC 6120 4.7.5). */
static bool has_version(const char *tag)
{
	const char *at = tag + strcspn(tag, BLANKS "/");
	struct attribute a;

	while (next_attribute(&at, &a))
		if (a.name_len == 7 && memcmp(a.name, "version", 7) == 0)
			return a.value_len > 0 && a.value[0] >= '1' &&
			       a.value[0] <= '9';
	return false;
}

static void stream_begins(struct dialogue *d)
{
	if (!is_element(d->line, "stream") || d->step != DIALOGUE_GREETING)
		finish_tag(d, DIALOGUE_PROTOCOL, "not an XMPP stream");
	else if (!has_version(d->line))
		dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
			"its stream has no version 1.0, so no features");
	else
		d->step = DIALOGUE_CAPABILITY;
}

/* A child of the stream. */
static void child_begins(struct dialogue *d)
{
	const char *t = d->line;

	if (is_element(t, "error"))
		d->in_error = true;
	else if (d->step == DIALOGUE_CAPABILITY && is_element(t, "features"))
		d->in_features = true;
	else if (d->step == DIALOGUE_STARTTLS && is_element(t, "proceed") &&
		 is_tls(t))
		d->agreed = true;
	else if (d->step == DIALOGUE_STARTTLS && is_element(t, "failure") &&
		 is_tls(t))
		finish_tag(d, DIALOGUE_NO_STARTTLS, "STARTTLS was refused");
	else
		finish_tag(d, DIALOGUE_PROTOCOL,
			"not what an XMPP server says here");
}

static void element_begins(struct dialogue *d)
{
	switch (d->depth) {
	case 0:
		stream_begins(d);
		break;
	case 1:
		child_begins(d);
		break;
	case 2:
		if (d->in_error)
			finish_tag(d, DIALOGUE_PROTOCOL, "stream error");
		else if (d->in_features && is_element(d->line, "starttls") &&
			 is_tls(d->line))
			d->offered = true;
		break;
	default: /* a depth, no enum */
		break;
	}
	if (++d->depth > DEPTH_MAX)
		dialogue_finish_(
			d, DIALOGUE_PROTOCOL, "XML deeper than %d", DEPTH_MAX);
}

static void stream_ends(struct dialogue *d)
{
	if (d->step == DIALOGUE_CAPABILITY)
		dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
			"it closed the stream without features");
	else
		dialogue_finish_(d, DIALOGUE_PROTOCOL, "it closed the stream");
}

static void element_ends(struct dialogue *d)
{
	if (d->depth == 0) {
		finish_tag(d, DIALOGUE_PROTOCOL, "broken XML");
		return;
	}
	d->depth--;
	if (d->depth == 0) {
		stream_ends(d);
	} else if (d->depth > 1) {
		return;
	} else if (d->in_error) {
		dialogue_finish_(
			d, DIALOGUE_PROTOCOL, "stream error without a reason");
	} else if (d->agreed) {
		dialogue_finish_(d, DIALOGUE_TLS, "agreed");
	} else if (d->in_features) {
		d->in_features = false;
		if (d->offered)
			dialogue_say_(d, DIALOGUE_STARTTLS,
				"<starttls xmlns='" NS_TLS "'/>");
		else
			dialogue_finish_(d, DIALOGUE_NO_STARTTLS,
				"starttls is not among the stream features");
	}
}

static void take_tag(struct dialogue *d)
{
	const char *t = d->line;
	bool empty;

	d->line[d->line_len] = '\0';
	empty = d->line_len > 1 && t[d->line_len - 1] == '/';
	if (t[0] == '?') {
		if (d->step != DIALOGUE_GREETING || d->depth > 0 ||
			strncmp(t, "?xml", 4) != 0 || !is_blank(t[4]))
			finish_tag(d, DIALOGUE_PROTOCOL,
				"a processing instruction");
	} else if (t[0] == '/') {
		element_ends(d);
	} else if (t[0] == '\0' || is_blank(t[0])) {
		finish_tag(d, DIALOGUE_PROTOCOL, "broken XML");
	} else if (t[0] == '!') {
		finish_tag(d, DIALOGUE_PROTOCOL, "what XMPP forbids");
	} else {
		element_begins(d);
		if (empty && d->verdict == DIALOGUE_MORE)
			element_ends(d);
	}
	d->line_len = 0;
	d->markup = false;
}

void dialogue_xmpp_(struct dialogue *d, char c)
{
	if (c == '\0') {
		dialogue_finish_(d, DIALOGUE_PROTOCOL, "a NUL in its answer");
	} else if (!d->markup) {
		if (c == '<')
			d->markup = true;
		else if (d->depth < 2 && !is_blank(c))
			dialogue_finish_(d, DIALOGUE_PROTOCOL,
				"not an XMPP stream: text outside of a tag");
	} else if (d->quote != '\0') {
		if (c == d->quote)
			d->quote = '\0';
		dialogue_put_(d, c);
	} else if (c == '>') {
		take_tag(d);
	} else if (c == '<') {
		finish_tag(d, DIALOGUE_PROTOCOL, "broken XML");
	} else {
		if (c == '\'' || c == '"')
			d->quote = c;
		dialogue_put_(d, c);
	}
}

void dialogue_xmpp_begin_(struct dialogue *d, const char *host)
{
	char to[DIALOGUE_HELO_MAX];

	(void)dialogue_printable(to, sizeof(to), host, strlen(host));
	for (char *p = to; *p != '\0'; p++)
		if (strchr("<>&'\"", *p) != NULL)
			*p = '?';
	dialogue_say_(d, DIALOGUE_GREETING,
		"<?xml version='1.0'?><stream:stream to='%s' version='1.0' "
		"xmlns='jabber:%s' "
		"xmlns:stream='http://etherx.jabber.org/streams'>",
		to, d->proto == PROTO_XMPP ? "client" : "server");
}
