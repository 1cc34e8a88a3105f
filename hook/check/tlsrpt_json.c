/*
 * TLS-RPT totals as JSON, version 1 (documented in tlsrpt.h). Written straight
 * into the buffer, object by object: a tree of a large result would cost many
 * times its text. Invariant: ASCII only, all strings through jansson.
 */
#include "hook/check/tlsrpt.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct out {
	struct buf *b;
	struct err *err;
	enum status st; /* the first failure stays */
	bool comma;     /* before the next member or element */
	unsigned depth;
};

static void raw(struct out *o, const char *text, size_t n)
{
	if (o->st == ST_OK)
		o->st = buf_append(o->b, text, n, o->err);
}

static void put(struct out *o, const char *text)
{
	raw(o, text, strlen(text));
}

static int dump(const char *text, size_t n, void *arg)
{
	struct out *o = arg;

	raw(o, text, n);
	return o->st == ST_OK ? 0 : -1;
}

/* What comes before a member (name) or an element (NULL). */
static void begin(struct out *o, const char *name)
{
	/* a line for each element, and for each member of the top */
	bool line = o->depth > 0 && (name == NULL || o->depth == 1);

	if (o->comma)
		put(o, line ? "," : ", ");
	if (line) {
		put(o, "\n");
		for (unsigned i = 0; i < o->depth; i++)
			put(o, "  ");
	}
	if (name != NULL) {
		put(o, "\"");
		put(o, name);
		put(o, "\": ");
	}
	o->comma = true;
}

static void open_it(struct out *o, const char *name, const char *bracket)
{
	begin(o, name);
	put(o, bracket);
	o->comma = false;
	o->depth++;
}

static void close_it(struct out *o, const char *bracket)
{
	put(o, bracket);
	o->comma = true;
	o->depth--;
}

/* A file's name may be no UTF-8: then '?' for each octet that is no ASCII. */
static json_t *json_text(const char *value)
{
	auto_str copy = NULL;
	json_t *j = json_string(value);

	if (j != NULL)
		return j;
	copy = strdup(value);
	for (char *p = copy; p != NULL && *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return copy != NULL ? json_string(copy) : NULL;
}

/* NULL becomes null. */
static void string(struct out *o, const char *name, const char *value)
{
	json_t *j = value != NULL ? json_text(value) : json_null();

	begin(o, name);
	if (o->st == ST_OK &&
		(j == NULL ||
			json_dump_callback(j, dump, o,
				JSON_ENCODE_ANY | JSON_ENSURE_ASCII) != 0) &&
		o->st == ST_OK)
		o->st = err_set(o->err, ST_NOMEM, "out of memory");
	json_decref(j);
}

static void or_null(struct out *o, const char *name, const char *value)
{
	string(o, name, value[0] != '\0' ? value : NULL);
}

static void number(struct out *o, const char *name, int64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	begin(o, name);
	put(o, text);
}

static void when(struct out *o, const char *name, int64_t s)
{
	char text[CLOCK_TEXT_MAX];

	string(o, name, clock_utc(s * 1000, text));
}

/* ---- the parts ---- */

static void put_reports(struct out *o, const struct tlsrpt_set *set)
{
	open_it(o, "reports", "[");
	for (size_t i = 0; i < set->n_reports; i++) {
		const struct tlsrpt_report *r = set->report[i];
		int64_t ok = 0, failed = 0;

		for (size_t j = 0; j < r->n_policies; j++)
			if (__builtin_add_overflow(ok, r->policy[j].ok, &ok) ||
				__builtin_add_overflow(
					failed, r->policy[j].failed, &failed))
				ok = failed = INT64_MAX;
		open_it(o, NULL, "{");
		string(o, "file", r->file);
		string(o, "sender", r->org);
		string(o, "contact", r->contact);
		or_null(o, "id", r->id);
		when(o, "begin", r->begin_s);
		when(o, "end", r->end_s);
		number(o, "sessions_ok", ok);
		number(o, "sessions_failed", failed);
		close_it(o, "}");
	}
	close_it(o, "]");
}

static void put_notes(struct out *o, const struct tlsrpt_set *set)
{
	open_it(o, "duplicates", "[");
	for (size_t i = 0; i < set->n_duplicates; i++) {
		const struct tlsrpt_note *n = &set->duplicate[i];

		open_it(o, NULL, "{");
		string(o, "file", n->file);
		string(o, "sender", n->first->org);
		string(o, "id", n->first->id);
		string(o, "first_file", n->first->file);
		close_it(o, "}");
	}
	close_it(o, "]");
	open_it(o, "errors", "[");
	for (size_t i = 0; i < set->n_bad; i++) {
		open_it(o, NULL, "{");
		string(o, "file", set->bad[i].file);
		string(o, "error", set->bad[i].text);
		close_it(o, "}");
	}
	close_it(o, "]");
}

static void put_failure(struct out *o, const struct tlsrpt_failure *f)
{
	open_it(o, NULL, "{");
	or_null(o, "result_type", f->type);
	or_null(o, "mx", f->mx);
	number(o, "count", f->count);
	or_null(o, "reason", f->reason);
	if (f->mark == NULL) {
		string(o, "rollover", NULL);
	} else {
		open_it(o, "rollover", "{");
		string(o, "lineage", f->mark->lineage);
		string(o, "kind", f->mark->kind);
		when(o, "at", f->mark->at_s);
		close_it(o, "}");
	}
	close_it(o, "}");
}

static void put_sender(struct out *o, const struct tlsrpt_sender *s)
{
	open_it(o, NULL, "{");
	string(o, "sender", s->org);
	string(o, "policy_type", s->policy_type);
	number(o, "sessions_ok", s->ok);
	number(o, "sessions_failed", s->failed);
	number(o, "reports", (int64_t)s->reports);
	open_it(o, "failures", "[");
	for (size_t i = 0; i < s->n_failures; i++)
		put_failure(o, &s->failure[i]);
	close_it(o, "]");
	close_it(o, "}");
}

static void put_seen(struct out *o, const struct tlsrpt_seen *s)
{
	char hex[SPKI_HEX];

	open_it(o, NULL, "{");
	string(o, "spki", spki_hex(&s->spki, hex));
	string(o, "role", s->key != NULL ? s->key->role : "unknown");
	string(o, "lineage", s->key != NULL ? s->key->lineage : NULL);
	number(o, "reports", (int64_t)s->reports);
	when(o, "last", s->last_s);
	close_it(o, "}");
}

static void put_domain(struct out *o, const struct tlsrpt_domain *d)
{
	open_it(o, NULL, "{");
	string(o, "domain", d->domain);
	number(o, "sessions_ok", d->ok);
	number(o, "sessions_failed", d->failed);
	when(o, "begin", d->begin_s);
	when(o, "end", d->end_s);
	number(o, "reports", (int64_t)d->reports);
	open_it(o, "senders", "[");
	for (size_t i = 0; i < d->n_senders; i++)
		put_sender(o, &d->sender[i]);
	close_it(o, "]");
	open_it(o, "keys", "[");
	for (size_t i = 0; i < d->n_seen; i++)
		put_seen(o, &d->seen[i]);
	close_it(o, "]");
	close_it(o, "}");
}

static void put_types(struct out *o, const struct tlsrpt_totals *t)
{
	char command[TLSRPT_TEXT_MAX + 64];

	open_it(o, "result_types", "[");
	for (size_t i = 0; i < t->n_types; i++) {
		const struct tlsrpt_type *ty = &t->type[i];
		bool runs = tlsrpt_command(ty, command, sizeof(command));

		open_it(o, NULL, "{");
		or_null(o, "type", ty->type);
		number(o, "count", ty->count);
		string(o, "meaning", tlsrpt_advice(ty->type));
		string(o, "command", runs ? command : NULL);
		close_it(o, "}");
	}
	close_it(o, "]");
}

enum status tlsrpt_json(const struct tlsrpt_set *set,
	const struct tlsrpt_known *known, const struct tlsrpt_totals *t,
	struct buf *ret, struct err *err)
{
	struct out o = { .b = ret, .err = err, .st = ST_OK };

	open_it(&o, NULL, "{");
	number(&o, "version", TLSRPT_JSON_VERSION);
	number(&o, "sessions_ok", t->ok);
	number(&o, "sessions_failed", t->failed);
	begin(&o, "rollovers_known");
	put(&o, known->any ? "true" : "false");
	put_reports(&o, set);
	put_notes(&o, set);
	open_it(&o, "domains", "[");
	for (size_t i = 0; i < t->n_domains; i++)
		put_domain(&o, &t->domain[i]);
	close_it(&o, "]");
	put_types(&o, t);
	close_it(&o, "}");
	put(&o, "\n");
	return o.st;
}
