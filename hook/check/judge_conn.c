/*
 * State and code of each connection, and findings from them: equal failures of
 * a host become one finding whose "where" says on which addresses, for which
 * key algorithms, TLS versions and with or without SNI.
 *
 * The matrix is tentative: a job that forces one algorithm or version of TLS
 * and is refused is no failure when its sibling is served, and no verdict when
 * its sibling could not be tested. (RFC 7671 5; RFC 7672 3; dane.md S18-S25,
 * S58-S60, S71, L3, L4, L9a, E42, E50)
 */
#include "hook/check/judge.h"

#include "hook/check/reproduce.h"

#include <string.h>

/* ---- states ------------------------------------------------------------ */

static bool is_served(const struct check_conn *k)
{
	return k->job.result == PROBE_SERVED;
}

/* Did the server itself, and not the way to it, stop us? */
static bool is_unknown(const struct check_conn *k)
{
	return k->job.result == PROBE_NO_CONNECT ||
	       k->job.result == PROBE_TIMEOUT ||
	       k->job.result == PROBE_PROTOCOL;
}

static void set(struct check_conn *k, enum conn_state s, enum check_code code)
{
	k->state = s;
	k->code = code;
}

static void dane_state(const struct check *c, struct check_conn *k)
{
	const struct probe_job *j = &k->job;

	switch (j->dane) {
	case PROBE_DANE_NONE:
		set(k, CONN_ENCRYPTED, CODE_NONE);
		return;
	case PROBE_DANE_OK:
		set(k, CONN_OK, CODE_NONE);
		if (c->profile != PROFILE_EXCHANGE)
			return;
		if (j->not_after != 0 && c->now_s > j->not_after)
			set(k, CONN_FAIL, CODE_CERT_EXPIRED);
		else if (j->not_before != 0 && c->now_s < j->not_before)
			set(k, CONN_FAIL, CODE_CERT_NOT_YET);
		return;
	case PROBE_DANE_NO_MATCH:
		set(k, CONN_FAIL, CODE_TLSA_MISMATCH);
		return;
	case PROBE_DANE_NAME:
		set(k, CONN_FAIL, CODE_NAME_MISMATCH);
		return;
	case PROBE_DANE_EXPIRED:
		set(k, CONN_FAIL, CODE_CERT_EXPIRED);
		return;
	case PROBE_DANE_NOT_YET:
		set(k, CONN_FAIL, CODE_CERT_NOT_YET);
		return;
	case PROBE_DANE_CHAIN:
		set(k, CONN_FAIL, CODE_CHAIN_INVALID);
		return;
	}
}

/* Same address, and the same answer to the question of SNI. */
static bool are_siblings(const struct check_conn *a, const struct check_conn *b)
{
	return a != b && a->job.no_sni == b->job.no_sni &&
	       strcmp(a->addr, b->addr) == 0;
}

static bool other_way(const struct check_conn *k, const struct check_conn *s)
{
	return k->job.result == PROBE_NO_VERSION
		       ? s->job.version != k->job.version
		       : s->job.alg != k->job.alg;
}

/* The connection that forces nothing, if there is one: what a sender does. */
static const struct check_conn *unforced(
	const struct check_host *h, const struct check_conn *k)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (are_siblings(k, &h->conn[i]) &&
			h->conn[i].job.alg == PROBE_ANY)
			return &h->conn[i];
	return NULL;
}

/* Servers from before TLS 1.3 take our greeting for one that has no cipher they
 * know, and refuse the algorithm when they mean the version. */
static bool is_version_after_all(
	const struct check_host *h, const struct check_conn *k)
{
	if (k->job.result != PROBE_NO_CERT || k->job.version != PROBE_TLS13)
		return false;
	for (size_t i = 0; i < h->n_conns; i++)
		if (are_siblings(k, &h->conn[i]) && is_served(&h->conn[i]) &&
			h->conn[i].job.alg == k->job.alg &&
			h->conn[i].job.version == PROBE_TLS12)
			return true;
	return false;
}

/* NO_CERT, NO_VERSION: of this kind only, or altogether? */
static void refused_state(const struct check_host *h, struct check_conn *k)
{
	const struct check_conn *unknown = NULL, *free_choice = unforced(h, k);
	bool refused = false;

	if (free_choice != NULL && is_version_after_all(h, k)) {
		if (is_served(free_choice))
			set(k, CONN_ABSENT, CODE_NONE);
		else
			set(k, CONN_FAIL, CODE_HANDSHAKE);
		return;
	}

	for (size_t i = 0; i < h->n_conns; i++) {
		const struct check_conn *s = &h->conn[i];

		if (!are_siblings(k, s) || !other_way(k, s) ||
			(s == free_choice && k->job.result == PROBE_NO_CERT))
			continue;
		if (is_served(s)) {
			set(k, CONN_ABSENT, CODE_NONE);
			return;
		}
		if (is_unknown(s))
			unknown = s;
		else
			refused = true;
	}
	if (unknown == NULL || refused)
		set(k, CONN_FAIL, CODE_HANDSHAKE);
	else
		set(k, CONN_UNTESTED,
			unknown->job.result == PROBE_TIMEOUT    ? CODE_TIMEOUT
			: unknown->job.result == PROBE_PROTOCOL ? CODE_PROTOCOL
								: CODE_CONNECT);
}

static void first_state(
	const struct check *c, const struct check_host *h, struct check_conn *k)
{
	switch (k->job.result) {
	case PROBE_SERVED:
		dane_state(c, k);
		return;
	case PROBE_NO_CERT:
	case PROBE_NO_VERSION:
		refused_state(h, k);
		return;
	case PROBE_NO_CONNECT:
		set(k, CONN_UNTESTED, CODE_CONNECT);
		return;
	case PROBE_UNTESTABLE:
		set(k, CONN_UNTESTED, CODE_UNTESTABLE);
		return;
	case PROBE_NO_STARTTLS:
		set(k, CONN_FAIL,
			k->job.offered ? CODE_STARTTLS_REFUSED
				       : CODE_STARTTLS_MISSING);
		return;
	case PROBE_PROTOCOL:
		set(k, CONN_UNTESTED, CODE_PROTOCOL);
		return;
	case PROBE_HANDSHAKE:
		set(k, CONN_FAIL, CODE_HANDSHAKE);
		return;
	case PROBE_TIMEOUT:
		set(k, CONN_UNTESTED, CODE_TIMEOUT);
		return;
	}
}

/* ---- why nothing matches ----------------------------------------------- */

static bool is_hidden_match(
	const struct check_host *h, const struct check_conn *k)
{
	for (size_t i = 0; i < h->rrset.n; i++)
		if (h->record[i].usable && h->record[i].hidden &&
			judge_rr_depth(h->record[i].rr, &k->job) >= 0)
			return true;
	return false;
}

/* Only issuers are published, and none of them is on the wire. */
static bool is_issuer_missing(
	const struct check_host *h, const struct check_conn *k)
{
	size_t n = 0;

	for (size_t i = 0; i < h->rrset.n; i++) {
		if (!h->record[i].usable)
			continue;
		if (h->record[i].rr->usage != 2 ||
			judge_rr_depth(h->record[i].rr, &k->job) >= 0)
			return false;
		n++;
	}
	return n > 0;
}

/* Is all well at this address with SNI? Either for the same algorithm and
 * version, or for whatever is served at all. */
static bool is_ok_with_sni(
	const struct check_host *h, const struct check_conn *k)
{
	bool ok = false, fail = false;

	for (size_t i = 0; i < h->n_conns; i++) {
		const struct check_conn *s = &h->conn[i];

		if (s->job.no_sni || strcmp(s->addr, k->addr) != 0)
			continue;
		if (s->state == CONN_OK && s->job.alg == k->job.alg &&
			s->job.version == k->job.version)
			return true;
		ok |= s->state == CONN_OK;
		fail |= s->state == CONN_FAIL;
	}
	return ok && !fail;
}

static bool is_ok_with_other_alg(
	const struct check_host *h, const struct check_conn *k)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].state == CONN_OK &&
			h->conn[i].job.alg != k->job.alg &&
			are_siblings(k, &h->conn[i]))
			return true;
	return false;
}

static enum check_code why_mismatch(
	const struct check_host *h, const struct check_conn *k)
{
	if (is_hidden_match(h, k))
		return CODE_TLSA_HIDDEN;
	if (k->job.no_sni && is_ok_with_sni(h, k))
		return CODE_TLSA_MISMATCH_NO_SNI;
	if (is_ok_with_other_alg(h, k))
		return CODE_TLSA_MISMATCH_ALG;
	if (is_issuer_missing(h, k))
		return CODE_TLSA_ISSUER_NOT_SENT;
	return CODE_TLSA_MISMATCH;
}

void judge_states(const struct check *c, struct check_host *h)
{
	for (size_t i = 0; i < h->n_conns; i++)
		first_state(c, h, &h->conn[i]);
	/* Only codes change here, and only states are compared. */
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].state == CONN_FAIL &&
			h->conn[i].code == CODE_TLSA_MISMATCH)
			h->conn[i].code = why_mismatch(h, &h->conn[i]);
}

/* ---- findings: what is wrong with a connection ------------------------- */

/* Equal troubles of a host are one finding. */
struct trouble {
	enum check_code code; /* CODE_NONE: none */
	enum finding_level level;
	const struct spki *key; /* part of what is equal; may be NULL */
};
typedef struct trouble (*trouble_fn)(const struct check *c,
	const struct check_host *h, const struct check_conn *k);

static bool same_trouble(const struct trouble *a, const struct trouble *b)
{
	return a->code == b->code && a->level == b->level &&
	       (a->key == NULL) == (b->key == NULL) &&
	       (a->key == NULL || spki_eq(a->key, b->key));
}

static bool was_any_tested(const struct check_host *h)
{
	for (size_t i = 0; i < h->n_conns; i++)
		if (h->conn[i].state != CONN_UNTESTED)
			return true;
	return false;
}

static struct trouble state_trouble(const struct check *c,
	const struct check_host *h, const struct check_conn *k)
{
	struct trouble t = { .code = k->code, .level = FINDING_WARN };

	(void)c;
	if (k->state != CONN_FAIL && k->state != CONN_UNTESTED)
		return (struct trouble){ .code = CODE_NONE };
	/* Without TLSA records TLS is optional: a sender goes on without. */
	if (k->state == CONN_FAIL && h->dane == HOST_TLSA)
		t.level = FINDING_FAIL;
	if (k->code == CODE_UNTESTABLE && was_any_tested(h))
		t.level = FINDING_INFO;
	if (is_served(k))
		t.key = &k->job.spki;
	return t;
}

/* A sender of the profile rfc does not look at them. */
static struct trouble date_trouble(const struct check *c,
	const struct check_host *h, const struct check_conn *k)
{
	struct trouble t = { .level = FINDING_WARN, .key = &k->job.spki };

	(void)h;
	if (k->state != CONN_OK)
		return t;
	if (k->job.not_after != 0 && c->now_s > k->job.not_after)
		t.code = CODE_CERT_EXPIRED;
	else if (k->job.not_before != 0 && c->now_s < k->job.not_before)
		t.code = CODE_CERT_NOT_YET;
	return t;
}

static struct trouble name_trouble(const struct check *c,
	const struct check_host *h, const struct check_conn *k)
{
	struct trouble t = { .level = FINDING_INFO, .key = &k->job.spki };

	(void)c;
	if (k->state == CONN_OK && k->job.depth == 0 && k->job.chain.n > 0 &&
		!cert_view_covers(&k->job.chain.cert[0], h->base_bare))
		t.code = CODE_NAME_INFO;
	return t;
}

/* Unforced, an RSA key is told from curves by its length. */
static struct trouble weak_trouble(const struct check *c,
	const struct check_host *h, const struct check_conn *k)
{
	struct trouble t = { .level = FINDING_WARN, .key = &k->job.spki };
	int bits, least = k->job.alg == PROBE_RSA ? 0 : 521;

	(void)c;
	(void)h;
	if (!is_served(k) || k->job.chain.n == 0 || k->job.alg == PROBE_ECDSA)
		return t;
	bits = k->job.chain.cert[0].key_bits;
	if (k->job.chain.cert[0].alg == KEY_OTHER && bits > least &&
		bits < 2048)
		t.code = CODE_KEY_WEAK;
	return t;
}

static struct trouble tls12_trouble(const struct check *c,
	const struct check_host *h, const struct check_conn *k)
{
	struct trouble t = { .level = FINDING_WARN };
	bool other = false;

	(void)c;
	if (k->job.version != PROBE_TLS12 || k->job.result != PROBE_NO_VERSION)
		return t;
	for (size_t i = 0; i < h->n_conns; i++) {
		const struct check_conn *s = &h->conn[i];

		if (strcmp(s->addr, k->addr) != 0 || !is_served(s))
			continue;
		if (s->job.version == PROBE_TLS12)
			return t;
		other = true;
	}
	if (other)
		t.code = CODE_TLS12_MISSING;
	return t;
}

/* ---- findings: where ---------------------------------------------------- */

struct extent {
	unsigned algs, versions, sni; /* bit sets */
};

static void extend(struct extent *e, const struct check_conn *k)
{
	e->algs |= 1U << k->job.alg;
	e->versions |= 1U << k->job.version;
	e->sni |= k->job.no_sni ? 2U : 1U;
}

static bool is_first_of_address(const struct check *c,
	const struct check_host *h, size_t at, trouble_fn fn,
	const struct trouble *t)
{
	for (size_t i = 0; i < at; i++) {
		struct trouble o = fn(c, h, &h->conn[i]);

		if (strcmp(h->conn[i].addr, h->conn[at].addr) == 0 &&
			same_trouble(&o, t))
			return false;
	}
	return true;
}

/* Says only what narrows it: not "RSA" where nothing but RSA works. */
static void put_extent(
	struct finding *f, const struct extent *e, const struct extent *all)
{
	if (e->algs != all->algs)
		ADD(f->where, "%s%s%s",
			(e->algs & 1U << PROBE_RSA) != 0 ? " RSA" : "",
			(e->algs & 1U << PROBE_ECDSA) != 0 ? " ECDSA" : "",
			(e->algs & 1U << PROBE_ANY) != 0 ? " unforced" : "");
	if (e->versions != all->versions)
		ADD(f->where, "%s%s",
			(e->versions & 1U << PROBE_TLS12) != 0 ? " TLSv1.2"
							       : "",
			(e->versions & 1U << PROBE_TLS13) != 0 ? " TLSv1.3"
							       : "");
	if (e->sni != all->sni)
		ADD(f->where, "%s",
			(e->sni & 2U) != 0 ? " without SNI" : " with SNI");
}

static void put_where(const struct check *c, const struct check_host *h,
	trouble_fn fn, const struct trouble *t, struct finding *f)
{
	struct extent part = { 0 }, all = { 0 };
	size_t addresses = 0;

	judge_endpoint(f->where, sizeof(f->where), h);
	for (size_t i = 0; i < h->n_conns; i++) {
		const struct check_conn *k = &h->conn[i];
		struct trouble o = fn(c, h, k);

		if (k->state == CONN_OK || k->state == CONN_ENCRYPTED ||
			k->state == CONN_FAIL)
			extend(&all, k);
		if (!same_trouble(&o, t))
			continue;
		extend(&part, k);
		if (!is_first_of_address(c, h, i, fn, t))
			continue;
		if (++addresses <= 4)
			ADD(f->where, "%s%s", addresses == 1 ? " [" : ", ",
				k->addr);
	}
	if (addresses > 4)
		ADD(f->where, " and %zu more", addresses - 4);
	ADD(f->where, "]");
	if (t->code == CODE_CONNECT || t->code == CODE_UNTESTABLE)
		return; /* happens before any of the rest is chosen */
	put_extent(f, &part, &all);
}

/* ---- findings: text ------------------------------------------------------ */

struct wording {
	enum check_code code;
	enum reproduce line;
	const char *text, *remedy;
};

static const char publish_it[] =
	"At once: publish the 3 1 1 record of the served key beside the "
	"others, or serve a key whose record is published. Senders see a new "
	"record when the TTL of the old answer is over. Remove nothing yet.";

static const struct wording wordings[] = {
	{ CODE_STARTTLS_MISSING, REPRODUCE_PLAIN,
		"the server does not offer STARTTLS to us",
		"Switch TLS on for every client (Postfix: "
		"smtpd_tls_security_level = may, and key and certificate), "
		"and see that no firewall rewrites the dialogue." },
	{ CODE_STARTTLS_REFUSED, REPRODUCE_PLAIN,
		"the server offers STARTTLS and then refuses it",
		"Its log says why: most often it cannot read its key or its "
		"certificate." },
	{ CODE_HANDSHAKE, REPRODUCE_PLAIN, "the TLS handshake fails",
		"Its log says why: protocols, ciphers, or a key that does not "
		"belong to the certificate. It must not need SNI." },
	{ CODE_CERT_EXPIRED, REPRODUCE_DATES,
		"the certificate has expired; Exchange Online rejects it, "
		"senders that follow RFC 7672 do not look when the record has "
		"usage 3",
		"Renew it, with the same key (then no TLSA record changes)." },
	{ CODE_CERT_NOT_YET, REPRODUCE_DATES,
		"the certificate is not valid yet; Exchange Online rejects it",
		"Look at the clock of the server and of this machine; else "
		"serve the former certificate until then." },
	{ CODE_TLSA_MISMATCH, REPRODUCE_DANE,
		"no TLSA record matches the certificate that is served",
		publish_it },
	{ CODE_TLSA_MISMATCH_NO_SNI, REPRODUCE_KEY,
		"clients that send no SNI get another certificate, and no "
		"TLSA record matches it; few senders send SNI",
		"Make the certificate that matches the default one of the "
		"server, or publish the record of the other key too." },
	{ CODE_TLSA_MISMATCH_ALG, REPRODUCE_DANE,
		"the server has certificates of two key algorithms, and no "
		"TLSA record matches this one; which one a sender gets is the "
		"sender's choice",
		"Publish the 3 1 1 record of this key too, or take this "
		"certificate out of the server." },
	{ CODE_TLSA_HIDDEN, REPRODUCE_DANE,
		"a record of the served key is there, but another one of the "
		"same usage and selector with a stronger digest hides it: "
		"clients look at the strongest digest only (RFC 7671 9)",
		"Publish the stronger digest for every key that is served or "
		"will be. Remove the records that have it only if no served "
		"key depends on them." },
	{ CODE_TLSA_ISSUER_NOT_SENT, REPRODUCE_DANE,
		"the records name an issuer, and the server does not send "
		"that issuer's certificate; senders have no store to look in",
		"Append the issuer's certificate to the chain that the server "
		"sends, or (better) publish 3 1 1 records." },
	{ CODE_NAME_MISMATCH, REPRODUCE_DANE,
		"the record has usage 2, so names count, and none of those in "
		"the certificate is the host's or the domain's",
		"Get a certificate with the name of the host in it, or "
		"publish a 3 1 1 record." },
	{ CODE_CHAIN_INVALID, REPRODUCE_DANE,
		"the chain does not lead from the certificate to the issuer "
		"in the record",
		"Send the whole chain in order: leaf first, then each issuer "
		"up to the one in the record." },
	{ CODE_CONNECT, REPRODUCE_PLAIN, "no connection",
		"See whether the server runs and listens at this address, and "
		"whether a firewall or the provider of this machine blocks "
		"the port." },
	{ CODE_TIMEOUT, REPRODUCE_PLAIN, "the server stopped answering in time",
		"Senders wait longer than we do; try again, and look at its "
		"load and at tarpits for unknown clients." },
	{ CODE_PROTOCOL, REPRODUCE_PLAIN,
		"the dialogue before TLS did not get to STARTTLS",
		"See what it answers; a server that refuses clients that it "
		"does not know cannot be tested from here." },
	{ CODE_UNTESTABLE, REPRODUCE_PLAIN,
		"this machine has no route to the address; nothing is known "
		"about it",
		"Run the check from a machine that has IPv4 and IPv6, or "
		"choose one with -4 or -6." },
	{ CODE_TLS12_MISSING, REPRODUCE_PLAIN,
		"the server speaks TLS 1.3 only; senders that do not know it "
		"yet fail",
		"Allow TLS 1.2 as well (RFC 7672 asks for it in all but "
		"name)." },
	{ CODE_NAME_INFO, REPRODUCE_NAMES,
		"the name of the host is not in the certificate; with usage 3 "
		"that does not matter to DANE, but it does to MTA-STS",
		"Nothing to do for DANE; add the name when you renew." },
	{ CODE_KEY_WEAK, REPRODUCE_TEXT,
		"the RSA key has less than 2048 bits; many TLS libraries "
		"refuse it",
		"Make a new key of 2048 bits or on P-256, and roll over to "
		"it." },
};

static const struct wording *wording(enum check_code code)
{
	for (size_t i = 0; i < sizeof(wordings) / sizeof(wordings[0]); i++)
		if (wordings[i].code == code)
			return &wordings[i];
	return &wordings[0];
}

static bool is_mismatch(enum check_code code)
{
	return code == CODE_TLSA_MISMATCH ||
	       code == CODE_TLSA_MISMATCH_NO_SNI ||
	       code == CODE_TLSA_MISMATCH_ALG || code == CODE_TLSA_HIDDEN ||
	       code == CODE_TLSA_ISSUER_NOT_SENT;
}

static void put_text(const struct check_host *h, const struct check_conn *k,
	enum check_code code, struct finding *f)
{
	const struct wording *w = wording(code);
	enum reproduce line = w->line;
	char hex[SPKI_HEX];

	SAY(f->text, "%s", w->text);
	if (is_mismatch(code) && !spki_is_none(&k->job.spki))
		ADD(f->text, ". The served key is 3 1 1 %s",
			spki_hex(&k->job.spki, hex));
	else if (!is_served(k) && k->job.why[0] != '\0')
		ADD(f->text, ": %s", k->job.why);
	SAY(f->remedy, "%s", w->remedy);
	/* Usage 2: OpenSSL itself finds the date wrong. */
	if (line == REPRODUCE_DATES && k->job.dane != PROBE_DANE_OK)
		line = REPRODUCE_DANE;
	reproduce_conn(f->reproduce, sizeof(f->reproduce), h, k, line);
}

static enum status find_troubles(
	struct check *c, int host, trouble_fn fn, struct err *err)
{
	const struct check_host *h = &c->host[host];

	for (size_t i = 0; i < h->n_conns; i++) {
		struct trouble t = fn(c, h, &h->conn[i]);
		struct finding *f;
		bool known = t.code == CODE_NONE;

		for (size_t k = 0; k < i && !known; k++) {
			struct trouble o = fn(c, h, &h->conn[k]);

			known = same_trouble(&o, &t);
		}
		if (known)
			continue;
		f = check_find(c, t.code, t.level, host, err);
		if (f == NULL)
			return err->st;
		put_where(c, h, fn, &t, f);
		put_text(h, &h->conn[i], t.code, f);
	}
	return ST_OK;
}

enum status judge_conns(struct check *c, int host, struct err *err)
{
	static const trouble_fn all[] = { state_trouble, date_trouble,
		tls12_trouble, weak_trouble, name_trouble };
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < sizeof(all) / sizeof(all[0]); i++)
		st = find_troubles(c, host, all[i], err);
	return st;
}
