/*
 * The DS RRset at the parent against the DNSKEY RRset that each server hands
 * out. The DS look-up is validated at the parent; the keys are not, because
 * what is to be found here is why they cannot be. One server whose keys fit no
 * DS is enough for a mismatch: a resolver that asks it finds the zone bogus.
 * (RFC 4035 5.2, RFC 4509; dane.md S22)
 */
#include "hook/dns/survey_int.h"

#include "hook/base/clock.h"

#include <stdarg.h>

static void add(char *ret, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void add(char *ret, size_t len, const char *fmt, ...)
{
	size_t used = strlen(ret);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret + used, len - used, fmt, ap);
	va_end(ap);
}

static bool has_ds(const struct lookup *ds)
{
	return ds != NULL && ds->security == DNS_SECURE && ds->n > 0;
}

static void take_key(struct survey_keys *k, const struct lookup *ds,
	const struct codec_name *zone, const uint8_t *key, size_t len)
{
	uint16_t tag = codec_keytag(key, len);

	add(k->tags, sizeof(k->tags), " %u", tag);
	for (size_t i = 0; i < ds->n; i++) {
		const struct rdata *d = &ds->rr[i];

		if (codec_ds_match(d, zone, key, len))
			k->match = true;
		else if (d->len > 2 && (d->data[0] << 8 | d->data[1]) == tag)
			k->same_tag = true;
	}
}

void survey_take_keys(struct survey_keys *k, const struct lookup *ds,
	const struct codec_name *zone, const struct codec_msg *m, int64_t now_s)
{
	struct survey_keys got = { .have = true };
	char text[CLOCK_TEXT_MAX];
	struct codec_window w;

	if (k->have || !has_ds(ds) || m->tc || !m->aa || m->rcode != 0)
		return;
	for (size_t i = 0; i < m->n; i++) {
		const struct codec_rr *rr = &m->rr[i];
		struct codec_name owner;

		if (rr->section != CODEC_ANSWER || rr->type != RRTYPE_DNSKEY ||
			rr->rdlen < 4)
			continue;
		codec_rr_owner(m, rr, &owner);
		if (codec_name_eq(&owner, zone))
			take_key(
				&got, ds, zone, m->wire + rr->rdata, rr->rdlen);
	}
	w = codec_window_of(m, CODEC_ANSWER, zone, RRTYPE_DNSKEY, now_s);
	if (w.expiration == 0 && got.tags[0] != '\0')
		add(got.sigs, sizeof(got.sigs), "they have no RRSIG");
	else if (w.expiration != 0 && !w.timely)
		add(got.sigs, sizeof(got.sigs), "their RRSIG %s %s",
			w.expiration < now_s ? "ended" : "begins",
			clock_utc(1000 * (w.expiration < now_s ? w.expiration
							       : w.inception),
				text));
	*k = got;
}

static void say_keys(char *ret, size_t len, const struct survey_keys *k)
{
	if (k->tags[0] == '\0')
		add(ret, len, "no DNSKEY");
	else
		add(ret, len, "DNSKEY%s", k->tags);
	if (!k->match && k->same_tag)
		add(ret, len, " (same key tag, another key or digest)");
	if (k->sigs[0] != '\0')
		add(ret, len, " (%s)", k->sigs);
}

/* Each different thing that servers say once, with the first that says it; the
 * address is left out when all say the same. */
static void say_servers(
	struct survey_zone *z, const struct survey_keys keys[], bool all)
{
	size_t len = sizeof(z->ds_why);

	for (size_t i = 0; i < z->auth.n_servers; i++) {
		bool known = !keys[i].have;

		for (size_t k = 0; k < i && !known; k++)
			known = keys[k].have &&
				strcmp(keys[k].tags, keys[i].tags) == 0 &&
				strcmp(keys[k].sigs, keys[i].sigs) == 0;
		if (known)
			continue;
		add(z->ds_why, len, ", ");
		if (all)
			add(z->ds_why, len,
				"at %s: ", z->auth.server[i].addr.text);
		say_keys(z->ds_why, len, &keys[i]);
	}
}

void survey_compare_ds(struct survey_zone *z, const struct lookup *ds,
	const struct survey_keys keys[])
{
	const struct survey_keys *first = NULL;
	bool differ = false, good = true;

	z->ds_why[0] = '\0';
	z->ds = SURVEY_DS_NONE;
	if (ds == NULL)
		return;
	if (ds->security == DNS_BOGUS || ds->security == DNS_FAILED) {
		z->ds = SURVEY_DS_UNKNOWN;
		add(z->ds_why, sizeof(z->ds_why), "%s", ds->why);
		return;
	}
	if (!has_ds(ds))
		return;
	add(z->ds_why, sizeof(z->ds_why), "DS");
	for (size_t i = 0; i < ds->n; i++)
		if (ds->rr[i].len > 2)
			add(z->ds_why, sizeof(z->ds_why), " %u",
				(unsigned int)(ds->rr[i].data[0] << 8 |
					       ds->rr[i].data[1]));
	for (size_t i = 0; i < z->auth.n_servers; i++) {
		const struct survey_keys *k = &keys[i];

		if (!k->have)
			continue;
		if (first == NULL)
			first = k;
		differ = differ || strcmp(first->tags, k->tags) != 0 ||
			 strcmp(first->sigs, k->sigs) != 0;
		good = good && k->match;
	}
	if (first == NULL) {
		z->ds = SURVEY_DS_UNKNOWN;
		add(z->ds_why, sizeof(z->ds_why),
			", no server told its DNSKEY records");
		return;
	}
	z->ds = good ? SURVEY_DS_OK : SURVEY_DS_MISMATCH;
	say_servers(z, keys, differ);
}
