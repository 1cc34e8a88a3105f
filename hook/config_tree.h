/* What libconfuse read, as plain data with line numbers, so that only config.c
 * knows libconfuse. Internal to config*.c. */
#ifndef DANELAW_CONFIG_TREE_H
#define DANELAW_CONFIG_TREE_H

#include "hook/base/err.h"
#include "hook/config.h"

#include <stdbool.h>
#include <stddef.h>

/* Memory that lives as long as the configuration. */
struct arena_block;
struct arena {
	struct arena_block *first;
};

/* Zeroed; NULL only with err set. */
void *arena_alloc(struct arena *a, size_t n, size_t size, struct err *err);
char *arena_strdup(struct arena *a, const char *s, struct err *err);
void arena_release(struct arena *a);

struct opt_spec {
	const char *name; /* NULL ends a table */
	bool list;
};

struct opt_value {
	const char *text;
	int line;
};

/* One option as set in one section; n is 0 when it is not set. */
struct opt_set {
	const struct opt_spec *spec;
	struct opt_value *value;
	size_t n;
};

struct section {
	const char *kind;    /* "lineage"; NULL at the top level */
	const char *title;   /* NULL when the kind has none */
	int line;            /* where it ends: the best libconfuse tells */
	struct opt_set *opt; /* same order as the spec table */
	size_t n_opts;
};

struct tree {
	const char *path;
	struct arena *arena;
	struct section top, resolver, timing;
	struct section *provider;
	size_t n_providers;
	struct section *lineage;
	size_t n_lineages;
};

/* ST_CONFIG with "path:line: section: " before the text. line 0 means the end
 * of the section. Returns ST_CONFIG. */
enum status tree_fail(const struct tree *t, const struct section *s, int line,
	struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* The option of this name, NULL when it is not set. */
const struct opt_set *section_opt(const struct section *s, const char *name);
/* Its first value, or def. *ret_line (may be NULL) is 0 when not set. */
const char *section_text(const struct section *s, const char *name,
	const char *def, int *ret_line);

/* An integer in min..max; *ret untouched when the option is not set. */
enum status tree_int(const struct tree *t, const struct section *s,
	const char *name, long min, long max, int64_t *ret, struct err *err);
/* An absolute path without trailing slashes; NULL def and not set: NULL. */
enum status tree_path(const struct tree *t, const struct section *s,
	const char *name, const char *def, char **ret, struct err *err);
/* Index of the value in the NULL-terminated words; def when not set. */
enum status tree_choice(const struct tree *t, const struct section *s,
	const char *name, const char *const words[], size_t def, size_t *ret,
	struct err *err);
/* NULL-terminated copy of a list; NULL when not set. */
enum status tree_list(const struct tree *t, const struct section *s,
	const char *name, char ***ret, struct err *err);

/* config_build.c: everything but the lineages; config_lineage.c: these. All
 * that *ret points to is in the arena. */
enum status config_build(
	const struct tree *t, struct config *ret, struct err *err);
enum status config_build_lineage(const struct tree *t, const struct section *s,
	const struct config *c, struct cfg_lineage *ret, struct err *err);

extern const struct opt_spec config_lineage_spec[];
extern const struct opt_spec config_resolver_spec[];
extern const struct opt_spec config_timing_spec[];
extern const struct opt_spec config_top_spec[];

#endif
