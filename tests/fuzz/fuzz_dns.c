/*
 * Replies of name servers: decoding, signatures, proofs of absence. The first
 * octet picks the question, the second how the reply is made: as the input says
 * it, octet by octet; or put together out of the records of a zone with real
 * signatures, in any order, section and number, with octets changed.
 *
 * Checked, beside bounds: "signed by the zone" is said of nothing but RRsets
 * that the zone really has, whole; "absent" of nothing that is there; "made
 * from a wildcard" of nothing that has a closer name.
 */
#include "hook/dns/codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/dns_fixture.h"

#define LEGIT_MAX 64

/* A record that some fixture has, with its names in full. */
struct legit {
	struct codec_name owner;
	uint16_t type, len;
	enum codec_section section;
	uint8_t rdata[300];
	uint8_t canon[300];
	size_t canon_len;
};

static struct legit legit[LEGIT_MAX];
static size_t n_legit;
static struct codec_zone *zone;
static struct codec_msg msg;

/* All names there are, and the types at them: NS and SOA aside, one each. */
static const struct {
	const char *name;
	uint16_t type[5];
} there[] = {
	{ "example.test.",
		{ RRTYPE_NS, RRTYPE_SOA, RRTYPE_DNSKEY, RRTYPE_NSEC } },
	{ "ns.example.test.", { RRTYPE_A } },
	{ "mx.example.test.", { RRTYPE_A } },
	{ "_tcp.mx.example.test.", { 0 } },
	{ "_25._tcp.mx.example.test.", { RRTYPE_TLSA } },
	{ "w.example.test.", { 0 } },
	{ "*.w.example.test.", { RRTYPE_TLSA } },
};
#define N_THERE (sizeof(there) / sizeof(there[0]))

static const char *const questions[] = { FIX_MX25, FIX_MX, FIX_MX465,
	FIX_WILD25, FIX_ZONE, "w.example.test.", "*.w.example.test.",
	"_tcp.mx.example.test.", "ns.example.test.", "a.example.test.",
	"zz.example.test.", "x._25._tcp.mx.example.test.", "b.w.example.test.",
	"test.", "mx.example.net.", "nsx.example.test." };
#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

static const uint16_t types[] = { RRTYPE_TLSA, RRTYPE_A, RRTYPE_SOA, RRTYPE_MX,
	RRTYPE_CNAME, RRTYPE_DS, RRTYPE_AAAA, RRTYPE_NS };

static struct codec_name name_of(const char *text)
{
	struct codec_name n;

	must(codec_name_set(&n, text));
	return n;
}

static void canon_of(const struct codec_msg *m, const struct codec_rr *rr,
	uint8_t *ret, size_t cap, size_t *ret_len)
{
	uint8_t buf[512];
	const uint8_t *d;

	*ret_len = SIZE_MAX;
	if (codec_rdata_canon(m, rr, buf, sizeof(buf), &d, ret_len) &&
		*ret_len <= cap)
		memcpy(ret, d, *ret_len);
	else
		*ret_len = SIZE_MAX;
}

static void learn(const char *hex)
{
	static uint8_t wire[4096];
	size_t len = fix_hex(hex, wire), end;
	struct codec_name q;

	must(codec_name_read(wire, len, 12, &q, &end));
	must(codec_parse(wire, len, FIX_ID, &q, RRTYPE_TLSA, &msg) ==
		CODEC_REPLY);
	for (size_t i = 0; i < msg.n; i++) {
		struct legit *l = &legit[n_legit];
		const struct codec_rr *rr = &msg.rr[i];

		if (rr->section == CODEC_ADDITIONAL)
			continue;
		must(n_legit < LEGIT_MAX);
		codec_rr_owner(&msg, rr, &l->owner);
		l->type = rr->type;
		l->section = rr->section;
		canon_of(&msg, rr, l->canon, sizeof(l->canon), &l->canon_len);
		must(l->canon_len <= sizeof(l->canon));
		/* of these types no name is compressed but SOA's, and that
		 * is in full in its canonical form */
		l->len = (uint16_t)l->canon_len;
		memcpy(l->rdata, l->canon, l->canon_len);
		n_legit++;
	}
}

static void begin(void)
{
	static const char *const packets[] = { FIX_FOUND, FIX_NODATA,
		FIX_NXDOMAIN, FIX_WILD, FIX_FOUND3, FIX_NODATA3, FIX_NXDOMAIN3,
		FIX_WILD3 };
	static uint8_t key[2][256];
	struct rdata dnskey[2];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < 8; i++)
		learn(packets[i]);
	dnskey[0] = (struct rdata){ key[0], fix_hex(FIX_KEY1, key[0]) };
	dnskey[1] = (struct rdata){ key[1], fix_hex(FIX_KEY2, key[1]) };
	must(codec_zone_new(FIX_ZONE, dnskey, 2, &zone, &err) == ST_OK);
}

/* Does the zone have it, itself or by its wildcard? */
static bool exists(const struct codec_name *name, uint16_t type)
{
	struct codec_name w = name_of("w.example.test.");

	for (size_t i = 0; i < N_THERE; i++) {
		struct codec_name n = name_of(there[i].name);

		if (!codec_name_eq(&n, name))
			continue;
		for (size_t j = 0; j < 5; j++)
			if (there[i].type[j] == type)
				return true;
		return false;
	}
	return type == RRTYPE_TLSA && codec_name_under(name, &w);
}

/* The whole RRset and nothing else, or made from the wildcard. */
static void must_be_legit(const struct codec_msg *m, enum codec_section section,
	const struct codec_name *owner, uint16_t type, unsigned int labels)
{
	struct codec_name w = name_of("w.example.test.");
	bool seen[LEGIT_MAX] = { false }, same[LEGIT_MAX];
	bool wild = labels < codec_name_labels(owner);

	/* of *.w itself the RRSIG counts three as well */
	must(!wild || (labels == 3 && codec_name_under(owner, &w)));
	for (size_t j = 0; j < n_legit; j++)
		same[j] = legit[j].type == type &&
			  (wild ? codec_name_under(&legit[j].owner, &w)
				: codec_name_eq(&legit[j].owner, owner));
	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name o;
		uint8_t d[300];
		size_t len;
		bool known = false;

		codec_rr_owner(m, rr, &o);
		if (rr->section != section || rr->type != type ||
			!codec_name_eq(&o, owner))
			continue;
		canon_of(m, rr, d, sizeof(d), &len);
		for (size_t j = 0; j < n_legit; j++)
			if (same[j] && legit[j].canon_len == len &&
				memcmp(legit[j].canon, d, len) == 0)
				known = seen[j] = true;
		must(known);
	}
	for (size_t j = 0; j < n_legit; j++) {
		bool twin = seen[j];

		for (size_t k = 0; same[j] && k < n_legit; k++)
			twin |= same[k] && seen[k] &&
				legit[k].canon_len == legit[j].canon_len &&
				memcmp(legit[k].canon, legit[j].canon,
					legit[j].canon_len) == 0;
		must(!same[j] || twin);
	}
}

static void wildcard(const struct codec_msg *m, struct codec_verifier *v,
	const struct codec_name *q, unsigned int labels)
{
	struct codec_verdict ret;
	struct codec_name closer;

	codec_verify_wildcard(v, zone, m, q, labels, &ret);
	if (ret.sig != CODEC_SIG_OK)
		return;
	codec_name_tail(q, labels + 1, &closer);
	for (size_t i = 0; i < N_THERE; i++) {
		struct codec_name n = name_of(there[i].name);

		must(!codec_name_under(&n, &closer));
	}
}

/* What is judged is judged the same with a memory of before. */
static void judge(const struct codec_msg *m, const struct codec_name *q)
{
	struct codec_verifier *v;
	struct codec_verdict ret, again;
	struct err err = ERR_INIT;
	struct codec_name o;

	must(codec_verifier_new(FIX_NOW, &v, &err) == ST_OK);
	for (size_t i = 0; i < m->n && i < 12; i++) {
		const struct codec_rr *rr = &m->rr[i];

		if (rr->type == RRTYPE_RRSIG)
			continue;
		codec_rr_owner(m, rr, &o);
		codec_verify(v, zone, m, rr->section, &o, rr->type, &ret);
		must((ret.sig == CODEC_SIG_OK) == (ret.why == NULL));
		codec_verify(v, zone, m, rr->section, &o, rr->type, &again);
		must(ret.sig == again.sig && ret.labels == again.labels);
		if (ret.sig != CODEC_SIG_OK)
			continue;
		must(ret.inception <= FIX_NOW && FIX_NOW <= ret.expiration);
		must_be_legit(m, rr->section, &o, rr->type, ret.labels);
	}
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		codec_verify_absent(v, zone, m, q, types[t], &ret);
		must(ret.sig != CODEC_SIG_OK || !exists(q, types[t]));
	}
	for (unsigned int n = 2; n < codec_name_labels(q); n++)
		wildcard(m, v, q, n);
	codec_verifier_free(v);
}

static void read_all(const struct codec_msg *m, const struct codec_name *q)
{
	struct codec_window w;
	struct codec_soa soa;
	struct codec_name o;
	uint8_t buf[1024];
	char text[DNS_NAME_MAX];
	const uint8_t *d;
	size_t n;

	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];

		must((size_t)rr->rdata + rr->rdlen <= m->len);
		codec_rr_owner(m, rr, &o);
		must(o.len > 0 && o.w[o.len - 1] == 0);
		must(strlen(codec_name_text(&o, text)) < DNS_NAME_MAX);
		if (codec_rdata_canon(m, rr, buf, sizeof(buf), &d, &n)) {
			must(n <= UINT16_MAX);
			for (size_t k = 0; k < n; k++)
				*(volatile uint8_t *)buf ^= d[k];
		}
		(void)codec_soa(m, rr, &soa);
		(void)codec_digest(m, rr->section, &o, rr->type);
		must(codec_find(m, rr->section, &o, rr->type) != NULL);
		w = codec_window_of(m, rr->section, &o, rr->type, FIX_NOW);
		must(!w.timely ||
			(w.inception <= FIX_NOW && FIX_NOW <= w.expiration));
		if (rr->type == RRTYPE_DNSKEY) {
			struct rdata ds = { (uint8_t *)(uintptr_t)m->wire +
						    m->rr[0].rdata,
				m->rr[0].rdlen };

			(void)codec_keytag(m->wire + rr->rdata, rr->rdlen);
			(void)codec_ds_match(
				&ds, q, m->wire + rr->rdata, rr->rdlen);
		}
	}
	(void)codec_window_denial(m, FIX_NOW);
}

/* Any keys that a zone may come with: nothing to be said of the verdicts. */
static void own_keys(const struct codec_msg *m)
{
	struct codec_verifier *v;
	struct codec_verdict ret;
	struct codec_zone *z;
	struct rdata key[8];
	struct codec_name o;
	struct err err = ERR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < m->n && n < 8; i++)
		if (m->rr[i].type == RRTYPE_DNSKEY)
			key[n++] = (struct rdata){
				(uint8_t *)(uintptr_t)m->wire + m->rr[i].rdata,
				m->rr[i].rdlen
			};
	if (n == 0)
		return;
	must(codec_zone_new(FIX_ZONE, key, n, &z, &err) == ST_OK);
	must(codec_verifier_new(FIX_NOW, &v, &err) == ST_OK);
	for (size_t i = 0; i < m->n && i < 4; i++) {
		codec_rr_owner(m, &m->rr[i], &o);
		codec_verify(
			v, z, m, m->rr[i].section, &o, m->rr[i].type, &ret);
	}
	codec_verifier_free(v);
	codec_zone_free(z);
}

struct out {
	uint8_t w[8192];
	size_t n;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (n <= sizeof(o->w) - o->n) {
		memcpy(o->w + o->n, p, n);
		o->n += n;
	}
}

static void put16(struct out *o, unsigned int v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(o, b, 2);
}

/* Whose record it shall be now: op's upper two bits. */
enum owner { OWNER_OWN, OWNER_ASKED, OWNER_OTHER, OWNER_CHANGED };

/* The name asked for, or the own one with a first label of one octet. */
static void put_owner(struct out *o, struct in *in, enum owner how,
	const struct legit *l, const struct codec_name *q)
{
	uint8_t label[2] = { 1, 0 };

	if (how == OWNER_ASKED) {
		put(o, q->w, q->len);
	} else if (how == OWNER_OTHER && l->owner.w[0] > 0) {
		label[1] = in_u8(in);
		put(o, label, 2);
		put(o, l->owner.w + 1 + l->owner.w[0],
			l->owner.len - 1u - l->owner.w[0]);
	} else {
		put(o, l->owner.w, l->owner.len);
	}
}

/* Records by number, under some owner; of one in four an octet is changed. */
static void assemble(struct out *o, struct in *in, const struct codec_name *q)
{
	unsigned int count[2] = { 0, 0 };
	uint8_t rcode = in_u8(in);
	size_t half = in_u8(in) % 16;

	o->n = 0;
	put16(o, FIX_ID);
	put16(o, 0x8400u | (rcode & 15u));
	put16(o, 1);
	put(o, "\0\0\0\0\0\0", 6);
	put(o, q->w, q->len);
	put16(o, RRTYPE_TLSA);
	put16(o, 1);
	for (size_t i = 0; in->n > 0 && i < 24; i++) {
		uint8_t op = in_u8(in);
		const struct legit *l = &legit[(op & 0x3f) % n_legit];
		size_t from = o->n;

		put_owner(o, in, (enum owner)(op >> 6), l, q);
		put16(o, l->type);
		put16(o, 1);
		put(o, "\0\0\x0e\x10", 4);
		put16(o, l->len);
		put(o, l->rdata, l->len);
		if (op >> 6 == OWNER_CHANGED) {
			size_t at = from + in_u8(in);

			if (at < o->n)
				o->w[at] = in_u8(in);
		}
		count[i >= half]++;
	}
	o->w[7] = (uint8_t)count[0];
	o->w[9] = (uint8_t)count[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct out made;
	struct in in = { data, size };
	uint8_t pick = in_u8(&in), how = in_u8(&in);
	struct codec_name q;
	enum codec_match match;
	uint8_t *wire;
	size_t len;

	if (zone == NULL)
		begin();
	q = name_of(questions[pick % N_QUESTIONS]);
	if (how == 'r') {
		wire = exact(in.p, in.n);
		len = in.n;
	} else {
		assemble(&made, &in, &q);
		wire = exact(made.w, made.n);
		len = made.n;
	}
	match = codec_parse(wire, len, FIX_ID, &q, RRTYPE_TLSA, &msg);
	if (match == CODEC_REPLY) {
		must(msg.wire == wire && msg.len <= len);
		must(msg.n <= CODEC_RR_MAX && (!msg.tc || msg.n == 0));
		must(msg.rcode < 4096 && msg.ede >= -1 && msg.ede < 65536);
		read_all(&msg, &q);
		judge(&msg, &q);
		own_keys(&msg);
	}
	free(wire);
	return 0;
}
