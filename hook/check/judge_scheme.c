/*
 * Is the next rollover prepared? For each algorithm that is served, either the
 * key after it is published too (current+next), or its issuer is
 * (current+issuer). One record for RSA and one for ECDSA is neither, though
 * there are two of them: what is counted is the records that belong to no
 * served key, and each algorithm needs one. And does one rollover move many
 * hosts at a time? (RFC 7671 8.1; dane.md S52, S53, S56, S57, S82)
 */
#include "hook/check/judge.h"

#include "hook/check/reproduce.h"

#include <string.h>

enum kind { KIND_RSA, KIND_ECDSA, KIND_OTHER, KIND__COUNT };

static const char *const kind_names[] = {
	[KIND_RSA] = "RSA",
	[KIND_ECDSA] = "ECDSA",
	[KIND_OTHER] = "other",
};

struct scheme {
	size_t conns;   /* served and matched by a digest of the key */
	size_t matches; /* digests that match this algorithm's keys */
	bool issuer;    /* on each of those connections one matches, too */
};

static enum kind kind_of(const struct probe_job *j)
{
	if (j->alg == PROBE_RSA || key_alg_is_rsa(j->key_alg))
		return KIND_RSA;
	if (j->alg == PROBE_ECDSA || key_alg_is_ecdsa(j->key_alg))
		return KIND_ECDSA;
	return KIND_OTHER;
}

/* 3 1 1 or 3 1 2, whichever counts. */
static bool is_key_digest(const struct check_record *r)
{
	return r->usable && !r->hidden && r->rr->usage == 3 &&
	       r->rr->selector == 1 && r->rr->mtype != 0;
}

static void look_at(const struct check_host *h, const struct check_conn *k,
	struct scheme *s)
{
	bool digest = false, issuer = false;

	for (size_t i = 0; i < h->rrset.n; i++) {
		const struct check_record *r = &h->record[i];

		if (!r->usable || r->hidden ||
			judge_rr_depth(r->rr, &k->job) < 0)
			continue;
		digest |= is_key_digest(r);
		issuer |= r->rr->usage == 2;
	}
	if (!digest)
		return;
	s->issuer = issuer && (s->conns == 0 || s->issuer);
	s->conns++;
}

/* Which algorithm's keys does the record match, if any? */
static enum kind matched_kind(
	const struct check_host *h, const struct check_record *r)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].job.result == PROBE_SERVED &&
			judge_rr_depth(r->rr, &h->conn[i].job) >= 0)
			return kind_of(&h->conn[i].job);
	return KIND__COUNT;
}

static bool any_match(const struct check_host *h)
{
	for (size_t i = 0; i < h->rrset.n; i++)
		if (h->record[i].usable && h->record[i].matches)
			return true;
	return false;
}

/* How many served algorithms lack a next key of their own, by what can be told
 * from outside; n_spare records match nothing. */
static size_t unprepared(const struct scheme s[], size_t n_spare)
{
	size_t need = 0;

	for (size_t i = 0; i < KIND__COUNT; i++)
		if (s[i].conns > 0 && !s[i].issuer && s[i].matches < 2)
			need++;
	return need > n_spare ? need - n_spare : 0;
}

static enum status report(struct check *c, int host, const struct scheme s[],
	size_t n_spare, struct err *err)
{
	const struct check_host *h = &c->host[host];
	size_t missing = unprepared(s, n_spare), kinds = 0;
	struct finding *f;

	for (size_t i = 0; i < KIND__COUNT; i++)
		kinds += s[i].conns > 0;
	if (kinds == 0)
		missing = 1; /* issuers alone, or certificates */
	f = check_find(c, CODE_SCHEME,
		missing > 0 ? FINDING_WARN : FINDING_INFO, host, err);
	if (f == NULL)
		return err->st;
	judge_endpoint(f->where, sizeof(f->where), h);
	for (size_t i = 0; i < KIND__COUNT; i++) {
		if (s[i].conns == 0)
			continue;
		ADD(f->text, "%s%s: %s", f->text[0] != '\0' ? "; " : "",
			kind_names[i],
			s[i].issuer                        ? "current+issuer"
			: missing == 0 || s[i].matches > 1 ? "current+next"
			: missing == kinds || n_spare == 0
				? "none"
				: "current, maybe next");
	}
	if (missing > 0)
		ADD(f->text, "%s",
			kinds == 0   ? "none: no 3 1 1 record of a "
				       "key that is served"
			: kinds == 1 ? ". The next key is not published: the "
				       "next rollover breaks mail or waits"
				     : ". Not every algorithm has its next key "
				       "published (one record each for RSA and "
				       "ECDSA is no rollover scheme)");
	SAY(f->remedy, "%s",
		missing > 0 ? "Make the next key now, for each algorithm, and "
			      "publish its 3 1 1 record beside the current one."
			    : "Nothing to do.");
	reproduce_lookup(
		f->reproduce, sizeof(f->reproduce), h->owner, RRTYPE_TLSA);
	return ST_OK;
}

enum status judge_scheme(struct check *c, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct scheme s[KIND__COUNT] = { 0 };
	size_t n_spare = 0;

	/* Where nothing matches, that is what has to be mended first. */
	if (!any_match(h))
		return ST_OK;
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].job.result == PROBE_SERVED)
			look_at(h, &h->conn[i], &s[kind_of(&h->conn[i].job)]);
	for (size_t i = 0; i < h->rrset.n; i++) {
		enum kind k;

		if (!is_key_digest(&h->record[i]))
			continue;
		k = matched_kind(h, &h->record[i]);
		if (k == KIND__COUNT)
			n_spare++;
		else
			s[k].matches++;
	}
	return report(c, host, s, n_spare, err);
}

/* ---- one key on several hosts ------------------------------------------- */

static bool is_served(const struct check_conn *k)
{
	return k->job.result == PROBE_SERVED;
}

static bool serves(const struct check_host *h, const struct spki *key)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (is_served(&h->conn[i]) &&
			spki_eq(&h->conn[i].job.spki, key))
			return true;
	return false;
}

/* Was this key, of this host, looked at before? */
static bool is_seen(const struct check *c, size_t host, size_t conn)
{
	const struct spki *key = &c->host[host].conn[conn].job.spki;

	for (size_t i = 0; i < host; i++)
		if (serves(&c->host[i], key))
			return true;
	for (size_t i = 0; i < conn; i++)
		if (is_served(&c->host[host].conn[i]) &&
			spki_eq(&c->host[host].conn[i].job.spki, key))
			return true;
	return false;
}

static enum status shared_key(
	struct check *c, size_t first, const struct spki *key, struct err *err)
{
	struct finding *f = NULL;
	size_t more = 0;

	for (size_t i = first + 1; i < c->n_hosts; i++) {
		if (strcmp(c->host[i].name, c->host[first].name) == 0 ||
			!serves(&c->host[i], key))
			continue;
		if (f == NULL) {
			f = check_find(
				c, CODE_KEY_SHARED, FINDING_INFO, -1, err);
			if (f == NULL)
				return err->st;
			SAY(f->where, "%s", c->host[first].bare);
		}
		if (++more <= 4)
			ADD(f->where, ", %s", c->host[i].bare);
	}
	if (f == NULL)
		return ST_OK;
	if (more > 4)
		ADD(f->where, " and %zu more", more - 4);
	SAY(f->text,
		"one key serves %zu hosts: a rollover that goes wrong "
		"takes all of them at once",
		more + 1);
	SAY(f->remedy, "Give each host a key of its own, or roll over one host "
		       "after the other, with days between.");
	return ST_OK;
}

enum status judge_shared_keys(struct check *c, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < c->n_hosts; i++)
		for (size_t k = 0; st == ST_OK && k < c->host[i].n_conns; k++)
			if (is_served(&c->host[i].conn[k]) && !is_seen(c, i, k))
				st = shared_key(c, i,
					&c->host[i].conn[k].job.spki, err);
	return st;
}
