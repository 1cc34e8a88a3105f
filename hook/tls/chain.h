/*
 * A certificate chain as values: what an operator reads, and the TLSA data that
 * each element would have. Equality of bytes only; whether a connection is
 * authenticated is OpenSSL's verdict (probe.h). (dane.md S76, B-4)
 */
#ifndef DANELAW_TLS_CHAIN_H
#define DANELAW_TLS_CHAIN_H

#include "hook/base/err.h"
#include "hook/base/spki.h"
#include "hook/tls/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_NAMES_MAX 256
#define CHAIN_MAX 32

struct cert_view {
	char subject[256], issuer[256]; /* printable ASCII, RFC 2253 order */
	int64_t not_before, not_after;	/* s since 1970; 0 unreadable */
	bool self_issued;		/* subject = issuer */
	bool is_ca;			/* may issue others */
	/* By cert_chain_link; false before. */
	bool self_signed; /* and its signature verifies with its own key */
	bool issued_by_next; /* its signature verifies with the next one's key */
	enum key_alg alg;
	int key_bits;
	struct spki spki;	     /* SHA-256 */
	uint8_t spki512[64];
	uint8_t cert256[32], cert512[64];
	uint8_t *der, *spki_der;     /* owned */
	size_t der_len, spki_der_len;
	char (*name)[256]; /* SAN dNSNames (CN if there is no SAN); owned */
	size_t n_names;
};

struct cert_chain {
	struct cert_view *cert; /* leaf first; owned */
	size_t n;
};

void cert_chain_release(struct cert_chain *c);
/* All certificates of a PEM bundle, in its order. ST_REFUSED: none, or broken;
 * other PEM blocks (keys) are skipped and never shown. */
enum status cert_chain_from_pem(
	const char *pem, size_t len, struct cert_chain *ret, struct err *err);
/* Verifies who signed whom: self_signed and issued_by_next. Done for a chain
 * from PEM; a chain from the wire comes without. */
enum status cert_chain_link(struct cert_chain *c, struct err *err);
/* Do these bytes equal the selected part of the certificate? */
bool cert_view_matches(const struct cert_view *c, uint8_t selector,
	uint8_t mtype, const uint8_t *data, size_t len);
/* RFC 6125 as cert_covers does it. host canonical or bare. */
bool cert_view_covers(const struct cert_view *c, const char *host);

#endif
