/*
 * The probe against servers in threads on loopback: what it sees, what DANE
 * says of it, and that nothing a server does can hang or fool it. A server
 * plays a script, one thread for each connection.
 */
#include "hook/tls/probe.h"

#include "hook/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST "mx1.example.test"

enum act { END, SEND, EXPECT, TLS, STALL, DRIP, FLOOD };

struct step {
	enum act act;
	const char *text;
};

struct server {
	int fd;
	struct sockaddr_in addr;
	const struct step *script;
	SSL_CTX *tls;
	pthread_t thread, conn[256];
	atomic_int n_conn, open, peak;
};

static EVP_PKEY *ec_key, *rsa_key, *ca_key;
static X509 *ec_cert, *rsa_cert, *ca_cert, *old_cert, *issued_cert;

#define SMTP_HELLO                                                 \
	{ SEND, "220-two\r\n220 lines\r\n" }, { EXPECT, "EHLO " }, \
	{                                                          \
		SEND, "250-mx\r\n250-SIZE 1\r\n250 STARTTLS\r\n"   \
	}

static const struct step smtp[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
	{ SEND, "220 go\r\n" }, { TLS, NULL }, { END, NULL } };
static const struct step implicit[] = { { TLS, NULL }, { END, NULL } };

/* ---- servers ---- */

static void write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

static bool expect(int fd, const char *word)
{
	char line[512];
	size_t n = 0;

	while (n + 1 < sizeof(line) && recv(fd, line + n, 1, 0) == 1) {
		if (line[n++] == '\n')
			break;
	}
	line[n] = '\0';
	return strncmp(line, word, strlen(word)) == 0;
}

static void until_closed(int fd)
{
	char b[4096];

	while (recv(fd, b, sizeof(b), 0) > 0)
		;
}

static void serve_tls(int fd, SSL_CTX *ctx)
{
	SSL *s = SSL_new(ctx);
	char b[16];

	SSL_set_fd(s, fd);
	if (SSL_accept(s) == 1) {
		(void)SSL_read(s, b, sizeof(b));
		(void)SSL_shutdown(s);
	}
	SSL_free(s);
}

/* One octet at a time, until the peer has had enough. */
static void drip(int fd)
{
	while (send(fd, "2", 1, MSG_NOSIGNAL) == 1) {
		const struct timespec t = { .tv_nsec = 20000000 };

		(void)nanosleep(&t, NULL);
	}
}

struct accepted {
	struct server *sv;
	int fd;
};

static void *serve_one(void *arg)
{
	struct accepted a = *(struct accepted *)arg;
	const struct step *s = a.sv->script;
	bool go = true;

	free(arg);
	for (; go && s->act != END; s++) {
		switch (s->act) {
		case SEND:
			write_all(a.fd, s->text, strlen(s->text));
			break;
		case EXPECT:
			go = expect(a.fd, s->text);
			break;
		case TLS:
			serve_tls(a.fd, a.sv->tls);
			break;
		case STALL:
			until_closed(a.fd);
			break;
		case DRIP:
			drip(a.fd);
			break;
		case FLOOD:
			while (send(a.fd, s->text, strlen(s->text),
				       MSG_NOSIGNAL) > 0)
				;
			break;
		case END:
			break;
		}
	}
	atomic_fetch_sub(&a.sv->open, 1);
	(void)close(a.fd);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *sv = arg;

	for (;;) {
		struct accepted *a;
		int now, fd = accept(sv->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		if (atomic_load(&sv->n_conn) >= 256) {
			(void)close(fd);
			continue;
		}
		now = atomic_fetch_add(&sv->open, 1) + 1;
		if (now > atomic_load(&sv->peak))
			atomic_store(&sv->peak, now);
		a = malloc(sizeof(*a));
		*a = (struct accepted){ .sv = sv, .fd = fd };
		(void)pthread_create(&sv->conn[atomic_load(&sv->n_conn)], NULL,
			serve_one, a);
		atomic_fetch_add(&sv->n_conn, 1);
	}
}

static void server_start(
	struct server *sv, const struct step *script, SSL_CTX *tls)
{
	socklen_t len = sizeof(sv->addr);

	memset(sv, 0, sizeof(*sv));
	sv->script = script;
	sv->tls = tls;
	sv->addr.sin_family = AF_INET;
	sv->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sv->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(sv->fd >= 0);
	assert_int_equal(
		bind(sv->fd, (struct sockaddr *)&sv->addr, sizeof(sv->addr)),
		0);
	assert_int_equal(listen(sv->fd, 256), 0);
	assert_int_equal(
		getsockname(sv->fd, (struct sockaddr *)&sv->addr, &len), 0);
	assert_int_equal(pthread_create(&sv->thread, NULL, serve, sv), 0);
}

static void server_stop(struct server *sv)
{
	(void)shutdown(sv->fd, SHUT_RDWR);
	(void)pthread_join(sv->thread, NULL);
	for (int i = 0; i < atomic_load(&sv->n_conn); i++)
		(void)pthread_join(sv->conn[i], NULL);
	(void)close(sv->fd);
}

/* ---- keys and certificates ---- */

static X509 *make_cert(EVP_PKEY *key, const char *name, X509 *issuer,
	EVP_PKEY *issuer_key, long days)
{
	X509 *x = X509_new();
	X509_NAME *n;
	X509V3_CTX ctx;
	char san[128];
	X509_EXTENSION *e;
	bool ca = issuer == NULL && key == issuer_key && days > 1000;

	assert_non_null(x);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), -30L * 86400);
	X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
	X509_set_pubkey(x, key);
	n = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(
		n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(
		x, issuer != NULL ? X509_get_subject_name(issuer) : n);
	X509V3_set_ctx(&ctx, issuer != NULL ? issuer : x, x, NULL, NULL, 0);
	(void)snprintf(san, sizeof(san), "DNS:%s", name);
	e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, san);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	if (ca) {
		e = X509V3_EXT_conf_nid(
			NULL, &ctx, NID_basic_constraints, "critical,CA:TRUE");
		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	return x;
}

static int make_all(void **state)
{
	(void)state;
	(void)alarm(120); /* a probe that hangs is a failure, not a wait */
	ec_key = EVP_EC_gen("P-256");
	rsa_key = EVP_RSA_gen(2048);
	ca_key = EVP_EC_gen("P-384");
	ec_cert = make_cert(ec_key, HOST, NULL, ec_key, 90);
	rsa_cert = make_cert(rsa_key, HOST, NULL, rsa_key, 90);
	old_cert = make_cert(ec_key, HOST, NULL, ec_key, -5);
	ca_cert = make_cert(ca_key, "Test CA", NULL, ca_key, 3650);
	issued_cert = make_cert(ec_key, HOST, ca_cert, ca_key, 90);
	return 0;
}

static int free_all(void **state)
{
	(void)state;
	X509_free(ec_cert);
	X509_free(rsa_cert);
	X509_free(old_cert);
	X509_free(ca_cert);
	X509_free(issued_cert);
	EVP_PKEY_free(ec_key);
	EVP_PKEY_free(rsa_key);
	EVP_PKEY_free(ca_key);
	return 0;
}

static SSL_CTX *tls_server(X509 *ec, X509 *rsa, X509 *chain)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	assert_non_null(c);
	SSL_CTX_set_security_level(c, 0);
	if (ec != NULL) {
		assert_int_equal(SSL_CTX_use_certificate(c, ec), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(c, ec_key), 1);
	}
	if (chain != NULL)
		SSL_CTX_add1_chain_cert(c, chain);
	if (rsa != NULL) {
		assert_int_equal(SSL_CTX_use_certificate(c, rsa), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(c, rsa_key), 1);
	}
	return c;
}

static void spki_of(EVP_PKEY *k, const EVP_MD *md, uint8_t *ret)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(k, &der);

	assert_true(n > 0);
	assert_int_equal(EVP_Digest(der, (size_t)n, ret, NULL, md, NULL), 1);
	OPENSSL_free(der);
}

static void is_key(const struct probe_job *j, EVP_PKEY *k)
{
	uint8_t d[32];

	spki_of(k, EVP_sha256(), d);
	assert_memory_equal(j->spki.d, d, 32);
}

/* ---- one job ---- */

static struct probe_job job_for(
	const struct server *sv, enum probe_proto proto, enum probe_alg alg)
{
	struct probe_job j = { .host = HOST,
		.addr_len = sizeof(sv->addr),
		.proto = proto,
		.alg = alg };

	memcpy(&j.addr, &sv->addr, sizeof(sv->addr));
	return j;
}

static void run(struct probe_job *j, size_t n, const struct probe_limits *lim)
{
	struct err err = ERR_INIT;

	assert_int_equal(probe_run(j, n, lim, &err), ST_OK);
	assert_string_equal(err.text, "");
}

static void want_(
	const struct probe_job *j, enum probe_result r, const char *why, int at)
{
	if (j->result != r || strstr(j->why, why) == NULL)
		fail_msg("line %d: wanted %s (%s), got %s (%s)", at,
			probe_result_name(r), why, probe_result_name(j->result),
			j->why);
}
#define want(j, r, why) want_(j, r, why, __LINE__)

/* Probes a server with this script; the server is gone afterwards. */
static struct probe_job probe_script(const struct step *script, SSL_CTX *tls,
	enum probe_proto proto, enum probe_alg alg, int64_t total_ms)
{
	const struct probe_limits lim = { .total_ms = total_ms };
	struct server sv;
	struct probe_job j;

	server_start(&sv, script, tls);
	j = job_for(&sv, proto, alg);
	run(&j, 1, &lim);
	server_stop(&sv);
	return j;
}

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
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	struct probe_job j;

	(void)state;
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

/* ---- DANE ---- */

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

/* ---- hostile, broken, absent ---- */

static void no_starttls_and_refusals(void **state)
{
	static const struct step none[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { SEND, "250-mx\r\n250 SIZE\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step later[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "454 not now\r\n" }, { STALL, NULL }, { END, NULL } };
	static const struct step away[] = { { SEND, "554 no\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step inject[] = { SMTP_HELLO,
		{ EXPECT, "STARTTLS" }, { SEND, "220 go\r\n250 extra\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step closes[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { END, NULL } };
	static const struct step mute[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "220 go\r\n" }, { END, NULL } };
	static const struct step noise[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "220 go\r\n" }, { EXPECT, "" },
		{ FLOOD, "220 and go on\r\n" }, { END, NULL } };
	struct probe_job j;

	(void)state;
	j = probe_script(none, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_NO_STARTTLS, "not offered");
	j = probe_script(later, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_NO_STARTTLS, "454 not now");
	j = probe_script(away, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_PROTOCOL, "554 no");
	j = probe_script(inject, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_PROTOCOL, "injection");
	j = probe_script(closes, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_PROTOCOL, "closed the connection before TLS");
	j = probe_script(mute, NULL, PROTO_SMTP, PROBE_RSA, 5000);
	want(&j, PROBE_HANDSHAKE, "");
	j = probe_script(noise, NULL, PROTO_SMTP, PROBE_RSA, 5000);
	want(&j, PROBE_HANDSHAKE, "");
}

static void cannot_be_hung_or_flooded(void **state)
{
	static const struct step silent[] = { { STALL, NULL }, { END, NULL } };
	static const struct step drips[] = { { DRIP, NULL }, { END, NULL } };
	static const struct step banner[] = { { FLOOD, "220-more\r\n" },
		{ END, NULL } };
	static const struct step line[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { FLOOD, "250-aaaaaaaaaaaaaaaaaaaaaaaa" },
		{ END, NULL } };
	static const struct step half[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "220 go\r\n" }, { STALL, NULL }, { END, NULL } };
	int64_t start = clock_mono_ms();
	struct probe_job j;

	(void)state;
	j = probe_script(silent, NULL, PROTO_SMTP, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "greeting after 300 ms");
	j = probe_script(drips, NULL, PROTO_SMTP, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "greeting after 300 ms");
	j = probe_script(drips, NULL, PROTO_TLS, PROBE_ANY, 300);
	want(&j, PROBE_HANDSHAKE, "");
	j = probe_script(half, NULL, PROTO_SMTP, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "handshake");
	j = probe_script(silent, NULL, PROTO_TLS, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "handshake");
	j = probe_script(banner, NULL, PROTO_SMTP, PROBE_ANY, 20000);
	want(&j, PROBE_PROTOCOL, "more than 65536");
	j = probe_script(line, NULL, PROTO_SMTP, PROBE_ANY, 20000);
	want(&j, PROBE_PROTOCOL, "longer than 8192");
	assert_true(clock_mono_ms() - start < 15000);
}

static void nobody_there(void **state)
{
	struct server sv;
	struct probe_job j;

	(void)state;
	server_start(&sv, smtp, NULL);
	server_stop(&sv); /* its port is free now */
	j = job_for(&sv, PROTO_SMTP, PROBE_ANY);
	run(&j, 1, NULL);
	want(&j, PROBE_NO_CONNECT, "refused");
}

/* In a network namespace with no interface up there is no route at all; with
 * only loopback up, its addresses can be reached. */
static void no_route_is_untestable(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct probe_job j[2];
		struct err err = ERR_INIT;

		if (unshare(CLONE_NEWNET) != 0 &&
			unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
			_exit(77);
		memset(j, 0, sizeof(j));
		for (int i = 0; i < 2; i++)
			j[i].host = HOST;
		struct sockaddr_in *a4 = (void *)&j[0].addr;
		struct sockaddr_in6 *a6 = (void *)&j[1].addr;
		a4->sin_family = AF_INET;
		a4->sin_port = htons(25);
		a4->sin_addr.s_addr = htonl(0xc0000201);
		j[0].addr_len = sizeof(*a4);
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(25);
		(void)inet_pton(AF_INET6, "2001:db8::1", &a6->sin6_addr);
		j[1].addr_len = sizeof(*a6);
		if (probe_run(j, 2, NULL, &err) != ST_OK)
			_exit(2);
		_exit(j[0].result == PROBE_UNTESTABLE &&
					j[1].result == PROBE_UNTESTABLE
				? 0
				: 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void many_at_once(void **state)
{
	enum { N = 120 };
	const struct probe_limits lim = { .at_once = 16 };
	SSL_CTX *tls = tls_server(ec_cert, rsa_cert, NULL);
	static struct probe_job j[N];
	struct server sv;

	(void)state;
	server_start(&sv, smtp, tls);
	for (int i = 0; i < N; i++)
		j[i] = job_for(
			&sv, PROTO_SMTP, i % 2 == 0 ? PROBE_RSA : PROBE_ECDSA);
	run(j, N, &lim);
	for (int i = 0; i < N; i++) {
		want(&j[i], PROBE_SERVED, "TLS");
		is_key(&j[i], i % 2 == 0 ? rsa_key : ec_key);
	}
	server_stop(&sv);
	assert_int_equal(atomic_load(&sv.n_conn), N);
	/* the server's thread may lag behind a close of ours by a few */
	assert_in_range((uintmax_t)atomic_load(&sv.peak), 2, 24);
	SSL_CTX_free(tls);
	run(j, 0, NULL);
}

static void names(void **state)
{
	enum probe_proto p = PROTO_TLS;

	(void)state;
	for (int i = PROTO_SMTP; i <= PROTO_SIEVE; i++) {
		assert_true(probe_proto_parse(
			probe_proto_name((enum probe_proto)i), &p));
		assert_int_equal(p, i);
	}
	assert_false(probe_proto_parse("ftp", &p));
	assert_true(probe_proto_for_port(587, &p));
	assert_int_equal(p, PROTO_SMTP);
	assert_true(probe_proto_for_port(993, &p));
	assert_int_equal(p, PROTO_TLS);
	assert_true(probe_proto_for_port(4190, &p));
	assert_int_equal(p, PROTO_SIEVE);
	assert_false(probe_proto_for_port(0, &p));
	assert_false(probe_proto_for_port(2525, &p));
	for (int i = PROBE_SERVED; i <= PROBE_TIMEOUT; i++)
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
		cmocka_unit_test(dane_end_entity),
		cmocka_unit_test(dane_trust_anchor),
		cmocka_unit_test(no_starttls_and_refusals),
		cmocka_unit_test(cannot_be_hung_or_flooded),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(no_route_is_untestable),
		cmocka_unit_test(many_at_once),
	};

	/* The scripted servers write through OpenSSL's socket BIO. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
