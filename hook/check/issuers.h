/*
 * Issuers that many mail servers pin: data, so that a check can say "this 2 1 1
 * record is of an issuer that no longer issues". Pure. (dane.md C3, D1-D6)
 */
#ifndef DANELAW_CHECK_ISSUERS_H
#define DANELAW_CHECK_ISSUERS_H

#include "hook/dns/tlsa.h"

#include <stddef.h>
#include <stdint.h>

enum issuer_state {
	ISSUER_ACTIVE,  /* issues now */
	ISSUER_BACKUP,  /* may begin to issue at any time */
	ISSUER_ROOT,    /* signs issuers; often not on the wire */
	ISSUER_RETIRED, /* issues no more */
	ISSUER_REPLACED /* a certificate that another one with the same key has
			   replaced: of selector 0 only */
};

#define ISSUER_DATA_MAX 32

struct issuer {
	const char *name; /* "Let's Encrypt R3" */
	enum issuer_state state;
	uint8_t selector; /* matching type 1 always */
	uint8_t len;      /* octets of data that are known: 32, or a prefix */
	uint8_t data[ISSUER_DATA_MAX];
};

/* Whose record that is, by its selector and SHA-256; NULL when unknown. The
 * usage does not count. */
const struct issuer *issuer_find(const struct tlsa *rr);
/* The whole table, for tests. */
const struct issuer *issuer_table(size_t *ret_n);

#endif
