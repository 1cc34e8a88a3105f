/*
 * The delegation of many zones, asked over sockets of our own: UDP from a
 * connected socket (the kernel picks a random port and drops what does not
 * come from the server), a random ID, and what does not answer our question is
 * ignored; TCP when the answer is truncated. Each server of the parent is
 * tried in turn, twice over. Every read has a limit and every try a deadline.
 * (RFC 5452 9, RFC 7766)
 */
#include "hook/dns/referral.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>

#define AT_ONCE 64 /* jobs with an open socket */
#define ROUNDS 2
#define SERVERS_MAX 8 /* per job and round */
#define UDP_TRY_MS 1500
#define TCP_TRY_MS 4000

struct asking {
	struct referral_job *job;
	size_t tries;
	int fd; /* -1: not asking */
	bool tcp;
	uint16_t id;
	int64_t until;
	uint8_t query[2 + REFERRAL_QUERY_MAX]; /* with the length for TCP */
	size_t query_len;
	size_t sent;
	uint8_t *stream; /* ANSWER_MAX octets while tcp, with the length */
	size_t got;
};

#define ANSWER_MAX (2 + 65535)
#define UDP_MAX 4096 /* we offer 1232 */

static const struct dns_addr *server_of(const struct asking *a)
{
	return &a->job->server[a->tries % a->job->n_servers];
}

static size_t tries_max(const struct asking *a)
{
	size_t n = a->job->n_servers;

	return ROUNDS * (n < SERVERS_MAX ? n : SERVERS_MAX);
}

static void hang_up(struct asking *a)
{
	if (a->fd >= 0)
		(void)close(a->fd);
	free(a->stream);
	a->stream = NULL;
	a->fd = -1;
	a->tcp = false;
}

/* This server was of no use: say so and go to the next. */
static void next_server(struct asking *a, const char *what)
{
	(void)snprintf(a->job->why, sizeof(a->job->why), "%s: %s",
		server_of(a)->text, what);
	hang_up(a);
	a->tries++;
}

static bool open_socket(struct asking *a, bool tcp)
{
	const struct dns_addr *s = server_of(a);
	int type =
		(tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;

	a->fd = socket(s->ss.ss_family, type, 0);
	if (a->fd < 0)
		return false;
	a->tcp = tcp;
	a->sent = a->got = 0;
	a->until = clock_mono_ms() + (tcp ? TCP_TRY_MS : UDP_TRY_MS);
	return connect(a->fd, (const struct sockaddr *)&s->ss, s->len) == 0 ||
	       errno == EINPROGRESS;
}

static enum status make_query(struct asking *a, struct err *err)
{
	size_t len = 0;

	if (getrandom(&a->id, sizeof(a->id), 0) != (ssize_t)sizeof(a->id))
		return err_sys(err, ST_IO, errno, "no random numbers");
	if (codec_referral_query(
		    a->job->zone, a->id, a->query + 2, &len, err) != ST_OK)
		return err->st;
	a->query[0] = (uint8_t)(len >> 8);
	a->query[1] = (uint8_t)len;
	a->query_len = 2 + len;
	return ST_OK;
}

/* Moves on until a server can be asked, or none is left. */
static enum status ask_udp(struct asking *a, struct err *err)
{
	while (a->fd < 0 && a->tries < tries_max(a)) {
		if (make_query(a, err) != ST_OK)
			return err->st;
		if (!open_socket(a, false) ||
			send(a->fd, a->query + 2, a->query_len - 2,
				MSG_NOSIGNAL) < 0)
			next_server(a, strerror(errno));
	}
	return ST_OK;
}

static void ask_tcp(struct asking *a)
{
	hang_up(a);
	a->stream = malloc(ANSWER_MAX);
	if (a->stream == NULL || !open_socket(a, true))
		next_server(a, strerror(errno));
}

static void judge(struct asking *a, const uint8_t *wire, size_t len)
{
	char why[160] = "";

	switch (codec_referral_parse(wire, len, a->job->zone, a->id,
		&a->job->referral, why, sizeof(why))) {
	case REFERRAL_OK:
		a->job->ok = true;
		a->job->why[0] = '\0';
		hang_up(a);
		break;
	case REFERRAL_TRUNCATED:
		if (a->tcp)
			next_server(a, "truncated answer over TCP");
		else
			ask_tcp(a);
		break;
	case REFERRAL_FOREIGN:
		/* Over UDP anybody can send rubbish: go on listening. */
		if (a->tcp)
			next_server(a, "an answer to something else");
		break;
	case REFERRAL_USELESS:
		next_server(a, why);
		break;
	}
}

static bool again(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static void on_udp(struct asking *a)
{
	uint8_t wire[UDP_MAX];
	ssize_t got = recv(a->fd, wire, sizeof(wire), 0);

	if (got >= 0)
		judge(a, wire, (size_t)got);
	else if (!again())
		next_server(a, strerror(errno));
}

static void tcp_write(struct asking *a)
{
	ssize_t put = send(a->fd, a->query + a->sent, a->query_len - a->sent,
		MSG_NOSIGNAL);

	if (put >= 0)
		a->sent += (size_t)put;
	else if (!again())
		next_server(a, strerror(errno));
}

static void tcp_read(struct asking *a)
{
	size_t want = 2;
	ssize_t got;

	if (a->got >= 2)
		want += (size_t)a->stream[0] << 8 | a->stream[1];
	got = recv(a->fd, a->stream + a->got, want - a->got, 0);
	if (got < 0 && again())
		return;
	if (got <= 0) {
		next_server(
			a, got < 0 ? strerror(errno) : "closed the connection");
		return;
	}
	a->got += (size_t)got;
	if (a->got < 2)
		return;
	want = 2 + ((size_t)a->stream[0] << 8 | a->stream[1]);
	if (a->got == want)
		judge(a, a->stream + 2, want - 2);
}

static void on_ready(struct asking *a)
{
	if (!a->tcp)
		on_udp(a);
	else if (a->sent < a->query_len)
		tcp_write(a);
	else
		tcp_read(a);
}

static bool finished(const struct asking *a)
{
	return a->job->ok || a->tries >= tries_max(a);
}

static enum status wait_any(
	struct asking *a[], size_t n, int64_t deadline, struct err *err)
{
	struct pollfd pfd[AT_ONCE];
	int64_t now, until = deadline;
	int rc;

	for (size_t i = 0; i < n; i++) {
		pfd[i].fd = a[i]->fd;
		pfd[i].events = a[i]->tcp && a[i]->sent < a[i]->query_len
					? POLLOUT
					: POLLIN;
		pfd[i].revents = 0;
		if (a[i]->until < until)
			until = a[i]->until;
	}
	now = clock_mono_ms();
	rc = poll(pfd, (nfds_t)n, until > now ? (int)(until - now) : 0);
	if (rc < 0 && errno != EINTR)
		return err_sys(err, ST_IO, errno, "poll");
	now = clock_mono_ms();
	for (size_t i = 0; i < n; i++) {
		if (rc > 0 && pfd[i].revents != 0)
			on_ready(a[i]);
		else if (now >= a[i]->until)
			next_server(a[i], "no answer");
	}
	return ST_OK;
}

/* Puts what can be asked into live[], at most AT_ONCE. */
static enum status fill(struct asking *all, size_t n, struct asking *live[],
	size_t *ret_live, struct err *err)
{
	size_t k = 0;

	for (size_t i = 0; i < n && k < AT_ONCE; i++) {
		if (finished(&all[i]))
			continue;
		if (all[i].fd < 0 && ask_udp(&all[i], err) != ST_OK)
			return err->st;
		if (!finished(&all[i]))
			live[k++] = &all[i];
	}
	*ret_live = k;
	return ST_OK;
}

static enum status ask_all(
	struct asking *all, size_t n, int64_t deadline, struct err *err)
{
	struct asking *live[AT_ONCE];
	size_t k = 0;

	while (clock_mono_ms() < deadline) {
		if (fill(all, n, live, &k, err) != ST_OK)
			return err->st;
		if (k == 0)
			break;
		if (wait_any(live, k, deadline, err) != ST_OK)
			return err->st;
	}
	return ST_OK;
}

enum status referral_ask(struct referral_job *const job[], size_t n,
	int64_t deadline_ms, struct err *err)
{
	struct asking *all = calloc(n > 0 ? n : 1, sizeof(*all));
	enum status st;

	if (all == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		all[i].job = job[i];
		all[i].fd = -1;
		/* tries_max is 0 then: finished before it began. */
		job[i]->ok = false;
		(void)snprintf(job[i]->why, sizeof(job[i]->why), "%s",
			job[i]->n_servers > 0 ? "not asked in time"
					      : "no server to ask");
	}
	st = ask_all(all, n, clock_mono_ms() + deadline_ms, err);
	for (size_t i = 0; i < n; i++)
		hang_up(&all[i]);
	free(all);
	return st;
}
