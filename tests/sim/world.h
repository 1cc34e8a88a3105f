/*
 * A world in virtual time: name servers that lag, an administrator who edits,
 * mail servers that reload late, certbot, and every cache there could be. The
 * executors of danelaw are modelled; the decision is the real one.
 *
 * Caches are exact: every answer that any server gives at any instant is held
 * by some cache until its TTL has passed. So it is enough to remember, per
 * server, which version was served from when until when.
 */
#ifndef DANELAW_TEST_SIM_WORLD_H
#define DANELAW_TEST_SIM_WORLD_H

#include "hook/plan.h"
#include "hook/plan_ready.h"

#include <setjmp.h>

#define SEC INT64_C(1000)
#define MIN (60 * SEC)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)
#define FOREVER INT64_MAX

enum {
	IDS = 1024, /* keys of one world */
	OWNERS = 2,
	SERVERS = 4,
	ENDPOINTS = 2,
	EVENTS = 256,
	TRACE = 100,
	HEARD = 1,
	HEARD_TTL = 2
};

struct idset {
	uint64_t b[IDS / 64];
};

/* A version of the record set at one owner name. */
struct version {
	unsigned id;       /* unique in the world */
	unsigned ttl_from; /* the version that brought this TTL */
	bool ttl_by_world;
	struct idset set;
	uint32_t ttl, serial;
	bool exists;
	bool strong;    /* holds a foreign 3 1 2 ... */
	int strong_for; /* ... that matches this key; -1: none of ours */
	bool by_world;  /* not made by danelaw */
};

struct served {
	struct version v;
	int64_t from, until;
};

enum mood {
	MOOD_OK,
	MOOD_FROZEN, /* does not take new versions */
	MOOD_DEAD,   /* answers nobody */
	MOOD_MUTE    /* answers everybody but us, and is frozen */
};

struct server {
	enum mood mood;
	int64_t mood_until, delay;
	bool second_address; /* that cannot be tested from here */
	struct served now[OWNERS];
	struct served *past[OWNERS];
	size_t n_past[OWNERS], cap_past[OWNERS];
};

struct endpoint {
	int id; /* the key that new connections see */
	int64_t since;
	int slow; /* a process that still serves this one, until */
	int64_t slow_since, slow_until;
	bool pointed; /* reads live/ */
	int64_t down_until;
};

enum event_kind {
	EV_PULL,
	EV_WEATHER,
	EV_MOOD_END,
	EV_REVERT_END,
	EV_STRONG_END,
	EV_CLOCK_END,
	EV_CERT,
	EV_POINT
};

struct event {
	int64_t at;
	enum event_kind kind;
	size_t owner, server;
};

struct cert {
	int id, key;
	int64_t not_before_s, not_after_s;
};

/* Rules that are broken on purpose: each must be caught. */
enum fault {
	FAULT_NONE,
	FAULT_ONE_TTL_FROM_PUBLISH,
	FAULT_TWO_TTLS_FROM_PUBLISH,
	FAULT_NO_WAIT,
	FAULT_ONE_SERVER,
	FAULT_SILENCE_IS_CONSENT,
	FAULT_ONLY_TODAYS_TTL,
	FAULT_WALL_CLOCK,
	FAULT_NO_FIRST_PROBE,
	FAULT_RETIRE_AT_ONCE,
	FAULT_FORGET_AT_ONCE,
	FAULT__COUNT
};

struct stats {
	unsigned long worlds, passes, decisions, promotions, rollovers,
		roll_backs, retired, forgotten, crashes, doubts, issued, held;
};

struct world {
	uint64_t rng;
	unsigned long seed;
	enum fault fault;
	bool loud, calm;
	int64_t t, start;

	/* DNS */
	size_t n_owners, n_servers;
	struct version zone[OWNERS];    /* at the primary */
	struct version old[OWNERS][16]; /* what it once was */
	size_t n_old[OWNERS];
	unsigned n_versions;
	uint8_t *heard; /* per version: a sweep saw it, and was saved */
	struct version hearing[OWNERS * SERVERS]; /* not saved yet */
	size_t n_hearing;
	struct server server[SERVERS];
	int64_t sign_delay, provider_down_until, security_until;
	enum obs_security security;

	/* what serves */
	size_t n_endpoints;
	struct endpoint endpoint[ENDPOINTS];
	int64_t hold; /* longest life of an old process */
	unsigned reload_fails, endpoint_sticks, probe_blind; /* per cent */

	/* certbot */
	struct cert lineage;
	int n_certs, n_keys;
	int64_t cert_life_s;
	unsigned issue_fails;

	/* clocks */
	int64_t wall_off, boot_at;
	unsigned boots;

	struct event ev[EVENTS];
	size_t n_ev;

	/* danelaw */
	struct policy p;
	struct lineage_state disk;
	struct idset files;         /* keys/ */
	unsigned live_link;         /* generation */
	int live_id;                /* the key that is current on disk ... */
	int64_t live_since;         /* ... since then */
	struct cert gen_cert[4096]; /* by generation */
	int64_t first_publish[IDS]; /* by key */
	int64_t timer, absent_until;
	bool follows_wake;
	unsigned crash_per_mille;

	/* one pass; dies with a crash */
	bool in_pass;
	jmp_buf crash;
	struct lineage_state st;
	struct observation obs;
	struct obs_owner oo[OWNERS];
	struct obs_answer answer[OWNERS][2 * SERVERS];
	bool failed;

	char trace[TRACE][240];
	unsigned n_trace;
	unsigned violations;
	char violation[300];
	struct stats *stats;
};

/* world.c */
uint64_t rnd(struct world *w);
int64_t rnd_range(struct world *w, int64_t lo, int64_t hi); /* [lo, hi] */
bool chance(struct world *w, unsigned percent);
int64_t rnd_log(struct world *w, int64_t lo, int64_t hi);
void say(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void violate(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

bool in_set(const struct idset *s, int id);
void put(struct idset *s, int id);
void drop(struct idset *s, int id);
struct spki spki_of_id(int id);
int id_of_spki(const struct spki *spki);

void world_init(struct world *w, unsigned long seed);
void world_release(struct world *w);
void world_until(struct world *w, int64_t t);
void schedule(struct world *w, struct event e);
int new_key(struct world *w);
struct cert new_cert(struct world *w, int key);
int64_t wall_ms(const struct world *w);
void calm_down(struct world *w);
void weather(struct world *w);

/* dns.c */
void zone_change(struct world *w, size_t owner, struct version v);
void zone_update(struct world *w, size_t owner, const struct idset *add,
	const struct idset *remove);
void server_takes(
	struct world *w, size_t server, size_t owner, struct version v);
void server_pull(struct world *w, size_t server, size_t owner);
void server_mood(struct world *w, size_t server, enum mood m);
void serve_key(struct world *w, size_t endpoint, int id);
bool is_served(const struct world *w, int id);
void check_forgotten(struct world *w, int id);

/* pass.c */
int64_t pass(struct world *w); /* ms of real time until the next one */

#endif
