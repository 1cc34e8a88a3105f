/*
 * The order of a probe run. Jobs with one address and port are a group; groups
 * that may start something stand in a ring-like list (ready), each gives one
 * job and goes to its end, so a thousand jobs for one address never hold up
 * another address.
 *
 * Invariants: a group is in the list exactly when it has jobs left and fewer
 * than the limit under way; within a group jobs start in the caller's order.
 */
#include "hook/tls/probe_queue.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

struct group {
	size_t next, end; /* of probe_queue.order: not started yet */
	size_t after;     /* in the list; NONE: last */
	int active;
	bool ready; /* in the list */
};

struct probe_queue {
	size_t *order; /* jobs, sorted by address, then as given */
	size_t *group_of;
	struct group *group;
	size_t first, last; /* of the list */
	size_t n_waiting;
	int limit;
};

static int cmp_number(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

/* Only what makes an address: the rest of a sockaddr may hold anything. */
static int cmp_addr(const struct probe_job *a, const struct probe_job *b)
{
	const struct sockaddr_in *a4 = (const void *)&a->addr;
	const struct sockaddr_in *b4 = (const void *)&b->addr;
	const struct sockaddr_in6 *a6 = (const void *)&a->addr;
	const struct sockaddr_in6 *b6 = (const void *)&b->addr;
	int c = cmp_number(a->addr.ss_family, b->addr.ss_family);

	if (c == 0 && a->addr.ss_family == AF_INET6) {
		c = memcmp(&a6->sin6_addr, &b6->sin6_addr, 16);
		if (c == 0)
			c = cmp_number(a6->sin6_scope_id, b6->sin6_scope_id);
	} else if (c == 0) {
		c = memcmp(&a4->sin_addr, &b4->sin_addr, 4);
	}
	/* At the same place in both. */
	return c != 0 ? c : cmp_number(a4->sin_port, b4->sin_port);
}

static int cmp_jobs(const void *pa, const void *pb, void *arg)
{
	const struct probe_job *jobs = arg;
	size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
	int c = cmp_addr(&jobs[a], &jobs[b]);

	return c != 0 ? c : (a > b) - (a < b);
}

static void append_if_ready(struct probe_queue *q, size_t g)
{
	struct group *gr = &q->group[g];

	if (gr->ready || gr->next == gr->end ||
		(q->limit > 0 && gr->active >= q->limit))
		return;
	gr->ready = true;
	gr->after = NONE;
	if (q->first == NONE)
		q->first = g;
	else
		q->group[q->last].after = g;
	q->last = g;
}

enum status probe_queue_new(const struct probe_job *jobs, size_t n,
	int per_address, struct probe_queue **ret, struct err *err)
{
	struct probe_queue *q = calloc(1, sizeof(*q));
	size_t n_groups = 0;

	if (q != NULL) {
		q->order = calloc(n + 1, sizeof(*q->order));
		q->group_of = calloc(n + 1, sizeof(*q->group_of));
		q->group = calloc(n + 1, sizeof(*q->group));
	}
	if (q == NULL || q->order == NULL || q->group_of == NULL ||
		q->group == NULL) {
		probe_queue_free(q);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	q->limit = per_address;
	q->n_waiting = n;
	q->first = q->last = NONE;
	for (size_t i = 0; i < n; i++)
		q->order[i] = i;
	qsort_r(q->order, n, sizeof(*q->order), cmp_jobs, (void *)jobs);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || cmp_addr(&jobs[q->order[i - 1]],
				      &jobs[q->order[i]]) != 0)
			q->group[n_groups++].next = i;
		q->group[n_groups - 1].end = i + 1;
		q->group_of[q->order[i]] = n_groups - 1;
	}
	for (size_t g = 0; g < n_groups; g++)
		append_if_ready(q, g);
	*ret = q;
	return ST_OK;
}

void probe_queue_free(struct probe_queue *q)
{
	if (q == NULL)
		return;
	free(q->order);
	free(q->group_of);
	free(q->group);
	free(q);
}

bool probe_queue_next(struct probe_queue *q, size_t *ret_job)
{
	size_t g = q->first;
	struct group *gr;

	if (g == NONE)
		return false;
	gr = &q->group[g];
	q->first = gr->after;
	gr->ready = false;
	*ret_job = q->order[gr->next++];
	gr->active++;
	q->n_waiting--;
	append_if_ready(q, g);
	return true;
}

void probe_queue_put_back(struct probe_queue *q, size_t job)
{
	size_t g = q->group_of[job];

	q->group[g].next--;
	q->n_waiting++;
	probe_queue_done(q, job);
}

void probe_queue_done(struct probe_queue *q, size_t job)
{
	size_t g = q->group_of[job];

	q->group[g].active--;
	append_if_ready(q, g);
}

bool probe_queue_empty(const struct probe_queue *q)
{
	return q->n_waiting == 0;
}
