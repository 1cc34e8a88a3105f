/*
 * The TLSA RRset of a host against what its connections served: which records
 * count, which are hidden, which match, whose they are, and what may go wrong
 * at the next rollover.
 *
 * Matching here is equality of bytes, to explain; whether a connection is
 * authenticated is OpenSSL's verdict. Nothing in here changes a verdict.
 * (RFC 7671 5, 8, 9, 10; RFC 7672 3.1; dane.md S15, S65-S68, B-2..B-8, C2-C6)
 */
#include "hook/check/judge.h"

#include "hook/check/issuers.h"
#include "hook/check/reproduce.h"

#include <stdlib.h>
#include <string.h>

#define MANY_RECORDS 12
#define TTL_LEAST 1800
#define TTL_MOST 3600

/* ---- records ------------------------------------------------------------ */

int judge_rr_depth(const struct tlsa *rr, const struct probe_job *job)
{
	bool leaf = rr->usage == 1 || rr->usage == 3;
	size_t from = leaf ? 0 : 1, to = leaf ? 1 : job->chain.n;
	struct spki key;

	if (rr->usage > 3)
		return -1;
	for (size_t i = from; i < to && i < job->chain.n; i++)
		if (cert_view_matches(&job->chain.cert[i], rr->selector,
			    rr->mtype, rr->data, rr->len))
			return (int)i;
	/* Without the chain there is still the key. */
	if (job->chain.n == 0 && tlsa_is_spki(rr, &key) &&
		spki_eq(&key, &job->spki))
		return 0;
	return -1;
}

/* A usable record of the same usage and selector has a stronger digest. */
bool judge_rr_hidden(const struct tlsa_rrset *set, const struct tlsa *rr)
{
	if (rr->mtype != 1)
		return false;
	for (size_t i = 0; i < set->n; i++)
		if (set->rr[i].usage == rr->usage &&
			set->rr[i].selector == rr->selector &&
			set->rr[i].mtype == 2 && tlsa_usable(&set->rr[i], NULL))
			return true;
	return false;
}

/* What OpenSSL took counts too: the issuer in a 2 0 0 or 2 1 0 record need not
 * be on the wire. (RFC 7671 5.2.2) */
static bool is_taken(const struct check_host *h, const struct tlsa *rr,
	const struct check_conn *k)
{
	return k->job.dane == PROBE_DANE_OK && k->job.matched >= 0 &&
	       (size_t)k->job.matched < h->rrset.n &&
	       &h->rrset.rr[k->job.matched] == rr;
}

static void match_record(const struct check_host *h, struct check_record *r)
{
	for (size_t i = 0; i < h->n_conns; i++) {
		int depth = -1;

		if (h->conn[i].job.result == PROBE_SERVED)
			depth = judge_rr_depth(r->rr, &h->conn[i].job);
		if (depth < 0 && is_taken(h, r->rr, &h->conn[i]))
			depth = h->conn[i].job.depth > 0 ? h->conn[i].job.depth
							 : 0;
		if (depth >= 0 && (!r->matches || depth < r->depth)) {
			r->matches = true;
			r->depth = depth;
		}
	}
}

static bool name_role(const struct check *c, struct check_record *r)
{
	struct spki key;

	if (!tlsa_is_spki(r->rr, &key))
		return false;
	for (size_t i = 0; i < c->n_roles; i++) {
		if (!spki_eq(&c->role[i].spki, &key))
			continue;
		r->role = c->role[i].role;
		r->lineage = c->role[i].lineage;
		return true;
	}
	return false;
}

enum status judge_records(
	struct check *c, struct check_host *h, struct err *err)
{
	bool ours = false;

	free(h->record);
	h->record = calloc(h->rrset.n + 1, sizeof(*h->record));
	if (h->record == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < h->rrset.n; i++) {
		struct check_record *r = &h->record[i];
		const struct issuer *issuer = issuer_find(&h->rrset.rr[i]);

		r->rr = &h->rrset.rr[i];
		r->depth = -1;
		r->usable = tlsa_usable(r->rr, &r->why);
		r->hidden = r->usable && judge_rr_hidden(&h->rrset, r->rr);
		match_record(h, r);
		ours |= name_role(c, r);
		if (issuer != NULL &&
			(r->rr->usage == 0 || r->rr->usage == 2) &&
			(issuer->state == ISSUER_RETIRED ||
				issuer->state == ISSUER_REPLACED))
			r->retired = issuer->name;
	}
	for (size_t i = 0; ours && i < h->rrset.n; i++)
		if (h->record[i].role == NULL)
			h->record[i].role = "foreign";
	return ST_OK;
}

/* ---- findings ----------------------------------------------------------- */

static struct finding *find_rr(struct check *c, enum check_code code,
	enum finding_level level, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct finding *f = check_find(c, code, level, host, err);
	char owner[DNS_NAME_MAX];
	size_t len;

	if (f == NULL)
		return NULL;
	SAY(owner, "%s", h->owner);
	len = strlen(owner);
	if (len > 1 && owner[len - 1] == '.')
		owner[len - 1] = '\0';
	SAY(f->where, "%s TLSA", owner);
	reproduce_lookup(
		f->reproduce, sizeof(f->reproduce), h->owner, RRTYPE_TLSA);
	return f;
}

/* "3 1 1 0c72ac70..." */
static void put_record(struct finding *f, const struct tlsa *rr)
{
	ADD(f->text, " %u %u %u ", rr->usage, rr->selector, rr->mtype);
	for (size_t i = 0; i < rr->len && i < 4; i++)
		ADD(f->text, "%02x", rr->data[i]);
	if (rr->len > 4)
		ADD(f->text, "...");
}

/* Found once for each host: an RRset from outside may be large. */
struct facts {
	const struct check_host *h;
	bool some_ok;          /* some connection is well */
	bool kind_ok[4][2][3]; /* by usage, selector, matching type */
};
typedef bool (*record_fn)(const struct facts *k, const struct check_record *r);

static bool is_pkix(const struct facts *k, const struct check_record *r)
{
	(void)k;
	return r->rr->usage < 2;
}

static bool is_unusable(const struct facts *k, const struct check_record *r)
{
	return !r->usable && !is_pkix(k, r);
}

static bool is_selector0(const struct facts *k, const struct check_record *r)
{
	(void)k;
	return r->usable && r->rr->selector == 0;
}

static bool is_full(const struct facts *k, const struct check_record *r)
{
	(void)k;
	return r->usable && r->rr->mtype == 0;
}

static bool is_retired(const struct facts *k, const struct check_record *r)
{
	(void)k;
	return r->retired != NULL;
}

static bool some_ok(const struct check_host *h)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].state == CONN_OK)
			return true;
	return false;
}

static bool same_kind(const struct tlsa *a, const struct tlsa *b)
{
	return a->usage == b->usage && a->selector == b->selector &&
	       a->mtype == b->mtype;
}

/* Has a record of this kind a match on every connection that is well? Failures
 * of the others are reported as such. (RFC 7671 8) */
static bool kind_matches(const struct check_host *h, const struct tlsa *kind)
{
	for (size_t k = 0; k < h->n_conns; k++) {
		bool found = false;

		if (h->conn[k].state != CONN_OK)
			continue;
		for (size_t i = 0; i < h->rrset.n && !found; i++)
			found = same_kind(&h->rrset.rr[i], kind) &&
				(is_taken(h, &h->rrset.rr[i], &h->conn[k]) ||
					judge_rr_depth(&h->rrset.rr[i],
						&h->conn[k].job) >= 0);
		if (!found)
			return false;
	}
	return true;
}

static bool kind_ok(const struct facts *k, const struct tlsa *rr)
{
	return rr->usage < 4 && rr->selector < 2 && rr->mtype < 3 &&
	       k->kind_ok[rr->usage][rr->selector][rr->mtype];
}

static void find_facts(const struct check_host *h, struct facts *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->h = h;
	ret->some_ok = some_ok(h);
	for (uint8_t u = 2; u < 4; u++)
		for (uint8_t s = 0; s < 2; s++)
			for (uint8_t m = 0; m < 3; m++)
				ret->kind_ok[u][s][m] = kind_matches(
					h, &(struct tlsa){ .usage = u,
						   .selector = s,
						   .mtype = m });
}

static bool is_lone_kind(const struct facts *k, const struct check_record *r)
{
	return r->usable && (r->rr->usage == 3 || r->matches) &&
	       !kind_ok(k, r->rr);
}

/* Backups of an issuer that does match are right to be there (dane.md D6). */
static bool is_not_sent(const struct facts *k, const struct check_record *r)
{
	return r->usable && r->rr->usage == 2 && !r->matches &&
	       r->retired == NULL && k->some_ok && !kind_ok(k, r->rr);
}

/*
 * A key that is published before it is served matches nothing, and that is
 * right: one such record for each matching one of the same kind. What a lineage
 * knows is never stale, and takes its place among these.
 */
static bool is_stale(const struct facts *k, const struct check_record *r)
{
	size_t matching = 0, known = 0, unknown = 0;

	if (!r->usable || r->rr->usage != 3 || r->matches ||
		(r->role != NULL && strcmp(r->role, "foreign") != 0))
		return false;
	for (size_t i = 0; i < k->h->rrset.n; i++) {
		const struct check_record *o = &k->h->record[i];

		if (!same_kind(o->rr, r->rr))
			continue;
		if (o->matches)
			matching++;
		else if (o->role != NULL && strcmp(o->role, "foreign") != 0)
			known++;
		else
			unknown++;
	}
	return matching > 0 && known + unknown > matching;
}

/* One row: the records it is about, and what to say of them. */
struct lint {
	enum check_code code;
	enum finding_level level;
	record_fn of;
	bool why, retired; /* with why it is unusable, with its issuer */
	const char *text, *remedy;
};

static const struct lint lints[] = {
	{ CODE_RR_PKIX, FINDING_WARN, is_pkix, false, false,
		"usages 0 and 1 are ignored by mail servers (RFC 7672 3.1.3):",
		"Replace them by 3 1 1 records." },
	{ CODE_RR_UNUSABLE, FINDING_WARN, is_unusable, true, false,
		"no client can use:",
		"Publish them anew; danelaw tlsa prints "
		"records that are ready to paste." },
	{ CODE_RR_SELECTOR0, FINDING_WARN, is_selector0, false, false,
		"a record of a whole certificate dies with each renewal, even "
		"with the same key:",
		"Use selector 1: 3 1 1, or 2 1 1." },
	{ CODE_RR_FULL, FINDING_WARN, is_full, false, false,
		"records without a digest make answers large (RFC 7671 "
		"10.1.2):",
		"Use SHA-256: 3 1 1, or 2 1 1." },
	{ CODE_RR_COMBINATION, FINDING_WARN, is_lone_kind, false, false,
		"of each kind of record one must match every certificate that "
		"is served (RFC 7671 8); of this kind that is not so:",
		"Publish it for every key that is served or will be. Remove "
		"this kind altogether only when a record of another kind "
		"matches every one of them." },
	{ CODE_RR_ISSUER_RETIRED, FINDING_WARN, is_retired, false, true,
		"a record of an issuer that issues no more:",
		"3 1 1 records do not depend on who issues: publish those of "
		"the served and the next key. Remove this one two TTLs "
		"later, when nothing that is served needs it." },
	{ CODE_RR_ISSUER_NOT_SENT, FINDING_WARN, is_not_sent, false, false,
		"the server does not send the certificate of this issuer, so "
		"the record helps nobody:",
		"Send the issuer's certificate in the chain, or remove the "
		"record." },
	{ CODE_RR_STALE, FINDING_INFO, is_stale, false, false,
		"more records than a rollover needs match nothing that is "
		"served; some are left over:",
		"Remove those whose keys no server has, and none will get: "
		"the next key's record has to stay." },
};

static enum status run_lint(struct check *c, int host, const struct lint *l,
	const struct facts *facts, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct finding *f = NULL;
	size_t n = 0;

	for (size_t i = 0; i < h->rrset.n; i++) {
		const struct check_record *r = &h->record[i];

		if (!l->of(facts, r) || ++n > 4)
			continue;
		if (f == NULL) {
			f = find_rr(c, l->code, l->level, host, err);
			if (f == NULL)
				return err->st;
			SAY(f->text, "%s", l->text);
			SAY(f->remedy, "%s", l->remedy);
		} else {
			ADD(f->text, ",");
		}
		put_record(f, r->rr);
		if (l->why && r->why != NULL)
			ADD(f->text, " (%s)", r->why);
		if (l->retired)
			ADD(f->text, " (%s)", r->retired);
	}
	if (f != NULL && n > 4)
		ADD(f->text, " and %zu more", n - 4);
	return ST_OK;
}

/* ---- the whole set ------------------------------------------------------ */

static enum status all_unusable(struct check *c, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	bool tls = h->verdict != CHECK_BLOCKED;
	struct finding *f;

	if (h->dane != HOST_TLSA || judge_has_usable(h))
		return ST_OK;
	f = find_rr(c, CODE_ALL_UNUSABLE, tls ? FINDING_WARN : FINDING_FAIL,
		host, err);
	if (f == NULL)
		return err->st;
	SAY(f->text, "%s",
		tls ? "no record can be used: senders insist on TLS, and "
		      "authenticate nobody"
		    : "no record can be used, so senders insist on TLS "
		      "without authentication, and TLS does not work: mail is "
		      "deferred (RFC 7672 2.2)");
	SAY(f->remedy, "Publish 3 1 1 records of the served and the next key; "
		       "danelaw tlsa prints them.");
	return ST_OK;
}

static enum status left_out(struct check *c, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	struct finding *f;

	if (h->dane != HOST_TLSA || h->why[0] == '\0')
		return ST_OK;
	f = find_rr(c, CODE_RR_UNUSABLE, FINDING_WARN, host, err);
	if (f == NULL)
		return err->st;
	SAY(f->text, "%s", h->why);
	SAY(f->remedy, "Remove it.");
	return ST_OK;
}

static enum status too_many(struct check *c, int host, struct err *err)
{
	size_t n = c->host[host].rrset.n;
	struct finding *f;

	if (n <= MANY_RECORDS)
		return ST_OK;
	f = find_rr(c, CODE_RR_MANY, FINDING_WARN, host, err);
	if (f == NULL)
		return err->st;
	SAY(f->text,
		"%zu records: above %d the answer and its signature no "
		"longer fit one UDP packet",
		n, MANY_RECORDS);
	SAY(f->remedy, "Remove the records of keys that no server has, and "
		       "none will get: the next key's has to stay.");
	return ST_OK;
}

/* What the name servers say is not worn down by a cache on the way. */
static uint32_t ttl_of(const struct check *c, const struct check_host *h)
{
	const struct survey *s = c->survey;
	const char *name = h->tlsa != NULL && h->tlsa->canon[0] != '\0'
				   ? h->tlsa->canon
				   : h->owner;
	uint32_t ttl = 0;

	for (size_t i = 0; s != NULL && i < s->n_answers; i++) {
		const struct survey_answer *a = &s->answer[i];

		if (a->question < s->n_questions && a->outcome == SURVEY_DATA &&
			s->question[a->question].type == RRTYPE_TLSA &&
			strcmp(s->question[a->question].name, name) == 0 &&
			a->ttl > ttl)
			ttl = a->ttl;
	}
	return ttl != 0 ? ttl : h->rrset.ttl;
}

static enum status odd_ttl(struct check *c, int host, struct err *err)
{
	const struct check_host *h = &c->host[host];
	uint32_t ttl = ttl_of(c, h);
	struct finding *f;

	if (h->rrset.n == 0 || (ttl >= TTL_LEAST && ttl <= TTL_MOST))
		return ST_OK;
	f = find_rr(c, ttl > TTL_MOST ? CODE_TTL_LONG : CODE_TTL_SHORT,
		FINDING_WARN, host, err);
	if (f == NULL)
		return err->st;
	SAY(f->text, "the TTL is %u s: %s", ttl,
		ttl > TTL_MOST ? "that long every mistake stays in caches, and "
				 "a rollover waits for twice that"
			       : "every message needs fresh answers, and fails "
				 "when the name servers have a bad minute");
	SAY(f->remedy, "Set it to %d s.", TTL_MOST);
	return ST_OK;
}

enum status judge_rrset(struct check *c, int host, struct err *err)
{
	enum status st = left_out(c, host, err);
	struct facts facts;

	find_facts(&c->host[host], &facts);
	if (st == ST_OK)
		st = all_unusable(c, host, err);
	for (size_t i = 0; st == ST_OK && i < sizeof(lints) / sizeof(lints[0]);
		i++)
		st = run_lint(c, host, &lints[i], &facts, err);
	if (st == ST_OK)
		st = too_many(c, host, err);
	return st == ST_OK ? odd_ttl(c, host, err) : st;
}
