/* A judged check made by hand: one MX with two addresses, all that can be
 * seen of it, and room to spoil it. */
#ifndef OUT_FIXTURE_H
#define OUT_FIXTURE_H

#include "hook/check/out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define T0 INT64_C(1795000000) /* 2026-11-18T11:06:40Z */
#define DAY INT64_C(86400)

struct world {
	struct check c;
	struct lookup mx, a, aaaa, tlsa, tlsrpt;
	struct rdata rr_mx, rr_a, rr_aaaa, rr_tlsa;
	struct check_host host[2];
	struct check_conn conn[16];
	struct tlsa rr[2];
	struct check_record record[2];
	uint8_t digest[2][32];
	struct cert_view cert[2];
	struct finding finding[8];
	struct survey survey;
	struct survey_zone zone[1];
	struct auth_server server[3];
	struct survey_question question[1];
	struct survey_answer answer[12];
	uint8_t wire_mx[32], wire_a[4], wire_aaaa[16];
};

static inline void put(char *ret, size_t len, const char *text)
{
	assert_true((size_t)snprintf(ret, len, "%s", text) < len);
}
#define PUT(field, text) put((field), sizeof(field), (text))

static inline void look(struct lookup *l, const char *name, uint16_t type,
	struct rdata *rr, uint8_t *wire, size_t len)
{
	memset(l, 0, sizeof(*l));
	PUT(l->name, name);
	PUT(l->canon, name);
	PUT(l->zone, "example.test.");
	l->type = type;
	l->security = DNS_SECURE;
	l->havedata = true;
	l->ttl = 3600;
	rr->data = wire;
	rr->len = len;
	l->rr = rr;
	l->n = 1;
	l->ede = -1;
	l->inception = T0 - DAY;
	l->expiration = T0 + 14 * DAY;
	l->took_ms = 12;
}

/* Two addresses x two algorithms x two versions x with and without SNI. */
static inline void conns(struct world *w)
{
	static const char *const addr[2] = { "192.0.2.1", "2001:db8::1" };

	for (size_t i = 0; i < 16; i++) {
		struct check_conn *k = &w->conn[i];
		struct probe_job *j = &k->job;

		PUT(k->addr, addr[i / 8]);
		k->state = CONN_OK;
		j->host = w->host[0].bare;
		j->alg = i % 2 ? PROBE_RSA : PROBE_ECDSA;
		j->version = i / 2 % 2 ? PROBE_TLS12 : PROBE_TLS13;
		j->no_sni = i / 4 % 2;
		j->result = PROBE_SERVED;
		j->dane = PROBE_DANE_OK;
		j->dane_ok = true;
		j->n_usable = 2;
		j->key_alg = i % 2 ? KEY_RSA_2048 : KEY_ECDSA_P256;
		j->not_before = T0 - 30 * DAY;
		j->not_after = T0 + 60 * DAY + (int64_t)(i % 2) * DAY;
		memcpy(j->spki.d, w->digest[0], SPKI_LEN);
		PUT(j->tls, i / 2 % 2 ? "TLSv1.2" : "TLSv1.3");
		PUT(j->cipher, "TLS_AES_256_GCM_SHA384");
		PUT(j->local, "192.0.2.99");
		j->took_ms = 40;
	}
	PUT(w->cert[0].subject, "CN=mx1.example.test");
	PUT(w->cert[0].issuer, "CN=R1");
	w->cert[0].spki = w->conn[0].job.spki;
	w->cert[0].not_after = T0 + 60 * DAY;
	PUT(w->cert[1].subject, "CN=R1");
	PUT(w->cert[1].issuer, "CN=Root");
	w->conn[0].job.chain.cert = w->cert;
	w->conn[0].job.chain.n = 2;
}

static inline void records(struct world *w)
{
	struct check_host *h = &w->host[0];

	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < 32; k++)
			w->digest[i][k] = (uint8_t)(k * 7 + i * 100);
		w->rr[i] = (struct tlsa){ 3, 1, 1, 32, w->digest[i] };
		w->record[i].rr = &w->rr[i];
		w->record[i].usable = true;
	}
	w->record[0].matches = true;
	h->rrset.n = 2;
	h->rrset.ttl = 3600;
	h->rrset.rr = w->rr;
	h->record = w->record;
}

static inline void servers(struct world *w)
{
	static const char *const addr[3] = { "192.0.2.53", "2001:db8::53",
		"198.51.100.53" };

	PUT(w->question[0].name, "_25._tcp.mx1.example.test.");
	w->question[0].type = RRTYPE_TLSA;
	PUT(w->zone[0].auth.zone, "example.test.");
	w->zone[0].auth.security = DNS_SECURE;
	w->zone[0].auth.server = w->server;
	w->zone[0].auth.n_servers = 3;
	for (size_t i = 0; i < 3; i++) {
		PUT(w->server[i].name,
			i < 2 ? "ns1.example.test." : "ns2.example.test.");
		PUT(w->server[i].addr.text, addr[i]);
		w->server[i].has_addr = true;
	}
	for (size_t i = 0; i < 12; i++) {
		struct survey_answer *a = &w->answer[i];

		a->question = i % 2 ? SIZE_MAX : 0;
		a->server = i / 4;
		a->tcp = i / 2 % 2;
		a->outcome = SURVEY_DATA;
		a->ede = -1;
		a->ttl = 3600;
		a->n_rr = i % 2 ? 1 : 2;
		a->sig_checked = true;
		a->sig = CODEC_SIG_OK;
		a->inception = T0 - DAY;
		a->expiration = T0 + 10 * DAY + (int64_t)i;
		a->serial = i % 2 ? 12 : 0;
		a->refresh = i % 2 ? 3600 : 0;
		a->took_ms = 5;
	}
	w->survey = (struct survey){ .question = w->question,
		.n_questions = 1,
		.zone = w->zone,
		.n_zones = 1,
		.answer = w->answer,
		.n_answers = 12 };
}

/* Nothing in it is owned but the object itself: free() it. */
static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	struct check_host *h = w->host;

	assert_non_null(w);
	memcpy(w->wire_mx, "\0\12\3mx1\7example\4test", 20);
	memcpy(w->wire_a, "\300\0\2\1", 4);
	memcpy(w->wire_aaaa, "\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	look(&w->mx, "example.test.", RRTYPE_MX, &w->rr_mx, w->wire_mx, 20);
	look(&w->a, "mx1.example.test.", RRTYPE_A, &w->rr_a, w->wire_a, 4);
	look(&w->aaaa, "mx1.example.test.", RRTYPE_AAAA, &w->rr_aaaa,
		w->wire_aaaa, 16);
	look(&w->tlsa, "_25._tcp.mx1.example.test.", RRTYPE_TLSA, &w->rr_tlsa,
		w->wire_a, 0);
	PUT(h->name, "mx1.example.test.");
	PUT(h->expanded, "mx1.example.test.");
	PUT(h->base, "mx1.example.test.");
	PUT(h->bare, "mx1.example.test");
	PUT(h->base_bare, "mx1.example.test");
	PUT(h->owner, "_25._tcp.mx1.example.test.");
	h->pref = 10;
	h->port = 25;
	h->a = &w->a;
	h->aaaa = &w->aaaa;
	h->tlsa = &w->tlsa;
	h->conn = w->conn;
	h->n_conns = 16;
	records(w);
	conns(w);
	servers(w);
	w->tlsa.n = 0;
	PUT(w->c.name, "example.test.");
	PUT(w->c.expanded, "example.test.");
	w->c.mx = &w->mx;
	w->c.host = w->host;
	w->c.n_hosts = 1;
	w->c.survey = &w->survey;
	w->c.now_s = T0;
	w->c.took_ms = 1234;
	w->c.finding = w->finding;
	return w;
}

static inline struct finding *spoil(
	struct world *w, enum check_code code, enum finding_level level)
{
	struct finding *f = &w->finding[w->c.n_findings++];

	assert_true(w->c.n_findings <= 8);
	f->code = code;
	f->level = level;
	return f;
}

#endif
