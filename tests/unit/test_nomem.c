/*
 * No memory: the n-th allocation fails, for every n, in the state, its store,
 * the configuration and the plan. Nothing crashes or leaks (AddressSanitizer is
 * watching), nothing is half written, and nobody says that all is well.
 *
 * Only built with AddressSanitizer: there the allocator can be taken from under
 * the program. Counted is what our own code asks for, and libjansson for it;
 * what libconfuse asks for is not: some of its own answers to NULL are to crash
 * (before anything was touched; tests/lab/scenarios/nomem.sh looks at that).
 */
#include "hook/config.h"
#include "tests/unit/plan_fixture.h"
#include "tests/unit/store_fixture.h"

#include <link.h>

#ifndef __SANITIZE_ADDRESS__

int main(void)
{
	(void)puts("1..0 # SKIP needs AddressSanitizer (make SAN=1)");
	return 0;
}

#else

void *__interceptor_malloc(size_t n);
void *__interceptor_calloc(size_t n, size_t size);
void *__interceptor_realloc(void *p, size_t n);

/* Code whose allocations count. */
static struct {
	uintptr_t from, to;
} range[8];
static size_t n_ranges;
static long left = -1; /* until one fails; -1: none will */
static long counted;
static bool failed;

static int look(struct dl_phdr_info *o, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	if (o->dlpi_name[0] != '\0' &&
		strstr(o->dlpi_name, "/libjansson.") == NULL)
		return 0;
	for (int i = 0; i < o->dlpi_phnum && n_ranges < 8; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0)
			continue;
		range[n_ranges].from = o->dlpi_addr + p->p_vaddr;
		range[n_ranges++].to = o->dlpi_addr + p->p_vaddr + p->p_memsz;
	}
	return 0;
}

static bool fails(const void *caller)
{
	bool ours = false;

	for (size_t i = 0; i < n_ranges && !ours; i++)
		ours = (uintptr_t)caller >= range[i].from &&
		       (uintptr_t)caller < range[i].to;
	if (!ours)
		return false;
	counted++;
	if (left < 0 || left-- > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

#define FAILS() fails(__builtin_return_address(0))

void *malloc(size_t n)
{
	return FAILS() ? NULL : __interceptor_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return FAILS() ? NULL : __interceptor_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return FAILS() ? NULL : __interceptor_realloc(p, n);
}

/* Their own, so that it is seen who asked. */
char *strndup(const char *text, size_t max)
{
	size_t n = strnlen(text, max);
	char *copy = FAILS() ? NULL : __interceptor_malloc(n + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

char *strdup(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = FAILS() ? NULL : __interceptor_malloc(n);

	return copy == NULL ? NULL : memcpy(copy, text, n);
}

/* body with the first, the second ... allocation failing, until none is left:
 * then it is ST_OK. look_at looks at what was left. */
static void every(enum status (*body)(struct err *err), void (*look_at)(void),
	long at_least)
{
	long n = 0;

	for (;; n++) {
		struct err err = ERR_INIT;
		enum status st;

		failed = false;
		left = n;
		st = body(&err);
		left = -1;
		if (!failed && st != ST_OK)
			fail_msg("with all memory: %s", err.text);
		if (!failed)
			break;
		/* What is only nice to have may be done without; and libjansson
		 * does not always tell that it was memory. */
		if (st != ST_OK && st != ST_NOMEM &&
			strstr(err.text, "nothing was changed") == NULL)
			fail_msg("allocation %ld: %s (%s)", n, status_name(st),
				err.text);
		if (st == ST_NOMEM && strstr(err.text, "memory") == NULL)
			fail_msg("allocation %ld: it says \"%s\"", n, err.text);
		if (look_at != NULL)
			look_at();
	}
	if (n < at_least)
		fail_msg("only %ld allocations failed", n);
}

/* ---- the state ---- */

static const char *text;

static enum status state_body(struct err *err)
{
	static const char owners[3][DNS_NAME_MAX] = { "_25._tcp.mx1.example.",
		"_465._tcp.mx1.example.", "_587._tcp.mx1.example." };
	auto_buf b = BUF_INIT(1000000);
	struct spki spki = spki_of(77);
	struct lineage_state s, t;
	struct state_key *k;
	struct state_gen *g;
	enum status st = state_from_json(text, strlen(text), &s, err);

	if (st != ST_OK)
		return st;
	st = state_copy(&s, &t, err);
	if (st == ST_OK) {
		st = state_key_add(
			&t, &spki, KEY_ECDSA_P256, KEY_CANDIDATE, &k, err);
		if (st == ST_OK)
			st = state_gen_add(&t, &g, err);
		if (st == ST_OK)
			st = state_set_owners(&t, owners, 3, err);
		if (st == ST_OK)
			st = state_to_json(&s, &b, err);
		state_release(&t);
	}
	state_release(&s);
	if (st == ST_OK)
		assert_string_equal(buf_str(&b), text);
	return st;
}

static void test_state(void **state)
{
	auto_buf b = BUF_INIT(1000000);
	struct err err = ERR_INIT;
	struct fx f;

	(void)state;
	fx_steady(&f, 2, 3);
	assert_int_equal(state_to_json(&f.s, &b, &err), ST_OK);
	text = buf_str(&b);
	every(state_body, NULL, 200);
	fx_release(&f);
}

/* ---- the store ---- */

static struct lineage_state held;
static struct key *new_key;
static struct pems the_pems;
static struct gen_files the_files;
static int64_t turn;

static enum status write_all(struct store_lineage *l, struct err *err)
{
	enum status st;

	held.wake_ms = ++turn;
	st = store_key_save(l, new_key, err);
	if (st == ST_OK)
		st = store_gen_write(l, 1, &the_files, err);
	if (st == ST_OK)
		st = store_gen_write(l, 2, &the_files, err);
	if (st == ST_OK)
		st = store_live_set(l, 1, err);
	if (st == ST_OK)
		st = store_commit(l, &held, err);
	if (st == ST_OK)
		st = store_history(
			l, T0, "test", key_spki(new_key), 1, "why", err);
	if (st == ST_OK)
		st = store_gen_remove(l, 2, err);
	if (st == ST_OK)
		st = store_key_remove(l, key_spki(new_key), err);
	return st;
}

static enum status store_body(struct err *err)
{
	struct store *st_dir = NULL;
	struct store_lineage *l = NULL;
	struct lineage_state s;
	struct history h = { .event = NULL };
	enum status st = store_open(dir, &st_dir, err);

	if (st != ST_OK)
		return st;
	st = store_lock(st_dir, NAME, 0, &l, &s, err);
	if (st == ST_OK) {
		st = write_all(l, err);
		store_unlock(l);
		state_release(&s);
	}
	if (st == ST_OK) {
		st = store_peek(st_dir, NAME, &s, err);
		if (st == ST_OK)
			state_release(&s);
	}
	if (st == ST_OK) {
		st = store_history_read(st_dir, NAME, &h, err);
		if (st == ST_OK)
			history_release(&h);
	}
	store_close(st_dir);
	return st;
}

/* The old one or the new one, and whole. */
static void store_is_whole(void)
{
	struct lineage_state s;
	struct store_lineage *l = lock(&s);
	struct history h;
	struct key *k = NULL;
	enum status st;

	assert_true(s.wake_ms <= turn && s.wake_ms >= turn - 1);
	for (int i = 1; i <= 2; i++) {
		char gen[80];

		(void)snprintf(gen, sizeof(gen), L "generations/%d", i);
		if (!exists(gen))
			continue;
		(void)snprintf(gen, sizeof(gen), L "generations/%d/%s", i,
			"combined.pem");
		assert_true(exists(gen));
	}
	st = store_key_load(l, key_spki(new_key), &k, &e);
	assert_true(st == ST_OK || st == ST_NOTFOUND);
	key_free(k);
	/* What was not cleaned up by who failed must be by the next. */
	st = store_gen_remove(l, 2, &e);
	assert_true(st == ST_OK || st == ST_NOTFOUND);
	st = store_key_remove(l, key_spki(new_key), &e);
	assert_true(st == ST_OK || st == ST_NOTFOUND);
	s.wake_ms = turn;
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	if (store_history_read(store, NAME, &h, &e) == ST_OK) {
		assert_int_equal(h.bad_lines, 0);
		history_release(&h);
	}
	/* It would grow, and with it the number of allocations. */
	(void)unlink(path(L "history.jsonl"));
}

static void test_store(void **state)
{
	struct store_lineage *l;

	(void)state;
	assert_int_equal(key_generate(KEY_ECDSA_P256, &new_key, &e), ST_OK);
	the_files = files(&the_pems, "LEAF-A");
	l = lock(&held);
	assert_int_equal(store_commit(l, &held, &e), ST_OK);
	store_unlock(l);
	turn = 0;
	every(store_body, store_is_whole, 100);
	pems_release(&the_pems);
	key_free(new_key);
	state_release(&held);
}

/* ---- the configuration ---- */

static enum status config_body(struct err *err)
{
	struct config c;
	enum status st = config_read(path("../danelaw.conf"), &c, err);

	if (st == ST_OK)
		config_release(&c);
	return st;
}

static void test_config(void **state)
{
	(void)state;
	spit("../danelaw.conf",
		"state_dir = \"/var/lib/x\"\n"
		"resolver { forward = {\"127.0.0.1\"} root_hints = \"/h\" }\n"
		"timing { wait_ttls = 3 poll_max = 8 }\n"
		"provider \"home\" { type = \"rfc2136\" server = "
		"\"192.0.2.53\" tsig_key_file = \"/k\" }\n"
		"lineage \"mx\" {\n"
		"tlsa = {\"_25._tcp.mx.example.com\", "
		"\"_465._tcp.mx.example.com\"}\n"
		"provider = \"home\"\n"
		"endpoints = {\"smtp://mx.example.com:25\"}\n"
		"reload = {\"true\", \"true\"}\n"
		"certbot_options = {\"--preferred-chain\", \"X\"}\n"
		"ignore_servers = {\"ns1.example\"}\n}\n");
	every(config_body, NULL, 60);
}

/* ---- the plan ---- */

/* It asks for none, so it cannot be without. */
static void test_plan(void **state)
{
	struct fx f;
	long before;

	(void)state;
	fx_steady(&f, 2, 4);
	add_key(&f, 3, KEY_CANDIDATE);
	add_gen(&f, 3, GEN_CERTBOT);
	before = counted;
	for (int i = 0; i < 50; i++) {
		after(&f, 700);
		serve(&f, i < 10 ? 3 : 7);
		sweep(&f);
		(void)next(&f);
		(void)plan_ready_ms(&f.s, key(&f, 3), &f.p);
	}
	plan_doubt(&f.s, &f.p, f.now);
	assert_int_equal(counted, before);
	fx_release(&f);
}

/* Thousands of files are made durable: not on a disk, where we may choose. */
static int begin(void **state)
{
	if (setup(state) != 0)
		return -1;
	store_close(store);
	if (unshare(CLONE_NEWNS) != 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tmpfs", top, "tmpfs", 0, "size=8m,mode=0755") != 0)
		print_message("on a disk, slowly\n");
	return store_open(dir, &store, &e) == ST_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)umount2(top, MNT_DETACH);
	return teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test_setup_teardown(test_store, begin, end),
		WITH_STORE(test_config),
		cmocka_unit_test(test_plan),
	};

	(void)dl_iterate_phdr(look, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
