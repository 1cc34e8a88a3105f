/* Inside one pass: what pass.c and exec.c share. */
#ifndef DANELAW_TEST_SIM_EXEC_H
#define DANELAW_TEST_SIM_EXEC_H

#include "world.h"

void tick(struct world *w, int64_t ms); /* up to ms pass */
void maybe_crash(struct world *w);
void commit(struct world *w);
int64_t session_clock(struct world *w);
void forget_sweep(struct world *w);
void lineage_fingerprint_of(struct world *w, char *ret, size_t len);

/* exec.c */
void exec_action(struct world *w, const struct action *a);
void sense_probe(struct world *w, const struct spki *expect);

#endif
