/* Private keys: make, read, write, name. Never prompts, never world-readable. */
#ifndef DANELAW_TLS_KEY_H
#define DANELAW_TLS_KEY_H

#include "hook/base/err.h"
#include "hook/base/buf.h"
#include "hook/base/spki.h"

#include <stdbool.h>
#include <stddef.h>

enum key_alg {
	KEY_ECDSA_P256,
	KEY_ECDSA_P384,
	KEY_RSA_2048,
	KEY_RSA_3072,
	KEY_RSA_4096,
	KEY_OTHER, /* can be served and named, not generated */
	KEY__COUNT
};
/* "ecdsa-p256" ... "other"; never NULL */
const char *key_alg_name(enum key_alg a);
bool key_alg_parse(const char *name, enum key_alg *ret);
/* What a client forces to see it: RSA or ECDSA (KEY_OTHER: neither). */
bool key_alg_is_rsa(enum key_alg a);
bool key_alg_is_ecdsa(enum key_alg a);

struct key; /* an EVP_PKEY with its name */

enum status key_generate(enum key_alg alg, struct key **ret, struct err *err);
/* PEM text. Encrypted: ST_REFUSED with a message, no prompt. Exactly one
 * private key must be there (a certificate beside it is fine). */
enum status key_from_pem(
	const char *pem, size_t len, struct key **ret, struct err *err);
/* PKCS#8 PEM appended to ret. */
enum status key_to_pem(const struct key *k, struct buf *ret, struct err *err);
const struct spki *key_spki(const struct key *k);
/* SHA-512 of the SPKI, for digest agility. */
enum status key_spki_sha512(
	const struct key *k, uint8_t ret[static 64], struct err *err);
enum key_alg key_algorithm(const struct key *k);
void key_free(struct key *k);
/* Signs and verifies with it: ST_REFUSED when the private part does not belong
 * to the public one, or when the key cannot sign at all. */
enum status key_prove(const struct key *k, struct err *err);

/* A CSR with the names as SAN (first also nowhere else: no CN), PEM. */
enum status key_csr(const struct key *k, const char *const names[], size_t n,
	bool must_staple, struct buf *ret, struct err *err);

/* SPKI of anything PEM: certificate (first), CSR, public or private key. */
enum status spki_from_pem(const char *pem, size_t len, struct spki *ret,
	enum key_alg *ret_alg, struct err *err);

static inline void key_freep_(struct key **k)
{
	key_free(*k);
}
#define auto_key __attribute__((cleanup(key_freep_))) struct key *

#endif
