/*
 * For people, at three in the morning: the verdict and what it means for mail
 * first, then what is there, then what is wrong, worst first, with the remedy
 * and a line to paste. Never beyond OUT_COLUMNS, but for lines to paste. Words
 * never depend on colour. (dane.md S36, S58, S73)
 */
#include "hook/check/out_util.h"

#include "hook/base/auto.h"

#include <stdio.h>
#include <string.h>

#define NEAR_S (3 * INT64_C(86400))

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static void coloured(struct out *o, const struct out_options *opt,
	const char *colour, const char *text)
{
	if (opt->colour)
		out_verbatim(o, colour);
	out_put(o, "%s", text);
	if (opt->colour)
		out_verbatim(o, PLAIN);
}

static const char *verdict_colour(enum check_verdict v)
{
	switch (check_verdict_exit(v)) {
	case 0:
		return GREEN;
	case 3:
		return RED;
	}
	return YELLOW;
}

/* ---- heading ---- */

static void heading(
	struct out *o, const struct check *c, const struct out_options *opt)
{
	const struct out_meaning *m = out_meaning(c);
	char label[OUT_LABEL_MAX];
	bool fault = c->resolver_fault[0] != '\0';

	out_wrap(o, 0, "%s%s:", c->kind == CHECK_BY_LINEAGE ? "lineage " : "",
		out_label(c, label));
	if (o->col + 20 > OUT_COLUMNS)
		out_nl(o);
	else
		out_put(o, " ");
	coloured(o, opt, verdict_colour(c->verdict),
		check_verdict_name(c->verdict));
	out_nl(o);
	out_wrap(o, 2, "%s", m->what);
	out_nl(o);
	out_wrap(o, 2, "Opportunistic DANE sender: %s.", m->opportunistic);
	out_nl(o);
	out_wrap(o, 2, "Mandatory DANE sender: %s.", m->mandatory);
	out_nl(o);
	if (c->profile == PROFILE_EXCHANGE) {
		out_wrap(o, 2, "Judged as Exchange Online does.");
		out_nl(o);
	}
	/* The judge says it, too, with the remedy. */
	for (size_t i = 0; i < c->n_findings; i++)
		fault &= c->finding[i].code != CODE_RESOLVER;
	if (fault) {
		out_wrap(o, 2, "Resolver: %s", c->resolver_fault);
		out_nl(o);
	}
	out_nl(o);
}

/* ---- what was looked up ---- */

/* The day; to the second when it is near or over. */
static void until(
	struct out *o, size_t indent, const struct check *c, int64_t end)
{
	char t[CLOCK_TEXT_MAX];

	(void)out_time(end, t);
	if (end - c->now_s > NEAR_S)
		t[strcspn(t, "T")] = '\0';
	out_wrap(o, indent, "signed until %s", t);
}

/* "secure, TTL 3600, signed until ..." or "bogus: why". Goes on. */
static void answer(struct out *o, size_t indent, const struct check *c,
	const struct lookup *l)
{
	const char *presence = out_presence(l);

	out_wrap(o, indent, "%s", dns_security_name(l->security));
	if (presence == NULL) {
		out_put(o, ":");
		out_wrap(o, indent, "%s", l->why);
		return;
	}
	if (!l->havedata)
		out_wrap(o, indent, "%s", presence);
	out_put(o, ",");
	out_wrap(o, indent, "TTL %u", l->ttl);
	if (l->expiration != 0) {
		out_put(o, ",");
		until(o, indent, c, l->expiration);
	}
}

static void domain(struct out *o, const struct check *c)
{
	char name[DNS_NAME_MAX];

	if (c->mx == NULL)
		return;
	out_put(o, "MX:");
	answer(o, 4, c, c->mx);
	if (c->null_mx)
		out_wrap(o, 4, "(null MX)");
	if (c->implicit_mx)
		out_wrap(o, 4, "(no MX: the domain itself is the mail host)");
	if (c->expanded[0] != '\0' && strcmp(c->expanded, c->name) != 0)
		out_wrap(o, 4, "(alias of %s)", out_bare(c->expanded, name));
	out_nl(o);
}

/* Hex digits that tell this record from all others of the set: prefix, and
 * always the last four. */
static size_t digits(const struct check_host *h, size_t n)
{
	const struct tlsa *me = h->record[n].rr;
	size_t len = me->len, want = 6;

	for (size_t i = 0; i < h->rrset.n; i++) {
		const struct tlsa *rr = h->record[i].rr;

		if (i == n || rr->usage != me->usage ||
			rr->selector != me->selector ||
			rr->mtype != me->mtype || rr->len < 2 || len < 2 ||
			memcmp(rr->data + rr->len - 2, me->data + len - 2, 2) !=
				0)
			continue;
		while (want < len && want < rr->len &&
			memcmp(rr->data, me->data, want) == 0)
			want += 2;
	}
	return want + 4 < len ? want : len;
}

static void record_text(struct out *o, const struct check_host *h, size_t n,
	const struct out_options *opt)
{
	const struct tlsa *rr = h->record[n].rr;
	size_t want = opt->verbose ? rr->len : digits(h, n);
	auto_str hex = malloc(2 * (size_t)rr->len + 1);

	if (hex == NULL) {
		if (o->st == ST_OK)
			o->st = err_set(o->err, ST_NOMEM, "out of memory");
		return;
	}
	out_hex(rr->data, rr->len, hex);
	out_wrap(o, 4, "%u %u %u", rr->usage, rr->selector, rr->mtype);
	if (want < rr->len)
		out_wrap(o, 6, "%.*s..%s", (int)(2 * want), hex,
			hex + 2 * (size_t)rr->len - 4);
	else
		out_wrap(o, 6, "%s", hex);
}

static void record(struct out *o, const struct check_host *h, size_t n,
	const struct out_options *opt)
{
	const struct check_record *r = &h->record[n];

	record_text(o, h, n, opt);
	out_put(o, " ");
	if (r->role != NULL && r->lineage != NULL)
		out_wrap(o, 6, "%s key of %s;", r->role, r->lineage);
	else if (r->role != NULL)
		out_wrap(o, 6, "%s;", r->role);
	if (!r->usable)
		out_wrap(o, 6, "unusable: %s",
			r->why != NULL ? r->why : "not said why");
	else if (r->matches && r->depth > 0)
		out_wrap(o, 6, "matches the issuer at depth %d", r->depth);
	else if (r->matches)
		out_wrap(o, 6, "matches");
	else if (out_seen(h))
		out_wrap(o, 6, "matches nothing served");
	else
		out_wrap(o, 6, "not compared");
	if (r->hidden)
		out_wrap(o, 6, "(hidden by a stronger digest)");
	if (r->retired != NULL)
		out_wrap(o, 6, "(retired issuer %s)", r->retired);
	out_nl(o);
}

static void tlsa(
	struct out *o, const struct check *c, const struct check_host *h)
{
	char owner[DNS_NAME_MAX], name[DNS_NAME_MAX];

	if (h->tlsa == NULL)
		return;
	out_wrap(o, 4, "TLSA %s:", out_bare(h->owner, owner));
	answer(o, 6, c, h->tlsa);
	if (h->tlsa->canon[0] != '\0' && strcmp(h->tlsa->canon, h->owner) != 0)
		out_wrap(o, 6, "(alias of %s)", out_bare(h->tlsa->canon, name));
	out_nl(o);
}

/* "A secure, AAAA secure nodata" */
static void addresses(struct out *o, const struct check_host *h)
{
	const struct lookup *l[2] = { h->a, h->aaaa };
	static const char *const type[2] = { "A", "AAAA" };
	bool first = true;

	for (size_t i = 0; i < 2; i++) {
		const char *presence;

		if (l[i] == NULL)
			continue;
		presence = out_presence(l[i]);
		if (!first)
			out_put(o, ",");
		first = false;
		out_wrap(o, 6, "%s %s%s%s", type[i],
			dns_security_name(l[i]->security),
			presence != NULL && !l[i]->havedata ? " " : "",
			presence != NULL && !l[i]->havedata ? presence : "");
	}
}

static void host(struct out *o, const struct check *c,
	const struct check_host *h, const struct out_options *opt)
{
	char name[DNS_NAME_MAX];

	if (c->kind == CHECK_BY_DOMAIN && !c->implicit_mx)
		out_wrap(o, 2, "%u %s:%u", h->pref, out_host(h), h->port);
	else
		out_wrap(o, 2, "%s:%u", out_host(h), h->port);
	out_put(o, " ");
	coloured(o, opt, verdict_colour(h->verdict),
		check_verdict_name(h->verdict));
	out_put(o, " ");
	addresses(o, h);
	if (h->alias) {
		out_put(o, ";");
		out_wrap(o, 6, "alias of %s", out_bare(h->expanded, name));
	}
	out_nl(o);
	if (h->why[0] != '\0') {
		out_wrap(o, 4, "%s", h->why);
		out_nl(o);
	}
	tlsa(o, c, h);
	for (size_t i = 0; h->record != NULL && i < h->rrset.n; i++)
		record(o, h, i, opt);
}

/* ---- name servers ---- */

static bool server_is_new(const struct zone_auth *z, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(z->server[i].name, z->server[n].name) == 0)
			return false;
	return true;
}

struct zone_sum {
	size_t n, bad, tcp, udp, no_sig;
	uint32_t low, high; /* serials */
	bool soa;
	int64_t end;
};

static void zone_count(
	const struct survey *s, size_t zone, struct zone_sum *ret)
{
	for (size_t i = 0; i < s->n_answers; i++) {
		const struct survey_answer *a = &s->answer[i];

		if (a->zone != zone)
			continue;
		ret->n++;
		if (!survey_answered(a->outcome)) {
			ret->bad++;
			continue;
		}
		if (a->tcp)
			ret->tcp++;
		else
			ret->udp++;
		if (a->sig_checked && a->sig != CODEC_SIG_OK)
			ret->no_sig++;
		if (a->sig_checked && a->expiration != 0 &&
			(ret->end == 0 || a->expiration < ret->end))
			ret->end = a->expiration;
		if (a->question != SIZE_MAX)
			continue;
		if (!ret->soa || a->serial < ret->low)
			ret->low = a->serial;
		if (!ret->soa || a->serial > ret->high)
			ret->high = a->serial;
		ret->soa = true;
	}
}

static void zone_line(struct out *o, const struct check *c, size_t zone)
{
	const struct survey *s = c->survey;
	const struct zone_auth *z = &s->zone[zone].auth;
	struct zone_sum sum = { .n = 0 };
	size_t servers = 0, addrs = 0;
	char name[DNS_NAME_MAX];

	for (size_t i = 0; i < z->n_servers; i++) {
		servers += server_is_new(z, i);
		addrs += z->server[i].has_addr;
	}
	zone_count(s, zone, &sum);
	out_wrap(o, 2, "zone %s: %zu server%s, %zu address%s,",
		out_bare(z->zone, name), servers, servers == 1 ? "" : "s",
		addrs, addrs == 1 ? "" : "es");
	if (z->security != DNS_SECURE) {
		out_wrap(o, 4, "%s%s%s", dns_security_name(z->security),
			z->why[0] != '\0' ? ": " : "", z->why);
		out_put(o, ",");
	}
	if (sum.udp + sum.tcp == 0)
		out_wrap(o, 4, "no answer at all");
	else
		out_wrap(o, 4, "%s",
			sum.tcp == 0   ? "UDP only"
			: sum.udp == 0 ? "TCP only"
				       : "UDP and TCP");
	if (sum.bad > 0 && sum.bad < sum.n) {
		out_put(o, ",");
		out_wrap(o, 4, "%zu of %zu answers missing or wrong", sum.bad,
			sum.n);
	}
	if (sum.soa) {
		out_put(o, ",");
		if (sum.low == sum.high)
			out_wrap(o, 4, "serial %u", sum.low);
		else
			out_wrap(o, 4, "serials %u to %u", sum.low, sum.high);
	}
	if (sum.no_sig > 0) {
		out_put(o, ",");
		out_wrap(o, 4, "%zu without a good signature", sum.no_sig);
	}
	if (sum.end != 0) {
		out_put(o, ",");
		until(o, 4, c, sum.end);
	}
	out_nl(o);
}

static void zones(struct out *o, const struct check *c)
{
	auto_mem bool *used = out_zones(o, c);
	bool any = false;

	if (used == NULL)
		return;
	for (size_t i = 0; i < c->survey->n_zones; i++) {
		if (!used[i])
			continue;
		if (!any)
			out_put(o, "Name servers");
		if (!any)
			out_nl(o);
		any = true;
		zone_line(o, c, i);
	}
	if (any)
		out_nl(o);
}

/* ---- findings ---- */

static const char *level_colour(enum finding_level l)
{
	switch (l) {
	case FINDING_INFO:
		return PLAIN;
	case FINDING_WARN:
		return YELLOW;
	case FINDING_FAIL:
		return RED;
	}
	return RED;
}

static void called(struct out *o, const struct check_code_info *i)
{
	if (i->exchange == NULL && i->tlsrpt == NULL && i->postfix == NULL)
		return;
	out_put(o, "    also known as:");
	if (i->exchange != NULL)
		out_wrap(o, 6, "Exchange %s%s", i->exchange,
			i->tlsrpt != NULL || i->postfix != NULL ? ";" : "");
	if (i->tlsrpt != NULL)
		out_wrap(o, 6, "TLS-RPT %s%s", i->tlsrpt,
			i->postfix != NULL ? ";" : "");
	if (i->postfix != NULL)
		out_wrap(o, 6, "Postfix \"%s\"", i->postfix);
	out_nl(o);
}

static const char *level_word(enum finding_level l)
{
	switch (l) {
	case FINDING_INFO:
		return "info";
	case FINDING_WARN:
		return "WARN";
	case FINDING_FAIL:
		return "FAIL";
	}
	return "FAIL";
}

/* Nothing to do about it: said in one go; what else there is to say is for
 * those who ask. */
static void note(struct out *o, const struct finding *f)
{
	const char *name = check_code_info(f->code)->name;

	out_put(o, "%s", level_word(f->level));
	out_wrap(o, 4, "%s", name);
	if (f->where[0] != '\0' && strcmp(f->where, name) != 0)
		out_wrap(o, 4, "%s:", f->where);
	out_wrap(o, 4, "%s", f->text);
	out_nl(o);
}

/* What the one before it has said already is not said again. */
static void finding(struct out *o, const struct finding *f,
	const struct finding *before, const struct out_options *opt)
{
	const struct check_code_info *info = check_code_info(f->code);
	bool same_code = before != NULL && before->code == f->code;

	if (f->level == FINDING_INFO && !opt->verbose) {
		note(o, f);
		return;
	}
	coloured(o, opt, level_colour(f->level), level_word(f->level));
	out_wrap(o, 4, "%s", info->name);
	if (f->where[0] != '\0' && strcmp(f->where, info->name) != 0)
		out_wrap(o, 4, "%s", f->where);
	out_nl(o);
	if (f->text[0] != '\0' &&
		!(same_code && strcmp(before->text, f->text) == 0)) {
		out_wrap(o, 4, "%s", f->text);
		out_nl(o);
	}
	if (!same_code && f->level != FINDING_INFO)
		called(o, info);
	if (f->remedy[0] != '\0' &&
		!(same_code && strcmp(before->remedy, f->remedy) == 0)) {
		out_wrap(o, 4, "-> %s", f->remedy);
		out_nl(o);
	}
	if (f->reproduce[0] != '\0') {
		out_put(o, "    %s", f->reproduce);
		out_nl(o);
	}
}

static void findings(
	struct out *o, const struct check *c, const struct out_options *opt)
{
	size_t n[3] = { 0 };
	bool any = false;

	for (size_t i = 0; i < c->n_findings; i++)
		n[c->finding[i].level <= FINDING_FAIL ? c->finding[i].level
						      : FINDING_FAIL]++;
	out_put(o, "Findings: ");
	for (size_t i = 3; i-- > 0;) {
		if (n[i] == 0)
			continue;
		out_put(o, "%s%zu %s", any ? ", " : "", n[i],
			level_word((enum finding_level)i));
		any = true;
	}
	out_put(o, "%s", any ? "" : "none");
	out_nl(o);
	for (size_t i = 0; i < c->n_findings; i++)
		finding(o, &c->finding[i], i > 0 ? &c->finding[i - 1] : NULL,
			opt);
}

enum status out_text(const struct check *const c[], size_t n,
	const struct memo *m, const struct out_options *opt, struct buf *ret,
	struct err *err)
{
	struct out o = { .buf = ret, .err = err, .st = ST_OK };

	if (opt->verbose) {
		o.st = out_trace(c, n, m, ret, err);
		if (ret->len > 0)
			out_nl(&o);
	}
	for (size_t i = 0; i < n && o.st == ST_OK; i++) {
		if (i > 0)
			out_nl(&o);
		heading(&o, c[i], opt);
		domain(&o, c[i]);
		for (size_t k = 0; k < c[i]->n_hosts; k++)
			host(&o, c[i], &c[i]->host[k], opt);
		if (c[i]->truncated) {
			out_wrap(&o, 2,
				"There are more hosts or addresses "
				"than are tested.");
			out_nl(&o);
		}
		if (c[i]->mx != NULL || c[i]->n_hosts > 0)
			out_nl(&o);
		out_table(&o, c[i]);
		zones(&o, c[i]);
		findings(&o, c[i], opt);
	}
	return o.st;
}
