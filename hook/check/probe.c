/*
 * Which connections are made: every address of every host, each key algorithm
 * forced in turn, with and without SNI, TLS 1.2 and 1.3. All checks' jobs go in
 * one run, and what that leaves open in a second one. (dane.md S58, S60, S71,
 * L4)
 *
 * Invariant: a stranger's zone cannot make us talk to our own machine.
 */
#include "hook/check/check.h"

#include "hook/base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The servers are somebody else's: do not trip their limits. */
#define PER_ADDRESS 4

struct shape {
	enum probe_alg alg;
	enum probe_version version;
	bool no_sni;
};

static const struct shape matrix[] = {
	{ PROBE_ECDSA, PROBE_TLS13, false },
	{ PROBE_RSA, PROBE_TLS13, false },
	{ PROBE_ECDSA, PROBE_TLS12, false },
	{ PROBE_RSA, PROBE_TLS12, false },
	{ PROBE_ECDSA, PROBE_TLS13, true },
	{ PROBE_RSA, PROBE_TLS13, true },
	{ PROBE_ECDSA, PROBE_TLS12, true },
	{ PROBE_RSA, PROBE_TLS12, true },
};
static const struct shape quick[] = { { PROBE_ANY, PROBE_TLS_ANY, false } };

/* Servers from before TLS 1.3, and those whose key is of another kind, refuse
 * some forced clients and serve free ones. */
static const struct shape unforced = { PROBE_ANY, PROBE_TLS_ANY, false };
#define SNI_OR_NOT 2

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
	char text[64];
};

static void address_set(
	struct address *a, int family, const void *data, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a->ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->ss;

	memset(a, 0, sizeof(*a));
	a->ss.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, data, sizeof(v4->sin_addr));
		a->len = sizeof(*v4);
	} else {
		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, data, sizeof(v6->sin6_addr));
		a->len = sizeof(*v6);
	}
	(void)inet_ntop(family, data, a->text, sizeof(a->text));
}

static size_t add_addresses(struct check *c, const struct check_host *h,
	const struct lookup *l, int family, struct address *ret, size_t n)
{
	size_t size = family == AF_INET ? 4 : 16;

	for (size_t i = 0; l != NULL && i < l->n; i++) {
		if (l->rr[i].len != size)
			continue;
		if (n == CHECK_ADDRS_MAX) {
			c->truncated = true;
			return n;
		}
		address_set(&ret[n], family, l->rr[i].data, h->port);
		if (c->only_addr[0] == '\0' ||
			strcmp(c->only_addr, ret[n].text) == 0)
			n++;
	}
	return n;
}

/* The sender met it at an address that the DNS no longer has. */
static size_t add_only(
	const struct check *c, const struct check_host *h, struct address *ret)
{
	uint8_t data[16];

	if (inet_pton(AF_INET, c->only_addr, data) == 1)
		address_set(ret, AF_INET, data, h->port);
	else if (inet_pton(AF_INET6, c->only_addr, data) == 1)
		address_set(ret, AF_INET6, data, h->port);
	else
		return 0;
	return 1;
}

static void add_conn(const struct check *c, struct check_host *h,
	const struct check_options *opt, const struct address *a,
	const struct shape *s)
{
	struct check_conn *x = &h->conn[h->n_conns++];

	memcpy(x->addr, a->text, sizeof(x->addr));
	x->job = (struct probe_job){ .host = h->base_bare,
		.no_sni = s->no_sni,
		.addr = a->ss,
		.addr_len = a->len,
		.proto = h->proto,
		.alg = s->alg,
		.version = s->version,
		.tlsa = h->tlsa_probe,
		.n_tlsa = h->rrset.n,
		.names = c->names,
		.tentative = true,
		.want_chain = true,
		.want_log = opt->log,
		.result = PROBE_NO_CONNECT,
		.matched = -1,
		.depth = -1 };
}

static enum status add_conns(struct check *c, struct check_host *h,
	const struct check_options *opt, const struct address *a, size_t n,
	struct err *err)
{
	const struct shape *s = opt->quick ? quick : matrix;
	size_t n_shapes = opt->quick ? 1 : sizeof(matrix) / sizeof(matrix[0]);

	h->conn = calloc(n * (n_shapes + SNI_OR_NOT) + 1, sizeof(*h->conn));
	if (h->conn == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_shapes; k++)
			add_conn(c, h, opt, &a[i], &s[k]);
	return ST_OK;
}

static enum status plan_host(struct check *c, struct check_host *h,
	const struct check_options *opt, struct err *err)
{
	struct address a[CHECK_ADDRS_MAX];
	size_t n = 0;

	if (opt->family != AF_INET6)
		n = add_addresses(c, h, h->a, AF_INET, a, n);
	if (opt->family != AF_INET)
		n = add_addresses(c, h, h->aaaa, AF_INET6, a, n);
	if (n == 0 && c->only_addr[0] != '\0' && c->n_hosts == 1)
		n = add_only(c, h, a);
	return add_conns(c, h, opt, a, n, err);
}

/* ---- whom we do not ask ------------------------------------------------ */

/* To a sender it means the sender's own machine. (RFC 6890) */
static bool is_self(const struct check_conn *k)
{
	const struct sockaddr_in *v4 = (const void *)&k->job.addr;
	const struct sockaddr_in6 *v6 = (const void *)&k->job.addr;
	uint32_t a;

	if (k->job.addr.ss_family == AF_INET) {
		a = ntohl(v4->sin_addr.s_addr);
	} else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		memcpy(&a, &v6->sin6_addr.s6_addr[12], sizeof(a));
		a = ntohl(a);
	} else {
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		       IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
	}
	return a >> 24 == 127 || a >> 24 == 0;
}

static bool is_left_out(const struct check *c, struct check_conn *k)
{
	if (c->kind != CHECK_BY_DOMAIN || !is_self(k))
		return false;
	(void)snprintf(k->job.why, sizeof(k->job.why),
		"to each sender this address means the sender itself: not "
		"tried");
	return true;
}

/* ---- rounds ------------------------------------------------------------ */

/*
 * The first round makes one connection to each address. One that does not
 * answer it is not waited for again, however many names point to it; and when
 * those that did take too long over the rounds, the rest is left untried: a
 * domain of tarpits must end.
 */
#define ROUND 8
#define BUDGET_MS 60000
#define BUDGETS 3 /* times the deadline of one connection, if that is more */

struct jobs {
	struct check_conn **of; /* by address, then as planned */
	size_t n;
	struct probe_job *job; /* of one round */
	size_t *at;            /* of[at[i]] has job[i] */
};

static int cmp_address(const struct check_conn *a, const struct check_conn *b)
{
	/* All of it was zero before it was filled. */
	return memcmp(&a->job.addr, &b->job.addr, sizeof(a->job.addr));
}

static int by_address(const void *pa, const void *pb)
{
	const struct check_conn *a = *(struct check_conn *const *)pa;
	const struct check_conn *b = *(struct check_conn *const *)pb;
	int c = cmp_address(a, b);

	return c != 0 ? c
		      : ((uintptr_t)a > (uintptr_t)b) -
				((uintptr_t)a < (uintptr_t)b);
}

static bool is_silent(const struct check_conn *k)
{
	return k->job.result == PROBE_NO_CONNECT ||
	       k->job.result == PROBE_UNTESTABLE ||
	       k->job.result == PROBE_TIMEOUT;
}

static size_t end_of_address(const struct jobs *j, size_t from)
{
	size_t to = from;

	while (to < j->n && cmp_address(j->of[to], j->of[from]) == 0)
		to++;
	return to;
}

/* Before STARTTLS no connection differs from the others. In the handshake it
 * does: a silent one says little of the rest. */
static bool is_dead(const struct check_conn *k)
{
	return is_silent(k) &&
	       (k->job.result != PROBE_TIMEOUT ||
		       (k->job.proto != PROTO_TLS && !k->job.offered));
}

/* of[from] to of[to - 1] were tried in vain: so would the rest. */
static bool give_up(struct jobs *j, size_t from, size_t to, size_t end)
{
	bool dead = false;

	for (size_t i = from; i < to; i++) {
		if (!is_silent(j->of[i]))
			return false;
		dead |= is_dead(j->of[i]);
	}
	if (!dead && to - from < ROUND)
		return false;
	for (size_t i = to; i < end; i++) {
		j->of[i]->job.result = j->of[from]->job.result;
		memcpy(j->of[i]->job.why, j->of[from]->job.why,
			sizeof(j->of[i]->job.why));
	}
	return true;
}

static enum status run_round(struct jobs *j, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	enum status st;

	for (size_t i = 0; i < n; i++)
		j->job[i] = j->of[j->at[i]]->job;
	st = probe_run(j->job, n, lim, err);
	/* What the jobs own comes back with them. */
	for (size_t i = 0; i < n; i++)
		j->of[j->at[i]]->job = j->job[i];
	return st;
}

static int64_t budget(const struct probe_limits *lim)
{
	int64_t ms = BUDGETS * lim->total_ms;

	return ms > BUDGET_MS ? ms : BUDGET_MS;
}

static void too_late(struct check_conn *k)
{
	k->job.result = PROBE_TIMEOUT;
	(void)snprintf(k->job.why, sizeof(k->job.why),
		"not tried: the others took too long");
}

/* next: for each address, at its first place, how many are done. */
static enum status run_rounds(struct jobs *j, size_t *next,
	const struct probe_limits *lim, struct err *err)
{
	int64_t until = 0;

	for (size_t round = 0;; round++) {
		size_t n = 0, batch = round == 0 ? 1 : ROUND;

		for (size_t from = 0, end; from < j->n; from = end) {
			end = end_of_address(j, from);
			for (size_t i = from + next[from];
				i < end && i < from + next[from] + batch; i++)
				j->at[n++] = i;
		}
		if (n == 0)
			return ST_OK;
		if (round == 1)
			until = clock_mono_ms() + budget(lim);
		if (round > 1 && clock_mono_ms() > until)
			break;
		if (run_round(j, n, lim, err) != ST_OK)
			return err->st;
		for (size_t from = 0, end; from < j->n; from = end) {
			size_t done = from + next[from], to;

			end = end_of_address(j, from);
			to = end - done > batch ? done + batch : end;
			next[from] = to - from;
			if (to > done && give_up(j, done, to, end))
				next[from] = end - from;
		}
	}
	for (size_t from = 0, end; from < j->n; from = end) {
		end = end_of_address(j, from);
		for (size_t i = from + next[from]; i < end; i++)
			too_late(j->of[i]);
	}
	return ST_OK;
}

static enum status run_jobs(
	struct jobs *j, const struct probe_limits *lim, struct err *err)
{
	size_t *next = calloc(j->n + 1, sizeof(*next));
	enum status st;

	j->job = calloc(j->n + 1, sizeof(*j->job));
	j->at = calloc(j->n + 1, sizeof(*j->at));
	if (next == NULL || j->job == NULL || j->at == NULL)
		st = err_set(err, ST_NOMEM, "out of memory");
	else if (j->n == 0)
		st = ST_OK;
	else {
		qsort(j->of, j->n, sizeof(*j->of), by_address);
		st = run_rounds(j, next, lim, err);
	}
	free(next);
	free(j->job);
	free(j->at);
	j->job = NULL;
	j->at = NULL;
	j->n = 0;
	return st;
}

static void add_jobs(
	struct check *c, struct check_host *h, size_t from, struct jobs *ret)
{
	for (size_t k = from; k < h->n_conns; k++)
		if (!is_left_out(c, &h->conn[k]))
			ret->of[ret->n++] = &h->conn[k];
}

/* ---- the second run ---------------------------------------------------- */

static bool is_group(const struct check_conn *a, const struct check_conn *b)
{
	return a->job.no_sni == b->job.no_sni && strcmp(a->addr, b->addr) == 0;
}

/* TLS 1.3 was refused by the name of the algorithm, and nothing shows that it
 * is spoken there: what was meant? Once for each address and SNI. */
static bool is_unclear(const struct check_host *h, size_t at, size_t n)
{
	bool refused = false;

	for (size_t i = 0; i < n; i++) {
		const struct probe_job *j = &h->conn[i].job;

		if (!is_group(&h->conn[i], &h->conn[at]))
			continue;
		if (i < at)
			return false;
		if (j->version == PROBE_TLS13 && j->result == PROBE_SERVED)
			return false;
		refused |=
			j->version == PROBE_TLS13 && j->result == PROBE_NO_CERT;
	}
	return refused;
}

static void add_unforced(const struct check *c, struct check_host *h,
	const struct check_options *opt)
{
	size_t n = h->n_conns;

	for (size_t i = 0; i < n; i++) {
		struct check_conn *k = &h->conn[i];
		struct shape s = unforced;
		struct address a = { .ss = k->job.addr,
			.len = k->job.addr_len };

		if (!is_unclear(h, i, n))
			continue;
		s.no_sni = k->job.no_sni;
		memcpy(a.text, k->addr, sizeof(a.text));
		add_conn(c, h, opt, &a, &s);
	}
}

static enum status run_all(struct check *const checks[], size_t n,
	const struct check_options *opt, const struct probe_limits *lim,
	struct jobs *jobs, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < checks[i]->n_hosts; h++)
			add_jobs(checks[i], &checks[i]->host[h], 0, jobs);
	if (run_jobs(jobs, lim, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < checks[i]->n_hosts; h++) {
			struct check_host *host = &checks[i]->host[h];
			size_t from = host->n_conns;

			add_unforced(checks[i], host, opt);
			add_jobs(checks[i], host, from, jobs);
		}
	return run_jobs(jobs, lim, err);
}

enum status check_probe(struct check *const checks[], size_t n,
	const struct check_options *opt, struct err *err)
{
	struct probe_limits lim = opt->limits;
	struct jobs jobs = { .n = 0 };
	size_t n_conns = 0;
	enum status st;

	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < checks[i]->n_hosts; h++) {
			st = plan_host(
				checks[i], &checks[i]->host[h], opt, err);
			if (st != ST_OK)
				return st;
			n_conns += checks[i]->host[h].n_conns;
		}
	jobs.of = calloc(n_conns + 1, sizeof(*jobs.of));
	if (jobs.of == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (lim.per_address == 0)
		lim.per_address = PER_ADDRESS;
	st = run_all(checks, n, opt, &lim, &jobs, err);
	free(jobs.of);
	return st;
}
