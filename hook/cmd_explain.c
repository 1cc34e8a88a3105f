/*
 * danelaw explain: what a bounce or a log line of a sending server says, in
 * words, and then a check of the endpoint that it names. Nothing of the input
 * is printed but what explain_parse has made sure of.
 */
#include "hook/cmd.h"

#include "hook/base/auto.h"
#include "hook/base/buf.h"
#include "hook/check/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPLAIN_JSON_VERSION 1
#define COLUMNS 78
#define LABEL 12 /* columns of what stands before the text */

/* Up to the limit; what is beyond it would not be looked at. */
static enum status read_all(int fd, struct buf *ret, struct err *err)
{
	char chunk[16384];

	while (ret->len < EXPLAIN_TEXT_MAX) {
		size_t room = EXPLAIN_TEXT_MAX - ret->len;
		ssize_t n = read(
			fd, chunk, room < sizeof(chunk) ? room : sizeof(chunk));
		enum status st;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, ST_IO, errno, "cannot read it");
		if (n == 0)
			break;
		st = buf_append(ret, chunk, (size_t)n, err);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

/* One argument is a file when there is one of that name; else it is text. */
static enum status read_file(
	const char *arg, bool *ret_is_file, struct buf *ret, struct err *err)
{
	auto_fd fd = open(arg, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	bool no_such =
		errno == ENOENT || errno == ENAMETOOLONG || errno == ENOTDIR;

	*ret_is_file = fd >= 0 || !no_such;
	if (fd < 0 && !no_such)
		return err_sys(err, ST_IO, errno, "%s", arg);
	/* A word alone says nothing; it is a file's name, mistyped. */
	if (fd < 0 && strpbrk(arg, " \t\n") == NULL && arg[0] != '4' &&
		arg[0] != '5')
		return err_set(err, ST_CONFIG, "%s: no such file", arg);
	if (fd >= 0 && read_all(fd, ret, err) != ST_OK)
		return err_context(err, "%s", arg);
	return ST_OK;
}

static enum status read_input(
	int argc, char **argv, struct buf *ret, struct err *err)
{
	bool is_file = false;
	enum status st = ST_OK;

	if (argc == 0 || (argc == 1 && strcmp(argv[0], "-") == 0)) {
		if (isatty(STDIN_FILENO))
			fputs("danelaw: paste the bounce or the log line, "
			      "then Ctrl-D\n",
				stderr);
		return read_all(STDIN_FILENO, ret, err);
	}
	if (argc == 1) {
		st = read_file(argv[0], &is_file, ret, err);
		if (st != ST_OK || is_file)
			return st;
	}
	for (int i = 0; i < argc && st == ST_OK; i++) {
		size_t n = strlen(argv[i]);

		if (ret->len + n + 1 > EXPLAIN_TEXT_MAX)
			break;
		st = buf_append(ret, argv[i], n, err);
		if (st == ST_OK)
			st = buf_append(ret, " ", 1, err);
	}
	return st;
}

/* Canonical names end in a dot; people write them without. */
static void bare(const char *name, char ret[static DNS_NAME_MAX])
{
	size_t n = strlen(name);

	if (n > 1 && name[n - 1] == '.')
		n--;
	memcpy(ret, name, n);
	ret[n] = '\0';
}

/* "Label:" and the text, folded between words. */
static void say(const char *label, const char *text)
{
	int column = printf("%-*s", LABEL, label);

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column > LABEL && column + 1 + (int)n > COLUMNS)
			column = printf("\n%*s", LABEL, "") - 1;
		else if (column > LABEL)
			column += printf(" ");
		column += printf("%.*s", (int)n, text);
		text += n + strspn(text + n, " ");
	}
	putchar('\n');
}

static void say_found(const struct explained *e)
{
	char domain[DNS_NAME_MAX], host[DNS_NAME_MAX], port[8] = "";
	char text[3 * DNS_NAME_MAX];

	bare(e->domain, domain);
	bare(e->host, host);
	if (e->port != 0)
		(void)snprintf(port, sizeof(port), "%u", e->port);
	(void)snprintf(text, sizeof(text), "%s%s%s%s%s%s%s%s",
		domain[0] != '\0' ? ", domain " : "", domain,
		host[0] != '\0' ? ", host " : "", host,
		e->ip[0] != '\0' ? ", address " : "", e->ip,
		port[0] != '\0' ? ", port " : "", port);
	if (text[0] != '\0')
		say("Concerns:", text + 2);
}

static void print_text(const struct explained *e)
{
	const struct check_code_info *info = check_code_info(e->code);
	char text[128];

	say("Said by:", explain_mta_name(e->mta));
	say("Words:", e->phrase);
	say("Meaning:", e->meaning);
	if (e->code != CODE_NONE) {
		(void)snprintf(text, sizeof(text), "%s%s%s%s", info->name,
			info->exchange != NULL ? " (Exchange: " : "",
			info->exchange != NULL ? info->exchange : "",
			info->exchange != NULL ? ")" : "");
		say("Code:", text);
	}
	say_found(e);
	if (e->status[0] != '\0')
		say("Status:", e->status);
	if (explain_retry(e)[0] != '\0')
		say("Sender:", explain_retry(e));
	say("To do:", e->next);
}

static json_t *text_or_null(const char *s)
{
	return s != NULL && s[0] != '\0' ? json_string(s) : json_null();
}

static int print_json(const struct explained *e)
{
	const struct check_code_info *info = check_code_info(e->code);
	char domain[DNS_NAME_MAX], host[DNS_NAME_MAX];
	json_t *j;
	int rc;

	bare(e->domain, domain);
	bare(e->host, host);
	j = json_pack("{s:i s:b s:s s:b s:b s:o s:o s:o s:o s:o s:o s:o s:o "
		      "s:o s:s s:s s:o}",
		"version", EXPLAIN_JSON_VERSION, "understood", e->understood,
		"mta", explain_mta_name(e->mta), "success", e->success,
		"temporary", e->temporary, "status", text_or_null(e->status),
		"code", text_or_null(e->code != CODE_NONE ? info->name : NULL),
		"exchange", text_or_null(info->exchange), "tlsrpt",
		text_or_null(info->tlsrpt), "domain", text_or_null(domain),
		"host", text_or_null(host), "address", text_or_null(e->ip),
		"port", e->port != 0 ? json_integer(e->port) : json_null(),
		"phrase", text_or_null(e->phrase), "meaning", e->meaning,
		"next", e->next, "retry", text_or_null(explain_retry(e)));
	if (j == NULL) {
		fprintf(stderr, "danelaw: out of memory\n");
		return EXIT_TEMPORARY;
	}
	rc = json_dumpf(j, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(j);
	/* it fails for memory too, and then stdout is good */
	if (cli_flushed(rc) != EXIT_DONE)
		return EXIT_TEMPORARY;
	return e->understood ? EXIT_DONE : EXIT_ATTENTION;
}

static int not_understood(const struct explained *e, const struct buf *text)
{
	char name[DNS_NAME_MAX];

	fprintf(stderr,
		text->len == 0
			? "danelaw: explain: there is no text in it; %s\n"
			: "danelaw: explain: nothing in it is about "
			  "DANE, DNSSEC or TLS; %s\n",
		e->next);
	if (text->len > 0 && strstr(buf_str(text), "\"result-type\"") != NULL)
		fprintf(stderr, "danelaw: it looks like a TLS-RPT report: try "
				"\"danelaw report FILE\"\n");
	if (e->domain[0] != '\0') {
		bare(e->domain, name);
		fprintf(stderr,
			"danelaw: it names %s: \"danelaw check %s\" shows how "
			"senders see it\n",
			name, name);
	} else if (e->host[0] != '\0') {
		bare(e->host, name);
		fprintf(stderr,
			"danelaw: it names %s: \"danelaw check --host %s\" "
			"shows how senders see it\n",
			name, name);
	}
	return EXIT_ATTENTION;
}

/* Exactly what the text is about; its verdict is our exit status. */
static int check_it(const struct cli *cli, const struct explained *e)
{
	if (e->domain[0] == '\0' && e->host[0] == '\0') {
		printf("\nIt names neither domain nor host%s%s: nothing to "
		       "check. \"danelaw check DOMAIN\" does it by name.\n",
			e->ip[0] != '\0' ? ", only " : "", e->ip);
		return e->success ? EXIT_DONE : EXIT_ATTENTION;
	}
	putchar('\n');
	if (cli_flushed(EXIT_DONE) != EXIT_DONE)
		return EXIT_TEMPORARY;
	return check_command_endpoint(cli, e->domain, e->host, e->ip, e->port,
		e->mta == EXPLAIN_EXCHANGE);
}

int cmd_explain(const struct cli *cli, int argc, char **argv)
{
	auto_buf text = BUF_INIT(EXPLAIN_TEXT_MAX);
	struct explained e;
	struct err err = ERR_INIT;
	bool check = true, json = false;
	int i = 0;

	for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--no-check") == 0)
			check = false;
		else if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--") == 0 && ++i > 0)
			break;
		else
			return cli_usage(
				"explain: what is \"%.40s\"?", argv[i]);
	}
	if (read_input(argc - i, argv + i, &text, &err) != ST_OK) {
		fprintf(stderr, "danelaw: explain: %s\n", err.text);
		return err.st == ST_NOMEM ? EXIT_TEMPORARY : EXIT_USAGE;
	}
	explain_parse(buf_str(&text), text.len, &e);
	if (json)
		return print_json(&e);
	if (!e.understood)
		return not_understood(&e, &text);
	print_text(&e);
	return cli_flushed(check ? check_it(cli, &e) : EXIT_DONE);
}
