/*
 * Promote: symlink, reload, probe; and back again when the probe says so.
 * The record of the key that was live stays published during all of this, so
 * that at any instant whatever a server presents is matched. (law 1 and 2)
 */
#include "hook/act.h"

#include "hook/base/auto.h"
#include "hook/base/log.h"
#include "hook/base/proc.h"
#include "hook/plan_ready.h"
#include "hook/sense.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOOK_VERIFY_MS INT64_C(20000)
#define RETRY_FIRST_MS (INT64_C(3600) * 1000)
#define RETRY_MAX_MS (INT64_C(86400) * 1000)

/* "a b c" of the names in a generation's certificate, for the reload
 * commands. */
static enum status domains_of(
	struct session *s, unsigned gen, struct buf *ret, struct err *err)
{
	auto_buf key = BUF_INIT(64 * 1024);
	auto_buf chain = BUF_INIT(1024 * 1024);
	struct cert_info info = { .n_names = 0 };
	enum status st = store_gen_read(s->sl, gen, &key, &chain, err);

	if (st == ST_OK)
		st = cert_info_read(buf_str(&chain), chain.len, &info, err);
	for (size_t i = 0; st == ST_OK && i < info.n_names; i++)
		st = buf_printf(
			ret, err, "%s%s", i > 0 ? " " : "", info.names[i]);
	cert_info_release(&info);
	return st;
}

static enum status run_reload(struct session *s, const char *command,
	const char *const envp[], struct err *err)
{
	struct proc_limits lim = {
		.timeout_ms = s->cl->reload_timeout * 1000,
		.output_max = 16 * 1024,
	};
	struct proc_result r = { .output = NULL };
	char text[300];
	enum status st = proc_shell(command, envp, &lim, &r, err);

	if (st == ST_OK && (r.timed_out || r.exit_status != 0))
		st = err_set(err, ST_REFUSED, "reload command \"%s\": %s",
			command, proc_describe(&r, text, sizeof(text)));
	proc_release(&r);
	return st;
}

static enum status reload(struct session *s, unsigned gen, struct err *err)
{
	auto_buf dom = BUF_INIT(64 * 1024);
	auto_buf e1 = BUF_INIT(1024), e2 = BUF_INIT(8192);
	auto_buf e3 = BUF_INIT(66 * 1024);
	const char *envp[4];
	enum status st = domains_of(s, gen, &dom, err);

	if (st == ST_OK)
		st = buf_printf(&e1, err, "DANELAW_LINEAGE=%s", s->cl->name);
	if (st == ST_OK)
		st = buf_printf(
			&e2, err, "DANELAW_LIVE=%s", store_live_path(s->sl));
	if (st == ST_OK)
		st = buf_printf(&e3, err, "DANELAW_DOMAINS=%s", buf_str(&dom));
	if (st != ST_OK)
		return st;
	envp[0] = buf_str(&e1);
	envp[1] = buf_str(&e2);
	envp[2] = buf_str(&e3);
	envp[3] = NULL;
	for (char **c = s->cl->reload; c != NULL && *c != NULL; c++) {
		st = run_reload(s, *c, envp, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static int64_t verify_ms(const struct session *s)
{
	int64_t ms = s->cl->verify_timeout * 1000;

	if (s->e->mode == MODE_HOOK && ms > HOOK_VERIFY_MS)
		ms = HOOK_VERIFY_MS;
	return ms;
}

/* Probes until every endpoint serves the key, or the time is up. *ret_stale:
 * the key is right but the certificate is still the old one. */
static enum status verify(struct session *s, const struct state_gen *g,
	bool *ret_good, bool *ret_stale, struct err *err)
{
	int64_t until = clock_mono_ms() + verify_ms(s);
	int pause = 50;

	for (;;) {
		enum status st = sense_probe(
			s, &g->spki, g->not_after_s, ret_stale, err);

		/* Who looks for us is gone: nobody knows what is served. */
		if (st == ST_RETRY) {
			s->obs.probe = PROBED_UNKNOWN;
			(void)snprintf(s->obs.probe_why,
				sizeof(s->obs.probe_why), "%s", err->text);
			*ret_good = false;
			return ST_OK;
		}
		if (st != ST_OK)
			return st;
		*ret_good = s->obs.probe == PROBED_ALL;
		if ((*ret_good && !*ret_stale) || clock_mono_ms() >= until)
			return ST_OK;
		(void)poll(NULL, 0, pause);
		if (pause < 1000)
			pause *= 2;
	}
}

/* ---- roll back ---- */

static void note_failed(
	struct session *s, struct state_gen *g, const char *why, int64_t now)
{
	int64_t pause = RETRY_FIRST_MS;

	if (g == NULL)
		return;
	for (unsigned i = 0; i < g->rollbacks && pause < RETRY_MAX_MS; i++)
		pause *= 2;
	g->rollbacks++;
	g->retry_ms = now + (pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
	s->st.rolled_back_gen = g->n;
	(void)snprintf(s->st.rolled_back_why, sizeof(s->st.rolled_back_why),
		"%s", why);
}

/* back to to_gen; blame: the promotion itself failed (back-off, alert), as
 * opposed to one that was interrupted and is not ready any more. */
static enum status go_back(struct session *s, unsigned gen, unsigned to_gen,
	bool blame, const char *why, struct err *err)
{
	const struct state_gen *to;
	bool good = false, stale = false;
	struct err trouble = ERR_INIT, unsaved = ERR_INIT;
	int64_t now = s->st.clock.trusted_ms;
	char reason[STATE_WHY_MAX];
	enum status st, saved;

	/* why may be what the next probe overwrites */
	(void)snprintf(reason, sizeof(reason), "%s", why);
	/* asked for once, not until it works */
	s->obs.retry_asked = false;
	s->st.intent = (struct intent){
		.kind = INTENT_ROLL_BACK,
		.gen = gen,
		.to_gen = to_gen,
		.since_ms = now,
	};
	if (blame)
		note_failed(s, state_gen_find(&s->st, gen), reason, now);
	/* Not saved (disk full?): go back all the same. The promotion's intent
	 * is on disk, so the next run looks again. */
	saved = session_commit(s, &unsaved);
	st = store_live_set(s->sl, to_gen, err);
	if (st != ST_OK)
		return st;
	if (reload(s, to_gen, &trouble) != ST_OK)
		log_event(LOG_ALERT_L, "reload-failed",
			"lineage=%s error=%s action=%s", log_quote(s->cl->name),
			log_quote(trouble.text),
			log_quote("rolling back: look at the mail software"));
	to = state_gen_find(&s->st, to_gen);
	st = verify(s, to, &good, &stale, err);
	if (st != ST_OK)
		return st;
	if (!good)
		log_event(LOG_ALERT_L, "roll-back-unverified",
			"lineage=%s why=%s", log_quote(s->cl->name),
			log_quote(s->obs.probe_why));
	if (saved != ST_OK) {
		*err = unsaved;
		return saved;
	}
	s->st.verified_first_ms = 0;
	s->st.intent = (struct intent){ .kind = INTENT_NONE };
	st = session_commit(s, err);
	if (st != ST_OK)
		return st;
	session_event(s, "rolled-back", NULL, gen, reason);
	return ST_OK;
}

/* The promotion failed: back, unless senders can miss the record of the key
 * that was live before. Then its key stays, which all of them can match, and
 * with the intent on disk the plan tries the switch again after a pause. */
static enum status undo(struct session *s, struct state_gen *g, unsigned from,
	const char *why, struct err *err)
{
	const struct state_gen *to = state_gen_find(&s->st, from);
	const struct state_key *k = state_key_find(&s->st, &to->spki);
	int64_t now = s->st.clock.trusted_ms;
	char missed[STATE_WHY_MAX];

	if (k == NULL || spki_eq(&k->spki, &g->spki) ||
		!can_be_missed(&s->st, &s->obs, &s->policy, k, now, missed))
		return go_back(s, g->n, from, true, why, err);
	log_event(LOG_ALERT_L, "not-verified",
		"lineage=%s generation=%u why=%s action=%s",
		log_quote(s->cl->name), g->n, log_quote(why),
		log_quote("not rolled back, because senders can miss the key "
			  "that was live before; tried again by itself"));
	s->obs.retry_asked = false;
	note_failed(s, g, why, now);
	return session_commit(s, err);
}

enum status act_roll_back(
	struct session *s, const struct action *a, struct err *err)
{
	if (state_gen_find(&s->st, a->to_gen) == NULL)
		return err_set(err, ST_BUG, "no generation %u to go back to",
			a->to_gen);
	/* Blame, if any, was noted by the run that was interrupted. */
	return go_back(s, a->gen, a->to_gen, false, a->why, err);
}

/* ---- promote ---- */

/* The key is live. What was live before, and candidates that are older than
 * it, keep their records until they are seen served nowhere. */
static void change_roles(
	struct session *s, const struct state_gen *g, int64_t now)
{
	struct state_key *k = state_key_find(&s->st, &g->spki);

	for (size_t i = 0; i < s->st.n_keys; i++) {
		struct state_key *o = &s->st.key[i];
		const struct state_gen *og = state_gen_of(&s->st, &o->spki);

		if (o == k)
			continue;
		if (o->role == KEY_CURRENT ||
			(o->role == KEY_CANDIDATE &&
				(og == NULL || og->n < g->n)))
			plan_supersede(&s->st, o, now);
	}
	if (k->role != KEY_CURRENT) {
		plan_set_role(&s->st, k, KEY_CURRENT, now);
		k->live_ms = now;
	}
}

static enum status promoted(struct session *s, const struct state_gen *g,
	bool verified, const char *why, struct err *err)
{
	int64_t now;
	unsigned n = g->n;
	struct spki spki = g->spki;
	enum status st = session_clock(s, &now, err);

	if (st != ST_OK)
		return st;
	change_roles(s, g, now);
	s->st.live_gen = n;
	s->st.rolled_back_gen = 0;
	s->st.rolled_back_why[0] = '\0';
	s->st.verified_first_ms = verified ? now : 0;
	s->st.verified_ms = verified ? now : 0;
	s->st.intent = (struct intent){ .kind = INTENT_NONE };
	st = session_commit(s, err);
	if (st == ST_OK)
		session_event(s, "live", &spki, n, why);
	/* A later decision must look again. */
	session_forget_probe(s);
	s->obs.unfit = 0;
	return st;
}

static bool is_adopted(const struct session *s)
{
	for (size_t i = 0; i < s->st.n_owners; i++)
		if (owner_is_published(&s->st, i))
			return true;
	return false;
}

/* Before the first publication no record of ours can be broken, and nobody
 * need read live/ yet: the files change, no probe decides. */
static enum status unpublished(struct session *s, const struct state_gen *g,
	bool first, const char *why, struct err *err)
{
	struct err trouble = ERR_INIT;
	enum status st = store_live_set(s->sl, g->n, err);

	if (st != ST_OK)
		return st;
	if (!first && reload(s, g->n, &trouble) != ST_OK)
		log_event(LOG_ALERT_L, "reload-failed", "lineage=%s error=%s",
			log_quote(s->cl->name), log_quote(trouble.text));
	return promoted(s, g, false, why, err);
}

enum status act_promote(
	struct session *s, const struct action *a, struct err *err)
{
	struct state_gen *g = state_gen_find(&s->st, a->gen);
	unsigned from = s->st.live_gen;
	bool good = false, stale = false, same_key;
	struct err trouble = ERR_INIT;
	int64_t now = s->st.clock.trusted_ms;
	enum status st;

	if (g == NULL)
		return err_set(err, ST_BUG, "no generation %u", a->gen);
	same_key = from != 0 &&
		   spki_eq(&state_gen_find(&s->st, from)->spki, &g->spki);
	s->st.intent = (struct intent){
		.kind = INTENT_PROMOTE,
		.gen = g->n,
		.to_gen = from,
		.spki = g->spki,
		.since_ms = now,
	};
	g->tried_ms = now;
	st = session_commit(s, err);
	if (st != ST_OK)
		return st;
	if (from == 0 || (same_key && !is_adopted(s)))
		return unpublished(s, g, from == 0, a->why, err);
	st = store_live_set(s->sl, g->n, err);
	if (st != ST_OK)
		return st;
	if (reload(s, g->n, &trouble) != ST_OK)
		return undo(s, g, from, trouble.text, err);
	st = verify(s, g, &good, &stale, err);
	if (st != ST_OK)
		return st;
	/* On the same key an endpoint that is down is no reason to go back. */
	if (!good && !(same_key && s->obs.probe == PROBED_UNKNOWN))
		return undo(s, g, from, s->obs.probe_why, err);
	if (stale)
		log_event(LOG_WARN_L, "old-certificate", "lineage=%s why=%s",
			log_quote(s->cl->name),
			log_quote("the key is right, but an endpoint still "
				  "serves the previous certificate: does it "
				  "read live/, and did it reload?"));
	return promoted(s, g, good && !same_key, a->why, err);
}
