/*
 * -v: each question with who answered it and what, then each dialogue. One
 * line for one event, so that it can be searched; every line of a dialogue
 * starts with the number of its connection. (dane.md S40, B-29)
 */
#include "hook/check/out_util.h"

#include "hook/base/auto.h"

#include <stdio.h>
#include <string.h>

#define DATA_SHOWN 8 /* records of an answer */

/* " RRSIG from..until" */
static void window(struct out *o, int64_t inception, int64_t expiration)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];

	if (expiration != 0)
		out_put(o, " RRSIG %s..%s", out_time(inception, from),
			out_time(expiration, to));
}

static void data(struct out *o, const struct lookup *l)
{
	for (size_t i = 0; i < l->n && i < DATA_SHOWN && o->st == ST_OK; i++) {
		auto_buf text = BUF_INIT(OUT_MAX);

		o->st = out_rdata(l->type, &l->rr[i], &text, o->err);
		out_put(o, "%s %s", i > 0 ? "," : ":", buf_str(&text));
	}
	if (l->n > DATA_SHOWN)
		out_put(o, ", and %zu more", l->n - DATA_SHOWN);
}

void out_query(struct out *o, const struct lookup *l)
{
	const char *presence = out_presence(l);
	char type[16];

	out_put(o, "query %s %s resolver: %s", l->name, dns_type_name(l->type, type),
		dns_security_name(l->security));
	if (presence != NULL)
		out_put(o, " %s TTL %u", presence, l->ttl);
	window(o, l->inception, l->expiration);
	out_put(o, " rcode %d", l->rcode);
	if (l->ede >= 0)
		out_put(o, " EDE %d", l->ede);
	out_put(o, " %u ms", l->took_ms);
	if (presence == NULL)
		out_put(o, ": %s", l->why);
	else if (l->canon[0] != '\0' && strcmp(l->canon, l->name) != 0)
		out_put(o, " (alias of %s)", l->canon);
	if (presence != NULL)
		data(o, l);
	out_nl(o);
}

static void server_answer(
	struct out *o, const struct survey *s, const struct survey_answer *a)
{
	const struct zone_auth *z = &s->zone[a->zone].auth;
	const struct auth_server *sv =
		a->server < z->n_servers ? &z->server[a->server] : NULL;
	bool soa = a->question >= s->n_questions;
	char type[16];

	out_put(o, "query %s %s %s [%s] %s: %s",
		soa ? z->zone : s->question[a->question].name,
		dns_type_name(
			soa ? RRTYPE_SOA : s->question[a->question].type, type),
		sv != NULL ? sv->name : "?",
		sv != NULL && sv->has_addr ? sv->addr.text : "?",
		a->tcp ? "tcp" : "udp", survey_outcome_name(a->outcome));
	if (survey_answered(a->outcome)) {
		out_put(o, " TTL %u", a->ttl);
		if (soa)
			out_put(o, " serial %u", a->serial);
		else
			out_put(o, " records %zu", a->n_rr);
	}
	if (a->sig_checked)
		out_put(o, " signature %s", out_sig_name(a->sig));
	window(o, a->inception, a->expiration);
	out_put(o, " rcode %u", a->rcode);
	if (a->truncated)
		out_put(o, " truncated");
	if (a->ede >= 0)
		out_put(o, " EDE %d", a->ede);
	out_put(o, " %u ms", a->took_ms);
	if (a->why[0] != '\0')
		out_put(o, ": %s", a->why);
	out_nl(o);
}

static void chain(struct out *o, size_t id, const struct probe_job *j)
{
	char until[CLOCK_TEXT_MAX], hex[SPKI_HEX];

	for (size_t i = 0; i < j->chain.n; i++) {
		const struct cert_view *v = &j->chain.cert[i];

		out_put(o,
			"#%zu chain %zu: subject \"%s\" issuer \"%s\" %s until "
			"%s spki %s%s",
			id, i, v->subject, v->issuer, key_alg_name(v->alg),
			out_time(v->not_after, until), spki_hex(&v->spki, hex),
			j->matched >= 0 && j->depth >= 0 &&
					(size_t)j->depth == i
				? " [matched]"
				: "");
		out_nl(o);
	}
}

static void dialogue(struct out *o, size_t id, const char *log)
{
	while (*log != '\0' && o->st == ST_OK) {
		size_t len = strcspn(log, "\n");

		out_put(o, "#%zu %.*s", id, (int)len, log);
		out_nl(o);
		log += len + (log[len] != '\0');
	}
}

static void connection(struct out *o, size_t id, const struct check_host *h,
	const struct check_conn *k)
{
	const struct probe_job *j = &k->job;

	out_put(o, "#%zu connection %s:%u [%s] %s key %s %s %s SNI", id,
		out_host(h), h->port, k->addr, probe_proto_name(j->proto),
		probe_alg_name(j->alg), probe_version_name(j->version),
		j->no_sni ? "without" : "with");
	out_nl(o);
	if (j->log != NULL)
		dialogue(o, id, j->log);
	chain(o, id, j);
	out_put(o, "#%zu %s: %s", id, conn_state_name(k->state),
		probe_result_name(j->result));
	if (j->result == PROBE_SERVED) {
		char until[CLOCK_TEXT_MAX], hex[SPKI_HEX];

		out_put(o, " %s %s %s key %s until %s DANE %s", j->tls,
			j->cipher, key_alg_name(j->key_alg),
			spki_hex(&j->spki, hex), out_time(j->not_after, until),
			probe_dane_name(j->dane));
		if (j->matched >= 0)
			out_put(o, " depth %d", j->depth);
	}
	out_put(o, " %u ms", j->took_ms);
	if (k->code != CODE_NONE)
		out_put(o, " %s", check_code_info(k->code)->name);
	if (j->why[0] != '\0')
		out_put(o, ": %s", j->why);
	out_nl(o);
}

enum status out_trace(const struct check *const c[], size_t n,
	const struct memo *m, struct buf *ret, struct err *err)
{
	struct out o = { .buf = ret, .err = err, .st = ST_OK };
	const struct survey *shown = NULL;
	size_t id = 0;

	for (size_t i = 0; m != NULL && i < memo_count(m); i++)
		out_query(&o, memo_at(m, i));
	for (size_t i = 0; i < n; i++) {
		const struct survey *s = c[i]->survey;

		if (s == NULL || s == shown)
			continue;
		shown = s;
		for (size_t k = 0; k < s->n_answers; k++)
			if (s->answer[k].zone < s->n_zones)
				server_answer(&o, s, &s->answer[k]);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < c[i]->n_hosts; h++)
			for (size_t k = 0; k < c[i]->host[h].n_conns; k++)
				connection(&o, ++id, &c[i]->host[h],
					&c[i]->host[h].conn[k]);
	return o.st;
}
