/*
 * Act: a certificate on a key of ours through certbot --csr, and its import
 * into certbot's lineage. A failure never costs a key: it is noted, and tried
 * again after 1, 10, 100 minutes, then daily. (certbot.md 4, 8; dane.md D13)
 */
#include "hook/act.h"

#include "hook/base/auto.h"
#include "hook/base/log.h"
#include "hook/base/proc.h"
#include "hook/issue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)
#define DAY_MS INT64_C(86400000)

bool issue_possible_here(
	const char *certbot, const char *live_dir, int64_t *major)
{
	const char *argv[] = { certbot, "--version", NULL };
	struct proc_limits lim = { .timeout_ms = 20000, .output_max = 4096 };
	struct proc_result r = { .output = NULL };
	struct err err = ERR_INIT;
	char *dir = NULL;
	const char *p;

	if (lineage_config_dir(live_dir, &dir, &err) != ST_OK)
		return false;
	free(dir);
	if (*major != 0)
		return *major > 0;
	*major = -1;
	if (proc_run(argv, NULL, &lim, &r, &err) == ST_OK &&
		r.exit_status == 0 && r.output != NULL) {
		p = strstr(r.output, "certbot ");
		*major = p != NULL ? strtol(p + 8, NULL, 10) : 0;
		if (*major <= 0)
			*major = 1; /* there, but of unknown version */
	}
	proc_release(&r);
	return *major > 0;
}

static void note_failure(struct session *s, const struct err *err, int64_t now)
{
	int64_t pause = MINUTE_MS;

	if (err->st != ST_BUSY) {
		for (unsigned i = 0; i < s->st.issue_tries && pause < DAY_MS;
			i++)
			pause *= 10;
		s->st.issue_tries++;
	}
	s->st.issue_retry_ms = now + (pause < DAY_MS ? pause : DAY_MS);
	(void)snprintf(
		s->st.issue_why, sizeof(s->st.issue_why), "%s", err->text);
	log_event(err->st == ST_BUSY ? LOG_WARN_L : LOG_ALERT_L, "issue-failed",
		"lineage=%s error=%s action=%s", log_quote(s->cl->name),
		log_quote(err->text),
		log_quote("the live certificate stays; tried again later"));
}

static void forget_failures(struct session *s)
{
	s->st.issue_tries = 0;
	s->st.issue_retry_ms = 0;
	s->st.issue_why[0] = '\0';
}

/* The oldest slot of the ring. */
static void count_attempt(struct session *s, int64_t now)
{
	size_t oldest = 0;

	for (size_t i = 1; i < 8; i++)
		if (s->st.issued_ms[i] < s->st.issued_ms[oldest])
			oldest = i;
	s->st.issued_ms[oldest] = now;
}

/* The names of the live certificate are the names of the next one. */
static enum status live_names(
	struct session *s, struct cert_info *ret, struct err *err)
{
	auto_buf key = BUF_INIT(64 * 1024);
	auto_buf chain = BUF_INIT(1024 * 1024);
	enum status st =
		store_gen_read(s->sl, s->st.live_gen, &key, &chain, err);

	return st != ST_OK
		       ? st
		       : cert_info_read(buf_str(&chain), chain.len, ret, err);
}

static enum status ask(struct session *s, const struct key *key,
	struct issue_result *ret, struct err *err)
{
	struct cert_info info = { .n_names = 0 };
	const char **names = NULL;
	char *scratch = NULL;
	struct issue_request rq = {
		.key = key,
		.live_dir = s->cl->certbot,
		.certbot = s->cl->certbot_command,
		.options = (const char *const *)s->cl->certbot_options,
		.now_s = s->obs.wall_s,
	};
	enum status st = live_names(s, &info, err);

	if (st == ST_OK && info.n_other_names > 0)
		st = err_set(err, ST_REFUSED,
			"the live certificate has names that are not DNS "
			"names: set issue = \"hook\", certbot renews it");
	if (st == ST_OK) {
		names = calloc(info.n_names + 1, sizeof(*names));
		if (names == NULL)
			st = err_set(err, ST_NOMEM, "out of memory");
	}
	if (st == ST_OK)
		st = store_scratch(s->sl, &scratch, err);
	if (st == ST_OK) {
		for (size_t i = 0; i < info.n_names; i++)
			names[i] = info.names[i];
		rq.names = names;
		rq.n_names = info.n_names;
		rq.must_staple = info.must_staple;
		rq.scratch = scratch;
		st = issue_csr(&rq, ret, err);
		store_scratch_remove(s->sl, scratch);
	}
	free(scratch);
	free(names);
	cert_info_release(&info);
	return st;
}

/* What was delivered becomes a generation. */
static enum status store_issued(struct session *s, const struct key *key,
	struct issue_result *r, int64_t now, struct err *err)
{
	struct lineage_version v = {
		.key = BUF_INIT(64 * 1024),
		.cert = r->cert,
		.chain = r->chain,
		.fullchain = r->fullchain,
		.leaf = r->leaf,
	};
	enum status st = key_to_pem(key, &v.key, err);

	if (st == ST_OK)
		st = act_add_generation(s, &v, GEN_CSR, now, err);
	buf_release(&v.key);
	return st;
}

/* Counted with the intent: whoever kills us while certbot is at work, again
 * and again, must not use up the rate limit. Taken back when the CA was never
 * reached. */
static enum status ask_counted(struct session *s, const struct key *key,
	struct issue_result *ret, struct err *err)
{
	int64_t before[8];
	enum status st;

	memcpy(before, s->st.issued_ms, sizeof(before));
	count_attempt(s, s->st.clock.trusted_ms);
	st = session_commit(s, err);
	if (st == ST_OK)
		st = ask(s, key, ret, err);
	if (!ret->reached_ca)
		memcpy(s->st.issued_ms, before, sizeof(before));
	return st;
}

enum status act_issue(
	struct session *s, const struct action *a, struct err *err)
{
	int64_t now = s->st.clock.trusted_ms;
	struct issue_result r = { .reached_ca = false };
	struct err trouble = ERR_INIT;
	struct key *key = NULL;
	enum status st, saved;
	bool asked = s->obs.renew_asked;

	st = store_key_load(s->sl, &a->spki, &key, err);
	if (st != ST_OK)
		return st;
	s->st.intent = (struct intent){
		.kind = INTENT_ISSUE, .spki = a->spki, .since_ms = now
	};
	st = ask_counted(s, key, &r, &trouble);
	if (session_clock(s, &now, err) != ST_OK)
		now = s->st.clock.trusted_ms;
	s->obs.renew_asked = false;
	if (st == ST_OK)
		st = store_issued(s, key, &r, now, &trouble);
	key_free(key);
	issue_result_release(&r);
	s->st.intent = (struct intent){ .kind = INTENT_NONE };
	if (st == ST_OK)
		forget_failures(s);
	else
		note_failure(s, &trouble, now);
	/* Also what our own disk refused: or the next run asks again at once.
	 */
	saved = session_commit(s, err);
	if (st == ST_IO || st == ST_NOMEM || (st != ST_OK && asked)) {
		*err = trouble;
		return st; /* who asked for it wants to know */
	}
	if (saved == ST_OK && st == ST_OK)
		session_event(
			s, "issued", &a->spki, s->st.next_gen - 1, a->why);
	return saved;
}

static enum status import(struct session *s, struct state_gen *g,
	unsigned *ret_n, struct err *err)
{
	auto_buf key = BUF_INIT(64 * 1024);
	auto_buf full = BUF_INIT(1024 * 1024);
	auto_buf leaf = BUF_INIT(64 * 1024);
	auto_buf rest = BUF_INIT(1024 * 1024);
	enum status st = store_gen_read(s->sl, g->n, &key, &full, err);

	if (st == ST_OK)
		st = cert_split(buf_str(&full), full.len, &leaf, &rest, err);
	if (st == ST_OK)
		st = lineage_import(
			s->cl->certbot, &key, &leaf, &rest, &full, ret_n, err);
	return st;
}

enum status act_import(
	struct session *s, const struct action *a, struct err *err)
{
	int64_t now = s->st.clock.trusted_ms;
	struct state_gen *g = state_gen_find(&s->st, a->gen);
	struct err trouble = ERR_INIT;
	unsigned n = 0;
	enum status st;

	if (g == NULL)
		return err_set(err, ST_BUG, "no generation %u", a->gen);
	s->st.intent = (struct intent){
		.kind = INTENT_IMPORT, .gen = a->gen, .since_ms = now
	};
	st = session_commit(s, err);
	if (st != ST_OK)
		return st;
	s->st.intent = (struct intent){ .kind = INTENT_NONE };
	if (import(s, g, &n, &trouble) != ST_OK) {
		note_failure(s, &trouble, now);
		return session_commit(s, err);
	}
	forget_failures(s);
	g->lineage_version = n;
	if (lineage_fingerprint(s->cl->certbot, s->st.lineage_seen,
		    sizeof(s->st.lineage_seen), &trouble) != ST_OK)
		s->st.lineage_seen[0] = '\0';
	st = session_commit(s, err);
	if (st == ST_OK)
		session_event(s, "imported", &a->spki, a->gen,
			"certbot's lineage has the certificate too");
	return st;
}
