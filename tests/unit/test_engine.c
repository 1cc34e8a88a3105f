/* The loop around the decision: what a pass remembers of a probe, what a hook
 * leaves alone, whose turn it is, and how it is reported. */
#include "tests/unit/live_fixture.h"

#include <sys/syscall.h>

#define LINEAGES 130 /* more than are worked on at once */

static int64_t skipped_ms; /* what slow work has cost */
static int64_t probe_takes_ms;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ret);

	if (rc == 0)
		ret->tv_sec += (time_t)(skipped_ms / 1000);
	return rc;
}

static struct {
	char first[8][DNS_NAME_MAX]; /* of each sweep */
	char last[8][DNS_NAME_MAX];
	size_t names[8];
	bool fails;
} sw;

/* One server that has the records of both keys. */
static enum status sweep_all(void *ctx, const char *const owner[], size_t n,
	int64_t keep_ms, struct authority *a, struct sweep *ret,
	struct err *err)
{
	int at = world.sweeps++ % 8;

	(void)ctx;
	(void)keep_ms;
	(void)snprintf(sw.first[at], DNS_NAME_MAX, "%s", owner[0]);
	(void)snprintf(sw.last[at], DNS_NAME_MAX, "%s", owner[n - 1]);
	sw.names[at] = n;
	if (sw.fails)
		return err_set(err, ST_RETRY, "the network is down");
	*a = (struct authority){ .zone = calloc(1, sizeof(*a->zone)),
		.n_zones = 1,
		.owner = calloc(n, sizeof(*a->owner)),
		.n_owners = n };
	*ret = (struct sweep){ .owner = calloc(n, sizeof(*ret->owner)),
		.n = n };
	(void)snprintf(a->zone[0].zone, DNS_NAME_MAX, "example.test.");
	a->zone[0].server = calloc(1, sizeof(*a->zone[0].server));
	a->zone[0].n_servers = 1;
	(void)snprintf(a->zone[0].server[0].name, DNS_NAME_MAX, "ns.test.");
	for (size_t i = 0; i < n; i++) {
		struct sweep_answer *ans = calloc(1, sizeof(*ans));

		(void)snprintf(a->owner[i].final, DNS_NAME_MAX, "%s", owner[i]);
		ret->owner[i] = (struct sweep_owner){ .answer = ans, .n = 1 };
		ans->verdict = SWEEP_FOUND;
		for (int k = 0; k < 2; k++)
			assert_int_equal(tlsa_rrset_add_spki(&ans->rrset,
						 &cert[k].leaf.spki, &e),
				ST_OK);
		ans->rrset.ttl = 300;
	}
	return ST_OK;
}

static enum status slow_probe(void *ctx, struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	skipped_ms += probe_takes_ms;
	return fake_probe(ctx, jobs, n, lim, err);
}

static enum status no_edit(void *ctx, const struct cfg_provider *p,
	int64_t deadline_ms, struct provider_item *items, size_t n,
	provider_decide decide, void *arg, struct err *err)
{
	(void)ctx;
	(void)p;
	(void)deadline_ms;
	(void)items;
	(void)n;
	(void)decide;
	(void)arg;
	world.edits++;
	return err_set(err, ST_RETRY, "down");
}

static struct env net;
static struct provider_ops ops = { .type = "fake", .caps = PCAP_READ };
static char provider_name[] = "home";
static struct cfg_provider provider = { .name = provider_name, .ops = &ops };

/* Key 1 was live before key 0, and its record is still there. */
static int begin(void **state)
{
	int rc = live_begin(state);

	memset(&sw, 0, sizeof(sw));
	skipped_ms = probe_takes_ms = 0;
	net = env;
	net.sweep = sweep_all;
	net.probe = slow_probe;
	net.edit = no_edit;
	engine.env = &net;
	cl.provider = &provider;
	cl.issue = ISSUE_HOOK;
	cl.retire_after = 600;
	cfg.timing = (struct timing){
		.wait_ttls = 2, .assumed_prior_ttl = 300, .poll_max = 900
	};
	plan_set_role(&s.st, key_of_cert(1), KEY_PREVIOUS, 5);
	return rc;
}

static void let_go(void)
{
	assert_int_equal(session_commit(&s, &e), ST_OK);
	store_unlock(s.sl);
	s.sl = NULL;
}

/* The state as the next one finds it; the world goes on with it. */
static void take_back(void)
{
	state_release(&s.st);
	s.sl = lock(&s.st);
}

static struct engine_report pass(void)
{
	static struct engine_report r;
	const struct cfg_lineage *list[] = { &cl };

	let_go();
	/* while the lock is not ours the world needs the generations */
	assert_int_equal(engine_pass(&engine, list, 1, &r, &e), ST_OK);
	take_back();
	return r;
}

static void test_first_sight(void **state)
{
	struct engine_report r = pass();

	(void)state;
	assert_false(r.failed);
	assert_int_equal(world.probes, 1);
	assert_true(s.st.verified_first_ms > 0);
	assert_int_equal(key_of_cert(1)->role, KEY_PREVIOUS);
	assert_true(r.action.kind == ACT_WAIT || r.action.kind == ACT_HOLD);
}

/* Not known is no first sight, and does not end one; another key does. */
static void test_doubtful_sight(void **state)
{
	(void)state;
	world.down = true;
	(void)pass();
	assert_int_equal(s.st.verified_first_ms, 0);
	cl.retire_after = 0;
	s.st.verified_first_ms = 77;
	(void)pass();
	assert_int_equal(s.st.verified_first_ms, 77);
	assert_int_equal(key_of_cert(1)->role, KEY_PREVIOUS);
	world.down = false;
	assert_int_equal(add_gen(1), 2);
	run("echo generations/2 >log"); /* the previous key is back */
	(void)pass();
	assert_int_equal(s.st.verified_first_ms, 0);
	assert_int_equal(key_of_cert(1)->role, KEY_PREVIOUS);
}

static void test_second_sight(void **state)
{
	(void)state;
	cl.retire_after = 0;
	s.st.verified_first_ms = 77;
	(void)pass();
	assert_int_equal(key_of_cert(1)->role, KEY_RETIRED);
	assert_true(world.edits > 0);
}

/* What was swept before a slow probe is not what is served now. */
static void test_old_sweep(void **state)
{
	(void)state;
	probe_takes_ms = 30000;
	(void)pass();
	assert_int_equal(world.probes, 1);
	assert_int_equal(world.sweeps, 2);
}

/* certbot waits for a hook: withdrawing can wait for the timer. */
static void test_hook_leaves(void **state)
{
	struct engine_report r;

	(void)state;
	engine.mode = MODE_HOOK;
	engine.deadline_mono_ms = clock_mono_ms() + 60000;
	cl.retire_after = 0;
	s.st.verified_first_ms = 77;
	key_of_cert(0)->at[0].rec = REC_HIDDEN; /* a reason to sweep */
	r = pass();
	assert_int_equal(r.action.kind, ACT_RETIRE);
	assert_int_equal(key_of_cert(1)->role, KEY_PREVIOUS);
	assert_int_equal(world.edits, 0);
	/* late: nothing new is begun */
	world.probes = world.sweeps = 0;
	engine.deadline_mono_ms = clock_mono_ms() - 1;
	r = pass();
	assert_int_equal(world.probes + world.sweeps, 0);
}

/* certbot's lineage has our certificate already, but not the key: it cannot be
 * used. The import was not done. */
static void torn_lineage(void)
{
	static char live[64];

	(void)snprintf(live, sizeof(live), "%s/le/live/" NAME, top);
	cl.certbot = live;
	run("n=" NAME "; mkdir -p le/live/$n le/archive/$n le/renewal; "
	    "for k in cert privkey chain fullchain; do "
	    "cp 0.pem le/archive/$n/${k}1.pem; "
	    "ln -s ../../archive/$n/${k}1.pem le/live/$n/$k.pem; "
	    "echo $k = $PWD/le/live/$n/$k.pem >>le/renewal/$n.conf; done; "
	    "echo ENCRYPTED >le/archive/$n/privkey1.pem");
	state_gen_find(&s.st, 1)->source = GEN_CSR;
	state_gen_find(&s.st, 1)->lineage_version = 0;
}

/* An import mends the lineage: what was wrong with it is not said any more. */
static void test_import_mends(void **state)
{
	struct engine_report r;

	(void)state;
	torn_lineage();
	r = pass();
	assert_int_equal(state_gen_find(&s.st, 1)->lineage_version, 2);
	assert_null(strstr(r.action.why, "cannot be used"));
	assert_int_equal(engine_exit(&r), 0);
}

/* The operator hears of it at each run, certbot's hook does not fail. */
static void test_import_fails(void **state)
{
	static char command[] = "true";
	struct engine_report r;

	(void)state;
	torn_lineage();
	run("cp 0.key le/archive/*/privkey1.pem; mv le/renewal le/away");
	cl.issue = ISSUE_CSR;
	cl.certbot_command = command;
	for (int i = 0; i < 2; i++) {
		r = pass();
		assert_int_equal(engine_exit(&r), 1);
		assert_non_null(strstr(r.action.why, "no renewal config"));
		assert_int_equal(s.st.issue_tries, 1);
	}
	engine.mode = MODE_HOOK;
	engine.deadline_mono_ms = clock_mono_ms() + 60000;
	r = pass();
	assert_int_equal(engine_exit(&r), 0);
	engine.mode = MODE_RUN;
	run("mv le/away le/renewal");
	s.st.issue_retry_ms = 0;
	r = pass();
	assert_int_equal(engine_exit(&r), 0);
	assert_int_equal(s.st.issue_tries, 0);
}

static void test_network_down(void **state)
{
	struct engine_report r;

	(void)state;
	sw.fails = true;
	r = pass();
	assert_true(r.failed);
	assert_int_equal(engine_exit(&r), 4);
	assert_int_equal(key_of_cert(1)->role, KEY_PREVIOUS);
	assert_int_equal(world.edits + world.probes, 0);
}

/* The loser of the lock tells the winner to look again. */
static void test_locked(void **state)
{
	const struct cfg_lineage *list[] = { &cl };
	struct engine_report r;

	(void)state;
	engine.mode = MODE_HOOK;
	assert_int_equal(engine_pass(&engine, list, 1, &r, &e), ST_OK);
	assert_true(r.busy && !r.failed);
	assert_int_equal(engine_exit(&r), 0);
	assert_true(exists(L "news"));
	assert_int_equal(world.sweeps, 0);
}

/* Two zones, their lineages mixed: those of one zone are worked on together. */
static void test_by_zone(void **state)
{
	static struct cfg_lineage many[LINEAGES];
	static char names[LINEAGES][16];
	static char owners[LINEAGES][1][DNS_NAME_MAX];
	static struct engine_report rep[LINEAGES];
	const struct cfg_lineage *list[LINEAGES];

	(void)state;
	for (size_t i = 0; i < LINEAGES; i++) {
		struct store_lineage *l = NULL;
		struct lineage_state o;

		(void)snprintf(names[i], sizeof(names[i]), "l%03zu", i);
		/* two lineages in a zone of their own, far apart */
		(void)snprintf(owners[i][0], DNS_NAME_MAX, "_25._tcp.m%03zu.%s",
			i, i == 3 || i == 77 ? "alpha.test." : "zeta.test.");
		many[i] = cl;
		many[i].name = names[i];
		many[i].owner = owners[i];
		list[i] = &many[i];
		assert_int_equal(
			store_lock(store, names[i], 0, &l, &o, &e), ST_OK);
		state_release(&o);
		assert_int_equal(state_copy(&s.st, &o, &e), ST_OK);
		(void)snprintf(o.name, sizeof(o.name), "%s", names[i]);
		assert_int_equal(
			state_set_owners(&o,
				(const char(*)[DNS_NAME_MAX])owners[i], 1, &e),
			ST_OK);
		assert_int_equal(store_commit(l, &o, &e), ST_OK);
		store_unlock(l);
		state_release(&o);
	}
	sw.fails = true;
	cfg.lineage = many;
	cfg.n_lineages = LINEAGES;
	assert_int_equal(engine_pass(&engine, list, LINEAGES, rep, &e), ST_OK);
	assert_int_equal(world.sweeps, 2);
	assert_int_equal(sw.names[0], 128);
	assert_int_equal(sw.names[1], 2);
	/* alpha's two come first; read from their end these two are the last */
	assert_string_equal(sw.first[0], "_25._tcp.m000.zeta.test.");
	assert_string_equal(sw.first[1], "_25._tcp.m089.zeta.test.");
	assert_string_equal(sw.last[1], "_25._tcp.m099.zeta.test.");
	/* each report is in its place */
	for (size_t i = 0; i < LINEAGES; i++)
		assert_ptr_equal(rep[i].cl, list[i]);
}

static void test_exit_status(void **state)
{
	static const struct {
		enum status st;
		int is;
	} of[] = { { ST_OK, 0 }, { ST_RETRY, 4 }, { ST_CONFLICT, 4 },
		{ ST_BUSY, 4 }, { ST_CONFIG, 2 }, { ST_REFUSED, 1 },
		{ ST_DENIED, 1 }, { ST_IO, 1 }, { ST_BUG, 1 } };
	struct engine_report r = { .action = { .kind = ACT_HOLD } };

	(void)state;
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		assert_int_equal(engine_exit_of(of[i].st), of[i].is);
	assert_int_equal(engine_exit(&r), 1);
	r.action.temporary = true;
	assert_int_equal(engine_exit(&r), 4);
	r.action.outage = true;
	assert_int_equal(engine_exit(&r), 3);
	r = (struct engine_report){ .action = { .kind = ACT_WAIT } };
	assert_int_equal(engine_exit(&r), 0);
	/* an outage beats all, then what needs a person, then what passes */
	assert_int_equal(engine_worse(3, 2), 3);
	assert_int_equal(engine_worse(1, 4), 1);
	assert_int_equal(engine_worse(4, 0), 4);
	assert_int_equal(engine_worse(2, 1), 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, live_end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_first_sight),
		T(test_doubtful_sight), T(test_second_sight), T(test_old_sweep),
		T(test_hook_leaves), T(test_import_mends), T(test_import_fails),
		T(test_network_down), T(test_locked), T(test_by_zone),
		cmocka_unit_test(test_exit_status) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
