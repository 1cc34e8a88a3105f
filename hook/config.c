/*
 * Reads the configuration with libconfuse and hands it on as plain data
 * (config_tree.h); this file is the only one that knows libconfuse. Every
 * option is text to libconfuse: ranges, words and paths are checked by
 * config_build.c and config_lineage.c, with the line of the value.
 *
 * libconfuse has no place for a line number per option, accepts an option
 * given twice, and gives its callbacks no argument. So the value callback
 * stores each value as "line:value" and sets a flag bit that libconfuse does
 * not use, and a static pointer leads to the running parse. Not thread-safe; it
 * runs once, at start.
 */
#include "hook/config.h"

#include "hook/base/auto.h"
#include "hook/config_text.h"
#include "hook/config_tree.h"

#include <confuse.h>

#define CFGF_SEEN (1 << 30)
#define ERROR_OPTIONS_MAX 400

/* The running parse: where errors go, and the value last read. */
static struct parse {
	const char *path;
	struct err *err;
	char *value;
} * parsing;

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* In a section provider: those of its type, which stands before them. */
static void allowed(cfg_t *cfg, struct buf *ret)
{
	const bool provider = !strcmp(cfg->name, "provider");
	const char *type = provider ? cfg_getstr(cfg, "type") : NULL;
	const char *colon = type ? strchr(type, ':') : NULL; /* "line:value" */
	const struct provider_ops *ops =
		colon ? provider_find(colon + 1) : NULL;
	struct err ignored = ERR_INIT;
	const char *sep = "; allowed here: ";

	if (provider && !ops) {
		(void)buf_printf(ret, &ignored,
			": danelaw-providers(5) lists those of each type");
		return;
	}
	if (ops)
		(void)buf_printf(
			ret, &ignored, "; options of type \"%s\": ", ops->type);
	for (size_t i = 0; ops && ops->options[i].name; i++)
		(void)buf_printf(ret, &ignored, "%s%s", i ? ", " : "",
			ops->options[i].name);
	for (const cfg_opt_t *o = cfg->opts; !ops && o->name; o++, sep = ", ")
		(void)buf_printf(ret, &ignored, "%s%s", sep, o->name);
}

/* Takes the first error only; libconfuse sometimes adds a second. */
static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	auto_buf names = BUF_INIT(ERROR_OPTIONS_MAX);
	char what[256];

	if (parsing->err->st)
		return;
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	if (!strncmp(fmt, "no such option", 14))
		allowed(cfg, &names);
	err_set(parsing->err, ST_CONFIG, "%s:%d: %s%s", parsing->path,
		cfg->line, what, buf_str(&names));
}

static int duplicate(cfg_t *cfg, const cfg_opt_t *opt)
{
	cfg_error(cfg, "option '%s' is given twice", opt->name);
	return -1;
}

/* For each value, before it is stored; a new assignment to a list has thrown
 * the old values away by then and made room for one. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	bool list = opt->flags & CFGF_LIST;
	auto_str copy = strdup(value);

	if ((opt->flags & CFGF_SEEN) && (!list || opt->nvalues == 1))
		return duplicate(cfg, opt);
	opt->flags |= CFGF_SEEN;
	if (copy)
		config_text_unguard(copy);
	for (const char *c = copy; c && *c; c++)
		if ((unsigned char)*c < ' ' && *c != '\t' &&
			!(list && *c == '\n')) {
			cfg_error(cfg, "option '%s' holds a control character",
				opt->name);
			return -1;
		}
	free(parsing->value);
	parsing->value = NULL;
	if (!copy || asprintf(&parsing->value, "%d:%s", cfg->line, copy) < 0) {
		parsing->value = NULL;
		err_set(parsing->err, ST_NOMEM, "out of memory");
		return -1;
	}
	*(const char **)result = parsing->value;
	return 0;
}

/* At the end of a section without title. */
static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	if (opt->flags & CFGF_SEEN)
		return duplicate(cfg, opt);
	opt->flags |= CFGF_SEEN;
	return 0;
}

static size_t spec_count(const struct opt_spec *spec)
{
	size_t n = 0;

	while (spec[n].name)
		n++;
	return n;
}

/* libconfuse's table for a spec table, with room for extra more entries at the
 * front. It copies what it is given, so the arena is a fine place. */
static cfg_opt_t *make_opts(struct arena *a, const struct opt_spec *spec,
	size_t extra, struct err *err)
{
	size_t n = spec_count(spec);
	cfg_opt_t *o = arena_alloc(a, extra + n + 1, sizeof(*o), err);

	for (size_t i = 0; o && i < n; i++) {
		cfg_opt_t text = CFG_STR(spec[i].name, NULL, CFGF_NODEFAULT);
		cfg_opt_t list =
			CFG_STR_LIST(spec[i].name, NULL, CFGF_NODEFAULT);
		o[extra + i] = spec[i].list ? list : text;
		o[extra + i].parsecb = on_value;
	}
	if (o) {
		cfg_opt_t end = CFG_END();
		o[extra + n] = end;
	}
	return o;
}

/* The options of all provider types, each once: libconfuse cannot choose a
 * table by the value of "type". config_build.c refuses those of another. */
static struct opt_spec *provider_spec(struct arena *a, struct err *err)
{
	const struct provider_ops *ops;
	size_t n = 1;

	for (size_t i = 0; (ops = provider_at(i)); i++)
		for (size_t j = 0; ops->options[j].name; j++)
			n++;
	struct opt_spec *spec = arena_alloc(a, n + 1, sizeof(*spec), err);
	if (!spec)
		return NULL;
	spec[0].name = "type";
	n = 1;
	for (size_t i = 0; (ops = provider_at(i)); i++)
		for (size_t j = 0; ops->options[j].name; j++) {
			const char *name = ops->options[j].name;
			size_t k = 0;
			while (k < n && strcmp(spec[k].name, name))
				k++;
			if (k == n)
				spec[n++].name = name;
		}
	return spec;
}

/* "line:value" back into its parts. */
static enum status take_value(struct arena *a, const char *stored,
	struct opt_value *ret, struct err *err)
{
	char *colon;

	ret->line = (int)strtol(stored, &colon, 10);
	ret->text = arena_strdup(a, colon + 1, err);
	return ret->text ? ST_OK : err->st;
}

static enum status take_opt(const struct tree *t, const struct section *s,
	cfg_opt_t *from, const struct opt_spec *spec, struct opt_set *ret,
	struct err *err)
{
	ret->spec = spec;
	if (!(from->flags & CFGF_MODIFIED))
		return ST_OK;
	if (!from->nvalues)
		return tree_fail(t, s, 0, err,
			"%s = {} is empty: leave the option out", spec->name);
	ret->value =
		arena_alloc(t->arena, from->nvalues, sizeof(*ret->value), err);
	if (!ret->value)
		return err->st;
	for (unsigned i = 0; i < from->nvalues; i++) {
		struct opt_value *v = &ret->value[i];
		enum status st =
			take_value(t->arena, from->values[i]->string, v, err);
		if (st)
			return st;
		if (!v->text[0])
			return tree_fail(t, s, v->line, err,
				"%s = \"\" is empty: leave the option out",
				spec->name);
	}
	ret->n = from->nvalues;
	return ST_OK;
}

static enum status take_section(const struct tree *t, cfg_t *from,
	const struct opt_spec *spec, struct section *ret, struct err *err)
{
	const char *title = cfg_title(from);
	size_t n = spec_count(spec);

	ret->line = from->line;
	ret->title = title ? arena_strdup(t->arena, title, err) : NULL;
	ret->opt = arena_alloc(t->arena, n, sizeof(*ret->opt), err);
	if ((title && !ret->title) || !ret->opt)
		return err->st;
	for (size_t i = 0; i < n; i++) {
		cfg_opt_t *o = cfg_getopt(from, spec[i].name);
		if (!o)
			return err_set(
				err, ST_BUG, "option %s is lost", spec[i].name);
		enum status st =
			take_opt(t, ret, o, &spec[i], &ret->opt[i], err);
		if (st)
			return st;
	}
	ret->n_opts = n;
	return ST_OK;
}

static enum status take_sections(const struct tree *t, cfg_t *root,
	const char *kind, const struct opt_spec *spec, struct section **ret,
	size_t *ret_n, struct err *err)
{
	unsigned n = cfg_size(root, kind);
	struct section *s = arena_alloc(t->arena, n, sizeof(*s), err);

	if (!s)
		return err->st;
	for (unsigned i = 0; i < n; i++) {
		s[i].kind = kind;
		enum status st = take_section(
			t, cfg_getnsec(root, kind, i), spec, &s[i], err);
		if (st)
			return st;
	}
	*ret = s;
	*ret_n = n;
	return ST_OK;
}

static enum status take_tree(cfg_t *root, const struct opt_spec *provider,
	struct tree *t, struct err *err)
{
	t->resolver.kind = "resolver";
	t->timing.kind = "timing";
	enum status st = take_section(t, root, config_top_spec, &t->top, err);
	if (!st)
		st = take_section(t, cfg_getsec(root, "resolver"),
			config_resolver_spec, &t->resolver, err);
	if (!st)
		st = take_section(t, cfg_getsec(root, "timing"),
			config_timing_spec, &t->timing, err);
	if (!st)
		st = take_sections(t, root, "provider", provider, &t->provider,
			&t->n_providers, err);
	if (!st)
		st = take_sections(t, root, "lineage", config_lineage_spec,
			&t->lineage, &t->n_lineages, err);
	return st;
}

static cfg_t *make_root(
	struct arena *a, const struct opt_spec *provider, struct err *err)
{
	const cfg_flag_t titled = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	cfg_opt_t *resolver = make_opts(a, config_resolver_spec, 0, err);
	cfg_opt_t *timing = make_opts(a, config_timing_spec, 0, err);
	cfg_opt_t *prov = make_opts(a, provider, 0, err);
	cfg_opt_t *lineage = make_opts(a, config_lineage_spec, 0, err);
	cfg_opt_t *root = make_opts(a, config_top_spec, 4, err);

	if (!resolver || !timing || !prov || !lineage || !root)
		return NULL;
	cfg_opt_t sections[] = {
		CFG_SEC("resolver", resolver, CFGF_NONE),
		CFG_SEC("timing", timing, CFGF_NONE),
		CFG_SEC("provider", prov, titled),
		CFG_SEC("lineage", lineage, titled),
	};
	sections[0].validcb = on_section;
	sections[1].validcb = on_section;
	memcpy(root, sections, sizeof(sections));
	cfg_t *cfg = cfg_init(root, CFGF_NONE);
	if (!cfg)
		err_set(err, ST_NOMEM, "out of memory");
	return cfg;
}

static enum status parse(
	cfg_t *root, const char *path, struct buf *text, struct err *err)
{
	struct parse p = { .path = path, .err = err };
	FILE *f = fmemopen(text->data, text->len, "r");

	if (!f)
		return err_set(err, ST_NOMEM, "out of memory");
	parsing = &p;
	cfg_set_error_function(root, on_error);
	int rc = cfg_parse_fp(root, f);
	parsing = NULL;
	free(p.value);
	(void)fclose(f);
	if (rc == CFG_SUCCESS)
		return ST_OK;
	return err->st ? err->st
		       : err_set(err, ST_CONFIG, "%s: cannot be read", path);
}

static enum status read_into(
	struct arena *a, const char *path, struct config *ret, struct err *err)
{
	auto_buf text = BUF_INIT((size_t)2 * CONFIG_FILE_MAX + 2);
	struct tree t = { .arena = a };
	struct opt_spec *provider = provider_spec(a, err);

	ret->path = arena_strdup(a, path, err);
	if (!provider || !ret->path)
		return err->st;
	t.path = ret->path;
	enum status st = config_text_read(path, &text, err);
	if (st)
		return st;
	cfg_t *root = make_root(a, provider, err);
	if (!root)
		return err->st;
	st = parse(root, path, &text, err);
	if (!st)
		st = take_tree(root, provider, &t, err);
	/* Also resets the scanner, which is global, after an error. */
	cfg_free(root);
	return st ? st : config_build(&t, ret, err);
}

enum status config_read(const char *path, struct config *ret, struct err *err)
{
	struct config c = { .path = NULL };
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ST_NOMEM, "out of memory");
	/* The first error is kept by its status, so it must start clean. */
	struct err e = ERR_INIT;
	enum status st = read_into(a, path, &c, &e);
	if (st) {
		arena_release(a);
		free(a);
		*err = e;
		return st;
	}
	c.impl = a;
	*ret = c;
	return ST_OK;
}

void config_release(struct config *c)
{
	if (c->impl) {
		arena_release(c->impl);
		free(c->impl);
	}
	memset(c, 0, sizeof(*c));
}

const struct cfg_lineage *config_lineage(
	const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_lineages; i++)
		if (!strcmp(c->lineage[i].name, name))
			return &c->lineage[i];
	return NULL;
}
