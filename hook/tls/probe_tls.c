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

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

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
_Static_assert(sizeof(forced) / sizeof(forced[0]) == PROBE_ECDSA + 1,
	"one row per enum probe_alg");

void probe_tls_release(struct probe_tls *t)
{
	for (size_t i = 0; i < sizeof(t->ctx) / sizeof(t->ctx[0]); i++) {
		SSL_CTX_free(t->ctx[i]);
		t->ctx[i] = NULL;
	}
}

static enum status ssl_err(struct err *err, const char *what)
{
	char text[160];

	(void)probe_tls_failure(text, sizeof(text));
	return err_set(err, ST_BUG, "probe: %s: %s", what, text);
}

static enum status context(
	struct probe_tls *t, enum probe_alg alg, SSL_CTX **ret, struct err *err)
{
	SSL_CTX *c;

	if (t->ctx[alg] != NULL) {
		*ret = t->ctx[alg];
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
	if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(c, 0) != 1 ||
		SSL_CTX_set_cipher_list(c, forced[alg].ciphers) != 1 ||
		(forced[alg].sigalgs != NULL &&
			SSL_CTX_set1_sigalgs_list(c, forced[alg].sigalgs) !=
				1) ||
		SSL_CTX_dane_enable(c) <= 0) {
		SSL_CTX_free(c);
		return ssl_err(err, "cannot set up TLS");
	}
	*ret = t->ctx[alg] = c;
	return ST_OK;
}

/* Usages 0 and 1 need a trust store, which mail senders do not have (RFC 7672
 * 3.1.3): unusable, like everything that OpenSSL refuses with 0. */
static enum status add_records(
	SSL *ssl, const struct probe_job *job, struct err *err)
{
	if (job->n_tlsa == 0)
		return ST_OK;
	if (SSL_dane_enable(ssl, job->host) <= 0)
		return ssl_err(err, "cannot enable DANE");
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < job->n_tlsa; i++) {
		const struct probe_tlsa *r = &job->tlsa[i];

		if (r->usage != 2 && r->usage != 3)
			continue;
		if (SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->mtype,
			    r->data, r->len) < 0)
			return ssl_err(err, "cannot add a TLSA record");
	}
	ERR_clear_error();
	return ST_OK;
}

static enum status prepare(
	SSL *ssl, const struct probe_job *job, struct err *err)
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

enum status probe_tls_new(struct probe_tls *t, const struct probe_job *job,
	enum probe_alg alg, SSL **ret, struct err *err)
{
	SSL_CTX *ctx = NULL;
	enum status st = context(t, alg, &ctx, err);
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

static enum key_alg leaf_alg(X509 *leaf)
{
	EVP_PKEY *k = X509_get0_pubkey(leaf); /* borrowed; NULL when unknown */
	char group[32];
	size_t len = 0;

	if (k == NULL)
		return KEY_OTHER;
	if (EVP_PKEY_is_a(k, "RSA")) {
		int bits = EVP_PKEY_get_bits(k);

		return bits == 2048   ? KEY_RSA_2048
		       : bits == 3072 ? KEY_RSA_3072
		       : bits == 4096 ? KEY_RSA_4096
				      : KEY_OTHER;
	}
	if (EVP_PKEY_is_a(k, "EC") &&
		EVP_PKEY_get_group_name(k, group, sizeof(group), &len) == 1) {
		if (strcmp(group, "prime256v1") == 0)
			return KEY_ECDSA_P256;
		if (strcmp(group, "secp384r1") == 0)
			return KEY_ECDSA_P384;
	}
	return KEY_OTHER;
}

static int64_t leaf_not_after(X509 *leaf)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}

static void judge_dane(SSL *ssl, struct probe_job *job)
{
	uint8_t usage = 0, selector = 0, mtype = 0;
	long v = SSL_get_verify_result(ssl);
	int depth = SSL_get0_dane_authority(ssl, NULL, NULL);
	size_t used;

	/* Without one usable record OpenSSL does an ordinary verification,
	 * whose success (never with an empty store) would mean nothing. */
	job->dane_ok = v == X509_V_OK && depth >= 0;
	used = strlen(job->why);
	if (job->dane_ok) {
		(void)SSL_get0_dane_tlsa(
			ssl, &usage, &selector, &mtype, NULL, NULL);
		(void)snprintf(job->why + used, sizeof(job->why) - used,
			", matches %d %d %d at depth %d", usage, selector,
			mtype, depth);
	} else {
		(void)snprintf(job->why + used, sizeof(job->why) - used,
			", no TLSA record matches: %s",
			X509_verify_cert_error_string(v));
	}
}

bool probe_tls_judge(SSL *ssl, struct probe_job *job)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);

	if (leaf == NULL || !leaf_spki(leaf, &job->spki)) {
		(void)snprintf(job->why, sizeof(job->why),
			"TLS works, but there is no readable certificate");
		return false;
	}
	job->key_alg = leaf_alg(leaf);
	job->not_after = leaf_not_after(leaf);
	(void)snprintf(job->why, sizeof(job->why), "%s %s",
		SSL_get_version(ssl), SSL_get_cipher_name(ssl));
	if (job->n_tlsa > 0)
		judge_dane(ssl, job);
	return true;
}

bool probe_tls_failure(char *text, size_t len)
{
	/* The earliest entry is the cause, later ones are its wrapping. */
	unsigned long e = ERR_peek_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
	bool no_cert = false;

	if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_SSL) {
		int r = ERR_GET_REASON(e);

		no_cert = r == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE ||
			  r == SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY ||
			  r == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
			  r == SSL_R_NO_SHARED_CIPHER ||
			  r == SSL_R_WRONG_SIGNATURE_TYPE ||
			  r == SSL_R_WRONG_CERTIFICATE_TYPE;
		if (r == SSL_R_UNSUPPORTED_PROTOCOL ||
			r == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
			reason = "no protocol in common (it must speak TLS 1.2 "
				 "or newer)";
	}
	(void)snprintf(
		text, len, "%s", reason != NULL ? reason : "unknown error");
	ERR_clear_error();
	return no_cert;
}
