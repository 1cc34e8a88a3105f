/*
 * The mail that brings a TLS-RPT report, under hostile input: first only the
 * parts and their decoding, in one go, then as the command reads it. Checked:
 * bounds of every buffer, an end, printable errors.
 */
#include "hook/check/tlsrpt_input.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void parts(const uint8_t *data, size_t size)
{
	static struct src_raw raw;
	static struct mail m;
	struct err err = ERR_INIT;
	bool found = true;
	size_t decoded = 0, n_parts = 0;

	src_raw_init(&raw, -1, data, size, &err);
	mail_init(&m, &raw.s, &err);
	while (mail_next(&m, &found, &err) == ST_OK && found) {
		n_parts++;
		must(n_parts <= size);
		/* every other part is given up after its first octets */
		for (size_t i = 0; n_parts % 2 == 1 || i < 9; i++) {
			if (src_next(&m.body) == SRC_END)
				break;
			decoded++;
		}
		must(m.body.len <= SRC_BUF && m.body.pos <= m.body.len);
		must(m.depth < MAIL_DEPTH_MAX && m.n <= sizeof(m.chunk));
	}
	must(decoded <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tlsrpt_set set = TLSRPT_SET_INIT;
	struct err err = ERR_INIT;

	parts(data, size);
	must(tlsrpt_read_mem(&set, "fuzz", data, size, &err) == ST_OK);
	for (size_t i = 0; i < set.n_bad; i++)
		for (const char *p = set.bad[i].text; *p != '\0'; p++)
			must(*p >= 0x20 && *p < 0x7f);
	must(set.n_reports + set.n_duplicates + set.n_bad > 0);
	tlsrpt_set_release(&set);
	return 0;
}
