/* The store on a full and on a read-only disk, and killed at any moment. */
#include "tests/unit/store_fixture.h"

#include "slow.h"

/* ---- failing disks and crashes ---- */

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
	assert_int_equal(status, 0);
}

/* A whole store on a file system of its own; the lineage is locked, has
 * generation 1 live and one key. */
static struct store_lineage *small_store(
	struct lineage_state *s, struct gen_files *f, struct pems *p)
{
	struct store_lineage *l;

	if (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", "", MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tmpfs", top, "tmpfs", 0, "size=256k,mode=0755") != 0)
		_exit(77);
	CHECK(store_open(dir, &store, &e) == ST_OK);
	CHECK(store_lock(store, NAME, 0, &l, s, &e) == ST_OK);
	*f = files(p, "LEAF-A");
	CHECK(store_gen_write(l, 1, f, &e) == ST_OK);
	CHECK(store_live_set(l, 1, &e) == ST_OK);
	CHECK(store_commit(l, s, &e) == ST_OK);
	return l;
}

static void all_fail(
	struct store_lineage *l, struct lineage_state *s, struct gen_files *f)
{
	struct lineage_state old;
	struct key *k = NULL, *no = NULL;
	unsigned live = 0;

	CHECK(key_generate(KEY_ECDSA_P256, &k, &e) == ST_OK);
	s->wake_ms = 4711;
	CHECK(store_commit(l, s, &e) == ST_IO);
	CHECK(strstr(e.text, path(L "state.json")) != NULL);
	CHECK(store_key_save(l, k, &e) == ST_IO);
	CHECK(store_key_load(l, key_spki(k), &no, &e) == ST_NOTFOUND);
	CHECK(store_gen_write(l, 2, f, &e) == ST_IO);
	CHECK(!exists(L "generations/2") && !exists(L "generations/.tmp-2"));
	CHECK(store_live_get(l, &live, &e) == ST_OK && live == 1);
	CHECK(store_peek(store, NAME, &old, &e) == ST_OK);
	CHECK(old.wake_ms == 0);
	state_release(&old);
	key_free(k);
}

static void disk_full(void)
{
	static char big[400000];
	struct lineage_state s;
	struct gen_files f;
	struct pems p;
	struct store_lineage *l = small_store(&s, &f, &p);
	int fd = open(path("filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	while (write(fd, big, sizeof(big)) > 0)
		;
	CHECK(errno == ENOSPC);
	all_fail(l, &s, &f);
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(store_commit(l, &s, &e) == ST_OK);
}

static void read_only(void)
{
	struct lineage_state s, t;
	struct gen_files f;
	struct pems p;
	struct store_lineage *l = small_store(&s, &f, &p);

	/* an open lock would keep the file system writable */
	store_unlock(l);
	CHECK(mount(NULL, top, "", MS_REMOUNT | MS_RDONLY, NULL) == 0);
	l = NULL;
	CHECK(store_lock(store, NAME, 0, &l, &t, &e) == ST_IO && l == NULL);
	CHECK(strstr(e.text, path(L "lock")) != NULL);
	CHECK(strstr(e.text, "read-only") != NULL);
	CHECK(store_lock(store, "new", 0, &l, &t, &e) == ST_IO && l == NULL);
	CHECK(strstr(e.text, path("lineages/new")) != NULL);
	CHECK(store_news_leave(store, NAME, &e) == ST_IO);
	/* status must still work */
	CHECK(store_peek(store, NAME, &t, &e) == ST_OK);
}

static void test_read_only(void **state)
{
	(void)state;
	run_child(read_only);
}

static void test_disk_full(void **state)
{
	(void)state;
	run_child(disk_full);
}

/* Everything that writes, over and over, until killed. Commit k says which
 * generation is live: never more than one step away from the disk. */
__attribute__((noreturn)) static void work_for_ever(void)
{
	struct store_lineage *l;
	struct lineage_state s;
	struct pems p;
	struct gen_files f = files(&p, "LEAF-A");
	struct key *k;

	CHECK(store_lock(store, NAME, 5000, &l, &s, &e) == ST_OK);
	CHECK(key_generate(KEY_ECDSA_P256, &k, &e) == ST_OK);
	for (;;) {
		struct state_key *sk = NULL;
		struct state_gen *g = NULL;
		unsigned old = s.live_gen, n = s.next_gen;

		s.intent.kind = INTENT_TAKE;
		s.intent.gen = n;
		CHECK(store_commit(l, &s, &e) == ST_OK);
		CHECK(store_key_save(l, k, &e) == ST_OK);
		CHECK(store_gen_write(l, n, &f, &e) == ST_OK);
		if (state_key_find(&s, key_spki(k)) == NULL)
			CHECK(state_key_add(&s, key_spki(k), KEY_ECDSA_P256,
				      KEY_CANDIDATE, &sk, &e) == ST_OK);
		CHECK(state_gen_add(&s, &g, &e) == ST_OK);
		g->spki = *key_spki(k);
		s.intent.kind = INTENT_PROMOTE;
		CHECK(store_commit(l, &s, &e) == ST_OK);
		CHECK(store_live_set(l, n, &e) == ST_OK);
		s.live_gen = n;
		s.intent.kind = INTENT_NONE;
		CHECK(store_commit(l, &s, &e) == ST_OK);
		CHECK(store_history(l, 0, "promote", key_spki(k), n, "", &e) ==
			ST_OK);
		if (old == 0)
			continue;
		state_gen_remove(&s, state_gen_find(&s, old));
		CHECK(store_commit(l, &s, &e) == ST_OK);
		CHECK(store_gen_remove(l, old, &e) == ST_OK);
	}
}

static void check_after_kill(unsigned *progress)
{
	struct store_lineage *l;
	struct lineage_state s;
	auto_buf key = BUF_INIT(1000), full = BUF_INIT(1000);
	struct key *k;
	unsigned live = 0;

	l = lock(&s);
	assert_int_equal(store_live_get(l, &live, &e), ST_OK);
	assert_true(live == s.live_gen ||
		    (s.intent.kind == INTENT_PROMOTE && live == s.intent.gen));
	if (live != 0) {
		assert_int_equal(
			store_gen_read(l, live, &key, &full, &e), ST_OK);
		assert_true(exists("live/" NAME "/combined.pem"));
	}
	for (size_t i = 0; i < s.n_gens; i++) {
		buf_clear(&key);
		buf_clear(&full);
		assert_int_equal(
			store_gen_read(l, s.gen[i].n, &key, &full, &e), ST_OK);
	}
	for (size_t i = 0; i < s.n_keys; i++) {
		assert_int_equal(
			store_key_load(l, &s.key[i].spki, &k, &e), ST_OK);
		key_free(k);
	}
	*progress = s.next_gen;
	store_unlock(l);
	state_release(&s);
}

static void start_again(void)
{
	assert_int_equal(nftw(dir, remove_it, 8, FTW_DEPTH | FTW_PHYS), 0);
	store_close(store);
	store = NULL;
	assert_int_equal(store_open(dir, &store, &e), ST_OK);
}

/* On a busy machine the first rounds may all end before anything was done: then
 * there are more, and longer ones. */
static void test_killed(void **state)
{
	unsigned seed = (unsigned)getpid(), most = 0;

	(void)state;
	for (int round = 0; round < 50 || (most <= 1 && round < 500); round++) {
		unsigned longest = slow(40000000) * (1 + (unsigned)round / 50);
		struct timespec nap = { .tv_sec = 0 };
		unsigned progress = 0;
		int status;
		pid_t pid = fork();

		if (pid == 0)
			work_for_ever();
		nap.tv_nsec = rand_r(&seed) %
			(longest < 1000000000 ? (int)longest : 1000000000);
		(void)nanosleep(&nap, NULL);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		check_after_kill(&progress);
		most = progress > most ? progress : most;
		start_again();
	}
	assert_true(most > 1); /* otherwise nothing was tried */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_read_only),
		WITH_STORE(test_disk_full),
		WITH_STORE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
