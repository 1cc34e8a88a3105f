/*
 * Certificate chains as values (chain.h). Reads X.509 and PEM; no trust store,
 * no verdict, no network.
 *
 * Invariants: a certificate comes from anyone, so all text that leaves is
 * printable ASCII, cut where it would not fit, and a name that was changed or
 * cut can equal no host name; what cannot be read is zero or empty and never
 * stops the rest from being shown; the digests are over the octets that the
 * certificate carries (RFC 6698 2.1), never over something re-encoded by us.
 */
#include "hook/tls/chain_impl.h"
#include "hook/tls/cert.h"
#include "hook/tls/key_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define PEM_TEXT_MAX (1024 * 1024)

_Static_assert(sizeof(((struct cert_view *)0)->name[0]) == CERT_NAME_MAX,
	"cert_covers takes the names of a view as they are");

static void view_release(struct cert_view *v)
{
	free(v->der);
	free(v->spki_der);
	free(v->name);
	*v = (struct cert_view){ .name = NULL };
}

void cert_chain_release(struct cert_chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		view_release(&c->cert[i]);
	free(c->cert);
	*c = (struct cert_chain){ .cert = NULL };
}

/* ---- one certificate ---- */

enum key_alg chain_key_alg_(const EVP_PKEY *k)
{
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

int64_t chain_time_(const ASN1_TIME *t)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}

/* RFC 2253 form: OpenSSL escapes what is not printable ASCII. */
static void name_text(const X509_NAME *n, char *ret, size_t len)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *p = NULL;
	long got = 0;

	ret[0] = '\0';
	if (out != NULL && X509_NAME_print_ex(out, n, 0, XN_FLAG_RFC2253) >= 0)
		got = BIO_get_mem_data(out, &p);
	for (size_t i = 0; i < (size_t)got && i + 1 < len; i++) {
		ret[i] = p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?';
		ret[i + 1] = '\0';
	}
	BIO_free(out);
}

/* Lower case; an octet that no name has becomes '?'. Too long: left out. */
static void add_name(struct cert_view *v, const ASN1_STRING *s)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);
	int len = ASN1_STRING_length(s);
	char *to = v->name[v->n_names];

	if (len <= 0 || len >= CERT_NAME_MAX)
		return;
	for (int i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			to[i] = '?';
		else
			to[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32)
							   : (char)p[i];
	}
	to[len] = '\0';
	v->n_names++;
}

static enum status read_names(
	const X509 *x, struct cert_view *v, struct err *err)
{
	GENERAL_NAMES *san =
		X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = san != NULL ? sk_GENERAL_NAME_num(san) : 0;
	size_t room = (size_t)n < CHAIN_NAMES_MAX ? (size_t)n : CHAIN_NAMES_MAX;
	bool any = false;

	v->name = calloc(room + 1, sizeof(*v->name));
	if (v->name == NULL) {
		GENERAL_NAMES_free(san);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	for (int i = 0; i < n && v->n_names < room; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

		if (g->type != GEN_DNS)
			continue;
		any = true;
		add_name(v, g->d.dNSName);
	}
	GENERAL_NAMES_free(san);
	/* RFC 6125 6.4.4: the CN counts only when no dNSName is there. */
	if (!any) {
		const X509_NAME *subject = X509_get_subject_name(x);
		int at =
			X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

		if (at >= 0)
			add_name(v, X509_NAME_ENTRY_get_data(
					    X509_NAME_get_entry(subject, at)));
		/* "My mail server" is no host name. */
		if (v->n_names == 1 && strchr(v->name[0], '?') != NULL)
			v->n_names = 0;
	}
	return ST_OK;
}

/* Takes what an i2d function made. */
static enum status keep(unsigned char *der, int len, uint8_t **ret,
	size_t *ret_len, struct err *err)
{
	if (len <= 0)
		return key_fail_(err, ST_NOMEM, "cannot encode a certificate");
	*ret = malloc((size_t)len);
	if (*ret != NULL) {
		memcpy(*ret, der, (size_t)len);
		*ret_len = (size_t)len;
	}
	OPENSSL_free(der);
	return *ret != NULL ? ST_OK : err_set(err, ST_NOMEM, "out of memory");
}

static bool digest(const uint8_t *p, size_t len, const EVP_MD *md, uint8_t *ret)
{
	return EVP_Digest(p, len, ret, NULL, md, NULL) == 1;
}

static enum status view_of(X509 *x, struct cert_view *v, struct err *err)
{
	EVP_PKEY *pkey = X509_get0_pubkey(x); /* borrowed; NULL: unknown kind */
	unsigned char *der = NULL, *spki = NULL;
	int len = i2d_X509(x, &der);
	enum status st = keep(der, len, &v->der, &v->der_len, err);

	if (st != ST_OK)
		return st;
	len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki);
	st = keep(spki, len, &v->spki_der, &v->spki_der_len, err);
	if (st != ST_OK)
		return st;
	if (!digest(v->spki_der, v->spki_der_len, EVP_sha256(), v->spki.d) ||
		!digest(v->spki_der, v->spki_der_len, EVP_sha512(),
			v->spki512) ||
		!digest(v->der, v->der_len, EVP_sha256(), v->cert256) ||
		!digest(v->der, v->der_len, EVP_sha512(), v->cert512))
		return key_fail_(err, ST_NOMEM, "cannot hash a certificate");
	name_text(X509_get_subject_name(x), v->subject, sizeof(v->subject));
	name_text(X509_get_issuer_name(x), v->issuer, sizeof(v->issuer));
	v->not_before = chain_time_(X509_get0_notBefore(x));
	v->not_after = chain_time_(X509_get0_notAfter(x));
	v->self_issued = X509_NAME_cmp(X509_get_subject_name(x),
				 X509_get_issuer_name(x)) == 0;
	v->is_ca = X509_check_ca(x) > 0;
	v->alg = chain_key_alg_(pkey);
	v->key_bits = pkey != NULL ? EVP_PKEY_get_bits(pkey) : 0;
	return read_names(x, v, err);
}

/* ---- chains ---- */

enum status chain_of_stack_(
	STACK_OF(X509) * sk, struct cert_chain *ret, struct err *err)
{
	struct cert_chain c = { .n = 0 };
	int n = sk != NULL ? sk_X509_num(sk) : 0;
	enum status st = ST_OK;

	if (n > CHAIN_MAX)
		n = CHAIN_MAX;
	if (n > 0)
		c.cert = calloc((size_t)n, sizeof(*c.cert));
	if (n > 0 && c.cert == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (int i = 0; st == ST_OK && i < n; i++) {
		X509 *x = sk_X509_value(sk, i);

		c.n++;
		st = view_of(x, &c.cert[i], err);
	}
	ERR_clear_error();
	if (st != ST_OK) {
		cert_chain_release(&c);
		return st;
	}
	*ret = c;
	return ST_OK;
}

static bool issued_by(X509 *sub, X509 *iss)
{
	EVP_PKEY *pkey = X509_get0_pubkey(iss);

	return pkey != NULL && X509_check_issued(iss, sub) == X509_V_OK &&
	       X509_verify(sub, pkey) == 1;
}

/* Parsed again from the DER: whoever does not ask for signatures (hundreds of
 * probes at once) does not pay for them. */
enum status cert_chain_link(struct cert_chain *c, struct err *err)
{
	X509 *next = NULL;

	for (size_t i = c->n; i-- > 0;) {
		struct cert_view *v = &c->cert[i];
		const unsigned char *p = v->der;
		X509 *x = d2i_X509(NULL, &p, (long)v->der_len);
		EVP_PKEY *pkey = x != NULL ? X509_get0_pubkey(x) : NULL;

		if (x == NULL) {
			X509_free(next);
			return key_fail_(
				err, ST_NOMEM, "cannot read a certificate");
		}
		v->self_signed = v->self_issued && pkey != NULL &&
				 X509_verify(x, pkey) == 1;
		v->issued_by_next = next != NULL && issued_by(x, next);
		X509_free(next);
		next = x;
	}
	X509_free(next);
	ERR_clear_error();
	return ST_OK;
}

static enum status read_all(BIO *in, STACK_OF(X509) * sk, struct err *err)
{
	bool end = false;
	X509 *x;

	while ((x = cert_next_(in, &end)) != NULL) {
		if (sk_X509_num(sk) == CHAIN_MAX) {
			X509_free(x);
			return err_set(err, ST_REFUSED,
				"more than %d certificates in one chain",
				CHAIN_MAX);
		}
		if (sk_X509_push(sk, x) <= 0) {
			X509_free(x);
			return err_set(err, ST_NOMEM, "out of memory");
		}
	}
	if (!end) {
		char what[64];

		(void)snprintf(what, sizeof(what), "damaged certificate %d",
			sk_X509_num(sk) + 1);
		return key_fail_(err, ST_REFUSED, what);
	}
	ERR_clear_error();
	if (sk_X509_num(sk) == 0)
		return err_set(
			err, ST_REFUSED, "there is no certificate in it");
	return ST_OK;
}

enum status cert_chain_from_pem(
	const char *pem, size_t len, struct cert_chain *ret, struct err *err)
{
	STACK_OF(X509) * sk;
	enum status st;
	BIO *in;

	if (len > PEM_TEXT_MAX)
		return err_set(err, ST_REFUSED,
			"PEM text of %zu bytes is too large (limit %d)", len,
			PEM_TEXT_MAX);
	in = BIO_new_mem_buf(pem != NULL ? pem : "", (int)len);
	sk = sk_X509_new_null();
	if (in == NULL || sk == NULL)
		st = key_fail_(err, ST_NOMEM, "out of memory");
	else
		st = read_all(in, sk, err);
	if (st == ST_OK)
		st = chain_of_stack_(sk, ret, err);
	if (st == ST_OK) {
		st = cert_chain_link(ret, err);
		if (st != ST_OK)
			cert_chain_release(ret);
	}
	sk_X509_pop_free(sk, X509_free);
	BIO_free(in);
	return st;
}

/* ---- questions ---- */

bool cert_view_matches(const struct cert_view *c, uint8_t selector,
	uint8_t mtype, const uint8_t *data, size_t len)
{
	const uint8_t *is = NULL;
	size_t is_len = 0;

	if (selector > 1)
		return false;
	if (mtype == 0) {
		is = selector == 0 ? c->der : c->spki_der;
		is_len = selector == 0 ? c->der_len : c->spki_der_len;
	} else if (mtype == 1) {
		is = selector == 0 ? c->cert256 : c->spki.d;
		is_len = sizeof(c->cert256);
	} else if (mtype == 2) {
		is = selector == 0 ? c->cert512 : c->spki512;
		is_len = sizeof(c->cert512);
	}
	return is != NULL && is_len == len && memcmp(is, data, len) == 0;
}

bool cert_view_covers(const struct cert_view *c, const char *host)
{
	const struct cert_info ci = { .names = c->name, .n_names = c->n_names };

	return cert_covers(&ci, host);
}
