/*
 * What danelaw knows of one lineage, and nothing it could derive. A value: no
 * I/O here. Times named *_ms are on the trusted axis (base/clock.h), times
 * named *_s are wall-clock seconds since 1970 (certificates).
 */
#ifndef DANELAW_STATE_STATE_H
#define DANELAW_STATE_STATE_H

#include "hook/base/clock.h"
#include "hook/base/err.h"
#include "hook/base/buf.h"
#include "hook/base/spki.h"
#include "hook/dns/name.h"
#include "hook/tls/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_VERSION 1
#define STATE_KEYS_MAX 16
#define STATE_OWNERS_MAX 64
#define STATE_GENS_MAX 32
#define STATE_TTLS_MAX 16
#define STATE_SERIALS_MAX 32
#define STATE_WHY_MAX 512

enum key_role {
	KEY_CANDIDATE, /* came with a certificate; waits for its record */
	KEY_NEXT,      /* made by us; waits for its certificate */
	KEY_CURRENT,   /* live */
	KEY_PREVIOUS,  /* was live; its record is still published */
	KEY_RETIRED    /* its record is withdrawn, may still be cached */
};

/* RFC 7583 and BIND's words. */
enum record_state {
	REC_HIDDEN,
	REC_RUMOURED,
	REC_OMNIPRESENT,
	REC_UNRETENTIVE
};

/* A TTL that was served, and when it was last seen being served. */
struct ttl_seen {
	uint32_t ttl;
	int64_t last_ms;
};

struct ttl_history {
	struct ttl_seen e[STATE_TTLS_MAX];
	size_t n;
};

struct serial_seen {
	char server[96]; /* "ns1.example. 192.0.2.1" */
	uint32_t serial;
};

/* One owner name, whatever the key. */
struct owner_state {
	char owner[DNS_NAME_MAX];
	int64_t first_ms; /* first sweep ever: adoption */
	int64_t swept_ms; /* last sweep; 0 never */
	struct ttl_history served; /* every RRset version (denials too) */
	struct serial_seen serial[STATE_SERIALS_MAX];
	size_t n_serials;
	int64_t publish_ms; /* last attempt to publish here; 0 never */
	unsigned publish_tries; /* since the last convergence */
	int64_t publish_wait_s; /* the provider asked not to be called so long
				   after the last attempt; 0 */
};

/* One key at one owner name. */
struct key_at {
	size_t owner; /* index into state.owner */
	enum record_state rec;
	int64_t since_ms; /* L: start of the unbroken run of good answers from
			     all servers; 0: not converged */
	int64_t gone_ms; /* RETIRED: start of the unbroken run of answers
			    without the record; 0: not yet */
	struct ttl_history bad; /* versions that lack this key */
};

struct state_key {
	struct spki spki;
	enum key_alg alg;
	enum key_role role;
	bool have_file; /* keys/SPKI.pem is ours and durable */
	int64_t created_ms;
	int64_t live_ms;    /* when it last became current; 0 never */
	int64_t retired_ms; /* when it became RETIRED */
	struct key_at *at; /* n_owners entries, same order as state.owner */
};

enum gen_source { GEN_CERTBOT, GEN_CSR };

/* One immutable folder generations/N. */
struct state_gen {
	unsigned n;
	struct spki spki;
	struct spki fingerprint; /* of the leaf */
	enum gen_source source;
	unsigned lineage_version; /* certbot's N; 0: not imported (yet) */
	int64_t not_before_s, not_after_s;
	int64_t taken_ms;
	unsigned rollbacks; /* how often a promotion of it was undone */
	int64_t retry_ms;   /* not before this time again */
	int64_t tried_ms;   /* a switch to it was begun; 0 never */
};

enum intent_kind {
	INTENT_NONE,
	INTENT_TAKE,
	INTENT_GENERATE,
	INTENT_PUBLISH,
	INTENT_PROMOTE,
	INTENT_ROLL_BACK,
	INTENT_RETIRE,
	INTENT_ISSUE,
	INTENT_IMPORT,
	INTENT_FORGET
};

struct intent {
	enum intent_kind kind;
	unsigned gen;	  /* TAKE, PROMOTE, ROLL_BACK (from), IMPORT */
	unsigned to_gen;  /* ROLL_BACK: where to */
	struct spki spki; /* GENERATE, RETIRE, ISSUE, FORGET */
	int64_t since_ms;
};

struct lineage_state {
	char name[256];
	struct clock_mark clock;
	struct owner_state *owner;
	size_t n_owners;
	struct state_key *key;
	size_t n_keys;
	struct state_gen *gen; /* ascending n */
	size_t n_gens;
	unsigned next_gen; /* number of the next generation */
	unsigned live_gen; /* 0: none yet */
	unsigned rolled_back_gen; /* 0: none; the last promotion failed */
	char rolled_back_why[STATE_WHY_MAX];
	/* endpoints were all seen with the current key and nothing else: */
	int64_t verified_first_ms; /* since the last promotion; 0 never */
	int64_t verified_ms;	   /* last time */
	char lineage_seen[256]; /* lineage_fingerprint of the last one taken in
				   or refused */
	/* issuing through --csr */
	unsigned issue_tries; /* failures in a row */
	int64_t issue_retry_ms;
	int64_t issued_ms[8]; /* ring of the last attempts that reached the CA,
				 0 = empty */
	char issue_why[STATE_WHY_MAX];
	/* the last attempt to publish failed: why; "" when it worked */
	char publish_why[STATE_WHY_MAX];
	bool publish_temporary;
	/* the last decision, for status */
	char doing[64]; /* action name */
	char why[STATE_WHY_MAX];
	bool alert;
	int64_t wake_ms;
	struct intent intent;
};

void state_init(struct lineage_state *s, const char *name);
void state_release(struct lineage_state *s);
/* Deep copy. */
enum status state_copy(const struct lineage_state *from,
	struct lineage_state *ret, struct err *err);

/* JSON, indented, sorted keys. Nothing secret is in it. */
enum status state_to_json(
	const struct lineage_state *s, struct buf *ret, struct err *err);
/* ST_REFUSED: corrupt, truncated, newer version, limits passed, the digest of
 * nothing, two current keys, references that do not resolve ... */
enum status state_from_json(const char *text, size_t len,
	struct lineage_state *ret, struct err *err);

struct state_key *state_key_find(
	const struct lineage_state *s, const struct spki *spki);
struct state_key *state_key_role(
	const struct lineage_state *s, enum key_role role); /* first */
struct state_gen *state_gen_find(const struct lineage_state *s, unsigned n);
/* Newest generation of this key, NULL when none. */
struct state_gen *state_gen_of(
	const struct lineage_state *s, const struct spki *spki);
/* Some mail server may serve it: it is live, was live and is not known to be
 * gone, or a switch to it was begun. */
bool state_key_may_be_served(
	const struct lineage_state *s, const struct state_key *k);
/* Adds with zeroed fields and hidden records; ST_REFUSED over the limit. The
 * pointer is valid until the next add or remove. */
enum status state_key_add(struct lineage_state *s, const struct spki *spki,
	enum key_alg alg, enum key_role role, struct state_key **ret,
	struct err *err);
void state_key_remove(struct lineage_state *s, struct state_key *k);
enum status state_gen_add(
	struct lineage_state *s, struct state_gen **ret, struct err *err);
void state_gen_remove(struct lineage_state *s, struct state_gen *g);
/* Makes the owner list exactly these (canonical) names, keeping what is known
 * of names that stay. */
enum status state_set_owners(struct lineage_state *s,
	const char (*owners)[DNS_NAME_MAX], size_t n, struct err *err);

/* Remembers that ttl was served at now_ms; merges conservatively (towards the
 * larger TTL and the later time) when full. */
void ttl_history_add(struct ttl_history *h, uint32_t ttl, int64_t now_ms);
/* Drops entries that no cache can hold any more at now_ms. */
void ttl_history_prune(struct ttl_history *h, int64_t now_ms);
/* max(last_ms + ttl); 0 when empty */
int64_t ttl_history_gone_ms(const struct ttl_history *h);
/* Largest TTL (s) among entries still cacheable at ms. */
uint32_t ttl_history_max_at(const struct ttl_history *h, int64_t ms);

const char *key_role_name(enum key_role r);
const char *record_state_name(enum record_state r);
const char *intent_name(enum intent_kind k);

#endif
