/*
 * certbot's folders under hostile input: renewal configuration, links, files.
 * The input is text: "@ PATH" begins a file, "> PATH TARGET" is a link; %ROOT%
 * in a file is where all of it lies. Nothing is written outside of that: a
 * configuration that leads out of it is not imported into.
 *
 * Checked: a version that was read belongs together; what is handed to certbot
 * is one option in one line each; an import that succeeded is what is read
 * back.
 */
/* All of the file but its last word. */
#define clock_mono_ms clock_mono_real_
#include "hook/base/clock.c"
#undef clock_mono_ms

#include "hook/tls/key.h"
#include "hook/tls/lineage.h"
#include "hook/tls/lineage_impl.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

#define FILES_MAX 24
#define PEM_MAX ((size_t)4 << 20)

int64_t clock_mono_ms(void);

static char root[300], live[400];
static int64_t clock_ms;

/* Waiting for a certbot that is at work costs nothing here. */
int64_t clock_mono_ms(void)
{
	return clock_ms += 100;
}

/* Plain components below the root, without "." and "..". */
static bool path_ok(const char *p)
{
	if (*p == '\0' || strlen(p) > 100)
		return false;
	for (const char *q = p; *q != '\0'; q++) {
		bool start = q == p || q[-1] == '/';

		if (*q <= ' ' || *q > '~' ||
			(start && (*q == '.' || *q == '/')))
			return false;
	}
	return p[strlen(p) - 1] != '/';
}

/* A link two levels down can climb two, and no more. */
static bool target_ok(const char *t, const char *path)
{
	unsigned depth = 0, up = 0;

	for (const char *q = path; *q != '\0'; q++)
		depth += *q == '/';
	while (strncmp(t, "../", 3) == 0) {
		t += 3;
		up++;
	}
	return up <= depth && path_ok(t);
}

/* Makes the folders above; path is relative to the root. */
static bool full_path(const char *path, char *ret, size_t len)
{
	(void)snprintf(ret, len, "%s/%s", root, path);
	for (char *p = ret + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		struct stat sb;

		*p = '\0';
		(void)mkdir(ret, 0755);
		/* Not through links of the input's: they may lead anywhere
		 * below by now. */
		if (lstat(ret, &sb) != 0 || !S_ISDIR(sb.st_mode))
			return false;
		*p = '/';
	}
	return true;
}

/* %ROOT% becomes the folder. */
static void fill(struct buf *b, const char *text, size_t n)
{
	struct err err = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		if (n - i >= 6 && memcmp(text + i, "%ROOT%", 6) == 0) {
			must(buf_append(b, root, strlen(root), &err) == ST_OK);
			i += 5;
		} else {
			must(buf_append(b, text + i, 1, &err) == ST_OK);
		}
	}
}

static void make_file(const char *path, const char *text, size_t n)
{
	struct buf b = BUF_INIT(PEM_MAX);
	char full[512];
	struct stat sb;

	fill(&b, text, n);
	if (path_ok(path) && full_path(path, full, sizeof(full)) &&
		lstat(full, &sb) != 0)
		fuzz_write(full, 0600, buf_str(&b), b.len);
	buf_release(&b);
}

static void make_link(char *line)
{
	char *target = strchr(line, ' '), full[512];

	if (target == NULL)
		return;
	*target++ = '\0';
	if (path_ok(line) && target_ok(target, line) &&
		full_path(line, full, sizeof(full)))
		(void)symlink(target, full);
}

/* Takes the input apart, and makes what it says. */
static void make_all(struct in *in)
{
	char *name = NULL;
	const char *start = NULL;

	for (unsigned n = 0; in->n > 0 && n < FILES_MAX;) {
		const char *at = (const char *)in->p;
		bool file = in->n > 2 && memcmp(at, "@ ", 2) == 0;
		bool link = in->n > 2 && memcmp(at, "> ", 2) == 0;
		char *line = in_text(in, '\n');

		if (file || link) {
			if (name != NULL)
				make_file(name, start, (size_t)(at - start));
			free(name);
			name = file ? strdup(line + 2) : NULL;
			start = (const char *)in->p;
			n++;
		}
		if (link)
			make_link(line + 2);
		free(line);
	}
	if (name != NULL)
		make_file(name, start, (size_t)((const char *)in->p - start));
	free(name);
}

/* Each line is: a known kind of word, " = ", and a value in quotes. */
static void check_options(const char *text)
{
	while (*text != '\0') {
		size_t word = strspn(text,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789-");
		size_t line = strcspn(text, "\n");

		must(word > 0 && strncmp(text + word, " = ", 3) == 0);
		must(line >= word + 5 && text[line] == '\n');
		must(text[word + 3] == '"' || text[word + 3] == '\'');
		must(text[line - 1] == text[word + 3]);
		text += line + 1;
	}
}

/* Below the root, with no way out. */
static bool inside(const char *dir)
{
	char real[PATH_MAX];

	return dir != NULL && realpath(dir, real) != NULL &&
	       strncmp(real, root, strlen(root)) == 0 &&
	       real[strlen(root)] == '/';
}

static void import(const struct lineage_version *v)
{
	struct lineage_home h = { .name = NULL };
	struct lineage_version got = { .n = 0 };
	struct err err = ERR_INIT;
	unsigned n = 0, again = 0;
	enum status st = lineage_home_find(live, &h, &err);

	if (st != ST_OK || !inside(h.live_dir) || !inside(h.config_dir) ||
		!inside(h.archive_dir)) {
		lineage_home_release(&h);
		return;
	}
	st = lineage_import(
		live, &v->key, &v->cert, &v->chain, &v->fullchain, &n, &err);
	if (st == ST_OK) {
		must(n > 0);
		must(lineage_read(live, 0, &got, &err) == ST_OK);
		must(got.n == n);
		must(spki_eq(&got.leaf.fingerprint, &v->leaf.fingerprint));
		lineage_version_release(&got);
		must(lineage_import(live, &v->key, &v->cert, &v->chain,
			     &v->fullchain, &again, &err) == ST_OK);
		must(again == n);
	} else {
		must_err(st, &err);
	}
	lineage_home_release(&h);
}

static void read_it(void)
{
	struct lineage_version v = { .n = 0 };
	struct buf ini = BUF_INIT(1 << 20);
	struct err err = ERR_INIT;
	char print[256], *dir = NULL;
	struct key *k = NULL;
	enum status st = lineage_csr_options(live, &ini, &err);

	if (st == ST_OK)
		check_options(buf_str(&ini));
	else
		must_err(st, &err);
	buf_release(&ini);
	if (lineage_config_dir(live, &dir, &err) == ST_OK)
		must(dir[0] == '/');
	free(dir);
	if (lineage_fingerprint(live, print, sizeof(print), &err) == ST_OK)
		must(print[0] != '\0');
	err = (struct err)ERR_INIT;
	st = lineage_read(live, 0, &v, &err);
	if (st != ST_OK) {
		must_err(st, &err);
		return;
	}
	must(key_from_pem(v.key.data, v.key.len, &k, &err) == ST_OK);
	must(spki_eq(key_spki(k), &v.leaf.spki));
	key_free(k);
	import(&v);
	lineage_version_release(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };
	struct ini conf = { .n = 0 };
	struct err err = ERR_INIT;
	uint8_t *copy = exact(data, size);
	enum status st = ini_parse((const char *)copy, size, &conf, &err);

	free(copy);
	if (st == ST_OK) {
		for (size_t i = 0; i < conf.n; i++)
			must(conf.item[i].section != NULL &&
				conf.item[i].key != NULL);
		ini_release(&conf);
	} else {
		must_err(st, &err);
	}
	(void)snprintf(root, sizeof(root), "%s/le", fuzz_dir());
	(void)snprintf(live, sizeof(live), "%s/live/mx1", root);
	must(mkdir(root, 0755) == 0);
	make_all(&in);
	read_it();
	fuzz_remove(root);
	return 0;
}
