/*
 * What the name servers of the zones that this check depends on said: each
 * asked by itself, over UDP and over TCP. A server that cannot be reached is
 * one that a resolver goes around; a server that is there and answers wrongly
 * makes mail wait for some sender.
 *
 * The survey is shared by all checks of a run: only the questions that concern
 * this one are looked at. (RFC 8020; RFC 4035 5; dane.md S22, S24, S39, S68,
 * S74, B-15, B-28, C7, C9-C11)
 */
#include "hook/check/judge_dns.h"

#include "hook/check/reproduce.h"

#include <stdlib.h>
#include <string.h>

/* ---- which questions ---------------------------------------------------- */

bool view_is(const char *name, const char *other)
{
	return other[0] != '\0' && strcmp(name, other) == 0;
}

static bool is_ent(const char *name, const struct check_host *h)
{
	return strncmp(name, "_tcp.", 5) == 0 && view_is(name + 5, h->base);
}

static bool of_host(const struct survey_question *q, const struct check_host *h)
{
	if (view_is(q->name, h->owner) || is_ent(q->name, h) ||
		(h->tlsa != NULL && view_is(q->name, h->tlsa->canon)))
		return true;
	return (q->type == RRTYPE_A || q->type == RRTYPE_AAAA) &&
	       (view_is(q->name, h->name) || view_is(q->name, h->expanded));
}

static bool is_mine(const struct check *c, const struct survey_question *q)
{
	if (q->type == RRTYPE_MX && c->kind == CHECK_BY_DOMAIN)
		return view_is(q->name, c->name) ||
		       view_is(q->name, c->expanded);
	for (size_t i = 0; i < c->n_hosts; i++)
		if (of_host(q, &c->host[i]))
			return true;
	return false;
}

static int by_place(const void *a, const void *b)
{
	const struct view *x = a, *y = b;

	if (x->zone != y->zone)
		return x->zone < y->zone ? -1 : 1;
	if (x->server != y->server)
		return x->server < y->server ? -1 : 1;
	if (x->question != y->question)
		return x->question < y->question ? -1 : 1;
	return 0;
}

/* Puts the answers of a server to one question together. */
static void merge(struct dns *d)
{
	size_t n = 0;

	if (d->n > 1)
		qsort(d->view, d->n, sizeof(*d->view), by_place);
	for (size_t i = 0; i < d->n; i++) {
		if (n == 0 || by_place(&d->view[n - 1], &d->view[i]) != 0) {
			d->view[n++] = d->view[i];
			continue;
		}
		for (size_t t = 0; t < 2; t++)
			if (d->view[i].a[t] != NULL)
				d->view[n - 1].a[t] = d->view[i].a[t];
	}
	d->n = n;
}

static bool is_sane(const struct survey *s, const struct survey_answer *a)
{
	return a->zone < s->n_zones &&
	       a->server < s->zone[a->zone].auth.n_servers &&
	       (a->question == SIZE_MAX || a->question < s->n_questions);
}

/* mine: one per question, then one per zone. */
static enum status collect(struct dns *d, bool *mine)
{
	const struct survey *s = d->s;
	bool *zone = mine + s->n_questions;

	for (size_t i = 0; i < s->n_questions; i++) {
		mine[i] = is_mine(d->c, &s->question[i]);
		if (mine[i] && s->question[i].zone < s->n_zones)
			zone[s->question[i].zone] = true;
	}
	d->view = calloc(s->n_answers + 1, sizeof(*d->view));
	if (d->view == NULL)
		return err_set(d->err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < s->n_answers; i++) {
		const struct survey_answer *a = &s->answer[i];
		struct view *v = &d->view[d->n];

		if (!is_sane(s, a) ||
			!(a->question == SIZE_MAX ? zone[a->zone]
						  : mine[a->question]))
			continue;
		v->zone = a->zone;
		v->server = a->server;
		v->question = a->question;
		v->a[a->tcp ? 1 : 0] = a;
		d->n++;
	}
	merge(d);
	return ST_OK;
}

/* ---- words -------------------------------------------------------------- */

const struct auth_server *view_server(const struct dns *d, const struct view *v)
{
	return &d->s->zone[v->zone].auth.server[v->server];
}

const char *view_name(const struct dns *d, const struct view *v)
{
	return v->question == SIZE_MAX ? d->s->zone[v->zone].auth.zone
				       : d->s->question[v->question].name;
}

uint16_t view_type(const struct dns *d, const struct view *v)
{
	return v->question == SIZE_MAX ? RRTYPE_SOA
				       : d->s->question[v->question].type;
}

/* Without the final dot. */
void view_add_name(char *ret, size_t len, const char *name)
{
	size_t n = strlen(name);

	judge_add(ret, len, "%.*s", (int)(n > 1 ? n - 1 : n), name);
}

void view_add_server(char *ret, size_t len, const struct auth_server *s)
{
	view_add_name(ret, len, s->name);
	judge_add(ret, len, " [%s]", s->has_addr ? s->addr.text : "?");
}

void view_add_question(
	char *ret, size_t len, const struct dns *d, const struct view *v)
{
	char type[16];

	view_add_name(ret, len, view_name(d, v));
	judge_add(ret, len, " %s", dns_type_name(view_type(d, v), type));
}

/* Where the zone is not signed, senders do not ask about TLSA. */
static enum finding_level level_in(
	const struct dns *d, size_t zone, enum finding_level level)
{
	if (level == FINDING_FAIL &&
		d->s->zone[zone].auth.security == DNS_INSECURE)
		return FINDING_WARN;
	return level;
}

struct finding *view_find(struct dns *d, enum check_code code,
	enum finding_level level, size_t zone)
{
	struct finding *f;

	level = level_in(d, zone, level);
	f = check_find(d->c, code, level, -1, d->err);
	if (f != NULL && level == FINDING_FAIL)
		d->broken = true;
	return f;
}

/* ---- one server --------------------------------------------------------- */

/* The answers of one server: view[from] to view[to - 1]. */
struct span {
	size_t from, to;
	bool alive[2]; /* over UDP, TCP: some answer came */
	bool asked[2];
};

static bool is_silent(enum survey_outcome o)
{
	return o == SURVEY_TIMEOUT || o == SURVEY_NETWORK;
}

static struct span span_of(const struct dns *d, size_t from)
{
	struct span sp = { .from = from, .to = from };

	for (; sp.to < d->n && d->view[sp.to].zone == d->view[from].zone &&
		d->view[sp.to].server == d->view[from].server;
		sp.to++)
		for (size_t t = 0; t < 2; t++) {
			const struct survey_answer *a = d->view[sp.to].a[t];

			if (a == NULL || a->outcome == SURVEY_NO_ROUTE)
				continue;
			sp.asked[t] = true;
			sp.alive[t] |= !is_silent(a->outcome);
		}
	return sp;
}

/* What is wrong with one view; equal troubles of a server are one finding. */
struct trouble {
	enum check_code code;
	enum finding_level level;
	int detail; /* outcomes or signature, to tell troubles apart */
	size_t t;   /* over which transport it shows */
};

static bool is_bad(const struct survey_answer *a)
{
	return a != NULL && a->outcome != SURVEY_NO_ROUTE &&
	       !survey_answered(a->outcome);
}

bool view_is_good(const struct survey_answer *a)
{
	return a != NULL && survey_answered(a->outcome);
}

/* TLSA and the name above it decide; of others only a server that does not
 * know the zone at all is as bad, since a resolver goes to the next one. */
static enum finding_level answer_level(
	const struct dns *d, const struct view *v, enum survey_outcome o)
{
	bool tlsa = view_type(d, v) == RRTYPE_TLSA ||
		    strncmp(view_name(d, v), "_tcp.", 5) == 0;

	return tlsa || o == SURVEY_LAME ? FINDING_FAIL : FINDING_WARN;
}

static bool is_error(enum survey_outcome o)
{
	return o == SURVEY_SERVFAIL || o == SURVEY_REFUSED ||
	       o == SURVEY_NOTIMP || o == SURVEY_FORMERR || o == SURVEY_RCODE;
}

static struct trouble answer_trouble(
	const struct dns *d, const struct span *sp, const struct view *v)
{
	struct trouble r = { .code = CODE_NONE };
	const struct survey_answer *u = sp->alive[0] ? v->a[0] : NULL;
	const struct survey_answer *t = sp->alive[1] ? v->a[1] : NULL;

	if (!is_bad(u) && !is_bad(t))
		return r;
	r.t = is_bad(u) ? 0 : 1;
	r.detail = (is_bad(u) ? (int)u->outcome + 1 : 0) * 64 +
		   (is_bad(t) ? (int)t->outcome + 1 : 0);
	if (view_is_good(u) || view_is_good(t)) {
		/* Silence may be the way; an error is the server's word, and
		 * no resolver asks again over the other transport. */
		r.code = CODE_NS_TRANSPORT;
		r.level = view_type(d, v) == RRTYPE_TLSA &&
					  is_error(v->a[r.t]->outcome)
				  ? FINDING_FAIL
				  : FINDING_WARN;
		return r;
	}
	r.code = CODE_NS_TLSA;
	r.level = answer_level(d, v, v->a[r.t]->outcome);
	return r;
}

static bool exists_below(
	const struct dns *d, const struct span *sp, const struct check_host *h)
{
	for (size_t i = sp->from; i < sp->to; i++) {
		const struct view *v = &d->view[i];

		if (!view_is(view_name(d, v), h->owner))
			continue;
		for (size_t t = 0; t < 2; t++)
			if (view_is_good(v->a[t]))
				return v->a[t]->outcome != SURVEY_NXDOMAIN;
	}
	return h->tlsa != NULL && h->tlsa->havedata;
}

/* A resolver that minimises names asks for _tcp.HOST first, and believes that
 * there is nothing below a name that does not exist. (RFC 8020) */
static struct trouble ent_trouble(
	const struct dns *d, const struct span *sp, const struct view *v)
{
	struct trouble r = { .code = CODE_NONE };
	const char *name = view_name(d, v);
	size_t t = 0;

	while (t < 2 &&
		(v->a[t] == NULL || v->a[t]->outcome != SURVEY_NXDOMAIN))
		t++;
	for (size_t i = 0; t < 2 && i < d->c->n_hosts; i++)
		if (is_ent(name, &d->c->host[i]) &&
			exists_below(d, sp, &d->c->host[i]))
			r = (struct trouble){ CODE_NS_ENT, FINDING_FAIL, 0, t };
	return r;
}

static enum codec_sig sig_of(const struct dns *d, const struct survey_answer *a)
{
	if (!view_is_good(a))
		return CODEC_SIG_OK;
	if (a->sig_checked && a->sig != CODEC_SIG_OK)
		return a->sig;
	/* Without validated keys the window still says this much. */
	if (a->expiration != 0 &&
		(a->expiration < d->c->now_s || a->inception > d->c->now_s))
		return CODEC_SIG_EXPIRED;
	return CODEC_SIG_OK;
}

static struct trouble sig_trouble(
	const struct dns *d, const struct span *sp, const struct view *v)
{
	(void)sp;
	for (size_t t = 0; t < 2; t++) {
		enum codec_sig sig = sig_of(d, v->a[t]);

		if (sig != CODEC_SIG_OK)
			return (struct trouble){ CODE_NS_RRSIG, FINDING_FAIL,
				(int)sig, t };
	}
	return (struct trouble){ .code = CODE_NONE };
}

typedef struct trouble (*trouble_fn)(
	const struct dns *d, const struct span *sp, const struct view *v);

static const char *sig_text(int sig)
{
	switch ((enum codec_sig)sig) {
	case CODEC_SIG_NONE:
		return "sends no signature with";
	case CODEC_SIG_EXPIRED:
		return "sends a signature outside its time with";
	case CODEC_SIG_BAD:
	case CODEC_SIG_OK:
		break;
	}
	return "sends a wrong signature with";
}

static void put_text(struct dns *d, const struct view *v,
	const struct trouble *t, struct finding *f)
{
	const struct survey_answer *a = v->a[t->t];

	if (t->code == CODE_NS_ENT) {
		SAY(f->text, "it says NXDOMAIN, although there are TLSA "
			     "records below; resolvers that minimise names "
			     "then find none (RFC 8020). Asked:");
		SAY(f->remedy, "Update the name server: a name with others "
			       "below it must be answered with NOERROR.");
	} else if (t->code == CODE_NS_RRSIG) {
		SAY(f->text,
			"it %s its answer, so validation fails at some "
			"senders (" VIZ "). Asked:",
			sig_text(t->detail), view_name(d, v));
		SAY(f->remedy, "Sign the zone again, and see why this server "
			       "has an old or another version of it.");
	} else if (t->code == CODE_NS_TRANSPORT) {
		SAY(f->text, "it answers over %s, but over %s: %s. Asked:",
			t->t == 0 ? "TCP" : "UDP", t->t == 0 ? "UDP" : "TCP",
			survey_outcome_name(a->outcome));
		SAY(f->remedy, "Let UDP and TCP through to port 53 of it, "
			       "with answers of any size.");
	} else {
		SAY(f->text, "no proper answer: %s%s%s. Asked:",
			survey_outcome_name(a->outcome),
			a->why[0] != '\0' ? ", " : "", a->why);
		SAY(f->remedy, "It must answer for every type, with NOERROR "
			       "and a proof when there is none: mend or "
			       "replace the server, or take it out of the NS "
			       "records.");
	}
}

static enum status find_troubles(
	struct dns *d, const struct span *sp, trouble_fn fn)
{
	for (size_t i = sp->from; i < sp->to; i++) {
		const struct view *v = &d->view[i];
		struct trouble t = fn(d, sp, v);
		struct finding *f = NULL;
		size_t more = 0;

		if (t.code == CODE_NONE)
			continue;
		for (size_t k = sp->from; k < sp->to; k++) {
			struct trouble o = fn(d, sp, &d->view[k]);

			if (o.code != t.code || o.level != t.level ||
				o.detail != t.detail)
				continue;
			if (k < i)
				break; /* part of that finding */
			if (f == NULL) {
				f = view_find(d, t.code, t.level, v->zone);
				if (f == NULL)
					return d->err->st;
				view_add_server(f->where, sizeof(f->where),
					view_server(d, v));
				put_text(d, v, &t, f);
			} else if (++more > 3) {
				continue;
			}
			ADD(f->text, "%s", more > 0 ? ", " : " ");
			view_add_question(
				f->text, sizeof(f->text), d, &d->view[k]);
		}
		if (f == NULL)
			continue;
		if (more > 3)
			ADD(f->text, " and %zu more", more - 3);
		reproduce_server(f->reproduce, sizeof(f->reproduce),
			view_server(d, v)->addr.text, view_name(d, v),
			view_type(d, v), t.t == 1);
	}
	return ST_OK;
}

static enum status silent(struct dns *d, const struct span *sp,
	enum check_code code, bool tcp, const char *text, const char *remedy)
{
	const struct view *v = &d->view[sp->from];
	struct finding *f = view_find(d, code, FINDING_WARN, v->zone);

	if (f == NULL)
		return d->err->st;
	view_add_server(f->where, sizeof(f->where), view_server(d, v));
	SAY(f->text, "%s", text);
	SAY(f->remedy, "%s", remedy);
	reproduce_server(f->reproduce, sizeof(f->reproduce),
		view_server(d, v)->addr.text, view_name(d, v), view_type(d, v),
		tcp);
	return ST_OK;
}

static enum status judge_server(struct dns *d, const struct span *sp)
{
	enum status st = ST_OK;

	if (!sp->asked[0] && !sp->asked[1])
		return ST_OK; /* no route from here */
	if (!sp->alive[0] && !sp->alive[1])
		return silent(d, sp, CODE_NS_UNREACHABLE, false,
			"this name server does not answer us at all; senders "
			"use the others, and wait",
			"See whether it runs; if it is gone, take it out of "
			"the NS records here and at the parent.");
	if (sp->asked[1] && !sp->alive[1])
		st = silent(d, sp, CODE_NS_TRANSPORT, true,
			"it does not answer over TCP; answers that are too "
			"large for UDP get lost",
			"Let TCP through to port 53 of it (RFC 7766).");
	if (sp->asked[0] && !sp->alive[0])
		st = silent(d, sp, CODE_NS_TRANSPORT, false,
			"it does not answer over UDP",
			"Let UDP through to port 53 of it.");
	if (st == ST_OK)
		st = find_troubles(d, sp, answer_trouble);
	if (st == ST_OK)
		st = find_troubles(d, sp, ent_trouble);
	return st == ST_OK ? find_troubles(d, sp, sig_trouble) : st;
}

static enum status judge_survey(struct dns *d)
{
	const struct survey *s = d->s;
	bool *mine = calloc(s->n_questions + s->n_zones + 1, sizeof(*mine));
	enum status st;

	if (mine == NULL)
		return err_set(d->err, ST_NOMEM, "out of memory");
	st = collect(d, mine);
	for (size_t i = 0; st == ST_OK && i < s->n_zones; i++)
		if (mine[s->n_questions + i])
			st = judge_zone(d, i);
	for (size_t i = 0; st == ST_OK && i < d->n;) {
		struct span sp = span_of(d, i);

		st = judge_server(d, &sp);
		i = sp.to;
	}
	if (st == ST_OK)
		st = judge_agreement(d);
	free(d->view);
	free(mine);
	return st;
}

enum status judge_servers(struct check *c, bool *ret_broken, struct err *err)
{
	struct dns d = { .c = c, .s = c->survey, .err = err };
	enum status st;

	if (c->survey == NULL || c->survey->n_zones == 0)
		return judge_windows(c, err);
	st = judge_survey(&d);
	*ret_broken = d.broken;
	return st;
}
