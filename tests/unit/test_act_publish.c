/* Many lineages publish at once, through the mechanism of the APIs: names that
 * end at one RRset are one change, and what is served is there first. */
#include "hook/act.h"
#include "hook/base/log.h"
#include "hook/engine.h"
#include "providers/api.h"

#include "tests/unit/store_fixture.h"

#define OWNER "_25._tcp.mx.example.test."
#define FOREIGN                                                        \
	"2 1 1 ffffffffffffffffffffffffffffffffffffffffffffffffffffff" \
	"ffffffffff"

/* What the API holds, and what it was asked. */
static struct {
	struct tlsa_rrset set;
	int writes, adds, reads;
	struct spki served;  /* must be there whenever anything is */
	bool promised_other; /* and was not */
	int fail_add;        /* the n-th addition fails; 0: none */
	const char *name;    /* whose next key, as saved, must not agree ... */
	bool agreed;         /* and did, when something was added */
} w;

struct vendor {
	struct rest *rest;
};

static enum status v_init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	const struct rest_config rc = { .url = "http://127.0.0.1:1" };

	(void)cfg;
	return rest_new(&rc, &((struct vendor *)v)->rest, err);
}

static void v_release(void *v)
{
	rest_free(((struct vendor *)v)->rest);
}

static enum status v_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct api_zone z = { .name = "example.test." };

	(void)v;
	*ret_all = true;
	return api_add_zone(list, &z, err);
}

/* As vendors do: a record goes to the item of its name. */
static enum status v_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct api_item *it = api_item_of(items, n, OWNER);
	enum status st = ST_OK;

	(void)v;
	(void)z;
	w.reads++;
	for (size_t i = 0; it && i < w.set.n && !st; i++) {
		auto_buf text = BUF_INIT(200);

		st = tlsa_text(&w.set.rr[i], &text, err);
		if (!st)
			st = api_add_record(it, NULL, buf_str(&text), 3600,
				false, NULL, err);
	}
	return st;
}

static void look(void)
{
	if (w.set.n && !spki_is_none(&w.served) &&
		!tlsa_rrset_has_spki(&w.set, &w.served))
		w.promised_other = true;
}

static enum status v_write(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	(void)v;
	(void)z;
	w.writes++;
	for (size_t i = 0; i < n; i++) {
		tlsa_rrset_release(&w.set);
		for (size_t j = 0; j < items[i].n_want; j++)
			if (tlsa_rrset_add_text(&w.set,
				    api_spelled(&items[i].want[j]), err))
				return err->st;
		look();
	}
	return ST_OK;
}

static void look_at_state(void)
{
	struct lineage_state st;

	if (w.name == NULL || store_peek(store, w.name, &st, &e) != ST_OK)
		return;
	if (st.key[1].at[0].since_ms != 0)
		w.agreed = true;
	state_release(&st);
}

static enum status v_add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *want, struct err *err)
{
	(void)v;
	(void)z;
	(void)it;
	look_at_state();
	if (++w.adds == w.fail_add)
		return err_set(err, ST_RETRY, "down");
	if (tlsa_rrset_add_text(&w.set, want->text, err))
		return err->st;
	look();
	return ST_OK;
}

static enum status v_remove(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	(void)v;
	(void)z;
	(void)it;
	(void)r;
	return err_set(err, ST_BUG, "nothing is to be removed here");
}

static const struct api_vendor by_set = { .size = sizeof(struct vendor),
	.init = v_init,
	.release = v_release,
	.zones = v_zones,
	.read = v_read,
	.write = v_write,
	.max_bulk = 10 };
static const struct api_vendor by_record = { .size = sizeof(struct vendor),
	.init = v_init,
	.release = v_release,
	.zones = v_zones,
	.read = v_read,
	.add = v_add,
	.remove = v_remove };

static enum status open_set(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	return api_open(&by_set, cfg, ret, err);
}

static enum status open_record(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	return api_open(&by_record, cfg, ret, err);
}

static const struct provider_ops set_ops = { .type = "set",
	.caps = PCAP_READ | PCAP_ATOMIC | PCAP_BULK | PCAP_RRSET,
	.open = open_set,
	API_OPS };
static const struct provider_ops record_ops = {
	.type = "record", .caps = PCAP_READ, .open = open_record, API_OPS
};

/* ---- lineages ---- */

static const struct config no_config;
static struct env env;
static struct engine engine = { .env = &env };
static struct cfg_provider provider;
static struct cfg_lineage cl[2];
static struct session s[2];

static struct spki key_of(unsigned char c)
{
	struct spki k;

	memset(k.d, c, sizeof(k.d));
	return k;
}

/* A lineage with a current and a next key that are not published at any of its
 * n names; all of them end at OWNER. */
static struct session *lineage(size_t i, const char *name,
	unsigned char current, unsigned char next, size_t n)
{
	static char names[2][32];
	static char owners[2][2][DNS_NAME_MAX];
	struct session *one = &s[i];
	struct state_key *k;

	memset(one, 0, sizeof(*one));
	(void)snprintf(names[i], sizeof(names[i]), "%s", name);
	cl[i] = (struct cfg_lineage){ .name = names[i],
		.owner = owners[i],
		.n_owners = n,
		.provider = &provider };
	one->e = &engine;
	one->cl = &cl[i];
	assert_int_equal(
		store_lock(store, name, 0, &one->sl, &one->st, &e), ST_OK);
	one->final = calloc(n, sizeof(*one->final));
	for (size_t j = 0; j < n; j++) {
		(void)snprintf(owners[i][j], DNS_NAME_MAX,
			"_25._tcp.mx%zu.example.test.", j);
		(void)snprintf(one->final[j], DNS_NAME_MAX, "%s", OWNER);
	}
	assert_int_equal(state_set_owners(&one->st,
				 (const char(*)[DNS_NAME_MAX])owners[i], n, &e),
		ST_OK);
	struct spki c = key_of(current), x = key_of(next);
	assert_int_equal(state_key_add(&one->st, &c, KEY_ECDSA_P256,
				 KEY_CURRENT, &k, &e),
		ST_OK);
	assert_int_equal(
		state_key_add(&one->st, &x, KEY_ECDSA_P256, KEY_NEXT, &k, &e),
		ST_OK);
	one->action = (struct action){
		.kind = ACT_PUBLISH, .owners = (1U << n) - 1, .add = 3
	};
	return one;
}

static void done(struct session *one)
{
	session_forget_sweep(one);
	store_unlock(one->sl);
	state_release(&one->st);
}

static int begin(void **state)
{
	static char name[] = "p";

	memset(&w, 0, sizeof(w));
	provider = (struct cfg_provider){ .name = name, .ops = &set_ops };
	log_init(LOG_ALERT_L);
	engine.cfg = &no_config;
	assert_int_equal(env_here(NULL, &env, &e), ST_OK);
	return setup(state);
}

static int end(void **state)
{
	env.free(env.ctx);
	tlsa_rrset_release(&w.set);
	return teardown(state);
}

static bool has(unsigned char c)
{
	struct spki k = key_of(c);

	return tlsa_rrset_has_spki(&w.set, &k);
}

/* ---- the tests ---- */

/* A host with two certificates, and a record of somebody else. */
static void test_two_lineages_one_name(void **state)
{
	struct session *list[2];

	(void)state;
	assert_int_equal(tlsa_rrset_add_text(&w.set, FOREIGN, &e), ST_OK);
	list[0] = lineage(0, "ecdsa", 1, 2, 1);
	list[1] = lineage(1, "rsa", 3, 4, 1);
	act_publish(list, 2);
	assert_int_equal(w.set.n, 5);
	assert_true(has(1) && has(2) && has(3) && has(4));
	assert_int_equal(w.writes, 2);
	for (int i = 0; i < 2; i++) {
		assert_false(s[i].failed);
		assert_int_equal(s[i].st.owner[0].publish_tries, 1);
		assert_string_equal(s[i].st.publish_why, "");
		done(&s[i]);
	}
}

/* _25._tcp of two hosts are CNAMEs for one name. */
static void test_two_names_one_target(void **state)
{
	struct session *one;

	(void)state;
	assert_int_equal(tlsa_rrset_add_text(&w.set, FOREIGN, &e), ST_OK);
	one = lineage(0, "mx", 1, 2, 2);
	act_publish(&one, 1);
	assert_int_equal(w.set.n, 3);
	assert_int_equal(w.writes, 1);
	assert_int_equal(one->st.owner[0].publish_tries, 1);
	assert_int_equal(one->st.owner[1].publish_tries, 1);
	done(one);
}

static void one_key(struct session *one, unsigned char c, enum key_role role,
	unsigned rollbacks, int64_t tried_ms)
{
	struct spki spki = key_of(c);
	struct state_key *k;
	struct state_gen *g;

	assert_int_equal(state_key_add(
				 &one->st, &spki, KEY_ECDSA_P256, role, &k, &e),
		ST_OK);
	if (role == KEY_PREVIOUS || role == KEY_RETIRED)
		return;
	assert_int_equal(state_gen_add(&one->st, &g, &e), ST_OK);
	g->n = one->st.next_gen++;
	g->spki = spki;
	g->not_after_s = 1;
	g->rollbacks = rollbacks;
	g->tried_ms = tried_ms;
}

/* Somebody deleted the name just after a switch: a process of before may go on
 * with the previous key for a while, and one that did not reload with a key that
 * it was to switch to; in this lineage and in another one, whose state is read at
 * that moment. */
static void test_first_set_has_all_served(void **state)
{
	struct config cfg = { .lineage = cl, .n_lineages = 2 };
	struct session *one, *other;

	(void)state;
	engine.cfg = &cfg;
	engine.store = store;
	other = lineage(1, "rsa", 10, 11, 1);
	one_key(other, 12, KEY_PREVIOUS, 0, 0);
	one_key(other, 13, KEY_CANDIDATE, 1, 0);
	one_key(other, 14, KEY_CANDIDATE, 0, 1);
	one_key(other, 15, KEY_CANDIDATE, 0, 0);
	assert_int_equal(store_commit(other->sl, &other->st, &e), ST_OK);
	one = lineage(0, "ecdsa", 1, 2, 1);
	one_key(one, 3, KEY_PREVIOUS, 0, 0);
	one_key(one, 4, KEY_CANDIDATE, 1, 0);
	one_key(one, 5, KEY_CANDIDATE, 0, 0);
	one_key(one, 6, KEY_RETIRED, 0, 0);
	act_publish(&one, 1);
	assert_int_equal(w.set.n, 8);
	assert_true(has(1) && has(2) && has(3) && has(4));
	assert_true(has(10) && has(12) && has(13) && has(14));
	done(one);
	done(other);
	engine_release(&engine);
	engine.n_owner_refs = 0;
}

/* Record by record, the next key's before the served one's would promise a key
 * that is not served. Digests are added in their order: 0 before 9. */
static void test_served_key_first(void **state)
{
	struct session *one;

	(void)state;
	provider.ops = &record_ops;
	w.served = key_of(9);
	one = lineage(0, "mx", 9, 1, 1);
	act_publish(&one, 1);
	assert_false(w.promised_other);
	assert_int_equal(w.set.n, 2);
	assert_true(has(9) && has(1));
	assert_string_equal(one->st.publish_why, "");
	done(one);
}

/* Whichever of the two cannot be added. */
static void test_served_key_first_fails(void **state)
{
	struct session *one;

	(void)state;
	provider.ops = &record_ops;
	w.served = key_of(9);
	for (int n = 2; n > 0; n--) {
		tlsa_rrset_release(&w.set);
		w.adds = 0;
		w.fail_add = n;
		one = lineage(0, n == 2 ? "mx2" : "mx1", 9, 1, 1);
		act_publish(&one, 1);
		assert_false(w.promised_other);
		assert_int_equal(w.set.n, n - 1);
		assert_non_null(strstr(one->st.publish_why, "down"));
		assert_true(one->st.publish_temporary);
		done(one);
	}
}

/* Somebody emptied the name, the servers still show everything, and only the
 * served key's record can be put back: the next key's will be missing, and a
 * sweep of this moment must not make it ready. That is on disk before anything
 * is changed. */
static void test_missing_is_no_agreement(void **state)
{
	struct session *one;

	(void)state;
	provider.ops = &record_ops;
	w.fail_add = 2;
	w.name = "mx";
	one = lineage(0, "mx", 9, 1, 1);
	for (size_t i = 0; i < 2; i++)
		one->st.key[i].at[0].since_ms = 1;
	assert_int_equal(store_commit(one->sl, &one->st, &e), ST_OK);
	act_publish(&one, 1);
	assert_int_equal(w.set.n, 1);
	assert_true(has(9));
	assert_false(w.agreed);
	assert_int_equal(one->st.key[0].at[0].since_ms, 0);
	assert_int_equal(one->st.key[1].at[0].since_ms, 0);
	done(one);
}

/* What the provider has goes on. */
static void test_what_is_there_agrees(void **state)
{
	struct session *one;
	struct spki current = key_of(9);

	(void)state;
	assert_int_equal(tlsa_rrset_add_spki(&w.set, &current, &e), ST_OK);
	one = lineage(0, "mx", 9, 1, 1);
	for (size_t i = 0; i < 2; i++)
		one->st.key[i].at[0].since_ms = 1;
	act_publish(&one, 1);
	assert_int_equal(w.set.n, 2);
	assert_int_equal(one->st.key[0].at[0].since_ms, 1);
	assert_int_equal(one->st.key[1].at[0].since_ms, 0);
	done(one);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_two_lineages_one_name),
		T(test_two_names_one_target), T(test_first_set_has_all_served),
		T(test_served_key_first),
		T(test_served_key_first_fails),
		T(test_missing_is_no_agreement),
		T(test_what_is_there_agrees) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
