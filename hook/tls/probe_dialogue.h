/*
 * What is said in clear before TLS, as a pure state machine: bytes in, bytes
 * out, one verdict. No I/O, no clock, no allocation; so it can be fuzzed.
 * (RFC 3207 SMTP, RFC 9051 6.2.1 IMAP, RFC 2595 4 POP3, RFC 5804 ManageSieve,
 * RFC 4511 4.14 LDAP, RFC 6120 5 XMPP)
 */
#ifndef DANELAW_TLS_PROBE_DIALOGUE_H
#define DANELAW_TLS_PROBE_DIALOGUE_H

#include "hook/tls/probe.h"

#include <stdbool.h>
#include <stddef.h>

/* RFC 7162 4 names 8192 as what an IMAP client should take; SMTP, POP3 and
 * ManageSieve lines are far shorter. Also the limit of one LDAP message and of
 * one XML tag. */
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
	bool said;      /* the last octet made us say something */
	int code;       /* SMTP: of the reply in progress; 0 between replies */
	int end_code;   /* SMTP: of the reply that refused us; 0 */
	bool agreed;    /* XMPP: to TLS; all: and said more in clear */
	bool listing;   /* POP3: inside the list that ends with "." */
	size_t literal; /* Sieve: octets of a literal still to come */
	/* XMPP: inside <...>, inside quotes, open elements, and which. */
	bool markup, in_features, in_error;
	char quote;
	int depth;
	size_t total, line_len;
	char line[DIALOGUE_LINE_MAX + 1];
	char helo[DIALOGUE_HELO_MAX];
	/* Not sent yet: out[out_sent..out_len); the caller moves out_sent. */
	char out[DIALOGUE_HELO_MAX + 256];
	size_t out_len, out_sent;
	char why[DIALOGUE_WHY_MAX]; /* printable ASCII */
};

/* helo: a host name or an address literal for EHLO; host: whom we mean to
 * reach, for XMPP; both borrowed for the call. PROTO_TLS has nothing to say:
 * the verdict is DIALOGUE_TLS at once. LDAP and XMPP clients speak first:
 * there is output to send before anything is fed. */
void dialogue_init(struct dialogue *d, enum probe_proto proto, const char *helo,
	const char *host);

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
