/*
 * Words of the probe: protocols, their ports, results. Apart from the rest so
 * that who only reads or prints a name needs no TLS.
 *
 * A port that is not here has no protocol: the operator names it (RFC 8314 for
 * the implicit ones, RFC 5804 for 4190).
 */
#include "hook/tls/probe.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	uint16_t ports[4];
} protos[] = {
	[PROTO_SMTP] = { "smtp", { 25, 587 } },
	[PROTO_TLS] = { "tls", { 465, 993, 995, 443 } },
	[PROTO_IMAP] = { "imap", { 143 } },
	[PROTO_POP3] = { "pop3", { 110 } },
	[PROTO_SIEVE] = { "sieve", { 4190 } },
	[PROTO_LDAP] = { "ldap", { 389 } },
	[PROTO_XMPP] = { "xmpp", { 5222 } },
	[PROTO_XMPP_SERVER] = { "xmpp-server", { 5269 } },
};
#define N_PROTOS (sizeof(protos) / sizeof(protos[0]))
_Static_assert(
	N_PROTOS == PROTO_XMPP_SERVER + 1, "one row per enum probe_proto");

static const char *const results[] = {
	[PROBE_SERVED] = "served",
	[PROBE_NO_CERT] = "no-certificate",
	[PROBE_NO_CONNECT] = "no-connection",
	[PROBE_UNTESTABLE] = "untestable",
	[PROBE_NO_STARTTLS] = "no-starttls",
	[PROBE_PROTOCOL] = "protocol-error",
	[PROBE_HANDSHAKE] = "handshake-failed",
	[PROBE_TIMEOUT] = "timeout",
	[PROBE_NO_VERSION] = "no-version",
};
#define N_RESULTS (sizeof(results) / sizeof(results[0]))
_Static_assert(N_RESULTS == PROBE_NO_VERSION + 1, "one text per result");

static const char *const algs[] = {
	[PROBE_ANY] = "any",
	[PROBE_RSA] = "RSA",
	[PROBE_ECDSA] = "ECDSA",
};
#define N_ALGS (sizeof(algs) / sizeof(algs[0]))
_Static_assert(N_ALGS == PROBE_ECDSA + 1, "one text per algorithm");

static const char *const versions[] = {
	[PROBE_TLS_ANY] = "any",
	[PROBE_TLS12] = "TLSv1.2",
	[PROBE_TLS13] = "TLSv1.3",
};
#define N_VERSIONS (sizeof(versions) / sizeof(versions[0]))
_Static_assert(N_VERSIONS == PROBE_TLS13 + 1, "one text per version");

static const char *const danes[] = {
	[PROBE_DANE_NONE] = "none",
	[PROBE_DANE_OK] = "match",
	[PROBE_DANE_NO_MATCH] = "no-match",
	[PROBE_DANE_NAME] = "name-mismatch",
	[PROBE_DANE_EXPIRED] = "expired",
	[PROBE_DANE_NOT_YET] = "not-yet-valid",
	[PROBE_DANE_CHAIN] = "bad-chain",
};
#define N_DANES (sizeof(danes) / sizeof(danes[0]))
_Static_assert(N_DANES == PROBE_DANE_CHAIN + 1, "one text per verdict");

bool probe_proto_for_port(uint16_t port, enum probe_proto *ret)
{
	if (port == 0)
		return false;
	for (size_t i = 0; i < N_PROTOS; i++) {
		for (size_t k = 0; k < 4; k++) {
			if (protos[i].ports[k] == port) {
				*ret = (enum probe_proto)i;
				return true;
			}
		}
	}
	return false;
}

const char *probe_proto_name(enum probe_proto p)
{
	return (size_t)p < N_PROTOS ? protos[p].name : "?";
}

bool probe_proto_parse(const char *name, enum probe_proto *ret)
{
	/* "No STARTTLS" in the words of other tools. */
	if (strcasecmp(name, "none") == 0)
		name = protos[PROTO_TLS].name;
	for (size_t i = 0; i < N_PROTOS; i++) {
		if (strcasecmp(protos[i].name, name) == 0) {
			*ret = (enum probe_proto)i;
			return true;
		}
	}
	return false;
}

const char *probe_result_name(enum probe_result r)
{
	return (size_t)r < N_RESULTS ? results[r] : "?";
}

const char *probe_alg_name(enum probe_alg a)
{
	return (size_t)a < N_ALGS ? algs[a] : "?";
}

const char *probe_version_name(enum probe_version v)
{
	return (size_t)v < N_VERSIONS ? versions[v] : "?";
}

const char *probe_dane_name(enum probe_dane d)
{
	return (size_t)d < N_DANES ? danes[d] : "?";
}
