/* What the rules of plan*.c share; for them only. */
#ifndef DANELAW_PLAN_RULE_H
#define DANELAW_PLAN_RULE_H

#include "hook/plan.h"

#define SECOND INT64_C(1000)
#define DAY_S INT64_C(86400)

/* A higher level replaces a lower one; the first of a level stays. An outage
 * comes before what else is wrong, but with it: that may be why. */
enum note_level {
	NOTE_WAIT,    /* as it should be */
	NOTE_PASSING, /* trouble that passes by itself: exit status 4 */
	NOTE_HOLD,    /* the operator should look */
	NOTE_URGENT,  /* mail will stop soon */
	NOTE_OUTAGE   /* senders defer mail now: exit status 3 */
};

/* Everything a rule needs; a rule changes only what it leaves for the end:
 * when to wake up, and the note that a WAIT or HOLD will carry. */
struct ctx {
	const struct lineage_state *s;
	const struct observation *o;
	const struct policy *p;
	int64_t now;
	int64_t wake; /* earliest reason to look again */
	enum note_level level;
	char note[STATE_WHY_MAX];
};

struct action act(enum action_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void wake_at(struct ctx *c, int64_t ms);
void note(struct ctx *c, enum note_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Of a key that is not ready. */
struct ready_why;
enum note_level level_of(const struct ready_why *why);
/* Of a probe that did not show what it should. */
enum note_level level_of_probe(const struct ctx *c);
/* Bit of a key in the sets of struct observation and struct action. */
uint32_t key_bit(const struct ctx *c, const struct state_key *k);
/* The newest generation of k, if it is newer than the live one. */
const struct state_gen *pending_gen(
	const struct ctx *c, const struct state_key *k);

/* plan.c: the law, asserted: an action that breaks it becomes a HOLD. What no
 * rule should ever ask for is here for tests to ask. */
struct action lawful(const struct ctx *c, struct action a);

/* plan_issue.c */
bool rule_import(struct ctx *c, struct action *a);
/* That an import failed. Said last: all else weighs more. */
void note_import(struct ctx *c);
bool rule_issue(struct ctx *c, struct action *a);
/* plan_rest.c */
bool rule_watch(struct ctx *c, struct action *a);
struct action rule_rest(struct ctx *c);

#endif
