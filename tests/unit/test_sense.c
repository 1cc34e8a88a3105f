/* From what was seen to what the plan is told: nothing gets better on the way.
 */
#include "tests/unit/live_fixture.h"

#define FOREIGN_512                                                    \
	"3 1 2 ffffffffffffffffffffffffffffffffffffffffffffffffffffff" \
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" \
	"ffffffffffffff"

/* What the next sweep sees: up to four servers. */
static struct {
	enum dns_security zone, owner;
	bool alias;
	uint32_t alias_ttl;
	struct {
		const char *name;
		enum sweep_verdict verdict;
		bool key[2];
		const char *foreign;
	} server[4];
	size_t n;
	int64_t keep_ms;
} seen;

static void put_set(struct tlsa_rrset *set, size_t i)
{
	for (int k = 0; k < 2; k++)
		if (seen.server[i].key[k])
			assert_int_equal(tlsa_rrset_add_spki(
						 set, &cert[k].leaf.spki, &e),
				ST_OK);
	if (seen.server[i].foreign != NULL)
		assert_int_equal(
			tlsa_rrset_add_text(set, seen.server[i].foreign, &e),
			ST_OK);
}

static enum status sweep_seen(void *ctx, const char *const owner[], size_t n,
	int64_t keep_ms, struct authority *ret_auth, struct sweep *ret,
	struct err *err)
{
	struct zone_auth *z = calloc(1, sizeof(*z));
	struct owner_auth *o = calloc(1, sizeof(*o));
	struct sweep_owner *so = calloc(1, sizeof(*so));

	(void)ctx;
	(void)err;
	assert_int_equal(n, 1);
	seen.keep_ms = keep_ms;
	(void)snprintf(z->zone, sizeof(z->zone), "example.test.");
	z->security = seen.zone;
	z->server = calloc(4, sizeof(*z->server));
	z->n_servers = seen.n;
	(void)snprintf(o->owner, sizeof(o->owner), "%s", owner[0]);
	(void)snprintf(o->final, sizeof(o->final), "%s", owner[0]);
	o->security = seen.owner;
	o->is_cname = seen.alias;
	o->cname_ttl = seen.alias_ttl;
	so->answer = calloc(4, sizeof(*so->answer));
	so->n = seen.n;
	for (size_t i = 0; i < seen.n; i++) {
		struct sweep_answer *a = &so->answer[i];

		(void)snprintf(z->server[i].name, sizeof(z->server[i].name),
			"%s", seen.server[i].name);
		z->server[i].has_addr = true;
		assert_true(
			dns_addr_parse("192.0.2.53", 53, &z->server[i].addr));
		a->server = i;
		a->verdict = seen.server[i].verdict;
		a->neg_ttl = 77;
		if (a->verdict == SWEEP_UNKNOWN)
			a->reason = SWR_TIMEOUT;
		if (a->verdict != SWEEP_FOUND)
			continue;
		put_set(&a->rrset, i);
		a->rrset.ttl = 300;
	}
	*ret_auth = (struct authority){
		.zone = z, .n_zones = 1, .owner = o, .n_owners = 1
	};
	*ret = (struct sweep){ .owner = so, .n = 1 };
	return ST_OK;
}

static struct env with_sweep;

static int begin(void **state)
{
	int rc = live_begin(state);

	memset(&seen, 0, sizeof(seen));
	seen.n = 4;
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = { "ns1.test.", "ns2.test.",
			"ns3.test.", "ns1.test.evil." };

		seen.server[i].name = names[i];
		seen.server[i].verdict = SWEEP_FOUND;
		seen.server[i].key[0] = true;
	}
	with_sweep = env;
	with_sweep.sweep = sweep_seen;
	engine.env = &with_sweep;
	cl.ignore_servers = NULL;
	cl.names_error = false;
	return rc;
}

static const struct obs_owner *sweep(void)
{
	struct session *list[] = { &s };

	if (sense_sweep(&engine, list, 1, &e) != ST_OK)
		fail_msg("%s", e.text);
	assert_false(s.failed);
	assert_true(s.obs.swept);
	return &s.obs.owner[0];
}

static uint32_t bit(int i)
{
	return UINT32_C(1) << (key_of_cert(i) - s.st.key);
}

static void test_verdicts(void **state)
{
	const struct obs_owner *o;

	(void)state;
	seen.server[1].verdict = SWEEP_ABSENT;
	seen.server[2].verdict = SWEEP_UNKNOWN;
	seen.server[3].verdict = SWEEP_UNTESTABLE;
	o = sweep();
	assert_int_equal(o->n, 4);
	assert_int_equal(o->answer[0].verdict, OBS_GOOD);
	assert_int_equal(o->answer[0].has, bit(0));
	assert_int_equal(o->answer[0].ttl, 300);
	assert_int_equal(o->answer[1].verdict, OBS_GOOD);
	assert_int_equal(o->answer[1].has, 0);
	assert_int_equal(o->answer[1].ttl, 77);
	assert_int_equal(o->answer[2].verdict, OBS_UNKNOWN);
	assert_non_null(strstr(o->answer[2].why, "timeout"));
	assert_int_equal(o->answer[3].verdict, OBS_UNTESTABLE);
}

static void test_worse_verdict(void **state)
{
	static const struct {
		enum dns_security zone, owner;
		enum obs_security is;
	} cases[] = {
		{ DNS_SECURE, DNS_SECURE, OBS_SECURE },
		{ DNS_SECURE, DNS_INSECURE, OBS_INSECURE },
		{ DNS_INSECURE, DNS_SECURE, OBS_INSECURE },
		{ DNS_SECURE, DNS_BOGUS, OBS_BOGUS },
		{ DNS_BOGUS, DNS_SECURE, OBS_BOGUS },
		{ DNS_FAILED, DNS_BOGUS, OBS_BOGUS },
		{ DNS_SECURE, DNS_FAILED, OBS_NO_ANSWER },
		{ DNS_FAILED, DNS_INSECURE, OBS_NO_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		seen.zone = cases[i].zone;
		seen.owner = cases[i].owner;
		assert_int_equal(sweep()->security, cases[i].is);
	}
}

static void test_alias(void **state)
{
	const struct obs_owner *o;

	(void)state;
	seen.alias = true;
	seen.alias_ttl = 7200;
	seen.server[1].verdict = SWEEP_ABSENT;
	o = sweep();
	assert_true(o->answer[0].ttl >= 7200);
	assert_true(o->answer[1].ttl >= 7200);
	seen.alias_ttl = 20;
	o = sweep();
	assert_int_equal(o->answer[0].ttl, 300);
}

static void test_ignored(void **state)
{
	static char name[] = "ns1.test", addr[] = "192.0.2.53";
	static char *by_name[] = { name, NULL };
	static char *by_addr[] = { addr, NULL };
	const struct obs_owner *o;

	(void)state;
	cl.ignore_servers = by_name;
	o = sweep();
	assert_int_equal(o->answer[0].verdict, OBS_IGNORED);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(o->answer[i].verdict, OBS_GOOD);
	cl.ignore_servers = by_addr;
	assert_int_equal(sweep()->answer[3].verdict, OBS_IGNORED);
}

static void test_stronger_digest(void **state)
{
	const struct obs_owner *o = sweep();

	(void)state;
	assert_int_equal(o->agility_bad, 0);
	seen.server[2].foreign = FOREIGN_512;
	o = sweep();
	assert_int_equal(o->agility_bad, bit(0) | bit(1));
}

/* Another lineage at the same name has our next key, in this role. */
static void other_lineage(enum key_role role, struct cfg_lineage *ret)
{
	static char name[] = "other";
	static char owner[1][DNS_NAME_MAX] = { OWNER };
	struct state_key *k = NULL;
	struct store_lineage *l = NULL;
	struct lineage_state o;

	assert_int_equal(store_lock(store, name, 0, &l, &o, &e), ST_OK);
	while (o.n_keys > 0)
		state_key_remove(&o, &o.key[0]);
	assert_int_equal(
		state_set_owners(&o, (const char(*)[DNS_NAME_MAX])owner, 1, &e),
		ST_OK);
	assert_int_equal(state_key_add(&o, &cert[1].leaf.spki, KEY_ECDSA_P256,
				 role, &k, &e),
		ST_OK);
	assert_int_equal(store_commit(l, &o, &e), ST_OK);
	store_unlock(l);
	state_release(&o);
	*ret = (struct cfg_lineage){
		.name = name, .owner = owner, .n_owners = 1
	};
}

static void test_claimed(void **state)
{
	static const enum key_role roles[] = { KEY_CURRENT, KEY_NEXT,
		KEY_PREVIOUS, KEY_CANDIDATE, KEY_RETIRED };
	struct cfg_lineage both[2] = { cl };

	(void)state;
	cfg.lineage = both;
	cfg.n_lineages = 2;
	s.cl = &both[0];
	for (size_t i = 0; i < 5; i++) {
		other_lineage(roles[i], &both[1]);
		(void)sweep();
		assert_int_equal(s.obs.claimed_elsewhere,
			roles[i] == KEY_RETIRED ? 0 : bit(1));
	}
	s.cl = &cl;
}

/* An address that serves only what another lineage has there does not serve
 * ours. */
static void test_only_anothers_key(void **state)
{
	struct cfg_lineage both[2] = { cl };
	bool stale;

	(void)state;
	other_lineage(KEY_CURRENT, &both[1]);
	cfg.lineage = both;
	cfg.n_lineages = 2;
	s.cl = &both[0];
	assert_int_equal(add_gen(1), 2);
	state_key_remove(&s.st, key_of_cert(1));
	run("echo generations/2 >log"); /* that is served */
	assert_int_equal(
		sense_probe(&s, &cert[0].leaf.spki, 0, &stale, &e), ST_OK);
	assert_int_equal(s.obs.probe, PROBED_MIXED);
	assert_non_null(strstr(s.obs.probe_why, "does not serve key"));
	s.cl = &cl;
}

/* What a resolver remembers from before a publication is not used after it. */
static void test_memory(void **state)
{
	(void)state;
	s.st.owner[0].publish_ms = s.st.clock.trusted_ms;
	(void)sweep();
	assert_true(seen.keep_ms <= 0);
	s.st.owner[0].publish_ms = s.st.clock.trusted_ms - 3000;
	(void)sweep();
	assert_true(seen.keep_ms > 0 && seen.keep_ms <= 2100);
}

static void test_fitness(void **state)
{
	struct state_gen *g;

	(void)state;
	assert_int_equal(add_gen(1), 2);
	sense_fitness(&s);
	assert_int_equal(s.obs.unfit, 0);
	/* a certificate on another key */
	assert_int_equal(add_gen(2), 3);
	g = state_gen_find(&s.st, 3);
	g->spki = cert[1].leaf.spki;
	sense_fitness(&s);
	assert_int_equal(s.obs.unfit, bit(1));
	assert_non_null(strstr(s.obs.unfit_why, "another key"));
	/* not valid at this time */
	assert_int_equal(add_gen(1), 4);
	sense_fitness(&s);
	assert_int_equal(s.obs.unfit, 0);
	s.n_fit = 0;
	s.obs.wall_s += 10LL * 365 * 86400;
	sense_fitness(&s);
	assert_int_equal(s.obs.unfit, bit(1));
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(add_gen(1), 2);
	(void)snprintf(
		endpoint.host, sizeof(endpoint.host), "mx2.example.test.");
	sense_fitness(&s);
	assert_int_equal(s.obs.unfit, 0); /* said, not more */
	s.n_fit = 0;
	cl.names_error = true;
	sense_fitness(&s);
	assert_int_equal(s.obs.unfit, bit(1));
	assert_non_null(strstr(s.obs.unfit_why, "mx2.example.test"));
}

static void test_fresh(void **state)
{
	static char folder[64];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/lineage", top);
	run("mkdir lineage && cp 1.key lineage/privkey.pem && "
	    "cp 1.pem lineage/fullchain.pem");
	cl.certbot = folder;
	assert_int_equal(sense_lineage(&s, &e), ST_OK);
	assert_true(s.obs.lineage.present && s.obs.lineage.readable);
	assert_true(s.obs.lineage.fresh);
	assert_true(spki_eq(&s.obs.lineage.spki, &cert[1].leaf.spki));
	assert_int_equal(add_gen(1), 2);
	assert_int_equal(sense_lineage(&s, &e), ST_OK);
	assert_false(s.obs.lineage.fresh);
	lineage_version_release(&s.found);
	s.have_found = false;
	/* damaged: said, and nothing is taken */
	run("cp 0.key lineage/privkey.pem");
	assert_int_equal(sense_lineage(&s, &e), ST_OK);
	assert_false(s.obs.lineage.readable);
	assert_false(s.obs.lineage.fresh);
	assert_false(s.have_found);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, live_end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_verdicts),
		T(test_worse_verdict), T(test_alias), T(test_ignored),
		T(test_stronger_digest), T(test_claimed),
		T(test_only_anothers_key), T(test_memory), T(test_fitness),
		T(test_names), T(test_fresh) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
