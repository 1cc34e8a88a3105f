/* What the fuzz targets share: a demand, a look at an error's text, input taken
 * apart, and a folder of their own in memory or where TMPDIR says. */
#ifndef DANELAW_TESTS_FUZZ_H
#define DANELAW_TESTS_FUZZ_H

#include "hook/base/err.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: always there, and each with a place of its own. */
#define must(ok) ((ok) ? (void)0 : fuzz_fail_(__FILE__, __LINE__, #ok))

static inline _Noreturn void fuzz_fail_(
	const char *file, int line, const char *what)
{
	(void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

/* Every failure says so, in one printable line, with its own status. */
static inline void must_err(enum status st, const struct err *err)
{
	must(st > ST_OK && st < ST__COUNT && st != ST_BUG && err->st == st);
	must(memchr(err->text, '\0', sizeof(err->text)) != NULL);
	must(err->text[0] != '\0');
	for (const char *p = err->text; *p != '\0'; p++)
		must((unsigned char)*p >= ' ' && *p != 0x7f);
}

struct in {
	const uint8_t *p;
	size_t n;
};

static inline uint8_t in_u8(struct in *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

/* A copy that ends where its memory ends. */
static inline uint8_t *exact(const void *p, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	must(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

/* Up to the first of the octet `end` or NUL, or all; as a string, owned. */
static inline char *in_text(struct in *in, char end)
{
	size_t n = 0;
	char *s;

	while (n < in->n && in->p[n] != (uint8_t)end && in->p[n] != '\0')
		n++;
	s = malloc(n + 1);
	must(s != NULL);
	memcpy(s, in->p, n);
	s[n] = '\0';
	n += n < in->n;
	in->p += n;
	in->n -= n;
	return s;
}

static inline int fuzz_unlink_(
	const char *path, const struct stat *sb, int type, struct FTW *at)
{
	(void)sb;
	(void)at;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static inline void fuzz_remove(const char *path)
{
	(void)nftw(path, fuzz_unlink_, 16, FTW_DEPTH | FTW_PHYS);
}

static char fuzz_dir_[256];

static void fuzz_bye_(void)
{
	fuzz_remove(fuzz_dir_);
}

/* One for the process; gone at its end, but for a crash. */
static inline const char *fuzz_dir(void)
{
	const char *top = getenv("TMPDIR");

	if (fuzz_dir_[0] != '\0')
		return fuzz_dir_;
	if (top == NULL || strlen(top) > 128)
		top = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(
		fuzz_dir_, sizeof(fuzz_dir_), "%s/danelaw-fuzz.XXXXXX", top);
	must(mkdtemp(fuzz_dir_) != NULL);
	must(atexit(fuzz_bye_) == 0);
	return fuzz_dir_;
}

static inline void fuzz_write(
	const char *path, mode_t mode, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	must(fd >= 0 && write(fd, data, n) == (ssize_t)n && close(fd) == 0);
}

#endif
