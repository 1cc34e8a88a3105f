/*
 * The two clocks and the trusted axis. What must hold: trusted_ms never goes
 * back, and within one boot never grows faster than either clock, so no jump of
 * the wall clock can shorten a wait. CLOCK_BOOTTIME and not CLOCK_MONOTONIC:
 * caches age while we are suspended. Across a reboot only the wall clock is
 * left, and is believed as far as max_gap_ms. (design.md "When is a key ready")
 */
#include "hook/base/clock.h"

#include "hook/base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
/* A wall clock that NTP steps back by less than this did not jump. */
#define BACK_TOLERANCE_MS 1000

static int64_t timespec_ms(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

/* The line is read whole: half of one id looks like half of the next, or like
 * another boot, and a wait would end by the wrong clock. */
static enum status read_boot_id(char ret[static BOOT_ID_MAX], struct err *err)
{
	char text[BOOT_ID_MAX];
	size_t len = 0;
	auto_fd fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, ST_IO, errno,
			"cannot open " BOOT_ID_FILE " (is /proc mounted?)");
	while (len < sizeof(text) - 1 && memchr(text, '\n', len) == NULL) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(
				err, ST_IO, errno, "cannot read " BOOT_ID_FILE);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	if (text[0] == '\0')
		return err_set(err, ST_IO,
			BOOT_ID_FILE " is empty: cannot tell one boot from "
				     "another, so no wait can be trusted");
	memcpy(ret, text, sizeof(text));
	return ST_OK;
}

enum status clock_read(struct clock_reading *ret, struct err *err)
{
	struct clock_reading r = { .wall_ms = 0 };
	struct timespec wall, boot;
	enum status st;

	if (clock_gettime(CLOCK_REALTIME, &wall) != 0 ||
		clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
		return err_sys(err, ST_IO, errno, "cannot read the clock");
	st = read_boot_id(r.boot_id, err);
	if (st != ST_OK)
		return st;
	r.wall_ms = timespec_ms(&wall);
	r.boot_ms = timespec_ms(&boot);
	*ret = r;
	return ST_OK;
}

/* Readings may come from a file: no overflow, whatever they are. */
static int64_t diff(int64_t a, int64_t b)
{
	int64_t d;

	if (__builtin_sub_overflow(a, b, &d))
		return a > b ? INT64_MAX : INT64_MIN;
	return d;
}

static void grow(struct clock_mark *mark, int64_t by)
{
	if (by > 0 &&
		__builtin_add_overflow(mark->trusted_ms, by, &mark->trusted_ms))
		mark->trusted_ms = INT64_MAX;
}

static enum clock_verdict doubt(char *why, size_t why_len, const char *what,
	int64_t by_ms, const struct clock_reading *was,
	const struct clock_reading *now)
{
	char span[CLOCK_TEXT_MAX], from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];

	if (by_ms < 0)
		by_ms = diff(0, by_ms);
	if (why_len > 0)
		(void)snprintf(why, why_len,
			"%s by %s (wall clock was %s, is %s): every wait "
			"starts again; check the clock and NTP",
			what, clock_span(by_ms, span),
			clock_utc(was->wall_ms, from),
			clock_utc(now->wall_ms, to));
	return CLOCK_DOUBT;
}

enum clock_verdict clock_advance(struct clock_mark *mark,
	const struct clock_reading *now, int64_t max_gap_ms, char *why,
	size_t why_len)
{
	const struct clock_reading was = mark->last;
	const int64_t wall = diff(now->wall_ms, was.wall_ms);
	const int64_t boot = diff(now->boot_ms, was.boot_ms);
	/* What lies before this boot cannot be proved: it does not count. */
	const int64_t proved = wall < now->boot_ms ? wall : now->boot_ms;

	if (why_len > 0)
		why[0] = '\0';
	if (max_gap_ms < 0)
		max_gap_ms = 0;
	mark->last = *now;
	if (was.boot_id[0] == '\0' && was.wall_ms == 0) {
		/* max: trusted_ms must not go back even if somebody lost the
		 * reading but kept the axis */
		if (mark->trusted_ms < now->wall_ms)
			mark->trusted_ms = now->wall_ms;
		return CLOCK_SANE;
	}
	if (wall < -BACK_TOLERANCE_MS)
		return doubt(why, why_len, "the wall clock ran backwards", wall,
			&was, now);
	if (strcmp(was.boot_id, now->boot_id) == 0) {
		if (boot < 0)
			return doubt(why, why_len,
				"the boot clock ran backwards", boot, &was,
				now);
		grow(mark, wall < boot ? wall : boot);
		return CLOCK_SANE;
	}
	if (wall > max_gap_ms) {
		grow(mark, proved < max_gap_ms ? proved : max_gap_ms);
		return doubt(why, why_len,
			"the machine was rebooted and the wall clock is ahead",
			wall, &was, now);
	}
	grow(mark, proved);
	return CLOCK_SANE;
}

int64_t clock_mono_ms(void)
{
	struct timespec t = { .tv_sec = 0 };

	/* cannot fail with a valid clock and address */
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return timespec_ms(&t);
}

char *clock_utc(int64_t wall_ms, char ret[static CLOCK_TEXT_MAX])
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (wall_ms % 1000 < 0)
		t--;
	if (gmtime_r(&t, &tm) == NULL ||
		strftime(ret, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		memcpy(ret, "?", 2);
	return ret;
}

char *clock_span(int64_t ms, char ret[static CLOCK_TEXT_MAX])
{
	const char *sign = ms <= -1000 ? "-" : "";
	uint64_t s = ms < 0 ? (uint64_t) - (ms / 1000) : (uint64_t)ms / 1000;
	char days[20] = "";

	if (s >= 86400)
		(void)snprintf(days, sizeof(days), "%" PRIu64 "d ", s / 86400);
	(void)snprintf(ret, CLOCK_TEXT_MAX, "%s%s%02u:%02u:%02u", sign, days,
		(unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60),
		(unsigned)(s % 60));
	return ret;
}
