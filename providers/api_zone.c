/*
 * Which zone of the account holds a name: the longest that it is in, label by
 * label. One list of zones answers for most accounts; where it has more pages
 * than one, names are asked for one by one, and what is no zone is remembered.
 */
#include "providers/api_impl.h"

#include <stdlib.h>
#include <string.h>

#define ASKING_MS 20

enum status api_add_zone(
	struct api_zones *list, const struct api_zone *zone, struct err *err)
{
	struct api_zone *copy;

	if (list->n == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 16;
		struct api_zone **more = reallocarray(
			list->zone, cap, sizeof(struct api_zone *));

		if (!more)
			return api_no_memory(err);
		list->zone = more;
		list->cap = cap;
	}
	copy = malloc(sizeof(*copy));
	if (!copy)
		return api_no_memory(err);
	*copy = *zone;
	list->zone[list->n++] = copy;
	return ST_OK;
}

static const struct api_zone *known(const struct api *a, const char *name)
{
	for (size_t i = 0; i < a->zones.n; i++)
		if (!strcmp(a->zones.zone[i]->name, name))
			return a->zones.zone[i];
	return NULL;
}

/* An index, because the table moves when it grows; -1: never asked. */
static ssize_t remembered(const struct api *a, const char *name)
{
	for (size_t i = 0; i < a->n_memo; i++)
		if (!strcmp(a->memo[i].name, name))
			return (ssize_t)i;
	return -1;
}

static enum status remember(struct api *a, const char *name, struct err *err)
{
	if (a->n_memo == a->cap_memo) {
		size_t cap = a->cap_memo ? 2 * a->cap_memo : 64;
		struct api_memo *more =
			reallocarray(a->memo, cap, sizeof(*more));

		if (!more)
			return api_no_memory(err);
		a->memo = more;
		a->cap_memo = cap;
	}
	a->memo[a->n_memo].asking = true;
	(void)snprintf(a->memo[a->n_memo++].name, DNS_NAME_MAX, "%s", name);
	return ST_OK;
}

/* Asks the API for a zone of this name, once. ST_NOTFOUND: there is none. */
static enum status ask(struct api *a, const char *name, struct err *err)
{
	struct api_zone z = { .name = "" };
	ssize_t at = remembered(a, name);
	enum status st;

	/* Another job waits for the answer: it is ours, too. */
	while (at >= 0 && a->memo[at].asking) {
		st = rest_pause(api_rest(a), ASKING_MS, err);
		if (st)
			return st;
		at = remembered(a, name);
	}
	if (known(a, name))
		return ST_OK;
	if (at < 0) {
		st = remember(a, name, err);
		if (st)
			return st;
		at = remembered(a, name);
	} else {
		return ST_NOTFOUND;
	}
	st = a->vendor->zone(a->v, name, &z, err);
	a->memo[at].asking = false;
	if (st == ST_NOTFOUND)
		return st;
	if (st) {
		/* No answer: the next one may ask again. */
		a->memo[at].name[0] = '\0';
		return st;
	}
	(void)snprintf(z.name, sizeof(z.name), "%s", name);
	return api_add_zone(&a->zones, &z, err);
}

enum status api_list_zones(struct api *a, struct err *err)
{
	enum status st;

	if (a->listed || !a->vendor->zones)
		return ST_OK;
	st = a->vendor->zones(a->v, &a->zones, &a->list_is_all, err);
	a->listed = st == ST_OK;
	return st;
}

enum status api_find_zone(struct api *a, const char *owner,
	const struct api_zone **ret, struct err *err)
{
	for (const char *name = owner; name && strcmp(name, ".") != 0;
		name = name_parent(name)) {
		*ret = known(a, name);
		if (*ret)
			return ST_OK;
		if (a->list_is_all || !a->vendor->zone)
			continue;
		enum status st = ask(a, name, err);
		*ret = known(a, name);
		if (st != ST_NOTFOUND)
			return st;
	}
	return err_set(err, ST_REFUSED,
		"provider \"%s\": the account has no zone that holds %s: is it "
		"the right account, and may its key see the zone?",
		a->name, owner);
}
