/*
 * The mail that a TLS-RPT report comes in (RFC 8460 5.3; RFC 2045, 2046, 5322):
 * finds the parts that are reports and decodes their bodies, in one pass.
 * Invariants: a line is looked at in pieces of a fixed size, so that no line
 * is too long and nothing grows; a delimiter is looked for at the start of a
 * line only; a boundary belongs to the innermost multipart that knows it, and
 * closes all that are inside. Several mails (mbox) may follow one another.
 */
#include "hook/check/tlsrpt_input.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX ((size_t)1 << 20) /* octets of one part's headers */

void mail_init(struct mail *m, struct src *in, struct err *err)
{
	memset(m, 0, sizeof(*m));
	m->in = in;
	m->err = err;
	m->complete = true;
	m->blank_before = true;
}

/* ---- lines ---- */

static bool is_blank(const struct mail *m)
{
	return m->start && m->complete &&
	       (m->n == 1 || (m->n == 2 && m->chunk[0] == '\r'));
}

/* The next piece into m->chunk; false at the end (or failure: see in->st). */
static bool mail_chunk(struct mail *m)
{
	int c = 0;

	if (m->held) {
		m->held = false;
		return true;
	}
	if (m->n > 0)
		m->blank_before = is_blank(m);
	m->start = m->complete;
	m->n = 0;
	m->complete = false;
	while (m->n < sizeof(m->chunk) && !m->complete) {
		c = src_next(m->in);
		if (c == SRC_END)
			break;
		m->chunk[m->n++] = (char)c;
		m->complete = c == '\n';
	}
	if (m->start && m->n > 0)
		m->line++;
	return m->n > 0;
}

/* Length without the end of line and blanks before it. */
static size_t trimmed(const struct mail *m)
{
	size_t n = m->n;

	while (n > 0 && strchr(" \t\r\n", m->chunk[n - 1]) != NULL)
		n--;
	return n;
}

/* Is the chunk the end of the part that is being read? If it is: pops what has
 * ended, and tells whether another part follows. */
static bool mail_delimiter(struct mail *m, bool *ret_part)
{
	size_t n = trimmed(m);

	if (!m->start)
		return false;
	if (m->depth == 0) {
		*ret_part = m->blank_before && m->n > 5 &&
			    memcmp(m->chunk, "From ", 5) == 0;
		return *ret_part;
	}
	if (n < 2 || m->chunk[0] != '-' || m->chunk[1] != '-')
		return false;
	for (size_t d = m->depth; d > 0; d--) {
		const char *b = m->boundary[d - 1];
		size_t len = strlen(b);

		if (n < 2 + len || memcmp(m->chunk + 2, b, len) != 0)
			continue;
		if (n == 2 + len) {
			m->depth = d;
			*ret_part = true;
			return true;
		}
		if (n == 4 + len && memcmp(m->chunk + 2 + len, "--", 2) == 0) {
			m->depth = d - 1;
			*ret_part = false;
			return true;
		}
	}
	return false;
}

/* ---- headers ---- */

struct headers {
	char type[MAIL_HEADER_MAX];        /* Content-Type */
	char disposition[MAIL_HEADER_MAX]; /* Content-Disposition */
	char coding[64];                   /* Content-Transfer-Encoding */
	char other[TLSRPT_TEXT_MAX];
};

/* One unfolded header: where its value goes, and how much fits. */
struct target {
	char *to;
	size_t max, n;
	bool cut;
};

static bool is_name(const struct mail *m, const char *name)
{
	size_t len = strlen(name), i = len;

	if (m->n <= len || strncasecmp(m->chunk, name, len) != 0)
		return false;
	while (i < m->n && (m->chunk[i] == ' ' || m->chunk[i] == '\t'))
		i++;
	return i < m->n && m->chunk[i] == ':';
}

static void choose(struct mail *m, struct headers *h, struct target *t)
{
	static const char submitter[] = "TLS-Report-Submitter";

	*t = (struct target){ .to = NULL };
	if (is_name(m, "Content-Type"))
		*t = (struct target){ .to = h->type, .max = sizeof(h->type) };
	else if (is_name(m, "Content-Disposition"))
		*t = (struct target){ .to = h->disposition,
			.max = sizeof(h->disposition) };
	else if (is_name(m, "Content-Transfer-Encoding"))
		*t = (struct target){ .to = h->coding,
			.max = sizeof(h->coding) };
	else if (is_name(m, submitter))
		*t = (struct target){ .to = m->submitter,
			.max = sizeof(m->submitter) };
	if (t->to != NULL)
		t->to[0] = '\0';
}

static void collect(struct target *t, const char *from, size_t n)
{
	for (size_t i = 0; i < n && t->to != NULL; i++) {
		char c = from[i];

		if (c == '\t' || c == '\0')
			c = ' ';
		if (c == '\r' || c == '\n' || (t->n == 0 && c == ' '))
			continue;
		if (t->n + 1 >= t->max) {
			t->cut = true;
			return;
		}
		t->to[t->n++] = c;
		t->to[t->n] = '\0';
	}
}

/* Reads up to and with the empty line. */
static enum status mail_headers(struct mail *m, struct headers *h)
{
	struct target t = { .to = NULL };
	size_t total = 0;
	bool any = false;

	memset(h, 0, sizeof(*h));
	while (mail_chunk(m)) {
		const char *colon;
		bool part = false;

		if (is_blank(m) || (m->depth > 0 && mail_delimiter(m, &part))) {
			/* a part without a body ends with its headers */
			m->held = !is_blank(m);
			return ST_OK;
		}
		total += m->n;
		if (total > HEADERS_MAX)
			return src_fail(m->in, ST_REFUSED,
				"line %" PRIu64 ": more than %zu kB of mail "
				"headers",
				m->line, HEADERS_MAX >> 10);
		colon = memchr(m->chunk, ':', m->n);
		if (!any && m->start && m->n > 5 &&
			memcmp(m->chunk, "From ", 5) == 0)
			continue; /* of an mbox */
		any = true;
		if (m->start && m->chunk[0] != ' ' && m->chunk[0] != '\t') {
			if (colon == NULL)
				return src_fail(m->in, ST_REFUSED,
					"line %" PRIu64 ": is not a mail "
					"header",
					m->line);
			choose(m, h, &t);
			collect(&t, colon + 1,
				m->n - (size_t)(colon + 1 - m->chunk));
		} else {
			collect(&t, m->chunk, m->n);
		}
		if (t.cut)
			return src_fail(m->in, ST_REFUSED,
				"line %" PRIu64 ": a header is too long",
				m->line);
	}
	return m->in->st;
}

/* Value of a parameter of a structured header; false when it has none (or one
 * that does not fit). (RFC 2045 5.1) */
static bool parameter(
	const char *value, const char *name, char *ret, size_t max)
{
	const char *p = value;
	size_t len = strlen(name), n;

	while ((p = strchr(p, ';')) != NULL) {
		bool quoted, hit;

		p += 1 + strspn(p + 1, " ");
		hit = strcspn(p, "= ;") == len &&
		      strncasecmp(p, name, len) == 0;
		p += strcspn(p, "=;");
		if (*p != '=')
			continue;
		p += 1 + strspn(p + 1, " ");
		quoted = *p == '"';
		if (quoted)
			p++;
		for (n = 0; *p != '\0'; p++) {
			if (quoted && *p == '\\' && p[1] != '\0')
				p++;
			else if (quoted ? *p == '"' : strchr("; (", *p) != NULL)
				break;
			if (hit && n + 1 >= max)
				return false;
			if (hit)
				ret[n++] = *p;
		}
		if (hit) {
			ret[n] = '\0';
			return n > 0;
		}
		if (quoted && *p == '"')
			p++;
	}
	return false;
}

static bool is_type(const char *value, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(value, type, n) == 0 &&
	       (value[n] == '\0' || strchr("; (", value[n]) != NULL);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), e = strlen(end);

	return n >= e && strcasecmp(s + n - e, end) == 0;
}

/* The two types of RFC 8460, and what mail software makes of such a file when
 * a person forwards it. */
static bool is_report(const struct headers *h)
{
	static const char *const loose[] = { "application/gzip",
		"application/x-gzip", "application/json",
		"application/octet-stream" };
	char name[512];

	if (is_type(h->type, "application/tlsrpt+gzip") ||
		is_type(h->type, "application/tlsrpt+json"))
		return true;
	if (!parameter(h->disposition, "filename", name, sizeof(name)) &&
		!parameter(h->type, "name", name, sizeof(name)))
		return false;
	for (size_t i = 0; i < sizeof(loose) / sizeof(loose[0]); i++)
		if (is_type(h->type, loose[i]))
			return ends_with(name, ".json") ||
			       ends_with(name, ".json.gz");
	return false;
}

static enum status coding_of(struct mail *m, const struct headers *h)
{
	static const struct {
		const char *name;
		enum mail_coding coding;
	} known[] = {
		{ "", CODING_PLAIN },
		{ "7bit", CODING_PLAIN },
		{ "8bit", CODING_PLAIN },
		{ "binary", CODING_PLAIN },
		{ "base64", CODING_BASE64 },
		{ "quoted-printable", CODING_QP },
	};
	size_t n = strcspn(h->coding, " ;(");

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].name) == n &&
			strncasecmp(h->coding, known[i].name, n) == 0) {
			m->coding = known[i].coding;
			return ST_OK;
		}
	return src_fail(m->in, ST_REFUSED,
		"line %" PRIu64 ": the report has the unknown "
		"Content-Transfer-Encoding \"%s\"",
		m->line, h->coding);
}

/* ---- bodies ---- */

static bool body_bad(struct mail *m, const char *what)
{
	(void)src_fail(&m->body, ST_REFUSED, "line %" PRIu64 " of the mail: %s",
		m->line, what);
	return false;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void emit(struct mail *m, unsigned c)
{
	m->body.buf[m->body.len++] = (uint8_t)c;
}

static bool base64_char(struct mail *m, char c)
{
	int v = base64_value(c);

	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return true;
	if (c == '=') {
		m->pad++;
		if (m->n_bits < 2 || m->n_bits + m->pad > 4)
			return body_bad(
				m, "bad base64: '=' in the wrong place");
		return true;
	}
	if (v < 0)
		return body_bad(m, "bad base64: a character that is none");
	if (m->pad > 0)
		return body_bad(m, "bad base64: more data after its end");
	m->bits = m->bits << 6 | (unsigned)v;
	if (++m->n_bits == 4) {
		emit(m, m->bits >> 16 & 0xff);
		emit(m, m->bits >> 8 & 0xff);
		emit(m, m->bits & 0xff);
		m->bits = m->n_bits = 0;
	}
	return true;
}

static bool base64_end(struct mail *m)
{
	if (m->n_bits == 0)
		return true;
	if (m->n_bits + m->pad != 4)
		return body_bad(m, "bad base64: truncated");
	if (m->n_bits == 2) {
		emit(m, m->bits >> 4 & 0xff);
	} else {
		emit(m, m->bits >> 10 & 0xff);
		emit(m, m->bits >> 2 & 0xff);
	}
	m->n_bits = 0;
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* escape[0] is '=' while an escape is open. */
static bool qp_char(struct mail *m, char c)
{
	int high, low;

	if (m->n_escape == 0) {
		if (c == '=')
			m->escape[m->n_escape++] = c;
		else
			emit(m, (unsigned char)c);
		return true;
	}
	if (m->n_escape == 1 && (c == ' ' || c == '\t' || c == '\r'))
		return true; /* of a soft line break */
	if (m->n_escape == 1 && c == '\n') {
		m->n_escape = 0;
		return true;
	}
	m->escape[m->n_escape++] = c;
	if (m->n_escape < 3)
		return true;
	high = hex_value(m->escape[1]);
	low = hex_value(m->escape[2]);
	m->n_escape = 0;
	if (high < 0 || low < 0)
		return body_bad(m, "bad quoted-printable: '=' without two "
				   "hexadecimal digits");
	emit(m, (unsigned)(high << 4 | low));
	return true;
}

static void body_end(struct mail *m)
{
	if (m->in->st != ST_OK)
		m->body.st = m->in->st;
	else if (m->coding == CODING_BASE64)
		(void)base64_end(m);
	m->body.eof = m->body.st == ST_OK;
}

/* A piece of a line decodes to no more than its own size. */
_Static_assert(sizeof(((struct mail *)0)->chunk) <= SRC_BUF / 2, "room");

static void body_fill(struct src *s)
{
	struct mail *m = s->ctx;
	bool ok = true;

	if (!mail_chunk(m)) {
		m->ended = true;
		body_end(m);
		return;
	}
	if (mail_delimiter(m, &m->at_part)) {
		body_end(m);
		return;
	}
	for (size_t i = 0; i < m->n && ok; i++) {
		if (m->coding == CODING_BASE64)
			ok = base64_char(m, m->chunk[i]);
		else if (m->coding == CODING_QP)
			ok = qp_char(m, m->chunk[i]);
		else
			emit(m, (unsigned char)m->chunk[i]);
	}
}

/* ---- parts ---- */

/* Skips to where headers begin, or to the end. */
static void skip_to_part(struct mail *m)
{
	bool part = false;

	while (mail_chunk(m)) {
		if (!mail_delimiter(m, &part) || !part)
			continue;
		m->at_part = true;
		return;
	}
	m->ended = true;
}

static enum status open_multipart(struct mail *m, const struct headers *h)
{
	char *b = m->boundary[m->depth];

	if (m->depth == MAIL_DEPTH_MAX - 1)
		return src_fail(m->in, ST_REFUSED,
			"line %" PRIu64 ": more than %d multiparts inside one "
			"another",
			m->line, MAIL_DEPTH_MAX - 1);
	if (!parameter(h->type, "boundary", b, MAIL_BOUNDARY_MAX))
		return src_fail(m->in, ST_REFUSED,
			"line %" PRIu64 ": a multipart without a boundary (or "
			"with one of more than %d characters)",
			m->line, MAIL_BOUNDARY_MAX - 2);
	m->depth++;
	return ST_OK;
}

static void open_body(struct mail *m)
{
	src_init(&m->body, body_fill, m, m->err);
	m->bits = m->n_bits = m->pad = 0;
	m->n_escape = 0;
	m->at_part = false;
}

enum status mail_next(struct mail *m, bool *ret_found, struct err *err)
{
	struct headers h;
	enum status st = ST_OK;

	*ret_found = false;
	/* The very first headers need no delimiter. */
	if (m->body.fill == NULL)
		m->at_part = true;
	while (!m->ended && m->in->st == ST_OK) {
		if (!m->at_part) {
			skip_to_part(m);
			continue;
		}
		m->at_part = false;
		if (m->depth == 0)
			m->submitter[0] = '\0';
		st = mail_headers(m, &h);
		while (st == ST_OK && is_type(h.type, "message/rfc822"))
			st = mail_headers(m, &h);
		if (st == ST_OK && strncasecmp(h.type, "multipart/", 10) == 0)
			st = open_multipart(m, &h);
		else if (st == ST_OK && is_report(&h)) {
			st = coding_of(m, &h);
			if (st == ST_OK) {
				open_body(m);
				*ret_found = true;
				return ST_OK;
			}
		}
		if (st != ST_OK)
			return err->st;
	}
	return m->in->st;
}
