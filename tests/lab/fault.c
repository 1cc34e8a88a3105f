/*
 * Preloaded into danelaw by the lab: something happens to the FAULT_AT-th call
 * that changes a file.
 *
 *   FAULT=kill            the process dies of SIGKILL instead of making it
 *   FAULT=ENOSPC|EROFS|EIO   it and all later ones fail; FAULT_ONCE=1: only it
 *   FAULT_COUNT=FILE      one line for each such call is appended there,
 *                         "NUMBER CALL NAME", also when nothing is to happen
 *
 * ENOSPC lets through what needs no space, as a full disk does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEEDS_SPACE true
#define FREES false

static long count;

static bool regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Straight to the kernel: a call of our own must not be counted. */
static void tell(const char *call, int fd, const char *name)
{
	const char *path = getenv("FAULT_COUNT");
	char link[40], of[1024] = "", line[1200];
	long out, n;

	if (path == NULL)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (name == NULL && (n = readlink(link, of, sizeof(of) - 1)) > 0)
		of[n] = '\0';
	n = snprintf(line, sizeof(line), "%ld %s %s\n", count, call,
		name != NULL ? name : of);
	out = syscall(SYS_openat, AT_FDCWD, path,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (out < 0)
		return;
	(void)syscall(SYS_write, out, line, n);
	(void)syscall(SYS_close, out);
}

/* True: this call must fail, errno is set. */
static bool faulty(const char *call, int fd, const char *name, bool space)
{
	const char *at = getenv("FAULT_AT"), *how = getenv("FAULT");
	const char *once = getenv("FAULT_ONCE");
	long n = at != NULL ? strtol(at, NULL, 10) : 0;

	count++;
	tell(call, fd, name);
	if (how == NULL || n <= 0 || count < n || (once != NULL && count > n))
		return false;
	if (strcmp(how, "kill") == 0)
		(void)kill(getpid(), SIGKILL);
	if (strcmp(how, "ENOSPC") == 0 && !space)
		return false;
	errno = strcmp(how, "EROFS") == 0 ? EROFS
		: strcmp(how, "EIO") == 0 ? EIO
					  : ENOSPC;
	return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t n)
{
	if (regular(fd) && faulty("write", fd, NULL, NEEDS_SPACE))
		return -1;
	return REAL(write)(fd, data, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	if (regular(fd) && faulty("writev", fd, NULL, NEEDS_SPACE))
		return -1;
	return REAL(writev)(fd, v, n);
}

int ftruncate(int fd, off_t len)
{
	return faulty("ftruncate", fd, NULL, FREES)
		? -1
		: REAL(ftruncate)(fd, len);
}

int fchmod(int fd, mode_t mode)
{
	return faulty("fchmod", fd, NULL, FREES) ? -1
						 : REAL(fchmod)(fd, mode);
}

/* Space that was promised late is missed here. */
int fsync(int fd)
{
	return faulty("fsync", fd, NULL, NEEDS_SPACE) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	return faulty("fdatasync", fd, NULL, NEEDS_SPACE)
		? -1
		: REAL(fdatasync)(fd);
}

int renameat(int a, const char *from, int b, const char *to)
{
	return faulty("renameat", a, to, NEEDS_SPACE)
		? -1
		: REAL(renameat)(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	return faulty("renameat2", a, to, NEEDS_SPACE)
		? -1
		: REAL(renameat2)(a, from, b, to, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
	return faulty("linkat", a, to, NEEDS_SPACE)
		? -1
		: REAL(linkat)(a, from, b, to, flags);
}

int symlinkat(const char *target, int dir, const char *name)
{
	return faulty("symlinkat", dir, name, NEEDS_SPACE)
		? -1
		: REAL(symlinkat)(target, dir, name);
}

int unlinkat(int dir, const char *name, int flags)
{
	struct stat st;

	/* Looking whether there is something to remove changes nothing. */
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	return faulty("unlinkat", dir, name, FREES)
		? -1
		: REAL(unlinkat)(dir, name, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return faulty("mkdirat", dir, name, NEEDS_SPACE)
		? -1
		: REAL(mkdirat)(dir, name, mode);
}

char *mkdtemp(char *path)
{
	return faulty("mkdtemp", -1, path, NEEDS_SPACE) ? NULL
							: REAL(mkdtemp)(path);
}

int openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	struct stat st;
	va_list ap;

	if ((flags & O_CREAT) == 0)
		return REAL(openat)(dir, name, flags);
	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		(flags & O_EXCL) == 0)
		return REAL(openat)(dir, name, flags, mode);
	return faulty("openat", dir, name, NEEDS_SPACE)
		? -1
		: REAL(openat)(dir, name, flags, mode);
}
