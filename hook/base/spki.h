/* The SHA-256 of a SubjectPublicKeyInfo: the name of a key everywhere in
 * danelaw, and the data of its 3 1 1 record (RFC 6698 2.1, RFC 7671 5.1). */
#ifndef DANELAW_BASE_SPKI_H
#define DANELAW_BASE_SPKI_H

#include <stdbool.h>
#include <stdint.h>

#define SPKI_LEN 32
#define SPKI_HEX (2 * SPKI_LEN + 1)

struct spki {
	uint8_t d[SPKI_LEN];
};

bool spki_eq(const struct spki *a, const struct spki *b);
/* All zero: "no key". */
bool spki_is_none(const struct spki *s);
/* e3b0c442...: the digest of nothing; never a key, always a bug upstream. */
bool spki_is_empty_digest(const struct spki *s);
/* Lower-case hex with NUL. Returns ret. */
char *spki_hex(const struct spki *s, char ret[static SPKI_HEX]);
/* Exactly 64 hex digits, either case; false otherwise (ret untouched). */
bool spki_parse(const char *hex, struct spki *ret);

#endif
