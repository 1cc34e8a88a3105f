/* Keys, generations, the live link: content, modes, who can read what. */
#include "tests/unit/store_fixture.h"

/* ---- keys ---- */

static struct key *new_key(void)
{
	struct key *k = NULL;

	assert_int_equal(key_generate(KEY_ECDSA_P256, &k, &e), ST_OK);
	return k;
}

static const char *key_path(const struct spki *spki)
{
	char hex[SPKI_HEX], p[128];

	(void)snprintf(p, sizeof(p), L "keys/%s.pem", spki_hex(spki, hex));
	return path(p);
}

static void test_keys(void **state)
{
	auto_key a = new_key();
	auto_key b = new_key();
	struct key *got = NULL;
	struct store_lineage *l;
	struct lineage_state s;
	struct spki none = { { 0 } };
	struct stat sb;

	(void)state;
	l = lock(&s);
	assert_int_equal(store_key_load(l, key_spki(a), &got, &e), ST_NOTFOUND);
	assert_int_equal(store_key_save(l, a, &e), ST_OK);
	assert_int_equal(stat(key_path(key_spki(a)), &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_int_equal(store_key_save(l, a, &e), ST_OK); /* again */
	assert_int_equal(store_key_load(l, key_spki(a), &got, &e), ST_OK);
	assert_true(spki_eq(key_spki(got), key_spki(a)));
	key_free(got);
	got = NULL;
	assert_int_equal(store_key_load(l, &none, &got, &e), ST_REFUSED);
	assert_true(spki_parse("e3b0c44298fc1c149afbf4c8996fb924"
			       "27ae41e4649b934ca495991b7852b855",
		&none));
	assert_int_equal(store_key_load(l, &none, &got, &e), ST_REFUSED);
	/* content of a under the name of b */
	assert_int_equal(
		rename(key_path(key_spki(a)), key_path(key_spki(b))), 0);
	assert_int_equal(store_key_load(l, key_spki(b), &got, &e), ST_REFUSED);
	assert_non_null(strstr(e.text, key_path(key_spki(b))));
	assert_int_equal(store_key_save(l, b, &e), ST_REFUSED);
	assert_null(got);
	assert_int_equal(store_key_remove(l, key_spki(b), &e), ST_OK);
	assert_int_equal(store_key_remove(l, key_spki(b), &e), ST_OK);
	assert_int_equal(store_key_save(l, b, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
}

static void test_orphans(void **state)
{
	auto_key a = new_key();
	auto_key b = new_key();
	auto_key c = new_key();
	struct state_key *k;
	struct store_lineage *l;
	struct lineage_state s;
	struct spki *list = NULL;
	size_t n = 9;

	(void)state;
	l = lock(&s);
	assert_int_equal(store_key_orphans(l, &s, &list, &n, &e), ST_OK);
	assert_int_equal(n, 0);
	free(list);
	assert_int_equal(store_key_save(l, a, &e), ST_OK);
	assert_int_equal(store_key_save(l, b, &e), ST_OK);
	assert_int_equal(store_key_save(l, c, &e), ST_OK);
	assert_int_equal(
		rename(key_path(key_spki(c)), path(L "keys/.tmp-x")), 0);
	spit(L "keys/README", "x");
	spit(L "keys/000000000000000000000000000000000000000000000000000000"
	       "0000000001.pem",
		"no key");
	assert_int_equal(state_key_add(&s, key_spki(a), KEY_ECDSA_P256,
				 KEY_CURRENT, &k, &e),
		ST_OK);
	assert_int_equal(store_key_orphans(l, &s, &list, &n, &e), ST_OK);
	assert_int_equal(n, 1);
	assert_true(spki_eq(&list[0], key_spki(b)));
	free(list);
	store_unlock(l);
	state_release(&s);
	l = lock(&s);
	assert_false(exists(L "keys/.tmp-x")); /* swept: it holds a key */
	store_unlock(l);
	state_release(&s);
}

/* ---- generations ---- */

static void test_generations(void **state)
{
	struct pems a, b;
	const struct gen_files fa = files(&a, "LEAF-A");
	const struct gen_files fb = files(&b, "LEAF-B");
	auto_buf key = BUF_INIT(1000), full = BUF_INIT(1000);
	struct store_lineage *l;
	struct lineage_state s;
	char text[100] = "";
	FILE *f;
	unsigned n = 9;

	(void)state;
	l = lock(&s);
	assert_int_equal(store_gen_read(l, 1, &key, &full, &e), ST_NOTFOUND);
	assert_int_equal(store_gen_write(l, 0, &fa, &e), ST_BUG);
	assert_int_equal(mkdir(path(L "generations/.tmp-1"), 0755), 0);
	spit(L "generations/.tmp-1/left-over", "x");
	assert_int_equal(store_gen_write(l, 1, &fa, &e), ST_OK);
	assert_false(exists(L "generations/1/left-over"));
	assert_false(exists(L "generations/.tmp-1"));
	assert_int_equal(store_gen_write(l, 1, &fa, &e), ST_OK);
	assert_int_equal(store_gen_write(l, 1, &fb, &e), ST_REFUSED);
	assert_int_equal(store_gen_read(l, 1, &key, &full, &e), ST_OK);
	assert_string_equal(buf_str(&key), "KEY");
	assert_string_equal(buf_str(&full), "LEAF-A\nCHAIN\n");
	f = fopen(path(L "generations/1/combined.pem"), "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	(void)fclose(f);
	assert_string_equal(text, "KEY\nLEAF-A\nCHAIN\n");

	assert_int_equal(store_live_get(l, &n, &e), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(store_live_set(l, 2, &e), ST_NOTFOUND);
	assert_int_equal(store_live_set(l, 1, &e), ST_OK);
	assert_int_equal(store_gen_write(l, 2, &fb, &e), ST_OK);
	assert_int_equal(store_live_set(l, 2, &e), ST_OK);
	assert_int_equal(store_live_get(l, &n, &e), ST_OK);
	assert_int_equal(n, 2);
	assert_string_equal(store_live_path(l), path("live/" NAME));
	assert_true(exists("live/" NAME "/privkey.pem"));
	assert_int_equal(store_gen_remove(l, 2, &e), ST_REFUSED);
	assert_int_equal(store_gen_remove(l, 1, &e), ST_OK);
	assert_int_equal(store_gen_remove(l, 1, &e), ST_OK);
	assert_false(exists(L "generations/1"));
	assert_int_equal(unlink(path(L "generations/2/privkey.pem")), 0);
	assert_int_equal(store_live_set(l, 2, &e), ST_REFUSED);
	store_unlock(l);
	state_release(&s);
	pems_release(&a);
	pems_release(&b);
}

/* What is not our link is neither believed nor replaced. */
static void test_foreign_live(void **state)
{
	static const char *const bad[] = { "/etc/letsencrypt/live/x",
		"../lineages/other/generations/1",
		"../lineages/" NAME "/generations/1x",
		"../lineages/" NAME "/generations/",
		"../lineages/" NAME "/generations/01",
		"../lineages/" NAME "/generations/99999999999" };
	struct pems a;
	const struct gen_files fa = files(&a, "LEAF-A");
	struct store_lineage *l;
	struct lineage_state s;
	unsigned n = 9;

	(void)state;
	l = lock(&s);
	assert_int_equal(store_gen_write(l, 1, &fa, &e), ST_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(symlink(bad[i], path("live/" NAME)), 0);
		assert_int_equal(store_live_get(l, &n, &e), ST_REFUSED);
		assert_int_equal(store_live_set(l, 1, &e), ST_REFUSED);
		assert_int_equal(store_gen_remove(l, 1, &e), ST_REFUSED);
		assert_int_equal(unlink(path("live/" NAME)), 0);
	}
	assert_int_equal(mkdir(path("live/" NAME), 0700), 0);
	assert_int_equal(store_live_set(l, 1, &e), ST_REFUSED);
	assert_int_equal(n, 9);
	store_unlock(l);
	state_release(&s);
	pems_release(&a);
}

/* What a user of this group can open. Exits with 0 when as wanted. */
static void as_group(gid_t gid, bool wanted)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		CHECK(setgroups(0, NULL) == 0 && setgid(gid) == 0 &&
			setuid(23456) == 0);
		CHECK((open(path("live/" NAME "/privkey.pem"), O_RDONLY) >=
			      0) == wanted);
		CHECK((open(path("live/" NAME "/fullchain.pem"), O_RDONLY) >=
			      0) == wanted);
		CHECK(open(path(L "state.json"), O_RDONLY) < 0);
		CHECK(open(path(L "history.jsonl"), O_RDONLY) < 0);
		CHECK(open(path(L "lock"), O_RDONLY) < 0);
		CHECK(opendir(path(L "keys")) == NULL);
		CHECK(chdir(path(L "keys")) != 0);
		CHECK(opendir(path(L "generations")) == NULL);
		CHECK(opendir(path(L)) == NULL);
		CHECK(opendir(path("live/" NAME)) == NULL);
		CHECK(open(path("live/" NAME "/x"), O_CREAT, 0600) < 0);
		CHECK(open(path("live/x"), O_CREAT | O_WRONLY, 0600) < 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_group(void **state)
{
	struct pems a;
	struct gen_files fa = files(&a, "LEAF-A");
	struct store_lineage *l;
	struct lineage_state s;
	struct stat sb;
	mode_t old;

	(void)state;
	if (geteuid() != 0) {
		print_error("[  SKIPPED ] needs root\n");
		pems_release(&a);
		skip();
	}
	old = umask(077);
	l = lock(&s);
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	assert_int_equal(store_history(l, 0, "wait", NULL, 0, "", &e), ST_OK);
	fa.uid = 0;
	fa.gid = 3456;
	fa.mode = 0640;
	assert_int_equal(store_gen_write(l, 1, &fa, &e), ST_OK);
	assert_int_equal(store_live_set(l, 1, &e), ST_OK);
	assert_int_equal(mode_of(L "generations/1"), 0710);
	assert_int_equal(mode_of(L "generations/1/combined.pem"), 0640);
	assert_int_equal(stat(path(L "generations/1"), &sb), 0);
	assert_int_equal(sb.st_gid, 3456);
	as_group(3456, true);
	as_group(3457, false);
	fa.mode = 0600;
	assert_int_equal(store_gen_write(l, 2, &fa, &e), ST_OK);
	assert_int_equal(mode_of(L "generations/2"), 0700);
	fa.mode = 0444;
	assert_int_equal(store_gen_write(l, 3, &fa, &e), ST_OK);
	assert_int_equal(mode_of(L "generations/3"), 0711);
	(void)umask(old);
	store_unlock(l);
	state_release(&s);
	pems_release(&a);
}

static void test_scratch(void **state)
{
	struct store_lineage *l;
	struct lineage_state s;
	auto_str a = NULL;
	auto_str b = NULL;
	char p[256];
	struct stat sb;

	(void)state;
	l = lock(&s);
	assert_int_equal(store_scratch(l, &a, &e), ST_OK);
	assert_int_equal(store_scratch(l, &b, &e), ST_OK);
	assert_string_not_equal(a, b);
	assert_int_equal(stat(a, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0700);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(p, sizeof(p), "%s/deep", i == 0 ? a : b);
		assert_int_equal(mkdir(p, 0700), 0);
		(void)snprintf(p, sizeof(p), "%s/deep/link", i == 0 ? a : b);
		assert_int_equal(symlink(dir, p), 0);
	}
	store_scratch_remove(l, a);
	assert_int_not_equal(stat(a, &sb), 0);
	store_scratch_remove(l, dir);
	store_scratch_remove(l, path(L "keys"));
	assert_true(exists(L "keys"));
	store_unlock(l); /* "crash" with b */
	state_release(&s);
	assert_int_equal(symlink("../lineages/" NAME "/generations/1",
				 path("live/.tmp-danelaw-1")),
		0);
	assert_int_equal(symlink("../lineages/other/generations/1",
				 path("live/.tmp-danelaw-2")),
		0);
	l = lock(&s);
	assert_int_not_equal(stat(b, &sb), 0);
	assert_false(exists("live/.tmp-danelaw-1"));
	assert_true(exists("live/.tmp-danelaw-2")); /* not ours */
	store_unlock(l);
	state_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_keys),
		WITH_STORE(test_orphans),
		WITH_STORE(test_generations),
		WITH_STORE(test_foreign_live),
		WITH_STORE(test_group),
		WITH_STORE(test_scratch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
