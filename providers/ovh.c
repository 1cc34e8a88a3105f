/*
 * OVHcloud. Requests are signed with the time of the server. Records have an id
 * and are read one by one; changes are staged until POST refresh publishes them
 * all, whoever made them, by a task of the zone. What a key may do is a list of
 * methods and paths, so that a key for one zone may not list zones.
 */
#include "providers/api.h"
#include "providers/sign.h"

#include "hook/base/clock.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stddef.h>

#define ZONE_TTL 3600 /* what a TTL of 0 stands for, mostly */
#define TTL_MIN 60    /* less is made 60 without a word */
#define RIGHTS                                                             \
	"for the zone Z: GET /domain/zone/Z and /domain/zone/Z/task; GET " \
	"and POST /domain/zone/Z/record; GET, PUT and DELETE "             \
	"/domain/zone/Z/record/*; POST /domain/zone/Z/refresh"

enum { APPLICATION, SECRET, CONSUMER, N_KEYS };

struct ovh {
	struct rest *rest;
	struct secret key[N_KEYS];
	int64_t ahead_s; /* of our monotonic clock is the server's */
	bool narrow;     /* the last answer: the key is not for this call */
};

#define KEY_FILE(i, words, env_name)                 \
	[API_TOKEN + (i)] = { .name = words "_file", \
		.type = POPT_SECRET_FILE,            \
		.env = env_name,                     \
		.help = "file with it and no more" }
static const struct provider_option options[] = {
	/* https://ca.api.ovh.com/1.0, https://api.us.ovhcloud.com/1.0 */
	[API_URL] = API_OPT_URL("https://eu.api.ovh.com/1.0"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	KEY_FILE(APPLICATION, "application_key", "OVH_APPLICATION_KEY"),
	KEY_FILE(SECRET, "application_secret", "OVH_APPLICATION_SECRET"),
	KEY_FILE(CONSUMER, "consumer_key", "OVH_CONSUMER_KEY"),
	API_OPT_END,
};

/* ---- talking ---- */

/* "$1$" and SHA-1 of what is sent, the secrets and the time. */
static enum status auth(void *arg, const struct rest_request *q,
	const char *url, const char *body, struct rest_headers *h,
	struct err *err)
{
	const struct ovh *o = arg;
	const char *consumer = o->key[CONSUMER].data;
	int64_t now = clock_mono_ms() / 1000 + o->ahead_s;
	auto_buf text = BUF_INIT(1024 * 1024);
	auto_buf hex = BUF_INIT(128);

	if (!strcmp(q->path, "/auth/time"))
		return ST_OK;
	enum status st = buf_printf(&text, err, "%s+%s+%s+%s+%s+%" PRId64,
		o->key[SECRET].data, consumer, q->method, url, body, now);
	if (!st)
		st = sign_digest_hex("SHA1", text.data, text.len, &hex, err);
	if (!st)
		st = rest_header(h, err, "X-Ovh-Application: %s",
			o->key[APPLICATION].data);
	if (!st)
		st = rest_header(h, err, "X-Ovh-Consumer: %s", consumer);
	if (!st)
		st = rest_header(h, err, "X-Ovh-Timestamp: %" PRId64, now);
	return st ? st
		  : rest_header(
			    h, err, "X-Ovh-Signature: $1$%s", buf_str(&hex));
}

static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	struct ovh *o = arg;
	const char *code = api_text(a->json, "errorCode");

	o->narrow = !strcmp(code, "NOT_GRANTED_CALL");
	if (!strcmp(code, "QUERY_TIME_OUT"))
		return err_set(err, ST_RETRY,
			"HTTP %ld: the server's time is not what it was",
			a->http);
	if (!strncmp(code, "INVALID_", 8) || !strcmp(code, "NOT_CREDENTIAL"))
		return err_set(err, ST_DENIED,
			"HTTP %ld: application key, application secret or "
			"consumer key is refused in this region (%.40s: "
			"%.200s)",
			a->http, code, api_text(a->json, "message"));
	return REST_DEFAULT;
}

/* The answer is a number. */
static enum status set_time(void *v, struct err *err)
{
	struct ovh *o = v;
	json_auto_t *now = NULL;
	enum status st =
		rest_call(o->rest, "GET", "/auth/time", NULL, &now, err);

	if (!st && !json_is_integer(now))
		st = api_strange(err, "the time is no number");
	if (!st)
		o->ahead_s = json_integer_value(now) - clock_mono_ms() / 1000;
	return st;
}

/* ---- zones and records ---- */

static enum status list_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	const struct ovh *o = v;
	json_auto_t *names = NULL;
	const json_t *name;
	size_t i;
	enum status st =
		rest_call(o->rest, "GET", "/domain/zone", NULL, &names, err);

	*ret_all = st == ST_OK;
	if (st == ST_DENIED && o->narrow) { /* find_zone looks */
		*err = (struct err)ERR_INIT;
		return ST_OK;
	}
	if (!st && !json_is_array(names))
		st = api_strange(err, "the list of zones is no array");
	json_array_foreach(names, i, name)
	{
		struct api_zone z = { .name = "" };
		const char *text = json_string_value(name);
		if (!st && text && api_zone_fill(&z, text, NULL))
			st = api_add_zone(list, &z, err);
	}
	return st;
}

static enum status find_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	const struct ovh *o = v;

	if (!api_zone_fill(ret, name, NULL))
		return ST_NOTFOUND;
	enum status st = api_call(
		o->rest, "GET", NULL, NULL, err, "/domain/zone/%s", ret->id);
	return st == ST_DENIED && o->narrow ? ST_NOTFOUND : st;
}

static enum status read_record(const struct ovh *o, const struct api_zone *z,
	const json_t *id, struct api_item *items, size_t n, struct err *err)
{
	char text[32];
	json_auto_t *r = NULL;

	if (!json_is_integer(id))
		return api_strange(err, "a record's id is no number");
	(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
		json_integer_value(id));
	enum status st = api_call(o->rest, "GET", NULL, &r, err,
		"/domain/zone/%s/record/%s", z->id, text);
	/* To believe in its absence could be wrong; to read again is not. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFLICT;
	if (st)
		return st;
	struct api_item *it =
		api_item_labelled(items, n, api_text(r, "subDomain"));
	int64_t ttl = api_int(r, "ttl");
	if (!it || strcmp(api_text(r, "fieldType"), "TLSA") != 0)
		return ST_OK;
	return api_add_record(it, text, api_text(r, "target"),
		ttl > 0 ? (uint32_t)ttl : ZONE_TTL, false, NULL, err);
}

static enum status read_sets(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	const struct ovh *o = v;
	char safe[API_SAFE_MAX];
	json_auto_t *ids = NULL;
	const json_t *id;
	size_t i;
	enum status st = api_call(o->rest, "GET", NULL, &ids, err,
		"/domain/zone/%s/record?fieldType=TLSA%s%s", z->id,
		n == 1 ? "&subDomain=" : "",
		n == 1 ? api_safe(items->label, "", safe) : "");

	if (!st && !json_is_array(ids))
		st = api_strange(err, "the list of records is no array");
	json_array_foreach(ids, i, id)
	{
		if (!st)
			st = read_record(o, z, id, items, n, err);
	}
	return st;
}

/* A new record (no id), or an old one; without text: removes it. */
static enum status change(const struct ovh *o, const char *method,
	const struct api_zone *z, const struct api_item *it, const char *id,
	const char *text, struct err *err)
{
	json_auto_t *body = NULL;

	if (text && it->new_ttl < TTL_MIN)
		return err_set(err, ST_REFUSED,
			"OVHcloud has no TTL below %d s: set ttl of the "
			"lineage",
			TTL_MIN);
	if (text)
		body = json_pack("{s:s*, s:s, s:s, s:I}", "fieldType",
			*id ? NULL : "TLSA", "subDomain", it->label, "target",
			text, "ttl", (json_int_t)it->new_ttl);
	if (text && !body)
		return api_no_memory(err);
	return api_call(o->rest, method, body, NULL, err,
		"/domain/zone/%s/record%s%s", z->id, *id ? "/" : "", id);
}

static enum status add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *w, struct err *err)
{
	return change(v, "POST", z, it, "", w->text, err);
}

static enum status set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return change(v, "PUT", z, it, r->id, r->text, err);
}

static enum status remove_record(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	return change(v, "DELETE", z, it, r->id, NULL, err);
}

/* ---- publishing ---- */

struct follow {
	struct rest *rest;
	const char *zone;
};

/* No task to be done or being done, asked in the order in which it gets there.
 * Whether we may look does not matter. */
static enum status no_task(void *arg, bool *ret_done, struct err *err)
{
	static const char *const states[] = { "todo", "doing" };
	const struct follow *f = arg;

	*ret_done = true;
	for (size_t i = 0; i < 2 && *ret_done; i++) {
		json_auto_t *tasks = NULL;
		enum status st = api_call(f->rest, "GET", NULL, &tasks, err,
			"/domain/zone/%s/task?status=%s", f->zone, states[i]);

		if (st && st != ST_DENIED)
			return st;
		*ret_done = json_array_size(tasks) == 0;
	}
	return ST_OK;
}

static enum status refresh(void *v, const struct api_zone *z, struct err *err)
{
	const struct ovh *o = v;
	struct follow f = { .rest = o->rest, .zone = z->id };
	enum status st = api_call(o->rest, "POST", NULL, NULL, err,
		"/domain/zone/%s/refresh", z->id);

	return st ? err_context(err, "the changes are not published yet")
		  : api_follow(o->rest, no_task, &f, err);
}

static enum status may_write(void *v, const struct api_zone *z, struct err *err)
{
	static const char *const need[][2] = { { "GET", "record" },
		{ "POST", "record" }, { "GET", "record/1" },
		{ "PUT", "record/1" }, { "DELETE", "record/1" },
		{ "POST", "refresh" } };
	const struct ovh *o = v;
	char path[API_ID_MAX + 64];
	json_auto_t *me = NULL;
	const json_t *rule;
	size_t j;
	enum status st = rest_call(
		o->rest, "GET", "/auth/currentCredential", NULL, &me, err);

	if (st == ST_DENIED && o->narrow)
		err->st = st = ST_NOTFOUND; /* it may not look at its rules */
	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]) && !st; i++) {
		bool has = false;

		(void)snprintf(path, sizeof(path), "/domain/zone/%s/%s", z->id,
			need[i][1]);
		json_array_foreach(json_object_get(me, "rules"), j, rule)
		{
			has |= !strcmp(api_text(rule, "method"), need[i][0]) &&
			       !fnmatch(api_text(rule, "path"), path, 0);
		}
		if (!has)
			st = err_set(err, ST_DENIED,
				"the consumer key does not include %s %s",
				need[i][0], path);
	}
	return st;
}

/* ---- the whole ---- */

/* OVH's own tools choose the region so; ours is in the URL. */
static enum status check_region(
	const struct provider_config *cfg, struct err *err)
{
	const char *region = secure_getenv("OVH_ENDPOINT");

	if (!region || !*region || !strcmp(region, "ovh-eu") ||
		cfg->value[API_URL] != options[API_URL].def)
		return ST_OK;
	return err_set(err, ST_CONFIG,
		"OVH_ENDPOINT is \"%.40s\": say so with url = "
		"\"https://ca.api.ovh.com/1.0\" or "
		"\"https://api.us.ovhcloud.com/1.0\"",
		region);
}

static enum status init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct ovh *o = v;
	const char *file = cfg->value[API_TOKEN + CONSUMER];
	struct rest_config rc = { .auth = auth,
		.judge = judge,
		.arg = o,
		.secrets = { &o->key[0], &o->key[1], &o->key[2] },
		.secret_option = "consumer_key_file",
		.secret_file = file ? file : "OVH_CONSUMER_KEY",
		.rights = RIGHTS };
	enum status st = ST_OK;

	for (size_t i = 0; i < N_KEYS && !st; i++)
		st = cred_secret(cfg, options, API_TOKEN + i, &o->key[i], err);
	if (!st)
		st = check_region(cfg, err);
	return st ? st : api_rest_new(cfg, &rc, &o->rest, err);
}

static void release(void *v)
{
	struct ovh *o = v;

	rest_free(o->rest);
	for (size_t i = 0; i < N_KEYS; i++)
		secret_release(&o->key[i]);
}

static const struct api_vendor vendor = {
	.size = sizeof(struct ovh),
	.rest = offsetof(struct ovh, rest),
	.staged = true,
	.init = init,
	.release = release,
	.login = set_time,
	.zones = list_zones,
	.zone = find_zone,
	.read = read_sets,
	.add = add,
	.set_ttl = set_ttl,
	.remove = remove_record,
	.commit = refresh,
	.may_write = may_write,
};

API_PROVIDER(ovh, .type = "ovh", .title = "OVHcloud",
	.caps = PCAP_READ | PCAP_ASYNC, .dnssec = PDNSSEC_SWITCH,
	.rights = RIGHTS, .options = options);
