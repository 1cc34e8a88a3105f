/*
 * Totals over all TLS-RPT reports of a set: per domain, sender (and the policy
 * that it applied), result type and receiving MX. Pure. Invariants: every
 * failed session of every policy is in exactly one failure; what a sender
 * counted but did not explain is a failure without a type. Sorting, not
 * searching: n log n, whatever the names are.
 */
#include "hook/check/tlsrpt.h"

#include <stdlib.h>
#include <string.h>

/* A policy and its report. */
struct item {
	size_t at; /* of the report, in the order of reading */
	const struct tlsrpt_report *report;
	const struct tlsrpt_policy *policy;
};

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int descending(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

static int by_place(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int d = strcmp(x->policy->domain, y->policy->domain);

	if (d == 0)
		d = strcmp(x->report->org, y->report->org);
	if (d == 0)
		d = strcmp(x->policy->type, y->policy->type);
	if (d == 0)
		d = (x->at > y->at) - (x->at < y->at);
	return d;
}

static int by_failure(const void *a, const void *b)
{
	const struct tlsrpt_failure *x = a, *y = b;
	int d = strcmp(x->type, y->type);

	if (d == 0)
		d = strcmp(x->mx, y->mx);
	if (d == 0)
		d = (x->mark > y->mark) - (x->mark < y->mark);
	return d;
}

static int worse_failure(const void *a, const void *b)
{
	const struct tlsrpt_failure *x = a, *y = b;
	int d = descending(x->count, y->count);

	return d != 0 ? d : by_failure(a, b);
}

static int worse_sender(const void *a, const void *b)
{
	const struct tlsrpt_sender *x = a, *y = b;
	int d = descending(x->failed, y->failed);

	if (d == 0)
		d = descending(x->ok, y->ok);
	if (d == 0)
		d = strcmp(x->org, y->org);
	return d != 0 ? d : strcmp(x->policy_type, y->policy_type);
}

static int worse_domain(const void *a, const void *b)
{
	const struct tlsrpt_domain *x = a, *y = b;
	int d = descending(x->failed, y->failed);

	return d != 0 ? d : strcmp(x->domain, y->domain);
}

static int by_key(const void *a, const void *b)
{
	const struct tlsrpt_seen *x = a, *y = b;

	return memcmp(x->spki.d, y->spki.d, sizeof(x->spki.d));
}

/* Known keys first, then the latest. */
static int better_seen(const void *a, const void *b)
{
	const struct tlsrpt_seen *x = a, *y = b;
	int d = (x->key == NULL) - (y->key == NULL);

	if (d == 0)
		d = descending(x->last_s, y->last_s);
	return d != 0 ? d : by_key(a, b);
}

static int by_type(const void *a, const void *b)
{
	const struct tlsrpt_type *x = a, *y = b;
	int d = strcmp(x->type, y->type);

	/* the worst place of a type first */
	return d != 0 ? d : descending(x->count, y->count);
}

static int worse_type(const void *a, const void *b)
{
	const struct tlsrpt_type *x = a, *y = b;
	int d = descending(x->count, y->count);

	return d != 0 ? d : strcmp(x->type, y->type);
}

/* ---- one sender at one domain ---- */

static const struct tlsrpt_rollover *mark_row(
	const struct tlsrpt_known *known, const struct item *it, const char *mx)
{
	const char *hosts[TLSRPT_HOSTS_MAX];
	size_t n = 0;

	/* Without an MX the policy's own hosts are the next best. */
	if (mx[0] != '\0' && mx[0] != '[')
		hosts[n++] = mx;
	else
		for (; n < it->policy->n_hosts && n < TLSRPT_HOSTS_MAX; n++)
			hosts[n] = it->policy->host[n];
	return tlsrpt_mark(
		known, hosts, n, it->report->begin_s, it->report->end_s);
}

static size_t list_failures(const struct item *it, size_t n,
	const struct tlsrpt_known *known, struct tlsrpt_failure *f)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		const struct tlsrpt_policy *p = it[i].policy;
		int64_t rest = p->failed;

		for (size_t j = 0; j < p->n_rows; j++) {
			const struct tlsrpt_row *row = &p->row[j];

			rest -= row->count;
			f[k++] = (struct tlsrpt_failure){ .type = row->type,
				.mx = row->mx,
				.reason = row->reason,
				.count = row->count,
				.mark = mark_row(known, &it[i], row->mx) };
		}
		if (rest > 0)
			f[k++] = (struct tlsrpt_failure){ .type = "",
				.mx = "",
				.reason = "",
				.count = rest,
				.mark = mark_row(known, &it[i], "") };
	}
	return k;
}

static enum status total_sender(const struct item *it, size_t n,
	const struct tlsrpt_known *known, struct tlsrpt_sender *ret,
	struct err *err)
{
	size_t most = 1, k, kept = 0;
	struct tlsrpt_failure *f;

	for (size_t i = 0; i < n; i++)
		most += it[i].policy->n_rows + 1;
	f = calloc(most, sizeof(*f));
	if (f == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	*ret = (struct tlsrpt_sender){ .org = it->report->org,
		.policy_type = it->policy->type };
	for (size_t i = 0; i < n; i++) {
		ret->ok = add(ret->ok, it[i].policy->ok);
		ret->failed = add(ret->failed, it[i].policy->failed);
		if (i == 0 || it[i].report != it[i - 1].report)
			ret->reports++;
	}
	k = list_failures(it, n, known, f);
	qsort(f, k, sizeof(*f), by_failure);
	for (size_t i = 0; i < k; i++) {
		if (kept > 0 && by_failure(&f[kept - 1], &f[i]) == 0) {
			f[kept - 1].count = add(f[kept - 1].count, f[i].count);
			if (f[kept - 1].reason[0] == '\0')
				f[kept - 1].reason = f[i].reason;
		} else {
			f[kept++] = f[i];
		}
	}
	qsort(f, kept, sizeof(*f), worse_failure);
	ret->failure = f;
	ret->n_failures = kept;
	return ST_OK;
}

/* ---- one domain ---- */

static const struct tlsrpt_key *key_of(
	const struct tlsrpt_known *known, const struct spki *spki)
{
	for (size_t i = 0; i < known->n_keys; i++)
		if (spki_eq(&known->key[i].spki, spki))
			return &known->key[i];
	return NULL;
}

/* A key counts once per report, however many policies hold it. */
static enum status total_seen(const struct item *it, size_t n,
	const struct tlsrpt_known *known, struct tlsrpt_domain *d,
	struct err *err)
{
	size_t most = 1, k = 0, kept = 0;
	const struct tlsrpt_report **last;
	struct tlsrpt_seen *s;

	for (size_t i = 0; i < n; i++)
		most += it[i].policy->n_keys;
	s = calloc(most, sizeof(*s));
	last = calloc(most, sizeof(const struct tlsrpt_report *));
	d->seen = s;
	if (s == NULL || last == NULL) {
		free(last);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	/* first the keys themselves, then who saw them */
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < it[i].policy->n_keys; j++)
			s[k++].spki = it[i].policy->key[j];
	qsort(s, k, sizeof(*s), by_key);
	for (size_t i = 0; i < k; i++)
		if (kept == 0 || by_key(&s[kept - 1], &s[i]) != 0)
			s[kept++] = s[i];
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < it[i].policy->n_keys; j++) {
			struct tlsrpt_seen want = {
				.spki = it[i].policy->key[j]
			};
			struct tlsrpt_seen *hit =
				bsearch(&want, s, kept, sizeof(*s), by_key);
			const struct tlsrpt_report *r = it[i].report;

			if (hit == NULL || last[hit - s] == r)
				continue;
			last[hit - s] = r;
			hit->reports++;
			if (hit->last_s < r->end_s)
				hit->last_s = r->end_s;
		}
	free(last);
	for (size_t i = 0; i < kept; i++)
		s[i].key = key_of(known, &s[i].spki);
	qsort(s, kept, sizeof(*s), better_seen);
	d->n_seen = kept;
	return ST_OK;
}

static bool same_sender(const struct item *a, const struct item *b)
{
	return strcmp(a->report->org, b->report->org) == 0 &&
	       strcmp(a->policy->type, b->policy->type) == 0;
}

static int compare_pointers(const void *a, const void *b)
{
	const struct tlsrpt_report *const *x = a, *const *y = b;

	return (*x > *y) - (*x < *y);
}

/* A report may hold several policies of one domain. */
static enum status count_reports(
	const struct item *it, size_t n, size_t *ret, struct err *err)
{
	const struct tlsrpt_report **r =
		calloc(n, sizeof(const struct tlsrpt_report *));

	if (r == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		r[i] = it[i].report;
	qsort(r, n, sizeof(const struct tlsrpt_report *), compare_pointers);
	*ret = 1;
	for (size_t i = 1; i < n; i++)
		*ret += r[i] != r[i - 1];
	free(r);
	return ST_OK;
}

static enum status total_domain(const struct item *it, size_t n,
	const struct tlsrpt_known *known, struct tlsrpt_domain *ret,
	struct err *err)
{
	size_t senders = 0, to;
	enum status st = count_reports(it, n, &ret->reports, err);

	for (size_t i = 0; i < n; i++)
		senders += i == 0 || !same_sender(&it[i - 1], &it[i]);
	ret->domain = it->policy->domain;
	ret->begin_s = it->report->begin_s;
	ret->end_s = it->report->end_s;
	for (size_t i = 0; i < n; i++) {
		const struct tlsrpt_report *r = it[i].report;

		ret->ok = add(ret->ok, it[i].policy->ok);
		ret->failed = add(ret->failed, it[i].policy->failed);
		if (r->begin_s < ret->begin_s)
			ret->begin_s = r->begin_s;
		if (r->end_s > ret->end_s)
			ret->end_s = r->end_s;
	}
	ret->sender = calloc(senders, sizeof(*ret->sender));
	if (st == ST_OK && ret->sender == NULL)
		st = err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n && st == ST_OK; i = to) {
		for (to = i + 1; to < n && same_sender(&it[i], &it[to]); to++)
			;
		st = total_sender(&it[i], to - i, known,
			&ret->sender[ret->n_senders], err);
		if (st == ST_OK)
			ret->n_senders++;
	}
	if (st == ST_OK)
		st = total_seen(it, n, known, ret, err);
	if (st == ST_OK)
		qsort(ret->sender, ret->n_senders, sizeof(*ret->sender),
			worse_sender);
	return st;
}

/* ---- result types ---- */

static void list_types(
	const struct tlsrpt_domain *d, struct tlsrpt_type *t, size_t *n)
{
	for (size_t i = 0; i < d->n_senders; i++)
		for (size_t j = 0; j < d->sender[i].n_failures; j++) {
			const struct tlsrpt_failure *f =
				&d->sender[i].failure[j];

			t[(*n)++] = (struct tlsrpt_type){ .type = f->type,
				.domain = d->domain,
				.mx = f->mx,
				.count = f->count };
		}
}

static enum status total_types(struct tlsrpt_totals *ret, struct err *err)
{
	struct tlsrpt_type *t;
	size_t most = 1, n = 0, kept = 0;

	for (size_t i = 0; i < ret->n_domains; i++)
		for (size_t j = 0; j < ret->domain[i].n_senders; j++)
			most += ret->domain[i].sender[j].n_failures;
	t = calloc(most, sizeof(*t));
	if (t == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < ret->n_domains; i++)
		list_types(&ret->domain[i], t, &n);
	qsort(t, n, sizeof(*t), by_type);
	for (size_t i = 0; i < n; i++)
		if (kept > 0 && strcmp(t[kept - 1].type, t[i].type) == 0)
			t[kept - 1].count = add(t[kept - 1].count, t[i].count);
		else
			t[kept++] = t[i];
	qsort(t, kept, sizeof(*t), worse_type);
	ret->type = t;
	ret->n_types = kept;
	return ST_OK;
}

/* ---- all ---- */

static enum status list_items(const struct tlsrpt_set *set, struct item **ret,
	size_t *ret_n, struct err *err)
{
	struct item *it = calloc(set->n_rows + 1, sizeof(*it));
	size_t n = 0;

	if (it == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < set->n_reports; i++)
		for (size_t j = 0; j < set->report[i]->n_policies; j++)
			it[n++] = (struct item){ .at = i,
				.report = set->report[i],
				.policy = &set->report[i]->policy[j] };
	qsort(it, n, sizeof(*it), by_place);
	*ret = it;
	*ret_n = n;
	return ST_OK;
}

static enum status total_domains(const struct item *it, size_t n,
	const struct tlsrpt_known *known, struct tlsrpt_totals *t,
	struct err *err)
{
	enum status st = ST_OK;
	size_t domains = 1, to;

	for (size_t i = 0; i < n; i++)
		domains += i > 0 && strcmp(it[i - 1].policy->domain,
					    it[i].policy->domain) != 0;
	t->domain = calloc(domains, sizeof(*t->domain));
	if (t->domain == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n && st == ST_OK; i = to) {
		struct tlsrpt_domain *d = &t->domain[t->n_domains++];

		for (to = i + 1; to < n; to++)
			if (strcmp(it[i].policy->domain,
				    it[to].policy->domain) != 0)
				break;
		st = total_domain(&it[i], to - i, known, d, err);
		t->ok = add(t->ok, d->ok);
		t->failed = add(t->failed, d->failed);
	}
	if (st == ST_OK)
		qsort(t->domain, t->n_domains, sizeof(*t->domain),
			worse_domain);
	return st;
}

enum status tlsrpt_total(const struct tlsrpt_set *set,
	const struct tlsrpt_known *known, struct tlsrpt_totals *ret,
	struct err *err)
{
	struct tlsrpt_totals t = { .ok = 0 };
	struct item *it = NULL;
	size_t n = 0;
	enum status st = list_items(set, &it, &n, err);

	if (st == ST_OK)
		st = total_domains(it, n, known, &t, err);
	free(it);
	if (st == ST_OK)
		st = total_types(&t, err);
	if (st != ST_OK) {
		tlsrpt_totals_release(&t);
		return st;
	}
	*ret = t;
	return ST_OK;
}

void tlsrpt_totals_release(struct tlsrpt_totals *t)
{
	for (size_t i = 0; i < t->n_domains; i++) {
		struct tlsrpt_domain *d = &t->domain[i];

		for (size_t j = 0; j < d->n_senders; j++)
			free(d->sender[j].failure);
		free(d->sender);
		free(d->seen);
	}
	free(t->domain);
	free(t->type);
	*t = (struct tlsrpt_totals){ .ok = 0 };
}
