/*
 * Status and error text. Every function that can fail returns a status and
 * takes a struct err as its last argument. The deepest function that fails
 * writes the text once; callers only prefix context. Library code never logs.
 */
#ifndef DANELAW_BASE_ERR_H
#define DANELAW_BASE_ERR_H

#include <stdbool.h>

enum status {
	ST_OK,
	ST_RETRY,    /* temporary: network, provider or resolver down, 429 */
	ST_CONFLICT, /* somebody else changed it: observe again, re-plan */
	ST_BUSY,     /* a lock is held by another process */
	ST_NOTFOUND, /* it is not there; often not an error for the caller */
	ST_CONFIG,   /* the operator must change the configuration */
	ST_DENIED,   /* credentials or permissions refused */
	ST_REFUSED,  /* refused by us as unsafe, or input that is not sane */
	ST_IO,       /* the local system failed: disk full, read-only ... */
	ST_NOMEM,
	ST_BUG,      /* an invariant of ours does not hold */
	ST__COUNT
};

#define ERR_TEXT_MAX 1024

struct err {
	enum status st;
	char text[ERR_TEXT_MAX];
};

#define ERR_INIT \
	{ \
		.st = ST_OK, .text = "" \
	}

/* Sets status and text (control characters are replaced by '?', so text from
 * the network cannot forge a log line). Returns st. err is never NULL. */
enum status err_set(struct err *err, enum status st, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Like err_set, appends ": " and strerror(errnum). */
enum status err_sys(struct err *err, enum status st, int errnum,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Prefixes "fmt: " to the text and keeps the status. Returns err->st. */
enum status err_context(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* "retry", "conflict" ...; never NULL. */
const char *status_name(enum status st);

#endif
