/*
 * Preloaded into danelaw by the lab: something happens to the FAULT_AT-th call
 * that changes a file, or goes out to the network.
 *
 *   FAULT=kill            the process dies of SIGKILL instead of making it
 *   FAULT=ENOSPC|EROFS|EIO|EINTR
 *                         it and all later ones fail; FAULT_ONCE=1: only it
 *   FAULT=short           half of what was to be written is, and that is said
 *   FAULT_NET=PORT,PORT   what is sent to these ports by TCP counts too: kill
 *                         comes after it was sent, nothing else does anything
 *   FAULT_COUNT=FILE      one line for each such call is appended there,
 *                         "NUMBER CALL NAME", also when nothing is to happen
 *
 * ENOSPC lets through what needs no space, as a full disk does. A process that
 * danelaw forks is left alone: it may be one that can do next to nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { NEEDS_SPACE, FREES, NET };

static long count;
static const char *ports;
static volatile char *ours; /* 0 in a child */

static bool mine(void)
{
	return ours != NULL && *ours != 0;
}

__attribute__((constructor)) static void begin(void)
{
	ours = mmap(NULL, 1, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ours == MAP_FAILED ||
		madvise((void *)ours, 1, MADV_WIPEONFORK) != 0)
		abort();
	*ours = 1;
	ports = getenv("FAULT_NET");
}

static bool regular(int fd)
{
	struct stat st;

	return mine() && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool to_network(int fd)
{
	struct sockaddr_storage to;
	socklen_t len = sizeof(to);
	int type = 0;
	socklen_t type_len = sizeof(type);
	const char *p = ports;

	if (p == NULL || !mine() ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0 ||
		type != SOCK_STREAM ||
		getpeername(fd, (struct sockaddr *)&to, &len) != 0 ||
		(to.ss_family != AF_INET && to.ss_family != AF_INET6))
		return false;
	/* The port is at the same place in both families. */
	for (char *end; *p != '\0'; p = *end == ',' ? end + 1 : end)
		if (strtol(p, &end, 10) ==
			ntohs(((struct sockaddr_in *)&to)->sin_port))
			return true;
	return false;
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

static int number_of(const char *how)
{
	return strcmp(how, "EROFS") == 0   ? EROFS
	       : strcmp(how, "EIO") == 0   ? EIO
	       : strcmp(how, "EINTR") == 0 ? EINTR
					   : ENOSPC;
}

/* True: this call must fail, errno is set; with *cut that half is done. */
static bool faulty(
	const char *call, int fd, const char *name, enum what what, bool *cut)
{
	const char *at = getenv("FAULT_AT"), *how = getenv("FAULT");
	const char *once = getenv("FAULT_ONCE");
	long n = at != NULL ? strtol(at, NULL, 10) : 0;

	if (!mine())
		return false;
	count++;
	tell(call, fd, name);
	if (how == NULL || n <= 0 || count < n || (once != NULL && count > n))
		return false;
	if (strcmp(how, "kill") == 0)
		(void)kill(getpid(), SIGKILL);
	if (what == NET || (strcmp(how, "ENOSPC") == 0 && what == FREES))
		return false;
	if (strcmp(how, "short") == 0) {
		if (cut != NULL)
			*cut = true;
		return false;
	}
	errno = number_of(how);
	return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAULTY(fd, name, what) faulty(__func__, fd, name, what, NULL)

static ssize_t sent(int fd, ssize_t done)
{
	int e = errno;

	if (to_network(fd))
		(void)faulty("send", fd, "", NET, NULL);
	errno = e;
	return done;
}

ssize_t write(int fd, const void *data, size_t n)
{
	bool cut = false;

	if (regular(fd) && faulty("write", fd, NULL, NEEDS_SPACE, &cut))
		return -1;
	return sent(fd, REAL(write)(fd, data, cut && n > 1 ? n / 2 : n));
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	bool cut = false;

	if (regular(fd) && faulty("writev", fd, NULL, NEEDS_SPACE, &cut))
		return -1;
	while (cut && n > 1 && v->iov_len == 0) {
		v++;
		n--;
	}
	if (cut)
		return REAL(write)(fd, v->iov_base,
			v->iov_len > 1 ? v->iov_len / 2 : v->iov_len);
	return sent(fd, REAL(writev)(fd, v, n));
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	bool cut = false;

	if (regular(fd) && faulty("pwrite", fd, NULL, NEEDS_SPACE, &cut))
		return -1;
	return REAL(pwrite)(fd, data, cut && n > 1 ? n / 2 : n, at);
}

int ftruncate(int fd, off_t len)
{
	return FAULTY(fd, NULL, FREES) ? -1 : REAL(ftruncate)(fd, len);
}

int fchmod(int fd, mode_t mode)
{
	return FAULTY(fd, NULL, FREES) ? -1 : REAL(fchmod)(fd, mode);
}

int fchmodat(int dir, const char *name, mode_t mode, int flags)
{
	return FAULTY(dir, name, FREES)
		       ? -1
		       : REAL(fchmodat)(dir, name, mode, flags);
}

int chmod(const char *name, mode_t mode)
{
	return FAULTY(-1, name, FREES) ? -1 : REAL(chmod)(name, mode);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return FAULTY(fd, NULL, FREES) ? -1 : REAL(fchown)(fd, uid, gid);
}

int fchownat(int dir, const char *name, uid_t uid, gid_t gid, int flags)
{
	return FAULTY(dir, name, FREES)
		       ? -1
		       : REAL(fchownat)(dir, name, uid, gid, flags);
}

/* Space that was promised late is missed here. */
int fsync(int fd)
{
	return FAULTY(fd, NULL, NEEDS_SPACE) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	return FAULTY(fd, NULL, NEEDS_SPACE) ? -1 : REAL(fdatasync)(fd);
}

int rename(const char *from, const char *to)
{
	return FAULTY(-1, to, NEEDS_SPACE) ? -1 : REAL(rename)(from, to);
}

int renameat(int a, const char *from, int b, const char *to)
{
	return FAULTY(a, to, NEEDS_SPACE) ? -1 : REAL(renameat)(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	return FAULTY(a, to, NEEDS_SPACE)
		       ? -1
		       : REAL(renameat2)(a, from, b, to, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
	return FAULTY(a, to, NEEDS_SPACE) ? -1
					  : REAL(linkat)(a, from, b, to, flags);
}

int symlinkat(const char *target, int dir, const char *name)
{
	return FAULTY(dir, name, NEEDS_SPACE)
		       ? -1
		       : REAL(symlinkat)(target, dir, name);
}

int unlinkat(int dir, const char *name, int flags)
{
	struct stat st;

	/* Looking whether there is something to remove changes nothing. */
	if (mine() && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	return FAULTY(dir, name, FREES) ? -1 : REAL(unlinkat)(dir, name, flags);
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	struct stat st;

	if (mine() && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return FAULTY(dir, name, NEEDS_SPACE) ? -1
					      : REAL(mkdirat)(dir, name, mode);
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

char *mkdtemp(char *path)
{
	return FAULTY(-1, path, NEEDS_SPACE) ? NULL : REAL(mkdtemp)(path);
}

static bool makes(int dir, const char *name, int flags)
{
	struct stat st;

	return mine() && (flags & O_CREAT) != 0 &&
	       ((flags & O_EXCL) != 0 ||
		       fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0);
}

int openat(int dir, const char *name, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (makes(dir, name, flags) && FAULTY(dir, name, NEEDS_SPACE))
		return -1;
	return REAL(openat)(dir, name, flags, mode);
}

int open(const char *name, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (makes(AT_FDCWD, name, flags) && FAULTY(AT_FDCWD, name, NEEDS_SPACE))
		return -1;
	return REAL(open)(name, flags, mode);
}

/* ---- the network ---- */

ssize_t send(int fd, const void *data, size_t n, int flags)
{
	return sent(fd, REAL(send)(fd, data, n, flags));
}

ssize_t sendto(int fd, const void *data, size_t n, int flags,
	const struct sockaddr *to, socklen_t len)
{
	return sent(fd, REAL(sendto)(fd, data, n, flags, to, len));
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	return sent(fd, REAL(sendmsg)(fd, m, flags));
}
