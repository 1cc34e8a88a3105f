/* The next page of a list: found whatever the order and spelling of the links,
 * and never more of the URL used than its query. */
#include "providers/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* after the four that it needs */
#include <cmocka.h>

#define URL "https://api.example.test/v1/"

static enum status next(const char *link, char ret[static 32])
{
	struct err err = ERR_INIT;

	return api_next_query(link, ret, 32, &err);
}

static void test_found(void **state)
{
	static const char *const links[] = {
		"<" URL "a?page=2&n=%40+x>; rel=\"next\"",
		"<" URL "a?page=2&n=%40+x>;rel=next",
		"<" URL "a?page=2&n=%40+x>; title=\"x\"; REL=\"next last\"",
		"<" URL "a?x=1>; rel=\"first\", <" URL "a?x=3>; rel=\"last\", "
		"<" URL "a?page=2&n=%40+x>; rel=\"next\"",
		"<" URL "a>; title=x, <" URL "a?page=2&n=%40+x>; rel=next, "
		"<" URL "a?x=3>; rel=last",
		/* Wherever it leads: that is not used. */
		"<http://evil.test/?page=2&n=%40+x>; rel=\"next\"",
	};
	char got[32];

	(void)state;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		assert_int_equal(next(links[i], got), ST_OK);
		assert_string_equal(got, "page=2&n=%40+x");
	}
}

static void test_last(void **state)
{
	static const char *const links[] = { NULL, "", "<", "no link",
		"<" URL "a?x=1>", "<" URL "a?x=1",
		"<" URL "a?x=1>; rel=", "<" URL "a?x=1>; rel=\"nextish\"",
		"<" URL "a?x=1>; rel=\"prev\"; title=\"rel=next\"",
		"<" URL "a?x=1>; rel=\"first\", <" URL "a?x=3>; rel=\"last\"" };
	char got[32];

	(void)state;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		memcpy(got, "x", 2);
		assert_int_equal(next(links[i], got), ST_OK);
		assert_string_equal(got, "");
	}
}

static void test_odd(void **state)
{
	static const char *const links[] = { "<" URL "a>; rel=next",
		"<" URL "a?>; rel=next", "<" URL "a?x y>; rel=next",
		"<" URL "a?x\r\ny>; rel=next", "<" URL "a?x/../b>; rel=next",
		"<" URL "a?x=1#y>; rel=next",
		"<" URL "a>; rel=next, <" URL "b?x=1>; rel=last",
		/* with its end as long as what there is room for, and one more
		 */
		"<?0123456789012345678901234567890x>; rel=next" };
	char got[32];

	(void)state;
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		assert_int_equal(next(links[i], got), ST_RETRY);
		assert_string_equal(got, "");
	}
	assert_int_equal(
		next("<?0123456789012345678901234567890>; rel=next", got),
		ST_OK);
	assert_int_equal(strlen(got), 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
