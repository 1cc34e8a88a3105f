/*
 * Answers to queries and updates with TSIG. The exchange over TCP is replaced:
 * the input says what comes back, octet 0 how:
 *   'f'  as it is, under our ID: nobody who lacks the key can say anything that
 *        counts, so reading and changing must fail;
 *   's'  signed with our key, as a server that went mad would;
 *   'm'  signed, and then one octet of one of them changed: must be noticed.
 * Octet 1 is odd when the zone is configured, and its half says which one.
 * An answer is two octets of flags, then the counts of three sections, then
 * the records; the header and the question are put before it here.
 */
#include "providers/rfc2136.h"

/* All of the file but its last word. */
#define rfc2136_exchange rfc2136_exchange_real_
enum status rfc2136_exchange_real_(const struct rfc2136_server *sv,
	int64_t timeout_ms, const uint8_t *query, size_t len, uint8_t **ret,
	size_t *ret_len, struct err *err);
#include "providers/rfc2136_tcp.c"
#undef rfc2136_exchange

#include "providers/provider.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define OWNER "_25._tcp.mx1.example.com."
#define KEY_FILE \
	"key \"k\" { algorithm hmac-sha256; secret \"c2VjcmV0c2VjcmV0\"; };\n"
#define SECRET "secretsecret"
#define MAC_LEN 32
/* k. TSIG ANY 0, hmac-sha256., time, fudge, MAC, ID, error, other */
#define TSIG_NAME "\1k"
#define TSIG_ALGORITHM "\13hmac-sha256"
#define TSIG_TAIL (MAC_LEN + 6)

enum how { HOW_FORGED, HOW_SIGNED, HOW_MANGLED };

static struct in input;
static enum how how;
static bool mangled;
static unsigned answers, to_mangle;
static int64_t now_s;

struct out {
	uint8_t w[70000];
	size_t n;
};

static void put(struct out *o, const void *p, size_t n)
{
	must(n <= sizeof(o->w) - o->n);
	memcpy(o->w + o->n, p, n);
	o->n += n;
}

static void put16(struct out *o, unsigned v)
{
	uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(o, b, 2);
}

static void put_time(struct out *o, int64_t t)
{
	put16(o, (unsigned)(t >> 32) & 0xffff);
	put16(o, (unsigned)(t >> 16) & 0xffff);
	put16(o, (unsigned)t & 0xffff);
}

/* RFC 8945 4.3 and 5.4.2: our MAC, the message, the variables. */
static void sign(struct out *o, const uint8_t *query, size_t len)
{
	static struct out digest;
	const uint8_t *mac = query + len - TSIG_TAIL;
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	digest.n = 0;
	put16(&digest, MAC_LEN);
	put(&digest, mac, MAC_LEN);
	put(&digest, o->w, o->n);
	put(&digest, TSIG_NAME, sizeof(TSIG_NAME));
	put(&digest, "\0\xff\0\0\0\0", 6);
	put(&digest, TSIG_ALGORITHM, sizeof(TSIG_ALGORITHM));
	put_time(&digest, now_s);
	put16(&digest, RFC2136_FUDGE);
	put(&digest, "\0\0\0\0", 4);
	must(HMAC(EVP_sha256(), SECRET, (int)strlen(SECRET), digest.w, digest.n,
		     sum, &n) != NULL &&
		n == MAC_LEN);
	put(o, TSIG_NAME, sizeof(TSIG_NAME));
	put(o, "\0\xfa\0\xff\0\0\0\0", 8);
	put16(o, sizeof(TSIG_ALGORITHM) + 10 + TSIG_TAIL);
	put(o, TSIG_ALGORITHM, sizeof(TSIG_ALGORITHM));
	put_time(o, now_s);
	put16(o, RFC2136_FUDGE);
	put16(o, MAC_LEN);
	put(o, sum, MAC_LEN);
	put(o, query, 2);
	put(o, "\0\0\0\0", 4);
	o->w[11]++;
}

/* The question of a query, or the zone of an update. */
static size_t question_end(const uint8_t *query)
{
	size_t at = 12;

	while (query[at] != 0)
		at += query[at] + 1u;
	return at + 5;
}

static void answer(struct out *o, const uint8_t *query, size_t len)
{
	bool plain = in_u8(&input) % 8 != 7;
	uint8_t flags = in_u8(&input), rcode = in_u8(&input);
	uint8_t count[3] = { in_u8(&input), in_u8(&input), in_u8(&input) };
	size_t at, n = in_u8(&input);

	n |= (size_t)in_u8(&input) << 8;
	n = n < input.n ? n : input.n;
	o->n = 0;
	put(o, query, 2);
	/* opcode of the query, QR; the rest as it comes */
	put16(o, ((query[2] & 0x78u) | 0x80u | (flags & 7u)) << 8 | rcode);
	put16(o, plain);
	for (size_t i = 0; i < 3; i++)
		put16(o, count[i]);
	if (plain)
		put(o, query + 12, question_end(query) - 12);
	put(o, input.p, n);
	input.p += n;
	input.n -= n;
	if (how == HOW_FORGED)
		return;
	if (o->w[11] == 0xff)
		o->w[11] = 0;
	at = o->n;
	sign(o, query, len);
	if (how != HOW_MANGLED || answers - 1 != to_mangle)
		return;
	/* The count of the records is not in what is signed as it is. */
	at = 2 + (in_u8(&input) | (size_t)in_u8(&input) << 8) % (at - 2);
	if (at == 10 || at == 11)
		return;
	o->w[at] ^= (uint8_t)(1u << in_u8(&input) % 8);
	mangled = true;
}

enum status rfc2136_exchange(const struct rfc2136_server *sv,
	int64_t timeout_ms, const uint8_t *query, size_t len, uint8_t **ret,
	size_t *ret_len, struct err *err)
{
	static struct out o;

	must(sv->host[0] != '\0' && timeout_ms > 0 && len > 12 + TSIG_TAIL);
	if (input.n == 0 || answers++ > 20)
		return err_set(err, ST_RETRY, "nothing comes");
	answer(&o, query, len);
	if (o.n < HEADER_LEN || o.n > 65535)
		return err_set(err, ST_RETRY, "too much comes");
	*ret = exact(o.w, o.n);
	*ret_len = o.n;
	return ST_OK;
}

/* Nobody who lacks the key, and no accident on the way, makes it work. */
static void must_fail(enum status st)
{
	must(how == HOW_SIGNED || (how == HOW_MANGLED && !mangled) ||
		st != ST_OK);
}

static void one(const struct provider_ops *ops, void *ctx)
{
	struct tlsa_rrset now = TLSA_RRSET_INIT, to = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	char zone[DNS_NAME_MAX], canon[DNS_NAME_MAX];
	enum status st = ops->get(ctx, OWNER, &now, zone, &err);

	must_fail(st);
	if (st != ST_OK) {
		must_err(st, &err);
		must(now.n == 0);
	} else {
		must(name_canon(zone, canon, &err) == ST_OK);
		must(name_is_under(OWNER, zone) && now.n <= TLSA_RRSET_MAX);
	}
	must(tlsa_rrset_copy(&now, &to, &err) == ST_OK);
	to.ttl = 3600;
	if (to.n < TLSA_RRSET_MAX)
		must(tlsa_rrset_add_text(&to,
			     "3 1 1 000102030405060708090a0b0c0d0e0f"
			     "101112131415161718191a1b1c1d1e1f",
			     &err) == ST_OK);
	err = (struct err)ERR_INIT;
	mangled = false;
	st = ops->replace(ctx, OWNER, &now, &to, &err);
	if (!tlsa_rrset_eq(&now, &to) || now.ttl != to.ttl)
		must_fail(st);
	if (st != ST_OK)
		must_err(st, &err);
	tlsa_rrset_release(&now);
	tlsa_rrset_release(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char file[300];
	const char *value[] = { "ns.example.com", file, NULL, "10" };
	const struct provider_config cfg = { .name = "p", .value = value };
	const struct provider_ops *ops = provider_find("rfc2136");
	struct err err = ERR_INIT;
	void *ctx = NULL;
	uint8_t kind;

	if (file[0] == '\0') {
		(void)snprintf(file, sizeof(file), "%s/key", fuzz_dir());
		fuzz_write(file, 0600, KEY_FILE, strlen(KEY_FILE));
	}
	input = (struct in){ data, size };
	kind = in_u8(&input);
	how = kind == 's' ? HOW_SIGNED : kind == 'm' ? HOW_MANGLED : HOW_FORGED;
	to_mangle = in_u8(&input);
	/* With a zone of its own, one question less. */
	if (to_mangle % 2 == 1)
		value[2] = "example.com.";
	to_mangle /= 2;
	mangled = false;
	answers = 0;
	now_s = (int64_t)time(NULL);
	must(ops->open(&cfg, &ctx, &err) == ST_OK);
	one(ops, ctx);
	ops->close(ctx);
	return 0;
}
