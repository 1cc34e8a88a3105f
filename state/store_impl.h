/* The inside of the store, for store*.c only. */
#ifndef DANELAW_STATE_STORE_IMPL_H
#define DANELAW_STATE_STORE_IMPL_H

#include "state/store.h"

#include <stdbool.h>

#define STORE_PATH_MAX 4096
#define STORE_NAME_MAX 200 /* of a lineage, without NUL */
#define STORE_PEM_MAX (256 * 1024)

struct store {
	char *dir;
	int fd, lineages, live; /* folders */
};

struct store_lineage {
	struct store *store; /* borrowed */
	char name[STORE_NAME_MAX + 1];
	char *live_path;
	int fd, keys, gens; /* folders */
	int lock;
};

/* Removes a file or a whole folder below dirfd; never follows a link. Absent is
 * fine. */
enum status store_remove_tree(int dirfd, const char *name, struct err *err);

/* Calls each for every entry but "." and ".."; each may remove it. Stops at the
 * first failure. */
enum status store_each(int dirfd, const char *what,
	enum status (*each)(const char *name, void *arg, struct err *err),
	void *arg, struct err *err);

/* Removes what crashes left behind. Best effort: what stays does no harm. */
void store_sweep_temps(struct store_lineage *l);

/* Largest number among generations/N; 0 when there is none. */
enum status store_gen_highest(
	struct store_lineage *l, unsigned *ret, struct err *err);

#endif
