/* The order of decisions: what is taken in and promoted, and every reason not
 * to. Publishing, retiring and issuing have files of their own. */
#include "plan_fixture.h"

/* ---- at rest, and taking in ---- */

static void test_steady(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 3);
	a = check_next(&f, ACT_WAIT);
	assert_false(a.alert);
	assert_false(a.outage);
	assert_int_equal(a.until_ms, f.now + 900 * 1000);
	for (int k = 0; k < ACT__COUNT; k++)
		assert_string_not_equal(
			action_name((enum action_kind)k), "unknown");
	assert_string_equal(action_name(ACT__COUNT), "unknown");
	fx_release(&f);
}

static void test_nothing_yet(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_init(&f, 1, 2);
	f.o.lineage = (struct obs_lineage){ .why = "certbot is not here" };
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "certbot is not here");
	assert_true(a.alert);
	assert_true(a.until_ms > f.now);
	fx_release(&f);
}

static void test_take(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.o.lineage.fresh = true;
	f.o.lineage.spki = spki_of(9);
	f.o.swept = false;
	a = check_next(&f, ACT_TAKE);
	assert_true(spki_eq(&a.spki, &f.o.lineage.spki));
	f.o.lineage.readable = false;
	(void)snprintf(
		f.o.lineage.why, sizeof(f.o.lineage.why), "cannot be read");
	check_next(&f, ACT_SWEEP);
	f.o.swept = true;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "cannot be read");
	f.o.lineage.readable = true;
	f.o.lineage.present = false;
	check_next(&f, ACT_WAIT);
	fx_release(&f);
}

/* A full house must be able to empty itself: what retires goes on. */
static void test_take_without_room(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	for (unsigned n = 10; f.s.n_keys < STATE_KEYS_MAX; n++)
		add_key(&f, n, KEY_PREVIOUS);
	serve(&f, 0xffff);
	after(&f, 3600);
	sweep(&f);
	f.o.lineage.fresh = true;
	f.o.lineage.spki = spki_of(99);
	probed(&f, PROBED_ALL, 1);
	check_next(&f, ACT_RETIRE);
	/* a certificate on a key that is there needs no room */
	f.o.lineage.spki = spki_of(2);
	check_next(&f, ACT_TAKE);
	f.o.lineage.spki = spki_of(99);
	f.o.probe = PROBED_UNKNOWN;
	a = check_next(&f, ACT_HOLD);
	assert_true(a.alert);
	fx_release(&f);
}

static void test_sweep_first(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.o.swept = false;
	check_next(&f, ACT_SWEEP);
	fx_release(&f);
}

static void test_generate(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_init(&f, 1, 2);
	add_key(&f, 1, KEY_CURRENT);
	add_gen(&f, 1, GEN_CERTBOT);
	f.s.live_gen = 1;
	f.o.swept = false;
	check_next(&f, ACT_GENERATE);
	add_key(&f, 2, KEY_NEXT);
	check_next(&f, ACT_SWEEP); /* never a second one */
	/* not before the last rollover has ended */
	key(&f, 2)->role = KEY_PREVIOUS;
	check_next(&f, ACT_SWEEP);
	key(&f, 2)->role = KEY_RETIRED;
	check_next(&f, ACT_GENERATE);
	key(&f, 2)->role = KEY_CANDIDATE;
	for (unsigned n = 10; f.s.n_keys < STATE_KEYS_MAX; n++)
		add_key(&f, n, KEY_CANDIDATE);
	f.o.swept = true;
	serve(&f, 0xffff);
	f.s.owner[0].publish_ms = f.s.verified_ms = f.now;
	sweep(&f);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "no room");
	fx_release(&f);
}

/* ---- a certificate on the current key ---- */

static void test_same_key(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 1, GEN_CERTBOT);
	f.o.swept = false; /* no DNS is asked */
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 2);
	assert_false(a.alert);
	f.s.live_gen = 2;
	check_next(&f, ACT_SWEEP);
	/* the first generation */
	f.s.live_gen = 0;
	a = check_next(&f, ACT_PROMOTE);
	check_says(&a, "first generation");
	fx_release(&f);
}

static void test_same_key_unfit(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 1, GEN_CERTBOT);
	f.o.unfit = 1;
	(void)snprintf(f.o.unfit_why, sizeof(f.o.unfit_why), "expired");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "expired");
	f.o.unfit = 2; /* another key's */
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

/* ---- promoting ---- */

static void test_promote_next(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR);
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 2);
	assert_true(spki_eq(&a.spki, &key(&f, 2)->spki));
	assert_false(a.alert);
	fx_release(&f);
}

static void test_promote_waits(void **state)
{
	struct action a;
	struct fx f;
	int64_t since;

	(void)state;
	fx_steady(&f, 1, 2);
	f.p.poll_max = DAY;
	add_key(&f, 3, KEY_CANDIDATE);
	add_gen(&f, 3, GEN_CERTBOT);
	sweep(&f);
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.add & 4, 4);
	serve(&f, 7);
	after(&f, 60);
	sweep(&f);
	since = f.now;
	a = check_next(&f, ACT_WAIT);
	check_says(&a, "caches may lack it");
	assert_int_equal(a.until_ms, f.now + 900 * 1000); /* TTL / 4 */
	after(&f, 7000);
	sweep(&f);
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, since + 7200 * 1000);
	after_ms(&f, 199999);
	sweep(&f);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	sweep(&f);
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 2);
	fx_release(&f);
}

/* Fresh keys queue: the oldest keeps its clock, the newest ready one wins. */
static void test_queue(void **state)
{
	struct action a;
	struct fx f;
	int64_t first;

	(void)state;
	fx_steady(&f, 1, 2);
	f.s.verified_ms += DAY * 1000; /* no probe now */
	add_key(&f, 3, KEY_CANDIDATE);
	add_gen(&f, 3, GEN_CERTBOT);
	serve(&f, 7);
	after(&f, 60);
	sweep(&f);
	first = plan_ready_ms(&f.s, key(&f, 3), &f.p);
	for (unsigned n = 4; n < 7; n++) {
		after(&f, 1200);
		add_key(&f, n, KEY_CANDIDATE);
		add_gen(&f, n, GEN_CERTBOT);
		serve(&f, (UINT32_C(1) << f.s.n_keys) - 1);
		sweep(&f);
		assert_int_equal(plan_ready_ms(&f.s, key(&f, 3), &f.p), first);
		check_next(&f, ACT_WAIT);
	}
	after_ms(&f, first - f.now);
	sweep(&f);
	a = check_next(&f, ACT_PROMOTE);
	assert_true(spki_eq(&a.spki, &key(&f, 3)->spki));
	/* two are ready */
	after(&f, 1260);
	sweep(&f);
	a = check_next(&f, ACT_PROMOTE);
	assert_true(spki_eq(&a.spki, &key(&f, 4)->spki));
	assert_int_equal(a.gen, 3);
	/* what is older than the live one stays where it is */
	f.s.live_gen = 4;
	check_next(&f, ACT_WAIT);
	after(&f, 2400);
	sweep(&f);
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 5);
	fx_release(&f);
}

static void test_only_candidates_and_next_go_live(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR);
	key(&f, 2)->role = KEY_PREVIOUS;
	f.p.retire_after = 30 * DAY;
	assert_int_not_equal(next(&f).kind, ACT_PROMOTE);
	key(&f, 2)->role = KEY_RETIRED;
	f.o.claimed_elsewhere = 2;
	assert_int_not_equal(next(&f).kind, ACT_PROMOTE);
	fx_release(&f);
}

static void test_unfit_waits(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR)->lineage_version = 5;
	f.o.unfit = 2;
	(void)snprintf(f.o.unfit_why, sizeof(f.o.unfit_why), "wrong names");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "wrong names");
	fx_release(&f);
}

static void test_rolled_back_waits(void **state)
{
	struct state_gen *g;
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	g = add_gen(&f, 2, GEN_CSR);
	g->lineage_version = 5;
	g->rollbacks = 1;
	g->retry_ms = f.now + 300 * 1000;
	f.s.rolled_back_gen = g->n;
	(void)snprintf(f.s.rolled_back_why, sizeof(f.s.rolled_back_why),
		"reload failed");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "reload failed");
	assert_int_equal(a.until_ms, f.now + 300 * 1000);
	f.o.retry_asked = true;
	check_next(&f, ACT_PROMOTE);
	f.o.retry_asked = false;
	after_ms(&f, 299999);
	check_next(&f, ACT_HOLD);
	after_ms(&f, 1);
	check_next(&f, ACT_PROMOTE);
	/* nor is it a reason to wait with another one */
	g->retry_ms = f.now + DAY * 1000;
	add_key(&f, 3, KEY_CANDIDATE);
	key(&f, 3)->at[0] = key(&f, 2)->at[0];
	add_gen(&f, 3, GEN_CERTBOT);
	serve(&f, 7);
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 3);
	fx_release(&f);
}

static void test_blocked_is_an_alert(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 3);
	add_gen(&f, 2, GEN_CSR)->lineage_version = 5;
	f.ans[0][2].verdict = OBS_UNKNOWN;
	(void)snprintf(f.ans[0][2].why, sizeof(f.ans[0][2].why), "timeout");
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "ns3.example. 192.0.2.3 timeout");
	assert_true(a.alert);
	/* also when nothing waits for it */
	f.s.live_gen = 2;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "ns3.example. 192.0.2.3 timeout");
	fx_release(&f);
}

/* What is said first is what is nearest to the trouble. */
static void test_the_first_hold_is_said(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 3);
	add_gen(&f, 1, GEN_CERTBOT);
	f.o.unfit = 1;
	(void)snprintf(f.o.unfit_why, sizeof(f.o.unfit_why), "wrong names");
	f.ans[0][2].verdict = OBS_UNKNOWN;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "wrong names");
	fx_release(&f);
}

/* ---- expiry ---- */

static void fx_expiring(struct fx *f, int64_t left)
{
	struct state_gen *live;

	fx_steady(f, 1, 2);
	f->p.issue_csr = false;
	add_key(f, 3, KEY_CANDIDATE);
	add_gen(f, 3, GEN_CERTBOT);
	live = state_gen_find(&f->s, 1);
	live->not_after_s = f->o.wall_s + left;
	live->not_before_s = live->not_after_s - 90 * DAY;
	serve(f, 7);
	after(f, 60);
	f->o.wall_s -= 60;
	sweep(f);
}

static void test_expiry_is_said(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_expiring(&f, 18 * DAY);
	check_next(&f, ACT_WAIT);
	f.o.wall_s++;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "expires in 431 hours");
	check_says(&a, "caches may lack it"); /* the reason, too */
	f.o.wall_s += 18 * DAY;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "has expired");
	fx_release(&f);
}

static void test_at_expiry(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_expiring(&f, 3600);
	check_next(&f, ACT_HOLD); /* the default */
	f.p.promote_at_expiry = true;
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 2);
	assert_true(a.alert);
	check_says(&a, "AGAINST THE LAW");
	f.o.wall_s--; /* one second more than an hour */
	check_next(&f, ACT_HOLD);
	f.o.wall_s++;
	/* on every server it must be */
	f.ans[0][1].has = 3;
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 9;
	check_next(&f, ACT_HOLD);
	f.ans[0][1].verdict = OBS_UNKNOWN;
	check_next(&f, ACT_HOLD);
	f.ans[0][1].verdict = OBS_GOOD;
	serve(&f, 7);
	/* and fit, and not given up */
	f.o.unfit = 4;
	check_next(&f, ACT_HOLD);
	f.o.unfit = 0;
	key(&f, 3)->role = KEY_PREVIOUS;
	assert_int_not_equal(next(&f).kind, ACT_PROMOTE);
	plan_set_role(&f.s, key(&f, 3), KEY_RETIRED, f.now);
	f.o.claimed_elsewhere = 4;
	assert_int_not_equal(next(&f).kind, ACT_PROMOTE);
	fx_release(&f);
}

/* ---- interrupted ---- */

static void test_interrupted_promotion(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR);
	f.s.intent = (struct intent){
		.kind = INTENT_PROMOTE, .gen = 2, .to_gen = 1
	};
	f.o.lineage.fresh = true; /* nothing comes before it */
	f.o.swept = false;
	check_next(&f, ACT_SWEEP);
	f.o.swept = true;
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 2);
	check_says(&a, "interrupted");
	/* not ready any more: back */
	f.ans[0][1].has = 1;
	a = check_next(&f, ACT_ROLL_BACK);
	assert_int_equal(a.gen, 2);
	assert_int_equal(a.to_gen, 1);
	f.ans[0][1].has = 3;
	f.ans[0][1].verdict = OBS_UNKNOWN;
	check_next(&f, ACT_ROLL_BACK);
	/* the current key needs no DNS */
	f.s.intent.gen = 1;
	f.o.swept = false;
	a = check_next(&f, ACT_PROMOTE);
	assert_int_equal(a.gen, 1);
	/* nor does the first generation */
	f.s.live_gen = 0;
	f.s.intent.gen = 2;
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

/* Senders can miss the key that was live before, too: nothing is switched
 * until the record of one of them is everywhere. (law 1 and 3) */
static void test_no_way_back(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR);
	f.s.intent = (struct intent){
		.kind = INTENT_PROMOTE, .gen = 2, .to_gen = 1
	};
	f.ans[0][1].has = 0;
	a = check_next(&f, ACT_PUBLISH);
	assert_int_equal(a.add, 3);
	assert_int_equal(a.remove, 0);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	a = check_next(&f, ACT_HOLD);
	assert_true(a.alert);
	check_says(&a, "generation 2 is unfinished");
	check_says(&a, "cannot come back");
	check_says(&a, "server ns2.example. 192.0.2.2 lacks its record");
	/* hidden is missed */
	serve(&f, 1);
	f.owner[0].agility_bad = 1;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "stronger digest");
	f.owner[0].agility_bad = 0;
	/* there again, but not in every cache */
	ttl_history_add(&key(&f, 1)->at[0].bad, 3600, f.now);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "caches may lack");
	key(&f, 1)->at[0].bad.n = 0;
	check_next(&f, ACT_ROLL_BACK);
	/* one of them, and be it the new one */
	serve(&f, 2);
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

/* Where no record of ours is there is no promise to break by going back,
 * unless another lineage has made one. */
static void test_way_back_without_records(void **state)
{
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR);
	f.s.intent = (struct intent){
		.kind = INTENT_PROMOTE, .gen = 2, .to_gen = 1
	};
	serve(&f, 0);
	key(&f, 1)->at[0].rec = key(&f, 2)->at[0].rec = REC_HIDDEN;
	check_next(&f, ACT_ROLL_BACK);
	f.owner[0].shared = true;
	check_next(&f, ACT_PUBLISH);
	fx_release(&f);
}

/* A switch that failed, and could not be undone, waits like one that was. */
static void test_no_way_back_pause(void **state)
{
	struct state_gen *g;
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	g = add_gen(&f, 2, GEN_CSR);
	f.s.intent = (struct intent){
		.kind = INTENT_PROMOTE, .gen = g->n, .to_gen = 1
	};
	g->retry_ms = f.now + 1000;
	f.s.rolled_back_gen = g->n;
	(void)snprintf(f.s.rolled_back_why, sizeof(f.s.rolled_back_why),
		"nobody answered");
	serve(&f, 2);
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 1;
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "nobody answered");
	assert_int_equal(a.until_ms, g->retry_ms);
	f.o.retry_asked = true;
	check_next(&f, ACT_PROMOTE);
	f.o.retry_asked = false;
	/* with a way back there is no need to wait */
	serve(&f, 3);
	check_next(&f, ACT_PROMOTE);
	serve(&f, 2);
	f.now = g->retry_ms;
	check_next(&f, ACT_PROMOTE);
	fx_release(&f);
}

static void test_interrupted_roll_back(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	add_gen(&f, 2, GEN_CSR);
	f.s.intent = (struct intent){
		.kind = INTENT_ROLL_BACK, .gen = 2, .to_gen = 1
	};
	f.o.swept = false;
	f.o.lineage.fresh = true;
	a = check_next(&f, ACT_ROLL_BACK);
	assert_int_equal(a.gen, 2);
	assert_int_equal(a.to_gen, 1);
	fx_release(&f);
}

/* Every other intent leaves the decision to what is seen. */
static void test_other_intents(void **state)
{
	static const enum intent_kind kinds[] = { INTENT_NONE, INTENT_TAKE,
		INTENT_GENERATE, INTENT_PUBLISH, INTENT_RETIRE, INTENT_ISSUE,
		INTENT_IMPORT, INTENT_FORGET };
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		f.s.intent.kind = kinds[i];
		check_next(&f, ACT_WAIT);
	}
	fx_release(&f);
}

/* ---- watching ---- */

static void test_watch(void **state)
{
	static const enum obs_probe bad[] = { PROBED_MIXED, PROBED_UNKNOWN,
		PROBED_OUTAGE };
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	after_ms(&f, 900 * 1000 - 1);
	sweep(&f);
	check_next(&f, ACT_WAIT);
	after_ms(&f, 1);
	a = check_next(&f, ACT_PROBE);
	assert_true(spki_eq(&a.spki, &key(&f, 1)->spki));
	probed(&f, PROBED_ALL, 1);
	check_next(&f, ACT_WAIT);
	for (size_t i = 0; i < 3; i++) {
		probed(&f, bad[i], 1);
		a = check_next(&f, ACT_HOLD);
		check_says(&a, "the probe says");
		assert_int_equal(a.outage, bad[i] == PROBED_OUTAGE);
	}
	/* an outage is said before all else, but with what may be its cause */
	f.o.lineage.readable = false;
	(void)snprintf(f.o.lineage.why, sizeof(f.o.lineage.why), "unreadable");
	probed(&f, PROBED_MIXED, 1);
	a = check_next(&f, ACT_HOLD);
	check_says(&a, "unreadable");
	probed(&f, PROBED_OUTAGE, 1);
	a = check_next(&f, ACT_HOLD);
	assert_true(a.outage);
	check_says(&a, "the probe says");
	check_says(&a, "; unreadable");
	f.o.lineage.readable = true;
	/* nothing is promised before the first publication */
	f.o.probe = PROBED_NOT;
	f.s.owner[0].publish_ms = 0;
	key(&f, 1)->at[0].rec = REC_HIDDEN;
	assert_int_not_equal(next(&f).kind, ACT_HOLD);
	fx_release(&f);
}

/* Three days before the signatures run out, or a quarter of their validity. */
static void test_signatures_run_out(void **state)
{
	static const int64_t validity[] = { 30 * DAY, 4 * DAY };
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	for (size_t i = 0; i < 2; i++) {
		int64_t left =
			validity[i] / 4 < 3 * DAY ? validity[i] / 4 : 3 * DAY;

		f.ans[0][1].rrsig_expiration_s = f.o.wall_s + left + 1;
		f.ans[0][1].rrsig_inception_s =
			f.ans[0][1].rrsig_expiration_s - validity[i];
		check_next(&f, ACT_WAIT);
		f.ans[0][1].rrsig_expiration_s--;
		f.ans[0][1].rrsig_inception_s--;
		a = check_next(&f, ACT_HOLD);
		assert_true(a.alert);
		check_says(&a, "ns2.example. 192.0.2.2 expires in");
	}
	fx_release(&f);
}

static void test_polls_while_on_its_way(void **state)
{
	struct action a;
	struct fx f;

	(void)state;
	fx_steady(&f, 1, 2);
	f.p.poll_max = DAY;
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + DAY * 1000);
	f.ans[0][1].has = 1;
	f.s.owner[0].publish_ms = f.now;
	f.s.owner[0].publish_tries = 20;
	after(&f, 60);
	sweep(&f);
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + 900 * 1000);
	f.s.owner[0].served =
		(struct ttl_history){ .e = { { .ttl = 1, .last_ms = f.now } },
			.n = 1 };
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + 1000);
	/* a second at least */
	f.s.owner[0].served = (struct ttl_history){ .n = 0 };
	a = check_next(&f, ACT_WAIT);
	assert_int_equal(a.until_ms, f.now + 1000);
	fx_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_take_without_room),
		cmocka_unit_test(test_sweep_first),
		cmocka_unit_test(test_generate),
		cmocka_unit_test(test_same_key),
		cmocka_unit_test(test_same_key_unfit),
		cmocka_unit_test(test_promote_next),
		cmocka_unit_test(test_promote_waits),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_only_candidates_and_next_go_live),
		cmocka_unit_test(test_unfit_waits),
		cmocka_unit_test(test_rolled_back_waits),
		cmocka_unit_test(test_blocked_is_an_alert),
		cmocka_unit_test(test_the_first_hold_is_said),
		cmocka_unit_test(test_expiry_is_said),
		cmocka_unit_test(test_at_expiry),
		cmocka_unit_test(test_interrupted_promotion),
		cmocka_unit_test(test_no_way_back),
		cmocka_unit_test(test_way_back_without_records),
		cmocka_unit_test(test_no_way_back_pause),
		cmocka_unit_test(test_interrupted_roll_back),
		cmocka_unit_test(test_other_intents),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_signatures_run_out),
		cmocka_unit_test(test_polls_while_on_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
