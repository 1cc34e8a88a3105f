/* TLS-RPT reports as three large senders write them, and readers for tests. */
#ifndef DANELAW_TESTS_TLSRPT_FIXTURE_H
#define DANELAW_TESTS_TLSRPT_FIXTURE_H

#include "hook/check/tlsrpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#define KEY_A "abababababababababababababababababababababababababababababababab"
#define KEY_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* One line, an MTA-STS policy, mx-host an array. */
#define GOOGLE_DAY(day, id)                                                 \
	"{\"organization-name\":\"Google Inc.\",\"date-range\":{"           \
	"\"start-datetime\":\"" day "T00:00:00Z\",\"end-datetime\":\"" day  \
	"T23:59:59Z\"},\"contact-info\":\"smtp-tls-reporting@google.com\"," \
	"\"report-id\":\"" id "\",\"policies\":[{\"policy\":{"              \
	"\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\","    \
	"\"mode: enforce\",\"mx: mx1.example.com\",\"max_age: 604800\"],"   \
	"\"policy-domain\":\"example.com\",\"mx-host\":["                   \
	"\"mx1.example.com\"]},\"summary\":{"                               \
	"\"total-successful-session-count\":1240,"                          \
	"\"total-failure-session-count\":9},\"failure-details\":[{"         \
	"\"result-type\":\"validation-failure\",\"sending-mta-ip\":"        \
	"\"209.85.220.41\",\"receiving-ip\":\"192.0.2.25\","                \
	"\"receiving-mx-hostname\":\"mx1.example.com\","                    \
	"\"failed-session-count\":4},{\"result-type\":"                     \
	"\"certificate-expired\",\"receiving-mx-hostname\":"                \
	"\"MX1.Example.com.\",\"failed-session-count\":3}]}]}"
#define GOOGLE GOOGLE_DAY("2026-11-20", "2026-11-20T00:00:00Z_example.com")

/* Two policies for one domain, the records in the policy string, no details
 * where nothing failed, empty strings and null where there is nothing to say.
 */
#define MICROSOFT                                                          \
	"{\n  \"organization-name\": \"Microsoft Corporation\",\n"         \
	"  \"date-range\": {\n    \"start-datetime\": "                    \
	"\"2026-11-20T00:00:00Z\",\n    \"end-datetime\": "                \
	"\"2026-11-20T23:59:59Z\"\n  },\n"                                 \
	"  \"contact-info\": \"tlsrpt-noreply@microsoft.com\",\n"          \
	"  \"report-id\": \"134080000000000000+example.com\",\n"           \
	"  \"policies\": [\n"                                              \
	"    {\n      \"policy\": {\n        \"policy-type\": \"tlsa\",\n" \
	"        \"policy-string\": [\n          \"3 1 1 " KEY_A "\",\n"   \
	"          \"2 1 1 " KEY_B "\"\n        ],\n"                      \
	"        \"policy-domain\": \"example.com\"\n      },\n"           \
	"      \"summary\": {\n"                                           \
	"        \"total-successful-session-count\": 500,\n"               \
	"        \"total-failure-session-count\": 20\n      },\n"          \
	"      \"failure-details\": [\n        {\n"                        \
	"          \"result-type\": \"tlsa-invalid\",\n"                   \
	"          \"sending-mta-ip\": \"40.107.0.1\",\n"                  \
	"          \"receiving-mx-hostname\": \"mx1.example.com\",\n"      \
	"          \"receiving-mx-helo\": \"\",\n"                         \
	"          \"receiving-ip\": \"\",\n"                              \
	"          \"failed-session-count\": 20,\n"                        \
	"          \"additional-information\": null,\n"                    \
	"          \"failure-reason-code\": \"5.7.323 tlsa-invalid\"\n"    \
	"        }\n      ]\n    },\n"                                     \
	"    {\n      \"policy\": {\n        \"policy-type\": \"sts\",\n"  \
	"        \"policy-string\": [],\n"                                 \
	"        \"policy-domain\": \"example.com\"\n      },\n"           \
	"      \"summary\": {\n"                                           \
	"        \"total-successful-session-count\": 520,\n"               \
	"        \"total-failure-session-count\": 0\n      }\n    }\n"     \
	"  ]\n}\n"

/* Strings where others have arrays, another order, fields of its own, a name
 * that is not ASCII, and a time zone. */
#define MAILRU                                                               \
	"{\"policies\":[{\"failure-details\":[{\"result-type\":"             \
	"\"starttls-not-supported\",\"sending-mta-ip\":\"94.100.176.1\","    \
	"\"receiving-mx-hostname\":\"mx2.example.com\",\"receiving-ip\":"    \
	"\"192.0.2.26\",\"failed-session-count\":2,"                         \
	"\"x-mailru\":{\"a\":[1,2,{}]}}],\"summary\":{"                      \
	"\"total-failure-session-count\":2,"                                 \
	"\"total-successful-session-count\":77},\"policy\":{"                \
	"\"policy-domain\":\"Example.COM\",\"mx-host\":\"mx2.example.com\"," \
	"\"policy-string\":\"3 1 1 " KEY_B "\",\"policy-type\":\"tlsa\"}}]," \
	"\"x-version\":3,\"report-id\":\"20261120-mailru-77\","              \
	"\"contact-info\":\"tlsrpt@corp.mail.ru\",\"date-range\":{"          \
	"\"end-datetime\":\"2026-11-21T03:00:00.5+03:00\","                  \
	"\"start-datetime\":\"2026-11-20T03:00:00+03:00\"},"                 \
	"\"organization-name\":\"Mail.ru \\u041e\\u041e\\u041e\"}"

static struct err e;
static struct tlsrpt_set set;

static inline int clear(void **state)
{
	(void)state;
	tlsrpt_set_release(&set);
	return 0;
}
#define CLEAN(t) cmocka_unit_test_teardown(t, clear)

static inline void feed(const char *name, const char *text)
{
	assert_int_equal(
		tlsrpt_read_mem(&set, name, text, strlen(text), &e), ST_OK);
}

/* Reads one good input. */
static inline void feed_good(const char *name, const char *text)
{
	feed(name, text);
	if (set.n_bad > 0)
		fail_msg("%s: %s", set.bad[0].file, set.bad[0].text);
}

/* The input is refused, and the message holds want. */
static inline void feed_bad_octets(
	const void *data, size_t len, const char *want)
{
	tlsrpt_set_release(&set);
	assert_int_equal(
		tlsrpt_read_mem(&set, "bad.json", data, len, &e), ST_OK);
	assert_int_equal(set.n_bad, 1);
	assert_int_equal(set.n_reports, 0);
	assert_string_equal(set.bad[0].file, "bad.json");
	if (set.bad[0].text == NULL)
		fail_msg("an error without text");
	else if (strstr(set.bad[0].text, want) == NULL)
		fail_msg("want \"%s\", got \"%s\"", want, set.bad[0].text);
}

static inline void feed_bad(const char *text, const char *want)
{
	feed_bad_octets(text, strlen(text), want);
}

/* gzip of data; owned. */
static inline uint8_t *gzip(const void *data, size_t len, size_t *ret_len)
{
	z_stream z = { .next_in = NULL };
	size_t room = len + len / 1000 + 256;
	uint8_t *out = malloc(room);

	assert_non_null(out);
	assert_int_equal(
		deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
		Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (unsigned)len;
	z.next_out = out;
	z.avail_out = (unsigned)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*ret_len = z.total_out;
	(void)deflateEnd(&z);
	return out;
}

#endif
