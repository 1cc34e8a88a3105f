/* TLS-RPT: reports of real senders, what is wrong with others, sums, marks. */
#include "tests/unit/tlsrpt_fixture.h"

#include <jansson.h>

static const struct tlsrpt_known nothing = { .any = false };

static void test_google(void **state)
{
	const struct tlsrpt_report *r;
	const struct tlsrpt_policy *p;

	(void)state;
	feed_good("g.json", GOOGLE);
	assert_int_equal(set.n_reports, 1);
	r = set.report[0];
	assert_string_equal(r->org, "Google Inc.");
	assert_string_equal(r->contact, "smtp-tls-reporting@google.com");
	assert_string_equal(r->id, "2026-11-20T00:00:00Z_example.com");
	assert_int_equal(r->begin_s, 1795132800);
	assert_int_equal(r->end_s, 1795132800 + 86399);
	assert_int_equal(r->n_policies, 1);
	p = r->policy;
	assert_string_equal(p->type, "sts");
	assert_string_equal(p->domain, "example.com");
	assert_int_equal(p->n_hosts, 1);
	assert_string_equal(p->host[0], "mx1.example.com");
	assert_int_equal(p->n_keys, 0);
	assert_int_equal(p->ok, 1240);
	assert_int_equal(p->failed, 9);
	assert_int_equal(p->n_rows, 2);
	assert_string_equal(p->row[0].type, "certificate-expired");
	assert_string_equal(p->row[0].mx, "mx1.example.com");
	assert_int_equal(p->row[0].count, 3);
	assert_int_equal(p->row[1].count, 4);
}

static void test_microsoft(void **state)
{
	const struct tlsrpt_policy *p;
	char hex[SPKI_HEX];

	(void)state;
	feed_good("m.json", MICROSOFT);
	assert_int_equal(set.report[0]->n_policies, 2);
	p = set.report[0]->policy;
	assert_int_equal(p->n_keys, 1); /* 2 1 1 is no key of a server */
	assert_string_equal(spki_hex(&p->key[0], hex), KEY_A);
	assert_int_equal(p->n_rows, 1);
	assert_string_equal(p->row[0].reason, "5.7.323 tlsa-invalid");
	assert_int_equal(p[1].ok, 520);
	assert_int_equal(p[1].n_rows, 0);
}

static void test_mailru(void **state)
{
	const struct tlsrpt_report *r;

	(void)state;
	feed_good("r.json", "\xef\xbb\xbf" MAILRU "\n");
	r = set.report[0];
	assert_int_equal(r->begin_s, 1795132800);
	assert_int_equal(r->end_s, 1795132800 + 86400);
	assert_string_equal(r->policy->domain, "example.com");
	assert_string_equal(r->policy->host[0], "mx2.example.com");
	assert_int_equal(r->policy->n_keys, 1);
	assert_string_equal(r->org, "Mail.ru \xd0\x9e\xd0\x9e\xd0\x9e");
}

#define AROUND(range, policies)                                    \
	"{\"organization-name\":\"o\",\"report-id\":\"i\",\"date-" \
	"range\":" range ",\"policies\":" policies "}"
#define DAY                                             \
	"{\"start-datetime\":\"2026-11-20T00:00:00Z\"," \
	"\"end-datetime\":\"2026-11-20T23:59:59Z\"}"
#define POLICY(rest)                                          \
	AROUND(DAY, "[{\"policy\":{\"policy-type\":\"tlsa\"," \
		    "\"policy-domain\":\"example.com\"}" rest "}]")
#define DETAIL(rest) POLICY(",\"failure-details\":[{" rest "}]")

/* What is missing and may be. */
static void test_forgiven(void **state)
{
	const struct tlsrpt_policy *p;

	(void)state;
	feed_good("1", POLICY(""));
	assert_int_equal(set.report[0]->policy->failed, 0);
	clear(NULL);
	feed_good("2", POLICY(",\"summary\":null,\"failure-details\":null"));
	clear(NULL);
	/* no summary, no count, unknown type with an escape sequence in it */
	feed_good("3", DETAIL("\"result-type\":\"Odd\\u001b[31m\","
			      "\"receiving-ip\":\"192.0.2.1\"},{"
			      "\"failed-session-count\":0"));
	p = set.report[0]->policy;
	assert_int_equal(p->failed, 1);
	assert_int_equal(p->n_rows, 1);
	assert_string_equal(p->row[0].type, "odd?[31m");
	assert_string_equal(p->row[0].mx, "[192.0.2.1]");
	clear(NULL);
	/* details that say more than the summary are believed */
	feed_good("4", POLICY(",\"summary\":{\"total-failure-session-count\":1}"
			      ",\"failure-details\":[{\"failed-session-count\""
			      ":5},{\"failed-session-count\":6}]"));
	p = set.report[0]->policy;
	assert_int_equal(p->failed, 11);
	assert_int_equal(p->n_rows, 1);
	assert_string_equal(p->row[0].type, "(no type)");
}

static void test_malformed(void **state)
{
	static const char *const cases[][2] = {
		{ "", "is empty" },
		{ "{", "1:2: the report ends too early: '}'" },
		{ "[]", "1:1: '{' expected to begin the report" },
		{ "{}", "\"date-range\" is missing" },
		{ "{\"a\":1", "ends too early" },
		{ "{\"a\":1,}", "1:8: a name in quotes" },
		{ "{\"a\" 1}", "1:6: ':' expected" },
		{ "{\n \"a\":\n  tru}", "3:" },
		{ "{\"a\":[1,2", "ends too early: a bracket that opens at "
				 "1:6" },
		{ "{\"a\":[1,2}}", "1:10: ']' expected" },
		{ "{\"a\":\"\xff\"}", "1:6: unable to decode" },
		{ "{\"a\":\"x", "ends inside a string" },
		{ "{\"a\":01}", "1:" },
		{ "{\"a\":{\"b\":1,\"b\":2}}", "duplicate" },
		{ AROUND(DAY, "[]") "x", "something follows" },
		{ AROUND(DAY, "{}"), "'[' expected to begin \"policies\"" },
		{ AROUND(DAY, "[1]"), "'{' expected to begin an element" },
		{ AROUND(DAY, "[{}]"), "has no \"policy\"" },
		{ AROUND(DAY, "[{\"policy\":{}}]"), "\"policy-domain\" is m" },
		{ AROUND(DAY, "[{\"policy\":[]}]"), "must be an object, not" },
		{ AROUND(DAY, "[],\"policies\":[]"), "is there twice" },
		{ AROUND("1", "[]"), "\"date-range\" must be an object" },
		{ AROUND("{}", "[]"), "\"start-datetime\" is \"\": not a" },
		{ AROUND("{\"start-datetime\":5}", "[]"), "must be a string" },
		{ AROUND("{\"start-datetime\":\"2026-02-29T00:00:00Z\"}", "[]"),
			"1:55: \"start-datetime\" is \"2026-02-29T00:00:00Z\""
			": not a date" },
		{ AROUND("{\"start-datetime\":\"2026-11-21T00:00:00Z\","
			 "\"end-datetime\":\"2026-11-20T00:00:00Z\"}",
			  "[]"),
			"ends before it begins" },
		{ DETAIL("\"failed-session-count\":-1"), "is negative" },
		{ DETAIL("\"failed-session-count\":1.5"), "not a fraction" },
		{ DETAIL("\"failed-session-count\":\"1\""), "not a string" },
		{ DETAIL("\"failed-session-count\":1000000000001"),
			"no sender has so many" },
		{ DETAIL("\"failed-session-count\":99999999999999999999"),
			"too big integer" },
		{ DETAIL("\"result-type\":7"),
			"\"result-type\" must be a string, not a number" },
		{ DETAIL("\"receiving-mx-hostname\":[]"), "not an array" },
		{ POLICY(",\"failure-details\":[7]"), "must be an object" },
		{ POLICY(",\"failure-details\":[{},]"), "a value is missing" },
		{ POLICY(",\"failure-details\":{}"), "'[' expected" },
		{ POLICY(",\"summary\":[]"), "\"summary\" must be an object" },
		{ POLICY(",\"summary\":{\"total-successful-session-count\":"
			 "true}"),
			"not true or false" },
		{ AROUND(DAY, "[{\"policy\":{\"policy-domain\":\"a\","
			      "\"mx-host\":[1]}}]"),
			"an array of strings" },
		{ "{\"organization-name\":[]}", "must be a string, not an a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		feed_bad(cases[i][0], cases[i][1]);
}

/* Every prefix of a report is an error, never a crash or a report. */
static void test_truncated(void **state)
{
	static const char *const texts[] = { GOOGLE, MAILRU };
	const size_t brace[] = { sizeof(GOOGLE) - 1, sizeof(MAILRU) - 1 };
	size_t packed_len;
	uint8_t *packed = gzip(GOOGLE, sizeof(GOOGLE) - 1, &packed_len);

	(void)state;
	for (size_t k = 0; k < 2; k++)
		for (size_t n = 1; n < brace[k]; n++)
			feed_bad_octets(texts[k], n, "");
	for (size_t n = 2; n < packed_len; n++)
		feed_bad_octets(packed, n, "gzip: ");
	free(packed);
}

static void test_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: refused */
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2000-02-29t12:00:00z", 951825600 },
		{ "2026-11-20T00:00:00+02:30", 1795132800 - 9000 },
		{ "2026-11-20T00:00:00.123-01:00", 1795132800 + 3600 },
		{ "2026-12-31T23:59:60Z", 1798761600 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "2026-11-20 00:00:00Z", 1795132800 },
		{ "2100-02-29T00:00:00Z", -1 },
		{ "2026-11-31T00:00:00Z", -1 },
		{ "2026-13-01T00:00:00Z", -1 },
		{ "2026-11-20T24:00:00Z", -1 },
		{ "2026-11-20T00:60:00Z", -1 },
		{ "2026-11-20T00:00:00", -1 },
		{ "2026-11-20T00:00:00.Z", -1 },
		{ "2026-11-20T00:00:00Z ", -1 },
		{ "2026-11-20", -1 },
		{ "1969-12-31T23:59:59Z", -1 },
		{ "1970-01-01T00:00:00+01:00", -1 },
		{ "", -1 },
		{ "-026-11-20T00:00:00Z", -1 },
	};
	int64_t got;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		got = -1;
		assert_int_equal(
			tlsrpt_date(cases[i].text, &got), cases[i].want != -1);
		assert_int_equal(got, cases[i].want);
	}
}

static void test_limits(void **state)
{
	size_t n = 70 << 20, len;
	char *text = malloc(n);
	uint8_t *packed;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', n);
	text[0] = '{';
	packed = gzip(text, n, &len);
	assert_true(len < 100000);
	feed_bad_octets(packed, len, "inflates to more than 64 MB");
	free(packed);
	/* one value that would have to be kept */
	memcpy(text, "{\"a\":\"", 6);
	feed_bad_octets(text, n, "1:6: a value of more than 256 kB");
	/* more brackets than any reader should follow */
	memset(text + 5, '[', 200000);
	memset(text + 200005, ']', 200000);
	memcpy(text + 400005, "}", 1);
	feed_bad_octets(text, 400006, "");
	free(text);
}

/* Two of each, and what belongs together is added up. */
static void test_totals(void **state)
{
	struct tlsrpt_totals t;
	const struct tlsrpt_domain *d;

	(void)state;
	feed_good("g1", GOOGLE);
	feed_good("g2", GOOGLE_DAY("2026-11-21", "second"));
	feed_good("m", MICROSOFT);
	feed_good("r", MAILRU);
	feed_good("o", AROUND(DAY, "[{\"policy\":{\"policy-domain\":"
				   "\"other.example\"},\"summary\":{"
				   "\"total-failure-session-count\":41}}]"));
	assert_int_equal(tlsrpt_total(&set, &nothing, &t, &e), ST_OK);
	assert_int_equal(t.n_domains, 2);
	assert_string_equal(t.domain[0].domain, "other.example");
	assert_int_equal(t.domain[0].sender[0].failure[0].count, 41);
	assert_string_equal(t.domain[0].sender[0].failure[0].type, "");
	d = &t.domain[1];
	assert_int_equal(d->reports, 4);
	assert_int_equal(d->ok, 2 * 1240 + 500 + 520 + 77);
	assert_int_equal(d->failed, 2 * 9 + 20 + 2);
	assert_int_equal(t.failed, d->failed + 41);
	assert_int_equal(d->begin_s, 1795132800);
	assert_int_equal(d->end_s, 1795132800 + 2 * 86400 - 1);
	/* worst first */
	assert_int_equal(d->n_senders, 4);
	assert_string_equal(d->sender[0].org, "Microsoft Corporation");
	assert_string_equal(d->sender[0].policy_type, "tlsa");
	assert_string_equal(d->sender[1].org, "Google Inc.");
	assert_int_equal(d->sender[1].reports, 2);
	assert_int_equal(d->sender[1].n_failures, 3);
	assert_int_equal(d->sender[1].failure[0].count, 8);
	assert_string_equal(d->sender[1].failure[0].type, "validation-failure");
	assert_int_equal(d->sender[1].failure[1].count, 6);
	assert_int_equal(d->sender[1].failure[2].count, 4);
	assert_string_equal(d->sender[1].failure[2].type, "");
	assert_int_equal(d->n_seen, 2);
	assert_int_equal(t.n_types, 5);
	assert_string_equal(t.type[0].type, "");
	assert_int_equal(t.type[0].count, 45);
	assert_string_equal(t.type[0].domain, "other.example");
	tlsrpt_totals_release(&t);
}

static void test_counted_once(void **state)
{
	(void)state;
	feed_good("first", GOOGLE);
	feed_good("again", GOOGLE);
	feed_good("other", MICROSOFT);
	feed_good("again2", MICROSOFT);
	assert_int_equal(set.n_reports, 2);
	assert_int_equal(set.n_duplicates, 2);
	assert_string_equal(set.duplicate[0].file, "again");
	assert_string_equal(set.duplicate[0].first->file, "first");
	/* without an id nothing can be said */
	clear(NULL);
	feed_good("1", "{\"date-range\":" DAY ",\"policies\":[]}");
	feed_good("2", "{\"date-range\":" DAY ",\"policies\":[]}");
	assert_int_equal(set.n_reports, 2);
}

static void test_marks(void **state)
{
	static const char hosts[][DNS_NAME_MAX] = { "mx1.example.com.",
		"mx3.example.com." };
	const struct tlsrpt_rollover list[] = {
		{ .kind = "rollover",
			.at_s = 1000000,
			.host = hosts,
			.n_hosts = 2 },
		{ .kind = "rollover",
			.at_s = 1010000,
			.host = hosts,
			.n_hosts = 2 },
		{ .kind = "withdrawal of the old record",
			.at_s = 1020000,
			.host = hosts,
			.n_hosts = 2 },
	};
	const struct tlsrpt_known known = {
		.any = true, .rollover = list, .n_rollovers = 3
	};
	const char *const mx1 = "mx1.example.com", *const mx2 = "mx2.test";
	const int64_t window = 48 * 3600;

	(void)state;
	/* before, with the slack of the verification */
	assert_null(tlsrpt_mark(&known, &mx1, 1, 900000, 1000000 - 301));
	assert_ptr_equal(
		tlsrpt_mark(&known, &mx1, 1, 900000, 1000000 - 300), &list[0]);
	/* the latest rollover wins, also over a later event of another kind */
	assert_ptr_equal(
		tlsrpt_mark(&known, &mx1, 1, 900000, 1100000), &list[1]);
	assert_ptr_equal(tlsrpt_mark(&known, &mx1, 1, 1010000 + window,
				 1010000 + window + 5),
		&list[1]);
	assert_ptr_equal(tlsrpt_mark(&known, &mx1, 1, 1010001 + window,
				 1010001 + window),
		&list[2]);
	assert_null(tlsrpt_mark(&known, &mx1, 1, 1020001 + window, 9999999));
	assert_null(tlsrpt_mark(&known, &mx2, 1, 900000, 1100000));
	assert_null(tlsrpt_mark(&known, &mx1, 0, 900000, 1100000));
}

/* Marked and unmarked failures of one kind stay apart; keys have roles. */
static void test_marked_totals(void **state)
{
	static const char hosts[][DNS_NAME_MAX] = { "mx1.example.com." };
	const struct tlsrpt_rollover roll = { .lineage = "mx1",
		.kind = "rollover",
		.at_s = 1795132800 + 86400 + 3600,
		.host = hosts,
		.n_hosts = 1 };
	struct tlsrpt_key key = { .lineage = "mx1", .role = "previous" };
	const struct tlsrpt_known known = { .any = true,
		.rollover = &roll,
		.n_rollovers = 1,
		.key = &key,
		.n_keys = 1 };
	struct buf text = BUF_INIT(TLSRPT_OUT_MAX);
	const struct tlsrpt_domain *d;
	struct tlsrpt_totals t;

	(void)state;
	assert_true(spki_parse(KEY_A, &key.spki));
	feed_good("g1", GOOGLE);
	feed_good("g2", GOOGLE_DAY("2026-11-21", "second"));
	feed_good("m", MICROSOFT);
	assert_int_equal(tlsrpt_total(&set, &known, &t, &e), ST_OK);
	d = t.domain;
	assert_string_equal(d->sender[1].org, "Google Inc.");
	assert_int_equal(d->sender[1].n_failures, 6);
	for (size_t i = 0; i < 6; i += 2) {
		assert_int_equal(d->sender[1].failure[i].count,
			d->sender[1].failure[i + 1].count);
		assert_true((d->sender[1].failure[i].mark == NULL) !=
			    (d->sender[1].failure[i + 1].mark == NULL));
	}
	assert_int_equal(d->n_seen, 1);
	assert_ptr_equal(d->seen[0].key, &key);
	assert_int_equal(tlsrpt_text(&set, &known, &t, &text, &e), ST_OK);
	assert_non_null(strstr(text.data, "[1] during/after the rollover of "
					  "mx1 at 2026-11-21T01:00:00Z\n"));
	assert_non_null(strstr(text.data, "previous of mx1: 1 report"));
	buf_release(&text);
	tlsrpt_totals_release(&t);
}

/* Hostile names: nothing that steers a terminal, nothing that a shell would
 * run, no line longer than 100, valid JSON. */
static void test_output(void **state)
{
	struct buf text = BUF_INIT(TLSRPT_OUT_MAX);
	struct buf out = BUF_INIT(TLSRPT_OUT_MAX);
	struct tlsrpt_totals t;
	char longest[2048], host[300];
	size_t column = 0;
	json_t *j, *d;

	(void)state;
	memset(host, 'm', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	(void)snprintf(longest, sizeof(longest),
		DETAIL("\"result-type\":\"tlsa-invalid\","
		       "\"receiving-mx-hostname\":\"%s\","
		       "\"failure-reason-code\":\"%s\\u009b2J\\u202e\","
		       "\"failed-session-count\":1000000000000"),
		host, host);
	feed_good("1", longest);
	feed_good("2",
		"{\"organization-name\":\"\\u001b]0;x\\u0007\","
		"\"date-range\":" DAY ",\"policies\":[{\"policy\":{"
		"\"policy-domain\":\"$(reboot)\"},\"failure-details\":[{"
		"\"result-type\":\"tlsa-invalid\",\"receiving-mx-hostname\":"
		"\"a;reboot\",\"failed-session-count\":2000000000}]}]}");
	feed_good("r", MAILRU);
	feed("b", "{");
	assert_int_equal(tlsrpt_total(&set, &nothing, &t, &e), ST_OK);
	assert_int_equal(tlsrpt_text(&set, &nothing, &t, &text, &e), ST_OK);
	for (const char *p = text.data; *p != '\0'; p++) {
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
		column = *p == '\n' ? 0 : column + 1;
		assert_true(column <= 100);
	}
	assert_null(strstr(text.data, "check --host a;reboot"));
	assert_null(strstr(text.data, "check $(reboot)"));
	assert_non_null(strstr(text.data, "not read: 1 input"));
	assert_int_equal(tlsrpt_json(&set, &nothing, &t, &out, &e), ST_OK);
	j = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_int_equal(json_integer_value(json_object_get(j, "version")), 1);
	d = json_array_get(json_object_get(j, "domains"), 0);
	assert_int_equal(
		json_integer_value(json_object_get(d, "sessions_failed")),
		1000000000002);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(j, "errors"), 0),
			"file")),
		"b");
	json_decref(j);
	buf_release(&text);
	buf_release(&out);
	tlsrpt_totals_release(&t);
}

/* Tens of thousands of names, in the worst order for a careless tree. */
static void test_many(void **state)
{
	struct buf text = BUF_INIT((size_t)64 << 20);
	struct buf out = BUF_INIT(TLSRPT_OUT_MAX);
	struct tlsrpt_totals t;

	(void)state;
	(void)buf_printf(&text, &e, "%s",
		"{\"date-range\":" DAY
		",\"policies\":[{\"policy\":{\"policy-domain\":\"x\"},"
		"\"failure-details\":[{}");
	for (int i = 0; i < 50000; i++)
		assert_int_equal(buf_printf(&text, &e,
					 ",{\"result-type\":\"t\",\"receiving-"
					 "mx-hostname\":"
					 "\"mx%08d\"}",
					 i),
			ST_OK);
	assert_int_equal(buf_printf(&text, &e, "]}]}"), ST_OK);
	feed_good("many", text.data);
	assert_int_equal(set.report[0]->policy->n_rows, 50001);
	assert_int_equal(tlsrpt_total(&set, &nothing, &t, &e), ST_OK);
	assert_int_equal(t.failed, 50001);
	assert_int_equal(tlsrpt_text(&set, &nothing, &t, &out, &e), ST_OK);
	assert_true(out.len < 20000);
	tlsrpt_totals_release(&t);
	buf_release(&out);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN(test_google),
		CLEAN(test_microsoft),
		CLEAN(test_mailru),
		CLEAN(test_forgiven),
		CLEAN(test_malformed),
		CLEAN(test_truncated),
		CLEAN(test_dates),
		CLEAN(test_limits),
		CLEAN(test_totals),
		CLEAN(test_counted_once),
		CLEAN(test_marks),
		CLEAN(test_marked_totals),
		CLEAN(test_output),
		CLEAN(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
