/* Name servers: each by itself, over both transports, and against each other.
 */
#include "judge_fixture.h"

#include <time.h>

enum { QUESTIONS = 8, SERVERS = 3, ANSWERS = 128 };
enum { Q_MX, Q_A, Q_TLSA, Q_ENT, Q_OTHER, Q_SOA };

/* A good host in a signed zone with three servers that all answer well; the
 * MX record of another domain in a zone of its own. */
struct sf {
	struct jf f;
	struct check_host *h;
	struct survey s;
	struct survey_question q[QUESTIONS];
	struct survey_zone z[2];
	struct auth_server server[2][SERVERS];
	struct survey_answer a[ANSWERS];
};

static void ask(struct sf *x, size_t q, const char *name, uint16_t type)
{
	(void)snprintf(x->q[q].name, sizeof(x->q[q].name), "%s", name);
	x->q[q].type = type;
	x->q[q].zone = q == Q_OTHER;
	x->s.n_questions = q + 1;
}

/* The answer of one server to one question. */
static struct survey_answer *ans(
	struct sf *x, size_t q, size_t server, bool tcp)
{
	for (size_t i = 0; i < x->s.n_answers; i++)
		if (x->a[i].question == (q == Q_SOA ? SIZE_MAX : q) &&
			x->a[i].server == server && x->a[i].tcp == tcp &&
			x->a[i].zone == (q == Q_OTHER))
			return &x->a[i];
	fail_msg("no answer");
	return NULL;
}

static void set(struct sf *x, size_t q, size_t server, enum survey_outcome udp,
	enum survey_outcome tcp)
{
	ans(x, q, server, false)->outcome = udp;
	ans(x, q, server, true)->outcome = tcp;
}

static void answer(struct sf *x, size_t q, size_t server, bool tcp)
{
	struct survey_answer *a = &x->a[x->s.n_answers++];

	assert_true(x->s.n_answers <= ANSWERS);
	*a = (struct survey_answer){ .question = q == Q_SOA ? SIZE_MAX : q,
		.zone = q == Q_OTHER,
		.server = server,
		.tcp = tcp,
		.outcome = q == Q_ENT ? SURVEY_NODATA : SURVEY_DATA,
		.ttl = 3600,
		.n_rr = 2,
		.sig_checked = true,
		.sig = CODEC_SIG_OK,
		.inception = NOW - 10 * DAYS,
		.expiration = NOW + 20 * DAYS,
		.digest = q,
		.serial = 7,
		.refresh = 3600,
		.ede = -1 };
}

static void sf_init(struct sf *x)
{
	memset(x, 0, sizeof(*x));
	jf_init(&x->f);
	x->h = jf_good(&x->f, "mx1", K1, K2);
	ask(x, Q_MX, "example.test.", RRTYPE_MX);
	ask(x, Q_A, "mx1.example.test.", RRTYPE_A);
	ask(x, Q_TLSA, "_25._tcp.mx1.example.test.", RRTYPE_TLSA);
	ask(x, Q_ENT, "_tcp.mx1.example.test.", RRTYPE_A);
	ask(x, Q_OTHER, "other.test.", RRTYPE_MX);
	x->s.question = x->q;
	x->s.zone = x->z;
	x->s.n_zones = 2;
	x->s.answer = x->a;
	for (size_t z = 0; z < 2; z++) {
		struct zone_auth *za = &x->z[z].auth;

		(void)snprintf(za->zone, sizeof(za->zone), "%s",
			z == 0 ? "example.test." : "other.test.");
		za->security = DNS_SECURE;
		za->server = x->server[z];
		za->n_servers = SERVERS;
		for (size_t i = 0; i < SERVERS; i++) {
			struct auth_server *s = &x->server[z][i];

			s->has_addr = true;
			(void)snprintf(s->name, sizeof(s->name),
				"ns%zu.example.test.", i + 1);
			(void)snprintf(s->addr.text, sizeof(s->addr.text),
				"192.0.2.%zu", 50 + i);
		}
	}
	for (size_t q = Q_MX; q <= Q_SOA; q++)
		for (size_t i = 0; i < SERVERS; i++) {
			answer(x, q, i, false);
			answer(x, q, i, true);
		}
	x->f.c.survey = &x->s;
}

static void sf_free(struct sf *x)
{
	jf_free(&x->f);
}

/* Findings about name servers. */
static size_t ns_findings(const struct sf *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->f.c.n_findings; i++)
		n += x->f.c.finding[i].code >= CODE_NS_TLSA &&
		     x->f.c.finding[i].code <= CODE_DS_MISMATCH;
	return n;
}

static void test_all_well(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	jf_judge(&x.f);
	assert_int_equal(ns_findings(&x), 0);
	assert_int_equal(jf_count(&x.f, CODE_SOA_REFRESH), 0);
	assert_int_equal(x.f.c.verdict, CHECK_OK);
	sf_free(&x);
}

/* One server, one question, both transports. */
static void test_outcomes(void **state)
{
	static const struct {
		size_t q;
		enum survey_outcome udp, tcp;
		enum check_code code; /* CODE_NONE: nothing is found */
		enum finding_level level;
		enum check_verdict want;
	} rows[] = {
		{ Q_TLSA, SURVEY_SERVFAIL, SURVEY_SERVFAIL, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_REFUSED, SURVEY_REFUSED, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_NOTIMP, SURVEY_NOTIMP, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_FORMERR, SURVEY_FORMERR, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_TIMEOUT, SURVEY_TIMEOUT, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_GARBAGE, SURVEY_TIMEOUT, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_LAME, SURVEY_LAME, CODE_NS_TLSA, FINDING_FAIL,
			CHECK_DEGRADED },
		{ Q_MX, SURVEY_LAME, SURVEY_LAME, CODE_NS_TLSA, FINDING_FAIL,
			CHECK_DEGRADED },
		{ Q_A, SURVEY_SERVFAIL, SURVEY_SERVFAIL, CODE_NS_TLSA,
			FINDING_WARN, CHECK_OK },
		{ Q_ENT, SURVEY_SERVFAIL, SURVEY_SERVFAIL, CODE_NS_TLSA,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_SERVFAIL, SURVEY_DATA, CODE_NS_TRANSPORT,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_TLSA, SURVEY_TIMEOUT, SURVEY_DATA, CODE_NS_TRANSPORT,
			FINDING_WARN, CHECK_OK },
		{ Q_A, SURVEY_SERVFAIL, SURVEY_DATA, CODE_NS_TRANSPORT,
			FINDING_WARN, CHECK_OK },
		{ Q_TLSA, SURVEY_DATA, SURVEY_TIMEOUT, CODE_NS_TRANSPORT,
			FINDING_WARN, CHECK_OK },
		{ Q_ENT, SURVEY_NXDOMAIN, SURVEY_NXDOMAIN, CODE_NS_ENT,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_ENT, SURVEY_NODATA, SURVEY_NXDOMAIN, CODE_NS_ENT,
			FINDING_FAIL, CHECK_DEGRADED },
		{ Q_OTHER, SURVEY_SERVFAIL, SURVEY_SERVFAIL, CODE_NONE,
			FINDING_INFO, CHECK_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sf x;

		sf_init(&x);
		set(&x, rows[i].q, 1, rows[i].udp, rows[i].tcp);
		jf_judge(&x.f);
		if (x.f.c.verdict != rows[i].want ||
			ns_findings(&x) != (rows[i].code != CODE_NONE))
			fail_msg("row %zu: %s, %zu findings", i,
				check_verdict_name(x.f.c.verdict),
				ns_findings(&x));
		if (rows[i].code != CODE_NONE) {
			jf_expect(&x.f, rows[i].code, rows[i].level,
				"ns2.example.test [192.0.2.51]",
				x.q[rows[i].q].type == RRTYPE_MX
					? "example.test MX"
					: "mx1.example.test");
			assert_non_null(
				strstr(jf_find(&x.f, rows[i].code)->reproduce,
					"dig +dnssec +norecurse @192.0.2.51 "));
		}
		sf_free(&x);
	}
}

/* S24: a server that fails for TLSA matters without any record, too; and not
 * where the zone is not signed. */
static void test_raise(void **state)
{
	static const struct {
		enum host_dane dane;
		enum dns_security zone;
		enum check_verdict want;
	} rows[] = {
		{ HOST_NO_TLSA, DNS_SECURE, CHECK_DEGRADED },
		{ HOST_NO_TLSA, DNS_INSECURE, CHECK_NO_DANE },
		{ HOST_INSECURE, DNS_SECURE, CHECK_INSECURE },
		{ HOST_BOGUS, DNS_SECURE, CHECK_BOGUS },
		{ HOST_ADDR_FAILED, DNS_SECURE, CHECK_INCOMPLETE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sf x;

		sf_init(&x);
		tlsa_rrset_release(&x.h->rrset);
		x.h->dane = rows[i].dane;
		x.h->conn[0].job.dane = PROBE_DANE_NONE;
		x.z[0].auth.security = rows[i].zone;
		set(&x, Q_TLSA, 0, SURVEY_SERVFAIL, SURVEY_SERVFAIL);
		jf_judge(&x.f);
		assert_int_equal(x.f.c.verdict, rows[i].want);
		assert_int_equal(jf_find(&x.f, CODE_NS_TLSA)->level,
			rows[i].zone == DNS_INSECURE ? FINDING_WARN
						     : FINDING_FAIL);
		sf_free(&x);
	}
}

/* NXDOMAIN above a name that is not there is right. */
static void test_ent_without_records(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	for (size_t i = 0; i < SERVERS; i++) {
		set(&x, Q_TLSA, i, SURVEY_NXDOMAIN, SURVEY_NXDOMAIN);
		set(&x, Q_ENT, i, SURVEY_NXDOMAIN, SURVEY_NXDOMAIN);
	}
	jf_judge(&x.f);
	assert_int_equal(jf_count(&x.f, CODE_NS_ENT), 0);
	/* This server has the record, and denies what is above it. */
	set(&x, Q_TLSA, 2, SURVEY_DATA, SURVEY_DATA);
	jf_judge(&x.f);
	assert_int_equal(jf_count(&x.f, CODE_NS_ENT), 1);
	sf_free(&x);
}

static void test_dead(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	for (size_t q = Q_MX; q <= Q_SOA; q++) {
		set(&x, q, 0, SURVEY_TIMEOUT, SURVEY_NETWORK);
		set(&x, q, 1, SURVEY_NO_ROUTE, SURVEY_NO_ROUTE);
		ans(&x, q, 2, true)->outcome = SURVEY_TIMEOUT;
	}
	jf_judge(&x.f);
	/* One is dead, one is none of our business, one has no TCP. */
	assert_int_equal(ns_findings(&x), 2);
	jf_expect(&x.f, CODE_NS_UNREACHABLE, FINDING_WARN, "ns1.example.test",
		"at all");
	jf_expect(&x.f, CODE_NS_TRANSPORT, FINDING_WARN, "ns3.example.test",
		"over TCP");
	assert_int_equal(x.f.c.verdict, CHECK_OK);
	sf_free(&x);

	sf_init(&x);
	x.server[0][2].has_addr = false;
	(void)snprintf(
		x.server[0][2].why, sizeof(x.server[0][2].why), "NXDOMAIN");
	jf_judge(&x.f);
	jf_expect(&x.f, CODE_NS_UNREACHABLE, FINDING_WARN, "ns3.example.test",
		"no address: NXDOMAIN");
	sf_free(&x);
}

/* A server that fails for everything is one finding for each way to fail. */
static void test_merged(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	for (size_t q = Q_MX; q <= Q_SOA; q++)
		set(&x, q, 0, SURVEY_LAME, SURVEY_LAME);
	jf_judge(&x.f);
	assert_int_equal(jf_count(&x.f, CODE_NS_TLSA), 1);
	jf_expect(&x.f, CODE_NS_TLSA, FINDING_FAIL, "ns1.example.test",
		"example.test MX, mx1.example.test A, _25._tcp.mx1."
		"example.test TLSA, _tcp.mx1.example.test A and 1 more");
	sf_free(&x);
}

static void test_signatures(void **state)
{
	static const struct {
		bool checked;
		enum codec_sig sig;
		int64_t from, to; /* days from now */
		enum check_code code;
		enum check_verdict want;
	} rows[] = {
		{ true, CODEC_SIG_OK, -10, 20, CODE_NONE, CHECK_OK },
		{ true, CODEC_SIG_EXPIRED, -10, -1, CODE_NS_RRSIG,
			CHECK_DEGRADED },
		{ true, CODEC_SIG_BAD, -10, 20, CODE_NS_RRSIG, CHECK_DEGRADED },
		{ true, CODEC_SIG_NONE, 0, 0, CODE_NS_RRSIG, CHECK_DEGRADED },
		{ false, CODEC_SIG_NONE, 0, 0, CODE_NONE, CHECK_OK },
		/* The window speaks for itself. */
		{ false, CODEC_SIG_NONE, -10, -1, CODE_NS_RRSIG,
			CHECK_DEGRADED },
		{ false, CODEC_SIG_NONE, 1, 20, CODE_NS_RRSIG, CHECK_DEGRADED },
		/* Three days, or a quarter of 40. */
		{ true, CODEC_SIG_OK, -9, 2, CODE_NS_RRSIG_SOON, CHECK_OK },
		{ true, CODEC_SIG_OK, -9, 4, CODE_NONE, CHECK_OK },
		{ true, CODEC_SIG_OK, -31, 9, CODE_NS_RRSIG_SOON, CHECK_OK },
		{ true, CODEC_SIG_OK, -29, 11, CODE_NONE, CHECK_OK },
		/* Made anew each day: half of its life is left. */
		{ true, CODEC_SIG_OK, -1, 1, CODE_NONE, CHECK_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct survey_answer *a;
		struct sf x;

		sf_init(&x);
		a = ans(&x, Q_TLSA, 1, true);
		a->sig_checked = rows[i].checked;
		a->sig = rows[i].sig;
		a->inception =
			rows[i].from == 0 ? 0 : NOW + rows[i].from * DAYS;
		a->expiration = rows[i].to == 0 ? 0 : NOW + rows[i].to * DAYS;
		jf_judge(&x.f);
		if (ns_findings(&x) != (rows[i].code != CODE_NONE) ||
			x.f.c.verdict != rows[i].want)
			fail_msg("row %zu: %zu, %s", i, ns_findings(&x),
				check_verdict_name(x.f.c.verdict));
		if (rows[i].code == CODE_NS_RRSIG)
			jf_expect(&x.f, rows[i].code, FINDING_FAIL,
				"ns2.example.test",
				"dnsviz.net/d/_25._tcp.mx1");
		if (rows[i].code == CODE_NS_RRSIG_SOON)
			jf_expect(&x.f, rows[i].code, FINDING_WARN,
				"_25._tcp.mx1.example.test TLSA",
				"ns2.example.test [192.0.2.51]");
		sf_free(&x);
	}
}

static void test_soon_without_survey(void **state)
{
	struct lookup *l;
	struct sf x;

	(void)state;
	sf_init(&x);
	x.f.c.survey = NULL;
	l = (struct lookup *)(uintptr_t)x.h->tlsa;
	l->inception = NOW - 20 * DAYS;
	l->expiration = NOW + 1 * DAYS;
	jf_judge(&x.f);
	jf_expect(&x.f, CODE_NS_RRSIG_SOON, FINDING_WARN, "_25._tcp.mx1",
		"in 1d 00:00:00");
	sf_free(&x);
}

static void test_agreement(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	for (int tcp = 0; tcp < 2; tcp++) {
		ans(&x, Q_SOA, 2, tcp == 1)->serial = 6;
		ans(&x, Q_TLSA, 2, tcp == 1)->outcome = SURVEY_NODATA;
		ans(&x, Q_OTHER, 2, tcp == 1)->digest = 99;
	}
	jf_judge(&x.f);
	assert_int_equal(ns_findings(&x), 2);
	jf_expect(&x.f, CODE_NS_SERIAL, FINDING_WARN, "example.test SOA",
		"ns1.example.test [192.0.2.50] and 1 more: 7; "
		"ns3.example.test [192.0.2.52]: 6");
	jf_expect(&x.f, CODE_NS_DIFFERS, FINDING_WARN,
		"_25._tcp.mx1.example.test TLSA",
		"ns1.example.test [192.0.2.50] and 1 more: 2 records; "
		"ns3.example.test [192.0.2.52]: 0 records");
	assert_int_equal(x.f.c.verdict, CHECK_OK);
	/* A server that fails differs from nobody. */
	set(&x, Q_TLSA, 2, SURVEY_SERVFAIL, SURVEY_SERVFAIL);
	jf_judge(&x.f);
	assert_int_equal(jf_count(&x.f, CODE_NS_DIFFERS), 0);
	sf_free(&x);
}

/* One server still has the RRset of before, and the key has moved on: what the
 * resolver was given says nothing of those who ask that server. */
static void test_lagging(void **state)
{
	static const struct {
		const char *rr1, *rr2; /* what the last server has */
		enum survey_outcome outcome;
		enum dns_security zone;
		enum check_verdict want;
		enum finding_level level;
	} rows[] = {
		{ K3, K4, SURVEY_DATA, DNS_SECURE, CHECK_DEGRADED,
			FINDING_FAIL },
		{ K1, K4, SURVEY_DATA, DNS_SECURE, CHECK_OK, FINDING_WARN },
		{ K1, "3 1 2 " HEX64("99"), SURVEY_DATA, DNS_SECURE,
			CHECK_DEGRADED, FINDING_FAIL },
		{ "1 1 1 " HEX32("11"), "9 1 1 " HEX32("11"), SURVEY_DATA,
			DNS_SECURE, CHECK_OK, FINDING_WARN },
		{ K3, "2 0 0 aabb", SURVEY_DATA, DNS_SECURE, CHECK_OK,
			FINDING_WARN },
		{ K3, K4, SURVEY_DATA, DNS_INSECURE, CHECK_OK, FINDING_WARN },
		{ K3, K4, SURVEY_NODATA, DNS_SECURE, CHECK_OK, FINDING_WARN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = ERR_INIT;
		struct tlsa_rrset set = TLSA_RRSET_INIT;
		bool failed = false;
		struct sf x;

		sf_init(&x);
		x.z[0].auth.security = rows[i].zone;
		assert_int_equal(
			tlsa_rrset_add_text(&set, rows[i].rr1, &err), ST_OK);
		assert_int_equal(
			tlsa_rrset_add_text(&set, rows[i].rr2, &err), ST_OK);
		for (int tcp = 0; tcp < 2; tcp++) {
			struct survey_answer *a = ans(&x, Q_TLSA, 2, tcp == 1);

			a->outcome = rows[i].outcome;
			a->digest = 98;
			a->rrset = set;
		}
		jf_judge(&x.f);
		for (size_t k = 0; k < x.f.c.n_findings; k++)
			failed |= x.f.c.finding[k].code == CODE_NS_DIFFERS &&
				  x.f.c.finding[k].level == FINDING_FAIL;
		if (x.f.c.verdict != rows[i].want ||
			failed != (rows[i].level == FINDING_FAIL))
			fail_msg("row %zu: %s", i,
				check_verdict_name(x.f.c.verdict));
		if (failed)
			jf_expect(&x.f, CODE_NS_DIFFERS, FINDING_FAIL,
				"ns3.example.test [192.0.2.52]",
				"mx1.example.test [192.0.2.1] serves");
		tlsa_rrset_release(&set);
		sf_free(&x);
	}
}

/* Hundreds of servers that all say something else, and many questions. */
static void test_many_views(void **state)
{
	enum { N = 512, Q = 130 };
	struct survey_answer *a = calloc(2 * N * Q, sizeof(*a));
	struct survey_question *q = calloc(Q, sizeof(*q));
	struct auth_server *server = calloc(N, sizeof(*server));
	struct sf x;
	size_t n = 0;
	clock_t start;

	(void)state;
	assert_true(a != NULL && q != NULL && server != NULL);
	sf_init(&x);
	for (size_t i = 0; i < N; i++)
		server[i] = x.server[0][i % SERVERS];
	for (size_t i = 0; i < Q; i++) {
		q[i] = x.q[Q_MX];
		for (size_t k = 0; k < 2 * N; k++)
			a[n++] = (struct survey_answer){ .question = i,
				.server = k / 2,
				.tcp = k % 2 != 0,
				.outcome = i % 2 ? SURVEY_DATA : SURVEY_TIMEOUT,
				.digest = k / 2 };
	}
	x.s.question = q;
	x.s.n_questions = Q;
	x.s.answer = a;
	x.s.n_answers = n;
	x.z[0].auth.server = server;
	x.z[0].auth.n_servers = N;
	start = clock();
	jf_judge(&x.f);
	assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
	free(a);
	free(q);
	free(server);
	sf_free(&x);
}

static void test_zones(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	x.z[0].ds = SURVEY_DS_MISMATCH;
	(void)snprintf(
		x.z[0].ds_why, sizeof(x.z[0].ds_why), "DS 12345, DNSKEY 23456");
	x.z[1].ds = SURVEY_DS_MISMATCH; /* not ours */
	ans(&x, Q_SOA, 1, true)->refresh = 86400;
	ans(&x, Q_OTHER, 1, true)->refresh = 99999;
	jf_judge(&x.f);
	assert_int_equal(jf_count(&x.f, CODE_DS_MISMATCH), 1);
	jf_expect(&x.f, CODE_DS_MISMATCH, FINDING_FAIL, "example.test DS",
		"DS 12345, DNSKEY 23456");
	jf_expect(&x.f, CODE_SOA_REFRESH, FINDING_WARN, "example.test SOA",
		"86400");
	assert_int_equal(x.f.c.verdict, CHECK_DEGRADED);
	sf_free(&x);
}

/* The TTL is that of the servers, not what a cache has left of it. */
static void test_ttl(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	x.h->rrset.ttl = 12;
	jf_judge(&x.f);
	assert_int_equal(jf_count(&x.f, CODE_TTL_SHORT), 0);
	sf_free(&x);
}

/* Numbers that point nowhere are not followed. */
static void test_insane(void **state)
{
	struct sf x;

	(void)state;
	sf_init(&x);
	x.a[0].zone = 99;
	x.a[1].server = 99;
	x.a[2].question = 99;
	x.q[Q_A].zone = SIZE_MAX;
	jf_judge(&x.f);
	assert_int_equal(x.f.c.verdict, CHECK_OK);
	sf_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_well),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_raise),
		cmocka_unit_test(test_ent_without_records),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_soon_without_survey),
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_lagging),
		cmocka_unit_test(test_many_views),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_insane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
