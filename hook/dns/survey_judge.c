/*
 * One reply of one server: what kind of answer it is, and what its signatures
 * are worth. In a zone with validated keys they are verified; in one that is
 * bogus only their windows can be read, which tells an expired zone from a
 * broken one. Nothing here is a claim about the zone: only about what this
 * server said. (RFC 4035 5, RFC 2308 2, RFC 6672, RFC 8020; dane.md S24, S74)
 */
#include "hook/dns/survey_int.h"

#include "hook/base/clock.h"

#include <stdarg.h>

static void say(struct survey_answer *ans, enum survey_outcome o,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void say(
	struct survey_answer *ans, enum survey_outcome o, const char *fmt, ...)
{
	va_list ap;

	ans->outcome = o;
	va_start(ap, fmt);
	(void)vsnprintf(ans->why, sizeof(ans->why), fmt, ap);
	va_end(ap);
}

void survey_silence(struct survey_answer *ans, const struct exchange_result *r)
{
	const char *by = ans->tcp ? "TCP" : "UDP";

	switch (r->outcome) {
	case XCHG_REPLY:
		break;
	case XCHG_TIMEOUT:
		if (r->sent)
			say(ans, SURVEY_TIMEOUT, "no answer over %s", by);
		else
			say(ans, SURVEY_TIMEOUT,
				"not asked over %s before the deadline", by);
		break;
	case XCHG_GARBAGE:
		say(ans, SURVEY_GARBAGE,
			"what came over %s could not be decoded or did not "
			"fit the question",
			by);
		break;
	case XCHG_NETWORK:
		say(ans, SURVEY_NETWORK, "%s: %s", by, strerror(r->errnum));
		break;
	case XCHG_NO_ROUTE:
		say(ans, SURVEY_NO_ROUTE,
			"this host has no route to this address family");
		break;
	}
}

/* False: an error code, noted. */
static bool judge_rcode(struct survey_answer *ans, const struct codec_msg *m)
{
	static const struct {
		enum survey_outcome outcome;
		const char *name;
	} known[] = {
		[1] = { SURVEY_FORMERR, "FORMERR" },
		[2] = { SURVEY_SERVFAIL, "SERVFAIL" },
		[4] = { SURVEY_NOTIMP, "NOTIMP" },
		[5] = { SURVEY_REFUSED, "REFUSED" },
		[9] = { SURVEY_LAME, "NOTAUTH" },
	};
	char ede[40] = "";

	ans->rcode = m->rcode;
	ans->ede = m->ede;
	if (m->rcode == 0 || m->rcode == 3)
		return true;
	if (m->ede >= 0)
		(void)snprintf(
			ede, sizeof(ede), " (extended error %d)", m->ede);
	if (m->rcode < sizeof(known) / sizeof(known[0]) &&
		known[m->rcode].name != NULL)
		say(ans, known[m->rcode].outcome, "it answers %s%s",
			known[m->rcode].name, ede);
	else
		say(ans, SURVEY_RCODE, "it answers with error code %u%s",
			m->rcode, ede);
	return false;
}

static void judge_lame(struct survey_answer *ans, const struct codec_msg *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->rr[i].section == CODEC_AUTHORITY &&
			m->rr[i].type == RRTYPE_NS) {
			say(ans, SURVEY_LAME,
				"it refers to other servers: it does not "
				"serve this zone");
			return;
		}
	say(ans, SURVEY_LAME, "its answer is not authoritative");
}

/* ---- signatures ---------------------------------------------------------- */

/* Takes a verdict into the answer: the first bad one stays, and the window that
 * ends first. */
static void take_sig(struct survey_answer *ans, const char *what,
	const struct codec_verdict *v, int64_t now_s)
{
	char text[CLOCK_TEXT_MAX];

	if (v->expiration != 0 &&
		(ans->expiration == 0 || v->expiration < ans->expiration)) {
		ans->inception = v->inception;
		ans->expiration = v->expiration;
	}
	if (ans->sig != CODEC_SIG_OK || v->sig == CODEC_SIG_OK)
		return;
	ans->sig = v->sig;
	if (v->sig == CODEC_SIG_EXPIRED)
		(void)snprintf(ans->why, sizeof(ans->why), "%s: %s (%s %s)",
			what, v->why,
			v->expiration < now_s ? "it ended" : "it begins",
			clock_utc(1000 * (v->expiration < now_s ? v->expiration
								: v->inception),
				text));
	else
		(void)snprintf(ans->why, sizeof(ans->why), "%s: %s", what,
			v->why != NULL ? v->why : "no proof");
}

/* Nothing verified: what the RRSIGs say of themselves. */
static void take_window(
	struct survey_answer *ans, const struct codec_window *w, int64_t now_s)
{
	struct codec_verdict v = { .sig = CODEC_SIG_OK,
		.inception = w->inception,
		.expiration = w->expiration };

	if (w->expiration == 0) {
		v.sig = CODEC_SIG_NONE;
		v.why = "no RRSIG in a zone with a DS record";
	} else if (!w->timely) {
		v.sig = CODEC_SIG_EXPIRED;
		v.why = w->expiration < now_s ? "every RRSIG has expired"
					      : "no RRSIG is valid yet";
	}
	take_sig(ans, "signatures", &v, now_s);
}

static void check_rrset(struct survey_answer *ans, struct codec_verifier *v,
	const struct survey_zone_state *z, const struct codec_msg *m,
	const struct codec_name *owner, uint16_t type, int64_t now_s)
{
	struct codec_verdict got;
	unsigned int labels = codec_name_labels(owner);

	if (z->raw) {
		struct codec_window w =
			codec_window_of(m, CODEC_ANSWER, owner, type, now_s);

		take_window(ans, &w, now_s);
	}
	if (z->keys == NULL)
		return;
	ans->sig_checked = true;
	codec_verify(v, z->keys, m, CODEC_ANSWER, owner, type, &got);
	take_sig(ans, "answer", &got, now_s);
	if (owner->w[0] == 1 && owner->w[1] == '*')
		labels--;
	if (got.sig == CODEC_SIG_OK && got.labels < labels) {
		codec_verify_wildcard(v, z->keys, m, owner, got.labels, &got);
		take_sig(ans, "proof that the wildcard applies", &got, now_s);
	}
}

static void check_denial(struct survey_answer *ans, struct codec_verifier *v,
	const struct survey_zone_state *z, const struct codec_msg *m,
	const struct codec_name *name, uint16_t type, int64_t now_s)
{
	struct codec_verdict got;

	if (z->raw) {
		struct codec_window w = codec_window_denial(m, now_s);

		take_window(ans, &w, now_s);
	}
	if (z->keys == NULL)
		return;
	ans->sig_checked = true;
	codec_verify(
		v, z->keys, m, CODEC_AUTHORITY, &z->name, RRTYPE_SOA, &got);
	take_sig(ans, "SOA of the denial", &got, now_s);
	codec_verify_absent(v, z->keys, m, name, type, &got);
	take_sig(ans, "denial", &got, now_s);
}

/* ---- kinds of answers ---------------------------------------------------- */

static enum status take_tlsa(struct survey_answer *ans,
	const struct codec_msg *m, const struct codec_rr *rr, struct err *err)
{
	enum status st = tlsa_rrset_add_rdata(
		&ans->rrset, m->wire + rr->rdata, rr->rdlen, err);

	if (st != ST_REFUSED)
		return st;
	say(ans, SURVEY_GARBAGE, "%.140s", err->text);
	return ST_OK;
}

static enum status judge_data(struct survey_answer *ans,
	const struct codec_msg *m, const struct codec_name *name, uint16_t type,
	struct err *err)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name owner;

		if (rr->section != CODEC_ANSWER || rr->type != type)
			continue;
		codec_rr_owner(m, rr, &owner);
		if (!codec_name_eq(&owner, name))
			continue;
		ans->n_rr++;
		if (rr->ttl > ans->ttl)
			ans->ttl = rr->ttl;
		if (type == RRTYPE_TLSA && take_tlsa(ans, m, rr, err) != ST_OK)
			return err->st;
	}
	ans->rrset.ttl = ans->ttl;
	ans->digest = codec_digest(m, CODEC_ANSWER, name, type);
	return ST_OK;
}

static void take_soa(struct survey_answer *ans, const struct codec_msg *m,
	const struct codec_rr *rr)
{
	struct codec_soa soa;

	if (!codec_soa(m, rr, &soa)) {
		say(ans, SURVEY_GARBAGE, "its SOA record cannot be decoded");
		return;
	}
	ans->serial = soa.serial;
	ans->refresh = soa.refresh;
	ans->retry = soa.retry;
	ans->minimum = soa.minimum;
}

/* The synthesized CNAME is not signed, the DNAME is. */
static const struct codec_rr *dname_of(const struct codec_msg *m,
	const struct codec_name *name, struct codec_name *ret_owner)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->rr[i].section != CODEC_ANSWER ||
			m->rr[i].type != RRTYPE_DNAME)
			continue;
		codec_rr_owner(m, &m->rr[i], ret_owner);
		if (codec_name_under(name, ret_owner) &&
			!codec_name_eq(name, ret_owner))
			return &m->rr[i];
	}
	return NULL;
}

static void judge_denial(struct survey_answer *ans, struct codec_verifier *v,
	const struct survey_zone_state *z, const struct codec_name *name,
	uint16_t type, const struct codec_msg *m, int64_t now_s)
{
	const struct codec_rr *rr = NULL;
	char text[DNS_NAME_MAX];
	struct codec_name owner;
	struct codec_soa soa;

	for (size_t i = 0; i < m->n && rr == NULL; i++)
		if (m->rr[i].section == CODEC_AUTHORITY &&
			m->rr[i].type == RRTYPE_SOA)
			rr = &m->rr[i];
	if (rr == NULL) {
		say(ans, SURVEY_LAME,
			"it denies without the zone's SOA record");
		return;
	}
	codec_rr_owner(m, rr, &owner);
	if (!codec_name_eq(&owner, &z->name)) {
		say(ans, SURVEY_LAME, "it answers from another zone, %.80s",
			codec_name_text(&owner, text));
		return;
	}
	if (!codec_soa(m, rr, &soa)) {
		say(ans, SURVEY_GARBAGE, "its SOA record cannot be decoded");
		return;
	}
	ans->outcome = m->rcode == 3 ? SURVEY_NXDOMAIN : SURVEY_NODATA;
	ans->ttl = rr->ttl < soa.minimum ? rr->ttl : soa.minimum;
	check_denial(ans, v, z, m, name, type, now_s);
}

static bool any_answer(const struct codec_msg *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->rr[i].section == CODEC_ANSWER)
			return true;
	return false;
}

enum status survey_judge(struct survey_answer *ans, struct codec_verifier *v,
	const struct survey_zone_state *z, const struct codec_name *name,
	uint16_t type, const struct codec_msg *m, int64_t now_s,
	struct err *err)
{
	const struct codec_rr *rr;
	struct codec_name owner = *name;
	enum status st;

	if (!judge_rcode(ans, m))
		return ST_OK;
	if (!m->aa) {
		judge_lame(ans, m);
		return ST_OK;
	}
	if (m->tc) {
		ans->truncated = true;
		ans->outcome = m->rcode == 3 ? SURVEY_NXDOMAIN : SURVEY_DATA;
		return ST_OK;
	}
	rr = codec_find(m, CODEC_ANSWER, name, RRTYPE_CNAME);
	if (rr != NULL && type != RRTYPE_CNAME) {
		const struct codec_rr *dname = dname_of(m, name, &owner);
		uint16_t alias = dname != NULL ? RRTYPE_DNAME : RRTYPE_CNAME;

		if (dname == NULL)
			owner = *name;
		ans->outcome = SURVEY_ALIAS;
		ans->ttl = rr->ttl;
		ans->n_rr = 1;
		ans->digest = codec_digest(m, CODEC_ANSWER, name, RRTYPE_CNAME);
		check_rrset(ans, v, z, m, &owner, alias, now_s);
		return ST_OK;
	}
	rr = codec_find(m, CODEC_ANSWER, name, type);
	if (rr == NULL && any_answer(m)) {
		say(ans, SURVEY_GARBAGE,
			"its answer holds records, but none that was asked "
			"for");
	} else if (rr == NULL) {
		judge_denial(ans, v, z, name, type, m, now_s);
	} else if (m->rcode != 0) {
		say(ans, SURVEY_GARBAGE, "it says NXDOMAIN and gives records");
	} else {
		ans->outcome = SURVEY_DATA;
		st = judge_data(ans, m, name, type, err);
		if (st != ST_OK)
			return st;
		if (type == RRTYPE_SOA)
			take_soa(ans, m, rr);
		check_rrset(ans, v, z, m, name, type, now_s);
	}
	return ST_OK;
}
