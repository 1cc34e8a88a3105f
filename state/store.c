/*
 * The state directory: open, lock, load, commit. What must hold: one writer per
 * lineage (flock, freed by the kernel when we die); a state file that we do not
 * understand stops everything before the first write; a commit is whole or did
 * not happen. Modes: folders on the way to live/NAME can be passed by everyone
 * (0755, and 0711 below lineages/), since each lineage has its own group; what
 * is private is private by its own mode: keys/ 0700, state and history 0600,
 * each generation by owner, group and mode of its lineage.
 */
#include "state/state_json.h"
#include "state/store_impl.h"

#include "hook/base/atomicfile.h"
#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_FILE_MAX (16 * 1024 * 1024)
#define LOCK_POLL_MS 20

static enum status check_name(const char *name, struct err *err)
{
	const char *bad = NULL;

	if (name[0] == '\0')
		bad = "is empty";
	else if (strlen(name) >= STORE_NAME_MAX)
		bad = "is too long";
	else if (name[0] == '.')
		bad = "begins with a dot";
	for (const char *p = name; *p != '\0' && bad == NULL; p++)
		if (*p == '/')
			bad = "holds a slash";
		else if ((unsigned char)*p < 0x20 || *p == 0x7f)
			bad = "holds a control character";
	if (bad != NULL)
		return err_set(err, ST_REFUSED,
			"the lineage name \"%.*s\" %s: it cannot name a folder",
			STORE_NAME_MAX, name, bad);
	return ST_OK;
}

/* ---- the directory ---- */

static enum status check_top(int fd, const char *dir, struct err *err)
{
	struct stat sb;

	if (fstat(fd, &sb) != 0)
		return err_sys(err, ST_IO, errno, "cannot look at %s", dir);
	if ((sb.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(err, ST_CONFIG,
			"others can write the state directory %s (mode %04o): "
			"chmod go-w it, or choose another state_dir",
			dir, (unsigned)(sb.st_mode & 07777));
	if (sb.st_uid != 0 && sb.st_uid != geteuid())
		return err_set(err, ST_CONFIG,
			"the state directory %s belongs to user %u, not to the "
			"user that runs danelaw: chown it",
			dir, (unsigned)sb.st_uid);
	return ST_OK;
}

/* Makes the last component only: a missing parent is more often a typing error
 * or a file system that is not mounted. */
static enum status make_top(const char *dir, int *ret_fd, struct err *err)
{
	auto_str parent = strdup(dir);
	char *slash = parent != NULL ? strrchr(parent, '/') : NULL;
	auto_fd fd = -1;

	if (slash == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	*slash = '\0';
	fd = open(slash == parent ? "/" : parent,
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, ST_IO, errno,
			"cannot make the state directory %s (make its parent "
			"folder first, or correct state_dir)",
			dir);
	return atomicfile_dir(fd, slash + 1, 0755, ret_fd, err);
}

static enum status open_top(const char *dir, int *ret_fd, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return make_top(dir, ret_fd, err);
	if (fd < 0)
		return err_sys(err, ST_IO, errno,
			"cannot open the state directory %s", dir);
	*ret_fd = fd;
	return ST_OK;
}

/* Makes what is missing. */
static enum status open_rooms(struct store *s, struct err *err)
{
	enum status st = open_top(s->dir, &s->fd, err);

	if (st == ST_OK)
		st = check_top(s->fd, s->dir, err);
	if (st == ST_OK)
		st = atomicfile_dir(s->fd, "lineages", 0755, &s->lineages, err);
	if (st == ST_OK)
		st = atomicfile_dir(s->fd, "live", 0755, &s->live, err);
	return st;
}

/* ST_NOTFOUND for what is missing; live is not needed to read. */
static enum status find_rooms(struct store *s, struct err *err)
{
	const int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	enum status st;

	s->fd = open(s->dir, how);
	if (s->fd < 0)
		return err_sys(err, errno == ENOENT ? ST_NOTFOUND : ST_IO,
			errno, "cannot open the state directory %s", s->dir);
	st = check_top(s->fd, s->dir, err);
	if (st != ST_OK)
		return st;
	s->lineages = openat(s->fd, "lineages", how | O_NOFOLLOW);
	if (s->lineages < 0)
		return err_sys(err, errno == ENOENT ? ST_NOTFOUND : ST_IO,
			errno, "cannot open %s/lineages", s->dir);
	return ST_OK;
}

static enum status store_new(const char *dir,
	enum status (*rooms)(struct store *s, struct err *err),
	struct store **ret, struct err *err)
{
	struct store *s;
	enum status st;

	if (dir[0] != '/')
		return err_set(err, ST_CONFIG,
			"the state directory \"%s\" is not an absolute path",
			dir);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	s->fd = s->lineages = s->live = -1;
	s->dir = strdup(dir);
	st = s->dir == NULL ? err_set(err, ST_NOMEM, "out of memory") : ST_OK;
	for (size_t n = strlen(dir); st == ST_OK && n > 1; n--) {
		if (s->dir[n - 1] != '/')
			break;
		s->dir[n - 1] = '\0';
	}
	if (st == ST_OK)
		st = rooms(s, err);
	if (st != ST_OK) {
		store_close(s);
		return st;
	}
	*ret = s;
	return ST_OK;
}

enum status store_open(const char *dir, struct store **ret, struct err *err)
{
	return store_new(dir, open_rooms, ret, err);
}

enum status store_open_read(
	const char *dir, struct store **ret, struct err *err)
{
	return store_new(dir, find_rooms, ret, err);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	close_fd(s->live);
	close_fd(s->lineages);
	close_fd(s->fd);
	free(s->dir);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

enum status store_each(int dirfd, const char *what,
	enum status (*each)(const char *name, void *arg, struct err *err),
	void *arg, struct err *err)
{
	enum status st = ST_OK;
	struct dirent *e;
	/* a new description: the position of dirfd must not be shared */
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL) {
		st = err_sys(err, ST_IO, errno, "cannot list %s", what);
		close_fd(fd);
		return st;
	}
	do {
		errno = 0;
		e = readdir(d);
		if (e == NULL && errno != 0)
			st = err_sys(err, ST_IO, errno, "cannot list %s", what);
		if (e == NULL || strcmp(e->d_name, ".") == 0 ||
			strcmp(e->d_name, "..") == 0)
			continue;
		st = each(e->d_name, arg, err);
	} while (e != NULL && st == ST_OK);
	(void)closedir(d);
	return st;
}

struct names {
	int dirfd;
	char **list;
	size_t n, cap;
};

static enum status collect_name(const char *name, void *arg, struct err *err)
{
	struct names *k = arg;
	struct err ignored = ERR_INIT;
	struct stat sb;

	if (check_name(name, &ignored) != ST_OK ||
		fstatat(k->dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISDIR(sb.st_mode))
		return ST_OK;
	if (k->n + 1 >= k->cap) {
		size_t cap = k->cap * 2;
		char **p = reallocarray(k->list, cap, sizeof(*p));

		if (p == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		k->list = p;
		k->cap = cap;
	}
	k->list[k->n] = strdup(name);
	if (k->list[k->n] == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	k->list[++k->n] = NULL;
	return ST_OK;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status store_list(struct store *s, char ***ret, struct err *err)
{
	struct names k = { .dirfd = s->lineages, .cap = 16 };
	enum status st;

	k.list = calloc(k.cap, sizeof(*k.list));
	if (k.list == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	st = store_each(s->lineages, "lineages/", collect_name, &k, err);
	if (st != ST_OK) {
		for (size_t i = 0; i < k.n; i++)
			free(k.list[i]);
		free(k.list);
		return st;
	}
	qsort(k.list, k.n, sizeof(*k.list), compare_names);
	*ret = k.list;
	return ST_OK;
}

/* ---- one lineage ---- */

/* ST_NOTFOUND when there is no state.json. */
static enum status load(int fd, const char *dir, const char *name,
	struct lineage_state *ret, struct err *err)
{
	auto_buf text = BUF_INIT(STATE_FILE_MAX);
	struct lineage_state s;
	enum status st = atomicfile_read(fd, "state.json", &text, err);

	if (st != ST_OK)
		return st;
	st = state_from_json(buf_str(&text), text.len, &s, err);
	if (st == ST_OK && strcmp(s.name, name) != 0) {
		st = err_set(err, ST_REFUSED,
			"is the state of lineage \"%s\"; nothing was changed: "
			"put the right file back",
			s.name);
		state_release(&s);
	}
	if (st != ST_OK)
		return err_context(err, "%s/lineages/%s/state.json", dir, name);
	*ret = s;
	return ST_OK;
}

/* True when the file that fd has locked is still the one that others open. */
static bool still_there(int dirfd, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dirfd, "lock", &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static enum status try_lock(struct store_lineage *l, struct err *err)
{
	int fd = openat(
		l->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int e;

	if (fd < 0)
		return err_sys(err, ST_IO, errno,
			"cannot open %s/lineages/%s/lock (run as root; is the "
			"disk full or read-only?)",
			l->store->dir, l->name);
	e = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
	if (e == 0 && !still_there(l->fd, fd))
		e = EWOULDBLOCK;
	if (e != 0)
		(void)close(fd);
	if (e == EWOULDBLOCK || e == EINTR)
		return err_set(err, ST_BUSY,
			"another danelaw works on lineage %s: try again later",
			l->name);
	if (e != 0)
		return err_sys(err, ST_IO, e, "cannot lock %s/lineages/%s/lock",
			l->store->dir, l->name);
	l->lock = fd;
	return ST_OK;
}

static enum status wait_lock(
	struct store_lineage *l, int64_t wait_ms, struct err *err)
{
	const int64_t end = clock_mono_ms() + (wait_ms > 0 ? wait_ms : 0);

	for (;;) {
		enum status st = try_lock(l, err);
		int64_t left = end - clock_mono_ms();
		struct timespec nap = { .tv_sec = 0 };

		if (st != ST_BUSY || left <= 0)
			return st;
		if (left > LOCK_POLL_MS)
			left = LOCK_POLL_MS;
		nap.tv_nsec = (long)left * 1000000;
		(void)nanosleep(&nap, NULL);
	}
}

static enum status lineage_new(struct store *s, const char *name,
	struct store_lineage **ret, struct err *err)
{
	struct store_lineage *l = calloc(1, sizeof(*l));
	enum status st;

	if (l == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	l->fd = l->keys = l->gens = l->lock = -1;
	l->store = s;
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	if (asprintf(&l->live_path, "%s/live/%s", s->dir, name) < 0) {
		l->live_path = NULL;
		st = err_set(err, ST_NOMEM, "out of memory");
	} else {
		st = atomicfile_dir(s->lineages, name, 0711, &l->fd, err);
	}
	if (st != ST_OK) {
		store_unlock(l);
		return st;
	}
	*ret = l;
	return ST_OK;
}

/* Whoever held the lock before us may have been killed between a rename and its
 * fsync: what we see must be durable before anything is built on it, or a power
 * cut takes it back later. Needed after an intent that was not finished, and
 * before the first state. */
static enum status settle(const struct store_lineage *l, struct err *err)
{
	const struct store *s = l->store;
	auto_fd above = openat(s->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* above may be closed to us; then we did not make dir there */
	int e = above < 0 && errno != EACCES ? errno : 0;
	const int folders[] = { above, s->fd, s->lineages, s->live, l->fd,
		l->keys, l->gens };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (e == 0 && folders[i] >= 0 && fsync(folders[i]) != 0)
			e = errno;
	if (e == 0)
		return ST_OK;
	return err_sys(err, ST_IO, e,
		"cannot write the folders of %s/lineages/%s to the disk (check "
		"that file system and run again)",
		s->dir, l->name);
}

/* Under the lock. A new lineage never takes the number of a generation that is
 * there already (state.json was deleted, the rest was not). */
static enum status load_or_init(
	struct store_lineage *l, struct lineage_state *ret, struct err *err)
{
	enum status st = load(l->fd, l->store->dir, l->name, ret, err);
	const bool is_new = st == ST_NOTFOUND;
	unsigned highest = 0;

	if (st != ST_OK && !is_new)
		return st;
	st = atomicfile_dir(l->fd, "keys", 0700, &l->keys, err);
	if (st == ST_OK)
		st = atomicfile_dir(l->fd, "generations", 0711, &l->gens, err);
	if (st == ST_OK && (is_new || ret->intent.kind != INTENT_NONE))
		st = settle(l, err);
	if (st == ST_OK && is_new)
		st = store_gen_highest(l, &highest, err);
	if (is_new) {
		state_init(ret, l->name);
		ret->next_gen = highest + 1;
	}
	if (st != ST_OK)
		state_release(ret);
	return st;
}

enum status store_lock(struct store *s, const char *name, int64_t wait_ms,
	struct store_lineage **ret, struct lineage_state *ret_state,
	struct err *err)
{
	struct store_lineage *l = NULL;
	struct lineage_state state;
	enum status st = check_name(name, err);

	if (st == ST_OK)
		st = lineage_new(s, name, &l, err);
	if (st != ST_OK)
		return st;
	st = wait_lock(l, wait_ms, err);
	if (st == ST_OK)
		st = load_or_init(l, &state, err);
	if (st != ST_OK) {
		store_unlock(l);
		return st;
	}
	store_sweep_temps(l);
	*ret = l;
	*ret_state = state;
	return ST_OK;
}

void store_unlock(struct store_lineage *l)
{
	if (l == NULL)
		return;
	close_fd(l->gens);
	close_fd(l->keys);
	close_fd(l->fd);
	close_fd(l->lock); /* last: this frees the lock */
	free(l->live_path);
	free(l);
}

enum status store_peek(struct store *s, const char *name,
	struct lineage_state *ret, struct err *err)
{
	enum status st = check_name(name, err);
	auto_fd fd = -1;

	if (st != ST_OK)
		return st;
	fd = openat(s->lineages, name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ST_NOTFOUND, "%s/lineages/%s is not there",
			s->dir, name);
	if (fd < 0)
		return err_sys(err, ST_IO, errno,
			"cannot open %s/lineages/%s (run as root)", s->dir,
			name);
	return load(fd, s->dir, name, ret, err);
}

enum status store_commit(
	struct store_lineage *l, const struct lineage_state *s, struct err *err)
{
	auto_buf text = BUF_INIT(STATE_FILE_MAX);
	struct lineage_state again;
	enum status st;

	if (strcmp(s->name, l->name) != 0)
		return err_set(err, ST_BUG,
			"the state of lineage %s is not that of %s", s->name,
			l->name);
	st = state_to_json(s, &text, err);
	if (st != ST_OK)
		return st;
	/* What the next run would refuse must never reach the disk. */
	st = state_from_json(buf_str(&text), text.len, &again, err);
	if (st == ST_REFUSED) {
		(void)err_context(err, "lineage %s", l->name);
		err->st = ST_BUG;
		return ST_BUG;
	}
	if (st != ST_OK)
		return st;
	state_release(&again);
	return atomicfile_write(
		l->fd, "state.json", 0600, text.data, text.len, err);
}

enum status store_history(struct store_lineage *l, int64_t wall_ms,
	const char *event, const struct spki *key, unsigned gen,
	const char *why, struct err *err)
{
	char at[CLOCK_TEXT_MAX], hex[SPKI_HEX];
	struct err shown; /* err_set makes any text printable ASCII */
	json_auto_t *o = json_object();
	auto_buf line = BUF_INIT(65536);
	enum status st;
	int bad;

	(void)err_set(&shown, ST_OK, "%s", why);
	bad = json_object_set_new(o, "at", json_string(clock_utc(wall_ms, at)));
	bad |= json_object_set_new(o, "event", json_string(event));
	if (key != NULL)
		bad |= json_object_set_new(
			o, "key", json_string(spki_hex(key, hex)));
	if (gen != 0)
		bad |= json_object_set_new(o, "generation", json_integer(gen));
	bad |= json_object_set_new(o, "why", json_string(shown.text));
	if (bad != 0)
		return err_set(err, ST_NOMEM, "out of memory");
	st = state_json_append(o, JSON_COMPACT, &line, err);
	if (st != ST_OK)
		return st;
	return atomicfile_append(
		l->fd, "history.jsonl", 0600, line.data, line.len, err);
}

/* ---- news: the loser of the lock tells the winner to look again ---- */

/* No temporary file: whoever has the lock removes those of others. An empty
 * file is whole as soon as it is there. */
enum status store_news_leave(struct store *s, const char *name, struct err *err)
{
	enum status st = check_name(name, err);
	auto_fd fd = -1, news = -1;

	if (st == ST_OK)
		st = atomicfile_dir(s->lineages, name, 0711, &fd, err);
	if (st != ST_OK)
		return st;
	news = openat(fd, "news", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		0600);
	if (news < 0 || fsync(fd) != 0)
		return err_sys(err, ST_IO, errno,
			"cannot write %s/lineages/%s/news (check that file "
			"system and run again)",
			s->dir, name);
	return ST_OK;
}

bool store_news_take(struct store_lineage *l)
{
	/* If it cannot be removed it is not taken: the caller would loop. */
	return unlinkat(l->fd, "news", 0) == 0;
}
