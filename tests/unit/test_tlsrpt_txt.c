/* The TXT record of _smtp._tls: what is right, and what each slip is called. */
#include "hook/check/tlsrpt_txt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define MAX 4
static uint8_t wire[MAX][1024];
static struct rdata rr[MAX];
static char why[512];

/* One TXT RDATA with one string, or pieces of at most step octets. */
static void put(size_t i, const char *text, size_t step)
{
	size_t n = strlen(text), at = 0;

	rr[i] = (struct rdata){ .data = wire[i], .len = 0 };
	do {
		size_t k = n - at < step ? n - at : step;

		wire[i][rr[i].len++] = (uint8_t)k;
		memcpy(wire[i] + rr[i].len, text + at, k);
		rr[i].len += k;
		at += k;
	} while (at < n);
}

static enum tlsrpt_txt one(const char *text)
{
	put(0, text, 255);
	return tlsrpt_txt_lint(rr, 1, why, sizeof(why));
}

static void expect(const char *text, enum tlsrpt_txt want, const char *words)
{
	enum tlsrpt_txt got = one(text);

	if (got != want || strstr(why, words) == NULL)
		fail_msg("%s: got %d \"%s\"", text, (int)got, why);
	assert_int_equal(why[0] == '\0', want == TLSRPT_TXT_OK);
}

static void test_good(void **state)
{
	static const char *const texts[] = {
		"v=TLSRPTv1;rua=mailto:tls@example.com",
		"v=TLSRPTv1; rua=mailto:tls@example.com;",
		"v=TLSRPTv1; rua=mailto:tls@example.com ; \t",
		"v=TLSRPTv1;rua=https://r.example/v1?x=1&y=a%2Cb",
		"v=TLSRPTv1;rua=mailto:a%21b@example.com , https://r.example",
		"v=TLSRPTv1;rua=MAILTO:a@example.com?subject=x",
		"v=TLSRPTv1;rua=tel:+1,mailto:a@example.com",
		"v=TLSRPTv1;ext-1.x_y=a:b/c;rua=https://[2001:db8::1]/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect(texts[i], TLSRPT_TXT_OK, "");
	/* strings are joined without anything between them */
	put(0, texts[3], 7);
	assert_int_equal(
		tlsrpt_txt_lint(rr, 1, why, sizeof(why)), TLSRPT_TXT_OK);
}

static void test_which(void **state)
{
	(void)state;
	assert_int_equal(
		tlsrpt_txt_lint(NULL, 0, why, sizeof(why)), TLSRPT_TXT_NONE);
	assert_non_null(strstr(why, "there is no TXT record"));
	put(0, "v=spf1 -all", 255);
	put(1, "v=TLSRPTv1;rua=mailto:a@b.example", 255);
	put(2, "v=TLSRPTv1", 255);
	assert_int_equal(
		tlsrpt_txt_lint(rr, 3, why, sizeof(why)), TLSRPT_TXT_OK);
	put(3, "v=TLSRPTv1;", 3);
	assert_int_equal(
		tlsrpt_txt_lint(rr, 4, why, sizeof(why)), TLSRPT_TXT_MANY);
	assert_non_null(strstr(why, "2 records"));
	expect("v=spf1 -all", TLSRPT_TXT_NONE, "no TXT record begins with");
	/* lengths that lie */
	put(0, "v=TLSRPTv1;rua=mailto:a@b.example", 255);
	wire[0][0]++;
	assert_int_equal(
		tlsrpt_txt_lint(rr, 1, why, sizeof(why)), TLSRPT_TXT_NONE);
	assert_non_null(strstr(why, "do not add up"));
	rr[0].len = 0;
	assert_int_equal(
		tlsrpt_txt_lint(rr, 1, why, sizeof(why)), TLSRPT_TXT_NONE);
	/* room for nothing */
	assert_int_equal(tlsrpt_txt_lint(rr, 1, NULL, 0), TLSRPT_TXT_NONE);
}

static void test_slips(void **state)
{
	static const char *const slips[][2] = {
		{ "v=TLSRPTv1 rua=mailto:a@b.example", "';' after v=TLSRPTv1" },
		{ "v=TLSRPTv1", "';' after v=TLSRPTv1" },
		{ "v=TLSRPTv1 ; rua=mailto:a@b.example", "a blank stands" },
		{ "v = TLSRPTv1; rua=mailto:a@b.example", "(no blanks)" },
		{ " v=TLSRPTv1; rua=mailto:a@b.example",
			"begins with a blank" },
		{ "V=TLSRPTv1; rua=mailto:a@b.example", "wrong case" },
		{ "v=tlsrptv1; rua=mailto:a@b.example", "wrong case" },
		{ "\"v=TLSRPTv1; rua=mailto:a@b.example\"", "quotes" },
		{ "v=TLSRPT1; rua=mailto:a@b.example", "looks like TLS-RPT" },
		{ "v=TLSRPTv2; rua=mailto:a@b.example", "looks like TLS-RPT" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++)
		expect(slips[i][0], TLSRPT_TXT_NONE, slips[i][1]);
}

static void test_invalid(void **state)
{
	static const char *const cases[][2] = {
		{ "", "rua is missing" },
		{ "ext=1", "rua is missing" },
		{ "rua=", "rua is empty" },
		{ "rua=mailto:a@b.example;rua=mailto:c@d.example", "twice" },
		{ "RUA=mailto:a@b.example", "lower case" },
		{ "rua = mailto:a@b.example", "blanks around '='" },
		{ "rua= mailto:a@b.example", "blanks around '='" },
		{ "rua=http://r.example/", "never to http:" },
		{ "rua=tls@example.com", "lacks mailto: write "
					 "rua=mailto:tls@example.com" },
		{ "rua=r.example/x", "is no URI" },
		{ "rua=tel:+1", "neither a mailto: nor" },
		{ "rua=mailto:a@b.example!10m", "%21" },
		{ "rua=mailto:a@b.example,", "an empty URI" },
		{ "rua=mailto:a@b.example,,mailto:c@d.example",
			"an empty URI" },
		{ "rua=mailto://a@b.example", "not followed by //" },
		{ "rua=mailto:a", "needs one address" },
		{ "rua=mailto:a,b@c.example", "needs one address" },
		{ "rua=mailto:a@", "needs one address" },
		{ "rua=mailto:a@b@c", "needs one address" },
		{ "rua=mailto:a@b_c/d", "is no domain" },
		{ "rua=mailto:a@b.example mailto:c@d.example", "no URI may" },
		{ "rua=mailto:a%2@b.example", "hexadecimal" },
		{ "rua=https:r.example", "https: needs //HOST" },
		{ "rua=https:///x", "https: needs //HOST" },
		{ "rua=mailto:a@b.example;;x=1", "two ';'" },
		{ ";rua=mailto:a@b.example", "two ';'" },
		{ "rua=mailto:a@b.example;pct", "NAME=VALUE" },
		{ "rua=mailto:a@b.example;-x=1", "no name of a field" },
		{ "rua=mailto:a@b.example;x=a=b", "the value of the field" },
		{ "rua=mailto:a@b.example;x=", "the value of the field" },
		{ "rua=mailto:a@b.example;ruf=mailto:c@d.example", "DMARC" },
		{ "rua=mailto:\xc3\xa9@b.example", "no URI may" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(
			text, sizeof(text), "v=TLSRPTv1;%s", cases[i][0]);
		expect(text, TLSRPT_TXT_INVALID, cases[i][1]);
	}
	/* a small buffer is never passed */
	memset(why, 'x', sizeof(why));
	put(0, "v=TLSRPTv1;rua=http://r.example/", 255);
	(void)tlsrpt_txt_lint(rr, 1, why, 10);
	assert_int_equal(strlen(why), 9);
	assert_int_equal(why[10], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_slips),
		cmocka_unit_test(test_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
