/* TLSA RRsets: what counts, what matches, whose it is, what is odd. */
#include "judge_fixture.h"

#include "hook/check/issuers.h"

#define K1_512 "3 1 2 " HEX64("11")
#define FOREIGN_512 "3 1 2 " HEX64("99")
#define ISSUER "2 1 1 " HEX32("ee")

static const struct check_record *record(
	const struct check_host *h, const char *text)
{
	auto_tlsa set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(tlsa_rrset_add_text(&set, text, &err), ST_OK);
	for (size_t i = 0; i < h->rrset.n; i++)
		if (h->rrset.rr[i].usage == set.rr[0].usage &&
			h->rrset.rr[i].selector == set.rr[0].selector &&
			h->rrset.rr[i].mtype == set.rr[0].mtype &&
			h->rrset.rr[i].len == set.rr[0].len &&
			memcmp(h->rrset.rr[i].data, set.rr[0].data,
				set.rr[0].len) == 0)
			return &h->record[i];
	fail_msg("no record %s", text);
	return NULL;
}

/* RFC 7671 9: {1 only, 2 only, both, both and Full}. */
static void test_agility(void **state)
{
	static const struct {
		const char *rr[4];
		const char *hidden; /* one character for each of rr */
	} rows[] = {
		{ { K1, K2 }, "--" },
		{ { K1_512 }, "-" },
		{ { K1, K1_512 }, "h-" },
		{ { K1, FOREIGN_512, "3 1 0 1122" }, "h--" },
		/* Another selector or usage hides nothing. */
		{ { K1, "3 0 2 " HEX64("99") }, "--" },
		{ { K1, "2 1 2 " HEX64("99") }, "--" },
		{ { ISSUER, "2 1 2 " HEX64("99"), K1 }, "h--" },
		/* Nor does one that nobody can use. */
		{ { K1, "3 1 2 1122" }, "--" },
		{ { K1, "3 1 3 " HEX64("99") }, "--" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		for (size_t k = 0; k < 4 && rows[i].rr[k] != NULL; k++)
			jf_tlsa(h, rows[i].rr[k]);
		jf_judge(&f);
		for (size_t k = 0; k < 4 && rows[i].rr[k] != NULL; k++)
			assert_int_equal(record(h, rows[i].rr[k])->hidden,
				rows[i].hidden[k] == 'h');
		jf_free(&f);
	}
}

/* In whatever order the records came, the same is said. */
static void test_order(void **state)
{
	static const char *const rr[] = { K1, K2, FOREIGN_512,
		"2 0 1 " HEX32("77"), "1 1 1 " HEX32("11") };
	enum { N = 5 };
	struct jf first;

	(void)state;
	for (size_t turn = 0; turn < N; turn++) {
		struct jf f;
		struct check_host *h;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		for (size_t i = 0; i < N; i++)
			jf_tlsa(h, rr[(turn * 2 + i) % N]);
		jf_tlsa(h, K1); /* a duplicate is one record */
		assert_int_equal(h->rrset.n, N);
		(void)jf_serve(
			h, V4, PROBE_ANY, 0x11, 0xee, PROBE_DANE_NO_MATCH);
		jf_judge(&f);
		assert_int_equal(h->conn[0].code, CODE_TLSA_HIDDEN);
		if (turn == 0) {
			first = f;
			continue;
		}
		assert_int_equal(f.c.n_findings, first.c.n_findings);
		for (size_t i = 0; i < f.c.n_findings; i++)
			assert_memory_equal(&f.c.finding[i],
				&first.c.finding[i], sizeof(f.c.finding[i]));
		jf_free(&f);
	}
	jf_free(&first);
}

/* What a record matches, and how deep. */
static void test_matches(void **state)
{
	static const struct {
		const char *rr;
		bool matches;
		int depth;
	} rows[] = {
		{ K1, true, 0 },
		{ K2, false, -1 },
		{ "3 0 1 " HEX32("ee"), true, 0 }, /* ff ^ 11 */
		{ K1_512, true, 0 },
		{ "3 0 2 " HEX64("ee"), true, 0 },
		{ ISSUER, true, 1 },
		{ "2 0 1 " HEX32("11"), true, 1 }, /* ff ^ ee */
		{ "2 1 1 " HEX32("11"), false, -1 },
		{ "3 1 1 " HEX32("ee"), false, -1 },
		{ "4 1 1 " HEX32("11"), false, -1 },
		{ "3 2 1 " HEX32("11"), false, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, rows[i].rr);
		(void)jf_serve(h, V4, PROBE_ANY, 0x11, 0xee, PROBE_DANE_OK);
		jf_judge(&f);
		assert_int_equal(h->record[0].matches, rows[i].matches);
		assert_int_equal(h->record[0].depth, rows[i].depth);
		jf_free(&f);
	}
}

/* E47: nothing usable; TLS is all that is left. */
static void test_unusable(void **state)
{
	static const struct {
		const char *rr;
		enum check_code code;
		const char *text;
	} rows[] = {
		{ "0 0 1 " HEX32("11"), CODE_RR_PKIX, "0 0 1 11111111" },
		{ "1 1 1 " HEX32("11"), CODE_RR_PKIX, "usages 0 and 1" },
		{ "3 1 1 " HEX32("11") "11", CODE_RR_UNUSABLE, "32 octets" },
		{ "3 1 2 " HEX32("11"), CODE_RR_UNUSABLE, "64 octets" },
		{ "4 1 1 " HEX32("11"), CODE_RR_UNUSABLE, "usage" },
		{ "255 1 1 " HEX32("11"), CODE_RR_UNUSABLE, "usage" },
		{ "3 2 1 " HEX32("11"), CODE_RR_UNUSABLE, "selector" },
		{ "3 1 7 " HEX32("11"), CODE_RR_UNUSABLE, "matching type" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, rows[i].rr);
		(void)jf_serve(h, V4, PROBE_ANY, 0x11, 0, PROBE_DANE_NONE);
		jf_judge(&f);
		assert_int_equal(f.c.verdict, CHECK_ENCRYPT_ONLY);
		assert_false(h->record[0].usable);
		assert_non_null(h->record[0].why);
		jf_expect(&f, rows[i].code, FINDING_WARN,
			"_25._tcp.mx1.example.test TLSA", rows[i].text);
		jf_expect(&f, CODE_ALL_UNUSABLE, FINDING_WARN, "TLSA",
			"insist on TLS");
		/* Not satisfied by what nobody can use. */
		assert_int_equal(jf_count(&f, CODE_SCHEME), 0);
		jf_free(&f);
	}
}

/* L9b: a bad record beside a good one is that, and no more. */
static void test_one_unusable(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, K2);
	jf_tlsa(h, "3 1 1 1122");
	(void)snprintf(h->why, sizeof(h->why), "a record was left out: short");
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_OK);
	assert_int_equal(jf_count(&f, CODE_RR_UNUSABLE), 2);
	assert_int_equal(jf_count(&f, CODE_ALL_UNUSABLE), 0);
	jf_free(&f);
}

static void test_roles(void **state)
{
	struct check_role role[] = { { .lineage = "mx", .role = "current" },
		{ .lineage = "mx", .role = "next" },
		{ .lineage = "mx", .role = "candidate" } };
	struct check_host *h;
	struct jf f;

	(void)state;
	memset(role[0].spki.d, 0x11, SPKI_LEN);
	memset(role[1].spki.d, 0x22, SPKI_LEN);
	memset(role[2].spki.d, 0x33, SPKI_LEN);
	jf_init(&f);
	f.c.role = role;
	f.c.n_roles = 3;
	h = jf_good(&f, "mx1", K1, K2);
	jf_tlsa(h, K3);
	jf_judge(&f);
	assert_string_equal(record(h, K1)->role, "current");
	assert_string_equal(record(h, K2)->role, "next");
	assert_string_equal(record(h, K2)->lineage, "mx");
	/* Three records, one matches, and none is stale: all are known. */
	assert_int_equal(jf_count(&f, CODE_RR_STALE), 0);

	jf_tlsa(h, K4);
	jf_judge(&f);
	assert_string_equal(record(h, K4)->role, "foreign");
	assert_null(record(h, K4)->lineage);
	jf_expect(&f, CODE_RR_STALE, FINDING_INFO, "TLSA", "3 1 1 44444444");
	assert_null(strstr(jf_find(&f, CODE_RR_STALE)->text, "33333333"));

	/* No lineage knows any of them: no roles. */
	f.c.n_roles = 0;
	jf_judge(&f);
	assert_null(record(h, K1)->role);
	assert_null(record(h, K4)->role);
	jf_free(&f);
}

/* Which of the lints are there, by the records; served are key 11 with issuer
 * ee (ECDSA) and, when two, key 22 with issuer ef (RSA). */
static void test_lints(void **state)
{
	static const struct {
		const char *rr[5];
		bool two;
		enum check_code want[4];
	} rows[] = {
		{ { K1, K2 }, false, { CODE_NONE } },
		{ { K1, K2, K3 }, false, { CODE_RR_STALE } },
		{ { K1, "3 0 1 " HEX32("ee"), K2 }, false,
			{ CODE_RR_SELECTOR0 } },
		{ { K1, "3 0 1 " HEX32("99"), K2 }, false,
			{ CODE_RR_SELECTOR0, CODE_RR_COMBINATION } },
		{ { K1, K2, "3 1 0 1122" }, false,
			{ CODE_RR_FULL, CODE_RR_COMBINATION } },
		{ { K1, K2, ISSUER }, false, { CODE_NONE } },
		/* A backup beside the issuer that is used. */
		{ { K1, K2, ISSUER, "2 1 1 " HEX32("ed") }, false,
			{ CODE_NONE } },
		{ { K1, K2, "2 1 1 " HEX32("ed") }, false,
			{ CODE_RR_ISSUER_NOT_SENT } },
		{ { K1, K2, "2 0 1 " HEX32("ed") }, false,
			{ CODE_RR_SELECTOR0, CODE_RR_ISSUER_NOT_SENT } },
		/* R3, retired. */
		{ { K1, K2,
			  "2 1 1 8d02536c887482bc34ff54e41d2ba659"
			  "bf85b341a0a20afadb5813dcfbcf286d" },
			false, { CODE_RR_ISSUER_RETIRED } },
		/* Two chains, an issuer for one of them. (RFC 7671 8) */
		{ { K1, K2, K3, K4, ISSUER }, true, { CODE_RR_COMBINATION } },
		{ { K1, K2, K3, K4 }, true, { CODE_NONE } },
	};
	static const enum check_code all[] = { CODE_RR_STALE, CODE_RR_SELECTOR0,
		CODE_RR_COMBINATION, CODE_RR_FULL, CODE_RR_ISSUER_NOT_SENT,
		CODE_RR_ISSUER_RETIRED, CODE_RR_MANY, CODE_TTL_LONG,
		CODE_TTL_SHORT, CODE_RR_UNUSABLE, CODE_RR_PKIX };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		for (size_t k = 0; k < 5 && rows[i].rr[k] != NULL; k++)
			jf_tlsa(h, rows[i].rr[k]);
		(void)jf_serve(h, V4, PROBE_ECDSA, 0x11, 0xee, PROBE_DANE_OK);
		if (rows[i].two)
			(void)jf_serve(
				h, V4, PROBE_RSA, 0x22, 0xef, PROBE_DANE_OK);
		jf_judge(&f);
		assert_int_equal(f.c.verdict, CHECK_OK);
		for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
			size_t want = 0;

			for (size_t w = 0; w < 4; w++)
				want += rows[i].want[w] == all[k];
			if (jf_count(&f, all[k]) != want)
				fail_msg("row %zu: %zu of %s", i,
					jf_count(&f, all[k]),
					check_code_info(all[k])->name);
		}
		jf_free(&f);
	}
}

static void test_many_and_ttl(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, K2);
	for (unsigned i = 0; i < 10; i++) {
		char text[80];

		(void)snprintf(text, sizeof(text), "3 1 1 %062d%02x", 0, i);
		jf_tlsa(h, text);
	}
	jf_judge(&f);
	assert_int_equal(h->rrset.n, 12);
	assert_int_equal(jf_count(&f, CODE_RR_MANY), 0);
	jf_tlsa(h, K4);
	h->rrset.ttl = 1800;
	jf_judge(&f);
	jf_expect(&f, CODE_RR_MANY, FINDING_WARN, "TLSA", "13 records");
	assert_int_equal(jf_count(&f, CODE_TTL_SHORT), 0);
	h->rrset.ttl = 1799;
	jf_judge(&f);
	jf_expect(&f, CODE_TTL_SHORT, FINDING_WARN, "TLSA", "1799");
	h->rrset.ttl = 3601;
	jf_judge(&f);
	jf_expect(&f, CODE_TTL_LONG, FINDING_WARN, "TLSA", "3601");
	jf_free(&f);
}

/* S82 and what is near it. Served: e = ECDSA key 11, r = RSA key 22, each with
 * its issuer (ee, ef). */
static void test_scheme(void **state)
{
	static const struct {
		const char *rr[5];
		const char *served;
		enum finding_level level;
		const char *text;
	} rows[] = {
		{ { K1 }, "e", FINDING_WARN, "ECDSA: none" },
		{ { K1, K3 }, "e", FINDING_INFO, "ECDSA: current+next" },
		{ { K1, ISSUER }, "e", FINDING_INFO, "ECDSA: current+issuer" },
		{ { K1, ISSUER, "2 1 2 " HEX64("99") }, "e", FINDING_WARN,
			"ECDSA: none" },
		/* One record each is no scheme. */
		{ { K1, K2 }, "er", FINDING_WARN, "RSA: none; ECDSA: none" },
		{ { K1, K2, K3 }, "er", FINDING_WARN, "maybe next" },
		{ { K1, K2, K3, K4 }, "er", FINDING_INFO,
			"RSA: current+next; ECDSA: current+next" },
		{ { K1, K2, ISSUER, K3 }, "er", FINDING_INFO,
			"RSA: current+next; ECDSA: current+issuer" },
		{ { K1, K2, ISSUER, "2 1 1 " HEX32("ef") }, "er", FINDING_INFO,
			"RSA: current+issuer; ECDSA: current+issuer" },
		/* Issuers alone, or the whole certificate. */
		{ { ISSUER }, "e", FINDING_WARN, "no 3 1 1 record" },
		{ { "3 0 1 " HEX32("ee") }, "e", FINDING_WARN,
			"no 3 1 1 record" },
		/* The stronger digest counts, the hidden one does not. */
		{ { K1, K3, K1_512 }, "e", FINDING_WARN, "ECDSA: none" },
		{ { K1_512, FOREIGN_512 }, "e", FINDING_INFO,
			"ECDSA: current+next" },
		/* Unusable ones prepare nothing. */
		{ { K1, "3 1 1 3333", "1 1 1 " HEX32("33") }, "e", FINDING_WARN,
			"ECDSA: none" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		for (size_t k = 0; k < 5 && rows[i].rr[k] != NULL; k++)
			jf_tlsa(h, rows[i].rr[k]);
		if (strchr(rows[i].served, 'e') != NULL)
			(void)jf_serve(
				h, V4, PROBE_ECDSA, 0x11, 0xee, PROBE_DANE_OK);
		if (strchr(rows[i].served, 'r') != NULL)
			(void)jf_serve(
				h, V4, PROBE_RSA, 0x22, 0xef, PROBE_DANE_OK);
		jf_judge(&f);
		if (strstr(jf_find(&f, CODE_SCHEME)->text, rows[i].text) ==
			NULL)
			fail_msg("row %zu: %s", i,
				jf_find(&f, CODE_SCHEME)->text);
		assert_int_equal(
			jf_find(&f, CODE_SCHEME)->level, rows[i].level);
		jf_free(&f);
	}
}

static void test_issuers(void **state)
{
	auto_tlsa set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	const struct issuer *t;
	size_t n, retired = 0;

	(void)state;
	t = issuer_table(&n);
	for (size_t i = 0; i < n; i++) {
		struct tlsa rr = { .usage = 2,
			.selector = t[i].selector,
			.mtype = 1,
			.len = 32 };
		uint8_t data[32];

		memset(data, 0x5a, sizeof(data));
		memcpy(data, t[i].data, t[i].len);
		rr.data = data;
		assert_true(t[i].len >= 4);
		assert_ptr_equal(issuer_find(&rr), &t[i]); /* no duplicates */
		rr.selector ^= 1;
		assert_null(issuer_find(&rr));
		rr.selector ^= 1;
		rr.mtype = 2;
		assert_null(issuer_find(&rr));
		retired += t[i].state == ISSUER_RETIRED;
	}
	assert_int_equal(retired, 16);
	assert_int_equal(tlsa_rrset_add_text(&set,
				 "2 1 1 2e8307068b6db620e4a39d068b5dee5d"
				 "6ef5788cbb2c0b6d23ead84fcc17178c",
				 &err),
		ST_OK);
	assert_string_equal(issuer_find(&set.rr[0])->name, "Let's Encrypt YR1");
	assert_int_equal(issuer_find(&set.rr[0])->state, ISSUER_ACTIVE);
}

/* An issuer in full need not be on the wire: OpenSSL takes it from the record,
 * and nobody may be told to remove it. */
static void test_issuer_in_record(void **state)
{
	struct check_host *h;
	struct check_conn *k;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, "2 0 0 aabbcc");
	k = jf_serve(h, V4, PROBE_ECDSA, 0x11, 0, PROBE_DANE_OK);
	k->job.matched = 0;
	k->job.depth = 1;
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_OK);
	assert_true(h->record[0].matches);
	assert_int_equal(h->record[0].depth, 1);
	assert_int_equal(jf_count(&f, CODE_RR_ISSUER_NOT_SENT), 0);
	assert_int_equal(jf_count(&f, CODE_RR_COMBINATION), 0);
	jf_free(&f);
}

/* A record that some served key needs must not be given up on our word: law 2
 * of the rollover. Each algorithm is matched by another kind. */
static void test_careful_remedies(void **state)
{
	const struct finding *d;
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	jf_tlsa(h, "2 1 1 " HEX32("55"));
	(void)jf_serve(h, V4, PROBE_ECDSA, 0x11, 0, PROBE_DANE_OK);
	(void)jf_serve(h, V4, PROBE_RSA, 0x22, 0x55, PROBE_DANE_OK);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_OK);
	d = jf_find(&f, CODE_RR_COMBINATION);
	assert_non_null(strstr(d->remedy, "only when"));
	assert_int_equal(strncmp(d->remedy, "Publish", 7), 0);
	jf_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issuer_in_record),
		cmocka_unit_test(test_careful_remedies),
		cmocka_unit_test(test_agility),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_one_unusable),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_lints),
		cmocka_unit_test(test_many_and_ttl),
		cmocka_unit_test(test_scheme),
		cmocka_unit_test(test_issuers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
