/* The TLS half of the probe: one context per forced key algorithm and version,
 * DANE set up, and what a finished or failed handshake means. Inside hook/tls
 * only. */
#ifndef DANELAW_TLS_PROBE_TLS_H
#define DANELAW_TLS_PROBE_TLS_H

#include "hook/tls/probe.h"

#include <openssl/ssl.h>

/* Zero it before first use; contexts are made when first wanted. */
struct probe_tls {
	SSL_CTX *ctx[PROBE_ECDSA + 1][PROBE_TLS13 + 1];
};
void probe_tls_release(struct probe_tls *t);

/* A client over two memory BIOs (owned by it), ready for SSL_do_handshake: alg
 * and version forced, SNI unless job->no_sni, usable records of job added and
 * counted. ret is owned. */
enum status probe_tls_new(struct probe_tls *t, struct probe_job *job,
	enum probe_alg alg, enum probe_version version, SSL **ret,
	struct err *err);

/* After the handshake: what job says of the leaf, TLS, DANE and the chain, and
 * why. *ret_leaf is false when there is no leaf to look at; why says so. Fails
 * for memory only. */
enum status probe_tls_judge(
	SSL *ssl, struct probe_job *job, bool *ret_leaf, struct err *err);

/* The served key is of the forced kind. */
bool probe_tls_is_kind(SSL *ssl, enum probe_alg alg);

enum tls_failure {
	TLS_FAILURE,         /* any other */
	TLS_FAILURE_REFUSED, /* as a server without a key of the forced kind
				does, and one that knows no newer TLS */
	TLS_FAILURE_VERSION  /* no version of TLS in common */
};
/* Drains OpenSSL's error queue into text. */
enum tls_failure probe_tls_failure(char *text, size_t len);

#endif
