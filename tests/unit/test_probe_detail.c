/*
 * What the probe can be asked beyond the key: a forced version of TLS, only one
 * look, the chain on the wire, the dialogue, and what is known about the
 * connection.
 */
#include "tests/unit/probe_fixture.h"

#define TLS_ALERT_NO "\007\x15\x03\x03\0\x02\x02\x28" /* handshake_failure */

static struct probe_job probe_job_of(const struct step *script, SSL_CTX *tls,
	const struct probe_job *like, int *ret_conns)
{
	const struct probe_limits lim = { .total_ms = 5000 };
	struct server sv;
	struct probe_job j;

	server_start(&sv, script, tls);
	j = job_for(&sv, like->proto, like->alg);
	j.version = like->version;
	j.tentative = like->tentative;
	j.want_log = like->want_log;
	j.want_chain = like->want_chain;
	run(&j, 1, &lim);
	server_stop(&sv);
	if (ret_conns != NULL)
		*ret_conns = atomic_load(&sv.n_conn);
	return j;
}

/* ---- versions ---- */

static void forced_version(void **state)
{
	SSL_CTX *old = tls_server(ec_cert, NULL, NULL);
	SSL_CTX *young = tls_server(ec_cert, rsa_cert, NULL);
	SSL_CTX *both = tls_server(ec_cert, rsa_cert, NULL);
	const struct {
		SSL_CTX *tls;
		enum probe_alg alg;
		enum probe_version version;
		enum probe_result want;
		const char *tls_name;
	} t[] = {
		{ old, PROBE_ANY, PROBE_TLS12, PROBE_SERVED, "TLSv1.2" },
		{ old, PROBE_ANY, PROBE_TLS13, PROBE_NO_VERSION, "" },
		{ old, PROBE_ANY, PROBE_TLS_ANY, PROBE_SERVED, "TLSv1.2" },
		{ old, PROBE_RSA, PROBE_TLS12, PROBE_NO_CERT, "" },
		{ old, PROBE_RSA, PROBE_TLS13, PROBE_NO_VERSION, "" },
		{ young, PROBE_ANY, PROBE_TLS13, PROBE_SERVED, "TLSv1.3" },
		{ young, PROBE_RSA, PROBE_TLS13, PROBE_SERVED, "TLSv1.3" },
		{ young, PROBE_ANY, PROBE_TLS12, PROBE_NO_VERSION, "" },
		{ young, PROBE_ECDSA, PROBE_TLS12, PROBE_NO_VERSION, "" },
		{ both, PROBE_RSA, PROBE_TLS12, PROBE_SERVED, "TLSv1.2" },
		{ both, PROBE_ECDSA, PROBE_TLS13, PROBE_SERVED, "TLSv1.3" },
	};

	(void)state;
	SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
	SSL_CTX_set_min_proto_version(young, TLS1_3_VERSION);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct probe_job j = { .proto = PROTO_SMTP,
			.alg = t[i].alg,
			.version = t[i].version };

		j = probe_job_of(smtp, t[i].tls, &j, NULL);
		if (j.result != t[i].want || strcmp(j.tls, t[i].tls_name) != 0)
			fail_msg("case %zu: %s, \"%s\": %s", i,
				probe_result_name(j.result), j.tls, j.why);
	}
	SSL_CTX_free(old);
	SSL_CTX_free(young);
	SSL_CTX_free(both);
}

/* As a server that has never heard of TLS 1.3 takes a greeting of it: one of
 * TLS 1.2 without a cipher that it knows. */
static int knows_no_13(SSL *s, int *alert, void *arg)
{
	const unsigned char *v;
	size_t len;

	(void)arg;
	if (SSL_client_hello_get0_ext(
		    s, TLSEXT_TYPE_supported_versions, &v, &len) == 1 &&
		len == 3) {
		*alert = SSL_AD_HANDSHAKE_FAILURE;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

static void version_that_the_server_cannot_name(void **state)
{
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct probe_job j = { .proto = PROTO_TLS, .version = PROBE_TLS13 };
	struct probe_job rsa = {
		.proto = PROTO_TLS, .version = PROBE_TLS13, .alg = PROBE_RSA
	};
	int conns;

	(void)state;
	SSL_CTX_set_client_hello_cb(tls, knows_no_13, NULL);
	SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION);
	j = probe_job_of(implicit, tls, &j, &conns);
	want(&j, PROBE_NO_VERSION, "does not speak TLSv1.3");
	assert_int_equal(conns, 2);
	rsa = probe_job_of(implicit, tls, &rsa, &conns);
	want(&rsa, PROBE_NO_VERSION, "does not speak TLSv1.3");
	assert_int_equal(conns, 3);

	/* it does speak it: then it is no matter of the version */
	SSL_CTX_set_max_proto_version(tls, 0);
	j.result = PROBE_SERVED;
	j = probe_job_of(implicit, tls, &j, &conns);
	want(&j, PROBE_HANDSHAKE, "speaks TLSv1.3, but not");
	SSL_CTX_free(tls);
}

static void tentative_looks_once(void **state)
{
	static const struct step no[] = { { UNTIL, "example" },
		{ SEND_N, TLS_ALERT_NO }, { STALL, NULL }, { END, NULL } };
	static const struct step drop[] = { { UNTIL, "example" },
		{ END, NULL } };
	static const struct {
		const struct step *script;
		enum probe_alg alg;
		enum probe_version version;
		bool tentative;
		enum probe_result want;
		int conns;
	} t[] = {
		{ no, PROBE_RSA, PROBE_TLS_ANY, true, PROBE_NO_CERT, 1 },
		{ no, PROBE_RSA, PROBE_TLS13, true, PROBE_NO_CERT, 1 },
		{ no, PROBE_ANY, PROBE_TLS13, true, PROBE_NO_VERSION, 1 },
		{ no, PROBE_ANY, PROBE_TLS12, true, PROBE_HANDSHAKE, 1 },
		{ no, PROBE_ANY, PROBE_TLS_ANY, true, PROBE_HANDSHAKE, 1 },
		{ no, PROBE_RSA, PROBE_TLS_ANY, false, PROBE_HANDSHAKE, 2 },
		{ no, PROBE_RSA, PROBE_TLS13, false, PROBE_HANDSHAKE, 3 },
		{ no, PROBE_ANY, PROBE_TLS12, false, PROBE_HANDSHAKE, 1 },
		/* closed without a word */
		{ drop, PROBE_RSA, PROBE_TLS_ANY, true, PROBE_NO_CERT, 1 },
		{ drop, PROBE_ANY, PROBE_TLS13, true, PROBE_NO_VERSION, 1 },
		{ drop, PROBE_ANY, PROBE_TLS_ANY, true, PROBE_HANDSHAKE, 1 },
		{ drop, PROBE_RSA, PROBE_TLS_ANY, false, PROBE_HANDSHAKE, 2 },
		{ drop, PROBE_RSA, PROBE_TLS13, false, PROBE_HANDSHAKE, 3 },
		{ drop, PROBE_ANY, PROBE_TLS12, false, PROBE_HANDSHAKE, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct probe_job j = { .proto = PROTO_TLS,
			.alg = t[i].alg,
			.version = t[i].version,
			.tentative = t[i].tentative };
		int conns;

		j = probe_job_of(t[i].script, NULL, &j, &conns);
		if (j.result != t[i].want || conns != t[i].conns)
			fail_msg("case %zu: %s after %d: %s", i,
				probe_result_name(j.result), conns, j.why);
	}
}

/* As Dovecot does: no alert to a greeting that it shares nothing with. */
struct dropper {
	atomic_int drops, drop_max;
};

static int drops_rsa_only(SSL *s, int *alert, void *arg)
{
	struct dropper *d = arg;
	const unsigned char *v;
	size_t len;

	(void)alert;
	/* two octets of length; all of RSA-PSS with rsaEncryption keys */
	if (SSL_client_hello_get0_ext(
		    s, TLSEXT_TYPE_signature_algorithms, &v, &len) == 1 &&
		len > 4 && v[2] == 0x08 &&
		atomic_fetch_add(&d->drops, 1) < atomic_load(&d->drop_max)) {
		(void)shutdown(SSL_get_fd(s), SHUT_RDWR);
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

static void closed_is_only_believed_twice(void **state)
{
	static const struct {
		bool rsa; /* has it a key of RSA? */
		int drop_max;
		enum probe_result want;
		const char *why;
		int conns;
	} t[] = {
		{ false, 9, PROBE_NO_CERT,
			"no RSA key: it closed the connection", 3 },
		/* an accident: the next time it serves what it has */
		{ true, 1, PROBE_SERVED, "TLS", 3 },
		{ false, 1, PROBE_NO_CERT, "no RSA key", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		SSL_CTX *tls = tls_server(t[i].rsa ? NULL : ec_cert,
			t[i].rsa ? rsa_cert : NULL, NULL);
		struct probe_job j = { .proto = PROTO_SMTP, .alg = PROBE_RSA };
		struct dropper d = { .drops = 0 };
		int conns;

		atomic_store(&d.drop_max, t[i].drop_max);
		SSL_CTX_set_client_hello_cb(tls, drops_rsa_only, &d);
		j = probe_job_of(smtp, tls, &j, &conns);
		want(&j, t[i].want, t[i].why);
		assert_int_equal(conns, t[i].conns);
		SSL_CTX_free(tls);
	}
}

/* It has both keys, and was only busy when RSA was asked for. */
static void accident_does_not_hide_a_key(void **state)
{
	SSL_CTX *tls = tls_server(ec_cert, rsa_cert, NULL);
	struct probe_job j = { .proto = PROTO_TLS, .alg = PROBE_RSA };
	struct dropper d = { .drops = 0 };
	int conns;

	(void)state;
	atomic_store(&d.drop_max, 1);
	SSL_CTX_set_client_hello_cb(tls, drops_rsa_only, &d);
	j = probe_job_of(implicit, tls, &j, &conns);
	want(&j, PROBE_SERVED, "TLS");
	is_key(&j, rsa_key);
	assert_int_equal(conns, 3);
	SSL_CTX_free(tls);
}

/* ---- the chain ---- */

static void chain_on_the_wire(void **state)
{
	SSL_CTX *tls = tls_server(issued_cert, NULL, ca_cert);
	struct err err = ERR_INIT;
	struct probe_job j;
	struct server sv;
	uint8_t ca[32];

	(void)state;
	spki_of(ca_key, EVP_sha256(), ca);
	server_start(&sv, implicit, tls);
	j = job_for(&sv, PROTO_TLS, PROBE_ANY);
	run(&j, 1, NULL);
	assert_int_equal(j.chain.n, 0);
	j.want_chain = true;
	run(&j, 1, NULL);
	run(&j, 1, NULL); /* frees what it owned */
	server_stop(&sv);
	want(&j, PROBE_SERVED, "");
	assert_int_equal(j.chain.n, 2);
	assert_true(spki_eq(&j.chain.cert[0].spki, &j.spki));
	assert_false(j.chain.cert[0].issued_by_next);
	assert_int_equal(cert_chain_link(&j.chain, &err), ST_OK);
	assert_true(j.chain.cert[0].issued_by_next);
	assert_string_equal(j.chain.cert[0].issuer, "CN=Test CA");
	assert_true(cert_view_matches(&j.chain.cert[1], 1, 1, ca, 32));
	assert_true(j.chain.cert[1].self_signed);
	assert_int_equal(j.chain.cert[0].not_after, j.not_after);
	probe_job_release(&j);
	probe_job_release(&j);
	assert_int_equal(j.chain.n, 0);
	SSL_CTX_free(tls);
}

/* ---- the dialogue ---- */

static void dialogue_is_kept(void **state)
{
	static const struct step two[] = { { SEND, "220 a\r\n" },
		{ EXPECT, "EHLO " }, { SEND, "250-b\r" },
		{ SEND, "\n250 STARTTLS\r\n" }, { EXPECT, "STARTTLS" },
		{ SEND, "454 \x1b[2J\rno\r\n" }, { STALL, NULL },
		{ END, NULL } };
	struct probe_job j = { .proto = PROTO_SMTP, .want_log = true };
	struct probe_job plain = { .proto = PROTO_SMTP };
	char *ehlo, *end;

	(void)state;
	j = probe_job_of(two, NULL, &j, NULL);
	want(&j, PROBE_NO_STARTTLS, "454");
	assert_non_null(j.log);
	assert_memory_equal(j.log, "< 220 a\n> EHLO ", 15);
	ehlo = strchr(j.log, '>');
	end = strchr(ehlo, '\n');
	assert_non_null(end);
	assert_string_equal(end, "\n< 250-b\n< 250 STARTTLS\n> STARTTLS\n"
				 "< 454 ?[2J?no\n");
	probe_job_release(&j);
	assert_null(j.log);

	plain = probe_job_of(two, NULL, &plain, NULL);
	assert_null(plain.log);
}

static void dialogue_kept_is_bounded(void **state)
{
	static const struct step banner[] = { { FLOOD, "220-\x1b\x80\n" },
		{ END, NULL } };
	static const struct step ldap[] = { { UNTIL, "20037" },
		{ SEND_N, "\016\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02"
			  "\x04\0\x04\0" },
		{ STALL, NULL }, { END, NULL } };
	struct probe_job j = { .proto = PROTO_SMTP, .want_log = true };
	struct probe_job l = { .proto = PROTO_LDAP, .want_log = true };
	const char *note = "\n* more was said\n";
	size_t len;

	(void)state;
	j = probe_job_of(banner, NULL, &j, NULL);
	want(&j, PROBE_PROTOCOL, "more than 65536");
	len = strlen(j.log);
	assert_in_range(len, 8000, 8192);
	assert_string_equal(j.log + len - strlen(note), note);
	for (const char *p = j.log; *p != '\0'; p++)
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
	probe_job_release(&j);

	l = probe_job_of(ldap, NULL, &l, NULL);
	want(&l, PROBE_NO_STARTTLS, "not supported: result 2");
	assert_false(l.offered);
	assert_memory_equal(l.log, "> 301d0201017718801631", 22);
	assert_non_null(strstr(l.log, "\n< 300c02010178070a010204000400\n"));
	probe_job_release(&l);
}

static void second_look_is_in_the_dialogue(void **state)
{
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct probe_job j = {
		.proto = PROTO_SMTP, .alg = PROBE_RSA, .want_log = true
	};
	const char *note;

	(void)state;
	j = probe_job_of(smtp, tls, &j, NULL);
	want(&j, PROBE_NO_CERT, "no RSA key");
	note = strstr(j.log, "< 220 go\n* again, with any key algorithm\n");
	assert_non_null(note);
	assert_non_null(strstr(note + 10, "< 220 go\n"));
	probe_job_release(&j);
	SSL_CTX_free(tls);
}

/* ---- what else is known ---- */

static void replies_that_refuse(void **state)
{
	static const struct step none[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { SEND, "250-mx\r\n250 SIZE\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step later[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "454-not\r\n454 now\r\n" }, { STALL, NULL },
		{ END, NULL } };
	static const struct step away[] = { { SEND, "554 no\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step old[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { SEND, "502 what\r\n" }, { STALL, NULL },
		{ END, NULL } };
	static const struct {
		const struct step *script;
		enum probe_result want;
		int code;
		bool offered;
	} t[] = {
		{ none, PROBE_NO_STARTTLS, 0, false },
		{ later, PROBE_NO_STARTTLS, 454, true },
		{ away, PROBE_PROTOCOL, 554, false },
		{ old, PROBE_NO_STARTTLS, 502, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct probe_job j = probe_script(
			t[i].script, NULL, PROTO_SMTP, PROBE_ANY, 5000);

		want(&j, t[i].want, "");
		assert_int_equal(j.code, t[i].code);
		assert_int_equal(j.offered, t[i].offered);
	}
}

static void details_are_told_and_forgotten(void **state)
{
	static const struct step stall[] = { { STALL, NULL }, { END, NULL } };
	const struct probe_limits lim = { .total_ms = 300 };
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct server sv;
	struct probe_job j;

	(void)state;
	server_start(&sv, smtp, tls);
	j = job_for(&sv, PROTO_SMTP, PROBE_ANY);
	j.want_log = j.want_chain = true;
	run(&j, 1, NULL);
	server_stop(&sv);
	want(&j, PROBE_SERVED, "TLSv1.3");
	assert_string_equal(j.tls, "TLSv1.3");
	assert_string_equal(j.cipher, "TLS_AES_256_GCM_SHA384");
	assert_string_equal(j.local, "127.0.0.1");
	assert_true(j.offered);
	assert_int_equal(j.code, 0);
	assert_in_range((uintmax_t)j.not_before,
		(uintmax_t)time(NULL) - 31 * 86400,
		(uintmax_t)time(NULL) - 29 * 86400);
	assert_true(j.took_ms >= j.connect_ms && j.took_ms < 5000);

	/* the same job against another server: nothing stays */
	server_start(&sv, stall, NULL);
	memcpy(&j.addr, &sv.addr, sizeof(sv.addr));
	run(&j, 1, &lim);
	server_stop(&sv);
	want(&j, PROBE_TIMEOUT, "greeting");
	assert_string_equal(j.tls, "");
	assert_string_equal(j.cipher, "");
	assert_string_equal(j.log, "");
	assert_false(j.offered);
	assert_int_equal(j.chain.n, 0);
	assert_int_equal(j.not_before, 0);
	assert_int_equal(j.not_after, 0);
	assert_true(spki_is_none(&j.spki));
	assert_in_range(j.took_ms, 300, 5000);
	probe_job_release(&j);
	SSL_CTX_free(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forced_version),
		cmocka_unit_test(version_that_the_server_cannot_name),
		cmocka_unit_test(tentative_looks_once),
		cmocka_unit_test(closed_is_only_believed_twice),
		cmocka_unit_test(accident_does_not_hide_a_key),
		cmocka_unit_test(chain_on_the_wire),
		cmocka_unit_test(dialogue_is_kept),
		cmocka_unit_test(dialogue_kept_is_bounded),
		cmocka_unit_test(second_look_is_in_the_dialogue),
		cmocka_unit_test(replies_that_refuse),
		cmocka_unit_test(details_are_told_and_forgotten),
	};

	/* The scripted servers write through OpenSSL's socket BIO. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
