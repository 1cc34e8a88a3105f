/*
 * RRSIG verification against a zone's validated keys. The signed data is put
 * together here, straight from a parsed message (RFC 4034 3.1.8.1 and 6); ldns
 * turns DNSKEYs into public keys and does the mathematics, so every length it
 * sees was checked before. A verifier keeps a SHA-256 of all that it has
 * judged: the same RRset from the next server is not judged twice.
 * Work is bounded per RRset, so a reply stuffed with signatures cannot burn
 * the processor (KeyTrap, CVE-2023-50387).
 */
#include "hook/dns/codec.h"

#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

#define RRSET_MAX 520     /* records of one RRset */
#define TRIES_MAX 8       /* cryptographic operations for one RRset */
#define SIGNED_MAX 262144 /* octets of signed data */
#define NAMES_MAX 65536   /* octets of RDATA with names in one RRset */
#define RRSIG_FIXED 18
#define KEY_ZONE 0x0100
#define KEY_REVOKE 0x0080
#define KEY_PROTOCOL 3

struct zone_key {
	uint16_t tag;
	uint8_t algorithm;
	EVP_PKEY *pkey;   /* ECDSA, EdDSA */
	const EVP_MD *md; /* NULL for EdDSA */
	uint8_t *rsa;     /* as in the DNSKEY */
	size_t rsa_len;
};

struct codec_zone {
	struct codec_name apex;
	size_t n;
	struct zone_key key[];
};

struct memo {
	uint8_t hash[LDNS_SHA256_DIGEST_LENGTH];
	bool used, good;
};

struct codec_verifier {
	int64_t now_s;
	size_t work;
	struct memo *memo; /* open addressing, size a power of two */
	size_t memo_n, memo_size;
	ldns_buffer *buf;
	uint8_t names[NAMES_MAX]; /* RDATA that had to be expanded */
	size_t len; /* of data; starts with the zone key's address */
	uint8_t data[SIGNED_MAX];
};

struct rrsig {
	uint16_t covered, tag;
	uint8_t algorithm, labels;
	const uint8_t *fixed; /* RRSIG_FIXED octets */
	uint32_t original_ttl;
	int64_t inception, expiration;
	const uint8_t *sig;
	size_t siglen;
};

/* One record's RDATA in canonical form. */
struct canon {
	const uint8_t *d;
	uint16_t len;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* RFC 3110 2: a length, the exponent, and the modulus behind it. */
static bool rsa_shape(const uint8_t *key, size_t len)
{
	size_t at = 1, exponent;

	if (len < 3 || len > 2048)
		return false;
	exponent = key[0];
	if (exponent == 0) {
		exponent = get16(key + 1);
		at = 3;
	}
	return exponent > 0 && len > at + exponent;
}

static bool is_rsa(uint8_t algorithm)
{
	return algorithm == LDNS_RSASHA1 || algorithm == LDNS_RSASHA1_NSEC3 ||
	       algorithm == LDNS_RSASHA256 || algorithm == LDNS_RSASHA512;
}

/* An elliptic curve's key is turned into OpenSSL's once, because that costs as
 * much as a verification; RSA's is cheap. Unknown algorithms leave both NULL.
 */
static bool key_load(struct zone_key *k, const uint8_t *key, size_t len)
{
	if (is_rsa(k->algorithm) && rsa_shape(key, len)) {
		k->rsa = malloc(len);
		if (k->rsa == NULL)
			return false;
		memcpy(k->rsa, key, len);
		k->rsa_len = len;
	}
	switch (k->algorithm) {
	case LDNS_ECDSAP256SHA256:
	case LDNS_ECDSAP384SHA384:
		if (len == (k->algorithm == LDNS_ECDSAP256SHA256 ? 64 : 96))
			k->pkey = ldns_ecdsa2pkey_raw(key, len, k->algorithm);
		k->md = k->algorithm == LDNS_ECDSAP256SHA256 ? EVP_sha256()
							     : EVP_sha384();
		break;
	case LDNS_ED25519:
		if (len == 32)
			k->pkey = ldns_ed255192pkey_raw(key, len);
		break;
	case LDNS_ED448:
		if (len == 57)
			k->pkey = ldns_ed4482pkey_raw(key, len);
		break;
	}
	return true;
}

enum status codec_zone_new(const char *zone, const struct rdata *dnskey,
	size_t n, struct codec_zone **ret, struct err *err)
{
	struct codec_zone *z = calloc(1, sizeof(*z) + n * sizeof(z->key[0]));

	if (z == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (!codec_name_set(&z->apex, zone)) {
		free(z);
		return err_set(err, ST_BUG, "not a zone name: %s", zone);
	}
	for (size_t i = 0; i < n; i++) {
		const uint8_t *d = dnskey[i].data;
		size_t len = dnskey[i].len;
		struct zone_key *k = &z->key[z->n];

		if (len < 5 || len > UINT16_MAX || d[2] != KEY_PROTOCOL ||
			(get16(d) & (KEY_ZONE | KEY_REVOKE)) != KEY_ZONE)
			continue;
		k->tag = ldns_calc_keytag_raw(d, len);
		k->algorithm = d[3];
		z->n++;
		if (!key_load(k, d + 4, len - 4)) {
			codec_zone_free(z);
			return err_set(err, ST_NOMEM, "out of memory");
		}
	}
	*ret = z;
	return ST_OK;
}

void codec_zone_free(struct codec_zone *z)
{
	if (z == NULL)
		return;
	for (size_t i = 0; i < z->n; i++) {
		EVP_PKEY_free(z->key[i].pkey);
		free(z->key[i].rsa);
	}
	free(z);
}

const struct codec_name *codec_zone_apex(const struct codec_zone *z)
{
	return &z->apex;
}

enum status codec_verifier_new(
	int64_t now_s, struct codec_verifier **ret, struct err *err)
{
	struct codec_verifier *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	v->now_s = now_s;
	v->memo_size = 256;
	v->memo = calloc(v->memo_size, sizeof(*v->memo));
	v->buf = ldns_buffer_new(4096);
	if (v->memo == NULL || v->buf == NULL) {
		codec_verifier_free(v);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	*ret = v;
	return ST_OK;
}

void codec_verifier_free(struct codec_verifier *v)
{
	if (v == NULL)
		return;
	ldns_buffer_free(v->buf);
	free(v->memo);
	free(v);
}

size_t codec_verifier_work(const struct codec_verifier *v)
{
	return v->work;
}

/* The place of hash in the table: it, or the free one where it belongs. */
static struct memo *memo_at(
	struct memo *table, size_t size, const uint8_t *hash)
{
	size_t i;

	memcpy(&i, hash, sizeof(i));
	for (i &= size - 1; table[i].used; i = (i + 1) & (size - 1))
		if (memcmp(table[i].hash, hash, sizeof(table[i].hash)) == 0)
			break;
	return &table[i];
}

/* Without memory it simply does not remember. */
static void memo_add(struct codec_verifier *v, const uint8_t *hash, bool good)
{
	struct memo *m;

	if (v->memo_n >= v->memo_size / 2) {
		size_t size = v->memo_size * 2;
		struct memo *t = calloc(size, sizeof(*t));

		if (t == NULL)
			return;
		for (size_t i = 0; i < v->memo_size; i++)
			if (v->memo[i].used)
				*memo_at(t, size, v->memo[i].hash) = v->memo[i];
		free(v->memo);
		v->memo = t;
		v->memo_size = size;
	}
	m = memo_at(v->memo, v->memo_size, hash);
	memcpy(m->hash, hash, sizeof(m->hash));
	m->used = true;
	m->good = good;
	v->memo_n++;
}

/* DNS keeps r and s side by side, OpenSSL wants DER. Returns the length. */
static size_t ecdsa_der(
	const uint8_t *sig, size_t half, uint8_t der[static 128])
{
	size_t at = 2;

	for (int i = 0; i < 2; i++) {
		const uint8_t *p = sig + (size_t)i * half;
		size_t len = half;
		bool pad;

		while (len > 1 && *p == 0) {
			p++;
			len--;
		}
		pad = (*p & 0x80) != 0;
		der[at++] = 2;
		der[at++] = (uint8_t)(len + pad);
		if (pad)
			der[at++] = 0;
		memcpy(der + at, p, len);
		at += len;
	}
	der[0] = 0x30;
	der[1] = (uint8_t)(at - 2); /* at most 102: the short form fits */
	return at;
}

/* The mathematics, or what it said the last time. The data starts with the
 * key's address, so two keys never share a memory. */
static bool signature_good(struct codec_verifier *v, const struct zone_key *k,
	const struct rrsig *s, size_t skip)
{
	uint8_t hash[LDNS_SHA256_DIGEST_LENGTH], der[128];
	const uint8_t *sig = s->sig;
	size_t siglen = s->siglen;
	const struct memo *m;
	bool good;

	/* OpenSSL's is ten times as fast as that of ldns. */
	if (EVP_Digest(v->data, v->len, hash, NULL, EVP_sha256(), NULL) != 1)
		return false;
	m = memo_at(v->memo, v->memo_size, hash);
	if (m->used)
		return m->good;
	v->work++;
	if (k->algorithm == LDNS_ECDSAP256SHA256 ||
		k->algorithm == LDNS_ECDSAP384SHA384) {
		if (siglen != (k->algorithm == LDNS_ECDSAP256SHA256 ? 64 : 96))
			return false;
		siglen = ecdsa_der(sig, siglen / 2, der);
		sig = der;
	}
	ldns_buffer_clear(v->buf);
	if (!ldns_buffer_reserve(v->buf, v->len))
		return false;
	ldns_buffer_write(v->buf, v->data + skip, v->len - skip - s->siglen);
	good = LDNS_STATUS_OK ==
	       (k->rsa != NULL ? ldns_verify_rrsig_buffers_raw(
					 (unsigned char *)(uintptr_t)sig,
					 siglen, v->buf, k->rsa, k->rsa_len,
					 k->algorithm)
			       : ldns_verify_rrsig_evp_raw(
					 sig, siglen, v->buf, k->pkey, k->md));
	memo_add(v, hash, good);
	return good;
}

static bool put(struct codec_verifier *v, const void *p, size_t len)
{
	if (len > sizeof(v->data) - v->len)
		return false;
	memcpy(v->data + v->len, p, len);
	v->len += len;
	return true;
}

static int canon_cmp(const void *pa, const void *pb)
{
	const struct canon *a = pa, *b = pb;
	int c = memcmp(a->d, b->d, a->len < b->len ? a->len : b->len);

	return c != 0 ? c : (int)a->len - (int)b->len;
}

struct rrset {
	const struct codec_name *owner;
	uint16_t type;
	size_t n;
	struct canon rr[RRSET_MAX];
	size_t n_sigs;
	struct rrsig sig[TRIES_MAX];
};

static bool take_rrsig(struct rrset *set, const struct codec_zone *z,
	const struct codec_msg *m, const struct codec_rr *rr, int64_t now_s)
{
	struct codec_name signer;
	struct rrsig *s = &set->sig[set->n_sigs];
	const uint8_t *d = m->wire + rr->rdata;
	size_t off, end = (size_t)rr->rdata + rr->rdlen;

	if (rr->rdlen < RRSIG_FIXED + 2 || get16(d) != set->type)
		return false;
	if (set->n_sigs >= TRIES_MAX ||
		!codec_name_read(
			m->wire, end, rr->rdata + RRSIG_FIXED, &signer, &off) ||
		!codec_name_eq(&signer, &z->apex) || off >= end)
		return true;
	*s = (struct rrsig){
		.covered = get16(d),
		.algorithm = d[2],
		.labels = d[3],
		.original_ttl = get32(d + 4),
		/* Serial arithmetic around now (RFC 4034 3.1.5). */
		.expiration = now_s + (int32_t)(get32(d + 8) - (uint32_t)now_s),
		.inception = now_s + (int32_t)(get32(d + 12) - (uint32_t)now_s),
		.tag = get16(d + 16),
		.fixed = d,
		.sig = m->wire + off,
		.siglen = end - off,
	};
	set->n_sigs++;
	return true;
}

/* Collects the RRset and its signatures. *ret_any: there was an RRSIG of it,
 * usable or not. False: cannot be judged. */
static bool collect(struct codec_verifier *v, struct rrset *set,
	const struct codec_zone *z, const struct codec_msg *m,
	enum codec_section section, bool *ret_any)
{
	size_t used = 0;

	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name owner;
		const uint8_t *d;
		size_t len;

		if (rr->section != section ||
			(rr->type != set->type && rr->type != RRTYPE_RRSIG))
			continue;
		codec_rr_owner(m, rr, &owner);
		if (!codec_name_eq(&owner, set->owner))
			continue;
		if (rr->type == RRTYPE_RRSIG) {
			*ret_any |= take_rrsig(set, z, m, rr, v->now_s);
			continue;
		}
		if (set->n >= RRSET_MAX)
			return false;
		if ((rr->type == RRTYPE_SOA && set->n > 0) ||
			!codec_rdata_canon(m, rr, v->names + used,
				sizeof(v->names) - used, &d, &len))
			return false;
		if (d == v->names + used)
			used += len;
		set->rr[set->n] =
			(struct canon){ .d = d, .len = (uint16_t)len };
		set->n++;
	}
	qsort(set->rr, set->n, sizeof(set->rr[0]), canon_cmp);
	return set->n > 0;
}

/* Builds what was signed, behind the key's address and before the signature:
 * that is what the memory knows it by. */
static bool build(struct codec_verifier *v, const struct codec_zone *z,
	const struct rrset *set, const struct rrsig *s,
	const struct zone_key *k, size_t *ret_skip)
{
	unsigned int labels = codec_name_labels(set->owner);
	struct codec_name owner = *set->owner;
	bool ok;

	if (owner.w[0] == 1 && owner.w[1] == '*')
		labels--;
	if (s->labels > labels)
		return false;
	if (s->labels < labels) {
		codec_name_tail(set->owner, s->labels, &owner);
		if (!codec_name_wildcard(&owner, &owner))
			return false;
	}
	v->len = 0;
	ok = put(v, &k, sizeof(k));
	*ret_skip = v->len;
	ok = ok && put(v, s->fixed, RRSIG_FIXED) &&
	     put(v, z->apex.w, z->apex.len);
	for (size_t i = 0; ok && i < set->n; i++) {
		const struct canon *c = &set->rr[i];
		uint8_t fixed[10] = { (uint8_t)(set->type >> 8),
			(uint8_t)set->type, 0, 1, s->fixed[4], s->fixed[5],
			s->fixed[6], s->fixed[7], (uint8_t)(c->len >> 8),
			(uint8_t)c->len };

		if (i > 0 && canon_cmp(c, c - 1) == 0)
			continue;
		ok = put(v, owner.w, owner.len) && put(v, fixed, 10) &&
		     put(v, c->d, c->len);
	}
	return ok && put(v, s->sig, s->siglen);
}

static const char *judge_one(struct codec_verifier *v,
	const struct codec_zone *z, const struct rrset *set,
	const struct rrsig *s, unsigned int *tries)
{
	const char *why = "no key of the zone matches the RRSIG";

	for (size_t i = 0; i < z->n; i++) {
		const struct zone_key *k = &z->key[i];
		size_t skip;

		if (k->tag != s->tag || k->algorithm != s->algorithm)
			continue;
		if (k->pkey == NULL && k->rsa == NULL) {
			why = "the RRSIG's algorithm is not supported here";
			continue;
		}
		if ((*tries)++ >= TRIES_MAX)
			return "too many RRSIGs";
		if (!build(v, z, set, s, k, &skip))
			return "the RRSIG does not fit its RRset";
		if (signature_good(v, k, s, skip))
			return NULL;
		why = "the RRSIG does not verify";
	}
	return why;
}

void codec_verify(struct codec_verifier *v, const struct codec_zone *z,
	const struct codec_msg *m, enum codec_section section,
	const struct codec_name *owner, uint16_t type,
	struct codec_verdict *ret)
{
	struct rrset set;
	unsigned int tries = 0;
	bool any = false;

	set.owner = owner;
	set.type = type;
	set.n = set.n_sigs = 0;
	*ret = (struct codec_verdict){ .sig = CODEC_SIG_BAD,
		.why = "no RRSIG by this zone's keys" };
	if (!collect(v, &set, z, m, section, &any)) {
		ret->why = "the RRset cannot be decoded";
		return;
	}
	if (!any) {
		ret->sig = CODEC_SIG_NONE;
		ret->why = "no RRSIG";
	}
	for (size_t i = 0; i < set.n_sigs; i++) {
		const struct rrsig *s = &set.sig[i];
		bool timely =
			s->inception <= v->now_s && v->now_s <= s->expiration;
		const char *why = v->now_s < s->inception
					  ? "the RRSIG is not valid yet"
					  : "the RRSIG has expired";

		if (ret->sig == CODEC_SIG_OK &&
			(!timely || s->expiration <= ret->expiration))
			continue;
		if (timely)
			why = judge_one(v, z, &set, s, &tries);
		if (ret->sig == CODEC_SIG_OK && why != NULL)
			continue;
		if (why != NULL && timely && ret->sig == CODEC_SIG_EXPIRED)
			continue;
		*ret = (struct codec_verdict){
			.sig = why == NULL ? CODEC_SIG_OK
			       : timely    ? CODEC_SIG_BAD
					   : CODEC_SIG_EXPIRED,
			.inception = s->inception,
			.expiration = s->expiration,
			.labels = s->labels,
			.why = why,
		};
	}
}
