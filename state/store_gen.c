/*
 * Generations and the link to the live one. What must hold: a generation is
 * whole or absent (built beside its place, fsynced, renamed) and never changed
 * afterwards; the live one is never removed; live/NAME always points to a whole
 * one. The folder of a generation lets in exactly who may read its files.
 */
#include "state/store_impl.h"

#include "hook/base/atomicfile.h"
#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GEN_NAME_MAX 16
#define TREE_DEPTH_MAX 16
#define SCRATCH "scratch-"

/* ---- removing ---- */

struct tree {
	int dirfd;
	int depth;
};

static enum status remove_entry(const char *name, void *arg, struct err *err)
{
	const struct tree *t = arg;
	struct tree below = { .dirfd = -1, .depth = t->depth + 1 };
	enum status st;
	auto_fd fd = -1;

	if (unlinkat(t->dirfd, name, 0) == 0 || errno == ENOENT)
		return ST_OK;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(err, ST_IO, errno, "cannot remove %s", name);
	if (t->depth >= TREE_DEPTH_MAX)
		return err_set(err, ST_REFUSED,
			"%s is nested too deeply: remove it by hand", name);
	fd = openat(t->dirfd, name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, ST_IO, errno, "cannot remove %s", name);
	below.dirfd = fd;
	st = store_each(fd, name, remove_entry, &below, err);
	if (st == ST_OK && unlinkat(t->dirfd, name, AT_REMOVEDIR) != 0 &&
		errno != ENOENT)
		st = err_sys(err, ST_IO, errno, "cannot remove %s", name);
	return st;
}

enum status store_remove_tree(int dirfd, const char *name, struct err *err)
{
	struct tree t = { .dirfd = dirfd, .depth = 0 };

	return remove_entry(name, &t, err);
}

static enum status sweep_entry(const char *name, void *arg, struct err *err)
{
	const struct tree *t = arg;

	if (strncmp(name, ".tmp-", 5) == 0 ||
		strncmp(name, SCRATCH, strlen(SCRATCH)) == 0)
		(void)store_remove_tree(t->dirfd, name, err);
	return ST_OK;
}

/* live/ is shared: a temp link there is ours only if it points to us. */
static enum status sweep_link(const char *name, void *arg, struct err *err)
{
	const struct store_lineage *l = arg;
	char prefix[STORE_NAME_MAX + 32], target[STORE_NAME_MAX + 64];
	ssize_t n;

	(void)err;
	if (strncmp(name, ".tmp-", 5) != 0)
		return ST_OK;
	(void)snprintf(prefix, sizeof(prefix), "../lineages/%s/", l->name);
	n = readlinkat(l->store->live, name, target, sizeof(target) - 1);
	if (n <= 0)
		return ST_OK;
	target[n] = '\0';
	if (strncmp(target, prefix, strlen(prefix)) == 0)
		(void)unlinkat(l->store->live, name, 0);
	return ST_OK;
}

void store_sweep_temps(struct store_lineage *l)
{
	const int folders[] = { l->fd, l->keys, l->gens };
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		struct tree t = { .dirfd = folders[i], .depth = 0 };

		(void)store_each(
			folders[i], l->name, sweep_entry, &t, &ignored);
	}
	(void)store_each(l->store->live, "live/", sweep_link, l, &ignored);
}

/* ---- names ---- */

static const char *gen_name(unsigned n, char ret[static GEN_NAME_MAX])
{
	(void)snprintf(ret, GEN_NAME_MAX, "%u", n);
	return ret;
}

/* 0 when text is not the name of a generation. */
static unsigned gen_number(const char *text)
{
	unsigned n = 0;

	if (text[0] == '0')
		return 0;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || n >= INT32_MAX / 10)
			return 0;
		n = n * 10 + (unsigned)(*text - '0');
	}
	return n;
}

static enum status highest_entry(const char *name, void *arg, struct err *err)
{
	unsigned *highest = arg, n = gen_number(name);

	(void)err;
	if (n > *highest)
		*highest = n;
	return ST_OK;
}

enum status store_gen_highest(
	struct store_lineage *l, unsigned *ret, struct err *err)
{
	unsigned n = 0;
	enum status st =
		store_each(l->gens, "generations/", highest_entry, &n, err);

	if (st == ST_OK)
		*ret = n;
	return st;
}

static enum status check_number(unsigned n, struct err *err)
{
	if (n == 0 || n >= INT32_MAX / 10)
		return err_set(err, ST_BUG, "%u is not a generation", n);
	return ST_OK;
}

/* ST_NOTFOUND when there is none. */
static enum status open_gen(
	struct store_lineage *l, unsigned n, int *ret_fd, struct err *err)
{
	char name[GEN_NAME_MAX];
	enum status st = check_number(n, err);
	int fd;

	if (st != ST_OK)
		return st;
	fd = openat(l->gens, gen_name(n, name),
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ST_NOTFOUND,
			"lineage %s has no generation %u", l->name, n);
	if (fd < 0)
		return err_sys(err, ST_IO, errno,
			"cannot open generation %u of lineage %s", n, l->name);
	*ret_fd = fd;
	return ST_OK;
}

/* ---- writing ---- */

static enum status append_pem(
	struct buf *to, const struct buf *from, struct err *err)
{
	enum status st = buf_append(to, buf_str(from), from->len, err);

	if (st == ST_OK && to->len > 0 && to->data[to->len - 1] != '\n')
		st = buf_append(to, "\n", 1, err);
	return st;
}

static enum status write_files(
	int fd, const struct gen_files *f, struct err *err)
{
	auto_buf combined = BUF_INIT(4 * STORE_PEM_MAX);
	const struct {
		const char *name;
		const struct buf *content;
	} files[] = {
		{ "privkey.pem", f->key },
		{ "cert.pem", f->cert },
		{ "chain.pem", f->chain },
		{ "fullchain.pem", f->fullchain },
		{ "combined.pem", &combined },
	};
	enum status st = append_pem(&combined, f->key, err);

	if (st == ST_OK)
		st = append_pem(&combined, f->cert, err);
	if (st == ST_OK)
		st = append_pem(&combined, f->chain, err);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (st != ST_OK)
			break;
		st = atomicfile_write_owned(fd, files[i].name, f->mode & 0666,
			f->uid, f->gid, buf_str(files[i].content),
			files[i].content->len, err);
	}
	return st;
}

static enum status finish_folder(
	int fd, const struct gen_files *f, struct err *err)
{
	mode_t mode = 0700;

	if ((f->mode & S_IRGRP) != 0)
		mode |= S_IXGRP;
	if ((f->mode & S_IROTH) != 0)
		mode |= S_IXOTH;
	if ((f->uid != (uid_t)-1 || f->gid != (gid_t)-1) &&
		fchown(fd, f->uid, f->gid) != 0)
		return err_sys(err, ST_IO, errno,
			"cannot give the generation to user %d, group %d (run "
			"as root, or take owner and group out of the "
			"configuration)",
			(int)f->uid, (int)f->gid);
	if (fchmod(fd, mode) != 0 || fsync(fd) != 0)
		return err_sys(err, ST_IO, errno,
			"cannot finish the folder of the generation");
	return ST_OK;
}

static enum status build(struct store_lineage *l, const char *tmp, unsigned n,
	const struct gen_files *f, struct err *err)
{
	char name[GEN_NAME_MAX];
	enum status st = store_remove_tree(l->gens, tmp, err);
	auto_fd fd = -1;

	if (st == ST_OK)
		st = atomicfile_dir(l->gens, tmp, 0700, &fd, err);
	if (st == ST_OK)
		st = write_files(fd, f, err);
	if (st == ST_OK)
		st = finish_folder(fd, f, err);
	if (st == ST_OK)
		st = atomicfile_rename(l->gens, tmp, gen_name(n, name), err);
	return st;
}

static bool same_file(int fd, const char *name, const struct buf *want)
{
	auto_buf have = BUF_INIT(STORE_PEM_MAX);
	struct err ignored = ERR_INIT;

	return atomicfile_read(fd, name, &have, &ignored) == ST_OK &&
	       have.len == want->len &&
	       memcmp(buf_str(&have), buf_str(want), want->len) == 0;
}

enum status store_gen_write(struct store_lineage *l, unsigned n,
	const struct gen_files *f, struct err *err)
{
	char tmp[GEN_NAME_MAX + 8];
	struct err ignored = ERR_INIT;
	auto_fd fd = -1;
	enum status st = open_gen(l, n, &fd, err);

	if (st == ST_OK) {
		if (!same_file(fd, "privkey.pem", f->key) ||
			!same_file(fd, "cert.pem", f->cert))
			return err_set(err, ST_REFUSED,
				"generation %u of lineage %s exists already "
				"with another key or certificate",
				n, l->name);
		/* we may have died between its rename and this fsync */
		if (fsync(l->gens) != 0)
			return err_sys(err, ST_IO, errno,
				"cannot make generation %u durable", n);
		return ST_OK;
	}
	if (st != ST_NOTFOUND)
		return st;
	if (f->key->len == 0 || f->cert->len == 0 || f->fullchain->len == 0)
		return err_set(err, ST_BUG,
			"generation %u without a key or a certificate", n);
	(void)snprintf(tmp, sizeof(tmp), ".tmp-%u", n);
	st = build(l, tmp, n, f, err);
	if (st != ST_OK) {
		(void)store_remove_tree(l->gens, tmp, &ignored);
		return err_context(
			err, "generation %u of lineage %s", n, l->name);
	}
	return ST_OK;
}

enum status store_gen_read(struct store_lineage *l, unsigned n,
	struct buf *ret_key, struct buf *ret_fullchain, struct err *err)
{
	auto_fd fd = -1;
	auto_buf key = BUF_INIT(STORE_PEM_MAX);
	auto_buf chain = BUF_INIT(STORE_PEM_MAX);
	enum status st = open_gen(l, n, &fd, err);

	if (st == ST_OK)
		st = atomicfile_read(fd, "privkey.pem", &key, err);
	if (st == ST_OK)
		st = atomicfile_read(fd, "fullchain.pem", &chain, err);
	if (st == ST_OK)
		st = buf_append(ret_key, buf_str(&key), key.len, err);
	if (st == ST_OK)
		st = buf_append(ret_fullchain, buf_str(&chain), chain.len, err);
	return st;
}

enum status store_gen_remove(
	struct store_lineage *l, unsigned n, struct err *err)
{
	char name[GEN_NAME_MAX], tmp[GEN_NAME_MAX + 8];
	unsigned live = 0;
	enum status st = check_number(n, err);

	if (st == ST_OK)
		st = store_live_get(l, &live, err);
	if (st != ST_OK)
		return st;
	if (n == live)
		return err_set(err, ST_REFUSED,
			"generation %u of lineage %s is live and stays", n,
			l->name);
	/* out of sight first, so that nobody sees half of one */
	(void)snprintf(tmp, sizeof(tmp), ".tmp-%u", n);
	st = store_remove_tree(l->gens, tmp, err);
	if (st == ST_OK)
		st = atomicfile_rename(l->gens, gen_name(n, name), tmp, err);
	if (st == ST_NOTFOUND)
		return ST_OK;
	if (st == ST_OK)
		st = store_remove_tree(l->gens, tmp, err);
	return st;
}

/* ---- the live one ---- */

enum status store_live_set(struct store_lineage *l, unsigned n, struct err *err)
{
	char target[STORE_NAME_MAX + 64];
	unsigned live;
	auto_fd fd = -1;
	enum status st = open_gen(l, n, &fd, err);

	/* something else in the place of our link is not ours to replace */
	if (st == ST_OK)
		st = store_live_get(l, &live, err);
	if (st != ST_OK)
		return st;
	if (faccessat(fd, "privkey.pem", R_OK, 0) != 0 ||
		faccessat(fd, "fullchain.pem", R_OK, 0) != 0)
		return err_sys(err, ST_REFUSED, errno,
			"generation %u of lineage %s is not whole", n, l->name);
	(void)snprintf(target, sizeof(target), "../lineages/%s/generations/%u",
		l->name, n);
	return atomicfile_symlink(l->store->live, l->name, target, err);
}

enum status store_live_get(
	struct store_lineage *l, unsigned *ret_n, struct err *err)
{
	char prefix[STORE_NAME_MAX + 64], target[STORE_NAME_MAX + 96];
	unsigned live = 0;
	ssize_t n =
		readlinkat(l->store->live, l->name, target, sizeof(target) - 1);

	if (n < 0 && errno == ENOENT) {
		*ret_n = 0;
		return ST_OK;
	}
	if (n < 0 && errno != EINVAL)
		return err_sys(err, ST_IO, errno, "cannot read the link %s",
			l->live_path);
	target[n > 0 ? n : 0] = '\0';
	(void)snprintf(
		prefix, sizeof(prefix), "../lineages/%s/generations/", l->name);
	if (strncmp(target, prefix, strlen(prefix)) == 0)
		live = gen_number(target + strlen(prefix));
	if (live == 0)
		return err_set(err, ST_REFUSED,
			"%s is not a link of ours (%s): remove it, and danelaw "
			"makes it again",
			l->live_path, n > 0 ? target : "no link at all");
	*ret_n = live;
	return ST_OK;
}

const char *store_live_path(const struct store_lineage *l)
{
	return l->live_path;
}

/* ---- scratch ---- */

enum status store_scratch(
	struct store_lineage *l, char **ret_path, struct err *err)
{
	char *path;

	if (asprintf(&path, "%s/lineages/%s/" SCRATCH "XXXXXX", l->store->dir,
		    l->name) < 0)
		return err_set(err, ST_NOMEM, "out of memory");
	if (mkdtemp(path) == NULL) {
		(void)err_sys(err, ST_IO, errno,
			"cannot make a scratch folder in %s/lineages/%s (is "
			"the disk full or read-only?)",
			l->store->dir, l->name);
		free(path);
		return err->st;
	}
	*ret_path = path;
	return ST_OK;
}

void store_scratch_remove(struct store_lineage *l, const char *path)
{
	struct err ignored = ERR_INIT;
	const char *name = strrchr(path, '/');

	/* only the name counts, and it is looked up in our own folder */
	name = name != NULL ? name + 1 : path;
	if (strncmp(name, SCRATCH, strlen(SCRATCH)) == 0)
		(void)store_remove_tree(l->fd, name, &ignored);
}
