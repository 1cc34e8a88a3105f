/*
 * Secrets from files. What must hold: the content is never in a message, every
 * copy that we made is wiped, and a file that others can read or change is not
 * used at all.
 */
#include "hook/base/secret.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_dotdot(const char *path)
{
	for (const char *p = path; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return true;
	}
	return false;
}

/* Owned, absolute. */
static enum status full_path(const char *path, char **ret, struct err *err)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *p;

	if (path[0] == '/') {
		p = strdup(path);
	} else if (path[0] == '\0' || has_dotdot(path)) {
		return err_set(err, ST_CONFIG,
			"secret file \"%s\": give a full path", path);
	} else if (dir == NULL || dir[0] != '/') {
		return err_set(err, ST_CONFIG,
			"secret file \"%s\" is a relative path, and there is "
			"no CREDENTIALS_DIRECTORY to look it up in: give a "
			"full path, or use LoadCredential= in the unit",
			path);
	} else if (asprintf(&p, "%s/%s", dir, path) < 0) {
		p = NULL;
	}
	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	*ret = p;
	return ST_OK;
}

static enum status open_secret(const char *path, int *ret_fd, struct err *err)
{
	struct stat sb;
	/* O_NONBLOCK: a FIFO must not hang us */
	int fd = open(path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *bad = NULL;

	if (fd < 0 && errno == ELOOP)
		return err_set(err, ST_CONFIG,
			"secret file %s is a symbolic link: name the file "
			"itself",
			path);
	if (fd < 0)
		return err_sys(err, ST_CONFIG, errno,
			"cannot open secret file %s", path);
	if (fstat(fd, &sb) != 0)
		bad = "cannot be looked at";
	else if (!S_ISREG(sb.st_mode))
		bad = "is not a regular file";
	else if ((sb.st_mode & (S_IROTH | S_IWOTH)) != 0)
		bad = "can be read or written by others: chmod o-rw it, and "
		      "change the secret if others could read it";
	else if ((sb.st_mode & S_IWGRP) != 0)
		bad = "can be written by its group: chmod g-w it";
	if (bad != NULL) {
		(void)close(fd);
		return err_set(err, ST_CONFIG, "secret file %s %s", path, bad);
	}
	*ret_fd = fd;
	return ST_OK;
}

/* Reads up to SECRET_MAX + 1 bytes, so that "too large" can be told. */
static enum status read_fd(
	int fd, const char *path, struct secret *s, struct err *err)
{
	while (s->len <= SECRET_MAX) {
		ssize_t n = read(fd, s->data + s->len, SECRET_MAX + 1 - s->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, ST_CONFIG, errno,
				"cannot read secret file %s", path);
		if (n == 0)
			return ST_OK;
		s->len += (size_t)n;
	}
	return err_set(err, ST_CONFIG, "secret file %s is larger than %d bytes",
		path, SECRET_MAX);
}

static enum status check_content(
	const struct secret *s, const char *path, struct err *err)
{
	if (s->len == 0)
		return err_set(err, ST_CONFIG, "secret file %s is empty", path);
	if (memchr(s->data, '\0', s->len) != NULL)
		return err_set(err, ST_CONFIG,
			"secret file %s holds a NUL byte: it must be text",
			path);
	return ST_OK;
}

static enum status read_secret(
	const char *name, bool line, struct secret *ret, struct err *err)
{
	struct secret s = { .len = 0 };
	auto_str path = NULL;
	auto_fd fd = -1;
	enum status st = full_path(name, &path, err);

	if (st == ST_OK)
		st = open_secret(path, &fd, err);
	if (st != ST_OK)
		return st;
	s.data = calloc(1, SECRET_MAX + 2);
	if (s.data == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	st = read_fd(fd, path, &s, err);
	while (st == ST_OK && line && s.len > 0 &&
		strchr("\r\n\t ", s.data[s.len - 1]) != NULL &&
		s.data[s.len - 1] != '\0')
		s.data[--s.len] = '\0';
	if (st == ST_OK)
		st = check_content(&s, path, err);
	if (st != ST_OK) {
		secret_release(&s);
		return st;
	}
	*ret = s;
	return ST_OK;
}

enum status secret_read(const char *path, struct secret *ret, struct err *err)
{
	return read_secret(path, false, ret, err);
}

enum status secret_read_line(
	const char *path, struct secret *ret, struct err *err)
{
	return read_secret(path, true, ret, err);
}

void secret_release(struct secret *s)
{
	if (s->data != NULL)
		explicit_bzero(s->data, s->len);
	free(s->data);
	s->data = NULL;
	s->len = 0;
}
