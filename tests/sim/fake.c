/*
 * Keys and certificates without cryptography: "KEY 17" is a private key,
 * "CERT 5 17 from until" a certificate on it. certbot's lineage, certbot itself
 * and the commands that reload mail software, by the linker's --wrap. What is
 * proved here needs no signatures, and a million lives need their time.
 */
#include "world.h"

#include "hook/base/proc.h"
#include "hook/issue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct key {
	int id;
	struct spki spki;
};

static struct key *key_of(int id)
{
	struct key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		abort();
	k->id = id;
	k->spki = spki_of_id(id);
	return k;
}

static void put_text(struct buf *b, const char *text)
{
	struct err err = ERR_INIT;

	if (buf_append(b, text, strlen(text), &err) != ST_OK)
		abort();
}

static void cert_text(const struct cert *c, struct buf *ret)
{
	char text[100];

	(void)snprintf(text, sizeof(text), "CERT %d %d %" PRId64 " %" PRId64
					   "\n",
		c->id, c->key, c->not_before_s, c->not_after_s);
	put_text(ret, text);
}

static void key_text(int id, struct buf *ret)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "KEY %d\n", id);
	put_text(ret, text);
}

static bool parse_cert(const char *text, struct cert *c)
{
	return sscanf(text, "CERT %d %d %" SCNd64 " %" SCNd64, &c->id, &c->key,
		       &c->not_before_s, &c->not_after_s) == 4;
}

static bool parse_key(const char *text, int *id)
{
	return sscanf(text, "KEY %d", id) == 1;
}

/* The world's own eyes use the same words. */
bool fake_read(const char *key, const char *chain, int *ret_id, int *ret_cert)
{
	struct cert c;

	if (key == NULL || chain == NULL || !parse_key(key, ret_id) ||
		!parse_cert(chain, &c) || c.key != *ret_id)
		return false;
	/* as the probe has it: tells certificates apart */
	*ret_cert = (int)(c.not_after_s);
	return true;
}

/* ---- keys ---- */

enum status __wrap_key_generate(
	enum key_alg alg, struct key **ret, struct err *err);
enum status __wrap_key_generate(
	enum key_alg alg, struct key **ret, struct err *err)
{
	(void)alg;
	(void)err;
	*ret = key_of(new_key(world));
	return ST_OK;
}

enum status __wrap_key_from_pem(
	const char *pem, size_t len, struct key **ret, struct err *err);
enum status __wrap_key_from_pem(
	const char *pem, size_t len, struct key **ret, struct err *err)
{
	int id;

	(void)len;
	if (!parse_key(pem, &id))
		return err_set(err, ST_REFUSED, "no key");
	*ret = key_of(id);
	return ST_OK;
}

enum status __wrap_key_to_pem(
	const struct key *k, struct buf *ret, struct err *err);
enum status __wrap_key_to_pem(
	const struct key *k, struct buf *ret, struct err *err)
{
	(void)err;
	key_text(k->id, ret);
	return ST_OK;
}

const struct spki *__wrap_key_spki(const struct key *k);
const struct spki *__wrap_key_spki(const struct key *k)
{
	return &k->spki;
}

enum key_alg __wrap_key_algorithm(const struct key *k);
enum key_alg __wrap_key_algorithm(const struct key *k)
{
	(void)k;
	return KEY_ECDSA_P256;
}

enum status __wrap_key_spki_sha512(
	const struct key *k, uint8_t ret[static 64], struct err *err);
enum status __wrap_key_spki_sha512(
	const struct key *k, uint8_t ret[static 64], struct err *err)
{
	(void)err;
	memset(ret, 0, 64);
	memcpy(ret, k->spki.d, sizeof(k->spki.d));
	return ST_OK;
}

void __wrap_key_free(struct key *k);
void __wrap_key_free(struct key *k)
{
	free(k);
}

/* ---- certificates ---- */

static void info_of(const struct cert *c, struct cert_info *ret)
{
	*ret = (struct cert_info){
		.spki = spki_of_id(c->key),
		.alg = KEY_ECDSA_P256,
		.not_before = c->not_before_s,
		.not_after = c->not_after_s,
		.n_names = 1,
	};
	ret->names = calloc(1, sizeof(*ret->names));
	if (ret->names == NULL)
		abort();
	(void)snprintf(ret->names[0], sizeof(ret->names[0]), "mx.example");
	/* its name: apart from every key's */
	ret->fingerprint = spki_of_id(c->id);
	ret->fingerprint.d[4] = 0xc;
}

enum status __wrap_cert_info_read(
	const char *pem, size_t len, struct cert_info *ret, struct err *err);
enum status __wrap_cert_info_read(
	const char *pem, size_t len, struct cert_info *ret, struct err *err)
{
	struct cert c;

	(void)len;
	if (!parse_cert(pem, &c))
		return err_set(err, ST_REFUSED, "no certificate");
	info_of(&c, ret);
	return ST_OK;
}

enum status __wrap_cert_check(const char *fullchain, size_t len,
	const char *key_pem, size_t key_len, const struct spki *expect,
	int64_t now_s, struct err *err);
enum status __wrap_cert_check(const char *fullchain, size_t len,
	const char *key_pem, size_t key_len, const struct spki *expect,
	int64_t now_s, struct err *err)
{
	struct cert c;
	int id;

	(void)len;
	(void)key_len;
	if (!parse_cert(fullchain, &c) || !parse_key(key_pem, &id) ||
		c.key != id || id != id_of_spki(expect))
		return err_set(err, ST_REFUSED, "the key does not match");
	if (now_s < c.not_before_s || now_s >= c.not_after_s)
		return err_set(err, ST_REFUSED, "not valid now");
	return ST_OK;
}

enum status __wrap_cert_split(const char *fullchain, size_t len,
	struct buf *leaf, struct buf *issuers, struct err *err);
enum status __wrap_cert_split(const char *fullchain, size_t len,
	struct buf *leaf, struct buf *issuers, struct err *err)
{
	(void)len;
	(void)err;
	put_text(leaf, fullchain);
	put_text(issuers, "CHAIN\n");
	return ST_OK;
}

/* ---- certbot's lineage ---- */

static struct line *line_at(const char *live_dir)
{
	return &world->line[line_of_name(world, strrchr(live_dir, '/') + 1)];
}

enum status __wrap_lineage_fingerprint(
	const char *live_dir, char *ret, size_t len, struct err *err);
enum status __wrap_lineage_fingerprint(
	const char *live_dir, char *ret, size_t len, struct err *err)
{
	(void)err;
	(void)snprintf(ret, len, "certificate %d",
		line_at(live_dir)->lineage.id);
	return ST_OK;
}

enum status __wrap_lineage_read(const char *live_dir, int64_t wait_ms,
	struct lineage_version *ret, struct err *err);
enum status __wrap_lineage_read(const char *live_dir, int64_t wait_ms,
	struct lineage_version *ret, struct err *err)
{
	const struct cert *c = &line_at(live_dir)->lineage;

	(void)wait_ms;
	(void)err;
	*ret = (struct lineage_version){
		.n = (unsigned)c->id,
		.key = BUF_INIT(1024),
		.cert = BUF_INIT(1024),
		.chain = BUF_INIT(1024),
		.fullchain = BUF_INIT(1024),
	};
	key_text(c->key, &ret->key);
	cert_text(c, &ret->cert);
	put_text(&ret->chain, "CHAIN\n");
	cert_text(c, &ret->fullchain);
	info_of(c, &ret->leaf);
	return ST_OK;
}

enum status __wrap_lineage_import(const char *live_dir,
	const struct buf *key_pem, const struct buf *cert_pem,
	const struct buf *chain_pem, const struct buf *fullchain_pem,
	unsigned *ret_n, struct err *err);
enum status __wrap_lineage_import(const char *live_dir,
	const struct buf *key_pem, const struct buf *cert_pem,
	const struct buf *chain_pem, const struct buf *fullchain_pem,
	unsigned *ret_n, struct err *err)
{
	struct line *l = line_at(live_dir);
	struct cert c;
	int id;

	(void)chain_pem;
	(void)fullchain_pem;
	law_effect(world, (size_t)(l - world->line), INTENT_IMPORT,
		"certbot's lineage changes");
	tick(world, SEC);
	if (mishap(world, world->issue_fails, "certbot holds its lock"))
		return err_set(err, ST_BUSY, "certbot is at work");
	if (!parse_cert(buf_str(cert_pem), &c) ||
		!parse_key(buf_str(key_pem), &id) || id != c.key) {
		violate(world, "what is imported does not fit together");
		return err_set(err, ST_REFUSED, "no");
	}
	l->lineage = c;
	l->by_us = true;
	*ret_n = (unsigned)c.id;
	return ST_OK;
}

enum status __wrap_lineage_config_dir(
	const char *live_dir, char **ret, struct err *err);
enum status __wrap_lineage_config_dir(
	const char *live_dir, char **ret, struct err *err)
{
	(void)live_dir;
	(void)err;
	*ret = strdup("/sim/certbot");
	return ST_OK;
}

/* ---- certbot ---- */

enum status __wrap_issue_csr(const struct issue_request *rq,
	struct issue_result *ret, struct err *err);
enum status __wrap_issue_csr(const struct issue_request *rq,
	struct issue_result *ret, struct err *err)
{
	struct world *w = world;
	struct cert c;

	*ret = (struct issue_result){ .cert = BUF_INIT(1024),
		.chain = BUF_INIT(1024), .fullchain = BUF_INIT(1024) };
	law_effect(w, (size_t)(line_at(rq->live_dir) - w->line), INTENT_ISSUE,
		"a certificate is asked for");
	tick(w, MIN);
	if (mishap(w, w->issue_fails / 2, "another certbot runs"))
		return err_set(err, ST_BUSY, "another certbot runs");
	ret->reached_ca = true;
	if (mishap(w, w->issue_fails, "the CA fails"))
		return err_set(err, ST_RETRY, "the CA fails");
	c = new_cert(w, rq->key->id);
	w->stats->issued++;
	tell(w, "certbot issues certificate %d on our key %d", c.id, c.key);
	cert_text(&c, &ret->cert);
	put_text(&ret->chain, "CHAIN\n");
	cert_text(&c, &ret->fullchain);
	info_of(&c, &ret->leaf);
	return ST_OK;
}

enum status __wrap_proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err);
enum status __wrap_proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err)
{
	(void)argv;
	(void)envp;
	(void)lim;
	(void)err;
	*ret = (struct proc_result){ .output = strdup("certbot 2.1.0\n") };
	return ST_OK;
}

/* "systemctl reload postfix": on each address, one after another. */
enum status __wrap_proc_shell(const char *command, const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err);
enum status __wrap_proc_shell(const char *command, const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err)
{
	struct world *w = world;

	(void)envp;
	(void)lim;
	(void)err;
	*ret = (struct proc_result){ .output = strdup("") };
	for (size_t i = 0; i < w->n_endpoints; i++) {
		if (strcmp(w->line[w->endpoint[i].line].name, command) != 0)
			continue;
		tick(w, SEC);
		if (mishap(w, w->reload_fails, "a reload fails")) {
			ret->exit_status = 1;
			continue;
		}
		if (w->endpoint[i].pointed &&
			!mishap(w, w->endpoint_sticks,
				"an address does not take the new key"))
			endpoint_reads(w, i);
	}
	return ST_OK;
}
