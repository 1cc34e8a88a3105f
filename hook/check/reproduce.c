/*
 * Builds the lines of reproduce.h. Words of safe characters stay bare, so that
 * the usual line is easy to read; every other word goes into single quotes,
 * inside which a shell interprets nothing. A name never begins an argument that
 * could be an option: dig and delv get it after -q, when it starts oddly.
 */
#include "hook/check/reproduce.h"

#include <stdio.h>
#include <string.h>

struct line {
	char *out;
	size_t len, max;
	bool full;
};

static void put_octet(struct line *l, char c)
{
	if (l->len + 1 >= l->max) {
		l->full = true;
		return;
	}
	l->out[l->len++] = c;
	l->out[l->len] = '\0';
}

/* Constants of ours only. */
static void put(struct line *l, const char *text)
{
	for (; *text != '\0'; text++)
		put_octet(l, *text);
}

static bool is_safe(const char *word)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789-_.:/@+,=%";

	return *word != '\0' && word[strspn(word, safe)] == '\0';
}

/* Inside the quotes that word() opens. */
static void put_quoted(struct line *l, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '\'')
			put(l, "'\\''");
		else
			put_octet(l, c < 0x20 || c >= 0x7f ? '?' : *text);
	}
}

static void word(struct line *l, const char *text)
{
	put_octet(l, ' ');
	if (is_safe(text)) {
		put(l, text);
		return;
	}
	put_octet(l, '\'');
	put_quoted(l, text);
	put_octet(l, '\'');
}

static struct line line_start(char *ret, size_t len)
{
	ret[0] = '\0';
	return (struct line){ .out = ret, .max = len };
}

static void line_end(struct line *l)
{
	if (l->full)
		l->out[0] = '\0';
}

/* ---- openssl s_client -------------------------------------------------- */

static const char *starttls(enum probe_proto p)
{
	switch (p) {
	case PROTO_SMTP:
		return " -starttls smtp";
	case PROTO_IMAP:
		return " -starttls imap";
	case PROTO_POP3:
		return " -starttls pop3";
	case PROTO_SIEVE:
		return " -starttls sieve";
	case PROTO_LDAP:
		return " -starttls ldap";
	case PROTO_XMPP:
		return " -starttls xmpp -xmpphost";
	case PROTO_XMPP_SERVER:
		return " -starttls xmpp-server -xmpphost";
	case PROTO_TLS:
		break;
	}
	return "";
}

static const char *version(enum probe_version v)
{
	switch (v) {
	case PROBE_TLS12:
		return " -tls1_2";
	case PROBE_TLS13:
		return " -tls1_3";
	case PROBE_TLS_ANY:
		break;
	}
	return "";
}

static const char *algorithm(enum probe_alg a)
{
	switch (a) {
	case PROBE_RSA:
		return " -sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256"
		       " -cipher aRSA";
	case PROBE_ECDSA:
		return " -sigalgs ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384"
		       " -cipher aECDSA";
	case PROBE_ANY:
		break;
	}
	return "";
}

static void put_connect(
	struct line *l, const struct check_host *h, const struct check_conn *k)
{
	bool v6 = strchr(k->addr, ':') != NULL;
	char to[sizeof(k->addr) + 16];

	put(l, "openssl s_client -connect");
	(void)snprintf(to, sizeof(to), v6 ? "[%s]:%u" : "%s:%u", k->addr,
		(unsigned)h->port);
	word(l, to);
	put(l, starttls(k->job.proto));
	if (k->job.proto == PROTO_XMPP || k->job.proto == PROTO_XMPP_SERVER)
		word(l, h->base_bare);
	if (k->job.no_sni) {
		put(l, " -noservername");
	} else {
		put(l, " -servername");
		word(l, h->base_bare);
	}
}

static void put_record(struct line *l, const struct tlsa *rr)
{
	char octet[8];

	(void)snprintf(octet, sizeof(octet), "%u %u %u ", rr->usage & 3U,
		rr->selector & 1U, rr->mtype & 3U);
	put(l, " -dane_tlsa_rrdata '");
	put(l, octet);
	for (size_t i = 0; i < rr->len && !l->full; i++) {
		(void)snprintf(octet, sizeof(octet), "%02x", rr->data[i]);
		put(l, octet);
	}
	put_octet(l, '\'');
}

static bool has_records(const struct check_host *h)
{
	for (size_t i = 0; i < h->rrset.n; i++)
		if (tlsa_usable(&h->rrset.rr[i], NULL))
			return true;
	return false;
}

static void put_dane(struct line *l, const struct check_host *h)
{
	put(l, " -dane_tlsa_domain");
	word(l, h->base_bare);
	for (size_t i = 0; i < h->rrset.n; i++)
		if (tlsa_usable(&h->rrset.rr[i], NULL))
			put_record(l, &h->rrset.rr[i]);
	put(l, " -dane_ee_no_namechecks -verify_return_error");
}

/* For RRsets that are too large for one line: they are fetched when it runs.
 * xargs takes care of the quotes and gives the command an empty stdin. */
static void put_dane_fetched(
	struct line *l, const struct check_host *h, const struct check_conn *k)
{
	put(l, "dig +short -q");
	word(l, h->owner);
	put(l, " -t TLSA | sed -n "
	       "\"s/^[23] [01] [012] .*/-dane_tlsa_rrdata '&'/p\" | xargs ");
	put_connect(l, h, k);
	put(l, " -dane_tlsa_domain");
	word(l, h->base_bare);
	put(l, " -dane_ee_no_namechecks -verify_return_error");
	put(l, version(k->job.version));
	put(l, algorithm(k->job.alg));
}

static const char *tail(enum reproduce what)
{
	switch (what) {
	case REPRODUCE_DANE:
	case REPRODUCE_PLAIN:
		break;
	case REPRODUCE_KEY:
		return " 2>/dev/null | openssl x509 -noout -pubkey | openssl "
		       "pkey -pubin -outform DER | openssl dgst -sha256";
	case REPRODUCE_DATES:
		return " 2>/dev/null | openssl x509 -noout -subject -dates";
	case REPRODUCE_NAMES:
		return " 2>/dev/null | openssl x509 -noout -subject -ext "
		       "subjectAltName";
	case REPRODUCE_TEXT:
		return " 2>/dev/null | openssl x509 -noout -text";
	}
	return "";
}

void reproduce_conn(char *ret, size_t len, const struct check_host *h,
	const struct check_conn *k, enum reproduce what)
{
	struct line l = line_start(ret, len);

	if (what == REPRODUCE_DANE && k->job.no_sni)
		what = REPRODUCE_KEY;
	if (what == REPRODUCE_DANE && !has_records(h))
		what = REPRODUCE_PLAIN;
	put_connect(&l, h, k);
	if (what == REPRODUCE_DANE)
		put_dane(&l, h);
	put(&l, version(k->job.version));
	put(&l, algorithm(k->job.alg));
	put(&l, " </dev/null");
	put(&l, tail(what));
	if (l.full && what == REPRODUCE_DANE) {
		l = line_start(ret, len);
		put_dane_fetched(&l, h, k);
	}
	line_end(&l);
}

/* ---- dig and delv ------------------------------------------------------ */

static void put_question(struct line *l, const char *name, uint16_t type)
{
	char text[16];
	bool odd = strchr("-+@", name[0]) != NULL; /* also when empty */

	if (odd)
		put(l, " -q");
	word(l, name);
	if (odd)
		put(l, " -t");
	word(l, dns_type_name(type, text));
}

void reproduce_server(char *ret, size_t len, const char *server,
	const char *name, uint16_t type, bool tcp)
{
	struct line l = line_start(ret, len);
	const char *port = strchr(server, '@');
	char at[ADDR_TEXT_MAX + 1] = "@";

	(void)snprintf(at + 1, sizeof(at) - 1, "%.*s",
		(int)(port != NULL ? (size_t)(port - server) : strlen(server)),
		server);
	put(&l, "dig +dnssec +norecurse");
	word(&l, at);
	if (port != NULL) {
		put(&l, " -p");
		word(&l, port + 1);
	}
	put_question(&l, name, type);
	put(&l, tcp ? " +tcp" : "");
	line_end(&l);
}

void reproduce_lookup(char *ret, size_t len, const char *name, uint16_t type)
{
	struct line l = line_start(ret, len);

	put(&l, "dig +dnssec");
	put_question(&l, name, type);
	line_end(&l);
}

void reproduce_validate(char *ret, size_t len, const char *name, uint16_t type)
{
	struct line l = line_start(ret, len);

	put(&l, "delv +vtrace");
	put_question(&l, name, type);
	line_end(&l);
}
