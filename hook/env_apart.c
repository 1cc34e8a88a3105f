/*
 * The network, from a process of its own: the engine's side. Invariants: the
 * child is forked before a key was read, and never again; every call has an end
 * in time; after anything odd (a lie in form, silence, death) the child is
 * killed and stays dead, and no result of that call is used. What a child that
 * somebody broke into can still do: say what is not so. That can cost a
 * rollover (THREATS), never a key.
 */
#include "hook/env_apart.h"

#include "hook/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Limits for a child that hangs: what the calls may take by their own limits,
 * several times over. */
#define START_MS 20000
#define ROUNDS 16            /* of look-ups, one after the other, in a sweep */
#define PROBE_MS 30000       /* one probe, by default */
#define CALL_MS 300000       /* one call to a provider at most */
#define EDIT_MS (30 * 60000) /* where nobody waits, and for each item: */
#define ITEM_MS 60000
/* How often the decision about one owner name may be asked for. */
#define DECISIONS_MAX 8
#define DAY_MS 86400000
#define CHUNK ((size_t)1 << 18)

int64_t apart_slack_ms = 60000;

struct apart {
	const struct config *cfg;
	struct env local; /* for providers that stay here */
	pid_t pid;
	int fd; /* -1: it is gone, why says how */
	char why[256];
	struct buf out, in;
};

bool apart_is_local(const struct provider_ops *ops)
{
	return strcmp(ops->type, "exec") == 0 ||
	       strcmp(ops->type, "manual") == 0;
}

/* ---- frames ---- */

/* What is there already is not late: it was we who were stopped (Ctrl-Z, a
 * frozen machine). A body has its limit, so that has an end. */
static enum apart_io await(int fd, short what, int64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = what };
		int64_t left = deadline - clock_mono_ms();
		int n;

		if (deadline == 0 || left > 60000)
			left = 60000;
		n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return APART_OK;
		if (n < 0 && errno != EINTR)
			return APART_END;
		if (left <= 0)
			return APART_LATE;
	}
}

static enum apart_io send_all(
	int fd, const void *data, size_t len, int64_t deadline)
{
	const char *p = data;

	while (len > 0) {
		enum apart_io io = await(fd, POLLOUT, deadline);
		ssize_t n;

		if (io != APART_OK)
			return io;
		n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return APART_END;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return APART_OK;
}

static enum apart_io receive_all(
	int fd, void *data, size_t len, int64_t deadline)
{
	char *p = data;

	while (len > 0) {
		enum apart_io io = await(fd, POLLIN, deadline);
		ssize_t n;

		if (io != APART_OK)
			return io;
		n = recv(fd, p, len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return APART_END;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return APART_OK;
}

enum apart_io apart_send(int fd, enum wire_kind kind, const struct buf *body,
	int64_t deadline_ms)
{
	uint8_t head[WIRE_HEAD];
	enum apart_io io;

	wire_head_put(head, kind, body->len);
	io = send_all(fd, head, sizeof(head), deadline_ms);
	return io != APART_OK
		       ? io
		       : send_all(fd, body->data, body->len, deadline_ms);
}

enum apart_io apart_receive(
	int fd, enum wire_kind *ret_kind, struct buf *body, int64_t deadline_ms)
{
	uint8_t head[WIRE_HEAD];
	struct err err = ERR_INIT;
	size_t len;
	enum apart_io io = receive_all(fd, head, sizeof(head), deadline_ms);
	char *chunk;

	buf_clear(body);
	if (io != APART_OK)
		return io;
	if (!wire_head_get(head, ret_kind, &len))
		return APART_LIE;
	chunk = malloc(CHUNK);
	/* Memory grows with what came, not with what was promised. */
	while (io == APART_OK && len > 0) {
		size_t n = len < CHUNK ? len : CHUNK;

		io = chunk != NULL ? receive_all(fd, chunk, n, deadline_ms)
				   : APART_NOMEM;
		if (io == APART_OK && buf_append(body, chunk, n, &err) != ST_OK)
			io = APART_NOMEM;
		len -= n;
	}
	free(chunk);
	return io;
}

/* ---- its end ---- */

static void describe(struct apart *a, int status)
{
	const char *name;

	if (WIFEXITED(status) && WEXITSTATUS(status) == APART_REPLACED) {
		(void)snprintf(a->why, sizeof(a->why),
			"a file that it needs was replaced since it started, "
			"and it cannot read the new one: a credential, the "
			"trust anchor, resolv.conf or the like");
	} else if (WIFEXITED(status)) {
		(void)snprintf(a->why, sizeof(a->why), "exit status %d",
			WEXITSTATUS(status));
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		(void)snprintf(a->why, sizeof(a->why),
			"it tried what its sandbox forbids: somebody may have "
			"broken into it; the kernel's log has the system call");
	} else {
		name = sigabbrev_np(WTERMSIG(status));
		(void)snprintf(a->why, sizeof(a->why), "signal SIG%s",
			name != NULL ? name : "?");
	}
}

static void put_down(struct apart *a)
{
	int status;
	pid_t got;

	if (a->fd < 0)
		return;
	(void)close(a->fd);
	a->fd = -1;
	(void)kill(a->pid, SIGKILL);
	do
		got = waitpid(a->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got == a->pid)
		describe(a, status);
	else
		(void)snprintf(a->why, sizeof(a->why), "unknown end");
}

static enum status is_gone(const struct apart *a, struct err *err)
{
	return err_set(err, ST_RETRY,
		"the process that talks to the network is gone (%s); the next "
		"run starts a new one",
		a->why);
}

/* A lie in form, or what is no answer to the question. */
static enum status lied(struct apart *a, const char *how, struct err *err)
{
	put_down(a);
	(void)snprintf(a->why, sizeof(a->why), "it sent nonsense: %s", how);
	return err_set(err, ST_BUG,
		"the process that talks to the network sent nonsense (%s) and "
		"was ended; nothing that it said in this call was used",
		how);
}

static enum status trouble(struct apart *a, enum apart_io io, struct err *err)
{
	switch (io) {
	case APART_OK:
		return ST_OK;
	case APART_END:
		put_down(a);
		return is_gone(a, err);
	case APART_LATE:
		put_down(a);
		(void)snprintf(a->why, sizeof(a->why),
			"it did not answer in time and was ended");
		return is_gone(a, err);
	case APART_NOMEM:
		put_down(a);
		return err_set(err, ST_NOMEM, "out of memory");
	case APART_LIE:
		break;
	}
	return lied(a, "no message", err);
}

/* ---- a call ---- */

static struct wire begin(struct apart *a)
{
	buf_clear(&a->out);
	return wire_writer(&a->out);
}

static enum status say(struct apart *a, const struct wire *w,
	enum wire_kind kind, int64_t deadline, struct err *err)
{
	if (a->fd < 0)
		return is_gone(a, err);
	if (!wire_done(w))
		return err_set(err, ST_REFUSED,
			"cannot ask this of the process that talks to the "
			"network: %s",
			w->why);
	return trouble(a, apart_send(a->fd, kind, &a->out, deadline), err);
}

static enum status hear(struct apart *a, enum wire_kind *ret_kind,
	int64_t deadline, struct err *err)
{
	return trouble(
		a, apart_receive(a->fd, ret_kind, &a->in, deadline), err);
}

/* The status that its answer begins with; the rest is left to read. */
static enum status opening(struct apart *a, struct wire *r, struct err *err)
{
	struct err said = ERR_INIT;

	*r = wire_reader(a->in.data, a->in.len);
	wire_err(r, &said);
	if (r->bad || (said.st != ST_OK && !wire_done(r)))
		return lied(a, r->bad ? r->why : "octets behind an error", err);
	return said.st != ST_OK ? err_set(err, said.st, "%s", said.text)
				: ST_OK;
}

/* Asks what is in a->out, and opens the answer. */
static enum status ask(struct apart *a, const struct wire *w,
	enum wire_kind kind, int64_t ms, struct wire *r, struct err *err)
{
	int64_t deadline = clock_mono_ms() + ms;
	enum wire_kind got = WIRE__COUNT;
	enum status st = say(a, w, kind, deadline, err);

	if (st == ST_OK)
		st = hear(a, &got, deadline, err);
	if (st == ST_OK && got != kind)
		st = lied(a, "an answer to another question", err);
	return st != ST_OK ? st : opening(a, r, err);
}

static enum status close_answer(
	struct apart *a, const struct wire *r, struct err *err)
{
	if (wire_done(r))
		return ST_OK;
	return lied(a, r->bad ? r->why : "octets behind the end", err);
}

/* ---- the five ---- */

static int64_t look_up_ms(const struct apart *a, size_t n)
{
	int64_t one = a->cfg->resolver.timeout_ms;

	return (one > 0 ? one : 15000) + 100 * (int64_t)n;
}

static int64_t sweep_ms(const struct apart *a, size_t n)
{
	return ROUNDS * look_up_ms(a, n) + apart_slack_ms;
}

static enum status apart_sweep(void *ctx, const char *const owner[], size_t n,
	int64_t keep_ms, struct authority *ret_auth, struct sweep *ret,
	struct err *err)
{
	struct apart *a = ctx;
	struct wire_names q = { .name = owner, .n = n };
	struct wire w = begin(a), r;
	enum status st;

	/* Below 0: nothing may be used again. */
	q.keep_ms = keep_ms < -1 ? -1 : keep_ms > DAY_MS ? DAY_MS : keep_ms;
	*ret_auth = (struct authority){ .n_zones = 0 };
	*ret = (struct sweep){ .n = 0 };
	wire_ask_names(&w, &q);
	st = ask(a, &w, WIRE_SWEEP, sweep_ms(a, n), &r, err);
	if (st != ST_OK)
		return st;
	wire_said_sweep(&r, owner, n, ret_auth, ret);
	st = close_answer(a, &r, err);
	if (st != ST_OK) {
		authority_release(ret_auth);
		sweep_release(ret);
		*ret_auth = (struct authority){ .n_zones = 0 };
		*ret = (struct sweep){ .n = 0 };
	}
	return st;
}

static void apart_warm(void *ctx, const char *const owner[], size_t n)
{
	struct apart *a = ctx;
	struct wire_names q = { .name = owner, .n = n };
	struct wire w = begin(a), r;
	struct err err = ERR_INIT;

	wire_ask_names(&w, &q);
	if (ask(a, &w, WIRE_WARM, sweep_ms(a, n), &r, &err) == ST_OK)
		(void)close_answer(a, &r, &err);
}

static enum status apart_look_up(
	void *ctx, struct lookup *const jobs[], size_t n, struct err *err)
{
	struct apart *a = ctx;
	struct wire_lookups q = { .job = jobs, .n = n };
	struct wire w = begin(a), r;
	enum status st;

	for (size_t i = 0; i < n; i++)
		lookup_release(jobs[i]);
	wire_ask_look_up(&w, &q);
	st = ask(a, &w, WIRE_LOOK_UP, look_up_ms(a, n) + apart_slack_ms, &r,
		err);
	if (st != ST_OK)
		return st;
	wire_said_look_up(&r, jobs, n);
	st = close_answer(a, &r, err);
	for (size_t i = 0; st != ST_OK && i < n; i++)
		lookup_release(jobs[i]);
	return st;
}

static enum status apart_probe(void *ctx, struct probe_job *jobs, size_t n,
	const struct probe_limits *lim, struct err *err)
{
	struct apart *a = ctx;
	struct wire_probes q = { .job = jobs, .n = n, .lim = *lim };
	int64_t one = lim->total_ms > 0 ? lim->total_ms : PROBE_MS;
	struct wire w = begin(a), r;
	enum status st;

	wire_ask_probe(&w, &q);
	/* With one at a time, all of them in a row at the worst. */
	st = ask(a, &w, WIRE_PROBE, one * (int64_t)n + apart_slack_ms, &r, err);
	if (st != ST_OK)
		return st;
	wire_said_probe(&r, jobs, n);
	return close_answer(a, &r, err);
}

/* ---- changes ---- */

struct edit {
	struct provider_item *item;
	size_t n;
	provider_decide decide;
	void *arg;
	int64_t deadline;
	size_t asked;
};

/* What an item holds now, from the child; what it shall hold, from here. */
static enum status decide_one(struct apart *a, struct edit *e, struct err *err)
{
	struct wire r = wire_reader(a->in.data, a->in.len), w;
	struct tlsa_rrset now = TLSA_RRSET_INIT;
	struct provider_item *it;
	struct err no = ERR_INIT;
	size_t i = 0;

	wire_index(&r, &i, e->n);
	wire_rrset(&r, &now);
	if (!wire_done(&r) || e->asked++ >= DECISIONS_MAX * e->n) {
		tlsa_rrset_release(&now);
		return lied(a, r.bad ? r.why : "too many questions", err);
	}
	it = &e->item[i];
	tlsa_rrset_release(&it->now);
	tlsa_rrset_release(&it->to);
	it->now = now;
	it->to = (struct tlsa_rrset)TLSA_RRSET_INIT;
	no.st = e->decide(e->arg, i, &it->now, &it->to, &no);
	w = begin(a);
	wire_err(&w, &no);
	if (no.st == ST_OK)
		wire_rrset(&w, &it->to);
	return say(a, &w, WIRE_DECIDE, e->deadline, err);
}

static enum status converse(struct apart *a, const struct wire *w,
	struct edit *e, struct wire *r, struct err *err)
{
	enum wire_kind kind = WIRE_DECIDE;
	enum status st = say(a, w, WIRE_EDIT, e->deadline, err);

	while (st == ST_OK && kind == WIRE_DECIDE) {
		st = hear(a, &kind, e->deadline, err);
		if (st == ST_OK && kind == WIRE_DECIDE)
			st = decide_one(a, e, err);
	}
	if (st == ST_OK && kind != WIRE_EDIT)
		st = lied(a, "an answer to another question", err);
	return st != ST_OK ? st : opening(a, r, err);
}

static enum status apart_edit(void *ctx, const struct cfg_provider *p,
	int64_t deadline_ms, struct provider_item *items, size_t n,
	provider_decide decide, void *arg, struct err *err)
{
	struct apart *a = ctx;
	int64_t now = clock_mono_ms();
	struct wire_edit q = { .provider = (size_t)(p - a->cfg->provider),
		.deadline_ms = deadline_ms,
		.item = items,
		.n = n };
	struct edit e = { .item = items, .n = n, .decide = decide, .arg = arg };
	struct wire w, r;
	enum status st;

	if (apart_is_local(p->ops))
		return a->local.edit(a->local.ctx, p, deadline_ms, items, n,
			decide, arg, err);
	e.deadline = now + CALL_MS + apart_slack_ms;
	if (deadline_ms == 0)
		e.deadline += EDIT_MS + ITEM_MS * (int64_t)n;
	else if (deadline_ms > now)
		e.deadline += deadline_ms - now;
	w = begin(a);
	wire_ask_edit(&w, &q);
	st = converse(a, &w, &e, &r, err);
	if (st == ST_OK) {
		wire_said_edit(&r, items, n);
		st = close_answer(a, &r, err);
	}
	if (st == ST_OK || e.asked == 0)
		return st;
	/* Perhaps something was changed: each item fails, and is read again. */
	for (size_t i = 0; i < n; i++) {
		items[i].changed = false;
		items[i].retry_after_s = 0;
		items[i].err = *err;
	}
	return ST_OK;
}

/* ---- its beginning ---- */

static void apart_free(void *ctx)
{
	struct apart *a = ctx;

	if (a == NULL)
		return;
	put_down(a);
	if (a->local.free != NULL)
		a->local.free(a->local.ctx);
	buf_release(&a->out);
	buf_release(&a->in);
	free(a);
}

bool env_apart_gone(const struct env *env)
{
	return env->free == apart_free &&
	       ((const struct apart *)env->ctx)->fd < 0;
}

static enum status start(struct apart *a, struct err *err)
{
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return err_sys(err, ST_IO, errno, "cannot make a socket");
	a->pid = fork();
	if (a->pid == 0) {
		(void)close(pair[0]);
		apart_child(a->cfg, pair[1], parent);
	}
	(void)close(pair[1]);
	if (a->pid < 0) {
		(void)close(pair[0]);
		return err_sys(err, ST_IO, errno, "cannot start a process");
	}
	a->fd = pair[0];
	return ST_OK;
}

/* What the child found when it went into its cage. */
static enum status await_ready(
	struct apart *a, char missing[static SANDBOX_TEXT_MAX], struct err *err)
{
	int64_t deadline = clock_mono_ms() + START_MS;
	enum wire_kind kind = WIRE__COUNT;
	struct wire r;
	enum status st = hear(a, &kind, deadline, err);

	if (st == ST_OK && kind != WIRE_READY)
		st = lied(a, "it is not ready", err);
	if (st == ST_OK)
		st = opening(a, &r, err);
	if (st != ST_OK)
		return st;
	wire_text(&r, missing, SANDBOX_TEXT_MAX);
	st = close_answer(a, &r, err);
	if (st == ST_OK && missing[0] != '\0' &&
		a->cfg->sandbox == SANDBOX_REQUIRED)
		st = err_set(err, ST_CONFIG,
			"the process that talks to the network cannot be shut "
			"in here, so nothing was done; missing: %s. Run "
			"danelaw where this works (a container must allow it), "
			"or accept less with sandbox = \"available\" in %s: "
			"see danelaw.conf(5)",
			missing, a->cfg->path);
	return st;
}

enum status env_apart(const struct config *cfg, struct env *ret,
	char ret_missing[static SANDBOX_TEXT_MAX], struct err *err)
{
	struct apart *a;
	enum status st;

	ret_missing[0] = '\0';
	sandbox_no_dump();
	if (cfg->sandbox == SANDBOX_OFF)
		return env_here(cfg, ret, err);
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	*a = (struct apart){ .cfg = cfg,
		.fd = -1,
		.out = BUF_INIT(WIRE_MAX),
		.in = BUF_INIT(WIRE_MAX) };
	st = start(a, err);
	if (st == ST_OK)
		st = env_here(cfg, &a->local, err);
	if (st == ST_OK)
		st = await_ready(a, ret_missing, err);
	if (st != ST_OK) {
		apart_free(a);
		return st;
	}
	*ret = (struct env){
		.ctx = a,
		.sweep = apart_sweep,
		.warm = apart_warm,
		.look_up = apart_look_up,
		.probe = apart_probe,
		.edit = apart_edit,
		.free = apart_free,
	};
	return ST_OK;
}
