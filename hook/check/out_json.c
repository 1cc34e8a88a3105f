/*
 * Everything that was asked, seen and judged, as one JSON object; the keys are
 * a contract, described in danelaw-check(8). All strings are cleaned first, so
 * the result is ASCII, whatever a server has sent. jansson's setters take over
 * what they are given even when they fail, so only the failure is remembered.
 */
#include "hook/check/out_util.h"

#include "hook/base/auto.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static void set(struct out *o, json_t *obj, const char *key, json_t *v)
{
	if (json_object_set_new(obj, key, v) != 0 && o->st == ST_OK)
		o->st = err_set(o->err, ST_NOMEM, "out of memory");
}

static void add(struct out *o, json_t *array, json_t *v)
{
	if (json_array_append_new(array, v) != 0 && o->st == ST_OK)
		o->st = err_set(o->err, ST_NOMEM, "out of memory");
}

/* NULL gives null. */
static json_t *string(const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;
	auto_str clean = NULL;

	if (text == NULL)
		return json_null();
	clean = malloc(len + 1);
	return clean != NULL ? json_string(out_clean(text, clean, len + 1))
			     : NULL;
}

static json_t *string_or_null(const char *text)
{
	return string(text != NULL && text[0] != '\0' ? text : NULL);
}

static json_t *name(const char *text)
{
	char bare[DNS_NAME_MAX];

	return string_or_null(out_bare(text, bare));
}

static json_t *number_if(bool is, int64_t v)
{
	return is ? json_integer((json_int_t)v) : json_null();
}

static json_t *when(int64_t s)
{
	char text[CLOCK_TEXT_MAX];

	return s != 0 ? string(out_time(s, text)) : json_null();
}

static json_t *window(struct out *o, int64_t inception, int64_t expiration)
{
	json_t *j;

	if (expiration == 0)
		return json_null();
	j = json_object();
	set(o, j, "inception", when(inception));
	set(o, j, "expiration", when(expiration));
	return j;
}

static json_t *hex(const uint8_t *data, size_t len)
{
	auto_str text = malloc(2 * len + 1);

	if (text == NULL)
		return NULL;
	out_hex(data, len, text);
	return json_string(text);
}

static json_t *spki(const struct spki *s)
{
	return spki_is_none(s) ? json_null() : hex(s->d, SPKI_LEN);
}

/* What others call it. */
static void set_code(struct out *o, json_t *j, enum check_code code)
{
	const struct check_code_info *i =
		code != CODE_NONE ? check_code_info(code) : NULL;

	set(o, j, "code", string(i != NULL ? i->name : NULL));
	set(o, j, "exchange", string(i != NULL ? i->exchange : NULL));
	set(o, j, "tlsrpt", string(i != NULL ? i->tlsrpt : NULL));
	set(o, j, "postfix", string(i != NULL ? i->postfix : NULL));
}

/* ---- look-ups ---- */

static json_t *lookup(struct out *o, const struct lookup *l)
{
	json_t *j, *rr;
	char type[16];

	if (l == NULL)
		return json_null();
	j = json_object();
	rr = json_array();
	set(o, j, "name", name(l->name));
	set(o, j, "type", string(dns_type_name(l->type, type)));
	set(o, j, "security", string(dns_security_name(l->security)));
	set(o, j, "presence", string(out_presence(l)));
	set(o, j, "ttl", json_integer(l->ttl));
	set(o, j, "canonical", name(l->canon));
	set(o, j, "zone", name(l->zone));
	set(o, j, "rcode", json_integer(l->rcode));
	set(o, j, "ede", number_if(l->ede >= 0, l->ede));
	set(o, j, "rrsig", window(o, l->inception, l->expiration));
	set(o, j, "ms", json_integer(l->took_ms));
	set(o, j, "why", string_or_null(l->why));
	for (size_t i = 0; i < l->n && o->st == ST_OK; i++) {
		auto_buf text = BUF_INIT(OUT_MAX);

		o->st = out_rdata(l->type, &l->rr[i], &text, o->err);
		add(o, rr, string(buf_str(&text)));
	}
	set(o, j, "records", rr);
	return j;
}

/* ---- hosts ---- */

static json_t *record(struct out *o, const struct check_host *h, size_t i)
{
	const struct check_record *r = h->record != NULL ? &h->record[i] : NULL;
	const struct tlsa *rr = &h->rrset.rr[i];
	json_t *j = json_object();
	bool matches = r != NULL && r->matches;

	if (r != NULL && r->rr != NULL)
		rr = r->rr;
	set(o, j, "usage", json_integer(rr->usage));
	set(o, j, "selector", json_integer(rr->selector));
	set(o, j, "matching_type", json_integer(rr->mtype));
	set(o, j, "data", hex(rr->data, rr->len));
	set(o, j, "usable", json_boolean(r != NULL && r->usable));
	set(o, j, "why", string(r != NULL && !r->usable ? r->why : NULL));
	set(o, j, "hidden", json_boolean(r != NULL && r->hidden));
	set(o, j, "matches", json_boolean(matches));
	set(o, j, "depth", number_if(matches, matches ? r->depth : 0));
	set(o, j, "role", string(r != NULL ? r->role : NULL));
	set(o, j, "lineage", string(r != NULL ? r->lineage : NULL));
	set(o, j, "retired_issuer", string(r != NULL ? r->retired : NULL));
	return j;
}

static json_t *chain(struct out *o, const struct probe_job *job)
{
	json_t *array = json_array();

	for (size_t i = 0; i < job->chain.n; i++) {
		const struct cert_view *v = &job->chain.cert[i];
		json_t *j = json_object(), *names = json_array();

		set(o, j, "subject", string(v->subject));
		set(o, j, "issuer", string(v->issuer));
		set(o, j, "not_before", when(v->not_before));
		set(o, j, "not_after", when(v->not_after));
		set(o, j, "self_issued", json_boolean(v->self_issued));
		set(o, j, "key", string(key_alg_name(v->alg)));
		set(o, j, "key_bits", json_integer(v->key_bits));
		set(o, j, "spki_sha256", spki(&v->spki));
		set(o, j, "cert_sha256", hex(v->cert256, 32));
		set(o, j, "matched",
			json_boolean(job->matched >= 0 && job->depth >= 0 &&
				     (size_t)job->depth == i));
		for (size_t k = 0; k < v->n_names; k++)
			add(o, names, string(v->name[k]));
		set(o, j, "names", names);
		add(o, array, j);
	}
	return array;
}

static json_t *dialogue(struct out *o, const char *log)
{
	json_t *array;

	if (log == NULL)
		return json_null();
	array = json_array();
	while (*log != '\0') {
		size_t len = strcspn(log, "\n");
		auto_str line = strndup(log, len);

		add(o, array, line != NULL ? string(line) : NULL);
		log += len + (log[len] != '\0');
	}
	return array;
}

static json_t *connection(struct out *o, const struct check_conn *k)
{
	const struct probe_job *job = &k->job;
	json_t *j = json_object();
	bool served = job->result == PROBE_SERVED;

	set(o, j, "address", string(k->addr));
	set(o, j, "protocol", string(probe_proto_name(job->proto)));
	set(o, j, "asked_key", string(probe_alg_name(job->alg)));
	set(o, j, "asked_tls", string(probe_version_name(job->version)));
	set(o, j, "sni", json_boolean(!job->no_sni));
	set(o, j, "state", string(conn_state_name(k->state)));
	set_code(o, j, k->code);
	set(o, j, "result", string(probe_result_name(job->result)));
	set(o, j, "dane", string(served ? probe_dane_name(job->dane) : NULL));
	set(o, j, "usable_records", number_if(served, (int64_t)job->n_usable));
	set(o, j, "matched_record",
		number_if(served && job->matched >= 0, job->matched));
	set(o, j, "matched_depth",
		number_if(served && job->matched >= 0, job->depth));
	set(o, j, "tls", string_or_null(job->tls));
	set(o, j, "cipher", string_or_null(job->cipher));
	set(o, j, "key", string(served ? key_alg_name(job->key_alg) : NULL));
	set(o, j, "spki_sha256", spki(&job->spki));
	set(o, j, "not_before", when(job->not_before));
	set(o, j, "not_after", when(job->not_after));
	set(o, j, "local_address", string_or_null(job->local));
	set(o, j, "starttls_offered", json_boolean(job->offered));
	set(o, j, "reply_code", number_if(job->code != 0, job->code));
	set(o, j, "connect_ms", json_integer(job->connect_ms));
	set(o, j, "ms", json_integer(job->took_ms));
	set(o, j, "why", string_or_null(job->why));
	set(o, j, "chain", chain(o, job));
	set(o, j, "dialogue", dialogue(o, job->log));
	return j;
}

static json_t *host(struct out *o, const struct check *c, size_t n)
{
	const struct check_host *h = &c->host[n];
	json_t *j = json_object(), *look = json_object();
	json_t *records = json_array(), *conns = json_array();
	bool mx = c->kind == CHECK_BY_DOMAIN && !c->implicit_mx;

	set(o, j, "name", string(out_host(h)));
	set(o, j, "preference", number_if(mx, h->pref));
	set(o, j, "port", json_integer(h->port));
	set(o, j, "protocol", string(probe_proto_name(h->proto)));
	set(o, j, "alias", json_boolean(h->alias));
	set(o, j, "expanded", name(h->expanded));
	set(o, j, "dane", string(out_dane_name(h->dane)));
	set(o, j, "tlsa_base", name(h->base));
	set(o, j, "tlsa_owner", name(h->owner));
	set(o, j, "why", string_or_null(h->why));
	set(o, j, "verdict", string(check_verdict_name(h->verdict)));
	set(o, look, "a", lookup(o, h->a));
	set(o, look, "aaaa", lookup(o, h->aaaa));
	set(o, look, "cname", lookup(o, h->cname));
	set(o, look, "tlsa", lookup(o, h->tlsa));
	set(o, j, "lookups", look);
	for (size_t i = 0; i < h->rrset.n; i++)
		add(o, records, record(o, h, i));
	set(o, j, "records", records);
	for (size_t i = 0; i < h->n_conns; i++)
		add(o, conns, connection(o, &h->conn[i]));
	set(o, j, "connections", conns);
	return j;
}

/* ---- name servers ---- */

static json_t *answer(
	struct out *o, const struct survey *s, const struct survey_answer *a)
{
	bool soa = a->question >= s->n_questions;
	bool answered = survey_answered(a->outcome);
	json_t *j = json_object(), *records = json_array();
	char type[16];

	set(o, j, "name",
		soa ? name(s->zone[a->zone].auth.zone)
		    : name(s->question[a->question].name));
	set(o, j, "type",
		string(dns_type_name(
			soa ? RRTYPE_SOA : s->question[a->question].type,
			type)));
	set(o, j, "transport", string(a->tcp ? "tcp" : "udp"));
	set(o, j, "outcome", string(survey_outcome_name(a->outcome)));
	set(o, j, "answered", json_boolean(answered));
	set(o, j, "truncated", json_boolean(a->truncated));
	set(o, j, "rcode", json_integer(a->rcode));
	set(o, j, "ede", number_if(a->ede >= 0, a->ede));
	set(o, j, "ttl", number_if(answered, a->ttl));
	set(o, j, "count", number_if(answered, (int64_t)a->n_rr));
	for (size_t i = 0; i < a->rrset.n && o->st == ST_OK; i++) {
		auto_buf text = BUF_INIT(OUT_MAX);

		o->st = tlsa_text(&a->rrset.rr[i], &text, o->err);
		add(o, records, string(buf_str(&text)));
	}
	set(o, j, "tlsa", records);
	set(o, j, "signature",
		string(a->sig_checked ? out_sig_name(a->sig) : NULL));
	set(o, j, "rrsig", window(o, a->inception, a->expiration));
	set(o, j, "serial", number_if(soa && answered, a->serial));
	set(o, j, "refresh", number_if(soa && answered, a->refresh));
	set(o, j, "retry", number_if(soa && answered, a->retry));
	set(o, j, "minimum", number_if(soa && answered, a->minimum));
	set(o, j, "ms", json_integer(a->took_ms));
	set(o, j, "why", string_or_null(a->why));
	return j;
}

static json_t *server(struct out *o, const struct survey *s, const bool *asked,
	size_t zone, size_t n)
{
	const struct auth_server *sv = &s->zone[zone].auth.server[n];
	json_t *j = json_object(), *answers = json_array();

	set(o, j, "name", name(sv->name));
	set(o, j, "address", string(sv->has_addr ? sv->addr.text : NULL));
	set(o, j, "why", string_or_null(sv->why));
	for (size_t i = 0; i < s->n_answers; i++) {
		const struct survey_answer *a = &s->answer[i];

		if (a->zone == zone && a->server == n &&
			(a->question >= s->n_questions || asked[a->question]))
			add(o, answers, answer(o, s, a));
	}
	set(o, j, "answers", answers);
	return j;
}

static json_t *zones(struct out *o, const struct check *c)
{
	auto_mem bool *used = out_zones(o, c);
	auto_mem bool *asked = out_questions(o, c);
	json_t *array = json_array();

	for (size_t i = 0;
		used != NULL && asked != NULL && i < c->survey->n_zones; i++) {
		const struct survey_zone *z = &c->survey->zone[i];
		json_t *j, *servers;

		if (!used[i])
			continue;
		j = json_object();
		servers = json_array();
		set(o, j, "name", name(z->auth.zone));
		set(o, j, "security",
			string(dns_security_name(z->auth.security)));
		set(o, j, "why", string_or_null(z->auth.why));
		set(o, j, "ds", string(out_ds_name(z->ds)));
		set(o, j, "ds_why", string_or_null(z->ds_why));
		for (size_t k = 0; k < z->auth.n_servers; k++)
			add(o, servers, server(o, c->survey, asked, i, k));
		set(o, j, "servers", servers);
		add(o, array, j);
	}
	return array;
}

/* ---- the whole ---- */

static json_t *findings(struct out *o, const struct check *c)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n_findings; i++) {
		const struct finding *f = &c->finding[i];
		json_t *j = json_object();
		bool of_host = f->host >= 0 && (size_t)f->host < c->n_hosts;

		set_code(o, j, f->code);
		set(o, j, "title", string(check_code_info(f->code)->title));
		set(o, j, "level", string(finding_level_name(f->level)));
		set(o, j, "host", number_if(of_host, f->host));
		set(o, j, "where", string_or_null(f->where));
		set(o, j, "text", string(f->text));
		set(o, j, "remedy", string_or_null(f->remedy));
		set(o, j, "reproduce", string_or_null(f->reproduce));
		add(o, array, j);
	}
	return array;
}

static json_t *check(struct out *o, const struct check *c)
{
	const struct out_meaning *m = out_meaning(c);
	json_t *j = json_object(), *look = json_object();
	json_t *mean = json_object(), *hosts = json_array();
	bool one = c->kind != CHECK_BY_LINEAGE;

	set(o, j, "kind", string(out_kind_name(c->kind)));
	set(o, j, "name", name(c->name));
	set(o, j, "profile", string(out_profile_name(c->profile)));
	set(o, j, "port", number_if(one, c->port != 0 ? c->port : 25));
	set(o, j, "protocol", string(one ? probe_proto_name(c->proto) : NULL));
	set(o, j, "expanded", name(c->expanded));
	set(o, j, "null_mx", json_boolean(c->null_mx));
	set(o, j, "implicit_mx", json_boolean(c->implicit_mx));
	set(o, j, "truncated", json_boolean(c->truncated));
	set(o, j, "resolver_fault", string_or_null(c->resolver_fault));
	set(o, j, "time", when(c->now_s));
	set(o, j, "ms", json_integer((json_int_t)c->took_ms));
	set(o, j, "verdict", string(check_verdict_name(c->verdict)));
	set(o, j, "exit", json_integer(check_verdict_exit(c->verdict)));
	set(o, mean, "what", string(m->what));
	set(o, mean, "opportunistic", string(m->opportunistic));
	set(o, mean, "mandatory", string(m->mandatory));
	set(o, j, "meaning", mean);
	set(o, look, "mx", lookup(o, c->mx));
	set(o, look, "tlsrpt", lookup(o, c->tlsrpt));
	set(o, look, "bare_tlsa", lookup(o, c->bare_tlsa));
	set(o, j, "lookups", look);
	for (size_t i = 0; i < c->n_hosts && o->st == ST_OK; i++)
		add(o, hosts, host(o, c, i));
	set(o, j, "hosts", hosts);
	set(o, j, "zones", zones(o, c));
	set(o, j, "findings", findings(o, c));
	return j;
}

static int append(const char *text, size_t len, void *arg)
{
	struct out *o = arg;

	if (o->st == ST_OK)
		o->st = buf_append(o->buf, text, len, o->err);
	return o->st == ST_OK ? 0 : -1;
}

enum status out_json(const struct check *const c[], size_t n,
	const struct memo *m, const struct out_options *opt, struct buf *ret,
	struct err *err)
{
	struct out o = { .buf = ret, .err = err, .st = ST_OK };
	json_auto_t *root = json_object();
	json_t *checks = json_array(), *queries = json_array();

	for (size_t i = 0; i < n && o.st == ST_OK; i++)
		add(&o, checks, check(&o, c[i]));
	for (size_t i = 0;
		opt->verbose && m != NULL && i < memo_count(m) && o.st == ST_OK;
		i++)
		add(&o, queries, lookup(&o, memo_at(m, i)));
	set(&o, root, "version", json_integer(CHECK_JSON_VERSION));
	set(&o, root, "checks", checks);
	if (opt->verbose)
		set(&o, root, "queries", queries);
	else
		json_decref(queries);
	if (o.st == ST_OK &&
		json_dump_callback(root, append, &o,
			JSON_INDENT(2) | JSON_SORT_KEYS) != 0 &&
		o.st == ST_OK)
		o.st = err_set(err, ST_NOMEM, "out of memory");
	if (o.st == ST_OK)
		o.st = buf_append(ret, "\n", 1, err);
	return o.st;
}
