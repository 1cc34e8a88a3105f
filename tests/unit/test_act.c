/* Keys come, go and are cleaned up with an intent on disk first; what endpoints
 * serve is found out in full or not known; a doubtful clock starts all anew. */
#include "tests/unit/live_fixture.h"

#include <sys/syscall.h>

/* Key files that appeared or went while the state on disk did not say so. */
static int unannounced, announced;

static bool state_says(const char *word)
{
	auto_buf b = BUF_INIT(65536);
	auto_fd at = open(
		path("lineages/" NAME), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return atomicfile_read(at, "state.json", &b, &e) == ST_OK &&
	       strstr(buf_str(&b), word) != NULL;
}

static void key_file(const char *name)
{
	if (strlen(name) != SPKI_HEX - 1 + 4)
		return;
	if (state_says("\"generate\"") || state_says("\"take\"") ||
		state_says("\"forget\""))
		announced++;
	else
		unannounced++;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	unsigned flags)
{
	key_file(to);
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	key_file(name);
	return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

static int begin(void **state)
{
	int rc = live_begin(state);

	announced = unannounced = 0;
	return rc;
}

static enum status act_now(enum action_kind kind, const struct spki *spki)
{
	struct action a = { .kind = kind, .spki = *spki };

	return act_on(&s, &a, &e);
}

static bool on_disk(const struct spki *spki)
{
	struct key *k = NULL;

	if (store_key_load(s.sl, spki, &k, &e) != ST_OK)
		return false;
	key_free(k);
	return true;
}

/* A key file that the state does not know of. */
static struct spki stray_key(void)
{
	struct key *k = NULL;
	struct spki spki;

	assert_int_equal(key_generate(KEY_ECDSA_P256, &k, &e), ST_OK);
	assert_int_equal(store_key_save(s.sl, k, &e), ST_OK);
	spki = *key_spki(k);
	key_free(k);
	return spki;
}

static struct state_key *odd_key(unsigned char c, enum key_role role)
{
	struct spki spki = { .d = { c, 7 } };
	struct state_key *k = NULL;

	assert_int_equal(
		state_key_add(&s.st, &spki, KEY_OTHER, role, &k, &e), ST_OK);
	k->at[0].rec = REC_RUMOURED;
	return k;
}

static enum key_role role_of_odd(unsigned char c)
{
	struct spki spki = { .d = { c, 7 } };
	const struct state_key *k = state_key_find(&s.st, &spki);

	assert_non_null(k);
	return k->role;
}

/* ---- keys ---- */

static void test_generate(void **state)
{
	const struct state_key *k;

	(void)state;
	state_key_remove(&s.st, key_of_cert(1));
	assert_int_equal(act_now(ACT_GENERATE, &cert[0].leaf.spki), ST_OK);
	k = state_key_role(&s.st, KEY_NEXT);
	assert_non_null(k);
	assert_int_equal(k->alg, KEY_ECDSA_P256);
	assert_true(on_disk(&k->spki));
	assert_int_equal(announced, 1);
	assert_int_equal(unannounced, 0);
	assert_int_equal(s.st.intent.kind, INTENT_NONE);
}

static void take(int i)
{
	s.found = cert[i];
	s.have_found = true;
	assert_int_equal(act_now(ACT_TAKE, &cert[i].leaf.spki), ST_OK);
	s.have_found = false;
}

/* The oldest one's clock runs on, the newest is wanted most. */
static void test_many_candidates(void **state)
{
	(void)state;
	state_key_remove(&s.st, key_of_cert(1));
	for (unsigned char c = 1; c <= 4; c++)
		(void)odd_key(c, KEY_CANDIDATE);
	take(1);
	assert_int_equal(key_of_cert(1)->role, KEY_CANDIDATE);
	assert_int_equal(role_of_odd(1), KEY_CANDIDATE);
	assert_int_equal(role_of_odd(2), KEY_CANDIDATE);
	assert_int_equal(role_of_odd(3), KEY_CANDIDATE);
	assert_int_equal(role_of_odd(4), KEY_PREVIOUS);
	assert_int_equal(unannounced, 0);
}

/* A key that was given up comes back: it waits like a new one. */
static void test_taken_again(void **state)
{
	static const enum key_role roles[] = { KEY_PREVIOUS, KEY_RETIRED };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		plan_set_role(&s.st, key_of_cert(1), roles[i], 5);
		take(1);
		assert_int_equal(key_of_cert(1)->role, KEY_CANDIDATE);
		assert_int_equal(key_of_cert(1)->at[0].since_ms, 0);
	}
	/* others stay what they are */
	take(2);
	assert_int_equal(key_of_cert(0)->role, KEY_CURRENT);
}

static void test_retire(void **state)
{
	(void)state;
	assert_int_equal(act_now(ACT_RETIRE, &cert[0].leaf.spki), ST_BUG);
	assert_int_equal(act_now(ACT_RETIRE, &cert[1].leaf.spki), ST_BUG);
	assert_int_equal(key_of_cert(0)->role, KEY_CURRENT);
	plan_set_role(&s.st, key_of_cert(1), KEY_PREVIOUS, 5);
	assert_int_equal(act_now(ACT_RETIRE, &cert[1].leaf.spki), ST_OK);
	assert_int_equal(key_of_cert(1)->role, KEY_RETIRED);
	assert_true(on_disk(&cert[1].leaf.spki));
}

static void test_forget(void **state)
{
	(void)state;
	/* not what is live, whatever its role says */
	plan_set_role(&s.st, key_of_cert(0), KEY_RETIRED, 5);
	assert_int_equal(act_now(ACT_FORGET, &cert[0].leaf.spki), ST_BUG);
	assert_true(on_disk(&cert[0].leaf.spki));
	assert_non_null(state_gen_find(&s.st, 1));
	assert_true(exists(L "generations/1/privkey.pem"));
	plan_set_role(&s.st, key_of_cert(0), KEY_CURRENT, 5);
	assert_int_equal(add_gen(1), 2);
	plan_set_role(&s.st, key_of_cert(1), KEY_RETIRED, 5);
	assert_int_equal(session_commit(&s, &e), ST_OK);
	assert_int_equal(act_now(ACT_FORGET, &cert[1].leaf.spki), ST_OK);
	assert_false(on_disk(&cert[1].leaf.spki));
	assert_false(exists(L "generations/2"));
	assert_null(state_key_find(&s.st, &cert[1].leaf.spki));
	assert_int_equal(announced, 1);
	assert_int_equal(unannounced, 0);
}

/* One key for many certificates: old generations go, but never what is live,
 * nor the newest of a key. */
static void test_prune(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	for (unsigned n = 3; n <= 5; n++)
		assert_int_equal(add_gen(n % 2 ? 2 : 0), n);
	assert_int_equal(store_live_set(s.sl, 5, &e), ST_OK);
	s.st.live_gen = 5;
	for (unsigned n = 6; n <= 16; n++)
		assert_int_equal(add_gen(n % 2 ? 2 : 0), n);
	assert_true(s.st.n_gens <= 13);
	assert_non_null(state_gen_find(&s.st, 2));
	assert_true(exists(L "generations/2/privkey.pem"));
	assert_non_null(state_gen_find(&s.st, 5));
	assert_true(exists(L "generations/5/privkey.pem"));
	assert_null(state_gen_find(&s.st, 1));
	assert_false(exists(L "generations/1"));
}

/* ---- after a crash ---- */

static void test_clean_up(void **state)
{
	static const enum intent_kind kinds[] = { INTENT_GENERATE,
		INTENT_TAKE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct spki stray = stray_key();

		s.st.intent =
			(struct intent){ .kind = kinds[i], .spki = stray };
		assert_int_equal(act_clean_up(&s, &e), ST_OK);
		assert_false(on_disk(&stray));
		assert_int_equal(s.st.intent.kind, INTENT_NONE);
		/* known: it may be published */
		s.st.intent = (struct intent){ .kind = kinds[i],
			.spki = cert[1].leaf.spki };
		assert_int_equal(act_clean_up(&s, &e), ST_OK);
		assert_true(on_disk(&cert[1].leaf.spki));
	}
}

static void test_clean_up_leaves(void **state)
{
	struct spki stray = stray_key();

	(void)state;
	/* an older state was put back: the link knows better */
	assert_int_equal(add_gen(1), 2);
	assert_int_equal(store_live_set(s.sl, 2, &e), ST_OK);
	s.st.intent = (struct intent){ .kind = INTENT_GENERATE, .spki = stray };
	assert_int_equal(act_clean_up(&s, &e), ST_OK);
	assert_true(on_disk(&stray));
	assert_int_equal(s.st.intent.kind, INTENT_GENERATE);
	/* the plan finishes these */
	assert_int_equal(store_live_set(s.sl, 1, &e), ST_OK);
	s.st.intent = (struct intent){ .kind = INTENT_PROMOTE, .gen = 2 };
	assert_int_equal(act_clean_up(&s, &e), ST_OK);
	assert_int_equal(s.st.intent.kind, INTENT_PROMOTE);
	s.st.intent.kind = INTENT_ROLL_BACK;
	assert_int_equal(act_clean_up(&s, &e), ST_OK);
	assert_int_equal(s.st.intent.kind, INTENT_ROLL_BACK);
}

/* ---- what is served ---- */

static enum obs_probe probe(int i, bool *ret_stale)
{
	assert_int_equal(sense_probe(&s, &cert[i].leaf.spki,
				 cert[i].leaf.not_after, ret_stale, &e),
		ST_OK);
	return s.obs.probe;
}

static void test_probe(void **state)
{
	bool stale = true;

	(void)state;
	assert_int_equal(probe(0, &stale), PROBED_ALL);
	assert_false(stale);
	/* the key, but not this certificate */
	assert_int_equal(probe(2, &stale), PROBED_ALL);
	assert_true(stale);
	assert_int_equal(probe(1, &stale), PROBED_MIXED);
	world.addresses = 2;
	world.no_route = true;
	assert_int_equal(probe(0, &stale), PROBED_ALL);
	world.cut_off = true;
	assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
	world.cut_off = false;
	world.no_cert = true;
	assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
	world.no_cert = false;
	world.down = true;
	assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
	world.down = false;
	cl.n_endpoints = 0;
	assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
}

/* What this host has no way to counts by other addresses of the SAME host. */
static void test_no_way_to_one_host(void **state)
{
	struct cfg_endpoint two[2] = { endpoint, endpoint };
	bool stale;

	(void)state;
	(void)snprintf(two[1].host, sizeof(two[1].host), "mx2.example.test.");
	cl.endpoint = two;
	cl.n_endpoints = 2;
	assert_int_equal(probe(0, &stale), PROBED_ALL);
	world.no_route = true;
	assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
	assert_non_null(strstr(s.obs.probe_why, "mx2.example.test"));
}

/* Addresses that were not found may be those that serve something else. */
static void test_addresses_unknown(void **state)
{
	static const enum dns_security bad[] = { DNS_FAILED, DNS_BOGUS };
	bool stale;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		world.aaaa = bad[i];
		assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
		assert_non_null(strstr(s.obs.probe_why, "IPv6"));
	}
	world.aaaa = DNS_INSECURE;
	assert_int_equal(probe(0, &stale), PROBED_ALL);
	world.addresses = 0;
	assert_int_equal(probe(0, &stale), PROBED_UNKNOWN);
}

/* ---- the clock ---- */

static void test_clock_doubt(void **state)
{
	int64_t now, before;

	(void)state;
	before = s.st.clock.trusted_ms;
	key_of_cert(1)->at[0].since_ms = before - 1000;
	key_of_cert(1)->at[0].rec = REC_OMNIPRESENT;
	assert_int_equal(session_clock(&s, &now, &e), ST_OK);
	assert_false(s.obs.clock_doubt);
	assert_int_equal(key_of_cert(1)->at[0].since_ms, before - 1000);
	/* it was later than now when we looked last */
	s.st.clock.last.wall_ms += 86400000;
	assert_int_equal(session_clock(&s, &now, &e), ST_OK);
	assert_true(s.obs.clock_doubt);
	assert_true(now >= before);
	assert_int_equal(key_of_cert(1)->at[0].since_ms, 0);
	assert_int_not_equal(key_of_cert(1)->at[0].rec, REC_OMNIPRESENT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, live_end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_generate),
		T(test_many_candidates), T(test_taken_again), T(test_retire),
		T(test_forget), T(test_prune), T(test_clean_up),
		T(test_clean_up_leaves), T(test_probe),
		T(test_no_way_to_one_host), T(test_addresses_unknown),
		T(test_clock_doubt) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
