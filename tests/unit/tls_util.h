/* For tests that need real keys and certificates on disk: a scratch folder,
 * files, and the openssl command as the golden reference. */
#ifndef DANELAW_TESTS_TLS_UTIL_H
#define DANELAW_TESTS_TLS_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_MAX 65536

static char test_dir[64];

static int dir_setup(void **state)
{
	(void)state;
	(void)snprintf(test_dir, sizeof(test_dir), "/tmp/danelaw-test-XXXXXX");
	return mkdtemp(test_dir) != NULL ? 0 : -1;
}

static int dir_remove_one(
	const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)sb;
	(void)type;
	(void)f;
	return remove(path);
}

static int dir_teardown(void **state)
{
	(void)state;
	return nftw(test_dir, dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* "/tmp/danelaw-test-x/name"; one of eight rotating buffers. */
__attribute__((unused)) static const char *in_dir(const char *name)
{
	static char bufs[8][512];
	static unsigned next;
	char *b = bufs[next++ % 8];

	(void)snprintf(b, sizeof(bufs[0]), "%s/%s", test_dir, name);
	return b;
}

/* Runs a shell command in test_dir; its stdout, owned. Fails the test unless
 * it exits with 0. */
__attribute__((format(printf, 1, 2), unused)) static char *sh(
	const char *fmt, ...)
{
	char cmd[2048];
	char *out = calloc(1, TEXT_MAX);
	size_t used = 0;
	int fd[2], status;
	va_list ap;
	ssize_t n;
	pid_t pid;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_non_null(out);
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		(void)dup2(null, 0);
		(void)dup2(fd[1], 1);
		(void)dup2(null, 2);
		(void)close(fd[0]);
		if (chdir(test_dir) == 0)
			execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	(void)close(fd[1]);
	while (used < TEXT_MAX - 1 &&
		(n = read(fd[0], out + used, TEXT_MAX - 1 - used)) > 0)
		used += (size_t)n;
	(void)close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("command failed: %s", cmd);
	return out;
}

__attribute__((unused)) static void sh_ok(const char *cmd)
{
	free(sh("%s", cmd));
}

/* Whole file as a string, owned. */
__attribute__((unused)) static char *slurp(const char *path, size_t *ret_len)
{
	char *out = calloc(1, TEXT_MAX);
	size_t used = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_non_null(out);
	if (fd < 0)
		fail_msg("cannot read %s", path);
	while (used < TEXT_MAX - 1 &&
		(n = read(fd, out + used, TEXT_MAX - 1 - used)) > 0)
		used += (size_t)n;
	(void)close(fd);
	if (ret_len != NULL)
		*ret_len = used;
	return out;
}

__attribute__((unused)) static void spit(
	const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		fail_msg("cannot write %s", path);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	(void)close(fd);
}

#endif
