/*
 * A zone that the test itself signs, so that it can lie with good signatures:
 * other signers, revoked keys, two keys with one tag, signatures by the dozen,
 * denials from the wrong side of a zone cut. And answers that no honest server
 * gives, for a sweep to judge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/dns/sweep.h"
#include "tests/unit/dns_rules.h"

#include <openssl/evp.h>

#define ZONE "example.test."
#define OWNER "_25._tcp.mx.example.test."
#define MINIMUM 300
#define UNTIL (FIX_NOW + 86400)

/* ---- keys ---- */

struct zkey {
	EVP_PKEY *pkey;
	uint8_t dnskey[36]; /* Ed25519 */
	uint16_t tag;
};

static uint16_t tag_of(const uint8_t *d, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? d[i] : (uint32_t)d[i] << 8;
	return (uint16_t)(sum + (sum >> 16));
}

static struct zkey new_key(uint16_t flags)
{
	struct zkey k = { .dnskey = { (uint8_t)(flags >> 8), (uint8_t)flags, 3,
				  15 } };
	size_t len = 32;

	k.pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_non_null(k.pkey);
	assert_int_equal(
		EVP_PKEY_get_raw_public_key(k.pkey, k.dnskey + 4, &len), 1);
	k.tag = tag_of(k.dnskey, sizeof(k.dnskey));
	return k;
}

static struct codec_zone *zone_of(struct zkey *k, size_t n)
{
	struct rdata d[2];
	struct codec_zone *z = NULL;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++)
		d[i] = (struct rdata){ k[i].dnskey, sizeof(k[i].dnskey) };
	assert_int_equal(codec_zone_new(ZONE, d, n, &z, &err), ST_OK);
	return z;
}

/* ---- messages ---- */

static struct {
	uint8_t w[4096];
	size_t n;
} out;

static void u16(unsigned int v)
{
	out.w[out.n++] = (uint8_t)(v >> 8);
	out.w[out.n++] = (uint8_t)v;
}

static void u32(uint32_t v)
{
	u16(v >> 16);
	u16(v & 0xffff);
}

static struct codec_name name_of(const char *text)
{
	struct codec_name n;

	assert_true(codec_name_set(&n, text));
	return n;
}

static size_t put_name(uint8_t *w, const char *text)
{
	struct codec_name n = name_of(text);

	memcpy(w, n.w, n.len);
	return n.len;
}

static void begin(const char *qname, uint16_t type, unsigned int rcode)
{
	out.n = 0;
	u16(0x1234);
	u16(0x8400 | rcode);
	u16(1);
	u16(0);
	u16(0);
	u16(0);
	out.n += put_name(out.w + out.n, qname);
	u16(type);
	u16(1);
}

static void add(enum codec_section s, const char *owner, uint16_t type,
	uint32_t ttl, const uint8_t *rdata, size_t len)
{
	out.w[7 + 2 * s]++;
	out.n += put_name(out.w + out.n, owner);
	u16(type);
	u16(1);
	u32(ttl);
	u16((unsigned int)len);
	memcpy(out.w + out.n, rdata, len);
	out.n += len;
}

/* Signs one record, in the name of signer, as if signer's were `as`. */
static void sign(const struct zkey *k, enum codec_section s, const char *owner,
	uint16_t type, uint32_t ttl, const uint8_t *rdata, size_t len,
	const char *signer, const char *as, int64_t until)
{
	struct codec_name o = name_of(owner);
	unsigned int labels = codec_name_labels(&o);
	uint8_t sig[400], data[1000];
	size_t n, m, siglen = 64;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const uint8_t fixed[18] = { (uint8_t)(type >> 8), (uint8_t)type, 15,
		(uint8_t)labels, (uint8_t)(ttl >> 24), (uint8_t)(ttl >> 16),
		(uint8_t)(ttl >> 8), (uint8_t)ttl, (uint8_t)(until >> 24),
		(uint8_t)(until >> 16), (uint8_t)(until >> 8), (uint8_t)until,
		(FIX_NOW - 3600) >> 24 & 255, (FIX_NOW - 3600) >> 16 & 255,
		(FIX_NOW - 3600) >> 8 & 255, (FIX_NOW - 3600) & 255,
		(uint8_t)(k->tag >> 8), (uint8_t)k->tag };
	const uint8_t head[10] = { (uint8_t)(type >> 8), (uint8_t)type, 0, 1,
		fixed[4], fixed[5], fixed[6], fixed[7], (uint8_t)(len >> 8),
		(uint8_t)len };

	memcpy(data, fixed, 18);
	m = 18 + put_name(data + 18, as);
	m += put_name(data + m, owner);
	memcpy(data + m, head, 10);
	memcpy(data + m + 10, rdata, len);
	m += 10 + len;
	memcpy(sig, fixed, 18);
	n = 18 + put_name(sig + 18, signer);
	assert_int_equal(EVP_DigestSignInit(c, NULL, NULL, NULL, k->pkey), 1);
	assert_int_equal(EVP_DigestSign(c, sig + n, &siglen, data, m), 1);
	EVP_MD_CTX_free(c);
	add(s, owner, RRTYPE_RRSIG, ttl, sig, n + siglen);
}

static const uint8_t tlsa[35] = { 3, 1, 1, 0x11 };

static void signed_tlsa(
	const struct zkey *k, const char *signer, const char *as)
{
	begin(OWNER, RRTYPE_TLSA, 0);
	add(CODEC_ANSWER, OWNER, RRTYPE_TLSA, 3600, tlsa, sizeof(tlsa));
	sign(k, CODEC_ANSWER, OWNER, RRTYPE_TLSA, 3600, tlsa, sizeof(tlsa),
		signer, as, UNTIL);
}

static struct codec_msg msg;

static void parse(const char *qname)
{
	struct codec_name n = name_of(qname);

	assert_int_equal(
		codec_parse(out.w, out.n, 0x1234, &n, RRTYPE_TLSA, &msg),
		CODEC_REPLY);
}

static struct codec_verifier *new_verifier(void)
{
	struct codec_verifier *v = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(codec_verifier_new(FIX_NOW, &v, &err), ST_OK);
	return v;
}

static enum codec_sig verify(
	struct codec_verifier *v, const struct codec_zone *z)
{
	struct codec_name n = name_of(OWNER);
	struct codec_verdict r;

	parse(OWNER);
	codec_verify(v, z, &msg, CODEC_ANSWER, &n, RRTYPE_TLSA, &r);
	return r.sig;
}

/* ---- signatures ---- */

static void test_signer(void **state)
{
	struct codec_verifier *v = new_verifier();
	struct zkey k = new_key(257);
	struct codec_zone *z = zone_of(&k, 1);

	(void)state;
	signed_tlsa(&k, ZONE, ZONE);
	assert_int_equal(verify(v, z), CODEC_SIG_OK);
	/* in the name of another zone, whatever was signed */
	signed_tlsa(&k, "test.", "test.");
	assert_int_equal(verify(v, z), CODEC_SIG_BAD);
	signed_tlsa(&k, "test.", ZONE);
	assert_int_equal(verify(v, z), CODEC_SIG_BAD);
	codec_zone_free(z);
	codec_verifier_free(v);
	EVP_PKEY_free(k.pkey);
}

/* Revoked, no zone key, or of another protocol. */
static void test_odd_keys(void **state)
{
	static const uint16_t flags[] = { 0x0181, 0x0001 };
	struct codec_verifier *v = new_verifier();

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct zkey k = new_key(i < 2 ? flags[i] : 257);
		struct codec_zone *z;

		if (i == 2) {
			k.dnskey[2] = 2;
			k.tag = tag_of(k.dnskey, sizeof(k.dnskey));
		}
		z = zone_of(&k, 1);
		signed_tlsa(&k, ZONE, ZONE);
		assert_int_equal(verify(v, z), CODEC_SIG_BAD);
		codec_zone_free(z);
		EVP_PKEY_free(k.pkey);
	}
	codec_verifier_free(v);
}

/* Among some hundred keys two have the same tag. */
static void same_tag(struct zkey ret[2])
{
	static struct zkey seen[65536];

	for (;;) {
		struct zkey k = new_key(257), *s = &seen[k.tag];

		if (s->pkey != NULL) {
			ret[0] = *s;
			ret[1] = k;
			s->pkey = NULL;
			break;
		}
		*s = k;
	}
	for (size_t i = 0; i < 65536; i++) {
		EVP_PKEY_free(seen[i].pkey);
		seen[i].pkey = NULL;
	}
}

/* What verified with one key is remembered for that key only. */
static void test_memory(void **state)
{
	struct codec_verifier *v = new_verifier();
	struct codec_zone *a, *b, *both;
	struct zkey k[2];

	(void)state;
	same_tag(k);
	a = zone_of(&k[0], 1);
	b = zone_of(&k[1], 1);
	both = zone_of(k, 2);
	signed_tlsa(&k[0], ZONE, ZONE);
	assert_int_equal(verify(v, a), CODEC_SIG_OK);
	assert_int_equal(verify(v, b), CODEC_SIG_BAD);
	assert_int_equal(verify(v, a), CODEC_SIG_OK);
	signed_tlsa(&k[1], ZONE, ZONE);
	assert_int_equal(verify(v, both), CODEC_SIG_OK);
	codec_zone_free(a);
	codec_zone_free(b);
	codec_zone_free(both);
	codec_verifier_free(v);
	EVP_PKEY_free(k[0].pkey);
	EVP_PKEY_free(k[1].pkey);
}

/* Many wrong signatures, and two keys that fit each: KeyTrap. */
static void test_bounded(void **state)
{
	struct codec_verifier *v = new_verifier();
	struct codec_zone *z;
	struct zkey k[2];

	(void)state;
	same_tag(k);
	z = zone_of(k, 2);
	begin(OWNER, RRTYPE_TLSA, 0);
	add(CODEC_ANSWER, OWNER, RRTYPE_TLSA, 3600, tlsa, sizeof(tlsa));
	for (unsigned int i = 0; i < 20; i++) {
		sign(&k[0], CODEC_ANSWER, OWNER, RRTYPE_TLSA, 3600, tlsa,
			sizeof(tlsa), ZONE, ZONE, UNTIL + i);
		out.w[out.n - 1] ^= 1;
	}
	assert_int_equal(verify(v, z), CODEC_SIG_BAD);
	assert_true(codec_verifier_work(v) <= 8);
	codec_zone_free(z);
	codec_verifier_free(v);
	EVP_PKEY_free(k[0].pkey);
	EVP_PKEY_free(k[1].pkey);
}

/* ---- denials ---- */

/* next, and a bitmap with these types below 256. */
static size_t nsec(uint8_t *w, const char *next, const uint16_t *type, size_t n)
{
	size_t at = put_name(w, next);

	w[at] = 0;
	w[at + 1] = 32;
	memset(w + at + 2, 0, 32);
	for (size_t i = 0; i < n; i++)
		w[at + 2 + type[i] / 8] |= (uint8_t)(0x80 >> (type[i] & 7));
	return at + 34;
}

static void signed_nsec(const struct zkey *k, const char *owner,
	const char *next, const uint16_t *type, size_t n, int64_t until)
{
	uint8_t w[300];
	size_t len = nsec(w, next, type, n);

	add(CODEC_AUTHORITY, owner, RRTYPE_NSEC, MINIMUM, w, len);
	sign(k, CODEC_AUTHORITY, owner, RRTYPE_NSEC, MINIMUM, w, len, ZONE,
		ZONE, until);
}

/* "mx" is delegated: what is below it is for others to deny. */
static void test_cut(void **state)
{
	static const uint16_t plain[] = { RRTYPE_A, RRTYPE_RRSIG, RRTYPE_NSEC };
	static const uint16_t cut[] = { RRTYPE_NS, RRTYPE_RRSIG, RRTYPE_NSEC };
	static const uint16_t dname[] = { RRTYPE_DNAME, RRTYPE_RRSIG,
		RRTYPE_NSEC };
	static const uint16_t *const types[] = { plain, cut, dname };
	struct codec_verifier *v = new_verifier();
	struct codec_name n = name_of(OWNER);
	struct zkey k = new_key(257);
	struct codec_zone *z = zone_of(&k, 1);
	struct codec_verdict r;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(OWNER, RRTYPE_TLSA, 3);
		signed_nsec(&k, "mx.example.test.", "z.example.test.", types[i],
			3, UNTIL);
		parse(OWNER);
		codec_verify_absent(v, z, &msg, &n, RRTYPE_TLSA, &r);
		assert_int_equal(r.sig, i == 0 ? CODEC_SIG_OK : CODEC_SIG_BAD);
	}
	codec_zone_free(z);
	codec_verifier_free(v);
	EVP_PKEY_free(k.pkey);
}

/* ---- what a sweep makes of it ---- */

static size_t soa(uint8_t *w)
{
	static const uint8_t rest[22] = { 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0,
		1, 0, 0, 0, 1, 0, 0, MINIMUM >> 8, MINIMUM & 255 };

	memcpy(w, rest, sizeof(rest));
	return sizeof(rest);
}

static char *hex_of_out(void)
{
	char *text = malloc(2 * out.n + 1);

	assert_non_null(text);
	for (size_t i = 0; i < out.n; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", out.w[i]);
	return text;
}

static struct sweep result;

/* The answer to a sweep of a server by these rules. */
static const struct sweep_answer *swept(
	const struct rule *rule, size_t n, const struct zkey *k)
{
	struct behaviour b = { .serial = 7, .rule = rule, .n = n };
	struct auth_server server = { .has_addr = true };
	struct owner_auth owner = { .final = OWNER };
	struct rdata key = { NULL, 0 };
	struct zone_auth zone = { .zone = ZONE,
		.security = k != NULL ? DNS_SECURE : DNS_INSECURE,
		.server = &server,
		.n_servers = 1,
		.dnskey = &key,
		.n_dnskey = 1 };
	struct authority a = {
		.zone = &zone, .n_zones = 1, .owner = &owner, .n_owners = 1
	};
	struct sweep_limits lim = { .deadline_ms = 10000, .wall_s = FIX_NOW };
	struct err err = ERR_INIT;
	uint8_t dnskey[36];

	if (k != NULL)
		memcpy(dnskey, k->dnskey, sizeof(dnskey));
	key = (struct rdata){ dnskey, sizeof(dnskey) };
	sweep_release(&result);
	rules_start(&b, &server.addr);
	assert_int_equal(sweep_run(&a, &lim, &result, &err), ST_OK);
	rules_stop();
	return &result.owner[0].answer[0];
}

/* A signed denial, its SOA and its proof with their own windows: what ends
 * first ends the denial. */
static void test_earliest_end(void **state)
{
	static const uint16_t types[] = { RRTYPE_A, RRTYPE_RRSIG, RRTYPE_NSEC };
	struct zkey k = new_key(257);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rule r = { .name = OWNER, .type = RRTYPE_TLSA };
		const struct sweep_answer *ans;
		uint8_t w[64];
		size_t len = soa(w);
		char *text;

		begin(OWNER, RRTYPE_TLSA, 0);
		add(CODEC_AUTHORITY, ZONE, RRTYPE_SOA, 3600, w, len);
		sign(&k, CODEC_AUTHORITY, ZONE, RRTYPE_SOA, 3600, w, len, ZONE,
			ZONE, UNTIL + (i == 0 ? 0 : 5000));
		signed_nsec(&k, OWNER, "z.example.test.", types, 3,
			UNTIL + (i == 0 ? 5000 : 0));
		r.replay = text = hex_of_out();
		ans = swept(&r, 1, &k);
		assert_string_equal(sweep_verdict_name(ans->verdict), "absent");
		assert_int_equal(ans->rrsig_expiration, UNTIL);
		assert_int_equal(ans->neg_ttl, MINIMUM);
		free(text);
	}
	EVP_PKEY_free(k.pkey);
}

#define RR1      \
	"030101" \
	"1111111111111111111111111111111111111111111111111111111111111111"
#define RR2      \
	"030101" \
	"2222222222222222222222222222222222222222222222222222222222222222"

/* The rules give the second record one second more. */
static void test_mixed_ttls(void **state)
{
	const struct rule r = { .name = OWNER,
		.type = RRTYPE_TLSA,
		.rr_type = RRTYPE_TLSA,
		.rr = { RR2, RR1 } };
	const struct sweep_answer *ans = swept(&r, 1, NULL);

	(void)state;
	assert_int_equal(ans->verdict, SWEEP_FOUND);
	assert_int_equal(ans->rrset.n, 2);
	assert_int_equal(ans->rrset.ttl, 3601);
	assert_true(ans->have_serial);
	assert_int_equal(ans->serial, 7);
}

static void test_nxdomain_with_records(void **state)
{
	const struct rule r = { .name = OWNER,
		.type = RRTYPE_TLSA,
		.rcode = 3,
		.rr_type = RRTYPE_TLSA,
		.rr = { RR1 } };
	const struct sweep_answer *ans = swept(&r, 1, NULL);

	(void)state;
	assert_int_equal(ans->verdict, SWEEP_UNKNOWN);
	assert_int_equal(ans->reason, SWR_GARBAGE);
	assert_int_equal(ans->rrset.n, 0);
}

/* The SOA of the zone above is what a lame server has. */
static void test_denial_of_the_parent(void **state)
{
	static const char *const apex[] = { ZONE, "test.", ".",
		"mx.example.test." };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rule r = { .name = OWNER, .type = RRTYPE_TLSA };
		const struct sweep_answer *ans;
		uint8_t w[64];
		size_t len = soa(w);
		char *text;

		begin(OWNER, RRTYPE_TLSA, 0);
		add(CODEC_AUTHORITY, apex[i], RRTYPE_SOA, 3600, w, len);
		r.replay = text = hex_of_out();
		ans = swept(&r, 1, NULL);
		assert_int_equal(
			ans->verdict, i == 0 ? SWEEP_ABSENT : SWEEP_UNKNOWN);
		assert_int_equal(ans->reason, i == 0 ? SWR_NONE : SWR_LAME);
		free(text);
	}
}

/* A serial from somebody's cache says nothing of this server. */
static void test_serial_without_aa(void **state)
{
	const struct rule r[] = { { .name = OWNER,
					  .type = RRTYPE_TLSA,
					  .rr_type = RRTYPE_TLSA,
					  .rr = { RR1 } },
		{ .name = ZONE, .type = RRTYPE_SOA, .lame = true } };
	const struct sweep_answer *ans = swept(r, 2, NULL);

	(void)state;
	assert_int_equal(ans->verdict, SWEEP_FOUND);
	assert_false(ans->have_serial);
}

/* RFC 2181 8. */
static void test_huge_ttl(void **state)
{
	static const uint32_t ttl[] = { 0x7fffffff, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(OWNER, RRTYPE_TLSA, 0);
		add(CODEC_ANSWER, OWNER, RRTYPE_TLSA, ttl[i], tlsa,
			sizeof(tlsa));
		parse(OWNER);
		assert_int_equal(msg.n, 1);
		assert_int_equal(msg.rr[0].ttl, i == 0 ? ttl[0] : 0);
	}
}

static int end(void **state)
{
	(void)state;
	rules_stop();
	sweep_release(&result);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signer),
		cmocka_unit_test(test_odd_keys),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_cut),
		cmocka_unit_test_teardown(test_earliest_end, end),
		cmocka_unit_test_teardown(test_mixed_ttls, end),
		cmocka_unit_test_teardown(test_nxdomain_with_records, end),
		cmocka_unit_test_teardown(test_denial_of_the_parent, end),
		cmocka_unit_test_teardown(test_serial_without_aa, end),
		cmocka_unit_test(test_huge_ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
