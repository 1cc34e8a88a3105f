/* check for people, and as a trace. */
#include "tests/unit/out_fixture.h"

#include "hook/check/out_util.h"

static const struct out_options plain = { .colour = false };
static const struct out_options verbose = { .verbose = true };

static char *text_of(const struct world *w, const struct out_options *opt)
{
	const struct check *c = &w->c;
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;

	assert_int_equal(out_text(&c, 1, NULL, opt, &b, &err), ST_OK);
	return buf_take(&b);
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" in:\n%s", part, text);
}

/* Each white space a blank, for texts that may break anywhere. */
static void unwrap(char *text)
{
	char *to = text;

	for (const char *p = text; *p != '\0'; p++)
		if (*p != '\n' && *p != ' ')
			*to++ = *p;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	*to = '\0';
}

/* Printable lines of at most OUT_COLUMNS; lines with "paste" may be longer. */
static void check_lines(const char *text)
{
	for (const char *p = text; *p != '\0';) {
		size_t len = strcspn(p, "\n");

		for (size_t i = 0; i < len; i++)
			assert_in_range(p[i], 0x20, 0x7e);
		if (len > OUT_COLUMNS && memmem(p, len, "paste", 5) == NULL)
			fail_msg("%zu columns: %.*s", len, (int)len, p);
		p += len;
		assert_int_equal(*p, '\n');
		p++;
	}
}

/* ---- text ---- */

static void test_text_ok(void **state)
{
	static const char want[] =
		"example.test: OK\n"
		"  Every host proves who it is by a TLSA record.\n"
		"  Opportunistic DANE sender: delivers, authenticated.\n"
		"  Mandatory DANE sender: delivers.\n"
		"\n"
		"MX: secure, TTL 3600, signed until 2026-12-02\n"
		"  10 mx1.example.test:25 OK  A secure, AAAA secure\n"
		"    TLSA _25._tcp.mx1.example.test: secure, TTL 3600, signed "
		"until 2026-12-02\n"
		"    3 1 1 00070e151c23..d2d9  current; matches\n"
		"    3 1 1 646b72798087..363d  next; matches nothing served\n"
		"\n"
		"Connections                               key   1.3+sni 1.3 "
		"    1.2+sni 1.2\n"
		"mx1.example.test:25\n"
		"  192.0.2.1                               RSA   ok      ok  "
		"    ok      ok\n"
		"  192.0.2.1                               ECDSA ok      ok  "
		"    ok      ok\n"
		"  2001:db8::1                             RSA   ok      ok  "
		"    ok      ok\n"
		"  2001:db8::1                             ECDSA ok      ok  "
		"    ok      ok\n"
		"\n"
		"Name servers\n"
		"  zone example.test: 2 servers, 3 addresses, UDP and TCP, "
		"serial 12, signed until 2026-11-28\n"
		"\n"
		"Findings: none\n";
	struct world *w = world_new();
	char *got;

	(void)state;
	w->record[0].role = "current";
	w->record[1].role = "next";
	got = text_of(w, &plain);
	assert_string_equal(got, want);
	check_lines(got);
	free(got);
	free(w);
}

static void test_text_blocked(void **state)
{
	const struct check_code_info *info =
		check_code_info(CODE_TLSA_MISMATCH);
	struct world *w = world_new();
	struct finding *f = spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	const char *first;
	char *got;

	(void)state;
	PUT(f->where, "mx1.example.test:25 [192.0.2.1] ECDSA");
	PUT(f->text, "No record has the key that is served.");
	PUT(f->remedy, "Serve the key of before.");
	PUT(f->reproduce, "openssl one");
	f = spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	*f = w->finding[0];
	PUT(f->where, "mx1.example.test:25 [2001:db8::1] ECDSA");
	PUT(f->reproduce, "openssl two");
	f = spoil(w, CODE_TTL_LONG, FINDING_INFO);
	PUT(f->text, "A TTL of a day.");
	PUT(f->remedy, "Nothing to do.");
	w->c.verdict = CHECK_BLOCKED;
	w->host[0].verdict = CHECK_BLOCKED;
	w->conn[0].state = CONN_FAIL;
	w->conn[1].state = CONN_ABSENT;
	w->conn[2].state = CONN_UNTESTED;
	w->conn[3].state = CONN_ENCRYPTED;
	got = text_of(w, &plain);
	check_lines(got);
	has(got, "example.test: BLOCKED\n");
	has(got, "Opportunistic DANE sender: defers, and gives up");
	has(got, "  192.0.2.1                               RSA   -       ok  "
		 "    enc     ok\n"
		 "  192.0.2.1                               ECDSA FAIL    ok  "
		 "    ?       ok\n");
	has(got, "FAIL: see the findings; enc:");
	has(got, "Findings: 2 FAIL, 1 info\n");
	has(got, "FAIL tlsa-mismatch mx1.example.test:25 [192.0.2.1] ECDSA\n"
		 "    No record has the key that is served.\n");
	has(got, info->exchange);
	has(got, info->tlsrpt);
	has(got, "\n    -> Serve the key of before.\n    openssl one\n");
	has(got,
		"\nFAIL tlsa-mismatch mx1.example.test:25 [2001:db8::1] ECDSA\n"
		"    openssl two\ninfo ttl-long A TTL of a day.\n");
	/* What is only to be known takes one line. */
	assert_null(strstr(got, "-> Nothing"));
	/* Said once. */
	first = strstr(got, "-> Serve");
	assert_null(strstr(first + 1, "-> Serve"));
	free(got);
	free(w);
}

static void test_text_states(void **state)
{
	struct world *w = world_new();
	char *got;

	(void)state;
	w->mx.security = DNS_BOGUS;
	PUT(w->mx.why, "signature expired");
	w->aaaa.havedata = false;
	w->aaaa.nxdomain = true;
	w->tlsa.security = DNS_FAILED;
	PUT(w->tlsa.why, "no answer");
	w->record[0].usable = false;
	w->record[0].why = "wrong digest length";
	w->record[1].hidden = true;
	w->record[1].matches = true;
	w->record[1].depth = 1;
	w->record[1].retired = "R3";
	w->answer[0].outcome = SURVEY_TIMEOUT;
	w->answer[1].serial = 11;
	w->answer[3].expiration = T0 + 3600;
	PUT(w->c.resolver_fault, "192.0.2.7 strips signatures");
	got = text_of(w, &plain);
	has(got, "MX: bogus: signature expired\n");
	has(got, "A secure, AAAA secure nxdomain\n");
	has(got, ": failed: no answer\n");
	has(got, "unusable: wrong digest length\n");
	has(got, "  matches the issuer at depth 1 (hidden by a stronger "
		 "digest) (retired\n      issuer R3)\n");
	has(got, "Resolver: 192.0.2.7 strips signatures\n");
	check_lines(got);
	unwrap(got);
	has(got, " 1 of 12 answers missing or wrong, serials 11 to 12, signed "
		 "until 2026-11-18T12:06:40Z ");
	free(got);
	free(w);
}

static void test_text_other_kinds(void **state)
{
	struct world *w = world_new();
	char *got;

	(void)state;
	w->c.mx = NULL;
	w->c.survey = NULL;
	w->c.kind = CHECK_BY_HOST;
	PUT(w->c.name, "mx1.example.test.");
	w->c.port = 465;
	w->c.verdict = CHECK_WEAK;
	for (size_t i = 0; i < 16; i++)
		w->conn[i].job.version = PROBE_TLS_ANY;
	/* Several in one cell: the worst is shown. */
	w->conn[4].state = CONN_FAIL;
	w->conn[4].job = w->conn[2].job;
	got = text_of(w, &plain);
	has(got, "192.0.2.1                               ECDSA FAIL    ok\n");
	has(got, "mx1.example.test:465: WEAK\n");
	has_not(got, "MX:");
	has_not(got, "Name servers");
	has(got, "key   any+sni any\n");
	free(got);
	w->c.kind = CHECK_BY_LINEAGE;
	PUT(w->c.name, "web");
	w->c.profile = PROFILE_EXCHANGE;
	got = text_of(w, &plain);
	has(got, "lineage web: WEAK\n");
	has(got, "as Exchange Online does");
	free(got);
	w->c.kind = CHECK_BY_DOMAIN;
	w->c.null_mx = true;
	w->c.port = 0;
	w->c.n_hosts = 0;
	w->c.mx = &w->mx;
	got = text_of(w, &plain);
	has(got, "web: WEAK\n  The domain accepts no mail");
	free(got);
	free(w);
}

/* Two digests with the same head and tail are told apart. */
static void test_text_short_digest(void **state)
{
	struct world *w = world_new();
	char *got;

	(void)state;
	memcpy(w->digest[1], w->digest[0], 32);
	w->digest[1][20] ^= 1;
	got = text_of(w, &plain);
	has(got, "3 1 1 00070e151c232a31383f464d545b626970777e858c93..d2d9 ");
	has(got, "3 1 1 00070e151c232a31383f464d545b626970777e858d93..d2d9 ");
	free(got);
	w->digest[1][20] ^= 1;
	w->digest[1][29] ^= 1;
	got = text_of(w, &plain);
	has(got, "afb6bdc4cbd2d9 "); /* whole */
	free(got);
	w->digest[1][29] ^= 1;
	w->digest[1][31] ^= 1;
	got = text_of(w, &verbose);
	has(got, "3 1 1 00070e151c232a31383f464d545b626970777e858c939aa1a8afb6"
		 "bdc4cbd2d9 ");
	free(got);
	free(w);
}

static void test_text_colour(void **state)
{
	static const struct out_options colour = { .colour = true };
	struct world *w = world_new();
	char *got = text_of(w, &colour);

	(void)state;
	has(got, "example.test: \033[32mOK\033[0m\n");
	free(got);
	w->c.verdict = CHECK_BOGUS;
	spoil(w, CODE_MX_BOGUS, FINDING_FAIL);
	spoil(w, CODE_TTL_LONG, FINDING_WARN);
	got = text_of(w, &colour);
	has(got, "example.test: \033[31mBOGUS\033[0m\n");
	has(got, "\033[31mFAIL\033[0m mx-bogus\n");
	has(got, "\033[33mWARN\033[0m ttl-long\n");
	free(got);
	free(w);
}

/* A name as long as names get: labels of 63, 253 in all. */
static void longest_name(char ret[static DNS_NAME_MAX])
{
	memset(ret, 'x', 253);
	for (size_t i = 63; i < 253; i += 64)
		ret[i] = '.';
	ret[253] = '.';
	ret[254] = '\0';
}

static void test_text_columns(void **state)
{
	struct world *w = world_new();
	struct check_host *h = w->host;
	struct finding *f = spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	char name[DNS_NAME_MAX], bare[DNS_NAME_MAX];
	uint8_t full[2000] = { 7 };
	char *got;

	(void)state;
	longest_name(name);
	(void)out_bare(name, bare);
	PUT(w->c.name, name);
	PUT(w->c.expanded, "y.example.test.");
	PUT(h->name, name);
	PUT(h->bare, bare);
	PUT(h->owner, name);
	PUT(h->expanded, name);
	h->alias = true;
	h->pref = h->port = 65535;
	PUT(w->tlsa.canon, "z.example.test.");
	PUT(w->zone[0].auth.zone, name);
	memset(h->why, 'w', sizeof(h->why) - 1);
	memset(w->c.resolver_fault, 'r', sizeof(w->c.resolver_fault) - 1);
	memset(f->where, 'a', sizeof(f->where) - 1);
	memset(f->text, 'b', sizeof(f->text) - 1);
	memset(f->remedy, 'c', sizeof(f->remedy) - 1);
	memset(f->reproduce, 'd', sizeof(f->reproduce) - 1);
	memcpy(f->reproduce, "paste", 5);
	w->rr[1].mtype = 0;
	w->rr[1].len = sizeof(full);
	w->rr[1].data = full;
	w->record[1].why = w->c.resolver_fault;
	w->record[1].usable = false;
	w->record[1].role = w->record[1].lineage = name;
	for (size_t i = 0; i < 16; i++) {
		PUT(w->conn[i].addr,
			i < 8 ? "2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
			      : "fe80:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff%eth0"
				"123456789012345");
		w->conn[i].state = CONN_FAIL;
		w->conn[i].job.version = (enum probe_version)(i % 3);
		w->conn[i].job.no_sni = i / 3 % 2;
	}
	got = text_of(w, &plain);
	check_lines(got);
	has(got, "  2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff RSA   ");
	has(got, "1.2+sni 1.2\n");
	/* The line to paste is whole. */
	has(got, f->reproduce);
	free(got);
	free(w);
}

static void test_text_hostile(void **state)
{
	static const char evil[] = "x\nFindings: none\r\n\033[2J\x9b"
				   "31m\tOK\x80\xff";
	struct world *w = world_new();
	struct finding *f = spoil(w, CODE_TLSA_MISMATCH, FINDING_FAIL);
	const struct check *c = &w->c;
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	char *got;

	(void)state;
	PUT(f->where, evil);
	PUT(f->text, evil);
	PUT(f->remedy, evil);
	PUT(f->reproduce, evil);
	PUT(w->mx.why, evil);
	w->mx.security = DNS_BOGUS;
	PUT(w->host[0].why, evil);
	PUT(w->host[0].bare, evil);
	PUT(w->conn[0].addr, evil);
	PUT(w->conn[0].job.why, evil);
	PUT(w->conn[0].job.cipher, evil);
	PUT(w->cert[0].subject, evil);
	PUT(w->answer[0].why, evil);
	PUT(w->c.resolver_fault, evil);
	w->record[0].role = w->record[0].lineage = evil;
	w->conn[0].job.log = strdup("< 220 hi\r\n< 250 \033[2J\x9b\n");
	w->conn[0].state = CONN_FAIL;
	got = text_of(w, &plain);
	check_lines(got);
	has_not(got, "\nFindings: none");
	free(got);
	assert_int_equal(out_trace(&c, 1, NULL, &b, &err), ST_OK);
	has(buf_str(&b), "\n#1 < 220 hi?\n#1 < 250 ?[2J?\n#1 chain 0:");
	for (size_t i = 0; i < b.len; i++)
		assert_true(b.data[i] == '\n' ||
			    (b.data[i] >= 0x20 && b.data[i] <= 0x7e));
	has_not(b.data, "\nFindings: none");
	buf_release(&b);
	free(w->conn[0].job.log);
	free(w);
}

/* The buffer's limit is kept, and said. */
static void test_text_limit(void **state)
{
	struct world *w = world_new();
	const struct check *c = &w->c;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t max = 0; max < 900; max += 100) {
		struct buf b = BUF_INIT(max);

		assert_int_equal(
			out_text(&c, 1, NULL, &plain, &b, &err), ST_REFUSED);
		assert_true(b.len <= max);
		buf_release(&b);
		assert_int_equal(
			out_json(&c, 1, NULL, &plain, &b, &err), ST_REFUSED);
		buf_release(&b);
	}
	free(w);
}

/* ---- trace ---- */

static void test_trace(void **state)
{
	struct world *w = world_new();
	const struct check *c = &w->c;
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	struct out o = { .buf = &b, .err = &err };

	(void)state;
	w->conn[0].job.log = strdup("< 220 mx1\n> EHLO me\n");
	w->mx.ede = 3;
	out_query(&o, &w->mx);
	assert_string_equal(b.data,
		"query example.test. MX resolver: secure data TTL 3600 RRSIG "
		"2026-11-17T11:06:40Z..2026-12-02T11:06:40Z rcode 0 EDE 3 "
		"12 ms: 10 mx1.example.test.\n");
	buf_clear(&b);
	w->mx.security = DNS_BOGUS;
	w->mx.expiration = 0;
	PUT(w->mx.why, "no keys");
	out_query(&o, &w->mx);
	assert_string_equal(b.data,
		"query example.test. MX resolver: bogus rcode 0 EDE 3 12 ms: "
		"no keys\n");
	buf_clear(&b);
	w->answer[0].ede = 22;
	w->answer[0].outcome = SURVEY_TIMEOUT;
	PUT(w->answer[0].why, "no reply");
	assert_int_equal(out_trace(&c, 1, NULL, &b, &err), ST_OK);
	has(b.data, "query _25._tcp.mx1.example.test. TLSA ns1.example.test. "
		    "[192.0.2.53] udp: ");
	has(b.data, " EDE 22 5 ms: no reply\n");
	has(b.data, "query example.test. SOA ns2.example.test. [198.51.100.53] "
		    "tcp: ");
	has(b.data, "\n#1 connection mx1.example.test:25 [192.0.2.1] smtp key "
		    "ECDSA ");
	has(b.data,
		" with SNI\n#1 < 220 mx1\n#1 > EHLO me\n#1 chain 0: subject "
		"\"CN=mx1.example.test\" issuer \"CN=R1\" ");
	has(b.data, "bdc4cbd2d9 [matched]\n#1 chain 1: ");
	has(b.data, "\n#1 ok: served TLSv1.3 TLS_AES_256_GCM_SHA384 ");
	has(b.data, "\n#16 ok: served TLSv1.2 ");
	free(w->conn[0].job.log);
	buf_release(&b);
	free(w);
}

/* ---- shared ---- */

static void test_cut(void **state)
{
	char ret[32];

	(void)state;
	assert_string_equal(out_cut("abcdefghij", 10, ret), "abcdefghij");
	assert_string_equal(out_cut("abcdefghijk", 10, ret), "abcd..hijk");
	assert_string_equal(out_cut("", 10, ret), "");
	assert_string_equal(out_clean("a\nb\x7f", ret, sizeof(ret)), "a?b?");
	assert_string_equal(out_clean("abc", ret, 3), "ab");
}

/* A word that just fits stays, one that does not begins the next line whole. */
static void test_wrap(void **state)
{
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	struct out o = { .buf = &b, .err = &err };
	char line[OUT_COLUMNS + 1];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[OUT_COLUMNS - 4] = '\0';
	out_wrap(&o, 2, "%s  abc", line + 2);
	assert_int_equal(b.len, OUT_COLUMNS - 4 + 4);
	assert_null(strchr(b.data, '\n'));
	buf_clear(&b);
	o.col = 0;
	out_wrap(&o, 2, "%s abcd", line + 2);
	assert_string_equal(strchr(b.data, '\n'), "\n  abcd");
	buf_release(&b);
}

/* Only zones that hold a name of the check; the closest one. */
static void test_zones(void **state)
{
	struct world *w = world_new();
	static struct survey_zone zone[4];
	struct buf b = BUF_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	struct out o = { .buf = &b, .err = &err };
	bool *used;

	(void)state;
	PUT(zone[0].auth.zone, "test.");
	PUT(zone[1].auth.zone, "example.test.");
	PUT(zone[2].auth.zone, "mx1.example.test.");
	PUT(zone[3].auth.zone, "other.test.");
	w->survey.zone = zone;
	w->survey.n_zones = 4;
	used = out_zones(&o, &w->c);
	assert_non_null(used);
	assert_false(used[0]);
	assert_true(used[1]);
	assert_true(used[2]);
	assert_false(used[3]);
	free(used);
	w->c.survey = NULL;
	assert_null(out_zones(&o, &w->c));
	assert_int_equal(o.st, ST_OK);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_ok),
		cmocka_unit_test(test_text_blocked),
		cmocka_unit_test(test_text_states),
		cmocka_unit_test(test_text_other_kinds),
		cmocka_unit_test(test_text_short_digest),
		cmocka_unit_test(test_text_colour),
		cmocka_unit_test(test_text_columns),
		cmocka_unit_test(test_text_hostile),
		cmocka_unit_test(test_text_limit),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
