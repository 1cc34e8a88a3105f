/*
 * From questions to the zones that hold them and their servers; survey_query.c
 * then asks. The resolver is only the way to find zones: one that does not
 * resolve is what this is for, so its servers come from its parent's
 * delegation, and a name that is in trouble inside a healthy zone is asked at
 * that zone's servers. (RFC 1034 4.2; dane.md S22, S24, B-15)
 */
#include "hook/dns/survey_int.h"

#include "hook/base/auto.h"
#include "hook/dns/apex.h"
#include "hook/dns/servers.h"

#define DEADLINE_MS 15000
#define UDP_MS 2000
#define UDP_TRIES 2
#define TCP_MS 4000

static const char *const outcome_names[] = {
	[SURVEY_DATA] = "data",
	[SURVEY_NODATA] = "NODATA",
	[SURVEY_NXDOMAIN] = "NXDOMAIN",
	[SURVEY_ALIAS] = "alias",
	[SURVEY_LAME] = "lame",
	[SURVEY_SERVFAIL] = "SERVFAIL",
	[SURVEY_REFUSED] = "REFUSED",
	[SURVEY_NOTIMP] = "NOTIMP",
	[SURVEY_FORMERR] = "FORMERR",
	[SURVEY_RCODE] = "error",
	[SURVEY_TIMEOUT] = "timeout",
	[SURVEY_GARBAGE] = "garbage",
	[SURVEY_NETWORK] = "network",
	[SURVEY_NO_ROUTE] = "no-route",
};
_Static_assert(
	sizeof(outcome_names) / sizeof(outcome_names[0]) == SURVEY__COUNT,
	"outcome_names");

const char *survey_outcome_name(enum survey_outcome o)
{
	return outcome_names[o];
}

bool survey_answered(enum survey_outcome o)
{
	return o <= SURVEY_ALIAS;
}

enum status survey_ask(
	struct survey *s, const char *name, uint16_t type, struct err *err)
{
	struct survey_question *q;
	char canon[DNS_NAME_MAX];

	if (name_canon(name, canon, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < s->n_questions; i++)
		if (s->question[i].type == type &&
			strcmp(s->question[i].name, canon) == 0)
			return ST_OK;
	if (s->n_questions == s->cap_questions) {
		size_t cap = s->cap_questions > 0 ? 2 * s->cap_questions : 16;

		q = reallocarray(s->question, cap, sizeof(*q));
		if (q == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		s->question = q;
		s->cap_questions = cap;
	}
	q = &s->question[s->n_questions++];
	*q = (struct survey_question){ .type = type, .zone = SIZE_MAX };
	memcpy(q->name, canon, sizeof(q->name));
	return ST_OK;
}

static void zone_release(struct zone_auth *z)
{
	for (size_t i = 0; i < z->n_dnskey; i++)
		free(z->dnskey[i].data);
	free(z->dnskey);
	free(z->server);
	z->dnskey = NULL;
	z->server = NULL;
	z->n_dnskey = z->n_servers = 0;
}

void survey_release(struct survey *s)
{
	for (size_t i = 0; i < s->n_answers; i++)
		tlsa_rrset_release(&s->answer[i].rrset);
	for (size_t i = 0; i < s->n_zones; i++)
		zone_release(&s->zone[i].auth);
	free(s->question);
	free(s->zone);
	free(s->answer);
	*s = (struct survey){ .n_zones = 0 };
}

/* ---- zones --------------------------------------------------------------- */

/* Zones as a list that grows; the questions keep indices. */
struct zones {
	struct zone_auth *z;
	size_t n;
};

static enum status zone_index(struct zones *to, const struct apex_job *j,
	size_t *ret, struct err *err)
{
	struct zone_auth *z;

	for (size_t i = 0; i < to->n; i++) {
		if (strcmp(to->z[i].zone, j->apex) != 0)
			continue;
		*ret = i;
		return ST_OK;
	}
	z = reallocarray(to->z, to->n + 1, sizeof(*z));
	if (z == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	to->z = z;
	z += to->n;
	*z = (struct zone_auth){ .security = j->security };
	memcpy(z->zone, j->apex, sizeof(z->zone));
	memcpy(z->why, j->why, sizeof(z->why));
	*ret = to->n++;
	return ST_OK;
}

static bool is_bad(enum dns_security s)
{
	return s == DNS_BOGUS || s == DNS_FAILED;
}

/* An answer that the memo has already mostly tells the zone. */
static bool told(const struct memo *m, const struct survey_question *q,
	struct apex_job *ret)
{
	const struct lookup *l = memo_get(m, q->name, q->type);

	if (l == NULL || is_bad(l->security) || l->zone[0] == '\0' ||
		strcmp(l->canon, q->name) != 0)
		return false;
	ret->security = l->security;
	memcpy(ret->apex, l->zone, sizeof(ret->apex));
	return true;
}

struct place {
	struct apex_job job;
	bool bad; /* zone is an index into the bad ones */
	size_t zone;
};

static enum status ask_levels(
	struct memo *m, const struct apex_job *walk, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (memo_want(m, walk[i].name, RRTYPE_SOA, err) != ST_OK)
			return err->st;
	if (memo_run(m, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < n; i++) {
		const struct lookup *l = memo_get(m, walk[i].name, RRTYPE_SOA);

		if (is_bad(l->security) &&
			apex_want_levels(m, walk[i].name, err) != ST_OK)
			return err->st;
	}
	return memo_run(m, err);
}

/* Where the resolver thinks the names are. */
static enum status locate(struct survey *s, struct memo *m, struct place *place,
	struct zones *good, struct zones *bad, struct err *err)
{
	auto_mem struct apex_job *walk =
		calloc(s->n_questions + 1, sizeof(*walk));
	size_t k = 0;

	if (walk == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < s->n_questions; i++) {
		const struct survey_question *q = &s->question[i];
		const struct lookup *l = memo_get(m, q->name, q->type);

		if (told(m, q, &place[i].job))
			continue;
		walk[k++].name = q->name;
		/* In trouble already: do not lose a time-out to learn it. */
		if (l != NULL && is_bad(l->security) &&
			apex_want_levels(m, q->name, err) != ST_OK)
			return err->st;
	}
	if (ask_levels(m, walk, k, err) != ST_OK ||
		apex_find(m, walk, k, err) != ST_OK)
		return err->st;
	k = 0;
	for (size_t i = 0; i < s->n_questions; i++) {
		struct place *p = &place[i];

		if (p->job.apex[0] == '\0')
			p->job = walk[k++];
		p->bad = is_bad(p->job.security);
		if (zone_index(p->bad ? bad : good, &p->job, &p->zone, err) !=
			ST_OK)
			return err->st;
	}
	return ST_OK;
}

static bool has_ds(const struct memo *m, const char *zone)
{
	const struct lookup *l = memo_get(m, zone, RRTYPE_DS);

	return l != NULL && l->security == DNS_SECURE && l->n > 0;
}

/* What does not resolve is a zone when its parent delegates it or has a DS for
 * it; otherwise it is a name in the healthy zone above. */
static enum status settle_bad(struct survey *s, struct memo *m,
	struct place *place, struct zones *good, struct zones *bad,
	struct err *err)
{
	auto_mem bool *cut = calloc(bad->n + 1, sizeof(*cut));
	auto_mem struct apex_job *up = calloc(bad->n + 1, sizeof(*up));

	if (cut == NULL || up == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < bad->n; i++)
		if (strcmp(bad->z[i].zone, ".") != 0 &&
			memo_want(m, bad->z[i].zone, RRTYPE_DS, err) != ST_OK)
			return err->st;
	if (memo_run(m, err) != ST_OK ||
		servers_find_delegated(m, bad->z, bad->n, cut, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < bad->n; i++) {
		const char *name = name_parent(bad->z[i].zone);

		cut[i] = cut[i] || has_ds(m, bad->z[i].zone);
		up[i].name = name != NULL ? name : ".";
	}
	if (apex_find(m, up, bad->n, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < s->n_questions; i++) {
		struct place *p = &place[i];

		if (!p->bad || cut[p->zone] || is_bad(up[p->zone].security))
			continue;
		if (zone_index(good, &up[p->zone], &p->zone, err) != ST_OK)
			return err->st;
		p->bad = false;
	}
	return ST_OK;
}

/* Moves what a question points to into the survey. */
static enum status collect(struct survey *s, const struct place *place,
	struct zones *good, struct zones *bad, struct err *err)
{
	auto_mem size_t *at = calloc(good->n + bad->n + 1, sizeof(*at));

	s->zone = calloc(good->n + bad->n + 1, sizeof(*s->zone));
	if (s->zone == NULL || at == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < s->n_questions; i++) {
		const struct place *p = &place[i];
		struct zones *from = p->bad ? bad : good;
		size_t *to = &at[p->zone + (p->bad ? good->n : 0)];

		if (*to == 0) {
			s->zone[s->n_zones].auth = from->z[p->zone];
			from->z[p->zone] = (struct zone_auth){ .zone = "" };
			*to = ++s->n_zones;
		}
		s->question[i].zone = *to - 1;
	}
	return ST_OK;
}

static enum status find_zones(struct survey *s, struct memo *m, struct err *err)
{
	struct zones good = { .n = 0 }, bad = { .n = 0 };
	struct place *place = calloc(s->n_questions + 1, sizeof(*place));
	enum status st;

	if (place == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	st = locate(s, m, place, &good, &bad, err);
	if (st == ST_OK && bad.n > 0)
		st = settle_bad(s, m, place, &good, &bad, err);
	if (st == ST_OK)
		st = servers_find(m, good.z, good.n, NULL, err);
	if (st == ST_OK)
		st = collect(s, place, &good, &bad, err);
	for (size_t i = 0; i < good.n; i++)
		zone_release(&good.z[i]);
	for (size_t i = 0; i < bad.n; i++)
		zone_release(&bad.z[i]);
	free(good.z);
	free(bad.z);
	free(place);
	return st;
}

static enum status find_ds(const struct survey *s, struct memo *m,
	const struct lookup **ret, struct err *err)
{
	for (size_t i = 0; i < s->n_zones; i++)
		if (strcmp(s->zone[i].auth.zone, ".") != 0 &&
			memo_want(m, s->zone[i].auth.zone, RRTYPE_DS, err) !=
				ST_OK)
			return err->st;
	if (memo_run(m, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < s->n_zones; i++)
		ret[i] = memo_get(m, s->zone[i].auth.zone, RRTYPE_DS);
	return ST_OK;
}

enum status survey_run(
	struct survey *s, struct memo *m, int64_t deadline_ms, struct err *err)
{
	struct survey_limits lim = {
		.deadline_ms = deadline_ms > 0 ? deadline_ms : DEADLINE_MS,
		.udp_ms = UDP_MS,
		.udp_tries = UDP_TRIES,
		.tcp_ms = TCP_MS,
		.wall_s = (int64_t)time(NULL),
	};
	const struct lookup **ds;
	enum status st = find_zones(s, m, err);

	if (st != ST_OK)
		return st;
	ds = calloc(s->n_zones + 1, sizeof(*ds));
	if (ds == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	st = find_ds(s, m, ds, err);
	if (st == ST_OK)
		st = survey_query(s, ds, &lim, err);
	free(ds);
	return st;
}
