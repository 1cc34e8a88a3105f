/*
 * What the parts of the judge share; nobody else includes it. Pure: values in,
 * values out, no clock but check.now_s. Each part may add findings, and only
 * judge.c writes verdicts.
 */
#ifndef DANELAW_CHECK_JUDGE_H
#define DANELAW_CHECK_JUDGE_H

#include "hook/check/check.h"

/* printf into a field of a finding; what is not printable ASCII becomes '?',
 * since names and replies are somebody else's text. */
void judge_say(char *ret, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Appends in the same way behind what is there. */
void judge_add(char *ret, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define SAY(field, ...) judge_say((field), sizeof(field), __VA_ARGS__)
#define ADD(field, ...) judge_add((field), sizeof(field), __VA_ARGS__)

/* judge.c */
/* Of a domain from its hosts', of a lineage from its endpoints'. */
enum check_verdict judge_rollup(const enum check_verdict v[], size_t n);
/* Has it at least one record that a client can use? */
bool judge_has_usable(const struct check_host *h);
/* "mx1.example.test:25" */
void judge_endpoint(char *ret, size_t len, const struct check_host *h);

/* judge_rrset.c */
/* Where in the chain on the wire this record matches, whatever a client would
 * make of it: 0 for the leaf (usages 1 and 3), 1.. for an issuer (0 and 2), -1
 * nowhere. */
int judge_rr_depth(const struct tlsa *rr, const struct probe_job *job);
/* Does a stronger digest in its RRset make clients ignore it? (RFC 7671 9) */
bool judge_rr_hidden(const struct tlsa_rrset *set, const struct tlsa *rr);
/* Makes and fills h->record. Before the connections are judged. */
enum status judge_records(
	struct check *c, struct check_host *h, struct err *err);
enum status judge_rrset(struct check *c, int host, struct err *err);
/* judge_scheme.c: current+next, current+issuer, none, per key algorithm. */
enum status judge_scheme(struct check *c, int host, struct err *err);
enum status judge_shared_keys(struct check *c, struct err *err);

/* judge_conn.c */
/* State and code of each connection. */
void judge_states(const struct check *c, struct check_host *h);
enum status judge_conns(struct check *c, int host, struct err *err);

/* judge_lookup.c; mixed: some other host of the domain has DANE */
enum status judge_domain(struct check *c, struct err *err);
enum status judge_host_lookups(
	struct check *c, int host, bool mixed, struct err *err);

/* judge_dns.c: the name servers. *ret_broken: some sender cannot rely on
 * them. */
enum status judge_servers(struct check *c, bool *ret_broken, struct err *err);

/* It has no address, and others of the domain have. */
bool judge_is_passed_over(const struct check *c, const struct check_host *h);

#endif
