/*
 * The STARTTLS dialogues, without a socket. Each case is what a server sends,
 * piece by piece ('|' ends a piece, and each piece comes after everything that
 * we had to say was sent), then the verdict and part of the reason.
 */
#include "hook/tls/probe_dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct dialogue_case {
	enum probe_proto proto;
	const char *server;
	enum dialogue_verdict want;
	const char *why; /* part of it; NULL: any */
};

static const struct dialogue_case cases[] = {
	{ PROTO_TLS, "", DIALOGUE_TLS, NULL },
	/* SMTP */
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n250 STARTTLS\r\n|220 go\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_SMTP,
		"220-a\r\n220-b\r\n220 c\r\n|250-mx\r\n250-SIZE 1\r\n"
		"250-starttls\r\n250 HELP\r\n|220 go\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_SMTP, "220\n|250-mx\n250 STARTTLS\n|220\n", DIALOGUE_TLS,
		NULL },
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n250 SIZE 1\r\n",
		DIALOGUE_NO_STARTTLS, "not offered" },
	/* a host that is called so does not offer it */
	{ PROTO_SMTP, "220 hi\r\n|250-STARTTLS\r\n250 SIZE\r\n",
		DIALOGUE_NO_STARTTLS, "not offered" },
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n250 STARTTLSX\r\n",
		DIALOGUE_NO_STARTTLS, "not offered" },
	{ PROTO_SMTP, "220 hi\r\n|502 no\r\n", DIALOGUE_NO_STARTTLS, "502 no" },
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n250 STARTTLS\r\n|454 later\r\n",
		DIALOGUE_NO_STARTTLS, "454 later" },
	{ PROTO_SMTP, "554 go away\r\n", DIALOGUE_PROTOCOL, "554 go away" },
	{ PROTO_SMTP, "220 hi\r\n|421 busy\r\n", DIALOGUE_PROTOCOL,
		"421 busy" },
	{ PROTO_SMTP, "SSH-2.0-x\r\n", DIALOGUE_PROTOCOL, "not an SMTP reply" },
	{ PROTO_SMTP, "22\r\n", DIALOGUE_PROTOCOL, "not an SMTP reply" },
	{ PROTO_SMTP, "\r\n", DIALOGUE_PROTOCOL, "not an SMTP reply" },
	{ PROTO_SMTP, "220-a\r\n250 b\r\n", DIALOGUE_PROTOCOL, "not a sane" },
	{ PROTO_SMTP,
		"220 \x1b[2Jx\r\n|250-mx\r\n250 STARTTLS\r\n|"
		"500 \x1b\x07\xff\r\n",
		DIALOGUE_NO_STARTTLS, "500 ???" },
	{ PROTO_SMTP,
		"220 hi\r\n|250-mx\r\n250 STARTTLS\r\n|"
		"220 go\r\n250 injected\r\n",
		DIALOGUE_PROTOCOL, "injection" },
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n250 STARTTLS\r\n|220 go\r\n|x",
		DIALOGUE_PROTOCOL, "injection" },
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n250 STARTTLS\r\n220 go\r\n",
		DIALOGUE_PROTOCOL, "out of turn" },
	{ PROTO_SMTP, "220 hi\r\n250-mx\r\n", DIALOGUE_PROTOCOL,
		"out of turn" },
	{ PROTO_SMTP, "220 hi\r\n|250-mx\r\n", DIALOGUE_MORE, NULL },
	/* IMAP */
	{ PROTO_IMAP,
		"* OK hi\r\n|* CAPABILITY IMAP4rev1 STARTTLS ID\r\n"
		"a001 OK done\r\n|a002 OK go\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_IMAP,
		"* OK hi\r\n* OK more\r\n|* capability starttls\r\n"
		"a001 ok\r\n|* OK wait\r\na002 ok\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_IMAP, "* OK hi\r\n|* CAPABILITY IMAP4 XSTARTTLS\r\na001 OK\r\n",
		DIALOGUE_NO_STARTTLS, "not among" },
	{ PROTO_IMAP, "* PREAUTH hi\r\n", DIALOGUE_NO_STARTTLS, "PREAUTH" },
	{ PROTO_IMAP, "* BYE no\r\n", DIALOGUE_PROTOCOL, "BYE" },
	{ PROTO_IMAP, "+OK pop\r\n", DIALOGUE_PROTOCOL, "greeting" },
	{ PROTO_IMAP,
		"* OK hi\r\n|* CAPABILITY STARTTLS\r\na001 OK\r\n|"
		"a002 BAD no\r\n",
		DIALOGUE_NO_STARTTLS, "BAD no" },
	{ PROTO_IMAP, "* OK hi\r\n|a001 BAD what\r\n", DIALOGUE_PROTOCOL,
		"BAD what" },
	{ PROTO_IMAP,
		"* OK hi\r\n|* CAPABILITY STARTTLS\r\na001 OK\r\n|"
		"a002 OK go\r\n* OK x\r\n",
		DIALOGUE_PROTOCOL, "injection" },
	{ PROTO_IMAP,
		"* OK hi\r\n|* CAPABILITY STARTTLS\r\na001 OK\r\n"
		"a002 OK go\r\n",
		DIALOGUE_PROTOCOL, "before it was asked" },
	/* POP3 */
	{ PROTO_POP3, "+OK hi\r\n|+OK\r\nUIDL\r\nSTLS\r\n.\r\n|+OK go\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_POP3, "+OK hi\r\n|-ERR what\r\n|+OK go\r\n", DIALOGUE_TLS,
		NULL },
	{ PROTO_POP3, "+OK hi\r\n|-ERR what\r\n|-ERR no\r\n",
		DIALOGUE_NO_STARTTLS, "-ERR no" },
	{ PROTO_POP3, "+OK hi\r\n|+OK\r\nUIDL\r\n.\r\n", DIALOGUE_NO_STARTTLS,
		"not among" },
	{ PROTO_POP3, "-ERR no\r\n", DIALOGUE_PROTOCOL, "refuses" },
	{ PROTO_POP3, "+OK hi\r\n|+OK\r\nSTLS\r\n.\r\n|+OK go\r\n+OK\r\n",
		DIALOGUE_PROTOCOL, "injection" },
	/* ManageSieve */
	{ PROTO_SIEVE,
		"\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK\r\n|"
		"OK \"go\"\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_SIEVE,
		"{8}\r\nSTARTTLS\r\n\"SASL\" {3+}\r\nA\nB\r\n"
		"OK {4}\r\nfine\r\n|OK\r\n",
		DIALOGUE_TLS, NULL },
	{ PROTO_SIEVE, "\"SASL\" \"STARTTLS\"\r\nOK\r\n", DIALOGUE_NO_STARTTLS,
		"not among" },
	{ PROTO_SIEVE, "\"STARTTLS\"\r\nOK\r\n|NO \"no\"\r\n",
		DIALOGUE_NO_STARTTLS, "NO" },
	{ PROTO_SIEVE, "BYE\r\n", DIALOGUE_PROTOCOL, "BYE" },
	{ PROTO_SIEVE, "\"X\" {99999999999999999999}\r\n", DIALOGUE_PROTOCOL,
		"literal too long" },
	{ PROTO_SIEVE, "\"STARTTLS\"\r\nOK\r\n|OK\r\nOK\r\n", DIALOGUE_PROTOCOL,
		"injection" },
};

/* Feeds the pieces; between them everything we have to say gets sent. */
static enum dialogue_verdict play(
	struct dialogue *d, const struct dialogue_case *c)
{
	const char *p = c->server;

	dialogue_init(d, c->proto, "[127.0.0.1]");
	while (*p != '\0') {
		size_t n = strcspn(p, "|");

		(void)dialogue_feed(d, p, n);
		d->out_sent = d->out_len;
		p += n + (p[n] == '|');
	}
	return d->verdict;
}

static void dialogue_gives_the_verdict(void **state)
{
	static struct dialogue d;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct dialogue_case *c = &cases[i];
		enum dialogue_verdict v = play(&d, c);

		if (v != c->want ||
			(c->why != NULL && strstr(d.why, c->why) == NULL))
			fail_msg("case %zu (%s %s): verdict %d, \"%s\"", i,
				probe_proto_name(c->proto), c->server, (int)v,
				d.why);
		for (const char *w = d.why; *w != '\0'; w++)
			assert_in_range(*w, 0x20, 0x7e);
	}
}

/* Octet by octet: the same, wherever packets are cut. */
static void dialogue_does_not_depend_on_packets(void **state)
{
	static struct dialogue d;
	static const char *const hello[] = { "220-a\r\n220 b\r\n",
		"250-mx\r\n250 STARTTLS\r\n", "220 go\r\n" };
	static const char *const said[] = { "EHLO mx.example\r\n",
		"STARTTLS\r\n" };

	(void)state;
	dialogue_init(&d, PROTO_SMTP, "mx.example");
	for (size_t i = 0; i < 3; i++) {
		for (const char *p = hello[i]; *p != '\0'; p++) {
			assert_int_equal(d.verdict, DIALOGUE_MORE);
			(void)dialogue_feed(&d, p, 1);
		}
		if (i < 2) {
			assert_int_equal(d.out_len, strlen(said[i]));
			assert_memory_equal(d.out, said[i], d.out_len);
			assert_int_equal(d.out_sent, 0);
			d.out_sent = d.out_len;
		}
	}
	assert_int_equal(d.verdict, DIALOGUE_TLS);
}

static void dialogue_is_bounded(void **state)
{
	static struct dialogue d;
	static char a[1000];

	(void)state;
	/* one line without end */
	memset(a, 'a', sizeof(a));
	dialogue_init(&d, PROTO_SMTP, "x");
	for (int i = 0; i < 100 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, a, sizeof(a));
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "longer than 8192"));
	assert_true(d.total <= DIALOGUE_LINE_MAX + sizeof(a));

	/* lines without end */
	dialogue_init(&d, PROTO_SMTP, "x");
	for (int i = 0; i < 100000 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, "220-x\r\n", 7);
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "more than 65536"));

	/* NUL */
	dialogue_init(&d, PROTO_SMTP, "x");
	(void)dialogue_feed(&d, "220 a\0b\r\n", 9);
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "NUL"));
}

static void helo_cannot_break_out(void **state)
{
	static struct dialogue d;

	(void)state;
	dialogue_init(&d, PROTO_SMTP, "x\r\nRCPT TO:<a>");
	(void)dialogue_feed(&d, "220 x\r\n", 7);
	d.out[d.out_len] = '\0';
	assert_string_equal(d.out, "EHLO x??RCPT TO:<a>\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogue_gives_the_verdict),
		cmocka_unit_test(dialogue_does_not_depend_on_packets),
		cmocka_unit_test(dialogue_is_bounded),
		cmocka_unit_test(helo_cannot_break_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
