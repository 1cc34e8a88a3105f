/*
 * The list of providers. A new one is a file with a const struct provider_ops
 * and one line here; the configuration and the contract tests go through this
 * list and need no change.
 */
#include "providers/provider.h"

#include <string.h>

extern const struct provider_ops provider_rfc2136;
extern const struct provider_ops provider_powerdns;

static const struct provider_ops *const providers[] = {
	&provider_rfc2136,
	&provider_powerdns,
};

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
