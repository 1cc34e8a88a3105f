/* Leafs, chains, and what must hold before a pair goes live. Certificates are
 * made by the openssl command. */
#include "tests/unit/tls_util.h"

#include "hook/tls/cert.h"

#include <time.h>

/* root.pem > ica.pem > leaf.pem with leaf.key; other.key is nobody's */
static int make_pki(void **state)
{
	if (dir_setup(state) != 0)
		return -1;
	sh_ok("for k in root ica leaf other; do openssl genpkey -algorithm EC "
	      "-pkeyopt ec_paramgen_curve:P-256 -out $k.key; done");
	sh_ok("openssl req -x509 -new -key root.key -subj /CN=Root -days 100 "
	      "-addext basicConstraints=critical,CA:TRUE -out root.pem");
	sh_ok("openssl req -new -key ica.key -subj /CN=Issuing -out ica.csr; "
	      "printf 'basicConstraints=critical,CA:TRUE\\n' >ca.ext; "
	      "openssl x509 -req -in ica.csr -CA root.pem -CAkey root.key "
	      "-CAcreateserial -days 50 -extfile ca.ext -out ica.pem");
	sh_ok("openssl req -new -key leaf.key -subj / -out leaf.csr; "
	      "printf 'subjectAltName=DNS:MX1.example.test,"
	      "DNS:*.wild.test,IP:192.0.2.1\\n"
	      "tlsfeature=status_request\\n' >leaf.ext; "
	      "openssl x509 -req -in leaf.csr -CA ica.pem -CAkey ica.key "
	      "-set_serial 0x0a0B0c -days 30 -extfile leaf.ext "
	      "-out leaf.pem");
	sh_ok("cat leaf.pem ica.pem >full.pem; "
	      "cat leaf.pem ica.pem root.pem >whole.pem; "
	      "cat leaf.pem root.pem >gap.pem; "
	      "cat leaf.pem root.pem ica.pem >swapped.pem; "
	      "cat leaf.key leaf.pem ica.pem >combined.pem");
	return 0;
}

static struct cert_info info_of(const char *file)
{
	struct cert_info c = { .names = NULL };
	struct err err = ERR_INIT;
	size_t len;
	char *pem = slurp(in_dir(file), &len);

	if (cert_info_read(pem, len, &c, &err) != ST_OK)
		fail_msg("%s: %s", file, err.text);
	free(pem);
	return c;
}

static void leaf_info(void **state)
{
	struct cert_info c = info_of("combined.pem");
	char hex[SPKI_HEX];
	char *want;

	(void)state;
	assert_int_equal(c.alg, KEY_ECDSA_P256);
	assert_int_equal(c.n_names, 2);
	assert_string_equal(c.names[0], "mx1.example.test");
	assert_string_equal(c.names[1], "*.wild.test");
	assert_int_equal(c.n_other_names, 1);
	assert_true(c.must_staple);
	assert_string_equal(c.serial, "0a0b0c");
	assert_string_equal(c.issuer, "CN=Issuing");
	assert_int_equal(c.not_after - c.not_before, 30 * 86400);
	assert_true(llabs(c.not_before - (int64_t)time(NULL)) < 300);
	want = sh("openssl x509 -in leaf.pem -outform DER | sha256sum");
	assert_memory_equal(spki_hex(&c.fingerprint, hex), want, 64);
	free(want);
	want = sh("openssl pkey -in leaf.key -pubout -outform DER | sha256sum");
	assert_memory_equal(spki_hex(&c.spki, hex), want, 64);
	free(want);
	cert_info_release(&c);
}

/* The CN counts only when it is a host name and no dNSName is there. */
static void cn_only(void **state)
{
	struct cert_info c;

	(void)state;
	sh_ok("openssl req -x509 -new -key leaf.key -subj /CN=Only.test "
	      "-out cn.pem");
	c = info_of("cn.pem");
	assert_int_equal(c.n_names, 1);
	assert_string_equal(c.names[0], "only.test");
	assert_false(c.must_staple);
	cert_info_release(&c);
	sh_ok("openssl req -x509 -new -key leaf.key -subj '/CN=My mail host' "
	      "-out cn.pem");
	c = info_of("cn.pem");
	assert_int_equal(c.n_names, 0);
	cert_info_release(&c);
}

/* A name with NUL inside ("mx1.example.test\0.evil") must not become another
 * name. */
static void nul_in_name(void **state)
{
	struct cert_info c = { .names = NULL };
	struct err err = ERR_INIT;
	size_t len;
	char *pem;

	(void)state;
	sh_ok("printf '2.5.29.17=DER:30:07:82:05:61:2e:62:00:63\\n' >nul.ext; "
	      "openssl x509 -req -in leaf.csr -CA ica.pem -CAkey ica.key "
	      "-set_serial 1 -days 30 -extfile nul.ext -out nul.pem");
	pem = slurp(in_dir("nul.pem"), &len);
	assert_int_equal(cert_info_read(pem, len, &c, &err), ST_REFUSED);
	free(pem);
}

static void covers(void **state)
{
	static const struct {
		const char *host;
		bool want;
	} rows[] = {
		{ "mx1.example.test", true },
		{ "mx1.example.test.", true },
		{ "MX1.Example.TEST", true },
		{ "mx2.example.test", false },
		{ "example.test", false },
		{ "xmx1.example.test", false },
		{ "a.wild.test.", true },
		{ "a.b.wild.test", false },
		{ "wild.test", false },
		{ ".wild.test", false },
		{ "*.wild.test", true },
		{ "awild.test", false },
		{ "", false },
		{ ".", false },
	};
	struct cert_info c = info_of("leaf.pem");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (cert_covers(&c, rows[i].host) != rows[i].want)
			fail_msg("cert_covers(%s) is not %d", rows[i].host,
				rows[i].want);
	cert_info_release(&c);
}

static enum status check(const char *chain, const char *key, int64_t at,
	const char *expect_of, struct err *err)
{
	size_t chain_len, key_len, len;
	char *c = slurp(in_dir(chain), &chain_len);
	char *k = slurp(in_dir(key), &key_len);
	char *e = slurp(in_dir(expect_of), &len);
	enum status st;
	struct spki s;

	assert_int_equal(spki_from_pem(e, len, &s, NULL, err), ST_OK);
	st = cert_check(c, chain_len, k, key_len, &s, at, err);
	free(c);
	free(k);
	free(e);
	return st;
}

static void check_pair(void **state)
{
	struct cert_info c = info_of("leaf.pem");
	int64_t now = (int64_t)time(NULL);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(
		check("full.pem", "leaf.key", now, "leaf.key", &err), ST_OK);
	assert_int_equal(
		check("whole.pem", "leaf.key", now, "leaf.key", &err), ST_OK);
	assert_int_equal(
		check("leaf.pem", "leaf.key", now, "leaf.key", &err), ST_OK);
	/* first and last second */
	assert_int_equal(
		check("full.pem", "leaf.key", c.not_before, "leaf.key", &err),
		ST_OK);
	assert_int_equal(check("full.pem", "leaf.key", c.not_before - 1,
				 "leaf.key", &err),
		ST_REFUSED);
	assert_int_equal(check("full.pem", "leaf.key", c.not_after - 1,
				 "leaf.key", &err),
		ST_OK);
	assert_int_equal(
		check("full.pem", "leaf.key", c.not_after, "leaf.key", &err),
		ST_REFUSED);
	assert_non_null(strstr(err.text, "expired"));
	/* chain */
	assert_int_equal(check("gap.pem", "leaf.key", now, "leaf.key", &err),
		ST_REFUSED);
	assert_non_null(strstr(err.text, "not signed by"));
	assert_int_equal(
		check("swapped.pem", "leaf.key", now, "leaf.key", &err),
		ST_REFUSED);
	/* keys */
	assert_int_equal(check("full.pem", "other.key", now, "leaf.key", &err),
		ST_REFUSED);
	assert_non_null(strstr(err.text, "does not match"));
	assert_int_equal(check("full.pem", "leaf.key", now, "other.key", &err),
		ST_REFUSED);
	assert_int_equal(check("full.pem", "leaf.pem", now, "leaf.key", &err),
		ST_REFUSED);
	cert_info_release(&c);
}

/* Right name, no key id, wrong signature: only the signature tells. */
static void forged_chain(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	sh_ok("openssl req -new -key other.key -subj /CN=Issuing -out f.csr; "
	      "openssl x509 -req -in f.csr -CA root.pem -CAkey root.key "
	      "-set_serial 7 -days 50 -extfile ca.ext -out fake.pem; "
	      "openssl x509 -req -in leaf.csr -CA ica.pem -CAkey ica.key "
	      "-set_serial 8 -days 30 -out forged.pem; "
	      "cp forged.pem fine.pem; cat ica.pem >>fine.pem; "
	      "cat fake.pem >>forged.pem");
	assert_int_equal(check("fine.pem", "leaf.key", (int64_t)time(NULL),
				 "leaf.key", &err),
		ST_OK);
	assert_int_equal(check("forged.pem", "leaf.key", (int64_t)time(NULL),
				 "leaf.key", &err),
		ST_REFUSED);
}

static void split(void **state)
{
	auto_buf leaf = BUF_INIT(TEXT_MAX);
	auto_buf rest = BUF_INIT(TEXT_MAX);
	struct err err = ERR_INIT;
	char *full, *want_leaf, *want_rest;
	size_t len;

	(void)state;
	full = slurp(in_dir("whole.pem"), &len);
	want_leaf = slurp(in_dir("leaf.pem"), NULL);
	want_rest = sh("cat ica.pem root.pem");
	assert_int_equal(cert_split(full, len, &leaf, &rest, &err), ST_OK);
	assert_string_equal(buf_str(&leaf), want_leaf);
	assert_string_equal(buf_str(&rest), want_rest);
	free(full);
	free(want_leaf);
	free(want_rest);
}

static void bad_certs(void **state)
{
	struct cert_info c = { .names = NULL };
	struct err err = ERR_INIT;
	auto_buf a = BUF_INIT(TEXT_MAX);
	auto_buf b = BUF_INIT(TEXT_MAX);
	size_t len;
	char *pem;

	(void)state;
	assert_int_equal(cert_info_read("", 0, &c, &err), ST_REFUSED);
	assert_int_equal(cert_info_read("hello", 5, &c, &err), ST_REFUSED);
	pem = slurp(in_dir("leaf.key"), &len);
	assert_int_equal(cert_info_read(pem, len, &c, &err), ST_REFUSED);
	free(pem);
	pem = slurp(in_dir("leaf.pem"), &len);
	for (size_t cut = 1; cut < len - 30; cut += 13)
		assert_int_equal(
			cert_info_read(pem, cut, &c, &err), ST_REFUSED);
	free(pem);
	assert_null(c.names);
	/* longer than any real chain */
	sh_ok("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do "
	      "cat leaf.pem; done >long.pem");
	pem = slurp(in_dir("long.pem"), &len);
	assert_int_equal(cert_split(pem, len, &a, &b, &err), ST_REFUSED);
	assert_int_equal(cert_info_read(pem, len, &c, &err), ST_OK);
	cert_info_release(&c);
	free(pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_info),
		cmocka_unit_test(cn_only),
		cmocka_unit_test(nul_in_name),
		cmocka_unit_test(covers),
		cmocka_unit_test(check_pair),
		cmocka_unit_test(forged_chain),
		cmocka_unit_test(split),
		cmocka_unit_test(bad_certs),
	};

	return cmocka_run_group_tests(tests, make_pki, dir_teardown);
}
