/*
 * One DNS message over TCP and its answer (RFC 7766, RFC 1035 4.2.2), with one
 * deadline that covers every byte: a server that drips cannot hold us longer.
 * Never raises SIGPIPE. What comes back is only proved to be a whole message
 * here; who sent it and what it says is rfc2136.c's to check, after
 * rfc2136_wire_check has made sure that its parser sees nothing odd.
 */
#include "providers/rfc2136.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#define HEADER_LEN 12
#define TYPE_TSIG 250
#define NAME_STEPS_MAX 128

enum status rfc2136_server_parse(
	const char *text, struct rfc2136_server *ret, struct err *err)
{
	const char *at = strchr(text, '@');
	size_t len = at ? (size_t)(at - text) : strlen(text);
	const char *port = at ? at + 1 : "53";
	char *end;
	unsigned long n = strtoul(port, &end, 10);

	if (!len || len >= sizeof(ret->host) || port[0] < '1' ||
		port[0] > '9' || *end || n > 65535 ||
		strspn(text,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789.:-_%") != len)
		return err_set(err, ST_CONFIG,
			"server = \"%s\": must be a host name or an address, "
			"with @port if not 53",
			text);
	memcpy(ret->host, text, len);
	ret->host[len] = '\0';
	(void)snprintf(ret->port, sizeof(ret->port), "%lu", n);
	return ST_OK;
}

/* 0 when ready, otherwise an errno. */
static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd p = { .fd = fd, .events = events };
		if (left <= 0)
			return ETIMEDOUT;
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return errno;
	}
}

/* *ret_fd is -1 on failure; returns an errno. */
static int connect_one(const struct addrinfo *ai, int64_t deadline, int *ret_fd)
{
	int error = 0;
	socklen_t len = sizeof(error);
	int fd = socket(
		ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*ret_fd = -1;
	if (fd < 0)
		return errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen)) {
		error = errno;
		if (error == EINPROGRESS || error == EINTR)
			error = wait_for(fd, POLLOUT, deadline);
		if (!error &&
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
			error = errno;
	}
	if (error) {
		(void)close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static enum status connect_any(const struct rfc2136_server *sv,
	int64_t deadline, int *ret_fd, struct err *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	struct addrinfo *list, *ai;
	int error = 0, fd = -1, n = 0;

	int rc = getaddrinfo(sv->host, sv->port, &hints, &list);
	if (rc)
		return err_set(err, rc == EAI_NONAME ? ST_CONFIG : ST_RETRY,
			"the address of %s cannot be found: %s", sv->host,
			gai_strerror(rc));
	for (ai = list; ai; ai = ai->ai_next)
		n++;
	for (ai = list; ai && fd < 0; ai = ai->ai_next, n--) {
		/* A dead address must not use up the time of the others. */
		int64_t now = clock_mono_ms();
		error = connect_one(ai, now + (deadline - now) / n, &fd);
	}
	freeaddrinfo(list);
	if (fd < 0)
		return err_sys(err, ST_RETRY, error,
			"cannot connect to TCP port %s", sv->port);
	*ret_fd = fd;
	return ST_OK;
}

static enum status send_all(int fd, const uint8_t *data, size_t len,
	int64_t deadline, struct err *err)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		int error = errno;
		if (n < 0 && (error == EAGAIN || error == EWOULDBLOCK))
			error = wait_for(fd, POLLOUT, deadline);
		if (error && error != EINTR)
			return err_sys(err, ST_RETRY, error,
				"the question could not be sent");
	}
	return ST_OK;
}

static enum status recv_all(
	int fd, uint8_t *data, size_t len, int64_t deadline, struct err *err)
{
	while (len) {
		int error = wait_for(fd, POLLIN, deadline);
		if (error)
			return err_sys(
				err, ST_RETRY, error, "no (whole) answer came");
		ssize_t n = recv(fd, data, len, 0);
		if (n == 0)
			return err_set(err, ST_RETRY,
				"the connection was closed before a whole "
				"answer came");
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return err_sys(err, ST_RETRY, errno,
				"the answer could not be read");
		}
	}
	return ST_OK;
}

enum status rfc2136_exchange(const struct rfc2136_server *sv,
	int64_t timeout_ms, const uint8_t *query, size_t len, uint8_t **ret,
	size_t *ret_len, struct err *err)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	auto_fd fd = -1;
	uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	if (len > UINT16_MAX)
		return err_set(err, ST_REFUSED,
			"the message is too large for DNS (%zu octets)", len);
	enum status st = connect_any(sv, deadline, &fd, err);
	if (st)
		return st;
	/* In one piece: some servers want the length with the message. */
	auto_mem uint8_t *out = malloc(len + 2);
	if (!out)
		return err_set(err, ST_NOMEM, "out of memory");
	memcpy(out, head, 2);
	memcpy(out + 2, query, len);
	st = send_all(fd, out, len + 2, deadline, err);
	if (!st)
		st = recv_all(fd, head, sizeof(head), deadline, err);
	if (st)
		return st;
	size_t n = (size_t)head[0] << 8 | head[1];
	if (n < HEADER_LEN)
		return err_set(err, ST_RETRY, "the answer is no DNS message");
	uint8_t *msg = malloc(n);
	if (!msg)
		return err_set(err, ST_NOMEM, "out of memory");
	st = recv_all(fd, msg, n, deadline, err);
	if (st) {
		free(msg);
		return st;
	}
	*ret = msg;
	*ret_len = n;
	return ST_OK;
}

static unsigned u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Only where the name ends here; what a pointer leads to is ldns's to check. */
static bool skip_name(const uint8_t *msg, size_t len, size_t *at)
{
	for (int i = 0; i < NAME_STEPS_MAX && *at < len; i++) {
		unsigned c = msg[*at];
		if ((c & 0xc0) == 0xc0) {
			*at += 2;
			return *at <= len;
		}
		if (c & 0xc0)
			return false;
		*at += c + 1;
		if (!c)
			return *at <= len;
	}
	return false;
}

enum status rfc2136_wire_check(const uint8_t *msg, size_t len, struct err *err)
{
	size_t at = HEADER_LEN;
	unsigned tsig = 0, last = 0;

	if (len < HEADER_LEN)
		return err_set(err, ST_REFUSED, "the answer is too short");
	unsigned questions = u16(msg + 4);
	unsigned records = u16(msg + 6) + u16(msg + 8) + u16(msg + 10);
	bool ok = questions <= 1;
	for (unsigned i = 0; ok && i < questions; i++) {
		ok = skip_name(msg, len, &at) && len - at >= 4;
		at += 4;
	}
	for (unsigned i = 0; ok && i < records; i++) {
		ok = skip_name(msg, len, &at) && len - at >= 10;
		if (!ok)
			break;
		last = u16(msg + at);
		tsig += last == TYPE_TSIG;
		at += 10;
		unsigned rdlen = u16(msg + at - 2);
		ok = len - at >= rdlen;
		at += rdlen;
	}
	if (!ok || at != len)
		return err_set(
			err, ST_REFUSED, "the answer is no sane DNS message");
	if (tsig > 1 || (tsig && (last != TYPE_TSIG || !u16(msg + 10))))
		return err_set(err, ST_REFUSED,
			"the signature (TSIG) is not the last record");
	return ST_OK;
}
