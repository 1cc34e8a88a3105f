/* Connections: states, why nothing matches, and what findings are made. */
#include "judge_fixture.h"

#define HIDDEN "3 1 2 " HEX64("99")

static struct check_conn *with(
	struct check_conn *k, enum probe_version v, bool no_sni)
{
	k->job.version = v;
	k->job.no_sni = no_sni;
	return k;
}

/* One connection, by what the probe and OpenSSL say of it. */
static void test_states(void **state)
{
	static const struct {
		enum probe_result result;
		enum probe_dane dane;
		bool offered;
		enum conn_state want;
		enum check_code code;
		enum finding_level level;
	} rows[] = {
		{ PROBE_SERVED, PROBE_DANE_OK, false, CONN_OK, CODE_NONE,
			FINDING_INFO },
		{ PROBE_SERVED, PROBE_DANE_NONE, false, CONN_ENCRYPTED,
			CODE_NONE, FINDING_INFO },
		{ PROBE_SERVED, PROBE_DANE_NO_MATCH, false, CONN_FAIL,
			CODE_TLSA_MISMATCH, FINDING_FAIL },
		{ PROBE_SERVED, PROBE_DANE_NAME, false, CONN_FAIL,
			CODE_NAME_MISMATCH, FINDING_FAIL },
		{ PROBE_SERVED, PROBE_DANE_EXPIRED, false, CONN_FAIL,
			CODE_CERT_EXPIRED, FINDING_FAIL },
		{ PROBE_SERVED, PROBE_DANE_NOT_YET, false, CONN_FAIL,
			CODE_CERT_NOT_YET, FINDING_FAIL },
		{ PROBE_SERVED, PROBE_DANE_CHAIN, false, CONN_FAIL,
			CODE_CHAIN_INVALID, FINDING_FAIL },
		{ PROBE_NO_STARTTLS, PROBE_DANE_NONE, false, CONN_FAIL,
			CODE_STARTTLS_MISSING, FINDING_FAIL },
		{ PROBE_NO_STARTTLS, PROBE_DANE_NONE, true, CONN_FAIL,
			CODE_STARTTLS_REFUSED, FINDING_FAIL },
		{ PROBE_HANDSHAKE, PROBE_DANE_NONE, false, CONN_FAIL,
			CODE_HANDSHAKE, FINDING_FAIL },
		{ PROBE_NO_CERT, PROBE_DANE_NONE, false, CONN_FAIL,
			CODE_HANDSHAKE, FINDING_FAIL },
		{ PROBE_NO_VERSION, PROBE_DANE_NONE, false, CONN_FAIL,
			CODE_HANDSHAKE, FINDING_FAIL },
		{ PROBE_NO_CONNECT, PROBE_DANE_NONE, false, CONN_UNTESTED,
			CODE_CONNECT, FINDING_WARN },
		{ PROBE_TIMEOUT, PROBE_DANE_NONE, false, CONN_UNTESTED,
			CODE_TIMEOUT, FINDING_WARN },
		{ PROBE_PROTOCOL, PROBE_DANE_NONE, false, CONN_UNTESTED,
			CODE_PROTOCOL, FINDING_WARN },
		{ PROBE_UNTESTABLE, PROBE_DANE_NONE, false, CONN_UNTESTED,
			CODE_UNTESTABLE, FINDING_WARN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct check_conn *k;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, K1);
		jf_tlsa(h, K2);
		k = rows[i].result == PROBE_SERVED
			    ? jf_serve(h, V4, PROBE_ANY,
				      rows[i].dane == PROBE_DANE_NO_MATCH
					      ? 0x99
					      : 0x11,
				      0, rows[i].dane)
			    : jf_conn(h, V4, PROBE_ANY, rows[i].result);
		k->job.offered = rows[i].offered;
		jf_judge(&f);
		assert_int_equal(k->state, rows[i].want);
		assert_int_equal(k->code, rows[i].code);
		if (rows[i].code != CODE_NONE) {
			jf_expect(&f, rows[i].code, rows[i].level,
				"mx1.example.test:25 [192.0.2.1]", "");
			assert_int_equal(jf_count(&f, rows[i].code), 1);
		}
		jf_free(&f);
	}
}

/* Without a TLSA record TLS is a kindness. */
static void test_opportunistic(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	(void)jf_conn(h, V4, PROBE_ANY, PROBE_NO_STARTTLS);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_NO_DANE);
	jf_expect(&f, CODE_STARTTLS_MISSING, FINDING_WARN, "[192.0.2.1]", "");
	jf_free(&f);

	/* With records that are all unusable it is not. (RFC 7672 2.2) */
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, "1 1 1 " HEX32("11"));
	(void)jf_conn(h, V4, PROBE_ANY, PROBE_NO_STARTTLS);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_BLOCKED);
	jf_expect(&f, CODE_STARTTLS_MISSING, FINDING_FAIL, "[192.0.2.1]", "");
	jf_expect(&f, CODE_ALL_UNUSABLE, FINDING_FAIL, "TLSA", "deferred");
	jf_free(&f);
}

/* E50, and L2: an expired certificate with a matching 3 1 1. */
static void test_dates(void **state)
{
	static const struct {
		enum check_profile profile;
		int64_t before, after; /* relative to now */
		enum check_verdict want;
		enum check_code code;
		enum finding_level level;
	} rows[] = {
		{ PROFILE_RFC, -9, 9, CHECK_OK, CODE_NONE, FINDING_INFO },
		{ PROFILE_EXCHANGE, -9, 9, CHECK_OK, CODE_NONE, FINDING_INFO },
		{ PROFILE_RFC, -9, -1, CHECK_OK, CODE_CERT_EXPIRED,
			FINDING_WARN },
		{ PROFILE_EXCHANGE, -9, -1, CHECK_BLOCKED, CODE_CERT_EXPIRED,
			FINDING_FAIL },
		{ PROFILE_RFC, 1, 9, CHECK_OK, CODE_CERT_NOT_YET,
			FINDING_WARN },
		{ PROFILE_EXCHANGE, 1, 9, CHECK_BLOCKED, CODE_CERT_NOT_YET,
			FINDING_FAIL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		f.c.profile = rows[i].profile;
		h = jf_good(&f, "mx1", K1, K2);
		h->conn[0].job.not_before = NOW + rows[i].before * DAYS;
		h->conn[0].job.not_after = NOW + rows[i].after * DAYS;
		jf_judge(&f);
		assert_int_equal(f.c.verdict, rows[i].want);
		if (rows[i].code == CODE_NONE) {
			assert_int_equal(jf_count(&f, CODE_CERT_EXPIRED), 0);
			assert_int_equal(jf_count(&f, CODE_CERT_NOT_YET), 0);
		} else {
			jf_expect(&f, rows[i].code, rows[i].level, "mx1", "");
			assert_int_equal(jf_count(&f, rows[i].code), 1);
			assert_non_null(
				strstr(jf_find(&f, rows[i].code)->reproduce,
					"-dates"));
		}
		jf_free(&f);
	}
}

/* What a refusal means depends on the siblings. */
static void test_siblings(void **state)
{
	static const struct {
		enum probe_result it, sibling;
		bool same_sni, same_addr;
		enum conn_state want;
		enum check_code code;
	} rows[] = {
		{ PROBE_NO_CERT, PROBE_SERVED, true, true, CONN_ABSENT,
			CODE_NONE },
		{ PROBE_NO_CERT, PROBE_SERVED, false, true, CONN_FAIL,
			CODE_HANDSHAKE },
		{ PROBE_NO_CERT, PROBE_SERVED, true, false, CONN_FAIL,
			CODE_HANDSHAKE },
		{ PROBE_NO_CERT, PROBE_NO_CERT, true, true, CONN_FAIL,
			CODE_HANDSHAKE },
		{ PROBE_NO_CERT, PROBE_HANDSHAKE, true, true, CONN_FAIL,
			CODE_HANDSHAKE },
		{ PROBE_NO_CERT, PROBE_TIMEOUT, true, true, CONN_UNTESTED,
			CODE_TIMEOUT },
		{ PROBE_NO_CERT, PROBE_NO_CONNECT, true, true, CONN_UNTESTED,
			CODE_CONNECT },
		{ PROBE_NO_VERSION, PROBE_SERVED, true, true, CONN_ABSENT,
			CODE_NONE },
		{ PROBE_NO_VERSION, PROBE_SERVED, false, true, CONN_FAIL,
			CODE_HANDSHAKE },
		{ PROBE_NO_VERSION, PROBE_NO_VERSION, true, true, CONN_FAIL,
			CODE_HANDSHAKE },
		{ PROBE_NO_VERSION, PROBE_PROTOCOL, true, true, CONN_UNTESTED,
			CODE_PROTOCOL },
		{ PROBE_HANDSHAKE, PROBE_SERVED, true, true, CONN_FAIL,
			CODE_HANDSHAKE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool version = rows[i].it == PROBE_NO_VERSION;
		const char *addr = rows[i].same_addr ? V4 : V6;
		struct check_conn *k, *s;
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, K1);
		k = jf_conn(h, V4, PROBE_RSA, rows[i].it);
		with(k, PROBE_TLS12, false);
		s = rows[i].sibling == PROBE_SERVED
			    ? jf_serve(h, addr,
				      version ? PROBE_RSA : PROBE_ECDSA, 0x11,
				      0, PROBE_DANE_OK)
			    : jf_conn(h, addr,
				      version ? PROBE_RSA : PROBE_ECDSA,
				      rows[i].sibling);
		with(s, version ? PROBE_TLS13 : PROBE_TLS12, !rows[i].same_sni);
		jf_judge(&f);
		if (k->state != rows[i].want || k->code != rows[i].code)
			fail_msg("row %zu: %s %s", i, conn_state_name(k->state),
				check_code_info(k->code)->name);
		jf_free(&f);
	}
}

/* The whole matrix without the algorithms that are not served. */
static void refuse(struct check_host *h, enum probe_alg alg,
	enum probe_version v, enum probe_result r)
{
	with(jf_conn(h, V4, alg, r), v, false);
}

/* A server from before TLS 1.3 with an RSA key refuses both algorithms under
 * TLS 1.3; what a free client gets tells it from one whose TLS 1.3 is broken.
 */
static void test_before_tls13(void **state)
{
	static const struct {
		enum probe_result it, unforced; /* NO_CERT: none was made */
		enum conn_state want;
		enum check_verdict verdict;
	} rows[] = {
		{ PROBE_NO_CERT, PROBE_SERVED, CONN_ABSENT, CHECK_OK },
		{ PROBE_NO_CERT, PROBE_HANDSHAKE, CONN_FAIL, CHECK_DEGRADED },
		{ PROBE_NO_CERT, PROBE_NO_CERT, CONN_FAIL, CHECK_DEGRADED },
		{ PROBE_HANDSHAKE, PROBE_SERVED, CONN_FAIL, CHECK_DEGRADED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, K1);
		jf_tlsa(h, K2);
		refuse(h, PROBE_RSA, PROBE_TLS13, rows[i].it);
		refuse(h, PROBE_ECDSA, PROBE_TLS13, PROBE_NO_CERT);
		refuse(h, PROBE_ECDSA, PROBE_TLS12, PROBE_NO_CERT);
		with(jf_serve(h, V4, PROBE_RSA, 0x11, 0, PROBE_DANE_OK),
			PROBE_TLS12, false);
		if (rows[i].unforced == PROBE_SERVED)
			(void)jf_serve(
				h, V4, PROBE_ANY, 0x11, 0, PROBE_DANE_OK);
		else if (rows[i].unforced != PROBE_NO_CERT)
			(void)jf_conn(h, V4, PROBE_ANY, rows[i].unforced);
		jf_judge(&f);
		assert_int_equal(h->conn[0].state, rows[i].want);
		assert_int_equal(h->conn[1].state, CONN_ABSENT);
		assert_int_equal(h->conn[2].state, CONN_ABSENT);
		assert_int_equal(f.c.verdict, rows[i].verdict);
		jf_free(&f);
	}
}

/* An Ed25519 key: some senders get through, others do not. */
static void test_other_kind_of_key(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	jf_tlsa(h, K2);
	refuse(h, PROBE_RSA, PROBE_TLS13, PROBE_NO_CERT);
	refuse(h, PROBE_ECDSA, PROBE_TLS13, PROBE_NO_CERT);
	refuse(h, PROBE_RSA, PROBE_TLS12, PROBE_NO_CERT);
	refuse(h, PROBE_ECDSA, PROBE_TLS12, PROBE_NO_CERT);
	(void)jf_serve(h, V4, PROBE_ANY, 0x11, 0, PROBE_DANE_OK);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_DEGRADED);
	jf_expect(&f, CODE_HANDSHAKE, FINDING_FAIL, "RSA ECDSA", "handshake");
	jf_free(&f);
}

/* RDATA too short to be a record: TLS is wanted all the same. */
static void test_no_record_left(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	h->dane = HOST_TLSA;
	(void)jf_conn(h, V4, PROBE_ANY, PROBE_NO_STARTTLS);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_BLOCKED);
	jf_expect(&f, CODE_STARTTLS_MISSING, FINDING_FAIL, "mx1", "");
	jf_expect(&f, CODE_ALL_UNUSABLE, FINDING_FAIL, "mx1", "");
	jf_free(&f);
}

/* Fills a whole matrix: key per algorithm with and without SNI, 0: none. */
static void matrix(struct check_host *h, const char *addr, uint8_t rsa,
	uint8_t ecdsa, uint8_t rsa_no_sni, uint8_t ecdsa_no_sni,
	const uint8_t *ok, size_t n_ok)
{
	static const enum probe_version versions[] = { PROBE_TLS13,
		PROBE_TLS12 };
	uint8_t keys[2][2] = { { rsa, ecdsa }, { rsa_no_sni, ecdsa_no_sni } };

	for (size_t sni = 0; sni < 2; sni++)
		for (size_t v = 0; v < 2; v++)
			for (size_t a = 0; a < 2; a++) {
				enum probe_alg alg =
					a == 0 ? PROBE_RSA : PROBE_ECDSA;
				uint8_t key = keys[sni][a];
				enum probe_dane d = PROBE_DANE_NO_MATCH;
				struct check_conn *k;

				for (size_t i = 0; i < n_ok; i++)
					if (ok[i] == key)
						d = PROBE_DANE_OK;
				k = key == 0 ? jf_conn(h, addr, alg,
						       PROBE_NO_CERT)
					     : jf_serve(h, addr, alg, key, 0xee,
						       d);
				with(k, versions[v], sni == 1);
			}
}

/* L4: a dual-certificate server with the hash of one algorithm only. */
static void test_other_algorithm(void **state)
{
	static const uint8_t ok[] = { 0x11 };
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	jf_tlsa(h, K2);
	matrix(h, V4, 0x99, 0x11, 0x99, 0x11, ok, 1);
	matrix(h, V6, 0x99, 0x11, 0x99, 0x11, ok, 1);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_DEGRADED);
	/* One finding for both addresses, both versions, SNI or not. */
	assert_int_equal(jf_count(&f, CODE_TLSA_MISMATCH_ALG), 1);
	jf_expect(&f, CODE_TLSA_MISMATCH_ALG, FINDING_FAIL,
		"mx1.example.test:25 [192.0.2.1, 2001:db8::1] RSA",
		"The served key is 3 1 1 9999");
	assert_string_equal(jf_find(&f, CODE_TLSA_MISMATCH_ALG)->where,
		"mx1.example.test:25 [192.0.2.1, 2001:db8::1] RSA");
	assert_int_equal(jf_count(&f, CODE_TLSA_MISMATCH), 0);
	jf_free(&f);
}

/* E42: with SNI the next certificate, without it the former one. */
static void test_no_sni(void **state)
{
	static const uint8_t ok[] = { 0x11 };
	static const uint8_t other_alg[2] = { 0, 0x99 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, K1);
		jf_tlsa(h, K2);
		/* Second: the default certificate is of another algorithm. */
		matrix(h, V4, 0, 0x11, other_alg[i], i == 0 ? 0x99 : 0, ok, 1);
		jf_judge(&f);
		assert_int_equal(f.c.verdict, CHECK_DEGRADED);
		assert_int_equal(jf_count(&f, CODE_TLSA_MISMATCH_NO_SNI), 1);
		jf_expect(&f, CODE_TLSA_MISMATCH_NO_SNI, FINDING_FAIL,
			"[192.0.2.1]", "no SNI");
		assert_non_null(
			strstr(jf_find(&f, CODE_TLSA_MISMATCH_NO_SNI)->where,
				"without SNI"));
		assert_non_null(strstr(
			jf_find(&f, CODE_TLSA_MISMATCH_NO_SNI)->reproduce,
			"-noservername"));
		jf_free(&f);
	}
}

/* Wrong everywhere: a plain mismatch, and no excuse is made up. */
static void test_plain_mismatch(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	jf_tlsa(h, K2);
	matrix(h, V4, 0x98, 0x99, 0x98, 0x99, NULL, 0);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_BLOCKED);
	/* One for each key that is served. */
	assert_int_equal(jf_count(&f, CODE_TLSA_MISMATCH), 2);
	assert_int_equal(jf_count(&f, CODE_TLSA_MISMATCH_ALG), 0);
	assert_int_equal(jf_count(&f, CODE_TLSA_MISMATCH_NO_SNI), 0);
	assert_int_equal(jf_count(&f, CODE_SCHEME), 0);
	jf_free(&f);
}

/* L3 and L9a: by the records, for one connection that serves key 11 and sends
 * issuer ee, and that OpenSSL finds without a match. */
static void test_why(void **state)
{
	static const struct {
		const char *rr[3];
		enum check_code code;
	} rows[] = {
		{ { K1, HIDDEN }, CODE_TLSA_HIDDEN },
		{ { K2, HIDDEN }, CODE_TLSA_MISMATCH },
		{ { "2 1 1 " HEX32("77") }, CODE_TLSA_ISSUER_NOT_SENT },
		{ { "2 1 1 " HEX32("77"), "2 0 1 " HEX32("78") },
			CODE_TLSA_ISSUER_NOT_SENT },
		{ { "2 1 1 " HEX32("77"), K2 }, CODE_TLSA_MISMATCH },
		/* Unusable ones do not count. */
		{ { "2 1 1 " HEX32("77"), "3 1 1 11", "1 1 1 " HEX32("11") },
			CODE_TLSA_ISSUER_NOT_SENT },
		/* The stronger digest is no use to anyone: not hidden. */
		{ { K2, "3 1 2 1234" }, CODE_TLSA_MISMATCH },
		/* On the wire, hidden. */
		{ { "2 1 1 " HEX32("ee"), "2 1 2 " HEX64("99") },
			CODE_TLSA_HIDDEN },
		/* A leaf is not its own issuer. */
		{ { "2 1 1 " HEX32("11") }, CODE_TLSA_ISSUER_NOT_SENT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		for (size_t k = 0; k < 3 && rows[i].rr[k] != NULL; k++)
			jf_tlsa(h, rows[i].rr[k]);
		(void)jf_serve(
			h, V4, PROBE_ANY, 0x11, 0xee, PROBE_DANE_NO_MATCH);
		jf_judge(&f);
		if (h->conn[0].code != rows[i].code)
			fail_msg("row %zu is %s", i,
				check_code_info(h->conn[0].code)->name);
		assert_int_equal(f.c.verdict, CHECK_BLOCKED);
		jf_free(&f);
	}
}

static void test_where(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	with(jf_serve(h, V4, PROBE_ECDSA, 0x11, 0, PROBE_DANE_OK), PROBE_TLS13,
		false);
	with(jf_conn(h, V4, PROBE_ECDSA, PROBE_HANDSHAKE), PROBE_TLS12, true);
	for (int i = 2; i < 8; i++) {
		char addr[16];

		(void)snprintf(addr, sizeof(addr), "192.0.2.%d", i);
		with(jf_conn(h, addr, PROBE_ECDSA, PROBE_NO_CONNECT),
			PROBE_TLS13, false);
		with(jf_conn(h, addr, PROBE_ECDSA, PROBE_NO_CONNECT),
			PROBE_TLS12, true);
	}
	jf_judge(&f);
	assert_string_equal(jf_find(&f, CODE_HANDSHAKE)->where,
		"mx1.example.test:25 [192.0.2.1] TLSv1.2 without SNI");
	assert_int_equal(jf_count(&f, CODE_CONNECT), 1);
	assert_string_equal(jf_find(&f, CODE_CONNECT)->where,
		"mx1.example.test:25 [192.0.2.2, 192.0.2.3, 192.0.2.4, "
		"192.0.2.5 and 2 more]");
	jf_free(&f);
}

/* What the server says is shown, but cannot forge a line. */
static void test_hostile_reply(void **state)
{
	struct check_host *h;
	struct check_conn *k;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K1);
	k = jf_conn(h, V4, PROBE_ANY, PROBE_PROTOCOL);
	(void)snprintf(k->job.why, sizeof(k->job.why),
		"554 go away\nOK all is well \x1b[2J");
	jf_judge(&f);
	jf_expect(&f, CODE_PROTOCOL, FINDING_WARN, "mx1",
		"554 go away?OK all is well ?[2J");
	jf_free(&f);
}

static void test_one_family(void **state)
{
	struct check_host *h;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, K2);
	(void)jf_conn(h, V6, PROBE_ECDSA, PROBE_UNTESTABLE);
	jf_judge(&f);
	assert_int_equal(f.c.verdict, CHECK_OK);
	jf_expect(&f, CODE_UNTESTABLE, FINDING_INFO, "[2001:db8::1]", "route");
	jf_free(&f);
}

static void test_tls12(void **state)
{
	(void)state;
	for (int speaks = 0; speaks < 2; speaks++) {
		struct check_host *h;
		struct jf f;

		jf_init(&f);
		h = jf_host(&f, "mx1");
		jf_tlsa(h, K1);
		with(jf_serve(h, V4, PROBE_ECDSA, 0x11, 0, PROBE_DANE_OK),
			PROBE_TLS13, false);
		with(jf_conn(h, V4, PROBE_ECDSA, PROBE_NO_VERSION), PROBE_TLS12,
			false);
		if (speaks == 1)
			with(jf_serve(h, V4, PROBE_RSA, 0x11, 0, PROBE_DANE_OK),
				PROBE_TLS12, false);
		jf_judge(&f);
		assert_int_equal(f.c.verdict, CHECK_OK);
		assert_int_equal(jf_count(&f, CODE_TLS12_MISSING), speaks == 0);
		jf_free(&f);
	}
}

static void test_keys(void **state)
{
	struct check_host *h, *h2;
	struct jf f;

	(void)state;
	jf_init(&f);
	h = jf_good(&f, "mx1", K1, K2);
	h2 = jf_good(&f, "mx2", K1, K2);
	(void)jf_serve(h, V4, PROBE_RSA, 0x22, 0, PROBE_DANE_OK);
	h->conn[1].job.chain.cert[0].alg = KEY_OTHER;
	h->conn[1].job.chain.cert[0].key_bits = 1024;
	jf_judge(&f);
	jf_expect(&f, CODE_KEY_WEAK, FINDING_WARN, "RSA", "2048");
	assert_int_equal(jf_count(&f, CODE_KEY_SHARED), 1);
	jf_expect(&f, CODE_KEY_SHARED, FINDING_INFO,
		"mx1.example.test, mx2.example.test", "2 hosts");
	/* The fixture's certificates are all for mx1. */
	assert_int_equal(jf_count(&f, CODE_NAME_INFO), 1);
	jf_expect(&f, CODE_NAME_INFO, FINDING_INFO, "mx2.example.test:25",
		"usage 3");
	assert_int_equal(f.c.verdict, CHECK_OK);

	/* P-521 is not weak RSA, and one host's ports share their key. */
	h->conn[1].job.alg = PROBE_ANY;
	h->conn[1].job.chain.cert[0].key_bits = 521;
	memcpy(h2->name, h->name, sizeof(h->name));
	memcpy(h2->base_bare, h->base_bare, sizeof(h->base_bare));
	jf_judge(&f);
	assert_int_equal(jf_count(&f, CODE_KEY_WEAK), 0);
	assert_int_equal(jf_count(&f, CODE_KEY_SHARED), 0);
	assert_int_equal(jf_count(&f, CODE_NAME_INFO), 0);
	jf_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_opportunistic),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_siblings),
		cmocka_unit_test(test_before_tls13),
		cmocka_unit_test(test_other_kind_of_key),
		cmocka_unit_test(test_no_record_left),
		cmocka_unit_test(test_other_algorithm),
		cmocka_unit_test(test_no_sni),
		cmocka_unit_test(test_plain_mismatch),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_hostile_reply),
		cmocka_unit_test(test_one_family),
		cmocka_unit_test(test_tls12),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
