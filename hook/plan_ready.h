/* The ready rule, for plan.c, plan_observe.c and progress output. Pure. */
#ifndef DANELAW_PLAN_READY_H
#define DANELAW_PLAN_READY_H

#include "hook/plan.h"

/* Why a key is not ready. blocked: the operator should look; ready_ms: when it
 * could be, -1 when that cannot be said. */
struct ready_why {
	bool blocked;
	bool passing; /* blocked by what passes by itself: no answer at all */
	int64_t ready_ms;
	char text[STATE_WHY_MAX];
};

/* The whole rule of design.md, over every owner name of the lineage. */
bool ready_now(const struct lineage_state *s, const struct observation *o,
	const struct policy *p, const struct state_key *k, int64_t now_ms,
	struct ready_why *ret);

/* Every server that counts answered, and one at least: an address that cannot
 * be tested from here counts only if another one of its server was tested. On
 * false, who and why (400 each, may be NULL) name the first that did not. */
bool owner_all_answered(const struct obs_owner *oo, char *who, char *why);

/* Seconds until the first RRSIG among good answers expires, INT64_MAX when
 * none is signed; its validity and server (borrowed). */
int64_t rrsig_left_s(const struct obs_owner *oo, int64_t wall_s,
	int64_t *ret_validity, const char **ret_server);

/* The current key's record is, or was put, at this owner name. */
bool owner_is_published(const struct lineage_state *s, size_t owner);

/* At every owner name, right now, all servers answered with this key's record.
 */
bool served_everywhere(const struct lineage_state *s,
	const struct observation *o, const struct state_key *k);

/* Senders can miss the record of k: DANE is in force, and a server shows a set
 * that lacks it or hides it, or all show it again, but caches may lack it still.
 * A server's silence alone is not enough. On true, why says where. */
bool can_be_missed(const struct lineage_state *s, const struct observation *o,
	const struct policy *p, const struct state_key *k, int64_t now_ms,
	char why[STATE_WHY_MAX]);

/* When no cache can hold the record of a RETIRED key any more; -1 unknown. */
int64_t forget_ms(const struct lineage_state *s, const struct state_key *k,
	const struct policy *p);

/* Readiness at one owner name by time alone; -1 when not converged. */
int64_t ready_at_owner(const struct key_at *at, const struct policy *p);

#endif
