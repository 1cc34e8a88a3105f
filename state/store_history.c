/*
 * Reads what store_history wrote. The history is for people and for reports,
 * never for decisions: a line that is torn (we died, or the disk was full in
 * the middle of it) or not ours is skipped and counted, the rest is good.
 * Invariant: at most STORE_HISTORY_MAX octets and STORE_EVENTS_MAX events, the
 * newest ones.
 */
#include "state/store_impl.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool parse_at(const char *text, int64_t *ret_ms)
{
	struct tm tm = { .tm_year = 0 };
	const char *end =
		text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;

	if (end == NULL || *end != '\0')
		return false;
	*ret_ms = (int64_t)timegm(&tm) * 1000;
	return *ret_ms >= 0;
}

static bool parse_event(const char *line, size_t len, struct history_event *ret)
{
	json_auto_t *j = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *event = json_string_value(json_object_get(j, "event"));
	const char *key = json_string_value(json_object_get(j, "key"));
	const char *why = json_string_value(json_object_get(j, "why"));
	const json_t *gen = json_object_get(j, "generation");

	memset(ret, 0, sizeof(*ret));
	if (!parse_at(json_string_value(json_object_get(j, "at")),
		    &ret->wall_ms) ||
		event == NULL || strlen(event) >= sizeof(ret->event) ||
		(key != NULL && !spki_parse(key, &ret->key)))
		return false;
	(void)snprintf(ret->event, sizeof(ret->event), "%s", event);
	if (json_is_integer(gen) && json_integer_value(gen) > 0 &&
		json_integer_value(gen) <= INT32_MAX)
		ret->generation = (unsigned)json_integer_value(gen);
	(void)snprintf(
		ret->why, sizeof(ret->why), "%s", why != NULL ? why : "");
	return true;
}

/* The newest octets of the file, from the start of a line on. */
static enum status read_tail(int fd, const char *path, struct buf *ret,
	bool *ret_cut, struct err *err)
{
	char chunk[8192];
	struct stat sb;
	off_t at = 0;
	ssize_t n = 1;
	char *nl;

	if (fstat(fd, &sb) != 0)
		return err_sys(err, ST_IO, errno, "cannot look at %s", path);
	if (!S_ISREG(sb.st_mode))
		return err_set(
			err, ST_REFUSED, "%s is not a regular file", path);
	*ret_cut = sb.st_size > STORE_HISTORY_MAX;
	if (*ret_cut)
		at = sb.st_size - STORE_HISTORY_MAX;
	/* What is appended meanwhile can wait for the next time. */
	while (at < sb.st_size && n > 0) {
		size_t want = sb.st_size - at < (off_t)sizeof(chunk)
				      ? (size_t)(sb.st_size - at)
				      : sizeof(chunk);

		n = pread(fd, chunk, want, at);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0)
			return err_sys(
				err, ST_IO, errno, "cannot read %s", path);
		if (buf_append(ret, chunk, (size_t)n, err) != ST_OK)
			return err->st;
		at += n;
	}
	nl = *ret_cut && ret->len > 0 ? memchr(ret->data, '\n', ret->len)
				      : NULL;
	if (nl != NULL) {
		ret->len -= (size_t)(nl + 1 - ret->data);
		memmove(ret->data, nl + 1, ret->len + 1);
	}
	return ST_OK;
}

static enum status parse_all(
	const struct buf *text, struct history *h, struct err *err)
{
	const char *p = buf_str(text), *end = p + text->len;
	size_t lines = 0, skip = 0;

	for (size_t i = 0; i < text->len; i++)
		lines += p[i] == '\n';
	lines++; /* the last one may have no end */
	if (lines > STORE_EVENTS_MAX + 1) {
		skip = lines - STORE_EVENTS_MAX - 1;
		h->cut = true;
	}
	h->event = calloc(lines - skip, sizeof(*h->event));
	if (h->event == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl != NULL ? (size_t)(nl - p) : (size_t)(end - p);

		if (skip > 0)
			skip--;
		else if (nl != NULL && parse_event(p, n, &h->event[h->n]))
			h->n++;
		else
			h->bad_lines++;
		p += n + (nl != NULL);
	}
	return ST_OK;
}

enum status store_history_read(
	struct store *s, const char *name, struct history *ret, struct err *err)
{
	auto_buf text = BUF_INIT(STORE_HISTORY_MAX);
	struct history h = { .n = 0 };
	char path[STORE_NAME_MAX + 32];
	auto_fd fd = -1;
	enum status st;

	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
		strlen(name) >= STORE_NAME_MAX)
		return err_set(err, ST_REFUSED,
			"\"%.*s\" cannot be the name of a lineage",
			STORE_NAME_MAX, name);
	(void)snprintf(path, sizeof(path), "%s/history.jsonl", name);
	/* O_NONBLOCK: a FIFO in its place must not hang us */
	fd = openat(s->lineages, path,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ST_NOTFOUND, "%s/lineages/%s is not there",
			s->dir, path);
	if (fd < 0)
		return err_sys(err, errno == EACCES ? ST_DENIED : ST_IO, errno,
			"cannot open %s/lineages/%s", s->dir, path);
	st = read_tail(fd, path, &text, &h.cut, err);
	if (st == ST_OK)
		st = parse_all(&text, &h, err);
	if (st != ST_OK) {
		history_release(&h);
		return st;
	}
	*ret = h;
	return ST_OK;
}

void history_release(struct history *h)
{
	free(h->event);
	h->event = NULL;
	h->n = 0;
}
