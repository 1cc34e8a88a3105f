/* The trusted axis: no jump of a clock may shorten a wait. */
#include "hook/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#define T0 1800000000000
#define HOUR 3600000
#define GAP (24 * HOUR)

static struct clock_mark mark_at_t0(void)
{
	struct clock_mark m = { .last = { T0, 5 * HOUR, "boot-a" },
		.trusted_ms = T0 - 1000 };

	return m;
}

struct step {
	const char *name;
	int64_t wall, boot; /* progress */
	const char *boot_id;
	enum clock_verdict verdict;
	int64_t grows;
};

static const struct step steps[] = {
	{ "nothing", 0, 0, "boot-a", CLOCK_SANE, 0 },
	{ "both", HOUR, HOUR, "boot-a", CLOCK_SANE, HOUR },
	{ "wall jumped ahead", 240 * HOUR, HOUR, "boot-a", CLOCK_SANE, HOUR },
	{ "wall lags", HOUR, 2 * HOUR, "boot-a", CLOCK_SANE, HOUR },
	{ "wall back", -HOUR, HOUR, "boot-a", CLOCK_DOUBT, 0 },
	{ "wall back a little", -900, HOUR, "boot-a", CLOCK_SANE, 0 },
	{ "wall back 1001", -1001, HOUR, "boot-a", CLOCK_DOUBT, 0 },
	{ "boot clock back", HOUR, -1, "boot-a", CLOCK_DOUBT, 0 },
	{ "long run", 48 * HOUR, 48 * HOUR, "boot-a", CLOCK_SANE, 48 * HOUR },
	{ "reboot", HOUR, -4 * HOUR, "boot-b", CLOCK_SANE, HOUR },
	{ "reboot, long off", GAP, 0, "boot-b", CLOCK_SANE, 5 * HOUR },
	{ "reboot, clock mended", GAP, -4 * HOUR, "boot-b", CLOCK_SANE, HOUR },
	{ "reboot, too long", GAP + 1, 0, "boot-b", CLOCK_DOUBT, 5 * HOUR },
	{ "reboot, 1970", -T0, 0, "boot-b", CLOCK_DOUBT, 0 },
	{ "reboot, a little back", -1000, 0, "boot-b", CLOCK_SANE, 0 },
	{ "reboot, back", -HOUR, 0, "boot-b", CLOCK_DOUBT, 0 },
};

static void test_advance(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];
		struct clock_mark m = mark_at_t0();
		struct clock_reading now = { T0 + s->wall, 5 * HOUR + s->boot,
			"" };
		char why[200] = "x";

		(void)snprintf(
			now.boot_id, sizeof(now.boot_id), "%s", s->boot_id);
		print_message("%s\n", s->name);
		assert_int_equal(clock_advance(&m, &now, GAP, why, sizeof(why)),
			s->verdict);
		assert_int_equal(m.trusted_ms, T0 - 1000 + s->grows);
		assert_int_equal(m.last.wall_ms, now.wall_ms);
		assert_string_equal(m.last.boot_id, s->boot_id);
		assert_int_equal(why[0] != '\0', s->verdict == CLOCK_DOUBT);
	}
}

static void test_first(void **state)
{
	const struct clock_reading now = { T0, 7, "boot-a" };
	struct clock_mark m = { .trusted_ms = 0 };
	char why[8];

	(void)state;
	assert_int_equal(
		clock_advance(&m, &now, GAP, why, sizeof(why)), CLOCK_SANE);
	assert_int_equal(m.trusted_ms, T0);
	assert_int_equal(m.last.boot_ms, 7);
	/* no room for a reason is no reason to crash */
	assert_int_equal(clock_advance(&m, &now, GAP, NULL, 0), CLOCK_SANE);
}

/* A jump ahead and back again must not be counted twice, nor lost. */
static void test_there_and_back(void **state)
{
	struct clock_mark m = mark_at_t0();
	struct clock_reading r = m.last;
	const int64_t start = m.trusted_ms;
	char why[200];

	(void)state;
	r.wall_ms += 100 * HOUR;
	r.boot_ms += HOUR;
	assert_int_equal(
		clock_advance(&m, &r, GAP, why, sizeof(why)), CLOCK_SANE);
	r.wall_ms -= 99 * HOUR;
	r.boot_ms += HOUR;
	assert_int_equal(
		clock_advance(&m, &r, GAP, why, sizeof(why)), CLOCK_DOUBT);
	r.wall_ms += HOUR;
	r.boot_ms += HOUR;
	assert_int_equal(
		clock_advance(&m, &r, GAP, why, sizeof(why)), CLOCK_SANE);
	assert_int_equal(m.trusted_ms, start + 2 * HOUR);
}

static void test_extremes(void **state)
{
	struct clock_mark m = { .last = { INT64_MAX, 0, "a" },
		.trusted_ms = INT64_MAX - 5 };
	struct clock_reading low = { INT64_MIN, INT64_MIN, "a" };
	struct clock_reading high = { INT64_MAX, INT64_MAX, "a" };
	char why[200];

	(void)state;
	assert_int_equal(
		clock_advance(&m, &low, GAP, why, sizeof(why)), CLOCK_DOUBT);
	assert_int_equal(
		clock_advance(&m, &high, GAP, why, sizeof(why)), CLOCK_SANE);
	assert_int_equal(m.trusted_ms, INT64_MAX);
}

static void test_read(void **state)
{
	struct clock_reading a, b;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(clock_read(&a, &err), ST_OK);
	assert_int_equal(clock_read(&b, &err), ST_OK);
	assert_int_equal(strlen(a.boot_id), 36);
	assert_string_equal(a.boot_id, b.boot_id);
	assert_true(b.boot_ms >= a.boot_ms && a.boot_ms > 0);
	assert_true(a.wall_ms > 1600000000000);
	assert_true(clock_mono_ms() <= clock_mono_ms());
}

static size_t portion; /* a read gets no more; 0: all that there is */

ssize_t read(int fd, void *ret, size_t len)
{
	if (portion != 0 && len > portion)
		len = portion;
	return syscall(SYS_read, fd, ret, len);
}

/* What read() becomes where the compiler checks sizes. */
ssize_t __read_chk(int fd, void *ret, size_t len, size_t room);
ssize_t __read_chk(int fd, void *ret, size_t len, size_t room)
{
	assert_true(len <= room);
	return read(fd, ret, len);
}

/* Half an id would be the next boot's, too, or another boot's. */
static void test_read_in_portions(void **state)
{
	struct clock_reading whole, r;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(clock_read(&whole, &err), ST_OK);
	for (size_t n = 1; n <= strlen(whole.boot_id) + 1; n++) {
		portion = n;
		assert_int_equal(clock_read(&r, &err), ST_OK);
		portion = 0;
		assert_string_equal(r.boot_id, whole.boot_id);
	}
}

static int64_t slept_ms; /* the machine was suspended for so long */

int clock_gettime(clockid_t id, struct timespec *ret)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ret);

	if (rc == 0 && (id == CLOCK_BOOTTIME || id == CLOCK_REALTIME))
		ret->tv_sec += (time_t)(slept_ms / 1000);
	return rc;
}

/* Caches age while the machine sleeps. */
static void test_suspended(void **state)
{
	struct clock_mark m = mark_at_t0();
	struct clock_reading r;
	struct err err = ERR_INIT;
	char why[200];
	int64_t before;

	(void)state;
	assert_int_equal(clock_read(&m.last, &err), ST_OK);
	before = m.trusted_ms;
	slept_ms = 7 * HOUR;
	assert_int_equal(clock_read(&r, &err), ST_OK);
	slept_ms = 0;
	assert_int_equal(
		clock_advance(&m, &r, GAP, why, sizeof(why)), CLOCK_SANE);
	assert_true(m.trusted_ms - before >= 7 * HOUR);
	assert_true(m.trusted_ms - before < 7 * HOUR + 60000);
}

static void test_text(void **state)
{
	char t[CLOCK_TEXT_MAX];

	(void)state;
	assert_string_equal(
		clock_utc(1795291200000, t), "2026-11-21T20:00:00Z");
	assert_string_equal(clock_utc(0, t), "1970-01-01T00:00:00Z");
	assert_string_equal(clock_utc(-1, t), "1969-12-31T23:59:59Z");
	assert_true(strlen(clock_utc(INT64_MAX, t)) > 0);
	assert_true(strlen(clock_utc(INT64_MIN, t)) > 0);
	assert_string_equal(clock_span(0, t), "00:00:00");
	assert_string_equal(clock_span(999, t), "00:00:00");
	assert_string_equal(clock_span(7384000, t), "02:03:04");
	assert_string_equal(clock_span(93784000, t), "1d 02:03:04");
	assert_string_equal(clock_span(-10000, t), "-00:00:10");
	assert_true(strlen(clock_span(INT64_MIN, t)) > 0);
	assert_true(strlen(clock_span(INT64_MAX, t)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_advance),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_in_portions),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
