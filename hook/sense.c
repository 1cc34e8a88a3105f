/*
 * Sense: certbot's lineage, and the sweep over all owner names of many
 * lineages at once, translated into the plan's terms. No decisions here.
 */
#include "hook/sense.h"

#include "hook/base/auto.h"
#include "hook/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- certbot's lineage ---- */

static bool leaf_is_known(const struct session *s, const struct spki *leaf)
{
	for (size_t i = 0; i < s->st.n_gens; i++)
		if (spki_eq(&s->st.gen[i].fingerprint, leaf))
			return true;
	return false;
}

static void lineage_trouble(struct session *s, const char *text)
{
	s->obs.lineage.present = true;
	s->obs.lineage.readable = false;
	(void)snprintf(s->obs.lineage.why, sizeof(s->obs.lineage.why),
		"certbot's lineage %s cannot be used: %s", s->cl->certbot,
		text);
}

enum status sense_lineage(struct session *s, struct err *err)
{
	struct obs_lineage *l = &s->obs.lineage;
	enum status st;

	memset(l, 0, sizeof(*l));
	if (s->have_found)
		lineage_version_release(&s->found);
	s->have_found = false;
	st = lineage_fingerprint(s->cl->certbot, s->fingerprint,
		sizeof(s->fingerprint), err);
	if (st == ST_OK && strcmp(s->fingerprint, s->st.lineage_seen) == 0) {
		l->present = l->readable = true;
		return ST_OK;
	}
	if (st == ST_OK)
		st = lineage_read(s->cl->certbot, 2000, &s->found, err);
	if (st == ST_NOTFOUND) {
		(void)snprintf(l->why, sizeof(l->why),
			"certbot has no lineage at %s: issue a certificate "
			"there, or set certbot = \"...\" in lineage %s",
			s->cl->certbot, s->cl->name);
		return ST_OK;
	}
	if (st == ST_NOMEM || st == ST_BUG)
		return st;
	if (st != ST_OK) {
		lineage_trouble(s, err->text);
		return ST_OK;
	}
	s->have_found = true;
	l->present = l->readable = true;
	l->spki = s->found.leaf.spki;
	l->alg = s->found.leaf.alg;
	l->fresh = !leaf_is_known(s, &s->found.leaf.fingerprint);
	return ST_OK;
}

/* ---- fitness of what waits to go live ---- */

static bool names_ok(struct session *s, const struct cert_info *c)
{
	for (size_t i = 0; i < s->cl->n_endpoints; i++) {
		const char *host = s->cl->endpoint[i].host;

		if (cert_covers(c, host))
			continue;
		if (s->cl->names_error) {
			(void)snprintf(s->obs.unfit_why,
				sizeof(s->obs.unfit_why),
				"the certificate does not cover %s (names = "
				"\"error\")",
				host);
			return false;
		}
		log_event(LOG_WARN_L, "names",
			"lineage=%s host=%s why=%s", log_quote(s->cl->name),
			host,
			log_quote("the certificate does not cover this host; "
				  "DANE-EE senders do not mind, others do"));
	}
	return true;
}

static bool fit(struct session *s, const struct state_gen *g, struct err *err)
{
	auto_buf key = BUF_INIT(64 * 1024);
	auto_buf chain = BUF_INIT(1024 * 1024);
	struct cert_info info = { .n_names = 0 };
	bool ok;

	if (store_gen_read(s->sl, g->n, &key, &chain, err) != ST_OK ||
		cert_check(buf_str(&chain), chain.len, buf_str(&key), key.len,
			&g->spki, s->obs.wall_s, err) != ST_OK ||
		cert_info_read(buf_str(&chain), chain.len, &info, err) !=
			ST_OK) {
		(void)snprintf(s->obs.unfit_why, sizeof(s->obs.unfit_why),
			"%s", err->text);
		return false;
	}
	ok = names_ok(s, &info);
	cert_info_release(&info);
	return ok;
}

static bool was_fit(const struct session *s, unsigned gen)
{
	for (size_t i = 0; i < s->n_fit; i++)
		if (s->fit[i] == gen)
			return true;
	return false;
}

/* Generations never change, so once in a pass is enough: this runs before each
 * step. */
void sense_fitness(struct session *s)
{
	s->obs.unfit = 0;
	for (size_t i = 0; i < s->st.n_keys; i++) {
		const struct state_gen *g =
			state_gen_of(&s->st, &s->st.key[i].spki);
		struct err err = ERR_INIT;

		if (g == NULL || g->n <= s->st.live_gen || was_fit(s, g->n))
			continue;
		if (!fit(s, g, &err))
			s->obs.unfit |= UINT32_C(1) << i;
		else if (s->n_fit < STATE_KEYS_MAX)
			s->fit[s->n_fit++] = g->n;
	}
}

/* ---- other lineages at the same names ---- */

static enum status add_claim(struct session *s, const struct lineage_state *o,
	const struct state_key *k, size_t owner, struct err *err)
{
	struct claim *p =
		reallocarray(s->claim, s->n_claims + 1, sizeof(*p));

	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	s->claim = p;
	s->claim[s->n_claims++] = (struct claim){
		.spki = k->spki,
		.role = k->role,
		.may_be_served = state_key_may_be_served(o, k),
		.owner = owner,
	};
	return ST_OK;
}

static enum status claims_of(struct session *s, const struct lineage_state *o,
	struct err *err)
{
	enum status st;

	for (size_t i = 0; i < o->n_owners; i++) {
		for (size_t j = 0; j < s->st.n_owners; j++) {
			if (strcmp(o->owner[i].owner, s->st.owner[j].owner) !=
				0)
				continue;
			for (size_t k = 0; k < o->n_keys; k++) {
				st = add_claim(s, o, &o->key[k], j, err);
				if (st != ST_OK)
					return st;
			}
		}
	}
	return ST_OK;
}

static int cmp_owner_ref(const void *a, const void *b)
{
	const struct owner_ref *x = a, *y = b;
	int c = strcmp(x->owner, y->owner);

	return c != 0 ? c : (x->cl > y->cl) - (x->cl < y->cl);
}

/* Which lineages list a name: sorted once, so that the cost of a lineage does
 * not grow with the number of lineages. */
static enum status build_index(struct engine *e, struct err *err)
{
	const struct config *cfg = e->cfg;
	size_t n = 0;

	if (e->owner_ref != NULL)
		return ST_OK;
	for (size_t i = 0; i < cfg->n_lineages; i++)
		n += cfg->lineage[i].n_owners;
	e->owner_ref = calloc(n + 1, sizeof(*e->owner_ref));
	if (e->owner_ref == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < cfg->n_lineages; i++)
		for (size_t j = 0; j < cfg->lineage[i].n_owners; j++)
			e->owner_ref[e->n_owner_refs++] = (struct owner_ref){
				cfg->lineage[i].owner[j], &cfg->lineage[i]
			};
	qsort(e->owner_ref, n, sizeof(*e->owner_ref), cmp_owner_ref);
	return ST_OK;
}

static enum status claims_by(
	struct session *s, const struct cfg_lineage *o, struct err *err)
{
	struct lineage_state other;
	enum status st = store_peek(s->e->store, o->name, &other, err);

	if (st == ST_NOTFOUND)
		return ST_OK;
	if (st != ST_OK)
		return err_context(err, "%s: shares names with us", o->name);
	st = claims_of(s, &other, err);
	state_release(&other);
	return st;
}

static size_t first_ref(const struct engine *e, const char *owner)
{
	size_t lo = 0, hi = e->n_owner_refs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(e->owner_ref[mid].owner, owner) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool asked_before(const struct cfg_lineage *const *list, size_t n,
	const struct cfg_lineage *cl)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == cl)
			return true;
	return false;
}

#define SHARERS_MAX 64

enum status sense_claims(struct session *s, struct err *err)
{
	const struct cfg_lineage *seen[SHARERS_MAX] = { s->cl };
	struct engine *e = s->e;
	size_t n = 1;
	enum status st = build_index(e, err);

	free(s->claim);
	s->claim = NULL;
	s->n_claims = 0;
	for (size_t i = 0; st == ST_OK && i < s->st.n_owners; i++) {
		const char *owner = s->st.owner[i].owner;

		for (size_t r = first_ref(e, owner);
			st == ST_OK && r < e->n_owner_refs &&
			strcmp(e->owner_ref[r].owner, owner) == 0;
			r++) {
			const struct cfg_lineage *cl = e->owner_ref[r].cl;

			if (asked_before(seen, n, cl))
				continue;
			if (n == SHARERS_MAX)
				return err_set(err, ST_REFUSED,
					"%s: more than %d lineages list it",
					owner, SHARERS_MAX);
			seen[n++] = cl;
			st = claims_by(s, cl, err);
		}
	}
	return st;
}

/* What claims mean for the decision: a record that another lineage needs is not
 * ours to withdraw; a name where another one is published is in use. */
static void apply_claims(struct session *s)
{
	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claim[i];
		struct state_key *k = state_key_find(&s->st, &c->spki);

		if (k != NULL && c->role != KEY_RETIRED)
			s->obs.claimed_elsewhere |= UINT32_C(1)
				<< (k - s->st.key);
		if (c->role == KEY_CURRENT &&
			tlsa_rrset_has_spki(
				&s->validated[c->owner], &c->spki))
			s->owner[c->owner].shared = true;
	}
}

/* ---- the sweep ---- */

struct names {
	const char **name; /* borrowed from the sessions' configurations */
	size_t n;
};

static int cmp_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status collect(struct session *const sessions[], size_t n,
	struct names *ret, struct err *err)
{
	size_t total = 0, w = 0;

	for (size_t i = 0; i < n; i++)
		total += sessions[i]->st.n_owners;
	ret->n = 0;
	ret->name = calloc(total + 1, sizeof(*ret->name));
	if (ret->name == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < sessions[i]->st.n_owners; j++)
			ret->name[ret->n++] = sessions[i]->st.owner[j].owner;
	if (ret->n == 0)
		return ST_OK;
	qsort(ret->name, ret->n, sizeof(*ret->name), cmp_name);
	for (size_t i = 0; i < ret->n; i++)
		if (w == 0 || strcmp(ret->name[w - 1], ret->name[i]) != 0)
			ret->name[w++] = ret->name[i];
	ret->n = w;
	return ST_OK;
}

static bool in_list(char *const *list, const char *a, const char *b)
{
	for (; list != NULL && *list != NULL; list++) {
		size_t len = strlen(*list);

		if (strcmp(*list, b) == 0)
			return true;
		/* names may be written without the final dot */
		if (strncmp(*list, a, len) == 0 &&
			(a[len] == '\0' || strcmp(a + len, ".") == 0))
			return true;
	}
	return false;
}

static bool has_strong_digest(const struct tlsa_rrset *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->rr[i].usage == 3 && set->rr[i].selector == 1 &&
			set->rr[i].mtype == 2)
			return true;
	return false;
}

/* RFC 7671 9: would a stronger digest hide this key, once its record is in the
 * set? A foreign 3 1 2 is fine if it is this very key's. */
static bool hidden_by_digest(struct session *s, const struct state_key *k,
	const struct tlsa_rrset *set)
{
	auto_tlsa with = TLSA_RRSET_INIT;
	uint8_t sha512[64];
	const char *why;
	struct err err = ERR_INIT;
	struct key *key;
	bool ok;

	if (!has_strong_digest(set))
		return false;
	if (tlsa_rrset_copy(set, &with, &err) != ST_OK ||
		tlsa_rrset_add_spki(&with, &k->spki, &err) != ST_OK ||
		store_key_load(s->sl, &k->spki, &key, &err) != ST_OK)
		return true;
	ok = key_spki_sha512(key, sha512, &err) == ST_OK &&
		tlsa_agility_ok(&with, &k->spki, sha512, &why);
	key_free(key);
	return !ok;
}

/* By the operator's order; said each time it makes a difference. */
static void ignore(struct session *s, struct obs_answer *a)
{
	bool matters = a->verdict == OBS_UNKNOWN;

	for (size_t k = 0; k < s->st.n_keys; k++)
		if (s->st.key[k].role != KEY_RETIRED &&
			(a->has >> k & 1) == 0)
			matters = true;
	if (matters)
		log_event(LOG_WARN_L, "ignored-server",
			"lineage=%s server=%s why=%s",
			log_quote(s->cl->name), log_quote(a->server),
			log_quote(a->verdict == OBS_UNKNOWN
					? a->why
					: "it lacks a record"));
	a->verdict = OBS_IGNORED;
}

static void convert_answer(struct session *s, const struct auth_server *sv,
	const struct sweep_answer *in, struct obs_answer *out,
	uint32_t *agility_bad)
{
	(void)snprintf(out->ns, sizeof(out->ns), "%s", sv->name);
	(void)snprintf(out->server, sizeof(out->server), "%.40s %s", sv->name,
		sv->has_addr ? sv->addr.text : "(no address)");
	out->ttl = in->verdict == SWEEP_FOUND ? in->rrset.ttl : in->neg_ttl;
	out->have_serial = in->have_serial;
	out->serial = in->serial;
	out->rrsig_inception_s = in->rrsig_inception;
	out->rrsig_expiration_s = in->rrsig_expiration;
	(void)snprintf(out->why, sizeof(out->why), "%s%s%s",
		in->verdict == SWEEP_UNKNOWN ? sweep_reason_name(in->reason)
					     : "",
		in->why[0] ? ": " : "", in->why);
	if (in->verdict == SWEEP_FOUND || in->verdict == SWEEP_ABSENT)
		out->verdict = OBS_GOOD;
	else
		out->verdict = in->verdict == SWEEP_UNTESTABLE
			? OBS_UNTESTABLE
			: OBS_UNKNOWN;
	for (size_t k = 0; k < s->st.n_keys; k++) {
		const struct state_key *key = &s->st.key[k];

		if (in->verdict != SWEEP_FOUND)
			continue;
		if (tlsa_rrset_has_spki(&in->rrset, &key->spki))
			out->has |= UINT32_C(1) << k;
		if (hidden_by_digest(s, key, &in->rrset))
			*agility_bad |= UINT32_C(1) << k;
	}
	if (in_list(s->cl->ignore_servers, sv->name,
		    sv->has_addr ? sv->addr.text : ""))
		ignore(s, out);
}

static enum obs_security worst(
	const struct zone_auth *z, const struct owner_auth *oa)
{
	if (z->security == DNS_BOGUS || oa->security == DNS_BOGUS)
		return OBS_BOGUS;
	if (z->security == DNS_FAILED || oa->security == DNS_FAILED)
		return OBS_NO_ANSWER;
	if (z->security == DNS_INSECURE || oa->security == DNS_INSECURE)
		return OBS_INSECURE;
	return OBS_SECURE;
}

static enum status convert_validated(struct session *s, size_t i,
	const struct owner_auth *oa, struct err *err)
{
	s->validated[i].ttl = oa->ttl;
	for (size_t r = 0; r < oa->n; r++) {
		enum status st = tlsa_rrset_add_rdata(&s->validated[i],
			oa->rr[r].data, oa->rr[r].len, err);

		if (st == ST_NOMEM)
			return st;
	}
	for (size_t k = 0; k < s->st.n_keys; k++)
		if (tlsa_rrset_has_spki(
			    &s->validated[i], &s->st.key[k].spki))
			s->owner[i].validated_has |= UINT32_C(1) << k;
	return ST_OK;
}

static void security_text(struct obs_owner *oo, const struct zone_auth *z,
	const struct owner_auth *oa)
{
	static const char *const text[] = {
		[OBS_SECURE] = "secure",
		[OBS_INSECURE] = "insecure: provably unsigned",
		[OBS_BOGUS] = "DNSSEC is broken (bogus)",
		[OBS_NO_ANSWER] = "the resolver got no answer",
	};
	const char *why = oa->why[0] ? oa->why : z->why;

	(void)snprintf(oo->why, sizeof(oo->why), "%s%s%s", text[oo->security],
		why[0] ? ": " : "", why);
}

static enum status session_alloc(struct session *s, size_t answers,
	struct err *err)
{
	size_t n = s->st.n_owners + 1;

	s->owner = calloc(n, sizeof(*s->owner));
	s->answer = calloc(answers + 1, sizeof(*s->answer));
	s->validated = calloc(n, sizeof(*s->validated));
	s->final = calloc(n, sizeof(*s->final));
	if (s->owner == NULL || s->answer == NULL || s->validated == NULL ||
		s->final == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

static size_t name_index(const struct names *names, const char *name)
{
	const char **p = bsearch(&name, names->name, names->n,
		sizeof(*names->name), cmp_name);

	return (size_t)(p - names->name);
}

/* A cache keeps the alias for as long as the alias's own TTL. Ours may be a
 * second old by now; a forwarder's may be nearly used up, so there we take what
 * is assumed of unknown histories. */
static uint32_t alias_ttl(
	const struct session *s, const struct owner_auth *oa, uint32_t ttl)
{
	const char *const *forward = s->e->cfg->resolver.forward;
	uint32_t alias = oa->cname_ttl + 1;

	if (forward != NULL && *forward != NULL &&
		alias < (uint32_t)s->policy.assumed_prior_ttl)
		alias = (uint32_t)s->policy.assumed_prior_ttl;
	return alias > ttl ? alias : ttl;
}

static enum status distribute(struct session *s, const struct names *names,
	const struct authority *a, const struct sweep *sw, struct err *err)
{
	size_t total = 0, used = 0;
	enum status st;

	session_forget_sweep(s);
	for (size_t i = 0; i < s->st.n_owners; i++)
		total += sw->owner[name_index(names, s->st.owner[i].owner)].n;
	st = session_alloc(s, total, err);
	for (size_t i = 0; st == ST_OK && i < s->st.n_owners; i++) {
		size_t at = name_index(names, s->st.owner[i].owner);
		static const struct zone_auth no_zone = {
			.security = DNS_FAILED
		};
		const struct owner_auth *oa = &a->owner[at];
		const struct zone_auth *z = oa->zone < a->n_zones
			? &a->zone[oa->zone]
			: &no_zone;
		struct obs_owner *oo = &s->owner[i];

		memcpy(s->final[i], oa->final, sizeof(s->final[i]));
		oo->security = worst(z, oa);
		security_text(oo, z, oa);
		oo->answer = s->answer + used;
		oo->n = sw->owner[at].n;
		for (size_t n = 0; n < oo->n; n++) {
			const struct sweep_answer *in =
				&sw->owner[at].answer[n];
			struct obs_answer *out = &s->answer[used++];

			convert_answer(s, &z->server[in->server], in, out,
				&oo->agility_bad);
			if (oa->is_cname)
				out->ttl = alias_ttl(s, oa, out->ttl);
		}
		st = convert_validated(s, i, oa, err);
	}
	if (st == ST_OK)
		st = sense_claims(s, err);
	if (st != ST_OK)
		return st;
	apply_claims(s);
	s->obs.owner = s->owner;
	s->obs.swept = true;
	s->swept_mono_ms = clock_mono_ms();
	return ST_OK;
}

static enum status fold(struct session *const sessions[], size_t n,
	const struct names *names, const struct authority *a,
	const struct sweep *sw, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct session *s = sessions[i];
		int64_t now;
		enum status st = session_clock(s, &now, err);

		if (st == ST_OK)
			st = distribute(s, names, a, sw, err);
		if (st == ST_NOMEM || st == ST_BUG)
			return st;
		if (st != ST_OK) {
			s->failed = true;
			s->fail = *err;
			continue;
		}
		plan_observe(&s->st, &s->obs, &s->policy, now);
	}
	return ST_OK;
}

void sense_warm(struct engine *e, const struct cfg_lineage *const list[],
	size_t n)
{
	const char **name;
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += list[i]->n_owners;
	name = calloc(total + 1, sizeof(*name));
	if (name == NULL)
		return;
	total = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < list[i]->n_owners; j++)
			name[total++] = list[i]->owner[j];
	e->env->warm(e->env->ctx, name, total);
	free(name);
}

/* What we published must be seen, not what was there before. */
static int64_t keep_ms(struct session *const sessions[], size_t n)
{
	int64_t keep = INT64_MAX;

	for (size_t i = 0; i < n; i++) {
		const struct lineage_state *st = &sessions[i]->st;

		for (size_t j = 0; j < st->n_owners; j++) {
			int64_t ago = st->clock.trusted_ms -
				st->owner[j].publish_ms - 1000;

			if (ago < keep)
				keep = ago;
		}
	}
	return keep;
}

enum status sense_sweep(struct engine *e, struct session *const sessions[],
	size_t n, struct err *err)
{
	struct authority a = { .n_zones = 0 };
	struct sweep sw = { .n = 0 };
	struct names names;
	enum status st = collect(sessions, n, &names, err);

	if (st != ST_OK)
		return st;
	st = e->env->sweep(e->env->ctx, names.name, names.n,
		keep_ms(sessions, n), &a, &sw, err);
	if (st == ST_OK)
		st = fold(sessions, n, &names, &a, &sw, err);
	sweep_release(&sw);
	authority_release(&a);
	free(names.name);
	return st;
}
