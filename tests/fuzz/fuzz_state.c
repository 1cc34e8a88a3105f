/*
 * The state file under hostile input. Checked: what is refused says why; what
 * is accepted is written, read back and written again without a difference,
 * and a copy of it is equal.
 */
#include "state/state.h"
#include "tests/fuzz/fuzz.h"

#define MAX ((size_t)8 << 20)

static void same(const struct lineage_state *a, const struct buf *want)
{
	struct buf text = BUF_INIT(MAX);
	struct err err = ERR_INIT;

	must(state_to_json(a, &text, &err) == ST_OK);
	must(text.len == want->len &&
		memcmp(text.data, want->data, text.len) == 0);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lineage_state s, again, copy;
	struct buf text = BUF_INIT(MAX);
	struct err err = ERR_INIT;
	uint8_t *in = exact(data, size);
	enum status st = state_from_json((const char *)in, size, &s, &err);

	free(in);
	if (st != ST_OK) {
		must(st == ST_REFUSED || st == ST_NOMEM);
		must_err(st, &err);
		return 0;
	}
	must(state_to_json(&s, &text, &err) == ST_OK);
	must(state_from_json(text.data, text.len, &again, &err) == ST_OK);
	same(&again, &text);
	must(state_copy(&s, &copy, &err) == ST_OK);
	same(&copy, &text);
	must(s.n_keys <= STATE_KEYS_MAX && s.n_owners <= STATE_OWNERS_MAX);
	must(s.n_gens <= STATE_GENS_MAX);
	for (size_t i = 0; i < s.n_keys; i++) {
		must(!spki_is_none(&s.key[i].spki));
		must(!spki_is_empty_digest(&s.key[i].spki));
		must(state_key_find(&s, &s.key[i].spki) == &s.key[i]);
		must(s.key[i].role != KEY_CURRENT ||
			state_key_role(&s, KEY_CURRENT) == &s.key[i]);
	}
	for (size_t i = 0; i < s.n_gens; i++)
		must(state_gen_find(&s, s.gen[i].n) == &s.gen[i]);
	must(s.live_gen == 0 || state_gen_find(&s, s.live_gen) != NULL);
	state_release(&copy);
	state_release(&again);
	state_release(&s);
	buf_release(&text);
	return 0;
}
