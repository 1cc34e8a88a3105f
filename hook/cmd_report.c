/*
 * danelaw report: what senders say in their TLS-RPT reports, in totals, and
 * which of their failures fall into a rollover of ours (dane.md B-33: a report
 * is a day late, so it confirms a rollover and never decides one). What we know
 * ourselves comes from the configuration, the state files and the histories,
 * read without a lock; without them the totals are the same and nothing is
 * marked.
 */
#include "hook/cmd.h"

#include "hook/base/auto.h"
#include "hook/check/tlsrpt.h"
#include "state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What we know ourselves, as tlsrpt.h wants it. */
struct ours {
	struct tlsrpt_rollover *rollover;
	size_t n_rollovers;
	struct tlsrpt_key *key;
	size_t n_keys;
	char (**hosts)[DNS_NAME_MAX]; /* one array per lineage */
	size_t n_lineages;
	bool any;
};

static void ours_release(struct ours *o)
{
	for (size_t i = 0; i < o->n_lineages; i++)
		free(o->hosts[i]);
	free(o->hosts);
	free(o->rollover);
	free(o->key);
}

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

static enum status add_key(struct ours *o, const struct spki *spki,
	const char *lineage, const char *role, struct err *err)
{
	struct tlsrpt_key *k;

	/* the first one stands: the state is read before the history */
	for (size_t i = 0; i < o->n_keys; i++)
		if (spki_eq(&o->key[i].spki, spki))
			return ST_OK;
	k = reallocarray(o->key, o->n_keys + 1, sizeof(*k));
	if (k == NULL)
		return no_memory(err);
	o->key = k;
	k += o->n_keys++;
	*k = (struct tlsrpt_key){ .spki = *spki };
	(void)snprintf(k->lineage, sizeof(k->lineage), "%s", lineage);
	(void)snprintf(k->role, sizeof(k->role), "%s", role);
	return ST_OK;
}

/* The hosts are those of the lineage that was added last. */
static enum status add_rollover(struct ours *o, const struct cfg_lineage *cl,
	const char *kind, int64_t wall_ms, struct err *err)
{
	struct tlsrpt_rollover *r =
		reallocarray(o->rollover, o->n_rollovers + 1, sizeof(*r));

	if (r == NULL)
		return no_memory(err);
	o->rollover = r;
	r += o->n_rollovers++;
	*r = (struct tlsrpt_rollover){ .kind = kind,
		.at_s = wall_ms / 1000,
		.host = (const char(*)[DNS_NAME_MAX])
				o->hosts[o->n_lineages - 1],
		.n_hosts = cl->n_owners + cl->n_endpoints };
	(void)snprintf(r->lineage, sizeof(r->lineage), "%s", cl->name);
	return ST_OK;
}

/* The hosts of the owner names; and of the endpoints, which are others when
 * owner names are reached through CNAMEs. */
static enum status add_hosts(
	struct ours *o, const struct cfg_lineage *cl, struct err *err)
{
	size_t n = cl->n_owners + cl->n_endpoints;
	char(*hosts)[DNS_NAME_MAX] = calloc(n + 1, sizeof(*hosts));
	uint16_t port;

	if (hosts == NULL)
		return no_memory(err);
	for (size_t i = 0; i < cl->n_owners; i++) {
		struct err ignored = ERR_INIT;

		/* what is no host stays "", which matches nothing */
		(void)name_split_tlsa(cl->owner[i], &port, hosts[i], &ignored);
	}
	for (size_t i = 0; i < cl->n_endpoints; i++)
		memcpy(hosts[cl->n_owners + i], cl->endpoint[i].host,
			DNS_NAME_MAX);
	o->hosts[o->n_lineages++] = hosts;
	return ST_OK;
}

static bool noted(
	const struct history *h, const char *event, const struct spki *key)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->event[i].event, event) == 0 &&
			spki_eq(&h->event[i].key, key))
			return true;
	return false;
}

/* A certificate for the same key is no rollover, and neither is the first key
 * that we took over as it was served. */
static enum status from_history(struct ours *o, const struct cfg_lineage *cl,
	const struct history *h, struct err *err)
{
	const struct spki *live = NULL;
	enum status st = ST_OK;

	for (size_t i = 0; i < h->n && st == ST_OK; i++) {
		const struct history_event *e = &h->event[i];
		const char *kind = NULL;

		if (strcmp(e->event, "live") == 0) {
			if (live != NULL ? !spki_eq(live, &e->key) : h->cut)
				kind = "rollover";
			live = &e->key;
		} else if (strcmp(e->event, "rolled-back") == 0) {
			kind = "roll-back";
		} else if (strcmp(e->event, "retired") == 0) {
			kind = "withdrawal of the old record";
		}
		if (kind != NULL)
			st = add_rollover(o, cl, kind, e->wall_ms, err);
		/* not in the state any more: its record was withdrawn */
		if (st == ST_OK && !spki_is_none(&e->key))
			st = add_key(o, &e->key, cl->name, "retired", err);
	}
	return st;
}

static int64_t wall(const struct lineage_state *s, int64_t trusted_ms)
{
	return trusted_ms - s->clock.trusted_ms + s->clock.last.wall_ms;
}

/* What the history has lost (or never had: it is not written when the disk is
 * full) the state may still know. */
static enum status from_state(struct ours *o, const struct cfg_lineage *cl,
	const struct lineage_state *s, const struct history *h, struct err *err)
{
	int64_t first_ms = INT64_MAX; /* the key that we took over */
	enum status st = ST_OK;

	for (size_t i = 0; i < s->n_keys; i++)
		if (s->key[i].live_ms != 0 && s->key[i].live_ms < first_ms)
			first_ms = s->key[i].live_ms;
	for (size_t i = 0; i < s->n_keys && st == ST_OK; i++) {
		const struct state_key *k = &s->key[i];

		st = add_key(
			o, &k->spki, cl->name, key_role_name(k->role), err);
		if (st == ST_OK && k->live_ms > first_ms &&
			!noted(h, "live", &k->spki))
			st = add_rollover(
				o, cl, "rollover", wall(s, k->live_ms), err);
		if (st == ST_OK && k->role == KEY_RETIRED &&
			k->retired_ms != 0 && !noted(h, "retired", &k->spki))
			st = add_rollover(o, cl, "withdrawal of the old record",
				wall(s, k->retired_ms), err);
	}
	return st;
}

static void complain(const char *what, const struct err *err)
{
	fprintf(stderr, "danelaw: report: %s: %s\n", what, err->text);
}

/* Fails for memory only. */
static enum status ask_lineage(struct ours *o, struct store *store,
	const struct cfg_lineage *cl, struct err *err)
{
	struct history h = { .n = 0 };
	struct lineage_state s;
	struct err e = ERR_INIT;
	enum status st = store_peek(store, cl->name, &s, &e);

	if (st == ST_NOTFOUND)
		return ST_OK; /* never run */
	if (st != ST_OK) {
		complain("its rollovers are not known", &e);
		return ST_OK;
	}
	st = store_history_read(store, cl->name, &h, &e);
	if (st != ST_OK && st != ST_NOTFOUND)
		complain("its older rollovers are not known", &e);
	st = add_hosts(o, cl, err);
	if (st == ST_OK)
		st = from_state(o, cl, &s, &h, err);
	if (st == ST_OK)
		st = from_history(o, cl, &h, err);
	o->any = true;
	history_release(&h);
	state_release(&s);
	return st;
}

static enum status ask_config(
	struct ours *o, const struct config *cfg, struct err *err)
{
	struct store *store = NULL;
	struct err e = ERR_INIT;
	enum status st = ST_OK;

	st = store_open_read(cfg->state_dir, &store, &e);
	if (st != ST_OK) {
		if (st != ST_NOTFOUND)
			complain("our rollovers are not known", &e);
		return ST_OK;
	}
	o->hosts = calloc(cfg->n_lineages + 1, sizeof(*o->hosts));
	if (o->hosts == NULL)
		st = no_memory(err);
	for (size_t i = 0; i < cfg->n_lineages && st == ST_OK; i++)
		st = ask_lineage(o, store, &cfg->lineage[i], err);
	store_close(store);
	return st;
}

/* The totals need no configuration: only one that was asked for must be good.
 * Returns an exit status, EXIT_DONE to go on. */
static int ask_ourselves(const struct cli *cli, struct ours *o)
{
	bool asked = strcmp(cli->config_path, CONFIG_DEFAULT_PATH) != 0;
	struct config cfg;
	struct err err = ERR_INIT;
	enum status st;

	if (!asked && access(cli->config_path, F_OK) != 0)
		return EXIT_DONE;
	if (config_read(cli->config_path, &cfg, &err) != ST_OK) {
		complain(
			asked ? "configuration" : "our rollovers are not known",
			&err);
		return asked ? EXIT_USAGE : EXIT_DONE;
	}
	st = ask_config(o, &cfg, &err);
	config_release(&cfg);
	if (st == ST_OK)
		return EXIT_DONE;
	complain("our rollovers", &err);
	return EXIT_TEMPORARY;
}

/* ---- inputs ---- */

static enum status read_one(
	struct tlsrpt_set *set, const char *path, struct err *err)
{
	struct err e = ERR_INIT;
	auto_fd fd = -1;

	if (strcmp(path, "-") == 0)
		return tlsrpt_read_fd(set, "standard input", STDIN_FILENO, err);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		return tlsrpt_read_fd(set, path, fd, err);
	(void)err_sys(&e, ST_IO, errno, "cannot open");
	return tlsrpt_bad(set, path, e.text, err);
}

static int show(const struct tlsrpt_set *set, const struct ours *o,
	bool as_json, struct err *err)
{
	const struct tlsrpt_known known = { .any = o->any,
		.rollover = o->rollover,
		.n_rollovers = o->n_rollovers,
		.key = o->key,
		.n_keys = o->n_keys };
	auto_buf out = BUF_INIT(TLSRPT_OUT_MAX);
	struct tlsrpt_totals t;
	enum status st = tlsrpt_total(set, &known, &t, err);
	int rc;

	if (st != ST_OK)
		return EXIT_TEMPORARY;
	st = (as_json ? tlsrpt_json : tlsrpt_text)(set, &known, &t, &out, err);
	rc = t.failed > 0 || set->n_bad > 0 ? EXIT_ATTENTION : EXIT_DONE;
	tlsrpt_totals_release(&t);
	if (st != ST_OK)
		return EXIT_TEMPORARY;
	if (fwrite(buf_str(&out), 1, out.len, stdout) != out.len ||
		fflush(stdout) != 0) {
		(void)err_sys(err, ST_IO, errno, "cannot write");
		return EXIT_TEMPORARY;
	}
	return rc;
}

static int report(const struct cli *cli, int argc, char **argv, bool as_json)
{
	struct tlsrpt_set set = TLSRPT_SET_INIT;
	struct ours o = { .any = false };
	struct err err = ERR_INIT;
	enum status st = ST_OK;
	int rc = ask_ourselves(cli, &o);

	for (int i = 0; i < argc && rc == EXIT_DONE && st == ST_OK; i++)
		st = read_one(&set, argv[i], &err);
	for (size_t i = 0; i < set.n_bad; i++)
		fprintf(stderr, "danelaw: %s: %s\n", set.bad[i].file,
			set.bad[i].text);
	if (st != ST_OK)
		rc = EXIT_TEMPORARY;
	else if (rc == EXIT_DONE)
		rc = show(&set, &o, as_json, &err);
	if (err.st != ST_OK)
		complain("failed", &err);
	tlsrpt_set_release(&set);
	ours_release(&o);
	return rc;
}

int cmd_report(const struct cli *cli, int argc, char **argv)
{
	bool as_json = false, had_stdin = false;
	int i = 0;

	for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "--json") != 0)
			return cli_usage(
				"report: unknown option \"%s\"", argv[i]);
		as_json = true;
	}
	if (i == argc)
		return cli_usage("report: give files with TLS-RPT reports, or "
				 "\"-\" for standard input");
	for (int k = i; k < argc; k++) {
		bool is_stdin = strcmp(argv[k], "-") == 0;

		if (is_stdin && had_stdin)
			return cli_usage("report: \"-\" is given twice");
		had_stdin = had_stdin || is_stdin;
	}
	return report(cli, argc - i, argv + i, as_json);
}
