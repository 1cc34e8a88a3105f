/*
 * What a bounce or a log line of a sending server says: clean it, look at each
 * unit for a phrase that is known, take host, address, port, domain and status
 * from the unit that counts, then from what belongs to it. Pure; the text is
 * hostile. Invariants: time is linear in the text, memory is one copy of it;
 * each field of the result is checked or empty. (dane.md S2, S80, B-34)
 */
#include "hook/check/explain.h"

#include "hook/base/auto.h"
#include "hook/check/explain_impl.h"

#include <string.h>

#define PHRASE_MAX 200  /* of the text is quoted */
#define RELATED_MAX 100 /* lines of the same delivery that are looked at */

/* Offset behind the unit that starts at from, past its '\n'. */
static size_t next_unit(struct span doc, size_t from, struct span *ret)
{
	const char *nl = memchr(doc.p + from, '\n', doc.n - from);
	size_t n = nl != NULL ? (size_t)(nl - doc.p) - from : doc.n - from;

	*ret = (struct span){ doc.p + from, n };
	return from + n + (nl != NULL);
}

static bool has(struct span s, const char *lit)
{
	return explain_seek(s, 0, s.n, lit) < s.n;
}

/* Which server writes like this; the phrase decides when the line does not. */
static enum explain_mta whose(struct span s)
{
	if (has(s, "postfix/") || has(s, "posttls-finger:") ||
		has(s, "(postfix)") || has(s, "x-postfix-"))
		return EXPLAIN_POSTFIX;
	if (has(s, "lastattempted") || has(s, "protection.outlook.com") ||
		has(s, "prod.outlook.com"))
		return EXPLAIN_EXCHANGE;
	if (has(s, "exim[") || (has(s, " r=") && has(s, " t=")) ||
		has(s, "(exim "))
		return EXPLAIN_EXIM;
	if (has(s, "powermta") || has(s, "pmta"))
		return EXPLAIN_POWERMTA;
	return EXPLAIN_UNKNOWN;
}

/* What the line says of the message counts for more than its reply code: a
 * server that gives up keeps the code of the last attempt. */
static bool is_temporary(
	struct span s, const struct phrase *ph, const struct explained *e)
{
	static const char *const final[] = { "status=bounced", "status=expired",
		"action: failed", " ** ", "retry timeout exceeded",
		"message expired" };
	static const char *const later[] = { "status=deferred",
		"action: delayed", " == ", " defer (" };

	if (e->success || ph->topic == TOPIC_ENCRYPTED || has(s, "status=sent"))
		return false;
	for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
		if (has(s, final[i]))
			return false;
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		if (has(s, later[i]))
			return true;
	if (e->status[0] == '4' || e->status[0] == '5')
		return e->status[0] == '4';
	return ph->temporary;
}

static void quote(struct span s, size_t at, struct explained *ret)
{
	size_t n = s.n - at < PHRASE_MAX ? s.n - at : PHRASE_MAX;

	for (size_t i = 0; i < n; i++) {
		char c = s.p[at + i];

		ret->phrase[i] = c >= ' ' && c <= '~' ? c : '?';
	}
	ret->phrase[n] = '\0';
	/* It opened before the phrase. */
	if (ret->phrase[n - 1] == ')' && strchr(ret->phrase, '(') == NULL)
		ret->phrase[n - 1] = '\0';
}

/* The status of a phrase that is a code is itself; else a keyed one before any
 * other. */
static void find_status(struct span s, const struct phrase *ph, size_t at,
	struct explained *ret)
{
	static const char *const keys[] = { "dsn=", "status: " };

	if (ph != NULL && explain_digit(ph->text[0]))
		explain_find_status(s, at, ret);
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		size_t key = explain_seek(s, 0, s.n, keys[k]);

		if (key < s.n)
			explain_find_status(s, key + strlen(keys[k]) - 1, ret);
	}
	explain_find_status(s, 0, ret);
}

static void read_unit(struct span s, const struct phrase *ph, size_t at,
	struct explained *ret)
{
	explain_topic(ph != NULL ? ph->topic : TOPIC_NONE, ret);
	ret->mta = whose(s);
	find_status(s, ph, at, ret);
	explain_find_host(s, ph, at, ret);
	explain_find_domain(s, ph, at, ret);
	if (ph == NULL)
		return;
	if (ret->mta == EXPLAIN_UNKNOWN || ph->weight == WEIGHT_STRONG)
		ret->mta = ph->mta;
	quote(s, at, ret);
	ret->temporary = is_temporary(s, ph, ret);
}

/* What lines about one delivery share: "smtp[1234]:" or the id of the message
 * at Exim. n is 0 when there is neither. */
static struct span delivery(struct span s)
{
	for (size_t i = 0; i + 2 < s.n && i < 200; i++) {
		size_t end = i + 1;

		if (s.p[i] == '[') {
			while (end < s.n && explain_digit(s.p[end]))
				end++;
			if (end > i + 1 && end + 1 < s.n && s.p[end] == ']' &&
				s.p[end + 1] == ':')
				return (struct span){ s.p + i, end + 1 - i };
		}
		if (s.p[i] != ' ' || i < 19)
			continue;
		while (end < s.n && end < i + 30 &&
			(explain_alnum(s.p[end]) || s.p[end] == '-'))
			end++;
		if (end < s.n && s.p[end] == ' ' &&
			((end == i + 17 && s.p[i + 7] == '-' &&
				 s.p[i + 14] == '-') ||
				(end == i + 24 && s.p[i + 7] == '-' &&
					s.p[i + 19] == '-')))
			return (struct span){ s.p + i, end - i };
	}
	return (struct span){ s.p, 0 };
}

/* Later lines of the log about the same delivery say to whom it was. */
static void read_related(
	struct span doc, size_t from, struct span unit, struct explained *ret)
{
	struct span want = delivery(unit), s;

	for (int k = 0; k < RELATED_MAX && want.n > 0 && from < doc.n; k++) {
		struct explained more = { .mta = EXPLAIN_UNKNOWN };
		struct span have;

		from = next_unit(doc, from, &s);
		have = delivery(s);
		if (have.n != want.n || memcmp(have.p, want.p, want.n) != 0)
			continue;
		explain_find_host(s, NULL, 0, &more);
		explain_find_domain(s, NULL, 0, &more);
		if (more.host[0] != '\0' && ret->host[0] != '\0' &&
			strcmp(more.host, ret->host) != 0)
			return; /* another delivery */
		if (ret->host[0] == '\0' && ret->ip[0] == '\0') {
			memcpy(ret->host, more.host, sizeof(ret->host));
			memcpy(ret->ip, more.ip, sizeof(ret->ip));
			ret->port = more.port;
		}
		if (more.domain[0] == '\0')
			continue;
		memcpy(ret->domain, more.domain, sizeof(ret->domain));
		return;
	}
}

/* A failure counts for more than a success, any for more than none. */
static int worth(const struct phrase *ph)
{
	if (ph == NULL)
		return 0;
	return ph->weight > WEIGHT_MATCHED ? 2 : 1;
}

static int filled(const struct explained *e)
{
	return (e->domain[0] != '\0') + (e->host[0] != '\0') +
	       (e->ip[0] != '\0') + (e->status[0] != '\0');
}

/* Nothing is understood: what is named may still help. */
static void read_fullest(struct span doc, struct explained *ret)
{
	struct span s;

	for (size_t from = 0; from < doc.n;) {
		struct explained e = { .mta = EXPLAIN_UNKNOWN };

		from = next_unit(doc, from, &s);
		read_unit(s, NULL, 0, &e);
		if (filled(&e) > filled(ret))
			*ret = e;
	}
}

void explain_parse(const char *text, size_t len, struct explained *ret)
{
	struct span doc = { NULL, 0 }, s, best = { NULL, 0 };
	const struct phrase *ph = NULL;
	size_t at = 0, after = 0;
	auto_mem char *clean = NULL;

	memset(ret, 0, sizeof(*ret));
	explain_topic(TOPIC_NONE, ret);
	if (len > EXPLAIN_TEXT_MAX)
		len = EXPLAIN_TEXT_MAX;
	clean = malloc(len + 1);
	if (clean == NULL)
		return;
	doc = (struct span){ clean, explain_clean(text, len, clean) };
	for (size_t from = 0; from < doc.n && worth(ph) < 2;) {
		const struct phrase *here;
		size_t where = 0;

		from = next_unit(doc, from, &s);
		here = explain_phrase(s, &where);
		if (worth(here) <= worth(ph))
			continue;
		ph = here;
		at = where;
		best = s;
		after = from;
	}
	if (ph == NULL) {
		read_fullest(doc, ret);
		return;
	}
	read_unit(best, ph, at, ret);
	if (explain_is_log(best)) {
		if (ret->domain[0] == '\0')
			read_related(doc, after, best, ret);
		return;
	}
	explain_find_fields(doc, ret);
	if (has(doc, "action: failed"))
		ret->temporary = false;
	if (ret->mta == EXPLAIN_UNKNOWN)
		ret->mta = whose(doc);
}
