/*
 * From sections of text to struct config: the top level, resolver, timing and
 * providers. A provider section may only hold the options of its own type;
 * their table comes with the provider. Invariant: what leaves here needs no
 * further check by anyone, except for what only the network or the file system
 * can tell.
 */
#include "hook/config_tree.h"

#include "hook/base/buf.h"
#include "hook/dns/authority.h"

#include <stdlib.h>

#define DAY 86400
#define YEAR (366L * DAY)

const struct opt_spec config_top_spec[] = {
	{ "state_dir", false },
	{ "sandbox", false },
	{ NULL, false },
};

const struct opt_spec config_resolver_spec[] = {
	{ "forward", true },
	{ "root_hints", false },
	{ "trust_anchor", false },
	{ "timeout", false },
	{ NULL, false },
};

const struct opt_spec config_timing_spec[] = {
	{ "wait_ttls", false },
	{ "assumed_prior_ttl", false },
	{ "ttl_floor", false },
	{ "min_wait", false },
	{ "poll_max", false },
	{ NULL, false },
};

static enum status build_resolver(
	const struct tree *t, struct resolver_config *ret, struct err *err)
{
	const struct section *s = &t->resolver;
	const struct opt_set *fwd = section_opt(s, "forward");
	char *hints, *anchor, **forward;
	int64_t timeout = 0;

	for (size_t i = 0; fwd && i < fwd->n; i++) {
		struct dns_addr a;
		if (!dns_addr_parse(fwd->value[i].text, 53, &a))
			return tree_fail(t, s, fwd->value[i].line, err,
				"forward = \"%s\": must be an address, with "
				"@port if not 53",
				fwd->value[i].text);
	}
	enum status st = tree_list(t, s, "forward", &forward, err);
	if (!st)
		st = tree_path(t, s, "root_hints", NULL, &hints, err);
	if (!st)
		st = tree_path(t, s, "trust_anchor", "/usr/share/dns/root.key",
			&anchor, err);
	if (!st)
		st = tree_int(t, s, "timeout", 1, 300, &timeout, err);
	if (st)
		return st;
	ret->forward = (const char *const *)forward;
	ret->root_hints = hints;
	ret->trust_anchor = anchor;
	ret->timeout_ms = timeout * 1000;
	return ST_OK;
}

static enum status build_timing(
	const struct tree *t, struct timing *ret, struct err *err)
{
	const struct section *s = &t->timing;
	int64_t wait_ttls = 2;

	*ret = (struct timing){ .assumed_prior_ttl = DAY, .poll_max = 900 };
	/* Below 2 the wait would not outlast every cache: the law forbids. */
	enum status st = tree_int(t, s, "wait_ttls", 2, 100, &wait_ttls, err);
	if (!st)
		st = tree_int(t, s, "assumed_prior_ttl", 0, YEAR,
			&ret->assumed_prior_ttl, err);
	if (!st)
		st = tree_int(t, s, "ttl_floor", 0, YEAR, &ret->ttl_floor, err);
	if (!st)
		st = tree_int(t, s, "min_wait", 0, YEAR, &ret->min_wait, err);
	if (!st)
		st = tree_int(t, s, "poll_max", 1, DAY, &ret->poll_max, err);
	ret->wait_ttls = (int)wait_ttls;
	return st;
}

static const struct provider_ops *find_type(
	const struct tree *t, const struct section *s, struct err *err)
{
	auto_buf types = BUF_INIT(512);
	struct err ignored = ERR_INIT;
	const struct provider_ops *ops;
	int line;
	const char *type = section_text(s, "type", NULL, &line);

	if (type && (ops = provider_find(type)))
		return ops;
	for (size_t i = 0; (ops = provider_at(i)); i++)
		(void)buf_printf(&types, &ignored, "%s\"%s\"", i ? " or " : "",
			ops->type);
	if (type)
		tree_fail(t, s, line, err, "type = \"%s\": must be %s", type,
			buf_str(&types));
	else
		tree_fail(t, s, 0, err, "type is missing: must be %s",
			buf_str(&types));
	return NULL;
}

/* An option that is only another type's. */
static enum status check_options(const struct tree *t, const struct section *s,
	const struct provider_ops *ops, struct err *err)
{
	auto_buf names = BUF_INIT(512);
	struct err ignored = ERR_INIT;
	const struct opt_set *wrong = NULL;

	for (size_t i = 0; i < s->n_opts && !wrong; i++) {
		const struct provider_option *o = ops->options;
		const char *name = s->opt[i].spec->name;
		while (o->name && strcmp(o->name, name))
			o++;
		if (s->opt[i].n && !o->name && strcmp(name, "type"))
			wrong = &s->opt[i];
	}
	if (!wrong)
		return ST_OK;
	for (const struct provider_option *o = ops->options; o->name; o++)
		(void)buf_printf(&names, &ignored, "%s%s",
			names.len ? ", " : "", o->name);
	return tree_fail(t, s, wrong->value[0].line, err,
		"%s is no option of type \"%s\"; its options: %s",
		wrong->spec->name, ops->type, buf_str(&names));
}

static bool in_environment(const struct provider_option *o)
{
	const char *value = o->env ? getenv(o->env) : NULL;

	return value && *value;
}

static enum status provider_value(const struct tree *t, const struct section *s,
	const struct provider_option *o, const char **ret, struct err *err)
{
	int line;
	int64_t number;
	char *path;
	const char *text = section_text(s, o->name, o->def, &line);

	/* The environment counts when the provider is opened. */
	if (!text && o->required && !in_environment(o))
		return tree_fail(t, s, 0, err, "%s is missing%s%s%s: %s",
			o->name, o->env ? " (or the environment variable " : "",
			o->env ? o->env : "", o->env ? ")" : "",
			o->help ? o->help : "it is required");
	*ret = text;
	switch (o->type) {
	case POPT_INT:
		return tree_int(t, s, o->name, o->min, o->max, &number, err);
	case POPT_FILE:
		return tree_path(t, s, o->name, o->def, &path, err);
	case POPT_SECRET_FILE:
		/* A relative one lies in systemd's credentials directory. */
		if (text && text[0] != '/' && strchr(text, '/'))
			return tree_fail(t, s, line, err,
				"%s = \"%s\": must be an absolute path, or "
				"the plain name of a systemd credential",
				o->name, text);
		return ST_OK;
	case POPT_STRING:
		return ST_OK;
	}
	return err_set(err, ST_BUG, "option %s has no type", o->name);
}

static enum status build_provider(const struct tree *t, const struct section *s,
	struct cfg_provider *ret, struct err *err)
{
	size_t n = 0;

	if (!s->title[0])
		return tree_fail(t, s, 0, err, "the name is empty");
	ret->name = arena_strdup(t->arena, s->title, err);
	if (!ret->name)
		return err->st;
	ret->ops = find_type(t, s, err);
	if (!ret->ops)
		return err->st;
	enum status st = check_options(t, s, ret->ops, err);
	while (ret->ops->options[n].name)
		n++;
	ret->value = arena_alloc(t->arena, n + 1, sizeof(*ret->value), err);
	if (!ret->value)
		return err->st;
	for (size_t i = 0; i < n && !st; i++)
		st = provider_value(
			t, s, &ret->ops->options[i], &ret->value[i], err);
	return st;
}

static enum status build_providers(
	const struct tree *t, struct config *ret, struct err *err)
{
	enum status st = ST_OK;

	ret->provider = arena_alloc(
		t->arena, t->n_providers, sizeof(*ret->provider), err);
	if (!ret->provider)
		return err->st;
	ret->n_providers = t->n_providers;
	for (size_t i = 0; i < t->n_providers && !st; i++)
		st = build_provider(t, &t->provider[i], &ret->provider[i], err);
	return st;
}

static enum status build_lineages(
	const struct tree *t, struct config *ret, struct err *err)
{
	ret->lineage = arena_alloc(
		t->arena, t->n_lineages, sizeof(*ret->lineage), err);
	if (!ret->lineage)
		return err->st;
	for (size_t i = 0; i < t->n_lineages; i++) {
		const struct section *s = &t->lineage[i];
		struct cfg_lineage *l = &ret->lineage[i];
		enum status st = config_build_lineage(t, s, ret, l, err);
		if (st)
			return st;
		for (size_t j = 0; j < i; j++)
			if (!strcmp(ret->lineage[j].certbot, l->certbot))
				return tree_fail(t, s, 0, err,
					"certbot = \"%s\": lineage \"%s\" "
					"has it already",
					l->certbot, ret->lineage[j].name);
		ret->n_lineages = i + 1;
	}
	return ST_OK;
}

enum status config_build(
	const struct tree *t, struct config *ret, struct err *err)
{
	static const char *const sandbox[] = {
		[SANDBOX_REQUIRED] = "required",
		[SANDBOX_AVAILABLE] = "available",
		[SANDBOX_OFF] = "off",
		[SANDBOX_OFF + 1] = NULL,
	};
	size_t mode = SANDBOX_REQUIRED;
	enum status st = tree_path(t, &t->top, "state_dir", "/var/lib/danelaw",
		&ret->state_dir, err);

	if (!st)
		st = tree_choice(t, &t->top, "sandbox", sandbox,
			SANDBOX_REQUIRED, &mode, err);
	ret->sandbox = (enum sandbox_mode)mode;
	if (!st)
		st = build_resolver(t, &ret->resolver, err);
	if (!st)
		st = build_timing(t, &ret->timing, err);
	if (!st)
		st = build_providers(t, ret, err);
	if (!st)
		st = build_lineages(t, ret, err);
	return st;
}
