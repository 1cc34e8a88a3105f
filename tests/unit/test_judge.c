/* Verdicts: of a host, of a domain, and how one follows from the other. */
#include "judge_fixture.h"

static void test_names(void **state)
{
	static const struct {
		enum check_verdict v;
		const char *name;
		int exit;
	} rows[] = {
		{ CHECK_OK, "OK", 0 },
		{ CHECK_WEAK, "WEAK", 1 },
		{ CHECK_ENCRYPT_ONLY, "ENCRYPT-ONLY", 1 },
		{ CHECK_NO_DANE, "NO-DANE", 1 },
		{ CHECK_INSECURE, "INSECURE", 1 },
		{ CHECK_DEGRADED, "DEGRADED", 1 },
		{ CHECK_BOGUS, "BOGUS", 3 },
		{ CHECK_BLOCKED, "BLOCKED", 3 },
		{ CHECK_INCOMPLETE, "INCOMPLETE", 4 },
	};

	(void)state;
	assert_int_equal(sizeof(rows) / sizeof(rows[0]), CHECK__COUNT);
	for (size_t i = 0; i < CHECK__COUNT; i++) {
		assert_string_equal(
			check_verdict_name(rows[i].v), rows[i].name);
		assert_int_equal(check_verdict_exit(rows[i].v), rows[i].exit);
	}
	assert_string_equal(conn_state_name(CONN_ABSENT), "absent");
	assert_string_equal(conn_state_name(CONN_FAIL), "fail");
	assert_string_equal(finding_level_name(FINDING_WARN), "warn");
}

#define O CHECK_OK
#define W CHECK_WEAK
#define E CHECK_ENCRYPT_ONLY
#define N CHECK_NO_DANE
#define I CHECK_INSECURE
#define T CHECK_INCOMPLETE
#define D CHECK_DEGRADED
#define G CHECK_BOGUS
#define B CHECK_BLOCKED

/* Every pair of what two hosts can be. Rows and columns in the order of the
 * enum; symmetric, so the order of hosts does not count. */
static void test_rollup_pairs(void **state)
{
	static const enum check_verdict table[CHECK__COUNT][CHECK__COUNT] = {
		/*       O  W  E  N  I  T  D  G  B */
		[O] = { O, W, W, W, W, T, D, D, D },
		[W] = { W, W, W, W, W, T, D, D, D },
		[E] = { W, W, E, W, W, T, D, D, D },
		[N] = { W, W, W, N, N, T, D, D, D },
		[I] = { W, W, W, N, I, T, D, D, D },
		[T] = { T, T, T, T, T, T, D, D, D },
		[D] = { D, D, D, D, D, D, D, D, D },
		[G] = { D, D, D, D, D, D, D, G, B },
		[B] = { D, D, D, D, D, D, D, B, B },
	};

	(void)state;
	for (unsigned a = 0; a < CHECK__COUNT; a++)
		for (unsigned b = 0; b < CHECK__COUNT; b++) {
			enum check_verdict v[2] = { (enum check_verdict)a,
				(enum check_verdict)b };

			assert_int_equal(table[a][b], table[b][a]);
			if (judge_rollup(v, 2) != table[a][b])
				fail_msg("%s and %s make %s, not %s",
					check_verdict_name(v[0]),
					check_verdict_name(v[1]),
					check_verdict_name(judge_rollup(v, 2)),
					check_verdict_name(table[a][b]));
			/* A third host of a kind that is there changes
			 * nothing. */
			if (a == b)
				assert_int_equal(
					judge_rollup(v, 1), table[a][a]);
		}
}

static void test_rollup_many(void **state)
{
	static const struct {
		enum check_verdict v[4];
		size_t n;
		enum check_verdict want;
	} rows[] = {
		{ { O }, 0, T },
		{ { O, O, B }, 3, D },
		{ { B, B, G }, 3, B },
		{ { B, B, T }, 3, D },
		{ { B, G, O, N }, 4, D },
		{ { O, T, N }, 3, T },
		{ { N, I, N }, 3, N },
		{ { O, O, O, N }, 4, W },
		{ { E, E, E, I }, 4, W },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			judge_rollup(rows[i].v, rows[i].n), rows[i].want);
}

/* One host with records, one connection for each letter: o matches, f fails,
 * e encrypted, t timeout, c no connection, p protocol, u no route. */
static void test_host_verdict(void **state)
{
	static const struct {
		const char *conns;
		enum check_verdict want;
	} rows[] = {
		{ "", T },
		{ "o", O },
		{ "oo", O },
		{ "f", B },
		{ "ff", B },
		{ "of", D },
		{ "t", T },
		{ "u", T },
		{ "ot", T },
		{ "oc", T },
		{ "op", T },
		{ "ou", O },
		{ "fu", B },
		{ "ft", B },
		{ "oft", D },
		{ "uu", T },
		{ "e", E },
		{ "ef", D },
		{ "et", T },
		{ "eu", E },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct jf f;
		struct check_host *h;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, strchr(rows[i].conns, 'e') != NULL
				   ? "1 1 1 " HEX32("11")
				   : K1);
		for (const char *s = rows[i].conns; *s != '\0'; s++) {
			char addr[16];

			(void)snprintf(addr, sizeof(addr), "192.0.2.%d",
				(int)(s - rows[i].conns) + 1);
			switch (*s) {
			case 'o':
				(void)jf_serve(h, addr, PROBE_ANY, 0x11, 0,
					PROBE_DANE_OK);
				break;
			case 'e':
				(void)jf_serve(h, addr, PROBE_ANY, 0x11, 0,
					PROBE_DANE_NONE);
				break;
			case 'f':
				(void)jf_conn(
					h, addr, PROBE_ANY, PROBE_NO_STARTTLS);
				break;
			case 't':
				(void)jf_conn(
					h, addr, PROBE_ANY, PROBE_TIMEOUT);
				break;
			case 'c':
				(void)jf_conn(
					h, addr, PROBE_ANY, PROBE_NO_CONNECT);
				break;
			case 'p':
				(void)jf_conn(
					h, addr, PROBE_ANY, PROBE_PROTOCOL);
				break;
			default:
				(void)jf_conn(
					h, addr, PROBE_ANY, PROBE_UNTESTABLE);
			}
		}
		jf_judge(&f);
		if (h->verdict != rows[i].want)
			fail_msg("'%s' makes %s", rows[i].conns,
				check_verdict_name(h->verdict));
		assert_int_equal(f.c.verdict, rows[i].want);
		jf_free(&f);
	}
}

/* What the look-ups of the only host say. */
static void test_host_dane(void **state)
{
	static const struct {
		enum host_dane dane;
		enum dns_security a, tlsa;
		bool tlsa_asked;
		enum check_verdict want;
		enum check_code code;
		enum finding_level level;
	} rows[] = {
		{ HOST_NO_TLSA, DNS_SECURE, DNS_SECURE, true, N, CODE_NO_TLSA,
			FINDING_INFO },
		{ HOST_INSECURE, DNS_INSECURE, DNS_SECURE, false, I,
			CODE_ADDR_INSECURE, FINDING_WARN },
		{ HOST_INSECURE, DNS_SECURE, DNS_INSECURE, true, I,
			CODE_TLSA_INSECURE, FINDING_WARN },
		{ HOST_BOGUS, DNS_BOGUS, DNS_SECURE, false, G, CODE_ADDR_BOGUS,
			FINDING_FAIL },
		{ HOST_BOGUS, DNS_SECURE, DNS_BOGUS, true, G, CODE_TLSA_BOGUS,
			FINDING_FAIL },
		{ HOST_TLSA_FAILED, DNS_SECURE, DNS_FAILED, true, B,
			CODE_TLSA_FAILED, FINDING_FAIL },
		{ HOST_ADDR_FAILED, DNS_FAILED, DNS_SECURE, false, T,
			CODE_ADDR_FAILED, FINDING_FAIL },
		{ HOST_NO_ADDRESS, DNS_SECURE, DNS_SECURE, false, T,
			CODE_NO_ADDRESS, FINDING_FAIL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct jf f;
		struct check_host *h;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		h->dane = rows[i].dane;
		((struct lookup *)(uintptr_t)h->a)->security = rows[i].a;
		((struct lookup *)(uintptr_t)h->tlsa)->security = rows[i].tlsa;
		if (!rows[i].tlsa_asked)
			h->tlsa = NULL;
		(void)snprintf(h->why, sizeof(h->why), "because");
		jf_judge(&f);
		assert_int_equal(f.c.verdict, rows[i].want);
		assert_int_equal(jf_count(&f, rows[i].code), 1);
		jf_expect(&f, rows[i].code, rows[i].level, "mx1.example.test",
			"because");
		if (rows[i].want == G)
			assert_non_null(strstr(
				jf_find(&f, rows[i].code)->text, "dnsviz.net"));
		/* No other failure is made of the same thing. */
		for (size_t k = 1; k < f.c.n_findings; k++)
			assert_true(f.c.finding[k].level < FINDING_FAIL);
		jf_free(&f);
	}
}

/* The MX answer, with one good host behind it (or none). */
static void test_domain(void **state)
{
	static const struct {
		enum dns_security mx;
		bool nxdomain, null_mx, fault, host;
		enum check_verdict want;
		enum check_code code;
		enum finding_level level;
	} rows[] = {
		{ DNS_BOGUS, false, false, false, false, G, CODE_MX_BOGUS,
			FINDING_FAIL },
		{ DNS_FAILED, false, false, false, false, T, CODE_MX_FAILED,
			FINDING_FAIL },
		{ DNS_SECURE, true, false, false, false, T, CODE_NO_DOMAIN,
			FINDING_FAIL },
		{ DNS_SECURE, false, true, false, false, N, CODE_NULL_MX,
			FINDING_INFO },
		{ DNS_INSECURE, false, false, false, true, I, CODE_MX_INSECURE,
			FINDING_WARN },
		{ DNS_BOGUS, false, false, true, true, T, CODE_RESOLVER,
			FINDING_FAIL },
		{ DNS_SECURE, false, false, true, true, T, CODE_RESOLVER,
			FINDING_FAIL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct jf f;
		struct lookup *mx;

		jf_init(&f);
		mx = (struct lookup *)(uintptr_t)f.c.mx;
		mx->security = rows[i].mx;
		mx->nxdomain = rows[i].nxdomain;
		f.c.null_mx = rows[i].null_mx;
		if (rows[i].fault)
			(void)snprintf(f.c.resolver_fault,
				sizeof(f.c.resolver_fault), "strips RRSIG");
		if (rows[i].host)
			(void)jf_good(&f, "mx1", K1, K2);
		jf_judge(&f);
		assert_int_equal(f.c.verdict, rows[i].want);
		assert_int_equal(jf_count(&f, rows[i].code), 1);
		jf_expect(&f, rows[i].code, rows[i].level, "", "");
		if (rows[i].fault)
			assert_int_equal(jf_count(&f, CODE_MX_BOGUS), 0);
		jf_free(&f);
	}
}

/* An unfit resolver makes no host BOGUS or BLOCKED either. */
static void test_unfit_resolver(void **state)
{
	static const enum host_dane danes[] = { HOST_BOGUS, HOST_TLSA_FAILED };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct jf f;
		struct check_host *h;

		jf_init(&f);
		(void)snprintf(f.c.resolver_fault, sizeof(f.c.resolver_fault),
			"strips RRSIG");
		h = jf_host(&f, "mx1");
		h->dane = danes[i];
		jf_judge(&f);
		assert_int_equal(h->verdict, CHECK_INCOMPLETE);
		assert_int_equal(f.c.verdict, CHECK_INCOMPLETE);
		assert_int_equal(f.c.n_findings, 1);
		jf_expect(&f, CODE_RESOLVER, FINDING_FAIL, "resolver",
			"strips RRSIG");
		jf_free(&f);
	}
}

/* Nothing was looked up at all: no facts, no crash, no verdict. */
static void test_nothing(void **state)
{
	static const enum check_kind kinds[] = { CHECK_BY_DOMAIN, CHECK_BY_HOST,
		CHECK_BY_LINEAGE };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		f.c.kind = kinds[i];
		f.c.mx = NULL;
		jf_judge(&f);
		assert_int_equal(f.c.verdict, CHECK_INCOMPLETE);
		h = jf_host(&f, "mx1");
		h->dane = HOST_TLSA;
		h->a = h->aaaa = h->tlsa = NULL;
		jf_judge(&f);
		assert_int_equal(f.c.verdict, CHECK_INCOMPLETE);
		jf_free(&f);
	}
}

/* An unsigned MX: nothing is protected; but what Postfix would trip over is
 * said. (RFC 7672 2.2.1) */
static void test_insecure_mx(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	((struct lookup *)(uintptr_t)f.c.mx)->security = DNS_INSECURE;
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	(void)jf_serve(h, V4, PROBE_ECDSA, 0x33, 0, PROBE_DANE_NO_MATCH);
	jf_judge(&f);
	assert_int_equal(h->verdict, CHECK_BLOCKED);
	assert_int_equal(f.c.verdict, CHECK_DEGRADED);
	jf_expect(&f, CODE_MX_INSECURE, FINDING_WARN, "example.test MX",
		"smtp_tls_dane_insecure_mx_policy");
	jf_free(&f);
}

/* E45: one of two mismatches, both do, one has no TLSA record. */
static void test_two_hosts(void **state)
{
	(void)state;
	for (int bad = 0; bad <= 3; bad++) {
		struct check_host *h[2];
		struct jf f;

		jf_init(&f);
		for (int i = 0; i < 2; i++) {
			h[i] = jf_host(&f, i == 0 ? "mx1" : "mx2");
			if (bad == 3 && i == 1)
				continue;
			jf_tlsa(h[i], i == 0 ? K1 : K3);
			(void)jf_serve(h[i], V4, PROBE_ECDSA,
				i == 0 ? 0x11 : 0x33, 0,
				bad < 3 && i >= 2 - bad ? PROBE_DANE_NO_MATCH
							: PROBE_DANE_OK);
		}
		jf_judge(&f);
		assert_int_equal(f.c.verdict, bad == 0   ? CHECK_OK
					      : bad == 1 ? CHECK_DEGRADED
					      : bad == 2 ? CHECK_BLOCKED
							 : CHECK_WEAK);
		if (bad == 3)
			jf_expect(&f, CODE_NO_TLSA, FINDING_WARN,
				"_25._tcp.mx2.example.test TLSA", "attacker");
		jf_free(&f);
	}
}

/* A lint never changes a verdict. */
static void test_lints_are_lints(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, "3 0 1 " HEX32("99"));
	jf_tlsa(h, "0 0 1 " HEX32("77"));
	h->rrset.ttl = 60;
	h->conn[0].job.not_after = NOW - DAYS;
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_OK);
	assert_true(f.c.n_findings > 4);
	for (size_t i = 0; i < f.c.n_findings; i++)
		assert_true(f.c.finding[i].level < FINDING_FAIL);
	jf_free(&f);
}

static void test_lookup_lints(void **state)
{
	struct check_host *h;
	struct rdata txt = { .data = (uint8_t *)(uintptr_t) "\x0bv=TLSRPTv2;",
		.len = 12 };
	struct lookup *l;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, K2);
	h->alias = true;
	(void)snprintf(
		h->expanded, sizeof(h->expanded), "%s", "real.example.test.");
	l = (struct lookup *)(uintptr_t)h->tlsa;
	(void)snprintf(l->canon, sizeof(l->canon), "3.1.1._dane.example.test.");
	((struct lookup *)(uintptr_t)h->aaaa)->security = DNS_FAILED;
	f.c.bare_tlsa = jf_look(
		&f, "_25._tcp.example.test.", RRTYPE_TLSA, DNS_SECURE, true);
	l = jf_look(
		&f, "_smtp._tls.example.test.", RRTYPE_TXT, DNS_SECURE, false);
	f.c.tlsrpt = l;
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_OK);
	/* What was left out may be well or not: no lint. */
	f.c.truncated = true;
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_INCOMPLETE);
	jf_expect(&f, CODE_MX_ALIAS, FINDING_WARN, "mx1.example.test:25",
		"real.example.test");
	jf_expect(&f, CODE_TLSA_ALIAS, FINDING_INFO, "_25._tcp.mx1",
		"3.1.1._dane.example.test");
	jf_expect(&f, CODE_ADDR_FAILED, FINDING_WARN, "AAAA", "others");
	jf_expect(&f, CODE_BARE_TLSA, FINDING_WARN, "_25._tcp.example.test",
		"nobody reads");
	jf_expect(&f, CODE_TLSRPT_MISSING, FINDING_INFO,
		"_smtp._tls.example.test TXT", "");
	jf_expect(&f, CODE_TRUNCATED, FINDING_WARN, "", "not all");

	/* Two of them, or a wrong one: WARN. */
	l->rr = (struct rdata[]){
		{ .data = (uint8_t *)(uintptr_t) "\x0dv=TLSRPTv1;ru",
			.len = 14 },
		txt
	};
	l->n = 1;
	l->havedata = true;
	((struct lookup *)(uintptr_t)f.c.bare_tlsa)->havedata = false;
	jf_judge(&f);
	jf_expect(&f, CODE_TLSRPT_INVALID, FINDING_WARN, "_smtp._tls", "");
	assert_int_equal(jf_count(&f, CODE_TLSRPT_MISSING), 0);
	assert_int_equal(jf_count(&f, CODE_BARE_TLSA), 0);

	/* By host nobody said MX. */
	f.c.kind = CHECK_BY_HOST;
	f.c.mx = f.c.tlsrpt = NULL;
	jf_judge(&f);
	assert_int_equal(jf_find(&f, CODE_MX_ALIAS)->level, FINDING_INFO);
	jf_free(&f);
}

static void test_worst_first(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, K2);
	h->rrset.ttl = 60;
	h = jf_host(&f, "mx2");
	jf_tlsa(h, K3);
	(void)jf_conn(h, V4, PROBE_ANY, PROBE_NO_STARTTLS);
	jf_judge(&f);
	assert_true(f.c.n_findings >= 3);
	assert_int_equal(f.c.finding[0].level, FINDING_FAIL);
	for (size_t i = 1; i < f.c.n_findings; i++)
		assert_true(f.c.finding[i].level <= f.c.finding[i - 1].level);
	/* Judging again gives the same, not more. */
	{
		size_t n = f.c.n_findings;

		jf_judge(&f);
		assert_int_equal(f.c.n_findings, n);
	}
	jf_free(&f);
}

static void test_too_many_findings(void **state)
{
	struct err err = ERR_INIT;
	struct jf f;

	(void)state;
	jf_init(&f);
	for (size_t i = 0; i < CHECK_FINDINGS_MAX + 10; i++) {
		struct finding *d =
			check_find(&f.c, CODE_NS_TLSA, FINDING_FAIL, -1, &err);

		assert_non_null(d);
		assert_int_equal(d->code, CODE_NS_TLSA);
		(void)snprintf(d->text, sizeof(d->text), "%zu", i);
	}
	assert_int_equal(f.c.n_findings, CHECK_FINDINGS_MAX);
	assert_int_equal(
		f.c.finding[CHECK_FINDINGS_MAX - 1].code, CODE_TRUNCATED);
	assert_string_equal(f.c.finding[CHECK_FINDINGS_MAX - 2].text, "1998");
	jf_free(&f);
}

/* An MX without an address is passed over as long as another one has one. */
static void test_no_address_beside(void **state)
{
	struct jf f;
	struct check_host *h;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	h->dane = HOST_NO_ADDRESS;
	h->tlsa = NULL;
	h = jf_host(&f, "mx2");
	h->dane = HOST_NO_TLSA;
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_NO_DANE);
	assert_int_equal(f.c.host[0].verdict, CHECK_INCOMPLETE);
	assert_int_equal(jf_find(&f, CODE_NO_ADDRESS)->level, FINDING_WARN);
	jf_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_address_beside),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rollup_pairs),
		cmocka_unit_test(test_rollup_many),
		cmocka_unit_test(test_host_verdict),
		cmocka_unit_test(test_host_dane),
		cmocka_unit_test(test_domain),
		cmocka_unit_test(test_unfit_resolver),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_insecure_mx),
		cmocka_unit_test(test_two_hosts),
		cmocka_unit_test(test_lints_are_lints),
		cmocka_unit_test(test_lookup_lints),
		cmocka_unit_test(test_worst_first),
		cmocka_unit_test(test_too_many_findings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
