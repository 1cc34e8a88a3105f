/* Certificate chains as PEM, and what must hold before one goes live. */
#ifndef DANELAW_TLS_CERT_H
#define DANELAW_TLS_CERT_H

#include "hook/base/err.h"
#include "hook/base/buf.h"
#include "hook/base/spki.h"
#include "hook/tls/key.h"

#include <stdint.h>

#define CERT_NAME_MAX 256
#define CERT_NAMES_MAX 256
#define CERT_CHAIN_MAX 16

struct cert_info {
	struct spki spki;
	enum key_alg alg;
	int64_t not_before, not_after; /* s since 1970 */
	char (*names)[CERT_NAME_MAX];  /* SAN dNSNames (CN if none); owned */
	size_t n_names;
	size_t n_other_names; /* SANs that are no dNSNames (IP ...): a CSR of
				 ours would lose them */
	bool must_staple;
	char serial[128]; /* hex */
	char issuer[256];
	struct spki fingerprint; /* SHA-256 of the DER leaf: names this cert */
};
void cert_info_release(struct cert_info *c);

/* Leaf of a PEM bundle. ST_REFUSED when nothing can be parsed. */
enum status cert_info_read(
	const char *pem, size_t len, struct cert_info *ret, struct err *err);

/* Is this generation fit to go live? The leaf's key is expect; key_pem's key
 * too; the chain is in order, each signed by the next, with no gap (a root may
 * be absent); notBefore <= now_s < notAfter. ST_REFUSED with the reason. */
enum status cert_check(const char *fullchain_pem, size_t len,
	const char *key_pem, size_t key_len, const struct spki *expect,
	int64_t now_s, struct err *err);

/* Is host (canonical, trailing dot fine) covered by the names (RFC 6125: DNS
 * SANs, a wildcard is one whole first label)? */
bool cert_covers(const struct cert_info *c, const char *host);

/* Splits a full chain into the leaf and the rest, re-encoded PEM. */
enum status cert_split(const char *fullchain_pem, size_t len, struct buf *leaf,
	struct buf *issuers, struct err *err);

#endif
