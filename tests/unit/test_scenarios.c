/*
 * What can happen to a mail host, as a story from beginning to end: those of
 * tests/scenarios that no other test tells as one. The plan decides, an
 * imagined world answers.
 */
#include "hook/base/clock.h"
#include "tests/unit/plan_fixture.h"

/* Keys 1 and 2 in steady state; certbot came with key 3 just now, and every
 * server has its record. */
static void fx_fresh(struct fx *f, size_t owners)
{
	fx_steady(f, owners, 3);
	add_key(f, 3, KEY_CANDIDATE);
	add_gen(f, 3, GEN_CERTBOT);
	after(f, 60);
	serve(f, 7);
	sweep(f);
}

/* For s seconds, looking every minute: the key that is live stays, and nothing
 * is withdrawn. */
static void nothing_moves(struct fx *f, int64_t s)
{
	for (int64_t end = f->now + s * 1000; f->now < end; after(f, 60)) {
		struct action a;

		sweep(f);
		a = next(f);
		if (a.kind == ACT_PROMOTE || a.kind == ACT_RETIRE ||
			a.kind == ACT_FORGET || a.kind == ACT_ROLL_BACK ||
			(a.kind == ACT_PUBLISH && a.remove != 0))
			fail_msg("%s: %s", action_name(a.kind), a.why);
	}
	sweep(f);
}

/* E2: whoever names the lineage waives a back-off, not the wait. */
static void e2_nobody_is_early(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_fresh(&f, 1);
	f.o.retry_asked = true;
	nothing_moves(&f, 7200 - 60);
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 2);
	fx_release(&f);
}

/* E17: the parent's DS goes in the middle of a rollover, and comes back. */
static void e17_ds_removed(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_fresh(&f, 1);
	sweep_for(&f, 3600, 60);
	f.owner[0].security = OBS_INSECURE;
	(void)snprintf(f.owner[0].why, sizeof(f.owner[0].why), "no DS");
	f.s.verified_ms = f.now; /* no look at the endpoints is due */
	sweep(&f);
	a = check_next(&f, ACT_HOLD);
	assert_true(a.alert);
	check_says(&a, "insecure"); /* what an operator can choose */
	nothing_moves(&f, 2 * DAY);
	f.owner[0].security = OBS_SECURE;
	sweep_for(&f, 2 * HOUR, 60);
	f.s.verified_ms = f.now;
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

static void promoted(struct fx *f, unsigned n, unsigned gen)
{
	plan_supersede(&f->s, key(f, 1), f->now);
	plan_set_role(&f->s, key(f, n), KEY_CURRENT, f->now);
	key(f, n)->live_ms = f->now;
	f->s.live_gen = gen;
	f->s.verified_first_ms = f->s.verified_ms = f->now;
}

/* E28: the live key is known to somebody else, and an operator says --renew.
 * The next key has been out for days: it is served at once, and the old record
 * goes when nobody serves the old key. */
static void e28_compromised_key(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 3);
	f.o.can_issue = true;
	f.o.renew_asked = true;
	sweep(&f);
	a = check_next(&f, ACT_ISSUE);
	assert_true(spki_eq(&a.spki, &key(&f, 2)->spki));
	f.o.renew_asked = false;
	add_gen(&f, 2, GEN_CSR)->lineage_version = 2; /* certbot has it */
	check_next(&f, ACT_PROMOTE);
	promoted(&f, 2, 2);
	nothing_moves(&f, 600 - 60);
	after(&f, 60);
	sweep(&f);
	check_next(&f, ACT_PROBE);
	probed(&f, PROBED_ALL, 2);
	a = check_next(&f, ACT_RETIRE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	plan_set_role(&f.s, key(&f, 1), KEY_RETIRED, f.now);
	sweep(&f);
	a = next(&f);
	if (a.kind == ACT_GENERATE) { /* one change of the set for both */
		add_key(&f, 3, KEY_NEXT);
		sweep(&f);
		a = next(&f);
	}
	assert_int_equal(a.kind, ACT_PUBLISH);
	assert_int_equal(a.remove, bit_of(&f, 1));
	fx_release(&f);
}

/* The same with a next key that is not out yet: it is not served, and the
 * certificate that is asked for is not on it. */
static void e28_immature(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 3);
	plan_doubt(&f.s, &f.p, f.now);
	after(&f, 60);
	sweep(&f);
	f.o.can_issue = true;
	f.o.renew_asked = true;
	a = next(&f);
	if (a.kind == ACT_ISSUE)
		assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	assert_int_not_equal(a.kind, ACT_PROMOTE);
	assert_true(a.why[0] != '\0');
	fx_release(&f);
}

/* E36: one key for two hosts. It goes live when its record is everywhere for
 * both, and the old one's stays while one of them still serves the old key. */
static void e36_shared_key(void **state)
{
	struct fx f;

	(void)state;
	fx_fresh(&f, 2);
	f.ans[1][2].has = 3;
	nothing_moves(&f, DAY);
	f.ans[1][2].has = 7;
	sweep(&f);
	nothing_moves(&f, 7200 - 60);
	after(&f, 60);
	sweep(&f);
	check_next(&f, ACT_PROMOTE);
	promoted(&f, 3, 2);
	after(&f, 600);
	sweep(&f);
	check_next(&f, ACT_PROBE);
	probed(&f, PROBED_MIXED, 3);
	nothing_moves(&f, 2 * DAY);
	probed(&f, PROBED_ALL, 3);
	f.s.verified_first_ms = f.now - 600 * 1000;
	check_next(&f, ACT_RETIRE);
	fx_release(&f);
}

/* E37: a name is taken out of the configuration and another one comes in. The
 * records at the one are not touched; those at the other come only after its
 * endpoint was looked at; the rest goes on. */
static void e37_names_change(void **state)
{
	static const char names[2][DNS_NAME_MAX] = { "_25._tcp.mx1.example.",
		"_25._tcp.new.example." };
	struct err err = ERR_INIT;
	struct action a;
	struct fx f;

	(void)state;
	fx_fresh(&f, 2);
	assert_int_equal(state_set_owners(&f.s, names, 2, &err), ST_OK);
	f.owner[1].validated_has = 0;
	for (size_t j = 0; j < 3; j++)
		f.ans[1][j].has = 0;
	sweep(&f);
	a = check_next(&f, ACT_PROBE); /* before a first publication */
	probed(&f, PROBED_UNKNOWN, 1);
	a = next(&f);
	assert_int_not_equal(a.kind, ACT_PUBLISH);
	probed(&f, PROBED_ALL, 1);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.owners, 2);
	assert_int_equal(a.remove, 0);
	fx_release(&f);
}

/* E18: the clock jumps ahead by ten days, back by ten days, and the machine
 * starts again in 1970, in the middle of a wait. */
static void e18_clock_jumps(void **state)
{
	struct clock_mark m = {
		.last = { .wall_ms = T0, .boot_ms = 1000, .boot_id = "a" },
		.trusted_ms = T0,
	};
	struct clock_reading r = m.last;
	char why[200];
	struct fx f;

	(void)state;
	fx_fresh(&f, 1);
	m.trusted_ms = f.now;
	r.wall_ms += 10 * DAY * 1000;
	r.boot_ms += 60 * 1000;
	assert_int_equal(
		clock_advance(&m, &r, 30 * DAY * 1000, why, sizeof(why)),
		CLOCK_SANE);
	assert_int_equal(m.trusted_ms, f.now + 60 * 1000);
	r.wall_ms -= 20 * DAY * 1000;
	r.boot_ms += 60 * 1000;
	assert_int_equal(
		clock_advance(&m, &r, 30 * DAY * 1000, why, sizeof(why)),
		CLOCK_DOUBT);
	assert_true(m.trusted_ms >= f.now + 60 * 1000);
	r = (struct clock_reading){
		.wall_ms = 5, .boot_ms = 7, .boot_id = "b"
	};
	assert_int_equal(
		clock_advance(&m, &r, 30 * DAY * 1000, why, sizeof(why)),
		CLOCK_DOUBT);
	assert_true(m.trusted_ms <= f.now + 2 * 60 * 1000);
	/* Doubt: the wait begins anew, and ends. */
	f.now = m.trusted_ms;
	plan_doubt(&f.s, &f.p, f.now);
	after(&f, 60);
	sweep(&f);
	nothing_moves(&f, 7200 - 60);
	sweep_for(&f, 7200, 60);
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e2_nobody_is_early),
		cmocka_unit_test(e17_ds_removed),
		cmocka_unit_test(e18_clock_jumps),
		cmocka_unit_test(e28_compromised_key),
		cmocka_unit_test(e28_immature),
		cmocka_unit_test(e36_shared_key),
		cmocka_unit_test(e37_names_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
