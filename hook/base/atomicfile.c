/*
 * Files that are either the old or the new one, whole. Every change is made in
 * a temp beside the target (".tmp-danelaw-" and 64 random bits) and becomes
 * visible by one rename; the folder is fsynced, so a success survives a power
 * cut. A crash can leave a temp behind: who owns the folder sweeps ".tmp-*".
 * Owner is set before the final mode, so the mode never applies to the wrong
 * group. Nobody else calls rename().
 */
#include "hook/base/atomicfile.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define TMP_NAME_MAX 40
#define TMP_TRIES 8
#define PATH_TEXT_MAX 512

/* "/folder/name" for messages; the bare name when /proc does not tell. */
static const char *where(int dirfd, const char *name, char ret[PATH_TEXT_MAX])
{
	char link[40], folder[PATH_TEXT_MAX];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = dirfd >= 0 ? readlink(link, folder, sizeof(folder) - 1) : -1;
	if (n < 0) {
		(void)snprintf(ret, PATH_TEXT_MAX, "%s", name);
		return ret;
	}
	folder[n] = '\0';
	if (snprintf(ret, PATH_TEXT_MAX, "%s/%s", folder, name) < 0)
		ret[0] = '\0';
	return ret;
}

static const char *advice(int errnum)
{
	if (errnum == ENOSPC || errnum == EDQUOT)
		return "free space there and run again";
	if (errnum == EFBIG)
		return "raise the file size limit (ulimit -f) and run again";
	if (errnum == EROFS)
		return "make that file system writable and run again";
	if (errnum == EACCES || errnum == EPERM)
		return "run as root or as the owner of that folder";
	return "check that file system and run again";
}

static enum status fail(int dirfd, const char *name, const char *what,
	int errnum, struct err *err)
{
	char path[PATH_TEXT_MAX];

	return err_sys(err, ST_IO, errnum, "cannot %s %s (%s)", what,
		where(dirfd, name, path), advice(errnum));
}

static enum status check_component(const char *name, struct err *err)
{
	if (name[0] == '\0' || strchr(name, '/') != NULL ||
		strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(
			err, ST_BUG, "\"%s\" is not one path component", name);
	return ST_OK;
}

static enum status temp_name(char ret[static TMP_NAME_MAX], struct err *err)
{
	uint64_t r;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return err_sys(err, ST_IO, errno, "no random numbers");
	(void)snprintf(ret, TMP_NAME_MAX, ".tmp-danelaw-%016llx",
		(unsigned long long)r);
	return ST_OK;
}

static enum status sync_folder(int dirfd, const char *name, struct err *err)
{
	if (fsync(dirfd) != 0)
		return fail(dirfd, name, "make durable", errno, err);
	return ST_OK;
}

static enum status temp_open(int dirfd, const char *name,
	char tmp[static TMP_NAME_MAX], int *ret_fd, struct err *err)
{
	for (int i = 0; i < TMP_TRIES; i++) {
		enum status st = temp_name(tmp, err);
		int fd;

		if (st != ST_OK)
			return st;
		fd = openat(dirfd, tmp,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0600);
		if (fd >= 0) {
			*ret_fd = fd;
			return ST_OK;
		}
		if (errno != EEXIST)
			break;
	}
	return fail(dirfd, name, "write", errno, err);
}

/* Returns 0 or an errno. */
static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The new name must not be taken. Returns 0 or an errno. */
static int move_new(int dirfd, const char *from, const char *to)
{
	struct stat sb;

	if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	/* NFS and old kernels; link() refuses an existing name as well */
	if (linkat(dirfd, from, dirfd, to, 0) == 0) {
		(void)unlinkat(dirfd, from, 0);
		return 0;
	}
	if (errno != EPERM && errno != EOPNOTSUPP)
		return errno;
	/* folders; rename() itself refuses all but an empty one */
	if (fstatat(dirfd, to, &sb, AT_SYMLINK_NOFOLLOW) == 0)
		return EEXIST;
	return renameat(dirfd, from, dirfd, to) == 0 ? 0 : errno;
}

struct content {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	const void *data;
	size_t len;
};

static enum status fill(int fd, int dirfd, const char *name,
	const struct content *c, struct err *err)
{
	int e = write_all(fd, c->data, c->len);
	char path[PATH_TEXT_MAX];

	if (e != 0)
		return fail(dirfd, name, "write", e, err);
	if ((c->uid != (uid_t)-1 || c->gid != (gid_t)-1) &&
		fchown(fd, c->uid, c->gid) != 0)
		return err_sys(err, ST_IO, errno,
			"cannot give %s to user %d, group %d (run as root, or "
			"take owner and group out of the configuration)",
			where(dirfd, name, path), (int)c->uid, (int)c->gid);
	if (fchmod(fd, c->mode) != 0)
		return fail(dirfd, name, "set the mode of", errno, err);
	if (fsync(fd) != 0)
		return fail(dirfd, name, "write", errno, err);
	return ST_OK;
}

static enum status put(int dirfd, const char *name, const struct content *c,
	bool fresh, struct err *err)
{
	char tmp[TMP_NAME_MAX], path[PATH_TEXT_MAX];
	enum status st = check_component(name, err);
	int fd = -1, e;

	if (st == ST_OK)
		st = temp_open(dirfd, name, tmp, &fd, err);
	if (st != ST_OK)
		return st;
	st = fill(fd, dirfd, name, c, err);
	if (close(fd) != 0 && st == ST_OK)
		st = fail(dirfd, name, "write", errno, err);
	if (st == ST_OK) {
		if (fresh)
			e = move_new(dirfd, tmp, name);
		else
			e = renameat(dirfd, tmp, dirfd, name) == 0 ? 0 : errno;
		if (fresh && e == EEXIST)
			st = err_set(err, ST_REFUSED, "%s exists already",
				where(dirfd, name, path));
		else if (e != 0)
			st = fail(dirfd, name, "write", e, err);
	}
	if (st != ST_OK) {
		(void)unlinkat(dirfd, tmp, 0);
		return st;
	}
	return sync_folder(dirfd, name, err);
}

enum status atomicfile_write(int dirfd, const char *name, mode_t mode,
	const void *data, size_t len, struct err *err)
{
	return atomicfile_write_owned(
		dirfd, name, mode, (uid_t)-1, (gid_t)-1, data, len, err);
}

enum status atomicfile_write_owned(int dirfd, const char *name, mode_t mode,
	uid_t uid, gid_t gid, const void *data, size_t len, struct err *err)
{
	const struct content c = { mode, uid, gid, data, len };

	return put(dirfd, name, &c, false, err);
}

enum status atomicfile_create(int dirfd, const char *name, mode_t mode,
	const void *data, size_t len, struct err *err)
{
	const struct content c = { mode, (uid_t)-1, (gid_t)-1, data, len };

	return put(dirfd, name, &c, true, err);
}

enum status atomicfile_symlink(
	int dirfd, const char *name, const char *target, struct err *err)
{
	char tmp[TMP_NAME_MAX];
	enum status st = check_component(name, err);
	int e;

	if (st == ST_OK)
		st = temp_name(tmp, err);
	if (st != ST_OK)
		return st;
	if (symlinkat(target, dirfd, tmp) != 0)
		return fail(dirfd, name, "make the link", errno, err);
	if (renameat(dirfd, tmp, dirfd, name) != 0) {
		e = errno;
		(void)unlinkat(dirfd, tmp, 0);
		return fail(dirfd, name, "set the link", e, err);
	}
	return sync_folder(dirfd, name, err);
}

enum status atomicfile_rename(
	int dirfd, const char *from, const char *to, struct err *err)
{
	char path[PATH_TEXT_MAX];
	enum status st = check_component(from, err);
	int e;

	if (st == ST_OK)
		st = check_component(to, err);
	if (st != ST_OK)
		return st;
	e = move_new(dirfd, from, to);
	if (e == EEXIST || e == ENOTEMPTY)
		return err_set(err, ST_REFUSED, "%s exists already",
			where(dirfd, to, path));
	if (e == ENOENT)
		return err_set(err, ST_NOTFOUND, "%s is not there",
			where(dirfd, from, path));
	if (e != 0)
		return fail(dirfd, to, "rename to", e, err);
	return sync_folder(dirfd, to, err);
}

/* Opens for append; *ret_new when it was made here. */
static enum status append_open(int dirfd, const char *name, mode_t mode,
	int *ret_fd, bool *ret_new, struct err *err)
{
	const int flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dirfd, name, flags);
	bool is_new = false;

	if (fd < 0 && errno == ENOENT) {
		is_new = true;
		fd = openat(dirfd, name, flags | O_CREAT | O_EXCL, mode & 0700);
		if (fd >= 0 && fchmod(fd, mode) != 0) {
			int e = errno;

			(void)close(fd);
			return fail(dirfd, name, "set the mode of", e, err);
		}
	}
	if (fd < 0)
		return fail(dirfd, name, "append to", errno, err);
	*ret_fd = fd;
	*ret_new = is_new;
	return ST_OK;
}

/* One write; a line that a power cut left unfinished is ended first. What a
 * full disk cut off is taken back, so that the next line starts clean. */
static int append_line(int fd, off_t size, const void *data, size_t len)
{
	struct iovec v[2] = {
		{ .iov_base = (void *)(uintptr_t) "\n", .iov_len = 0 },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};
	char last = '\n';
	size_t done;
	ssize_t n;
	int e;

	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		return EIO;
	if (last != '\n')
		v[0].iov_len = 1;
	do
		n = writev(fd, v, 2);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	/* A short write: go on, if only to learn the reason. */
	done = (size_t)n < v[0].iov_len ? 0 : (size_t)n - v[0].iov_len;
	e = write_all(fd, (const char *)data + done, len - done);
	if (e == 0)
		return fdatasync(fd) == 0 ? 0 : errno;
	/* If that fails too, the next append ends the torn line. */
	if (ftruncate(fd, size) != 0)
		return errno;
	return e;
}

enum status atomicfile_append(int dirfd, const char *name, mode_t mode,
	const void *data, size_t len, struct err *err)
{
	char path[PATH_TEXT_MAX];
	enum status st = check_component(name, err);
	auto_fd fd = -1;
	bool is_new = false;
	struct stat sb;
	int e;

	if (st != ST_OK)
		return st;
	if (len == 0 || ((const char *)data)[len - 1] != '\n')
		return err_set(err, ST_BUG, "not a whole line for %s", name);
	st = append_open(dirfd, name, mode, &fd, &is_new, err);
	if (st != ST_OK)
		return st;
	if (fstat(fd, &sb) != 0)
		return fail(dirfd, name, "append to", errno, err);
	if (!S_ISREG(sb.st_mode))
		return err_set(err, ST_REFUSED, "%s is not a regular file",
			where(dirfd, name, path));
	e = append_line(fd, sb.st_size, data, len);
	if (e != 0)
		return fail(dirfd, name, "append to", e, err);
	return is_new ? sync_folder(dirfd, name, err) : ST_OK;
}

static enum status read_all(int fd, struct buf *ret, struct err *err)
{
	char chunk[16384];
	enum status st = ST_OK;

	while (st == ST_OK) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			st = err_sys(err, ST_IO, errno, "cannot read");
		if (n <= 0)
			break;
		st = buf_append(ret, chunk, (size_t)n, err);
	}
	explicit_bzero(chunk, sizeof(chunk)); /* may have been a key */
	return st;
}

enum status atomicfile_read(
	int dirfd, const char *name, struct buf *ret, struct err *err)
{
	char path[PATH_TEXT_MAX];
	const size_t old = ret->len;
	enum status st = check_component(name, err);
	struct stat sb;
	auto_fd fd = -1;

	if (st != ST_OK)
		return st;
	/* O_NONBLOCK: a FIFO in our place must not hang us */
	fd = openat(dirfd, name,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ST_NOTFOUND, "%s is not there",
			where(dirfd, name, path));
	if (fd < 0 && errno == ELOOP)
		return err_set(err, ST_REFUSED,
			"%s is a symbolic link where a file is expected",
			where(dirfd, name, path));
	if (fd < 0 || fstat(fd, &sb) != 0)
		return fail(dirfd, name, "read", errno, err);
	if (!S_ISREG(sb.st_mode))
		return err_set(err, ST_REFUSED, "%s is not a regular file",
			where(dirfd, name, path));
	st = read_all(fd, ret, err);
	if (st != ST_OK) {
		if (ret->data != NULL) {
			explicit_bzero(ret->data + old, ret->len - old);
			ret->len = old;
		}
		return err_context(err, "%s", where(dirfd, name, path));
	}
	return ST_OK;
}

static enum status open_folder(
	int dirfd, const char *name, int *ret_fd, struct err *err)
{
	char path[PATH_TEXT_MAX];
	int fd = openat(
		dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ST_NOTFOUND, "%s is not there",
			where(dirfd, name, path));
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(err, ST_REFUSED,
			"%s is not a folder (a symbolic link is not accepted)",
			where(dirfd, name, path));
	if (fd < 0)
		return fail(dirfd, name, "open the folder", errno, err);
	*ret_fd = fd;
	return ST_OK;
}

/* Made under a temp name, so that a crash cannot leave it with the mode that
 * the umask gave. */
static enum status make_folder(
	int dirfd, const char *name, mode_t mode, struct err *err)
{
	char tmp[TMP_NAME_MAX];
	enum status st = temp_name(tmp, err);
	int e = 0;

	if (st != ST_OK)
		return st;
	if (mkdirat(dirfd, tmp, mode & 0700) != 0)
		return fail(dirfd, name, "make the folder", errno, err);
	if (fchmodat(dirfd, tmp, mode, 0) != 0)
		e = errno;
	if (e == 0)
		e = move_new(dirfd, tmp, name);
	if (e != 0)
		(void)unlinkat(dirfd, tmp, AT_REMOVEDIR);
	if (e == EEXIST || e == ENOTEMPTY)
		return ST_OK; /* somebody else was faster */
	if (e != 0)
		return fail(dirfd, name, "make the folder", e, err);
	return sync_folder(dirfd, name, err);
}

enum status atomicfile_dir(
	int dirfd, const char *name, mode_t mode, int *ret_fd, struct err *err)
{
	enum status st = check_component(name, err);

	if (st != ST_OK)
		return st;
	st = open_folder(dirfd, name, ret_fd, err);
	if (st != ST_NOTFOUND)
		return st;
	st = make_folder(dirfd, name, mode, err);
	if (st != ST_OK)
		return st;
	return open_folder(dirfd, name, ret_fd, err);
}
