/*
 * What is said to be done survives a power cut. The calls that change the disk
 * are watched: a file is fsynced before its name appears, the folder before
 * success is reported; what has its name is never written to again; and a disk
 * that fails half-way is reported.
 */
#include "tests/unit/store_fixture.h"

#include "hook/base/atomicfile.h"

#include <sys/syscall.h>

#define INODES_MAX 256

enum flag {
	DIRTY = 1,   /* changed since the last fsync */
	PLACED = 2,  /* has its final name */
	HAS_MODE = 4 /* and not its owner, maybe */
};

static struct {
	bool on;
	struct {
		ino_t ino;
		unsigned flags;
	} seen[INODES_MAX];
	size_t n;
	char fault[200]; /* the first breach */
	char last[80];   /* the last name that was put in place */
	bool unlinked;   /* something with a final name */
	int fail_sync;   /* the n-th fsync fails; 0: none */
	int syncs;
	bool stutter; /* writes are interrupted, and short */
} w;

static void breach(const char *what, const char *name)
{
	if (w.fault[0] == '\0')
		(void)snprintf(w.fault, sizeof(w.fault), "%s %s", what, name);
}

static bool is_temp(const char *name)
{
	return strncmp(name, ".tmp-", 5) == 0;
}

/* NULL: of no interest. */
static unsigned *flags_of(ino_t ino)
{
	for (size_t i = 0; i < w.n; i++)
		if (w.seen[i].ino == ino)
			return &w.seen[i].flags;
	if (w.n == INODES_MAX)
		return NULL;
	w.seen[w.n].ino = ino;
	w.seen[w.n].flags = 0;
	return &w.seen[w.n++].flags;
}

static unsigned *flags_of_fd(int fd)
{
	struct stat sb;

	return w.on && fstat(fd, &sb) == 0 &&
			       (S_ISREG(sb.st_mode) || S_ISDIR(sb.st_mode))
		       ? flags_of(sb.st_ino)
		       : NULL;
}

/* What it was before. */
static unsigned mark(int fd, unsigned flags)
{
	unsigned *f = flags_of_fd(fd);
	unsigned old = f != NULL ? *f : 0;

	if (f != NULL)
		*f |= flags;
	return old;
}

/* Its number may be another file's next. */
static void forget(int dirfd, const char *name)
{
	struct stat sb;
	unsigned *f;

	if (!w.on || fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0 ||
		(S_ISREG(sb.st_mode) && sb.st_nlink > 1))
		return;
	f = flags_of(sb.st_ino);
	if (f != NULL)
		*f = 0;
}

/* ---- instead of libc's ---- */

ssize_t write(int fd, const void *data, size_t len)
{
	unsigned *f = flags_of_fd(fd);
	static bool turn;

	if (f != NULL) {
		if (*f & PLACED)
			breach("written to after it was in place:", "a file");
		*f |= DIRTY;
		turn = !turn;
		if (w.stutter && turn) {
			errno = EINTR;
			return -1;
		}
		if (w.stutter && len > 3)
			len = 3;
	}
	return syscall(SYS_write, fd, data, len);
}

static int sync_fd(int fd, long nr)
{
	unsigned *f = flags_of_fd(fd);

	if (f != NULL && ++w.syncs == w.fail_sync) {
		errno = EIO;
		return -1;
	}
	if (f != NULL)
		*f &= ~(unsigned)DIRTY;
	return (int)syscall(nr, fd);
}

int fsync(int fd)
{
	return sync_fd(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return sync_fd(fd, SYS_fdatasync);
}

int fchmod(int fd, mode_t mode)
{
	(void)mark(fd, DIRTY | HAS_MODE);
	return (int)syscall(SYS_fchmod, fd, mode);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	if (mark(fd, DIRTY) & HAS_MODE)
		breach("has its mode before its owner:", "a file");
	return (int)syscall(SYS_fchown, fd, uid, gid);
}

/* A link has no content of its own. */
static void placed(int to_dir, const char *to)
{
	struct stat sb;
	unsigned *f;

	if (!w.on)
		return;
	(void)mark(to_dir, DIRTY);
	if (is_temp(to) || fstatat(to_dir, to, &sb, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	(void)snprintf(w.last, sizeof(w.last), "%s", to);
	f = flags_of(sb.st_ino);
	if (f == NULL || S_ISLNK(sb.st_mode))
		return;
	if (*f & DIRTY)
		breach("has its name before it is on disk:", to);
	*f |= PLACED;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	unsigned flags)
{
	int rc;

	if (!(flags & RENAME_NOREPLACE))
		forget(to_dir, to);
	rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
	if (rc == 0)
		placed(to_dir, to);
	return rc;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	int rc;

	forget(dirfd, name);
	rc = (int)syscall(SYS_unlinkat, dirfd, name, flags);
	if (w.on && rc == 0 && !is_temp(name)) {
		(void)mark(dirfd, DIRTY);
		w.unlinked = true;
	}
	return rc;
}

/* ---- the tests ---- */

static int begin(void **state)
{
	int rc = setup(state);

	memset(&w, 0, sizeof(w));
	w.on = rc == 0;
	return rc;
}

static int end(void **state)
{
	w.on = false;
	return teardown(state);
}

/* Success was reported: everything is on disk. */
static void check_durable(const char *last)
{
	if (w.fault[0] != '\0')
		fail_msg("%s", w.fault);
	for (size_t i = 0; i < w.n; i++)
		if (w.seen[i].flags & DIRTY)
			fail_msg("%s: something is not on disk yet", last);
	assert_string_equal(w.last, last);
	w.last[0] = '\0';
}

static int open_top_folder(void)
{
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_files(void **state)
{
	auto_fd at = open_top_folder();
	auto_fd sub = -1;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			atomicfile_write(at, "a", 0600, "abcdef", 6, &e),
			ST_OK);
		check_durable("a");
		assert_int_equal(atomicfile_write_owned(at, "b", 0640,
					 geteuid(), getegid(), "xy", 2, &e),
			ST_OK);
		check_durable("b");
	}
	assert_int_equal(atomicfile_create(at, "c", 0600, "1", 1, &e), ST_OK);
	check_durable("c");
	assert_int_equal(atomicfile_rename(at, "c", "d", &e), ST_OK);
	check_durable("d");
	assert_int_equal(atomicfile_dir(at, "sub", 0711, &sub, &e), ST_OK);
	check_durable("sub");
	w.unlinked = false;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			atomicfile_symlink(at, "l", i ? "a" : "b", &e), ST_OK);
		check_durable("l");
	}
	assert_false(w.unlinked); /* it was there at every instant */
}

static void test_lines(void **state)
{
	auto_fd at = open_top_folder();

	(void)state;
	for (int i = 0; i < 2; i++) {
		int before = w.syncs;

		assert_int_equal(
			atomicfile_append(at, "log", 0600, "line\n", 5, &e),
			ST_OK);
		/* the first one makes the file: the folder as well */
		assert_int_equal(w.syncs - before, i == 0 ? 2 : 1);
	}
}

/* Each fsync in turn fails. */
static void test_failing_sync(void **state)
{
	auto_fd at = open_top_folder();

	(void)state;
	for (int n = 1; n <= 2; n++) {
		w.syncs = 0;
		w.fail_sync = n;
		assert_int_equal(
			atomicfile_write(at, "f", 0600, "abc", 3, &e), ST_IO);
		w.syncs = 0;
		assert_int_equal(atomicfile_append(at, n == 1 ? "g" : "h", 0600,
					 "abc\n", 4, &e),
			ST_IO);
	}
	w.fail_sync = w.syncs + 1;
	assert_int_equal(atomicfile_symlink(at, "l", "f", &e), ST_IO);
}

static void test_interrupted(void **state)
{
	static const char text[] = "many words, a few at a time";
	auto_fd at = open_top_folder();
	auto_buf back = BUF_INIT(100);

	(void)state;
	w.stutter = true;
	assert_int_equal(
		atomicfile_write(at, "a", 0600, text, strlen(text), &e), ST_OK);
	assert_int_equal(atomicfile_read(at, "a", &back, &e), ST_OK);
	assert_string_equal(buf_str(&back), text);
}

static void test_state(void **state)
{
	struct lineage_state s;
	struct store_lineage *l = lock(&s);

	(void)state;
	for (int i = 0; i < 2; i++) {
		s.wake_ms = i;
		assert_int_equal(store_commit(l, &s, &e), ST_OK);
		check_durable("state.json");
	}
	store_unlock(l);
	state_release(&s);
}

/* An earlier run made the state directory and was killed before the folder
 * above was on disk: that is done now, or the lineage is not worked on. Here
 * there is no file descriptor left for it, then one. */
static void test_folder_above(void **state)
{
	struct lineage_state s;
	struct store_lineage *l = lock(&s);
	struct rlimit old, few;
	enum status st = ST_BUG;
	auto_fd at = open_top_folder();
	int failed = 0;

	(void)state;
	s.intent.kind = INTENT_TAKE;
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	for (few.rlim_cur = (rlim_t)at; st != ST_OK; few.rlim_cur++) {
		(void)mark(at, DIRTY);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		st = store_lock(store, NAME, 0, &l, &s, &e);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		failed += st != ST_OK;
	}
	assert_true(failed > 1);
	assert_int_equal(*flags_of_fd(at) & DIRTY, 0);
	store_unlock(l);
	state_release(&s);
}

static void test_generation(void **state)
{
	struct lineage_state s;
	struct store_lineage *l = lock(&s);
	struct pems p;
	struct gen_files f = files(&p, "LEAF-A");

	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "%u", n);
		assert_int_equal(store_gen_write(l, n, &f, &e), ST_OK);
		check_durable(name);
		/* found after a crash, which may have come before its fsync */
		w.syncs = 0;
		assert_int_equal(store_gen_write(l, n, &f, &e), ST_OK);
		assert_int_equal(w.syncs, 1);
		w.unlinked = false;
		assert_int_equal(store_live_set(l, n, &e), ST_OK);
		check_durable(NAME);
		assert_false(w.unlinked);
	}
	pems_release(&p);
	store_unlock(l);
	state_release(&s);
}

static void test_keys(void **state)
{
	struct lineage_state s;
	struct store_lineage *l = lock(&s);
	char hex[SPKI_HEX], name[SPKI_HEX + 4];
	struct key *k = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_ECDSA_P256, &k, &e), ST_OK);
	(void)snprintf(
		name, sizeof(name), "%s.pem", spki_hex(key_spki(k), hex));
	assert_int_equal(store_key_save(l, k, &e), ST_OK);
	check_durable(name);
	w.syncs = 0;
	assert_int_equal(store_key_save(l, k, &e), ST_OK);
	assert_int_equal(w.syncs, 1);
	assert_int_equal(store_key_remove(l, key_spki(k), &e), ST_OK);
	check_durable("");
	key_free(k);
	store_unlock(l);
	state_release(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_files), T(test_lines),
		T(test_failing_sync), T(test_interrupted), T(test_state),
		T(test_folder_above), T(test_generation), T(test_keys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
