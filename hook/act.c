/*
 * Act: keys, generations and records. Each executor is thin: intent, effect,
 * outcome. Killed at any point, the next run decides anew from what it sees.
 */
#include "hook/act.h"

#include "hook/base/auto.h"
#include "hook/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Candidates that may wait at once: the oldest keeps its clock, the newest is
 * wanted most; what lies between is superseded. */
#define CANDIDATES_MAX 4
#define GENERATIONS_KEPT 12

static enum status begin(struct session *s, enum intent_kind kind, unsigned gen,
	const struct spki *spki, int64_t now, struct err *err)
{
	s->st.intent =
		(struct intent){ .kind = kind, .gen = gen, .since_ms = now };
	if (spki != NULL)
		s->st.intent.spki = *spki;
	return session_commit(s, err);
}

static enum status finish(struct session *s, struct err *err)
{
	s->st.intent = (struct intent){ .kind = INTENT_NONE };
	return session_commit(s, err);
}

/* ---- after a crash ---- */

enum status act_clean_up(struct session *s, struct err *err)
{
	struct intent *in = &s->st.intent;
	enum status st = ST_OK;
	unsigned live;

	if (in->kind == INTENT_NONE || in->kind == INTENT_PROMOTE ||
		in->kind == INTENT_ROLL_BACK)
		return ST_OK;
	st = store_live_get(s->sl, &live, err);
	/* An older state, put back by hand: what looks left over may not be. */
	if (st != ST_OK || live != s->st.live_gen)
		return st;
	if (in->kind == INTENT_TAKE || in->kind == INTENT_ISSUE)
		st = store_gen_remove(s->sl, s->st.next_gen, err);
	if (st == ST_OK &&
		(in->kind == INTENT_TAKE || in->kind == INTENT_GENERATE) &&
		state_key_find(&s->st, &in->spki) == NULL)
		st = store_key_remove(s->sl, &in->spki, err);
	if (st == ST_OK)
		*in = (struct intent){ .kind = INTENT_NONE };
	return st;
}

/* ---- take ---- */

/* With one key for many certificates nothing else removes old ones. */
static enum status prune_generations(struct session *s, struct err *err)
{
	for (size_t i = 0; i < s->st.n_gens && s->st.n_gens > GENERATIONS_KEPT;) {
		struct state_gen *g = &s->st.gen[i];
		enum status st;

		if (g->n >= s->st.live_gen ||
			state_gen_of(&s->st, &g->spki) == g) {
			i++;
			continue;
		}
		st = store_gen_remove(s->sl, g->n, err);
		if (st != ST_OK && st != ST_NOTFOUND)
			return st;
		state_gen_remove(&s->st, g);
	}
	return ST_OK;
}

enum status act_add_generation(struct session *s,
	const struct lineage_version *v, enum gen_source source, int64_t now,
	struct err *err)
{
	struct gen_files f = {
		.key = &v->key,
		.cert = &v->cert,
		.chain = &v->chain,
		.fullchain = &v->fullchain,
		.uid = s->cl->uid,
		.gid = s->cl->gid,
		.mode = s->cl->mode,
	};
	unsigned n = s->st.next_gen;
	struct state_gen *g;
	enum status st;

	st = prune_generations(s, err);
	if (st != ST_OK)
		return st;
	/* Left by a crash before the state knew of it. */
	st = store_gen_remove(s->sl, n, err);
	if (st != ST_OK && st != ST_NOTFOUND)
		return st;
	st = store_gen_write(s->sl, n, &f, err);
	if (st == ST_OK)
		st = state_gen_add(&s->st, &g, err);
	if (st != ST_OK)
		return st;
	g->n = n;
	g->spki = v->leaf.spki;
	g->fingerprint = v->leaf.fingerprint;
	g->source = source;
	g->lineage_version = source == GEN_CERTBOT ? v->n : 0;
	g->not_before_s = v->leaf.not_before;
	g->not_after_s = v->leaf.not_after;
	g->taken_ms = now;
	s->st.next_gen = n + 1;
	return ST_OK;
}

/* More fresh keys than may wait: drop the second newest, never the oldest,
 * whose clock runs. Its record goes the way of a previous key's. */
static void limit_candidates(struct session *s, int64_t now)
{
	struct state_key *second = NULL, *newest = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->st.n_keys; i++) {
		struct state_key *k = &s->st.key[i];

		if (k->role != KEY_CANDIDATE)
			continue;
		n++;
		second = newest;
		newest = k;
	}
	if (n <= CANDIDATES_MAX || second == NULL)
		return;
	plan_supersede(&s->st, second, now);
	session_event(s, "superseded", &second->spki, 0,
		"more fresh keys arrived than can wait");
}

static enum status role_for_taken(struct session *s,
	const struct cert_info *leaf, int64_t now, struct err *err)
{
	bool first = state_key_role(&s->st, KEY_CURRENT) == NULL;
	struct state_key *k = state_key_find(&s->st, &leaf->spki);
	enum status st;

	if (k == NULL) {
		st = state_key_add(&s->st, &leaf->spki, leaf->alg,
			first ? KEY_CURRENT : KEY_CANDIDATE, &k, err);
		if (st != ST_OK)
			return st;
		k->created_ms = now;
	} else if (k->role == KEY_PREVIOUS || k->role == KEY_RETIRED) {
		plan_set_role(&s->st, k, KEY_CANDIDATE, now);
	}
	k->have_file = true;
	limit_candidates(s, now);
	return ST_OK;
}

static enum status save_taken_key(struct session *s, struct err *err)
{
	struct key *k;
	enum status st =
		key_from_pem(buf_str(&s->found.key), s->found.key.len, &k, err);

	if (st != ST_OK)
		return st;
	st = store_key_save(s->sl, k, err);
	key_free(k);
	return st;
}

static enum status act_take(
	struct session *s, const struct action *a, int64_t now, struct err *err)
{
	enum status st;

	if (!s->have_found)
		return err_set(err, ST_BUG, "nothing was read to take in");
	st = begin(s, INTENT_TAKE, s->st.next_gen, &a->spki, now, err);
	if (st == ST_OK)
		st = save_taken_key(s, err);
	if (st == ST_OK)
		st = act_add_generation(s, &s->found, GEN_CERTBOT, now, err);
	if (st == ST_OK)
		st = role_for_taken(s, &s->found.leaf, now, err);
	if (st != ST_OK)
		return st;
	memcpy(s->st.lineage_seen, s->fingerprint, sizeof(s->fingerprint));
	st = finish(s, err);
	if (st != ST_OK)
		return st;
	s->obs.lineage.fresh = false;
	session_forget_sweep(s);
	session_event(s, "taken", &a->spki, s->st.next_gen - 1,
		"certbot's certificate was copied in");
	return ST_OK;
}

/* ---- generate ---- */

static enum key_alg alg_for_next(const struct session *s)
{
	const struct state_key *cur = state_key_role(&s->st, KEY_CURRENT);

	if (s->cl->have_key)
		return s->cl->key;
	if (cur != NULL && cur->alg != KEY_OTHER)
		return cur->alg;
	return KEY_ECDSA_P256;
}

static enum status act_generate(struct session *s, int64_t now, struct err *err)
{
	struct state_key *k;
	struct key *key = NULL;
	struct spki spki;
	enum status st = key_generate(alg_for_next(s), &key, err);

	if (st != ST_OK)
		return st;
	spki = *key_spki(key);
	/* The intent names the key before its file exists. */
	st = begin(s, INTENT_GENERATE, 0, &spki, now, err);
	if (st == ST_OK)
		st = store_key_save(s->sl, key, err);
	if (st == ST_OK)
		st = state_key_add(
			&s->st, &spki, key_algorithm(key), KEY_NEXT, &k, err);
	key_free(key);
	if (st != ST_OK)
		return st;
	k->created_ms = now;
	k->have_file = true;
	session_forget_sweep(s);
	st = finish(s, err);
	if (st == ST_OK)
		session_event(s, "generated", &spki, 0,
			"the next key; its record is published now, its "
			"certificate comes with the next renewal");
	return st;
}

/* ---- retire, forget ---- */

static enum status act_retire(
	struct session *s, const struct action *a, int64_t now, struct err *err)
{
	struct state_key *k = state_key_find(&s->st, &a->spki);
	enum status st;

	if (k == NULL || k->role != KEY_PREVIOUS)
		return err_set(err, ST_BUG, "only a previous key is retired");
	plan_set_role(&s->st, k, KEY_RETIRED, now);
	st = session_commit(s, err);
	if (st == ST_OK)
		session_event(s, "retired", &a->spki, 0, a->why);
	return st;
}

static enum status act_forget(
	struct session *s, const struct action *a, int64_t now, struct err *err)
{
	struct state_key *k = state_key_find(&s->st, &a->spki);
	struct state_gen *g;
	enum status st = begin(s, INTENT_FORGET, 0, &a->spki, now, err);

	if (st != ST_OK)
		return st;
	while ((g = state_gen_of(&s->st, &a->spki)) != NULL) {
		if (g->n == s->st.live_gen)
			return err_set(err, ST_BUG,
				"refusing to forget the live generation");
		st = store_gen_remove(s->sl, g->n, err);
		if (st != ST_OK && st != ST_NOTFOUND)
			return st;
		state_gen_remove(&s->st, g);
	}
	st = store_key_remove(s->sl, &a->spki, err);
	if (st != ST_OK && st != ST_NOTFOUND)
		return st;
	if (k != NULL)
		state_key_remove(&s->st, k);
	session_forget_sweep(s);
	st = finish(s, err);
	if (st == ST_OK)
		session_event(s, "forgotten", &a->spki, 0, a->why);
	return st;
}

enum status act_on(struct session *s, const struct action *a, struct err *err)
{
	int64_t now = s->st.clock.trusted_ms;

	switch (a->kind) {
	case ACT_TAKE:
		return act_take(s, a, now, err);
	case ACT_GENERATE:
		return act_generate(s, now, err);
	case ACT_PROMOTE:
		return act_promote(s, a, err);
	case ACT_ROLL_BACK:
		return act_roll_back(s, a, err);
	case ACT_RETIRE:
		return act_retire(s, a, now, err);
	case ACT_FORGET:
		return act_forget(s, a, now, err);
	case ACT_ISSUE:
		return act_issue(s, a, err);
	case ACT_IMPORT:
		return act_import(s, a, err);
	case ACT_WAIT:
	case ACT_HOLD:
	case ACT_SWEEP:
	case ACT_PROBE:
	case ACT_PUBLISH:
	case ACT__COUNT:
		break;
	}
	return err_set(err, ST_BUG, "no executor for %s", action_name(a->kind));
}
