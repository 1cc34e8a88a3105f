/* A growing byte buffer that names its limit. Always NUL-terminated once it
 * holds anything; len does not count the NUL. */
#ifndef DANELAW_BASE_BUF_H
#define DANELAW_BASE_BUF_H

#include "hook/base/err.h"

#include <stddef.h>

struct buf {
	char *data; /* NULL while empty */
	size_t len;
	size_t cap;
	size_t max;
};

#define BUF_INIT(limit) \
	{ \
		.data = NULL, .len = 0, .cap = 0, .max = (limit) \
	}
#define auto_buf __attribute__((cleanup(buf_release))) struct buf

/* ST_REFUSED when the limit would be passed (the buffer is unchanged). */
enum status buf_append(
	struct buf *b, const void *data, size_t len, struct err *err);
enum status buf_printf(struct buf *b, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Keeps the memory, forgets the content. */
void buf_clear(struct buf *b);
/* Wipes and frees. */
void buf_release(struct buf *b);
/* Returns the content, owned by the caller (free); "" when empty; NULL only
 * when memory ran out. */
char *buf_take(struct buf *b);
/* Content as a string, "" when empty; borrowed. */
const char *buf_str(const struct buf *b);

#endif
