/*
 * StartTLS in LDAP: one extended request, one extended response (RFC 4511 4.12
 * and 4.14). The client speaks first.
 *
 * Invariants: definite lengths only (RFC 4511 5.1), every length is checked
 * against what encloses it, one message fits into DIALOGUE_LINE_MAX; nothing
 * but a well-formed answer to our own message is an agreement. What may follow
 * in a later version of the protocol (4: "...") is skipped.
 */
#include "hook/tls/probe_dialogue_int.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define START_TLS "1.3.6.1.4.1.1466.20037"
#define SHOWN 80

enum {
	BER_INTEGER = 0x02,
	BER_OCTETS = 0x04,
	BER_ENUMERATED = 0x0a,
	BER_SEQUENCE = 0x30,
	LDAP_EXTENDED_RESPONSE = 0x78, /* [APPLICATION 24], constructed */
	LDAP_RESPONSE_NAME = 0x8a      /* [10] */
};

/* The result codes that a server has for StartTLS (RFC 4511 4.1.9). */
enum { LDAP_SUCCESS = 0, LDAP_PROTOCOL_ERROR = 2 };

struct ber {
	const uint8_t *p;
	size_t n;
};

/* The size of a header that begins at p; 0: more octets are needed; -1: not a
 * header that LDAP allows. *ret_len is the length of the value. */
static int ber_header(const uint8_t *p, size_t n, size_t *ret_len)
{
	size_t k, len = 0;

	if (n < 2)
		return 0;
	if ((p[0] & 0x1f) == 0x1f || p[1] == 0x80)
		return -1;
	if (p[1] < 0x80) {
		*ret_len = p[1];
		return 2;
	}
	k = p[1] & 0x7f;
	if (k > 4)
		return -1;
	if (n < 2 + k)
		return 0;
	for (size_t i = 0; i < k; i++)
		len = len << 8 | p[2 + i];
	*ret_len = len;
	return (int)(2 + k);
}

/* Takes one element off the front. */
static bool ber_next(struct ber *b, uint8_t *ret_tag, struct ber *ret)
{
	size_t len = 0;
	int head = ber_header(b->p, b->n, &len);

	if (head <= 0 || len > b->n - (size_t)head)
		return false;
	*ret_tag = b->p[0];
	*ret = (struct ber){ .p = b->p + head, .n = len };
	b->p += (size_t)head + len;
	b->n -= (size_t)head + len;
	return true;
}

/* A small number that is not negative. */
static bool ber_number(struct ber *b, uint8_t tag, long *ret)
{
	struct ber v;
	uint8_t is;
	long n = 0;

	if (!ber_next(b, &is, &v) || is != tag || v.n < 1 || v.n > 4 ||
		(v.p[0] & 0x80) != 0)
		return false;
	for (size_t i = 0; i < v.n; i++)
		n = n << 8 | v.p[i];
	*ret = n;
	return true;
}

static const char *result_name(long code)
{
	switch (code) {
	case 1:
		return "operationsError";
	case LDAP_PROTOCOL_ERROR:
		return "protocolError";
	case 8:
		return "strongerAuthRequired";
	case 10:
		return "referral";
	case 13:
		return "confidentialityRequired";
	case 51:
		return "busy";
	case 52:
		return "unavailable";
	case 53:
		return "unwillingToPerform";
	default: /* a number from outside, no enum */
		return "other";
	}
}

static void refused(struct dialogue *d, enum dialogue_verdict v,
	const char *what, long code, const struct ber *diagnostic)
{
	char text[SHOWN + 1];

	dialogue_finish_(d, v, "%s: result %ld (%s): %s", what, code,
		result_name(code),
		dialogue_printable(text, sizeof(text),
			(const char *)diagnostic->p, diagnostic->n));
}

/* What is behind the diagnostic message: only its form, and that a name that
 * comes with it is the one we asked for. */
static bool rest_is_sane(struct ber *op)
{
	struct ber v;
	uint8_t tag;

	while (op->n > 0) {
		if (!ber_next(op, &tag, &v))
			return false;
		if (tag == LDAP_RESPONSE_NAME &&
			(v.n != strlen(START_TLS) ||
				memcmp(v.p, START_TLS, v.n) != 0))
			return false;
	}
	return true;
}

static void judge(struct dialogue *d, long id, struct ber *op)
{
	struct ber dn, diagnostic;
	uint8_t tag;
	long code;

	if (!ber_number(op, BER_ENUMERATED, &code) ||
		!ber_next(op, &tag, &dn) || tag != BER_OCTETS ||
		!ber_next(op, &tag, &diagnostic) || tag != BER_OCTETS) {
		dialogue_finish_(d, DIALOGUE_PROTOCOL, "a broken LDAP result");
		return;
	}
	if (id == 0) { /* RFC 4511 4.4: nobody asked for it */
		refused(d, DIALOGUE_PROTOCOL, "it disconnects", code,
			&diagnostic);
		return;
	}
	if (code != LDAP_SUCCESS) {
		/* 4.14.2: protocolError = it has no TLS, by design or as it
		 * is set up; all else = it has, but not now. */
		d->offered = code != LDAP_PROTOCOL_ERROR;
		refused(d, DIALOGUE_NO_STARTTLS,
			d->offered ? "StartTLS was refused"
				   : "StartTLS is not supported",
			code, &diagnostic);
		return;
	}
	if (!rest_is_sane(op)) {
		dialogue_finish_(d, DIALOGUE_PROTOCOL,
			"its answer is not about StartTLS");
		return;
	}
	d->offered = true;
	dialogue_finish_(d, DIALOGUE_TLS, "agreed");
}

static void take_message(struct dialogue *d)
{
	struct ber all = { .p = (const uint8_t *)d->line, .n = d->line_len };
	struct ber message, op;
	uint8_t tag;
	long id = -1;

	if (!ber_next(&all, &tag, &message) ||
		!ber_number(&message, BER_INTEGER, &id) ||
		!ber_next(&message, &tag, &op)) {
		dialogue_finish_(d, DIALOGUE_PROTOCOL, "a broken LDAP message");
		return;
	}
	if (tag != LDAP_EXTENDED_RESPONSE || id > 1) {
		dialogue_finish_(d, DIALOGUE_PROTOCOL,
			"not an answer to StartTLS: operation 0x%02x of "
			"message %ld",
			tag, id);
		return;
	}
	judge(d, id, &op);
}

void dialogue_ldap_(struct dialogue *d, char c)
{
	size_t len = 0;
	int head;

	dialogue_put_(d, c);
	if (d->verdict != DIALOGUE_MORE)
		return;
	head = ber_header((const uint8_t *)d->line, d->line_len, &len);
	if (d->line[0] != BER_SEQUENCE || head < 0)
		dialogue_finish_(d, DIALOGUE_PROTOCOL, "not an LDAP message");
	else if (head > 0 && len > DIALOGUE_LINE_MAX - (size_t)head)
		dialogue_finish_(d, DIALOGUE_PROTOCOL,
			"an LDAP message of %zu octets", len);
	else if (head > 0 && d->line_len == (size_t)head + len)
		take_message(d);
}

/* LDAPMessage 1, ExtendedRequest [APPLICATION 23], requestName [0]. */
void dialogue_ldap_begin_(struct dialogue *d)
{
	const int oid = (int)strlen(START_TLS);

	dialogue_say_(d, DIALOGUE_GREETING, "%c%c%c%c\001%c%c%c%c" START_TLS,
		BER_SEQUENCE, oid + 7, BER_INTEGER, 1, 0x77, oid + 2, 0x80,
		oid);
}
