/*
 * The executors, as hook/act.c, act_issue.c and promote.c have them: intent,
 * effect, outcome. The effects are on the world.
 */
#include "exec.h"

#include <string.h>

#define CANDIDATES_MAX 4

static void begin(struct world *w, enum intent_kind kind, unsigned gen,
	const struct spki *spki)
{
	w->st.intent = (struct intent){
		.kind = kind,
		.gen = gen,
		.since_ms = w->st.clock.trusted_ms,
	};
	if (spki != NULL)
		w->st.intent.spki = *spki;
	commit(w);
}

static void finish(struct world *w)
{
	w->st.intent = (struct intent){ .kind = INTENT_NONE };
	commit(w);
}

static void fail(struct world *w, const char *why)
{
	say(w, "FAILED: %s", why);
	w->failed = true;
}

/* ---- what endpoints serve ---- */

void sense_probe(struct world *w, const struct spki *expect)
{
	int id = id_of_spki(expect);

	w->obs.probe = PROBED_ALL;
	w->obs.probe_expected = *expect;
	w->obs.probe_why[0] = '\0';
	for (size_t i = 0; i < w->n_endpoints; i++) {
		const struct endpoint *e = &w->endpoint[i];
		const struct version *v = &w->zone[0];

		tick(w, SEC);
		if (e->down_until > w->t || chance(w, w->probe_blind)) {
			if (w->obs.probe == PROBED_ALL)
				w->obs.probe = PROBED_UNKNOWN;
		} else if (v->exists && !in_set(&v->set, e->id)) {
			w->obs.probe = PROBED_OUTAGE;
		} else if (e->id != id && w->obs.probe != PROBED_OUTAGE) {
			w->obs.probe = PROBED_MIXED;
		}
	}
	(void)snprintf(w->obs.probe_why, sizeof(w->obs.probe_why),
		"probed for key %d", id);
}

/* False: the command failed, some may have reloaded all the same. */
static bool reload(struct world *w)
{
	bool ok = true;

	for (size_t i = 0; i < w->n_endpoints; i++) {
		tick(w, SEC);
		maybe_crash(w);
		if (chance(w, w->reload_fails)) {
			ok = false;
			continue;
		}
		if (w->endpoint[i].pointed && !chance(w, w->endpoint_sticks))
			serve_key(w, i, w->gen_cert[w->live_link].key);
	}
	return ok;
}

static void live_set(struct world *w, unsigned gen)
{
	maybe_crash(w);
	w->live_link = gen;
	maybe_crash(w);
}

/* ---- take, generate ---- */

static bool add_generation(
	struct world *w, const struct cert *c, enum gen_source source)
{
	struct state_gen *g;
	struct err err = ERR_INIT;

	if (state_gen_add(&w->st, &g, &err) != ST_OK) {
		fail(w, err.text);
		return false;
	}
	if (g->n >= sizeof(w->gen_cert) / sizeof(w->gen_cert[0]))
		abort();
	w->gen_cert[g->n] = *c;
	g->spki = spki_of_id(c->key);
	g->fingerprint = spki_of_id(c->id);
	g->source = source;
	g->lineage_version = source == GEN_CERTBOT ? 1 : 0;
	g->not_before_s = c->not_before_s;
	g->not_after_s = c->not_after_s;
	g->taken_ms = w->st.clock.trusted_ms;
	return true;
}

static void limit_candidates(struct world *w, int64_t now)
{
	struct state_key *second = NULL, *newest = NULL;
	size_t n = 0;

	for (size_t i = 0; i < w->st.n_keys; i++) {
		if (w->st.key[i].role != KEY_CANDIDATE)
			continue;
		n++;
		second = newest;
		newest = &w->st.key[i];
	}
	if (n > CANDIDATES_MAX && second != NULL)
		plan_supersede(&w->st, second, now);
}

static void exec_take(struct world *w, int64_t now)
{
	bool first = state_key_role(&w->st, KEY_CURRENT) == NULL;
	struct cert c = w->lineage;
	struct spki spki = spki_of_id(c.key);
	struct state_key *k = state_key_find(&w->st, &spki);
	struct err err = ERR_INIT;

	begin(w, INTENT_TAKE, w->st.next_gen, &spki);
	put(&w->files, c.key);
	maybe_crash(w);
	if (!add_generation(w, &c, GEN_CERTBOT))
		return;
	if (k == NULL) {
		if (state_key_add(&w->st, &spki, KEY_ECDSA_P256,
			    first ? KEY_CURRENT : KEY_CANDIDATE, &k,
			    &err) != ST_OK) {
			fail(w, err.text);
			return;
		}
		k->created_ms = now;
	} else if (k->role == KEY_PREVIOUS || k->role == KEY_RETIRED) {
		plan_set_role(&w->st, k, KEY_CANDIDATE, now);
	}
	k->have_file = true;
	limit_candidates(w, now);
	(void)snprintf(
		w->st.lineage_seen, sizeof(w->st.lineage_seen), "%d", c.id);
	finish(w);
	w->obs.lineage.fresh = false;
	forget_sweep(w);
}

static void exec_generate(struct world *w, int64_t now)
{
	int left = id_of_spki(&w->st.intent.spki);
	struct state_key *k;
	struct err err = ERR_INIT;
	struct spki spki;
	int id;

	if (w->st.intent.kind == INTENT_GENERATE && in_set(&w->files, left)) {
		id = left;
	} else {
		id = new_key(w);
		spki = spki_of_id(id);
		begin(w, INTENT_GENERATE, 0, &spki);
		put(&w->files, id);
		maybe_crash(w);
	}
	spki = spki_of_id(id);
	if (state_key_add(&w->st, &spki, KEY_ECDSA_P256, KEY_NEXT, &k, &err) !=
		ST_OK) {
		fail(w, err.text);
		return;
	}
	k->created_ms = now;
	k->have_file = true;
	forget_sweep(w);
	finish(w);
}

/* ---- publish ---- */

static bool publish_owner(struct world *w, const struct action *a, size_t o)
{
	struct idset add = { .b = { 0 } }, remove = { .b = { 0 } };
	const struct version *v = &w->zone[o];
	bool differs = false;

	tick(w, 5 * SEC);
	if (w->provider_down_until > w->t)
		return false;
	for (size_t i = 0; i < w->st.n_keys; i++) {
		int id = id_of_spki(&w->st.key[i].spki);

		if ((a->add >> i & 1) != 0 && !in_set(&v->set, id)) {
			put(&add, id);
			if (w->first_publish[id] == 0)
				w->first_publish[id] = w->t;
			differs = true;
		}
		if ((a->remove >> i & 1) != 0 && in_set(&v->set, id)) {
			drop(&add, id);
			put(&remove, id);
			differs = true;
		}
	}
	maybe_crash(w);
	if (!differs)
		return true;
	zone_update(w, o, &add, &remove);
	maybe_crash(w);
	return true;
}

static void exec_publish(struct world *w, const struct action *a, int64_t now)
{
	begin(w, INTENT_PUBLISH, 0, NULL);
	w->st.publish_why[0] = '\0';
	for (size_t o = 0; o < w->n_owners; o++) {
		if ((a->owners >> o & 1) == 0)
			continue;
		w->st.owner[o].publish_ms = now;
		w->st.owner[o].publish_tries++;
		if (!publish_owner(w, a, o))
			(void)snprintf(w->st.publish_why,
				sizeof(w->st.publish_why), "provider down");
	}
	forget_sweep(w);
	finish(w);
}

/* ---- promote, roll back ---- */

static bool verify(struct world *w, const struct state_gen *g)
{
	for (int i = 0; i < 3; i++) {
		tick(w, 5 * SEC);
		sense_probe(w, &g->spki);
		if (w->obs.probe == PROBED_ALL)
			return true;
	}
	return false;
}

static void roll_back(
	struct world *w, unsigned gen, unsigned to_gen, bool blame)
{
	struct state_gen *g = state_gen_find(&w->st, gen);
	int64_t now = w->st.clock.trusted_ms, pause = HOUR;

	w->stats->roll_backs++;
	w->st.intent = (struct intent){
		.kind = INTENT_ROLL_BACK,
		.gen = gen,
		.to_gen = to_gen,
		.since_ms = now,
	};
	if (blame && g != NULL) {
		for (unsigned i = 0; i < g->rollbacks && pause < DAY; i++)
			pause *= 2;
		g->rollbacks++;
		g->retry_ms = now + (pause < DAY ? pause : DAY);
		w->st.rolled_back_gen = gen;
	}
	commit(w);
	live_set(w, to_gen);
	(void)reload(w);
	(void)verify(w, state_gen_find(&w->st, to_gen));
	w->st.verified_first_ms = 0;
	finish(w);
}

static void change_roles(
	struct world *w, const struct state_gen *g, int64_t now)
{
	struct state_key *k = state_key_find(&w->st, &g->spki);

	for (size_t i = 0; i < w->st.n_keys; i++) {
		struct state_key *o = &w->st.key[i];
		const struct state_gen *og = state_gen_of(&w->st, &o->spki);

		if (o != k && (o->role == KEY_CURRENT ||
				      (o->role == KEY_CANDIDATE &&
					      (og == NULL || og->n < g->n))))
			plan_supersede(&w->st, o, now);
	}
	if (k->role != KEY_CURRENT) {
		plan_set_role(&w->st, k, KEY_CURRENT, now);
		k->live_ms = now;
		w->stats->rollovers++;
	}
}

static void promoted(struct world *w, const struct state_gen *g, bool verified)
{
	int64_t now = session_clock(w);

	w->stats->promotions++;
	change_roles(w, g, now);
	w->st.live_gen = g->n;
	w->st.rolled_back_gen = 0;
	w->st.verified_first_ms = w->st.verified_ms = verified ? now : 0;
	finish(w);
	w->obs.probe = PROBED_NOT;
	w->obs.unfit = 0;
}

static bool is_adopted(const struct world *w)
{
	for (size_t i = 0; i < w->st.n_owners; i++)
		if (w->st.owner[i].publish_ms != 0)
			return true;
	return false;
}

static void exec_promote(struct world *w, const struct action *a)
{
	const struct state_gen *g = state_gen_find(&w->st, a->gen);
	unsigned from = w->st.live_gen;
	bool same_key, ok;

	same_key = from != 0 &&
		   spki_eq(&state_gen_find(&w->st, from)->spki, &g->spki);
	w->st.intent = (struct intent){
		.kind = INTENT_PROMOTE,
		.gen = g->n,
		.to_gen = from,
		.spki = g->spki,
		.since_ms = w->st.clock.trusted_ms,
	};
	commit(w);
	live_set(w, g->n);
	if (from == 0 || (same_key && !is_adopted(w))) {
		if (from != 0)
			(void)reload(w);
		promoted(w, g, false);
		return;
	}
	ok = reload(w);
	if (ok) {
		ok = verify(w, g);
		if (same_key && w->obs.probe == PROBED_UNKNOWN)
			ok = true;
	}
	if (!ok)
		roll_back(w, g->n, from, true);
	else
		promoted(w, g, w->obs.probe == PROBED_ALL && !same_key);
}

/* ---- retire, forget ---- */

static void exec_retire(struct world *w, const struct action *a, int64_t now)
{
	struct state_key *k = state_key_find(&w->st, &a->spki);

	if (is_served(w, id_of_spki(&a->spki)))
		violate(w, "law 2: key %d is retired while it is served",
			id_of_spki(&a->spki));
	w->stats->retired++;
	plan_set_role(&w->st, k, KEY_RETIRED, now);
	commit(w);
}

static void exec_forget(struct world *w, const struct action *a)
{
	struct state_key *k = state_key_find(&w->st, &a->spki);
	struct state_gen *g;

	check_forgotten(w, id_of_spki(&a->spki));
	w->stats->forgotten++;
	begin(w, INTENT_FORGET, 0, &a->spki);
	while ((g = state_gen_of(&w->st, &a->spki)) != NULL) {
		if (g->n == w->st.live_gen) {
			violate(w, "the live generation would be forgotten");
			fail(w, "live");
			return;
		}
		state_gen_remove(&w->st, g);
	}
	if (k != NULL)
		state_key_remove(&w->st, k);
	forget_sweep(w);
	finish(w);
	drop(&w->files, id_of_spki(&a->spki));
}

/* ---- issue, import ---- */

static void note_failure(struct world *w, int64_t now)
{
	int64_t pause = MIN;

	for (unsigned i = 0; i < w->st.issue_tries && pause < DAY; i++)
		pause *= 10;
	w->st.issue_tries++;
	w->st.issue_retry_ms = now + (pause < DAY ? pause : DAY);
	(void)snprintf(w->st.issue_why, sizeof(w->st.issue_why), "no luck");
	finish(w);
}

static void exec_issue(struct world *w, const struct action *a)
{
	struct cert c;
	size_t oldest = 0;
	int64_t now;

	begin(w, INTENT_ISSUE, 0, &a->spki);
	tick(w, MIN);
	maybe_crash(w);
	now = session_clock(w);
	for (size_t i = 1; i < 8; i++)
		if (w->st.issued_ms[i] < w->st.issued_ms[oldest])
			oldest = i;
	w->st.issued_ms[oldest] = now;
	if (chance(w, w->issue_fails)) {
		note_failure(w, now);
		return;
	}
	c = new_cert(w, id_of_spki(&a->spki));
	if (!add_generation(w, &c, GEN_CSR))
		return;
	w->stats->issued++;
	w->st.issue_tries = 0;
	w->st.issue_retry_ms = 0;
	finish(w);
}

static void exec_import(struct world *w, const struct action *a)
{
	struct state_gen *g = state_gen_find(&w->st, a->gen);

	begin(w, INTENT_IMPORT, a->gen, NULL);
	if (chance(w, w->issue_fails)) {
		note_failure(w, w->st.clock.trusted_ms);
		return;
	}
	w->lineage = w->gen_cert[g->n];
	maybe_crash(w);
	g->lineage_version = 1;
	lineage_fingerprint_of(
		w, w->st.lineage_seen, sizeof(w->st.lineage_seen));
	finish(w);
}

void exec_action(struct world *w, const struct action *a)
{
	int64_t now = w->st.clock.trusted_ms;

	switch (a->kind) {
	case ACT_TAKE:
		exec_take(w, now);
		return;
	case ACT_GENERATE:
		exec_generate(w, now);
		return;
	case ACT_PUBLISH:
		exec_publish(w, a, now);
		return;
	case ACT_PROMOTE:
		exec_promote(w, a);
		return;
	case ACT_ROLL_BACK:
		roll_back(w, a->gen, a->to_gen, false);
		return;
	case ACT_RETIRE:
		exec_retire(w, a, now);
		return;
	case ACT_FORGET:
		exec_forget(w, a);
		return;
	case ACT_ISSUE:
		exec_issue(w, a);
		return;
	case ACT_IMPORT:
		exec_import(w, a);
		return;
	case ACT_WAIT:
	case ACT_HOLD:
	case ACT_SWEEP:
	case ACT_PROBE:
	case ACT__COUNT:
		abort();
	}
}
