/*
 * Look-ups in stages: say all that the next step wants to know, run, then read.
 * Each (name, type) is asked once in the life of the object, and all of a stage
 * at the same time.
 */
#ifndef DANELAW_DNS_MEMO_H
#define DANELAW_DNS_MEMO_H

#include "hook/dns/resolver.h"

struct memo;

/* Borrows r. ret owned. */
enum status memo_new(struct resolver *r, struct memo **ret, struct err *err);
void memo_free(struct memo *m);
enum status memo_want(
	struct memo *m, const char *name, uint16_t type, struct err *err);
/* Asks what is wanted and was not asked yet. */
enum status memo_run(struct memo *m, struct err *err);
/* Borrowed, valid until memo_free; never NULL for what was wanted and run. */
const struct lookup *memo_get(
	const struct memo *m, const char *name, uint16_t type);
/* All that were asked, in the order of the first wish. */
size_t memo_count(const struct memo *m);
const struct lookup *memo_at(const struct memo *m, size_t i);
/* The name in the RDATA of an NS or a CNAME record; false when it is not one
 * that danelaw handles. */
bool rdata_name(const struct rdata *rd, char ret[static DNS_NAME_MAX]);

#endif
