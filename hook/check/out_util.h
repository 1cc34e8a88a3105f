/*
 * What the renderers share: a writer through which no text from outside can
 * forge a line, and the few facts that more than one of them shows.
 */
#ifndef DANELAW_CHECK_OUT_UTIL_H
#define DANELAW_CHECK_OUT_UTIL_H

#include "hook/base/clock.h"
#include "hook/check/out.h"

#define OUT_COLUMNS 100
#define OUT_LABEL_MAX (DNS_NAME_MAX + 8)

/* Remembers the first failure; whoever made it returns st. */
struct out {
	struct buf *buf; /* borrowed */
	struct err *err;
	enum status st;
	size_t col; /* of the line that is being written */
};

/* Whatever is not printable ASCII becomes '?', a line feed, too: only
 * out_nl() ends a line. */
void out_put(struct out *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void out_nl(struct out *o);
/* Blanks up to that column; one at least if there is text in the line. */
void out_pad(struct out *o, size_t col);
/* From the present column on; breaks between words before OUT_COLUMNS (inside
 * a word that is longer than a line), and goes on at the indent. */
void out_wrap(struct out *o, size_t indent, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Constants such as colours: not cleaned, no columns. */
void out_verbatim(struct out *o, const char *text);

/* Printable ASCII, cut to fit. Return ret. */
char *out_clean(const char *text, char *ret, size_t len);
/* At most width characters, ".." for what is left out of the middle. ret holds
 * width + 1. */
char *out_cut(const char *text, size_t width, char *ret);
/* A name without the final dot. */
char *out_bare(const char *name, char ret[static DNS_NAME_MAX]);
/* "2026-11-21T20:00:00Z" of s since 1970; "-" for 0. */
char *out_time(int64_t s, char ret[static CLOCK_TEXT_MAX]);
void out_hex(const uint8_t *data, size_t len, char *ret); /* ret: 2 * len + 1 */

/* "example.test", "mx1.example.test:465", a lineage's name. */
char *out_label(const struct check *c, char ret[static OUT_LABEL_MAX]);
/* Without the final dot, once it was looked up. */
const char *out_host(const struct check_host *h);
const char *out_kind_name(enum check_kind k);       /* "domain" ... */
const char *out_profile_name(enum check_profile p); /* "rfc" ... */
const char *out_dane_name(enum host_dane d);        /* "tlsa" ... */
const char *out_sig_name(enum codec_sig s);         /* "ok" ... */
const char *out_ds_name(enum survey_ds d);          /* "ok" ... */
/* "data", "nodata", "nxdomain"; NULL when the answer cannot be trusted. */
const char *out_presence(const struct lookup *l);
/* RDATA for people, as in a zone file; appended to the line. */
enum status out_rdata(uint16_t type, const struct rdata *rd, struct buf *ret,
	struct err *err);

/* What a verdict means for mail. (dane.md S36) */
struct out_meaning {
	const char *what;
	const char *opportunistic; /* a sender that uses DANE where it is */
	const char *mandatory;     /* one that insists on it */
};
const struct out_meaning *out_meaning(const struct check *c);

/* Which zones of the survey hold a name that the check looked at: an entry for
 * each, owned (free); NULL without a survey, or when memory ran out (o->st). */
bool *out_zones(struct out *o, const struct check *c);
/* Which questions of the survey were asked for this check; owned, NULL as
 * above. A survey may be shared by hundreds of checks. */
bool *out_questions(struct out *o, const struct check *c);
/* The earliest end of a signature that the check relied on; used from
 * out_zones. zone: only there (canonical), NULL: anywhere. 0: none. */
int64_t out_rrsig_end(
	const struct check *c, const bool *used, const char *zone);
/* Did any connection show a certificate? Else records were not compared. */
bool out_seen(const struct check_host *h);
/* The earliest end of a served certificate of the host; 0: none. alg
 * PROBE_ANY: of any key. */
int64_t out_cert_end(const struct check_host *h, enum probe_alg alg);
/* Of what algorithm the served key is; PROBE_ANY: of another one. */
enum probe_alg out_served_alg(const struct check_conn *k);

/* The n-th look-up that the check relied on; NULL behind the last one. */
const struct lookup *out_lookup(const struct check *c, size_t n);

/* out_table.c: MX x address x algorithm. */
void out_table(struct out *o, const struct check *c);
/* out_trace.c: one look-up, one line. */
void out_query(struct out *o, const struct lookup *l);

#endif
