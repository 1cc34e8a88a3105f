/*
 * The displays of two mail systems, for scripts and eyes that know them: the
 * lines of daneverify of the Cisco appliance, and the "domain" display of
 * Momentum. Both show every MX and every address: daneverify itself stops at
 * the first one that works. (dane.md S32, S33, S43)
 */
#include "hook/check/out_util.h"

#include "hook/base/auto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE(o, ...)                     \
	do {                             \
		out_put(o, __VA_ARGS__); \
		out_nl(o);               \
	} while (0)

/* ---- cisco ---- */

/* Never BOGUS for an answer that we did not get. */
static const char *state_name(enum dns_security s)
{
	switch (s) {
	case DNS_SECURE:
		return "SECURE";
	case DNS_INSECURE:
		return "INSECURE";
	case DNS_BOGUS:
		return "BOGUS";
	case DNS_FAILED:
		return "FAILED";
	}
	return "FAILED";
}

/* The one connection that stands for an address: one that fails, else one that
 * works, else the first. */
static const struct check_conn *worst(
	const struct check_host *h, const struct check_conn *first)
{
	const struct check_conn *ret = first;

	for (size_t i = 0; i < h->n_conns; i++) {
		const struct check_conn *k = &h->conn[i];

		if (strcmp(k->addr, first->addr) != 0)
			continue;
		if (k->state == CONN_FAIL)
			return k;
		if (k->state == CONN_OK && ret->state != CONN_OK)
			ret = k;
	}
	return ret;
}

static void cisco_tls(
	struct out *o, const struct check_conn *k, const char *domain)
{
	const struct probe_job *j = &k->job;

	LINE(o, "Checking TLS connection.");
	if (j->result == PROBE_SERVED) {
		LINE(o, "TLS connection established: protocol %s, cipher %s.",
			j->tls, j->cipher);
		LINE(o, "Certificate verification %s",
			k->state == CONN_OK ? "successful" : "failed");
	}
	LINE(o, "TLS connection %s %s.",
		k->state == CONN_OK || k->state == CONN_ENCRYPTED ? "succeeded"
								  : "failed",
		domain);
}

static void cisco_address(struct out *o, const struct check_host *h,
	const struct check_conn *first, const char *domain)
{
	const struct check_conn *k = worst(h, first);
	bool v6 = strchr(k->addr, ':') != NULL;
	const struct lookup *l = v6 ? h->aaaa : h->a;

	LINE(o, "%s %s record (%s) found for MX(%s) in %s",
		l != NULL ? state_name(l->security) : "SECURE",
		v6 ? "AAAA" : "A", k->addr, out_host(h), domain);
	LINE(o, "Connecting to %s on port %u.", k->addr, h->port);
	if (k->job.result == PROBE_NO_CONNECT ||
		k->job.result == PROBE_UNTESTABLE)
		return;
	LINE(o, "Connected to %s from interface %s.", k->addr,
		k->job.local[0] != '\0' ? k->job.local : "unknown");
	if (h->tlsa == NULL)
		return;
	if (h->dane == HOST_NO_TLSA) {
		LINE(o, "%s TLSA record found for MX(%s) in %s",
			h->tlsa->nxdomain ? "NXDOMAIN" : "NODATA", out_host(h),
			domain);
		return;
	}
	LINE(o, "%s TLSA record found for MX(%s) in %s",
		state_name(h->tlsa->security), out_host(h), domain);
	if (h->dane == HOST_TLSA)
		cisco_tls(o, k, domain);
}

static void cisco_host(struct out *o, const struct check *c,
	const struct check_host *h, const char *domain)
{
	bool first = true;

	if (c->mx != NULL && c->mx->security == DNS_INSECURE)
		LINE(o,
			"INSECURE MX record(%s) found. The command will still "
			"proceed.",
			out_host(h));
	else if (c->mx != NULL)
		LINE(o, "%s MX record(%s) found for %s",
			state_name(c->mx->security), out_host(h), domain);
	if (h->dane == HOST_BOGUS && h->n_conns == 0)
		LINE(o, "BOGUS %s record found for MX(%s) in %s",
			h->tlsa != NULL && h->tlsa->security == DNS_BOGUS
				? "TLSA"
				: "A",
			out_host(h), domain);
	for (size_t i = 0; i < h->n_conns; i++) {
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = strcmp(h->conn[k].addr, h->conn[i].addr) == 0;
		if (seen)
			continue;
		if (!first)
			LINE(o, "Trying next %s record (%s) for MX(%s) in %s",
				strchr(h->conn[i].addr, ':') != NULL ? "AAAA"
								     : "A",
				h->conn[i].addr, out_host(h), domain);
		first = false;
		cisco_address(o, h, &h->conn[i], domain);
	}
}

enum status out_cisco(const struct check *const c[], size_t n, struct buf *ret,
	struct err *err)
{
	struct out o = { .buf = ret, .err = err, .st = ST_OK };
	char domain[OUT_LABEL_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct check *k = c[i];

		(void)out_label(k, domain);
		if (k->mx != NULL && k->mx->security == DNS_BOGUS)
			LINE(&o, "BOGUS MX record found for %s", domain);
		for (size_t h = 0; h < k->n_hosts; h++) {
			if (h > 0)
				LINE(&o, "Trying next MX record in %s", domain);
			cisco_host(&o, k, &k->host[h], domain);
		}
		LINE(&o, "DANE %s for %s",
			k->verdict == CHECK_OK || k->verdict == CHECK_WEAK
				? "SUCCESS"
				: "FAILED",
			domain);
		LINE(&o, "DANE verification completed.");
	}
	return o.st;
}

/* ---- momentum ---- */

/* "'name' has a TTL of N seconds +dnssec" */
static void ttl_line(struct out *o, const char *what, const char *name,
	const struct lookup *l)
{
	char bare[DNS_NAME_MAX];
	const char *presence = out_presence(l);

	out_put(o, "%s '%s'", what, out_bare(name, bare));
	if (presence == NULL)
		out_put(o, " cannot be had: %s, %s",
			dns_security_name(l->security), l->why);
	else
		out_put(o, " has a TTL of %u seconds%s%s", l->ttl,
			l->security == DNS_SECURE ? " +dnssec" : "",
			l->havedata   ? ""
			: l->nxdomain ? ", no such name"
				      : ", no records");
	out_nl(o);
}

static void momentum_record(struct out *o, const struct check_host *h, size_t i)
{
	const struct tlsa *rr = &h->rrset.rr[i];
	const struct check_record *r = h->record != NULL ? &h->record[i] : NULL;
	auto_buf text = BUF_INIT(OUT_MAX);

	if (r != NULL && r->rr != NULL)
		rr = r->rr;
	if (o->st == ST_OK)
		o->st = tlsa_text(rr, &text, o->err);
	out_put(o, "      %s", buf_str(&text));
	if (r != NULL && r->role != NULL)
		out_put(o, " %s", r->role);
	if (r != NULL)
		out_put(o, " %s",
			r->matches    ? "live"
			: !r->usable  ? "unusable"
			: out_seen(h) ? "not live"
				      : "not compared");
	out_nl(o);
}

static void momentum_addresses(struct out *o, const struct lookup *l)
{
	char type[16];

	if (l == NULL)
		return;
	if (out_presence(l) == NULL)
		LINE(o, "    %s cannot be had: %s, %s", dns_type_name(l->type, type),
			dns_security_name(l->security), l->why);
	else
		for (size_t i = 0; i < l->n && o->st == ST_OK; i++) {
			auto_buf text = BUF_INIT(OUT_MAX);

			o->st = out_rdata(l->type, &l->rr[i], &text, o->err);
			LINE(o, "    %s %s TTL %u%s", dns_type_name(l->type, type),
				buf_str(&text), l->ttl,
				l->security == DNS_SECURE ? " +dnssec" : "");
		}
}

enum status out_momentum(const struct check *const c[], size_t n,
	struct buf *ret, struct err *err)
{
	struct out o = { .buf = ret, .err = err, .st = ST_OK };
	char label[OUT_LABEL_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct check *k = c[i];

		LINE(&o, "%s%s: %s",
			k->kind == CHECK_BY_DOMAIN ? "Domain " : "",
			out_label(k, label), check_verdict_name(k->verdict));
		if (k->mx != NULL)
			ttl_line(&o, "MX", k->name, k->mx);
		for (size_t x = 0; x < k->n_hosts; x++) {
			const struct check_host *h = &k->host[x];

			LINE(&o, "  %u %s", h->pref, out_host(h));
			if (h->tlsa != NULL) {
				out_put(&o, "    ");
				ttl_line(&o, "TLSA", h->owner, h->tlsa);
			}
			for (size_t r = 0; r < h->rrset.n; r++)
				momentum_record(&o, h, r);
			momentum_addresses(&o, h->a);
			momentum_addresses(&o, h->aaaa);
		}
	}
	return o.st;
}
