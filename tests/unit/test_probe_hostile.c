/*
 * The probe against servers that refuse, break, stall and flood, that are not
 * there, and that are many.
 */
#include "tests/unit/probe_fixture.h"

static void no_starttls_and_refusals(void **state)
{
	static const struct step none[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { SEND, "250-mx\r\n250 SIZE\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step later[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "454 not now\r\n" }, { STALL, NULL }, { END, NULL } };
	static const struct step away[] = { { SEND, "554 no\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step inject[] = { SMTP_HELLO,
		{ EXPECT, "STARTTLS" }, { SEND, "220 go\r\n250 extra\r\n" },
		{ STALL, NULL }, { END, NULL } };
	static const struct step closes[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { END, NULL } };
	static const struct step mute[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "220 go\r\n" }, { END, NULL } };
	static const struct step noise[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "220 go\r\n" }, { EXPECT, "" },
		{ FLOOD, "220 and go on\r\n" }, { END, NULL } };
	struct probe_job j;

	(void)state;
	j = probe_script(none, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_NO_STARTTLS, "not offered");
	j = probe_script(later, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_NO_STARTTLS, "454 not now");
	j = probe_script(away, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_PROTOCOL, "554 no");
	j = probe_script(inject, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_HANDSHAKE, "injection");
	j = probe_script(closes, NULL, PROTO_SMTP, PROBE_ANY, 5000);
	want(&j, PROBE_PROTOCOL, "closed the connection before TLS");
	j = probe_script(mute, NULL, PROTO_SMTP, PROBE_RSA, 5000);
	want(&j, PROBE_HANDSHAKE, "");
	j = probe_script(noise, NULL, PROTO_SMTP, PROBE_RSA, 5000);
	want(&j, PROBE_HANDSHAKE, "");
}

static void cannot_be_hung_or_flooded(void **state)
{
	static const struct step silent[] = { { STALL, NULL }, { END, NULL } };
	static const struct step drips[] = { { DRIP, NULL }, { END, NULL } };
	static const struct step banner[] = { { FLOOD, "220-more\r\n" },
		{ END, NULL } };
	static const struct step line[] = { { SEND, "220 x\r\n" },
		{ EXPECT, "EHLO " }, { FLOOD, "250-aaaaaaaaaaaaaaaaaaaaaaaa" },
		{ END, NULL } };
	static const struct step half[] = { SMTP_HELLO, { EXPECT, "STARTTLS" },
		{ SEND, "220 go\r\n" }, { STALL, NULL }, { END, NULL } };
	int64_t start = clock_mono_ms();
	struct probe_job j;

	(void)state;
	j = probe_script(silent, NULL, PROTO_SMTP, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "greeting after 300 ms");
	j = probe_script(drips, NULL, PROTO_SMTP, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "greeting after 300 ms");
	j = probe_script(drips, NULL, PROTO_TLS, PROBE_ANY, 300);
	want(&j, PROBE_HANDSHAKE, "");
	j = probe_script(half, NULL, PROTO_SMTP, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "handshake");
	j = probe_script(silent, NULL, PROTO_TLS, PROBE_ANY, 300);
	want(&j, PROBE_TIMEOUT, "handshake");
	j = probe_script(banner, NULL, PROTO_SMTP, PROBE_ANY, 20000);
	want(&j, PROBE_PROTOCOL, "more than 65536");
	j = probe_script(line, NULL, PROTO_SMTP, PROBE_ANY, 20000);
	want(&j, PROBE_PROTOCOL, "longer than 8192");
	assert_true(clock_mono_ms() - start < 15000);
}

static void nobody_there(void **state)
{
	struct server sv;
	struct probe_job j;

	(void)state;
	server_start(&sv, smtp, NULL);
	server_stop(&sv); /* its port is free now */
	j = job_for(&sv, PROTO_SMTP, PROBE_ANY);
	run(&j, 1, NULL);
	want(&j, PROBE_NO_CONNECT, "refused");
}

/* In a network namespace with no interface up there is no route at all; with
 * only loopback up, its addresses can be reached. */
static void no_route_is_untestable(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct probe_job j[2];
		struct err err = ERR_INIT;

		if (unshare(CLONE_NEWNET) != 0 &&
			unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
			_exit(77);
		memset(j, 0, sizeof(j));
		for (int i = 0; i < 2; i++)
			j[i].host = HOST;
		struct sockaddr_in *a4 = (void *)&j[0].addr;
		struct sockaddr_in6 *a6 = (void *)&j[1].addr;
		a4->sin_family = AF_INET;
		a4->sin_port = htons(25);
		a4->sin_addr.s_addr = htonl(0xc0000201);
		j[0].addr_len = sizeof(*a4);
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(25);
		(void)inet_pton(AF_INET6, "2001:db8::1", &a6->sin6_addr);
		j[1].addr_len = sizeof(*a6);
		if (probe_run(j, 2, NULL, &err) != ST_OK)
			_exit(2);
		_exit(j[0].result == PROBE_UNTESTABLE &&
					j[1].result == PROBE_UNTESTABLE
				? 0
				: 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void many_at_once(void **state)
{
	enum { N = 120 };
	const struct probe_limits lim = { .at_once = 16 };
	SSL_CTX *tls = tls_server(ec_cert, rsa_cert, NULL);
	static struct probe_job j[N];
	struct server sv;

	(void)state;
	server_start(&sv, smtp, tls);
	for (int i = 0; i < N; i++)
		j[i] = job_for(
			&sv, PROTO_SMTP, i % 2 == 0 ? PROBE_RSA : PROBE_ECDSA);
	run(j, N, &lim);
	for (int i = 0; i < N; i++) {
		want(&j[i], PROBE_SERVED, "TLS");
		is_key(&j[i], i % 2 == 0 ? rsa_key : ec_key);
	}
	server_stop(&sv);
	assert_int_equal(atomic_load(&sv.n_conn), N);
	/* the server's thread may lag behind a close of ours by a few */
	assert_in_range((uintmax_t)atomic_load(&sv.peak), 2, 24);
	SSL_CTX_free(tls);
	run(j, 0, NULL);
}

/* Our slot at an address is free when the server's end is closed too. */
static void few_at_one_address(void **state)
{
	enum { N = 40 };
	const struct probe_limits lim = { .per_address = 3 };
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	static struct probe_job j[2 * N];
	struct server a, b;

	(void)state;
	server_start(&a, smtp, tls);
	server_start(&b, smtp, tls);
	for (int i = 0; i < 2 * N; i++)
		j[i] = job_for(i < N ? &a : &b, PROTO_SMTP, PROBE_ANY);
	run(j, 2 * N, &lim);
	server_stop(&a);
	server_stop(&b);
	for (int i = 0; i < 2 * N; i++)
		want(&j[i], PROBE_SERVED, "TLS");
	assert_int_equal(atomic_load(&a.n_conn), N);
	assert_int_equal(atomic_load(&b.n_conn), N);
	/* the server's thread may lag behind where time runs slowly */
	assert_in_range((uintmax_t)atomic_load(&a.peak), 2, slow(3));
	assert_in_range((uintmax_t)atomic_load(&b.peak), 2, slow(3));
	SSL_CTX_free(tls);
}

/* Who waits for a slow address is in nobody's way. */
static void slow_address_holds_up_itself_only(void **state)
{
	static const struct step silent[] = { { STALL, NULL }, { END, NULL } };
	enum { SLOW = 5, N = 30 };
	const struct probe_limits lim = {
		.at_once = 2, .per_address = 1, .total_ms = slow(400)
	};
	SSL_CTX *tls = tls_server(ec_cert, NULL, NULL);
	static struct probe_job j[SLOW + N];
	struct server a, b;
	int64_t start = clock_mono_ms();

	(void)state;
	server_start(&a, silent, NULL);
	server_start(&b, implicit, tls);
	for (int i = 0; i < SLOW + N; i++)
		j[i] = job_for(i < SLOW ? &a : &b, PROTO_TLS, PROBE_ANY);
	run(j, SLOW + N, &lim);
	server_stop(&a);
	server_stop(&b);
	for (int i = 0; i < SLOW + N; i++)
		want(&j[i], i < SLOW ? PROBE_TIMEOUT : PROBE_SERVED, "");
	/* one after the other, and the others beside them */
	assert_in_range((uintmax_t)(clock_mono_ms() - start), SLOW * slow(400),
		SLOW * slow(400) + slow(1500));
	SSL_CTX_free(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_starttls_and_refusals),
		cmocka_unit_test(cannot_be_hung_or_flooded),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(no_route_is_untestable),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(few_at_one_address),
		cmocka_unit_test(slow_address_holds_up_itself_only),
	};

	/* The scripted servers write through OpenSSL's socket BIO. */
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_all, free_all);
}
