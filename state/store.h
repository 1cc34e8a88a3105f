/*
 * The state directory: one folder per lineage, locks, atomic commits, keys and
 * generations. What a file is stays inside state/. (design.md "On disk")
 *
 *   lineages/NAME/{state.json,history.jsonl,lock,news,keys/,generations/}
 *   live/NAME -> ../lineages/NAME/generations/N
 */
#ifndef DANELAW_STATE_STORE_H
#define DANELAW_STATE_STORE_H

#include "state/state.h"
#include "hook/base/buf.h"
#include "hook/tls/key.h"

#include <sys/types.h>

struct store;	       /* the state directory */
struct store_lineage; /* one lineage, locked */

/* Makes the directory tree if needed (0755 top, lineages/ 0755, keys/ 0700).
 * Refuses a state directory that others can write. */
enum status store_open(const char *dir, struct store **ret, struct err *err);
/* To look only (store_peek, store_history_read): makes nothing. ST_NOTFOUND
 * when there is no state yet. */
enum status store_open_read(
	const char *dir, struct store **ret, struct err *err);
void store_close(struct store *s);
const char *store_dir(const struct store *s);

/* Locks (flock on lineages/NAME/lock; freed by the kernel when we die) and
 * loads. A new lineage starts with state_init. ST_BUSY when another process
 * holds it (wait_ms: how long to try). ST_REFUSED when state.json is corrupt,
 * truncated or of a newer version: nothing is written then, ever. */
enum status store_lock(struct store *s, const char *name, int64_t wait_ms,
	struct store_lineage **ret, struct lineage_state *ret_state,
	struct err *err);
void store_unlock(struct store_lineage *l);
/* Loads without the lock, for status and for other lineages' claims.
 * ST_NOTFOUND when there is none. */
enum status store_peek(struct store *s, const char *name,
	struct lineage_state *ret, struct err *err);
/* Names of all lineages that have a folder; NULL-terminated, owned (each and
 * the array). */
enum status store_list(struct store *s, char ***ret, struct err *err);

/* state.json, atomically and durably. */
enum status store_commit(
	struct store_lineage *l, const struct lineage_state *s,
	struct err *err);
/* Appends one line {"at","event","key","generation","why"} to history.jsonl;
 * key may be NULL, gen 0. */
enum status store_history(struct store_lineage *l, int64_t wall_ms,
	const char *event, const struct spki *key, unsigned gen,
	const char *why, struct err *err);

#define STORE_HISTORY_MAX (4 * 1024 * 1024) /* octets that are read back */
#define STORE_EVENTS_MAX 20000

struct history_event {
	int64_t wall_ms;
	char event[32];
	struct spki key;     /* none when the event has none */
	unsigned generation; /* 0: none */
	char why[256];	     /* cut off when longer */
};

struct history {
	struct history_event *event; /* owned; oldest first */
	size_t n;
	bool cut;	  /* older events are there, and were not read */
	size_t bad_lines; /* torn or not understood */
};

/* Reads history.jsonl without the lock, the newest part of it when it is long;
 * bad lines are skipped. ST_NOTFOUND when there is none. */
enum status store_history_read(struct store *s, const char *name,
	struct history *ret, struct err *err);
void history_release(struct history *h);

/* The loser of the lock leaves its news: a durable empty file. */
enum status store_news_leave(
	struct store *s, const char *name, struct err *err);
/* True when there were news; removes them. Call under the lock. */
bool store_news_take(struct store_lineage *l);

/* keys/SPKI.pem, 0600, created whole or not at all; an existing file with the
 * same key is fine. */
enum status store_key_save(
	struct store_lineage *l, const struct key *k, struct err *err);
/* Loads and checks that the content matches the name: ST_REFUSED if not. */
enum status store_key_load(struct store_lineage *l, const struct spki *spki,
	struct key **ret, struct err *err);
enum status store_key_remove(
	struct store_lineage *l, const struct spki *spki, struct err *err);
/* Key files that the state does not know (left by a crash). *ret owned array,
 * *ret_n entries; unreadable or misnamed files are skipped. */
enum status store_key_orphans(struct store_lineage *l,
	const struct lineage_state *s, struct spki **ret, size_t *ret_n,
	struct err *err);

struct gen_files {
	const struct buf *key, *cert, *chain, *fullchain;
	uid_t uid;
	gid_t gid;
	mode_t mode; /* of the files; the folder gets x where files have r */
};
/* Writes generations/N whole (built beside it, fsynced, renamed). combined.pem
 * = key, leaf, issuers. If N exists with the same leaf and key: fine. */
enum status store_gen_write(struct store_lineage *l, unsigned n,
	const struct gen_files *f, struct err *err);
/* Reads fullchain.pem and privkey.pem of a generation. */
enum status store_gen_read(struct store_lineage *l, unsigned n,
	struct buf *ret_key, struct buf *ret_fullchain, struct err *err);
enum status store_gen_remove(
	struct store_lineage *l, unsigned n, struct err *err);
/* live/NAME -> generation N, atomically. */
enum status store_live_set(
	struct store_lineage *l, unsigned n, struct err *err);
/* What the symlink says; 0 when there is none. */
enum status store_live_get(
	struct store_lineage *l, unsigned *ret_n, struct err *err);
/* "/var/lib/danelaw/live/NAME"; borrowed from l. */
const char *store_live_path(const struct store_lineage *l);
/* A fresh private folder (0700) under lineages/NAME for one issuing attempt;
 * owned path, remove with store_scratch_remove. Left-overs of crashes are
 * removed by store_lock. */
enum status store_scratch(
	struct store_lineage *l, char **ret_path, struct err *err);
void store_scratch_remove(struct store_lineage *l, const char *path);

#endif
