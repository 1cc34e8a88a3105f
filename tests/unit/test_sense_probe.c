/* What endpoints serve, in the terms of the decision: two lineages at one
 * name, and a record set of somebody who is gone. */
#include "hook/act.h"
#include "hook/base/log.h"
#include "hook/sense.h"

#include "tests/unit/store_fixture.h"

#include <netinet/in.h>

#define OWNER "_25._tcp.mx.example."

/* What the one address serves, by algorithm of the client. */
static struct spki served[2];

static struct spki key_of(unsigned char c)
{
	struct spki k;

	memset(k.d, c, sizeof(k.d));
	return k;
}

static enum status look_up(
	void *ctx, struct lookup *const jobs[], size_t n, struct err *err)
{
	(void)ctx;
	(void)err;
	for (size_t i = 0; i < n; i++) {
		jobs[i]->security = DNS_SECURE;
		if (jobs[i]->type != RRTYPE_A)
			continue;
		jobs[i]->havedata = true;
		jobs[i]->n = 1;
		jobs[i]->rr = calloc(1, sizeof(*jobs[i]->rr));
		jobs[i]->rr[0].len = 4;
		jobs[i]->rr[0].data = calloc(1, 4);
	}
	return ST_OK;
}

static enum status probe(void *ctx, struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	(void)ctx;
	(void)lim;
	(void)err;
	for (size_t i = 0; i < n; i++) {
		jobs[i].result = PROBE_SERVED;
		jobs[i].spki = served[jobs[i].alg == PROBE_RSA];
		for (size_t t = 0; t < jobs[i].n_tlsa; t++)
			jobs[i].dane_ok |= memcmp(jobs[i].tlsa[t].data,
						   jobs[i].spki.d,
						   sizeof(jobs[i].spki.d)) == 0;
	}
	return ST_OK;
}

static const struct env env = { .look_up = look_up, .probe = probe };
static struct engine engine = { .env = &env };
static struct cfg_endpoint ep = { .host = "mx.example.", .port = 25 };
static char owner[1][DNS_NAME_MAX] = { OWNER };
static char name[2][8] = { "ecdsa", "rsa" };
static struct cfg_lineage cl[2];
static const struct config cfg = { .lineage = cl, .n_lineages = 2 };
static struct session s[2];

/* A lineage with this key, which has published nothing; at its name there are
 * records, and none of them is its own. */
static void lineage(size_t i, unsigned char key)
{
	struct spki spki = key_of(key), other = key_of(99);
	struct state_key *k;

	cl[i] = (struct cfg_lineage){ .name = name[i],
		.owner = owner,
		.n_owners = 1,
		.endpoint = &ep,
		.n_endpoints = 1 };
	memset(&s[i], 0, sizeof(s[i]));
	s[i].e = &engine;
	s[i].cl = &cl[i];
	assert_int_equal(
		store_lock(store, name[i], 0, &s[i].sl, &s[i].st, &e), ST_OK);
	assert_int_equal(state_set_owners(&s[i].st,
				 (const char(*)[DNS_NAME_MAX])owner, 1, &e),
		ST_OK);
	assert_int_equal(state_key_add(&s[i].st, &spki, KEY_ECDSA_P256,
				 KEY_CURRENT, &k, &e),
		ST_OK);
	assert_int_equal(store_commit(s[i].sl, &s[i].st, &e), ST_OK);
	s[i].validated = calloc(1, sizeof(*s[i].validated));
	assert_int_equal(
		tlsa_rrset_add_spki(&s[i].validated[0], &other, &e), ST_OK);
	s[i].obs.swept = true;
}

static int begin(void **state)
{
	int rc = setup(state);

	log_init(LOG_ALERT_L);
	engine.cfg = &cfg;
	engine.store = store;
	lineage(0, 1);
	lineage(1, 2);
	served[0] = key_of(1);
	served[1] = key_of(2);
	return rc;
}

static int end(void **state)
{
	for (int i = 0; i < 2; i++) {
		session_forget_sweep(&s[i]);
		store_unlock(s[i].sl);
		state_release(&s[i].st);
	}
	free(engine.owner_ref);
	engine.owner_ref = NULL;
	engine.n_owner_refs = 0;
	return teardown(state);
}

static enum obs_probe look(size_t i, unsigned char expect)
{
	struct spki spki = key_of(expect);
	bool stale;

	assert_int_equal(sense_probe(&s[i], &spki, 0, &stale, &e), ST_OK);
	return s[i].obs.probe;
}

/* Neither key has a record yet: each waits for its own only, or both would
 * wait for ever. */
static void test_first_records_of_two(void **state)
{
	(void)state;
	assert_int_equal(look(0, 1), PROBED_ALL);
	assert_int_equal(look(1, 2), PROBED_ALL);
}

/* The server has a key that no lineage knows: an outage, and no time for a
 * first record. */
static void test_stranger_is_served(void **state)
{
	(void)state;
	served[1] = key_of(7);
	assert_int_equal(look(0, 1), PROBED_OUTAGE);
	assert_non_null(strstr(s[0].obs.probe_why, "0707"));
}

/* The other lineage's key without a record counts once our own are out: it is
 * what senders meet. */
static void test_other_without_record(void **state)
{
	struct spki own = key_of(1);

	(void)state;
	assert_int_equal(
		tlsa_rrset_add_spki(&s[0].validated[0], &own, &e), ST_OK);
	assert_int_equal(look(0, 1), PROBED_ALL);
	s[0].st.owner[0].publish_ms = 1;
	s[0].st.key[0].at[0].rec = REC_OMNIPRESENT;
	assert_int_equal(look(0, 1), PROBED_OUTAGE);
	assert_non_null(strstr(s[0].obs.probe_why, "0202"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_first_records_of_two),
		T(test_stranger_is_served), T(test_other_without_record) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
