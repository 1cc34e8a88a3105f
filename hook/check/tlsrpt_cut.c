/*
 * Walks JSON that streams in, and cuts out the values that are small enough to
 * be kept: brackets and quotes are counted here, what is between them is
 * judged and read by jansson. Invariants: at most TLSRPT_VALUE_MAX octets are
 * held; each octet is either punctuation that was asked for or went through
 * jansson; errors say line:column of the whole. (RFC 8259)
 */
#include "hook/check/tlsrpt_cut.h"

#include "hook/base/auto.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cut_init(struct cutter *r, struct src *in, struct err *err)
{
	*r = (struct cutter){ .in = in,
		.err = err,
		.text = BUF_INIT(TLSRPT_VALUE_MAX),
		.line = 1,
		.column = 1 };
}

/* ---- octets and errors ---- */

static int next(struct cutter *r)
{
	int c = src_next(r->in);

	if (c == '\n') {
		r->line++;
		r->column = 1;
	} else if (c != SRC_END && (c & 0xc0) != 0x80) {
		r->column++;
	}
	return c;
}

static enum status __attribute__((format(printf, 4, 0)))
bad_at(struct cutter *r, unsigned line, unsigned column, const char *fmt,
	va_list ap)
{
	char text[ERR_TEXT_MAX];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	return err_set(r->err, ST_REFUSED, "%u:%u: %s", line, column, text);
}

/* The last value is not right. */
enum status cut_bad(struct cutter *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)bad_at(r, r->at_line, r->at_column, fmt, ap);
	va_end(ap);
	return ST_REFUSED;
}

/* What comes next is not right, unless the source failed. */
enum status cut_bad_here(struct cutter *r, const char *fmt, ...)
{
	va_list ap;

	if (r->in->st != ST_OK)
		return r->in->st;
	va_start(ap, fmt);
	(void)bad_at(r, r->line, r->column, fmt, ap);
	va_end(ap);
	return ST_REFUSED;
}

enum status cut_no_memory(struct cutter *r)
{
	return err_set(r->err, ST_NOMEM, "out of memory");
}

int cut_peek(struct cutter *r)
{
	int c;

	while ((c = src_peek(r->in)) == ' ' || c == '\t' || c == '\r' ||
		c == '\n')
		(void)next(r);
	return c;
}

enum status cut_expect(struct cutter *r, int want, const char *where)
{
	int c = cut_peek(r);

	if (c == SRC_END)
		return cut_bad_here(r,
			"the report ends too early: '%c' is missing "
			"%s",
			want, where);
	if (c != want)
		return cut_bad_here(r, "'%c' expected %s", want, where);
	(void)next(r);
	return ST_OK;
}

/* ---- cutting ---- */

static enum status keep(struct cutter *r, int c)
{
	char octet = (char)c;

	if (r->text.len >= TLSRPT_VALUE_MAX)
		return cut_bad(r, "a value of more than %zu kB: refused",
			TLSRPT_VALUE_MAX >> 10);
	return buf_append(&r->text, &octet, 1, r->err);
}

/* Takes a string whose opening quote was kept. */
static enum status cut_string(struct cutter *r)
{
	bool escaped = false;
	enum status st = ST_OK;

	while (st == ST_OK) {
		int c = next(r);

		if (c == SRC_END)
			return cut_bad_here(
				r, "the report ends inside a string");
		st = keep(r, c);
		if (c == '"' && !escaped)
			break;
		escaped = c == '\\' && !escaped;
	}
	return st;
}

static enum status cut_nested(struct cutter *r)
{
	enum status st = ST_OK;
	size_t depth = 0;

	do {
		int c = next(r);

		if (c == SRC_END)
			return cut_bad_here(r,
				"the report ends too early: a "
				"bracket that opens at %u:%u is not closed",
				r->at_line, r->at_column);
		st = keep(r, c);
		if (st == ST_OK && c == '"')
			st = cut_string(r);
		else if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
	} while (st == ST_OK && depth > 0);
	return st;
}

/* Cuts out the next value, whatever it is, into r->text. */
static enum status cut(struct cutter *r)
{
	int c = cut_peek(r);
	enum status st = ST_OK;

	r->text.len = 0;
	r->at_line = r->line;
	r->at_column = r->column;
	if (c == '{' || c == '[')
		return cut_nested(r);
	if (c == '"') {
		st = keep(r, next(r));
		return st == ST_OK ? cut_string(r) : st;
	}
	while (c != SRC_END && st == ST_OK &&
		strchr(",]}: \t\r\n", c) == NULL) {
		st = keep(r, next(r));
		c = src_peek(r->in);
	}
	if (st == ST_OK && r->text.len == 0)
		return cut_bad_here(r, "a value is missing");
	return st;
}

/* Cuts out a value and reads it; *ret owned. */
enum status cut_load(struct cutter *r, json_t **ret)
{
	json_error_t e = { .line = 0 };
	enum status st = cut(r);
	json_t *j;

	if (st != ST_OK)
		return st;
	j = json_loadb(buf_str(&r->text), r->text.len,
		JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
	if (j != NULL) {
		*ret = j;
		return ST_OK;
	}
	/* jansson says nothing at all when it has no memory */
	if (json_error_code(&e) == json_error_unknown ||
		json_error_code(&e) == json_error_out_of_memory)
		return cut_no_memory(r);
	if (e.line > 1) {
		r->at_line += (unsigned)e.line - 1;
		r->at_column = (unsigned)e.column;
	} else if (e.column > 0) {
		r->at_column += (unsigned)e.column - 1;
	}
	return cut_bad(r, "%s", e.text);
}

/* ---- walking ---- */

/* The next name of an object (after its brace or a value) into name; false at
 * the end of the object. */
enum status cut_member(
	struct cutter *r, bool *first, bool *ret_more, char *name, size_t len)
{
	enum status st = ST_OK;
	json_auto_t *j = NULL;

	if (cut_peek(r) == '}') {
		(void)next(r);
		*ret_more = false;
		return ST_OK;
	}
	if (!*first)
		st = cut_expect(r, ',', "between two members of an object");
	*first = false;
	if (st == ST_OK && cut_peek(r) != '"')
		st = cut_bad_here(r, "%s",
			cut_peek(r) == SRC_END
				? "the report ends too early: '}' is missing"
				: "a name in quotes is expected here");
	if (st == ST_OK)
		st = cut_load(r, &j);
	if (st == ST_OK)
		st = cut_expect(r, ':', "after the name of a member");
	if (st != ST_OK)
		return st;
	(void)snprintf(name, len, "%s", json_string_value(j));
	*ret_more = true;
	return ST_OK;
}

/* Is there another element (after the bracket or an element)? */
enum status cut_element(struct cutter *r, bool *first, bool *ret_more)
{
	enum status st = ST_OK;

	*ret_more = false;
	if (cut_peek(r) == ']') {
		(void)next(r);
		return ST_OK;
	}
	if (!*first)
		st = cut_expect(r, ',', "between two elements of an array");
	*first = false;
	*ret_more = st == ST_OK;
	return st;
}

/* Reads and drops what we have no use for. */
enum status cut_ignore(struct cutter *r)
{
	json_auto_t *j = NULL;

	return cut_load(r, &j);
}

/* Is the member one of ours and there for the first time? */
enum status cut_once(struct cutter *r, const char *name,
	const char *const known[], size_t n, unsigned *seen, size_t *ret)
{
	for (*ret = 0; *ret < n; ++*ret)
		if (strcmp(name, known[*ret]) == 0)
			break;
	if (*ret == n)
		return ST_OK;
	if (*seen & 1U << *ret)
		return cut_bad(r, "\"%s\" is there twice", name);
	*seen |= 1U << *ret;
	return ST_OK;
}
