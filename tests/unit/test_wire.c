/* What crosses between the engine and its network process: the same comes out
 * that went in; every cut, every changed octet and plain noise is either
 * refused or harmless. */
#include "hook/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

static const char *const owners[] = { "_25._tcp.mx1.example.",
	"_25._tcp.mx2.example." };
#define N 2

/* ---- samples ---- */

static uint8_t digest[32] = { 1, 2, 3 };

static void add(struct tlsa_rrset *set, uint8_t first)
{
	struct tlsa rr = { 3, 1, 1, 32, digest };
	struct err err = ERR_INIT;

	digest[0] = first;
	assert_int_equal(tlsa_rrset_add(set, &rr, &err), ST_OK);
}

static struct rdata *one_rdata(size_t len)
{
	struct rdata *rd = calloc(2, sizeof(*rd));

	assert_non_null(rd);
	rd->data = calloc(1, len + 1);
	assert_non_null(rd->data);
	rd->len = len;
	memset(rd->data, 0xa5, len);
	return rd;
}

static void text(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from);
}

static void make_sweep(struct authority *a, struct sweep *s)
{
	*a = (struct authority){ .zone = calloc(1, sizeof(*a->zone)),
		.n_zones = 1,
		.owner = calloc(N, sizeof(*a->owner)),
		.n_owners = N };
	*s = (struct sweep){ .owner = calloc(N, sizeof(*s->owner)), .n = N };
	assert_true(a->zone && a->owner && s->owner);
	text(a->zone->zone, DNS_NAME_MAX, "example.");
	a->zone->security = DNS_SECURE;
	a->zone->n_servers = 2;
	a->zone->server = calloc(2, sizeof(*a->zone->server));
	text(a->zone->server[0].name, DNS_NAME_MAX, "ns1.example.");
	a->zone->server[0].has_addr = true;
	assert_true(dns_addr_parse(
		"2001:db8::1@5353", 53, &a->zone->server[0].addr));
	text(a->zone->server[1].why, 256, "it has no address");
	for (size_t i = 0; i < N; i++) {
		struct owner_auth *o = &a->owner[i];

		text(o->owner, DNS_NAME_MAX, owners[i]);
		text(o->final, DNS_NAME_MAX, "dane.example.");
		o->is_cname = true;
		o->cname_ttl = 300;
		o->security = DNS_INSECURE;
		o->rr = one_rdata(35);
		o->n = 1;
		s->owner[i].n = 2;
		s->owner[i].answer = calloc(2, sizeof(struct sweep_answer));
		for (size_t k = 0; k < 2; k++) {
			struct sweep_answer *x = &s->owner[i].answer[k];

			x->server = k;
			x->verdict = SWEEP_UNKNOWN;
			x->reason = SWR_RCODE;
			x->serial = 4294967295U;
			x->rrsig_expiration = 2000000000;
			x->at_mono_ms = 12345;
			text(x->why, sizeof(x->why), "it answered NOTAUTH");
		}
		s->owner[i].answer[0].rrset.ttl = 3600;
		add(&s->owner[i].answer[0].rrset, 1);
		add(&s->owner[i].answer[0].rrset, 2);
	}
}

static struct lookup *make_lookups(void)
{
	struct lookup *l = calloc(N, sizeof(*l));

	assert_non_null(l);
	for (size_t i = 0; i < N; i++) {
		text(l[i].name, DNS_NAME_MAX, "mx1.example.");
		l[i].type = RRTYPE_AAAA;
		l[i].security = DNS_BOGUS;
		l[i].havedata = true;
		text(l[i].canon, DNS_NAME_MAX, "mx1.example.");
		l[i].rr = one_rdata(16);
		l[i].n = 1;
		l[i].rcode = l[i].ede = -1;
		l[i].inception = 1600000000;
		text(l[i].why, sizeof(l[i].why), "no signature");
	}
	return l;
}

static const struct probe_tlsa match[] = { { 3, 1, 1, digest, 32 } };

static void make_probes(struct probe_job *j)
{
	memset(j, 0, N * sizeof(*j));
	for (size_t i = 0; i < N; i++) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)&j[i].addr;

		j[i].host = "mx1.example";
		v4->sin_family = AF_INET;
		v4->sin_port = htons(25);
		v4->sin_addr.s_addr = htonl(0x0a350019);
		j[i].addr_len = sizeof(*v4);
		j[i].alg = PROBE_RSA;
		j[i].tlsa = match;
		j[i].n_tlsa = 1;
		j[i].result = PROBE_SERVED;
		memset(j[i].spki.d, 7, sizeof(j[i].spki.d));
		j[i].key_alg = KEY_OTHER;
		j[i].not_after = -5;
		j[i].dane = PROBE_DANE_CHAIN;
		j[i].matched = j[i].depth = -1;
		j[i].n_usable = 1;
		j[i].code = 454;
		text(j[i].tls, sizeof(j[i].tls), "TLSv1.3");
		text(j[i].why, sizeof(j[i].why), "expired");
	}
}

/* ---- one function per body, for round trips and for fuzzing ---- */

enum body {
	SWEEP,
	LOOK_UP,
	PROBE,
	EDIT,
	NAMES,
	ASK_LOOK_UP,
	ASK_PROBE,
	ASK_EDIT,
	DECISION,
	BODIES
};

static void write_body(enum body b, struct buf *out)
{
	struct wire w = wire_writer(out);
	struct authority a;
	struct sweep s;
	struct lookup *l = make_lookups(), *list[N] = { l, l + 1 };
	struct probe_job j[N];
	struct tlsa_rrset set = TLSA_RRSET_INIT;
	struct provider_item it[N] = { { .owner = owners[0], .seen = &set },
		{ .owner = owners[1], .changed = true, .retry_after_s = 60 } };
	struct err e = { ST_CONFLICT, "somebody else" };
	struct wire_names names = { .name = owners, .n = N, .keep_ms = 5000 };
	struct wire_lookups look = { .job = list, .n = N };
	struct wire_probes probes = {
		.job = j, .n = N, .lim = { .at_once = 9 }
	};
	struct wire_edit edit = { 1, 77, it, N };
	size_t index = 1;

	make_sweep(&a, &s);
	make_probes(j);
	set.ttl = 60;
	add(&set, 9);
	it[1].err = e;
	text(it[0].zone, DNS_NAME_MAX, "example.");
	switch (b) {
	case SWEEP:
		wire_said_sweep(&w, owners, N, &a, &s);
		break;
	case LOOK_UP:
		wire_said_look_up(&w, list, N);
		break;
	case PROBE:
		wire_said_probe(&w, j, N);
		break;
	case EDIT:
		wire_said_edit(&w, it, N);
		break;
	case NAMES:
		wire_ask_names(&w, &names);
		break;
	case ASK_LOOK_UP:
		wire_ask_look_up(&w, &look);
		break;
	case ASK_PROBE:
		wire_ask_probe(&w, &probes);
		break;
	case ASK_EDIT:
		wire_ask_edit(&w, &edit);
		break;
	case DECISION:
		wire_index(&w, &index, N);
		wire_rrset(&w, &set);
		wire_err(&w, &e);
		break;
	case BODIES:
		break;
	}
	assert_true(wire_done(&w));
	authority_release(&a);
	sweep_release(&s);
	lookup_release(&l[0]);
	lookup_release(&l[1]);
	free(l);
	tlsa_rrset_release(&set);
}

/* Text that came in must be text. */
static void is_text(const char *s, size_t size)
{
	assert_true(strnlen(s, size) < size);
	for (; *s != '\0'; s++)
		assert_true(*s >= 0x20 && *s < 0x7f);
}

static void look_at_sweep(const struct authority *a, const struct sweep *s)
{
	assert_int_equal(a->n_owners, N);
	assert_int_equal(s->n, N);
	for (size_t i = 0; i < N; i++) {
		assert_true(a->owner[i].zone < a->n_zones);
		assert_string_equal(a->owner[i].owner, owners[i]);
		is_text(a->owner[i].final, DNS_NAME_MAX);
		assert_int_equal(
			s->owner[i].n, a->zone[a->owner[i].zone].n_servers);
		for (size_t k = 0; k < s->owner[i].n; k++) {
			const struct sweep_answer *x = &s->owner[i].answer[k];

			assert_int_equal(x->server, k);
			assert_true(x->verdict <= SWEEP_UNTESTABLE);
			assert_true(x->reason < SWR__COUNT);
			assert_true(x->rrset.n <= TLSA_RRSET_MAX);
			is_text(x->why, sizeof(x->why));
		}
	}
}

/* Reads a body, releases all, and writes what was read: again, when given. */
static bool read_body(
	enum body b, const void *data, size_t len, struct buf *again)
{
	struct wire r = wire_reader(data, len), w = wire_writer(again);
	struct authority a = { .n_zones = 0 };
	struct sweep s = { .n = 0 };
	struct lookup *l = calloc(N, sizeof(*l)), *list[N] = { l, l + 1 };
	struct probe_job j[N];
	struct tlsa_rrset set = TLSA_RRSET_INIT;
	struct provider_item it[N] = { { .owner = owners[0] },
		{ .owner = owners[1] } };
	struct err e = ERR_INIT;
	struct wire_names names = { .n = 0 };
	struct wire_lookups look = { .n = 0 };
	struct wire_probes probes = { .n = 0 };
	struct wire_edit edit = { .n = 0 };
	size_t index = 0;
	bool good = false;

	make_probes(j);
	memset(&j[0].spki, 0, sizeof(j[0].spki));
	for (int pass = 0; pass < (again != NULL ? 2 : 1); pass++) {
		struct wire *x = pass == 0 ? &r : &w;

		switch (b) {
		case SWEEP:
			wire_said_sweep(x, owners, N, &a, &s);
			break;
		case LOOK_UP:
			wire_said_look_up(x, list, N);
			break;
		case PROBE:
			wire_said_probe(x, j, N);
			break;
		case EDIT:
			wire_said_edit(x, it, N);
			break;
		case NAMES:
			wire_ask_names(x, &names);
			break;
		case ASK_LOOK_UP:
			wire_ask_look_up(x, &look);
			break;
		case ASK_PROBE:
			wire_ask_probe(x, &probes);
			break;
		case ASK_EDIT:
			wire_ask_edit(x, &edit);
			break;
		case DECISION:
			wire_index(x, &index, N);
			wire_rrset(x, &set);
			wire_err(x, &e);
			break;
		case BODIES:
			break;
		}
		good = wire_done(x);
		if (!good)
			break;
	}
	if (good && b == SWEEP)
		look_at_sweep(&a, &s);
	if (good && b == PROBE)
		assert_true(j[0].result <= PROBE_NO_VERSION &&
			    j[0].key_alg < KEY__COUNT && j[0].matched < 1);
	if (good && b == LOOK_UP)
		is_text(l[0].why, sizeof(l[0].why));
	if (good && b == EDIT)
		assert_true(it[0].err.st < ST__COUNT);
	if (good && b == DECISION) {
		assert_true(index < N);
		is_text(e.text, sizeof(e.text));
	}
	authority_release(&a);
	sweep_release(&s);
	lookup_release(&l[0]);
	lookup_release(&l[1]);
	free(l);
	tlsa_rrset_release(&set);
	wire_names_release(&names);
	wire_lookups_release(&look);
	wire_probes_release(&probes);
	wire_edit_release(&edit);
	return good;
}

static struct buf body_of(enum body b)
{
	struct buf out = BUF_INIT(WIRE_MAX);

	write_body(b, &out);
	return out;
}

/* ---- tests ---- */

static void test_round_trip(void **state)
{
	(void)state;
	for (enum body b = SWEEP; b < BODIES; b++) {
		struct buf one = body_of(b), two = BUF_INIT(WIRE_MAX);

		assert_true(read_body(b, one.data, one.len, &two));
		assert_int_equal(one.len, two.len);
		assert_memory_equal(one.data, two.data, one.len);
		buf_release(&one);
		buf_release(&two);
	}
}

static void test_cut(void **state)
{
	(void)state;
	for (enum body b = SWEEP; b < BODIES; b++) {
		struct buf one = body_of(b);

		for (size_t len = 0; len < one.len; len++) {
			char *exact = malloc(len + 1);

			assert_non_null(exact);
			memcpy(exact, one.data, len);
			exact = realloc(exact, len > 0 ? len : 1);
			assert_false(read_body(b, exact, len, NULL));
			free(exact);
		}
		/* and one octet too many */
		assert_false(read_body(b, one.data, one.len + 1, NULL));
		buf_release(&one);
	}
}

/* Every octet becomes each of a few nasty ones: all is refused, or was only
 * another value. */
static void test_changed(void **state)
{
	static const uint8_t nasty[] = { 0, 1, 0x7f, 0x80, 0xff };

	(void)state;
	for (enum body b = SWEEP; b < BODIES; b++) {
		struct buf one = body_of(b);

		for (size_t i = 0; i < one.len; i++) {
			char was = one.data[i];

			for (size_t k = 0; k < sizeof(nasty); k++) {
				one.data[i] = (char)nasty[k];
				(void)read_body(b, one.data, one.len, NULL);
			}
			one.data[i] = was;
		}
		buf_release(&one);
	}
}

static void test_noise(void **state)
{
	uint8_t data[2048];
	uint32_t x = 2463534242U;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = 0;

		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		len = x % sizeof(data);
		for (size_t i = 0; i < len; i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			/* small numbers get further */
			data[i] = (uint8_t)(x & 1 ? x >> 8 : x >> 8 & 3);
		}
		(void)read_body((enum body)(round % BODIES), data, len, NULL);
	}
}

/* A zone with two servers, and for the last name no answer. */
static void test_too_few_answers(void **state)
{
	static const char begin[] = "\2\0\0\0\0\0\0\0\2";
	struct buf one = body_of(SWEEP);
	struct authority a = { .n_zones = 0 };
	struct sweep s = { .n = 0 };
	char *at = NULL, *p = one.data;
	struct wire r;

	(void)state;
	while ((p = memmem(p, (size_t)(one.data + one.len - p), begin, 9))) {
		at = p;
		p++;
	}
	assert_non_null(at);
	*at = 0;
	r = wire_reader(one.data, (size_t)(at - one.data) + 4);
	wire_said_sweep(&r, owners, N, &a, &s);
	assert_true(r.bad);
	assert_string_equal(r.why, "not one answer for each server");
	authority_release(&a);
	sweep_release(&s);
	buf_release(&one);
}

static void test_string(void **state)
{
	static const uint8_t open_end[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		3, 0, 'a', 'b', 'c' };
	static const uint8_t two[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0,
		'a', 0, 0 };
	struct wire_names q = { .n = 0 };
	struct wire r = wire_reader(open_end, sizeof(open_end));

	(void)state;
	wire_ask_names(&r, &q);
	assert_true(r.bad);
	wire_names_release(&q);
	r = wire_reader(two, sizeof(two));
	wire_ask_names(&r, &q);
	assert_true(r.bad);
	wire_names_release(&q);
}

/* A promise of more than there is costs nothing. */
static void test_counts(void **state)
{
	static const uint8_t many[] = { 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f };
	static const uint8_t names[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0,
		0, 1, 0, 0 };
	struct tlsa_rrset set = TLSA_RRSET_INIT;
	struct wire_names q = { .n = 0 };
	struct wire r = wire_reader(many, sizeof(many));

	(void)state;
	wire_rrset(&r, &set);
	assert_true(r.bad);
	assert_int_equal(set.n, 0);
	tlsa_rrset_release(&set);
	r = wire_reader(names, sizeof(names));
	wire_ask_names(&r, &q);
	assert_true(r.bad);
	assert_string_equal(r.why, "it promises more than it holds");
	wire_names_release(&q);
}

static void test_record_twice(void **state)
{
	uint8_t b[8 + 2 * 6] = { [4] = 2 };
	struct tlsa_rrset set = TLSA_RRSET_INIT;
	struct wire r = wire_reader(b, sizeof(b));

	(void)state;
	b[11] = b[17] = 1; /* two records of one octet, alike */
	b[13] = b[19] = 9;
	wire_rrset(&r, &set);
	assert_true(r.bad);
	assert_string_equal(r.why, "a record twice");
	tlsa_rrset_release(&set);
}

static void test_text(void **state)
{
	static const uint8_t bell[] = { 3, 0, 'a', 7, 0xe9 };
	static const uint8_t nul[] = { 3, 0, 'a', 0, 'b' };
	static const uint8_t full[] = { 4, 0, 'a', 'b', 'c', 'd' };
	char t[4];
	struct wire r = wire_reader(bell, sizeof(bell));

	(void)state;
	wire_text(&r, t, sizeof(t));
	assert_true(wire_done(&r));
	assert_string_equal(t, "a??");
	r = wire_reader(nul, sizeof(nul));
	wire_text(&r, t, sizeof(t));
	assert_true(r.bad);
	r = wire_reader(full, sizeof(full));
	wire_text(&r, t, sizeof(t));
	assert_true(r.bad);
	assert_string_equal(t, "");
}

/* Only what was asked for is an answer. */
static void test_other_owner(void **state)
{
	static const char *const other[] = { "_25._tcp.mx1.example.",
		"_25._tcp.mx3.example." };
	struct buf one = body_of(SWEEP);
	struct wire r = wire_reader(one.data, one.len);
	struct authority a = { .n_zones = 0 };
	struct sweep s = { .n = 0 };

	(void)state;
	wire_said_sweep(&r, other, N, &a, &s);
	assert_true(r.bad);
	assert_string_equal(r.why, "an owner name that was not asked for");
	authority_release(&a);
	sweep_release(&s);
	buf_release(&one);
}

static void test_head(void **state)
{
	uint8_t h[WIRE_HEAD];
	enum wire_kind kind;
	size_t len;

	(void)state;
	wire_head_put(h, WIRE_EDIT, 0x12345);
	assert_true(wire_head_get(h, &kind, &len));
	assert_int_equal(kind, WIRE_EDIT);
	assert_int_equal(len, 0x12345);
	h[2] = WIRE__COUNT;
	assert_false(wire_head_get(h, &kind, &len));
	wire_head_put(h, WIRE_EDIT, WIRE_MAX + 1);
	assert_false(wire_head_get(h, &kind, &len));
	wire_head_put(h, WIRE_EDIT, WIRE_MAX);
	assert_true(wire_head_get(h, &kind, &len));
	h[0] = 'X';
	assert_false(wire_head_get(h, &kind, &len));
}

/* Four lineages at all limits: 64 owner names, 32 servers, 512 records. */
static void test_largest(void **state)
{
	enum { OWNERS = 4 * 64, SERVERS = 32 };
	static const char *owner[OWNERS];
	struct tlsa rr[TLSA_RRSET_MAX];
	struct auth_server server[SERVERS];
	struct sweep_answer x[SERVERS];
	struct zone_auth z = {
		.zone = "example.", .server = server, .n_servers = SERVERS
	};
	struct authority a = { .zone = &z, .n_zones = 1, .n_owners = OWNERS };
	struct sweep s = { .n = OWNERS };
	struct buf out = BUF_INIT(WIRE_MAX);
	struct wire w = wire_writer(&out);

	(void)state;
	a.owner = calloc(OWNERS, sizeof(*a.owner));
	s.owner = calloc(OWNERS, sizeof(*s.owner));
	assert_true(a.owner != NULL && s.owner != NULL);
	memset(server, 0, sizeof(server));
	memset(x, 0, sizeof(x));
	for (size_t i = 0; i < TLSA_RRSET_MAX; i++)
		rr[i] = (struct tlsa){ 3, 1, 1, 32, digest };
	for (size_t i = 0; i < SERVERS; i++) {
		x[i].server = i;
		x[i].rrset.rr = rr;
		x[i].rrset.n = TLSA_RRSET_MAX;
	}
	for (size_t i = 0; i < OWNERS; i++) {
		owner[i] = owners[0];
		text(a.owner[i].owner, DNS_NAME_MAX, owner[i]);
		text(a.owner[i].final, DNS_NAME_MAX, owner[i]);
		s.owner[i] = (struct sweep_owner){ x, SERVERS };
	}
	wire_said_sweep(&w, owner, OWNERS, &a, &s);
	assert_true(wire_done(&w));
	buf_release(&out);
	free(a.owner);
	free(s.owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_record_twice),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_other_owner),
		cmocka_unit_test(test_too_few_answers),
		cmocka_unit_test(test_string),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
