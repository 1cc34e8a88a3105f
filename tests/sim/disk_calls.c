/*
 * The system calls on descriptors. What must hold: `before` is called when a
 * call has changed and remembered nothing; errors are those of Linux; a
 * descriptor of the host, or no disk in use, goes to the host.
 */
#include "disk_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>

int disk_errno(int e)
{
	errno = e;
	return -1;
}

bool disk_fails(struct disk *d, enum disk_call call)
{
	struct failing *f = &d->fail[call];
	int e = f->errnum;

	if (e == 0)
		return false;
	if (f->nth > 1) {
		f->nth--;
		return false;
	}
	if (f->times == 1)
		f->errnum = 0;
	else if (f->times > 1)
		f->times--;
	errno = e;
	return true;
}

/* ---- descriptors ---- */

struct desc *disk_desc(struct disk *d, int fd)
{
	struct desc *f;

	if (fd < DISK_FD || (size_t)(fd - DISK_FD) >= d->n_desc)
		return NULL;
	f = &d->desc[fd - DISK_FD];
	return f->used && f->pid == d->pid ? f : NULL;
}

int disk_desc_new(struct disk *d, struct node *n, const struct spot *s, int how)
{
	struct desc *f;
	size_t i = 0;

	while (i < d->n_desc && d->desc[i].used)
		i++;
	if (i == d->n_desc) {
		size_t cap = d->n_desc;

		d->desc = disk_grow(
			d->desc, &cap, d->n_desc + 1, sizeof(struct desc));
		memset(d->desc + d->n_desc, 0,
			(cap - d->n_desc) * sizeof(struct desc));
		d->n_desc = cap;
	}
	f = &d->desc[i];
	f->used = true;
	f->pid = d->pid;
	f->flags = how;
	f->node = n;
	f->dir = s->dir;
	f->pos = 0;
	f->lock = f->ofd_lock = 0;
	if (s->dir != NULL) {
		memcpy(f->name, s->name, s->len);
		f->name[s->len] = '\0';
		node_ref(s->dir);
	}
	node_ref(n);
	return DISK_FD + (int)i;
}

void desc_close(struct disk *d, struct desc *f)
{
	f->used = false;
	if (f->dir != NULL)
		node_unref(d, f->dir);
	node_unref(d, f->node);
}

/* f; or NULL, errno set: not open, or the caller is dead. */
static struct desc *valid(const struct disk *d, struct desc *f)
{
	if (disk_gone(d))
		errno = EIO;
	else if (f == NULL)
		errno = EBADF;
	else
		return f;
	return NULL;
}

/* Tells the hook; f is looked up by its number again, since others may have run
 * meanwhile. NULL, errno set: not open. */
static struct desc *changing(struct disk *d, int fd, const char *call)
{
	struct desc *f = disk_desc(d, fd);
	char path[DISK_PATH_MAX];

	d->calls++;
	if (f != NULL && d->before != NULL && !disk_gone(d)) {
		if (f->node->kind == KIND_DIR)
			node_path(d, f->node, "", path);
		else
			node_path(d, f->dir, f->name, path);
		d->before(d->before_arg, call, path);
		f = disk_desc(d, fd);
	}
	return valid(d, f);
}

static struct desc *looking(struct disk *d, int fd)
{
	struct desc *f = disk_desc(d, fd);

	d->calls++;
	return valid(d, f);
}

int __wrap_close(int fd)
{
	struct disk *d = disk_of(fd);
	struct desc *f;

	if (d == NULL)
		return __real_close(fd);
	if (disk_gone(d))
		return 0; /* disk_kill does it */
	f = looking(d, fd);
	if (f == NULL)
		return -1;
	desc_close(d, f);
	return disk_fails(d, DISK_CLOSE) ? -1 : 0;
}

/* ---- reading and writing ---- */

/* How many octets this time; 0, errno set: interrupted. */
static size_t portion(struct disk *d, size_t len)
{
	unsigned mood;

	if (d->flaky == NULL || len == 0)
		return len;
	mood = (unsigned)(d->flaky(d->flaky_arg) % 1000);
	if (mood < d->eintr) {
		errno = EINTR;
		return 0;
	}
	if (mood < d->eintr + d->shorter)
		return 1 + (size_t)(d->flaky(d->flaky_arg) % len);
	return len;
}

static ssize_t get(
	struct disk *d, const struct desc *f, void *ret, size_t len, size_t at)
{
	const struct node *n = f->node;
	size_t left;

	if ((f->flags & O_ACCMODE) == O_WRONLY)
		return disk_errno(EBADF);
	if (n->kind == KIND_DIR)
		return disk_errno(EISDIR);
	if (disk_fails(d, DISK_READ))
		return -1;
	left = at < n->len ? n->len - at : 0;
	if (len > left)
		len = left;
	if (len == 0)
		return 0;
	len = portion(d, len);
	if (len == 0)
		return -1;
	memcpy(ret, n->data + at, len);
	return (ssize_t)len;
}

ssize_t __wrap_read(int fd, void *ret, size_t len)
{
	struct disk *d = disk_of(fd);
	struct desc *f;
	ssize_t n;

	if (d == NULL)
		return __real_read(fd, ret, len);
	f = looking(d, fd);
	n = f != NULL ? get(d, f, ret, len, f->pos) : -1;
	if (n > 0)
		f->pos += (size_t)n;
	return n;
}

ssize_t __wrap_pread(int fd, void *ret, size_t len, off_t at)
{
	struct disk *d = disk_of(fd);
	const struct desc *f;

	if (d == NULL)
		return __real_pread(fd, ret, len, at);
	f = looking(d, fd);
	if (f == NULL)
		return -1;
	if (at < 0)
		return disk_errno(EINVAL);
	return get(d, f, ret, len, (size_t)at);
}

static bool may_write(struct disk *d, const struct desc *f)
{
	if ((f->flags & O_ACCMODE) == O_RDONLY || f->node->kind != KIND_FILE)
		errno = EBADF;
	else
		return !disk_fails(d, DISK_WRITE);
	return false;
}

/* What of len octets can be written; 0, errno set: nothing. */
static size_t space_for(struct disk *d, size_t len)
{
	size_t n = portion(d, len);

	if (n == 0 || d->space < 0)
		return n;
	if (d->space == 0) {
		errno = ENOSPC;
		return 0;
	}
	if (n > (size_t)d->space)
		n = (size_t)d->space;
	d->space -= (int64_t)n;
	return n;
}

ssize_t __wrap_writev(int fd, const struct iovec *v, int n)
{
	struct disk *d = disk_of(fd);
	struct desc *f;
	size_t len = 0, todo;

	if (d == NULL)
		return __real_writev(fd, v, n);
	f = changing(d, fd, "writev");
	if (f == NULL || !may_write(d, f))
		return -1;
	for (int i = 0; i < n; i++)
		len += v[i].iov_len;
	if (len == 0)
		return 0;
	len = todo = space_for(d, len);
	if (len == 0)
		return -1;
	if ((f->flags & O_APPEND) != 0)
		f->pos = f->node->len;
	for (int i = 0; i < n && todo > 0; i++) {
		size_t part = v[i].iov_len < todo ? v[i].iov_len : todo;

		node_write(d, f->node, f->pos, v[i].iov_base, part);
		f->pos += part;
		todo -= part;
	}
	return (ssize_t)len;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	struct disk *d = disk_of(fd);
	struct desc *f;

	if (d == NULL)
		return __real_write(fd, data, len);
	f = changing(d, fd, "write");
	if (f == NULL || !may_write(d, f))
		return -1;
	if (len == 0)
		return 0;
	len = space_for(d, len);
	if (len == 0)
		return -1;
	if ((f->flags & O_APPEND) != 0)
		f->pos = f->node->len;
	node_write(d, f->node, f->pos, data, len);
	f->pos += len;
	return (ssize_t)len;
}

off_t __wrap_lseek(int fd, off_t by, int whence)
{
	struct disk *d = disk_of(fd);
	struct desc *f;

	if (d == NULL)
		return __real_lseek(fd, by, whence);
	f = looking(d, fd);
	if (f == NULL)
		return -1;
	if (whence == SEEK_CUR)
		by += (off_t)f->pos;
	else if (whence == SEEK_END)
		by += (off_t)f->node->len;
	else if (whence != SEEK_SET)
		by = -1;
	if (by < 0)
		return disk_errno(EINVAL);
	f->pos = (size_t)by;
	return by;
}

int __wrap_ftruncate(int fd, off_t len)
{
	struct disk *d = disk_of(fd);
	struct desc *f;

	if (d == NULL)
		return __real_ftruncate(fd, len);
	f = changing(d, fd, "ftruncate");
	if (f == NULL)
		return -1;
	if ((f->flags & O_ACCMODE) == O_RDONLY || f->node->kind != KIND_FILE ||
		len < 0)
		return disk_errno(EINVAL);
	if (disk_fails(d, DISK_META))
		return -1;
	node_truncate(d, f->node, (size_t)len);
	return 0;
}

/* The kernel could not write it, and holds it for clean from now on. */
static void drop(struct node *n)
{
	const size_t from = n->has_old ? 0 : n->synced;

	if (n->hole_to == 0 || from < n->hole_from)
		n->hole_from = from;
	if (n->len > n->hole_to)
		n->hole_to = n->len;
}

static int sync_desc(int fd, struct disk *d, const char *call, bool meta)
{
	struct desc *f = changing(d, fd, call);
	struct meta safe;
	size_t hole_from, hole_to;

	if (f == NULL)
		return -1;
	if (disk_fails(d, DISK_FSYNC)) {
		if (f->node->kind == KIND_FILE && f->node->dirty &&
			errno != EINTR)
			drop(f->node);
		return -1;
	}
	hole_from = f->node->hole_from;
	hole_to = f->node->hole_to;
	safe = f->node->safe_meta;
	node_sync(d, f->node);
	f->node->hole_from = hole_from;
	f->node->hole_to = hole_to;
	if (!meta)
		f->node->safe_meta = safe;
	return 0;
}

int __wrap_fsync(int fd)
{
	struct disk *d = disk_of(fd);

	return d == NULL ? __real_fsync(fd) : sync_desc(fd, d, "fsync", true);
}

int __wrap_fdatasync(int fd)
{
	struct disk *d = disk_of(fd);

	return d == NULL ? __real_fdatasync(fd)
			 : sync_desc(fd, d, "fdatasync", false);
}

/* ---- what is known of a file ---- */

void disk_stat(const struct node *n, struct stat *ret)
{
	static const mode_t type[] = {
		[KIND_FREE] = 0,
		[KIND_FILE] = S_IFREG,
		[KIND_DIR] = S_IFDIR,
		[KIND_LINK] = S_IFLNK,
	};

	memset(ret, 0, sizeof(*ret));
	ret->st_dev = 0x5d;
	ret->st_ino = n->index + 2;
	ret->st_mode = type[n->kind] | n->meta.mode;
	ret->st_nlink = n->kind == KIND_DIR ? 2 : n->links;
	ret->st_uid = n->meta.uid;
	ret->st_gid = n->meta.gid;
	ret->st_size = (off_t)n->len;
	ret->st_blksize = 4096;
	ret->st_blocks = (blkcnt_t)((n->len + 511) / 512);
	ret->st_mtim.tv_sec = n->mtime_ms / 1000;
	ret->st_mtim.tv_nsec = n->mtime_ms % 1000 * 1000000;
	ret->st_ctim = ret->st_atim = ret->st_mtim;
}

int __wrap_fstat(int fd, struct stat *ret)
{
	struct disk *d = disk_of(fd);
	const struct desc *f;

	if (d == NULL)
		return __real_fstat(fd, ret);
	f = looking(d, fd);
	if (f == NULL)
		return -1;
	disk_stat(f->node, ret);
	return 0;
}

int __wrap_fchmod(int fd, mode_t mode)
{
	struct disk *d = disk_of(fd);
	struct desc *f;

	if (d == NULL)
		return __real_fchmod(fd, mode);
	f = changing(d, fd, "fchmod");
	if (f == NULL || disk_fails(d, DISK_META))
		return -1;
	f->node->meta.mode = mode & 07777;
	return 0;
}

void disk_chown(struct node *n, uid_t uid, gid_t gid)
{
	if (uid != (uid_t)-1)
		n->meta.uid = uid;
	if (gid != (gid_t)-1)
		n->meta.gid = gid;
}

int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
	struct disk *d = disk_of(fd);
	struct desc *f;

	if (d == NULL)
		return __real_fchown(fd, uid, gid);
	f = changing(d, fd, "fchown");
	if (f == NULL || disk_fails(d, DISK_META))
		return -1;
	disk_chown(f->node, uid, gid);
	return 0;
}

/* ---- locks ---- */

static bool conflicts(int have, int want)
{
	return have == LOCK_EX || (have == LOCK_SH && want == LOCK_EX);
}

/* Nobody waits here: with or without LOCK_NB a taken lock is EWOULDBLOCK. */
int __wrap_flock(int fd, int how)
{
	struct disk *d = disk_of(fd);
	struct desc *f;
	const int want = how & ~LOCK_NB;

	if (d == NULL)
		return __real_flock(fd, how);
	f = changing(d, fd, "flock");
	if (f == NULL || disk_fails(d, DISK_LOCK))
		return -1;
	for (size_t i = 0; want != LOCK_UN && i < d->n_desc; i++)
		if (d->desc[i].used && &d->desc[i] != f &&
			d->desc[i].node == f->node &&
			conflicts(d->desc[i].lock, want))
			return disk_errno(EWOULDBLOCK);
	f->lock = want == LOCK_UN ? 0 : want;
	return 0;
}

/* Locks of whole files only, by open file description. */
static int ofd_lock(struct disk *d, struct desc *f, const struct flock *l)
{
	const int want = l->l_type == F_WRLCK   ? LOCK_EX
			 : l->l_type == F_RDLCK ? LOCK_SH
						: 0;

	for (size_t i = 0; want != 0 && i < d->n_desc; i++)
		if (d->desc[i].used && &d->desc[i] != f &&
			d->desc[i].node == f->node &&
			conflicts(d->desc[i].ofd_lock, want))
			return disk_errno(EAGAIN);
	f->ofd_lock = want;
	return 0;
}

int __wrap_fcntl(int fd, int cmd, ...)
{
	struct disk *d = disk_of(fd);
	struct desc *f;
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *); /* an int comes the same way */
	va_end(ap);
	if (d == NULL)
		return __real_fcntl(fd, cmd, arg);
	f = looking(d, fd);
	if (f == NULL)
		return -1;
	switch (cmd) {
	case F_GETFD:
		return FD_CLOEXEC;
	case F_GETFL:
		return f->flags;
	case F_SETFD:
	case F_SETFL:
		return 0;
	case F_OFD_SETLK:
		return disk_fails(d, DISK_LOCK) ? -1 : ofd_lock(d, f, arg);
	default:
		return disk_errno(EINVAL);
	}
}

/* ---- listing: names as they were at fdopendir ---- */

static struct stream *stream_of(const DIR *dir)
{
	struct disk *d = disk_current;

	for (size_t i = 0; d != NULL && i < STREAMS; i++)
		if ((const void *)&d->stream[i] == (const void *)dir)
			return &d->stream[i];
	return NULL;
}

DIR *__wrap_fdopendir(int fd)
{
	struct disk *d = disk_of(fd);
	const struct desc *f;
	struct stream *s;
	size_t i = 0;

	if (d == NULL)
		return __real_fdopendir(fd);
	f = looking(d, fd);
	while (i < STREAMS && d->stream[i].used)
		i++;
	if (f == NULL)
		return NULL;
	errno = f->node->kind != KIND_DIR ? ENOTDIR : EMFILE;
	if (errno == ENOTDIR || i == STREAMS)
		return NULL;
	s = &d->stream[i];
	s->used = true;
	s->fd = fd;
	s->pid = d->pid;
	s->at = 0;
	s->list.n = f->node->now.n;
	s->list.e = disk_grow(
		s->list.e, &s->list.cap, s->list.n, sizeof(struct entry));
	for (i = 0; i < s->list.n; i++)
		s->list.e[i] = f->node->now.e[i];
	return (DIR *)(void *)s;
}

struct dirent *__wrap_readdir(DIR *dir)
{
	struct stream *s = stream_of(dir);
	const char *name;

	if (s == NULL)
		return __real_readdir(dir);
	disk_current->calls++;
	if (disk_gone(disk_current))
		errno = EIO;
	if (disk_gone(disk_current) || disk_fails(disk_current, DISK_LIST))
		return NULL;
	if (s->at >= s->list.n + 2)
		return NULL;
	name = s->at == 0 ? "." : s->at == 1 ? ".." : s->list.e[s->at - 2].name;
	s->at++;
	memcpy(s->out.d_name, name, strlen(name) + 1);
	s->out.d_type = DT_UNKNOWN;
	return &s->out;
}

int __wrap_closedir(DIR *dir)
{
	struct stream *s = stream_of(dir);

	if (s == NULL)
		return __real_closedir(dir);
	s->used = false;
	return __wrap_close(s->fd);
}

uid_t __wrap_geteuid(void)
{
	return disk_current != NULL ? 0 : __real_geteuid();
}
