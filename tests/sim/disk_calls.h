/* What disk_calls.c and disk_names.c share: the wrapped calls and the host's
 * own. Nobody calls __wrap_ functions; the linker sends calls to them. */
#ifndef DANELAW_TEST_SIM_DISK_CALLS_H
#define DANELAW_TEST_SIM_DISK_CALLS_H

#include "disk_impl.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int disk_errno(int e); /* -1 */
/* True, errno set: this call is to fail. */
bool disk_fails(struct disk *d, enum disk_call call);
/* NULL: not open, or another process's. */
struct desc *disk_desc(struct disk *d, int fd);
int disk_desc_new(
	struct disk *d, struct node *n, const struct spot *s, int how);
void disk_stat(const struct node *n, struct stat *ret);
void disk_chown(struct node *n, uid_t uid, gid_t gid);

/* The disk that this descriptor is for; NULL: the host. */
static inline struct disk *disk_of(int fd)
{
	return fd >= DISK_FD ? disk_current : NULL;
}

/* The one who calls is dead: EIO, and nothing is changed. */
static inline bool disk_gone(const struct disk *d)
{
	return d->n_dead > 0 && disk_is_dead(d, d->pid);
}

/* name, type of the result, parameters */
#define DISK_WRAPS(W)                                               \
	W(close, int, (int))                                        \
	W(read, ssize_t, (int, void *, size_t))                     \
	W(pread, ssize_t, (int, void *, size_t, off_t))             \
	W(write, ssize_t, (int, const void *, size_t))              \
	W(writev, ssize_t, (int, const struct iovec *, int))        \
	W(lseek, off_t, (int, off_t, int))                          \
	W(ftruncate, int, (int, off_t))                             \
	W(fsync, int, (int))                                        \
	W(fdatasync, int, (int))                                    \
	W(fstat, int, (int, struct stat *))                         \
	W(fchmod, int, (int, mode_t))                               \
	W(fchown, int, (int, uid_t, gid_t))                         \
	W(flock, int, (int, int))                                   \
	W(fcntl, int, (int, int, ...))                              \
	W(fdopendir, DIR *, (int))                                  \
	W(readdir, struct dirent *, (DIR *))                        \
	W(closedir, int, (DIR *))                                   \
	W(geteuid, uid_t, (void))                                   \
	W(open, int, (const char *, int, ...))                      \
	W(openat, int, (int, const char *, int, ...))               \
	W(stat, int, (const char *, struct stat *))                 \
	W(lstat, int, (const char *, struct stat *))                \
	W(fstatat, int, (int, const char *, struct stat *, int))    \
	W(access, int, (const char *, int))                         \
	W(faccessat, int, (int, const char *, int, int))            \
	W(fchmodat, int, (int, const char *, mode_t, int))          \
	W(fchownat, int, (int, const char *, uid_t, gid_t, int))    \
	W(readlink, ssize_t, (const char *, char *, size_t))        \
	W(readlinkat, ssize_t, (int, const char *, char *, size_t)) \
	W(realpath, char *, (const char *, char *))                 \
	W(mkdirat, int, (int, const char *, mode_t))                \
	W(mkdtemp, char *, (char *))                                \
	W(symlinkat, int, (const char *, int, const char *))        \
	W(linkat, int, (int, const char *, int, const char *, int)) \
	W(unlinkat, int, (int, const char *, int))                  \
	W(renameat, int, (int, const char *, int, const char *))    \
	W(renameat2, int, (int, const char *, int, const char *, unsigned))

#define DISK_DECLARE(name, type, args) \
	type __wrap_##name args;       \
	type __real_##name args;
DISK_WRAPS(DISK_DECLARE)
#undef DISK_DECLARE

/* What fortified objects call instead. */
int __wrap___open_2(const char *, int);
int __wrap___openat_2(int, const char *, int);
ssize_t __wrap___read_chk(int, void *, size_t, size_t);
ssize_t __wrap___pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __wrap___readlink_chk(const char *, char *, size_t, size_t);
ssize_t __wrap___readlinkat_chk(int, const char *, char *, size_t, size_t);
char *__wrap___realpath_chk(const char *, char *, size_t);

#endif
