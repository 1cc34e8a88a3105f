/*
 * The only place that renames. A file is either the old or the new one, whole,
 * whatever happens: temp in the same folder (O_EXCL|O_NOFOLLOW|O_CLOEXEC, mode
 * set at open whatever the umask), write, fsync, rename, fsync of the folder.
 * On any failure the temp is removed and the old file is untouched.
 */
#ifndef DANELAW_BASE_ATOMICFILE_H
#define DANELAW_BASE_ATOMICFILE_H

#include "hook/base/buf.h"
#include "hook/base/err.h"

#include <sys/types.h>

/* All take a folder descriptor and one path component (no '/'; ST_BUG). */
enum status atomicfile_write(int dirfd, const char *name, mode_t mode,
	const void *data, size_t len, struct err *err);
/* As atomicfile_write, and sets owner and group before the rename; (uid_t)-1
 * and (gid_t)-1 leave them. */
enum status atomicfile_write_owned(int dirfd, const char *name, mode_t mode,
	uid_t uid, gid_t gid, const void *data, size_t len, struct err *err);
/* Fails with ST_REFUSED when name exists already; for private keys. The file
 * appears whole or not at all. */
enum status atomicfile_create(int dirfd, const char *name, mode_t mode,
	const void *data, size_t len, struct err *err);
/* Replaces (or makes) the symlink name -> target by rename. */
enum status atomicfile_symlink(
	int dirfd, const char *name, const char *target, struct err *err);
/* Renames a prepared folder or file inside dirfd; the target must not exist.
 * fsyncs dirfd. */
enum status atomicfile_rename(
	int dirfd, const char *from, const char *to, struct err *err);
/* One O_APPEND write of a whole line, then fdatasync. Creates with mode. A kill
 * or a power cut may leave the last line torn (the kernel may stop a write at
 * the end of a page); the next append ends a torn line before it adds its own,
 * so readers lose that one line only. */
enum status atomicfile_append(int dirfd, const char *name, mode_t mode,
	const void *data, size_t len, struct err *err);
/* Reads a whole regular file into ret (its max is the limit). ST_NOTFOUND when
 * absent. */
enum status atomicfile_read(
	int dirfd, const char *name, struct buf *ret, struct err *err);
/* mkdir -p of one component with mode whatever the umask; opens it (O_DIRECTORY
 * | O_NOFOLLOW). ret_fd owned. */
enum status atomicfile_dir(
	int dirfd, const char *name, mode_t mode, int *ret_fd, struct err *err);

#endif
