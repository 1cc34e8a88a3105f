/* The little cryptography that vendors' APIs ask for (OpenSSL EVP). */
#ifndef DANELAW_PROVIDERS_SIGN_H
#define DANELAW_PROVIDERS_SIGN_H

#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RSASSA-PKCS1-v1_5 over data with the private key in pem (PKCS#8 or PKCS#1,
 * not encrypted; ST_CONFIG otherwise); digest "SHA256" or "SHA512". Appends the
 * signature, binary. */
enum status sign_rsa(const struct secret *pem, const char *digest,
	const void *data, size_t len, struct buf *ret, struct err *err);
/* Appends lower-case hex of the digest ("SHA1", "SHA256") of data. */
enum status sign_digest_hex(const char *digest, const void *data, size_t len,
	struct buf *ret, struct err *err);
/* RFC 6238: 6 digits, SHA-1, 30 s, from a secret in base32 (RFC 4648; blanks
 * and lower case allowed) at this time. */
enum status sign_totp(const struct secret *base32, int64_t unix_s,
	char ret[static 7], struct err *err);
/* Appends; url: the URL-safe alphabet without padding (RFC 4648 5). */
enum status sign_base64(const void *data, size_t len, bool url, struct buf *ret,
	struct err *err);
/* Appends n lower-case hex digits from the random generator. */
enum status sign_nonce(size_t n, struct buf *ret, struct err *err);

#endif
