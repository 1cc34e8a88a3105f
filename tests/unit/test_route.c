/*
 * From a domain to hosts and TLSA base domains: the table of RFC 7672 2.2.2 and
 * what must be kept apart. The look-ups come from a table; memo.c is the real
 * one with the resolver replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hook/base/clock.h"
#include "hook/check/check.h"

#include "slow.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum status fake_lookup(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err);
#define resolver_lookup fake_lookup
#include "hook/dns/memo.c"

/* One answer of the world. data: MX "10 name", A "a", TLSA "t", else text. */
struct answer {
	const char *name;
	uint16_t type;
	enum dns_security security;
	const char *canon; /* NULL: name */
	const char *data;  /* NULL: NODATA; "!" NXDOMAIN */
};

static const struct answer *world;
static size_t n_asked;
static char asked[64][DNS_NAME_MAX + 8];

static void put(struct lookup *l, const uint8_t *data, size_t len)
{
	l->rr = reallocarray(l->rr, l->n + 1, sizeof(*l->rr));
	l->rr[l->n].data = malloc(len);
	memcpy(l->rr[l->n].data, data, len);
	l->rr[l->n++].len = len;
	l->havedata = true;
}

static void put_mx(struct lookup *l, const char *text)
{
	uint8_t w[300] = { 0, (uint8_t)strtoul(text, NULL, 10) };
	const char *p = strchr(text, ' ') + 1;
	size_t at = 2;

	while (*p != '\0' && strcmp(p, ".") != 0) {
		size_t len = strcspn(p, ".");

		w[at++] = (uint8_t)len;
		memcpy(w + at, p, len);
		at += len;
		p += len + 1;
	}
	w[at++] = 0;
	put(l, w, at);
}

static void fill(struct lookup *l, const struct answer *a)
{
	static const uint8_t tlsa[35] = { 3, 1, 1, 0xaa };
	static const uint8_t ip[16] = { 192, 0, 2, 1 };

	l->security = a->security;
	if (a->canon != NULL)
		(void)snprintf(l->canon, sizeof(l->canon), "%s", a->canon);
	if (a->data == NULL)
		return;
	if (strcmp(a->data, "!") == 0)
		l->nxdomain = true;
	else if (a->type == RRTYPE_MX)
		put_mx(l, a->data);
	else if (a->type == RRTYPE_TLSA)
		put(l, tlsa, sizeof(tlsa));
	else
		put(l, ip, a->type == RRTYPE_AAAA ? 16 : 4);
}

/* What the world does not name is a secure NODATA. */
static enum status fake_lookup(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	(void)r;
	(void)err;
	for (size_t i = 0; i < n; i++) {
		struct lookup *l = jobs[i];

		(void)snprintf(asked[n_asked++ % 64], sizeof(asked[0]), "%s %u",
			l->name, l->type);
		memcpy(l->canon, l->name, sizeof(l->canon));
		l->security = DNS_SECURE;
		l->ttl = 3600;
		for (const struct answer *a = world; a->name != NULL; a++)
			if (a->type == l->type && strcmp(a->name, l->name) == 0)
				fill(l, a);
	}
	return ST_OK;
}

static bool was_asked(const char *name, unsigned int type)
{
	char text[DNS_NAME_MAX + 8];

	(void)snprintf(text, sizeof(text), "%s %u", name, type);
	for (size_t i = 0; i < n_asked && i < 64; i++)
		if (strcmp(asked[i], text) == 0)
			return true;
	return false;
}

struct run {
	struct memo *m;
	struct check c;
};

static void route(struct run *r, enum check_kind kind, const char *name,
	const struct answer *w)
{
	struct check *list[] = { &r->c };
	struct err err = ERR_INIT;

	memset(r, 0, sizeof(*r));
	world = w;
	n_asked = 0;
	r->c.kind = kind;
	r->c.port = 25;
	(void)snprintf(r->c.name, sizeof(r->c.name), "%s", name);
	assert_int_equal(memo_new(NULL, &r->m, &err), ST_OK);
	assert_int_equal(check_route(list, 1, r->m, &err), ST_OK);
}

static void done(struct run *r)
{
	check_release(&r->c);
	memo_free(r->m);
}

#define S DNS_SECURE
#define I DNS_INSECURE
#define B DNS_BOGUS
#define F DNS_FAILED
#define H "mx.a.test."
#define X "host.b.test."
#define TH "_25._tcp.mx.a.test."
#define TX "_25._tcp.host.b.test."

/* RFC 7672 2.2.2 and 2.2.3; dane.md E46, I. */
static const struct {
	const char *what;
	struct answer w[6];
	enum host_dane dane;
	const char *base;
	bool tlsa_asked_h, tlsa_asked_x;
} rows[] = {
	{ "plain, secure", { { H, 1, S, NULL, "a" }, { TH, 52, S, NULL, "t" } },
		HOST_TLSA, H, true, false },
	{ "plain, secure, no TLSA", { { H, 1, S, NULL, "a" } }, HOST_NO_TLSA, H,
		true, false },
	{ "plain, secure, NXDOMAIN for TLSA",
		{ { H, 1, S, NULL, "a" }, { TH, 52, S, NULL, "!" } },
		HOST_NO_TLSA, H, true, false },
	{ "insecure address: TLSA is not asked",
		{ { H, 1, I, NULL, "a" }, { TH, 52, S, NULL, "t" } },
		HOST_INSECURE, H, false, false },
	{ "secure address, insecure TLSA",
		{ { H, 1, S, NULL, "a" }, { TH, 52, I, NULL, "t" } },
		HOST_INSECURE, H, true, false },
	{ "secure address, insecure denial of TLSA",
		{ { H, 1, S, NULL, "a" }, { TH, 52, I, NULL, NULL } },
		HOST_NO_TLSA, H, true, false },
	{ "TLSA alias that ends in an unsigned zone",
		{ { H, 1, S, NULL, "a" }, { TH, 52, I, "t.c.test.", NULL } },
		HOST_INSECURE, H, true, false },
	{ "TLSA alias: the base domain stays",
		{ { H, 1, S, NULL, "a" }, { TH, 52, S, "t.c.test.", "t" } },
		HOST_TLSA, H, true, false },
	{ "bogus address", { { H, 1, B, NULL, NULL } }, HOST_BOGUS, H, false,
		false },
	{ "no answer for A, NODATA for AAAA", { { H, 1, F, NULL, NULL } },
		HOST_ADDR_FAILED, H, false, false },
	{ "A is there, AAAA fails: goes on",
		{ { H, 1, S, NULL, "a" }, { H, 28, F, NULL, NULL },
			{ TH, 52, S, NULL, "t" } },
		HOST_TLSA, H, true, false },
	{ "one bogus, the other failed",
		{ { H, 1, F, NULL, NULL }, { H, 28, B, NULL, NULL } },
		HOST_BOGUS, H, false, false },
	{ "A signed, AAAA not",
		{ { H, 1, S, NULL, "a" }, { H, 28, I, NULL, "a" } },
		HOST_INSECURE, H, false, false },
	{ "only AAAA", { { H, 28, S, NULL, "a" }, { TH, 52, S, NULL, "t" } },
		HOST_TLSA, H, true, false },
	{ "no address at all", { { H, 1, S, NULL, NULL } }, HOST_NO_ADDRESS, H,
		false, false },
	{ "bogus TLSA", { { H, 1, S, NULL, "a" }, { TH, 52, B, NULL, NULL } },
		HOST_BOGUS, H, true, false },
	{ "TLSA look-up fails",
		{ { H, 1, S, NULL, "a" }, { TH, 52, F, NULL, NULL } },
		HOST_TLSA_FAILED, H, true, false },
	{ "secure alias, TLSA at the expanded name",
		{ { H, 1, S, X, "a" }, { H, 28, S, X, NULL },
			{ TX, 52, S, NULL, "t" }, { TH, 52, S, NULL, "t" } },
		HOST_TLSA, X, true, true },
	{ "secure alias, TLSA at the name only",
		{ { H, 1, S, X, "a" }, { H, 28, S, X, NULL },
			{ TH, 52, S, NULL, "t" } },
		HOST_TLSA, H, true, true },
	{ "secure alias, no TLSA anywhere",
		{ { H, 1, S, X, "a" }, { H, 28, S, X, NULL } }, HOST_NO_TLSA, H,
		true, true },
	{ "secure alias, bogus at the expanded name: no second choice",
		{ { H, 1, S, X, "a" }, { H, 28, S, X, NULL },
			{ TX, 52, B, NULL, NULL }, { TH, 52, S, NULL, "t" } },
		HOST_BOGUS, X, true, true },
	{ "secure alias, no answer at the expanded name: no second choice",
		{ { H, 1, S, X, "a" }, { TX, 52, F, NULL, NULL },
			{ TH, 52, S, NULL, "t" } },
		HOST_TLSA_FAILED, X, true, true },
	{ "alias to an unsigned zone, the alias itself is signed",
		{ { H, 1, I, X, "a" }, { H, 28, I, X, NULL },
			{ H, 5, S, NULL, "c" }, { TH, 52, S, NULL, "t" } },
		HOST_TLSA, H, true, false },
	{ "alias to an unsigned zone, signed alias, no TLSA",
		{ { H, 1, I, X, "a" }, { H, 5, S, NULL, "c" } }, HOST_NO_TLSA,
		H, true, false },
	{ "alias to an unsigned zone, unsigned alias",
		{ { H, 1, I, X, "a" }, { H, 5, I, NULL, "c" },
			{ TH, 52, S, NULL, "t" } },
		HOST_INSECURE, H, false, false },
	{ "alias to an unsigned zone, no answer about the alias",
		{ { H, 1, I, X, "a" }, { H, 5, F, NULL, NULL },
			{ TH, 52, S, NULL, "t" } },
		HOST_ADDR_FAILED, H, false, false },
	{ "alias to an unsigned zone, bogus alias",
		{ { H, 1, I, X, "a" }, { H, 5, B, NULL, NULL },
			{ TH, 52, S, NULL, "t" } },
		HOST_BOGUS, H, false, false },
	{ "alias to a bogus zone", { { H, 1, B, X, NULL } }, HOST_BOGUS, H,
		false, false },
};

static void test_base_domain(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run r;
		const struct check_host *h;

		route(&r, CHECK_BY_HOST, H, rows[i].w);
		h = &r.c.host[0];
		if (h->dane != rows[i].dane ||
			strcmp(h->base, rows[i].base) != 0 ||
			was_asked(TH, 52) != rows[i].tlsa_asked_h ||
			was_asked(TX, 52) != rows[i].tlsa_asked_x)
			fail_msg("%s: dane %d base %s", rows[i].what,
				(int)h->dane, h->base);
		assert_int_equal(h->rrset.n, rows[i].dane == HOST_TLSA);
		assert_int_equal(h->owner[0], '_');
		done(&r);
	}
}

static void test_mx(void **state)
{
	static const struct answer w[] = { { "a.test.", 15, S, NULL,
						   "20 b.a.test." },
		{ "a.test.", 15, S, NULL, "10 c.a.test." },
		{ "a.test.", 15, S, NULL, "5 b.a.test." },
		{ "b.a.test.", 1, S, NULL, "a" },
		{ "c.a.test.", 1, S, NULL, "a" }, { .name = NULL } };
	struct run r;

	(void)state;
	route(&r, CHECK_BY_DOMAIN, "a.test.", w);
	assert_int_equal(r.c.n_hosts, 2);
	assert_string_equal(r.c.host[0].name, "b.a.test.");
	assert_int_equal(r.c.host[0].pref, 5);
	assert_string_equal(r.c.host[1].bare, "c.a.test");
	assert_non_null(r.c.tlsrpt);
	assert_non_null(r.c.bare_tlsa);
	assert_string_equal(r.c.names[0], "a.test");
	assert_null(r.c.names[1]);
	done(&r);
}

static void test_mx_kinds(void **state)
{
	static const struct {
		struct answer w[3];
		size_t n_hosts;
		bool null_mx, implicit;
	} t[] = {
		{ { { "a.test.", 15, S, NULL, NULL } }, 1, false, true },
		{ { { "a.test.", 15, I, NULL, NULL } }, 1, false, true },
		{ { { "a.test.", 15, S, NULL, "!" } }, 0, false, false },
		{ { { "a.test.", 15, B, NULL, NULL } }, 0, false, false },
		{ { { "a.test.", 15, F, NULL, NULL } }, 0, false, false },
		{ { { "a.test.", 15, S, NULL, "0 ." } }, 0, true, false },
		{ { { "a.test.", 15, S, NULL, "0 ." },
			  { "a.test.", 15, S, NULL, "9 b.test." } },
			1, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct run r;

		route(&r, CHECK_BY_DOMAIN, "a.test.", t[i].w);
		assert_int_equal(r.c.n_hosts, t[i].n_hosts);
		assert_int_equal(r.c.null_mx, t[i].null_mx);
		assert_int_equal(r.c.implicit_mx, t[i].implicit);
		/* The domain is a host itself: then its record is not inert. */
		assert_int_equal(r.c.bare_tlsa == NULL, t[i].implicit);
		done(&r);
	}
}

/* A reference name of its own: the domain behind an alias. */
static void test_domain_alias(void **state)
{
	static const struct answer w[] = { { "a.test.", 15, S, "z.test.",
						   "1 mx.a.test." },
		{ H, 1, S, NULL, "a" }, { TH, 52, S, NULL, "t" },
		{ .name = NULL } };
	struct run r;

	(void)state;
	route(&r, CHECK_BY_DOMAIN, "a.test.", w);
	assert_string_equal(r.c.names[0], "a.test");
	assert_string_equal(r.c.names[1], "z.test");
	assert_null(r.c.names[2]);
	assert_int_equal(r.c.host[0].dane, HOST_TLSA);
	done(&r);
}

/* Behind an unsigned MX answer, or at the end of a host's alias, there are no
 * further names that count. (RFC 7672 3.2.2) */
static void test_names(void **state)
{
	static const struct {
		enum check_kind kind;
		const char *name;
		struct answer w[3];
		const char *want; /* NULL: none */
	} t[] = {
		{ CHECK_BY_DOMAIN, "a.test.",
			{ { "a.test.", 15, I, NULL, "1 mx.a.test." } }, NULL },
		{ CHECK_BY_DOMAIN, "a.test.",
			{ { "a.test.", 15, I, "z.test.", "1 mx.a.test." } },
			NULL },
		{ CHECK_BY_DOMAIN, "a.test.",
			{ { "a.test.", 15, S, "z.test.", NULL } }, "a.test" },
		{ CHECK_BY_DOMAIN, "a.test.",
			{ { "a.test.", 15, I, NULL, NULL } }, "a.test" },
		{ CHECK_BY_HOST, H,
			{ { H, 1, I, X, "a" }, { H, 5, S, NULL, "c" } },
			"mx.a.test" },
		{ CHECK_BY_HOST, H, { { H, 1, S, X, "a" } }, "mx.a.test" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct run r;

		route(&r, t[i].kind, t[i].name, t[i].w);
		if (t[i].want == NULL) {
			assert_null(r.c.names[0]);
		} else {
			assert_string_equal(r.c.names[0], t[i].want);
			assert_null(r.c.names[1]);
		}
		done(&r);
	}
}

/* No zone can make us talk to our own machine; a host that the operator names
 * is another matter. */
static void test_self(void **state)
{
	static const uint8_t addr[][4] = { { 127, 0, 0, 1 }, { 0, 0, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rdata rd = { (uint8_t *)(uintptr_t)addr[i], 4 };
		struct lookup l = { .rr = &rd, .n = 1 };
		struct check c = { .kind = CHECK_BY_DOMAIN };
		struct check_options opt = { .quick = false };
		struct check *list[] = { &c };
		struct err err = ERR_INIT;

		assert_int_equal(
			check_add_host(&c, "a.test.", 1, PROTO_TLS, &err),
			ST_OK);
		c.host[0].a = &l;
		assert_int_equal(check_probe(list, 1, &opt, &err), ST_OK);
		assert_int_equal(c.host[0].n_conns, 8);
		assert_int_equal(
			c.host[0].conn[7].job.result, PROBE_NO_CONNECT);
		assert_non_null(
			strstr(c.host[0].conn[7].job.why, "the sender itself"));
		check_release(&c);
	}
}

/* Sixty-four names of one address that never answers cost one deadline. */
static void test_tarpit(void **state)
{
	static const uint8_t ip[4] = { 127, 0, 0, 1 };
	struct rdata rd = { (uint8_t *)(uintptr_t)ip, 4 };
	struct lookup l = { .rr = &rd, .n = 1 };
	struct check c = { .kind = CHECK_BY_LINEAGE };
	struct check_options opt = { .limits = { .total_ms = 300 } };
	struct check *list[] = { &c };
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	struct err err = ERR_INIT;
	int64_t start;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 600), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	for (size_t i = 0; i < CHECK_HOSTS_MAX; i++) {
		assert_int_equal(check_add_host(&c, "a.test.",
					 ntohs(a.sin_port), PROTO_TLS, &err),
			ST_OK);
		c.host[i].a = &l;
		(void)snprintf(c.host[i].base_bare, sizeof(c.host[i].base_bare),
			"a.test");
	}
	start = clock_mono_ms();
	assert_int_equal(check_probe(list, 1, &opt, &err), ST_OK);
	assert_in_range(clock_mono_ms() - start, 250, slow(3000));
	for (size_t i = 0; i < CHECK_HOSTS_MAX; i++)
		for (size_t k = 0; k < c.host[i].n_conns; k++)
			assert_int_equal(
				c.host[i].conn[k].job.result, PROBE_TIMEOUT);
	(void)close(fd);
	check_release(&c);
}

static void test_many_hosts(void **state)
{
	static struct answer w[CHECK_HOSTS_MAX + 10];
	static char text[CHECK_HOSTS_MAX + 10][32];
	struct run r;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(w) / sizeof(w[0]); i++) {
		(void)snprintf(text[i], sizeof(text[i]), "1 h%zu.test.", i);
		w[i] = (struct answer){ "a.test.", 15, S, NULL, text[i] };
	}
	/* The most preferred must not be the one that is cut off. */
	(void)snprintf(text[CHECK_HOSTS_MAX + 5], sizeof(text[0]), "0 h.test.");
	route(&r, CHECK_BY_DOMAIN, "a.test.", w);
	assert_int_equal(r.c.n_hosts, CHECK_HOSTS_MAX);
	assert_string_equal(r.c.host[0].name, "h.test.");
	assert_true(r.c.truncated);
	done(&r);
}

/* A name with no room left for the two labels of the owner. */
static void test_long_name(void **state)
{
	char name[DNS_NAME_MAX] = "";
	struct answer w[2] = { { name, 1, S, NULL, "a" } };
	struct run r;

	(void)state;
	for (size_t i = 0; i < 250; i += 2)
		memcpy(name + i, "a.", 3);
	route(&r, CHECK_BY_HOST, name, w);
	assert_int_equal(r.c.host[0].dane, HOST_NO_TLSA);
	assert_null(r.c.host[0].tlsa);
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_domain),
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_mx_kinds),
		cmocka_unit_test(test_domain_alias),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_tarpit),
		cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
