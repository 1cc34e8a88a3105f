/*
 * Rules of the plan that the tests by subject do not reach: each test names
 * one, in the words of the law. With them every branch of plan.c is taken both
 * ways ("make coverage" demands it).
 */
#include "plan_fixture.h"

#include "hook/plan_rule.h"

static void fx_unpublished(struct fx *f)
{
	fx_init(f, 1, 2);
	add_key(f, 1, KEY_CURRENT);
	add_key(f, 2, KEY_NEXT);
	add_gen(f, 1, GEN_CERTBOT);
	f->s.live_gen = 1;
	sweep(f);
}

/* ---- unfinished switches ---- */

/* What was to go live is not there any more: back, without asking anybody. */
static void test_interrupted_without_its_generation(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.s.intent = (struct intent){ .kind = INTENT_PROMOTE, .gen = 7 };
	f.o.swept = false;
	a = check_next(&f, ACT_ROLL_BACK);
	assert_int_equal(a.gen, 7);
	assert_int_equal(a.to_gen, 1);
	/* the generation is there, its key is not */
	f.s.intent.gen = add_gen(&f, 9, GEN_CERTBOT)->n;
	a = check_next(&f, ACT_ROLL_BACK);
	assert_int_equal(a.to_gen, 1);
	/* and where somebody asked, and the current record is not there: what
	 * is live stays until it is */
	f.o.swept = true;
	f.s.intent.gen = 7;
	serve(&f, 2);
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* ---- taking in ---- */

/* No lineage at all is no trouble while a key is live. */
static void test_no_lineage(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.o.lineage = (struct obs_lineage){ .readable = false };
	a = check_next(&f, ACT_WAIT);
	assert_false(a.alert);
	fx_release(&f);
	/* but before there is one, it is */
	fx_init(&f, 1, 2);
	f.o.lineage = (struct obs_lineage){ .readable = false };
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "certbot has no such lineage");
	assert_true(a.alert);
	fx_release(&f);
}

/* A first certificate that is not fit does not go live, and nothing that
 * depends on a live one is done. */
static void test_first_generation_unfit(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_unpublished(&f);
	f.s.live_gen = 0;
	f.o.unfit = 1;
	f.o.renew_asked = true;
	(void)snprintf(f.o.unfit_why, sizeof(f.o.unfit_why), "wrong names");
	probed(&f, PROBED_MIXED, 1);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "wrong names");
	f.o.unfit = 0;
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

/* A current key, and not one certificate: still a decision. */
static void test_no_generation(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_init(&f, 1, 2);
	add_key(&f, 1, KEY_CURRENT);
	add_key(&f, 2, KEY_NEXT);
	sweep(&f);
	probed(&f, PROBED_MIXED, 1);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "no record is published yet");
	fx_release(&f);
}

/* ---- publishing ---- */

/* Where another lineage is published DANE is in force already: our first
 * record breaks nothing there, and must come before its key. */
static void test_first_record_at_a_shared_name(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_unpublished(&f);
	check_next(&f, ACT_PROBE);
	f.owner[0].shared = true;
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.add, 3);
	assert_int_equal(a.remove, 0);
	fx_release(&f);
}

/* A failed attempt shuts the gate of the first record again only while nothing
 * of ours is out, and never in an outage. */
static void test_gate_after_a_failure(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	(void)snprintf(f.s.publish_why, sizeof(f.s.publish_why), "refused");
	serve(&f, 1); /* the live key's is out */
	after(&f, 60);
	sweep(&f);
	probed(&f, PROBED_MIXED, 1);
	check_next(&f, ACT_PUBLISH);
	serve(&f, 0); /* nothing is out */
	after(&f, 60);
	sweep(&f);
	check_next(&f, ACT_HOLD);
	probed(&f, PROBED_OUTAGE, 1); /* mail has stopped */
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* The operator's poll_max bounds every pause. */
static void test_poll_max_bounds_the_pause(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.p.poll_max = 30;
	f.s.verified_ms += DAY * 1000; /* no probe now */
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 20;
	after_ms(&f, 29999);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* A provider that asks for a day gets it, but not while the record of what is
 * being served is missing: an hour then. */
static void test_outage_waits_an_hour_only(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.s.verified_ms += 2 * DAY * 1000; /* no probe now */
	serve(&f, 2);
	after(&f, 60);
	sweep(&f);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	f.s.owner[0].publish_wait_s = DAY;
	after_ms(&f, HOUR * 1000 - 1);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	check_next(&f, ACT_PUBLISH);
	/* the next key's record is not urgent */
	serve(&f, 1);
	check_next(&f, ACT_WAIT);
	after_ms(&f, (DAY - HOUR) * 1000 - 1);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* ---- promoting ---- */

/* The newest ready certificate goes live, in whatever order keys came. */
static void test_newest_of_the_ready(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_key(&f, 3, KEY_CANDIDATE);
	key(&f, 3)->at[0] = key(&f, 2)->at[0];
	add_gen(&f, 3, GEN_CERTBOT);
	add_gen(&f, 2, GEN_CERTBOT);
	serve(&f, 7);
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 3);
	assert_true(spki_eq(&a.spki, &key(&f, 2)->spki));
	fx_release(&f);
}

/* No answer at all passes by itself: nobody is called for it. */
static void test_silence_is_passing(void **state)
{
	struct ready_why why;
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CERTBOT);
	f.owner[0].security = OBS_NO_ANSWER;
	a = check_next(&f, ACT_HOLD);
	assert_true(a.temporary);
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &why));
	assert_int_equal(level_of(&why), NOTE_PASSING);
	f.owner[0].security = OBS_BOGUS;
	a = check_next(&f, ACT_HOLD);
	assert_false(a.temporary);
	fx_release(&f);
}

/* An expired live certificate is said, however odd its dates are. */
static void test_expired_with_odd_dates(void **state)
{
	struct state_gen *live;
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.p.issue_csr = false;
	live = state_gen_find(&f.s, 1);
	live->not_after_s = f.o.wall_s - 1;
	live->not_before_s = live->not_after_s + DAY;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "has expired");
	fx_release(&f);
}

/* ---- signatures ---- */

/* Every answer is signed; `left` s of `validity` s to go at server n, a month
 * at the others. */
static void sign(struct fx *f, size_t n, int64_t validity, int64_t left)
{
	f->o.wall_ms = f->o.wall_s * 1000;
	for (size_t j = 0; j < f->owner[0].n; j++) {
		struct obs_answer *a = &f->ans[0][j];
		int64_t l = j == n ? left : 30 * DAY;

		a->rrsig_expiration_s = f->o.wall_s + l;
		a->rrsig_inception_s =
			a->rrsig_expiration_s - (j == n ? validity : 60 * DAY);
	}
}

/* No switch in a zone that is about to go bogus: an hour, or a tenth of the
 * validity, whichever is less; the first server to expire counts. */
static void test_no_switch_before_bogus(void **state)
{
	static const struct {
		int64_t validity, left;
	} cases[] = { { 30 * DAY, HOUR }, { 5 * HOUR, HOUR / 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t n = 0; n < 3; n++) {
			char server[64];
			struct action a;
			struct fx f;

			fx_steady(&f, 1, 3);
			add_gen(&f, 2, GEN_CERTBOT);
			sign(&f, n, cases[i].validity, cases[i].left + 1);
			check_next(&f, ACT_PROMOTE);
			sign(&f, n, cases[i].validity, cases[i].left);
			a = check_next(&f, ACT_HOLD);
			(void)snprintf(server, sizeof(server),
				"ns%zu.example. 192.0.2.%zu is about to expire",
				n + 1, n + 1);
			check_says(&a, server);
			fx_release(&f);
		}
	}
}

/* A signer that stands still is said three days ahead, or a quarter of the
 * validity, whichever is less. */
static void test_dying_signature_is_said(void **state)
{
	static const struct {
		int64_t validity, left;
	} cases[] = { { 30 * DAY, 3 * DAY }, { 4 * DAY, DAY } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct action a;
		struct fx f;

		fx_steady(&f, 1, 2);
		sign(&f, 1, cases[i].validity, cases[i].left + 1);
		check_next(&f, ACT_WAIT);
		sign(&f, 1, cases[i].validity, cases[i].left);
		a = check_next(&f, ACT_HOLD);
		check_says(&a, "signature at server ns2.example.");
		assert_true(a.alert);
		/* what a server says that does not count says nothing */
		f.ans[0][1].verdict = OBS_IGNORED;
		check_next(&f, ACT_WAIT);
		fx_release(&f);
	}
}

/* ---- a second lineage at a name that is in use ---- */

/* Its first key may be served only when its record is everywhere; until then
 * endpoints with another key are as they should be. */
static void test_shared_name_waits_to_be_served(void **state)
{
	struct action a;
	struct fx f;
	int64_t at;

	(void)state;
	fx_steady(&f, 1, 2);
	f.p.poll_max = DAY;
	f.owner[0].shared = true;
	key(&f, 1)->at[0].since_ms = f.now;
	ttl_history_add(&key(&f, 1)->at[0].bad, 3600, f.now - 1);
	at = plan_ready_ms(&f.s, key(&f, 1), &f.p);
	assert_true(at > f.now);
	probed(&f, PROBED_MIXED, 1);
	after_ms(&f, at - f.now - 1);
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "do not serve live/mx1.example/ yet");
	assert_false(a.alert);
	assert_int_equal(a.until_ms, at);
	/* alone at the name it would have been trouble all along */
	f.owner[0].shared = false;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "the probe says");
	/* from then on it is to be served */
	f.owner[0].shared = true;
	after_ms(&f, 1);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "the probe says");
	/* what blocks it is trouble, and says so */
	f.ans[0][1].verdict = OBS_UNKNOWN;
	(void)snprintf(f.ans[0][1].why, sizeof(f.ans[0][1].why), "timeout");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "do not serve live/mx1.example/ yet");
	check_says(&a, "ns2.example. 192.0.2.2 timeout");
	fx_release(&f);
}

/* ---- what counts as published ---- */

/* The record of a withdrawn key is no publication: the gate of the first
 * record stands. */
static void test_withdrawn_is_not_published(void **state)
{
	struct fx f;

	(void)state;
	fx_unpublished(&f);
	assert_false(owner_is_published(&f.s, 0));
	add_key(&f, 3, KEY_PREVIOUS);
	plan_set_role(&f.s, key(&f, 3), KEY_RETIRED, f.now);
	serve(&f, 4);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_ms, 0);
	assert_false(owner_is_published(&f.s, 0));
	check_next(&f, ACT_PROBE);
	/* ours is there, though nobody noted who put it there */
	serve(&f, 5);
	after(&f, 60);
	sweep(&f);
	assert_int_equal(f.s.owner[0].publish_ms, f.now);
	f.s.owner[0].publish_ms = 0;
	assert_true(owner_is_published(&f.s, 0));
	key(&f, 1)->role = KEY_PREVIOUS; /* no current key */
	assert_false(owner_is_published(&f.s, 0));
	fx_release(&f);
}

/* Who lacks the record is named, and never one that does not count. */
static void test_names_who_lacks_it(void **state)
{
	struct ready_why why;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 3);
	serve(&f, 1);
	f.ans[0][0].verdict = OBS_IGNORED;
	f.ans[0][1].has = 3;
	assert_false(ready_now(&f.s, &f.o, &f.p, key(&f, 2), f.now, &why));
	assert_non_null(strstr(why.text, "server ns3.example. 192.0.2.3"));
	assert_false(why.blocked);
	fx_release(&f);
}

/* A doubtful clock before the first sweep: there is nothing that was seen. */
static void test_doubt_before_the_first_sweep(void **state)
{
	struct fx f;

	(void)state;
	fx_init(&f, 1, 2);
	add_key(&f, 1, KEY_CURRENT);
	plan_doubt(&f.s, &f.p, f.now);
	assert_int_equal(f.s.owner[0].swept_ms, 0);
	assert_int_equal(ttl_history_gone_ms(&key(&f, 1)->at[0].bad),
		f.now + DAY * 1000);
	fx_release(&f);
}

/* ---- the last guard ---- */

static struct action guarded(const struct fx *f, struct action a)
{
	struct ctx c = { .s = &f->s, .o = &f->o, .p = &f->p, .now = f->now };

	return lawful(&c, a);
}

static void check_stopped(const struct fx *f, struct action a)
{
	struct action b = guarded(f, a);

	assert_int_equal(b.kind, ACT_HOLD);
	check_says(&b, "broken the law");
	assert_true(b.alert);
	assert_true(b.until_ms > f->now);
	assert_int_equal(b.owners, 0);
	assert_int_equal(b.remove, 0);
}

/* Law 1: whatever the rules say, a key that is not ready does not go live. */
static void test_guard_promote(void **state)
{
	struct action a = { .kind = ACT_PROMOTE, .gen = 2 };
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	a.spki = spki_of(9); /* nobody's */
	check_stopped(&f, a);
	a.spki = spki_of(2);
	assert_int_equal(guarded(&f, a).kind, ACT_PROMOTE);
	f.ans[0][0].has = 0;
	check_stopped(&f, a);
	/* at_expiry needs both: the operator's word, and that it is said */
	a.alert = true;
	check_stopped(&f, a);
	f.p.promote_at_expiry = true;
	assert_int_equal(guarded(&f, a).kind, ACT_PROMOTE);
	a.alert = false;
	check_stopped(&f, a);
	/* the current key, and the first generation, change nothing */
	a.spki = spki_of(1);
	assert_int_equal(guarded(&f, a).kind, ACT_PROMOTE);
	a.spki = spki_of(2);
	f.s.live_gen = 0;
	assert_int_equal(guarded(&f, a).kind, ACT_PROMOTE);
	fx_release(&f);
}

/* Law 2: only the record of a retired key is ever withdrawn. */
static void test_guard_publish(void **state)
{
	static const enum key_role roles[] = { KEY_CANDIDATE, KEY_NEXT,
		KEY_CURRENT, KEY_PREVIOUS };
	struct action a = { .kind = ACT_PUBLISH, .owners = 1, .remove = 2 };
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		key(&f, 2)->role = roles[i];
		check_stopped(&f, a);
	}
	key(&f, 2)->role = KEY_RETIRED;
	assert_int_equal(guarded(&f, a).kind, ACT_PUBLISH);
	a.remove = 3; /* one of them is not */
	check_stopped(&f, a);
	a.add = 3;
	a.remove = 0;
	assert_int_equal(guarded(&f, a).kind, ACT_PUBLISH);
	fx_release(&f);
}

/* Law 2: nothing is retired but a previous key, and only on a full sight of
 * the endpoints. */
static void test_guard_retire(void **state)
{
	static const enum key_role roles[] = { KEY_CANDIDATE, KEY_NEXT,
		KEY_CURRENT, KEY_RETIRED };
	static const enum obs_probe bad[] = { PROBED_NOT, PROBED_MIXED,
		PROBED_UNKNOWN, PROBED_OUTAGE };
	struct action a = { .kind = ACT_RETIRE };
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	probed(&f, PROBED_ALL, 1);
	a.spki = spki_of(9);
	check_stopped(&f, a);
	a.spki = spki_of(2);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		key(&f, 2)->role = roles[i];
		check_stopped(&f, a);
	}
	key(&f, 2)->role = KEY_PREVIOUS;
	assert_int_equal(guarded(&f, a).kind, ACT_RETIRE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f.o.probe = bad[i];
		check_stopped(&f, a);
	}
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupted_without_its_generation),
		cmocka_unit_test(test_no_lineage),
		cmocka_unit_test(test_first_generation_unfit),
		cmocka_unit_test(test_no_generation),
		cmocka_unit_test(test_first_record_at_a_shared_name),
		cmocka_unit_test(test_gate_after_a_failure),
		cmocka_unit_test(test_poll_max_bounds_the_pause),
		cmocka_unit_test(test_outage_waits_an_hour_only),
		cmocka_unit_test(test_newest_of_the_ready),
		cmocka_unit_test(test_silence_is_passing),
		cmocka_unit_test(test_expired_with_odd_dates),
		cmocka_unit_test(test_no_switch_before_bogus),
		cmocka_unit_test(test_dying_signature_is_said),
		cmocka_unit_test(test_shared_name_waits_to_be_served),
		cmocka_unit_test(test_withdrawn_is_not_published),
		cmocka_unit_test(test_names_who_lacks_it),
		cmocka_unit_test(test_doubt_before_the_first_sweep),
		cmocka_unit_test(test_guard_promote),
		cmocka_unit_test(test_guard_publish),
		cmocka_unit_test(test_guard_retire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
