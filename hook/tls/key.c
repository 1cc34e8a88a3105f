/*
 * Private keys and the names of keys. Owns every EVP_PKEY of the program.
 *
 * A key is named by the SHA-256 of its DER SubjectPublicKeyInfo, which is the
 * data of its 3 1 1 record (RFC 6698 2.1.3, RFC 7671 5.1). Certificates and
 * CSRs are hashed over the SPKI as they carry it, which is what a DANE client
 * hashes, never over a re-encoded key.
 *
 * Invariants: OpenSSL can never prompt here, because encrypted blocks are
 * recognised by their PEM label or header and refused before any decoding;
 * every buffer that held a private key is wiped; the digest of nothing never
 * leaves this file as a name.
 */
#include "hook/tls/key_impl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define PEM_TEXT_MAX (1024 * 1024)
#define PEM_BLOCKS_MAX 64

static const char *const alg_names[] = {
	[KEY_ECDSA_P256] = "ecdsa-p256",
	[KEY_ECDSA_P384] = "ecdsa-p384",
	[KEY_RSA_2048] = "rsa-2048",
	[KEY_RSA_3072] = "rsa-3072",
	[KEY_RSA_4096] = "rsa-4096",
	[KEY_OTHER] = "other",
};
_Static_assert(sizeof(alg_names) / sizeof(alg_names[0]) == KEY__COUNT, "names");

const char *key_alg_name(enum key_alg a)
{
	if ((unsigned)a >= KEY__COUNT)
		return "other";
	return alg_names[a];
}

bool key_alg_parse(const char *name, enum key_alg *ret)
{
	for (unsigned i = 0; i < KEY__COUNT; i++) {
		if (strcmp(name, alg_names[i]) == 0) {
			*ret = (enum key_alg)i;
			return true;
		}
	}
	return false;
}

bool key_alg_is_rsa(enum key_alg a)
{
	return a == KEY_RSA_2048 || a == KEY_RSA_3072 || a == KEY_RSA_4096;
}

bool key_alg_is_ecdsa(enum key_alg a)
{
	return a == KEY_ECDSA_P256 || a == KEY_ECDSA_P384;
}

enum status key_fail_(struct err *err, enum status st, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	if (reason == NULL)
		return err_set(err, st, "%s", what);
	return err_set(err, st, "%s: %s", what, reason);
}

static enum key_alg alg_of(const EVP_PKEY *pkey)
{
	char group[64];
	size_t len;

	if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group,
						 sizeof(group), &len) == 1) {
		/* Either of the two names, depending on where it came from. */
		if (strcmp(group, "prime256v1") == 0 ||
			strcmp(group, "P-256") == 0)
			return KEY_ECDSA_P256;
		if (strcmp(group, "secp384r1") == 0 ||
			strcmp(group, "P-384") == 0)
			return KEY_ECDSA_P384;
	}
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		switch (EVP_PKEY_get_bits(pkey)) {
		case 2048:
			return KEY_RSA_2048;
		case 3072:
			return KEY_RSA_3072;
		case 4096:
			return KEY_RSA_4096;
		default:
			break;
		}
	}
	return KEY_OTHER;
}

/* Takes der, as made by an i2d function that returned len. */
static enum status digest_der(unsigned char *der, int len, const EVP_MD *md,
	uint8_t *ret, size_t ret_len, struct err *err)
{
	uint8_t d[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int ok = 0;

	if (len > 0 && der != NULL)
		ok = EVP_Digest(der, (size_t)len, d, &n, md, NULL);
	OPENSSL_free(der);
	if (ok != 1 || n != ret_len)
		return key_fail_(
			err, ST_REFUSED, "key has no public part to hash");
	memcpy(ret, d, n);
	return ST_OK;
}

static enum status spki_of_der(
	unsigned char *der, int len, struct spki *ret, struct err *err)
{
	struct spki s;
	enum status st;

	st = digest_der(der, len, EVP_sha256(), s.d, sizeof(s.d), err);
	if (st != ST_OK)
		return st;
	if (spki_is_empty_digest(&s) || spki_is_none(&s))
		return err_set(err, ST_BUG,
			"refused the digest of nothing as the name of a key");
	*ret = s;
	return ST_OK;
}

static enum status spki_of_pkey(
	const EVP_PKEY *pkey, struct spki *ret, struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);

	return spki_of_der(der, len, ret, err);
}

/* Owns pkey, also on failure. */
static enum status wrap(EVP_PKEY *pkey, struct key **ret, struct err *err)
{
	struct key *k = calloc(1, sizeof(*k));
	enum status st;

	if (k == NULL) {
		EVP_PKEY_free(pkey);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	k->pkey = pkey;
	k->alg = alg_of(pkey);
	st = spki_of_pkey(pkey, &k->spki, err);
	if (st != ST_OK) {
		key_free(k);
		return st;
	}
	*ret = k;
	return ST_OK;
}

enum status key_generate(enum key_alg alg, struct key **ret, struct err *err)
{
	EVP_PKEY *pkey = NULL;

	ERR_clear_error();
	switch (alg) {
	case KEY_ECDSA_P256:
		pkey = EVP_EC_gen("P-256");
		break;
	case KEY_ECDSA_P384:
		pkey = EVP_EC_gen("P-384");
		break;
	case KEY_RSA_2048:
		pkey = EVP_RSA_gen(2048);
		break;
	case KEY_RSA_3072:
		pkey = EVP_RSA_gen(3072);
		break;
	case KEY_RSA_4096:
		pkey = EVP_RSA_gen(4096);
		break;
	case KEY_OTHER:
	case KEY__COUNT:
		return err_set(err, ST_CONFIG,
			"keys of this algorithm are not generated; choose "
			"ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or "
			"rsa-4096");
	}
	if (pkey == NULL)
		return key_fail_(err, ST_IO, "cannot generate a key");
	return wrap(pkey, ret, err);
}

/* ---- PEM, one block at a time ---- */

enum block_kind { BLK_PRIVATE, BLK_PUBLIC, BLK_CERT, BLK_CSR, BLK_OTHER };

struct block {
	enum block_kind kind;
	bool encrypted;
	char *name, *header;
	unsigned char *data;
	long len;
};

static void block_release(struct block *b)
{
	OPENSSL_free(b->name);
	OPENSSL_secure_free(b->header);
	OPENSSL_secure_clear_free(b->data, b->len > 0 ? (size_t)b->len : 0);
	*b = (struct block){ .name = NULL };
}

static enum block_kind kind_of(const char *name)
{
	static const char suffix[] = "PRIVATE KEY";
	size_t n = strlen(name), s = sizeof(suffix) - 1;

	/* "PRIVATE KEY", and the older "RSA ..." and "EC PRIVATE KEY" */
	if (n >= s && strcmp(name + n - s, suffix) == 0)
		return BLK_PRIVATE;
	if (strcmp(name, PEM_STRING_PUBLIC) == 0)
		return BLK_PUBLIC;
	if (strcmp(name, PEM_STRING_X509) == 0 ||
		strcmp(name, PEM_STRING_X509_OLD) == 0)
		return BLK_CERT;
	if (strcmp(name, PEM_STRING_X509_REQ) == 0 ||
		strcmp(name, PEM_STRING_X509_REQ_OLD) == 0)
		return BLK_CSR;
	return BLK_OTHER;
}

/* ST_NOTFOUND at the end of the text, which is no error: err is untouched. */
static enum status block_next(BIO *in, struct block *ret, struct err *err)
{
	struct block b = { .name = NULL };
	unsigned long e;

	ERR_clear_error();
	if (PEM_read_bio_ex(in, &b.name, &b.header, &b.data, &b.len,
		    PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) != 1) {
		e = ERR_peek_last_error();
		if (ERR_GET_LIB(e) == ERR_LIB_PEM &&
			ERR_GET_REASON(e) == PEM_R_NO_START_LINE) {
			ERR_clear_error();
			return ST_NOTFOUND;
		}
		return key_fail_(err, ST_REFUSED, "damaged PEM text");
	}
	b.kind = kind_of(b.name);
	b.encrypted =
		strstr(b.name, "ENCRYPTED") != NULL ||
		(b.header != NULL && strstr(b.header, "ENCRYPTED") != NULL);
	*ret = b;
	return ST_OK;
}

static enum status open_text(
	const char *pem, size_t len, BIO **ret, struct err *err)
{
	if (pem == NULL || len == 0)
		return err_set(err, ST_REFUSED, "no PEM text: it is empty");
	if (len > PEM_TEXT_MAX)
		return err_set(err, ST_REFUSED,
			"PEM text of %zu bytes is too large (limit %d)", len,
			PEM_TEXT_MAX);
	*ret = BIO_new_mem_buf(pem, (int)len);
	if (*ret == NULL)
		return key_fail_(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

static enum status refuse_encrypted(struct err *err)
{
	return err_set(err, ST_REFUSED,
		"the private key is encrypted with a passphrase: danelaw "
		"never asks for one; store the key without it (openssl pkey "
		"-in OLD -out NEW)");
}

static enum status private_of(
	const struct block *b, EVP_PKEY **ret, struct err *err)
{
	const unsigned char *p = b->data;
	EVP_PKEY *pkey;

	if (b->encrypted)
		return refuse_encrypted(err);
	pkey = d2i_AutoPrivateKey(NULL, &p, b->len);
	if (pkey == NULL)
		return key_fail_(
			err, ST_REFUSED, "cannot decode the private key");
	*ret = pkey;
	return ST_OK;
}

/* Collects the one private key; *found owns what was seen so far. */
static enum status only_private(BIO *in, EVP_PKEY **found, struct err *err)
{
	struct block b;
	enum status st;

	for (int i = 0; i < PEM_BLOCKS_MAX; i++) {
		st = block_next(in, &b, err);
		if (st == ST_NOTFOUND)
			return ST_OK;
		if (st != ST_OK)
			return st;
		if (b.kind == BLK_PRIVATE) {
			if (*found != NULL)
				st = err_set(err, ST_REFUSED,
					"more than one private key in one "
					"PEM text");
			else
				st = private_of(&b, found, err);
		}
		block_release(&b);
		if (st != ST_OK)
			return st;
	}
	return err_set(err, ST_REFUSED, "more than %d blocks in one PEM text",
		PEM_BLOCKS_MAX);
}

enum status key_from_pem(
	const char *pem, size_t len, struct key **ret, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	BIO *in = NULL;
	enum status st;

	st = open_text(pem, len, &in, err);
	if (st != ST_OK)
		return st;
	st = only_private(in, &pkey, err);
	BIO_free(in);
	if (st != ST_OK) {
		EVP_PKEY_free(pkey);
		return st;
	}
	if (pkey == NULL)
		return err_set(err, ST_REFUSED, "no private key in PEM text");
	return wrap(pkey, ret, err);
}

/* BIO_s_secmem wipes itself when freed. */
enum status key_drain_(BIO *out, bool written, struct buf *ret, struct err *err)
{
	enum status st;
	char *p = NULL;
	long n;

	if (!written) {
		st = key_fail_(err, ST_NOMEM, "cannot write PEM");
	} else {
		n = BIO_get_mem_data(out, &p);
		if (n <= 0 || p == NULL)
			st = err_set(err, ST_BUG, "nothing written as PEM");
		else
			st = buf_append(ret, p, (size_t)n, err);
	}
	BIO_free(out);
	return st;
}

enum status key_to_pem(const struct key *k, struct buf *ret, struct err *err)
{
	BIO *out = BIO_new(BIO_s_secmem());
	int ok;

	ERR_clear_error();
	if (out == NULL)
		return key_fail_(err, ST_NOMEM, "out of memory");
	ok = PEM_write_bio_PKCS8PrivateKey(
		out, k->pkey, NULL, NULL, 0, NULL, NULL);
	return key_drain_(out, ok == 1, ret, err);
}

const struct spki *key_spki(const struct key *k)
{
	return &k->spki;
}

enum status key_spki_sha512(
	const struct key *k, uint8_t ret[static 64], struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(k->pkey, &der);

	return digest_der(der, len, EVP_sha512(), ret, 64, err);
}

enum key_alg key_algorithm(const struct key *k)
{
	return k->alg;
}

void key_free(struct key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

const EVP_MD *key_digest_(const EVP_PKEY *pkey)
{
	if (EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "ED448"))
		return NULL;
	return EVP_sha256();
}

enum status key_prove(const struct key *k, struct err *err)
{
	static const unsigned char msg[] = "danelaw proof of possession";
	const EVP_MD *md = key_digest_(k->pkey);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char sig[2048];
	size_t n = sizeof(sig);
	bool ok;

	ERR_clear_error();
	ok = c != NULL && EVP_DigestSignInit(c, NULL, md, NULL, k->pkey) == 1 &&
	     EVP_DigestSign(c, sig, &n, msg, sizeof(msg)) == 1;
	EVP_MD_CTX_free(c);
	c = ok ? EVP_MD_CTX_new() : NULL;
	ok = ok && c != NULL &&
	     EVP_DigestVerifyInit(c, NULL, md, NULL, k->pkey) == 1 &&
	     EVP_DigestVerify(c, sig, n, msg, sizeof(msg)) == 1;
	EVP_MD_CTX_free(c);
	if (!ok)
		return key_fail_(err, ST_REFUSED,
			"the private key cannot sign for its own public key");
	return ST_OK;
}

/* ---- the name of the key in anything ---- */

enum status key_spki_of_xpub_(X509_PUBKEY *xpub, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	EVP_PKEY *pkey = X509_PUBKEY_get0(xpub); /* borrowed */
	unsigned char *der = NULL;
	int len;

	if (pkey == NULL)
		return key_fail_(err, ST_REFUSED, "cannot read the public key");
	len = i2d_X509_PUBKEY(xpub, &der);
	*ret_alg = alg_of(pkey);
	return spki_of_der(der, len, ret, err);
}

static enum status spki_of_cert(const struct block *b, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	const unsigned char *p = b->data;
	X509 *x = d2i_X509(NULL, &p, b->len);
	enum status st;

	if (x == NULL)
		return key_fail_(
			err, ST_REFUSED, "cannot decode the certificate");
	st = key_spki_of_xpub_(X509_get_X509_PUBKEY(x), ret, ret_alg, err);
	X509_free(x);
	return st;
}

static enum status spki_of_csr(const struct block *b, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	const unsigned char *p = b->data;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, b->len);
	enum status st;

	if (req == NULL)
		return key_fail_(err, ST_REFUSED, "cannot decode the CSR");
	st = key_spki_of_xpub_(
		X509_REQ_get_X509_PUBKEY(req), ret, ret_alg, err);
	X509_REQ_free(req);
	return st;
}

static enum status spki_of_public(const struct block *b, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	const unsigned char *p = b->data;
	X509_PUBKEY *xpub = d2i_X509_PUBKEY(NULL, &p, b->len);
	enum status st;

	if (xpub == NULL)
		return key_fail_(
			err, ST_REFUSED, "cannot decode the public key");
	st = key_spki_of_xpub_(xpub, ret, ret_alg, err);
	X509_PUBKEY_free(xpub);
	return st;
}

static enum status spki_of_private(const struct block *b, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	enum status st;

	st = private_of(b, &pkey, err);
	if (st != ST_OK)
		return st;
	*ret_alg = alg_of(pkey);
	st = spki_of_pkey(pkey, ret, err);
	EVP_PKEY_free(pkey);
	return st;
}

static enum status spki_of_block(const struct block *b, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	ERR_clear_error();
	switch (b->kind) {
	case BLK_PRIVATE:
		return spki_of_private(b, ret, ret_alg, err);
	case BLK_PUBLIC:
		return spki_of_public(b, ret, ret_alg, err);
	case BLK_CERT:
		return spki_of_cert(b, ret, ret_alg, err);
	case BLK_CSR:
		return spki_of_csr(b, ret, ret_alg, err);
	case BLK_OTHER:
		break;
	}
	return err_set(err, ST_BUG, "a PEM block of no known kind");
}

/* The first block that names a key. */
static enum status first_key_block(BIO *in, struct block *ret, struct err *err)
{
	enum status st;

	for (int i = 0; i < PEM_BLOCKS_MAX; i++) {
		st = block_next(in, ret, err);
		if (st == ST_NOTFOUND)
			return err_set(err, ST_REFUSED,
				"no certificate, CSR or key in PEM text");
		if (st != ST_OK || ret->kind != BLK_OTHER)
			return st;
		block_release(ret);
	}
	return err_set(err, ST_REFUSED, "more than %d blocks in one PEM text",
		PEM_BLOCKS_MAX);
}

enum status spki_from_pem(const char *pem, size_t len, struct spki *ret,
	enum key_alg *ret_alg, struct err *err)
{
	enum key_alg alg = KEY_OTHER;
	struct block b;
	struct spki s;
	enum status st;
	BIO *in = NULL;

	st = open_text(pem, len, &in, err);
	if (st != ST_OK)
		return st;
	st = first_key_block(in, &b, err);
	BIO_free(in);
	if (st != ST_OK)
		return st;
	st = spki_of_block(&b, &s, &alg, err);
	block_release(&b);
	if (st != ST_OK)
		return st;
	*ret = s;
	if (ret_alg != NULL)
		*ret_alg = alg;
	return ST_OK;
}
