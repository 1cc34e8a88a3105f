/*
 * From owner names to the zones that hold them: the validated TLSA answer,
 * the CNAME chain, the zone of the final name, and each zone once. Everything
 * that one stage wants to know is asked at the same time, so that thousands of
 * owner names cost a handful of round trips. (dane.md B-15; RFC 7671 7)
 *
 * Invariant: what was not found out stands in the result as BOGUS, FAILED or a
 * server without address. Nothing is left out because it did not answer.
 */
#include "hook/dns/authority.h"

#include "hook/dns/apex.h"
#include "hook/dns/memo.h"
#include "hook/dns/servers.h"

#include <arpa/inet.h>

#define CHAIN_MAX 16 /* CNAMEs; resolvers stop at about as many */

static bool parse_port(const char *text, uint16_t *ret)
{
	unsigned int port = 0;

	if (*text == '\0' || *text == '0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned int)(*text - '0');
		if (port > 65535)
			return false;
	}
	*ret = (uint16_t)port;
	return true;
}

bool dns_addr_parse(const char *text, uint16_t port, struct dns_addr *ret)
{
	char host[INET6_ADDRSTRLEN], canon[INET6_ADDRSTRLEN];
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct dns_addr a = { .len = 0 };
	size_t len = strcspn(text, "@");

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (text[len] == '@' && !parse_port(text + len + 1, &port))
		return false;
	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		v4.sin_port = htons(port);
		memcpy(&a.ss, &v4, sizeof(v4));
		a.len = sizeof(v4);
		(void)inet_ntop(AF_INET, &v4.sin_addr, canon, sizeof(canon));
	} else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
		v6.sin6_port = htons(port);
		memcpy(&a.ss, &v6, sizeof(v6));
		a.len = sizeof(v6);
		(void)inet_ntop(AF_INET6, &v6.sin6_addr, canon, sizeof(canon));
	} else {
		return false;
	}
	if (port == 53)
		(void)snprintf(a.text, sizeof(a.text), "%s", canon);
	else
		(void)snprintf(a.text, sizeof(a.text), "%s@%u", canon, port);
	*ret = a;
	return true;
}

static void rdata_free(struct rdata *rr, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(rr[i].data);
	free(rr);
}

void authority_release(struct authority *a)
{
	for (size_t i = 0; i < a->n_zones; i++) {
		free(a->zone[i].server);
		rdata_free(a->zone[i].dnskey, a->zone[i].n_dnskey);
	}
	for (size_t i = 0; i < a->n_owners; i++)
		rdata_free(a->owner[i].rr, a->owner[i].n);
	free(a->zone);
	free(a->owner);
	*a = (struct authority){ 0 };
}

static bool is_bad(enum dns_security s)
{
	return s == DNS_BOGUS || s == DNS_FAILED;
}

/* ---- owners -------------------------------------------------------------- */

static enum status take_tlsa(
	struct owner_auth *o, const struct lookup *l, struct err *err)
{
	o->security = l->security;
	o->havedata = l->havedata;
	o->ttl = l->ttl;
	memcpy(o->why, l->why, sizeof(o->why));
	/* The canonical name of an answer that is none says nothing. */
	if (!is_bad(l->security))
		memcpy(o->final, l->canon, sizeof(o->final));
	o->rr = calloc(l->n > 0 ? l->n : 1, sizeof(*o->rr));
	if (o->rr == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (; o->n < l->n; o->n++) {
		const struct rdata *from = &l->rr[o->n];
		uint8_t *copy = malloc(from->len > 0 ? from->len : 1);

		if (copy == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		memcpy(copy, from->data, from->len);
		o->rr[o->n] = (struct rdata){ copy, from->len };
	}
	return ST_OK;
}

static enum status find_owners(struct memo *m, const char *const owners[],
	struct authority *a, struct err *err)
{
	for (size_t i = 0; i < a->n_owners; i++) {
		struct owner_auth *o = &a->owner[i];

		if (name_canon(owners[i], o->owner, err) != ST_OK)
			return err->st;
		memcpy(o->final, o->owner, sizeof(o->final));
		if (memo_want(m, o->owner, RRTYPE_TLSA, err) != ST_OK)
			return err->st;
	}
	if (memo_run(m, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < a->n_owners; i++) {
		struct owner_auth *o = &a->owner[i];

		if (take_tlsa(o, memo_get(m, o->owner, RRTYPE_TLSA), err) !=
			ST_OK)
			return err->st;
	}
	return ST_OK;
}

/* ---- CNAME chains -------------------------------------------------------- */

struct chain {
	struct owner_auth *owner;
	char at[DNS_NAME_MAX];
	bool done;
};

/* One link. Where the chain ends is what the TLSA answer said; when that was
 * bogus or missing, it is as far as the links can be followed. */
static void follow(struct chain *c, const struct lookup *l)
{
	struct owner_auth *o = c->owner;
	char to[DNS_NAME_MAX];

	if (is_bad(l->security) || l->n == 0 || !rdata_name(&l->rr[0], to)) {
		c->done = true;
		return;
	}
	o->is_cname = true;
	if (l->ttl > o->cname_ttl)
		o->cname_ttl = l->ttl;
	memcpy(c->at, to, sizeof(c->at));
	if (is_bad(o->security))
		memcpy(o->final, to, sizeof(o->final));
	else
		c->done = strcmp(to, o->final) == 0;
}

static enum status run_chains(
	struct memo *m, struct chain *c, size_t n, struct err *err)
{
	bool more = n > 0;

	for (int depth = 0; more && depth < CHAIN_MAX; depth++) {
		for (size_t i = 0; i < n; i++)
			if (!c[i].done && memo_want(m, c[i].at, RRTYPE_CNAME,
						  err) != ST_OK)
				return err->st;
		if (memo_run(m, err) != ST_OK)
			return err->st;
		more = false;
		for (size_t i = 0; i < n; i++) {
			if (c[i].done)
				continue;
			follow(&c[i], memo_get(m, c[i].at, RRTYPE_CNAME));
			more = more || !c[i].done;
		}
	}
	return ST_OK;
}

static enum status find_chains(
	struct memo *m, struct authority *a, struct err *err)
{
	struct chain *c = calloc(a->n_owners > 0 ? a->n_owners : 1, sizeof(*c));
	size_t n = 0;
	enum status st = ST_OK;

	if (c == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; st == ST_OK && i < a->n_owners; i++) {
		struct owner_auth *o = &a->owner[i];

		o->is_cname = strcmp(o->owner, o->final) != 0;
		if (!o->is_cname && !is_bad(o->security))
			continue;
		memcpy(c[n].at, o->owner, sizeof(c[n].at));
		c[n++].owner = o;
		if (is_bad(o->security))
			st = apex_want_levels(m, o->owner, err);
	}
	if (st == ST_OK)
		st = run_chains(m, c, n, err);
	free(c);
	return st;
}

/* ---- zones --------------------------------------------------------------- */

static enum status zone_index(struct authority *a, const struct apex_job *j,
	size_t *ret, struct err *err)
{
	struct zone_auth *z;

	/* Neighbours in the configuration are neighbours in the DNS. */
	for (size_t i = a->n_zones; i > 0; i--) {
		z = &a->zone[i - 1];
		if (strcmp(z->zone, j->apex) != 0)
			continue;
		/* One owner's look-up failed, another's told the zone: ask
		 * its servers. The first owner stays FAILED by itself. */
		if (is_bad(z->security) && !is_bad(j->security)) {
			z->security = j->security;
			z->why[0] = '\0';
		}
		*ret = i - 1;
		return ST_OK;
	}
	z = reallocarray(a->zone, a->n_zones + 1, sizeof(*z));
	if (z == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	a->zone = z;
	z += a->n_zones;
	*z = (struct zone_auth){ .security = j->security };
	memcpy(z->zone, j->apex, sizeof(z->zone));
	memcpy(z->why, j->why, sizeof(z->why));
	*ret = a->n_zones++;
	return ST_OK;
}

/* The TLSA answer mostly tells the zone; otherwise walk up. */
static bool told(
	const struct memo *m, const struct owner_auth *o, struct apex_job *ret)
{
	const struct lookup *l = memo_get(m, o->owner, RRTYPE_TLSA);

	if (is_bad(l->security) || l->zone[0] == '\0' ||
		strcmp(l->canon, o->final) != 0)
		return false;
	ret->security = l->security;
	memcpy(ret->apex, l->zone, sizeof(ret->apex));
	return true;
}

static enum status find_zones(
	struct memo *m, struct authority *a, struct err *err)
{
	size_t n = a->n_owners;
	struct apex_job *walk = calloc(n > 0 ? n : 1, sizeof(*walk));
	struct apex_job hint = { .why = "" };
	enum status st;
	size_t k = 0;

	if (walk == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		if (!told(m, &a->owner[i], &hint))
			walk[k++].name = a->owner[i].final;
	st = apex_find(m, walk, k, err);
	k = 0;
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		struct owner_auth *o = &a->owner[i];
		const struct apex_job *j = &hint;

		if (!told(m, o, &hint))
			j = &walk[k++];
		st = zone_index(a, j, &o->zone, err);
	}
	free(walk);
	return st;
}

static enum status find(struct memo *m, const char *const owners[],
	const char *const ignore[], struct authority *a, struct err *err)
{
	if (find_owners(m, owners, a, err) != ST_OK ||
		find_chains(m, a, err) != ST_OK ||
		find_zones(m, a, err) != ST_OK)
		return err->st;
	return servers_find(m, a->zone, a->n_zones, ignore, err);
}

enum status authority_find(struct resolver *r, const char *const owners[],
	size_t n_owners, const char *const ignore[], struct authority *ret,
	struct err *err)
{
	struct authority a = { 0 };
	struct memo *m = NULL;
	enum status st;

	if (memo_new(r, &m, err) != ST_OK)
		return err->st;
	a.owner = calloc(n_owners > 0 ? n_owners : 1, sizeof(*a.owner));
	a.n_owners = a.owner != NULL ? n_owners : 0;
	if (a.owner != NULL)
		st = find(m, owners, ignore, &a, err);
	else
		st = err_set(err, ST_NOMEM, "out of memory");
	memo_free(m);
	if (st == ST_OK)
		*ret = a;
	else
		authority_release(&a);
	return st;
}
