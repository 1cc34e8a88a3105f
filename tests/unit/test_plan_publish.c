/* When a record is published or withdrawn, how often it is tried, and every
 * reason to leave the zone alone. */
#include "plan_fixture.h"

static void fx_unpublished(struct fx *f, size_t owners)
{
	fx_init(f, owners, 2);
	add_key(f, 1, KEY_CURRENT);
	add_key(f, 2, KEY_NEXT);
	add_gen(f, 1, GEN_CERTBOT);
	f->s.live_gen = 1;
	sweep(f);
}

static void test_first_publication(void **state)
{
	static const enum obs_probe bad[] = { PROBED_MIXED, PROBED_UNKNOWN,
		PROBED_OUTAGE };
	struct action a;
	struct fx f;

	(void)state;
	fx_unpublished(&f, 2);
	a = check_next(&f, ACT_PROBE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	for (size_t i = 0; i < 3; i++) {
		probed(&f, bad[i], 1);
		a = check_next(&f, ACT_HOLD);
		check_says(&a, "the probe says");
		check_says(&a, "live/mx1.example");
		assert_true(a.alert);
		assert_int_equal(a.outage, bad[i] == PROBED_OUTAGE);
	}
	probed(&f, PROBED_ALL, 2); /* of another key: proves nothing */
	assert_int_not_equal(next(&f).kind, ACT_PUBLISH);
	probed(&f, PROBED_ALL, 1);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.owners, 3);
	assert_int_equal(a.add, 3); /* current and next together */
	assert_int_equal(a.remove, 0);
	fx_release(&f);
}

/* The first attempt failed, nothing is out: the gate still stands. */
static void test_first_publication_again(void **state)
{
	struct fx f;

	(void)state;
	fx_unpublished(&f, 1);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	(void)snprintf(f.s.publish_why, sizeof(f.s.publish_why), "refused");
	after(&f, 6 * HOUR);
	sweep(&f);
	check_next(&f, ACT_PROBE);
	probed(&f, PROBED_MIXED, 1);
	check_next(&f, ACT_HOLD);
	probed(&f, PROBED_ALL, 1);
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* A zone from an old backup: records are there, none of them is ours any more,
 * and mail has stopped. Nothing may hold the record of the live key back. */
static void test_restored_zone_is_mended(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	serve(&f, 0);
	after(&f, 60);
	sweep(&f);
	probed(&f, PROBED_OUTAGE, 1);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.add, 3);
	fx_release(&f);
}

/* A new owner name whose endpoint is not right yet must not stop the record of
 * the live key from coming back at an old one. */
static void test_first_does_not_stop_others(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	f.s.owner[1].publish_ms = 0;
	for (size_t j = 0; j < 2; j++) {
		f.ans[0][j].has = 2;
		f.ans[1][j].has = 0;
	}
	after(&f, 60);
	sweep(&f);
	probed(&f, PROBED_MIXED, 1);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.owners, 1);
	assert_int_equal(a.add & 1, 1);
	fx_release(&f);
}

static void test_deleted_is_published_again(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	f.ans[1][0].has = f.ans[1][1].has = 1;
	f.owner[1].validated_has = 1;
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.owners, 2);
	assert_int_equal(a.add & 2, 2);
	serve(&f, 3);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(
		plan_ready_ms(&f.s, key(&f, 2), &f.p), f.now + 7200 * 1000);
	fx_release(&f);
}

static void test_publish_backoff(void **state)
{
	static const struct {
		unsigned tries;
		int64_t pause;
	} cases[] = { { 1, 5 }, { 2, 10 }, { 3, 20 }, { 8, 640 }, { 9, 900 },
		{ 1000, 900 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct action a;
		struct fx f;

		fx_steady(&f, 1, 2);
		f.s.verified_ms += DAY * 1000; /* no probe now */
		serve(&f, 1);
		after(&f, 60);
		sweep(&f);
		f.s.owner[0].publish_ms = f.now;
		f.s.owner[0].publish_tries = cases[i].tries;
		a = check_next(&f, ACT_WAIT);
		assert_true(a.until_ms <= f.now + cases[i].pause * 1000);
		after_ms(&f, cases[i].pause * 1000 - 1);
		check_next(&f, ACT_WAIT);
		after_ms(&f, 1);
		check_next(&f, ACT_PUBLISH);
		fx_release(&f);
	}
}

/* A provider that asks to wait is not asked before. */
static void test_provider_asks_to_wait(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.s.verified_ms += DAY * 1000; /* no probe now */
	serve(&f, 1);
	after(&f, 60);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	f.s.owner[0].publish_wait_s = 300;
	after_ms(&f, 300 * 1000 - 1);
	check_next(&f, ACT_WAIT);
	f.o.retry_asked = true; /* the operator knows better */
	check_next(&f, ACT_PUBLISH);
	f.o.retry_asked = false;
	after_ms(&f, 1);
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* An outage does not wait for as long as a provider may ask to; what only has
 * to age does. */
static void test_outage_waits_an_hour(void **state)
{
	static const uint32_t there[] = { 1, 2 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		bool urgent = there[i] == 2; /* the served key is missing */
		struct action a;
		struct fx f;

		fx_steady(&f, 1, 2);
		f.s.verified_ms += DAY * 1000; /* no probe now */
		serve(&f, there[i]);
		after(&f, 60);
		sweep(&f);
		f.s.owner[0].publish_ms = f.now;
		f.s.owner[0].publish_tries = 1;
		f.s.owner[0].publish_wait_s = 3 * HOUR;
		after_ms(&f, HOUR * 1000 - 1);
		a = check_next(&f, ACT_WAIT);
		if (urgent)
			assert_int_equal(a.until_ms - f.now, 1);
		after_ms(&f, 1);
		check_next(&f, urgent ? ACT_PUBLISH : ACT_WAIT);
		after(&f, 2 * HOUR);
		check_next(&f, ACT_PUBLISH);
		fx_release(&f);
	}
}

/* The record of what is being served is urgent; but a pause that is shorter
 * than a sweep would be an endless loop. */
static void test_urgent_backoff(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.s.verified_ms += DAY * 1000; /* no probe now */
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	after(&f, 5);
	check_next(&f, ACT_PUBLISH);
	f.s.owner[0].publish_tries = 20;
	after(&f, 40);
	check_next(&f, ACT_WAIT);
	after(&f, 75);
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/*
 * The servers show {1, 2}, key 3 is to be added; but at the hidden primary, or
 * the provider, somebody has just deleted the set. What is published then must
 * not be {3} alone: every key that may be served is named.
 */
static void test_publishes_the_whole(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_key(&f, 3, KEY_CANDIDATE);
	add_key(&f, 4, KEY_PREVIOUS);
	add_key(&f, 5, KEY_PREVIOUS);
	plan_set_role(&f.s, key(&f, 5), KEY_RETIRED, f.now);
	serve(&f, 1 | 2 | 8 | 16);
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.add, 1 | 2 | 4 | 8);
	assert_int_equal(a.remove, 16);
	/* the same when only something is withdrawn */
	serve(&f, 31);
	sweep(&f);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.add, 1 | 2 | 4 | 8);
	assert_int_equal(a.remove, 16);
	fx_release(&f);
}

static void test_publish_failure_is_said(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	serve(&f, 1);
	after(&f, 60);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 3;
	(void)snprintf(f.s.publish_why, sizeof(f.s.publish_why), "no such key");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "no such key");
	assert_false(a.temporary);
	f.s.publish_temporary = true;
	a = check_next(&f, ACT_HOLD);
	assert_true(a.temporary);
	fx_release(&f);
}

static void test_not_writable(void **state)
{
	static const struct {
		enum obs_security security;
		bool proceed, publishes, temporary;
	} cases[] = {
		{ OBS_SECURE, false, true, false },
		{ OBS_BOGUS, true, false, false },
		{ OBS_NO_ANSWER, true, false, true },
		{ OBS_INSECURE, false, false, false },
		{ OBS_INSECURE, true, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct action a;
		struct fx f;

		print_message("case %zu\n", i);
		fx_steady(&f, 1, 2);
		serve(&f, 1);
		f.owner[0].security = cases[i].security;
		(void)snprintf(f.owner[0].why, sizeof(f.owner[0].why), "RRSIG");
		f.p.proceed_insecure = cases[i].proceed;
		after(&f, 60);
		sweep(&f);
		a = check_next(&f, cases[i].publishes ? ACT_PUBLISH : ACT_HOLD);
		if (!cases[i].publishes) {
			check_says(&a, "RRSIG");
			assert_int_equal(a.temporary, cases[i].temporary);
		}
		fx_release(&f);
	}
}

static void test_stronger_foreign_digest(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	serve(&f, 1);
	f.owner[0].agility_bad = 3; /* the live key's record is hidden */
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "7671");
	f.owner[0].agility_bad = 2; /* only the next one's */
	check_next(&f, ACT_PUBLISH);
	serve(&f, 3);
	add_gen(&f, 2, GEN_CERTBOT);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "stronger digest");
	fx_release(&f);
}

static void test_withdraw(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	add_key(&f, 3, KEY_PREVIOUS);
	plan_set_role(&f.s, key(&f, 3), KEY_RETIRED, f.now);
	serve(&f, 3);
	f.ans[1][1].has = 7;
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.owners, 2);
	assert_int_equal(a.remove, 4);
	assert_int_equal(a.add & 4, 0);
	/* not while a server is silent, nor while another lineage needs it */
	f.ans[1][0].verdict = OBS_UNKNOWN;
	check_next(&f, ACT_HOLD);
	f.ans[1][0].verdict = OBS_GOOD;
	f.o.claimed_elsewhere = 4;
	assert_int_not_equal(next(&f).kind, ACT_PUBLISH);
	f.o.claimed_elsewhere = 3;
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_publication),
		cmocka_unit_test(test_first_publication_again),
		cmocka_unit_test(test_restored_zone_is_mended),
		cmocka_unit_test(test_first_does_not_stop_others),
		cmocka_unit_test(test_deleted_is_published_again),
		cmocka_unit_test(test_publish_backoff),
		cmocka_unit_test(test_provider_asks_to_wait),
		cmocka_unit_test(test_outage_waits_an_hour),
		cmocka_unit_test(test_urgent_backoff),
		cmocka_unit_test(test_publishes_the_whole),
		cmocka_unit_test(test_publish_failure_is_said),
		cmocka_unit_test(test_not_writable),
		cmocka_unit_test(test_stronger_foreign_digest),
		cmocka_unit_test(test_withdraw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
