/* The half of chain.c that knows X509, for chain.c and probe_tls.c only. */
#ifndef DANELAW_TLS_CHAIN_IMPL_H
#define DANELAW_TLS_CHAIN_IMPL_H

#include "hook/tls/chain.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* pkey may be NULL (a key that OpenSSL does not know): KEY_OTHER. */
enum key_alg chain_key_alg_(const EVP_PKEY *pkey);

/* s since 1970; 0 when it cannot be read. */
int64_t chain_time_(const ASN1_TIME *t);

/* The first CHAIN_MAX certificates of sk, in its order; ret is owned. Fails for
 * memory only. */
enum status chain_of_stack_(
	STACK_OF(X509) * sk, struct cert_chain *ret, struct err *err);

#endif
