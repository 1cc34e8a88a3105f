/* The loop: sense, decide, act, until every lineage rests. */
#ifndef DANELAW_ENGINE_H
#define DANELAW_ENGINE_H

#include "hook/session.h"

/* How one lineage came out of a pass. */
struct engine_report {
	const struct cfg_lineage *cl;
	bool busy;   /* another process has it; news were left */
	bool failed; /* err says what */
	struct err err;
	struct action action; /* WAIT or HOLD */
	int64_t wake_mono_ms; /* when to look again */
	int64_t wake_wall_ms;
	bool pending; /* a certificate waits to go live, or a record is on its
			 way */
	bool certificate_waits;
	bool news; /* the action or its reason is not that of the last pass */
	/* for progress */
	unsigned servers, agree;
	int64_t ready_mono_ms, since_mono_ms; /* of the pending key; 0 none */
	char waiting_for[256];
};

/* Process exit status of design.md for a failure, for one report, and the worse
 * of two. */
int engine_exit_of(enum status st);
int engine_exit(const struct engine_report *r);
int engine_worse(int a, int b);

/* One pass over these lineages, in chunks. rep has n entries. Fails only when
 * nothing at all can be done (memory, state directory). */
enum status engine_pass(struct engine *e,
	const struct cfg_lineage *const lineages[], size_t n,
	struct engine_report *rep, struct err *err);

void engine_release(struct engine *e);

#endif
