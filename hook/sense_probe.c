/*
 * Sense: what the endpoints really serve. Every address of every endpoint of
 * the lineage is asked once per key algorithm (RSA and ECDSA forced in turn,
 * dane.md L4), because a server with two certificates serves both.
 */
#include "hook/sense.h"

#include "hook/base/auto.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe_set {
	struct probe_job *job;
	size_t n, cap;
	char (*host)[DNS_NAME_MAX]; /* per endpoint, without the final dot */
	struct probe_tlsa **tlsa;   /* per endpoint */
	size_t *n_tlsa;
	bool *unpublished; /* per endpoint: we never published there */
};

static void set_release(struct probe_set *ps, size_t n_endpoints)
{
	for (size_t i = 0; ps->tlsa != NULL && i < n_endpoints; i++)
		free(ps->tlsa[i]);
	free(ps->tlsa);
	free(ps->n_tlsa);
	free(ps->unpublished);
	free(ps->host);
	free(ps->job);
}

static void unknown(struct session *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void unknown(struct session *s, const char *fmt, ...)
{
	va_list ap;

	if (s->obs.probe != PROBED_NOT)
		return;
	s->obs.probe = PROBED_UNKNOWN;
	va_start(ap, fmt);
	(void)vsnprintf(s->obs.probe_why, sizeof(s->obs.probe_why), fmt, ap);
	va_end(ap);
}

static void mismatch(struct session *s, bool outage, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void mismatch(struct session *s, bool outage, const char *fmt, ...)
{
	va_list ap;

	if (s->obs.probe == PROBED_OUTAGE ||
		(s->obs.probe == PROBED_MIXED && !outage))
		return;
	s->obs.probe = outage ? PROBED_OUTAGE : PROBED_MIXED;
	va_start(ap, fmt);
	(void)vsnprintf(s->obs.probe_why, sizeof(s->obs.probe_why), fmt, ap);
	va_end(ap);
}

/* No record of ours is there (yet): those that do not match are all somebody
 * else's, and the one that is missing is what a first publication brings. */
static bool is_unpublished(const struct session *s, size_t owner)
{
	if (s->st.owner[owner].publish_ms == 0)
		return true;
	for (size_t k = 0; k < s->st.n_keys; k++)
		if (s->st.key[k].at[owner].rec != REC_HIDDEN)
			return false;
	return true;
}

static size_t endpoint_of(const struct probe_set *ps, const struct probe_job *j)
{
	return (size_t)(j->host - ps->host[0]) / DNS_NAME_MAX;
}

/* The published records for an endpoint: those of the owner name with the same
 * host and port. */
static enum status borrow_tlsa(
	struct session *s, struct probe_set *ps, size_t e, struct err *err)
{
	const struct cfg_endpoint *ep = &s->cl->endpoint[e];

	for (size_t i = 0; s->obs.swept && i < s->st.n_owners; i++) {
		const struct tlsa_rrset *set = &s->validated[i];
		char host[DNS_NAME_MAX];
		uint16_t port;

		if (name_split_tlsa(s->st.owner[i].owner, &port, host, err) !=
				ST_OK ||
			port != ep->port || strcmp(host, ep->host) != 0)
			continue;
		ps->tlsa[e] = calloc(set->n + 1, sizeof(*ps->tlsa[e]));
		if (ps->tlsa[e] == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		for (size_t r = 0; r < set->n; r++)
			ps->tlsa[e][r] = (struct probe_tlsa){
				.usage = set->rr[r].usage,
				.selector = set->rr[r].selector,
				.mtype = set->rr[r].mtype,
				.data = set->rr[r].data,
				.len = set->rr[r].len,
			};
		ps->n_tlsa[e] = set->n;
		ps->unpublished[e] = is_unpublished(s, i);
		return ST_OK;
	}
	return ST_OK;
}

static enum status add_jobs(struct session *s, struct probe_set *ps, size_t e,
	const struct rdata *rd, int family, struct err *err)
{
	static const enum probe_alg algs[] = { PROBE_RSA, PROBE_ECDSA };
	const struct cfg_endpoint *ep = &s->cl->endpoint[e];
	size_t need = family == AF_INET ? 4 : 16;

	if (rd->len != need)
		return ST_OK;
	if (ps->n + 2 > ps->cap) {
		size_t cap = ps->cap ? 2 * ps->cap : 16;
		struct probe_job *p = reallocarray(ps->job, cap, sizeof(*p));

		if (p == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		ps->job = p;
		ps->cap = cap;
	}
	for (size_t a = 0; a < 2; a++) {
		struct probe_job *j = &ps->job[ps->n++];
		struct sockaddr_in *v4 = (struct sockaddr_in *)&j->addr;
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&j->addr;

		memset(j, 0, sizeof(*j));
		j->host = ps->host[e];
		j->proto = ep->proto;
		j->alg = algs[a];
		j->tlsa = ps->tlsa[e];
		j->n_tlsa = ps->n_tlsa[e];
		j->addr.ss_family = (sa_family_t)family;
		if (family == AF_INET) {
			v4->sin_port = htons(ep->port);
			memcpy(&v4->sin_addr, rd->data, 4);
			j->addr_len = sizeof(*v4);
		} else {
			v6->sin6_port = htons(ep->port);
			memcpy(&v6->sin6_addr, rd->data, 16);
			j->addr_len = sizeof(*v6);
		}
	}
	return ST_OK;
}

/* Addresses come from the public DNS, through our own resolver: what senders
 * see, not what this host's /etc/hosts says. */
static enum status resolve(
	struct session *s, struct probe_set *ps, struct err *err)
{
	size_t n = s->cl->n_endpoints;
	struct lookup *lk = calloc(2 * n + 1, sizeof(*lk));
	struct lookup **jobs = calloc(2 * n + 1, sizeof(*jobs));
	enum status st = ST_OK;

	if (lk == NULL || jobs == NULL) {
		free(lk);
		free(jobs);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < 2 * n; i++) {
		memcpy(lk[i].name, s->cl->endpoint[i / 2].host, DNS_NAME_MAX);
		lk[i].type = i % 2 == 0 ? RRTYPE_A : RRTYPE_AAAA;
		jobs[i] = &lk[i];
	}
	st = s->e->env->look_up(s->e->env->ctx, jobs, 2 * n, err);
	for (size_t i = 0; st == ST_OK && i < 2 * n; i++) {
		struct lookup *l = &lk[i];
		const char *host = s->cl->endpoint[i / 2].host;

		if (l->security == DNS_BOGUS || l->security == DNS_FAILED) {
			unknown(s, "%s: its %s addresses cannot be found: %s",
				host, i % 2 ? "IPv6" : "IPv4", l->why);
			continue;
		}
		if (i % 2 == 1 && !l->havedata && !lk[i - 1].havedata)
			unknown(s, "%s has no address", host);
		for (size_t r = 0; st == ST_OK && r < l->n; r++)
			st = add_jobs(s, ps, i / 2, &l->rr[r],
				i % 2 ? AF_INET6 : AF_INET, err);
	}
	for (size_t i = 0; i < 2 * n; i++)
		lookup_release(&lk[i]);
	free(lk);
	free(jobs);
	return st;
}

static const char *where(const struct probe_job *j, char *buf, size_t len)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&j->addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&j->addr;

	if (j->addr.ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
	else
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
	(void)snprintf(buf, len, "%s [%s]:%u (%s)", j->host, ip,
		(unsigned)ntohs(v4->sin_port), probe_proto_name(j->proto));
	return buf;
}

static bool is_ours(const struct session *s, const struct spki *spki)
{
	return state_key_find(&s->st, spki) != NULL;
}

/* A key of another algorithm belongs to another lineage at the same name. */
static bool is_claimed(const struct session *s, const struct spki *spki)
{
	for (size_t i = 0; i < s->n_claims; i++)
		if (spki_eq(&s->claim[i].spki, spki) &&
			s->claim[i].role != KEY_RETIRED)
			return true;
	return false;
}

static void judge_served(struct session *s, const struct probe_set *ps,
	const struct probe_job *j, const struct spki *expect,
	int64_t not_after_s, bool *stale)
{
	char at[400], hex[SPKI_HEX];
	bool outage = j->n_tlsa > 0 && !j->dane_ok;

	(void)where(j, at, sizeof(at));
	spki_hex(&j->spki, hex);
	if (spki_eq(&j->spki, expect)) {
		if (not_after_s != 0 && j->not_after != not_after_s)
			*stale = true;
		if (outage && !ps->unpublished[endpoint_of(ps, j)])
			mismatch(s, true,
				"%s serves key %.16s..., which matches no "
				"published record",
				at, hex);
		return;
	}
	/* Another lineage brings it; two must not wait for each other with
	 * their first records. */
	if (ps->unpublished[endpoint_of(ps, j)] && !is_ours(s, &j->spki) &&
		is_claimed(s, &j->spki))
		return;
	if (outage)
		mismatch(s, true,
			"OUTAGE: %s serves key %.16s..., which matches no "
			"published record: senders with DANE defer their mail",
			at, hex);
	else if (is_ours(s, &j->spki) || !is_claimed(s, &j->spki))
		mismatch(s, false,
			"%s serves %skey %.16s...: does it read live/%s/, and "
			"did it reload?",
			at, is_ours(s, &j->spki) ? "another of our keys, " : "",
			hex, s->cl->name);
}

static bool same_addr(const struct probe_job *a, const struct probe_job *b)
{
	return a->addr_len == b->addr_len &&
	       memcmp(&a->addr, &b->addr, a->addr_len) == 0;
}

static bool another_address_served(
	const struct probe_set *ps, const struct probe_job *j)
{
	for (size_t i = 0; i < ps->n; i++)
		if (ps->job[i].host == j->host &&
			ps->job[i].proto == j->proto &&
			!same_addr(&ps->job[i], j) &&
			ps->job[i].result == PROBE_SERVED)
			return true;
	return false;
}

static void judge(struct session *s, const struct probe_set *ps, size_t i,
	const struct spki *expect, int64_t not_after_s, bool *stale)
{
	const struct probe_job *j = &ps->job[i];
	const struct probe_job *twin = &ps->job[i ^ 1];
	char at[400];

	switch (j->result) {
	case PROBE_SERVED:
		judge_served(s, ps, j, expect, not_after_s, stale);
		break;
	case PROBE_NO_CERT:
		if (twin->result != PROBE_SERVED && i % 2 == 0)
			unknown(s,
				"%s offers neither an RSA nor an ECDSA "
				"certificate",
				where(j, at, sizeof(at)));
		break;
	case PROBE_UNTESTABLE:
		/* Counts as long as another address of the host was seen. */
		if (!another_address_served(ps, j))
			unknown(s,
				"%s cannot be reached from this host (no "
				"route)",
				where(j, at, sizeof(at)));
		break;
	case PROBE_NO_CONNECT:
	case PROBE_NO_STARTTLS:
	case PROBE_PROTOCOL:
	case PROBE_HANDSHAKE:
	case PROBE_TIMEOUT:
	case PROBE_NO_VERSION: /* never: no version is forced */
		unknown(s, "%s: %s%s%s", where(j, at, sizeof(at)),
			probe_result_name(j->result), j->why[0] ? ": " : "",
			j->why);
		break;
	}
}

static bool someone_serves(const struct probe_set *ps, const struct spki *key)
{
	for (size_t i = 0; i < ps->n; i++)
		if (ps->job[i].result == PROBE_SERVED &&
			spki_eq(&ps->job[i].spki, key))
			return true;
	return false;
}

/* Each testable address must serve the expected key for its algorithm; a
 * server that lacks that algorithm serves something else. */
static void judge_all(struct session *s, struct probe_set *ps,
	const struct spki *expect, int64_t not_after_s, bool *stale)
{
	for (size_t i = 0; i < ps->n; i++)
		judge(s, ps, i, expect, not_after_s, stale);
	for (size_t i = 0; i + 1 < ps->n; i += 2) {
		const struct probe_job *a = &ps->job[i], *b = a + 1;
		char at[400], hex[SPKI_HEX];

		if (a->result != PROBE_SERVED && b->result != PROBE_SERVED)
			continue;
		if ((a->result == PROBE_SERVED && spki_eq(&a->spki, expect)) ||
			(b->result == PROBE_SERVED &&
				spki_eq(&b->spki, expect)))
			continue;
		mismatch(s, false,
			"%s does not serve key %.16s...: does it read "
			"live/%s/, and did it reload?",
			where(a, at, sizeof(at)), spki_hex(expect, hex),
			s->cl->name);
	}
	if (ps->n == 0 ||
		(s->obs.probe == PROBED_NOT && !someone_serves(ps, expect)))
		unknown(s, "no endpoint could be probed");
	if (s->obs.probe == PROBED_NOT)
		s->obs.probe = PROBED_ALL;
}

enum status sense_probe(struct session *s, const struct spki *expect,
	int64_t not_after_s, bool *ret_stale, struct err *err)
{
	size_t n = s->cl->n_endpoints;
	struct probe_set ps = {
		.host = calloc(n + 1, sizeof(*ps.host)),
		.tlsa = calloc(n + 1, sizeof(*ps.tlsa)),
		.n_tlsa = calloc(n + 1, sizeof(*ps.n_tlsa)),
		.unpublished = calloc(n + 1, sizeof(*ps.unpublished)),
	};
	/* One at a time: a server that counts a client's connections must not
	 * be taken for one without a key of the other algorithm. */
	struct probe_limits lim = { .per_address = 1 };
	enum status st = ST_OK;

	session_forget_probe(s);
	s->obs.probe_expected = *expect;
	*ret_stale = false;
	if (st == ST_OK && (ps.host == NULL || ps.tlsa == NULL ||
				   ps.n_tlsa == NULL || ps.unpublished == NULL))
		st = err_set(err, ST_NOMEM, "out of memory");
	for (size_t e = 0; st == ST_OK && e < n; e++) {
		size_t len = strlen(s->cl->endpoint[e].host);

		memcpy(ps.host[e], s->cl->endpoint[e].host, len + 1);
		if (len > 1)
			ps.host[e][len - 1] = '\0';
		st = borrow_tlsa(s, &ps, e, err);
	}
	if (st == ST_OK)
		st = sense_claims(s, err);
	if (st == ST_OK)
		st = resolve(s, &ps, err);
	if (st == ST_OK && ps.n > 0)
		st = s->e->env->probe(s->e->env->ctx, ps.job, ps.n, &lim, err);
	if (st == ST_OK)
		judge_all(s, &ps, expect, not_after_s, ret_stale);
	set_release(&ps, n);
	return st;
}
