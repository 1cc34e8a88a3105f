/*
 * Two clocks, trusted together. All waits are counted on a "trusted" axis: ms
 * that advance by the smaller of wall-clock and boot-time progress, so a clock
 * that jumps ahead cannot shorten a wait. (dane.md B-14 CLOCKS)
 */
#ifndef DANELAW_BASE_CLOCK_H
#define DANELAW_BASE_CLOCK_H

#include "hook/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BOOT_ID_MAX 64
#define CLOCK_TEXT_MAX 32

struct clock_reading {
	int64_t wall_ms; /* CLOCK_REALTIME since 1970 */
	int64_t boot_ms; /* CLOCK_BOOTTIME */
	char boot_id[BOOT_ID_MAX];
};

/* Saved in the state file; all zero means "never read". */
struct clock_mark {
	struct clock_reading last;
	int64_t trusted_ms; /* starts as the first wall clock seen */
};

enum clock_verdict { CLOCK_SANE, CLOCK_DOUBT };

enum status clock_read(struct clock_reading *ret, struct err *err);

/*
 * Advances mark to reading. Same boot: by min(wall progress, boot progress).
 * New boot: by min(wall progress, time since that boot): the wall clock may have
 * been corrected meanwhile. Wall clock that ran backwards (more than one
 * second), boot clock that ran backwards, or a new boot after more than
 * max_gap_ms: CLOCK_DOUBT with the reason in why; trusted_ms then grows by no
 * more than can be proved, and the caller must restart every wait. Pure.
 */
enum clock_verdict clock_advance(struct clock_mark *mark,
	const struct clock_reading *now, int64_t max_gap_ms, char *why,
	size_t why_len);

/* Monotonic ms for deadlines inside one process. */
int64_t clock_mono_ms(void);

/* "2026-11-21T20:00:00Z". Returns ret. */
char *clock_utc(int64_t wall_ms, char ret[static CLOCK_TEXT_MAX]);

/* "1d 02:03:04" or "02:03:04". Returns ret. */
char *clock_span(int64_t ms, char ret[static CLOCK_TEXT_MAX]);

#endif
