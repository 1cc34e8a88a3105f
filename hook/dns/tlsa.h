/* TLSA value types and set algebra (RFC 6698, RFC 7671). No I/O, no library. */
#ifndef DANELAW_DNS_TLSA_H
#define DANELAW_DNS_TLSA_H

#include "hook/base/buf.h"
#include "hook/base/err.h"
#include "hook/base/spki.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tlsa {
	uint8_t usage, selector, mtype;
	uint16_t len;
	uint8_t *data; /* owned by the set it is in */
};

/* A set: no duplicates, kept sorted, so equal sets print equal. */
struct tlsa_rrset {
	uint32_t ttl;
	size_t n;
	struct tlsa *rr;
};

#define TLSA_RRSET_INIT \
	{ \
		.ttl = 0, .n = 0, .rr = NULL \
	}
#define TLSA_RRSET_MAX 512 /* records; more is refused */

#define auto_tlsa __attribute__((cleanup(tlsa_rrset_release))) struct tlsa_rrset

void tlsa_rrset_release(struct tlsa_rrset *set);
/* Deep copies; adding a record twice is a no-op. ST_REFUSED over the limit. */
enum status tlsa_rrset_add(
	struct tlsa_rrset *set, const struct tlsa *rr, struct err *err);
enum status tlsa_rrset_add_spki(
	struct tlsa_rrset *set, const struct spki *key, struct err *err);
/* Parses RDATA as on the wire (3 octets and data). */
enum status tlsa_rrset_add_rdata(struct tlsa_rrset *set, const uint8_t *rdata,
	size_t len, struct err *err);
/* Parses "3 1 1 hex..." (hex may hold blanks, either case). */
enum status tlsa_rrset_add_text(
	struct tlsa_rrset *set, const char *text, struct err *err);
enum status tlsa_rrset_copy(const struct tlsa_rrset *from,
	struct tlsa_rrset *ret, struct err *err);
bool tlsa_rrset_remove_spki(struct tlsa_rrset *set, const struct spki *key);
bool tlsa_rrset_has(const struct tlsa_rrset *set, const struct tlsa *rr);
bool tlsa_rrset_has_spki(const struct tlsa_rrset *set, const struct spki *key);
/* RDATA only; the TTL does not count. */
bool tlsa_rrset_eq(const struct tlsa_rrset *a, const struct tlsa_rrset *b);
/* True for "3 1 1"; then *ret is its key. */
bool tlsa_is_spki(const struct tlsa *rr, struct spki *ret);
/* Can a DANE SMTP client use it (RFC 7672 3.1): usage 2 or 3, selector 0..1,
 * mtype 0..2, right digest length. *ret_why (static text) says why not. */
bool tlsa_usable(const struct tlsa *rr, const char **ret_why);
/* RFC 7671 9 and 8: would a client that knows SHA-2-256 and SHA-2-512 match a
 * server with this key? False with the reason (static) when a foreign record
 * with a stronger digest of the same usage and selector hides ours (3 1 2 next
 * to our 3 1 1). Matching 3 1 2 of the same key cannot be known from the
 * SHA-256: pass its SHA-512 in sha512 (64 octets) or NULL. */
bool tlsa_agility_ok(const struct tlsa_rrset *set, const struct spki *key,
	const uint8_t *sha512, const char **ret_why);
/* "3 1 1 hex", lower case, no blanks in the hex. */
enum status tlsa_text(const struct tlsa *rr, struct buf *ret, struct err *err);

#endif
