/*
 * The history file under hostile input. Checked: bounds, and that events
 * written again by us are read back as they were.
 */
#include "state/store.h"
#include "tests/fuzz/fuzz.h"

#define NAME "mx1"
#define AGAIN_MAX 3

static struct store *store;
static struct store_lineage *lineage;
static char file[512];

static void begin(void)
{
	struct lineage_state s;
	struct err err = ERR_INIT;

	must(store_open(fuzz_dir(), &store, &err) == ST_OK);
	must(store_lock(store, NAME, 0, &lineage, &s, &err) == ST_OK);
	state_release(&s);
	(void)snprintf(file, sizeof(file), "%s/lineages/" NAME "/history.jsonl",
		fuzz_dir());
}

static void again(const struct history *h)
{
	size_t first = h->n > AGAIN_MAX ? h->n - AGAIN_MAX : 0;
	struct history got = { .n = 0 };
	struct err err = ERR_INIT;

	must(unlink(file) == 0);
	for (size_t i = first; i < h->n; i++) {
		const struct history_event *e = &h->event[i];

		must(store_history(lineage, e->wall_ms, e->event,
			     spki_is_none(&e->key) ? NULL : &e->key,
			     e->generation, e->why, &err) == ST_OK);
	}
	must(store_history_read(store, NAME, &got, &err) == ST_OK);
	must(!got.cut && got.bad_lines == 0 && got.n == h->n - first);
	for (size_t i = first; i < h->n; i++) {
		const struct history_event *a = &h->event[i];
		const struct history_event *b = &got.event[i - first];

		must(a->wall_ms == b->wall_ms && spki_eq(&a->key, &b->key));
		must(a->generation == b->generation);
		must(strcmp(a->event, b->event) == 0);
		/* it is made printable on its way to the file */
		(void)err_set(&err, ST_OK, "%s", a->why);
		must(strcmp(err.text, b->why) == 0);
	}
	history_release(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct history h = { .n = 0 };
	struct err err = ERR_INIT;
	size_t lines = 1;

	if (store == NULL)
		begin();
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	fuzz_write(file, 0644, data, size);
	must(store_history_read(store, NAME, &h, &err) == ST_OK);
	must(h.n + h.bad_lines <= lines && h.n <= STORE_EVENTS_MAX);
	for (size_t i = 0; i < h.n; i++) {
		const struct history_event *e = &h.event[i];

		must(memchr(e->event, '\0', sizeof(e->event)) != NULL);
		must(memchr(e->why, '\0', sizeof(e->why)) != NULL);
		must(e->wall_ms >= 0);
	}
	if (h.n > 0)
		again(&h);
	history_release(&h);
	return 0;
}
