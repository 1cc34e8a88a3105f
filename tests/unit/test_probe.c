/*
 * The probe against servers on loopback: what it sees of a server that works.
 */
#include "tests/unit/probe_fixture.h"

/* ---- what is served ---- */

static void sees_the_key(void **state)
{
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct probe_job j;

	(void)state;
	j = probe_script(smtp, tls, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLSv1.3");
	is_key(&j, ec_key);
	assert_int_equal(j.key_alg, KEY_ECDSA_P256);
	assert_false(j.dane_ok);
	assert_in_range((uintmax_t)j.not_after,
		(uintmax_t)time(NULL) + 89 * 86400,
		(uintmax_t)time(NULL) + 91 * 86400);
	j = probe_script(implicit, tls, PROTO_TLS, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLSv1.3");
	is_key(&j, ec_key);
	SSL_CTX_free(tls);

	tls = tls_server(NULL, rsa_cert, NULL);
	SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION);
	j = probe_script(implicit, tls, PROTO_TLS, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLSv1.2");
	is_key(&j, rsa_key);
	assert_int_equal(j.key_alg, KEY_RSA_2048);
	SSL_CTX_free(tls);
}

static void other_protocols(void **state)
{
	static const struct step imap[] = { { SEND, "* OK hi\r\n" },
		{ EXPECT, "a001 CAPABILITY" },
		{ SEND, "* CAPABILITY IMAP4rev1 STARTTLS\r\na001 OK\r\n" },
		{ EXPECT, "a002 STARTTLS" }, { SEND, "a002 OK\r\n" },
		{ TLS, NULL }, { END, NULL } };
	static const struct step pop3[] = { { SEND, "+OK hi\r\n" },
		{ EXPECT, "CAPA" }, { SEND, "+OK\r\nSTLS\r\n.\r\n" },
		{ EXPECT, "STLS" }, { SEND, "+OK\r\n" }, { TLS, NULL },
		{ END, NULL } };
	static const struct step sieve[] = { { SEND, "\"STARTTLS\"\r\nOK\r\n" },
		{ EXPECT, "STARTTLS" }, { SEND, "OK\r\n" }, { TLS, NULL },
		{ END, NULL } };
	static const struct step ldap[] = { { UNTIL, "1466.20037" },
		{ SEND_N, "\016\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0"
			  "\x04\0\x04\0" },
		{ TLS, NULL }, { END, NULL } };
	static const struct step xmpp[] = { { UNTIL, "streams'>" },
		{ SEND, "<?xml version='1.0'?><stream:stream version='1.0'>"
			"<stream:features><starttls xmlns="
			"'urn:ietf:params:xml:ns:xmpp-tls'/>"
			"</stream:features>" },
		{ UNTIL,
			"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" },
		{ SEND, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" },
		{ TLS, NULL }, { END, NULL } };
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct probe_job j;

	(void)state;
	j = probe_script(ldap, tls, PROTO_LDAP, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLS");
	j = probe_script(xmpp, tls, PROTO_XMPP, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLS");
	assert_true(j.offered);
	j = probe_script(xmpp, tls, PROTO_XMPP_SERVER, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLS");
	j = probe_script(imap, tls, PROTO_IMAP, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLS");
	j = probe_script(pop3, tls, PROTO_POP3, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLS");
	j = probe_script(sieve, tls, PROTO_SIEVE, PROBE_ANY, 5000);
	want(&j, PROBE_SERVED, "TLS");
	is_key(&j, ec_key);
	SSL_CTX_free(tls);
}

static void forced_algorithm(void **state)
{
	static const int version[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		SSL_CTX *both = tls_server(ec_cert, rsa_cert, NULL);
		SSL_CTX *one = tls_server(ec_cert, NULL, NULL);
		struct probe_job j;

		SSL_CTX_set_max_proto_version(both, version[i]);
		SSL_CTX_set_max_proto_version(one, version[i]);
		j = probe_script(smtp, both, PROTO_SMTP, PROBE_RSA, 5000);
		want(&j, PROBE_SERVED, "TLS");
		is_key(&j, rsa_key);
		j = probe_script(smtp, both, PROTO_SMTP, PROBE_ECDSA, 5000);
		want(&j, PROBE_SERVED, "TLS");
		is_key(&j, ec_key);
		j = probe_script(smtp, one, PROTO_SMTP, PROBE_ECDSA, 5000);
		want(&j, PROBE_SERVED, "TLS");
		j = probe_script(smtp, one, PROTO_SMTP, PROBE_RSA, 5000);
		want(&j, PROBE_NO_CERT, "no RSA key");
		assert_true(spki_is_none(&j.spki));
		SSL_CTX_free(both);
		SSL_CTX_free(one);
	}
}

/* A server that fails every handshake has not "no RSA key": unknown. */
static void broken_server_is_not_no_cert(void **state)
{
	SSL_CTX *tls = tls_server(NULL, NULL, NULL);
	struct probe_job j;

	(void)state;
	j = probe_script(smtp, tls, PROTO_SMTP, PROBE_RSA, 5000);
	want(&j, PROBE_HANDSHAKE, "handshake failure");
	j = probe_script(smtp, tls, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_HANDSHAKE, "handshake failure");
	SSL_CTX_free(tls);
	/* has one, but only for signatures that we do not offer */
	tls = tls_server(NULL, rsa_cert, NULL);
	assert_int_equal(SSL_CTX_set1_sigalgs_list(tls, "RSA+SHA224"), 1);
	SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(tls, "ECDHE");
	j = probe_script(smtp, tls, PROTO_SMTP, PROBE_RSA, 5000);
	want(&j, PROBE_HANDSHAKE, "");
	SSL_CTX_free(tls);
}

static void too_old_tls(void **state)
{
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct probe_job j;

	(void)state;
	SSL_CTX_set_min_proto_version(tls, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(tls, TLS1_1_VERSION);
	j = probe_script(smtp, tls, PROTO_SMTP, PROBE_ECDSA, 5000);
	want(&j, PROBE_HANDSHAKE, "TLS 1.2");
	SSL_CTX_free(tls);
}

static int by_sni(SSL *s, int *alert, void *arg)
{
	const char *name = SSL_get_servername(s, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	if (name != NULL && strcmp(name, HOST) == 0)
		(void)SSL_set_SSL_CTX(s, arg);
	return SSL_TLSEXT_ERR_OK;
}

static void server_name_is_sent_or_not(void **state)
{
	SSL_CTX *named = tls_server(ec_cert, NULL, NULL);
	SSL_CTX *plain = tls_server(NULL, rsa_cert, NULL);
	uint8_t d[32];
	const struct probe_tlsa rr = { 3, 1, 1, d, 32 };
	struct probe_job j[3];
	struct server sv;

	(void)state;
	spki_of(rsa_key, EVP_sha256(), d);
	SSL_CTX_set_tlsext_servername_callback(plain, by_sni);
	SSL_CTX_set_tlsext_servername_arg(plain, named);
	server_start(&sv, smtp, plain);
	for (int i = 0; i < 3; i++) {
		j[i] = job_for(&sv, PROTO_SMTP, PROBE_ANY);
		j[i].no_sni = i > 0;
	}
	j[2].tlsa = &rr; /* enabling DANE must not bring the name back */
	j[2].n_tlsa = 1;
	run(j, 3, NULL);
	server_stop(&sv);
	want(&j[0], PROBE_SERVED, "");
	is_key(&j[0], ec_key);
	want(&j[1], PROBE_SERVED, "");
	is_key(&j[1], rsa_key);
	want(&j[2], PROBE_SERVED, "matches 3 1 1");
	is_key(&j[2], rsa_key);
	assert_true(j[2].dane_ok);
	SSL_CTX_free(named);
	SSL_CTX_free(plain);
}

static void names(void **state)
{
	enum probe_proto p = PROTO_TLS;

	(void)state;
	for (int i = PROTO_SMTP; i <= PROTO_XMPP_SERVER; i++) {
		assert_true(probe_proto_parse(
			probe_proto_name((enum probe_proto)i), &p));
		assert_int_equal(p, i);
	}
	assert_false(probe_proto_parse("ftp", &p));
	assert_true(probe_proto_parse("none", &p));
	assert_int_equal(p, PROTO_TLS);
	assert_true(probe_proto_for_port(389, &p));
	assert_int_equal(p, PROTO_LDAP);
	assert_true(probe_proto_for_port(5222, &p));
	assert_int_equal(p, PROTO_XMPP);
	assert_true(probe_proto_for_port(5269, &p));
	assert_int_equal(p, PROTO_XMPP_SERVER);
	assert_string_equal(probe_alg_name(PROBE_ECDSA), "ECDSA");
	assert_string_equal(probe_version_name(PROBE_TLS13), "TLSv1.3");
	assert_string_equal(probe_dane_name(PROBE_DANE_CHAIN), "bad-chain");
	assert_true(probe_proto_for_port(587, &p));
	assert_int_equal(p, PROTO_SMTP);
	assert_true(probe_proto_for_port(993, &p));
	assert_int_equal(p, PROTO_TLS);
	assert_true(probe_proto_for_port(4190, &p));
	assert_int_equal(p, PROTO_SIEVE);
	assert_false(probe_proto_for_port(0, &p));
	assert_false(probe_proto_for_port(2525, &p));
	for (int i = PROBE_SERVED; i <= PROBE_NO_VERSION; i++)
		assert_true(
			strlen(probe_result_name((enum probe_result)i)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(sees_the_key),
		cmocka_unit_test(other_protocols),
		cmocka_unit_test(forced_algorithm),
		cmocka_unit_test(broken_server_is_not_no_cert),
		cmocka_unit_test(too_old_tls),
		cmocka_unit_test(server_name_is_sent_or_not),
	};

	/* The scripted servers write through OpenSSL's socket BIO. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
