/* Reading small XML documents of an API, and escaping text for one. Comments,
 * attributes and name space prefixes are dropped; a document type declaration,
 * and with it every entity but the five of XML itself, is refused. */
#ifndef DANELAW_PROVIDERS_XML_H
#define DANELAW_PROVIDERS_XML_H

#include "hook/base/buf.h"
#include "hook/base/err.h"

#include <stdint.h>

#define XML_DEPTH_MAX 32
#define XML_ELEMENTS_MAX 200000

struct xml {
	char *name;
	char *text; /* of an element without elements in it; else NULL */
	struct xml *child, *next;
};

/* *ret owned (xml_free), the root element. ST_RETRY when it is not XML, cut
 * off, too deep or too large: no API means to send that. */
enum status xml_parse(
	const char *text, size_t len, struct xml **ret, struct err *err);
void xml_free(struct xml *x);

static inline void xml_cleanup_(struct xml **x)
{
	xml_free(*x);
}
#define auto_xml __attribute__((cleanup(xml_cleanup_))) struct xml *

/* The first element at a path below x ("Error/Code"); NULL: none, or x is
 * NULL. Borrows. */
const struct xml *xml_at(const struct xml *x, const char *path);
/* The next beside x that has the same name; NULL. */
const struct xml *xml_next(const struct xml *x);
/* The text at a path below x; "" when there is none. */
const char *xml_text(const struct xml *x, const char *path);
/* The same as a number; -1 when it is none or out of 0..INT32_MAX. */
int64_t xml_int(const struct xml *x, const char *path);
/* Appends text as it must be between two tags. */
enum status xml_escape(const char *text, struct buf *ret, struct err *err);

#endif
