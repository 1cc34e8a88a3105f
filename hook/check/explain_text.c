/*
 * From a log or a bounce as it was pasted to clean units of text: UTF-16 and
 * quoted-printable undone, the commonest HTML taken out, folded lines joined,
 * blanks made single. Everything that is not printable ASCII becomes a blank
 * or one of two marks, so that what comes later sees no control character.
 * Invariants: each pass writes at or behind where it reads, so nothing grows;
 * each octet is looked at a bounded number of times. (RFC 2045 6.7, RFC 5322
 * 2.2.3)
 */
#include "hook/check/explain_impl.h"

#include <string.h>

#define TAG_MAX 256 /* a longer HTML tag stays as it is */

bool explain_at(struct span s, size_t at, const char *lit)
{
	size_t i = 0;

	for (; lit[i] != '\0'; i++)
		if (at + i >= s.n || explain_lower(s.p[at + i]) != lit[i])
			return false;
	return true;
}

size_t explain_seek(struct span s, size_t from, size_t to, const char *lit)
{
	if (to > s.n)
		to = s.n;
	for (; from < to; from++)
		if (explain_at(s, from, lit))
			return from;
	return s.n;
}

static int hex(char c)
{
	if (explain_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Where the line behind a soft break starts; 0: s.p[at] is no soft break. The
 * next line must hold something: base64 ends in '=' too. */
static size_t soft_break(struct span s, size_t at)
{
	size_t i = at + 1;

	while (i < s.n && i < at + 80 && (s.p[i] == ' ' || s.p[i] == '\t'))
		i++;
	if (i < s.n && s.p[i] == '\r')
		i++;
	if (i >= s.n || s.p[i] != '\n')
		return 0;
	i++;
	if (i >= s.n || s.p[i] == '\r' || s.p[i] == '\n')
		return 0;
	return i;
}

/* UTF-16 to octets, soft breaks out, '=XX' where the text says that it is
 * quoted-printable: "delay=20" in a log is no blank. */
static size_t undo_transfer(const char *text, size_t len, char *ret)
{
	const struct span s = { text, len };
	bool wide = len > 1 && (memcmp(text, "\xff\xfe", 2) == 0 ||
				       memcmp(text, "\xfe\xff", 2) == 0);
	bool qp = false;
	size_t n = 0;

	for (size_t i = wide ? 2 : 0; i < len; i++) {
		size_t next;

		if (wide && text[i] == '\0')
			continue;
		if (text[i] == 'q' || text[i] == 'Q')
			qp = qp || explain_at(s, i, "quoted-printable");
		if (text[i] == '=' && (next = soft_break(s, i)) > 0) {
			i = next - 1;
			qp = true;
			continue;
		}
		if (qp && text[i] == '=' && i + 2 < len &&
			hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
			ret[n++] = (char)(hex(text[i + 1]) * 16 +
					  hex(text[i + 2]));
			i += 2;
			continue;
		}
		ret[n++] = text[i];
	}
	return n;
}

static const struct {
	const char *name; /* lower case */
	char is;
} entities[] = {
	{ "lt;", '<' },
	{ "gt;", '>' },
	{ "amp;", '&' },
	{ "quot;", '"' },
	{ "apos;", '\'' },
	{ "nbsp;", ' ' },
};

/* Length of the entity at s.p[at] == '&', 0 when it is none. */
static size_t entity(struct span s, size_t at, char *ret)
{
	unsigned int value = 0, base = 10;
	size_t i = at + 2;

	for (size_t k = 0; k < sizeof(entities) / sizeof(entities[0]); k++) {
		if (!explain_at(s, at + 1, entities[k].name))
			continue;
		*ret = entities[k].is;
		return 1 + strlen(entities[k].name);
	}
	if (!explain_at(s, at + 1, "#"))
		return 0;
	if (explain_at(s, i, "x")) {
		base = 16;
		i++;
	}
	for (; i < s.n && i < at + 10; i++) {
		char c = explain_lower(s.p[i]);
		unsigned int d;

		if (explain_digit(c))
			d = (unsigned int)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			d = (unsigned int)(c - 'a') + 10;
		else
			break;
		value = value * base + d;
	}
	if (i >= s.n || s.p[i] != ';' || value == 0)
		return 0;
	*ret = value < 0x7f ? (char)value : EXPLAIN_BREAK;
	return i + 1 - at;
}

/* Length of the HTML tag at s.p[at] == '<', 0 when it is none that we know:
 * "<user@example.org>" must stay. */
static size_t tag(struct span s, size_t at)
{
	static const char *const names[] = { "br", "wbr", "p", "div", "span",
		"td", "th", "tr", "table", "tbody", "b", "i", "u", "a", "font",
		"strong", "em", "li", "ul", "ol", "pre", "code", "tt", "hr",
		"h1", "h2", "h3", "h4", "html", "body", "center", "img" };
	size_t i = at + 1, start, len;
	bool known = false;

	if (i < s.n && s.p[i] == '/')
		i++;
	start = i;
	while (i < s.n && i < start + 8 && explain_alnum(s.p[i]))
		i++;
	len = i - start;
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		known = known || (strlen(names[k]) == len &&
					 explain_at(s, start, names[k]));
	if (!known || i >= s.n ||
		(s.p[i] != '>' && s.p[i] != ' ' && s.p[i] != '/' &&
			s.p[i] != '\n' && s.p[i] != '\r'))
		return 0;
	for (; i < s.n && i < at + TAG_MAX; i++)
		if (s.p[i] == '>')
			return i + 1 - at;
	return 0;
}

/* What stands for one character above 0x7f; *len: its octets. */
static char foreign(struct span s, size_t at, size_t *len)
{
	unsigned char c = (unsigned char)s.p[at];
	size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;

	*len = 1;
	while (*len < want && at + *len < s.n &&
		((unsigned char)s.p[at + *len] & 0xc0) == 0x80)
		++*len;
	if (*len != want || want == 1 || c > 0xf4)
		return EXPLAIN_BREAK;
	if (c == 0xc2 && (unsigned char)s.p[at + 1] == 0xa0)
		return ' ';
	/* Latin, Greek, Cyrillic ...: part of a word; CJK is written without
	 * blanks around names, so it separates. */
	return want == 2 && c >= 0xc3 ? EXPLAIN_LETTER : EXPLAIN_BREAK;
}

/* In place: only '\n', printable ASCII and the marks are left. */
static size_t undo_markup(char *text, size_t len)
{
	const struct span s = { text, len };
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		size_t used = 1;
		char c = text[i];

		if (c == '&') {
			used = entity(s, i, &c);
			used = used > 0 ? used : 1;
		} else if (c == '<') {
			used = tag(s, i);
			if (used > 0 && (n == 0 || text[n - 1] == '\n')) {
				i += used; /* no margin that means folding */
				continue;
			}
			c = used > 0 ? ' ' : '<';
			used = used > 0 ? used : 1;
		} else if ((unsigned char)c >= 0x80) {
			c = foreign(s, i, &used);
		}
		if (c != '\n' && c != EXPLAIN_BREAK && c != EXPLAIN_LETTER &&
			(c < ' ' || c > '~'))
			c = ' ';
		/* The marks can be in the input too. */
		if (used == 1 && text[i] == EXPLAIN_LETTER)
			c = EXPLAIN_BREAK;
		text[n++] = c;
		i += used;
	}
	return n;
}

/* pattern: '0' a digit, 'a' a letter, else itself. */
static bool shape(struct span s, size_t at, const char *pattern)
{
	for (; *pattern != '\0'; pattern++, at++) {
		char c = at < s.n ? s.p[at] : '\0';

		if (*pattern == '0' ? !explain_digit(c)
			: *pattern == 'a'
				? !explain_alnum(c) || explain_digit(c)
				: c != *pattern)
			return false;
	}
	return true;
}

bool explain_is_log(struct span unit)
{
	static const char *const shapes[] = { "aaa 00 00:00:00",
		"aaa  0 00:00:00", "aaa 0 00:00:00", "0000-00-00", "0000/00/00",
		"00/00/0000", "0/00/0000", "00/0/0000", "0/0/0000",
		"00.00.0000", "a,0000-00-00", "aa,0000-00-00" };
	static const char *const starts[] = {
		"tls: ", "posttls-finger: ", "h="
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shape(unit, 0, shapes[i]))
			return true;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (explain_at(unit, 0, starts[i]))
			return true;
	/* After the name of a host, or of a container. */
	for (size_t i = 0; i < unit.n && i < 100 && unit.p[i] != '\n'; i++)
		if ((i == 0 || unit.p[i - 1] == ' ') &&
			(explain_at(unit, i, "postfix/") ||
				explain_at(unit, i, "exim[")))
			return true;
	return false;
}

/* "<user@example.org>: ..." starts the part of one recipient. */
static bool starts_recipient(struct span line)
{
	bool at_sign = false;

	if (line.n == 0 || line.p[0] != '<')
		return false;
	for (size_t i = 1; i < line.n && i < 330; i++) {
		if (line.p[i] == ' ' || line.p[i] == '\n')
			return false;
		at_sign = at_sign || line.p[i] == '@';
		if (line.p[i] == '>')
			return at_sign && explain_at(line, i, ">:");
	}
	return false;
}

/* Leading blanks and the marks of a quoted mail. */
static size_t skip_margin(struct span s, size_t at)
{
	while (at < s.n && (s.p[at] == ' ' || s.p[at] == '>' || s.p[at] == '|'))
		at++;
	return at;
}

static size_t trim(const char *text, size_t n)
{
	while (n > 0 && text[n - 1] == ' ')
		n--;
	return n;
}

/* In place: lines to units. */
static size_t unfold(char *text, size_t len)
{
	const struct span s = { text, len };
	bool fresh = true; /* the next line starts a unit */
	size_t n = 0, i = 0;

	while (i < len) {
		bool indented = text[i] == ' ';
		struct span line;

		i = skip_margin(s, i);
		if (i >= len)
			break;
		if (text[i] == '\n') {
			fresh = true;
			i++;
			continue;
		}
		line = (struct span){ text + i, len - i };
		if (!indented &&
			(explain_is_log(line) || starts_recipient(line)))
			fresh = true;
		if (n > 0) {
			n = trim(text, n);
			text[n++] = fresh ? '\n' : ' ';
		}
		fresh = false;
		for (; i < len && text[i] != '\n'; i++)
			if (text[i] != ' ' || (n > 0 && text[n - 1] != ' '))
				text[n++] = text[i];
		i += i < len; /* the line end itself */
	}
	n = trim(text, n);
	if (n > 0 && text[n - 1] != '\n')
		text[n++] = '\n';
	return n;
}

size_t explain_clean(const char *text, size_t len, char *ret)
{
	return unfold(ret, undo_markup(ret, undo_transfer(text, len, ret)));
}
