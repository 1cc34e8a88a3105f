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

#define NS "'urn:ietf:params:xml:ns:xmpp-tls'"
#define OPEN "<?xml version='1.0'?><stream:stream id='1' version='1.0'>"
#define OFFER                                      \
	"<stream:features><starttls xmlns=" NS ">" \
	"<required/></starttls></stream:features>"
#define PROCEED "<proceed xmlns=" NS "/>"

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
	/* XMPP */
	{ PROTO_XMPP, OPEN OFFER "|" PROCEED, DIALOGUE_TLS, NULL },
	{ PROTO_XMPP_SERVER, OPEN "|" OFFER "\n|" PROCEED, DIALOGUE_TLS, NULL },
	{ PROTO_XMPP,
		OPEN "\n <stream:features>\n<mechanisms "
		     "xmlns='a>b'><mechanism>PLAIN</mechanism></"
		     "mechanisms><starttls xmlns "
		     "=\n\"urn:ietf:params:xml:ns:xmpp-tls\" "
		     "/></stream:features>|<proceed xmlns=" NS "></proceed>",
		DIALOGUE_TLS, NULL },
	{ PROTO_XMPP,
		"<x:stream version=\"1.0\" ><x:features><t:starttls xmlns:t=" NS
		"/></x:features>|<t:proceed xmlns:t=" NS "/>",
		DIALOGUE_TLS, NULL },
	{ PROTO_XMPP, OPEN "<stream:features/>", DIALOGUE_NO_STARTTLS,
		"not among" },
	{ PROTO_XMPP,
		OPEN "<stream:features><starttls "
		     "xmlns='urn:other'/></stream:features>",
		DIALOGUE_NO_STARTTLS, "not among" },
	{ PROTO_XMPP,
		OPEN "<stream:features><a><starttls xmlns=" NS
		     "/></a></stream:features>",
		DIALOGUE_NO_STARTTLS, "not among" },
	{ PROTO_XMPP, OPEN "</stream:stream>", DIALOGUE_NO_STARTTLS,
		"without features" },
	{ PROTO_XMPP, "<stream:stream id='version=1.0'>", DIALOGUE_NO_STARTTLS,
		"no version" },
	{ PROTO_XMPP, "<stream:stream version='0.9'>", DIALOGUE_NO_STARTTLS,
		"no version" },
	{ PROTO_XMPP, OPEN OFFER "|<failure xmlns=" NS "/>",
		DIALOGUE_NO_STARTTLS, "refused: <failure" },
	{ PROTO_XMPP,
		OPEN "<stream:error><host-unknown xmlns='a'/></stream:error>",
		DIALOGUE_PROTOCOL, "stream error: <host-unknown" },
	{ PROTO_XMPP, OPEN "<stream:error/>", DIALOGUE_PROTOCOL,
		"stream error without" },
	{ PROTO_XMPP, OPEN OFFER "|" PROCEED "x", DIALOGUE_PROTOCOL,
		"injection" },
	{ PROTO_XMPP, OPEN OFFER PROCEED, DIALOGUE_PROTOCOL,
		"before it was asked" },
	{ PROTO_XMPP, OPEN PROCEED, DIALOGUE_PROTOCOL, "not what an XMPP" },
	{ PROTO_XMPP, OPEN OFFER "|<proceed xmlns='urn:other'/>",
		DIALOGUE_PROTOCOL, "not what an XMPP" },
	{ PROTO_XMPP, OPEN OFFER "|</stream:stream>", DIALOGUE_PROTOCOL,
		"closed the stream" },
	{ PROTO_XMPP, OPEN "<!-- a -->", DIALOGUE_PROTOCOL, "forbids" },
	{ PROTO_XMPP, "<!DOCTYPE x [<!ENTITY a 'b'>]>", DIALOGUE_PROTOCOL,
		"broken XML" },
	{ PROTO_XMPP, OPEN "<?xml version='1.0'?>", DIALOGUE_PROTOCOL,
		"processing" },
	{ PROTO_XMPP, "HTTP/1.0 400 Bad\r\n", DIALOGUE_PROTOCOL,
		"text outside" },
	{ PROTO_XMPP, "220 mx ESMTP\r\n", DIALOGUE_PROTOCOL,
		"not an XMPP stream" },
	{ PROTO_XMPP, "<html>", DIALOGUE_PROTOCOL,
		"not an XMPP stream: <html>" },
	{ PROTO_XMPP, OPEN "<stream:features <starttls", DIALOGUE_PROTOCOL,
		"broken XML" },
	{ PROTO_XMPP, OPEN "<>", DIALOGUE_PROTOCOL, "broken XML" },
	{ PROTO_XMPP, "</a>", DIALOGUE_PROTOCOL, "broken XML" },
	{ PROTO_XMPP, OPEN "<stream:features", DIALOGUE_MORE, NULL },
	{ PROTO_XMPP, OPEN OFFER "|<proceed xmlns=" NS ">", DIALOGUE_MORE,
		NULL },
};

/* Feeds the pieces; between them everything we have to say gets sent. */
static enum dialogue_verdict play(
	struct dialogue *d, const struct dialogue_case *c)
{
	const char *p = c->server;

	dialogue_init(d, c->proto, "[127.0.0.1]", "mx.example");
	d->out_sent = d->out_len;
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
	dialogue_init(&d, PROTO_SMTP, "mx.example", "mx.example");
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
	dialogue_init(&d, PROTO_SMTP, "x", "mx.example");
	for (int i = 0; i < 100 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, a, sizeof(a));
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "longer than 8192"));
	assert_true(d.total <= DIALOGUE_LINE_MAX + sizeof(a));

	/* lines without end */
	dialogue_init(&d, PROTO_SMTP, "x", "mx.example");
	for (int i = 0; i < 100000 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, "220-x\r\n", 7);
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "more than 65536"));

	/* NUL */
	dialogue_init(&d, PROTO_SMTP, "x", "mx.example");
	(void)dialogue_feed(&d, "220 a\0b\r\n", 9);
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "NUL"));
}

static void helo_cannot_break_out(void **state)
{
	static struct dialogue d;

	(void)state;
	dialogue_init(&d, PROTO_SMTP, "x\r\nRCPT TO:<a>", "mx.example");
	(void)dialogue_feed(&d, "220 x\r\n", 7);
	d.out[d.out_len] = '\0';
	assert_string_equal(d.out, "EHLO x??RCPT TO:<a>\r\n");
}

/* ---- LDAP: octets, so no table of strings ---- */

static const struct {
	const char *hex;
	enum dialogue_verdict want;
	const char *why;
} ldap[] = {
	{ "300c02010178070a010004000400", DIALOGUE_TLS, NULL },
	/* long forms of the lengths, which BER allows */
	{ "308400000011020101788400000008"
	  "0a01000400048100",
		DIALOGUE_TLS, NULL },
	/* with the name of the response */
	{ "302402010178"
	  "1f"
	  "0a010004000400"
	  "8a16"
	  "312e332e362e312e342e312e313436362e3230303337",
		DIALOGUE_TLS, NULL },
	/* with controls, and something of a later version */
	{ "301302010178"
	  "0a"
	  "0a010004000400"
	  "8b0101"
	  "a002",
		DIALOGUE_MORE, NULL },
	{ "301102010178"
	  "0a"
	  "0a010004000400"
	  "8b0101"
	  "a000",
		DIALOGUE_TLS, NULL },
	{ "301002010178"
	  "0b"
	  "0a013404000404"
	  "6c6f6164",
		DIALOGUE_NO_STARTTLS,
		"refused: result 52 (unavailable): load" },
	{ "300c02010178070a010204000400", DIALOGUE_NO_STARTTLS,
		"not supported: result 2 (protocolError)" },
	{ "300d0201017808"
	  "0a01350400040107",
		DIALOGUE_NO_STARTTLS, "(unwillingToPerform): ?" },
	/* Notice of Disconnection (RFC 4511 4.4.1) */
	{ "300c02010078070a013404000400", DIALOGUE_PROTOCOL,
		"disconnects: result 52" },
	/* an answer to somebody else, another operation, another name */
	{ "300c02010278070a010004000400", DIALOGUE_PROTOCOL, "not an answer" },
	{ "300c02010161070a010004000400", DIALOGUE_PROTOCOL, "0x61" },
	{ "301102010178"
	  "0c"
	  "0a010004000400"
	  "8a03312e32",
		DIALOGUE_PROTOCOL, "not about StartTLS" },
	/* broken: lengths that do not nest, wrong types, indefinite, huge */
	{ "300c02010178080a010004000400", DIALOGUE_PROTOCOL, "broken" },
	{ "300c02010178070a010004000401", DIALOGUE_PROTOCOL, "broken" },
	{ "300c0201017807020100"
	  "04000400",
		DIALOGUE_PROTOCOL, "broken" },
	{ "300c02010178070a0100"
	  "05000400",
		DIALOGUE_PROTOCOL, "broken" },
	{ "300b020178070a010004000400", DIALOGUE_PROTOCOL, "broken" },
	{ "300c0201ff78070a010004000400", DIALOGUE_PROTOCOL, "broken" },
	{ "3000", DIALOGUE_PROTOCOL, "broken" },
	{ "3080", DIALOGUE_PROTOCOL, "not an LDAP message" },
	{ "308500", DIALOGUE_PROTOCOL, "not an LDAP message" },
	{ "3084ffffffff", DIALOGUE_PROTOCOL, "of 4294967295 octets" },
	{ "30822000", DIALOGUE_PROTOCOL, "of 8192 octets" },
	{ "323230206d780d0a", DIALOGUE_PROTOCOL, "not an LDAP message" },
	/* in clear after its agreement */
	{ "300c02010178070a010004000400"
	  "30",
		DIALOGUE_PROTOCOL, "injection" },
	{ "300c02010178070a0100040004", DIALOGUE_MORE, NULL },
};

static size_t unhex(const char *hex, char *ret)
{
	size_t n = 0;

	for (; hex[0] != '\0'; hex += 2) {
		const char two[3] = { hex[0], hex[1], '\0' };

		ret[n++] = (char)strtoul(two, NULL, 16);
	}
	return n;
}

static void ldap_verdicts(void **state)
{
	static struct dialogue d;
	char in[256];

	(void)state;
	for (size_t i = 0; i < sizeof(ldap) / sizeof(ldap[0]); i++) {
		size_t n = unhex(ldap[i].hex, in);

		for (size_t piece = 1; piece <= n; piece += n > 1 ? n - 1 : 1) {
			dialogue_init(&d, PROTO_LDAP, "x", "mx.example");
			d.out_sent = d.out_len;
			for (size_t at = 0; at < n; at += piece)
				(void)dialogue_feed(&d, in + at,
					n - at < piece ? n - at : piece);
			if (d.verdict != ldap[i].want ||
				(ldap[i].why != NULL &&
					strstr(d.why, ldap[i].why) == NULL))
				fail_msg("case %zu (%s): verdict %d, \"%s\"", i,
					ldap[i].hex, (int)d.verdict, d.why);
		}
	}
}

/* Golden: what the OpenLDAP client sends. */
static void ldap_request(void **state)
{
	static struct dialogue d;
	char want[64];
	size_t n = unhex("301d02010177188016"
			 "312e332e362e312e342e312e313436362e3230303337",
		want);

	(void)state;
	dialogue_init(&d, PROTO_LDAP, "x", "mx.example");
	assert_int_equal(d.out_len, n);
	assert_memory_equal(d.out, want, n);
	/* an agreement before we have asked is none */
	(void)dialogue_feed(&d, want, unhex(ldap[0].hex, want));
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
}

static void xmpp_is_bounded_and_cannot_be_broken_out_of(void **state)
{
	static struct dialogue d;
	static const char deep[] = "<a>", spaces[] = "        ";

	(void)state;
	dialogue_init(&d, PROTO_XMPP, "x", "a'/><b c=\"&\r");
	d.out[d.out_len] = '\0';
	assert_string_equal(d.out,
		"<?xml version='1.0'?><stream:stream to='a?/?"
		"?b c=??"
		"?' "
		"version='1.0' xmlns='jabber:client' "
		"xmlns:stream='http://etherx.jabber.org/streams'>");
	dialogue_init(&d, PROTO_XMPP_SERVER, "x", "mx.example");
	d.out[d.out_len] = '\0';
	assert_non_null(strstr(d.out, "to='mx.example' "));
	assert_non_null(strstr(d.out, "'jabber:server'"));

	d.out_sent = d.out_len;
	(void)dialogue_feed(
		&d, OPEN "<stream:features>", strlen(OPEN "<stream:features>"));
	for (int i = 0; i < 100 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, deep, 3);
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "deeper"));

	/* it answers what we have not said yet */
	dialogue_init(&d, PROTO_XMPP, "x", "x");
	(void)dialogue_feed(&d, OPEN OFFER, strlen(OPEN OFFER));
	assert_int_equal(d.verdict, DIALOGUE_PROTOCOL);
	assert_non_null(strstr(d.why, "before it was asked"));

	dialogue_init(&d, PROTO_XMPP, "x", "x");
	d.out_sent = d.out_len;
	for (int i = 0; i < 100000 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, spaces, 8);
	assert_non_null(strstr(d.why, "more than 65536"));

	dialogue_init(&d, PROTO_XMPP, "x", "x");
	d.out_sent = d.out_len;
	(void)dialogue_feed(&d, "<a b='", 6);
	for (int i = 0; i < 100000 && d.verdict == DIALOGUE_MORE; i++)
		(void)dialogue_feed(&d, spaces, 8);
	assert_non_null(strstr(d.why, "longer than 8192"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogue_gives_the_verdict),
		cmocka_unit_test(dialogue_does_not_depend_on_packets),
		cmocka_unit_test(dialogue_is_bounded),
		cmocka_unit_test(helo_cannot_break_out),
		cmocka_unit_test(ldap_verdicts),
		cmocka_unit_test(ldap_request),
		cmocka_unit_test(xmpp_is_bounded_and_cannot_be_broken_out_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
