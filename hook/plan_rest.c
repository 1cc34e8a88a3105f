/*
 * Nothing to do: how long, and is that as it should be? Looks at the endpoints
 * now and then, and warns of what is coming.
 */
#include "hook/plan_rule.h"

#include "hook/plan_ready.h"

/* A second lineage at a name: its first key, too, may be served only when its
 * record is everywhere. Not yet: say when. */
static bool may_be_served(struct ctx *c, const struct state_key *cur)
{
	bool shared = false;
	struct ready_why why;

	for (size_t i = 0; i < c->s->n_owners; i++)
		if (c->o->swept && c->o->owner[i].shared)
			shared = true;
	if (!shared || ready_now(c->s, c->o, c->p, cur, c->now, &why))
		return true;
	if (why.ready_ms > c->now)
		wake_at(c, why.ready_ms);
	note(c, level_of(&why),
		"do not serve live/%s/ yet, its record is new at a name that "
		"is in use: %s",
		c->s->name, why.text);
	return false;
}

/* Is what we believe to be live really served? Once per poll_max. */
bool rule_watch(struct ctx *c, struct action *a)
{
	const struct state_key *cur = state_key_role(c->s, KEY_CURRENT);
	bool published = false;

	for (size_t i = 0; i < c->s->n_owners; i++)
		if (owner_is_published(c->s, i))
			published = true;
	if (!published)
		return false;
	if (c->o->probe == PROBED_NOT) {
		if (c->now - c->s->verified_ms < c->p->poll_max * SECOND)
			return false;
		*a = act(ACT_PROBE, "do the endpoints serve what is live?");
		a->spki = cur->spki;
		return true;
	}
	if (c->o->probe == PROBED_MIXED && !may_be_served(c, cur))
		return false;
	if (c->o->probe != PROBED_ALL)
		note(c, level_of_probe(c), "%s", c->o->probe_why);
	return false;
}

/* While a record is on its way: a quarter of the TTL, at least every
 * poll_max. */
static void poll_while_waiting(struct ctx *c)
{
	int64_t poll = c->p->poll_max * SECOND;

	for (size_t i = 0; i < c->s->n_owners; i++) {
		int64_t q = (int64_t)ttl_history_max_at(
				    &c->s->owner[i].served, c->now) *
			SECOND / 4;

		if (q < SECOND)
			q = SECOND;
		if (q < poll)
			poll = q;
	}
	for (size_t i = 0; i < c->s->n_keys; i++) {
		const struct state_key *k = &c->s->key[i];
		int64_t at = plan_ready_ms(c->s, k, c->p);

		if (k->role == KEY_RETIRED)
			continue;
		if (at < 0 || at > c->now)
			wake_at(c, c->now + poll);
		if (at > c->now)
			wake_at(c, at);
	}
}

/* Three days, or a quarter of the validity where that is less: time to mend a
 * signer before every sender defers (dane.md S22). */
static void warn_of_expiry(struct ctx *c, size_t i)
{
	int64_t validity = 0, left;
	const char *server = "";

	left = rrsig_left_s(
		&c->o->owner[i], c->o->wall_s, &validity, &server);
	if (left == INT64_MAX || left > validity / 4 || left > 3 * DAY_S)
		return;
	note(c, NOTE_HOLD,
		"%s: the signature at server %s expires in %lld hours: the "
		"zone is not signed anew; all mail from DANE senders stops "
		"then",
		c->s->owner[i].owner, server, (long long)(left / 3600));
}

/* Nothing else to say: is the next key on its way? */
static void ageing(struct ctx *c)
{
	const struct state_key *next = state_key_role(c->s, KEY_NEXT);
	struct ready_why why;

	if (next == NULL || !c->o->swept ||
		ready_now(c->s, c->o, c->p, next, c->now, &why))
		return;
	note(c, NOTE_WAIT, "the next key is not ready yet: %s", why.text);
}

struct action rule_rest(struct ctx *c)
{
	struct action a;
	char who[400], why[400];

	for (size_t i = 0; c->o->swept && i < c->s->n_owners; i++)
		if (!owner_all_answered(&c->o->owner[i], who, why))
			note(c, NOTE_HOLD, "%s: %s %s", c->s->owner[i].owner, who,
				why);
	for (size_t i = 0; c->o->swept && i < c->s->n_owners; i++)
		warn_of_expiry(c, i);
	note_import(c);
	poll_while_waiting(c);
	ageing(c);
	a = act(c->level > NOTE_WAIT ? ACT_HOLD : ACT_WAIT, "%s",
		c->note[0] ? c->note : "all is as it should be");
	a.alert = c->level > NOTE_WAIT;
	a.outage = c->level == NOTE_OUTAGE;
	a.temporary = c->level == NOTE_PASSING;
	a.until_ms = c->wake > c->now ? c->wake : c->now + SECOND;
	return a;
}
