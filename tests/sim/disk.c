/*
 * The disk: life and death of it and of processes, what a power cut leaves, and
 * the world's own hand. What must hold: the survivor of a power cut is legal
 * (disk.h), and every legal one can be chosen; the same random numbers choose
 * the same one. (POSIX fsync, rename; the rest of POSIX promises nothing.)
 */
#include "disk_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 512

/* ---- life ---- */

static void begin(struct disk *d)
{
	d->before = NULL;
	d->pid = 0;
	d->n_dead = 0;
	d->now_ms = 0;
	d->space = -1;
	memset(d->fail, 0, sizeof(d->fail));
	d->eintr = d->shorter = 0;
	d->ordered = d->no_renameat2 = d->no_link = false;
	d->calls = d->scratch = 0;
	d->root = node_new(d, KIND_DIR, 0755);
	node_ref(d->root);
	d->boot_id = node_new(d, KIND_FILE, 0444);
	node_ref(d->boot_id);
	d->boot_id->links = 1;
	disk_make_dir(d, "/sim");
}

static void close_all(struct disk *d, int pid, bool everyone)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (everyone || d->stream[i].pid == pid)
			d->stream[i].used = false;
	for (size_t i = 0; i < d->n_desc; i++)
		if (d->desc[i].used && (everyone || d->desc[i].pid == pid))
			desc_close(d, &d->desc[i]);
}

/* No node is left; numbers are given out as in a new disk. */
static void clear(struct disk *d)
{
	close_all(d, 0, true);
	for (size_t i = 0; i < d->n_nodes; i++) {
		struct node *n = d->node[i];

		n->kind = KIND_FREE;
		n->now.n = n->base.n = n->n_log = 0;
	}
	d->spare = disk_grow(
		d->spare, &d->cap_spare, d->n_nodes, sizeof(struct node *));
	for (size_t i = 0; i < d->n_nodes; i++)
		d->spare[i] = d->node[d->n_nodes - 1 - i];
	d->n_spare = d->n_nodes;
}

struct disk *disk_new(void)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		abort();
	begin(d);
	return d;
}

void disk_reset(struct disk *d)
{
	clear(d);
	begin(d);
}

void disk_free(struct disk *d)
{
	if (d == NULL)
		return;
	if (disk_current == d)
		disk_current = NULL;
	for (size_t i = 0; i < d->n_nodes; i++) {
		free(d->node[i]->data);
		free(d->node[i]->old);
		free(d->node[i]->now.e);
		free(d->node[i]->base.e);
		free(d->node[i]->log);
		free(d->node[i]);
	}
	for (size_t i = 0; i < STREAMS; i++)
		free(d->stream[i].list.e);
	free(d->node);
	free(d->spare);
	free(d->desc);
	free(d);
}

void disk_use(struct disk *d)
{
	disk_current = d;
}

void disk_process(struct disk *d, int pid)
{
	d->pid = pid;
}

void disk_kill(struct disk *d, int pid)
{
	close_all(d, pid, false);
	for (size_t i = 0; i < d->n_dead; i++)
		if (d->dead[i] == pid)
			d->dead[i--] = d->dead[--d->n_dead];
}

bool disk_is_dead(const struct disk *d, int pid)
{
	for (size_t i = 0; i < d->n_dead; i++)
		if (d->dead[i] == pid)
			return true;
	return false;
}

void disk_die(struct disk *d, int pid)
{
	if (disk_is_dead(d, pid))
		return;
	if (d->n_dead == DEAD_MAX)
		abort();
	d->dead[d->n_dead++] = pid;
}

/* ---- snapshots ---- */

static void copy_entries(
	struct disk *dst, struct entries *to, const struct entries *from)
{
	to->e = disk_grow(to->e, &to->cap, from->n, sizeof(struct entry));
	for (size_t i = 0; i < from->n; i++) {
		to->e[i] = from->e[i];
		to->e[i].node = dst->node[from->e[i].node->index];
		node_ref(to->e[i].node);
	}
	to->n = from->n;
}

static void copy_log(struct disk *dst, struct node *to, const struct node *from)
{
	to->log = disk_grow(
		to->log, &to->cap_log, from->n_log, sizeof(struct op));
	for (size_t i = 0; i < from->n_log; i++) {
		to->log[i] = from->log[i];
		if (!to->log[i].has_set)
			continue;
		to->log[i].set.node = dst->node[from->log[i].set.node->index];
		node_ref(to->log[i].set.node);
	}
	to->n_log = from->n_log;
}

static void copy_content(struct node *to, const struct node *from)
{
	if (from->data != NULL) {
		to->data = disk_grow(to->data, &to->cap, from->len + 1, 1);
		memcpy(to->data, from->data, from->len);
		to->data[from->len] = '\0';
	}
	if (from->has_old) {
		to->old = disk_grow(to->old, &to->cap_old, from->synced, 1);
		memcpy(to->old, from->old, from->synced);
	}
	to->len = from->len;
	to->synced = from->synced;
	to->has_old = from->has_old;
	to->dirty = from->dirty;
	to->hole_from = from->hole_from;
	to->hole_to = from->hole_to;
}

void disk_copy(struct disk *dst, const struct disk *src)
{
	clear(dst);
	/* same indices; those that src has spare are given back */
	dst->n_spare = 0;
	while (dst->n_nodes < src->n_nodes)
		(void)node_new(dst, KIND_FREE, 0);
	for (size_t i = 0; i < dst->n_nodes; i++)
		dst->node[i]->refs = 0;
	for (size_t i = 0; i < src->n_nodes; i++) {
		const struct node *from = src->node[i];
		struct node *to = dst->node[i];

		to->kind = from->kind;
		to->links = from->links;
		to->meta = from->meta;
		to->safe_meta = from->safe_meta;
		to->mtime_ms = from->mtime_ms;
		to->parent = from->parent != NULL
				     ? dst->node[from->parent->index]
				     : NULL;
		to->len = to->synced = 0;
		to->has_old = to->dirty = false;
		to->hole_from = to->hole_to = 0;
		if (from->kind == KIND_FILE || from->kind == KIND_LINK)
			copy_content(to, from);
		if (from->kind == KIND_DIR) {
			copy_entries(dst, &to->now, &from->now);
			copy_entries(dst, &to->base, &from->base);
			copy_log(dst, to, from);
		}
	}
	dst->root = dst->node[src->root->index];
	dst->boot_id = dst->node[src->boot_id->index];
	node_ref(dst->root);
	node_ref(dst->boot_id);
	/* what only a descriptor held is gone; the order of reuse is that of
	 * src, then what src never had */
	for (size_t i = dst->n_nodes; i > src->n_nodes; i--)
		dst->node[i - 1]->kind = KIND_FREE;
	dst->spare = disk_grow(
		dst->spare, &dst->cap_spare, dst->n_nodes, sizeof(void *));
	for (size_t i = dst->n_nodes; i > src->n_nodes; i--)
		dst->spare[dst->n_spare++] = dst->node[i - 1];
	for (size_t i = 0; i < src->n_spare; i++)
		dst->spare[dst->n_spare++] = dst->node[src->spare[i]->index];
	for (size_t i = 0; i < src->n_nodes; i++) {
		struct node *n = dst->node[i];

		if (n->kind == KIND_FREE || n->refs > 0)
			continue;
		node_ref(n);
		node_unref(dst, n);
	}
}

struct disk *disk_clone(const struct disk *d)
{
	struct disk *c = disk_new();

	disk_copy(c, d);
	c->now_ms = d->now_ms;
	c->ordered = d->ordered;
	return c;
}

/* ---- what a power cut leaves ---- */

struct chance {
	disk_rnd *rnd;
	void *arg;
};

/* [0, n] */
static size_t up_to(const struct chance *c, size_t n)
{
	return (size_t)(c->rnd(c->arg) >> 11) % (n + 1);
}

/* Whether an operation survives is asked in order. */
static void survive_dir(struct disk *d, struct node *n, const struct chance *c)
{
	const size_t mood = up_to(c, d->ordered ? 0 : 2);
	const size_t prefix = up_to(c, n->n_log);

	for (size_t i = 0; i < n->n_log; i++)
		if (mood == 0 ? i < prefix : up_to(c, 1) == 0)
			entries_apply(d, &n->base, &n->log[i]);
	dir_log_clear(d, n);
	entries_clear(d, &n->now);
	n->now.e = disk_grow(
		n->now.e, &n->now.cap, n->base.n, sizeof(struct entry));
	for (size_t i = 0; i < n->base.n; i++) {
		n->now.e[i] = n->base.e[i];
		node_ref(n->now.e[i].node);
	}
	n->now.n = n->base.n;
}

/* Blocks from the old, from the new, or never written. */
static void survive_blocks(struct node *n, const struct chance *c)
{
	const char *safe = node_safe(n);
	const size_t len = n->len;

	for (size_t at = 0; at < len; at += BLOCK) {
		const size_t end = at + BLOCK < len ? at + BLOCK : len;
		size_t kept = 0;

		if (up_to(c, 1) == 0)
			continue;
		if (at < n->synced)
			kept = (end < n->synced ? end : n->synced) - at;
		if (n->has_old && kept > 0)
			memcpy(n->data + at, safe + at, kept);
		memset(n->data + at + kept, 0, end - at - kept);
	}
}

static void survive_file(struct node *n, const struct chance *c)
{
	const size_t most = n->len > n->synced ? n->len : n->synced;
	const size_t mood = up_to(c, 4);
	size_t cut, size;

	if (mood == 0)
		return; /* all of it */
	if (mood == 4) {
		survive_blocks(n, c);
		return;
	}
	n->data = disk_grow(n->data, &n->cap, most + 1, 1);
	/* a prefix of the new, the rest old, or zeros */
	cut = mood == 1 ? 0 : up_to(c, n->len);
	if (mood == 3)
		size = n->len;
	else
		size = n->synced > cut ? n->synced : cut;
	if (n->has_old && cut < n->synced)
		memcpy(n->data + cut, n->old + cut, n->synced - cut);
	if (size > cut && size > n->synced)
		memset(n->data + (cut > n->synced ? cut : n->synced), 0,
			size - (cut > n->synced ? cut : n->synced));
	n->len = size;
	n->data[size] = '\0';
}

static void survive_hole(struct node *n, const struct chance *c)
{
	const size_t to = n->hole_to < n->len ? n->hole_to : n->len;

	if (to > n->hole_from && up_to(c, 1) == 0)
		memset(n->data + n->hole_from, 0, to - n->hole_from);
}

/* Parents and numbers of links, as the entries say. A folder that is found
 * twice (moved to another folder, half) stays where it is found first. */
static void count_links(struct disk *d)
{
	for (size_t i = 0; i < d->n_nodes; i++) {
		d->node[i]->links = 0;
		d->node[i]->parent = NULL;
	}
	d->boot_id->links = 1;
	for (size_t i = 0; i < d->n_nodes; i++) {
		struct node *dir = d->node[i];

		for (size_t k = 0; k < dir->now.n; k++) {
			struct node *n = dir->now.e[k].node;

			if (n->kind != KIND_DIR || n->links == 0) {
				n->links++;
				n->parent = n->kind == KIND_DIR ? dir : NULL;
				continue;
			}
			node_unref(d, n);
			dir->now.e[k] = dir->now.e[--dir->now.n];
			k--;
			entries_clear(d, &dir->base);
			copy_entries(d, &dir->base, &dir->now);
		}
	}
}

void disk_power_cut(struct disk *d, disk_rnd *rnd, void *arg)
{
	const struct chance c = { .rnd = rnd, .arg = arg };

	close_all(d, 0, true);
	d->n_dead = 0;
	for (size_t i = 0; i < d->n_nodes; i++) {
		struct node *n = d->node[i];

		if (n->kind == KIND_FREE)
			continue;
		if (n->kind == KIND_DIR && n->n_log > 0)
			survive_dir(d, n, &c);
		if (n->kind == KIND_FILE && n->dirty)
			survive_file(n, &c);
		if (n->kind == KIND_FILE && n->hole_to > 0)
			survive_hole(n, &c);
		if (memcmp(&n->meta, &n->safe_meta, sizeof(n->meta)) != 0 &&
			up_to(&c, 1) == 0)
			n->meta = n->safe_meta;
		node_sync(d, n);
	}
	count_links(d);
}

/* ---- settings ---- */

void disk_ordered(struct disk *d, bool ordered)
{
	d->ordered = ordered;
}

void disk_hook(struct disk *d, disk_before *before, void *arg)
{
	d->before = before;
	d->before_arg = arg;
}

void disk_now(struct disk *d, int64_t wall_ms)
{
	d->now_ms = wall_ms;
}

void disk_set_boot_id(struct disk *d, const char *text)
{
	node_truncate(d, d->boot_id, 0);
	if (text != NULL) {
		node_write(d, d->boot_id, 0, text, strlen(text));
		node_write(d, d->boot_id, strlen(text), "\n", 1);
	}
	node_sync(d, d->boot_id);
}

void disk_space(struct disk *d, int64_t octets)
{
	d->space = octets;
}

void disk_fail(struct disk *d, enum disk_call call, int errnum, unsigned nth,
	unsigned times)
{
	d->fail[call] = (struct failing){
		.errnum = nth > 0 ? errnum : 0, .nth = nth, .times = times
	};
}

void disk_flaky(struct disk *d, unsigned eintr, unsigned shorter, disk_rnd *rnd,
	void *arg)
{
	d->eintr = eintr;
	d->shorter = shorter;
	d->flaky = rnd;
	d->flaky_arg = arg;
}

void disk_old(struct disk *d, bool no_renameat2, bool no_link)
{
	d->no_renameat2 = no_renameat2;
	d->no_link = no_link;
}

unsigned long disk_calls(const struct disk *d)
{
	return d->calls;
}

size_t disk_open_count(const struct disk *d, int pid)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_desc; i++)
		n += d->desc[i].used && d->desc[i].pid == pid;
	return n;
}
