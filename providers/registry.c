/*
 * The list of providers, and what can be said of all of them. A new one is a
 * file with a const struct provider_ops and one line here; the configuration,
 * the commands and the contract tests go through this list and need no change.
 */
#include "providers/provider.h"

#include <string.h>

/* Servers of one's own, hosts, and what is left. */
#define PROVIDERS(P)   \
	P(rfc2136)     \
	P(powerdns)    \
	P(technitium)  \
	P(desec)       \
	P(cloudflare)  \
	P(hetzner)     \
	P(gandi)       \
	P(google)      \
	P(ovh)         \
	P(route53)     \
	P(azure)       \
	P(inwx)        \
	P(transip)     \
	P(netcup)      \
	P(infomaniak)  \
	P(porkbun)     \
	P(bunny)       \
	P(scaleway)    \
	P(ionos_cloud) \
	P(exec)        \
	P(manual)

#define DECLARE(name) extern const struct provider_ops provider_##name;
PROVIDERS(DECLARE)

#define ENTRY(name) &provider_##name,
static const struct provider_ops *const providers[] = { PROVIDERS(ENTRY) };

#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

const struct provider_ops *provider_at(size_t i)
{
	return i < N_PROVIDERS ? providers[i] : NULL;
}

const struct provider_ops *provider_find(const char *type)
{
	for (size_t i = 0; i < N_PROVIDERS; i++)
		if (!strcmp(providers[i]->type, type))
			return providers[i];
	return NULL;
}

static enum status edit_one(const struct provider_ops *ops, void *ctx,
	struct provider_item *it, size_t i, provider_decide decide, void *arg)
{
	enum status st;

	provider_item_release(it);
	it->err = (struct err)ERR_INIT;
	st = ops->get(ctx, it->owner, &it->now, it->zone, &it->err);
	if (st == ST_OK)
		st = decide(arg, i, &it->now, &it->to, &it->err);
	/* A decision is final; only a race with somebody else is not. */
	if (st == ST_CONFLICT)
		return ST_REFUSED;
	if (st != ST_OK ||
		(tlsa_rrset_eq(&it->now, &it->to) &&
			(it->to.n == 0 || it->now.ttl == it->to.ttl)))
		return st;
	st = ops->replace(ctx, it->owner, &it->now, &it->to, &it->err);
	it->changed = st == ST_OK;
	return st;
}

void provider_edit(const struct provider_ops *ops, void *ctx,
	struct provider_item *items, size_t n, provider_decide decide,
	void *arg)
{
	if (ops->edit != NULL) {
		ops->edit(ctx, items, n, decide, arg);
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (int try = 0; try < 2; try++) {
			enum status st =
				edit_one(ops, ctx, &items[i], i, decide, arg);

			/* What went wrong on the way is no result. */
			if (st == ST_OK)
				items[i].err = (struct err)ERR_INIT;
			if (st != ST_CONFLICT)
				break;
		}
}

void provider_item_release(struct provider_item *item)
{
	tlsa_rrset_release(&item->now);
	tlsa_rrset_release(&item->to);
}
