/*
 * Where a report's octets come from: a file or memory, a part of a mail, a gzip
 * stream, one on top of the other; each pulls from the one below as much as it
 * needs. The inside of tlsrpt_*.c.
 */
#ifndef DANELAW_CHECK_TLSRPT_INPUT_H
#define DANELAW_CHECK_TLSRPT_INPUT_H

#include "hook/check/tlsrpt.h"

#include <zlib.h>

#define SRC_BUF 16384
#define SRC_END (-1)

/* A buffered source of octets. After SRC_END look at st: ST_OK is the end, else
 * *err says what happened. */
struct src {
	/* Puts at least one octet at buf + len, or sets eof or st. There is
	 * room for SRC_BUF / 2 at least. */
	void (*fill)(struct src *s);
	void *ctx;
	struct err *err; /* shared by all layers of an input */
	enum status st;
	bool eof;
	size_t pos, len;
	uint64_t taken; /* octets before buf[0] */
	uint8_t buf[SRC_BUF];
};

void src_init(
	struct src *s, void (*fill)(struct src *), void *ctx, struct err *err);
/* Next octet without taking it, or SRC_END. */
int src_peek(struct src *s);
int src_next(struct src *s);
/* How many octets are at hand, at most want (and 16), without taking them; less
 * only at the end. They are at s->buf + s->pos. */
size_t src_ahead(struct src *s, size_t want);
/* Offset of the next octet. */
uint64_t src_offset(const struct src *s);
/* For fill functions. Returns st. */
enum status src_fail(struct src *s, enum status st, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A descriptor, or memory when fd is -1. */
struct src_raw {
	struct src s;
	int fd;
	const uint8_t *mem;
	size_t left;
};
void src_raw_init(struct src_raw *r, int fd, const void *mem, size_t len,
	struct err *err);

/* gzip, all members; what follows them may only be NUL, CR and LF. */
struct src_gzip {
	struct src s;
	struct src *in;
	z_stream z;
	bool open, between; /* between two members */
	uint64_t total;
};
enum status src_gzip_init(struct src_gzip *g, struct src *in, struct err *err);
void src_gzip_release(struct src_gzip *g);
bool src_is_gzip(struct src *s);

/* ---- mail (tlsrpt_mail.c) ---- */

#define MAIL_DEPTH_MAX 16
#define MAIL_BOUNDARY_MAX 72
#define MAIL_HEADER_MAX 8192

enum mail_coding { CODING_PLAIN, CODING_BASE64, CODING_QP };

struct mail {
	struct src *in;
	struct err *err;
	char boundary[MAIL_DEPTH_MAX][MAIL_BOUNDARY_MAX];
	size_t depth;
	uint64_t line; /* number of the chunk's line */
	/* a line, or a piece of a very long one, with its end of line */
	char chunk[4096];
	size_t n;
	bool start, complete;
	bool held;         /* chunk was not used up: give it again */
	bool blank_before; /* the line before was empty */
	bool at_part;      /* chunk is a delimiter: headers follow */
	bool ended;
	char submitter[TLSRPT_TEXT_MAX]; /* TLS-Report-Submitter or "" */
	/* the body being read */
	struct src body;
	enum mail_coding coding;
	unsigned bits, n_bits, pad; /* base64 */
	char escape[3];             /* quoted-printable, after '=' */
	size_t n_escape;
};

void mail_init(struct mail *m, struct src *in, struct err *err);
/* Moves to the next part that is a report, whatever is left of the last one;
 * then m->body gives its octets. *ret_found false at the end. */
enum status mail_next(struct mail *m, bool *ret_found, struct err *err);

/* ---- JSON (tlsrpt_read.c) ---- */

/* Reads one report to the end of s. *ret owned. */
enum status tlsrpt_parse(struct src *s, size_t rows_left,
	struct tlsrpt_report **ret, struct err *err);
void tlsrpt_report_free(struct tlsrpt_report *r);
/* Copies, cut to TLSRPT_TEXT_MAX octets between two characters; NULL out of
 * memory. */
char *tlsrpt_copy(const char *utf8);
/* Arrays that hold n grow to 2 n + 1 when this says so: one by one would copy
 * them as often as they have elements. */
static inline bool tlsrpt_is_full(size_t n)
{
	return (n & (n + 1)) == 0;
}
/* Lower case, what is not printable ASCII becomes '?'; no final dot. */
void tlsrpt_clean(const char *text, char *ret, size_t len);

#endif
