/*
 * sweep ask|trust|find|whole ZONE COUNT RUNS HINTS ANCHOR: sweeps COUNT owner
 * names of ZONE and prints the medians of RUNS runs:
 * "WALL_MS CPU_MS PEAK_KIB QUERIES WRONG".
 *
 *   ask    the sweep alone: the name servers are known already
 *   trust  the same with no signature verified, as dnsperf does it
 *   find   what comes before: a new resolver, validated look-ups of all names,
 *          the servers of the zone
 *   whole  both, as in a pass of danelaw
 *
 * WRONG counts answers that are not what the zone holds: a fast sweep that
 * loses answers is no sweep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "hook/dns/authority.h"
#include "hook/dns/sweep.h"

#define RUNS_MAX 100

struct bench {
	const char *mode;
	struct resolver_config cfg;
	struct authority known; /* ask: the same for all runs */
	const char **name;
	size_t n;
	size_t queries, wrong;
};

static double clock_ms(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), cmp);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void check(enum status st, const struct err *err)
{
	if (st == ST_OK)
		return;
	fprintf(stderr, "sweep: %s\n", err->text);
	exit(1);
}

static void find(const struct bench *b, size_t n, struct authority *ret)
{
	struct resolver *r;
	struct err err = ERR_INIT;

	check(resolver_new(&b->cfg, &r, &err), &err);
	check(authority_find(r, b->name, n, NULL, ret, &err), &err);
	resolver_free(r);
}

/* All names have the zone of the first. */
static void know(struct bench *b)
{
	struct authority *a = &b->known;
	struct owner_auth *o;

	find(b, 1, a);
	o = calloc(b->n, sizeof(*o));
	if (o == NULL || a->n_zones != 1 || a->zone[0].n_servers == 0) {
		fprintf(stderr, "sweep: no servers: %s\n",
			a->n_zones > 0 ? a->zone[0].why : "no zone");
		exit(1);
	}
	for (size_t i = 0; i < b->n; i++)
		(void)snprintf(
			o[i].final, sizeof(o[i].final), "%s", b->name[i]);
	a->owner = o; /* the old one is left to the end of the process */
	a->n_owners = b->n;
}

static void ask(struct bench *b, const struct authority *a)
{
	struct sweep_limits lim = { .deadline_ms = 0 };
	struct sweep sw;
	struct err err = ERR_INIT;

	check(sweep_run(a, &lim, &sw, &err), &err);
	b->queries = 0;
	for (size_t i = 0; i < sw.n; i++) {
		for (size_t k = 0; k < sw.owner[i].n; k++) {
			const struct sweep_answer *ans = &sw.owner[i].answer[k];

			b->queries++;
			if (ans->verdict == SWEEP_FOUND && ans->rrset.n == 2)
				continue;
			if (b->wrong++ < 3)
				fprintf(stderr, "sweep: %s: %s\n", b->name[i],
					ans->why);
		}
	}
	sweep_release(&sw);
}

static void count_found(struct bench *b, const struct authority *a)
{
	b->queries = a->n_owners;
	for (size_t i = 0; i < a->n_owners; i++)
		if (!a->owner[i].havedata)
			b->wrong++;
}

static void run(struct bench *b)
{
	struct authority a;

	if (b->known.n_owners > 0) {
		ask(b, &b->known);
		return;
	}
	find(b, b->n, &a);
	if (strcmp(b->mode, "whole") == 0)
		ask(b, &a);
	else
		count_found(b, &a);
	authority_release(&a);
}

static const char **make_names(const char *zone, size_t n)
{
	const char **name = calloc(n, sizeof(*name));

	for (size_t i = 0; name != NULL && i < n; i++) {
		char *s;

		if (asprintf(&s, "_25._tcp.mx%zu.%s", i, zone) < 0)
			exit(1);
		name[i] = s;
	}
	return name;
}

int main(int argc, char **argv)
{
	double wall[RUNS_MAX], cpu[RUNS_MAX];
	struct bench b = { .n = 0 };
	struct rusage ru;
	size_t runs;

	if (argc < 7) {
		fprintf(stderr, "usage: sweep ask|trust|find|whole ZONE COUNT "
				"RUNS HINTS ANCHOR\n");
		return 2;
	}
	b.mode = argv[1];
	b.n = (size_t)strtoul(argv[3], NULL, 10);
	runs = (size_t)strtoul(argv[4], NULL, 10);
	b.cfg.root_hints = argv[5];
	b.cfg.trust_anchor = argv[6];
	b.name = make_names(argv[2], b.n);
	if (b.name == NULL || b.n == 0 || runs == 0 || runs > RUNS_MAX)
		return 2;
	if (strcmp(b.mode, "ask") == 0 || strcmp(b.mode, "trust") == 0)
		know(&b);
	if (strcmp(b.mode, "trust") == 0)
		b.known.zone[0].security = DNS_INSECURE;
	for (size_t i = 0; i < runs; i++) {
		wall[i] = clock_ms(CLOCK_MONOTONIC);
		cpu[i] = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
		run(&b);
		wall[i] = clock_ms(CLOCK_MONOTONIC) - wall[i];
		cpu[i] = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu[i];
	}
	(void)getrusage(RUSAGE_SELF, &ru);
	printf("%.1f %.1f %ld %zu %zu\n", median(wall, runs), median(cpu, runs),
		ru.ru_maxrss, b.queries, b.wrong);
	return b.wrong == 0 ? 0 : 1;
}
