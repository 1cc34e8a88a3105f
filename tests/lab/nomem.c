/*
 * Preloaded into danelaw by the lab: the NOMEM_AT-th allocation fails. Counted
 * are those that danelaw's own code makes, and the libraries whose names are in
 * NOMEM_FROM ("libjansson,libc.so"); "*" is all of them. The number of
 * allocations goes to the file NOMEM_COUNT at the end, if there is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

#define RANGES_MAX 16

static struct {
	uintptr_t from, to;
} range[RANGES_MAX];
static size_t n_ranges;
static long at, count;
static bool all;

static bool named(const char *object)
{
	const char *from = getenv("NOMEM_FROM");
	char list[200], *rest = list, *name;

	if (object[0] == '\0' || from == NULL)
		return object[0] == '\0'; /* the program itself */
	(void)snprintf(list, sizeof(list), "%s", from);
	while ((name = strsep(&rest, ",")) != NULL)
		if (strstr(object, name) != NULL)
			return true;
	return false;
}

static int look(struct dl_phdr_info *o, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; named(o->dlpi_name) && i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0 ||
			n_ranges == RANGES_MAX)
			continue;
		range[n_ranges].from = o->dlpi_addr + p->p_vaddr;
		range[n_ranges].to = range[n_ranges].from + p->p_memsz;
		n_ranges++;
	}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("NOMEM_AT"), *from = getenv("NOMEM_FROM");

	all = from != NULL && strcmp(from, "*") == 0;
	(void)dl_iterate_phdr(look, NULL);
	count = 0;
	at = n != NULL ? strtol(n, NULL, 10) : 0;
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("NOMEM_COUNT");
	char text[32];
	int fd, n;

	if (path == NULL)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	n = snprintf(text, sizeof(text), "%ld\n", count);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		abort();
	(void)close(fd);
}

static bool fails(const void *caller)
{
	bool ours = all;

	for (size_t i = 0; i < n_ranges && !ours; i++)
		ours = (uintptr_t)caller >= range[i].from &&
		       (uintptr_t)caller < range[i].to;
	if (!ours || __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) != at)
		return false;
	errno = ENOMEM;
	return true;
}

#define FAILS() fails(__builtin_return_address(0))

void *malloc(size_t n)
{
	return FAILS() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return FAILS() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return FAILS() ? NULL : __libc_realloc(p, n);
}

/* Their own, so that it is seen who asked. */
char *strndup(const char *text, size_t max)
{
	size_t n = strnlen(text, max);
	char *copy = FAILS() ? NULL : __libc_malloc(n + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

char *strdup(const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = FAILS() ? NULL : __libc_malloc(n);

	return copy == NULL ? NULL : memcpy(copy, text, n);
}
