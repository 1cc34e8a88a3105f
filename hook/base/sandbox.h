/*
 * A cage for a process that talks to strangers: it can read what it was given
 * and use the network, and nothing else. Linux only: capabilities, Landlock,
 * seccomp, by system calls of our own. There is no way out again, and all
 * threads that it starts later are inside.
 */
#ifndef DANELAW_BASE_SANDBOX_H
#define DANELAW_BASE_SANDBOX_H

#include "hook/base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define SANDBOX_TEXT_MAX 256

struct sandbox {
	/* Files, and folders with all below them, that may be read; NULL at
	 * the end. What is not there is skipped. */
	const char *const *read;
	/* Must be out of reach afterwards, or ST_CONFIG; NULL at the end. */
	const char *const *never;
};

/* In a process with one thread. ST_OK with "" in ret_missing: all is in force,
 * and was tried out. With a text: that much is missing on this system, the rest
 * is in force. Another status: something failed that works everywhere. */
enum status sandbox_enter(const struct sandbox *s,
	char ret_missing[static SANDBOX_TEXT_MAX], struct err *err);

/* For a process with secrets in its memory: no core dump, no debugger of
 * another process of the same user. */
void sandbox_no_dump(void);

/* Internal: the filter for system calls. False with errno. */
bool sandbox_filter(void);

#endif
