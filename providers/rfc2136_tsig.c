/*
 * Is this answer signed (RFC 8945) by whom we asked? Same key, same algorithm,
 * a MAC over our question's, a time near ours. ldns checks the MAC only: it
 * takes the algorithm from the answer and looks at no time. What is wrong is
 * said so that an operator knows which of the two ends to change.
 */
#include "providers/rfc2136.h"

#include "hook/base/clock.h"

#include <ldns/ldns.h>

#define TSIG_BADSIG 16
#define TSIG_BADKEY 17
#define TSIG_BADTIME 18

enum tsig_rdf {
	RDF_ALGORITHM,
	RDF_TIME,
	RDF_FUDGE,
	RDF_MAC,
	RDF_ID,
	RDF_ERROR,
	RDF_OTHER,
	RDF_COUNT
};

/* Names come from name_canon: no escapes, so text can be compared. */
bool rfc2136_is_name(const ldns_rdf *rdf, const char *name)
{
	if (!rdf)
		return false;
	ldns_rdf *want = ldns_dname_new_frm_str(name);
	bool same = want && ldns_dname_compare(rdf, want) == 0;
	ldns_rdf_deep_free(want);
	return same;
}

static unsigned rdf_u16(const ldns_rr *rr, enum tsig_rdf i)
{
	return ldns_read_uint16(ldns_rdf_data(ldns_rr_rdf(rr, i)));
}

static int64_t u48(const uint8_t *p)
{
	int64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | p[i];
	return v;
}

const char *rfc2136_rcode(unsigned rcode)
{
	const ldns_lookup_table *t = ldns_lookup_by_id(ldns_rcodes, (int)rcode);

	return t ? t->name : "an unknown code";
}

/* An answer that nobody signed proves nothing; its code is a hint. */
static enum status unsigned_answer(
	const struct tsig_key *key, unsigned rcode, struct err *err)
{
	switch (rcode) {
	case LDNS_RCODE_SERVFAIL:
		return err_set(err, ST_RETRY,
			"the server failed (SERVFAIL, not signed)");
	case LDNS_RCODE_FORMERR:
	case LDNS_RCODE_NOTIMPL:
		return err_set(err, ST_CONFIG,
			"the server does not support TSIG or dynamic update "
			"(%s, not signed)",
			rfc2136_rcode(rcode));
	default:
		return err_set(err, ST_DENIED,
			"the answer (%s) is not signed: does the server know "
			"the TSIG key \"%s\" (of %s)?",
			rfc2136_rcode(rcode), key->name, key->path);
	}
}

static enum status bad_time(const ldns_rr *tsig, struct err *err)
{
	const ldns_rdf *other = ldns_rr_rdf(tsig, RDF_OTHER);
	char here[CLOCK_TEXT_MAX], there[CLOCK_TEXT_MAX];
	int64_t now = time(NULL);

	/* Two octets of length, then the server's time. */
	if (ldns_rdf_size(other) != 8)
		return err_set(err, ST_DENIED,
			"BADTIME: the clocks here (%s) and at the server "
			"differ by more than %d s: set both with NTP",
			clock_utc(now * 1000, here), RFC2136_FUDGE);
	int64_t server = u48(ldns_rdf_data(other) + 2);
	if (server > now + (1LL << 40))
		server = now + (1LL << 40);
	return err_set(err, ST_DENIED,
		"BADTIME: the clock here says %s, the server's %s: %lld s "
		"apart, %d allowed. Set both with NTP",
		clock_utc(now * 1000, here), clock_utc(server * 1000, there),
		(long long)(server > now ? server - now : now - server),
		RFC2136_FUDGE);
}

enum status rfc2136_tsig_check(const struct tsig_key *key,
	const ldns_pkt *query, ldns_pkt *reply, const uint8_t *wire, size_t len,
	struct err *err)
{
	const ldns_rr *t = ldns_pkt_tsig(reply);

	/* Knot does not sign this one. It says "not here" at most. */
	if (!t && ldns_pkt_get_opcode(query) == LDNS_PACKET_QUERY &&
		ldns_pkt_get_rcode(reply) == LDNS_RCODE_REFUSED)
		return ST_OK;
	if (!t || ldns_rr_rd_count(t) != RDF_COUNT)
		return unsigned_answer(key, ldns_pkt_get_rcode(reply), err);
	unsigned error = rdf_u16(t, RDF_ERROR);
	/* These two cannot be signed (RFC 8945 5.3.2): hints as well. */
	if (error == TSIG_BADKEY)
		return err_set(err, ST_DENIED,
			"BADKEY: the server has no key \"%s\" with algorithm "
			"%s: compare %s with the server's configuration",
			key->name, key->algorithm, key->path);
	if (error == TSIG_BADSIG)
		return err_set(err, ST_DENIED,
			"BADSIG: the server knows the key \"%s\" with another "
			"secret than the one in %s",
			key->name, key->path);
	if (!rfc2136_is_name(ldns_rr_owner(t), key->name) ||
		!rfc2136_is_name(ldns_rr_rdf(t, RDF_ALGORITHM), key->algorithm))
		return err_set(err, ST_REFUSED,
			"the answer is signed with another key or algorithm "
			"than the question (%s, %s)",
			key->name, key->algorithm);
	if (!ldns_pkt_tsig_verify(reply, wire, len, key->name, key->secret.data,
		    ldns_rr_rdf(ldns_pkt_tsig(query), RDF_MAC)))
		return err_set(err, ST_REFUSED,
			"the signature of the answer is wrong: it was forged "
			"or changed on the way");
	if (error == TSIG_BADTIME)
		return bad_time(t, err);
	if (error)
		return err_set(
			err, ST_DENIED, "the server says TSIG error %u", error);
	/* ldns looks at neither time nor fudge. */
	int64_t off = u48(ldns_rdf_data(ldns_rr_rdf(t, RDF_TIME))) - time(NULL);
	unsigned fudge = rdf_u16(t, RDF_FUDGE);
	if (fudge > RFC2136_FUDGE)
		fudge = RFC2136_FUDGE;
	if (off > fudge || off < -(int64_t)fudge)
		return err_set(err, ST_DENIED,
			"the answer was signed %lld s from our time, %u "
			"allowed: set both clocks with NTP",
			(long long)(off < 0 ? -off : off), fudge);
	return ST_OK;
}
