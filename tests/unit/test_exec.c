/* A program as a provider: what it is told, and what happens when it lies,
 * hangs, floods or dies. */
#include "hook/base/clock.h"
#include "providers/provider.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <jansson.h>

#define OWNER "_25._tcp.mx.example.test."
#define A64                                \
	"61616161616161616161616161616161" \
	"61616161616161616161616161616161"
#define B64                                \
	"62626262626262626262626262626262" \
	"62626262626262626262626262626262"
#define ANSWER(list) \
	"cat <<'EOF'\n{\"danelaw\": 1, \"rrsets\": [" list "]}\nEOF\n"
#define RRSET(owner, zone, ttl, records)                                   \
	"{\"owner\": \"" owner "\", \"zone\": \"" zone "\", \"ttl\": " ttl \
	", \"records\": [" records "]}"
#define GOOD RRSET(OWNER, "example.test.", "77", "\"3 1 1 " A64 "\"")

extern const struct provider_ops provider_exec;
static const struct provider_ops *const ops = &provider_exec;
static char dir[] = "/tmp/danelaw-exec-XXXXXX";
static char program[100], seen[100], script[100];

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static char *read_file(const char *path)
{
	static char text[200000];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	(void)close(fd);
	return text;
}

static enum status try_open(const char *const value[3], int64_t deadline,
	void **ret, struct err *err)
{
	const char *v[8] = { NULL };
	struct provider_config cfg = {
		.name = "p", .value = v, .deadline_ms = deadline
	};

	for (size_t i = 0; ops->options[i].name != NULL; i++)
		v[i] = value[i] != NULL ? value[i] : ops->options[i].def;
	return ops->open(&cfg, ret, err);
}

/* A provider whose program is this shell script. */
static void *given(const char *body, const char *timeout)
{
	const char *const value[3] = { program, NULL, timeout };
	char text[4096];
	struct err err = ERR_INIT;
	void *ctx;

	(void)snprintf(text, sizeof(text), "#!/bin/sh\n%s", body);
	write_file(program, text, 0700);
	if (try_open(value, 0, &ctx, &err) != ST_OK)
		fail_msg("%s", err.text);
	return ctx;
}

static void add(struct tlsa_rrset *set, const char *text)
{
	struct err err = ERR_INIT;

	if (tlsa_rrset_add_text(set, text, &err) != ST_OK)
		fail_msg("%s", err.text);
}

static void get_asks_and_reads(void **state)
{
	auto_tlsa set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	char zone[DNS_NAME_MAX], body[4096];
	void *ctx;
	json_t *got, *want;

	(void)state;
	(void)snprintf(body, sizeof(body),
		"echo \"$# $1\" >%s/argv; cat >%s; echo warning >&2\n"
		"cat <<'EOF'\n{\"more\": null, \"danelaw\": 1, \"rrsets\": ["
		"{\"owner\": \"_25._TCP.mx.example.test\","
		"\"zone\": \"Example.test\", \"ttl\": 77, \"records\": ["
		"\"3 1 1 %s\", \"3 1 2 aB Cd\", \"3 1 2 ab cd\"]}]}\nEOF\n",
		dir, seen, A64);
	ctx = given(body, NULL);
	if (ops->get(ctx, OWNER, &set, zone, &err) != ST_OK)
		fail_msg("%s", err.text);
	ops->close(ctx);
	assert_string_equal(zone, "example.test.");
	assert_int_equal(set.n, 2);
	assert_int_equal(set.ttl, 77);
	got = json_loads(read_file(seen), 0, NULL);
	want = json_pack("{s:i, s:s, s:s, s:[s]}", "danelaw", 1, "verb", "get",
		"provider", "p", "owners", OWNER);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
	(void)snprintf(body, sizeof(body), "%s/argv", dir);
	assert_string_equal(read_file(body), "1 get\n");
}

struct lie {
	const char *script;
	enum status st;
	const char *says;
};

static void get_believes_nothing(void **state)
{
	static const struct lie lies[] = {
		{ "echo hello", ST_REFUSED, "no JSON object" },
		{ ":", ST_REFUSED, "no JSON object" },
		{ "printf '{\"danelaw\": 1, \"rrsets\": ['", ST_REFUSED,
			"no JSON object" },
		{ "printf '{\"danelaw\": 1}\\000'", ST_REFUSED,
			"no JSON object" },
		{ "head -c 100000 /dev/zero | tr '\\0' '['", ST_REFUSED,
			"no JSON object" },
		{ "echo '[]'", ST_REFUSED, "\"danelaw\": 1" },
		{ "echo '{\"rrsets\": []}'", ST_REFUSED, "\"danelaw\": 1" },
		{ "echo '{\"danelaw\": 2, \"rrsets\": []}'", ST_REFUSED,
			"\"danelaw\": 1" },
		{ "echo '{\"danelaw\": \"1\"}'", ST_REFUSED, "\"danelaw\": 1" },
		{ "echo '{\"danelaw\": 1, \"danelaw\": 1}'", ST_REFUSED,
			"no JSON object" },
		{ "echo '{\"danelaw\": 1}'", ST_REFUSED, "every name" },
		{ "echo '{\"danelaw\": 1, \"rrsets\": {}}'", ST_REFUSED,
			"every name" },
		{ ANSWER(""), ST_REFUSED, "every name" },
		{ ANSWER("1"), ST_REFUSED, "\"owner\"" },
		{ ANSWER(GOOD "," GOOD), ST_REFUSED, "every name" },
		{ ANSWER(RRSET("_26._tcp.mx.example.test.", "example.test.",
			  "1", "")),
			ST_REFUSED, "not asked for" },
		{ ANSWER(RRSET(OWNER, "ample.test.", "1", "")), ST_REFUSED,
			"\"zone\"" },
		{ ANSWER(RRSET(OWNER, "", "1", "")), ST_REFUSED, "\"zone\"" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"records\": []}"),
			ST_REFUSED, "\"zone\"" },
		{ ANSWER(RRSET(OWNER, "test.", "-1", "\"3 1 1 " A64 "\"")),
			ST_REFUSED, "\"ttl\"" },
		{ ANSWER(RRSET(
			  OWNER, "test.", "2147483648", "\"3 1 1 " A64 "\"")),
			ST_REFUSED, "\"ttl\"" },
		{ ANSWER(RRSET(OWNER, "test.", "1.5", "\"3 1 1 " A64 "\"")),
			ST_REFUSED, "\"ttl\"" },
		{ ANSWER(RRSET(OWNER, "test.", "\"1\"", "\"3 1 1 00\"")),
			ST_REFUSED, "\"ttl\"" },
		{ ANSWER(RRSET(OWNER, "test.", "1", "7")), ST_REFUSED,
			"no text" },
		{ ANSWER(RRSET(OWNER, "test.", "1", "\"3 1 xx\"")), ST_REFUSED,
			"record \"3 1 xx\"" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"zone\": \"test.\","
			 "\"ttl\": 1, \"records\": \"3 1 1 00\"}"),
			ST_REFUSED, "no list" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"zone\": \"test.\","
			 "\"ttl\": 1}"),
			ST_REFUSED, "no list" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"cname\": 1}"),
			ST_REFUSED, "\"cname\"" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"cname\": \"x.test\"}"),
			ST_REFUSED, OWNER " is a CNAME for x.test. there" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"status\": \"fine\"}"),
			ST_REFUSED, "a status that is none" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"status\": 0}"),
			ST_REFUSED, "a status that is none" },
		{ ANSWER("{\"owner\": \"" OWNER "\", \"status\": \"later\","
			 "\"message\": \"a\\u001b[1mb\"}"),
			ST_RETRY, OWNER ": try later: a?[1mb" },
		{ ANSWER("{\"owner\": \"" OWNER
			 "\", \"status\": \"not-found\"}"),
			ST_REFUSED, OWNER ": no zone there" },
		{ "echo no >&2; echo '{}'; exit 75", ST_RETRY,
			"exit status 75 (try later): no" },
		{ "exit 77", ST_DENIED, "exit status 77 (denied)" },
		{ "exit 3", ST_CONFLICT, "exit status 3 (somebody else" },
		{ "echo 1 >&2; echo 2 >&2; exit 4", ST_REFUSED,
			"exit status 4 (no zone there): 2" },
		{ "exit 1", ST_REFUSED, "exit status 1 (refused)" },
		{ "exit 99", ST_REFUSED, "exit status 99 (refused)" },
		{ ANSWER(GOOD) "kill -9 $$", ST_RETRY, "killed by signal 9" },
		{ "head -c 9000000 /dev/zero | tr '\\0' ' '", ST_REFUSED,
			"more than 8 MiB" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		auto_tlsa set = TLSA_RRSET_INIT;
		struct err err = ERR_INIT;
		char zone[DNS_NAME_MAX] = "same";
		void *ctx = given(lies[i].script, NULL);
		enum status st = ops->get(ctx, OWNER, &set, zone, &err);

		ops->close(ctx);
		if (st != lies[i].st || strstr(err.text, lies[i].says) == NULL)
			fail_msg("%s: %s: %s", lies[i].script, status_name(st),
				err.text);
		assert_non_null(strstr(err.text, program));
		assert_int_equal(err.st, st);
		assert_string_equal(zone, "same");
		assert_int_equal(set.n, 0);
	}
}

/* Whatever it does, it ends. */
static void time_is_limited(void **state)
{
	static const char *const scripts[] = { "sleep 100", "exec yes '[[[['",
		"yes >&2", "trap '' TERM; sleep 100 & wait",
		ANSWER(GOOD) "exec >&- 2>&-; sleep 100" };

	(void)state;
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const int64_t begin = clock_mono_ms();
		auto_tlsa set = TLSA_RRSET_INIT;
		struct err err = ERR_INIT;
		char zone[DNS_NAME_MAX];
		void *ctx = given(scripts[i], "1");

		assert_int_equal(
			ops->get(ctx, OWNER, &set, zone, &err), ST_RETRY);
		assert_non_null(strstr(err.text, "timed out"));
		assert_true(clock_mono_ms() - begin < 30000);
		ops->close(ctx);
	}
}

static uint32_t to_ttl = 3600;

static enum status replace(
	const char *body, const char *from[], const char *to[], struct err *err)
{
	auto_tlsa f = TLSA_RRSET_INIT;
	auto_tlsa t = TLSA_RRSET_INIT;
	char text[4096];
	enum status st;
	void *ctx;

	for (int i = 0; from[i] != NULL; i++)
		add(&f, from[i]);
	for (int i = 0; to[i] != NULL; i++)
		add(&t, to[i]);
	f.ttl = 77;
	t.ttl = to_ttl;
	(void)unlink(seen);
	(void)snprintf(text, sizeof(text),
		"if [ $1 = get ]; then\n%selse\ncat >%s\n%s\nfi\n",
		ANSWER(GOOD), seen, body);
	ctx = given(text, NULL);
	st = ops->replace(ctx, OWNER, &f, &t, err);
	ops->close(ctx);
	return st;
}

static void replace_says_it_all(void **state)
{
	const char *from[] = { "3 1 1 " A64, NULL };
	const char *to[] = { "3 1 1 " B64, "3 1 1 " A64, NULL };
	const char *none[] = { NULL };
	struct err err = ERR_INIT;
	json_t *got, *want;

	(void)state;
	if (replace(":", from, to, &err) != ST_OK)
		fail_msg("%s", err.text);
	got = json_loads(read_file(seen), 0, NULL);
	want = json_pack("{s:i, s:s, s:s, s:s, s:[{s:s, s:{s:i, s:[s]},"
			 "s:{s:i, s:[s, s]}, s:[s], s:[]}]}",
		"danelaw", 1, "verb", "replace", "provider", "p", "zone",
		"example.test.", "changes", "owner", OWNER, "from", "ttl", 77,
		"records", "3 1 1 " A64, "to", "ttl", 3600, "records",
		"3 1 1 " A64, "3 1 1 " B64, "add", "3 1 1 " B64, "remove");
	assert_non_null(want);
	if (!json_equal(got, want))
		fail_msg("%s", read_file(seen));
	json_decref(got);
	json_decref(want);
	if (replace(":", from, none, &err) != ST_OK)
		fail_msg("%s", err.text);
	assert_non_null(strstr(read_file(seen),
		"\"records\":[]},\"add\":[],\"remove\":[\"3 1 1 " A64 "\"]"));
}

static void replace_is_guarded(void **state)
{
	const char *a[] = { "3 1 1 " A64, NULL };
	const char *b[] = { "3 1 1 " B64, NULL };
	const char *none[] = { NULL };
	struct err err = ERR_INIT;

	(void)state;
	/* a TTL alone */
	assert_int_equal(replace(":", a, a, &err), ST_OK);
	assert_int_equal(access(seen, F_OK), 0);
	/* somebody else's */
	assert_int_equal(replace(":", b, none, &err), ST_CONFLICT);
	assert_non_null(strstr(err.text, "somebody else"));
	assert_int_equal(access(seen, F_OK), -1);
	/* done already, by a call whose answer was lost */
	to_ttl = 77;
	assert_int_equal(replace(":", b, a, &err), ST_OK);
	assert_int_equal(access(seen, F_OK), -1);
	/* nothing to do: not even read */
	assert_int_equal(replace("exit 1", b, b, &err), ST_OK);
	to_ttl = 3600;
}

static void replace_believes_nothing(void **state)
{
#define SAY(list) "echo '{\"danelaw\": 1, \"results\": [" list "]}'"
#define WORD(word) SAY("{\"owner\": \"" OWNER "\", \"status\": \"" word "\"}")
	static const struct lie lies[] = {
		{ WORD("done"), ST_OK, "" },
		{ "echo", ST_OK, "" },
		{ WORD("later"), ST_RETRY, "try later" },
		{ WORD("denied"), ST_DENIED, "denied" },
		{ WORD("conflict"), ST_CONFLICT, "somebody else" },
		{ WORD("not-found"), ST_REFUSED, "no zone there" },
		{ WORD("refused"), ST_REFUSED, "refused" },
		/* it was perhaps done: ask again */
		{ WORD("Done"), ST_RETRY, "a status that is none" },
		{ SAY("{\"owner\": \"" OWNER "\"}"), ST_RETRY, "status" },
		{ SAY(""), ST_RETRY, "every name" },
		{ "echo ok", ST_RETRY, "no JSON object" },
		{ "echo '{}'", ST_RETRY, "\"danelaw\": 1" },
		{ WORD("done") ";" WORD("done"), ST_RETRY, "no JSON object" },
		{ "kill -9 $$", ST_RETRY, "killed by signal 9" },
		{ WORD("done") "; exit 77", ST_DENIED, "exit status 77" },
		{ "exit 3", ST_CONFLICT, "exit status 3" },
		{ "exit 75", ST_RETRY, "exit status 75" },
		{ "exit 2", ST_REFUSED, "exit status 2" },
	};
	const char *a[] = { "3 1 1 " A64, NULL };
	const char *b[] = { "3 1 1 " B64, NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct err err = ERR_INIT;
		enum status st = replace(lies[i].script, a, b, &err);

		if (st != lies[i].st || strstr(err.text, lies[i].says) == NULL)
			fail_msg("%s: %s: %s", lies[i].script, status_name(st),
				err.text);
	}
}

/* ---- many names ---- */

/* A small DNS in a file, and a log of the calls. What is wrong with a name is
 * in the name. */
static const char dns[] =
	"#!/usr/bin/python3\n"
	"import json, os, sys\n"
	"here = os.path.dirname(os.path.abspath(__file__))\n"
	"q = json.load(sys.stdin)\n"
	"path = here + '/dns.json'\n"
	"db = json.load(open(path)) if os.path.exists(path) else {}\n"
	"names = q.get('owners') or [c['owner'] for c in q['changes']]\n"
	"with open(here + '/log', 'a') as log:\n"
	"    print(q['verb'], len(names), q.get('zone', '-'), file=log)\n"
	"if any('refused' in n for n in names):\n"
	"    sys.exit('one of them is bad')\n"
	"out = {'danelaw': 1}\n"
	"if q['verb'] == 'get':\n"
	"    out['rrsets'] = [{'owner': n, 'ttl': 60,\n"
	"        'zone': '.'.join(n.split('.')[-3:]),\n"
	"        'records': db.get(n, [])} for n in reversed(names)]\n"
	"    if any('twice' in n for n in names):\n"
	"        out['rrsets'] = out['rrsets'][:1] * len(names)\n"
	"else:\n"
	"    out['results'] = res = []\n"
	"    for c in q['changes']:\n"
	"        n, st = c['owner'], 'done'\n"
	"        if 'race' in n and 'hit' not in db:\n"
	"            db[n] = ['9 9 9 ff']\n"
	"            db['hit'] = []\n"
	"        if db.get(n, []) != c['from']['records']:\n"
	"            st = 'conflict'\n"
	"        elif 'denied' in n:\n"
	"            st = 'denied'\n"
	"        else:\n"
	"            db[n] = c['to']['records']\n"
	"        res.append({'owner': n, 'status': st})\n"
	"    json.dump(db, open(path, 'w'))\n"
	"print(json.dumps(out))\n";

#define N_MANY 250
static char owner[N_MANY][DNS_NAME_MAX];
static struct provider_item items[N_MANY];
static int decided;

static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	(void)arg;
	decided++;
	if (strstr(owner[i], "mine") != NULL)
		return err_set(err, ST_CONFLICT, "not this one");
	if (tlsa_rrset_copy(now, to, err) != ST_OK)
		return err->st;
	to->ttl = 60;
	return tlsa_rrset_add_text(to, "3 1 1 " A64, err);
}

/* Runs an edit of n items over fmt; returns the log of calls. */
static const char *many(size_t n, const char *special)
{
	char path[100];
	void *ctx;

	ctx = given("", NULL);
	write_file(program, dns, 0700);
	(void)snprintf(path, sizeof(path), "%s/dns.json", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	write_file(path, "", 0600);
	memset(items, 0, sizeof(items));
	decided = 0;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(owner[i], sizeof(owner[i]),
			"_25._tcp.mx%zu%s.z%zu.test.", i,
			i == 7 || special[0] == '*'
				? special + (special[0] == '*')
				: "",
			i % 2);
		items[i].owner = owner[i];
	}
	ops->edit(ctx, items, n, decide, NULL);
	ops->close(ctx);
	return read_file(path);
}

static void forget(size_t n)
{
	for (size_t i = 0; i < n; i++)
		provider_item_release(&items[i]);
}

static void assert_all_but(size_t n, size_t bad, enum status st)
{
	for (size_t i = 0; i < n; i++) {
		if (items[i].err.st != (i == bad ? st : ST_OK))
			fail_msg("%s: %s", owner[i], items[i].err.text);
		assert_int_equal(items[i].changed, items[i].err.st == ST_OK);
	}
}

static void many_in_few_calls(void **state)
{
	(void)state;
	assert_string_equal(many(N_MANY, ""),
		"get 100 -\nget 100 -\nget 50 -\n"
		"replace 100 z0.test.\nreplace 100 z1.test.\n"
		"replace 25 z0.test.\nreplace 25 z1.test.\n");
	assert_all_but(N_MANY, N_MANY, ST_OK);
	assert_int_equal(decided, N_MANY);
	forget(N_MANY);
}

static void one_bad_stops_no_other(void **state)
{
	const char *log;
	int lines = 0;

	(void)state;
	/* its word for one name */
	(void)many(20, "-denied");
	assert_all_but(20, 7, ST_DENIED);
	assert_non_null(strstr(items[7].err.text, owner[7]));
	forget(20);
	/* the whole call fails: each on its own */
	log = many(10, "-refused");
	assert_string_equal(log,
		"get 10 -\nget 1 -\nget 1 -\nget 1 -\nget 1 -\nget 1 -\n"
		"get 1 -\nget 1 -\nget 1 -\nget 1 -\nget 1 -\n"
		"replace 5 z0.test.\nreplace 4 z1.test.\n");
	assert_all_but(10, 7, ST_REFUSED);
	assert_non_null(strstr(items[7].err.text, "one of them is bad"));
	forget(10);
	/* an answer that speaks of one name twice, and of another not at all:
	 * nothing of it is used */
	(void)many(10, "-twice");
	assert_all_but(10, 10, ST_OK);
	forget(10);
	/* ours */
	(void)many(10, "-mine");
	assert_all_but(10, 7, ST_CONFLICT);
	assert_int_equal(decided, 10);
	forget(10);
	/* all are bad: it is not asked about each */
	log = many(100, "*-refused");
	for (; *log != '\0'; log++)
		lines += *log == '\n';
	assert_int_equal(lines, 4);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(items[i].err.st, ST_REFUSED);
	forget(100);
}

static void conflict_is_read_again(void **state)
{
	(void)state;
	assert_string_equal(many(10, "-race"),
		"get 10 -\nreplace 5 z0.test.\nreplace 5 z1.test.\n"
		"get 1 -\nreplace 1 z1.test.\n");
	assert_all_but(10, 10, ST_OK);
	assert_int_equal(decided, 11);
	assert_int_equal(items[7].now.n, 1);
	assert_int_equal(items[7].to.n, 2);
	forget(10);
}

/* ---- the rest ---- */

static void open_checks_who_decides(void **state)
{
	static const struct {
		const char *command, *argument;
		const char *says;
	} bad[] = {
		{ "sh", NULL, "must be a full path" },
		{ "/no/such/program", NULL, "No such file" },
		{ "/tmp", NULL, "no program" },
		{ "/etc/passwd", NULL, "no program" },
		{ program, NULL, "chmod go-w" },
		{ "/bin/sh", script, "chmod go-w" },
	};

	(void)state;
	write_file(program, "#!/bin/sh\n", 0720);
	write_file(script, "", 0666);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const value[3] = { bad[i].command, bad[i].argument,
			NULL };
		struct err err = ERR_INIT;
		void *ctx;

		assert_int_equal(try_open(value, 0, &ctx, &err), ST_CONFIG);
		if (strstr(err.text, bad[i].says) == NULL)
			fail_msg("%s", err.text);
	}
}

static void arguments_and_environment(void **state)
{
	const char *value[3] = { program, "a $(b) *", NULL };
	auto_tlsa set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	char zone[DNS_NAME_MAX], text[500];
	void *ctx;

	(void)state;
	(void)setenv("OUR_SECRET", "x", 1);
	(void)setenv("CREDENTIALS_DIRECTORY", "/run/cred", 1);
	(void)snprintf(text, sizeof(text),
		"#!/bin/sh\n{ echo \"$#|$1|$2\"; pwd; env; } >%s\nexit 1\n",
		seen);
	write_file(program, text, 0700);
	assert_int_equal(try_open(value, 0, &ctx, &err), ST_OK);
	(void)ops->get(ctx, OWNER, &set, zone, &err);
	assert_non_null(strstr(read_file(seen), "2|a $(b) *|get\n/\n"));
	assert_non_null(strstr(read_file(seen), "DANELAW_PROVIDER=p\n"));
	assert_non_null(
		strstr(read_file(seen), "CREDENTIALS_DIRECTORY=/run/cred\n"));
	assert_null(strstr(read_file(seen), "OUR_SECRET"));
	ops->close(ctx);
	/* gone since; and no time left */
	(void)unlink(seen);
	assert_int_equal(
		try_open(value, clock_mono_ms() - 1, &ctx, &err), ST_OK);
	assert_int_equal(ops->get(ctx, OWNER, &set, zone, &err), ST_RETRY);
	assert_non_null(strstr(err.text, "no time left"));
	assert_int_equal(access(seen, F_OK), -1);
	ops->close(ctx);
	assert_int_equal(try_open(value, 0, &ctx, &err), ST_OK);
	(void)unlink(program);
	assert_int_equal(ops->get(ctx, OWNER, &set, zone, &err), ST_CONFIG);
	ops->close(ctx);
}

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(program, sizeof(program), "%s/program", dir);
	(void)snprintf(seen, sizeof(seen), "%s/seen", dir);
	(void)snprintf(script, sizeof(script), "%s/script", dir);
	return 0;
}

static int teardown(void **state)
{
	static const char *const left[] = { "program", "seen", "script", "argv",
		"log", "dns.json" };
	char path[200];

	(void)state;
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, left[i]);
		(void)unlink(path);
	}
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_asks_and_reads),
		cmocka_unit_test(get_believes_nothing),
		cmocka_unit_test(time_is_limited),
		cmocka_unit_test(replace_says_it_all),
		cmocka_unit_test(replace_is_guarded),
		cmocka_unit_test(replace_believes_nothing),
		cmocka_unit_test(many_in_few_calls),
		cmocka_unit_test(one_bad_stops_no_other),
		cmocka_unit_test(conflict_is_read_again),
		cmocka_unit_test(open_checks_who_decides),
		cmocka_unit_test(arguments_and_environment),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
