/*
 * Issuing ahead of certbot: when, on which key, and never too often. Both
 * points lie before certbot's own, so that it stays quiet. (certbot.md 6, 8;
 * dane.md D7, D13)
 */
#include "hook/plan_rule.h"

#include "hook/plan_ready.h"

/* More than three certificates for one set of names in a week eat up what the
 * CA allows for emergencies (Let's Encrypt: five). */
#define ISSUES_PER_WEEK 3

static bool is_short(const struct state_gen *g)
{
	return g->not_after_s - g->not_before_s < 10 * DAY_S;
}

/* Our newest certificate, when certbot's lineage lacks it. */
static const struct state_gen *to_import(const struct ctx *c)
{
	const struct state_gen *g;

	if (c->s->n_gens == 0)
		return NULL;
	g = &c->s->gen[c->s->n_gens - 1];
	return g->source == GEN_CSR && g->lineage_version == 0 ? g : NULL;
}

bool rule_import(struct ctx *c, struct action *a)
{
	const struct state_gen *g = to_import(c);

	if (g == NULL)
		return false;
	if (c->s->issue_retry_ms > c->now) {
		wake_at(c, c->s->issue_retry_ms);
		return false;
	}
	*a = act(ACT_IMPORT, "certbot must see this certificate, or it renews");
	a->gen = g->n;
	a->spki = g->spki;
	return true;
}

/* Not in certbot's hook, and no alert when certbot is just at work. */
void note_import(struct ctx *c)
{
	if (!c->p->issue_csr || to_import(c) == NULL ||
		c->s->issue_retry_ms <= c->now)
		return;
	note(c, c->s->issue_tries > 0 ? NOTE_HOLD : NOTE_WAIT,
		"certbot does not know of our certificate yet: %s",
		c->s->issue_why);
}

/* Remaining life at which we issue, and at which we stop waiting for the next
 * key: both before certbot's own point, so that it stays quiet. */
static void issue_points(const struct ctx *c, const struct state_gen *live,
	int64_t *ret_due, int64_t *ret_short)
{
	int64_t life = live->not_after_s - live->not_before_s;
	int64_t due = is_short(live) ? life * 55 / 100 : life * 40 / 100;
	int64_t shrt = is_short(live) ? life * 52 / 100 : life * 36 / 100;
	int64_t own = c->o->certbot_renews_s;

	if (own + life * 7 / 100 > due) {
		due = own + life * 7 / 100;
		shrt = own + life * 3 / 100;
	}
	if (due > life * 9 / 10)
		due = life * 9 / 10;
	if (shrt > due)
		shrt = due;
	*ret_due = due;
	*ret_short = shrt;
}

static unsigned issues_this_week(const struct ctx *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < 8; i++)
		if (c->s->issued_ms[i] != 0 &&
			c->s->issued_ms[i] > c->now - 7 * DAY_S * SECOND)
			n++;
	return n;
}

static bool issue_possible(struct ctx *c)
{
	if (!c->o->can_issue) {
		note(c, NOTE_WAIT, "certbot or its renewal configuration is not "
			       "there: renewals come by certbot's hook only");
		return false;
	}
	if (c->s->issue_retry_ms > c->now && !c->o->renew_asked) {
		wake_at(c, c->s->issue_retry_ms);
		note(c, NOTE_HOLD, "issuing failed: %s", c->s->issue_why);
		return false;
	}
	if (issues_this_week(c) >= ISSUES_PER_WEEK && !c->o->renew_asked) {
		wake_at(c, c->now + DAY_S * SECOND);
		note(c, NOTE_HOLD, "%d certificates were asked for within a week: "
			      "not asking for more (CA rate limits)",
			ISSUES_PER_WEEK);
		return false;
	}
	return true;
}

/* A certificate that waits to go live comes before a new one. */
static bool any_pending(struct ctx *c)
{
	for (size_t i = 0; i < c->s->n_keys; i++) {
		const struct state_key *k = &c->s->key[i];

		if (k->role != KEY_PREVIOUS && k->role != KEY_RETIRED &&
			pending_gen(c, k) != NULL)
			return true;
	}
	return false;
}

bool rule_issue(struct ctx *c, struct action *a)
{
	const struct state_gen *live =
		state_gen_find(c->s, c->s->live_gen);
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);
	const struct state_key *next = state_key_role(c->s, KEY_NEXT);
	int64_t due, shrt, left, age;
	bool old, by_life, ready;
	struct ready_why why;

	if (!c->p->issue_csr || live == NULL)
		return false;
	issue_points(c, live, &due, &shrt);
	left = live->not_after_s - c->o->wall_s;
	/* What waits may be held up for good. When life is nearly out, a
	 * certificate on the current key needs no DNS. */
	if (any_pending(c) &&
		left >= (live->not_after_s - live->not_before_s) / 5)
		return false;
	age = (c->now - cur->created_ms) / SECOND;
	old = c->p->key_max_age > 0 && age >= c->p->key_max_age;
	by_life = left <= due;
	if (!by_life && !old && !c->o->renew_asked) {
		wake_at(c, c->now + (left - due) * SECOND);
		if (c->p->key_max_age > 0)
			wake_at(c, c->now + (c->p->key_max_age - age) * SECOND);
		return false;
	}
	if (!issue_possible(c))
		return false;
	ready = next != NULL &&
		ready_now(c->s, c->o, c->p, next, c->now, &why);
	if (!ready && !(by_life && left <= shrt)) {
		if (next != NULL) {
			if (why.ready_ms > c->now)
				wake_at(c, why.ready_ms);
			note(c, level_of(&why),
				"a renewal waits for the next key: %s",
				why.text);
		}
		return false;
	}
	*a = act(ACT_ISSUE, "%s",
		ready ? "renewal on the next key, which is ready"
		      : "renewal on the current key: the next one is not "
			"ready and time runs short");
	a->spki = ready ? next->spki : cur->spki;
	return true;
}
