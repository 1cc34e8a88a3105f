/*
 * The writer: all text goes through put(), which replaces what is not printable
 * ASCII, and lines end in out_nl() only. A server's banner can so never look
 * like a line of ours, on a terminal or in a monitoring file. And the facts
 * that more than one renderer shows. Nothing here does I/O.
 */
#include "hook/check/out_util.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_MAX ((size_t)1 << 20) /* of one out_put */

/* ---- the writer ---- */

static bool printable(char ch)
{
	return ch >= 0x20 && ch <= 0x7e;
}

static void append(struct out *o, const char *text, size_t len)
{
	if (o->st == ST_OK)
		o->st = buf_append(o->buf, text, len, o->err);
	o->col += len;
}

/* NULL when it failed; else owned, printable. */
static char *format(struct out *o, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static char *format(struct out *o, const char *fmt, va_list ap)
{
	char *text = NULL;
	int n = o->st == ST_OK ? vasprintf(&text, fmt, ap) : -1;

	if (n < 0) {
		if (o->st == ST_OK)
			o->st = err_set(o->err, ST_NOMEM, "out of memory");
		return NULL;
	}
	if ((size_t)n > FORMAT_MAX)
		text[FORMAT_MAX] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if (!printable(*p))
			*p = '?';
	return text;
}

void out_put(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	auto_str text = format(o, fmt, ap);
	va_end(ap);
	if (text != NULL)
		append(o, text, strlen(text));
}

void out_nl(struct out *o)
{
	append(o, "\n", 1);
	o->col = 0;
}

void out_pad(struct out *o, size_t col)
{
	if (o->col > 0 && o->col >= col)
		append(o, " ", 1);
	while (o->col < col)
		append(o, " ", 1);
}

static void word(struct out *o, size_t indent, const char *w, size_t len)
{
	bool fresh = o->col <= indent; /* nothing but the indent so far */
	size_t room;

	if (!fresh && o->col + 1 + len > OUT_COLUMNS &&
		(len <= OUT_COLUMNS - indent || o->col + 20 > OUT_COLUMNS)) {
		out_nl(o);
		fresh = true;
	}
	if (fresh)
		out_pad(o, indent);
	else
		append(o, " ", 1);
	for (; len > 0; w += room, len -= room) {
		if (o->col >= OUT_COLUMNS) {
			out_nl(o);
			out_pad(o, indent);
		}
		room = OUT_COLUMNS - o->col;
		if (room > len)
			room = len;
		append(o, w, room);
	}
}

void out_wrap(struct out *o, size_t indent, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	auto_str text = format(o, fmt, ap);
	va_end(ap);
	if (text == NULL)
		return;
	for (const char *p = text; *p != '\0'; p += len) {
		p += strspn(p, " ");
		len = strcspn(p, " ");
		if (len > 0)
			word(o, indent, p, len);
	}
}

void out_verbatim(struct out *o, const char *text)
{
	size_t col = o->col;

	append(o, text, strlen(text));
	o->col = col;
}

/* ---- texts ---- */

char *out_clean(const char *text, char *ret, size_t len)
{
	size_t i = 0;

	for (; i + 1 < len && text[i] != '\0'; i++)
		ret[i] = printable(text[i]) ? text[i] : '?';
	ret[i] = '\0';
	return ret;
}

char *out_cut(const char *text, size_t width, char *ret)
{
	size_t len = strlen(text), tail = (width - 2) / 2;
	size_t head = width - 2 - tail;

	if (len <= width)
		memcpy(ret, text, len + 1);
	else
		(void)snprintf(ret, width + 1, "%.*s..%s", (int)head, text,
			text + len - tail);
	return ret;
}

char *out_bare(const char *name, char ret[static DNS_NAME_MAX])
{
	size_t len = strnlen(name, DNS_NAME_MAX - 1);

	memcpy(ret, name, len);
	ret[len] = '\0';
	if (len > 1 && ret[len - 1] == '.')
		ret[len - 1] = '\0';
	return ret;
}

char *out_time(int64_t s, char ret[static CLOCK_TEXT_MAX])
{
	/* Certificates may say anything; clock_utc takes ms. */
	const int64_t end = INT64_C(253402300799); /* of the year 9999 */

	if (s == 0)
		(void)snprintf(ret, CLOCK_TEXT_MAX, "-");
	else
		(void)clock_utc((s > end           ? end
					: s < -end ? -end
						   : s) *
					1000,
			ret);
	return ret;
}

void out_hex(const uint8_t *data, size_t len, char *ret)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digit[data[i] >> 4];
		ret[2 * i + 1] = digit[data[i] & 15];
	}
	ret[2 * len] = '\0';
}

char *out_label(const struct check *c, char ret[static OUT_LABEL_MAX])
{
	char name[DNS_NAME_MAX], clean[DNS_NAME_MAX];
	unsigned int port = c->port != 0 ? c->port : 25;

	(void)out_clean(
		c->kind == CHECK_BY_LINEAGE ? c->name : out_bare(c->name, name),
		clean, sizeof(clean));
	if (c->kind == CHECK_BY_HOST ||
		(c->kind == CHECK_BY_DOMAIN && port != 25))
		(void)snprintf(ret, OUT_LABEL_MAX, "%s:%u", clean, port);
	else
		(void)snprintf(ret, OUT_LABEL_MAX, "%s", clean);
	return ret;
}

const char *out_host(const struct check_host *h)
{
	return h->bare[0] != '\0' ? h->bare : h->name;
}

const char *out_kind_name(enum check_kind k)
{
	switch (k) {
	case CHECK_BY_DOMAIN:
		return "domain";
	case CHECK_BY_HOST:
		return "host";
	case CHECK_BY_LINEAGE:
		return "lineage";
	}
	return "unknown";
}

const char *out_profile_name(enum check_profile p)
{
	switch (p) {
	case PROFILE_RFC:
		return "rfc";
	case PROFILE_EXCHANGE:
		return "exchange";
	}
	return "unknown";
}

const char *out_dane_name(enum host_dane d)
{
	switch (d) {
	case HOST_TLSA:
		return "tlsa";
	case HOST_NO_TLSA:
		return "no-tlsa";
	case HOST_INSECURE:
		return "insecure";
	case HOST_BOGUS:
		return "bogus";
	case HOST_TLSA_FAILED:
		return "tlsa-failed";
	case HOST_ADDR_FAILED:
		return "address-failed";
	case HOST_NO_ADDRESS:
		return "no-address";
	}
	return "unknown";
}

const char *out_sig_name(enum codec_sig s)
{
	switch (s) {
	case CODEC_SIG_OK:
		return "ok";
	case CODEC_SIG_NONE:
		return "none";
	case CODEC_SIG_EXPIRED:
		return "expired";
	case CODEC_SIG_BAD:
		return "bad";
	}
	return "unknown";
}

const char *out_ds_name(enum survey_ds d)
{
	switch (d) {
	case SURVEY_DS_OK:
		return "ok";
	case SURVEY_DS_NONE:
		return "none";
	case SURVEY_DS_MISMATCH:
		return "mismatch";
	case SURVEY_DS_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}

const char *out_presence(const struct lookup *l)
{
	if (l->security == DNS_BOGUS || l->security == DNS_FAILED)
		return NULL;
	return l->havedata ? "data" : l->nxdomain ? "nxdomain" : "nodata";
}

/* ---- records ---- */

static enum status hex_rdata(const struct rdata *rd, const char *fmt,
	struct buf *ret, struct err *err)
{
	auto_str hex = malloc(2 * rd->len + 1);

	if (hex == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (fmt != NULL) {
		out_hex(rd->data + 3, rd->len - 3, hex);
		return buf_printf(ret, err, "%u %u %u %s", rd->data[0],
			rd->data[1], rd->data[2], hex);
	}
	out_hex(rd->data, rd->len, hex);
	return buf_printf(ret, err, "\\# %zu %s", rd->len, hex);
}

static enum status txt_rdata(
	const struct rdata *rd, struct buf *ret, struct err *err)
{
	enum status st = ST_OK;

	for (size_t at = 0; at < rd->len && st == ST_OK;) {
		size_t len = rd->data[at++];

		if (len > rd->len - at)
			len = rd->len - at;
		st = buf_append(
			ret, at == 1 ? "\"" : " \"", at == 1 ? 1 : 2, err);
		for (size_t i = 0; i < len && st == ST_OK; i++) {
			char ch = (char)rd->data[at + i];

			if (ch == '"' || ch == '\\')
				st = buf_printf(ret, err, "\\%c", ch);
			else
				st = buf_printf(ret, err, "%c",
					printable(ch) ? ch : '?');
		}
		if (st == ST_OK)
			st = buf_append(ret, "\"", 1, err);
		at += len;
	}
	return st;
}

enum status out_rdata(
	uint16_t type, const struct rdata *rd, struct buf *ret, struct err *err)
{
	char text[DNS_NAME_MAX];
	bool mx = type == RRTYPE_MX && rd->len >= 3;

	if ((type == RRTYPE_A && rd->len == 4) ||
		(type == RRTYPE_AAAA && rd->len == 16)) {
		if (inet_ntop(type == RRTYPE_A ? AF_INET : AF_INET6, rd->data,
			    text, sizeof(text)) != NULL)
			return buf_printf(ret, err, "%s", text);
	} else if (mx || type == RRTYPE_CNAME || type == RRTYPE_NS) {
		size_t skip = mx ? 2 : 0;
		const struct rdata name = { rd->data + skip, rd->len - skip };

		if (rdata_name(&name, text))
			return mx ? buf_printf(ret, err, "%u %s",
					    (unsigned)rd->data[0] << 8 |
						    rd->data[1],
					    text)
				  : buf_printf(ret, err, "%s", text);
		if (mx && rd->len == 3 && rd->data[2] == 0)
			return buf_printf(ret, err, "%u .",
				(unsigned)rd->data[0] << 8 | rd->data[1]);
	} else if (type == RRTYPE_TXT) {
		return txt_rdata(rd, ret, err);
	} else if (type == RRTYPE_TLSA && rd->len >= 3) {
		return hex_rdata(rd, "tlsa", ret, err);
	}
	return hex_rdata(rd, NULL, ret, err);
}

/* ---- facts ---- */

const struct out_meaning *out_meaning(const struct check *c)
{
	static const struct out_meaning null_mx = {
		"The domain accepts no mail (null MX, RFC 7505).",
		"returns mail at once", "returns mail at once"
	};
	static const struct out_meaning meaning[CHECK__COUNT] = {
		[CHECK_OK] = { "Every host proves who it is by a TLSA record.",
			"delivers, authenticated", "delivers" },
		[CHECK_WEAK] = { "Some host has no TLSA record: an attacker "
				 "who disturbs the others leads mail there.",
			"delivers, authenticated only where there are TLSA "
			"records",
			"delivers only to hosts with TLSA records" },
		[CHECK_ENCRYPT_ONLY] = { "No TLSA record is usable: TLS is "
					 "demanded, but nothing proves who "
					 "answers.",
			"delivers over TLS, not authenticated", "defers" },
		[CHECK_NO_DANE] = { "There are no TLSA records: DANE is not "
				    "in use.",
			"delivers as if there were no DANE", "defers" },
		[CHECK_INSECURE] = { "DNSSEC does not protect it: TLSA records "
				     "have no effect.",
			"delivers as if there were no DANE", "defers" },
		[CHECK_INCOMPLETE] = { "Not everything could be tested: no "
				       "verdict on what was asked for.",
			"not known", "not known" },
		[CHECK_DEGRADED] = { "Some hosts, addresses or keys fail: "
				     "mail is late, and some of it waits.",
			"delivers through what works, else defers",
			"delivers through what works, else defers" },
		[CHECK_BOGUS] = { "DNSSEC validation fails: who validates "
				  "does not deliver.",
			"defers, and gives up after a day or more",
			"defers, and gives up after a day or more" },
		[CHECK_BLOCKED] = { "Every host fails: nobody who uses DANE "
				    "can deliver.",
			"defers, and gives up after a day or more",
			"defers, and gives up after a day or more" },
	};
	_Static_assert(
		CHECK__COUNT == CHECK_BLOCKED + 1, "a verdict is missing");

	if (c->null_mx)
		return &null_mx;
	return &meaning[c->verdict < CHECK__COUNT ? c->verdict
						  : CHECK_INCOMPLETE];
}

const struct lookup *out_lookup(const struct check *c, size_t n)
{
	const struct lookup *l[4] = { c->mx, c->tlsrpt, c->bare_tlsa };

	for (size_t i = 0; i < 3; i++)
		if (l[i] != NULL && n-- == 0)
			return l[i];
	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct check_host *h = &c->host[i];

		l[0] = h->a;
		l[1] = h->aaaa;
		l[2] = h->cname;
		l[3] = h->tlsa;
		for (size_t k = 0; k < 4; k++)
			if (l[k] != NULL && n-- == 0)
				return l[k];
	}
	return NULL;
}

static void mark(const struct survey *s, const char *name, bool *used)
{
	size_t best = s->n_zones, len = 0;

	if (name[0] == '\0')
		return;
	for (size_t i = 0; i < s->n_zones; i++) {
		const char *apex = s->zone[i].auth.zone;

		if (strlen(apex) > len && name_is_under(name, apex)) {
			len = strlen(apex);
			best = i;
		}
	}
	if (best < s->n_zones)
		used[best] = true;
}

bool *out_zones(struct out *o, const struct check *c)
{
	const struct lookup *l;
	bool *used;

	if (c->survey == NULL || o->st != ST_OK)
		return NULL;
	used = calloc(c->survey->n_zones + 1, sizeof(*used));
	if (used == NULL) {
		o->st = err_set(o->err, ST_NOMEM, "out of memory");
		return NULL;
	}
	if (c->kind != CHECK_BY_LINEAGE)
		mark(c->survey, c->name, used);
	for (size_t i = 0; (l = out_lookup(c, i)) != NULL; i++) {
		mark(c->survey, l->name, used);
		mark(c->survey, l->canon, used);
	}
	for (size_t i = 0; i < c->n_hosts; i++) {
		mark(c->survey, c->host[i].name, used);
		mark(c->survey, c->host[i].owner, used);
	}
	return used;
}

static bool concerns(const char *name, const struct check_host *h)
{
	return strcmp(name, h->expanded) == 0 || strcmp(name, h->owner) == 0 ||
	       (h->tlsa != NULL && strcmp(name, h->tlsa->canon) == 0) ||
	       (strncmp(name, "_tcp.", 5) == 0 &&
		       strcmp(name + 5, h->base) == 0);
}

bool *out_questions(struct out *o, const struct check *c)
{
	const struct survey *s = c->survey;
	bool *used;

	if (s == NULL || o->st != ST_OK)
		return NULL;
	used = calloc(s->n_questions + 1, sizeof(*used));
	if (used == NULL) {
		o->st = err_set(o->err, ST_NOMEM, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < s->n_questions; i++) {
		const char *name = s->question[i].name;

		used[i] = c->mx != NULL && strcmp(name, c->expanded) == 0;
		for (size_t k = 0; !used[i] && k < c->n_hosts; k++)
			used[i] = concerns(name, &c->host[k]);
	}
	return used;
}

static void earliest(int64_t t, int64_t *ret)
{
	if (t != 0 && (*ret == 0 || t < *ret))
		*ret = t;
}

int64_t out_rrsig_end(const struct check *c, const bool *used, const char *zone)
{
	const struct survey *s = c->survey;
	const struct lookup *l;
	int64_t end = 0;

	for (size_t i = 0; (l = out_lookup(c, i)) != NULL; i++)
		if (l->security == DNS_SECURE &&
			(zone == NULL || strcmp(zone, l->zone) == 0))
			earliest(l->expiration, &end);
	if (s == NULL || used == NULL)
		return end;
	for (size_t i = 0; i < s->n_answers; i++) {
		const struct survey_answer *a = &s->answer[i];

		if (a->sig_checked && a->zone < s->n_zones && used[a->zone] &&
			(zone == NULL ||
				strcmp(zone, s->zone[a->zone].auth.zone) == 0))
			earliest(a->expiration, &end);
	}
	return end;
}

enum probe_alg out_served_alg(const struct check_conn *k)
{
	if (k->job.alg != PROBE_ANY)
		return k->job.alg;
	if (key_alg_is_rsa(k->job.key_alg))
		return PROBE_RSA;
	return key_alg_is_ecdsa(k->job.key_alg) ? PROBE_ECDSA : PROBE_ANY;
}

bool out_seen(const struct check_host *h)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].job.result == PROBE_SERVED)
			return true;
	return false;
}

int64_t out_cert_end(const struct check_host *h, enum probe_alg alg)
{
	int64_t end = 0;

	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].job.result == PROBE_SERVED &&
			(alg == PROBE_ANY ||
				out_served_alg(&h->conn[i]) == alg))
			earliest(h->conn[i].job.not_after, &end);
	return end;
}
