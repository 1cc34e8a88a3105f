/* One life of a mail host: birth, storm, calm, and what must be true then. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#define PASSES_STORM 40
#define STORM (75 * DAY)
#define CALM (9 * DAY)
#define STUCK (6 * DAY)

/* ---- birth ---- */

static void init_config(struct world *w)
{
	static char word[LINES][8] = { "ecdsa", "rsa" };
	static char *reload[LINES][2] = { { word[0] }, { word[1] } };
	static char certbot[LINES][40] = { "/sim/certbot/live/ecdsa",
		"/sim/certbot/live/rsa" };
	static char name[] = "certbot", provider[] = "sim";
	bool csr = chance(w, 70);
	int64_t age = chance(w, 50) ? 0 : 5 * 86400;

	w->cfg = (struct config){
		.timing = { .wait_ttls = 2, .assumed_prior_ttl = 86400,
			.ttl_floor = w->floor_s, .poll_max = 900 },
		.provider = &w->provider,
		.n_providers = 1,
		.lineage = w->cl,
		.n_lineages = w->n_lines,
	};
	for (size_t i = 0; i < w->n_lines; i++) {
		for (size_t o = 0; o < w->n_owners; o++) {
			w->ep[i][o].port = o == 0 ? 25 : 465;
			w->ep[i][o].proto = o == 0 ? PROTO_SMTP : PROTO_TLS;
			memcpy(w->ep[i][o].host, "mx.example.", 12);
		}
		w->cl[i] = (struct cfg_lineage){
			.name = w->line[i].name,
			.certbot = certbot[i],
			.owner = w->owner_name,
			.n_owners = w->n_owners,
			.endpoint = w->ep[i],
			.n_endpoints = w->n_owners,
			.provider = &w->provider,
			.reload = reload[i],
			.mode = 0600,
			.retire_after = 600,
			.verify_timeout = 6,
			.reload_timeout = 60,
			.issue = csr ? ISSUE_CSR : ISSUE_HOOK,
			.key_max_age = age,
			.certbot_command = name,
		};
	}
	w->provider.name = provider;
}

static void init_habits(struct world *w)
{
	static const int64_t timers[] = { 900, 3600, 10800, 21600, 43200,
		86400 };
	static const int64_t lives[] = { 6, 45, 90 };

	w->timer = timers[rnd(w) % 6] * SEC;
	w->follows_wake = chance(w, 50);
	w->cert_life_s = lives[rnd(w) % 3] * 86400;
	if (w->cert_life_s < 10 * 86400 && w->timer > 6 * HOUR)
		w->timer = 6 * HOUR;
	w->floor_s = chance(w, 80) ? 0 : 900;
	w->by_record = chance(w, 40);
	w->by_edit = chance(w, 30);
	w->hold = 600 * SEC - SEC;
	w->kill_per_myriad = chance(w, 50) ? 0 : 20;
	w->reload_fails = chance(w, 50) ? 0 : 200;
	w->endpoint_sticks = chance(w, 70) ? 0 : 100;
	w->probe_blind = chance(w, 50) ? 0 : 60;
	w->issue_fails = chance(w, 70) ? 0 : 400;
	w->provider_fails = chance(w, 50) ? 0 : 150;
}

/* What there is before danelaw comes: perhaps records of the keys that are
 * served, with a TTL that was lowered a moment ago. */
static void init_zone(struct world *w)
{
	bool has = chance(w, 50);

	for (size_t o = 0; o < w->n_owners; o++) {
		struct version v = { .ttl = any_ttl(w),
			.serial = 1,
			.exists = has };

		(void)snprintf(w->owner_name[o], sizeof(w->owner_name[o]),
			"_%d._tcp.mx.example.", o == 0 ? 25 : 465);
		for (size_t i = 0; has && i < w->n_lines; i++)
			put(&v.set, w->line[i].lineage.key);
		zone_change(w, o, v);
		for (size_t s = 0; s < w->n_servers; s++)
			w->server[s].now[o] = (struct served){
				.v = w->zone[o],
				.from = w->t,
				.until = w->server[s].listed ? FOREVER : 0,
			};
		if (chance(w, 50)) {
			v.ttl = any_ttl(w);
			v.serial++;
			w->t += 10 * MIN;
			zone_change(w, o, v);
		}
		w->n_old[o] = 0;
	}
}

static void init_servers(struct world *w)
{
	w->n_servers = 1 + rnd(w) % (SERVERS - 1);
	w->sign_delay = chance(w, 50) ? 0 : 10 * MIN;
	for (size_t i = 0; i < w->n_servers; i++) {
		struct server *s = &w->server[i];

		s->listed = true;
		s->delay = i == 0 ? 0 : rnd_log(w, SEC, 12 * HOUR);
		s->second_address = chance(w, 20);
		s->hidden = i > 0 && !w->server[i - 1].hidden && chance(w, 15);
	}
	/* one that is not in use yet */
	if (w->n_servers > 2 && !w->server[w->n_servers - 1].hidden &&
		chance(w, 30)) {
		w->server[w->n_servers - 1].listed = false;
		w->server[w->n_servers - 1].mood = MOOD_DEAD;
	}
}

static void init_lines(struct world *w)
{
	static const char *const names[LINES] = { "ecdsa", "rsa" };

	w->n_lines = chance(w, 75) ? 1 : 2;
	w->n_addresses = 1 + rnd(w) % ADDRESSES;
	w->n_endpoints = w->n_addresses * w->n_lines;
	for (size_t i = 0; i < w->n_lines; i++) {
		struct line *l = &w->line[i];

		(void)snprintf(l->name, sizeof(l->name), "%s", names[i]);
		l->lineage = new_cert(w, new_key(w));
		l->live_id = l->linked_id = l->was_linked_id = -1;
		schedule(w, (struct event){
				    .at = w->t + rnd_range(w, 0, 12 * HOUR),
				    .kind = EV_RENEW,
				    .line = i });
	}
	for (size_t i = 0; i < w->n_endpoints; i++)
		w->endpoint[i] = (struct endpoint){ .line = i % w->n_lines,
			.id = w->line[i % w->n_lines].lineage.key,
			.slow = -1,
			.since = w->t };
}

static void forget_old_life(struct world *w)
{
	struct stats *stats = w->stats;
	enum fault fault = w->fault;
	bool loud = w->loud;
	struct disk *disk = w->disk, *snapshot = w->snapshot;
	unsigned until_mishap = w->until_mishap;
	const uint8_t *skip = w->skip;
	uint8_t *heard = w->heard;
	size_t cap = w->cap_heard;

	memset(w, 0, sizeof(*w));
	w->stats = stats;
	w->fault = fault;
	w->loud = loud;
	w->disk = disk;
	w->snapshot = snapshot;
	w->until_mishap = until_mishap;
	w->skip = skip;
	w->heard = heard;
	w->cap_heard = cap;
}

void world_init(struct world *w, unsigned long seed)
{
	forget_old_life(w);
	world = w;
	w->seed = seed;
	w->rng = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
	for (int i = 0; i < 8; i++)
		(void)rnd(w);
	w->t = w->start = INT64_C(1800000000000);
	w->boot_at = w->t - DAY;
	host_init(w);
	init_habits(w);
	w->n_owners = 1 + rnd(w) % OWNERS;
	init_servers(w);
	init_lines(w);
	init_zone(w);
	net_init(w);
	init_config(w);
	/* an address that is not as it should be yet */
	if (!w->zone[0].exists && chance(w, 30))
		w->endpoint[0].id = new_key(w);
	schedule(w, (struct event){ .at = w->t + rnd_log(w, MIN, DAY),
			    .kind = EV_POINT });
	schedule(w, (struct event){ .at = w->t + rnd_log(w, HOUR, 2 * DAY),
			    .kind = EV_WEATHER });
	schedule(w, (struct event){ .at = w->t + MIN, .kind = EV_TIMER });
}

void world_release(struct world *w)
{
	for (size_t s = 0; s < SERVERS; s++)
		for (size_t o = 0; o < OWNERS; o++) {
			free(w->server[s].past[o]);
			w->server[s].past[o] = NULL;
		}
}

/* ---- rest ---- */

/* In the calm every rollover ends within what the timing rule gives: two days
 * for two TTLs of a day, a day for servers that lag, a day for each pause after
 * a failure. */
static void check_line(struct world *w, size_t i, int64_t calm_at)
{
	const struct line *l = &w->line[i];
	struct store *store;
	struct lineage_state s;
	struct err err = ERR_INIT;

	if (store_open_read(STATE_DIR, &store, &err) != ST_OK ||
		store_peek(store, l->name, &s, &err) != ST_OK) {
		violate(w, "there is no state in the end: %s", err.text);
		return;
	}
	store_close(store);
	for (size_t k = 0; k < s.n_keys; k++) {
		const struct state_key *key = &s.key[k];
		int id = id_of_spki(&key->spki);
		int64_t since = l->role_since[id] > calm_at
			? l->role_since[id]
			: calm_at;

		if (key->role != KEY_CURRENT && key->role != KEY_NEXT &&
			w->t - since > STUCK)
			violate(w, "liveness: key %d of %s has been %s for "
				   "%lld days of calm (%.150s)",
				id, l->name, key_role_name(key->role),
				(long long)((w->t - since) / DAY), s.why);
	}
	/* Six days, and no certificate on the current key: it may run out. */
	if ((state_gen_find(&s, s.live_gen) == NULL ||
		    state_gen_find(&s, s.live_gen)->not_after_s <
			    w->t / 1000) &&
		(w->cl[i].issue == ISSUE_CSR || w->cert_life_s > 10 * 86400))
		violate(w, "liveness: the live certificate of %s has run out",
			l->name);
	state_release(&s);
}

static void check_rest(struct world *w, int64_t calm_at)
{
	for (size_t i = 0; i < w->n_lines; i++)
		check_line(w, i, calm_at);
	for (size_t e = 0; e < w->n_endpoints; e++) {
		const struct endpoint *ep = &w->endpoint[e];

		if (ep->id != w->line[ep->line].live_id)
			violate(w, "liveness: address %zu serves key %d, live "
				   "is %d",
				e / w->n_lines, ep->id,
				w->line[ep->line].live_id);
		for (size_t o = 0; o < w->n_owners; o++)
			if (!in_set(&w->zone[o].set, ep->id))
				violate(w, "liveness: name %zu lacks the "
					   "record of key %d, which is served",
					o, ep->id);
	}
}

static bool rests(const struct world *w, size_t i, struct store *store)
{
	struct lineage_state s;
	struct err err = ERR_INIT;
	bool good;

	if (store_peek(store, w->line[i].name, &s, &err) != ST_OK)
		return false;
	good = s.live_gen != 0 && s.intent.kind == INTENT_NONE && !s.alert;
	for (size_t k = 0; k < s.n_keys; k++)
		good = good && (s.key[k].role == KEY_CURRENT ||
				       s.key[k].role == KEY_NEXT);
	state_release(&s);
	return good;
}

/* Every rollover has ended, nothing waits, nobody complains. */
static bool at_rest(const struct world *w)
{
	struct store *store;
	struct err err = ERR_INIT;
	bool good = true;

	for (int i = 0; i < PROCS; i++)
		good = good && w->proc[i].pid == 0;
	for (size_t e = 0; e < w->n_endpoints; e++) {
		const struct endpoint *ep = &w->endpoint[e];

		good = good && ep->pointed &&
			ep->id == w->line[ep->line].live_id;
		for (size_t o = 0; o < w->n_owners; o++)
			good = good && in_set(&w->zone[o].set, ep->id);
	}
	if (!good || store_open_read(STATE_DIR, &store, &err) != ST_OK)
		return false;
	for (size_t i = 0; i < w->n_lines && good; i++)
		good = rests(w, i, store);
	store_close(store);
	return good;
}

bool live(struct world *w, unsigned long seed)
{
	unsigned long passes = w->stats->passes;
	int64_t calm_at;

	world_init(w, seed);
	w->stats->lives++;
	while (w->stats->passes - passes < PASSES_STORM &&
		w->t - w->start < STORM && w->violations == 0 &&
		w->n_keys < FOREIGN / 2)
		host_until(w, next_event(w) < w->t + HOUR ? w->t + HOUR
							  : w->t + 6 * HOUR);
	calm_down(w);
	calm_at = w->t;
	while (w->violations == 0 && w->t - calm_at < CALM &&
		w->fault == FAULT_NONE &&
		(w->t - calm_at < DAY || !at_rest(w)))
		host_until(w, w->t + 12 * HOUR);
	if (w->violations == 0 && w->fault == FAULT_NONE)
		check_rest(w, calm_at);
	w->stats->virtual_ms += w->t - w->start;
	w->stats->calls += disk_calls(w->disk);
	world_release(w);
	return w->violations == 0;
}
