/* check in the style of daneverify and of Momentum. */
#include "tests/unit/out_fixture.h"

typedef enum status (*style)(const struct check *const c[], size_t n,
	struct buf *ret, struct err *err);

static void expect(style fn, const struct world *w, const char *want)
{
	const struct check *c = &w->c;
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;

	assert_int_equal(fn(&c, 1, &b, &err), ST_OK);
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
}

#define ADDR4                                                            \
	"SECURE A record (192.0.2.1) found for MX(mx1.example.test) in " \
	"example.test\n"                                                 \
	"Connecting to 192.0.2.1 on port 25.\n"
#define CONN4                                                         \
	ADDR4 "Connected to 192.0.2.1 from interface 192.0.2.99.\n"   \
	      "SECURE TLSA record found for MX(mx1.example.test) in " \
	      "example.test\n"                                        \
	      "Checking TLS connection.\n"                            \
	      "TLS connection established: protocol TLSv1.3, cipher " \
	      "TLS_AES_256_GCM_SHA384.\n"
#define REST6                                                                 \
	"Trying next AAAA record (2001:db8::1) for MX(mx1.example.test) in "  \
	"example.test\n"                                                      \
	"SECURE AAAA record (2001:db8::1) found for MX(mx1.example.test) in " \
	"example.test\n"                                                      \
	"Connecting to 2001:db8::1 on port 25.\n"                             \
	"Connected to 2001:db8::1 from interface 192.0.2.99.\n"               \
	"SECURE TLSA record found for MX(mx1.example.test) in example.test\n" \
	"Checking TLS connection.\n"                                          \
	"TLS connection established: protocol TLSv1.3, cipher "               \
	"TLS_AES_256_GCM_SHA384.\n"                                           \
	"Certificate verification successful\n"                               \
	"TLS connection succeeded example.test.\n"
#define MX "SECURE MX record(mx1.example.test) found for example.test\n"
#define END "DANE verification completed.\n"

static void test_cisco(void **state)
{
	struct world *w = world_new();

	(void)state;
	expect(out_cisco, w,
		MX CONN4 "Certificate verification successful\n"
			 "TLS connection succeeded example.test.\n" REST6
			 "DANE SUCCESS for example.test\n" END);
	/* One of the eight connections fails: it stands for the address. */
	w->conn[4].state = CONN_FAIL;
	w->c.verdict = CHECK_DEGRADED;
	expect(out_cisco, w,
		MX CONN4 "Certificate verification failed\n"
			 "TLS connection failed example.test.\n" REST6
			 "DANE FAILED for example.test\n" END);
	for (size_t i = 0; i < 8; i++) {
		w->conn[i].state = CONN_FAIL;
		w->conn[i].job.result = PROBE_NO_CONNECT;
	}
	expect(out_cisco, w,
		MX ADDR4 REST6 "DANE FAILED for example.test\n" END);
	free(w);
}

static void test_cisco_dns(void **state)
{
	struct world *w = world_new();

	(void)state;
	w->host[1] = w->host[0];
	PUT(w->host[1].bare, "mx2.example.test");
	w->host[0].n_conns = w->host[1].n_conns = 0;
	w->c.n_hosts = 2;
	w->mx.security = DNS_INSECURE;
	w->c.verdict = CHECK_INSECURE;
	expect(out_cisco, w,
		"INSECURE MX record(mx1.example.test) found. The command will "
		"still proceed.\n"
		"Trying next MX record in example.test\n"
		"INSECURE MX record(mx2.example.test) found. The command will "
		"still proceed.\n"
		"DANE FAILED for example.test\n" END);
	w->c.n_hosts = 0;
	w->c.verdict = CHECK_BOGUS;
	w->mx.security = DNS_BOGUS;
	expect(out_cisco, w,
		"BOGUS MX record found for example.test\n"
		"DANE FAILED for example.test\n" END);
	/* No answer is not BOGUS. */
	w->c.verdict = CHECK_INCOMPLETE;
	w->mx.security = DNS_FAILED;
	expect(out_cisco, w, "DANE FAILED for example.test\n" END);
	free(w);
}

static void test_cisco_no_tlsa(void **state)
{
	struct world *w = world_new();

	(void)state;
	w->host[0].n_conns = 8;
	w->host[0].dane = HOST_NO_TLSA;
	w->tlsa.havedata = false;
	w->tlsa.nxdomain = true;
	w->c.verdict = CHECK_NO_DANE;
	expect(out_cisco, w,
		MX ADDR4
		"Connected to 192.0.2.1 from interface 192.0.2.99.\n"
		"NXDOMAIN TLSA record found for MX(mx1.example.test) in "
		"example.test\n"
		"DANE FAILED for example.test\n" END);
	free(w);
}

static void test_momentum(void **state)
{
	struct world *w = world_new();

	(void)state;
	w->record[0].role = "current";
	w->record[1].usable = false;
	w->aaaa.security = DNS_BOGUS;
	PUT(w->aaaa.why, "expired\nforged");
	expect(out_momentum, w,
		"Domain example.test: OK\n"
		"MX 'example.test' has a TTL of 3600 seconds +dnssec\n"
		"  10 mx1.example.test\n"
		"    TLSA '_25._tcp.mx1.example.test' has a TTL of 3600 "
		"seconds +dnssec\n"
		"      3 1 1 00070e151c232a31383f464d545b626970777e858c939aa1"
		"a8afb6bdc4cbd2d9 current live\n"
		"      3 1 1 646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe05"
		"0c131a21282f363d unusable\n"
		"    A 192.0.2.1 TTL 3600 +dnssec\n"
		"    AAAA cannot be had: bogus, expired?forged\n");
	w->mx.security = DNS_INSECURE;
	w->mx.havedata = false;
	w->c.n_hosts = 0;
	w->c.verdict = CHECK_INSECURE;
	expect(out_momentum, w,
		"Domain example.test: INSECURE\n"
		"MX 'example.test' has a TTL of 3600 seconds, no records\n");
	free(w);
}

static void test_styles_hostile(void **state)
{
	static const style fn[] = { out_cisco, out_momentum };
	struct world *w = world_new();
	const struct check *c = &w->c;
	struct err err = ERR_INIT;

	(void)state;
	PUT(w->host[0].bare, "x\nDANE SUCCESS for example.test\r\033[1m\xff");
	PUT(w->conn[0].addr, "1\nDANE SUCCESS for example.test");
	PUT(w->conn[0].job.cipher, "1\nDANE SUCCESS for example.test");
	w->c.verdict = CHECK_BLOCKED;
	for (size_t i = 0; i < 2; i++) {
		struct buf b = BUF_INIT(OUT_MAX);

		assert_int_equal(fn[i](&c, 1, &b, &err), ST_OK);
		assert_null(strstr(b.data, "\nDANE SUCCESS"));
		for (size_t k = 0; k < b.len; k++)
			assert_true(b.data[k] == '\n' ||
				    (b.data[k] >= 0x20 && b.data[k] <= 0x7e));
		buf_release(&b);
	}
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cisco),
		cmocka_unit_test(test_cisco_dns),
		cmocka_unit_test(test_cisco_no_tlsa),
		cmocka_unit_test(test_momentum),
		cmocka_unit_test(test_styles_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
