/*
 * The network as a pass sees it: five calls that ask everything at once. What
 * answers is one of: this very process (env_here), a process of its own that
 * cannot read a private key (env_apart), or a simulated world (tests/sim).
 * Everything behind this line talks to strangers; nothing behind it decides,
 * and nothing behind it needs a key.
 */
#ifndef DANELAW_ENV_H
#define DANELAW_ENV_H

#include "hook/dns/sweep.h"
#include "hook/tls/probe.h"
#include "providers/provider.h"

struct config;
struct cfg_provider;

struct env {
	void *ctx;
	/* Who is in charge of these owner names (each once), and what every
	 * address of every name server of theirs serves now. What the resolver
	 * knew at most keep_ms ago may be used again; what the servers serve is
	 * never from memory. Results are the caller's (authority_release,
	 * sweep_release), also empty after a failure. */
	enum status (*sweep)(void *ctx, const char *const owner[], size_t n,
		int64_t keep_ms, struct authority *ret_auth,
		struct sweep *ret, struct err *err);
	/* Looks up what a sweep of these names would, so that it need only ask
	 * the name servers. Trouble is left to that sweep. */
	void (*warm)(void *ctx, const char *const owner[], size_t n);
	/* resolver_lookup, with the resolver of the last sweep. */
	enum status (*look_up)(void *ctx, struct lookup *const jobs[], size_t n,
		struct err *err);
	/* probe_run, without want_chain, want_log and names. */
	enum status (*probe)(void *ctx, struct probe_job *jobs, size_t n,
		const struct probe_limits *lim, struct err *err);
	/* Opens the provider, provider_edit, and closes it. Not ST_OK: it could
	 * not be opened, no item was touched. deadline_ms: clock_mono_ms; 0
	 * none. decide is called in this process. */
	enum status (*edit)(void *ctx, const struct cfg_provider *p,
		int64_t deadline_ms, struct provider_item *items, size_t n,
		provider_decide decide, void *arg, struct err *err);
	void (*free)(void *ctx);
};

/* In this process. cfg is borrowed. */
enum status env_here(const struct config *cfg, struct env *ret,
	struct err *err);

#endif
