/*
 * XML into a small tree, with expat. Invariants: nothing is read but the text
 * that was given (no DTD, so no entities and nothing external); depth and
 * number of elements are limited, and so the recursion that frees them; the
 * text is UTF-8 whatever it claims.
 */
#include "providers/xml.h"

#include <expat.h>
#include <limits.h>
#include <stdbool.h>

struct reader {
	XML_Parser p;
	struct xml *open[XML_DEPTH_MAX]; /* from the root to where we are */
	struct xml *last[XML_DEPTH_MAX]; /* child of each */
	size_t depth, n;
	struct xml *root;
	struct buf text; /* since the last tag */
	struct err *err;
	enum status st;
};

static void stop(struct reader *r, enum status st, const char *why)
{
	if (!r->st)
		r->st = err_set(
			r->err, st, "the answer is no XML of an API: %s", why);
	(void)XML_StopParser(r->p, XML_FALSE);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
	const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	stop(arg, ST_RETRY, "it has a document type (an HTML page?)");
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
	struct reader *r = arg;
	const char *colon = strchr(name, ':');
	struct xml *x;

	(void)attrs;
	if (r->st)
		return;
	/* To expat these are names. (Namespaces in XML 1.0, 4) */
	if (colon == name || (colon && (!colon[1] || strchr(colon + 1, ':')))) {
		stop(r, ST_RETRY, "an element with a colon out of place");
		return;
	}
	if (r->depth == XML_DEPTH_MAX || ++r->n > XML_ELEMENTS_MAX) {
		stop(r, ST_RETRY, "it is too deep, or has too many elements");
		return;
	}
	x = calloc(1, sizeof(*x));
	if (x)
		x->name = strdup(colon ? colon + 1 : name);
	if (!x || !x->name) {
		free(x);
		stop(r, ST_NOMEM, "out of memory");
		return;
	}
	buf_clear(&r->text);
	if (!r->depth)
		r->root = x;
	else if (r->last[r->depth - 1])
		r->last[r->depth - 1]->next = x;
	else
		r->open[r->depth - 1]->child = x;
	if (r->depth)
		r->last[r->depth - 1] = x;
	r->last[r->depth] = NULL;
	r->open[r->depth++] = x;
}

static void on_end(void *arg, const XML_Char *name)
{
	struct reader *r = arg;
	struct xml *x;

	(void)name;
	if (r->st)
		return;
	x = r->open[--r->depth];
	if (!x->child) {
		x->text = strdup(buf_str(&r->text));
		if (!x->text)
			stop(r, ST_NOMEM, "out of memory");
	}
	buf_clear(&r->text);
}

static void on_text(void *arg, const XML_Char *text, int len)
{
	struct reader *r = arg;
	struct err ignored = ERR_INIT;

	if (!r->st && buf_append(&r->text, text, (size_t)len, &ignored))
		stop(r, ignored.st == ST_NOMEM ? ST_NOMEM : ST_RETRY,
			"a text in it is too long");
}

enum status xml_parse(
	const char *text, size_t len, struct xml **ret, struct err *err)
{
	struct reader r = { .p = XML_ParserCreate("UTF-8"),
		.text = BUF_INIT(len),
		.err = err };

	if (!r.p)
		return err_set(err, ST_NOMEM, "out of memory");
	XML_SetUserData(r.p, &r);
	XML_SetElementHandler(r.p, on_start, on_end);
	XML_SetCharacterDataHandler(r.p, on_text);
	XML_SetStartDoctypeDeclHandler(r.p, on_doctype);
	if (len > INT_MAX)
		stop(&r, ST_RETRY, "it is too large");
	else if (XML_Parse(r.p, text, (int)len, XML_TRUE) == XML_STATUS_ERROR)
		stop(&r,
			XML_GetErrorCode(r.p) == XML_ERROR_NO_MEMORY ? ST_NOMEM
								     : ST_RETRY,
			XML_ErrorString(XML_GetErrorCode(r.p)));
	XML_ParserFree(r.p);
	buf_release(&r.text);
	if (r.st)
		xml_free(r.root);
	else
		*ret = r.root;
	return r.st;
}

void xml_free(struct xml *x)
{
	while (x) {
		struct xml *next = x->next;

		xml_free(x->child);
		free(x->name);
		free(x->text);
		free(x);
		x = next;
	}
}

static const struct xml *named(
	const struct xml *x, const char *name, size_t len)
{
	while (x && (strncmp(x->name, name, len) != 0 || x->name[len]))
		x = x->next;
	return x;
}

const struct xml *xml_at(const struct xml *x, const char *path)
{
	while (x && *path) {
		size_t len = strcspn(path, "/");

		x = named(x->child, path, len);
		path += len + (path[len] == '/');
	}
	return x;
}

const struct xml *xml_next(const struct xml *x)
{
	return named(x->next, x->name, strlen(x->name));
}

const char *xml_text(const struct xml *x, const char *path)
{
	const struct xml *at = xml_at(x, path);

	return at && at->text ? at->text : "";
}

int64_t xml_int(const struct xml *x, const char *path)
{
	const char *s = xml_text(x, path);
	size_t n = strspn(s, "0123456789");
	int64_t i = n && n <= 10 && !s[n] ? strtoll(s, NULL, 10) : -1;

	return i <= INT32_MAX ? i : -1;
}

enum status xml_escape(const char *text, struct buf *ret, struct err *err)
{
	enum status st = ST_OK;

	for (; *text && !st; text++) {
		/* A parser would make a plain line feed out of it. */
		bool plain = !strchr("&<>\"'\r", *text);

		st = plain ? buf_append(ret, text, 1, err)
			   : buf_printf(ret, err, "&#%d;", *text);
	}
	return st;
}
