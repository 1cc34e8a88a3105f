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
};
#define N_PROTOS (sizeof(protos) / sizeof(protos[0]))
_Static_assert(N_PROTOS == PROTO_SIEVE + 1, "one row per enum probe_proto");

static const char *const results[] = {
	[PROBE_SERVED] = "served",
	[PROBE_NO_CERT] = "no-certificate",
	[PROBE_NO_CONNECT] = "no-connection",
	[PROBE_UNTESTABLE] = "untestable",
	[PROBE_NO_STARTTLS] = "no-starttls",
	[PROBE_PROTOCOL] = "protocol-error",
	[PROBE_HANDSHAKE] = "handshake-failed",
	[PROBE_TIMEOUT] = "timeout",
};
#define N_RESULTS (sizeof(results) / sizeof(results[0]))
_Static_assert(N_RESULTS == PROBE_TIMEOUT + 1, "one text per result");

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
