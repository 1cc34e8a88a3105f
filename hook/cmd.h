/* Commands: a table in main.c, one cmd_*.c each. A command gets what follows
 * its name and returns the process exit status (design.md). */
#ifndef DANELAW_CMD_H
#define DANELAW_CMD_H

#include "hook/config.h"
#include "state/state.h"

struct cli {
	const char *config_path;
};

#define EXIT_DONE 0
#define EXIT_ATTENTION 1
#define EXIT_USAGE 2
#define EXIT_OUTAGE 3
#define EXIT_TEMPORARY 4

int cmd_hook(const struct cli *cli, int argc, char **argv);
int cmd_run(const struct cli *cli, int argc, char **argv);
int cmd_status(const struct cli *cli, int argc, char **argv);
int cmd_tlsa(const struct cli *cli, int argc, char **argv);
int cmd_config(const struct cli *cli, int argc, char **argv);
int cmd_check(const struct cli *cli, int argc, char **argv);
int cmd_explain(const struct cli *cli, int argc, char **argv);
int cmd_report(const struct cli *cli, int argc, char **argv);
int cmd_chain(const struct cli *cli, int argc, char **argv);
int cmd_provider(const struct cli *cli, int argc, char **argv);

/* danelaw check of one endpoint, as text, for explain. host or domain may be
 * "", ip "" for all addresses, port 0 for 25; exchange: by its rules. Returns
 * the exit status. */
int check_command_endpoint(const struct cli *cli, const char *domain,
	const char *host, const char *ip, uint16_t port, bool exchange);

/* Reads the configuration or logs why not (then EXIT_USAGE is due). */
bool cli_config(const struct cli *cli, struct config *ret);
/* Lineages named in argv, or all when there are none: owned array, *ret_n.
 * NULL after logging an unknown name. */
const struct cfg_lineage **cli_lineages(const struct config *cfg, int argc,
	char **argv, size_t *ret_n);
/* One line on stderr: "danelaw: ...". Returns EXIT_USAGE. */
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For the end of a command that prints: rc, or EXIT_TEMPORARY and a line on
 * stderr when standard output did not take all of it. */
int cli_flushed(int rc);
/* "2026-11-21T20:00:00Z" of a trusted instant in a state. */
char *cli_when(const struct lineage_state *s, int64_t trusted_ms,
	char ret[static CLOCK_TEXT_MAX]);

#endif
