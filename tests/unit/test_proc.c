/* Children: what they inherit, how they end, what we keep of their output. */
#include "hook/base/clock.h"
#include "hook/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct proc_limits lim = { .timeout_ms = 20000,
	.output_max = 4096 };

static void run(
	const char *command, const char *const env[], struct proc_result *r)
{
	struct err e = ERR_INIT;

	if (proc_shell(command, env, &lim, r, &e) != ST_OK)
		fail_msg("%s", e.text);
}

static void test_exit(void **state)
{
	struct proc_result r;
	char text[100];

	(void)state;
	run("echo one; echo two >&2; echo; exit 3", NULL, &r);
	assert_int_equal(r.exit_status, 3);
	assert_int_equal(r.signal, 0);
	assert_false(r.timed_out);
	assert_string_equal(r.output, "one\ntwo\n\n");
	assert_string_equal(
		proc_describe(&r, text, sizeof(text)), "exit status 3: two");
	proc_release(&r);
	run("exit 0", NULL, &r);
	assert_string_equal(proc_describe(&r, text, sizeof(text)),
		"exit status 0: no output");
	proc_release(&r);
	run("printf 'a\\033[1m\\n'; kill -9 $$", NULL, &r);
	assert_int_equal(r.exit_status, -1);
	assert_int_equal(r.signal, SIGKILL);
	assert_string_equal(proc_describe(&r, text, sizeof(text)),
		"killed by signal 9 (SIGKILL): a?[1m");
	proc_release(&r);
	run("printf 'a\\000b'", NULL, &r);
	assert_string_equal(r.output, "a?b");
	proc_release(&r);
}

static void test_environment(void **state)
{
	static const char *const env[] = { "A=1 2", "PATH=/usr/bin:/bin",
		NULL };
	struct proc_result r;

	(void)state;
	(void)setenv("SECRET_OF_OURS", "x", 1);
	run("exec env", NULL, &r);
	assert_non_null(strstr(r.output, "PATH=/usr/local/sbin:"));
	assert_null(strstr(r.output, "SECRET_OF_OURS"));
	proc_release(&r);
	run("exec env", env, &r);
	assert_non_null(strstr(r.output, "A=1 2\n"));
	assert_non_null(strstr(r.output, "PATH=/usr/bin:/bin\n"));
	proc_release(&r);
}

static void test_inherits_nothing(void **state)
{
	struct proc_result r;
	int leak = open("/etc/passwd", O_RDONLY); /* no O_CLOEXEC */
	int high = fcntl(leak, F_DUPFD, 200);
	sigset_t set;

	(void)state;
	assert_true(leak >= 0 && high >= 200);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	run("ls /proc/self/fd; readlink /proc/self/fd/0; pwd; umask;"
	    /* 32 and 33 belong to libc: nobody can reset what was inherited */
	    "grep -E 'SigBlk|SigIgn' /proc/self/status |"
	    "sed s/0000000180000000/0000000000000000/;"
	    "test $(ps -o pgid= -p $$) = $$ && echo leader",
		NULL, &r);
	/* ls itself opens 3 */
	assert_string_equal(r.output,
		"0\n1\n2\n3\n/dev/null\n/\n0022\n"
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
		"leader\n");
	proc_release(&r);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)close(leak);
	(void)close(high);
}

static void test_programs(void **state)
{
	static const char *const ok[] = { "printf", "%s", "a b;$c", NULL };
	static const char *const absent[] = { "no-such-program-here", NULL };
	static const char *const gone[] = { "/no/such/program", NULL };
	static const char *const not_exec[] = { "/etc/passwd", NULL };
	struct err e = ERR_INIT;
	struct proc_result r;

	(void)state;
	assert_int_equal(proc_run(ok, NULL, &lim, &r, &e), ST_OK);
	assert_string_equal(r.output, "a b;$c");
	proc_release(&r);
	assert_int_equal(proc_run(absent, NULL, &lim, &r, &e), ST_NOTFOUND);
	assert_non_null(strstr(e.text, "no-such-program-here"));
	assert_int_equal(proc_run(gone, NULL, &lim, &r, &e), ST_NOTFOUND);
	assert_int_equal(proc_run(not_exec, NULL, &lim, &r, &e), ST_IO);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
}

/* The deadline takes the whole group along, also who ignores SIGTERM. */
static void test_deadline(void **state)
{
	const struct proc_limits brief = { .timeout_ms = 300,
		.output_max = 100 };
	const int64_t begin = clock_mono_ms();
	struct err e = ERR_INIT;
	struct proc_result r;
	long pid;
	char text[100];

	(void)state;
	assert_int_equal(proc_shell("trap '' TERM; sh -c 'trap \"\" TERM;"
				    "echo $$; while :; do sleep 60; done'",
				 NULL, &brief, &r, &e),
		ST_OK);
	assert_true(r.timed_out);
	assert_int_equal(r.exit_status, -1);
	assert_true(clock_mono_ms() - begin >= 300);
	assert_true(clock_mono_ms() - begin < 20000);
	pid = strtol(r.output, NULL, 10);
	assert_true(pid > 1);
	/* killed; it may take a moment until init has reaped it */
	for (int64_t end = clock_mono_ms() + 10000;;) {
		FILE *f;
		char path[64], line[256] = "", *state_at;

		(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
		f = fopen(path, "re");
		if (f == NULL)
			break;
		/* nothing to read: it went away after the open */
		if (fgets(line, sizeof(line), f) == NULL)
			line[0] = '\0';
		(void)fclose(f);
		state_at = strrchr(line, ')');
		if (state_at == NULL || state_at[2] == 'Z')
			break;
		assert_true(clock_mono_ms() < end);
	}
	assert_non_null(
		strstr(proc_describe(&r, text, sizeof(text)), "timed out"));
	proc_release(&r);
}

/* A background process that keeps the pipe does not hold us up. */
static void test_background(void **state)
{
	const int64_t begin = clock_mono_ms();
	struct proc_result r;

	(void)state;
	run("sleep 15 & echo $!; exit 4", NULL, &r);
	assert_int_equal(r.exit_status, 4);
	assert_true(clock_mono_ms() - begin < 10000);
	assert_int_equal(kill((pid_t)strtol(r.output, NULL, 10), SIGKILL), 0);
	proc_release(&r);
}

static void test_output_limit(void **state)
{
	struct proc_result r;

	(void)state;
	run("head -c 3000000 /dev/zero | tr '\\0' x; echo end; exit 5", NULL,
		&r);
	assert_int_equal(r.exit_status, 5);
	assert_int_equal(strlen(r.output), lim.output_max);
	proc_release(&r);
	/* closes its output, then works on */
	run("exec >&- 2>&-; sleep 0.1; exit 6", NULL, &r);
	assert_int_equal(r.exit_status, 6);
	assert_string_equal(r.output, "");
	proc_release(&r);
}

/* certbot or cron may have started us with strange inheritances. */
static void test_strange_start(void **state)
{
	struct proc_result r;
	struct sigaction now;
	int saved = dup(0);

	(void)state;
	(void)signal(SIGCHLD, SIG_IGN);
	(void)close(0);
	run("cat; echo fine; exit 7", NULL, &r);
	(void)dup2(saved, 0);
	(void)close(saved);
	assert_int_equal(r.exit_status, 7);
	assert_string_equal(r.output, "fine\n");
	proc_release(&r);
	(void)sigaction(SIGCHLD, NULL, &now);
	assert_true(now.sa_handler == SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
}

static void test_no_leak_of_fds(void **state)
{
	struct proc_result r;
	int before = dup(0), after;

	(void)state;
	(void)close(before);
	for (int i = 0; i < 20; i++) {
		struct proc_limits more = lim;
		struct err e = ERR_INIT;

		more.apart = i % 2 != 0;
		more.input = i % 3 != 0 ? "x" : NULL;
		more.input_len = 1;
		assert_int_equal(proc_shell(":", NULL, &more, &r, &e), ST_OK);
		proc_release(&r);
	}
	after = dup(0);
	(void)close(after);
	assert_int_equal(before, after);
}

/* What the child reads is all there, and ends. */
static void test_input(void **state)
{
	static char big[3 * 1024 * 1024];
	static const char *const count[] = { "wc", "-c", NULL };
	struct proc_limits in = lim;
	struct err e = ERR_INIT;
	struct proc_result r;

	(void)state;
	memset(big, 'x', sizeof(big));
	in.input = big;
	in.input_len = sizeof(big);
	assert_int_equal(proc_run(count, NULL, &in, &r, &e), ST_OK);
	assert_string_equal(r.output, "3145728\n");
	assert_null(r.errors);
	proc_release(&r);
	in.input_len = 5;
	assert_int_equal(proc_shell("cat /dev/stdin; cat; ls /proc/self/fd",
				 NULL, &in, &r, &e),
		ST_OK);
	assert_string_equal(r.output, "xxxxxxxxxx0\n1\n2\n3\n");
	proc_release(&r);
	in.input_len = 0;
	assert_int_equal(proc_run(count, NULL, &in, &r, &e), ST_OK);
	assert_string_equal(r.output, "0\n");
	proc_release(&r);
	/* Who does not read it, does not disturb us. */
	(void)signal(SIGPIPE, SIG_DFL);
	in.input_len = sizeof(big);
	assert_int_equal(
		proc_shell("exec <&-; exit 9", NULL, &in, &r, &e), ST_OK);
	assert_int_equal(r.exit_status, 9);
	proc_release(&r);
}

static void test_apart(void **state)
{
	struct proc_limits two = lim;
	struct err e = ERR_INIT;
	struct proc_result r;
	char text[100];

	(void)state;
	two.apart = true;
	assert_int_equal(proc_shell("echo out; echo first >&2; echo more;"
				    "echo second >&2; echo >&2; exit 8",
				 NULL, &two, &r, &e),
		ST_OK);
	assert_string_equal(r.output, "out\nmore\n");
	assert_string_equal(r.errors, "first\nsecond\n\n");
	assert_int_equal(r.dropped, 0);
	assert_string_equal(
		proc_describe(&r, text, sizeof(text)), "exit status 8: second");
	assert_string_equal(proc_last_line(&r, text, sizeof(text)), "second");
	proc_release(&r);
	/* Both are read to the end, whatever the order; each has its limit. */
	assert_int_equal(
		proc_shell("head -c 300000 /dev/zero | tr '\\0' e >&2;"
			   "head -c 300000 /dev/zero | tr '\\0' o; exit 2",
			NULL, &two, &r, &e),
		ST_OK);
	assert_int_equal(r.exit_status, 2);
	assert_int_equal(strlen(r.output), lim.output_max);
	assert_int_equal(strlen(r.errors), lim.output_max);
	assert_int_equal(r.dropped, 300000 - lim.output_max);
	assert_int_equal(r.output[0], 'o');
	assert_int_equal(r.errors[0], 'e');
	proc_release(&r);
}

/* From a thread that has all signals blocked: the child has none. */
static void *in_thread(void *arg)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	run("kill -TERM $$; sleep 20", NULL, arg);
	return NULL;
}

static void test_thread(void **state)
{
	struct proc_result r = { .exit_status = 0 };
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, in_thread, &r), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(r.signal, SIGTERM);
	proc_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_inherits_nothing),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_output_limit),
		cmocka_unit_test(test_strange_start),
		cmocka_unit_test(test_no_leak_of_fds),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_apart),
		cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
