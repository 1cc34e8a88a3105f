/* The configuration file as text, made fit for libconfuse. Internal to
 * config*.c. */
#ifndef DANELAW_CONFIG_TEXT_H
#define DANELAW_CONFIG_TEXT_H

#include "hook/base/buf.h"
#include "hook/base/err.h"

#define CONFIG_FILE_MAX (1024 * 1024)

/* Reads the file (a regular file that only its owner, root or us, and a group
 * that is root's can write) and appends what config_text_prepare makes of it.
 * ret's max must be at least 2 * CONFIG_FILE_MAX. */
enum status config_text_read(
	const char *path, struct buf *ret, struct err *err);

/* Blanks comments, so that line numbers stay true; guards "${" against
 * libconfuse's environment substitution; refuses what its scanner would drop
 * in silence. Errors are "path:line: what". */
enum status config_text_prepare(const char *path, const char *text, size_t len,
	struct buf *ret, struct err *err);

/* Undoes the guard in a value, in place. */
void config_text_unguard(char *value);

#endif
