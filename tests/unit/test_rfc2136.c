/* Dynamic update without a server to trust: the key file, the server option,
 * and what a fake server that answers wrongly can (not) make us believe. Real
 * servers are in tests/contract. */
#include "providers/provider.h"
#include "providers/rfc2136.h"
#include "hook/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ldns/ldns.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define OWNER "_25._tcp.mx.example."
#define SECRET "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ=="
#define OTHER_SECRET "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="

/* The fake server's clock; these two stand in for libc's, in ldns as well. */
static _Thread_local time_t clock_offset;
time_t time(time_t *ret)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec + clock_offset;
	return ts.tv_sec + clock_offset;
}
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = time(NULL);
	tv->tv_usec = 0;
	return 0;
}

static void key_files(void **state)
{
	(void)state;
	static const struct {
		const char *text, *algorithm;
	} good[] = {
		{ "key \"home\" {\n\talgorithm hmac-sha256;\n\tsecret \"" SECRET
		  "\";\n};\n",
			"hmac-sha256" },
		{ "# c\n// c\n/* c\n */ KEY Home. { secret \"" SECRET
		  "\"; algorithm HMAC-SHA512; }",
			"hmac-sha512" },
		{ "key home{algorithm hmac-sha1.;secret " SECRET ";};",
			"hmac-sha1" },
	};
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "k:1: does not begin with" },
		{ "\nkeys \"home\" {", "k:2: does not begin" },
		{ "key \"a b\" {", "not a domain name" },
		{ "key . {", "not a domain name" },
		{ "key home", "'{' is missing" },
		{ "key home {", "ends inside" },
		{ "key home {\nalgorithm hmac-md5;",
			"k:2: algorithm hmac-md5" },
		{ "key home { algorithm hmac-sha384;", "hmac-sha384 is not" },
		{ "key home { algorithm hmac-sha224;", "hmac-sha224 is not" },
		{ "key home { algorithm hmac-sha256 }", "';' is missing" },
		{ "key home { algorithm hmac-sha256;\nalgorithm hmac-sha1;",
			"k:2: given twice" },
		{ "key home { secret \"hush hush\";", "not base64" },
		{ "key home { secret \"hush=h==\";", "not base64" },
		{ "key home { secret \"hush", "never closed" },
		{ "key home { /* hush", "never closed" },
		{ "key home { server 1;", "only algorithm and secret" },
		{ "key home { algorithm hmac-sha256; };", "no secret" },
		{ "key home { secret \"" SECRET "\"; };", "no algorithm" },
		{ "key home { algorithm hmac-sha1; secret \"" SECRET
		  "\"; };\nkey two {",
			"k:2: only one key" },
	};
	struct tsig_key k;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (tsig_key_parse("k", good[i].text, &k, &err))
			fail_msg("%s", err.text);
		assert_string_equal(k.name, "home");
		assert_string_equal(k.algorithm, good[i].algorithm);
		assert_string_equal(k.secret.data, SECRET);
		tsig_key_release(&k);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			tsig_key_parse("k", bad[i].text, &k, &err), ST_CONFIG);
		if (!strstr(err.text, bad[i].says) || strstr(err.text, "hush"))
			fail_msg("%s\n%s", err.text, bad[i].text);
	}
}

static void servers(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "@53", "a@", "a@0", "a@65536",
		"a@53x", "a b", "a@ 53", "http://a" };
	struct rfc2136_server sv;
	struct err err = ERR_INIT;

	assert_int_equal(
		rfc2136_server_parse("2001:db8::1@5353", &sv, &err), ST_OK);
	assert_string_equal(sv.host, "2001:db8::1");
	assert_string_equal(sv.port, "5353");
	assert_int_equal(rfc2136_server_parse("ns.example", &sv, &err), ST_OK);
	assert_string_equal(sv.port, "53");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (rfc2136_server_parse(bad[i], &sv, &err) != ST_CONFIG)
			fail_msg("'%s' is accepted", bad[i]);
}

static void wire(void **state)
{
	(void)state;
	/* example. A, with an answer that points back, and room for a TSIG */
	static const uint8_t good[] = { 0, 1, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0,
		1, 'a', 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4,
		127, 0, 0, 1 };
	struct err err = ERR_INIT;
	uint8_t m[sizeof(good) + 1];

	assert_int_equal(rfc2136_wire_check(good, sizeof(good), &err), ST_OK);
	for (size_t n = 0; n < sizeof(good); n++) {
		/* Exactly as long as said, so that ASan sees one step more. */
		uint8_t *part = malloc(n ? n : 1);
		assert_non_null(part);
		memcpy(part, good, n);
		assert_int_not_equal(rfc2136_wire_check(part, n, &err), ST_OK);
		free(part);
	}
	memcpy(m, good, sizeof(good));
	m[sizeof(good)] = 0;
	assert_int_not_equal(rfc2136_wire_check(m, sizeof(m), &err), ST_OK);
	m[22] = 250; /* TSIG in the answer section */
	assert_int_not_equal(rfc2136_wire_check(m, sizeof(good), &err), ST_OK);
	m[7] = 0;
	m[11] = 1; /* at the end of the additional section: fine */
	assert_int_equal(rfc2136_wire_check(m, sizeof(good), &err), ST_OK);
	m[5] = 2;
	assert_int_not_equal(rfc2136_wire_check(m, sizeof(good), &err), ST_OK);
}

/* One way to answer the n-th question. */
enum trick {
	GOOD,
	UNSIGNED,
	UNSIGNED_REFUSED,
	OTHER_KEY,
	OTHER_ALGORITHM,
	OTHER_NAME,
	WRONG_ID,
	WRONG_QUESTION,
	A_QUERY,
	TRUNCATED,
	NOT_AA,
	LATE,
	CHANGED,
	GARBAGE,
	SHORT,
	NOTHING,
	DRIP
};

static struct fake {
	enum trick trick;
	int from; /* first question that is answered so */
	ldns_pkt_rcode update_rcode;
	int questions, updates;
	char update[2000]; /* the last one: a line for each record */
	int fd;
	uint16_t port;
	pthread_t thread;
} fake;

static void sign(ldns_pkt *reply, const ldns_pkt *query, enum trick trick)
{
	const char *name = trick == OTHER_NAME ? "other" : "home";
	const char *secret = trick == OTHER_KEY ? OTHER_SECRET : SECRET;
	const char *alg =
		trick == OTHER_ALGORITHM ? "hmac-sha512" : "hmac-sha256";

	if (trick == UNSIGNED || trick == UNSIGNED_REFUSED)
		return;
	clock_offset = trick == LATE ? -301 : 0;
	if (ldns_pkt_tsig_sign(reply, name, secret, 300, alg,
		    ldns_rr_rdf(ldns_pkt_tsig(query), 3)))
		abort();
	clock_offset = 0;
}

static void push(ldns_pkt *reply, const char *text)
{
	ldns_rr *rr = NULL;

	if (ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) ||
		!ldns_pkt_push_rr(reply, LDNS_SECTION_ANSWER, rr))
		abort();
}

/* "if CLASS TYPE TTL RDATA" and "do ...", one a line. */
static void keep_update(const ldns_rr_list *list, const char *what)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *class = ldns_rr_class2str(ldns_rr_get_class(rr));
		char *type = ldns_rr_type2str(ldns_rr_get_type(rr));
		char *owner = ldns_rdf2str(ldns_rr_owner(rr));
		size_t n = strlen(fake.update);

		n += (size_t)snprintf(fake.update + n, sizeof(fake.update) - n,
			"%s %s%s %s %u", what,
			strcmp(owner, OWNER) ? "AT ANOTHER NAME " : "", class,
			type, (unsigned)ldns_rr_ttl(rr));
		for (size_t k = 0; k < ldns_rr_rd_count(rr); k++) {
			char *d = ldns_rdf2str(ldns_rr_rdf(rr, k));

			n += (size_t)snprintf(fake.update + n,
				sizeof(fake.update) - n, " %s", d);
			free(d);
		}
		(void)snprintf(fake.update + n, sizeof(fake.update) - n, "\n");
		free(class);
		free(type);
		free(owner);
	}
}

/* What a server of "example." with one TLSA record would say. */
static ldns_pkt *make_reply(const ldns_pkt *query, enum trick trick)
{
	ldns_pkt *reply = ldns_pkt_new();
	ldns_rr *q =
		ldns_rr_clone(ldns_rr_list_rr(ldns_pkt_question(query), 0));
	char *name = ldns_rdf2str(ldns_rr_owner(q));

	ldns_pkt_set_id(
		reply, (uint16_t)(ldns_pkt_id(query) ^ (trick == WRONG_ID)));
	ldns_pkt_set_opcode(reply, trick == A_QUERY
					   ? LDNS_PACKET_NOTIFY
					   : ldns_pkt_get_opcode(query));
	ldns_pkt_set_qr(reply, true);
	ldns_pkt_set_aa(reply, trick != NOT_AA);
	ldns_pkt_set_tc(reply, trick == TRUNCATED);
	if (ldns_pkt_get_opcode(query) == LDNS_PACKET_UPDATE) {
		fake.updates++;
		fake.update[0] = '\0';
		keep_update(ldns_pkt_answer(query), "if");
		keep_update(ldns_pkt_authority(query), "do");
		ldns_pkt_set_rcode(reply, (uint8_t)fake.update_rcode);
	} else if (ldns_rr_get_type(q) == LDNS_RR_TYPE_TLSA) {
		push(reply, OWNER " 77 IN TLSA 3 1 2 abcd");
	} else if (!strcmp(name, "example.")) {
		push(reply, "example. 9 IN SOA ns.example. h.example. "
			    "1 2 3 4 5");
	}
	if (trick == UNSIGNED_REFUSED)
		ldns_pkt_set_rcode(reply, LDNS_RCODE_REFUSED);
	if (trick == WRONG_QUESTION)
		ldns_rr_set_type(q, LDNS_RR_TYPE_TXT);
	ldns_pkt_push_rr(reply, LDNS_SECTION_QUESTION, q);
	free(name);
	return reply;
}

static void answer(int c, const ldns_pkt *query, enum trick trick)
{
	static const uint8_t few[] = { 0, 4, 1, 2, 3, 4 };
	static const uint8_t garbage[] = { 0, 14, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
		11, 12, 13, 14 };
	uint8_t head[2], *wire_data;
	size_t len;

	if (trick == NOTHING)
		return;
	if (trick == SHORT || trick == GARBAGE) {
		(void)send(c, trick == SHORT ? few : garbage,
			trick == SHORT ? sizeof(few) : sizeof(garbage),
			MSG_NOSIGNAL);
		return;
	}
	ldns_pkt *reply = make_reply(query, trick);
	sign(reply, query, trick);
	if (ldns_pkt2wire(&wire_data, reply, &len))
		abort();
	if (trick == CHANGED)
		wire_data[3] = (uint8_t)(wire_data[3] ^ 0x20); /* AD */
	head[0] = (uint8_t)(len >> 8);
	head[1] = (uint8_t)len;
	(void)send(c, head, 2, MSG_NOSIGNAL);
	for (size_t i = 0; trick == DRIP && i < len; i++)
		if (send(c, wire_data + i, 1, MSG_NOSIGNAL) != 1 ||
			usleep(100000))
			break;
	(void)send(c, wire_data, len, MSG_NOSIGNAL);
	ldns_pkt_free(reply);
	free(wire_data);
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		uint8_t buf[4096];
		ldns_pkt *query = NULL;
		int c = accept(fake.fd, NULL, NULL);
		if (c < 0)
			return NULL;
		if (recv(c, buf, 2, MSG_WAITALL) == 2) {
			ssize_t n = (ssize_t)buf[0] << 8 | buf[1];
			if (n <= (ssize_t)sizeof(buf) &&
				recv(c, buf, (size_t)n, MSG_WAITALL) == n &&
				!ldns_wire2pkt(&query, buf, (size_t)n)) {
				int i = fake.questions++;
				answer(c, query,
					i >= fake.from ? fake.trick : GOOD);
			}
		}
		ldns_pkt_free(query);
		(void)close(c);
	}
}

static void start(enum trick trick, int from)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	memset(&fake, 0, sizeof(fake));
	fake.trick = trick;
	fake.from = from;
	fake.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fake.fd >= 0);
	assert_int_equal(bind(fake.fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fake.fd, 8), 0);
	assert_int_equal(getsockname(fake.fd, (struct sockaddr *)&a, &len), 0);
	fake.port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&fake.thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
	(void)shutdown(fake.fd, SHUT_RDWR);
	(void)pthread_join(fake.thread, NULL);
	(void)close(fake.fd);
}

static char key_file[] = "/tmp/danelaw-tsig-XXXXXX";

static void *open_it(void)
{
	const struct provider_ops *ops = provider_find("rfc2136");
	const char *value[8] = { NULL };
	struct provider_config cfg = { .name = "home", .value = value };
	struct err err = ERR_INIT;
	char server[32];
	void *ctx;

	(void)snprintf(server, sizeof(server), "127.0.0.1@%u", fake.port);
	for (size_t i = 0; ops->options[i].name; i++) {
		const char *name = ops->options[i].name;
		value[i] = !strcmp(name, "server")    ? server
			   : !strcmp(name, "timeout") ? "1"
			   : !strcmp(name, "tsig_key_file")
				   ? key_file
				   : ops->options[i].def;
	}
	if (ops->open(&cfg, &ctx, &err))
		fail_msg("%s", err.text);
	return ctx;
}

static enum status get(struct tlsa_rrset *set, struct err *err)
{
	const struct provider_ops *ops = provider_find("rfc2136");
	char zone[DNS_NAME_MAX] = "same";
	void *ctx = open_it();
	enum status st = ops->get(ctx, OWNER, set, zone, err);

	ops->close(ctx);
	assert_string_equal(zone, st ? "same" : "example.");
	return st;
}

static void good_server(void **state)
{
	(void)state;
	auto_tlsa set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;

	start(GOOD, 0);
	if (get(&set, &err))
		fail_msg("%s", err.text);
	stop();
	assert_int_equal(fake.questions, 5); /* four names up, then TLSA */
	assert_int_equal(set.n, 1);
	assert_int_equal(set.ttl, 77);
	assert_int_equal(set.rr[0].mtype, 2);
}

static void bad_servers(void **state)
{
	(void)state;
	static const struct {
		enum trick trick;
		enum status st;
		const char *says;
	} bad[] = {
		{ UNSIGNED, ST_DENIED, "is not signed" },
		{ OTHER_KEY, ST_REFUSED, "signature of the answer is wrong" },
		{ OTHER_ALGORITHM, ST_REFUSED, "another key or algorithm" },
		{ OTHER_NAME, ST_REFUSED, "another key or algorithm" },
		{ WRONG_ID, ST_REFUSED, "does not belong" },
		{ WRONG_QUESTION, ST_REFUSED, "does not belong" },
		{ A_QUERY, ST_REFUSED, "does not belong" },
		{ TRUNCATED, ST_REFUSED, "does not belong" },
		{ LATE, ST_DENIED, "signed 301 s from our time, 300 allowed" },
		{ CHANGED, ST_REFUSED, "signature of the answer is wrong" },
		{ GARBAGE, ST_REFUSED, "no sane DNS message" },
		{ SHORT, ST_RETRY, "no DNS message" },
		{ NOTHING, ST_RETRY, "closed" },
		{ DRIP, ST_RETRY, "timed out" },
		{ NOT_AA, ST_REFUSED, "not authoritative" },
		{ UNSIGNED_REFUSED, ST_REFUSED, "not authoritative" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		/* From the first question on, or the TLSA answer only. */
		for (int from = 0; from <= 4; from += 4) {
			auto_tlsa set = TLSA_RRSET_INIT;
			struct err err = ERR_INIT;
			int64_t t = clock_mono_ms();
			start(bad[i].trick, from);
			enum status st = get(&set, &err);
			stop();
			assert_true(clock_mono_ms() - t < 3000);
			assert_int_equal(set.n, 0);
			if (from && bad[i].trick == UNSIGNED_REFUSED) {
				assert_int_equal(st, ST_DENIED);
				continue;
			}
			if (st != bad[i].st || !strstr(err.text, bad[i].says))
				fail_msg("trick %d: %s: %s", bad[i].trick,
					status_name(st), err.text);
			assert_null(strstr(err.text, SECRET));
		}
}

static enum status update(const char *from, const char *to, struct err *err)
{
	const struct provider_ops *ops = provider_find("rfc2136");
	auto_tlsa f = TLSA_RRSET_INIT;
	auto_tlsa t = TLSA_RRSET_INIT;
	void *ctx = open_it();

	assert_int_equal(tlsa_rrset_add_text(&f, from, err), ST_OK);
	assert_int_equal(tlsa_rrset_add_text(&t, to, err), ST_OK);
	enum status st = ops->replace(ctx, OWNER, &f, &t, err);
	ops->close(ctx);
	return st;
}

static void update_answers(void **state)
{
	(void)state;
	static const struct {
		ldns_pkt_rcode rcode;
		enum status st;
		const char *says;
	} cases[] = {
		{ LDNS_RCODE_NOERROR, ST_OK, "" },
		{ LDNS_RCODE_SERVFAIL, ST_RETRY, "SERVFAIL" },
		{ LDNS_RCODE_REFUSED, ST_DENIED,
			"grant home name " OWNER " TLSA" },
		{ LDNS_RCODE_NOTAUTH, ST_CONFIG, "primary" },
		{ LDNS_RCODE_NOTZONE, ST_CONFIG, "not in zone example." },
		{ LDNS_RCODE_NOTIMPL, ST_CONFIG, "dynamic update" },
		{ LDNS_RCODE_NXRRSET, ST_CONFLICT, "somebody else" },
		{ LDNS_RCODE_YXRRSET, ST_CONFLICT, "somebody else" },
		{ LDNS_RCODE_FORMERR, ST_REFUSED, "FORMERR" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = ERR_INIT;
		start(GOOD, 0);
		fake.update_rcode = cases[i].rcode;
		enum status st = update("3 1 1 00", "3 1 1 01", &err);
		stop();
		assert_int_equal(fake.updates, 1);
		if (st != cases[i].st || !strstr(err.text, cases[i].says))
			fail_msg("%s: %s", status_name(st), err.text);
	}
	/* NXRRSET, but the server holds what we wanted: the answer to an
	 * earlier try was lost. */
	struct err err = ERR_INIT;
	start(GOOD, 0);
	fake.update_rcode = LDNS_RCODE_NXRRSET;
	assert_int_equal(update("3 1 1 00", "3 1 2 abcd", &err), ST_OK);
	stop();
	/* An unsigned NOERROR is no success. */
	start(UNSIGNED, 4);
	assert_int_equal(update("3 1 1 00", "3 1 1 01", &err), ST_DENIED);
	stop();
	/* Lost: it is not known whether it was done. */
	start(NOTHING, 4);
	assert_int_equal(update("3 1 1 00", "3 1 1 01", &err), ST_RETRY);
	stop();
}

/* RFC 2136 2.4, 2.5: exactly what was read, and no alias, or nothing is done;
 * what is new comes first; only what was ours and is not wanted goes. */
static void update_says(void **state)
{
	(void)state;
	static const struct {
		const char *from[3], *to[3];
		uint32_t from_ttl, to_ttl;
		const char *says;
	} cases[] = {
		{ { "3 1 1 00", "2 1 1 ff" }, { "3 1 1 01", "2 1 1 ff" }, 60,
			60,
			"if NONE CNAME 0\n"
			"if IN TLSA 0 2 1 1 ff\n"
			"if IN TLSA 0 3 1 1 00\n"
			"do IN TLSA 60 3 1 1 01\n"
			"do NONE TLSA 0 3 1 1 00\n" },
		{ { NULL }, { "3 1 1 01" }, 0, 300,
			"if NONE CNAME 0\n"
			"if NONE TLSA 0\n"
			"do IN TLSA 300 3 1 1 01\n" },
		{ { "3 1 1 00" }, { NULL }, 60, 60,
			"if NONE CNAME 0\n"
			"if IN TLSA 0 3 1 1 00\n"
			"do NONE TLSA 0 3 1 1 00\n" },
	};
	const struct provider_ops *ops = provider_find("rfc2136");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		auto_tlsa from = TLSA_RRSET_INIT, to = TLSA_RRSET_INIT;
		struct err err = ERR_INIT;
		void *ctx;

		for (size_t k = 0; k < 2 && cases[i].from[k]; k++)
			assert_int_equal(tlsa_rrset_add_text(
						 &from, cases[i].from[k], &err),
				ST_OK);
		for (size_t k = 0; k < 2 && cases[i].to[k]; k++)
			assert_int_equal(
				tlsa_rrset_add_text(&to, cases[i].to[k], &err),
				ST_OK);
		from.ttl = cases[i].from_ttl;
		to.ttl = cases[i].to_ttl;
		start(GOOD, 0);
		ctx = open_it();
		assert_int_equal(
			ops->replace(ctx, OWNER, &from, &to, &err), ST_OK);
		ops->close(ctx);
		stop();
		assert_string_equal(fake.update, cases[i].says);
	}
}

static int setup(void **state)
{
	(void)state;
	static const char text[] = "key \"home\" { algorithm hmac-sha256; "
				   "secret \"" SECRET "\"; };\n";
	int fd = mkostemp(key_file, O_CLOEXEC);

	if (fd < 0 || write(fd, text, sizeof(text) - 1) != sizeof(text) - 1)
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(key_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_files),
		cmocka_unit_test(servers),
		cmocka_unit_test(wire),
		cmocka_unit_test(good_server),
		cmocka_unit_test(bad_servers),
		cmocka_unit_test(update_answers),
		cmocka_unit_test(update_says),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
