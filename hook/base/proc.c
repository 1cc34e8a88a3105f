/*
 * Children. What must hold: a child never sees our descriptors (locks, sockets,
 * keys), our environment or our terminal; it never outlives its deadline; what
 * it prints is read to the end but kept up to a limit. It leads its own session
 * (so also its own group): a prompt fails at once instead of waiting, and the
 * deadline ends the whole family. The leader stays a zombie until the group was
 * killed, so that its number cannot have been given to somebody else.
 */
#include "hook/base/proc.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAFE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* Between SIGTERM at the deadline and SIGKILL. */
#define GRACE_MS 1000
/* How much is still read after the child is gone; a pipe holds 64 KiB. */
#define DRAIN_MAX (1024 * 1024)

struct child {
	pid_t pid;
	int pidfd;
	int pipe; /* read end, -1 after end of file */
	struct buf output;
	size_t output_max;
};

/* ---- before the fork: nothing may be allocated after it ---- */

static const char *env_path(const char *const envp[])
{
	for (size_t i = 0; envp != NULL && envp[i] != NULL; i++)
		if (strncmp(envp[i], "PATH=", 5) == 0)
			return envp[i] + 5;
	return NULL;
}

/* Owned, full path of a program. */
static enum status find_program(
	const char *name, const char *path, char **ret, struct err *err)
{
	if (strchr(name, '/') != NULL) {
		*ret = strdup(name);
		return *ret != NULL ? ST_OK
				    : err_set(err, ST_NOMEM, "out of memory");
	}
	for (const char *p = path; *p != '\0';) {
		size_t n = strcspn(p, ":");
		auto_str full = NULL;
		struct stat sb;

		if (asprintf(&full, "%.*s/%s", (int)n, p, name) < 0) {
			full = NULL;
			return err_set(err, ST_NOMEM, "out of memory");
		}
		/* an empty or relative entry would mean our folder */
		if (p[0] == '/' && access(full, X_OK) == 0 &&
			stat(full, &sb) == 0 && S_ISREG(sb.st_mode)) {
			*ret = full;
			full = NULL;
			return ST_OK;
		}
		p += n + (p[n] == ':');
	}
	return err_set(err, ST_NOTFOUND,
		"cannot find the program %s in %s: install it, or give its "
		"full path",
		name, path);
}

/* A list of borrowed strings with PATH in it. */
static const char **make_env(const char *const envp[])
{
	size_t n = 0;
	const char **list;

	while (envp != NULL && envp[n] != NULL)
		n++;
	list = calloc(n + 2, sizeof(*list));
	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = envp[i];
	if (env_path(envp) == NULL)
		list[n] = "PATH=" SAFE_PATH;
	return list;
}

/* ---- in the child: only async-signal-safe calls ---- */

static void close_from(int first)
{
	if (close_range((unsigned)first, ~0U, 0) == 0)
		return;
	for (int fd = first; fd < 65536; fd++)
		(void)close(fd);
}

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &dfl, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void child_main(const char *program,
	const char *const argv[], const char *const env[], int out, int report)
{
	int e, null;

	/* Ours may be 0, 1 or 2 when we were started without them: move both
	 * out of the way first. */
	out = fcntl(out, F_DUPFD, 10);
	report = fcntl(report, F_DUPFD, 10);
	null = open("/dev/null", O_RDONLY);
	if (out >= 0 && report >= 0 && null >= 0 && dup2(null, 0) == 0 &&
		dup2(out, 1) == 1 && dup2(out, 2) == 2 &&
		dup2(report, 3) == 3 && fcntl(3, F_SETFD, FD_CLOEXEC) == 0 &&
		chdir("/") == 0) {
		close_from(4);
		reset_signals();
		(void)umask(022);
		(void)setsid();
		/* the kernel does not write to them; C cannot say so */
		(void)execve(program, (char **)(uintptr_t)argv,
			(char **)(uintptr_t)env);
		report = 3;
	}
	e = errno;
	if (write(report, &e, sizeof(e)) != (ssize_t)sizeof(e))
		_exit(126);
	_exit(127);
}

/* ---- in the parent ---- */

/* Reads what is there, never blocks. False at the end of file. */
static bool read_some(struct child *c, size_t *budget)
{
	char chunk[16384];
	struct err ignored = ERR_INIT;

	while (*budget > 0) {
		ssize_t n = read(c->pipe, chunk, sizeof(chunk));
		size_t keep;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		*budget -= *budget < (size_t)n ? *budget : (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			if (chunk[i] == '\0')
				chunk[i] = '?';
		keep = c->output_max - c->output.len;
		if (keep > (size_t)n)
			keep = (size_t)n;
		/* out of memory: less output, not a failure of the child */
		(void)buf_append(&c->output, chunk, keep, &ignored);
	}
	return true;
}

static bool has_exited(const struct child *c)
{
	siginfo_t si = { .si_pid = 0 };

	return waitid(P_PID, (id_t)c->pid, &si, WEXITED | WNOHANG | WNOWAIT) ==
		       0 &&
	       si.si_pid == c->pid;
}

/* Until the child has exited or the deadline is over. True: exited. */
static bool watch(struct child *c, int64_t deadline)
{
	while (!has_exited(c)) {
		struct pollfd p[2] = {
			{ .fd = c->pidfd, .events = POLLIN },
			{ .fd = c->pipe, .events = POLLIN },
		};
		int64_t left = deadline - clock_mono_ms();
		size_t budget = DRAIN_MAX;

		if (left <= 0)
			return false;
		/* without a pidfd (old kernel): look again and again */
		if (c->pidfd < 0 && left > 20)
			left = 20;
		if (left > 60000)
			left = 60000;
		if (poll(p, 2, (int)left) <= 0)
			continue;
		if (p[1].revents != 0 && !read_some(c, &budget)) {
			(void)close(c->pipe);
			c->pipe = -1;
		}
	}
	return true;
}

static enum status reap(struct child *c, bool timed_out,
	struct proc_result *ret, struct err *err)
{
	size_t budget = DRAIN_MAX;
	int status;

	if (timed_out) {
		/* polite, then not; the zombie keeps the number ours */
		(void)kill(-c->pid, SIGTERM);
		(void)watch(c, clock_mono_ms() + GRACE_MS);
		(void)kill(-c->pid, SIGKILL);
	}
	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, ST_IO, errno,
				"cannot wait for a child process");
	if (c->pipe >= 0)
		(void)read_some(c, &budget);
	ret->timed_out = timed_out;
	ret->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	ret->output = buf_take(&c->output);
	if (ret->output == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

/* The child reports why exec failed; end of file means that it worked. */
static enum status await_exec(int fd, const char *program, struct err *err)
{
	int e = 0;
	ssize_t n;

	do
		n = read(fd, &e, sizeof(e));
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(e))
		return err_sys(err, e == ENOENT ? ST_NOTFOUND : ST_IO, e,
			"cannot run %s", program);
	return ST_OK;
}

static enum status start(const char *program, const char *const argv[],
	const char *const env[], struct child *c, struct err *err)
{
	int out[2], report[2];
	sigset_t all, old;
	enum status st;
	int e;

	if (pipe2(out, O_CLOEXEC) != 0)
		return err_sys(err, ST_IO, errno, "cannot make a pipe");
	if (pipe2(report, O_CLOEXEC) != 0) {
		(void)err_sys(err, ST_IO, errno, "cannot make a pipe");
		(void)close(out[0]);
		(void)close(out[1]);
		return err->st;
	}
	/* No handler of ours may run in the child. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	c->pid = fork();
	e = errno;
	if (c->pid == 0)
		child_main(program, argv, env, out[1], report[1]);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)close(out[1]);
	(void)close(report[1]);
	st = c->pid < 0 ? err_sys(err, ST_IO, e, "cannot start a process")
			: await_exec(report[0], program, err);
	(void)close(report[0]);
	if (st != ST_OK) {
		(void)close(out[0]);
		if (c->pid > 0)
			(void)waitpid(c->pid, NULL, 0);
		return st;
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	c->pipe = out[0];
	c->pidfd = pidfd_open(c->pid, 0);
	return ST_OK;
}

enum status proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret, struct err *err)
{
	struct child c = { .pidfd = -1,
		.pipe = -1,
		.output = BUF_INIT(lim->output_max),
		.output_max = lim->output_max };
	struct proc_result r = { .exit_status = -1 };
	struct sigaction dfl = { .sa_handler = SIG_DFL }, old;
	const int64_t begin = clock_mono_ms();
	const char *path = env_path(envp);
	auto_mem const char **env = make_env(envp);
	auto_str program = NULL;
	enum status st;

	if (argv[0] == NULL || env == NULL)
		return err_set(err, env == NULL ? ST_NOMEM : ST_BUG,
			"cannot start a process");
	st = find_program(
		argv[0], path != NULL ? path : SAFE_PATH, &program, err);
	if (st != ST_OK)
		return st;
	/* Who started us may have left SIGCHLD ignored: nothing to reap then */
	(void)sigaction(SIGCHLD, &dfl, &old);
	st = start(program, argv, env, &c, err);
	if (st == ST_OK)
		st = reap(&c, !watch(&c, begin + lim->timeout_ms), &r, err);
	(void)sigaction(SIGCHLD, &old, NULL);
	if (c.pidfd >= 0)
		(void)close(c.pidfd);
	if (c.pipe >= 0)
		(void)close(c.pipe);
	buf_release(&c.output);
	if (st == ST_OK)
		*ret = r;
	else
		proc_release(&r);
	return st;
}

enum status proc_shell(const char *command, const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret, struct err *err)
{
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };

	return proc_run(argv, envp, lim, ret, err);
}

void proc_release(struct proc_result *r)
{
	free(r->output);
	r->output = NULL;
}

/* Copies the last line that holds something, printable. */
static void last_line(const char *text, char *ret, size_t len)
{
	const char *end = text + strlen(text), *begin;
	size_t n = 0;

	while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	for (begin = end; begin > text && begin[-1] != '\n';)
		begin--;
	for (; begin < end && n + 1 < len; begin++) {
		unsigned char ch = (unsigned char)*begin;

		ret[n++] = ch < 0x20 || ch >= 0x7f ? '?' : (char)ch;
	}
	ret[n] = '\0';
}

char *proc_describe(const struct proc_result *r, char *ret, size_t len)
{
	char what[64], line[256];

	if (len == 0)
		return ret;
	last_line(r->output != NULL ? r->output : "", line, sizeof(line));
	if (r->timed_out)
		(void)snprintf(what, sizeof(what), "timed out and was killed");
	else if (r->exit_status < 0)
		(void)snprintf(what, sizeof(what),
			"killed by signal %d (SIG%s)", r->signal,
			sigabbrev_np(r->signal) != NULL
				? sigabbrev_np(r->signal)
				: "?");
	else
		(void)snprintf(
			what, sizeof(what), "exit status %d", r->exit_status);
	(void)snprintf(
		ret, len, "%s: %s", what, line[0] != '\0' ? line : "no output");
	return ret;
}
