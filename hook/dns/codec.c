/*
 * Queries out, replies in. codec_parse is the only way in for bytes from the
 * network: it walks the whole message once, checks that every name and every
 * length stays inside, and leaves offsets that all later code may trust.
 * Compression pointers must point before the label sequence that holds them,
 * so a walk always ends. A reply counts only with our ID, QR, opcode QUERY and
 * our question (RFC 5452 9.1); the socket sees to the address.
 */
#include "hook/dns/codec.h"

#include <string.h>

#define HEADER_LEN 12
#define FLAG_QR 0x80
#define FLAG_OPCODE 0x78
#define FLAG_AA 0x04
#define FLAG_TC 0x02
#define CLASS_IN 1
#define EDNS_EDE 15
#define RCODE_FORMERR 1
#define RCODE_SERVFAIL 2
#define RCODE_NOTIMP 4
#define RCODE_REFUSED 5

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static uint8_t *put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool codec_name_set(struct codec_name *ret, const char *canon)
{
	struct codec_name n = { .len = 0 };
	const char *s = strcmp(canon, ".") == 0 ? "" : canon;
	size_t out = 0;

	while (*s != '\0') {
		const char *dot = strchr(s, '.');
		size_t len = dot != NULL ? (size_t)(dot - s) : 0;

		if (len == 0 || len > 63 || out + 1 + len + 1 > CODEC_WIRE_MAX)
			return false;
		n.w[out++] = (uint8_t)len;
		for (size_t i = 0; i < len; i++)
			n.w[out++] = lower((uint8_t)s[i]);
		s = dot + 1;
	}
	n.w[out++] = 0;
	n.len = (uint8_t)out;
	*ret = n;
	return true;
}

bool codec_name_read(const uint8_t *wire, size_t len, size_t off,
	struct codec_name *ret, size_t *ret_next)
{
	size_t pos = off, start = off, out = 0, next = 0;

	for (;;) {
		uint8_t c;

		if (pos >= len)
			return false;
		c = wire[pos];
		if ((c & 0xc0) == 0xc0) {
			size_t to;

			if (pos + 1 >= len)
				return false;
			to = (size_t)(get16(wire + pos) & 0x3fff);
			if (to >= start)
				return false;
			if (next == 0)
				next = pos + 2;
			pos = start = to;
			continue;
		}
		if (c > 63 || pos + 1 + c > len ||
			out + 1 + c + (c > 0) > CODEC_WIRE_MAX)
			return false;
		ret->w[out++] = c;
		for (size_t i = 0; i < c; i++)
			ret->w[out++] = lower(wire[pos + 1 + i]);
		pos += 1 + (size_t)c;
		if (c == 0)
			break;
	}
	ret->len = (uint8_t)out;
	if (ret_next != NULL)
		*ret_next = next != 0 ? next : pos;
	return true;
}

bool codec_name_eq(const struct codec_name *a, const struct codec_name *b)
{
	return a->len == b->len && memcmp(a->w, b->w, a->len) == 0;
}

/* Offsets of the labels from the left; returns how many, without the root. */
static unsigned int label_offsets(
	const struct codec_name *n, uint8_t off[static 128])
{
	unsigned int count = 0;

	for (size_t i = 0; n->w[i] != 0; i += 1 + (size_t)n->w[i])
		off[count++] = (uint8_t)i;
	return count;
}

unsigned int codec_name_labels(const struct codec_name *name)
{
	uint8_t off[128];

	return label_offsets(name, off);
}

void codec_name_tail(
	const struct codec_name *name, unsigned int n, struct codec_name *ret)
{
	struct codec_name out = { .len = 0 };
	uint8_t off[128];
	unsigned int count = label_offsets(name, off);
	size_t from = name->len - 1U;

	if (n > 0 && n <= count)
		from = off[count - n];
	else if (n > count)
		from = 0;
	out.len = (uint8_t)(name->len - from);
	memcpy(out.w, name->w + from, out.len);
	*ret = out;
}

bool codec_name_wildcard(const struct codec_name *name, struct codec_name *ret)
{
	struct codec_name out = { .len = 0 };

	if (name->len + 2 > CODEC_WIRE_MAX)
		return false;
	out.len = (uint8_t)(name->len + 2);
	out.w[0] = 1;
	out.w[1] = '*';
	memcpy(out.w + 2, name->w, name->len);
	*ret = out;
	return true;
}

bool codec_name_under(
	const struct codec_name *name, const struct codec_name *zone)
{
	unsigned int n = codec_name_labels(name), z = codec_name_labels(zone);
	struct codec_name tail;

	if (n < z)
		return false;
	codec_name_tail(name, z, &tail);
	return codec_name_eq(&tail, zone);
}

int codec_name_cmp(const struct codec_name *a, const struct codec_name *b)
{
	uint8_t aoff[128], boff[128];
	unsigned int an = label_offsets(a, aoff), bn = label_offsets(b, boff);

	while (an > 0 && bn > 0) {
		const uint8_t *al = a->w + aoff[--an];
		const uint8_t *bl = b->w + boff[--bn];
		size_t min = al[0] < bl[0] ? al[0] : bl[0];
		int c = memcmp(al + 1, bl + 1, min);

		if (c == 0)
			c = (int)al[0] - (int)bl[0];
		if (c != 0)
			return c;
	}
	return (int)an - (int)bn;
}

char *codec_name_text(
	const struct codec_name *name, char ret[static DNS_NAME_MAX])
{
	size_t out = 0;

	for (size_t i = 0; name->w[i] != 0; i += 1 + (size_t)name->w[i]) {
		for (size_t k = 1; k <= name->w[i]; k++) {
			uint8_t c = name->w[i + k];

			ret[out++] = c > 0x20 && c < 0x7f && c != '.' ? (char)c
								      : '?';
		}
		ret[out++] = '.';
	}
	if (out == 0)
		ret[out++] = '.';
	ret[out] = '\0';
	return ret;
}

size_t codec_query(uint8_t ret[static CODEC_QUERY_MAX], uint16_t id,
	const struct codec_name *qname, uint16_t qtype)
{
	uint8_t *p = put16(ret, id);

	p = put16(p, 0); /* QUERY, RD clear */
	p = put16(p, 1); /* one question */
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 1); /* the OPT record */
	memcpy(p, qname->w, qname->len);
	p += qname->len;
	p = put16(p, qtype);
	p = put16(p, CLASS_IN);
	*p++ = 0;
	p = put16(p, RRTYPE_OPT);
	p = put16(p, CODEC_EDNS_SIZE);
	p = put16(p, 0);      /* extended RCODE and version */
	p = put16(p, 0x8000); /* DO */
	p = put16(p, 0);
	return (size_t)(p - ret);
}

/* Some servers leave the question out of an error. */
static bool bare_error(const struct codec_msg *m, const uint8_t *h)
{
	return get16(h + 4) == 0 && get16(h + 6) == 0 && get16(h + 8) == 0 &&
	       (m->rcode == RCODE_FORMERR || m->rcode == RCODE_SERVFAIL ||
		       m->rcode == RCODE_NOTIMP || m->rcode == RCODE_REFUSED);
}

static bool take_question(const struct codec_msg *m,
	const struct codec_name *qname, uint16_t qtype, size_t *off)
{
	struct codec_name name;

	if (get16(m->wire + 4) != 1 ||
		!codec_name_read(m->wire, m->len, HEADER_LEN, &name, off) ||
		*off + 4 > m->len || !codec_name_eq(&name, qname) ||
		get16(m->wire + *off) != qtype ||
		get16(m->wire + *off + 2) != CLASS_IN)
		return false;
	*off += 4;
	return true;
}

static bool take_opt(struct codec_msg *m, const struct codec_rr *rr)
{
	const uint8_t *p = m->wire + rr->rdata, *end = p + rr->rdlen;

	/* A second OPT, or one outside the additional section or off the root,
	 * is an error (RFC 6891 6.1.1). */
	if (rr->section != CODEC_ADDITIONAL || m->wire[rr->owner] != 0 ||
		m->rcode > 15)
		return false;
	m->rcode = (uint16_t)(m->rcode | (rr->ttl >> 24) << 4);
	while (end - p >= 4) {
		uint16_t code = get16(p), len = get16(p + 2);

		p += 4;
		if (end - p < len)
			return false;
		if (code == EDNS_EDE && len >= 2 && m->ede < 0)
			m->ede = get16(p);
		p += len;
	}
	return p == end;
}

static bool take_rr(
	struct codec_msg *m, enum codec_section section, bool *opt, size_t *off)
{
	struct codec_rr rr = { .section = section };
	struct codec_name owner;
	const uint8_t *p;
	size_t at = *off;

	if (!codec_name_read(m->wire, m->len, at, &owner, off) ||
		m->len - *off < 10)
		return false;
	p = m->wire + *off;
	rr.owner = (uint16_t)at;
	rr.type = get16(p);
	rr.ttl = get32(p + 4);
	rr.rdlen = get16(p + 8);
	rr.rdata = (uint16_t)(*off + 10);
	if (m->len - *off - 10 < rr.rdlen)
		return false;
	*off += 10 + (size_t)rr.rdlen;
	if (rr.type == RRTYPE_OPT) {
		if (*opt)
			return false;
		*opt = true;
		return take_opt(m, &rr);
	}
	if (get16(p + 2) != CLASS_IN)
		return false;
	if (rr.ttl > INT32_MAX)
		rr.ttl = 0; /* RFC 2181 8 */
	if (m->n >= CODEC_RR_MAX)
		return false;
	m->rr[m->n++] = rr;
	return true;
}

static bool take_records(struct codec_msg *m, size_t off)
{
	bool opt = false;

	for (unsigned int s = CODEC_ANSWER; s <= CODEC_ADDITIONAL; s++) {
		unsigned int count = get16(m->wire + 6 + 2 * s);

		while (count-- > 0)
			if (!take_rr(m, (enum codec_section)s, &opt, &off))
				return false;
	}
	return true;
}

enum codec_match codec_parse(const uint8_t *wire, size_t len, uint16_t id,
	const struct codec_name *qname, uint16_t qtype, struct codec_msg *ret)
{
	size_t off;

	if (len < HEADER_LEN || len > UINT16_MAX || get16(wire) != id ||
		(wire[2] & (FLAG_QR | FLAG_OPCODE)) != FLAG_QR)
		return CODEC_FOREIGN;
	ret->wire = wire;
	ret->len = len;
	ret->aa = (wire[2] & FLAG_AA) != 0;
	ret->tc = (wire[2] & FLAG_TC) != 0;
	ret->rcode = wire[3] & 15;
	ret->ede = -1;
	ret->n = 0;
	if (bare_error(ret, wire))
		return CODEC_REPLY;
	if (!take_question(ret, qname, qtype, &off))
		return CODEC_FOREIGN;
	/* A truncated message may end anywhere and is only a hint to use TCP.
	 */
	if (ret->tc)
		return CODEC_REPLY;
	return take_records(ret, off) ? CODEC_REPLY : CODEC_BROKEN;
}

void codec_rr_owner(const struct codec_msg *m, const struct codec_rr *rr,
	struct codec_name *ret)
{
	if (!codec_name_read(m->wire, m->len, rr->owner, ret, NULL))
		*ret = (struct codec_name){ .len = 1, .w = { 0 } };
}

const struct codec_rr *codec_find(const struct codec_msg *m,
	enum codec_section section, const struct codec_name *owner,
	uint16_t type)
{
	for (size_t i = 0; i < m->n; i++) {
		struct codec_name name;

		if (m->rr[i].section != section || m->rr[i].type != type)
			continue;
		codec_rr_owner(m, &m->rr[i], &name);
		if (codec_name_eq(&name, owner))
			return &m->rr[i];
	}
	return NULL;
}

bool codec_soa(const struct codec_msg *m, const struct codec_rr *rr,
	struct codec_soa *ret)
{
	struct codec_name name;
	size_t off = rr->rdata, end = off + rr->rdlen;

	if (!codec_name_read(m->wire, end, off, &name, &off) ||
		!codec_name_read(m->wire, end, off, &name, &off) ||
		end - off != 20)
		return false;
	ret->serial = get32(m->wire + off);
	ret->refresh = get32(m->wire + off + 4);
	ret->retry = get32(m->wire + off + 8);
	ret->minimum = get32(m->wire + off + 16);
	return true;
}
