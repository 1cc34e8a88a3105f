/*
 * One call of the program behind type "exec": `command [argument] verb`, a JSON
 * object on its stdin, one on its stdout, the exit status, and on stderr what
 * people shall read. The program is trusted to change DNS but not to be free of
 * mistakes: its time and its output are limited, its answer is checked to the
 * last member, and of an answer that is not right nothing is used. No shell, no
 * environment of ours, no file of ours open in it. The words are documented in
 * danelaw-providers(5).
 */
#include "providers/exec.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "hook/base/proc.h"

#include <jansson.h>

#define VERSION 1
#define OUTPUT_MAX (8 * 1024 * 1024)
#define RECORD_TEXT_MAX (2 * UINT16_MAX + 32)

/* What an exit status, or a word for one name, means. */
static const struct verdict {
	const char *word;
	int exit;
	enum status st;
	const char *says;
} verdicts[] = {
	{ "done", 0, ST_OK, "" },
	{ "later", 75, ST_RETRY, "try later" },
	{ "denied", 77, ST_DENIED, "denied" },
	{ "conflict", 3, ST_CONFLICT, "somebody else changed it" },
	{ "not-found", 4, ST_REFUSED, "no zone there" },
	{ "refused", 1, ST_REFUSED, "refused" },
};
#define N_VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))
static const struct verdict *const refused = &verdicts[N_VERDICTS - 1];

static enum status no_memory(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

/* For the first call the operator must look; whether the second one did what it
 * was told is not known, and asking again is harmless. */
static enum status strange(bool changes, struct err *err, const char *what)
{
	return err_set(err, changes ? ST_RETRY : ST_REFUSED,
		"its answer is not as danelaw-providers(5) wants it: %s", what);
}

/* ---- the call ---- */

/* The program ran: does its end allow to look at the answer? */
static enum status judge_end(const struct proc_result *r, struct err *err)
{
	const struct verdict *v = refused;
	char text[400], line[300];

	if (r->timed_out || r->exit_status < 0)
		return err_set(err, ST_RETRY, "%s",
			proc_describe(r, text, sizeof(text)));
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (verdicts[i].exit == r->exit_status)
			v = &verdicts[i];
	if (v->st == ST_OK)
		return ST_OK;
	(void)proc_last_line(r, line, sizeof(line));
	return err_set(err, v->st, "exit status %d (%s)%s%s", r->exit_status,
		v->says, line[0] != '\0' ? ": " : "", line);
}

static enum status parse(const struct proc_result *r, bool changes,
	json_t **ret, struct err *err)
{
	json_auto_t *answer = NULL;
	json_error_t e;

	*ret = NULL;
	if (r->dropped > 0)
		return strange(changes, err, "more than 8 MiB");
	if (changes && r->output[strspn(r->output, " \t\r\n")] == '\0')
		return ST_OK; /* all done */
	answer = json_loads(r->output, JSON_REJECT_DUPLICATES, &e);
	if (answer == NULL)
		return strange(changes, err, "no JSON object on stdout");
	if (!json_is_object(answer) ||
		!json_is_integer(json_object_get(answer, "danelaw")) ||
		json_integer_value(json_object_get(answer, "danelaw")) !=
			VERSION)
		return strange(changes, err, "no \"danelaw\": 1 in it");
	*ret = json_incref(answer);
	return ST_OK;
}

/* "NAME=value", owned; NULL when memory ran out. */
static char *variable(const char *name, const char *value)
{
	char *text;

	return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

static enum status run(const struct exec *x, const char *verb,
	const char *input, struct proc_result *r, struct err *err)
{
	int64_t left = x->deadline_ms - clock_mono_ms();
	bool short_of = x->deadline_ms != 0 && left < x->timeout_ms;
	const struct proc_limits lim = { .timeout_ms = !short_of ? x->timeout_ms
						       : left > 1 ? left
								  : 1,
		.output_max = OUTPUT_MAX,
		.input = input,
		.input_len = strlen(input),
		.apart = true };
	const char *home = getenv("HOME");
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	auto_str e_name = variable("DANELAW_PROVIDER", x->name);
	auto_str e_home = variable("HOME", home != NULL ? home : "/");
	auto_str e_dir =
		variable("CREDENTIALS_DIRECTORY", dir != NULL ? dir : "");
	const char *const env[] = { e_name, e_home, dir != NULL ? e_dir : NULL,
		NULL };
	const char *const argv[] = { x->command,
		x->argument != NULL ? x->argument : verb,
		x->argument != NULL ? verb : NULL, NULL };

	if (e_name == NULL || e_home == NULL || e_dir == NULL)
		return no_memory(err);
	if (proc_run(argv, env, &lim, r, err) != ST_OK) {
		/* it is not there, or cannot be run */
		if (err->st == ST_NOTFOUND || err->st == ST_IO)
			err->st = ST_CONFIG;
		return err->st;
	}
	return ST_OK;
}

/* *ret: the answer, owned; NULL when there was none and none was needed. */
static enum status talk(const struct exec *x, const char *verb, bool changes,
	json_t *request, json_t **ret, struct err *err)
{
	struct proc_result r = { .output = NULL };
	auto_str input = NULL;
	enum status st;

	if (x->deadline_ms != 0 && clock_mono_ms() >= x->deadline_ms)
		return err_set(err, ST_RETRY,
			"%s %s: there is no time left for it in this run",
			x->command, verb);
	if (request == NULL ||
		json_object_set_new(
			request, "danelaw", json_integer(VERSION)) != 0 ||
		json_object_set_new(request, "verb", json_string(verb)) != 0 ||
		json_object_set_new(
			request, "provider", json_string(x->name)) != 0 ||
		(input = json_dumps(request, JSON_COMPACT)) == NULL)
		return no_memory(err);
	st = run(x, verb, input, &r, err);
	if (st == ST_OK)
		st = judge_end(&r, err);
	if (st == ST_OK)
		st = parse(&r, changes, ret, err);
	proc_release(&r);
	return st == ST_OK ? ST_OK
			   : err_context(err, "%s %s", x->command, verb);
}

/* ---- what is said of one name ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* The word for one name; none: done. */
static enum status judge_word(
	bool changes, const json_t *o, const char *owner, struct err *err)
{
	const json_t *word = json_object_get(o, "status");
	const char *message = text_of(o, "message");

	if (word == NULL && !changes)
		return ST_OK;
	for (size_t i = 0; json_is_string(word) && i < N_VERDICTS; i++) {
		const struct verdict *v = &verdicts[i];

		if (strcmp(v->word, json_string_value(word)) != 0)
			continue;
		if (v->st == ST_OK)
			return ST_OK;
		return err_set(err, v->st, "%s: %s%s%.300s", owner, v->says,
			message[0] != '\0' ? ": " : "", message);
	}
	return strange(changes, err, "a status that is none");
}

static enum status read_records(
	const json_t *list, struct tlsa_rrset *set, struct err *err)
{
	const json_t *r;
	size_t i;

	if (!json_is_array(list))
		return strange(false, err, "\"records\" is no list");
	json_array_foreach(list, i, r)
	{
		const char *text = json_string_value(r);

		if (text == NULL || strlen(text) > RECORD_TEXT_MAX)
			return strange(false, err, "a record is no text");
		if (tlsa_rrset_add_text(set, text, err) != ST_OK)
			return err_context(err, "record \"%.100s\"", text);
	}
	return ST_OK;
}

/* One name of the answer to get; nothing is in *it unless all is right. */
static enum status take_rrset(
	const json_t *o, struct provider_item *it, struct err *err)
{
	const json_t *ttl = json_object_get(o, "ttl");
	auto_tlsa set = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX], target[DNS_NAME_MAX];
	struct err odd = ERR_INIT;
	enum status st = judge_word(false, o, it->owner, err);

	if (st != ST_OK)
		return st;
	if (json_object_get(o, "cname") != NULL) {
		if (name_canon(text_of(o, "cname"), target, &odd) != ST_OK)
			return strange(false, err, "\"cname\" is no name");
		return err_set(err, ST_REFUSED,
			"%s is a CNAME for %s there: records belong at that "
			"name",
			it->owner, target);
	}
	if (name_canon(text_of(o, "zone"), zone, &odd) != ST_OK ||
		!name_is_under(it->owner, zone))
		return strange(
			false, err, "\"zone\" is no zone that holds the name");
	st = read_records(json_object_get(o, "records"), &set, err);
	if (st != ST_OK)
		return st;
	if (set.n > 0 &&
		(!json_is_integer(ttl) || json_integer_value(ttl) < 0 ||
			json_integer_value(ttl) > INT32_MAX))
		return strange(false, err, "\"ttl\" is no TTL");
	set.ttl = set.n > 0 ? (uint32_t)json_integer_value(ttl) : 0;
	tlsa_rrset_release(&it->now);
	it->now = set;
	set = (struct tlsa_rrset)TLSA_RRSET_INIT;
	(void)snprintf(it->zone, sizeof(it->zone), "%s", zone);
	return ST_OK;
}

/* Goes through a list that must speak of every name that was asked for, once,
 * and of nothing else: ret[i] is what it says of it[i]. */
static enum status match(bool changes, const json_t *list,
	struct provider_item *const it[], size_t n,
	const json_t *ret[static EXEC_BATCH], struct err *err)
{
	const json_t *o;
	size_t i, k;

	if (json_array_size(list) != n)
		return strange(
			changes, err, "not one entry for every name asked for");
	json_array_foreach(list, i, o)
	{
		char owner[DNS_NAME_MAX];
		struct err odd = ERR_INIT;

		if (name_canon(text_of(o, "owner"), owner, &odd) != ST_OK)
			return strange(changes, err, "\"owner\" is no name");
		for (k = 0; k < n && strcmp(it[k]->owner, owner) != 0;)
			k++;
		if (k == n || ret[k] != NULL)
			return strange(changes, err,
				"a name that was not asked for, or twice");
		ret[k] = o;
	}
	return ST_OK;
}

static enum status each(const struct exec *x, bool changes, const json_t *list,
	struct provider_item *const it[], size_t n, struct err *err)
{
	const char *verb = changes ? "replace" : "get";
	const json_t *of[EXEC_BATCH] = { NULL };

	if (match(changes, list, it, n, of, err) != ST_OK)
		return err_context(err, "%s %s", x->command, verb);
	for (size_t i = 0; i < n; i++) {
		struct err *e = &it[i]->err;

		*e = (struct err)ERR_INIT;
		e->st = changes ? judge_word(true, of[i], it[i]->owner, e)
				: take_rrset(of[i], it[i], e);
		if (e->st != ST_OK)
			(void)err_context(e, "%s %s", x->command, verb);
	}
	return ST_OK;
}

enum status exec_get(const struct exec *x, struct provider_item *const it[],
	size_t n, struct err *err)
{
	json_auto_t *request = json_pack("{s:[]}", "owners");
	json_auto_t *answer = NULL;
	json_t *owners = json_object_get(request, "owners");
	enum status st;

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(owners, json_string(it[i]->owner)))
			return no_memory(err);
	st = talk(x, "get", false, request, &answer, err);
	if (st != ST_OK)
		return st;
	return each(x, false, json_object_get(answer, "rrsets"), it, n, err);
}

/* ---- what is said to it ---- */

/* The records of a that are not in b (NULL: all), as a list of text. */
static json_t *records(const struct tlsa_rrset *a, const struct tlsa_rrset *b)
{
	json_auto_t *list = json_array();
	struct err err = ERR_INIT;

	for (size_t i = 0; i < a->n; i++) {
		auto_buf text = BUF_INIT(RECORD_TEXT_MAX);

		if (b != NULL && tlsa_rrset_has(b, &a->rr[i]))
			continue;
		if (tlsa_text(&a->rr[i], &text, &err) != ST_OK ||
			json_array_append_new(
				list, json_string(buf_str(&text))) != 0)
			return NULL;
	}
	return json_incref(list);
}

static json_t *change(const struct provider_item *it)
{
	return json_pack("{s:s, s:{s:I, s:o}, s:{s:I, s:o}, s:o, s:o}", "owner",
		it->owner, "from", "ttl", (json_int_t)it->now.ttl, "records",
		records(&it->now, NULL), "to", "ttl", (json_int_t)it->to.ttl,
		"records", records(&it->to, NULL), "add",
		records(&it->to, &it->now), "remove",
		records(&it->now, &it->to));
}

enum status exec_replace(const struct exec *x, struct provider_item *const it[],
	size_t n, struct err *err)
{
	json_auto_t *request =
		json_pack("{s:s, s:[]}", "zone", it[0]->zone, "changes");
	json_auto_t *answer = NULL;
	json_t *changes = json_object_get(request, "changes");
	enum status st;

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(changes, change(it[i])) != 0)
			return no_memory(err);
	st = talk(x, "replace", true, request, &answer, err);
	if (st != ST_OK)
		return st;
	if (answer != NULL)
		return each(x, true, json_object_get(answer, "results"), it, n,
			err);
	for (size_t i = 0; i < n; i++)
		it[i]->err = (struct err)ERR_INIT;
	return ST_OK;
}
