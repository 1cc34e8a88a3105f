/* XML of an API: what is found in it, and what is refused. */
#include "providers/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct xml *parse(const char *text)
{
	struct xml *x = NULL;
	struct err err = ERR_INIT;

	if (xml_parse(text, strlen(text), &x, &err))
		fail_msg("%s", err.text);
	return x;
}

static void refused(const char *text, size_t len, const char *why)
{
	struct xml *x = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(xml_parse(text, len, &x, &err), ST_RETRY);
	assert_null(x);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say: %s", err.text, why);
}

static void finds_elements(void **state)
{
	(void)state;
	auto_xml x = parse("<?xml version=\"1.0\"?>\n<a:R xmlns:a=\"urn:x\">\n"
			   "<L><I><N>one</N></I><!-- no --><O/>"
			   "<I><N>t&amp;w&#111;</N></I></L>"
			   "<Name>x</Name><N>3</N><E></E></a:R>\n");
	const struct xml *i = xml_at(x, "L/I");

	assert_string_equal(x->name, "R");
	assert_string_equal(xml_text(i, "N"), "one");
	i = xml_next(i);
	assert_string_equal(xml_text(i, "N"), "t&wo");
	assert_null(xml_next(i));
	assert_string_equal(xml_text(x, "N"), "3");
	assert_string_equal(xml_text(x, "E"), "");
	assert_string_equal(xml_text(x, "L"), "");
	assert_string_equal(xml_text(x, "L/X/N"), "");
	assert_null(xml_at(x, "Nam"));
	assert_null(xml_at(NULL, "N"));
	assert_string_equal(xml_text(NULL, "N"), "");
}

static void reads_numbers(void **state)
{
	(void)state;
	auto_xml x =
		parse("<R><A>0</A><B>2147483647</B><C>2147483648</C>"
		      "<D>-1</D><E>3600 </E><F></F><G>00000000001</G></R>");

	assert_int_equal(xml_int(x, "A"), 0);
	assert_int_equal(xml_int(x, "B"), INT32_MAX);
	for (const char *odd = "CDEFGH"; *odd; odd++)
		assert_int_equal(xml_int(x, (char[]){ *odd, '\0' }), -1);
}

static void joins_text(void **state)
{
	(void)state;
	auto_xml x = parse("<R><V>3 1 1 <![CDATA[ab<]]>cd&quot;</V></R>");

	assert_string_equal(xml_text(x, "V"), "3 1 1 ab<cd\"");
}

static void refuses(void **state)
{
	static const char *const bad[][2] = {
		{ "<a><:/></a>", "colon" },
		{ "<a><b:/></a>", "colon" },
		{ "<a:b:c/>", "colon" },
		{ "", "no element" },
		{ "plain", "syntax" },
		{ "<a><b></a>", "mismatched" },
		{ "<a><b>", "no element" },
		{ "<a>&x;</a>", "undefined entity" },
		{ "<a/><b/>", "junk" },
		{ "<a>\xff</a>", "invalid token" },
		{ "<!DOCTYPE html><html></html>", "document type" },
		{ "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
			"document type" },
		{ "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
			"document type" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i][0], strlen(bad[i][0]), bad[i][1]);
	refused("<a>\0</a>", 8, "invalid token");
}

static char *nested(size_t depth)
{
	char *text = malloc(7 * depth + 1), *p = text;

	assert_non_null(text);
	for (size_t i = 0; i < depth; i++, p += 3)
		memcpy(p, "<a>", 3);
	for (size_t i = 0; i < depth; i++, p += 4)
		memcpy(p, "</a>", 4);
	*p = '\0';
	return text;
}

static void limits(void **state)
{
	char *text = nested(XML_DEPTH_MAX);
	struct xml *x = parse(text);

	(void)state;
	xml_free(x);
	free(text);
	text = nested(XML_DEPTH_MAX + 1);
	refused(text, strlen(text), "too deep");
	free(text);

	size_t n = XML_ELEMENTS_MAX, len = 4 * n + 7;
	text = malloc(len + 1);
	assert_non_null(text);
	memcpy(text, "<a>", 3);
	for (size_t i = 0; i < n; i++)
		memcpy(text + 3 + 4 * i, "<b/>", 4);
	memcpy(text + 3 + 4 * n, "</a>", 5);
	refused(text, len, "too many");
	free(text);
}

static void escapes(void **state)
{
	const char *odd = "a<b>&\"c'\r\nd]]>";
	auto_buf doc = BUF_INIT(1000);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(buf_printf(&doc, &err, "<R><V>"), ST_OK);
	assert_int_equal(xml_escape(odd, &doc, &err), ST_OK);
	assert_int_equal(buf_printf(&doc, &err, "</V></R>"), ST_OK);
	auto_xml x = parse(buf_str(&doc));
	assert_string_equal(xml_text(x, "V"), odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_elements),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(joins_text),
		cmocka_unit_test(refuses),
		cmocka_unit_test(limits),
		cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
