/*
 * Reading the configuration file, and a pass over its text before libconfuse
 * sees it. The pass is needed because libconfuse's scanner (3.3)
 *   - counts one line too many for each comment, so file:line would be wrong;
 *   - puts environment variables where "${X}" stands, which would empty
 *     the shell variables of a reload command;
 *   - drops characters that it does not know, and accepts a file that ends
 *     inside a section or a comment.
 * Invariant: what goes out has as many lines as what came in, and line N of
 * the one is line N of the other.
 */
#include "hook/config_text.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BRACES_MAX 16
/* Stands between '$' and '{' while libconfuse scans; no file may hold it. */
#define GUARD '\001'

enum scan_state { SCAN_PLAIN, SCAN_DQ, SCAN_SQ, SCAN_LINE, SCAN_BLOCK };

struct scan {
	const char *path;
	const char *text;
	size_t len, pos;
	enum scan_state state;
	int line;
	int opened_line; /* where the string or comment began */
	int brace_line[BRACES_MAX];
	int depth;
	struct buf *out;
	struct err *err;
};

static enum status fail(struct scan *s, int line, const char *what)
{
	return err_set(s->err, ST_CONFIG, "%s:%d: %s", s->path, line, what);
}

static enum status emit(struct scan *s, char c)
{
	return buf_append(s->out, &c, 1, s->err);
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t' && c != '\n' &&
		       c != '\r') ||
	       c == '\177';
}

static char peek(const struct scan *s)
{
	return s->pos + 1 < s->len ? s->text[s->pos + 1] : '\0';
}

/* A comment mark inside an unquoted word ("https://...") is none. */
static bool word_start(const struct scan *s)
{
	return !s->pos || strchr(" \t\r\n{}(),=\"'", s->text[s->pos - 1]);
}

static enum status brace(struct scan *s, char c)
{
	if (c == '{') {
		if (s->depth == BRACES_MAX)
			return fail(s, s->line, "braces are nested too deeply");
		s->brace_line[s->depth++] = s->line;
	} else if (c == '}') {
		if (!s->depth)
			return fail(
				s, s->line, "'}' closes nothing that is open");
		s->depth--;
	}
	return emit(s, c);
}

static enum status plain(struct scan *s, char c)
{
	s->opened_line = s->line;
	if (c == '"' || c == '\'') {
		s->state = c == '"' ? SCAN_DQ : SCAN_SQ;
		return emit(s, c);
	}
	if (c == '#' || (c == '/' && peek(s) == '/' && word_start(s))) {
		s->state = SCAN_LINE;
		return ST_OK;
	}
	if (c == '/' && peek(s) == '*' && word_start(s)) {
		s->state = SCAN_BLOCK;
		s->pos++;
		return emit(s, ' ');
	}
	if (c == '*' || (c == '+' && peek(s) != '='))
		return fail(s, s->line,
			"'*' and '+' must stand inside quotation marks");
	if (c == '$' && peek(s) == '{')
		return fail(
			s, s->line, "\"${\" must stand inside quotation marks");
	return brace(s, c);
}

static enum status in_string(struct scan *s, char c)
{
	if (c == (s->state == SCAN_DQ ? '"' : '\''))
		s->state = SCAN_PLAIN;
	enum status st = emit(s, c);
	if (st)
		return st;
	if (c == '\\' && s->pos + 1 < s->len) {
		s->pos++;
		if (s->text[s->pos] == '\n')
			s->line++;
		c = s->text[s->pos];
		st = emit(s, c);
	}
	if (!st && c == '$' && peek(s) == '{')
		st = emit(s, GUARD);
	return st;
}

static enum status step(struct scan *s)
{
	char c = s->text[s->pos];
	enum status st = ST_OK;

	if (is_control(c) || (c == '\\' && is_control(peek(s)) && peek(s)))
		return fail(s, s->line, "holds a control character");
	switch (s->state) {
	case SCAN_PLAIN:
		st = plain(s, c);
		break;
	case SCAN_DQ:
	case SCAN_SQ:
		st = in_string(s, c);
		break;
	case SCAN_LINE:
		if (c == '\n') {
			s->state = SCAN_PLAIN;
			st = emit(s, c);
		}
		break;
	case SCAN_BLOCK:
		if (c == '\n')
			st = emit(s, c);
		if (c == '*' && peek(s) == '/') {
			s->state = SCAN_PLAIN;
			s->pos++;
		}
		break;
	}
	if (c == '\n')
		s->line++;
	s->pos++;
	return st;
}

enum status config_text_prepare(const char *path, const char *text, size_t len,
	struct buf *ret, struct err *err)
{
	struct scan s = { .path = path,
		.text = text,
		.len = len,
		.line = 1,
		.out = ret,
		.err = err };

	while (s.pos < s.len) {
		enum status st = step(&s);
		if (st)
			return st;
	}
	switch (s.state) {
	case SCAN_DQ:
	case SCAN_SQ:
		return fail(&s, s.opened_line,
			"the string that begins here is never closed");
	case SCAN_BLOCK:
		return fail(&s, s.opened_line,
			"the comment that begins here is never closed");
	case SCAN_PLAIN:
	case SCAN_LINE:
		break;
	}
	if (s.depth)
		return fail(&s, s.brace_line[s.depth - 1],
			"the '{' on this line is never closed");
	/* An empty stream is an error to fmemopen. */
	return emit(&s, '\n');
}

void config_text_unguard(char *value)
{
	char *to = value;

	for (const char *p = value; *p; p++) {
		if (*p == GUARD && p > value && p[-1] == '$' && p[1] == '{')
			continue;
		*to++ = *p;
	}
	*to = '\0';
}

/* Whoever can write this file can run commands as us. */
static enum status check_writers(
	const char *path, const struct stat *sb, struct err *err)
{
	if (!S_ISREG(sb->st_mode))
		return err_set(
			err, ST_CONFIG, "%s: is not a regular file", path);
	if (sb->st_uid && sb->st_uid != geteuid())
		return err_set(err, ST_CONFIG,
			"%s: belongs to uid %u, who could change it: "
			"chown root it",
			path, (unsigned)sb->st_uid);
	if ((sb->st_mode & S_IWOTH) || ((sb->st_mode & S_IWGRP) && sb->st_gid))
		return err_set(err, ST_CONFIG,
			"%s: others can write it (mode %04o): chmod go-w it",
			path, (unsigned)(sb->st_mode & 07777));
	return ST_OK;
}

enum status config_text_read(const char *path, struct buf *ret, struct err *err)
{
	auto_buf text = BUF_INIT(CONFIG_FILE_MAX);
	struct stat sb;
	char chunk[8192];
	ssize_t n;

	/* O_NONBLOCK: a fifo must not hang us before it is refused. */
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &sb))
		return err_sys(err, ST_CONFIG, errno,
			"%s: the configuration cannot be read", path);
	enum status st = check_writers(path, &sb, err);
	if (st)
		return st;
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, ST_CONFIG, errno,
				"%s: the configuration cannot be read", path);
		st = buf_append(&text, chunk, (size_t)n, err);
		if (st == ST_REFUSED)
			return err_set(err, ST_CONFIG,
				"%s: is larger than %d bytes", path,
				CONFIG_FILE_MAX);
		if (st)
			return st;
	}
	return config_text_prepare(path, buf_str(&text), text.len, ret, err);
}
