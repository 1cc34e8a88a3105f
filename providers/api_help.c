/* Small things that vendors share: pages, changes that take time, members of
 * JSON objects. */
#include "providers/api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 1000
#define FOLLOW_FIRST_MS 500
#define FOLLOW_PAUSE_MS 5000
#define FOLLOW_ALL_MS 60000

enum status api_no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

enum status api_strange(struct err *err, const char *what)
{
	return err_set(err, ST_RETRY,
		"the API's answer is not as documented: %s", what);
}

enum status api_follow(struct rest *r,
	enum status (*done)(void *arg, bool *ret_done, struct err *err),
	void *arg, struct err *err)
{
	int64_t pause = FOLLOW_FIRST_MS, waited = 0;
	struct err late = ERR_INIT;

	for (;;) {
		bool ready = false;
		enum status st = done(arg, &ready, err);

		if (st || ready)
			return st;
		if (waited >= FOLLOW_ALL_MS || rest_pause(r, pause, &late))
			return ST_OK;
		waited += pause;
		pause = pause * 8 / 5;
		if (pause > FOLLOW_PAUSE_MS)
			pause = FOLLOW_PAUSE_MS;
	}
}

enum status api_pages(enum status (*page)(void *arg, unsigned n, bool *ret_more,
			      struct err *err),
	void *arg, struct err *err)
{
	for (unsigned n = 1; n <= PAGES_MAX; n++) {
		bool more = false;
		enum status st = page(arg, n, &more, err);

		if (st || !more)
			return st;
	}
	return api_strange(err, "a list without an end");
}

const char *api_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int64_t api_int(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	const char *s = json_string_value(v);
	json_int_t n = -1;

	if (json_is_integer(v))
		n = json_integer_value(v);
	else if (s && *s && strlen(s) <= 10 &&
		 strspn(s, "0123456789") == strlen(s))
		n = strtoll(s, NULL, 10);
	return n >= 0 && n <= INT32_MAX ? n : -1;
}

const char *api_undotted(const char *name, char ret[static DNS_NAME_MAX])
{
	size_t n = strlen(name);

	if (n && name[n - 1] == '.')
		n--;
	(void)snprintf(ret, DNS_NAME_MAX, "%.*s", (int)n, name);
	return ret;
}

bool api_plain_id(const char *id)
{
	size_t n = strlen(id);

	return n && n < API_ID_MAX && strcmp(id, ".") != 0 &&
	       strcmp(id, "..") != 0 &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			  "0123456789-_.=~") == n;
}

const char *api_safe(
	const char *name, const char *apex, char ret[static API_SAFE_MAX])
{
	size_t n = strlen(name);
	bool star = *name == '*';

	if (n && name[n - 1] == '.')
		n--;
	(void)snprintf(ret, API_SAFE_MAX, "%s%.*s", star ? "%2A" : "",
		(int)(n - star), name + star);
	return n ? ret : apex;
}

bool api_zone_fill(struct api_zone *z, const char *name, const char *id)
{
	struct err ignored = ERR_INIT;
	char plain[DNS_NAME_MAX];

	if (name_canon(name, z->name, &ignored) != ST_OK)
		return false;
	id = id ? id : api_undotted(z->name, plain);
	(void)snprintf(z->id, sizeof(z->id), "%s", id);
	return api_plain_id(id);
}

const char *api_spelled(const struct api_want *w)
{
	return w->held ? w->held->text : w->text;
}

json_t *api_spelled_all(const struct api_item *it, const char *member)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < it->n_want; i++) {
		const char *text = api_spelled(&it->want[i]);
		json_t *o = member ? json_pack("{s:s}", member, text)
				   : json_string(text);

		if (json_array_append_new(list, o)) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

enum status api_rest_new(const struct provider_config *cfg,
	struct rest_config *rc, struct rest **ret, struct err *err)
{
	rc->url = cfg->value[API_URL];
	rc->ca_file = cfg->value[API_CA_FILE];
	rc->timeout_s = strtol(cfg->value[API_TIMEOUT], NULL, 10);
	rc->deadline_ms = cfg->deadline_ms;
	return rest_new(rc, ret, err);
}

enum status api_call(struct rest *r, const char *method, const json_t *body,
	json_t **ret, struct err *err, const char *fmt, ...)
{
	auto_str path = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (n < 0) {
		path = NULL;
		return api_no_memory(err);
	}
	return rest_call(r, method, path, body, ret, err);
}
