/*
 * Typed access to what libconfuse read: the arena that the configuration lives
 * in, and the checks that more than one section needs. Invariant: every error
 * says file, line, section, option, what is wrong and what is allowed.
 */
#include "hook/config_tree.h"

#include "hook/base/buf.h"

#include <errno.h>
#include <stdarg.h>

struct arena_block {
	struct arena_block *next;
	_Alignas(max_align_t) unsigned char data[];
};

void *arena_alloc(struct arena *a, size_t n, size_t size, struct err *err)
{
	struct arena_block *b = NULL;
	size_t bytes;

	if (!__builtin_mul_overflow(n, size, &bytes) &&
		!__builtin_add_overflow(bytes, sizeof(*b), &bytes))
		b = calloc(1, bytes);
	if (!b) {
		err_set(err, ST_NOMEM, "out of memory");
		return NULL;
	}
	b->next = a->first;
	a->first = b;
	return b->data;
}

char *arena_strdup(struct arena *a, const char *s, struct err *err)
{
	size_t len = strlen(s) + 1;
	char *p = arena_alloc(a, len, 1, err);

	if (p)
		memcpy(p, s, len);
	return p;
}

void arena_release(struct arena *a)
{
	while (a->first) {
		struct arena_block *next = a->first->next;
		free(a->first);
		a->first = next;
	}
}

enum status tree_fail(const struct tree *t, const struct section *s, int line,
	struct err *err, const char *fmt, ...)
{
	char what[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!line)
		line = s->line;
	if (s->title)
		return err_set(err, ST_CONFIG, "%s:%d: %s \"%s\": %s", t->path,
			line, s->kind, s->title, what);
	if (s->kind)
		return err_set(err, ST_CONFIG, "%s:%d: %s: %s", t->path, line,
			s->kind, what);
	return err_set(err, ST_CONFIG, "%s:%d: %s", t->path, line, what);
}

const struct opt_set *section_opt(const struct section *s, const char *name)
{
	for (size_t i = 0; i < s->n_opts; i++)
		if (!strcmp(s->opt[i].spec->name, name))
			return s->opt[i].n ? &s->opt[i] : NULL;
	return NULL;
}

const char *section_text(const struct section *s, const char *name,
	const char *def, int *ret_line)
{
	const struct opt_set *o = section_opt(s, name);

	if (ret_line)
		*ret_line = o ? o->value[0].line : 0;
	return o ? o->value[0].text : def;
}

enum status tree_int(const struct tree *t, const struct section *s,
	const char *name, long min, long max, int64_t *ret, struct err *err)
{
	int line;
	char *end;
	const char *text = section_text(s, name, NULL, &line);

	if (!text)
		return ST_OK;
	errno = 0;
	long v = strtol(text, &end, 10);
	/* strtol skips blanks and takes a '+'; we do not. */
	if (errno || *end || end == text ||
		(text[0] != '-' && (text[0] < '0' || text[0] > '9')) ||
		v < min || v > max)
		return tree_fail(t, s, line, err,
			"%s = \"%s\": must be a whole number from %ld to %ld",
			name, text, min, max);
	*ret = v;
	return ST_OK;
}

enum status tree_path(const struct tree *t, const struct section *s,
	const char *name, const char *def, char **ret, struct err *err)
{
	int line;
	const char *text = section_text(s, name, def, &line);

	if (!text) {
		*ret = NULL;
		return ST_OK;
	}
	if (text[0] != '/')
		return tree_fail(t, s, line, err,
			"%s = \"%s\": must be an absolute path", name, text);
	char *p = arena_strdup(t->arena, text, err);
	if (!p)
		return err->st;
	for (size_t n = strlen(p); n > 1 && p[n - 1] == '/'; n--)
		p[n - 1] = '\0';
	*ret = p;
	return ST_OK;
}

enum status tree_choice(const struct tree *t, const struct section *s,
	const char *name, const char *const words[], size_t def, size_t *ret,
	struct err *err)
{
	auto_buf all = BUF_INIT(256);
	struct err ignored = ERR_INIT;
	int line;
	const char *text = section_text(s, name, words[def], &line);

	for (size_t i = 0; words[i]; i++) {
		if (!strcmp(text, words[i])) {
			*ret = i;
			return ST_OK;
		}
		(void)buf_printf(
			&all, &ignored, "%s\"%s\"", i ? " or " : "", words[i]);
	}
	return tree_fail(t, s, line, err, "%s = \"%s\": must be %s", name, text,
		buf_str(&all));
}

enum status tree_list(const struct tree *t, const struct section *s,
	const char *name, char ***ret, struct err *err)
{
	const struct opt_set *o = section_opt(s, name);

	if (!o) {
		*ret = NULL;
		return ST_OK;
	}
	char **v = arena_alloc(t->arena, o->n + 1, sizeof(*v), err);
	if (!v)
		return err->st;
	for (size_t i = 0; i < o->n; i++) {
		v[i] = arena_strdup(t->arena, o->value[i].text, err);
		if (!v[i])
			return err->st;
	}
	*ret = v;
	return ST_OK;
}
