/*
 * The network, from this process. Invariant: a resolver is used again only
 * within the time that its user allows, and only when all that it said was
 * secure and none of it counts for a wait.
 */
#include "hook/env.h"

#include "hook/base/clock.h"
#include "hook/config.h"

#include <stdlib.h>
#include <string.h>

/* A resolver's memory lives no longer than a slow sweep may take. */
#define KEEP_MS 5000

struct here {
	const struct config *cfg;
	struct resolver *resolver; /* of the last sweep; NULL before */
	int64_t warm_ms; /* since when it may be used again; 0: not */
};

/* Found out well, and nothing whose TTL counts for a wait: out of a cache it
 * would be too short. */
static bool may_keep(const struct authority *a)
{
	for (size_t i = 0; i < a->n_zones; i++)
		if (a->zone[i].security != DNS_SECURE)
			return false;
	for (size_t i = 0; i < a->n_owners; i++)
		if (a->owner[i].security != DNS_SECURE ||
			a->owner[i].is_cname)
			return false;
	return true;
}

/* With a resolver that knows nothing yet, unless the one we have may be kept:
 * keep is how old it may be. */
static enum status find(struct here *h, const char *const owner[], size_t n,
	int64_t keep_ms, struct authority *ret, struct err *err)
{
	int64_t now = clock_mono_ms(), born = h->warm_ms;
	enum status st = ST_OK;

	if (keep_ms > KEEP_MS)
		keep_ms = KEEP_MS;
	if (born == 0 || now - born > keep_ms) {
		born = now;
		resolver_free(h->resolver);
		h->resolver = NULL;
		st = resolver_new(&h->cfg->resolver, &h->resolver, err);
	}
	h->warm_ms = 0;
	if (st == ST_OK)
		st = authority_find(h->resolver, owner, n, NULL, ret, err);
	if (st == ST_OK && may_keep(ret))
		h->warm_ms = born;
	return st;
}

static enum status here_sweep(void *ctx, const char *const owner[], size_t n,
	int64_t keep_ms, struct authority *ret_auth, struct sweep *ret,
	struct err *err)
{
	const struct sweep_limits lim = { .deadline_ms = 0 };
	enum status st;

	*ret_auth = (struct authority){ .n_zones = 0 };
	*ret = (struct sweep){ .n = 0 };
	st = find(ctx, owner, n, keep_ms, ret_auth, err);
	return st != ST_OK ? st : sweep_run(ret_auth, &lim, ret, err);
}

static void here_warm(void *ctx, const char *const owner[], size_t n)
{
	struct authority a = { .n_zones = 0 };
	struct err err = ERR_INIT;

	(void)find(ctx, owner, n, KEEP_MS / 2, &a, &err);
	authority_release(&a);
}

static enum status here_look_up(void *ctx, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	struct here *h = ctx;
	enum status st = ST_OK;

	if (h->resolver == NULL)
		st = resolver_new(&h->cfg->resolver, &h->resolver, err);
	return st != ST_OK ? st : resolver_lookup(h->resolver, jobs, n, err);
}

static enum status here_probe(void *ctx, struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	(void)ctx;
	return probe_run(jobs, n, lim, err);
}

static enum status here_edit(void *ctx, const struct cfg_provider *p,
	int64_t deadline_ms, struct provider_item *items, size_t n,
	provider_decide decide, void *arg, struct err *err)
{
	struct provider_config pc = {
		.name = p->name,
		.value = p->value,
		.deadline_ms = deadline_ms,
	};
	void *opened = NULL;
	enum status st = p->ops->open(&pc, &opened, err);

	(void)ctx;
	if (st != ST_OK)
		return st;
	provider_edit(p->ops, opened, items, n, decide, arg);
	p->ops->close(opened);
	return ST_OK;
}

static void here_free(void *ctx)
{
	struct here *h = ctx;

	if (h == NULL)
		return;
	resolver_free(h->resolver);
	free(h);
}

enum status env_here(const struct config *cfg, struct env *ret,
	struct err *err)
{
	struct here *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	h->cfg = cfg;
	*ret = (struct env){
		.ctx = h,
		.sweep = here_sweep,
		.warm = here_warm,
		.look_up = here_look_up,
		.probe = here_probe,
		.edit = here_edit,
		.free = here_free,
	};
	return ST_OK;
}
