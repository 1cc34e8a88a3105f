/*
 * Chains as values, against what the openssl command says of the same
 * certificates.
 */
#include "tests/unit/tls_util.h"

#include "hook/tls/chain.h"

#include <ctype.h>
#include <stdbool.h>

#define MAKE_CA                                                               \
	"openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.k -out ca.pem " \
	"-subj '/C=XX/O=Test, \"Inc\"/CN=R\303\266ot' -utf8 -days 900"
#define MAKE_MID                                                          \
	"printf 'basicConstraints=critical,CA:TRUE\\n"                    \
	"keyUsage=keyCertSign\\n' >mid.ext; "                             \
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes " \
	"-keyout mid.k -out mid.csr -subj /CN=Middle && "                 \
	"openssl x509 -req -in mid.csr -CA ca.pem -CAkey ca.k -days 400 " \
	"-extfile mid.ext -out mid.pem"
#define MAKE_LEAF                                                           \
	"printf 'subjectAltName=DNS:MX.Example.org,DNS:*.wild.example,"     \
	"IP:192.0.2.1\\nauthorityKeyIdentifier=none\\n' >leaf.ext; "        \
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "   \
	"-keyout leaf.k -out leaf.csr -subj /CN=ignored.example && "        \
	"openssl x509 -req -in leaf.csr -CA mid.pem -CAkey mid.k -days 90 " \
	"-extfile leaf.ext -out leaf.pem"

static int make_all(void **state)
{
	if (dir_setup(state) != 0)
		return -1;
	sh_ok(MAKE_CA);
	sh_ok(MAKE_MID);
	sh_ok(MAKE_LEAF);
	sh_ok("cat leaf.pem mid.pem ca.pem >full.pem; "
	      "cat leaf.k ca.pem leaf.pem mid.csr >mixed.pem; "
	      "head -c 200 leaf.pem >cut.pem; : >none.pem; "
	      "for i in $(seq 33); do cat leaf.pem; done >many.pem");
	return 0;
}

static enum status read_chain(const char *file, struct cert_chain *ret)
{
	struct err err = ERR_INIT;
	size_t len = 0;
	char *text = slurp(in_dir(file), &len);
	enum status st = cert_chain_from_pem(text, len, ret, &err);

	free(text);
	assert_int_equal(st == ST_OK, err.text[0] == '\0');
	return st;
}

/* Hex that a command prints equals the octets. */
static void same_hex(const char *cmd, const uint8_t *data, size_t len)
{
	char *text = sh("%s", cmd);

	for (size_t i = 0; i < len; i++) {
		char two[3];

		(void)snprintf(two, sizeof(two), "%02x", data[i]);
		if (memcmp(two, text + 2 * i, 2) != 0)
			fail_msg("%s: octet %zu differs", cmd, i);
	}
	assert_false(isxdigit((unsigned char)text[2 * len]));
	free(text);
}

#define CERT(name) "openssl x509 -in " name " -outform DER"
#define SPKI(name)                                    \
	"openssl x509 -in " name " -noout -pubkey | " \
	"openssl pkey -pubin -outform DER"
#define SUM(what, algorithm) what " | openssl dgst -" algorithm " -r"
#define HEX(what) what " | od -An -v -tx1 | tr -d ' \\n'"

static void golden_digests(void **state)
{
	struct cert_chain c = { .n = 0 };

	(void)state;
	assert_int_equal(read_chain("full.pem", &c), ST_OK);
	assert_int_equal(c.n, 3);
	same_hex(SUM(SPKI("leaf.pem"), "sha256"), c.cert[0].spki.d, 32);
	same_hex(SUM(SPKI("leaf.pem"), "sha512"), c.cert[0].spki512, 64);
	same_hex(SUM(CERT("leaf.pem"), "sha256"), c.cert[0].cert256, 32);
	same_hex(SUM(CERT("mid.pem"), "sha512"), c.cert[1].cert512, 64);
	same_hex(SUM(SPKI("mid.pem"), "sha256"), c.cert[1].spki.d, 32);
	same_hex(SUM(SPKI("ca.pem"), "sha256"), c.cert[2].spki.d, 32);
	same_hex(HEX(CERT("leaf.pem")), c.cert[0].der, c.cert[0].der_len);
	same_hex(HEX(SPKI("ca.pem")), c.cert[2].spki_der,
		c.cert[2].spki_der_len);
	cert_chain_release(&c);
	cert_chain_release(&c);
}

/* "notAfter=2027-02-19 ..." would need a parser: the difference will do. */
static void golden_values(void **state)
{
	struct cert_chain c = { .n = 0 };
	struct cert_view *v;
	char *text;

	(void)state;
	assert_int_equal(read_chain("full.pem", &c), ST_OK);
	v = c.cert;
	assert_string_equal(v[0].subject, "CN=ignored.example");
	assert_string_equal(v[0].issuer, "CN=Middle");
	text = sh("openssl x509 -in ca.pem -noout -subject -nameopt RFC2253");
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(v[2].subject, text + strlen("subject="));
	free(text);
	assert_string_equal(v[1].issuer, v[2].subject);
	assert_string_equal(v[2].issuer, v[2].subject);
	assert_int_equal(v[0].not_after - v[0].not_before, 90 * 86400);
	assert_int_equal(v[2].not_after - v[2].not_before, 900 * 86400);
	assert_in_range(v[0].not_before, time(NULL) - 300, time(NULL));
	assert_int_equal(v[0].alg, KEY_ECDSA_P256);
	assert_int_equal(v[0].key_bits, 256);
	assert_int_equal(v[1].alg, KEY_ECDSA_P384);
	assert_int_equal(v[1].key_bits, 384);
	assert_int_equal(v[2].alg, KEY_RSA_2048);
	assert_int_equal(v[2].key_bits, 2048);
	assert_true(v[2].self_issued && v[2].self_signed);
	assert_true(v[2].is_ca && v[1].is_ca && !v[0].is_ca);
	assert_false(v[1].self_issued || v[1].self_signed);
	assert_true(v[0].issued_by_next && v[1].issued_by_next);
	assert_false(v[2].issued_by_next);
	cert_chain_release(&c);
}

static void order_and_other_blocks(void **state)
{
	struct cert_chain c = { .n = 0 };
	struct cert_chain untouched = { .n = 7 };
	char *key;

	(void)state;
	assert_int_equal(read_chain("mixed.pem", &c), ST_OK);
	assert_int_equal(c.n, 2);
	assert_true(c.cert[0].self_signed);
	assert_false(c.cert[0].issued_by_next);
	assert_string_equal(c.cert[1].subject, "CN=ignored.example");
	cert_chain_release(&c);

	assert_int_equal(read_chain("cut.pem", &untouched), ST_REFUSED);
	assert_int_equal(read_chain("none.pem", &untouched), ST_REFUSED);
	assert_int_equal(read_chain("leaf.k", &untouched), ST_REFUSED);
	assert_int_equal(read_chain("many.pem", &untouched), ST_REFUSED);
	assert_int_equal(untouched.n, 7);

	/* a right name and a wrong key: not issued by it */
	sh_ok("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 "
	      "-nodes -keyout f.k -out f.csr -subj /CN=Middle && "
	      "openssl x509 -req -in f.csr -CA ca.pem -CAkey ca.k -days 9 "
	      "-extfile mid.ext -out f.pem && cat leaf.pem f.pem >forged.pem");
	assert_int_equal(read_chain("forged.pem", &c), ST_OK);
	assert_string_equal(c.cert[0].issuer, c.cert[1].subject);
	assert_false(c.cert[0].issued_by_next);
	cert_chain_release(&c);

	/* damage in the second one */
	key = sh("(cat leaf.pem; sed 's/^M/!/' mid.pem) >bad.pem");
	free(key);
	assert_int_equal(read_chain("bad.pem", &c), ST_REFUSED);
}

static void names_and_what_they_cover(void **state)
{
	struct cert_chain c = { .n = 0 };
	struct cert_view *v;

	(void)state;
	assert_int_equal(read_chain("full.pem", &c), ST_OK);
	v = &c.cert[0];
	assert_int_equal(v->n_names, 2);
	assert_string_equal(v->name[0], "mx.example.org");
	assert_true(cert_view_covers(v, "mx.example.org."));
	assert_true(cert_view_covers(v, "MX.example.ORG"));
	assert_true(cert_view_covers(v, "a.wild.example"));
	assert_false(cert_view_covers(v, "a.b.wild.example"));
	assert_false(cert_view_covers(v, "wild.example"));
	assert_false(cert_view_covers(v, "ignored.example"));
	/* no SAN: the CN */
	assert_int_equal(c.cert[1].n_names, 1);
	assert_true(cert_view_covers(&c.cert[1], "middle"));
	/* unless it is no host name */
	assert_int_equal(c.cert[2].n_names, 0);
	cert_chain_release(&c);
}

/* Whoever makes a certificate writes what he likes into it. */
static void hostile_text(void **state)
{
	static const char make[] =
		"cat >evil.cnf <<'X'\n"
		"[req]\ndistinguished_name=dn\nx509_extensions=e\nprompt=no\n"
		"string_mask=utf8only\nutf8=yes\n[dn]\n"
		"CN=\033[2Jevil\xc2\x9b\n[e]\n"
		"subjectAltName=DER:30:19:"
		"82:09:6d:78:00:2e:65:76:69:6c:0a:"
		"82:0c:6d:78:2e:65:78:61:6d:70:6c:65:ff:41\n"
		"X\n"
		"openssl req -x509 -newkey ec -pkeyopt "
		"ec_paramgen_curve:P-256 -nodes -keyout e.k -out evil.pem "
		"-config evil.cnf -days 9";
	struct cert_chain c = { .n = 0 };
	const struct cert_view *v;

	(void)state;
	sh_ok(make);
	assert_int_equal(read_chain("evil.pem", &c), ST_OK);
	v = &c.cert[0];
	for (const char *p = v->subject; *p != '\0'; p++)
		assert_in_range(*p, 0x20, 0x7e);
	assert_non_null(strstr(v->subject, "evil"));
	assert_int_equal(v->n_names, 2);
	assert_string_equal(v->name[0], "mx?.evil?");
	assert_string_equal(v->name[1], "mx.example?a");
	assert_false(cert_view_covers(v, "mx"));
	assert_false(cert_view_covers(v, "mx.example"));
	cert_chain_release(&c);
}

static void matches(void **state)
{
	struct cert_chain c = { .n = 0 };
	const struct cert_view *v;
	uint8_t d[64];

	(void)state;
	assert_int_equal(read_chain("full.pem", &c), ST_OK);
	v = &c.cert[1];
	assert_true(cert_view_matches(v, 1, 1, v->spki.d, 32));
	assert_true(cert_view_matches(v, 1, 2, v->spki512, 64));
	assert_true(cert_view_matches(v, 0, 1, v->cert256, 32));
	assert_true(cert_view_matches(v, 0, 2, v->cert512, 64));
	assert_true(cert_view_matches(v, 0, 0, v->der, v->der_len));
	assert_true(cert_view_matches(v, 1, 0, v->spki_der, v->spki_der_len));
	assert_false(cert_view_matches(v, 0, 1, v->spki.d, 32));
	assert_false(cert_view_matches(v, 1, 1, v->spki.d, 31));
	assert_false(cert_view_matches(v, 1, 1, v->spki.d, 0));
	assert_false(cert_view_matches(v, 2, 1, v->spki.d, 32));
	assert_false(cert_view_matches(v, 1, 3, v->spki.d, 32));
	assert_false(cert_view_matches(v, 1, 0, v->spki_der, 32));
	memcpy(d, v->spki.d, 32);
	d[31] ^= 1;
	assert_false(cert_view_matches(v, 1, 1, d, 32));
	cert_chain_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_digests),
		cmocka_unit_test(golden_values),
		cmocka_unit_test(order_and_other_blocks),
		cmocka_unit_test(names_and_what_they_cover),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(matches),
	};

	return cmocka_run_group_tests(tests, make_all, dir_teardown);
}
