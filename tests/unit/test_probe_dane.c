/*
 * What the probe says of TLSA records against what servers serve: OpenSSL's
 * verdict, put into our words. (dane.md L1, L2, L3, L9a, L9b)
 */
#include "tests/unit/probe_fixture.h"

static struct probe_job dane(const struct server *sv, const char *host,
	const struct probe_tlsa *rr, size_t n)
{
	struct probe_job j = job_for(sv, PROTO_TLS, PROBE_ANY);

	j.host = host;
	j.tlsa = rr;
	j.n_tlsa = n;
	run(&j, 1, NULL);
	want(&j, PROBE_SERVED, "");
	is_key(&j, ec_key); /* known whatever DANE says */
	return j;
}

static void dane_end_entity(void **state)
{
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	uint8_t good[32], good512[64], bad[64] = { 1, 2, 3 };
	const struct probe_tlsa r_good = { 3, 1, 1, good, 32 };
	const struct probe_tlsa r_512 = { 3, 1, 2, good512, 64 };
	const struct probe_tlsa r_bad = { 3, 1, 1, bad, 32 };
	const struct probe_tlsa stale = { 3, 1, 2, bad, 64 };
	const struct probe_tlsa shorter = { 3, 1, 1, good, 31 };
	const struct probe_tlsa pkix = { 1, 1, 1, good, 32 };
	const struct probe_tlsa odd = { 3, 1, 9, good, 32 };
	const struct probe_tlsa none = { 3, 1, 1, NULL, 0 };
	const struct {
		struct probe_tlsa rr[3];
		size_t n;
		bool ok;
		const char *host;
	} t[] = {
		{ { r_good }, 1, true, HOST },
		{ { r_good }, 1, true, "other.example" }, /* L1 */
		{ { r_512 }, 1, true, HOST },
		{ { r_bad }, 1, false, HOST },
		{ { r_bad, r_good }, 2, true, HOST },
		{ { r_good, stale }, 2, false, HOST }, /* L3 */
		{ { r_bad, r_512 }, 2, true, HOST },
		{ { shorter, odd, r_good }, 3, true, HOST }, /* L9b */
		{ { shorter, odd, none }, 3, false, HOST },
		{ { pkix }, 1, false, HOST },
		{ { pkix, r_good }, 2, true, HOST },
	};
	struct server sv;

	(void)state;
	spki_of(ec_key, EVP_sha256(), good);
	spki_of(ec_key, EVP_sha512(), good512);
	server_start(&sv, implicit, tls);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct probe_job j = dane(&sv, t[i].host, t[i].rr, t[i].n);

		if (j.dane_ok != t[i].ok)
			fail_msg("set %zu: %s", i, j.why);
	}
	server_stop(&sv);
	SSL_CTX_free(tls);

	/* expiry does not count for usage 3 (L2), but it is told */
	tls = tls_server(old_cert, NULL, NULL);
	server_start(&sv, implicit, tls);
	struct probe_job j = dane(&sv, HOST, &r_good, 1);
	server_stop(&sv);
	assert_true(j.dane_ok);
	assert_true(j.not_after < time(NULL));
	SSL_CTX_free(tls);
}

static void dane_trust_anchor(void **state)
{
	SSL_CTX *full = tls_server(issued_cert, NULL, ca_cert);
	SSL_CTX *bare = tls_server(issued_cert, NULL, NULL);
	uint8_t d[32];
	const struct probe_tlsa ta = { 2, 1, 1, d, 32 };
	struct probe_job j;
	struct server sv;

	(void)state;
	spki_of(ca_key, EVP_sha256(), d);
	server_start(&sv, implicit, full);
	j = dane(&sv, HOST, &ta, 1);
	assert_true(j.dane_ok);
	assert_non_null(strstr(j.why, "2 1 1 at depth 1"));
	j = dane(&sv, "other.example", &ta, 1); /* names do count here */
	assert_false(j.dane_ok);
	server_stop(&sv);
	server_start(&sv, implicit, bare); /* L9a */
	j = dane(&sv, HOST, &ta, 1);
	assert_false(j.dane_ok);
	server_stop(&sv);
	SSL_CTX_free(full);
	SSL_CTX_free(bare);
}

/* A leaf that a key of the CA issued, valid between these days from now. */
static X509 *leaf_between(long from, long to)
{
	X509 *x = make_cert(ec_key, HOST, ca_cert, ca_key, to);

	X509_gmtime_adj(X509_getm_notBefore(x), from * 86400);
	assert_true(X509_sign(x, ca_key, EVP_sha256()) > 0);
	return x;
}

static void every_verdict(void **state)
{
	X509 *expired = leaf_between(-30, -5), *early = leaf_between(2, 30);
	X509 *no_ca = make_cert(ca_key, "Not a CA", NULL, ca_key, 90);
	X509 *by_no_ca = make_cert(ec_key, HOST, no_ca, ca_key, 90);
	uint8_t ca[32], ee[32], no[32] = { 1 };
	const struct probe_tlsa ta = { 2, 1, 1, ca, 32 };
	const struct probe_tlsa own = { 3, 1, 1, ee, 32 };
	const struct probe_tlsa other = { 3, 1, 1, no, 32 };
	const struct probe_tlsa pkix = { 1, 1, 1, ee, 32 };
	const struct probe_tlsa shorter = { 3, 1, 1, ee, 31 };
	const struct {
		X509 *leaf, *issuer;
		const char *host;
		struct probe_tlsa rr[3];
		size_t n;
		enum probe_dane want;
		size_t n_usable;
		int matched, depth;
	} t[] = {
		{ ec_cert, NULL, HOST, { own }, 1, PROBE_DANE_OK, 1, 0, 0 },
		{ ec_cert, NULL, HOST, { pkix, other, own }, 3, PROBE_DANE_OK,
			2, 2, 0 },
		{ issued_cert, ca_cert, HOST, { other, ta, shorter }, 3,
			PROBE_DANE_OK, 2, 1, 1 },
		{ ec_cert, NULL, HOST, { other }, 1, PROBE_DANE_NO_MATCH, 1, -1,
			-1 },
		{ ec_cert, NULL, HOST, { pkix, shorter }, 2, PROBE_DANE_NONE, 0,
			-1, -1 },
		{ ec_cert, NULL, HOST, { own }, 0, PROBE_DANE_NONE, 0, -1, -1 },
		/* the issuer is not on the wire (L9a) */
		{ issued_cert, NULL, HOST, { ta }, 1, PROBE_DANE_NO_MATCH, 1,
			-1, -1 },
		{ issued_cert, ca_cert, "other.example", { ta }, 1,
			PROBE_DANE_NAME, 1, -1, -1 },
		{ expired, ca_cert, HOST, { ta }, 1, PROBE_DANE_EXPIRED, 1, -1,
			-1 },
		{ early, ca_cert, HOST, { ta }, 1, PROBE_DANE_NOT_YET, 1, -1,
			-1 },
		{ by_no_ca, no_ca, HOST, { ta }, 1, PROBE_DANE_CHAIN, 1, -1,
			-1 },
		/* none of that counts for usage 3 (L1, L2) */
		{ expired, ca_cert, "other.example", { own }, 1, PROBE_DANE_OK,
			1, 0, 0 },
		{ early, NULL, HOST, { ta, own }, 2, PROBE_DANE_OK, 2, 1, 0 },
	};

	(void)state;
	spki_of(ca_key, EVP_sha256(), ca);
	spki_of(ec_key, EVP_sha256(), ee);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		SSL_CTX *tls = tls_server(t[i].leaf, NULL, t[i].issuer);
		struct server sv;
		struct probe_job j;

		server_start(&sv, implicit, tls);
		j = dane(&sv, t[i].host, t[i].rr, t[i].n);
		server_stop(&sv);
		SSL_CTX_free(tls);
		if (j.dane != t[i].want || j.n_usable != t[i].n_usable ||
			j.matched != t[i].matched || j.depth != t[i].depth ||
			j.dane_ok != (t[i].want == PROBE_DANE_OK))
			fail_msg("set %zu: %s, %zu usable, record %d, depth "
				 "%d: %s",
				i, probe_dane_name(j.dane), j.n_usable,
				j.matched, j.depth, j.why);
	}
	X509_free(expired);
	X509_free(early);
	X509_free(no_ca);
	X509_free(by_no_ca);
}

/* RFC 7672 3.2.2: any of the names will do, for usage 2. */
static void further_names(void **state)
{
	static const char *const good[] = { "x.example", "", HOST ".", NULL };
	static const char *const bad[] = { "x.example", "y.example", NULL };
	SSL_CTX *tls = tls_server(issued_cert, NULL, ca_cert);
	uint8_t ca[32];
	const struct probe_tlsa ta = { 2, 1, 1, ca, 32 };
	struct probe_job j[3];
	struct server sv;

	(void)state;
	spki_of(ca_key, EVP_sha256(), ca);
	server_start(&sv, implicit, tls);
	for (int i = 0; i < 3; i++) {
		j[i] = job_for(&sv, PROTO_TLS, PROBE_ANY);
		j[i].host = i == 2 ? HOST : "other.example";
		j[i].names = i == 0 ? good : bad;
		j[i].tlsa = &ta;
		j[i].n_tlsa = 1;
	}
	run(j, 3, NULL);
	server_stop(&sv);
	assert_int_equal(j[0].dane, PROBE_DANE_OK);
	assert_int_equal(j[1].dane, PROBE_DANE_NAME);
	assert_int_equal(j[2].dane, PROBE_DANE_OK);
	SSL_CTX_free(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dane_end_entity),
		cmocka_unit_test(dane_trust_anchor),
		cmocka_unit_test(every_verdict),
		cmocka_unit_test(further_names),
	};

	/* The scripted servers write through OpenSSL's socket BIO. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
