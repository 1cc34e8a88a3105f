/* What the lineage_*.c files share; nobody else includes this. */
#ifndef DANELAW_TLS_LINEAGE_IMPL_H
#define DANELAW_TLS_LINEAGE_IMPL_H

#include "hook/base/err.h"
#include "hook/tls/lineage.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LINEAGE_FILE_MAX (1024 * 1024)

/* In the order in which an import writes them: the certificate last, because
 * a version counts only once all four are there. */
enum lineage_kind {
	LINEAGE_PRIVKEY,
	LINEAGE_CHAIN,
	LINEAGE_FULLCHAIN,
	LINEAGE_CERT,
	LINEAGE__KINDS
};
/* "privkey" ... */
const char *lineage_kind_name(enum lineage_kind k);
/* "cert12.pem" of the right kind: its number. */
bool lineage_file_version(const char *file, enum lineage_kind k, unsigned *ret);

/* Reads path, relative to dirfd; links are followed, only regular files are
 * read, at most ret->max octets. ST_NOTFOUND when absent. */
enum status lineage_slurp(
	int dirfd, const char *path, struct buf *ret, struct err *err);

/* ---- certbot's renewal configuration (configobj syntax) ---- */

struct ini_item {
	char *section; /* "", "renewalparams", "renewalparams/webroot_map" */
	char *key;
	char **value; /* a scalar has one */
	size_t n;
};

struct ini {
	struct ini_item *item;
	size_t n;
};

enum status ini_parse(
	const char *text, size_t len, struct ini *ret, struct err *err);
void ini_release(struct ini *i);
/* First value; NULL when absent or empty list. */
const char *ini_get(const struct ini *i, const char *section, const char *key);

/* ---- where a lineage lives ---- */

struct lineage_home {
	char *live_dir;   /* without trailing slashes */
	char *config_dir; /* holds renewal/ and .certbot.lock */
	char *archive_dir;
	char *name;
	struct ini conf;
};
/* ST_NOTFOUND when certbot has no renewal configuration for live_dir;
 * ST_REFUSED when that is not about live_dir. */
enum status lineage_home_find(
	const char *live_dir, struct lineage_home *ret, struct err *err);
void lineage_home_release(struct lineage_home *h);

#endif
