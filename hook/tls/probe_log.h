/* The transcript of what was said in clear (probe_job.log). Inside hook/tls
 * only. */
#ifndef DANELAW_TLS_PROBE_LOG_H
#define DANELAW_TLS_PROBE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define PROBE_LOG_MAX 8192

/* All zero: keeps nothing. */
struct probe_log {
	char *text; /* owned, PROBE_LOG_MAX + 1 octets */
	size_t len;
	char dir; /* of the line that is not over yet; 0: none */
	bool cr;  /* a CR that may belong to a line end */
	bool cut;
};

/* False: out of memory. */
bool probe_log_start(struct probe_log *l);
/* dir '>' sent, '<' received; hex for what is not text. */
void probe_log_add(
	struct probe_log *l, char dir, const char *data, size_t len, bool hex);
/* One line of ours, "* text". */
void probe_log_note(struct probe_log *l, const char *text);
/* The text so far, owned by the caller; l keeps nothing any more. NULL when it
 * kept nothing. */
char *probe_log_take(struct probe_log *l);
void probe_log_release(struct probe_log *l);

#endif
