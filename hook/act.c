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

#define DEFAULT_TTL 3600
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

/* ---- publish ---- */

/* What the set must become: ours added and withdrawn, all else as it is. */
static enum status target_set(struct session *s, const struct action *a,
	size_t owner, const struct tlsa_rrset *from, struct tlsa_rrset *ret,
	struct err *err)
{
	enum status st = tlsa_rrset_copy(from, ret, err);

	if (st == ST_OK && s->cl->ttl > 0)
		ret->ttl = (uint32_t)s->cl->ttl;
	else if (st == ST_OK && from->n == 0)
		ret->ttl = DEFAULT_TTL;
	for (size_t i = 0; st == ST_OK && i < s->st.n_keys; i++) {
		const struct spki *spki = &s->st.key[i].spki;

		if (a->add >> i & 1)
			st = tlsa_rrset_add_spki(ret, spki, err);
		if (a->remove >> i & 1)
			(void)tlsa_rrset_remove_spki(ret, spki);
	}
	/* A first RRset promises every algorithm that is served here, also
	 * that of another lineage. */
	for (size_t i = 0; st == ST_OK && from->n == 0 && i < s->n_claims; i++)
		if (s->claim[i].owner == owner &&
			s->claim[i].role == KEY_CURRENT)
			st = tlsa_rrset_add_spki(ret, &s->claim[i].spki, err);
	if (st == ST_OK && from->n > 0 && ret->n == 0)
		return err_set(err, ST_BUG, "refusing to empty the record set");
	return st;
}

static enum status publish_owner(struct session *s, const struct action *a,
	size_t i, void *ctx, struct err *err)
{
	const struct provider_ops *ops = s->cl->provider->ops;
	auto_tlsa from = TLSA_RRSET_INIT;
	auto_tlsa to = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX];
	enum status st = ops->get(ctx, s->final[i], &from, zone, err);

	if (st == ST_OK)
		st = target_set(s, a, i, &from, &to, err);
	if (st != ST_OK)
		return st;
	if (tlsa_rrset_eq(&from, &to))
		return ST_OK; /* it is on its way to the other servers */
	st = ops->replace(ctx, s->final[i], &from, &to, err);
	if (st == ST_OK)
		session_event(s, "published", NULL, 0, s->final[i]);
	if (st == ST_OK && s->st.owner[i].publish_ms == 0)
		log_event(LOG_WARN_L, "first-publication",
			"lineage=%s owner=%s live=%s why=%s",
			log_quote(s->cl->name), s->final[i],
			log_quote(store_live_path(s->sl)),
			log_quote("from now on the mail software must read "
				  "its key and certificate there and nowhere "
				  "else: certbot's own live/ changes too "
				  "early"));
	return st;
}

static void note_publish_failure(
	struct session *s, size_t i, const struct err *err)
{
	log_event(s->e->again ? LOG_DEBUG_L : LOG_ALERT_L, "publish-failed",
		"lineage=%s owner=%s provider=%s error=%s action=%s",
		log_quote(s->cl->name), s->final[i],
		log_quote(s->cl->provider->name), log_quote(err->text),
		log_quote("nothing changed; tried again by itself"));
	(void)snprintf(s->st.publish_why, sizeof(s->st.publish_why),
		"%s: %s", s->final[i], err->text);
	s->st.publish_temporary = err->st == ST_RETRY || err->st == ST_CONFLICT;
}

/* Tries each owner name once (twice when somebody edited at the same time).
 * A failure is noted and tried again after a growing pause. */
static enum status act_publish(
	struct session *s, const struct action *a, int64_t now, struct err *err)
{
	const struct provider_ops *ops = s->cl->provider->ops;
	struct provider_config pc = {
		.name = s->cl->provider->name,
		.value = s->cl->provider->value,
	};
	void *ctx = NULL;
	enum status st = begin(s, INTENT_PUBLISH, 0, NULL, now, err);
	struct err late = ERR_INIT;
	enum status open_st;

	if (st != ST_OK)
		return st;
	s->st.publish_why[0] = '\0';
	open_st = ops->open(&pc, &ctx, err);
	for (size_t i = 0; i < s->st.n_owners; i++) {
		struct owner_state *os = &s->st.owner[i];

		if ((a->owners >> i & 1) == 0)
			continue;
		st = open_st;
		for (int try = 0; open_st == ST_OK && try < 2; try++) {
			st = publish_owner(s, a, i, ctx, err);
			if (st != ST_CONFLICT)
				break;
		}
		/* After the attempt: a provider may be slower to fail than the
		 * pause before the next one. */
		if (session_clock(s, &now, &late) != ST_OK)
			now = s->st.clock.trusted_ms;
		os->publish_ms = now;
		os->publish_tries++;
		if (st != ST_OK)
			note_publish_failure(s, i, err);
	}
	if (ctx != NULL)
		ops->close(ctx);
	session_forget_sweep(s);
	return finish(s, err);
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
	case ACT_PUBLISH:
		return act_publish(s, a, now, err);
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
	case ACT__COUNT:
		break;
	}
	return err_set(err, ST_BUG, "no executor for %s", action_name(a->kind));
}
