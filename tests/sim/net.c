/*
 * The network that the engine is given (hook/env.h): what it asks is answered
 * from the world, after the time that it takes, during which the world goes on.
 */
#include "world.h"

#include "hook/dns/tlsa.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* ---- record sets ---- */

static void must_ok(enum status st, const struct err *err)
{
	if (st == ST_OK)
		return;
	(void)fprintf(stderr, "sim: %s\n", err->text);
	abort();
}

/* A foreign 3 1 2 record: of this key, or of none that we know. */
static void add_strong(struct tlsa_rrset *set, int id)
{
	struct spki spki = spki_of_id(id < 0 ? IDS - 1 : id);
	uint8_t digest[64] = { 0 };
	struct tlsa rr = { .usage = 3, .selector = 1, .mtype = 2, .len = 64,
		.data = digest };
	struct err err = ERR_INIT;

	memcpy(digest, spki.d, sizeof(spki.d));
	must_ok(tlsa_rrset_add(set, &rr, &err), &err);
}

static void set_of(const struct version *v, struct tlsa_rrset *ret)
{
	struct err err = ERR_INIT;

	*ret = (struct tlsa_rrset)TLSA_RRSET_INIT;
	if (!v->exists)
		return;
	ret->ttl = v->ttl;
	for (int id = 0; id < IDS; id++) {
		struct spki spki;

		if (id % 64 == 0 && v->set.b[id / 64] == 0) {
			id += 63;
			continue;
		}
		if (!in_set(&v->set, id))
			continue;
		spki = spki_of_id(id);
		must_ok(tlsa_rrset_add_spki(ret, &spki, &err), &err);
	}
	if (v->strong)
		add_strong(ret, v->strong_for);
}

static struct idset ids_of(const struct tlsa_rrset *set)
{
	struct idset ret = { .b = { 0 } };

	for (size_t i = 0; i < set->n; i++) {
		struct spki spki;
		int id;

		if (!tlsa_is_spki(&set->rr[i], &spki))
			continue;
		id = id_of_spki(&spki);
		if (id >= 0)
			put(&ret, id);
	}
	return ret;
}

static size_t owner_of(const struct world *w, const char *name)
{
	for (size_t o = 0; o < w->n_owners; o++)
		if (strcmp(w->owner_name[o], name) == 0)
			return o;
	abort();
}

/* ---- who is in charge ---- */

static void one_server(struct zone_auth *z, size_t s, bool v6)
{
	struct auth_server *a = &z->server[z->n_servers++];

	memset(a, 0, sizeof(*a));
	(void)snprintf(a->name, sizeof(a->name), "ns%zu.example.", s);
	a->has_addr = true;
	(void)snprintf(a->addr.text, sizeof(a->addr.text),
		v6 ? "2001:db8::%zu" : "192.0.2.%zu", s + 1);
}

static void find_servers(const struct world *w, struct zone_auth *z)
{
	memcpy(z->zone, "example.", sizeof("example."));
	z->security = w->security_until > w->t ? w->security : DNS_SECURE;
	(void)snprintf(z->why, sizeof(z->why), "%s",
		dns_security_name(z->security));
	z->server = must(calloc(2 * SERVERS, sizeof(*z->server)));
	for (size_t s = 0; s < w->n_servers; s++) {
		if (!w->server[s].listed || w->server[s].hidden)
			continue;
		one_server(z, s, false);
		if (w->server[s].second_address)
			one_server(z, s, true);
	}
}

/* A resolver with an empty cache asks any server that answers. */
static void validate(struct world *w, size_t o, struct owner_auth *oa)
{
	size_t first = rnd(w) % w->n_servers;

	oa->security = w->security_until > w->t ? w->security : DNS_SECURE;
	memcpy(oa->owner, w->owner_name[o], sizeof(oa->owner));
	memcpy(oa->final, w->owner_name[o], sizeof(oa->final));
	for (size_t i = 0; i < w->n_servers; i++) {
		const struct server *s = &w->server[(first + i) % w->n_servers];
		struct tlsa_rrset set;

		if (!s->listed || s->mood >= MOOD_DEAD || s->hidden)
			continue;
		set_of(&s->now[o].v, &set);
		oa->havedata = set.n > 0;
		oa->ttl = set.ttl;
		oa->rr = must(calloc(set.n + 1, sizeof(*oa->rr)));
		for (size_t r = 0; r < set.n; r++) {
			const struct tlsa *t = &set.rr[r];
			struct rdata *rd = &oa->rr[oa->n++];

			rd->len = 3U + t->len;
			rd->data = must(malloc(rd->len));
			rd->data[0] = t->usage;
			rd->data[1] = t->selector;
			rd->data[2] = t->mtype;
			memcpy(rd->data + 3, t->data, t->len);
		}
		tlsa_rrset_release(&set);
		return;
	}
	oa->security = DNS_FAILED;
}

/* ---- the sweep ---- */

static void doubt(struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void doubt(struct world *w, const char *fmt, ...)
{
	va_list ap;

	w->running->doubt = true;
	va_start(ap, fmt);
	(void)vsnprintf(w->running->doubt_why, sizeof(w->running->doubt_why),
		fmt, ap);
	va_end(ap);
}

static void ask(struct world *w, size_t s, size_t o, struct sweep_answer *a)
{
	const struct server *sv = &w->server[s];
	const struct version *v = &sv->now[o].v;
	struct proc *p = w->running;

	a->verdict = SWEEP_UNKNOWN;
	if (sv->mood >= MOOD_DEAD) {
		a->reason = sv->mood == MOOD_LYING ? sv->lie : SWR_TIMEOUT;
		doubt(w, "server %zu gave no good answer", s);
		return;
	}
	a->verdict = v->exists ? SWEEP_FOUND : SWEEP_ABSENT;
	a->reason = SWR_NONE;
	p->hearing[p->n_hearing++ % (OWNERS * SERVERS)] = *v;
	set_of(v, &a->rrset);
	a->neg_ttl = 900;
	a->have_serial = true;
	a->serial = v->serial;
	a->rrsig_inception = w->t / 1000 - 5 * 86400;
	a->rrsig_expiration = w->t / 1000 + 14 * 86400;
}

static void sweep_owner(struct world *w, size_t o, const struct zone_auth *z,
	struct sweep_owner *so)
{
	so->answer = must(calloc(z->n_servers + 1, sizeof(*so->answer)));
	for (size_t i = 0; i < z->n_servers; i++) {
		struct sweep_answer *a = &so->answer[so->n++];
		const char *text = z->server[i].addr.text;
		size_t s = strtoul(z->server[i].name + 2, NULL, 10);

		a->server = i;
		if (strchr(text, ':') != NULL)
			a->verdict = SWEEP_UNTESTABLE;
		else
			ask(w, s, o, a);
	}
}

static enum status net_sweep(void *ctx, const char *const owner[], size_t n,
	int64_t keep_ms, struct authority *auth, struct sweep *sw,
	struct err *err)
{
	struct world *w = ctx;
	struct proc *p = w->running;

	(void)keep_ms;
	(void)err;
	w->stats->sweeps++;
	*auth = (struct authority){ .n_zones = 1, .n_owners = n };
	*sw = (struct sweep){ .n = n };
	auth->zone = must(calloc(1, sizeof(*auth->zone)));
	auth->owner = must(calloc(n + 1, sizeof(*auth->owner)));
	sw->owner = must(calloc(n + 1, sizeof(*sw->owner)));
	p->n_hearing = 0;
	p->swept = true;
	p->doubt = false;
	find_servers(w, &auth->zone[0]);
	tick(w, 2 * SEC);
	for (size_t i = 0; i < n; i++)
		validate(w, owner_of(w, owner[i]), &auth->owner[i]);
	for (size_t i = 0; i < n; i++) {
		tick(w, 4 * SEC);
		sweep_owner(w, owner_of(w, owner[i]), &auth->zone[0],
			&sw->owner[i]);
		if (auth->owner[i].security != DNS_SECURE ||
			auth->zone[0].security != DNS_SECURE)
			doubt(w, "name %zu is not secure", i);
	}
	p->swept_at = w->t;
	return ST_OK;
}

static void net_warm(void *ctx, const char *const owner[], size_t n)
{
	(void)ctx;
	(void)owner;
	(void)n;
}

/* ---- addresses ---- */

static enum status net_look_up(void *ctx, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	struct world *w = ctx;

	(void)err;
	tick(w, SEC);
	for (size_t i = 0; i < n; i++) {
		struct lookup *l = jobs[i];

		l->security = w->security_until > w->t ? w->security
						       : DNS_SECURE;
		if (l->type != RRTYPE_A || l->security == DNS_FAILED)
			continue;
		l->havedata = true;
		l->n = w->n_addresses;
		l->rr = must(calloc(l->n, sizeof(*l->rr)));
		for (size_t a = 0; a < l->n; a++) {
			const uint8_t ip[4] = { 192, 0, 2, (uint8_t)(100 + a) };

			l->rr[a].len = 4;
			l->rr[a].data = must(malloc(4));
			memcpy(l->rr[a].data, ip, 4);
		}
	}
	return ST_OK;
}

/* ---- what is served ---- */

static bool matches_one(const struct probe_job *j, const struct spki *spki)
{
	for (size_t i = 0; i < j->n_tlsa; i++)
		if (j->tlsa[i].usage == 3 && j->tlsa[i].selector == 1 &&
			memcmp(j->tlsa[i].data, spki->d, sizeof(spki->d)) == 0)
			return true;
	return false;
}

static void probe_one(struct world *w, struct probe_job *j)
{
	struct sockaddr_in sin;
	size_t address, line;
	const struct endpoint *e;

	tick(w, 300);
	memcpy(&sin, &j->addr, sizeof(sin));
	address = (ntohl(sin.sin_addr.s_addr) & 0xff) - 100;
	line = j->alg == PROBE_RSA ? 1 : 0;
	j->matched = j->depth = -1;
	if (line >= w->n_lines) {
		j->result = PROBE_NO_CERT;
		return;
	}
	e = &w->endpoint[address * w->n_lines + line];
	if (e->down_until > w->t ||
		mishap(w, w->probe_blind, "a probe is not answered")) {
		j->result = PROBE_TIMEOUT;
		return;
	}
	j->result = PROBE_SERVED;
	j->spki = spki_of_id(e->id);
	j->key_alg = line == 0 ? KEY_ECDSA_P256 : KEY_RSA_2048;
	j->dane_ok = matches_one(j, &j->spki);
	j->not_after = e->cert; /* all that is asked: the same or another */
}

static enum status net_probe(void *ctx, struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	(void)lim;
	(void)err;
	for (size_t i = 0; i < n; i++)
		probe_one(ctx, &jobs[i]);
	return ST_OK;
}

/* ---- the provider ---- */

static bool fails(struct world *w, struct err *err)
{
	if (w->provider_down_until <= w->t &&
		!mishap(w, w->provider_fails, "the provider fails"))
		return false;
	(void)err_set(err, ST_RETRY, "the provider is down");
	return true;
}

static enum status p_open(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	(void)cfg;
	(void)err;
	*ret = world;
	return ST_OK;
}

static void p_close(void *ctx)
{
	(void)ctx;
}

static enum status p_get(void *ctx, const char *owner, struct tlsa_rrset *ret,
	char *ret_zone, struct err *err)
{
	struct world *w = ctx;

	tick(w, 2 * SEC);
	if (fails(w, err))
		return err->st;
	set_of(&w->zone[owner_of(w, owner)], ret);
	memcpy(ret_zone, "example.", sizeof("example."));
	return ST_OK;
}

/* I4: what is not ours stays as it is. */
static void check_foreign(struct world *w, const struct tlsa_rrset *from,
	const struct tlsa_rrset *to)
{
	for (size_t i = 0; i < from->n; i++) {
		struct spki spki;
		int id = tlsa_is_spki(&from->rr[i], &spki)
			? id_of_spki(&spki)
			: -1;

		if (id >= 0 && id < FOREIGN &&
			(in_set(&w->ours, id) || w->first_publish[id] != 0))
			continue;
		if (!tlsa_rrset_has(to, &from->rr[i]))
			violate(w, "I4: a record of somebody else is removed");
	}
}

static void change(struct world *w, size_t o, const struct idset *add,
	const struct idset *remove, uint32_t ttl)
{
	const struct idset none = { .b = { 0 } };

	if (!w->by_record) {
		zone_update(w, o, add, remove, ttl);
		return;
	}
	/* record by record, for all to see */
	zone_update(w, o, add, &none, ttl);
	tick(w, 2 * SEC);
	if (memcmp(remove, &none, sizeof(none)) != 0)
		zone_update(w, o, &none, remove, ttl);
}

static enum status p_replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	struct world *w = ctx;
	size_t o = owner_of(w, owner);
	struct idset was = ids_of(from), is = ids_of(to), add, remove;
	struct tlsa_rrset now;
	bool same;

	law_effect(w, w->n_lines, INTENT_PUBLISH, "records change");
	tick(w, 2 * SEC);
	check_foreign(w, from, to);
	if (fails(w, err))
		return err->st;
	set_of(&w->zone[o], &now);
	same = tlsa_rrset_eq(&now, from);
	tlsa_rrset_release(&now);
	if (!same && !w->by_record)
		return err_set(err, ST_CONFLICT, "somebody changed it");
	for (size_t i = 0; i < IDS / 64; i++) {
		add.b[i] = is.b[i] & ~was.b[i];
		remove.b[i] = was.b[i] & ~is.b[i];
	}
	if (!w->by_record && mishap(w, w->provider_fails / 4,
				     "the provider says no and does it later")) {
		schedule(w, (struct event){ .at = w->t +
						  rnd_range(w, SEC, 5 * MIN),
				    .kind = EV_LATE,
				    .owner = o,
				    .ttl = to->ttl,
				    .add = add });
		return err_set(err, ST_RETRY, "no answer");
	}
	change(w, o, &add, &remove, to->ttl);
	if (mishap(w, w->provider_fails / 2,
		    "the provider does it, and its answer is lost"))
		return err_set(err, ST_RETRY, "no answer");
	return ST_OK;
}

/* Some ask to be left alone for a while. */
static void p_edit(void *ctx, struct provider_item *items, size_t n,
	provider_decide decide, void *arg)
{
	struct world *w = ctx;
	struct provider_ops plain = w->ops;

	plain.edit = NULL;
	if (mishap(w, w->provider_fails, "the provider asks to be left alone")) {
		for (size_t i = 0; i < n; i++) {
			(void)err_set(&items[i].err, ST_RETRY, "429");
			items[i].retry_after_s = rnd_range(w, 1, 3600);
		}
		return;
	}
	provider_edit(&plain, ctx, items, n, decide, arg);
}

static enum status net_edit(void *ctx, const struct cfg_provider *p,
	int64_t deadline_ms, struct provider_item *items, size_t n,
	provider_decide decide, void *arg, struct err *err)
{
	(void)p;
	(void)deadline_ms;
	(void)err;
	provider_edit(&((struct world *)ctx)->ops, ctx, items, n, decide, arg);
	return ST_OK;
}

void net_init(struct world *w)
{
	w->ops = (struct provider_ops){
		.type = "sim",
		.title = "simulated",
		.caps = PCAP_READ | (w->by_record ? 0 : PCAP_ATOMIC),
		.open = p_open,
		.get = p_get,
		.replace = p_replace,
		.edit = w->by_edit ? p_edit : NULL,
		.close = p_close,
	};
	w->provider = (struct cfg_provider){ .ops = &w->ops };
	w->env = (struct env){
		.ctx = w,
		.sweep = net_sweep,
		.warm = net_warm,
		.look_up = net_look_up,
		.probe = net_probe,
		.edit = net_edit,
	};
}
