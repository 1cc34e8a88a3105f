/*
 * The state file, format 1, written (state_read.c reads it). What must hold:
 * what we write we can read back to the same value. Lists and not objects,
 * since their order means something. Words and not numbers for every role,
 * state and intent, so that people can read it. Nothing secret is in here.
 */
#include "state/state_json.h"

#include "hook/base/auto.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const source_names[] = {
	[GEN_CERTBOT] = "certbot",
	[GEN_CSR] = "csr",
};
_Static_assert(sizeof(source_names) / sizeof(source_names[0]) == GEN_CSR + 1,
	"sources");

const char *gen_source_name(enum gen_source g)
{
	return (unsigned)g <= GEN_CSR ? source_names[g] : "unknown";
}

/* *ok turns false when memory runs out. */

static void put(json_t *o, const char *key, json_t *v, bool *ok)
{
	if (json_object_set_new(o, key, v) != 0)
		*ok = false;
}

static void put_int(json_t *o, const char *key, int64_t v, bool *ok)
{
	put(o, key, json_integer(v), ok);
}

/* Something may be put off for ever; the file knows no later time than this. */
static void put_later(json_t *o, const char *key, int64_t v, bool *ok)
{
	put_int(o, key, v < 0 ? 0 : v > MS_MAX ? MS_MAX : v, ok);
}

/* Text that was cut inside a UTF-8 character must not cost us the file. */
static void put_text(json_t *o, const char *key, const char *text, bool *ok)
{
	json_t *v = json_string(text);
	auto_str plain = NULL;

	if (v == NULL && (plain = strdup(text)) != NULL) {
		for (char *p = plain; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
		v = json_string(plain);
	}
	put(o, key, v, ok);
}

static void put_spki(json_t *o, const char *key, const struct spki *s, bool *ok)
{
	char hex[SPKI_HEX];

	put(o, key,
		spki_is_none(s) ? json_null() : json_string(spki_hex(s, hex)),
		ok);
}

/* Returns a new list that o owns. */
static json_t *put_list(json_t *o, const char *key, bool *ok)
{
	json_t *list = json_array();

	put(o, key, list, ok);
	return *ok ? list : NULL; /* a failed put has freed it */
}

static json_t *append_object(json_t *list, bool *ok)
{
	json_t *o = json_object();

	if (json_array_append_new(list, o) != 0)
		*ok = false;
	return *ok ? o : NULL;
}

static void put_ttls(
	json_t *o, const char *key, const struct ttl_history *h, bool *ok)
{
	json_t *list = put_list(o, key, ok);

	for (size_t i = 0; i < h->n && *ok; i++) {
		json_t *e = append_object(list, ok);

		put_int(e, "ttl", h->e[i].ttl, ok);
		put_int(e, "last_ms", h->e[i].last_ms, ok);
	}
}

static void put_clock(json_t *o, const struct clock_mark *c, bool *ok)
{
	put_int(o, "wall_ms", c->last.wall_ms, ok);
	put_int(o, "boot_ms", c->last.boot_ms, ok);
	put_text(o, "boot_id", c->last.boot_id, ok);
	put_int(o, "trusted_ms", c->trusted_ms, ok);
}

static void put_owner(json_t *o, const struct owner_state *w, bool *ok)
{
	json_t *list;

	put_text(o, "owner", w->owner, ok);
	put_int(o, "first_ms", w->first_ms, ok);
	put_int(o, "swept_ms", w->swept_ms, ok);
	put_int(o, "publish_ms", w->publish_ms, ok);
	put_int(o, "publish_tries", w->publish_tries, ok);
	if (w->publish_wait_s != 0)
		put_int(o, "publish_wait_s", w->publish_wait_s, ok);
	put_ttls(o, "served", &w->served, ok);
	list = put_list(o, "serials", ok);
	for (size_t i = 0; i < w->n_serials && *ok; i++) {
		json_t *e = append_object(list, ok);

		put_text(e, "server", w->serial[i].server, ok);
		put_int(e, "serial", w->serial[i].serial, ok);
	}
}

static void put_key(json_t *o, const struct lineage_state *s,
	const struct state_key *k, bool *ok)
{
	json_t *list;

	put_spki(o, "spki", &k->spki, ok);
	put_text(o, "algorithm", key_alg_name(k->alg), ok);
	put_text(o, "role", key_role_name(k->role), ok);
	put(o, "have_file", json_boolean(k->have_file), ok);
	put_int(o, "created_ms", k->created_ms, ok);
	put_int(o, "live_ms", k->live_ms, ok);
	put_int(o, "retired_ms", k->retired_ms, ok);
	list = put_list(o, "records", ok);
	for (size_t i = 0; i < s->n_owners && *ok; i++) {
		const struct key_at *at = &k->at[i];
		json_t *e = append_object(list, ok);

		put_text(e, "owner", s->owner[i].owner, ok);
		put_text(e, "state", record_state_name(at->rec), ok);
		put_int(e, "since_ms", at->since_ms, ok);
		put_int(e, "gone_ms", at->gone_ms, ok);
		put_ttls(e, "bad", &at->bad, ok);
	}
}

static void put_gen(json_t *o, const struct state_gen *g, bool *ok)
{
	put_int(o, "n", g->n, ok);
	put_spki(o, "spki", &g->spki, ok);
	put_spki(o, "fingerprint", &g->fingerprint, ok);
	put_text(o, "source", gen_source_name(g->source), ok);
	put_int(o, "lineage_version", g->lineage_version, ok);
	put_int(o, "not_before_s", g->not_before_s, ok);
	put_int(o, "not_after_s", g->not_after_s, ok);
	put_int(o, "taken_ms", g->taken_ms, ok);
	put_int(o, "rollbacks", g->rollbacks, ok);
	put_later(o, "retry_ms", g->retry_ms, ok);
	if (g->tried_ms != 0)
		put_later(o, "tried_ms", g->tried_ms, ok);
}

static void put_issue(json_t *o, const struct lineage_state *s, bool *ok)
{
	json_t *list = put_list(o, "at_ms", ok);

	for (size_t i = 0; i < N_ISSUED; i++)
		if (json_array_append_new(
			    list, json_integer(s->issued_ms[i])) != 0)
			*ok = false;
	put_int(o, "tries", s->issue_tries, ok);
	put_later(o, "retry_ms", s->issue_retry_ms, ok);
	put_text(o, "why", s->issue_why, ok);
}

static void put_intent(json_t *o, const struct intent *t, bool *ok)
{
	put_text(o, "kind", intent_name(t->kind), ok);
	put_int(o, "gen", t->gen, ok);
	put_int(o, "to_gen", t->to_gen, ok);
	put_spki(o, "spki", &t->spki, ok);
	put_int(o, "since_ms", t->since_ms, ok);
}

static json_t *put_object(json_t *o, const char *key, bool *ok)
{
	json_t *v = json_object();

	put(o, key, v, ok);
	return *ok ? v : NULL;
}

static void put_state(json_t *o, const struct lineage_state *s, bool *ok)
{
	json_t *list;

	put_int(o, "version", STATE_VERSION, ok);
	/* no put_text: a name that is not UTF-8 must fail, not change */
	put(o, "name", json_string(s->name), ok);
	put_clock(put_object(o, "clock", ok), &s->clock, ok);
	list = put_list(o, "owners", ok);
	for (size_t i = 0; i < s->n_owners && *ok; i++)
		put_owner(append_object(list, ok), &s->owner[i], ok);
	list = put_list(o, "keys", ok);
	for (size_t i = 0; i < s->n_keys && *ok; i++)
		put_key(append_object(list, ok), s, &s->key[i], ok);
	list = put_list(o, "generations", ok);
	for (size_t i = 0; i < s->n_gens && *ok; i++)
		put_gen(append_object(list, ok), &s->gen[i], ok);
	put_int(o, "next_gen", s->next_gen, ok);
	put_int(o, "live_gen", s->live_gen, ok);
	put_int(o, "rolled_back_gen", s->rolled_back_gen, ok);
	put_text(o, "rolled_back_why", s->rolled_back_why, ok);
	put_int(o, "verified_first_ms", s->verified_first_ms, ok);
	put_int(o, "verified_ms", s->verified_ms, ok);
	put_text(o, "lineage_seen", s->lineage_seen, ok);
	put_issue(put_object(o, "issue", ok), s, ok);
	put_text(o, "publish_why", s->publish_why, ok);
	put(o, "publish_temporary", json_boolean(s->publish_temporary), ok);
	put_text(o, "doing", s->doing, ok);
	put_text(o, "why", s->why, ok);
	put(o, "alert", json_boolean(s->alert), ok);
	put_later(o, "wake_ms", s->wake_ms, ok);
	put_intent(put_object(o, "intent", ok), &s->intent, ok);
}

struct sink {
	struct buf *buf;
	struct err *err;
	enum status st;
};

static int sink_append(const char *text, size_t len, void *arg)
{
	struct sink *k = arg;

	if (k->st == ST_OK)
		k->st = buf_append(k->buf, text, len, k->err);
	return k->st == ST_OK ? 0 : -1;
}

enum status state_json_append(
	const json_t *o, size_t flags, struct buf *ret, struct err *err)
{
	struct sink k = { .buf = ret, .err = err, .st = ST_OK };

	if (json_dump_callback(o, sink_append, &k, flags) != 0 &&
		k.st == ST_OK)
		k.st = err_set(err, ST_NOMEM, "out of memory");
	(void)sink_append("\n", 1, &k);
	return k.st;
}

enum status state_to_json(
	const struct lineage_state *s, struct buf *ret, struct err *err)
{
	json_auto_t *root = json_object();
	bool ok = root != NULL;

	if (ok)
		put_state(root, s, &ok);
	if (!ok)
		return err_set(err, ST_NOMEM,
			"cannot write the state of lineage %s: out of memory, "
			"or its name is not UTF-8",
			s->name);
	return state_json_append(
		root, JSON_INDENT(2) | JSON_SORT_KEYS, ret, err);
}
