/*
 * Which job of a probe run starts next: in turn by address and port, never more
 * than so many at one of them at once. Each step costs the same however many
 * jobs wait. Inside hook/tls only.
 */
#ifndef DANELAW_TLS_PROBE_QUEUE_H
#define DANELAW_TLS_PROBE_QUEUE_H

#include "hook/tls/probe.h"

struct probe_queue;

/* per_address: 0 = no limit. jobs is borrowed for the call; ret is owned. */
enum status probe_queue_new(const struct probe_job *jobs, size_t n,
	int per_address, struct probe_queue **ret, struct err *err);
void probe_queue_free(struct probe_queue *q);

/* Takes a job that may start now; false: none, until one is done. */
bool probe_queue_next(struct probe_queue *q, size_t *ret_job);
/* The job just taken could not start: it is the next of its address again. */
void probe_queue_put_back(struct probe_queue *q, size_t job);
/* Its connection is closed. */
void probe_queue_done(struct probe_queue *q, size_t job);
/* No job waits any more. */
bool probe_queue_empty(const struct probe_queue *q);

#endif
