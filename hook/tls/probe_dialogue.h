/*
 * What is said in clear before TLS, as a pure state machine: bytes in, bytes
 * out, one verdict. No I/O, no clock, no allocation; so it can be fuzzed.
 * (RFC 3207 SMTP, RFC 9051 6.2.1 IMAP, RFC 2595 4 POP3, RFC 5804 ManageSieve)
 */
#ifndef DANELAW_TLS_PROBE_DIALOGUE_H
#define DANELAW_TLS_PROBE_DIALOGUE_H

#include "hook/tls/probe.h"

#include <stdbool.h>
#include <stddef.h>

/* RFC 7162 4 names 8192 as what an IMAP client should take; SMTP, POP3 and
 * ManageSieve lines are far shorter. */
#define DIALOGUE_LINE_MAX 8192
#define DIALOGUE_TOTAL_MAX 65536
#define DIALOGUE_HELO_MAX 256
#define DIALOGUE_WHY_MAX 160

enum dialogue_verdict {
	DIALOGUE_MORE,        /* send the output, feed more */
	DIALOGUE_TLS,         /* agreed: the next byte from there is TLS */
	DIALOGUE_NO_STARTTLS, /* not offered or refused; see why */
	DIALOGUE_PROTOCOL     /* not understood, or not safe; see why */
};

enum dialogue_step {
	DIALOGUE_GREETING,
	DIALOGUE_CAPABILITY,
	DIALOGUE_STARTTLS
};

struct dialogue {
	enum probe_proto proto;
	enum dialogue_step step;
	enum dialogue_verdict verdict;
	bool offered;   /* STARTTLS was in the list of capabilities */
	int code;       /* SMTP: of the reply in progress; 0 between replies */
	bool listing;   /* POP3: inside the list that ends with "." */
	size_t literal; /* Sieve: octets of a literal still to come */
	size_t total, line_len;
	char line[DIALOGUE_LINE_MAX + 1];
	char helo[DIALOGUE_HELO_MAX];
	/* Not sent yet: out[out_sent..out_len); the caller moves out_sent. */
	char out[DIALOGUE_HELO_MAX + 16];
	size_t out_len, out_sent;
	char why[DIALOGUE_WHY_MAX]; /* printable ASCII */
};

/* helo: a host name or an address literal for EHLO, borrowed for the call.
 * PROTO_TLS has nothing to say: the verdict is DIALOGUE_TLS at once. */
void dialogue_init(
	struct dialogue *d, enum probe_proto proto, const char *helo);

/* One piece of what the peer sent, of any size. A verdict other than
 * DIALOGUE_MORE is final; bytes behind DIALOGUE_TLS turn it into
 * DIALOGUE_PROTOCOL (they came before TLS: an injection). */
enum dialogue_verdict dialogue_feed(
	struct dialogue *d, const char *data, size_t len);

/* Copies len bytes (fewer if ret is small) as one line of printable ASCII:
 * everything else becomes '?'. Returns ret. */
char *dialogue_printable(
	char *ret, size_t ret_len, const char *data, size_t len);

#endif
