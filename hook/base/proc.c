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
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAFE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* Between SIGTERM at the deadline and SIGKILL. */
#define GRACE_MS 1000
/* How much is still read after the child is gone; a pipe holds 64 KiB. */
#define DRAIN_MAX (1024 * 1024)

/* What the child writes to. Both are one where stderr is not kept apart. */
struct stream {
	int pipe; /* read end, -1 after end of file */
	struct buf output;
	size_t dropped;
};

enum { OUT, ERRORS, N_STREAMS };

struct child {
	pid_t pid;
	int pidfd;
	struct stream stream[N_STREAMS];
};

/* The child's ends. */
struct ends {
	int in, out, errors, report;
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
	const char *const argv[], const char *const env[], struct ends fd)
{
	int e, report;

	/* Ours may be 0, 1 or 2 when we were started without them: move all
	 * out of the way first. */
	fd.out = fcntl(fd.out, F_DUPFD, 10);
	fd.errors = fcntl(fd.errors, F_DUPFD, 10);
	report = fcntl(fd.report, F_DUPFD, 10);
	fd.in = fd.in >= 0 ? fcntl(fd.in, F_DUPFD, 10)
			   : open("/dev/null", O_RDONLY);
	if (fd.out >= 0 && fd.errors >= 0 && report >= 0 && fd.in >= 0 &&
		dup2(fd.in, 0) == 0 && dup2(fd.out, 1) == 1 &&
		dup2(fd.errors, 2) == 2 && dup2(report, 3) == 3 &&
		fcntl(3, F_SETFD, FD_CLOEXEC) == 0 && chdir("/") == 0) {
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
static bool read_some(struct stream *s, size_t *budget)
{
	char chunk[16384];
	struct err ignored = ERR_INIT;

	while (*budget > 0) {
		ssize_t n = read(s->pipe, chunk, sizeof(chunk));
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
		keep = s->output.max - s->output.len;
		if (keep > (size_t)n)
			keep = (size_t)n;
		/* out of memory: less output, not a failure of the child */
		if (buf_append(&s->output, chunk, keep, &ignored) != ST_OK)
			keep = 0;
		s->dropped += (size_t)n - keep;
	}
	return true;
}

static void read_all(struct child *c)
{
	for (size_t i = 0; i < N_STREAMS; i++) {
		struct stream *s = &c->stream[i];
		size_t budget = DRAIN_MAX;

		if (s->pipe < 0 || read_some(s, &budget))
			continue;
		(void)close(s->pipe);
		s->pipe = -1;
	}
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
		struct pollfd p[] = {
			{ .fd = c->pidfd, .events = POLLIN },
			{ .fd = c->stream[OUT].pipe, .events = POLLIN },
			{ .fd = c->stream[ERRORS].pipe, .events = POLLIN },
		};
		int64_t left = deadline - clock_mono_ms();

		if (left <= 0)
			return false;
		/* without a pidfd (old kernel): look again and again */
		if (c->pidfd < 0 && left > 20)
			left = 20;
		if (left > 60000)
			left = 60000;
		if (poll(p, sizeof(p) / sizeof(p[0]), (int)left) > 0)
			read_all(c);
	}
	return true;
}

static enum status reap(struct child *c, bool timed_out, bool apart,
	struct proc_result *ret, struct err *err)
{
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
	read_all(c);
	ret->timed_out = timed_out;
	ret->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	ret->output = buf_take(&c->stream[OUT].output);
	ret->dropped = c->stream[OUT].dropped;
	if (apart)
		ret->errors = buf_take(&c->stream[ERRORS].output);
	if (ret->output == NULL || (apart && ret->errors == NULL))
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

static void close_ends(int fd[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fd[i] >= 0)
			(void)close(fd[i]);
}

/* All of the input, in memory and not in a pipe: nobody has to feed the child
 * while it writes, and one that does not read costs nothing. */
static enum status make_input(
	const void *data, size_t len, int *ret, struct err *err)
{
	int fd = memfd_create("danelaw", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			(void)close(fd);
			fd = -1;
			break;
		}
		at += (size_t)n;
	}
	if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0)
		return err_sys(err, ST_IO, errno,
			"cannot hold what a child process shall read");
	*ret = fd;
	return ST_OK;
}

/* Ends of pipes: [0..2] ours to read from, [3..5] the child's, [6] its input;
 * of out, errors and report. */
enum { R_OUT, R_ERRORS, R_REPORT, W_OUT, W_ERRORS, W_REPORT, IN, N_ENDS };

static enum status make_ends(
	const struct proc_limits *lim, int fd[static N_ENDS], struct err *err)
{
	for (size_t i = 0; i < N_ENDS; i++)
		fd[i] = -1;
	for (size_t i = R_OUT; i <= R_REPORT; i++) {
		int pair[2];

		if (i == R_ERRORS && !lim->apart)
			continue;
		if (pipe2(pair, O_CLOEXEC) != 0)
			return err_sys(err, ST_IO, errno, "cannot make a pipe");
		fd[i] = pair[0];
		fd[i + W_OUT] = pair[1];
	}
	return lim->input == NULL
		       ? ST_OK
		       : make_input(lim->input, lim->input_len, &fd[IN], err);
}

static enum status start(const char *program, const char *const argv[],
	const char *const env[], const struct proc_limits *lim, struct child *c,
	struct err *err)
{
	sigset_t all, old;
	int fd[N_ENDS], e;
	enum status st = make_ends(lim, fd, err);

	if (st != ST_OK) {
		close_ends(fd, N_ENDS);
		return st;
	}
	const struct ends ends = { .in = fd[IN],
		.out = fd[W_OUT],
		.errors = lim->apart ? fd[W_ERRORS] : fd[W_OUT],
		.report = fd[W_REPORT] };
	/* No handler of ours may run in the child. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	c->pid = fork();
	e = errno;
	if (c->pid == 0)
		child_main(program, argv, env, ends);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	close_ends(fd + W_OUT, N_ENDS - W_OUT);
	st = c->pid < 0 ? err_sys(err, ST_IO, e, "cannot start a process")
			: await_exec(fd[R_REPORT], program, err);
	(void)close(fd[R_REPORT]);
	if (st != ST_OK) {
		close_ends(fd, R_REPORT);
		if (c->pid > 0)
			(void)waitpid(c->pid, NULL, 0);
		return st;
	}
	for (size_t i = 0; i < N_STREAMS; i++) {
		c->stream[i].pipe = fd[i];
		if (fd[i] >= 0)
			(void)fcntl(fd[i], F_SETFL, O_NONBLOCK);
	}
	c->pidfd = pidfd_open(c->pid, 0);
	return ST_OK;
}

static void child_release(struct child *c)
{
	if (c->pidfd >= 0)
		(void)close(c->pidfd);
	for (size_t i = 0; i < N_STREAMS; i++) {
		if (c->stream[i].pipe >= 0)
			(void)close(c->stream[i].pipe);
		buf_release(&c->stream[i].output);
	}
}

enum status proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret, struct err *err)
{
	const struct stream none = { .pipe = -1,
		.output = BUF_INIT(lim->output_max) };
	struct child c = { .pidfd = -1, .stream = { none, none } };
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
	st = start(program, argv, env, lim, &c, err);
	if (st == ST_OK)
		st = reap(&c, !watch(&c, begin + lim->timeout_ms), lim->apart,
			&r, err);
	(void)sigaction(SIGCHLD, &old, NULL);
	child_release(&c);
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
	free(r->errors);
	r->errors = NULL;
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

char *proc_last_line(const struct proc_result *r, char *ret, size_t len)
{
	const char *text = r->errors != NULL ? r->errors : r->output;

	if (len > 0)
		last_line(text != NULL ? text : "", ret, len);
	return ret;
}

char *proc_describe(const struct proc_result *r, char *ret, size_t len)
{
	char what[64], line[256];

	if (len == 0)
		return ret;
	(void)proc_last_line(r, line, sizeof(line));
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
