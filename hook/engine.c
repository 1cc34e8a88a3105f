/*
 * The loop. Lineages are worked on in chunks: each one decides and acts until
 * it needs to know what the name servers serve; then all of the chunk are
 * swept at once; and so on until each rests. One broken lineage never stops
 * another.
 */
#include "hook/engine.h"

#include "hook/act.h"
#include "hook/base/log.h"
#include "hook/plan_ready.h"
#include "hook/sense.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 128
/* No honest pass takes this many actions; more is a bug, and a loop. */
#define STEPS_MAX 64
/* A decision may rest on a sweep that ended this long ago. */
#define SWEEP_FRESH_MS 10000
#define LOCK_WAIT_RUN_MS 2000
#define LOCK_WAIT_HOOK_MS 200

static struct policy policy_of(const struct engine *e,
	const struct cfg_lineage *cl)
{
	const struct timing *t = &e->cfg->timing;

	return (struct policy){
		.wait_ttls = t->wait_ttls,
		.assumed_prior_ttl = t->assumed_prior_ttl,
		.ttl_floor = t->ttl_floor,
		.min_wait = t->min_wait,
		.poll_max = t->poll_max,
		.retire_after = cl->retire_after,
		.issue_csr = cl->issue == ISSUE_CSR && e->mode != MODE_HOOK,
		.key_max_age = cl->key_max_age,
		.proceed_insecure = cl->proceed_insecure,
		.promote_at_expiry = cl->promote_at_expiry,
		.have_key_alg = cl->have_key,
		.key_alg = cl->key,
	};
}

/* ---- opening and closing ---- */

/* The loser of the lock leaves news and tries once more: the holder may have
 * looked for news just before and let go since. */
static enum status lock(struct session *s, struct err *err)
{
	const char *name = s->cl->name;
	int64_t wait = s->e->mode == MODE_HOOK ? LOCK_WAIT_HOOK_MS
					       : LOCK_WAIT_RUN_MS;
	enum status st = store_lock(
		s->e->store, name, wait, &s->sl, &s->st, err);

	if (st != ST_BUSY)
		return st;
	st = store_news_leave(s->e->store, name, err);
	if (st != ST_OK)
		return st;
	return store_lock(s->e->store, name, 0, &s->sl, &s->st, err);
}

static void prepare_observation(struct session *s)
{
	s->obs.renew_asked = s->e->renew_asked;
	s->obs.retry_asked = s->e->retry_asked;
	if (s->policy.issue_csr)
		s->obs.can_issue = issue_possible_here(s->cl->certbot_command,
			s->cl->certbot, &s->e->certbot_major);
	if (s->obs.can_issue && s->st.live_gen != 0) {
		const struct state_gen *g =
			state_gen_find(&s->st, s->st.live_gen);
		int64_t life = g->not_after_s - g->not_before_s;

		s->obs.certbot_renews_s = s->e->certbot_major > 0 &&
				s->e->certbot_major < 4
			? INT64_C(30) * 86400
			: (life < INT64_C(10) * 86400 ? life / 2 : life / 3);
	}
}

static void close_session(struct session *s)
{
	if (s->sl == NULL)
		return;
	session_forget_sweep(s);
	if (s->have_found)
		lineage_version_release(&s->found);
	store_unlock(s->sl);
	state_release(&s->st);
	s->sl = NULL;
}

static enum status open_session(
	struct session *s, struct engine *e, const struct cfg_lineage *cl,
	struct err *err)
{
	int64_t now;
	enum status st;

	memset(s, 0, sizeof(*s));
	s->e = e;
	s->cl = cl;
	s->policy = policy_of(e, cl);
	st = lock(s, err);
	if (st != ST_OK)
		return st;
	st = session_clock(s, &now, err);
	if (st == ST_OK)
		st = state_set_owners(&s->st,
			(const char(*)[DNS_NAME_MAX])cl->owner, cl->n_owners,
			err);
	(void)store_news_take(s->sl);
	if (st == ST_OK)
		st = act_clean_up(s, err);
	if (st == ST_OK)
		st = sense_lineage(s, err);
	if (st == ST_OK)
		prepare_observation(s);
	if (st != ST_OK)
		close_session(s);
	return st;
}

static void fail(struct session *s, const struct err *err)
{
	s->failed = s->done = true;
	s->fail = *err;
}

/* ---- one lineage until it needs a sweep or rests ---- */

/* In the hook only what is new matters: a key whose record is not out. */
static bool hook_needs_sweep(const struct session *s)
{
	for (size_t k = 0; k < s->st.n_keys; k++) {
		const struct state_key *key = &s->st.key[k];
		const struct state_gen *g = state_gen_of(&s->st, &key->spki);

		if (key->role == KEY_CANDIDATE ||
			(key->role == KEY_NEXT && g != NULL &&
				g->n > s->st.live_gen))
			return true;
		for (size_t i = 0; i < s->st.n_owners; i++)
			if (key->role != KEY_RETIRED &&
				key->at[i].rec == REC_HIDDEN)
				return true;
	}
	return false;
}

/* The hook leaves to the timer what can wait, and what certbot's own lock
 * forbids. */
static bool hook_leaves(const struct session *s, const struct action *a)
{
	if (s->e->mode != MODE_HOOK)
		return false;
	if (clock_mono_ms() >= s->e->deadline_mono_ms)
		return a->kind != ACT_ROLL_BACK;
	if (a->kind == ACT_SWEEP)
		return !hook_needs_sweep(s);
	return a->kind == ACT_IMPORT || a->kind == ACT_ISSUE ||
		a->kind == ACT_FORGET || a->kind == ACT_RETIRE;
}

static enum status do_probe(
	struct session *s, const struct action *a, struct err *err)
{
	const struct state_key *cur = state_key_role(&s->st, KEY_CURRENT);
	bool stale;
	int64_t now;
	enum status st = sense_probe(s, &a->spki, 0, &stale, err);

	if (st == ST_OK)
		st = session_clock(s, &now, err);
	if (st != ST_OK)
		return st;
	if (s->obs.probe == PROBED_ALL && spki_eq(&cur->spki, &a->spki)) {
		s->st.verified_ms = now;
		if (s->st.verified_first_ms == 0)
			s->st.verified_first_ms = now;
	} else if (s->obs.probe != PROBED_UNKNOWN) {
		s->st.verified_first_ms = 0;
	}
	return session_commit(s, err);
}

static void rest(struct session *s, const struct action *a)
{
	s->action = *a;
	s->done = true;
}

/* Issuing or a slow probe took long: what was swept before is not "now". */
static void drop_old_sweep(struct session *s)
{
	if (s->obs.swept &&
		clock_mono_ms() - s->swept_mono_ms > SWEEP_FRESH_MS)
		session_forget_sweep(s);
}

/* True: wants what is done for many at once, a sweep or a publication. */
static bool advance(struct session *s)
{
	struct err err = ERR_INIT;

	while (!s->done) {
		struct action a;
		int64_t now;
		enum status st = session_clock(s, &now, &err);

		if (st == ST_OK && s->steps++ > STEPS_MAX)
			st = err_set(&err, ST_BUG,
				"%s: the decision does not come to rest (last: "
				"%s)",
				s->cl->name, s->action.why);
		if (st != ST_OK) {
			fail(s, &err);
			return false;
		}
		drop_old_sweep(s);
		sense_fitness(s);
		a = plan_next(&s->st, &s->obs, &s->policy, now);
		s->action = a;
		log_event(LOG_DEBUG_L, "plan", "lineage=%s action=%s why=%s",
			log_quote(s->cl->name), action_name(a.kind),
			log_quote(a.why));
		if (a.kind == ACT_WAIT || a.kind == ACT_HOLD ||
			hook_leaves(s, &a)) {
			rest(s, &a);
			return false;
		}
		if (a.kind == ACT_SWEEP || a.kind == ACT_PUBLISH)
			return true;
		st = a.kind == ACT_PROBE ? do_probe(s, &a, &err)
					 : act_on(s, &a, &err);
		/* It may have mended what was found torn. */
		if (st == ST_OK && a.kind == ACT_IMPORT)
			st = sense_lineage(s, &err);
		if (st != ST_OK)
			fail(s, &err);
	}
	return false;
}

/* ---- reports ---- */

static const struct state_key *pending_key(const struct session *s)
{
	for (size_t i = 0; i < s->st.n_keys; i++) {
		const struct state_key *k = &s->st.key[i];
		const struct state_gen *g = state_gen_of(&s->st, &k->spki);

		if (g != NULL && g->n > s->st.live_gen &&
			k->role != KEY_RETIRED && k->role != KEY_PREVIOUS)
			return k;
	}
	return NULL;
}

static void count_servers(const struct session *s, const struct state_key *k,
	struct engine_report *r)
{
	for (size_t i = 0; s->obs.swept && i < s->st.n_owners; i++) {
		for (size_t n = 0; n < s->owner[i].n; n++) {
			const struct obs_answer *an = &s->owner[i].answer[n];

			if (an->verdict == OBS_UNTESTABLE ||
				an->verdict == OBS_IGNORED)
				continue;
			r->servers++;
			if (an->verdict == OBS_GOOD &&
				(an->has >> (k - s->st.key) & 1) != 0)
				r->agree++;
			else if (r->waiting_for[0] == '\0')
				(void)snprintf(r->waiting_for,
					sizeof(r->waiting_for), "%s",
					an->server);
		}
	}
}

static void report_progress(
	const struct session *s, struct engine_report *r, int64_t now)
{
	const struct state_key *k = pending_key(s);
	int64_t mono = clock_mono_ms();
	int64_t ready, since = 0;

	r->pending = r->certificate_waits = k != NULL;
	if (k == NULL)
		k = state_key_role(&s->st, KEY_CURRENT);
	if (k == NULL)
		return;
	/* The first publication is on its way. */
	for (size_t i = 0; i < s->st.n_owners; i++) {
		if (k->at[i].since_ms > since)
			since = k->at[i].since_ms;
		if (s->st.owner[i].publish_ms != 0 &&
			k->at[i].since_ms == 0)
			r->pending = true;
	}
	count_servers(s, k, r);
	ready = plan_ready_ms(&s->st, k, &s->policy);
	if (ready >= 0) {
		r->ready_mono_ms = mono + ready - now;
		r->since_mono_ms = mono + since - now;
	}
}

static void report(struct session *s, struct engine_report *r)
{
	int64_t now = s->st.clock.trusted_ms;
	struct err err = ERR_INIT;
	bool said;

	r->action = s->action;
	if (s->failed) {
		r->failed = true;
		r->err = s->fail;
		log_event(LOG_ALERT_L, "failed", "lineage=%s error=%s",
			log_quote(s->cl->name), log_quote(s->fail.text));
		return;
	}
	r->wake_wall_ms = session_wall_ms(s, s->action.until_ms);
	r->wake_mono_ms = clock_mono_ms() + s->action.until_ms - now;
	report_progress(s, r, now);
	(void)snprintf(s->st.doing, sizeof(s->st.doing), "%s",
		action_name(s->action.kind));
	/* Said once by a run that stays, each time by a run of its own. */
	r->news = strcmp(s->st.why, s->action.why) != 0;
	said = s->e->again && !r->news;
	(void)snprintf(s->st.why, sizeof(s->st.why), "%s", s->action.why);
	s->st.alert = s->action.kind == ACT_HOLD;
	s->st.wake_ms = s->action.until_ms;
	if (s->action.kind == ACT_HOLD && !said)
		log_event(LOG_ALERT_L, "hold", "lineage=%s why=%s",
			log_quote(s->cl->name), log_quote(s->action.why));
	if (session_commit(s, &err) != ST_OK) {
		r->failed = true;
		r->err = err;
		log_event(LOG_ALERT_L, "failed", "lineage=%s error=%s",
			log_quote(s->cl->name), log_quote(err.text));
	}
}

/* ---- a chunk ---- */

/* Somebody lost the lock to us and left news: look at the lineage again. */
static bool reopened_by_news(struct session *s)
{
	struct err err = ERR_INIT;

	if (s->failed || !store_news_take(s->sl))
		return false;
	if (sense_lineage(s, &err) != ST_OK) {
		fail(s, &err);
		return false;
	}
	s->done = false;
	return s->obs.lineage.fresh;
}

static bool wants(const struct session *s, enum action_kind kind)
{
	return s->sl != NULL && !s->done && s->action.kind == kind;
}

/* True: somebody published, and may go on. */
static bool publish_those(struct session *all, size_t n)
{
	struct session *want[CHUNK];
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (wants(&all[i], ACT_PUBLISH))
			want[m++] = &all[i];
	if (m == 0)
		return false;
	act_publish(want, m);
	for (size_t i = 0; i < m; i++)
		want[i]->done |= want[i]->failed;
	return true;
}

static enum status sweep_those(struct engine *e, struct session *all, size_t n,
	struct err *err)
{
	struct session *want[CHUNK];
	size_t m = 0;
	enum status st;

	for (size_t i = 0; i < n; i++)
		if (wants(&all[i], ACT_SWEEP))
			want[m++] = &all[i];
	st = sense_sweep(e, want, m, err);
	if (st == ST_NOMEM || st == ST_BUG)
		return st;
	for (size_t i = 0; i < m; i++) {
		struct err own = ERR_INIT;

		if (st != ST_OK)
			fail(want[i], err);
		else if (want[i]->failed)
			want[i]->done = true;
		else if (session_commit(want[i], &own) != ST_OK)
			fail(want[i], &own);
	}
	return ST_OK;
}

static enum status rounds(struct engine *e, struct session *all, size_t n,
	struct err *err)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			if (all[i].sl == NULL)
				continue;
			if (advance(&all[i]))
				more = true;
			else if (reopened_by_news(&all[i]) && advance(&all[i]))
				more = true;
		}
		/* Who publishes wants a sweep next: let all catch up first. */
		if (more && !publish_those(all, n)) {
			enum status st = sweep_those(e, all, n, err);

			if (st != ST_OK)
				return st;
		}
	}
	return ST_OK;
}

static enum status chunk(struct engine *e,
	const struct cfg_lineage *const lineages[], size_t n,
	struct engine_report *rep, struct err *err)
{
	struct session *all = calloc(n, sizeof(*all));
	enum status st;

	if (all == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		memset(&rep[i], 0, sizeof(rep[i]));
		rep[i].cl = lineages[i];
		st = open_session(&all[i], e, lineages[i], &rep[i].err);
		if (st == ST_OK)
			continue;
		rep[i].busy = st == ST_BUSY;
		rep[i].failed = st != ST_BUSY;
		if (st != ST_BUSY)
			log_event(LOG_ALERT_L, "failed",
				"lineage=%s error=%s",
				log_quote(lineages[i]->name),
				log_quote(rep[i].err.text));
	}
	st = rounds(e, all, n, err);
	for (size_t i = 0; i < n; i++) {
		if (all[i].sl != NULL && st == ST_OK)
			report(&all[i], &rep[i]);
		close_session(&all[i]);
	}
	free(all);
	return st;
}

/* By name from its end: what is in one zone stands together, so that a chunk
 * asks and changes few zones. */
static int by_zone(const void *va, const void *vb)
{
	const struct cfg_lineage *const *la = va, *const *lb = vb;
	const char *a = (*la)->owner[0], *b = (*lb)->owner[0];
	size_t n = strlen(a), m = strlen(b);

	while (n > 0 && m > 0 && a[n - 1] == b[m - 1]) {
		n--;
		m--;
	}
	if (n == 0 || m == 0)
		return (n > m) - (n < m);
	return a[n - 1] < b[m - 1] ? -1 : 1;
}

static size_t place_of(const struct cfg_lineage *const lineages[],
	const struct cfg_lineage *cl)
{
	size_t i = 0;

	while (lineages[i] != cl)
		i++;
	return i;
}

enum status engine_pass(struct engine *e,
	const struct cfg_lineage *const lineages[], size_t n,
	struct engine_report *rep, struct err *err)
{
	const struct cfg_lineage **order = calloc(n + 1, sizeof(*order));
	struct engine_report *r =
		calloc(n < CHUNK ? n + 1 : CHUNK, sizeof(*r));
	enum status st = ST_OK;

	if (order == NULL || r == NULL)
		st = err_set(err, ST_NOMEM, "out of memory");
	else
		memcpy(order, lineages, n * sizeof(*order));
	if (st == ST_OK)
		qsort(order, n, sizeof(*order), by_zone);
	for (size_t i = 0; i < n && st == ST_OK; i += CHUNK) {
		size_t m = n - i < CHUNK ? n - i : CHUNK;

		st = chunk(e, order + i, m, r, err);
		for (size_t j = 0; j < m && st == ST_OK; j++)
			rep[place_of(lineages, order[i + j])] = r[j];
	}
	free(order);
	free(r);
	return st;
}

void engine_release(struct engine *e)
{
	free(e->owner_ref);
	e->owner_ref = NULL;
	e->n_owner_refs = 0;
}

/* ---- exit status (design.md) ---- */

int engine_exit_of(enum status st)
{
	switch (st) {
	case ST_OK:
		return 0;
	case ST_RETRY:
	case ST_CONFLICT:
	case ST_BUSY:
		return 4;
	case ST_CONFIG:
		return 2;
	case ST_NOTFOUND:
	case ST_DENIED:
	case ST_REFUSED:
	case ST_IO:
	case ST_NOMEM:
	case ST_BUG:
	case ST__COUNT:
		break;
	}
	return 1;
}

int engine_exit(const struct engine_report *r)
{
	if (r->busy)
		return 0; /* news were left; the holder does the work */
	if (r->failed)
		return engine_exit_of(r->err.st);
	if (r->action.outage)
		return 3;
	if (r->action.temporary)
		return 4;
	return r->action.kind == ACT_HOLD ? 1 : 0;
}

/* Outage beats everything, then what needs a person, then what passes. */
int engine_worse(int a, int b)
{
	static const int rank[] = { [0] = 0, [4] = 1, [1] = 2, [2] = 3,
		[3] = 4 };

	return rank[a] >= rank[b] ? a : b;
}
