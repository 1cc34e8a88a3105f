/* Between exec.c (which name in which call) and exec_talk.c (one call: what the
 * program is told, and what is believed of its answer). */
#ifndef DANELAW_PROVIDERS_EXEC_H
#define DANELAW_PROVIDERS_EXEC_H

#include "providers/provider.h"

/* Names in one call. */
#define EXEC_BATCH 100

struct exec {
	char *name; /* of the provider section */
	char *command;
	char *argument; /* NULL: none */
	int64_t timeout_ms;
	int64_t deadline_ms; /* 0: none */
};

/* A verb for n items, EXEC_BATCH at most. ST_OK: each item has its own result
 * in its err. Otherwise the call as a whole failed, and nothing is in them. */
typedef enum status (*exec_verb)(const struct exec *x,
	struct provider_item *const it[], size_t n, struct err *err);

/* Fills now and zone. */
enum status exec_get(const struct exec *x, struct provider_item *const it[],
	size_t n, struct err *err);
/* From now to to, of items of one zone. */
enum status exec_replace(const struct exec *x, struct provider_item *const it[],
	size_t n, struct err *err);

#endif
