/*
 * danelaw chain: what a bundle of certificates, or what a server sends, is made
 * of, and which TLSA data each element would have. With a file and a server:
 * which elements of the file are on the wire, since a 2 x x record of one that
 * is not there matches nothing (RFC 7671 5.2).
 *
 * What a certificate or a server says is untrusted: all of it comes through
 * cert_view and probe_job, which hold printable ASCII only.
 */
#include "hook/cmd.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "hook/tls/chain.h"
#include "hook/tls/probe.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (1024 * 1024)
#define HOST_MAX 254
#define DAY 86400

struct request {
	bool json;
	const char *file;    /* NULL: none; "-": stdin */
	char host[HOST_MAX]; /* "": no server */
	char port[6];
	bool have_proto;
	enum probe_proto proto;
	const char *servername;
	int64_t now_s;

	struct cert_chain of_file;
	struct probe_job job; /* its chain is what is on the wire */
	char addr[NI_MAXHOST];
};

/* ---- what was asked ---- */

static bool is_host(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len >= HOST_MAX)
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr(".-_:", *s) == NULL)
			return false;
	return true;
}

/* "host:port" or "[v6]:port"; anything else is a file. */
static bool split_server(const char *arg, struct request *ret)
{
	bool bracket = arg[0] == '[';
	const char *colon = strrchr(arg, ':');
	const char *from = arg + bracket, *to = colon - bracket;
	unsigned long port;
	char *end;

	if (colon == NULL || strchr(arg, '/') != NULL || to <= from ||
		to - from >= HOST_MAX || !isdigit((unsigned char)colon[1]))
		return false;
	if (bracket ? *to != ']' : memchr(arg, ':', (size_t)(to - arg)) != NULL)
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port == 0 || port > 65535)
		return false;
	(void)snprintf(
		ret->host, sizeof(ret->host), "%.*s", (int)(to - from), from);
	(void)snprintf(ret->port, sizeof(ret->port), "%lu", port);
	if (!is_host(ret->host)) {
		ret->host[0] = '\0';
		return false;
	}
	return true;
}

static int usage(void)
{
	return cli_usage("chain [--json] [--starttls PROTOCOL] [--servername "
			 "NAME] FILE | HOST:PORT | '[v6]:port' | FILE HOST:PORT"
			 ": give one file (- is stdin), one server or both");
}

/* 0, or an exit status. */
static int parse(struct request *r, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "--json") == 0) {
			r->json = true;
		} else if (strcmp(a, "--starttls") == 0 && i + 1 < argc) {
			if (!probe_proto_parse(argv[++i], &r->proto))
				return cli_usage(
					"chain: --starttls \"%s\": give smtp, "
					"imap, pop3, sieve, ldap, xmpp, "
					"xmpp-server or none",
					argv[i]);
			r->have_proto = true;
		} else if (strcmp(a, "--servername") == 0 && i + 1 < argc) {
			r->servername = argv[++i];
			if (!is_host(r->servername))
				return cli_usage("chain: --servername \"%s\" "
						 "is no host name",
					r->servername);
		} else if (a[0] == '-' && a[1] != '\0') {
			return cli_usage("chain: what is \"%s\"?", a);
		} else if (r->host[0] == '\0' && split_server(a, r)) {
			continue;
		} else if (r->file == NULL) {
			r->file = a;
		} else {
			return usage();
		}
	}
	if (r->file == NULL && r->host[0] == '\0')
		return usage();
	if (r->host[0] == '\0' && (r->have_proto || r->servername != NULL))
		return cli_usage("chain: --starttls and --servername are for a "
				 "server, HOST:PORT");
	if (r->host[0] != '\0' && !r->have_proto &&
		!probe_proto_for_port(
			(uint16_t)strtoul(r->port, NULL, 10), &r->proto))
		return cli_usage("chain: the protocol of port %s is not known: "
				 "give --starttls, \"none\" for TLS at once",
			r->port);
	return 0;
}

/* ---- the two sources ---- */

static int read_file(struct request *r)
{
	auto_buf text = BUF_INIT(FILE_MAX);
	bool is_stdin = strcmp(r->file, "-") == 0;
	auto_fd fd = is_stdin ? dup(STDIN_FILENO)
			      : open(r->file, O_RDONLY | O_CLOEXEC);
	struct err err = ERR_INIT;
	char chunk[8192];
	ssize_t n = -1;

	if (fd < 0) {
		fprintf(stderr,
			"danelaw: chain: %s: %s (a server is given as "
			"HOST:PORT)\n",
			r->file, strerror(errno));
		return EXIT_USAGE;
	}
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		if (buf_append(&text, chunk, (size_t)n, &err) != ST_OK)
			break;
	explicit_bzero(chunk, sizeof(chunk)); /* a key may be in it too */
	if (n < 0)
		(void)err_sys(&err, ST_IO, errno, "cannot read it");
	if (err.st == ST_OK)
		(void)cert_chain_from_pem(
			buf_str(&text), text.len, &r->of_file, &err);
	if (err.st == ST_OK)
		return 0;
	fprintf(stderr, "danelaw: chain: %s: %s\n",
		is_stdin ? "standard input" : r->file, err.text);
	return EXIT_ATTENTION;
}

/* The first address that takes a connection. */
static int ask_address(
	struct request *r, const struct addrinfo *ai, bool *ret_connected)
{
	struct probe_job *j = &r->job;
	unsigned char bin[sizeof(struct in6_addr)];
	struct err err = ERR_INIT;

	probe_job_release(j);
	*j = (struct probe_job){ .proto = r->proto,
		.host = r->servername != NULL ? r->servername : r->host,
		.addr_len = ai->ai_addrlen,
		.want_chain = true };
	/* An address is no server name (RFC 6066 3). */
	j->no_sni = inet_pton(AF_INET, j->host, bin) == 1 ||
		    inet_pton(AF_INET6, j->host, bin) == 1;
	memcpy(&j->addr, ai->ai_addr, ai->ai_addrlen);
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, r->addr, sizeof(r->addr),
		    NULL, 0, NI_NUMERICHOST) != 0)
		(void)snprintf(r->addr, sizeof(r->addr), "?");
	if (probe_run(j, 1, NULL, &err) != ST_OK ||
		cert_chain_link(&j->chain, &err) != ST_OK) {
		fprintf(stderr, "danelaw: chain: %s\n", err.text);
		return EXIT_TEMPORARY;
	}
	*ret_connected =
		j->result != PROBE_NO_CONNECT && j->result != PROBE_UNTESTABLE;
	if (j->result == PROBE_SERVED && j->chain.n > 0)
		return 0;
	fprintf(stderr, "danelaw: chain: %s [%s]:%s (%s): %s: %s\n", r->host,
		r->addr, r->port, probe_proto_name(r->proto),
		probe_result_name(j->result), j->why);
	return EXIT_TEMPORARY;
}

static int ask_server(struct request *r)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	bool connected = false;
	int e = getaddrinfo(r->host, r->port, &hints, &list);
	int rc = EXIT_TEMPORARY;

	if (e != 0) {
		fprintf(stderr, "danelaw: chain: %s: no address: %s\n", r->host,
			gai_strerror(e));
		return EXIT_TEMPORARY;
	}
	if (r->servername == NULL && r->host[strlen(r->host) - 1] == '.')
		r->host[strlen(r->host) - 1] = '\0';
	for (struct addrinfo *ai = list; ai != NULL && !connected;
		ai = ai->ai_next)
		rc = ask_address(r, ai, &connected);
	freeaddrinfo(list);
	return rc;
}

/* ---- what can be said of a chain ---- */

static bool is_expired(const struct request *r, const struct cert_view *c)
{
	return r->now_s >= c->not_after || r->now_s < c->not_before;
}

static bool is_sound(const struct request *r, const struct cert_chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (is_expired(r, &c->cert[i]) ||
			(i + 1 < c->n && !c->cert[i].issued_by_next))
			return false;
	}
	return true;
}

static bool contains(const struct cert_chain *c, const struct cert_view *v)
{
	for (size_t i = 0; i < c->n; i++)
		if (memcmp(c->cert[i].cert256, v->cert256,
			    sizeof(v->cert256)) == 0)
			return true;
	return false;
}

/* Its issuer is not in the chain. */
static const struct cert_view *open_end(const struct cert_chain *c)
{
	const struct cert_view *last = &c->cert[c->n - 1];

	return last->self_signed ? NULL : last;
}

static char *rdata(char ret[static 80], const char *params,
	const uint8_t digest[static SPKI_LEN])
{
	struct spki s;
	char hex[SPKI_HEX];

	memcpy(s.d, digest, SPKI_LEN);
	(void)snprintf(ret, 80, "%s %s", params, spki_hex(&s, hex));
	return ret;
}

/* ---- text ---- */

static void print_dates(const struct request *r, const struct cert_view *c)
{
	char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
	long long left = (c->not_after - r->now_s) / DAY;

	printf("     valid      %s to %s ",
		clock_utc(c->not_before * 1000, from),
		clock_utc(c->not_after * 1000, to));
	if (r->now_s >= c->not_after)
		printf("(EXPIRED %lld days ago)\n", -left);
	else if (r->now_s < c->not_before)
		printf("(NOT VALID for another %lld days)\n",
			(long long)(c->not_before - r->now_s) / DAY);
	else
		printf("(%lld days left)\n", left);
}

static void print_element(const struct request *r, const struct cert_chain *c,
	size_t i, const struct cert_chain *wire)
{
	const struct cert_view *v = &c->cert[i];
	const char *by = "an issuer that is not here";
	char t[80];

	if (v->self_signed)
		by = i + 1 < c->n ? "itself: what follows is OUT OF ORDER"
				  : "itself (self-signed)";
	else if (v->issued_by_next)
		by = "the next one";
	else if (i + 1 < c->n)
		by = "NOT the next one: out of order, or one is missing";
	printf("%3zu  subject    %s\n", i, v->subject);
	printf("     issuer     %s\n", v->issuer);
	print_dates(r, v);
	printf("     key        %s, %d bits\n", key_alg_name(v->alg),
		v->key_bits);
	printf("     signed by  %s\n", by);
	if (i == 0) {
		for (size_t k = 0; k < v->n_names; k++)
			printf("     %s %s\n",
				k == 0 ? "name      " : "          ",
				v->name[k]);
		printf("     TLSA       %s\n", rdata(t, "3 1 1", v->spki.d));
	}
	/* A file may be of an issuer alone. */
	if (i > 0 || v->self_signed || v->is_ca) {
		printf("     %s %s\n", i > 0 ? "TLSA      " : "          ",
			rdata(t, "2 1 1", v->spki.d));
		printf("                %s\n", rdata(t, "2 0 1", v->cert256));
	}
	if (wire != NULL)
		printf("     on the wire: %s\n",
			contains(wire, v) ? "yes"
			: i == 0
				? "NO"
				: "NO: a TLSA record 2 x x of it cannot match");
}

/* What ends the chain, and so what no 2 x x record can be of. */
static void print_end(const struct cert_chain *c, bool is_file)
{
	const struct cert_view *last = open_end(c);

	if (last == NULL)
		return;
	printf("  The issuer of element %zu, %s, is not %s:\n  %sa TLSA record "
	       "2 x x of it cannot match (RFC 7671 5.2).\n",
		c->n - 1, last->issuer,
		is_file ? "in this file" : "on the wire",
		is_file ? "a server that sends this file does not send it, and "
			: "");
}

static void print_chain(const struct request *r, const struct cert_chain *c,
	bool is_file, const struct cert_chain *wire)
{
	for (size_t i = 0; i < c->n; i++)
		print_element(r, c, i, wire);
	print_end(c, is_file);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_text(const struct request *r)
{
	const struct cert_chain *wire = &r->job.chain;

	if (r->host[0] != '\0') {
		printf("%s [%s]:%s (%s), %s %s: %zu certificate%s on the "
		       "wire\n",
			r->host, r->addr, r->port, probe_proto_name(r->proto),
			r->job.tls, r->job.cipher, wire->n, plural(wire->n));
		print_chain(r, wire, false, NULL);
	}
	if (r->file == NULL)
		return;
	printf("%s%s: %zu certificate%s\n", r->host[0] != '\0' ? "\n" : "",
		strcmp(r->file, "-") == 0 ? "standard input" : r->file,
		r->of_file.n, plural(r->of_file.n));
	print_chain(r, &r->of_file, true, r->host[0] != '\0' ? wire : NULL);
	for (size_t i = 0; i < wire->n; i++)
		if (!contains(&r->of_file, &wire->cert[i]))
			printf("  Element %zu on the wire, %s, is not in this "
			       "file.\n",
				i, wire->cert[i].subject);
}

/* ---- JSON ---- */

static json_t *json_time(int64_t s)
{
	char text[CLOCK_TEXT_MAX];

	return json_string(clock_utc(s * 1000, text));
}

static json_t *json_element(const struct request *r, const struct cert_chain *c,
	size_t i, json_t *on_wire)
{
	const struct cert_view *v = &c->cert[i];
	json_t *names = json_array(), *tlsa = json_array();
	char t[80];

	for (size_t k = 0; k < v->n_names; k++)
		json_array_append_new(names, json_string(v->name[k]));
	if (i == 0)
		json_array_append_new(
			tlsa, json_string(rdata(t, "3 1 1", v->spki.d)));
	if (i > 0 || v->self_signed || v->is_ca) {
		json_array_append_new(
			tlsa, json_string(rdata(t, "2 1 1", v->spki.d)));
		json_array_append_new(
			tlsa, json_string(rdata(t, "2 0 1", v->cert256)));
	}
	return json_pack("{s:I,s:s,s:s,s:o,s:o,s:o,s:I,s:b,s:s,s:i,s:b,s:o,s:o,"
			 "s:o}",
		"index", (json_int_t)i, "subject", v->subject, "issuer",
		v->issuer, "names", names, "not_before",
		json_time(v->not_before), "not_after", json_time(v->not_after),
		"days_left", (json_int_t)((v->not_after - r->now_s) / DAY),
		"expired", is_expired(r, v), "key", key_alg_name(v->alg),
		"key_bits", v->key_bits, "self_signed", v->self_signed,
		"issued_by_next",
		i + 1 < c->n ? json_boolean(v->issued_by_next) : json_null(),
		"on_wire", on_wire, "tlsa", tlsa);
}

/* on_wire: true for what was seen there; for a file what the wire says, null
 * when nobody was asked. */
static json_t *json_chain(const struct request *r, const struct cert_chain *c,
	bool is_file, const char *name, json_t *server)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n; i++) {
		json_t *on_wire = json_true();

		if (is_file)
			on_wire = r->host[0] == '\0'
					  ? json_null()
					  : json_boolean(contains(&r->job.chain,
						    &c->cert[i]));
		json_array_append_new(list, json_element(r, c, i, on_wire));
	}
	/* A path is octets; one that is no UTF-8 is left out. */
	return json_pack("{s:o*,s:o*,s:o,s:b,s:s*}", "file",
		name != NULL ? json_string(name) : NULL, "server", server,
		"element", list, "sound", is_sound(r, c), "missing_issuer",
		open_end(c) != NULL ? open_end(c)->issuer : NULL);
}

static int print_json(const struct request *r)
{
	json_t *chains = json_array(), *top;
	int rc = -1;

	if (r->host[0] != '\0')
		json_array_append_new(chains,
			json_chain(r, &r->job.chain, false, NULL,
				json_pack("{s:s,s:s,s:i,s:s,s:s,s:s}", "host",
					r->host, "address", r->addr, "port",
					(int)strtoul(r->port, NULL, 10),
					"protocol", probe_proto_name(r->proto),
					"tls", r->job.tls, "cipher",
					r->job.cipher)));
	if (r->file != NULL)
		json_array_append_new(chains,
			json_chain(r, &r->of_file, true, r->file, NULL));
	top = json_pack("{s:i,s:o}", "version", 1, "chain", chains);
	if (top != NULL)
		rc = json_dumpf(top, stdout,
			JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	json_decref(top);
	putchar('\n');
	if (rc == 0 || ferror(stdout) != 0)
		return 0;
	fprintf(stderr, "danelaw: chain: out of memory\n");
	return EXIT_TEMPORARY;
}

int cmd_chain(const struct cli *cli, int argc, char **argv)
{
	struct request r = { .now_s = (int64_t)time(NULL) };
	int rc = parse(&r, argc, argv);

	(void)cli; /* no configuration is needed */
	if (rc == 0 && r.file != NULL)
		rc = read_file(&r);
	if (rc == 0 && r.host[0] != '\0')
		rc = ask_server(&r);
	if (rc == 0) {
		if (!is_sound(&r, &r.of_file) || !is_sound(&r, &r.job.chain))
			rc = EXIT_ATTENTION;
		if (!r.json)
			print_text(&r);
		else if (print_json(&r) != 0)
			rc = EXIT_TEMPORARY;
		rc = cli_flushed(rc);
	}
	cert_chain_release(&r.of_file);
	probe_job_release(&r.job);
	return rc;
}
