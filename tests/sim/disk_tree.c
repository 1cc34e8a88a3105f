/*
 * Nodes, entries and paths of the disk. What must hold: the counts of
 * references are right, so that what nobody can reach any more is reused at
 * once; each change of a folder is made twice, as it is now and in the log of
 * what is not durable yet; no byte that an fsync made durable is overwritten
 * without being kept.
 */
#include "disk_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Thread_local struct disk *disk_current;

void *disk_grow(void *p, size_t *cap, size_t want, size_t size)
{
	size_t n = *cap > 0 ? *cap : 8;

	if (want <= *cap)
		return p;
	while (n < want)
		n *= 2;
	p = realloc(p, n * size);
	if (p == NULL)
		abort();
	*cap = n;
	return p;
}

/* ---- nodes ---- */

struct node *node_new(struct disk *d, enum kind kind, mode_t mode)
{
	struct node *n;

	if (d->n_spare > 0) {
		n = d->spare[--d->n_spare];
	} else {
		n = calloc(1, sizeof(*n));
		if (n == NULL)
			abort();
		d->node = disk_grow(d->node, &d->cap_nodes, d->n_nodes + 1,
			sizeof(struct node *));
		n->index = d->n_nodes;
		d->node[d->n_nodes++] = n;
	}
	n->kind = kind;
	n->refs = n->links = 0;
	n->meta = (struct meta){ .mode = mode };
	n->safe_meta = n->meta;
	n->mtime_ms = d->now_ms;
	n->len = n->synced = 0;
	n->has_old = n->dirty = false;
	n->hole_from = n->hole_to = 0;
	n->parent = NULL;
	return n;
}

void node_ref(struct node *n)
{
	n->refs++;
}

void node_unref(struct disk *d, struct node *n)
{
	if (--n->refs > 0)
		return;
	if (n->kind == KIND_DIR) {
		entries_clear(d, &n->now);
		entries_clear(d, &n->base);
		dir_log_clear(d, n);
	}
	n->kind = KIND_FREE;
	d->spare = disk_grow(
		d->spare, &d->cap_spare, d->n_spare + 1, sizeof(struct node *));
	d->spare[d->n_spare++] = n;
}

const char *node_safe(const struct node *n)
{
	return n->has_old ? n->old : n->data;
}

/* Octets from at on are about to change. */
static void keep_old(struct node *n, size_t at)
{
	if (n->has_old || at >= n->synced)
		return;
	n->old = disk_grow(n->old, &n->cap_old, n->synced, 1);
	memcpy(n->old, n->data, n->synced);
	n->has_old = true;
}

/* One octet more than the content: NUL, for those who look. */
static void room(struct node *n, size_t len)
{
	n->data = disk_grow(n->data, &n->cap, len + 1, 1);
}

void node_write(
	struct disk *d, struct node *n, size_t at, const void *data, size_t len)
{
	if (len == 0)
		return;
	keep_old(n, at);
	room(n, at + len);
	if (at > n->len)
		memset(n->data + n->len, 0, at - n->len);
	memcpy(n->data + at, data, len);
	if (at + len > n->len) {
		n->len = at + len;
		n->data[n->len] = '\0';
	}
	n->dirty = true;
	n->mtime_ms = d->now_ms;
}

void node_truncate(struct disk *d, struct node *n, size_t len)
{
	if (len == n->len)
		return;
	keep_old(n, len);
	room(n, len);
	if (len > n->len)
		memset(n->data + n->len, 0, len - n->len);
	n->len = len;
	n->data[len] = '\0';
	if (len <= n->hole_from)
		n->hole_from = n->hole_to = 0;
	n->dirty = true;
	n->mtime_ms = d->now_ms;
}

void node_sync(struct disk *d, struct node *n)
{
	n->safe_meta = n->meta;
	n->synced = n->len;
	n->has_old = n->dirty = false;
	n->hole_from = n->hole_to = 0;
	if (n->kind != KIND_DIR)
		return;
	for (size_t i = 0; i < n->n_log; i++)
		entries_apply(d, &n->base, &n->log[i]);
	dir_log_clear(d, n);
}

/* ---- entries ---- */

bool entry_is(const struct entry *e, const char *name, size_t len)
{
	/* names in one folder often begin alike: look at the end first */
	return e->len == len && e->name[len - 1] == name[len - 1] &&
	       memcmp(e->name, name, len) == 0;
}

struct entry *entry_find(const struct entries *l, const char *name, size_t len)
{
	for (size_t i = 0; i < l->n; i++)
		if (entry_is(&l->e[i], name, len))
			return &l->e[i];
	return NULL;
}

static void entry_name(struct entry *e, const char *name, size_t len)
{
	e->len = (uint8_t)len;
	memcpy(e->name, name, len);
	e->name[len] = '\0';
}

/* Returns the node that had the name; its reference is the caller's. */
static struct node *take(struct entries *l, const char *name, size_t len)
{
	struct entry *e = entry_find(l, name, len);
	struct node *n = e != NULL ? e->node : NULL;

	if (e != NULL)
		*e = l->e[--l->n];
	return n;
}

/* Returns what had the name before, as take does. */
static struct node *place(
	struct entries *l, const char *name, size_t len, struct node *node)
{
	struct entry *e = entry_find(l, name, len);
	struct node *was = e != NULL ? e->node : NULL;

	if (e == NULL) {
		l->e = disk_grow(l->e, &l->cap, l->n + 1, sizeof(struct entry));
		e = &l->e[l->n++];
		entry_name(e, name, len);
	}
	e->node = node;
	node_ref(node);
	return was;
}

void entries_clear(struct disk *d, struct entries *l)
{
	while (l->n > 0)
		node_unref(d, l->e[--l->n].node);
}

void entries_apply(struct disk *d, struct entries *l, const struct op *op)
{
	struct node *was;

	if (op->has_del && (was = take(l, op->del.name, op->del.len)) != NULL)
		node_unref(d, was);
	if (op->has_set && (was = place(l, op->set.name, op->set.len,
				    op->set.node)) != NULL)
		node_unref(d, was);
}

void dir_log_clear(struct disk *d, struct node *dir)
{
	while (dir->n_log > 0) {
		const struct op *op = &dir->log[--dir->n_log];

		if (op->has_set)
			node_unref(d, op->set.node);
	}
}

static struct op *dir_log(struct node *dir)
{
	struct op *op;

	dir->log = disk_grow(
		dir->log, &dir->cap_log, dir->n_log + 1, sizeof(struct op));
	op = &dir->log[dir->n_log++];
	op->has_del = op->has_set = false;
	return op;
}

static void log_set(
	struct op *op, const char *name, size_t len, struct node *node)
{
	op->has_set = true;
	entry_name(&op->set, name, len);
	op->set.node = node;
	node_ref(node);
}

static void log_del(struct op *op, const char *name, size_t len)
{
	op->has_del = true;
	entry_name(&op->del, name, len);
}

/* An entry is gone. */
static void left(struct disk *d, struct node *n)
{
	n->links--;
	if (n->kind == KIND_DIR)
		n->parent = NULL;
	node_unref(d, n);
}

static void enters(struct disk *d, struct node *dir, const char *name,
	size_t len, struct node *node)
{
	struct node *was = place(&dir->now, name, len, node);

	if (was != NULL)
		left(d, was);
	node->links++;
	if (node->kind == KIND_DIR)
		node->parent = dir;
	dir->mtime_ms = d->now_ms;
}

void dir_set(struct disk *d, struct node *dir, const char *name, size_t len,
	struct node *node)
{
	log_set(dir_log(dir), name, len, node);
	enters(d, dir, name, len, node);
}

void dir_del(struct disk *d, struct node *dir, const char *name, size_t len)
{
	struct node *was;

	log_del(dir_log(dir), name, len);
	was = take(&dir->now, name, len);
	dir->mtime_ms = d->now_ms;
	if (was != NULL)
		left(d, was);
}

void dir_move(struct disk *d, struct node *dir, const struct entry *from,
	const char *name, size_t len)
{
	const struct entry old = *from; /* it points into what changes */
	struct op *op = dir_log(dir);

	log_del(op, old.name, old.len);
	log_set(op, name, len, old.node);
	(void)take(&dir->now, old.name, old.len);
	enters(d, dir, name, len, old.node);
	old.node->links--;
	node_unref(d, old.node); /* the old entry */
}

/* ---- paths ---- */

static bool in_log(const struct node *dir, const char *name, size_t len)
{
	for (size_t i = 0; i < dir->n_log; i++) {
		const struct op *op = &dir->log[i];

		if ((op->has_del && entry_is(&op->del, name, len)) ||
			(op->has_set && entry_is(&op->set, name, len)))
			return true;
	}
	return false;
}

static int walk_from(struct disk *d, struct node *at, const char *path,
	unsigned flags, unsigned *links, struct spot *ret);

/* One component; *ret is where it leads. last: nothing comes after it. */
static int step(struct disk *d, struct node *at, const char *name, size_t len,
	bool last, unsigned flags, unsigned *links, struct spot *ret)
{
	const struct entry *e;

	*ret = (struct spot){ .dir = at, .name = name, .len = len };
	if (len == 1 && name[0] == '.') {
		*ret = (struct spot){ .node = at };
		return 0;
	}
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		*ret = (struct spot){ .node = at->parent };
		if (at->parent == NULL)
			ret->node = at;
		return 0;
	}
	if (len > DISK_NAME_MAX)
		return ENAMETOOLONG;
	if ((flags & WALK_CHECK) != 0 && in_log(at, name, len))
		return EAGAIN;
	e = entry_find(
		(flags & WALK_BASE) != 0 ? &at->base : &at->now, name, len);
	if (e == NULL)
		return last ? 0 : ENOENT;
	ret->node = e->node;
	if (e->node->kind != KIND_LINK || (last && (flags & WALK_FOLLOW) == 0))
		return 0;
	if (++*links > LINKS_MAX)
		return ELOOP;
	return walk_from(d, at, e->node->data,
		last ? flags : flags | WALK_FOLLOW, links, ret);
}

static int walk_from(struct disk *d, struct node *at, const char *path,
	unsigned flags, unsigned *links, struct spot *ret)
{
	if (*path == '\0')
		return ENOENT;
	if (*path == '/')
		at = d->root;
	*ret = (struct spot){ .node = at };
	for (;;) {
		const char *end;
		bool slash;
		int e;

		while (*path == '/')
			path++;
		if (*path == '\0')
			return 0;
		if (ret->node == NULL)
			return ENOENT; /* a link to nothing on the way */
		if (ret->node->kind != KIND_DIR)
			return ENOTDIR;
		at = ret->node;
		end = strchrnul(path, '/');
		slash = *end == '/';
		while (*end == '/')
			end++;
		e = step(d, at, path, strcspn(path, "/"), *end == '\0',
			slash ? flags | WALK_FOLLOW : flags, links, ret);
		if (e != 0)
			return e;
		if (slash && *end == '\0' && ret->node != NULL &&
			ret->node->kind != KIND_DIR)
			return ENOTDIR;
		path = end;
	}
}

int walk(struct disk *d, struct node *start, const char *path, unsigned flags,
	struct spot *ret)
{
	unsigned links = 0;

	return walk_from(d, start, path, flags, &links, ret);
}

/* The name of a folder; NULL: it has none any more. */
static const struct entry *name_of(const struct node *dir)
{
	const struct entries *l =
		dir->parent != NULL ? &dir->parent->now : NULL;

	for (size_t i = 0; l != NULL && i < l->n; i++)
		if (l->e[i].node == dir)
			return &l->e[i];
	return NULL;
}

void node_path(const struct disk *d, const struct node *dir, const char *name,
	char ret[DISK_PATH_MAX])
{
	char tail[DISK_PATH_MAX];
	char *p = tail + sizeof(tail) - 1;

	*p = '\0';
	while (dir != d->root) {
		const struct entry *e = name_of(dir);

		if (e == NULL || p - tail < (ptrdiff_t)e->len + 1) {
			p = tail + sizeof(tail) - 1;
			p -= strlen("(removed)");
			memcpy(p, "(removed)", strlen("(removed)"));
			break;
		}
		p -= e->len;
		memcpy(p, e->name, e->len);
		*--p = '/';
		dir = dir->parent;
	}
	(void)snprintf(ret, DISK_PATH_MAX, "%s%s%s", p,
		name[0] != '\0' ? "/" : "", name);
}
