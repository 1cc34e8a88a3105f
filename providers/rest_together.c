/*
 * Jobs side by side over one curl_multi. A job is a thread, so that a vendor's
 * code can be written as one call after another; but threads are used as
 * coroutines only: the turn is handed over explicitly, and at any instant
 * either the caller of rest_together (which drives curl) or exactly one job
 * runs. So nothing of this needs a lock beyond the one that hands the turn
 * over, and a job may fork: nobody else is inside malloc.
 */
#include "providers/rest.h"
#include "providers/rest_curl.h"

#include "hook/base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define PARALLEL_MAX 32
#define POLL_MS 1000

enum job_state { JOB_READY, JOB_IO, JOB_PAUSE, JOB_DONE };

struct job {
	struct crew *crew;
	pthread_t thread;
	pthread_cond_t go;
	enum job_state state;
	CURL *easy; /* JOB_IO */
	CURLcode rc;
	int64_t wake_ms; /* JOB_PAUSE */
};

struct crew {
	pthread_mutex_t m;
	pthread_cond_t back;
	struct job *turn; /* who runs; NULL: the caller */
	CURLM *multi;
	struct job job[PARALLEL_MAX];
	size_t n_jobs;
	size_t next, n; /* indices to be given out */
	void (*fn)(void *arg, size_t i);
	void *arg;
};

static __thread struct job *self;

bool rest_in_company(void)
{
	return self != NULL;
}

/* A job gives the turn back and waits for it again. */
static void give_way(struct job *j)
{
	struct crew *c = j->crew;

	(void)pthread_mutex_lock(&c->m);
	c->turn = NULL;
	(void)pthread_cond_signal(&c->back);
	while (c->turn != j)
		(void)pthread_cond_wait(&j->go, &c->m);
	(void)pthread_mutex_unlock(&c->m);
}

/* The caller lets one job run until it waits for something. */
static void let_run(struct crew *c, struct job *j)
{
	(void)pthread_mutex_lock(&c->m);
	c->turn = j;
	(void)pthread_cond_signal(&j->go);
	while (c->turn != NULL)
		(void)pthread_cond_wait(&c->back, &c->m);
	(void)pthread_mutex_unlock(&c->m);
}

CURLcode rest_perform(CURL *easy)
{
	struct job *j = self;

	if (j == NULL)
		return curl_easy_perform(easy);
	if (curl_multi_add_handle(j->crew->multi, easy) != CURLM_OK)
		return CURLE_FAILED_INIT;
	j->easy = easy;
	j->state = JOB_IO;
	give_way(j);
	return j->rc;
}

void rest_sleep(int64_t ms)
{
	struct job *j = self;

	if (j == NULL) {
		struct timespec t = { .tv_sec = ms / 1000,
			.tv_nsec = ms % 1000 * 1000000 };

		while (nanosleep(&t, &t) != 0)
			continue;
		return;
	}
	j->wake_ms = clock_mono_ms() + ms;
	j->state = JOB_PAUSE;
	give_way(j);
}

static void *work(void *arg)
{
	struct job *j = arg;
	struct crew *c = j->crew;

	self = j;
	(void)pthread_mutex_lock(&c->m);
	while (c->turn != j)
		(void)pthread_cond_wait(&j->go, &c->m);
	(void)pthread_mutex_unlock(&c->m);
	while (c->next < c->n)
		c->fn(c->arg, c->next++);
	(void)pthread_mutex_lock(&c->m);
	j->state = JOB_DONE;
	c->turn = NULL;
	(void)pthread_cond_signal(&c->back);
	(void)pthread_mutex_unlock(&c->m);
	return NULL;
}

/* Transfers that ended make their jobs ready. */
static void collect(struct crew *c)
{
	struct CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
		CURL *easy = m->easy_handle;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_multi_remove_handle(c->multi, easy);
		for (size_t i = 0; i < c->n_jobs; i++) {
			struct job *j = &c->job[i];

			if (j->state == JOB_IO && j->easy == easy) {
				j->rc = rc;
				j->state = JOB_READY;
			}
		}
	}
}

/* curl itself failed: nobody may wait for ever. */
static void fail_transfers(struct crew *c)
{
	for (size_t i = 0; i < c->n_jobs; i++) {
		struct job *j = &c->job[i];

		if (j->state != JOB_IO)
			continue;
		(void)curl_multi_remove_handle(c->multi, j->easy);
		j->rc = CURLE_FAILED_INIT;
		j->state = JOB_READY;
	}
}

/* Drives the transfers until some job can go on. */
static void wait_for_any(struct crew *c)
{
	int64_t now = clock_mono_ms(), timeout = POLL_MS;
	bool ready = false;
	int running;

	if (curl_multi_perform(c->multi, &running) != CURLM_OK)
		fail_transfers(c);
	collect(c);
	for (size_t i = 0; i < c->n_jobs; i++) {
		struct job *j = &c->job[i];

		if (j->state == JOB_PAUSE && j->wake_ms <= now)
			j->state = JOB_READY;
		else if (j->state == JOB_PAUSE && j->wake_ms - now < timeout)
			timeout = j->wake_ms - now;
		ready |= j->state == JOB_READY;
	}
	if (!ready && curl_multi_poll(c->multi, NULL, 0, (int)timeout, NULL) !=
			      CURLM_OK)
		fail_transfers(c);
}

static void drive(struct crew *c)
{
	for (;;) {
		bool ran = false, all_done = true;

		for (size_t i = 0; i < c->n_jobs; i++) {
			if (c->job[i].state == JOB_READY) {
				let_run(c, &c->job[i]);
				ran = true;
			}
			all_done &= c->job[i].state == JOB_DONE;
		}
		if (all_done)
			return;
		if (!ran)
			wait_for_any(c);
	}
}

/* As many as can be had. */
static void hire(struct crew *c, size_t want)
{
	sigset_t all, old;

	/* Signals are the caller's business. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	while (c->n_jobs < want) {
		struct job *j = &c->job[c->n_jobs];

		j->crew = c;
		(void)pthread_cond_init(&j->go, NULL);
		if (pthread_create(&j->thread, NULL, work, j) != 0) {
			(void)pthread_cond_destroy(&j->go);
			break;
		}
		c->n_jobs++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void rest_together(
	size_t n, unsigned parallel, void (*fn)(void *arg, size_t i), void *arg)
{
	struct crew *c = NULL;
	size_t want = parallel < n ? parallel : n;

	if (want > PARALLEL_MAX)
		want = PARALLEL_MAX;
	if (want > 1 && self == NULL)
		c = calloc(1, sizeof(*c));
	if (c != NULL)
		c->multi = curl_multi_init();
	if (c != NULL && c->multi != NULL) {
		(void)pthread_mutex_init(&c->m, NULL);
		(void)pthread_cond_init(&c->back, NULL);
		c->n = n;
		c->fn = fn;
		c->arg = arg;
		hire(c, want);
		drive(c);
		for (size_t i = 0; i < c->n_jobs; i++) {
			(void)pthread_join(c->job[i].thread, NULL);
			(void)pthread_cond_destroy(&c->job[i].go);
		}
		(void)pthread_cond_destroy(&c->back);
		(void)pthread_mutex_destroy(&c->m);
	}
	/* Nobody to be had, or alone anyway: one after the other. */
	for (size_t i = c != NULL ? c->next : 0; i < n; i++)
		fn(arg, i);
	if (c != NULL)
		(void)curl_multi_cleanup(c->multi);
	free(c);
}
