/*
 * ldns as the codec for referrals and zone hints. No I/O. What comes in is
 * untrusted: every name is brought into canonical form or refused, every list
 * has a limit, and an answer counts only when ID, QR, opcode and question are
 * ours. A referral is not signed (RFC 4035 2.2), so all that it can do here is
 * to add servers to the list of those that must be asked; a name in it that
 * cannot be handled makes the whole answer useless, because dropping it
 * silently would be to not ask a server.
 */
#include "hook/dns/codec_referral.h"

#include <ldns/ldns.h>

#define auto_pkt __attribute__((cleanup(pkt_cleanup))) ldns_pkt *

static void pkt_cleanup(ldns_pkt **pkt)
{
	ldns_pkt_free(*pkt);
}

/* Text of a dname rdf in canonical form; false when it has another one. */
static bool rdf_name(const ldns_rdf *rdf, char ret[static DNS_NAME_MAX])
{
	struct err err = ERR_INIT;
	char *text;
	bool ok;

	if (rdf == NULL || ldns_rdf_get_type(rdf) != LDNS_RDF_TYPE_DNAME)
		return false;
	text = ldns_rdf2str(rdf);
	if (text == NULL)
		return false;
	ok = name_canon(text, ret, &err) == ST_OK;
	free(text);
	return ok;
}

static bool owner_is(const ldns_rr *rr, const char *name)
{
	char owner[DNS_NAME_MAX];

	return rdf_name(ldns_rr_owner(rr), owner) && strcmp(owner, name) == 0;
}

void referral_release(struct referral *r)
{
	free(r->name);
	free(r->glue);
	*r = (struct referral){ 0 };
}

enum status codec_referral_query(const char *zone, uint16_t id,
	uint8_t ret[static REFERRAL_QUERY_MAX], size_t *ret_len,
	struct err *err)
{
	auto_pkt pkt = NULL;
	ldns_rdf *name = ldns_dname_new_frm_str(zone);
	uint8_t *wire = NULL;
	size_t len = 0;
	ldns_status st;

	if (name == NULL)
		return err_set(err, ST_BUG, "no domain name: %s", zone);
	pkt = ldns_pkt_query_new(name, LDNS_RR_TYPE_NS, LDNS_RR_CLASS_IN, 0);
	if (pkt == NULL) {
		ldns_rdf_deep_free(name);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	ldns_pkt_set_id(pkt, id);
	ldns_pkt_set_edns_udp_size(pkt, 1232);
	st = ldns_pkt2wire(&wire, pkt, &len);
	if (st != LDNS_STATUS_OK || len > REFERRAL_QUERY_MAX) {
		free(wire);
		return err_set(err, ST_BUG, "query for NS of %s: %s", zone,
			ldns_get_errorstr_by_id(st));
	}
	memcpy(ret, wire, len);
	*ret_len = len;
	free(wire);
	return ST_OK;
}

static bool is_ours(const ldns_pkt *pkt, const char *zone, uint16_t id)
{
	ldns_rr_list *question = ldns_pkt_question(pkt);
	ldns_rr *q;

	if (!ldns_pkt_qr(pkt) || ldns_pkt_id(pkt) != id ||
		ldns_pkt_get_opcode(pkt) != LDNS_PACKET_QUERY ||
		ldns_rr_list_rr_count(question) != 1)
		return false;
	q = ldns_rr_list_rr(question, 0);
	return ldns_rr_get_type(q) == LDNS_RR_TYPE_NS &&
	       ldns_rr_get_class(q) == LDNS_RR_CLASS_IN && owner_is(q, zone);
}

static bool has_name(const struct referral *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->name[i], name) == 0)
			return true;
	return false;
}

/* Returns NULL, or what is wrong with it. */
static const char *take_names(
	const ldns_rr_list *list, const char *zone, struct referral *r)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char name[DNS_NAME_MAX];

		if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_NS ||
			!owner_is(rr, zone))
			continue;
		if (!rdf_name(ldns_rr_rdf(rr, 0), name))
			return "it names a server with a name that is not a "
			       "host name";
		if (has_name(r, name))
			continue;
		if (r->n == REFERRAL_NAMES_MAX)
			return "it names more than 64 servers";
		memcpy(r->name[r->n++], name, sizeof(name));
	}
	return NULL;
}

static void take_glue(const ldns_rr_list *list, struct referral *r)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list) &&
			   r->n_glue < REFERRAL_GLUE_MAX;
		i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		ldns_rr_type type = ldns_rr_get_type(rr);
		struct glue *g = &r->glue[r->n_glue];
		const ldns_rdf *rdf = ldns_rr_rdf(rr, 0);
		size_t want = type == LDNS_RR_TYPE_A ? 4 : 16;

		if ((type != LDNS_RR_TYPE_A && type != LDNS_RR_TYPE_AAAA) ||
			rdf == NULL || ldns_rdf_size(rdf) != want ||
			!rdf_name(ldns_rr_owner(rr), g->name) ||
			!has_name(r, g->name))
			continue;
		memcpy(g->addr, ldns_rdf_data(rdf), want);
		g->len = want;
		r->n_glue++;
	}
}

static const char *take(
	const ldns_pkt *pkt, const char *zone, struct referral *r)
{
	const char *fault;

	r->name = calloc(REFERRAL_NAMES_MAX, sizeof(*r->name));
	r->glue = calloc(REFERRAL_GLUE_MAX, sizeof(*r->glue));
	if (r->name == NULL || r->glue == NULL)
		return "out of memory";
	fault = take_names(ldns_pkt_answer(pkt), zone, r);
	if (fault == NULL && r->n == 0)
		fault = take_names(ldns_pkt_authority(pkt), zone, r);
	if (fault != NULL)
		return fault;
	if (r->n == 0)
		return "it names no server (not a server of the parent?)";
	take_glue(ldns_pkt_additional(pkt), r);
	return NULL;
}

static enum referral_verdict useless(
	char *why, size_t why_len, const ldns_pkt *pkt)
{
	char *text = ldns_pkt_rcode2str(ldns_pkt_get_rcode(pkt));

	(void)snprintf(why, why_len, "answers %s", text ? text : "an error");
	free(text);
	return REFERRAL_USELESS;
}

enum referral_verdict codec_referral_parse(const uint8_t *wire, size_t len,
	const char *zone, uint16_t id, struct referral *ret, char *why,
	size_t why_len)
{
	auto_pkt pkt = NULL;
	struct referral r = { 0 };
	const char *fault;

	if (ldns_wire2pkt(&pkt, wire, len) != LDNS_STATUS_OK) {
		pkt = NULL;
		return REFERRAL_FOREIGN;
	}
	if (!is_ours(pkt, zone, id))
		return REFERRAL_FOREIGN;
	if (ldns_pkt_tc(pkt))
		return REFERRAL_TRUNCATED;
	if (ldns_pkt_get_rcode(pkt) != LDNS_RCODE_NOERROR)
		return useless(why, why_len, pkt);
	fault = take(pkt, zone, &r);
	if (fault != NULL) {
		(void)snprintf(why, why_len, "%s", fault);
		referral_release(&r);
		return REFERRAL_USELESS;
	}
	*ret = r;
	return REFERRAL_OK;
}

static bool signer_hint(const ldns_rr *rr, const char *name, uint16_t type,
	char zone[static DNS_NAME_MAX])
{
	return ldns_rr_get_type(rr) == LDNS_RR_TYPE_RRSIG &&
	       ldns_rr_rrsig_typecovered(rr) != NULL &&
	       ldns_rdf2rr_type(ldns_rr_rrsig_typecovered(rr)) ==
		       (ldns_rr_type)type &&
	       owner_is(rr, name) &&
	       rdf_name(ldns_rr_rrsig_signame(rr), zone) &&
	       name_is_under(name, zone);
}

static bool soa_hint(
	const ldns_rr *rr, const char *name, char zone[static DNS_NAME_MAX])
{
	return ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA &&
	       rdf_name(ldns_rr_owner(rr), zone) && name_is_under(name, zone);
}

void codec_zone_hint(const uint8_t *wire, size_t len, const char *name,
	uint16_t type, bool validated, char ret[static DNS_NAME_MAX])
{
	auto_pkt pkt = NULL;
	const ldns_rr_list *list;
	char zone[DNS_NAME_MAX];
	size_t i;

	ret[0] = '\0';
	if (ldns_wire2pkt(&pkt, wire, len) != LDNS_STATUS_OK) {
		pkt = NULL;
		return;
	}
	list = ldns_pkt_answer(pkt);
	for (i = 0; validated && i < ldns_rr_list_rr_count(list); i++)
		if (signer_hint(ldns_rr_list_rr(list, i), name, type, zone)) {
			memcpy(ret, zone, sizeof(zone));
			return;
		}
	list = ldns_pkt_authority(pkt);
	for (i = 0; i < ldns_rr_list_rr_count(list); i++)
		if (soa_hint(ldns_rr_list_rr(list, i), name, zone)) {
			memcpy(ret, zone, sizeof(zone));
			return;
		}
}
