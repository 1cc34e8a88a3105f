/* Domain names as text: one canonical form, everything else refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/dns/name.h"

static void canon_is(const char *in, const char *want)
{
	char got[DNS_NAME_MAX] = "untouched";
	struct err err = ERR_INIT;

	if (want != NULL) {
		assert_int_equal(name_canon(in, got, &err), ST_OK);
		assert_string_equal(got, want);
		return;
	}
	assert_int_equal(name_canon(in, got, &err), ST_CONFIG);
	assert_string_equal(got, "untouched");
	assert_true(err.text[0] != '\0');
}

static void test_canon(void **state)
{
	char label[80], longest[300] = "", over[400];

	(void)state;
	canon_is("_25._tcp.MX1.Example.COM", "_25._tcp.mx1.example.com.");
	canon_is("a.", "a.");
	canon_is("*.example.com", "*.example.com.");
	canon_is("xn--bcher-kva.example.", "xn--bcher-kva.example.");
	canon_is(".", ".");
	canon_is("", NULL);
	canon_is("..", NULL);
	canon_is(".a", NULL);
	canon_is("a..b", NULL);
	canon_is("a b", NULL);
	canon_is("a\\046b.c", NULL);
	canon_is("b\xc3\xbc"
		 "cher.example",
		NULL);
	canon_is("a.*.example", NULL);
	canon_is("a*.example", NULL);
	canon_is("a/b", NULL);
	canon_is("a\nb", NULL);

	memset(label, 'x', sizeof(label));
	label[63] = '\0';
	assert_int_equal(strlen(label), 63);
	for (int i = 0; i < 3; i++)
		(void)snprintf(longest + strlen(longest),
			sizeof(longest) - strlen(longest), "%s.", label);
	(void)snprintf(longest + strlen(longest),
		sizeof(longest) - strlen(longest), "%.61s", label);
	assert_int_equal(strlen(longest), 253);
	(void)snprintf(over, sizeof(over), "%s.", longest);
	canon_is(longest, over);
	canon_is(over, over);
	(void)snprintf(over, sizeof(over), "%sx", longest);
	canon_is(over, NULL);
	label[63] = 'x';
	label[64] = '\0';
	canon_is(label, NULL);
}

static void test_parent(void **state)
{
	(void)state;
	assert_string_equal(name_parent("_25._tcp.mx."), "_tcp.mx.");
	assert_string_equal(name_parent("com."), ".");
	assert_null(name_parent("."));
}

static void test_under(void **state)
{
	(void)state;
	assert_true(name_is_under("a.example.", "example."));
	assert_true(name_is_under("example.", "example."));
	assert_true(name_is_under("example.", "."));
	assert_true(name_is_under(".", "."));
	assert_false(name_is_under("badexample.", "example."));
	assert_false(name_is_under("example.", "a.example."));
	assert_false(name_is_under(".", "example."));
}

static void test_split(void **state)
{
	static const char *const bad[] = { "mx.example.com", "_25.mx.example",
		"_0._tcp.mx", "_025._tcp.mx", "_65536._tcp.mx", "_._tcp.mx",
		"_25._udp.mx", "_25._tcp", "_25._tcpx.mx", "25._tcp.mx",
		"*._tcp.mx", "_25._tcp..", "", "." };
	char host[DNS_NAME_MAX];
	struct err err = ERR_INIT;
	uint16_t port = 0;

	(void)state;
	assert_int_equal(
		name_split_tlsa("_25._tcp.MX1.example.com", &port, host, &err),
		ST_OK);
	assert_int_equal(port, 25);
	assert_string_equal(host, "mx1.example.com.");
	assert_int_equal(
		name_split_tlsa("_65535._tcp.a.", &port, host, &err), ST_OK);
	assert_int_equal(port, 65535);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			name_split_tlsa(bad[i], &port, host, &err), ST_CONFIG);
	assert_int_equal(port, 65535);
	assert_string_equal(host, "a.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canon),
		cmocka_unit_test(test_parent),
		cmocka_unit_test(test_under),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
