/* HTTP for providers: what is sent, what each answer becomes, and that the
 * secret goes nowhere else. */
#include "providers/rest.h"
#include "hook/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_fake.h"

static char key[] = "s3cr3t-Key";
static const struct secret secret = { .data = key, .len = sizeof(key) - 1 };

static struct rest_config config(const char *url)
{
	return (struct rest_config){ .url = url,
		.header = "X-API-Key",
		.secret = &secret,
		.secret_option = "api_key_file",
		.secret_file = "/etc/key",
		.timeout_s = 2 };
}

static struct rest *rest_to(const char *url)
{
	struct rest_config c = config(url);
	struct rest *r;
	struct err err = ERR_INIT;

	if (rest_new(&c, &r, &err))
		fail_msg("%s", err.text);
	return r;
}

static void urls(void **state)
{
	(void)state;
	static const char *const bad[] = { "http://192.0.2.1:8081",
		"http://ns.example:8081", "ftp://127.0.0.1", "127.0.0.1:8081",
		"https://user:pw@ns.example", "https://ns.example/?a=b",
		"https://ns.example/#x", "http://127.0.0.1.example/",
		"http://128.0.0.1", "http://[::2]", "https://", "",
		"file:///etc/passwd", "http://localhost.example" };
	static const char *const good[] = { "https://ns.example",
		"https://192.0.2.1:8443/api/", "http://127.0.0.1:8081",
		"http://127.9.9.9", "http://[::1]:8081",
		"http://localhost:8081" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rest_config c = config(bad[i]);
		struct rest *r;
		struct err err = ERR_INIT;
		if (rest_new(&c, &r, &err) != ST_CONFIG)
			fail_msg("%s is accepted", bad[i]);
		assert_null(strstr(err.text, "pw"));
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		rest_free(rest_to(good[i]));
}

static void secrets(void **state)
{
	(void)state;
	static char bad[][8] = { "", "a b", "a\r\nX:y", "a\nb" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct secret s = { .data = bad[i], .len = strlen(bad[i]) };
		struct rest_config c = config("https://ns.example");
		struct rest *r;
		struct err err = ERR_INIT;
		c.secret = &s;
		assert_int_equal(rest_new(&c, &r, &err), ST_CONFIG);
		assert_non_null(strstr(err.text, "api_key_file: /etc/key"));
	}
}

static void request(void **state)
{
	(void)state;
	static struct http_fake f = { .reply = { JSON("{\"a\": [1]}"),
					      HTTP("204 No Content", "", ""),
					      JSON("") } };
	struct err err = ERR_INIT;
	json_t *got = NULL;

	/* A proxy would get the secret. */
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:9", 1), 0);
	fake_start(&f);
	struct rest *r = rest_to(f.url);
	assert_int_equal(
		rest_call(r, "GET", "/x?y=1", NULL, &got, &err), ST_OK);
	assert_int_equal(json_array_size(json_object_get(got, "a")), 1);
	json_decref(got);
	json_t *body = json_pack("{s:s}", "k", "v");
	assert_int_equal(rest_call(r, "PATCH", "/p", body, &got, &err), ST_OK);
	assert_null(got);
	json_decref(body);
	assert_int_equal(rest_call(r, "GET", "/z", NULL, NULL, &err), ST_OK);
	rest_free(r);
	assert_int_equal(fake_stop(&f), 3);
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_int_equal(
		strncmp(f.request[0], "GET /x?y=1 HTTP/1.1\r\n", 21), 0);
	assert_non_null(strstr(f.request[0], "\r\nX-API-Key: s3cr3t-Key\r\n"));
	assert_non_null(strstr(f.request[0], "\r\nUser-Agent: danelaw\r\n"));
	assert_null(strstr(f.request[0], "Content-Type"));
	assert_int_equal(strncmp(f.request[1], "PATCH /p HTTP", 13), 0);
	assert_non_null(strstr(f.request[1], "Content-Type: application/json"));
	assert_non_null(strstr(f.request[1], "\r\n\r\n{\"k\":\"v\"}"));
	assert_null(strstr(f.request[1], "Expect"));
	/* Nothing of the PATCH is left in the next call. */
	assert_int_equal(strncmp(f.request[2], "GET /z HTTP", 11), 0);
	assert_null(strstr(f.request[2], "Content-Length"));
}

struct case_ {
	const char *reply;
	enum status st;
	const char *says;
};

static void check(const struct case_ *c)
{
	static struct http_fake f;
	struct err err = ERR_INIT;
	char where[128];
	json_t *got = NULL;

	memset(&f, 0, sizeof(f));
	f.reply[0] = c->reply;
	fake_start(&f);
	struct rest *r = rest_to(f.url);
	(void)snprintf(where, sizeof(where), "GET %s/path: ", f.url);
	int64_t start = clock_mono_ms();
	enum status st = rest_call(r, "GET", "/path?q=1", NULL, &got, &err);
	assert_true(clock_mono_ms() - start < 4000);
	rest_free(r);
	assert_int_equal(fake_stop(&f), 1);
	assert_null(got);
	if (st != c->st || !strstr(err.text, c->says) ||
		strncmp(err.text, where, strlen(where)))
		fail_msg("%s: %s, for\n%.80s", status_name(st), err.text,
			c->reply);
	assert_null(strstr(err.text, key));
	assert_true(strlen(err.text) < 400);
}

static void answers(void **state)
{
	(void)state;
	static char longer[5000] = HTTP("500 X", "", "");
	memset(longer + strlen(longer), 'x', 4000);
	const struct case_ cases[] = {
		{ HTTP("401 X", "", "bad key s3cr3t-Key, s3cr3t-Keys3cr3t-Key"),
			ST_DENIED, "api_key_file (/etc/key) is refused: bad" },
		{ HTTP("403 X", "", "{\"error\":\"no\"}"), ST_DENIED, ": no" },
		{ HTTP("404 X", "", ""), ST_NOTFOUND, "HTTP 404" },
		{ HTTP("409 X", "", ""), ST_CONFLICT, "HTTP 409" },
		{ HTTP("412 X", "", ""), ST_CONFLICT, "HTTP 412" },
		{ HTTP("400 X", "", "{\"message\":\"m\"}"), ST_REFUSED, ": m" },
		{ HTTP("422 X", "", "{\"error\":\"a\\nb\"}"), ST_REFUSED,
			"a b" },
		{ HTTP("429 X", "", ""), ST_RETRY, "HTTP 429" },
		{ HTTP("429 X", "Retry-After: 9\r\n", ""), ST_RETRY,
			"asks to wait 9 s" },
		{ HTTP("500 X", "", "<b>\x1b[1m \xc3\xa4</b>"), ST_RETRY,
			"<b>?[1m ?"
			"?</b>" },
		{ HTTP("301 X", "Location: https://evil.example/\r\n", ""),
			ST_CONFIG, "redirects are not followed" },
		{ HTTP("302 X", "Location: https://evil.example/\r\n", ""),
			ST_CONFIG, "evil.example" },
		{ JSON("{not json"), ST_RETRY, "not JSON" },
		{ JSON("{\"a\":1,\"a\":2}"), ST_RETRY, "not JSON" },
		{ JSON("[1] x"), ST_RETRY, "not JSON" },
		{ longer, ST_RETRY, "HTTP 500: xxx" },
		{ "SSH-2.0-x\r\n", ST_RETRY, "HTTP/0.9" },
		{ "", ST_RETRY, "Empty reply" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", ST_RETRY,
			"remaining" },
		{ "FLOOD", ST_RETRY, "larger than 8388608 bytes" },
		{ "DRIP", ST_RETRY, "timed out" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i]);
}

/* A message that is cut off in the middle of a secret that it repeats. */
static void half_a_secret(void **state)
{
	(void)state;
	static char reply[400] = HTTP("401 X", "", "{\"message\":\"");
	static struct http_fake f = { .reply = { reply } };
	struct err err = ERR_INIT;
	size_t n = strlen(reply);

	memset(reply + n, 'x', 194);
	(void)snprintf(reply + n + 194, sizeof(reply) - n - 194, "%s\"}", key);
	fake_start(&f);
	struct rest *r = rest_to(f.url);
	assert_int_equal(rest_call(r, "GET", "/", NULL, NULL, &err), ST_DENIED);
	assert_null(strstr(err.text, "xs3"));
	assert_non_null(strstr(err.text, "x**"));
	rest_free(r);
	(void)fake_stop(&f);
}

/* All that len says is there. */
static void nul(void **state)
{
	(void)state;
	static struct http_fake f = { .reply = { "NUL" } };
	const struct rest_request q = { .method = "GET", .path = "/" };
	auto_answer a = REST_ANSWER_INIT;
	struct err err = ERR_INIT;

	fake_start(&f);
	struct rest_config c = config(f.url);
	struct rest *r;
	c.xml = true;
	assert_int_equal(rest_new(&c, &r, &err), ST_OK);
	assert_int_equal(rest_send(r, &q, &a, &err), ST_OK);
	assert_int_equal(a.len, 4 + 4096);
	assert_memory_equal(a.body, "<a>\0[[", 6);
	assert_int_equal(a.body[a.len - 1], '[');
	rest_free(r);
	(void)fake_stop(&f);
}

static void retry_after(void **state)
{
	(void)state;
	static struct http_fake f = {
		.reply = { HTTP("503 X", "Retry-After: 2\r\n", "busy"),
			JSON("[]") }
	};
	struct err err = ERR_INIT;
	json_t *got = NULL;

	fake_start(&f);
	struct rest *r = rest_to(f.url);
	assert_int_equal(rest_retry_after(r), 0);
	assert_int_equal(rest_call(r, "GET", "/", NULL, &got, &err), ST_RETRY);
	assert_true(rest_retry_after(r) >= 1 && rest_retry_after(r) <= 2);
	/* Asked too early: not even sent. */
	assert_int_equal(rest_call(r, "GET", "/", NULL, &got, &err), ST_RETRY);
	assert_non_null(strstr(err.text, "asked to wait"));
	assert_int_equal(f.n, 1);
	while (rest_retry_after(r))
		(void)usleep(20000);
	assert_int_equal(rest_call(r, "GET", "/", NULL, &got, &err), ST_OK);
	json_decref(got);
	rest_free(r);
	assert_int_equal(fake_stop(&f), 2);
}

static void no_server(void **state)
{
	(void)state;
	static struct http_fake f;
	struct err err = ERR_INIT;

	fake_start(&f);
	(void)fake_stop(&f);
	struct rest *r = rest_to(f.url);
	assert_int_equal(rest_call(r, "GET", "/", NULL, NULL, &err), ST_RETRY);
	assert_non_null(strstr(err.text, f.url));
	rest_free(r);
	/* A CA file that is none. */
	struct rest_config c = config("https://127.0.0.1:1");
	c.ca_file = "/nonexistent/ca.pem";
	assert_int_equal(rest_new(&c, &r, &err), ST_CONFIG);
	assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(secrets),
		cmocka_unit_test(request),
		cmocka_unit_test(answers),
		cmocka_unit_test(half_a_secret),
		cmocka_unit_test(nul),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(no_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
