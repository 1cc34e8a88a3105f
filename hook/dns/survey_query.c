/*
 * All questions at all addresses over both transports, at the same time, and
 * with them each zone's SOA and, where the parent has a DS, its DNSKEY. The
 * sockets are exchange.c's. Each transport is asked by itself: a server that
 * answers by UDP and not by TCP must not look healthy because one of the two
 * will do. A truncated reply over UDP is a proper answer; what it is an answer
 * of, TCP tells. (RFC 7766 5, RFC 6698 A.3; dane.md S24)
 */
#include "hook/dns/survey_int.h"

#define ASK_SOA SIZE_MAX /* as in survey_answer.question */
#define ASK_DNSKEY (SIZE_MAX - 1)
#define TRANSPORTS 2

struct job {
	size_t question, zone, server;
	size_t answer; /* not for ASK_DNSKEY */
	bool tcp;
};

struct run {
	struct survey *s;
	const struct lookup *const *ds;
	const struct survey_limits *lim;
	struct survey_zone_state *zone;
	struct codec_name *name;   /* of the questions */
	struct survey_keys **keys; /* of each zone, for each server */
	struct job *job;
	size_t n_jobs, max_jobs;
	struct codec_verifier *verifier;
	struct exchange *exchange;
};

static bool want_keys(const struct run *r, size_t zone)
{
	const struct lookup *ds = r->ds[zone];

	return ds != NULL && ds->security == DNS_SECURE && ds->n > 0;
}

static enum status done(void *ctx, size_t tag,
	const struct exchange_result *res, struct err *err)
{
	struct run *r = ctx;
	const struct job *j = &r->job[tag];
	const struct survey_zone_state *z = &r->zone[j->zone];
	const struct codec_name *name = &z->name;
	uint16_t type = RRTYPE_SOA;
	struct survey_answer *ans;

	if (j->question == ASK_DNSKEY) {
		if (res->outcome == XCHG_REPLY)
			survey_take_keys(&r->keys[j->zone][j->server],
				r->ds[j->zone], &z->name, res->msg,
				r->lim->wall_s);
		return ST_OK;
	}
	ans = &r->s->answer[j->answer];
	ans->took_ms = res->took_ms;
	ans->why[0] = '\0';
	if (res->outcome != XCHG_REPLY) {
		survey_silence(ans, res);
		return ST_OK;
	}
	if (j->question != ASK_SOA) {
		name = &r->name[j->question];
		type = r->s->question[j->question].type;
	}
	return survey_judge(
		ans, r->verifier, z, name, type, res->msg, r->lim->wall_s, err);
}

static enum status prepare_zones(struct run *r, struct err *err)
{
	struct survey *s = r->s;

	r->zone = calloc(s->n_zones + 1, sizeof(*r->zone));
	r->keys = calloc(s->n_zones + 1, sizeof(*r->keys));
	if (r->zone == NULL || r->keys == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < s->n_zones; i++) {
		const struct zone_auth *a = &s->zone[i].auth;
		struct survey_zone_state *z = &r->zone[i];

		if (!codec_name_set(&z->name, a->zone))
			return err_set(err, ST_BUG,
				"not a canonical zone name: %s", a->zone);
		r->keys[i] = calloc(a->n_servers + 1, sizeof(*r->keys[i]));
		if (r->keys[i] == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		z->raw = a->security == DNS_BOGUS ||
			 (a->security == DNS_FAILED && want_keys(r, i));
		if (a->security == DNS_SECURE &&
			codec_zone_new(a->zone, a->dnskey, a->n_dnskey,
				&z->keys, err) != ST_OK)
			return err->st;
	}
	return ST_OK;
}

/* One question at all addresses of its zone, over both transports. */
static enum status prepare(struct run *r, size_t question, size_t zone,
	const struct codec_name *name, uint16_t type, struct err *err)
{
	const struct zone_auth *a = &r->s->zone[zone].auth;

	for (size_t i = 0; i < TRANSPORTS * a->n_servers; i++) {
		const struct auth_server *s = &a->server[i / TRANSPORTS];
		bool tcp = i % TRANSPORTS != 0;
		enum status st;

		if (!s->has_addr || s->ignored)
			continue;
		r->job[r->n_jobs] = (struct job){ .question = question,
			.zone = zone,
			.server = i / TRANSPORTS,
			.answer = r->s->n_answers,
			.tcp = tcp };
		if (question != ASK_DNSKEY)
			r->s->answer[r->s->n_answers++] =
				(struct survey_answer){ .question = question,
					.zone = zone,
					.server = i / TRANSPORTS,
					.tcp = tcp,
					.outcome = SURVEY_TIMEOUT,
					.ede = -1 };
		st = exchange_add_via(r->exchange, &s->addr, name, type,
			tcp ? EXCHANGE_TCP : EXCHANGE_UDP, r->n_jobs++, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static enum status prepare_questions(struct run *r, struct err *err)
{
	const struct survey *s = r->s;

	r->name = calloc(s->n_questions + 1, sizeof(*r->name));
	if (r->name == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < s->n_questions; i++) {
		const struct survey_question *q = &s->question[i];

		if (q->zone >= s->n_zones)
			continue; /* not found: nobody to ask */
		if (!codec_name_set(&r->name[i], q->name) ||
			!codec_name_under(&r->name[i], &r->zone[q->zone].name))
			return err_set(err, ST_BUG, "%s is not in zone %s",
				q->name, s->zone[q->zone].auth.zone);
		if (prepare(r, i, q->zone, &r->name[i], q->type, err) != ST_OK)
			return err->st;
	}
	return ST_OK;
}

static enum status prepare_all(struct run *r, struct err *err)
{
	struct survey *s = r->s;
	size_t n = 0, keys = 0;

	for (size_t i = 0; i < s->n_questions; i++)
		if (s->question[i].zone < s->n_zones)
			n += s->zone[s->question[i].zone].auth.n_servers;
	for (size_t i = 0; i < s->n_zones; i++) {
		n += s->zone[i].auth.n_servers;
		keys += s->zone[i].auth.n_servers;
	}
	s->answer = calloc(TRANSPORTS * n + 1, sizeof(*s->answer));
	r->job = calloc(TRANSPORTS * (n + keys) + 1, sizeof(*r->job));
	if (s->answer == NULL || r->job == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (prepare_questions(r, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < s->n_zones; i++) {
		const struct codec_name *name = &r->zone[i].name;

		if (prepare(r, ASK_SOA, i, name, RRTYPE_SOA, err) != ST_OK)
			return err->st;
		if (want_keys(r, i) && prepare(r, ASK_DNSKEY, i, name,
					       RRTYPE_DNSKEY, err) != ST_OK)
			return err->st;
	}
	return ST_OK;
}

/* The two transports of one question at one server stand side by side. */
static void complete_truncated(struct survey *s)
{
	for (size_t i = 0; i + 1 < s->n_answers; i++) {
		struct survey_answer *udp = &s->answer[i];
		const struct survey_answer *tcp = udp + 1;

		if (udp->truncated && survey_answered(tcp->outcome))
			udp->outcome = tcp->outcome;
	}
}

static void run_release(struct run *r)
{
	exchange_free(r->exchange);
	codec_verifier_free(r->verifier);
	for (size_t i = 0; r->zone != NULL && i < r->s->n_zones; i++)
		codec_zone_free(r->zone[i].keys);
	for (size_t i = 0; r->keys != NULL && i < r->s->n_zones; i++)
		free(r->keys[i]);
	free(r->zone);
	free(r->keys);
	free(r->name);
	free(r->job);
}

enum status survey_query(struct survey *s, const struct lookup *const ds[],
	const struct survey_limits *lim, struct err *err)
{
	struct run r = { .s = s, .ds = ds, .lim = lim };
	struct exchange_limits xlim = { .deadline_ms = lim->deadline_ms,
		.try_ms = lim->udp_ms,
		.tries = lim->udp_tries,
		.tcp_ms = lim->tcp_ms };
	enum status st = codec_verifier_new(lim->wall_s, &r.verifier, err);

	if (st == ST_OK)
		st = exchange_new(&xlim, done, &r, &r.exchange, err);
	if (st == ST_OK)
		st = prepare_zones(&r, err);
	if (st == ST_OK)
		st = prepare_all(&r, err);
	if (st == ST_OK)
		st = exchange_run(r.exchange, err);
	if (st == ST_OK) {
		complete_truncated(s);
		for (size_t i = 0; i < s->n_zones; i++)
			survey_compare_ds(&s->zone[i], ds[i], r.keys[i]);
	}
	run_release(&r);
	return st;
}
