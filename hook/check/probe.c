/*
 * Which connections are made: every address of every host, each key algorithm
 * forced in turn, with and without SNI, TLS 1.2 and 1.3. All checks' jobs go in
 * one run. (dane.md S58, S60, S71, L4)
 */
#include "hook/check/check.h"

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

static enum status add_conns(struct check *c, struct check_host *h,
	const struct check_options *opt, const struct address *a, size_t n,
	struct err *err)
{
	const struct shape *s = opt->quick ? quick : matrix;
	size_t n_shapes = opt->quick ? 1 : sizeof(matrix) / sizeof(matrix[0]);

	h->conn = calloc(n * n_shapes + 1, sizeof(*h->conn));
	if (h->conn == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n_shapes; k++) {
			struct check_conn *x = &h->conn[h->n_conns++];

			memcpy(x->addr, a[i].text, sizeof(x->addr));
			x->job = (struct probe_job){ .host = h->base_bare,
				.no_sni = s[k].no_sni,
				.addr = a[i].ss,
				.addr_len = a[i].len,
				.proto = h->proto,
				.alg = s[k].alg,
				.version = s[k].version,
				.tlsa = h->tlsa_probe,
				.n_tlsa = h->rrset.n,
				.names = c->names,
				.tentative = true,
				.want_chain = true,
				.want_log = opt->log };
		}
	}
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

/* Copies the jobs to one array and back: what they own goes with them. */
static void move_jobs(struct check *const checks[], size_t n,
	struct probe_job *job, bool back)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < checks[i]->n_hosts; h++) {
			struct check_host *host = &checks[i]->host[h];

			for (size_t k = 0; k < host->n_conns; k++, at++) {
				if (back)
					host->conn[k].job = job[at];
				else
					job[at] = host->conn[k].job;
			}
		}
}

enum status check_probe(struct check *const checks[], size_t n,
	const struct check_options *opt, struct err *err)
{
	struct probe_limits lim = opt->limits;
	struct probe_job *job;
	size_t n_jobs = 0;
	enum status st;

	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < checks[i]->n_hosts; h++) {
			st = plan_host(
				checks[i], &checks[i]->host[h], opt, err);
			if (st != ST_OK)
				return st;
			n_jobs += checks[i]->host[h].n_conns;
		}
	job = calloc(n_jobs + 1, sizeof(*job));
	if (job == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (lim.per_address == 0)
		lim.per_address = PER_ADDRESS;
	move_jobs(checks, n, job, false);
	st = probe_run(job, n_jobs, &lim, err);
	move_jobs(checks, n, job, true);
	free(job);
	return st;
}
