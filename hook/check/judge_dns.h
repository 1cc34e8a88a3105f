/*
 * The survey's answers, put in order for one check: shared by judge_dns.c (each
 * server by itself) and judge_zone.c (servers against each other, zones).
 * Nobody else includes it.
 */
#ifndef DANELAW_CHECK_JUDGE_DNS_H
#define DANELAW_CHECK_JUDGE_DNS_H

#include "hook/check/judge.h"

#define VIZ "https://dnsviz.net/d/%.253s/dnssec/"

/* What one server says to one question. */
struct view {
	size_t zone, server, question;    /* SIZE_MAX: the SOA */
	const struct survey_answer *a[2]; /* UDP, TCP; NULL: not asked */
};

struct dns {
	struct check *c;
	const struct survey *s;
	struct view *view; /* by zone, server, question */
	size_t n;
	bool broken;
	struct err *err;
};

/* Equal, and not empty. */
bool view_is(const char *name, const char *other);
const struct auth_server *view_server(
	const struct dns *d, const struct view *v);
const char *view_name(const struct dns *d, const struct view *v);
uint16_t view_type(const struct dns *d, const struct view *v);
/* Append: a name without the final dot; "ns1.example [192.0.2.1]"; "NAME TYPE".
 */
void view_add_name(char *ret, size_t len, const char *name);
void view_add_server(char *ret, size_t len, const struct auth_server *s);
void view_add_question(
	char *ret, size_t len, const struct dns *d, const struct view *v);
bool view_is_good(const struct survey_answer *a); /* NULL is not */
/* check_find; of an unsigned zone nothing is worse than a warning. NULL: out
 * of memory. */
struct finding *view_find(struct dns *d, enum check_code code,
	enum finding_level level, size_t zone);

/* judge_zone.c */
enum status judge_zone(struct dns *d, size_t zone);
enum status judge_agreement(struct dns *d);
/* Of the look-ups alone, when there is no survey. */
enum status judge_windows(struct check *c, struct err *err);

#endif
