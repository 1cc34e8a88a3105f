/*
 * What vendors' APIs want signed, hashed or encoded, through OpenSSL's EVP; no
 * X509, no PEM_* (those are at home in hook/tls), keys come through
 * OSSL_DECODER. Invariants: nothing here is printed or kept; whatever was
 * derived from a secret is wiped before it is freed; a key that wants a
 * passphrase never makes OpenSSL ask at the terminal.
 * RFC 8017 8.2 (PKCS#1 v1.5), RFC 6238 and 4226 (TOTP), RFC 4648 (base32,
 * base64).
 */
#include "providers/sign.h"

#include "hook/base/auto.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#define DIGIT_S 30
#define TOTP_KEY_MAX 256

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

/* No passphrase, and no question either. */
static int no_passphrase(char *pass, size_t size, size_t *ret_len,
	const OSSL_PARAM params[], void *arg)
{
	(void)pass;
	(void)size;
	(void)ret_len;
	(void)params;
	(void)arg;
	return 0;
}

static enum status read_rsa(
	const struct secret *pem, EVP_PKEY **ret, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	OSSL_DECODER_CTX *dc = OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL,
		"RSA", OSSL_KEYMGMT_SELECT_KEYPAIR, NULL, NULL);
	const unsigned char *at = (const unsigned char *)pem->data;
	size_t left = pem->len;

	if (!dc)
		return no_memory(err);
	bool good =
		OSSL_DECODER_CTX_set_passphrase_cb(dc, no_passphrase, NULL) &&
		left && OSSL_DECODER_from_data(dc, &at, &left) && pkey;
	OSSL_DECODER_CTX_free(dc);
	ERR_clear_error();
	if (!good) {
		EVP_PKEY_free(pkey);
		return err_set(err, ST_CONFIG,
			"this is not an RSA private key in PEM without a "
			"passphrase (it must begin with -----BEGIN PRIVATE "
			"KEY----- or -----BEGIN RSA PRIVATE KEY-----)");
	}
	*ret = pkey;
	return ST_OK;
}

enum status sign_rsa(const struct secret *pem, const char *digest,
	const void *data, size_t len, struct buf *ret, struct err *err)
{
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *pc = NULL; /* borrowed from md */
	size_t n = 0;
	enum status st = read_rsa(pem, &pkey, err);

	if (st)
		return st;
	auto_mem unsigned char *sig = malloc((size_t)EVP_PKEY_get_size(pkey));
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	if (sig)
		n = (size_t)EVP_PKEY_get_size(pkey);
	if (!sig || !md)
		st = no_memory(err);
	else if (EVP_DigestSignInit_ex(
			 md, &pc, digest, NULL, NULL, pkey, NULL) != 1 ||
		 EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PADDING) != 1 ||
		 EVP_DigestSign(md, sig, &n, data, len) != 1)
		st = err_set(err, ST_CONFIG,
			"this RSA key of %d bits cannot sign with %s",
			EVP_PKEY_get_bits(pkey), digest);
	ERR_clear_error();
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(pkey);
	return st ? st : buf_append(ret, sig, n, err);
}

static enum status append_hex(
	const unsigned char *d, size_t n, struct buf *ret, struct err *err)
{
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[d[i] >> 4];
		hex[2 * i + 1] = digits[d[i] & 15];
	}
	enum status st = buf_append(ret, hex, 2 * n, err);
	explicit_bzero(hex, sizeof(hex));
	return st;
}

enum status sign_digest_hex(const char *digest, const void *data, size_t len,
	struct buf *ret, struct err *err)
{
	unsigned char d[EVP_MAX_MD_SIZE];
	size_t n = 0;

	if (!EVP_Q_digest(NULL, digest, NULL, data, len, d, &n)) {
		ERR_clear_error();
		return err_set(err, ST_BUG, "there is no digest %s", digest);
	}
	enum status st = append_hex(d, n, ret, err);
	/* What is hashed holds a secret at some vendors. */
	explicit_bzero(d, sizeof(d));
	return st;
}

/* Appends nothing to err but the rule: the text is a secret. */
static enum status from_base32(const struct secret *text,
	unsigned char ret[static TOTP_KEY_MAX], size_t *ret_len,
	struct err *err)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned bits = 0, have = 0;
	size_t n = 0;
	bool end = false;

	for (size_t i = 0; i < text->len; i++) {
		char c = text->data[i];
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (strchr(" \t\r\n-", c) && c)
			continue;
		end = end || c == '=';
		const char *at = c ? strchr(alphabet, c) : NULL;
		if (c == '=')
			continue;
		if (!at || end || n == TOTP_KEY_MAX)
			return err_set(err, ST_CONFIG,
				"the TOTP secret must be base32 (A-Z, 2-7)");
		bits = (bits << 5 | (unsigned)(at - alphabet)) & 0xffff;
		have += 5;
		if (have >= 8) {
			have -= 8;
			ret[n++] = (unsigned char)(bits >> have);
		}
	}
	if (!n)
		return err_set(err, ST_CONFIG, "the TOTP secret is empty");
	*ret_len = n;
	return ST_OK;
}

enum status sign_totp(const struct secret *base32, int64_t unix_s,
	char ret[static 7], struct err *err)
{
	unsigned char key[TOTP_KEY_MAX], mac[EVP_MAX_MD_SIZE], count[8];
	size_t key_len = 0, n = 0;
	uint64_t step = (uint64_t)(unix_s / DIGIT_S);
	enum status st = from_base32(base32, key, &key_len, err);

	for (int i = 7; i >= 0; i--, step >>= 8)
		count[i] = (unsigned char)(step & 0xff);
	if (!st && (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, key, key_len,
			    count, sizeof(count), mac, sizeof(mac), &n) ||
			   n != 20)) {
		ERR_clear_error();
		st = err_set(err, ST_BUG, "cannot compute HMAC-SHA1");
	}
	if (!st) {
		const unsigned char *p = mac + (mac[19] & 15);
		uint32_t v = (uint32_t)(p[0] & 0x7f) << 24 |
			     (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
		(void)snprintf(ret, 7, "%06u", (unsigned)(v % 1000000));
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(mac, sizeof(mac));
	return st;
}

enum status sign_base64(const void *data, size_t len, bool url, struct buf *ret,
	struct err *err)
{
	const unsigned char *p = data;
	unsigned char out[65];
	enum status st = ST_OK;

	while (len && !st) {
		size_t n = len < 48 ? len : 48;
		size_t m = (size_t)EVP_EncodeBlock(out, p, (int)n);
		for (size_t i = 0; i < m && url; i++) {
			if (out[i] == '+')
				out[i] = '-';
			else if (out[i] == '/')
				out[i] = '_';
			else if (out[i] == '=')
				m = i;
		}
		st = buf_append(ret, out, m, err);
		p += n;
		len -= n;
	}
	explicit_bzero(out, sizeof(out));
	return st;
}

enum status sign_nonce(size_t n, struct buf *ret, struct err *err)
{
	unsigned char r[EVP_MAX_MD_SIZE];
	auto_buf hex = BUF_INIT(4096);
	enum status st = ST_OK;

	while (hex.len < n && !st) {
		if (RAND_bytes(r, sizeof(r)) != 1) {
			ERR_clear_error();
			return err_set(err, ST_IO, "no random numbers");
		}
		st = append_hex(r, sizeof(r), &hex, err);
	}
	return st ? st : buf_append(ret, buf_str(&hex), n, err);
}
