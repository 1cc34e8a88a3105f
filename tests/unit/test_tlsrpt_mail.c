/* TLS-RPT: gzip, and the mails that reports come in. */
#include "tests/unit/tlsrpt_fixture.h"

static const char letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* gzip of text in base64, 76 columns; owned. */
static char *packed64(const char *text)
{
	size_t n, k = 0;
	uint8_t *p = gzip(text, strlen(text), &n);
	char *out = calloc(n * 2 + 100, 1);

	assert_non_null(out);
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16;

		v |= i + 1 < n ? (unsigned)p[i + 1] << 8 : 0;
		v |= i + 2 < n ? p[i + 2] : 0;
		out[k++] = letters[v >> 18 & 63];
		out[k++] = letters[v >> 12 & 63];
		out[k++] = letters[v >> 6 & 63];
		out[k++] = letters[v & 63];
		if (i + 1 >= n)
			out[k - 2] = '=';
		if (i + 2 >= n)
			out[k - 1] = '=';
		if (i / 3 % 19 == 18)
			out[k++] = '\n';
	}
	free(p);
	return out;
}

/* Everything but letters and digits escaped, soft breaks; owned. */
static char *quoted(const char *text)
{
	char *out = calloc(strlen(text) * 4 + 100, 1);
	size_t k = 0, column = 0;

	assert_non_null(out);
	for (; *text != '\0'; text++) {
		if (strchr("{}\"=", *text) != NULL)
			k += (size_t)snprintf(
				out + k, 4, "=%02X", (unsigned)*text);
		else
			out[k++] = *text;
		if (++column % 20 == 0) {
			memcpy(out + k, "=\n", 2);
			k += 2;
		}
	}
	return out;
}

/* CRLF for LF; owned. */
static char *crlf(const char *text)
{
	char *out = calloc(strlen(text) * 2 + 1, 1);
	size_t k = 0;

	assert_non_null(out);
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			out[k++] = '\r';
		out[k++] = *text;
	}
	return out;
}

#define HEAD                                    \
	"Return-Path: <noreply@example.org>\n"  \
	"From: Reports <tlsrpt@example.org>\n"  \
	"To: tls@example.com\n"                 \
	"Subject: Report Domain: example.com\n" \
	" Submitter: example.org\n"             \
	"TLS-Report-Domain: example.com\n"      \
	"TLS-Report-Submitter: example.org\n"   \
	"MIME-Version: 1.0\n"
#define MULTI(b)                                                           \
	"Content-Type: multipart/report;\n\treport-type=\"tlsrpt\"; x=\"a" \
	"\\\";boundary=no\";\n boundary=" b "\n\n"
#define HUMAN "Content-Type: text/plain; charset=us-ascii\n\nSee below.\n"
#define GZ64                                                            \
	"Content-Type: application/tlsrpt+gzip;\n name=\"r.json.gz\"\n" \
	"content-transfer-encoding:   BASE64  \n"                       \
	"Content-Disposition: attachment\n\n"

/* Fills in the one %s; the mail is read as it is and with CRLF. */
static void good(const char *form, const char *body, size_t reports)
{
	size_t n = strlen(form) + 2 * strlen(body) + 1;
	char *text = malloc(n), *dos;
	const char *at = strstr(form, "%s");

	assert_non_null(text);
	assert_non_null(at);
	(void)snprintf(
		text, n, "%.*s%s%s", (int)(at - form), form, body, at + 2);
	dos = crlf(text);
	for (int i = 0; i < 2; i++) {
		tlsrpt_set_release(&set);
		feed_good("mail", i == 0 ? text : dos);
		assert_int_equal(set.n_reports + set.n_duplicates, reports);
		assert_int_equal(set.report[0]->policy->failed, 9);
	}
	free(text);
	free(dos);
}

static void test_base64(void **state)
{
	char *b = packed64(GOOGLE);

	(void)state;
	good(HEAD MULTI("\"=_b 1\"") "preamble\n--=_b 1\n" HUMAN
				     "--=_b 1\n" GZ64
				     "%s\n--=_b 1--\nepilogue\n",
		b, 1);
	/* a boundary that begins like another, blanks behind it */
	good(HEAD MULTI("b") "--bb\n--b-\n--b \t\n" GZ64 "%s\n--b-- \n", b, 1);
	/* no end of the multipart: the report itself is whole */
	good(HEAD MULTI("b") "--b\n" GZ64 "%s\n", b, 1);
	/* the whole body is the report */
	good(HEAD GZ64 "%s\n", b, 1);
	good("From x@y Sat Nov 21 00:00:00 2026\n" HEAD GZ64 "%s\n", b, 1);
	free(b);
}

static void test_plain_and_quoted(void **state)
{
	char *q = quoted(GOOGLE);

	(void)state;
	good(HEAD MULTI(
		     "b") "--b\nContent-Type: application/tlsrpt+json\n\n%s\n"
			  "--b--\n",
		GOOGLE, 1);
	good(HEAD MULTI("b") "--b\nContent-Type: application/tlsrpt+json\n"
			     "Content-Transfer-Encoding: "
			     "quoted-printable\n\n%s\n--b--\n",
		q, 1);
	free(q);
}

static void test_nested(void **state)
{
	char *b = packed64(GOOGLE);

	(void)state;
	/* forwarded by a person: the mail is a part, the file lost its type */
	good(HEAD "Content-Type: multipart/mixed; boundary=out\n\n--out\n" HUMAN
		  "--out\nContent-Type: message/rfc822\n\n" HEAD MULTI(
			  "in") "--in\n" HUMAN "--in\n" GZ64
				"%s\n--in--\n--out--\n",
		b, 1);
	good(HEAD "Content-Type: multipart/mixed; boundary=out\n\n--out\n"
		  "Content-Type: application/octet-stream\n"
		  "Content-Disposition: attachment; filename=\"a!b.json.gz\"\n"
		  "Content-Transfer-Encoding: base64\n\n%s\n--out--\n",
		b, 1);
	/* the inner multipart is not closed: the outer boundary closes it */
	good(HEAD "Content-Type: multipart/mixed; boundary=out\n\n--out\n"
		  "Content-Type: multipart/mixed; boundary=in\n\n--in\n" HUMAN
		  "--out\n" GZ64 "%s\n--out--\n",
		b, 1);
	free(b);
}

/* Two mails in one file; and one bad report does not take the other along. */
static void test_mbox(void **state)
{
	char *b = packed64(GOOGLE);
	size_t room = strlen(b) * 2 + 4096;
	char *text = malloc(room);

	(void)state;
	assert_non_null(text);
	(void)snprintf(text, room,
		"From a Sat Nov 21 00:00:00 2026\n" HEAD MULTI(
			"b") "--b\n" GZ64 "%s\n--b--\n\n"
			     "From b Sat Nov 21 00:00:00 2026\n" HEAD
			     "Content-Type: application/tlsrpt+json\n\n{]\n\n"
			     "From c Sat Nov 21 00:00:00 2026\n" HEAD GZ64
			     "%s\n",
		b, b);
	tlsrpt_set_release(&set);
	feed("mbox", text);
	assert_int_equal(set.n_reports, 1);
	assert_int_equal(set.n_duplicates, 1);
	assert_int_equal(set.n_bad, 1);
	assert_non_null(strstr(set.bad[0].text, "report attached at line"));
	assert_non_null(strstr(set.bad[0].text, ": 1:2: "));
	free(text);
	free(b);
}

static void test_bad_mail(void **state)
{
	char deep[16384];
	size_t n = 0;

	(void)state;
	feed_bad("Dear all,\nhello\n", "is not a mail header");
	feed_bad(HEAD "\nhello\n", "no TLS-RPT report in it");
	feed_bad(HEAD MULTI("b") "--b\n" HUMAN "--b--\n", "no TLS-RPT report");
	feed_bad(HEAD "Content-Type: multipart/report\n\nx\n",
		"a multipart without a boundary");
	feed_bad(HEAD MULTI("b") "--b\n" GZ64 "H4sI*\n--b--\n",
		"line 19 of the mail: bad base64: a character");
	feed_bad(HEAD MULTI("b") "--b\n" GZ64 "H4s\n--b--\n",
		"bad base64: truncated");
	feed_bad(HEAD MULTI("b") "--b\n" GZ64 "H4s=H4sI\n--b--\n",
		"bad base64: more data");
	feed_bad(HEAD MULTI("b") "--b\n" GZ64 "H===\n--b--\n",
		"bad base64: '='");
	feed_bad(HEAD MULTI("b") "--b\n" GZ64 "H4sI\n--b--\n",
		"gzip: truncated at offset 3");
	feed_bad(HEAD "Content-Type: application/tlsrpt+json\n"
		      "Content-Transfer-Encoding: quoted-printable\n\n=7B=ZZ\n",
		"bad quoted-printable");
	feed_bad(HEAD "Content-Type: application/tlsrpt+json\n"
		      "Content-Transfer-Encoding: uuencode\n\nx\n",
		"unknown Content-Transfer-Encoding \"uuencode\"");
	for (int i = 0; i < 20; i++)
		n += (size_t)snprintf(deep + n, sizeof(deep) - n,
			"Content-Type: multipart/mixed; boundary=b%d\n\n"
			"--b%d\n",
			i, i);
	feed_bad(deep, "multiparts inside one another");
}

static void test_gzip(void **state)
{
	size_t n, m;
	uint8_t *a = gzip(GOOGLE, 100, &n);
	uint8_t *b = gzip(&GOOGLE[100], sizeof(GOOGLE) - 101, &m);
	uint8_t *both = calloc(n + m + 8, 1);

	(void)state;
	assert_non_null(both);
	memcpy(both, a, n);
	memcpy(both + n, b, m);
	/* two members, padding */
	assert_int_equal(
		tlsrpt_read_mem(&set, "x", both, n + m + 3, &e), ST_OK);
	assert_int_equal(set.n_bad, 0);
	assert_int_equal(set.n_reports, 1);
	both[n + m] = 'x';
	feed_bad_octets(both, n + m + 1, "something that is not gzip follows");
	both[n / 2] ^= 0x55;
	feed_bad_octets(both, n + m, "gzip: offset");
	memcpy(both, a, n);
	both[n - 6] ^= 1; /* of the CRC */
	feed_bad_octets(both, n + m, "gzip: offset");
	free(a);
	free(b);
	free(both);
}

/* A sender without a name is called by its mail's header. */
static void test_submitter(void **state)
{
	(void)state;
	feed_good("m", HEAD "Content-Type: application/tlsrpt+json\n\n"
			    "{\"date-range\":{\"start-datetime\":"
			    "\"2026-11-20T00:00:00Z\",\"end-datetime\":"
			    "\"2026-11-20T00:00:00Z\"},\"policies\":[]}\n");
	assert_string_equal(set.report[0]->org, "example.org");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN(test_base64),
		CLEAN(test_plain_and_quoted),
		CLEAN(test_nested),
		CLEAN(test_mbox),
		CLEAN(test_bad_mail),
		CLEAN(test_gzip),
		CLEAN(test_submitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
