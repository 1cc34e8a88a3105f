/* What an operator without an API is told. */
#include "providers/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define OWNER "_25._tcp.mx1.example.com."
/* What a state file keeps of a reason, and what is put before it there. */
#define STATE_WHY 512
#define BEFORE "not published: "

extern const struct provider_ops provider_manual;
static const struct provider_ops *const ops = &provider_manual;

/* 64 digits. */
static const char *key(char c)
{
	static char text[8][80];
	static int i;
	char *t = text[i++ % 8];

	(void)snprintf(t, 80, "3 1 1 %c%c", c, c);
	memset(t + 6, c, 64);
	t[70] = '\0';
	return t;
}

static void set(struct tlsa_rrset *s, const char *keys, uint32_t ttl)
{
	struct err err = ERR_INIT;

	for (const char *k = keys; *k != '\0'; k++)
		if (tlsa_rrset_add_text(s, key(*k), &err) != ST_OK)
			fail_msg("%s", err.text);
	s->ttl = ttl;
}

static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	const char *keys = arg;

	(void)i;
	if (keys[0] == '!')
		return err_set(err, ST_REFUSED, "no");
	to->ttl = now->n > 0 && keys[0] == '=' ? now->ttl : 3600;
	for (const char *k = keys + (keys[0] == '='); *k != '\0'; k++)
		if (tlsa_rrset_add_text(to, key(*k), err) != ST_OK)
			return err->st;
	return ST_OK;
}

/* The result of an edit at owner from `seen` to `keys`. */
static struct err edit(
	const char *owner, const char *note, const char *seen, const char *keys)
{
	const char *value[] = { note, NULL };
	const struct provider_config cfg = { .name = "p", .value = value };
	auto_tlsa was = TLSA_RRSET_INIT;
	struct provider_item it = { .owner = owner };
	char keys_too[100];
	struct err err = ERR_INIT;
	void *ctx;

	if (ops->open(&cfg, &ctx, &err) != ST_OK)
		fail_msg("%s", err.text);
	if (seen != NULL) {
		set(&was, seen, 1187);
		it.seen = &was;
	}
	(void)snprintf(keys_too, sizeof(keys_too), "%s", keys);
	provider_edit(ops, ctx, &it, 1, decide, keys_too);
	assert_false(it.changed);
	provider_item_release(&it);
	ops->close(ctx);
	return it.err;
}

#define LINE(ttl, c) OWNER ttl " IN TLSA 3 1 1 " c
#define S16(c) c c c c c c c c c c c c c c c c
#define S64(c) S16(c) S16(c) S16(c) S16(c)
#define END " danelaw goes on by itself when it sees that"

static void says_what_to_do(void **state)
{
	struct err e = edit(OWNER, NULL, "", "a");

	(void)state;
	assert_int_equal(e.st, ST_REFUSED);
	assert_string_equal(
		e.text, "by hand: add: " LINE(" 3600", S64("a")) ";" END);
	e = edit(OWNER, "mail dns@example.com", "ab", "bc");
	assert_int_equal(e.st, ST_REFUSED);
	assert_string_equal(e.text,
		"by hand, mail dns@example.com: add: " LINE(" 3600",
			S64("c")) "; remove: " LINE("", S64("a")) ";" END);
	/* a TTL out of a cache is not the operator's business */
	e = edit(OWNER, NULL, "a", "=ab");
	assert_string_equal(
		e.text, "by hand: add: " LINE("", S64("b")) ";" END);
	assert_int_equal(edit(OWNER, NULL, "ab", "ba").st, ST_OK);
	assert_int_equal(edit(OWNER, NULL, "", "").st, ST_OK);
	e = edit(OWNER, NULL, "ab", "!");
	assert_int_equal(e.st, ST_REFUSED);
	assert_string_equal(e.text, "no");
	e = edit(OWNER, NULL, NULL, "a");
	assert_int_equal(e.st, ST_RETRY);
	assert_non_null(strstr(e.text, OWNER " was not looked up yet"));
	assert_null(ops->get);
	assert_int_equal(ops->caps & PCAP_READ, 0);
}

static void fits_into_a_state_file(void **state)
{
	const char *longest =
		"_25._tcp."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
		"cccccccccccccccccccccccccccccccccccccccccccccccc."
		"dddddddddddddddddddddddddddddddddddddddddddddddd."
		"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee.";
	const struct {
		const char *owner, *from, *to, *says;
	} c[] = {
		{ OWNER, "", "abc", LINE(" 3600", S64("c")) },
		{ OWNER, "a", "bc", "remove: " LINE("", S64("a")) },
		{ OWNER, "abc", "", LINE("", S64("c")) },
		{ OWNER, "", "abcd", " add: 4 TLSA records at " OWNER },
		{ OWNER, "a", "bcdef",
			" add: 5 TLSA records at " OWNER ";"
			" remove: " LINE("", S64("a")) },
		{ OWNER, "abcdef", "0",
			" add: 1 TLSA record at " OWNER
			"; remove: 6 TLSA records" },
		{ longest, "", "a", "\"danelaw tlsa NAME\" prints all" },
		{ longest, "a", "bcd", "\"danelaw tlsa NAME\" prints all" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct err e = edit(c[i].owner, NULL, c[i].from, c[i].to);

		assert_int_equal(e.st, ST_REFUSED);
		if (strstr(e.text, c[i].says) == NULL)
			fail_msg("%s", e.text);
		assert_true(strlen(BEFORE) + strlen(c[i].owner) + 2 +
				    strlen(e.text) <
			    STATE_WHY);
	}
}

static void replace_refuses(void **state)
{
	char note[102];
	const char *value[] = { note, NULL };
	const struct provider_config cfg = { .name = "p", .value = value };
	auto_tlsa a = TLSA_RRSET_INIT;
	auto_tlsa b = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	void *ctx;

	(void)state;
	memset(note, 'x', sizeof(note) - 1);
	note[101] = '\0';
	assert_int_equal(ops->open(&cfg, &ctx, &err), ST_CONFIG);
	note[100] = '\0';
	assert_int_equal(ops->open(&cfg, &ctx, &err), ST_OK);
	set(&a, "a", 60);
	set(&b, "b", 60);
	assert_int_equal(ops->replace(ctx, OWNER, &a, &b, &err), ST_REFUSED);
	assert_non_null(strstr(err.text, "add: " LINE("", S64("b"))));
	assert_int_equal(ops->replace(ctx, OWNER, &a, &a, &err), ST_OK);
	ops->close(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_to_do),
		cmocka_unit_test(fits_into_a_state_file),
		cmocka_unit_test(replace_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
