/*
 * The network in a process of its own: one that never held a private key, can
 * read none, can start nothing and write nothing (hook/base/sandbox.h). What it
 * says is taken apart as hostile input (hook/wire.h). One such process serves
 * from the start of a command to its end; when it dies it is not replaced,
 * because this process has read keys since: all further calls fail, and the
 * next run starts afresh.
 */
#ifndef DANELAW_ENV_APART_H
#define DANELAW_ENV_APART_H

#include "hook/base/sandbox.h"
#include "hook/config.h"
#include "hook/env.h"
#include "hook/wire.h"

/* Call it before any key is read. As cfg->sandbox says: with "off" it is
 * env_here. ret_missing: "", or what of the sandbox this system lacks, with
 * "available". ST_CONFIG: with "required" something is missing. cfg is
 * borrowed. Providers that run a program of the operator's or talk to nobody
 * (exec, manual) stay in this process. */
enum status env_apart(const struct config *cfg, struct env *ret,
	char ret_missing[static SANDBOX_TEXT_MAX], struct err *err);
/* Its process is gone: every call fails from now on. */
bool env_apart_gone(const struct env *env);

/* ---- internal ---- */

/* The child, on its end of a stream; never returns. */
__attribute__((noreturn)) void apart_child(
	const struct config *cfg, int fd, pid_t parent);

enum apart_io {
	APART_OK,
	APART_END,  /* the other side is gone */
	APART_LATE, /* deadline_ms (clock_mono_ms; 0: none) is over */
	APART_LIE,  /* no frame */
	APART_NOMEM
};
enum apart_io apart_send(int fd, enum wire_kind kind, const struct buf *body,
	int64_t deadline_ms);
/* Replaces what is in body. */
enum apart_io apart_receive(int fd, enum wire_kind *ret_kind, struct buf *body,
	int64_t deadline_ms);
/* The child's exit status when a file that it needs is another one now. */
#define APART_REPLACED 5
/* How long a child may be late before it is killed; for tests. */
extern int64_t apart_slack_ms;
/* Answered in the engine's process. */
bool apart_is_local(const struct provider_ops *ops);

#endif
