/*
 * TLS-RPT totals for people. Invariants: tables fit 100 columns; what a report
 * says is shown as printable ASCII, so it cannot steer a terminal; numbers that
 * are too long are shortened, names are cut in the middle and long lists at
 * their end (--json has all).
 */
#include "hook/check/tlsrpt.h"

#include "hook/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 100
#define NAME_WIDTH 35
#define MX_WIDTH 33
#define ROWS_MAX 100 /* failures of one sender that are shown */

struct out {
	struct buf *b;
	struct err *err;
	enum status st;                      /* the first failure stays */
	const struct tlsrpt_rollover **mark; /* numbered from 1 */
	size_t n_marks;
};

static void __attribute__((format(printf, 2, 3)))
put(struct out *o, const char *fmt, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (o->st != ST_OK || n < 0)
		return;
	o->st = buf_append(o->b, text,
		(size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1,
		o->err);
}

/* One '?' for each character that is not printable ASCII. */
static void ascii(const char *utf8, char *ret, size_t len)
{
	size_t n = 0;

	for (; *utf8 != '\0' && n + 1 < len; utf8++) {
		unsigned char c = (unsigned char)*utf8;

		if ((c & 0xc0) != 0x80)
			ret[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	ret[n] = '\0';
}

/* At most width columns, the middle left out. Returns ret. */
static const char *cell(
	const char *utf8, size_t width, char ret[static TLSRPT_TEXT_MAX])
{
	char all[2 * TLSRPT_TEXT_MAX];
	size_t n, head = (width - 3) / 2 + 1, tail = width - 3 - head;

	ascii(utf8, all, sizeof(all));
	n = strlen(all);
	if (n <= width)
		(void)snprintf(ret, TLSRPT_TEXT_MAX, "%s", all);
	else
		(void)snprintf(ret, TLSRPT_TEXT_MAX, "%.*s...%s", (int)head,
			all, all + n - tail);
	return ret;
}

/* Ten columns at most. */
static const char *count(int64_t n, char ret[static 24])
{
	const char *unit = "";

	if (n > INT64_C(9999999999999999)) {
		n /= INT64_C(1000000000000);
		unit = "T";
	} else if (n > INT64_C(9999999999)) {
		n /= 1000000;
		unit = "M";
	}
	(void)snprintf(ret, 24, "%" PRId64 "%s", n, unit);
	return ret;
}

/* The words of text, in lines of COLUMNS, later ones with this indent; a word
 * that is longer than a line is left whole. */
static void wrap(struct out *o, size_t indent, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t blanks = strspn(text, " ");
		size_t n = strcspn(text + blanks, " ");

		if (column > indent && column + blanks + n > COLUMNS) {
			put(o, "\n%*s", (int)indent, "");
			column = indent;
			blanks = 0;
			text += strspn(text, " ");
		}
		put(o, "%.*s", (int)(blanks + n), text);
		column += blanks + n;
		text += blanks + n;
	}
	put(o, "\n");
}

static void __attribute__((format(printf, 3, 4)))
wrap_fmt(struct out *o, size_t indent, const char *fmt, ...)
{
	char text[2048], clean[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ascii(text, clean, sizeof(clean));
	wrap(o, indent, clean);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* "2026-11-21" */
static const char *day(int64_t s, char ret[static CLOCK_TEXT_MAX])
{
	clock_utc(s * 1000, ret);
	ret[strcspn(ret, "T")] = '\0';
	return ret;
}

/* ---- the table of a domain ---- */

static size_t mark_number(struct out *o, const struct tlsrpt_rollover *mark)
{
	for (size_t i = 0; i < o->n_marks; i++)
		if (o->mark[i] == mark)
			return i + 1;
	o->mark[o->n_marks++] = mark;
	return o->n_marks;
}

static void put_failure(struct out *o, const struct tlsrpt_failure *f)
{
	char type[TLSRPT_TEXT_MAX], mx[TLSRPT_TEXT_MAX], n[24], mark[24] = "";

	if (f->mark != NULL)
		(void)snprintf(
			mark, sizeof(mark), "  [%zu]", mark_number(o, f->mark));
	put(o, "    %-*s %-*s %10s %10s%s\n", NAME_WIDTH - 2,
		cell(f->type[0] != '\0' ? f->type : "(no details given)",
			NAME_WIDTH - 2, type),
		MX_WIDTH, cell(f->mx[0] != '\0' ? f->mx : "-", MX_WIDTH, mx),
		"", count(f->count, n), mark);
	if (f->reason[0] != '\0')
		put(o, "      \"%s\"\n", cell(f->reason, COLUMNS - 8, type));
}

static void put_sender(struct out *o, const struct tlsrpt_sender *s)
{
	char name[TLSRPT_TEXT_MAX], full[TLSRPT_TEXT_MAX + TLSRPT_TYPE_MAX + 4];
	char ok[24], failed[24];

	(void)snprintf(full, sizeof(full), "%s (%s)",
		s->org[0] != '\0' ? s->org : "unnamed sender",
		s->policy_type[0] != '\0' ? s->policy_type : "no policy type");
	put(o, "  %-*s %-*s %10s %10s\n", NAME_WIDTH,
		cell(full, NAME_WIDTH, name), MX_WIDTH, "", count(s->ok, ok),
		count(s->failed, failed));
	for (size_t i = 0; i < s->n_failures && i < ROWS_MAX; i++)
		put_failure(o, &s->failure[i]);
	if (s->n_failures > ROWS_MAX)
		put(o, "    and %zu more lines (--json has them all)\n",
			s->n_failures - ROWS_MAX);
}

static void put_seen(struct out *o, const struct tlsrpt_seen *s)
{
	char hex[SPKI_HEX], last[CLOCK_TEXT_MAX];
	const struct tlsrpt_key *k = s->key;

	spki_hex(&s->spki, hex);
	wrap_fmt(o, 6, "    %.16s... %s%s%s: %zu report%s, the last until %s",
		hex, k != NULL ? k->role : "unknown", k != NULL ? " of " : "",
		k != NULL ? k->lineage : "", s->reports, plural(s->reports),
		day(s->last_s, last));
}

static void put_domain(struct out *o, const struct tlsrpt_domain *d)
{
	char name[TLSRPT_TEXT_MAX], begin[CLOCK_TEXT_MAX], end[CLOCK_TEXT_MAX];
	char ok[24], failed[24];

	wrap_fmt(o, 2, "%s: %s sessions ok, %s failed; %zu report%s, %s to %s",
		cell(d->domain, COLUMNS - 3, name), count(d->ok, ok),
		count(d->failed, failed), d->reports, plural(d->reports),
		day(d->begin_s, begin), day(d->end_s, end));
	put(o, "  %-*s %-*s %10s %10s%s\n", NAME_WIDTH, "SENDER / RESULT TYPE",
		MX_WIDTH, "MX", "OK", "FAILED", "  MARK");
	for (size_t i = 0; i < d->n_senders; i++)
		put_sender(o, &d->sender[i]);
	if (d->n_seen > 0)
		put(o, "  3 1 1 records that senders saw:\n");
	for (size_t i = 0; i < d->n_seen; i++)
		put_seen(o, &d->seen[i]);
	put(o, "\n");
}

/* ---- what is below the tables ---- */

static void put_marks(struct out *o)
{
	char at[CLOCK_TEXT_MAX];

	for (size_t i = 0; i < o->n_marks; i++)
		wrap_fmt(o, 4, "[%zu] during/after the %s of %s at %s", i + 1,
			o->mark[i]->kind, o->mark[i]->lineage,
			clock_utc(o->mark[i]->at_s * 1000, at));
	if (o->n_marks > 0)
		put(o, "\n");
}

static void put_advice(struct out *o, const struct tlsrpt_totals *t)
{
	char command[TLSRPT_TEXT_MAX + 64];

	for (size_t i = 0; i < t->n_types; i++) {
		const struct tlsrpt_type *ty = &t->type[i];

		wrap_fmt(o, 4, "%s: %s",
			ty->type[0] != '\0' ? ty->type : "no details given",
			tlsrpt_advice(ty->type));
		/* whole, to be pasted */
		if (tlsrpt_command(ty, command, sizeof(command)))
			put(o, "    %s\n", command);
	}
	if (t->n_types > 0)
		put(o, "\n");
}

static void put_notes(struct out *o, const struct tlsrpt_set *set)
{
	for (size_t i = 0; i < set->n_duplicates; i++) {
		const struct tlsrpt_note *n = &set->duplicate[i];

		wrap_fmt(o, 4,
			"counted once: %s holds report %s of %s, which was in "
			"%s already",
			n->file, n->first->id,
			n->first->org[0] != '\0' ? n->first->org
						 : "an unnamed sender",
			n->first->file);
	}
}

enum status tlsrpt_text(const struct tlsrpt_set *set,
	const struct tlsrpt_known *known, const struct tlsrpt_totals *t,
	struct buf *ret, struct err *err)
{
	struct out o = { .b = ret, .err = err, .st = ST_OK };
	char ok[24], failed[24], bad[48] = "";

	if (set->n_bad > 0)
		(void)snprintf(bad, sizeof(bad), "; not read: %zu input%s",
			set->n_bad, plural(set->n_bad));
	o.mark = calloc(
		known->n_rollovers + 1, sizeof(const struct tlsrpt_rollover *));
	if (o.mark == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < t->n_domains; i++)
		put_domain(&o, &t->domain[i]);
	put_marks(&o);
	put_advice(&o, t);
	put_notes(&o, set);
	wrap_fmt(&o, 4,
		"%zu report%s on %zu domain%s: %s sessions ok, %s failed%s%s",
		set->n_reports, plural(set->n_reports), t->n_domains,
		plural(t->n_domains), count(t->ok, ok),
		count(t->failed, failed), bad,
		known->any || t->failed == 0
			? ""
			: " (no configuration and state of ours to compare "
			  "with)");
	free(o.mark);
	return o.st;
}
