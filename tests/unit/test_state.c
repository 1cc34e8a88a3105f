/* The state as a value, its TTL histories, and its file format. */
#include "state/state.h"

#include <ctype.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct err e;

static struct spki spki_of(uint8_t byte)
{
	struct spki s;

	memset(s.d, byte, sizeof(s.d));
	return s;
}

static const struct spki empty_digest = { {
	0xe3,
	0xb0,
	0xc4,
	0x42,
	0x98,
	0xfc,
	0x1c,
	0x14,
	0x9a,
	0xfb,
	0xf4,
	0xc8,
	0x99,
	0x6f,
	0xb9,
	0x24,
	0x27,
	0xae,
	0x41,
	0xe4,
	0x64,
	0x9b,
	0x93,
	0x4c,
	0xa4,
	0x95,
	0x99,
	0x1b,
	0x78,
	0x52,
	0xb8,
	0x55,
} };

static struct state_key *add_key(
	struct lineage_state *s, uint8_t byte, enum key_role role)
{
	const struct spki spki = spki_of(byte);
	struct state_key *k = NULL;

	assert_int_equal(
		state_key_add(s, &spki, KEY_ECDSA_P256, role, &k, &e), ST_OK);
	return k;
}

static struct state_gen *add_gen(struct lineage_state *s, uint8_t byte)
{
	struct state_gen *g = NULL;

	assert_int_equal(state_gen_add(s, &g, &e), ST_OK);
	g->spki = spki_of(byte);
	return g;
}

static const char owners[][DNS_NAME_MAX] = { "_25._tcp.mx1.example.com.",
	"_465._tcp.mx1.example.com." };

/* A state that uses every member. */
static void full_state(struct lineage_state *s)
{
	struct state_gen *g;
	struct state_key *k;

	state_init(s, "mx1.example.com");
	s->clock.last.wall_ms = 1800000000123;
	s->clock.last.boot_ms = 5000000000; /* above 32 bits */
	(void)snprintf(s->clock.last.boot_id, BOOT_ID_MAX, "boot-a");
	s->clock.trusted_ms = 1800000000100;
	assert_int_equal(state_set_owners(s, owners, 2, &e), ST_OK);
	ttl_history_add(&s->owner[0].served, 4294967295, 1800000000001);
	ttl_history_add(&s->owner[0].served, 0, 1800000000002);
	s->owner[0].first_ms = 11;
	s->owner[0].swept_ms = 12;
	s->owner[0].publish_ms = 13;
	s->owner[0].publish_tries = 14;
	s->owner[0].publish_wait_s = 77;
	(void)snprintf(s->owner[0].serial[0].server, 96, "ns1.example. ::1");
	s->owner[0].serial[0].serial = 4294967295;
	s->owner[0].n_serials = 1;
	k = add_key(s, 1, KEY_CURRENT);
	k->have_file = true;
	k->created_ms = 21;
	k->live_ms = 22;
	k->at[1].rec = REC_OMNIPRESENT;
	k->at[1].since_ms = 23;
	ttl_history_add(&k->at[1].bad, 300, 24);
	k = add_key(s, 2, KEY_RETIRED);
	k->alg = KEY_OTHER;
	k->retired_ms = 25;
	k->at[0].rec = REC_UNRETENTIVE;
	k->at[0].gone_ms = 26;
	(void)add_gen(s, 1);
	g = add_gen(s, 1);
	g->fingerprint = spki_of(9);
	g->source = GEN_CSR;
	g->lineage_version = 31;
	g->not_before_s = -1;
	g->not_after_s = 4102444800;
	g->taken_ms = 32;
	g->rollbacks = 33;
	g->retry_ms = 34;
	g->tried_ms = 35;
	s->live_gen = 2;
	s->rolled_back_gen = 1;
	(void)snprintf(s->rolled_back_why, STATE_WHY_MAX, "probe \"x\"\n");
	s->verified_first_ms = 41;
	s->verified_ms = 42;
	(void)snprintf(s->lineage_seen, 256, "../../archive/a b/cert7.pem 5");
	s->issue_tries = 43;
	s->issue_retry_ms = 44;
	s->issued_ms[7] = 1800000000003;
	(void)snprintf(s->issue_why, STATE_WHY_MAX, "CA: no");
	(void)snprintf(s->doing, 64, "wait");
	(void)snprintf(s->why, STATE_WHY_MAX, "because");
	s->alert = true;
	s->wake_ms = 45;
	s->intent.kind = INTENT_ROLL_BACK;
	s->intent.gen = 2;
	s->intent.to_gen = 1;
	s->intent.spki = spki_of(1);
	s->intent.since_ms = 46;
}

static char *to_text(const struct lineage_state *s)
{
	auto_buf b = BUF_INIT(10000000);

	if (state_to_json(s, &b, &e) != ST_OK)
		fail_msg("%s", e.text);
	return buf_take(&b);
}

/* Octets between members may hold anything. */
static void wipe_padding(struct ttl_history *h)
{
	for (size_t i = 0; i < STATE_TTLS_MAX; i++) {
		struct ttl_seen seen = h->e[i];

		memset(&h->e[i], 0, sizeof(h->e[i]));
		h->e[i].ttl = seen.ttl;
		h->e[i].last_ms = seen.last_ms;
	}
}

static void wipe_state(struct lineage_state *s)
{
	for (size_t i = 0; i < s->n_owners; i++) {
		wipe_padding(&s->owner[i].served);
		for (size_t j = 0; j < s->n_keys; j++)
			wipe_padding(&s->key[j].at[i].bad);
	}
}

static void test_round_trip(void **state)
{
	struct lineage_state a, b, c;
	char *one, *two, *three;

	(void)state;
	full_state(&a);
	one = to_text(&a);
	if (state_from_json(one, strlen(one), &b, &e) != ST_OK)
		fail_msg("%s", e.text);
	two = to_text(&b);
	assert_string_equal(one, two);
	/* the text could lack a member: look at both ends of each part */
	assert_int_equal(b.clock.last.boot_ms, 5000000000);
	assert_int_equal(b.owner[0].served.e[0].ttl, 4294967295);
	assert_int_equal(b.owner[0].serial[0].serial, 4294967295);
	wipe_state(&a);
	wipe_state(&b);
	assert_memory_equal(b.owner, a.owner, 2 * sizeof(*a.owner));
	assert_memory_equal(b.gen, a.gen, 2 * sizeof(*a.gen));
	for (size_t i = 0; i < 2; i++)
		assert_memory_equal(
			b.key[i].at, a.key[i].at, 2 * sizeof(*a.key[i].at));
	assert_int_equal(b.key[1].alg, KEY_OTHER);
	assert_true(b.key[0].have_file);
	assert_int_equal(b.issued_ms[7], 1800000000003);
	assert_memory_equal(&b.intent, &a.intent, sizeof(a.intent));
	assert_string_equal(b.rolled_back_why, "probe \"x\"\n");
	assert_true(b.alert);
	assert_int_equal(state_copy(&b, &c, &e), ST_OK);
	state_release(&a);
	state_release(&b);
	three = to_text(&c);
	assert_string_equal(one, three);
	assert_string_equal(one + strlen(one) - 2, "}\n");
	state_release(&c);
	free(one);
	free(two);
	free(three);
}

static void test_words(void **state)
{
	struct lineage_state s;
	char *text;

	(void)state;
	full_state(&s);
	text = to_text(&s);
	assert_non_null(strstr(text, "\"version\": 1"));
	assert_non_null(strstr(text, "\"role\": \"current\""));
	assert_non_null(strstr(text, "\"state\": \"omnipresent\""));
	assert_non_null(strstr(text, "\"kind\": \"roll-back\""));
	assert_non_null(strstr(text, "\"algorithm\": \"ecdsa-p256\""));
	assert_non_null(strstr(text, "\"spki\": \"01010101010101"));
	free(text);
	state_release(&s);
}

static void test_new_state(void **state)
{
	struct lineage_state s, t;
	char *text;

	(void)state;
	state_init(&s, "a b");
	text = to_text(&s);
	assert_int_equal(state_from_json(text, strlen(text), &t, &e), ST_OK);
	assert_string_equal(t.name, "a b");
	assert_int_equal(t.next_gen, 1);
	state_release(&t);
	state_release(&s);
	free(text);
}

/* What the engine may put off for ever, and text cut inside a character, must
 * not cost us the file. */
static void test_odd_values(void **state)
{
	struct lineage_state s, t;
	char *text;

	(void)state;
	state_init(&s, "x");
	s.wake_ms = INT64_MAX;
	s.issue_retry_ms = INT64_MIN;
	(void)snprintf(s.why, sizeof(s.why), "caf\xc3");
	text = to_text(&s);
	assert_int_equal(state_from_json(text, strlen(text), &t, &e), ST_OK);
	assert_string_equal(t.why, "caf?");
	assert_true(t.wake_ms > 250000000000000);
	assert_int_equal(t.issue_retry_ms, 0);
	state_release(&t);
	free(text);
	(void)snprintf(s.name, sizeof(s.name), "caf\xc3");
	{
		auto_buf b = BUF_INIT(10000000);

		assert_int_not_equal(state_to_json(&s, &b, &e), ST_OK);
	}
	state_release(&s);
}

static void refused(const char *text, size_t len, const char *why)
{
	struct lineage_state t;

	memset(&t, 0x5a, sizeof(t));
	assert_int_equal(state_from_json(text, len, &t, &e), ST_REFUSED);
	assert_int_equal(t.name[0], 0x5a); /* untouched */
	if (strstr(e.text, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
	assert_non_null(strstr(e.text, "nothing was changed"));
}

struct edit {
	const char *from, *to, *why;
};

static const struct edit edits[] = {
	{ "\"version\": 1", "\"version\": 2", "format 2" },
	{ "\"version\": 1", "\"version\": 0", "no version" },
	{ "\"version\": 1", "\"version\": \"1\"", "no version" },
	{ "\"version\": 1", "\"version\": 1, \"version\": 1", "duplicate" },
	{ "\"version\": 1", "\"version\": 1, \"x\": 1", "unknown member" },
	{ "\"alert\": true", "\"alert\": 1", "not true or false" },
	{ "\"alert\": true,", "", "no \"alert\"" },
	{ "\"boot_id\": \"boot-a\",", "", "clock has no \"boot_id\"" },
	{ "\"boot_ms\": 5000000000", "\"boot_ms\": -1", "boot_ms" },
	{ "\"boot_ms\": 5000000000", "\"boot_ms\": 1.5", "boot_ms" },
	{ "\"boot_ms\": 5000000000", "\"boot_ms\": 9223372036854775807",
		"boot_ms" },
	{ "\"ttl\": 4294967295", "\"ttl\": 4294967296", "ttl" },
	{ "\"serial\": 4294967295", "\"serial\": 4294967296", "serial" },
	{ "\"role\": \"current\"", "\"role\": \"king\"", "king" },
	{ "\"role\": \"retired\"", "\"role\": \"current\"", "2 keys" },
	{ "\"algorithm\": \"other\"", "\"algorithm\": \"dsa\"", "dsa" },
	{ "\"state\": \"omnipresent\"", "\"state\": \"2\"", "state" },
	{ "\"kind\": \"roll-back\"", "\"kind\": \"dance\"", "dance" },
	{ "\"source\": \"csr\"", "\"source\": \"web\"", "web" },
	{ "\"live_gen\": 2", "\"live_gen\": 7", "live_gen 7" },
	{ "\"next_gen\": 3", "\"next_gen\": 2", "next_gen" },
	{ "\"rolled_back_gen\": 1", "\"rolled_back_gen\": 3", "never was" },
	{ "\"to_gen\": 1", "\"to_gen\": 5", "no generation 5" },
	{ "\"n\": 2", "\"n\": 1", "ascend" },
	{ "\"n\": 2", "\"n\": 4294967298", "\"n\"" },
	{ "\"owners\": [", "\"owners\": [ 5,", "owners[0] is not an object" },
	{ "_465._tcp.mx1.example.com.", "_25._tcp.mx1.example.com.", "" },
	{ "_465._tcp.mx1.example.com.", "_465._tcp.mx1.example.com", "" },
	{ "1800000000003", "\"now\"", "at_ms" },
};

/* Replaces the first occurrence. */
static char *edited(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = NULL;

	assert_non_null(at);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to,
			    at + strlen(from)) > 0);
	return out;
}

static void test_corrupt(void **state)
{
	struct lineage_state s;
	char *text;

	(void)state;
	full_state(&s);
	text = to_text(&s);
	state_release(&s);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		char *bad = edited(text, edits[i].from, edits[i].to);

		refused(bad, strlen(bad), edits[i].why);
		free(bad);
	}
	for (size_t i = 0; i + 2 < strlen(text); i++)
		refused(text, i, "");
	refused("[]", 2, "no version");
	refused("{}", 2, "no version");
	refused("\0", 1, "");
	free(text);
}

/* Any one byte changed: refused or read, never a crash or a leak. */
static void test_flipped(void **state)
{
	struct lineage_state s, t;
	char *text;

	(void)state;
	full_state(&s);
	text = to_text(&s);
	state_release(&s);
	for (size_t i = 0; i < strlen(text); i++) {
		const char was = text[i];

		text[i] = isdigit((unsigned char)was) ? '7' : '{';
		if (state_from_json(text, strlen(text), &t, &e) == ST_OK)
			state_release(&t);
		text[i] = was;
	}
	free(text);
}

static void replace_spki(uint8_t byte, const struct spki *by, const char *why)
{
	const struct spki old = spki_of(byte);
	char from[SPKI_HEX], to[SPKI_HEX];
	struct lineage_state s;
	char *text, *bad;

	full_state(&s);
	s.intent.spki = spki_of(8);
	text = to_text(&s);
	state_release(&s);
	bad = edited(text, spki_hex(&old, from), spki_hex(by, to));
	refused(bad, strlen(bad), why);
	free(bad);
	free(text);
}

static void test_bad_keys(void **state)
{
	const struct spki none = spki_of(0), other = spki_of(5);

	(void)state;
	replace_spki(2, &empty_digest, "digest of nothing");
	replace_spki(9, &empty_digest, "digest of nothing");
	replace_spki(2, &none, "hex digits");
	/* the first 0101... in the file is that of a generation */
	replace_spki(1, &other, "unknown key");
}

static void test_twice_the_same_key(void **state)
{
	struct lineage_state s;
	char *text;

	(void)state;
	full_state(&s);
	s.key[1].spki = s.key[0].spki;
	text = to_text(&s);
	refused(text, strlen(text), "twice");
	free(text);
	state_release(&s);
}

/* ---- out of memory inside the JSON library ---- */

static int allocations_left;

static void *failing_malloc(size_t n)
{
	return allocations_left-- > 0 ? malloc(n) : NULL;
}

static void test_no_memory(void **state)
{
	struct lineage_state s, t;
	enum status st;
	char *text;
	int n, ok = 0;

	(void)state;
	full_state(&s);
	text = to_text(&s);
	json_object_seed(1);
	json_set_alloc_funcs(failing_malloc, free);
	for (n = 0; n < 100000 && ok < 2; n++) {
		auto_buf b = BUF_INIT(10000000);

		ok = 0;
		allocations_left = n;
		if (state_to_json(&s, &b, &e) == ST_OK) {
			assert_string_equal(buf_str(&b), text);
			ok++;
		}
		allocations_left = n;
		st = state_from_json(text, strlen(text), &t, &e);
		if (st == ST_OK) {
			state_release(&t);
			ok++;
		}
		/* a good file is never called corrupt for want of memory,
		 * unless it was jansson's parser that took it for an error */
		if (st == ST_REFUSED && strstr(e.text, " near ") == NULL &&
			strstr(e.text, "(invalid token)") == NULL)
			fail_msg("after %d allocations: %s", n, e.text);
		memset(e.text, 0, sizeof(e.text));
	}
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(ok, 2);
	assert_true(n > 100);
	state_release(&s);
	free(text);
}

/* ---- the value ---- */

static void test_limits(void **state)
{
	const struct spki none = spki_of(0);
	struct lineage_state s;
	struct state_key *k = NULL;
	struct state_gen *g = NULL;
	struct spki next;
	char *text;

	(void)state;
	state_init(&s, "x");
	assert_int_equal(state_key_add(&s, &none, KEY_OTHER, KEY_NEXT, &k, &e),
		ST_REFUSED);
	assert_int_equal(
		state_key_add(&s, &empty_digest, KEY_OTHER, KEY_NEXT, &k, &e),
		ST_REFUSED);
	for (uint8_t i = 1; i <= STATE_KEYS_MAX; i++)
		(void)add_key(&s, i, KEY_CANDIDATE);
	next = spki_of(1);
	assert_int_equal(state_key_add(&s, &next, KEY_OTHER, KEY_NEXT, &k, &e),
		ST_REFUSED);
	assert_non_null(strstr(e.text, "known already"));
	next = spki_of(200);
	assert_int_equal(state_key_add(&s, &next, KEY_OTHER, KEY_NEXT, &k, &e),
		ST_REFUSED);
	for (int i = 0; i < STATE_GENS_MAX; i++)
		(void)add_gen(&s, 1);
	assert_int_equal(state_gen_add(&s, &g, &e), ST_REFUSED);
	assert_int_equal(s.next_gen, STATE_GENS_MAX + 1);
	assert_null(k);
	assert_null(g);
	text = to_text(&s);
	free(text);
	state_release(&s);
	state_release(&s);
}

static void test_find_and_remove(void **state)
{
	struct lineage_state s;
	struct spki spki = spki_of(1);

	(void)state;
	state_init(&s, "x");
	assert_int_equal(state_set_owners(&s, owners, 2, &e), ST_OK);
	(void)add_key(&s, 1, KEY_PREVIOUS);
	(void)add_key(&s, 2, KEY_CURRENT);
	(void)add_key(&s, 3, KEY_CURRENT);
	assert_int_equal(add_gen(&s, 1)->n, 1);
	assert_int_equal(add_gen(&s, 2)->n, 2);
	assert_int_equal(add_gen(&s, 1)->n, 3);
	assert_int_equal(add_gen(&s, 2)->n, 4);
	assert_ptr_equal(state_key_role(&s, KEY_CURRENT), &s.key[1]);
	assert_null(state_key_role(&s, KEY_NEXT));
	assert_int_equal(state_gen_of(&s, &spki)->n, 3);
	state_gen_remove(&s, state_gen_find(&s, 3));
	assert_int_equal(state_gen_of(&s, &spki)->n, 1);
	assert_null(state_gen_find(&s, 3));
	assert_int_equal(add_gen(&s, 1)->n, 5); /* numbers never come back */
	s.key[1].at[1].since_ms = 7;
	state_key_remove(&s, state_key_find(&s, &spki));
	assert_null(state_key_find(&s, &spki));
	assert_int_equal(s.n_keys, 2);
	assert_int_equal(s.key[0].at[1].since_ms, 7);
	assert_int_equal(s.key[0].at[1].owner, 1);
	state_release(&s);
}

static void test_set_owners(void **state)
{
	static const char next[][DNS_NAME_MAX] = { "_25._tcp.new.example.",
		"_465._tcp.mx1.example.com." };
	static const char twice[][DNS_NAME_MAX] = { "a.", "a." };
	static char many[STATE_OWNERS_MAX + 1][DNS_NAME_MAX];
	struct lineage_state s;

	(void)state;
	full_state(&s);
	s.owner[1].first_ms = 70;
	assert_int_equal(state_set_owners(&s, next, 2, &e), ST_OK);
	assert_string_equal(s.owner[0].owner, next[0]);
	assert_int_equal(s.owner[0].first_ms, 0);
	assert_int_equal(s.owner[0].served.n, 0);
	assert_int_equal(s.owner[1].first_ms, 70);
	assert_int_equal(s.key[0].at[1].since_ms, 23);
	assert_int_equal(s.key[0].at[1].owner, 1);
	assert_int_equal(s.key[0].at[0].rec, REC_HIDDEN);
	/* moved to the front */
	assert_int_equal(state_set_owners(&s, &next[1], 1, &e), ST_OK);
	assert_int_equal(s.key[0].at[0].since_ms, 23);
	assert_int_equal(s.key[0].at[0].owner, 0);
	/* refusals change nothing */
	assert_int_equal(state_set_owners(&s, twice, 2, &e), ST_CONFIG);
	for (size_t i = 0; i <= STATE_OWNERS_MAX; i++)
		(void)snprintf(many[i], DNS_NAME_MAX, "n%zu.example.", i);
	assert_int_equal(state_set_owners(&s, (const char(*)[DNS_NAME_MAX])many,
				 STATE_OWNERS_MAX + 1, &e),
		ST_REFUSED);
	assert_int_equal(s.n_owners, 1);
	assert_int_equal(s.key[0].at[0].since_ms, 23);
	assert_int_equal(state_set_owners(&s, NULL, 0, &e), ST_OK);
	assert_int_equal(s.n_owners, 0);
	state_release(&s);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(key_role_name(KEY_CANDIDATE), "candidate");
	assert_string_equal(key_role_name(KEY_RETIRED), "retired");
	assert_string_equal(key_role_name((enum key_role)99), "unknown");
	assert_string_equal(record_state_name(REC_RUMOURED), "rumoured");
	assert_string_equal(
		record_state_name((enum record_state) - 1), "unknown");
	assert_string_equal(intent_name(INTENT_FORGET), "forget");
	assert_string_equal(intent_name((enum intent_kind)99), "unknown");
}

/* ---- TTL histories ---- */

static void test_ttl(void **state)
{
	struct ttl_history h = { .n = 0 };

	(void)state;
	assert_int_equal(ttl_history_gone_ms(&h), 0);
	assert_int_equal(ttl_history_max_at(&h, 0), 0);
	ttl_history_add(&h, 60, 100000);
	ttl_history_add(&h, 3600, 50000);
	ttl_history_add(&h, 60, 90000); /* older news of the same TTL */
	assert_int_equal(h.n, 2);
	assert_int_equal(ttl_history_gone_ms(&h), 3650000);
	assert_int_equal(ttl_history_max_at(&h, 3650000), 3600);
	assert_int_equal(ttl_history_max_at(&h, 3650001), 0);
	ttl_history_add(&h, 60, 4000000);
	assert_int_equal(ttl_history_max_at(&h, 3650001), 60);
	ttl_history_prune(&h, 3650000);
	assert_int_equal(h.n, 2); /* may be in a cache in this very ms */
	ttl_history_prune(&h, 3650001);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.e[0].ttl, 60);
	ttl_history_prune(&h, 5000000);
	assert_int_equal(h.n, 0);
	ttl_history_add(&h, UINT32_MAX, INT64_MAX);
	assert_int_equal(ttl_history_gone_ms(&h), INT64_MAX);
}

/* Full: may overstate, must never understate, whatever comes. */
static void test_ttl_full(void **state)
{
	struct seen {
		uint32_t ttl;
		int64_t at;
	} all[200];
	unsigned seed = 4711;

	(void)state;
	for (int round = 0; round < 200; round++) {
		struct ttl_history h = { .n = 0 };
		int64_t now = 1000000;

		for (size_t i = 0; i < 200; i++) {
			now += rand_r(&seed) % 100000;
			all[i].ttl = (uint32_t)rand_r(&seed) % 5000;
			all[i].at = now;
			ttl_history_add(&h, all[i].ttl, now);
			assert_true(h.n <= STATE_TTLS_MAX);
		}
		for (size_t i = 0; i < 200; i++) {
			int64_t gone = all[i].at + all[i].ttl * 1000LL;

			assert_true(ttl_history_gone_ms(&h) >= gone);
			assert_true(ttl_history_max_at(&h, gone) >= all[i].ttl);
		}
	}
}

/* A huge TTL of long ago and small ones of now must not be merged. */
static void test_ttl_merge_is_cheap(void **state)
{
	struct ttl_history h = { .n = 0 };

	(void)state;
	ttl_history_add(&h, 86400, 0);
	for (uint32_t i = 0; i < 100; i++)
		ttl_history_add(&h, 300 + i, 80000000 + i);
	assert_true(ttl_history_gone_ms(&h) < 86500000);
	assert_true(ttl_history_max_at(&h, 86400001) < 500);
}

/* Live, was live, or a switch to one of its certificates was begun. */
static void test_may_be_served(void **state)
{
	struct lineage_state s;
	struct state_key *k;
	struct state_gen *g;

	(void)state;
	state_init(&s, "x");
	k = add_key(&s, 1, KEY_CANDIDATE);
	assert_false(state_key_may_be_served(&s, k));
	g = add_gen(&s, 1);
	assert_false(state_key_may_be_served(&s, k));
	g->tried_ms = 1;
	assert_true(state_key_may_be_served(&s, k));
	/* certbot renewed on that key since */
	g = add_gen(&s, 1);
	assert_true(state_key_may_be_served(&s, k));
	s.gen[0].tried_ms = 0;
	s.gen[0].rollbacks = 1;
	assert_true(state_key_may_be_served(&s, k));
	s.gen[0].rollbacks = 0;
	s.gen[0].spki = spki_of(2);
	s.gen[0].tried_ms = 1;
	assert_false(state_key_may_be_served(&s, k));
	k->role = KEY_PREVIOUS;
	assert_true(state_key_may_be_served(&s, k));
	k->role = KEY_CURRENT;
	assert_true(state_key_may_be_served(&s, k));
	k->role = KEY_RETIRED;
	g->tried_ms = 1;
	assert_false(state_key_may_be_served(&s, k));
	state_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_may_be_served),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_new_state),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_bad_keys),
		cmocka_unit_test(test_twice_the_same_key),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_find_and_remove),
		cmocka_unit_test(test_set_owners),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_ttl_full),
		cmocka_unit_test(test_ttl_merge_is_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
