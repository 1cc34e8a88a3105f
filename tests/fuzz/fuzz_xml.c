/*
 * XML of an API under hostile input. Checked: limits, and that what was read
 * is read again from our own writing of it as the same.
 */
#include "providers/xml.h"
#include "tests/fuzz/fuzz.h"

static size_t count(const struct xml *x, unsigned depth)
{
	size_t n = 0;

	for (; x != NULL; x = x->next) {
		must(depth <= XML_DEPTH_MAX);
		must(x->name != NULL && x->name[0] != '\0');
		must(strchr(x->name, ':') == NULL);
		must(x->text == NULL || x->child == NULL);
		must(xml_next(x) == NULL ||
			strcmp(xml_next(x)->name, x->name) == 0);
		n += 1 + count(x->child, depth + 1);
	}
	return n;
}

/* With a prefix: behind one, a name may begin with a digit. */
static void put(const struct xml *x, struct buf *b)
{
	struct err err = ERR_INIT;

	for (; x != NULL; x = x->next) {
		must(buf_printf(b, &err, "<p:%s>", x->name) == ST_OK);
		if (x->text != NULL)
			must(xml_escape(x->text, b, &err) == ST_OK);
		put(x->child, b);
		must(buf_printf(b, &err, "</p:%s>", x->name) == ST_OK);
	}
}

static void same(const struct xml *a, const struct xml *b)
{
	for (; a != NULL && b != NULL; a = a->next, b = b->next) {
		must(strcmp(a->name, b->name) == 0);
		must((a->text == NULL) == (b->text == NULL));
		must(a->text == NULL || strcmp(a->text, b->text) == 0);
		same(a->child, b->child);
	}
	must(a == NULL && b == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xml *x = NULL, *again = NULL;
	struct buf text = BUF_INIT((size_t)64 << 20);
	struct err err = ERR_INIT;
	uint8_t *in = exact(data, size);
	enum status st = xml_parse((const char *)in, size, &x, &err);

	free(in);
	if (st != ST_OK) {
		must(st == ST_RETRY || st == ST_NOMEM);
		must_err(st, &err);
		return 0;
	}
	must(x->next == NULL && count(x, 1) <= XML_ELEMENTS_MAX);
	(void)xml_text(x, "Error/Code");
	must(xml_int(x, "MaxItems") >= -1);
	put(x, &text);
	must(xml_parse(text.data, text.len, &again, &err) == ST_OK);
	same(x, again);
	xml_free(again);
	xml_free(x);
	buf_release(&text);
	return 0;
}
