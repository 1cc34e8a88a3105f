/*
 * The order of the stages: look up, ask the name servers, probe, judge. Nothing
 * here decides anything.
 */
#include "hook/check/check.h"

#include "hook/base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

void check_release(struct check *c)
{
	for (size_t i = 0; i < c->n_hosts; i++) {
		struct check_host *h = &c->host[i];

		for (size_t k = 0; k < h->n_conns; k++)
			probe_job_release(&h->conn[k].job);
		free(h->conn);
		free(h->record);
		free(h->tlsa_probe);
		tlsa_rrset_release(&h->rrset);
	}
	free(c->host);
	free(c->finding);
	c->host = NULL;
	c->finding = NULL;
	c->n_hosts = c->n_findings = c->cap_findings = 0;
}

enum status check_add_host(struct check *c, const char *name, uint16_t port,
	enum probe_proto proto, struct err *err)
{
	struct check_host *h;

	if (c->n_hosts >= CHECK_HOSTS_MAX)
		return err_set(
			err, ST_REFUSED, "more than %d hosts", CHECK_HOSTS_MAX);
	h = reallocarray(c->host, c->n_hosts + 1, sizeof(*h));
	if (h == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	c->host = h;
	h = &c->host[c->n_hosts++];
	memset(h, 0, sizeof(*h));
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	h->port = port;
	h->proto = proto;
	return ST_OK;
}

/* The name servers are asked in a thread of their own: a dead one must not add
 * its deadline to that of a dead mail server. The two share nothing that either
 * of them writes. */
struct side {
	struct check *const *checks;
	size_t n;
	struct memo *m;
	struct survey *survey;
	enum status st;
	struct err err;
};

static void *ask_servers(void *arg)
{
	struct side *s = arg;

	s->st = check_survey(s->checks, s->n, s->m, s->survey, &s->err);
	return NULL;
}

static enum status ask_and_probe(struct check *const checks[], size_t n,
	const struct check_options *opt, struct memo *m, struct survey *survey,
	struct err *err)
{
	struct side side = { .checks = checks,
		.n = n,
		.m = m,
		.survey = survey,
		.st = ST_OK,
		.err = ERR_INIT };
	bool asks = !opt->no_survey, beside;
	pthread_t thread;
	enum status st;

	beside = asks && pthread_create(&thread, NULL, ask_servers, &side) == 0;
	st = check_probe(checks, n, opt, err);
	if (beside)
		(void)pthread_join(thread, NULL);
	else if (asks)
		(void)ask_servers(&side);
	if (st != ST_OK || side.st == ST_OK)
		return st;
	*err = side.err;
	return side.st;
}

enum status check_run(struct check *const checks[], size_t n,
	const struct check_options *opt, struct memo *m, struct survey *survey,
	struct err *err)
{
	int64_t start = clock_mono_ms();
	struct clock_reading now;
	bool fit = false;
	enum status st = clock_read(&now, err);

	for (size_t i = 0; i < n; i++)
		fit |= checks[i]->resolver_fault[0] == '\0';
	/* Without a resolver there is nothing to find and nothing to match. */
	if (st == ST_OK && fit)
		st = check_route(checks, n, m, err);
	if (st == ST_OK && fit)
		st = ask_and_probe(checks, n, opt, m, survey, err);
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		checks[i]->now_s = now.wall_ms / 1000;
		checks[i]->took_ms = clock_mono_ms() - start;
		st = check_judge(checks[i], err);
	}
	return st;
}
