/*
 * TLS-RPT as JSON and as gzip, and the TXT record of _smtp._tls. Octet 0 picks:
 * as it is; deflated by us first, so that what inflates is under test too; or
 * as RDATA. Whatever was read goes through totals and both renderings.
 * Checked: sums agree, output is printable, 100 columns, and valid JSON.
 */
#include "hook/check/tlsrpt.h"
#include "hook/check/tlsrpt_txt.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void check_totals(const struct tlsrpt_totals *t)
{
	int64_t failed = 0, in_types = 0;

	for (size_t i = 0; i < t->n_domains; i++) {
		const struct tlsrpt_domain *d = &t->domain[i];
		int64_t in_senders = 0;

		for (size_t j = 0; j < d->n_senders; j++) {
			const struct tlsrpt_sender *s = &d->sender[j];
			int64_t rows = 0;

			for (size_t k = 0; k < s->n_failures; k++)
				rows += s->failure[k].count;
			must(rows == s->failed);
			in_senders += s->failed;
		}
		must(in_senders == d->failed);
		failed += d->failed;
	}
	must(failed == t->failed);
	for (size_t i = 0; i < t->n_types; i++)
		in_types += t->type[i].count;
	must(in_types == t->failed);
}

static void check_text(const char *p)
{
	size_t column = 0, word = 0;

	for (; *p != '\0'; p++) {
		must(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
		column = *p == '\n' ? 0 : column + 1;
		word = *p == '\n' || *p == ' ' ? 0 : word + 1;
		/* a long word is left whole */
		must(column <= 100 || word > 60);
	}
}

static void render(const struct tlsrpt_set *set)
{
	static const char host[][DNS_NAME_MAX] = { "mx1.example.com." };
	struct tlsrpt_rollover r = { .lineage = "mx1",
		.kind = "rollover",
		.at_s = 1795000000,
		.host = host,
		.n_hosts = 1 };
	struct tlsrpt_key key = { .lineage = "mx1", .role = "current" };
	struct tlsrpt_known known = { .any = true,
		.rollover = &r,
		.n_rollovers = 1,
		.key = &key,
		.n_keys = 1 };
	struct buf text = BUF_INIT(TLSRPT_OUT_MAX);
	struct buf json = BUF_INIT(TLSRPT_OUT_MAX);
	struct tlsrpt_totals t;
	struct err err = ERR_INIT;
	json_t *j;

	memset(key.spki.d, 0xab, sizeof(key.spki.d));
	must(tlsrpt_total(set, &known, &t, &err) == ST_OK);
	check_totals(&t);
	must(tlsrpt_text(set, &known, &t, &text, &err) == ST_OK);
	check_text(buf_str(&text));
	must(tlsrpt_json(set, &known, &t, &json, &err) == ST_OK);
	j = json_loads(buf_str(&json), JSON_REJECT_DUPLICATES, NULL);
	must(j != NULL);
	json_decref(j);
	tlsrpt_totals_release(&t);
	buf_release(&text);
	buf_release(&json);
}

static void lint(const uint8_t *data, size_t size)
{
	/* two records, so that MANY is reached */
	uint8_t *copy = malloc(size + 1);
	struct rdata rr[2];
	char why[160];
	enum tlsrpt_txt v;

	must(copy != NULL);
	memcpy(copy, data, size);
	rr[0] = (struct rdata){ .data = copy, .len = size / 2 };
	rr[1] = (struct rdata){ .data = copy + size / 2,
		.len = size - size / 2 };
	for (size_t n = 0; n < 4; n++) {
		v = n < 3 ? tlsrpt_txt_lint(rr, n, why, sizeof(why))
			  : tlsrpt_txt_lint(&(struct rdata){ .data = copy,
						    .len = size },
				    1, why, sizeof(why));
		must((v == TLSRPT_TXT_OK) == (why[0] == '\0'));
		for (const char *p = why; *p != '\0'; p++)
			must(*p >= 0x20 && *p < 0x7f);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t packed[1 << 17];
	struct tlsrpt_set set = TLSRPT_SET_INIT;
	struct err err = ERR_INIT;
	z_stream z = { .next_in = NULL };

	if (size < 1 || size > 1 << 16)
		return 0;
	if (data[0] % 4 == 3) {
		lint(data + 1, size - 1);
		return 0;
	}
	if (data[0] % 4 == 2) {
		must(deflateInit2(&z, 1, Z_DEFLATED, 31, 8,
			     Z_DEFAULT_STRATEGY) == Z_OK);
		z.next_in = (Bytef *)(uintptr_t)(data + 1);
		z.avail_in = (unsigned)size - 1;
		z.next_out = packed;
		z.avail_out = sizeof(packed);
		must(deflate(&z, Z_FINISH) == Z_STREAM_END);
		must(tlsrpt_read_mem(&set, "fuzz", packed, z.total_out, &err) ==
			ST_OK);
		(void)deflateEnd(&z);
	} else {
		must(tlsrpt_read_mem(&set, "fuzz", data + 1, size - 1, &err) ==
			ST_OK);
	}
	must(set.n_reports + set.n_duplicates + set.n_bad == 1);
	render(&set);
	tlsrpt_set_release(&set);
	return 0;
}
