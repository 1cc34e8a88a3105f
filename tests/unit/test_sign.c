/* Signing for vendors' APIs: the vectors of the RFCs, and signatures that
 * OpenSSL itself verifies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "providers/sign.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

/* The key as PEM: structure "PrivateKeyInfo" (PKCS#8), "type-specific" (PKCS#1)
 * or, with a selection of the public part, "SubjectPublicKeyInfo". */
static struct secret pem_of(
	EVP_PKEY *key, int selection, const char *structure, const char *pass)
{
	struct secret s = { .len = 0 };
	unsigned char *data = NULL;
	size_t len = 0;
	OSSL_ENCODER_CTX *ec = OSSL_ENCODER_CTX_new_for_pkey(
		key, selection, "PEM", structure, NULL);

	assert_non_null(ec);
	if (pass) {
		assert_int_equal(
			OSSL_ENCODER_CTX_set_cipher(ec, "AES-128-CBC", NULL),
			1);
		assert_int_equal(
			OSSL_ENCODER_CTX_set_passphrase(
				ec, (const unsigned char *)pass, strlen(pass)),
			1);
	}
	assert_int_equal(OSSL_ENCODER_to_data(ec, &data, &len), 1);
	OSSL_ENCODER_CTX_free(ec);
	s.data = calloc(1, len + 1);
	assert_non_null(s.data);
	memcpy(s.data, data, len);
	s.len = len;
	OPENSSL_free(data);
	return s;
}

static bool verifies(EVP_PKEY *key, const char *digest, const char *text,
	const struct buf *sig)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc = NULL;

	assert_int_equal(
		EVP_DigestVerifyInit_ex(md, &pc, digest, NULL, NULL, key, NULL),
		1);
	assert_int_equal(
		EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PADDING), 1);
	int ok = EVP_DigestVerify(md, (const unsigned char *)buf_str(sig),
		sig->len, (const unsigned char *)text, strlen(text));
	EVP_MD_CTX_free(md);
	return ok == 1;
}

static void test_rsa(void **state)
{
	static const char *const structure[] = { "PrivateKeyInfo",
		"type-specific" };
	static const char *const digest[] = { "SHA256", "SHA512" };
	EVP_PKEY *key = EVP_RSA_gen(2048);

	(void)state;
	assert_non_null(key);
	for (size_t i = 0; i < 2; i++) {
		auto_secret pem =
			pem_of(key, EVP_PKEY_KEYPAIR, structure[i], NULL);
		for (size_t j = 0; j < 2; j++) {
			auto_buf sig = BUF_INIT(4096);
			struct err err = ERR_INIT;
			assert_int_equal(sign_rsa(&pem, digest[j], "text", 4,
						 &sig, &err),
				ST_OK);
			assert_int_equal(sig.len, 256);
			assert_true(verifies(key, digest[j], "text", &sig));
			assert_false(verifies(key, digest[j], "texx", &sig));
			assert_false(
				verifies(key, digest[1 - j], "text", &sig));
		}
	}
	EVP_PKEY_free(key);
}

static void refused(const struct secret *pem)
{
	auto_buf sig = BUF_INIT(4096);
	struct err err = ERR_INIT;

	assert_int_equal(
		sign_rsa(pem, "SHA256", "text", 4, &sig, &err), ST_CONFIG);
	assert_int_equal(sig.len, 0);
	assert_non_null(strstr(err.text, "RSA private key"));
}

static void test_rsa_refused(void **state)
{
	char junk[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n"
		      "-----END PRIVATE KEY-----\n";
	struct secret none = { .data = junk, .len = 0 };
	struct secret bad = { .data = junk, .len = strlen(junk) };
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");

	(void)state;
	refused(&none);
	refused(&bad);
	auto_secret locked =
		pem_of(rsa, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", "secret");
	refused(&locked); /* and does not ask for the passphrase */
	auto_secret public =
		pem_of(rsa, EVP_PKEY_PUBLIC_KEY, "SubjectPublicKeyInfo", NULL);
	refused(&public);
	auto_secret other =
		pem_of(ec, EVP_PKEY_KEYPAIR, "PrivateKeyInfo", NULL);
	refused(&other);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

static void test_digest(void **state)
{
	auto_buf got = BUF_INIT(4096);
	struct err err = ERR_INIT;

	(void)state;
	/* FIPS 180 */
	assert_int_equal(sign_digest_hex("SHA1", "abc", 3, &got, &err), ST_OK);
	assert_string_equal(
		buf_str(&got), "a9993e364706816aba3e25717850c26c9cd0d89d");
	buf_clear(&got);
	assert_int_equal(sign_digest_hex("SHA256", "", 0, &got, &err), ST_OK);
	assert_string_equal(buf_str(&got), "e3b0c44298fc1c149afbf4c8996fb924"
					   "27ae41e4649b934ca495991b7852b855");
	assert_int_equal(sign_digest_hex("SHA257", "", 0, &got, &err), ST_BUG);
}

static void totp_is(const char *base32, int64_t at, const char *want)
{
	auto_secret s = { .data = strdup(base32), .len = strlen(base32) };
	char got[7] = "";
	struct err err = ERR_INIT;

	assert_int_equal(sign_totp(&s, at, got, &err), ST_OK);
	assert_string_equal(got, want);
}

static void test_totp(void **state)
{
	/* "12345678901234567890" */
	static const char key[] = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

	(void)state;
	/* RFC 6238 B, the last six digits */
	totp_is(key, 59, "287082");
	totp_is(key, 1111111109, "081804");
	totp_is(key, 1111111111, "050471");
	totp_is(key, 1234567890, "005924");
	totp_is(key, 2000000000, "279037");
	totp_is(key, 20000000000, "353130");
	/* As vendors show it to people. */
	totp_is("gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n", 59, "287082");
	totp_is("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======", 59, "287082");
}

static void test_totp_refused(void **state)
{
	static const char *const bad[] = { "", "    ", "GEZDGNB1", "GE=ZDGNB",
		"GEZD\xc3\xbc", "!" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		auto_secret s = { .data = strdup(bad[i]),
			.len = strlen(bad[i]) };
		char got[7] = "";
		struct err err = ERR_INIT;
		assert_int_equal(sign_totp(&s, 59, got, &err), ST_CONFIG);
		assert_null(strstr(err.text, "GE"));
	}
	/* Longer than any: refused, not cut. */
	auto_secret s = { .data = calloc(1, 2001), .len = 2000 };
	char got[7] = "";
	struct err err = ERR_INIT;
	memset(s.data, 'A', 2000);
	assert_int_equal(sign_totp(&s, 59, got, &err), ST_CONFIG);
}

static void base64_is(
	const void *data, size_t len, const char *plain, const char *url)
{
	auto_buf a = BUF_INIT(4096), b = BUF_INIT(4096);
	struct err err = ERR_INIT;

	assert_int_equal(sign_base64(data, len, false, &a, &err), ST_OK);
	assert_string_equal(buf_str(&a), plain);
	assert_int_equal(sign_base64(data, len, true, &b, &err), ST_OK);
	assert_string_equal(buf_str(&b), url);
}

static void test_base64(void **state)
{
	unsigned char many[301];
	char want[405] = "";

	(void)state;
	/* RFC 4648 10 */
	base64_is("", 0, "", "");
	base64_is("f", 1, "Zg==", "Zg");
	base64_is("fo", 2, "Zm8=", "Zm8");
	base64_is("foo", 3, "Zm9v", "Zm9v");
	base64_is("foob", 4, "Zm9vYg==", "Zm9vYg");
	base64_is("fooba", 5, "Zm9vYmE=", "Zm9vYmE");
	base64_is("foobar", 6, "Zm9vYmFy", "Zm9vYmFy");
	base64_is("\xff\xff\xfe\xfb\xef\xbe", 6, "///+++++", "___-----");
	/* More than one step at a time. */
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = (unsigned char)(i * 7);
	EVP_EncodeBlock((unsigned char *)want, many, (int)sizeof(many));
	auto_buf a = BUF_INIT(4096);
	struct err err = ERR_INIT;
	assert_int_equal(
		sign_base64(many, sizeof(many), false, &a, &err), ST_OK);
	assert_string_equal(buf_str(&a), want);
}

static void test_nonce(void **state)
{
	auto_buf a = BUF_INIT(4096), b = BUF_INIT(4096);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(sign_nonce(33, &a, &err), ST_OK);
	assert_int_equal(sign_nonce(33, &b, &err), ST_OK);
	assert_int_equal(a.len, 33);
	assert_int_equal(strspn(buf_str(&a), "0123456789abcdef"), 33);
	assert_string_not_equal(buf_str(&a), buf_str(&b));
	buf_clear(&a);
	assert_int_equal(sign_nonce(300, &a, &err), ST_OK);
	assert_int_equal(a.len, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_rsa_refused),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_totp),
		cmocka_unit_test(test_totp_refused),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_nonce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
