/*
 * The layers below a TLS-RPT report: octets from a file, and gzip on top of
 * any layer (RFC 1952). Invariants: no layer holds more than its buffer; the
 * raw input and what it inflates to both have a limit, so that a small file
 * cannot become a large one here; the first failure stays (st), and its text
 * is in the err that all layers share.
 */
#include "hook/check/tlsrpt_input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- any source ---- */

void src_init(
	struct src *s, void (*fill)(struct src *), void *ctx, struct err *err)
{
	s->fill = fill;
	s->ctx = ctx;
	s->err = err;
	s->st = ST_OK;
	s->eof = false;
	s->pos = s->len = 0;
	s->taken = 0;
}

enum status src_fail(struct src *s, enum status st, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->st = err_set(s->err, st, "%s", text);
	return st;
}

size_t src_ahead(struct src *s, size_t want)
{
	while (s->len - s->pos < want && !s->eof && s->st == ST_OK) {
		memmove(s->buf, s->buf + s->pos, s->len - s->pos);
		s->taken += s->pos;
		s->len -= s->pos;
		s->pos = 0;
		s->fill(s);
	}
	return s->len - s->pos < want ? s->len - s->pos : want;
}

int src_peek(struct src *s)
{
	if (s->pos == s->len && src_ahead(s, 1) == 0)
		return SRC_END;
	return s->buf[s->pos];
}

int src_next(struct src *s)
{
	if (s->pos == s->len && src_ahead(s, 1) == 0)
		return SRC_END;
	return s->buf[s->pos++];
}

uint64_t src_offset(const struct src *s)
{
	return s->taken + s->pos;
}

/* ---- the input itself ---- */

static void raw_fill(struct src *s)
{
	struct src_raw *r = s->ctx;
	size_t room = SRC_BUF - s->len;
	ssize_t n = 0;

	if (s->taken + s->len >= TLSRPT_INPUT_MAX) {
		(void)src_fail(s, ST_REFUSED,
			"more than %" PRIu64 " MB: no report is that large",
			TLSRPT_INPUT_MAX >> 20);
		return;
	}
	if (r->fd < 0) {
		n = (ssize_t)(r->left < room ? r->left : room);
		if (n > 0)
			memcpy(s->buf + s->len, r->mem, (size_t)n);
		r->mem += n;
		r->left -= (size_t)n;
	} else {
		do
			n = read(r->fd, s->buf + s->len, room);
		while (n < 0 && errno == EINTR);
	}
	if (n < 0)
		s->st = err_sys(s->err, ST_IO, errno, "cannot read");
	else if (n == 0)
		s->eof = true;
	else
		s->len += (size_t)n;
}

void src_raw_init(
	struct src_raw *r, int fd, const void *mem, size_t len, struct err *err)
{
	src_init(&r->s, raw_fill, r, err);
	r->fd = fd;
	r->mem = len > 0 ? mem : (const void *)"";
	r->left = len;
}

/* ---- gzip ---- */

bool src_is_gzip(struct src *s)
{
	return src_ahead(s, 2) == 2 && s->buf[s->pos] == 0x1f &&
	       s->buf[s->pos + 1] == 0x8b;
}

/* What the layer below failed with is our failure too. */
static bool below_ok(struct src *s, struct src *in)
{
	if (in->st == ST_OK)
		return true;
	s->st = in->st;
	return false;
}

/* A member has ended: another one, or nothing that means something. */
static void gzip_between(struct src_gzip *g)
{
	struct src *s = &g->s;
	uint64_t end = src_offset(g->in);
	int c;

	if (src_is_gzip(g->in)) {
		g->between = false;
		(void)inflateReset(&g->z);
		return;
	}
	while ((c = src_next(g->in)) != SRC_END)
		if (c != '\0' && c != '\r' && c != '\n') {
			(void)src_fail(s, ST_REFUSED,
				"gzip: offset %" PRIu64 ": something that is "
				"not gzip follows the compressed report",
				end);
			return;
		}
	s->eof = below_ok(s, g->in);
}

static void gzip_problem(struct src_gzip *g, int rc)
{
	const char *what = g->z.msg != NULL ? g->z.msg : "cannot be inflated";

	if (rc == Z_MEM_ERROR)
		(void)src_fail(&g->s, ST_NOMEM, "out of memory");
	else
		(void)src_fail(&g->s, ST_REFUSED,
			"gzip: offset %" PRIu64 ": damaged (%s)",
			src_offset(g->in), what);
}

static void gzip_fill(struct src *s)
{
	struct src_gzip *g = s->ctx;
	struct src *in = g->in;
	size_t room = SRC_BUF - s->len, got;
	int rc;

	if (g->between) {
		gzip_between(g);
		return;
	}
	if (src_peek(in) == SRC_END) {
		if (below_ok(s, in))
			(void)src_fail(s, ST_REFUSED,
				"gzip: truncated at offset %" PRIu64
				": fetch the file again",
				src_offset(in));
		return;
	}
	g->z.next_in = in->buf + in->pos;
	g->z.avail_in = (unsigned)(in->len - in->pos);
	g->z.next_out = s->buf + s->len;
	g->z.avail_out = (unsigned)room;
	rc = inflate(&g->z, Z_NO_FLUSH);
	in->pos = in->len - g->z.avail_in;
	got = room - g->z.avail_out;
	g->total += got;
	if (g->total > TLSRPT_INFLATED_MAX) {
		(void)src_fail(s, ST_REFUSED,
			"gzip: inflates to more than %" PRIu64 " MB (at offset "
			"%" PRIu64 " of the compressed data): refused, no "
			"honest report is that large",
			TLSRPT_INFLATED_MAX >> 20, src_offset(in));
		return;
	}
	s->len += got;
	if (rc == Z_STREAM_END)
		g->between = true;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		gzip_problem(g, rc);
}

enum status src_gzip_init(struct src_gzip *g, struct src *in, struct err *err)
{
	memset(&g->z, 0, sizeof(g->z));
	src_init(&g->s, gzip_fill, g, err);
	g->in = in;
	g->between = false;
	g->total = 0;
	/* 16: gzip only; zlib's own format is in no report */
	g->open = inflateInit2(&g->z, 15 + 16) == Z_OK;
	if (!g->open)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

void src_gzip_release(struct src_gzip *g)
{
	if (g->open)
		(void)inflateEnd(&g->z);
	g->open = false;
}
