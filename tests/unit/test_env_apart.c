/*
 * The network process as the engine sees it, and with somebody else in it: the
 * provider of these tests is what an intruder would be, and tries what an
 * intruder would try.
 */
#include "hook/env_apart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWNER "_25._tcp.mx.example."

static char dir[] = "/tmp/danelaw-apart.XXXXXX";
static char state_dir[64], certbot[64], key[64], cred[64];
static int key_fd; /* open in this process: must not be in the other one */
static struct rlimit core; /* as it was before anything was started */

/* ---- the intruder ---- */

static enum status hostile_open(
	const struct provider_config *cfg, void **ret, struct err *err)
{
	if (strcmp(cfg->value[0], "closed") == 0)
		return err_set(err, ST_DENIED, "closed\033[31m");
	memcpy(ret, &cfg->value[0], sizeof(*ret));
	return ST_OK;
}

static void hostile_close(void *ctx)
{
	(void)ctx;
}

/* What of all that should fail did not. */
static void look_around(struct err *err)
{
	char path[96];

	for (int fd = 4; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			(void)err_set(err, ST_BUG, "descriptor %d", fd);
	if (open(key, O_RDONLY) >= 0 || errno != EACCES)
		(void)err_set(err, ST_BUG, "a key");
	(void)snprintf(path, sizeof(path), "%s/privkey.pem", certbot);
	if (open(path, O_RDONLY) >= 0 || errno != EACCES)
		(void)err_set(err, ST_BUG, "certbot's key");
	(void)snprintf(path, sizeof(path), "%s/new", state_dir);
	if (open(path, O_WRONLY | O_CREAT, 0600) >= 0)
		(void)err_set(err, ST_BUG, "a new file");
	if (open(cred, O_RDONLY) < 0)
		(void)err_set(err, ST_BUG, "no credential");
	if (kill(getppid(), 0) == 0)
		(void)err_set(err, ST_BUG, "a signal to the parent");
	if (isatty(2) != 0)
		(void)err_set(err, ST_BUG, "a terminal");
	if (getsid(0) >= 0)
		(void)err_set(err, ST_BUG, "getsid");
	/* as Ctrl-C and systemd would; the parent decides */
	(void)raise(SIGINT);
	(void)raise(SIGTERM);
	(void)raise(SIGHUP);
}

static void shout(const void *data, size_t len)
{
	(void)send(3, data, len, MSG_NOSIGNAL);
}

static void lie(const char *how)
{
	uint8_t head[WIRE_HEAD];
	struct buf none = BUF_INIT(16);
	static const char garbage[64] = "garbage";

	if (strcmp(how, "garbage") == 0) {
		shout(garbage, sizeof(garbage));
	} else if (strcmp(how, "huge") == 0) {
		wire_head_put(head, WIRE_EDIT, WIRE_MAX + 1);
		shout(head, sizeof(head));
	} else if (strcmp(how, "empty") == 0) {
		(void)apart_send(3, WIRE_EDIT, &none, 0);
	} else if (strcmp(how, "other") == 0) {
		(void)apart_send(3, WIRE_PROBE, &none, 0);
	} else if (strcmp(how, "status") == 0) {
		wire_head_put(head, WIRE_EDIT, 3);
		shout(head, sizeof(head));
		shout("\377\0\0", 3);
	} else if (strcmp(how, "half") == 0) {
		wire_head_put(head, WIRE_EDIT, 1000);
		shout(head, sizeof(head));
		_exit(7);
	}
}

static void do_evil(const char *what, struct provider_item *items, size_t n,
	provider_decide decide, void *arg)
{
	struct tlsa_rrset to = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	char *argv[] = { NULL };

	if (strcmp(what, "pid") == 0)
		(void)err_set(&items[0].err, ST_RETRY, "%d", (int)getpid());
	else if (strcmp(what, "look") == 0)
		look_around(&items[0].err);
	else if (strcmp(what, "abort") == 0)
		_exit(9);
	else if (strcmp(what, "exec") == 0)
		(void)execve("/bin/true", argv, argv);
	else if (strcmp(what, "sleep") == 0)
		(void)pause();
	else if (strcmp(what, "busy") == 0) {
		to.ttl = (uint32_t)getpid();
		(void)decide(arg, 0, &to, &to, &err);
		for (;;)
			(void)pause();
	} else if (strcmp(what, "ask") == 0)
		for (;;)
			(void)decide(arg, 0, &to, &to, &err);
	else if (strcmp(what, "index") == 0)
		(void)decide(arg, n, &to, &to, &err);
	else if (strcmp(what, "late") == 0) {
		(void)decide(arg, 0, &to, &to, &err);
		_exit(9);
	} else
		lie(what);
}

/* In a thread, as rest_together has it. */
struct honest {
	struct provider_item *items;
	size_t n;
	provider_decide decide;
	void *arg;
};

static void *honest_work(void *arg)
{
	struct honest *h = arg;

	for (size_t i = 0; i < h->n; i++) {
		struct provider_item *it = &h->items[i];
		struct err err = ERR_INIT;

		if (it->seen == NULL || it->seen->n != 1)
			return NULL;
		(void)tlsa_rrset_add_text(&it->now, "3 1 2 00112233", &err);
		it->now.ttl = 77;
		it->err.st = h->decide(h->arg, i, &it->now, &it->to, &it->err);
		(void)snprintf(it->zone, sizeof(it->zone), "ttl%u.n%zu.",
			it->to.ttl, it->to.n);
		it->changed = it->err.st == ST_OK;
		it->retry_after_s = 30;
	}
	return NULL;
}

static void hostile_edit(void *ctx, struct provider_item *items, size_t n,
	provider_decide decide, void *arg)
{
	struct honest h = { items, n, decide, arg };
	pthread_t t;

	if (strcmp(ctx, "honest") != 0) {
		do_evil(ctx, items, n, decide, arg);
		return;
	}
	(void)pthread_create(&t, NULL, honest_work, &h);
	(void)pthread_join(t, NULL);
}

static const struct provider_option options[] = {
	{ .name = "what", .type = POPT_STRING },
	{ .name = "token_file", .type = POPT_SECRET_FILE },
	{ .name = NULL },
};
static const struct provider_ops hostile = { .type = "hostile",
	.options = options,
	.open = hostile_open,
	.edit = hostile_edit,
	.close = hostile_close };
static const struct provider_ops local = { .type = "exec",
	.options = options,
	.open = hostile_open,
	.edit = hostile_edit,
	.close = hostile_close };

/* ---- the engine ---- */

static const char *value[2] = { "honest", cred };
static char p_name[] = "p", l_name[] = "l", conf_path[] = "danelaw.conf";
static struct cfg_provider provider[2] = { { p_name, &hostile, value },
	{ p_name, &local, value } };
static struct cfg_lineage lineage = { .name = l_name, .certbot = certbot };
static const char *const forward[] = { "127.0.0.1@9", NULL };
static char anchor[64];
static struct config cfg = { .path = conf_path,
	.state_dir = state_dir,
	.provider = provider,
	.n_providers = 2,
	.lineage = &lineage,
	.n_lineages = 1,
	.resolver = { .forward = forward,
		.trust_anchor = anchor,
		.timeout_ms = 500 } };
static struct env env;
static int decisions;
static int pid_pipe = -1; /* is told the TTL that is decided about */

static void begin(const char *what)
{
	char missing[SANDBOX_TEXT_MAX];
	struct err err = ERR_INIT;

	value[0] = what;
	decisions = 0;
	assert_int_equal(env_apart(&cfg, &env, missing, &err), ST_OK);
	assert_string_equal(missing, "");
}

static void finish(void)
{
	env.free(env.ctx);
}

static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	enum status st = tlsa_rrset_copy(now, to, err);

	assert_ptr_equal(arg, &decisions);
	decisions++;
	if (pid_pipe >= 0)
		assert_int_equal(write(pid_pipe, &now->ttl, sizeof(now->ttl)),
			sizeof(now->ttl));
	if (i == 1)
		return err_set(err, ST_REFUSED, "not this one");
	if (st == ST_OK)
		st = tlsa_rrset_add_text(to, "3 1 1 aabb", err);
	to->ttl = 99;
	return st;
}

static enum status edit(size_t which, struct provider_item items[2],
	const struct tlsa_rrset *seen, struct err *err)
{
	items[0] = (struct provider_item){ .owner = OWNER, .seen = seen };
	items[1] = (struct provider_item){ .owner = "_465._tcp.mx.example.",
		.seen = seen };
	return env.edit(env.ctx, &provider[which], 0, items, 2, decide,
		&decisions, err);
}

/* ---- tests ---- */

static void test_edit(void **state)
{
	struct provider_item it[2];
	struct tlsa_rrset seen = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;

	(void)state;
	begin("honest");
	assert_int_equal(tlsa_rrset_add_text(&seen, "3 1 1 0102", &err), ST_OK);
	assert_int_equal(edit(0, it, &seen, &err), ST_OK);
	assert_int_equal(decisions, 2);
	assert_int_equal(it[0].err.st, ST_OK);
	assert_true(it[0].changed);
	assert_string_equal(it[0].zone, "ttl99.n2.");
	assert_int_equal(it[0].retry_after_s, 30);
	assert_int_equal(it[0].now.ttl, 77);
	assert_int_equal(it[0].now.n, 1);
	assert_int_equal(it[0].to.n, 2);
	assert_int_equal(it[1].err.st, ST_REFUSED);
	assert_string_equal(it[1].err.text, "not this one");
	assert_false(it[1].changed);
	provider_item_release(&it[0]);
	provider_item_release(&it[1]);
	tlsa_rrset_release(&seen);
	finish();
}

static void test_closed_provider(void **state)
{
	struct provider_item it[2];
	struct err err = ERR_INIT;

	(void)state;
	begin("closed");
	assert_int_equal(edit(0, it, NULL, &err), ST_DENIED);
	assert_string_equal(err.text, "closed?[31m");
	assert_false(env_apart_gone(&env));
	finish();
}

static void test_sandboxed(void **state)
{
	struct provider_item it[2];
	struct err err = ERR_INIT;

	(void)state;
	begin("look");
	assert_int_equal(edit(0, it, NULL, &err), ST_OK);
	assert_string_equal(it[0].err.text, "");
	/* still there after SIGINT, SIGTERM and SIGHUP */
	assert_int_equal(edit(0, it, NULL, &err), ST_OK);
	finish();
}

/* What is typed at the operator's terminal is not for it, either. */
static void test_terminal(void **state)
{
	struct provider_item it[2];
	struct err err = ERR_INIT;
	int tty = posix_openpt(O_RDWR | O_NOCTTY), old = dup(2);

	(void)state;
	assert_true(tty >= 0 && old >= 0 && isatty(tty));
	assert_int_equal(dup2(tty, 2), 2);
	begin("look");
	assert_int_equal(dup2(old, 2), 2);
	assert_int_equal(edit(0, it, NULL, &err), ST_OK);
	assert_string_equal(it[0].err.text, "");
	finish();
	(void)close(tty);
	(void)close(old);
}

static void replace(const char *path)
{
	char new[96];
	int fd;

	(void)snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, ". 1 IN DS 1 8 2 00\n", 19), 19);
	assert_int_equal(close(fd), 0);
	assert_int_equal(rename(new, path), 0);
}

/* It cannot read the new file; a new process can. */
static void test_replaced(void **state)
{
	static const char *const owner[] = { OWNER };
	struct provider_item it[2];
	struct authority a;
	struct sweep s;
	struct err err = ERR_INIT;

	(void)state;
	value[1] = cred;
	begin("pid");
	replace(anchor);
	/* nothing that an edit needs */
	assert_int_equal(edit(0, it, NULL, &err), ST_OK);
	assert_int_equal(
		env.sweep(env.ctx, owner, 1, 0, &a, &s, &err), ST_RETRY);
	assert_non_null(strstr(err.text, "was replaced"));
	finish();
	begin("pid");
	replace(cred);
	assert_int_equal(edit(0, it, NULL, &err), ST_RETRY);
	assert_non_null(strstr(err.text, "was replaced"));
	finish();
	begin("pid");
	assert_int_equal(edit(0, it, NULL, &err), ST_OK);
	finish();
}

static pid_t edit_pid(size_t which)
{
	struct provider_item it[2];
	struct err err = ERR_INIT;

	assert_int_equal(edit(which, it, NULL, &err), ST_OK);
	return (pid_t)strtol(it[0].err.text, NULL, 10);
}

static void test_local(void **state)
{
	(void)state;
	begin("pid");
	assert_int_equal(edit_pid(1), getpid());
	assert_int_not_equal(edit_pid(0), getpid());
	finish();
}

/* Forms of a lie, and of an end: that call fails, and so does all after it. */
static void test_lies(void **state)
{
	static const struct {
		const char *what;
		enum status st;
		const char *text;
	} cases[] = {
		{ "garbage", ST_BUG, "no message" },
		{ "huge", ST_BUG, "no message" },
		{ "empty", ST_BUG, "ends too early" },
		{ "other", ST_BUG, "another question" },
		{ "status", ST_BUG, "out of its range" },
		{ "index", ST_BUG, "out of its range" },
		{ "half", ST_RETRY, "exit status 7" },
		{ "abort", ST_RETRY, "exit status 9" },
		{ "exec", ST_RETRY, "its sandbox forbids" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_item it[2];
		struct probe_job job = { .host = "mx.example" };
		const struct probe_limits lim = { .total_ms = 0 };
		struct err err = ERR_INIT;

		begin(cases[i].what);
		assert_int_equal(edit(0, it, NULL, &err), cases[i].st);
		assert_non_null(strstr(err.text, cases[i].text));
		assert_true(env_apart_gone(&env));
		job.addr.ss_family = AF_INET;
		assert_int_equal(
			env.probe(env.ctx, &job, 1, &lim, &err), ST_RETRY);
		assert_non_null(strstr(err.text, "is gone"));
		finish();
	}
}

/* After a decision something may have been changed: every item fails. */
static void test_late_lies(void **state)
{
	static const char *const what[] = { "ask", "late" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct provider_item it[2];
		struct err err = ERR_INIT;

		begin(what[i]);
		assert_int_equal(edit(0, it, NULL, &err), ST_OK);
		for (size_t k = 0; k < 2; k++) {
			assert_int_equal(
				it[k].err.st, i == 0 ? ST_BUG : ST_RETRY);
			assert_false(it[k].changed);
			provider_item_release(&it[k]);
		}
		assert_true(decisions <= 16);
		assert_true(env_apart_gone(&env));
		finish();
	}
}

static void test_silence(void **state)
{
	struct lookup l = { .name = "mx.example.", .type = RRTYPE_A };
	struct lookup *const jobs[] = { &l };
	struct err err = ERR_INIT;
	pid_t pid;

	(void)state;
	begin("pid");
	pid = edit_pid(0);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	apart_slack_ms = 100;
	assert_int_equal(env.look_up(env.ctx, jobs, 1, &err), ST_RETRY);
	apart_slack_ms = 60000;
	assert_non_null(strstr(err.text, "did not answer in time"));
	/* and it was reaped */
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(env.look_up(env.ctx, jobs, 1, &err), ST_RETRY);
	finish();
}

/* Nobody answers at these addresses: what comes back says so. */
static void test_network(void **state)
{
	static const char *const owner[] = { OWNER };
	struct lookup l = { .name = "mx.example.", .type = RRTYPE_A };
	struct lookup *const jobs[] = { &l };
	struct probe_job job = { .host = "mx.example", .proto = PROTO_SMTP };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&job.addr;
	const struct probe_limits lim = { .total_ms = 2000 };
	struct authority a;
	struct sweep s;
	struct err err = ERR_INIT;

	(void)state;
	begin("honest");
	assert_int_equal(env.look_up(env.ctx, jobs, 1, &err), ST_OK);
	assert_int_equal(l.security, DNS_FAILED);
	assert_string_equal(l.canon, "mx.example.");
	assert_true(l.why[0] != '\0');
	env.warm(env.ctx, owner, 1);
	assert_int_equal(env.sweep(env.ctx, owner, 1, 0, &a, &s, &err), ST_OK);
	assert_int_equal(a.n_owners, 1);
	assert_string_equal(a.owner[0].owner, OWNER);
	assert_true(a.zone[a.owner[0].zone].security == DNS_FAILED ||
		    a.zone[a.owner[0].zone].security == DNS_BOGUS);
	authority_release(&a);
	sweep_release(&s);
	v4->sin_family = AF_INET;
	v4->sin_port = htons(9);
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	job.addr_len = sizeof(*v4);
	assert_int_equal(env.probe(env.ctx, &job, 1, &lim, &err), ST_OK);
	assert_int_equal(job.result, PROBE_NO_CONNECT);
	assert_true(job.why[0] != '\0');
	lookup_release(&l);
	finish();
}

/* An engine that is killed leaves nobody behind, however busy. */
static void test_dies_with_parent(void **state)
{
	int pipes[2], status;
	pid_t engine;
	uint32_t pid = 0;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	engine = fork();
	if (engine == 0) {
		struct provider_item it[2];
		struct err err = ERR_INIT;

		pid_pipe = pipes[1];
		begin("busy");
		(void)edit(0, it, NULL, &err);
		_exit(1);
	}
	assert_int_equal(read(pipes[0], &pid, sizeof(pid)), sizeof(pid));
	assert_int_equal(kill(engine, SIGKILL), 0);
	assert_int_equal(waitpid(engine, &status, 0), engine);
	alarm(20);
	assert_int_equal(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
	alarm(0);
	/* or it saw that nobody is there before the kernel killed it */
	assert_true(WIFEXITED(status) ||
		(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void test_parent_is_closed(void **state)
{
	struct rlimit r;

	(void)state;
	begin("honest");
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &r), 0);
	assert_int_equal(r.rlim_cur, 0);
	/* what a reload command starts is not bound by that */
	assert_int_equal(r.rlim_max, core.rlim_max);
	finish();
}

/* ---- where the system lacks something ---- */

static void without_landlock(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 444, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { sizeof(code) / sizeof(code[0]), code };
	char missing[SANDBOX_TEXT_MAX];
	struct err err = ERR_INIT;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) != 0)
		_exit(1);
	if (env_apart(&cfg, &env, missing, &err) != ST_CONFIG ||
		strstr(err.text, "Landlock") == NULL ||
		strstr(err.text, "sandbox = \"available\"") == NULL)
		_exit(2);
	cfg.sandbox = SANDBOX_AVAILABLE;
	err = (struct err)ERR_INIT;
	if (env_apart(&cfg, &env, missing, &err) != ST_OK ||
		strstr(missing, "Landlock") == NULL || env_apart_gone(&env))
		_exit(3);
	env.free(env.ctx);
	cfg.sandbox = SANDBOX_OFF;
	value[0] = "pid";
	if (env_apart(&cfg, &env, missing, &err) != ST_OK ||
		missing[0] != '\0' || env_apart_gone(&env) ||
		edit_pid(0) != getpid())
		_exit(4);
	env.free(env.ctx);
	_exit(0);
}

static void test_missing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		without_landlock();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The folder of the keys must be out of reach, or nothing is done. */
static void test_keys_in_reach(void **state)
{
	static char usr_lib[] = "/usr/lib";
	char missing[SANDBOX_TEXT_MAX];
	struct err err = ERR_INIT;

	(void)state;
	cfg.state_dir = usr_lib;
	assert_int_equal(env_apart(&cfg, &env, missing, &err), ST_CONFIG);
	assert_non_null(strstr(err.text, "/usr/lib can be read"));
	cfg.state_dir = state_dir;
}

static void test_frames(void **state)
{
	struct buf b = BUF_INIT(WIRE_MAX);
	enum wire_kind kind;
	struct err err = ERR_INIT;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(buf_append(&b, "hello", 5, &err), ST_OK);
	assert_int_equal(apart_send(pair[0], WIRE_WARM, &b, 0), APART_OK);
	assert_int_equal(apart_receive(pair[1], &kind, &b, 0), APART_OK);
	assert_int_equal(kind, WIRE_WARM);
	assert_string_equal(buf_str(&b), "hello");
	/* what came in time is not late because we looked late */
	assert_int_equal(apart_send(pair[0], WIRE_WARM, &b, 0), APART_OK);
	assert_int_equal(apart_receive(pair[1], &kind, &b, 1), APART_OK);
	assert_int_equal(apart_receive(pair[1], &kind, &b, 1), APART_LATE);
	(void)close(pair[0]);
	assert_int_equal(apart_receive(pair[1], &kind, &b, 0), APART_END);
	assert_int_equal(apart_send(pair[1], WIRE_WARM, &b, 0), APART_END);
	(void)close(pair[1]);
	buf_release(&b);
}

/* ---- */

static int put(char *path, size_t size, const char *folder, const char *name)
{
	int fd;

	(void)snprintf(path, size, "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, ". 1 IN DS 1 8 2 00\n", 19), 19);
	return fd;
}

static int set_up(void **state)
{
	char path[96];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	(void)snprintf(certbot, sizeof(certbot), "%s/live", dir);
	assert_int_equal(mkdir(state_dir, 0700), 0);
	assert_int_equal(mkdir(certbot, 0700), 0);
	key_fd = put(key, sizeof(key), state_dir, "key");
	(void)close(put(path, sizeof(path), certbot, "privkey.pem"));
	(void)close(put(cred, sizeof(cred), dir, "cred"));
	(void)close(put(anchor, sizeof(anchor), dir, "anchor"));
	/* also one without FD_CLOEXEC, and further up */
	return dup2(key_fd, 100) == 100 ? 0 : -1;
}

static int clean_up(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/privkey.pem", certbot);
	(void)unlink(path);
	(void)unlink(key);
	(void)unlink(cred);
	(void)unlink(anchor);
	(void)rmdir(state_dir);
	(void)rmdir(certbot);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_closed_provider),
		cmocka_unit_test(test_sandboxed),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_late_lies),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_dies_with_parent),
		cmocka_unit_test(test_parent_is_closed),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_keys_in_reach),
	};

	return cmocka_run_group_tests(tests, set_up, clean_up);
}
