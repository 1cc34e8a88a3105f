/* Between the parts of explain; nobody else includes it. */
#ifndef DANELAW_CHECK_EXPLAIN_IMPL_H
#define DANELAW_CHECK_EXPLAIN_IMPL_H

#include "hook/check/explain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What explain_clean leaves of octets above 0x7f: a letter (a name that holds
 * one is none of ours) or something that separates, as blanks do. */
#define EXPLAIN_LETTER '\001'
#define EXPLAIN_BREAK '\002'

/* Not NUL-terminated; borrowed. */
struct span {
	const char *p;
	size_t n;
};

static inline bool explain_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool explain_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       explain_digit(c) || c == EXPLAIN_LETTER;
}

/* tolower() would follow the locale. */
static inline char explain_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* explain_text.c. ret holds len + 1 octets. Returns the length of the clean
 * text: units (a line of a log; a paragraph of a bounce, unfolded) that end in
 * '\n', printable ASCII and the two marks above, blanks single. */
size_t explain_clean(const char *text, size_t len, char *ret);
/* True when the unit looks like a line of a log. */
bool explain_is_log(struct span unit);
/* True when lit (lower case) stands at offset at, whatever its case. */
bool explain_at(struct span s, size_t at, const char *lit);
/* Offset of lit (lower case) at or after from and before to, s.n when it is
 * not there. */
size_t explain_seek(struct span s, size_t from, size_t to, const char *lit);

/* What a phrase says: a row of meanings. */
enum topic {
	TOPIC_NONE,
	TOPIC_STARTTLS_MISSING,
	TOPIC_STARTTLS_REFUSED,
	TOPIC_HANDSHAKE,
	TOPIC_EXPIRED,
	TOPIC_NOT_YET,
	TOPIC_MISMATCH,
	TOPIC_NAME,
	TOPIC_UNTRUSTED, /* some verification failed, perhaps without DANE */
	TOPIC_DNSSEC,
	TOPIC_DNS,
	TOPIC_TLSA_FAILED,
	TOPIC_TLSA_INSECURE,
	TOPIC_ADDR_FAILED,
	TOPIC_ADDR_INSECURE,
	TOPIC_MX_INSECURE,
	TOPIC_NO_TLSA,
	TOPIC_UNUSABLE,
	TOPIC_RR_UNUSABLE,
	TOPIC_TIMEOUT,
	TOPIC_SENDER,  /* the sender's own set-up */
	TOPIC_MTA_STS, /* another policy than DANE */
	TOPIC_MATCHED,
	TOPIC_ENCRYPTED, /* TLS without DANE */
	TOPIC__COUNT
};

/* explain_words.c: code, meaning, next and success. */
void explain_topic(enum topic t, struct explained *ret);

/* explain_phrase.c */
enum phrase_weight {
	WEIGHT_ENCRYPTED, /* no failure: any failure counts for more */
	WEIGHT_MATCHED,
	WEIGHT_WEAK,
	WEIGHT_PLAIN,
	WEIGHT_STRONG
};
enum phrase_tail { TAIL_NONE, TAIL_HOST, TAIL_DOMAIN };

struct phrase {
	const char *text; /* lower case */
	const char *also; /* in what follows it; NULL */
	enum explain_mta mta;
	enum topic topic;
	enum phrase_weight weight;
	enum phrase_tail tail; /* what is named right after text */
	bool temporary;
};

/* NULL when there is none in the unit. *ret_at: offset of its text. */
const struct phrase *explain_phrase(struct span unit, size_t *ret_at);

/* explain_find.c */
struct endpoint {
	char name[DNS_NAME_MAX]; /* canonical, "" */
	char ip[64];             /* as inet_ntop writes it, "" */
	uint16_t port;           /* 0 */
};

/* "mx[192.0.2.1]:25", "mx (2001:db8::1)", "mx:25", "192.0.2.1:25" ... at
 * offset at, after blanks. False when it names nothing; *ret untouched. */
bool explain_endpoint(struct span s, size_t at, struct endpoint *ret);
/* Host, address and port into the fields of ret that are still empty. ph NULL:
 * no phrase. */
void explain_find_host(struct span unit, const struct phrase *ph, size_t at,
	struct explained *ret);
void explain_find_domain(struct span unit, const struct phrase *ph, size_t at,
	struct explained *ret);
/* "5.7.323" at or after from. */
void explain_find_status(struct span unit, size_t from, struct explained *ret);
/* What the fields of a bounce say that do not stand beside the phrase. */
void explain_find_fields(struct span doc, struct explained *ret);

#endif
