/*
 * TLS for the probe: contexts, DANE, the served leaf. OpenSSL's SSL_dane_* is
 * the matcher (RFC 7671); there is no matching code of our own.
 *
 * Invariants: the trust store is empty, so only what the server sends can
 * match (a 2 1 1 of an issuer that is not on the wire fails, as it does for
 * every sender). The handshake is never aborted by verification: what is
 * served is reported even when nothing matches. Old algorithms are allowed,
 * since nothing secret is sent and a sender's policy is not ours to apply.
 */
#include "hook/tls/probe_tls.h"
#include "hook/tls/chain_impl.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <string.h>

/* TLS 1.3 picks the certificate by signature algorithm, TLS 1.2 by cipher
 * suite too (dane.md L4). */
static const struct {
	const char *sigalgs; /* NULL: OpenSSL's own list */
	const char *ciphers;
} forced[] = {
	[PROBE_ANY] = { NULL, "ALL:!aNULL:!eNULL:!PSK:!SRP" },
	[PROBE_RSA] = { "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
			"rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:"
			"RSA+SHA512:RSA+SHA1",
		"aRSA:!eNULL:!PSK:!SRP" },
	[PROBE_ECDSA] = { "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1",
		"aECDSA:!eNULL:!PSK" },
};
/* 0: the newest that OpenSSL has. */
static const struct {
	int min, max;
} versions[] = {
	[PROBE_TLS_ANY] = { TLS1_2_VERSION, 0 },
	[PROBE_TLS12] = { TLS1_2_VERSION, TLS1_2_VERSION },
	[PROBE_TLS13] = { TLS1_3_VERSION, TLS1_3_VERSION },
};
_Static_assert(sizeof(versions) / sizeof(versions[0]) == PROBE_TLS13 + 1,
	"one row per enum probe_version");
_Static_assert(sizeof(forced) / sizeof(forced[0]) == PROBE_ECDSA + 1,
	"one row per enum probe_alg");

void probe_tls_release(struct probe_tls *t)
{
	for (size_t a = 0; a <= PROBE_ECDSA; a++) {
		for (size_t v = 0; v <= PROBE_TLS13; v++) {
			SSL_CTX_free(t->ctx[a][v]);
			t->ctx[a][v] = NULL;
		}
	}
}

static enum status ssl_err(struct err *err, const char *what)
{
	char text[160];

	(void)probe_tls_failure(text, sizeof(text));
	return err_set(err, ST_BUG, "probe: %s: %s", what, text);
}

static enum status context(struct probe_tls *t, enum probe_alg alg,
	enum probe_version version, SSL_CTX **ret, struct err *err)
{
	SSL_CTX *c = t->ctx[alg][version];

	if (c != NULL) {
		*ret = c;
		return ST_OK;
	}
	c = SSL_CTX_new(TLS_client_method());
	if (c == NULL)
		return ssl_err(err, "no TLS context");
	SSL_CTX_set_security_level(c, 0);
	(void)SSL_CTX_set_options(c, SSL_OP_NO_TICKET |
					     SSL_OP_IGNORE_UNEXPECTED_EOF |
					     SSL_OP_LEGACY_SERVER_CONNECT);
	(void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	/* The result is read afterwards; failing here would hide the key. */
	SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
	if (SSL_CTX_set_min_proto_version(c, versions[version].min) != 1 ||
		SSL_CTX_set_max_proto_version(c, versions[version].max) != 1 ||
		SSL_CTX_set_cipher_list(c, forced[alg].ciphers) != 1 ||
		(forced[alg].sigalgs != NULL &&
			SSL_CTX_set1_sigalgs_list(c, forced[alg].sigalgs) !=
				1) ||
		SSL_CTX_dane_enable(c) <= 0) {
		SSL_CTX_free(c);
		return ssl_err(err, "cannot set up TLS");
	}
	*ret = t->ctx[alg][version] = c;
	return ST_OK;
}

/* Names count for usage 2 only, and then any one of them (RFC 7672 3.2.2). */
static enum status add_names(
	SSL *ssl, const struct probe_job *job, struct err *err)
{
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; job->names != NULL && job->names[i] != NULL; i++) {
		char name[256];
		size_t len = strlen(job->names[i]);

		if (len > 0 && job->names[i][len - 1] == '.')
			len--;
		if (len == 0 || len >= sizeof(name))
			continue;
		(void)snprintf(
			name, sizeof(name), "%.*s", (int)len, job->names[i]);
		if (SSL_add1_host(ssl, name) != 1)
			return ssl_err(err, "cannot add a reference name");
	}
	return ST_OK;
}

/* Usages 0 and 1 need a trust store, which mail senders do not have (RFC 7672
 * 3.1.3): unusable, like everything that OpenSSL refuses with 0. */
static enum status add_records(SSL *ssl, struct probe_job *job, struct err *err)
{
	enum status st;

	job->n_usable = 0;
	if (job->n_tlsa == 0)
		return ST_OK;
	if (SSL_dane_enable(ssl, job->host) <= 0)
		return ssl_err(err, "cannot enable DANE");
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	st = add_names(ssl, job, err);
	for (size_t i = 0; st == ST_OK && i < job->n_tlsa; i++) {
		const struct probe_tlsa *r = &job->tlsa[i];
		int ok;

		if (r->usage != 2 && r->usage != 3)
			continue;
		ok = SSL_dane_tlsa_add(
			ssl, r->usage, r->selector, r->mtype, r->data, r->len);
		if (ok < 0)
			st = ssl_err(err, "cannot add a TLSA record");
		else if (ok > 0)
			job->n_usable++;
	}
	ERR_clear_error();
	return st;
}

static enum status prepare(SSL *ssl, struct probe_job *job, struct err *err)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	const char *sni = job->no_sni ? NULL : job->host;
	enum status st;

	if (in == NULL || out == NULL) {
		BIO_free(in);
		BIO_free(out);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	st = add_records(ssl, job, err);
	if (st != ST_OK)
		return st;
	/* SSL_dane_enable sets the SNI name as a side effect; whether it is
	 * sent is for the job to say. */
	if (SSL_set_tlsext_host_name(ssl, sni) != 1)
		return ssl_err(err, "cannot set the server name");
	return ST_OK;
}

enum status probe_tls_new(struct probe_tls *t, struct probe_job *job,
	enum probe_alg alg, enum probe_version version, SSL **ret,
	struct err *err)
{
	SSL_CTX *ctx = NULL;
	enum status st = context(t, alg, version, &ctx, err);
	SSL *ssl;

	if (st != ST_OK)
		return st;
	ssl = SSL_new(ctx);
	if (ssl == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	st = prepare(ssl, job, err);
	if (st != ST_OK) {
		SSL_free(ssl);
		return st;
	}
	*ret = ssl;
	return ST_OK;
}

static bool leaf_spki(X509 *leaf, struct spki *ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
	struct spki s;
	bool ok;

	if (n <= 0)
		return false;
	ok = EVP_Digest(der, (size_t)n, s.d, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	if (ok)
		*ret = s;
	return ok;
}

static enum probe_dane dane_of(long v)
{
	switch (v) { /* X509_V_*: plain numbers, no enum */
	case X509_V_ERR_DANE_NO_MATCH:
		return PROBE_DANE_NO_MATCH;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return PROBE_DANE_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return PROBE_DANE_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return PROBE_DANE_NOT_YET;
	default:
		return PROBE_DANE_CHAIN;
	}
}

/* Which of the job's records is the one that OpenSSL matched. */
static int index_of(const struct probe_job *job, const struct probe_tlsa *m)
{
	for (size_t i = 0; i < job->n_tlsa; i++) {
		const struct probe_tlsa *r = &job->tlsa[i];

		if (r->usage == m->usage && r->selector == m->selector &&
			r->mtype == m->mtype && r->len == m->len &&
			(m->len == 0 || memcmp(r->data, m->data, m->len) == 0))
			return (int)i;
	}
	return -1;
}

static void judge_dane(SSL *ssl, struct probe_job *job)
{
	struct probe_tlsa m = { .data = NULL };
	long v = SSL_get_verify_result(ssl);
	int depth = SSL_get0_dane_authority(ssl, NULL, NULL);
	size_t used = strlen(job->why);
	char *to = job->why + used;

	used = sizeof(job->why) - used;
	/* Without one usable record OpenSSL does an ordinary verification,
	 * whose success (never with an empty store) would mean nothing. */
	if (job->n_usable == 0) {
		(void)snprintf(to, used, ", no TLSA record is usable");
		return;
	}
	job->dane_ok = v == X509_V_OK && depth >= 0;
	if (job->dane_ok) {
		unsigned char const *data = NULL;

		(void)SSL_get0_dane_tlsa(
			ssl, &m.usage, &m.selector, &m.mtype, &data, &m.len);
		m.data = data;
		job->dane = PROBE_DANE_OK;
		job->depth = depth;
		job->matched = index_of(job, &m);
		(void)snprintf(to, used, ", matches %d %d %d at depth %d",
			m.usage, m.selector, m.mtype, depth);
		return;
	}
	/* Success without an authority cannot be; if it could, it is none. */
	job->dane = v == X509_V_OK ? PROBE_DANE_NO_MATCH : dane_of(v);
	(void)snprintf(to, used, ", no TLSA record matches: %s",
		X509_verify_cert_error_string(v));
}

enum status probe_tls_judge(
	SSL *ssl, struct probe_job *job, bool *ret_leaf, struct err *err)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);

	(void)snprintf(job->tls, sizeof(job->tls), "%s", SSL_get_version(ssl));
	(void)snprintf(job->cipher, sizeof(job->cipher), "%s",
		SSL_get_cipher_name(ssl));
	*ret_leaf = leaf != NULL && leaf_spki(leaf, &job->spki);
	if (!*ret_leaf) {
		(void)snprintf(job->why, sizeof(job->why),
			"TLS works, but there is no readable certificate");
		return ST_OK;
	}
	job->key_alg = chain_key_alg_(X509_get0_pubkey(leaf));
	job->not_before = chain_time_(X509_get0_notBefore(leaf));
	job->not_after = chain_time_(X509_get0_notAfter(leaf));
	(void)snprintf(
		job->why, sizeof(job->why), "%s %s", job->tls, job->cipher);
	if (job->n_tlsa > 0)
		judge_dane(ssl, job);
	if (!job->want_chain)
		return ST_OK;
	return chain_of_stack_(SSL_get_peer_cert_chain(ssl), &job->chain, err);
}

bool probe_tls_is_kind(SSL *ssl, enum probe_alg alg)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	EVP_PKEY *k = leaf != NULL ? X509_get0_pubkey(leaf) : NULL;

	if (k == NULL)
		return false;
	return EVP_PKEY_is_a(k, alg == PROBE_RSA ? "RSA" : "EC") == 1;
}

enum tls_failure probe_tls_failure(char *text, size_t len)
{
	/* The earliest entry is the cause, later ones are its wrapping. */
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	enum tls_failure f = TLS_FAILURE;

	if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_SSL) {
		int r = ERR_GET_REASON(e);

		if (r == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE ||
			r == SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY ||
			r == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
			r == SSL_R_NO_SHARED_CIPHER ||
			r == SSL_R_WRONG_SIGNATURE_TYPE ||
			r == SSL_R_WRONG_CERTIFICATE_TYPE)
			f = TLS_FAILURE_REFUSED;
		/* Not "wrong version number": that is no TLS at all. */
		if (r == SSL_R_UNSUPPORTED_PROTOCOL ||
			r == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION ||
			r == SSL_R_WRONG_SSL_VERSION) {
			f = TLS_FAILURE_VERSION;
			reason = "no protocol in common";
		}
	}
	(void)snprintf(
		text, len, "%s", reason != NULL ? reason : "unknown error");
	ERR_clear_error();
	return f;
}
