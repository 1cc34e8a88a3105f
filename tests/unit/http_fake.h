/* A tiny HTTP server for the tests of rest and powerdns: answers the given
 * replies in turn, one connection each, and keeps the requests. */
#ifndef DANELAW_TESTS_HTTP_FAKE_H
#define DANELAW_TESTS_HTTP_FAKE_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_MAX 16
#define FAKE_REQUEST_MAX 16384

struct http_fake {
	/* in */
	const char *reply[FAKE_MAX]; /* whole; NULL ends; "DRIP" "FLOOD" and
					"NUL" do what they say */
	/* out */
	char request[FAKE_MAX][FAKE_REQUEST_MAX];
	int n; /* requests seen */
	char url[64];
	int fd;
	pthread_t thread;
};

#define HTTP(status, more, body) \
	"HTTP/1.1 " status "\r\nConnection: close\r\n" more "\r\n" body
#define JSON(body) HTTP("200 OK", "", body)

static inline bool fake_request_done(const char *r)
{
	const char *end = strstr(r, "\r\n\r\n");
	const char *len = strcasestr(r, "Content-Length: ");

	if (!end)
		return false;
	return !len || len > end ||
	       strlen(end + 4) >= strtoul(len + 16, NULL, 10);
}

static inline void fake_send(int c, const char *text)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	char block[4096];

	memset(block, '[', sizeof(block));
	if (!strcmp(text, "DRIP")) {
		(void)send(c, head, sizeof(head) - 1, MSG_NOSIGNAL);
		while (send(c, " ", 1, MSG_NOSIGNAL) == 1)
			(void)usleep(50000);
	} else if (!strcmp(text, "FLOOD")) {
		(void)send(c, head, sizeof(head) - 1, MSG_NOSIGNAL);
		while (send(c, block, sizeof(block), MSG_NOSIGNAL) > 0)
			;
	} else if (!strcmp(text, "NUL")) {
		(void)send(c, head, sizeof(head) - 1, MSG_NOSIGNAL);
		(void)send(c, "<a>\0", 4, MSG_NOSIGNAL);
		(void)send(c, block, sizeof(block), MSG_NOSIGNAL);
	} else {
		(void)send(c, text, strlen(text), MSG_NOSIGNAL);
	}
}

static inline void *fake_serve(void *arg)
{
	struct http_fake *f = arg;

	for (int i = 0; i < FAKE_MAX && f->reply[i]; i++) {
		int c = accept(f->fd, NULL, NULL);
		size_t at = 0;
		ssize_t got = 1;
		if (c < 0)
			break;
		char *r = f->request[i];
		while (!fake_request_done(r) && got > 0 &&
			at < FAKE_REQUEST_MAX - 1) {
			got = recv(c, r + at, FAKE_REQUEST_MAX - 1 - at, 0);
			if (got > 0)
				at += (size_t)got;
		}
		f->n = i + 1;
		fake_send(c, f->reply[i]);
		(void)shutdown(c, SHUT_WR);
		while (recv(c, r + FAKE_REQUEST_MAX - 1, 0, 0) > 0)
			;
		(void)close(c);
	}
	return NULL;
}

static inline void fake_start(struct http_fake *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || bind(f->fd, (struct sockaddr *)&a, len) ||
		listen(f->fd, 8) ||
		getsockname(f->fd, (struct sockaddr *)&a, &len) ||
		pthread_create(&f->thread, NULL, fake_serve, f))
		abort();
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u",
		ntohs(a.sin_port));
}

/* How many requests came. */
static inline int fake_stop(struct http_fake *f)
{
	(void)shutdown(f->fd, SHUT_RDWR);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->fd);
	return f->n;
}

#endif
