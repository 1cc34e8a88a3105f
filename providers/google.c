/*
 * Google Cloud DNS (v1). A service account's key signs an assertion (RFC 7523,
 * RS256), which buys a token. A change names what it takes away, exactly, and
 * what it puts there, for many names of a zone at once; it is done as a whole
 * or not at all, and refused (412, 404, 409) when the zone holds something
 * else: a compare-and-swap. It is followed until Google calls it done.
 * Invariants: rrdatas of records that stay are sent as they were read; only
 * public zones are looked at; the private key is wiped with its file.
 */
#include "providers/api.h"

#include "providers/oauth.h"

#define SCOPE "https://www.googleapis.com/auth/ndev.clouddns.readwrite"
#define RIGHTS                                                                \
	"dns.managedZones.list in the project; dns.resourceRecordSets.list, " \
	".create, .update, .delete, dns.changes.create and .get on the zone"
#define ZONES "/projects/%s/managedZones"
#define TOKEN_MAX 4096

struct google {
	struct oauth oauth;
	json_t *file;       /* the key file without its key */
	struct buf project; /* escaped */
};

enum { OPT_CREDENTIALS = API_TOKEN, OPT_PROJECT };

static const struct provider_option options[] = {
	[API_URL] = API_OPT_URL("https://dns.googleapis.com/dns/v1"),
	[API_CA_FILE] = API_OPT_CA_FILE,
	[API_TIMEOUT] = API_OPT_TIMEOUT,
	[OPT_CREDENTIALS] = { .name = "credentials_file",
		.type = POPT_SECRET_FILE,
		.env = "GOOGLE_APPLICATION_CREDENTIALS",
		.help = "JSON key file of a service account" },
	[OPT_PROJECT] = { .name = "project",
		.type = POPT_STRING,
		.env = "GOOGLE_CLOUD_PROJECT",
		.help = "project of the zones, if not that of the key" },
	API_OPT_END,
};

/* ---- credentials ---- */

static enum status take_key(
	struct google *g, const struct secret *text, struct err *err)
{
	g->file =
		json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, NULL);
	const char *key = api_text(g->file, "private_key");

	if (strcmp(api_text(g->file, "type"), "service_account") != 0 ||
		!*key || !*api_text(g->file, "client_email") ||
		!*api_text(g->file, "token_uri"))
		return err_set(err, ST_CONFIG,
			"credentials_file: this is not the JSON key file of a "
			"service account (those of users, and of federated "
			"identities, are not taken)");
	g->oauth.key.len = strlen(key);
	g->oauth.key.data = strdup(key);
	if (!g->oauth.key.data)
		return api_no_memory(err);
	/* No other copy stays behind. */
	explicit_bzero((void *)(uintptr_t)key, g->oauth.key.len);
	(void)json_object_del(g->file, "private_key");
	return ST_OK;
}

static enum status google_login(void *v, struct err *err)
{
	struct google *g = v;
	struct oauth_jwt jwt = { .scope = SCOPE };

	jwt.key_id = api_text(g->file, "private_key_id");
	jwt.issuer = api_text(g->file, "client_email");
	jwt.audience = api_text(g->file, "token_uri");
	return oauth_login_jwt(&g->oauth, &jwt, err)
		       ? err_context(err, "credentials_file")
		       : ST_OK;
}

/* ---- the API ---- */

/* 403 is also what they say when it is too much. */
static enum status judge(
	void *arg, const struct rest_answer *a, struct err *err)
{
	const json_t *e = json_object_get(a->json, "error");
	const json_t *one = json_array_get(json_object_get(e, "errors"), 0);
	const char *reason = api_text(one, "reason");

	(void)arg;
	if (a->http == 403 && strstr(reason, "Exceeded"))
		return err_set(err, ST_RETRY, "HTTP 403: %s: %.200s", reason,
			api_text(e, "message"));
	return REST_DEFAULT;
}

static void google_release(void *v)
{
	struct google *g = v;

	oauth_release(&g->oauth);
	json_decref(g->file);
	buf_release(&g->project);
}

static enum status google_init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	struct google *g = v;
	auto_secret text = { .len = 0 };
	const char *project = cred_text(cfg, options, OPT_PROJECT);
	enum status st = cred_file(cfg, options, OPT_CREDENTIALS, &text, err);

	if (!st)
		st = take_key(g, &text, err);
	if (st)
		return st;
	if (!project)
		project = api_text(g->file, "project_id");
	if (!*project)
		return err_set(err, ST_CONFIG,
			"project is missing, and the key file names none");
	g->project = (struct buf)BUF_INIT(512);
	g->oauth.judge = judge;
	g->oauth.rights = RIGHTS;
	st = rest_escape(project, &g->project, err);
	return st ? st
		  : oauth_init(&g->oauth, cfg, options, OPT_CREDENTIALS,
			    api_text(g->file, "token_uri"),
			    "token_uri in credentials_file", err);
}

/* ---- lists ---- */

struct list {
	struct google *g;
	struct api_zones *zones; /* or: */
	struct api_item *items;
	size_t n;
	char path[API_ID_MAX + API_SAFE_MAX + 32], next[TOKEN_MAX + 16];
};

/* What has an odd name cannot be asked for. */
static enum status take_zone(
	const json_t *o, struct api_zones *list, struct err *err)
{
	const char *state =
		api_text(json_object_get(o, "dnssecConfig"), "state");
	struct api_zone z = { .dnssec = API_SIGNED_UNKNOWN };

	if (*state)
		z.dnssec = strcmp(state, "off") ? API_SIGNED : API_UNSIGNED;
	if (!strcmp(api_text(o, "visibility"), "private") ||
		!api_zone_fill(&z, api_text(o, "dnsName"), api_text(o, "name")))
		return ST_OK;
	return api_add_zone(list, &z, err);
}

static enum status take_rrset(
	struct api_item *it, json_t *rrset, struct err *err)
{
	const char *type = api_text(rrset, "type");
	const json_t *data = json_object_get(rrset, "rrdatas"), *text;
	int64_t ttl = api_int(rrset, "ttl");
	enum status st = ST_OK;
	size_t i;

	it->cname |= !strcmp(type, "CNAME");
	if (strcmp(type, "TLSA") != 0 || it->raw)
		return ST_OK;
	if (!json_is_array(data) || ttl < 0)
		return api_strange(err, "an RRset without rrdatas or ttl");
	it->raw = json_incref(rrset);
	it->ttl = (uint32_t)ttl;
	json_array_foreach(data, i, text)
	{
		const char *s = json_string_value(text);

		if (!st)
			st = api_add_record(it, NULL, s ? s : "", it->ttl,
				false, NULL, err);
	}
	return st;
}

static enum status page(void *arg, unsigned n, bool *ret_more, struct err *err)
{
	struct list *l = arg;
	json_auto_t *answer = NULL;
	auto_buf next = BUF_INIT(TOKEN_MAX);
	json_t *o;
	size_t i;
	enum status st = api_call(l->g->oauth.api, "GET", NULL, &answer, err,
		ZONES "%s%s", buf_str(&l->g->project), l->path, l->next);

	(void)n;
	if (st == ST_NOTFOUND) {
		err->st = ST_CONFIG;
		return err_context(err, "project %s", buf_str(&l->g->project));
	}
	const char *member = l->zones ? "managedZones" : "rrsets";
	json_array_foreach(json_object_get(answer, member), i, o)
	{
		struct api_item *it =
			api_item_of(l->items, l->n, api_text(o, "name"));

		if (!st && l->zones)
			st = take_zone(o, l->zones, err);
		else if (!st && it)
			st = take_rrset(it, o, err);
	}
	const char *token = api_text(answer, "nextPageToken");
	*ret_more = *token;
	if (!st)
		st = rest_escape(token, &next, err);
	(void)snprintf(
		l->next, sizeof(l->next), "&pageToken=%s", buf_str(&next));
	return st;
}

static enum status google_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	struct list l = { .g = v, .zones = list, .path = "?maxResults=1000" };

	*ret_all = true;
	return api_pages(page, &l, err);
}

/* One name is asked for as such; of all types, to see a CNAME. The list of many
 * cannot be filtered: all of the zone is read, 1000 RRsets a page. */
static enum status google_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct list l = { .g = v, .items = items, .n = n };
	char safe[API_SAFE_MAX];

	(void)snprintf(
		l.path, sizeof(l.path), "/%s/rrsets?maxResults=1000", z->id);
	if (n == 1)
		(void)snprintf(l.path, sizeof(l.path), "/%s/rrsets?name=%s.",
			z->id, api_safe(items->owner, "", safe));
	return api_pages(page, &l, err);
}

/* ---- changes ---- */

static enum status add_item(
	const struct api_item *it, json_t *change, struct err *err)
{
	json_t *gone = json_object_get(change, "deletions");
	json_t *come = json_object_get(change, "additions");

	/* As it was read, to the letter: that is the comparison. */
	if ((it->raw && json_array_append(gone, it->raw)) ||
		(it->n_want &&
			json_array_append_new(come,
				json_pack("{s:s, s:s, s:I, s:o}", "name",
					it->owner, "type", "TLSA", "ttl",
					(json_int_t)it->new_ttl, "rrdatas",
					api_spelled_all(it, NULL)))))
		return api_no_memory(err);
	return ST_OK;
}

struct follow {
	struct google *g;
	const char *zone, *id;
};

static enum status is_done(void *arg, bool *ret_done, struct err *err)
{
	const struct follow *f = arg;
	json_auto_t *change = NULL;
	enum status st = api_call(f->g->oauth.api, "GET", NULL, &change, err,
		ZONES "/%s/changes/%s", buf_str(&f->g->project), f->zone,
		f->id);

	*ret_done = !strcmp(api_text(change, "status"), "done");
	/* Not what a refused change is: it was accepted. */
	if (st == ST_REFUSED || st == ST_NOTFOUND)
		err->st = st = ST_CONFIG;
	return st ? err_context(err, "the change cannot be followed") : ST_OK;
}

static enum status google_write(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	struct follow f = { .g = v, .zone = z->id };
	json_auto_t *change =
		json_pack("{s:[], s:[]}", "deletions", "additions");
	json_auto_t *answer = NULL;
	enum status st = change ? ST_OK : api_no_memory(err);

	for (size_t i = 0; i < n && !st; i++)
		st = add_item(&items[i], change, err);
	if (!st)
		st = api_call(f.g->oauth.api, "POST", change, &answer, err,
			ZONES "/%s/changes", buf_str(&f.g->project), z->id);
	/* What was to be taken away is not there any more. */
	if (st == ST_NOTFOUND)
		err->st = st = ST_CONFLICT;
	if (st || !strcmp(api_text(answer, "status"), "done"))
		return st;
	f.id = api_text(answer, "id");
	if (!api_plain_id(f.id))
		return api_strange(err, "a change without an id");
	return api_follow(f.g->oauth.api, is_done, &f, err);
}

static enum status google_may_write(
	void *v, const struct api_zone *z, struct err *err)
{
	struct google *g = v;
	json_auto_t *answer = NULL;
	json_auto_t *ask = json_pack("{s:[s, s, s, s]}", "permissions",
		"dns.changes.create", "dns.resourceRecordSets.create",
		"dns.resourceRecordSets.delete",
		"dns.resourceRecordSets.update");
	enum status st = ask ? api_call(g->oauth.api, "POST", ask, &answer, err,
				       ZONES "/%s:testIamPermissions",
				       buf_str(&g->project), z->id)
			     : api_no_memory(err);

	if (!st && json_array_size(json_object_get(answer, "permissions")) < 4)
		st = err_set(err, ST_DENIED,
			"the service account %s may not change records of "
			"zone %s (it needs: " RIGHTS ")",
			api_text(g->file, "client_email"), z->name);
	return st;
}

static const struct api_vendor vendor = {
	.size = sizeof(struct google),
	.rest = offsetof(struct google, oauth.api),
	.init = google_init,
	.release = google_release,
	.login = google_login,
	.zones = google_zones,
	.read = google_read,
	/* A change may have 100,000 bytes of rrdatas; ours come twice. */
	.max_bulk = 100,
	.write = google_write,
	.may_write = google_may_write,
};

API_PROVIDER(google, .type = "google", .title = "Google Cloud DNS",
	.caps = PCAP_READ | PCAP_CAS | PCAP_ATOMIC | PCAP_BULK | PCAP_ASYNC |
		PCAP_RRSET,
	.dnssec = PDNSSEC_SWITCH, .rights = RIGHTS, .options = options);
