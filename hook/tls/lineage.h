/*
 * certbot's lineage on disk: read what it has, and write a version back.
 * (certbot.md 2, 3.1; certbot is never trusted to keep anything)
 */
#ifndef DANELAW_TLS_LINEAGE_H
#define DANELAW_TLS_LINEAGE_H

#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/tls/cert.h"

/* One consistent version: all four files of the same N. */
struct lineage_version {
	unsigned n; /* 0 when the live files are not links to archive/ */
	struct buf key, cert, chain, fullchain; /* PEM */
	struct cert_info leaf;
};
void lineage_version_release(struct lineage_version *v);

/* Reads live/NAME (live_dir). Tolerates links that are being switched (ENOENT,
 * mixed N, key that does not match: retries up to wait_ms, then ST_RETRY).
 * ST_NOTFOUND when there is no such lineage. ST_REFUSED with reason when the
 * key is encrypted or does not match the certificate. */
enum status lineage_read(const char *live_dir, int64_t wait_ms,
	struct lineage_version *ret, struct err *err);

/* Cheap change test for the rescan: text of the readlink of cert.pem plus
 * inode and mtime. ST_NOTFOUND as above. */
enum status lineage_fingerprint(
	const char *live_dir, char *ret, size_t len, struct err *err);

/* Imports key, leaf, chain, fullchain as version 1+max under certbot's own
 * lock on the configuration folder (OFD lock, certbot.md 2.1), cert last, then
 * the four links by rename. ST_BUSY when certbot holds the lock. If the newest
 * complete version already is this certificate, only the links are (re)set:
 * replaying after a crash is harmless. */
enum status lineage_import(const char *live_dir, const struct buf *key_pem,
	const struct buf *cert_pem, const struct buf *chain_pem,
	const struct buf *fullchain_pem, unsigned *ret_n, struct err *err);

/* renewal/NAME.conf turned into a certbot --config ini (certbot.md 4) that
 * holds the authenticator and account options only. */
enum status lineage_csr_options(
	const char *live_dir, struct buf *ret_ini, struct err *err);

/* certbot's configuration folder of this lineage; *ret owned (free).
 * ST_NOTFOUND when certbot has no renewal configuration for it: then neither
 * issuing nor importing is possible. */
enum status lineage_config_dir(
	const char *live_dir, char **ret, struct err *err);

#endif
