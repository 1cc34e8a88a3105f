/*
 * For the tests of the probe: servers in threads on loopback that play a
 * script, one thread for each connection, and keys and certificates for them.
 */
#ifndef DANELAW_TESTS_PROBE_FIXTURE_H
#define DANELAW_TESTS_PROBE_FIXTURE_H

#include "hook/tls/probe.h"

#include "hook/base/clock.h"

#include "slow.h"

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

/* SEND_N: the first octet of text is the number of those behind it. */
enum act { END, SEND, SEND_N, EXPECT, UNTIL, TLS, STALL, DRIP, FLOOD };

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

__attribute__((unused)) static const struct step smtp[] = { SMTP_HELLO,
	{ EXPECT, "STARTTLS" }, { SEND, "220 go\r\n" }, { TLS, NULL },
	{ END, NULL } };
__attribute__((unused)) static const struct step implicit[] = { { TLS, NULL },
	{ END, NULL } };

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

/* Reads until text has come: for what does not end a line. */
static bool until(int fd, const char *text)
{
	char in[2048];
	size_t n = 0, len = strlen(text);

	while (n < sizeof(in) && recv(fd, in + n, 1, 0) == 1) {
		n++;
		if (n >= len && memcmp(in + n - len, text, len) == 0)
			return true;
	}
	return false;
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
		case SEND_N:
			write_all(a.fd, s->text + 1, (unsigned char)s->text[0]);
			break;
		case UNTIL:
			go = until(a.fd, s->text);
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

__attribute__((unused)) static int make_all(void **state)
{
	(void)state;
	(void)alarm(slow(120)); /* a probe that hangs is a failure, not a wait */
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

__attribute__((unused)) static int free_all(void **state)
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

__attribute__((unused)) static SSL_CTX *tls_server(
	X509 *ec, X509 *rsa, X509 *chain)
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

__attribute__((unused)) static void spki_of(
	EVP_PKEY *k, const EVP_MD *md, uint8_t *ret)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(k, &der);

	assert_true(n > 0);
	assert_int_equal(EVP_Digest(der, (size_t)n, ret, NULL, md, NULL), 1);
	OPENSSL_free(der);
}

__attribute__((unused)) static void is_key(
	const struct probe_job *j, EVP_PKEY *k)
{
	uint8_t d[32];

	spki_of(k, EVP_sha256(), d);
	assert_memory_equal(j->spki.d, d, 32);
}

/* ---- one job ---- */

__attribute__((unused)) static struct probe_job job_for(
	const struct server *sv, enum probe_proto proto, enum probe_alg alg)
{
	struct probe_job j = { .host = HOST,
		.addr_len = sizeof(sv->addr),
		.proto = proto,
		.alg = alg };

	memcpy(&j.addr, &sv->addr, sizeof(sv->addr));
	return j;
}

__attribute__((unused)) static void run(
	struct probe_job *j, size_t n, const struct probe_limits *lim)
{
	struct err err = ERR_INIT;

	assert_int_equal(probe_run(j, n, lim, &err), ST_OK);
	assert_string_equal(err.text, "");
}

__attribute__((unused)) static void want_(
	const struct probe_job *j, enum probe_result r, const char *why, int at)
{
	if (j->result != r || strstr(j->why, why) == NULL)
		fail_msg("line %d: wanted %s (%s), got %s (%s)", at,
			probe_result_name(r), why, probe_result_name(j->result),
			j->why);
}
#define want(j, r, why) want_(j, r, why, __LINE__)

/* Probes a server with this script; the server is gone afterwards. */
__attribute__((unused)) static struct probe_job probe_script(
	const struct step *script, SSL_CTX *tls, enum probe_proto proto,
	enum probe_alg alg, int64_t total_ms)
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

#endif
