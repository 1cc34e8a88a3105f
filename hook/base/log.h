/*
 * One event, one line, key=value, on stderr (journald reads it there: with
 * JOURNAL_STREAM set each line starts with a priority prefix <N>). ASCII only:
 * certbot decodes a hook's output as strict UTF-8. Only main, cmd_* and engine
 * log; libraries return errors.
 */
#ifndef DANELAW_BASE_LOG_H
#define DANELAW_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ALERT_L, LOG_WARN_L, LOG_INFO_L, LOG_DEBUG_L };

/* The least urgent level that is shown; LOG_INFO_L without a call. */
void log_init(enum log_level least);

/* log_event(LOG_INFO_L, "promote", "lineage=%s key=%s", ...) prints
 * "info event=promote lineage=... key=...". A value that may hold spaces or
 * came from outside goes through log_quote. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns text as "..." with quotes and backslashes escaped (log_event turns
 * control characters into '?'), in one of eight rotating static buffers: use it as an argument of
 * log_event only. Not thread-safe. */
const char *log_quote(const char *text);

#endif
