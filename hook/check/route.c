/*
 * From a domain to hosts, addresses and TLSA records, in the order in which a
 * sender goes: MX, then A and AAAA, then (only when those are secure) TLSA. All
 * questions of a stage are asked at once, for all checks. (RFC 7672 2.2)
 *
 * Invariants: a failed or a bogus answer stops the branch it belongs to and
 * nothing else; records are taken from secure answers only; nothing here says
 * whether that is good or bad.
 */
#include "hook/check/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void bare(char ret[static DNS_NAME_MAX], const char *name)
{
	size_t len = strlen(name);

	(void)snprintf(ret, DNS_NAME_MAX, "%s", name);
	if (len > 1 && ret[len - 1] == '.')
		ret[len - 1] = '\0';
}

/* "PREFIX.NAME"; false when that is too long to be a name. */
static bool below(
	char ret[static DNS_NAME_MAX], const char *prefix, const char *name)
{
	char text[2 * DNS_NAME_MAX];
	struct err err = ERR_INIT;

	(void)snprintf(text, sizeof(text), "%s.%s", prefix,
		strcmp(name, ".") == 0 ? "" : name);
	return name_canon(text, ret, &err) == ST_OK;
}

static bool tlsa_owner(
	char ret[static DNS_NAME_MAX], uint16_t port, const char *base)
{
	char prefix[16];

	(void)snprintf(prefix, sizeof(prefix), "_%u._tcp", (unsigned)port);
	return below(ret, prefix, base);
}

static void say(struct check_host *h, enum host_dane dane, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct check_host *h, enum host_dane dane, const char *fmt, ...)
{
	va_list ap;

	h->dane = dane;
	va_start(ap, fmt);
	(void)vsnprintf(h->why, sizeof(h->why), fmt, ap);
	va_end(ap);
}

/* ---- MX ---------------------------------------------------------------- */

static enum status want_mx(struct check *c, struct memo *m, struct err *err)
{
	char name[DNS_NAME_MAX];
	enum status st;

	bare(c->name_bare, c->name);
	if (c->kind != CHECK_BY_DOMAIN)
		return ST_OK;
	st = memo_want(m, c->name, RRTYPE_MX, err);
	if (st == ST_OK && below(name, "_smtp._tls", c->name))
		st = memo_want(m, name, RRTYPE_TXT, err);
	return st;
}

static struct check_host *host_find(const struct check *c, const char *name)
{
	for (size_t i = 0; i < c->n_hosts; i++)
		if (strcmp(c->host[i].name, name) == 0)
			return &c->host[i];
	return NULL;
}

static enum status take_mx(
	struct check *c, const struct rdata *rd, struct err *err)
{
	struct rdata target = { .data = rd->data + 2, .len = rd->len - 2 };
	uint16_t pref = (uint16_t)(rd->data[0] << 8 | rd->data[1]);
	char name[DNS_NAME_MAX];
	struct check_host *h;
	enum status st;

	if (!rdata_name(&target, name)) {
		c->truncated = true;
		return ST_OK;
	}
	if (strcmp(name, ".") == 0) {
		c->null_mx = true;
		return ST_OK;
	}
	h = host_find(c, name);
	if (h != NULL) {
		if (pref < h->pref)
			h->pref = pref;
		return ST_OK;
	}
	st = check_add_host(c, name, c->port, c->proto, err);
	if (st == ST_REFUSED) {
		c->truncated = true;
		return ST_OK;
	}
	if (st == ST_OK)
		c->host[c->n_hosts - 1].pref = pref;
	return st;
}

/* So that the limit cuts off the least preferred. */
static int rr_by_pref(const void *a, const void *b)
{
	const struct rdata *x = *(const struct rdata *const *)a;
	const struct rdata *y = *(const struct rdata *const *)b;
	int c = memcmp(x->data, y->data, 2);

	return c != 0 ? c : (x > y) - (x < y);
}

static enum status take_all_mx(struct check *c, struct err *err)
{
	const struct rdata **rr = calloc(c->mx->n + 1, sizeof(*rr));
	enum status st = ST_OK;
	size_t n = 0;

	if (rr == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < c->mx->n; i++)
		if (c->mx->rr[i].len > 2)
			rr[n++] = &c->mx->rr[i];
	qsort(rr, n, sizeof(*rr), rr_by_pref);
	for (size_t i = 0; st == ST_OK && i < n; i++)
		st = take_mx(c, rr[i], err);
	free(rr);
	return st;
}

static int by_pref(const void *a, const void *b)
{
	const struct check_host *x = a, *y = b;

	if (x->pref != y->pref)
		return x->pref < y->pref ? -1 : 1;
	return strcmp(x->name, y->name);
}

static enum status take_domain(struct check *c, struct memo *m, struct err *err)
{
	char name[DNS_NAME_MAX];
	enum status st;

	c->mx = memo_get(m, c->name, RRTYPE_MX);
	if (below(name, "_smtp._tls", c->name))
		c->tlsrpt = memo_get(m, name, RRTYPE_TXT);
	(void)snprintf(c->expanded, sizeof(c->expanded), "%s", c->mx->canon);
	if (c->mx->security == DNS_BOGUS || c->mx->security == DNS_FAILED ||
		c->mx->nxdomain)
		return ST_OK;
	if (!c->mx->havedata) {
		c->implicit_mx = true;
		return check_add_host(c, c->name, c->port, c->proto, err);
	}
	st = take_all_mx(c, err);
	if (c->n_hosts > 1)
		qsort(c->host, c->n_hosts, sizeof(*c->host), by_pref);
	/* A null MX counts only when it stands alone. (RFC 7505 3) */
	if (c->n_hosts > 0)
		c->null_mx = false;
	return st;
}

static enum status want_hosts(struct check *c, struct memo *m, struct err *err)
{
	char name[DNS_NAME_MAX];
	enum status st = ST_OK;

	if (c->kind == CHECK_BY_DOMAIN) {
		st = take_domain(c, m, err);
		if (st == ST_OK && host_find(c, c->name) == NULL &&
			tlsa_owner(name, c->port, c->name))
			st = memo_want(m, name, RRTYPE_TLSA, err);
	} else if (c->kind == CHECK_BY_HOST) {
		st = check_add_host(c, c->name, c->port, c->proto, err);
	}
	for (size_t i = 0; st == ST_OK && i < c->n_hosts; i++) {
		struct check_host *h = &c->host[i];

		bare(h->bare, h->name);
		memcpy(h->base, h->name, sizeof(h->base));
		memcpy(h->base_bare, h->bare, sizeof(h->base_bare));
		st = memo_want(m, h->name, RRTYPE_A, err);
		if (st == ST_OK)
			st = memo_want(m, h->name, RRTYPE_AAAA, err);
	}
	return st;
}

/* ---- addresses --------------------------------------------------------- */

static bool is_bad(const struct lookup *l)
{
	return l->security == DNS_BOGUS || l->security == DNS_FAILED;
}

/* One type that fails does not take away the other's addresses (S39). */
static void judge_addresses(struct check_host *h)
{
	const struct lookup *bad = is_bad(h->a) ? h->a : h->aaaa;

	if (h->a->havedata || h->aaaa->havedata) {
		bool secure =
			(!h->a->havedata || h->a->security == DNS_SECURE) &&
			(!h->aaaa->havedata || h->aaaa->security == DNS_SECURE);

		if (!secure)
			say(h, HOST_INSECURE,
				"its address records are not signed");
		else
			h->dane = HOST_TLSA; /* until the TLSA answer */
		return;
	}
	if (is_bad(h->a) || is_bad(h->aaaa)) {
		if (h->a->security != DNS_BOGUS &&
			h->aaaa->security == DNS_BOGUS)
			bad = h->aaaa;
		say(h,
			bad->security == DNS_BOGUS ? HOST_BOGUS
						   : HOST_ADDR_FAILED,
			"%s", bad->why);
		return;
	}
	say(h, HOST_NO_ADDRESS, "%s",
		h->a->nxdomain ? "there is no such name"
			       : "it has neither an A nor an AAAA record");
}

static enum status take_addresses(
	struct check_host *h, struct memo *m, struct err *err)
{
	const struct lookup *l;

	h->a = memo_get(m, h->name, RRTYPE_A);
	h->aaaa = memo_get(m, h->name, RRTYPE_AAAA);
	l = h->a->havedata || strcmp(h->a->canon, h->name) != 0 ? h->a
								: h->aaaa;
	(void)snprintf(h->expanded, sizeof(h->expanded), "%s",
		is_bad(l) || l->canon[0] == '\0' ? h->name : l->canon);
	h->alias = strcmp(h->expanded, h->name) != 0;
	judge_addresses(h);
	/* An insecure end of a chain says nothing of its beginning. */
	if (h->alias && h->dane == HOST_INSECURE)
		return memo_want(m, h->name, RRTYPE_CNAME, err);
	return ST_OK;
}

/* ---- TLSA -------------------------------------------------------------- */

static enum status want_base(struct memo *m, const struct check_host *h,
	const char *base, struct err *err)
{
	char owner[DNS_NAME_MAX];

	return tlsa_owner(owner, h->port, base)
		       ? memo_want(m, owner, RRTYPE_TLSA, err)
		       : ST_OK;
}

/* The candidates for the TLSA base domain: the expanded name when all of the
 * chain is secure, then the name itself when its CNAME is. (RFC 7672 2.2.2) */
static enum status want_tlsa(
	struct check_host *h, struct memo *m, struct err *err)
{
	enum status st = ST_OK;

	if (h->alias && h->dane == HOST_INSECURE) {
		h->cname = memo_get(m, h->name, RRTYPE_CNAME);
		if (h->cname->security == DNS_SECURE && h->cname->havedata)
			h->dane = HOST_TLSA;
		else if (is_bad(h->cname)) /* (RFC 7672 2.1.3) */
			say(h,
				h->cname->security == DNS_BOGUS
					? HOST_BOGUS
					: HOST_ADDR_FAILED,
				"%s", h->cname->why);
	} else if (h->alias && h->dane == HOST_TLSA) {
		st = want_base(m, h, h->expanded, err);
	}
	if (st == ST_OK && h->dane == HOST_TLSA)
		st = want_base(m, h, h->name, err);
	return st;
}

static enum status take_records(struct check_host *h, struct err *err)
{
	h->rrset.ttl = h->tlsa->ttl;
	for (size_t i = 0; i < h->tlsa->n; i++) {
		enum status st = tlsa_rrset_add_rdata(&h->rrset,
			h->tlsa->rr[i].data, h->tlsa->rr[i].len, err);

		if (st == ST_NOMEM)
			return st;
		/* Too short to have even its three numbers, or too many. */
		if (st != ST_OK)
			say(h, HOST_TLSA, "a record was left out: %s",
				err->text);
	}
	h->tlsa_probe = calloc(h->rrset.n + 1, sizeof(*h->tlsa_probe));
	if (h->tlsa_probe == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < h->rrset.n; i++) {
		const struct tlsa *r = &h->rrset.rr[i];

		h->tlsa_probe[i] = (struct probe_tlsa){ .usage = r->usage,
			.selector = r->selector,
			.mtype = r->mtype,
			.data = r->data,
			.len = r->len };
	}
	return ST_OK;
}

static void use_base(
	struct check_host *h, const char *base, const struct lookup *l)
{
	(void)snprintf(h->base, sizeof(h->base), "%s", base);
	bare(h->base_bare, base);
	(void)snprintf(h->owner, sizeof(h->owner), "%s", l->name);
	h->tlsa = l;
}

/* True when the answer at this base decides. */
static bool try_base(struct check_host *h, struct memo *m, const char *base)
{
	char owner[DNS_NAME_MAX];
	const struct lookup *l = NULL;

	if (tlsa_owner(owner, h->port, base))
		l = memo_get(m, owner, RRTYPE_TLSA);
	if (l == NULL)
		return false;
	use_base(h, base, l);
	return is_bad(l) || (l->security == DNS_SECURE && l->havedata);
}

static enum status take_tlsa(
	struct check_host *h, struct memo *m, struct err *err)
{
	bool expanded = h->alias && h->cname == NULL;

	(void)tlsa_owner(h->owner, h->port, h->name);
	if (h->dane != HOST_TLSA)
		return ST_OK;
	/* The second candidate is asked only when the first has none. */
	if (!(expanded && try_base(h, m, h->expanded)))
		(void)try_base(h, m, h->name);
	if (h->tlsa == NULL) {
		say(h, HOST_NO_TLSA, "its name is too long for a TLSA record");
	} else if (h->tlsa->security == DNS_BOGUS) {
		say(h, HOST_BOGUS, "%s", h->tlsa->why);
	} else if (h->tlsa->security == DNS_FAILED) {
		say(h, HOST_TLSA_FAILED, "%s", h->tlsa->why);
	} else if (h->tlsa->security == DNS_INSECURE) {
		if (h->tlsa->havedata ||
			strcmp(h->tlsa->canon, h->tlsa->name) != 0)
			say(h, HOST_INSECURE,
				"its TLSA records are not signed");
		else
			say(h, HOST_NO_TLSA,
				"there is none (the denial is not signed)");
	} else if (!h->tlsa->havedata) {
		say(h, HOST_NO_TLSA, "%s", "there is none");
	} else {
		return take_records(h, err);
	}
	return ST_OK;
}

/* ---- all --------------------------------------------------------------- */

/* Beside the base domain: the next hop when the way from it to the host is
 * secure, and what it is an alias of when that was asked for MX. Behind an
 * unsigned MX answer whoever forged it would choose them. (RFC 7672 3.2.2) */
static void put_names(struct check *c)
{
	bool by_mx = c->kind == CHECK_BY_DOMAIN && !c->implicit_mx;
	size_t n = 0;

	if (c->kind != CHECK_BY_LINEAGE &&
		(!by_mx || c->mx->security == DNS_SECURE))
		c->names[n++] = c->name_bare;
	if (n > 0 && by_mx && c->expanded_bare[0] != '\0' &&
		strcmp(c->expanded_bare, c->name_bare) != 0)
		c->names[n++] = c->expanded_bare;
	c->names[n] = NULL;
}

static void finish(struct check *c, struct memo *m)
{
	char name[DNS_NAME_MAX];

	if (c->kind == CHECK_BY_DOMAIN && host_find(c, c->name) == NULL &&
		tlsa_owner(name, c->port, c->name))
		c->bare_tlsa = memo_get(m, name, RRTYPE_TLSA);
	if (c->kind == CHECK_BY_HOST && c->n_hosts > 0)
		memcpy(c->expanded, c->host[0].expanded, sizeof(c->expanded));
	bare(c->expanded_bare, c->expanded);
	put_names(c);
}

static enum status each_host(struct check *const checks[], size_t n,
	struct memo *m,
	enum status (*f)(struct check_host *, struct memo *, struct err *),
	struct err *err)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < checks[i]->n_hosts; k++)
			if (f(&checks[i]->host[k], m, err) != ST_OK)
				return err->st;
	return ST_OK;
}

static enum status each_check(struct check *const checks[], size_t n,
	struct memo *m,
	enum status (*f)(struct check *, struct memo *, struct err *),
	struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (f(checks[i], m, err) != ST_OK)
			return err->st;
	return ST_OK;
}

enum status check_route(
	struct check *const checks[], size_t n, struct memo *m, struct err *err)
{
	enum status st = each_check(checks, n, m, want_mx, err);

	if (st == ST_OK)
		st = memo_run(m, err);
	if (st == ST_OK)
		st = each_check(checks, n, m, want_hosts, err);
	if (st == ST_OK)
		st = memo_run(m, err);
	if (st == ST_OK)
		st = each_host(checks, n, m, take_addresses, err);
	if (st == ST_OK)
		st = memo_run(m, err);
	if (st == ST_OK)
		st = each_host(checks, n, m, want_tlsa, err);
	if (st == ST_OK)
		st = memo_run(m, err);
	if (st == ST_OK)
		st = each_host(checks, n, m, take_tlsa, err);
	for (size_t i = 0; st == ST_OK && i < n; i++)
		finish(checks[i], m);
	return st;
}

/* Which questions the name servers are asked: all that a sender's resolver
 * would ask them, and the name in between. (RFC 8020, dane.md S24, S74) */
enum status check_survey(struct check *const checks[], size_t n, struct memo *m,
	struct survey *survey, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < n; i++) {
		const struct check *c = checks[i];

		if (c->mx != NULL)
			st = survey_ask(survey, c->expanded, RRTYPE_MX, err);
		/* The zones of aliases have servers of their own. */
		if (st == ST_OK && c->mx != NULL)
			st = survey_ask(survey, c->name, RRTYPE_MX, err);
		for (size_t k = 0; st == ST_OK && k < c->n_hosts; k++) {
			const struct check_host *h = &c->host[k];
			char ent[DNS_NAME_MAX];

			st = survey_ask(survey, h->expanded, RRTYPE_A, err);
			if (st == ST_OK)
				st = survey_ask(
					survey, h->expanded, RRTYPE_AAAA, err);
			if (st == ST_OK && h->alias)
				st = survey_ask(survey, h->name, RRTYPE_A, err);
			if (st == ST_OK && h->owner[0] != '\0')
				st = survey_ask(
					survey, h->owner, RRTYPE_TLSA, err);
			if (st != ST_OK || h->tlsa == NULL ||
				(!h->tlsa->havedata && !is_bad(h->tlsa)))
				continue;
			if (strcmp(h->tlsa->canon, h->owner) != 0)
				st = survey_ask(survey, h->tlsa->canon,
					RRTYPE_TLSA, err);
			/* A denial of the name above hides the record. */
			if (st == ST_OK && below(ent, "_tcp", h->base))
				st = survey_ask(survey, ent, RRTYPE_A, err);
		}
	}
	if (st == ST_OK)
		st = survey_run(survey, m, 0, err);
	for (size_t i = 0; i < n; i++)
		checks[i]->survey = survey;
	return st;
}
