/* The catalogue: complete, unambiguous, and in the words of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/check/code.h"

#include <string.h>

static void test_complete(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CODE__COUNT; i++) {
		const struct check_code_info *ci =
			check_code_info((enum check_code)i);
		enum check_code back = CODE__COUNT;

		assert_non_null(ci->name);
		assert_non_null(ci->title);
		assert_true(ci->name[strspn(ci->name,
				    "abcdefghijklmnopqrstuvwxyz0123456789-")] ==
			    '\0');
		/* Unique, or this would find an earlier one. */
		assert_true(check_code_parse(ci->name, &back));
		assert_int_equal(back, i);
	}
	assert_non_null(check_code_info((enum check_code)9999));
	assert_false(check_code_parse("no-such-code", &(enum check_code){ 0 }));
}

/* RFC 8460 4.3 knows these, and no other. */
static void test_tlsrpt_types(void **state)
{
	static const char *const known[] = { "starttls-not-supported",
		"certificate-host-mismatch", "certificate-expired",
		"certificate-not-trusted", "validation-failure", "tlsa-invalid",
		"dnssec-invalid", "dane-required" };

	(void)state;
	for (unsigned i = 0; i < CODE__COUNT; i++) {
		const char *t = check_code_info((enum check_code)i)->tlsrpt;
		bool found = t == NULL;

		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			found = found || strcmp(t, known[k]) == 0;
		assert_true(found);
	}
}

static void test_mapping(void **state)
{
	static const struct {
		enum check_code code;
		const char *exchange, *tlsrpt, *postfix;
	} rows[] = {
		{ CODE_STARTTLS_MISSING, "5.7.321 starttls-not-supported",
			"starttls-not-supported", "was not offered" },
		{ CODE_STARTTLS_REFUSED, "5.7.321 starttls-not-supported",
			"starttls-not-supported", "refused to start TLS" },
		{ CODE_HANDSHAKE, "5.7.321 starttls-not-supported",
			"validation-failure", "handshake failure" },
		{ CODE_CERT_EXPIRED, "5.7.322 certificate-expired",
			"certificate-expired", "has expired" },
		{ CODE_CERT_NOT_YET, "5.7.323 tlsa-invalid",
			"validation-failure", "not yet valid" },
		{ CODE_TLSA_MISMATCH, "5.7.323 tlsa-invalid", "tlsa-invalid",
			"Server certificate not verified" },
		{ CODE_TLSA_HIDDEN, "5.7.323 tlsa-invalid", "tlsa-invalid",
			"no matching DANE TLSA records" },
		{ CODE_TLSA_BOGUS, "5.7.324 dnssec-invalid", "dnssec-invalid",
			"TLSA lookup error for" },
		{ CODE_TLSA_FAILED, "5.7.324 dnssec-invalid", "dnssec-invalid",
			"TLSA lookup error for" },
		{ CODE_NAME_MISMATCH, "5.7.325 certificate-host-mismatch",
			"certificate-host-mismatch", "hostname mismatch" },
		{ CODE_MX_FAILED, "5.4.312 DNS query failed", "dnssec-invalid",
			"try again" },
		{ CODE_NO_TLSA, NULL, "dane-required",
			"no TLSA records found" },
		{ CODE_ADDR_INSECURE, NULL, "dane-required",
			"non DNSSEC destination" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct check_code_info *ci =
			check_code_info(rows[i].code);

		if (rows[i].exchange == NULL)
			assert_null(ci->exchange);
		else
			assert_string_equal(ci->exchange, rows[i].exchange);
		assert_string_equal(ci->tlsrpt, rows[i].tlsrpt);
		assert_non_null(ci->postfix);
		assert_non_null(strstr(ci->postfix, rows[i].postfix));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_tlsrpt_types),
		cmocka_unit_test(test_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
