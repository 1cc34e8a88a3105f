/*
 * What each topic means and what to do about it, and what a sender does next.
 * Static texts for people; facts only, no names from the input. (RFC 7672
 * 2.2, RFC 7671, dane.md S14, S19..S27, B-34)
 */
#include "hook/check/explain_impl.h"

struct words {
	enum check_code code;
	const char *meaning;
	const char *next;
};

#define TRY_CHECK "run \"danelaw check\" on it to see which one"

static const struct words words[] = {
	[TOPIC_NONE] = { CODE_NONE,
		"nothing in it is about DANE, DNSSEC or TLS that danelaw "
		"knows",
		"give the whole bounce, with its delivery-status part, or the "
		"log line that has the queue id and the reason" },
	[TOPIC_STARTTLS_MISSING] = { CODE_STARTTLS_MISSING,
		"the server does not offer STARTTLS, or TLS fails after it; a "
		"TLSA record promises TLS, so the mail is not sent in the "
		"clear",
		"switch TLS on for every address and every client (no "
		"reputation gating, no device in between that removes "
		"STARTTLS), or withdraw the TLSA records until that is done" },
	[TOPIC_STARTTLS_REFUSED] = { CODE_STARTTLS_REFUSED,
		"the server offers STARTTLS and then refuses it or hangs up",
		"look for TLS errors in the log of that server at that time: "
		"most often its key or certificate file cannot be read" },
	[TOPIC_HANDSHAKE] = { CODE_HANDSHAKE,
		"the TLS handshake fails: no common version or cipher, a "
		"certificate that cannot be used, or a broken connection",
		"let the server speak TLS 1.2 and 1.3 with an RSA-2048 or "
		"P-256 key; its own log has the other half of the reason" },
	[TOPIC_EXPIRED] = { CODE_CERT_EXPIRED,
		"the certificate has expired; with usage 3 most senders ignore "
		"its dates, Exchange Online does not",
		"renew it; with the same key no TLSA record has to change" },
	[TOPIC_NOT_YET] = { CODE_CERT_NOT_YET,
		"the certificate is not valid yet",
		"check the clocks of the server and of whoever issued it; "
		"serve the previous certificate until then" },
	[TOPIC_MISMATCH] = { CODE_TLSA_MISMATCH,
		"no usable TLSA record matches what the server shows: most "
		"often the key was changed before its record was everywhere, "
		"or one address, key algorithm or server was left behind",
		"serve the key that is published again, or publish the one "
		"that is served beside it and wait for the TTL; remove no "
		"record before all is well" },
	[TOPIC_NAME] = { CODE_NAME_MISMATCH,
		"the certificate does not have the name of the MX host, and "
		"it is checked through its issuer (usage 2)",
		"get a certificate with that name, or publish a 3 1 1 record: "
		"it needs no name" },
	[TOPIC_UNTRUSTED] = { CODE_CHAIN_INVALID,
		"the sender could not verify the certificate; the line does "
		"not say whether by DANE or by public authorities",
		"look at the delivery lines of the same message; " TRY_CHECK },
	[TOPIC_DNSSEC] = { CODE_TLSA_BOGUS,
		"DNSSEC validation of the MX, address or TLSA records fails, "
		"or a name server does not answer TLSA queries",
		"compare DS with DNSKEY and look at the dates of the "
		"signatures; ask each name server for TLSA over UDP and TCP" },
	[TOPIC_DNS] = { CODE_MX_FAILED,
		"a look-up failed; a resolver that validates says the same "
		"when DNSSEC is broken",
		"ask each name server of the domain and of its MX hosts; look "
		"for expired signatures and a DS without DNSKEY" },
	[TOPIC_TLSA_FAILED] = { CODE_TLSA_FAILED,
		"the sender got no answer about the TLSA record (SERVFAIL, "
		"timeout, bogus), so it must not send",
		"ask each name server for the TLSA record over UDP and TCP; "
		"one that drops the type or signs badly is enough" },
	[TOPIC_TLSA_INSECURE] = { CODE_TLSA_INSECURE,
		"the TLSA record is not signed, so it has no effect; only "
		"senders that insist on DANE stop here",
		"sign the zone and give its DS to the parent, also the zone "
		"that a CNAME at the TLSA name leads to" },
	[TOPIC_ADDR_FAILED] = { CODE_ADDR_FAILED,
		"the address of the MX host could not be looked up, or "
		"not validated",
		"ask each name server of the host's zone for A and AAAA; "
		"SERVFAIL from a validating resolver points at DNSSEC" },
	[TOPIC_ADDR_INSECURE] = { CODE_ADDR_INSECURE,
		"the address of the MX host is not signed; the sender insists "
		"on DANE for it",
		"sign the zone of the host and give its DS to the parent, or "
		"have the sender not require DANE" },
	[TOPIC_MX_INSECURE] = { CODE_MX_INSECURE,
		"the MX or address records are not signed, so DANE does not "
		"apply; the sender insists on it",
		"sign the domain and give its DS to the parent, or have the "
		"sender use opportunistic DANE (Postfix: dane, not "
		"dane-only)" },
	[TOPIC_NO_TLSA] = { CODE_NO_TLSA,
		"there is no secure TLSA record for this host; only senders "
		"that require DANE stop here",
		"publish _25._tcp.HOST TLSA records for every MX host "
		"(\"danelaw tlsa\" prints them), or have the sender not "
		"require DANE" },
	[TOPIC_UNUSABLE] = { CODE_ALL_UNUSABLE,
		"there are TLSA records and none is usable: usage 0 or 1, "
		"unknown values, a digest of the wrong length",
		"publish 3 1 1 records and remove the unusable ones" },
	[TOPIC_RR_UNUSABLE] = { CODE_RR_UNUSABLE,
		"one TLSA record is not usable: usage 0 or 1, unknown values, "
		"a digest of the wrong length",
		"remove it, or replace it by a 3 1 1 record" },
	[TOPIC_TIMEOUT] = { CODE_TIMEOUT,
		"the server did not answer in time while TLS was set up",
		"check that address from outside: a firewall that looks into "
		"SMTP, a greeting delay, an overloaded server" },
	[TOPIC_SENDER] = { CODE_NONE,
		"the sender's own TLS set-up is at fault, not the receiver",
		"have the sender read its log from the start of the mail "
		"system: a missing file, a policy table that fails, a "
		"resolver without DNSSEC" },
	[TOPIC_MTA_STS] = { CODE_NONE,
		"it is the MTA-STS policy that fails, not DANE: the MX name or "
		"the certificate does not fit the policy",
		"compare the policy with the MX records and serve a "
		"certificate of a public authority with the name of the MX" },
	[TOPIC_MATCHED] = { CODE_NONE,
		"all is well: the certificate was verified, and a TLSA record "
		"matched where the sender uses DANE",
		"nothing" },
	[TOPIC_ENCRYPTED] = { CODE_NONE,
		"TLS was set up, but DANE was not used: no TLSA record, no "
		"DNSSEC, or the sender has DANE switched off",
		"nothing, unless the domain has TLSA records: then the sender "
		"does not see them as secure" },
};

_Static_assert(sizeof(words) / sizeof(words[0]) == TOPIC__COUNT,
	"each topic has its words");

void explain_topic(enum topic t, struct explained *ret)
{
	ret->understood = t != TOPIC_NONE;
	ret->success = t == TOPIC_MATCHED;
	ret->code = words[t].code;
	ret->meaning = words[t].meaning;
	ret->next = words[t].next;
}

const char *explain_mta_name(enum explain_mta m)
{
	static const char *const names[] = {
		[EXPLAIN_UNKNOWN] = "unknown",
		[EXPLAIN_EXCHANGE] = "Exchange Online",
		[EXPLAIN_POSTFIX] = "Postfix",
		[EXPLAIN_EXIM] = "Exim",
		[EXPLAIN_POWERMTA] = "PowerMTA",
	};

	_Static_assert(sizeof(names) / sizeof(names[0]) == EXPLAIN_POWERMTA + 1,
		"each server has a name");
	return names[m];
}

const char *explain_retry(const struct explained *e)
{
	static const char *const retry[] = {
		[EXPLAIN_UNKNOWN] =
			"temporary: the sender tries again, for days as a "
			"rule",
		[EXPLAIN_EXCHANGE] =
			"temporary: it validates all of it again, from DNS on, "
			"after 15 minutes, after 15 more, then every hour, and "
			"gives up after 24 hours",
		[EXPLAIN_POSTFIX] =
			"temporary: it tries again, after 5 minutes at first "
			"and about every hour later, and gives up after 5 days "
			"(unless set otherwise); \"postqueue -f\" there does "
			"it at once",
		[EXPLAIN_EXIM] =
			"temporary: it tries again, every 15 minutes at first "
			"and every 6 hours later, and gives up after 4 days "
			"(unless set otherwise); \"exim -qff\" there does it "
			"at once",
		[EXPLAIN_POWERMTA] =
			"temporary: it tries again after its retry-after, "
			"until its bounce-after is over",
	};

	if (!e->understood || e->success)
		return "";
	if (e->temporary)
		return retry[e->mta];
	if (e->code != CODE_NONE || e->status[0] == '5')
		return "permanent: this message was given up; it must be sent "
		       "again when all is mended";
	return "";
}
