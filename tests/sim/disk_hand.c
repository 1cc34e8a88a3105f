/*
 * The world's own hand on the disk, and its eyes: no hook, no fault, no
 * process. What must hold: what the hand makes is durable at once, and nothing
 * else becomes durable by it; looking changes nothing.
 */
#include "disk_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* ---- the hand ---- */

/* Operations that are not durable yet lose their say about this name. */
static void log_forget(
	struct disk *d, struct node *dir, const char *name, size_t len)
{
	for (size_t i = 0; i < dir->n_log; i++) {
		struct op *op = &dir->log[i];

		if (op->has_del && entry_is(&op->del, name, len))
			op->has_del = false;
		if (op->has_set && entry_is(&op->set, name, len)) {
			op->has_set = false;
			node_unref(d, op->set.node);
		}
	}
}

/* The last operation in the log becomes durable, alone. */
static void log_settle(struct disk *d, struct node *dir)
{
	struct op op = dir->log[--dir->n_log];

	log_forget(d, dir, op.has_set ? op.set.name : op.del.name,
		op.has_set ? op.set.len : op.del.len);
	entries_apply(d, &dir->base, &op);
	if (op.has_set)
		node_unref(d, op.set.node);
}

static void set_durable(struct disk *d, const struct spot *s, struct node *n)
{
	dir_set(d, s->dir, s->name, s->len, n);
	log_settle(d, s->dir);
	node_sync(d, n);
}

static void del_durable(
	struct disk *d, struct node *dir, const char *name, size_t len)
{
	dir_del(d, dir, name, len);
	log_settle(d, dir);
}

/* Each folder on the way to the last component, or to the end (whole). */
static void make_way(struct disk *d, const char *path, bool whole)
{
	char part[4096];
	struct spot s;

	if (path[0] != '/' || strlen(path) >= sizeof(part))
		abort(); /* a mistake of the world's */
	for (const char *p = path + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		if (*p == '\0' && !whole)
			return;
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		if (walk(d, d->root, part, WALK_FOLLOW, &s) != 0)
			abort();
		if (s.node == NULL)
			set_durable(d, &s, node_new(d, KIND_DIR, 0755));
		else if (s.node->kind != KIND_DIR)
			abort();
		if (*p == '\0')
			return;
	}
}

void disk_make_dir(struct disk *d, const char *path)
{
	make_way(d, path, true);
}

static void put(struct disk *d, const char *path, enum kind kind, mode_t mode,
	const void *data, size_t len)
{
	struct spot s;
	struct node *n;

	make_way(d, path, false);
	if (walk(d, d->root, path, 0, &s) != 0 || s.dir == NULL ||
		(s.node != NULL && s.node->kind == KIND_DIR))
		abort();
	n = node_new(d, kind, mode);
	node_truncate(d, n, len); /* also makes room for the NUL of "" */
	node_write(d, n, 0, data, len);
	set_durable(d, &s, n);
}

void disk_put(struct disk *d, const char *path, const void *data, size_t len,
	mode_t mode)
{
	put(d, path, KIND_FILE, mode, data, len);
}

void disk_put_link(struct disk *d, const char *path, const char *target)
{
	put(d, path, KIND_LINK, 0777, target, strlen(target));
}

static void empty(struct disk *d, struct node *dir)
{
	while (dir->now.n > 0) {
		const struct entry e = dir->now.e[dir->now.n - 1];

		if (e.node->kind == KIND_DIR)
			empty(d, e.node);
		del_durable(d, dir, e.name, e.len);
	}
}

void disk_remove(struct disk *d, const char *path)
{
	struct spot s;

	if (walk(d, d->root, path, 0, &s) != 0 || s.node == NULL ||
		s.dir == NULL)
		return;
	if (s.node->kind == KIND_DIR)
		empty(d, s.node);
	del_durable(d, s.dir, s.name, s.len);
}

void disk_sync(struct disk *d)
{
	for (size_t i = 0; i < d->n_nodes; i++)
		if (d->node[i]->kind != KIND_FREE)
			node_sync(d, d->node[i]);
}

/* ---- the eyes ---- */

static struct node *look(struct disk *d, const char *path, unsigned flags)
{
	struct spot s;

	return walk(d, d->root, path, flags, &s) == 0 ? s.node : NULL;
}

const char *disk_file(struct disk *d, const char *path, size_t *ret_len)
{
	const struct node *n = look(d, path, WALK_FOLLOW);

	if (n == NULL || n->kind != KIND_FILE)
		return NULL;
	*ret_len = n->len;
	return n->data != NULL && n->len > 0 ? n->data : "";
}

const char *disk_link(struct disk *d, const char *path)
{
	const struct node *n = look(d, path, 0);

	return n != NULL && n->kind == KIND_LINK ? n->data : NULL;
}

bool disk_is_dir(struct disk *d, const char *path)
{
	const struct node *n = look(d, path, 0);

	return n != NULL && n->kind == KIND_DIR;
}

int disk_mode(struct disk *d, const char *path)
{
	const struct node *n = look(d, path, 0);

	return n != NULL ? (int)(n->meta.mode & 07777) : -1;
}

bool disk_each(struct disk *d, const char *path, disk_entry *each, void *arg)
{
	const struct node *n = look(d, path, 0);

	if (n == NULL || n->kind != KIND_DIR)
		return false;
	for (size_t i = 0; i < n->now.n; i++)
		each(arg, n->now.e[i].name);
	return true;
}

const char *disk_durable_file(struct disk *d, const char *path, size_t *ret_len)
{
	const struct node *n = look(d, path, WALK_FOLLOW | WALK_BASE);

	if (n == NULL || n->kind != KIND_FILE)
		return NULL;
	*ret_len = n->hole_to > 0 && n->hole_from < n->synced ? n->hole_from
							      : n->synced;
	return n->synced > 0 ? node_safe(n) : "";
}

const char *disk_durable_link(struct disk *d, const char *path)
{
	const struct node *n = look(d, path, WALK_BASE);

	return n != NULL && n->kind == KIND_LINK ? n->data : NULL;
}

bool disk_is_durable(struct disk *d, const char *path)
{
	struct spot s;
	int e = walk(d, d->root, path, WALK_FOLLOW | WALK_CHECK, &s);

	if (e != 0 || s.node == NULL)
		return e != EAGAIN;
	return s.node->kind == KIND_DIR
		       ? s.node->n_log == 0
		       : !s.node->dirty && s.node->hole_to == 0;
}

/* ---- locks ---- */

bool disk_holds_lock(struct disk *d, int pid, const char *path)
{
	const struct node *n = look(d, path, 0);

	for (size_t i = 0; n != NULL && i < d->n_desc; i++)
		if (d->desc[i].used && d->desc[i].pid == pid &&
			d->desc[i].node == n && d->desc[i].lock == LOCK_EX)
			return true;
	return false;
}

static bool is_free(const char *below)
{
	return strcmp(below, "lock") == 0 || strcmp(below, "news") == 0 ||
	       (strncmp(below, ".tmp-", 5) == 0 && strchr(below, '/') == NULL);
}

bool disk_lock_of(const char *path, char ret[DISK_PATH_MAX])
{
	const char *at = strstr(path, "/lineages/");
	const char *name, *end;

	if (at != NULL) {
		name = at + strlen("/lineages/");
		end = strchr(name, '/');
		if (end == NULL || is_free(end + 1))
			return false;
	} else {
		at = strstr(path, "/live/");
		if (at == NULL)
			return false;
		name = at + strlen("/live/");
		end = strchrnul(name, '/');
		if (*end == '/' || *name == '\0' || *name == '.')
			return false;
	}
	return snprintf(ret, DISK_PATH_MAX, "%.*s/lineages/%.*s/lock",
		       (int)(at - path), path, (int)(end - name),
		       name) < DISK_PATH_MAX;
}
