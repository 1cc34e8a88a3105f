/* Calls side by side: that they are, that only one job runs at a time, and that
 * neither a failed call nor a deadline leaves anybody waiting. */
#include "hook/base/clock.h"
#include "providers/rest.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the four that it needs */
#include <cmocka.h>

#include "tests/unit/http_fake.h"

#define JOBS 4

/* Answers nobody before all have asked. */
struct gate {
	int fd, conn[JOBS];
	size_t all;
	char url[64];
	pthread_t thread;
};

static void *serve(void *arg)
{
	static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
				    "Connection: close\r\n\r\n{}";
	struct gate *g = arg;

	for (size_t i = 0; i < g->all; i++) {
		char request[4096];

		g->conn[i] = accept(g->fd, NULL, NULL);
		if (g->conn[i] < 0)
			return NULL;
		(void)recv(g->conn[i], request, sizeof(request), 0);
	}
	for (size_t i = 0; i < g->all; i++) {
		(void)send(g->conn[i], reply, sizeof(reply) - 1, MSG_NOSIGNAL);
		(void)close(g->conn[i]);
	}
	return NULL;
}

static void gate_open(struct gate *g, size_t all)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	g->all = all;
	g->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(g->fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(g->fd, 16), 0);
	assert_int_equal(getsockname(g->fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(g->url, sizeof(g->url), "http://127.0.0.1:%u",
		ntohs(a.sin_port));
	assert_int_equal(pthread_create(&g->thread, NULL, serve, g), 0);
}

static void gate_close(struct gate *g)
{
	(void)shutdown(g->fd, SHUT_RDWR);
	(void)pthread_join(g->thread, NULL);
	(void)close(g->fd);
}

static struct rest *rest_to(const char *url, int64_t deadline_ms, int pace_ms)
{
	const struct rest_config c = { .url = url,
		.timeout_s = 5,
		.deadline_ms = deadline_ms,
		.pace_ms = pace_ms };
	struct err err = ERR_INIT;
	struct rest *r;

	assert_int_equal(rest_new(&c, &r, &err), ST_OK);
	return r;
}

struct work {
	struct rest *r;
	enum status st[16];
	struct err err[16];
	int inside; /* jobs that run right now */
	bool two_at_once;
	int64_t pause_ms[16];
	char log[200];
};

static void mark(struct work *w, char what, size_t i)
{
	size_t n = strlen(w->log);

	/* A look at the turn: with two at once this would be seen. */
	w->two_at_once |= ++w->inside != 1;
	(void)snprintf(w->log + n, sizeof(w->log) - n, "%c%zu ", what, i);
	w->inside--;
}

static void call(void *arg, size_t i)
{
	struct work *w = arg;
	json_t *answer = NULL;

	mark(w, 'a', i);
	w->st[i] = rest_call(w->r, "GET", "/x", NULL, &answer, &w->err[i]);
	mark(w, 'z', i);
	json_decref(answer);
}

/* One after the other would never get the first answer. */
static void test_side_by_side(void **state)
{
	struct work w = { .inside = 0 };
	struct gate g;

	(void)state;
	gate_open(&g, JOBS);
	w.r = rest_to(g.url, 0, 0);
	rest_together(JOBS, JOBS, call, &w);
	for (size_t i = 0; i < JOBS; i++)
		if (w.st[i])
			fail_msg("%s", w.err[i].text);
	assert_false(w.two_at_once);
	assert_memory_equal(w.log, "a0 a1 a2 a3 ", 12);
	rest_free(w.r);
	gate_close(&g);
}

static void pause_one(void *arg, size_t i)
{
	struct work *w = arg;

	mark(w, 'a', i);
	w->st[i] = rest_pause(w->r, w->pause_ms[i], &w->err[i]);
	mark(w, 'z', i);
}

static void test_pauses(void **state)
{
	struct work w = { .pause_ms = { 1500, 0, 30 } };

	(void)state;
	w.r = rest_to("http://127.0.0.1:1", 0, 0);
	rest_together(3, 3, pause_one, &w);
	assert_string_equal(w.log, "a0 a1 a2 z1 z2 z0 ");
	/* Fewer hands than jobs: each index is given out once. */
	w.log[0] = '\0';
	memset(w.pause_ms, 0, sizeof(w.pause_ms));
	rest_together(16, 2, pause_one, &w);
	for (size_t i = 0; i < 16; i++) {
		char what[8];

		(void)snprintf(what, sizeof(what), "z%zu ", i);
		assert_non_null(strstr(w.log, what));
	}
	/* Alone, in the caller itself. */
	w.log[0] = '\0';
	rest_together(2, 1, pause_one, &w);
	assert_string_equal(w.log, "a0 z0 a1 z1 ");
	rest_free(w.r);
}

static void test_refused_connections(void **state)
{
	struct work w = { .inside = 0 };

	(void)state;
	w.r = rest_to("http://127.0.0.1:1", 0, 0);
	rest_together(8, 3, call, &w);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(w.st[i], ST_RETRY);
	assert_false(w.two_at_once);
	rest_free(w.r);
}

static void test_deadline(void **state)
{
	struct work w = { .pause_ms = { 3600000 } };

	(void)state;
	w.r = rest_to("http://127.0.0.1:1", clock_mono_ms() + 1000, 0);
	rest_together(2, 2, pause_one, &w);
	assert_int_equal(w.st[0], ST_RETRY);
	assert_non_null(strstr(w.err[0].text, "danelaw run"));
	assert_int_equal(w.st[1], ST_OK);
	rest_free(w.r);
	w.r = rest_to("http://127.0.0.1:1", clock_mono_ms() - 1, 0);
	rest_together(2, 2, call, &w);
	assert_int_equal(w.st[0], ST_RETRY);
	assert_non_null(strstr(w.err[0].text, "no time is left"));
	rest_free(w.r);
}

/* The calls of all jobs together keep the pace. */
static void test_pace(void **state)
{
	struct work w = { .inside = 0 };
	int64_t begin = clock_mono_ms();

	(void)state;
	w.r = rest_to("http://127.0.0.1:1", 0, 20);
	rest_together(6, 6, call, &w);
	assert_true(clock_mono_ms() - begin >= 5 * 20);
	rest_free(w.r);
}

/* Who waited for his turn while another one was sent away does not call. */
static void test_hold_of_another(void **state)
{
	static struct http_fake f = {
		.reply = { HTTP("429 X", "Retry-After: 60\r\n", ""),
			JSON("{}") }
	};
	struct work w = { .inside = 0 };

	(void)state;
	fake_start(&f);
	w.r = rest_to(f.url, 0, 300);
	rest_together(2, 2, call, &w);
	assert_int_equal(w.st[0], ST_RETRY);
	assert_int_equal(w.st[1], ST_RETRY);
	assert_non_null(strstr(w.err[1].text, "asked to wait"));
	assert_int_equal(f.n, 1);
	rest_free(w.r);
	(void)fake_stop(&f);
}

/* What is said to one is not meant for the other. */
static void test_other_answers(void **state)
{
	static struct http_fake f = {
		.reply = { HTTP("429 X", "Retry-After: 60\r\n", ""),
			HTTP("404 X", "", "") }
	};
	struct work w = { .inside = 0 };

	(void)state;
	fake_start(&f);
	w.r = rest_to(f.url, 0, 0);
	rest_together(2, 2, call, &w);
	assert_true((w.st[0] == ST_RETRY && w.st[1] == ST_NOTFOUND) ||
		    (w.st[1] == ST_RETRY && w.st[0] == ST_NOTFOUND));
	rest_free(w.r);
	(void)fake_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_refused_connections),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_hold_of_another),
		cmocka_unit_test(test_other_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
