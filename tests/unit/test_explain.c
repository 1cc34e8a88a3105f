/*
 * Bounces and log lines of four makes of server, as they are pasted: each with
 * all that must come out of it. Then hostile text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hook/check/explain.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEMP true
#define PERM false

struct row {
	const char *text;
	enum explain_mta mta;
	enum check_code code;
	bool temporary;
	const char *status, *domain, *host, *ip;
	uint16_t port;
	bool success;
};

#define EOP "[AM0EUR02FT012.eop-EUR02.prod.protection.outlook.com]"
#define LAST(n, ip) "[LastAttemptedServerName=" n "] [LastAttemptedIP=" ip "] "

static const struct row exchange[] = {
	{ "550 5.7.323 tlsa-invalid: The domain failed DANE validation",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, PERM, "5.7.323", "", "",
		"", 0, false },
	{ "450 4.7.323 tlsa-invalid: The domain failed DANE validation " LAST(
		  "mx.example.org", "192.0.2.1:25") EOP,
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ "450 4.7.321 starttls-not-supported: Destination mail server must "
	  "support TLS to receive mail. " LAST(
		  "MX1.Example.ORG", "[2001:DB8::1]:25") EOP,
		EXPLAIN_EXCHANGE, CODE_STARTTLS_MISSING, TEMP, "4.7.321", "",
		"mx1.example.org.", "2001:db8::1", 25, false },
	{ "550 5.7.321 starttls-not-supported: x", EXPLAIN_EXCHANGE,
		CODE_STARTTLS_MISSING, PERM, "5.7.321", "", "", "", 0, false },
	{ "450 4.7.322 certificate-expired: Destination mail server's "
	  "certificate is expired. " LAST("mx.example.org", "2001:db8::25:25"),
		EXPLAIN_EXCHANGE, CODE_CERT_EXPIRED, TEMP, "4.7.322", "",
		"mx.example.org.", "2001:db8::25", 25, false },
	{ "550 5.7.322 certificate-expired: x", EXPLAIN_EXCHANGE,
		CODE_CERT_EXPIRED, PERM, "5.7.322", "", "", "", 0, false },
	{ "450 4.7.324 dnssec-invalid: Destination domain returned invalid "
	  "DNSSEC records [LastAttemptedServerName=example.org] " EOP,
		EXPLAIN_EXCHANGE, CODE_TLSA_BOGUS, TEMP, "4.7.324", "",
		"example.org.", "", 0, false },
	{ "550 5.7.324 dnssec-invalid: x", EXPLAIN_EXCHANGE, CODE_TLSA_BOGUS,
		PERM, "5.7.324", "", "", "", 0, false },
	{ "450 4.7.325 certificate-host-mismatch: Remote certificate MUST have "
	  "a common name or subject alternative name matching the hostname "
	  "(DANE) " LAST("mx.example.org", "192.0.2.1:25"),
		EXPLAIN_EXCHANGE, CODE_NAME_MISMATCH, TEMP, "4.7.325", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ "450 4.4.312 DNS query failed [Message=ServerFailure] "
	  "[LastAttemptedServerName=example.org] " EOP,
		EXPLAIN_EXCHANGE, CODE_MX_FAILED, TEMP, "4.4.312", "",
		"example.org.", "", 0, false },
	{ "550 5.4.312 Message expired, DNS query failed(ServerFailure)",
		EXPLAIN_EXCHANGE, CODE_MX_FAILED, PERM, "5.4.312", "", "", "",
		0, false },
	/* the code on a line of its own */
	{ "Your message couldn't be delivered.\r\n\r\n5.7.323\r\n\r\nThe "
	  "domain failed its validation.\r\n",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, PERM, "5.7.323", "", "",
		"", 0, false },
	{ "Your message to bob@example.org couldn't be delivered.\n\n"
	  "Diagnostic information for administrators:\n\n"
	  "Generating server: AM0PR01.eurprd01.prod.outlook.com\n\n"
	  "bob@example.org\nmx.example.org\n"
	  "Remote Server returned '550 5.7.323 tlsa-invalid: The domain\n"
	  "failed DANE validation'\n\n"
	  "Original message headers:\n\nReceived: from "
	  "x.eurprd01.prod.outlook.com (2603:10a6::1) by y\n",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, PERM, "5.7.323",
		"example.org.", "mx.example.org.", "", 0, false },
	{ "11/21/2026 9:47:12 PM - Server at mx.example.org (198.51.100.7) "
	  "returned '450 4.7.323 tlsa-invalid: The domain failed DANE "
	  "validation " LAST("mx.example.org", "198.51.100.7:25") EOP "'",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "",
		"mx.example.org.", "198.51.100.7", 25, false },
	/* message trace */
	{ "Reason: [{LED=450 4.7.323 tlsa-invalid: The domain failed DANE "
	  "validation};{MSG=};{FQDN=mx.example.org};{IP=192.0.2.9};{LRT=}]",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "",
		"mx.example.org.", "192.0.2.9", 0, false },
	/* delivery-status part: status and recipient stand apart */
	{ "Reporting-MTA: dns;AM0PR01.eurprd01.prod.outlook.com\r\n"
	  "Arrival-Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\n"
	  "Final-Recipient: rfc822;bob@Example.org\r\nAction: failed\r\n"
	  "Status: 5.7.323\r\nDiagnostic-Code: smtp;550 5.7.323 "
	  "tlsa-invalid:\r\n The domain failed DANE validation\r\n"
	  "Remote-MTA: dns;mx.example.org\r\n",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, PERM, "5.7.323",
		"example.org.", "mx.example.org.", "", 0, false },
	/* quoted-printable: soft breaks inside words, '=' as =3D */
	{ "Content-Transfer-Encoding: quoted-printable\r\n\r\nServer "
	  "returned '450 4.7.3=\r\n23 tlsa-inv=\r\nalid: The domain failed "
	  "[LastAttemptedServerName=3Dmx.exa=\r\nmple.org] "
	  "[LastAttemptedIP=3D192.0.2.1:2=\r\n5]'\r\n",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	/* HTML */
	{ "<html><body><p>Delivery to &lt;bob@example.org&gt; failed</p>\n"
	  "<p><b>Remote Server returned &#39;550 5.7.323&nbsp;tlsa-invalid:"
	  "</b> The domain</p></body></html>",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, PERM, "5.7.323",
		"example.org.", "", "", 0, false },
	/* quoted in an answer, wrapped without margin */
	{ "> 450 4.7.323 tlsa-invalid: The domain failed DANE validation\n"
	  "> [LastAttemptedServerName=mx.example.org]\n"
	  "> [LastAttemptedIP=192.0.2.1:25]\n",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ "450 4.7.5 Remote certificate failed MTA-STS validation. Reason: "
	  "x " LAST("mx.example.org", "192.0.2.1:25"),
		EXPLAIN_EXCHANGE, CODE_NONE, TEMP, "4.7.5", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	/* Chinese around, without blanks */
	{ "\xe6\x94\xb6\xe4\xbb\xb6\xe4\xba\xba"
	  "bob@example.org\xe7\x9a\x84\xef\xbc\x9a"
	  "550 5.7.323 tlsa-invalid: \xe9\x94\x99\xe8\xaf\xaf",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, PERM, "5.7.323",
		"example.org.", "", "", 0, false },
	/* an internationalised name is not cut into another one */
	{ "450 4.7.323 tlsa-invalid: x [LastAttemptedServerName="
	  "m\xc3\xbcller.example.org]",
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "", "",
		"", 0, false },
	{ "450 4.7.323 tlsa-invalid: x \xff\xfe\xc3 " LAST(
		  "mx.example.org", "192.0.2.1:25"),
		EXPLAIN_EXCHANGE, CODE_TLSA_MISMATCH, TEMP, "4.7.323", "",
		"mx.example.org.", "192.0.2.1", 25, false },
};

#define SMTP "Nov 21 10:00:00 out postfix/smtp[4711]: "
#define TO(relay)                                          \
	SMTP "4VxYz01: to=<bob@example.org>, relay=" relay \
	     ", delay=20, delays=0.1/0/20/0, dsn=4.7.5, status=deferred ("
#define MX4 "mx.example.org[192.0.2.1]:25"

static const struct row postfix[] = {
	{ TO(MX4) "Server certificate not verified)", EXPLAIN_POSTFIX,
		CODE_TLSA_MISMATCH, TEMP, "4.7.5", "example.org.",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ TO("mx.example.org[2001:db8::2]:25") "Server certificate not "
					       "verified)\n",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "2001:db8::2", 25, false },
	{ TO("mx.example.org[192.0.2.1]:465") "Server certificate not trusted)",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 465, false },
	{ TO("none") "TLSA lookup error for mx.example.org:25)",
		EXPLAIN_POSTFIX, CODE_TLSA_FAILED, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "", 25, false },
	{ "2026-11-21T10:00:00.123456+01:00 out postfix/smtp[1]: 4VxYz: "
	  "to=<bob@example.org>, orig_to=<root@example.net>, relay=" MX4
	  ", delay=1, dsn=4.7.4, status=deferred (TLS is required, but was "
	  "not offered by host mx.example.org[192.0.2.1])",
		EXPLAIN_POSTFIX, CODE_STARTTLS_MISSING, TEMP, "4.7.4",
		"example.org.", "mx.example.org.", "192.0.2.1", 25, false },
	{ TO(MX4) "TLS is required, but host mx.example.org[192.0.2.1] refused "
		  "to start TLS: 454 4.7.0 TLS not available due to local "
		  "problem)",
		EXPLAIN_POSTFIX, CODE_STARTTLS_REFUSED, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 25, false },
	{ TO(MX4) "Cannot start TLS: handshake failure)", EXPLAIN_POSTFIX,
		CODE_HANDSHAKE, TEMP, "4.7.5", "example.org.",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ TO("none") "non DNSSEC destination)", EXPLAIN_POSTFIX,
		CODE_MX_INSECURE, TEMP, "4.7.5", "example.org.", "", "", 0,
		false },
	{ TO("none") "no TLSA records found)", EXPLAIN_POSTFIX, CODE_NO_TLSA,
		TEMP, "4.7.5", "example.org.", "", "", 0, false },
	{ TO("none") "TLSA records unusable)", EXPLAIN_POSTFIX,
		CODE_ALL_UNUSABLE, TEMP, "4.7.5", "example.org.", "", "", 0,
		false },
	{ TO("none") "Verification not possible, MX RRset is insecure)",
		EXPLAIN_POSTFIX, CODE_MX_INSECURE, TEMP, "4.7.5",
		"example.org.", "", "", 0, false },
	{ TO("none") "client TLS configuration problem)", EXPLAIN_POSTFIX,
		CODE_NONE, TEMP, "4.7.5", "example.org.", "", "", 0, false },
	{ SMTP "4VxYz: to=<bob@example.org>, relay=" MX4
	       ", delay=432000, dsn=4.7.5, status=bounced (Server "
	       "certificate not verified)",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, PERM, "4.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "certificate verification failed for " MX4
	       ": not trusted by local or TLSA policy",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "certificate verification failed for " MX4
	       ": self-signed certificate",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "server certificate verification failed for " MX4
	       ": certificate has expired",
		EXPLAIN_POSTFIX, CODE_CERT_EXPIRED, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "server certificate verification failed for " MX4
	       ": certificate not yet valid",
		EXPLAIN_POSTFIX, CODE_CERT_NOT_YET, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "server certificate verification failed for " MX4
	       ": num=62:hostname mismatch",
		EXPLAIN_POSTFIX, CODE_NAME_MISMATCH, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	/* a later line of the same process says to whom */
	{ SMTP "Untrusted TLS connection established to " MX4
	       ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384\n"
	       "Nov 21 10:00:00 out postfix/smtp[9]: 4V9: to=<x@other.test>, "
	       "relay=none, dsn=2.0.0, status=sent\n" TO(
		       MX4) "Server certificate not verified)\n",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "certificate verification failed for " MX4
	       ": untrusted issuer /CN=R3\n"
	       "Nov 21 10:00:00 out postfix/smtp[9]: 4V9: to=<x@other.test>, "
	       "relay=" MX4 ", dsn=4.7.5, status=deferred (x)\n" TO(MX4) "x)\n",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 25, false },
	/* but not when it is about another host */
	{ SMTP "certificate verification failed for " MX4
	       ": x\n" TO("mx.other.test[192.0.2.7]:25") "x)\n",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ SMTP "Verified TLS connection established to " MX4
	       ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
		EXPLAIN_POSTFIX, CODE_NONE, PERM, "", "", "mx.example.org.",
		"192.0.2.1", 25, true },
	{ SMTP MX4 ": Matched DANE EE certificate at depth 0: 3 1 1 25DE2127",
		EXPLAIN_POSTFIX, CODE_NONE, PERM, "", "", "mx.example.org.",
		"192.0.2.1", 25, true },
	{ SMTP "Anonymous TLS connection established to " MX4 ": TLSv1.3",
		EXPLAIN_POSTFIX, CODE_NONE, PERM, "", "", "mx.example.org.",
		"192.0.2.1", 25, false },
	{ SMTP "warning: DANE TLSA lookup problem: Host or domain name not "
	       "found. Name service error for name=_25._tcp.mx.example.org "
	       "type=TLSA: Host not found, try again",
		EXPLAIN_POSTFIX, CODE_TLSA_FAILED, TEMP, "", "",
		"mx.example.org.", "", 25, false },
	{ SMTP "4VxYz: to=<bob@example.org>, relay=none, dsn=4.4.3, "
	       "status=deferred (Host or domain name not found. Name service "
	       "error for name=example.org type=MX: Host not found, try "
	       "again)",
		EXPLAIN_POSTFIX, CODE_MX_FAILED, TEMP, "4.4.3", "example.org.",
		"", "", 0, false },
	{ SMTP "4VxYz: to=<bob@example.org>, relay=none, dsn=4.4.3, "
	       "status=deferred (Host or domain name not found. Name service "
	       "error for name=mx.example.org type=AAAA: Host not found, try "
	       "again)",
		EXPLAIN_POSTFIX, CODE_ADDR_FAILED, TEMP, "4.4.3",
		"example.org.", "mx.example.org.", "", 0, false },
	{ SMTP "SSL_connect error to " MX4 ": -1", EXPLAIN_POSTFIX,
		CODE_HANDSHAKE, TEMP, "", "", "mx.example.org.", "192.0.2.1",
		25, false },
	{ TO(MX4) "lost connection with mx.example.org[192.0.2.1] while "
		  "receiving the STARTTLS response)",
		EXPLAIN_POSTFIX, CODE_STARTTLS_REFUSED, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 25, false },
	{ TO(MX4) "conversation with mx.example.org[192.0.2.1] timed out "
		  "while performing the TLS handshake)",
		EXPLAIN_POSTFIX, CODE_TIMEOUT, TEMP, "4.7.5", "example.org.",
		"mx.example.org.", "192.0.2.1", 25, false },
	/* a bounce: folded, with its delivery-status part */
	{ "This is the mail system at host out.example.net.\n\n"
	  "<bob@example.org>: Server certificate\n    not verified\n\n"
	  "Reporting-MTA: dns; out.example.net\nX-Postfix-Queue-ID: 4VxYz\n\n"
	  "Final-Recipient: rfc822; bob@example.org\nAction: failed\n"
	  "Status: 4.7.5\nRemote-MTA: dns; mx.example.org\n"
	  "Diagnostic-Code: X-Postfix; Server certificate not verified\n",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, PERM, "4.7.5",
		"example.org.", "mx.example.org.", "", 0, false },
	{ "<alice@one.test>: TLSA lookup error for mx.one.test:25\n"
	  "<bob@two.test>: Server certificate not verified\n",
		EXPLAIN_POSTFIX, CODE_TLSA_FAILED, TEMP, "", "one.test.",
		"mx.one.test.", "", 25, false },
	{ "&lt;alice@one.test&gt;: host x said: 550 no\n"
	  "&lt;bob@two.test&gt;: Server certificate not verified\n",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "", "two.test.", "",
		"", 0, false },
	/* wrapped by the mail program that it was pasted into */
	{ TO(MX4) "Server\ncertificate not\nverified)", EXPLAIN_POSTFIX,
		CODE_TLSA_MISMATCH, TEMP, "4.7.5", "example.org.",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ "mailcow-postfix-1  | " TO(MX4) "Server certificate not verified)",
		EXPLAIN_POSTFIX, CODE_TLSA_MISMATCH, TEMP, "4.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 25, false },
	/* neither is a port nor an address */
	{ SMTP "SSL_connect error to mx.example.org[192.0.2.256]:99999: -1",
		EXPLAIN_POSTFIX, CODE_HANDSHAKE, TEMP, "", "",
		"mx.example.org.", "", 0, false },
};

#define EX "2026-11-21 10:00:00 1rABCD-0005vi-2a "
#define EXB "H=mx.example.org [192.0.2.1]"

static const struct row exim[] = {
	{ EX EXB ": DANE error: tlsa lookup DEFER", EXPLAIN_EXIM,
		CODE_TLSA_FAILED, TEMP, "", "", "mx.example.org.", "192.0.2.1",
		0, false },
	{ EX EXB ": DANE error: tlsa lookup DEFER\n" EX
		 "== bob@example.org R=dnslookup T=remote_smtp defer (-36): "
		 "DANE error: tlsa lookup DEFER\n",
		EXPLAIN_EXIM, CODE_TLSA_FAILED, TEMP, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ EX "== bob@example.org R=dnslookup T=remote_smtp defer (-36): DANE "
	     "error: tlsa lookup DEFER",
		EXPLAIN_EXIM, CODE_TLSA_FAILED, TEMP, "", "example.org.", "",
		"", 0, false },
	{ EX "** bob@example.org R=dnslookup T=remote_smtp: DANE error: tlsa "
	     "lookup FAIL",
		EXPLAIN_EXIM, CODE_NO_TLSA, PERM, "", "example.org.", "", "", 0,
		false },
	{ EX "DANE error: TLSA lookup for mx.example.org not DNSSEC",
		EXPLAIN_EXIM, CODE_TLSA_INSECURE, TEMP, "", "",
		"mx.example.org.", "", 0, false },
	{ EX "** bob@example.org R=dnslookup T=remote_smtp: DANE error: "
	     "mx.example.org lookup not DNSSEC",
		EXPLAIN_EXIM, CODE_ADDR_INSECURE, PERM, "", "example.org.",
		"mx.example.org.", "", 0, false },
	{ EX "DANE attempt failed; TLS connection to mx.example.org "
	     "[192.0.2.1]: (certificate verification failed): certificate "
	     "invalid\n" EX "== bob@example.org R=dnslookup T=remote_smtp "
	     "defer (-37) " EXB ": TLS session: (certificate verification "
	     "failed): certificate invalid\n",
		EXPLAIN_EXIM, CODE_TLSA_MISMATCH, TEMP, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ EX "DANE attempt failed; TLS connection to mx.example.org "
	     "[2001:db8::1]: (SSL_connect): error:0A000086:SSL "
	     "routines::certificate verify failed",
		EXPLAIN_EXIM, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "2001:db8::1", 0, false },
	{ EX "DANE attempt failed; TLS connection to mx.example.org "
	     "[192.0.2.1]: (gnutls_handshake): A TLS fatal alert has been "
	     "received.: Handshake failed",
		EXPLAIN_EXIM, CODE_HANDSHAKE, TEMP, "", "", "mx.example.org.",
		"192.0.2.1", 0, false },
	{ EX "DANE attempt failed; TLS connection to mx.example.org "
	     "[192.0.2.1]: (gnutls_handshake): timed out",
		EXPLAIN_EXIM, CODE_TIMEOUT, TEMP, "", "", "mx.example.org.",
		"192.0.2.1", 0, false },
	{ EX "== bob@example.org R=dnslookup T=remote_smtp defer (-37) " EXB
	     ":25: TLS session: (gnutls_handshake): The TLS connection was "
	     "non-properly terminated.",
		EXPLAIN_EXIM, CODE_HANDSHAKE, TEMP, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 25, false },
	{ EX "== bob@example.org R=dnslookup T=remote_smtp defer (-38) " EXB
	     ": a TLS session is required, but the server did not offer TLS "
	     "support",
		EXPLAIN_EXIM, CODE_STARTTLS_MISSING, TEMP, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ EX "== bob@example.org R=dnslookup T=remote_smtp defer (-38) " EXB
	     ": a TLS session is required, but an attempt to start TLS failed",
		EXPLAIN_EXIM, CODE_STARTTLS_REFUSED, TEMP, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ EX "== bob <bob@example.org> F=<me@example.net> R=dnslookup "
	     "T=remote_smtp defer (-1): DANE required",
		EXPLAIN_EXIM, CODE_NO_TLSA, TEMP, "", "example.org.", "", "", 0,
		false },
	{ EX "** bob@example.org R=dnslookup T=remote_smtp " EXB
	     ": TLS session: (certificate verification failed): certificate "
	     "invalid: retry timeout exceeded",
		EXPLAIN_EXIM, CODE_TLSA_MISMATCH, PERM, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
	/* the id of Exim 4.97; the name of another message stays out */
	{ "2026-11-21 10:00:00 1rABCD-000000005vi-2abc DANE error: TLSA "
	  "lookup for mx.example.org not DNSSEC\n" EX
	  "== eve@other.test R=d T=r defer (-1): x\n"
	  "2026-11-21 10:00:01 1rABCD-000000005vi-2abc == bob@example.org R=d "
	  "T=r defer (-1): x\n",
		EXPLAIN_EXIM, CODE_TLSA_INSECURE, TEMP, "", "example.org.",
		"mx.example.org.", "", 0, false },
	{ EX "=> bob@example.org R=dnslookup T=remote_smtp " EXB
	     " X=TLS1.3:ECDHE_X25519__RSA:256 CV=dane DN=\"CN=mx\" C=\"250 "
	     "OK\"",
		EXPLAIN_EXIM, CODE_NONE, PERM, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, true },
	{ EX "=> bob@example.org R=dnslookup T=remote_smtp " EXB
	     " I=[10.0.0.1]:40000 X=TLS1.3:x:256 CV=no C=\"250 OK\"",
		EXPLAIN_EXIM, CODE_NONE, PERM, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ EX "[192.0.2.1] SSL verify error: depth=0 error=certificate has "
	     "expired cert=/CN=mx.example.org",
		EXPLAIN_EXIM, CODE_CERT_EXPIRED, TEMP, "", "", "", "192.0.2.1",
		0, false },
	/* bounce text */
	{ "This message was created automatically by mail delivery "
	  "software.\n\n  bob@example.org\n    host mx.example.org "
	  "[192.0.2.1]\n    TLS session: (certificate verification\n"
	  "    failed): certificate invalid:\n    retry timeout exceeded\n",
		EXPLAIN_EXIM, CODE_TLSA_MISMATCH, PERM, "", "example.org.",
		"mx.example.org.", "192.0.2.1", 0, false },
};

static const struct row powermta[] = {
	{ "tls: DANE match: /C=NL/ST=Zuid-Holland; issuer=/C=NL; depth=0",
		EXPLAIN_POWERMTA, CODE_NONE, PERM, "", "", "", "", 0, true },
	{ "2026-11-21 10:00:00 tls: TLSv1.2 connected with 256-bit X\n"
	  "2026-11-21 10:00:00 tls: DANE match: /CN=mx; issuer=/CN=R3; "
	  "depth=0\n",
		EXPLAIN_POWERMTA, CODE_NONE, PERM, "", "", "", "", 0, true },
	{ "tls: DANE verification failed for mx.example.org (192.0.2.1)",
		EXPLAIN_POWERMTA, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ "b,2026-11-21 10:00:00+0000,news@example.net,bob@example.org,,failed,"
	  "5.7.5 (other),\"smtp;550 5.7.5 DANE validation failed\",mx.example."
	  "org (192.0.2.1),policy-related,smtp,pmta1",
		EXPLAIN_POWERMTA, CODE_TLSA_MISMATCH, PERM, "5.7.5",
		"example.org.", "mx.example.org.", "192.0.2.1", 0, false },
};

/* Other servers, and phrases of nobody in particular. */
static const struct row others[] = {
	{ "smtp_lookup_rcpt: DANE: No TLSA RR for mx.example.org",
		EXPLAIN_UNKNOWN, CODE_NO_TLSA, TEMP, "", "", "mx.example.org.",
		"", 0, false },
	{ "DANE failed: mx.example.org (192.0.2.1:587)", EXPLAIN_UNKNOWN,
		CODE_TLSA_MISMATCH, TEMP, "", "", "mx.example.org.",
		"192.0.2.1", 587, false },
	/* in brackets a last group 25 is address */
	{ "DANE failed: mx.example.org [2001:db8::25]", EXPLAIN_UNKNOWN,
		CODE_TLSA_MISMATCH, TEMP, "", "", "mx.example.org.",
		"2001:db8::25", 0, false },
	{ "DANE failed: mx.example.org[IPv6:2001:db8::25]:70000",
		EXPLAIN_UNKNOWN, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "2001:db8::25", 0, false },
	{ "DANE failed: mx.example.org:0 &#60;bob&#64;example.org&#x3e;",
		EXPLAIN_UNKNOWN, CODE_TLSA_MISMATCH, TEMP, "", "example.org.",
		"", "", 0, false },
	{ "host mx.example.org[192.0.2.1] failed: no matching DANE TLSA "
	  "records",
		EXPLAIN_UNKNOWN, CODE_TLSA_MISMATCH, TEMP, "", "",
		"mx.example.org.", "192.0.2.1", 0, false },
	{ "451 4.7.5 dnssec validation failure for bob@example.org",
		EXPLAIN_UNKNOWN, CODE_TLSA_BOGUS, TEMP, "4.7.5", "example.org.",
		"", "", 0, false },
};

static void expect(
	const char *text, const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) == 0)
		return;
	print_error("%s: '%s', not '%s', of: %s\n", what, got, want, text);
	fail();
}

static void expect_row(const struct row *r, const struct explained *e)
{
	char got[64], want[64];

	(void)snprintf(got, sizeof(got), "%d %s code %d temp %d ok %d port %u",
		e->understood, explain_mta_name(e->mta), e->code, e->temporary,
		e->success, e->port);
	(void)snprintf(want, sizeof(want),
		"%d %s code %d temp %d ok %d port %u", true,
		explain_mta_name(r->mta), r->code, r->temporary, r->success,
		r->port);
	expect(r->text, "result", got, want);
	expect(r->text, "status", e->status, r->status);
	expect(r->text, "domain", e->domain, r->domain);
	expect(r->text, "host", e->host, r->host);
	expect(r->text, "ip", e->ip, r->ip);
	assert_true(strlen(e->phrase) > 5);
	assert_true(strlen(e->meaning) > 20);
	assert_true(strlen(e->next) >= 7);
	assert_true(
		!e->temporary || strstr(explain_retry(e), "temporary") != NULL);
}

/* Each as it is, with CRLF, with another line end, and with the lines that a
 * mail or a log has before and after it. */
static void try_rows(const struct row *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct explained e;
		size_t len = strlen(r[i].text), k = 0;
		char *crlf = malloc(2 * len + 64), *around = malloc(len + 200);

		assert_non_null(crlf);
		assert_non_null(around);
		explain_parse(r[i].text, len, &e);
		expect_row(&r[i], &e);
		for (size_t j = 0; j < len; j++) {
			if (r[i].text[j] == '\n' &&
				(j == 0 || r[i].text[j - 1] != '\r'))
				crlf[k++] = '\r';
			crlf[k++] = r[i].text[j];
		}
		explain_parse(crlf, k, &e);
		expect_row(&r[i], &e);
		k = (size_t)snprintf(around, len + 200,
			"Hello,\n\nplease have a look at this:\n\n%s\n\n-- "
			"\nThanks\n",
			r[i].text);
		explain_parse(around, k, &e);
		expect_row(&r[i], &e);
		free(crlf);
		free(around);
	}
}

static void test_exchange(void **state)
{
	(void)state;
	try_rows(exchange, sizeof(exchange) / sizeof(exchange[0]));
}

static void test_postfix(void **state)
{
	(void)state;
	try_rows(postfix, sizeof(postfix) / sizeof(postfix[0]));
}

static void test_exim(void **state)
{
	(void)state;
	try_rows(exim, sizeof(exim) / sizeof(exim[0]));
}

static void test_powermta(void **state)
{
	(void)state;
	try_rows(powermta, sizeof(powermta) / sizeof(powermta[0]));
}

static void test_others(void **state)
{
	(void)state;
	try_rows(others, sizeof(others) / sizeof(others[0]));
}

static void test_not_understood(void **state)
{
	static const char *const texts[] = { "", "\n\n", "hello",
		"550 5.1.1 no", "x5.7.323y", "5.7.3230", "5.7.323.1",
		"15.7.323", "TLS",
		"{\"result-type\": \"tlsa-invalid\", \"n\": 1}",
		"Nov 21 10:00:00 mx postfix/smtpd[1]: connect from x[::1]",
		"mundane matches" };
	struct explained e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		explain_parse(texts[i], strlen(texts[i]), &e);
		if (e.understood)
			print_error("understood: %s\n", texts[i]);
		assert_false(e.understood);
		assert_false(e.success);
		assert_int_equal(e.code, CODE_NONE);
		assert_true(strlen(e.meaning) > 20);
		assert_true(strlen(e.next) > 20);
		assert_string_equal(explain_retry(&e), "");
	}
	/* the line with the most in it */
	explain_parse(texts[3], strlen(texts[3]), &e);
	assert_string_equal(e.status, "5.1.1");
	explain_parse(
		"x\n\nuser bob@example.org at mx.example.org[192.0.2.1]\n", 54,
		&e);
	assert_false(e.understood);
	assert_string_equal(e.domain, "example.org.");
	assert_string_equal(e.host, "mx.example.org.");
	assert_string_equal(e.ip, "192.0.2.1");
}

/* What must not become a name, an address or a port. */
static void test_untrusted(void **state)
{
	static const char *const texts[] = {
		"5.7.323 [LastAttemptedServerName=$(reboot).example.org]",
		"5.7.323 [LastAttemptedServerName=../../etc/passwd]",
		"5.7.323 [LastAttemptedServerName=a..b.example.org]",
		"5.7.323 [LastAttemptedServerName=localhost]",
		"5.7.323 [LastAttemptedServerName=-x.example.org]",
		"5.7.323 [LastAttemptedServerName=999.999.999.999]",
		"5.7.323 [LastAttemptedServerName=*.example.org]",
		"5.7.323 [LastAttemptedServerName=x.prod.outlook.com]",
		"5.7.323 [LastAttemptedIP=192.0.2.1.5:25]",
		"5.7.323 [LastAttemptedIP=fe80::1%eth0]",
		"5.7.323 [LastAttemptedIP=::::::]",
		"5.7.323 from=<bob@example.org> bob@[192.0.2.300] "
		"bob@192.0.2.1 "
		"Message-ID: <1@example.org> id=2@example.org @example.org",
	};
	char longer[400];
	struct explained e;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		explain_parse(texts[i], strlen(texts[i]), &e);
		assert_true(e.understood);
		expect(texts[i], "domain", e.domain, "");
		expect(texts[i], "host", e.host, "");
		expect(texts[i], "ip", e.ip, "");
		assert_int_equal(e.port, 0);
	}
	(void)snprintf(longer, sizeof(longer),
		"5.7.323 [LastAttemptedServerName=%0300d.example.org]", 0);
	explain_parse(longer, strlen(longer), &e);
	assert_string_equal(e.host, "");
	explain_parse("5.7.323 (192.0.2.1:70000) \x1b[31m\x07<script>", 41, &e);
	assert_string_equal(e.ip, "");
	for (const char *p = e.phrase; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p <= '~');
}

static void test_octets(void **state)
{
	static const char text[] = "450 4.7.323 tlsa-invalid: x "
				   "[LastAttemptedServerName=mx.example.org]";
	char wide[2 * sizeof(text) + 2], holes[sizeof(text) + 20];
	struct explained e;
	size_t n = 0;

	(void)state;
	/* UTF-16 with its mark, as PowerShell redirects */
	memcpy(wide, "\xff\xfe", 2);
	for (n = 0; n < sizeof(text) - 1; n++) {
		wide[2 + 2 * n] = text[n];
		wide[3 + 2 * n] = '\0';
	}
	explain_parse(wide, 2 + 2 * n, &e);
	assert_string_equal(e.host, "mx.example.org.");
	assert_string_equal(e.status, "4.7.323");
	/* NULs before and behind are blanks */
	memset(holes, 0, sizeof(holes));
	memcpy(holes + 10, text, sizeof(text) - 1);
	explain_parse(holes, sizeof(holes), &e);
	assert_string_equal(e.host, "mx.example.org.");
	/* one in the middle parts a name */
	holes[10 + sizeof(text) - 8] = '\0';
	explain_parse(holes, sizeof(holes), &e);
	assert_true(e.understood);
	assert_string_not_equal(e.host, "mx.example.org.");
	/* a log is not quoted-printable: delay=20 is no blank */
	explain_parse(
		"delay=20,dsn=4.7.5 Server certificate not verified", 50, &e);
	assert_string_equal(e.status, "4.7.5");
}

static double parse_time(const char *text, size_t len, struct explained *e)
{
	struct timespec a, b;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	explain_parse(text, len, e);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) +
	       (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

/* Text that makes quadratic searches hang; and one line at the end of it. */
static void test_large(void **state)
{
	static const char *const stuff[] = { "a", ".", "@", "<", "<b ", "&",
		"=", "=\n", "\n", " ", "[", "[::]", "a@b.c ", "_25._tcp.",
		"certificate verification failed for ", "tls session: (",
		"name service error for name=", "4.7.", "ssl_connect error to ",
		"Nov 21 10:00:00 x[1]: ", "\xc3\xbc", "postfix/", "\xff",
		"dane error: tlsa lookup for ", "<a@b.c>:\n" };
	static const char line[] = "\n\nNov 21 10:00:00 x postfix/smtp[1]: Q: "
				   "to=<bob@example.org>,"
				   " relay=mx.example.org[192.0.2.1]:25, "
				   "dsn=4.7.5, status=deferred"
				   " (Server certificate not verified)";
	const size_t room = EXPLAIN_TEXT_MAX;
	char *text = malloc(room + 100);
	struct explained e;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(stuff) / sizeof(stuff[0]); i++) {
		size_t n = strlen(stuff[i]), len = 0;

		while (len + n + sizeof(line) < room) {
			memcpy(text + len, stuff[i], n);
			len += n;
		}
		memcpy(text + len, line, sizeof(line) - 1);
		len += sizeof(line) - 1;
		if (parse_time(text, len, &e) > 1.0)
			fail_msg("slow: %s", stuff[i]);
		if (strlen(stuff[i]) < 10 && i != 7)
			assert_string_equal(e.host, "mx.example.org.");
	}
	/* what is beyond the limit is not looked at */
	memset(text, 'x', room);
	memcpy(text + room - 3, "\n5.7.323\n", 9);
	explain_parse(text, room + 6, &e);
	assert_false(e.understood);
	free(text);
}

static void test_retry(void **state)
{
	struct explained e;

	(void)state;
	explain_parse("450 4.7.323 x", 13, &e);
	assert_non_null(strstr(explain_retry(&e), "24 hours"));
	explain_parse("550 5.7.323 x", 13, &e);
	assert_non_null(strstr(explain_retry(&e), "permanent"));
	explain_parse("(Server certificate not verified)", 33, &e);
	assert_string_equal(e.phrase, "Server certificate not verified");
	explain_parse("x CV=dane x", 11, &e);
	assert_true(e.success);
	assert_string_equal(explain_retry(&e), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_postfix),
		cmocka_unit_test(test_exim),
		cmocka_unit_test(test_powermta),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_not_understood),
		cmocka_unit_test(test_untrusted),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_retry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
