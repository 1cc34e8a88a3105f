/* The ready rule, to the millisecond, and everything that must hold it back.
 * Each test names the mail that would be lost if the rule were weaker. */
#include "plan_fixture.h"

/* ---- time ---- */

/* One owner, n servers: key 1 is live and served with TTL ttl since long;
 * key 2 has just been added, nobody serves it. The sweep has been folded. */
static void fx_rolling(struct fx *f, size_t owners, size_t n, uint32_t ttl)
{
	fx_init(f, owners, n);
	add_key(f, 1, KEY_CURRENT);
	add_gen(f, 1, GEN_CERTBOT);
	f->s.live_gen = 1;
	serve_ttl(f, ttl);
	serve(f, 1);
	sweep(f);
	sweep_for(f, 2 * DAY, HOUR); /* what was assumed is forgotten */
	add_key(f, 2, KEY_NEXT);
	sweep(f);
}

static void test_two_ttls_from_agreement(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 1, 3600);
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	after(&f, 900);
	serve(&f, 3);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	fx_release(&f);
}

static void test_more_ttls(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 1, 3600);
	f.p.wait_ttls = 5;
	after(&f, 900);
	serve(&f, 3);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 5 * 3600 * 1000);
	fx_release(&f);
}

static void test_floor_and_min_wait(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 1, 60);
	after(&f, 30);
	serve(&f, 3);
	sweep(&f);
	assert_int_equal(
		plan_ready_ms(&f.s, key(&f, 2), &f.p), f.now + 120 * 1000);
	f.p.ttl_floor = 3600;
	assert_int_equal(
		plan_ready_ms(&f.s, key(&f, 2), &f.p), f.now + 7200 * 1000);
	f.p.ttl_floor = 0;
	f.p.min_wait = 5000;
	check_ready_at(&f, 2, f.now + 5000 * 1000);
	fx_release(&f);
}

static void test_clock_starts_with_the_last_server(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 3, 3600);
	for (size_t j = 0; j < 3; j++) {
		assert_int_equal(key(&f, 2)->at[0].since_ms, 0);
		assert_false(ready(&f, 2));
		after(&f, 900);
		f.ans[0][j].has = 3;
		f.owner[0].validated_has = 3;
		sweep(&f);
	}
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	fx_release(&f);
}

static void test_loss_restarts(void **state)
{
	struct fx f;
	int64_t first;

	(void)state;
	fx_rolling(&f, 1, 3, 3600);
	serve(&f, 3);
	after(&f, 900);
	sweep(&f);
	first = plan_ready_ms(&f.s, key(&f, 2), &f.p);
	sweep_for(&f, 7000, 900);
	f.ans[0][2].has = 1; /* E7: restored from an old zone for one poll */
	after(&f, 100);
	sweep(&f);
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	f.ans[0][2].has = 3;
	after(&f, 100);
	sweep(&f);
	after_ms(&f, first - f.now);
	assert_false(ready(&f, 2));
	check_ready_at(&f, 2, first + 7200 * 1000);
	fx_release(&f);
}

static void test_silence_restarts(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 2, 3600);
	serve(&f, 3);
	after(&f, 900);
	sweep(&f);
	sweep_for(&f, 7000, 900);
	f.ans[0][1].verdict = OBS_UNKNOWN;
	after(&f, 150);
	sweep(&f);
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	f.ans[0][1].verdict = OBS_GOOD;
	after(&f, 150);
	sweep(&f);
	/* it may have served an old version until a moment ago */
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	fx_release(&f);
}

/* TTL 86400 lowered to 300 ten minutes before the rollover. */
static void test_lowered_ttl_still_binds(void **state)
{
	struct fx f;
	int64_t last;

	(void)state;
	fx_rolling(&f, 1, 1, 86400);
	last = f.now;
	serve_ttl(&f, 300);
	after(&f, 60);
	sweep(&f);
	sweep_for(&f, 540, 60);
	serve(&f, 3);
	after(&f, 60);
	sweep(&f);
	/* the version with a day was served until 60 s after it was seen; its
	 * TTL counts twice, from the agreement */
	assert_true(last + DAY * 1000 < plan_ready_ms(&f.s, key(&f, 2), &f.p));
	check_ready_at(&f, 2, f.now + 2 * DAY * 1000);
	fx_release(&f);
}

/* A bad version that outlives the agreement counts by its own end too. */
static void test_own_end_of_a_bad_version(void **state)
{
	struct key_at at = {
		.since_ms = T0,
		.bad = { .e = { { .ttl = 300, .last_ms = T0 - 1000 },
				 { .ttl = 100, .last_ms = T0 + 900000 } },
			.n = 2 },
	};
	struct policy p = { .wait_ttls = 2 };

	(void)state;
	assert_int_equal(ready_at_owner(&at, &p), T0 + 1000000);
	/* gone exactly at the agreement still counts, a ms earlier not */
	at.bad.n = 1;
	at.bad.e[0].last_ms = T0 - 300000;
	assert_int_equal(ready_at_owner(&at, &p), T0 + 600000);
	at.bad.e[0].last_ms--;
	assert_int_equal(ready_at_owner(&at, &p), T0);
	at.since_ms = 0;
	assert_int_equal(ready_at_owner(&at, &p), -1);
}

/* E8: raised on a version that lacks the key, while one server serves it. */
static void test_raised_ttl_on_a_bad_version(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 2, 3600);
	f.ans[0][0].has = 3;
	f.ans[0][1].ttl = 86400;
	after(&f, 900);
	sweep(&f);
	serve(&f, 3);
	serve_ttl(&f, 3600);
	after(&f, 900);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * DAY * 1000);
	fx_release(&f);
}

static void test_raised_ttl_on_a_good_version(void **state)
{
	struct fx f;
	int64_t due;

	(void)state;
	fx_rolling(&f, 1, 2, 3600);
	serve(&f, 3);
	after(&f, 900);
	sweep(&f);
	due = plan_ready_ms(&f.s, key(&f, 2), &f.p);
	serve_ttl(&f, 86400);
	after(&f, 900);
	sweep(&f);
	check_ready_at(&f, 2, due);
	fx_release(&f);
}

static void test_adoption_assumes(void **state)
{
	struct fx f;

	(void)state;
	fx_init(&f, 1, 2);
	add_key(&f, 1, KEY_CURRENT);
	add_key(&f, 2, KEY_NEXT);
	serve(&f, 3);
	serve_ttl(&f, 300);
	sweep(&f);
	check_ready_at(&f, 2, T0 + 2 * DAY * 1000);
	fx_release(&f);

	/* what was seen, if that is larger */
	fx_init(&f, 1, 2);
	f.p.assumed_prior_ttl = 600;
	add_key(&f, 1, KEY_CURRENT);
	add_key(&f, 2, KEY_NEXT);
	serve(&f, 1);
	serve_ttl(&f, 7200);
	sweep(&f);
	serve(&f, 3);
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * 7200 * 1000);
	fx_release(&f);
}

/*
 * Between two sweeps a bad version may have been served all the time. Seen bad
 * at 0, seen good two hours later with TTL 3600: caches filled one second
 * before the second sweep hold the bad answer for an hour.
 */
static void test_bad_until_seen_good(void **state)
{
	static const struct {
		uint32_t ttl;
		int64_t gap;
	} cases[] = { { 3600, 2 * HOUR }, { 3600, 3601 }, { 60, 900 },
		{ 300, DAY } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fx f;

		/* nobody had it: hidden */
		fx_rolling(&f, 1, 2, cases[i].ttl);
		after(&f, cases[i].gap);
		serve(&f, 3);
		sweep(&f);
		check_ready_at(&f, 2, f.now + 2 * (int64_t)cases[i].ttl * 1000);
		fx_release(&f);

		/* one server had it: rumoured */
		fx_rolling(&f, 1, 2, cases[i].ttl);
		f.ans[0][0].has = 3;
		after(&f, 1);
		sweep(&f);
		after(&f, cases[i].gap);
		serve(&f, 3);
		sweep(&f);
		check_ready_at(&f, 2, f.now + 2 * (int64_t)cases[i].ttl * 1000);
		fx_release(&f);
	}
}

/* The same after a silent server, a doubtful clock, and a key that was made
 * after the last sweep. */
static void test_bad_until_heard_good(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 2, 300);
	serve(&f, 3);
	sweep(&f);
	f.ans[0][1].verdict = OBS_UNKNOWN;
	after(&f, 60);
	sweep(&f);
	after(&f, HOUR);
	f.ans[0][1].verdict = OBS_GOOD;
	sweep(&f);
	check_ready_at(&f, 2, f.now + 600 * 1000);
	fx_release(&f);

	fx_rolling(&f, 1, 2, 300);
	serve(&f, 3);
	sweep(&f);
	sweep_for(&f, DAY, 60);
	plan_doubt(&f.s, &f.p, f.now);
	after(&f, HOUR);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 600 * 1000);
	fx_release(&f);

	fx_rolling(&f, 1, 2, 300);
	after(&f, HOUR);
	add_key(&f, 3, KEY_CANDIDATE);
	serve(&f, 7);
	sweep(&f);
	check_ready_at(&f, 3, f.now + 600 * 1000);
	fx_release(&f);
}

/*
 * TTL 86400 was lowered to 300; one server is not heard from since before, and
 * for two days: it may be serving the old version, with the old TTL, all the
 * time. When it comes back its old answers are good for a day.
 */
static void test_unheard_server_keeps_its_ttl(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 3, 86400);
	f.ans[0][2].verdict = OBS_UNKNOWN;
	serve(&f, 3);
	serve_ttl(&f, 300);
	after(&f, 60);
	sweep(&f);
	sweep_for(&f, 2 * DAY, 60);
	f.ans[0][2].verdict = OBS_GOOD;
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * DAY * 1000);
	fx_release(&f);
}

/* Silent from the very first sweep: what is assumed does not wear off. */
static void test_unheard_since_adoption(void **state)
{
	struct fx f;

	(void)state;
	fx_init(&f, 1, 2);
	add_key(&f, 1, KEY_CURRENT);
	serve(&f, 1);
	serve_ttl(&f, 300);
	f.ans[0][1].verdict = OBS_UNKNOWN;
	sweep(&f);
	sweep_for(&f, 3 * DAY, 60);
	add_key(&f, 2, KEY_NEXT);
	serve(&f, 3);
	sweep_for(&f, HOUR, 60);
	f.ans[0][1].verdict = OBS_GOOD;
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * DAY * 1000);
	fx_release(&f);
}

/* ---- who counts ---- */

static void test_untestable(void **state)
{
	struct fx f;

	(void)state;
	fx_rolling(&f, 1, 2, 3600);
	serve(&f, 3);
	after(&f, 60);
	sweep(&f);
	after(&f, 7200);
	assert_true(ready(&f, 2));
	/* no route to this address, the server's other one was asked */
	f.ans[0][1].verdict = OBS_UNTESTABLE;
	f.ans[0][1].has = 0;
	memcpy(f.ans[0][1].ns, f.ans[0][0].ns, sizeof(f.ans[0][0].ns));
	sweep(&f);
	assert_true(ready(&f, 2));
	assert_true(served_everywhere(&f.s, &f.o, key(&f, 2)));
	/* no other address */
	(void)snprintf(f.ans[0][1].ns, sizeof(f.ans[0][1].ns), "ns9.");
	assert_false(ready(&f, 2));
	assert_false(served_everywhere(&f.s, &f.o, key(&f, 2)));
	sweep(&f);
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	/* the other one was not heard either */
	memcpy(f.ans[0][1].ns, f.ans[0][0].ns, sizeof(f.ans[0][0].ns));
	f.ans[0][0].verdict = OBS_UNKNOWN;
	assert_false(owner_all_answered(&f.owner[0], NULL, NULL));
	/* an ignored address tests nothing for its sibling */
	f.ans[0][0].verdict = OBS_IGNORED;
	assert_false(owner_all_answered(&f.owner[0], NULL, NULL));
	fx_release(&f);
}

static void test_ignored(void **state)
{
	struct fx f;
	char who[400], why[400];

	(void)state;
	fx_rolling(&f, 1, 2, 3600);
	f.ans[0][0].has = 3;
	f.owner[0].validated_has = 3;
	f.ans[0][1].verdict = OBS_IGNORED; /* and lacks the record */
	sweep(&f);
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	/* ignoring all of them is not agreement */
	f.ans[0][0].verdict = OBS_IGNORED;
	assert_false(ready(&f, 2));
	assert_false(owner_all_answered(&f.owner[0], who, why));
	assert_string_equal(who, "no server");
	f.owner[0].n = 0;
	assert_false(ready(&f, 2));
	sweep(&f);
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	fx_release(&f);
}

static void test_names_the_server(void **state)
{
	struct fx f;
	char who[400], why[400];
	struct ready_why w;

	(void)state;
	fx_rolling(&f, 1, 3, 3600);
	f.ans[0][2].verdict = OBS_UNKNOWN;
	(void)snprintf(f.ans[0][2].why, sizeof(f.ans[0][2].why), "timeout");
	assert_false(owner_all_answered(&f.owner[0], who, why));
	assert_string_equal(who, "server ns3.example. 192.0.2.3");
	assert_string_equal(why, "timeout");
	f.ans[0][2].verdict = OBS_UNTESTABLE;
	assert_false(owner_all_answered(&f.owner[0], who, why));
	assert_non_null(strstr(why, "no other address"));
	f.ans[0][2].verdict = OBS_GOOD;
	serve(&f, 3);
	f.ans[0][1].has = 1;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_non_null(strstr(w.text, "ns2.example."));
	assert_false(w.blocked);
	assert_int_equal(w.ready_ms, -1);
	fx_release(&f);
}

/* ---- the sweep of this moment ---- */

static void fx_ready(struct fx *f, size_t owners)
{
	fx_rolling(f, owners, 2, 3600);
	serve(f, 3);
	after(f, 60);
	sweep(f);
	sweep_for(f, 7200, 900);
	assert_true(ready(f, 2));
}

static void test_final_sweep(void **state)
{
	struct fx f;

	(void)state;
	fx_ready(&f, 1);
	f.o.swept = false;
	assert_false(ready(&f, 2));
	assert_false(served_everywhere(&f.s, &f.o, key(&f, 2)));
	f.o.swept = true;
	f.ans[0][1].has = 1;
	assert_false(ready(&f, 2));
	assert_false(served_everywhere(&f.s, &f.o, key(&f, 2)));
	f.ans[0][1].has = 3;
	f.ans[0][0].verdict = OBS_UNKNOWN;
	assert_false(ready(&f, 2));
	f.ans[0][0].verdict = OBS_GOOD;
	f.owner[0].validated_has = 1;
	assert_false(ready(&f, 2));
	f.owner[0].validated_has = 3;
	assert_true(ready(&f, 2));
	fx_release(&f);
}

/* A zone that nobody signs anew is no place for a switch: less than an hour, or
 * less than a tenth of the validity, on any server. */
static void test_signatures_last(void **state)
{
	static const int64_t validity[] = { 14 * DAY, 2 * HOUR };
	struct ready_why why;
	struct fx f;

	(void)state;
	fx_ready(&f, 1);
	for (size_t i = 0; i < 2; i++) {
		int64_t end = validity[i] / 10 < HOUR ? validity[i] / 10 : HOUR;

		f.o.wall_ms = f.now;
		f.ans[0][0].rrsig_inception_s = f.o.wall_s - DAY;
		f.ans[0][0].rrsig_expiration_s = f.o.wall_s + 6 * DAY;
		f.ans[0][1].rrsig_expiration_s = f.o.wall_s + end + 1;
		f.ans[0][1].rrsig_inception_s =
			f.ans[0][1].rrsig_expiration_s - validity[i];
		assert_true(ready(&f, 2));
		f.ans[0][1].rrsig_expiration_s--;
		f.ans[0][1].rrsig_inception_s--;
		assert_false(
			ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &why));
		assert_true(why.blocked);
		assert_non_null(strstr(why.text, "ns2.example. 192.0.2.2"));
	}
	fx_release(&f);
}

static void test_security(void **state)
{
	static const struct {
		enum obs_security security;
		bool proceed, validated, ready, blocked;
	} cases[] = {
		{ OBS_SECURE, false, true, true, false },
		{ OBS_SECURE, true, true, true, false },
		{ OBS_SECURE, true, false, false, false },
		{ OBS_INSECURE, false, true, false, true },
		{ OBS_INSECURE, true, true, true, false },
		{ OBS_INSECURE, true, false, true, false },
		{ OBS_BOGUS, false, true, false, true },
		{ OBS_BOGUS, true, true, false, true },
		{ OBS_NO_ANSWER, false, true, false, true },
		{ OBS_NO_ANSWER, true, true, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ready_why w = { .blocked = false };
		struct fx f;

		fx_ready(&f, 1);
		f.owner[0].security = cases[i].security;
		f.owner[0].validated_has = cases[i].validated ? 3 : 1;
		f.p.proceed_insecure = cases[i].proceed;
		print_message("case %zu\n", i);
		assert_int_equal(
			ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w),
			cases[i].ready);
		if (!cases[i].ready)
			assert_int_equal(w.blocked, cases[i].blocked);
		fx_release(&f);
	}
}

static void test_every_owner(void **state)
{
	struct ready_why w;
	struct fx f;

	(void)state;
	fx_rolling(&f, 2, 2, 3600);
	for (size_t j = 0; j < 2; j++)
		f.ans[0][j].has = 3;
	f.owner[0].validated_has = 3;
	sweep(&f);
	after(&f, 900);
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	serve(&f, 3);
	sweep(&f);
	/* the latest instant, and which name it is */
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_int_equal(w.ready_ms, f.now + 7200 * 1000);
	assert_non_null(strstr(w.text, "_465."));
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	/* the other way round */
	f.ans[0][0].has = 1;
	sweep(&f);
	f.ans[0][0].has = 3;
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	/* any owner blocks; blocked wins over not yet */
	f.owner[1].security = OBS_BOGUS;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_true(w.blocked);
	f.ans[0][0].has = 1;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_true(w.blocked);
	fx_release(&f);
}

static void test_unknown_beats_a_time(void **state)
{
	struct ready_why w;
	struct fx f;

	(void)state;
	fx_rolling(&f, 2, 2, 3600);
	serve(&f, 3);
	sweep(&f);
	f.ans[0][0].has = 1;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_int_equal(w.ready_ms, -1);
	f.ans[0][0].has = 3;
	f.ans[1][0].has = 1;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_int_equal(w.ready_ms, -1);
	fx_release(&f);
}

static void test_not_at_hand(void **state)
{
	struct fx f;

	(void)state;
	fx_ready(&f, 1);
	key(&f, 2)->have_file = false;
	assert_false(ready(&f, 2));
	key(&f, 2)->have_file = true;
	assert_true(ready(&f, 2));
	key(&f, 2)->role = KEY_RETIRED;
	assert_false(ready(&f, 2));
	key(&f, 2)->role = KEY_NEXT;
	f.s.n_owners = 0;
	assert_false(ready(&f, 2));
	assert_false(served_everywhere(&f.s, &f.o, key(&f, 2)));
	assert_int_equal(plan_ready_ms(&f.s, key(&f, 2), &f.p), -1);
	f.s.n_owners = 1;
	fx_release(&f);
}

/*
 * RFC 7671 section 9: while a foreign 3 1 2 that matches only key 1 is in the
 * set, senders use nothing else: the set lacks key 2 for them, and so do the
 * caches for a TTL after it was removed.
 */
static void test_stronger_digest(void **state)
{
	struct ready_why w;
	struct fx f;

	(void)state;
	fx_ready(&f, 1);
	f.owner[0].agility_bad = 1;
	assert_true(ready(&f, 2));
	f.owner[0].agility_bad = 2;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &w));
	assert_true(w.blocked);
	after(&f, 60);
	sweep(&f);
	f.owner[0].agility_bad = 0;
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_ttls_from_agreement),
		cmocka_unit_test(test_more_ttls),
		cmocka_unit_test(test_floor_and_min_wait),
		cmocka_unit_test(test_clock_starts_with_the_last_server),
		cmocka_unit_test(test_loss_restarts),
		cmocka_unit_test(test_silence_restarts),
		cmocka_unit_test(test_lowered_ttl_still_binds),
		cmocka_unit_test(test_own_end_of_a_bad_version),
		cmocka_unit_test(test_raised_ttl_on_a_bad_version),
		cmocka_unit_test(test_raised_ttl_on_a_good_version),
		cmocka_unit_test(test_adoption_assumes),
		cmocka_unit_test(test_bad_until_seen_good),
		cmocka_unit_test(test_bad_until_heard_good),
		cmocka_unit_test(test_unheard_server_keeps_its_ttl),
		cmocka_unit_test(test_unheard_since_adoption),
		cmocka_unit_test(test_untestable),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_names_the_server),
		cmocka_unit_test(test_final_sweep),
		cmocka_unit_test(test_signatures_last),
		cmocka_unit_test(test_security),
		cmocka_unit_test(test_every_owner),
		cmocka_unit_test(test_unknown_beats_a_time),
		cmocka_unit_test(test_not_at_hand),
		cmocka_unit_test(test_stronger_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
