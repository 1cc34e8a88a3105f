/*
 * RDATA out of parsed messages: its canonical form, digests to compare the
 * answers of servers with, what RRSIGs claim about time, and DS against DNSKEY.
 * Nothing here verifies a signature: what comes from a zone that is bogus can
 * still be told from what should be there. (RFC 4034 3.1.5, 5.1.4, 6.2, B)
 */
#include "hook/dns/codec.h"

#include <openssl/evp.h>

#define RRTYPE_PTR 12
#define RRTYPE_SRV 33
#define RRSIG_FIXED 18
#define SIGS_MAX 32 /* of one denial; honest ones have ten at most */
#define KEY_ZONE 0x0100
#define KEY_REVOKE 0x0080

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* Octets before the names, and how many names: 0 for all other types. */
static unsigned int names_of(uint16_t type, size_t *ret_before)
{
	*ret_before = 0;
	switch (type) {
	case RRTYPE_NS:
	case RRTYPE_CNAME:
	case RRTYPE_PTR:
	case RRTYPE_DNAME:
		return 1;
	case RRTYPE_MX:
		*ret_before = 2;
		return 1;
	case RRTYPE_SRV:
		*ret_before = 6;
		return 1;
	case RRTYPE_SOA:
		return 2;
	default:
		return 0;
	}
}

bool codec_rdata_canon(const struct codec_msg *m, const struct codec_rr *rr,
	uint8_t *buf, size_t cap, const uint8_t **ret, size_t *ret_len)
{
	size_t off = rr->rdata, end = off + rr->rdlen, len, rest;
	unsigned int names = names_of(rr->type, &len);
	struct codec_name name;

	if (names == 0) {
		*ret = m->wire + off;
		*ret_len = rr->rdlen;
		return true;
	}
	if (len > rr->rdlen || len > cap)
		return false;
	memcpy(buf, m->wire + off, len);
	off += len;
	for (; names > 0; names--) {
		if (!codec_name_read(m->wire, end, off, &name, &off) ||
			name.len > cap - len)
			return false;
		memcpy(buf + len, name.w, name.len);
		len += name.len;
	}
	rest = end - off;
	if (rest != (rr->type == RRTYPE_SOA ? 20 : 0) || rest > cap - len)
		return false;
	memcpy(buf + len, m->wire + off, rest);
	*ret = buf;
	*ret_len = len + rest;
	return true;
}

static uint64_t mix(uint64_t h, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3U;
	return h;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A hash of the sorted hashes of its records, each one once. */
uint64_t codec_digest(const struct codec_msg *m, enum codec_section section,
	const struct codec_name *owner, uint16_t type)
{
	uint64_t each[CODEC_RR_MAX], h = 0xcbf29ce484222325U;
	uint8_t buf[2 * CODEC_WIRE_MAX + 20];
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct codec_name name;
		const uint8_t *d;
		size_t len;

		if (m->rr[i].section != section || m->rr[i].type != type)
			continue;
		codec_rr_owner(m, &m->rr[i], &name);
		if (!codec_name_eq(&name, owner))
			continue;
		if (!codec_rdata_canon(
			    m, &m->rr[i], buf, sizeof(buf), &d, &len)) {
			d = m->wire + m->rr[i].rdata;
			len = m->rr[i].rdlen;
		}
		each[n++] = mix(0xcbf29ce484222325U, d, len);
	}
	if (n == 0)
		return 0;
	qsort(each, n, sizeof(each[0]), by_value);
	h = (h ^ type) * 0x100000001b3U;
	for (size_t i = 0; i < n; i++)
		if (i == 0 || each[i] != each[i - 1])
			h = mix(h, (const uint8_t *)&each[i], sizeof(each[i]));
	return h != 0 ? h : 1;
}

static bool rrsig_window(const struct codec_msg *m, const struct codec_rr *rr,
	int64_t now_s, struct codec_window *ret)
{
	const uint8_t *d = m->wire + rr->rdata;

	if (rr->type != RRTYPE_RRSIG || rr->rdlen < RRSIG_FIXED)
		return false;
	/* Serial arithmetic around now (RFC 4034 3.1.5). */
	ret->expiration = now_s + (int32_t)(get32(d + 8) - (uint32_t)now_s);
	ret->inception = now_s + (int32_t)(get32(d + 12) - (uint32_t)now_s);
	ret->timely = ret->inception <= now_s && now_s <= ret->expiration;
	return true;
}

struct codec_window codec_window_of(const struct codec_msg *m,
	enum codec_section section, const struct codec_name *owner,
	uint16_t type, int64_t now_s)
{
	struct codec_window best = { .timely = false }, w;

	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name name;

		if (rr->section != section || !rrsig_window(m, rr, now_s, &w) ||
			get16(m->wire + rr->rdata) != type)
			continue;
		codec_rr_owner(m, rr, &name);
		if (!codec_name_eq(&name, owner))
			continue;
		if (best.expiration == 0 || w.timely > best.timely ||
			(w.timely == best.timely &&
				w.expiration > best.expiration))
			best = w;
	}
	return best;
}

struct codec_window codec_window_denial(
	const struct codec_msg *m, int64_t now_s)
{
	struct codec_window worst = { .timely = false };
	unsigned int seen = 0;

	for (size_t i = 0; i < m->n && seen < SIGS_MAX; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name owner;
		struct codec_window w;

		if (rr->section != CODEC_AUTHORITY ||
			rr->type != RRTYPE_RRSIG || rr->rdlen < RRSIG_FIXED)
			continue;
		seen++;
		codec_rr_owner(m, rr, &owner);
		w = codec_window_of(m, CODEC_AUTHORITY, &owner,
			get16(m->wire + rr->rdata), now_s);
		if (worst.expiration == 0 || w.timely < worst.timely ||
			(w.timely == worst.timely &&
				w.expiration < worst.expiration))
			worst = w;
	}
	return worst;
}

uint16_t codec_keytag(const uint8_t *dnskey, size_t len)
{
	uint32_t sum = 0;

	/* RSA/MD5: from the modulus (RFC 4034 B.1). */
	if (len >= 7 && dnskey[3] == 1)
		return get16(dnskey + len - 3);
	for (size_t i = 0; i < len; i++)
		sum += (i & 1) != 0 ? dnskey[i] : (uint32_t)dnskey[i] << 8;
	return (uint16_t)(sum + (sum >> 16));
}

static const EVP_MD *ds_digest(uint8_t type)
{
	switch (type) {
	case 1:
		return EVP_sha1();
	case 2:
		return EVP_sha256();
	case 4:
		return EVP_sha384();
	default:
		return NULL;
	}
}

bool codec_ds_match(const struct rdata *ds, const struct codec_name *zone,
	const uint8_t *dnskey, size_t len)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	const EVP_MD *type;
	unsigned int md_len = 0;
	EVP_MD_CTX *ctx;
	bool ok;

	if (ds->len < 5 || len < 5 ||
		get16(ds->data) != codec_keytag(dnskey, len) ||
		ds->data[2] != dnskey[3] ||
		(get16(dnskey) & (KEY_ZONE | KEY_REVOKE)) != KEY_ZONE)
		return false;
	type = ds_digest(ds->data[3]);
	if (type == NULL)
		return true;
	ctx = EVP_MD_CTX_new();
	ok = ctx != NULL && EVP_DigestInit_ex(ctx, type, NULL) == 1 &&
	     EVP_DigestUpdate(ctx, zone->w, zone->len) == 1 &&
	     EVP_DigestUpdate(ctx, dnskey, len) == 1 &&
	     EVP_DigestFinal_ex(ctx, md, &md_len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok && ds->len == 4U + md_len &&
	       memcmp(ds->data + 4, md, md_len) == 0;
}
