/* Addresses, names in RDATA, referrals (as a codec and over sockets on the
 * loopback, with forged answers) and what a resolver refuses to start with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hook/base/clock.h"
#include "hook/dns/authority.h"
#include "hook/dns/memo.h"
#include "hook/dns/referral.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ZONE "example.test."
#define TYPE_RRSIG 46

/* ---- building messages --------------------------------------------------- */

struct msg {
	uint8_t b[4096];
	size_t len;
};

static void put16(struct msg *m, unsigned int v)
{
	m->b[m->len++] = (uint8_t)(v >> 8);
	m->b[m->len++] = (uint8_t)v;
}

static void put(struct msg *m, const void *data, size_t len)
{
	memcpy(m->b + m->len, data, len);
	m->len += len;
}

static void put_name(struct msg *m, const char *name)
{
	while (*name != '\0' && strcmp(name, ".") != 0) {
		size_t len = strcspn(name, ".");

		m->b[m->len++] = (uint8_t)len;
		put(m, name, len);
		name += len + 1;
	}
	m->b[m->len++] = 0;
}

static void start(
	struct msg *m, uint16_t id, unsigned int flags, const char *qname)
{
	*m = (struct msg){ .len = 0 };
	put16(m, id);
	put16(m, flags);
	put16(m, 1);
	put16(m, 0);
	put16(m, 0);
	put16(m, 0);
	put_name(m, qname);
	put16(m, RRTYPE_NS);
	put16(m, 1);
}

/* section: 1 answer, 2 authority, 3 additional; in that order. */
static void put_rr(struct msg *m, int section, const char *owner,
	unsigned int type, const struct msg *rdata)
{
	m->b[4 + 2 * section + 1]++;
	put_name(m, owner);
	put16(m, type);
	put16(m, 1);
	put16(m, 0);
	put16(m, 60);
	put16(m, (unsigned int)rdata->len);
	put(m, rdata->b, rdata->len);
}

static void put_ns(
	struct msg *m, int section, const char *owner, const char *host)
{
	struct msg rd = { .len = 0 };

	put_name(&rd, host);
	put_rr(m, section, owner, RRTYPE_NS, &rd);
}

static void put_addr(struct msg *m, const char *owner, const char *text)
{
	struct msg rd = { .len = 0 };
	bool v6 = strchr(text, ':') != NULL;

	rd.len = v6 ? 16 : 4;
	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, rd.b), 1);
	put_rr(m, 3, owner, v6 ? RRTYPE_AAAA : RRTYPE_A, &rd);
}

#define QR 0x8000U
#define AA 0x0400U
#define TC 0x0200U

static void good_referral(struct msg *m, uint16_t id)
{
	start(m, id, QR, ZONE);
	put_ns(m, 2, ZONE, "ns1.example.test.");
	put_ns(m, 2, ZONE, "NS2.Other.test.");
	put_ns(m, 2, ZONE, "ns1.example.test.");
	put_addr(m, "ns1.example.test.", "192.0.2.1");
	put_addr(m, "ns1.example.test.", "2001:db8::1");
	put_addr(m, "stranger.test.", "192.0.2.9");
}

static enum referral_verdict parse(
	const struct msg *m, struct referral *ret, char why[static 100])
{
	why[0] = '\0';
	return codec_referral_parse(m->b, m->len, ZONE, 7, ret, why, 100);
}

/* ---- pure -----------------------------------------------------------------
 */

static void addresses(void **state)
{
	static const struct {
		const char *in, *text;
	} good[] = { { "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1@53", "192.0.2.1" },
		{ "192.0.2.1@5353", "192.0.2.1@5353" },
		{ "2001:DB8:0::1", "2001:db8::1" },
		{ "::1@65535", "::1@65535" } };
	static const char *const bad[] = { "", "@", "@53", "ns1.example.com",
		"192.0.2", "192.0.2.256", "192.0.2.1@", "192.0.2.1@0",
		"192.0.2.1@65536", "192.0.2.1@-1", "192.0.2.1@53x",
		"192.0.2.1 ", "[::1]", "fe80::1%eth0", "::1@4294967349",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb" };
	struct dns_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(dns_addr_parse(good[i].in, 53, &a));
		assert_string_equal(a.text, good[i].text);
	}
	assert_int_equal(a.ss.ss_family, AF_INET6);
	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	memset(&a, 0x5a, sizeof(a));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (dns_addr_parse(bad[i], 53, &a))
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(a.text[0], 0x5a);
	}
	assert_true(dns_addr_parse("192.0.2.1", 853, &a));
	assert_string_equal(a.text, "192.0.2.1@853");
}

static void names_in_rdata(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *name; /* NULL: refused */
	} c[] = { { "\3NS1\4test", 10, "ns1.test." }, { "", 1, "." },
		{ "\3ns1\4test", 9, NULL }, /* not ended */
		{ "\3ns1\4tes", 8, NULL }, { "\3ns1\0x", 6, NULL },
		{ "\3n.1\4test", 10, NULL }, /* a dot in a label */
		{ "\3n 1\4test", 10, NULL }, { "\300\14", 2, NULL },
		{ "\4n\0s1\4test", 11, NULL }, { "", 0, NULL } };
	char name[DNS_NAME_MAX];
	uint8_t data[400];
	struct rdata longer = { data, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct rdata rd = { data, c[i].len };

		memcpy(data, c[i].data, c[i].len);
		assert_int_equal(rdata_name(&rd, name), c[i].name != NULL);
		if (c[i].name != NULL)
			assert_string_equal(name, c[i].name);
	}
	for (; longer.len < 64 * 6; longer.len += 64) {
		data[longer.len] = 63;
		memset(data + longer.len + 1, 'a', 63);
	}
	data[longer.len++] = 0;
	assert_false(rdata_name(&longer, name));
}

static void referral_is_read(void **state)
{
	struct msg m;
	struct referral r = { 0 };
	char why[100];

	(void)state;
	good_referral(&m, 7);
	assert_int_equal(parse(&m, &r, why), REFERRAL_OK);
	assert_int_equal(r.n, 2);
	assert_string_equal(r.name[0], "ns1.example.test.");
	assert_string_equal(r.name[1], "ns2.other.test.");
	assert_int_equal(r.n_glue, 2);
	assert_string_equal(r.glue[1].name, "ns1.example.test.");
	assert_int_equal(r.glue[0].len, 4);
	assert_int_equal(r.glue[1].len, 16);
	referral_release(&r);

	/* A server of both zones answers from the child. */
	start(&m, 7, QR | AA, ZONE);
	put_ns(&m, 1, ZONE, "ns3.example.test.");
	assert_int_equal(parse(&m, &r, why), REFERRAL_OK);
	assert_string_equal(r.name[0], "ns3.example.test.");
	referral_release(&r);
}

static void referral_is_not_ours(void **state)
{
	struct msg m;
	struct referral r = { 0 };
	char why[100];

	(void)state;
	good_referral(&m, 8); /* ID */
	assert_int_equal(parse(&m, &r, why), REFERRAL_FOREIGN);
	good_referral(&m, 7);
	m.b[2] &= 0x7f; /* a query */
	assert_int_equal(parse(&m, &r, why), REFERRAL_FOREIGN);
	good_referral(&m, 7);
	m.b[2] |= 0x20; /* opcode 4 */
	assert_int_equal(parse(&m, &r, why), REFERRAL_FOREIGN);
	start(&m, 7, QR, "example.tesu.");
	put_ns(&m, 2, ZONE, "ns1.example.test.");
	assert_int_equal(parse(&m, &r, why), REFERRAL_FOREIGN);
	good_referral(&m, 7);
	m.b[12 + 14 + 1] = RRTYPE_A; /* another type was asked for */
	assert_int_equal(parse(&m, &r, why), REFERRAL_FOREIGN);
	assert_null(r.name);
}

static void referral_tells_nothing(void **state)
{
	struct msg m;
	struct referral r = { 0 };
	char why[100];

	(void)state;
	start(&m, 7, QR | 5U, ZONE);
	assert_int_equal(parse(&m, &r, why), REFERRAL_USELESS);
	assert_non_null(strstr(why, "REFUSED"));
	start(&m, 7, QR, ZONE);
	assert_int_equal(parse(&m, &r, why), REFERRAL_USELESS);
	/* A lame server refers upwards. */
	put_ns(&m, 2, "test.", "ns.test.");
	assert_int_equal(parse(&m, &r, why), REFERRAL_USELESS);
	/* One server left out is one server not asked. */
	start(&m, 7, QR, ZONE);
	put_ns(&m, 2, ZONE, "ns1.example.test.");
	put_ns(&m, 2, ZONE, "n s2.example.test.");
	assert_int_equal(parse(&m, &r, why), REFERRAL_USELESS);
	start(&m, 7, QR, ZONE);
	for (int i = 0; i <= REFERRAL_NAMES_MAX; i++) {
		char host[32];

		(void)snprintf(host, sizeof(host), "ns%d.test.", i);
		put_ns(&m, 2, ZONE, host);
	}
	assert_int_equal(parse(&m, &r, why), REFERRAL_USELESS);
	start(&m, 7, QR | TC, ZONE);
	assert_int_equal(parse(&m, &r, why), REFERRAL_TRUNCATED);
	assert_null(r.name);
}

/* Whatever is cut off or flipped, it neither crashes nor leaks. */
static void referral_survives_rubbish(void **state)
{
	struct msg whole, m;
	char why[100];

	(void)state;
	good_referral(&whole, 7);
	for (size_t i = 0; i < whole.len; i++) {
		struct referral r = { 0 };

		m = whole;
		m.len = i;
		(void)parse(&m, &r, why);
		referral_release(&r);
		for (unsigned int bit = 0; bit < 8; bit++) {
			m = whole;
			m.b[i] = (uint8_t)(m.b[i] ^ (1U << bit));
			(void)parse(&m, &r, why);
			referral_release(&r);
		}
	}
}

static void query_is_made(void **state)
{
	uint8_t q[REFERRAL_QUERY_MAX];
	struct err err = ERR_INIT;
	struct msg want;
	size_t len = 0;

	(void)state;
	start(&want, 0x1234, 0, ZONE);
	assert_int_equal(
		codec_referral_query(ZONE, 0x1234, q, &len, &err), ST_OK);
	assert_int_equal(len, want.len + 11);
	assert_int_equal(q[2], 0); /* QR, opcode, AA, TC, RD */
	assert_memory_equal(q + 12, want.b + 12, want.len - 12);
	assert_memory_equal(q + want.len, "\0\0\51\4\320", 5); /* OPT, 1232 */
}

static void put_soa(struct msg *m, const char *owner)
{
	struct msg rd = { .len = 0 };

	put_name(&rd, "ns.test.");
	put_name(&rd, "root.test.");
	rd.len += 20;
	put_rr(m, 2, owner, RRTYPE_SOA, &rd);
}

static void put_rrsig(struct msg *m, const char *owner, const char *signer)
{
	struct msg rd = { .len = 0 };

	put16(&rd, RRTYPE_TLSA);
	rd.b[rd.len++] = 13;
	rd.b[rd.len++] = 3;
	rd.len += 14;
	put_name(&rd, signer);
	put(&rd, "signature", 9);
	put_rr(m, 1, owner, TYPE_RRSIG, &rd);
}

static void hint(const struct msg *m, bool validated, const char *want)
{
	char zone[DNS_NAME_MAX];

	codec_zone_hint(m->b, m->len, "_25._tcp.mx.example.test.", RRTYPE_TLSA,
		validated, zone);
	assert_string_equal(zone, want);
}

static void zone_hints(void **state)
{
	struct msg m;

	(void)state;
	start(&m, 1, QR, "q.test.");
	hint(&m, true, "");
	put_soa(&m, ZONE);
	hint(&m, true, ZONE);
	hint(&m, false, ZONE);
	m.len--;
	hint(&m, true, "");

	start(&m, 1, QR, "q.test.");
	put_soa(&m, "xample.test."); /* not above the name */
	hint(&m, true, "");

	start(&m, 1, QR, "q.test.");
	put_rrsig(&m, "_25._tcp.mx.example.test.", ZONE);
	hint(&m, true, ZONE);
	hint(&m, false, ""); /* nobody checked that signature */

	start(&m, 1, QR, "q.test.");
	put_rrsig(&m, "_25._tcp.other.example.test.", ZONE);
	put_rrsig(&m, "_25._tcp.mx.example.test.", "example2.test.");
	hint(&m, true, "");
}

/* ---- over sockets ---------------------------------------------------------
 */

enum act { ANSWER, FORGE_ID, FORGE_PORT, TRUNCATE, REFUSE, SILENT };

struct fake {
	int udp, tcp;
	struct dns_addr addr;
	enum act act;
	int asked_udp, asked_tcp;
	pthread_t thread;
};

static void bind_any(int fd, struct sockaddr_in *sa)
{
	socklen_t len = sizeof(*sa);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)sa, sizeof(*sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sa, &len), 0);
}

static void fake_open(struct fake *f, enum act act)
{
	/* A fake that nobody asks ends by itself, and the test fails. */
	const struct timeval limit = { .tv_sec = 5 };
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	*f = (struct fake){ .act = act };
	f->tcp = socket(AF_INET, SOCK_STREAM, 0);
	bind_any(f->tcp, &sa);
	assert_int_equal(listen(f->tcp, 4), 0);
	f->udp = socket(AF_INET, SOCK_DGRAM, 0);
	bind_any(f->udp, &sa);
	(void)setsockopt(
		f->udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(
		f->tcp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_true(dns_addr_parse("127.0.0.1", ntohs(sa.sin_port), &f->addr));
}

/* A referral to one server with this name. */
static void one_name(struct msg *m, uint16_t id, const char *name)
{
	start(m, id, QR, ZONE);
	put_ns(m, 2, ZONE, name);
}

static void reply(int fd, const struct msg *m, const struct sockaddr_in *to)
{
	assert_int_equal(sendto(fd, m->b, m->len, 0,
				 (const struct sockaddr *)to, sizeof(*to)),
		m->len);
}

static void serve_tcp(struct fake *f)
{
	int fd = accept(f->tcp, NULL, NULL);
	uint8_t q[600];
	size_t got = 0;
	struct msg m;
	uint8_t head[2];

	if (fd < 0)
		return;
	while (got < 2 || got < 2U + (size_t)q[1]) {
		ssize_t n = recv(fd, q + got, sizeof(q) - got, 0);

		assert_true(n > 0);
		got += (size_t)n;
	}
	f->asked_tcp++;
	one_name(&m, (uint16_t)(q[2] << 8 | q[3]), "tcp.test.");
	head[0] = (uint8_t)(m.len >> 8);
	head[1] = (uint8_t)m.len;
	/* In pieces, as the network may deliver it. */
	assert_int_equal(send(fd, head, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(send(fd, head + 1, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(send(fd, m.b, 20, MSG_NOSIGNAL), 20);
	assert_int_equal(
		send(fd, m.b + 20, m.len - 20, MSG_NOSIGNAL), m.len - 20);
	(void)close(fd);
}

static void *serve(void *arg)
{
	struct fake *f = arg;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t q[600];
	ssize_t got;
	struct msg m;
	uint16_t id;
	int other;

	got = recvfrom(f->udp, q, sizeof(q), 0, (struct sockaddr *)&from, &len);
	if (got < 12)
		return NULL;
	f->asked_udp++;
	id = (uint16_t)(q[0] << 8 | q[1]);
	one_name(&m, id, "udp.test.");
	switch (f->act) {
	case ANSWER:
		break;
	case FORGE_ID:
		one_name(&m, id ^ 1, "forged.test.");
		reply(f->udp, &m, &from);
		one_name(&m, id, "udp.test.");
		break;
	case FORGE_PORT:
		one_name(&m, id, "forged.test.");
		other = socket(AF_INET, SOCK_DGRAM, 0);
		reply(other, &m, &from);
		(void)close(other);
		one_name(&m, id, "udp.test.");
		break;
	case TRUNCATE:
		start(&m, id, QR | TC, ZONE);
		reply(f->udp, &m, &from);
		serve_tcp(f);
		return NULL;
	case REFUSE:
		start(&m, id, QR | 5U, ZONE);
		break;
	case SILENT:
		return NULL;
	}
	reply(f->udp, &m, &from);
	return NULL;
}

static void fake_start(struct fake *f, enum act act)
{
	fake_open(f, act);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void fake_stop(struct fake *f)
{
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	(void)close(f->udp);
	(void)close(f->tcp);
}

static void ask_one(enum act act, const char *want, int want_tcp)
{
	struct referral_job job = { .zone = ZONE, .n_servers = 1 };
	struct referral_job *jobs[] = { &job };
	struct err err = ERR_INIT;
	struct fake f;

	fake_start(&f, act);
	job.server = &f.addr;
	assert_int_equal(referral_ask(jobs, 1, 5000, &err), ST_OK);
	fake_stop(&f);
	assert_int_equal(f.asked_udp, 1);
	assert_int_equal(f.asked_tcp, want_tcp);
	assert_true(job.ok);
	assert_int_equal(job.referral.n, 1);
	assert_string_equal(job.referral.name[0], want);
	referral_release(&job.referral);
}

static void asks_and_ignores_forgeries(void **state)
{
	(void)state;
	ask_one(ANSWER, "udp.test.", 0);
	ask_one(FORGE_ID, "udp.test.", 0);
	ask_one(FORGE_PORT, "udp.test.", 0);
	ask_one(TRUNCATE, "tcp.test.", 1);
}

/* Closed port, refusal, silence: each time the next server is asked. */
static void asks_the_next_server(void **state)
{
	struct referral_job job = { .zone = ZONE, .n_servers = 4 };
	struct referral_job *jobs[] = { &job };
	struct dns_addr server[4];
	struct err err = ERR_INIT;
	struct fake closed, refuse, silent, good;

	(void)state;
	fake_open(&closed, SILENT);
	(void)close(closed.udp);
	(void)close(closed.tcp);
	fake_start(&refuse, REFUSE);
	fake_start(&silent, SILENT);
	fake_start(&good, ANSWER);
	server[0] = closed.addr;
	server[1] = refuse.addr;
	server[2] = silent.addr;
	server[3] = good.addr;
	job.server = server;
	assert_int_equal(referral_ask(jobs, 1, 8000, &err), ST_OK);
	fake_stop(&refuse);
	fake_stop(&silent);
	fake_stop(&good);
	assert_true(job.ok);
	assert_int_equal(refuse.asked_udp, 1);
	assert_int_equal(silent.asked_udp, 1);
	assert_string_equal(job.referral.name[0], "udp.test.");
	referral_release(&job.referral);
}

static void says_who_did_not_tell(void **state)
{
	struct referral_job one = { .zone = ZONE, .n_servers = 1 };
	struct referral_job none = { .zone = ZONE };
	struct referral_job *jobs[] = { &one, &none };
	struct err err = ERR_INIT;
	struct fake f;
	int64_t t = clock_mono_ms();

	(void)state;
	fake_open(&f, SILENT);
	one.server = &f.addr;
	assert_int_equal(referral_ask(jobs, 2, 200, &err), ST_OK);
	assert_true(clock_mono_ms() - t < 1400);
	assert_false(one.ok);
	assert_false(none.ok);
	assert_string_equal(none.why, "no server to ask");
	(void)close(f.udp);
	assert_int_equal(referral_ask(jobs, 1, 5000, &err), ST_OK);
	assert_false(one.ok);
	assert_non_null(strstr(one.why, f.addr.text));
	assert_non_null(strstr(one.why, "refused"));
	(void)close(f.tcp);
}

/* ---- what a resolver does not start with ----------------------------------
 */

static void refuse_config(const struct resolver_config *cfg, const char *word)
{
	struct resolver *r = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(resolver_new(cfg, &r, &err), ST_CONFIG);
	assert_null(r);
	if (strstr(err.text, word) == NULL)
		fail_msg("'%s' does not name %s", err.text, word);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void resolver_configuration(void **state)
{
	char dir[] = "/tmp/test_authority.XXXXXX";
	char anchor[64], hints[64];
	const char *const bad_forward[] = { "ns1.example.com", NULL };
	const char *const forward[] = { "127.0.0.1@5399", "::1", NULL };
	struct resolver_config cfg = { .trust_anchor = anchor };
	struct resolver *r = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(anchor, sizeof(anchor), "%s/anchor", dir);
	(void)snprintf(hints, sizeof(hints), "%s/hints", dir);
	refuse_config(&(struct resolver_config){ 0 }, "trust_anchor");
	refuse_config(&cfg, anchor);
	write_file(anchor, "; IN DS is only a comment\n");
	refuse_config(&cfg, anchor);
	write_file(anchor, ". IN DS twelve\n");
	refuse_config(&cfg, anchor);
	write_file(anchor, ". IN DS 1 13 2 e3b0c44298fc1c149afbf4c8996fb924"
			   "27ae41e4649b934ca495991b7852b855\n");
	cfg.root_hints = hints;
	refuse_config(&cfg, hints);
	write_file(hints, "a.ns. 60 A 192.0.2.1\n");
	refuse_config(&cfg, hints);
	write_file(hints, ". 60 NS a.ns.\na.ns. 60 A 192.0.2.1\n");
	cfg.forward = bad_forward;
	refuse_config(&cfg, "ns1.example.com");
	cfg.forward = forward;
	assert_int_equal(resolver_new(&cfg, &r, &err), ST_OK);
	resolver_free(r);
	assert_int_equal(unlink(anchor), 0);
	assert_int_equal(unlink(hints), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void nothing_to_release(void **state)
{
	struct authority a = { 0 };

	(void)state;
	authority_release(&a);
	resolver_free(NULL);
	memo_free(NULL);
	assert_string_equal(dns_security_name(DNS_SECURE), "secure");
	assert_string_equal(dns_security_name(DNS_FAILED), "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(names_in_rdata),
		cmocka_unit_test(referral_is_read),
		cmocka_unit_test(referral_is_not_ours),
		cmocka_unit_test(referral_tells_nothing),
		cmocka_unit_test(referral_survives_rubbish),
		cmocka_unit_test(query_is_made),
		cmocka_unit_test(zone_hints),
		cmocka_unit_test(asks_and_ignores_forgeries),
		cmocka_unit_test(asks_the_next_server),
		cmocka_unit_test(says_who_did_not_tell),
		cmocka_unit_test(resolver_configuration),
		cmocka_unit_test(nothing_to_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
