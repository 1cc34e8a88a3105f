/*
 * A check made by hand, as the stages before the judge would leave it: hosts
 * with secure answers, RRsets from text, connections that serve "key N". Key
 * and certificate N have digests of the octet N, so a test reads like the
 * records it is about. What OpenSSL says of a connection is said by the test.
 */
#ifndef DANELAW_TEST_JUDGE_FIXTURE_H
#define DANELAW_TEST_JUDGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/check/judge.h"

#include <stdlib.h>
#include <string.h>

#define UNUSED __attribute__((unused))
#define NOW INT64_C(1800000000)
#define DAYS INT64_C(86400)
#define HEX32(x) x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x
#define HEX64(x) HEX32(x) HEX32(x)
#define V4 "192.0.2.1"
#define V6 "2001:db8::1"

enum { LOOKUPS = 64, HOSTS = 8, CONNS = 32 };

struct jf {
	struct check c;
	struct lookup look[LOOKUPS];
	size_t n_look;
};

UNUSED static struct lookup *jf_look(struct jf *f, const char *name,
	uint16_t type, enum dns_security security, bool havedata)
{
	struct lookup *l = &f->look[f->n_look++];

	assert_true(f->n_look <= LOOKUPS);
	*l = (struct lookup){ .type = type,
		.security = security,
		.havedata = havedata,
		.ttl = 3600,
		.ede = -1 };
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	(void)snprintf(l->canon, sizeof(l->canon), "%s", name);
	return l;
}

UNUSED static void jf_init(struct jf *f)
{
	memset(f, 0, sizeof(*f));
	f->c.kind = CHECK_BY_DOMAIN;
	f->c.now_s = NOW;
	f->c.port = 25;
	(void)snprintf(f->c.name, sizeof(f->c.name), "example.test.");
	(void)snprintf(f->c.expanded, sizeof(f->c.expanded), "example.test.");
	f->c.mx = jf_look(f, "example.test.", RRTYPE_MX, DNS_SECURE, true);
	f->c.host = calloc(HOSTS, sizeof(*f->c.host));
	assert_non_null(f->c.host);
}

UNUSED static void jf_free(struct jf *f)
{
	for (size_t i = 0; i < f->c.n_hosts; i++) {
		struct check_host *h = &f->c.host[i];

		for (size_t k = 0; k < h->n_conns; k++)
			free(h->conn[k].job.chain.cert);
		free(h->conn);
		free(h->record);
		tlsa_rrset_release(&h->rrset);
	}
	free(f->c.host);
	free(f->c.finding);
}

/* "mx1": mx1.example.test, no TLSA record yet. */
UNUSED static struct check_host *jf_host(struct jf *f, const char *label)
{
	struct check_host *h = &f->c.host[f->c.n_hosts++];

	assert_true(f->c.n_hosts <= HOSTS);
	(void)snprintf(h->bare, sizeof(h->bare), "%s.example.test", label);
	(void)snprintf(h->name, sizeof(h->name), "%s.example.test.", label);
	memcpy(h->expanded, h->name, sizeof(h->expanded));
	memcpy(h->base, h->name, sizeof(h->base));
	memcpy(h->base_bare, h->bare, sizeof(h->base_bare));
	(void)snprintf(
		h->owner, sizeof(h->owner), "_25._tcp.%s.example.test.", label);
	h->port = 25;
	h->a = jf_look(f, h->name, RRTYPE_A, DNS_SECURE, true);
	h->aaaa = jf_look(f, h->name, RRTYPE_AAAA, DNS_SECURE, true);
	h->tlsa = jf_look(f, h->owner, RRTYPE_TLSA, DNS_SECURE, false);
	h->dane = HOST_NO_TLSA;
	h->conn = calloc(CONNS, sizeof(*h->conn));
	assert_non_null(h->conn);
	return h;
}

UNUSED static void jf_tlsa(struct check_host *h, const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(tlsa_rrset_add_text(&h->rrset, text, &err), ST_OK);
	h->rrset.ttl = 3600;
	h->dane = HOST_TLSA;
	((struct lookup *)(uintptr_t)h->tlsa)->havedata = true;
}

UNUSED static struct check_conn *jf_conn(struct check_host *h, const char *addr,
	enum probe_alg alg, enum probe_result result)
{
	struct check_conn *k = &h->conn[h->n_conns++];

	assert_true(h->n_conns <= CONNS);
	(void)snprintf(k->addr, sizeof(k->addr), "%s", addr);
	k->job.host = h->base_bare;
	k->job.proto = h->proto;
	k->job.alg = alg;
	k->job.result = result;
	k->job.matched = -1;
	k->job.tentative = true;
	return k;
}

UNUSED static void jf_cert(struct cert_view *v, uint8_t n, enum probe_alg alg)
{
	static char name[1][256] = { "mx1.example.test" };

	memset(v->spki.d, n, sizeof(v->spki.d));
	memset(v->spki512, n, sizeof(v->spki512));
	memset(v->cert256, n ^ 0xff, sizeof(v->cert256));
	memset(v->cert512, n ^ 0xff, sizeof(v->cert512));
	v->alg = alg == PROBE_RSA ? KEY_RSA_2048 : KEY_ECDSA_P256;
	v->key_bits = alg == PROBE_RSA ? 2048 : 256;
	v->name = name;
	v->n_names = 1;
}

/* A leaf of key n and, when issuer is not 0, its issuer behind it. */
UNUSED static struct check_conn *jf_serve(struct check_host *h,
	const char *addr, enum probe_alg alg, uint8_t n, uint8_t issuer,
	enum probe_dane dane)
{
	struct check_conn *k = jf_conn(h, addr, alg, PROBE_SERVED);
	struct probe_job *j = &k->job;

	j->dane = dane;
	j->dane_ok = dane == PROBE_DANE_OK;
	j->not_before = NOW - 10 * DAYS;
	j->not_after = NOW + 60 * DAYS;
	j->chain.cert = calloc(2, sizeof(*j->chain.cert));
	assert_non_null(j->chain.cert);
	j->chain.n = issuer != 0 ? 2 : 1;
	jf_cert(&j->chain.cert[0], n, alg);
	jf_cert(&j->chain.cert[1], issuer, PROBE_RSA);
	j->spki = j->chain.cert[0].spki;
	j->key_alg = j->chain.cert[0].alg;
	return k;
}

/* A host with the usual pair of records that serves the first of them. */
UNUSED static struct check_host *jf_good(
	struct jf *f, const char *label, const char *rr1, const char *rr2)
{
	struct check_host *h = jf_host(f, label);
	uint8_t key;

	jf_tlsa(h, rr1);
	jf_tlsa(h, rr2);
	key = h->rrset.rr[0].data[0];
	(void)jf_serve(h, V4, PROBE_ECDSA, key, 0, PROBE_DANE_OK);
	return h;
}

UNUSED static void jf_judge(struct jf *f)
{
	struct err err = ERR_INIT;

	assert_int_equal(check_judge(&f->c, &err), ST_OK);
}

UNUSED static size_t jf_count(const struct jf *f, enum check_code code)
{
	size_t n = 0;

	for (size_t i = 0; i < f->c.n_findings; i++)
		n += f->c.finding[i].code == code;
	return n;
}

/* The one finding of this code. */
UNUSED static const struct finding *jf_find(
	const struct jf *f, enum check_code code)
{
	for (size_t i = 0; i < f->c.n_findings; i++)
		if (f->c.finding[i].code == code)
			return &f->c.finding[i];
	fail_msg("there is no finding %s", check_code_info(code)->name);
	return NULL;
}

UNUSED static void jf_expect(const struct jf *f, enum check_code code,
	enum finding_level level, const char *where, const char *text)
{
	const struct finding *d = jf_find(f, code);

	assert_int_equal(d->level, level);
	if (strstr(d->where, where) == NULL)
		fail_msg("where is '%s', not '%s'", d->where, where);
	if (strstr(d->text, text) == NULL)
		fail_msg("text is '%s', not '%s'", d->text, text);
	assert_true(d->remedy[0] != '\0');
}

#define K1 "3 1 1 " HEX32("11")
#define K2 "3 1 1 " HEX32("22")
#define K3 "3 1 1 " HEX32("33")
#define K4 "3 1 1 " HEX32("44")

#endif
