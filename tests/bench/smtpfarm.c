/*
 * smtpfarm DIR WORKERS PREFIX FIRST LAST: mail servers for the benchmark of
 * check, on the addresses PREFIX.FIRST to PREFIX.LAST: port 25 with STARTTLS,
 * port 465 with TLS at once and no greeting (for the bare loop). All have the
 * key DIR/leaf.key, but each a certificate of its own for it, signed with
 * DIR/issuer.key and sent with DIR/issuer.pem: nobody who looks at 200 servers
 * looks at one certificate. WORKERS processes share the listening sockets.
 * Prints "ready" when it listens; ends with its standard input or its parent.
 *
 * As fast as OpenSSL lets a server be: epoll, no tickets, no session cache,
 * nothing logged, no look-ups. It is a server for measuring clients with and
 * checks nothing of what a client says that it does not need.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define LINE_MAX_LEN 512
#define EVENTS 256

/* A listening socket or a client. */
struct end {
	int fd;
	bool listening, wrapped; /* wrapped: TLS at once */
	SSL_CTX *ctx;            /* of the address; borrowed by clients */
	SSL *ssl;
	bool ready; /* the handshake is done */
	bool over;
	size_t len;
	char line[LINE_MAX_LEN];
};

struct issuer {
	X509 *cert;
	EVP_PKEY *key, *leaf_key;
};

static int ep;

static void die(const char *what)
{
	fprintf(stderr, "smtpfarm: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static EVP_PKEY *load_key(const char *dir, const char *name)
{
	char path[256];
	EVP_PKEY *k = NULL;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f == NULL || (k = PEM_read_PrivateKey(f, NULL, NULL, NULL)) == NULL)
		die(path);
	(void)fclose(f);
	return k;
}

static void load_issuer(struct issuer *i, const char *dir)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/issuer.pem", dir);
	f = fopen(path, "r");
	if (f == NULL || (i->cert = PEM_read_X509(f, NULL, NULL, NULL)) == NULL)
		die(path);
	(void)fclose(f);
	i->key = load_key(dir, "issuer.key");
	i->leaf_key = load_key(dir, "leaf.key");
}

/* A leaf with serial number and name of its own. */
static X509 *leaf_new(const struct issuer *i, int n)
{
	char cn[64], san[64];
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();
	X509_EXTENSION *ext;

	(void)snprintf(cn, sizeof(cn), "mx%d.bench", n);
	(void)snprintf(san, sizeof(san), "DNS:mx%d.bench", n);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	if (x == NULL || name == NULL || ext == NULL ||
		X509_set_version(x, X509_VERSION_3) != 1 ||
		ASN1_INTEGER_set(X509_get_serialNumber(x), 1000 + n) != 1 ||
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
			(unsigned char *)cn, -1, -1, 0) != 1 ||
		X509_set_subject_name(x, name) != 1 ||
		X509_set_issuer_name(x, X509_get_subject_name(i->cert)) != 1 ||
		X509_gmtime_adj(X509_getm_notBefore(x), -86400) == NULL ||
		X509_gmtime_adj(X509_getm_notAfter(x), 60 * 86400) == NULL ||
		X509_set_pubkey(x, i->leaf_key) != 1 ||
		X509_add_ext(x, ext, -1) != 1 ||
		X509_sign(x, i->key, EVP_sha384()) == 0)
		die("certificate");
	X509_NAME_free(name);
	X509_EXTENSION_free(ext);
	return x;
}

static SSL_CTX *context(const struct issuer *i, int n)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	X509 *leaf = leaf_new(i, n);

	if (c == NULL || SSL_CTX_use_certificate(c, leaf) != 1 ||
		SSL_CTX_add1_chain_cert(c, i->cert) != 1 ||
		SSL_CTX_use_PrivateKey(c, i->leaf_key) != 1)
		die("TLS");
	X509_free(leaf);
	(void)SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_num_tickets(c, 0);
	(void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	return c;
}

static struct end *end_new(int fd, bool listening, bool wrapped, SSL_CTX *ctx)
{
	struct end *e = calloc(1, sizeof(*e));

	if (e == NULL)
		die("memory");
	e->fd = fd;
	e->listening = listening;
	e->wrapped = wrapped;
	e->ctx = ctx;
	return e;
}

static void end_watch(struct end *e, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data = { .ptr = e } };

	if (epoll_ctl(ep, EPOLL_CTL_ADD, e->fd, &ev) != 0)
		die("epoll_ctl");
}

static void end_free(struct end *e)
{
	SSL_free(e->ssl);
	(void)close(e->fd);
	free(e);
}

/* ---- the dialogue ---- */

/* Replies are short and the socket's buffer is empty: all goes, or the client
 * is gone. */
static void say(struct end *e, const char *text)
{
	int n = (int)strlen(text);

	if (e->ready ? SSL_write(e->ssl, text, n) != n
		     : send(e->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		e->over = true;
}

static void begin_tls(struct end *e)
{
	e->ssl = SSL_new(e->ctx);
	if (e->ssl == NULL || SSL_set_fd(e->ssl, e->fd) != 1)
		die("TLS");
	SSL_set_accept_state(e->ssl);
}

static void command(struct end *e, const char *line)
{
	if (strncasecmp(line, "EHLO ", 5) == 0 ||
		strncasecmp(line, "HELO ", 5) == 0) {
		say(e, e->ssl != NULL ? "250-mx\r\n250 SIZE 10240000\r\n"
				      : "250-mx\r\n250-SIZE 10240000\r\n"
					"250-8BITMIME\r\n250 STARTTLS\r\n");
	} else if (strcasecmp(line, "STARTTLS") == 0 && e->ssl == NULL) {
		say(e, "220 2.0.0 go ahead\r\n");
		begin_tls(e);
	} else if (strcasecmp(line, "QUIT") == 0) {
		say(e, "221 2.0.0 bye\r\n");
		e->over = true;
	} else {
		say(e, "502 5.5.1 no\r\n");
	}
}

/* Takes the lines that are whole. */
static void lines(struct end *e)
{
	char *nl;

	while (!e->over && (nl = memchr(e->line, '\n', e->len)) != NULL) {
		size_t used = (size_t)(nl - e->line) + 1;

		*nl = '\0';
		if (nl > e->line && nl[-1] == '\r')
			nl[-1] = '\0';
		command(e, e->line);
		e->len -= used;
		memmove(e->line, e->line + used, e->len);
	}
	if (e->len == sizeof(e->line))
		e->over = true;
}

/* >0 octets, 0 nothing now, -1 the client is gone. */
static int receive(struct end *e)
{
	char *at = e->line + e->len;
	size_t room = sizeof(e->line) - e->len;
	ssize_t n;

	if (e->ready) {
		n = SSL_read(e->ssl, at, (int)room);
		if (n <= 0)
			return SSL_get_error(e->ssl, (int)n) ==
					       SSL_ERROR_WANT_READ
				       ? 0
				       : -1;
		return (int)n;
	}
	n = recv(e->fd, at, room, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n > 0 ? (int)n : -1;
}

static void handshake(struct end *e)
{
	int on = 1, n = SSL_do_handshake(e->ssl);

	/* Without tickets nothing of ours carries the acknowledgement of the
	 * client's last flight, and Nagle makes the client wait for it: 40 ms
	 * that a server with tickets does not cost. */
	if (n == 1) {
		e->ready = true;
		(void)setsockopt(
			e->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
	} else if (SSL_get_error(e->ssl, n) != SSL_ERROR_WANT_READ) {
		e->over = true;
	}
}

static void client_event(struct end *e)
{
	int n;

	ERR_clear_error();
	if (e->ssl != NULL && !e->ready)
		handshake(e);
	while (!e->over && (e->ssl == NULL || e->ready)) {
		n = receive(e);
		if (n == 0)
			return;
		if (n < 0) {
			e->over = true;
			break;
		}
		e->len += (size_t)n;
		lines(e);
	}
	if (!e->over)
		return;
	if (e->ready)
		(void)SSL_shutdown(e->ssl);
	end_free(e);
}

static void accept_event(const struct end *l)
{
	int fd, on = 1;
	struct end *e;

	while ((fd = accept4(l->fd, NULL, NULL,
			SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		e = end_new(fd, false, l->wrapped, l->ctx);
		end_watch(e, EPOLLIN);
		if (l->wrapped)
			begin_tls(e);
		else
			say(e, "220 mx ESMTP\r\n");
	}
}

/* ---- listening ---- */

static struct end *listener(
	const char *prefix, int n, uint16_t port, SSL_CTX *ctx)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	char text[64];
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)snprintf(text, sizeof(text), "%s.%d", prefix, n);
	if (fd < 0 || inet_pton(AF_INET, text, &a.sin_addr) != 1 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) !=
			0 ||
		bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
		listen(fd, 1024) != 0)
		die(text);
	return end_new(fd, true, port == 465, ctx);
}

static void work(struct end **all, size_t n)
{
	struct epoll_event ev[EVENTS];

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		die("epoll");
	for (size_t i = 0; i < n; i++)
		end_watch(all[i], EPOLLIN | EPOLLEXCLUSIVE);
	for (;;) {
		int k = epoll_wait(ep, ev, EVENTS, -1);

		for (int i = 0; i < k; i++) {
			struct end *e = ev[i].data.ptr;

			if (e->listening)
				accept_event(e);
			else
				client_event(e);
		}
	}
}

int main(int argc, char **argv)
{
	static struct end *all[2 * 256];
	struct issuer issuer;
	size_t n = 0;
	char c;

	if (argc != 6) {
		fprintf(stderr,
			"usage: smtpfarm DIR WORKERS PREFIX FIRST LAST\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	load_issuer(&issuer, argv[1]);
	for (int i = atoi(argv[4]); i <= atoi(argv[5]) && i < 256; i++) {
		SSL_CTX *ctx = context(&issuer, i);

		all[n++] = listener(argv[3], i, 25, ctx);
		all[n++] = listener(argv[3], i, 465, ctx);
	}
	for (int i = 0; i < atoi(argv[2]); i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(all, n);
		}
	}
	puts("ready");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
