/*
 * Run a child: no inherited descriptors, stdin from /dev/null or from memory,
 * own process group (killed whole at the deadline), bounded captured output.
 * Clean environment: only what the caller lists (plus PATH, a fixed safe one,
 * if the list has none). cwd is /. Threads are no danger: between fork and
 * exec nothing is allocated.
 */
#ifndef DANELAW_BASE_PROC_H
#define DANELAW_BASE_PROC_H

#include "hook/base/buf.h"
#include "hook/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct proc_limits {
	int64_t timeout_ms;
	size_t output_max; /* bytes of stdout+stderr kept; the rest is read and
			      dropped, never an error */
	/* What the child reads; NULL: nothing. Borrowed. */
	const void *input;
	size_t input_len;
	/* Keep stderr apart: output_max counts for each of the two. */
	bool apart;
};

struct proc_result {
	int exit_status; /* -1 when killed by a signal */
	int signal;
	bool timed_out;
	char *output; /* stdout and stderr together, owned; proc_release */
	char *errors; /* apart: stderr, and output is stdout only; else NULL */
	size_t dropped; /* bytes of stdout over output_max */
};

/* argv[0] is looked up in PATH; envp may be NULL (= only PATH). ST_OK means
 * that the child ran and was reaped: look at the result. A child that leaves a
 * background process holding the pipe does not make us wait beyond the exit of
 * the child itself. */
enum status proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err);

/* /bin/sh -c command, same rules. */
enum status proc_shell(const char *command, const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err);

void proc_release(struct proc_result *r);

/* One line for people: "exit status 3: last line of output" (of stderr, when it
 * was kept apart). Returns ret. */
char *proc_describe(const struct proc_result *r, char *ret, size_t len);
/* That last line alone, printable; "" when there is none. Returns ret. */
char *proc_last_line(const struct proc_result *r, char *ret, size_t len);

#endif
