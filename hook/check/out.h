/* Renderings of judged checks, each into a buffer; nothing here prints. */
#ifndef DANELAW_CHECK_OUT_H
#define DANELAW_CHECK_OUT_H

#include "hook/base/buf.h"
#include "hook/check/check.h"

#define OUT_MAX ((size_t)64 << 20)
#define CHECK_JSON_VERSION 1

struct out_options {
	bool colour;
	bool verbose; /* -v: the queries and dialogues first */
};

/* For people: at most 100 columns. */
enum status out_text(const struct check *const c[], size_t n,
	const struct memo *m, const struct out_options *opt, struct buf *ret,
	struct err *err);
/* danelaw-check(8) documents it. */
enum status out_json(const struct check *const c[], size_t n,
	const struct memo *m, const struct out_options *opt, struct buf *ret,
	struct err *err);
/* One line and perfdata; *ret_exit is 0, 1, 2 or 3. */
enum status out_nagios(const struct check *const c[], size_t n,
	struct buf *ret, int *ret_exit, struct err *err);
/* Textfile format. */
enum status out_prometheus(const struct check *const c[], size_t n,
	struct buf *ret, struct err *err);
/* The lines of daneverify (dane.md S32). */
enum status out_cisco(const struct check *const c[], size_t n,
	struct buf *ret, struct err *err);
/* The "domain" display (dane.md S43). */
enum status out_momentum(const struct check *const c[], size_t n,
	struct buf *ret, struct err *err);
/* -v: each query and each line of each dialogue. */
enum status out_trace(const struct check *const c[], size_t n,
	const struct memo *m, struct buf *ret, struct err *err);

#endif
