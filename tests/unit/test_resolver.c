/* What a resolver says of itself: each forwarder alone, the root's keys, and
 * that a broken forwarder is never a verdict on a zone (dane.md S30, S31). The
 * forwarders are scripts; "forged.test." is what no signature covers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/dns/memo.h"
#include "hook/dns/resolver.h"
#include "tests/unit/dns_root.h"
#include "tests/unit/dns_rules.h"

#define FORGED "forged.test."

static char dir[] = "/tmp/test_resolver.XXXXXX";
static char anchor[64], hints[64];
static struct dns_addr server[4];
static const char *forward[5];

#define ROOT_RULES(strip_keys, strip_rest)                           \
	{ .name = ".",                                               \
		.type = RRTYPE_DNSKEY,                               \
		.replay = ROOT_DNSKEY,                               \
		.strip = (strip_keys) },                             \
		{ .name = ".",                                       \
			.type = RRTYPE_SOA,                          \
			.replay = ROOT_SOA,                          \
			.strip = (strip_rest) },                     \
	{                                                            \
		.name = ".", .type = RRTYPE_TXT, .replay = ROOT_TXT, \
		.strip = (strip_rest)                                \
	}

static const struct rule good_rules[] = { ROOT_RULES(false, false),
	{ .type = RRTYPE_A, .rr_type = RRTYPE_A, .rr = { "7f000001" } } };
static const struct rule strip_rules[] = { ROOT_RULES(true, true),
	{ .type = RRTYPE_A, .rr_type = RRTYPE_A, .rr = { "7f000001" } } };
/* Passes on what it has just fetched, but no proofs. */
static const struct rule proof_rules[] = { ROOT_RULES(false, true),
	{ .type = RRTYPE_A, .rr_type = RRTYPE_A, .rr = { "7f000001" } } };
static const struct rule refuse_rules[] = { { .rcode = 5 } };

static const struct behaviour good = { .rule = good_rules, .n = 4 };
static const struct behaviour strip = { .rule = strip_rules, .n = 4 };
static const struct behaviour proof = { .rule = proof_rules, .n = 4 };
static const struct behaviour refuse = { .rule = refuse_rules, .n = 1 };
static const struct behaviour silent = { .udp_silent = true,
	.tcp_silent = true };

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(anchor, sizeof(anchor), "%s/anchor", dir);
	(void)snprintf(hints, sizeof(hints), "%s/hints", dir);
	write_file(anchor, ROOT_ANCHOR);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(anchor);
	(void)unlink(hints);
	return rmdir(dir);
}

/* A resolver that forwards to such servers. */
static struct resolver *through(
	const struct behaviour *const b[], size_t n, int64_t timeout_ms)
{
	struct resolver_config cfg = { .forward = forward,
		.trust_anchor = anchor,
		.timeout_ms = timeout_ms };
	struct resolver *r = NULL;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		rules_start(b[i], &server[i]);
		forward[i] = server[i].text;
	}
	forward[n] = NULL;
	assert_int_equal(resolver_new(&cfg, &r, &err), ST_OK);
	return r;
}

static enum dns_security look(
	struct resolver *r, const char *name, uint16_t type, struct lookup *ret)
{
	struct err err = ERR_INIT;

	assert_int_equal(resolver_lookup_one(r, name, type, ret, &err), ST_OK);
	return ret->security;
}

static const char *fault_of(struct resolver *r)
{
	static char fault[512];
	struct err err = ERR_INIT;

	assert_int_equal(
		resolver_selftest(r, fault, sizeof(fault), &err), ST_OK);
	return fault;
}

/* Only with a forwarder that is fit may anything be bogus. */
static void fit_forwarder(void **state)
{
	const struct behaviour *const b[] = { &good, &good };

	(void)state;
	for (size_t n = 1; n <= 2; n++) {
		struct resolver *r = through(b, n, 5000);
		struct lookup l = { .type = 0 };

		assert_string_equal(fault_of(r), "");
		assert_int_equal(look(r, ".", RRTYPE_DNSKEY, &l), DNS_SECURE);
		assert_int_equal(l.n, 1);
		assert_int_equal(l.rcode, 0);
		assert_int_equal(l.ede, -1);
		assert_int_equal(l.inception, ROOT_FROM);
		assert_int_equal(l.expiration, ROOT_UNTIL);
		lookup_release(&l);
		/* A denial has the window of its proof. */
		assert_int_equal(look(r, ".", RRTYPE_TXT, &l), DNS_SECURE);
		assert_false(l.havedata);
		assert_int_equal(l.expiration, ROOT_UNTIL);
		lookup_release(&l);
		assert_int_equal(look(r, FORGED, RRTYPE_A, &l), DNS_BOGUS);
		assert_null(strstr(l.why, "forwarder"));
		assert_int_equal(l.n, 0);
		lookup_release(&l);
		resolver_free(r);
		rules_stop();
	}
}

static void broken(const struct behaviour *const b[], size_t n, size_t culprit,
	const char *word)
{
	struct resolver *r = through(b, n, 3000);
	struct lookup l = { .type = 0 };
	const char *fault = fault_of(r);

	assert_non_null(strstr(fault, server[culprit].text));
	assert_non_null(strstr(fault, word));
	assert_non_null(strstr(fault, "'forward'")); /* what to do */
	for (size_t i = 0; i < n; i++)
		if (i != culprit)
			assert_null(strstr(fault, server[i].text));
	/* Signed data may come through the others: it is validated. */
	assert_int_not_equal(look(r, ".", RRTYPE_SOA, &l), DNS_BOGUS);
	lookup_release(&l);
	assert_int_equal(look(r, FORGED, RRTYPE_A, &l), DNS_FAILED);
	assert_false(l.havedata);
	assert_int_equal(l.n, 0);
	assert_non_null(strstr(l.why, server[culprit].text));
	lookup_release(&l);
	resolver_free(r);
	rules_stop();
}

static void broken_forwarders(void **state)
{
	const struct behaviour *const stripping[] = { &strip };
	const struct behaviour *const proofless[] = { &proof };
	const struct behaviour *const refusing[] = { &refuse };
	const struct behaviour *const mixed[] = { &good, &strip, &good };
	const struct behaviour *const last[] = { &good, &proof };

	(void)state;
	broken(stripping, 1, 0, "DNSSEC");
	broken(proofless, 1, 0, "DNSSEC");
	broken(refusing, 1, 0, "refuses");
	/* One of several. */
	broken(mixed, 3, 1, "DNSSEC");
	broken(last, 2, 1, "DNSSEC");
}

/* Without a test asked for, too: what the rollover does. */
static void first_lookup_tests(void **state)
{
	const struct behaviour *const b[] = { &strip };
	struct resolver *r = through(b, 1, 3000);
	struct lookup l = { .type = 0 };

	(void)state;
	assert_int_equal(look(r, FORGED, RRTYPE_A, &l), DNS_FAILED);
	assert_non_null(strstr(l.why, "does not pass on DNSSEC"));
	lookup_release(&l);
	resolver_free(r);
	rules_stop();
}

static void silent_forwarder(void **state)
{
	const struct behaviour *const b[] = { &silent };
	struct resolver *r = through(b, 1, 400);
	struct lookup l = { .type = 0 };

	(void)state;
	assert_non_null(strstr(fault_of(r), "does not answer"));
	assert_int_equal(look(r, FORGED, RRTYPE_A, &l), DNS_FAILED);
	assert_int_equal(l.rcode, -1);
	assert_in_range(l.took_ms, 390, 5000);
	lookup_release(&l);
	resolver_free(r);
	rules_stop();
}

static void wrong_anchor(void **state)
{
	const struct behaviour *const b[] = { &good };
	struct resolver *r;

	(void)state;
	write_file(anchor, ". IN DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb924"
			   "27ae41e4649b934ca495991b7852b855\n");
	r = through(b, 1, 3000);
	assert_non_null(strstr(fault_of(r), "another root key"));
	resolver_free(r);
	rules_stop();
	write_file(anchor, "test. IN DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb9"
			   "2427ae41e4649b934ca495991b7852b855\n");
	r = through(b, 1, 3000);
	assert_non_null(strstr(fault_of(r), "no key of the root"));
	assert_non_null(strstr(fault_of(r), anchor));
	resolver_free(r);
	rules_stop();
	write_file(anchor, ROOT_ANCHOR);
}

static void no_root_server(void **state)
{
	struct resolver_config cfg = {
		.root_hints = hints, .trust_anchor = anchor, .timeout_ms = 300
	};
	struct resolver *r = NULL;
	struct err err = ERR_INIT;

	(void)state;
	write_file(hints, ". 60 NS a.ns.\na.ns. 60 A 127.9.9.9\n");
	assert_int_equal(resolver_new(&cfg, &r, &err), ST_OK);
	assert_string_equal(resolver_forwarders(r), "");
	assert_non_null(strstr(fault_of(r), "no root server answers"));
	assert_non_null(strstr(fault_of(r), anchor));
	resolver_free(r);
}

static void forwarder_list(void **state)
{
	const char *const list[] = { "127.0.0.1@5399", "::1", NULL };
	struct resolver_config cfg = { .forward = list,
		.trust_anchor = anchor };
	struct resolver *r = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(resolver_new(&cfg, &r, &err), ST_OK);
	assert_string_equal(resolver_forwarders(r), "127.0.0.1@5399, ::1");
	resolver_free(r);
}

static void memo_in_order(void **state)
{
	const struct behaviour *const b[] = { &good };
	struct resolver *r = through(b, 1, 3000);
	struct memo *m = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(memo_new(r, &m, &err), ST_OK);
	assert_int_equal(memo_count(m), 0);
	assert_int_equal(memo_want(m, ".", RRTYPE_SOA, &err), ST_OK);
	assert_int_equal(memo_want(m, ".", RRTYPE_DNSKEY, &err), ST_OK);
	assert_int_equal(memo_want(m, ".", RRTYPE_SOA, &err), ST_OK);
	assert_int_equal(memo_count(m), 0); /* not asked yet */
	assert_int_equal(memo_run(m, &err), ST_OK);
	assert_int_equal(memo_count(m), 2);
	assert_int_equal(memo_at(m, 0)->type, RRTYPE_SOA);
	assert_int_equal(memo_at(m, 1)->type, RRTYPE_DNSKEY);
	assert_ptr_equal(memo_at(m, 1), memo_get(m, ".", RRTYPE_DNSKEY));
	memo_free(m);
	resolver_free(r);
	rules_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fit_forwarder),
		cmocka_unit_test(broken_forwarders),
		cmocka_unit_test(first_lookup_tests),
		cmocka_unit_test(silent_forwarder),
		cmocka_unit_test(wrong_anchor),
		cmocka_unit_test(no_root_server),
		cmocka_unit_test(forwarder_list),
		cmocka_unit_test(memo_in_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
