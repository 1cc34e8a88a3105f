/* A lineage under its lock: time, commits, events. */
#include "hook/session.h"

#include "hook/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A machine that was off for longer than this has an unexplained gap. */
#define MAX_GAP_MS (INT64_C(30) * 86400 * 1000)

enum status session_clock(struct session *s, int64_t *ret_now, struct err *err)
{
	struct clock_reading r;
	char why[160] = "";
	enum status st = clock_read(&r, err);

	if (st != ST_OK)
		return st;
	if (clock_advance(&s->st.clock, &r, MAX_GAP_MS, why, sizeof(why)) ==
		CLOCK_DOUBT) {
		plan_doubt(&s->st, &s->policy, s->st.clock.trusted_ms);
		s->obs.clock_doubt = true;
		(void)snprintf(s->obs.clock_why, sizeof(s->obs.clock_why),
			"%s", why);
		log_event(LOG_WARN_L, "clock-doubt",
			"lineage=%s why=%s action=%s", log_quote(s->cl->name),
			log_quote(why), log_quote("every wait starts anew"));
	}
	s->obs.wall_ms = r.wall_ms;
	s->obs.wall_s = r.wall_ms / 1000;
	*ret_now = s->st.clock.trusted_ms;
	return ST_OK;
}

int64_t session_wall_ms(const struct session *s, int64_t trusted_ms)
{
	return trusted_ms - s->st.clock.trusted_ms + s->st.clock.last.wall_ms;
}

enum status session_commit(struct session *s, struct err *err)
{
	enum status st = store_commit(s->sl, &s->st, err);

	return st == ST_OK ? st : err_context(err, "%s", s->cl->name);
}

void session_event(struct session *s, const char *event,
	const struct spki *key, unsigned gen, const char *why)
{
	char hex[SPKI_HEX] = "";
	struct err err = ERR_INIT;

	if (key != NULL)
		spki_hex(key, hex);
	log_event(LOG_INFO_L, event, "lineage=%s%s%s%s why=%s",
		log_quote(s->cl->name), key != NULL ? " key=" : "", hex,
		"", log_quote(why));
	/* The history is for people: the rollover goes on without it. */
	if (store_history(s->sl, s->st.clock.last.wall_ms, event, key, gen,
		    why, &err) != ST_OK)
		log_event(LOG_WARN_L, "history", "lineage=%s error=%s",
			log_quote(s->cl->name), log_quote(err.text));
}

void session_forget_sweep(struct session *s)
{
	for (size_t i = 0; s->validated != NULL && i < s->st.n_owners; i++)
		tlsa_rrset_release(&s->validated[i]);
	free(s->validated);
	free(s->final);
	free(s->owner);
	free(s->answer);
	free(s->claim);
	s->validated = NULL;
	s->final = NULL;
	s->owner = NULL;
	s->answer = NULL;
	s->claim = NULL;
	s->n_claims = 0;
	s->obs.swept = false;
	s->obs.owner = NULL;
	s->obs.claimed_elsewhere = 0;
	s->obs.unfit = 0;
}

void session_forget_probe(struct session *s)
{
	s->obs.probe = PROBED_NOT;
	s->obs.probe_why[0] = '\0';
}
