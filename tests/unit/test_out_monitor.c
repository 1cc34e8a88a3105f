/* check for Nagios and for Prometheus. */
#include "tests/unit/out_fixture.h"

static char *nagios(const struct check *const c[], size_t n, int *ret_exit)
{
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	char *text;

	*ret_exit = -1;
	assert_int_equal(out_nagios(c, n, &b, ret_exit, &err), ST_OK);
	text = buf_take(&b);
	/* One line, one bar, printable. */
	assert_int_equal(strcspn(text, "\n"), strlen(text) - 1);
	assert_non_null(strchr(text, '|'));
	assert_ptr_equal(strchr(text, '|'), strrchr(text, '|'));
	for (size_t i = 0; text[i] != '\n'; i++)
		assert_in_range(text[i], 0x20, 0x7e);
	return text;
}

static void test_nagios_ok(void **state)
{
	struct world *w = world_new();
	const struct check *c = &w->c;
	int code;
	char *text = nagios(&c, 1, &code);

	(void)state;
	assert_int_equal(code, 0);
	assert_string_equal(text,
		"DANE OK - example.test OK|connections=16;;;0 ok=16;;;0;16 "
		"failed=0;;;0;16 cert_days=60 rrsig=864000s time=1.234s;;;0\n");
	free(text);
	free(w);
}

static void test_nagios_exit(void **state)
{
	static const struct {
		enum check_verdict verdict;
		int code;
		const char *word;
	} table[] = { { CHECK_OK, 0, "DANE OK - " },
		{ CHECK_WEAK, 1, "DANE WARNING - " },
		{ CHECK_ENCRYPT_ONLY, 1, "DANE WARNING - " },
		{ CHECK_NO_DANE, 1, "DANE WARNING - " },
		{ CHECK_INSECURE, 1, "DANE WARNING - " },
		{ CHECK_DEGRADED, 1, "DANE WARNING - " },
		{ CHECK_BOGUS, 2, "DANE CRITICAL - " },
		{ CHECK_BLOCKED, 2, "DANE CRITICAL - " },
		{ CHECK_INCOMPLETE, 3, "DANE UNKNOWN - " } };
	struct world *w = world_new();
	const struct check *c = &w->c;

	(void)state;
	assert_int_equal(sizeof(table) / sizeof(table[0]), CHECK__COUNT);
	for (size_t i = 0; i < CHECK__COUNT; i++) {
		int code;
		char *text;

		w->c.verdict = table[i].verdict;
		text = nagios(&c, 1, &code);
		assert_int_equal(code, table[i].code);
		assert_memory_equal(text, table[i].word, strlen(table[i].word));
		free(text);
	}
	free(w);
}

/* CRITICAL over WARNING over UNKNOWN over OK, and the worst is said first. */
static void test_nagios_worst(void **state)
{
	static const struct {
		enum check_verdict a, b;
		int code;
	} table[] = { { CHECK_OK, CHECK_INCOMPLETE, 3 },
		{ CHECK_INCOMPLETE, CHECK_WEAK, 1 },
		{ CHECK_INCOMPLETE, CHECK_BLOCKED, 2 },
		{ CHECK_BOGUS, CHECK_NO_DANE, 2 }, { CHECK_OK, CHECK_OK, 0 } };
	struct world *w[2] = { world_new(), world_new() };
	const struct check *c[2] = { &w[0]->c, &w[1]->c };
	int code;
	char *text;

	(void)state;
	PUT(w[1]->c.name, "other.test.");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		w[0]->c.verdict = table[i].a;
		w[1]->c.verdict = table[i].b;
		text = nagios(c, 2, &code);
		assert_int_equal(code, table[i].code);
		free(text);
	}
	w[0]->c.verdict = CHECK_OK;
	w[1]->c.verdict = CHECK_BLOCKED;
	text = nagios(c, 2, &code);
	assert_non_null(strstr(text,
		" - other.test BLOCKED; example.test OK|connections=32;"));
	free(text);
	text = nagios(c, 0, &code);
	assert_int_equal(code, 3);
	free(text);
	free(w[0]);
	free(w[1]);
}

static void test_nagios_hostile(void **state)
{
	struct world *w = world_new();
	const struct check *c[200];
	struct finding *f = spoil(w, CODE_CONNECT, FINDING_FAIL);
	int code;
	char *text;

	(void)state;
	PUT(f->where, "mx|x=1;;\n|\xff");
	PUT(f->text, "a|b\r\nDANE OK - fine|\033[0m");
	for (size_t i = 0; i < 200; i++)
		c[i] = &w->c;
	text = nagios(c, 1, &code);
	assert_non_null(
		strstr(text, "a/b??DANE OK - fine/?[0m|connections=16"));
	free(text);
	memset(f->where, 'w', sizeof(f->where) - 1);
	memset(f->text, 't', sizeof(f->text) - 1);
	/* Many checks do not push the perfdata away. */
	text = nagios(c, 200, &code);
	assert_true(strlen(text) < 900);
	assert_non_null(strstr(text, "...|connections=3200;"));
	free(text);
	free(w);
}

static void test_nagios_perfdata(void **state)
{
	struct world *w = world_new();
	const struct check *c = &w->c;
	int code;
	char *text;

	(void)state;
	w->conn[3].job.not_after = T0 - 1;
	w->conn[3].state = CONN_FAIL;
	w->answer[5].expiration = T0 - 60;
	text = nagios(&c, 1, &code);
	assert_non_null(strstr(text, " ok=15;;;0;16 failed=1;;;0;16 "));
	assert_non_null(strstr(text, " cert_days=-1 rrsig=-60s "));
	free(text);
	/* Nothing seen: nothing claimed. */
	w->c.n_hosts = 0;
	w->c.mx = NULL;
	w->c.survey = NULL;
	text = nagios(&c, 1, &code);
	assert_null(strstr(text, "cert_days"));
	assert_null(strstr(text, "rrsig"));
	free(text);
	free(w);
}

/* ---- prometheus ---- */

#define METRICS_MAX 32
#define SERIES_MAX 512

/* Reads "name{label="value",...}"; the character behind it, or NULL. */
static const char *series(const char *p)
{
	p += strspn(p, "abcdefghijklmnopqrstuvwxyz_");
	if (*p++ != '{')
		return NULL;
	for (;;) {
		size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz_");

		if (len == 0 || p[len] != '=' || p[len + 1] != '"')
			return NULL;
		for (p += len + 2; *p != '"'; p++) {
			if (*p == '\\' && strchr("\\\"n", p[1]) == NULL)
				return NULL;
			if (*p == '\n' || *p == '\0')
				return NULL;
			p += *p == '\\';
		}
		p++;
		if (*p == '}')
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

/* What a strict reader demands: HELP, then TYPE, then the samples of that
 * metric and of no other, each metric once, no series twice. */
static void parse(const char *text)
{
	char *seen[SERIES_MAX], *metric[METRICS_MAX];
	char now[128] = "";
	size_t n = 0, n_metrics = 0;
	bool typed = false;

	for (const char *p = text; *p != '\0'; p = strchr(p, '\n') + 1) {
		char name[128];
		const char *end;

		assert_non_null(strchr(p, '\n'));
		if (sscanf(p, "# HELP %127[a-z_] ", name) == 1) {
			for (size_t i = 0; i < n_metrics; i++)
				assert_string_not_equal(metric[i], name);
			assert_true(n_metrics < METRICS_MAX);
			metric[n_metrics++] = strdup(name);
			PUT(now, name);
			typed = false;
			continue;
		}
		if (sscanf(p, "# TYPE %127[a-z_] gauge\n", name) == 1) {
			assert_string_equal(name, now);
			assert_false(typed);
			typed = true;
			continue;
		}
		assert_true(typed);
		assert_int_equal(sscanf(p, "%127[a-z_]{", name), 1);
		assert_string_equal(name, now);
		end = series(p);
		if (end == NULL)
			fail_msg("not a series: %s", p);
		assert_int_equal(*end, ' ');
		assert_true(n < SERIES_MAX);
		seen[n] = strndup(p, (size_t)(end - p));
		(void)strtod(end + 1, (char **)(uintptr_t)&end);
		assert_int_equal(*end, '\n');
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(seen[i], seen[n]);
		n++;
	}
	assert_int_equal(n_metrics, 8);
	while (n > 0)
		free(seen[--n]);
	while (n_metrics > 0)
		free(metric[--n_metrics]);
}

static char *prometheus(const struct check *const c[], size_t n)
{
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;

	assert_int_equal(out_prometheus(c, n, &b, &err), ST_OK);
	parse(b.data);
	return buf_take(&b);
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, text);
}

#define LABELS "{check=\"example.test\",kind=\"domain\",profile=\"rfc\""

static void test_prometheus(void **state)
{
	struct world *w = world_new();
	const struct check *c = &w->c;
	char *text;

	(void)state;
	w->c.verdict = CHECK_BLOCKED;
	w->conn[0].state = CONN_FAIL;
	spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	spoil(w, CODE_TTL_LONG, FINDING_INFO);
	text = prometheus(&c, 1);
	has(text, "danelaw_check_verdict" LABELS ",verdict=\"BLOCKED\"} 1\n");
	has(text, "danelaw_check_verdict" LABELS ",verdict=\"OK\"} 0\n");
	has(text, "danelaw_check_exit_status" LABELS "} 3\n");
	has(text, "danelaw_check_connections" LABELS ",state=\"ok\"} 15\n");
	has(text, "danelaw_check_connections" LABELS ",state=\"fail\"} 1\n");
	has(text, "danelaw_check_findings" LABELS
		  ",code=\"tlsa-mismatch\",level=\"fail\"} 2\n");
	has(text, "danelaw_check_certificate_not_after_timestamp_seconds" LABELS
		  ",host=\"mx1.example.test\",port=\"25\",key=\"ECDSA\"} "
		  "1800184000\n");
	has(text, "danelaw_check_certificate_not_after_timestamp_seconds" LABELS
		  ",host=\"mx1.example.test\",port=\"25\",key=\"RSA\"} "
		  "1800270400\n");
	has(text, "danelaw_check_rrsig_expiration_timestamp_seconds" LABELS
		  ",zone=\"example.test\"} 1795864000\n");
	has(text, "danelaw_check_duration_seconds" LABELS "} 1.234\n");
	has(text, "danelaw_check_timestamp_seconds" LABELS "} 1795000000\n");
	free(text);
	/* Without a survey the look-ups know the zone. */
	w->c.survey = NULL;
	text = prometheus(&c, 1);
	has(text, "danelaw_check_rrsig_expiration_timestamp_seconds" LABELS
		  ",zone=\"example.test\"} 1796209600\n");
	free(text);
	free(w);
}

/* The same check, the same host, a label that wants out. */
static void test_prometheus_duplicates(void **state)
{
	struct world *w[3] = { world_new(), world_new(), world_new() };
	const struct check *c[3] = { &w[0]->c, &w[1]->c, &w[2]->c };
	char *text;

	(void)state;
	w[2]->c.kind = CHECK_BY_LINEAGE;
	PUT(w[2]->c.name, "a\"} 1\nx{y=\"\\");
	w[2]->host[1] = w[2]->host[0];
	w[2]->c.n_hosts = 2;
	PUT(w[2]->host[0].bare, "m\"x\\");
	PUT(w[2]->host[1].bare, "m\"x\\");
	text = prometheus(c, 3);
	has(text, "{check=\"a\\\"} 1?x{y=\\\"\\\\\",kind=\"lineage\"");
	has(text, "host=\"m\\\"x\\\\\",port=\"25\",key=\"RSA\"} ");
	free(text);
	text = prometheus(c, 0);
	free(text);
	for (size_t i = 0; i < 3; i++)
		free(w[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nagios_ok),
		cmocka_unit_test(test_nagios_exit),
		cmocka_unit_test(test_nagios_worst),
		cmocka_unit_test(test_nagios_hostile),
		cmocka_unit_test(test_nagios_perfdata),
		cmocka_unit_test(test_prometheus),
		cmocka_unit_test(test_prometheus_duplicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
