/*
 * check_probe MODE PREFIX COUNT ROUNDS SPKI VERSION: handshakes a second of
 * danelaw's probe against those of a loop that does nothing else. COUNT
 * endpoints PREFIX.1 ... PREFIX.COUNT, one full handshake each, ROUNDS times.
 * All contenders take turns within a round, so that what disturbs one disturbs
 * the others. SPKI: hex, what the endpoints serve. VERSION: 1.2 or 1.3.
 *
 *   bare      one blocking socket after the other, port 465: connect,
 *             SSL_connect, SSL_shutdown, close. No dialogue, nothing verified,
 *             nothing looked at
 *   starttls  the same with the dialogue on port 25 before it
 *   flight    as many as the probe has at once, port 465, non-blocking: what
 *             one thread can reach when it does not wait for the server
 *   probe-465 probe_run, implicit TLS, DANE
 *   probe-25  probe_run, STARTTLS, DANE: what promote and retire rely on
 *   check-25  and the chain taken apart, as danelaw check wants it
 *
 * MODE: "all", or one of these (for a profiler). Prints a line for each:
 * "NAME RATE CPU_US BARE_RATE BARE_CPU FLIGHT_RATE FLIGHT_CPU": RATE in
 * handshakes a second; CPU of this process alone, per handshake; then how many
 * times faster and cheaper than bare and than flight it is, each taken within a
 * round. All are medians. A wrong answer ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "hook/tls/probe.h"

#define COUNT_MAX 255
#define ROUNDS_MAX 200
#define AT_ONCE 64

struct bench {
	const char *prefix;
	size_t n;
	int tls; /* TLS1_2_VERSION ... */
	struct spki served;
	uint8_t other[SPKI_LEN];
	struct probe_tlsa tlsa[2];
	struct probe_job job[COUNT_MAX];
	char host[COUNT_MAX][32];
	SSL_CTX *ctx;
};

struct contender {
	const char *name;
	void (*run)(struct bench *b, uint16_t port);
	uint16_t port;
	double rate[ROUNDS_MAX], cpu[ROUNDS_MAX];
};

static double clock_us(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, size_t n)
{
	double s[ROUNDS_MAX];

	memcpy(s, v, n * sizeof(*v));
	qsort(s, n, sizeof(*s), cmp);
	return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "check_probe: %s: %s\n", what, why);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static struct sockaddr_in address(
	const struct bench *b, size_t i, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	char text[64];

	(void)snprintf(text, sizeof(text), "%s.%zu", b->prefix, i + 1);
	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		die(text, "not an address");
	return a;
}

/* ---- bare ---- */

/* Sends text and reads until a reply has ended (its last line, that is). */
static void ask(int fd, const char *text)
{
	char in[1024];
	size_t len = 0;
	char *last;

	if (text != NULL && send(fd, text, strlen(text), 0) < 0)
		die("send", strerror(errno));
	for (;;) {
		ssize_t n = recv(fd, in + len, sizeof(in) - 1 - len, 0);

		if (n <= 0)
			die("recv", strerror(errno));
		len += (size_t)n;
		in[len] = '\0';
		if (in[len - 1] != '\n')
			continue;
		in[len - 1] = '\0';
		last = strrchr(in, '\n');
		last = last == NULL ? in : last + 1;
		if (last[3] == ' ')
			return;
		in[len - 1] = '\n';
	}
}

static void bare_one(struct bench *b, size_t i, uint16_t port)
{
	struct sockaddr_in a = address(b, i, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = SSL_new(b->ctx);

	if (fd < 0 || ssl == NULL ||
		connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(b->host[i], strerror(errno));
	if (port == 25) {
		ask(fd, NULL);
		ask(fd, "EHLO [127.0.0.1]\r\n");
		ask(fd, "STARTTLS\r\n");
	}
	if (SSL_set_fd(ssl, fd) != 1 ||
		SSL_set_tlsext_host_name(ssl, b->host[i]) != 1 ||
		SSL_connect(ssl) != 1)
		die(b->host[i], "no handshake");
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(fd);
}

static void bare_run(struct bench *b, uint16_t port)
{
	for (size_t i = 0; i < b->n; i++)
		bare_one(b, i, port);
}

/* ---- many at once ---- */

static SSL *flight_open(struct bench *b, size_t i, struct pollfd *p)
{
	struct sockaddr_in a = address(b, i, 465);
	SSL *ssl = SSL_new(b->ctx);

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	p->events = POLLOUT;
	p->revents = 0;
	if (p->fd < 0 || ssl == NULL ||
		(connect(p->fd, (struct sockaddr *)&a, sizeof(a)) != 0 &&
			errno != EINPROGRESS) ||
		SSL_set_fd(ssl, p->fd) != 1 ||
		SSL_set_tlsext_host_name(ssl, b->host[i]) != 1)
		die(b->host[i], strerror(errno));
	return ssl;
}

/* True when it is over. */
static bool flight_step(SSL *ssl, struct pollfd *p)
{
	int n = SSL_connect(ssl);

	p->events = POLLIN;
	if (n != 1) {
		if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
			die("flight", "no handshake");
		return false;
	}
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(p->fd);
	p->fd = -1;
	return true;
}

static void flight_run(struct bench *b, uint16_t port)
{
	struct pollfd p[AT_ONCE];
	SSL *ssl[AT_ONCE];
	size_t next = 0, over = 0;

	(void)port;
	for (size_t i = 0; i < AT_ONCE; i++)
		p[i].fd = -1;
	while (over < b->n) {
		for (size_t i = 0; i < AT_ONCE && next < b->n; i++)
			if (p[i].fd < 0)
				ssl[i] = flight_open(b, next++, &p[i]);
		if (poll(p, AT_ONCE, 10000) <= 0)
			die("flight", "nothing happens");
		for (size_t i = 0; i < AT_ONCE; i++)
			if (p[i].fd >= 0 && p[i].revents != 0 &&
				flight_step(ssl[i], &p[i]))
				over++;
	}
}

/* ---- the probe ---- */

static void probe_jobs(struct bench *b, uint16_t port, bool chain)
{
	for (size_t i = 0; i < b->n; i++) {
		struct sockaddr_in a = address(b, i, port);
		struct probe_job *j = &b->job[i];

		probe_job_release(j);
		memset(j, 0, sizeof(*j));
		j->want_chain = chain;
		j->host = b->host[i];
		memcpy(&j->addr, &a, sizeof(a));
		j->addr_len = sizeof(a);
		j->proto = port == 25 ? PROTO_SMTP : PROTO_TLS;
		j->tlsa = b->tlsa;
		j->n_tlsa = 2;
		j->version =
			b->tls == TLS1_2_VERSION ? PROBE_TLS12 : PROBE_TLS13;
	}
}

static void probe_some(struct bench *b, uint16_t port, bool chain)
{
	struct probe_limits lim = { .at_once = AT_ONCE };
	struct err err = ERR_INIT;

	probe_jobs(b, port, chain);
	if (probe_run(b->job, b->n, &lim, &err) != ST_OK)
		die("probe", err.text);
	for (size_t i = 0; i < b->n; i++) {
		const struct probe_job *j = &b->job[i];

		if (j->result != PROBE_SERVED || !j->dane_ok ||
			memcmp(j->spki.d, b->served.d, SPKI_LEN) != 0)
			die(b->host[i], j->why);
	}
}

static void probe_plain(struct bench *b, uint16_t port)
{
	probe_some(b, port, false);
}

static void probe_chain(struct bench *b, uint16_t port)
{
	probe_some(b, port, true);
}

/* ---- all of it ---- */

enum { BARE, STARTTLS, FLIGHT };
static struct contender all[] = {
	[BARE] = { .name = "bare", .run = bare_run, .port = 465 },
	[STARTTLS] = { .name = "starttls", .run = bare_run, .port = 25 },
	[FLIGHT] = { .name = "flight", .run = flight_run, .port = 465 },
	{ .name = "probe-465", .run = probe_plain, .port = 465 },
	{ .name = "probe-25", .run = probe_plain, .port = 25 },
	{ .name = "check-25", .run = probe_chain, .port = 25 },
};
#define N_ALL (sizeof(all) / sizeof(all[0]))

static void turn(struct bench *b, struct contender *c, size_t round)
{
	double wall = clock_us(CLOCK_MONOTONIC);
	double cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);

	c->run(b, c->port);
	wall = clock_us(CLOCK_MONOTONIC) - wall;
	cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	c->rate[round] = (double)b->n / wall * 1e6;
	c->cpu[round] = cpu / (double)b->n;
}

/* How many times faster and cheaper than the other one. */
static void compare(
	const struct contender *c, const struct contender *with, size_t rounds)
{
	double rate[ROUNDS_MAX], cpu[ROUNDS_MAX];

	for (size_t i = 0; i < rounds; i++) {
		rate[i] = c->rate[i] / with->rate[i];
		cpu[i] = with->cpu[i] / c->cpu[i];
	}
	printf(" %.2f %.2f", median(rate, rounds), median(cpu, rounds));
}

static void report(const struct contender *c, size_t rounds)
{
	printf("%s %.0f %.0f", c->name, median(c->rate, rounds),
		median(c->cpu, rounds));
	compare(c, &all[BARE], rounds);
	compare(c, &all[FLIGHT], rounds);
	putchar('\n');
}

static void prepare(struct bench *b)
{
	for (size_t i = 0; i < b->n; i++)
		(void)snprintf(
			b->host[i], sizeof(b->host[i]), "mx%zu.bench", i + 1);
	/* As in the steady state: current and next. */
	b->tlsa[0] = (struct probe_tlsa){ 3, 1, 1, b->other, SPKI_LEN };
	b->tlsa[1] = (struct probe_tlsa){ 3, 1, 1, b->served.d, SPKI_LEN };
	b->ctx = SSL_CTX_new(TLS_client_method());
	if (b->ctx == NULL ||
		SSL_CTX_set_min_proto_version(b->ctx, b->tls) != 1 ||
		SSL_CTX_set_max_proto_version(b->ctx, b->tls) != 1)
		die("TLS", "context");
	(void)SSL_CTX_set_options(b->ctx, SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_session_cache_mode(b->ctx, SSL_SESS_CACHE_OFF);
}

int main(int argc, char **argv)
{
	static struct bench b;
	size_t rounds;

	if (argc != 7) {
		fprintf(stderr, "usage: check_probe MODE PREFIX COUNT ROUNDS "
				"SPKI VERSION\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	b.prefix = argv[2];
	b.n = (size_t)strtoul(argv[3], NULL, 10);
	rounds = (size_t)strtoul(argv[4], NULL, 10);
	b.tls = strcmp(argv[6], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
	if (b.n == 0 || b.n > COUNT_MAX || rounds == 0 || rounds > ROUNDS_MAX ||
		!spki_parse(argv[5], &b.served))
		return 2;
	prepare(&b);
	for (size_t r = 0; r < rounds; r++)
		for (size_t i = 0; i < N_ALL; i++)
			if (strcmp(argv[1], "all") == 0 ||
				strcmp(argv[1], all[i].name) == 0)
				turn(&b, &all[i], r);
	if (strcmp(argv[1], "all") == 0)
		for (size_t i = 0; i < N_ALL; i++)
			report(&all[i], rounds);
	return 0;
}
