/* Status names and the one error text that travels up the call chain. */
#include "hook/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
	[ST_OK] = "ok",
	[ST_RETRY] = "retry",
	[ST_CONFLICT] = "conflict",
	[ST_BUSY] = "busy",
	[ST_NOTFOUND] = "not-found",
	[ST_CONFIG] = "config",
	[ST_DENIED] = "denied",
	[ST_REFUSED] = "refused",
	[ST_IO] = "io",
	[ST_NOMEM] = "no-memory",
	[ST_BUG] = "bug",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == ST__COUNT, "names");

/* Text from outside must not be able to start a new log line. */
static void sanitise(char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x7f)
			*s = '?';
	}
}

enum status err_set(struct err *err, enum status st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	sanitise(err->text);
	err->st = st;
	return st;
}

enum status err_sys(
	struct err *err, enum status st, int errnum, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, st, "%s: %s", text, strerror(errnum));
}

enum status err_context(struct err *err, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	char old[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(old, err->text, sizeof(old));
	return err_set(err, err->st, "%s: %s", text, old);
}

const char *status_name(enum status st)
{
	if ((unsigned)st >= ST__COUNT)
		return "unknown";
	return names[st];
}
