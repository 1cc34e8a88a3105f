/*
 * The probe's loop: many endpoints at once, one thread, non-blocking sockets
 * and epoll. What happens on one connection is probe_conn.c, which job starts
 * next is probe_queue.c.
 *
 * Invariants: a job ends at its deadline whatever the peer does (silence, one
 * octet a second, no end of banner); what a turn costs depends on how many
 * connections have something to say, not on how many jobs there are.
 * (dane.md S58, L4)
 */
#include "hook/tls/probe_int.h"

#include "hook/base/clock.h"
#include "hook/tls/probe_queue.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define TOTAL_MS 30000
#define AT_ONCE 256
#define AT_ONCE_LEAST 16
#define EVENTS_MAX 128

struct loop {
	struct run run;
	struct probe_job *jobs;
	struct probe_queue *queue;
	struct conn *conn;
	/* Per connection, apart from it: walked over in each turn. */
	int64_t *until;
	size_t *idle; /* a stack of indexes */
	size_t n_conn, n_idle;
};

void run_fail_(struct run *r, enum status st)
{
	if (r->st == ST_OK)
		r->st = st;
}

void probe_job_release(struct probe_job *j)
{
	cert_chain_release(&j->chain);
	free(j->log);
	j->log = NULL;
}

static void job_reset(struct probe_job *j)
{
	probe_job_release(j);
	j->result = PROBE_NO_CONNECT;
	memset(&j->spki, 0, sizeof(j->spki));
	j->key_alg = KEY_OTHER;
	j->dane_ok = false;
	j->not_before = j->not_after = 0;
	j->dane = PROBE_DANE_NONE;
	j->n_usable = 0;
	j->matched = j->depth = -1;
	j->tls[0] = j->cipher[0] = j->local[0] = '\0';
	j->code = 0;
	j->offered = false;
	j->connect_ms = j->took_ms = 0;
	(void)snprintf(j->why, sizeof(j->why), "not tried");
}

/* A name is only used when it looks like a public one. */
static void own_name(char *ret, size_t len)
{
	char name[DIALOGUE_HELO_MAX];
	const char *p = name;

	ret[0] = '\0';
	memset(name, 0, sizeof(name));
	if (gethostname(name, sizeof(name) - 1) != 0 ||
		strchr(name, '.') == NULL)
		return;
	while (isalnum((unsigned char)*p) || *p == '-' ||
		(*p == '.' && p > name && p[-1] != '.' && p[1] != '\0'))
		p++;
	if (*p == '\0')
		(void)snprintf(ret, len, "%s", name);
}

/* ---- the loop ---- */

/* After anything that happened to a connection. */
static void settle(struct loop *l, size_t i)
{
	struct conn *c = &l->conn[i];

	l->until[i] = conn_until_(c);
	if (c->phase != IDLE)
		return;
	l->idle[l->n_idle++] = i;
	l->run.n_busy--;
	probe_queue_done(l->queue, (size_t)(c->job - l->jobs));
}

/* Starts jobs on idle connections. */
static void fill(struct loop *l)
{
	size_t job;

	while (l->n_idle > 0 && probe_queue_next(l->queue, &job)) {
		size_t i = l->idle[l->n_idle - 1];

		if (!conn_start_(&l->run, &l->conn[i], &l->jobs[job])) {
			probe_queue_put_back(l->queue, job);
			return;
		}
		l->n_idle--;
		l->run.n_busy++;
		settle(l, i);
	}
}

/* The deadlines first: a peer that always has one more octet must not outrun
 * its own. Returns how long to wait for an event. */
static int expire(struct loop *l)
{
	int64_t now = clock_mono_ms(), first = INT64_MAX;

	for (size_t i = 0; i < l->n_conn; i++) {
		if (l->until[i] <= now) {
			conn_deadline_(&l->conn[i], &l->run.lim);
			settle(l, i);
		}
		if (l->until[i] < first)
			first = l->until[i];
	}
	return first - now > 60000 ? 60000 : (int)(first - now);
}

static void turn(struct loop *l)
{
	struct epoll_event ev[EVENTS_MAX];
	struct run *r = &l->run;
	size_t was_idle = l->n_idle;
	int n, wait = expire(l);

	/* What has just become idle may start something before we sleep. */
	if (l->n_idle > was_idle)
		return;
	n = epoll_wait(r->ep, ev, EVENTS_MAX, wait);
	if (n < 0 && errno != EINTR)
		run_fail_(r, err_sys(r->err, ST_BUG, errno, "probe: epoll"));
	for (int k = 0; k < n; k++) {
		struct conn *c = ev[k].data.ptr;

		if (c->phase == IDLE)
			continue;
		conn_event_(r, c, ev[k].events);
		settle(l, (size_t)(c - l->conn));
	}
}

/* ---- the run ---- */

static int at_once_default(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur / 2 > AT_ONCE)
		return AT_ONCE;
	if (lim.rlim_cur / 2 < AT_ONCE_LEAST)
		return AT_ONCE_LEAST;
	return (int)(lim.rlim_cur / 2);
}

static void defaults(struct probe_limits *l)
{
	if (l->connect_ms <= 0)
		l->connect_ms = CONNECT_MS;
	if (l->total_ms <= 0)
		l->total_ms = TOTAL_MS;
	if (l->at_once <= 0)
		l->at_once = at_once_default();
}

static void loop_release(struct loop *l)
{
	for (size_t i = 0; l->conn != NULL && i < l->n_conn; i++) {
		conn_close_(&l->conn[i]);
		probe_log_release(&l->conn[i].log);
	}
	if (l->run.ep >= 0)
		(void)close(l->run.ep);
	probe_tls_release(&l->run.tls);
	probe_queue_free(l->queue);
	free(l->conn);
	free(l->until);
	free(l->idle);
}

static enum status loop_init(struct loop *l, size_t n, struct err *err)
{
	struct run *r = &l->run;

	l->n_conn = n < (size_t)r->lim.at_once ? n : (size_t)r->lim.at_once;
	l->conn = calloc(l->n_conn, sizeof(*l->conn));
	l->until = calloc(l->n_conn, sizeof(*l->until));
	l->idle = calloc(l->n_conn, sizeof(*l->idle));
	if (l->conn == NULL || l->until == NULL || l->idle == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < l->n_conn; i++) {
		l->conn[i].fd = -1;
		l->until[i] = INT64_MAX;
		l->idle[i] = l->n_conn - 1 - i;
	}
	l->n_idle = l->n_conn;
	r->ep = epoll_create1(EPOLL_CLOEXEC);
	if (r->ep < 0)
		return err_sys(err, ST_IO, errno, "probe: epoll");
	own_name(r->helo, sizeof(r->helo));
	return probe_queue_new(l->jobs, n, r->lim.per_address, &l->queue, err);
}

enum status probe_run(struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	struct loop l = { .run = { .st = ST_OK, .err = err, .ep = -1 },
		.jobs = jobs };
	enum status st;

	if (lim != NULL)
		l.run.lim = *lim;
	defaults(&l.run.lim);
	for (size_t i = 0; i < n; i++)
		job_reset(&jobs[i]);
	if (n == 0)
		return ST_OK;
	st = loop_init(&l, n, err);
	while (st == ST_OK) {
		fill(&l);
		st = l.run.st;
		if (l.run.n_busy == 0 && probe_queue_empty(l.queue))
			break;
		turn(&l);
	}
	loop_release(&l);
	return st;
}
