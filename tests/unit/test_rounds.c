/* Whom a check talks to, in how many ways, and when it stops waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/check/check.h"

#include <arpa/inet.h>

/* ---- instead of the library's ---- */

static enum probe_result outcome;
static bool offered;
static int jobs_run, rounds;
static char asked[64][INET6_ADDRSTRLEN];

void probe_job_release(struct probe_job *j)
{
	(void)j;
}

enum status probe_run(struct probe_job *job, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	(void)lim;
	(void)err;
	rounds++;
	for (size_t i = 0; i < n; i++) {
		const struct sockaddr_in *v4 = (const void *)&job[i].addr;
		const struct sockaddr_in6 *v6 = (const void *)&job[i].addr;

		assert_true(jobs_run < 64);
		if (job[i].addr.ss_family == AF_INET)
			(void)inet_ntop(AF_INET, &v4->sin_addr, asked[jobs_run],
				INET6_ADDRSTRLEN);
		else
			(void)inet_ntop(AF_INET6, &v6->sin6_addr,
				asked[jobs_run], INET6_ADDRSTRLEN);
		jobs_run++;
		job[i].result = outcome;
		job[i].offered = offered;
	}
	return ST_OK;
}

/* ---- the tests ---- */

static struct check c;
static struct check_host host;
static struct lookup a, aaaa;
static struct check_options opt;

static void add(const char *text)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	struct lookup *l = family == AF_INET ? &a : &aaaa;
	size_t len = family == AF_INET ? 4 : 16;

	if (l->rr == NULL)
		l->rr = calloc(16, sizeof(*l->rr));
	assert_true(l->rr != NULL && l->n < 16);
	l->rr[l->n].data = malloc(len);
	l->rr[l->n].len = len;
	assert_int_equal(inet_pton(family, text, l->rr[l->n].data), 1);
	l->n++;
}

static int begin(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	memset(&host, 0, sizeof(host));
	memset(&a, 0, sizeof(a));
	memset(&aaaa, 0, sizeof(aaaa));
	memset(&opt, 0, sizeof(opt));
	jobs_run = rounds = 0;
	outcome = PROBE_SERVED;
	offered = false;
	c.kind = CHECK_BY_DOMAIN;
	c.host = &host;
	c.n_hosts = 1;
	host.a = &a;
	host.aaaa = &aaaa;
	host.port = 25;
	host.proto = PROTO_SMTP;
	(void)snprintf(host.base_bare, sizeof(host.base_bare), "mx.test");
	return 0;
}

static int end(void **state)
{
	(void)state;
	lookup_release(&a);
	lookup_release(&aaaa);
	free(host.conn);
	return 0;
}

static void probe(void)
{
	struct check *const checks[] = { &c };
	struct err err = ERR_INIT;

	assert_int_equal(check_probe(checks, 1, &opt, &err), ST_OK);
}

static bool was_asked(const char *text)
{
	for (int i = 0; i < jobs_run; i++)
		if (strcmp(asked[i], text) == 0)
			return true;
	return false;
}

/* A stranger's zone may say what it wants. */
static void test_ourselves(void **state)
{
	static const char *const self[] = { "127.0.0.1", "127.9.9.9", "0.0.0.0",
		"0.1.2.3", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0" };

	(void)state;
	for (size_t i = 0; i < 8; i++)
		add(self[i]);
	add("192.0.2.1");
	add("2001:db8::1");
	opt.quick = true;
	probe();
	assert_int_equal(jobs_run, 2);
	assert_true(was_asked("192.0.2.1") && was_asked("2001:db8::1"));
	for (size_t i = 0; i < host.n_conns; i++)
		assert_int_equal(host.conn[i].job.result == PROBE_SERVED,
			host.conn[i].job.why[0] == '\0');
	/* the operator's own host may be asked for by its name */
	free(host.conn);
	host.conn = NULL;
	host.n_conns = 0;
	jobs_run = 0;
	c.kind = CHECK_BY_HOST;
	probe();
	assert_int_equal(jobs_run, 10);
}

/* Both algorithms, both versions, with and without SNI, at each address. */
static void test_all_ways(void **state)
{
	bool seen[2][2][2] = { { { false } } };

	(void)state;
	add("192.0.2.1");
	add("192.0.2.2");
	probe();
	assert_int_equal(jobs_run, 16);
	for (size_t i = 0; i < host.n_conns; i++) {
		const struct probe_job *j = &host.conn[i].job;

		if (strcmp(host.conn[i].addr, "192.0.2.2") == 0)
			seen[j->alg == PROBE_RSA][j->version == PROBE_TLS12]
			    [j->no_sni] = true;
	}
	for (int i = 0; i < 8; i++)
		assert_true(seen[i >> 2][i >> 1 & 1][i & 1]);
}

/* One connection tells that nobody is there. */
static void test_dead(void **state)
{
	static const enum probe_result dead[] = { PROBE_NO_CONNECT,
		PROBE_UNTESTABLE, PROBE_TIMEOUT };

	for (size_t i = 0; i < 3; i++) {
		(void)begin(state);
		add("192.0.2.1");
		outcome = dead[i];
		probe();
		assert_int_equal(jobs_run, 1);
		assert_int_equal(host.n_conns, 8);
		for (size_t k = 0; k < 8; k++)
			assert_int_equal(host.conn[k].job.result, dead[i]);
		if (i < 2)
			(void)end(state);
	}
}

/* In the handshake connections differ: the others are tried. */
static void test_silent_handshake(void **state)
{
	(void)state;
	add("192.0.2.1");
	outcome = PROBE_TIMEOUT;
	offered = true; /* STARTTLS was; then silence */
	probe();
	assert_int_equal(jobs_run, 8);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_ourselves), T(test_all_ways),
		T(test_dead), T(test_silent_handshake) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
