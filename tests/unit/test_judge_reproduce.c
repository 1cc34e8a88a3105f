/*
 * Lines to paste: right for each kind of connection, and harmless whatever the
 * names in them are. A real shell reads them here, with openssl, dig and delv
 * replaced by functions that print their arguments.
 */
#include "judge_fixture.h"

#include "hook/base/proc.h"
#include "hook/check/reproduce.h"

#define MARK "HACKED"

static struct check_conn *conn(struct jf *f, const char *addr,
	enum probe_proto proto, enum probe_alg alg)
{
	struct check_host *h;

	jf_init(f);
	h = jf_host(f, "mx1");
	h->proto = proto;
	jf_tlsa(h, K1);
	jf_tlsa(h, "1 1 1 " HEX32("77"));
	jf_tlsa(h, "3 1 1 7788");
	return jf_conn(h, addr, alg, PROBE_SERVED);
}

static void test_lines(void **state)
{
	static const struct {
		const char *addr;
		enum probe_proto proto;
		enum probe_alg alg;
		enum probe_version version;
		bool no_sni;
		enum reproduce what;
		const char *want;
	} rows[] = {
		{ V4, PROTO_SMTP, PROBE_ANY, PROBE_TLS_ANY, false,
			REPRODUCE_DANE,
			"openssl s_client -connect 192.0.2.1:25 -starttls smtp "
			"-servername mx1.example.test "
			"-dane_tlsa_domain mx1.example.test "
			"-dane_tlsa_rrdata '3 1 1 " HEX32(
				"11") "' -dane_ee_no_namechecks "
				      "-verify_return_error </dev/null" },
		{ V6, PROTO_TLS, PROBE_RSA, PROBE_TLS12, false, REPRODUCE_PLAIN,
			"openssl s_client -connect '[2001:db8::1]:25' "
			"-servername mx1.example.test -tls1_2 "
			"-sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256 "
			"-cipher aRSA </dev/null" },
		/* s_client cannot match without SNI. */
		{ V4, PROTO_IMAP, PROBE_ECDSA, PROBE_TLS13, true,
			REPRODUCE_DANE,
			"openssl s_client -connect 192.0.2.1:25 -starttls imap "
			"-noservername -tls1_3 "
			"-sigalgs ecdsa_secp256r1_sha256:"
			"ecdsa_secp384r1_sha384 -cipher aECDSA </dev/null "
			"2>/dev/null | openssl x509 -noout -pubkey | openssl "
			"pkey -pubin -outform DER | openssl dgst -sha256" },
		{ V4, PROTO_XMPP_SERVER, PROBE_ANY, PROBE_TLS_ANY, false,
			REPRODUCE_DATES,
			"openssl s_client -connect 192.0.2.1:25 "
			"-starttls xmpp-server -xmpphost mx1.example.test "
			"-servername mx1.example.test </dev/null 2>/dev/null | "
			"openssl x509 -noout -subject -dates" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[1024];
		struct check_conn *k;
		struct jf f;

		k = conn(&f, rows[i].addr, rows[i].proto, rows[i].alg);
		k->job.version = rows[i].version;
		k->job.no_sni = rows[i].no_sni;
		reproduce_conn(
			line, sizeof(line), &f.c.host[0], k, rows[i].what);
		assert_string_equal(line, rows[i].want);
		jf_free(&f);
	}
}

static void test_dns_lines(void **state)
{
	char line[256];

	(void)state;
	reproduce_server(line, sizeof(line), "192.0.2.53", "_tcp.mx.test.",
		RRTYPE_TLSA, true);
	assert_string_equal(line, "dig +dnssec +norecurse @192.0.2.53 "
				  "_tcp.mx.test. TLSA +tcp");
	reproduce_server(line, sizeof(line), "2001:db8::53@5300", "mx.test.",
		RRTYPE_A, false);
	assert_string_equal(line, "dig +dnssec +norecurse @2001:db8::53 -p "
				  "5300 mx.test. A");
	reproduce_lookup(line, sizeof(line), "mx.test.", 65);
	assert_string_equal(line, "dig +dnssec mx.test. TYPE65");
	/* What looks like an option is a name all the same. */
	reproduce_lookup(line, sizeof(line), "-f.test.", RRTYPE_MX);
	assert_string_equal(line, "dig +dnssec -q -f.test. -t MX");
	reproduce_validate(line, sizeof(line), "+x.test.", RRTYPE_MX);
	assert_string_equal(line, "delv +vtrace -q +x.test. -t MX");
}

/* Half a command is worse than none. */
static void test_too_long(void **state)
{
	struct check_conn *k;
	char line[1024];
	struct jf f;

	(void)state;
	k = conn(&f, V4, PROTO_SMTP, PROBE_RSA);
	for (unsigned i = 0; i < 12; i++) {
		char text[80];

		(void)snprintf(text, sizeof(text), "3 1 1 %062d%02x", 0, i);
		jf_tlsa(&f.c.host[0], text);
	}
	reproduce_conn(line, sizeof(line), &f.c.host[0], k, REPRODUCE_DANE);
	assert_string_equal(line,
		"dig +short -q _25._tcp.mx1.example.test. -t TLSA | sed -n "
		"\"s/^[23] [01] [012] .*/-dane_tlsa_rrdata '&'/p\" | xargs "
		"openssl s_client -connect 192.0.2.1:25 -starttls smtp "
		"-servername mx1.example.test -dane_tlsa_domain "
		"mx1.example.test -dane_ee_no_namechecks -verify_return_error "
		"-sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256 -cipher aRSA");
	reproduce_conn(line, 100, &f.c.host[0], k, REPRODUCE_PLAIN);
	assert_string_equal(line, "");
	reproduce_lookup(line, 12, "mx.test.", RRTYPE_MX);
	assert_string_equal(line, "");
	jf_free(&f);
}

/* Runs a line in a shell; what openssl and the others were given, one
 * argument a line. */
static char *run(const char *line)
{
	static const struct proc_limits lim = { .timeout_ms = 10000,
		.output_max = 65536 };
	struct proc_result res = { 0 };
	struct err err = ERR_INIT;
	char script[4096];

	(void)snprintf(script, sizeof(script),
		"show() { printf '<%%s>\\n' \"$@\"; }\n"
		"openssl() { show \"$@\"; }\ndig() { show \"$@\"; }\n"
		"delv() { show \"$@\"; }\n" MARK "() { echo " MARK "; }\n%s\n",
		line);
	assert_int_equal(proc_shell(script, NULL, &lim, &res, &err), ST_OK);
	assert_int_equal(res.exit_status, 0);
	return res.output;
}

static void test_hostile_names(void **state)
{
	static const char *const evil[] = { "a'; " MARK "; '", "$(" MARK ")",
		"`" MARK "`", "a\n" MARK "\n", "a;" MARK, "a|" MARK, "a&&" MARK,
		"\\'; " MARK " #", "'\"'\"; " MARK, "a b >c", "*", "~root",
		"{a,b}", "!!", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
		char line[1024], want[600], *out, *clean;
		struct check_conn *k;
		struct check_host *h;
		struct jf f;

		k = conn(&f, V4, PROTO_SMTP, PROBE_ANY);
		h = &f.c.host[0];
		(void)snprintf(
			h->base_bare, sizeof(h->base_bare), "%s", evil[i]);
		(void)snprintf(want, sizeof(want), "<%s>\n", evil[i]);
		for (clean = want; *clean != '\0'; clean++)
			if (*clean == '\n' && clean[1] != '\0')
				*clean = '?';
		reproduce_conn(line, sizeof(line), h, k, REPRODUCE_DANE);
		out = run(line);
		if (strstr(out, want) == NULL || strstr(out, "\n" MARK) != NULL)
			fail_msg("%s\n%s", line, out);
		assert_null(strchr(line, '\n'));
		free(out);

		reproduce_server(
			line, sizeof(line), evil[i], evil[i], RRTYPE_MX, false);
		out = run(line);
		if (strstr(out, want) == NULL || strstr(out, "\n" MARK) != NULL)
			fail_msg("%s\n%s", line, out);
		free(out);
		jf_free(&f);
	}
}

/* From end to end: what a finding says can be pasted. */
static void test_of_finding(void **state)
{
	struct check_host *h;
	struct jf f;
	char *out;

	(void)state;
	jf_init(&f);
	h = jf_host(&f, "mx1");
	jf_tlsa(h, K2);
	(void)jf_serve(h, V6, PROBE_ECDSA, 0x11, 0, PROBE_DANE_NO_MATCH);
	h->conn[0].job.version = PROBE_TLS12;
	jf_judge(&f);
	out = run(jf_find(&f, CODE_TLSA_MISMATCH)->reproduce);
	assert_non_null(strstr(out, "<s_client>\n<-connect>\n"
				    "<[2001:db8::1]:25>\n"));
	assert_non_null(strstr(out, "<-dane_tlsa_rrdata>\n<" K2 ">\n"));
	assert_non_null(strstr(out, "<-tls1_2>\n"));
	free(out);
	jf_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_dns_lines),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_of_finding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
