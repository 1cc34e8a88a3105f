/* Law 2: a record goes only when its key has been seen served nowhere, twice,
 * and its key file only when no cache can hold the record. */
#include "plan_fixture.h"

/* Key 2 went live a moment ago; key 1 was live before. Seen once, now. */
static void fx_promoted(struct fx *f, size_t owners)
{
	fx_steady(f, owners, 2);
	add_gen(f, 2, GEN_CSR)->lineage_version = 7;
	plan_supersede(&f->s, key(f, 1), f->now);
	plan_set_role(&f->s, key(f, 2), KEY_CURRENT, f->now);
	key(f, 2)->live_ms = f->now;
	f->s.live_gen = 2;
	f->s.verified_first_ms = f->s.verified_ms = f->now;
	assert_int_equal(key(f, 1)->role, KEY_PREVIOUS);
}

static void test_second_probe(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_promoted(&f, 2);
	/* what was just seen does not count twice */
	probed(&f, PROBED_ALL, 2);
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "a second time");
	assert_int_equal(a.until_ms, f.now + 600 * 1000);
	f.o.probe = PROBED_NOT;
	after_ms(&f, 600 * 1000 - 1);
	sweep(&f);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	a = check_next(&f, ACT_PROBE);
	assert_true(spki_eq(&a.spki, &key(&f, 2)->spki));
	probed(&f, PROBED_ALL, 2);
	a = check_next(&f, ACT_RETIRE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	fx_release(&f);
}

static void test_first_probe(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_promoted(&f, 1);
	f.s.verified_first_ms = 0; /* never seen since the promotion */
	after(&f, DAY);
	sweep(&f);
	check_next(&f, ACT_PROBE);
	probed(&f, PROBED_ALL, 2);
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + 600 * 1000);
	/* never until now: that would be an endless loop */
	f.p.retire_after = 0;
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + 1000);
	fx_release(&f);
}

static void test_doubt_never_retires(void **state)
{
	static const enum obs_probe bad[] = { PROBED_MIXED, PROBED_UNKNOWN,
		PROBED_OUTAGE };
	struct action a;
	struct fx f;

	(void)state;
	fx_promoted(&f, 1);
	after(&f, 600);
	sweep(&f);
	for (size_t i = 0; i < 3; i++) {
		probed(&f, bad[i], 2);
		a = check_next(&f, ACT_HOLD);
		check_says(&a, "the probe says");
		assert_int_equal(a.outage, bad[i] == PROBED_OUTAGE);
	}
	probed(&f, PROBED_ALL, 1); /* it looked for another key */
	assert_int_not_equal(next(&f).kind, ACT_RETIRE);
	probed(&f, PROBED_ALL, 2);
	check_next(&f, ACT_RETIRE);
	fx_release(&f);
}

/* The record of what is served must be on every server first. */
static void test_current_everywhere(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_promoted(&f, 2);
	after(&f, 600);
	f.ans[1][0].has = 1;
	sweep(&f);
	f.s.owner[1].publish_ms = f.now;
	f.s.owner[1].publish_tries = 1;
	probed(&f, PROBED_ALL, 2);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "not on every server");
	f.ans[1][0].has = 3;
	f.ans[1][0].verdict = OBS_UNKNOWN;
	assert_int_not_equal(next(&f).kind, ACT_RETIRE);
	f.ans[1][0].verdict = OBS_GOOD;
	check_next(&f, ACT_RETIRE);
	fx_release(&f);
}

static void test_several_go_one_by_one(void **state)
{
	struct spki first;
	struct action a;
	struct fx f;

	(void)state;
	fx_promoted(&f, 1);
	add_key(&f, 3, KEY_PREVIOUS);
	serve(&f, 7);
	after(&f, 600);
	sweep(&f);
	probed(&f, PROBED_ALL, 2);
	a = check_next(&f, ACT_RETIRE);
	first = a.spki;
	plan_set_role(&f.s, state_key_find(&f.s, &first), KEY_RETIRED, f.now);
	a = check_next(&f, ACT_PUBLISH); /* its record, at once */
	assert_int_equal(a.remove,
		UINT32_C(1) << (state_key_find(&f.s, &first) - f.s.key));
	assert_int_equal(a.add & a.remove, 0);
	fx_release(&f);
}

/* The whole way: withdrawn, gone, forgotten; then the next key is made. */
static void test_forget(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_promoted(&f, 1);
	f.p.poll_max = DAY;
	add_key(&f, 3, KEY_NEXT);
	serve(&f, 7);
	sweep(&f);
	sweep_for(&f, 7200, 900);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "still served by some server");
	/* an answer of this minute may be older than what was published */
	serve(&f, 6);
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "or was a moment ago");
	after(&f, 3600 - 60);
	sweep(&f);
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "in caches");
	assert_int_equal(a.until_ms, f.now + 3600 * 1000);
	after_ms(&f, 3600 * 1000 - 1);
	sweep(&f);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	a = check_next(&f, ACT_FORGET);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	/* it came back on one server */
	f.ans[0][0].has = 7;
	sweep(&f);
	assert_int_not_equal(next(&f).kind, ACT_FORGET);
	fx_release(&f);
}

/* Another lineage needs the record: it stays, our copy of the key may go. */
static void test_claimed_elsewhere(void **state)
{
	struct fx f;

	(void)state;
	fx_promoted(&f, 1);
	add_key(&f, 3, KEY_NEXT);
	serve(&f, 7);
	after(&f, 60);
	sweep(&f);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	f.o.claimed_elsewhere = 1;
	check_next(&f, ACT_FORGET);
	f.o.claimed_elsewhere = 0;
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

static void test_only_retired_is_forgotten(void **state)
{
	static const enum key_role roles[] = { KEY_CANDIDATE, KEY_NEXT,
		KEY_PREVIOUS };
	struct fx f;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		fx_steady(&f, 1, 2);
		f.o.claimed_elsewhere = 2;
		key(&f, 2)->role = roles[i];
		key(&f, 2)->at[0].gone_ms = 1;
		assert_int_not_equal(next(&f).kind, ACT_FORGET);
		fx_release(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_probe),
		cmocka_unit_test(test_first_probe),
		cmocka_unit_test(test_doubt_never_retires),
		cmocka_unit_test(test_current_everywhere),
		cmocka_unit_test(test_several_go_one_by_one),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_claimed_elsewhere),
		cmocka_unit_test(test_only_retired_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
