/*
 * What a bounce or a log line of a sending server says, as values. Pure: text
 * in, values out; nothing from the text is trusted. (dane.md S2, S80, B-34)
 */
#ifndef DANELAW_CHECK_EXPLAIN_H
#define DANELAW_CHECK_EXPLAIN_H

#include "hook/check/code.h"
#include "hook/dns/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLAIN_TEXT_MAX ((size_t)256 << 10) /* a whole bounce */

enum explain_mta {
	EXPLAIN_UNKNOWN,
	EXPLAIN_EXCHANGE,
	EXPLAIN_POSTFIX,
	EXPLAIN_EXIM,
	EXPLAIN_POWERMTA
};
const char *explain_mta_name(enum explain_mta m);

struct explained {
	enum explain_mta mta;
	bool understood;     /* something about DANE, DNSSEC or TLS was found */
	bool success;	     /* it says that all is well (PowerMTA: match) */
	bool temporary;	     /* 4.x.x, deferred: the sender will try again */
	char status[16];     /* "5.7.323", "4.7.5"; "" */
	enum check_code code; /* what it most likely is; CODE_NONE */
	char domain[DNS_NAME_MAX]; /* recipient's; canonical, "" */
	char host[DNS_NAME_MAX];   /* MX host, canonical, "" */
	char ip[64];		   /* "" */
	uint16_t port;		   /* 0: not said */
	char phrase[256]; /* the words that it was recognised by, printable */
	const char *meaning; /* static: what it means, for people */
	const char *next;    /* static: what to do */
};

/* The first line (or folded bounce paragraph) that is understood wins, a
 * failure before a success; else the one with the most in it. What it does not
 * name is taken from the other fields of the same bounce, or from later lines
 * about the same delivery. Text beyond EXPLAIN_TEXT_MAX is not looked at;
 * meaning and next are never NULL. */
void explain_parse(const char *text, size_t len, struct explained *ret);
/* Temporary or permanent, and what the sender does next; "" when that cannot
 * be said. Static. (dane.md S14) */
const char *explain_retry(const struct explained *e);

#endif
