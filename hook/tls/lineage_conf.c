/*
 * What certbot's renewal configuration says: where the lineage lives, and with
 * which authenticator and account a CSR of ours can be sent the same way.
 *
 * certbot itself restores from this file a fixed list of options plus those
 * that start with the authenticator's name, and ignores the rest. We take the
 * same ones, minus what belongs to keys, hooks and installers. The result is
 * read by certbot's --config parser (ConfigArgParse), which knows no escapes:
 * a value that no quoting can carry unharmed is refused, never changed.
 */
#include "hook/base/auto.h"
#include "hook/tls/lineage.h"
#include "hook/tls/lineage_impl.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_MAX (256 * 1024)
#define PARAMS "renewalparams"
#define WEBROOT_MAP "renewalparams/webroot_map"
/* RFC 8555 is version 2; certbot itself ignores this old default. */
#define ACME_V1 "https://acme-v01.api.letsencrypt.org/directory"

/* ---- where it lives ---- */

void lineage_home_release(struct lineage_home *h)
{
	free(h->live_dir);
	free(h->config_dir);
	free(h->archive_dir);
	free(h->name);
	ini_release(&h->conf);
	*h = (struct lineage_home){ .name = NULL };
}

/* Cuts the last component off path: "/a/b/c" gives "/a/b" and "c". False when
 * there is none. */
static bool cut_last(char *path, const char **ret_last)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL || slash[1] == '\0')
		return false;
	*ret_last = slash + 1;
	*slash = '\0';
	return true;
}

/* Fills the paths from the shape CONFIG/live/NAME; false when path has not
 * this shape or no memory is left. */
static bool split_home(const char *path, struct lineage_home *h)
{
	auto_str work = strdup(path);
	const char *name, *live;
	bool ok = work != NULL && cut_last(work, &name);

	h->live_dir = strdup(path);
	h->name = ok ? strdup(name) : NULL;
	ok = ok && cut_last(work, &live);
	h->config_dir = ok ? strdup(work[0] != '\0' ? work : "/") : NULL;
	return h->live_dir != NULL && h->name != NULL && h->config_dir != NULL;
}

static enum status read_conf(
	const char *path, struct lineage_home *h, struct err *err)
{
	auto_buf b = BUF_INIT(CONF_MAX);
	enum status st;

	st = lineage_slurp(AT_FDCWD, path, &b, err);
	if (st == ST_OK) {
		st = ini_parse(buf_str(&b), b.len, &h->conf, err);
		if (st != ST_OK)
			err_context(err, "%s", path);
	}
	return st;
}

static bool same_dir(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The configuration must speak of this very folder, not only carry its
 * name. */
static enum status check_conf(
	struct lineage_home *h, const char *path, struct err *err)
{
	const char *cert = ini_get(&h->conf, "", "cert");
	const char *archive = ini_get(&h->conf, "", "archive_dir");
	auto_str dir = cert != NULL ? strdup(cert) : NULL;
	const char *last;
	int n;

	if (dir == NULL || !cut_last(dir, &last) || !same_dir(dir, h->live_dir))
		return err_set(err, ST_REFUSED,
			"%s is about another lineage: its cert = %s is not in "
			"%s; put the folder that certbot writes to into the "
			"option certbot",
			path, cert != NULL ? cert : "(missing)", h->live_dir);
	if (archive != NULL)
		h->archive_dir = strdup(archive);
	else {
		n = asprintf(&h->archive_dir, "%s/archive/%s", h->config_dir,
			h->name);
		if (n < 0)
			h->archive_dir = NULL;
	}
	if (h->archive_dir == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

static enum status find_at(
	const char *path, struct lineage_home *ret, struct err *err)
{
	struct lineage_home h = { .name = NULL };
	char conf[PATH_MAX];
	enum status st;
	int n;

	if (!split_home(path, &h)) {
		lineage_home_release(&h);
		return err_set(err, ST_NOTFOUND,
			"%s has not the form FOLDER/live/NAME", path);
	}
	n = snprintf(
		conf, sizeof(conf), "%s/renewal/%s.conf", h.config_dir, h.name);
	if (n < 0 || (size_t)n >= sizeof(conf))
		st = err_set(err, ST_REFUSED, "path %s is too long", path);
	else
		st = read_conf(conf, &h, err);
	if (st == ST_OK)
		st = check_conf(&h, conf, err);
	if (st != ST_OK) {
		lineage_home_release(&h);
		return st;
	}
	*ret = h;
	return ST_OK;
}

enum status lineage_home_find(
	const char *live_dir, struct lineage_home *ret, struct err *err)
{
	auto_str path = strdup(live_dir);
	auto_str real = NULL;
	struct err first = ERR_INIT; /* err stays untouched on success */
	enum status st;
	size_t len;

	if (path == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	st = find_at(path, ret, &first);
	if (st != ST_OK && st != ST_NOTFOUND)
		*err = first;
	if (st != ST_NOTFOUND)
		return st;
	/* live_dir may be a link of the operator's into certbot's folder. */
	real = realpath(path, NULL);
	if (real != NULL && strcmp(real, path) != 0)
		st = find_at(real, ret, err);
	if (st == ST_NOTFOUND)
		return err_set(err, ST_NOTFOUND,
			"certbot has no renewal configuration for %s",
			live_dir);
	return st;
}

enum status lineage_config_dir(
	const char *live_dir, char **ret, struct err *err)
{
	struct lineage_home h = { .name = NULL };
	enum status st;

	st = lineage_home_find(live_dir, &h, err);
	if (st != ST_OK)
		return st;
	*ret = h.config_dir;
	h.config_dir = NULL;
	lineage_home_release(&h);
	return ST_OK;
}

/* ---- options for certonly --csr ---- */

struct known {
	const char *key;    /* in the renewal configuration */
	const char *option; /* on certbot's command line */
};

/* Left out on purpose: key_type, rsa_key_size, elliptic_curve, reuse_key (the
 * CSR decides), must_staple (in the CSR), *_hook (none run with --csr),
 * installer, autorenew, allow_subset_of_names (refused with --csr). */
static const struct known known[] = {
	{ "account", "account" },
	{ "authenticator", "authenticator" },
	{ "config_dir", "config-dir" },
	{ "http01_address", "http-01-address" },
	{ "http01_port", "http-01-port" },
	{ "logs_dir", "logs-dir" },
	{ "pref_challs", "preferred-challenges" },
	{ "preferred_chain", "preferred-chain" },
	{ "preferred_profile", "preferred-profile" },
	{ "required_profile", "required-profile" },
	{ "server", "server" },
	{ "user_agent", "user-agent" },
	{ "work_dir", "work-dir" },
};

/* The parser ends a quoted value at the first such quote after which the line
 * is blank or a comment. */
static bool quote_carries(char quote, const char *v)
{
	for (const char *p = strchr(v, quote); p != NULL;
		p = strchr(p + 1, quote)) {
		const char *q = p + 1 + strspn(p + 1, " \t");

		if (q > p + 1 && (*q == '#' || *q == ';'))
			return false;
	}
	return true;
}

static enum status put(
	struct buf *b, const char *option, const char *v, struct err *err)
{
	size_t len = strlen(v);
	char quote = '\0';

	for (const char *p = v; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return err_set(err, ST_REFUSED,
				"value of %s holds control characters", option);
	/* configobj would replace it, and fails when it cannot */
	if (strstr(v, "%(") != NULL && strstr(v, ")s") != NULL)
		return err_set(err, ST_REFUSED,
			"value of %s holds an interpolation %%(...)s", option);
	if (quote_carries('"', v))
		quote = '"';
	else if (quote_carries('\'', v))
		quote = '\'';
	if (quote == '\0' || (len > 1 && v[0] == '[' && v[len - 1] == ']'))
		return err_set(err, ST_REFUSED,
			"value of %s cannot be given to certbot --config",
			option);
	return buf_printf(b, err, "%s = %c%s%c\n", option, quote, v, quote);
}

static enum status join(
	const struct ini_item *it, struct buf *ret, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < it->n; i++)
		st = buf_printf(
			ret, err, "%s%s", i > 0 ? "," : "", it->value[i]);
	return st;
}

/* Does the key belong to the authenticator's plugin? certbot's own rule. */
static bool of_plugin(const char *key, const char *authenticator)
{
	size_t n = strlen(authenticator);

	if (n == 0 || strcmp(authenticator, "webroot") == 0)
		return false; /* webroot has rules of its own, below */
	for (size_t i = 0; i < n; i++) {
		char c = authenticator[i] == '-' ? '_' : authenticator[i];

		if (key[i] != c)
			return false;
	}
	return key[n] == '_';
}

/* *ret: owned, NULL when the key is not for us. */
static enum status option_for(
	const char *key, const char *authenticator, char **ret, struct err *err)
{
	const char *from = NULL;
	char *name;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(key, known[i].key) == 0)
			from = known[i].option;
	if (from == NULL && of_plugin(key, authenticator) &&
		/* accepted by no certbot of the future, needed by none */
		strcmp(key, "manual_public_ip_logging_ok") != 0)
		from = key;
	if (from == NULL)
		return ST_OK;
	name = strdup(from);
	if (name == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (char *p = name; *p != '\0'; p++) {
		if (*p == '_')
			*p = '-';
		/* It becomes a name in another syntax. */
		if (isalnum((unsigned char)*p) || *p == '-')
			continue;
		free(name);
		return err_set(err, ST_REFUSED,
			"option %s has no name that certbot --config takes",
			key);
	}
	*ret = name;
	return ST_OK;
}

static enum status put_item(struct buf *b, const struct ini_item *it,
	const char *authenticator, struct err *err)
{
	auto_buf v = BUF_INIT(16384);
	auto_str option = NULL;
	enum status st;

	st = option_for(it->key, authenticator, &option, err);
	if (st != ST_OK || option == NULL)
		return st;
	st = join(it, &v, err);
	if (st != ST_OK)
		return st;
	/* How certbot wrote "not set", and flags that are off. */
	if (v.len == 0 || strcmp(buf_str(&v), "None") == 0 ||
		strcmp(buf_str(&v), "False") == 0)
		return ST_OK;
	if (strcmp(it->key, "server") == 0 && strcmp(buf_str(&v), ACME_V1) == 0)
		return ST_OK;
	return put(b, option, buf_str(&v), err);
}

static enum status json_string(struct buf *b, const char *s, struct err *err)
{
	enum status st = buf_append(b, "\"", 1, err);

	for (; st == ST_OK && *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			st = buf_printf(b, err, "\\%c", c);
		else if (c < 0x20)
			st = buf_printf(b, err, "\\u%04x", c);
		else
			st = buf_append(b, s, 1, err);
	}
	if (st == ST_OK)
		st = buf_append(b, "\"", 1, err);
	return st;
}

/* certbot refuses a map with a name that the CSR has not, so what is left of
 * earlier days is dropped. */
static bool in_leaf(const struct cert_info *leaf, const char *name)
{
	for (size_t i = 0; i < leaf->n_names; i++)
		if (strcasecmp(leaf->names[i], name) == 0)
			return true;
	return false;
}

static enum status put_webroot_map(struct buf *b, const struct ini *conf,
	const struct cert_info *leaf, struct err *err)
{
	auto_buf map = BUF_INIT(65536);
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < conf->n; i++) {
		const struct ini_item *it = &conf->item[i];

		if (strcmp(it->section, WEBROOT_MAP) != 0 || it->n == 0 ||
			!in_leaf(leaf, it->key))
			continue;
		st = buf_append(&map, map.len == 0 ? "{" : ",", 1, err);
		if (st == ST_OK)
			st = json_string(&map, it->key, err);
		if (st == ST_OK)
			st = buf_append(&map, ":", 1, err);
		if (st == ST_OK)
			st = json_string(&map, it->value[0], err);
	}
	if (st != ST_OK || map.len == 0)
		return st;
	st = buf_append(&map, "}", 1, err);
	if (st == ST_OK)
		st = put(b, "webroot-map", buf_str(&map), err);
	return st;
}

static enum status put_webroot(
	struct buf *b, const struct lineage_home *h, struct err *err)
{
	struct lineage_version v = { .n = 0 };
	enum status st = ST_OK;

	/* The path first: certbot wants it before any name. The last one is
	 * for names that the map has not. */
	for (size_t i = 0; st == ST_OK && i < h->conf.n; i++) {
		const struct ini_item *it = &h->conf.item[i];

		if (strcmp(it->section, PARAMS) == 0 && it->n > 0 &&
			strcmp(it->key, "webroot_path") == 0)
			st = put(b, "webroot-path", it->value[it->n - 1], err);
	}
	if (st == ST_OK)
		st = lineage_read(h->live_dir, 1000, &v, err);
	if (st != ST_OK)
		return st;
	st = put_webroot_map(b, &h->conf, &v.leaf, err);
	lineage_version_release(&v);
	return st;
}

static enum status put_all(
	struct buf *b, const struct lineage_home *h, struct err *err)
{
	const char *auth = ini_get(&h->conf, PARAMS, "authenticator");
	enum status st = ST_OK;

	if (auth == NULL || auth[0] == '\0' || strcmp(auth, "None") == 0)
		return err_set(err, ST_REFUSED, "it names no authenticator");
	for (size_t i = 0; st == ST_OK && i < h->conf.n; i++)
		if (strcmp(h->conf.item[i].section, PARAMS) == 0)
			st = put_item(b, &h->conf.item[i], auth, err);
	if (st == ST_OK && strcmp(auth, "webroot") == 0)
		st = put_webroot(b, h, err);
	return st;
}

enum status lineage_csr_options(
	const char *live_dir, struct buf *ret_ini, struct err *err)
{
	auto_buf b = BUF_INIT(CONF_MAX);
	struct lineage_home h = { .name = NULL };
	enum status st;

	st = lineage_home_find(live_dir, &h, err);
	if (st != ST_OK)
		return st;
	st = put_all(&b, &h, err);
	if (st != ST_OK)
		err_context(err, "renewal configuration of %s", h.name);
	else
		st = buf_append(ret_ini, buf_str(&b), b.len, err);
	lineage_home_release(&h);
	return st;
}
