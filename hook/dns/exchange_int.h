/* What exchange.c and exchange_tcp.c share; nobody else includes it. */
#ifndef DANELAW_DNS_EXCHANGE_INT_H
#define DANELAW_DNS_EXCHANGE_INT_H

#include "hook/dns/exchange.h"

#define TCP_TRIES_MAX 2

struct timers;

/* What epoll and the timers point to: first member of query and conn. */
struct item {
	bool is_conn;
	int fd;
	int64_t at;
	struct item *prev, *next;
	struct timers *in;
};

/* All items of one list wait equally long, so the list is always sorted and
 * every step is O(1). */
struct timers {
	struct item *head, *tail;
	int64_t span_ms;
};

struct query {
	struct item it; /* by UDP only */
	struct query *next;
	struct query *all_prev, *all_next;
	struct server *server;
	const struct codec_name *qname;
	size_t tag;
	uint16_t qtype, id;
	uint8_t tries, tcp_tries;
	enum exchange_transport via;
	int64_t sent_ms; /* 0: not yet */
	bool must_tcp;   /* truncated, or UDP has given up */
	bool truncated;
	bool garbage;
	int errnum;
};

struct queue {
	struct query *head, *tail;
	size_t n;
};

struct conn {
	struct item it;
	struct conn *next; /* of the server, later of the dead */
	struct server *server;
	bool connected, closed, writing;
	uint16_t mask; /* a query's ID is its slot, xor this */
	struct query **slot;
	size_t n, cap;   /* of slot */
	size_t sent;     /* slots already put into out */
	size_t answered; /* slots */
	size_t left;     /* n - answered */
	size_t octets;   /* of the answers */
	uint8_t out[4096];
	size_t out_len, out_pos;
	uint8_t *in;
	size_t in_len, in_cap;
};

/* One address and port. */
struct server {
	struct server *hash_next, *ready_next;
	const struct dns_addr *addr;
	bool ready, started, many, no_route;
	bool heard; /* anything that fits, ever */
	struct queue fresh, udp, tcp;
	size_t n_auto; /* before it was started */
	size_t n_udp, window;
	int64_t halved_ms;
	struct conn *conns;
	size_t n_conns, max_conns, n_tcp; /* n_tcp: queries in conns */
	size_t per_conn;                  /* queries on one connection */
	bool tcp_ok, tcp_dead;
	int tcp_errnum; /* of the last connection that failed */
	unsigned int tcp_fail, tcp_poor;
};

struct exchange {
	struct exchange_limits lim;
	exchange_done done;
	void *ctx;
	int epfd;
	size_t n_fds, max_fds;
	size_t n_left;
	struct query *all;
	struct server **hash;
	size_t hash_size, n_servers;
	struct server *ready_head, *ready_tail;
	struct timers udp, back, tcp;
	struct conn *dead;
	enum status st; /* why the run must end */
	struct err *err;
	uint8_t random[256];
	size_t random_left;
	struct codec_msg msg;
	uint8_t datagram[65536];
};

/* exchange.c */
void exchange_fail(struct exchange *x, enum status st);
uint16_t exchange_random(struct exchange *x);
void exchange_ready(struct exchange *x, struct server *s);
void exchange_push(struct queue *q, struct query *query);
struct query *exchange_pop(struct queue *q);
void exchange_arm(struct timers *t, struct item *it);
void exchange_disarm(struct item *it);
/* Hands the reply to the caller; the query is gone after it. */
void exchange_finish(struct exchange *x, struct query *q,
	enum exchange_outcome outcome, bool tcp);
/* Neither transport has brought an answer. */
void exchange_give_up(struct exchange *x, struct query *q);
/* To TCP, or the end if that is hopeless. */
void exchange_to_tcp(struct exchange *x, struct query *q);
/* Out of descriptors: true when we can wait for one of ours. */
bool exchange_out_of_fds(struct exchange *x);

/* exchange_tcp.c */
/* Sends what waits for TCP. True: something was launched. */
bool conn_launch(struct exchange *x, struct server *s);
void conn_event(struct exchange *x, struct conn *c, uint32_t events);
void conn_stalled(struct exchange *x, struct conn *c);
void conn_free(struct conn *c);

#endif
