/*
 * The network, from a process of its own: the process. It was forked before a
 * key was read, holds no descriptor but the stream to the engine and stderr,
 * and goes into the sandbox before the first octet from the network. The uid is
 * the engine's, because the credentials of providers belong to it. It ends when
 * the stream does, and is killed with its parent. Signals of a terminal or of
 * systemd are for the parent alone: it finishes the call that it is in.
 */
#include "hook/env_apart.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What libraries for DNS, TLS and names read. Never a folder that may hold a
 * private key: so not /etc, and not /etc/ssl. */
static const char *const system_paths[] = {
	/* names: libc and its modules */
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
	"/run/systemd/resolve",
	/* libraries that are loaded late */
	"/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64",
	/* certificates of authorities, configuration of OpenSSL */
	"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/ca-trust/extracted",
	"/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf",
	"/etc/crypto-policies", "/usr/share/crypto-policies",
	"/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	/* time and language */
	"/etc/localtime", "/usr/share/zoneinfo", "/usr/share/locale",
	/* the system itself */
	"/dev/null", "/dev/random", "/dev/urandom", "/sys/devices/system/cpu",
	"/proc/stat", "/proc/cpuinfo", "/proc/sys/crypto",
	"/proc/sys/kernel/random", "/proc/sys/vm",
	"/proc/self", /* of this process only */
};
#define N_SYSTEM (sizeof(system_paths) / sizeof(system_paths[0]))
#define N_NAMES 5 /* the first of them, for names of providers */
#define MORE 8    /* beside options: anchor, hints, AWS ... */

struct child {
	const struct config *cfg;
	struct env env;
	int fd;
	struct buf in, out;
	const char **path; /* what it may read, NULL at the end */
	bool *refused;     /* each, when the cage was closed */
};

/* ---- what it may read ---- */

struct paths {
	const char **path; /* NULL at the end */
	size_t n;
};

/* Owned by the list; the process lives as long. */
static void add_path(struct paths *l, const char *path)
{
	if (path != NULL && path[0] == '/')
		l->path[l->n++] = path;
}

static void add_joined(struct paths *l, const char *folder, const char *name)
{
	char *path = NULL;

	if (folder != NULL && asprintf(&path, "%s/%s", folder, name) > 0)
		add_path(l, path);
}

/* The files that a provider's section names, or the environment for it. */
static void add_provider(struct paths *l, const struct cfg_provider *p)
{
	for (size_t i = 0; p->ops->options[i].name != NULL; i++) {
		const struct provider_option *o = &p->ops->options[i];
		const char *v = p->value[i];

		if (o->type != POPT_SECRET_FILE && o->type != POPT_FILE)
			continue;
		if (v == NULL && o->env != NULL)
			v = secure_getenv(o->env);
		if (v == NULL)
			continue;
		if (v[0] == '/')
			add_path(l, v);
		else if (o->type == POPT_SECRET_FILE && strchr(v, '/') == NULL)
			add_joined(l, getenv("CREDENTIALS_DIRECTORY"), v);
	}
	if (strcmp(p->ops->type, "route53") == 0)
		add_joined(l, secure_getenv("HOME"), ".aws/credentials");
}

static bool list_readable(const struct config *cfg, struct paths *l)
{
	size_t max = N_SYSTEM + MORE;

	for (size_t i = 0; i < cfg->n_providers; i++)
		for (const struct provider_option *o =
				cfg->provider[i].ops->options;
			o->name != NULL; o++)
			max++;
	max += cfg->n_providers;
	l->path = calloc(max + 1, sizeof(*l->path));
	if (l->path == NULL)
		return false;
	for (size_t i = 0; i < N_SYSTEM; i++)
		add_path(l, system_paths[i]);
	add_path(l, cfg->resolver.trust_anchor);
	add_path(l, cfg->resolver.root_hints);
	for (size_t i = 0; i < cfg->n_providers; i++)
		if (!apart_is_local(cfg->provider[i].ops))
			add_provider(l, &cfg->provider[i]);
	return true;
}

static bool list_forbidden(const struct config *cfg, struct paths *l)
{
	l->path = calloc(cfg->n_lineages + 2, sizeof(*l->path));
	if (l->path == NULL)
		return false;
	add_path(l, cfg->state_dir);
	for (size_t i = 0; i < cfg->n_lineages; i++)
		add_path(l, cfg->lineage[i].certbot);
	return true;
}

/* ---- into the cage ---- */

/* The stream is 3 afterwards. A terminal is mostly open for reading, too, also
 * as stderr: what is typed there is none of our business. */
static bool shed_descriptors(struct child *c)
{
	int fd = fcntl(c->fd, F_DUPFD, 10);
	int null = open("/dev/null", O_RDWR);

	if (fd < 0 || null < 0 || dup2(null, 0) != 0 || dup2(null, 1) != 1 ||
		(isatty(2) == 1 && dup2(null, 2) != 2) || dup2(fd, 3) != 3)
		return false;
	c->fd = 3;
	for (int i = 4; close_range(4, ~0U, 0) != 0 && i < 65536; i++)
		(void)close(i);
	return true;
}

static bool leave_parent(struct child *c, pid_t parent)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT,
		SIGPIPE };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)setsid();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		return false;
	return shed_descriptors(c) && chdir("/") == 0;
}

static bool is_refused(const char *path)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 && errno == EACCES;
}

static enum status enter(
	struct child *c, char missing[static SANDBOX_TEXT_MAX], struct err *err)
{
	struct paths may = { .n = 0 }, never = { .n = 0 };
	struct sandbox s;
	enum status st = ST_NOMEM;

	if (list_readable(c->cfg, &may) && list_forbidden(c->cfg, &never))
		c->refused = calloc(may.n + 1, sizeof(*c->refused));
	if (c->refused == NULL) {
		(void)err_set(err, st, "out of memory");
	} else {
		s = (struct sandbox){ .read = may.path, .never = never.path };
		st = sandbox_enter(&s, missing, err);
	}
	for (size_t i = 0; st == ST_OK && i < may.n; i++)
		c->refused[i] = is_refused(may.path[i]);
	c->path = may.path;
	free(never.path);
	return st;
}

/* The cage knows files, not names: in a stay of days ("run --wait") a
 * credential, a trust anchor, a resolv.conf may be replaced by a file that
 * cannot be read from inside. The next process can, this one never: so it goes
 * before it fails in stranger ways. edit: what an edit needs, else what a
 * resolver needs. */
static void leave_if_replaced(const struct child *c, bool edit)
{
	for (size_t i = 0; c->path[i] != NULL; i++) {
		const char *p = c->path[i];
		bool of_system = i >= N_NAMES && i < N_SYSTEM;
		bool of_resolver = p == c->cfg->resolver.trust_anchor ||
				   p == c->cfg->resolver.root_hints;

		if (!of_system && of_resolver != edit && !c->refused[i] &&
			is_refused(p))
			_exit(APART_REPLACED);
	}
}

/* ---- calls ---- */

static void reply(struct child *c, enum wire_kind kind)
{
	if (apart_send(c->fd, kind, &c->out, 0) != APART_OK)
		_exit(0);
}

/* Begins an answer. */
static struct wire open_reply(struct child *c, enum status st, struct err *err)
{
	struct wire w;

	buf_clear(&c->out);
	w = wire_writer(&c->out);
	err->st = st;
	wire_err(&w, err);
	return w;
}

static void close_reply(
	struct child *c, const struct wire *w, enum wire_kind kind)
{
	struct err err = ERR_INIT;

	if (!wire_done(w)) {
		err.st = err_set(&err, ST_REFUSED,
			"the process that talks to the network cannot pass on "
			"what it learned: %s",
			w->why);
		(void)open_reply(c, err.st, &err);
	}
	reply(c, kind);
}

/* Questions come from the engine: one that cannot be read is a bug. */
static void must(const struct wire *r)
{
	if (!wire_done(r))
		_exit(3);
}

static void do_sweep(struct child *c, struct wire *r, enum wire_kind kind)
{
	struct wire_names q = { .n = 0 };
	struct authority a = { .n_zones = 0 };
	struct sweep s = { .n = 0 };
	struct err err = ERR_INIT;
	enum status st;
	struct wire w;

	wire_ask_names(r, &q);
	must(r);
	leave_if_replaced(c, false);
	if (kind == WIRE_WARM) {
		c->env.warm(c->env.ctx, q.name, q.n);
		w = open_reply(c, ST_OK, &err);
	} else {
		st = c->env.sweep(
			c->env.ctx, q.name, q.n, q.keep_ms, &a, &s, &err);
		w = open_reply(c, st, &err);
		if (st == ST_OK)
			wire_said_sweep(&w, q.name, q.n, &a, &s);
	}
	close_reply(c, &w, kind);
	authority_release(&a);
	sweep_release(&s);
	wire_names_release(&q);
}

static void do_look_up(struct child *c, struct wire *r)
{
	struct wire_lookups q = { .n = 0 };
	struct err err = ERR_INIT;
	enum status st;
	struct wire w;

	wire_ask_look_up(r, &q);
	must(r);
	st = c->env.look_up(c->env.ctx, q.job, q.n, &err);
	w = open_reply(c, st, &err);
	if (st == ST_OK)
		wire_said_look_up(&w, q.job, q.n);
	close_reply(c, &w, WIRE_LOOK_UP);
	wire_lookups_release(&q);
}

static void do_probe(struct child *c, struct wire *r)
{
	struct wire_probes q = { .n = 0 };
	struct err err = ERR_INIT;
	enum status st;
	struct wire w;

	wire_ask_probe(r, &q);
	must(r);
	st = c->env.probe(c->env.ctx, q.job, q.n, &q.lim, &err);
	w = open_reply(c, st, &err);
	if (st == ST_OK)
		wire_said_probe(&w, q.job, q.n);
	close_reply(c, &w, WIRE_PROBE);
	wire_probes_release(&q);
}

/* The decision is the engine's. May be called in another thread, but never two
 * at once (rest_together.c). */
static enum status ask_decision(void *arg, size_t i,
	const struct tlsa_rrset *now, struct tlsa_rrset *to, struct err *err)
{
	struct child *c = arg;
	auto_buf body = BUF_INIT(WIRE_MAX);
	enum wire_kind kind = WIRE__COUNT;
	struct tlsa_rrset held = *now; /* borrowed */
	struct err said = ERR_INIT;
	struct wire w = wire_writer(&body), r;

	wire_index(&w, &i, WIRE_NAMES_MAX);
	wire_rrset(&w, &held);
	if (!wire_done(&w))
		return err_set(err, ST_REFUSED, "%s", w.why);
	if (apart_send(c->fd, WIRE_DECIDE, &body, 0) != APART_OK ||
		apart_receive(c->fd, &kind, &body, 0) != APART_OK)
		_exit(0);
	r = wire_reader(body.data, body.len);
	wire_err(&r, &said);
	if (said.st == ST_OK)
		wire_rrset(&r, to);
	must(&r);
	return kind != WIRE_DECIDE ? err_set(err, ST_BUG, "no decision")
	       : said.st != ST_OK  ? err_set(err, said.st, "%s", said.text)
				   : ST_OK;
}

static void do_edit(struct child *c, struct wire *r)
{
	struct wire_edit q = { .n = 0 };
	struct err err = ERR_INIT;
	enum status st = ST_BUG;
	struct wire w;

	wire_ask_edit(r, &q);
	must(r);
	leave_if_replaced(c, true);
	if (q.provider < c->cfg->n_providers)
		st = c->env.edit(c->env.ctx, &c->cfg->provider[q.provider],
			q.deadline_ms, q.item, q.n, ask_decision, c, &err);
	w = open_reply(c, st, &err);
	if (st == ST_OK)
		wire_said_edit(&w, q.item, q.n);
	close_reply(c, &w, WIRE_EDIT);
	wire_edit_release(&q);
}

static void serve(struct child *c, enum wire_kind kind)
{
	struct wire r = wire_reader(c->in.data, c->in.len);

	switch (kind) {
	case WIRE_SWEEP:
	case WIRE_WARM:
		do_sweep(c, &r, kind);
		return;
	case WIRE_LOOK_UP:
		do_look_up(c, &r);
		return;
	case WIRE_PROBE:
		do_probe(c, &r);
		return;
	case WIRE_EDIT:
		do_edit(c, &r);
		return;
	case WIRE_READY:
	case WIRE_DECIDE:
	case WIRE__COUNT:
		break;
	}
	_exit(3);
}

void apart_child(const struct config *cfg, int fd, pid_t parent)
{
	struct child c = { .cfg = cfg,
		.fd = fd,
		.in = BUF_INIT(WIRE_MAX),
		.out = BUF_INIT(WIRE_MAX) };
	char missing[SANDBOX_TEXT_MAX] = "";
	struct err err = ERR_INIT;
	enum wire_kind kind;
	enum status st;
	struct wire w;

	if (!leave_parent(&c, parent))
		_exit(4);
	st = env_here(cfg, &c.env, &err);
	if (st == ST_OK)
		st = enter(&c, missing, &err);
	w = open_reply(&c, st, &err);
	if (st == ST_OK)
		wire_text(&w, missing, sizeof(missing));
	close_reply(&c, &w, WIRE_READY);
	while (st == ST_OK && apart_receive(c.fd, &kind, &c.in, 0) == APART_OK)
		serve(&c, kind);
	/* Nothing of the parent's is flushed or run. */
	_exit(0);
}
