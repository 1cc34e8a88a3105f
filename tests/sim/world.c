/* Chance, words, and events in their order. */
#include "world.h"

#include <stdarg.h>
#include <string.h>

struct world *world;

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

/* ---- words ---- */

static void keep(struct world *w, bool story, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void keep(struct world *w, bool story, const char *fmt, va_list ap)
{
	unsigned i = w->n_trace++ % TRACE;

	(void)vsnprintf(w->trace[i].text, sizeof(w->trace[i].text), fmt, ap);
	w->trace[i].at = w->t - w->start;
	w->trace[i].story = story;
	if (w->loud)
		(void)printf("%11.3f h  %s\n",
			(double)w->trace[i].at / (double)HOUR,
			w->trace[i].text);
}

void say(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->loud)
		return;
	va_start(ap, fmt);
	keep(w, false, fmt, ap);
	va_end(ap);
}

void tell(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->loud)
		return;
	va_start(ap, fmt);
	keep(w, true, fmt, ap);
	va_end(ap);
}

/* The first one is kept: what follows is often its shadow. */
void violate(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->violations++ > 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(w->violation, sizeof(w->violation), fmt, ap);
	va_end(ap);
	tell(w, "VIOLATION: %s", w->violation);
}

bool mishap(struct world *w, unsigned per_mille, const char *fmt, ...)
{
	unsigned n;
	va_list ap;

	if (w->calm || per_mille == 0 || rnd(w) % 1000 >= per_mille)
		return false;
	n = w->n_mishaps++;
	if (n >= w->until_mishap ||
		(w->skip != NULL && n < MISHAPS && w->skip[n] != 0))
		return false;
	w->stats->mishaps++;
	if (w->loud && strcmp(fmt, "-") != 0) {
		va_start(ap, fmt);
		keep(w, true, fmt, ap);
		va_end(ap);
	}
	return true;
}

/* ---- sets, keys ---- */

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
	struct spki s = { .d = { (uint8_t)id, (uint8_t)(id >> 8), 0x5a, 0xa5 } };

	return s;
}

int id_of_spki(const struct spki *spki)
{
	int id = spki->d[0] | spki->d[1] << 8;

	return spki->d[2] == 0x5a && id < IDS ? id : -1;
}

int new_key(struct world *w)
{
	if (w->n_keys >= FOREIGN)
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

uint32_t any_ttl(struct world *w)
{
	static const uint32_t ttls[] = { 60, 300, 900, 3600, 7200, 86400 };

	return ttls[rnd(w) % (sizeof(ttls) / sizeof(ttls[0]))];
}

/* ---- events ---- */

void schedule(struct world *w, struct event e)
{
	if (w->n_ev >= EVENTS) {
		violate(w, "too many events: a bug of the simulator");
		return;
	}
	w->ev[w->n_ev++] = e;
}

static size_t first_event(const struct world *w)
{
	size_t first = 0;

	for (size_t i = 1; i < w->n_ev; i++)
		if (w->ev[i].at < w->ev[first].at)
			first = i;
	return first;
}

int64_t next_event(const struct world *w)
{
	return w->n_ev == 0 ? FOREVER : w->ev[first_event(w)].at;
}

static void clear_strong(struct world *w, size_t owner)
{
	struct version v = w->zone[owner];

	if (!v.strong)
		return;
	v.strong = false;
	v.by_world = true;
	v.serial++;
	zone_change(w, owner, v);
}

static void mood_ends(struct world *w, size_t server)
{
	int64_t late = chance(w, 50) ? HOUR : 0;

	if (w->server[server].mood_until > w->t || !w->server[server].listed)
		return;
	server_mood(w, server, MOOD_OK);
	/* at once: it was cut off from us only, not from the primary */
	for (size_t o = 0; o < w->n_owners; o++)
		schedule(w, (struct event){ .at = w->t + rnd_range(w, 0, late),
				    .kind = EV_PULL,
				    .owner = o,
				    .server = server });
}

/* certbot has a new certificate, and calls us, or fails to. */
static void certbot(struct world *w, size_t line, bool early)
{
	struct line *l = &w->line[line];
	bool same_key = early ? chance(w, 15) : chance(w, 10);

	/* An operator does not adopt and change keys in one go. */
	if (!w->endpoint[0].pointed && early)
		return;
	same_key = same_key || !w->endpoint[0].pointed;
	l->lineage = new_cert(w, same_key ? l->lineage.key : new_key(w));
	l->by_us = false;
	tell(w, "certbot: %s has certificate %d on %skey %d", l->name,
		l->lineage.id, same_key ? "the same " : "", l->lineage.key);
	if (chance(w, 80))
		(void)host_start(w, MODE_HOOK, line, false, false);
}

/* certbot's own timer, twice a day. */
static void renew(struct world *w, size_t line)
{
	const struct line *l = &w->line[line];

	schedule(w, (struct event){ .at = w->t + 12 * HOUR,
			    .kind = EV_RENEW, .line = line });
	if (l->lineage.not_after_s - w->t / 1000 < w->cert_life_s / 3)
		certbot(w, line, false);
}

/* The operator lets the mail software read live/, after a run that came to its
 * end: one that was killed may have left a link that a power cut takes back. */
static void point(struct world *w)
{
	char path[80];

	for (size_t i = 0; i < w->n_lines; i++) {
		(void)snprintf(path, sizeof(path), STATE_DIR "/live/%s",
			w->line[i].name);
		if (disk_durable_link(w->disk, path) != NULL)
			continue;
		schedule(w, (struct event){ .at = w->t + HOUR,
				    .kind = EV_POINT });
		return;
	}
	tell(w, "the mail software reads live/ from now on");
	for (size_t i = 0; i < w->n_endpoints; i++) {
		w->endpoint[i].pointed = true;
		endpoint_reads(w, i);
	}
}

static void next_weather(struct world *w)
{
	schedule(w, (struct event){ .at = w->t + rnd_log(w, 10 * MIN,
						  4 * w->timer + 2 * DAY),
			    .kind = EV_WEATHER });
}

static void happen(struct world *w, const struct event *e)
{
	switch (e->kind) {
	case EV_PULL:
	case EV_REVERT_END:
		server_pull(w, e->server, e->owner);
		return;
	case EV_WEATHER:
		if (w->calm)
			return;
		next_weather(w); /* first: it may be the end of who calls */
		weather(w);
		return;
	case EV_MOOD_END:
		mood_ends(w, e->server);
		return;
	case EV_STRONG_END:
		clear_strong(w, e->owner);
		return;
	case EV_CLOCK_END:
		w->wall_off = 0;
		tell(w, "the wall clock is right again");
		return;
	case EV_DISK_END:
		disk_space(w->disk, -1);
		tell(w, "the disk has room again");
		return;
	case EV_CERT:
		if (!w->calm)
			certbot(w, e->line, true);
		return;
	case EV_RENEW:
		renew(w, e->line);
		return;
	case EV_POINT:
		point(w);
		return;
	case EV_TIMER:
		if (w->t < w->absent_until ||
			!host_start(w, MODE_RUN, 0, false, false))
			schedule(w, (struct event){
					    .at = w->t < w->absent_until
						    ? w->absent_until
						    : w->t + MIN,
					    .kind = EV_TIMER });
		return;
	case EV_LATE:
		tell(w, "the provider does what it failed to do");
		w->late = true;
		zone_update(w, e->owner, &e->add, &e->remove,
			w->zone[e->owner].exists ? 0 : e->ttl);
		w->late = false;
		return;
	}
}

bool world_step(struct world *w, int64_t t)
{
	struct event e;
	size_t first;

	if (w->n_ev == 0)
		return false;
	first = first_event(w);
	e = w->ev[first];
	if (e.at > t)
		return false;
	w->ev[first] = w->ev[--w->n_ev];
	if (e.at > w->t)
		w->t = e.at;
	happen(w, &e);
	return true;
}
