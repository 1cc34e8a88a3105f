/*
 * For monitoring: one line for Nagios and its like, and the textfile format of
 * Prometheus. Text from outside can neither end a line, nor begin the perfdata,
 * nor leave a label.
 */
#include "hook/check/out_util.h"

#include "hook/base/auto.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAGIOS_TEXT_MAX 600 /* agents cut at 1 kB; perfdata must survive */

/* ---- nagios ---- */

enum { NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL, NAGIOS_UNKNOWN };

static int nagios_exit(enum check_verdict v)
{
	switch (v) {
	case CHECK_OK:
		return NAGIOS_OK;
	case CHECK_WEAK:
	case CHECK_ENCRYPT_ONLY:
	case CHECK_NO_DANE:
	case CHECK_INSECURE:
	case CHECK_DEGRADED:
		return NAGIOS_WARNING;
	case CHECK_BOGUS:
	case CHECK_BLOCKED:
		return NAGIOS_CRITICAL;
	case CHECK_INCOMPLETE:
	case CHECK__COUNT:
		return NAGIOS_UNKNOWN;
	}
	return NAGIOS_UNKNOWN;
}

/* CRITICAL over WARNING over UNKNOWN over OK. */
static int nagios_weight(int code)
{
	static const int weight[] = { 0, 2, 3, 1 };

	return weight[code];
}

struct sums {
	size_t n, ok, fail;
	int64_t cert, rrsig; /* s left */
	bool has_cert, has_rrsig;
	int64_t took_ms;
};

static void least(int64_t end, int64_t now, int64_t *ret, bool *has)
{
	if (end != 0 && (!*has || end - now < *ret)) {
		*ret = end - now;
		*has = true;
	}
}

static void sum_up(struct out *o, const struct check *c, struct sums *s)
{
	auto_mem bool *used = out_zones(o, c);

	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct check_host *h = &c->host[i];

		for (size_t k = 0; k < h->n_conns; k++) {
			s->n++;
			s->ok += h->conn[k].state == CONN_OK;
			s->fail += h->conn[k].state == CONN_FAIL;
		}
		least(out_cert_end(h, PROBE_ANY), c->now_s, &s->cert,
			&s->has_cert);
	}
	least(out_rrsig_end(c, used, NULL), c->now_s, &s->rrsig, &s->has_rrsig);
	if (c->took_ms > s->took_ms)
		s->took_ms = c->took_ms;
}

static void perfdata(struct out *o, const struct sums *s)
{
	int64_t days = s->cert / 86400 - (s->cert % 86400 < 0);

	out_put(o, "|connections=%zu;;;0 ok=%zu;;;0;%zu failed=%zu;;;0;%zu",
		s->n, s->ok, s->n, s->fail, s->n);
	if (s->has_cert)
		out_put(o, " cert_days=%" PRId64, days);
	if (s->has_rrsig)
		out_put(o, " rrsig=%" PRId64 "s", s->rrsig);
	out_put(o, " time=%" PRId64 ".%03" PRId64 "s;;;0", s->took_ms / 1000,
		s->took_ms % 1000);
}

/* One check in the line: what it is, and the worst that was found. */
static void nagios_one(
	struct buf *text, const struct check *c, bool first, struct out *o)
{
	char label[OUT_LABEL_MAX];
	const struct finding *f =
		c->n_findings > 0 && c->finding[0].level > FINDING_INFO
			? &c->finding[0]
			: NULL;

	if (o->st != ST_OK)
		return;
	o->st = buf_printf(text, o->err, "%s%s %s", first ? "" : "; ",
		out_label(c, label), check_verdict_name(c->verdict));
	if (f != NULL && o->st == ST_OK)
		o->st = buf_printf(text, o->err, ": %s%s%s: %s",
			check_code_info(f->code)->name,
			f->where[0] != '\0' ? " " : "", f->where, f->text);
	else if (c->resolver_fault[0] != '\0' && o->st == ST_OK)
		o->st = buf_printf(text, o->err, ": %s", c->resolver_fault);
}

enum status out_nagios(const struct check *const c[], size_t n, struct buf *ret,
	int *ret_exit, struct err *err)
{
	static const char *const word[] = { "OK", "WARNING", "CRITICAL",
		"UNKNOWN" };
	struct out o = { .buf = ret, .err = err, .st = ST_OK };
	auto_buf text = BUF_INIT(OUT_MAX);
	struct sums s = { .n = 0 };
	int code = n > 0 ? NAGIOS_OK : NAGIOS_UNKNOWN;

	for (size_t i = 0; i < n; i++) {
		int one = nagios_exit(c[i]->verdict);

		if (nagios_weight(one) > nagios_weight(code))
			code = one;
		sum_up(&o, c[i], &s);
	}
	/* The worst checks first: the line is cut when it is long. */
	for (int w = 3; w >= 0; w--)
		for (size_t i = 0; i < n && text.len < NAGIOS_TEXT_MAX; i++)
			if (nagios_weight(nagios_exit(c[i]->verdict)) == w)
				nagios_one(&text, c[i], text.len == 0, &o);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '|')
			text.data[i] = '/';
	out_put(&o, "DANE %s - %.*s%s", word[code], NAGIOS_TEXT_MAX,
		n > 0 ? buf_str(&text) : "nothing was checked",
		text.len > NAGIOS_TEXT_MAX ? " ..." : "");
	perfdata(&o, &s);
	out_nl(&o);
	if (o.st == ST_OK)
		*ret_exit = code;
	return o.st;
}

/* ---- prometheus ---- */

/* Quotes and backslashes escaped; ret: 2 * DNS_NAME_MAX is enough for names. */
static char *escape(const char *text, char *ret, size_t len)
{
	size_t out = 0;

	for (; *text != '\0' && out + 3 < len; text++) {
		if (*text == '"' || *text == '\\')
			ret[out++] = '\\';
		ret[out++] = *text;
	}
	ret[out] = '\0';
	return ret;
}

/* Without the brace: more labels may follow. */
static void series(struct out *o, const char *metric, const struct check *c)
{
	char label[OUT_LABEL_MAX], safe[2 * OUT_LABEL_MAX];

	out_put(o, "danelaw_check_%s{check=\"%s\",kind=\"%s\",profile=\"%s\"",
		metric, escape(out_label(c, label), safe, sizeof(safe)),
		out_kind_name(c->kind), out_profile_name(c->profile));
}

static void value(struct out *o, int64_t v)
{
	out_put(o, "} %" PRId64, v);
	out_nl(o);
}

static void verdicts(struct out *o, const char *metric, const struct check *c)
{
	for (int v = 0; v < CHECK__COUNT; v++) {
		series(o, metric, c);
		out_put(o, ",verdict=\"%s\"",
			check_verdict_name((enum check_verdict)v));
		value(o, c->verdict == (enum check_verdict)v);
	}
}

static void connections(
	struct out *o, const char *metric, const struct check *c)
{
	for (int s = CONN_UNTESTED; s <= CONN_FAIL; s++) {
		int64_t n = 0;

		for (size_t i = 0; i < c->n_hosts; i++)
			for (size_t k = 0; k < c->host[i].n_conns; k++)
				n += c->host[i].conn[k].state ==
				     (enum conn_state)s;
		series(o, metric, c);
		out_put(o, ",state=\"%s\"",
			conn_state_name((enum conn_state)s));
		value(o, n);
	}
}

static bool same_host(const struct check_host *a, const struct check_host *b)
{
	return a->port == b->port && strcmp(out_host(a), out_host(b)) == 0;
}

/* A lineage may name a host more than once: then its earliest end counts. */
static void certificates(
	struct out *o, const char *metric, const struct check *c)
{
	char safe[2 * DNS_NAME_MAX];

	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct check_host *h = &c->host[i];
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = same_host(&c->host[k], h);
		for (int a = PROBE_RSA; a <= PROBE_ECDSA && !seen; a++) {
			int64_t end = 0;

			for (size_t k = i; k < c->n_hosts; k++) {
				int64_t t = same_host(&c->host[k], h)
						    ? out_cert_end(&c->host[k],
							      (enum probe_alg)a)
						    : 0;

				if (t != 0 && (end == 0 || t < end))
					end = t;
			}
			if (end == 0)
				continue;
			series(o, metric, c);
			out_put(o, ",host=\"%s\",port=\"%u\",key=\"%s\"",
				escape(out_host(h), safe, sizeof(safe)),
				h->port, probe_alg_name((enum probe_alg)a));
			value(o, end);
		}
	}
}

static void signature(struct out *o, const char *metric, const struct check *c,
	const bool *used, const char *zone)
{
	char safe[2 * DNS_NAME_MAX], bare[DNS_NAME_MAX];
	int64_t end = out_rrsig_end(c, used, zone);

	if (end == 0)
		return;
	series(o, metric, c);
	out_put(o, ",zone=\"%s\"",
		escape(out_bare(zone, bare), safe, sizeof(safe)));
	value(o, end);
}

static void signatures(struct out *o, const char *metric, const struct check *c)
{
	auto_mem bool *used = out_zones(o, c);
	const struct lookup *l;

	for (size_t i = 0; used != NULL && i < c->survey->n_zones; i++)
		if (used[i])
			signature(o, metric, c, used,
				c->survey->zone[i].auth.zone);
	/* Zones that only look-ups know. */
	for (size_t i = 0; (l = out_lookup(c, i)) != NULL; i++) {
		const struct lookup *before;
		bool seen = l->zone[0] == '\0';

		for (size_t k = 0; used != NULL && k < c->survey->n_zones; k++)
			if (used[k] && strcmp(c->survey->zone[k].auth.zone,
					       l->zone) == 0)
				seen = true;
		for (size_t k = 0; k < i && !seen; k++) {
			before = out_lookup(c, k);
			seen = strcmp(before->zone, l->zone) == 0;
		}
		if (!seen)
			signature(o, metric, c, used, l->zone);
	}
}

static void found(struct out *o, const char *metric, const struct check *c)
{
	size_t n[CODE__COUNT][FINDING_FAIL + 1] = { { 0 } };

	for (size_t i = 0; i < c->n_findings; i++)
		if (c->finding[i].code < CODE__COUNT &&
			c->finding[i].level <= FINDING_FAIL)
			n[c->finding[i].code][c->finding[i].level]++;
	for (size_t code = 0; code < CODE__COUNT; code++)
		for (size_t l = 0; l <= FINDING_FAIL; l++) {
			if (n[code][l] == 0)
				continue;
			series(o, metric, c);
			out_put(o, ",code=\"%s\",level=\"%s\"",
				check_code_info((enum check_code)code)->name,
				finding_level_name((enum finding_level)l));
			value(o, (int64_t)n[code][l]);
		}
}

static void exit_status(
	struct out *o, const char *metric, const struct check *c)
{
	series(o, metric, c);
	value(o, check_verdict_exit(c->verdict));
}

static void duration(struct out *o, const char *metric, const struct check *c)
{
	series(o, metric, c);
	out_put(o, "} %" PRId64 ".%03" PRId64, c->took_ms / 1000,
		c->took_ms % 1000);
	out_nl(o);
}

static void when(struct out *o, const char *metric, const struct check *c)
{
	series(o, metric, c);
	value(o, c->now_s);
}

static const struct metric {
	const char *name, *help;
	void (*write)(struct out *o, const char *metric, const struct check *c);
} metric[] = {
	{ "verdict", "1 for the verdict of the last check, 0 for all others.",
		verdicts },
	{ "exit_status", "What danelaw check exits with for it: 0 is well.",
		exit_status },
	{ "connections", "Connections that were tried, by what came of them.",
		connections },
	{ "findings", "Things that were found, by code and level.", found },
	{ "certificate_not_after_timestamp_seconds",
		"When the served certificate ends; the earliest of a host.",
		certificates },
	{ "rrsig_expiration_timestamp_seconds",
		"When the first of the signatures in use ends.", signatures },
	{ "duration_seconds", "How long the check took.", duration },
	{ "timestamp_seconds", "When the check was made.", when },
};

/* The same check twice would give the same series twice, which is an error. */
static bool repeated(const struct check *const c[], size_t n)
{
	char a[OUT_LABEL_MAX], b[OUT_LABEL_MAX];

	(void)out_label(c[n], a);
	for (size_t i = 0; i < n; i++)
		if (c[i]->kind == c[n]->kind &&
			c[i]->profile == c[n]->profile &&
			strcmp(out_label(c[i], b), a) == 0)
			return true;
	return false;
}

enum status out_prometheus(const struct check *const c[], size_t n,
	struct buf *ret, struct err *err)
{
	struct out o = { .buf = ret, .err = err, .st = ST_OK };
	auto_mem bool *skip = calloc(n + 1, sizeof(*skip));

	if (skip == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		skip[i] = repeated(c, i);
	for (size_t m = 0; m < sizeof(metric) / sizeof(metric[0]); m++) {
		out_put(&o, "# HELP danelaw_check_%s %s", metric[m].name,
			metric[m].help);
		out_nl(&o);
		out_put(&o, "# TYPE danelaw_check_%s gauge", metric[m].name);
		out_nl(&o);
		for (size_t i = 0; i < n && o.st == ST_OK; i++)
			if (!skip[i])
				metric[m].write(&o, metric[m].name, c[i]);
	}
	return o.st;
}
