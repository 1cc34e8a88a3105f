/* The mechanism that all APIs share, with a vendor made of memory: what is
 * asked, in which order, and what happens when somebody else is faster. */
#include "providers/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* after the four that it needs */
#include <cmocka.h>

#define KEY(c) "3 1 1 " c c c c c c c c c c c c c c c c
#define A KEY("aaaa")
#define B KEY("bbbb")
#define C KEY("cccc")
#define OWNER "_25._tcp.mx.example.test."
#define CHILD "_25._tcp.mx.child.example.test."

struct held {
	char owner[DNS_NAME_MAX], text[300];
	uint32_t ttl;
	bool disabled, gone;
};

/* One world for all instances: what the API holds, and what it was asked. */
static struct {
	struct held rec[32];
	size_t n;
	char log[2000];
	bool list, list_all, blames;
	const char *refuse; /* owner that a write is refused for */
	const char *odd;    /* owner that cannot be read */
	int conflicts;      /* writes that somebody else is faster than */
	int read_conflicts; /* and reads */
} w;

struct vendor {
	struct rest *rest;
};

static void note(const char *what, const char *arg)
{
	size_t n = strlen(w.log);

	(void)snprintf(w.log + n, sizeof(w.log) - n, "%s%s%s;", what,
		*arg ? " " : "", arg);
}

static void put(const char *owner, const char *text, uint32_t ttl)
{
	struct held *h = &w.rec[w.n++];

	*h = (struct held){ .ttl = ttl };
	(void)snprintf(h->owner, sizeof(h->owner), "%s", owner);
	(void)snprintf(h->text, sizeof(h->text), "%s", text);
}

static enum status v_init(
	void *v, const struct provider_config *cfg, struct err *err)
{
	const struct rest_config rc = { .url = "http://127.0.0.1:1" };

	(void)cfg;
	return rest_new(&rc, &((struct vendor *)v)->rest, err);
}

static void v_release(void *v)
{
	rest_free(((struct vendor *)v)->rest);
}

static const char *const zone_names[] = { "example.test.",
	"child.example.test.", "evilexample.test." };

static enum status v_zones(
	void *v, struct api_zones *list, bool *ret_all, struct err *err)
{
	(void)v;
	note("list", "");
	for (size_t i = 0; w.list && i < (w.list_all ? 3U : 1U); i++) {
		struct api_zone z = { .name = "" };

		(void)snprintf(z.name, sizeof(z.name), "%s", zone_names[i]);
		if (api_add_zone(list, &z, err))
			return err->st;
	}
	*ret_all = w.list_all;
	return ST_OK;
}

static enum status v_zone(
	void *v, const char *name, struct api_zone *ret, struct err *err)
{
	(void)v;
	(void)ret;
	note("zone", name);
	for (size_t i = 0; i < 3; i++)
		if (!strcmp(zone_names[i], name))
			return ST_OK;
	return err_set(err, ST_NOTFOUND, "no");
}

static enum status v_read(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	(void)v;
	note("read", z->name);
	if (w.read_conflicts-- > 0)
		return err_set(err, ST_CONFLICT, "it changes right now");
	for (size_t i = 0; i < n; i++)
		if (w.odd && !strcmp(items[i].owner, w.odd))
			return err_set(err, ST_REFUSED, "an odd name");
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < w.n; j++) {
			const struct held *h = &w.rec[j];
			char id[16];

			(void)snprintf(id, sizeof(id), "%zu", j);
			if (!h->gone && !strcmp(h->owner, items[i].owner) &&
				api_add_record(&items[i], id, h->text, h->ttl,
					h->disabled, NULL, err))
				return err->st;
		}
	return ST_OK;
}

static enum status v_add(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_want *want, struct err *err)
{
	(void)v;
	(void)z;
	if (w.refuse && !strcmp(it->owner, w.refuse))
		return err_set(err, ST_REFUSED, "no, not there");
	if (w.conflicts-- > 0)
		return err_set(err, ST_CONFLICT, "somebody was faster");
	note("add", want->text + 6);
	put(it->owner, want->text, it->new_ttl);
	return ST_OK;
}

static enum status v_set_ttl(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	(void)v;
	(void)z;
	(void)err;
	note("ttl", r->text);
	w.rec[strtol(r->id, NULL, 10)].ttl = it->new_ttl;
	return ST_OK;
}

static enum status v_remove(void *v, const struct api_zone *z,
	const struct api_item *it, const struct api_record *r, struct err *err)
{
	(void)v;
	(void)z;
	(void)it;
	(void)err;
	note("remove", r->text + 6);
	w.rec[strtol(r->id, NULL, 10)].gone = true;
	return ST_OK;
}

static enum status v_commit(void *v, const struct api_zone *z, struct err *err)
{
	(void)v;
	(void)err;
	note("commit", z->name);
	return ST_OK;
}

static enum status v_write(void *v, const struct api_zone *z,
	struct api_item *items, size_t n, struct err *err)
{
	char count[16];

	(void)v;
	(void)z;
	(void)snprintf(count, sizeof(count), "%zu", n);
	note("write", count);
	for (size_t i = 0; i < n; i++)
		if (w.refuse && !strcmp(items[i].owner, w.refuse)) {
			items[i].to_blame = w.blames;
			return err_set(err, ST_REFUSED, "no, not that");
		}
	if (w.conflicts-- > 0)
		return err_set(err, ST_CONFLICT, "somebody was faster");
	for (size_t i = 0; i < n; i++) {
		struct api_item *it = &items[i];
		char text[32][300];

		for (size_t j = 0; j < it->n_want; j++)
			(void)snprintf(text[j], sizeof(text[j]), "%s",
				it->want[j].held ? it->want[j].held->text
						 : it->want[j].text);
		for (size_t j = 0; j < w.n; j++)
			w.rec[j].gone |= !strcmp(w.rec[j].owner, it->owner);
		for (size_t j = 0; j < it->n_want; j++)
			put(it->owner, text[j], it->new_ttl);
	}
	return ST_OK;
}

static const struct api_vendor by_record = { .size = sizeof(struct vendor),
	.init = v_init,
	.release = v_release,
	.zones = v_zones,
	.zone = v_zone,
	.read = v_read,
	.add = v_add,
	.set_ttl = v_set_ttl,
	.remove = v_remove,
	.commit = v_commit };
static const struct api_vendor staged = { .size = sizeof(struct vendor),
	.staged = true,
	.init = v_init,
	.release = v_release,
	.zone = v_zone,
	.read = v_read,
	.add = v_add,
	.remove = v_remove,
	.commit = v_commit };
static const struct api_vendor by_set = { .size = sizeof(struct vendor),
	.init = v_init,
	.release = v_release,
	.zones = v_zones,
	.zone = v_zone,
	.read = v_read,
	.write = v_write,
	.max_bulk = 10 };

/* ---- what is decided ---- */

struct want {
	const char *add, *remove;
	uint32_t ttl;
	enum status st;
};

static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	const struct want *x = &((const struct want *)arg)[i];

	assert_int_equal(tlsa_rrset_copy(now, to, err), ST_OK);
	if (x->st)
		return err_set(err, x->st, "decided so");
	if (x->add)
		assert_int_equal(tlsa_rrset_add_text(to, x->add, err), ST_OK);
	if (x->remove) {
		auto_tlsa one = TLSA_RRSET_INIT;
		struct spki key;

		assert_int_equal(
			tlsa_rrset_add_text(&one, x->remove, err), ST_OK);
		assert_true(tlsa_is_spki(&one.rr[0], &key));
		(void)tlsa_rrset_remove_spki(to, &key);
	}
	if (x->ttl)
		to->ttl = x->ttl;
	return ST_OK;
}

static void edit(const struct api_vendor *v, struct provider_item *items,
	size_t n, struct want *x)
{
	const struct provider_config cfg = { .name = "test" };
	struct err err = ERR_INIT;
	void *ctx;

	assert_int_equal(api_open(v, &cfg, &ctx, &err), ST_OK);
	api_edit(ctx, items, n, decide, x);
	api_close(ctx);
	for (size_t i = 0; i < n; i++)
		provider_item_release(&items[i]);
}

static int reset(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.list = w.list_all = true;
	return 0;
}

static size_t held_at(const char *owner)
{
	size_t n = 0;

	for (size_t i = 0; i < w.n; i++)
		n += !w.rec[i].gone && !strcmp(w.rec[i].owner, owner);
	return n;
}

static bool holds(const char *owner, const char *text)
{
	for (size_t i = 0; i < w.n; i++)
		if (!w.rec[i].gone && !strcmp(w.rec[i].owner, owner) &&
			!strcmp(w.rec[i].text, text))
			return true;
	return false;
}

/* ---- the tests ---- */

static void test_add_before_remove(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = B, .remove = A };

	(void)state;
	put(OWNER, A, 3600);
	edit(&by_record, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_true(it.changed);
	assert_string_equal(it.zone, "example.test.");
	assert_string_equal(w.log, "list;read example.test.;add "
				   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
				   "bbbbbbbbbbbbbbbbbbbbb;"
				   "commit example.test.;remove "
				   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				   "aaaaaaaaaaaaaaaaaaaaa;"
				   "commit example.test.;");
}

static void test_failed_add_removes_nothing(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = B, .remove = A };

	(void)state;
	put(OWNER, A, 3600);
	w.refuse = OWNER;
	edit(&by_record, &it, 1, &x);
	assert_int_equal(it.err.st, ST_REFUSED);
	assert_false(it.changed);
	assert_true(holds(OWNER, A));
}

/* A run that died after it staged a change: nothing to add, and yet. */
static void test_staged(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = A };

	(void)state;
	put(OWNER, A, 3600);
	edit(&staged, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_non_null(strstr(w.log, "commit example.test.;"));
	assert_null(strstr(w.log, "add"));
}

static void test_foreign_stay(void **state)
{
	static const char *const foreign[] = { "3 1 2 \"ABcd\"", "2 0 1 Ff 00",
		"what is this" };
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = B, .remove = A };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		put(OWNER, foreign[i], 7200);
	put(OWNER,
		"3 1 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		7200);
	edit(&by_set, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_int_equal(held_at(OWNER), 4);
	for (size_t i = 0; i < 3; i++)
		assert_true(holds(OWNER, foreign[i]));
	assert_true(holds(OWNER, B));
	assert_int_equal(w.rec[w.n - 1].ttl, 7200);
}

static void test_disabled(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = B };

	(void)state;
	put(OWNER, C, 3600);
	w.rec[0].disabled = true;
	edit(&by_set, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_true(holds(OWNER, C) && holds(OWNER, B));
	x.add = C;
	memset(&it.err, 0, sizeof(it.err));
	w.rec[w.n - 2].disabled = true;
	edit(&by_set, &it, 1, &x);
	assert_int_equal(it.err.st, ST_REFUSED);
	assert_non_null(strstr(it.err.text, "disabled"));
}

static void test_ttl(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .ttl = 300 };

	(void)state;
	put(OWNER, A, 3600);
	edit(&by_record, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_int_equal(w.rec[0].ttl, 300);
	/* Nothing to do: nothing is done. */
	w.log[0] = '\0';
	edit(&by_record, &it, 1, &x);
	assert_string_equal(w.log, "list;read example.test.;");
}

/* A change of the TTL that broke off is mended. */
static void test_mixed_ttl(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .ttl = 900 };

	(void)state;
	put(OWNER, A, 900);
	put(OWNER, B, 300);
	edit(&by_record, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_int_equal(w.rec[0].ttl, 900);
	assert_int_equal(w.rec[1].ttl, 900);
	assert_string_equal(w.log,
		"list;read example.test.;ttl " B ";commit example.test.;");
}

/* What is there gets a longer TTL only when what is new is there, too: a set
 * without it must not be cached for longer than was ever seen. */
static void test_ttl_after_add(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = B, .ttl = 3600 };

	(void)state;
	put(OWNER, A, 300);
	edit(&by_record, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_int_equal(w.rec[0].ttl, 3600);
	assert_int_equal(w.rec[1].ttl, 3600);
	assert_true(strstr(w.log, ";add ") < strstr(w.log, ";ttl "));
}

static void test_read_conflict(void **state)
{
	struct provider_item it[2] = { { .owner = OWNER },
		{ .owner = "_465._tcp.mx.example.test." } };
	struct want x[2] = { { .add = A }, { .add = B } };

	(void)state;
	w.read_conflicts = 1;
	edit(&by_set, it, 2, x);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(it[i].err.st, ST_OK);
		assert_true(it[i].changed);
	}
	/* Not for ever. */
	w.read_conflicts = 2;
	edit(&by_set, it, 1, x);
	assert_int_equal(it[0].err.st, ST_CONFLICT);
}

static void test_longest_zone(void **state)
{
	struct provider_item it[3] = { { .owner = CHILD },
		{ .owner = "_25._tcp.notchild.example.test." },
		{ .owner = "_25._tcp.mx.badexample.test." } };
	struct want x[3] = { { .add = A }, { .add = A }, { .add = A } };

	(void)state;
	edit(&by_record, it, 3, x);
	assert_string_equal(it[0].zone, "child.example.test.");
	assert_string_equal(it[1].zone, "example.test.");
	assert_int_equal(it[2].err.st, ST_REFUSED);
	assert_non_null(strstr(it[2].err.text, "badexample"));
}

/* More zones than one page: names are asked for, each once. */
static void test_zone_by_name(void **state)
{
	struct provider_item it[3] = { { .owner = CHILD },
		{ .owner = "_25._tcp.mx2.child.example.test." },
		{ .owner = "_25._tcp.mx.evilexample.test." } };
	struct want x[3] = { { .add = A }, { .add = A }, { .add = A } };
	const char *first, *p;

	(void)state;
	w.list_all = false;
	edit(&by_record, it, 3, x);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(it[i].err.st, ST_OK);
	assert_string_equal(it[1].zone, "child.example.test.");
	assert_string_equal(it[2].zone, "evilexample.test.");
	first = strstr(w.log, "zone child.example.test.;");
	assert_non_null(first);
	p = strstr(first + 1, "zone child.example.test.;");
	assert_null(p);
	assert_null(strstr(w.log, "zone example.test."));
}

static void test_bulk(void **state)
{
	struct provider_item it[3] = { { .owner = OWNER },
		{ .owner = "_25._tcp.mx2.example.test." },
		{ .owner = "_25._tcp.mx3.example.test." } };
	struct want x[3] = { { .add = A }, { .add = B }, { .add = C } };

	(void)state;
	edit(&by_set, it, 3, x);
	assert_string_equal(w.log, "list;read example.test.;write 3;");
	/* One bad name does not hold up the others. */
	w.log[0] = '\0';
	w.refuse = "_25._tcp.mx2.example.test.";
	x[0].add = x[1].add = x[2].add = KEY("dddd");
	edit(&by_set, it, 3, x);
	assert_int_equal(it[0].err.st, ST_OK);
	assert_int_equal(it[1].err.st, ST_REFUSED);
	assert_int_equal(it[2].err.st, ST_OK);
	assert_int_equal(held_at(OWNER), 2);
	assert_int_equal(held_at("_25._tcp.mx2.example.test."), 1);
	assert_string_equal(w.log, "list;read example.test.;write 3;write "
				   "1;write 1;write 1;");
	/* Nor does it cost a call for each where the API says which it is. */
	w.log[0] = '\0';
	w.blames = true;
	x[0].add = x[1].add = x[2].add = KEY("eeee");
	edit(&by_set, it, 3, x);
	assert_int_equal(it[0].err.st, ST_OK);
	assert_int_equal(it[1].err.st, ST_REFUSED);
	assert_int_equal(it[2].err.st, ST_OK);
	assert_string_equal(w.log, "list;read example.test.;write 3;write 2;");
}

/* What cannot be read at one name does not hold up the others. */
static void test_odd_name(void **state)
{
	struct provider_item it[3] = { { .owner = OWNER },
		{ .owner = "_25._tcp.mx2.example.test." },
		{ .owner = "_25._tcp.mx3.example.test." } };
	struct want x[3] = { { .add = A }, { .add = B }, { .add = C } };

	(void)state;
	w.odd = it[1].owner;
	edit(&by_set, it, 3, x);
	assert_int_equal(it[0].err.st, ST_OK);
	assert_int_equal(it[1].err.st, ST_REFUSED);
	assert_int_equal(it[2].err.st, ST_OK);
	assert_int_equal(held_at(OWNER), 1);
	assert_int_equal(held_at("_25._tcp.mx3.example.test."), 1);
}

static void test_conflict(void **state)
{
	struct provider_item it = { .owner = OWNER };
	struct want x = { .add = A };

	(void)state;
	w.conflicts = 1;
	edit(&by_set, &it, 1, &x);
	assert_int_equal(it.err.st, ST_OK);
	assert_string_equal(w.log,
		"list;read example.test.;write 1;read example.test.;write 1;");
	w.conflicts = 5;
	x.add = B;
	edit(&by_set, &it, 1, &x);
	assert_int_equal(it.err.st, ST_CONFLICT);
	assert_false(holds(OWNER, B));
}

static void test_decided_against(void **state)
{
	struct provider_item it[2] = { { .owner = OWNER },
		{ .owner = "_25._tcp.mx2.example.test." } };
	struct want x[2] = { { .st = ST_CONFLICT }, { .add = B } };

	(void)state;
	edit(&by_set, it, 2, x);
	assert_int_equal(it[0].err.st, ST_CONFLICT);
	assert_int_equal(it[1].err.st, ST_OK);
	assert_true(it[1].changed && !it[0].changed);
	assert_string_equal(w.log, "list;read example.test.;write 1;");
}

static void test_replace(void **state)
{
	const struct provider_config cfg = { .name = "test" };
	auto_tlsa from = TLSA_RRSET_INIT;
	auto_tlsa to = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	void *ctx;

	(void)state;
	put(OWNER, A, 3600);
	(void)tlsa_rrset_add_text(&from, A, &err);
	(void)tlsa_rrset_add_text(&to, A, &err);
	(void)tlsa_rrset_add_text(&to, B, &err);
	from.ttl = to.ttl = 3600;
	assert_int_equal(api_open(&by_set, &cfg, &ctx, &err), ST_OK);
	assert_int_equal(api_replace(ctx, OWNER, &from, &to, &err), ST_OK);
	/* the answer was lost: again */
	assert_int_equal(api_replace(ctx, OWNER, &from, &to, &err), ST_OK);
	assert_int_equal(held_at(OWNER), 2);
	(void)tlsa_rrset_add_text(&from, C, &err);
	(void)tlsa_rrset_add_text(&to, KEY("dddd"), &err);
	assert_int_equal(
		api_replace(ctx, OWNER, &from, &to, &err), ST_CONFLICT);
	assert_non_null(strstr(err.text, "somebody else"));
	api_close(ctx);
}

#define T(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_add_before_remove),
		T(test_failed_add_removes_nothing), T(test_staged),
		T(test_foreign_stay), T(test_disabled), T(test_ttl),
		T(test_mixed_ttl), T(test_ttl_after_add), T(test_read_conflict),
		T(test_longest_zone), T(test_zone_by_name), T(test_bulk),
		T(test_odd_name), T(test_conflict), T(test_decided_against),
		T(test_replace) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
