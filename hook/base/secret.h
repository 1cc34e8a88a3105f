/* A secret read from a file. It has a type so that it cannot be printed by
 * accident, and it is wiped when released. */
#ifndef DANELAW_BASE_SECRET_H
#define DANELAW_BASE_SECRET_H

#include "hook/base/err.h"

#include <stddef.h>

#define SECRET_MAX 16384

struct secret {
	char *data; /* NUL-terminated; never log this */
	size_t len;
};

/* Reads a file (O_NOFOLLOW on nothing but regular files; ST_CONFIG when it is
 * missing, empty, larger than SECRET_MAX, holds NUL, or is writable or
 * readable by others, or writable by the group). A relative path is looked up
 * in $CREDENTIALS_DIRECTORY (systemd), and is an error without it. The error
 * names the path, never the content. */
enum status secret_read(
	const char *path, struct secret *ret, struct err *err);
/* The same, minus trailing newlines and blanks. */
enum status secret_read_line(
	const char *path, struct secret *ret, struct err *err);
void secret_release(struct secret *s);

#define auto_secret __attribute__((cleanup(secret_release))) struct secret

#endif
