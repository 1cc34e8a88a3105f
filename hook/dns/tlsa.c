/*
 * TLSA value types and set algebra. No I/O, no library, no clock.
 * Invariants: a set is sorted by (usage, selector, matching type, data) and
 * has no duplicates, so equal sets are equal memory by content and print the
 * same; every record's data is owned by its set; on failure a set is as it was
 * before. Only 3 1 1 is ever made here, everything else is carried along byte
 * for byte. (RFC 6698 2.1, RFC 7671 5 and 9, RFC 7672 3.1)
 */
#include "hook/dns/tlsa.h"

#include <stdlib.h>
#include <string.h>

#define SHA512_LEN 64
#define USAGE_DANE_TA 2
#define USAGE_DANE_EE 3
#define SELECTOR_SPKI 1
#define MTYPE_FULL 0
#define MTYPE_SHA256 1
#define MTYPE_SHA512 2

static int cmp_u8(uint8_t a, uint8_t b)
{
	return (a > b) - (a < b);
}

static int rr_cmp(const struct tlsa *a, const struct tlsa *b)
{
	int c = cmp_u8(a->usage, b->usage);
	uint16_t shorter = a->len < b->len ? a->len : b->len;

	if (c == 0)
		c = cmp_u8(a->selector, b->selector);
	if (c == 0)
		c = cmp_u8(a->mtype, b->mtype);
	if (c == 0 && shorter > 0)
		c = memcmp(a->data, b->data, shorter);
	if (c == 0)
		c = (a->len > b->len) - (a->len < b->len);
	return c;
}

/* Where rr is (true) or would have to be (false). */
static bool find(
	const struct tlsa_rrset *set, const struct tlsa *rr, size_t *ret_at)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = rr_cmp(&set->rr[mid], rr);

		if (c == 0) {
			*ret_at = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_at = lo;
	return false;
}

/* A view of a key's 3 1 1 record; borrows from key and is only read. */
static struct tlsa spki_view(const struct spki *key)
{
	return (struct tlsa){
		.usage = USAGE_DANE_EE,
		.selector = SELECTOR_SPKI,
		.mtype = MTYPE_SHA256,
		.len = SPKI_LEN,
		.data = (uint8_t *)(uintptr_t)key->d,
	};
}

void tlsa_rrset_release(struct tlsa_rrset *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->rr[i].data);
	free(set->rr);
	*set = (struct tlsa_rrset)TLSA_RRSET_INIT;
}

enum status tlsa_rrset_add(
	struct tlsa_rrset *set, const struct tlsa *rr, struct err *err)
{
	struct tlsa *grown;
	uint8_t *data;
	size_t at;

	if (find(set, rr, &at))
		return ST_OK;
	if (set->n >= TLSA_RRSET_MAX)
		return err_set(err, ST_REFUSED,
			"more than %d TLSA records at one name: refused as "
			"too many",
			TLSA_RRSET_MAX);
	data = malloc(rr->len > 0 ? rr->len : 1);
	if (data == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	grown = realloc(set->rr, (set->n + 1) * sizeof(*grown));
	if (grown == NULL) {
		free(data);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	if (rr->len > 0)
		memcpy(data, rr->data, rr->len);
	set->rr = grown;
	memmove(grown + at + 1, grown + at, (set->n - at) * sizeof(*grown));
	grown[at] = *rr;
	grown[at].data = data;
	set->n++;
	return ST_OK;
}

enum status tlsa_rrset_add_spki(
	struct tlsa_rrset *set, const struct spki *key, struct err *err)
{
	struct tlsa rr = spki_view(key);

	if (spki_is_none(key) || spki_is_empty_digest(key))
		return err_set(err, ST_BUG,
			"refused to make a TLSA record of an empty key");
	return tlsa_rrset_add(set, &rr, err);
}

enum status tlsa_rrset_add_rdata(struct tlsa_rrset *set, const uint8_t *rdata,
	size_t len, struct err *err)
{
	struct tlsa rr;

	if (len < 3 || len > UINT16_MAX)
		return err_set(err, ST_REFUSED,
			"TLSA RDATA of %zu octets: at least 3 and at most "
			"65535 are possible",
			len);
	rr = (struct tlsa){
		.usage = rdata[0],
		.selector = rdata[1],
		.mtype = rdata[2],
		.len = (uint16_t)(len - 3),
		.data = (uint8_t *)(uintptr_t)(rdata + 3),
	};
	return tlsa_rrset_add(set, &rr, err);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One number 0..255 and at least one blank behind it. */
static const char *take_octet(const char *s, uint8_t *ret)
{
	unsigned int v = 0, digits = 0;

	while (is_blank(*s))
		s++;
	for (; *s >= '0' && *s <= '9'; s++, digits++) {
		v = v * 10 + (unsigned int)(*s - '0');
		if (v > UINT8_MAX)
			return NULL;
	}
	if (digits == 0 || !is_blank(*s))
		return NULL;
	*ret = (uint8_t)v;
	return s;
}

/* Hex with blanks anywhere between digits. False on anything else. */
static bool take_hex(const char *s, uint8_t *data, size_t max, size_t *ret_len)
{
	size_t digits = 0;

	for (; *s != '\0'; s++) {
		int v = hex_value(*s);

		if (is_blank(*s))
			continue;
		if (v < 0 || digits / 2 >= max)
			return false;
		if (digits % 2 == 0)
			data[digits / 2] = (uint8_t)(v << 4);
		else
			data[digits / 2] = (uint8_t)(data[digits / 2] | v);
		digits++;
	}
	*ret_len = digits / 2;
	return digits > 0 && digits % 2 == 0;
}

enum status tlsa_rrset_add_text(
	struct tlsa_rrset *set, const char *text, struct err *err)
{
	size_t max = strlen(text) / 2 + 1, len = 0;
	struct tlsa rr = { 0 };
	const char *s = text;
	enum status st;

	s = take_octet(s, &rr.usage);
	s = s ? take_octet(s, &rr.selector) : NULL;
	s = s ? take_octet(s, &rr.mtype) : NULL;
	if (s == NULL)
		return err_set(err, ST_REFUSED,
			"'%.80s' is not a TLSA record: three numbers 0..255 "
			"and hex digits are needed, as in 3 1 1 ab12...",
			text);
	if (max > UINT16_MAX - 3)
		return err_set(err, ST_REFUSED, "TLSA record too long");
	rr.data = malloc(max);
	if (rr.data == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (take_hex(s, rr.data, max, &len)) {
		rr.len = (uint16_t)len;
		st = tlsa_rrset_add(set, &rr, err);
	} else {
		st = err_set(err, ST_REFUSED,
			"'%.80s' is not a TLSA record: the data must be an "
			"even number of hex digits",
			text);
	}
	free(rr.data);
	return st;
}

enum status tlsa_rrset_copy(
	const struct tlsa_rrset *from, struct tlsa_rrset *ret, struct err *err)
{
	struct tlsa_rrset copy = TLSA_RRSET_INIT;

	copy.ttl = from->ttl;
	for (size_t i = 0; i < from->n; i++) {
		enum status st = tlsa_rrset_add(&copy, &from->rr[i], err);

		if (st != ST_OK) {
			tlsa_rrset_release(&copy);
			return st;
		}
	}
	*ret = copy;
	return ST_OK;
}

bool tlsa_rrset_remove_spki(struct tlsa_rrset *set, const struct spki *key)
{
	struct tlsa rr = spki_view(key);
	size_t at;

	if (!find(set, &rr, &at))
		return false;
	free(set->rr[at].data);
	set->n--;
	memmove(set->rr + at, set->rr + at + 1,
		(set->n - at) * sizeof(*set->rr));
	return true;
}

bool tlsa_rrset_has(const struct tlsa_rrset *set, const struct tlsa *rr)
{
	size_t at;

	return find(set, rr, &at);
}

bool tlsa_rrset_has_spki(const struct tlsa_rrset *set, const struct spki *key)
{
	struct tlsa rr = spki_view(key);

	return tlsa_rrset_has(set, &rr);
}

bool tlsa_rrset_eq(const struct tlsa_rrset *a, const struct tlsa_rrset *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (rr_cmp(&a->rr[i], &b->rr[i]) != 0)
			return false;
	return true;
}

bool tlsa_is_spki(const struct tlsa *rr, struct spki *ret)
{
	if (rr->usage != USAGE_DANE_EE || rr->selector != SELECTOR_SPKI ||
		rr->mtype != MTYPE_SHA256 || rr->len != SPKI_LEN)
		return false;
	memcpy(ret->d, rr->data, SPKI_LEN);
	return true;
}

static const char *unusable(const struct tlsa *rr)
{
	if (rr->usage != USAGE_DANE_TA && rr->usage != USAGE_DANE_EE)
		return rr->usage < USAGE_DANE_TA
			       ? "usages 0 and 1 cannot be used for mail"
			       : "the certificate usage is not known";
	if (rr->selector > SELECTOR_SPKI)
		return "the selector is not known";
	switch (rr->mtype) {
	case MTYPE_FULL:
		return rr->len == 0 ? "the data is empty" : NULL;
	case MTYPE_SHA256:
		return rr->len == SPKI_LEN ? NULL
					   : "a SHA-256 digest has 32 octets";
	case MTYPE_SHA512:
		return rr->len == SHA512_LEN ? NULL
					     : "a SHA-512 digest has 64 octets";
	}
	return "the matching type is not known";
}

bool tlsa_usable(const struct tlsa *rr, const char **ret_why)
{
	const char *why = unusable(rr);

	if (why != NULL && ret_why != NULL)
		*ret_why = why;
	return why == NULL;
}

/* A client drops unusable records first and then, for each usage and selector,
 * looks at the strongest digest only: with a usable 3 1 2 in the set no 3 1 1
 * counts any more. */
bool tlsa_agility_ok(const struct tlsa_rrset *set, const struct spki *key,
	const uint8_t *sha512, const char **ret_why)
{
	const char *why = NULL;
	bool hidden = false;

	for (size_t i = 0; i < set->n; i++) {
		const struct tlsa *rr = &set->rr[i];

		if (rr->usage != USAGE_DANE_EE ||
			rr->selector != SELECTOR_SPKI ||
			rr->mtype != MTYPE_SHA512 || unusable(rr) != NULL)
			continue;
		if (sha512 != NULL && memcmp(rr->data, sha512, rr->len) == 0)
			return true;
		hidden = true;
	}
	if (hidden)
		why = "a 3 1 2 record that does not match this key hides its "
		      "3 1 1 record (RFC 7671 section 9)";
	else if (!tlsa_rrset_has_spki(set, key))
		why = "no 3 1 1 record of this key";
	if (why != NULL && ret_why != NULL)
		*ret_why = why;
	return why == NULL;
}

enum status tlsa_text(const struct tlsa *rr, struct buf *ret, struct err *err)
{
	static const char digit[] = "0123456789abcdef";
	size_t before = ret->len;
	enum status st = buf_printf(
		ret, err, "%u %u %u ", rr->usage, rr->selector, rr->mtype);

	for (size_t i = 0; st == ST_OK && i < rr->len; i++) {
		char two[2] = { digit[rr->data[i] >> 4],
			digit[rr->data[i] & 15] };

		st = buf_append(ret, two, sizeof(two), err);
	}
	if (st != ST_OK && ret->data != NULL) {
		ret->len = before;
		ret->data[before] = '\0';
	}
	return st;
}
