/*
 * Reads certbot's lineage: four links in live/NAME to archive/NAME/KINDn.pem,
 * or four plain files (a copied lineage, another ACME client).
 *
 * certbot switches the links one by one, by unlink and symlink, so a reader
 * can meet a missing link or two numbers at once. Invariant: what is returned
 * is ONE version. With archive links all four must carry the same number, and
 * the files are opened through the text of the links that were compared, never
 * through the links again. With plain files nothing may have changed between
 * the start and the end of reading. In both cases key, cert.pem and
 * fullchain.pem must belong together.
 */
#include "hook/tls/lineage.h"
#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "hook/tls/lineage_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 20
#define VERSION_DIGITS_MAX 9

static const char *const kind_names[] = {
	[LINEAGE_PRIVKEY] = "privkey",
	[LINEAGE_CHAIN] = "chain",
	[LINEAGE_FULLCHAIN] = "fullchain",
	[LINEAGE_CERT] = "cert",
};
_Static_assert(
	sizeof(kind_names) / sizeof(kind_names[0]) == LINEAGE__KINDS, "kinds");

const char *lineage_kind_name(enum lineage_kind k)
{
	return kind_names[k];
}

void lineage_version_release(struct lineage_version *v)
{
	buf_release(&v->key);
	buf_release(&v->cert);
	buf_release(&v->chain);
	buf_release(&v->fullchain);
	cert_info_release(&v->leaf);
	v->n = 0;
}

bool lineage_file_version(const char *file, enum lineage_kind k, unsigned *ret)
{
	size_t len = strlen(kind_names[k]), digits;
	unsigned n = 0;

	if (strncmp(file, kind_names[k], len) != 0)
		return false;
	digits = strspn(file + len, "0123456789");
	if (digits == 0 || digits > VERSION_DIGITS_MAX ||
		strcmp(file + len + digits, ".pem") != 0)
		return false;
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (unsigned)(file[len + i] - '0');
	*ret = n;
	return true;
}

static enum status slurp_fd(
	int fd, const char *path, struct buf *ret, struct err *err)
{
	char chunk[16384];
	enum status st = ST_OK;
	struct stat sb;
	ssize_t n;

	if (fstat(fd, &sb) != 0)
		return err_sys(err, ST_IO, errno, "cannot stat %s", path);
	if (!S_ISREG(sb.st_mode))
		return err_set(err, ST_REFUSED, "%s is not a file", path);
	while (st == ST_OK) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			st = err_sys(err, ST_IO, errno, "cannot read %s", path);
		if (n <= 0)
			break;
		st = buf_append(ret, chunk, (size_t)n, err);
		if (st != ST_OK)
			err_context(err, "%s", path);
	}
	explicit_bzero(chunk, sizeof(chunk));
	return st;
}

enum status lineage_slurp(
	int dirfd, const char *path, struct buf *ret, struct err *err)
{
	/* O_NONBLOCK: a FIFO must not hold us. */
	auto_fd fd = openat(
		dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		return slurp_fd(fd, path, ret, err);
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return err_set(err, ST_NOTFOUND, "%s does not exist", path);
	case EACCES:
	case EPERM:
		return err_sys(err, ST_DENIED, errno, "cannot read %s", path);
	default:
		return err_sys(err, ST_IO, errno, "cannot read %s", path);
	}
}

/* ---- one look ---- */

struct look {
	bool present[LINEAGE__KINDS];
	bool archived[LINEAGE__KINDS]; /* a link to KINDn.pem */
	unsigned n[LINEAGE__KINDS];
	char target[LINEAGE__KINDS][PATH_MAX]; /* what to open */
	struct stat sb[LINEAGE__KINDS];        /* plain files only */
	unsigned n_present, n_archived;
};

static enum status look_at(
	int dir, struct look *l, enum lineage_kind k, struct err *err)
{
	char name[32];
	const char *base;
	ssize_t len;

	(void)snprintf(name, sizeof(name), "%s.pem", kind_names[k]);
	len = readlinkat(dir, name, l->target[k], PATH_MAX - 1);
	if (len < 0 && errno == ENOENT)
		return ST_OK;
	if (len < 0 && errno != EINVAL)
		return err_sys(err, errno == EACCES ? ST_DENIED : ST_IO, errno,
			"cannot read %s", name);
	l->present[k] = true;
	l->n_present++;
	if (len >= 0) {
		l->target[k][len] = '\0';
		base = strrchr(l->target[k], '/');
		base = base != NULL ? base + 1 : l->target[k];
		l->archived[k] = lineage_file_version(base, k, &l->n[k]);
	}
	if (l->archived[k]) {
		l->n_archived++;
		return ST_OK;
	}
	(void)snprintf(l->target[k], PATH_MAX, "%s", name);
	/* A link that dangles is found when it is opened. */
	if (fstatat(dir, name, &l->sb[k], 0) != 0)
		memset(&l->sb[k], 0, sizeof(l->sb[k]));
	return ST_OK;
}

static enum status look_all(int dir, struct look *l, struct err *err)
{
	enum status st = ST_OK;

	memset(l, 0, sizeof(*l));
	for (unsigned k = 0; st == ST_OK && k < LINEAGE__KINDS; k++)
		st = look_at(dir, l, (enum lineage_kind)k, err);
	return st;
}

/* Is this a state in which reading makes sense? */
static enum status judge_look(const struct look *l, struct err *err)
{
	if (l->n_present == 0)
		return err_set(err, ST_NOTFOUND, "no certificate files");
	if (l->n_archived == 0) {
		if (!l->present[LINEAGE_PRIVKEY] ||
			!l->present[LINEAGE_FULLCHAIN])
			return err_set(err, ST_RETRY,
				"privkey.pem or fullchain.pem is missing");
		return ST_OK;
	}
	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		if (!l->archived[k])
			return err_set(err, ST_RETRY,
				"%s.pem is missing or not a link to certbot's "
				"archive, others are",
				kind_names[k]);
		if (l->n[k] != l->n[LINEAGE_CERT])
			return err_set(err, ST_RETRY,
				"%s.pem is version %u but cert.pem is version "
				"%u",
				kind_names[k], l->n[k], l->n[LINEAGE_CERT]);
	}
	return ST_OK;
}

static bool unchanged(const struct look *a, const struct look *b)
{
	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		const struct stat *x = &a->sb[k], *y = &b->sb[k];

		if (a->present[k] != b->present[k] ||
			a->archived[k] != b->archived[k] ||
			x->st_dev != y->st_dev || x->st_ino != y->st_ino ||
			x->st_size != y->st_size ||
			x->st_mtim.tv_sec != y->st_mtim.tv_sec ||
			x->st_mtim.tv_nsec != y->st_mtim.tv_nsec)
			return false;
	}
	return true;
}

static enum status read_files(int dir, const struct look *l,
	struct lineage_version *v, struct err *err)
{
	enum status st;

	st = lineage_slurp(dir, l->target[LINEAGE_PRIVKEY], &v->key, err);
	if (st == ST_OK)
		st = lineage_slurp(
			dir, l->target[LINEAGE_FULLCHAIN], &v->fullchain, err);
	if (st == ST_OK && l->present[LINEAGE_CERT])
		st = lineage_slurp(dir, l->target[LINEAGE_CERT], &v->cert, err);
	/* A file behind a link is gone: the archive was shortened or the
	 * lineage deleted just now. */
	if (st == ST_NOTFOUND)
		st = err_set(err, ST_RETRY, "a file vanished while reading");
	return st;
}

/* Fills leaf and chain, and demands that all belongs together. The chain is
 * what fullchain.pem holds, because that is what will be served. */
static enum status fit_together(struct lineage_version *v, struct err *err)
{
	auto_buf leaf = BUF_INIT(LINEAGE_FILE_MAX);
	auto_key key = NULL;
	struct cert_info alone = { .names = NULL };
	enum status st;

	st = cert_info_read(
		buf_str(&v->fullchain), v->fullchain.len, &v->leaf, err);
	if (st == ST_OK)
		st = cert_split(buf_str(&v->fullchain), v->fullchain.len, &leaf,
			&v->chain, err);
	if (st != ST_OK) {
		err_context(err, "fullchain.pem");
		return st;
	}
	if (v->cert.len == 0)
		st = buf_append(&v->cert, buf_str(&leaf), leaf.len, err);
	if (st == ST_OK)
		st = cert_info_read(
			buf_str(&v->cert), v->cert.len, &alone, err);
	if (st == ST_OK && !spki_eq(&alone.fingerprint, &v->leaf.fingerprint))
		st = err_set(err, ST_REFUSED,
			"it and fullchain.pem hold different certificates");
	cert_info_release(&alone);
	if (st != ST_OK) {
		err_context(err, "cert.pem");
		return st;
	}
	st = key_from_pem(buf_str(&v->key), v->key.len, &key, err);
	if (st == ST_OK && !spki_eq(key_spki(key), &v->leaf.spki))
		st = err_set(
			err, ST_REFUSED, "it does not match the certificate");
	if (st != ST_OK)
		err_context(err, "privkey.pem");
	return st;
}

/* *ret_again: the same look can end otherwise in a moment. */
static enum status read_once(
	int dir, struct lineage_version *v, bool *ret_again, struct err *err)
{
	struct look before, after;
	enum status st;

	*ret_again = true;
	st = look_all(dir, &before, err);
	if (st == ST_OK)
		st = judge_look(&before, err);
	if (st == ST_OK)
		st = read_files(dir, &before, v, err);
	if (st == ST_OK && before.n_archived == 0) {
		st = look_all(dir, &after, err);
		if (st == ST_OK && !unchanged(&before, &after))
			st = err_set(err, ST_RETRY,
				"files changed while they were read");
	}
	if (st == ST_OK) {
		st = fit_together(v, err);
		/* No waiting for what waiting cannot cure. */
		if (st == ST_REFUSED && v->key.len > 0 &&
			strstr(buf_str(&v->key), "ENCRYPTED") != NULL)
			*ret_again = false;
	}
	if (st == ST_NOTFOUND || st == ST_NOMEM || st == ST_DENIED)
		*ret_again = false;
	if (st == ST_OK)
		v->n = before.n[LINEAGE_CERT];
	return st;
}

static enum status open_live(const char *live_dir, int *ret, struct err *err)
{
	int fd = open(live_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		*ret = fd;
		return ST_OK;
	}
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return err_set(err, ST_NOTFOUND, "there is no lineage at %s",
			live_dir);
	case EACCES:
	case EPERM:
		return err_sys(
			err, ST_DENIED, errno, "cannot open %s", live_dir);
	default:
		return err_sys(err, ST_IO, errno, "cannot open %s", live_dir);
	}
}

static void nap(int64_t ms)
{
	struct timespec ts = { .tv_nsec = (long)(ms * 1000000) };

	(void)nanosleep(&ts, NULL);
}

enum status lineage_read(const char *live_dir, int64_t wait_ms,
	struct lineage_version *ret, struct err *err)
{
	int64_t end = clock_mono_ms() + (wait_ms > 0 ? wait_ms : 0), left;
	struct err why = ERR_INIT; /* err stays untouched on success */
	auto_fd dir = -1;
	enum status st;
	bool again;

	st = open_live(live_dir, &dir, err);
	if (st != ST_OK)
		return st;
	for (;;) {
		struct lineage_version v = {
			.key = BUF_INIT(LINEAGE_FILE_MAX),
			.cert = BUF_INIT(LINEAGE_FILE_MAX),
			.chain = BUF_INIT(LINEAGE_FILE_MAX),
			.fullchain = BUF_INIT(LINEAGE_FILE_MAX),
		};

		st = read_once(dir, &v, &again, &why);
		if (st == ST_OK) {
			*ret = v;
			return ST_OK;
		}
		lineage_version_release(&v);
		left = end - clock_mono_ms();
		if (!again || left <= 0)
			break;
		nap(left < POLL_MS ? left : POLL_MS);
	}
	*err = why;
	return err_context(err, "lineage %s", live_dir);
}

/* ---- has anything changed? ---- */

static bool stat_text(int dir, const char *name, char *ret, size_t len)
{
	struct stat sb;

	if (fstatat(dir, name, &sb, 0) != 0) {
		(void)snprintf(ret, len, "-");
		return false;
	}
	(void)snprintf(ret, len, "%ju.%ju.%jd.%09ld", (uintmax_t)sb.st_dev,
		(uintmax_t)sb.st_ino, (intmax_t)sb.st_mtim.tv_sec,
		sb.st_mtim.tv_nsec);
	return true;
}

enum status lineage_fingerprint(
	const char *live_dir, char *ret, size_t len, struct err *err)
{
	char cert[96], key[96], target[PATH_MAX];
	const char *name = "cert.pem", *base;
	auto_fd dir = -1;
	enum status st;
	ssize_t n;
	int w;

	st = open_live(live_dir, &dir, err);
	if (st != ST_OK)
		return st;
	if (!stat_text(dir, name, cert, sizeof(cert))) {
		/* other clients may have no cert.pem */
		name = "fullchain.pem";
		if (!stat_text(dir, name, cert, sizeof(cert)))
			return err_set(err, ST_NOTFOUND,
				"there is no certificate in %s", live_dir);
	}
	/* The key counts as well: a wrong one that was put right is news. */
	(void)stat_text(dir, "privkey.pem", key, sizeof(key));
	n = readlinkat(dir, name, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	base = strrchr(target, '/');
	base = base != NULL ? base + 1 : target;
	w = snprintf(ret, len, "%.32s %s %s", *base != '\0' ? base : name, cert,
		key);
	if (w < 0 || (size_t)w >= len)
		return err_set(err, ST_BUG, "no room for the fingerprint of %s",
			live_dir);
	return ST_OK;
}
