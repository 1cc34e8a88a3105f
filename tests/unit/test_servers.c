/*
 * Who serves a zone: with a resolver and a parent that say what the test wants.
 * The union of both NS sets, all addresses, and what could not be found out is
 * in the list as a server that nobody can ask.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/dns/memo.h"
#include "hook/dns/referral.h"

#include <arpa/inet.h>

#define ZONE "example.test."
#define OWNER "_25._tcp.mx.example.test."

/* ---- what the resolver and the parent know ---- */

struct fact {
	const char *name;
	uint16_t type;
	enum dns_security security;
	const char *data[4]; /* names and addresses; none: a denial */
	const char *zone, *canon;
	uint32_t ttl;
};

static const struct fact common[] = {
	{ .name = ".", .type = RRTYPE_SOA, .data = { "x" } },
	{ .name = "test.", .type = RRTYPE_SOA, .data = { "x" } },
	{ .name = ZONE, .type = RRTYPE_SOA, .data = { "x" } },
	{ .name = "other.test.", .type = RRTYPE_SOA, .data = { "x" } },
	{ .name = "test.", .type = RRTYPE_NS, .data = { "a.test." } },
	{ .name = "a.test.", .type = RRTYPE_A, .data = { "192.0.2.99" } },
	{ .name = OWNER,
		.type = RRTYPE_TLSA,
		.data = { "x" },
		.zone = ZONE,
		.ttl = 300 },
	{ .name = ZONE, .type = RRTYPE_DNSKEY, .data = { "key" } },
	{ .name = ZONE,
		.type = RRTYPE_NS,
		.data = { "ns1.example.test.", "ns2.other.test." } },
	{ .name = "other.test.", .type = RRTYPE_DNSKEY, .data = { "key" } },
	{ .name = "other.test.",
		.type = RRTYPE_NS,
		.data = { "ns2.other.test." } },
	{ .name = "ns1.example.test.",
		.type = RRTYPE_A,
		.data = { "192.0.2.1", "192.0.2.2" } },
	{ .name = "ns1.example.test.",
		.type = RRTYPE_AAAA,
		.data = { "2001:db8::1" } },
	{ .name = "ns2.other.test.",
		.type = RRTYPE_A,
		.data = { "192.0.2.3" } },
	{ .name = "ns3.other.test.",
		.type = RRTYPE_A,
		.data = { "192.0.2.4" } },
};

static struct fact special[8]; /* of the test: these come first */
static size_t n_special;
static const char *delegated[4]; /* none: the parent does not answer */
static const char *glue[2];      /* name, address */
static char asked_parent[64];    /* the address that was asked */

static const struct fact *fact_of(const struct lookup *l)
{
	for (size_t i = 0; i < n_special; i++)
		if (special[i].type == l->type &&
			strcmp(special[i].name, l->name) == 0)
			return &special[i];
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (common[i].type == l->type &&
			strcmp(common[i].name, l->name) == 0)
			return &common[i];
	return NULL;
}

/* Addresses, names in wire form, or just octets. */
static struct rdata data_of(uint16_t type, const char *text)
{
	uint8_t out[300];
	size_t n = 0;
	struct rdata d;

	if (type == RRTYPE_A && inet_pton(AF_INET, text, out) == 1)
		n = 4;
	else if (type == RRTYPE_AAAA && inet_pton(AF_INET6, text, out) == 1)
		n = 16;
	else if (type == RRTYPE_NS || type == RRTYPE_CNAME)
		for (const char *dot; *text != '\0'; text = dot + 1) {
			dot = strchr(text, '.');
			out[n++] = (uint8_t)(dot - text);
			memcpy(out + n, text, (size_t)(dot - text));
			n += (size_t)(dot - text);
		}
	if (type == RRTYPE_NS || type == RRTYPE_CNAME || n == 0)
		out[n++] = 0;
	d = (struct rdata){ malloc(n), n };
	assert_non_null(d.data);
	memcpy(d.data, out, n);
	return d;
}

static void answer(struct lookup *l)
{
	const struct fact *f = fact_of(l);

	memcpy(l->canon, l->name, sizeof(l->canon));
	l->ede = -1;
	if (f == NULL)
		return; /* a denial that tells no zone */
	l->security = f->security;
	l->ttl = f->ttl;
	if (f->security == DNS_BOGUS || f->security == DNS_FAILED) {
		(void)snprintf(
			l->why, sizeof(l->why), "no luck with %s", l->name);
		return;
	}
	if (f->canon != NULL)
		(void)snprintf(l->canon, sizeof(l->canon), "%s", f->canon);
	if (f->zone != NULL)
		(void)snprintf(l->zone, sizeof(l->zone), "%s", f->zone);
	l->rr = calloc(4, sizeof(*l->rr));
	assert_non_null(l->rr);
	while (l->n < 4 && f->data[l->n] != NULL) {
		l->rr[l->n] = data_of(l->type, f->data[l->n]);
		l->n++;
	}
	l->havedata = l->n > 0;
}

/* ---- instead of the library's ---- */

enum status resolver_lookup(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	(void)r;
	(void)err;
	for (size_t i = 0; i < n; i++)
		answer(jobs[i]);
	return ST_OK;
}

enum status referral_ask(struct referral_job *const job[], size_t n,
	int64_t deadline_ms, struct err *err)
{
	(void)deadline_ms;
	(void)err;
	for (size_t i = 0; i < n; i++) {
		struct referral *r = &job[i]->referral;

		job[i]->ok = false;
		(void)snprintf(job[i]->why, sizeof(job[i]->why), "silence");
		if (job[i]->n_servers > 0)
			(void)snprintf(asked_parent, sizeof(asked_parent), "%s",
				job[i]->server[0].text);
		if (delegated[0] == NULL || strcmp(job[i]->zone, ZONE) != 0)
			continue;
		job[i]->ok = true;
		job[i]->why[0] = '\0';
		r->name = calloc(4, sizeof(*r->name));
		r->glue = calloc(1, sizeof(*r->glue));
		assert_true(r->name != NULL && r->glue != NULL);
		for (; r->n < 4 && delegated[r->n] != NULL; r->n++)
			(void)snprintf(r->name[r->n], DNS_NAME_MAX, "%s",
				delegated[r->n]);
		if (glue[0] == NULL)
			continue;
		(void)snprintf(r->glue[0].name, sizeof(r->glue[0].name), "%s",
			glue[0]);
		assert_int_equal(
			inet_pton(AF_INET, glue[1], r->glue[0].addr), 1);
		r->glue[0].len = 4;
		r->n_glue = 1;
	}
	return ST_OK;
}

/* ---- the tests ---- */

static struct authority a;

static int begin(void **state)
{
	(void)state;
	n_special = 0;
	memset(glue, 0, sizeof(glue));
	memset(delegated, 0, sizeof(delegated));
	delegated[0] = "ns1.example.test.";
	delegated[1] = "ns2.other.test.";
	return 0;
}

static int end(void **state)
{
	(void)state;
	authority_release(&a);
	return 0;
}

static void find(const char *const ignore[])
{
	static const char *const owners[] = { OWNER };
	struct err err = ERR_INIT;

	if (authority_find(NULL, owners, 1, ignore, &a, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_int_equal(a.n_zones, 1);
	assert_int_equal(a.n_owners, 1);
}

/* The servers are exactly these, "name address" or "name -". */
static void check_servers(const char *const want[], size_t n)
{
	const struct zone_auth *z = &a.zone[0];

	for (size_t i = 0; i < z->n_servers; i++) {
		const struct auth_server *s = &z->server[i];
		char text[400];

		(void)snprintf(text, sizeof(text), "%s %s", s->name,
			s->has_addr ? s->addr.text : "-");
		if (i >= n || strcmp(want[i], text) != 0)
			fail_msg("server %zu is \"%s\" (%s)", i, text, s->why);
		assert_true(s->has_addr || s->why[0] != '\0');
	}
	assert_int_equal(z->n_servers, n);
}

#define SERVERS(...)                                                 \
	do {                                                         \
		static const char *const want[] = { __VA_ARGS__ };   \
		check_servers(want, sizeof(want) / sizeof(want[0])); \
	} while (0)
#define NS1 "ns1.example.test. 192.0.2.1", "ns1.example.test. 192.0.2.2"
#define NS1_6 "ns1.example.test. 2001:db8::1"

static void test_union(void **state)
{
	(void)state;
	delegated[1] = "ns3.other.test.";
	find(NULL);
	assert_string_equal(asked_parent, "192.0.2.99");
	assert_int_equal(a.zone[0].security, DNS_SECURE);
	assert_int_equal(a.zone[0].n_dnskey, 1);
	SERVERS(NS1, NS1_6, "ns2.other.test. 192.0.2.3",
		"ns3.other.test. 192.0.2.4");
	assert_non_null(strstr(a.zone[0].server[3].why, "not in the deleg"));
	assert_non_null(strstr(a.zone[0].server[4].why, "not in the zone"));
}

static void test_glue(void **state)
{
	(void)state;
	glue[0] = "ns1.example.test.";
	glue[1] = "192.0.2.77";
	find(NULL);
	SERVERS(NS1, "ns1.example.test. 192.0.2.77", NS1_6,
		"ns2.other.test. 192.0.2.3");
	assert_non_null(strstr(a.zone[0].server[2].why, "only in the glue"));
}

/* Glue for a name in another zone is not believed. */
static void test_glue_of_others(void **state)
{
	(void)state;
	glue[0] = "ns2.other.test.";
	glue[1] = "192.0.2.77";
	find(NULL);
	SERVERS(NS1, NS1_6, "ns2.other.test. 192.0.2.3");
}

static void test_silent_parent(void **state)
{
	(void)state;
	delegated[0] = NULL;
	find(NULL);
	SERVERS(NS1, NS1_6, "ns2.other.test. 192.0.2.3", "test. -");
	assert_non_null(strstr(a.zone[0].server[4].why, "silence"));
}

/* Each thing that is not found out, in turn. */
static void test_not_found_out(void **state)
{
	static const struct fact lost[] = {
		{ "ns2.other.test.", RRTYPE_A, DNS_FAILED, { NULL }, 0, 0, 0 },
		{ "ns2.other.test.", RRTYPE_A, DNS_BOGUS, { NULL }, 0, 0, 0 },
		{ "ns2.other.test.", RRTYPE_A, DNS_SECURE, { NULL }, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		special[0] = lost[i];
		n_special = 1;
		find(NULL);
		SERVERS(NS1, NS1_6, "ns2.other.test. -");
		authority_release(&a);
	}
	special[0] = (struct fact){ .name = "ns1.example.test.",
		.type = RRTYPE_AAAA,
		.security = DNS_FAILED };
	find(NULL);
	SERVERS("ns1.example.test. -", NS1, "ns2.other.test. 192.0.2.3");
	authority_release(&a);
	special[0] = (struct fact){
		.name = ZONE, .type = RRTYPE_NS, .security = DNS_BOGUS
	};
	find(NULL);
	SERVERS("example.test. -", NS1, NS1_6, "ns2.other.test. 192.0.2.3");
	authority_release(&a);
	special[0] = (struct fact){
		.name = "test.", .type = RRTYPE_SOA, .security = DNS_FAILED
	};
	find(NULL);
	SERVERS(NS1, NS1_6, "ns2.other.test. 192.0.2.3", "test. -");
}

/* Signed, yet without keys: nothing can be verified. Not: unsigned. */
static void test_keys(void **state)
{
	static const enum dns_security s[] = { DNS_SECURE, DNS_BOGUS,
		DNS_FAILED, DNS_INSECURE };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		special[0] = (struct fact){
			.name = ZONE, .type = RRTYPE_DNSKEY, .security = s[i]
		};
		n_special = 1;
		find(NULL);
		assert_int_equal(a.zone[0].security,
			s[i] == DNS_SECURE ? DNS_FAILED : s[i]);
		assert_int_equal(a.zone[0].n_dnskey, 0);
		authority_release(&a);
	}
}

/* Two names for one address: asked once, and ignored only under both. */
static void test_ignored(void **state)
{
	static const char *const one[] = { "ns2.other.test", NULL };
	static const char *const both[] = { "ns2.other.test.",
		"ns3.other.test.", NULL };
	static const char *const addr[] = { "192.0.2.3", NULL };

	(void)state;
	delegated[1] = "ns3.other.test.";
	special[0] = (struct fact){ .name = "ns3.other.test.",
		.type = RRTYPE_A,
		.data = { "192.0.2.3" } };
	n_special = 1;
	find(one);
	SERVERS(NS1, NS1_6, "ns3.other.test. 192.0.2.3");
	assert_false(a.zone[0].server[3].ignored);
	authority_release(&a);
	find(both);
	assert_int_equal(a.zone[0].n_servers, 4);
	assert_true(a.zone[0].server[3].ignored);
	authority_release(&a);
	find(addr);
	assert_true(a.zone[0].server[3].ignored);
	assert_false(a.zone[0].server[0].ignored);
}

/* The RRset is where the aliases end; caches keep each alias for its own TTL.
 */
static void test_alias(void **state)
{
	(void)state;
	special[0] = (struct fact){ .name = OWNER,
		.type = RRTYPE_TLSA,
		.data = { "x" },
		.zone = "other.test.",
		.canon = "t.other.test.",
		.ttl = 60 };
	special[1] = (struct fact){ .name = OWNER,
		.type = RRTYPE_CNAME,
		.data = { "middle.example.test." },
		.ttl = 7200 };
	special[2] = (struct fact){ .name = "middle.example.test.",
		.type = RRTYPE_CNAME,
		.data = { "t.other.test." },
		.ttl = 300 };
	n_special = 3;
	find(NULL);
	assert_string_equal(a.owner[0].final, "t.other.test.");
	assert_true(a.owner[0].is_cname);
	assert_int_equal(a.owner[0].cname_ttl, 7200);
	assert_string_equal(a.zone[0].zone, "other.test.");
	assert_string_equal(a.zone[0].server[0].name, "ns2.other.test.");
}

/* The answer did not come or is bogus: nothing is known of this zone. */
static void test_bad_answer(void **state)
{
	(void)state;
	special[0] = (struct fact){
		.name = OWNER, .type = RRTYPE_TLSA, .security = DNS_BOGUS
	};
	n_special = 1;
	find(NULL);
	assert_int_equal(a.owner[0].security, DNS_BOGUS);
	assert_string_equal(a.owner[0].final, OWNER);
	assert_int_equal(a.owner[0].n, 0);
	/* its servers are asked all the same, to tell why */
	assert_string_equal(a.zone[0].zone, ZONE);
	authority_release(&a);
	/* a cut might be where the SOA was not answered */
	special[1] = (struct fact){ .name = "mx.example.test.",
		.type = RRTYPE_SOA,
		.security = DNS_FAILED };
	n_special = 2;
	find(NULL);
	assert_int_equal(a.zone[0].security, DNS_FAILED);
	assert_int_equal(a.zone[0].n_servers, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_union), T(test_glue),
		T(test_glue_of_others), T(test_silent_parent),
		T(test_not_found_out), T(test_keys), T(test_ignored),
		T(test_alias), T(test_bad_answer) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
