/* Under valgrind everything takes many times as long: tests/valgrind says so,
 * and limits on time give way. */
#ifndef DANELAW_TEST_SLOW_H
#define DANELAW_TEST_SLOW_H

#include <stdlib.h>

static inline unsigned slow(unsigned limit)
{
	return getenv("TEST_SLOW") != NULL ? 8 * limit : limit;
}

#endif
