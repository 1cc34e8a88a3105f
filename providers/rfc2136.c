/*
 * Dynamic update (RFC 2136) signed with TSIG (RFC 8945), over TCP. The only
 * provider that knows ldns, and only as a codec: sockets and deadlines are in
 * rfc2136_tcp.c.
 *
 * Invariants: nothing is believed that is not signed with our key, our
 * algorithm and a time near ours. Every update carries the exact RRset it was
 * planned on, and "no CNAME here", as prerequisites (2.4.1, 2.4.2, 2.4.4), so a
 * concurrent edit is never overwritten; it adds and deletes single records,
 * never an RRset, so foreign records stay as they are. A lost answer is found
 * out by reading again: the goal reached is success, whoever reached it.
 */
#include "providers/rfc2136.h"

#include "hook/base/auto.h"
#include "providers/provider.h"

#include <ldns/ldns.h>

struct rfc2136 {
	struct rfc2136_server server;
	struct tsig_key key;
	char zone[DNS_NAME_MAX]; /* "" = find it by SOA */
	int64_t timeout_ms;
};

enum { OPT_SERVER, OPT_KEY_FILE, OPT_ZONE, OPT_TIMEOUT };

static const struct provider_option options[] = {
	[OPT_SERVER] = { .name = "server",
		.type = POPT_STRING,
		.required = true,
		.help = "host name or address of the primary, with @port if "
			"not 53" },
	[OPT_KEY_FILE] = { .name = "tsig_key_file",
		.type = POPT_SECRET_FILE,
		.required = true,
		.help = "file with the TSIG key, as written by tsig-keygen" },
	[OPT_ZONE] = { .name = "zone",
		.type = POPT_STRING,
		.help = "the zone to update; found out when not given" },
	[OPT_TIMEOUT] = { .name = "timeout",
		.type = POPT_INT,
		.def = "10",
		.min = 1,
		.max = 300,
		.help = "seconds for one question and its answer" },
	{ .name = NULL },
};

static void free_pkt(ldns_pkt **p)
{
	ldns_pkt_free(*p);
}
static void free_list(ldns_rr_list **l)
{
	ldns_rr_list_deep_free(*l);
}
#define auto_pkt __attribute__((cleanup(free_pkt))) ldns_pkt *
#define auto_list __attribute__((cleanup(free_list))) ldns_rr_list *

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

/* Same question as asked; servers may leave the section out of an update's
 * answer (RFC 2136 3.8) and of an error. */
static bool same_question(const ldns_pkt *query, const ldns_pkt *reply)
{
	if (!ldns_pkt_qdcount(reply))
		return ldns_pkt_get_opcode(query) == LDNS_PACKET_UPDATE ||
		       ldns_pkt_get_rcode(reply) != LDNS_RCODE_NOERROR;

	const ldns_rr *a = ldns_rr_list_rr(ldns_pkt_question(query), 0);
	const ldns_rr *b = ldns_rr_list_rr(ldns_pkt_question(reply), 0);
	return a && b && ldns_rr_get_type(a) == ldns_rr_get_type(b) &&
	       ldns_rr_get_class(a) == ldns_rr_get_class(b) &&
	       ldns_dname_compare(ldns_rr_owner(a), ldns_rr_owner(b)) == 0;
}

static enum status decode(const struct rfc2136 *c, const ldns_pkt *query,
	const uint8_t *wire, size_t len, ldns_pkt **ret, struct err *err)
{
	ldns_pkt *reply = NULL;
	enum status st = rfc2136_wire_check(wire, len, err);

	if (st)
		return st;
	ldns_status ls = ldns_wire2pkt(&reply, wire, len);
	if (ls == LDNS_STATUS_MEM_ERR)
		return no_memory(err);
	if (ls != LDNS_STATUS_OK)
		return err_set(err, ST_REFUSED, "the answer is not DNS: %s",
			ldns_get_errorstr_by_id(ls));
	if (!ldns_pkt_qr(reply) || ldns_pkt_tc(reply) ||
		ldns_pkt_id(reply) != ldns_pkt_id(query) ||
		ldns_pkt_get_opcode(reply) != ldns_pkt_get_opcode(query) ||
		!same_question(query, reply))
		st = err_set(err, ST_REFUSED,
			"the answer does not belong to the question");
	if (!st)
		st = rfc2136_tsig_check(&c->key, query, reply, wire, len, err);
	if (st)
		ldns_pkt_free(reply);
	else
		*ret = reply;
	return st;
}

/* Signs, sends, receives and checks. The rcode is left to the caller. */
static enum status talk(const struct rfc2136 *c, ldns_pkt *query,
	ldns_pkt **ret, struct err *err)
{
	auto_mem uint8_t *wire = NULL, *answer = NULL;
	size_t len, answer_len;

	/* The id is in the signature, so it comes first. */
	ldns_pkt_set_random_id(query);
	ldns_pkt_set_rd(query, false);
	ldns_status ls = ldns_pkt_tsig_sign(query, c->key.name,
		c->key.secret.data, RFC2136_FUDGE, c->key.algorithm, NULL);
	if (ls == LDNS_STATUS_OK)
		ls = ldns_pkt2wire(&wire, query, &len);
	if (ls != LDNS_STATUS_OK)
		return err_set(err,
			ls == LDNS_STATUS_MEM_ERR ? ST_NOMEM : ST_CONFIG,
			"the question cannot be signed with the key of %s: %s",
			c->key.path, ldns_get_errorstr_by_id(ls));
	enum status st = rfc2136_exchange(&c->server, c->timeout_ms, wire, len,
		&answer, &answer_len, err);
	return st ? st : decode(c, query, answer, answer_len, ret, err);
}

/* A query; ST_OK for NOERROR, NXDOMAIN and REFUSED. */
static enum status ask(const struct rfc2136 *c, const char *name,
	ldns_rr_type type, ldns_pkt **ret, struct err *err)
{
	ldns_pkt *reply = NULL;
	ldns_rdf *rdf = ldns_dname_new_frm_str(name);
	auto_pkt query =
		rdf ? ldns_pkt_query_new(rdf, type, LDNS_RR_CLASS_IN, 0) : NULL;

	if (!query) {
		ldns_rdf_deep_free(rdf);
		return no_memory(err);
	}
	enum status st = talk(c, query, &reply, err);
	if (st)
		return err_context(err, "query for %s", name);
	unsigned rcode = ldns_pkt_get_rcode(reply);
	if (rcode == LDNS_RCODE_NOERROR || rcode == LDNS_RCODE_NXDOMAIN ||
		rcode == LDNS_RCODE_REFUSED) {
		*ret = reply;
		return ST_OK;
	}
	ldns_pkt_free(reply);
	return err_set(err,
		rcode == LDNS_RCODE_SERVFAIL ? ST_RETRY : ST_REFUSED,
		"query for %s: the server answers %s", name,
		rfc2136_rcode(rcode));
}

/* First record of the type; its owner must be name unless that is NULL. */
static const ldns_rr *pick(
	const ldns_rr_list *list, ldns_rr_type type, const char *name)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		if (ldns_rr_get_type(rr) == type &&
			(!name || rfc2136_is_name(ldns_rr_owner(rr), name)))
			return rr;
	}
	return NULL;
}

/* "ns.example." of a record's first name; borrowed from buf. */
static const char *first_name(const ldns_rr *rr, char *buf, size_t len)
{
	char *text = rr && ldns_rr_rd_count(rr)
			     ? ldns_rdf2str(ldns_rr_rdf(rr, 0))
			     : NULL;

	(void)snprintf(buf, len, "%s", text ? text : "?");
	free(text);
	return buf;
}

/* ST_NOTFOUND: the apex is further up. */
static enum status is_apex(
	const struct rfc2136 *c, const char *name, struct err *err)
{
	auto_pkt reply = NULL;
	char ns[DNS_NAME_MAX];
	enum status st = ask(c, name, LDNS_RR_TYPE_SOA, &reply, err);

	if (st)
		return st;
	if (ldns_pkt_get_rcode(reply) == LDNS_RCODE_REFUSED)
		return ST_NOTFOUND;
	if (ldns_pkt_aa(reply))
		return pick(ldns_pkt_answer(reply), LDNS_RR_TYPE_SOA, name)
			       ? ST_OK
			       : ST_NOTFOUND;
	const ldns_rr *cut =
		pick(ldns_pkt_authority(reply), LDNS_RR_TYPE_NS, NULL);
	if (cut && !ldns_pkt_ancount(reply) && !ldns_pkt_ra(reply))
		return err_set(err, ST_REFUSED,
			"%s is delegated to other servers (%s ...): this one "
			"cannot publish there",
			name, first_name(cut, ns, sizeof(ns)));
	return ST_NOTFOUND;
}

static enum status find_zone(const struct rfc2136 *c, const char *owner,
	char ret[static DNS_NAME_MAX], struct err *err)
{
	const char *name = owner;

	if (c->zone[0]) {
		if (!name_is_under(owner, c->zone))
			return err_set(err, ST_REFUSED,
				"%s is not in the configured zone %s", owner,
				c->zone);
		name = c->zone;
	}
	for (; name; name = c->zone[0] ? NULL : name_parent(name)) {
		enum status st = is_apex(c, name, err);
		if (st == ST_OK)
			(void)snprintf(ret, DNS_NAME_MAX, "%s", name);
		if (st != ST_NOTFOUND)
			return st;
	}
	return err_set(err, ST_REFUSED,
		"the server is not authoritative for %s%s, or does not know "
		"the key \"%s\": give the primary of the zone as server",
		c->zone[0] ? "the zone " : "any zone that holds ",
		c->zone[0] ? c->zone : owner, c->key.name);
}

static enum status add_rr(
	struct tlsa_rrset *set, const ldns_rr *rr, struct err *err)
{
	auto_buf rdata = BUF_INIT(UINT16_MAX);

	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
		enum status st = buf_append(
			&rdata, ldns_rdf_data(rdf), ldns_rdf_size(rdf), err);
		if (st)
			return st;
	}
	if (!set->n || ldns_rr_ttl(rr) < set->ttl)
		set->ttl = ldns_rr_ttl(rr);
	return tlsa_rrset_add_rdata(
		set, (const uint8_t *)buf_str(&rdata), rdata.len, err);
}

static enum status read_rrset(const struct rfc2136 *c, const char *owner,
	struct tlsa_rrset *ret, struct err *err)
{
	auto_pkt reply = NULL;
	auto_tlsa set = TLSA_RRSET_INIT;
	char target[DNS_NAME_MAX];
	enum status st = ask(c, owner, LDNS_RR_TYPE_TLSA, &reply, err);

	if (st)
		return st;
	if (ldns_pkt_get_rcode(reply) == LDNS_RCODE_REFUSED)
		return err_set(err, ST_DENIED,
			"the server refuses to answer a query for %s with the "
			"key \"%s\"",
			owner, c->key.name);
	if (!ldns_pkt_aa(reply))
		return err_set(err, ST_REFUSED,
			"the server is not authoritative for %s: give the "
			"primary of the zone as server",
			owner);
	const ldns_rr_list *answer = ldns_pkt_answer(reply);
	const ldns_rr *cname = pick(answer, LDNS_RR_TYPE_CNAME, owner);
	if (cname)
		return err_set(err, ST_REFUSED,
			"%s is a CNAME for %s there: records belong at that "
			"name",
			owner, first_name(cname, target, sizeof(target)));
	for (size_t i = 0; i < ldns_rr_list_rr_count(answer) && !st; i++) {
		const ldns_rr *rr = ldns_rr_list_rr(answer, i);
		if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_TLSA &&
			rfc2136_is_name(ldns_rr_owner(rr), owner))
			st = add_rr(&set, rr, err);
	}
	if (st)
		return err_context(err, "TLSA records of %s", owner);
	*ret = set;
	set = (struct tlsa_rrset)TLSA_RRSET_INIT;
	return ST_OK;
}

static bool push_u8(ldns_rr *rr, uint8_t v)
{
	ldns_rdf *rdf = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT8, 1, &v);

	return rdf && ldns_rr_push_rdf(rr, rdf);
}

/* Appends a record to a list; tlsa may be NULL: no RDATA. */
static enum status push_rr(ldns_rr_list *list, const char *owner,
	ldns_rr_class class, ldns_rr_type type, uint32_t ttl,
	const struct tlsa *tlsa, struct err *err)
{
	ldns_rr *rr = ldns_rr_new();
	ldns_rdf *name = ldns_dname_new_frm_str(owner);
	ldns_rdf *data = NULL;
	bool ok = rr && name;

	if (rr) {
		ldns_rr_set_owner(rr, name);
		ldns_rr_set_class(rr, class);
		ldns_rr_set_type(rr, type);
		ldns_rr_set_ttl(rr, ttl);
	} else {
		ldns_rdf_deep_free(name);
	}
	if (ok && tlsa) {
		data = ldns_rdf_new_frm_data(
			LDNS_RDF_TYPE_HEX, tlsa->len, tlsa->data);
		ok = data && push_u8(rr, tlsa->usage) &&
		     push_u8(rr, tlsa->selector) && push_u8(rr, tlsa->mtype) &&
		     ldns_rr_push_rdf(rr, data);
	}
	if (ok && ldns_rr_list_push_rr(list, rr))
		return ST_OK;
	ldns_rr_free(rr);
	return no_memory(err);
}

/* RFC 2136 2.4: exactly `from` (class IN, TTL 0) or no such RRset (class NONE,
 * empty), and no CNAME. */
static enum status push_prerequisites(ldns_rr_list *list, const char *owner,
	const struct tlsa_rrset *from, struct err *err)
{
	enum status st = push_rr(list, owner, LDNS_RR_CLASS_NONE,
		LDNS_RR_TYPE_CNAME, 0, NULL, err);

	if (!st && !from->n)
		return push_rr(list, owner, LDNS_RR_CLASS_NONE,
			LDNS_RR_TYPE_TLSA, 0, NULL, err);
	for (size_t i = 0; i < from->n && !st; i++)
		st = push_rr(list, owner, LDNS_RR_CLASS_IN, LDNS_RR_TYPE_TLSA,
			0, &from->rr[i], err);
	return st;
}

/* Additions first, so that no server sees an empty RRset on the way. A new TTL
 * is given to all: an RRset has only one (RFC 2181 5.2). Knot takes it with an
 * added record only, so where there is none the first is exchanged for itself.
 */
static enum status push_changes(ldns_rr_list *list, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	bool new_ttl = from->n && from->ttl != to->ttl;
	bool added = false;
	enum status st = ST_OK;

	for (size_t i = 0; i < to->n; i++)
		added |= !tlsa_rrset_has(from, &to->rr[i]);
	if (new_ttl && to->n && !added)
		st = push_rr(list, owner, LDNS_RR_CLASS_NONE, LDNS_RR_TYPE_TLSA,
			0, &to->rr[0], err);
	for (size_t i = 0; i < to->n && !st; i++)
		if (new_ttl || !tlsa_rrset_has(from, &to->rr[i]))
			st = push_rr(list, owner, LDNS_RR_CLASS_IN,
				LDNS_RR_TYPE_TLSA, to->ttl, &to->rr[i], err);
	for (size_t i = 0; i < from->n && !st; i++)
		if (!tlsa_rrset_has(to, &from->rr[i]))
			st = push_rr(list, owner, LDNS_RR_CLASS_NONE,
				LDNS_RR_TYPE_TLSA, 0, &from->rr[i], err);
	return st;
}

static enum status make_update(const char *zone, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	ldns_pkt **ret, struct err *err)
{
	auto_list prereq = ldns_rr_list_new();
	auto_list change = ldns_rr_list_new();
	ldns_rdf *apex;

	if (!prereq || !change)
		return no_memory(err);
	enum status st = push_prerequisites(prereq, owner, from, err);
	if (!st)
		st = push_changes(change, owner, from, to, err);
	if (st)
		return st;
	apex = ldns_dname_new_frm_str(zone);
	*ret = apex ? ldns_update_pkt_new(
			      apex, LDNS_RR_CLASS_IN, prereq, change, NULL)
		    : NULL;
	return *ret ? ST_OK : no_memory(err);
}

/* A prerequisite failed: look what is there now. */
static enum status conflict(const struct rfc2136 *c, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	auto_tlsa now = TLSA_RRSET_INIT;
	enum status st = read_rrset(c, owner, &now, err);

	if (st)
		return st;
	/* Done already: by us, with an answer that was lost, say. */
	if (tlsa_rrset_eq(&now, to))
		return ST_OK;
	if (tlsa_rrset_eq(&now, from))
		return err_set(err, ST_CONFLICT,
			"%s: the server says that the TLSA records are others "
			"than it answers: changed twice just now, or the "
			"answer comes from a wildcard",
			owner);
	return err_set(err, ST_CONFLICT,
		"%s: somebody else changed the TLSA records in between (%zu "
		"then, %zu now)",
		owner, from->n, now.n);
}

static enum status outcome(const struct rfc2136 *c, unsigned rcode,
	const char *zone, const char *owner, struct err *err)
{
	switch (rcode) {
	case LDNS_RCODE_NOERROR:
		return ST_OK;
	case LDNS_RCODE_SERVFAIL:
		return err_set(err, ST_RETRY,
			"the server failed to update %s (SERVFAIL): see its "
			"log",
			zone);
	case LDNS_RCODE_REFUSED:
		return err_set(err, ST_DENIED,
			"the server refuses to let the key \"%s\" change TLSA "
			"at %s, or the zone is frozen. BIND: update-policy { "
			"grant %s name %s TLSA; }; in the zone; Knot: an acl "
			"with action: update and this key",
			c->key.name, owner, c->key.name, owner);
	case LDNS_RCODE_NOTAUTH:
		return err_set(err, ST_CONFIG,
			"the server takes no updates for %s: give the primary "
			"of the zone as server",
			zone);
	case LDNS_RCODE_NOTZONE:
		return err_set(err, ST_CONFIG,
			"the server says that %s is not in zone %s: is the "
			"option zone right?",
			owner, zone);
	case LDNS_RCODE_NOTIMPL:
		return err_set(err, ST_CONFIG,
			"the server does not support dynamic update");
	default:
		return err_set(err, ST_REFUSED,
			"the server answers the update of %s with %s", zone,
			rfc2136_rcode(rcode));
	}
}

static enum status update(const struct rfc2136 *c, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	char zone[DNS_NAME_MAX];
	auto_pkt query = NULL;
	auto_pkt reply = NULL;
	enum status st = find_zone(c, owner, zone, err);

	if (!st)
		st = make_update(zone, owner, from, to, &query, err);
	if (st)
		return st;
	st = talk(c, query, &reply, err);
	if (st)
		return err_context(err, "update of %s", owner);
	unsigned rcode = ldns_pkt_get_rcode(reply);
	if (rcode == LDNS_RCODE_NXRRSET || rcode == LDNS_RCODE_YXRRSET ||
		rcode == LDNS_RCODE_NXDOMAIN || rcode == LDNS_RCODE_YXDOMAIN)
		return conflict(c, owner, from, to, err);
	return outcome(c, rcode, zone, owner, err);
}

static enum status at_server(
	const struct rfc2136 *c, enum status st, struct err *err)
{
	if (st)
		(void)err_context(err, "DNS server %s@%s", c->server.host,
			c->server.port);
	return st;
}

static enum status rfc2136_get(void *ctx, const char *owner,
	struct tlsa_rrset *ret, char *ret_zone, struct err *err)
{
	const struct rfc2136 *c = ctx;
	char zone[DNS_NAME_MAX];
	enum status st = find_zone(c, owner, zone, err);

	if (!st)
		st = read_rrset(c, owner, ret, err);
	if (!st)
		(void)snprintf(ret_zone, DNS_NAME_MAX, "%s", zone);
	return at_server(c, st, err);
}

static enum status rfc2136_replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	const struct rfc2136 *c = ctx;

	if (tlsa_rrset_eq(from, to) && (!to->n || from->ttl == to->ttl))
		return ST_OK;
	return at_server(c, update(c, owner, from, to, err), err);
}

static void rfc2136_close(void *ctx)
{
	struct rfc2136 *c = ctx;

	if (!c)
		return;
	tsig_key_release(&c->key);
	free(c);
}

static enum status fill(
	struct rfc2136 *c, const struct provider_config *cfg, struct err *err)
{
	enum status st =
		rfc2136_server_parse(cfg->value[OPT_SERVER], &c->server, err);

	if (!st && cfg->value[OPT_ZONE])
		st = name_canon(cfg->value[OPT_ZONE], c->zone, err);
	c->timeout_ms = 1000 * strtol(cfg->value[OPT_TIMEOUT], NULL, 10);
	return st ? st : tsig_key_read(cfg->value[OPT_KEY_FILE], &c->key, err);
}

static enum status rfc2136_open(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	struct rfc2136 *c = calloc(1, sizeof(*c));

	if (!c)
		return no_memory(err);
	enum status st = fill(c, cfg, err);
	if (st) {
		rfc2136_close(c);
		return err_context(err, "provider \"%s\"", cfg->name);
	}
	*ret = c;
	return ST_OK;
}

extern const struct provider_ops provider_rfc2136;
const struct provider_ops provider_rfc2136 = {
	.type = "rfc2136",
	.title = "RFC 2136 dynamic update",
	.caps = PCAP_CAS | PCAP_READ | PCAP_ATOMIC | PCAP_RRSET,
	.dnssec = PDNSSEC_OWN,
	.rights = "an update-policy that grants the key TLSA at the owner name",
	.options = options,
	.open = rfc2136_open,
	.get = rfc2136_get,
	.replace = rfc2136_replace,
	.close = rfc2136_close,
};
