/*
 * danelaw hook: certbot's deploy hook. certbot waits for us with its locks
 * held, never retries and hides failure; so: take the certificate in, publish,
 * say when it will be live, and leave the rest to "danelaw run". (certbot.md 1)
 */
#include "hook/cmd.h"

#include "hook/base/clock.h"
#include "hook/base/log.h"
#include "hook/engine.h"
#include "hook/env_apart.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOOK_BUDGET_MS 25000

static bool same_folder(const char *a, const char *b)
{
	char *ra = realpath(a, NULL), *rb = realpath(b, NULL);
	bool same = strcmp(a, b) == 0 ||
		(ra != NULL && rb != NULL && strcmp(ra, rb) == 0);

	free(ra);
	free(rb);
	return same;
}

/* By path, never by name or domains: several lineages may share those. */
static const struct cfg_lineage *find(
	const struct config *cfg, const char *renewed)
{
	for (size_t i = 0; i < cfg->n_lineages; i++)
		if (same_folder(cfg->lineage[i].certbot, renewed))
			return &cfg->lineage[i];
	return NULL;
}

static void say(const struct engine_report *r)
{
	char when[CLOCK_TEXT_MAX];
	struct clock_reading now;
	struct err err = ERR_INIT;

	if (r->busy) {
		printf("danelaw: %s: another danelaw is at work; it takes the "
		       "new certificate over\n",
			r->cl->name);
	} else if (r->failed) {
		printf("danelaw: %s: %s; the current key stays live\n",
			r->cl->name, r->err.text);
	} else if (!r->certificate_waits) {
		printf("danelaw: %s: %s\n", r->cl->name,
			r->action.kind == ACT_HOLD ? r->action.why
						   : "the certificate is live");
	} else if (r->ready_mono_ms != 0 &&
		clock_read(&now, &err) == ST_OK) {
		clock_utc(now.wall_ms + r->ready_mono_ms - clock_mono_ms(),
			when);
		printf("danelaw: %s: the new certificate goes live at %s, "
		       "when its TLSA record is in every cache\n",
			r->cl->name, when);
	} else {
		printf("danelaw: %s: the new certificate waits: %s\n",
			r->cl->name,
			r->action.kind == ACT_WAIT || r->action.kind == ACT_HOLD
				? r->action.why
				: "\"danelaw run\" takes it on");
	}
}

static int run_hook(const struct config *cfg, const struct cfg_lineage *cl)
{
	struct env env = { .ctx = NULL };
	struct engine e = {
		.cfg = cfg,
		.env = &env,
		.mode = MODE_HOOK,
		.deadline_mono_ms = clock_mono_ms() + HOOK_BUDGET_MS,
	};
	struct engine_report rep;
	char missing[SANDBOX_TEXT_MAX];
	struct err err = ERR_INIT;
	/* Its process must be there before a key is read. */
	enum status st = env_apart(cfg, &env, missing, &err);

	if (st == ST_OK && missing[0] != '\0')
		log_event(LOG_WARN_L, "sandbox", "missing=%s",
			log_quote(missing));
	if (st == ST_OK)
		st = store_open(cfg->state_dir, &e.store, &err);
	if (st == ST_OK)
		st = engine_pass(&e, &cl, 1, &rep, &err);
	engine_release(&e);
	store_close(e.store);
	if (env.free != NULL)
		env.free(env.ctx);
	if (st != ST_OK) {
		fprintf(stderr, "danelaw: %s: %s; the current key stays live\n",
			cl->name, err.text);
		return st == ST_CONFIG ? EXIT_USAGE : EXIT_ATTENTION;
	}
	say(&rep);
	return engine_exit(&rep);
}

int cmd_hook(const struct cli *cli, int argc, char **argv)
{
	const char *renewed = getenv("RENEWED_LINEAGE");
	const struct cfg_lineage *cl;
	struct config cfg;
	int fd, rc = EXIT_DONE;

	if (argc > 0)
		return cli_usage("hook: unexpected \"%s\"", argv[0]);
	if (renewed == NULL || *renewed == '\0')
		return cli_usage("hook: RENEWED_LINEAGE is not set; this "
				 "command is for certbot");
	if (!cli_config(cli, &cfg))
		return EXIT_USAGE;
	/* stdin is certbot's own */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)dup2(fd, STDIN_FILENO);
		(void)close(fd);
	}
	cl = find(&cfg, renewed);
	if (chdir("/") != 0)
		rc = EXIT_ATTENTION;
	if (cl == NULL)
		printf("danelaw: %s is in no lineage of %s: nothing to do\n",
			renewed, cfg.path);
	else if (rc == EXIT_DONE)
		rc = run_hook(&cfg, cl);
	config_release(&cfg);
	return rc;
}
