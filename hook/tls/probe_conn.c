/*
 * One connection of the probe: CONNECT -> DIALOGUE -> HANDSHAKE -> LINGER. What
 * is said before TLS is probe_dialogue.c, the handshake is probe_shake.c.
 *
 * Invariants: a job has one connection at a time; its result is set once, by
 * conn_result_; every octet from the peer is counted against a limit in the
 * phase it comes in. (dane.md S58, L4)
 */
#include "hook/tls/probe_int.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- ends ---- */

void conn_close_(struct conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		(void)close(c->fd); /* epoll forgets it */
	c->fd = -1;
	c->phase = IDLE;
}

static uint32_t ms_since(int64_t start)
{
	int64_t ms = clock_mono_ms() - start;

	return ms <= 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (uint32_t)ms;
}

void conn_result_(struct conn *c, enum probe_result r)
{
	c->job->result = r;
	c->job->took_ms = ms_since(c->start);
	c->job->log = probe_log_take(&c->log);
}

void conn_done_(struct conn *c, enum probe_result r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->job->why, sizeof(c->job->why), fmt, ap);
	va_end(ap);
	conn_result_(c, r);
	conn_close_(c);
}

void conn_done_errno_(
	struct conn *c, enum probe_result r, const char *what, int e)
{
	char text[96];

	/* GNU strerror_r: the text may be a static one. */
	conn_done_(c, r, "%s: %s", what, strerror_r(e, text, sizeof(text)));
}

/* ---- connecting ---- */

/*
 * Is it our side that has no route to this address? Connecting a datagram
 * socket sends nothing and fails at once when there is none, whereas a router's
 * ICMP answer only ever reaches the stream socket.
 */
static bool no_route(const struct probe_job *job)
{
	auto_fd fd = socket(
		job->addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);

	if (fd < 0)
		return errno == EAFNOSUPPORT;
	if (connect(fd, (const struct sockaddr *)&job->addr, job->addr_len) ==
		0)
		return false;
	return errno == ENETUNREACH || errno == EHOSTUNREACH ||
	       errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;
}

static void connect_failed(struct conn *c, int e)
{
	if ((e == ENETUNREACH || e == EHOSTUNREACH || e == EADDRNOTAVAIL ||
		    e == EAFNOSUPPORT) &&
		no_route(c->job))
		conn_done_errno_(
			c, PROBE_UNTESTABLE, "no route to it from here", e);
	else
		conn_done_errno_(c, PROBE_NO_CONNECT, "cannot connect", e);
}

/* False: see conn_start_. */
static bool conn_open(struct run *r, struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	int64_t now = clock_mono_ms();
	int one = 1, e;

	c->fd = socket(c->job->addr.ss_family,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (c->fd < 0) {
		e = errno;
		if ((e == EMFILE || e == ENFILE || e == ENOBUFS) &&
			r->n_busy > 0 && c->look == LOOK_FIRST)
			return false;
		connect_failed(c, e);
		return true;
	}
	/* We send whole flights; the last one must not wait for an ACK. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->phase = CONNECT;
	c->events = c->armed = EPOLLOUT;
	c->got = 0;
	c->connect_until = now + r->lim.connect_ms;
	if (c->connect_until > c->until)
		c->connect_until = c->until;
	if (connect(c->fd, (const struct sockaddr *)&c->job->addr,
		    c->job->addr_len) != 0 &&
		errno != EINPROGRESS) {
		connect_failed(c, errno);
	} else if (epoll_ctl(r->ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
		run_fail_(r, err_sys(r->err, ST_IO, errno, "probe: epoll"));
		conn_done_(c, PROBE_NO_CONNECT, "%s", "internal error");
	}
	return true;
}

bool conn_start_(struct run *r, struct conn *c, struct probe_job *job)
{
	c->job = job;
	c->phase = IDLE;
	c->look = LOOK_FIRST;
	c->first_failure[0] = '\0';
	c->closed = false;
	c->start = clock_mono_ms();
	c->until = c->start + r->lim.total_ms;
	if (job->want_log && !probe_log_start(&c->log)) {
		run_fail_(r, err_set(r->err, ST_NOMEM, "out of memory"));
		return true;
	}
	if (conn_open(r, c))
		return true;
	probe_log_release(&c->log);
	return false;
}

void conn_again_(struct run *r, struct conn *c, enum look look)
{
	static const char *const notes[] = {
		[LOOK_FIRST] = "again",
		[LOOK_ALG] = "again, with any key algorithm",
		[LOOK_VERSION] = "again, with any version of TLS",
		[LOOK_SURE] = "again, as at first",
	};

	conn_close_(c);
	c->look = look;
	probe_log_note(&c->log, notes[look]);
	(void)conn_open(r, c);
}

/* ---- one event ---- */

ssize_t conn_recv_(struct conn *c, char *ret, size_t len, int *ret_errno)
{
	ssize_t n = recv(c->fd, ret, len, 0);

	*ret_errno = 0;
	if (n > 0) {
		c->got += (size_t)n;
		return n;
	}
	if (n == 0)
		return -1;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	*ret_errno = errno;
	return -1;
}

/* Sends what the dialogue wants to say. */
static void dialogue_flush(struct conn *c)
{
	struct dialogue *d = &c->dlg;

	c->events = EPOLLIN;
	while (d->out_sent < d->out_len) {
		const char *p = d->out + d->out_sent;
		ssize_t n =
			send(c->fd, p, d->out_len - d->out_sent, MSG_NOSIGNAL);

		if (n >= 0) {
			probe_log_add(&c->log, '>', p, (size_t)n,
				d->proto == PROTO_LDAP);
			d->out_sent += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			c->events |= EPOLLOUT;
			return;
		} else if (errno != EINTR) {
			conn_done_errno_(
				c, PROBE_PROTOCOL, "sending before TLS", errno);
			return;
		}
	}
}

static void dialogue_ended(
	struct run *r, struct conn *c, enum dialogue_verdict v)
{
	c->job->offered = c->dlg.offered;
	c->job->code = c->dlg.end_code;
	switch (v) {
	case DIALOGUE_MORE:
		return;
	case DIALOGUE_TLS:
		shake_begin_(r, c);
		return;
	case DIALOGUE_NO_STARTTLS:
		conn_done_(c, PROBE_NO_STARTTLS, "%s", c->dlg.why);
		return;
	case DIALOGUE_PROTOCOL:
		/* No client gets through TLS after that. */
		conn_done_(c, c->dlg.agreed ? PROBE_HANDSHAKE : PROBE_PROTOCOL,
			"%s", c->dlg.why);
		return;
	}
}

static void dialogue_event(struct run *r, struct conn *c, uint32_t events)
{
	enum dialogue_verdict v;
	char in[4096];
	ssize_t n;
	int e;

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
		n = conn_recv_(c, in, sizeof(in), &e);
		if (n < 0 && e == 0) {
			conn_done_(c, PROBE_PROTOCOL,
				"it closed the connection before TLS");
			return;
		}
		if (n < 0) {
			conn_done_errno_(
				c, PROBE_PROTOCOL, "reading before TLS", e);
			return;
		}
		probe_log_add(&c->log, '<', in, (size_t)n,
			c->dlg.proto == PROTO_LDAP);
		v = dialogue_feed(&c->dlg, in, (size_t)n);
		if (v != DIALOGUE_MORE) {
			dialogue_ended(r, c, v);
			return;
		}
	}
	dialogue_flush(c);
}

/* The address of our end, as text. */
static sa_family_t own_address(int fd, char *ret, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	ret[0] = '\0';
	if (getsockname(fd, (struct sockaddr *)&ss, &ss_len) != 0)
		return AF_UNSPEC;
	if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *a6 = (const void *)&ss;

		(void)inet_ntop(AF_INET6, &a6->sin6_addr, ret, (socklen_t)len);
	} else if (ss.ss_family == AF_INET) {
		const struct sockaddr_in *a4 = (const void *)&ss;

		(void)inet_ntop(AF_INET, &a4->sin_addr, ret, (socklen_t)len);
	}
	return ss.ss_family;
}

static void connect_event(struct run *r, struct conn *c)
{
	struct probe_job *j = c->job;
	char literal[sizeof(j->local) + 8];
	socklen_t len = sizeof(int);
	sa_family_t family;
	int e = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
		e = errno;
	if (e != 0) {
		connect_failed(c, e);
		return;
	}
	if (c->look == LOOK_FIRST)
		j->connect_ms = ms_since(c->start);
	family = own_address(c->fd, j->local, sizeof(j->local));
	/* The address literal of our end (RFC 5321 4.1.3): right on any
	 * machine, whatever it calls itself. */
	(void)snprintf(literal, sizeof(literal), "[%s%s]",
		family == AF_INET6 ? "IPv6:" : "",
		j->local[0] != '\0' ? j->local : "127.0.0.1");
	dialogue_init(&c->dlg, j->proto, r->helo[0] != '\0' ? r->helo : literal,
		j->host);
	c->phase = DIALOGUE;
	if (c->dlg.verdict == DIALOGUE_TLS)
		dialogue_ended(r, c, DIALOGUE_TLS);
	else
		dialogue_flush(c); /* some clients speak first */
}

/* To let the peer read our good-bye: closing a socket with unread data in it
 * sends a reset, which some servers log as an error of ours. */
static void linger_event(struct conn *c)
{
	char in[4096];
	int e;

	if (conn_recv_(c, in, sizeof(in), &e) < 0 || c->got > PROBE_OCTETS_MAX)
		conn_close_(c);
}

/* Tells epoll, when what we wait for has changed. */
static void conn_arm(struct run *r, struct conn *c)
{
	struct epoll_event ev = { .events = c->events, .data.ptr = c };

	if (c->phase == IDLE || c->events == c->armed)
		return;
	c->armed = c->events;
	if (epoll_ctl(r->ep, EPOLL_CTL_MOD, c->fd, &ev) != 0)
		run_fail_(r, err_sys(r->err, ST_BUG, errno, "probe: epoll"));
}

void conn_event_(struct run *r, struct conn *c, uint32_t events)
{
	switch (c->phase) {
	case CONNECT:
		connect_event(r, c);
		break;
	case DIALOGUE:
		dialogue_event(r, c, events);
		break;
	case HANDSHAKE:
		shake_event_(r, c, events);
		break;
	case LINGER:
		linger_event(c);
		break;
	case IDLE:
		break;
	}
	conn_arm(r, c);
}

void conn_deadline_(struct conn *c, const struct probe_limits *lim)
{
	switch (c->phase) {
	case CONNECT:
		conn_done_(c, PROBE_NO_CONNECT, "no answer to our connection");
		return;
	case DIALOGUE:
		c->job->offered = c->dlg.offered;
		conn_done_(c, PROBE_TIMEOUT, "%s after %lld ms",
			c->dlg.step == DIALOGUE_GREETING
				? "no whole greeting"
				: "stopped in the middle of the dialogue",
			(long long)lim->total_ms);
		return;
	case HANDSHAKE:
		conn_done_(c, PROBE_TIMEOUT,
			"TLS handshake not over after %lld ms",
			(long long)lim->total_ms);
		return;
	case LINGER:
		conn_close_(c);
		return;
	case IDLE:
		return;
	}
}

int64_t conn_until_(const struct conn *c)
{
	switch (c->phase) {
	case CONNECT:
		return c->connect_until;
	case DIALOGUE:
	case HANDSHAKE:
	case LINGER:
		return c->until;
	case IDLE:
		break;
	}
	return INT64_MAX;
}
