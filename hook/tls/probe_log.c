/*
 * The transcript of a dialogue, for people: "> " what we said, "< " what the
 * server said, "* " what we have to say about it; printable ASCII in lines.
 *
 * Invariants: never more than PROBE_LOG_MAX octets, the note that something is
 * missing included; every octet of the peer that is not printable is a '?', so
 * that no terminal can be driven with it; a line end of the peer is the only
 * thing that ends a line, so it cannot forge one of ours.
 */
#include "hook/tls/probe_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUT "\n* more was said\n"
#define ROOM (PROBE_LOG_MAX - (sizeof(CUT) - 1))

bool probe_log_start(struct probe_log *l)
{
	*l = (struct probe_log){ .text = malloc(PROBE_LOG_MAX + 1) };
	if (l->text == NULL)
		return false;
	l->text[0] = '\0';
	return true;
}

static void put(struct probe_log *l, char c)
{
	if (l->cut)
		return;
	if (l->len >= ROOM) {
		const char *note = CUT;

		if (l->text[l->len - 1] == '\n')
			note++;
		memcpy(l->text + l->len, note, strlen(note) + 1);
		l->len += strlen(note);
		l->cut = true;
		return;
	}
	l->text[l->len++] = c;
	l->text[l->len] = '\0';
}

static void end_line(struct probe_log *l)
{
	if (l->dir == 0)
		return;
	if (l->cr)
		put(l, '?');
	put(l, '\n');
	l->dir = 0;
	l->cr = false;
}

static void begin_line(struct probe_log *l, char dir)
{
	if (l->dir == dir)
		return;
	end_line(l);
	l->dir = dir;
	put(l, dir);
	put(l, ' ');
}

static void put_text(struct probe_log *l, char dir, char c)
{
	begin_line(l, dir);
	if (c == '\n') {
		l->cr = false;
		end_line(l);
		return;
	}
	if (l->cr)
		put(l, '?');
	l->cr = c == '\r';
	if (!l->cr)
		put(l, c >= 0x20 && c < 0x7f ? c : '?');
}

void probe_log_add(
	struct probe_log *l, char dir, const char *data, size_t len, bool hex)
{
	if (l->text == NULL)
		return;
	for (size_t i = 0; i < len && !l->cut; i++) {
		char two[4];

		if (!hex) {
			put_text(l, dir, data[i]);
			continue;
		}
		(void)snprintf(two, sizeof(two), "%02x",
			(unsigned)(unsigned char)data[i]);
		put_text(l, dir, two[0]);
		put_text(l, dir, two[1]);
	}
	if (hex)
		end_line(l);
}

void probe_log_note(struct probe_log *l, const char *text)
{
	if (l->text == NULL)
		return;
	end_line(l);
	probe_log_add(l, '*', text, strlen(text), false);
	end_line(l);
}

char *probe_log_take(struct probe_log *l)
{
	char *text;

	if (l->text == NULL)
		return NULL;
	end_line(l);
	text = realloc(l->text, l->len + 1);
	if (text == NULL)
		text = l->text;
	*l = (struct probe_log){ .text = NULL };
	return text;
}

void probe_log_release(struct probe_log *l)
{
	free(l->text);
	*l = (struct probe_log){ .text = NULL };
}
