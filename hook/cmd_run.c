/*
 * danelaw run: one pass over all lineages, for a timer; with --wait until
 * nothing waits to go live any more, with progress on a terminal. Locks are
 * held only during a pass, so a hook and a timer may run meanwhile.
 */
#include "hook/cmd.h"

#include "hook/base/clock.h"
#include "hook/base/log.h"
#include "hook/engine.h"
#include "hook/env_apart.h"
#include "hook/sense.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR 30
#define BUSY_PAUSE_MS 500
#define WARM_MS 1500 /* before a key can be ready */
#define WARM_MANY 128

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* "mx1.example.com 3/3 servers [#####-----] 00:01:10 ns2... " */
static void draw(const struct engine_report *r)
{
	char bar[BAR + 1], left[CLOCK_TEXT_MAX] = "--:--:--";
	int64_t now = clock_mono_ms();
	int64_t total = r->ready_mono_ms - r->since_mono_ms;
	int64_t gone = now - r->since_mono_ms;
	int64_t fill = 0;

	if (r->ready_mono_ms != 0 && total > 0) {
		fill = gone >= total ? BAR : gone * BAR / total;
		clock_span(r->ready_mono_ms > now ? r->ready_mono_ms - now : 0,
			left);
	}
	for (int64_t i = 0; i < BAR; i++)
		bar[i] = i < fill ? '#' : '-';
	bar[BAR] = '\0';
	fprintf(stderr, "\r\033[K%s  servers %u/%u  [%s] %s  %s%s",
		r->cl->name, r->agree, r->servers, bar, left,
		r->waiting_for[0] ? "waiting for " : "", r->waiting_for);
	(void)fflush(stderr);
}

static const struct engine_report *first_pending(
	const struct engine_report *rep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rep[i].pending)
			return &rep[i];
	return NULL;
}

static int64_t next_wake(const struct engine_report *rep, size_t n)
{
	int64_t wake = clock_mono_ms() + 3600 * 1000;

	for (size_t i = 0; i < n; i++) {
		int64_t at = rep[i].wake_mono_ms;

		if (rep[i].busy || rep[i].failed)
			at = clock_mono_ms() + BUSY_PAUSE_MS;
		if (at < wake)
			wake = at;
	}
	return wake;
}

static void sleep_until(
	int64_t wake, const struct engine_report *rep, size_t n, bool tty)
{
	while (!stop) {
		int64_t left = wake - clock_mono_ms();
		const struct engine_report *p = first_pending(rep, n);

		if (left <= 0)
			break;
		if (tty && p != NULL)
			draw(p);
		(void)poll(NULL, 0, left > 500 ? 500 : (int)left);
	}
	if (tty)
		fprintf(stderr, "\r\033[K");
}

/* A key that is ready at that moment must not wait until the resolver has found
 * its way from the root. */
static void warm_up(struct engine *e, int64_t wake,
	const struct engine_report *rep, size_t n)
{
	const struct cfg_lineage *list[WARM_MANY];
	size_t m = 0;

	for (size_t i = 0; i < n && m < WARM_MANY; i++)
		if (rep[i].pending && rep[i].ready_mono_ms != 0 &&
			rep[i].ready_mono_ms <= wake)
			list[m++] = rep[i].cl;
	if (m > 0 && !stop)
		sense_warm(e, list, m);
}

/* Say a lineage's news once, not at every poll. */
static void say(const struct engine_report *r)
{
	char when[CLOCK_TEXT_MAX];

	if (r->busy) {
		log_event(LOG_WARN_L, "busy", "lineage=%s why=%s",
			log_quote(r->cl->name),
			log_quote("another danelaw is at work on it; it was "
				  "asked to look again"));
		return;
	}
	if (r->failed || r->action.kind == ACT_HOLD)
		return; /* the engine has said so */
	clock_utc(r->wake_wall_ms, when);
	log_event(LOG_INFO_L, "wait", "lineage=%s until=%s why=%s",
		log_quote(r->cl->name), when, log_quote(r->action.why));
}

static int worst(const struct engine_report *rep, size_t n)
{
	int rc = EXIT_DONE;

	for (size_t i = 0; i < n; i++)
		rc = engine_worse(rc, engine_exit(&rep[i]));
	return rc;
}

static bool all_settled(const struct engine_report *rep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rep[i].pending || rep[i].busy ||
			(rep[i].failed && engine_exit(&rep[i]) == 4))
			return false;
	return true;
}

static int loop(struct engine *e, const struct cfg_lineage **list, size_t n,
	bool wait)
{
	struct engine_report *rep = calloc(n + 1, sizeof(*rep));
	bool tty = isatty(STDERR_FILENO) == 1, settled, gone;
	struct err err = ERR_INIT;
	int rc = EXIT_ATTENTION;
	int64_t wake;

	if (rep == NULL)
		return EXIT_ATTENTION;
	for (;;) {
		if (engine_pass(e, list, n, rep, &err) != ST_OK) {
			log_event(LOG_ALERT_L, "failed", "error=%s",
				log_quote(err.text));
			break;
		}
		/* Asked for once, not at every pass. */
		e->renew_asked = e->retry_asked = false;
		rc = worst(rep, n);
		settled = all_settled(rep, n);
		/* Without the network there is nothing to wait for. Who started
		 * us shall know that something waits all the same. */
		gone = env_apart_gone(e->env);
		if (wait && gone && !settled)
			rc = engine_worse(rc, EXIT_TEMPORARY);
		if (!wait || settled || stop || gone) {
			for (size_t i = 0; i < n; i++)
				say(&rep[i]);
			break;
		}
		for (size_t i = 0; !tty && i < n; i++)
			if (rep[i].news || !e->again)
				say(&rep[i]);
		e->again = true;
		wake = next_wake(rep, n);
		sleep_until(wake - WARM_MS, rep, n, tty);
		warm_up(e, wake, rep, n);
		sleep_until(wake, rep, n, tty);
		if (stop)
			break;
	}
	free(rep);
	return rc;
}

/* The network first: its process must be there before a key is read. */
static int start(struct engine *e, struct env *env,
	const struct cfg_lineage **list, size_t n, bool wait)
{
	char missing[SANDBOX_TEXT_MAX];
	struct err err = ERR_INIT;
	enum status st = env_apart(e->cfg, env, missing, &err);
	bool caged = st == ST_OK;

	if (st == ST_OK && missing[0] != '\0')
		log_event(LOG_WARN_L, "sandbox", "missing=%s",
			log_quote(missing));
	if (st == ST_OK)
		st = store_open(e->cfg->state_dir, &e->store, &err);
	if (st == ST_OK)
		return loop(e, list, n, wait);
	fprintf(stderr, "danelaw: %s\n", err.text);
	return !caged && st == ST_CONFIG ? EXIT_USAGE : EXIT_ATTENTION;
}

int cmd_run(const struct cli *cli, int argc, char **argv)
{
	struct env env = { .ctx = NULL };
	struct engine e = { .mode = MODE_RUN, .env = &env };
	const struct cfg_lineage **list;
	struct config cfg;
	bool wait = false;
	int i = 0, rc;
	size_t n;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--wait") == 0)
			wait = true;
		else if (strcmp(argv[i], "--renew") == 0)
			e.renew_asked = true;
		else
			return cli_usage("run: unknown option \"%s\"", argv[i]);
	}
	if (!cli_config(cli, &cfg))
		return EXIT_USAGE;
	list = cli_lineages(&cfg, argc - i, argv + i, &n);
	if (list == NULL) {
		config_release(&cfg);
		return EXIT_USAGE;
	}
	e.cfg = &cfg;
	e.retry_asked = i < argc;
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	rc = start(&e, &env, list, n, wait);
	engine_release(&e);
	store_close(e.store);
	if (env.free != NULL)
		env.free(env.ctx);
	free(list);
	config_release(&cfg);
	return rc;
}
