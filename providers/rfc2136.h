/* Parts of the rfc2136 provider that know no DNS library: the key file and the
 * TCP exchange. Internal to providers/rfc2136*.c. */
#ifndef DANELAW_PROVIDERS_RFC2136_H
#define DANELAW_PROVIDERS_RFC2136_H

#include "hook/base/err.h"
#include "hook/base/secret.h"
#include "hook/dns/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tsig_key {
	char name[DNS_NAME_MAX]; /* canonical, but without the final dot */
	const char *algorithm;   /* static: "hmac-sha256" */
	struct secret secret;    /* base64, as ldns wants it */
	char *path;              /* of the file, for messages */
};

/* Reads what tsig-keygen writes: key "name" { algorithm hmac-sha256; secret
 * "base64"; }; with comments, exactly one key. ST_CONFIG with "path:line: "
 * otherwise; the text never holds the secret. */
enum status tsig_key_parse(const char *path, const char *text,
	struct tsig_key *ret, struct err *err);
enum status tsig_key_read(
	const char *path, struct tsig_key *ret, struct err *err);
void tsig_key_release(struct tsig_key *k);

#define RFC2136_FUDGE 300 /* s, RFC 8945 10 */

struct ldns_struct_pkt;
struct ldns_struct_rdf;

/* ST_OK when reply (decoded from wire) is signed as it must be, or is a plain
 * REFUSED to a query, which no server need sign: believe it as far as "not
 * here". ST_DENIED with what to do for BADKEY, BADSIG, BADTIME and for an
 * answer without signature. */
enum status rfc2136_tsig_check(const struct tsig_key *key,
	const struct ldns_struct_pkt *query, struct ldns_struct_pkt *reply,
	const uint8_t *wire, size_t len, struct err *err);
/* Is it this canonical name? */
bool rfc2136_is_name(const struct ldns_struct_rdf *rdf, const char *name);
/* "SERVFAIL" ...; never NULL. */
const char *rfc2136_rcode(unsigned rcode);

#define RFC2136_HOST_MAX 256

struct rfc2136_server {
	char host[RFC2136_HOST_MAX]; /* name or address */
	char port[8];
};

/* "host", "address", either with @port. ST_CONFIG otherwise. */
enum status rfc2136_server_parse(
	const char *text, struct rfc2136_server *ret, struct err *err);

/*
 * One DNS message there and one back over one TCP connection, under one
 * deadline (the look-up of a host name is the system's and not under it). The
 * addresses of a host are tried in turn until one connects. *ret is owned
 * (free), *ret_len is 12..65535; nothing in it is checked. ST_RETRY on any
 * network trouble.
 */
enum status rfc2136_exchange(const struct rfc2136_server *sv,
	int64_t timeout_ms, const uint8_t *query, size_t len, uint8_t **ret,
	size_t *ret_len, struct err *err);

/* Walks a message's names and records without trusting any length in it:
 * ST_REFUSED unless it holds exactly what its header counts, TSIG at most once
 * and as the very last record. */
enum status rfc2136_wire_check(const uint8_t *msg, size_t len, struct err *err);

#endif
