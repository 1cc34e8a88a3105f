/* Key names: compare, print, parse. */
#include "hook/base/spki.h"

#include <stddef.h>
#include <string.h>

static const struct spki empty_digest = { {
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
} };

bool spki_eq(const struct spki *a, const struct spki *b)
{
	return memcmp(a->d, b->d, SPKI_LEN) == 0;
}

bool spki_is_none(const struct spki *s)
{
	static const struct spki none;

	return spki_eq(s, &none);
}

bool spki_is_empty_digest(const struct spki *s)
{
	return spki_eq(s, &empty_digest);
}

char *spki_hex(const struct spki *s, char ret[static SPKI_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SPKI_LEN; i++) {
		ret[2 * i] = digits[s->d[i] >> 4];
		ret[2 * i + 1] = digits[s->d[i] & 15];
	}
	ret[2 * SPKI_LEN] = '\0';
	return ret;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool spki_parse(const char *hex, struct spki *ret)
{
	struct spki s;

	if (strlen(hex) != 2 * SPKI_LEN)
		return false;
	for (size_t i = 0; i < SPKI_LEN; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		s.d[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret = s;
	return true;
}
