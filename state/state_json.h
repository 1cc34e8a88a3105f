/* The state file, format 1: what its writer and its reader share. Nobody else
 * includes this. */
#ifndef DANELAW_STATE_STATE_JSON_H
#define DANELAW_STATE_STATE_JSON_H

#include "state/state.h"

/* Year 9999. All times are below, so that no sum of them overflows. */
#define MS_MAX 253402300799999
#define S_MAX 253402300799
#define N_ISSUED (sizeof(((struct lineage_state *)0)->issued_ms) / 8)

const char *gen_source_name(enum gen_source g);

#endif
