/*
 * Folds one sweep into the state: who agrees since when, which versions
 * without a record were served until when and with what TTL. Called once per
 * sweep, with the trusted time at its end, so that a run never starts earlier
 * than it was seen.
 *
 * A server that could not be heard counts as one that may be serving an old
 * version: its TTL is taken to be the largest that was served lately.
 */
#include "hook/plan.h"

#include "hook/plan_ready.h"

#include <string.h>

#define SECOND INT64_C(1000)

/* The TTL that a server we cannot hear may be serving. */
static uint32_t doubt_ttl(
	const struct owner_state *os, const struct policy *p, int64_t now_ms)
{
	uint32_t ttl = ttl_history_max_at(&os->served, now_ms);

	return ttl != 0 ? ttl : (uint32_t)p->assumed_prior_ttl;
}

/* Same server, older serial (RFC 1982): something was undone meanwhile. */
static bool serial_went_back(struct owner_state *os, const struct obs_answer *a)
{
	for (size_t i = 0; i < os->n_serials; i++) {
		struct serial_seen *ss = &os->serial[i];
		bool back;

		if (strcmp(ss->server, a->server) != 0)
			continue;
		back = a->serial != ss->serial &&
			(uint32_t)(a->serial - ss->serial) > UINT32_C(1) << 31;
		ss->serial = a->serial;
		return back;
	}
	if (os->n_serials < STATE_SERIALS_MAX) {
		struct serial_seen *ss = &os->serial[os->n_serials++];

		memcpy(ss->server, a->server, sizeof(ss->server));
		ss->serial = a->serial;
	}
	return false;
}

/* After a gap without sweeps the run goes on only if nothing went back. */
static bool gap_breaks_run(struct owner_state *os, const struct obs_owner *oo,
	const struct policy *p, int64_t now_ms)
{
	int64_t limit = (int64_t)ttl_history_max_at(&os->served, now_ms) *
		SECOND / 2;
	bool back = false;

	if (limit < p->poll_max * SECOND)
		limit = p->poll_max * SECOND;
	for (size_t i = 0; i < oo->n; i++)
		if (oo->answer[i].verdict == OBS_GOOD &&
			oo->answer[i].have_serial &&
			serial_went_back(os, &oo->answer[i]))
			back = true;
	return back && os->swept_ms != 0 && now_ms - os->swept_ms > limit;
}

/* What was served at the sweep before this one (since_ms) may have been served
 * until this one: between two sweeps nobody looked. One ms less than now tells
 * it from what is seen now. */
static void served_until_now(
	struct ttl_history *h, int64_t since_ms, int64_t now_ms)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->e[i].last_ms >= since_ms &&
			h->e[i].last_ms < now_ms - 1)
			h->e[i].last_ms = now_ms - 1;
}

static void merge(
	struct ttl_history *to, const struct ttl_history *from)
{
	for (size_t i = 0; i < from->n; i++)
		ttl_history_add(to, from->e[i].ttl, from->e[i].last_ms);
}

/* What the answers say of one key. */
struct seen {
	bool all_ok;  /* every server that counts answered */
	bool present; /* some answer has the record */
	bool lacking; /* some answer lacks it */
};

static struct seen see(const struct obs_owner *oo, size_t key)
{
	struct seen v = { .all_ok = owner_all_answered(oo, NULL, NULL) };

	for (size_t i = 0; i < oo->n; i++) {
		if (oo->answer[i].verdict != OBS_GOOD)
			continue;
		if (oo->answer[i].has >> key & 1)
			v.present = true;
		else
			v.lacking = true;
	}
	return v;
}

/* A withdrawn record: since when is it gone everywhere? `bad` now remembers
 * the versions WITH it, because those are what caches must lose. While
 * something that we published is under way (the record may have been missing
 * and put back just before it was withdrawn), servers may have it yet. */
static void observe_retired(struct key_at *at, const struct obs_owner *oo,
	size_t key, struct seen v, int64_t now_ms, uint32_t unheard,
	bool under_way)
{
	for (size_t i = 0; i < oo->n; i++)
		if (oo->answer[i].verdict == OBS_GOOD &&
			(oo->answer[i].has >> key & 1) != 0)
			ttl_history_add(&at->bad, oo->answer[i].ttl, now_ms);
	if (!v.all_ok || (under_way && at->gone_ms == 0))
		ttl_history_add(&at->bad, unheard, now_ms);
	if (!v.all_ok || v.present)
		at->gone_ms = 0;
	else if (at->gone_ms == 0 && !under_way)
		at->gone_ms = now_ms;
	at->rec = v.present || !v.all_ok ? REC_UNRETENTIVE : REC_HIDDEN;
}

/* Absent from this answer; or present, but hidden from senders by a foreign
 * record with a stronger digest (RFC 7671 9). */
static bool is_bad(
	const struct obs_owner *oo, const struct obs_answer *a, size_t key)
{
	return (a->has >> key & 1) == 0 || (oo->agility_bad >> key & 1) != 0;
}

/* Between the last two sweeps somebody may have changed the TTL before the
 * record came: then a version without it had the TTL that is seen now, and no
 * sweep saw it. */
static void lived_unseen(
	struct key_at *at, const struct obs_owner *oo, int64_t now_ms)
{
	for (size_t i = 0; i < oo->n; i++)
		if (oo->answer[i].verdict == OBS_GOOD)
			ttl_history_add(&at->bad, oo->answer[i].ttl, now_ms - 1);
}

static void observe_wanted(struct key_at *at, const struct obs_owner *oo,
	size_t key, struct seen v, const struct policy *p, int64_t now_ms,
	uint32_t unheard, bool restart)
{
	int64_t ready;

	for (size_t i = 0; i < oo->n; i++)
		if (oo->answer[i].verdict == OBS_GOOD &&
			is_bad(oo, &oo->answer[i], key))
			ttl_history_add(&at->bad, oo->answer[i].ttl, now_ms);
	if (!v.all_ok || restart)
		ttl_history_add(&at->bad, unheard, now_ms);
	if (!v.all_ok || v.lacking || (oo->agility_bad >> key & 1) != 0)
		at->since_ms = 0;
	else if (at->since_ms == 0 || restart) {
		lived_unseen(at, oo, now_ms);
		at->since_ms = now_ms;
	}
	ttl_history_prune(
		&at->bad, at->since_ms != 0 ? at->since_ms : now_ms);
	ready = ready_at_owner(at, p);
	if (ready >= 0 && ready <= now_ms)
		at->rec = REC_OMNIPRESENT;
	else
		at->rec = v.present || at->rec != REC_HIDDEN ? REC_RUMOURED
							     : REC_HIDDEN;
	if (v.all_ok && !v.present)
		at->rec = REC_HIDDEN;
}

static void observe_owner(struct lineage_state *s, const struct obs_owner *oo,
	const struct policy *p, size_t i, int64_t now_ms)
{
	struct owner_state *os = &s->owner[i];
	bool restart = gap_breaks_run(os, oo, p, now_ms);
	bool all_ok = owner_all_answered(oo, NULL, NULL);
	bool settled = true, under_way;
	uint32_t ttl;

	if (os->first_ms == 0) {
		/* Adoption: what was served before is not known. */
		os->first_ms = now_ms;
		ttl_history_add(&os->served, (uint32_t)p->assumed_prior_ttl,
			now_ms - 1);
	}
	served_until_now(&os->served,
		os->publish_tries > 0 && os->publish_ms < os->swept_ms
			? os->publish_ms
			: os->swept_ms,
		now_ms);
	ttl = doubt_ttl(os, p, now_ms);
	under_way = os->publish_ms != 0 &&
		now_ms - os->publish_ms < (int64_t)ttl * SECOND;
	for (size_t j = 0; j < s->n_keys; j++) {
		struct state_key *k = &s->key[j];
		struct key_at *at = &k->at[i];
		struct seen v = see(oo, j);

		if (at->rec == REC_HIDDEN && k->role != KEY_RETIRED)
			/* Never seen here: all earlier versions lack it. */
			merge(&at->bad, &os->served);
		if (at->since_ms == 0 && at->gone_ms == 0)
			served_until_now(&at->bad, os->swept_ms, now_ms);
		if (k->role == KEY_RETIRED) {
			observe_retired(at, oo, j, v, now_ms, ttl, under_way);
			/* Shown still: no agreement, or it would be withdrawn
			 * again and again without a pause. */
			if (v.present)
				settled = false;
			continue;
		}
		observe_wanted(
			at, oo, j, v, p, now_ms, ttl, restart);
		if (v.lacking || !v.present)
			settled = false;
	}
	for (size_t n = 0; n < oo->n; n++)
		if (oo->answer[n].verdict == OBS_GOOD)
			ttl_history_add(
				&os->served, oo->answer[n].ttl, now_ms);
	/* A silent server may go on serving whatever it may have served. */
	if (!all_ok)
		ttl_history_add(&os->served, ttl, now_ms);
	ttl_history_prune(&os->served, now_ms);
	os->swept_ms = now_ms;
	/* Ours is there: published, even if we were killed before saying so. */
	for (size_t j = 0; j < s->n_keys && os->publish_ms == 0; j++)
		if (s->key[j].role != KEY_RETIRED && see(oo, j).present)
			os->publish_ms = now_ms;
	if (settled)
		os->publish_tries = 0;
}

void plan_observe(struct lineage_state *s, const struct observation *o,
	const struct policy *p, int64_t now_ms)
{
	if (!o->swept)
		return;
	for (size_t i = 0; i < s->n_owners; i++)
		observe_owner(s, &o->owner[i], p, i, now_ms);
}

void plan_doubt(
	struct lineage_state *s, const struct policy *p, int64_t now_ms)
{
	for (size_t i = 0; i < s->n_owners; i++) {
		struct owner_state *os = &s->owner[i];
		uint32_t ttl = doubt_ttl(os, p, now_ms), last;

		/* What the last sweep saw may have been served until now. */
		served_until_now(&os->served, os->swept_ms, now_ms);
		last = ttl_history_max_at(&os->served, now_ms);
		if (ttl < last)
			ttl = last;
		/* As if swept now, with a doubtful answer: the next sweep takes
		 * that version to have been served until then. Keys that come
		 * later know of it from `served`. */
		if (os->swept_ms != 0) {
			os->swept_ms = now_ms;
			ttl_history_add(&os->served, ttl, now_ms);
		}
		for (size_t j = 0; j < s->n_keys; j++) {
			struct key_at *at = &s->key[j].at[i];

			at->since_ms = at->gone_ms = 0;
			if (at->rec == REC_OMNIPRESENT)
				at->rec = REC_RUMOURED;
			ttl_history_add(&at->bad, ttl, now_ms);
		}
	}
}

bool plan_missing(struct lineage_state *s, const struct policy *p,
	size_t owner, uint32_t keys, int64_t now_ms)
{
	uint32_t ttl = doubt_ttl(&s->owner[owner], p, now_ms);
	bool begun = false;

	for (size_t i = 0; i < s->n_keys; i++) {
		struct key_at *at = &s->key[i].at[owner];

		if ((keys >> i & 1) == 0 || s->key[i].role == KEY_RETIRED ||
			at->since_ms == 0)
			continue;
		begun = true;
		at->since_ms = 0;
		if (at->rec == REC_OMNIPRESENT)
			at->rec = REC_RUMOURED;
		ttl_history_add(&at->bad, ttl, now_ms);
	}
	return begun;
}

void plan_set_role(struct lineage_state *s, struct state_key *k,
	enum key_role role, int64_t now_ms)
{
	bool was_retired = k->role == KEY_RETIRED;

	k->role = role;
	if (role == KEY_RETIRED)
		k->retired_ms = now_ms;
	if (was_retired == (role == KEY_RETIRED))
		return;
	for (size_t i = 0; i < s->n_owners; i++) {
		struct key_at *at = &k->at[i];

		at->since_ms = at->gone_ms = 0;
		at->rec = role == KEY_RETIRED ? REC_UNRETENTIVE : REC_HIDDEN;
		at->bad = s->owner[i].served;
	}
}

void plan_supersede(
	struct lineage_state *s, struct state_key *k, int64_t now_ms)
{
	bool seen = k->live_ms != 0 || k->role == KEY_CURRENT;

	/* Published since it is here: on its way, though nobody shows it. */
	for (size_t i = 0; i < s->n_owners; i++)
		if (k->at[i].rec != REC_HIDDEN ||
			s->owner[i].publish_ms >= k->created_ms)
			seen = true;
	plan_set_role(s, k, seen ? KEY_PREVIOUS : KEY_RETIRED, now_ms);
}
