/* Keys and their names. The openssl command is the reference: the digest of a
 * key must be what an operator computes with it by hand. */
#include "tests/unit/tls_util.h"

#include "hook/tls/key.h"
#include "hook/tls/key_impl.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/params.h>

struct kind {
	const char *name;
	const char *genpkey; /* arguments of openssl genpkey */
	enum key_alg alg;
};

static const struct kind kinds[] = {
	{ "p256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
		KEY_ECDSA_P256 },
	{ "p384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
		KEY_ECDSA_P384 },
	{ "p521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521", KEY_OTHER },
	{ "rsa2048", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
		KEY_RSA_2048 },
	{ "rsa3072", "-algorithm RSA -pkeyopt rsa_keygen_bits:3072",
		KEY_RSA_3072 },
	{ "rsa4096", "-algorithm RSA -pkeyopt rsa_keygen_bits:4096",
		KEY_RSA_4096 },
	{ "ed25519", "-algorithm ED25519", KEY_OTHER },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void check_named(
	const char *file, const char *want, enum key_alg want_alg)
{
	struct err err = ERR_INIT;
	enum key_alg alg = KEY__COUNT;
	char hex[SPKI_HEX];
	struct spki s;
	size_t len;
	char *pem = slurp(in_dir(file), &len);

	if (spki_from_pem(pem, len, &s, &alg, &err) != ST_OK)
		fail_msg("%s: %s", file, err.text);
	assert_string_equal(spki_hex(&s, hex), want);
	assert_int_equal(alg, want_alg);
	free(pem);
}

static void check_key_file(
	const char *file, const char *want, enum key_alg want_alg)
{
	struct err err = ERR_INIT;
	struct key *k = NULL;
	char hex[SPKI_HEX];
	size_t len;
	char *pem = slurp(in_dir(file), &len);

	if (key_from_pem(pem, len, &k, &err) != ST_OK)
		fail_msg("%s: %s", file, err.text);
	assert_string_equal(spki_hex(key_spki(k), hex), want);
	assert_int_equal(key_algorithm(k), want_alg);
	assert_int_equal(key_prove(k, &err), ST_OK);
	key_free(k);
	free(pem);
}

/* Key, public key, certificate, CSR, and the older key formats: one name. */
static void golden_digests(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_KINDS; i++) {
		const struct kind *k = &kinds[i];
		char *want, *rest;

		free(sh("openssl genpkey %s -out key.pem", k->genpkey));
		sh_ok("openssl pkey -in key.pem -pubout -out pub.pem");
		sh_ok("openssl req -x509 -key key.pem -subj /CN=a.test "
		      "-out cert.pem");
		sh_ok("openssl req -new -key key.pem -subj /CN=a.test "
		      "-out csr.pem");
		/* PKCS#1 or SEC1, where there is such a form */
		sh_ok("openssl pkey -in key.pem -traditional -out old.pem || "
		      "cp key.pem old.pem");
		sh_ok("cat cert.pem key.pem >both.pem");
		want = sh("openssl pkey -in key.pem -pubout -outform DER | "
			  "sha256sum");
		rest = strchr(want, ' ');
		assert_non_null(rest);
		*rest = '\0';
		check_key_file("key.pem", want, k->alg);
		check_key_file("old.pem", want, k->alg);
		check_key_file("both.pem", want, k->alg);
		check_named("key.pem", want, k->alg);
		check_named("old.pem", want, k->alg);
		check_named("pub.pem", want, k->alg);
		check_named("cert.pem", want, k->alg);
		check_named("csr.pem", want, k->alg);
		check_named("both.pem", want, k->alg);
		free(want);
	}
}

static void golden_sha512(void **state)
{
	struct err err = ERR_INIT;
	struct key *k = NULL;
	uint8_t d[64];
	char hex[129];
	char *pem, *want;
	size_t len;

	(void)state;
	free(sh("openssl genpkey %s -out key.pem", kinds[0].genpkey));
	want = sh("openssl pkey -in key.pem -pubout -outform DER | sha512sum");
	pem = slurp(in_dir("key.pem"), &len);
	assert_int_equal(key_from_pem(pem, len, &k, &err), ST_OK);
	assert_int_equal(key_spki_sha512(k, d, &err), ST_OK);
	for (size_t i = 0; i < 64; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", d[i]);
	assert_memory_equal(hex, want, 128);
	key_free(k);
	free(pem);
	free(want);
}

/* What we generate, openssl reads, with the same name. */
static void generated(void **state)
{
	static const enum key_alg algs[] = { KEY_ECDSA_P256, KEY_ECDSA_P384,
		KEY_RSA_2048, KEY_RSA_3072 };

	(void)state;
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		auto_buf pem = BUF_INIT(TEXT_MAX);
		struct err err = ERR_INIT;
		struct key *k = NULL;
		char hex[SPKI_HEX];
		char *want;

		assert_int_equal(key_generate(algs[i], &k, &err), ST_OK);
		assert_int_equal(key_algorithm(k), algs[i]);
		assert_int_equal(key_to_pem(k, &pem, &err), ST_OK);
		assert_memory_equal(
			pem.data, "-----BEGIN PRIVATE KEY-----", 27);
		spit(in_dir("gen.pem"), pem.data, pem.len);
		want = sh("openssl pkey -in gen.pem -pubout -outform DER | "
			  "sha256sum");
		assert_memory_equal(spki_hex(key_spki(k), hex), want, 64);
		free(want);
		key_free(k);
	}
}

static void not_generated(void **state)
{
	struct err err = ERR_INIT;
	struct key *k = NULL;

	(void)state;
	assert_int_equal(key_generate(KEY_OTHER, &k, &err), ST_CONFIG);
	assert_null(k);
}

static void refused(const char *file, const char *word)
{
	struct err err = ERR_INIT;
	struct key *k = NULL;
	size_t len;
	char *pem = slurp(in_dir(file), &len);

	assert_int_equal(key_from_pem(pem, len, &k, &err), ST_REFUSED);
	assert_null(k);
	if (strstr(err.text, word) == NULL)
		fail_msg("%s: message \"%s\" lacks \"%s\"", file, err.text,
			word);
	free(pem);
}

static void bad_keys(void **state)
{
	struct err err = ERR_INIT;
	struct spki s;

	(void)state;
	free(sh("openssl genpkey %s -out k.pem", kinds[0].genpkey));
	free(sh("openssl genpkey %s -out r.pem", kinds[3].genpkey));
	sh_ok("openssl req -x509 -key k.pem -subj /CN=a.test -out c.pem");
	/* The three ways to encrypt; a prompt would block or fail here. */
	sh_ok("openssl pkcs8 -topk8 -in k.pem -passout pass:secret -out e.pem");
	sh_ok("openssl ec -in k.pem -aes128 -passout pass:secret -out et.pem");
	sh_ok("openssl rsa -in r.pem -aes128 -traditional -passout pass:secret "
	      "-out er.pem");
	refused("e.pem", "passphrase");
	refused("et.pem", "passphrase");
	refused("er.pem", "passphrase");
	sh_ok("cat k.pem r.pem >two.pem");
	refused("two.pem", "more than one");
	refused("c.pem", "no private key");
	sh_ok("head -c 120 k.pem >short.pem");
	refused("short.pem", "");
	sh_ok("sed 's/^M/N/' k.pem >damaged.pem");
	refused("damaged.pem", "");
	sh_ok(": >empty.pem");
	refused("empty.pem", "empty");
	sh_ok("echo hello >text.pem");
	refused("text.pem", "no private key");
	assert_int_equal(spki_from_pem("x", 1, &s, NULL, &err), ST_REFUSED);
	assert_int_equal(spki_from_pem("", 0, &s, NULL, &err), ST_REFUSED);
	assert_int_equal(spki_from_pem("x", 2 * 1024 * 1024, &s, NULL, &err),
		ST_REFUSED);
}

/* Never a name: the digest of nothing is refused, not returned. */
static void digest_of_nothing(void **state)
{
	static const char empty_pub[] = "-----BEGIN PUBLIC KEY-----\n"
					"-----END PUBLIC KEY-----\n";
	struct spki s = { { 1 } };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(
		spki_from_pem(empty_pub, sizeof(empty_pub) - 1, &s, NULL, &err),
		ST_REFUSED);
	assert_int_equal(s.d[0], 1);
}

/* Private part of one key, public part of another. */
static void key_proof(void **state)
{
	struct err err = ERR_INIT;
	struct key *a = NULL, *b = NULL, *mixed;
	OSSL_PARAM p[4];
	EVP_PKEY_CTX *c;
	EVP_PKEY *pkey = NULL;
	BIGNUM *priv = NULL;
	unsigned char pub[128], num[32];
	size_t len = 0;
	char group[] = "P-256";

	(void)state;
	assert_int_equal(key_generate(KEY_ECDSA_P256, &a, &err), ST_OK);
	assert_int_equal(key_generate(KEY_ECDSA_P256, &b, &err), ST_OK);
	assert_int_equal(key_prove(a, &err), ST_OK);
	assert_int_equal(
		EVP_PKEY_get_bn_param(a->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &priv),
		1);
	assert_int_equal(
		EVP_PKEY_get_octet_string_param(b->pkey,
			OSSL_PKEY_PARAM_PUB_KEY, pub, sizeof(pub), &len),
		1);
	assert_int_equal(BN_bn2nativepad(priv, num, sizeof(num)), 32);
	p[0] = OSSL_PARAM_construct_utf8_string(
		OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	p[1] = OSSL_PARAM_construct_BN(
		OSSL_PKEY_PARAM_PRIV_KEY, num, sizeof(num));
	p[2] = OSSL_PARAM_construct_octet_string(
		OSSL_PKEY_PARAM_PUB_KEY, pub, len);
	p[3] = OSSL_PARAM_construct_end();
	c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	assert_int_equal(EVP_PKEY_fromdata_init(c), 1);
	assert_int_equal(EVP_PKEY_fromdata(c, &pkey, EVP_PKEY_KEYPAIR, p), 1);
	EVP_PKEY_CTX_free(c);
	mixed = calloc(1, sizeof(*mixed));
	assert_non_null(mixed);
	mixed->pkey = pkey;
	assert_int_equal(key_prove(mixed, &err), ST_REFUSED);
	BN_free(priv);
	key_free(mixed);
	key_free(a);
	key_free(b);
}

static void csr_text(void **state)
{
	static const char *const names[] = { "mx1.example.test",
		"*.example.test" };
	auto_buf csr = BUF_INIT(TEXT_MAX);
	struct err err = ERR_INIT;
	struct key *k = NULL;
	char *text;

	(void)state;
	assert_int_equal(key_generate(KEY_ECDSA_P256, &k, &err), ST_OK);
	assert_int_equal(key_csr(k, names, 2, true, &csr, &err), ST_OK);
	spit(in_dir("csr.pem"), csr.data, csr.len);
	sh_ok("openssl req -in csr.pem -noout -verify");
	text = sh("openssl req -in csr.pem -noout -text");
	assert_non_null(
		strstr(text, "DNS:mx1.example.test, DNS:*.example.test\n"));
	assert_non_null(strstr(text, "status_request"));
	assert_null(strstr(text, "CN"));
	free(text);
	buf_clear(&csr);
	assert_int_equal(key_csr(k, names, 1, false, &csr, &err), ST_OK);
	spit(in_dir("csr.pem"), csr.data, csr.len);
	text = sh("openssl req -in csr.pem -noout -text");
	assert_null(strstr(text, "status_request"));
	free(text);
	key_free(k);
}

static void csr_bad_names(void **state)
{
	static const char *const bad[] = { "", "*.", "a b", "a.test.",
		"a,DNS:b", "ex\xc3\xa4mple.test", "a..test", "a.*.test" };
	auto_buf csr = BUF_INIT(TEXT_MAX);
	struct err err = ERR_INIT;
	struct key *k = NULL;
	char longer[300];

	(void)state;
	assert_int_equal(key_generate(KEY_ECDSA_P256, &k, &err), ST_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (key_csr(k, &bad[i], 1, false, &csr, &err) != ST_REFUSED)
			fail_msg("\"%s\" was taken as a name", bad[i]);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(key_csr(k, (const char *const[]){ longer }, 1, false,
				 &csr, &err),
		ST_REFUSED);
	assert_int_equal(key_csr(k, NULL, 0, false, &csr, &err), ST_REFUSED);
	assert_int_equal(csr.len, 0);
	key_free(k);
}

static void alg_names(void **state)
{
	enum key_alg a;

	(void)state;
	for (unsigned i = 0; i < KEY__COUNT; i++) {
		assert_true(key_alg_parse(key_alg_name((enum key_alg)i), &a));
		assert_int_equal(a, i);
	}
	assert_false(key_alg_parse("dsa", &a));
	assert_true(key_alg_is_rsa(KEY_RSA_3072));
	assert_false(key_alg_is_rsa(KEY_ECDSA_P256));
	assert_true(key_alg_is_ecdsa(KEY_ECDSA_P384));
	assert_false(key_alg_is_rsa(KEY_OTHER) || key_alg_is_ecdsa(KEY_OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_digests),
		cmocka_unit_test(golden_sha512),
		cmocka_unit_test(generated),
		cmocka_unit_test(not_generated),
		cmocka_unit_test(bad_keys),
		cmocka_unit_test(digest_of_nothing),
		cmocka_unit_test(key_proof),
		cmocka_unit_test(csr_text),
		cmocka_unit_test(csr_bad_names),
		cmocka_unit_test(alg_names),
	};

	return cmocka_run_group_tests(tests, dir_setup, dir_teardown);
}
