/*
 * Which job of a probe run starts next: the limit per address, turns, and that
 * many jobs at one address cost no more each than a few.
 */
#include "hook/tls/probe_queue.h"

#include "hook/base/clock.h"

#include "slow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct probe_job at(const char *addr, uint16_t port)
{
	struct probe_job j = { .host = "x" };
	struct sockaddr_in *a4 = (void *)&j.addr;
	struct sockaddr_in6 *a6 = (void *)&j.addr;

	if (inet_pton(AF_INET, addr, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(port);
		j.addr_len = sizeof(*a4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, addr, &a6->sin6_addr), 1);
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(port);
		j.addr_len = sizeof(*a6);
	}
	return j;
}

static struct probe_queue *queue(
	const struct probe_job *jobs, size_t n, int per_address)
{
	struct probe_queue *q = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(
		probe_queue_new(jobs, n, per_address, &q, &err), ST_OK);
	return q;
}

static void limit_is_per_address_and_port(void **state)
{
	struct probe_job j[] = { at("192.0.2.1", 25), at("192.0.2.1", 25),
		at("192.0.2.1", 465), at("2001:db8::1", 25),
		at("2001:db8::1", 25), at("192.0.2.1", 25) };
	struct probe_queue *q;
	bool seen[6] = { false };
	size_t k = 99, first = 99;

	(void)state;
	/* what is no part of the address does not count */
	((struct sockaddr_in *)(void *)&j[1].addr)->sin_zero[0] = 7;
	q = queue(j, 6, 1);
	for (int i = 0; i < 3; i++) {
		assert_true(probe_queue_next(q, &k));
		assert_false(seen[k]);
		seen[k] = true;
	}
	/* one of each place, and in the order given */
	assert_true(seen[0] && seen[2] && seen[3]);
	assert_false(probe_queue_next(q, &k));
	assert_false(probe_queue_empty(q));
	probe_queue_done(q, 2); /* nothing waits there */
	assert_false(probe_queue_next(q, &k));
	probe_queue_done(q, 0);
	assert_true(probe_queue_next(q, &first));
	assert_int_equal(first, 1);
	assert_false(probe_queue_next(q, &k));
	/* could not start: the same again */
	probe_queue_put_back(q, first);
	assert_true(probe_queue_next(q, &k));
	assert_int_equal(k, first);
	probe_queue_done(q, 1);
	probe_queue_done(q, 3);
	assert_true(probe_queue_next(q, &k));
	assert_true(probe_queue_next(q, &k));
	assert_false(probe_queue_next(q, &k));
	assert_true(probe_queue_empty(q));
	probe_queue_free(q);
}

static void addresses_take_turns(void **state)
{
	struct probe_job j[] = { at("192.0.2.1", 25), at("192.0.2.1", 25),
		at("192.0.2.1", 25), at("192.0.2.2", 25) };
	struct probe_queue *q = queue(j, 4, 0);
	size_t k[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_true(probe_queue_next(q, &k[i]));
	assert_true(k[0] == 3 || k[1] == 3);
	assert_false(probe_queue_next(q, &k[0]));
	probe_queue_free(q);
	q = queue(j, 0, 0);
	assert_false(probe_queue_next(q, &k[0]));
	assert_true(probe_queue_empty(q));
	probe_queue_free(q);
}

static void cost_does_not_grow(void **state)
{
	enum { N = 100000 };
	struct probe_job *j = calloc(N, sizeof(*j));
	struct probe_queue *q;
	int64_t start = clock_mono_ms();
	size_t k = 0, n = 0;

	(void)state;
	assert_non_null(j);
	for (int i = 0; i < N; i++)
		j[i] = at(i % 10 == 0 ? "192.0.2.2" : "192.0.2.1", 25);
	q = queue(j, N, 2);
	while (probe_queue_next(q, &k)) {
		probe_queue_done(q, k);
		n++;
	}
	assert_int_equal(n, N);
	assert_true(clock_mono_ms() - start < (int64_t)slow(5000));
	probe_queue_free(q);
	free(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_is_per_address_and_port),
		cmocka_unit_test(addresses_take_turns),
		cmocka_unit_test(cost_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
