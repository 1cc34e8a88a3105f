/*
 * danelaw: the table of commands, and what holds for the whole process.
 */
#include "hook/cmd.h"

#include "hook/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION "0.1"

static const struct {
	const char *name;
	int (*run)(const struct cli *cli, int argc, char **argv);
	const char *help;
} commands[] = {
	{ "hook", cmd_hook,
		"certbot's deploy hook (RENEWED_LINEAGE, RENEWED_DOMAINS)" },
	{ "run", cmd_run,
		"[--wait] [--renew] [NAME ...]  one pass over all lineages" },
	{ "status", cmd_status,
		"[--json] [NAME ...]  what is live, next, waited for" },
	{ "tlsa", cmd_tlsa,
		"[--json] NAME | --cert FILE | --key FILE [OWNER ...]" },
	{ "check", cmd_check,
		"DOMAIN ... | --host NAME[:PORT] | --lineage NAME | --all" },
	{ "explain", cmd_explain,
		"[--no-check] [--json] [FILE | TEXT ...]  bounces, log lines" },
	{ "report", cmd_report,
		"[--json] FILE ... | -  TLS-RPT reports of senders, in "
		"totals" },
	{ "chain", cmd_chain,
		"[--json] FILE | HOST:PORT  a certificate chain and its TLSA "
		"data" },
	{ "provider", cmd_provider,
		"list | test NAME [OWNER ...] | show NAME OWNER  how records "
		"are published" },
	{ "config", cmd_config, "read and check the configuration" },
};

static void print_help(FILE *to)
{
	fprintf(to, "usage: danelaw [-c FILE] [-q|-v] COMMAND ...\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(to,
		"\n  -c FILE  configuration (default %s)\n"
		"  -q       only warnings and alerts on stderr\n"
		"  -v       each decision too\n"
		"  --version, --help\n\n"
		"exit status: 0 done, or waiting as it should; 1 needs "
		"attention; 2 usage or\nconfiguration; 3 outage: a served key "
		"matches no published record (check: BLOCKED,\nBOGUS); 4 "
		"temporary (check: could not be tested)\n"
		"manual: danelaw(8), danelaw-check(8), danelaw.conf(5), "
		"danelaw-providers(5)\n",
		CONFIG_DEFAULT_PATH);
}

bool cli_config(const struct cli *cli, struct config *ret)
{
	struct err err = ERR_INIT;

	if (config_read(cli->config_path, ret, &err) == ST_OK)
		return true;
	fprintf(stderr, "danelaw: %s\n", err.text);
	return false;
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("danelaw: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; see \"danelaw --help\"\n", stderr);
	return EXIT_USAGE;
}

const struct cfg_lineage **cli_lineages(
	const struct config *cfg, int argc, char **argv, size_t *ret_n)
{
	size_t want = argc > 0 ? (size_t)argc : cfg->n_lineages;
	const struct cfg_lineage **list = calloc(want + 1, sizeof(*list));

	if (list == NULL) {
		fprintf(stderr, "danelaw: out of memory\n");
		return NULL;
	}
	for (size_t i = 0; i < want; i++) {
		list[i] = argc > 0 ? config_lineage(cfg, argv[i])
				   : &cfg->lineage[i];
		for (size_t j = 0; list[i] != NULL && j < i; j++) {
			if (list[j] != list[i])
				continue;
			cli_usage("lineage \"%s\" is named twice", argv[i]);
			free(list);
			return NULL;
		}
		if (list[i] == NULL) {
			cli_usage("no lineage \"%s\" in %s", argv[i],
				cfg->path);
			free(list);
			return NULL;
		}
	}
	*ret_n = want;
	return list;
}

int cli_flushed(int rc)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return rc;
	fprintf(stderr, "danelaw: cannot write the result: %s\n",
		strerror(errno));
	return EXIT_TEMPORARY;
}

char *cli_when(const struct lineage_state *s, int64_t trusted_ms,
	char ret[static CLOCK_TEXT_MAX])
{
	return clock_utc(
		trusted_ms - s->clock.trusted_ms + s->clock.last.wall_ms, ret);
}

static int dispatch(const struct cli *cli, int argc, char **argv)
{
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 ||
				 strcmp(argv[1], "-h") == 0)) {
		print_help(stdout);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(cli, argc - 1, argv + 1);
	return cli_usage("unknown command \"%s\"", argv[0]);
}

/* Descriptors 0-2 must be open, or a file of ours could end up as stderr. */
static bool sane_process(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return false;
	} while (fd <= 2);
	(void)close(fd);
	(void)umask(077);
	/* A write beyond a limit or to a closed pipe is an error to handle. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	return true;
}

int main(int argc, char **argv)
{
	struct cli cli = { .config_path = CONFIG_DEFAULT_PATH };
	enum log_level least = LOG_INFO_L;
	int i = 1;

	if (!sane_process())
		return EXIT_TEMPORARY;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-v") == 0) {
			least = LOG_DEBUG_L;
		} else if (strcmp(argv[i], "-q") == 0) {
			least = LOG_WARN_L;
		} else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			cli.config_path = argv[++i];
		} else if (strcmp(argv[i], "--help") == 0 ||
			   strcmp(argv[i], "-h") == 0) {
			print_help(stdout);
			return EXIT_DONE;
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("danelaw " VERSION);
			return EXIT_DONE;
		} else {
			return cli_usage("unknown option \"%s\"", argv[i]);
		}
	}
	log_init(least);
	if (i < argc)
		return dispatch(&cli, argc - i, argv + i);
	/* A symlink in certbot's renewal-hooks/deploy has no arguments. */
	if (getenv("RENEWED_LINEAGE") != NULL)
		return cmd_hook(&cli, 0, NULL);
	print_help(stderr);
	return EXIT_USAGE;
}
