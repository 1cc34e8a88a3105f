/*
 * Certificates: what a leaf says, and whether a key and a chain are fit to go
 * live together. Reads PEM and X.509 only; no trust store, no network.
 *
 * Invariants: text that comes out of a certificate (names, issuer) is printable
 * ASCII without NUL; a certificate that would need more room than cert.h gives
 * is refused, never truncated, because a truncated name is another name.
 * Chains are checked as RFC 5246 7.4.2 wants them: leaf first, each signed by
 * the next, which is also what DANE-TA clients rely on (RFC 7671 5.2.2).
 */
#include "hook/tls/cert.h"
#include "hook/tls/key_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define PEM_TEXT_MAX (1024 * 1024)
#define STATUS_REQUEST 5 /* RFC 7633: the TLS feature "must staple" */

struct chain {
	X509 *x[CERT_CHAIN_MAX];
	size_t n;
};

static void chain_release(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->x[i]);
	c->n = 0;
}
#define auto_chain __attribute__((cleanup(chain_release))) struct chain

void cert_info_release(struct cert_info *c)
{
	free(c->names);
	*c = (struct cert_info){ .names = NULL };
}

/* No passphrase is ever given; a prompt would block us for ever. */
static int no_passphrase(char *b, int size, int rw, void *arg)
{
	(void)b;
	(void)size;
	(void)rw;
	(void)arg;
	return -1;
}

X509 *cert_next_(BIO *in, bool *ret_end)
{
	X509 *x;
	unsigned long e;

	ERR_clear_error();
	x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL);
	e = x == NULL ? ERR_peek_last_error() : 0;
	*ret_end = ERR_GET_LIB(e) == ERR_LIB_PEM &&
		   ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	return x;
}

/* Reads up to max certificates; more than CERT_CHAIN_MAX is refused. Blocks
 * that are no certificates (a key beside them) are skipped by OpenSSL. */
static enum status chain_read(const char *pem, size_t len, size_t max,
	struct chain *ret, struct err *err)
{
	enum status st = ST_OK;
	bool end = false;
	BIO *in;
	X509 *x;

	if (pem == NULL || len == 0)
		return err_set(err, ST_REFUSED,
			"no certificate: the PEM text is empty");
	if (len > PEM_TEXT_MAX)
		return err_set(err, ST_REFUSED,
			"PEM text of %zu bytes is too large (limit %d)", len,
			PEM_TEXT_MAX);
	in = BIO_new_mem_buf(pem, (int)len);
	if (in == NULL)
		return key_fail_(err, ST_NOMEM, "out of memory");
	while (ret->n < max) {
		x = cert_next_(in, &end);
		if (x == NULL) {
			if (!end)
				st = key_fail_(
					err, ST_REFUSED, "damaged certificate");
			break;
		}
		if (ret->n == CERT_CHAIN_MAX) {
			X509_free(x);
			st = err_set(err, ST_REFUSED,
				"more than %d certificates in one chain",
				CERT_CHAIN_MAX);
			break;
		}
		ret->x[ret->n++] = x;
	}
	ERR_clear_error();
	BIO_free(in);
	if (st == ST_OK && ret->n == 0)
		st = err_set(err, ST_REFUSED, "no certificate in PEM text");
	return st;
}

static bool read_time(const ASN1_TIME *t, int64_t *ret)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ret = (int64_t)timegm(&tm);
	return true;
}

/* The names come from a CA, and end up in logs and DNS: printable, lower case,
 * nothing that ends a C string early. */
static enum status add_name(
	struct cert_info *c, const ASN1_STRING *s, struct err *err)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);
	int len = ASN1_STRING_length(s);
	char *to = c->names[c->n_names];

	if (len <= 0 || len >= CERT_NAME_MAX)
		return err_set(err, ST_REFUSED,
			"certificate has a DNS name of %d octets", len);
	for (int i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return err_set(err, ST_REFUSED,
				"certificate has a DNS name with octet 0x%02x",
				p[i]);
		to[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32)
						   : (char)p[i];
	}
	to[len] = '\0';
	c->n_names++;
	return ST_OK;
}

static enum status read_san(
	struct cert_info *c, const GENERAL_NAMES *san, struct err *err)
{
	enum status st;
	int n = sk_GENERAL_NAME_num(san);

	for (int i = 0; i < n; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

		if (g->type != GEN_DNS) {
			c->n_other_names++;
			continue;
		}
		if (c->n_names == CERT_NAMES_MAX)
			return err_set(err, ST_REFUSED,
				"certificate has more than %d names",
				CERT_NAMES_MAX);
		st = add_name(c, g->d.dNSName, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* A CN that is no host name ("My mail server") is no name, and no fault. */
static enum status read_cn(struct cert_info *c, const X509 *x)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	struct err ignored = ERR_INIT;

	if (at >= 0)
		(void)add_name(c,
			X509_NAME_ENTRY_get_data(
				X509_NAME_get_entry(subject, at)),
			&ignored);
	return ST_OK;
}

static enum status read_names(
	struct cert_info *c, const X509 *x, struct err *err)
{
	GENERAL_NAMES *san =
		X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = san != NULL ? sk_GENERAL_NAME_num(san) : 0;
	enum status st = ST_OK;

	if (n > CERT_NAMES_MAX)
		n = CERT_NAMES_MAX;
	c->names = calloc((size_t)n + 1, sizeof(*c->names));
	if (c->names == NULL)
		st = err_set(err, ST_NOMEM, "out of memory");
	if (st == ST_OK && san != NULL)
		st = read_san(c, san, err);
	GENERAL_NAMES_free(san);
	/* RFC 6125 6.4.4: the CN counts only when no dNSName is there. */
	if (st == ST_OK && c->n_names == 0)
		st = read_cn(c, x);
	return st;
}

static enum status read_serial(
	struct cert_info *c, const X509 *x, struct err *err)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = bn != NULL ? BN_bn2hex(bn) : NULL;
	bool ok = hex != NULL && strlen(hex) < sizeof(c->serial);

	for (size_t i = 0; ok && hex[i] != '\0'; i++)
		c->serial[i] = hex[i] >= 'A' && hex[i] <= 'F'
				       ? (char)(hex[i] + 32)
				       : hex[i];
	OPENSSL_free(hex);
	BN_free(bn);
	if (!ok)
		return key_fail_(
			err, ST_REFUSED, "certificate has no sane serial");
	return ST_OK;
}

static enum status read_issuer(
	struct cert_info *c, const X509 *x, struct err *err)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n;

	/* RFC 2253 form escapes everything that is not printable ASCII. */
	if (out == NULL || X509_NAME_print_ex(out, X509_get_issuer_name(x), 0,
				   XN_FLAG_RFC2253) < 0) {
		BIO_free(out);
		return key_fail_(err, ST_REFUSED, "cannot read the issuer");
	}
	n = BIO_get_mem_data(out, &p);
	/* For people only, so the one text that may be cut. */
	(void)snprintf(c->issuer, sizeof(c->issuer), "%.*s", (int)n,
		p != NULL ? p : "");
	BIO_free(out);
	return ST_OK;
}

static bool reads_must_staple(const X509 *x)
{
	TLS_FEATURE *f = X509_get_ext_d2i(x, NID_tlsfeature, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ASN1_INTEGER_num(f); i++)
		found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(
					 f, i)) == STATUS_REQUEST;
	TLS_FEATURE_free(f);
	return found;
}

static enum status fingerprint(const X509 *x, struct spki *ret, struct err *err)
{
	unsigned n = 0;

	if (X509_digest(x, EVP_sha256(), ret->d, &n) != 1 || n != SPKI_LEN)
		return key_fail_(err, ST_REFUSED, "cannot hash certificate");
	return ST_OK;
}

static enum status read_leaf(
	struct cert_info *c, const X509 *x, struct err *err)
{
	enum status st;

	st = key_spki_of_xpub_(X509_get_X509_PUBKEY(x), &c->spki, &c->alg, err);
	if (st == ST_OK)
		st = fingerprint(x, &c->fingerprint, err);
	if (st == ST_OK &&
		(!read_time(X509_get0_notBefore(x), &c->not_before) ||
			!read_time(X509_get0_notAfter(x), &c->not_after)))
		st = key_fail_(err, ST_REFUSED, "certificate has no validity");
	if (st == ST_OK)
		st = read_names(c, x, err);
	if (st == ST_OK)
		st = read_serial(c, x, err);
	if (st == ST_OK)
		st = read_issuer(c, x, err);
	c->must_staple = reads_must_staple(x);
	ERR_clear_error();
	return st;
}

enum status cert_info_read(
	const char *pem, size_t len, struct cert_info *ret, struct err *err)
{
	auto_chain ch = { .n = 0 };
	struct cert_info c = { .names = NULL };
	enum status st;

	st = chain_read(pem, len, 1, &ch, err);
	if (st == ST_OK)
		st = read_leaf(&c, ch.x[0], err);
	if (st != ST_OK) {
		cert_info_release(&c);
		return st;
	}
	*ret = c;
	return ST_OK;
}

/* ---- fit to go live? ---- */

static void name_of(const X509 *x, char *ret, size_t len)
{
	ret[0] = '\0';
	(void)X509_NAME_get_text_by_NID(
		X509_get_subject_name(x), NID_commonName, ret, (int)len);
	for (char *p = ret; *p != '\0'; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

static enum status check_order(const struct chain *c, struct err *err)
{
	for (size_t i = 0; i + 1 < c->n; i++) {
		X509 *sub = c->x[i], *iss = c->x[i + 1];
		EVP_PKEY *pub = X509_get0_pubkey(iss);
		char a[80], b[80];

		if (X509_check_issued(iss, sub) == X509_V_OK && pub != NULL &&
			X509_verify(sub, pub) == 1)
			continue;
		ERR_clear_error();
		name_of(sub, a, sizeof(a));
		name_of(iss, b, sizeof(b));
		return err_set(err, ST_REFUSED,
			"chain is broken: certificate %zu (CN \"%s\") is not "
			"signed by certificate %zu (CN \"%s\")",
			i + 1, a, i + 2, b);
	}
	return ST_OK;
}

static enum status check_keys(const struct chain *c, const char *key_pem,
	size_t key_len, const struct spki *expect, struct err *err)
{
	auto_key key = NULL;
	enum key_alg alg;
	struct spki s;
	enum status st;

	st = key_spki_of_xpub_(X509_get_X509_PUBKEY(c->x[0]), &s, &alg, err);
	if (st != ST_OK)
		return st;
	if (!spki_eq(&s, expect))
		return err_set(err, ST_REFUSED,
			"the certificate is for another key than expected");
	st = key_from_pem(key_pem, key_len, &key, err);
	if (st != ST_OK)
		return st;
	if (!spki_eq(key_spki(key), &s))
		return err_set(err, ST_REFUSED,
			"the private key does not match the certificate");
	return key_prove(key, err);
}

static enum status check_times(
	const struct chain *c, int64_t now_s, struct err *err)
{
	int64_t from, to;

	if (!read_time(X509_get0_notBefore(c->x[0]), &from) ||
		!read_time(X509_get0_notAfter(c->x[0]), &to))
		return key_fail_(
			err, ST_REFUSED, "certificate has no validity");
	if (now_s < from)
		return err_set(err, ST_REFUSED,
			"the certificate is not valid for another %lld s; is "
			"the clock right?",
			(long long)(from - now_s));
	if (now_s >= to)
		return err_set(err, ST_REFUSED,
			"the certificate has been expired for %lld s",
			(long long)(now_s - to));
	return ST_OK;
}

enum status cert_check(const char *fullchain_pem, size_t len,
	const char *key_pem, size_t key_len, const struct spki *expect,
	int64_t now_s, struct err *err)
{
	auto_chain c = { .n = 0 };
	enum status st;

	st = chain_read(fullchain_pem, len, CERT_CHAIN_MAX + 1, &c, err);
	if (st == ST_OK)
		st = check_keys(&c, key_pem, key_len, expect, err);
	if (st == ST_OK)
		st = check_order(&c, err);
	if (st == ST_OK)
		st = check_times(&c, now_s, err);
	return st;
}

static bool same_name(const char *a, const char *b, size_t len)
{
	return strlen(a) == len && strncasecmp(a, b, len) == 0;
}

bool cert_covers(const struct cert_info *c, const char *host)
{
	size_t len = strlen(host);
	const char *dot;

	if (len > 0 && host[len - 1] == '.')
		len--;
	if (len == 0)
		return false;
	dot = memchr(host, '.', len);
	for (size_t i = 0; i < c->n_names; i++) {
		const char *name = c->names[i];

		if (same_name(name, host, len))
			return true;
		if (dot != NULL && dot != host && name[0] == '*' &&
			name[1] == '.' &&
			same_name(name + 1, dot, len - (size_t)(dot - host)))
			return true;
	}
	return false;
}

static enum status write_pem(X509 *x, struct buf *ret, struct err *err)
{
	BIO *out = BIO_new(BIO_s_mem());
	int ok;

	ERR_clear_error();
	if (out == NULL)
		return key_fail_(err, ST_NOMEM, "out of memory");
	ok = PEM_write_bio_X509(out, x);
	return key_drain_(out, ok == 1, ret, err);
}

enum status cert_split(const char *fullchain_pem, size_t len, struct buf *leaf,
	struct buf *issuers, struct err *err)
{
	auto_chain c = { .n = 0 };
	enum status st;

	st = chain_read(fullchain_pem, len, CERT_CHAIN_MAX + 1, &c, err);
	if (st == ST_OK)
		st = write_pem(c.x[0], leaf, err);
	for (size_t i = 1; st == ST_OK && i < c.n; i++)
		st = write_pem(c.x[i], issuers, err);
	return st;
}
