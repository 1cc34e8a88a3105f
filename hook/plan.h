/*
 * The decision. plan_next is a pure, total function of what is known: no I/O,
 * no clock, no allocation. The law lives here. (design.md "When is a key
 * ready", dane.md B "Safe-rollover timing", G)
 */
#ifndef DANELAW_PLAN_H
#define DANELAW_PLAN_H

#include "state/state.h"

/* ---- what was observed ---- */

enum obs_verdict {
	OBS_GOOD,    /* answered, authoritative, verified */
	OBS_UNKNOWN, /* holds everything back */
	OBS_UNTESTABLE,
	OBS_IGNORED /* by the operator's order */
};

/* One answer of one server for one owner name. */
struct obs_answer {
	char server[96]; /* "ns1.example. 192.0.2.1" */
	char ns[DNS_NAME_MAX];
	enum obs_verdict verdict;
	char why[200];
	uint32_t ttl;	  /* GOOD: of the RRset, or negative TTL */
	bool have_serial;
	uint32_t serial;
	int64_t rrsig_inception_s, rrsig_expiration_s; /* 0: unsigned */
	/* GOOD: bit i is set when the record of state.key[i] is in the answer
	 */
	uint32_t has;
};
_Static_assert(STATE_KEYS_MAX <= 32, "obs_answer.has is a bit set");

enum obs_security { OBS_SECURE, OBS_INSECURE, OBS_BOGUS, OBS_NO_ANSWER };

struct obs_owner {
	enum obs_security security; /* zone and look-up together, the worst */
	char why[256];
	uint32_t validated_has; /* like has, from the validating look-up */
	bool shared; /* another lineage's current key is published here */
	uint32_t agility_bad; /* bit i: a foreign record would hide key i */
	const struct obs_answer *answer;
	size_t n;
};

/* What endpoints serve; only when asked for with ACT_PROBE. */
enum obs_probe {
	PROBED_NOT,	/* not asked */
	PROBED_ALL,	/* everything testable serves the expected key and no
			   other key of this lineage */
	PROBED_MIXED,	/* see why: some endpoint serves another key */
	PROBED_UNKNOWN, /* some endpoint could not be tested */
	PROBED_OUTAGE	/* a served key matches no published record */
};

/* A certificate that certbot's lineage holds and we have not taken in. */
struct obs_lineage {
	bool readable;	/* else why */
	bool present;
	bool fresh; /* its leaf is not in any generation */
	struct spki spki;
	enum key_alg alg;
	char why[256];
};

struct observation {
	bool swept;
	const struct obs_owner *owner; /* same order as state.owner */
	enum obs_probe probe;
	struct spki probe_expected; /* which key the probe looked for */
	char probe_why[400];
	struct obs_lineage lineage;
	int64_t wall_s;
	int64_t wall_ms;
	/* bit i: another lineage still needs the record of state.key[i] */
	uint32_t claimed_elsewhere;
	bool clock_doubt;
	char clock_why[200];
	/* bit i: generation checks (cert_check, names) of the newest
	 * generation of state.key[i] failed. Checked by the sense step for keys
	 * that have a generation newer than the live one. */
	uint32_t unfit;
	char unfit_why[256];
	bool can_issue; /* certbot and a renewal configuration are there */
	int64_t certbot_renews_s; /* certbot's own renewal point: s before
				     notAfter; 0 unknown */
	bool renew_asked; /* the operator said --renew */
	bool retry_asked; /* the operator named this lineage: back-off waived */
};

/* What the configuration says that a decision needs. */
struct policy {
	int wait_ttls;
	int64_t assumed_prior_ttl, ttl_floor, min_wait, poll_max; /* s */
	int64_t retire_after;					  /* s */
	bool issue_csr;
	int64_t key_max_age; /* s */
	bool proceed_insecure, promote_at_expiry;
	bool have_key_alg;
	enum key_alg key_alg;
};

/* ---- what to do ---- */

enum action_kind {
	ACT_WAIT,      /* nothing to do before until_ms */
	ACT_HOLD,      /* needs attention; look again at until_ms */
	ACT_SWEEP,     /* ask the authority: the decision needs it */
	ACT_TAKE,      /* copy certbot's newest version in */
	ACT_GENERATE,  /* make and save the next key */
	ACT_PROBE,     /* look at the endpoints, expecting spki */
	ACT_PUBLISH,   /* at the owners in `owners`: make the record set hold
			  `add`, and not hold `remove` */
	ACT_PROMOTE,   /* make generation gen live */
	ACT_ROLL_BACK, /* make generation to_gen live again */
	ACT_RETIRE,    /* mark spki: its record is to be withdrawn */
	ACT_FORGET,    /* delete the key file of spki and its generations */
	ACT_ISSUE,     /* certonly --csr with the key spki */
	ACT_IMPORT,    /* write generation gen into certbot's lineage */
	ACT__COUNT
};

struct action {
	enum action_kind kind;
	struct spki spki;
	unsigned gen, to_gen;
	uint32_t add, remove; /* bits over state.key */
	uint64_t owners;      /* bits over state.owner */
	int64_t until_ms;
	bool alert; /* the operator must know */
	bool outage;
	bool temporary; /* the only trouble is one that passes by itself */
	char why[STATE_WHY_MAX]; /* what, where, what to do next */
};

/*
 * Folds what a sweep saw into the state: convergence, bad versions, record
 * states. now_ms is the trusted time at the END of the sweep. Pure. Call once
 * per sweep, before plan_next.
 */
void plan_observe(struct lineage_state *s, const struct observation *o,
	const struct policy *p, int64_t now_ms);

/* The clock cannot be trusted (clock_advance said CLOCK_DOUBT): every run of
 * good answers starts anew. Call at once, before the state is saved. */
void plan_doubt(
	struct lineage_state *s, const struct policy *p, int64_t now_ms);

/* The provider was found not to hold these records (bits over state.key) at this
 * owner name: whatever the servers still show will go, and versions without them
 * may come and go between two sweeps, with any TTL that was served lately or that
 * we bring (`served`). Their runs of good answers start anew. True when one of
 * them had begun: save that first. */
bool plan_missing(struct lineage_state *s, const struct policy *p,
	size_t owner, uint32_t keys, int64_t now_ms);

/* The only way to change a role: into and out of RETIRED the meaning of what
 * is remembered per owner name changes. */
void plan_set_role(struct lineage_state *s, struct state_key *k,
	enum key_role role, int64_t now_ms);

/* The key will not be served any more: PREVIOUS, or RETIRED at once if it was
 * never live and no server ever showed its record. */
void plan_supersede(struct lineage_state *s, struct state_key *k,
	int64_t now_ms);

/* ONE action and why. Total: every state gives an action. */
struct action plan_next(const struct lineage_state *s,
	const struct observation *o, const struct policy *p, int64_t now_ms);

/* When will this key be ready at every owner name: trusted ms; -1 when that
 * cannot be said yet (not converged). For progress and status. */
int64_t plan_ready_ms(const struct lineage_state *s, const struct state_key *k,
	const struct policy *p);

const char *action_name(enum action_kind k);

#endif
