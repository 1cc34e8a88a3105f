/*
 * Act: publish and withdraw. Many lineages come at once, so that what belongs
 * to one provider goes to it in one batch: names of one zone in one call where
 * its API can, several zones side by side. What each name shall hold is decided
 * here, from what the provider holds at that moment; how it gets there is the
 * provider's business. Its word is no proof: the next sweep is. Invariant:
 * where there was no record, those of the keys that are served come first; a
 * set with only a next key in it would promise what no server has.
 */
#include "hook/act.h"

#include "hook/base/auto.h"
#include "hook/base/log.h"
#include "hook/sense.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TTL 3600
/* Longer than this nobody is kept waiting by a provider's word. */
#define RETRY_AFTER_MAX 86400

/* One owner name of one session. */
struct place {
	struct session *s;
	size_t owner;
	bool begun; /* only what is served was added; the rest comes next */
	bool changed;
};

/* What goes to one provider. */
struct batch {
	const struct cfg_provider *provider;
	struct place *place;
	struct provider_item *item;
	size_t n;
	bool by_record; /* a set changes record by record, for all to see */
};

/* ---- what a set must become ---- */

static enum status add_and_remove(struct session *s, const struct action *a,
	struct tlsa_rrset *set, struct err *err)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < s->st.n_keys; i++) {
		const struct spki *spki = &s->st.key[i].spki;

		if (a->add >> i & 1)
			st = tlsa_rrset_add_spki(set, spki, err);
		if (a->remove >> i & 1)
			(void)tlsa_rrset_remove_spki(set, spki);
	}
	return st;
}

/* A first RRset promises every key that is served here, also that of another
 * lineage, which may have gone live since the sweep: from then on senders ask
 * for a match. */
static enum status add_served(struct session *s, size_t owner,
	struct tlsa_rrset *set, struct err *err)
{
	enum status st = sense_claims(s, err);

	for (size_t i = 0; st == ST_OK && i < s->st.n_keys; i++)
		if (state_key_may_be_served(&s->st, &s->st.key[i]))
			st = tlsa_rrset_add_spki(
				set, &s->st.key[i].spki, err);
	for (size_t i = 0; st == ST_OK && i < s->n_claims; i++)
		if (s->claim[i].owner == owner && s->claim[i].may_be_served)
			st = tlsa_rrset_add_spki(set, &s->claim[i].spki, err);
	return st;
}

/* What must be on disk before the set is changed, or is changed in part:
 * - what is missing here will be missing at the servers soon, whatever they
 *   show now;
 * - a TTL that we bring may come and go between two sweeps, and caches have it
 *   all the same: plan_observe carries it on until the servers agree. */
static enum status remember(struct session *s, size_t owner,
	const struct tlsa_rrset *now, const struct tlsa_rrset *to,
	struct err *err)
{
	bool brings = now->n == 0 || now->ttl != to->ttl;
	uint32_t missing = 0;

	for (size_t i = 0; i < s->st.n_keys; i++)
		if ((s->action.add >> i & 1) != 0 &&
			!tlsa_rrset_has_spki(now, &s->st.key[i].spki))
			missing |= UINT32_C(1) << i;
	if (brings)
		ttl_history_add(&s->st.owner[owner].served, to->ttl,
			s->st.clock.trusted_ms);
	if (!plan_missing(&s->st, &s->policy, owner, missing,
		    s->st.clock.trusted_ms) &&
		!brings)
		return ST_OK;
	return session_commit(s, err);
}

/* Ours added and withdrawn, all else as it is. */
static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	const struct batch *b = arg;
	struct place *p = &b->place[i];
	struct session *s = p->s;
	enum status st = tlsa_rrset_copy(now, to, err);

	if (st == ST_OK && now->n == 0 && s->action.add != 0)
		st = add_served(s, p->owner, to, err);
	p->begun = b->by_record && to->n > 0 && now->n == 0;
	if (st == ST_OK && !p->begun)
		st = add_and_remove(s, &s->action, to, err);
	if (st != ST_OK || tlsa_rrset_eq(now, to))
		return st; /* it is on its way to the other servers */
	if (s->cl->ttl > 0)
		to->ttl = (uint32_t)s->cl->ttl;
	else if (now->n == 0)
		to->ttl = DEFAULT_TTL;
	if (now->n > 0 && to->n == 0)
		return err_set(err, ST_BUG, "refusing to empty the record set");
	return remember(s, p->owner, now, to, err);
}

/* ---- how it went ---- */

static void note_success(struct session *s, size_t i)
{
	session_event(s, "published", NULL, 0, s->final[i]);
	if (s->st.owner[i].publish_ms == 0)
		log_event(LOG_WARN_L, "first-publication",
			"lineage=%s owner=%s live=%s why=%s",
			log_quote(s->cl->name), s->final[i],
			log_quote(store_live_path(s->sl)),
			log_quote("from now on the mail software must read "
				  "its key and certificate there and nowhere "
				  "else: certbot's own live/ changes too "
				  "early"));
}

static void note_failure(struct session *s, size_t i, const struct err *err)
{
	bool by_hand = (s->cl->provider->ops->caps & PCAP_READ) == 0;

	log_event(s->e->again ? LOG_DEBUG_L : LOG_ALERT_L,
		by_hand ? "publish-by-hand" : "publish-failed",
		"lineage=%s owner=%s provider=%s error=%s action=%s",
		log_quote(s->cl->name), s->final[i],
		log_quote(s->cl->provider->name), log_quote(err->text),
		log_quote(by_hand ? "goes on when the name servers show it"
				  : "the current key stays; tried again by "
				    "itself"));
	(void)snprintf(s->st.publish_why, sizeof(s->st.publish_why), "%s: %s",
		s->final[i], err->text);
	s->st.publish_temporary = err->st == ST_RETRY || err->st == ST_CONFLICT;
}

static void note_result(const struct place *p, const struct provider_item *it)
{
	struct session *s = p->s;
	struct owner_state *os = &s->st.owner[p->owner];
	struct err late = ERR_INIT;
	int64_t now;

	if (p->changed || (it->err.st == ST_OK && it->changed))
		note_success(s, p->owner);
	/* After the attempt: a provider may be slower to fail than the pause
	 * before the next one. */
	if (session_clock(s, &now, &late) != ST_OK)
		now = s->st.clock.trusted_ms;
	os->publish_ms = now;
	os->publish_wait_s = it->retry_after_s < RETRY_AFTER_MAX
				     ? it->retry_after_s
				     : RETRY_AFTER_MAX;
	if (it->err.st != ST_OK)
		note_failure(s, p->owner, &it->err);
}

/* ---- a batch ---- */

/* What was begun with the served keys gets the rest. Moves those places to the
 * front. */
static size_t keep_begun(struct batch *b)
{
	size_t m = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct provider_item it = b->item[i];
		struct place p = b->place[i];

		if (!p.begun || it.err.st != ST_OK)
			continue;
		p.changed = it.changed;
		b->item[i] = b->item[m];
		b->place[i] = b->place[m];
		provider_item_release(&it);
		b->item[m] = (struct provider_item){ .owner = it.owner,
			.seen = it.seen };
		b->place[m++] = p;
	}
	b->by_record = false;
	return m;
}

static void edit(struct batch *b, size_t n, const struct engine *e)
{
	struct err err = ERR_INIT;

	if (e->env->edit(e->env->ctx, b->provider, e->deadline_mono_ms, b->item,
		    n, decide, b, &err) == ST_OK)
		return;
	for (size_t i = 0; i < n; i++)
		b->item[i].err = err;
}

static void publish_batch(struct batch *b, const struct engine *e)
{
	size_t begun;

	b->by_record = (b->provider->ops->caps & PCAP_ATOMIC) == 0;
	edit(b, b->n, e);
	begun = keep_begun(b);
	if (begun > 0)
		edit(b, begun, e);
	for (size_t i = 0; i < b->n; i++) {
		note_result(&b->place[i], &b->item[i]);
		provider_item_release(&b->item[i]);
	}
}

static bool has_owner(const struct batch *b, const char *owner)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->item[i].owner, owner) == 0)
			return true;
	return false;
}

/* Moves places into the batch, each owner name once: what a second lineage
 * does to the same set must start from what the first one left. The rest stays
 * at the front of the list; the number of them. */
static size_t fill(struct batch *b, struct place *list, size_t n)
{
	size_t left = 0;

	b->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct session *s = list[i].s;
		size_t o = list[i].owner;

		if (has_owner(b, s->final[o])) {
			list[left++] = list[i];
			continue;
		}
		b->place[b->n] = list[i];
		b->item[b->n++] = (struct provider_item){
			.owner = s->final[o],
			.seen = s->validated != NULL ? &s->validated[o] : NULL,
		};
	}
	return left;
}

static size_t add_places(struct place *list, size_t n, struct session *s)
{
	for (size_t i = 0; i < s->st.n_owners; i++)
		if ((s->action.owners >> i & 1) != 0)
			list[n++] = (struct place){ .s = s, .owner = i };
	return n;
}

/* All that goes to the provider of list[first]; takes it off the list. */
static void publish_like(struct session **list, size_t n, size_t first)
{
	struct batch b = { .provider = list[first]->cl->provider };
	const struct engine *e = list[first]->e;
	struct place *all;
	size_t max = 0, left = 0;

	for (size_t i = first; i < n; i++)
		if (list[i] != NULL && list[i]->cl->provider == b.provider)
			max += list[i]->st.n_owners;
	all = calloc(max, sizeof(*all));
	b.place = calloc(max, sizeof(*b.place));
	b.item = calloc(max, sizeof(*b.item));
	for (size_t i = first; i < n; i++) {
		if (list[i] == NULL || list[i]->cl->provider != b.provider)
			continue;
		if (all != NULL && b.place != NULL && b.item != NULL) {
			left = add_places(all, left, list[i]);
		} else {
			(void)err_set(
				&list[i]->fail, ST_NOMEM, "out of memory");
			list[i]->failed = true;
		}
		list[i] = NULL;
	}
	while (left > 0) {
		left = fill(&b, all, left);
		publish_batch(&b, e);
	}
	free(b.item);
	free(b.place);
	free(all);
}

static void commit(struct session *s)
{
	if (!s->failed && session_commit(s, &s->fail) != ST_OK)
		s->failed = true;
}

/* With the intent: a process that is killed may have published all the same. */
static void count_try(struct session *s)
{
	for (size_t i = 0; i < s->st.n_owners; i++)
		if ((s->action.owners >> i & 1) != 0)
			s->st.owner[i].publish_tries++;
}

void act_publish(struct session *const list[], size_t n)
{
	struct session **left = calloc(n + 1, sizeof(struct session *));

	for (size_t i = 0; i < n; i++) {
		struct session *s = list[i];

		/* A switch that is unfinished must be remembered, and says
		 * enough. */
		if (s->st.intent.kind != INTENT_PROMOTE)
			s->st.intent = (struct intent){
				.kind = INTENT_PUBLISH,
				.since_ms = s->st.clock.trusted_ms,
			};
		s->st.publish_why[0] = '\0';
		count_try(s);
		if (left == NULL) {
			(void)err_set(&s->fail, ST_NOMEM, "out of memory");
			s->failed = true;
			continue;
		}
		commit(s);
		if (!s->failed)
			left[i] = s;
	}
	for (size_t i = 0; left != NULL && i < n; i++)
		if (left[i] != NULL)
			publish_like(left, n, i);
	for (size_t i = 0; i < n; i++) {
		session_forget_sweep(list[i]);
		if (list[i]->st.intent.kind == INTENT_PUBLISH)
			list[i]->st.intent =
				(struct intent){ .kind = INTENT_NONE };
		commit(list[i]);
	}
	free(left);
}
