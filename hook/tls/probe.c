/*
 * The probe's loop: many endpoints at once over non-blocking sockets and
 * poll. Each connection walks CONNECT -> DIALOGUE -> HANDSHAKE -> LINGER; what
 * is said before TLS is probe_dialogue.c, TLS itself is probe_tls.c over
 * memory BIOs, so every octet passes through here and is counted.
 *
 * Invariants: a job ends at its deadline whatever the peer does (silence, one
 * octet a second, no end of banner); no read grows without limit; a job is
 * NO_CERT only after a second, unforced connection has shown that TLS works
 * there with another kind of key. (dane.md S58, L4)
 */
#include "hook/tls/probe.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "hook/tls/probe_dialogue.h"
#include "hook/tls/probe_tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define TOTAL_MS 30000
#define AT_ONCE 64
/* To let the peer read our good-bye: closing a socket with unread data in it
 * sends a reset, which some servers log as an error of ours. */
#define LINGER_MS 250
#define HANDSHAKE_MAX (256 * 1024)

enum phase { IDLE, CONNECT, DIALOGUE, HANDSHAKE, LINGER };

struct conn {
	enum phase phase;
	struct probe_job *job;
	int fd;
	short events;
	enum probe_alg alg; /* forced now */
	bool confirming;    /* second look: does TLS work there at all? */
	int64_t connect_until, until;
	SSL *ssl;
	size_t got; /* octets since the handshake began */
	struct dialogue dlg;
	char first_failure[96]; /* while confirming: what the first one said */
};

struct run {
	struct probe_limits lim;
	struct probe_tls tls;
	char helo[DIALOGUE_HELO_MAX]; /* "" = address literal */
	struct conn *conn;
	struct pollfd *pfd;
	size_t n_conn, n_busy;
	enum status st; /* memory and bugs only */
	struct err *err;
};

/* ---- ends ---- */

static void conn_close(struct conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
	c->phase = IDLE;
}

static void done(struct conn *c, enum probe_result r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The job's result; the connection is closed. */
static void done(struct conn *c, enum probe_result r, const char *fmt, ...)
{
	va_list ap;

	c->job->result = r;
	va_start(ap, fmt);
	(void)vsnprintf(c->job->why, sizeof(c->job->why), fmt, ap);
	va_end(ap);
	conn_close(c);
}

static void done_errno(
	struct conn *c, enum probe_result r, const char *what, int e)
{
	char text[96];

	/* GNU strerror_r: the text may be a static one. */
	done(c, r, "%s: %s", what, strerror_r(e, text, sizeof(text)));
}

/* A failure of ours, not of an endpoint: the whole run ends. */
static void run_fail(struct run *r, enum status st)
{
	if (r->st == ST_OK)
		r->st = st;
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
		done_errno(c, PROBE_UNTESTABLE, "no route to it from here", e);
	else
		done_errno(c, PROBE_NO_CONNECT, "cannot connect", e);
}

/* False: no descriptor to be had now, try when another job has ended. */
static bool conn_open(struct run *r, struct conn *c)
{
	int64_t now = clock_mono_ms();
	int e;

	c->fd = socket(c->job->addr.ss_family,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (c->fd < 0) {
		e = errno;
		if ((e == EMFILE || e == ENFILE || e == ENOBUFS) &&
			r->n_busy > 0 && !c->confirming)
			return false;
		connect_failed(c, e);
		return true;
	}
	c->phase = CONNECT;
	c->events = POLLOUT;
	c->got = 0;
	c->connect_until = now + r->lim.connect_ms;
	if (c->connect_until > c->until)
		c->connect_until = c->until;
	if (connect(c->fd, (const struct sockaddr *)&c->job->addr,
		    c->job->addr_len) != 0 &&
		errno != EINPROGRESS)
		connect_failed(c, errno);
	return true;
}

/* ---- TLS ---- */

static bool is_forced_kind(enum probe_alg forced, SSL *ssl)
{
	EVP_PKEY *k = NULL;
	X509 *leaf = SSL_get0_peer_certificate(ssl);

	if (leaf != NULL)
		k = X509_get0_pubkey(leaf);
	if (k == NULL)
		return false;
	return EVP_PKEY_is_a(k, forced == PROBE_RSA ? "RSA" : "EC") == 1;
}

static const char *alg_name(enum probe_alg a)
{
	switch (a) {
	case PROBE_RSA:
		return "RSA";
	case PROBE_ECDSA:
		return "ECDSA";
	case PROBE_ANY:
		break;
	}
	return "any";
}

/* Moves what OpenSSL wants to send to the socket. 0, or an errno. */
static int tls_flush(struct conn *c)
{
	BIO *out = SSL_get_wbio(c->ssl);
	char *p;
	long n;

	while ((n = BIO_get_mem_data(out, &p)) > 0) {
		char drop[4096];
		size_t want =
			(size_t)n < sizeof(drop) ? (size_t)n : sizeof(drop);
		ssize_t sent = send(c->fd, p, want, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				return errno;
			c->events |= POLLOUT;
			return 0;
		}
		(void)BIO_read(out, drop, (int)sent);
	}
	c->events &= (short)~POLLOUT;
	return 0;
}

/* One close_notify, then read until the peer has closed too. */
static void tls_goodbye(struct conn *c)
{
	int64_t until = clock_mono_ms() + LINGER_MS;

	(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	(void)tls_flush(c);
	(void)shutdown(c->fd, SHUT_WR);
	c->phase = LINGER;
	c->events = POLLIN;
	c->got = 0;
	if (until < c->until)
		c->until = until;
}

static void tls_done(struct conn *c)
{
	struct probe_job *j = c->job;

	if (!c->confirming) {
		j->result = probe_tls_judge(c->ssl, j) ? PROBE_SERVED
						       : PROBE_HANDSHAKE;
		tls_goodbye(c);
		return;
	}
	if (is_forced_kind(j->alg, c->ssl)) {
		j->result = PROBE_HANDSHAKE;
		(void)snprintf(j->why, sizeof(j->why),
			"it has an %s key, but does not serve it to a client "
			"that takes only %s: %s",
			alg_name(j->alg), alg_name(j->alg), c->first_failure);
	} else {
		j->result = PROBE_NO_CERT;
		(void)snprintf(j->why, sizeof(j->why),
			"TLS works, but there is no %s key: %s",
			alg_name(j->alg), c->first_failure);
	}
	tls_goodbye(c);
}

static void tls_failed(struct run *r, struct conn *c)
{
	char text[96];
	bool no_cert = probe_tls_failure(text, sizeof(text));

	(void)tls_flush(c); /* our alert, so that the server's log says why */
	if (c->confirming) {
		done(c, PROBE_HANDSHAKE, "TLS: %s (with %s only: %s)", text,
			alg_name(c->job->alg), c->first_failure);
		return;
	}
	if (!no_cert || c->job->alg == PROBE_ANY) {
		done(c, PROBE_HANDSHAKE, "TLS: %s", text);
		return;
	}
	/* The same alert is sent by a server that is wholly broken. */
	(void)snprintf(c->first_failure, sizeof(c->first_failure), "%s", text);
	conn_close(c);
	c->confirming = true;
	c->alg = PROBE_ANY;
	(void)conn_open(r, c);
}

static void tls_step(struct run *r, struct conn *c)
{
	int ret, e, why;

	ERR_clear_error();
	ret = SSL_do_handshake(c->ssl);
	why = SSL_get_error(c->ssl, ret);
	if (ret != 1 && why != SSL_ERROR_WANT_READ) {
		tls_failed(r, c);
		return;
	}
	e = tls_flush(c);
	if (ret == 1)
		tls_done(c);
	else if (e != 0)
		done_errno(c, PROBE_HANDSHAKE, "sending during TLS", e);
}

static void tls_begin(struct run *r, struct conn *c)
{
	enum status st =
		probe_tls_new(&r->tls, c->job, c->alg, &c->ssl, r->err);

	if (st != ST_OK) {
		run_fail(r, st);
		done(c, PROBE_HANDSHAKE, "%s", "internal error");
		return;
	}
	c->phase = HANDSHAKE;
	c->events = POLLIN;
	c->got = 0;
	tls_step(r, c);
}

/* ---- one event ---- */

/* >0 octets read, 0 nothing now, -1 the connection is over (done called). */
static ssize_t conn_read(
	struct conn *c, char *ret, size_t len, enum probe_result if_closed)
{
	ssize_t n = recv(c->fd, ret, len, 0);

	if (n > 0) {
		c->got += (size_t)n;
		return n;
	}
	if (n == 0) {
		done(c, if_closed, "it closed the connection %s",
			c->phase == HANDSHAKE ? "in the TLS handshake"
					      : "before TLS");
		return -1;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	done_errno(c, if_closed,
		c->phase == HANDSHAKE ? "reading in the TLS handshake"
				      : "reading before TLS",
		errno);
	return -1;
}

static void handshake_event(struct run *r, struct conn *c, short revents)
{
	char in[8192];
	ssize_t n = 0;

	if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
		n = conn_read(c, in, sizeof(in), PROBE_HANDSHAKE);
		if (n < 0)
			return;
		if (c->got > HANDSHAKE_MAX) {
			done(c, PROBE_HANDSHAKE,
				"more than %d octets in the TLS handshake",
				HANDSHAKE_MAX);
			return;
		}
		if (n > 0 && BIO_write(SSL_get_rbio(c->ssl), in, (int)n) != n) {
			run_fail(r, err_set(r->err, ST_NOMEM, "out of memory"));
			done(c, PROBE_HANDSHAKE, "%s", "out of memory");
			return;
		}
	}
	tls_step(r, c);
}

/* Sends what the dialogue wants to say. False: the connection is over. */
static bool dialogue_flush(struct conn *c)
{
	struct dialogue *d = &c->dlg;

	c->events = POLLIN;
	while (d->out_sent < d->out_len) {
		ssize_t n = send(c->fd, d->out + d->out_sent,
			d->out_len - d->out_sent, MSG_NOSIGNAL);

		if (n >= 0) {
			d->out_sent += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			c->events |= POLLOUT;
			break;
		} else if (errno != EINTR) {
			done_errno(
				c, PROBE_PROTOCOL, "sending before TLS", errno);
			return false;
		}
	}
	return true;
}

static void dialogue_event(struct run *r, struct conn *c, short revents)
{
	enum dialogue_verdict v = DIALOGUE_MORE;
	char in[4096];
	ssize_t n;

	if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
		n = conn_read(c, in, sizeof(in), PROBE_PROTOCOL);
		if (n < 0)
			return;
		v = dialogue_feed(&c->dlg, in, (size_t)n);
	}
	switch (v) {
	case DIALOGUE_MORE:
		(void)dialogue_flush(c);
		return;
	case DIALOGUE_TLS:
		tls_begin(r, c);
		return;
	case DIALOGUE_NO_STARTTLS:
		done(c, PROBE_NO_STARTTLS, "%s", c->dlg.why);
		return;
	case DIALOGUE_PROTOCOL:
		done(c, PROBE_PROTOCOL, "%s", c->dlg.why);
		return;
	}
}

/* The address literal of our end (RFC 5321 4.1.3): right on any machine,
 * whatever it calls itself. */
static void literal(int fd, char *ret, size_t len)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	char text[INET6_ADDRSTRLEN] = "127.0.0.1";
	const char *tag = "";

	memset(&ss, 0, sizeof(ss));
	if (getsockname(fd, (struct sockaddr *)&ss, &ss_len) == 0) {
		if (ss.ss_family == AF_INET6) {
			const struct sockaddr_in6 *a6 = (const void *)&ss;

			(void)inet_ntop(
				AF_INET6, &a6->sin6_addr, text, sizeof(text));
			tag = "IPv6:";
		} else if (ss.ss_family == AF_INET) {
			const struct sockaddr_in *a4 = (const void *)&ss;

			(void)inet_ntop(
				AF_INET, &a4->sin_addr, text, sizeof(text));
		}
	}
	(void)snprintf(ret, len, "[%s%s]", tag, text);
}

static void connect_event(struct run *r, struct conn *c)
{
	char own[DIALOGUE_HELO_MAX];
	socklen_t len = sizeof(int);
	int e = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
		e = errno;
	if (e != 0) {
		connect_failed(c, e);
		return;
	}
	if (r->helo[0] == '\0')
		literal(c->fd, own, sizeof(own));
	dialogue_init(
		&c->dlg, c->job->proto, r->helo[0] != '\0' ? r->helo : own);
	c->phase = DIALOGUE;
	c->events = POLLIN;
	if (c->dlg.verdict == DIALOGUE_TLS)
		tls_begin(r, c);
}

static void linger_event(struct conn *c)
{
	char in[4096];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n > 0 && (c->got += (size_t)n) <= HANDSHAKE_MAX)
		return;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	conn_close(c);
}

static void conn_event(struct run *r, struct conn *c, short revents)
{
	switch (c->phase) {
	case CONNECT:
		connect_event(r, c);
		return;
	case DIALOGUE:
		dialogue_event(r, c, revents);
		return;
	case HANDSHAKE:
		handshake_event(r, c, revents);
		return;
	case LINGER:
		linger_event(c);
		return;
	case IDLE:
		return;
	}
}

static void conn_deadline(struct conn *c, const struct probe_limits *lim)
{
	switch (c->phase) {
	case CONNECT:
		done(c, PROBE_NO_CONNECT, "no answer to our connection");
		return;
	case DIALOGUE:
		done(c, PROBE_TIMEOUT, "%s after %lld ms",
			c->dlg.step == DIALOGUE_GREETING
				? "no whole greeting"
				: "stopped in the middle of the dialogue",
			(long long)lim->total_ms);
		return;
	case HANDSHAKE:
		done(c, PROBE_TIMEOUT, "TLS handshake not over after %lld ms",
			(long long)lim->total_ms);
		return;
	case LINGER:
		conn_close(c);
		return;
	case IDLE:
		return;
	}
}

/* ---- the loop ---- */

static void job_reset(struct probe_job *j)
{
	j->result = PROBE_NO_CONNECT;
	memset(&j->spki, 0, sizeof(j->spki));
	j->key_alg = KEY_OTHER;
	j->dane_ok = false;
	j->not_after = 0;
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

static int64_t conn_until(const struct conn *c)
{
	return c->phase == CONNECT ? c->connect_until : c->until;
}

/* Starts jobs on idle connections; returns the index of the next job. */
static size_t fill(struct run *r, struct probe_job *jobs, size_t n, size_t next)
{
	for (size_t i = 0; i < r->n_conn && next < n; i++) {
		struct conn *c = &r->conn[i];

		/* A job may end within conn_open: then take the next one. */
		while (c->phase == IDLE && next < n) {
			c->job = &jobs[next];
			c->alg = c->job->alg;
			c->confirming = false;
			c->until = clock_mono_ms() + r->lim.total_ms;
			if (!conn_open(r, c))
				return next;
			next++;
			if (c->phase != IDLE)
				r->n_busy++;
		}
	}
	return next;
}

static int poll_timeout(const struct run *r)
{
	int64_t now = clock_mono_ms(), first = INT64_MAX;

	for (size_t i = 0; i < r->n_conn; i++) {
		const struct conn *c = &r->conn[i];

		if (c->phase != IDLE && conn_until(c) < first)
			first = conn_until(c);
	}
	if (first <= now)
		return 0;
	return first - now > 60000 ? 60000 : (int)(first - now);
}

static void turn(struct run *r)
{
	int64_t now;

	for (size_t i = 0; i < r->n_conn; i++) {
		r->pfd[i].fd = r->conn[i].phase == IDLE ? -1 : r->conn[i].fd;
		r->pfd[i].events = r->conn[i].events;
		r->pfd[i].revents = 0;
	}
	if (poll(r->pfd, r->n_conn, poll_timeout(r)) < 0 && errno != EINTR) {
		run_fail(r, err_sys(r->err, ST_BUG, errno, "probe: poll"));
		return;
	}
	now = clock_mono_ms();
	r->n_busy = 0;
	for (size_t i = 0; i < r->n_conn; i++) {
		struct conn *c = &r->conn[i];

		if (c->phase == IDLE)
			continue;
		/* The deadline first: a peer that always has one more octet
		 * must not outrun it. */
		if (now >= conn_until(c))
			conn_deadline(c, &r->lim);
		else if (r->pfd[i].revents != 0)
			conn_event(r, c, r->pfd[i].revents);
		if (c->phase != IDLE)
			r->n_busy++;
	}
}

static void defaults(struct probe_limits *l)
{
	if (l->connect_ms <= 0)
		l->connect_ms = CONNECT_MS;
	if (l->total_ms <= 0)
		l->total_ms = TOTAL_MS;
	if (l->at_once <= 0)
		l->at_once = AT_ONCE;
}

enum status probe_run(struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	struct run r = { .st = ST_OK, .err = err };
	size_t next = 0;

	if (lim != NULL)
		r.lim = *lim;
	defaults(&r.lim);
	for (size_t i = 0; i < n; i++)
		job_reset(&jobs[i]);
	if (n == 0)
		return ST_OK;
	r.n_conn = n < (size_t)r.lim.at_once ? n : (size_t)r.lim.at_once;
	r.conn = calloc(r.n_conn, sizeof(*r.conn));
	r.pfd = calloc(r.n_conn, sizeof(*r.pfd));
	if (r.conn == NULL || r.pfd == NULL) {
		free(r.conn);
		free(r.pfd);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < r.n_conn; i++)
		r.conn[i].fd = -1;
	own_name(r.helo, sizeof(r.helo));
	while (r.st == ST_OK) {
		next = fill(&r, jobs, n, next);
		if (r.n_busy == 0 && next == n)
			break;
		turn(&r);
	}
	for (size_t i = 0; i < r.n_conn; i++)
		conn_close(&r.conn[i]);
	probe_tls_release(&r.tls);
	free(r.conn);
	free(r.pfd);
	return r.st;
}
