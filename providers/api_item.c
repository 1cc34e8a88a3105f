/*
 * One owner name: from records in a vendor's spelling to a TLSA set, and from
 * the set that is wanted to what must be added and removed. Invariants: a
 * record that stays is passed on as it was read; what cannot be read as TLSA
 * data is somebody else's and stays; a disabled record stays and never counts.
 */
#include "providers/api_impl.h"

#include <stdlib.h>
#include <string.h>

/* The mechanism's own part of an item, behind item.own. */
struct own {
	char owner[DNS_NAME_MAX], label[DNS_NAME_MAX];
	struct api_want *want;
	char **text; /* of new records; hex points into it */
	size_t n_text;
	const struct api_record **gone;
};

enum status api_item_init(struct api_item *it, const char *owner,
	const struct api_zone *z, struct err *err)
{
	struct own *o = calloc(1, sizeof(*o));
	size_t n = strlen(owner), zn = strlen(z->name);

	memset(it, 0, sizeof(*it));
	if (!o)
		return api_no_memory(err);
	(void)snprintf(o->owner, sizeof(o->owner), "%s", owner);
	/* api_find_zone saw that it is under the zone. */
	if (n > zn)
		(void)snprintf(o->label, sizeof(o->label), "%.*s",
			(int)(n - zn - 1), owner);
	it->owner = o->owner;
	it->label = o->label;
	it->own = o;
	return ST_OK;
}

static void forget_diff(struct api_item *it)
{
	struct own *o = it->own;

	for (size_t i = 0; i < o->n_text; i++)
		free(o->text[i]);
	free(o->text);
	free(o->want);
	free(o->gone);
	o->text = NULL;
	o->want = NULL;
	o->gone = NULL;
	o->n_text = it->n_want = it->n_gone = 0;
	it->want = NULL;
	it->gone = NULL;
}

void api_item_release(struct api_item *it)
{
	if (!it->own)
		return;
	forget_diff(it);
	for (size_t i = 0; i < it->n_rec; i++) {
		free(it->rec[i].id);
		free(it->rec[i].text);
		json_decref(it->rec[i].raw);
	}
	free(it->rec);
	json_decref(it->raw);
	tlsa_rrset_release(&it->now);
	free(it->own);
	memset(it, 0, sizeof(*it));
}

enum status api_add_record(struct api_item *it, const char *id,
	const char *text, uint32_t ttl, bool disabled, json_t *raw,
	struct err *err)
{
	struct api_record *more, *r;

	if (it->n_rec >= TLSA_RRSET_MAX)
		return err_set(err, ST_REFUSED, "more than %d records at %s",
			TLSA_RRSET_MAX, it->owner);
	more = reallocarray(it->rec, it->n_rec + 1, sizeof(*more));
	if (!more)
		return api_no_memory(err);
	it->rec = more;
	r = &it->rec[it->n_rec];
	*r = (struct api_record){ .ttl = ttl, .disabled = disabled };
	r->id = id ? strdup(id) : NULL;
	r->text = strdup(text);
	if (!r->text || (id && !r->id)) {
		free(r->id);
		free(r->text);
		return api_no_memory(err);
	}
	r->raw = raw ? json_incref(raw) : NULL;
	it->n_rec++;
	return ST_OK;
}

/* Some quote the data, or parts of it. */
static void unquoted(const char *text, char *ret)
{
	for (; *text; text++)
		if (*text != '"' && *text != '\'')
			*ret++ = *text;
	*ret = '\0';
}

static size_t index_of(const struct tlsa_rrset *set, const struct tlsa *rr)
{
	size_t i = 0;

	while (i < set->n &&
		!(set->rr[i].usage == rr->usage &&
			set->rr[i].selector == rr->selector &&
			set->rr[i].mtype == rr->mtype &&
			set->rr[i].len == rr->len &&
			!memcmp(set->rr[i].data, rr->data, rr->len)))
		i++;
	return i;
}

static enum status parse_record(
	const struct api_record *r, struct tlsa_rrset *ret, struct err *err)
{
	auto_str text = strdup(r->text);

	if (!text)
		return api_no_memory(err);
	unquoted(r->text, text);
	return tlsa_rrset_add_text(ret, text, err);
}

enum status api_item_parse(struct api_item *it, struct err *err)
{
	uint32_t ttl = it->ttl;

	tlsa_rrset_release(&it->now);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < it->n_rec; i++) {
			struct api_record *r = &it->rec[i];
			auto_tlsa one = TLSA_RRSET_INIT;
			struct err ignored = ERR_INIT;
			enum status st = parse_record(r, &one, &ignored);

			if (st == ST_NOMEM)
				return api_no_memory(err);
			r->known = st == ST_OK && one.n == 1;
			if (!r->known || r->disabled)
				continue;
			/* The set sorts itself: indices when it is whole. */
			if (round)
				r->rr = index_of(&it->now, &one.rr[0]);
			else if (tlsa_rrset_add(&it->now, &one.rr[0], err))
				return err->st;
			if (!it->ttl && r->ttl > ttl)
				ttl = r->ttl;
		}
	if (it->now.n)
		it->now.ttl = ttl;
	return ST_OK;
}

static bool wanted(const struct api_item *it, const struct api_record *r,
	const struct tlsa_rrset *to)
{
	return r->disabled || !r->known ||
	       tlsa_rrset_has(to, &it->now.rr[r->rr]);
}

/* Is there a record that stays and has another TTL? Also when that is so
 * because a change broke off half-way: the records of a set must not differ
 * (RFC 2181 5.2). */
static bool other_ttl(const struct api_item *it, const struct tlsa_rrset *to)
{
	if (it->ttl)
		return it->ttl != it->new_ttl;
	for (size_t i = 0; i < it->n_rec; i++) {
		const struct api_record *r = &it->rec[i];

		if (r->known && !r->disabled && wanted(it, r, to) &&
			r->ttl != it->new_ttl)
			return true;
	}
	return false;
}

static enum status want_new(struct api_item *it, const struct tlsa *rr,
	struct api_want *w, struct err *err)
{
	struct own *o = it->own;
	auto_buf text = BUF_INIT(2 * UINT16_MAX + 32);
	enum status st;

	/* Disabled by somebody: to add it beside itself would be odd. */
	for (size_t i = 0; i < it->n_rec; i++) {
		auto_tlsa one = TLSA_RRSET_INIT;
		struct err ignored = ERR_INIT;

		if (it->rec[i].disabled &&
			!parse_record(&it->rec[i], &one, &ignored) && one.n &&
			index_of(&one, rr) == 0)
			return err_set(err, ST_REFUSED,
				"the record \"%.100s\" is there and disabled: "
				"enable or remove it first",
				it->rec[i].text);
	}
	st = tlsa_text(rr, &text, err);
	if (st)
		return st;
	o->text[o->n_text] = buf_take(&text);
	if (!o->text[o->n_text])
		return api_no_memory(err);
	w->text = o->text[o->n_text++];
	w->usage = rr->usage;
	w->selector = rr->selector;
	w->mtype = rr->mtype;
	w->hex = strrchr(w->text, ' ') + 1;
	return ST_OK;
}

enum status api_item_diff(struct api_item *it, const struct tlsa_rrset *to,
	bool ttl_can_change, bool *ret_same, struct err *err)
{
	struct own *o = it->own;
	size_t n = 0, gone = 0;

	forget_diff(it);
	o->want = calloc(it->n_rec + to->n + 1, sizeof(*o->want));
	o->text = calloc(to->n + 1, sizeof(*o->text));
	o->gone = calloc(it->n_rec + 1, sizeof(*o->gone));
	if (!o->want || !o->text || !o->gone)
		return api_no_memory(err);
	for (size_t i = 0; i < it->n_rec; i++) {
		const struct api_record *r = &it->rec[i];

		if (wanted(it, r, to))
			o->want[n++].held = r;
		else
			o->gone[gone++] = r;
	}
	it->new_ttl = to->n ? to->ttl : it->now.ttl;
	it->ttl_changes = ttl_can_change && it->now.n && other_ttl(it, to);
	*ret_same = !gone && !it->ttl_changes;
	for (size_t i = 0; i < to->n; i++) {
		if (tlsa_rrset_has(&it->now, &to->rr[i]))
			continue;
		enum status st = want_new(it, &to->rr[i], &o->want[n++], err);
		if (st)
			return st;
		*ret_same = false;
	}
	it->want = o->want;
	it->n_want = n;
	it->gone = o->gone;
	it->n_gone = gone;
	return ST_OK;
}

/* ---- by name ---- */

/* Without final dots, in any case; "@" is the apex. */
static bool same_name(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	if (n && a[n - 1] == '.')
		n--;
	if (m && b[m - 1] == '.')
		m--;
	return n == m && !strncasecmp(a, b, n);
}

struct api_item *api_item_of(
	struct api_item *items, size_t n, const char *owner)
{
	for (size_t i = 0; i < n; i++)
		if (same_name(items[i].owner, owner))
			return &items[i];
	return NULL;
}

struct api_item *api_item_labelled(
	struct api_item *items, size_t n, const char *label)
{
	for (size_t i = 0; i < n; i++)
		if (same_name(items[i].label, label) ||
			(!*items[i].label && !strcmp(label, "@")))
			return &items[i];
	return NULL;
}
