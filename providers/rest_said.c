/*
 * Texts of the HTTP client: what a server said, and what we say in URLs and
 * forms. No I/O.
 */
#include "providers/rest_said.h"

#include "providers/rest.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

/* Where APIs put what went wrong, the most telling first. */
static const char *const keys[] = { "message", "longmessage", "description",
	"detail", "errorMessage", "error_description", "Message", "msg",
	"reason", "error", "errors", "messages", "title" };

static const char *find_text(const json_t *v, int depth)
{
	const char *text = json_string_value(v);
	const json_t *part;
	size_t i;

	if (v == NULL || text != NULL || depth == 0)
		return text != NULL && *text != '\0' ? text : NULL;
	json_array_foreach(v, i, part)
	{
		text = find_text(part, depth - 1);
		if (text != NULL)
			return text;
	}
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		text = find_text(json_object_get(v, keys[i]), depth - 1);
		if (text != NULL)
			return text;
	}
	return NULL;
}

void rest_said(
	const json_t *json, const char *body, char ret[static REST_SAID_MAX])
{
	const char *p = json_is_string(json) ? NULL : find_text(json, 4);
	size_t n = 0;

	for (p = p != NULL ? p : body; *p && n < REST_SAID_MAX - 1; p++) {
		if (*p > ' ' && *p < '\177')
			ret[n++] = *p;
		else if (!isspace((unsigned char)*p))
			ret[n++] = '?';
		else if (n && ret[n - 1] != ' ')
			ret[n++] = ' ';
	}
	ret[n] = '\0';
}

enum status rest_escape(const char *text, struct buf *ret, struct err *err)
{
	enum status st = ST_OK;

	for (const char *p = text; *p != '\0' && st == ST_OK; p++) {
		bool plain =
			(*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;

		st = plain ? buf_append(ret, p, 1, err)
			   : buf_printf(ret, err, "%%%02X", (unsigned char)*p);
	}
	return st;
}

enum status rest_form(struct buf *ret, struct err *err, const char *name, ...)
{
	enum status st = ST_OK;
	bool first = true;
	va_list ap;

	va_start(ap, name);
	while (name != NULL && st == ST_OK) {
		const char *value = va_arg(ap, const char *);

		if (!first)
			st = buf_append(ret, "&", 1, err);
		if (st == ST_OK)
			st = rest_escape(name, ret, err);
		if (st == ST_OK)
			st = buf_append(ret, "=", 1, err);
		if (st == ST_OK)
			st = rest_escape(value, ret, err);
		first = false;
		name = va_arg(ap, const char *);
	}
	va_end(ap);
	return st;
}

void rest_answer_release(struct rest_answer *a)
{
	json_decref(a->json);
	free(a->body);
	free(a->link);
	*a = (struct rest_answer)REST_ANSWER_INIT;
}
