/*
 * When is a key ready: the exact rule (design.md; dane.md "RULE TO IMPLEMENT";
 * RFC 7583 3.2.1, RFC 7671 8.1).
 *
 *   now >= max( L + wait_ttls * TTL_max, max over bad versions (last + TTL) )
 *   and the sweep of this moment is all good, and the validating look-up shows
 *   the record secure, at every owner name.
 */
#include "hook/plan_ready.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000)

/* Another address of the same name server gave a good answer. */
static bool sibling_tested(const struct obs_owner *oo, size_t i)
{
	for (size_t j = 0; j < oo->n; j++)
		if (oo->answer[j].verdict == OBS_GOOD &&
			strcmp(oo->answer[j].ns, oo->answer[i].ns) == 0)
			return true;
	return false;
}

bool owner_all_answered(const struct obs_owner *oo, char *who, char *why)
{
	size_t good = 0;

	for (size_t i = 0; i < oo->n; i++) {
		const struct obs_answer *a = &oo->answer[i];

		if (a->verdict == OBS_GOOD)
			good++;
		if (a->verdict == OBS_GOOD || a->verdict == OBS_IGNORED ||
			(a->verdict == OBS_UNTESTABLE && sibling_tested(oo, i)))
			continue;
		if (who != NULL)
			(void)snprintf(who, 400, "server %s", a->server);
		if (why != NULL)
			(void)snprintf(why, 400, "%s",
				a->verdict == OBS_UNTESTABLE
					? "cannot be tested from this host (no "
					  "route) and has no other address"
					: a->why);
		return false;
	}
	if (good > 0)
		return true;
	if (who != NULL)
		(void)snprintf(who, 400, "no server");
	if (why != NULL)
		(void)snprintf(why, 400, "could be asked: %s", oo->why);
	return false;
}

bool owner_is_published(const struct lineage_state *s, size_t owner)
{
	const struct state_key *cur = state_key_role(s, KEY_CURRENT);

	return s->owner[owner].publish_ms != 0 ||
		(cur != NULL && cur->at[owner].rec != REC_HIDDEN);
}

static bool owner_serves(const struct obs_owner *oo, size_t key)
{
	if (!owner_all_answered(oo, NULL, NULL))
		return false;
	for (size_t i = 0; i < oo->n; i++)
		if (oo->answer[i].verdict == OBS_GOOD &&
			(oo->answer[i].has >> key & 1) == 0)
			return false;
	return true;
}

bool served_everywhere(const struct lineage_state *s,
	const struct observation *o, const struct state_key *k)
{
	size_t key = (size_t)(k - s->key);

	if (!o->swept)
		return false;
	for (size_t i = 0; i < s->n_owners; i++)
		if (!owner_serves(&o->owner[i], key))
			return false;
	return s->n_owners > 0;
}

int64_t ready_at_owner(const struct key_at *at, const struct policy *p)
{
	int64_t ttl, ready, gone;

	if (at->since_ms == 0)
		return -1;
	ttl = ttl_history_max_at(&at->bad, at->since_ms);
	if (ttl < p->ttl_floor)
		ttl = p->ttl_floor;
	ready = at->since_ms + p->wait_ttls * ttl * SECOND;
	if (ready < at->since_ms + p->min_wait * SECOND)
		ready = at->since_ms + p->min_wait * SECOND;
	gone = ttl_history_gone_ms(&at->bad);
	return ready > gone ? ready : gone;
}

int64_t plan_ready_ms(const struct lineage_state *s, const struct state_key *k,
	const struct policy *p)
{
	int64_t max = 0;

	for (size_t i = 0; i < s->n_owners; i++) {
		int64_t at = ready_at_owner(&k->at[i], p);

		if (at < 0)
			return -1;
		if (at > max)
			max = at;
	}
	return s->n_owners > 0 ? max : -1;
}

static bool not_ready(struct ready_why *w, bool blocked, int64_t ready_ms,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static bool not_ready(struct ready_why *w, bool blocked, int64_t ready_ms,
	const char *fmt, ...)
{
	va_list ap;

	w->blocked = blocked;
	w->passing = false;
	w->ready_ms = ready_ms;
	va_start(ap, fmt);
	(void)vsnprintf(w->text, sizeof(w->text), fmt, ap);
	va_end(ap);
	return false;
}

/* The first server that lacks the record; "" when none. */
static const char *lacking_server(const struct obs_owner *oo, size_t key)
{
	for (size_t i = 0; i < oo->n; i++)
		if (oo->answer[i].verdict == OBS_GOOD &&
			(oo->answer[i].has >> key & 1) == 0)
			return oo->answer[i].server;
	return "";
}

int64_t rrsig_left_s(const struct obs_owner *oo, int64_t wall_s,
	int64_t *ret_validity, const char **ret_server)
{
	int64_t min = INT64_MAX;

	for (size_t i = 0; i < oo->n; i++) {
		const struct obs_answer *a = &oo->answer[i];

		if (a->verdict != OBS_GOOD || a->rrsig_expiration_s == 0 ||
			a->rrsig_expiration_s - wall_s >= min)
			continue;
		min = a->rrsig_expiration_s - wall_s;
		*ret_validity = a->rrsig_expiration_s - a->rrsig_inception_s;
		*ret_server = a->server;
	}
	return min;
}

/* A zone about to go bogus is no place for a switch: an hour, or a tenth of
 * the validity where that is less. */
static bool signatures_last(const struct obs_owner *oo, int64_t wall_s,
	const char **ret_server)
{
	int64_t validity = 0;
	int64_t left = rrsig_left_s(oo, wall_s, &validity, ret_server);

	return left > (validity / 10 < 3600 ? validity / 10 : 3600);
}

static bool ready_at_this_owner(const struct lineage_state *s,
	const struct obs_owner *oo, const struct policy *p, size_t key,
	size_t i, int64_t now_ms, int64_t wall_ms, struct ready_why *w)
{
	const char *name = s->owner[i].owner;
	bool insecure_ok = oo->security == OBS_INSECURE && p->proceed_insecure;
	char who[400], why[400];
	const char *server = "";
	char when[CLOCK_TEXT_MAX];
	int64_t at;

	if (oo->security != OBS_SECURE && !insecure_ok) {
		(void)not_ready(w, true, -1, "%s: %s", name, oo->why);
		w->passing = oo->security == OBS_NO_ANSWER;
		return false;
	}
	if (!owner_all_answered(oo, who, why))
		return not_ready(w, true, -1, "%s: %s %s", name, who, why);
	if (!owner_serves(oo, key))
		return not_ready(w, false, -1,
			"%s: server %s does not serve the record yet", name,
			lacking_server(oo, key));
	if (oo->agility_bad >> key & 1)
		return not_ready(w, true, -1,
			"%s: a foreign record with a stronger digest would "
			"hide this key (RFC 7671 section 9)",
			name);
	if (!signatures_last(oo, wall_ms / 1000, &server))
		return not_ready(w, true, -1,
			"%s: the signature at server %s is about to expire; "
			"sign the zone anew",
			name, server);
	at = ready_at_owner(&s->key[key].at[i], p);
	if (at < 0)
		return not_ready(w, false, -1,
			"%s: the servers have not agreed for one whole sweep",
			name);
	if (at > now_ms)
		return not_ready(w, false, at,
			"%s: every server has the record; caches may lack it "
			"until %s",
			name, clock_utc(at - now_ms + wall_ms + 999, when));
	if (!insecure_ok && (oo->validated_has >> key & 1) == 0)
		return not_ready(w, false, -1,
			"%s: the validating look-up does not show the record",
			name);
	return true;
}

bool ready_now(const struct lineage_state *s, const struct observation *o,
	const struct policy *p, const struct state_key *k, int64_t now_ms,
	struct ready_why *ret)
{
	size_t key = (size_t)(k - s->key);
	struct ready_why w, latest = { .ready_ms = -2 };

	ret->text[0] = '\0';
	if (!o->swept || s->n_owners == 0)
		return not_ready(ret, false, -1, "not swept yet");
	if (k->role == KEY_RETIRED || !k->have_file)
		return not_ready(ret, true, -1, "its key is not at hand");
	for (size_t i = 0; i < s->n_owners; i++) {
		if (ready_at_this_owner(
			    s, &o->owner[i], p, key, i, now_ms, o->wall_ms, &w))
			continue;
		/* Blocked beats unknown beats the latest known instant. */
		if (w.blocked || w.ready_ms < 0) {
			*ret = w;
			if (w.blocked)
				return false;
			latest = w;
		} else if (latest.ready_ms != -1 &&
			w.ready_ms > latest.ready_ms) {
			latest = w;
		}
	}
	if (latest.ready_ms == -2) {
		ret->blocked = false;
		ret->ready_ms = now_ms;
		return true;
	}
	*ret = latest;
	return false;
}

/* Some record is there that senders hold us to. */
static bool in_force(const struct lineage_state *s,
	const struct observation *o, size_t owner)
{
	for (size_t j = 0; j < s->n_keys; j++)
		if (s->key[j].at[owner].rec != REC_HIDDEN)
			return true;
	return o->owner[owner].shared;
}

bool can_be_missed(const struct lineage_state *s, const struct observation *o,
	const struct policy *p, const struct state_key *k, int64_t now_ms,
	char why[STATE_WHY_MAX])
{
	size_t key = (size_t)(k - s->key);

	for (size_t i = 0; o->swept && i < s->n_owners; i++) {
		const struct obs_owner *oo = &o->owner[i];
		const char *name = s->owner[i].owner;
		const char *server = lacking_server(oo, key);

		if (!in_force(s, o, i))
			continue;
		if (server[0] != '\0')
			(void)snprintf(why, STATE_WHY_MAX,
				"%s: server %s lacks its record", name, server);
		else if (oo->agility_bad >> key & 1)
			(void)snprintf(why, STATE_WHY_MAX,
				"%s: a foreign record with a stronger digest "
				"hides its record (RFC 7671 section 9)",
				name);
		else if (ready_at_owner(&k->at[i], p) > now_ms)
			(void)snprintf(why, STATE_WHY_MAX,
				"%s: caches may lack its record still", name);
		else
			continue;
		return true;
	}
	return false;
}

int64_t forget_ms(const struct lineage_state *s, const struct state_key *k,
	const struct policy *p)
{
	int64_t max = 0;

	for (size_t i = 0; i < s->n_owners; i++) {
		int64_t gone = k->at[i].gone_ms;
		int64_t ttl;

		if (gone == 0)
			return -1;
		/* While RETIRED, `bad` holds the versions WITH the record. */
		ttl = ttl_history_max_at(&k->at[i].bad, gone);
		if (ttl < p->ttl_floor)
			ttl = p->ttl_floor;
		if (gone + ttl * SECOND > max)
			max = gone + ttl * SECOND;
	}
	return max;
}
