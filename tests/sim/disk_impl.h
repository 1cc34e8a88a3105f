/*
 * The inside of the disk, for disk*.c only. A node is an inode. It lives as
 * long as anything refers to it: an entry as it is now, an entry that is
 * durable, an operation that is not durable yet, or a descriptor.
 */
#ifndef DANELAW_TEST_SIM_DISK_IMPL_H
#define DANELAW_TEST_SIM_DISK_IMPL_H

#include "disk.h"

#include <dirent.h>

#define LINKS_MAX 40
#define ENTRY_COST 64
#define STREAMS 16
#define DEAD_MAX 8

enum kind { KIND_FREE, KIND_FILE, KIND_DIR, KIND_LINK };

struct node;

struct entry {
	struct node *node;
	uint8_t len;
	char name[DISK_NAME_MAX + 1]; /* NUL-terminated */
};

struct entries {
	struct entry *e;
	size_t n, cap;
};

/* One operation on a folder: first a name goes, then a name is set. */
struct op {
	bool has_del, has_set;
	struct entry del, set;
};

struct meta {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct node {
	size_t index; /* in disk.node; st_ino: reused, as on real disks */
	enum kind kind;
	unsigned refs, links; /* links: entries as they are now */
	struct meta meta, safe_meta;
	int64_t mtime_ms;

	/* A file, or the target of a link. Durable are `synced` octets of old
	 * when has_old, else of data. */
	char *data, *old;
	size_t len, cap, synced, cap_old;
	bool has_old, dirty;
	/* What an fsync that failed dropped: never durable; 0, 0: nothing. */
	size_t hole_from, hole_to;

	/* A folder. */
	struct node *parent; /* not counted; NULL: removed, or the root */
	struct entries now, base;
	struct op *log;
	size_t n_log, cap_log;
};

struct desc {
	bool used;
	int pid, flags;
	struct node *node;
	struct node *dir; /* it was opened as name in here; NULL: "." */
	char name[DISK_NAME_MAX + 1];
	size_t pos;
	int lock, ofd_lock; /* LOCK_SH, LOCK_EX; 0 none */
};

struct stream {
	bool used;
	int fd, pid;
	struct entries list; /* nodes not counted: only names are shown */
	size_t at;
	struct dirent out;
};

struct failing {
	int errnum;
	unsigned nth, times;
};

struct disk {
	struct node **node; /* all there ever were; never freed */
	size_t n_nodes, cap_nodes;
	struct node **spare;
	size_t n_spare, cap_spare;
	struct node *root, *boot_id;
	struct desc *desc;
	size_t n_desc;
	struct stream stream[STREAMS];
	int pid, dead[DEAD_MAX];
	size_t n_dead;

	disk_before *before;
	void *before_arg;
	int64_t now_ms, space;
	struct failing fail[DISK_CALLS];
	unsigned eintr, shorter;
	disk_rnd *flaky;
	void *flaky_arg;
	bool ordered, no_renameat2, no_link;
	unsigned long calls, scratch;
};

extern _Thread_local struct disk *disk_current;

/* ---- disk_tree.c ---- */

void *disk_grow(void *p, size_t *cap, size_t want, size_t size);
struct node *node_new(struct disk *d, enum kind kind, mode_t mode);
void node_ref(struct node *n);
void node_unref(struct disk *d, struct node *n);
void node_write(struct disk *d, struct node *n, size_t at, const void *data,
	size_t len);
void node_truncate(struct disk *d, struct node *n, size_t len);
/* What is there becomes durable (also what an fsync dropped). */
void node_sync(struct disk *d, struct node *n);
/* Content that is durable. */
const char *node_safe(const struct node *n);

bool entry_is(const struct entry *e, const char *name, size_t len);
struct entry *entry_find(const struct entries *l, const char *name, size_t len);
void entries_clear(struct disk *d, struct entries *l);
void entries_apply(struct disk *d, struct entries *l, const struct op *op);
/* Changes of a folder, as they are now, and in its log. node counts. */
void dir_set(struct disk *d, struct node *dir, const char *name, size_t len,
	struct node *node);
void dir_del(struct disk *d, struct node *dir, const char *name, size_t len);
/* Within one folder. */
void dir_move(struct disk *d, struct node *dir, const struct entry *from,
	const char *name, size_t len);
void dir_log_clear(struct disk *d, struct node *dir);

/* Where a path leads. */
struct spot {
	struct node *dir; /* NULL when the last component is "." or ".." */
	const char *name; /* last component; not NUL-terminated */
	size_t len;
	struct node *node; /* NULL: nothing has this name in dir */
};

enum {
	WALK_FOLLOW = 1, /* a link at the end, too */
	WALK_BASE = 2,   /* what is durable, and not what is there now */
	WALK_CHECK = 4   /* EAGAIN when an entry on the way is not durable */
};

/* 0 or an errno; ENOENT is for folders on the way only. */
int walk(struct disk *d, struct node *start, const char *path, unsigned flags,
	struct spot *ret);
/* "/sim/x"; of a folder that was removed: "(removed)". */
void node_path(const struct disk *d, const struct node *dir, const char *name,
	char ret[DISK_PATH_MAX]);

/* ---- disk.c ---- */

void desc_close(struct disk *d, struct desc *f);

#endif
