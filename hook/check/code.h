/*
 * The catalogue: each thing that check can find, with what others call it.
 * Stable names: JSON and monitoring show them. (dane.md B-29, B-32, B-34, S19..)
 */
#ifndef DANELAW_CHECK_CODE_H
#define DANELAW_CHECK_CODE_H

#include <stdbool.h>

enum check_code {
	CODE_NONE,
	/* a connection */
	CODE_STARTTLS_MISSING,
	CODE_STARTTLS_REFUSED,
	CODE_HANDSHAKE,
	CODE_CERT_EXPIRED,
	CODE_CERT_NOT_YET,
	CODE_TLSA_MISMATCH,
	CODE_TLSA_MISMATCH_NO_SNI, /* right with SNI, wrong without */
	CODE_TLSA_MISMATCH_ALG,	   /* the other key algorithm matches */
	CODE_TLSA_HIDDEN, /* the record that would match is hidden by a
			     stronger digest (RFC 7671 9) */
	CODE_TLSA_ISSUER_NOT_SENT, /* usage 2, issuer not on the wire */
	CODE_NAME_MISMATCH,	   /* usage 2 */
	CODE_CHAIN_INVALID,	   /* usage 2, any other reason */
	CODE_CONNECT,
	CODE_TIMEOUT,
	CODE_PROTOCOL,
	CODE_UNTESTABLE, /* no route from here */
	CODE_TLS12_MISSING,
	CODE_NAME_INFO, /* usage 3: the name is not in the certificate */
	CODE_KEY_WEAK,
	CODE_KEY_SHARED, /* one key on several MX hosts */
	/* look-ups */
	CODE_NO_DOMAIN,
	CODE_NULL_MX,
	CODE_NO_ADDRESS,
	CODE_MX_BOGUS,
	CODE_MX_FAILED,
	CODE_MX_INSECURE,
	CODE_ADDR_BOGUS,
	CODE_ADDR_FAILED,
	CODE_ADDR_INSECURE,
	CODE_TLSA_BOGUS,
	CODE_TLSA_FAILED,
	CODE_TLSA_INSECURE,
	CODE_NO_TLSA,
	CODE_MX_ALIAS,
	CODE_TLSA_ALIAS,
	CODE_BARE_TLSA, /* inert record at the bare domain */
	CODE_RESOLVER,	/* our resolver or forwarder is not fit to judge */
	CODE_TRUNCATED,
	/* the RRset */
	CODE_RR_UNUSABLE,
	CODE_RR_PKIX, /* usage 0 or 1 */
	CODE_ALL_UNUSABLE,
	CODE_RR_SELECTOR0,
	CODE_RR_FULL, /* mtype 0 */
	CODE_RR_STALE, /* matches nothing that is served */
	CODE_RR_COMBINATION, /* RFC 7671 8: a combination without a match */
	CODE_RR_ISSUER_RETIRED,
	CODE_RR_ISSUER_NOT_SENT,
	CODE_RR_MANY,
	CODE_SCHEME, /* neither current+next nor current+issuer */
	CODE_TTL_LONG,
	CODE_TTL_SHORT,
	CODE_SOA_REFRESH,
	/* name servers */
	CODE_NS_TLSA, /* SERVFAIL, timeout, NOTIMP, REFUSED, lame ... */
	CODE_NS_TRANSPORT, /* one of UDP and TCP only */
	CODE_NS_UNREACHABLE,
	CODE_NS_ENT, /* _tcp.<mx> is NXDOMAIN */
	CODE_NS_SERIAL,
	CODE_NS_DIFFERS, /* another RRset than the others */
	CODE_NS_RRSIG,	 /* missing, bad or expired */
	CODE_NS_RRSIG_SOON,
	CODE_DS_MISMATCH,
	/* TLS-RPT */
	CODE_TLSRPT_MISSING,
	CODE_TLSRPT_INVALID,
	CODE__COUNT
};

struct check_code_info {
	const char *name;     /* "tlsa-mismatch"; stable */
	const char *title;    /* a few words */
	const char *exchange; /* "5.7.323 tlsa-invalid" or NULL */
	const char *tlsrpt;   /* result type (RFC 8460 4.3) or NULL */
	const char *postfix;  /* how Postfix words it, or NULL */
};
/* Never NULL. */
const struct check_code_info *check_code_info(enum check_code c);
bool check_code_parse(const char *name, enum check_code *ret);

#endif
