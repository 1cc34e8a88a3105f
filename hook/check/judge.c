/*
 * From facts to verdicts: the names of verdicts, the list of findings, the
 * verdict on a host and the roll-up to the domain. What the parts find is in
 * judge_*.c.
 *
 * Invariants: pure (no I/O, no clock but now_s, no globals); the verdict on a
 * domain follows from the verdicts on its hosts, the MX answer and the name
 * servers, never from a lint; what could not be tested is never a failure, and
 * a resolver that is not fit to judge never makes a verdict BOGUS.
 * (dane.md S18, S24, B-10, B-11, E45; RFC 7672 2.2)
 */
#include "hook/check/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int exit;
} verdicts[] = {
	[CHECK_OK] = { "OK", 0 },
	[CHECK_WEAK] = { "WEAK", 1 },
	[CHECK_ENCRYPT_ONLY] = { "ENCRYPT-ONLY", 1 },
	[CHECK_NO_DANE] = { "NO-DANE", 1 },
	[CHECK_INSECURE] = { "INSECURE", 1 },
	[CHECK_INCOMPLETE] = { "INCOMPLETE", 4 },
	[CHECK_DEGRADED] = { "DEGRADED", 1 },
	[CHECK_BOGUS] = { "BOGUS", 3 },
	[CHECK_BLOCKED] = { "BLOCKED", 3 },
};
_Static_assert(sizeof(verdicts) / sizeof(verdicts[0]) == CHECK__COUNT,
	"one row per enum check_verdict");

const char *check_verdict_name(enum check_verdict v)
{
	return (unsigned)v < CHECK__COUNT ? verdicts[v].name : "unknown";
}

int check_verdict_exit(enum check_verdict v)
{
	return (unsigned)v < CHECK__COUNT ? verdicts[v].exit : 4;
}

const char *conn_state_name(enum conn_state s)
{
	static const char *const names[] = {
		[CONN_UNTESTED] = "untested",
		[CONN_OK] = "ok",
		[CONN_ENCRYPTED] = "encrypted",
		[CONN_ABSENT] = "absent",
		[CONN_FAIL] = "fail",
	};

	return (unsigned)s <= CONN_FAIL ? names[s] : "unknown";
}

const char *finding_level_name(enum finding_level l)
{
	static const char *const names[] = {
		[FINDING_INFO] = "info",
		[FINDING_WARN] = "warn",
		[FINDING_FAIL] = "fail",
	};

	return (unsigned)l <= FINDING_FAIL ? names[l] : "unknown";
}

/* ---- text -------------------------------------------------------------- */

static void say_at(char *ret, size_t len, size_t at, const char *fmt,
	va_list ap) __attribute__((format(printf, 4, 0)));

static void say_at(
	char *ret, size_t len, size_t at, const char *fmt, va_list ap)
{
	(void)vsnprintf(ret + at, len - at, fmt, ap);
	for (char *s = ret + at; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
			*s = '?';
}

void judge_say(char *ret, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_at(ret, len, 0, fmt, ap);
	va_end(ap);
}

void judge_add(char *ret, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_at(ret, len, strnlen(ret, len - 1), fmt, ap);
	va_end(ap);
}

void judge_endpoint(char *ret, size_t len, const struct check_host *h)
{
	judge_say(ret, len, "%s:%u", h->bare[0] != '\0' ? h->bare : h->name,
		(unsigned)h->port);
}

/* ---- findings ---------------------------------------------------------- */

/* One entry more than is ever counted: what is over the limit is written
 * there, and forgotten. */
static struct finding *room(struct check *c, struct err *err)
{
	size_t cap = c->cap_findings;
	struct finding *grown;

	if (c->n_findings < cap)
		return &c->finding[c->n_findings];
	cap = cap == 0 ? 16 : 2 * cap;
	if (cap > CHECK_FINDINGS_MAX + 1)
		cap = CHECK_FINDINGS_MAX + 1;
	grown = reallocarray(c->finding, cap, sizeof(*grown));
	if (grown == NULL) {
		(void)err_set(err, ST_NOMEM, "out of memory");
		return NULL;
	}
	c->finding = grown;
	c->cap_findings = cap;
	return &c->finding[c->n_findings];
}

static bool is_overflow(const struct check *c)
{
	return c->n_findings == CHECK_FINDINGS_MAX &&
	       c->finding[CHECK_FINDINGS_MAX - 1].code == CODE_TRUNCATED;
}

struct finding *check_find(struct check *c, enum check_code code,
	enum finding_level level, int host, struct err *err)
{
	struct finding *f = room(c, err);

	if (f == NULL)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->code = code;
	f->level = level;
	f->host = host;
	if (c->n_findings < CHECK_FINDINGS_MAX) {
		c->n_findings++;
		return f;
	}
	if (!is_overflow(c)) {
		struct finding *last = &c->finding[CHECK_FINDINGS_MAX - 1];

		memset(last, 0, sizeof(*last));
		last->code = CODE_TRUNCATED;
		last->level = FINDING_WARN;
		last->host = -1;
		SAY(last->text,
			"there are more findings than the %d that are "
			"shown",
			CHECK_FINDINGS_MAX);
		SAY(last->remedy, "mend these first and check again");
	}
	return f;
}

/* Worst first; else in the order in which they were found. */
static enum status sort_findings(struct check *c, struct err *err)
{
	static const enum finding_level order[] = { FINDING_FAIL, FINDING_WARN,
		FINDING_INFO };
	size_t fixed = is_overflow(c) ? 1 : 0, at = 0;
	struct finding *sorted;

	if (c->n_findings < 2)
		return ST_OK;
	sorted = calloc(c->n_findings, sizeof(*sorted));
	if (sorted == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t o = 0; o < sizeof(order) / sizeof(order[0]); o++)
		for (size_t i = 0; i < c->n_findings - fixed; i++)
			if (c->finding[i].level == order[o])
				sorted[at++] = c->finding[i];
	if (fixed > 0)
		sorted[at] = c->finding[c->n_findings - 1];
	free(c->finding);
	c->finding = sorted;
	c->cap_findings = c->n_findings;
	return ST_OK;
}

/* ---- hosts ------------------------------------------------------------- */

bool judge_has_usable(const struct check_host *h)
{
	for (size_t i = 0; i < h->rrset.n; i++)
		if (tlsa_usable(&h->rrset.rr[i], NULL))
			return true;
	return false;
}

struct tally {
	size_t ok, encrypted, fail;
	size_t untested; /* it might be the server */
	size_t no_route; /* it is us */
};

static struct tally tally(const struct check_host *h)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < h->n_conns; i++) {
		switch (h->conn[i].state) {
		case CONN_OK:
			t.ok++;
			break;
		case CONN_ENCRYPTED:
			t.encrypted++;
			break;
		case CONN_FAIL:
			t.fail++;
			break;
		case CONN_UNTESTED:
			if (h->conn[i].code == CODE_UNTESTABLE)
				t.no_route++;
			else
				t.untested++;
			break;
		case CONN_ABSENT:
			break;
		}
	}
	return t;
}

/* With TLSA records, TLS is not optional any more, usable or not. */
static enum check_verdict tlsa_verdict(const struct check_host *h)
{
	struct tally t = tally(h);
	size_t good = t.ok + t.encrypted;

	if (good == 0)
		return t.fail > 0 ? CHECK_BLOCKED : CHECK_INCOMPLETE;
	if (t.fail > 0)
		return CHECK_DEGRADED;
	if (t.untested > 0)
		return CHECK_INCOMPLETE;
	return t.ok > 0 ? CHECK_OK : CHECK_ENCRYPT_ONLY;
}

static enum check_verdict host_verdict(
	const struct check *c, const struct check_host *h)
{
	bool fit = c->resolver_fault[0] == '\0';

	switch (h->dane) {
	case HOST_TLSA:
		return tlsa_verdict(h);
	case HOST_NO_TLSA:
		return CHECK_NO_DANE;
	case HOST_INSECURE:
		return CHECK_INSECURE;
	case HOST_BOGUS:
		return fit ? CHECK_BOGUS : CHECK_INCOMPLETE;
	case HOST_TLSA_FAILED:
		return fit ? CHECK_BLOCKED : CHECK_INCOMPLETE;
	case HOST_ADDR_FAILED:
	case HOST_NO_ADDRESS:
		break;
	}
	return CHECK_INCOMPLETE;
}

/* ---- the domain -------------------------------------------------------- */

enum check_verdict judge_rollup(const enum check_verdict v[], size_t n)
{
	size_t count[CHECK__COUNT] = { 0 };
	size_t with, without;

	for (size_t i = 0; i < n; i++)
		count[v[i]]++;
	if (n == 0)
		return CHECK_INCOMPLETE;
	if (count[CHECK_BOGUS] == n)
		return CHECK_BOGUS;
	if (count[CHECK_BLOCKED] + count[CHECK_BOGUS] == n)
		return CHECK_BLOCKED;
	if (count[CHECK_BLOCKED] + count[CHECK_BOGUS] + count[CHECK_DEGRADED] >
		0)
		return CHECK_DEGRADED;
	if (count[CHECK_INCOMPLETE] > 0)
		return CHECK_INCOMPLETE;
	for (size_t i = 0; i < CHECK__COUNT; i++)
		if (count[i] == n)
			return (enum check_verdict)i;
	with = count[CHECK_OK] + count[CHECK_ENCRYPT_ONLY] + count[CHECK_WEAK];
	without = count[CHECK_NO_DANE] + count[CHECK_INSECURE];
	return with == 0 && without == n ? CHECK_NO_DANE : CHECK_WEAK;
}

/* Postfix uses the TLSA records of hosts behind an unsigned MX (its default
 * smtp_tls_dane_insecure_mx_policy), others do not. (RFC 7672 2.2.1) */
static enum check_verdict behind_insecure_mx(enum check_verdict v)
{
	switch (v) {
	case CHECK_BLOCKED:
	case CHECK_BOGUS:
	case CHECK_DEGRADED:
		return CHECK_DEGRADED;
	case CHECK_INCOMPLETE:
		return CHECK_INCOMPLETE;
	case CHECK_OK:
	case CHECK_WEAK:
	case CHECK_ENCRYPT_ONLY:
	case CHECK_NO_DANE:
	case CHECK_INSECURE:
	case CHECK__COUNT:
		break;
	}
	return CHECK_INSECURE;
}

/* Senders pass over it, and lose nothing as long as another one is there. */
bool judge_is_passed_over(const struct check *c, const struct check_host *h)
{
	if (h->dane != HOST_NO_ADDRESS)
		return false;
	for (size_t i = 0; i < c->n_hosts; i++)
		if (c->host[i].dane != HOST_NO_ADDRESS)
			return true;
	return false;
}

/* From the hosts and the MX answer; the name servers come later. */
static enum check_verdict domain_verdict(const struct check *c)
{
	enum check_verdict v[CHECK_HOSTS_MAX + 1], all;
	size_t n = 0;

	if (c->resolver_fault[0] != '\0')
		return CHECK_INCOMPLETE;
	for (size_t i = 0; i < c->n_hosts && i < CHECK_HOSTS_MAX; i++)
		if (!judge_is_passed_over(c, &c->host[i]))
			v[n++] = c->host[i].verdict;
	/* What was left out may be well or not. */
	if (c->truncated)
		v[n++] = CHECK_INCOMPLETE;
	all = judge_rollup(v, n);
	if (c->kind != CHECK_BY_DOMAIN)
		return all;
	if (c->mx == NULL)
		return CHECK_INCOMPLETE;
	if (c->mx->security == DNS_BOGUS)
		return CHECK_BOGUS;
	if (c->mx->security == DNS_FAILED || c->mx->nxdomain)
		return CHECK_INCOMPLETE;
	if (c->null_mx)
		return CHECK_NO_DANE;
	return c->mx->security == DNS_INSECURE ? behind_insecure_mx(all) : all;
}

/* A name server that fails for TLSA makes some senders defer, even where no
 * TLSA record is. (dane.md S24) */
static enum check_verdict with_broken_servers(enum check_verdict v)
{
	switch (v) {
	case CHECK_OK:
	case CHECK_WEAK:
	case CHECK_NO_DANE:
	case CHECK_ENCRYPT_ONLY:
		return CHECK_DEGRADED;
	case CHECK_INSECURE:
	case CHECK_INCOMPLETE:
	case CHECK_DEGRADED:
	case CHECK_BOGUS:
	case CHECK_BLOCKED:
	case CHECK__COUNT:
		break;
	}
	return v;
}

static enum status judge_hosts(struct check *c, struct err *err)
{
	for (size_t i = 0; i < c->n_hosts; i++) {
		struct check_host *h = &c->host[i];
		enum status st = judge_records(c, h, err);

		if (st != ST_OK)
			return st;
		judge_states(c, h);
		h->verdict = host_verdict(c, h);
	}
	return ST_OK;
}

static enum status find_all(struct check *c, bool *ret_broken, struct err *err)
{
	bool some_dane = false;
	enum status st = judge_domain(c, err);

	for (size_t i = 0; i < c->n_hosts; i++)
		some_dane |= c->host[i].dane == HOST_TLSA;
	for (size_t i = 0; st == ST_OK && i < c->n_hosts; i++) {
		st = judge_host_lookups(c, (int)i, some_dane, err);
		if (st == ST_OK)
			st = judge_conns(c, (int)i, err);
		if (st == ST_OK)
			st = judge_rrset(c, (int)i, err);
		if (st == ST_OK)
			st = judge_scheme(c, (int)i, err);
	}
	if (st == ST_OK)
		st = judge_shared_keys(c, err);
	return st == ST_OK ? judge_servers(c, ret_broken, err) : st;
}

enum status check_judge(struct check *c, struct err *err)
{
	bool broken = false;
	enum status st;

	c->n_findings = 0;
	st = judge_hosts(c, err);
	if (st == ST_OK)
		st = find_all(c, &broken, err);
	if (st != ST_OK)
		return st;
	c->verdict = domain_verdict(c);
	if (broken)
		c->verdict = with_broken_servers(c->verdict);
	return sort_findings(c, err);
}
