/* Act: carry out one action. Saves the intent first, the outcome after; never
 * decides. A failure leaves the state as the next plan_next can go on from. */
#ifndef DANELAW_ACT_H
#define DANELAW_ACT_H

#include "hook/session.h"

/* Any action but WAIT, HOLD, SWEEP, PROBE and PUBLISH. ST_OK also when the outside
 * refused and that is noted in the state (rolled back, issue failed). */
enum status act_on(
	struct session *s, const struct action *a, struct err *err);

/* What an action that was interrupted left: a key or a generation that the
 * state does not know of was never published nor served, and goes. Promotions
 * and roll-backs are left to the plan, which finishes them. */
enum status act_clean_up(struct session *s, struct err *err);

/* act_publish.c: carries out the PUBLISH that each of these sessions has as its
 * action, all of them together: one provider is opened once, and gets all owner
 * names in one batch. Each owner name is tried once (twice when somebody edited
 * at the same time); a failure is noted in its state and tried again after a
 * growing pause, or when the provider asks to. What cannot be noted fails the
 * session. */
void act_publish(struct session *const list[], size_t n);

/* promote.c */
enum status act_promote(
	struct session *s, const struct action *a, struct err *err);
enum status act_roll_back(
	struct session *s, const struct action *a, struct err *err);

/* act_issue.c */
enum status act_issue(
	struct session *s, const struct action *a, struct err *err);
enum status act_import(
	struct session *s, const struct action *a, struct err *err);

/* certbot and a renewal configuration of this lineage are there. *major caches
 * certbot's major version over lineages: 0 not asked yet, -1 not there. */
bool issue_possible_here(
	const char *certbot, const char *live_dir, int64_t *major);

/* The generation N folder from PEM buffers, and its entry in the state (not
 * committed). */
enum status act_add_generation(struct session *s,
	const struct lineage_version *v, enum gen_source source, int64_t now,
	struct err *err);

#endif
