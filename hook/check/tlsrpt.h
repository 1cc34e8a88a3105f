/*
 * TLS-RPT reports: what senders say of their TLS sessions with us (RFC 8460 4;
 * dane.md B-30..B-33). Reading is streamed and bounded; a report counts whole
 * or not at all. Nothing here prints, nothing here knows the state: our own
 * rollovers and keys come in as plain lists.
 *
 * What is forgiven: unknown fields, unknown result types, null for an optional
 * field, a missing summary (then the details are added up), a missing
 * failed-session-count (1), a missing report-id (then it cannot be recognised
 * a second time). What is an error: anything that is not JSON, wrong types,
 * dates that are none, counts that are negative, fractional or above 10^12, a
 * missing date-range, policies, policy or policy-domain.
 *
 * --json, version 1. Times are "2026-11-21T00:00:00Z"; counts are sessions;
 * names and result types are ASCII, other text may hold \u escapes. Fields may
 * be added within version 1.
 *
 *   version        1
 *   sessions_ok, sessions_failed    over all that was read
 *   reports[]      in the order of reading: file, sender, contact, id, begin,
 *                  end, sessions_ok, sessions_failed; sender and contact may
 *                  be "", id is null when the report has none
 *   duplicates[]   not counted: file, sender, id, first_file
 *   errors[]       inputs that were not read: file, error
 *   domains[]      worst first:
 *     domain, sessions_ok, sessions_failed, begin, end, reports
 *     senders[]    worst first: sender, policy_type, sessions_ok,
 *                  sessions_failed, reports, and
 *       failures[] worst first: result_type (null: the sender gave no
 *                  details; "(no type)": details without one), mx (null: not
 * said), count, reason (null: not said; else one example), rollover (null, or
 * lineage, kind, at: of ours, not more than 48 hours before) keys[]       3 1 1
 * records that senders saw: spki, role ("current", "next", "previous",
 * "candidate", "retired", "unknown"), lineage (null: unknown), reports, last
 * (end of the latest report) result_types[] worst first: type, count, meaning,
 * command (null: danelaw has none for it) rollovers_known  false: no
 * configuration or state could be read, so that every rollover and lineage is
 * null
 */
#ifndef DANELAW_CHECK_TLSRPT_H
#define DANELAW_CHECK_TLSRPT_H

#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/base/spki.h"
#include "hook/dns/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLSRPT_JSON_VERSION 1
#define TLSRPT_INPUT_MAX ((uint64_t)128 << 20)   /* one input, as it is */
#define TLSRPT_INFLATED_MAX ((uint64_t)64 << 20) /* what gzip unpacks */
#define TLSRPT_VALUE_MAX                              \
	((size_t)256 << 10) /* one JSON value that is \
			       kept whole */
#define TLSRPT_COUNT_MAX INT64_C(1000000000000)
#define TLSRPT_ROWS_MAX 200000 /* policies and kinds of failure, all inputs */
#define TLSRPT_REPORTS_MAX 100000
#define TLSRPT_ERRORS_MAX 1000
#define TLSRPT_KEYS_MAX 64 /* of one policy */
#define TLSRPT_HOSTS_MAX 64
#define TLSRPT_ALL_HOSTS_MAX 20000 /* of one report; more are not kept */
#define TLSRPT_TYPE_MAX 64
#define TLSRPT_TEXT_MAX 256
#define TLSRPT_OUT_MAX ((size_t)256 << 20)
#define TLSRPT_WINDOW_S (48 * 3600) /* a rollover explains failures so long */
/* Our history notes a switch after it was verified: that much earlier it may
 * have begun. */
#define TLSRPT_SLACK_S 300

/* ---- what was read ---- */

/* Sessions of one policy that failed in the same way at the same MX. */
struct tlsrpt_row {
	char *type;   /* sanitised, lower case */
	char *mx;     /* lower case, no final dot; "[ip]"; "" not said */
	char *reason; /* first one given, UTF-8; "" */
	int64_t count;
};

struct tlsrpt_policy {
	char type[TLSRPT_TYPE_MAX]; /* "tlsa", "sts" ...; sanitised */
	char domain[DNS_NAME_MAX];  /* lower case, no final dot */
	char **host; /* mx-host, each and the array owned; the first ones */
	size_t n_hosts;
	struct spki *key; /* of "3 1 1" policy strings; owned */
	size_t n_keys;
	int64_t ok, failed;     /* failed: never less than the details say */
	struct tlsrpt_row *row; /* owned */
	size_t n_rows;
};

struct tlsrpt_report {
	char *file;
	char *org, *contact, *id; /* UTF-8, "" when missing */
	int64_t begin_s, end_s;
	struct tlsrpt_policy *policy; /* owned */
	size_t n_policies;
};

/* An input that was refused, or a report that was there already. */
struct tlsrpt_note {
	char *file;
	char *text;                        /* errors */
	const struct tlsrpt_report *first; /* duplicates; borrowed */
};

struct tlsrpt_set {
	struct tlsrpt_report **report; /* owned, each and the array */
	size_t n_reports, cap_reports;
	struct tlsrpt_note *duplicate, *bad; /* owned */
	size_t n_duplicates, n_bad;
	size_t n_rows;
	void *index; /* by sender and id */
};

#define TLSRPT_SET_INIT        \
	{                      \
		.n_reports = 0 \
	}

/* Adds all reports of one input: JSON, gzip, or a mail or mbox that has them
 * attached; told apart by content, name is for messages only. What is wrong
 * with the input goes to set->bad; the status fails only for memory. fd is not
 * closed. */
enum status tlsrpt_read_fd(
	struct tlsrpt_set *set, const char *name, int fd, struct err *err);
enum status tlsrpt_read_mem(struct tlsrpt_set *set, const char *name,
	const void *data, size_t len, struct err *err);
/* An input that could not be opened. */
enum status tlsrpt_bad(struct tlsrpt_set *set, const char *name,
	const char *text, struct err *err);
void tlsrpt_set_release(struct tlsrpt_set *set);

/* RFC 3339; false for anything else, and before 1970. */
bool tlsrpt_date(const char *text, int64_t *ret_s);

/* ---- what we know ourselves ---- */

struct tlsrpt_rollover {
	char lineage[256];
	const char *kind; /* "rollover", "roll-back" ...; static */
	int64_t at_s;
	const char (*host)[DNS_NAME_MAX]; /* borrowed; canonical or bare */
	size_t n_hosts;
};

struct tlsrpt_key {
	struct spki spki;
	char lineage[256];
	char role[16];
};

struct tlsrpt_known {
	bool any; /* configuration and state were read */
	const struct tlsrpt_rollover *rollover;
	size_t n_rollovers;
	const struct tlsrpt_key *key;
	size_t n_keys;
};

/* The rollover that may explain a failure at one of these hosts within
 * [begin, end]: the latest "rollover", else the latest of another kind; NULL
 * when there is none. */
const struct tlsrpt_rollover *tlsrpt_mark(const struct tlsrpt_known *known,
	const char *const hosts[], size_t n, int64_t begin_s, int64_t end_s);

/* ---- totals; all text is borrowed from the set ---- */

struct tlsrpt_failure {
	const char *type; /* "": no details were given */
	const char *mx, *reason;
	int64_t count;
	const struct tlsrpt_rollover *mark; /* NULL */
};

struct tlsrpt_sender {
	const char *org, *policy_type;
	int64_t ok, failed;
	size_t reports;
	struct tlsrpt_failure *failure; /* owned */
	size_t n_failures;
};

struct tlsrpt_seen {
	struct spki spki;
	const struct tlsrpt_key *key; /* NULL: none of ours */
	size_t reports;
	int64_t last_s;
};

struct tlsrpt_domain {
	const char *domain;
	int64_t ok, failed, begin_s, end_s;
	size_t reports;
	struct tlsrpt_sender *sender; /* owned */
	size_t n_senders;
	struct tlsrpt_seen *seen; /* owned */
	size_t n_seen;
};

/* One result type over all domains, and where it is worst. */
struct tlsrpt_type {
	const char *type, *domain, *mx;
	int64_t count;
};

struct tlsrpt_totals {
	int64_t ok, failed;
	struct tlsrpt_domain *domain; /* owned */
	size_t n_domains;
	struct tlsrpt_type *type; /* owned */
	size_t n_types;
};

enum status tlsrpt_total(const struct tlsrpt_set *set,
	const struct tlsrpt_known *known, struct tlsrpt_totals *ret,
	struct err *err);
void tlsrpt_totals_release(struct tlsrpt_totals *t);

/* For people: at most 100 columns. set->bad is only counted. */
enum status tlsrpt_text(const struct tlsrpt_set *set,
	const struct tlsrpt_known *known, const struct tlsrpt_totals *t,
	struct buf *ret, struct err *err);
enum status tlsrpt_json(const struct tlsrpt_set *set,
	const struct tlsrpt_known *known, const struct tlsrpt_totals *t,
	struct buf *ret, struct err *err);

/* What a result type means; static, never NULL. */
const char *tlsrpt_advice(const char *type);
/* The command that looks at where a type is worst, ready to paste; false when
 * danelaw has none for it (MTA-STS) or the report named no sane host. */
bool tlsrpt_command(const struct tlsrpt_type *t, char *ret, size_t len);

#endif
