/*
 * Name servers that answer by a table: one child process each on 127.0.0.1,
 * UDP and TCP on the same port. What no rule is about is denied with the SOA of
 * example.test.
 */
#ifndef DANELAW_TESTS_DNS_RULES_H
#define DANELAW_TESTS_DNS_RULES_H

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hook/dns/authority.h"
#include "hook/dns/codec.h"
#include "tests/unit/dns_fixture.h"

#define SERVERS_MAX 8
#define RULE_CONNS 16

struct rule {
	const char *name; /* NULL: all names */
	uint16_t type;    /* 0: all types */
	unsigned int rcode;
	bool silent, lame, truncate; /* truncate: over UDP */
	bool garbage;
	const char *replay; /* this packet, with the right ID and flags RD, RA
			     */
	bool strip;         /* replay: its RRSIGs become another type */
	uint16_t rr_type;   /* answer: records of this type, RDATA in hex */
	const char *rr[3];
};

struct behaviour {
	bool udp_silent;
	bool tcp_silent, tcp_refused;
	unsigned int tcp_only;  /* answers on a connection, then silence */
	unsigned int tcp_close; /* closes after so many answers */
	uint32_t serial;
	const struct rule *rule;
	size_t n;
};

static pid_t rule_child[SERVERS_MAX];
static size_t rule_children;

static size_t rules_put16(uint8_t *w, size_t n, unsigned int v)
{
	w[n] = (uint8_t)(v >> 8);
	w[n + 1] = (uint8_t)v;
	return n + 2;
}

static size_t rules_put32(uint8_t *w, size_t n, uint32_t v)
{
	return rules_put16(w, rules_put16(w, n, v >> 16), v & 0xffff);
}

static size_t rules_put_soa(uint8_t *w, size_t n, uint32_t serial)
{
	static const uint8_t apex[] = "\7example\4test";

	memcpy(w + n, apex, sizeof(apex));
	n = rules_put16(w, n + sizeof(apex), RRTYPE_SOA);
	n = rules_put16(w, n, 1);
	n = rules_put32(w, n, 3600);
	n = rules_put16(w, n, 22);
	w[n] = w[n + 1] = 0;
	n = rules_put32(w, n + 2, serial);
	n = rules_put32(w, n, 7200);
	n = rules_put32(w, n, 1800);
	n = rules_put32(w, n, 604800);
	return rules_put32(w, n, 300);
}

/* Answers with ID and RD as asked, RA set; returns the length. */
static size_t rules_replay(const struct rule *r, const uint8_t *q, uint8_t *w)
{
	size_t n = fix_hex(r->replay, w);

	memcpy(w, q, 2);
	w[2] = (uint8_t)(w[2] | (q[2] & 1));
	w[3] |= 0x80;
	for (size_t i = 12; r->strip && i + 3 < n; i++)
		if (w[i] == 0 && w[i + 1] == RRTYPE_RRSIG && w[i + 2] == 0 &&
			w[i + 3] == 1)
			w[i] = 0xff;
	return n;
}

/* Returns the length of the answer; 0: none. */
static size_t rules_answer(const struct behaviour *b, const uint8_t *q,
	size_t qlen, bool tcp, uint8_t *w)
{
	struct codec_name name, want;
	const struct rule *r = NULL;
	uint16_t type;
	size_t n = 0;

	if (!codec_name_read(q, qlen, 12, &name, &n) || n + 4 > qlen)
		return 0;
	type = (uint16_t)(q[n] << 8 | q[n + 1]);
	n += 4;
	for (size_t i = 0; i < b->n && r == NULL; i++)
		if ((b->rule[i].type == 0 || b->rule[i].type == type) &&
			(b->rule[i].name == NULL ||
				(codec_name_set(&want, b->rule[i].name) &&
					codec_name_eq(&want, &name))))
			r = &b->rule[i];
	if (r != NULL && r->silent)
		return 0;
	if (r != NULL && r->replay != NULL)
		return rules_replay(r, q, w);
	memcpy(w, q, n);
	w[2] = (uint8_t)((r != NULL && r->lame ? 0x80 : 0x84) | (q[2] & 1));
	w[3] = (uint8_t)(0x80 | (r != NULL ? r->rcode : 0));
	memset(w + 6, 0, 6);
	if (r != NULL && r->truncate && !tcp) {
		w[2] |= 2;
		return n;
	}
	if (r != NULL && r->rcode != 0 && r->rcode != 3)
		return n;
	for (size_t i = 0; r != NULL && i < 3 && r->rr[i] != NULL; i++) {
		size_t at;

		w[7]++;
		n = rules_put16(w, n, 0xc00c);
		n = rules_put16(w, n, r->rr_type);
		n = rules_put16(w, n, 1);
		n = rules_put32(w, n, 3600 + (uint32_t)i);
		at = n;
		n += 2 + fix_hex(r->rr[i], w + n + 2);
		(void)rules_put16(w, at, (unsigned int)(n - at - 2));
	}
	if (w[7] == 0) {
		w[type == RRTYPE_SOA && name.len == 14 ? 7 : 9] = 1;
		n = rules_put_soa(w, n, b->serial);
	}
	if (r != NULL && r->garbage)
		memset(w + 12, 0xc0, n - 12);
	return n;
}

struct rule_peer {
	int fd;
	unsigned int answered;
	size_t len;
	uint8_t in[8192];
};

static void rules_tcp(const struct behaviour *b, struct rule_peer *p)
{
	ssize_t got = recv(
		p->fd, p->in + p->len, sizeof(p->in) - p->len, MSG_DONTWAIT);
	size_t at = 0;

	if (got <= 0) {
		(void)close(p->fd);
		p->fd = -1;
		return;
	}
	p->len += (size_t)got;
	while (p->len - at >= 2) {
		size_t len = (size_t)(p->in[at] << 8 | p->in[at + 1]), n = 0;
		uint8_t w[4096];

		if (p->len - at - 2 < len)
			break;
		if (!b->tcp_silent &&
			(b->tcp_only == 0 || p->answered < b->tcp_only))
			n = rules_answer(b, p->in + at + 2, len, true, w + 2);
		at += 2 + len;
		if (n == 0)
			continue;
		(void)rules_put16(w, 0, (unsigned int)n);
		(void)send(p->fd, w, n + 2, MSG_NOSIGNAL);
		if (++p->answered == b->tcp_close) {
			(void)shutdown(p->fd, SHUT_WR);
			(void)close(p->fd);
			p->fd = -1;
			return;
		}
	}
	p->len -= at;
	memmove(p->in, p->in + at, p->len);
}

static void rules_udp(const struct behaviour *b, int fd)
{
	struct sockaddr_storage from;
	socklen_t flen = sizeof(from);
	uint8_t q[1024], w[4096];
	ssize_t got =
		recvfrom(fd, q, sizeof(q), 0, (struct sockaddr *)&from, &flen);
	size_t n;

	if (got < 12 || b->udp_silent)
		return;
	n = rules_answer(b, q, (size_t)got, false, w);
	if (n > 0)
		(void)sendto(fd, w, n, 0, (const struct sockaddr *)&from, flen);
}

static void rules_serve(const struct behaviour *b, int udp, int tcp)
{
	static struct rule_peer peer[RULE_CONNS];
	struct pollfd fd[RULE_CONNS + 2];

	for (int i = 0; i < RULE_CONNS; i++)
		peer[i].fd = -1;
	for (;;) {
		fd[0] = (struct pollfd){ .fd = udp, .events = POLLIN };
		fd[1] = (struct pollfd){ .fd = b->tcp_refused ? -1 : tcp,
			.events = POLLIN };
		for (int i = 0; i < RULE_CONNS; i++)
			fd[i + 2] = (struct pollfd){ .fd = peer[i].fd,
				.events = POLLIN };
		if (poll(fd, RULE_CONNS + 2, -1) < 0)
			_exit(1);
		if (fd[0].revents != 0)
			rules_udp(b, udp);
		for (int i = 0; i < RULE_CONNS; i++)
			if (fd[i + 2].revents != 0)
				rules_tcp(b, &peer[i]);
		for (int i = 0; i < RULE_CONNS && fd[1].revents != 0; i++) {
			if (peer[i].fd >= 0)
				continue;
			peer[i] = (struct rule_peer){ .fd = accept(tcp, NULL,
							      NULL) };
			break;
		}
	}
}

/* On return its sockets are open. Refused TCP: the port is ours, but closed. */
static void rules_start(const struct behaviour *b, struct dns_addr *ret)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int udp = -1, tcp = -1;
	pid_t pid;

	assert_true(rule_children < SERVERS_MAX);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 100; i++) {
		udp = socket(AF_INET, SOCK_DGRAM, 0);
		tcp = socket(AF_INET, SOCK_STREAM, 0);
		sin.sin_port = 0;
		assert_int_equal(bind(udp, (struct sockaddr *)&sin, len), 0);
		assert_int_equal(
			getsockname(udp, (struct sockaddr *)&sin, &len), 0);
		if (bind(tcp, (struct sockaddr *)&sin, len) == 0 &&
			(b->tcp_refused || listen(tcp, RULE_CONNS) == 0))
			break;
		(void)close(udp);
		(void)close(tcp);
		tcp = -1;
	}
	assert_true(tcp >= 0);
	assert_true(dns_addr_parse("127.0.0.1", ntohs(sin.sin_port), ret));
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		rules_serve(b, udp, tcp);
		_exit(0);
	}
	assert_true(pid > 0);
	rule_child[rule_children++] = pid;
	(void)close(udp);
	(void)close(tcp);
}

static void rules_stop(void)
{
	while (rule_children > 0) {
		pid_t pid = rule_child[--rule_children];

		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
}

#endif
