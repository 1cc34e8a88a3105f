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

/* How long caches keep it: some resolvers have a floor. */
static int64_t cached_ms(const struct world *w, const struct version *v)
{
	return (v->ttl > w->floor_s ? (int64_t)v->ttl : w->floor_s) * SEC;
}

static bool excused(const struct world *w, const struct served *sv, int id,
	int64_t since)
{
	unsigned line = 2U * w->line_of_key[id];
	bool heard = (w->heard[sv->v.id] >> line & HEARD) != 0;
	/* a provider that did later what it had refused, to a set that the
	 * world had taken the record from: nobody could prevent it */
	bool late = sv->v.late && in_set(&sv->v.taken, id);

	if ((sv->v.by_world || late) && (sv->from >= since || !heard))
		return true;
	/* the world took the record away, and something was changed after
	 * that by another lineage, before this one looked */
	if (in_set(&sv->v.taken, id) && !heard)
		return true;
	/* a TTL that came and went between two sweeps */
	return !heard && sv->v.ttl_by_world &&
	       (w->heard[sv->v.ttl_from] >> line & 3) == 0;
}

static void check(struct world *w, size_t s, size_t o, const struct served *sv,
	int id, int64_t since)
{
	int64_t until = sv->until;

	if (until != FOREVER)
		until += cached_ms(w, &sv->v);
	if (!sv->v.exists || matches(&sv->v, id) || until <= w->t ||
		in_set(&w->forced, id) || excused(w, sv, id, since))
		return;
	violate(w,
		"law 1: key %d is served, but server %zu gave version %u of "
		"name %zu without it until %.1f s ago with TTL %u%s",
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
void serve_key(struct world *w, size_t endpoint, int id, int cert)
{
	struct endpoint *e = &w->endpoint[endpoint];
	const struct line *l = &w->line[e->line];
	int64_t since = w->t;

	e->cert = cert;
	if (e->id == id)
		return;
	/* What the world broke while it was rolled back, or while the
	 * endpoint was stuck with another key, is not our doing. */
	if (id == l->live_id && l->live_since < since)
		since = l->live_since;
	/* Nor what it broke between a switch that was killed before its reload
	 * and a reload by somebody else. */
	if (id == l->linked_id && l->linked_since < since)
		since = l->linked_since;
	else if (id == l->was_linked_id && l->was_linked_since < since)
		since = l->was_linked_since;
	if (id == e->slow && w->t - e->since < HOUR && e->slow_since < since)
		since = e->slow_since;
	e->slow = e->id;
	e->slow_since = e->since;
	e->slow_until = w->t + rnd_range(w, 0, w->hold);
	if (!in_set(&w->ours, e->slow))
		e->slow = -1; /* before our time: restarted, not reloaded */
	e->id = id;
	e->since = since;
	put(&w->known, id);
	tell(w, "address %zu serves key %d of %s", endpoint / w->n_lines, id,
		l->name);
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
		if (p->until + cached_ms(w, &p->v) + DAY > w->t)
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

static bool silent(enum mood m)
{
	return m == MOOD_DEAD || m == MOOD_LYING;
}

/* Another node at the same address follows within the shortest TTL that there
 * is: nobody can see it from here, and one that lagged more no tool could
 * wait for. */
static void node_follows(struct world *w, size_t server, size_t owner)
{
	if (server + 1 < w->n_servers && w->server[server + 1].hidden)
		schedule(w, (struct event){
				    .at = w->t + rnd_range(w, 0, MIN),
				    .kind = EV_PULL,
				    .owner = owner,
				    .server = server + 1 });
}

void server_takes(
	struct world *w, size_t server, size_t owner, struct version v)
{
	struct server *s = &w->server[server];

	if (!silent(s->mood))
		close_served(w, s, owner);
	s->now[owner] =
		(struct served){ .v = v, .from = w->t, .until = FOREVER };
	say(w, "server %zu has version %u of name %zu, TTL %u", server, v.id,
		owner, v.ttl);
	if (!silent(s->mood))
		check_version(w, server, owner);
	else
		s->now[owner].until = w->t; /* nobody hears it */
	node_follows(w, server, owner);
}

void server_pull(struct world *w, size_t server, size_t owner)
{
	const struct server *s = &w->server[server];
	const struct version *from = s->hidden
		? &w->server[server - 1].now[owner].v
		: &w->zone[owner];

	if (s->mood != MOOD_OK || s->now[owner].v.id == from->id)
		return;
	server_takes(w, server, owner, *from);
}

void server_mood(struct world *w, size_t server, enum mood m)
{
	struct server *s = &w->server[server];
	enum mood was = s->mood;

	if (was == m)
		return;
	for (size_t o = 0; o < w->n_owners; o++) {
		if (silent(m) && !silent(was)) {
			close_served(w, s, o);
			s->now[o].until = w->t;
		} else if (silent(was) && !silent(m)) {
			/* it comes back with what it has: the same version,
			 * by nobody's fault */
			s->now[o].from = w->t;
			s->now[o].until = FOREVER;
		}
	}
	s->mood = m;
	say(w, "server %zu: mood %d", server, (int)m);
	for (size_t o = 0; silent(was) && !silent(m) && o < w->n_owners; o++)
		check_version(w, server, o);
}

/* In or out of the NS set. One that leaves is switched off, one that joins has
 * the zone of today. */
void server_list(struct world *w, size_t server, bool listed)
{
	struct server *s = &w->server[server];
	bool two = server + 1 < w->n_servers && w->server[server + 1].hidden;

	s->listed = listed;
	if (two)
		w->server[server + 1].listed = listed;
	if (!listed)
		s->mood_until = 0;
	for (size_t o = 0; listed && o < w->n_owners; o++) {
		s->now[o].v = w->zone[o];
		if (two)
			w->server[server + 1].now[o].v = w->zone[o];
	}
	server_mood(w, server, listed ? MOOD_OK : MOOD_DEAD);
	if (two)
		server_mood(w, server + 1, listed ? MOOD_OK : MOOD_DEAD);
}

/* ---- the primary ---- */

void zone_change(struct world *w, size_t owner, struct version v)
{
	size_t n = sizeof(w->old[0]) / sizeof(w->old[0][0]);

	v.id = w->n_versions++;
	for (size_t i = 0; i < IDS / 64; i++) {
		const struct version *was = &w->zone[owner];
		uint64_t now = v.set.b[i], old = was->set.b[i];
		uint64_t theirs = v.by_world ? UINT64_MAX : 0;

		v.revived.b[i] = (was->revived.b[i] & now) |
			(theirs & now & ~old);
		v.taken.b[i] = (was->taken.b[i] & ~now) | (theirs & old & ~now);
	}
	if (v.ttl != w->zone[owner].ttl || v.id < OWNERS) {
		v.ttl_from = v.id;
		v.ttl_by_world = v.by_world;
	} else {
		v.ttl_from = w->zone[owner].ttl_from;
		v.ttl_by_world = w->zone[owner].ttl_by_world;
	}
	if (v.id >= w->cap_heard) {
		w->cap_heard = 2 * w->cap_heard + 256;
		w->heard = reallocarray(w->heard, w->cap_heard, 1);
		if (w->heard == NULL)
			abort();
	}
	w->heard[v.id] = 0;
	w->old[owner][w->n_old[owner]++ % n] = w->zone[owner];
	w->zone[owner] = v;
	say(w, "name %zu: version %u serial %u TTL %u%s%s", owner, v.id,
		v.serial, v.ttl, v.exists ? "" : " empty",
		v.by_world ? " by the world" : "");
	for (size_t i = 0; i < w->n_servers; i++)
		if (!w->server[i].hidden)
			schedule(w, (struct event){
				    .at = w->t + w->sign_delay +
					  rnd_range(w, 0, w->server[i].delay),
				    .kind = EV_PULL,
				    .owner = owner,
				    .server = i,
			    });
}

static bool have_file(const struct world *w, int id)
{
	struct spki spki = spki_of_id(id);
	char hex[SPKI_HEX], path[200];

	spki_hex(&spki, hex);
	for (size_t i = 0; i < w->n_lines; i++) {
		(void)snprintf(path, sizeof(path),
			STATE_DIR "/lineages/%s/keys/%s.pem", w->line[i].name,
			hex);
		if (disk_durable_file(w->disk, path, &(size_t){ 0 }) != NULL)
			return true;
	}
	return false;
}

/* An update of ours: add and remove, everything else as it is. */
void zone_update(struct world *w, size_t owner, const struct idset *add,
	const struct idset *remove, uint32_t ttl)
{
	struct version v = w->zone[owner];
	bool broken = false;

	for (int id = 0; v.exists && id < w->n_keys; id++)
		if (!matches(&v, id) && is_served(w, id))
			broken = true;
	v.by_world = v.by_world && (broken || v.strong);
	v.late = w->late;
	for (int id = 0; id < w->n_keys; id++) {
		if (in_set(remove, id) && in_set(&v.set, id)) {
			drop(&v.set, id);
			tell(w, "danelaw withdraws key %d at name %zu", id,
				owner);
			if (is_served(w, id) && !in_set(&w->forced, id))
				violate(w,
					"law 2: the record of key %d is "
					"withdrawn while it is served",
					id);
		}
		if (in_set(add, id) && !in_set(&v.set, id)) {
			put(&v.set, id);
			tell(w, "danelaw publishes key %d at name %zu", id,
				owner);
			if (w->first_publish[id] == 0)
				w->first_publish[id] = w->t;
			if (!have_file(w, id) && !in_set(&w->lost, id) &&
				!is_served(w, id))
				violate(w,
					"I2: a record is published whose key "
					"%d is not safe on disk",
					id);
		}
	}
	if (memcmp(&v.set, &w->zone[owner].set, sizeof(v.set)) == 0 &&
		(ttl == 0 || ttl == v.ttl))
		return;
	if (ttl != 0)
		v.ttl = ttl;
	v.exists = v.strong;
	for (size_t i = 0; i < IDS / 64; i++)
		v.exists |= v.set.b[i] != 0;
	v.serial++;
	zone_change(w, owner, v);
}

/* A record that the world put back, or a TTL that it raised, which came and went
 * before we looked. */
static bool unheard_of(const struct world *w, const struct served *sv, int id)
{
	return (in_set(&sv->v.revived, id) || sv->v.ttl_by_world) &&
	       (w->heard[sv->v.id] >> 2 * w->line_of_key[id] & HEARD) == 0;
}

/* A key that is forgotten must be in no cache. One that no server ever had is
 * missed by nobody. */
void check_forgotten(struct world *w, int id)
{
	if (in_set(&w->forced, id) || in_set(&w->lost, id) ||
		!in_set(&w->known, id))
		return;
	if (is_served(w, id))
		violate(w, "I2: key %d is forgotten while it is served", id);
	for (size_t s = 0; s < w->n_servers; s++) {
		struct server *sv = &w->server[s];

		/* a node that nobody can see from here: it is not served any
		 * more, no mail depends on it */
		if (sv->hidden)
			continue;
		for (size_t o = 0; o < w->n_owners; o++) {
			for (size_t i = 0; i <= sv->n_past[o]; i++) {
				const struct served *p =
					i < sv->n_past[o] ? &sv->past[o][i]
							  : &sv->now[o];

				if (!in_set(&p->v.set, id) ||
					(p->until != FOREVER &&
						p->until + cached_ms(w, &p->v) <=
							w->t) ||
					excused(w, p, id, FOREVER) ||
					unheard_of(w, p, id))
					continue;
				violate(w,
					"I2: key %d is forgotten, but caches may "
					"hold version %u of server %zu",
					id, p->v.id, s);
				return;
			}
		}
	}
}
