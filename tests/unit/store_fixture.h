/* A state directory to work in, for the tests of the store. */
#ifndef DANELAW_TESTS_STORE_FIXTURE_H
#define DANELAW_TESTS_STORE_FIXTURE_H

#include "state/store.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <jansson.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define NAME "mx1.example.com"

static char top[32], dir[64];
static struct store *store;
static struct err e;

/* In forked children cmocka's asserts would jump into the parent's tests. */
#define CHECK(x)                                                            \
	do {                                                                \
		if (!(x)) {                                                 \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #x, \
				e.text);                                    \
			_exit(1);                                           \
		}                                                           \
	} while (0)

static inline int remove_it(
	const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int setup(void **state)
{
	(void)state;
	memcpy(top, "/tmp/danelaw-store-XXXXXX", 26);
	if (mkdtemp(top) == NULL || chmod(top, 0755) != 0)
		return -1;
	(void)snprintf(dir, sizeof(dir), "%s/state", top);
	return store_open(dir, &store, &e) == ST_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	store_close(store);
	store = NULL;
	return nftw(top, remove_it, 8, FTW_DEPTH | FTW_PHYS);
}

/* Path below the state directory; one of four rotating buffers. */
static inline const char *path(const char *below)
{
	static char bufs[4][256];
	static unsigned turn;
	char *p = bufs[turn++ % 4];

	(void)snprintf(p, sizeof(bufs[0]), "%s/%s", dir, below);
	return p;
}

#define L "lineages/" NAME "/"

static inline mode_t mode_of(const char *below)
{
	struct stat sb;

	assert_int_equal(lstat(path(below), &sb), 0);
	return sb.st_mode & 07777;
}

static inline void spit(const char *below, const char *text)
{
	FILE *f = fopen(path(below), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline bool exists(const char *below)
{
	struct stat sb;

	return lstat(path(below), &sb) == 0;
}

static inline struct store_lineage *lock(struct lineage_state *s)
{
	struct store_lineage *l = NULL;

	if (store_lock(store, NAME, 0, &l, s, &e) != ST_OK)
		fail_msg("%s", e.text);
	return l;
}

struct pems {
	struct buf key, cert, chain, fullchain;
};

static inline void pem(struct buf *b, const char *text)
{
	*b = (struct buf)BUF_INIT(1000);
	assert_int_equal(buf_append(b, text, strlen(text), &e), ST_OK);
}

static inline struct gen_files files(struct pems *p, const char *leaf)
{
	char full[100];
	struct gen_files f = { .key = &p->key,
		.cert = &p->cert,
		.chain = &p->chain,
		.fullchain = &p->fullchain,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.mode = 0600 };

	(void)snprintf(full, sizeof(full), "%s\nCHAIN\n", leaf);
	pem(&p->key, "KEY"); /* no newline at the end: combined adds it */
	pem(&p->cert, leaf);
	pem(&p->chain, "CHAIN\n");
	pem(&p->fullchain, full);
	return f;
}

static inline void pems_release(struct pems *p)
{
	buf_release(&p->key);
	buf_release(&p->cert);
	buf_release(&p->chain);
	buf_release(&p->fullchain);
}

#define WITH_STORE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
