/* The history read back, and danelaw report with a configuration and a state:
 * which failures are ours. */
#include "store_fixture.h"

#include "hook/cmd.h"

#define KEY_A "abababababababababababababababababababababababababababababababab"
#define KEY_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_C "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

#define T0 INT64_C(1795132800000) /* 2026-11-20T00:00:00Z */
#define HOUR INT64_C(3600000)

static struct spki key_a, key_b, key_c;

/* What main.c has; the command needs it. */
int cli_usage(const char *fmt, ...)
{
	(void)fmt;
	return EXIT_USAGE;
}

static void note(struct store_lineage *l, int64_t at, const char *event,
	const struct spki *key, const char *why)
{
	assert_int_equal(store_history(l, at, event, key, 3, why, &e), ST_OK);
}

static void append(const char *text)
{
	FILE *f = fopen(path(L "history.jsonl"), "ae");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_read_back(void **state)
{
	struct lineage_state s;
	struct history h;
	struct store_lineage *l = lock(&s);

	(void)state;
	assert_int_equal(store_history_read(store, NAME, &h, &e), ST_NOTFOUND);
	note(l, T0, "live", &key_a, "it is");
	note(l, T0 + HOUR, "published", NULL, "");
	assert_int_equal(store_history_read(store, NAME, &h, &e), ST_OK);
	assert_int_equal(h.n, 2);
	assert_int_equal(h.event[0].wall_ms, T0);
	assert_string_equal(h.event[0].event, "live");
	assert_true(spki_eq(&h.event[0].key, &key_a));
	assert_int_equal(h.event[0].generation, 3);
	assert_string_equal(h.event[0].why, "it is");
	assert_true(spki_is_none(&h.event[1].key));
	assert_int_equal(h.bad_lines, 0);
	assert_false(h.cut);
	history_release(&h);
	store_unlock(l);
	state_release(&s);
	assert_int_equal(store_history_read(store, "../x", &h, &e), ST_REFUSED);
}

#define BAD_KEY                                                \
	"{\"at\":\"2026-11-20T00:00:00Z\",\"event\":\"live\"," \
	"\"key\":\"12\"}"

/* A torn line, in the middle and at the end, costs itself only. */
static void test_torn(void **state)
{
	static const char *const bad[] = { "", "{}", "null",
		"{\"at\":\"2026-11-20T00:00:00Z\",\"event\":\"li",
		"{\"at\":\"2026-11-20\",\"event\":\"live\"}",
		"{\"at\":\"2026-11-20T00:00:00Z\",\"event\":7}",
		"{\"at\":\"2026-11-20T00:00:00Z\",\"event\":\"live\",\"key\":1}"
		"x",
		BAD_KEY, "\xff\xfe" };
	struct lineage_state s;
	struct history h;
	struct store_lineage *l = lock(&s);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		note(l, T0, "live", &key_a, "");
		append(bad[i]);
		append("\n");
	}
	note(l, T0, "retired", &key_a, "");
	append("{\"at\":\"2026-11-20T00:00:00Z\",\"event\":\"live\"}");
	assert_int_equal(store_history_read(store, NAME, &h, &e), ST_OK);
	assert_int_equal(h.n, 10);
	assert_string_equal(h.event[9].event, "retired");
	assert_int_equal(h.bad_lines, 10);
	history_release(&h);
	store_unlock(l);
	state_release(&s);
}

/* Of a long history the newest part, within both limits. */
static void test_long(void **state)
{
	struct lineage_state s;
	struct history h;
	struct store_lineage *l = lock(&s);
	FILE *f = fopen(path(L "history.jsonl"), "we");
	const char *why = "0123456789012345678901234567890123456789";

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < 25000; i++)
		assert_true(fprintf(f,
				    "{\"at\":\"2026-11-20T00:00:00Z\","
				    "\"event\":\"e%d\",\"why\":\"\"}\n",
				    i) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(store_history_read(store, NAME, &h, &e), ST_OK);
	assert_true(h.cut);
	assert_int_equal(h.n, STORE_EVENTS_MAX);
	assert_string_equal(h.event[h.n - 1].event, "e24999");
	history_release(&h);
	f = fopen(path(L "history.jsonl"), "we");
	for (int i = 0; i < 15000; i++)
		assert_true(
			fprintf(f,
				"{\"at\":\"2026-11-20T00:00:00Z\","
				"\"event\":\"e%d\",\"why\":\"%s%s%s%s"
				"%s%s%s%s\"}\n",
				i, why, why, why, why, why, why, why, why) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(store_history_read(store, NAME, &h, &e), ST_OK);
	assert_true(h.cut);
	assert_int_equal(h.bad_lines, 0);
	assert_true(h.n > 5000 && h.n < 15000);
	assert_string_equal(h.event[h.n - 1].event, "e14999");
	assert_int_equal(strlen(h.event[0].why), sizeof(h.event[0].why) - 1);
	history_release(&h);
	store_unlock(l);
	state_release(&s);
}

/* ---- the command ---- */

#define REPORT(id, begin, end, failed)                                     \
	"{\"organization-name\":\"Example Sender\",\"report-id\":\"" id    \
	"\",\"date-range\":{\"start-datetime\":\"" begin                   \
	"\",\"end-datetime\":\"" end "\"},\"policies\":[{\"policy\":{"     \
	"\"policy-type\":\"tlsa\",\"policy-domain\":\"example.com\","      \
	"\"policy-string\":[\"3 1 1 " KEY_A "\",\"3 1 1 " KEY_B            \
	"\",\"3 1 1 " KEY_C "\"]},\"summary\":{"                           \
	"\"total-successful-session-count\":10,"                           \
	"\"total-failure-session-count\":" failed "},\"failure-details\":" \
	"[{\"result-type\":\"tlsa-invalid\",\"receiving-mx-hostname\":"    \
	"\"mx1.example.com\",\"failed-session-count\":" failed "}]}]}"

static char config[128], out_path[128];

static void write_config(void)
{
	FILE *f;

	(void)snprintf(config, sizeof(config), "%s/danelaw.conf", top);
	(void)snprintf(out_path, sizeof(out_path), "%s/out", top);
	f = fopen(config, "we");
	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0644), 0);
	assert_true(fprintf(f,
			    "state_dir = \"%s\"\n"
			    "provider \"home\" { type = \"rfc2136\" server = "
			    "\"192.0.2.53\" tsig_key_file = \"/k\" }\n"
			    "lineage \"" NAME "\" {\n"
			    "tlsa = {\"_25._tcp.mx1.example.com\"}\n"
			    "provider = \"home\" }\n",
			    dir) > 0);
	assert_int_equal(fclose(f), 0);
}

static void save(const char *name, const char *text)
{
	char file[160];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s/%s", top, name);
	f = fopen(file, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Runs the command in a child with its output in out_path. */
static int run(const char *conf, char **argv, int argc)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct cli cli = { .config_path = conf };

		if (freopen(out_path, "we", stdout) == NULL ||
			freopen("/dev/null", "we", stderr) == NULL)
			_exit(99);
		status = cmd_report(&cli, argc, argv);
		(void)fflush(stdout);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Runs --json on files of top; *ret owned. */
static int run_json(
	const char *conf, const char *const names[], size_t n, json_t **ret)
{
	char file[4][160], *argv[5];
	static char json_flag[] = "--json";
	int rc;

	argv[0] = json_flag;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(
			file[i], sizeof(file[i]), "%s/%s", top, names[i]);
		argv[i + 1] = file[i];
	}
	rc = run(conf, argv, (int)n + 1);
	*ret = json_load_file(out_path, 0, NULL);
	return rc;
}

static json_t *at(json_t *j, const char *array, size_t i)
{
	j = json_array_get(json_object_get(j, array), i);
	assert_non_null(j);
	return j;
}

static const char *text_of(json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));

	return s != NULL ? s : "(null)";
}

/* B is current since the rollover at noon; A was the first; C is forgotten. */
static void make_state(void)
{
	struct lineage_state s;
	struct state_key *k;
	struct store_lineage *l = lock(&s);

	assert_int_equal(
		state_key_add(&s, &key_a, KEY_ECDSA_P256, KEY_PREVIOUS, &k, &e),
		ST_OK);
	assert_int_equal(
		state_key_add(&s, &key_b, KEY_ECDSA_P256, KEY_CURRENT, &k, &e),
		ST_OK);
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	note(l, T0 - 9000 * HOUR, "live", &key_c, "adopted");
	note(l, T0 - 8000 * HOUR, "live", &key_a, "rollover");
	note(l, T0 - 100 * HOUR, "live", &key_a, "same key, new certificate");
	note(l, T0 + 12 * HOUR, "live", &key_b, "rollover");
	append("{\"at\":\"2026-11-2");
	store_unlock(l);
	state_release(&s);
}

static void test_command(void **state)
{
	const char *const names[] = { "during", "before", "long", "during" };
	json_t *j, *sender, *keys;

	(void)state;
	write_config();
	make_state();
	/* the certificate that came 100 hours before was no rollover */
	save("before", REPORT("1", "2026-11-17T00:00:00Z",
			       "2026-11-17T23:59:59Z", "5"));
	save("during", REPORT("2", "2026-11-20T00:00:00Z",
			       "2026-11-20T23:59:59Z", "7"));
	save("long", REPORT("3", "2026-11-23T00:00:00Z", "2026-11-23T23:59:59Z",
			     "6"));
	assert_int_equal(run_json(config, names, 4, &j), EXIT_ATTENTION);
	assert_true(json_is_true(json_object_get(j, "rollovers_known")));
	assert_string_equal(text_of(at(j, "duplicates", 0), "id"), "2");
	sender = at(at(j, "domains", 0), "senders", 0);
	assert_int_equal(
		json_array_size(json_object_get(sender, "failures")), 2);
	assert_int_equal(json_integer_value(json_object_get(
				 at(sender, "failures", 0), "count")),
		11);
	assert_true(json_is_null(
		json_object_get(at(sender, "failures", 0), "rollover")));
	j = json_incref(j);
	sender = json_object_get(at(sender, "failures", 1), "rollover");
	assert_string_equal(text_of(sender, "lineage"), NAME);
	assert_string_equal(text_of(sender, "kind"), "rollover");
	assert_string_equal(text_of(sender, "at"), "2026-11-20T12:00:00Z");
	keys = at(j, "domains", 0);
	for (size_t i = 0; i < 3; i++) {
		json_t *k = at(keys, "keys", i);
		const char *spki = text_of(k, "spki");

		assert_string_equal(text_of(k, "role"),
			strcmp(spki, KEY_A) == 0   ? "previous"
			: strcmp(spki, KEY_B) == 0 ? "current"
						   : "retired");
	}
	json_decref(j);
	json_decref(j);
}

/* Without history the state alone tells of the last rollover. */
static void test_state_alone(void **state)
{
	const char *const names[] = { "during" };
	struct lineage_state s;
	struct state_key *k;
	struct store_lineage *l = lock(&s);
	json_t *j, *f;

	(void)state;
	write_config();
	s.clock.trusted_ms = 5000 * HOUR;
	s.clock.last.wall_ms = T0 + 20 * HOUR;
	assert_int_equal(
		state_key_add(&s, &key_a, KEY_ECDSA_P256, KEY_PREVIOUS, &k, &e),
		ST_OK);
	k->live_ms = 1000 * HOUR;
	assert_int_equal(
		state_key_add(&s, &key_b, KEY_ECDSA_P256, KEY_CURRENT, &k, &e),
		ST_OK);
	k->live_ms = 4990 * HOUR;
	assert_int_equal(store_commit(l, &s, &e), ST_OK);
	store_unlock(l);
	state_release(&s);
	save("during", REPORT("2", "2026-11-20T00:00:00Z",
			       "2026-11-20T23:59:59Z", "7"));
	assert_int_equal(run_json(config, names, 1, &j), EXIT_ATTENTION);
	f = at(at(at(j, "domains", 0), "senders", 0), "failures", 0);
	assert_string_equal(text_of(json_object_get(f, "rollover"), "at"),
		"2026-11-20T10:00:00Z");
	json_decref(j);
}

static void test_exit(void **state)
{
	const char *const names[] = { "clean" };
	const char *const two[] = { "bad", "clean" };
	char flag[] = "--what", stdin_name[] = "-";
	char *wrong[] = { flag }, *twice[] = { stdin_name, stdin_name };
	json_t *j;

	(void)state;
	write_config();
	save("clean", REPORT("1", "2026-11-17T00:00:00Z",
			      "2026-11-17T23:59:59Z", "0"));
	save("bad", "{\"a\":");
	assert_int_equal(run_json(config, names, 1, &j), EXIT_DONE);
	json_decref(j);
	/* the other file is read all the same */
	assert_int_equal(run_json(config, two, 2, &j), EXIT_ATTENTION);
	assert_int_equal(json_array_size(json_object_get(j, "reports")), 1);
	assert_non_null(strstr(text_of(at(j, "errors", 0), "error"), "1:6"));
	json_decref(j);
	assert_int_equal(run_json("/nowhere/x.conf", names, 1, &j), EXIT_USAGE);
	assert_null(j);
	assert_int_equal(run(config, wrong, 1), EXIT_USAGE);
	assert_int_equal(run(config, wrong, 0), EXIT_USAGE);
	assert_int_equal(run(config, twice, 2), EXIT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_read_back),
		WITH_STORE(test_torn),
		WITH_STORE(test_long),
		WITH_STORE(test_command),
		WITH_STORE(test_state_alone),
		WITH_STORE(test_exit),
	};

	if (!spki_parse(KEY_A, &key_a) || !spki_parse(KEY_B, &key_b) ||
		!spki_parse(KEY_C, &key_c))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
