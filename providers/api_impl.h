/* The parts of the mechanism (api*.c); nobody else includes this. */
#ifndef DANELAW_PROVIDERS_API_IMPL_H
#define DANELAW_PROVIDERS_API_IMPL_H

#include "providers/api.h"

/* All zones that are known so far; each stays where it is. */
struct api_zones {
	struct api_zone **zone;
	size_t n, cap;
};

/* A name that was asked for: not a zone, or being asked for right now. */
struct api_memo {
	char name[DNS_NAME_MAX];
	bool asking;
};

struct api {
	const struct api_vendor *vendor;
	void *v;
	char *name; /* of the provider section */
	struct api_zones zones;
	bool listed, list_is_all;
	struct api_memo *memo;
	size_t n_memo, cap_memo;
	bool logged_in;
};

/* Logs in, once. */
enum status api_begin(struct api *a, struct err *err);
/* Lists zones, once, where the vendor can. */
enum status api_list_zones(struct api *a, struct err *err);
/* The longest zone that owner is in; borrowed until api_close. May be called
 * side by side. */
enum status api_find_zone(struct api *a, const char *owner,
	const struct api_zone **ret, struct err *err);
/* The client of the vendor's API. */
struct rest *api_rest(const struct api *a);

/* An item of a zone, empty; label points into owner's memory. */
enum status api_item_init(struct api_item *it, const char *owner,
	const struct api_zone *z, struct err *err);
void api_item_release(struct api_item *it);
/* From what read() brought to item.now. */
enum status api_item_parse(struct api_item *it, struct err *err);
/* What a write needs to turn what is held into `to`. */
enum status api_item_diff(struct api_item *it, const struct tlsa_rrset *to,
	bool ttl_can_change, bool *ret_same, struct err *err);

#endif
