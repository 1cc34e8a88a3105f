/*
 * The decision is the real one, unless a fault is asked for: then it is made
 * wrongly on purpose, to see that the world notices. And the state file: one
 * life in a hundred has the real format and a history, the others an image of the
 * same value, which takes a twentieth of the time.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* ---- deciding, rightly or wrongly ---- */

static const struct state_gen *waiting(const struct lineage_state *s)
{
	for (size_t i = s->n_gens; i > 0; i--) {
		const struct state_gen *g = &s->gen[i - 1];
		const struct state_key *k = state_key_find(s, &g->spki);

		if (g->n > s->live_gen && k != NULL &&
			(k->role == KEY_CANDIDATE || k->role == KEY_NEXT))
			return g;
	}
	return NULL;
}

static bool from_publish(
	const struct lineage_state *s, int ttls, struct action *a)
{
	const struct world *w = world;
	const struct state_gen *g = waiting(s);
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

static bool by_role(const struct lineage_state *s, enum key_role r,
	enum action_kind k, struct action *a)
{
	const struct state_key *key = state_key_role(s, r);

	if (key == NULL)
		return false;
	*a = (struct action){ .kind = k, .spki = key->spki };
	return true;
}

static void mend_history(const struct lineage_state *s, bool none)
{
	for (size_t j = 0; j < s->n_keys; j++)
		for (size_t o = 0; o < s->n_owners; o++) {
			struct ttl_history *h = &s->key[j].at[o].bad;

			if (none)
				h->n = 0;
			for (size_t i = 0; i < h->n; i++)
				if (h->e[i].ttl > world->zone[o].ttl) {
					h->e[i].ttl = world->zone[o].ttl;
					h->e[i].last_ms -= 2 * DAY;
				}
		}
}

static bool faulty(const struct lineage_state *s, const struct observation *o,
	struct action *a)
{
	const struct state_key *cur = state_key_role(s, KEY_CURRENT);
	struct observation *other = (struct observation *)o;

	switch (world->fault) {
	case FAULT_ONE_TTL_FROM_PUBLISH:
		return from_publish(s, 1, a);
	case FAULT_TWO_TTLS_FROM_PUBLISH:
		return from_publish(s, 2, a);
	case FAULT_NO_WAIT:
	case FAULT_ONLY_TODAYS_TTL:
		mend_history(s, world->fault == FAULT_NO_WAIT);
		return false;
	case FAULT_RETIRE_AT_ONCE:
		return by_role(s, KEY_PREVIOUS, ACT_RETIRE, a);
	case FAULT_FORGET_AT_ONCE:
		return by_role(s, KEY_RETIRED, ACT_FORGET, a);
	case FAULT_NO_FIRST_PROBE:
		if (cur != NULL && o->probe == PROBED_NOT) {
			other->probe = PROBED_ALL;
			other->probe_expected = cur->spki;
		}
		return false;
	case FAULT_NONE:
	case FAULT_ONE_SERVER:
	case FAULT_SILENCE_IS_CONSENT:
	case FAULT_WALL_CLOCK:
	case FAULT__COUNT:
		break;
	}
	return false;
}

struct action __real_plan_next(const struct lineage_state *s,
	const struct observation *o, const struct policy *p, int64_t now);
struct action __wrap_plan_next(const struct lineage_state *s,
	const struct observation *o, const struct policy *p, int64_t now);
struct action __wrap_plan_next(const struct lineage_state *s,
	const struct observation *o, const struct policy *p, int64_t now)
{
	struct action a;

	world->stats->decisions++;
	if (world->fault == FAULT_NONE || !faulty(s, o, &a))
		a = __real_plan_next(s, o, p, now);
	if (a.kind == ACT_WAIT || a.kind == ACT_HOLD)
		say(world, "  %s: %s: %.150s", s->name, action_name(a.kind),
			a.why);
	else
		say(world, "  %s: %s", s->name, action_name(a.kind));
	if (world->fault == FAULT_NONE && strncmp(a.why, "BUG", 3) == 0)
		violate(world, "%.300s", a.why);
	if ((a.kind == ACT_WAIT || a.kind == ACT_HOLD) && a.until_ms <= now)
		violate(world, "waits until the past: %.200s", a.why);
	return a;
}

void __real_plan_observe(struct lineage_state *s, const struct observation *o,
	const struct policy *p, int64_t now);
void __wrap_plan_observe(struct lineage_state *s, const struct observation *o,
	const struct policy *p, int64_t now);
void __wrap_plan_observe(struct lineage_state *s, const struct observation *o,
	const struct policy *p, int64_t now)
{
	for (size_t i = 0; i < s->n_owners && world->fault != FAULT_NONE; i++) {
		struct obs_answer *a =
			(struct obs_answer *)o->owner[i].answer;

		for (size_t n = 0; n < o->owner[i].n; n++)
			if ((world->fault == FAULT_ONE_SERVER && n > 0) ||
				(world->fault == FAULT_SILENCE_IS_CONSENT &&
					a[n].verdict == OBS_UNKNOWN))
				a[n].verdict = OBS_IGNORED;
	}
	__real_plan_observe(s, o, p, now);
}

enum clock_verdict __real_clock_advance(struct clock_mark *mark,
	const struct clock_reading *now, int64_t gap, char *why, size_t len);
enum clock_verdict __wrap_clock_advance(struct clock_mark *mark,
	const struct clock_reading *now, int64_t gap, char *why, size_t len);
enum clock_verdict __wrap_clock_advance(struct clock_mark *mark,
	const struct clock_reading *now, int64_t gap, char *why, size_t len)
{
	const struct clock_mark was = *mark;
	bool same = strcmp(was.last.boot_id, now->boot_id) == 0;
	enum clock_verdict v = __real_clock_advance(mark, now, gap, why, len);
	int64_t by;

	world->stats->doubts += v == CLOCK_DOUBT;
	if (world->fault == FAULT_WALL_CLOCK)
		mark->trusted_ms = now->wall_ms;
	by = mark->trusted_ms - was.trusted_ms;
	if (was.last.boot_id[0] != '\0' &&
		(by < 0 || by > now->boot_ms - (same ? was.last.boot_ms : 0)))
		violate(world, "the trusted clock runs ahead, or back");
	return v;
}

/* ---- the state file ---- */

#define FORMAT_LIVES 100

struct image {
	char magic[8];
	struct lineage_state s;
};

static bool real_format(void)
{
	return world->seed % FORMAT_LIVES == 0;
}

static void add(struct buf *b, const void *data, size_t len)
{
	struct err err = ERR_INIT;

	if (len > 0 && buf_append(b, data, len, &err) != ST_OK)
		abort();
}

enum status __real_state_to_json(
	const struct lineage_state *s, struct buf *ret, struct err *err);
enum status __wrap_state_to_json(
	const struct lineage_state *s, struct buf *ret, struct err *err);
enum status __wrap_state_to_json(
	const struct lineage_state *s, struct buf *ret, struct err *err)
{
	struct image im = { .magic = "image" };

	if (real_format())
		return __real_state_to_json(s, ret, err);
	im.s = *s;
	add(ret, &im, sizeof(im));
	add(ret, s->owner, s->n_owners * sizeof(*s->owner));
	add(ret, s->gen, s->n_gens * sizeof(*s->gen));
	add(ret, s->key, s->n_keys * sizeof(*s->key));
	for (size_t i = 0; i < s->n_keys; i++)
		add(ret, s->key[i].at, s->n_owners * sizeof(*s->key[i].at));
	return ST_OK;
}

static void *take(const char **text, size_t len)
{
	void *p = malloc(len + 1);

	if (p == NULL)
		abort();
	memcpy(p, *text, len);
	*text += len;
	return p;
}

enum status __real_state_from_json(const char *text, size_t len,
	struct lineage_state *ret, struct err *err);
enum status __wrap_state_from_json(const char *text, size_t len,
	struct lineage_state *ret, struct err *err);
enum status __wrap_state_from_json(const char *text, size_t len,
	struct lineage_state *ret, struct err *err)
{
	struct image im;

	if (real_format())
		return __real_state_from_json(text, len, ret, err);
	if (len < sizeof(im))
		return err_set(err, ST_REFUSED, "torn");
	memcpy(&im, text, sizeof(im));
	text += sizeof(im);
	*ret = im.s;
	ret->owner = take(&text, im.s.n_owners * sizeof(*ret->owner));
	ret->gen = take(&text, im.s.n_gens * sizeof(*ret->gen));
	ret->key = take(&text, im.s.n_keys * sizeof(*ret->key));
	for (size_t i = 0; i < ret->n_keys; i++)
		ret->key[i].at = take(
			&text, im.s.n_owners * sizeof(*ret->key[i].at));
	return ST_OK;
}

enum status __real_store_history(struct store_lineage *l, int64_t wall_ms,
	const char *event, const struct spki *key, unsigned gen,
	const char *why, struct err *err);
enum status __wrap_store_history(struct store_lineage *l, int64_t wall_ms,
	const char *event, const struct spki *key, unsigned gen,
	const char *why, struct err *err);
enum status __wrap_store_history(struct store_lineage *l, int64_t wall_ms,
	const char *event, const struct spki *key, unsigned gen,
	const char *why, struct err *err)
{
	if (!real_format())
		return ST_OK;
	return __real_store_history(l, wall_ms, event, key, gen, why, err);
}
