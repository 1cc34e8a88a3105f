/*
 * The catalogue of findings: our stable name, a title, and what Exchange
 * Online, TLS-RPT (RFC 8460 4.3) and Postfix call the same thing, so that an
 * operator can go from any of their messages to ours and back. Data only.
 *
 * Exchange's column holds the permanent form (5.x.x); the same code with a 4
 * is what it says while it still tries. Postfix's column is the fixed part of
 * its log line; HOST, DOMAIN stand for what varies.
 */
#include "hook/check/code.h"

#include <stddef.h>
#include <string.h>

#define EX_STARTTLS "5.7.321 starttls-not-supported"
#define EX_EXPIRED "5.7.322 certificate-expired"
#define EX_TLSA "5.7.323 tlsa-invalid"
#define EX_DNSSEC "5.7.324 dnssec-invalid"
#define EX_NAME "5.7.325 certificate-host-mismatch"
#define EX_DNS "5.4.312 DNS query failed"
#define PF_MATCH                                                            \
	"Server certificate not verified (certificate verification failed " \
	"for HOST: num=65:no matching DANE TLSA records)"
#define PF_MX                                                                \
	"Host or domain name not found. Name service error for name=DOMAIN " \
	"type=MX: Host not found, try again"
#define PF_ADDR                                                            \
	"Host or domain name not found. Name service error for name=HOST " \
	"type=A: Host not found, try again"
#define PF_INSECURE "non DNSSEC destination"
#define PF_TLSA "TLSA lookup error for HOST:25"

/* clang-format off */
static const struct check_code_info table[] = {
	[CODE_NONE] = { "none", "nothing", NULL, NULL, NULL },

	[CODE_STARTTLS_MISSING] = { "starttls-missing",
		"STARTTLS is not offered", EX_STARTTLS,
		"starttls-not-supported",
		"TLS is required, but was not offered by host HOST" },
	[CODE_STARTTLS_REFUSED] = { "starttls-refused",
		"STARTTLS is offered and refused", EX_STARTTLS,
		"starttls-not-supported",
		"TLS is required, but host HOST refused to start TLS" },
	[CODE_HANDSHAKE] = { "handshake", "the TLS handshake fails",
		EX_STARTTLS, "validation-failure",
		"Cannot start TLS: handshake failure" },
	[CODE_CERT_EXPIRED] = { "cert-expired", "the certificate has expired",
		EX_EXPIRED, "certificate-expired",
		"certificate verification failed for HOST: certificate has "
		"expired" },
	[CODE_CERT_NOT_YET] = { "cert-not-yet",
		"the certificate is not valid yet", EX_TLSA,
		"validation-failure",
		"certificate verification failed for HOST: certificate not "
		"yet valid" },
	[CODE_TLSA_MISMATCH] = { "tlsa-mismatch",
		"no TLSA record matches what is served", EX_TLSA,
		"tlsa-invalid", PF_MATCH },
	[CODE_TLSA_MISMATCH_NO_SNI] = { "tlsa-mismatch-no-sni",
		"no TLSA record matches what clients without SNI get",
		EX_TLSA, "tlsa-invalid", PF_MATCH },
	[CODE_TLSA_MISMATCH_ALG] = { "tlsa-mismatch-alg",
		"the certificate of one key algorithm matches no TLSA record",
		EX_TLSA, "tlsa-invalid", PF_MATCH },
	[CODE_TLSA_HIDDEN] = { "tlsa-hidden",
		"a stronger digest hides the TLSA record that would match",
		EX_TLSA, "tlsa-invalid", PF_MATCH },
	[CODE_TLSA_ISSUER_NOT_SENT] = { "tlsa-issuer-not-sent",
		"the issuer in the TLSA record is not sent by the server",
		EX_TLSA, "tlsa-invalid", PF_MATCH },
	[CODE_NAME_MISMATCH] = { "name-mismatch",
		"the certificate is for other names", EX_NAME,
		"certificate-host-mismatch",
		"Server certificate not verified (certificate verification "
		"failed for HOST: num=62:hostname mismatch)" },
	[CODE_CHAIN_INVALID] = { "chain-invalid",
		"the certificate chain does not lead to the TLSA record",
		EX_TLSA, "certificate-not-trusted",
		"certificate verification failed for HOST: not trusted by "
		"local or TLSA policy" },
	[CODE_CONNECT] = { "connect", "no connection", NULL, NULL,
		"connect to HOST: Connection refused" },
	[CODE_TIMEOUT] = { "timeout", "it stopped answering", NULL, NULL,
		"conversation with HOST timed out" },
	[CODE_PROTOCOL] = { "protocol", "the dialogue before TLS failed",
		NULL, NULL, "HOST refused to talk to me" },
	[CODE_UNTESTABLE] = { "untestable", "no route from here", NULL, NULL,
		"connect to HOST: Network is unreachable" },
	[CODE_TLS12_MISSING] = { "tls12-missing", "TLS 1.2 is not spoken",
		EX_STARTTLS, "validation-failure",
		"Cannot start TLS: handshake failure" },
	[CODE_NAME_INFO] = { "name-info",
		"the name is not in the certificate", EX_NAME, NULL, NULL },
	[CODE_KEY_WEAK] = { "key-weak", "an RSA key below 2048 bits", NULL,
		NULL, NULL },
	[CODE_KEY_SHARED] = { "key-shared", "one key on several hosts", NULL,
		NULL, NULL },

	[CODE_NO_DOMAIN] = { "no-domain", "there is no such domain", NULL,
		NULL, "Host or domain name not found. Name service error for "
		"name=DOMAIN type=MX: Host not found" },
	[CODE_NULL_MX] = { "null-mx", "the domain takes no mail", NULL, NULL,
		"Domain DOMAIN does not accept mail (nullMX)" },
	[CODE_NO_ADDRESS] = { "no-address", "a host without an address", NULL,
		NULL, "no MX host for DOMAIN has a valid address record" },
	[CODE_MX_BOGUS] = { "mx-bogus", "the MX answer is bogus", EX_DNSSEC,
		"dnssec-invalid", PF_MX },
	[CODE_MX_FAILED] = { "mx-failed", "no answer about MX", EX_DNS,
		"dnssec-invalid", PF_MX },
	[CODE_MX_INSECURE] = { "mx-insecure", "the MX records are not signed",
		NULL, "dane-required", PF_INSECURE },
	[CODE_ADDR_BOGUS] = { "addr-bogus", "the address answer is bogus",
		EX_DNSSEC, "dnssec-invalid", PF_ADDR },
	[CODE_ADDR_FAILED] = { "addr-failed", "no answer about addresses",
		EX_DNS, "dnssec-invalid", PF_ADDR },
	[CODE_ADDR_INSECURE] = { "addr-insecure",
		"the address records are not signed", NULL, "dane-required",
		PF_INSECURE },
	[CODE_TLSA_BOGUS] = { "tlsa-bogus", "the TLSA answer is bogus",
		EX_DNSSEC, "dnssec-invalid", PF_TLSA },
	[CODE_TLSA_FAILED] = { "tlsa-failed", "no answer about TLSA",
		EX_DNSSEC, "dnssec-invalid", PF_TLSA },
	[CODE_TLSA_INSECURE] = { "tlsa-insecure",
		"the TLSA records are not signed", NULL, "dane-required",
		PF_INSECURE },
	[CODE_NO_TLSA] = { "no-tlsa", "there is no TLSA record", NULL,
		"dane-required", "no TLSA records found" },
	[CODE_MX_ALIAS] = { "mx-alias", "a host name that is an alias", NULL,
		NULL, NULL },
	[CODE_TLSA_ALIAS] = { "tlsa-alias",
		"the TLSA records are behind an alias", NULL, NULL, NULL },
	[CODE_BARE_TLSA] = { "bare-tlsa", "TLSA records that nobody reads",
		NULL, NULL, NULL },
	[CODE_RESOLVER] = { "resolver", "our resolver is not fit to judge",
		NULL, NULL, NULL },
	[CODE_TRUNCATED] = { "truncated", "there is more than is shown", NULL,
		NULL, NULL },

	[CODE_RR_UNUSABLE] = { "rr-unusable", "an unusable TLSA record", NULL,
		NULL, "unusable TLSA RR" },
	[CODE_RR_PKIX] = { "rr-pkix", "a TLSA record of usage 0 or 1", NULL,
		NULL, "unsupported TLSA certificate usage" },
	[CODE_ALL_UNUSABLE] = { "all-unusable", "no usable TLSA record", NULL,
		NULL, "all TLSA records unusable, fallback to "
		"unauthenticated TLS" },
	[CODE_RR_SELECTOR0] = { "rr-selector0",
		"a TLSA record of a whole certificate", NULL, NULL, NULL },
	[CODE_RR_FULL] = { "rr-full", "a TLSA record without a digest", NULL,
		NULL, NULL },
	[CODE_RR_STALE] = { "rr-stale",
		"TLSA records that match nothing served", NULL, NULL, NULL },
	[CODE_RR_COMBINATION] = { "rr-combination",
		"a kind of TLSA record without a match", NULL, NULL, NULL },
	[CODE_RR_ISSUER_RETIRED] = { "rr-issuer-retired",
		"a TLSA record of a retired issuer", NULL, NULL, NULL },
	[CODE_RR_ISSUER_NOT_SENT] = { "rr-issuer-not-sent",
		"a TLSA record of an issuer that is not sent", NULL, NULL,
		NULL },
	[CODE_RR_MANY] = { "rr-many", "many TLSA records", NULL, NULL, NULL },
	[CODE_SCHEME] = { "scheme", "rollover scheme", NULL, NULL, NULL },
	[CODE_TTL_LONG] = { "ttl-long", "a long TTL", NULL, NULL, NULL },
	[CODE_TTL_SHORT] = { "ttl-short", "a short TTL", NULL, NULL, NULL },
	[CODE_SOA_REFRESH] = { "soa-refresh",
		"secondaries refresh less often than the TTL", NULL, NULL,
		NULL },

	[CODE_NS_TLSA] = { "ns-tlsa", "a name server fails to answer",
		EX_DNSSEC, "dnssec-invalid", PF_TLSA },
	[CODE_NS_TRANSPORT] = { "ns-transport",
		"a name server answers over one of UDP and TCP only", NULL,
		NULL, NULL },
	[CODE_NS_UNREACHABLE] = { "ns-unreachable",
		"a name server does not answer at all", NULL, NULL, NULL },
	[CODE_NS_ENT] = { "ns-ent",
		"a name server denies the name above the TLSA records",
		EX_DNSSEC, "dnssec-invalid", PF_TLSA },
	[CODE_NS_SERIAL] = { "ns-serial", "name servers differ in the serial",
		NULL, NULL, NULL },
	[CODE_NS_DIFFERS] = { "ns-differs",
		"name servers differ in their answers", NULL, NULL, NULL },
	[CODE_NS_RRSIG] = { "ns-rrsig",
		"a signature is missing, wrong or expired", EX_DNSSEC,
		"dnssec-invalid", PF_TLSA },
	[CODE_NS_RRSIG_SOON] = { "ns-rrsig-soon", "a signature ends soon",
		NULL, NULL, NULL },
	[CODE_DS_MISMATCH] = { "ds-mismatch",
		"the DS records fit no key of the zone", EX_DNSSEC,
		"dnssec-invalid", PF_MX },

	[CODE_TLSRPT_MISSING] = { "tlsrpt-missing", "no TLS reports are asked "
		"for", NULL, NULL, NULL },
	[CODE_TLSRPT_INVALID] = { "tlsrpt-invalid",
		"the TLS-RPT record is wrong", NULL, NULL, NULL },
};
/* clang-format on */
_Static_assert(sizeof(table) / sizeof(table[0]) == CODE__COUNT,
	"one row per enum check_code");

const struct check_code_info *check_code_info(enum check_code c)
{
	return (unsigned)c < CODE__COUNT ? &table[c] : &table[CODE_NONE];
}

bool check_code_parse(const char *name, enum check_code *ret)
{
	for (size_t i = 0; i < CODE__COUNT; i++)
		if (strcmp(table[i].name, name) == 0) {
			*ret = (enum check_code)i;
			return true;
		}
	return false;
}
