/*
 * sim [-v] [-s] [-j JOBS] [-f FAULT] [-n MISHAPS] [LIVES [SEED]]
 *
 * Lives of mail hosts, one per seed, with the real program in them; the law is
 * looked at whenever anything changes. Without LIVES: a few hundred, and each
 * wrong decision of faults[] until it is noticed (one that is not means that
 * the simulator is blind). A seed that fails is shrunk: what need not go wrong
 * for it to fail is left out; then its story is told. -v tells everything. -s
 * does not shrink. -n: only so many mishaps. Exit status 1: the law was broken, or we are blind.
 *
 * Lives run in child processes, a batch each: a process of danelaw that is
 * killed in a life leaves its memory behind.
 */
#include "world.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 100
#define CONTROL_LIVES 600
#define STORY_MAX 60
#define JOBS_MAX 64
#define SAME 5 /* "law 1", "I2: t": the same kind of breach */
#define BAD_MAX 20

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

/* What children report; shared memory. */
struct job {
	pid_t pid;
	unsigned long from, n, done;
	struct stats stats;
	unsigned long bad;
	unsigned long bad_seed; /* the first */
	char violation[400];
};

struct options {
	bool loud, shrink;
	enum fault fault;
	unsigned jobs;
	unsigned long stop_after; /* bad lives */
	unsigned until;           /* no mishaps from this one on */
};

static struct world w;
static struct job *jobs;
static struct stats total;

/* ---- one life ---- */

static bool run_life(struct stats *stats, const struct options *o,
	unsigned long seed, unsigned until, const uint8_t *skip, bool loud)
{
	w.stats = stats;
	w.fault = o->fault;
	w.loud = loud;
	w.until_mishap = until;
	w.skip = skip;
	return live(&w, seed);
}

static void child(struct job *j, const struct options *o)
{
	/* memory that was given back is wanted again at once */
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	(void)mallopt(M_TOP_PAD, 4 << 20);
	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	for (unsigned long i = 0; i < j->n; i++) {
		j->done = i;
		if (run_life(&j->stats, o, j->from + i, o->until, NULL,
			    o->loud))
			continue;
		if (j->bad++ > 0)
			continue;
		j->bad_seed = j->from + i;
		(void)snprintf(j->violation, sizeof(j->violation), "%s",
			w.violation);
	}
	j->done = j->n;
}

/* ---- in a process of its own ---- */

/* Runs f there; false when it died. What it prints comes out. */
static bool apart(void (*f)(void *arg), void *arg)
{
	pid_t pid;
	int status;

	(void)fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		f(arg);
		(void)fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- shrinking ---- */

struct shrink {
	const struct options *o;
	unsigned long seed;
	/* shared with the children */
	bool fails;
	unsigned n; /* mishaps before the violation */
	unsigned until;
	uint8_t skip[MISHAPS];
	char violation[400];
};

static void try_life(void *arg)
{
	struct shrink *s = arg;
	struct stats stats = { .lives = 0 };

	s->fails = !run_life(
		&stats, s->o, s->seed, s->until, s->skip, false);
	s->n = w.n_mishaps;
	/* another breach is another story */
	if (s->fails && s->violation[0] != '\0')
		s->fails = strncmp(s->violation, w.violation, SAME) == 0;
	else if (s->fails)
		(void)snprintf(s->violation, sizeof(s->violation), "%s",
			w.violation);
}

static bool still_fails(struct shrink *s)
{
	s->fails = true;
	(void)apart(try_life, s);
	return s->fails;
}

/* From the last one on, for what is left out does not move what came before. */
static void leave_out(struct shrink *s, unsigned n)
{
	for (unsigned step = n > 64 ? n / 8 : 4; step > 0; step /= 2) {
		for (unsigned i = n; i > 0;) {
			unsigned lo = i > step ? i - step : 0;
			uint8_t was[MISHAPS];

			memcpy(was, s->skip, sizeof(was));
			memset(s->skip + lo, 1, i - lo);
			if (memcmp(was, s->skip, sizeof(was)) != 0 &&
				!still_fails(s))
				memcpy(s->skip, was, sizeof(was));
			i = lo;
		}
	}
}

static void tell_story(void *arg)
{
	struct shrink *s = arg;
	struct stats stats = { .lives = 0 };
	unsigned first, lines = 0;

	/* loud, but only into the trace */
	if (freopen("/dev/null", "w", stdout) == NULL)
		return;
	(void)run_life(&stats, s->o, s->seed, s->until, s->skip, true);
	first = w.n_trace > TRACE ? w.n_trace - TRACE : 0;
	for (unsigned i = w.n_trace; i > first; i--)
		if (w.trace[(i - 1) % TRACE].story && ++lines == STORY_MAX) {
			first = i - 1;
			break;
		}
	for (unsigned i = first; i < w.n_trace; i++)
		if (w.trace[i % TRACE].story)
			(void)fprintf(stderr, "%9.2f h  %s\n",
				(double)w.trace[i % TRACE].at / (double)HOUR,
				w.trace[i % TRACE].text);
}

static void story(const struct options *o, unsigned long seed)
{
	struct shrink *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned n, kept = 0;

	if (s == MAP_FAILED)
		abort();
	s->o = o;
	s->seed = seed;
	s->until = o->until;
	if (!still_fails(s)) {
		(void)printf("seed %lu does not fail again: the simulator is "
			     "not deterministic\n", seed);
		return;
	}
	n = s->n < MISHAPS ? s->n : MISHAPS;
	s->until = n;
	if (o->shrink) {
		if (!still_fails(s))
			s->until = o->until;
		leave_out(s, n);
	}
	for (unsigned i = 0; i < n; i++)
		kept += s->skip[i] == 0;
	(void)printf("the story of seed %lu, %u of %u mishaps left:\n", seed,
		kept, n);
	(void)apart(tell_story, s);
}

/* ---- many ---- */

static void add_stats(const struct stats *s)
{
	unsigned long *to = &total.lives;
	const unsigned long *from = &s->lives;

	for (; to < (unsigned long *)&total.virtual_ms; to++, from++)
		*to += *from;
	total.virtual_ms += s->virtual_ms;
}

static bool launch(struct job *j, const struct options *o, unsigned long from,
	unsigned long n)
{
	pid_t pid;

	memset(j, 0, sizeof(*j));
	j->from = from;
	j->n = n;
	(void)fflush(stdout);
	pid = fork();
	if (pid != 0) {
		j->pid = pid;
		return pid > 0;
	}
	child(j, o);
	(void)fflush(stdout);
	_exit(0);
}

/* A batch has ended: the number of lives in it that broke the law. */
static unsigned long reap(struct job *j, int status)
{
	unsigned long bad = j->bad;

	j->pid = 0;
	add_stats(&j->stats);
	if (bad > 0)
		(void)printf("VIOLATION seed=%lu: %s\n", j->bad_seed,
			j->violation);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		j->bad_seed = j->from + j->done;
		(void)printf("VIOLATION seed=%lu: the program died there "
			     "(status %d)\n", j->bad_seed, status);
		bad++;
	}
	return bad;
}

/* The number of bad lives, at most o->stop_after; *ret_seed: of the first. */
static unsigned long run_many(const struct options *o, unsigned long lives,
	unsigned long seed, unsigned long *ret_seed)
{
	unsigned long next = 0, bad = 0, said = 0;
	unsigned running = 0;

	while (running > 0 || (next < lives && bad < o->stop_after)) {
		int status;
		pid_t pid;

		for (unsigned i = 0; i < o->jobs && bad < o->stop_after; i++) {
			unsigned long n = lives - next < BATCH ? lives - next
							      : BATCH;

			if (jobs[i].pid != 0 || n == 0)
				continue;
			if (!launch(&jobs[i], o, seed + next, n))
				abort();
			next += n;
			running++;
		}
		pid = wait(&status);
		for (unsigned i = 0; pid > 0 && i < o->jobs; i++) {
			if (jobs[i].pid != pid)
				continue;
			unsigned long more = reap(&jobs[i], status);

			running--;
			if (bad == 0 && more > 0)
				*ret_seed = jobs[i].bad_seed;
			bad += more;
		}
		if (lives > 100000 && total.lives / 50000 != said) {
			said = total.lives / 50000;
			(void)printf("%lu lives\n", total.lives);
			(void)fflush(stdout);
		}
	}
	return bad;
}

static double seconds_now(void)
{
	struct timespec t = { .tv_sec = 0 };

	/* not that of the world */
	(void)timespec_get(&t, TIME_UTC);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_stats(unsigned long seed, unsigned long bad, double seconds)
{
	const struct stats *s = &total;

	(void)printf("%lu lives (seeds %lu to %lu), %.0f years, in %.1f s: "
		     "%lu runs, %lu sweeps, %lu decisions, %lu system calls, "
		     "%lu certificates went live, %lu on a new key, %lu rolled "
		     "back, %lu keys retired, %lu forgotten, %lu issued; %lu "
		     "mishaps, %lu kills, %lu power cuts, %lu restores, %lu "
		     "holds, %lu clock doubts: %lu lives broke the law\n",
		s->lives, seed, seed + s->lives - 1,
		(double)s->virtual_ms / (365.25 * (double)DAY), seconds,
		s->passes, s->sweeps, s->decisions, s->calls, s->promotions,
		s->rollovers, s->roll_backs, s->retired, s->forgotten,
		s->issued, s->mishaps, s->kills, s->power_cuts, s->restores,
		s->holds, s->doubts, bad);
}

static unsigned long sound(const struct options *o, unsigned long lives,
	unsigned long seed)
{
	double start = seconds_now();
	unsigned long first = 0, bad;

	memset(&total, 0, sizeof(total));
	bad = run_many(o, lives, seed, &first);
	print_stats(seed, bad, seconds_now() - start);
	if (bad > 0)
		story(o, first);
	return bad;
}

/* Each wrong decision must be noticed. */
static unsigned long controls(struct options o)
{
	unsigned long blind = 0;

	o.stop_after = 1;
	for (int f = FAULT_NONE + 1; f < FAULT__COUNT; f++) {
		unsigned long seed;

		o.fault = (enum fault)f;
		(void)printf("control %s: ", faults[f]);
		if (run_many(&o, CONTROL_LIVES, 1, &seed) == 0) {
			(void)printf("NOT NOTICED\n");
			blind++;
		}
	}
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
	(void)fprintf(stderr, "usage: sim [-v] [-s] [-j JOBS] [-f FAULT] "
			      "[-n MISHAPS] [LIVES [SEED]]\nfaults:");
	for (int f = 0; f < FAULT__COUNT; f++)
		(void)fprintf(stderr, " %s", faults[f]);
	(void)fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = { .shrink = true,
		.jobs = cpus > 0 && cpus < JOBS_MAX ? (unsigned)cpus : 1,
		.stop_after = BAD_MAX,
		.until = UINT32_MAX };
	unsigned long lives = 0, seed = 1, bad;
	int c;

	while ((c = getopt(argc, argv, "vsj:f:n:")) != -1) {
		if (c == 'v')
			o.loud = true;
		else if (c == 's')
			o.shrink = false;
		else if (c == 'j')
			o.jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'n')
			o.until = (unsigned)strtoul(optarg, NULL, 10);
		else if (c != 'f' || !fault_parse(optarg, &o.fault))
			return usage();
	}
	if (argc - optind > 2 || o.jobs == 0 || o.jobs > JOBS_MAX)
		return usage();
	if (optind < argc)
		lives = strtoul(argv[optind], NULL, 10);
	if (optind + 1 < argc)
		seed = strtoul(argv[optind + 1], NULL, 10);
	jobs = mmap(NULL, JOBS_MAX * sizeof(*jobs), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (jobs == MAP_FAILED)
		return 2;
	if (lives > 0)
		return sound(&o, lives, seed) > 0;
	if (!disk_selftest()) {
		(void)printf("the simulated disk is not what it should be\n");
		return 1;
	}
	bad = sound(&o, 300, 1);
	return bad + controls(o) > 0;
}
