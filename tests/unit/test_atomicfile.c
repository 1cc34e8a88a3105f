/* Files are the old or the new one, whole: full disk, file size limit,
 * read-only file system and kill -9 included. */
#include "hook/base/atomicfile.h"

#include "hook/base/auto.h"

#include "slow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[32];
static int at = -1;
static struct err e;

/* In forked children cmocka's asserts would jump into the parent's tests. */
#define CHECK(x)                                                            \
	do {                                                                \
		if (!(x)) {                                                 \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #x, \
				e.text);                                    \
			_exit(1);                                           \
		}                                                           \
	} while (0)

static int remove_it(
	const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/danelaw-file-XXXXXX", 25);
	if (mkdtemp(folder) == NULL)
		return -1;
	at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return at >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(at);
	return nftw(folder, remove_it, 8, FTW_DEPTH | FTW_PHYS);
}

static bool holds(int dirfd, const char *name, const char *want)
{
	auto_buf b = BUF_INIT(1000000);

	return atomicfile_read(dirfd, name, &b, &e) == ST_OK &&
	       strcmp(buf_str(&b), want) == 0;
}

/* How many entries a folder has: temps must not stay. */
static int entries(int dirfd)
{
	int n = 0, fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n - 2;
}

static mode_t mode_of(int dirfd, const char *name)
{
	struct stat sb;

	assert_int_equal(fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW), 0);
	return sb.st_mode & 07777;
}

static void test_write(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	struct stat sb;

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		mode_t old = umask(masks[i]);

		assert_int_equal(
			atomicfile_write(at, "f", 0640, "abc", 3, &e), ST_OK);
		(void)umask(old);
		assert_int_equal(mode_of(at, "f"), 0640);
		assert_true(holds(at, "f", "abc"));
	}
	assert_int_equal(atomicfile_write(at, "f", 0600, "", 0, &e), ST_OK);
	assert_true(holds(at, "f", ""));
	if (geteuid() == 0) {
		assert_int_equal(atomicfile_write_owned(
					 at, "f", 0440, 12, 3456, "x", 1, &e),
			ST_OK);
		assert_int_equal(fstatat(at, "f", &sb, 0), 0);
		assert_int_equal(sb.st_uid, 12);
		assert_int_equal(sb.st_gid, 3456);
		assert_int_equal(sb.st_mode & 07777, 0440);
	}
	assert_int_equal(entries(at), 1);
}

/* A link in the place of the file is replaced, never followed. */
static void test_write_over_link(void **state)
{
	(void)state;
	assert_int_equal(
		atomicfile_write(at, "target", 0600, "t", 1, &e), ST_OK);
	assert_int_equal(symlinkat("target", at, "f"), 0);
	assert_int_equal(atomicfile_write(at, "f", 0600, "new", 3, &e), ST_OK);
	assert_true(holds(at, "target", "t"));
	assert_true(holds(at, "f", "new"));
}

static void test_create(void **state)
{
	(void)state;
	assert_int_equal(atomicfile_create(at, "k", 0600, "one", 3, &e), ST_OK);
	assert_int_equal(
		atomicfile_create(at, "k", 0600, "two", 3, &e), ST_REFUSED);
	assert_non_null(strstr(e.text, folder));
	assert_true(holds(at, "k", "one"));
	assert_int_equal(mode_of(at, "k"), 0600);
	/* a dangling link is a taken name as well */
	assert_int_equal(symlinkat("nowhere", at, "l"), 0);
	assert_int_equal(
		atomicfile_create(at, "l", 0600, "x", 1, &e), ST_REFUSED);
	assert_int_equal(entries(at), 2);
}

static void test_components(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/a", "a/" };
	auto_buf b = BUF_INIT(10);
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			atomicfile_write(at, bad[i], 0600, "x", 1, &e), ST_BUG);
		assert_int_equal(
			atomicfile_create(at, bad[i], 0600, "x", 1, &e),
			ST_BUG);
		assert_int_equal(
			atomicfile_append(at, bad[i], 0600, "x\n", 2, &e),
			ST_BUG);
		assert_int_equal(
			atomicfile_symlink(at, bad[i], "x", &e), ST_BUG);
		assert_int_equal(
			atomicfile_rename(at, bad[i], "x", &e), ST_BUG);
		assert_int_equal(
			atomicfile_rename(at, "x", bad[i], &e), ST_BUG);
		assert_int_equal(atomicfile_read(at, bad[i], &b, &e), ST_BUG);
		assert_int_equal(
			atomicfile_dir(at, bad[i], 0700, &fd, &e), ST_BUG);
	}
	assert_int_equal(entries(at), 0);
}

static void test_symlink(void **state)
{
	char text[32];
	ssize_t n;

	(void)state;
	assert_int_equal(atomicfile_symlink(at, "live", "../a/1", &e), ST_OK);
	assert_int_equal(atomicfile_symlink(at, "live", "../a/2", &e), ST_OK);
	n = readlinkat(at, "live", text, sizeof(text) - 1);
	assert_int_equal(n, 6);
	text[6] = '\0';
	assert_string_equal(text, "../a/2");
	assert_int_equal(mkdirat(at, "d", 0700), 0);
	assert_int_equal(atomicfile_symlink(at, "d", "x", &e), ST_IO);
	assert_int_equal(entries(at), 2);
}

static void test_rename(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(at, "a", 0700), 0);
	assert_int_equal(mkdirat(at, "b", 0700), 0);
	/* rename(2) alone would replace the empty folder b */
	assert_int_equal(atomicfile_rename(at, "a", "b", &e), ST_REFUSED);
	assert_int_equal(atomicfile_rename(at, "a", "c", &e), ST_OK);
	assert_int_equal(atomicfile_rename(at, "a", "c", &e), ST_NOTFOUND);
	assert_int_equal(entries(at), 2);
}

static void test_append(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(atomicfile_append(at, "h", 0640, "1\n", 2, &e), ST_OK);
	assert_int_equal(mode_of(at, "h"), 0640);
	assert_int_equal(atomicfile_append(at, "h", 0640, "2\n", 2, &e), ST_OK);
	assert_true(holds(at, "h", "1\n2\n"));
	/* a power cut left half a line: the next one starts on its own */
	fd = openat(at, "h", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"at", 4), 4);
	(void)close(fd);
	assert_int_equal(atomicfile_append(at, "h", 0640, "3\n", 2, &e), ST_OK);
	assert_true(holds(at, "h", "1\n2\n{\"at\n3\n"));
	assert_int_equal(atomicfile_append(at, "h", 0640, "x", 1, &e), ST_BUG);
	assert_int_equal(atomicfile_append(at, "h", 0640, "", 0, &e), ST_BUG);
	assert_int_equal(symlinkat("h", at, "l"), 0);
	assert_int_equal(atomicfile_append(at, "l", 0640, "4\n", 2, &e), ST_IO);
	assert_int_equal(mkfifoat(at, "p", 0600), 0);
	assert_int_equal(
		atomicfile_append(at, "p", 0640, "4\n", 2, &e), ST_REFUSED);
}

static void test_read(void **state)
{
	auto_buf b = BUF_INIT(10);

	(void)state;
	assert_int_equal(
		atomicfile_write(at, "f", 0600, "0123456789", 10, &e), ST_OK);
	assert_int_equal(atomicfile_read(at, "f", &b, &e), ST_OK);
	assert_string_equal(buf_str(&b), "0123456789");
	buf_clear(&b);
	assert_int_equal(buf_append(&b, "x", 1, &e), ST_OK);
	assert_int_equal(atomicfile_read(at, "f", &b, &e), ST_REFUSED);
	assert_non_null(strstr(e.text, folder));
	assert_string_equal(buf_str(&b), "x"); /* as before */
	assert_int_equal(atomicfile_read(at, "none", &b, &e), ST_NOTFOUND);
	buf_clear(&b); /* room enough for what the link leads to */
	assert_int_equal(symlinkat("f", at, "l"), 0);
	assert_int_equal(atomicfile_read(at, "l", &b, &e), ST_REFUSED);
	assert_non_null(strstr(e.text, "symbolic link"));
	assert_int_equal(mkfifoat(at, "p", 0600), 0);
	assert_int_equal(atomicfile_read(at, "p", &b, &e), ST_REFUSED);
	assert_int_equal(mkdirat(at, "d", 0700), 0);
	assert_int_equal(atomicfile_read(at, "d", &b, &e), ST_REFUSED);
}

static void test_dir(void **state)
{
	mode_t old = umask(0777);
	int fd = -1;

	(void)state;
	assert_int_equal(atomicfile_dir(at, "d", 0711, &fd, &e), ST_OK);
	(void)umask(old);
	assert_int_equal(mode_of(at, "d"), 0711);
	assert_int_equal(atomicfile_write(fd, "f", 0600, "x", 1, &e), ST_OK);
	(void)close(fd);
	/* what is there keeps its mode: the operator may have tightened it */
	assert_int_equal(fchmodat(at, "d", 0700, 0), 0);
	assert_int_equal(atomicfile_dir(at, "d", 0755, &fd, &e), ST_OK);
	(void)close(fd);
	assert_int_equal(mode_of(at, "d"), 0700);
	assert_int_equal(symlinkat("d", at, "l"), 0);
	assert_int_equal(atomicfile_dir(at, "l", 0755, &fd, &e), ST_REFUSED);
	assert_int_equal(atomicfile_write(at, "f", 0600, "x", 1, &e), ST_OK);
	assert_int_equal(atomicfile_dir(at, "f", 0755, &fd, &e), ST_REFUSED);
	assert_int_equal(entries(at), 3);
}

/* ---- failing disks ---- */

static void run_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_error("[  SKIPPED ] cannot mount a tmpfs here\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Every kind of write; each must fail with ST_IO and name the place. */
static void all_fail(int dirfd, const char *advice)
{
	static char big[100000];
	int fd = -1;

	memset(big, 'z', sizeof(big));
	big[sizeof(big) - 1] = '\n';
	CHECK(atomicfile_write(dirfd, "old", 0600, big, sizeof(big), &e) ==
		ST_IO);
	CHECK(strstr(e.text, "/old") != NULL && strstr(e.text, folder));
	CHECK(strstr(e.text, advice) != NULL);
	CHECK(atomicfile_create(dirfd, "new", 0600, big, sizeof(big), &e) ==
		ST_IO);
	CHECK(strstr(e.text, "/new") != NULL);
	CHECK(atomicfile_append(dirfd, "log", 0600, big, sizeof(big), &e) ==
		ST_IO);
	CHECK(strstr(e.text, "/log") != NULL);
	CHECK(strstr(e.text, advice) != NULL);
	CHECK(holds(dirfd, "old", "old"));
	CHECK(holds(dirfd, "log", "line\n"));
	CHECK(atomicfile_read(dirfd, "new", &(struct buf)BUF_INIT(10), &e) ==
		ST_NOTFOUND);
	if (strstr(advice, "writable") == NULL)
		return;
	CHECK(atomicfile_symlink(dirfd, "l", "x", &e) == ST_IO);
	CHECK(strstr(e.text, advice) != NULL);
	CHECK(atomicfile_rename(dirfd, "old", "older", &e) == ST_IO);
	CHECK(strstr(e.text, advice) != NULL);
	CHECK(atomicfile_dir(dirfd, "d", 0700, &fd, &e) == ST_IO);
	CHECK(strstr(e.text, advice) != NULL);
}

static void old_files(int dirfd)
{
	CHECK(atomicfile_write(dirfd, "old", 0600, "old", 3, &e) == ST_OK);
	CHECK(atomicfile_append(dirfd, "log", 0600, "line\n", 5, &e) == ST_OK);
}

static void file_size_limit(void)
{
	const struct rlimit lim = { 50000, 50000 };

	old_files(at);
	(void)signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &lim) == 0);
	all_fail(at, "ulimit -f");
	CHECK(entries(at) == 2);
}

static void test_file_size_limit(void **state)
{
	(void)state;
	run_child(file_size_limit);
}

static int mount_small(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", "", MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tmpfs", folder, "tmpfs", 0, "size=64k,mode=0755") != 0)
		_exit(77);
	fd = open(folder, O_RDONLY | O_DIRECTORY);
	CHECK(fd >= 0);
	return fd;
}

static void disk_full(void)
{
	int fd = mount_small();

	old_files(fd);
	all_fail(fd, "free space");
	CHECK(entries(fd) == 2);
	CHECK(atomicfile_write(fd, "old", 0600, "new", 3, &e) == ST_OK);
	CHECK(holds(fd, "old", "new"));
}

static void test_disk_full(void **state)
{
	(void)state;
	run_child(disk_full);
}

static void read_only(void)
{
	int fd = mount_small();

	old_files(fd);
	CHECK(mount(NULL, folder, "", MS_REMOUNT | MS_RDONLY, NULL) == 0);
	all_fail(fd, "writable");
	CHECK(entries(fd) == 2);
}

static void test_read_only(void **state)
{
	(void)state;
	run_child(read_only);
}

/* ---- kill -9 ---- */

__attribute__((noreturn)) static void write_for_ever(void)
{
	static char text[30000];
	char line[300];

	for (unsigned i = 0;; i++) {
		char c = (char)('a' + i % 26);

		memset(text, c, sizeof(text));
		memset(line, c, sizeof(line));
		line[sizeof(line) - 1] = '\n';
		CHECK(atomicfile_write(at, "f", 0600, text, sizeof(text), &e) ==
			ST_OK);
		CHECK(atomicfile_append(
			      at, "h", 0600, line, sizeof(line), &e) == ST_OK);
	}
}

/* True when text is n times the same character. */
static bool uniform(const char *text, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (text[i] != text[0])
			return false;
	return true;
}

/* The file is whole. A kill may cut the line that was being appended (where it
 * crosses a page), but no line may be lost, mixed or run into the next. */
static void check_whole(size_t kills)
{
	auto_buf f = BUF_INIT(30000), h = BUF_INIT(100000000);
	const char *p, *end, *nl;
	size_t torn = 0;
	struct stat sb;

	/* the first rounds may die before anything was written */
	if (fstatat(at, "h", &sb, 0) != 0)
		return;
	assert_int_equal(atomicfile_read(at, "f", &f, &e), ST_OK);
	assert_int_equal(f.len, 30000);
	assert_true(uniform(f.data, f.len));
	assert_int_equal(atomicfile_read(at, "h", &h, &e), ST_OK);
	end = h.data + h.len;
	for (p = h.data; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		assert_true(nl - p <= 299);
		assert_true(uniform(p, (size_t)(nl - p)));
		torn += nl - p < 299;
	}
	assert_true(torn <= kills);
}

static void test_killed(void **state)
{
	unsigned seed = (unsigned)getpid();

	(void)state;
	for (size_t round = 0; round < 60; round++) {
		struct timespec nap = { .tv_sec = 0 };
		int status;
		pid_t pid = fork();

		if (pid == 0)
			write_for_ever();
		nap.tv_nsec = rand_r(&seed) % (int)slow(10000000);
		(void)nanosleep(&nap, NULL);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		check_whole(round + 1);
	}
	/* otherwise nothing was tried */
	assert_int_equal(faccessat(at, "h", F_OK, 0), 0);
}

#define WITH_FOLDER(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(test_write),
		WITH_FOLDER(test_write_over_link),
		WITH_FOLDER(test_create),
		WITH_FOLDER(test_components),
		WITH_FOLDER(test_symlink),
		WITH_FOLDER(test_rename),
		WITH_FOLDER(test_append),
		WITH_FOLDER(test_read),
		WITH_FOLDER(test_dir),
		WITH_FOLDER(test_file_size_limit),
		WITH_FOLDER(test_disk_full),
		WITH_FOLDER(test_read_only),
		WITH_FOLDER(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
