/*
 * One lineage being worked on, under its lock: configuration, state, and what
 * was observed. Shared by sense, act, promote and engine; nobody else.
 */
#ifndef DANELAW_SESSION_H
#define DANELAW_SESSION_H

#include "hook/config.h"
#include "hook/env.h"
#include "hook/plan.h"
#include "hook/tls/lineage.h"
#include "state/store.h"

enum engine_mode {
	MODE_HOOK, /* inside certbot: never issue, never wait */
	MODE_RUN
};

struct owner_ref {
	const char *owner;
	const struct cfg_lineage *cl;
};

/* What the whole pass shares. */
struct engine {
	const struct config *cfg;
	struct store *store;
	enum engine_mode mode;
	bool renew_asked, retry_asked;
	bool again; /* not the first pass of this process */
	const struct env *env;
	struct owner_ref *owner_ref; /* sorted; of all lineages; owned */
	size_t n_owner_refs;
	int64_t certbot_major; /* 0 unknown, -1 there is none */
	int64_t deadline_mono_ms; /* hook: no new action after; 0 none */
};

/* A key that another lineage has at one of our owner names. */
struct claim {
	struct spki spki;
	enum key_role role;
	bool may_be_served;
	size_t owner; /* index into our owners */
};

struct session {
	struct engine *e;
	const struct cfg_lineage *cl;
	struct policy policy;
	struct store_lineage *sl;
	struct lineage_state st;
	struct observation obs;
	struct action action;

	/* what obs points to; owned */
	struct obs_owner *owner;
	struct obs_answer *answer;
	struct tlsa_rrset *validated; /* per owner, from the resolver */
	char (*final)[DNS_NAME_MAX];  /* per owner, after CNAMEs */
	struct claim *claim;
	size_t n_claims;
	struct lineage_version found; /* certbot's version not taken in yet */
	bool have_found;
	int64_t swept_mono_ms;
	char fingerprint[256]; /* of the lineage folder as read */

	unsigned fit[STATE_KEYS_MAX]; /* generations found fit to go live */
	size_t n_fit;

	bool failed; /* fail holds what; no more actions */
	struct err fail;
	bool done;
	unsigned steps;
};

/* Trusted time; detects a doubtful clock and restarts waits. Wall-clock s go
 * to obs.wall_s. */
enum status session_clock(struct session *s, int64_t *ret_now, struct err *err);
/* Wall-clock ms of a trusted instant, for people. */
int64_t session_wall_ms(const struct session *s, int64_t trusted_ms);
enum status session_commit(struct session *s, struct err *err);
/* history.jsonl and the log, one line each. */
void session_event(struct session *s, const char *event,
	const struct spki *key, unsigned gen, const char *why);
/* What was observed is void: keys were added or removed, records changed. */
void session_forget_sweep(struct session *s);
void session_forget_probe(struct session *s);

#endif
