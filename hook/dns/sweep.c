/*
 * One sweep: every owner name at every address of its zone, each answer judged
 * by itself. FOUND and ABSENT are claims that need proof: authoritative, of
 * this zone, and in a signed zone verified against the zone's keys. All else is
 * UNKNOWN with a reason; nothing that was lost, refused or forged ever reads as
 * ABSENT. The sockets are exchange.c's, the proofs codec_*.c's.
 * (RFC 6698 4.1, RFC 4035 5, RFC 2308 2; dane.md B-15)
 */
#include "hook/dns/sweep.h"
#include "hook/base/clock.h"
#include "hook/dns/codec.h"
#include "hook/dns/exchange.h"

#include <stdarg.h>
#include <string.h>

static const char *const verdict_names[] = {
	[SWEEP_FOUND] = "found",
	[SWEEP_ABSENT] = "absent",
	[SWEEP_UNKNOWN] = "unknown",
	[SWEEP_UNTESTABLE] = "untestable",
};

static const char *const reason_names[] = {
	[SWR_NONE] = "none",
	[SWR_TIMEOUT] = "timeout",
	[SWR_REFUSED] = "REFUSED",
	[SWR_SERVFAIL] = "SERVFAIL",
	[SWR_NOTIMP] = "NOTIMP",
	[SWR_FORMERR] = "FORMERR",
	[SWR_RCODE] = "unexpected-answer",
	[SWR_LAME] = "lame",
	[SWR_BAD_RRSIG] = "bad-rrsig",
	[SWR_RRSIG_EXPIRED] = "rrsig-expired",
	[SWR_NO_RRSIG] = "no-rrsig",
	[SWR_GARBAGE] = "garbage",
	[SWR_NETWORK] = "network",
	[SWR_NO_ADDRESS] = "no-address",
	[SWR_ZONE_BOGUS] = "zone-bogus",
};
_Static_assert(
	sizeof(reason_names) / sizeof(reason_names[0]) == SWR__COUNT, "names");

/* A server of a zone: its SOA serial is asked for once. */
struct serial {
	size_t zone, server;
	bool asked, have;
	uint32_t serial;
};

struct zone_state {
	struct codec_name name;
	struct codec_zone *keys; /* of a secure zone */
	size_t serials;          /* where its servers start in run.serial */
};

struct job {
	size_t owner, server;
};

struct run {
	const struct authority *a;
	struct sweep out;
	struct zone_state *zone;
	struct codec_name *name; /* of each owner's final name */
	struct job *job;
	size_t n_jobs;
	struct serial *serial;
	struct codec_verifier *verifier;
	struct exchange *exchange;
};

const char *sweep_verdict_name(enum sweep_verdict v)
{
	return verdict_names[v];
}

const char *sweep_reason_name(enum sweep_reason r)
{
	return reason_names[r];
}

static void answer_unknown(struct sweep_answer *ans, enum sweep_reason reason,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void answer_unknown(struct sweep_answer *ans, enum sweep_reason reason,
	const char *fmt, ...)
{
	va_list ap;

	ans->verdict = SWEEP_UNKNOWN;
	ans->reason = reason;
	va_start(ap, fmt);
	(void)vsnprintf(ans->why, sizeof(ans->why), fmt, ap);
	va_end(ap);
}

/* False: an error code, noted. */
static bool judge_rcode(struct sweep_answer *ans, const struct codec_msg *m)
{
	static const struct {
		enum sweep_reason reason;
		const char *name;
	} known[] = {
		[1] = { SWR_FORMERR, "FORMERR" },
		[2] = { SWR_SERVFAIL, "SERVFAIL" },
		[4] = { SWR_NOTIMP, "NOTIMP" },
		[5] = { SWR_REFUSED, "REFUSED" },
		[9] = { SWR_LAME, "NOTAUTH" },
	};
	const char *name = "an error";
	enum sweep_reason reason = SWR_RCODE;
	char ede[48] = "";

	if (m->rcode == 0 || m->rcode == 3)
		return true;
	if (m->rcode < sizeof(known) / sizeof(known[0]) &&
		known[m->rcode].name != NULL) {
		name = known[m->rcode].name;
		reason = known[m->rcode].reason;
	}
	if (m->ede >= 0)
		(void)snprintf(ede, sizeof(ede), ", extended error %d", m->ede);
	answer_unknown(ans, reason, "it answered %s (RCODE %u%s)", name,
		m->rcode, ede);
	return false;
}

static void judge_lame(struct sweep_answer *ans, const struct codec_msg *m)
{
	char text[DNS_NAME_MAX];
	struct codec_name owner;

	for (size_t i = 0; i < m->n; i++) {
		if (m->rr[i].section != CODEC_AUTHORITY ||
			m->rr[i].type != RRTYPE_NS)
			continue;
		codec_rr_owner(m, &m->rr[i], &owner);
		answer_unknown(ans, SWR_LAME,
			"not authoritative: it refers to the servers of "
			"%.80s",
			codec_name_text(&owner, text));
		return;
	}
	answer_unknown(ans, SWR_LAME, "its answer is not authoritative");
}

/* True when the signature is good; else notes why not. The window is kept in
 * any case, the shorter one of several. */
static bool judge_sig(struct sweep_answer *ans, const char *what,
	const struct codec_verdict *v)
{
	enum sweep_reason reason = SWR_NONE;
	char until[CLOCK_TEXT_MAX];

	if (v->expiration != 0 &&
		(ans->rrsig_expiration == 0 ||
			v->expiration < ans->rrsig_expiration)) {
		ans->rrsig_inception = v->inception;
		ans->rrsig_expiration = v->expiration;
	}
	switch (v->sig) {
	case CODEC_SIG_OK:
		return true;
	case CODEC_SIG_NONE:
		reason = SWR_NO_RRSIG;
		break;
	case CODEC_SIG_EXPIRED:
		answer_unknown(ans, SWR_RRSIG_EXPIRED,
			"%s: %s (it ends %s): sign the zone again", what,
			v->why, clock_utc(v->expiration * 1000, until));
		return false;
	case CODEC_SIG_BAD:
		reason = SWR_BAD_RRSIG;
		break;
	}
	answer_unknown(ans, reason, "%s: %s", what, v->why);
	return false;
}

static enum status take_rrset(struct sweep_answer *ans,
	const struct codec_msg *m, const struct codec_name *name,
	struct err *err)
{
	struct tlsa_rrset set = TLSA_RRSET_INIT;

	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name owner;
		enum status st;

		if (rr->section != CODEC_ANSWER || rr->type != RRTYPE_TLSA)
			continue;
		codec_rr_owner(m, rr, &owner);
		if (!codec_name_eq(&owner, name))
			continue;
		/* They should all be the same; if not, the longest stays
		 * somewhere. */
		if (rr->ttl > set.ttl)
			set.ttl = rr->ttl;
		st = tlsa_rrset_add_rdata(
			&set, m->wire + rr->rdata, rr->rdlen, err);
		if (st == ST_OK)
			continue;
		tlsa_rrset_release(&set);
		if (st != ST_REFUSED)
			return st;
		answer_unknown(ans, SWR_GARBAGE, "%.140s", err->text);
		return ST_OK;
	}
	ans->verdict = SWEEP_FOUND;
	ans->rrset = set;
	return ST_OK;
}

static enum status judge_found(struct run *r, struct sweep_answer *ans,
	const struct zone_state *z, const struct codec_name *name,
	const struct codec_msg *m, struct err *err)
{
	struct codec_verdict v;

	if (m->rcode != 0) {
		answer_unknown(
			ans, SWR_GARBAGE, "it says NXDOMAIN and gives records");
		return ST_OK;
	}
	if (z->keys != NULL) {
		codec_verify(r->verifier, z->keys, m, CODEC_ANSWER, name,
			RRTYPE_TLSA, &v);
		if (!judge_sig(ans, "TLSA", &v))
			return ST_OK;
		if (v.labels < codec_name_labels(name) -
				       (name->w[0] == 1 && name->w[1] == '*')) {
			unsigned int labels = v.labels;

			codec_verify_wildcard(
				r->verifier, z->keys, m, name, labels, &v);
			if (!judge_sig(ans,
				    "TLSA from a wildcard, no proof that it "
				    "applies",
				    &v))
				return ST_OK;
		}
	}
	return take_rrset(ans, m, name, err);
}

/* The SOA in the authority section says whose denial it is. */
static const struct codec_rr *denial_soa(struct sweep_answer *ans,
	const struct zone_state *z, const struct codec_msg *m)
{
	const struct codec_rr *rr = NULL;
	char text[DNS_NAME_MAX];
	struct codec_name owner;

	for (size_t i = 0; i < m->n && rr == NULL; i++)
		if (m->rr[i].section == CODEC_AUTHORITY &&
			m->rr[i].type == RRTYPE_SOA)
			rr = &m->rr[i];
	if (rr == NULL) {
		answer_unknown(ans, SWR_LAME,
			"it denies without the zone's SOA record");
		return NULL;
	}
	codec_rr_owner(m, rr, &owner);
	if (codec_name_eq(&owner, &z->name))
		return rr;
	answer_unknown(ans, SWR_LAME, "it answers from another zone, %.80s",
		codec_name_text(&owner, text));
	return NULL;
}

static void judge_absent(struct run *r, struct sweep_answer *ans,
	const struct zone_state *z, const struct codec_name *name,
	const struct codec_msg *m)
{
	const struct codec_rr *rr = denial_soa(ans, z, m);
	struct codec_soa soa;
	struct codec_verdict v;

	if (rr == NULL)
		return;
	if (!codec_soa(m, rr, &soa)) {
		answer_unknown(
			ans, SWR_GARBAGE, "its SOA record cannot be decoded");
		return;
	}
	ans->have_serial = true;
	ans->serial = soa.serial;
	if (z->keys != NULL) {
		codec_verify(r->verifier, z->keys, m, CODEC_AUTHORITY, &z->name,
			RRTYPE_SOA, &v);
		if (!judge_sig(ans, "SOA of the denial", &v))
			return;
		codec_verify_absent(
			r->verifier, z->keys, m, name, RRTYPE_TLSA, &v);
		if (!judge_sig(ans, "denial", &v))
			return;
	}
	ans->verdict = SWEEP_ABSENT;
	ans->neg_ttl = rr->ttl < soa.minimum ? rr->ttl : soa.minimum;
}

static enum status judge(struct run *r, const struct job *j,
	const struct codec_msg *m, struct err *err)
{
	struct sweep_answer *ans = &r->out.owner[j->owner].answer[j->server];
	const struct zone_state *z = &r->zone[r->a->owner[j->owner].zone];
	const struct codec_name *name = &r->name[j->owner];

	if (!judge_rcode(ans, m))
		return ST_OK;
	if (!m->aa) {
		judge_lame(ans, m);
		return ST_OK;
	}
	if (codec_find(m, CODEC_ANSWER, name, RRTYPE_CNAME) != NULL) {
		answer_unknown(ans, SWR_RCODE,
			"it has a CNAME at this name, others do not");
		return ST_OK;
	}
	if (codec_find(m, CODEC_ANSWER, name, RRTYPE_TLSA) != NULL)
		return judge_found(r, ans, z, name, m, err);
	for (size_t i = 0; i < m->n; i++) {
		if (m->rr[i].section != CODEC_ANSWER)
			continue;
		answer_unknown(ans, SWR_GARBAGE,
			"its answer holds records, but none that was asked "
			"for");
		return ST_OK;
	}
	judge_absent(r, ans, z, name, m);
	return ST_OK;
}

static void judge_silence(
	struct sweep_answer *ans, const struct exchange_result *res)
{
	switch (res->outcome) {
	case XCHG_REPLY:
		break;
	case XCHG_TIMEOUT:
		answer_unknown(ans, SWR_TIMEOUT,
			res->tcp ? "no answer, neither by UDP nor by TCP"
				 : "no answer in time");
		break;
	case XCHG_GARBAGE:
		answer_unknown(ans, SWR_GARBAGE,
			"what came could not be decoded or did not fit the "
			"question");
		break;
	case XCHG_NETWORK:
		answer_unknown(ans, SWR_NETWORK, "%s", strerror(res->errnum));
		break;
	case XCHG_NO_ROUTE:
		ans->verdict = SWEEP_UNTESTABLE;
		(void)snprintf(ans->why, sizeof(ans->why), "%s",
			"this host has no route to this address family");
		break;
	}
}

/* A positive answer does not tell the serial. */
static enum status want_serial(
	struct run *r, const struct job *j, struct err *err)
{
	size_t zone = r->a->owner[j->owner].zone;
	size_t at = r->zone[zone].serials + j->server;
	struct serial *s = &r->serial[at];

	if (s->asked)
		return ST_OK;
	s->asked = true;
	return exchange_add(r->exchange,
		&r->a->zone[zone].server[s->server].addr, &r->zone[zone].name,
		RRTYPE_SOA, r->n_jobs + at, err);
}

static void take_serial(
	struct run *r, struct serial *s, const struct exchange_result *res)
{
	const struct codec_name *zone = &r->zone[s->zone].name;
	const struct codec_rr *rr;
	struct codec_soa soa;

	if (res->outcome != XCHG_REPLY || res->msg->rcode != 0 || !res->msg->aa)
		return;
	rr = codec_find(res->msg, CODEC_ANSWER, zone, RRTYPE_SOA);
	if (rr == NULL || !codec_soa(res->msg, rr, &soa))
		return;
	s->have = true;
	s->serial = soa.serial;
}

static enum status done(void *ctx, size_t tag,
	const struct exchange_result *res, struct err *err)
{
	struct run *r = ctx;
	const struct job *j;
	struct sweep_answer *ans;
	enum status st;

	if (tag >= r->n_jobs) {
		take_serial(r, &r->serial[tag - r->n_jobs], res);
		return ST_OK;
	}
	j = &r->job[tag];
	ans = &r->out.owner[j->owner].answer[j->server];
	ans->at_mono_ms = clock_mono_ms();
	ans->reason = SWR_NONE;
	ans->why[0] = '\0';
	if (res->outcome != XCHG_REPLY) {
		judge_silence(ans, res);
		return ST_OK;
	}
	st = judge(r, j, res->msg, err);
	if (st == ST_OK && ans->verdict == SWEEP_FOUND)
		st = want_serial(r, j, err);
	return st;
}

/* True when the answer must come from the network. */
static bool must_ask(const struct zone_auth *z, const struct auth_server *s,
	struct sweep_answer *ans)
{
	ans->ignored = s->ignored;
	if (z->security == DNS_BOGUS || z->security == DNS_FAILED)
		answer_unknown(ans, SWR_ZONE_BOGUS, "%.150s", z->why);
	else if (!s->has_addr)
		answer_unknown(ans, SWR_NO_ADDRESS, "%.150s", s->why);
	else if (s->ignored)
		answer_unknown(ans, SWR_NONE, "not asked: in ignore_servers");
	else
		return true;
	return false;
}

static enum status prepare_zones(struct run *r, struct err *err)
{
	const struct authority *a = r->a;
	size_t n = 0;

	r->zone = calloc(a->n_zones + 1, sizeof(*r->zone));
	if (r->zone == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < a->n_zones; i++) {
		const struct zone_auth *z = &a->zone[i];
		enum status st = ST_OK;

		r->zone[i].serials = n;
		n += z->n_servers;
		if (!codec_name_set(&r->zone[i].name, z->zone) &&
			z->security != DNS_BOGUS && z->security != DNS_FAILED)
			return err_set(err, ST_BUG,
				"not a canonical zone name: %s", z->zone);
		if (z->security == DNS_SECURE)
			st = codec_zone_new(z->zone, z->dnskey, z->n_dnskey,
				&r->zone[i].keys, err);
		if (st != ST_OK)
			return st;
	}
	r->serial = calloc(n + 1, sizeof(*r->serial));
	if (r->serial == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < a->n_zones; i++)
		for (size_t k = 0; k < a->zone[i].n_servers; k++)
			r->serial[r->zone[i].serials + k] =
				(struct serial){ .zone = i, .server = k };
	return ST_OK;
}

static enum status prepare_owner(struct run *r, size_t i, struct err *err)
{
	const struct owner_auth *o = &r->a->owner[i];
	struct sweep_owner *out = &r->out.owner[i];
	const struct zone_auth *z;

	if (o->zone >= r->a->n_zones)
		return ST_OK; /* its zone was not found: no servers */
	z = &r->a->zone[o->zone];
	out->answer = calloc(z->n_servers + 1, sizeof(*out->answer));
	if (out->answer == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	out->n = z->n_servers;
	for (size_t k = 0; k < z->n_servers; k++) {
		enum status st;

		out->answer[k].server = k;
		answer_unknown(&out->answer[k], SWR_TIMEOUT, "not asked");
		if (!must_ask(z, &z->server[k], &out->answer[k]))
			continue;
		if (!codec_name_set(&r->name[i], o->final) ||
			!codec_name_under(&r->name[i], &r->zone[o->zone].name))
			return err_set(err, ST_BUG,
				"owner name %s is not in zone %s", o->final,
				z->zone);
		r->job[r->n_jobs] = (struct job){ .owner = i, .server = k };
		st = exchange_add(r->exchange, &z->server[k].addr, &r->name[i],
			RRTYPE_TLSA, r->n_jobs, err);
		if (st != ST_OK)
			return st;
		r->n_jobs++;
	}
	return ST_OK;
}

static enum status prepare_owners(struct run *r, struct err *err)
{
	const struct authority *a = r->a;
	size_t jobs = 0;

	for (size_t i = 0; i < a->n_owners; i++)
		if (a->owner[i].zone < a->n_zones)
			jobs += a->zone[a->owner[i].zone].n_servers;
	r->name = calloc(a->n_owners + 1, sizeof(*r->name));
	r->job = calloc(jobs + 1, sizeof(*r->job));
	r->out.owner = calloc(a->n_owners + 1, sizeof(*r->out.owner));
	if (r->name == NULL || r->job == NULL || r->out.owner == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	r->out.n = a->n_owners;
	for (size_t i = 0; i < a->n_owners; i++) {
		enum status st = prepare_owner(r, i, err);

		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static void fill_serials(struct run *r)
{
	for (size_t i = 0; i < r->out.n; i++) {
		struct sweep_owner *o = &r->out.owner[i];

		for (size_t k = 0; k < o->n; k++) {
			size_t zone = r->a->owner[i].zone;
			const struct serial *s =
				&r->serial[r->zone[zone].serials + k];

			if (o->answer[k].verdict != SWEEP_FOUND || !s->have)
				continue;
			o->answer[k].have_serial = true;
			o->answer[k].serial = s->serial;
		}
	}
}

static void run_release(struct run *r)
{
	exchange_free(r->exchange);
	codec_verifier_free(r->verifier);
	for (size_t i = 0; r->zone != NULL && i < r->a->n_zones; i++)
		codec_zone_free(r->zone[i].keys);
	free(r->zone);
	free(r->name);
	free(r->job);
	free(r->serial);
	sweep_release(&r->out);
}

enum status sweep_run(const struct authority *a, const struct sweep_limits *lim,
	struct sweep *ret, struct err *err)
{
	struct run r = { .a = a };
	struct exchange_limits xlim = {
		.deadline_ms = lim->deadline_ms,
		.try_ms = lim->try_ms,
		.tries = lim->tries,
	};
	int64_t now_s = lim->wall_s != 0 ? lim->wall_s : (int64_t)time(NULL);
	enum status st = codec_verifier_new(now_s, &r.verifier, err);

	if (st == ST_OK)
		st = exchange_new(&xlim, done, &r, &r.exchange, err);
	if (st == ST_OK)
		st = prepare_zones(&r, err);
	if (st == ST_OK)
		st = prepare_owners(&r, err);
	if (st == ST_OK)
		st = exchange_run(r.exchange, err);
	if (st == ST_OK) {
		fill_serials(&r);
		*ret = r.out;
		r.out = (struct sweep){ .n = 0 };
	}
	run_release(&r);
	return st;
}

void sweep_release(struct sweep *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < s->owner[i].n; k++)
			tlsa_rrset_release(&s->owner[i].answer[k].rrset);
		free(s->owner[i].answer);
	}
	free(s->owner);
	*s = (struct sweep){ .n = 0 };
}
