/*
 * A cutter for long JSON (see tlsrpt_cut.c). All functions write errors as
 * "line:column: what" to the err given to cut_init; a failure of the source
 * below comes through as it is.
 */
#ifndef DANELAW_CHECK_TLSRPT_CUT_H
#define DANELAW_CHECK_TLSRPT_CUT_H

#include "hook/check/tlsrpt_input.h"

#include <jansson.h>

struct cutter {
	struct src *in;
	struct err *err;
	struct buf text;             /* the value that was cut out last */
	unsigned line, column;       /* of the next character */
	unsigned at_line, at_column; /* where that value begins */
	size_t rows_left;            /* the reader's own */
	size_t hosts_left;
};

void cut_init(struct cutter *r, struct src *in, struct err *err);

/* The last value is not right. Returns ST_REFUSED. */
enum status cut_bad(struct cutter *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* What comes next is not right, unless the source failed. */
enum status cut_bad_here(struct cutter *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
enum status cut_no_memory(struct cutter *r);

/* Skips blanks; the next character (not taken) or SRC_END. */
int cut_peek(struct cutter *r);
/* Takes want. where: "to begin the report". */
enum status cut_expect(struct cutter *r, int want, const char *where);
/* Takes the next value, whatever it is; *ret owned. */
enum status cut_load(struct cutter *r, json_t **ret);
/* Takes and drops it. */
enum status cut_ignore(struct cutter *r);

/* After '{' (*first true) or a value: the name and colon of the next member,
 * or the closing brace and *ret_more false. A long name is cut off. */
enum status cut_member(
	struct cutter *r, bool *first, bool *ret_more, char *name, size_t len);
/* After '[' or an element: the comma, or the closing bracket. */
enum status cut_element(struct cutter *r, bool *first, bool *ret_more);
/* *ret = index of name in known, n when it is none of them; an error when it
 * was seen before. */
enum status cut_once(struct cutter *r, const char *name,
	const char *const known[], size_t n, unsigned *seen, size_t *ret);

#endif
