/*
 * Any program as a provider (exec_talk.c speaks to it). Many names go in one
 * call: all of them for get, those of a zone for replace. Invariants: a change
 * is made from what was read a moment ago, and the program is told from what,
 * so that it can refuse when that is not so any more; a call that fails for
 * many names is made again for each of them, so that one bad name does not stop
 * the others, and harmless because it says from what to what; a program that
 * refuses everything is not run for every name.
 */
#include "providers/exec.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>

enum { OPT_COMMAND, OPT_ARGUMENT, OPT_TIMEOUT };

static const struct provider_option options[] = {
	[OPT_COMMAND] = { .name = "command",
		.type = POPT_FILE,
		.required = true,
		.help = "full path of the program" },
	[OPT_ARGUMENT] = { .name = "argument",
		.type = POPT_STRING,
		.help = "first argument, before the verb: a script or a "
			"configuration of the program, say" },
	[OPT_TIMEOUT] = { .name = "timeout",
		.type = POPT_INT,
		.def = "60",
		.min = 1,
		.max = 3600,
		.help = "seconds for one run of it" },
	{ .name = NULL },
};

/* Refusals of single names in a row, after which all are taken to be refused.
 */
#define REFUSALS_MAX 3

static bool same(const struct tlsa_rrset *a, const struct tlsa_rrset *b)
{
	return tlsa_rrset_eq(a, b) && (a->n == 0 || a->ttl == b->ttl);
}

static void share(
	const struct err *err, struct provider_item *const it[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		it[i]->err = *err;
}

/* One call for all; if that is refused, one for each. */
static void call(const struct exec *x, exec_verb verb,
	struct provider_item *const it[], size_t n)
{
	struct err err = ERR_INIT;
	size_t bad = 0;
	enum status st = verb(x, it, n, &err);

	if (st == ST_OK)
		return;
	if (n == 1 ||
		(st != ST_CONFLICT && st != ST_DENIED && st != ST_REFUSED)) {
		share(&err, it, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (bad == i && bad == REFUSALS_MAX) {
			share(&err, it + i, n - i);
			return;
		}
		err = (struct err)ERR_INIT;
		if (verb(x, it + i, 1, &err) == ST_OK)
			continue;
		it[i]->err = err;
		bad++;
	}
}

/* Takes what belongs into one call out of the list: all, or (replace) those of
 * the first one's zone. Returns how many it took; *n are left. */
static size_t take(struct provider_item *list[], size_t *n, bool by_zone,
	struct provider_item *ret[static EXEC_BATCH])
{
	const char *zone = list[0]->zone;
	size_t took = 0, left = 0;

	for (size_t i = 0; i < *n; i++)
		if (took < EXEC_BATCH &&
			(!by_zone || strcmp(list[i]->zone, zone) == 0))
			ret[took++] = list[i];
		else
			list[left++] = list[i];
	*n = left;
	return took;
}

static void call_all(const struct exec *x, exec_verb verb, bool by_zone,
	struct provider_item *list[], size_t n)
{
	struct provider_item *some[EXEC_BATCH];

	while (n > 0) {
		size_t took = take(list, &n, by_zone, some);

		call(x, verb, some, took);
	}
}

/* One round for all items that `again` names (NULL: all). Those that were
 * somebody else's at the same time are named in it after it. */
static void edit_round(const struct exec *x, struct provider_item *items,
	size_t n, provider_decide decide, void *arg, bool *again,
	struct provider_item **list, bool first)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (first || again[i])
			list[k++] = &items[i];
	call_all(x, exec_get, false, list, k);
	k = 0;
	for (size_t i = 0; i < n; i++) {
		struct provider_item *it = &items[i];
		bool todo = first || again[i];

		again[i] = false;
		if (!todo || it->err.st != ST_OK)
			continue;
		tlsa_rrset_release(&it->to);
		it->err.st = decide(arg, i, &it->now, &it->to, &it->err);
		again[i] = it->err.st == ST_OK && !same(&it->now, &it->to);
		if (again[i])
			list[k++] = it;
	}
	call_all(x, exec_replace, true, list, k);
	for (size_t i = 0; i < n; i++) {
		items[i].changed |= again[i] && items[i].err.st == ST_OK;
		again[i] = again[i] && items[i].err.st == ST_CONFLICT;
	}
}

static void edit(void *ctx, struct provider_item *items, size_t n,
	provider_decide decide, void *arg)
{
	auto_mem bool *again = calloc(n + 1, sizeof(*again));
	auto_mem struct provider_item **list = calloc(n + 1, sizeof(*list));

	if (again == NULL || list == NULL) {
		for (size_t i = 0; i < n; i++)
			(void)err_set(&items[i].err, ST_NOMEM, "out of memory");
		return;
	}
	edit_round(ctx, items, n, decide, arg, again, list, true);
	edit_round(ctx, items, n, decide, arg, again, list, false);
}

static enum status get(void *ctx, const char *owner, struct tlsa_rrset *ret,
	char *ret_zone, struct err *err)
{
	struct provider_item it = { .owner = owner }, *one = &it;
	enum status st = exec_get(ctx, &one, 1, err);

	if (st != ST_OK)
		return st;
	if (it.err.st != ST_OK) {
		*err = it.err;
		return err->st;
	}
	*ret = it.now;
	(void)snprintf(ret_zone, DNS_NAME_MAX, "%s", it.zone);
	return ST_OK;
}

/* Reads again: a program need not check from what a change is. */
static enum status replace(void *ctx, const char *owner,
	const struct tlsa_rrset *from, const struct tlsa_rrset *to,
	struct err *err)
{
	struct provider_item it = { .owner = owner, .to = *to }, *one = &it;
	enum status st;

	if (same(from, to))
		return ST_OK;
	st = get(ctx, owner, &it.now, it.zone, err);
	if (st != ST_OK)
		return st;
	if (same(&it.now, to)) {
		/* done already: by us, with an answer that was lost, say */
		tlsa_rrset_release(&it.now);
		return ST_OK;
	}
	if (!tlsa_rrset_eq(&it.now, from))
		st = err_set(err, ST_CONFLICT,
			"%s: somebody else changed the TLSA records in between "
			"(%zu then, %zu now)",
			owner, from->n, it.now.n);
	else
		st = exec_replace(ctx, &one, 1, err);
	tlsa_rrset_release(&it.now);
	if (st == ST_OK && it.err.st != ST_OK) {
		*err = it.err;
		st = err->st;
	}
	return st;
}

/* ---- open, close ---- */

/* Who can write it is who decides over DNS. */
static enum status check_file(const char *path, bool program, struct err *err)
{
	struct stat sb;

	if (stat(path, &sb) != 0)
		return program ? err_sys(err, ST_CONFIG, errno,
					 "the program %s", path)
			       : ST_OK;
	if (program && (!S_ISREG(sb.st_mode) || (sb.st_mode & 0111) == 0))
		return err_set(err, ST_CONFIG,
			"%s is no program: a regular file with the right to "
			"be run is wanted",
			path);
	if ((sb.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(err, ST_CONFIG,
			"%s can be written by its group or by others: "
			"chmod go-w it",
			path);
	return ST_OK;
}

static void close_it(void *ctx)
{
	struct exec *x = ctx;

	if (x == NULL)
		return;
	free(x->name);
	free(x->command);
	free(x->argument);
	free(x);
}

static enum status open_it(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	const char *command = cfg->value[OPT_COMMAND];
	const char *argument = cfg->value[OPT_ARGUMENT];
	struct exec *x;
	enum status st = command[0] == '/' ? check_file(command, true, err)
					   : err_set(err, ST_CONFIG,
						     "command = \"%s\": must "
						     "be a full path",
						     command);

	json_auto_t *name = json_string(cfg->name);

	if (st == ST_OK && name == NULL)
		st = err_set(err, ST_CONFIG, "its name is not UTF-8");
	if (st == ST_OK && argument != NULL && argument[0] == '/')
		st = check_file(argument, false, err);
	if (st != ST_OK)
		return err_context(err, "provider \"%s\"", cfg->name);
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	x->name = strdup(cfg->name);
	x->command = strdup(command);
	x->argument = argument != NULL ? strdup(argument) : NULL;
	x->timeout_ms = strtol(cfg->value[OPT_TIMEOUT], NULL, 10) * 1000;
	x->deadline_ms = cfg->deadline_ms;
	if (x->name == NULL || x->command == NULL ||
		(argument != NULL && x->argument == NULL)) {
		close_it(x);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	*ret = x;
	return ST_OK;
}

extern const struct provider_ops provider_exec;
const struct provider_ops provider_exec = {
	.type = "exec",
	.title = "a program of yours",
	.caps = PCAP_READ | PCAP_BULK | PCAP_RRSET,
	.dnssec = PDNSSEC_OWN,
	.rights = "the right to change TLSA records there, and no more",
	.options = options,
	.open = open_it,
	.get = get,
	.replace = replace,
	.edit = edit,
	.close = close_it,
};
