/* What a sweep leaves in the state: runs, gaps, serials, record states, and
 * what roles mean for what is remembered. */
#include "plan_fixture.h"

static const struct key_at *at(const struct fx *f, unsigned n)
{
	return &key(f, n)->at[0];
}

static void fx_new(struct fx *f, size_t servers)
{
	fx_init(f, 1, servers);
	add_key(f, 1, KEY_CURRENT);
}

static void test_not_swept_changes_nothing(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 2);
	f.o.swept = false;
	serve(&f, 1);
	sweep(&f);
	assert_int_equal(f.s.owner[0].swept_ms, 0);
	assert_int_equal(f.s.owner[0].first_ms, 0);
	assert_int_equal(at(&f, 1)->since_ms, 0);
	fx_release(&f);
}

static void test_record_states(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 2);
	sweep(&f);
	assert_int_equal(at(&f, 1)->rec, REC_HIDDEN);
	f.ans[0][0].has = 1;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->rec, REC_RUMOURED);
	assert_int_equal(at(&f, 1)->since_ms, 0);
	/* nobody can be heard: still rumoured */
	f.ans[0][0].verdict = f.ans[0][1].verdict = OBS_UNKNOWN;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->rec, REC_RUMOURED);
	f.ans[0][0].verdict = f.ans[0][1].verdict = OBS_GOOD;
	serve(&f, 1);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->rec, REC_RUMOURED);
	assert_int_equal(at(&f, 1)->since_ms, f.now);
	sweep_for(&f, 2 * DAY, 900);
	assert_int_equal(at(&f, 1)->rec, REC_OMNIPRESENT);
	f.ans[0][1].has = 0;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->rec, REC_RUMOURED);
	f.ans[0][0].has = 0;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->rec, REC_HIDDEN);
	fx_release(&f);
}

static void test_run_goes_on(void **state)
{
	struct fx f;
	int64_t since;

	(void)state;
	fx_new(&f, 2);
	serve(&f, 1);
	sweep(&f);
	since = at(&f, 1)->since_ms;
	assert_int_equal(since, T0);
	for (int i = 0; i < 50; i++) {
		after(&f, 900);
		serial_all(&f, 100 + (uint32_t)i);
		sweep(&f);
		assert_int_equal(at(&f, 1)->since_ms, since);
		assert_int_equal(f.s.owner[0].swept_ms, f.now);
	}
	assert_int_equal(f.s.owner[0].first_ms, T0);
	fx_release(&f);
}

/* A gap counts if both ends are good and no serial went back. */
static void test_gap(void **state)
{
	static const struct {
		const char *name;
		uint32_t ttl;
		int64_t gap;
		uint32_t serial; /* of the second server, was 100 */
		bool known, good, breaks;
	} cases[] = {
		{ "short", 3600, 900, 100, true, true, false },
		{ "long, same serial", 3600, DAY, 100, true, true, false },
		{ "long, newer", 3600, DAY, 101, true, true, false },
		{ "long, older", 3600, DAY, 99, true, true, true },
		{ "long, older but silent on it", 3600, DAY, 99, false, true,
			false },
		{ "half a TTL and a bit", 3600, 1801, 99, true, true, true },
		{ "long, wrapped", 3600, DAY, 0x80000064u - 1, true, true,
			false },
		{ "long, far back", 3600, DAY, 0x80000064u + 1, true, true,
			true },
		{ "not longer than poll_max", 60, 900, 99, true, true, false },
		{ "longer than poll_max", 60, 901, 99, true, true, true },
		{ "long, older, not an answer", 3600, DAY, 99, true, false,
			true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fx f;
		int64_t since;

		print_message("%s\n", cases[i].name);
		fx_new(&f, 2);
		serve(&f, 1);
		serve_ttl(&f, cases[i].ttl);
		sweep(&f);
		sweep_for(&f, 2 * DAY, cases[i].ttl / 2);
		since = at(&f, 1)->since_ms;
		assert_int_equal(since, T0);
		after(&f, cases[i].gap);
		f.ans[0][1].serial = cases[i].serial;
		f.ans[0][1].have_serial = cases[i].known;
		if (!cases[i].good)
			f.ans[0][1].verdict = OBS_UNKNOWN;
		sweep(&f);
		if (!cases[i].good)
			assert_int_equal(at(&f, 1)->since_ms, 0);
		else if (cases[i].breaks)
			assert_int_equal(at(&f, 1)->since_ms, f.now);
		else
			assert_int_equal(at(&f, 1)->since_ms, since);
		fx_release(&f);
	}
}

/* What broke the run may have been an old version: its TTL counts again. */
static void test_gap_costs_the_old_ttl(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 2);
	serve(&f, 1);
	sweep(&f);
	sweep_for(&f, 2 * DAY, 900);
	assert_true(ready(&f, 1));
	after(&f, 1801);
	serial_all(&f, 50);
	sweep(&f);
	check_ready_at(&f, 1, f.now + 7200 * 1000);
	/* the older serial is the known one now */
	after(&f, 1801);
	serial_all(&f, 51);
	sweep(&f);
	assert_true(ready(&f, 1));
	fx_release(&f);
}

static void test_serials_are_per_server(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 2);
	serve(&f, 1);
	f.ans[0][0].serial = 500;
	f.ans[0][1].serial = 7;
	sweep(&f);
	assert_int_equal(f.s.owner[0].n_serials, 2);
	after(&f, DAY);
	sweep(&f);
	assert_int_equal(at(&f, 1)->since_ms, T0);
	/* more servers than can be remembered: no harm */
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(f.ans[0][0].server, sizeof(f.ans[0][0].server),
			"ns%u.example. 192.0.2.%u", i, i);
		after(&f, 60);
		sweep(&f);
	}
	assert_int_equal(f.s.owner[0].n_serials, STATE_SERIALS_MAX);
	fx_release(&f);
}

static void test_served_is_remembered(void **state)
{
	struct fx f;
	const struct ttl_history *h;

	(void)state;
	fx_new(&f, 2);
	f.ans[0][0].ttl = 600;
	f.ans[0][1].ttl = 60;
	f.ans[0][1].verdict = OBS_IGNORED;
	sweep(&f);
	h = &f.s.owner[0].served;
	/* the assumed one and the one that was seen */
	assert_int_equal(ttl_history_max_at(h, f.now), 86400);
	assert_int_equal(h->n, 2);
	/* what no cache can hold is dropped, what is served stays */
	after(&f, DAY + 1);
	sweep(&f);
	assert_int_equal(ttl_history_max_at(h, f.now), 600);
	assert_int_equal(h->n, 1);
	fx_release(&f);
}

/* A key that was added later: versions of before it was known lack it. */
static void test_new_key_inherits_the_past(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 1);
	serve(&f, 1);
	serve_ttl(&f, 7200);
	sweep(&f);
	sweep_for(&f, 2 * DAY, 900);
	serve_ttl(&f, 60);
	after(&f, 60);
	sweep(&f);
	after(&f, 60);
	add_key(&f, 2, KEY_NEXT);
	serve(&f, 3);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * 7200 * 1000);
	fx_release(&f);
}

/* Somebody raised the TTL between two sweeps, and then our record came: a
 * version without it and with the TTL of now was served, and no sweep saw it. */
static void test_ttl_raised_unseen(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 1);
	serve(&f, 1);
	serve_ttl(&f, 300);
	sweep(&f);
	sweep_for(&f, 2 * DAY, 900);
	add_key(&f, 2, KEY_NEXT);
	sweep(&f);
	after(&f, 60);
	serve(&f, 3);
	serve_ttl(&f, 7200);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * 7200 * 1000);
	fx_release(&f);
}

/* The old TTL was seen five hours ago; until the sweep that saw the new one it
 * may have been served. A key that comes after that sweep must wait for it. */
static void test_new_key_inherits_the_gap(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 1);
	serve(&f, 1);
	serve_ttl(&f, 7200);
	sweep(&f);
	sweep_for(&f, 2 * DAY, 900);
	after(&f, 5 * HOUR);
	serve_ttl(&f, 60);
	sweep(&f);
	add_key(&f, 2, KEY_NEXT);
	after(&f, 60);
	sweep(&f);
	serve(&f, 3);
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * 7200 * 1000);
	/* and what is not served any more wears off */
	sweep_for(&f, DAY, 60);
	assert_int_equal(f.s.owner[0].served.n, 1);
	fx_release(&f);
}

/* Published by hand, or just before a crash: seen for the first time when it is
 * already everywhere. */
static void test_known_everywhere_at_once(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 1);
	serve(&f, 1);
	sweep(&f);
	sweep_for(&f, 2 * DAY, 900);
	add_key(&f, 2, KEY_NEXT);
	serve(&f, 3);
	after(&f, 5);
	sweep(&f);
	assert_int_equal(at(&f, 2)->rec, REC_RUMOURED);
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	fx_release(&f);
}

static void test_tries_end_with_agreement(void **state)
{
	struct fx f;

	(void)state;
	fx_new(&f, 2);
	add_key(&f, 2, KEY_NEXT);
	f.s.owner[0].publish_tries = 4;
	serve(&f, 1);
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_tries, 4);
	f.ans[0][0].has = 3;
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_tries, 4);
	serve(&f, 3);
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_tries, 0);
	/* a withdrawn record that a slow server still shows is no agreement:
	 * without a pause we would withdraw it again and again */
	plan_set_role(&f.s, key(&f, 2), KEY_RETIRED, f.now);
	f.s.owner[0].publish_tries = 4;
	f.ans[0][1].has = 1;
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_tries, 4);
	f.ans[0][0].has = 1;
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_tries, 0);
	fx_release(&f);
}

/* ---- withdrawn ---- */

/* A TTL that we brought is on its way until the servers agree, seen or not. */
static void test_ttl_on_its_way(void **state)
{
	struct owner_state *os;
	struct fx f;

	(void)state;
	fx_new(&f, 2);
	f.ans[0][0].ttl = f.ans[0][1].ttl = 60;
	sweep(&f);
	os = &f.s.owner[0];
	os->served.n = key(&f, 1)->at[0].bad.n = 0; /* no adoption */
	os->publish_ms = f.now;
	os->publish_tries = 1;
	ttl_history_add(&os->served, 7200, f.now);
	after(&f, 600);
	sweep(&f);
	after(&f, 3600);
	sweep(&f);
	after(&f, 5);
	serve(&f, 1);
	sweep(&f);
	assert_int_equal(os->publish_tries, 0);
	/* it may have been served until then */
	assert_int_equal(ttl_history_gone_ms(&os->served),
		f.now - 1 + 7200 * 1000);
	assert_int_equal(ttl_history_max_at(&at(&f, 1)->bad, f.now), 7200);
	after(&f, 600);
	sweep(&f);
	assert_int_equal(ttl_history_gone_ms(&os->served),
		f.now - 1 - 600 * 1000 + 7200 * 1000);
	fx_release(&f);
}

static void test_retired(void **state)
{
	struct fx f;
	int64_t gone;

	(void)state;
	fx_steady(&f, 1, 2);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	assert_int_equal(key(&f, 1)->retired_ms, f.now);
	assert_int_equal(at(&f, 1)->rec, REC_UNRETENTIVE);
	assert_int_equal(at(&f, 1)->since_ms, 0);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->gone_ms, 0);
	f.ans[0][0].has = 2;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->gone_ms, 0);
	/* the last one is not heard: not gone */
	f.ans[0][1].verdict = OBS_UNKNOWN;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->gone_ms, 0);
	assert_int_equal(at(&f, 1)->rec, REC_UNRETENTIVE);
	f.ans[0][1].verdict = OBS_GOOD;
	f.ans[0][1].has = 2;
	after(&f, 60);
	sweep(&f);
	gone = f.now;
	assert_int_equal(at(&f, 1)->gone_ms, gone);
	assert_int_equal(at(&f, 1)->rec, REC_HIDDEN);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->gone_ms, gone);
	/* back on one server */
	f.ans[0][1].has = 3;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(at(&f, 1)->gone_ms, 0);
	assert_int_equal(at(&f, 1)->rec, REC_UNRETENTIVE);
	fx_release(&f);
}

/* The TTL of an unheard server counts for what it may go on serving. */
static void test_retired_unheard(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	serve(&f, 2);
	serve_ttl(&f, 60);
	f.ans[0][1].verdict = OBS_UNKNOWN;
	after(&f, 60);
	sweep(&f);
	f.ans[0][1].verdict = OBS_GOOD;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), f.now + 3600 * 1000);
	fx_release(&f);
}

static void test_forget_ms(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), -1);
	for (size_t j = 0; j < 2; j++)
		f.ans[0][j].has = 2;
	after(&f, 60);
	sweep(&f);
	/* gone at one owner name only */
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), -1);
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), f.now + 3600 * 1000);
	/* one server shows it again, with a larger TTL */
	f.ans[1][1].has = 3;
	f.ans[1][1].ttl = 7200;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), -1);
	f.ans[1][1].has = 2;
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), f.now + 7200 * 1000);
	fx_release(&f);
}

/* Withdrawn at once: no sweep saw it after it was retired. */
static void test_forget_without_a_sight(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), f.now + 3600 * 1000);
	fx_release(&f);
}

/* It was missing, was put back a moment ago, and is withdrawn before any server
 * shows it: what is under way may come and go between two sweeps. */
static void test_forget_under_way(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	sweep(&f);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	sweep(&f);
	assert_int_equal(at(&f, 1)->gone_ms, 0);
	assert_int_equal(at(&f, 1)->rec, REC_HIDDEN);
	after_ms(&f, 3600 * 1000 - 1);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), -1);
	after(&f, 3600);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), f.now + 3600 * 1000);
	/* what is published later never had it */
	f.s.owner[0].publish_ms = f.now;
	serve_ttl(&f, 7200);
	after(&f, 60);
	sweep(&f);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p),
		f.now + (3600 - 120) * 1000);
	fx_release(&f);
}

/* The provider no longer holds what the servers still show: the run ends, and
 * the TTL of what may come counts. */
static void test_missing_at_the_provider(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	assert_true(ready(&f, 2));
	assert_false(plan_missing(&f.s, &f.p, 0, 0, f.now));
	assert_false(plan_missing(&f.s, &f.p, 0, bit_of(&f, 1), f.now));
	assert_true(ready(&f, 2));
	ttl_history_add(&f.s.owner[0].served, 7200, f.now); /* brought */
	assert_true(plan_missing(&f.s, &f.p, 0, bit_of(&f, 2), f.now));
	assert_false(ready(&f, 2));
	assert_int_equal(at(&f, 2)->rec, REC_RUMOURED);
	assert_int_not_equal(key(&f, 2)->at[1].since_ms, 0);
	assert_false(plan_missing(&f.s, &f.p, 0, bit_of(&f, 2), f.now));
	sweep(&f);
	check_ready_at(&f, 2, f.now + 2 * 7200 * 1000);
	fx_release(&f);
}

/* Resolvers keep it for at least ttl_floor. */
static void test_forget_floor(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.p.ttl_floor = 7200;
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(
		forget_ms(&f.s, key(&f, 1), &f.p), f.now + 7200 * 1000);
	fx_release(&f);
}

/* Seen with the record, then not looked at for a day: it was served until the
 * sweep that misses it. */
static void test_forget_after_a_gap(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	after(&f, 60);
	sweep(&f);
	after(&f, DAY);
	serve(&f, 2);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 1), &f.p), f.now + 3600 * 1000);
	fx_release(&f);
}

static void test_wanted_again(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	assert_true(ready(&f, 1));
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	after(&f, 60);
	serve(&f, 2);
	sweep(&f);
	after(&f, 60);
	plan_set_role(&f.s, key(&f, 1), KEY_CANDIDATE, f.now);
	assert_int_equal(at(&f, 1)->rec, REC_HIDDEN);
	assert_int_equal(at(&f, 1)->gone_ms, 0);
	serve(&f, 3);
	after(&f, 60);
	sweep(&f);
	check_ready_at(&f, 1, f.now + 7200 * 1000);
	fx_release(&f);
}

/* Between roles that are all published nothing is forgotten. */
static void test_roles_keep_the_run(void **state)
{
	static const enum key_role roles[] = { KEY_CANDIDATE, KEY_CURRENT,
		KEY_PREVIOUS, KEY_NEXT };
	struct fx f;
	int64_t since;

	(void)state;
	fx_steady(&f, 1, 2);
	since = at(&f, 2)->since_ms;
	for (size_t i = 0; i < 4; i++) {
		plan_set_role(&f.s, key(&f, 2), roles[i], f.now);
		assert_int_equal(key(&f, 2)->role, roles[i]);
		assert_int_equal(at(&f, 2)->since_ms, since);
		assert_int_equal(at(&f, 2)->rec, REC_OMNIPRESENT);
		assert_int_equal(key(&f, 2)->retired_ms, 0);
	}
	fx_release(&f);
}

static void test_supersede(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	/* never seen, never live */
	add_key(&f, 3, KEY_CANDIDATE);
	plan_supersede(&f.s, key(&f, 3), f.now);
	assert_int_equal(key(&f, 3)->role, KEY_RETIRED);
	/* published a moment ago: nobody shows it yet, but it is on its way */
	add_key(&f, 6, KEY_CANDIDATE);
	after(&f, 1);
	f.s.owner[0].publish_ms = f.now;
	plan_supersede(&f.s, key(&f, 6), f.now);
	assert_int_equal(key(&f, 6)->role, KEY_PREVIOUS);
	f.s.owner[0].publish_ms = T0;
	/* some server has shown it: it may be in a cache */
	add_key(&f, 4, KEY_CANDIDATE);
	f.ans[0][1].has |= bit_of(&f, 4);
	after(&f, 60);
	sweep(&f);
	plan_supersede(&f.s, key(&f, 4), f.now);
	assert_int_equal(key(&f, 4)->role, KEY_PREVIOUS);
	/* it was live once */
	add_key(&f, 5, KEY_CANDIDATE);
	key(&f, 5)->live_ms = f.now;
	plan_supersede(&f.s, key(&f, 5), f.now);
	assert_int_equal(key(&f, 5)->role, KEY_PREVIOUS);
	/* it is live */
	key(&f, 1)->live_ms = 0;
	key(&f, 1)->at[0].rec = REC_HIDDEN;
	plan_supersede(&f.s, key(&f, 1), f.now);
	assert_int_equal(key(&f, 1)->role, KEY_PREVIOUS);
	fx_release(&f);
}

/* ---- doubt ---- */

static void test_doubt(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 2);
	add_key(&f, 3, KEY_PREVIOUS);
	plan_set_role(&f.s, key(&f, 3), KEY_RETIRED, f.now);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(key(&f, 3)->at[1].gone_ms, f.now);
	assert_true(ready(&f, 2));
	plan_doubt(&f.s, &f.p, f.now);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(key(&f, 2)->at[i].since_ms, 0);
		assert_int_equal(key(&f, 3)->at[i].gone_ms, 0);
		assert_int_equal(key(&f, 2)->at[i].rec, REC_RUMOURED);
	}
	assert_false(ready(&f, 2));
	assert_int_equal(forget_ms(&f.s, key(&f, 3), &f.p), -1);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(forget_ms(&f.s, key(&f, 3), &f.p), f.now + 3600 * 1000);
	check_ready_at(&f, 2, f.now + 7200 * 1000);
	fx_release(&f);
}

/* Nobody looked for days, before the doubt or after it; meanwhile the TTL was
 * lowered. A key that comes now was in none of what caches hold from then. */
static void test_new_key_inherits_the_doubt(void **state)
{
	static const struct {
		int64_t before, after;
	} gaps[] = { { 3 * DAY, 60 }, { 60, 3 * DAY },
		{ 3 * DAY, 3 * DAY } };

	(void)state;
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		struct fx f;

		fx_new(&f, 1);
		f.p.assumed_prior_ttl = 300;
		serve(&f, 1);
		serve_ttl(&f, 2 * DAY);
		sweep(&f);
		after(&f, gaps[i].before);
		plan_doubt(&f.s, &f.p, f.now);
		add_key(&f, 2, KEY_NEXT);
		serve_ttl(&f, 60);
		after(&f, gaps[i].after);
		sweep(&f);
		serve(&f, 3);
		after(&f, 60);
		sweep(&f);
		check_ready_at(&f, 2, f.now + 2 * 2 * DAY * 1000);
		fx_release(&f);
	}
}

/* Nothing that was seen is recent: what is assumed counts. */
static void test_doubt_after_a_long_time(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	after(&f, 40 * DAY);
	plan_doubt(&f.s, &f.p, f.now);
	assert_int_equal(ttl_history_max_at(&at(&f, 2)->bad, f.now), DAY);
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_swept_changes_nothing),
		cmocka_unit_test(test_record_states),
		cmocka_unit_test(test_run_goes_on),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_gap_costs_the_old_ttl),
		cmocka_unit_test(test_serials_are_per_server),
		cmocka_unit_test(test_served_is_remembered),
		cmocka_unit_test(test_new_key_inherits_the_past),
		cmocka_unit_test(test_ttl_raised_unseen),
		cmocka_unit_test(test_new_key_inherits_the_gap),
		cmocka_unit_test(test_known_everywhere_at_once),
		cmocka_unit_test(test_tries_end_with_agreement),
		cmocka_unit_test(test_ttl_on_its_way),
		cmocka_unit_test(test_retired),
		cmocka_unit_test(test_retired_unheard),
		cmocka_unit_test(test_forget_ms),
		cmocka_unit_test(test_forget_without_a_sight),
		cmocka_unit_test(test_forget_under_way),
		cmocka_unit_test(test_missing_at_the_provider),
		cmocka_unit_test(test_forget_floor),
		cmocka_unit_test(test_forget_after_a_gap),
		cmocka_unit_test(test_wanted_again),
		cmocka_unit_test(test_roles_keep_the_run),
		cmocka_unit_test(test_supersede),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_new_key_inherits_the_doubt),
		cmocka_unit_test(test_doubt_after_a_long_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
