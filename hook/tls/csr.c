/*
 * Certificate signing requests (RFC 2986): the names as subjectAltName and
 * nothing else. No CN, because clients ignore it (RFC 6125 6.4.4) and CAs
 * drop it; must-staple as a TLS feature (RFC 7633), since a CA takes it from
 * the CSR alone.
 *
 * Names are checked before they reach an encoder: what goes into a CSR is
 * what a host name can be, with at most one leading "*.".
 */
#include "hook/tls/key_impl.h"

#include <stdint.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define HOST_NAME_LIMIT 253

static enum status check_name(const char *name, struct err *err)
{
	size_t n = strlen(name), i = 0;

	if (n >= 2 && name[0] == '*' && name[1] == '.')
		i = 2;
	if (n <= i || n > HOST_NAME_LIMIT)
		return err_set(err, ST_REFUSED,
			"\"%.64s\" cannot be a name in a certificate", name);
	for (; i < n; i++) {
		char c = name[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '-' || c == '.' ||
			    c == '_';

		if (!fine || (c == '.' && (i + 1 == n || name[i + 1] == '.')))
			return err_set(err, ST_REFUSED,
				"\"%s\" cannot be a name in a certificate",
				name);
	}
	return ST_OK;
}

static bool push_dns(GENERAL_NAMES *names, const char *name)
{
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	GENERAL_NAME *g = GENERAL_NAME_new();

	if (s == NULL || g == NULL || ASN1_STRING_set(s, name, -1) != 1) {
		ASN1_IA5STRING_free(s);
		GENERAL_NAME_free(g);
		return false;
	}
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	if (sk_GENERAL_NAME_push(names, g) <= 0) {
		GENERAL_NAME_free(g);
		return false;
	}
	return true;
}

static bool add_san(
	STACK_OF(X509_EXTENSION) * exts, const char *const names[], size_t n)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
	X509_EXTENSION *ext = NULL;
	bool ok = san != NULL;

	for (size_t i = 0; ok && i < n; i++)
		ok = push_dns(san, names[i]);
	if (ok)
		ext = X509V3_EXT_i2d(NID_subject_alt_name, 0, san);
	GENERAL_NAMES_free(san);
	if (ext == NULL)
		return false;
	if (sk_X509_EXTENSION_push(exts, ext) <= 0) {
		X509_EXTENSION_free(ext);
		return false;
	}
	return true;
}

static bool add_must_staple(STACK_OF(X509_EXTENSION) * exts)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(
		NULL, NULL, NID_tlsfeature, "status_request");

	if (ext == NULL)
		return false;
	if (sk_X509_EXTENSION_push(exts, ext) <= 0) {
		X509_EXTENSION_free(ext);
		return false;
	}
	return true;
}

static bool fill_csr(X509_REQ *req, const struct key *k,
	const char *const names[], size_t n, bool must_staple)
{
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	bool ok;

	ok = exts != NULL && X509_REQ_set_version(req, 0) == 1 &&
	     X509_REQ_set_pubkey(req, k->pkey) == 1 &&
	     add_san(exts, names, n) &&
	     (!must_staple || add_must_staple(exts)) &&
	     X509_REQ_add_extensions(req, exts) == 1 &&
	     X509_REQ_sign(req, k->pkey, key_digest_(k->pkey)) > 0;
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return ok;
}

enum status key_csr(const struct key *k, const char *const names[], size_t n,
	bool must_staple, struct buf *ret, struct err *err)
{
	X509_REQ *req;
	enum status st;
	BIO *out;
	bool ok;

	if (n == 0)
		return err_set(err, ST_REFUSED, "no names for the CSR");
	for (size_t i = 0; i < n; i++) {
		st = check_name(names[i], err);
		if (st != ST_OK)
			return st;
	}
	ERR_clear_error();
	req = X509_REQ_new();
	out = BIO_new(BIO_s_mem());
	if (req == NULL || out == NULL) {
		X509_REQ_free(req);
		BIO_free(out);
		return key_fail_(err, ST_NOMEM, "out of memory");
	}
	if (!fill_csr(req, k, names, n, must_staple)) {
		X509_REQ_free(req);
		BIO_free(out);
		return key_fail_(err, ST_REFUSED, "cannot make the CSR");
	}
	ok = PEM_write_bio_X509_REQ(out, req) == 1;
	X509_REQ_free(req);
	return key_drain_(out, ok, ret, err);
}
