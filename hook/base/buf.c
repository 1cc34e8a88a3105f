/* The growing buffer; every user names a limit, so nothing from outside can
 * make us grow without end. */
#include "hook/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status reserve(struct buf *b, size_t more, struct err *err)
{
	size_t need, cap = b->cap ? b->cap : 256;
	char *p;

	if (more > b->max || b->len > b->max - more)
		return err_set(err, ST_REFUSED,
			"more than %zu bytes: refused as too large", b->max);
	need = b->len + more + 1;
	if (need <= b->cap)
		return ST_OK;
	while (cap < need)
		cap *= 2;
	/* Not realloc: the old block may hold a key and must be wiped. */
	p = malloc(cap);
	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (b->data != NULL) {
		memcpy(p, b->data, b->len + 1);
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	b->data = p;
	b->cap = cap;
	return ST_OK;
}

enum status buf_append(
	struct buf *b, const void *data, size_t len, struct err *err)
{
	enum status st = reserve(b, len, err);

	if (st != ST_OK)
		return st;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return ST_OK;
}

enum status buf_printf(struct buf *b, struct err *err, const char *fmt, ...)
{
	enum status st;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_set(err, ST_BUG, "cannot format text");
	st = reserve(b, (size_t)n, err);
	if (st != ST_OK)
		return st;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return ST_OK;
}

void buf_clear(struct buf *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->cap);
	b->len = 0;
}

void buf_release(struct buf *b)
{
	buf_clear(b);
	free(b->data);
	b->data = NULL;
	b->cap = 0;
}

char *buf_take(struct buf *b)
{
	char *p = b->data;

	if (p == NULL)
		return calloc(1, 1);
	b->data = NULL;
	b->len = b->cap = 0;
	return p;
}

const char *buf_str(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}
