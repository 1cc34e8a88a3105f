/* The log: key=value lines on stderr, priority prefix under journald. */
#include "hook/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum log_level shown = LOG_INFO_L;
static bool under_journal;

static const struct {
	const char *name;
	int syslog_priority;
} levels[] = {
	[LOG_ALERT_L] = { "alert", 2 },
	[LOG_WARN_L] = { "warn", 4 },
	[LOG_INFO_L] = { "info", 6 },
	[LOG_DEBUG_L] = { "debug", 7 },
};

void log_init(enum log_level least)
{
	shown = least;
	under_journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[4096];
	va_list ap;

	if (level > shown)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
	if (under_journal)
		fprintf(stderr, "<%d>", levels[level].syslog_priority);
	fprintf(stderr, "%s event=%s %s\n", levels[level].name, event, line);
}

const char *log_quote(const char *text)
{
	static char bufs[8][2048];
	static unsigned turn;
	char *out = bufs[turn++ % 8];
	size_t n = 0;

	out[n++] = '"';
	for (; *text != '\0' && n < sizeof(bufs[0]) - 4; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}
