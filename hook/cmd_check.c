/*
 * danelaw check: who is to be checked, and how it is to be said. The work is
 * hook/check; the roles of keys come from the states of our lineages.
 */
#include "hook/cmd.h"

#include "hook/check/out.h"
#include "hook/engine.h"
#include "state/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TARGETS_MAX 1000
#define TIMEOUT_MAX 600 /* s */
#define DEFAULT_ANCHOR "/usr/share/dns/root.key"

enum style {
	STYLE_TEXT,
	STYLE_JSON,
	STYLE_NAGIOS,
	STYLE_PROMETHEUS,
	STYLE_CISCO,
	STYLE_MOMENTUM
};

struct request {
	struct check *check[TARGETS_MAX];
	size_t n;
	enum style style;
	enum check_profile profile;
	struct check_options opt;
	bool have_proto, verbose;
	enum probe_proto proto;
	/* for all targets of this request, when a file is there */
	bool have_config;
	struct config cfg;
	struct check_role *role;
	size_t n_roles;
};

static void request_release(struct request *r)
{
	for (size_t i = 0; i < r->n; i++) {
		check_release(r->check[i]);
		free(r->check[i]);
	}
	free(r->role);
	if (r->have_config)
		config_release(&r->cfg);
}

/* ---- targets ----------------------------------------------------------- */

static struct check *target_new(
	struct request *r, enum check_kind kind, const char *name)
{
	struct check *c;

	if (r->n == TARGETS_MAX) {
		cli_usage("check: more than %d targets", TARGETS_MAX);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		fprintf(stderr, "danelaw: out of memory\n");
		return NULL;
	}
	c->kind = kind;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
	r->check[r->n++] = c;
	return c;
}

/* "name", "name:port", "[name]:port" -> canonical name and port. */
static bool split_host(const char *text, char ret[static DNS_NAME_MAX],
	uint16_t *ret_port, bool *ret_bracket)
{
	const char *end = strrchr(text, ':');
	char name[2 * DNS_NAME_MAX];
	struct err err = ERR_INIT;
	size_t len;

	*ret_bracket = text[0] == '[';
	if (*ret_bracket) {
		text++;
		end = strchr(text, ']');
		if (end == NULL)
			return false;
		len = (size_t)(end - text);
		end = end[1] == ':' ? end + 1 : end[1] == '\0' ? NULL : text;
		if (end == text)
			return false;
	} else {
		len = end != NULL ? (size_t)(end - text) : strlen(text);
	}
	if (len >= sizeof(name))
		return false;
	memcpy(name, text, len);
	name[len] = '\0';
	if (end != NULL) {
		char *stop = NULL;
		long port;

		errno = 0;
		port = strtol(end + 1, &stop, 10);
		if (errno != 0 || stop == end + 1 || *stop != '\0' ||
			end[1] < '0' || end[1] > '9' || port < 1 ||
			port > 65535)
			return false;
		*ret_port = (uint16_t)port;
	}
	return name_canon(name, ret, &err) == ST_OK;
}

/* A canonical name that is an address but for its final dot. */
static bool looks_like_address(const char *name)
{
	size_t len = strlen(name);
	char bare[DNS_NAME_MAX];
	uint8_t a[16];

	(void)snprintf(
		bare, sizeof(bare), "%.*s", (int)(len > 0 ? len - 1 : 0), name);
	return inet_pton(AF_INET, bare, a) == 1;
}

static bool add_target(struct request *r, enum check_kind kind,
	const char *what, const char *text)
{
	char name[DNS_NAME_MAX];
	uint16_t port = 25;
	bool bracket = false;
	struct check *c;

	if (!split_host(text, name, &port, &bracket) ||
		looks_like_address(name)) {
		cli_usage("check: %s \"%.80s\" is not a %s: give a host name "
			  "in ASCII (for IDN the xn-- form), no address",
			what, text,
			kind == CHECK_BY_DOMAIN ? "domain" : "name[:port]");
		return false;
	}
	c = target_new(r, bracket ? CHECK_BY_HOST : kind, name);
	if (c == NULL)
		return false;
	c->port = port;
	return true;
}

static bool add_lineage(struct request *r, const struct cfg_lineage *cl)
{
	struct check *c = target_new(r, CHECK_BY_LINEAGE, cl->name);
	struct err err = ERR_INIT;

	if (c == NULL)
		return false;
	for (size_t i = 0; i < cl->n_endpoints; i++) {
		const struct cfg_endpoint *e = &cl->endpoint[i];

		if (check_add_host(c, e->host, e->port, e->proto, &err) ==
			ST_OK)
			continue;
		fprintf(stderr, "danelaw: %s: %s\n", cl->name, err.text);
		return false;
	}
	return true;
}

/* ---- configuration ----------------------------------------------------- */

/* Without a file a stranger's domain can be checked all the same. */
static bool read_config(const struct cli *cli, struct request *r)
{
	if (strcmp(cli->config_path, CONFIG_DEFAULT_PATH) == 0 &&
		access(cli->config_path, F_OK) != 0 && errno == ENOENT)
		return true;
	r->have_config = cli_config(cli, &r->cfg);
	return r->have_config;
}

static bool need_config(const struct cli *cli, const struct request *r)
{
	if (!r->have_config)
		cli_usage("check: no configuration %s, so there is no lineage",
			cli->config_path);
	return r->have_config;
}

static void take_roles(
	struct request *r, const char *lineage, const struct lineage_state *s)
{
	struct check_role *p =
		reallocarray(r->role, r->n_roles + s->n_keys + 1, sizeof(*p));

	if (p == NULL)
		return; /* the roles are only a help */
	r->role = p;
	for (size_t i = 0; i < s->n_keys; i++) {
		struct check_role *k = &r->role[r->n_roles++];

		memset(k, 0, sizeof(*k));
		k->spki = s->key[i].spki;
		(void)snprintf(k->lineage, sizeof(k->lineage), "%s", lineage);
		(void)snprintf(k->role, sizeof(k->role), "%s",
			key_role_name(s->key[i].role));
	}
}

/* The check goes on without: one line, however many lineages there are. */
static void no_roles(const char *lineage, size_t n, const struct err *err)
{
	fprintf(stderr, "danelaw: check: %s%swhat role each key has is not ",
		lineage, lineage[0] != '\0' ? ": " : "");
	if (n > 1)
		fprintf(stderr, "known (nor of %zu more lineages)", n - 1);
	else
		fprintf(stderr, "known");
	fprintf(stderr, ": %s\n", err->text);
}

static void read_roles(struct request *r)
{
	struct store *store = NULL;
	struct err err = ERR_INIT, first = ERR_INIT;
	const char *at = "";
	size_t bad = 0;
	enum status st;

	if (!r->have_config)
		return;
	st = store_open_read(r->cfg.state_dir, &store, &err);
	if (st != ST_OK) {
		if (st != ST_NOTFOUND)
			no_roles("", 1, &err);
		return;
	}
	for (size_t i = 0; i < r->cfg.n_lineages; i++) {
		const char *name = r->cfg.lineage[i].name;
		struct lineage_state s;

		st = store_peek(store, name, &s, &err);
		if (st == ST_OK) {
			take_roles(r, name, &s);
			state_release(&s);
		} else if (st != ST_NOTFOUND && bad++ == 0) {
			first = err;
			at = name;
		}
	}
	store_close(store);
	if (bad > 0)
		no_roles(at, bad, &first);
}

/* ---- running and showing ----------------------------------------------- */

static bool use_colour(void)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') &&
	       term != NULL && strcmp(term, "dumb") != 0;
}

static enum status render(const struct request *r, const struct memo *m,
	struct buf *out, int *ret_exit, struct err *err)
{
	const struct check *const *c = (const struct check *const *)r->check;
	struct out_options o = { .colour = use_colour(),
		.verbose = r->verbose };

	switch (r->style) {
	case STYLE_TEXT:
		return out_text(c, r->n, m, &o, out, err);
	case STYLE_JSON:
		return out_json(c, r->n, m, &o, out, err);
	case STYLE_NAGIOS:
		return out_nagios(c, r->n, out, ret_exit, err);
	case STYLE_PROMETHEUS:
		return out_prometheus(c, r->n, out, err);
	case STYLE_CISCO:
		return out_cisco(c, r->n, out, err);
	case STYLE_MOMENTUM:
		return out_momentum(c, r->n, out, err);
	}
	return err_set(err, ST_BUG, "no such style");
}

static int show(const struct request *r, const struct memo *m)
{
	struct buf out = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	int rc = EXIT_DONE;
	enum status st;

	for (size_t i = 0; i < r->n; i++)
		rc = engine_worse(rc, check_verdict_exit(r->check[i]->verdict));
	st = render(r, m, &out, &rc, &err);
	if (st != ST_OK) {
		fprintf(stderr, "danelaw: %s\n", err.text);
		rc = r->style == STYLE_NAGIOS ? 3 : EXIT_TEMPORARY;
	} else if (fwrite(buf_str(&out), 1, out.len, stdout) != out.len ||
		   fflush(stdout) != 0) {
		fprintf(stderr, "danelaw: cannot write the result: %s\n",
			strerror(errno));
		rc = r->style == STYLE_NAGIOS ? 3 : EXIT_TEMPORARY;
	}
	buf_release(&out);
	return rc;
}

/* Nagios knows no status but its own, whatever went wrong. */
static int failed(const struct request *r, const struct err *err)
{
	if (r->style == STYLE_NAGIOS) {
		printf("DANE UNKNOWN - %s\n", err->text);
		return 3;
	}
	fprintf(stderr, "danelaw: %s\n", err->text);
	return err->st == ST_CONFIG ? EXIT_USAGE : EXIT_TEMPORARY;
}

static enum status sense(struct request *r, struct resolver *res,
	struct memo *m, struct survey *survey, struct err *err)
{
	char fault[CHECK_TEXT_MAX] = "";
	enum status st = resolver_selftest(res, fault, sizeof(fault), err);

	for (size_t i = 0; i < r->n; i++) {
		struct check *c = r->check[i];

		c->profile = r->profile;
		c->role = r->role;
		c->n_roles = r->n_roles;
		(void)snprintf(c->resolver_fault, sizeof(c->resolver_fault),
			"%s", fault);
		if (c->kind == CHECK_BY_LINEAGE)
			continue;
		if (r->have_proto)
			c->proto = r->proto;
		else if (!probe_proto_for_port(c->port, &c->proto))
			return err_set(err, ST_CONFIG,
				"%.*s: port %u has no known protocol: say "
				"which with --starttls (none: TLS from the "
				"start)",
				(int)strlen(c->name) - 1, c->name,
				(unsigned)c->port);
	}
	if (st == ST_OK)
		st = check_run(r->check, r->n, &r->opt, m, survey, err);
	return st;
}

static int run(struct request *r)
{
	static const struct resolver_config def = { .trust_anchor =
							    DEFAULT_ANCHOR };
	struct survey survey = { .n_zones = 0 };
	struct resolver *res = NULL;
	struct memo *m = NULL;
	struct err err = ERR_INIT;
	enum status st;
	int rc;

	read_roles(r);
	r->opt.log = r->verbose || r->style == STYLE_CISCO;
	st = resolver_new(r->have_config ? &r->cfg.resolver : &def, &res, &err);
	if (st == ST_OK)
		st = memo_new(res, &m, &err);
	if (st == ST_OK)
		st = sense(r, res, m, &survey, &err);
	rc = st == ST_OK ? show(r, m) : failed(r, &err);
	survey_release(&survey);
	memo_free(m);
	resolver_free(res);
	return rc;
}

/* ---- arguments --------------------------------------------------------- */

static bool set_style(struct request *r, enum style s)
{
	if (r->style != STYLE_TEXT && r->style != s) {
		cli_usage("check: one kind of output only");
		return false;
	}
	r->style = s;
	return true;
}

/* Options without a value. 1 taken, 0 not one of them, -1 wrong. */
static int flag(struct request *r, bool *all, const char *opt)
{
	static const struct {
		const char *name;
		enum style style;
	} styles[] = { { "--json", STYLE_JSON }, { "--nagios", STYLE_NAGIOS },
		{ "--prometheus", STYLE_PROMETHEUS },
		{ "--style=cisco", STYLE_CISCO },
		{ "--style=momentum", STYLE_MOMENTUM },
		{ "--style=text", STYLE_TEXT } };

	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		if (strcmp(opt, styles[i].name) == 0)
			return set_style(r, styles[i].style) ? 1 : -1;
	if (strcmp(opt, "-v") == 0)
		r->verbose = true;
	else if (strcmp(opt, "--quick") == 0)
		r->opt.quick = true;
	else if (strcmp(opt, "--no-servers") == 0)
		r->opt.no_survey = true;
	else if (strcmp(opt, "-4") == 0)
		r->opt.family = AF_INET;
	else if (strcmp(opt, "-6") == 0)
		r->opt.family = AF_INET6;
	else if (strcmp(opt, "--all") == 0)
		*all = true;
	else
		return 0;
	return 1;
}

static bool set_timeout(struct request *r, const char *value)
{
	char *end = NULL;
	long s = strtol(value, &end, 10);

	if (*value < '0' || *value > '9' || *end != '\0' || s < 1 ||
		s > TIMEOUT_MAX) {
		cli_usage(
			"check: --timeout takes 1 to %d seconds", TIMEOUT_MAX);
		return false;
	}
	r->opt.limits.total_ms = s * 1000;
	if (s < 10)
		r->opt.limits.connect_ms = s * 1000;
	return true;
}

static bool set_profile(struct request *r, const char *value)
{
	if (strcmp(value, "rfc") == 0)
		r->profile = PROFILE_RFC;
	else if (strcmp(value, "exchange") == 0)
		r->profile = PROFILE_EXCHANGE;
	else
		cli_usage("check: no profile \"%.40s\" (rfc, exchange)", value);
	return strcmp(value, "rfc") == 0 || strcmp(value, "exchange") == 0;
}

static bool set_proto(struct request *r, const char *value)
{
	r->have_proto = probe_proto_parse(value, &r->proto);
	if (!r->have_proto)
		cli_usage("check: --starttls takes smtp, imap, pop3, sieve, "
			  "ldap, xmpp, xmpp-server or none, not \"%.40s\"",
			value);
	return r->have_proto;
}

static bool add_named_lineage(
	const struct cli *cli, struct request *r, const char *name)
{
	const struct cfg_lineage *cl;

	if (!need_config(cli, r))
		return false;
	cl = config_lineage(&r->cfg, name);
	if (cl == NULL) {
		cli_usage("no lineage \"%.200s\" in %s", name, r->cfg.path);
		return false;
	}
	return add_lineage(r, cl);
}

/* Options with a value ("--x V" or "--x=V"). 1 taken, 0 unknown, -1 wrong. */
static int valued(const struct cli *cli, struct request *r, const char *opt,
	const char *value)
{
	size_t len = strcspn(opt, "=");
	bool ok;

	if (len == 9 && strncmp(opt, "--profile", 9) == 0)
		ok = set_profile(r, value);
	else if (len == 10 && strncmp(opt, "--starttls", 10) == 0)
		ok = set_proto(r, value);
	else if (len == 9 && strncmp(opt, "--timeout", 9) == 0)
		ok = set_timeout(r, value);
	else if (len == 6 && strncmp(opt, "--host", 6) == 0)
		ok = add_target(r, CHECK_BY_HOST, "--host", value);
	else if (len == 9 && strncmp(opt, "--nexthop", 9) == 0)
		ok = add_target(r, CHECK_BY_DOMAIN, "--nexthop", value);
	else if (len == 9 && strncmp(opt, "--lineage", 9) == 0)
		ok = add_named_lineage(cli, r, value);
	else
		return 0;
	return ok ? 1 : -1;
}

static bool parse(
	const struct cli *cli, struct request *r, int argc, char **argv)
{
	bool plain = false, all = false;

	for (int i = 0; i < argc; i++) {
		const char *opt = argv[i], *value = strchr(opt, '=');
		int took = 0;

		if (plain || opt[0] != '-') {
			if (!add_target(r, CHECK_BY_DOMAIN, "domain", opt))
				return false;
			continue;
		}
		if (strcmp(opt, "--") == 0) {
			plain = true;
			continue;
		}
		took = flag(r, &all, opt);
		if (took == 0 && value != NULL)
			took = valued(cli, r, opt, value + 1);
		else if (took == 0 && i + 1 < argc &&
			 (took = valued(cli, r, opt, argv[i + 1])) == 1)
			i++;
		if (took == 0)
			cli_usage("check: unknown option \"%.60s\", or its "
				  "value is missing",
				opt);
		if (took != 1)
			return false;
	}
	if (all && !need_config(cli, r))
		return false;
	for (size_t i = 0; all && i < r->cfg.n_lineages; i++)
		if (!add_lineage(r, &r->cfg.lineage[i]))
			return false;
	if (r->n == 0)
		cli_usage("check: nothing to check: give a domain, --host, "
			  "--nexthop, --lineage or --all");
	return r->n > 0;
}

/* To Nagios 2 is CRITICAL; that we were called wrongly is not. */
static int usage_exit(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--nagios") == 0) {
			printf("DANE UNKNOWN - usage or configuration: what is "
			       "wrong is on standard error\n");
			(void)cli_flushed(3);
			return 3;
		}
	return EXIT_USAGE;
}

int cmd_check(const struct cli *cli, int argc, char **argv)
{
	struct request *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL) {
		fprintf(stderr, "danelaw: out of memory\n");
		return EXIT_TEMPORARY;
	}
	if (read_config(cli, r) && parse(cli, r, argc, argv))
		rc = run(r);
	else
		rc = usage_exit(argc, argv);
	request_release(r);
	free(r);
	return rc;
}

int check_command_endpoint(const struct cli *cli, const char *domain,
	const char *host, const char *ip, uint16_t port, bool exchange)
{
	struct request *r = calloc(1, sizeof(*r));
	int rc = EXIT_USAGE;

	if (r == NULL) {
		fprintf(stderr, "danelaw: out of memory\n");
		return EXIT_TEMPORARY;
	}
	if (read_config(cli, r)) {
		bool by_host = host != NULL && host[0] != '\0';
		struct check *c =
			target_new(r, by_host ? CHECK_BY_HOST : CHECK_BY_DOMAIN,
				by_host ? host : domain);

		if (c != NULL) {
			c->port = port != 0 ? port : 25;
			r->profile = exchange ? PROFILE_EXCHANGE : PROFILE_RFC;
			/* Whoever bounces speaks SMTP, at any port. */
			r->have_proto =
				!probe_proto_for_port(c->port, &r->proto);
			if (r->have_proto)
				r->proto = PROTO_SMTP;
			if (ip != NULL)
				(void)snprintf(c->only_addr,
					sizeof(c->only_addr), "%s", ip);
			rc = run(r);
		}
	}
	request_release(r);
	free(r);
	return rc;
}
