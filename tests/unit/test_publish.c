/* What a record set becomes when ours are added and withdrawn: foreign records
 * and TTLs stay, what is served comes first, the intent is on disk before, and
 * failures are noted with their pause. */
#include "tests/unit/live_fixture.h"

#define FOREIGN                                                        \
	"2 1 1 ffffffffffffffffffffffffffffffffffffffffffffffffffffff" \
	"ffffffffff"

/* What the provider holds, and does. */
static struct {
	struct tlsa_rrset set;
	bool served_was_first;
	enum intent_kind intent_saved; /* before the provider was asked ... */
	unsigned tries_saved;
	uint32_t ttl_saved; /* ... and when it was told */
	int calls;
	struct err err;
	int64_t retry_after_s;
} p;

static struct provider_ops ops = { .type = "fake" };
static char provider_name[] = "home";
static struct cfg_provider provider = { .name = provider_name, .ops = &ops };

static void look_at_disk(void)
{
	struct lineage_state disk;

	if (store_peek(store, NAME, &disk, &e) != ST_OK)
		return;
	p.intent_saved = disk.intent.kind;
	p.tries_saved = disk.owner[0].publish_tries;
	p.ttl_saved = ttl_history_max_at(
		&disk.owner[0].served, s.st.clock.trusted_ms);
	state_release(&disk);
}

static enum status fake_edit(void *ctx, const struct cfg_provider *pr,
	int64_t deadline_ms, struct provider_item *items, size_t n,
	provider_decide decide, void *arg, struct err *err)
{
	(void)ctx;
	(void)pr;
	(void)deadline_ms;
	(void)err;
	p.calls++;
	look_at_disk();
	for (size_t i = 0; i < n; i++) {
		struct provider_item *it = &items[i];

		it->err = p.err;
		it->retry_after_s = p.retry_after_s;
		if (p.err.st != ST_OK)
			continue;
		assert_int_equal(tlsa_rrset_copy(&p.set, &it->now, &e), ST_OK);
		if (decide(arg, i, &it->now, &it->to, &it->err) != ST_OK)
			continue;
		look_at_disk();
		it->changed = !tlsa_rrset_eq(&it->now, &it->to);
		tlsa_rrset_release(&p.set);
		assert_int_equal(tlsa_rrset_copy(&it->to, &p.set, &e), ST_OK);
		if (p.calls == 1)
			p.served_was_first =
				tlsa_rrset_has_spki(&p.set, &cert[0].leaf.spki);
	}
	return ST_OK;
}

static struct env with_edit;

static int begin(void **state)
{
	int rc = live_begin(state);

	memset(&p, 0, sizeof(p));
	with_edit = env;
	with_edit.edit = fake_edit;
	engine.env = &with_edit;
	ops.caps = PCAP_READ | PCAP_ATOMIC | PCAP_RRSET;
	cl.provider = &provider;
	cl.ttl = 0;
	return rc;
}

static int end(void **state)
{
	tlsa_rrset_release(&p.set);
	return live_end(state);
}

static uint32_t bit(const struct state_key *k)
{
	return UINT32_C(1) << (k - s.st.key);
}

static void publish(uint32_t add, uint32_t remove)
{
	struct session *list[] = { &s };

	s.final = calloc(1, sizeof(*s.final));
	assert_non_null(s.final);
	(void)snprintf(s.final[0], sizeof(s.final[0]), "%s", OWNER);
	s.action = (struct action){
		.kind = ACT_PUBLISH, .owners = 1, .add = add, .remove = remove
	};
	s.obs.swept = true;
	act_publish(list, 1);
	assert_false(s.failed);
	assert_int_equal(s.st.intent.kind, INTENT_NONE);
	/* what was swept is not what is served now */
	assert_false(s.obs.swept);
	assert_null(s.final);
}

static void holds(const char *text, uint32_t ttl)
{
	assert_int_equal(tlsa_rrset_add_text(&p.set, text, &e), ST_OK);
	p.set.ttl = ttl;
}

static bool held(int i)
{
	return tlsa_rrset_has_spki(&p.set, &cert[i].leaf.spki);
}

static bool held_foreign(void)
{
	auto_tlsa one = TLSA_RRSET_INIT;

	assert_int_equal(tlsa_rrset_add_text(&one, FOREIGN, &e), ST_OK);
	return tlsa_rrset_has(&p.set, &one.rr[0]);
}

static void test_added_beside_others(void **state)
{
	(void)state;
	holds(FOREIGN, 555);
	publish(3, 0);
	assert_int_equal(p.set.n, 3);
	assert_true(held(0) && held(1) && held_foreign());
	assert_int_equal(p.set.ttl, 555); /* somebody chose it */
	assert_int_equal(p.intent_saved, INTENT_PUBLISH);
	assert_int_equal(s.st.owner[0].publish_tries, 1);
	assert_true(s.st.owner[0].publish_ms > 0);
	assert_string_equal(s.st.publish_why, "");
	/* done: nothing to do */
	publish(3, 0);
	assert_int_equal(p.set.n, 3);
}

static void test_withdrawn_alone(void **state)
{
	(void)state;
	holds(FOREIGN, 600);
	assert_int_equal(
		tlsa_rrset_add_spki(&p.set, &cert[0].leaf.spki, &e), ST_OK);
	assert_int_equal(
		tlsa_rrset_add_spki(&p.set, &cert[1].leaf.spki, &e), ST_OK);
	publish(0, bit(key_of_cert(1)));
	assert_int_equal(p.set.n, 2);
	assert_true(held(0) && !held(1) && held_foreign());
}

/* DANE is not switched off by us. */
static void test_never_emptied(void **state)
{
	(void)state;
	assert_int_equal(
		tlsa_rrset_add_spki(&p.set, &cert[1].leaf.spki, &e), ST_OK);
	publish(0, bit(key_of_cert(1)));
	assert_int_equal(p.set.n, 1);
	assert_non_null(strstr(s.st.publish_why, "refusing to empty"));
	assert_false(s.st.publish_temporary);
}

static void test_ttl(void **state)
{
	(void)state;
	publish(3, 0);
	assert_int_equal(p.set.ttl, 3600); /* new */
	cl.ttl = 1200;
	publish(0, bit(key_of_cert(1)));
	assert_int_equal(p.set.ttl, 1200); /* asked for */
}

/* A TTL that we bring is on disk before any cache can have it, as is the try:
 * what is killed here may have been done. */
static void test_ttl_remembered(void **state)
{
	(void)state;
	publish(3, 0);
	assert_int_equal(p.ttl_saved, 3600);
	assert_int_equal(p.tries_saved, 1);
	cl.ttl = 7200;
	publish(0, bit(key_of_cert(1)));
	assert_int_equal(p.ttl_saved, 7200);
	assert_int_equal(p.tries_saved, 2);
	/* one that somebody chose is seen, not brought */
	s.st.owner[0].served.n = 0;
	cl.ttl = 0;
	publish(3, 0);
	assert_int_equal(p.set.ttl, 7200);
	assert_int_equal(p.ttl_saved, 0);
}

/* An unfinished switch is not forgotten for a publication. */
static void test_switch_goes_on(void **state)
{
	struct session *list[] = { &s };

	(void)state;
	s.st.intent = (struct intent){ .kind = INTENT_PROMOTE, .gen = 1 };
	s.final = calloc(1, sizeof(*s.final));
	assert_non_null(s.final);
	(void)snprintf(s.final[0], sizeof(s.final[0]), "%s", OWNER);
	s.action = (struct action){ .kind = ACT_PUBLISH, .owners = 1, .add = 3 };
	act_publish(list, 1);
	assert_true(held(0) && held(1));
	assert_int_equal(p.intent_saved, INTENT_PROMOTE);
	assert_int_equal(s.st.intent.kind, INTENT_PROMOTE);
}

/* Only the next key is to be added, and nothing is there: the served one comes
 * along, in a change of its own where records are changed one by one. */
static void test_served_comes_first(void **state)
{
	(void)state;
	publish(bit(key_of_cert(1)), 0);
	assert_int_equal(p.calls, 1);
	assert_true(held(0) && held(1));
	tlsa_rrset_release(&p.set);
	p.calls = 0;
	ops.caps = PCAP_READ;
	publish(bit(key_of_cert(1)), 0);
	assert_int_equal(p.calls, 2);
	assert_true(p.served_was_first);
	assert_true(held(0) && held(1));
}

/* What another lineage serves at this name is promised, too. */
static void test_served_by_others(void **state)
{
	struct spki other = { .d = { 9, 9, 9 } };
	struct state_key *k = NULL;
	struct store_lineage *l = NULL;
	struct lineage_state o;
	static char name[] = "other";
	static char owner[1][DNS_NAME_MAX] = { OWNER };
	struct cfg_lineage both[2] = { cl,
		{ .name = name, .owner = owner, .n_owners = 1 } };

	(void)state;
	assert_int_equal(store_lock(store, name, 0, &l, &o, &e), ST_OK);
	assert_int_equal(
		state_set_owners(&o, (const char(*)[DNS_NAME_MAX])owner, 1, &e),
		ST_OK);
	assert_int_equal(
		state_key_add(&o, &other, KEY_RSA_2048, KEY_CURRENT, &k, &e),
		ST_OK);
	assert_int_equal(store_commit(l, &o, &e), ST_OK);
	store_unlock(l);
	state_release(&o);
	cfg.lineage = both;
	cfg.n_lineages = 2;
	s.cl = &both[0];
	assert_int_equal(sense_claims(&s, &e), ST_OK);
	assert_int_equal(s.n_claims, 1);
	publish(3, 0);
	assert_int_equal(p.set.n, 3);
	assert_true(tlsa_rrset_has_spki(&p.set, &other));
	s.cl = &cl;
}

static void test_failure(void **state)
{
	static const struct {
		enum status st;
		bool temporary;
	} cases[] = { { ST_RETRY, true }, { ST_CONFLICT, true },
		{ ST_DENIED, false }, { ST_REFUSED, false },
		{ ST_CONFIG, false } };
	unsigned tries = s.st.owner[0].publish_tries;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		(void)err_set(&p.err, cases[i].st, "no luck");
		p.retry_after_s = i == 0 ? 300 : 999999;
		publish(3, 0);
		assert_int_equal(s.st.owner[0].publish_tries, ++tries);
		assert_int_equal(
			s.st.owner[0].publish_wait_s, i == 0 ? 300 : 86400);
		assert_int_equal(s.st.publish_temporary, cases[i].temporary);
		assert_non_null(strstr(s.st.publish_why, "no luck"));
		assert_non_null(strstr(s.st.publish_why, OWNER));
	}
	p.err = (struct err)ERR_INIT;
	publish(3, 0);
	assert_string_equal(s.st.publish_why, "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_added_beside_others),
		T(test_withdrawn_alone), T(test_never_emptied), T(test_ttl),
		T(test_ttl_remembered), T(test_switch_goes_on),
		T(test_served_comes_first), T(test_served_by_others),
		T(test_failure) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
