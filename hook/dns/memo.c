/*
 * A hash table of look-ups, so that thousands of owner names in few zones cost
 * one question per distinct name and type. Entries are never moved or dropped
 * before the end: pointers from memo_get stay good.
 */
#include "hook/dns/memo.h"

struct memo {
	struct resolver *resolver;
	struct lookup **slot; /* open addressing; cap is a power of two */
	size_t cap;
	struct lookup **entry; /* in the order of memo_want */
	size_t n, max;
	size_t n_run; /* the first n_run entries have been asked */
};

enum status memo_new(struct resolver *r, struct memo **ret, struct err *err)
{
	struct memo *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	m->resolver = r;
	*ret = m;
	return ST_OK;
}

void memo_free(struct memo *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n; i++) {
		lookup_release(m->entry[i]);
		free(m->entry[i]);
	}
	free(m->entry);
	free(m->slot);
	free(m);
}

/* FNV-1a */
static size_t hash(const char *name, uint16_t type)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3U;
	h = (h ^ type) * 0x100000001b3U;
	return (size_t)(h ^ (h >> 32));
}

/* The slot that holds the pair, or the free one where it belongs. */
static size_t find(const struct memo *m, const char *name, uint16_t type)
{
	size_t i = hash(name, type) & (m->cap - 1);

	while (m->slot[i] != NULL &&
		(m->slot[i]->type != type ||
			strcmp(m->slot[i]->name, name) != 0))
		i = (i + 1) & (m->cap - 1);
	return i;
}

static enum status grow(struct memo *m, struct err *err)
{
	size_t max = m->max > 0 ? 2 * m->max : 64;
	struct lookup **entry, **slot;

	entry = reallocarray(m->entry, max, sizeof(*entry));
	if (entry == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	m->entry = entry;
	slot = calloc(2 * max, sizeof(*slot));
	if (slot == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	free(m->slot);
	m->slot = slot;
	m->cap = 2 * max;
	m->max = max;
	for (size_t i = 0; i < m->n; i++)
		slot[find(m, entry[i]->name, entry[i]->type)] = entry[i];
	return ST_OK;
}

enum status memo_want(
	struct memo *m, const char *name, uint16_t type, struct err *err)
{
	struct lookup *l;
	size_t i;

	if (m->n == m->max && grow(m, err) != ST_OK)
		return err->st;
	i = find(m, name, type);
	if (m->slot[i] != NULL)
		return ST_OK;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	l->type = type;
	m->slot[i] = l;
	m->entry[m->n++] = l;
	return ST_OK;
}

enum status memo_run(struct memo *m, struct err *err)
{
	size_t from = m->n_run;

	if (from == m->n)
		return ST_OK;
	m->n_run = m->n;
	return resolver_lookup(m->resolver, m->entry + from, m->n - from, err);
}

const struct lookup *memo_get(
	const struct memo *m, const char *name, uint16_t type)
{
	return m->cap > 0 ? m->slot[find(m, name, type)] : NULL;
}

size_t memo_count(const struct memo *m)
{
	return m->n_run;
}

const struct lookup *memo_at(const struct memo *m, size_t i)
{
	return m->entry[i];
}

/* No compression here: libunbound hands out RDATA in its plain form. */
bool rdata_name(const struct rdata *rd, char ret[static DNS_NAME_MAX])
{
	struct err err = ERR_INIT;
	char text[DNS_NAME_MAX] = ".";
	size_t at = 0, out = 0;

	while (at < rd->len && rd->data[at] != 0) {
		size_t len = rd->data[at++];

		if (len > 63 || at + len > rd->len ||
			out + len + 2 > sizeof(text) ||
			memchr(rd->data + at, '.', len) != NULL ||
			memchr(rd->data + at, '\0', len) != NULL)
			return false;
		memcpy(text + out, rd->data + at, len);
		at += len;
		out += len;
		text[out++] = '.';
		text[out] = '\0';
	}
	return at + 1 == rd->len && name_canon(text, ret, &err) == ST_OK;
}
