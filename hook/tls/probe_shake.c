/*
 * The TLS handshake of a probe's connection, over memory BIOs, so that every
 * octet passes through here and is counted; and what a failed one means.
 *
 * Invariants: unless the job is tentative, "no certificate of this kind" and
 * "not this version" are only said after another connection has shown that TLS
 * works there otherwise, or when the server has named the version as its
 * reason: the alert for the rest is also what a wholly broken server sends.
 * Some servers (Dovecot, slapd, Schannel) close the connection instead of
 * sending an alert, and so does one that is overloaded: then a third
 * connection, as the first, must end in the same way.
 */
#include "hook/tls/probe_int.h"

#include "hook/base/clock.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define LINGER_MS 250

static enum probe_alg alg_now(const struct conn *c)
{
	return c->look == LOOK_FIRST || c->look == LOOK_SURE ? c->job->alg
							     : PROBE_ANY;
}

static enum probe_version version_now(const struct conn *c)
{
	return c->look == LOOK_VERSION ? PROBE_TLS_ANY : c->job->version;
}

/* Moves what OpenSSL wants to send to the socket. 0, or an errno. */
static int flush(struct conn *c)
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
			c->events |= EPOLLOUT;
			return 0;
		}
		(void)BIO_read(out, drop, (int)sent);
	}
	c->events &= ~(uint32_t)EPOLLOUT;
	return 0;
}

/* One close_notify, then read until the peer has closed too. */
static void goodbye(struct conn *c)
{
	int64_t until = clock_mono_ms() + LINGER_MS;

	(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	(void)flush(c);
	(void)shutdown(c->fd, SHUT_WR);
	c->phase = LINGER;
	c->events = EPOLLIN;
	c->got = 0;
	if (until < c->until)
		c->until = until;
}

static void first_look_ends(struct run *r, struct conn *c)
{
	bool leaf = false;
	enum status st = probe_tls_judge(c->ssl, c->job, &leaf, r->err);

	if (st != ST_OK)
		run_fail_(r, st);
	conn_result_(c, leaf ? PROBE_SERVED : PROBE_HANDSHAKE);
}

/* The last look of a job that was refused; why has been written. */
static void last_look_ends(
	struct run *r, struct conn *c, enum probe_result result)
{
	if (!c->closed) {
		conn_result_(c, result);
		goodbye(c);
		return;
	}
	(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
	(void)flush(c);
	c->pending = result;
	conn_again_(r, c, LOOK_SURE);
}

/* TLS works there with any algorithm. */
static void alg_look_ends(struct run *r, struct conn *c)
{
	struct probe_job *j = c->job;
	const char *alg = probe_alg_name(j->alg);

	if (probe_tls_is_kind(c->ssl, j->alg)) {
		(void)snprintf(j->why, sizeof(j->why),
			"it has an %s key, but does not serve it to a client "
			"that takes only %s: %s",
			alg, alg, c->first_failure);
		last_look_ends(r, c, PROBE_HANDSHAKE);
		return;
	}
	(void)snprintf(j->why, sizeof(j->why),
		"TLS works, but there is no %s key: %s", alg, c->first_failure);
	last_look_ends(r, c, PROBE_NO_CERT);
}

/* TLS works there with any version. */
static void version_look_ends(struct run *r, struct conn *c)
{
	struct probe_job *j = c->job;

	if (SSL_version(c->ssl) == TLS1_3_VERSION) {
		(void)snprintf(j->why, sizeof(j->why),
			"it speaks %s, but not with a client that takes "
			"nothing else: %s",
			probe_version_name(j->version), c->first_failure);
		last_look_ends(r, c, PROBE_HANDSHAKE);
		return;
	}
	(void)snprintf(j->why, sizeof(j->why),
		"TLS works, but it does not speak %s: %s",
		probe_version_name(j->version), c->first_failure);
	last_look_ends(r, c, PROBE_NO_VERSION);
}

static void shake_done(struct run *r, struct conn *c)
{
	switch (c->look) {
	case LOOK_FIRST:
	case LOOK_SURE:
		first_look_ends(r, c);
		goodbye(c);
		break;
	case LOOK_ALG:
		alg_look_ends(r, c);
		break;
	case LOOK_VERSION:
		version_look_ends(r, c);
		break;
	}
}

static void no_version(struct conn *c, const char *text)
{
	conn_done_(c, PROBE_NO_VERSION, "it does not speak %s: %s",
		probe_version_name(c->job->version), text);
}

/* A server that knows no TLS 1.3 may take our greeting for one of TLS 1.2 that
 * has no cipher it knows: then it cannot tell that the version is at fault.
 * With TLS 1.2 forced it can. */
static bool version_may_be_it(const struct conn *c)
{
	return version_now(c) == PROBE_TLS13;
}

/* The server did not want what we asked for; text says how it put it. */
static void refused(struct run *r, struct conn *c, const char *text)
{
	const struct probe_job *j = c->job;

	if (c->look == LOOK_SURE) {
		conn_result_(c, c->pending); /* with the reason it had */
		conn_close_(c);
		return;
	}
	if (c->look == LOOK_FIRST)
		(void)snprintf(
			c->first_failure, sizeof(c->first_failure), "%s", text);
	if (j->tentative && j->alg != PROBE_ANY)
		conn_done_(c, PROBE_NO_CERT,
			"refused a client that takes only %s: %s",
			probe_alg_name(j->alg), text);
	else if (j->tentative && version_may_be_it(c))
		conn_done_(c, PROBE_NO_VERSION,
			"refused a client that takes only %s: %s",
			probe_version_name(j->version), text);
	else if (c->look == LOOK_FIRST && j->alg != PROBE_ANY)
		conn_again_(r, c, LOOK_ALG);
	else if (version_may_be_it(c) && !j->tentative)
		conn_again_(r, c, LOOK_VERSION);
	else if (c->look != LOOK_FIRST)
		conn_done_(c, PROBE_HANDSHAKE, "TLS: %s (as asked first: %s)",
			text, c->first_failure);
	else
		conn_done_(c, PROBE_HANDSHAKE, "TLS: %s", text);
}

static void shake_failed(struct run *r, struct conn *c)
{
	char text[96];
	enum tls_failure f = probe_tls_failure(text, sizeof(text));

	(void)flush(c); /* our alert, so that the server's log says why */
	if (f == TLS_FAILURE_VERSION && version_now(c) != PROBE_TLS_ANY)
		no_version(c, text);
	else if (f == TLS_FAILURE_REFUSED)
		refused(r, c, text);
	else if (c->look != LOOK_FIRST)
		conn_done_(c, PROBE_HANDSHAKE, "TLS: %s (as asked first: %s)",
			text, c->first_failure);
	else
		conn_done_(c, PROBE_HANDSHAKE, "TLS: %s%s", text,
			f == TLS_FAILURE_VERSION
				? " (it must speak TLS 1.2 or newer)"
				: "");
}

/* Closed or reset. Before the first octet it may be an answer to what we asked
 * for; while nothing was forced it is not. */
static void shake_lost(struct run *r, struct conn *c, int e)
{
	if (c->got == 0 && (alg_now(c) != PROBE_ANY || version_may_be_it(c))) {
		c->closed = true;
		refused(r, c, "it closed the connection in the TLS handshake");
	} else if (e == 0) {
		conn_done_(c, PROBE_HANDSHAKE,
			"it closed the connection in the TLS handshake");
	} else {
		conn_done_errno_(
			c, PROBE_HANDSHAKE, "reading in the TLS handshake", e);
	}
}

static void shake_step(struct run *r, struct conn *c)
{
	int ret, e, why;

	ERR_clear_error();
	ret = SSL_do_handshake(c->ssl);
	if (ret == 1) {
		/* Our last flight leaves together with the good-bye. */
		shake_done(r, c);
		return;
	}
	why = SSL_get_error(c->ssl, ret);
	if (why != SSL_ERROR_WANT_READ) {
		shake_failed(r, c);
		return;
	}
	e = flush(c);
	if (e != 0)
		conn_done_errno_(c, PROBE_HANDSHAKE, "sending during TLS", e);
}

void shake_begin_(struct run *r, struct conn *c)
{
	enum status st = probe_tls_new(
		&r->tls, c->job, alg_now(c), version_now(c), &c->ssl, r->err);

	if (st != ST_OK) {
		run_fail_(r, st);
		conn_done_(c, PROBE_HANDSHAKE, "%s", "internal error");
		return;
	}
	c->phase = HANDSHAKE;
	c->events = EPOLLIN;
	c->got = 0;
	shake_step(r, c);
}

void shake_event_(struct run *r, struct conn *c, uint32_t events)
{
	char in[8192];
	ssize_t n = 0;
	int e;

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
		n = conn_recv_(c, in, sizeof(in), &e);
		if (n < 0) {
			shake_lost(r, c, e);
			return;
		}
		if (c->got > PROBE_OCTETS_MAX) {
			conn_done_(c, PROBE_HANDSHAKE,
				"more than %d octets in the TLS handshake",
				PROBE_OCTETS_MAX);
			return;
		}
		if (n > 0 && BIO_write(SSL_get_rbio(c->ssl), in, (int)n) != n) {
			run_fail_(
				r, err_set(r->err, ST_NOMEM, "out of memory"));
			conn_done_(c, PROBE_HANDSHAKE, "%s", "out of memory");
			return;
		}
	}
	shake_step(r, c);
}
