/* A sweep against a name server that misbehaves (dns_script.h). Whatever goes
 * wrong, nothing but a proper denial may read as ABSENT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/base/clock.h"
#include "hook/dns/exchange.h"
#include "hook/dns/sweep.h"
#include "tests/unit/dns_fixture.h"
#include "tests/unit/dns_script.h"

static struct auth_server server;
static struct zone_auth zone;
static struct sweep result;
static int64_t took_ms;
static int64_t try_ms = 150; /* long where no second try may be needed */
#define LONG_MS 5000

static void zone_reset(const struct dns_addr *addr)
{
	server = (struct auth_server){ .has_addr = true };
	if (addr != NULL)
		server.addr = *addr;
	zone = (struct zone_auth){ .zone = "example.test.",
		.security = DNS_INSECURE,
		.server = &server,
		.n_servers = 1 };
}

/* n names: "label-I.example.test." or, for n = 1, the label itself. */
static void sweep(const char *label, size_t n)
{
	struct owner_auth *owner = calloc(n, sizeof(*owner));
	struct authority a = {
		.zone = &zone, .n_zones = 1, .owner = owner, .n_owners = n
	};
	struct sweep_limits lim = { .deadline_ms = 20000,
		.try_ms = try_ms,
		.tries = 2,
		.wall_s = FIX_NOW };
	struct err err = ERR_INIT;
	int64_t start_ms = clock_mono_ms();

	assert_non_null(owner);
	for (size_t i = 0; i < n; i++)
		if (n == 1)
			(void)snprintf(owner[i].final, sizeof(owner[i].final),
				"%s", label);
		else
			(void)snprintf(owner[i].final, sizeof(owner[i].final),
				"%s-%zu.example.test.", label, i);
	assert_int_equal(sweep_run(&a, &lim, &result, &err), ST_OK);
	took_ms = clock_mono_ms() - start_ms;
	assert_int_equal(result.n, n);
	free(owner);
}

static const struct sweep_answer *only(void)
{
	assert_int_equal(result.owner[0].n, 1);
	return &result.owner[0].answer[0];
}

/* One name and many, against a server that follows the script: all the same
 * verdict. */
static void expect(const struct script *s, const char *label, size_t n,
	enum sweep_verdict verdict, enum sweep_reason reason)
{
	struct dns_addr addr;

	start(s, &addr);
	zone_reset(&addr);
	if (s->replay != NULL)
		zone.security = DNS_SECURE;
	sweep(label, n);
	stop();
	for (size_t i = 0; i < n; i++) {
		const struct sweep_answer *ans = &result.owner[i].answer[0];

		assert_int_equal(result.owner[i].n, 1);
		assert_string_equal(sweep_verdict_name(ans->verdict),
			sweep_verdict_name(verdict));
		assert_string_equal(sweep_reason_name(ans->reason),
			sweep_reason_name(reason));
		assert_int_equal(ans->why[0] != '\0',
			verdict == SWEEP_UNKNOWN ||
				verdict == SWEEP_UNTESTABLE);
		if (verdict != SWEEP_FOUND)
			assert_int_equal(ans->rrset.n, 0);
		else if (s->replay == NULL)
			assert_int_equal(ans->rrset.n, 1);
	}
	sweep_release(&result);
}

static void test_found(void **state)
{
	const struct script s = { .rcode = 0 };
	struct dns_addr addr;

	(void)state;
	start(&s, &addr);
	zone_reset(&addr);
	sweep("mx.example.test.", 1);
	stop();
	assert_int_equal(only()->verdict, SWEEP_FOUND);
	assert_int_equal(only()->rrset.ttl, 3600);
	assert_int_equal(only()->rrset.rr[0].data[31], 0x11);
	assert_true(only()->have_serial);
	assert_int_equal(only()->serial, SERIAL);
	assert_true(only()->at_mono_ms > 0);
	sweep_release(&result);
	expect(&s, "mx", EXCHANGE_FEW, SWEEP_FOUND, SWR_NONE);
	expect(&s, "mx", 1000, SWEEP_FOUND, SWR_NONE);
}

static void test_absent(void **state)
{
	const struct script s = { .rcode = 0 };
	const struct script wrong = { .wrong_soa = true };
	const struct script none = { .no_soa = true };
	struct dns_addr addr;

	(void)state;
	start(&s, &addr);
	zone_reset(&addr);
	sweep("absent.example.test.", 1);
	stop();
	assert_int_equal(only()->verdict, SWEEP_ABSENT);
	assert_int_equal(only()->neg_ttl, 300);
	assert_true(only()->have_serial);
	assert_int_equal(only()->serial, SERIAL);
	sweep_release(&result);
	expect(&s, "absent", 300, SWEEP_ABSENT, SWR_NONE);
	expect(&wrong, "absent", 2, SWEEP_UNKNOWN, SWR_LAME);
	expect(&none, "absent", 2, SWEEP_UNKNOWN, SWR_LAME);
}

static void test_silence(void **state)
{
	const struct script all = { .udp_silent = true, .tcp_silent = true };
	const struct script closed = { .udp_silent = true, .tcp_refuse = true };
	const struct script udp = { .udp_silent = true };
	const struct script tcp = { .tcp_silent = true };

	(void)state;
	expect(&all, "absent", 2, SWEEP_UNKNOWN, SWR_TIMEOUT);
	assert_in_range(took_ms, 450, 5000); /* 2 x UDP, TCP */
	expect(&all, "absent", 100, SWEEP_UNKNOWN, SWR_TIMEOUT);
	assert_in_range(took_ms, 450, 10000);
	expect(&closed, "absent", 2, SWEEP_UNKNOWN, SWR_TIMEOUT);
	expect(&closed, "absent", 100, SWEEP_UNKNOWN, SWR_TIMEOUT);
	/* One transport is enough. */
	expect(&udp, "mx", 2, SWEEP_FOUND, SWR_NONE);
	expect(&tcp, "mx", 100, SWEEP_FOUND, SWR_NONE);
}

static void test_deadline(void **state)
{
	const struct script s = { .udp_silent = true, .tcp_silent = true };
	struct sweep_limits lim = { .deadline_ms = 200, .try_ms = 5000 };
	struct owner_auth owner = { .final = "absent.example.test." };
	struct authority a = {
		.zone = &zone, .n_zones = 1, .owner = &owner, .n_owners = 1
	};
	struct err err = ERR_INIT;
	struct dns_addr addr;
	int64_t from = clock_mono_ms();

	(void)state;
	start(&s, &addr);
	zone_reset(&addr);
	assert_int_equal(sweep_run(&a, &lim, &result, &err), ST_OK);
	stop();
	assert_in_range(clock_mono_ms() - from, 200, 3000);
	assert_int_equal(only()->verdict, SWEEP_UNKNOWN);
	assert_int_equal(only()->reason, SWR_TIMEOUT);
	sweep_release(&result);
}

static void test_rcodes(void **state)
{
	static const struct {
		unsigned int rcode;
		enum sweep_reason reason;
	} cases[] = { { 1, SWR_FORMERR }, { 2, SWR_SERVFAIL },
		{ 4, SWR_NOTIMP }, { 5, SWR_REFUSED }, { 9, SWR_LAME },
		{ 8, SWR_RCODE } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct script s = { .rcode = cases[i].rcode };

		expect(&s, "absent", 2 + 50 * (i % 2), SWEEP_UNKNOWN,
			cases[i].reason);
	}
}

static void test_lame(void **state)
{
	const struct script lame = { .lame = true };
	const struct script refer = { .referral = true };
	const struct script cname = { .cname = true };

	(void)state;
	expect(&lame, "absent", 2, SWEEP_UNKNOWN, SWR_LAME);
	expect(&lame, "mx", 2, SWEEP_UNKNOWN, SWR_LAME);
	expect(&refer, "absent", 2, SWEEP_UNKNOWN, SWR_LAME);
	expect(&cname, "mx", 2, SWEEP_UNKNOWN, SWR_RCODE);
}

/* A forger's datagrams neither count nor end the wait for the true one. */
static void test_forged(void **state)
{
	const struct script s = { .forge = true };

	(void)state;
	try_ms = LONG_MS;
	expect(&s, "mx", 3, SWEEP_FOUND, SWR_NONE);
	try_ms = 150;
	assert_true(took_ms < LONG_MS);
}

static void test_garbage(void **state)
{
	const struct script s = { .garbage = true, .tcp_refuse = true };
	const struct script cured = { .garbage = true };

	(void)state;
	expect(&s, "absent", 2, SWEEP_UNKNOWN, SWR_GARBAGE);
	expect(&cured, "mx", 2, SWEEP_FOUND, SWR_NONE);
}

static void test_truncated(void **state)
{
	const struct script s = { .truncate = true };
	const struct script no_tcp = { .truncate = true, .tcp_refuse = true };
	const struct script slip = { .truncate = true, .drop_every = 2 };

	(void)state;
	try_ms = LONG_MS;
	expect(&s, "mx", 3, SWEEP_FOUND, SWR_NONE);
	assert_true(took_ms < LONG_MS);
	expect(&s, "absent", 3, SWEEP_ABSENT, SWR_NONE);
	try_ms = 150;
	expect(&slip, "mx", 8, SWEEP_FOUND, SWR_NONE);
	expect(&no_tcp, "absent", 3, SWEEP_UNKNOWN, SWR_TIMEOUT);
}

/* Servers that end a connection early, or read only its start. */
static void test_tcp_manners(void **state)
{
	const struct script close_20 = { .close_after = 20 };
	const struct script close_1 = { .close_after = 1 };
	const struct script one = { .answer_only = 1 };
	const struct script only_tcp = { .udp_silent = true,
		.close_after = 20 };
	const struct script reverse = { .reverse = true };

	(void)state;
	expect(&close_20, "mx", 300, SWEEP_FOUND, SWR_NONE);
	expect(&only_tcp, "mx", 300, SWEEP_FOUND, SWR_NONE);
	expect(&close_1, "mx", 300, SWEEP_FOUND, SWR_NONE);
	expect(&one, "mx", 100, SWEEP_FOUND, SWR_NONE);
	expect(&reverse, "mx", 300, SWEEP_FOUND, SWR_NONE);
}

/* One answer now and then is progress, however long all of them take. */
static void test_slow(void **state)
{
	const struct script s = { .udp_silent = true, .slow = true };

	(void)state;
	try_ms = 1000;
	expect(&s, "mx", 100, SWEEP_FOUND, SWR_NONE);
	assert_true(took_ms > 1000);
	try_ms = 150;
}

/* Octets are no progress. */
static void test_drip(void **state)
{
	const struct script s = { .udp_silent = true, .drip = true };

	(void)state;
	expect(&s, "absent", 2, SWEEP_UNKNOWN, SWR_TIMEOUT);
	assert_in_range(took_ms, 450, 5000);
	expect(&s, "absent", 30, SWEEP_UNKNOWN, SWR_TIMEOUT);
	assert_in_range(took_ms, 450, 5000);
}

/* A rate limit: lost datagrams, no TCP. Some are found, none is absent. */
static void test_loss(void **state)
{
	const struct script s = { .drop_every = 2, .tcp_refuse = true };
	size_t found = 0;
	struct dns_addr addr;

	(void)state;
	start(&s, &addr);
	zone_reset(&addr);
	sweep("mx", 200);
	stop();
	for (size_t i = 0; i < result.n; i++) {
		enum sweep_verdict v = result.owner[i].answer[0].verdict;

		assert_true(v == SWEEP_FOUND || v == SWEEP_UNKNOWN);
		found += v == SWEEP_FOUND;
	}
	assert_true(found >= 100);
	sweep_release(&result);
}

static void test_refused_port(void **state)
{
	struct dns_addr addr;
	const struct script s = { .rcode = 0 };

	(void)state;
	start(&s, &addr);
	stop();
	zone_reset(&addr);
	sweep("absent.example.test.", 1);
	assert_int_equal(only()->verdict, SWEEP_UNKNOWN);
	assert_int_equal(only()->reason, SWR_NETWORK);
	assert_true(took_ms < 3000);
	sweep_release(&result);
	sweep("absent", 50);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(result.owner[i].answer[0].reason, SWR_NETWORK);
		assert_int_equal(
			result.owner[i].answer[0].verdict, SWEEP_UNKNOWN);
	}
	sweep_release(&result);
}

/* What is known before anything is sent. */
static void test_not_asked(void **state)
{
	(void)state;
	zone_reset(NULL);
	server.has_addr = false;
	(void)snprintf(server.why, sizeof(server.why), "no such host");
	sweep("mx.example.test.", 1);
	assert_int_equal(only()->verdict, SWEEP_UNKNOWN);
	assert_int_equal(only()->reason, SWR_NO_ADDRESS);
	assert_string_equal(only()->why, "no such host");
	sweep_release(&result);
	for (enum dns_security sec = DNS_BOGUS; sec <= DNS_FAILED; sec++) {
		zone_reset(NULL);
		zone.security = sec;
		sweep("mx.example.test.", 1);
		assert_int_equal(only()->verdict, SWEEP_UNKNOWN);
		assert_int_equal(only()->reason, SWR_ZONE_BOGUS);
		sweep_release(&result);
	}
	zone_reset(NULL);
	server.ignored = true;
	sweep("mx.example.test.", 1);
	assert_int_equal(only()->verdict, SWEEP_UNKNOWN);
	assert_true(only()->ignored);
	sweep_release(&result);
}

static uint8_t key1[200], key2[200];
static struct rdata keys[2] = { { .data = key1 }, { .data = key2 } };

static void secure(const char *packet, const char *name, int64_t now_s,
	enum sweep_verdict verdict, enum sweep_reason reason)
{
	const struct script s = { .replay = packet };
	struct owner_auth owner = { .zone = 0 };
	struct authority a = {
		.zone = &zone, .n_zones = 1, .owner = &owner, .n_owners = 1
	};
	struct sweep_limits lim = { .wall_s = now_s, .try_ms = LONG_MS };
	struct err err = ERR_INIT;
	struct dns_addr addr;

	start(&s, &addr);
	zone_reset(&addr);
	zone.security = DNS_SECURE;
	zone.dnskey = keys;
	zone.n_dnskey = 2;
	keys[0].len = fix_hex(FIX_KEY1, key1);
	keys[1].len = fix_hex(FIX_KEY2, key2);
	(void)snprintf(owner.final, sizeof(owner.final), "%s", name);
	assert_int_equal(sweep_run(&a, &lim, &result, &err), ST_OK);
	stop();
	assert_string_equal(sweep_verdict_name(only()->verdict),
		sweep_verdict_name(verdict));
	assert_string_equal(
		sweep_reason_name(only()->reason), sweep_reason_name(reason));
	if (verdict == SWEEP_FOUND || verdict == SWEEP_ABSENT) {
		assert_int_equal(only()->rrsig_inception, 1767225600);
		assert_int_equal(only()->rrsig_expiration, 1830297600);
		assert_true(only()->have_serial);
	}
	sweep_release(&result);
}

/* The packet without its last record of a type: the type is made unknown. */
static const char *without(const char *packet, uint8_t type)
{
	static char hex[8192];
	size_t n = strlen(packet);

	memcpy(hex, packet, n + 1);
	for (size_t i = 24; i + 8 < n; i += 2)
		if (hex[i] == '0' && hex[i + 1] == '0' &&
			hex[i + 2] == "0123456789abcdef"[type >> 4] &&
			hex[i + 3] == "0123456789abcdef"[type & 15] &&
			memcmp(hex + i + 4, "0001", 4) == 0 && i > 100)
			hex[i] = 'f';
	return hex;
}

static void test_secure(void **state)
{
	static char bad[8192];

	(void)state;
	secure(FIX_FOUND, FIX_MX25, FIX_NOW, SWEEP_FOUND, SWR_NONE);
	secure(FIX_WILD, FIX_WILD25, FIX_NOW, SWEEP_FOUND, SWR_NONE);
	secure(FIX_WILD3, FIX_WILD25, FIX_NOW, SWEEP_FOUND, SWR_NONE);
	secure(FIX_NODATA, FIX_MX, FIX_NOW, SWEEP_ABSENT, SWR_NONE);
	secure(FIX_NXDOMAIN, FIX_MX465, FIX_NOW, SWEEP_ABSENT, SWR_NONE);
	secure(FIX_NODATA3, FIX_MX, FIX_NOW, SWEEP_ABSENT, SWR_NONE);
	secure(FIX_NXDOMAIN3, FIX_MX465, FIX_NOW, SWEEP_ABSENT, SWR_NONE);
	secure(FIX_FOUND, FIX_MX25, 1893456000, SWEEP_UNKNOWN,
		SWR_RRSIG_EXPIRED);
	secure(FIX_NODATA, FIX_MX, 1893456000, SWEEP_UNKNOWN,
		SWR_RRSIG_EXPIRED);
	secure(without(FIX_FOUND, 46), FIX_MX25, FIX_NOW, SWEEP_UNKNOWN,
		SWR_NO_RRSIG);
	secure(without(FIX_NODATA, 46), FIX_MX, FIX_NOW, SWEEP_UNKNOWN,
		SWR_NO_RRSIG);
	secure(without(FIX_NODATA, 47), FIX_MX, FIX_NOW, SWEEP_UNKNOWN,
		SWR_NO_RRSIG);
	secure(without(FIX_WILD, 47), FIX_WILD25, FIX_NOW, SWEEP_UNKNOWN,
		SWR_NO_RRSIG);
	memcpy(bad, FIX_FOUND, sizeof(FIX_FOUND));
	memcpy(strstr(bad, "1111111111"), "12", 2);
	secure(bad, FIX_MX25, FIX_NOW, SWEEP_UNKNOWN, SWR_BAD_RRSIG);
	memcpy(bad, FIX_NODATA, sizeof(FIX_NODATA));
	memcpy(strstr(bad, "0000000700001c20"), "00000008", 8); /* serial */
	secure(bad, FIX_MX, FIX_NOW, SWEEP_UNKNOWN, SWR_BAD_RRSIG);
}

/* Two servers of one zone, one up to date; and names in one order. */
static void test_matrix(void **state)
{
	const struct script s = { .rcode = 0 };
	struct auth_server two[2];
	struct owner_auth owner[2] = { { .final = "absent.example.test." },
		{ .final = "mx.example.test." } };
	struct authority a = {
		.zone = &zone, .n_zones = 1, .owner = owner, .n_owners = 2
	};
	struct sweep_limits lim = { .try_ms = 100, .tries = 1 };
	struct err err = ERR_INIT;
	struct dns_addr addr;

	(void)state;
	start(&s, &addr);
	zone_reset(&addr);
	two[0] = server;
	two[1] = (struct auth_server){ .has_addr = false };
	zone.server = two;
	zone.n_servers = 2;
	assert_int_equal(sweep_run(&a, &lim, &result, &err), ST_OK);
	stop();
	assert_int_equal(result.owner[0].n, 2);
	assert_int_equal(result.owner[0].answer[0].verdict, SWEEP_ABSENT);
	assert_int_equal(result.owner[1].answer[0].verdict, SWEEP_FOUND);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(result.owner[i].answer[1].server, 1);
		assert_int_equal(
			result.owner[i].answer[1].reason, SWR_NO_ADDRESS);
	}
	sweep_release(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_rcodes),
		cmocka_unit_test(test_lame),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_tcp_manners),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_refused_port),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_secure),
		cmocka_unit_test(test_matrix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
