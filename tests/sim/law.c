/*
 * The invariants that are not law 1 and 2 themselves (dns.c): keys are safe,
 * effects have an intent on disk first, doubt changes nothing, one writer. And
 * the places where the real program is watched: what it saves, what it loads,
 * what it is about to do.
 */
#include "world.h"

#include "hook/act.h"

#include <stdlib.h>
#include <string.h>

size_t line_of_name(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_lines; i++)
		if (strcmp(w->line[i].name, name) == 0)
			return i;
	abort();
}

/* ---- I5: an intent first ---- */

/* line n_lines: any. */
void law_effect(struct world *w, size_t line, enum intent_kind kind,
	const char *what)
{
	for (size_t i = 0; i < w->n_lines; i++)
		if ((line == i || line == w->n_lines) &&
			(w->line[i].intent.kind == kind ||
				/* an unfinished switch publishes, too */
				(kind == INTENT_PUBLISH &&
					w->line[i].intent.kind ==
						INTENT_PROMOTE)))
			return;
	violate(w, "I5: %s, and no intent to %s is on disk", what,
		intent_name(kind));
}

/* ---- what is saved ---- */

static void check_keys(struct world *w, size_t line,
	const struct lineage_state *s)
{
	char hex[SPKI_HEX], path[200];
	unsigned next = 0, current = 0;

	for (size_t i = 0; i < s->n_keys; i++) {
		const struct state_key *k = &s->key[i];
		int id = id_of_spki(&k->spki);

		put(&w->ours, id);
		w->line_of_key[id] = (uint8_t)line;
		next += k->role == KEY_NEXT;
		current += k->role == KEY_CURRENT;
		spki_hex(&k->spki, hex);
		(void)snprintf(path, sizeof(path),
			STATE_DIR "/lineages/%s/keys/%s.pem",
			w->line[line].name, hex);
		if (disk_durable_file(w->disk, path, &(size_t){ 0 }) == NULL &&
			k->role != KEY_RETIRED) /* being forgotten */
			violate(w, "I2: the private key %d of %s is not safe",
				id, w->line[line].name);
	}
	if (next > 1)
		violate(w, "%u next keys", next);
	if (current != 1 && s->n_keys > 0)
		violate(w, "%u current keys", current);
}

static void check_roles(struct world *w, size_t line,
	const struct lineage_state *s)
{
	struct line *l = &w->line[line];

	for (size_t i = 0; i < s->n_keys; i++) {
		const struct state_key *k = &s->key[i];
		int id = id_of_spki(&k->spki);

		if (l->role[id] == k->role + 1)
			continue;
		l->role[id] = (uint8_t)(k->role + 1);
		l->role_since[id] = w->t;
		if (k->role == KEY_CURRENT)
			w->stats->rollovers++;
		if (k->role != KEY_RETIRED)
			continue;
		w->stats->retired++;
		if (is_served(w, id) && !in_set(&w->forced, id))
			violate(w, "law 2: key %d is retired while it is "
				   "served", id);
	}
}

void law_committed(struct world *w, size_t line, const struct lineage_state *s)
{
	struct line *l = &w->line[line];
	struct proc *p = w->running;
	const struct state_key *cur = state_key_role(s, KEY_CURRENT);

	check_keys(w, line, s);
	check_roles(w, line, s);
	for (size_t i = 0; i < p->n_hearing; i++) {
		w->heard[p->hearing[i].id] |=
			(uint8_t)(HEARD << 2 * line);
		w->heard[p->hearing[i].ttl_from] |=
			(uint8_t)(HEARD_TTL << 2 * line);
	}
	p->n_hearing = 0;
	if (cur != NULL && id_of_spki(&cur->spki) != l->live_id) {
		l->live_id = id_of_spki(&cur->spki);
		l->live_since = w->t;
	}
	if (s->live_gen != l->live_gen)
		w->stats->promotions++;
	if (s->intent.kind == INTENT_ROLL_BACK &&
		l->intent.kind != INTENT_ROLL_BACK)
		w->stats->roll_backs++;
	l->live_gen = s->live_gen;
	l->intent = s->intent;
	l->published = false;
	for (size_t i = 0; i < s->n_owners; i++)
		if (s->owner[i].publish_ms != 0)
			l->published = true;
}

void law_loaded(struct world *w, size_t line, const struct lineage_state *s)
{
	struct line *l = &w->line[line];
	const struct state_key *cur = state_key_role(s, KEY_CURRENT);

	l->intent = s->intent;
	l->live_gen = s->live_gen;
	if (cur != NULL)
		l->live_id = id_of_spki(&cur->spki);
}

/* ---- I6: any doubt changes nothing ---- */

static int key_of_gen(struct world *w, size_t line, unsigned gen)
{
	char path[120];
	const char *text;
	int id;

	(void)snprintf(path, sizeof(path),
		STATE_DIR "/lineages/%s/generations/%u/privkey.pem",
		w->line[line].name, gen);
	text = disk_file(w->disk, path, &(size_t){ 0 });
	return text != NULL && sscanf(text, "KEY %d", &id) == 1 ? id : -1;
}

static void law_live(struct world *w, size_t line, unsigned gen)
{
	struct line *l = &w->line[line];
	const struct proc *p = w->running;
	int id = key_of_gen(w, line, gen);

	if (id != l->linked_id) {
		l->was_linked_id = l->linked_id;
		l->was_linked_since = l->linked_since;
	}
	l->linked_id = id;
	l->linked_since = w->t;
	if (l->intent.kind != INTENT_PROMOTE &&
		l->intent.kind != INTENT_ROLL_BACK)
		violate(w, "I5: live/%s changes, and no intent is on disk",
			l->name);
	if (l->live_gen == 0 || id == l->live_id || !l->published ||
		l->intent.kind == INTENT_ROLL_BACK)
		return;
	if (!p->swept || w->t - p->swept_at > 15 * SEC)
		violate(w, "I6: %s goes live without a fresh sweep", l->name);
	else if (p->doubt)
		violate(w, "I6: key %d goes live although %s", id,
			p->doubt_why);
}

void law_key_removed(struct world *w, int id)
{
	/* a copy that the state never knew of is no loss */
	if (!in_set(&w->ours, id))
		return;
	w->stats->forgotten++;
	check_forgotten(w, id);
}

/* ---- the wrapped calls ---- */

enum status __real_store_commit(struct store_lineage *l,
	const struct lineage_state *s, struct err *err);
enum status __wrap_store_commit(struct store_lineage *l,
	const struct lineage_state *s, struct err *err);
enum status __wrap_store_commit(
	struct store_lineage *l, const struct lineage_state *s, struct err *err)
{
	enum status st = __real_store_commit(l, s, err);

	if (st == ST_OK)
		law_committed(world, line_of_name(world, s->name), s);
	else
		say(world, "not saved: %s", err->text);
	return st;
}

enum status __real_store_lock(struct store *s, const char *name,
	int64_t wait_ms, struct store_lineage **ret,
	struct lineage_state *ret_state, struct err *err);
enum status __wrap_store_lock(struct store *s, const char *name,
	int64_t wait_ms, struct store_lineage **ret,
	struct lineage_state *ret_state, struct err *err);
enum status __wrap_store_lock(struct store *s, const char *name,
	int64_t wait_ms, struct store_lineage **ret,
	struct lineage_state *ret_state, struct err *err)
{
	enum status st =
		__real_store_lock(s, name, wait_ms, ret, ret_state, err);

	if (st == ST_OK)
		law_loaded(world, line_of_name(world, name), ret_state);
	else if (st == ST_REFUSED)
		violate(world, "the state of %s cannot be read: %s", name,
			err->text);
	return st;
}

enum status __real_store_live_set(
	struct store_lineage *l, unsigned n, struct err *err);
enum status __wrap_store_live_set(
	struct store_lineage *l, unsigned n, struct err *err);
enum status __wrap_store_live_set(
	struct store_lineage *l, unsigned n, struct err *err)
{
	const char *name = strrchr(store_live_path(l), '/') + 1;

	law_live(world, line_of_name(world, name), n);
	return __real_store_live_set(l, n, err);
}

enum status __real_store_key_remove(
	struct store_lineage *l, const struct spki *spki, struct err *err);
enum status __wrap_store_key_remove(
	struct store_lineage *l, const struct spki *spki, struct err *err);
enum status __wrap_store_key_remove(
	struct store_lineage *l, const struct spki *spki, struct err *err)
{
	law_key_removed(world, id_of_spki(spki));
	return __real_store_key_remove(l, spki, err);
}
