/* Inside of a key, for key.c, csr.c, cert.c and chain.c only. */
#ifndef DANELAW_TLS_KEY_IMPL_H
#define DANELAW_TLS_KEY_IMPL_H

#include "hook/tls/key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

struct key {
	EVP_PKEY *pkey;
	struct spki spki;
	enum key_alg alg;
};

/* Sets err to what plus OpenSSL's reason and drains OpenSSL's error queue:
 * stale entries would confuse the next caller. */
enum status key_fail_(struct err *err, enum status st, const char *what);

/* Appends what was written to a memory BIO to ret; frees the BIO. */
enum status key_drain_(
	BIO *out, bool written, struct buf *ret, struct err *err);

/* NULL for algorithms that bring their own digest. */
const EVP_MD *key_digest_(const EVP_PKEY *pkey);

/* The name of the key in a certificate or CSR, over the bytes that it carries;
 * ret_alg is set too. */
enum status key_spki_of_xpub_(X509_PUBKEY *xpub, struct spki *ret,
	enum key_alg *ret_alg, struct err *err);

/* The next certificate of PEM text (owned), other blocks are skipped. NULL with
 * *ret_end: there is no more; NULL without: it is broken, and OpenSSL's error
 * queue says why. */
X509 *cert_next_(BIO *in, bool *ret_end);

#endif
