/*
 * Where a credential comes from. The configuration wins over the environment,
 * so that what is written down is what is used. Values of the environment are
 * copied into a struct secret, which is wiped.
 */
#include "providers/cred.h"

#include "hook/base/auto.h"

#include <stdlib.h>
#include <string.h>

static const char *from_env(const struct provider_option *o)
{
	const char *value = o->env != NULL ? secure_getenv(o->env) : NULL;

	return value != NULL && *value != '\0' ? value : NULL;
}

static enum status take(
	const char *text, size_t len, struct secret *ret, struct err *err)
{
	if (len > SECRET_MAX)
		return err_set(
			err, ST_CONFIG, "longer than %d bytes", SECRET_MAX);
	ret->data = malloc(len + 1);
	if (ret->data == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	memcpy(ret->data, text, len);
	ret->data[len] = '\0';
	ret->len = len;
	return ST_OK;
}

static enum status missing(const struct provider_option *o, struct err *err)
{
	if (o->env != NULL)
		return err_set(err, ST_CONFIG,
			"%s is missing (or the environment variable %s): %s",
			o->name, o->env, o->help);
	return err_set(err, ST_CONFIG, "%s is missing: %s", o->name, o->help);
}

/* A secret that holds a line break would be cut or mixed into a request. */
static enum status env_secret(const struct provider_option *o,
	const char *value, struct secret *ret, struct err *err)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == '\177')
			return err_set(err, ST_CONFIG,
				"the environment variable %s holds a control "
				"character",
				o->env);
	if (take(value, strlen(value), ret, err) != ST_OK)
		return err_context(err, "the environment variable %s", o->env);
	return ST_OK;
}

enum status cred_secret_maybe(const struct provider_config *cfg,
	const struct provider_option *options, size_t i, struct secret *ret,
	struct err *err)
{
	const struct provider_option *o = &options[i];
	const char *env = from_env(o);
	enum status st;

	if (cfg->value[i] != NULL) {
		st = secret_read_line(cfg->value[i], ret, err);
		return st == ST_OK ? st : err_context(err, "%s", o->name);
	}
	if (env != NULL)
		return env_secret(o, env, ret, err);
	*ret = (struct secret){ .data = NULL };
	return ST_OK;
}

enum status cred_secret(const struct provider_config *cfg,
	const struct provider_option *options, size_t i, struct secret *ret,
	struct err *err)
{
	if (cfg->value[i] == NULL && from_env(&options[i]) == NULL)
		return missing(&options[i], err);
	return cred_secret_maybe(cfg, options, i, ret, err);
}

enum status cred_file(const struct provider_config *cfg,
	const struct provider_option *options, size_t i, struct secret *ret,
	struct err *err)
{
	const struct provider_option *o = &options[i];
	const char *path = cfg->value[i] != NULL ? cfg->value[i] : from_env(o);
	enum status st;

	if (path == NULL)
		return missing(o, err);
	st = secret_read(path, ret, err);
	return st == ST_OK ? st : err_context(err, "%s", o->name);
}

const char *cred_text(const struct provider_config *cfg,
	const struct provider_option *options, size_t i)
{
	const struct provider_option *o = &options[i];
	const char *env = from_env(o);

	/* The default is in value already; the environment beats it. */
	if (env != NULL && (cfg->value[i] == NULL || cfg->value[i] == o->def))
		return env;
	return cfg->value[i];
}

/* ---- INI ---- */

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

static const char *trim_end(const char *p, const char *end)
{
	while (end > p &&
		(end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return end;
}

static bool is_text(const char *p, const char *end, const char *text)
{
	return strlen(text) == (size_t)(end - p) &&
	       memcmp(p, text, (size_t)(end - p)) == 0;
}

/* "key = value": the value. */
static const char *value_of(
	const char *p, const char *end, const char *key, const char **ret_end)
{
	const char *eq = memchr(p, '=', (size_t)(end - p));

	if (eq == NULL || !is_text(p, trim_end(p, eq), key))
		return NULL;
	*ret_end = end;
	return skip_blanks(eq + 1, end);
}

enum status cred_ini(const struct secret *file, const char *section,
	const char *key, struct secret *ret, struct err *err)
{
	const char *p = file->data, *all = p + file->len;
	bool inside = false;

	while (p < all) {
		const char *nl = memchr(p, '\n', (size_t)(all - p));
		const char *end = trim_end(p, nl != NULL ? nl : all);
		const char *line = skip_blanks(p, end), *value, *value_end;

		p = nl != NULL ? nl + 1 : all;
		if (line == end || *line == '#' || *line == ';')
			continue;
		if (*line == '[') {
			inside = end[-1] == ']' &&
				 is_text(line + 1, end - 1, section);
			continue;
		}
		value = inside ? value_of(line, end, key, &value_end) : NULL;
		if (value != NULL && value < value_end)
			return take(
				value, (size_t)(value_end - value), ret, err);
	}
	return err_set(
		err, ST_NOTFOUND, "there is no %s in [%s]", key, section);
}
