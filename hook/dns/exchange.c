/*
 * The event loop, the servers and UDP. One epoll set, one thread, no blocking
 * call; each list of timers has one waiting time, so nothing here costs more
 * per query when there are more queries.
 * UDP: one connected socket per try, its port picked at random by the kernel
 * (autobind), its ID by getrandom; a datagram that is not the reply is dropped
 * and the wait goes on, so a forger cannot end a try. (RFC 5452 9, RFC 7766)
 * TCP, in exchange_tcp.c, is for many names on one server, for truncated
 * replies, and when UDP stays silent.
 */
#include "hook/dns/exchange_int.h"
#include "hook/base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "hook/base/auto.h"

#define BACKOFF_MS 100 /* after ICMP said no */
#define MAX_FDS 512
#define WINDOW_FIRST 32 /* UDP queries under way to one server */
#define WINDOW_MIN 4
#define WINDOW_MAX 256
#define CONN_SLOTS 60000 /* IDs on one TCP connection */

void exchange_fail(struct exchange *x, enum status st)
{
	if (x->st == ST_OK)
		x->st = st;
}

uint16_t exchange_random(struct exchange *x)
{
	uint16_t r;

	if (x->random_left < sizeof(r)) {
		ssize_t got = getrandom(x->random, sizeof(x->random), 0);

		if (got != (ssize_t)sizeof(x->random)) {
			exchange_fail(x, err_sys(x->err, ST_IO, errno,
						 "cannot get random numbers"));
			return 0;
		}
		x->random_left = sizeof(x->random);
	}
	x->random_left -= sizeof(r);
	memcpy(&r, x->random + x->random_left, sizeof(r));
	return r;
}

void exchange_push(struct queue *q, struct query *query)
{
	query->next = NULL;
	if (q->tail != NULL)
		q->tail->next = query;
	else
		q->head = query;
	q->tail = query;
	q->n++;
}

static void push_front(struct queue *q, struct query *query)
{
	query->next = q->head;
	q->head = query;
	if (q->tail == NULL)
		q->tail = query;
	q->n++;
}

struct query *exchange_pop(struct queue *q)
{
	struct query *first = q->head;

	if (first == NULL)
		return NULL;
	q->head = first->next;
	if (q->head == NULL)
		q->tail = NULL;
	q->n--;
	first->next = NULL;
	return first;
}

void exchange_disarm(struct item *it)
{
	struct timers *t = it->in;

	if (t == NULL)
		return;
	if (it->prev != NULL)
		it->prev->next = it->next;
	else
		t->head = it->next;
	if (it->next != NULL)
		it->next->prev = it->prev;
	else
		t->tail = it->prev;
	it->prev = it->next = NULL;
	it->in = NULL;
}

void exchange_arm(struct timers *t, struct item *it)
{
	exchange_disarm(it);
	it->at = clock_mono_ms() + t->span_ms;
	it->in = t;
	it->prev = t->tail;
	if (t->tail != NULL)
		t->tail->next = it;
	else
		t->head = it;
	t->tail = it;
}

void exchange_ready(struct exchange *x, struct server *s)
{
	if (s->ready)
		return;
	s->ready = true;
	s->ready_next = NULL;
	if (x->ready_tail != NULL)
		x->ready_tail->ready_next = s;
	else
		x->ready_head = s;
	x->ready_tail = s;
}

static struct server *pop_ready(struct exchange *x)
{
	struct server *s = x->ready_head;

	x->ready_head = s->ready_next;
	if (x->ready_head == NULL)
		x->ready_tail = NULL;
	s->ready = false;
	return s;
}

bool exchange_out_of_fds(struct exchange *x)
{
	if (errno != EMFILE && errno != ENFILE)
		return false;
	if (x->n_fds == 0) {
		exchange_fail(x, err_sys(x->err, ST_IO, errno,
					 "cannot open a socket for DNS"));
		return false;
	}
	x->max_fds = x->n_fds;
	return true;
}

static void query_close(struct exchange *x, struct query *q)
{
	exchange_disarm(&q->it);
	if (q->it.fd < 0)
		return;
	(void)close(q->it.fd);
	q->it.fd = -1;
	x->n_fds--;
	q->server->n_udp--;
	exchange_ready(x, q->server);
}

static void query_free(struct exchange *x, struct query *q)
{
	query_close(x, q);
	if (q->all_prev != NULL)
		q->all_prev->all_next = q->all_next;
	else
		x->all = q->all_next;
	if (q->all_next != NULL)
		q->all_next->all_prev = q->all_prev;
	x->n_left--;
	free(q);
}

void exchange_finish(struct exchange *x, struct query *q,
	enum exchange_outcome outcome, bool tcp)
{
	struct exchange_result res = {
		.outcome = outcome,
		.msg = outcome == XCHG_REPLY ? &x->msg : NULL,
		.tcp = tcp,
		.errnum = q->errnum,
		.sent = q->sent_ms != 0,
	};
	size_t tag = q->tag;

	if (res.sent)
		res.took_ms = (uint32_t)(clock_mono_ms() - q->sent_ms);

	query_free(x, q);
	if (x->st == ST_OK)
		exchange_fail(x, x->done(x->ctx, tag, &res, x->err));
}

void exchange_give_up(struct exchange *x, struct query *q)
{
	enum exchange_outcome outcome = XCHG_TIMEOUT;
	bool tcp = q->server->tcp_dead || q->tcp_tries > 0;

	if (q->via != EXCHANGE_AUTO)
		tcp = q->via == EXCHANGE_TCP;
	if (q->garbage)
		outcome = XCHG_GARBAGE;
	else if (q->errnum != 0)
		outcome = XCHG_NETWORK;
	exchange_finish(x, q, outcome, tcp);
}

/* A query that TCP alone must carry gets a second chance where TCP works: its
 * connection may have been one too many. */
static bool tcp_hopeless(const struct query *q)
{
	const struct server *s = q->server;
	bool again = q->truncated || (q->via == EXCHANGE_TCP && s->tcp_ok);

	return s->tcp_dead || q->tcp_tries >= (again ? TCP_TRIES_MAX : 1);
}

void exchange_to_tcp(struct exchange *x, struct query *q)
{
	struct server *s = q->server;
	bool both = q->via == EXCHANGE_AUTO;

	q->must_tcp = true;
	if (tcp_hopeless(q)) {
		int errnum = q->errnum;

		if (!both && errnum == 0)
			q->errnum = s->tcp_errnum;
		exchange_give_up(x, q);
		/* Both ways tried in full and never a sound: the others that
		 * still wait for their turn need not find out one by one. */
		while (both && !s->heard &&
			(q = exchange_pop(&s->udp)) != NULL) {
			if (q->errnum == 0)
				q->errnum = errnum;
			exchange_give_up(x, q);
		}
		return;
	}
	exchange_push(&q->server->tcp, q);
	exchange_ready(x, q->server);
}

/* One UDP try has failed: silence (errnum 0) or the network said no. */
static void udp_failed(struct exchange *x, struct query *q, int errnum)
{
	struct server *s = q->server;
	int64_t now = clock_mono_ms();

	query_close(x, q);
	q->tries++;
	if (errnum != 0) {
		q->errnum = errnum;
	} else if (s->heard && now - s->halved_ms >= x->lim.try_ms) {
		s->halved_ms = now;
		s->window /= 2;
		if (s->window < WINDOW_MIN)
			s->window = WINDOW_MIN;
	}
	if (q->tries >= x->lim.tries && q->via == EXCHANGE_UDP) {
		exchange_give_up(x, q);
	} else if (q->tries >= x->lim.tries) {
		exchange_to_tcp(x, q);
	} else if (errnum != 0) {
		exchange_arm(&x->back, &q->it);
	} else {
		/* In front: so a dead server is found out by its first few
		 * queries, not after each has had its first try. */
		push_front(&s->udp, q);
		exchange_ready(x, s);
	}
}

static int udp_socket(const struct dns_addr *a)
{
	int fd = socket(
		a->ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved;

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&a->ss, a->len) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/* False: out of descriptors, the query waits in front of the queue. */
static bool udp_launch(struct exchange *x, struct query *q)
{
	uint8_t wire[CODEC_QUERY_MAX];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &q->it };
	size_t len;
	int fd = udp_socket(q->server->addr);

	if (fd < 0) {
		if (exchange_out_of_fds(x))
			return false;
		udp_failed(x, q, errno);
		return true;
	}
	q->it.fd = fd;
	x->n_fds++;
	q->server->n_udp++;
	if (q->sent_ms == 0)
		q->sent_ms = clock_mono_ms();
	q->id = exchange_random(x);
	len = codec_query(wire, q->id, q->qname, q->qtype);
	if (epoll_ctl(x->epfd, EPOLL_CTL_ADD, fd, &ev) != 0 ||
		send(fd, wire, len, MSG_NOSIGNAL) != (ssize_t)len) {
		udp_failed(x, q, errno);
		return true;
	}
	exchange_arm(&x->udp, &q->it);
	return true;
}

static void udp_event(struct exchange *x, struct query *q)
{
	struct server *s = q->server;

	/* Bounded, so that a flood at one port cannot keep us from the rest. */
	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(
			q->it.fd, x->datagram, sizeof(x->datagram), MSG_TRUNC);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				udp_failed(x, q, errno);
			return;
		}
		if ((size_t)n > sizeof(x->datagram) ||
			codec_parse(x->datagram, (size_t)n, q->id, q->qname,
				q->qtype, &x->msg) != CODEC_REPLY) {
			q->garbage = true;
			continue;
		}
		s->heard = true;
		if (s->window < WINDOW_MAX)
			s->window++;
		if (x->msg.tc && q->via != EXCHANGE_UDP) {
			query_close(x, q);
			q->truncated = true;
			exchange_to_tcp(x, q);
		} else {
			exchange_finish(x, q, XCHG_REPLY, false);
		}
		return;
	}
}

static bool route_errno(int e)
{
	return e == ENETUNREACH || e == EADDRNOTAVAIL || e == EAFNOSUPPORT;
}

/* Has this host any way to the whole of an address family? Asked only when the
 * way to one address is missing; a UDP connect sends nothing. The addresses are
 * a root server's, so a default route or a full table leads there. */
static bool family_has_route(int family)
{
	struct dns_addr a;
	int fd;

	if (!dns_addr_parse(
		    family == AF_INET6 ? "2001:503:ba3e::2:30" : "198.41.0.4",
		    53, &a))
		return true;
	fd = udp_socket(&a);
	if (fd < 0)
		return !route_errno(errno);
	(void)close(fd);
	return true;
}

static void enqueue(struct server *s, struct query *q)
{
	bool tcp = s->many && !s->tcp_dead;

	if (q->via != EXCHANGE_AUTO)
		tcp = q->via == EXCHANGE_TCP;
	exchange_push(tcp ? &s->tcp : &s->udp, q);
}

static void server_start(struct exchange *x, struct server *s)
{
	int fd = udp_socket(s->addr);
	struct query *q;

	s->started = true;
	if (fd >= 0)
		(void)close(fd);
	else if (route_errno(errno))
		s->no_route = !family_has_route(s->addr->ss.ss_family);
	s->many = s->n_auto > EXCHANGE_FEW;
	while ((q = exchange_pop(&s->fresh)) != NULL) {
		if (s->no_route)
			exchange_finish(
				x, q, XCHG_NO_ROUTE, q->via == EXCHANGE_TCP);
		else
			enqueue(s, q);
	}
}

/* Launches one thing for this server. False: nothing (more) to launch. */
static bool launch(struct exchange *x, struct server *s)
{
	struct query *q;

	if (!s->started)
		server_start(x, s);
	if (s->tcp.n > 0)
		return conn_launch(x, s);
	if (s->udp.n == 0 || s->n_udp >= s->window)
		return false;
	q = exchange_pop(&s->udp);
	if (udp_launch(x, q))
		return true;
	push_front(&s->udp, q); /* max_fds has stopped the pump */
	return true;
}

/* Servers take turns, so that a big one cannot hold all descriptors. */
static void pump(struct exchange *x)
{
	while (x->ready_head != NULL && x->n_fds < x->max_fds &&
		x->st == ST_OK) {
		struct server *s = pop_ready(x);

		if (launch(x, s))
			exchange_ready(x, s);
	}
}

static int wait_ms(const struct exchange *x, int64_t now, int64_t deadline)
{
	const struct timers *const lists[] = { &x->udp, &x->back, &x->tcp };
	int64_t first = deadline;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (lists[i]->head != NULL && lists[i]->head->at < first)
			first = lists[i]->head->at;
	return first <= now ? 0
			    : (int)(first - now > 60000 ? 60000 : first - now);
}

static void expire(struct exchange *x, int64_t now)
{
	struct item *it;

	while ((it = x->udp.head) != NULL && it->at <= now)
		udp_failed(x, (struct query *)it, 0);
	while ((it = x->back.head) != NULL && it->at <= now) {
		struct query *q = (struct query *)it;

		exchange_disarm(it);
		push_front(&q->server->udp, q);
		exchange_ready(x, q->server);
	}
	while ((it = x->tcp.head) != NULL && it->at <= now)
		conn_stalled(x, (struct conn *)it);
}

static void turn(struct exchange *x, int64_t deadline)
{
	struct epoll_event ev[64];
	int n = epoll_wait(x->epfd, ev, sizeof(ev) / sizeof(ev[0]),
		wait_ms(x, clock_mono_ms(), deadline));

	if (n < 0 && errno != EINTR)
		exchange_fail(x, err_sys(x->err, ST_IO, errno, "epoll_wait"));
	for (int i = 0; i < n && x->st == ST_OK; i++) {
		struct item *it = ev[i].data.ptr;

		if (it->is_conn)
			conn_event(x, (struct conn *)it, ev[i].events);
		else
			udp_event(x, (struct query *)it);
	}
	/* Not before the events are through: one of them may be of a
	 * connection that ended meanwhile. */
	while (x->dead != NULL) {
		struct conn *c = x->dead;

		x->dead = c->next;
		conn_free(c);
	}
	expire(x, clock_mono_ms());
}

enum status exchange_run(struct exchange *x, struct err *err)
{
	int64_t deadline = clock_mono_ms() + x->lim.deadline_ms;

	if (x->lim.deadline_ms <= 0)
		deadline += 20000 + 10 * (int64_t)x->n_left;
	x->err = err;
	for (;;) {
		pump(x);
		if (x->st != ST_OK || x->n_left == 0)
			break;
		if (clock_mono_ms() >= deadline) {
			while (x->all != NULL && x->st == ST_OK)
				exchange_give_up(x, x->all);
			break;
		}
		turn(x, deadline);
	}
	return x->st;
}

static size_t addr_hash(const struct dns_addr *a)
{
	const uint8_t *p = (const uint8_t *)&a->ss;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < a->len; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return (size_t)(h ^ h >> 29);
}

static bool addr_eq(const struct dns_addr *a, const struct dns_addr *b)
{
	return a->len == b->len && memcmp(&a->ss, &b->ss, a->len) == 0;
}

static bool hash_grow(struct exchange *x)
{
	size_t size = x->hash_size != 0 ? x->hash_size * 2 : 64;
	struct server **t = calloc(size, sizeof(struct server *));

	if (t == NULL)
		return false;
	for (size_t i = 0; i < x->hash_size; i++) {
		while (x->hash[i] != NULL) {
			struct server *s = x->hash[i];
			size_t at = addr_hash(s->addr) & (size - 1);

			x->hash[i] = s->hash_next;
			s->hash_next = t[at];
			t[at] = s;
		}
	}
	free(x->hash);
	x->hash = t;
	x->hash_size = size;
	return true;
}

/* NULL when memory ran out. */
static struct server *server_of(struct exchange *x, const struct dns_addr *addr)
{
	struct server *s;
	size_t at;

	if (x->n_servers >= x->hash_size && !hash_grow(x))
		return NULL;
	at = addr_hash(addr) & (x->hash_size - 1);
	for (s = x->hash[at]; s != NULL; s = s->hash_next)
		if (addr_eq(s->addr, addr))
			return s;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->addr = addr;
	s->window = WINDOW_FIRST;
	s->max_conns = SIZE_MAX;
	s->per_conn = CONN_SLOTS;
	s->halved_ms = -x->lim.try_ms;
	s->hash_next = x->hash[at];
	x->hash[at] = s;
	x->n_servers++;
	return s;
}

enum status exchange_add(struct exchange *x, const struct dns_addr *addr,
	const struct codec_name *qname, uint16_t qtype, size_t tag,
	struct err *err)
{
	return exchange_add_via(x, addr, qname, qtype, EXCHANGE_AUTO, tag, err);
}

enum status exchange_add_via(struct exchange *x, const struct dns_addr *addr,
	const struct codec_name *qname, uint16_t qtype,
	enum exchange_transport via, size_t tag, struct err *err)
{
	struct server *s = server_of(x, addr);
	struct query *q = calloc(1, sizeof(*q));

	if (s == NULL || q == NULL) {
		free(q);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	q->it.fd = -1;
	q->server = s;
	q->qname = qname;
	q->qtype = qtype;
	q->tag = tag;
	q->via = via;
	q->must_tcp = via == EXCHANGE_TCP;
	s->n_auto += via == EXCHANGE_AUTO;
	q->all_next = x->all;
	if (x->all != NULL)
		x->all->all_prev = q;
	x->all = q;
	x->n_left++;
	if (!s->started)
		exchange_push(&s->fresh, q);
	else
		enqueue(s, q);
	exchange_ready(x, s);
	return ST_OK;
}

static size_t max_fds(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur / 2 >= MAX_FDS)
		return MAX_FDS;
	return r.rlim_cur < 16 ? 8 : (size_t)r.rlim_cur / 2;
}

enum status exchange_new(const struct exchange_limits *lim, exchange_done done,
	void *ctx, struct exchange **ret, struct err *err)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	x->lim = *lim;
	if (x->lim.try_ms <= 0)
		x->lim.try_ms = 2000;
	if (x->lim.tries <= 0)
		x->lim.tries = 3;
	if (x->lim.tries > 16)
		x->lim.tries = 16;
	x->udp.span_ms = x->lim.try_ms;
	x->back.span_ms = BACKOFF_MS;
	x->tcp.span_ms = x->lim.tcp_ms > 0 ? x->lim.tcp_ms : x->lim.try_ms;
	x->done = done;
	x->ctx = ctx;
	x->max_fds = max_fds();
	x->err = err;
	x->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (x->epfd < 0) {
		free(x);
		return err_sys(err, ST_IO, errno, "cannot watch sockets");
	}
	*ret = x;
	return ST_OK;
}

void exchange_free(struct exchange *x)
{
	if (x == NULL)
		return;
	while (x->tcp.head != NULL) {
		struct item *it = x->tcp.head;

		exchange_disarm(it);
		(void)close(it->fd);
		conn_free((struct conn *)it);
	}
	while (x->dead != NULL) {
		struct conn *c = x->dead;

		x->dead = c->next;
		conn_free(c);
	}
	while (x->all != NULL)
		query_free(x, x->all);
	for (size_t i = 0; i < x->hash_size; i++) {
		while (x->hash[i] != NULL) {
			struct server *s = x->hash[i];

			x->hash[i] = s->hash_next;
			free(s);
		}
	}
	free(x->hash);
	(void)close(x->epfd);
	free(x);
}
