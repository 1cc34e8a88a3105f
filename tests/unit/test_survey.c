/* What a survey says of name servers that misbehave, each in one way (see
 * dns_rules.h): by transport, by type, by signature, by key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/base/clock.h"
#include "hook/dns/survey_int.h"
#include "tests/unit/dns_root.h"
#include "tests/unit/dns_rules.h"
#include "tests/unit/slow.h"

#include <openssl/evp.h>
#include <sched.h>

#define ZONE "example.test."
#define MX "mx.example.test."
#define TCP_MX "_tcp.mx.example.test."
#define TLSA1                                        \
	"030101111111111111111111111111111111111111" \
	"1111111111111111111111111111"
#define TLSA2                                        \
	"030101222222222222222222222222222222222222" \
	"2222222222222222222222222222"
#define LATER 1893456000 /* 2030: the fixtures' signatures have ended */

static struct survey survey;
static struct auth_server server[SERVERS_MAX];
static uint8_t key1[200], key2[200], root_key[200];
static struct rdata keys[2] = { { .data = key1 }, { .data = key2 } };
static const struct lookup *ds;
static int64_t took_ms;
static struct survey_limits limits = { .deadline_ms = 10000,
	.udp_ms = 400,
	.udp_tries = 2,
	.tcp_ms = 800,
	.wall_s = FIX_NOW };

static const struct rule plain[] = {
	{ .name = FIX_MX25,
		.type = RRTYPE_TLSA,
		.rr_type = RRTYPE_TLSA,
		.rr = { TLSA1, TLSA2 } },
	{ .name = MX,
		.type = RRTYPE_A,
		.rr_type = RRTYPE_A,
		.rr = { "7f000001" } },
};
static const struct behaviour healthy = { .serial = 7, .rule = plain, .n = 2 };

/* A survey of example.test. with such servers, ready for questions. */
static void prepare(
	const struct behaviour *const b[], size_t n, enum dns_security security)
{
	struct zone_auth *a;

	survey = (struct survey){ .n_zones = 1 };
	survey.zone = calloc(1, sizeof(*survey.zone));
	assert_non_null(survey.zone);
	a = &survey.zone[0].auth;
	(void)snprintf(a->zone, sizeof(a->zone), "%s", ZONE);
	a->security = security;
	a->server = calloc(n, sizeof(*a->server));
	a->n_servers = n;
	assert_non_null(a->server);
	for (size_t i = 0; i < n; i++) {
		if (b[i] == NULL)
			continue;
		a->server[i].has_addr = true;
		rules_start(b[i], &a->server[i].addr);
		server[i] = a->server[i];
	}
	if (security == DNS_SECURE) {
		keys[0].len = fix_hex(FIX_KEY1, key1);
		keys[1].len = fix_hex(FIX_KEY2, key2);
		a->dnskey = keys;
		a->n_dnskey = 2;
	}
	ds = NULL;
}

static void ask(const char *name, uint16_t type)
{
	struct err err = ERR_INIT;

	assert_int_equal(survey_ask(&survey, name, type, &err), ST_OK);
}

static void run(void)
{
	struct err err = ERR_INIT;
	int64_t from = clock_mono_ms();

	for (size_t i = 0; i < survey.n_questions; i++)
		survey.question[i].zone = 0;
	assert_int_equal(survey_query(&survey, &ds, &limits, &err), ST_OK);
	took_ms = clock_mono_ms() - from;
	rules_stop();
}

static void end(void)
{
	/* These keys are not the survey's. */
	survey.zone[0].auth.dnskey = NULL;
	survey.zone[0].auth.n_dnskey = 0;
	survey_release(&survey);
	assert_null(survey.zone);
}

#define SOA SIZE_MAX

static const struct survey_answer *got(size_t question, size_t at, bool tcp)
{
	const struct survey_answer *found = NULL;

	for (size_t i = 0; i < survey.n_answers; i++) {
		const struct survey_answer *a = &survey.answer[i];

		if (a->question != question || a->server != at || a->tcp != tcp)
			continue;
		assert_null(found);
		found = a;
	}
	assert_non_null(found);
	assert_int_equal(found->zone, 0);
	return found;
}

static void is(const struct survey_answer *a, enum survey_outcome o)
{
	if (a->outcome != o)
		fail_msg("%s (%s), not %s", survey_outcome_name(a->outcome),
			a->why, survey_outcome_name(o));
	/* What went wrong is said. */
	if (!survey_answered(o))
		assert_true(a->why[0] != '\0');
}

static void questions(void **state)
{
	struct survey s = { .n_zones = 0 };
	struct err err = ERR_INIT;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			survey_ask(&s, "Mx.Example.test", 52, &err), ST_OK);
		assert_int_equal(
			survey_ask(&s, "mx.example.test.", 52, &err), ST_OK);
		assert_int_equal(
			survey_ask(&s, "mx.example.test.", 1, &err), ST_OK);
	}
	assert_int_equal(s.n_questions, 2);
	assert_string_equal(s.question[0].name, MX);
	assert_int_not_equal(survey_ask(&s, "m x.test.", 1, &err), ST_OK);
	for (int i = 0; i < 100; i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "n%d.test.", i);
		assert_int_equal(survey_ask(&s, name, 1, &err), ST_OK);
	}
	assert_int_equal(s.n_questions, 102);
	survey_release(&s);
	assert_true(survey_answered(SURVEY_ALIAS));
	assert_false(survey_answered(SURVEY_LAME));
}

static void good(void **state)
{
	const struct behaviour *const b[] = { &healthy, NULL };

	(void)state;
	prepare(b, 2, DNS_INSECURE);
	ask(FIX_MX25, RRTYPE_TLSA);
	ask(MX, RRTYPE_A);
	run();
	/* None of the server without address. */
	assert_int_equal(survey.n_answers, 6);
	for (int tcp = 0; tcp < 2; tcp++) {
		const struct survey_answer *a = got(0, 0, tcp);

		is(a, SURVEY_DATA);
		assert_int_equal(a->n_rr, 2);
		assert_int_equal(a->ttl, 3601);
		assert_int_equal(a->rrset.n, 2);
		assert_int_equal(a->rrset.rr[1].data[31], 0x22);
		assert_int_equal(a->rcode, 0);
		assert_int_equal(a->ede, -1);
		assert_false(a->sig_checked || a->truncated);
		assert_int_equal(a->expiration, 0);
		assert_string_equal(a->why, "");
		assert_int_equal(got(1, 0, tcp)->rrset.n, 0);
		a = got(SOA, 0, tcp);
		is(a, SURVEY_DATA);
		assert_int_equal(a->serial, 7);
		assert_int_equal(a->refresh, 7200);
		assert_int_equal(a->retry, 1800);
		assert_int_equal(a->minimum, 300);
	}
	assert_int_equal(got(0, 0, false)->digest, got(0, 0, true)->digest);
	assert_int_not_equal(got(0, 0, true)->digest, got(1, 0, true)->digest);
	assert_int_equal(survey.zone[0].ds, SURVEY_DS_NONE);
	end();
}

/* One transport does not hide the other. */
static void one_transport(void **state)
{
	const struct behaviour no_tcp = {
		.tcp_refused = true, .rule = plain, .n = 2
	};
	const struct behaviour mute_tcp = {
		.tcp_silent = true, .rule = plain, .n = 2
	};
	const struct behaviour no_udp = {
		.udp_silent = true, .rule = plain, .n = 2
	};
	const struct behaviour dead = { .udp_silent = true,
		.tcp_silent = true };
	const struct behaviour *const b[] = { &no_tcp, &mute_tcp, &no_udp,
		&dead, &healthy };

	(void)state;
	prepare(b, 5, DNS_INSECURE);
	ask(FIX_MX25, RRTYPE_TLSA);
	run();
	is(got(0, 0, false), SURVEY_DATA);
	is(got(0, 0, true), SURVEY_NETWORK);
	assert_non_null(strstr(got(0, 0, true)->why, "refused"));
	is(got(SOA, 0, true), SURVEY_NETWORK);
	is(got(0, 1, false), SURVEY_DATA);
	is(got(0, 1, true), SURVEY_TIMEOUT);
	is(got(0, 2, false), SURVEY_TIMEOUT);
	is(got(0, 2, true), SURVEY_DATA);
	is(got(0, 3, false), SURVEY_TIMEOUT);
	is(got(0, 3, true), SURVEY_TIMEOUT);
	is(got(0, 4, false), SURVEY_DATA);
	is(got(0, 4, true), SURVEY_DATA);
	/* The slowest is the time of all: two tries, or TCP. */
	assert_in_range(took_ms, slow(795), slow(5000));
	assert_in_range(got(0, 3, false)->took_ms, slow(795), slow(5000));
	assert_true(got(0, 4, false)->took_ms < slow(795));
	end();
}

/* More questions than a sweep would ask by UDP stay on UDP. */
static void many(void **state)
{
	const struct behaviour no_tcp = { .tcp_refused = true };
	const struct behaviour one_each = { .tcp_close = 1 };
	const struct behaviour first_only = { .tcp_only = 1 };
	const struct behaviour slams = { .tcp_close = 7 };
	const struct behaviour *const b[] = { &no_tcp, &one_each, &first_only,
		&slams };

	(void)state;
	prepare(b, 4, DNS_INSECURE);
	for (int i = 0; i < 50; i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "n%d.example.test.", i);
		ask(name, RRTYPE_A);
	}
	run();
	for (size_t i = 0; i < 50; i++) {
		is(got(i, 0, false), SURVEY_NODATA);
		is(got(i, 0, true), SURVEY_NETWORK);
		/* Connections that end early are no failure. */
		is(got(i, 1, true), SURVEY_NODATA);
		is(got(i, 2, true), SURVEY_NODATA);
		is(got(i, 3, true), SURVEY_NODATA);
	}
	end();
}

/* A query that a server ignores, on a connection that works. */
static void ignored_type(void **state)
{
	const struct rule rule[] = { { .type = RRTYPE_TLSA, .silent = true } };
	const struct behaviour mute = { .rule = rule, .n = 1 };
	const struct behaviour *const b[] = { &mute };

	(void)state;
	prepare(b, 1, DNS_INSECURE);
	ask(FIX_MX25, RRTYPE_TLSA);
	ask(MX, RRTYPE_A);
	ask(ZONE, RRTYPE_NS);
	run();
	is(got(0, 0, false), SURVEY_TIMEOUT);
	is(got(0, 0, true), SURVEY_TIMEOUT);
	is(got(1, 0, false), SURVEY_NODATA);
	is(got(1, 0, true), SURVEY_NODATA);
	assert_true(took_ms < slow(5000));
	end();
}

static void rcodes(void **state)
{
	static const struct {
		unsigned int rcode;
		enum survey_outcome outcome;
	} c[] = { { 1, SURVEY_FORMERR }, { 2, SURVEY_SERVFAIL },
		{ 4, SURVEY_NOTIMP }, { 5, SURVEY_REFUSED }, { 9, SURVEY_LAME },
		{ 8, SURVEY_RCODE } };

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		/* For TLSA only: what breaks DANE and nothing else. */
		const struct rule rule[] = {
			{ .type = RRTYPE_TLSA, .rcode = c[i].rcode }, plain[1]
		};
		const struct behaviour odd = { .rule = rule, .n = 2 };
		const struct behaviour *const b[] = { &odd };

		prepare(b, 1, DNS_INSECURE);
		ask(FIX_MX25, RRTYPE_TLSA);
		ask(MX, RRTYPE_A);
		run();
		for (int tcp = 0; tcp < 2; tcp++) {
			is(got(0, 0, tcp), c[i].outcome);
			assert_int_equal(got(0, 0, tcp)->rcode, c[i].rcode);
			is(got(1, 0, tcp), SURVEY_DATA);
		}
		end();
	}
}

/* RFC 8020: nothing may say that _tcp is not there when there is a TLSA record
 * below. */
static void empty_non_terminal(void **state)
{
	const struct rule rule[] = { { .name = TCP_MX, .rcode = 3 }, plain[0] };
	const struct behaviour broken = { .rule = rule, .n = 2 };
	const struct behaviour *const b[] = { &healthy, &broken };

	(void)state;
	prepare(b, 2, DNS_INSECURE);
	ask(TCP_MX, RRTYPE_A);
	ask(FIX_MX25, RRTYPE_TLSA);
	run();
	is(got(0, 0, false), SURVEY_NODATA);
	is(got(0, 1, false), SURVEY_NXDOMAIN);
	is(got(0, 1, true), SURVEY_NXDOMAIN);
	is(got(1, 1, true), SURVEY_DATA);
	assert_int_equal(got(0, 0, false)->ttl, 300);
	assert_int_equal(got(0, 1, false)->rcode, 3);
	end();
}

static void servers_differ(void **state)
{
	const struct rule other[] = { { .name = FIX_MX25,
		.type = RRTYPE_TLSA,
		.rr_type = RRTYPE_TLSA,
		.rr = { TLSA2, TLSA1 } } };
	const struct rule less[] = { { .name = FIX_MX25,
		.type = RRTYPE_TLSA,
		.rr_type = RRTYPE_TLSA,
		.rr = { TLSA2 } } };
	const struct behaviour turned = { .serial = 8, .rule = other, .n = 1 };
	const struct behaviour behind = { .serial = 6, .rule = less, .n = 1 };
	const struct behaviour *const b[] = { &healthy, &turned, &behind };

	(void)state;
	prepare(b, 3, DNS_INSECURE);
	ask(FIX_MX25, RRTYPE_TLSA);
	run();
	assert_int_equal(got(SOA, 0, false)->serial, 7);
	assert_int_equal(got(SOA, 1, false)->serial, 8);
	assert_int_equal(got(SOA, 2, true)->serial, 6);
	assert_int_equal(got(0, 0, false)->digest, got(0, 1, false)->digest);
	assert_int_not_equal(
		got(0, 0, false)->digest, got(0, 2, false)->digest);
	end();
}

static void truncated(void **state)
{
	struct rule rule[] = { plain[0] };
	const struct behaviour tc = { .rule = rule, .n = 1 };
	const struct behaviour stuck = {
		.tcp_refused = true, .rule = rule, .n = 1
	};
	const struct behaviour *const b[] = { &tc, &stuck };

	(void)state;
	rule[0].truncate = true;
	prepare(b, 2, DNS_INSECURE);
	ask(FIX_MX25, RRTYPE_TLSA);
	run();
	is(got(0, 0, false), SURVEY_DATA);
	assert_true(got(0, 0, false)->truncated);
	assert_int_equal(got(0, 0, false)->n_rr, 0);
	assert_int_equal(got(0, 0, false)->digest, 0);
	assert_true(got(0, 0, false)->took_ms < slow(790));
	is(got(0, 0, true), SURVEY_DATA);
	assert_false(got(0, 0, true)->truncated);
	assert_int_equal(got(0, 0, true)->rrset.n, 2);
	/* And where TCP is what does not work. */
	is(got(0, 1, false), SURVEY_DATA);
	assert_true(got(0, 1, false)->truncated);
	is(got(0, 1, true), SURVEY_NETWORK);
	end();
	/* What it was that was cut off, TCP tells. */
	rule[0].rr[0] = NULL;
	prepare(b, 1, DNS_INSECURE);
	ask(FIX_MX25, RRTYPE_TLSA);
	run();
	assert_true(got(0, 0, false)->truncated);
	is(got(0, 0, false), SURVEY_NODATA);
	end();
}

static void odd_answers(void **state)
{
	const struct rule rule[] = {
		{ .name = "alias.example.test.",
			.rr_type = RRTYPE_CNAME,
			.rr = { "026d78c012" } },
		{ .name = "lame.example.test.", .lame = true },
		{ .name = "junk.example.test.", .garbage = true },
		{ .name = "other.example.test.",
			.rr_type = RRTYPE_A,
			.rr = { "7f000001" } },
		{ .name = "short.example.test.",
			.rr_type = RRTYPE_TLSA,
			.rr = { "0301" } },
	};
	const struct behaviour odd = { .rule = rule, .n = 5 };
	const struct behaviour *const b[] = { &odd };

	(void)state;
	prepare(b, 1, DNS_INSECURE);
	for (size_t i = 0; i < 5; i++)
		ask(rule[i].name, RRTYPE_TLSA);
	ask(rule[0].name, RRTYPE_CNAME);
	run();
	for (int tcp = 0; tcp < 2; tcp++) {
		is(got(0, 0, tcp), SURVEY_ALIAS);
		assert_int_equal(got(0, 0, tcp)->ttl, 3600);
		is(got(1, 0, tcp), SURVEY_LAME);
		is(got(2, 0, tcp), SURVEY_GARBAGE);
		is(got(3, 0, tcp), SURVEY_GARBAGE);
		is(got(4, 0, tcp), SURVEY_GARBAGE);
		is(got(5, 0, tcp), SURVEY_DATA); /* asked for the alias */
	}
	end();
}

/* ---- signatures ---------------------------------------------------------- */

static void replay(const char *packet, bool strip, const char *name,
	enum dns_security security, int64_t now_s)
{
	const struct rule rule[] = {
		{ .type = RRTYPE_TLSA, .replay = packet, .strip = strip }
	};
	const struct behaviour signer = { .rule = rule, .n = 1 };
	const struct behaviour *const b[] = { &signer };

	prepare(b, 1, security);
	ask(name, RRTYPE_TLSA);
	limits.wall_s = now_s;
	run();
	limits.wall_s = FIX_NOW;
}

static void expect_sig(const char *packet, const char *name, int64_t now_s,
	enum survey_outcome outcome, enum codec_sig sig)
{
	replay(packet, sig == CODEC_SIG_NONE, name, DNS_SECURE, now_s);
	for (int tcp = 0; tcp < 2; tcp++) {
		const struct survey_answer *a = got(0, 0, tcp);

		is(a, outcome);
		assert_true(a->sig_checked);
		assert_int_equal(a->sig, sig);
		assert_int_equal(a->why[0] == '\0', sig == CODEC_SIG_OK);
		if (sig == CODEC_SIG_NONE)
			continue;
		/* How long it still lasts. */
		assert_int_equal(a->inception, 1767225600);
		assert_int_equal(a->expiration, 1830297600);
	}
	/* The SOA of the script is not signed. */
	assert_int_equal(got(SOA, 0, false)->sig, CODEC_SIG_NONE);
	end();
}

static void signatures(void **state)
{
	static char bad[sizeof(FIX_FOUND)];

	(void)state;
	expect_sig(FIX_FOUND, FIX_MX25, FIX_NOW, SURVEY_DATA, CODEC_SIG_OK);
	expect_sig(FIX_WILD, FIX_WILD25, FIX_NOW, SURVEY_DATA, CODEC_SIG_OK);
	expect_sig(FIX_NODATA, FIX_MX, FIX_NOW, SURVEY_NODATA, CODEC_SIG_OK);
	expect_sig(FIX_NXDOMAIN, FIX_MX465, FIX_NOW, SURVEY_NXDOMAIN,
		CODEC_SIG_OK);
	expect_sig(FIX_NXDOMAIN3, FIX_MX465, FIX_NOW, SURVEY_NXDOMAIN,
		CODEC_SIG_OK);
	expect_sig(FIX_FOUND, FIX_MX25, 1830297599, SURVEY_DATA, CODEC_SIG_OK);
	expect_sig(FIX_FOUND, FIX_MX25, 1830297601, SURVEY_DATA,
		CODEC_SIG_EXPIRED);
	expect_sig(FIX_NODATA, FIX_MX, LATER, SURVEY_NODATA, CODEC_SIG_EXPIRED);
	expect_sig(FIX_NODATA, FIX_MX, 1767225599, SURVEY_NODATA,
		CODEC_SIG_EXPIRED);
	expect_sig(FIX_FOUND, FIX_MX25, FIX_NOW, SURVEY_DATA, CODEC_SIG_NONE);
	expect_sig(FIX_NODATA, FIX_MX, FIX_NOW, SURVEY_NODATA, CODEC_SIG_NONE);
	memcpy(bad, FIX_FOUND, sizeof(bad));
	memcpy(strstr(bad, "1111111111"), "12", 2);
	expect_sig(bad, FIX_MX25, FIX_NOW, SURVEY_DATA, CODEC_SIG_BAD);
}

/* Where no key can be trusted the windows still tell what is wrong. */
static void bogus_zone(void **state)
{
	(void)state;
	replay(FIX_FOUND, false, FIX_MX25, DNS_BOGUS, FIX_NOW);
	assert_false(got(0, 0, false)->sig_checked);
	assert_int_equal(got(0, 0, false)->sig, CODEC_SIG_OK);
	assert_int_equal(got(0, 0, false)->expiration, 1830297600);
	assert_int_equal(got(SOA, 0, false)->sig, CODEC_SIG_NONE);
	end();
	replay(FIX_FOUND, false, FIX_MX25, DNS_BOGUS, LATER);
	assert_int_equal(got(0, 0, false)->sig, CODEC_SIG_EXPIRED);
	assert_non_null(strstr(got(0, 0, true)->why, "2028-01-01"));
	end();
	replay(FIX_NODATA, false, FIX_MX, DNS_BOGUS, LATER);
	assert_int_equal(got(0, 0, false)->sig, CODEC_SIG_EXPIRED);
	end();
	replay(FIX_FOUND, true, FIX_MX25, DNS_BOGUS, FIX_NOW);
	assert_int_equal(got(0, 0, false)->sig, CODEC_SIG_NONE);
	end();
	/* Nobody expects any in an insecure zone. */
	replay(FIX_FOUND, false, FIX_MX25, DNS_INSECURE, LATER);
	assert_int_equal(got(0, 0, false)->sig, CODEC_SIG_OK);
	assert_int_equal(got(0, 0, false)->expiration, 0);
	end();
}

/* Names in RDATA, in capitals and compressed; a DNAME, which is what is signed
 * of an alias. */
static void signed_names(void **state)
{
	const struct rule rule[] = {
		{ .type = RRTYPE_MX, .replay = ROOT_MX },
		{ .type = RRTYPE_TLSA, .replay = ROOT_DNAME },
	};
	const struct behaviour signer = { .rule = rule, .n = 2 };
	const struct behaviour *const b[] = { &signer };
	struct rdata key = { .data = root_key };
	struct zone_auth *a;

	(void)state;
	/* The key record out of the answer that holds it. */
	{
		uint8_t wire[1024];

		(void)fix_hex(ROOT_DNSKEY, wire);
		memcpy(root_key, wire + 28, 68);
		key.len = 68;
	}
	prepare(b, 1, DNS_SECURE);
	a = &survey.zone[0].auth;
	(void)snprintf(a->zone, sizeof(a->zone), ".");
	a->dnskey = &key;
	a->n_dnskey = 1;
	ask(".", RRTYPE_MX);
	ask("x.dn.", RRTYPE_TLSA);
	run();
	is(got(0, 0, false), SURVEY_DATA);
	assert_int_equal(got(0, 0, false)->n_rr, 2);
	assert_int_equal(got(0, 0, false)->sig, CODEC_SIG_OK);
	assert_int_equal(got(0, 0, false)->expiration, ROOT_UNTIL);
	is(got(1, 0, true), SURVEY_ALIAS);
	assert_true(got(1, 0, true)->sig_checked);
	assert_int_equal(got(1, 0, true)->sig, CODEC_SIG_OK);
	end();
}

/* ---- DS and DNSKEY ------------------------------------------------------- */

/* The DS record of a key of example.test. */
static void make_ds(struct rdata *ret, const uint8_t *key, size_t len)
{
	struct codec_name zone;
	uint8_t in[500];
	unsigned int n = 0;
	uint16_t tag = codec_keytag(key, len);

	assert_true(codec_name_set(&zone, ZONE));
	memcpy(in, zone.w, zone.len);
	memcpy(in + zone.len, key, len);
	ret->data[0] = (uint8_t)(tag >> 8);
	ret->data[1] = (uint8_t)tag;
	ret->data[2] = key[3];
	ret->data[3] = 2;
	assert_int_equal(EVP_Digest(in, zone.len + len, ret->data + 4, &n,
				 EVP_sha256(), NULL),
		1);
	ret->len = 4 + n;
}

static void ds_against(const struct behaviour *const b[], size_t n,
	struct lookup *l, enum survey_ds want)
{
	prepare(b, n, DNS_BOGUS);
	ds = l;
	run();
	if (survey.zone[0].ds != want)
		fail_msg("%d: %s", (int)survey.zone[0].ds,
			survey.zone[0].ds_why);
}

static void ds_and_keys(void **state)
{
	static uint8_t d1[64], d2[64];
	struct rdata rr[2] = { { .data = d1 }, { .data = d2 } };
	struct lookup l = { .type = RRTYPE_DS, .havedata = true, .rr = rr };
	const struct rule both[] = { { .type = RRTYPE_DNSKEY,
		.rr_type = RRTYPE_DNSKEY,
		.rr = { FIX_KEY1, FIX_KEY2 } } };
	const struct rule zsk[] = { { .type = RRTYPE_DNSKEY,
		.rr_type = RRTYPE_DNSKEY,
		.rr = { FIX_KEY2 } } };
	const struct rule none[] = { { .type = RRTYPE_DNSKEY, .rcode = 5 } };
	struct behaviour right = { .rule = both, .n = 1 };
	const struct behaviour wrong = { .rule = zsk, .n = 1 };
	const struct behaviour keyless = { .n = 0 };
	const struct behaviour refuse = { .rule = none, .n = 1 };
	const struct behaviour *one[] = { &right };
	const struct behaviour *mixed[] = { &right, &wrong };
	char tags[64];

	(void)state;
	keys[0].len = fix_hex(FIX_KEY1, key1);
	keys[1].len = fix_hex(FIX_KEY2, key2);
	make_ds(&rr[0], key1, keys[0].len);
	l.n = 1;
	(void)snprintf(tags, sizeof(tags), "DS %u, DNSKEY %u %u",
		codec_keytag(key1, keys[0].len),
		codec_keytag(key1, keys[0].len),
		codec_keytag(key2, keys[1].len));
	ds_against(one, 1, &l, SURVEY_DS_OK);
	assert_memory_equal(survey.zone[0].ds_why, tags, strlen(tags));
	assert_non_null(strstr(survey.zone[0].ds_why, "no RRSIG"));
	end();
	right.tcp_refused = true; /* one transport is enough for this */
	ds_against(one, 1, &l, SURVEY_DS_OK);
	end();
	/* One of two servers is enough for some senders to fail. */
	ds_against(mixed, 2, &l, SURVEY_DS_MISMATCH);
	assert_non_null(strstr(survey.zone[0].ds_why, server[1].addr.text));
	end();
	one[0] = &wrong;
	ds_against(one, 1, &l, SURVEY_DS_MISMATCH);
	(void)snprintf(tags, sizeof(tags), "DS %u, DNSKEY %u",
		codec_keytag(key1, keys[0].len),
		codec_keytag(key2, keys[1].len));
	assert_memory_equal(survey.zone[0].ds_why, tags, strlen(tags));
	end();
	one[0] = &keyless;
	ds_against(one, 1, &l, SURVEY_DS_MISMATCH);
	assert_non_null(strstr(survey.zone[0].ds_why, "no DNSKEY"));
	end();
	one[0] = &refuse;
	ds_against(one, 1, &l, SURVEY_DS_UNKNOWN);
	end();
	/* Another digest of the same key. */
	d1[10] ^= 1;
	one[0] = &right;
	ds_against(one, 1, &l, SURVEY_DS_MISMATCH);
	assert_non_null(strstr(survey.zone[0].ds_why, "same key tag"));
	end();
	/* A second DS that fits makes it good. */
	make_ds(&rr[1], key2, keys[1].len);
	l.n = 2;
	ds_against(one, 1, &l, SURVEY_DS_OK);
	end();
	/* The look-up of the DS itself. */
	l.n = 0;
	ds_against(one, 1, &l, SURVEY_DS_NONE);
	end();
	l.security = DNS_FAILED;
	(void)snprintf(l.why, sizeof(l.why), "no answer");
	ds_against(one, 1, &l, SURVEY_DS_UNKNOWN);
	assert_string_equal(survey.zone[0].ds_why, "no answer");
	end();
}

/* The keys of the root fixture and their signature's time. */
static void key_signatures(void **state)
{
	static uint8_t d1[64];
	struct rdata rr = { .data = d1, .len = 36 };
	struct lookup l = {
		.type = RRTYPE_DS, .havedata = true, .rr = &rr, .n = 1
	};
	const struct rule rule[] = { { .type = RRTYPE_DNSKEY,
		.replay = ROOT_DNSKEY } };
	const struct behaviour signer = { .rule = rule, .n = 1 };
	const struct behaviour *const b[] = { &signer };

	(void)state;
	(void)fix_hex("44340d028078d51f944aaaa1eb13b63896c5e2d68b40d103c5a031de"
		      "a9fe2189d8827c21",
		d1);
	for (int i = 0; i < 2; i++) {
		prepare(b, 1, DNS_BOGUS);
		(void)snprintf(survey.zone[0].auth.zone, DNS_NAME_MAX, ".");
		ds = &l;
		limits.wall_s = i == 0 ? FIX_NOW : ROOT_UNTIL + 86400;
		run();
		limits.wall_s = FIX_NOW;
		assert_int_equal(survey.zone[0].ds, SURVEY_DS_OK);
		assert_int_equal(
			strstr(survey.zone[0].ds_why,
				"their RRSIG ended 2050-01-01") != NULL,
			i == 1);
		end();
	}
}

/* ---- finding ------------------------------------------------------------- */

/* Without a resolver nothing is known, and that is what it says. */
static void no_resolver(void **state)
{
	char dir[] = "/tmp/test_survey.XXXXXX", anchor[64], hints[64];
	struct resolver_config cfg = {
		.root_hints = hints, .trust_anchor = anchor, .timeout_ms = 200
	};
	struct resolver *r = NULL;
	struct memo *m = NULL;
	struct err err = ERR_INIT;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(anchor, sizeof(anchor), "%s/anchor", dir);
	(void)snprintf(hints, sizeof(hints), "%s/hints", dir);
	f = fopen(anchor, "we");
	assert_non_null(f);
	assert_true(fputs(ROOT_ANCHOR, f) >= 0);
	assert_int_equal(fclose(f), 0);
	f = fopen(hints, "we");
	assert_non_null(f);
	assert_true(fputs(". 60 NS a.ns.\na.ns. 60 A 127.9.9.9\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(resolver_new(&cfg, &r, &err), ST_OK);
	assert_int_equal(memo_new(r, &m, &err), ST_OK);
	survey = (struct survey){ .n_zones = 0 };
	ask(FIX_MX25, RRTYPE_TLSA);
	ask(MX, RRTYPE_A);
	assert_int_equal(survey_run(&survey, m, 1000, &err), ST_OK);
	assert_int_equal(survey.n_answers, 0);
	assert_int_equal(survey.n_zones, 1);
	assert_int_equal(survey.question[0].zone, 0);
	assert_int_equal(survey.zone[0].auth.security, DNS_FAILED);
	assert_true(survey.zone[0].auth.why[0] != '\0');
	survey_release(&survey);
	memo_free(m);
	resolver_free(r);
	(void)unlink(anchor);
	(void)unlink(hints);
	assert_int_equal(rmdir(dir), 0);
}

/* Last: it takes the network away from this process. */
static void no_route(void **state)
{
	const struct behaviour *const b[] = { NULL };
	struct auth_server *s;

	(void)state;
	if (unshare(CLONE_NEWNET) != 0 &&
		unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		skip();
	prepare(b, 1, DNS_INSECURE);
	s = &survey.zone[0].auth.server[0];
	s->has_addr = true;
	assert_true(dns_addr_parse("2001:db8::53", 53, &s->addr));
	ask(MX, RRTYPE_A);
	run();
	is(got(0, 0, false), SURVEY_NO_ROUTE);
	is(got(0, 0, true), SURVEY_NO_ROUTE);
	assert_true(took_ms < slow(200));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(good),
		cmocka_unit_test(one_transport),
		cmocka_unit_test(many),
		cmocka_unit_test(ignored_type),
		cmocka_unit_test(rcodes),
		cmocka_unit_test(empty_non_terminal),
		cmocka_unit_test(servers_differ),
		cmocka_unit_test(truncated),
		cmocka_unit_test(odd_answers),
		cmocka_unit_test(signatures),
		cmocka_unit_test(bogus_zone),
		cmocka_unit_test(signed_names),
		cmocka_unit_test(ds_and_keys),
		cmocka_unit_test(key_signatures),
		cmocka_unit_test(no_resolver),
		cmocka_unit_test(no_route),
	};

	limits.deadline_ms = slow(10000);
	limits.udp_ms = slow(400);
	limits.tcp_ms = slow(800);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
