/* When danelaw asks for a certificate ahead of certbot, on which key, and when
 * it does not; and the import that keeps certbot quiet. */
#include "plan_fixture.h"

/* Steady, with `left` s of `life` s to go on the live certificate. */
static void fx_aging(struct fx *f, int64_t life, int64_t left)
{
	struct state_gen *live;

	fx_steady(f, 1, 2);
	live = state_gen_find(&f->s, 1);
	live->not_after_s = f->o.wall_s + left;
	live->not_before_s = live->not_after_s - life;
}

static void test_points(void **state)
{
	static const struct {
		const char *name;
		int64_t life, certbot_renews, due, shrt;
	} cases[] = {
		{ "90 days", 90 * DAY, 0, 36 * DAY, 90 * DAY * 36 / 100 },
		{ "90 days, a third", 90 * DAY, 30 * DAY,
			30 * DAY + 90 * DAY * 7 / 100,
			30 * DAY + 90 * DAY * 3 / 100 },
		{ "45 days", 45 * DAY, 15 * DAY, 15 * DAY + 45 * DAY * 7 / 100,
			15 * DAY + 45 * DAY * 3 / 100 },
		{ "45 days, certbot's fixed 30", 45 * DAY, 30 * DAY,
			30 * DAY + 45 * DAY * 7 / 100,
			30 * DAY + 45 * DAY * 3 / 100 },
		{ "10 days", 10 * DAY, 0, 4 * DAY, 10 * DAY * 36 / 100 },
		{ "under 10 days", 10 * DAY - 1, 0, (10 * DAY - 1) * 55 / 100,
			(10 * DAY - 1) * 52 / 100 },
		{ "6 days, half", 6 * DAY, 3 * DAY, 3 * DAY + 6 * DAY * 7 / 100,
			3 * DAY + 6 * DAY * 3 / 100 },
		{ "renews later than we do", 90 * DAY, 5 * DAY, 36 * DAY,
			90 * DAY * 36 / 100 },
		{ "6 days, certbot's fixed 30", 6 * DAY, 30 * DAY,
			6 * DAY * 9 / 10, 6 * DAY * 9 / 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct action a;
		struct fx f;

		print_message("%s\n", cases[i].name);
		fx_aging(&f, cases[i].life, cases[i].due + 1);
		f.p.poll_max = DAY;
		f.o.certbot_renews_s = cases[i].certbot_renews;
		a = check_next(&f, ACT_WAIT);
		assert_int_equal(a.until_ms, f.now + 1000);
		f.o.wall_s++;
		a = check_next(&f, ACT_ISSUE);
		assert_true(spki_eq(&a.spki, &key(&f, 2)->spki));
		/* next is not ready: not on it, and not yet on current */
		f.owner[0].validated_has = 1;
		f.o.wall_s += cases[i].due - cases[i].shrt - 1;
		if (cases[i].due > cases[i].shrt)
			assert_int_not_equal(next(&f).kind, ACT_ISSUE);
		f.o.wall_s++;
		a = check_next(&f, ACT_ISSUE);
		assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
		check_says(&a, "current key");
		fx_release(&f);
	}
}

static void test_key_age(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 80 * DAY);
	f.p.poll_max = DAY;
	f.p.key_max_age = 10 * DAY + 60; /* it is ten days old */
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + 60 * 1000);
	f.p.key_max_age = 10 * DAY;
	a = check_next(&f, ACT_ISSUE);
	assert_true(spki_eq(&a.spki, &key(&f, 2)->spki));
	/* age is no reason for a certificate on the old key */
	f.owner[0].validated_has = 1;
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "waits for the next key");
	f.p.key_max_age = 0;
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "the next key is not ready yet");
	fx_release(&f);
}

static void test_asked_for(void **state)
{
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 80 * DAY);
	check_next(&f, ACT_WAIT);
	f.o.renew_asked = true;
	check_next(&f, ACT_ISSUE);
	f.s.issue_retry_ms = f.now + 1;
	check_next(&f, ACT_ISSUE);
	for (size_t i = 0; i < 8; i++)
		f.s.issued_ms[i] = f.now;
	check_next(&f, ACT_ISSUE);
	fx_release(&f);
}

static void test_not_ours_to_issue(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 20 * DAY);
	check_next(&f, ACT_ISSUE);
	f.p.issue_csr = false;
	check_next(&f, ACT_WAIT);
	f.p.issue_csr = true;
	f.o.can_issue = false;
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "certbot");
	f.o.can_issue = true;
	/* a certificate that waits comes first */
	add_key(&f, 3, KEY_CANDIDATE);
	add_gen(&f, 3, GEN_CERTBOT);
	serve(&f, 7);
	after_ms(&f, 60);
	sweep(&f);
	check_next(&f, ACT_WAIT);
	fx_release(&f);
}

/* E6: what waits is held up by a dead server, and time runs out: a certificate
 * on the current key needs no DNS. */
static void test_held_up_and_short(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 17 * DAY);
	add_key(&f, 3, KEY_CANDIDATE);
	add_gen(&f, 3, GEN_CERTBOT);
	f.ans[0][1].verdict = OBS_UNKNOWN;
	f.ans[0][0].has = 7;
	sweep(&f);
	a = check_next(&f, ACT_ISSUE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	/* the same when it is unfit */
	f.ans[0][1].verdict = OBS_GOOD;
	serve(&f, 7);
	f.o.unfit = bit_of(&f, 3);
	a = check_next(&f, ACT_ISSUE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	fx_release(&f);
}

/* A new owner name whose endpoint is not right yet holds up its own record, not
 * the certificate. */
static void test_a_new_name_holds_nothing_up(void **state)
{
	struct state_gen *live;
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	live = state_gen_find(&f.s, 1);
	live->not_after_s = f.o.wall_s + 20 * DAY;
	live->not_before_s = live->not_after_s - 90 * DAY;
	f.s.owner[1].publish_ms = 0;
	f.ans[1][0].has = f.ans[1][1].has = 0;
	after(&f, 60);
	sweep(&f);
	probed(&f, PROBED_MIXED, 1);
	a = check_next(&f, ACT_ISSUE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	fx_release(&f);
}

/* A given-up candidate never goes live: it is nothing to wait for. */
static void test_given_up_holds_nothing_up(void **state)
{
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 30 * DAY);
	add_key(&f, 3, KEY_CANDIDATE);
	add_gen(&f, 3, GEN_CERTBOT);
	plan_supersede(&f.s, key(&f, 3), f.now);
	f.o.claimed_elsewhere = 0;
	check_next(&f, ACT_ISSUE);
	fx_release(&f);
}

static void test_failure_backs_off(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 20 * DAY);
	f.s.issue_retry_ms = f.now + 60 * 1000;
	(void)snprintf(f.s.issue_why, sizeof(f.s.issue_why), "urn:acme:x");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "urn:acme:x");
	assert_int_equal(a.until_ms, f.now + 60 * 1000);
	after_ms(&f, 59999);
	check_next(&f, ACT_HOLD);
	after_ms(&f, 1);
	check_next(&f, ACT_ISSUE);
	fx_release(&f);
}

static void test_three_a_week(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 20 * DAY);
	f.s.issued_ms[0] = f.now - 7 * DAY * 1000 + 1;
	f.s.issued_ms[5] = f.now - 3;
	check_next(&f, ACT_ISSUE);
	f.s.issued_ms[7] = f.now - 3;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "rate limits");
	f.s.issued_ms[0]--; /* a week ago exactly */
	check_next(&f, ACT_ISSUE);
	fx_release(&f);
}

static void test_without_a_next_key(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 35 * DAY);
	key(&f, 2)->role = KEY_PREVIOUS; /* the last rollover is not over */
	f.p.retire_after = 30 * DAY;
	assert_int_not_equal(next(&f).kind, ACT_ISSUE);
	f.o.wall_s += 5 * DAY;
	a = check_next(&f, ACT_ISSUE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	fx_release(&f);
}

static void test_next_not_ready_says_why(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_aging(&f, 90 * DAY, 35 * DAY);
	f.p.poll_max = DAY;
	plan_doubt(&f.s, &f.p, f.now);
	after(&f, 60);
	sweep(&f);
	after(&f, 7000);
	sweep(&f);
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "waits for the next key");
	assert_int_equal(a.until_ms, f.now + 200 * 1000);
	f.owner[0].security = OBS_BOGUS;
	check_next(&f, ACT_HOLD);
	fx_release(&f);
}

/* ---- import ---- */

static void test_import(void **state)
{
	struct state_gen *g;
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	g = add_gen(&f, 2, GEN_CSR);
	check_next(&f, ACT_PROMOTE); /* it goes live first */
	g->retry_ms = f.now + 1000000;
	a = check_next(&f, ACT_IMPORT); /* rolled back: certbot sees it */
	assert_int_equal(a.gen, 2);
	f.s.live_gen = 2;
	a = check_next(&f, ACT_IMPORT);
	f.s.issue_retry_ms = f.now + 5000;
	a = check_next(&f, ACT_WAIT); /* certbot was at work */
	check_says(&a, "certbot does not know");
	assert_int_equal(a.until_ms, f.now + 5000);
	f.s.issue_tries = 1;
	a = check_next(&f, ACT_HOLD);
	assert_int_equal(a.until_ms, f.now + 5000);
	/* what weighs more is said instead */
	f.o.probe = PROBED_OUTAGE;
	(void)snprintf(f.o.probe_why, sizeof(f.o.probe_why), "mail stops");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "mail stops");
	f.o.probe = PROBED_ALL;
	f.p.issue_csr = false; /* in certbot's hook */
	check_next(&f, ACT_WAIT);
	f.p.issue_csr = true;
	f.s.issue_retry_ms = 0;
	g->lineage_version = 3;
	check_next(&f, ACT_WAIT);
	g->lineage_version = 0;
	g->source = GEN_CERTBOT;
	check_next(&f, ACT_WAIT);
	/* certbot has something newer: too late */
	g->source = GEN_CSR;
	add_gen(&f, 2, GEN_CERTBOT);
	f.s.live_gen = 3;
	check_next(&f, ACT_WAIT);
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points),
		cmocka_unit_test(test_key_age),
		cmocka_unit_test(test_asked_for),
		cmocka_unit_test(test_not_ours_to_issue),
		cmocka_unit_test(test_held_up_and_short),
		cmocka_unit_test(test_a_new_name_holds_nothing_up),
		cmocka_unit_test(test_given_up_holds_nothing_up),
		cmocka_unit_test(test_failure_backs_off),
		cmocka_unit_test(test_three_a_week),
		cmocka_unit_test(test_without_a_next_key),
		cmocka_unit_test(test_next_not_ready_says_why),
		cmocka_unit_test(test_import),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
