/*
 * Writes a version back into certbot's lineage, so that stock `certbot renew`
 * sees a young certificate and stays quiet.
 *
 * Everything happens under certbot's own lock on its configuration folder: an
 * exclusive lock on .certbot.lock, whose file must still be the one in the
 * folder after it was locked, and which is unlinked on release. OFD locks
 * (fcntl(2)) conflict with certbot's POSIX locks and do not vanish when some
 * other descriptor of the file is closed.
 *
 * Crash safety comes from certbot's own rules: a version counts only when all
 * four files are there, so the certificate is written last; a complete version
 * that is not linked is linked by certbot itself at its next run. Files are
 * created whole and never overwritten. A replay finishes the version that a
 * crash left, if the files there are ours, and takes the next number if not.
 */
#include "hook/base/atomicfile.h"
#include "hook/base/auto.h"
#include "hook/tls/lineage.h"
#include "hook/tls/lineage_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME ".certbot.lock"
#define LOCK_TRIES 20
#define VERSIONS_MAX 65536
#define TEMP_PREFIX ".tmp-danelaw-"
/* What certbot carries over from one private key file to the next. */
#define KEY_MODE_KEPT 0074

struct import {
	struct lineage_home home;
	int config, live, archive; /* folders; -1 */
	int lock;
	const struct buf *pem[LINEAGE__KINDS];
	char *target_dir[LINEAGE__KINDS]; /* of the present links */
	unsigned max;                     /* highest number of any kind */
	unsigned max_kinds;               /* bit per kind present at max */
	unsigned complete;                /* highest complete version, 0 none */
};

#define ALL_KINDS ((1u << LINEAGE__KINDS) - 1)

static enum status open_dir(const char *path, int *ret, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err,
			errno == ENOENT   ? ST_NOTFOUND
			: errno == EACCES ? ST_DENIED
					  : ST_IO,
			errno, "cannot open %s", path);
	*ret = fd;
	return ST_OK;
}

/* ---- certbot's lock ---- */

/* ST_CONFLICT, without text: the file was unlinked by its holder meanwhile;
 * try again. */
static enum status lock_once(int dir, int *ret, struct err *err)
{
	auto_fd fd = openat(dir, LOCK_NAME,
		O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat mine, there;

	if (fd < 0)
		return err_sys(err, errno == EACCES ? ST_DENIED : ST_IO, errno,
			"cannot open certbot's lock file");
	if (fcntl(fd, F_OFD_SETLK, &fl) != 0) {
		if (errno == EAGAIN || errno == EACCES)
			return err_set(err, ST_BUSY,
				"certbot is running; the import is tried "
				"again later");
		return err_sys(err, ST_IO, errno,
			"cannot lock certbot's "
			"lock file");
	}
	if (fstat(fd, &mine) != 0 ||
		fstatat(dir, LOCK_NAME, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
		mine.st_dev != there.st_dev || mine.st_ino != there.st_ino)
		return ST_CONFLICT;
	*ret = fd;
	fd = -1;
	return ST_OK;
}

static enum status lock(int dir, int *ret, struct err *err)
{
	enum status st;

	for (int i = 0; i < LOCK_TRIES; i++) {
		st = lock_once(dir, ret, err);
		if (st != ST_CONFLICT)
			return st;
	}
	return err_set(
		err, ST_BUSY, "certbot's lock file changes all the time");
}

/* Unlinked while it is still locked, as certbot does. */
static void unlock(struct import *m)
{
	if (m->lock < 0)
		return;
	(void)unlinkat(m->config, LOCK_NAME, 0);
	(void)close(m->lock);
	m->lock = -1;
}

static void import_release(struct import *m)
{
	unlock(m);
	if (m->config >= 0)
		(void)close(m->config);
	if (m->live >= 0)
		(void)close(m->live);
	if (m->archive >= 0)
		(void)close(m->archive);
	for (unsigned k = 0; k < LINEAGE__KINDS; k++)
		free(m->target_dir[k]);
	lineage_home_release(&m->home);
}

/* ---- what is there ---- */

/* Every live file must be a link into the archive, else this is no lineage
 * that certbot would go on with. A missing link is what a killed certbot
 * leaves; the others then say where to. */
static enum status check_link(
	struct import *m, enum lineage_kind k, struct err *err)
{
	char name[32], target[PATH_MAX];
	struct stat dir, archive;
	unsigned n;
	char *base;
	ssize_t len;

	(void)snprintf(name, sizeof(name), "%s.pem", lineage_kind_name(k));
	len = readlinkat(m->live, name, target, sizeof(target) - 1);
	if (len < 0 && errno == ENOENT)
		return ST_OK;
	if (len < 0)
		return err_set(err, ST_REFUSED,
			"%s/%s is not a link into certbot's archive",
			m->home.live_dir, name);
	target[len] = '\0';
	base = strrchr(target, '/');
	if (base == NULL || !lineage_file_version(base + 1, k, &n))
		return err_set(err, ST_REFUSED,
			"%s/%s -> %s is not a link into certbot's archive",
			m->home.live_dir, name, target);
	*base = '\0';
	if (fstatat(m->live, target, &dir, 0) != 0 ||
		fstat(m->archive, &archive) != 0 ||
		dir.st_dev != archive.st_dev || dir.st_ino != archive.st_ino)
		return err_set(err, ST_REFUSED,
			"%s/%s points to %s, but certbot's archive is %s",
			m->home.live_dir, name, target, m->home.archive_dir);
	m->target_dir[k] = strdup(target);
	if (m->target_dir[k] == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

static enum status check_links(struct import *m, struct err *err)
{
	const char *any = NULL;
	enum status st;

	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		st = check_link(m, (enum lineage_kind)k, err);
		if (st != ST_OK)
			return st;
		if (m->target_dir[k] != NULL)
			any = m->target_dir[k];
	}
	if (any == NULL)
		any = m->home.archive_dir;
	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		if (m->target_dir[k] != NULL)
			continue;
		m->target_dir[k] = strdup(any);
		if (m->target_dir[k] == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
	}
	return ST_OK;
}

static bool version_of(
	const char *file, enum lineage_kind *ret_kind, unsigned *ret_n)
{
	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		if (lineage_file_version(file, (enum lineage_kind)k, ret_n)) {
			*ret_kind = (enum lineage_kind)k;
			return true;
		}
	}
	return false;
}

/* kinds[n]: bit per kind of version n. Also sweeps what an import of ours left
 * when it was killed; under the lock nobody else makes such files. */
static enum status scan_into(
	struct import *m, DIR *d, unsigned char *kinds, struct err *err)
{
	enum lineage_kind k;
	struct dirent *e;
	unsigned n;

	while ((errno = 0, e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			(void)unlinkat(m->archive, e->d_name, 0);
		if (!version_of(e->d_name, &k, &n))
			continue;
		if (n >= VERSIONS_MAX)
			return err_set(err, ST_REFUSED,
				"%s/%s: version number is not sane",
				m->home.archive_dir, e->d_name);
		kinds[n] |= (unsigned char)(1u << k);
		if (n > m->max)
			m->max = n;
	}
	if (errno != 0)
		return err_sys(err, ST_IO, errno, "cannot read %s",
			m->home.archive_dir);
	return ST_OK;
}

static enum status scan(struct import *m, struct err *err)
{
	unsigned char *kinds = calloc(VERSIONS_MAX, 1);
	int fd = openat(m->archive, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	enum status st;

	if (kinds == NULL || d == NULL) {
		st = err_sys(err, ST_IO, errno, "cannot read %s",
			m->home.archive_dir);
		if (d == NULL && fd >= 0)
			(void)close(fd);
	} else {
		st = scan_into(m, d, kinds, err);
	}
	if (st == ST_OK) {
		m->max_kinds = kinds[m->max];
		for (unsigned n = 1; n <= m->max; n++)
			if (kinds[n] == ALL_KINDS)
				m->complete = n;
	}
	if (d != NULL)
		(void)closedir(d);
	free(kinds);
	return st;
}

static void file_name(enum lineage_kind k, unsigned n, char ret[static 64])
{
	(void)snprintf(ret, 64, "%s%u.pem", lineage_kind_name(k), n);
}

/* 1 yes, 0 no, -1 not there or not readable */
static int holds(struct import *m, enum lineage_kind k, unsigned n)
{
	auto_buf b = BUF_INIT(LINEAGE_FILE_MAX);
	struct err ignored = ERR_INIT;
	char name[64];

	file_name(k, n, name);
	if (lineage_slurp(m->archive, name, &b, &ignored) != ST_OK)
		return -1;
	return b.len == m->pem[k]->len &&
	       memcmp(buf_str(&b), buf_str(m->pem[k]), b.len) == 0;
}

/* Is version n this very certificate with its key? Not byte by byte: a
 * certificate is the same in any PEM wrapping. */
static bool is_version(struct import *m, unsigned n)
{
	struct cert_info a = { .names = NULL }, b = { .names = NULL };
	struct err ignored = ERR_INIT;
	auto_buf cert = BUF_INIT(LINEAGE_FILE_MAX);
	auto_buf key = BUF_INIT(LINEAGE_FILE_MAX);
	char name[64];
	struct spki s;
	bool same;

	file_name(LINEAGE_CERT, n, name);
	if (lineage_slurp(m->archive, name, &cert, &ignored) != ST_OK)
		return false;
	file_name(LINEAGE_PRIVKEY, n, name);
	if (lineage_slurp(m->archive, name, &key, &ignored) != ST_OK)
		return false;
	same = cert_info_read(buf_str(&cert), cert.len, &a, &ignored) ==
		       ST_OK &&
	       cert_info_read(buf_str(m->pem[LINEAGE_CERT]),
		       m->pem[LINEAGE_CERT]->len, &b, &ignored) == ST_OK &&
	       spki_eq(&a.fingerprint, &b.fingerprint) &&
	       spki_from_pem(buf_str(&key), key.len, &s, NULL, &ignored) ==
		       ST_OK &&
	       spki_eq(&s, &a.spki);
	cert_info_release(&a);
	cert_info_release(&b);
	return same;
}

/* The version to write: the incomplete newest one when all it has is ours,
 * because a crashed import left it; else the next number. */
static unsigned choose_version(struct import *m)
{
	if (m->max > m->complete && m->max_kinds != ALL_KINDS) {
		/* the key is what we write first */
		bool ours = (m->max_kinds & (1u << LINEAGE_PRIVKEY)) != 0;

		for (unsigned k = 0; k < LINEAGE__KINDS; k++)
			if ((m->max_kinds & (1u << k)) != 0 &&
				holds(m, (enum lineage_kind)k, m->max) != 1)
				ours = false;
		if (ours)
			return m->max;
	}
	m->max_kinds = 0;
	return m->max + 1;
}

/* ---- writing ---- */

/* A new private key is 0600; then the group and its rights follow the present
 * one, as when certbot renews. */
static enum status carry_rights(
	struct import *m, const char *name, struct err *err)
{
	struct stat old, new;
	mode_t mode = 0600;

	if (fstatat(m->live, "privkey.pem", &old, 0) != 0)
		return ST_OK;
	if (fstatat(m->archive, name, &new, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, ST_IO, errno, "cannot stat %s/%s",
			m->home.archive_dir, name);
	mode |= old.st_mode & KEY_MODE_KEPT;
	if (old.st_gid != new.st_gid &&
		fchownat(m->archive, name, (uid_t)-1, old.st_gid,
			AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, ST_DENIED, errno,
			"cannot give %s/%s to group %ju", m->home.archive_dir,
			name, (uintmax_t)old.st_gid);
	if (fchmodat(m->archive, name, mode, 0) != 0)
		return err_sys(err, ST_IO, errno, "cannot set mode of %s/%s",
			m->home.archive_dir, name);
	return ST_OK;
}

static enum status write_version(struct import *m, unsigned n, struct err *err)
{
	enum status st;
	char name[64];

	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		file_name((enum lineage_kind)k, n, name);
		if ((m->max_kinds & (1u << k)) == 0) {
			st = atomicfile_create(m->archive, name,
				k == LINEAGE_PRIVKEY ? 0600 : 0644,
				buf_str(m->pem[k]), m->pem[k]->len, err);
			if (st != ST_OK)
				return st;
		}
		if (k == LINEAGE_PRIVKEY) {
			st = carry_rights(m, name, err);
			if (st != ST_OK)
				return st;
		}
	}
	return ST_OK;
}

static enum status set_link(
	struct import *m, enum lineage_kind k, unsigned n, struct err *err)
{
	char name[32], file[64], want[PATH_MAX], have[PATH_MAX];
	ssize_t len;
	int w;

	file_name(k, n, file);
	(void)snprintf(name, sizeof(name), "%s.pem", lineage_kind_name(k));
	w = snprintf(want, sizeof(want), "%s/%s", m->target_dir[k], file);
	if (w < 0 || (size_t)w >= sizeof(want))
		return err_set(err, ST_REFUSED, "link text is too long");
	len = readlinkat(m->live, name, have, sizeof(have) - 1);
	if (len == w && memcmp(have, want, (size_t)len) == 0)
		return ST_OK;
	return atomicfile_symlink(m->live, name, want, err);
}

/* A killed certbot leaves previous_KIND.pem behind, and an error at its next
 * renewal would take the lineage back to them. */
static void drop_previous(struct import *m)
{
	char name[48];

	for (unsigned k = 0; k < LINEAGE__KINDS; k++) {
		(void)snprintf(name, sizeof(name), "previous_%s.pem",
			lineage_kind_name((enum lineage_kind)k));
		(void)unlinkat(m->live, name, 0);
	}
}

/* Links that an import of ours had no time to name. */
static void sweep_links(struct import *m)
{
	int fd = openat(m->live, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			(void)unlinkat(m->live, e->d_name, 0);
	if (d != NULL)
		(void)closedir(d);
	else if (fd >= 0)
		(void)close(fd);
}

static enum status set_links(struct import *m, unsigned n, struct err *err)
{
	/* key and certificate next to each other: whoever reads live/ meets
	 * a mismatch for the shortest time */
	static const enum lineage_kind order[] = { LINEAGE_CHAIN,
		LINEAGE_PRIVKEY, LINEAGE_CERT, LINEAGE_FULLCHAIN };
	enum status st = ST_OK;

	drop_previous(m);
	sweep_links(m);
	for (unsigned i = 0; st == ST_OK && i < LINEAGE__KINDS; i++)
		st = set_link(m, order[i], n, err);
	return st;
}

/* ---- the whole ---- */

/* Nothing enters the lineage that certbot could not renew from. */
static enum status check_input(const struct import *m, struct err *err)
{
	const struct buf *cert = m->pem[LINEAGE_CERT];
	const struct buf *full = m->pem[LINEAGE_FULLCHAIN];
	const struct buf *key = m->pem[LINEAGE_PRIVKEY];
	struct cert_info a = { .names = NULL }, b = { .names = NULL };
	struct spki s;
	enum status st;

	st = cert_info_read(buf_str(cert), cert->len, &a, err);
	if (st == ST_OK)
		st = cert_info_read(buf_str(full), full->len, &b, err);
	if (st == ST_OK)
		st = spki_from_pem(buf_str(key), key->len, &s, NULL, err);
	if (st == ST_OK && (!spki_eq(&a.fingerprint, &b.fingerprint) ||
				   !spki_eq(&s, &a.spki)))
		st = err_set(err, ST_REFUSED,
			"key, certificate and full chain to import do not "
			"belong together");
	cert_info_release(&a);
	cert_info_release(&b);
	return st;
}

static enum status import_locked(
	struct import *m, unsigned *ret_n, struct err *err)
{
	enum status st;
	unsigned n;

	st = check_links(m, err);
	if (st == ST_OK)
		st = scan(m, err);
	if (st != ST_OK)
		return st;
	if (m->complete > 0 && is_version(m, m->complete)) {
		n = m->complete;
	} else {
		n = choose_version(m);
		st = write_version(m, n, err);
	}
	if (st == ST_OK)
		st = set_links(m, n, err);
	if (st == ST_OK)
		*ret_n = n;
	return st;
}

enum status lineage_import(const char *live_dir, const struct buf *key_pem,
	const struct buf *cert_pem, const struct buf *chain_pem,
	const struct buf *fullchain_pem, unsigned *ret_n, struct err *err)
{
	struct import m = {
		.config = -1,
		.live = -1,
		.archive = -1,
		.lock = -1,
		.pem = { [LINEAGE_PRIVKEY] = key_pem,
			[LINEAGE_CHAIN] = chain_pem,
			[LINEAGE_FULLCHAIN] = fullchain_pem,
			[LINEAGE_CERT] = cert_pem },
	};
	enum status st;

	st = check_input(&m, err);
	if (st == ST_OK)
		st = lineage_home_find(live_dir, &m.home, err);
	if (st == ST_OK)
		st = open_dir(m.home.config_dir, &m.config, err);
	if (st == ST_OK)
		st = open_dir(m.home.live_dir, &m.live, err);
	if (st == ST_OK)
		st = open_dir(m.home.archive_dir, &m.archive, err);
	if (st == ST_OK)
		st = lock(m.config, &m.lock, err);
	if (st == ST_OK)
		st = import_locked(&m, ret_n, err);
	import_release(&m);
	if (st != ST_OK)
		err_context(err, "import into %s", live_dir);
	return st;
}
