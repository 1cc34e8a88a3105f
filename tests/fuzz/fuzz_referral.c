/*
 * What servers of a parent say about a delegation, and what the packet behind a
 * resolver's answer tells. The first octet picks the question. Checked: names
 * are canonical, glue belongs to them, reasons are printable, and the hint is
 * a zone that the name is in.
 */
#include "hook/dns/codec.h"
#include "hook/dns/codec_referral.h"
#include "hook/dns/resolver_int.h"
#include "tests/fuzz/fuzz.h"

#define ID 0x1234

static const char *const names[] = { "_25._tcp.mx.example.test.",
	"mx.example.test.", "example.test.", "test.", ".",
	"_25._tcp.a.w.example.test." };
#define N_NAMES (sizeof(names) / sizeof(names[0]))

static void must_canon(const char *name)
{
	char canon[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	must(strcmp(name, ".") == 0 ||
		(name_canon(name, canon, &err) == ST_OK &&
			strcmp(name, canon) == 0));
}

static void must_print(const char *text, size_t size)
{
	must(memchr(text, '\0', size) != NULL);
	for (; *text != '\0'; text++)
		must((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void referral(const uint8_t *wire, size_t len, const char *zone)
{
	struct referral r = { .n = 0 };
	char why[256] = "";

	switch (codec_referral_parse(
		wire, len, zone, ID, &r, why, sizeof(why))) {
	case REFERRAL_OK:
		must(r.n > 0 && r.n <= REFERRAL_NAMES_MAX);
		must(r.n_glue <= REFERRAL_GLUE_MAX);
		for (size_t i = 0; i < r.n; i++)
			must_canon(r.name[i]);
		for (size_t i = 0; i < r.n_glue; i++) {
			bool known = false;

			must(r.glue[i].len == 4 || r.glue[i].len == 16);
			for (size_t j = 0; j < r.n; j++)
				known |= strcmp(r.name[j], r.glue[i].name) == 0;
			must(known);
		}
		break;
	case REFERRAL_USELESS:
		must(why[0] != '\0');
		must_print(why, sizeof(why));
		break;
	case REFERRAL_TRUNCATED:
	case REFERRAL_FOREIGN:
		break;
	}
	referral_release(&r);
}

static void packet(
	const uint8_t *wire, size_t len, const char *name, uint16_t type)
{
	struct lookup l = { .type = type,
		.security = DNS_SECURE,
		.havedata = true,
		.ede = -1 };
	char hint[DNS_NAME_MAX];

	for (int validated = 0; validated < 2; validated++) {
		codec_zone_hint(wire, len, name, type, validated, hint);
		if (hint[0] == '\0')
			continue;
		must_canon(hint);
		must(name_is_under(name, hint));
	}
	(void)snprintf(l.name, sizeof(l.name), "%s", name);
	(void)snprintf(l.canon, sizeof(l.canon), "%s", name);
	lookup_packet(&l, wire, len);
	must(l.ede >= -1 && l.ede < 65536);
	lookup_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };
	uint8_t pick = in_u8(&in);
	const char *name = names[pick % N_NAMES];
	uint8_t *wire = exact(in.p, in.n);

	if (strcmp(name, ".") != 0)
		referral(wire, in.n, name);
	packet(wire, in.n, name, RRTYPE_TLSA);
	packet(wire, in.n, name, RRTYPE_NS);
	free(wire);
	return 0;
}
