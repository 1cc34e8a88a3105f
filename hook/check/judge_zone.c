/*
 * Name servers against each other and against what is served, and what holds
 * for a zone as a whole: DS records, signatures that end soon, servers without
 * an address, the refresh of secondaries. (RFC 4035 5.3.1; RFC 1912 2.2;
 * dane.md S22, S68, B-9, C7, C11)
 */
#include "hook/check/judge_dns.h"

#include "hook/base/clock.h"
#include "hook/check/reproduce.h"

#include <stdlib.h>
#include <string.h>

#define DAY INT64_C(86400)

/* ---- servers against each other ----------------------------------------- */

/* What two answers of different servers must agree in. False: says nothing. */
static bool key_of(const struct survey_answer *a, uint64_t *ret)
{
	if (!view_is_good(a))
		return false;
	if (a->question == SIZE_MAX) {
		*ret = a->serial;
		return a->outcome == SURVEY_DATA;
	}
	/* No data is no data, by whatever name. */
	*ret = a->outcome == SURVEY_DATA || a->outcome == SURVEY_ALIAS
		       ? a->digest
		       : 0;
	return true;
}

static bool view_key(const struct view *v, uint64_t *ret)
{
	return key_of(v->a[1], ret) || key_of(v->a[0], ret);
}

static void put_group(
	struct dns *d, const struct view *v, size_t others, struct finding *f)
{
	const struct survey_answer *a =
		view_is_good(v->a[1]) ? v->a[1] : v->a[0];

	view_add_server(f->text, sizeof(f->text), view_server(d, v));
	if (others > 0)
		ADD(f->text, " and %zu more", others);
	if (v->question == SIZE_MAX)
		ADD(f->text, ": %u", a->serial);
	else
		ADD(f->text, ": %zu records",
			a->outcome == SURVEY_DATA ? a->n_rr : (size_t)0);
}

/* The views of one question of one zone: at[0] to at[n - 1], by server. */
struct group {
	const struct view *const *at;
	size_t n;
};

static int by_question(const void *a, const void *b)
{
	const struct view *x = *(const struct view *const *)a;
	const struct view *y = *(const struct view *const *)b;

	if (x->zone != y->zone)
		return x->zone < y->zone ? -1 : 1;
	if (x->question != y->question)
		return x->question < y->question ? -1 : 1;
	return (x->server > y->server) - (x->server < y->server);
}

/* *ret_same answer as at[i] does, *ret_other differ. False when an earlier view
 * has already answered like it, or when it says nothing. */
static bool is_first_of_kind(
	const struct group *g, size_t i, size_t *ret_same, size_t *ret_other)
{
	uint64_t mine, key;

	*ret_same = *ret_other = 0;
	if (!view_key(g->at[i], &mine))
		return false;
	for (size_t k = 0; k < g->n; k++) {
		if (!view_key(g->at[k], &key))
			continue;
		if (k < i && key == mine)
			return false;
		*ret_same += key == mine;
		*ret_other += key != mine;
	}
	return true;
}

static enum status report_differences(
	struct dns *d, const struct group *g, size_t first)
{
	const struct view *v = g->at[first];
	bool soa = v->question == SIZE_MAX;
	struct finding *f = view_find(d, soa ? CODE_NS_SERIAL : CODE_NS_DIFFERS,
		FINDING_WARN, v->zone);
	size_t kinds = 0, same, other;

	if (f == NULL)
		return d->err->st;
	view_add_question(f->where, sizeof(f->where), d, v);
	SAY(f->text, "the name servers %s: ",
		soa ? "have different versions of the zone"
		    : "give different answers");
	for (size_t i = first; i < g->n; i++) {
		if (!is_first_of_kind(g, i, &same, &other))
			continue;
		ADD(f->text, "%s", kinds++ > 0 ? "; " : "");
		put_group(d, g->at[i], same - 1, f);
	}
	SAY(f->remedy, "Wait for the next transfer and check again; if it "
		       "stays, see why the NOTIFY or the transfer to the "
		       "lagging server fails.");
	reproduce_server(f->reproduce, sizeof(f->reproduce),
		view_server(d, v)->addr.text, view_name(d, v), view_type(d, v),
		false);
	return ST_OK;
}

static enum status judge_group(struct dns *d, const struct group *g)
{
	size_t first = 0, same, other;
	uint64_t key;

	while (first < g->n && !view_key(g->at[first], &key))
		first++;
	if (first == g->n || !is_first_of_kind(g, first, &same, &other) ||
		other == 0)
		return ST_OK;
	return report_differences(d, g, first);
}

static enum status judge_groups(struct dns *d, const struct view *at[])
{
	enum status st = ST_OK;

	for (size_t from = 0, to; st == ST_OK && from < d->n; from = to) {
		struct group g = { .at = &at[from] };

		for (to = from; to < d->n && at[to]->zone == at[from]->zone &&
				at[to]->question == at[from]->question;
			to++)
			g.n++;
		st = judge_group(d, &g);
	}
	return st;
}

/* ---- a server against what is served ------------------------------------ */

static bool is_taken_by(
	const struct tlsa_rrset *set, const struct probe_job *job)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct tlsa *rr = &set->rr[i];

		if (!tlsa_usable(rr, NULL) || judge_rr_hidden(set, rr))
			continue;
		/* An issuer in full need not be on the wire. */
		if (judge_rr_depth(rr, job) >= 0 ||
			(rr->usage == 2 && rr->mtype == 0))
			return true;
	}
	return false;
}

static bool has_usable(const struct tlsa_rrset *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (tlsa_usable(&set->rr[i], NULL))
			return true;
	return false;
}

/* A connection that is well by the RRset that we were given, and not by this
 * one. NULL: none. */
static const struct check_conn *spoiled(
	const struct check_host *h, const struct tlsa_rrset *set)
{
	if (!has_usable(set) || tlsa_rrset_eq(set, &h->rrset))
		return NULL;
	for (size_t i = 0; i < h->n_conns; i++) {
		const struct check_conn *k = &h->conn[i];

		if ((k->state == CONN_OK || k->state == CONN_ENCRYPTED) &&
			!is_taken_by(set, &k->job))
			return k;
	}
	return NULL;
}

static enum status report_spoiled(struct dns *d, const struct view *v, size_t t,
	const struct check_host *h, const struct check_conn *k)
{
	struct finding *f =
		view_find(d, CODE_NS_DIFFERS, FINDING_FAIL, v->zone);
	char hex[SPKI_HEX];

	if (f == NULL)
		return d->err->st;
	view_add_server(f->where, sizeof(f->where), view_server(d, v));
	SAY(f->text,
		"its TLSA records differ from those of the others, and none "
		"of them matches what %s [%s] serves (3 1 1 %s): senders that "
		"get its answer defer the mail. Asked: ",
		h->bare, k->addr, spki_hex(&k->job.spki, hex));
	view_add_question(f->text, sizeof(f->text), d, v);
	SAY(f->remedy, "Bring this server up to date: see why the NOTIFY or "
		       "the transfer fails. Serve no key whose record is not "
		       "at every server, and remove nothing before.");
	reproduce_server(f->reproduce, sizeof(f->reproduce),
		view_server(d, v)->addr.text, view_name(d, v), view_type(d, v),
		t == 1);
	return ST_OK;
}

/* Once for each server and name. */
static enum status judge_lagging(struct dns *d, const struct view *v)
{
	if (view_type(d, v) != RRTYPE_TLSA ||
		d->s->zone[v->zone].auth.security != DNS_SECURE)
		return ST_OK;
	for (size_t i = 0; i < d->c->n_hosts; i++) {
		const struct check_host *h = &d->c->host[i];

		if ((h->dane != HOST_TLSA && h->dane != HOST_NO_TLSA) ||
			h->tlsa == NULL ||
			(!view_is(view_name(d, v), h->owner) &&
				!view_is(view_name(d, v), h->tlsa->canon)))
			continue;
		for (size_t t = 0; t < 2; t++) {
			const struct check_conn *k = NULL;

			if (v->a[t] != NULL && v->a[t]->outcome == SURVEY_DATA)
				k = spoiled(h, &v->a[t]->rrset);
			if (k != NULL)
				return report_spoiled(d, v, t, h, k);
		}
	}
	return ST_OK;
}

enum status judge_agreement(struct dns *d)
{
	const struct view **at = calloc(d->n + 1, sizeof(*at));
	enum status st;

	if (at == NULL)
		return err_set(d->err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < d->n; i++)
		at[i] = &d->view[i];
	qsort(at, d->n, sizeof(*at), by_question);
	st = judge_groups(d, at);
	free(at);
	for (size_t i = 0; st == ST_OK && i < d->n; i++)
		st = judge_lagging(d, &d->view[i]);
	return st;
}

/* ---- zones -------------------------------------------------------------- */

/* Near its end, by what is usual: 3 days or a quarter of its life; but a third
 * of it at most, for signatures that are made anew each day or two. */
static bool ends_soon(int64_t inception, int64_t expiration, int64_t now)
{
	int64_t life = expiration - inception, limit = 3 * DAY;

	if (expiration == 0 || life <= 0 || expiration < now)
		return false;
	if (life / 4 > limit)
		limit = life / 4;
	if (life / 3 < limit)
		limit = life / 3;
	return expiration - now < limit;
}

static enum status report_soon(struct check *c, const char *name, uint16_t type,
	int64_t expiration, const char *at, struct err *err)
{
	struct finding *f =
		check_find(c, CODE_NS_RRSIG_SOON, FINDING_WARN, -1, err);
	char when[CLOCK_TEXT_MAX], left[CLOCK_TEXT_MAX], text[16];

	if (f == NULL)
		return err->st;
	view_add_name(f->where, sizeof(f->where), name);
	ADD(f->where, " %s", dns_type_name(type, text));
	SAY(f->text,
		"its signature ends %s, in %s%s%s; mail is deferred if it "
		"is not renewed before",
		clock_utc(expiration * 1000, when),
		clock_span((expiration - c->now_s) * 1000, left),
		at[0] != '\0' ? ", at " : "", at);
	SAY(f->remedy, "See whether the signer runs, and whether this server "
		       "gets the new version of the zone.");
	reproduce_lookup(f->reproduce, sizeof(f->reproduce), name, type);
	return ST_OK;
}

/* The first one to end in the zone. */
static enum status judge_soon(struct dns *d, size_t zone)
{
	const struct view *first = NULL;
	char at[320] = "";
	int64_t end = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct view *v = &d->view[i];

		for (size_t t = 0; v->zone == zone && t < 2; t++) {
			const struct survey_answer *a = v->a[t];

			if (!view_is_good(a) ||
				!ends_soon(a->inception, a->expiration,
					d->c->now_s) ||
				(first != NULL && a->expiration >= end))
				continue;
			first = v;
			end = a->expiration;
		}
	}
	if (first == NULL)
		return ST_OK;
	view_add_server(at, sizeof(at), view_server(d, first));
	return report_soon(d->c, view_name(d, first), view_type(d, first), end,
		at, d->err);
}

/* The smallest TTL of TLSA records in the zone; 0: there are none. */
static uint32_t least_ttl(const struct dns *d, size_t zone)
{
	uint32_t ttl = 0;

	for (size_t i = 0; i < d->s->n_questions; i++) {
		const struct survey_question *q = &d->s->question[i];

		if (q->type != RRTYPE_TLSA || q->zone != zone)
			continue;
		for (size_t k = 0; k < d->c->n_hosts; k++) {
			const struct check_host *h = &d->c->host[k];

			if (h->dane == HOST_TLSA && h->rrset.n > 0 &&
				h->tlsa != NULL &&
				view_is(q->name, h->tlsa->canon) &&
				(ttl == 0 || h->rrset.ttl < ttl))
				ttl = h->rrset.ttl;
		}
	}
	return ttl;
}

static enum status judge_refresh(struct dns *d, size_t zone)
{
	uint32_t ttl = least_ttl(d, zone), refresh = 0;
	struct finding *f;

	for (size_t i = 0; i < d->n; i++)
		for (size_t t = 0; t < 2; t++) {
			const struct survey_answer *a = d->view[i].a[t];

			if (d->view[i].zone == zone &&
				d->view[i].question == SIZE_MAX && a != NULL &&
				a->outcome == SURVEY_DATA &&
				a->refresh > refresh)
				refresh = a->refresh;
		}
	if (ttl == 0 || refresh <= ttl)
		return ST_OK;
	f = view_find(d, CODE_SOA_REFRESH, FINDING_WARN, zone);
	if (f == NULL)
		return d->err->st;
	view_add_name(f->where, sizeof(f->where), d->s->zone[zone].auth.zone);
	ADD(f->where, " SOA");
	SAY(f->text,
		"refresh is %u s, the TTL of the TLSA records %u s: a "
		"secondary that misses a NOTIFY serves an old RRset for "
		"longer than its TTL",
		refresh, ttl);
	SAY(f->remedy, "Set refresh to %u s or less.", ttl);
	reproduce_lookup(f->reproduce, sizeof(f->reproduce),
		d->s->zone[zone].auth.zone, RRTYPE_SOA);
	return ST_OK;
}

static enum status judge_ds(struct dns *d, size_t zone)
{
	const struct survey_zone *z = &d->s->zone[zone];
	struct finding *f;

	if (z->ds != SURVEY_DS_MISMATCH)
		return ST_OK;
	f = view_find(d, CODE_DS_MISMATCH, FINDING_FAIL, zone);
	if (f == NULL)
		return d->err->st;
	view_add_name(f->where, sizeof(f->where), z->auth.zone);
	ADD(f->where, " DS");
	SAY(f->text,
		"no DS record at the parent has its key in the zone "
		"(%s): nothing below it validates. " VIZ,
		z->ds_why, z->auth.zone);
	SAY(f->remedy, "Have the parent publish the DS record of a key that is "
		       "in the zone, or put the old key back; never change "
		       "both at once.");
	reproduce_lookup(
		f->reproduce, sizeof(f->reproduce), z->auth.zone, RRTYPE_DS);
	return ST_OK;
}

static enum status judge_no_address(struct dns *d, size_t zone)
{
	const struct zone_auth *z = &d->s->zone[zone].auth;

	for (size_t i = 0; i < z->n_servers; i++) {
		struct finding *f;

		if (z->server[i].has_addr)
			continue;
		f = view_find(d, CODE_NS_UNREACHABLE, FINDING_WARN, zone);
		if (f == NULL)
			return d->err->st;
		view_add_name(f->where, sizeof(f->where), z->server[i].name);
		SAY(f->text, "this name server has no address: %s",
			z->server[i].why);
		SAY(f->remedy, "Give it one, or take it out of the NS records "
			       "here and at the parent.");
		reproduce_lookup(f->reproduce, sizeof(f->reproduce),
			z->server[i].name, RRTYPE_AAAA);
	}
	return ST_OK;
}

enum status judge_zone(struct dns *d, size_t zone)
{
	enum status st = judge_ds(d, zone);

	if (st == ST_OK)
		st = judge_no_address(d, zone);
	if (st == ST_OK)
		st = judge_soon(d, zone);
	return st == ST_OK ? judge_refresh(d, zone) : st;
}

/* ---- without a survey ---------------------------------------------------- */

static void sooner(const struct check *c, const struct lookup *l,
	const struct lookup **ret)
{
	if (l != NULL && l->security == DNS_SECURE &&
		ends_soon(l->inception, l->expiration, c->now_s) &&
		(*ret == NULL || l->expiration < (*ret)->expiration))
		*ret = l;
}

enum status judge_windows(struct check *c, struct err *err)
{
	const struct lookup *first = NULL;

	sooner(c, c->mx, &first);
	for (size_t i = 0; i < c->n_hosts; i++) {
		sooner(c, c->host[i].a, &first);
		sooner(c, c->host[i].aaaa, &first);
		sooner(c, c->host[i].tlsa, &first);
	}
	if (first == NULL)
		return ST_OK;
	return report_soon(
		c, first->name, first->type, first->expiration, "", err);
}
