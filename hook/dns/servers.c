/*
 * All name servers of many zones: the union of the delegation at the parent and
 * the zone's own NS set, all their addresses, and the zone's validated keys.
 * What could not be found out becomes a server without address, so that it
 * counts as not known and holds everything back: it is never dropped.
 * Resolvers use glue, so an address in glue counts even if the zone itself says
 * something else. (dane.md B-15; RFC 1034 4.2.2, RFC 2181 5.4.1)
 */
#include "hook/dns/servers.h"

#include "hook/dns/apex.h"
#include "hook/dns/referral.h"

#include <arpa/inet.h>
#include <stdarg.h>

#define NAMES_MAX 128 /* name servers of one zone */
#define ADDRS_MAX 512 /* their addresses */
#define PARENT_ADDRS_MAX 16
#define PARENT_DEADLINE_MS 12000
#define PARENT_EXTRA_MS 20 /* for each further zone */

struct ns_name {
	char name[DNS_NAME_MAX];
	bool in_zone, in_parent;
};

struct work {
	struct zone_auth *zone;
	struct apex_job parent;
	bool is_root;
	bool delegated;         /* ask only the parent */
	struct dns_addr *asked; /* addresses of the parent's servers */
	struct referral_job referral;
	struct ns_name *name;
	size_t n_names;
};

static void say(char ret[static 256], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(char ret[static 256], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret, 256, fmt, ap);
	va_end(ap);
}

static bool is_bad(enum dns_security s)
{
	return s == DNS_BOGUS || s == DNS_FAILED;
}

/* ---- the list of servers ------------------------------------------------ */

static void addr_set(
	struct dns_addr *a, const uint8_t *data, size_t len, uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(
		len == 4 ? AF_INET : AF_INET6, data, text, sizeof(text));
	(void)dns_addr_parse(text, port, a);
}

static bool is_ignored(const struct auth_server *s, const char *const ignore[])
{
	for (size_t i = 0; ignore != NULL && ignore[i] != NULL; i++) {
		struct err err = ERR_INIT;
		char name[DNS_NAME_MAX];
		struct dns_addr a;

		if (dns_addr_parse(ignore[i], 53, &a)) {
			if (s->has_addr && strcmp(a.text, s->addr.text) == 0)
				return true;
		} else if (name_canon(ignore[i], name, &err) == ST_OK &&
			   strcmp(name, s->name) == 0) {
			return true;
		}
	}
	return false;
}

/* An address that two names share is asked once; it may be left out only when
 * it is to be ignored under both. */
static bool merged(struct zone_auth *z, const struct auth_server *s)
{
	for (size_t i = 0; s->has_addr && i < z->n_servers; i++) {
		struct auth_server *old = &z->server[i];

		if (!old->has_addr || strcmp(old->addr.text, s->addr.text) != 0)
			continue;
		if (old->ignored && !s->ignored)
			*old = *s;
		return true;
	}
	return false;
}

static enum status add(struct zone_auth *z, struct auth_server *s,
	const char *const ignore[], struct err *err)
{
	struct auth_server *grown;

	s->ignored = is_ignored(s, ignore);
	if (merged(z, s))
		return ST_OK;
	grown = reallocarray(z->server, z->n_servers + 1, sizeof(*z->server));
	if (grown == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	z->server = grown;
	z->server[z->n_servers++] = *s;
	return ST_OK;
}

/* Something that is not known, as a server that cannot be asked. */
static enum status add_unknown(struct zone_auth *z, const char *name,
	const char *why, const char *const ignore[], struct err *err)
{
	struct auth_server s = { .has_addr = false };

	(void)snprintf(s.name, sizeof(s.name), "%s", name);
	say(s.why, "%s", why);
	return add(z, &s, ignore, err);
}

/* ---- what to ask -------------------------------------------------------- */

static enum status want_addrs(struct memo *m, const char *name, struct err *err)
{
	if (memo_want(m, name, RRTYPE_A, err) != ST_OK)
		return err->st;
	return memo_want(m, name, RRTYPE_AAAA, err);
}

/* Addresses of all servers in a zone's own NS set. */
static enum status want_ns_addrs(
	struct memo *m, const char *zone, struct err *err)
{
	const struct lookup *l = memo_get(m, zone, RRTYPE_NS);

	for (size_t i = 0; i < l->n && i < NAMES_MAX; i++) {
		char name[DNS_NAME_MAX];

		if (rdata_name(&l->rr[i], name) &&
			want_addrs(m, name, err) != ST_OK)
			return err->st;
	}
	return ST_OK;
}

/* NS and DNSKEY of the zones and the SOA walk to their parents: one stage. */
static enum status ask_zones(
	struct memo *m, struct work *w, size_t n, struct err *err)
{
	struct apex_job *job = calloc(n > 0 ? n : 1, sizeof(*job));
	enum status st = ST_OK;
	size_t k = 0;

	if (job == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; st == ST_OK && i < n; i++) {
		const char *up = name_parent(w[i].zone->zone);

		w[i].is_root = up == NULL;
		if (up != NULL)
			job[k++].name = up;
		if (w[i].delegated)
			continue;
		st = memo_want(m, w[i].zone->zone, RRTYPE_NS, err);
		if (st == ST_OK)
			st = memo_want(m, w[i].zone->zone, RRTYPE_DNSKEY, err);
	}
	if (st == ST_OK)
		st = memo_run(m, err);
	if (st == ST_OK)
		st = apex_find(m, job, k, err);
	k = 0;
	for (size_t i = 0; st == ST_OK && i < n; i++)
		if (!w[i].is_root)
			w[i].parent = job[k++];
	free(job);
	return st;
}

static bool has_parent(const struct work *w)
{
	return !w->is_root && !is_bad(w->parent.security);
}

/* Addresses of the servers of the zones and of their parents. */
static enum status ask_servers(
	struct memo *m, struct work *w, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (has_parent(&w[i]) &&
			memo_want(m, w[i].parent.apex, RRTYPE_NS, err) != ST_OK)
			return err->st;
	if (memo_run(m, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < n; i++) {
		if (!w[i].delegated &&
			want_ns_addrs(m, w[i].zone->zone, err) != ST_OK)
			return err->st;
		if (has_parent(&w[i]) &&
			want_ns_addrs(m, w[i].parent.apex, err) != ST_OK)
			return err->st;
	}
	return memo_run(m, err);
}

static size_t take_addrs(const struct lookup *l, size_t len,
	struct dns_addr *to, size_t have, size_t max)
{
	for (size_t i = 0; i < l->n && have < max; i++)
		if (l->rr[i].len == len)
			addr_set(&to[have++], l->rr[i].data, len, 53);
	return have;
}

/* ---- the parent --------------------------------------------------------- */

static enum status prepare_referral(
	const struct memo *m, struct work *w, struct err *err)
{
	const struct lookup *l = memo_get(m, w->parent.apex, RRTYPE_NS);
	size_t have = 0;

	w->asked = calloc(PARENT_ADDRS_MAX, sizeof(*w->asked));
	if (w->asked == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < l->n && i < NAMES_MAX; i++) {
		char name[DNS_NAME_MAX];

		if (!rdata_name(&l->rr[i], name))
			continue;
		have = take_addrs(memo_get(m, name, RRTYPE_A), 4, w->asked,
			have, PARENT_ADDRS_MAX);
		have = take_addrs(memo_get(m, name, RRTYPE_AAAA), 16, w->asked,
			have, PARENT_ADDRS_MAX);
	}
	w->referral.zone = w->zone->zone;
	w->referral.server = w->asked;
	w->referral.n_servers = have;
	return ST_OK;
}

static enum status ask_parents(
	struct memo *m, struct work *w, size_t n, struct err *err)
{
	struct referral_job **job = calloc(n > 0 ? n : 1, sizeof(*job));
	enum status st = ST_OK;
	size_t k = 0;

	if (job == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; st == ST_OK && i < n; i++)
		if (has_parent(&w[i])) {
			st = prepare_referral(m, &w[i], err);
			job[k++] = &w[i].referral;
		}
	if (st == ST_OK)
		st = referral_ask(job, k,
			PARENT_DEADLINE_MS + PARENT_EXTRA_MS * (int64_t)k, err);
	free(job);
	for (size_t i = 0; st == ST_OK && i < n; i++)
		for (size_t j = 0; st == ST_OK && j < w[i].referral.referral.n;
			j++) {
			const char *name = w[i].referral.referral.name[j];

			if (!w[i].delegated ||
				!name_is_under(name, w[i].zone->zone))
				st = want_addrs(m, name, err);
		}
	return st == ST_OK ? memo_run(m, err) : st;
}

/* ---- putting it together ------------------------------------------------ */

static void note_name(struct work *w, const char *name, bool parent)
{
	struct ns_name *s;

	for (size_t i = 0; i < w->n_names; i++)
		if (strcmp(w->name[i].name, name) == 0) {
			w->name[i].in_parent = w->name[i].in_parent || parent;
			return;
		}
	s = &w->name[w->n_names++];
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->in_parent = parent;
	s->in_zone = !parent;
}

static enum status own_names(const struct memo *m, struct work *w,
	const char *const ignore[], struct err *err)
{
	const struct lookup *l = memo_get(m, w->zone->zone, RRTYPE_NS);
	const char *zone = w->zone->zone, *fault = NULL;
	char why[256];

	for (size_t i = 0; fault == NULL && i < l->n; i++) {
		char name[DNS_NAME_MAX];

		if (i == NAMES_MAX - REFERRAL_NAMES_MAX)
			fault = "too many of them (64 are the limit)";
		else if (!rdata_name(&l->rr[i], name))
			fault = "one has a name that is not a host name";
		else
			note_name(w, name, false);
	}
	if (is_bad(l->security))
		fault = l->why;
	else if (l->n == 0)
		fault = "it has no NS record";
	if (fault == NULL)
		return ST_OK;
	say(why, "name servers of the zone %.80s: %s", zone, fault);
	return add_unknown(w->zone, zone, why, ignore, err);
}

static enum status parent_names(
	struct work *w, const char *const ignore[], struct err *err)
{
	const struct referral *r = &w->referral.referral;
	const char *fault = w->referral.why, *parent = w->parent.apex;
	char why[256];

	if (w->is_root)
		return ST_OK;
	for (size_t i = 0; i < r->n; i++)
		note_name(w, r->name[i], true);
	if (w->referral.ok)
		return ST_OK;
	if (is_bad(w->parent.security))
		fault = w->parent.why;
	say(why, "delegation of %.80s: no answer from the servers of %.80s: %s",
		w->zone->zone, parent, fault);
	return add_unknown(w->zone, parent, why, ignore, err);
}

static void origin(const struct work *w, const struct ns_name *s, bool glue,
	char ret[static 256])
{
	ret[0] = '\0';
	if (glue && !w->delegated)
		say(ret, "this address is only in the glue at %.80s",
			w->parent.apex);
	else if (w->delegated)
		return;
	else if (!s->in_zone)
		say(ret, "in the delegation at %.80s, not in the zone's NS set",
			w->parent.apex);
	else if (!s->in_parent && w->referral.ok)
		say(ret, "in the zone's NS set, not in the delegation at %.80s",
			w->parent.apex);
}

static enum status add_addr(struct work *w, const struct ns_name *s,
	const uint8_t *data, size_t len, bool glue, const char *const ignore[],
	struct err *err)
{
	struct auth_server e = { .has_addr = true };

	memcpy(e.name, s->name, sizeof(e.name));
	addr_set(&e.addr, data, len, 53);
	origin(w, s, glue, e.why);
	return add(w->zone, &e, ignore, err);
}

static enum status family(const struct memo *m, struct work *w,
	const struct ns_name *s, uint16_t type, bool *ret_any,
	const char *const ignore[], struct err *err)
{
	const struct lookup *l = memo_get(m, s->name, type);
	size_t len = type == RRTYPE_A ? 4 : 16;

	if (l == NULL) /* not asked: in a zone that does not resolve */
		return ST_OK;
	if (is_bad(l->security)) {
		*ret_any = true;
		return add_unknown(w->zone, s->name, l->why, ignore, err);
	}
	for (size_t i = 0; i < l->n && w->zone->n_servers < ADDRS_MAX; i++) {
		if (l->rr[i].len != len)
			continue;
		*ret_any = true;
		if (add_addr(w, s, l->rr[i].data, len, false, ignore, err) !=
			ST_OK)
			return err->st;
	}
	return ST_OK;
}

/* All addresses of one server. */
static enum status addresses(const struct memo *m, struct work *w,
	const struct ns_name *s, const char *const ignore[], struct err *err)
{
	const struct referral *r = &w->referral.referral;
	bool any = false;

	if (family(m, w, s, RRTYPE_A, &any, ignore, err) != ST_OK ||
		family(m, w, s, RRTYPE_AAAA, &any, ignore, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < r->n_glue; i++) {
		const struct glue *g = &r->glue[i];

		if (strcmp(g->name, s->name) != 0 ||
			!name_is_under(g->name, w->zone->zone) ||
			w->zone->n_servers >= ADDRS_MAX)
			continue;
		any = true;
		if (add_addr(w, s, g->addr, g->len, true, ignore, err) != ST_OK)
			return err->st;
	}
	return any ? ST_OK
		   : add_unknown(w->zone, s->name, "it has no address", ignore,
			     err);
}

static enum status take_keys(
	struct zone_auth *z, const struct lookup *l, struct err *err)
{
	z->security = l->security;
	memcpy(z->why, l->why, sizeof(z->why));
	if (l->security != DNS_SECURE)
		return ST_OK;
	if (l->n == 0) {
		z->security = DNS_FAILED;
		say(z->why,
			"DNSKEY of %.200s: the zone is signed, yet has none",
			z->zone);
		return ST_OK;
	}
	z->dnskey = calloc(l->n, sizeof(*z->dnskey));
	if (z->dnskey == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (; z->n_dnskey < l->n; z->n_dnskey++) {
		const struct rdata *from = &l->rr[z->n_dnskey];
		uint8_t *copy = malloc(from->len > 0 ? from->len : 1);

		if (copy == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
		memcpy(copy, from->data, from->len);
		z->dnskey[z->n_dnskey] = (struct rdata){ copy, from->len };
	}
	return ST_OK;
}

/* The same servers in the same order each time, whatever the order in which
 * the resolver saw them. */
static int by_name(const void *a, const void *b)
{
	const struct auth_server *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d != 0 ? d : strcmp(x->addr.text, y->addr.text);
}

static enum status assemble(const struct memo *m, struct work *w,
	const char *const ignore[], struct err *err)
{
	struct zone_auth *z = w->zone;

	if (!w->delegated &&
		take_keys(z, memo_get(m, z->zone, RRTYPE_DNSKEY), err) != ST_OK)
		return err->st;
	w->name = calloc(NAMES_MAX, sizeof(*w->name));
	if (w->name == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if ((!w->delegated && own_names(m, w, ignore, err) != ST_OK) ||
		parent_names(w, ignore, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < w->n_names; i++)
		if (addresses(m, w, &w->name[i], ignore, err) != ST_OK)
			return err->st;
	if (z->n_servers >= ADDRS_MAX &&
		add_unknown(z, z->zone,
			"too many addresses (512 are the limit)", ignore,
			err) != ST_OK)
		return err->st;
	if (z->n_servers > 1)
		qsort(z->server, z->n_servers, sizeof(*z->server), by_name);
	return ST_OK;
}

static enum status find_all(struct memo *m, struct work *w, size_t n,
	const char *const ignore[], struct err *err)
{
	if (ask_zones(m, w, n, err) != ST_OK ||
		ask_servers(m, w, n, err) != ST_OK ||
		ask_parents(m, w, n, err) != ST_OK)
		return err->st;
	for (size_t i = 0; i < n; i++) {
		enum status st = assemble(m, &w[i], ignore, err);

		free(w[i].name);
		w[i].name = NULL;
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

static void work_free(struct work *w, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		referral_release(&w[i].referral.referral);
		free(w[i].asked);
	}
	free(w);
}

enum status servers_find(struct memo *m, struct zone_auth zone[], size_t n,
	const char *const ignore[], struct err *err)
{
	struct work *w = calloc(n > 0 ? n : 1, sizeof(*w));
	enum status st;
	size_t k = 0;

	if (w == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		if (!is_bad(zone[i].security))
			w[k++].zone = &zone[i];
	st = find_all(m, w, k, ignore, err);
	work_free(w, k);
	return st;
}

enum status servers_find_delegated(struct memo *m, struct zone_auth zone[],
	size_t n, bool ret_cut[], struct err *err)
{
	struct work *w = calloc(n > 0 ? n : 1, sizeof(*w));
	enum status st;

	if (w == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		w[i] = (struct work){ .zone = &zone[i], .delegated = true };
	st = find_all(m, w, n, NULL, err);
	for (size_t i = 0; i < n; i++)
		ret_cut[i] = w[i].is_root || w[i].referral.ok;
	work_free(w, n);
	return st;
}
