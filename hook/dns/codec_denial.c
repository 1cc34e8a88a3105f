/*
 * Proofs of absence. A denial is believed only when signed NSEC or NSEC3
 * records of the zone show that neither the name's RRset nor a CNAME nor a
 * wildcard that would answer in their place exists. NODATA and NXDOMAIN prove
 * the same thing here: no TLSA records. Records count only after their own
 * RRSIG verified; everything else in the authority section is not there.
 * (RFC 4035 5.4, RFC 5155 8, RFC 4592, RFC 9276 3.2, RFC 9824)
 */
#include "hook/dns/codec.h"

#include <string.h>

#include <ldns/ldns.h>

#define PROOFS_MAX 8       /* NSEC records looked at in one message */
#define ITERATIONS_MAX 150 /* validators give up above that, too */
#define HASH_LEN LDNS_SHA1_DIGEST_LENGTH
#define HASH_TEXT 32 /* base32hex of HASH_LEN octets */
#define NSEC3_SHA1 1
#define NSEC3_OPTOUT 1
#define NSEC3_FIXED 5

struct nsec {
	struct codec_name owner, next;
	const uint8_t *types;
	size_t types_len;
};

struct nsec3 {
	uint8_t owner[HASH_LEN], next[HASH_LEN];
	bool optout;
	const uint8_t *types;
	size_t types_len;
};

struct proof {
	size_t n, n3;
	struct nsec nsec[PROOFS_MAX];
	struct nsec3 nsec3[PROOFS_MAX];
	const uint8_t *salt; /* the same for all NSEC3 of a reply */
	uint8_t salt_len;
	uint16_t iterations;
	/* the worst that was seen on the way, for the message */
	struct codec_verdict worst;
	int64_t inception, expiration;
	const char *why;
};

static bool types_valid(const uint8_t *p, size_t len)
{
	int last = -1;

	while (len >= 2) {
		size_t n = p[1];

		if (p[0] <= last || n < 1 || n > 32 || len < 2 + n)
			return false;
		last = p[0];
		p += 2 + n;
		len -= 2 + n;
	}
	return len == 0;
}

static bool types_has(const uint8_t *p, size_t len, uint16_t type)
{
	for (; len >= 2; len -= 2 + (size_t)p[1], p += 2 + (size_t)p[1])
		if (p[0] == type >> 8)
			return (type & 0xff) / 8 < p[1] &&
			       (p[2 + (type & 0xff) / 8] &
				       0x80 >> (type & 7)) != 0;
	return false;
}

/* The RRset is not there, and nothing that would stand in for it: a CNAME, or
 * a delegation (then the answer is not this zone's to give). */
static bool types_deny(const uint8_t *p, size_t len, uint16_t qtype)
{
	return !types_has(p, len, qtype) && !types_has(p, len, RRTYPE_CNAME) &&
	       (!types_has(p, len, RRTYPE_NS) || types_has(p, len, RRTYPE_SOA));
}

/* Names below this one belong to somebody else. */
static bool types_cut(const uint8_t *p, size_t len)
{
	return types_has(p, len, RRTYPE_DNAME) ||
	       (types_has(p, len, RRTYPE_NS) && !types_has(p, len, RRTYPE_SOA));
}

static bool base32hex(const uint8_t *text, uint8_t ret[static HASH_LEN])
{
	uint64_t bits = 0;
	unsigned int have = 0;
	size_t out = 0;

	for (size_t i = 0; i < HASH_TEXT; i++) {
		uint8_t c = text[i], v;

		if (c >= '0' && c <= '9')
			v = (uint8_t)(c - '0');
		else if (c >= 'a' && c <= 'v')
			v = (uint8_t)(c - 'a' + 10);
		else
			return false;
		bits = bits << 5 | v;
		have += 5;
		if (have >= 8) {
			have -= 8;
			ret[out++] = (uint8_t)(bits >> have);
		}
	}
	return out == HASH_LEN;
}

static bool take_nsec(struct proof *p, const struct codec_msg *m,
	const struct codec_rr *rr, const struct codec_name *owner)
{
	struct nsec *n = &p->nsec[p->n];
	size_t off, end = (size_t)rr->rdata + rr->rdlen;

	if (!codec_name_read(m->wire, end, rr->rdata, &n->next, &off))
		return false;
	n->owner = *owner;
	n->types = m->wire + off;
	n->types_len = end - off;
	if (!types_valid(n->types, n->types_len))
		return false;
	p->n++;
	return true;
}

static bool take_nsec3(struct proof *p, const struct codec_msg *m,
	const struct codec_rr *rr, const struct codec_name *owner)
{
	struct nsec3 *n = &p->nsec3[p->n3];
	const uint8_t *d = m->wire + rr->rdata;
	size_t len = rr->rdlen, at;
	uint16_t iterations;

	if (len < NSEC3_FIXED || d[0] != NSEC3_SHA1 ||
		owner->w[0] != HASH_TEXT || !base32hex(owner->w + 1, n->owner))
		return false;
	iterations = (uint16_t)(d[2] << 8 | d[3]);
	if (iterations > ITERATIONS_MAX) {
		p->why = "the zone's NSEC3 iterations are more than 150";
		return false;
	}
	at = NSEC3_FIXED + (size_t)d[4];
	if (len < at + 1 + HASH_LEN || d[at] != HASH_LEN)
		return false;
	if (p->n3 > 0 && (iterations != p->iterations || d[4] != p->salt_len ||
				 memcmp(d + NSEC3_FIXED, p->salt, d[4]) != 0))
		return false;
	memcpy(n->next, d + at + 1, HASH_LEN);
	n->optout = (d[1] & NSEC3_OPTOUT) != 0;
	n->types = d + at + 1 + HASH_LEN;
	n->types_len = len - at - 1 - HASH_LEN;
	if (!types_valid(n->types, n->types_len))
		return false;
	p->iterations = iterations;
	p->salt = d + NSEC3_FIXED;
	p->salt_len = d[4];
	p->n3++;
	return true;
}

static void note_window(struct proof *p, const struct codec_verdict *v)
{
	if (p->expiration == 0 || v->expiration < p->expiration) {
		p->inception = v->inception;
		p->expiration = v->expiration;
	}
}

/* All NSEC and NSEC3 of the authority section whose RRSIG is good. */
static void gather(struct proof *p, struct codec_verifier *v,
	const struct codec_zone *z, const struct codec_msg *m)
{
	unsigned int seen = 0;

	*p = (struct proof){ .why = "no signed proof (NSEC, NSEC3) with it" };
	p->worst.sig = CODEC_SIG_OK;
	for (size_t i = 0; i < m->n && seen < PROOFS_MAX; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_verdict verdict;
		struct codec_name owner;

		if (rr->section != CODEC_AUTHORITY ||
			(rr->type != RRTYPE_NSEC && rr->type != RRTYPE_NSEC3))
			continue;
		seen++;
		codec_rr_owner(m, rr, &owner);
		if (!codec_name_under(&owner, codec_zone_apex(z)))
			continue;
		codec_verify(
			v, z, m, CODEC_AUTHORITY, &owner, rr->type, &verdict);
		/* A proof record made from a wildcard proves nothing. */
		if (verdict.sig == CODEC_SIG_OK &&
			verdict.labels + (owner.w[0] == 1 &&
						 owner.w[1] == '*') !=
				codec_name_labels(&owner))
			continue;
		if (verdict.sig != CODEC_SIG_OK) {
			p->worst = verdict;
			continue;
		}
		if (rr->type == RRTYPE_NSEC ? take_nsec(p, m, rr, &owner)
					    : take_nsec3(p, m, rr, &owner))
			note_window(p, &verdict);
	}
	if (p->n + p->n3 > 0)
		p->why = "the signed records do not prove the absence";
}

static const struct nsec *nsec_match(
	const struct proof *p, const struct codec_name *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (codec_name_eq(&p->nsec[i].owner, name))
			return &p->nsec[i];
	return NULL;
}

/* owner < name < next; the last one points back to the apex. */
static const struct nsec *nsec_cover(const struct proof *p,
	const struct codec_name *name, const struct codec_name *apex)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct nsec *n = &p->nsec[i];

		if (codec_name_cmp(&n->owner, name) < 0 &&
			(codec_name_eq(&n->next, apex) ||
				codec_name_cmp(name, &n->next) < 0) &&
			!(codec_name_under(name, &n->owner) &&
				types_cut(n->types, n->types_len)))
			return n;
	}
	return NULL;
}

/* How many labels from the right two names share. */
static unsigned int shared_labels(
	const struct codec_name *a, const struct codec_name *b)
{
	unsigned int an = codec_name_labels(a), bn = codec_name_labels(b);
	unsigned int n = an < bn ? an : bn;

	for (; n > 0; n--) {
		struct codec_name at, bt;

		codec_name_tail(a, n, &at);
		codec_name_tail(b, n, &bt);
		if (codec_name_eq(&at, &bt))
			break;
	}
	return n;
}

static bool nsec_proves(const struct proof *p, const struct codec_name *apex,
	const struct codec_name *qname, uint16_t qtype)
{
	const struct nsec *n = nsec_match(p, qname), *wild;
	struct codec_name encloser;
	unsigned int a, b;

	if (n != NULL)
		return types_deny(n->types, n->types_len, qtype);
	n = nsec_cover(p, qname, apex);
	if (n == NULL)
		return false;
	/* An empty non-terminal: something exists below it, nothing at it. */
	if (codec_name_under(&n->next, qname))
		return true;
	a = shared_labels(qname, &n->owner);
	b = shared_labels(qname, &n->next);
	codec_name_tail(qname, a > b ? a : b, &encloser);
	if (!codec_name_wildcard(&encloser, &encloser))
		return true; /* too long to exist */
	wild = nsec_match(p, &encloser);
	if (wild != NULL)
		return types_deny(wild->types, wild->types_len, qtype);
	return nsec_cover(p, &encloser, apex) != NULL;
}

static void nsec3_hash(const struct proof *p, const struct codec_name *name,
	uint8_t ret[static HASH_LEN])
{
	uint8_t in[CODEC_WIRE_MAX + 255];
	size_t len = name->len;

	memcpy(in, name->w, len);
	for (unsigned int i = 0; i <= p->iterations; i++) {
		if (i > 0) {
			memcpy(in, ret, HASH_LEN);
			len = HASH_LEN;
		}
		memcpy(in + len, p->salt, p->salt_len);
		(void)ldns_sha1(in, (unsigned int)(len + p->salt_len), ret);
	}
}

static const struct nsec3 *nsec3_match(
	const struct proof *p, const struct codec_name *name)
{
	uint8_t hash[HASH_LEN];

	nsec3_hash(p, name, hash);
	for (size_t i = 0; i < p->n3; i++)
		if (memcmp(p->nsec3[i].owner, hash, HASH_LEN) == 0)
			return &p->nsec3[i];
	return NULL;
}

static const struct nsec3 *nsec3_cover(
	const struct proof *p, const struct codec_name *name)
{
	uint8_t hash[HASH_LEN];

	nsec3_hash(p, name, hash);
	for (size_t i = 0; i < p->n3; i++) {
		const struct nsec3 *n = &p->nsec3[i];
		bool after = memcmp(n->owner, hash, HASH_LEN) < 0;
		bool before = memcmp(hash, n->next, HASH_LEN) < 0;
		bool last = memcmp(n->owner, n->next, HASH_LEN) >= 0;

		if (last ? (after || before) &&
					memcmp(n->owner, hash, HASH_LEN) != 0
			 : after && before)
			return n;
	}
	return NULL;
}

static bool nsec3_proves(const struct proof *p, const struct codec_name *apex,
	const struct codec_name *qname, uint16_t qtype)
{
	unsigned int low = codec_name_labels(apex);
	const struct nsec3 *n = nsec3_match(p, qname), *cover;
	struct codec_name encloser, closer;

	if (n != NULL)
		return types_deny(n->types, n->types_len, qtype);
	closer = *qname;
	for (unsigned int k = codec_name_labels(qname); k > low; k--) {
		codec_name_tail(qname, k - 1, &encloser);
		n = nsec3_match(p, &encloser);
		if (n != NULL)
			break;
		closer = encloser;
	}
	if (n == NULL || types_cut(n->types, n->types_len))
		return false;
	cover = nsec3_cover(p, &closer);
	if (cover == NULL)
		return false;
	if (!codec_name_wildcard(&encloser, &encloser))
		return true; /* too long to exist */
	n = nsec3_match(p, &encloser);
	if (n != NULL)
		return types_deny(n->types, n->types_len, qtype);
	/* An empty non-terminal that only leads to unsigned delegations has no
	 * NSEC3 of its own and no wildcard proof (RFC 5155 7.2.4, 6). */
	return cover->optout || nsec3_cover(p, &encloser) != NULL;
}

static void settle(
	const struct proof *p, bool proven, struct codec_verdict *ret)
{
	*ret = (struct codec_verdict){
		.sig = CODEC_SIG_OK,
		.inception = p->inception,
		.expiration = p->expiration,
	};
	if (proven)
		return;
	*ret = p->worst;
	if (ret->sig == CODEC_SIG_OK) {
		ret->sig = p->n + p->n3 > 0 || p->worst.why != NULL
				   ? CODEC_SIG_BAD
				   : CODEC_SIG_NONE;
		ret->why = p->why;
	}
}

void codec_verify_absent(struct codec_verifier *v, const struct codec_zone *z,
	const struct codec_msg *m, const struct codec_name *qname,
	uint16_t qtype, struct codec_verdict *ret)
{
	const struct codec_name *apex = codec_zone_apex(z);
	struct proof p;

	gather(&p, v, z, m);
	settle(&p,
		(p.n > 0 && nsec_proves(&p, apex, qname, qtype)) ||
			(p.n3 > 0 && nsec3_proves(&p, apex, qname, qtype)),
		ret);
}

void codec_verify_wildcard(struct codec_verifier *v, const struct codec_zone *z,
	const struct codec_msg *m, const struct codec_name *qname,
	unsigned int labels, struct codec_verdict *ret)
{
	struct codec_name closer;
	struct proof p;
	bool proven = false;

	gather(&p, v, z, m);
	codec_name_tail(qname, labels + 1, &closer);
	if (p.n > 0) {
		const struct nsec *n =
			nsec_cover(&p, qname, codec_zone_apex(z));

		/* Nothing at or below the next closer name. */
		proven = n != NULL && !codec_name_under(&n->next, &closer) &&
			 !codec_name_under(&n->owner, &closer);
	}
	if (!proven && p.n3 > 0)
		proven = nsec3_cover(&p, &closer) != NULL;
	settle(&p, proven, ret);
}
