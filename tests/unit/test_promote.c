/* Going live and going back: link, reload, probe, in this order, each step
 * saved before it is taken; and back when the endpoints say so. */
#include "tests/unit/live_fixture.h"

static struct action promote_to(unsigned gen)
{
	struct action a = { .kind = ACT_PROMOTE, .gen = gen };
	const struct state_gen *g = state_gen_find(&s.st, gen);

	assert_non_null(g);
	a.spki = g->spki;
	(void)snprintf(a.why, sizeof(a.why), "its time has come");
	return a;
}

static enum status promote(unsigned gen)
{
	struct action a = promote_to(gen);

	return act_promote(&s, &a, &e);
}

#define GEN(n) "../lineages/" NAME "/generations/" #n "\n"

static void check_roles(enum key_role first, enum key_role second)
{
	struct lineage_state disk;

	assert_int_equal(key_of_cert(0)->role, first);
	assert_int_equal(key_of_cert(1)->role, second);
	assert_int_equal(s.st.intent.kind, INTENT_NONE);
	assert_int_equal(s.st.live_gen, live_now());
	/* and so it is on disk */
	assert_int_equal(store_peek(store, NAME, &disk, &e), ST_OK);
	assert_int_equal(disk.live_gen, s.st.live_gen);
	assert_int_equal(disk.intent.kind, INTENT_NONE);
	state_release(&disk);
}

static void test_new_key(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	assert_int_equal(promote(2), ST_OK);
	/* the link came before the reload, the intent before the link */
	assert_string_equal(text_of("log"), GEN(2));
	assert_non_null(strstr(text_of("states"), "\"promote\""));
	check_roles(KEY_PREVIOUS, KEY_CURRENT);
	assert_int_equal(s.st.live_gen, 2);
	assert_true(s.st.verified_first_ms > 0);
	/* a later decision must look again */
	assert_int_equal(s.obs.probe, PROBED_NOT);
}

static void check_rolled_back(const char *why)
{
	const struct state_gen *g = state_gen_find(&s.st, 2);

	check_roles(KEY_CURRENT, KEY_NEXT);
	assert_int_equal(s.st.live_gen, 1);
	assert_non_null(g);
	assert_int_equal(g->rollbacks, 1);
	assert_true(g->retry_ms - s.st.clock.trusted_ms > 3500 * 1000);
	assert_int_equal(s.st.rolled_back_gen, 2);
	if (strstr(s.st.rolled_back_why, why) == NULL)
		fail_msg("\"%s\"", s.st.rolled_back_why);
	assert_int_equal(s.st.verified_first_ms, 0);
	/* the mail software was told of both, the second time after the link
	 * had gone back */
	assert_string_equal(text_of("log"), GEN(2) GEN(1));
	assert_non_null(strstr(text_of("states"), "\"roll-back\""));
}

static void test_reload_fails(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	run("touch fail");
	assert_int_equal(promote(2), ST_OK);
	check_rolled_back("reload command");
}

static void test_not_served(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	world.stubborn = true;
	assert_int_equal(promote(2), ST_OK);
	check_rolled_back("did it reload?");
	assert_int_equal(world.probes, 2);
}

static void test_one_address_lags(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	world.addresses = 3;
	world.laggard = true;
	assert_int_equal(promote(2), ST_OK);
	check_rolled_back("192.0.2.3");
}

static void test_nobody_answers(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	world.down = true;
	assert_int_equal(promote(2), ST_OK);
	check_rolled_back("192.0.2.1");
}

/* The record of the key that was live before is gone: no way back. The new one
 * stays, and the plan remembers. */
static void test_no_way_back(void **state)
{
	struct obs_answer a = { .server = "ns1. 192.0.2.53",
		.verdict = OBS_GOOD, .ttl = 300, .has = 2 };
	struct obs_owner oo = { .answer = &a, .n = 1, .validated_has = 2 };
	struct lineage_state disk;
	const struct state_gen *g;

	(void)state;
	assert_int_equal(add_gen(1), 2);
	key_of_cert(1)->at[0].rec = REC_OMNIPRESENT;
	s.obs.swept = s.obs.retry_asked = true;
	s.obs.owner = &oo;
	s.validated = calloc(1, sizeof(*s.validated));
	assert_non_null(s.validated);
	world.stubborn = true;
	assert_int_equal(promote(2), ST_OK);
	assert_int_equal(live_now(), 2);
	assert_string_equal(text_of("log"), GEN(2));
	assert_int_equal(store_peek(store, NAME, &disk, &e), ST_OK);
	assert_int_equal(disk.intent.kind, INTENT_PROMOTE);
	assert_int_equal(disk.intent.gen, 2);
	assert_int_equal(disk.live_gen, 1);
	g = state_gen_find(&disk, 2);
	assert_int_equal(g->rollbacks, 1);
	assert_true(g->retry_ms - disk.clock.trusted_ms > 3500 * 1000);
	assert_non_null(strstr(disk.rolled_back_why, "did it reload?"));
	assert_false(s.obs.retry_asked);
	state_release(&disk);
	/* a reload that fails is no other matter */
	run("touch fail");
	assert_int_equal(promote(2), ST_OK);
	assert_int_equal(live_now(), 2);
	run("rm fail");
	/* with its record back there is a way */
	a.has = 3;
	assert_int_equal(promote(2), ST_OK);
	assert_int_equal(live_now(), 1);
}

/* Nobody knows what is served: back to what was known. */
static void test_nobody_can_look(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	world.gone = true;
	assert_int_equal(promote(2), ST_OK);
	check_rolled_back("the network process is gone");
}

/* An address that this host has no way to counts by the others. */
static void test_no_route(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	world.addresses = 2;
	world.no_route = true;
	assert_int_equal(promote(2), ST_OK);
	check_roles(KEY_PREVIOUS, KEY_CURRENT);
}

/* The same key: an endpoint that is down is no reason to go back, one that
 * serves something else is. */
static void test_same_key(void **state)
{
	(void)state;
	assert_int_equal(add_gen(2), 2);
	s.st.verified_first_ms = 77;
	world.down = true;
	assert_int_equal(promote(2), ST_OK);
	check_roles(KEY_CURRENT, KEY_NEXT);
	assert_int_equal(s.st.live_gen, 2);
	assert_string_equal(text_of("log"), GEN(2));
	/* it says nothing of the previous key's being gone */
	assert_int_equal(s.st.verified_first_ms, 0);
}

/* The key is right, the certificate the old one: said, not undone. */
static void test_stale(void **state)
{
	(void)state;
	assert_int_equal(add_gen(2), 2);
	world.stubborn = true;
	assert_int_equal(promote(2), ST_OK);
	assert_int_equal(s.st.live_gen, 2);
	assert_int_equal(world.probes, 1);
	assert_int_equal(s.obs.probe, PROBED_NOT);
}

/* Nothing is published: the files change, no probe decides. */
static void test_before_publication(void **state)
{
	(void)state;
	s.st.owner[0].publish_ms = 0;
	assert_int_equal(add_gen(2), 2);
	world.stubborn = true;
	assert_int_equal(promote(2), ST_OK);
	assert_int_equal(s.st.live_gen, 2);
	assert_int_equal(world.probes, 0);
	/* a new key is another matter */
	assert_int_equal(add_gen(1), 3);
	assert_int_equal(promote(3), ST_OK);
	assert_int_equal(s.st.live_gen, 2);
	assert_true(world.probes > 0);
}

/* Candidates that are older than what goes live give way; newer ones do not. */
static void test_older_candidates(void **state)
{
	struct spki odd = { .d = { 1, 2, 3 } };
	struct state_key *k = NULL;

	(void)state;
	assert_int_equal(
		state_key_add(&s.st, &odd, KEY_OTHER, KEY_CANDIDATE, &k, &e),
		ST_OK);
	k->at[0].rec = REC_RUMOURED;
	assert_int_equal(add_gen(1), 2);
	assert_int_equal(promote(2), ST_OK);
	k = state_key_find(&s.st, &odd);
	assert_int_equal(k->role, KEY_PREVIOUS);
	assert_int_equal(key_of_cert(0)->role, KEY_PREVIOUS);
}

/* An interrupted roll-back is finished, without new blame. */
static void test_interrupted(void **state)
{
	struct action a = { .kind = ACT_ROLL_BACK, .gen = 2, .to_gen = 1 };

	(void)state;
	assert_int_equal(add_gen(1), 2);
	assert_int_equal(store_live_set(s.sl, 2, &e), ST_OK);
	assert_int_equal(act_roll_back(&s, &a, &e), ST_OK);
	check_roles(KEY_CURRENT, KEY_NEXT);
	assert_int_equal(live_now(), 1);
	assert_string_equal(text_of("log"), GEN(1));
	assert_int_equal(state_gen_find(&s.st, 2)->rollbacks, 0);
	a.to_gen = 9;
	assert_int_equal(act_roll_back(&s, &a, &e), ST_BUG);
	assert_int_equal(live_now(), 1);
}

/* Each time the pause is twice as long, a day at most. */
static void test_pauses(void **state)
{
	static const int64_t hours[] = { 1, 2, 4, 8, 16, 24, 24 };

	(void)state;
	assert_int_equal(add_gen(1), 2);
	world.stubborn = true;
	for (size_t i = 0; i < 7; i++) {
		struct state_gen *g = state_gen_find(&s.st, 2);
		int64_t now = s.st.clock.trusted_ms;

		assert_int_equal(promote(2), ST_OK);
		assert_true(g->retry_ms - now >= hours[i] * 3600000);
		assert_true(g->retry_ms - now < hours[i] * 3600000 + 60000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { LIVE(test_new_key),
		LIVE(test_reload_fails), LIVE(test_not_served),
		LIVE(test_one_address_lags), LIVE(test_nobody_answers),
		LIVE(test_no_way_back), LIVE(test_nobody_can_look),
		LIVE(test_no_route), LIVE(test_same_key), LIVE(test_stale),
		LIVE(test_before_publication), LIVE(test_older_candidates),
		LIVE(test_interrupted), LIVE(test_pauses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
