/* The TLS half of the probe: one context per forced key algorithm, DANE set
 * up, and what a finished or failed handshake means. Inside hook/tls only. */
#ifndef DANELAW_TLS_PROBE_TLS_H
#define DANELAW_TLS_PROBE_TLS_H

#include "hook/tls/probe.h"

#include <openssl/ssl.h>

/* Zero it before first use; contexts are made when first wanted. */
struct probe_tls {
	SSL_CTX *ctx[PROBE_ECDSA + 1];
};
void probe_tls_release(struct probe_tls *t);

/* A client over two memory BIOs (owned by it), ready for SSL_do_handshake:
 * alg forced, SNI unless job->no_sni, usable records of job added. ret is
 * owned. */
enum status probe_tls_new(struct probe_tls *t, const struct probe_job *job,
	enum probe_alg alg, SSL **ret, struct err *err);

/* After the handshake: spki, key_alg, not_after, dane_ok and why of job.
 * False when there is no leaf to look at; why says so. */
bool probe_tls_judge(SSL *ssl, struct probe_job *job);

/* Drains OpenSSL's error queue into text. True when the failure is one that a
 * server without a key of the forced algorithm causes. */
bool probe_tls_failure(char *text, size_t len);

#endif
