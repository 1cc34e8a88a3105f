/*
 * The decision, and the law: what may be served, published and withdrawn, and
 * when. Pure: state, observation and time in, one action out. plan_observe
 * (plan_observe.c) has folded the last sweep into the state before.
 *
 * Order matters: unfinished switches first, then what makes the outside safer
 * (taking keys in, records that must be there), then progress, and withdrawing
 * last. Every branch that cannot go on returns an action that says why.
 */
#include "hook/plan.h"

#include "hook/plan_ready.h"
#include "hook/plan_rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* An outage waits no longer than this for a provider that asks to wait, s. */
#define URGENT_WAIT_MAX 3600

static const char *const action_names[] = {
	[ACT_WAIT] = "wait",
	[ACT_HOLD] = "hold",
	[ACT_SWEEP] = "sweep",
	[ACT_TAKE] = "take",
	[ACT_GENERATE] = "generate",
	[ACT_PROBE] = "probe",
	[ACT_PUBLISH] = "publish",
	[ACT_PROMOTE] = "promote",
	[ACT_ROLL_BACK] = "roll-back",
	[ACT_RETIRE] = "retire",
	[ACT_FORGET] = "forget",
	[ACT_ISSUE] = "issue",
	[ACT_IMPORT] = "import",
};
_Static_assert(
	sizeof(action_names) / sizeof(action_names[0]) == ACT__COUNT, "names");

const char *action_name(enum action_kind k)
{
	return (unsigned)k < ACT__COUNT ? action_names[k] : "unknown";
}

struct action act(enum action_kind kind, const char *fmt, ...)
{
	struct action a = { .kind = kind };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(a.why, sizeof(a.why), fmt, ap);
	va_end(ap);
	return a;
}

void wake_at(struct ctx *c, int64_t ms)
{
	if (ms < c->wake)
		c->wake = ms;
}

/* What was to be said before an outage may be its cause. */
static void append(struct ctx *c, const char *cause)
{
	size_t len = strlen(c->note);

	(void)snprintf(c->note + len, sizeof(c->note) - len, "; %s", cause);
}

void note(struct ctx *c, enum note_level level, const char *fmt, ...)
{
	char before[STATE_WHY_MAX] = "";
	va_list ap;

	if (c->note[0] != '\0' && level <= c->level)
		return;
	if (level == NOTE_OUTAGE && c->level > NOTE_WAIT)
		memcpy(before, c->note, sizeof(before));
	c->level = level;
	va_start(ap, fmt);
	(void)vsnprintf(c->note, sizeof(c->note), fmt, ap);
	va_end(ap);
	if (before[0] != '\0')
		append(c, before);
}

enum note_level level_of(const struct ready_why *why)
{
	if (!why->blocked)
		return NOTE_WAIT;
	return why->passing ? NOTE_PASSING : NOTE_HOLD;
}

enum note_level level_of_probe(const struct ctx *c)
{
	return c->o->probe == PROBED_OUTAGE ? NOTE_OUTAGE : NOTE_HOLD;
}

uint32_t key_bit(const struct ctx *c, const struct state_key *k)
{
	return UINT32_C(1) << (k - c->s->key);
}

/* A newest generation of k that is not live yet and may be tried now. */
const struct state_gen *pending_gen(
	const struct ctx *c, const struct state_key *k)
{
	const struct state_gen *g = state_gen_of(c->s, &k->spki);

	if (g == NULL || g->n <= c->s->live_gen)
		return NULL;
	return g;
}

static bool may_try(struct ctx *c, const struct state_key *k,
	const struct state_gen *g)
{
	if (c->o->unfit & key_bit(c, k)) {
		note(c, NOTE_HOLD, "generation %u is not fit to go live: %s", g->n,
			c->o->unfit_why);
		return false;
	}
	if (g->retry_ms > c->now && !c->o->retry_asked) {
		wake_at(c, g->retry_ms);
		note(c, NOTE_HOLD,
			"rolled back: %s; \"danelaw run %s\" tries again at "
			"once",
			c->s->rolled_back_why, c->s->name);
		return false;
	}
	return true;
}

/* ---- the rules, in order; each fills *a and returns true, or passes ---- */

static bool rule_publish(struct ctx *c, struct action *a);

/* A switch is unfinished, and neither key can be served without harm: nothing
 * is switched until the record of one of them is everywhere. */
static void stay(struct ctx *c, const struct state_gen *g, const char *missed,
	struct action *a)
{
	const char *why = c->s->rolled_back_gen == c->s->intent.gen
		? c->s->rolled_back_why
		: "";

	if (g != NULL && g->retry_ms > c->now)
		wake_at(c, g->retry_ms);
	note(c, NOTE_URGENT,
		"the switch to generation %u is unfinished, and the key that "
		"was live before cannot come back: %.200s; nothing more is "
		"switched until the record of one of them is everywhere: look "
		"at the provider, and at the mail software%s%.150s",
		c->s->intent.gen, missed, why[0] ? ": " : "", why);
	if (!rule_publish(c, a))
		*a = rule_rest(c);
}

/* What was interrupted while it went live, or failed with no way back. */
static bool unfinished_promotion(struct ctx *c, struct action *a)
{
	const struct intent *in = &c->s->intent;
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);
	const struct state_gen *g = state_gen_find(c->s, in->gen);
	const struct state_key *k =
		g != NULL ? state_key_find(c->s, &g->spki) : NULL;
	bool at_once = c->s->live_gen == 0 || (k != NULL && k == cur);
	bool paused, missed;
	struct ready_why why;
	char where[STATE_WHY_MAX] = "";

	if (k != NULL && !at_once && !c->o->swept) {
		*a = act(ACT_SWEEP, "a promotion was interrupted: is its key "
				    "still ready?");
		return true;
	}
	missed = !at_once && can_be_missed(c->s, c->o, c->p, cur, c->now, where);
	paused = missed && g != NULL && g->retry_ms > c->now &&
		!c->o->retry_asked;
	if (k != NULL && !paused &&
		(at_once || ready_now(c->s, c->o, c->p, k, c->now, &why))) {
		*a = act(ACT_PROMOTE, "finishing the interrupted promotion");
		a->gen = in->gen;
		a->spki = k->spki;
		return true;
	}
	if (missed) {
		stay(c, g, where, a);
		return true;
	}
	*a = act(ACT_ROLL_BACK,
		"a promotion was interrupted and its key is not ready any "
		"more: back to the current key");
	a->gen = in->gen;
	a->to_gen = c->s->live_gen;
	return true;
}

static bool rule_unfinished(struct ctx *c, struct action *a)
{
	const struct intent *in = &c->s->intent;

	if (in->kind == INTENT_PROMOTE)
		return unfinished_promotion(c, a);
	if (in->kind != INTENT_ROLL_BACK)
		return false;
	*a = act(ACT_ROLL_BACK, "finishing the interrupted roll-back");
	a->gen = in->gen;
	a->to_gen = in->to_gen;
	return true;
}

static bool rule_take(struct ctx *c, struct action *a)
{
	const struct obs_lineage *l = &c->o->lineage;
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);

	if (l->present && l->readable && l->fresh &&
		state_key_find(c->s, &l->spki) == NULL &&
		c->s->n_keys >= STATE_KEYS_MAX) {
		note(c, NOTE_HOLD,
			"certbot has a new key, but %u keys are still in use: "
			"it is taken in when one of them is forgotten",
			(unsigned)c->s->n_keys);
	} else if (l->present && l->readable && l->fresh) {
		*a = act(ACT_TAKE, "certbot has a certificate that is not "
				   "taken in yet");
		a->spki = l->spki;
		return true;
	}
	if (!l->readable && l->why[0] != '\0')
		note(c, NOTE_HOLD, "%s", l->why);
	if (cur == NULL) {
		*a = act(ACT_HOLD, "nothing to serve yet: %s",
			l->why[0] ? l->why : "certbot has no such lineage");
		a->alert = true;
		a->until_ms = c->now + c->p->poll_max * SECOND;
		return true;
	}
	return false;
}

/* A certificate on the current key changes nothing in DNS: at once. */
static bool rule_same_key(struct ctx *c, struct action *a)
{
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);
	const struct state_gen *g = pending_gen(c, cur);

	if (g == NULL || !may_try(c, cur, g))
		return false;
	*a = act(ACT_PROMOTE, "%s",
		c->s->live_gen == 0
			? "first generation: nothing changes for the outside"
			: "new certificate on the current key: no DNS change");
	a->gen = g->n;
	a->spki = cur->spki;
	return true;
}

static bool rule_sweep(struct ctx *c, struct action *a)
{
	if (c->o->swept)
		return false;
	*a = act(ACT_SWEEP, "what do the name servers serve?");
	return true;
}

/* Steady state is {current, next}; the next key is made when the last rollover
 * has ended, so that it ages for as long as possible. */
static bool rule_generate(struct ctx *c, struct action *a)
{
	if (state_key_role(c->s, KEY_NEXT) != NULL ||
		state_key_role(c->s, KEY_PREVIOUS) != NULL)
		return false;
	if (c->s->n_keys >= STATE_KEYS_MAX) {
		note(c, NOTE_HOLD, "%u keys are still in use: no room for another",
			(unsigned)c->s->n_keys);
		return false;
	}
	*a = act(ACT_GENERATE, "the next key must age before it is needed");
	return true;
}

static bool must_be_published(const struct state_key *k)
{
	return k->role != KEY_RETIRED;
}

/* What differs at one owner name, and whether we may touch it now. */
static void owner_diff(
	struct ctx *c, size_t i, uint32_t *ret_add, uint32_t *ret_remove)
{
	const struct obs_owner *oo = &c->o->owner[i];
	bool all_ok = owner_all_answered(oo, NULL, NULL);

	*ret_add = *ret_remove = 0;
	for (size_t j = 0; j < c->s->n_keys; j++) {
		const struct state_key *k = &c->s->key[j];
		bool lacking = false, present = false;

		for (size_t n = 0; n < oo->n; n++) {
			if (oo->answer[n].verdict != OBS_GOOD)
				continue;
			if (oo->answer[n].has & key_bit(c, k))
				present = true;
			else
				lacking = true;
		}
		if (must_be_published(k) && lacking)
			*ret_add |= key_bit(c, k);
		/* Withdrawing waits for certainty; adding never harms. */
		if (k->role == KEY_RETIRED && present && all_ok &&
			!(c->o->claimed_elsewhere & key_bit(c, k)))
			*ret_remove |= key_bit(c, k);
	}
}

static bool owner_writable(struct ctx *c, size_t i)
{
	const struct obs_owner *oo = &c->o->owner[i];
	const char *name = c->s->owner[i].owner;
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);

	if (oo->security == OBS_BOGUS || oo->security == OBS_NO_ANSWER) {
		note(c, oo->security == OBS_BOGUS ? NOTE_HOLD : NOTE_PASSING,
			"%s: %s; nothing is changed until that is mended", name,
			oo->why);
		return false;
	}
	if (oo->security == OBS_INSECURE && !c->p->proceed_insecure) {
		note(c, NOTE_HOLD,
			"%s: the zone is not signed (%s): senders ignore its "
			"TLSA records, so DANE protects nothing here; sign the "
			"zone, or set insecure = \"proceed\"",
			name, oo->why);
		return false;
	}
	if (oo->agility_bad & key_bit(c, cur)) {
		note(c, NOTE_HOLD,
			"%s: a foreign record with a stronger digest (3 1 2) "
			"would hide ours and does not match the served key "
			"(RFC 7671 section 9); remove that record",
			name);
		return false;
	}
	return true;
}

/* Growing, up to poll_max; what is being served is urgent: a minute. */
static int64_t publish_backoff(
	const struct ctx *c, unsigned tries, bool urgent)
{
	int64_t max = c->p->poll_max;
	int64_t s = 5;

	if (urgent && max > 60)
		max = 60;
	while (tries-- > 1 && s < max)
		s *= 2;
	return (s < max ? s : max) * SECOND;
}

/* Sooner than the provider asked for would only make it refuse for longer; but
 * the operator may know better. */
static int64_t publish_due(
	const struct ctx *c, const struct owner_state *os, bool urgent)
{
	int64_t pause = publish_backoff(c, os->publish_tries, urgent);
	int64_t wait = os->publish_wait_s;

	if (urgent && wait > URGENT_WAIT_MAX)
		wait = URGENT_WAIT_MAX;
	if (pause < wait * SECOND && !c->o->retry_asked)
		pause = wait * SECOND;
	return os->publish_ms + pause;
}

/* No record of ours is there, so nothing is promised yet. Where another lineage
 * is published already, DANE is in force: one record more breaks nothing, and
 * must come before its key. */
static bool is_first(const struct ctx *c, size_t owner)
{
	if (c->o->owner[owner].shared)
		return false;
	if (c->s->owner[owner].publish_ms == 0)
		return true;
	/* It was there once. What is there now, if anything, is not ours and
	 * matches nothing: adding can only mend that. */
	if (c->s->publish_why[0] == '\0' || c->o->probe == PROBED_OUTAGE)
		return false;
	for (size_t j = 0; j < c->s->n_keys; j++)
		if (c->s->key[j].at[owner].rec != REC_HIDDEN)
			return false;
	return true;
}

static bool probed_all(const struct ctx *c, const struct state_key *cur)
{
	return c->o->probe == PROBED_ALL &&
		spki_eq(&c->o->probe_expected, &cur->spki);
}

static bool ask_for_probe(const struct state_key *cur, struct action *a)
{
	*a = act(ACT_PROBE, "a first record may only be published when every "
			    "endpoint already serves its key");
	a->spki = cur->spki;
	return true;
}

static void refuse_first(struct ctx *c)
{
	note(c, level_of_probe(c),
		"no record is published yet, because the endpoints do not all "
		"serve the current key: %s; point the mail software at "
		"live/%s/combined.pem below the state directory and reload it",
		c->o->probe_why, c->s->name);
}

static bool rule_publish(struct ctx *c, struct action *a)
{
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);
	struct action pub = act(ACT_PUBLISH, "%s", "");
	bool first = false;

	for (size_t i = 0; i < c->s->n_owners; i++) {
		const struct owner_state *os = &c->s->owner[i];
		uint32_t add, del;
		int64_t due;

		if (!owner_writable(c, i))
			continue;
		owner_diff(c, i, &add, &del);
		if (!add && !del)
			continue;
		due = os->publish_tries == 0 ? 0
			: publish_due(c, os, (add & key_bit(c, cur)) != 0);
		if (due > c->now) {
			wake_at(c, due);
			if (c->s->publish_why[0] != '\0')
				note(c,
					c->s->publish_temporary ? NOTE_PASSING
								: NOTE_HOLD,
					"not published: %s",
					c->s->publish_why);
			continue;
		}
		if (is_first(c, i) && !probed_all(c, cur)) {
			first = true;
			continue;
		}
		pub.owners |= UINT64_C(1) << i;
		pub.add |= add;
		pub.remove |= del;
	}
	if (first && c->o->probe == PROBED_NOT)
		return ask_for_probe(cur, a);
	if (first)
		refuse_first(c);
	if (pub.owners == 0)
		return false;
	/* All that must be there, not only what is missing: at the provider
	 * somebody may have taken away more than the servers show yet. */
	for (size_t j = 0; j < c->s->n_keys; j++)
		if (must_be_published(&c->s->key[j]))
			pub.add |= key_bit(c, &c->s->key[j]);
	*a = pub;
	(void)snprintf(a->why, sizeof(a->why), "%s",
		!pub.remove ? "records are missing on some server"
			    : "a withdrawn record is still served");
	return true;
}

/* Law 1: the newest certificate whose key is ready goes live. */
static bool rule_promote(struct ctx *c, struct action *a)
{
	const struct state_gen *best = NULL;
	struct ready_why why;

	for (size_t i = 0; i < c->s->n_keys; i++) {
		const struct state_key *k = &c->s->key[i];
		const struct state_gen *g;

		if (k->role != KEY_CANDIDATE && k->role != KEY_NEXT)
			continue;
		g = pending_gen(c, k);
		if (g == NULL || !may_try(c, k, g))
			continue;
		if (!ready_now(c->s, c->o, c->p, k, c->now, &why)) {
			if (why.ready_ms > c->now)
				wake_at(c, why.ready_ms);
			note(c, level_of(&why), "%s", why.text);
			continue;
		}
		if (best == NULL || g->n > best->n)
			best = g;
	}
	if (best == NULL)
		return false;
	*a = act(ACT_PROMOTE, "its record is everywhere, and every cache that "
			      "could lack it has expired");
	a->gen = best->n;
	a->spki = best->spki;
	return true;
}

/* at_expiry = "promote": the operator prefers a fresh certificate over the law
 * when the live one runs out. Never the default, always an alert. */
static bool rule_expiry(struct ctx *c, struct action *a)
{
	const struct state_gen *live =
		state_gen_find(c->s, c->s->live_gen);
	char reason[STATE_WHY_MAX];
	int64_t left, life;

	if (live == NULL)
		return false;
	memcpy(reason, c->note, sizeof(reason));
	left = live->not_after_s - c->o->wall_s;
	life = live->not_after_s - live->not_before_s;
	if (left < life / 5 || left < 0)
		note(c, NOTE_URGENT,
			"the live certificate %s in %lld hours and no "
			"successor may be served yet: %s",
			left < 0 ? "has expired" : "expires",
			(long long)(left / 3600),
			reason[0] ? reason : "none was issued");
	if (!c->p->promote_at_expiry || left > 3600)
		return false;
	for (size_t i = 0; i < c->s->n_keys; i++) {
		const struct state_key *k = &c->s->key[i];
		const struct state_gen *g = pending_gen(c, k);

		if ((k->role != KEY_CANDIDATE && k->role != KEY_NEXT) ||
			g == NULL || !may_try(c, k, g) ||
			!served_everywhere(c->s, c->o, k))
			continue;
		*a = act(ACT_PROMOTE,
			"AGAINST THE LAW, by at_expiry = \"promote\": the live "
			"certificate runs out and the record of its successor "
			"is on every server, but not yet in every cache");
		a->gen = g->n;
		a->spki = k->spki;
		a->alert = true;
		return true;
	}
	return false;
}

/* Law 2: a record goes when its key has been seen served nowhere, twice. */
static bool rule_retire(struct ctx *c, struct action *a)
{
	const struct state_key *prev = state_key_role(c->s, KEY_PREVIOUS);
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);
	int64_t due = c->s->verified_first_ms + c->p->retire_after * SECOND;

	if (prev == NULL)
		return false;
	if (c->s->verified_first_ms != 0 && due > c->now) {
		wake_at(c, due);
		note(c, NOTE_WAIT,
			"the previous key's record stays until its key has "
			"been seen served nowhere a second time");
		return false;
	}
	if (!served_everywhere(c->s, c->o, cur)) {
		note(c, NOTE_HOLD, "not withdrawing the previous record: the "
			      "current one is not on every server");
		return false;
	}
	if (c->o->probe == PROBED_NOT) {
		*a = act(ACT_PROBE, "is the previous key served anywhere?");
		a->spki = cur->spki;
		return true;
	}
	if (c->o->probe != PROBED_ALL ||
		!spki_eq(&c->o->probe_expected, &cur->spki)) {
		note(c, level_of_probe(c),
			"not withdrawing the previous record: %s",
			c->o->probe_why);
		return false;
	}
	if (c->s->verified_first_ms == 0) {
		/* The engine has noted this first sight; wait for the second.
		 */
		wake_at(c, c->now + c->p->retire_after * SECOND);
		return false;
	}
	*a = act(ACT_RETIRE, "every endpoint was seen twice with the current "
			     "key and no other");
	a->spki = prev->spki;
	return true;
}

static bool rule_forget(struct ctx *c, struct action *a)
{
	for (size_t i = 0; i < c->s->n_keys; i++) {
		const struct state_key *k = &c->s->key[i];
		int64_t due;

		if (k->role != KEY_RETIRED)
			continue;
		due = forget_ms(c->s, k, c->p);
		if (c->o->claimed_elsewhere & key_bit(c, k))
			due = 0;
		if (due < 0) {
			note(c, NOTE_WAIT, "a withdrawn record is still served by "
				       "some server, or was a moment ago");
			continue;
		}
		if (due > c->now) {
			wake_at(c, due);
			note(c, NOTE_WAIT, "a withdrawn record may still be in "
				       "caches; its key is kept until then");
			continue;
		}
		*a = act(ACT_FORGET, "no cache can hold its record any more");
		a->spki = k->spki;
		return true;
	}
	return false;
}

/* The law, asserted: an action that breaks it becomes a HOLD. */
struct action lawful(const struct ctx *c, struct action a)
{
	struct ready_why why;
	const struct state_key *k;
	bool bad = false;

	if (a.kind == ACT_PROMOTE) {
		k = state_key_find(c->s, &a.spki);
		bad = k == NULL ||
			(k->role != KEY_CURRENT && c->s->live_gen != 0 &&
				!ready_now(c->s, c->o, c->p, k, c->now, &why) &&
				!(a.alert && c->p->promote_at_expiry));
	} else if (a.kind == ACT_PUBLISH) {
		for (size_t i = 0; i < c->s->n_keys; i++)
			if ((a.remove >> i & 1) != 0 &&
				c->s->key[i].role != KEY_RETIRED)
				bad = true;
	} else if (a.kind == ACT_RETIRE) {
		k = state_key_find(c->s, &a.spki);
		bad = k == NULL || k->role != KEY_PREVIOUS ||
			c->o->probe != PROBED_ALL;
	}
	if (!bad)
		return a;
	a = act(ACT_HOLD, "BUG: the decision would have broken the law; "
			  "nothing was changed; please report this state file");
	a.alert = true;
	a.until_ms = c->now + c->p->poll_max * SECOND;
	return a;
}

struct action plan_next(const struct lineage_state *s,
	const struct observation *o, const struct policy *p, int64_t now_ms)
{
	static bool (*const rules[])(struct ctx *, struct action *) = {
		rule_unfinished,
		rule_take,
		rule_same_key,
		rule_generate,
		rule_sweep,
		rule_publish,
		rule_promote,
		rule_expiry,
		rule_import,
		rule_retire,
		rule_issue,
		rule_forget,
		rule_watch,
	};
	struct ctx c = {
		.s = s,
		.o = o,
		.p = p,
		.now = now_ms,
		.wake = now_ms + p->poll_max * SECOND,
	};
	struct action a;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i](&c, &a))
			return lawful(&c, a);
	return rule_rest(&c);
}
