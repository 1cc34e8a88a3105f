/*
 * A name server that misbehaves on purpose: a child process on 127.0.0.1 that
 * answers by UDP and TCP as its script says, for example.test. Names that start
 * with "absent" are denied, all others have one TLSA record.
 */
#ifndef DANELAW_TESTS_DNS_SCRIPT_H
#define DANELAW_TESTS_DNS_SCRIPT_H

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hook/dns/authority.h"
#include "tests/unit/dns_fixture.h"

#define CONNS 32
#define SERIAL 2026112101U

struct script {
	bool udp_silent, tcp_silent, tcp_refuse;
	unsigned int rcode; /* of every answer */
	bool lame, referral, truncate, forge, garbage, drip, reverse, cname;
	bool wrong_soa, no_soa;
	unsigned int drop_every;  /* lose every n-th datagram */
	unsigned int close_after; /* answers on one TCP connection */
	unsigned int answer_only; /* so many, then nothing more */
	bool slow;                /* 15 ms before each TCP answer */
	const char *replay;       /* this packet, with the right ID */
};

struct peer {
	int fd;
	uint8_t in[65536];
	size_t len;
	unsigned int answered;
	uint8_t out[65536]; /* held back, for reverse */
	size_t out_len;
};

static struct peer peers[CONNS];
static unsigned int datagrams;

static size_t put(uint8_t *w, size_t n, const void *p, size_t len)
{
	memcpy(w + n, p, len);
	return n + len;
}

static size_t put_soa(uint8_t *w, size_t n, bool wrong)
{
	static const uint8_t right[] = "\7example\4test";
	static const uint8_t other[] = "\5other\4test";
	static const uint8_t soa[] = { 0, 6, 0, 1, 0, 0, 0x0e, 0x10, 0, 22, 0,
		0, SERIAL >> 24, SERIAL >> 16 & 255, SERIAL >> 8 & 255,
		SERIAL & 255, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 1,
		0x2c };

	n = wrong ? put(w, n, other, sizeof(other))
		  : put(w, n, right, sizeof(right));
	return put(w, n, soa, sizeof(soa));
}

/* Returns the length of the answer to a query. */
static size_t answer(
	const struct script *s, const uint8_t *q, size_t qlen, uint8_t *w)
{
	static const uint8_t tlsa[] = { 0xc0, 12, 0, 52, 0, 1, 0, 0, 0x0e, 0x10,
		0, 35, 3, 1, 1 };
	static const uint8_t alias[] = { 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0,
		2, 0xc0, 12 };
	static const uint8_t refer[] = { 0xc0, 12, 0, 2, 0, 1, 0, 0, 0, 60, 0,
		2, 0xc0, 12 };
	bool absent = memcmp(q + 13, "absent", 6) == 0;
	size_t n = qlen - 11; /* without the OPT record */
	bool soa = q[n - 3] == 6;

	if (s->replay != NULL && !soa) {
		n = fix_hex(s->replay, w);
		memcpy(w, q, 2);
		return n;
	}
	memcpy(w, q, n);
	w[2] = s->lame || s->referral ? 0x80 : 0x84;
	w[3] = (uint8_t)s->rcode;
	memset(w + 6, 0, 6);
	if (s->rcode != 0)
		return n;
	if (s->referral) {
		w[9] = 1;
		return put(w, n, refer, sizeof(refer));
	}
	if (s->cname) {
		w[7] = 1;
		return put(w, n, alias, sizeof(alias));
	}
	if (soa || (absent && !s->no_soa)) {
		w[soa ? 7 : 9] = 1;
		return put_soa(w, n, s->wrong_soa);
	}
	if (absent)
		return n;
	w[7] = 1;
	n = put(w, n, tlsa, sizeof(tlsa));
	memset(w + n, 0x11, 32);
	return n + 32;
}

static void serve_udp(const struct script *s, int fd)
{
	uint8_t q[600], w[4096];
	struct sockaddr_storage from;
	socklen_t flen = sizeof(from);
	const struct sockaddr *to = (const struct sockaddr *)&from;
	ssize_t got =
		recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &flen);
	size_t n;

	if (got < 30 || s->udp_silent ||
		(s->drop_every != 0 && ++datagrams % s->drop_every == 0))
		return;
	n = answer(s, q, (size_t)got, w);
	if (s->forge) {
		(void)sendto(fd, "junk", 4, 0, to, flen);
		w[0] ^= 0x55; /* an ID that is not theirs */
		w[3] = 3;
		(void)sendto(fd, w, n, 0, to, flen);
		w[0] ^= 0x55;
		w[14] ^= 1; /* another question */
		(void)sendto(fd, w, n, 0, to, flen);
		w[14] ^= 1;
		w[3] = 0;
		(void)sendto(fd, w, n - 1, 0, to, flen); /* cut short */
	}
	if (s->garbage)
		memset(w + 12, 0xc0, n - 12);
	if (s->truncate) {
		w[2] |= 2;
		memset(w + 6, 0, 6);
		n = (size_t)got - 11;
	}
	(void)sendto(fd, w, n, 0, to, flen);
}

static void peer_close(struct peer *p)
{
	(void)close(p->fd);
	p->fd = -1;
}

static void peer_send(
	const struct script *s, struct peer *p, const uint8_t *w, size_t n)
{
	uint8_t frame[5000] = { (uint8_t)(n >> 8), (uint8_t)n };

	memcpy(frame + 2, w, n);
	if (!s->reverse) {
		(void)send(p->fd, frame, n + 2, MSG_NOSIGNAL);
		return;
	}
	if (p->out_len + n + 2 > sizeof(p->out))
		return;
	memmove(p->out + n + 2, p->out, p->out_len);
	memcpy(p->out, frame, n + 2);
	p->out_len += n + 2;
}

static void serve_tcp(const struct script *s, struct peer *p)
{
	uint8_t w[4096];
	ssize_t got = recv(
		p->fd, p->in + p->len, sizeof(p->in) - p->len, MSG_DONTWAIT);
	size_t at = 0;

	if (got <= 0 || s->tcp_refuse) {
		peer_close(p);
		return;
	}
	p->len += (size_t)got;
	while (p->len - at >= 2 && !s->tcp_silent && !s->drip) {
		size_t n = (size_t)(p->in[at] << 8 | p->in[at + 1]);

		if (p->len - at - 2 < n)
			break;
		if (s->slow)
			(void)poll(NULL, 0, 15);
		if (s->answer_only == 0 || p->answered < s->answer_only)
			peer_send(s, p, w, answer(s, p->in + at + 2, n, w));
		at += 2 + n;
		if (++p->answered == s->close_after) {
			(void)shutdown(p->fd, SHUT_WR);
			peer_close(p);
			return;
		}
	}
	if (s->reverse && p->out_len > 0) {
		(void)send(p->fd, p->out, p->out_len, MSG_NOSIGNAL);
		p->out_len = 0;
	}
	p->len -= at;
	memmove(p->in, p->in + at, p->len);
}

static void serve(const struct script *s, int udp, int tcp)
{
	struct pollfd fd[CONNS + 2];

	for (int i = 0; i < CONNS; i++)
		peers[i].fd = -1;
	for (;;) {
		fd[0] = (struct pollfd){ .fd = udp, .events = POLLIN };
		fd[1] = (struct pollfd){ .fd = tcp, .events = POLLIN };
		for (int i = 0; i < CONNS; i++)
			fd[i + 2] = (struct pollfd){ .fd = peers[i].fd,
				.events = POLLIN };
		if (poll(fd, CONNS + 2, s->drip ? 5 : -1) < 0)
			_exit(1);
		if (fd[0].revents != 0)
			serve_udp(s, udp);
		for (int i = 0; i < CONNS; i++) {
			if (fd[i + 2].revents != 0)
				serve_tcp(s, &peers[i]);
			if (s->drip && peers[i].fd >= 0)
				(void)send(peers[i].fd, "\1", 1, MSG_NOSIGNAL);
		}
		for (int i = 0; i < CONNS && fd[1].revents != 0; i++) {
			if (peers[i].fd >= 0)
				continue;
			peers[i] =
				(struct peer){ .fd = accept(tcp, NULL, NULL) };
			break;
		}
	}
}

static pid_t child;

/* Starts the server; on return its sockets are open. */
static void start(const struct script *s, struct dns_addr *ret)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int udp, tcp = -1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* A port that is free for both. */
	for (int i = 0; i < 100; i++) {
		udp = socket(AF_INET, SOCK_DGRAM, 0);
		tcp = socket(AF_INET, SOCK_STREAM, 0);
		sin.sin_port = 0;
		assert_int_equal(bind(udp, (struct sockaddr *)&sin, len), 0);
		assert_int_equal(
			getsockname(udp, (struct sockaddr *)&sin, &len), 0);
		if (bind(tcp, (struct sockaddr *)&sin, len) == 0 &&
			listen(tcp, CONNS) == 0)
			break;
		(void)close(udp);
		(void)close(tcp);
		tcp = -1;
	}
	assert_true(tcp >= 0);
	*ret = (struct dns_addr){ .len = sizeof(sin) };
	memcpy(&ret->ss, &sin, sizeof(sin));
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(s, udp, tcp);
		_exit(0);
	}
	assert_true(child > 0);
	(void)close(udp);
	(void)close(tcp);
}

static void stop(void)
{
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

#endif
