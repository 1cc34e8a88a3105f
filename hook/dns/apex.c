/*
 * Zone cuts, from the bottom up, one label per stage and all names in the same
 * stage. A denial carries the SOA of its zone, so that one question is enough
 * most of the time. A level that cannot be resolved is never skipped over: the
 * zone might begin there, so the job ends as BOGUS or FAILED.
 */
#include "hook/dns/apex.h"

static void end(struct apex_job *j, const char *apex, enum dns_security s)
{
	const struct lookup *bad = j->bad;

	j->done = true;
	if (bad != NULL) {
		apex = bad->name;
		s = bad->security;
		memcpy(j->why, bad->why, sizeof(j->why));
	}
	j->security = s;
	(void)snprintf(j->apex, sizeof(j->apex), "%s", apex);
}

static void step(struct apex_job *j, const struct lookup *l)
{
	/* An apex has no CNAME beside its SOA: an answer for another name says
	 * nothing about this one. */
	bool about_us = strcmp(l->canon, l->name) == 0;
	const char *up;

	if (l->security == DNS_BOGUS || l->security == DNS_FAILED) {
		j->bad = l;
	} else if (l->havedata && about_us) {
		end(j, l->name, l->security);
		return;
	} else if (about_us && l->zone[0] != '\0') {
		end(j, l->zone, l->security);
		return;
	}
	up = name_parent(j->at);
	if (up != NULL) {
		j->at = up;
		return;
	}
	end(j, ".", DNS_FAILED);
	if (j->bad == NULL)
		(void)snprintf(j->why, sizeof(j->why),
			"no SOA above %.200s, not even of the root", j->name);
}

enum status apex_find(
	struct memo *m, struct apex_job job[], size_t n, struct err *err)
{
	bool more = n > 0;

	for (size_t i = 0; i < n; i++) {
		job[i].at = job[i].name;
		job[i].bad = NULL;
		job[i].done = false;
		job[i].why[0] = '\0';
	}
	while (more) {
		for (size_t i = 0; i < n; i++)
			if (!job[i].done && memo_want(m, job[i].at, RRTYPE_SOA,
						    err) != ST_OK)
				return err->st;
		if (memo_run(m, err) != ST_OK)
			return err->st;
		more = false;
		for (size_t i = 0; i < n; i++) {
			if (job[i].done)
				continue;
			step(&job[i], memo_get(m, job[i].at, RRTYPE_SOA));
			more = more || !job[i].done;
		}
	}
	return ST_OK;
}

enum status apex_want_levels(struct memo *m, const char *name, struct err *err)
{
	for (; name != NULL; name = name_parent(name))
		if (memo_want(m, name, RRTYPE_SOA, err) != ST_OK)
			return err->st;
	return ST_OK;
}
