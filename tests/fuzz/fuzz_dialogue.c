/*
 * The STARTTLS dialogues under hostile input. Octet 0 picks the protocol,
 * octet 1 the size of the pieces; the rest is what the server says. Checked:
 * bounds, final verdicts, sane output, printable reasons, and that TLS is
 * never agreed to with octets left over or a question unsent.
 */
#include "hook/tls/probe_dialogue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void check(const struct dialogue *d)
{
	must(d->line_len <= DIALOGUE_LINE_MAX);
	must(d->total <= DIALOGUE_TOTAL_MAX + 1);
	must(d->out_sent <= d->out_len && d->out_len < sizeof(d->out));
	must(d->depth >= 0 && d->depth <= 64);
	if (d->out_len > 0 && d->proto != PROTO_LDAP &&
		d->proto != PROTO_XMPP && d->proto != PROTO_XMPP_SERVER)
		must(memcmp(d->out + d->out_len - 2, "\r\n", 2) == 0);
	/* A client that speaks first has only one more thing to say. */
	if (d->proto == PROTO_LDAP)
		must(d->out_len == 31);
	for (const char *p = d->why; *p != '\0'; p++)
		must(*p >= 0x20 && *p < 0x7f);
	must(strlen(d->why) < sizeof(d->why));
	if (d->verdict == DIALOGUE_TLS)
		must(d->out_sent == d->out_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dialogue d;
	enum dialogue_verdict v = DIALOGUE_MORE;
	size_t piece, at = 2;

	if (size < 2)
		return 0;
	piece = (size_t)data[1] + 1;
	dialogue_init(&d, (enum probe_proto)(data[0] % (PROTO_XMPP_SERVER + 1)),
		"[::1]", "mx.example");
	check(&d);
	/* Mostly all is sent before an answer comes. */
	if ((data[0] & 0x80) == 0)
		d.out_sent = d.out_len;
	while (at < size) {
		size_t n = size - at < piece ? size - at : piece;
		enum dialogue_verdict before = v;

		v = dialogue_feed(&d, (const char *)data + at, n);
		check(&d);
		if (before == DIALOGUE_TLS)
			must(v == DIALOGUE_PROTOCOL);
		else if (before != DIALOGUE_MORE)
			must(v == before);
		d.out_sent = d.out_len;
		at += n;
	}
	return 0;
}
