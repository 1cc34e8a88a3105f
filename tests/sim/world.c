/* Chance, events, weather: everything that happens to danelaw. */
#include "world.h"

#include <stdarg.h>
#include <string.h>

/* xorshift64*: the same worlds on every machine */
uint64_t rnd(struct world *w)
{
	w->rng ^= w->rng >> 12;
	w->rng ^= w->rng << 25;
	w->rng ^= w->rng >> 27;
	return (w->rng * UINT64_C(2685821657736338717)) >> 11;
}

int64_t rnd_range(struct world *w, int64_t lo, int64_t hi)
{
	return hi <= lo ? lo : lo + (int64_t)(rnd(w) % (uint64_t)(hi - lo + 1));
}

bool chance(struct world *w, unsigned percent)
{
	return rnd(w) % 100 < percent;
}

/* Small values as likely as large ones. */
int64_t rnd_log(struct world *w, int64_t lo, int64_t hi)
{
	int64_t top = lo;

	while (top < hi && chance(w, 80))
		top *= 2;
	return rnd_range(w, lo, top < hi ? top : hi);
}

static void keep(struct world *w, const char *text)
{
	char *line = w->trace[w->n_trace++ % TRACE];

	(void)snprintf(line, sizeof(w->trace[0]), "%11.3f h  %.220s",
		(double)(w->t - w->start) / (double)HOUR, text);
	if (w->loud)
		puts(line);
}

void say(struct world *w, const char *fmt, ...)
{
	char text[220];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	keep(w, text);
}

/* The first one is kept: what follows is often its shadow. */
void violate(struct world *w, const char *fmt, ...)
{
	char text[220];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	keep(w, text);
	if (w->violations++ == 0)
		(void)snprintf(w->violation, sizeof(w->violation), "%s", text);
}

bool in_set(const struct idset *s, int id)
{
	return id >= 0 && (s->b[id / 64] >> (id % 64) & 1) != 0;
}

void put(struct idset *s, int id)
{
	s->b[id / 64] |= UINT64_C(1) << (id % 64);
}

void drop(struct idset *s, int id)
{
	s->b[id / 64] &= ~(UINT64_C(1) << (id % 64));
}

struct spki spki_of_id(int id)
{
	struct spki s = { .d = { (uint8_t)id, (uint8_t)(id >> 8), 0x5a } };

	return s;
}

int id_of_spki(const struct spki *spki)
{
	return spki->d[0] | spki->d[1] << 8;
}

int new_key(struct world *w)
{
	if (w->n_keys >= IDS)
		abort();
	return w->n_keys++;
}

int64_t wall_ms(const struct world *w)
{
	return w->t + w->wall_off;
}

struct cert new_cert(struct world *w, int key_id)
{
	return (struct cert){
		.id = ++w->n_certs,
		.key = key_id,
		.not_before_s = w->t / 1000 - 3600,
		.not_after_s = w->t / 1000 - 3600 + w->cert_life_s,
	};
}

/* ---- events ---- */

void schedule(struct world *w, struct event e)
{
	if (w->n_ev >= EVENTS)
		abort();
	w->ev[w->n_ev++] = e;
}

static void happen(struct world *w, const struct event *e)
{
	struct version v;
	int64_t late;

	switch (e->kind) {
	case EV_PULL:
		server_pull(w, e->server, e->owner);
		return;
	case EV_WEATHER:
		if (w->calm)
			return;
		weather(w);
		schedule(w, (struct event){
				    .at = w->t + rnd_log(w, 10 * MIN,
							 4 * w->timer + DAY),
				    .kind = EV_WEATHER });
		return;
	case EV_MOOD_END:
		if (w->server[e->server].mood_until > w->t)
			return;
		server_mood(w, e->server, MOOD_OK);
		/* at once: it was cut off from us only, not from the primary */
		late = chance(w, 50) ? HOUR : 0;
		for (size_t o = 0; o < w->n_owners; o++)
			schedule(w, (struct event){
					    .at = w->t + rnd_range(w, 0, late),
					    .kind = EV_PULL,
					    .owner = o,
					    .server = e->server,
				    });
		return;
	case EV_REVERT_END:
		server_pull(w, e->server, e->owner);
		return;
	case EV_STRONG_END:
		v = w->zone[e->owner];
		if (!v.strong)
			return;
		v.strong = false;
		v.by_world = true;
		v.serial++;
		zone_change(w, e->owner, v);
		return;
	case EV_CLOCK_END:
		w->wall_off = 0;
		say(w, "the wall clock is right again");
		return;
	case EV_CERT:
		/* An operator does not adopt and renew in one go. */
		if (!w->endpoint[0].pointed)
			return;
		if (w->calm && w->lineage.not_after_s - w->t / 1000 >
				       w->cert_life_s / 3)
			return;
		w->lineage = new_cert(
			w, chance(w, 85) ? new_key(w) : w->lineage.key);
		say(w, "certbot: certificate %d on key %d", w->lineage.id,
			w->lineage.key);
		return;
	case EV_POINT:
		if (w->live_link == 0) { /* there is nothing to point at */
			schedule(w, (struct event){ .at = w->t + HOUR,
					    .kind = EV_POINT });
			return;
		}
		for (size_t i = 0; i < w->n_endpoints; i++) {
			w->endpoint[i].pointed = true;
			serve_key(w, i, w->gen_cert[w->live_link].key);
		}
		return;
	}
}

void world_until(struct world *w, int64_t t)
{
	for (;;) {
		size_t first = 0;
		struct event e;

		for (size_t i = 1; i < w->n_ev; i++)
			if (w->ev[i].at < w->ev[first].at)
				first = i;
		if (w->n_ev == 0 || w->ev[first].at > t)
			break;
		e = w->ev[first];
		w->ev[first] = w->ev[--w->n_ev];
		if (e.at > w->t)
			w->t = e.at;
		happen(w, &e);
	}
	if (t > w->t)
		w->t = t;
}

/* ---- weather ---- */

static const uint32_t ttls[] = { 60, 300, 900, 3600, 7200, 86400 };

static uint32_t any_ttl(struct world *w)
{
	return ttls[rnd(w) % (sizeof(ttls) / sizeof(ttls[0]))];
}

static void edit(struct world *w)
{
	size_t o = rnd(w) % w->n_owners;
	struct version v = w->zone[o];
	int present[IDS], n = 0;

	for (int id = 0; id < w->n_keys; id++)
		if (in_set(&v.set, id))
			present[n++] = id;
	v.by_world = true;
	v.serial++;
	switch (rnd(w) % 5) {
	case 0:
	case 1:
		v.ttl = any_ttl(w);
		break;
	case 2: /* somebody deletes one of our records */
		if (n > 1)
			drop(&v.set, present[rnd(w) % (uint64_t)n]);
		break;
	case 3: /* the whole set */
		v.set = (struct idset){ .b = { 0 } };
		v.exists = false;
		v.strong = false;
		v.ttl = 900;
		break;
	case 4: /* the zone of another day, from a backup */
		if (w->n_old[o] == 0)
			return;
		n = (int)(w->n_old[o] < 16 ? w->n_old[o] : 16);
		v = w->old[o][rnd(w) % (uint64_t)n];
		v.by_world = true;
		v.serial = chance(w, 50) ? v.serial : w->zone[o].serial + 1;
		break;
	}
	zone_change(w, o, v);
}

static void moody(struct world *w)
{
	size_t s = rnd(w) % w->n_servers;
	int64_t until = w->t + rnd_log(w, MIN, 3 * DAY);

	w->server[s].mood_until = until;
	server_mood(w, s, (enum mood)(MOOD_FROZEN + rnd(w) % 3));
	schedule(w, (struct event){
			    .at = until, .kind = EV_MOOD_END, .server = s });
}

/* One server falls back to an old zone for a while. */
static void revert(struct world *w)
{
	size_t s = rnd(w) % w->n_servers, o = rnd(w) % w->n_owners;
	struct version was = w->zone[o], v;
	struct event pull = { .kind = EV_REVERT_END, .owner = o, .server = s };
	size_t n = w->n_old[o] < 16 ? w->n_old[o] : 16;
	size_t n_ev = w->n_ev;

	if (n == 0 || w->server[s].mood != MOOD_OK)
		return;
	v = w->old[o][rnd(w) % n];
	v.by_world = true;
	/* an id of its own, without changing the primary */
	zone_change(w, o, v);
	v.id = w->zone[o].id;
	w->zone[o] = was;
	w->n_old[o]--;
	w->n_ev = n_ev;
	server_takes(w, s, o, v);
	pull.at = w->t + rnd_log(w, MIN, 6 * HOUR);
	schedule(w, pull);
}

static void strong_digest(struct world *w)
{
	size_t o = rnd(w) % w->n_owners;
	struct version v = w->zone[o];

	if (!v.exists || v.strong)
		return;
	v.strong = true;
	v.strong_for = chance(w, 80) ? w->endpoint[0].id : -1;
	v.by_world = true;
	v.serial++;
	zone_change(w, o, v);
	schedule(w, (struct event){ .at = w->t + rnd_log(w, 10 * MIN, DAY),
			    .kind = EV_STRONG_END,
			    .owner = o });
}

static void jump(struct world *w)
{
	static const int64_t by[] = { 10 * DAY, HOUR, -HOUR, -10 * DAY,
		90 * SEC, -500 };

	if (w->wall_off != 0)
		return;
	w->wall_off = by[rnd(w) % 6];
	say(w, "the wall clock jumps by %lld s",
		(long long)(w->wall_off / 1000));
	schedule(w, (struct event){ .at = w->t + rnd_log(w, MIN, DAY),
			    .kind = EV_CLOCK_END });
}

void weather(struct world *w)
{
	switch (rnd(w) % 16) {
	case 0:
	case 1:
		edit(w);
		break;
	case 2:
	case 3:
	case 4:
		moody(w);
		break;
	case 5:
		revert(w);
		break;
	case 6:
		strong_digest(w);
		break;
	case 7:
		w->security = (enum obs_security)(rnd(w) % 4);
		w->security_until = w->t + rnd_log(w, MIN, DAY);
		break;
	case 8:
		jump(w);
		break;
	case 9:
		w->boot_at = w->t;
		w->boots++;
		w->absent_until = w->t + rnd_log(w, MIN, 5 * DAY);
		say(w, "reboot");
		break;
	case 10:
		w->provider_down_until = w->t + rnd_log(w, MIN, DAY);
		break;
	case 11: /* log rotation, or so */
		for (size_t i = 0; i < w->n_endpoints; i++)
			if (w->endpoint[i].pointed && w->live_link != 0)
				serve_key(w, i, w->gen_cert[w->live_link].key);
		break;
	case 12:
		w->absent_until = w->t + rnd_log(w, HOUR, 5 * DAY);
		break;
	case 13:
		w->endpoint[rnd(w) % w->n_endpoints].down_until =
			w->t + rnd_log(w, MIN, DAY);
		break;
	default:
		schedule(w, (struct event){ .at = w->t + rnd_log(w, SEC, HOUR),
				    .kind = EV_CERT });
		break;
	}
}

/* Nothing more goes wrong: all must come to rest. */
void calm_down(struct world *w)
{
	w->calm = true;
	w->security = OBS_SECURE;
	w->provider_down_until = w->absent_until = 0;
	w->wall_off = 0;
	w->crash_per_mille = 0;
	w->reload_fails = w->endpoint_sticks = w->probe_blind = 0;
	w->issue_fails = 0;
	for (size_t i = 0; i < w->n_servers; i++)
		server_mood(w, i, MOOD_OK);
	for (size_t i = 0; i < w->n_endpoints; i++) {
		w->endpoint[i].down_until = 0;
		if (w->live_link != 0)
			serve_key(w, i, w->gen_cert[w->live_link].key);
	}
	for (size_t o = 0; o < w->n_owners; o++) {
		schedule(w, (struct event){ .at = w->t,
				    .kind = EV_STRONG_END,
				    .owner = o });
		for (size_t i = 0; i < w->n_servers; i++)
			schedule(w, (struct event){ .at = w->t + HOUR,
					    .kind = EV_PULL,
					    .owner = o,
					    .server = i });
	}
	say(w, "calm");
}

/* ---- a new world ---- */

static void init_policy(struct world *w)
{
	static const int64_t timers[] = { 300, 900, 900, 3600, 21600, 86400 };
	static const int64_t lives[] = { 6, 45, 90 };

	w->timer = timers[rnd(w) % 6] * SEC;
	w->follows_wake = chance(w, 50);
	w->cert_life_s = lives[rnd(w) % 3] * 86400;
	if (w->cert_life_s < 10 * 86400 && w->timer > HOUR)
		w->timer = HOUR;
	w->p = (struct policy){
		.wait_ttls = 2,
		.assumed_prior_ttl = 86400,
		.poll_max = 900,
		.retire_after = 600,
		.issue_csr = chance(w, 70),
		.key_max_age = chance(w, 50) ? 0 : 5 * 86400,
	};
	w->hold = w->p.retire_after * SEC - SEC;
	w->crash_per_mille = chance(w, 50) ? 0 : 10;
	w->reload_fails = chance(w, 50) ? 0 : 20;
	w->endpoint_sticks = chance(w, 70) ? 0 : 10;
	w->probe_blind = chance(w, 50) ? 0 : 10;
	w->issue_fails = chance(w, 70) ? 0 : 50;
}

/* What there is before danelaw comes: perhaps a record of the key that is
 * served, with a TTL that was lowered a moment ago. */
static void init_zone(struct world *w, int key_id)
{
	bool has = chance(w, 50);

	for (size_t o = 0; o < w->n_owners; o++) {
		struct version v = { .ttl = any_ttl(w),
			.serial = 1,
			.exists = has,
			.by_world = false };

		if (has)
			put(&v.set, key_id);
		zone_change(w, o, v);
		for (size_t s = 0; s < w->n_servers; s++)
			w->server[s].now[o] = (struct served){
				.v = w->zone[o], .from = w->t, .until = FOREVER
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

void world_init(struct world *w, unsigned long seed)
{
	struct stats *stats = w->stats;
	enum fault fault = w->fault;
	bool loud = w->loud;
	int first;

	memset(w, 0, sizeof(*w));
	w->stats = stats;
	w->fault = fault;
	w->loud = loud;
	w->seed = seed;
	w->rng = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15);
	for (int i = 0; i < 8; i++)
		(void)rnd(w);
	w->t = w->start = INT64_C(1800000000000);
	w->boot_at = w->t - DAY;
	w->n_owners = 1 + rnd(w) % OWNERS;
	w->n_servers = 1 + rnd(w) % SERVERS;
	w->n_endpoints = 1 + rnd(w) % ENDPOINTS;
	w->sign_delay = chance(w, 50) ? 0 : 10 * MIN;
	init_policy(w);
	first = new_key(w);
	for (size_t i = 0; i < w->n_servers; i++) {
		w->server[i].delay = i == 0 ? 0 : rnd_log(w, SEC, 12 * HOUR);
		w->server[i].second_address = chance(w, 20);
	}
	for (size_t i = 0; i < w->n_endpoints; i++)
		w->endpoint[i] = (struct endpoint){
			.id = first, .slow = -1, .since = w->t
		};
	init_zone(w, first);
	/* an endpoint that is not as it should be yet */
	if (!w->zone[0].exists && chance(w, 30))
		w->endpoint[0].id = new_key(w);
	w->lineage = new_cert(w, first);
	schedule(w, (struct event){ .at = w->t + rnd_log(w, MIN, DAY),
			    .kind = EV_POINT });
	schedule(w, (struct event){ .at = w->t + rnd_log(w, HOUR, 2 * DAY),
			    .kind = EV_WEATHER });
	state_init(&w->disk, "sim");
}

void world_release(struct world *w)
{
	for (size_t s = 0; s < SERVERS; s++)
		for (size_t o = 0; o < OWNERS; o++)
			free(w->server[s].past[o]);
	free(w->heard);
	state_release(&w->disk);
}
