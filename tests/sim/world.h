/*
 * A mail host and all around it, in virtual time: name servers that lag, lie
 * and move, an administrator who edits, mail servers that reload late, certbot,
 * a disk that loses what was not synced, and every cache there could be. The
 * program in it is the real one: its object files, linked so that their system
 * calls, their clock, their network (struct env), their cryptography and the
 * commands they run end here.
 *
 * Caches are exact: every answer that any server gives at any instant is held
 * by some cache until its TTL has passed. So it is enough to remember, per
 * server, which version was served from when until when.
 */
#ifndef DANELAW_TEST_SIM_WORLD_H
#define DANELAW_TEST_SIM_WORLD_H

#include "hook/config.h"
#include "hook/engine.h"
#include "hook/env.h"
#include "tests/sim/disk.h"

#define SEC INT64_C(1000)
#define MIN (60 * SEC)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)
#define FOREVER INT64_MAX

#define STATE_DIR "/sim/state"

enum {
	IDS = 512, /* keys of one world */
	FOREIGN = IDS - 16, /* from here on: somebody else's records */
	OWNERS = 2,
	SERVERS = 6,
	ADDRESSES = 2,
	LINES = 2, /* lineages: ECDSA, and perhaps RSA at the same names */
	ENDPOINTS = ADDRESSES * LINES,
	EVENTS = 256,
	PROCS = 4,
	MISHAPS = 4096,
	TRACE = 400,
	OLD = 16,
	HEARD = 1,    /* flags of world.heard, two for each line */
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
	struct idset revived; /* of them, those that the world put back */
	struct idset taken;   /* what the world took away from it */
	uint32_t ttl, serial;
	bool exists;
	bool strong;    /* holds a foreign 3 1 2 ... */
	int strong_for; /* ... that matches this key; -1: none of ours */
	bool by_world;  /* not made by danelaw */
	bool late;      /* made when danelaw did not ask for it any more */
};

struct served {
	struct version v;
	int64_t from, until;
};

enum mood {
	MOOD_OK,
	MOOD_FROZEN, /* does not take new versions */
	MOOD_DEAD,   /* answers nobody */
	MOOD_MUTE,   /* answers everybody but us, and is frozen */
	MOOD_LYING   /* SERVFAIL, REFUSED, lame, bad signatures: to everybody */
};

struct server {
	bool listed;  /* in the NS set */
	bool hidden;  /* another node of the address before it: we never see
			 it, and it lags behind that one */
	enum mood mood;
	enum sweep_reason lie;
	int64_t mood_until, delay;
	bool second_address; /* that cannot be tested from here */
	struct served now[OWNERS];
	struct served *past[OWNERS];
	size_t n_past[OWNERS], cap_past[OWNERS];
};

/* One address of the mail host, and one of its certificates. */
struct endpoint {
	size_t line;
	int id; /* the key that new connections see */
	int cert;
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
	EV_DISK_END,
	EV_CERT,
	EV_RENEW, /* certbot's own timer */
	EV_POINT,
	EV_TIMER, /* danelaw.timer */
	EV_LATE   /* a provider does what it said it could not */
};

struct event {
	int64_t at;
	enum event_kind kind;
	size_t owner, server, line;
	uint32_t ttl;
	struct idset add, remove;
};

struct cert {
	int id, key;
	int64_t not_before_s, not_after_s;
};

/* Decisions that are made wrongly on purpose: each must be caught. */
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
	unsigned long lives, passes, decisions, promotions, rollovers,
		roll_backs, retired, forgotten, issued, holds, kills,
		power_cuts, restores, doubts, mishaps, sweeps, calls;
	int64_t virtual_ms;
};

/* A lineage, as the world knows it. */
struct line {
	char name[8];
	struct cert lineage;     /* what certbot has */
	bool by_us;              /* that came through import */
	struct intent intent;    /* in the state file */
	unsigned live_gen;
	int live_id;             /* the key that is current on disk ... */
	int64_t live_since;      /* ... since then */
	int linked_id;           /* the key in live/: any reload reads it */
	int64_t linked_since;
	int was_linked_id;       /* before that: a power cut brings it back */
	int64_t was_linked_since;
	bool published;
	int64_t role_since[IDS]; /* key role + 1, and since when */
	uint8_t role[IDS];
};

/* A process of danelaw. */
struct proc {
	int pid; /* 0: free slot */
	void *context;
	int64_t resume_at;
	enum engine_mode mode;
	size_t line; /* hook: whose */
	bool renew, retry;
	/* what it was told last, for I6 */
	bool swept, doubt;
	char doubt_why[160];
	int64_t swept_at;
	/* heard, but not saved yet */
	struct version hearing[OWNERS * SERVERS];
	size_t n_hearing;
	int64_t until; /* when it wants to be called again */
};

struct world {
	uint64_t rng;
	unsigned long seed;
	enum fault fault;
	bool loud, calm;
	int64_t t, start;

	/* DNS */
	size_t n_owners, n_servers;
	struct version zone[OWNERS];     /* at the primary */
	struct version old[OWNERS][OLD]; /* what it once was */
	size_t n_old[OWNERS];
	unsigned n_versions;
	uint8_t *heard; /* per version: a sweep saw it, and was saved */
	size_t cap_heard;
	struct server server[SERVERS];
	int64_t sign_delay, floor_s;
	int64_t security_until;
	enum dns_security security;

	/* the provider */
	bool by_record, by_edit;
	int64_t provider_down_until;
	unsigned provider_fails;
	bool late; /* it does now what it failed to do */
	struct provider_ops ops;
	int n_foreign;

	/* what serves */
	size_t n_addresses, n_endpoints;
	struct endpoint endpoint[ENDPOINTS];
	int64_t hold; /* longest life of an old process */
	unsigned reload_fails, endpoint_sticks, probe_blind; /* per mille */

	/* certbot */
	size_t n_lines;
	struct line line[LINES];
	int n_certs, n_keys;
	int64_t cert_life_s;
	unsigned issue_fails;
	struct idset ours;  /* keys that were ever in our state */
	struct idset known; /* keys that were ever served */
	struct idset lost;  /* whose file a restored snapshot took away */
	struct idset forced; /* served by the world's doing, not ours */
	int64_t first_publish[IDS];
	uint8_t line_of_key[IDS];

	/* the machine */
	int64_t wall_off, boot_at;
	unsigned boots;
	struct disk *disk;
	struct disk *snapshot;
	bool have_snapshot;
	bool disk_bad; /* it fails, or has failed, in some way */
	struct line snap_line[LINES];

	struct event ev[EVENTS];
	size_t n_ev;

	/* danelaw */
	struct config cfg;
	struct cfg_provider provider;
	struct cfg_lineage cl[LINES];
	struct cfg_endpoint ep[LINES][OWNERS];
	char owner_name[OWNERS][DNS_NAME_MAX];
	struct env env;
	int64_t timer, absent_until;
	bool follows_wake;
	unsigned kill_per_myriad;
	struct proc proc[PROCS];
	struct proc *running; /* NULL: the world itself */
	int n_pids;

	/* what went wrong, and what of it is left out of a replay */
	unsigned n_mishaps;
	unsigned until_mishap; /* no more from this one on */
	const uint8_t *skip;   /* MISHAPS of them; NULL: none */

	struct {
		char text[200];
		int64_t at;
		bool story;
	} trace[TRACE];
	unsigned n_trace;
	unsigned violations;
	char violation[400];
	struct stats *stats;
};

/* The one that the wrapped calls end in. */
extern struct world *world;

/* ---- world.c: chance, time, words ---- */
uint64_t rnd(struct world *w);
int64_t rnd_range(struct world *w, int64_t lo, int64_t hi); /* [lo, hi] */
bool chance(struct world *w, unsigned percent);
int64_t rnd_log(struct world *w, int64_t lo, int64_t hi);
void say(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line that belongs into a short story. */
void tell(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void violate(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Does this go wrong now? Each that does has a number; a replay can leave it
 * out. Never in the calm. */
bool mishap(struct world *w, unsigned per_mille, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

bool in_set(const struct idset *s, int id);
void put(struct idset *s, int id);
void drop(struct idset *s, int id);
struct spki spki_of_id(int id);
int id_of_spki(const struct spki *spki); /* -1: none of this world */

void schedule(struct world *w, struct event e);
/* What happens next, at most until t; false when nothing does. */
bool world_step(struct world *w, int64_t t);
int64_t next_event(const struct world *w);
int new_key(struct world *w);
struct cert new_cert(struct world *w, int key);
int64_t wall_ms(const struct world *w);
uint32_t any_ttl(struct world *w);

/* ---- weather.c ---- */
void weather(struct world *w);
void calm_down(struct world *w);

/* ---- dns.c: who serves what, and law 1 ---- */
void zone_change(struct world *w, size_t owner, struct version v);
void zone_update(struct world *w, size_t owner, const struct idset *add,
	const struct idset *remove, uint32_t ttl);
void server_takes(
	struct world *w, size_t server, size_t owner, struct version v);
void server_pull(struct world *w, size_t server, size_t owner);
void server_mood(struct world *w, size_t server, enum mood m);
void server_list(struct world *w, size_t server, bool listed);
void serve_key(struct world *w, size_t endpoint, int id, int cert);
bool is_served(const struct world *w, int id);
void check_forgotten(struct world *w, int id);

/* ---- net.c: struct env ---- */
void net_init(struct world *w);

/* ---- host.c: processes, clock, crashes, commands ---- */
void host_init(struct world *w);
/* A process of danelaw begins; false: no room. */
bool host_start(struct world *w, enum engine_mode mode, size_t line,
	bool renew, bool retry);
/* Until t; processes run meanwhile. The world's own call. */
void host_until(struct world *w, int64_t t);
/* In a process: up to ms pass, and whatever is due then happens. */
void tick(struct world *w, int64_t ms);
void host_reboot(struct world *w, bool clean);
void host_snapshot(struct world *w);
void host_restore(struct world *w);
/* Mail servers read live/ anew. */
void endpoint_reads(struct world *w, size_t endpoint);

/* ---- law.c: the other invariants ---- */
void law_before(void *world, const char *call, const char *path);
void law_committed(struct world *w, size_t line, const struct lineage_state *s);
void law_loaded(struct world *w, size_t line, const struct lineage_state *s);
void law_effect(struct world *w, size_t line, enum intent_kind kind,
	const char *what);
void law_key_removed(struct world *w, int id);
size_t line_of_name(const struct world *w, const char *name);

/* ---- fake.c ---- */
/* A private key and a chain that belong together: whose? */
bool fake_read(const char *key, const char *chain, int *ret_id, int *ret_cert);

/* ---- life.c ---- */
void world_init(struct world *w, unsigned long seed);
void world_release(struct world *w);
/* From birth to rest; false: the law was broken. */
bool live(struct world *w, unsigned long seed);

#endif
