/* What the writer and the reader of the state file, format 1, and the history
 * share. Nobody else includes this. */
#ifndef DANELAW_STATE_STATE_JSON_H
#define DANELAW_STATE_STATE_JSON_H

#include "state/state.h"

#include <jansson.h>

/* Year 9999. All times are below, so that no sum of them overflows. */
#define MS_MAX 253402300799999
#define S_MAX 253402300799
#define N_ISSUED (sizeof(((struct lineage_state *)0)->issued_ms) / 8)

const char *gen_source_name(enum gen_source g);
/* Appends o, with these flags of jansson's, and a line feed. ST_NOMEM rather
 * than a part: json_dumps can lose one without a word. */
enum status state_json_append(
	const json_t *o, size_t flags, struct buf *ret, struct err *err);

#endif
