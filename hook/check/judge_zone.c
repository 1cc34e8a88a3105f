/*
 * Name servers against each other, and what holds for a zone as a whole: DS
 * records, signatures that end soon, servers without an address, the refresh
 * of secondaries. (RFC 4035 5.3.1; RFC 1912 2.2; dane.md S22, S68, B-9, C7,
 * C11)
 */
#include "hook/check/judge_dns.h"

#include "hook/base/clock.h"
#include "hook/check/reproduce.h"

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

static bool same_question(const struct view *a, const struct view *b)
{
	return a->zone == b->zone && a->question == b->question;
}

/* Of the views from view[at] on: *ret_same answer as it does, *ret_other
 * differ. False when an earlier view has already answered like it, or when it
 * says nothing. */
static bool is_first_of_kind(
	const struct dns *d, size_t at, size_t *ret_same, size_t *ret_other)
{
	uint64_t mine, key;

	*ret_same = *ret_other = 0;
	if (!view_key(&d->view[at], &mine))
		return false;
	for (size_t i = at; i-- > 0 && d->view[i].zone == d->view[at].zone;)
		if (same_question(&d->view[i], &d->view[at]) &&
			view_key(&d->view[i], &key) && key == mine)
			return false;
	for (size_t i = at; i < d->n && d->view[i].zone == d->view[at].zone;
		i++) {
		if (!same_question(&d->view[i], &d->view[at]) ||
			!view_key(&d->view[i], &key))
			continue;
		*ret_same += key == mine;
		*ret_other += key != mine;
	}
	return true;
}

static bool has_earlier(const struct dns *d, size_t at)
{
	uint64_t key;

	for (size_t i = at; i-- > 0 && d->view[i].zone == d->view[at].zone;)
		if (same_question(&d->view[i], &d->view[at]) &&
			view_key(&d->view[i], &key))
			return true;
	return false;
}

/* view[at] is the first to answer its question, and others differ. */
static enum status report_differences(struct dns *d, size_t at)
{
	const struct view *v = &d->view[at];
	bool soa = v->question == SIZE_MAX;
	struct finding *f = view_find(d, soa ? CODE_NS_SERIAL : CODE_NS_DIFFERS,
		FINDING_WARN, v->zone);
	size_t groups = 0, same, other;

	if (f == NULL)
		return d->err->st;
	view_add_question(f->where, sizeof(f->where), d, v);
	SAY(f->text, "the name servers %s: ",
		soa ? "have different versions of the zone"
		    : "give different answers");
	for (size_t i = at; i < d->n && d->view[i].zone == v->zone; i++) {
		if (!same_question(&d->view[i], v) ||
			!is_first_of_kind(d, i, &same, &other))
			continue;
		ADD(f->text, "%s", groups++ > 0 ? "; " : "");
		put_group(d, &d->view[i], same - 1, f);
	}
	SAY(f->remedy, "Wait for the next transfer and check again; if it "
		       "stays, see why the NOTIFY or the transfer to the "
		       "lagging server fails.");
	reproduce_server(f->reproduce, sizeof(f->reproduce),
		view_server(d, v)->addr.text, view_name(d, v), view_type(d, v),
		false);
	return ST_OK;
}

enum status judge_agreement(struct dns *d)
{
	size_t same, other;

	for (size_t i = 0; i < d->n; i++)
		if (!has_earlier(d, i) &&
			is_first_of_kind(d, i, &same, &other) && other > 0 &&
			report_differences(d, i) != ST_OK)
			return d->err->st;
	return ST_OK;
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
	ADD(f->where, " %s", reproduce_type(type, text));
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
