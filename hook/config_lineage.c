/*
 * One lineage section: owner names, endpoints, file ownership, commands and
 * timing. Invariants: owner names are canonical and distinct; there is an
 * endpoint for every owner name unless the operator lists the endpoints;
 * nobody but the owner and one group can read the files in live/NAME.
 */
#include "hook/config_tree.h"

#include "hook/base/auto.h"
#include "hook/base/buf.h"
#include "hook/dns/authority.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>

#define WEEK (7 * 86400L)
#define YEARS_10 (3660 * 86400L)

const struct opt_spec config_lineage_spec[] = {
	{ "certbot", false },
	{ "tlsa", true },
	{ "endpoints", true },
	{ "provider", false },
	{ "reload", true },
	{ "key", false },
	{ "owner", false },
	{ "group", false },
	{ "mode", false },
	{ "retire_after", false },
	{ "verify_timeout", false },
	{ "reload_timeout", false },
	{ "issue", false },
	{ "ttl", false },
	{ "key_max_age", false },
	{ "insecure", false },
	{ "at_expiry", false },
	{ "names", false },
	{ "ignore_servers", true },
	{ "certbot_options", true },
	{ "certbot_command", false },
	{ NULL, false },
};

/* It becomes the name of a folder. */
static enum status check_name(
	const struct tree *t, const struct section *s, struct err *err)
{
	size_t n = strspn(s->title, "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-");

	if (!n || s->title[n] || n > 200 || strchr(".-", s->title[0]))
		return tree_fail(t, s, 0, err,
			"the name must be 1 to 200 letters, digits, '.', '_' "
			"or '-', and begin with a letter, a digit or '_'");
	return ST_OK;
}

static enum status build_owners(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	const struct opt_set *o = section_opt(s, "tlsa");

	if (!o)
		return tree_fail(t, s, 0, err,
			"tlsa is missing: list the owner names, "
			"{\"_25._tcp.mx.example.com\"} say");
	ret->owner = arena_alloc(t->arena, o->n, sizeof(*ret->owner), err);
	if (!ret->owner)
		return err->st;
	for (size_t i = 0; i < o->n; i++) {
		const struct opt_value *v = &o->value[i];
		struct err e = ERR_INIT;
		uint16_t port;
		char host[DNS_NAME_MAX];

		if (name_canon(v->text, ret->owner[i], &e) ||
			name_split_tlsa(ret->owner[i], &port, host, &e))
			return tree_fail(
				t, s, v->line, err, "tlsa: %s", e.text);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(ret->owner[j], ret->owner[i]))
				return tree_fail(t, s, v->line, err,
					"tlsa: %s is listed twice", v->text);
	}
	ret->n_owners = o->n;
	return ST_OK;
}

static void add_endpoint(struct cfg_lineage *l, const struct cfg_endpoint *e)
{
	for (size_t i = 0; i < l->n_endpoints; i++)
		if (l->endpoint[i].port == e->port &&
			!strcmp(l->endpoint[i].host, e->host))
			return;
	l->endpoint[l->n_endpoints++] = *e;
}

static enum status derive_endpoints(const struct tree *t,
	const struct section *s, struct cfg_lineage *ret, struct err *err)
{
	const struct opt_set *o = section_opt(s, "tlsa");

	for (size_t i = 0; i < ret->n_owners; i++) {
		struct cfg_endpoint e = { .port = 0 };
		struct err ee = ERR_INIT;
		if (name_split_tlsa(ret->owner[i], &e.port, e.host, &ee))
			return err_set(err, ST_BUG, "%s", ee.text);
		if (!probe_proto_for_port(e.port, &e.proto))
			return tree_fail(t, s, o->value[i].line, err,
				"tlsa: %s: the protocol of port %u is not "
				"known: list what serves the key, endpoints = "
				"{\"smtp://host:port\", \"tls://host:port\"} "
				"say",
				o->value[i].text, e.port);
		add_endpoint(ret, &e);
	}
	return ST_OK;
}

/* Host and, after the last colon, port of "host[:port]". */
static bool split_host(const char *text, struct cfg_endpoint *ret)
{
	static const uint16_t usual[] = {
		[PROTO_SMTP] = 25,
		[PROTO_TLS] = 0,
		[PROTO_IMAP] = 143,
		[PROTO_POP3] = 110,
		[PROTO_SIEVE] = 4190,
		[PROTO_LDAP] = 389,
		[PROTO_XMPP] = 5222,
		[PROTO_XMPP_SERVER] = 5269,
	};
	const char *colon = strchr(text, ':');
	char host[DNS_NAME_MAX + 1];
	struct dns_addr addr;
	struct err e = ERR_INIT;
	int len = colon ? (int)(colon - text) : (int)strnlen(text, INT_MAX);

	ret->port = usual[ret->proto];
	if (colon) {
		char *end;
		unsigned long port = strtoul(colon + 1, &end, 10);
		if (colon[1] < '1' || colon[1] > '9' || *end || port > 65535)
			return false;
		ret->port = (uint16_t)port;
	}
	if (!ret->port || len >= (int)sizeof(host) - 1)
		return false;
	(void)snprintf(host, sizeof(host), "%.*s", len, text);
	return host[0] != '*' && !dns_addr_parse(host, 25, &addr) &&
	       !name_canon(host, ret->host, &e);
}

static enum status listed_endpoints(const struct tree *t,
	const struct section *s, const struct opt_set *o,
	struct cfg_lineage *ret, struct err *err)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct opt_value *v = &o->value[i];
		const char *sep = strstr(v->text, "://");
		struct cfg_endpoint e = { .port = 0 };
		char proto[16] = "";

		if (sep && sep - v->text < (ptrdiff_t)sizeof(proto))
			memcpy(proto, v->text, (size_t)(sep - v->text));
		if (!probe_proto_parse(proto, &e.proto) ||
			!split_host(sep + 3, &e))
			return tree_fail(t, s, v->line, err,
				"endpoints: \"%s\": must be PROTOCOL://"
				"HOSTNAME[:PORT] with the protocol smtp, tls "
				"(port needed), imap, pop3, sieve, ldap, xmpp "
				"or xmpp-server",
				v->text);
		add_endpoint(ret, &e);
	}
	return ST_OK;
}

static enum status build_endpoints(const struct tree *t,
	const struct section *s, struct cfg_lineage *ret, struct err *err)
{
	const struct opt_set *o = section_opt(s, "endpoints");
	size_t n = o ? o->n : ret->n_owners;

	ret->endpoint = arena_alloc(t->arena, n, sizeof(*ret->endpoint), err);
	if (!ret->endpoint)
		return err->st;
	return o ? listed_endpoints(t, s, o, ret, err)
		 : derive_endpoints(t, s, ret, err);
}

static bool number(const char *text, unsigned long *ret)
{
	char *end;

	*ret = strtoul(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && *ret < UINT_MAX;
}

static enum status build_owner_ids(const struct tree *t,
	const struct section *s, struct cfg_lineage *ret, struct err *err)
{
	int uline, gline;
	unsigned long n;
	const char *user = section_text(s, "owner", NULL, &uline);
	const char *group = section_text(s, "group", NULL, &gline);

	if (user) {
		const struct passwd *pw = getpwnam(user);
		if (pw)
			ret->uid = pw->pw_uid;
		else if (number(user, &n))
			ret->uid = (uid_t)n;
		else
			return tree_fail(t, s, uline, err,
				"owner = \"%s\": there is no such user", user);
	}
	if (group) {
		const struct group *gr = getgrnam(group);
		if (gr)
			ret->gid = gr->gr_gid;
		else if (number(group, &n))
			ret->gid = (gid_t)n;
		else
			return tree_fail(t, s, gline, err,
				"group = \"%s\": there is no such group",
				group);
		ret->group_set = true;
	}
	return ST_OK;
}

static enum status build_mode(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	int line;
	char *end;
	const char *text = section_text(s, "mode", NULL, &line);

	ret->mode = ret->group_set ? 0640 : 0600;
	if (!text)
		return ST_OK;
	unsigned long v = strtoul(text, &end, 8);
	/* There is a private key in these files. */
	if (*end || text[0] < '0' || text[0] > '7' ||
		(v != 0600 && v != 0640 && v != 0400 && v != 0440))
		return tree_fail(t, s, line, err,
			"mode = %s: must be 0600, 0640, 0400 or 0440 (the "
			"files hold a private key: nobody else may read them, "
			"nobody but the owner write them)",
			text);
	ret->mode = (mode_t)v;
	return ST_OK;
}

static enum status build_key(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	auto_buf names = BUF_INIT(256);
	struct err ignored = ERR_INIT;
	int line;
	const char *text = section_text(s, "key", NULL, &line);

	if (!text)
		return ST_OK;
	if (key_alg_parse(text, &ret->key) && ret->key != KEY_OTHER) {
		ret->have_key = true;
		return ST_OK;
	}
	for (int a = 0; a < KEY_OTHER; a++)
		(void)buf_printf(&names, &ignored, "%s\"%s\"", a ? " or " : "",
			key_alg_name((enum key_alg)a));
	return tree_fail(t, s, line, err, "key = \"%s\": must be %s", text,
		buf_str(&names));
}

static enum status build_times(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	ret->retire_after = 600;
	ret->verify_timeout = 60;
	ret->reload_timeout = 60;
	ret->key_max_age = 90 * 86400L;
	const struct {
		const char *name;
		long min, max;
		int64_t *ret;
	} times[] = {
		{ "retire_after", 1, WEEK, &ret->retire_after },
		{ "verify_timeout", 1, 3600, &ret->verify_timeout },
		{ "reload_timeout", 1, 3600, &ret->reload_timeout },
		{ "ttl", 0, WEEK, &ret->ttl },
		{ "key_max_age", 0, YEARS_10, &ret->key_max_age },
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		enum status st = tree_int(t, s, times[i].name, times[i].min,
			times[i].max, times[i].ret, err);
		if (st)
			return st;
	}
	return ST_OK;
}

static enum status build_choices(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	static const char *const issue[] = {
		[ISSUE_CSR] = "csr", [ISSUE_HOOK] = "hook", NULL
	};
	static const char *const insecure[] = { "hold", "proceed", NULL };
	static const char *const expiry[] = { "hold", "promote", NULL };
	static const char *const names[] = { "warn", "error", NULL };
	size_t i = 0, p = 0, e = 0, n = 0;

	enum status st = tree_choice(t, s, "issue", issue, ISSUE_CSR, &i, err);
	if (!st)
		st = tree_choice(t, s, "insecure", insecure, 0, &p, err);
	if (!st)
		st = tree_choice(t, s, "at_expiry", expiry, 0, &e, err);
	if (!st)
		st = tree_choice(t, s, "names", names, 0, &n, err);
	ret->issue = (enum issue_mode)i;
	ret->proceed_insecure = p;
	ret->promote_at_expiry = e;
	ret->names_error = n;
	return st;
}

/* Names are made canonical, so that they compare with those of a sweep. */
static enum status build_ignored(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	const struct opt_set *o = section_opt(s, "ignore_servers");
	enum status st =
		tree_list(t, s, "ignore_servers", &ret->ignore_servers, err);

	for (size_t i = 0; !st && o && i < o->n; i++) {
		const struct opt_value *v = &o->value[i];
		char name[DNS_NAME_MAX];
		struct dns_addr addr;
		struct err e = ERR_INIT;

		if (dns_addr_parse(v->text, 53, &addr))
			continue;
		if (name_canon(v->text, name, &e))
			return tree_fail(t, s, v->line, err,
				"ignore_servers: \"%s\": must be a host name "
				"or an address",
				v->text);
		ret->ignore_servers[i] = arena_strdup(t->arena, name, err);
		if (!ret->ignore_servers[i])
			return err->st;
	}
	return st;
}

static enum status build_commands(const struct tree *t, const struct section *s,
	struct cfg_lineage *ret, struct err *err)
{
	auto_str def = NULL;
	int line;
	const char *cmd = section_text(s, "certbot_command", "certbot", &line);

	if (cmd[0] != '/' && strpbrk(cmd, "/ \t"))
		return tree_fail(t, s, line, err,
			"certbot_command = \"%s\": must be an absolute path "
			"or a plain command name; arguments belong into "
			"certbot_options",
			cmd);
	ret->certbot_command = arena_strdup(t->arena, cmd, err);
	if (!ret->certbot_command ||
		asprintf(&def, "/etc/letsencrypt/live/%s", s->title) < 0)
		return err_set(err, ST_NOMEM, "out of memory");
	enum status st = tree_path(t, s, "certbot", def, &ret->certbot, err);
	if (!st)
		st = tree_list(t, s, "reload", &ret->reload, err);
	if (!st)
		st = tree_list(
			t, s, "certbot_options", &ret->certbot_options, err);
	/* Lists that are not set are empty, so that nobody needs to ask. */
	static char *none[] = { NULL };
	ret->reload = ret->reload ? ret->reload : none;
	ret->certbot_options =
		ret->certbot_options ? ret->certbot_options : none;
	ret->ignore_servers = ret->ignore_servers ? ret->ignore_servers : none;
	return st;
}

static enum status build_provider_ref(const struct tree *t,
	const struct section *s, const struct config *c,
	struct cfg_lineage *ret, struct err *err)
{
	int line;
	const char *text = section_text(s, "provider", NULL, &line);

	if (!text)
		return tree_fail(t, s, 0, err,
			"provider is missing: name a provider section");
	for (size_t i = 0; i < c->n_providers; i++)
		if (!strcmp(c->provider[i].name, text))
			ret->provider = &c->provider[i];
	if (!ret->provider)
		return tree_fail(t, s, line, err,
			"provider = \"%s\": there is no provider section of "
			"this name",
			text);
	return ST_OK;
}

enum status config_build_lineage(const struct tree *t, const struct section *s,
	const struct config *c, struct cfg_lineage *ret, struct err *err)
{
	typedef enum status builder(const struct tree *, const struct section *,
		struct cfg_lineage *, struct err *);
	static builder *const builders[] = { build_owners, build_endpoints,
		build_owner_ids, build_mode, build_key, build_times,
		build_choices, build_ignored, build_commands };
	enum status st = check_name(t, s, err);

	if (st)
		return st;
	ret->name = arena_strdup(t->arena, s->title, err);
	if (!ret->name)
		return err->st;
	st = build_provider_ref(t, s, c, ret, err);
	for (size_t i = 0; i < sizeof(builders) / sizeof(builders[0]) && !st;
		i++)
		st = builders[i](t, s, ret, err);
	return st;
}
