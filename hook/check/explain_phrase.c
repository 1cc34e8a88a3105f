/*
 * The phrases that sending servers use, and what each one is. The texts are
 * what Postfix 3.4 to 3.10, Exim 4.92 to 4.98, Exchange Online and PowerMTA 5
 * write; a phrase of no particular server has EXPLAIN_UNKNOWN. In one unit the
 * weightiest phrase counts, of equals the first: a line that says "handshake
 * failed" and "certificate has expired" is about the certificate.
 * Invariant: phrases begin at the start of a word, so a unit is scanned once
 * and each word compared with the table once. (dane.md B-34, S19..S25)
 */
#include "hook/check/explain_impl.h"

#include <string.h>

#define ALSO_MAX 400 /* how far behind a phrase its other half may stand */

#define EXCHANGE(code, topic)                                              \
	{ "4.7." code, NULL, EXPLAIN_EXCHANGE, topic, WEIGHT_STRONG,       \
		TAIL_NONE, true },                                         \
	{                                                                  \
		"5.7." code, NULL, EXPLAIN_EXCHANGE, topic, WEIGHT_STRONG, \
			TAIL_NONE, false                                   \
	}
#define EXCHANGE_WORD(word, topic)                                            \
	{                                                                     \
		word, NULL, EXPLAIN_EXCHANGE, topic, WEIGHT_PLAIN, TAIL_NONE, \
			false                                                 \
	}
#define POSTFIX(text, also, topic, weight, tail)                       \
	{                                                              \
		text, also, EXPLAIN_POSTFIX, topic, weight, tail, true \
	}
#define EXIM(text, also, topic, weight, tail, temporary)                 \
	{                                                                \
		text, also, EXPLAIN_EXIM, topic, weight, tail, temporary \
	}
#define POWERMTA(text, topic, weight, temporary)                        \
	{                                                               \
		text, NULL, EXPLAIN_POWERMTA, topic, weight, TAIL_NONE, \
			temporary                                       \
	}
#define ANY(text, topic, tail)                                              \
	{                                                                   \
		text, NULL, EXPLAIN_UNKNOWN, topic, WEIGHT_WEAK, tail, true \
	}

/* A phrase with "also" stands before the same one without. */
static const struct phrase phrases[] = {
	EXCHANGE("321", TOPIC_STARTTLS_MISSING),
	EXCHANGE("322", TOPIC_EXPIRED),
	EXCHANGE("323", TOPIC_MISMATCH),
	EXCHANGE("324", TOPIC_DNSSEC),
	EXCHANGE("325", TOPIC_NAME),
	{ "4.4.312", NULL, EXPLAIN_EXCHANGE, TOPIC_DNS, WEIGHT_STRONG,
		TAIL_NONE, true },
	{ "5.4.312", NULL, EXPLAIN_EXCHANGE, TOPIC_DNS, WEIGHT_STRONG,
		TAIL_NONE, false },
	EXCHANGE_WORD("starttls-not-supported:", TOPIC_STARTTLS_MISSING),
	EXCHANGE_WORD("certificate-expired:", TOPIC_EXPIRED),
	EXCHANGE_WORD("tlsa-invalid:", TOPIC_MISMATCH),
	EXCHANGE_WORD("dnssec-invalid:", TOPIC_DNSSEC),
	EXCHANGE_WORD("certificate-host-mismatch:", TOPIC_NAME),
	EXCHANGE_WORD("failed mta-sts validation", TOPIC_MTA_STS),

	POSTFIX("server certificate not verified", NULL, TOPIC_MISMATCH,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("server certificate not trusted", NULL, TOPIC_MISMATCH,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("tlsa lookup error for", NULL, TOPIC_TLSA_FAILED, WEIGHT_PLAIN,
		TAIL_HOST),
	POSTFIX("dane tlsa lookup problem", NULL, TOPIC_TLSA_FAILED,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("dnssec status lookup error for", NULL, TOPIC_ADDR_FAILED,
		WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("non dnssec destination", NULL, TOPIC_MX_INSECURE, WEIGHT_PLAIN,
		TAIL_NONE),
	POSTFIX("verification not possible, mx rrset is insecure", NULL,
		TOPIC_MX_INSECURE, WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("tlsa rrs found, mx rrset insecure", NULL, TOPIC_MX_INSECURE,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("no tlsa records found", NULL, TOPIC_NO_TLSA, WEIGHT_PLAIN,
		TAIL_NONE),
	POSTFIX("no usable tlsa records found", NULL, TOPIC_UNUSABLE,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("tlsa records unusable", NULL, TOPIC_UNUSABLE, WEIGHT_PLAIN,
		TAIL_NONE),
	POSTFIX("unusable tlsa rr", NULL, TOPIC_RR_UNUSABLE, WEIGHT_WEAK,
		TAIL_NONE),
	POSTFIX("tls is required, but was not offered by host", NULL,
		TOPIC_STARTTLS_MISSING, WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("tls is required, but our tls engine is unavailable", NULL,
		TOPIC_SENDER, WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("tls is required, but host", "refused to start tls",
		TOPIC_STARTTLS_REFUSED, WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("cannot start tls: handshake failure", NULL, TOPIC_HANDSHAKE,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("ssl_connect error to", NULL, TOPIC_HANDSHAKE, WEIGHT_PLAIN,
		TAIL_HOST),
	POSTFIX("lost connection with", "while receiving the starttls response",
		TOPIC_STARTTLS_REFUSED, WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("lost connection with", "while performing the tls handshake",
		TOPIC_HANDSHAKE, WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("conversation with",
		"timed out while receiving the starttls response",
		TOPIC_TIMEOUT, WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("conversation with", "timed out while performing the tls",
		TOPIC_TIMEOUT, WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("certificate verification failed for",
		"certificate has expired", TOPIC_EXPIRED, WEIGHT_PLAIN,
		TAIL_HOST),
	POSTFIX("certificate verification failed for",
		"certificate not yet valid", TOPIC_NOT_YET, WEIGHT_PLAIN,
		TAIL_HOST),
	POSTFIX("certificate verification failed for", "mismatch", TOPIC_NAME,
		WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("certificate verification failed for", NULL, TOPIC_MISMATCH,
		WEIGHT_PLAIN, TAIL_HOST),
	POSTFIX("client tls configuration problem", NULL, TOPIC_SENDER,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("tls policy lookup error for", NULL, TOPIC_SENDER, WEIGHT_PLAIN,
		TAIL_NONE),
	POSTFIX("configured with dnssec lookups disabled", NULL, TOPIC_SENDER,
		WEIGHT_PLAIN, TAIL_NONE),
	POSTFIX("name service error for name=_", "type=tlsa", TOPIC_TLSA_FAILED,
		WEIGHT_WEAK, TAIL_NONE),
	POSTFIX("name service error for name=", "type=mx", TOPIC_DNS,
		WEIGHT_WEAK, TAIL_DOMAIN),
	POSTFIX("name service error for name=", "type=a", TOPIC_ADDR_FAILED,
		WEIGHT_WEAK, TAIL_HOST),
	POSTFIX("verified tls connection established to", NULL, TOPIC_MATCHED,
		WEIGHT_MATCHED, TAIL_HOST),
	POSTFIX("matched dane", "at depth", TOPIC_MATCHED, WEIGHT_MATCHED,
		TAIL_NONE),
	POSTFIX("trusted tls connection established to", NULL, TOPIC_ENCRYPTED,
		WEIGHT_ENCRYPTED, TAIL_HOST),
	POSTFIX("untrusted tls connection established to", NULL,
		TOPIC_ENCRYPTED, WEIGHT_ENCRYPTED, TAIL_HOST),
	POSTFIX("anonymous tls connection established to", NULL,
		TOPIC_ENCRYPTED, WEIGHT_ENCRYPTED, TAIL_HOST),

	EXIM("dane error: tlsa lookup defer", NULL, TOPIC_TLSA_FAILED,
		WEIGHT_PLAIN, TAIL_NONE, true),
	EXIM("dane error: tlsa lookup fail", NULL, TOPIC_NO_TLSA, WEIGHT_PLAIN,
		TAIL_NONE, false),
	EXIM("dane error: tlsa lookup for", "not dnssec", TOPIC_TLSA_INSECURE,
		WEIGHT_PLAIN, TAIL_HOST, true),
	EXIM("dane error: tlsa lookup", NULL, TOPIC_TLSA_FAILED, WEIGHT_WEAK,
		TAIL_NONE, true),
	EXIM("dane error:", "lookup not dnssec", TOPIC_ADDR_INSECURE,
		WEIGHT_PLAIN, TAIL_HOST, false),
	EXIM("dane attempt failed; tls connection to", "expired", TOPIC_EXPIRED,
		WEIGHT_PLAIN, TAIL_HOST, true),
	EXIM("dane attempt failed; tls connection to", "verif", TOPIC_MISMATCH,
		WEIGHT_PLAIN, TAIL_HOST, true),
	EXIM("dane attempt failed; tls connection to", "timed out",
		TOPIC_TIMEOUT, WEIGHT_PLAIN, TAIL_HOST, true),
	EXIM("dane attempt failed; tls connection to", NULL, TOPIC_HANDSHAKE,
		WEIGHT_PLAIN, TAIL_HOST, true),
	EXIM("dane attempt failed; trying ca-root tls to", NULL, TOPIC_MISMATCH,
		WEIGHT_PLAIN, TAIL_HOST, true),
	EXIM("dane required", NULL, TOPIC_NO_TLSA, WEIGHT_WEAK, TAIL_NONE,
		true),
	EXIM("tls session: (certificate verification failed)", "expired",
		TOPIC_EXPIRED, WEIGHT_PLAIN, TAIL_NONE, true),
	EXIM("tls session: (certificate verification failed)", NULL,
		TOPIC_MISMATCH, WEIGHT_PLAIN, TAIL_NONE, true),
	EXIM("tls session: (", "certificate verify failed", TOPIC_MISMATCH,
		WEIGHT_PLAIN, TAIL_NONE, true),
	EXIM("tls session: (", "timed out", TOPIC_TIMEOUT, WEIGHT_PLAIN,
		TAIL_NONE, true),
	EXIM("tls session: (", NULL, TOPIC_HANDSHAKE, WEIGHT_PLAIN, TAIL_NONE,
		true),
	EXIM("a tls session is required, but the server did not offer", NULL,
		TOPIC_STARTTLS_MISSING, WEIGHT_PLAIN, TAIL_NONE, true),
	EXIM("a tls session is required, but", NULL, TOPIC_STARTTLS_REFUSED,
		WEIGHT_PLAIN, TAIL_NONE, true),
	EXIM("ssl verify error: certificate name mismatch", NULL, TOPIC_NAME,
		WEIGHT_WEAK, TAIL_NONE, true),
	EXIM("ssl verify error: depth=", "expired", TOPIC_EXPIRED, WEIGHT_WEAK,
		TAIL_NONE, true),
	EXIM("ssl verify error: depth=", NULL, TOPIC_UNTRUSTED, WEIGHT_WEAK,
		TAIL_NONE, true),
	EXIM("tls certificate verification failed: cert name mismatch", NULL,
		TOPIC_NAME, WEIGHT_WEAK, TAIL_NONE, true),
	EXIM("tls certificate verification failed", NULL, TOPIC_UNTRUSTED,
		WEIGHT_WEAK, TAIL_NONE, true),
	EXIM("cv=dane", NULL, TOPIC_MATCHED, WEIGHT_MATCHED, TAIL_NONE, false),
	EXIM("cv=yes", NULL, TOPIC_ENCRYPTED, WEIGHT_ENCRYPTED, TAIL_NONE,
		false),
	EXIM("cv=no", NULL, TOPIC_ENCRYPTED, WEIGHT_ENCRYPTED, TAIL_NONE,
		false),

	POWERMTA("tls: dane match:", TOPIC_MATCHED, WEIGHT_MATCHED, false),
	POWERMTA("tls: dane mismatch", TOPIC_MISMATCH, WEIGHT_PLAIN, true),
	POWERMTA("tls: dane no match", TOPIC_MISMATCH, WEIGHT_PLAIN, true),
	POWERMTA("tls: no dane match", TOPIC_MISMATCH, WEIGHT_PLAIN, true),
	POWERMTA("tls: dane fail", TOPIC_MISMATCH, WEIGHT_PLAIN, true),
	POWERMTA("tls: dane verif", TOPIC_MISMATCH, WEIGHT_PLAIN, true),

	ANY("dane mismatch", TOPIC_MISMATCH, TAIL_NONE),
	ANY("no dane match", TOPIC_MISMATCH, TAIL_NONE),
	ANY("failed dane validation", TOPIC_MISMATCH, TAIL_NONE),
	ANY("dane validation fail", TOPIC_MISMATCH, TAIL_NONE),
	ANY("dane verification fail", TOPIC_MISMATCH, TAIL_NONE),
	ANY("dane verify fail", TOPIC_MISMATCH, TAIL_NONE),
	ANY("dane authentication fail", TOPIC_MISMATCH, TAIL_NONE),
	ANY("dane failed", TOPIC_MISMATCH, TAIL_NONE),
	ANY("dane failure", TOPIC_MISMATCH, TAIL_NONE),
	ANY("no matching dane tlsa record", TOPIC_MISMATCH, TAIL_NONE),
	ANY("no matching tlsa record", TOPIC_MISMATCH, TAIL_NONE),
	ANY("tlsa mismatch", TOPIC_MISMATCH, TAIL_NONE),
	ANY("tlsa record mismatch", TOPIC_MISMATCH, TAIL_NONE),
	ANY("tlsa lookup fail", TOPIC_TLSA_FAILED, TAIL_NONE),
	ANY("tlsa query fail", TOPIC_TLSA_FAILED, TAIL_NONE),
	ANY("tlsa lookup error", TOPIC_TLSA_FAILED, TAIL_NONE),
	ANY("tlsa lookup timed out", TOPIC_TLSA_FAILED, TAIL_NONE),
	ANY("no tlsa rr for", TOPIC_NO_TLSA, TAIL_HOST),
	ANY("dnssec validation fail", TOPIC_DNSSEC, TAIL_NONE),
	ANY("dnssec bogus", TOPIC_DNSSEC, TAIL_NONE),
	ANY("starttls not offered", TOPIC_STARTTLS_MISSING, TAIL_NONE),
	ANY("starttls not supported", TOPIC_STARTTLS_MISSING, TAIL_NONE),
	ANY("does not support starttls", TOPIC_STARTTLS_MISSING, TAIL_NONE),
	ANY("did not offer starttls", TOPIC_STARTTLS_MISSING, TAIL_NONE),
};

#define N_PHRASES (sizeof(phrases) / sizeof(phrases[0]))

static bool matches(struct span unit, size_t at, const struct phrase *p)
{
	size_t end;

	if (!explain_at(unit, at, p->text))
		return false;
	end = at + strlen(p->text);
	/* "5.7.323" is not the start of 5.7.3230, nor of an address. */
	if (explain_digit(p->text[0]) && end < unit.n &&
		(explain_digit(unit.p[end]) ||
			(unit.p[end] == '.' && end + 1 < unit.n &&
				explain_digit(unit.p[end + 1]))))
		return false;
	return p->also == NULL ||
	       explain_seek(unit, end, end + ALSO_MAX, p->also) < unit.n;
}

/* What joins "_25" or "x-5" to the word behind it. */
static bool inside_word(char before)
{
	return explain_alnum(before) || before == '.' || before == '_' ||
	       before == '-' || before == '@';
}

const struct phrase *explain_phrase(struct span unit, size_t *ret_at)
{
	const struct phrase *best = NULL;

	for (size_t at = 0; at < unit.n; at++) {
		if (!explain_alnum(unit.p[at]) ||
			(at > 0 && inside_word(unit.p[at - 1])))
			continue;
		for (size_t k = 0; k < N_PHRASES; k++) {
			if (best != NULL && phrases[k].weight <= best->weight)
				continue;
			if (phrases[k].text[0] != explain_lower(unit.p[at]) ||
				!matches(unit, at, &phrases[k]))
				continue;
			best = &phrases[k];
			*ret_at = at;
		}
	}
	return best;
}
