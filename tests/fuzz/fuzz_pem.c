/*
 * Keys, certificates and chains under hostile input. As PEM text, or, when the
 * first octet says so, as DER that is put into PEM here, so that what is in it
 * is reached. Checked: all readers name the same key alike, a key survives
 * being written, and what is said fit to go live is.
 */
#include "hook/tls/cert.h"
#include "hook/tls/chain.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>

#define MAX ((size_t)4 << 20)
#define NOW 1790000000

static const char *const labels[] = { "CERTIFICATE", "PRIVATE KEY",
	"EC PRIVATE KEY", "RSA PRIVATE KEY", "CERTIFICATE REQUEST",
	"PUBLIC KEY", "TRUSTED CERTIFICATE", "ENCRYPTED PRIVATE KEY" };
#define N_LABELS (sizeof(labels) / sizeof(labels[0]))

static void armour(
	const char *label, const uint8_t *der, size_t n, struct buf *ret)
{
	struct err err = ERR_INIT;
	char line[80];

	must(buf_printf(ret, &err, "-----BEGIN %s-----\n", label) == ST_OK);
	for (size_t at = 0; at < n; at += 48) {
		size_t len = n - at < 48 ? n - at : 48;

		(void)EVP_EncodeBlock(
			(unsigned char *)line, der + at, (int)len);
		must(buf_printf(ret, &err, "%s\n", line) == ST_OK);
	}
	must(buf_printf(ret, &err, "-----END %s-----\n", label) == ST_OK);
}

static struct key *keys(const char *pem, size_t n)
{
	struct key *k = NULL, *again = NULL;
	struct buf text = BUF_INIT(MAX);
	struct err err = ERR_INIT;
	struct spki spki;
	enum key_alg alg;
	enum status st = key_from_pem(pem, n, &k, &err);

	if (st != ST_OK) {
		must_err(st, &err);
		return NULL;
	}
	must(!spki_is_none(key_spki(k)) && key_algorithm(k) < KEY__COUNT);
	if (key_to_pem(k, &text, &err) == ST_OK) {
		must(key_from_pem(text.data, text.len, &again, &err) == ST_OK);
		must(spki_eq(key_spki(k), key_spki(again)));
		must(spki_from_pem(text.data, text.len, &spki, &alg, &err) ==
			ST_OK);
		must(spki_eq(&spki, key_spki(k)));
		key_free(again);
	}
	buf_release(&text);
	return k;
}

static void chains(const char *pem, size_t n, const struct cert_info *leaf)
{
	struct cert_chain c = { .n = 0 };
	struct buf first = BUF_INIT(MAX), rest = BUF_INIT(MAX);
	struct cert_info again = { .names = NULL };
	struct err err = ERR_INIT;
	enum status st = cert_chain_from_pem(pem, n, &c, &err);

	if (st != ST_OK)
		must_err(st, &err);
	must(c.n <= CHAIN_MAX && (st == ST_OK) == (c.n > 0));
	if (st == ST_OK && leaf != NULL)
		must(memcmp(c.cert[0].cert256, leaf->fingerprint.d, SPKI_LEN) ==
				0 &&
			spki_eq(&c.cert[0].spki, &leaf->spki));
	for (size_t i = 0; i < c.n; i++) {
		const struct cert_view *v = &c.cert[i];

		must(cert_view_matches(v, 1, 1, v->spki.d, SPKI_LEN));
		must(cert_view_matches(v, 0, 0, v->der, v->der_len));
		must(v->n_names <= CHAIN_NAMES_MAX);
		must(!v->self_signed || v->self_issued);
		(void)cert_view_covers(v, "mx1.example.com.");
	}
	cert_chain_release(&c);
	if (cert_split(pem, n, &first, &rest, &err) == ST_OK) {
		/* whose key OpenSSL does not know has no name */
		st = cert_info_read(first.data, first.len, &again, &err);
		must((st == ST_OK) == (leaf != NULL));
		must(leaf == NULL ||
			spki_eq(&again.fingerprint, &leaf->fingerprint));
		cert_info_release(&again);
	}
	buf_release(&first);
	buf_release(&rest);
}

static void all(const char *pem, size_t n)
{
	struct cert_info leaf = { .names = NULL };
	struct err err = ERR_INIT;
	struct spki spki;
	enum key_alg alg;
	struct key *k = keys(pem, n);
	enum status st = cert_info_read(pem, n, &leaf, &err);

	if (st == ST_OK) {
		must(leaf.n_names <= CERT_NAMES_MAX);
		for (size_t i = 0; i < leaf.n_names; i++)
			must(memchr(leaf.names[i], '\0', CERT_NAME_MAX) !=
				NULL);
		(void)cert_covers(&leaf, "mx1.example.com.");
	} else {
		must_err(st, &err);
	}
	chains(pem, n, st == ST_OK ? &leaf : NULL);
	if (spki_from_pem(pem, n, &spki, &alg, &err) == ST_OK)
		must(!spki_is_none(&spki) && alg < KEY__COUNT);
	/* The key may stand beside its certificate. */
	if (st == ST_OK &&
		cert_check(pem, n, pem, n, &leaf.spki, NOW, &err) == ST_OK) {
		must(k != NULL && spki_eq(key_spki(k), &leaf.spki));
		must(leaf.not_before <= NOW && NOW < leaf.not_after);
		must(key_prove(k, &err) == ST_OK);
	}
	cert_info_release(&leaf);
	key_free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(MAX);
	uint8_t *in;

	if (size > 1 << 16)
		return 0;
	if (size > 0 && data[0] < N_LABELS) {
		armour(labels[data[0]], data + 1, size - 1, &text);
		all(text.data, text.len);
		buf_release(&text);
		return 0;
	}
	in = exact(data, size);
	all((const char *)in, size);
	free(in);
	return 0;
}
