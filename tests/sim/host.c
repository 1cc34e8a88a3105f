/*
 * The machine: processes of danelaw as coroutines, clocks, sleep, death. What a
 * process waits for, the world does meanwhile; another process may run then,
 * too. A process that is killed is left where it is, for ever: its memory is
 * lost (sim.c forks, so that it comes back), its files are not.
 */
#include "world.h"

#include "hook/base/log.h"
#include "hook/plan_ready.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#define STACK (512 * 1024)

struct context {
	ucontext_t uc;
	char *stack;
};

static struct context contexts[PROCS + 1]; /* the last is the world's own */

static void show(const char *call, const char *path);

static struct context *context_of(struct proc *p)
{
	return p == NULL ? &contexts[PROCS] : p->context;
}

static void switch_to(struct world *w, struct proc *p)
{
	struct context *from = context_of(w->running), *to = context_of(p);

	w->running = p;
	disk_process(w->disk, p != NULL ? p->pid : 0);
	if (from != to)
		(void)swapcontext(&from->uc, &to->uc);
}

/* ---- a pass ---- */

static void schedule_timer(struct world *w, int64_t pause)
{
	int64_t at = w->timer;

	if (w->calm && at < 8 * HOUR)
		at = 8 * HOUR;
	if (w->follows_wake && pause > 0 && pause < at)
		at = pause > 30 * SEC ? pause : 30 * SEC;
	if (w->calm && at < 4 * HOUR)
		at = 4 * HOUR;
	at += w->t + rnd_range(w, 0, 5 * SEC);
	if (at < w->absent_until)
		at = w->absent_until;
	schedule(w, (struct event){ .at = at, .kind = EV_TIMER });
}

/* As cmd_run.c and cmd_hook.c do it. */
static int64_t pass(struct world *w, const struct proc *p)
{
	struct engine e = {
		.cfg = &w->cfg,
		.env = &w->env,
		.mode = p->mode,
		.renew_asked = p->renew,
		.retry_asked = p->retry,
	};
	const struct cfg_lineage *list[LINES];
	struct engine_report rep[LINES];
	struct err err = ERR_INIT;
	size_t n = 0;
	int64_t pause = 0;

	for (size_t i = 0; i < w->n_lines; i++)
		if (p->mode == MODE_RUN || p->line == i)
			list[n++] = &w->cl[i];
	if (p->mode == MODE_HOOK)
		e.deadline_mono_ms = clock_mono_ms() + 25 * SEC;
	if (store_open(STATE_DIR, &e.store, &err) == ST_OK &&
		engine_pass(&e, list, n, rep, &err) == ST_OK) {
		for (size_t i = 0; i < n; i++) {
			int64_t in = rep[i].wake_mono_ms - clock_mono_ms();

			w->stats->holds += rep[i].action.kind == ACT_HOLD;
			if (rep[i].failed && rep[i].err.st == ST_BUG)
				violate(w, "BUG: %s", rep[i].err.text);
			if (rep[i].failed && rep[i].err.st == ST_IO &&
				!w->disk_bad)
				violate(w, "the disk is fine, and %s",
					rep[i].err.text);
			if (!rep[i].busy && !rep[i].failed &&
				(pause == 0 || in < pause))
				pause = in > 0 ? in : 1;
		}
	} else {
		say(w, "the run fails: %s", err.text);
		if (err.st == ST_BUG)
			violate(w, "BUG: %s", err.text);
	}
	engine_release(&e);
	store_close(e.store);
	return pause;
}

static void end(struct world *w, struct proc *p)
{
	disk_kill(w->disk, p->pid);
	p->pid = 0;
	if (p->mode == MODE_RUN && p->until >= 0)
		schedule_timer(w, p->until);
	switch_to(w, NULL);
	abort();
}

static void body(void)
{
	struct world *w = world;
	struct proc *p = w->running;
	int64_t pause = pass(w, p);
	int left = (int)disk_open_count(w->disk, p->pid);

	if (left > 0)
		violate(w, "%d files are left open by a run", left);
	/* a run that the operator started leaves the timer alone */
	p->until = p->retry ? -1 : pause;
	end(w, p);
}

static void make_stacks(void)
{
	for (int i = 0; i < PROCS; i++) {
		if (contexts[i].stack != NULL)
			continue;
		contexts[i].stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		if (contexts[i].stack == MAP_FAILED)
			abort();
	}
}

bool host_start(struct world *w, enum engine_mode mode, size_t line,
	bool renew, bool retry)
{
	struct proc *p = NULL;
	struct context *c;

	for (int i = 0; i < PROCS && p == NULL; i++)
		if (w->proc[i].pid == 0)
			p = &w->proc[i];
	if (p == NULL)
		return false;
	c = &contexts[p - w->proc];
	*p = (struct proc){ .pid = ++w->n_pids,
		.context = c,
		.resume_at = w->t,
		.mode = mode,
		.line = line,
		.renew = renew,
		.retry = retry };
	(void)getcontext(&c->uc);
	c->uc.uc_stack.ss_sp = c->stack;
	c->uc.uc_stack.ss_size = STACK;
	c->uc.uc_link = NULL;
	makecontext(&c->uc, body, 0);
	w->stats->passes++;
	say(w, "process %d: danelaw %s%s%s", p->pid,
		mode == MODE_HOOK ? "hook " : "run",
		mode == MODE_HOOK ? w->line[line].name : "",
		renew ? " --renew" : "");
	return true;
}

/* ---- time ---- */

static struct proc *first_proc(struct world *w)
{
	struct proc *p = NULL;

	for (int i = 0; i < PROCS; i++)
		if (w->proc[i].pid != 0 &&
			(p == NULL || w->proc[i].resume_at < p->resume_at))
			p = &w->proc[i];
	return p;
}

/* Until t, from whichever context. Others run and come back here when it is
 * our turn. */
static void until(struct world *w, int64_t t)
{
	struct proc *self = w->running;

	if (self != NULL)
		self->resume_at = t;
	for (;;) {
		struct proc *p = first_proc(w);
		int64_t next = p != NULL ? p->resume_at : FOREVER;
		int64_t ev = next_event(w);

		if (w->violations > 0 && self == NULL)
			return;
		if (ev <= next && ev <= t) {
			(void)world_step(w, t);
			continue;
		}
		if (p == NULL || next > t || p == self)
			break;
		if (next > w->t)
			w->t = next;
		switch_to(w, p);
		/* back: somebody thought that it is our turn */
		if (self != NULL)
			break;
	}
	if (t > w->t)
		w->t = t;
}

void host_until(struct world *w, int64_t t)
{
	until(w, t);
}

static void kill_now(struct world *w)
{
	struct proc *p = w->running;

	w->stats->kills++;
	disk_kill(w->disk, p->pid);
	p->pid = 0;
	if (p->mode == MODE_RUN && !p->retry)
		schedule_timer(w, 0);
	switch_to(w, NULL);
	abort();
}

void tick(struct world *w, int64_t ms)
{
	if (w->running == NULL)
		return;
	if (mishap(w, w->kill_per_myriad / 10, "danelaw is killed"))
		kill_now(w);
	until(w, w->t + rnd_range(w, 0, ms));
}

/* Called by the disk before anything on it changes. */
void law_before(void *arg, const char *call, const char *path)
{
	struct world *w = arg;
	char lock[DISK_PATH_MAX];

	if (w->running == NULL)
		return;
	show(call, path);
	if (disk_lock_of(path, lock) &&
		!disk_holds_lock(w->disk, w->running->pid, lock))
		violate(w, "I7: %s of %s without the lock", call, path);
	if (w->kill_per_myriad == 0)
		return;
	if (rnd(w) % 10000 < w->kill_per_myriad) {
		if (chance(w, 25)) {
			if (mishap(w, 1000, "power fails before %s of %s", call,
				    path))
				host_reboot(w, false);
		} else if (mishap(w, 1000, "danelaw is killed before %s of %s",
				   call, path)) {
			kill_now(w);
		}
	} else if ((rnd(w) & 63) == 0) {
		until(w, w->t + rnd_range(w, 0, SEC)); /* others first */
	}
}

static void show(const char *call, const char *path)
{
	if (world->loud && getenv("SIM_CALLS") != NULL)
		say(world, "      %s %s", call, path);
}

/* ---- the machine ---- */

static void all_die(struct world *w)
{
	bool timer = true;

	for (int i = 0; i < PROCS; i++)
		w->proc[i].pid = 0;
	for (size_t i = 0; i < w->n_ev; i++)
		if (w->ev[i].kind == EV_TIMER)
			timer = false;
	w->boots++;
	w->boot_at = w->t;
	w->absent_until = w->t + rnd_log(w, MIN, 2 * DAY);
	if (timer)
		schedule(w, (struct event){ .at = w->absent_until,
				    .kind = EV_TIMER });
}

static void boot(struct world *w)
{
	char id[32];

	(void)snprintf(id, sizeof(id), "boot-%u", w->boots);
	disk_set_boot_id(w->disk, id);
	for (size_t i = 0; i < w->n_endpoints; i++)
		if (w->endpoint[i].pointed)
			endpoint_reads(w, i);
}

static uint64_t disk_chance(void *arg)
{
	return rnd(arg) * UINT64_C(0x9E3779B97F4A7C15) ^ rnd(arg);
}

/* Clean: everything is written. Else what was not synced may be lost. */
void host_reboot(struct world *w, bool clean)
{
	bool self = w->running != NULL;

	tell(w, clean ? "reboot" : "the power fails");
	w->stats->power_cuts += !clean;
	for (int i = 0; i < PROCS; i++)
		if (w->proc[i].pid != 0)
			disk_kill(w->disk, w->proc[i].pid);
	if (clean)
		disk_sync(w->disk);
	else
		disk_power_cut(w->disk, disk_chance, w);
	all_die(w);
	boot(w);
	if (self) {
		switch_to(w, NULL);
		abort();
	}
}

void host_snapshot(struct world *w)
{
	if (!w->endpoint[0].pointed)
		return;
	if (w->snapshot == NULL)
		w->snapshot = disk_new();
	disk_copy(w->snapshot, w->disk);
	memcpy(w->snap_line, w->line, sizeof(w->line));
	w->have_snapshot = true;
	say(w, "a snapshot is made");
}

/* The whole machine is what it was. That breaks what it breaks: keys that are
 * gone, a key that is served again; none of that is danelaw's doing. */
void host_restore(struct world *w)
{
	bool self = w->running != NULL;
	int before[ENDPOINTS];

	if (self)
		return; /* not while somebody is at work: simpler to judge */
	for (int i = 0; i < PROCS; i++)
		if (w->proc[i].pid != 0)
			return;
	tell(w, "the machine is restored from a snapshot");
	w->stats->restores++;
	disk_copy(w->disk, w->snapshot);
	for (size_t i = 0; i < w->n_lines; i++) {
		w->line[i].lineage = w->snap_line[i].lineage;
		w->line[i].by_us = w->snap_line[i].by_us;
		w->line[i].published = w->snap_line[i].published;
		memcpy(w->line[i].role, w->snap_line[i].role,
			sizeof(w->line[i].role));
	}
	for (size_t i = 0; i < w->n_endpoints; i++)
		before[i] = w->endpoint[i].id;
	for (int id = 0; id < w->n_keys; id++)
		put(&w->lost, id);
	memset(w->heard, 0, w->n_versions);
	all_die(w);
	/* before check_key looks */
	for (int id = 0; id < w->n_keys; id++)
		put(&w->forced, id);
	boot(w);
	for (size_t i = 0; i < w->n_endpoints; i++)
		if (before[i] != w->endpoint[i].id)
			w->endpoint[i].slow = -1;
}

/* ---- mail software ---- */

void endpoint_reads(struct world *w, size_t i)
{
	char path[100];
	const char *key, *chain;
	char keep[64];
	int id, cert;
	const char *name = w->line[w->endpoint[i].line].name;

	(void)snprintf(path, sizeof(path), STATE_DIR "/live/%s/privkey.pem",
		name);
	key = disk_file(w->disk, path, &(size_t){ 0 });
	(void)snprintf(keep, sizeof(keep), "%s", key != NULL ? key : "");
	(void)snprintf(path, sizeof(path), STATE_DIR "/live/%s/fullchain.pem",
		name);
	chain = disk_file(w->disk, path, &(size_t){ 0 });
	if (!fake_read(key != NULL ? keep : NULL, chain, &id, &cert)) {
		if (w->endpoint[i].pointed)
			violate(w, "live/%s holds no key and chain that fit: "
				   "the mail software does not start", name);
		return;
	}
	if (w->endpoint[i].pointed)
		serve_key(w, i, id, cert);
}

/* ---- wrapped calls ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	int64_t ms = world->t - world->boot_at;

	if (id == CLOCK_REALTIME)
		ms = wall_ms(world);
	t->tv_sec = ms / 1000;
	t->tv_nsec = ms % 1000 * 1000000;
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	(void)fds;
	(void)n;
	until(world, world->t + timeout);
	return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	(void)left;
	until(world, world->t + t->tv_sec * 1000 + t->tv_nsec / 1000000);
	return 0;
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
	unsigned char *p = buf;

	(void)flags;
	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)rnd(world);
	return (ssize_t)len;
}

void __wrap_log_event(
	enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void __wrap_log_event(
	enum log_level level, const char *event, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	(void)level;
	if (!world->loud)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(world, "  %d %s %s", world->running ? world->running->pid : 0,
		event, text);
}

const char *__wrap_log_quote(const char *text);
const char *__wrap_log_quote(const char *text)
{
	return text;
}

void host_init(struct world *w)
{
	make_stacks();
	if (w->disk == NULL)
		w->disk = disk_new();
	else
		disk_reset(w->disk);
	disk_use(w->disk);
	disk_hook(w->disk, law_before, w);
	disk_make_dir(w->disk, "/sim");
	w->disk_bad = false;
	if (chance(w, 20)) /* signals, and a file system that writes little */
		disk_flaky(w->disk, 10, 10, disk_chance, w);
	if (chance(w, 10)) /* NFS */
		disk_old(w->disk, true, w->disk_bad = chance(w, 50));
	disk_set_boot_id(w->disk, "boot-0");
}
