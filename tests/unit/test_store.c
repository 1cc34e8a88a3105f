/* The state directory: folders, names, locks, commits, history. */
#include "tests/unit/store_fixture.h"

#include <sys/file.h>
#include <sys/syscall.h>

/* ---- the directory ---- */

static void test_open(void **state)
{
	struct store *s = NULL;
	char p[128];

	(void)state;
	assert_int_equal(mode_of(""), 0755);
	assert_int_equal(mode_of("lineages"), 0755);
	assert_int_equal(mode_of("live"), 0755);
	assert_string_equal(store_dir(store), dir);
	assert_int_equal(store_open("var/lib", &s, &e), ST_CONFIG);
	(void)snprintf(p, sizeof(p), "%s/absent/state", top);
	assert_int_equal(store_open(p, &s, &e), ST_IO);
	assert_non_null(strstr(e.text, p));
	assert_int_equal(chmod(dir, 0775), 0);
	assert_int_equal(store_open(dir, &s, &e), ST_CONFIG);
	assert_non_null(strstr(e.text, dir));
	assert_int_equal(chmod(dir, 0757), 0);
	assert_int_equal(store_open(dir, &s, &e), ST_CONFIG);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(store_open(path("/"), &s, &e), ST_OK);
	assert_string_equal(store_dir(s), dir); /* no slash at the end */
	assert_int_equal(mode_of(""), 0700);    /* the operator's choice */
	store_close(s);
	if (geteuid() == 0) {
		assert_int_equal(chown(dir, 12345, 0), 0);
		assert_int_equal(store_open(dir, &s, &e), ST_CONFIG);
	}
}

/* Who only looks makes nothing. */
static void test_open_read(void **state)
{
	struct store *s = NULL;

	(void)state;
	assert_int_equal(
		store_open_read(path("/nothing"), &s, &e), ST_NOTFOUND);
	assert_int_equal(access(path("/nothing"), F_OK), -1);
	assert_int_equal(mkdir(path("/empty"), 0755), 0);
	assert_int_equal(store_open_read(path("/empty"), &s, &e), ST_NOTFOUND);
	assert_int_equal(access(path("/empty/lineages"), F_OK), -1);
	assert_int_equal(mkdir(path("/empty/lineages"), 0755), 0);
	assert_int_equal(store_open_read(path("/empty"), &s, &e), ST_OK);
	store_close(s);
	assert_int_equal(access(path("/empty/live"), F_OK), -1);
	assert_int_equal(chmod(path("/empty"), 0777), 0);
	assert_int_equal(store_open_read(path("/empty"), &s, &e), ST_CONFIG);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/", ".a",
		"a\nb", "a\x7f", "../x" };
	struct store_lineage *l = NULL;
	struct lineage_state s;
	char name[300];
	char **list;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			store_lock(store, bad[i], 0, &l, &s, &e), ST_REFUSED);
		assert_int_equal(store_peek(store, bad[i], &s, &e), ST_REFUSED);
		assert_int_equal(
			store_news_leave(store, bad[i], &e), ST_REFUSED);
	}
	memset(name, 'a', sizeof(name));
	name[200] = '\0';
	assert_int_equal(store_lock(store, name, 0, &l, &s, &e), ST_REFUSED);
	assert_null(l);
	name[199] = '\0';
	assert_int_equal(store_lock(store, name, 0, &l, &s, &e), ST_OK);
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	assert_int_equal(store_lock(store, "a b", 0, &l, &s, &e), ST_OK);
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	assert_int_equal(mkdir(path("lineages/.hidden"), 0700), 0);
	spit("lineages/file", "");
	assert_int_equal(store_list(store, &list, &e), ST_OK);
	assert_string_equal(list[0], "a b");
	assert_string_equal(list[1], name);
	assert_null(list[2]);
	free(list[0]);
	free(list[1]);
	free(list);
}

static void test_list_many(void **state)
{
	char **list;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char p[32];

		(void)snprintf(p, sizeof(p), "lineages/n%02d", i);
		assert_int_equal(mkdir(path(p), 0700), 0);
	}
	assert_int_equal(store_list(store, &list, &e), ST_OK);
	for (; list[n] != NULL; n++)
		if (n > 0)
			assert_true(strcmp(list[n - 1], list[n]) < 0);
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
	assert_int_equal(n, 100);
}

/* ---- lock, load, commit ---- */

static void test_commit(void **state)
{
	struct lineage_state s, t;
	struct store_lineage *l;

	(void)state;
	assert_int_equal(store_peek(store, NAME, &t, &e), ST_NOTFOUND);
	l = lock(&s);
	assert_string_equal(s.name, NAME);
	assert_int_equal(s.next_gen, 1);
	assert_int_equal(store_peek(store, NAME, &t, &e), ST_NOTFOUND);
	s.wake_ms = 77;
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	assert_int_equal(store_peek(store, NAME, &t, &e), ST_OK);
	assert_int_equal(t.wake_ms, 77);
	state_release(&t);
	store_unlock(l);
	state_release(&s);
	l = lock(&s);
	assert_int_equal(s.wake_ms, 77);
	/* what the next run would refuse never reaches the disk */
	s.live_gen = 9;
	assert_int_equal(store_commit(l, &s, &e), ST_BUG);
	(void)snprintf(s.name, sizeof(s.name), "other");
	s.live_gen = 0;
	assert_int_equal(store_commit(l, &s, &e), ST_BUG);
	store_unlock(l);
	state_release(&s);
	assert_int_equal(store_peek(store, NAME, &t, &e), ST_OK);
	assert_int_equal(t.live_gen, 0);
	state_release(&t);
	assert_int_equal(mode_of("lineages/" NAME), 0711);
	assert_int_equal(mode_of(L "keys"), 0700);
	assert_int_equal(mode_of(L "generations"), 0711);
	assert_int_equal(mode_of(L "state.json"), 0600);
	assert_int_equal(mode_of(L "lock"), 0600);
}

/* Content and time of every file, to see that nothing was written. */
static char *picture(void)
{
	struct err err = ERR_INIT;
	auto_buf b = BUF_INIT(100000);
	static const char *const all[] = { L "", L "state.json", L "keys",
		L "generations", L "history.jsonl", L ".tmp-1", "live" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct stat sb = { .st_ino = 0 };

		(void)lstat(path(all[i]), &sb);
		assert_int_equal(
			buf_printf(&b, &err, "%s %lu %ld.%09ld %ld\n", all[i],
				(unsigned long)sb.st_ino, sb.st_mtim.tv_sec,
				sb.st_mtim.tv_nsec, (long)sb.st_size),
			ST_OK);
	}
	return buf_take(&b);
}

static void test_refuses_what_it_does_not_know(void **state)
{
	static const char *const bad[] = { "", "{", "{\"version\": 1}",
		"{\"version\": 2, \"what\": \"ever\"}", "\x00\x01" };
	struct store_lineage *l;
	struct lineage_state s;

	(void)state;
	l = lock(&s);
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	spit(L ".tmp-1", "left over");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		auto_str before = NULL;
		auto_str after = NULL;

		spit(L "state.json", bad[i]);
		before = picture();
		l = NULL;
		assert_int_equal(
			store_lock(store, NAME, 0, &l, &s, &e), ST_REFUSED);
		assert_null(l);
		assert_non_null(strstr(e.text, path(L "state.json")));
		assert_non_null(strstr(e.text, "nothing was changed"));
		assert_int_equal(store_peek(store, NAME, &s, &e), ST_REFUSED);
		after = picture();
		assert_string_equal(before, after);
	}
	assert_int_equal(unlink(path(L "state.json")), 0);
	l = lock(&s); /* the lock was freed by the refusals */
	assert_false(exists(L ".tmp-1"));
	store_unlock(l);
	state_release(&s);
}

static void test_state_of_another(void **state)
{
	struct store_lineage *l = NULL;
	struct lineage_state s;

	(void)state;
	assert_int_equal(store_lock(store, "other", 0, &l, &s, &e), ST_OK);
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	assert_int_equal(mkdir(path("lineages/" NAME), 0711), 0);
	assert_int_equal(
		rename(path("lineages/other/state.json"), path(L "state.json")),
		0);
	assert_int_equal(store_lock(store, NAME, 0, &l, &s, &e), ST_REFUSED);
	assert_non_null(strstr(e.text, "other"));
}

static int replace_lock; /* between open and flock, this many times */

int flock(int fd, int how)
{
	if (replace_lock > 0) {
		replace_lock--;
		if (unlink(path(L "lock")) != 0)
			return -1;
		spit(L "lock", "");
	}
	return (int)syscall(SYS_flock, fd, how);
}

/* Somebody deleted the file that we are about to lock, and a third one may have
 * locked the new one: that lock excludes nobody. */
static void test_lock_of_a_deleted_file(void **state)
{
	struct store_lineage *l = NULL;
	struct lineage_state s;

	(void)state;
	replace_lock = 1;
	assert_int_equal(store_lock(store, NAME, 0, &l, &s, &e), ST_BUSY);
	assert_null(l);
	replace_lock = 1; /* who may wait takes the new one */
	assert_int_equal(store_lock(store, NAME, 5000, &l, &s, &e), ST_OK);
	assert_int_equal(replace_lock, 0);
	store_unlock(l);
	state_release(&s);
}

static void test_lock(void **state)
{
	struct store_lineage *l, *other = NULL;
	struct lineage_state s, t;
	int64_t begin;
	int up[2], status;
	char c;
	pid_t pid;

	(void)state;
	l = lock(&s);
	/* flock belongs to the description: a second open is somebody else */
	assert_int_equal(store_lock(store, NAME, 0, &other, &t, &e), ST_BUSY);
	assert_non_null(strstr(e.text, NAME));
	begin = clock_mono_ms();
	assert_int_equal(store_lock(store, NAME, 150, &other, &t, &e), ST_BUSY);
	assert_true(clock_mono_ms() - begin >= 150);
	assert_null(other);
	assert_int_equal(store_lock(store, "free", 0, &other, &t, &e), ST_OK);
	store_unlock(other);
	state_release(&t);
	assert_int_equal(store_peek(store, NAME, &t, &e), ST_NOTFOUND);
	store_unlock(l);
	state_release(&s);

	/* the kernel frees the lock of a killed process */
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		CHECK(store_lock(store, NAME, 0, &l, &s, &e) == ST_OK);
		CHECK(write(up[1], "x", 1) == 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(up[0], &c, 1), 1);
	assert_int_equal(store_lock(store, NAME, 0, &other, &t, &e), ST_BUSY);
	(void)kill(pid, SIGKILL);
	assert_int_equal(store_lock(store, NAME, 10000, &other, &t, &e), ST_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	store_unlock(other);
	state_release(&t);
	(void)close(up[0]);
	(void)close(up[1]);
}

/* A child process must not keep the lock after we are gone. */
static void test_lock_is_cloexec(void **state)
{
	struct store_lineage *l;
	struct lineage_state s;
	int before = 0;

	(void)state;
	l = lock(&s);
	for (int fd = 3; fd < 100; fd++) {
		int flags = fcntl(fd, F_GETFD);
		char link[64], target[256];
		ssize_t n;

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, dir, strlen(dir)) != 0)
			continue;
		before++;
		assert_true((flags & FD_CLOEXEC) != 0);
	}
	assert_true(before >= 5);
	store_unlock(l);
	state_release(&s);
}

/* state.json was deleted, the rest was not: numbers are not used again. */
static void test_lost_state(void **state)
{
	struct store_lineage *l;
	struct lineage_state s;

	(void)state;
	store_unlock(lock(&s));
	state_release(&s);
	assert_int_equal(mkdir(path(L "generations/41"), 0700), 0);
	assert_int_equal(mkdir(path(L "generations/.tmp-77"), 0700), 0);
	assert_int_equal(mkdir(path(L "generations/0123"), 0700), 0);
	l = lock(&s);
	assert_int_equal(s.next_gen, 42);
	assert_false(exists(L "generations/.tmp-77"));
	store_unlock(l);
	state_release(&s);
}

static void test_news(void **state)
{
	struct store_lineage *l;
	struct lineage_state s;

	(void)state;
	assert_int_equal(store_news_leave(store, NAME, &e), ST_OK);
	l = lock(&s);
	assert_int_equal(store_news_leave(store, NAME, &e), ST_OK);
	assert_true(store_news_take(l));
	assert_false(store_news_take(l));
	assert_int_equal(store_news_leave(store, NAME, &e), ST_OK);
	assert_true(store_news_take(l));
	store_unlock(l);
	state_release(&s);
}

static void test_history(void **state)
{
	struct store_lineage *l;
	struct lineage_state s;
	struct spki spki;
	char line[1024];
	FILE *f;

	(void)state;
	l = lock(&s);
	memset(spki.d, 0xab, sizeof(spki.d));
	assert_int_equal(store_history(l, 1795291200000, "promote", &spki, 3,
				 "it is\n\"time\" \xff", &e),
		ST_OK);
	assert_int_equal(store_history(l, 0, "wait", NULL, 0, "", &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	f = fopen(path(L "history.jsonl"), "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_string_equal(line,
		"{\"at\":\"2026-11-21T20:00:00Z\",\"event\":\"promote\","
		"\"key\":\"abababababababababababababababababababababababababab"
		"abababababab\",\"generation\":3,"
		"\"why\":\"it is?\\\"time\\\" ?\"}\n");
	assert_non_null(fgets(line, sizeof(line), f));
	assert_string_equal(line,
		"{\"at\":\"1970-01-01T00:00:00Z\",\"event\":\"wait\","
		"\"why\":\"\"}\n");
	assert_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	assert_int_equal(mode_of(L "history.jsonl"), 0600);
}

/* Who holds the lock removes temporary files; the news of the loser must come
 * through all the same. */
static void test_news_beside_the_lock(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		for (int i = 0; i < 400; i++) {
			struct store_lineage *l;
			struct lineage_state s;

			CHECK(store_lock(store, NAME, 1000, &l, &s, &e) ==
				ST_OK);
			(void)store_news_take(l);
			store_unlock(l);
			state_release(&s);
		}
		_exit(0);
	}
	for (int i = 0; i < 400; i++)
		assert_int_equal(store_news_leave(store, NAME, &e), ST_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_open),
		WITH_STORE(test_open_read),
		WITH_STORE(test_names),
		WITH_STORE(test_list_many),
		WITH_STORE(test_commit),
		WITH_STORE(test_refuses_what_it_does_not_know),
		WITH_STORE(test_state_of_another),
		WITH_STORE(test_lock),
		WITH_STORE(test_lock_of_a_deleted_file),
		WITH_STORE(test_lock_is_cloexec),
		WITH_STORE(test_lost_state),
		WITH_STORE(test_news),
		WITH_STORE(test_news_beside_the_lock),
		WITH_STORE(test_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
