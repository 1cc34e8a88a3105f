/* Shared by probe.c (the loop), probe_conn.c (one connection) and
 * probe_shake.c (its TLS handshake); nobody else. */
#ifndef DANELAW_TLS_PROBE_INT_H
#define DANELAW_TLS_PROBE_INT_H

#include "hook/tls/probe_dialogue.h"
#include "hook/tls/probe_log.h"
#include "hook/tls/probe_tls.h"

/* More than this in the handshake, or after it, ends the connection. */
#define PROBE_OCTETS_MAX (256 * 1024)

enum phase { IDLE, CONNECT, DIALOGUE, HANDSHAKE, LINGER };

/* A refused handshake is looked at again with less asked for, to learn what
 * was refused: each look is a new connection. */
enum look {
	LOOK_FIRST,   /* as the job says */
	LOOK_ALG,     /* any algorithm: does TLS work there at all? */
	LOOK_VERSION, /* any version too */
	LOOK_SURE     /* as the job says once more: that it closed the first
			 connection may have been an accident */
};

struct conn {
	enum phase phase;
	enum look look;
	struct probe_job *job;
	int fd;
	uint32_t events, armed; /* wanted, and what epoll was told */
	int64_t start, connect_until, until;
	SSL *ssl;
	size_t got; /* octets since the handshake began */
	struct probe_log log;
	char first_failure[96];    /* what the first look met */
	bool closed;               /* some look ended without a word */
	enum probe_result pending; /* LOOK_SURE: unless it is served now */
	struct dialogue dlg;
};

struct run {
	struct probe_limits lim;
	struct probe_tls tls;
	char helo[DIALOGUE_HELO_MAX]; /* "" = address literal */
	int ep;
	size_t n_busy;
	enum status st; /* memory and bugs only */
	struct err *err;
};

/* A failure of ours, not of an endpoint: the whole run ends. */
void run_fail_(struct run *r, enum status st);

/* probe_conn.c. A connection that is over is IDLE again, and its job done. */

/* False: no descriptor to be had now; try when another connection is over. */
bool conn_start_(struct run *r, struct conn *c, struct probe_job *job);
void conn_event_(struct run *r, struct conn *c, uint32_t events);
/* c is past conn_until_(c). */
void conn_deadline_(struct conn *c, const struct probe_limits *lim);
int64_t conn_until_(const struct conn *c);
void conn_close_(struct conn *c);

/* For probe_shake.c. */
void conn_done_(struct conn *c, enum probe_result r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void conn_done_errno_(
	struct conn *c, enum probe_result r, const char *what, int e);
/* The job's result is known, whatever becomes of the connection. */
void conn_result_(struct conn *c, enum probe_result r);
/* Connects again, for the same job. */
void conn_again_(struct run *r, struct conn *c, enum look look);
/* >0 octets read, 0 nothing now, -1 it is over, *ret_errno says how (0: closed
 * by the peer). */
ssize_t conn_recv_(struct conn *c, char *ret, size_t len, int *ret_errno);

/* probe_shake.c */
void shake_begin_(struct run *r, struct conn *c);
void shake_event_(struct run *r, struct conn *c, uint32_t events);

#endif
