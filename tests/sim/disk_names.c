/*
 * The system calls on names. What must hold: as in disk_calls.c; and a folder
 * that was removed takes no new entries.
 */
#include "disk_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define OWN_FD "/proc/self/fd/"

/* The disk that this path is for; NULL: the host. */
static struct disk *disk_for(int dirfd, const char *path)
{
	if (path[0] != '/')
		return disk_of(dirfd);
	if (strncmp(path, "/sim", 4) != 0 ||
		(path[4] != '/' && path[4] != '\0'))
		return NULL;
	return disk_current;
}

/* Where a relative path starts; NULL, errno set: not a folder. */
static struct node *start(struct disk *d, int dirfd, const char *path)
{
	const struct desc *f;

	if (path[0] == '/')
		return d->root;
	f = disk_desc(d, dirfd);
	if (f == NULL)
		errno = EBADF;
	else if (f->node->kind != KIND_DIR)
		errno = ENOTDIR;
	else
		return f->node;
	return NULL;
}

static void announce(
	struct disk *d, const char *call, int dirfd, const char *path)
{
	char text[DISK_PATH_MAX];
	const struct desc *f;

	d->calls++;
	if (d->before == NULL || disk_gone(d))
		return;
	f = path[0] != '/' ? disk_desc(d, dirfd) : NULL;
	if (f != NULL && f->node->kind == KIND_DIR)
		node_path(d, f->node, path, text);
	else
		(void)snprintf(text, sizeof(text), "%s", path);
	d->before(d->before_arg, call, text);
}

/* False, errno set: no such way. */
static bool find(struct disk *d, int dirfd, const char *path, unsigned flags,
	struct spot *ret)
{
	struct node *n = start(d, dirfd, path);
	int e = n != NULL ? walk(d, n, path, flags, ret) : errno;

	if (disk_gone(d))
		e = EIO;
	if (e != 0)
		errno = e;
	return e == 0;
}

/* As find, of something that is there. */
static bool find_there(struct disk *d, int dirfd, const char *path,
	unsigned flags, struct spot *ret)
{
	if (!find(d, dirfd, path, flags, ret))
		return false;
	if (ret->node == NULL)
		errno = ENOENT;
	return ret->node != NULL;
}

/* True when an entry can be made here; errno otherwise. */
static bool may_add(struct disk *d, const struct spot *s)
{
	if (s->node != NULL || s->dir == NULL)
		errno = EEXIST;
	else if (s->dir != d->root && s->dir->parent == NULL)
		errno = ENOENT; /* the folder was removed */
	else if (d->space >= 0 && d->space < ENTRY_COST)
		errno = ENOSPC;
	else
		return true;
	return false;
}

static void add(struct disk *d, const struct spot *s, struct node *n)
{
	if (d->space >= 0)
		d->space -= ENTRY_COST;
	dir_set(d, s->dir, s->name, s->len, n);
}

/* ---- open ---- */

static int open_there(struct disk *d, const struct spot *s, int how)
{
	const bool writes = (how & O_ACCMODE) != O_RDONLY;

	if ((how & O_CREAT) != 0 && (how & O_EXCL) != 0)
		return disk_errno(EEXIST);
	if (s->node->kind == KIND_LINK)
		return disk_errno((how & O_DIRECTORY) != 0 ? ENOTDIR : ELOOP);
	if ((how & O_DIRECTORY) != 0 && s->node->kind != KIND_DIR)
		return disk_errno(ENOTDIR);
	if (s->node->kind == KIND_DIR && (writes || (how & O_CREAT) != 0))
		return disk_errno(EISDIR);
	if ((how & O_TRUNC) != 0 && writes)
		node_truncate(d, s->node, 0);
	return disk_desc_new(d, s->node, s, how);
}

static int open_on(struct disk *d, int dirfd, const char *path, int how,
	mode_t mode, const char *call)
{
	const bool follow = (how & O_NOFOLLOW) == 0 &&
			    (how & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct spot s;
	struct node *n;

	if ((how & (O_CREAT | O_TRUNC)) != 0)
		announce(d, call, dirfd, path);
	else
		d->calls++;
	if (disk_fails(d, DISK_OPEN) ||
		!find(d, dirfd, path, follow ? WALK_FOLLOW : 0, &s))
		return -1;
	if (s.node != NULL)
		return open_there(d, &s, how);
	if ((how & O_CREAT) == 0)
		return disk_errno(ENOENT);
	if (!may_add(d, &s))
		return -1;
	n = node_new(d, KIND_FILE, mode & 07777 & (mode_t)~022);
	add(d, &s, n);
	return disk_desc_new(d, n, &s, how);
}

static int open_boot_id(struct disk *d)
{
	const struct spot s = {
		.dir = d->root, .name = "boot_id", .len = strlen("boot_id")
	};

	d->calls++;
	if (disk_gone(d))
		return disk_errno(EIO);
	if (disk_fails(d, DISK_OPEN))
		return -1;
	if (d->boot_id->len == 0)
		return disk_errno(ENOENT);
	return disk_desc_new(d, d->boot_id, &s, O_RDONLY);
}

int __wrap_open(const char *path, int how, ...)
{
	struct disk *d = disk_for(AT_FDCWD, path);
	va_list ap;
	mode_t mode = 0;

	va_start(ap, how);
	if ((how & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (d != NULL)
		return open_on(d, AT_FDCWD, path, how, mode, "open");
	if (disk_current != NULL && strcmp(path, BOOT_ID) == 0)
		return open_boot_id(disk_current);
	return __real_open(path, how, mode);
}

int __wrap_openat(int dirfd, const char *path, int how, ...)
{
	struct disk *d = disk_for(dirfd, path);
	va_list ap;
	mode_t mode = 0;

	va_start(ap, how);
	if ((how & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (d != NULL)
		return open_on(d, dirfd, path, how, mode, "openat");
	return __real_openat(dirfd, path, how, mode);
}

/* ---- looking ---- */

static int stat_on(struct disk *d, int dirfd, const char *path,
	struct stat *ret, bool follow)
{
	struct spot s;

	d->calls++;
	if (!find_there(d, dirfd, path, follow ? WALK_FOLLOW : 0, &s))
		return -1;
	disk_stat(s.node, ret);
	return 0;
}

int __wrap_stat(const char *path, struct stat *ret)
{
	struct disk *d = disk_for(AT_FDCWD, path);

	return d == NULL ? __real_stat(path, ret)
			 : stat_on(d, AT_FDCWD, path, ret, true);
}

int __wrap_lstat(const char *path, struct stat *ret)
{
	struct disk *d = disk_for(AT_FDCWD, path);

	return d == NULL ? __real_lstat(path, ret)
			 : stat_on(d, AT_FDCWD, path, ret, false);
}

int __wrap_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
	struct disk *d = disk_for(dirfd, path);

	return d == NULL ? __real_fstatat(dirfd, path, ret, flags)
			 : stat_on(d, dirfd, path, ret,
				   (flags & AT_SYMLINK_NOFOLLOW) == 0);
}

int __wrap_faccessat(int dirfd, const char *path, int how, int flags)
{
	struct disk *d = disk_for(dirfd, path);
	struct spot s;

	if (d == NULL)
		return __real_faccessat(dirfd, path, how, flags);
	d->calls++;
	if (!find_there(d, dirfd, path,
		    (flags & AT_SYMLINK_NOFOLLOW) == 0 ? WALK_FOLLOW : 0, &s))
		return -1;
	/* root may all, but execute what nobody can */
	if ((how & X_OK) != 0 && s.node->kind == KIND_FILE &&
		(s.node->meta.mode & 0111) == 0)
		return disk_errno(EACCES);
	return 0;
}

int __wrap_access(const char *path, int how)
{
	if (disk_for(AT_FDCWD, path) == NULL)
		return __real_access(path, how);
	return __wrap_faccessat(AT_FDCWD, path, how, 0);
}

static ssize_t copy_out(const char *text, size_t len, char *ret, size_t room)
{
	if (len > room)
		len = room;
	memcpy(ret, text, len);
	return (ssize_t)len;
}

ssize_t __wrap_readlinkat(int dirfd, const char *path, char *ret, size_t len)
{
	struct disk *d = disk_for(dirfd, path);
	struct spot s;

	if (d == NULL)
		return __real_readlinkat(dirfd, path, ret, len);
	d->calls++;
	if (!find_there(d, dirfd, path, 0, &s))
		return -1;
	if (s.node->kind != KIND_LINK || len == 0)
		return disk_errno(EINVAL);
	return copy_out(s.node->data, s.node->len, ret, len);
}

/* "/proc/self/fd/1003" is a link to where the descriptor leads. */
static struct desc *own_fd(const char *path)
{
	char *end;
	long fd;

	if (disk_current == NULL || strncmp(path, OWN_FD, strlen(OWN_FD)) != 0)
		return NULL;
	fd = strtol(path + strlen(OWN_FD), &end, 10);
	if (*end != '\0' || fd < DISK_FD || fd > INT_MAX)
		return NULL;
	return disk_desc(disk_current, (int)fd);
}

ssize_t __wrap_readlink(const char *path, char *ret, size_t len)
{
	const struct desc *f = own_fd(path);
	char text[DISK_PATH_MAX];

	if (f != NULL) {
		if (f->node->kind == KIND_DIR)
			node_path(disk_current, f->node, "", text);
		else
			node_path(disk_current, f->dir, f->name, text);
		return copy_out(text, strlen(text), ret, len);
	}
	if (disk_for(AT_FDCWD, path) == NULL)
		return __real_readlink(path, ret, len);
	return __wrap_readlinkat(AT_FDCWD, path, ret, len);
}

char *__wrap_realpath(const char *path, char *ret)
{
	struct disk *d = disk_for(AT_FDCWD, path);
	char text[DISK_PATH_MAX], name[DISK_NAME_MAX + 1];
	struct spot s;

	if (d == NULL)
		return __real_realpath(path, ret);
	d->calls++;
	if (!find_there(d, AT_FDCWD, path, WALK_FOLLOW, &s))
		return NULL;
	if (s.node->kind == KIND_DIR) {
		node_path(d, s.node, "", text);
	} else {
		memcpy(name, s.name, s.len);
		name[s.len] = '\0';
		node_path(d, s.dir, name, text);
	}
	if (ret == NULL)
		return strdup(text);
	memcpy(ret, text, strlen(text) + 1);
	return ret;
}

/* ---- changing ---- */

int __wrap_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	struct disk *d = disk_for(dirfd, path);
	struct spot s;

	if (d == NULL)
		return __real_fchmodat(dirfd, path, mode, flags);
	announce(d, "fchmodat", dirfd, path);
	if (disk_fails(d, DISK_META) ||
		!find_there(d, dirfd, path, WALK_FOLLOW, &s))
		return -1;
	s.node->meta.mode = mode & 07777;
	return 0;
}

int __wrap_fchownat(
	int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	struct disk *d = disk_for(dirfd, path);
	const bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
	struct spot s;

	if (d == NULL)
		return __real_fchownat(dirfd, path, uid, gid, flags);
	announce(d, "fchownat", dirfd, path);
	if (disk_fails(d, DISK_META) ||
		!find_there(d, dirfd, path, follow ? WALK_FOLLOW : 0, &s))
		return -1;
	disk_chown(s.node, uid, gid);
	return 0;
}

static int make_dir(struct disk *d, int dirfd, const char *path, mode_t mode)
{
	struct spot s;

	if (disk_fails(d, DISK_MAKE) || !find(d, dirfd, path, 0, &s) ||
		!may_add(d, &s))
		return -1;
	add(d, &s, node_new(d, KIND_DIR, mode & 07777 & (mode_t)~022));
	return 0;
}

int __wrap_mkdirat(int dirfd, const char *path, mode_t mode)
{
	struct disk *d = disk_for(dirfd, path);

	if (d == NULL)
		return __real_mkdirat(dirfd, path, mode);
	announce(d, "mkdirat", dirfd, path);
	return make_dir(d, dirfd, path, mode);
}

char *__wrap_mkdtemp(char *path)
{
	struct disk *d = disk_for(AT_FDCWD, path);
	const size_t len = strlen(path);
	char name[7];

	if (d == NULL)
		return __real_mkdtemp(path);
	announce(d, "mkdtemp", AT_FDCWD, path);
	if (len < 6 || strcmp(path + len - 6, "XXXXXX") != 0) {
		errno = EINVAL;
		return NULL;
	}
	do {
		(void)snprintf(
			name, sizeof(name), "%06lu", ++d->scratch % 1000000);
		memcpy(path + len - 6, name, 6);
		if (make_dir(d, AT_FDCWD, path, 0700) == 0)
			return path;
	} while (errno == EEXIST);
	return NULL;
}

int __wrap_symlinkat(const char *target, int dirfd, const char *path)
{
	struct disk *d = disk_for(dirfd, path);
	struct node *n;
	struct spot s;

	if (d == NULL)
		return __real_symlinkat(target, dirfd, path);
	announce(d, "symlinkat", dirfd, path);
	if (target[0] == '\0')
		return disk_errno(ENOENT);
	if (disk_fails(d, DISK_MAKE) || !find(d, dirfd, path, 0, &s) ||
		!may_add(d, &s))
		return -1;
	n = node_new(d, KIND_LINK, 0777);
	node_write(d, n, 0, target, strlen(target));
	node_sync(d, n); /* there is no fsync for it but that of the folder */
	add(d, &s, n);
	return 0;
}

int __wrap_linkat(
	int fromfd, const char *from, int tofd, const char *to, int flags)
{
	struct disk *d = disk_for(tofd, to);
	struct spot a, b;

	if (disk_for(fromfd, from) != d)
		return disk_errno(EXDEV);
	if (d == NULL)
		return __real_linkat(fromfd, from, tofd, to, flags);
	announce(d, "linkat", tofd, to);
	if (disk_fails(d, DISK_MAKE) ||
		!find_there(d, fromfd, from,
			(flags & AT_SYMLINK_FOLLOW) != 0 ? WALK_FOLLOW : 0,
			&a) ||
		!find(d, tofd, to, 0, &b))
		return -1;
	if (b.node != NULL)
		return disk_errno(EEXIST);
	if (a.node->kind == KIND_DIR || d->no_link)
		return disk_errno(EPERM);
	if (!may_add(d, &b))
		return -1;
	add(d, &b, a.node);
	return 0;
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
	struct disk *d = disk_for(dirfd, path);
	const bool dir = (flags & AT_REMOVEDIR) != 0;
	struct spot s;

	if (d == NULL)
		return __real_unlinkat(dirfd, path, flags);
	announce(d, "unlinkat", dirfd, path);
	if (disk_fails(d, DISK_UNLINK) || !find_there(d, dirfd, path, 0, &s))
		return -1;
	if (s.dir == NULL)
		return disk_errno(dir ? EINVAL : EISDIR);
	if (dir && s.node->kind != KIND_DIR)
		return disk_errno(ENOTDIR);
	if (!dir && s.node->kind == KIND_DIR)
		return disk_errno(EISDIR);
	if (dir && s.node->now.n > 0)
		return disk_errno(ENOTEMPTY);
	dir_del(d, s.dir, s.name, s.len);
	return 0;
}

static bool is_below(const struct node *n, const struct node *top)
{
	while (n != NULL && n != top)
		n = n->parent;
	return n == top;
}

/* 0 or an errno. */
static int may_rename(
	struct disk *d, const struct spot *a, const struct spot *b)
{
	const bool dir = a->node->kind == KIND_DIR;

	if (a->dir == NULL || b->dir == NULL)
		return EBUSY;
	if (dir && is_below(b->dir, a->node))
		return EINVAL;
	if (b->node != NULL && is_below(a->dir, b->node))
		return ENOTEMPTY;
	if (b->node == NULL)
		return may_add(d, b) ? 0 : errno;
	if (dir && b->node->kind != KIND_DIR)
		return ENOTDIR;
	if (!dir && b->node->kind == KIND_DIR)
		return EISDIR;
	return dir && b->node->now.n > 0 ? ENOTEMPTY : 0;
}

static int move(struct disk *d, int fromfd, const char *from, int tofd,
	const char *to, bool fresh)
{
	struct spot a, b;
	int e;

	if (disk_fails(d, DISK_RENAME) || !find(d, fromfd, from, 0, &a) ||
		!find(d, tofd, to, 0, &b))
		return -1;
	if (a.node == NULL)
		return disk_errno(ENOENT);
	if (fresh && b.node != NULL)
		return disk_errno(EEXIST);
	if (a.node == b.node)
		return 0;
	e = may_rename(d, &a, &b);
	if (e != 0)
		return disk_errno(e);
	if (a.dir == b.dir) {
		dir_move(d, a.dir, entry_find(&a.dir->now, a.name, a.len),
			b.name, b.len);
		return 0;
	}
	/* the new name first: the node must not go meanwhile */
	dir_set(d, b.dir, b.name, b.len, a.node);
	dir_del(d, a.dir, a.name, a.len);
	if (a.node->kind == KIND_DIR)
		a.node->parent = b.dir;
	return 0;
}

int __wrap_renameat2(
	int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
	struct disk *d = disk_for(tofd, to);

	if (disk_for(fromfd, from) != d)
		return disk_errno(EXDEV);
	if (d == NULL)
		return __real_renameat2(fromfd, from, tofd, to, flags);
	announce(d, "renameat2", tofd, to);
	if (flags != 0 && (d->no_renameat2 || flags != RENAME_NOREPLACE))
		return disk_errno(EINVAL);
	return move(d, fromfd, from, tofd, to, flags != 0);
}

int __wrap_renameat(int fromfd, const char *from, int tofd, const char *to)
{
	struct disk *d = disk_for(tofd, to);

	if (disk_for(fromfd, from) != d)
		return disk_errno(EXDEV);
	if (d == NULL)
		return __real_renameat(fromfd, from, tofd, to);
	announce(d, "renameat", tofd, to);
	return move(d, fromfd, from, tofd, to, false);
}

/* ---- what fortified objects call ---- */

int __wrap___open_2(const char *path, int how)
{
	return __wrap_open(path, how);
}

int __wrap___openat_2(int dirfd, const char *path, int how)
{
	return __wrap_openat(dirfd, path, how);
}

static size_t smaller(size_t len, size_t room)
{
	if (len > room)
		abort(); /* as the real ones */
	return len;
}

ssize_t __wrap___read_chk(int fd, void *ret, size_t len, size_t room)
{
	return __wrap_read(fd, ret, smaller(len, room));
}

ssize_t __wrap___pread_chk(int fd, void *ret, size_t len, off_t at, size_t room)
{
	return __wrap_pread(fd, ret, smaller(len, room), at);
}

ssize_t __wrap___readlink_chk(
	const char *path, char *ret, size_t len, size_t room)
{
	return __wrap_readlink(path, ret, smaller(len, room));
}

ssize_t __wrap___readlinkat_chk(
	int dirfd, const char *path, char *ret, size_t len, size_t room)
{
	return __wrap_readlinkat(dirfd, path, ret, smaller(len, room));
}

char *__wrap___realpath_chk(const char *path, char *ret, size_t room)
{
	(void)smaller(PATH_MAX, room);
	return __wrap_realpath(path, ret);
}
