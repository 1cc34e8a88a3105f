/*
 * Pipelined TCP (RFC 7766 6.2.1.1). A server's waiting queries are dealt out
 * over a few connections and sent without waiting for answers, which may come
 * in any order. Some servers close after a number of queries: the unanswered
 * rest goes down a new connection. Some read only the first: after a wait
 * without an answer the rest goes by UDP. Only a reply that fits counts as
 * progress, so a connection that drips octets ends like a silent one.
 * Not all at once, though: a server whose answers pile up in its send buffer
 * must keep its place in a half-written one, and NSD 4.6.1 does not. So no more
 * answers are under way on a connection than fit the smallest such buffer.
 * Every path is bounded: a new connection follows only one that has answered
 * something, or at most once one that has not. An early end also teaches how
 * many queries the server takes: with more than that under way it would reset
 * the connection and answers would be lost.
 */
#include "hook/dns/exchange_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#define CONN_SHARE 125 /* queries that are worth a connection of their own */
#define CONN_MAX 8     /* connections to one server: BIND queues ten */
#define FLIGHT_OCTETS 24576 /* of answers under way on one connection */
#define FLIGHT_FIRST 16     /* queries, until an answer shows its size */
#define FLIGHT_MIN 4
#define CONN_GOOD 16 /* answers that made a connection worth it */
#define CONN_POOR 3  /* poor connections in a row before UDP is better */
#define IN_FIRST 16384
#define IN_MAX (2 + 65535)

void conn_free(struct conn *c)
{
	free(c->slot);
	free(c->in);
	free(c);
}

static void conn_unlink(struct conn *c)
{
	struct conn **p = &c->server->conns;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	c->server->n_conns--;
}

/* Where an unanswered query of an ended connection goes. */
static void give_back(struct exchange *x, struct query *q, bool failed)
{
	struct server *s = q->server;

	if (failed)
		q->tcp_tries++;
	if (q->must_tcp) {
		exchange_to_tcp(x, q);
		return;
	}
	exchange_push(failed || s->tcp_dead || s->tcp_poor >= CONN_POOR
			      ? &s->udp
			      : &s->tcp,
		q);
}

/* It can go nowhere but down another connection. Some servers read only the
 * first query: after one answer and then silence each gets a connection of its
 * own. All other silence is an answer. */
static void give_back_tcp(
	struct exchange *x, const struct conn *c, struct query *q, bool stalled)
{
	struct server *s = c->server;

	if (c->answered == 0 && q->errnum == 0)
		q->errnum = s->tcp_errnum;
	if (stalled && c->answered == 1)
		s->per_conn = 1;
	else if (stalled && c->connected)
		q->tcp_tries = TCP_TRIES_MAX;
	give_back(x, q, c->answered == 0);
}

static void grade(struct server *s, const struct conn *c, bool stalled)
{
	if (c->answered == 0) {
		/* Others may work: then there were just too many. */
		s->max_conns = s->n_conns > 0 ? s->n_conns : 1;
		s->tcp_fail++;
		if (!s->tcp_ok && !c->connected && s->n_conns == 0)
			s->tcp_dead = true;
		if (s->tcp_fail >= 2 && (!s->tcp_ok || s->n_conns == 0))
			s->tcp_dead = true;
		return;
	}
	s->tcp_poor = c->answered < CONN_GOOD ? s->tcp_poor + 1 : 0;
	if (!stalled && c->answered < s->per_conn)
		s->per_conn = c->answered;
}

/* stalled: nothing came for too long; else the other side has ended it. */
static void conn_end(
	struct exchange *x, struct conn *c, int errnum, bool stalled)
{
	struct server *s = c->server;
	bool failed = stalled || c->answered == 0;
	struct query *q;

	if (c->answered == 0)
		s->tcp_errnum = errnum != 0 || stalled ? errnum : ECONNRESET;
	exchange_disarm(&c->it);
	(void)close(c->it.fd);
	x->n_fds--;
	conn_unlink(c);
	c->closed = true;
	c->next = x->dead;
	x->dead = c;
	s->n_tcp -= c->left;
	if (c->left > 0)
		grade(s, c, stalled);
	for (size_t i = 0; i < c->n && x->st == ST_OK; i++) {
		q = c->slot[i];
		if (q == NULL)
			continue;
		if (errnum != 0)
			q->errnum = errnum;
		if (q->via == EXCHANGE_TCP)
			give_back_tcp(x, c, q, stalled);
		else
			give_back(x, q, failed);
	}
	if (s->tcp_dead) {
		struct queue rest = s->tcp;

		s->tcp = (struct queue){ .n = 0 };
		while ((q = exchange_pop(&rest)) != NULL && x->st == ST_OK)
			give_back(x, q, false);
	}
	exchange_ready(x, s);
}

void conn_stalled(struct exchange *x, struct conn *c)
{
	conn_end(x, c, 0, true);
}

static void watch(struct exchange *x, struct conn *c, bool writing)
{
	struct epoll_event ev = {
		.events = EPOLLIN | (writing ? EPOLLOUT : 0),
		.data.ptr = &c->it,
	};

	if (writing == c->writing)
		return;
	c->writing = writing;
	if (epoll_ctl(x->epfd, EPOLL_CTL_MOD, c->it.fd, &ev) != 0)
		exchange_fail(x, err_sys(x->err, ST_IO, errno, "epoll_ctl"));
}

/* Takes up to count waiting queries. */
static void conn_take(struct exchange *x, struct conn *c, size_t count)
{
	struct server *s = c->server;
	size_t want = c->n + count;

	if (want > s->per_conn)
		want = s->per_conn;
	if (want > c->cap) {
		size_t cap = want > 2 * c->cap ? want : 2 * c->cap;
		struct query **p = realloc(c->slot, cap * sizeof(*p));

		if (p == NULL) {
			exchange_fail(
				x, err_set(x->err, ST_NOMEM, "out of memory"));
			return;
		}
		c->slot = p;
		c->cap = cap;
	}
	while (c->n < want && s->tcp.n > 0) {
		struct query *q = exchange_pop(&s->tcp);

		if (q->sent_ms == 0)
			q->sent_ms = clock_mono_ms();
		c->slot[c->n++] = q;
		c->left++;
		s->n_tcp++;
	}
	watch(x, c, true);
}

/* NULL: out of descriptors, or the run is over, or ret_errnum says why. */
static struct conn *conn_open(
	struct exchange *x, struct server *s, int *ret_errnum)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT };
	const struct sockaddr *sa = (const struct sockaddr *)&s->addr->ss;
	int one = 1, fd;

	*ret_errnum = 0;
	if (c != NULL)
		c->in = malloc(IN_FIRST);
	if (c == NULL || c->in == NULL) {
		free(c);
		exchange_fail(x, err_set(x->err, ST_NOMEM, "out of memory"));
		return NULL;
	}
	ev.data.ptr = &c->it;
	fd = socket(s->addr->ss.ss_family,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)setsockopt(
			fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 ||
		(connect(fd, sa, s->addr->len) != 0 && errno != EINPROGRESS) ||
		epoll_ctl(x->epfd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		if (fd >= 0 || !exchange_out_of_fds(x))
			*ret_errnum = errno;
		if (fd >= 0)
			(void)close(fd);
		conn_free(c);
		return NULL;
	}
	c->it.is_conn = true;
	c->it.fd = fd;
	c->in_cap = IN_FIRST;
	c->writing = true;
	c->mask = exchange_random(x);
	c->server = s;
	c->next = s->conns;
	s->conns = c;
	s->n_conns++;
	x->n_fds++;
	exchange_arm(&x->tcp, &c->it);
	return c;
}

bool conn_launch(struct exchange *x, struct server *s)
{
	size_t share = s->per_conn < CONN_SHARE ? s->per_conn : CONN_SHARE;
	size_t want = (s->tcp.n + s->n_tcp + share - 1) / share;
	struct conn *c = s->conns;
	struct query *q;
	int errnum = 0;

	if (want > CONN_MAX)
		want = CONN_MAX;
	if (want > s->max_conns)
		want = s->max_conns;
	if (s->n_conns >= want) {
		/* A full connection takes no more: wait until it ends. */
		if (c->n >= s->per_conn)
			return false;
		conn_take(x, c, s->tcp.n);
		return true;
	}
	c = conn_open(x, s, &errnum);
	if (c != NULL) {
		want -= s->n_conns - 1;
		conn_take(x, c, (s->tcp.n + want - 1) / want);
	} else if (errnum != 0) {
		struct queue rest = s->tcp;

		s->tcp = (struct queue){ .n = 0 };
		s->tcp_dead = true;
		s->tcp_errnum = errnum;
		while ((q = exchange_pop(&rest)) != NULL && x->st == ST_OK) {
			q->errnum = errnum;
			give_back(x, q, true);
		}
	}
	return true;
}

/* How many unanswered queries a connection may have. */
static size_t flight(const struct conn *c)
{
	size_t n;

	if (c->answered == 0)
		return FLIGHT_FIRST;
	n = FLIGHT_OCTETS * c->answered / c->octets;
	return n > FLIGHT_MIN ? n : FLIGHT_MIN;
}

static void refill(struct conn *c)
{
	size_t limit = c->answered + flight(c);

	c->out_len = c->out_pos = 0;
	while (c->sent < c->n && c->sent < limit &&
		sizeof(c->out) - c->out_len >= 2 + CODEC_QUERY_MAX) {
		const struct query *q = c->slot[c->sent];
		uint8_t *p = c->out + c->out_len;
		size_t len = codec_query(p + 2, (uint16_t)(c->sent ^ c->mask),
			q->qname, q->qtype);

		p[0] = (uint8_t)(len >> 8);
		p[1] = (uint8_t)len;
		c->out_len += 2 + len;
		c->sent++;
	}
}

static void conn_write(struct exchange *x, struct conn *c)
{
	for (;;) {
		ssize_t n;

		if (c->out_pos == c->out_len)
			refill(c);
		if (c->out_len == 0) {
			watch(x, c, false);
			return;
		}
		n = send(c->it.fd, c->out + c->out_pos, c->out_len - c->out_pos,
			MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				conn_end(x, c, errno, false);
			return;
		}
		c->out_pos += (size_t)n;
	}
}

static void take_frame(
	struct exchange *x, struct conn *c, const uint8_t *p, size_t len)
{
	struct server *s = c->server;
	struct query *q;
	uint16_t id;
	size_t slot;

	if (len < 2)
		return;
	id = (uint16_t)(p[0] << 8 | p[1]);
	slot = (size_t)(id ^ c->mask);
	if (slot >= c->sent || c->slot[slot] == NULL)
		return;
	q = c->slot[slot];
	if (codec_parse(p, len, id, q->qname, q->qtype, &x->msg) !=
			CODEC_REPLY ||
		x->msg.tc) {
		q->garbage = true;
		return;
	}
	c->slot[slot] = NULL;
	c->answered++;
	c->octets += 2 + len;
	c->left--;
	s->n_tcp--;
	s->tcp_ok = s->heard = true;
	s->tcp_fail = 0;
	exchange_arm(&x->tcp, &c->it);
	exchange_finish(x, q, XCHG_REPLY, true);
}

static bool take_frames(struct exchange *x, struct conn *c)
{
	size_t at = 0;

	while (c->in_len - at >= 2 && x->st == ST_OK) {
		size_t len = (size_t)(c->in[at] << 8 | c->in[at + 1]);

		if (c->in_len - at - 2 < len)
			break;
		take_frame(x, c, c->in + at + 2, len);
		at += 2 + len;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	if (c->in_len == c->in_cap) {
		uint8_t *p = realloc(c->in, IN_MAX);

		if (p == NULL) {
			exchange_fail(
				x, err_set(x->err, ST_NOMEM, "out of memory"));
			return false;
		}
		c->in = p;
		c->in_cap = IN_MAX;
	}
	return x->st == ST_OK;
}

static void conn_read(struct exchange *x, struct conn *c)
{
	int one = 1;

	/* A server without TCP_NODELAY holds its last replies back until we
	 * acknowledge the ones before, which the kernel would do 40 ms later;
	 * it forgets the option, so it is set each time. */
	(void)setsockopt(
		c->it.fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
	for (int i = 0; i < 8; i++) {
		ssize_t n = recv(
			c->it.fd, c->in + c->in_len, c->in_cap - c->in_len, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			conn_end(x, c, n < 0 ? errno : 0, false);
			return;
		}
		c->in_len += (size_t)n;
		if (!take_frames(x, c))
			return;
	}
	if (c->left > 0) {
		watch(x, c, c->out_pos < c->out_len || c->sent < c->n);
		return;
	}
	if (c->server->tcp.n > 0 && c->n < c->server->per_conn)
		conn_take(x, c, c->server->tcp.n);
	else
		conn_end(x, c, 0, false);
}

void conn_event(struct exchange *x, struct conn *c, uint32_t events)
{
	if (c->closed)
		return;
	if (!c->connected) {
		int e = 0;
		socklen_t len = sizeof(e);

		if (getsockopt(c->it.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
			e = errno;
		if (e != 0) {
			conn_end(x, c, e, false);
			return;
		}
		if ((events & EPOLLOUT) == 0)
			return;
		c->connected = true;
		exchange_arm(&x->tcp, &c->it);
	}
	/* Reading goes first: after a reset the answers that came before it are
	 * still there, and writing would only find the error. */
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		conn_read(x, c);
	if ((events & EPOLLOUT) != 0 && !c->closed && x->st == ST_OK)
		conn_write(x, c);
}
