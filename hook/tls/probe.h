/*
 * What is really served: many endpoints at once over non-blocking sockets,
 * STARTTLS or implicit TLS, one key algorithm forced per job, matched by
 * OpenSSL's SSL_dane_* with the chain on the wire only. (dane.md S58, L1, L4)
 */
#ifndef DANELAW_TLS_PROBE_H
#define DANELAW_TLS_PROBE_H

#include "hook/base/err.h"
#include "hook/base/spki.h"
#include "hook/tls/chain.h"
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
	PROTO_SIEVE, /* 4190 */
	PROTO_LDAP, /* 389: StartTLS, RFC 4511 4.14 */
	PROTO_XMPP, /* 5222: client to server, RFC 6120 5 */
	PROTO_XMPP_SERVER /* 5269 */
};
/* By port number; false when the port has no known protocol. */
bool probe_proto_for_port(uint16_t port, enum probe_proto *ret);
const char *probe_proto_name(enum probe_proto p);
bool probe_proto_parse(const char *name, enum probe_proto *ret);

enum probe_alg { PROBE_ANY, PROBE_RSA, PROBE_ECDSA };
enum probe_version { PROBE_TLS_ANY, PROBE_TLS12, PROBE_TLS13 };
const char *probe_alg_name(enum probe_alg a); /* "any", "RSA", "ECDSA" */
const char *probe_version_name(enum probe_version v);

enum probe_result {
	PROBE_SERVED,	   /* handshake done: spki is what it serves */
	PROBE_NO_CERT,	   /* TLS works but not with this key algorithm */
	PROBE_NO_CONNECT,  /* refused, unreachable, timeout */
	PROBE_UNTESTABLE,  /* no route to this address family from here */
	PROBE_NO_STARTTLS, /* not offered or refused */
	PROBE_PROTOCOL,	   /* greeting or dialogue not understood */
	PROBE_HANDSHAKE,   /* TLS failed */
	PROBE_TIMEOUT,	   /* stopped answering in the middle */
	PROBE_NO_VERSION   /* it does not speak the one forced TLS version */
};
const char *probe_result_name(enum probe_result r);

/* What OpenSSL says about the match; PROBE_SERVED only. */
enum probe_dane {
	PROBE_DANE_NONE, /* no usable record: nothing to match */
	PROBE_DANE_OK,
	PROBE_DANE_NO_MATCH,
	PROBE_DANE_NAME,    /* usage 2: none of the reference names */
	PROBE_DANE_EXPIRED, /* usage 2: something in the chain */
	PROBE_DANE_NOT_YET, /* usage 2 */
	PROBE_DANE_CHAIN    /* usage 2: any other failure of the chain */
};
const char *probe_dane_name(enum probe_dane d);

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
	enum probe_version version;
	/* Further reference names for usage 2 (RFC 7672 3.2.2), NULL-terminated
	 * or NULL. */
	const char *const *names;
	/* No second look: NO_CERT then only means that the server refused a
	 * client of this algorithm; the caller compares with other jobs. */
	bool tentative;
	bool want_chain, want_log;
	/* out */
	enum probe_result result;
	struct spki spki;
	enum key_alg key_alg;
	bool dane_ok;	   /* some usable record matched */
	int64_t not_after; /* of the served leaf, s since 1970 */
	int64_t not_before;
	enum probe_dane dane;
	size_t n_usable; /* records that OpenSSL took */
	int matched;	 /* index into tlsa, -1: none */
	int depth;	 /* of the match; 0 leaf, -1 none */
	char tls[16];	 /* "TLSv1.3" */
	char cipher[64];
	char local[64];	 /* our address */
	int code;	 /* of the SMTP reply that refused us; 0 */
	bool offered;	 /* STARTTLS was offered (refused, when NO_STARTTLS) */
	uint32_t connect_ms, took_ms;
	struct cert_chain chain; /* want_chain: on the wire; owned */
	char *log; /* want_log: "> EHLO ...\n< 250 ...\n* again ...\n",
		      printable, 8 kB at most; owned */
	char why[200];
};
/* Frees what the job owns; safe on a zeroed job and twice. */
void probe_job_release(struct probe_job *j);

struct probe_limits {
	int64_t connect_ms; /* 0 = 10 s */
	int64_t total_ms;   /* per job, 0 = 30 s */
	int at_once;	    /* 0 = 256 connections, or what descriptors allow */
	int per_address;    /* to one address and port; 0 = no limit */
};

/* Status fails only for memory and bugs; each job carries its own result. */
enum status probe_run(struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err);

#endif
