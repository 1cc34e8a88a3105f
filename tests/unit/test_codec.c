/* What comes from the network: only our replies, decoded whole or not at all,
 * and claims only with proof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/dns/codec.h"
#include "tests/unit/dns_fixture.h"
#include "tests/unit/dns_root.h"

static struct codec_msg msg;

static struct codec_name name_of(const char *text)
{
	struct codec_name n;

	assert_true(codec_name_set(&n, text));
	return n;
}

/* In memory of exactly that size, so that a sanitizer sees every step out. */
static enum codec_match parse(const uint8_t *wire, size_t len, const char *name)
{
	struct codec_name qname = name_of(name);
	static uint8_t *copy;

	free(copy);
	copy = malloc(len > 0 ? len : 1);
	assert_non_null(copy);
	memcpy(copy, wire, len);
	return codec_parse(copy, len, FIX_ID, &qname, RRTYPE_TLSA, &msg);
}

static void test_names(void **state)
{
	/* RFC 4034 6.1, by hand where text cannot say it. */
	static const char *const order[] = { "example.", "a.example.",
		"yljkjljk.a.example.", "z.a.example.", "zabc.a.example.",
		"z.example.", "*.z.example.", "_.z.example." };
	struct codec_name n, tail;
	char text[DNS_NAME_MAX];
	size_t count = sizeof(order) / sizeof(order[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct codec_name a = name_of(order[i]);

		for (size_t k = 0; k < count; k++) {
			struct codec_name b = name_of(order[k]);
			int c = codec_name_cmp(&a, &b);

			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
		}
		assert_string_equal(codec_name_text(&a, text), order[i]);
	}
	n = name_of("b.a.example.");
	assert_int_equal(codec_name_labels(&n), 3);
	codec_name_tail(&n, 2, &tail);
	assert_string_equal(codec_name_text(&tail, text), "a.example.");
	codec_name_tail(&n, 0, &tail);
	assert_string_equal(codec_name_text(&tail, text), ".");
	assert_true(codec_name_under(&n, &tail));
	tail = name_of("xa.example.");
	assert_false(codec_name_under(&n, &tail));
	assert_true(codec_name_wildcard(&tail, &tail));
	assert_string_equal(codec_name_text(&tail, text), "*.xa.example.");
	assert_false(codec_name_set(&n, "no-dot"));
}

static void test_query(void **state)
{
	static const uint8_t want[] = { 0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0,
		1, 2, 'm', 'x', 4, 't', 'e', 's', 't', 0, 0, 52, 0, 1, 0, 0, 41,
		0x04, 0xd0, 0, 0, 0x80, 0, 0, 0 };
	struct codec_name n = name_of("mx.test.");
	uint8_t got[CODEC_QUERY_MAX];

	(void)state;
	assert_int_equal(
		codec_query(got, 0xabcd, &n, RRTYPE_TLSA), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void test_match(void **state)
{
	uint8_t w[4096], x[4096];
	size_t n = fix_hex(FIX_FOUND, w);

	(void)state;
	assert_int_equal(parse(w, n, FIX_MX25), CODEC_REPLY);
	assert_true(msg.aa);
	assert_int_equal(msg.rcode, 0);
	assert_int_equal(msg.n, 3);
	assert_int_equal(parse(w, n, FIX_MX), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[1] ^= 1; /* ID */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[2] ^= 0x80; /* QR */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[2] ^= 0x28; /* opcode UPDATE */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[5] = 2; /* two questions */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[5] = 0; /* none, and no error either */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[13] ^= 1; /* _25 */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[18] = 'T'; /* _Tcp: the same name */
	assert_int_equal(x[17], '_');
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_REPLY);
	memcpy(x, w, n);
	x[12 + strlen(FIX_MX25) + 1 + 1] = 16; /* type TXT */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
	memcpy(x, w, n);
	x[12 + strlen(FIX_MX25) + 1 + 3] = 3; /* class CH */
	assert_int_equal(parse(x, n, FIX_MX25), CODEC_FOREIGN);
}

static void test_truncated(void **state)
{
	uint8_t w[4096];
	size_t n = fix_hex(FIX_NXDOMAIN3, w);

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(parse(w, i, FIX_MX465), CODEC_REPLY);
	assert_int_equal(parse(w, n, FIX_MX465), CODEC_REPLY);
	w[2] |= 2; /* TC: the header and the question are enough */
	assert_int_equal(parse(w, 12 + strlen(FIX_MX465) + 1 + 4, FIX_MX465),
		CODEC_REPLY);
	assert_true(msg.tc);
	assert_int_equal(msg.n, 0);
}

static void test_bare_error(void **state)
{
	uint8_t w[12] = { 0x12, 0x34, 0x80, 5 };

	(void)state;
	assert_int_equal(parse(w, sizeof(w), FIX_MX25), CODEC_REPLY);
	assert_int_equal(msg.rcode, 5);
	w[3] = 3; /* NXDOMAIN of what? */
	assert_int_equal(parse(w, sizeof(w), FIX_MX25), CODEC_FOREIGN);
	w[3] = 0;
	assert_int_equal(parse(w, sizeof(w), FIX_MX25), CODEC_FOREIGN);
}

/* Header and question for "a."; returns the length. */
static size_t head(uint8_t *w, unsigned int answers)
{
	static const uint8_t h[] = { 0x12, 0x34, 0x84, 0, 0, 1, 0, 0, 0, 0, 0,
		0, 1, 'a', 0, 0, 52, 0, 1 };

	memcpy(w, h, sizeof(h));
	w[6] = (uint8_t)(answers >> 8);
	w[7] = (uint8_t)answers;
	return sizeof(h);
}

static size_t put_rr(uint8_t *w, size_t n, const uint8_t *owner, size_t olen,
	uint8_t type, uint8_t rdlen)
{
	const uint8_t fixed[10] = { 0, type, 0, 1, 0, 0, 0, 60, 0, rdlen };

	memcpy(w + n, owner, olen);
	memcpy(w + n + olen, fixed, sizeof(fixed));
	memset(w + n + olen + sizeof(fixed), 1, rdlen);
	return n + olen + sizeof(fixed) + rdlen;
}

static void test_pointers(void **state)
{
	uint8_t w[70000];
	size_t n = head(w, 1);
	uint8_t self[2] = { 0xc0, (uint8_t)n };
	uint8_t ahead[2] = { 0xc0, (uint8_t)(n + 4) };
	uint8_t out[2] = { 0xff, 0xff };
	uint8_t loop[4] = { 1, 'b', 0xc0, (uint8_t)n };
	uint8_t good[4] = { 1, 'b', 0xc0, 12 };
	uint8_t odd[2] = { 0x80, 12 };

	(void)state;
	assert_int_equal(
		parse(w, put_rr(w, n, self, 2, 52, 4), "a."), CODEC_BROKEN);
	assert_int_equal(
		parse(w, put_rr(w, n, ahead, 2, 52, 4), "a."), CODEC_BROKEN);
	assert_int_equal(
		parse(w, put_rr(w, n, out, 2, 52, 4), "a."), CODEC_BROKEN);
	assert_int_equal(
		parse(w, put_rr(w, n, loop, 4, 52, 4), "a."), CODEC_BROKEN);
	assert_int_equal(
		parse(w, put_rr(w, n, odd, 2, 52, 4), "a."), CODEC_BROKEN);
	assert_int_equal(
		parse(w, put_rr(w, n, good, 4, 52, 4), "a."), CODEC_REPLY);
}

/* Each record's owner adds a label to the one before: over 255 in the end. */
static void test_long_name(void **state)
{
	uint8_t w[70000], owner[66];
	size_t n = head(w, 5), prev = 12;

	(void)state;
	owner[0] = 63;
	memset(owner + 1, 'x', 63);
	for (int i = 0; i < 5; i++) {
		size_t at = n;

		owner[64] = (uint8_t)(0xc0 | prev >> 8);
		owner[65] = (uint8_t)prev;
		n = put_rr(w, n, owner, sizeof(owner), 52, 4);
		w[7] = (uint8_t)(i + 1);
		assert_int_equal(
			parse(w, n, "a."), i < 3 ? CODEC_REPLY : CODEC_BROKEN);
		prev = at;
	}
}

static void test_huge(void **state)
{
	uint8_t w[70000], q[2] = { 0xc0, 12 };
	size_t n = head(w, CODEC_RR_MAX);

	(void)state;
	for (int i = 0; i < CODEC_RR_MAX; i++)
		n = put_rr(w, n, q, 2, 52, 4);
	assert_int_equal(parse(w, n, "a."), CODEC_REPLY);
	assert_int_equal(msg.n, CODEC_RR_MAX);
	n = put_rr(w, n, q, 2, 52, 4);
	(void)head(w, CODEC_RR_MAX + 1);
	assert_int_equal(parse(w, n, "a."), CODEC_BROKEN);
	(void)head(w, 65535);
	assert_int_equal(parse(w, n, "a."), CODEC_BROKEN);
	assert_int_equal(parse(w, 65536, "a."), CODEC_FOREIGN);
}

static void test_edns(void **state)
{
	uint8_t w[1000], root = 0;
	size_t n = head(w, 0), m;

	(void)state;
	w[11] = 1;
	m = put_rr(w, n, &root, 1, 41, 0);
	w[n + 5] = 1; /* extended RCODE 16 */
	assert_int_equal(parse(w, m, "a."), CODEC_REPLY);
	assert_int_equal(msg.rcode, 16);
	w[n + 5] = 0;
	/* Extended error 18 in option 15. */
	m = put_rr(w, n, &root, 1, 41, 6);
	memcpy(w + m - 6, "\0\17\0\2\0\22", 6);
	assert_int_equal(parse(w, m, "a."), CODEC_REPLY);
	assert_int_equal(msg.ede, 18);
	w[m - 3] = 3; /* an option that is longer than its record */
	assert_int_equal(parse(w, m, "a."), CODEC_BROKEN);
	w[m - 3] = 2;
	w[11] = 2;
	m = put_rr(w, m, &root, 1, 41, 0);
	assert_int_equal(parse(w, m, "a."), CODEC_BROKEN);
}

static struct codec_zone *zone_of(const char *key1, const char *key2)
{
	uint8_t k1[600], k2[600];
	struct rdata keys[2] = { { .data = k1, .len = fix_hex(key1, k1) },
		{ .data = k2, .len = fix_hex(key2, k2) } };
	struct codec_zone *z = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(codec_zone_new(FIX_ZONE, keys, 2, &z, &err), ST_OK);
	return z;
}

static struct codec_verifier *verifier_at(int64_t now_s)
{
	struct codec_verifier *v = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(codec_verifier_new(now_s, &v, &err), ST_OK);
	return v;
}

static struct codec_verdict verify(
	struct codec_verifier *v, struct codec_zone *z, const char *name)
{
	struct codec_name n = name_of(name);
	struct codec_verdict verdict;

	codec_verify(v, z, &msg, CODEC_ANSWER, &n, RRTYPE_TLSA, &verdict);
	return verdict;
}

static void test_verify(void **state)
{
	struct codec_zone *z = zone_of(FIX_KEY1, FIX_KEY2);
	struct codec_zone *none = zone_of("", "0100030d");
	struct codec_verifier *v = verifier_at(FIX_NOW);
	struct codec_verifier *late = verifier_at(1893456000);
	struct codec_verifier *early = verifier_at(1700000000);
	struct codec_verdict got;
	uint8_t w[4096];
	size_t n = fix_hex(FIX_FOUND, w);

	(void)state;
	assert_int_equal(parse(w, n, FIX_MX25), CODEC_REPLY);
	got = verify(v, z, FIX_MX25);
	assert_int_equal(got.sig, CODEC_SIG_OK);
	assert_int_equal(got.inception, 1767225600);
	assert_int_equal(got.expiration, 1830297600);
	assert_int_equal(got.labels, 5);
	assert_int_equal(codec_verifier_work(v), 1);
	/* The next server says the same: no second verification. */
	assert_int_equal(parse(w, n, FIX_MX25), CODEC_REPLY);
	assert_int_equal(verify(v, z, FIX_MX25).sig, CODEC_SIG_OK);
	assert_int_equal(codec_verifier_work(v), 1);
	assert_int_equal(verify(v, none, FIX_MX25).sig, CODEC_SIG_BAD);
	assert_int_equal(verify(late, z, FIX_MX25).sig, CODEC_SIG_EXPIRED);
	assert_int_equal(verify(early, z, FIX_MX25).sig, CODEC_SIG_EXPIRED);
	msg.rr[2].type = 99; /* the RRSIG, hidden */
	assert_int_equal(verify(v, z, FIX_MX25).sig, CODEC_SIG_NONE);
	msg.rr[2].type = RRTYPE_RRSIG;
	msg.rr[1].type = 99; /* one of the two records */
	assert_int_equal(verify(v, z, FIX_MX25).sig, CODEC_SIG_BAD);
	/* A bad one is remembered, too, and as what it is. */
	assert_int_equal(verify(v, z, FIX_MX25).sig, CODEC_SIG_BAD);
	assert_int_equal(codec_verifier_work(v), 2);
	codec_verifier_free(early);
	codec_verifier_free(late);
	codec_verifier_free(v);
	codec_zone_free(none);
	codec_zone_free(z);
}

/* Whatever bit flips on the way: what verifies is what was signed. */
static void test_flips(void **state)
{
	struct codec_zone *z = zone_of(FIX_KEY1, FIX_KEY2);
	struct codec_verifier *v = verifier_at(FIX_NOW);
	uint8_t w[4096], want[2][35];
	size_t n = fix_hex(FIX_FOUND, w);
	unsigned int good = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		memset(want[i], 0x11 * (i + 1), 35);
		memcpy(want[i], "\3\1\1", 3);
	}
	for (size_t bit = 0; bit < 8 * n; bit++) {
		w[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (parse(w, n, FIX_MX25) == CODEC_REPLY && !msg.tc &&
			msg.n >= 3 && msg.rr[0].type == RRTYPE_TLSA &&
			verify(v, z, FIX_MX25).sig == CODEC_SIG_OK) {
			good++;
			for (int i = 0; i < 2; i++) {
				const uint8_t *d = msg.wire + msg.rr[i].rdata;
				int which = d[3] == 0x11 ? 0 : 1;

				assert_int_equal(msg.rr[i].rdlen, 35);
				assert_memory_equal(d, want[which], 35);
			}
		}
		w[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* TTLs, flags and letter case do not matter; little else may. */
	assert_in_range(good, 1, 400);
	codec_verifier_free(v);
	codec_zone_free(z);
}

static enum codec_sig absent(struct codec_verifier *v, struct codec_zone *z,
	const char *name, uint16_t type)
{
	struct codec_name n = name_of(name);
	struct codec_verdict verdict;

	codec_verify_absent(v, z, &msg, &n, type, &verdict);
	return verdict.sig;
}

static void hide(uint16_t type)
{
	for (size_t i = 0; i < msg.n; i++)
		if (msg.rr[i].type == type)
			msg.rr[i].type = 99;
}

static void denial(const char *packet, const char *name)
{
	struct codec_zone *z = zone_of(FIX_KEY1, FIX_KEY2);
	struct codec_verifier *v = verifier_at(FIX_NOW);
	uint8_t w[4096];
	size_t n = fix_hex(packet, w);

	assert_int_equal(parse(w, n, name), CODEC_REPLY);
	assert_int_equal(absent(v, z, name, RRTYPE_TLSA), CODEC_SIG_OK);
	/* A proof for one name is none for a name that exists. */
	assert_int_not_equal(absent(v, z, FIX_MX25, RRTYPE_TLSA), CODEC_SIG_OK);
	assert_int_not_equal(
		absent(v, z, "_25._tcp.a.w.example.test.", RRTYPE_TLSA),
		CODEC_SIG_OK);
	if (strcmp(name, FIX_MX) == 0)
		assert_int_not_equal(
			absent(v, z, name, RRTYPE_A), CODEC_SIG_OK);
	hide(RRTYPE_RRSIG);
	assert_int_equal(absent(v, z, name, RRTYPE_TLSA), CODEC_SIG_NONE);
	assert_int_equal(parse(w, n, name), CODEC_REPLY);
	hide(RRTYPE_NSEC);
	hide(RRTYPE_NSEC3);
	assert_int_equal(absent(v, z, name, RRTYPE_TLSA), CODEC_SIG_NONE);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		w[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (parse(w, n, name) == CODEC_REPLY)
			assert_int_not_equal(
				absent(v, z, FIX_MX25, RRTYPE_TLSA),
				CODEC_SIG_OK);
		w[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	codec_verifier_free(v);
	codec_zone_free(z);
}

/* Each of the proof's records is needed: the name's and the wildcard's. */
static void each_needed(const char *packet, const char *name, size_t count)
{
	struct codec_zone *z = zone_of(FIX_KEY1, FIX_KEY2);
	struct codec_verifier *v = verifier_at(FIX_NOW);
	uint8_t w[4096];
	size_t n = fix_hex(packet, w), found = 0;

	assert_int_equal(parse(w, n, name), CODEC_REPLY);
	for (size_t i = 0; i < msg.n; i++) {
		uint16_t type = msg.rr[i].type;

		if (type != RRTYPE_NSEC && type != RRTYPE_NSEC3)
			continue;
		found++;
		msg.rr[i].type = 99;
		assert_int_not_equal(
			absent(v, z, name, RRTYPE_TLSA), CODEC_SIG_OK);
		msg.rr[i].type = type;
	}
	assert_int_equal(found, count);
	codec_verifier_free(v);
	codec_zone_free(z);
}

static void test_denials(void **state)
{
	(void)state;
	each_needed(FIX_NXDOMAIN, FIX_MX465, 2);
	each_needed(FIX_NXDOMAIN3, FIX_MX465, 3);
	denial(FIX_NODATA, FIX_MX);
	denial(FIX_NXDOMAIN, FIX_MX465);
	denial(FIX_NODATA3, FIX_MX);
	denial(FIX_NXDOMAIN3, FIX_MX465);
}

static void wildcard(const char *packet)
{
	struct codec_zone *z = zone_of(FIX_KEY1, FIX_KEY2);
	struct codec_verifier *v = verifier_at(FIX_NOW);
	struct codec_name n = name_of(FIX_WILD25);
	struct codec_verdict got;
	uint8_t w[4096];
	size_t len = fix_hex(packet, w);

	assert_int_equal(parse(w, len, FIX_WILD25), CODEC_REPLY);
	got = verify(v, z, FIX_WILD25);
	assert_int_equal(got.sig, CODEC_SIG_OK);
	assert_int_equal(got.labels, 3);
	codec_verify_wildcard(v, z, &msg, &n, got.labels, &got);
	assert_int_equal(got.sig, CODEC_SIG_OK);
	hide(RRTYPE_NSEC);
	hide(RRTYPE_NSEC3);
	codec_verify_wildcard(v, z, &msg, &n, 3, &got);
	assert_int_equal(got.sig, CODEC_SIG_NONE);
	codec_verifier_free(v);
	codec_zone_free(z);
}

static void test_wildcard(void **state)
{
	(void)state;
	wildcard(FIX_WILD);
	wildcard(FIX_WILD3);
}

/* Keys of odd lengths must not reach the library. */
static void test_odd_keys(void **state)
{
	static const char *const odd[] = { "0100030d", "0100030d11", "01000308",
		"0100030800", "010003080000", "01000308000000", "0100030801",
		"01000308ff1111", "010003080001ff01", "0100030f1122",
		"010003101122", "0100030311", "010003fe11", "0100020d11",
		"01" };
	struct codec_verifier *v = verifier_at(FIX_NOW);
	uint8_t w[4096];
	size_t n = fix_hex(FIX_FOUND, w);

	(void)state;
	assert_int_equal(parse(w, n, FIX_MX25), CODEC_REPLY);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct codec_zone *z = zone_of(odd[i], "");

		assert_int_equal(verify(v, z, FIX_MX25).sig, CODEC_SIG_BAD);
		codec_zone_free(z);
	}
	codec_verifier_free(v);
}

static void test_soa(void **state)
{
	struct codec_name zone = name_of(FIX_ZONE);
	const struct codec_rr *rr;
	struct codec_soa soa;
	uint8_t w[4096];
	size_t n = fix_hex(FIX_NODATA, w);

	(void)state;
	assert_int_equal(parse(w, n, FIX_MX), CODEC_REPLY);
	rr = codec_find(&msg, CODEC_AUTHORITY, &zone, RRTYPE_SOA);
	assert_non_null(rr);
	assert_true(codec_soa(&msg, rr, &soa));
	assert_int_equal(soa.serial, 7);
	assert_int_equal(soa.minimum, 300);
	((struct codec_rr *)(uintptr_t)rr)->rdlen--;
	assert_false(codec_soa(&msg, rr, &soa));
}

/* Names in RDATA, compressed and in capitals: what was signed is the plain
 * form. */
static void test_rdata(void **state)
{
	static const uint8_t mail[] = "\0\12\4mail\1a\2ns";
	uint8_t wire[1024], buf[300];
	size_t len = fix_hex(ROOT_MX, wire), n = 0;
	struct codec_name root = name_of(".");
	const uint8_t *d = NULL;
	uint64_t digest;

	(void)state;
	assert_int_equal(codec_parse(wire, len, FIX_ID, &root, RRTYPE_MX, &msg),
		CODEC_REPLY);
	assert_true(
		codec_rdata_canon(&msg, &msg.rr[1], buf, sizeof(buf), &d, &n));
	assert_ptr_equal(d, buf);
	assert_int_equal(n, sizeof(mail));
	assert_memory_equal(d, mail, n);
	assert_false(codec_rdata_canon(&msg, &msg.rr[1], buf, n - 1, &d, &n));
	/* Compressed or not, in whatever case and order: the same. */
	digest = codec_digest(&msg, CODEC_ANSWER, &root, RRTYPE_MX);
	assert_int_not_equal(digest, 0);
	assert_int_equal(
		codec_digest(&msg, CODEC_AUTHORITY, &root, RRTYPE_MX), 0);
	wire[msg.rr[1].rdata + 3] ^= 0x20; /* 'M' */
	assert_int_equal(
		codec_digest(&msg, CODEC_ANSWER, &root, RRTYPE_MX), digest);
	wire[msg.rr[1].rdata + 1] ^= 1; /* the preference */
	assert_int_not_equal(
		codec_digest(&msg, CODEC_ANSWER, &root, RRTYPE_MX), digest);
	/* A name that ends outside its record. */
	msg.rr[1].rdlen = 5;
	assert_false(
		codec_rdata_canon(&msg, &msg.rr[1], buf, sizeof(buf), &d, &n));
	assert_int_not_equal(
		codec_digest(&msg, CODEC_ANSWER, &root, RRTYPE_MX), 0);
}

static void test_windows(void **state)
{
	uint8_t wire[2048];
	size_t len = fix_hex(FIX_FOUND, wire);
	struct codec_name mx = name_of(FIX_MX25), zone = name_of(FIX_ZONE);
	struct codec_window w;

	(void)state;
	assert_int_equal(parse(wire, len, FIX_MX25), CODEC_REPLY);
	w = codec_window_of(&msg, CODEC_ANSWER, &mx, RRTYPE_TLSA, FIX_NOW);
	assert_int_equal(w.inception, 1767225600);
	assert_int_equal(w.expiration, 1830297600);
	assert_true(w.timely);
	w = codec_window_of(&msg, CODEC_ANSWER, &mx, RRTYPE_TLSA, 1830297601);
	assert_false(w.timely);
	w = codec_window_of(&msg, CODEC_ANSWER, &mx, RRTYPE_A, FIX_NOW);
	assert_int_equal(w.expiration, 0);
	w = codec_window_of(&msg, CODEC_ANSWER, &zone, RRTYPE_TLSA, FIX_NOW);
	assert_int_equal(w.expiration, 0);
	assert_int_equal(codec_window_denial(&msg, FIX_NOW).expiration, 0);
	len = fix_hex(FIX_NODATA, wire);
	assert_int_equal(parse(wire, len, FIX_MX), CODEC_REPLY);
	w = codec_window_denial(&msg, FIX_NOW);
	assert_true(w.timely);
	assert_int_equal(w.expiration, 1830297600);
	/* The RRset that ends first counts: the SOA's RRSIG, made to end. */
	for (size_t i = 0; i < msg.n; i++)
		if (msg.rr[i].type == RRTYPE_RRSIG &&
			msg.wire[msg.rr[i].rdata + 1] == RRTYPE_SOA)
			((uint8_t *)(uintptr_t)msg.wire)[msg.rr[i].rdata + 8] =
				0x60;
	w = codec_window_denial(&msg, FIX_NOW);
	assert_false(w.timely);
	assert_in_range(w.expiration, 1610612736, FIX_NOW);
}

/* Whatever is flipped, all that reads a message stays inside it. */
static void test_rdata_flips(void **state)
{
	static const char *const packet[] = { ROOT_MX, ROOT_SOA, ROOT_TXT };
	static const uint16_t type[] = { RRTYPE_MX, RRTYPE_SOA, RRTYPE_TXT };
	struct codec_name root = name_of(".");
	struct rdata ds = { .data = (uint8_t *)(uintptr_t) "\104\64\15\2",
		.len = 4 };

	(void)state;
	for (size_t p = 0; p < 3; p++) {
		uint8_t whole[1024];
		size_t len = fix_hex(packet[p], whole);

		for (size_t i = 12; i < 8 * len; i++) {
			uint8_t *wire = malloc(len);

			assert_non_null(wire);
			memcpy(wire, whole, len);
			wire[i / 8] ^= (uint8_t)(1U << i % 8);
			if (codec_parse(wire, len, FIX_ID, &root, type[p],
				    &msg) == CODEC_REPLY) {
				(void)codec_digest(
					&msg, CODEC_ANSWER, &root, type[p]);
				(void)codec_window_of(&msg, CODEC_ANSWER, &root,
					type[p], FIX_NOW);
				(void)codec_window_denial(&msg, FIX_NOW);
			}
			free(wire);
		}
	}
	for (size_t len = 0; len < 9; len++)
		assert_false(codec_ds_match(
			&ds, &root, (const uint8_t *)"\1\1\3\15abcd", len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_bare_error),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_edns),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_denials),
		cmocka_unit_test(test_wildcard),
		cmocka_unit_test(test_odd_keys),
		cmocka_unit_test(test_soa),
		cmocka_unit_test(test_rdata),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_rdata_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
