/*
 * The ops of every provider with an HTTP API: get, replace and edit, on top of
 * a vendor's few calls. An edit groups names by zone; each zone is a job: read,
 * decide, write, and, when somebody else was faster, once more. Invariants:
 * records are added before others are removed; what could not be added at a
 * name stops removals there; a bulk write that is refused is tried name by
 * name, so that one bad name does not hold up the rest. (dane.md B-17..B-26)
 */
#include "providers/api_impl.h"

#include <stdlib.h>
#include <string.h>

#define PARALLEL 4

/* ---- opening ---- */

struct rest *api_rest(const struct api *a)
{
	struct rest *r;

	memcpy(&r, (const char *)a->v + a->vendor->rest, sizeof(r));
	return r;
}

/* For vendors with one secret. */
static enum status open_client(const struct api_vendor *vendor,
	struct api_client *c, const struct provider_config *cfg,
	struct err *err)
{
	const struct provider_option *o = &vendor->options[API_TOKEN];
	const char *file = cfg->value[API_TOKEN];
	struct rest_config rc = { .header = vendor->header,
		.prefix = vendor->prefix,
		.secret = &c->token,
		.judge = vendor->judge,
		.arg = c,
		.pace_ms = vendor->pace_ms,
		.secret_option = o->name,
		.secret_file = file ? file : o->env,
		.rights = vendor->rights };
	enum status st =
		cred_secret(cfg, vendor->options, API_TOKEN, &c->token, err);

	return st ? st : api_rest_new(cfg, &rc, &c->rest, err);
}

static void release_client(struct api_client *c)
{
	rest_free(c->rest);
	secret_release(&c->token);
}

enum status api_open(const struct api_vendor *vendor,
	const struct provider_config *cfg, void **ret, struct err *err)
{
	struct api *a = calloc(1, sizeof(*a));
	enum status st;

	if (!a)
		return api_no_memory(err);
	a->vendor = vendor;
	a->v = calloc(1, vendor->size);
	a->name = strdup(cfg->name);
	if (!a->v || !a->name)
		st = api_no_memory(err);
	else
		st = vendor->init ? vendor->init(a->v, cfg, err)
				  : open_client(vendor, a->v, cfg, err);
	if (st) {
		api_close(a);
		return err_context(err, "provider \"%s\"", cfg->name);
	}
	*ret = a;
	return ST_OK;
}

void api_close(void *ctx)
{
	struct api *a = ctx;

	if (!a)
		return;
	if (a->logged_in && a->vendor->logout)
		a->vendor->logout(a->v);
	if (a->v && a->vendor->release)
		a->vendor->release(a->v);
	else if (a->v)
		release_client(a->v);
	for (size_t i = 0; i < a->zones.n; i++)
		free(a->zones.zone[i]);
	free(a->zones.zone);
	free(a->memo);
	free(a->name);
	free(a->v);
	free(a);
}

enum status api_begin(struct api *a, struct err *err)
{
	enum status st = ST_OK;

	if (!a->logged_in && a->vendor->login)
		st = a->vendor->login(a->v, err);
	a->logged_in |= st == ST_OK;
	return st ? st : api_list_zones(a, err);
}

/* ---- one zone ---- */

/* What went wrong on the way and was overlooked is no result. */
static enum status settled(enum status st, struct err *err)
{
	if (st == ST_OK)
		*err = (struct err)ERR_INIT;
	return st;
}

/* All names of one zone that an edit is about. */
struct group {
	const struct api_zone *zone;
	struct provider_item **item;
	size_t *index; /* as decide knows them */
	size_t n;
};

struct edit {
	struct api *a;
	provider_decide decide;
	void *arg;
	struct group *group;
};

/* A name that is being worked on: the vendor's view and the caller's. */
struct pair {
	struct provider_item *p;
	size_t index;
	bool again; /* somebody else was faster */
};

static void fail_all(
	struct provider_item *const *items, size_t n, const struct err *err)
{
	for (size_t i = 0; i < n; i++)
		items[i]->err = *err;
}

static enum status read_items(struct api *a, const struct api_zone *z,
	struct api_item *it, size_t n, struct err *err)
{
	enum status st;

	if (z->unusable[0])
		return err_set(
			err, ST_CONFIG, "zone %s: %s", z->name, z->unusable);
	st = a->vendor->read(a->v, z, it, n, err);
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFIG; /* the zone is gone, or hidden */
	return st ? err_context(err, "zone %s", z->name) : st;
}

static enum status check_cname(const struct api_item *it, struct err *err)
{
	if (it->cname)
		return err_set(err, ST_REFUSED,
			"%s is a CNAME there: records belong at the name that "
			"it points to",
			it->owner);
	return ST_OK;
}

/* Sets *ret_change when something is to be written. */
static enum status decide_one(const struct edit *e, struct api_item *it,
	const struct pair *q, bool *ret_change, struct err *err)
{
	const struct api_vendor *v = e->a->vendor;
	bool same = true;
	enum status st = check_cname(it, err);

	tlsa_rrset_release(&q->p->now);
	tlsa_rrset_release(&q->p->to);
	if (!st)
		st = api_item_parse(it, err);
	if (!st)
		st = tlsa_rrset_copy(&it->now, &q->p->now, err);
	if (!st)
		st = e->decide(e->arg, q->index, &q->p->now, &q->p->to, err);
	if (!st)
		st = api_item_diff(
			it, &q->p->to, v->write || v->set_ttl, &same, err);
	*ret_change = !st && !same;
	return settled(st, err);
}

/* ---- writing whole RRsets ---- */

static void note_written(
	struct pair *q, size_t n, enum status st, const struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		q[i].p->changed |= st == ST_OK;
		q[i].again = st == ST_CONFLICT;
		q[i].p->err = st ? *err : (struct err)ERR_INIT;
	}
}

static enum status write_some(const struct edit *e, const struct api_zone *z,
	struct api_item *it, struct pair *q, size_t n)
{
	struct err err = ERR_INIT;
	enum status st = e->a->vendor->write(e->a->v, z, it, n, &err);

	note_written(q, n, st, &err);
	return st;
}

static void swap(struct api_item *it, struct pair *q, size_t a, size_t b)
{
	struct api_item item = it[a];
	struct pair pair = q[a];

	it[a] = it[b];
	q[a] = q[b];
	it[b] = item;
	q[b] = pair;
}

/* Moves those that are not to blame to the front; their number. */
static size_t blameless(struct api_item *it, struct pair *q, size_t n)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (!it[i].to_blame)
			swap(it, q, i, m++);
	return m;
}

/* A refusal of many says nothing of each. */
static void write_again(const struct edit *e, const struct api_zone *z,
	struct api_item *it, struct pair *q, size_t n)
{
	size_t good = blameless(it, q, n);

	if (good && good < n && write_some(e, z, it, q, good) != ST_REFUSED)
		return;
	for (size_t i = 0; i < good; i++)
		(void)write_some(e, z, &it[i], &q[i], 1);
}

static void write_sets(const struct edit *e, const struct api_zone *z,
	struct api_item *it, struct pair *q, size_t n)
{
	size_t bulk = e->a->vendor->max_bulk;

	if (!bulk)
		bulk = 1;
	for (size_t i = 0, m; i < n; i += m) {
		enum status st;

		m = n - i < bulk ? n - i : bulk;
		st = write_some(e, z, &it[i], &q[i], m);
		if (m > 1 && (st == ST_REFUSED || st == ST_CONFLICT))
			write_again(e, z, &it[i], &q[i], m);
	}
}

/* ---- writing record by record ---- */

/* The other way round, a set that lacks what is new could be cached with a TTL
 * that no sweep ever saw: the wait would be too short. */
static enum status add_records(const struct edit *e, const struct api_zone *z,
	const struct api_item *it, struct err *err)
{
	const struct api_vendor *v = e->a->vendor;
	enum status st = ST_OK;

	for (size_t i = 0; i < it->n_want && !st; i++)
		if (!it->want[i].held)
			st = v->add(e->a->v, z, it, &it->want[i], err);
	for (size_t i = 0; i < it->n_want && !st && it->ttl_changes; i++) {
		const struct api_record *r = it->want[i].held;

		if (r && !r->disabled && r->ttl != it->new_ttl)
			st = v->set_ttl(e->a->v, z, it, r, err);
	}
	return settled(st, err);
}

static enum status remove_records(const struct edit *e,
	const struct api_zone *z, const struct api_item *it, struct err *err)
{
	const struct api_vendor *v = e->a->vendor;
	enum status st = ST_OK;

	for (size_t i = 0; i < it->n_gone && !st; i++) {
		st = v->remove(e->a->v, z, it, it->gone[i], err);
		if (st == ST_NOTFOUND)
			st = ST_OK;
	}
	return settled(st, err);
}

static enum status commit(
	const struct edit *e, const struct api_zone *z, struct err *err)
{
	const struct api_vendor *v = e->a->vendor;

	return v->commit ? v->commit(e->a->v, z, err) : ST_OK;
}

/* Trouble of the whole zone, for those that had none of their own. */
static void fail_rest(struct pair *q, size_t n, const struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (q[i].p->err.st == ST_OK)
			q[i].p->err = *err;
}

static void write_records(const struct edit *e, const struct api_zone *z,
	struct api_item *it, struct pair *q, size_t n)
{
	struct err err = ERR_INIT;
	bool removals = false;

	for (size_t i = 0; i < n; i++) {
		q[i].p->err = (struct err)ERR_INIT;
		q[i].again =
			add_records(e, z, &it[i], &q[i].p->err) == ST_CONFLICT;
		removals |= it[i].n_gone > 0;
	}
	/* What is added must be there before anything goes. */
	if (!e->a->vendor->staged && removals && commit(e, z, &err)) {
		fail_rest(q, n, &err);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (q[i].p->err.st != ST_OK)
			continue;
		q[i].again = remove_records(e, z, &it[i], &q[i].p->err) ==
			     ST_CONFLICT;
		q[i].p->changed |= q[i].p->err.st == ST_OK;
	}
}

/* ---- a zone, from reading to writing ---- */

/* Moves those that change to the front; the number of them. */
static size_t decide_all(
	const struct edit *e, struct api_item *it, struct pair *q, size_t n)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		struct err err = ERR_INIT;
		bool change;

		q[i].again = false;
		(void)decide_one(e, &it[i], &q[i], &change, &err);
		q[i].p->err = err;
		if (!change)
			continue;
		swap(it, q, i, m++);
	}
	return m;
}

static void write_all(const struct edit *e, const struct api_zone *z,
	struct api_item *it, struct pair *q, size_t m, size_t n)
{
	const struct api_vendor *v = e->a->vendor;
	struct err err = ERR_INIT;

	if (m && v->write)
		write_sets(e, z, it, q, m);
	else if (m)
		write_records(e, z, it, q, m);
	/* A run that died may have left changes that were never published. */
	if ((m || v->staged) && commit(e, z, &err))
		fail_rest(q, v->staged ? n : m, &err);
}

/* Returns how many must be done again; those are at the front of q. */
static size_t one_round(const struct edit *e, const struct api_zone *z,
	struct pair *q, size_t n)
{
	struct api_item *it = calloc(n, sizeof(*it));
	struct err err = ERR_INIT;
	enum status st = it ? ST_OK : api_no_memory(&err);
	size_t again = 0;

	for (size_t i = 0; i < n && !st; i++)
		st = api_item_init(&it[i], q[i].p->owner, z, &err);
	if (!st)
		st = read_items(e->a, z, it, n, &err);
	for (size_t i = 0; i < n && st; i++) {
		q[i].p->err = err;
		q[i].again = st == ST_CONFLICT; /* changed while it was read */
		/* One odd name must not stand for the whole zone. */
		if (st == ST_REFUSED && n > 1)
			(void)one_round(e, z, &q[i], 1);
	}
	if (!st)
		write_all(e, z, it, q, decide_all(e, it, q, n), n);
	for (size_t i = 0; i < n && it; i++)
		api_item_release(&it[i]);
	free(it);
	for (size_t i = 0; i < n; i++)
		if (q[i].again)
			q[again++] = q[i];
	return again;
}

static void edit_zone(void *arg, size_t i)
{
	const struct edit *e = arg;
	const struct group *g = &e->group[i];
	struct pair *q = calloc(g->n, sizeof(*q));
	struct err err = ERR_INIT;
	size_t n = g->n;

	if (!q) {
		(void)api_no_memory(&err);
		fail_all(g->item, g->n, &err);
		return;
	}
	for (size_t j = 0; j < n; j++) {
		q[j] = (struct pair){ .p = g->item[j], .index = g->index[j] };
		(void)snprintf(q[j].p->zone, sizeof(q[j].p->zone), "%s",
			g->zone->name);
	}
	for (int round = 0; round < 2 && n; round++)
		n = one_round(e, g->zone, q, n);
	free(q);
}

/* ---- many names ---- */

struct search {
	struct api *a;
	struct provider_item *item;
	const struct api_zone **zone; /* per item; NULL: failed */
};

static void find_one(void *arg, size_t i)
{
	struct search *s = arg;
	struct err *err = &s->item[i].err;
	enum status st =
		api_find_zone(s->a, s->item[i].owner, &s->zone[i], err);

	if (settled(st, err))
		s->zone[i] = NULL;
}

static unsigned parallel(const struct api *a)
{
	return a->vendor->parallel ? a->vendor->parallel : PARALLEL;
}

/* Fills groups out of one array of n pointers and one of n indices. */
static size_t group_by_zone(const struct search *s, size_t n,
	struct group *group, struct provider_item **item, size_t *index)
{
	size_t n_groups = 0, at = 0;

	for (size_t i = 0; i < n; i++) {
		struct group *g = &group[n_groups];
		const struct api_zone *z = s->zone[i];

		if (!z)
			continue;
		*g = (struct group){
			.zone = z, .item = item + at, .index = index + at
		};
		for (size_t j = i; j < n; j++) {
			if (s->zone[j] != z)
				continue;
			item[at] = &s->item[j];
			index[at++] = j;
			g->n++;
			s->zone[j] = NULL;
		}
		n_groups++;
	}
	return n_groups;
}

static void edit_items(struct api *a, struct provider_item *items, size_t n,
	provider_decide decide, void *arg, struct err *err)
{
	struct search s = { .a = a, .item = items };
	struct group *group = calloc(n, sizeof(*group));
	struct provider_item **item = calloc(n, sizeof(*item));
	size_t *index = calloc(n, sizeof(*index));
	struct edit e = {
		.a = a, .decide = decide, .arg = arg, .group = group
	};

	s.zone = calloc(n, sizeof(*s.zone));
	if (!group || !item || !index || !s.zone) {
		(void)api_no_memory(err);
	} else {
		rest_together(n, parallel(a), find_one, &s);
		rest_together(group_by_zone(&s, n, group, item, index),
			parallel(a), edit_zone, &e);
	}
	free(s.zone);
	free(index);
	free(item);
	free(group);
}

void api_edit(void *ctx, struct provider_item *items, size_t n,
	provider_decide decide, void *arg)
{
	struct api *a = ctx;
	struct err err = ERR_INIT;

	if (n && api_begin(a, &err) == ST_OK)
		edit_items(a, items, n, decide, arg, &err);
	for (size_t i = 0; i < n; i++) {
		if (err.st != ST_OK)
			items[i].err = err;
		if (items[i].err.st != ST_OK)
			items[i].retry_after_s = rest_retry_after(api_rest(a));
	}
}

/* ---- one name ---- */

enum status api_zone_of(
	void *ctx, const char *owner, struct api_zone *ret, struct err *err)
{
	struct api *a = ctx;
	const struct api_zone *z;
	enum status st = api_begin(a, err);

	if (!st)
		st = api_find_zone(a, owner, &z, err);
	if (!st)
		*ret = *z;
	return st;
}

enum status api_get(void *ctx, const char *owner, struct tlsa_rrset *ret,
	char *ret_zone, struct err *err)
{
	struct api *a = ctx;
	struct api_item it = { .own = NULL };
	const struct api_zone *z;
	enum status st = api_begin(a, err);

	if (!st)
		st = api_find_zone(a, owner, &z, err);
	if (!st)
		st = api_item_init(&it, owner, z, err);
	if (!st)
		st = read_items(a, z, &it, 1, err);
	if (!st)
		st = check_cname(&it, err);
	if (!st)
		st = api_item_parse(&it, err);
	if (!st) {
		*ret = it.now;
		it.now = (struct tlsa_rrset)TLSA_RRSET_INIT;
		(void)snprintf(ret_zone, DNS_NAME_MAX, "%s", z->name);
	}
	api_item_release(&it);
	return st;
}

struct expected {
	const struct tlsa_rrset *from, *to;
	const char *owner;
};

static enum status decide_expected(void *arg, size_t i,
	const struct tlsa_rrset *now, struct tlsa_rrset *to, struct err *err)
{
	const struct expected *x = arg;

	(void)i;
	/* Done already (an answer was lost, say), or as it was. */
	if (!tlsa_rrset_eq(now, x->to) && !tlsa_rrset_eq(now, x->from))
		return err_set(err, ST_CONFLICT,
			"%s: somebody else changed the TLSA records in between "
			"(%zu then, %zu now)",
			x->owner, x->from->n, now->n);
	return tlsa_rrset_copy(x->to, to, err);
}

enum status api_replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	struct provider_item it = { .owner = owner };
	struct expected x = { .from = from, .to = to, .owner = owner };

	if (tlsa_rrset_eq(from, to) && (!to->n || from->ttl == to->ttl))
		return ST_OK;
	api_edit(ctx, &it, 1, decide_expected, &x);
	provider_item_release(&it);
	*err = it.err;
	return it.err.st;
}

enum status api_may_write(void *ctx, const char *owner, struct err *err)
{
	struct api *a = ctx;
	struct api_zone z;
	enum status st = api_zone_of(a, owner, &z, err);

	if (st)
		return st;
	if (z.unusable[0])
		return err_set(
			err, ST_CONFIG, "zone %s: %s", z.name, z.unusable);
	if (!a->vendor->may_write)
		return err_set(err, ST_NOTFOUND,
			"the API does not tell without a change");
	return a->vendor->may_write(a->v, &z, err);
}

int api_zone_signed(void *ctx, const char *owner)
{
	struct api_zone z;
	struct err ignored = ERR_INIT;

	if (api_zone_of(ctx, owner, &z, &ignored) != ST_OK ||
		z.dnssec == API_SIGNED_UNKNOWN)
		return -1;
	return z.dnssec == API_SIGNED;
}
