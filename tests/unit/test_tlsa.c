/* TLSA sets: what is in them, what is equal, what a client can use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/dns/tlsa.h"

#define HEX32(x) x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x
#define K1 "3 1 1 " HEX32("11")
#define K2 "3 1 1 " HEX32("22")
#define K1_512 "3 1 2 " HEX32("aa") HEX32("aa")

static struct spki key_of(uint8_t octet)
{
	struct spki k;

	memset(k.d, octet, sizeof(k.d));
	return k;
}

static void add(struct tlsa_rrset *set, const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(tlsa_rrset_add_text(set, text, &err), ST_OK);
}

static void test_add(void **state)
{
	auto_tlsa a = TLSA_RRSET_INIT, b = TLSA_RRSET_INIT;
	struct spki k1 = key_of(0x11), k3 = key_of(0x33);
	struct err err = ERR_INIT;

	(void)state;
	add(&a, K1);
	add(&a, "2 1 1 " HEX32("AB"));
	add(&a, K2);
	add(&a, K1);
	assert_int_equal(a.n, 3);
	add(&b, K2);
	assert_int_equal(tlsa_rrset_add_spki(&b, &k1, &err), ST_OK);
	assert_false(tlsa_rrset_eq(&a, &b));
	add(&b, "2 1 1 " HEX32("ab "));
	b.ttl = 77;
	assert_true(tlsa_rrset_eq(&a, &b));
	/* Sorted: equal sets are equal record by record. */
	for (size_t i = 0; i < a.n; i++) {
		assert_int_equal(a.rr[i].usage, b.rr[i].usage);
		assert_memory_equal(a.rr[i].data, b.rr[i].data, a.rr[i].len);
	}
	assert_int_equal(a.rr[0].usage, 2);
	assert_true(tlsa_rrset_has_spki(&a, &k1));
	assert_false(tlsa_rrset_has_spki(&a, &k3));
	assert_false(tlsa_rrset_remove_spki(&a, &k3));
	assert_true(tlsa_rrset_remove_spki(&a, &k1));
	assert_false(tlsa_rrset_has_spki(&a, &k1));
	assert_int_equal(a.n, 2);
	assert_int_equal(a.rr[0].usage, 2);
}

static void test_add_bad_key(void **state)
{
	auto_tlsa a = TLSA_RRSET_INIT;
	struct spki none = key_of(0);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(tlsa_rrset_add_spki(&a, &none, &err), ST_BUG);
	assert_int_equal(a.n, 0);
}

static void test_copy(void **state)
{
	auto_tlsa a = TLSA_RRSET_INIT, b = TLSA_RRSET_INIT;
	struct spki k1 = key_of(0x11);
	struct err err = ERR_INIT;

	(void)state;
	a.ttl = 3600;
	add(&a, K1);
	add(&a, K2);
	assert_int_equal(tlsa_rrset_copy(&a, &b, &err), ST_OK);
	assert_int_equal(b.ttl, 3600);
	assert_true(tlsa_rrset_remove_spki(&a, &k1));
	assert_true(tlsa_rrset_has_spki(&b, &k1));
}

static void test_limit(void **state)
{
	auto_tlsa a = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	uint8_t rdata[5] = { 3, 1, 1, 0, 0 };

	(void)state;
	for (int i = 0; i < TLSA_RRSET_MAX; i++) {
		rdata[3] = (uint8_t)(i >> 8);
		rdata[4] = (uint8_t)i;
		assert_int_equal(
			tlsa_rrset_add_rdata(&a, rdata, 5, &err), ST_OK);
	}
	rdata[0] = 2;
	assert_int_equal(tlsa_rrset_add_rdata(&a, rdata, 5, &err), ST_REFUSED);
	rdata[0] = 3; /* is in it already */
	assert_int_equal(tlsa_rrset_add_rdata(&a, rdata, 5, &err), ST_OK);
	assert_int_equal(a.n, TLSA_RRSET_MAX);
	assert_int_equal(tlsa_rrset_add_rdata(&a, rdata, 2, &err), ST_REFUSED);
}

static void test_empty_data(void **state)
{
	auto_tlsa a = TLSA_RRSET_INIT;
	const uint8_t rdata[3] = { 3, 1, 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(tlsa_rrset_add_rdata(&a, rdata, 3, &err), ST_OK);
	assert_int_equal(a.rr[0].len, 0);
	assert_false(tlsa_usable(&a.rr[0], NULL));
}

static void test_text(void **state)
{
	static const char *const bad[] = { "", "3 1 1", "3 1 1 ", "3 1 1 abc",
		"3 1 1 xy", "256 1 1 ab", "3 1 ab", "-3 1 1 ab", "3 1 1 ab;",
		"3 1 1ab", "3,1,1 ab" };
	auto_tlsa a = TLSA_RRSET_INIT;
	auto_buf text = BUF_INIT(1000), tiny = BUF_INIT(10);
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			tlsa_rrset_add_text(&a, bad[i], &err), ST_REFUSED);
	assert_int_equal(a.n, 0);
	add(&a, " 3  1\t1 0C72 ac70\n B7 ");
	assert_int_equal(tlsa_text(&a.rr[0], &text, &err), ST_OK);
	assert_string_equal(buf_str(&text), "3 1 1 0c72ac70b7");
	assert_int_equal(tlsa_text(&a.rr[0], &tiny, &err), ST_REFUSED);
	assert_string_equal(buf_str(&tiny), "");
}

static void usable_is(const char *text, bool want)
{
	auto_tlsa a = TLSA_RRSET_INIT;
	const char *why = NULL;

	add(&a, text);
	assert_int_equal(tlsa_usable(&a.rr[0], &why), want);
	assert_int_equal(why == NULL, want);
}

static void test_usable(void **state)
{
	(void)state;
	usable_is(K1, true);
	usable_is(K1_512, true);
	usable_is("2 0 0 3082", true);
	usable_is("2 0 1 " HEX32("00"), true);
	usable_is("0 1 1 " HEX32("11"), false);
	usable_is("1 1 1 " HEX32("11"), false);
	usable_is("4 1 1 " HEX32("11"), false);
	usable_is("255 1 1 " HEX32("11"), false);
	usable_is("3 2 1 " HEX32("11"), false);
	usable_is("3 1 3 " HEX32("11"), false);
	usable_is("3 1 1 " HEX32("11") "11", false);
	usable_is("3 1 1 1111", false);
	usable_is("3 1 2 " HEX32("11"), false);
}

static void test_is_spki(void **state)
{
	static const char *const others[] = { "2 1 1 ", "1 1 1 ", "3 0 1 ",
		"3 1 2 ", "3 1 0 " };
	auto_tlsa a = TLSA_RRSET_INIT;
	struct spki got, k1 = key_of(0x11);

	(void)state;
	add(&a, "3 1 1 1111");
	add(&a, K1);
	assert_false(tlsa_is_spki(&a.rr[0], &got));
	assert_true(tlsa_is_spki(&a.rr[1], &got));
	assert_true(spki_eq(&got, &k1));
	/* the same octets in a record of another kind are somebody else's */
	for (size_t i = 0; i < 5; i++) {
		auto_tlsa b = TLSA_RRSET_INIT;
		char text[100];

		(void)snprintf(text, sizeof(text), "%s%s", others[i], &K1[6]);
		add(&b, text);
		assert_false(tlsa_is_spki(&b.rr[0], &got));
		assert_false(tlsa_rrset_has_spki(&b, &k1));
		assert_false(tlsa_rrset_remove_spki(&b, &k1));
	}
}

/* The trap: one foreign 3 1 2 turns a good 3 1 1 into an outage. */
static void test_agility(void **state)
{
	auto_tlsa a = TLSA_RRSET_INIT;
	struct spki k1 = key_of(0x11), k2 = key_of(0x22);
	const char *why = NULL;
	uint8_t aa[64], bb[64];

	(void)state;
	memset(aa, 0xaa, sizeof(aa));
	memset(bb, 0xbb, sizeof(bb));
	assert_false(tlsa_agility_ok(&a, &k1, NULL, &why));
	add(&a, K1);
	assert_true(tlsa_agility_ok(&a, &k1, NULL, NULL));
	assert_false(tlsa_agility_ok(&a, &k2, NULL, &why));
	assert_non_null(why);
	/* Another usage or selector, or a digest nobody can use: no harm. */
	add(&a, "2 1 2 " HEX32("aa") HEX32("aa"));
	add(&a, "3 0 2 " HEX32("aa") HEX32("aa"));
	add(&a, "3 1 2 aabb");
	assert_true(tlsa_agility_ok(&a, &k1, NULL, NULL));
	add(&a, K1_512);
	why = NULL;
	assert_false(tlsa_agility_ok(&a, &k1, NULL, &why));
	assert_non_null(why);
	assert_false(tlsa_agility_ok(&a, &k1, bb, NULL));
	assert_true(tlsa_agility_ok(&a, &k1, aa, NULL));
	add(&a, "3 1 2 " HEX32("bb") HEX32("bb"));
	assert_true(tlsa_agility_ok(&a, &k1, aa, NULL));
	assert_true(tlsa_agility_ok(&a, &k1, bb, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_bad_key),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_empty_data),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_is_spki),
		cmocka_unit_test(test_agility),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
