/*
 * One TLS-RPT report (RFC 8460 4.4) out of its JSON. The three levels that can
 * be long (the report, its policies, their failure-details) are walked member
 * by member; only one value below them is in memory at a time, so memory is
 * that and the sums, whatever the size of the report. Invariants: a report is
 * returned whole or not at all; a failure is counted under its result type and
 * MX in a tree, so that hostile names cost a logarithm.
 */
#include "hook/check/tlsrpt_cut.h"

#include "hook/base/auto.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static const char *kind(const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

/* NULL when absent or null. */
static json_t *get(const json_t *o, const char *name)
{
	json_t *j = json_object_get(o, name);

	return json_is_null(j) ? NULL : j;
}

/* *ret borrowed; "" when absent. */
static enum status get_string(
	struct cutter *r, const json_t *o, const char *name, const char **ret)
{
	const json_t *j = get(o, name);

	*ret = "";
	if (j == NULL)
		return ST_OK;
	if (!json_is_string(j))
		return cut_bad(
			r, "\"%s\" must be a string, not %s", name, kind(j));
	*ret = json_string_value(j);
	return ST_OK;
}

static enum status get_count(struct cutter *r, const json_t *o,
	const char *name, int64_t otherwise, int64_t *ret)
{
	const json_t *j = get(o, name);

	*ret = otherwise;
	if (j == NULL)
		return ST_OK;
	if (!json_is_integer(j))
		return cut_bad(r, "\"%s\" must be a whole number, not %s", name,
			json_is_real(j) ? "a fraction" : kind(j));
	if (json_integer_value(j) < 0)
		return cut_bad(r, "\"%s\" is negative", name);
	if (json_integer_value(j) > TLSRPT_COUNT_MAX)
		return cut_bad(r,
			"\"%s\" is %lld: no sender has so many sessions", name,
			(long long)json_integer_value(j));
	*ret = json_integer_value(j);
	return ST_OK;
}

char *tlsrpt_copy(const char *utf8)
{
	size_t n = strnlen(utf8, TLSRPT_TEXT_MAX);

	if (n == TLSRPT_TEXT_MAX) {
		n--;
		while (n > 0 && ((unsigned char)utf8[n] & 0xc0) == 0x80)
			n--;
	}
	return strndup(utf8, n);
}

void tlsrpt_clean(const char *text, char *ret, size_t len)
{
	size_t n = 0;

	for (; *text != '\0' && n + 1 < len; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c - 'A' + 'a');
		ret[n++] = c > 0x20 && c < 0x7f ? (char)c : '?';
	}
	if (n > 1 && ret[n - 1] == '.')
		n--;
	ret[n] = '\0';
}

static enum status set_text(
	struct cutter *r, const json_t *j, const char *name, char **ret)
{
	if (json_is_null(j))
		return ST_OK;
	if (!json_is_string(j))
		return cut_bad(
			r, "\"%s\" must be a string, not %s", name, kind(j));
	free(*ret);
	*ret = tlsrpt_copy(json_string_value(j));
	return *ret != NULL ? ST_OK : cut_no_memory(r);
}

/* ---- failure-details ---- */

static int compare_rows(const void *a, const void *b)
{
	const struct tlsrpt_row *x = a, *y = b;
	int d = strcmp(x->type, y->type);

	return d != 0 ? d : strcmp(x->mx, y->mx);
}

static void row_free(void *p)
{
	struct tlsrpt_row *row = p;

	if (row == NULL)
		return;
	free(row->type);
	free(row->mx);
	free(row->reason);
	free(row);
}

static enum status mx_of(
	struct cutter *r, const json_t *o, char *ret, size_t len)
{
	const char *host, *ip;
	char clean[64];
	enum status st = get_string(r, o, "receiving-mx-hostname", &host);

	if (st == ST_OK)
		st = get_string(r, o, "receiving-ip", &ip);
	if (st != ST_OK)
		return st;
	tlsrpt_clean(host, ret, len);
	if (ret[0] == '\0' && ip[0] != '\0') {
		tlsrpt_clean(ip, clean, sizeof(clean));
		(void)snprintf(ret, len, "[%s]", clean);
	}
	return ST_OK;
}

/* Finds the row in the tree at *root, or adds it. */
static enum status row_at(struct cutter *r, void **root, const char *type,
	const char *mx, const char *reason, struct tlsrpt_row **ret)
{
	struct tlsrpt_row key = { .type = (char *)(uintptr_t)type,
		.mx = (char *)(uintptr_t)mx };
	struct tlsrpt_row **found = tfind(&key, root, compare_rows);
	struct tlsrpt_row *row;

	if (found != NULL) {
		*ret = *found;
		return ST_OK;
	}
	if (r->rows_left == 0)
		return cut_bad(r,
			"more than %d different policies and failures: "
			"give fewer reports at a time",
			TLSRPT_ROWS_MAX);
	row = calloc(1, sizeof(*row));
	if (row == NULL)
		return cut_no_memory(r);
	row->type = strdup(type);
	row->mx = strdup(mx);
	row->reason = tlsrpt_copy(reason);
	if (row->type == NULL || row->mx == NULL || row->reason == NULL ||
		tsearch(row, root, compare_rows) == NULL) {
		row_free(row);
		return cut_no_memory(r);
	}
	r->rows_left--;
	*ret = row;
	return ST_OK;
}

static enum status add_detail(
	struct cutter *r, const json_t *o, void **root, int64_t *detailed)
{
	char mx[DNS_NAME_MAX], clean[TLSRPT_TYPE_MAX];
	const char *type, *code, *more;
	struct tlsrpt_row *row = NULL;
	int64_t count;
	enum status st = get_string(r, o, "result-type", &type);

	if (st == ST_OK)
		st = mx_of(r, o, mx, sizeof(mx));
	if (st == ST_OK)
		st = get_string(r, o, "failure-reason-code", &code);
	if (st == ST_OK)
		st = get_string(r, o, "additional-information", &more);
	if (st == ST_OK)
		st = get_count(r, o, "failed-session-count", 1, &count);
	if (st != ST_OK || count == 0)
		return st;
	tlsrpt_clean(type, clean, sizeof(clean));
	st = row_at(r, root, clean[0] != '\0' ? clean : "(no type)", mx,
		code[0] != '\0' ? code : more, &row);
	if (st != ST_OK)
		return st;
	/* No overflow: 128 MB hold less than 4 million counts of 10^12. */
	row->count += count;
	*detailed += count;
	return ST_OK;
}

static enum status read_details(
	struct cutter *r, void **root, int64_t *detailed)
{
	bool first = true, more;
	enum status st;

	if (cut_peek(r) == 'n')
		return cut_ignore(r); /* null */
	st = cut_expect(r, '[', "to begin \"failure-details\"");
	while (st == ST_OK) {
		json_auto_t *j = NULL;

		st = cut_element(r, &first, &more);
		if (st != ST_OK || !more)
			break;
		st = cut_load(r, &j);
		if (st == ST_OK && !json_is_object(j))
			st = cut_bad(r,
				"an element of \"failure-details\" must be "
				"an object, not %s",
				kind(j));
		if (st == ST_OK)
			st = add_detail(r, j, root, detailed);
	}
	return st;
}

/* ---- policies ---- */

static void policy_release(struct tlsrpt_policy *p)
{
	for (size_t i = 0; i < p->n_rows; i++) {
		free(p->row[i].type);
		free(p->row[i].mx);
		free(p->row[i].reason);
	}
	free(p->row);
	for (size_t i = 0; i < p->n_hosts; i++)
		free(p->host[i]);
	free(p->host);
	free(p->key);
}

static enum status add_host(
	struct cutter *r, struct tlsrpt_policy *p, const char *text)
{
	char name[DNS_NAME_MAX], **more;

	if (p->n_hosts == TLSRPT_HOSTS_MAX || r->hosts_left == 0)
		return ST_OK;
	more = reallocarray(p->host, p->n_hosts + 1, sizeof(*more));
	if (more == NULL)
		return cut_no_memory(r);
	p->host = more;
	tlsrpt_clean(text, name, sizeof(name));
	more[p->n_hosts] = strdup(name);
	if (more[p->n_hosts] == NULL)
		return cut_no_memory(r);
	p->n_hosts++;
	r->hosts_left--;
	return ST_OK;
}

/* Keeps the key of "3 1 1 HEX"; blanks inside HEX are fine. */
static enum status add_string(
	struct cutter *r, struct tlsrpt_policy *p, const char *text)
{
	char hex[SPKI_HEX];
	unsigned usage, selector, type;
	struct spki spki, *more;
	size_t n = 0;
	int at = 0;

	if (sscanf(text, "%3u %3u %3u %n", &usage, &selector, &type, &at) < 3 ||
		at == 0 || usage != 3 || selector != 1 || type != 1)
		return ST_OK;
	for (text += at; *text != '\0' && n < sizeof(hex) - 1; text++)
		if (*text != ' ')
			hex[n++] = *text;
	hex[n] = '\0';
	if (text[strspn(text, " ")] != '\0' || !spki_parse(hex, &spki))
		return ST_OK;
	for (size_t i = 0; i < p->n_keys; i++)
		if (spki_eq(&p->key[i], &spki))
			return ST_OK;
	if (p->n_keys == TLSRPT_KEYS_MAX)
		return ST_OK;
	more = reallocarray(p->key, p->n_keys + 1, sizeof(*more));
	if (more == NULL)
		return cut_no_memory(r);
	p->key = more;
	more[p->n_keys++] = spki;
	return ST_OK;
}

/* A string, or an array of strings. */
static enum status each_string(struct cutter *r, const json_t *o,
	const char *name, struct tlsrpt_policy *p,
	enum status (*add)(
		struct cutter *, struct tlsrpt_policy *, const char *))
{
	const json_t *j = get(o, name);
	enum status st = ST_OK;
	size_t n = json_is_array(j) ? json_array_size(j) : j != NULL;

	for (size_t i = 0; i < n && st == ST_OK; i++) {
		const json_t *e = json_is_array(j) ? json_array_get(j, i) : j;

		if (!json_is_string(e))
			return cut_bad(r,
				"\"%s\" must be a string or an array of "
				"strings: it holds %s",
				name, kind(e));
		st = add(r, p, json_string_value(e));
	}
	return st;
}

static enum status read_policy_object(struct cutter *r, struct tlsrpt_policy *p)
{
	json_auto_t *j = NULL;
	const char *type, *domain;
	enum status st = cut_load(r, &j);

	if (st == ST_OK && !json_is_object(j))
		st = cut_bad(
			r, "\"policy\" must be an object, not %s", kind(j));
	if (st == ST_OK)
		st = get_string(r, j, "policy-type", &type);
	if (st == ST_OK)
		st = get_string(r, j, "policy-domain", &domain);
	if (st != ST_OK)
		return st;
	tlsrpt_clean(type, p->type, sizeof(p->type));
	tlsrpt_clean(domain, p->domain, sizeof(p->domain));
	if (p->domain[0] == '\0')
		return cut_bad(r, "\"policy-domain\" is missing");
	st = each_string(r, j, "mx-host", p, add_host);
	return st == ST_OK ? each_string(r, j, "policy-string", p, add_string)
			   : st;
}

static enum status read_summary(struct cutter *r, struct tlsrpt_policy *p)
{
	json_auto_t *j = NULL;
	enum status st = cut_load(r, &j);

	if (st != ST_OK || json_is_null(j))
		return st;
	if (!json_is_object(j))
		return cut_bad(
			r, "\"summary\" must be an object, not %s", kind(j));
	st = get_count(r, j, "total-successful-session-count", 0, &p->ok);
	return st == ST_OK ? get_count(r, j, "total-failure-session-count", 0,
				     &p->failed)
			   : st;
}

struct taker {
	struct tlsrpt_row *to;
	size_t n;
};

static void take_row(const void *node, VISIT which, void *arg)
{
	struct tlsrpt_row *const *row = node;
	struct taker *t = arg;

	if (which == postorder || which == leaf)
		t->to[t->n++] = **row;
}

/* The tree's rows become p's, in order. */
static enum status keep_rows(
	struct cutter *r, struct tlsrpt_policy *p, void **root, size_t n)
{
	struct taker t = { .n = 0 };

	t.to = calloc(n + 1, sizeof(*t.to));
	if (t.to == NULL) {
		tdestroy(*root, row_free);
		return cut_no_memory(r);
	}
	twalk_r(*root, take_row, &t);
	p->row = t.to;
	p->n_rows = t.n;
	tdestroy(*root, free); /* their text lives on in p */
	return ST_OK;
}

static enum status policy_members(struct cutter *r, struct tlsrpt_policy *p,
	void **root, int64_t *detailed)
{
	static const char *const known[] = { "policy", "summary",
		"failure-details" };
	char name[32];
	bool first = true, more = true;
	unsigned seen = 0, line, column;
	size_t which;
	enum status st =
		cut_expect(r, '{', "to begin an element of \"policies\"");

	line = r->line;
	column = r->column - 1;
	while (st == ST_OK) {
		st = cut_member(r, &first, &more, name, sizeof(name));
		if (st != ST_OK || !more)
			break;
		st = cut_once(r, name, known, 3, &seen, &which);
		if (st != ST_OK)
			break;
		if (which == 0)
			st = read_policy_object(r, p);
		else if (which == 1)
			st = read_summary(r, p);
		else if (which == 2)
			st = read_details(r, root, detailed);
		else
			st = cut_ignore(r);
	}
	r->at_line = line;
	r->at_column = column;
	if (st == ST_OK && (seen & 1) == 0)
		return cut_bad(
			r, "an element of \"policies\" has no \"policy\"");
	return st;
}

static enum status read_policy(struct cutter *r, struct tlsrpt_report *ret)
{
	struct tlsrpt_policy p = { .ok = 0 }, *more = ret->policy;
	size_t left = r->rows_left;
	int64_t detailed = 0;
	void *root = NULL;
	enum status st = policy_members(r, &p, &root, &detailed), kept;

	kept = keep_rows(r, &p, &root, left - r->rows_left);
	if (st == ST_OK)
		st = kept;
	if (p.failed < detailed)
		p.failed = detailed;
	if (st == ST_OK && r->rows_left == 0)
		st = cut_bad(r,
			"more than %d different policies and failures: "
			"give fewer reports at a time",
			TLSRPT_ROWS_MAX);
	if (st == ST_OK && tlsrpt_is_full(ret->n_policies)) {
		more = reallocarray(
			more, 2 * ret->n_policies + 1, sizeof(*more));
		if (more == NULL)
			st = cut_no_memory(r);
		else
			ret->policy = more;
	}
	if (st != ST_OK) {
		policy_release(&p);
		return st;
	}
	r->rows_left--;
	more[ret->n_policies++] = p;
	return ST_OK;
}

static enum status read_policies(struct cutter *r, struct tlsrpt_report *ret)
{
	bool first = true, more = true;
	enum status st = cut_expect(r, '[', "to begin \"policies\"");

	while (st == ST_OK) {
		st = cut_element(r, &first, &more);
		if (st != ST_OK || !more)
			break;
		st = read_policy(r, ret);
	}
	return st;
}

/* ---- the report ---- */

static enum status read_range(struct cutter *r, struct tlsrpt_report *ret)
{
	static const char *const names[] = { "start-datetime", "end-datetime" };
	int64_t *const to[] = { &ret->begin_s, &ret->end_s };
	json_auto_t *j = NULL;
	enum status st = cut_load(r, &j);

	if (st == ST_OK && !json_is_object(j))
		st = cut_bad(
			r, "\"date-range\" must be an object, not %s", kind(j));
	for (size_t i = 0; i < 2 && st == ST_OK; i++) {
		const char *text;

		st = get_string(r, j, names[i], &text);
		if (st == ST_OK && !tlsrpt_date(text, to[i]))
			st = cut_bad(r,
				"\"%s\" is \"%.40s\": not a date such as "
				"2026-11-21T00:00:00Z",
				names[i], text);
	}
	if (st == ST_OK && ret->end_s < ret->begin_s)
		st = cut_bad(r, "\"date-range\" ends before it begins");
	return st;
}

static enum status read_text(struct cutter *r, const char *name, char **ret)
{
	json_auto_t *j = NULL;
	enum status st = cut_load(r, &j);

	return st == ST_OK ? set_text(r, j, name, ret) : st;
}

static enum status read_members(struct cutter *r, struct tlsrpt_report *ret)
{
	static const char *const known[] = { "organization-name",
		"contact-info", "report-id", "date-range", "policies" };
	char **const text[] = { &ret->org, &ret->contact, &ret->id };
	char name[32];
	bool first = true, more = true;
	unsigned seen = 0;
	size_t which;
	enum status st = cut_expect(r, '{', "to begin the report");

	while (st == ST_OK) {
		st = cut_member(r, &first, &more, name, sizeof(name));
		if (st != ST_OK || !more)
			break;
		st = cut_once(r, name, known, 5, &seen, &which);
		if (st != ST_OK)
			break;
		if (which < 3)
			st = read_text(r, known[which], text[which]);
		else if (which == 3)
			st = read_range(r, ret);
		else if (which == 4)
			st = read_policies(r, ret);
		else
			st = cut_ignore(r);
	}
	if (st == ST_OK && cut_peek(r) != SRC_END)
		st = cut_bad_here(r, "something follows the report");
	if (st == ST_OK && r->in->st != ST_OK)
		st = r->in->st;
	for (which = 3; which < 5 && st == ST_OK; which++)
		if ((seen & 1U << which) == 0)
			st = err_set(r->err, ST_REFUSED,
				"\"%s\" is missing: is this a TLS-RPT report?",
				known[which]);
	return st;
}

void tlsrpt_report_free(struct tlsrpt_report *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n_policies; i++)
		policy_release(&r->policy[i]);
	free(r->policy);
	free(r->file);
	free(r->org);
	free(r->contact);
	free(r->id);
	free(r);
}

enum status tlsrpt_parse(struct src *s, size_t rows_left,
	struct tlsrpt_report **ret, struct err *err)
{
	struct cutter r;
	struct tlsrpt_report *report = calloc(1, sizeof(*report));
	enum status st = ST_OK;

	cut_init(&r, s, err);
	r.rows_left = rows_left;
	r.hosts_left = TLSRPT_ALL_HOSTS_MAX;
	if (report == NULL)
		return cut_no_memory(&r);
	report->org = calloc(1, 1);
	report->contact = calloc(1, 1);
	report->id = calloc(1, 1);
	if (report->org == NULL || report->contact == NULL ||
		report->id == NULL)
		st = cut_no_memory(&r);
	if (st == ST_OK && src_ahead(s, 3) == 3 &&
		memcmp(s->buf + s->pos, "\xef\xbb\xbf", 3) == 0)
		s->pos += 3; /* a byte order mark */
	if (st == ST_OK)
		st = read_members(&r, report);
	buf_release(&r.text);
	if (st != ST_OK) {
		tlsrpt_report_free(report);
		return st;
	}
	*ret = report;
	return ST_OK;
}
