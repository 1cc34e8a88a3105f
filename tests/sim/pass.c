/*
 * One run of danelaw over its lineage: sense, decide, act, until it rests. The
 * loop and the executors do what hook/engine.c, act.c, act_issue.c and
 * promote.c do, with the same commits in the same places; between any two steps
 * the process may be killed, and then only what was committed is left.
 */
#include "exec.h"

#include <string.h>

#define STEPS_MAX 64
#define MAX_GAP (30 * DAY)

/* ---- session ---- */

void tick(struct world *w, int64_t ms)
{
	world_until(w, w->t + rnd_range(w, 0, ms));
}

void maybe_crash(struct world *w)
{
	if (w->crash_per_mille == 0 || rnd(w) % 1000 >= w->crash_per_mille)
		return;
	say(w, "KILLED");
	w->stats->crashes++;
	longjmp(w->crash, 1);
}

/* Through the file format and back: what is not written is lost. */
static struct lineage_state reread(const struct lineage_state *s)
{
	struct buf text = BUF_INIT(16 * 1024 * 1024);
	struct err err = ERR_INIT;
	struct lineage_state ret;

	if (state_to_json(s, &text, &err) != ST_OK ||
		state_from_json(buf_str(&text), text.len, &ret, &err) !=
			ST_OK) {
		(void)fprintf(stderr, "state: %s\n", err.text);
		abort();
	}
	buf_release(&text);
	return ret;
}

static struct lineage_state duplicate(const struct lineage_state *s)
{
	struct lineage_state ret;
	struct err err = ERR_INIT;

	if (state_copy(s, &ret, &err) != ST_OK)
		abort();
	return ret;
}

void commit(struct world *w)
{
	const struct state_key *cur;
	struct lineage_state copy;

	maybe_crash(w);
	copy = duplicate(&w->st);
	state_release(&w->disk);
	w->disk = copy;
	for (size_t i = 0; i < w->n_hearing; i++) {
		w->heard[w->hearing[i].id] |= HEARD;
		w->heard[w->hearing[i].ttl_from] |= HEARD_TTL;
	}
	w->n_hearing = 0;
	cur = state_key_role(&w->disk, KEY_CURRENT);
	if (cur != NULL && id_of_spki(&cur->spki) != w->live_id) {
		w->live_id = id_of_spki(&cur->spki);
		w->live_since = w->t;
	}
	maybe_crash(w);
}

int64_t session_clock(struct world *w)
{
	struct clock_reading r = { .wall_ms = wall_ms(w),
		.boot_ms = w->t - w->boot_at };
	char why[160];

	(void)snprintf(r.boot_id, sizeof(r.boot_id), "boot%u", w->boots);
	if (clock_advance(&w->st.clock, &r, MAX_GAP, why, sizeof(why)) ==
		CLOCK_DOUBT) {
		say(w, "clock doubt");
		w->stats->doubts++;
		plan_doubt(&w->st, &w->p, w->st.clock.trusted_ms);
	}
	w->obs.wall_s = r.wall_ms / 1000;
	if (w->fault == FAULT_WALL_CLOCK)
		w->st.clock.trusted_ms = r.wall_ms;
	return w->st.clock.trusted_ms;
}

void forget_sweep(struct world *w)
{
	w->obs.swept = false;
	w->obs.unfit = 0;
}

static bool leaf_is_known(const struct world *w, int cert)
{
	for (size_t i = 0; i < w->st.n_gens; i++)
		if (w->gen_cert[w->st.gen[i].n].id == cert)
			return true;
	return false;
}

void lineage_fingerprint_of(struct world *w, char *ret, size_t len)
{
	(void)snprintf(ret, len, "%d", w->lineage.id);
}

static void sense_lineage(struct world *w)
{
	struct obs_lineage *l = &w->obs.lineage;
	char fp[64];

	lineage_fingerprint_of(w, fp, sizeof(fp));
	*l = (struct obs_lineage){ .present = true, .readable = true };
	if (strcmp(fp, w->st.lineage_seen) == 0)
		return;
	l->spki = spki_of_id(w->lineage.key);
	l->fresh = !leaf_is_known(w, w->lineage.id);
}

static void sense_fitness(struct world *w)
{
	w->obs.unfit = 0;
	for (size_t i = 0; i < w->st.n_keys; i++) {
		const struct state_gen *g =
			state_gen_of(&w->st, &w->st.key[i].spki);

		if (g == NULL || g->n <= w->st.live_gen ||
			(g->not_before_s <= w->obs.wall_s &&
				g->not_after_s > w->obs.wall_s))
			continue;
		w->obs.unfit |= UINT32_C(1) << i;
		(void)snprintf(w->obs.unfit_why, sizeof(w->obs.unfit_why),
			"not valid now");
	}
}

/* ---- the sweep ---- */

static uint32_t bits(const struct world *w, const struct version *v)
{
	uint32_t has = 0;

	for (size_t i = 0; i < w->st.n_keys; i++)
		if (in_set(&v->set, id_of_spki(&w->st.key[i].spki)))
			has |= UINT32_C(1) << i;
	return has;
}

static uint32_t hidden(const struct world *w, const struct version *v)
{
	uint32_t bad = 0;

	for (size_t i = 0; v->strong && i < w->st.n_keys; i++)
		if (id_of_spki(&w->st.key[i].spki) != v->strong_for)
			bad |= UINT32_C(1) << i;
	return bad;
}

/* A resolver with an empty cache asks any server that answers. */
static void validate(struct world *w, size_t o)
{
	struct obs_owner *oo = &w->oo[o];
	size_t first = rnd(w) % w->n_servers;

	if (w->security_until > w->t)
		oo->security = w->security;
	for (size_t i = 0; i < w->n_servers; i++) {
		const struct server *s = &w->server[(first + i) % w->n_servers];

		if (s->mood == MOOD_DEAD || s->mood == MOOD_MUTE)
			continue;
		oo->validated_has = bits(w, &s->now[o].v);
		return;
	}
	oo->security = OBS_NO_ANSWER;
}

static void ask(struct world *w, size_t s, size_t o, struct obs_answer *a)
{
	const struct server *sv = &w->server[s];
	const struct version *v = &sv->now[o].v;

	a->verdict = OBS_UNKNOWN;
	if (sv->mood == MOOD_DEAD || sv->mood == MOOD_MUTE) {
		if (w->fault == FAULT_SILENCE_IS_CONSENT)
			a->verdict = OBS_IGNORED;
		return;
	}
	if (w->fault == FAULT_ONE_SERVER && s != 0)
		a->verdict = OBS_IGNORED;
	else
		a->verdict = OBS_GOOD;
	w->hearing[w->n_hearing++] = *v;
	a->ttl = v->exists ? v->ttl : 900;
	a->have_serial = true;
	a->serial = v->serial;
	a->has = v->exists ? bits(w, v) : 0;
	w->oo[o].agility_bad |= hidden(w, v);
}

static void sweep(struct world *w)
{
	int64_t now;

	memset(w->oo, 0, sizeof(w->oo));
	memset(w->answer, 0, sizeof(w->answer));
	w->n_hearing = 0;
	tick(w, 2 * SEC);
	for (size_t o = 0; o < w->n_owners; o++)
		validate(w, o);
	for (size_t o = 0; o < w->n_owners; o++) {
		struct obs_owner *oo = &w->oo[o];

		oo->answer = w->answer[o];
		for (size_t s = 0; s < w->n_servers; s++) {
			struct obs_answer *a = &w->answer[o][oo->n++];

			tick(w, 2 * SEC);
			(void)snprintf(a->ns, sizeof(a->ns), "ns%zu.", s);
			(void)snprintf(a->server, sizeof(a->server),
				"ns%zu. 192.0.2.%zu", s, s);
			ask(w, s, o, a);
			if (!w->server[s].second_address)
				continue;
			w->answer[o][oo->n] =
				(struct obs_answer){ .verdict =
							     OBS_UNTESTABLE };
			memcpy(w->answer[o][oo->n].ns, a->ns, sizeof(a->ns));
			oo->n++;
		}
	}
	w->obs.owner = w->oo;
	w->obs.swept = true;
	now = session_clock(w);
	plan_observe(&w->st, &w->obs, &w->p, now);
	commit(w);
}

/* ---- deciding, rightly or, as a control, wrongly ---- */

static const struct state_gen *waiting(const struct world *w)
{
	for (size_t i = w->st.n_gens; i > 0; i--) {
		const struct state_gen *g = &w->st.gen[i - 1];
		const struct state_key *k = state_key_find(&w->st, &g->spki);

		if (g->n > w->st.live_gen && k != NULL &&
			(k->role == KEY_CANDIDATE || k->role == KEY_NEXT))
			return g;
	}
	return NULL;
}

static bool from_publish(struct world *w, int ttls, struct action *a)
{
	const struct state_gen *g = waiting(w);
	int id = g != NULL ? id_of_spki(&g->spki) : -1;

	if (id < 0 || w->first_publish[id] == 0 ||
		w->t < w->first_publish[id] +
				ttls * (int64_t)w->zone[0].ttl * SEC)
		return false;
	*a = (struct action){
		.kind = ACT_PROMOTE, .gen = g->n, .spki = g->spki
	};
	return true;
}

static bool by_role(
	struct world *w, enum key_role r, enum action_kind k, struct action *a)
{
	const struct state_key *key = state_key_role(&w->st, r);

	if (key == NULL)
		return false;
	*a = (struct action){ .kind = k, .spki = key->spki };
	return true;
}

static bool mend_history(struct world *w, bool none)
{
	for (size_t j = 0; j < w->st.n_keys; j++)
		for (size_t o = 0; o < w->n_owners; o++) {
			struct ttl_history *h = &w->st.key[j].at[o].bad;

			if (none)
				h->n = 0;
			for (size_t i = 0; i < h->n; i++)
				if (h->e[i].ttl > w->zone[o].ttl) {
					h->e[i].ttl = w->zone[o].ttl;
					h->e[i].last_ms -= 2 * DAY;
				}
		}
	return false;
}

static bool faulty(struct world *w, struct action *a)
{
	const struct state_key *cur = state_key_role(&w->st, KEY_CURRENT);

	switch (w->fault) {
	case FAULT_ONE_TTL_FROM_PUBLISH:
		return from_publish(w, 1, a);
	case FAULT_TWO_TTLS_FROM_PUBLISH:
		return from_publish(w, 2, a);
	case FAULT_NO_WAIT:
		return mend_history(w, true);
	case FAULT_ONLY_TODAYS_TTL:
		return mend_history(w, false);
	case FAULT_RETIRE_AT_ONCE:
		return by_role(w, KEY_PREVIOUS, ACT_RETIRE, a);
	case FAULT_FORGET_AT_ONCE:
		return by_role(w, KEY_RETIRED, ACT_FORGET, a);
	case FAULT_NO_FIRST_PROBE:
		if (cur != NULL && w->obs.probe == PROBED_NOT) {
			w->obs.probe = PROBED_ALL;
			w->obs.probe_expected = cur->spki;
		}
		return false;
	case FAULT_NONE:
	case FAULT_ONE_SERVER:
	case FAULT_SILENCE_IS_CONSENT:
	case FAULT_WALL_CLOCK:
	case FAULT__COUNT:
		return false;
	}
	return false;
}

static void do_probe(struct world *w, const struct action *a)
{
	const struct state_key *cur = state_key_role(&w->st, KEY_CURRENT);
	int64_t now;

	sense_probe(w, &a->spki);
	now = session_clock(w);
	if (w->obs.probe == PROBED_ALL && spki_eq(&cur->spki, &a->spki)) {
		w->st.verified_ms = now;
		if (w->st.verified_first_ms == 0)
			w->st.verified_first_ms = now;
	} else if (w->obs.probe != PROBED_UNKNOWN) {
		w->st.verified_first_ms = 0;
	}
	commit(w);
}

/* What must hold of any state that was saved. */
static void check_state(struct world *w)
{
	unsigned next = 0, current = 0;

	for (size_t i = 0; i < w->disk.n_keys; i++) {
		const struct state_key *k = &w->disk.key[i];

		next += k->role == KEY_NEXT;
		current += k->role == KEY_CURRENT;
		if (!in_set(&w->files, id_of_spki(&k->spki)))
			violate(w, "the private key %d is lost",
				id_of_spki(&k->spki));
	}
	if (next > 1)
		violate(w, "%u next keys", next);
	if (current != 1 && w->disk.n_keys > 0)
		violate(w, "%u current keys", current);
}

/* Returns the time to wake up, on the trusted axis. */
static int64_t until_rest(struct world *w, int64_t *ret_now)
{
	for (int step = 0; step < STEPS_MAX; step++) {
		int64_t now = session_clock(w);
		struct action a;

		w->stats->decisions++;
		sense_fitness(w);
		if (!faulty(w, &a))
			a = plan_next(&w->st, &w->obs, &w->p, now);
		say(w, "  %s%s %.160s", action_name(a.kind),
			a.outage ? " (outage)" : "", a.why);
		if (a.kind == ACT_PUBLISH)
			say(w, "    add %x remove %x owners %llx tries %u",
				a.add, a.remove, (unsigned long long)a.owners,
				w->st.owner[0].publish_tries);
		if (strncmp(a.why, "BUG", 3) == 0)
			violate(w, "%s", a.why);
		*ret_now = now;
		switch (a.kind) {
		case ACT_WAIT:
		case ACT_HOLD:
			w->stats->held += a.kind == ACT_HOLD;
			w->st.alert = a.kind == ACT_HOLD;
			if (a.until_ms <= now)
				violate(w, "waits until the past");
			commit(w);
			return a.until_ms;
		case ACT_SWEEP:
			sweep(w);
			break;
		case ACT_PROBE:
			do_probe(w, &a);
			break;
		case ACT_TAKE:
		case ACT_GENERATE:
		case ACT_PUBLISH:
		case ACT_PROMOTE:
		case ACT_ROLL_BACK:
		case ACT_RETIRE:
		case ACT_FORGET:
		case ACT_ISSUE:
		case ACT_IMPORT:
		case ACT__COUNT:
			exec_action(w, &a);
			break;
		}
		if (w->failed)
			return now + w->timer;
		tick(w, 100);
	}
	if (w->fault == FAULT_NONE)
		violate(w, "the decision does not come to rest");
	return w->st.clock.trusted_ms + w->timer;
}

int64_t pass(struct world *w)
{
	int64_t until = 0, now = 0, pause;

	w->stats->passes++;
	w->in_pass = true;
	w->failed = false;
	w->st = w->crash_per_mille != 0 && chance(w, 10) ? reread(&w->disk)
							 : duplicate(&w->disk);
	if (setjmp(w->crash) == 0) {
		static const char names[OWNERS][DNS_NAME_MAX] = {
			"_25._tcp.mx.example.", "_465._tcp.mx.example."
		};
		struct err err = ERR_INIT;

		memset(&w->obs, 0, sizeof(w->obs));
		w->n_hearing = 0;
		(void)session_clock(w);
		if (state_set_owners(&w->st, names, w->n_owners, &err) != ST_OK)
			abort();
		sense_lineage(w);
		w->obs.can_issue = w->p.issue_csr;
		w->obs.certbot_renews_s = w->cert_life_s < 10 * 86400
						  ? w->cert_life_s / 2
						  : w->cert_life_s / 3;
		until = until_rest(w, &now);
		pause = until - now;
	} else {
		pause = rnd_log(w, SEC, HOUR);
	}
	w->in_pass = false;
	state_release(&w->st);
	check_state(w);
	return pause;
}
