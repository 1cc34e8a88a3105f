/*
 * What a look-up ends as, and what the answer packet tells beside its data: the
 * window of its signatures and an extended error. The packet comes through
 * libunbound from the network; codec_parse is the way in.
 * (RFC 4034 3.1.5, RFC 8914)
 */
#include "hook/dns/resolver_int.h"

#include "hook/dns/codec.h"
#include "hook/dns/codec_referral.h"

#include <stdarg.h>
#include <time.h>

static const char *const security_names[] = {
	[DNS_SECURE] = "secure",
	[DNS_INSECURE] = "insecure",
	[DNS_BOGUS] = "bogus",
	[DNS_FAILED] = "failed",
};
_Static_assert(
	sizeof(security_names) / sizeof(security_names[0]) == DNS_FAILED + 1,
	"security_names");

const char *dns_security_name(enum dns_security s)
{
	return security_names[s];
}

void lookup_release(struct lookup *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->rr[i].data);
	free(l->rr);
	l->rr = NULL;
	l->n = 0;
}

const char *dns_type_name(uint16_t type, char ret[static 16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} known[] = { { RRTYPE_A, "A" }, { RRTYPE_NS, "NS" },
		{ RRTYPE_CNAME, "CNAME" }, { RRTYPE_SOA, "SOA" },
		{ RRTYPE_MX, "MX" }, { RRTYPE_TXT, "TXT" },
		{ RRTYPE_AAAA, "AAAA" }, { RRTYPE_DNAME, "DNAME" },
		{ RRTYPE_DS, "DS" }, { RRTYPE_DNSKEY, "DNSKEY" },
		{ RRTYPE_TLSA, "TLSA" } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].type == type)
			return known[i].name;
	(void)snprintf(ret, 16, "TYPE%u", type);
	return ret;
}

/* Cuts off what is too long. The old text may be among the arguments. */
void lookup_why(char ret[static 256], const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(ret, text, sizeof(text));
}

/* Bogus, or no answer: no data, and why. */
void lookup_judge(struct lookup *l, enum dns_security s, const char *why)
{
	char type[16];

	lookup_release(l);
	l->havedata = l->nxdomain = false;
	l->security = s;
	lookup_why(l->why, "%s of %s: %s", dns_type_name(l->type, type),
		l->name, why);
}

const char *lookup_rcode(int rcode, char ret[static 40])
{
	switch (rcode) {
	case 2:
		return "SERVFAIL (its servers do not answer, or answer with "
		       "errors)";
	case 5:
		return "REFUSED";
	default:
		(void)snprintf(ret, 40, "DNS error code %d", rcode);
		return ret;
	}
}

/* A CNAME's chain is in the answer section, the denial of what it leads to in
 * the authority section. */
void lookup_packet(struct lookup *l, const uint8_t *wire, size_t len)
{
	struct codec_msg m;
	struct codec_name name;
	struct codec_window w;

	if (len < 2 || !codec_name_set(&name, l->name) ||
		codec_parse(wire, len, (uint16_t)(wire[0] << 8 | wire[1]),
			&name, l->type, &m) != CODEC_REPLY)
		return;
	l->ede = m.ede;
	if ((l->security != DNS_SECURE && l->security != DNS_BOGUS) ||
		!codec_name_set(&name, l->canon))
		return;
	w = codec_window_of(
		&m, CODEC_ANSWER, &name, l->type, (int64_t)time(NULL));
	if (w.expiration == 0 &&
		codec_find(&m, CODEC_ANSWER, &name, l->type) == NULL)
		w = codec_window_denial(&m, (int64_t)time(NULL));
	l->inception = w.inception;
	l->expiration = w.expiration;
}

/* The keys; any signed record; a denial, because there are forwarders that pass
 * on signatures but no proofs. */
void resolver_root_jobs(struct lookup l[static ROOT_JOBS])
{
	static const uint16_t type[ROOT_JOBS] = { RRTYPE_DNSKEY, RRTYPE_SOA,
		RRTYPE_TXT };

	for (size_t i = 0; i < ROOT_JOBS; i++)
		l[i] = (struct lookup){ .name = ".", .type = type[i] };
}

static const char *forwarder_fault(const struct lookup *key, bool bogus)
{
	if (key->security == DNS_FAILED)
		return "does not answer or refuses to: start it, or correct "
		       "'forward' in the resolver section";
	if (bogus)
		return "does not pass on DNSSEC (or has another root key than "
		       "the trust anchor): use one that does, or take it out "
		       "of 'forward' in the resolver section";
	return NULL;
}

static const char *own_fault(const struct lookup *key, bool bogus)
{
	if (key->security == DNS_FAILED)
		return "no root server answers: open the way to port 53 (UDP "
		       "and TCP) for this host, check 'root_hints', or set "
		       "'forward' in the resolver section";
	if (bogus)
		return "the root's keys and records do not validate: is the "
		       "trust anchor up to date, the clock right, and does "
		       "nothing on the way to the root servers strip DNSSEC?";
	return NULL;
}

void resolver_root_fault(const struct lookup l[static ROOT_JOBS],
	const char *forwarder, const char *anchor, char *ret, size_t len)
{
	const char *fault;
	bool bogus = false;

	for (size_t i = 0; i < ROOT_JOBS; i++)
		bogus = bogus || l[i].security == DNS_BOGUS;
	bogus = bogus || (l[0].security != DNS_FAILED && !l[0].havedata);
	ret[0] = '\0';
	if (!bogus && l[0].security == DNS_INSECURE) {
		(void)snprintf(ret, len,
			"the trust anchor file %s holds no key of the root: "
			"use one that does",
			anchor);
	} else if (forwarder != NULL) {
		fault = forwarder_fault(&l[0], bogus);
		if (fault != NULL)
			(void)snprintf(ret, len, "the forwarder %.64s %s",
				forwarder, fault);
	} else {
		fault = own_fault(&l[0], bogus);
		if (fault != NULL)
			(void)snprintf(ret, len, "%s (trust anchor: %s)", fault,
				anchor);
	}
}
