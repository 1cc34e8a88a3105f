/*
 * Private keys on disk: keys/SPKI.pem, 0600, in a 0700 folder. What must hold:
 * a file holds the key that its name says, or is refused; a key that was saved
 * is durable before anybody publishes its record.
 */
#include "state/store_impl.h"

#include "hook/base/atomicfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE_MAX (SPKI_HEX + 4)

static enum status key_file(
	const struct spki *spki, char ret[static KEY_FILE_MAX], struct err *err)
{
	char hex[SPKI_HEX];

	if (spki_is_none(spki) || spki_is_empty_digest(spki))
		return err_set(
			err, ST_REFUSED, "the digest of nothing is not a key");
	(void)snprintf(ret, KEY_FILE_MAX, "%s.pem", spki_hex(spki, hex));
	return ST_OK;
}

/* fsync, or the name may be lost with the next power cut. */
static enum status sync_keys(struct store_lineage *l, struct err *err)
{
	if (fsync(l->keys) != 0)
		return err_sys(err, ST_IO, errno,
			"cannot make the keys of lineage %s durable", l->name);
	return ST_OK;
}

enum status store_key_load(struct store_lineage *l, const struct spki *spki,
	struct key **ret, struct err *err)
{
	auto_buf pem = BUF_INIT(STORE_PEM_MAX);
	char file[KEY_FILE_MAX];
	struct key *k;
	enum status st = key_file(spki, file, err);

	if (st == ST_OK)
		st = atomicfile_read(l->keys, file, &pem, err);
	if (st != ST_OK)
		return st;
	st = key_from_pem(buf_str(&pem), pem.len, &k, err);
	if (st != ST_OK)
		return err_context(err, "%s/lineages/%s/keys/%s", l->store->dir,
			l->name, file);
	if (!spki_eq(key_spki(k), spki)) {
		key_free(k);
		return err_set(err, ST_REFUSED,
			"%s/lineages/%s/keys/%s holds another key than its "
			"name says: restore it from a backup",
			l->store->dir, l->name, file);
	}
	*ret = k;
	return ST_OK;
}

enum status store_key_save(
	struct store_lineage *l, const struct key *k, struct err *err)
{
	auto_buf pem = BUF_INIT(STORE_PEM_MAX);
	char file[KEY_FILE_MAX];
	struct key *old;
	enum status st = store_key_load(l, key_spki(k), &old, err);

	if (st == ST_OK) {
		key_free(old);
		/* we may have died between its rename and its fsync */
		return sync_keys(l, err);
	}
	if (st != ST_NOTFOUND)
		return st;
	st = key_file(key_spki(k), file, err);
	if (st == ST_OK)
		st = key_to_pem(k, &pem, err);
	if (st == ST_OK)
		st = atomicfile_create(
			l->keys, file, 0600, pem.data, pem.len, err);
	return st;
}

enum status store_key_remove(
	struct store_lineage *l, const struct spki *spki, struct err *err)
{
	char file[KEY_FILE_MAX];
	enum status st = key_file(spki, file, err);

	if (st != ST_OK)
		return st;
	if (unlinkat(l->keys, file, 0) != 0 && errno != ENOENT)
		return err_sys(err, ST_IO, errno,
			"cannot remove %s/lineages/%s/keys/%s", l->store->dir,
			l->name, file);
	return sync_keys(l, err);
}

struct orphans {
	struct store_lineage *l;
	const struct lineage_state *state;
	struct spki *list;
	size_t n;
};

static enum status orphan_entry(const char *name, void *arg, struct err *err)
{
	struct orphans *o = arg;
	struct err ignored = ERR_INIT;
	char hex[SPKI_HEX];
	struct spki spki, *p;
	struct key *k;

	if (strlen(name) != KEY_FILE_MAX - 1 ||
		strcmp(name + SPKI_HEX - 1, ".pem") != 0)
		return ST_OK;
	memcpy(hex, name, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	if (!spki_parse(hex, &spki) ||
		state_key_find(o->state, &spki) != NULL ||
		store_key_load(o->l, &spki, &k, &ignored) != ST_OK)
		return ST_OK;
	key_free(k);
	p = reallocarray(o->list, o->n + 1, sizeof(*p));
	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	o->list = p;
	o->list[o->n++] = spki;
	return ST_OK;
}

static int compare_spki(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct spki));
}

enum status store_key_orphans(struct store_lineage *l,
	const struct lineage_state *s, struct spki **ret, size_t *ret_n,
	struct err *err)
{
	struct orphans o = { .l = l, .state = s };
	enum status st = store_each(l->keys, "keys/", orphan_entry, &o, err);

	if (st != ST_OK) {
		free(o.list);
		return st;
	}
	if (o.n > 1)
		qsort(o.list, o.n, sizeof(*o.list), compare_spki);
	*ret = o.list;
	*ret_n = o.n;
	return ST_OK;
}
