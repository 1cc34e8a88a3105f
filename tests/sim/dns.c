/*
 * Who serves what, and the law. A version that lacks a key that is being served
 * is a violation for as long as any cache can hold it, unless the world broke
 * it: an administrator who deletes the record of a live key, or a version that
 * came and went between two sweeps, cannot be helped by any tool.
 */
#include "world.h"

#include <string.h>

/* What a sender can match in this version (RFC 7671 section 9). */
static bool matches(const struct version *v, int id)
{
	if (v->strong && v->strong_for != id)
		return false;
	return in_set(&v->set, id);
}

static bool excused(
	const struct world *w, const struct served *sv, int64_t since)
{
	bool heard = (w->heard[sv->v.id] & HEARD) != 0;

	if (sv->v.by_world && (sv->from >= since || !heard))
		return true;
	/* a TTL that came and went between two sweeps */
	return !heard && sv->v.ttl_by_world && !w->heard[sv->v.ttl_from];
}

static void check(struct world *w, size_t s, size_t o, const struct served *sv,
	int id, int64_t since)
{
	int64_t until = sv->until;

	if (until != FOREVER)
		until += (int64_t)sv->v.ttl * SEC;
	if (!sv->v.exists || matches(&sv->v, id) || until <= w->t ||
		excused(w, sv, since))
		return;
	violate(w,
		"law 1: key %d is served, but server %zu gave version %u of "
		"owner %zu without it until %.1f s ago with TTL %u%s",
		id, s, sv->v.id, o,
		sv->until == FOREVER ? 0.0 : (double)(w->t - sv->until) / 1000,
		sv->v.ttl, sv->v.by_world ? " (made by the world)" : "");
}

static void check_key(struct world *w, int id, int64_t since)
{
	for (size_t s = 0; s < w->n_servers; s++) {
		struct server *sv = &w->server[s];

		for (size_t o = 0; o < w->n_owners; o++) {
			check(w, s, o, &sv->now[o], id, since);
			for (size_t i = 0; i < sv->n_past[o]; i++)
				check(w, s, o, &sv->past[o][i], id, since);
		}
	}
}

/* ---- what serves ---- */

static bool slow_now(const struct world *w, const struct endpoint *e)
{
	return e->slow >= 0 && e->slow_until > w->t;
}

bool is_served(const struct world *w, int id)
{
	for (size_t i = 0; i < w->n_endpoints; i++)
		if (w->endpoint[i].id == id ||
			(slow_now(w, &w->endpoint[i]) &&
				w->endpoint[i].slow == id))
			return true;
	return false;
}

/* New connections see key id from now on; a process that was busy goes on with
 * the old one for a while. */
void serve_key(struct world *w, size_t endpoint, int id)
{
	struct endpoint *e = &w->endpoint[endpoint];
	int64_t since = w->t;

	if (e->id == id)
		return;
	/* What the world broke while it was rolled back, or while the
	 * endpoint was stuck with another key, is not our doing. */
	if (id == w->live_id && w->live_since < since)
		since = w->live_since;
	if (id == e->slow && w->t - e->since < HOUR && e->slow_since < since)
		since = e->slow_since;
	e->slow = e->id;
	e->slow_since = e->since;
	e->slow_until = w->t + rnd_range(w, 0, w->hold);
	if (!in_set(&w->files, e->slow))
		e->slow = -1; /* before our time: restarted, not reloaded */
	e->id = id;
	e->since = since;
	say(w, "endpoint %zu serves key %d", endpoint, id);
	check_key(w, id, since);
}

/* ---- servers ---- */

static void close_served(struct world *w, struct server *s, size_t o)
{
	struct served sv = s->now[o];
	size_t n = 0;

	for (size_t i = 0; i < s->n_past[o]; i++) {
		const struct served *p = &s->past[o][i];

		/* a day longer than needed: for the messages */
		if (p->until + (int64_t)p->v.ttl * SEC + DAY > w->t)
			s->past[o][n++] = *p;
	}
	s->n_past[o] = n;
	if (n == s->cap_past[o]) {
		s->cap_past[o] = n ? 2 * n : 8;
		s->past[o] = reallocarray(
			s->past[o], s->cap_past[o], sizeof(*s->past[o]));
		if (s->past[o] == NULL)
			abort();
	}
	sv.until = w->t;
	s->past[o][s->n_past[o]++] = sv;
}

static void check_version(struct world *w, size_t s, size_t o)
{
	for (size_t i = 0; i < w->n_endpoints; i++) {
		const struct endpoint *e = &w->endpoint[i];

		check(w, s, o, &w->server[s].now[o], e->id, e->since);
		if (slow_now(w, e))
			check(w, s, o, &w->server[s].now[o], e->slow,
				e->slow_since);
	}
}

void server_takes(
	struct world *w, size_t server, size_t owner, struct version v)
{
	struct server *s = &w->server[server];

	if (s->mood != MOOD_DEAD)
		close_served(w, s, owner);
	s->now[owner] =
		(struct served){ .v = v, .from = w->t, .until = FOREVER };
	say(w, "server %zu has version %u of owner %zu, TTL %u", server, v.id,
		owner, v.ttl);
	if (s->mood != MOOD_DEAD)
		check_version(w, server, owner);
	else
		s->now[owner].until = w->t; /* nobody hears it */
}

void server_pull(struct world *w, size_t server, size_t owner)
{
	const struct server *s = &w->server[server];

	if (s->mood != MOOD_OK || s->now[owner].v.id == w->zone[owner].id)
		return;
	server_takes(w, server, owner, w->zone[owner]);
}

void server_mood(struct world *w, size_t server, enum mood m)
{
	struct server *s = &w->server[server];
	enum mood was = s->mood;

	if (was == m)
		return;
	for (size_t o = 0; o < w->n_owners; o++) {
		if (m == MOOD_DEAD) {
			close_served(w, s, o);
			s->now[o].until = w->t;
		} else if (was == MOOD_DEAD) {
			/* it comes back with what it has: the same version,
			 * by nobody's fault */
			s->now[o].from = w->t;
			s->now[o].until = FOREVER;
		}
	}
	s->mood = m;
	say(w, "server %zu: mood %d", server, (int)m);
	for (size_t o = 0; was == MOOD_DEAD && o < w->n_owners; o++)
		check_version(w, server, o);
}

/* ---- the primary ---- */

void zone_change(struct world *w, size_t owner, struct version v)
{
	size_t n = sizeof(w->old[0]) / sizeof(w->old[0][0]);

	v.id = w->n_versions++;
	if (v.ttl != w->zone[owner].ttl || v.id < OWNERS) {
		v.ttl_from = v.id;
		v.ttl_by_world = v.by_world;
	} else {
		v.ttl_from = w->zone[owner].ttl_from;
		v.ttl_by_world = w->zone[owner].ttl_by_world;
	}
	if ((v.id & 1023) == 0) {
		w->heard = reallocarray(w->heard, v.id + 1024, 1);
		if (w->heard == NULL)
			abort();
	}
	w->heard[v.id] = 0;
	w->old[owner][w->n_old[owner]++ % n] = w->zone[owner];
	w->zone[owner] = v;
	say(w, "owner %zu: version %u serial %u TTL %u%s%s", owner, v.id,
		v.serial, v.ttl, v.exists ? "" : " empty",
		v.by_world ? " by the world" : "");
	for (size_t i = 0; i < w->n_servers; i++)
		schedule(w, (struct event){
				    .at = w->t + w->sign_delay +
					  rnd_range(w, 0, w->server[i].delay),
				    .kind = EV_PULL,
				    .owner = owner,
				    .server = i,
			    });
}

/* An update of ours: add and remove, everything else as it is. */
void zone_update(struct world *w, size_t owner, const struct idset *add,
	const struct idset *remove)
{
	struct version v = w->zone[owner];
	bool broken = false;

	for (size_t i = 0; i < w->n_endpoints; i++)
		if (v.exists && !matches(&v, w->endpoint[i].id))
			broken = true;
	v.by_world = v.by_world && (broken || v.strong);
	for (int id = 0; id < w->n_keys; id++) {
		if (in_set(remove, id) && in_set(&v.set, id)) {
			drop(&v.set, id);
			if (is_served(w, id))
				violate(w,
					"law 2: the record of key %d is "
					"withdrawn while it is served",
					id);
		}
		if (in_set(add, id)) {
			put(&v.set, id);
			if (!in_set(&w->files, id))
				violate(w,
					"a record is published whose key %d "
					"we do not have",
					id);
		}
	}
	if (!v.exists)
		v.ttl = 3600;
	v.exists = true;
	v.serial++;
	zone_change(w, owner, v);
}

/* A key that is forgotten must be in no cache. */
void check_forgotten(struct world *w, int id)
{
	if (is_served(w, id))
		violate(w, "key %d is forgotten while it is served", id);
	for (size_t s = 0; s < w->n_servers; s++) {
		struct server *sv = &w->server[s];

		for (size_t o = 0; o < w->n_owners; o++) {
			for (size_t i = 0; i <= sv->n_past[o]; i++) {
				const struct served *p =
					i < sv->n_past[o] ? &sv->past[o][i]
							  : &sv->now[o];

				if (!in_set(&p->v.set, id) ||
					(p->until != FOREVER &&
						p->until + (int64_t)p->v.ttl *
									SEC <=
							w->t) ||
					excused(w, p, FOREVER))
					continue;
				violate(w,
					"key %d is forgotten, but caches may "
					"hold version %u of server %zu",
					id, p->v.id, s);
				return;
			}
		}
	}
}
