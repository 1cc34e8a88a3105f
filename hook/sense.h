/* Sense: turn the outside into a struct observation. Changes nothing. */
#ifndef DANELAW_SENSE_H
#define DANELAW_SENSE_H

#include "hook/session.h"

/* certbot's lineage on disk: is there a version we have not taken in? */
enum status sense_lineage(struct session *s, struct err *err);

/* One sweep over the authority of all owner names of all these sessions at
 * once; folds the result into each state (plan_observe) and commits nothing.
 * Trouble of one lineage is in its observation. */
enum status sense_sweep(struct engine *e, struct session *const sessions[],
	size_t n, struct err *err);

/* Asks the resolver all that a sweep of these lineages will ask it, so that the
 * next sweep, if it comes within seconds and nothing was published meanwhile,
 * need only ask the name servers themselves. What they serve is never taken
 * from memory. Trouble is left to that sweep. */
void sense_warm(struct engine *e, const struct cfg_lineage *const list[],
	size_t n);

/* All endpoints of the lineage: do they serve expect, and is that all they
 * serve of ours? Result in obs.probe, probe_why. not_after_s: the served leaf
 * must expire then (0: any); a mismatch of only that is in *ret_stale. */
enum status sense_probe(struct session *s, const struct spki *expect,
	int64_t not_after_s, bool *ret_stale, struct err *err);

/* The keys of other lineages at our names, as their states are now. */
enum status sense_claims(struct session *s, struct err *err);

/* Is the newest generation of each key that waits fit to go live? */
void sense_fitness(struct session *s);

#endif
