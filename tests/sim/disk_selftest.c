/*
 * Is the disk what disk.h says? Runs through the wrapped calls, as the program
 * does. What is random is tried often enough to see each survivor that matters,
 * and none that must not be.
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CUTS 400

static unsigned failed;
static uint64_t seed;

#define CHECK(what)                                                            \
	do {                                                                   \
		if (!(what)) {                                                 \
			(void)fprintf(stderr, "disk: line %d: %s\n", __LINE__, \
				#what);                                        \
			failed++;                                              \
		}                                                              \
	} while (0)
#define FAILS(call, e) CHECK((call) < 0 && errno == (e))

static uint64_t rnd(void *arg)
{
	uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

	(void)arg;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int make(const char *path, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CHECK(fd >= DISK_FD);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

static int folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= DISK_FD);
	return fd;
}

static void sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fsync(fd) == 0);
	CHECK(close(fd) == 0);
}

static bool holds(struct disk *d, const char *path, const char *text)
{
	size_t len;
	const char *have = disk_file(d, path, &len);

	return have != NULL && len == strlen(text) &&
	       memcmp(have, text, len) == 0;
}

/* ---- calls ---- */

static void test_files(struct disk *d)
{
	char b[16];
	struct stat sb;
	struct iovec v[2] = { { .iov_base = (void *)(uintptr_t) "ab",
				      .iov_len = 2 },
		{ .iov_base = (void *)(uintptr_t) "cd", .iov_len = 2 } };
	int fd = make("/sim/f", "hello");

	FAILS(read(999999, b, 1), EBADF);
	CHECK(read(fd, b, sizeof(b)) == 0);
	CHECK(pread(fd, b, sizeof(b), 1) == 4 && memcmp(b, "ello", 4) == 0);
	CHECK(lseek(fd, -2, SEEK_END) == 3);
	CHECK(read(fd, b, sizeof(b)) == 2 && memcmp(b, "lo", 2) == 0);
	CHECK(ftruncate(fd, 2) == 0 && holds(d, "/sim/f", "he"));
	CHECK(lseek(fd, 0, SEEK_SET) == 0 && writev(fd, v, 2) == 4);
	CHECK(holds(d, "/sim/f", "abcd"));
	disk_now(d, 1500);
	CHECK(ftruncate(fd, 0) == 0 && holds(d, "/sim/f", ""));
	CHECK(fchmod(fd, 0640) == 0 && fchown(fd, 5, (gid_t)-1) == 0);
	CHECK(fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode));
	CHECK((sb.st_mode & 07777) == 0640 && sb.st_uid == 5);
	CHECK(sb.st_gid == 0 && sb.st_nlink == 1 && sb.st_mtim.tv_sec == 1);
	CHECK(unlinkat(AT_FDCWD, "/sim/f", 0) == 0);
	CHECK(fstat(fd, &sb) == 0 && sb.st_nlink == 0);
	CHECK(write(fd, "x", 1) == 1);
	CHECK(close(fd) == 0);
	FAILS(close(fd), EBADF);
	fd = open("/sim/f", O_WRONLY | O_CREAT | O_APPEND, 0666);
	CHECK(write(fd, "a", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0);
	CHECK(write(fd, "b", 1) == 1 && holds(d, "/sim/f", "ab"));
	FAILS(read(fd, b, 1), EBADF);
	CHECK(disk_mode(d, "/sim/f") == 0644); /* umask */
	CHECK(close(fd) == 0);
	fd = open("/sim/f", O_RDONLY);
	FAILS(write(fd, "x", 1), EBADF);
	FAILS(ftruncate(fd, 0), EINVAL);
	CHECK(close(fd) == 0 && disk_open_count(d, 0) == 0);
}

static void test_names(struct disk *d)
{
	char b[16];
	int s = folder("/sim"), fd;

	FAILS(open("/sim/no/x", O_RDONLY), ENOENT);
	FAILS(open("/sim/f/x", O_RDONLY), ENOTDIR);
	FAILS(open("/sim", O_RDWR), EISDIR);
	FAILS(openat(s, "f", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(openat(s, "f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK(symlinkat("f", s, "l") == 0);
	FAILS(openat(s, "l", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK((fd = openat(s, "l", O_RDONLY)) >= DISK_FD && close(fd) == 0);
	CHECK(readlinkat(s, "l", b, 4) == 1 && b[0] == 'f');
	FAILS(readlinkat(s, "f", b, 4), EINVAL);
	CHECK(symlinkat("m", s, "m") == 0);
	FAILS(openat(s, "m", O_RDONLY), ELOOP);
	FAILS(symlinkat("x", s, "l"), EEXIST);
	CHECK(mkdirat(s, "d", 0700) == 0 && mkdirat(s, "d/e", 0700) == 0);
	FAILS(unlinkat(s, "d", 0), EISDIR);
	FAILS(unlinkat(s, "f", AT_REMOVEDIR), ENOTDIR);
	FAILS(unlinkat(s, "d", AT_REMOVEDIR), ENOTEMPTY);
	FAILS(renameat2(s, "f", s, "l", RENAME_NOREPLACE), EEXIST);
	FAILS(renameat(s, "none", s, "l"), ENOENT);
	FAILS(renameat(s, "f", s, "d"), EISDIR);
	FAILS(renameat(s, "d", s, "f"), ENOTDIR);
	FAILS(renameat(s, "d", s, "d/e/x"), EINVAL);
	FAILS(linkat(s, "d", s, "x", 0), EPERM);
	CHECK(linkat(s, "f", s, "d/f", 0) == 0);
	CHECK(renameat(s, "f", s, "d/f") == 0); /* the same file: nothing */
	CHECK(holds(d, "/sim/f", "ab") && holds(d, "/sim/d/e/../f", "ab"));
	CHECK(renameat(s, "d/e", s, "e") == 0 && disk_is_dir(d, "/sim/e"));
	CHECK(openat(s, "e/../none", O_RDONLY) < 0 && errno == ENOENT);
	CHECK(unlinkat(s, "d/f", 0) == 0 && holds(d, "/sim/f", "ab"));
	fd = folder("/sim/d");
	CHECK(unlinkat(s, "d", AT_REMOVEDIR) == 0);
	FAILS(openat(fd, "x", O_RDWR | O_CREAT, 0600), ENOENT);
	CHECK(close(fd) == 0 && close(s) == 0);
	FAILS(openat(s, "f", O_RDONLY), EBADF);
}

static void test_rest(struct disk *d)
{
	char path[] = "/sim/scratch-XXXXXX", b[PATH_MAX], own[40];
	DIR *dir = fdopendir(folder("/sim"));
	const struct dirent *e;
	unsigned n = 0;
	int fd;

	while ((e = readdir(dir)) != NULL) {
		n++;
		if (e->d_name[0] != '.')
			CHECK(unlinkat(AT_FDCWD, "/sim/f", 0) == 0 ||
				errno == ENOENT);
	}
	CHECK(n == 6 && closedir(dir) == 0);
	CHECK(mkdtemp(path) == path && disk_is_dir(d, path));
	CHECK(disk_mode(d, path) == 0700);
	fd = folder(path);
	(void)snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	CHECK(readlink(own, b, sizeof(b)) == (ssize_t)strlen(path) &&
		memcmp(b, path, strlen(path)) == 0);
	CHECK(close(fd) == 0);
	FAILS(open("/proc/sys/kernel/random/boot_id", O_RDONLY), ENOENT);
	disk_set_boot_id(d, "abc");
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
	CHECK(fd >= DISK_FD && read(fd, b, sizeof(b)) == 4 && b[3] == '\n');
	CHECK(close(fd) == 0);
	fd = open("/dev/null", O_RDONLY);
	CHECK(fd >= 0 && fd < DISK_FD && close(fd) == 0);
	disk_put(d, "/sim/etc/x/key", "k", 1, 0600);
	disk_put_link(d, "/sim/etc/y", "x/key");
	CHECK(realpath("/sim/etc/y", b) == b);
	CHECK(strcmp(b, "/sim/etc/x/key") == 0);
	CHECK(holds(d, "/sim/etc/y", "k") && disk_is_durable(d, "/sim/etc/y"));
	disk_remove(d, "/sim/etc");
	CHECK(!disk_is_dir(d, "/sim/etc"));
	CHECK(disk_open_count(d, 0) == 0);
}

static void test_locks(struct disk *d)
{
	char lock[DISK_PATH_MAX];
	int one = make("/sim/lock", ""), two;

	CHECK(flock(one, LOCK_EX | LOCK_NB) == 0);
	CHECK(disk_holds_lock(d, 0, "/sim/lock"));
	disk_process(d, 1);
	FAILS(close(one), EBADF);
	two = open("/sim/lock", O_RDWR);
	FAILS(flock(two, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	disk_kill(d, 0);
	CHECK(flock(two, LOCK_EX | LOCK_NB) == 0);
	CHECK(!disk_holds_lock(d, 0, "/sim/lock"));
	CHECK(disk_holds_lock(d, 1, "/sim/lock"));
	CHECK(close(two) == 0 && !disk_holds_lock(d, 1, "/sim/lock"));
	disk_process(d, 0);
	CHECK(disk_lock_of("/sim/s/lineages/mx/state.json", lock));
	CHECK(strcmp(lock, "/sim/s/lineages/mx/lock") == 0);
	CHECK(disk_lock_of("/sim/s/live/mx", lock));
	CHECK(strcmp(lock, "/sim/s/lineages/mx/lock") == 0);
	CHECK(!disk_lock_of("/sim/s/lineages/mx/news", lock));
	CHECK(!disk_lock_of("/sim/s/lineages/mx/.tmp-danelaw-1", lock));
	CHECK(!disk_lock_of("/sim/s/live/.tmp-danelaw-1", lock));
	CHECK(!disk_lock_of("/sim/s/lineages/mx", lock));
}

static void die_at(void *arg, const char *call, const char *path)
{
	CHECK(strcmp(call, "renameat") == 0);
	CHECK(strcmp(path, "/sim/z/b") == 0);
	disk_die(arg, 0);
}

static void test_death(struct disk *d)
{
	struct disk *was = disk_clone(d);
	int dir;

	disk_put(d, "/sim/z/a", "a", 1, 0600);
	dir = folder("/sim/z");
	disk_hook(d, die_at, d);
	FAILS(renameat(dir, "a", dir, "b"), EIO);
	FAILS(unlinkat(dir, "a", 0), EIO);
	FAILS(openat(dir, "a", O_RDONLY), EIO);
	FAILS(fsync(dir), EIO);
	CHECK(close(dir) == 0 && disk_open_count(d, 0) == 1);
	CHECK(holds(d, "/sim/z/a", "a") && disk_mode(d, "/sim/z/b") < 0);
	disk_kill(d, 0);
	disk_hook(d, NULL, NULL);
	dir = folder("/sim/z");
	CHECK(dir == DISK_FD && disk_open_count(d, 0) == 1);
	disk_copy(d, was); /* a snapshot is put back */
	CHECK(!disk_is_dir(d, "/sim/z") && disk_open_count(d, 0) == 0);
	disk_free(was);
}

static void test_faults(struct disk *d)
{
	int fd = make("/sim/w", "");
	char b[8];
	bool eintr = false, cut = false;

	disk_space(d, 6);
	CHECK(write(fd, "12345678", 8) == 6);
	FAILS(write(fd, "78", 2), ENOSPC);
	FAILS(mkdirat(AT_FDCWD, "/sim/n", 0700), ENOSPC);
	FAILS(renameat(AT_FDCWD, "/sim/w", AT_FDCWD, "/sim/n"), ENOSPC);
	CHECK(unlinkat(AT_FDCWD, "/sim/w", 0) == 0);
	disk_space(d, -1);
	disk_fail(d, DISK_WRITE, EIO, 2, 1);
	CHECK(write(fd, "1", 1) == 1);
	FAILS(write(fd, "1", 1), EIO);
	CHECK(write(fd, "1", 1) == 1);
	disk_flaky(d, 300, 300, rnd, NULL);
	for (unsigned i = 0; i < 50; i++) {
		ssize_t n = write(fd, "1234", 4);

		eintr = eintr || (n < 0 && errno == EINTR);
		cut = cut || (n > 0 && n < 4);
		n = pread(fd, b, 4, 0);
		CHECK(n > 0 || (n < 0 && errno == EINTR));
	}
	disk_flaky(d, 0, 0, NULL, NULL);
	CHECK(eintr && cut && close(fd) == 0);
	disk_old(d, true, true);
	fd = make("/sim/w", "");
	FAILS(renameat2(
		      AT_FDCWD, "/sim/w", AT_FDCWD, "/sim/v", RENAME_NOREPLACE),
		EINVAL);
	FAILS(linkat(AT_FDCWD, "/sim/w", AT_FDCWD, "/sim/v", 0), EPERM);
	disk_old(d, false, false);
	CHECK(close(fd) == 0 && unlinkat(AT_FDCWD, "/sim/w", 0) == 0);
}

/* ---- power cuts ---- */

/* Each case prepares an empty machine and says which survivor it sees (a bit);
 * 0 is a survivor that must not be. */
struct cut_case {
	const char *name;
	void (*prepare)(struct disk *d);
	unsigned (*see)(struct disk *d);
	unsigned all, ordered; /* what must be seen, at last */
};

static void write_new(struct disk *d)
{
	(void)d;
	CHECK(close(make("/sim/a", "new")) == 0);
}

static unsigned see_new(struct disk *d)
{
	size_t len;
	const char *t = disk_file(d, "/sim/a", &len);

	if (t == NULL)
		return 1;
	if (len > 3)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (t[i] != "new"[i] && t[i] != '\0')
			return 0;
	if (len == 3)
		return t[2] == 'w' ? 2 : 4;
	return len == 0 ? 8 : 16;
}

/* What atomicfile does. */
static void replace(struct disk *d)
{
	int fd;

	disk_put(d, "/sim/a", "old", 3, 0600);
	fd = make("/sim/t", "new");
	CHECK(fsync(fd) == 0 && close(fd) == 0);
	CHECK(renameat(AT_FDCWD, "/sim/t", AT_FDCWD, "/sim/a") == 0);
}

static void replace_careless(struct disk *d)
{
	disk_put(d, "/sim/a", "old", 3, 0600);
	CHECK(close(make("/sim/t", "new")) == 0);
	CHECK(renameat(AT_FDCWD, "/sim/t", AT_FDCWD, "/sim/a") == 0);
	sync_path("/sim");
}

static void replace_whole(struct disk *d)
{
	CHECK(!disk_is_durable(d, "/sim/a") || !holds(d, "/sim/a", "new"));
	replace(d);
	CHECK(!disk_is_durable(d, "/sim/a"));
	sync_path("/sim");
	CHECK(disk_is_durable(d, "/sim/a") && disk_is_durable(d, "/sim/t"));
}

static unsigned see_replaced(struct disk *d)
{
	const bool temp = disk_mode(d, "/sim/t") >= 0;

	if (temp && !holds(d, "/sim/t", "new"))
		return 0;
	if (holds(d, "/sim/a", "old"))
		return temp ? 1 : 2;
	return !temp && holds(d, "/sim/a", "new") ? 4 : 0;
}

static unsigned see_careless(struct disk *d)
{
	size_t len;

	if (disk_file(d, "/sim/a", &len) == NULL || len > 3)
		return 0;
	return holds(d, "/sim/a", "new") ? 1 : len == 0 ? 2 : 4;
}

static void append(struct disk *d)
{
	int fd;

	disk_put(d, "/sim/h", "one\n", 4, 0600);
	fd = open("/sim/h", O_WRONLY | O_APPEND);
	CHECK(write(fd, "two\n", 4) == 4 && close(fd) == 0);
}

static unsigned see_appended(struct disk *d)
{
	size_t len;
	const char *t = disk_file(d, "/sim/h", &len);

	if (t == NULL || len < 4 || len > 8 || memcmp(t, "one\n", 4) != 0)
		return 0;
	for (size_t i = 4; i < len; i++)
		if (t[i] != "one\ntwo\n"[i] && t[i] != '\0')
			return 0;
	return len == 4 ? 1 : len < 8 ? 2 : t[7] == '\n' ? 4 : 8;
}

static void overwrite(struct disk *d)
{
	int fd;

	disk_put(d, "/sim/o", "12345678", 8, 0600);
	fd = open("/sim/o", O_RDWR | O_TRUNC);
	CHECK(write(fd, "abcd", 4) == 4 && close(fd) == 0);
}

static unsigned see_overwritten(struct disk *d)
{
	size_t len;
	const char *t = disk_file(d, "/sim/o", &len);

	if (t == NULL || len < 4 || len > 8)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (t[i] != "12345678"[i] && (i >= 4 || t[i] != "abcd"[i]))
			return 0;
	return holds(d, "/sim/o", "12345678") ? 1
	       : holds(d, "/sim/o", "abcd")   ? 2
					      : 4;
}

/* A file in a folder that is not durable itself. */
static void below(struct disk *d)
{
	int fd;

	(void)d;
	CHECK(mkdirat(AT_FDCWD, "/sim/d", 0700) == 0);
	fd = make("/sim/d/f", "x");
	CHECK(fsync(fd) == 0 && close(fd) == 0);
	sync_path("/sim/d");
	CHECK(!disk_is_durable(d, "/sim/d/f"));
}

static unsigned see_below(struct disk *d)
{
	if (!disk_is_dir(d, "/sim/d"))
		return 1;
	return holds(d, "/sim/d/f", "x") ? 2 : 0;
}

static void unlink_two(struct disk *d)
{
	disk_put(d, "/sim/1", "", 0, 0600);
	disk_put(d, "/sim/2", "", 0, 0600);
	CHECK(unlinkat(AT_FDCWD, "/sim/1", 0) == 0);
	CHECK(unlinkat(AT_FDCWD, "/sim/2", 0) == 0);
}

static unsigned see_two(struct disk *d)
{
	return 1U << ((disk_mode(d, "/sim/1") >= 0) +
		       2 * (disk_mode(d, "/sim/2") >= 0));
}

static void move_across(struct disk *d)
{
	disk_put(d, "/sim/p/f", "x", 1, 0600);
	disk_make_dir(d, "/sim/q/s");
	CHECK(renameat(AT_FDCWD, "/sim/p/f", AT_FDCWD, "/sim/q/f") == 0);
	CHECK(renameat(AT_FDCWD, "/sim/q/s", AT_FDCWD, "/sim/p/s") == 0);
}

static unsigned see_across(struct disk *d)
{
	return 1U << ((disk_mode(d, "/sim/p/f") >= 0) +
		       2 * (disk_mode(d, "/sim/q/f") >= 0));
}

static void sync_fails(struct disk *d)
{
	int fd;

	disk_put(d, "/sim/h", "one\n", 4, 0600);
	fd = open("/sim/h", O_WRONLY | O_APPEND);
	CHECK(write(fd, "two\n", 4) == 4);
	disk_fail(d, DISK_FSYNC, EIO, 1, 1);
	FAILS(fdatasync(fd), EIO);
	CHECK(write(fd, "x\n", 2) == 2);
	CHECK(fdatasync(fd) == 0 && close(fd) == 0);
	CHECK(!disk_is_durable(d, "/sim/h"));
}

static unsigned see_dropped(struct disk *d)
{
	size_t len;
	const char *t = disk_file(d, "/sim/h", &len);

	if (t == NULL || len != 10 || memcmp(t, "one\n", 4) != 0 ||
		memcmp(t + 8, "x\n", 2) != 0)
		return 0;
	return memcmp(t + 4, "two\n", 4) == 0      ? 1
	       : memcmp(t + 4, "\0\0\0\0", 4) == 0 ? 2
						   : 0;
}

static void change_mode(struct disk *d)
{
	disk_put(d, "/sim/m", "", 0, 0600);
	CHECK(fchmodat(AT_FDCWD, "/sim/m", 0640, 0) == 0);
}

static unsigned see_mode(struct disk *d)
{
	const int mode = disk_mode(d, "/sim/m");

	return mode == 0600 ? 1 : mode == 0640 ? 2 : 0;
}

static void test_cut(const struct cut_case *c, bool ordered)
{
	const unsigned want = ordered ? c->ordered : c->all;
	unsigned seen = 0;

	for (unsigned i = 0; i < CUTS; i++) {
		struct disk *d = disk_new(), *twin;
		unsigned one;

		disk_use(d);
		disk_ordered(d, ordered);
		c->prepare(d);
		twin = disk_clone(d);
		disk_power_cut(i % 2 == 0 ? d : twin, rnd, NULL);
		one = c->see(i % 2 == 0 ? d : twin);
		if (one == 0)
			i = CUTS;
		CHECK(one != 0);
		seen |= one;
		disk_free(twin);
		disk_free(d);
	}
	if (seen != want)
		(void)fprintf(stderr, "disk: %s: seen %x, not %x\n", c->name,
			seen, want);
	failed += seen != want;
}

static void test_cuts(void)
{
	static const struct cut_case cases[] = {
		{ "new", write_new, see_new, 31, 31 },
		{ "replace", replace, see_replaced, 7, 7 },
		{ "careless", replace_careless, see_careless, 7, 7 },
		{ "whole", replace_whole, see_replaced, 4, 4 },
		{ "append", append, see_appended, 15, 15 },
		{ "overwrite", overwrite, see_overwritten, 7, 7 },
		{ "below", below, see_below, 3, 3 },
		{ "unlink", unlink_two, see_two, 15, 13 },
		{ "across", move_across, see_across, 15, 15 },
		{ "fsync fails", sync_fails, see_dropped, 3, 3 },
		{ "mode", change_mode, see_mode, 3, 3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_cut(&cases[i], false);
		test_cut(&cases[i], true);
	}
}

bool disk_selftest(void)
{
	struct disk *d = disk_new();

	failed = 0;
	seed = 1;
	for (unsigned i = 0; i < 3; i++) {
		disk_use(d);
		test_files(d);
		test_names(d);
		test_rest(d);
		test_locks(d);
		test_death(d);
		test_faults(d);
		disk_reset(d);
	}
	test_cuts();
	disk_use(NULL);
	disk_free(d);
	return failed == 0;
}
