/* check as JSON: read back, and by path. */
#include "tests/unit/out_fixture.h"

#include <jansson.h>

static const struct out_options plain = { .colour = false };
static const struct out_options verbose = { .verbose = true };

static json_t *json_of(const struct world *w, const struct memo *m,
	const struct out_options *opt)
{
	const struct check *c = &w->c;
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	json_error_t why;
	json_t *j;

	assert_int_equal(out_json(&c, 1, m, opt, &b, &err), ST_OK);
	for (size_t i = 0; i < b.len; i++)
		assert_true(b.data[i] == '\n' ||
			    (b.data[i] >= 0x20 && b.data[i] <= 0x7e));
	/* Sorted, so that two runs can be compared. */
	assert_true(strstr(b.data, "\n  \"checks\"") <
		    strstr(b.data, "\n  \"version\""));
	j = json_loads(b.data, JSON_REJECT_DUPLICATES, &why);
	if (j == NULL)
		fail_msg("%s in:\n%s", why.text, b.data);
	buf_release(&b);
	return j;
}

/* "0.hosts.1.name" below checks. */
static json_t *at(json_t *j, const char *path)
{
	char step[64];

	j = json_object_get(j, "checks");
	for (size_t len; *path != '\0'; path += len + (path[len] != '\0')) {
		len = strcspn(path, ".");
		assert_true(len < sizeof(step));
		(void)snprintf(step, sizeof(step), "%.*s", (int)len, path);
		j = json_is_array(j)
			    ? json_array_get(j, strtoul(step, NULL, 10))
			    : json_object_get(j, step);
		if (j == NULL)
			fail_msg("no %s", path);
	}
	return j;
}

static void is(json_t *j, const char *path, const char *want)
{
	const char *got = json_string_value(at(j, path));

	if (got == NULL || strcmp(got, want) != 0)
		fail_msg("%s: %s, not %s", path, got != NULL ? got : "(none)",
			want);
}

static void test_json(void **state)
{
	struct world *w = world_new();
	struct finding *f = spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	json_t *j;

	(void)state;
	PUT(f->reproduce, "openssl s_client");
	f->host = 0;
	w->c.verdict = CHECK_DEGRADED;
	w->aaaa.havedata = false;
	w->conn[0].state = CONN_FAIL;
	w->conn[0].code = CODE_TLSA_MISMATCH;
	w->conn[1].job.result = PROBE_TIMEOUT;
	w->record[0].role = "current";
	j = json_of(w, NULL, &plain);
	assert_int_equal(json_integer_value(json_object_get(j, "version")), 1);
	assert_null(json_object_get(j, "queries"));
	is(j, "0.name", "example.test");
	is(j, "0.kind", "domain");
	is(j, "0.verdict", "DEGRADED");
	assert_int_equal(json_integer_value(at(j, "0.exit")), 1);
	assert_int_equal(json_integer_value(at(j, "0.port")), 25);
	is(j, "0.time", "2026-11-18T11:06:40Z");
	is(j, "0.lookups.mx.security", "secure");
	is(j, "0.lookups.mx.presence", "data");
	is(j, "0.lookups.mx.records.0", "10 mx1.example.test.");
	is(j, "0.lookups.mx.rrsig.expiration", "2026-12-02T11:06:40Z");
	assert_true(json_is_null(at(j, "0.lookups.tlsrpt")));
	is(j, "0.hosts.0.lookups.a.records.0", "192.0.2.1");
	is(j, "0.hosts.0.lookups.aaaa.presence", "nodata");
	is(j, "0.hosts.0.lookups.aaaa.security", "secure");
	is(j, "0.hosts.0.dane", "tlsa");
	is(j, "0.hosts.0.records.0.role", "current");
	assert_true(json_is_true(at(j, "0.hosts.0.records.0.matches")));
	assert_true(json_is_null(at(j, "0.hosts.0.records.1.depth")));
	is(j, "0.hosts.0.records.1.data",
		"646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f"
		"363d");
	is(j, "0.hosts.0.connections.0.state", "fail");
	is(j, "0.hosts.0.connections.0.code", "tlsa-mismatch");
	is(j, "0.hosts.0.connections.0.exchange",
		check_code_info(CODE_TLSA_MISMATCH)->exchange);
	is(j, "0.hosts.0.connections.0.not_after", "2027-01-17T11:06:40Z");
	is(j, "0.hosts.0.connections.0.chain.0.subject", "CN=mx1.example.test");
	assert_true(
		json_is_true(at(j, "0.hosts.0.connections.0.chain.0.matched")));
	assert_true(json_is_false(
		at(j, "0.hosts.0.connections.0.chain.1.matched")));
	assert_true(json_is_null(at(j, "0.hosts.0.connections.1.dane")));
	assert_true(json_is_false(at(j, "0.hosts.0.connections.4.sni")));
	assert_int_equal(json_array_size(at(j, "0.hosts.0.connections")), 16);
	is(j, "0.zones.0.name", "example.test");
	assert_int_equal(json_array_size(at(j, "0.zones.0.servers")), 3);
	is(j, "0.zones.0.servers.2.address", "198.51.100.53");
	assert_int_equal(
		json_array_size(at(j, "0.zones.0.servers.2.answers")), 4);
	is(j, "0.zones.0.servers.2.answers.1.type", "SOA");
	assert_int_equal(json_integer_value(
				 at(j, "0.zones.0.servers.2.answers.1.serial")),
		12);
	is(j, "0.findings.0.code", "tlsa-mismatch");
	is(j, "0.findings.0.reproduce", "openssl s_client");
	json_decref(j);
	free(w);
}

static void test_json_untrusted(void **state)
{
	struct world *w = world_new();
	json_t *j;

	(void)state;
	w->mx.security = DNS_BOGUS;
	w->a.security = DNS_FAILED;
	w->a.havedata = false;
	w->a.nxdomain = true;
	w->tlsa.security = DNS_INSECURE;
	w->tlsa.havedata = false;
	w->tlsa.nxdomain = true;
	w->tlsa.expiration = 0;
	w->c.port = 0;
	w->c.kind = CHECK_BY_LINEAGE;
	w->c.survey = NULL;
	j = json_of(w, NULL, &verbose);
	is(j, "0.lookups.mx.security", "bogus");
	assert_true(json_is_null(at(j, "0.lookups.mx.presence")));
	is(j, "0.hosts.0.lookups.a.security", "failed");
	assert_true(json_is_null(at(j, "0.hosts.0.lookups.a.presence")));
	is(j, "0.hosts.0.lookups.tlsa.security", "insecure");
	is(j, "0.hosts.0.lookups.tlsa.presence", "nxdomain");
	assert_true(json_is_null(at(j, "0.hosts.0.lookups.tlsa.rrsig")));
	assert_true(json_is_null(at(j, "0.port")));
	assert_int_equal(json_array_size(at(j, "0.zones")), 0);
	assert_true(json_is_array(json_object_get(j, "queries")));
	json_decref(j);
	free(w);
}

static void test_json_hostile(void **state)
{
	struct world *w = world_new();
	uint8_t txt[] = { 5, '"', '\\', 0xff, '\n', 0, 200, 'x' };
	struct rdata rr = { txt, sizeof(txt) };
	char odd[256];
	json_t *j;

	(void)state;
	for (int i = 0; i < 255; i++)
		odd[i] = (char)(i + 1);
	odd[255] = '\0';
	memcpy(w->mx.why, odd, sizeof(w->mx.why));
	memcpy(w->host[0].why, odd, 256);
	memcpy(w->cert[0].issuer, odd, 256);
	memcpy(w->c.name, odd, 256);
	memcpy(w->host[0].bare, odd, 256);
	memcpy(spoil(w, CODE_CONNECT, FINDING_FAIL)->text, odd, 256);
	look(&w->tlsrpt, "_smtp._tls.example.test.", RRTYPE_TXT, &rr, txt,
		sizeof(txt));
	w->c.tlsrpt = &w->tlsrpt;
	w->cert[0].not_after = INT64_MAX;
	w->cert[0].not_before = INT64_MIN;
	w->rr_mx.len = 2;
	w->rr_a.len = 0;
	j = json_of(w, NULL, &plain);
	is(j, "0.lookups.tlsrpt.records.0", "\"\\\"\\\\???\" \"x\"");
	is(j, "0.lookups.mx.records.0", "\\# 2 000a");
	is(j, "0.hosts.0.connections.0.chain.0.not_after",
		"9999-12-31T23:59:59Z");
	json_decref(j);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_untrusted),
		cmocka_unit_test(test_json_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
