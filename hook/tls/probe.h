/*
 * What is really served: many endpoints at once over non-blocking sockets,
 * STARTTLS or implicit TLS, one key algorithm forced per job, matched by
 * OpenSSL's SSL_dane_* with the chain on the wire only. (dane.md S58, L1, L4)
 */
#ifndef DANELAW_TLS_PROBE_H
#define DANELAW_TLS_PROBE_H

#include "hook/base/err.h"
#include "hook/base/spki.h"
#include "hook/tls/key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum probe_proto {
	PROTO_SMTP, /* STARTTLS: 25, 587 */
	PROTO_TLS,  /* implicit: 465, 993, 995, 443 */
	PROTO_IMAP, /* 143 */
	PROTO_POP3, /* 110 */
	PROTO_SIEVE /* 4190 */
};
/* By port number; false when the port has no known protocol. */
bool probe_proto_for_port(uint16_t port, enum probe_proto *ret);
const char *probe_proto_name(enum probe_proto p);
bool probe_proto_parse(const char *name, enum probe_proto *ret);

enum probe_alg { PROBE_ANY, PROBE_RSA, PROBE_ECDSA };

enum probe_result {
	PROBE_SERVED,	   /* handshake done: spki is what it serves */
	PROBE_NO_CERT,	   /* TLS works but not with this key algorithm */
	PROBE_NO_CONNECT,  /* refused, unreachable, timeout */
	PROBE_UNTESTABLE,  /* no route to this address family from here */
	PROBE_NO_STARTTLS, /* not offered or refused */
	PROBE_PROTOCOL,	   /* greeting or dialogue not understood */
	PROBE_HANDSHAKE,   /* TLS failed */
	PROBE_TIMEOUT	   /* stopped answering in the middle */
};
const char *probe_result_name(enum probe_result r);

struct probe_tlsa {
	uint8_t usage, selector, mtype;
	const uint8_t *data;
	size_t len;
};

struct probe_job {
	/* in; borrowed while probe_run runs */
	const char *host; /* SNI and DANE base domain, no trailing dot */
	bool no_sni;
	struct sockaddr_storage addr;
	socklen_t addr_len;
	enum probe_proto proto;
	enum probe_alg alg;
	const struct probe_tlsa *tlsa; /* may be NULL: then no DANE verdict */
	size_t n_tlsa;
	/* out */
	enum probe_result result;
	struct spki spki;
	enum key_alg key_alg;
	bool dane_ok;	   /* some usable record matched */
	int64_t not_after; /* of the served leaf, s since 1970 */
	char why[200];
};

struct probe_limits {
	int64_t connect_ms; /* 0 = 10 s */
	int64_t total_ms;   /* per job, 0 = 30 s */
	int at_once;	    /* 0 = 64 connections */
};

/* Status fails only for memory and bugs; each job carries its own result. */
enum status probe_run(struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err);

#endif
