/*
 * Reads certbot's renewal/NAME.conf: the part of configobj's syntax that its
 * writer uses and an operator's editor may leave. Sections nest by the number
 * of brackets; values are scalars or comma lists, plain, quoted by one kind of
 * quote without escapes, or quoted by three over several lines; '#' starts a
 * comment outside quotes.
 *
 * Read only: danelaw never writes this file. What cannot be understood is
 * refused with its line, never guessed, since options would be lost silently.
 */
#include "hook/tls/lineage_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (256 * 1024)
#define ITEMS_MAX 4096
#define VALUES_MAX 256
#define DEPTH_MAX 4

struct reader {
	const char *p, *end; /* the rest of the text */
	unsigned line;
	char *section[DEPTH_MAX];
	size_t depth;
	struct ini *ini;
	struct err *err;
};

void ini_release(struct ini *i)
{
	for (size_t k = 0; k < i->n; k++) {
		struct ini_item *it = &i->item[k];

		for (size_t v = 0; v < it->n; v++)
			free(it->value[v]);
		free(it->value);
		free(it->key);
		free(it->section);
	}
	free(i->item);
	*i = (struct ini){ .item = NULL };
}

const char *ini_get(const struct ini *i, const char *section, const char *key)
{
	for (size_t k = 0; k < i->n; k++)
		if (strcmp(i->item[k].section, section) == 0 &&
			strcmp(i->item[k].key, key) == 0)
			return i->item[k].n > 0 ? i->item[k].value[0] : NULL;
	return NULL;
}

static enum status bad(struct reader *r, const char *what)
{
	return err_set(r->err, ST_REFUSED, "line %u: %s", r->line, what);
}

static enum status no_memory(struct reader *r)
{
	return err_set(r->err, ST_NOMEM, "out of memory");
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* A span of text; p == NULL is none. */
struct span {
	const char *p, *end;
};

static struct span trim(struct span s)
{
	while (s.p < s.end && blank(*s.p))
		s.p++;
	while (s.end > s.p && blank(s.end[-1]))
		s.end--;
	return s;
}

static char *copy(struct span s)
{
	return strndup(s.p, (size_t)(s.end - s.p));
}

static struct span next_line(struct reader *r)
{
	struct span s = { r->p, r->end };
	const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));

	if (nl != NULL)
		s.end = nl;
	r->p = nl != NULL ? nl + 1 : r->end;
	r->line++;
	return s;
}

/* Only a comment, or nothing, may follow. */
static bool is_rest(struct span s)
{
	s = trim(s);
	return s.p == s.end || *s.p == '#';
}

static char *section_path(const struct reader *r)
{
	struct buf b = BUF_INIT(4096);
	struct err ignored = ERR_INIT;
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < r->depth; i++)
		st = buf_printf(
			&b, &ignored, "%s%s", i > 0 ? "/" : "", r->section[i]);
	if (st != ST_OK) {
		buf_release(&b);
		return NULL;
	}
	return buf_take(&b);
}

/* Room for one more item, zeroed, with section and key. */
static enum status add_item(
	struct reader *r, struct span key, struct ini_item **ret)
{
	struct ini_item *grown, *it;

	if (r->ini->n == ITEMS_MAX)
		return bad(r, "too many options");
	grown = realloc(r->ini->item, (r->ini->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return no_memory(r);
	r->ini->item = grown;
	it = &grown[r->ini->n];
	*it = (struct ini_item){
		.section = section_path(r),
		.key = copy(key),
	};
	r->ini->n++; /* from here ini_release cleans up */
	if (it->section == NULL || it->key == NULL)
		return no_memory(r);
	*ret = it;
	return ST_OK;
}

static enum status add_value(
	struct reader *r, struct ini_item *it, struct span v)
{
	char **grown;

	if (it->n == VALUES_MAX)
		return bad(r, "too many values");
	grown = realloc(it->value, (it->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return no_memory(r);
	it->value = grown;
	it->value[it->n] = copy(v);
	if (it->value[it->n] == NULL)
		return no_memory(r);
	it->n++;
	return ST_OK;
}

static enum status read_section(struct reader *r, struct span s)
{
	size_t depth = 0, close = 0;
	struct span name;
	const char *q;

	while (s.p < s.end && (*s.p == '[' || blank(*s.p)))
		depth += *s.p++ == '[';
	name = s;
	if (s.p < s.end && (*s.p == '"' || *s.p == '\'')) {
		q = memchr(s.p + 1, *s.p, (size_t)(s.end - s.p - 1));
		if (q == NULL)
			return bad(r, "section name without closing quote");
		name = (struct span){ s.p + 1, q };
		s.p = q + 1;
	} else {
		q = memchr(s.p, ']', (size_t)(s.end - s.p));
		if (q == NULL)
			return bad(r, "section name without ']'");
		name.end = q;
		name = trim(name);
		s.p = q;
	}
	while (s.p < s.end && (*s.p == ']' || blank(*s.p)))
		close += *s.p++ == ']';
	if (depth != close || depth > DEPTH_MAX || depth > r->depth + 1 ||
		name.p == name.end || !is_rest(s))
		return bad(r, "not a section header");
	while (r->depth >= depth)
		free(r->section[--r->depth]);
	r->section[r->depth] = copy(name);
	if (r->section[r->depth] == NULL)
		return no_memory(r);
	r->depth++;
	return ST_OK;
}

/* Where the three quotes are that end this line, but for a comment. */
static const char *closing(struct span s, char quote)
{
	for (const char *q = s.p; s.end - q >= 3; q++)
		if (q[0] == quote && q[1] == quote && q[2] == quote &&
			is_rest((struct span){ q + 3, s.end }))
			return q;
	return NULL;
}

/* A value in three quotes, which may go on over lines. The text is in one
 * piece, so the value is a span of it. */
static enum status read_triple(
	struct reader *r, struct ini_item *it, struct span s)
{
	const char quote = *s.p;
	struct span v = { s.p + 3, NULL };

	s.p += 3;
	for (;;) {
		v.end = closing(s, quote);
		if (v.end != NULL)
			return add_value(r, it, v);
		if (r->p == r->end)
			return bad(r, "value without closing quotes");
		s = next_line(r);
	}
}

/* One element; *s moves behind it. */
static enum status read_element(
	struct reader *r, struct span *s, struct span *ret)
{
	const char *q;

	if (*s->p == '"' || *s->p == '\'') {
		q = memchr(s->p + 1, *s->p, (size_t)(s->end - s->p - 1));
		if (q == NULL)
			return bad(r, "value without closing quote");
		*ret = (struct span){ s->p + 1, q };
		s->p = q + 1;
	} else {
		for (q = s->p; q < s->end && *q != ',' && *q != '#'; q++)
			;
		*ret = trim((struct span){ s->p, q });
		s->p = q;
	}
	*s = trim(*s);
	if (s->p < s->end && *s->p != ',' && *s->p != '#')
		return bad(r, "text after a closing quote");
	return ST_OK;
}

static enum status read_values(
	struct reader *r, struct ini_item *it, struct span s)
{
	struct span v;
	enum status st;

	s = trim(s);
	if (s.p == s.end || *s.p == '#')
		return add_value(r, it, (struct span){ s.p, s.p });
	/* a single comma is the empty list */
	if (*s.p == ',' && is_rest((struct span){ s.p + 1, s.end }))
		return ST_OK;
	while (s.p < s.end && *s.p != '#') {
		st = read_element(r, &s, &v);
		if (st == ST_OK)
			st = add_value(r, it, v);
		if (st != ST_OK)
			return st;
		if (s.p < s.end && *s.p == ',')
			s.p++;
		s = trim(s);
	}
	return ST_OK;
}

static enum status read_option(struct reader *r, struct span s)
{
	struct ini_item *it = NULL;
	struct span key = s;
	enum status st;
	const char *q;

	if (*s.p == '"' || *s.p == '\'') {
		q = memchr(s.p + 1, *s.p, (size_t)(s.end - s.p - 1));
		if (q == NULL)
			return bad(r, "option name without closing quote");
		key = (struct span){ s.p + 1, q };
		s = trim((struct span){ q + 1, s.end });
		if (s.p == s.end || *s.p != '=')
			return bad(r, "no '=' after the option name");
	} else {
		q = memchr(s.p, '=', (size_t)(s.end - s.p));
		if (q == NULL)
			return bad(r, "neither a section nor NAME = VALUE");
		key.end = q;
		key = trim(key);
		s.p = q;
	}
	s.p++;
	st = add_item(r, key, &it);
	if (st != ST_OK)
		return st;
	s = trim(s);
	if (s.end - s.p >= 3 && (*s.p == '"' || *s.p == '\'') &&
		s.p[1] == *s.p && s.p[2] == *s.p)
		return read_triple(r, it, s);
	return read_values(r, it, s);
}

enum status ini_parse(
	const char *text, size_t len, struct ini *ret, struct err *err)
{
	struct ini ini = { .item = NULL };
	struct reader r = {
		.p = text, .end = text + len, .ini = &ini, .err = err
	};
	enum status st = ST_OK;
	struct span s;

	if (len > TEXT_MAX || memchr(text, '\0', len) != NULL)
		return err_set(err, ST_REFUSED,
			"too large, or holds NUL: not a renewal configuration");
	while (st == ST_OK && r.p < r.end) {
		s = trim(next_line(&r));
		if (s.p == s.end || *s.p == '#')
			continue;
		st = *s.p == '[' ? read_section(&r, s) : read_option(&r, s);
	}
	while (r.depth > 0)
		free(r.section[--r.depth]);
	if (st != ST_OK) {
		ini_release(&ini);
		return st;
	}
	*ret = ini;
	return ST_OK;
}
