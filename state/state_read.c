/*
 * The state file, format 1, read. What must hold: what is not exactly our
 * format is refused whole, with the place named, and never half-loaded. Unknown
 * members of our own version are refused (a file of somebody else's making); a
 * newer version is told apart, because then only the program has to be changed.
 * jansson's unpack is not used: it cuts 64-bit numbers without a word.
 */
#include "state/state_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 32
#define WHERE_MAX 64
#define DAY_S 86400

/* The first complaint stays, everything after it is a no-op. */

struct reader {
	struct err *err;
	enum status st;
};

struct object {
	struct reader *r;
	json_t *j;
	char where[WHERE_MAX];
	const char *seen[MEMBERS_MAX];
	size_t n_seen;
};

__attribute__((format(printf, 2, 3))) static void refuse(
	struct reader *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (r->st != ST_OK)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->st = err_set(r->err, ST_REFUSED, "%s", text);
}

__attribute__((format(printf, 4, 5))) static void open_object(
	struct object *o, struct reader *r, json_t *j, const char *fmt, ...)
{
	va_list ap;

	memset(o, 0, sizeof(*o));
	o->r = r;
	o->j = j;
	va_start(ap, fmt);
	(void)vsnprintf(o->where, sizeof(o->where), fmt, ap);
	va_end(ap);
	if (!json_is_object(j))
		refuse(r, "%s is not an object", o->where);
}

/* Refuses members that nobody asked for. */
static void close_object(struct object *o)
{
	const char *key;
	json_t *v;

	if (o->r->st != ST_OK)
		return;
	json_object_foreach(o->j, key, v)
	{
		size_t i = 0;

		while (i < o->n_seen && strcmp(o->seen[i], key) != 0)
			i++;
		if (i == o->n_seen)
			refuse(o->r, "%s has the unknown member \"%.40s\"",
				o->where, key);
	}
}

static json_t *get(struct object *o, const char *key)
{
	json_t *v = o->r->st == ST_OK ? json_object_get(o->j, key) : NULL;

	if (v == NULL)
		refuse(o->r, "%s has no \"%s\"", o->where, key);
	if (o->n_seen < MEMBERS_MAX)
		o->seen[o->n_seen++] = key;
	return v;
}

/* For members that need not be there. */
static bool has(const struct object *o, const char *key)
{
	return o->r->st == ST_OK && json_object_get(o->j, key) != NULL;
}

static int64_t get_int(
	struct object *o, const char *key, int64_t min, int64_t max)
{
	json_t *v = get(o, key);
	json_int_t n = json_integer_value(v);

	if (v == NULL)
		return min;
	if (!json_is_integer(v) || n < min || n > max) {
		refuse(o->r,
			"%s: \"%s\" is not a number from %" PRId64
			" to %" PRId64,
			o->where, key, min, max);
		return min;
	}
	return n;
}

static int64_t get_ms(struct object *o, const char *key)
{
	return get_int(o, key, 0, MS_MAX);
}

static unsigned get_count(struct object *o, const char *key)
{
	return (unsigned)get_int(o, key, 0, INT32_MAX);
}

static bool get_bool(struct object *o, const char *key)
{
	json_t *v = get(o, key);

	if (v != NULL && !json_is_boolean(v))
		refuse(o->r, "%s: \"%s\" is not true or false", o->where, key);
	return json_is_true(v);
}

static void get_text(struct object *o, const char *key, char *ret, size_t len)
{
	json_t *v = get(o, key);
	const char *text = json_string_value(v);

	ret[0] = '\0';
	if (v == NULL)
		return;
	if (text == NULL || strlen(text) >= len) {
		refuse(o->r, "%s: \"%s\" is not a text below %zu bytes",
			o->where, key, len);
		return;
	}
	memcpy(ret, text, strlen(text) + 1);
}

static void get_spki(
	struct object *o, const char *key, bool may_be_none, struct spki *ret)
{
	json_t *v = get(o, key);
	const char *hex = json_string_value(v);

	memset(ret, 0, sizeof(*ret));
	if (v == NULL || (may_be_none && json_is_null(v)))
		return;
	if (hex == NULL || !spki_parse(hex, ret) || spki_is_none(ret))
		refuse(o->r, "%s: \"%s\" is not 64 hex digits", o->where, key);
	else if (spki_is_empty_digest(ret))
		refuse(o->r, "%s: \"%s\" is the digest of nothing", o->where,
			key);
}

static json_t *get_list(struct object *o, const char *key, size_t max)
{
	json_t *v = get(o, key);

	if (v == NULL)
		return NULL;
	if (!json_is_array(v) || json_array_size(v) > max) {
		refuse(o->r, "%s: \"%s\" is not a list of at most %zu",
			o->where, key, max);
		return NULL;
	}
	return v;
}

typedef const char *(*name_fn)(unsigned);

static const char *role_at(unsigned i)
{
	return key_role_name((enum key_role)i);
}

static const char *record_at(unsigned i)
{
	return record_state_name((enum record_state)i);
}

static const char *intent_at(unsigned i)
{
	return intent_name((enum intent_kind)i);
}

static const char *alg_at(unsigned i)
{
	return key_alg_name((enum key_alg)i);
}

static const char *source_at(unsigned i)
{
	return gen_source_name((enum gen_source)i);
}

static unsigned get_choice(
	struct object *o, const char *key, name_fn name, unsigned n)
{
	char text[32];

	get_text(o, key, text, sizeof(text));
	for (unsigned i = 0; i < n; i++)
		if (strcmp(text, name(i)) == 0)
			return i;
	refuse(o->r, "%s: \"%s\" is \"%s\", a word we do not know", o->where,
		key, text);
	return 0;
}

static void *new_list(struct reader *r, size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size);

	if (p == NULL && r->st == ST_OK)
		r->st = err_set(r->err, ST_NOMEM, "out of memory");
	return p;
}

static void get_ttls(struct object *o, const char *key, struct ttl_history *ret)
{
	json_t *list = get_list(o, key, STATE_TTLS_MAX);
	struct object e;

	for (size_t i = 0; i < json_array_size(list); i++) {
		open_object(&e, o->r, json_array_get(list, i), "%s.%s[%zu]",
			o->where, key, i);
		ret->e[i].ttl = (uint32_t)get_int(&e, "ttl", 0, UINT32_MAX);
		ret->e[i].last_ms = get_ms(&e, "last_ms");
		close_object(&e);
	}
	ret->n = json_array_size(list);
}

static void get_clock(struct reader *r, json_t *j, struct clock_mark *ret)
{
	struct object o;

	open_object(&o, r, j, "clock");
	ret->last.wall_ms = get_ms(&o, "wall_ms");
	ret->last.boot_ms = get_ms(&o, "boot_ms");
	get_text(&o, "boot_id", ret->last.boot_id, sizeof(ret->last.boot_id));
	ret->trusted_ms = get_ms(&o, "trusted_ms");
	close_object(&o);
}

static void get_owner(
	struct reader *r, json_t *j, size_t i, struct owner_state *ret)
{
	struct object o, e;
	json_t *list;

	open_object(&o, r, j, "owners[%zu]", i);
	get_text(&o, "owner", ret->owner, sizeof(ret->owner));
	ret->first_ms = get_ms(&o, "first_ms");
	ret->swept_ms = get_ms(&o, "swept_ms");
	ret->publish_ms = get_ms(&o, "publish_ms");
	ret->publish_tries = get_count(&o, "publish_tries");
	if (has(&o, "publish_wait_s"))
		ret->publish_wait_s = get_int(&o, "publish_wait_s", 0, DAY_S);
	get_ttls(&o, "served", &ret->served);
	list = get_list(&o, "serials", STATE_SERIALS_MAX);
	for (size_t k = 0; k < json_array_size(list); k++) {
		open_object(&e, r, json_array_get(list, k),
			"owners[%zu].serials[%zu]", i, k);
		get_text(&e, "server", ret->serial[k].server,
			sizeof(ret->serial[k].server));
		ret->serial[k].serial =
			(uint32_t)get_int(&e, "serial", 0, UINT32_MAX);
		close_object(&e);
	}
	ret->n_serials = json_array_size(list);
	close_object(&o);
}

static void get_record(struct reader *r, json_t *j, const char *where,
	const struct lineage_state *s, size_t i, struct key_at *ret)
{
	char owner[DNS_NAME_MAX];
	struct object o;

	open_object(&o, r, j, "%s", where);
	get_text(&o, "owner", owner, sizeof(owner));
	if (r->st == ST_OK && strcmp(owner, s->owner[i].owner) != 0)
		refuse(r, "%s is for %s, but owners[%zu] is %s", where, owner,
			i, s->owner[i].owner);
	ret->owner = i;
	ret->rec = (enum record_state)get_choice(
		&o, "state", record_at, REC_UNRETENTIVE + 1);
	ret->since_ms = get_ms(&o, "since_ms");
	ret->gone_ms = get_ms(&o, "gone_ms");
	get_ttls(&o, "bad", &ret->bad);
	close_object(&o);
}

static void get_key(struct reader *r, json_t *j, size_t i,
	const struct lineage_state *s, struct state_key *ret)
{
	char where[WHERE_MAX];
	struct object o;
	json_t *list;

	open_object(&o, r, j, "keys[%zu]", i);
	get_spki(&o, "spki", false, &ret->spki);
	ret->alg =
		(enum key_alg)get_choice(&o, "algorithm", alg_at, KEY__COUNT);
	ret->role =
		(enum key_role)get_choice(&o, "role", role_at, KEY_RETIRED + 1);
	ret->have_file = get_bool(&o, "have_file");
	ret->created_ms = get_ms(&o, "created_ms");
	ret->live_ms = get_ms(&o, "live_ms");
	ret->retired_ms = get_ms(&o, "retired_ms");
	list = get_list(&o, "records", STATE_OWNERS_MAX);
	close_object(&o);
	if (json_array_size(list) != s->n_owners)
		refuse(r, "keys[%zu] needs one record per owner name", i);
	ret->at = new_list(r, s->n_owners, sizeof(*ret->at));
	for (size_t k = 0; k < s->n_owners && r->st == ST_OK; k++) {
		(void)snprintf(
			where, sizeof(where), "keys[%zu].records[%zu]", i, k);
		get_record(
			r, json_array_get(list, k), where, s, k, &ret->at[k]);
	}
}

static void get_gen(
	struct reader *r, json_t *j, size_t i, struct state_gen *ret)
{
	struct object o;

	open_object(&o, r, j, "generations[%zu]", i);
	ret->n = get_count(&o, "n");
	get_spki(&o, "spki", false, &ret->spki);
	get_spki(&o, "fingerprint", true, &ret->fingerprint);
	ret->source = (enum gen_source)get_choice(
		&o, "source", source_at, GEN_CSR + 1);
	ret->lineage_version = get_count(&o, "lineage_version");
	ret->not_before_s = get_int(&o, "not_before_s", -S_MAX, S_MAX);
	ret->not_after_s = get_int(&o, "not_after_s", -S_MAX, S_MAX);
	ret->taken_ms = get_ms(&o, "taken_ms");
	ret->rollbacks = get_count(&o, "rollbacks");
	ret->retry_ms = get_ms(&o, "retry_ms");
	if (has(&o, "tried_ms"))
		ret->tried_ms = get_ms(&o, "tried_ms");
	close_object(&o);
}

static void get_issue(struct reader *r, json_t *j, struct lineage_state *ret)
{
	struct object o;
	json_t *list;

	open_object(&o, r, j, "issue");
	list = get_list(&o, "at_ms", N_ISSUED);
	if (json_array_size(list) != N_ISSUED)
		refuse(r, "issue: \"at_ms\" has not %zu entries", N_ISSUED);
	for (size_t i = 0; i < N_ISSUED && r->st == ST_OK; i++) {
		json_t *v = json_array_get(list, i);
		json_int_t n = json_integer_value(v);

		if (!json_is_integer(v) || n < 0 || n > MS_MAX)
			refuse(r, "issue: \"at_ms\" holds no time");
		ret->issued_ms[i] = n;
	}
	ret->issue_tries = get_count(&o, "tries");
	ret->issue_retry_ms = get_ms(&o, "retry_ms");
	get_text(&o, "why", ret->issue_why, sizeof(ret->issue_why));
	close_object(&o);
}

static void get_intent(struct reader *r, json_t *j, struct intent *ret)
{
	struct object o;

	open_object(&o, r, j, "intent");
	ret->kind = (enum intent_kind)get_choice(
		&o, "kind", intent_at, INTENT_FORGET + 1);
	ret->gen = get_count(&o, "gen");
	ret->to_gen = get_count(&o, "to_gen");
	get_spki(&o, "spki", true, &ret->spki);
	ret->since_ms = get_ms(&o, "since_ms");
	close_object(&o);
}

/* The counters are raised one by one, so that state_release can free a state
 * that was left half-read. */
static void get_lists(
	struct object *o, struct reader *r, struct lineage_state *ret)
{
	json_t *owners = get_list(o, "owners", STATE_OWNERS_MAX);
	json_t *keys = get_list(o, "keys", STATE_KEYS_MAX);
	json_t *gens = get_list(o, "generations", STATE_GENS_MAX);
	size_t n = json_array_size(owners);

	ret->owner = new_list(r, n, sizeof(*ret->owner));
	for (size_t i = 0; i < n && r->st == ST_OK; i++)
		get_owner(r, json_array_get(owners, i), i,
			&ret->owner[ret->n_owners++]);
	n = json_array_size(keys);
	ret->key = new_list(r, n, sizeof(*ret->key));
	for (size_t i = 0; i < n && r->st == ST_OK; i++)
		get_key(r, json_array_get(keys, i), i, ret,
			&ret->key[ret->n_keys++]);
	n = json_array_size(gens);
	ret->gen = new_list(r, n, sizeof(*ret->gen));
	for (size_t i = 0; i < n && r->st == ST_OK; i++)
		get_gen(r, json_array_get(gens, i), i,
			&ret->gen[ret->n_gens++]);
}

static void get_state(struct reader *r, json_t *j, struct lineage_state *ret)
{
	struct object o;

	open_object(&o, r, j, "the file");
	(void)get(&o, "version"); /* looked at already */
	get_text(&o, "name", ret->name, sizeof(ret->name));
	get_clock(r, get(&o, "clock"), &ret->clock);
	get_lists(&o, r, ret);
	ret->next_gen = get_count(&o, "next_gen");
	ret->live_gen = get_count(&o, "live_gen");
	ret->rolled_back_gen = get_count(&o, "rolled_back_gen");
	get_text(&o, "rolled_back_why", ret->rolled_back_why,
		sizeof(ret->rolled_back_why));
	ret->verified_first_ms = get_ms(&o, "verified_first_ms");
	ret->verified_ms = get_ms(&o, "verified_ms");
	get_text(&o, "lineage_seen", ret->lineage_seen,
		sizeof(ret->lineage_seen));
	get_issue(r, get(&o, "issue"), ret);
	get_text(&o, "publish_why", ret->publish_why,
		sizeof(ret->publish_why));
	ret->publish_temporary = get_bool(&o, "publish_temporary");
	get_text(&o, "doing", ret->doing, sizeof(ret->doing));
	get_text(&o, "why", ret->why, sizeof(ret->why));
	ret->alert = get_bool(&o, "alert");
	ret->wake_ms = get_ms(&o, "wake_ms");
	get_intent(r, get(&o, "intent"), &ret->intent);
	close_object(&o);
}

/* ---- what must hold across members ---- */

static void check_owners(struct reader *r, const struct lineage_state *s)
{
	for (size_t i = 0; i < s->n_owners; i++) {
		const char *name = s->owner[i].owner;

		if (name[0] == '\0' || name[strlen(name) - 1] != '.')
			refuse(r, "owners[%zu]: \"%s\" is not a full name", i,
				name);
		for (size_t k = 0; k < i; k++)
			if (strcmp(name, s->owner[k].owner) == 0)
				refuse(r, "owner name %s is there twice", name);
	}
}

static void check_keys(struct reader *r, const struct lineage_state *s)
{
	char hex[SPKI_HEX];
	int current = 0;

	for (size_t i = 0; i < s->n_keys; i++) {
		if (state_key_find(s, &s->key[i].spki) != &s->key[i])
			refuse(r, "key %s is there twice",
				spki_hex(&s->key[i].spki, hex));
		current += s->key[i].role == KEY_CURRENT;
	}
	if (current > 1)
		refuse(r, "%d keys are current", current);
}

static void check_gens(struct reader *r, const struct lineage_state *s)
{
	unsigned last = 0;

	for (size_t i = 0; i < s->n_gens; i++) {
		const struct state_gen *g = &s->gen[i];

		if (g->n <= last)
			refuse(r, "generations do not ascend at %u", g->n);
		last = g->n;
		if (state_key_find(s, &g->spki) == NULL)
			refuse(r, "generation %u has an unknown key", g->n);
	}
	if (s->next_gen <= last)
		refuse(r, "next_gen %u is taken", s->next_gen);
	if (s->live_gen != 0 && state_gen_find(s, s->live_gen) == NULL)
		refuse(r, "live_gen %u is not in the list", s->live_gen);
	if (s->rolled_back_gen >= s->next_gen)
		refuse(r, "rolled_back_gen %u never was", s->rolled_back_gen);
}

static void check_intent(struct reader *r, const struct lineage_state *s)
{
	const struct intent *t = &s->intent;
	unsigned gen = 0;
	bool needs_key = false;

	switch (t->kind) {
	case INTENT_PROMOTE:
	case INTENT_IMPORT:
		gen = t->gen;
		break;
	case INTENT_ROLL_BACK:
		gen = t->to_gen;
		break;
	case INTENT_RETIRE:
	case INTENT_ISSUE:
		needs_key = true;
		break;
	case INTENT_NONE:
	case INTENT_TAKE:
	case INTENT_GENERATE:
	case INTENT_PUBLISH:
	case INTENT_FORGET:
		return;
	}
	if (needs_key && state_key_find(s, &t->spki) == NULL)
		refuse(r, "the intent %s has an unknown key",
			intent_name(t->kind));
	if (!needs_key && state_gen_find(s, gen) == NULL)
		refuse(r, "the intent %s has no generation %u",
			intent_name(t->kind), gen);
}

static enum status check_version(json_t *root, struct err *err)
{
	json_t *v = json_object_get(root, "version");
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 1)
		return err_set(err, ST_REFUSED,
			"not a state file of danelaw (no version); nothing was "
			"changed: restore it from a backup");
	if (n > STATE_VERSION)
		return err_set(err, ST_REFUSED,
			"needs a danelaw that knows state format %lld, this "
			"one knows up to %d; nothing was changed: install "
			"that danelaw again",
			(long long)n, STATE_VERSION);
	return ST_OK;
}

enum status state_from_json(const char *text, size_t len,
	struct lineage_state *ret, struct err *err)
{
	struct reader r = { .err = err, .st = ST_OK };
	struct lineage_state s;
	json_error_t je = { .line = 0 };
	json_auto_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);

	/* jansson says nothing at all when it has no memory */
	if (root == NULL &&
		(json_error_code(&je) == json_error_unknown ||
			json_error_code(&je) == json_error_out_of_memory))
		return err_set(err, ST_NOMEM, "out of memory");
	if (root == NULL)
		return err_set(err, ST_REFUSED,
			"corrupt or truncated at line %d, column %d (%s); "
			"nothing was changed: restore it from a backup",
			je.line, je.column, je.text);
	if (check_version(root, err) != ST_OK)
		return err->st;
	memset(&s, 0, sizeof(s));
	get_state(&r, root, &s);
	if (r.st == ST_OK) {
		check_owners(&r, &s);
		check_keys(&r, &s);
		check_gens(&r, &s);
		check_intent(&r, &s);
	}
	if (r.st == ST_OK) {
		*ret = s;
		return ST_OK;
	}
	state_release(&s);
	if (r.st == ST_REFUSED)
		(void)err_context(err,
			"corrupt (nothing was changed: restore it from a "
			"backup)");
	return r.st;
}
