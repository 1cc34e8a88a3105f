/*
 * The state of one lineage as a value: add, find, remove, copy. What must hold:
 * every key has exactly one key_at per owner, in the order of the owners;
 * generations ascend; at most STATE_*_MAX of each. A TTL history may overstate
 * what caches hold, never understate it: an understatement would make a key
 * ready too early. (RFC 7583 3.2, dane.md B "TTL ACCOUNTING")
 */
#include "state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const role_names[] = {
	[KEY_CANDIDATE] = "candidate",
	[KEY_NEXT] = "next",
	[KEY_CURRENT] = "current",
	[KEY_PREVIOUS] = "previous",
	[KEY_RETIRED] = "retired",
};
_Static_assert(
	sizeof(role_names) / sizeof(role_names[0]) == KEY_RETIRED + 1, "roles");

static const char *const record_names[] = {
	[REC_HIDDEN] = "hidden",
	[REC_RUMOURED] = "rumoured",
	[REC_OMNIPRESENT] = "omnipresent",
	[REC_UNRETENTIVE] = "unretentive",
};
_Static_assert(
	sizeof(record_names) / sizeof(record_names[0]) == REC_UNRETENTIVE + 1,
	"record states");

static const char *const intent_names[] = {
	[INTENT_NONE] = "none",
	[INTENT_TAKE] = "take",
	[INTENT_GENERATE] = "generate",
	[INTENT_PUBLISH] = "publish",
	[INTENT_PROMOTE] = "promote",
	[INTENT_ROLL_BACK] = "roll-back",
	[INTENT_RETIRE] = "retire",
	[INTENT_ISSUE] = "issue",
	[INTENT_IMPORT] = "import",
	[INTENT_FORGET] = "forget",
};
_Static_assert(
	sizeof(intent_names) / sizeof(intent_names[0]) == INTENT_FORGET + 1,
	"intents");

const char *key_role_name(enum key_role r)
{
	return (unsigned)r <= KEY_RETIRED ? role_names[r] : "unknown";
}

const char *record_state_name(enum record_state r)
{
	return (unsigned)r <= REC_UNRETENTIVE ? record_names[r] : "unknown";
}

const char *intent_name(enum intent_kind k)
{
	return (unsigned)k <= INTENT_FORGET ? intent_names[k] : "unknown";
}

void state_init(struct lineage_state *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->next_gen = 1;
}

void state_release(struct lineage_state *s)
{
	for (size_t i = 0; i < s->n_keys; i++)
		free(s->key[i].at);
	free(s->key);
	free(s->owner);
	free(s->gen);
	memset(s, 0, sizeof(*s));
}

/* Never NULL for n == 0, so that NULL always means "out of memory". */
static void *copy_array(const void *from, size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size);

	if (p != NULL && n > 0)
		memcpy(p, from, n * size);
	return p;
}

enum status state_copy(const struct lineage_state *from,
	struct lineage_state *ret, struct err *err)
{
	struct lineage_state s = *from;
	bool ok;

	s.owner = copy_array(from->owner, from->n_owners, sizeof(*s.owner));
	s.gen = copy_array(from->gen, from->n_gens, sizeof(*s.gen));
	s.key = copy_array(from->key, from->n_keys, sizeof(*s.key));
	ok = s.owner != NULL && s.gen != NULL && s.key != NULL;
	if (s.key == NULL)
		s.n_keys = 0;
	for (size_t i = 0; i < s.n_keys; i++) {
		s.key[i].at = copy_array(
			from->key[i].at, from->n_owners, sizeof(*s.key[i].at));
		ok = ok && s.key[i].at != NULL;
	}
	if (!ok) {
		state_release(&s);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	*ret = s;
	return ST_OK;
}

struct state_key *state_key_find(
	const struct lineage_state *s, const struct spki *spki)
{
	for (size_t i = 0; i < s->n_keys; i++)
		if (spki_eq(&s->key[i].spki, spki))
			return &s->key[i];
	return NULL;
}

struct state_key *state_key_role(
	const struct lineage_state *s, enum key_role role)
{
	for (size_t i = 0; i < s->n_keys; i++)
		if (s->key[i].role == role)
			return &s->key[i];
	return NULL;
}

struct state_gen *state_gen_find(const struct lineage_state *s, unsigned n)
{
	for (size_t i = 0; i < s->n_gens; i++)
		if (s->gen[i].n == n)
			return &s->gen[i];
	return NULL;
}

struct state_gen *state_gen_of(
	const struct lineage_state *s, const struct spki *spki)
{
	for (size_t i = s->n_gens; i > 0; i--)
		if (spki_eq(&s->gen[i - 1].spki, spki))
			return &s->gen[i - 1];
	return NULL;
}

static struct key_at *new_at(size_t n_owners)
{
	struct key_at *at = calloc(n_owners > 0 ? n_owners : 1, sizeof(*at));

	for (size_t i = 0; at != NULL && i < n_owners; i++)
		at[i].owner = i;
	return at;
}

bool state_key_may_be_served(
	const struct lineage_state *s, const struct state_key *k)
{
	if (k->role == KEY_RETIRED)
		return false;
	if (k->role == KEY_CURRENT || k->role == KEY_PREVIOUS)
		return true;
	/* Any of its certificates: a newer one was never tried. */
	for (size_t i = 0; i < s->n_gens; i++)
		if (spki_eq(&s->gen[i].spki, &k->spki) &&
			(s->gen[i].tried_ms != 0 || s->gen[i].rollbacks > 0))
			return true;
	return false;
}

enum status state_key_add(struct lineage_state *s, const struct spki *spki,
	enum key_alg alg, enum key_role role, struct state_key **ret,
	struct err *err)
{
	struct state_key k = { .spki = *spki, .alg = alg, .role = role };
	char hex[SPKI_HEX];
	struct state_key *p;

	if (spki_is_none(spki) || spki_is_empty_digest(spki))
		return err_set(
			err, ST_REFUSED, "the digest of nothing is not a key");
	if (state_key_find(s, spki) != NULL)
		return err_set(err, ST_REFUSED, "key %s is known already",
			spki_hex(spki, hex));
	if (s->n_keys >= STATE_KEYS_MAX)
		return err_set(err, ST_REFUSED,
			"lineage %s has %d keys already: finish or give up a "
			"rollover first (see danelaw status)",
			s->name, STATE_KEYS_MAX);
	p = realloc(s->key, (s->n_keys + 1) * sizeof(*p));
	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	s->key = p;
	k.at = new_at(s->n_owners);
	if (k.at == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	p = &s->key[s->n_keys++];
	*p = k;
	*ret = p;
	return ST_OK;
}

void state_key_remove(struct lineage_state *s, struct state_key *k)
{
	size_t i = (size_t)(k - s->key);

	free(k->at);
	s->n_keys--;
	memmove(k, k + 1, (s->n_keys - i) * sizeof(*k));
}

enum status state_gen_add(
	struct lineage_state *s, struct state_gen **ret, struct err *err)
{
	struct state_gen *p;

	if (s->n_gens >= STATE_GENS_MAX)
		return err_set(err, ST_REFUSED,
			"lineage %s has %d generations already: old ones must "
			"be forgotten first",
			s->name, STATE_GENS_MAX);
	p = realloc(s->gen, (s->n_gens + 1) * sizeof(*p));
	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	s->gen = p;
	p = &s->gen[s->n_gens++];
	memset(p, 0, sizeof(*p));
	p->n = s->next_gen++;
	*ret = p;
	return ST_OK;
}

void state_gen_remove(struct lineage_state *s, struct state_gen *g)
{
	size_t i = (size_t)(g - s->gen);

	s->n_gens--;
	memmove(g, g + 1, (s->n_gens - i) * sizeof(*g));
}

/* n_owners when there is none */
static size_t owner_index(const struct lineage_state *s, const char *owner)
{
	size_t i = 0;

	while (i < s->n_owners && strcmp(s->owner[i].owner, owner) != 0)
		i++;
	return i;
}

static enum status check_owners(
	const char (*owners)[DNS_NAME_MAX], size_t n, struct err *err)
{
	if (n > STATE_OWNERS_MAX)
		return err_set(err, ST_REFUSED,
			"%zu owner names; at most %d can be handled", n,
			STATE_OWNERS_MAX);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(owners[i], owners[j]) == 0)
				return err_set(err, ST_CONFIG,
					"owner name %s is listed twice",
					owners[i]);
	return ST_OK;
}

enum status state_set_owners(struct lineage_state *s,
	const char (*owners)[DNS_NAME_MAX], size_t n, struct err *err)
{
	struct key_at *at[STATE_KEYS_MAX] = { NULL };
	struct owner_state *list;
	enum status st = check_owners(owners, n, err);
	bool ok;

	if (st != ST_OK)
		return st;
	if (s->n_keys > STATE_KEYS_MAX)
		return err_set(err, ST_BUG, "too many keys");
	list = calloc(n > 0 ? n : 1, sizeof(*list));
	ok = list != NULL;
	for (size_t k = 0; k < s->n_keys; k++) {
		at[k] = new_at(n);
		ok = ok && at[k] != NULL;
	}
	if (!ok) {
		for (size_t k = 0; k < s->n_keys; k++)
			free(at[k]);
		free(list);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		size_t old = owner_index(s, owners[i]);

		if (old == s->n_owners) {
			(void)snprintf(list[i].owner, sizeof(list[i].owner),
				"%s", owners[i]);
			continue;
		}
		list[i] = s->owner[old];
		for (size_t k = 0; k < s->n_keys; k++) {
			at[k][i] = s->key[k].at[old];
			at[k][i].owner = i;
		}
	}
	for (size_t k = 0; k < s->n_keys; k++) {
		free(s->key[k].at);
		s->key[k].at = at[k];
	}
	free(s->owner);
	s->owner = list;
	s->n_owners = n;
	return ST_OK;
}

/* When the last cache forgets it; saturates. */
static int64_t gone_ms(const struct ttl_seen *e)
{
	int64_t t;

	if (__builtin_add_overflow(e->last_ms, (int64_t)e->ttl * 1000, &t))
		return INT64_MAX;
	return t;
}

static struct ttl_seen merged(struct ttl_seen a, struct ttl_seen b)
{
	struct ttl_seen m = { .ttl = a.ttl > b.ttl ? a.ttl : b.ttl,
		.last_ms = a.last_ms > b.last_ms ? a.last_ms : b.last_ms };

	return m;
}

/* Makes room: the pair whose union overstates least becomes one entry. */
static void merge_cheapest(struct ttl_seen *e, size_t n)
{
	size_t best_a = 0, best_b = 1;
	double best = -1;

	for (size_t a = 0; a < n; a++)
		for (size_t b = a + 1; b < n; b++) {
			struct ttl_seen m = merged(e[a], e[b]);
			double cost = 2.0 * (double)gone_ms(&m) -
				      (double)gone_ms(&e[a]) -
				      (double)gone_ms(&e[b]);

			if (best < 0 || cost < best) {
				best = cost;
				best_a = a;
				best_b = b;
			}
		}
	e[best_a] = merged(e[best_a], e[best_b]);
	e[best_b] = e[n - 1];
}

void ttl_history_add(struct ttl_history *h, uint32_t ttl, int64_t now_ms)
{
	struct ttl_seen all[STATE_TTLS_MAX + 1];
	const struct ttl_seen seen = { .ttl = ttl, .last_ms = now_ms };

	for (size_t i = 0; i < h->n; i++)
		if (h->e[i].ttl == ttl) {
			if (h->e[i].last_ms < now_ms)
				h->e[i].last_ms = now_ms;
			return;
		}
	if (h->n < STATE_TTLS_MAX) {
		h->e[h->n++] = seen;
		return;
	}
	memcpy(all, h->e, sizeof(h->e));
	all[STATE_TTLS_MAX] = seen;
	merge_cheapest(all, STATE_TTLS_MAX + 1);
	memcpy(h->e, all, sizeof(h->e));
}

void ttl_history_prune(struct ttl_history *h, int64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		if (gone_ms(&h->e[i]) >= now_ms)
			h->e[n++] = h->e[i];
	memset(h->e + n, 0, (h->n - n) * sizeof(h->e[0]));
	h->n = n;
}

int64_t ttl_history_gone_ms(const struct ttl_history *h)
{
	int64_t last = 0;

	for (size_t i = 0; i < h->n; i++) {
		int64_t t = gone_ms(&h->e[i]);

		if (t > last)
			last = t;
	}
	return last;
}

uint32_t ttl_history_max_at(const struct ttl_history *h, int64_t ms)
{
	uint32_t max = 0;

	for (size_t i = 0; i < h->n; i++)
		if (gone_ms(&h->e[i]) >= ms && h->e[i].ttl > max)
			max = h->e[i].ttl;
	return max;
}
