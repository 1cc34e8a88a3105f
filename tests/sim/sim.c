/*
 * sim [-v] [-f FAULT] [WORLDS [SEED]]
 *
 * Runs danelaw's decision through random worlds (world.c) and asserts the law
 * at every instant (dns.c). Without arguments: a few seconds of sound worlds,
 * then each fault of faults[] until it is caught; a fault that is never caught
 * means that the simulator is blind. Exit status 1 on any violation, or
 * blindness.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSES_MAX 2500 /* stormy ones of a world */
#define CALM (25 * DAY)
#define STUCK (8 * DAY)
#define CONTROL_WORLDS 400

static const char *const faults[] = {
	[FAULT_NONE] = "none",
	[FAULT_ONE_TTL_FROM_PUBLISH] = "one-ttl-from-publish",
	[FAULT_TWO_TTLS_FROM_PUBLISH] = "two-ttls-from-publish",
	[FAULT_NO_WAIT] = "no-wait",
	[FAULT_ONE_SERVER] = "one-server",
	[FAULT_SILENCE_IS_CONSENT] = "silence-is-consent",
	[FAULT_ONLY_TODAYS_TTL] = "only-todays-ttl",
	[FAULT_WALL_CLOCK] = "wall-clock",
	[FAULT_NO_FIRST_PROBE] = "no-first-probe",
	[FAULT_RETIRE_AT_ONCE] = "retire-at-once",
	[FAULT_FORGET_AT_ONCE] = "forget-at-once",
};
_Static_assert(sizeof(faults) / sizeof(faults[0]) == FAULT__COUNT, "faults");

/* Certbot's own timer. */
static void renew(struct world *w)
{
	if (!w->endpoint[0].pointed ||
		w->lineage.not_after_s - w->t / 1000 >= w->cert_life_s / 3)
		return;
	w->lineage = new_cert(w, new_key(w));
	say(w, "certbot renews: certificate %d on key %d", w->lineage.id,
		w->lineage.key);
}

static void sleep_until_next(struct world *w, int64_t pause)
{
	int64_t at = w->timer;

	if (w->calm && at < HOUR)
		at = HOUR;
	if (w->follows_wake && pause < at)
		at = pause > 30 * SEC ? pause : 30 * SEC;
	at += w->t + rnd_range(w, 0, 5 * SEC);
	if (at < w->absent_until)
		at = w->absent_until;
	world_until(w, at);
	renew(w);
}

/* In the calm every rollover ends, and the certificate never runs out. */
static void check_rest(struct world *w, const int64_t *since)
{
	const struct state_gen *live =
		state_gen_find(&w->disk, w->disk.live_gen);

	/* Six days, and no certificate on the current key: it may run out. */
	if (live == NULL ||
		(live->not_after_s < w->t / 1000 &&
			(w->p.issue_csr || w->cert_life_s > 10 * 86400)))
		violate(w, "the live certificate has run out in the calm");
	for (size_t i = 0; i < w->disk.n_keys; i++) {
		const struct state_key *k = &w->disk.key[i];
		int id = id_of_spki(&k->spki);

		if (k->role != KEY_CURRENT && k->role != KEY_NEXT &&
			w->t - since[id] > STUCK)
			violate(w, "key %d has been %s for %lld days", id,
				key_role_name(k->role),
				(long long)((w->t - since[id]) / DAY));
	}
}

/* since when each key has its role */
static void note_roles(struct world *w, int64_t *since, uint8_t *role)
{
	for (size_t i = 0; i < w->disk.n_keys; i++) {
		const struct state_key *k = &w->disk.key[i];
		int id = id_of_spki(&k->spki);

		if (role[id] == k->role + 1)
			continue;
		role[id] = (uint8_t)(k->role + 1);
		since[id] = w->t;
	}
}

static void storm_and_calm(struct world *w)
{
	static int64_t since[IDS];
	static uint8_t role[IDS];
	int64_t calm_at;

	memset(since, 0, sizeof(since));
	memset(role, 0, sizeof(role));
	for (int i = 0; i < PASSES_MAX && w->t - w->start < 60 * DAY &&
			w->violations == 0 && w->n_keys < IDS / 2;
		i++) {
		sleep_until_next(w, pass(w));
		note_roles(w, since, role);
	}
	calm_down(w);
	calm_at = w->t;
	while (w->violations == 0 && w->t - calm_at < CALM &&
		w->fault == FAULT_NONE) {
		sleep_until_next(w, pass(w));
		note_roles(w, since, role);
	}
	if (w->violations == 0 && w->fault == FAULT_NONE)
		check_rest(w, since);
}

static bool run_world(struct world *w, unsigned long seed)
{
	bool ok;

	world_init(w, seed);
	w->stats->worlds++;
	storm_and_calm(w);
	ok = w->violations == 0;
	world_release(w);
	return ok;
}

static void print_trace(const struct world *w)
{
	unsigned first = w->n_trace > TRACE ? w->n_trace - TRACE : 0;

	for (unsigned i = first; i < w->n_trace; i++)
		(void)printf("%s\n", w->trace[i % TRACE]);
	(void)printf("VIOLATION seed=%lu: %s\n", w->seed, w->violation);
}

static void print_stats(const struct stats *s, double seconds)
{
	(void)printf("%lu worlds, %lu runs, %lu decisions in %.1f s: %lu "
		     "promotions (%lu of a new key), %lu rolled back, %lu "
		     "retired, %lu forgotten, %lu issued, %lu holds, %lu "
		     "kills, %lu clock doubts\n",
		s->worlds, s->passes, s->decisions, seconds, s->promotions,
		s->rollovers, s->roll_backs, s->retired, s->forgotten,
		s->issued, s->held, s->crashes, s->doubts);
}

static double seconds_now(void)
{
	struct timespec t = { .tv_sec = 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Number of bad worlds. seconds > 0: stop after that time. */
static unsigned run_sound(struct world *w, unsigned long worlds,
	unsigned long seed, double seconds)
{
	double start = seconds_now();
	unsigned bad = 0;

	for (unsigned long i = 0; i < worlds; i++) {
		if (seconds > 0 && seconds_now() - start > seconds)
			break;
		if (run_world(w, seed + i))
			continue;
		if (bad++ == 0)
			print_trace(w);
		else
			(void)printf("VIOLATION seed=%lu: %s\n", w->seed,
				w->violation);
	}
	print_stats(w->stats, seconds_now() - start);
	return bad;
}

/* Each broken rule must be caught. */
static unsigned run_controls(struct world *w)
{
	unsigned blind = 0;

	for (int f = FAULT_NONE + 1; f < FAULT__COUNT; f++) {
		unsigned long i = 0;

		w->fault = (enum fault)f;
		while (i < CONTROL_WORLDS && run_world(w, i))
			i++;
		if (i < CONTROL_WORLDS) {
			(void)printf("control %s: caught in world %lu: %s\n",
				faults[f], i, w->violation);
		} else {
			(void)printf("control %s: NOT CAUGHT\n", faults[f]);
			blind++;
		}
	}
	w->fault = FAULT_NONE;
	return blind;
}

static bool fault_parse(const char *name, enum fault *ret)
{
	for (int f = 0; f < FAULT__COUNT; f++)
		if (strcmp(faults[f], name) == 0) {
			*ret = (enum fault)f;
			return true;
		}
	return false;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: sim [-v] [-f FAULT] [WORLDS [SEED]]\n"
			      "faults:");
	for (int f = 0; f < FAULT__COUNT; f++)
		(void)fprintf(stderr, " %s", faults[f]);
	(void)fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	static struct world w;
	struct stats stats = { .worlds = 0 }, control = { .worlds = 0 };
	unsigned long worlds = 0, seed = 0;
	unsigned bad;
	int i = 1;

	w.stats = &stats;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-v") == 0)
			w.loud = true;
		else if (strcmp(argv[i], "-f") == 0 && i + 1 < argc &&
			 fault_parse(argv[i + 1], &w.fault))
			i++;
		else
			return usage();
	}
	if (argc - i > 2)
		return usage();
	if (i < argc)
		worlds = strtoul(argv[i], NULL, 10);
	if (i + 1 < argc)
		seed = strtoul(argv[i + 1], NULL, 10);
	if (worlds > 0)
		return run_sound(&w, worlds, seed, 0) > 0;
	bad = run_sound(&w, 100000, 0, 8);
	w.stats = &control;
	bad += run_controls(&w);
	return bad > 0;
}
