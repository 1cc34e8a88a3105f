/*
 * Frames between the engine and its network process. Invariants: reading never
 * passes the end of the body; a count is checked against its own limit and
 * against the octets that so many would need before anything is allocated; once
 * something is bad all further values are zero and lists are empty, so what was
 * read so far can be released. Each function goes over the same fields in the
 * same order, to write them or to read them.
 */
#include "hook/wire.h"

#include <stdlib.h>
#include <string.h>

#define RDATA_MAX 65535
#define RRS_MAX 8192                   /* records of one answer */
#define SERVERS_MAX 1024               /* addresses of one zone */
#define SECONDS_MAX ((int64_t)1 << 40) /* 34,000 years from 1970 */
#define MS_MAX ((int64_t)1 << 53)

/* ---- numbers and octets ---- */

struct wire wire_writer(struct buf *out)
{
	return (struct wire){ .out = out };
}

struct wire wire_reader(const void *body, size_t len)
{
	return (struct wire){ .in = body, .left = len };
}

bool wire_done(const struct wire *w)
{
	return !w->bad && (w->out != NULL || w->left == 0);
}

static bool fail(struct wire *w, const char *why)
{
	if (!w->bad)
		w->why = why;
	w->bad = true;
	return false;
}

static bool octets(struct wire *w, void *p, size_t n)
{
	struct err err = ERR_INIT;

	if (w->bad)
		return false;
	if (w->out != NULL)
		return buf_append(w->out, p, n, &err) == ST_OK ||
		       fail(w, "too much for one message");
	if (n > w->left)
		return fail(w, "it ends too early");
	if (n > 0)
		memcpy(p, w->in, n);
	w->in += n;
	w->left -= n;
	return true;
}

static void number(struct wire *w, uint64_t *v, unsigned size, uint64_t max)
{
	uint8_t b[8] = { 0 };

	if (w->out != NULL && *v > max)
		(void)fail(w, "a number is out of its range");
	for (unsigned i = 0; w->out != NULL && i < size; i++)
		b[i] = (uint8_t)(*v >> 8 * i);
	if (!octets(w, b, size) || w->out != NULL) {
		*v = w->bad ? 0 : *v;
		return;
	}
	*v = 0;
	for (unsigned i = 0; i < size; i++)
		*v |= (uint64_t)b[i] << 8 * i;
	if (*v > max) {
		(void)fail(w, "a number is out of its range");
		*v = 0;
	}
}

static void signed_number(struct wire *w, int64_t *v, int64_t min, int64_t max)
{
	/* From 0 on: max - min fits in every use. */
	uint64_t u = (uint64_t)*v - (uint64_t)min;

	number(w, &u, 8, (uint64_t)max - (uint64_t)min);
	if (w->out == NULL)
		*v = w->bad ? 0 : (int64_t)(u + (uint64_t)min);
}

#define NUM(w, field, size, max)                         \
	do {                                             \
		uint64_t v_ = (uint64_t)(field);         \
		number((w), &v_, (size), (max));         \
		if ((w)->out == NULL)                    \
			(field) = (__typeof__(field))v_; \
	} while (0)
#define U32(w, field) NUM(w, field, 4, UINT32_MAX)
#define BOOL(w, field) NUM(w, field, 1, 1)
#define ENUM(w, field, last) NUM(w, field, 1, (last))
#define INT(w, field, min, max)                          \
	do {                                             \
		int64_t v_ = (field);                    \
		signed_number((w), &v_, (min), (max));   \
		if ((w)->out == NULL)                    \
			(field) = (__typeof__(field))v_; \
	} while (0)

void wire_index(struct wire *w, size_t *i, size_t end)
{
	if (end == 0)
		(void)fail(w, "an index into nothing");
	NUM(w, *i, 4, end - 1);
}

/* How many follow, each of at least min octets. */
static void count(struct wire *w, size_t *n, size_t max, size_t min)
{
	NUM(w, *n, 4, max);
	if (w->out == NULL && *n > w->left / min) {
		(void)fail(w, "it promises more than it holds");
		*n = 0;
	}
}

/* Zeroed; NULL only when it is bad now. */
static void *list(struct wire *w, size_t n, size_t size)
{
	void *p = w->bad ? NULL : calloc(n + 1, size);

	if (p == NULL)
		(void)fail(w, "out of memory");
	return p;
}

/* ---- text ---- */

void wire_text(struct wire *w, char *text, size_t size)
{
	size_t len = w->out != NULL ? strnlen(text, size) : 0;

	NUM(w, len, 2, size - 1);
	if (!octets(w, text, len)) {
		if (w->out == NULL)
			text[0] = '\0';
		return;
	}
	if (w->out != NULL)
		return;
	text[len] = '\0';
	if (memchr(text, '\0', len) != NULL)
		(void)fail(w, "a text with a NUL in it");
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
}

/* A name in canonical form; "" where that means none. */
static void name(struct wire *w, char text[static DNS_NAME_MAX], bool may_lack)
{
	char canon[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	wire_text(w, text, DNS_NAME_MAX);
	if (w->bad || (may_lack && text[0] == '\0'))
		return;
	if (name_canon(text, canon, &err) != ST_OK || strcmp(text, canon) != 0)
		(void)fail(w, "a name that is none");
}

/* A string that stays in the body. */
static void string(struct wire *w, const char **s)
{
	size_t len = w->out != NULL ? strlen(*s) + 1 : 0;
	char *text;

	NUM(w, len, 2, UINT16_MAX);
	if (w->out != NULL) {
		/* only read from */
		memcpy(&text, s, sizeof(text));
		(void)octets(w, text, len);
		return;
	}
	*s = "";
	if (w->bad || len == 0 || len > w->left ||
		memchr(w->in, '\0', len) != w->in + len - 1) {
		(void)fail(w, "a string without its end");
		return;
	}
	*s = (const char *)w->in;
	w->in += len;
	w->left -= len;
}

void wire_err(struct wire *w, struct err *e)
{
	char text[ERR_TEXT_MAX] = "";

	ENUM(w, e->st, ST__COUNT - 1);
	if (w->out != NULL) {
		wire_text(w, e->text, sizeof(e->text));
		return;
	}
	wire_text(w, text, sizeof(text));
	memcpy(e->text, text, sizeof(text));
}

/* ---- records ---- */

static void rdata_list(struct wire *w, struct rdata **rr, size_t *n)
{
	if (w->out == NULL)
		*rr = NULL;
	count(w, n, RRS_MAX, 2);
	if (w->out == NULL)
		*rr = list(w, *n, sizeof(**rr));
	if (*rr == NULL)
		*n = 0;
	for (size_t i = 0; i < *n && !w->bad; i++) {
		struct rdata *rd = &(*rr)[i];

		NUM(w, rd->len, 2, RDATA_MAX);
		if (w->out == NULL) {
			rd->data =
				rd->len <= w->left ? list(w, rd->len, 1) : NULL;
			rd->len = rd->data != NULL ? rd->len : 0;
		}
		if (rd->data == NULL && rd->len > 0)
			(void)fail(w, "a record without data");
		(void)octets(w, rd->data, rd->len);
	}
}

static void record(struct wire *w, struct tlsa *rr)
{
	NUM(w, rr->usage, 1, UINT8_MAX);
	NUM(w, rr->selector, 1, UINT8_MAX);
	NUM(w, rr->mtype, 1, UINT8_MAX);
	NUM(w, rr->len, 2, RDATA_MAX);
	if (w->out != NULL) {
		(void)octets(w, rr->data, rr->len);
	} else if (!w->bad && rr->len > w->left) {
		(void)fail(w, "it ends too early");
	} else if (!w->bad) {
		rr->data = list(w, rr->len, 1);
		(void)octets(w, rr->data, rr->data != NULL ? rr->len : 0);
	}
}

void wire_rrset(struct wire *w, struct tlsa_rrset *set)
{
	size_t n = set->n;
	struct err err = ERR_INIT;

	U32(w, set->ttl);
	count(w, &n, TLSA_RRSET_MAX, 5);
	for (size_t i = 0; i < n && !w->bad; i++) {
		struct tlsa rr = { .data = NULL };

		if (w->out != NULL) {
			record(w, &set->rr[i]);
			continue;
		}
		record(w, &rr);
		if (!w->bad && tlsa_rrset_add(set, &rr, &err) != ST_OK)
			(void)fail(w, "a record that cannot be");
		else if (!w->bad && set->n != i + 1)
			(void)fail(w, "a record twice");
		free(rr.data);
	}
}

/* ---- addresses ---- */

static void address(struct wire *w, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
	bool six = w->out != NULL && ss->ss_family == AF_INET6;

	if (w->out == NULL)
		memset(ss, 0, sizeof(*ss));
	else if (!six && ss->ss_family != AF_INET)
		(void)fail(w, "an address of neither kind");
	BOOL(w, six);
	if (six) {
		v6->sin6_family = AF_INET6;
		(void)octets(w, &v6->sin6_port, sizeof(v6->sin6_port));
		(void)octets(w, &v6->sin6_addr, sizeof(v6->sin6_addr));
		U32(w, v6->sin6_scope_id);
		*len = sizeof(*v6);
	} else {
		v4->sin_family = AF_INET;
		(void)octets(w, &v4->sin_port, sizeof(v4->sin_port));
		(void)octets(w, &v4->sin_addr, sizeof(v4->sin_addr));
		*len = sizeof(*v4);
	}
}

/* ---- what a sweep found ---- */

static void server(struct wire *w, struct auth_server *s)
{
	wire_text(w, s->name, sizeof(s->name));
	BOOL(w, s->has_addr);
	if (s->has_addr) {
		address(w, &s->addr.ss, &s->addr.len);
		wire_text(w, s->addr.text, sizeof(s->addr.text));
	}
	BOOL(w, s->ignored);
	wire_text(w, s->why, sizeof(s->why));
}

static void zone(struct wire *w, struct zone_auth *z)
{
	name(w, z->zone, true);
	ENUM(w, z->security, DNS_FAILED);
	wire_text(w, z->why, sizeof(z->why));
	count(w, &z->n_servers, SERVERS_MAX, 6);
	if (w->out == NULL)
		z->server = list(w, z->n_servers, sizeof(*z->server));
	if (z->server == NULL)
		z->n_servers = 0;
	for (size_t i = 0; i < z->n_servers && !w->bad; i++)
		server(w, &z->server[i]);
}

static void owner_name(
	struct wire *w, const char *asked, size_t n_zones, struct owner_auth *o)
{
	name(w, o->owner, false);
	if (strcmp(o->owner, asked) != 0)
		(void)fail(w, "an owner name that was not asked for");
	name(w, o->final, false);
	BOOL(w, o->is_cname);
	U32(w, o->cname_ttl);
	wire_index(w, &o->zone, n_zones);
	ENUM(w, o->security, DNS_FAILED);
	BOOL(w, o->havedata);
	U32(w, o->ttl);
	wire_text(w, o->why, sizeof(o->why));
	rdata_list(w, &o->rr, &o->n);
}

static void answer(struct wire *w, size_t n_servers, struct sweep_answer *a)
{
	wire_index(w, &a->server, n_servers);
	ENUM(w, a->verdict, SWEEP_UNTESTABLE);
	ENUM(w, a->reason, SWR__COUNT - 1);
	wire_text(w, a->why, sizeof(a->why));
	wire_rrset(w, &a->rrset);
	U32(w, a->neg_ttl);
	BOOL(w, a->have_serial);
	U32(w, a->serial);
	INT(w, a->rrsig_inception, -SECONDS_MAX, SECONDS_MAX);
	INT(w, a->rrsig_expiration, -SECONDS_MAX, SECONDS_MAX);
	BOOL(w, a->ignored);
	INT(w, a->at_mono_ms, 0, MS_MAX);
}

static void answers(struct wire *w, size_t n_servers, struct sweep_owner *o)
{
	count(w, &o->n, SERVERS_MAX, 40);
	if (o->n != n_servers)
		(void)fail(w, "not one answer for each server");
	if (w->out == NULL)
		o->answer = list(w, o->n, sizeof(*o->answer));
	if (o->answer == NULL)
		o->n = 0;
	for (size_t i = 0; i < o->n && !w->bad; i++) {
		answer(w, n_servers, &o->answer[i]);
		if (o->answer[i].server != i)
			(void)fail(w, "answers out of order");
	}
}

void wire_said_sweep(struct wire *w, const char *const owner[], size_t n,
	struct authority *a, struct sweep *s)
{
	count(w, &a->n_zones, n, 8);
	if (w->out == NULL)
		a->zone = list(w, a->n_zones, sizeof(*a->zone));
	if (a->zone == NULL)
		a->n_zones = 0;
	for (size_t i = 0; i < a->n_zones && !w->bad; i++)
		zone(w, &a->zone[i]);
	if (w->out == NULL && !w->bad) {
		a->owner = list(w, n, sizeof(*a->owner));
		s->owner = list(w, n, sizeof(*s->owner));
		a->n_owners = a->owner != NULL ? n : 0;
		s->n = s->owner != NULL ? n : 0;
	}
	if (a->n_owners != n || s->n != n)
		(void)fail(w, "not what was asked");
	for (size_t i = 0; i < n && !w->bad; i++) {
		owner_name(w, owner[i], a->n_zones, &a->owner[i]);
		if (!w->bad)
			answers(w, a->zone[a->owner[i].zone].n_servers,
				&s->owner[i]);
	}
}

/* ---- look-ups ---- */

void wire_said_look_up(struct wire *w, struct lookup *const jobs[], size_t n)
{
	for (size_t i = 0; i < n && !w->bad; i++) {
		struct lookup *l = jobs[i];

		ENUM(w, l->security, DNS_FAILED);
		BOOL(w, l->nxdomain);
		BOOL(w, l->havedata);
		U32(w, l->ttl);
		name(w, l->canon, true);
		name(w, l->zone, true);
		rdata_list(w, &l->rr, &l->n);
		wire_text(w, l->why, sizeof(l->why));
		INT(w, l->rcode, -1, 4095);
		INT(w, l->inception, -SECONDS_MAX, SECONDS_MAX);
		INT(w, l->expiration, -SECONDS_MAX, SECONDS_MAX);
		INT(w, l->ede, -1, UINT16_MAX);
		U32(w, l->took_ms);
	}
}

/* ---- probes ---- */

void wire_said_probe(struct wire *w, struct probe_job *jobs, size_t n)
{
	for (size_t i = 0; i < n && !w->bad; i++) {
		struct probe_job *j = &jobs[i];

		ENUM(w, j->result, PROBE_NO_VERSION);
		(void)octets(w, j->spki.d, sizeof(j->spki.d));
		ENUM(w, j->key_alg, KEY__COUNT - 1);
		BOOL(w, j->dane_ok);
		INT(w, j->not_after, -SECONDS_MAX, SECONDS_MAX);
		INT(w, j->not_before, -SECONDS_MAX, SECONDS_MAX);
		ENUM(w, j->dane, PROBE_DANE_CHAIN);
		NUM(w, j->n_usable, 4, j->n_tlsa);
		INT(w, j->matched, -1, (int64_t)j->n_tlsa - 1);
		INT(w, j->depth, -1, CHAIN_MAX);
		wire_text(w, j->tls, sizeof(j->tls));
		wire_text(w, j->cipher, sizeof(j->cipher));
		wire_text(w, j->local, sizeof(j->local));
		INT(w, j->code, 0, 999);
		BOOL(w, j->offered);
		U32(w, j->connect_ms);
		U32(w, j->took_ms);
		wire_text(w, j->why, sizeof(j->why));
	}
}

/* ---- changes ---- */

void wire_said_edit(struct wire *w, struct provider_item *items, size_t n)
{
	for (size_t i = 0; i < n && !w->bad; i++) {
		wire_text(w, items[i].zone, sizeof(items[i].zone));
		BOOL(w, items[i].changed);
		INT(w, items[i].retry_after_s, 0, SECONDS_MAX);
		wire_err(w, &items[i].err);
	}
}

/* ---- questions ---- */

void wire_ask_names(struct wire *w, struct wire_names *q)
{
	INT(w, q->keep_ms, -MS_MAX, MS_MAX);
	count(w, &q->n, WIRE_NAMES_MAX, 3);
	if (w->out == NULL) {
		q->own = list(w, q->n, sizeof(*q->own));
		q->name = q->own;
		q->n = q->own != NULL ? q->n : 0;
	}
	for (size_t i = 0; i < q->n && !w->bad; i++) {
		const char *s = q->name[i];

		string(w, &s);
		if (w->out == NULL)
			q->own[i] = s;
	}
}

void wire_names_release(struct wire_names *q)
{
	free(q->own);
	*q = (struct wire_names){ .n = 0 };
}

void wire_ask_look_up(struct wire *w, struct wire_lookups *q)
{
	count(w, &q->n, WIRE_NAMES_MAX, 5);
	if (w->out == NULL) {
		q->own = list(w, q->n, sizeof(*q->own));
		q->job = q->own;
		q->n = q->own != NULL ? q->n : 0;
	}
	for (size_t i = 0; i < q->n && !w->bad; i++) {
		if (w->out == NULL)
			q->own[i] = list(w, 1, sizeof(*q->own[i]));
		if (w->bad)
			return;
		name(w, q->job[i]->name, false);
		NUM(w, q->job[i]->type, 2, UINT16_MAX);
	}
}

void wire_lookups_release(struct wire_lookups *q)
{
	for (size_t i = 0; i < q->n && q->own != NULL; i++) {
		if (q->own[i] != NULL)
			lookup_release(q->own[i]);
		free(q->own[i]);
	}
	free(q->own);
	*q = (struct wire_lookups){ .n = 0 };
}

/* A record to match; its data stays in the body. */
static void probe_tlsa(struct wire *w, struct probe_tlsa *t)
{
	uint8_t *data;

	NUM(w, t->usage, 1, UINT8_MAX);
	NUM(w, t->selector, 1, UINT8_MAX);
	NUM(w, t->mtype, 1, UINT8_MAX);
	NUM(w, t->len, 2, RDATA_MAX);
	if (w->out != NULL) {
		memcpy(&data, &t->data, sizeof(data)); /* only read from */
		(void)octets(w, data, t->len);
		return;
	}
	if (!w->bad && t->len > w->left)
		(void)fail(w, "it ends too early");
	t->len = w->bad ? 0 : t->len;
	t->data = w->in;
	w->in += t->len;
	w->left -= t->len;
}

void wire_ask_probe(struct wire *w, struct wire_probes *q)
{
	INT(w, q->lim.connect_ms, 0, MS_MAX);
	INT(w, q->lim.total_ms, 0, MS_MAX);
	INT(w, q->lim.at_once, 0, INT32_MAX);
	INT(w, q->lim.per_address, 0, INT32_MAX);
	count(w, &q->n, WIRE_NAMES_MAX, 18);
	if (w->out == NULL) {
		q->job = list(w, q->n, sizeof(*q->job));
		q->n = q->job != NULL ? q->n : 0;
	}
	for (size_t i = 0; i < q->n && !w->bad; i++) {
		struct probe_job *j = &q->job[i];
		struct probe_tlsa *own = NULL;

		string(w, &j->host);
		BOOL(w, j->no_sni);
		address(w, &j->addr, &j->addr_len);
		ENUM(w, j->proto, PROTO_XMPP_SERVER);
		ENUM(w, j->alg, PROBE_ECDSA);
		ENUM(w, j->version, PROBE_TLS13);
		BOOL(w, j->tentative);
		count(w, &j->n_tlsa, TLSA_RRSET_MAX, 5);
		if (w->out == NULL) {
			own = list(w, j->n_tlsa, sizeof(*own));
			j->tlsa = own;
			j->n_tlsa = own != NULL ? j->n_tlsa : 0;
		}
		for (size_t k = 0; k < j->n_tlsa && !w->bad; k++) {
			struct probe_tlsa t = j->tlsa[k];

			probe_tlsa(w, &t);
			if (own != NULL)
				own[k] = t;
		}
	}
}

void wire_probes_release(struct wire_probes *q)
{
	for (size_t i = 0; i < q->n; i++) {
		void *tlsa;

		memcpy(&tlsa, &q->job[i].tlsa, sizeof(tlsa));
		free(tlsa);
		probe_job_release(&q->job[i]);
	}
	free(q->job);
	*q = (struct wire_probes){ .n = 0 };
}

void wire_ask_edit(struct wire *w, struct wire_edit *q)
{
	NUM(w, q->provider, 4, UINT32_MAX);
	INT(w, q->deadline_ms, 0, MS_MAX);
	count(w, &q->n, WIRE_NAMES_MAX, 4);
	if (w->out == NULL) {
		q->item = list(w, q->n, sizeof(*q->item));
		q->n = q->item != NULL ? q->n : 0;
	}
	for (size_t i = 0; i < q->n && !w->bad; i++) {
		struct provider_item *it = &q->item[i];
		bool seen = it->seen != NULL;
		struct tlsa_rrset *set;

		string(w, &it->owner);
		BOOL(w, seen);
		if (!seen)
			continue;
		if (w->out == NULL)
			it->seen = list(w, 1, sizeof(*it->seen));
		memcpy(&set, &it->seen, sizeof(set));
		if (set != NULL)
			wire_rrset(w, set);
	}
}

void wire_edit_release(struct wire_edit *q)
{
	for (size_t i = 0; i < q->n; i++) {
		struct tlsa_rrset *seen;

		memcpy(&seen, &q->item[i].seen, sizeof(seen));
		if (seen != NULL)
			tlsa_rrset_release(seen);
		free(seen);
		provider_item_release(&q->item[i]);
	}
	free(q->item);
	*q = (struct wire_edit){ .n = 0 };
}

/* ---- frames ---- */

void wire_head_put(
	uint8_t ret[static WIRE_HEAD], enum wire_kind kind, size_t len)
{
	ret[0] = 'D';
	ret[1] = 'L';
	ret[2] = (uint8_t)kind;
	ret[3] = 0;
	for (unsigned i = 0; i < 4; i++)
		ret[4 + i] = (uint8_t)(len >> 8 * i);
}

bool wire_head_get(const uint8_t head[static WIRE_HEAD],
	enum wire_kind *ret_kind, size_t *ret_len)
{
	size_t len = 0;

	for (unsigned i = 0; i < 4; i++)
		len |= (size_t)head[4 + i] << 8 * i;
	if (head[0] != 'D' || head[1] != 'L' || head[2] >= WIRE__COUNT ||
		head[3] != 0 || len > WIRE_MAX)
		return false;
	*ret_kind = (enum wire_kind)head[2];
	*ret_len = len;
	return true;
}
