/*
 * The set of TLS-RPT reports that were read, and what is known of our own
 * rollovers (dane.md B-31, B-33). Invariants: a report is in the set whole or
 * not at all, and once: sender and report-id name it; an input that is wrong
 * never stops the next one.
 */
#include "hook/check/tlsrpt_input.h"

#include "hook/base/auto.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- dates ---- */

/* Days since 1970-01-01 of a Gregorian date: years are counted from March, so
 * that the leap day is the last of its year. */
static int64_t days_of(int y, int m, int d)
{
	int64_t year = m > 2 ? y : y - 1;
	int64_t month = m > 2 ? m - 3 : m + 9;
	int64_t day = year * 365 + year / 4 - year / 100 + year / 400 +
		      (153 * month + 2) / 5 + d - 1;

	return day - 719468;
}

static bool digits(const char **p, size_t n, int min, int max, int *ret)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if ((*p)[i] < '0' || (*p)[i] > '9')
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*ret = v;
	return v >= min && v <= max;
}

static bool literal(const char **p, const char *set)
{
	if (**p == '\0' || strchr(set, **p) == NULL)
		return false;
	++*p;
	return true;
}

static bool zone(const char **p, int *ret_s)
{
	bool west = **p == '-';
	int h, m;

	*ret_s = 0;
	if (literal(p, "Zz"))
		return true;
	if (!literal(p, "+-") || !digits(p, 2, 0, 23, &h) || !literal(p, ":") ||
		!digits(p, 2, 0, 59, &m))
		return false;
	*ret_s = (h * 3600 + m * 60) * (west ? -1 : 1);
	return true;
}

bool tlsrpt_date(const char *text, int64_t *ret_s)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	const char *p = text;
	int y, mo, d, h, mi, s, off;
	bool leap;
	int64_t t;

	if (!digits(&p, 4, 1970, 9999, &y) || !literal(&p, "-") ||
		!digits(&p, 2, 1, 12, &mo) || !literal(&p, "-") ||
		!digits(&p, 2, 1, 31, &d) || !literal(&p, "Tt ") ||
		!digits(&p, 2, 0, 23, &h) || !literal(&p, ":") ||
		!digits(&p, 2, 0, 59, &mi) || !literal(&p, ":") ||
		!digits(&p, 2, 0, 60, &s))
		return false;
	leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
	if (d > days[mo - 1] || (mo == 2 && d == 29 && !leap))
		return false;
	if (literal(&p, ".")) {
		if (*p < '0' || *p > '9')
			return false;
		p += strspn(p, "0123456789");
	}
	if (!zone(&p, &off) || *p != '\0')
		return false;
	t = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - off;
	if (t < 0)
		return false;
	*ret_s = t;
	return true;
}

/* ---- the set ---- */

static int compare_reports(const void *a, const void *b)
{
	const struct tlsrpt_report *x = a, *y = b;
	int d = strcmp(x->org, y->org);

	return d != 0 ? d : strcmp(x->id, y->id);
}

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

static enum status add_note(struct tlsrpt_note **list, size_t *n,
	const char *file, const char *text, const struct tlsrpt_report *first,
	struct err *err)
{
	struct tlsrpt_note *more = *list;

	if (tlsrpt_is_full(*n)) {
		more = reallocarray(more, 2 * *n + 1, sizeof(*more));
		if (more == NULL)
			return no_memory(err);
		*list = more;
	}
	more += *n;
	more->file = strdup(file);
	more->text = strdup(text);
	more->first = first;
	if (more->file == NULL || more->text == NULL) {
		free(more->file);
		free(more->text);
		return no_memory(err);
	}
	++*n;
	return ST_OK;
}

enum status tlsrpt_bad(struct tlsrpt_set *set, const char *name,
	const char *text, struct err *err)
{
	struct err shown;

	if (set->n_bad >= TLSRPT_ERRORS_MAX)
		return ST_OK;
	if (set->n_bad == TLSRPT_ERRORS_MAX - 1)
		text = "and more: only the first errors are kept";
	(void)err_set(&shown, ST_OK, "%s", text);
	return add_note(&set->bad, &set->n_bad, name, shown.text, NULL, err);
}

static enum status grow(struct tlsrpt_set *set, struct err *err)
{
	size_t cap = set->cap_reports != 0 ? set->cap_reports * 2 : 16;
	struct tlsrpt_report **more;

	if (set->n_reports < set->cap_reports)
		return ST_OK;
	more = reallocarray(set->report, cap, sizeof(struct tlsrpt_report *));
	if (more == NULL)
		return no_memory(err);
	set->report = more;
	set->cap_reports = cap;
	return ST_OK;
}

/* Takes r, whatever the result. */
static enum status add_report(struct tlsrpt_set *set, const char *name,
	struct tlsrpt_report *r, struct err *err)
{
	struct tlsrpt_report **old;
	enum status st = ST_OK;

	old = r->id[0] != '\0' ? tfind(r, &set->index, compare_reports) : NULL;
	if (old != NULL || set->n_reports >= TLSRPT_REPORTS_MAX) {
		if (old != NULL)
			st = add_note(&set->duplicate, &set->n_duplicates, name,
				"", *old, err);
		else
			st = tlsrpt_bad(set, name,
				"too many reports: give fewer at a time", err);
		tlsrpt_report_free(r);
		return st;
	}
	r->file = strdup(name);
	if (r->file == NULL)
		st = no_memory(err);
	if (st == ST_OK)
		st = grow(set, err);
	if (st == ST_OK && r->id[0] != '\0' &&
		tsearch(r, &set->index, compare_reports) == NULL)
		st = no_memory(err);
	if (st != ST_OK) {
		tlsrpt_report_free(r);
		return st;
	}
	set->report[set->n_reports++] = r;
	set->n_rows += r->n_policies;
	for (size_t i = 0; i < r->n_policies; i++)
		set->n_rows += r->policy[i].n_rows;
	return ST_OK;
}

static void note_release(struct tlsrpt_note *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].file);
		free(list[i].text);
	}
	free(list);
}

static void keep_report(void *r)
{
	(void)r; /* the array owns it */
}

void tlsrpt_set_release(struct tlsrpt_set *set)
{
	tdestroy(set->index, keep_report);
	for (size_t i = 0; i < set->n_reports; i++)
		tlsrpt_report_free(set->report[i]);
	free(set->report);
	note_release(set->duplicate, set->n_duplicates);
	note_release(set->bad, set->n_bad);
	*set = (struct tlsrpt_set)TLSRPT_SET_INIT;
}

/* ---- reading one input ---- */

/* JSON, or gzip with JSON inside. *ret owned. */
static enum status read_json(struct tlsrpt_set *set, struct src *s,
	struct tlsrpt_report **ret, struct err *err)
{
	size_t left = set->n_rows < TLSRPT_ROWS_MAX
			      ? TLSRPT_ROWS_MAX - set->n_rows
			      : 0;
	struct src_gzip *g;
	enum status st;

	if (!src_is_gzip(s))
		return s->st == ST_OK ? tlsrpt_parse(s, left, ret, err) : s->st;
	g = malloc(sizeof(*g));
	if (g == NULL)
		return no_memory(err);
	st = src_gzip_init(g, s, err);
	if (st == ST_OK)
		st = tlsrpt_parse(&g->s, left, ret, err);
	src_gzip_release(g);
	free(g);
	return st;
}

/* Adds a report that came out of an input, or says why there is none. */
static enum status take(struct tlsrpt_set *set, const char *name,
	enum status st, struct tlsrpt_report *r, struct err *err)
{
	if (st == ST_OK)
		return add_report(set, name, r, err);
	if (st == ST_NOMEM)
		return st;
	return tlsrpt_bad(set, name, err->text, err);
}

/* The submitter's domain stands in for a sender that did not name itself. */
static enum status name_sender(
	struct tlsrpt_report *r, const struct mail *m, struct err *err)
{
	char *org;

	if (r->org[0] != '\0' || m->submitter[0] == '\0')
		return ST_OK;
	org = tlsrpt_copy(m->submitter);
	if (org == NULL)
		return no_memory(err);
	for (char *p = org; *p != '\0'; p++)
		if (*p < 0x20 || *p >= 0x7f)
			*p = '?';
	for (size_t n = strlen(org); n > 0 && org[n - 1] == ' '; n--)
		org[n - 1] = '\0';
	free(r->org);
	r->org = org;
	return ST_OK;
}

static enum status read_mail(struct tlsrpt_set *set, const char *name,
	struct src *s, struct err *err)
{
	auto_mem struct mail *m = malloc(sizeof(*m));
	bool found = false, any = false;
	enum status st;

	if (m == NULL)
		return no_memory(err);
	mail_init(m, s, err);
	while ((st = mail_next(m, &found, err)) == ST_OK && found) {
		struct tlsrpt_report *r = NULL;
		uint64_t line = m->line;

		any = true;
		st = read_json(set, &m->body, &r, err);
		if (st == ST_OK)
			st = name_sender(r, m, err);
		else
			(void)err_context(err,
				"report attached at line %" PRIu64, line + 1);
		if (st == ST_NOMEM)
			tlsrpt_report_free(r);
		st = take(set, name, st, r, err);
		if (st != ST_OK)
			return st;
	}
	if (st != ST_OK)
		return take(set, name, st, NULL, err);
	if (any)
		return ST_OK;
	return tlsrpt_bad(set, name,
		"no TLS-RPT report in it: neither JSON nor gzip, nor a mail "
		"with a part of type application/tlsrpt+gzip or +json",
		err);
}

static enum status read_raw(struct tlsrpt_set *set, const char *name,
	struct src *s, struct err *err)
{
	struct tlsrpt_report *r = NULL;
	enum status st;
	int c;

	if (src_is_gzip(s)) {
		st = read_json(set, s, &r, err);
		return take(set, name, st, r, err);
	}
	/* Blanks before JSON are fine, and no mail begins with them; they are
	 * left there, for the line numbers. */
	(void)src_ahead(s, 16);
	for (size_t i = s->pos; i < s->len; i++) {
		c = s->buf[i];
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '{' || c == '[' || c == '"' || c == 0xef) {
			st = read_json(set, s, &r, err);
			return take(set, name, st, r, err);
		}
		break;
	}
	if (s->st != ST_OK)
		return take(set, name, s->st, NULL, err);
	if (s->len == s->pos)
		return tlsrpt_bad(set, name, "is empty", err);
	return read_mail(set, name, s, err);
}

static enum status read_input(struct tlsrpt_set *set, const char *name, int fd,
	const void *data, size_t len, struct err *err)
{
	struct src_raw *raw = malloc(sizeof(*raw));
	struct err local = ERR_INIT;
	enum status st;

	if (raw == NULL)
		return no_memory(err);
	src_raw_init(raw, fd, data, len, &local);
	st = read_raw(set, name, &raw->s, &local);
	free(raw);
	if (st != ST_OK)
		*err = local;
	return st;
}

enum status tlsrpt_read_fd(
	struct tlsrpt_set *set, const char *name, int fd, struct err *err)
{
	return read_input(set, name, fd, NULL, 0, err);
}

enum status tlsrpt_read_mem(struct tlsrpt_set *set, const char *name,
	const void *data, size_t len, struct err *err)
{
	return read_input(set, name, -1, data, len, err);
}

/* ---- our own rollovers ---- */

/* Equal but for a final dot; mx is in lower case. */
static bool same_host(const char *ours, const char *mx)
{
	size_t n = strlen(ours);

	if (n > 0 && ours[n - 1] == '.')
		n--;
	return n > 0 && strlen(mx) == n && strncasecmp(ours, mx, n) == 0;
}

static bool concerns(
	const struct tlsrpt_rollover *o, const char *const hosts[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < o->n_hosts; j++)
			if (same_host(o->host[j], hosts[i]))
				return true;
	return false;
}

const struct tlsrpt_rollover *tlsrpt_mark(const struct tlsrpt_known *known,
	const char *const hosts[], size_t n, int64_t begin_s, int64_t end_s)
{
	const struct tlsrpt_rollover *best = NULL;

	for (size_t i = 0; i < known->n_rollovers; i++) {
		const struct tlsrpt_rollover *o = &known->rollover[i];
		bool roll, best_roll;

		if (end_s < o->at_s - TLSRPT_SLACK_S ||
			begin_s > o->at_s + TLSRPT_WINDOW_S ||
			!concerns(o, hosts, n))
			continue;
		roll = strcmp(o->kind, "rollover") == 0;
		best_roll = best != NULL && strcmp(best->kind, "rollover") == 0;
		if (best == NULL || (roll && !best_roll) ||
			(roll == best_roll && o->at_s >= best->at_s))
			best = o;
	}
	return best;
}
