/* What the fakes of Azure and Google do not show: the token endpoint's
 * refusals, links that lead elsewhere, private zones of the same name, a role
 * on one zone only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hook/base/auto.h"
#include "hook/base/buf.h"
#include "providers/oauth.h"
#include "providers/provider.h"
#include "tests/unit/http_fake.h"

#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

extern const struct provider_ops provider_azure, provider_google;

#define OWNER "_25._tcp.mx.example.test."
#define TOKEN JSON("{\"token_type\":\"Bearer\",\"access_token\":\"tok-12345\"}")
#define ZONE(group)                                             \
	"{\"id\":\"/subscriptions/sub/resourceGroups/" group    \
	"/providers/Microsoft.Network/dnszones/example.test\"," \
	"\"name\":\"example.test\",\"properties\":{\"zoneType\":\"Public\"}}"
#define NONE JSON("{\"value\":[]}")
#define HIDDEN                                                  \
	HTTP("403 Forbidden", "",                               \
		"{\"error\":{\"code\":\"AuthorizationFailed\"," \
		"\"message\":\"The client may not\"}}")

static char secret_path[] = "/tmp/test_oauth.XXXXXX";
static char key_path[] = "/tmp/test_oauth.XXXXXX";

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* "name=value" each. */
static enum status open_with(const struct provider_ops *ops,
	const char *const *args, void **ret, struct err *err)
{
	const char *value[32] = { NULL };
	struct provider_config cfg = { .name = "test", .value = value };

	for (size_t i = 0; ops->options[i].name; i++) {
		size_t n = strlen(ops->options[i].name);
		value[i] = ops->options[i].def;
		for (const char *const *a = args; *a; a++)
			if (!strncmp(*a, ops->options[i].name, n) &&
				(*a)[n] == '=')
				value[i] = *a + n + 1;
	}
	return ops->open(&cfg, ret, err);
}

static void *azure_at(const struct http_fake *f, const char *more)
{
	char url[128], login[128], secret[128];
	const char *args[] = { url, login, secret, "timeout=5", "tenant_id=ten",
		"client_id=cli", "subscription_id=sub", more, NULL };
	struct err err = ERR_INIT;
	void *ctx = NULL;

	(void)snprintf(url, sizeof(url), "url=%s", f->url);
	(void)snprintf(login, sizeof(login), "login_url=%s/", f->url);
	(void)snprintf(
		secret, sizeof(secret), "client_secret_file=%s", secret_path);
	assert_int_equal(open_with(&provider_azure, args, &ctx, &err), ST_OK);
	return ctx;
}

/* One get of the fake's replies. */
static enum status azure_get(
	struct http_fake *f, const char *more, struct err *err)
{
	auto_tlsa set = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX] = "";

	fake_start(f);
	void *ctx = azure_at(f, more);
	enum status st = provider_azure.get(ctx, OWNER, &set, zone, err);
	provider_azure.close(ctx);
	fake_stop(f);
	return st;
}

static void test_token_request(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;

	(void)state;
	f = (struct http_fake){
		.reply = { TOKEN, JSON("{\"value\":[" ZONE("rg") "]}"), NONE }
	};
	assert_int_equal(azure_get(&f, NULL, &err), ST_OK);
	assert_int_equal(f.n, 3);
	assert_non_null(strstr(f.request[0], "POST /ten/oauth2/v2.0/token "));
	assert_non_null(strstr(f.request[0], "client_secret=s%26cret%2B%2F"));
	assert_null(strstr(f.request[0], "Authorization"));
	assert_non_null(
		strstr(f.request[1], "Authorization: Bearer tok-12345\r\n"));
	assert_non_null(strstr(f.request[2],
		"GET /subscriptions/sub/resourceGroups/rg/providers/"
		"Microsoft.Network/dnsZones/example.test/TLSA"
		"?api-version=2023-07-01-preview "));
}

static void test_token_refused(void **state)
{
	static const struct {
		const char *reply;
		enum status st;
		const char *says;
	} t[] = {
		{ HTTP("401 Unauthorized", "",
			  "{\"error\":\"invalid_client\",\"error_description\""
			  ":\"AADSTS7000215: no s&cret+/\"}"),
			ST_DENIED, "AADSTS7000215" },
		{ HTTP("400 Bad Request", "",
			  "{\"error\":\"unauthorized_client\"}"),
			ST_DENIED, "unauthorized_client" },
		{ HTTP("400 Bad Request", "",
			  "{\"error\":\"invalid_request\"}"),
			ST_REFUSED, "invalid_request" },
		{ HTTP("404 Not Found", "", ""), ST_CONFIG, "token" },
		{ HTTP("409 Conflict", "", "{}"), ST_RETRY, "token" },
		{ JSON("{}"), ST_RETRY, "access_token" },
		{ JSON("{\"access_token\":\"a\\r\\nX-Evil: 1\"}"), ST_RETRY,
			"odd" },
		{ JSON("{\"access_token\":\"abcdefgh\",\"token_type\":"
		       "\"mac\"}"),
			ST_RETRY, "bearer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		static struct http_fake f;
		struct err err = ERR_INIT;
		f = (struct http_fake){ .reply = { t[i].reply } };
		assert_int_equal(azure_get(&f, NULL, &err), t[i].st);
		assert_int_equal(f.n, 1);
		if (!strstr(err.text, t[i].says))
			print_message("%s\n", err.text);
		assert_non_null(strstr(err.text, t[i].says));
		assert_null(strstr(err.text, "s&cret"));
		assert_null(strstr(err.text, "abcdefgh"));
	}
}

static void test_group(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;

	(void)state;
	/* A role on the one zone: whatever else is asked for is hidden. */
	f = (struct http_fake){ .reply = { TOKEN, HIDDEN, HIDDEN, HIDDEN,
					JSON(ZONE("rg_(x)")), NONE } };
	assert_int_equal(azure_get(&f, "resource_group=rg_(x)", &err), ST_OK);
	assert_int_equal(f.n, 6);
	assert_non_null(strstr(f.request[4],
		"GET /subscriptions/sub/resourceGroups/rg_%28x%29/providers/"
		"Microsoft.Network/dnsZones/example.test?"));
	assert_non_null(strstr(f.request[5], "/resourceGroups/rg_%28x%29/"));
}

static void test_hidden(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;

	(void)state;
	/* Without a group it is what it is: the list is forbidden. */
	f = (struct http_fake){ .reply = { TOKEN, HIDDEN } };
	assert_int_equal(azure_get(&f, NULL, &err), ST_DENIED);
	assert_non_null(strstr(err.text, "DNS Zone Contributor"));
}

static void test_link_elsewhere(void **state)
{
	static const struct {
		const char *link, *path;
	} t[] = {
		{ "https://evil.test/x?$skip=1", "GET /x?$skip=1 " },
		{ "http://127.0.0.1.evil.test/", "GET / " },
		{ "//evil.test/", NULL },
		{ "/x", NULL },
		{ "http:", NULL },
		{ "http://evil.test", NULL },
	};

	(void)state;
	/* The token is never sent there: the next page is asked for here. */
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		static struct http_fake f;
		char reply[512];
		struct err err = ERR_INIT;
		(void)snprintf(reply, sizeof(reply),
			JSON("{\"value\":[],\"nextLink\":\"%s\"}"), t[i].link);
		f = (struct http_fake){
			.reply = { TOKEN, reply,
				JSON("{\"value\":[" ZONE("rg") "]}"), NONE }
		};
		assert_int_equal(azure_get(&f, NULL, &err),
			t[i].path ? ST_OK : ST_RETRY);
		assert_int_equal(f.n, t[i].path ? 4 : 2);
		if (t[i].path)
			assert_non_null(strstr(f.request[2], t[i].path));
		else
			assert_non_null(strstr(err.text, "next page"));
	}
}

static void test_parent_gone(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;

	(void)state;
	/* Not "there are no records". */
	f = (struct http_fake){
		.reply = { TOKEN, JSON("{\"value\":[" ZONE("rg") "]}"),
			HTTP("404 Not Found", "",
				"{\"error\":{\"code\":"
				"\"ParentResourceNotFound\","
				"\"message\":\"zone is gone\"}}") }
	};
	assert_int_equal(azure_get(&f, NULL, &err), ST_CONFIG);
	assert_non_null(strstr(err.text, "zone is gone"));
}

static void test_upper(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;
	auto_tlsa from = TLSA_RRSET_INIT;
	auto_tlsa to = TLSA_RRSET_INIT;
	struct spki k;

	(void)state;
	memset(k.d, 0xab, sizeof(k.d));
	assert_int_equal(tlsa_rrset_add_spki(&to, &k, &err), ST_OK);
	to.ttl = 3600;
	f = (struct http_fake){ .reply = { TOKEN,
					JSON("{\"value\":[" ZONE("rg") "]}"),
					NONE, JSON("{}") } };
	fake_start(&f);
	void *ctx = azure_at(&f, NULL);
	assert_int_equal(
		provider_azure.replace(ctx, OWNER, &from, &to, &err), ST_OK);
	provider_azure.close(ctx);
	assert_int_equal(fake_stop(&f), 4);
	assert_non_null(strstr(f.request[3], "If-None-Match: *\r\n"));
	assert_non_null(strstr(f.request[3], "\"ABABABABAB"));
}

/* ---- Google ---- */

/* token_uri: all of it, or a path on the fake. */
static enum status google_at(
	struct http_fake *f, const char *token_uri, void **ret, struct err *err)
{
	char url[128], file[128];
	const char *args[] = { url, file, "timeout=5", NULL };
	unsigned char *pem = NULL;
	size_t len = 0;
	EVP_PKEY *key = EVP_RSA_gen(2048);
	OSSL_ENCODER_CTX *ec = OSSL_ENCODER_CTX_new_for_pkey(
		key, EVP_PKEY_KEYPAIR, "PEM", "PrivateKeyInfo", NULL);

	fake_start(f);
	assert_int_equal(OSSL_ENCODER_to_data(ec, &pem, &len), 1);
	json_t *o = json_pack("{s:s, s:s#, s:s, s:s, s:o, s:s}", "type",
		"service_account", "private_key", pem, (size_t)len,
		"private_key_id", "kid", "client_email", "me@example.test",
		"token_uri",
		json_sprintf(
			"%s%s", *token_uri == '/' ? f->url : "", token_uri),
		"project_id", "pro");
	auto_str text = json_dumps(o, 0);
	assert_non_null(text);
	write_file(key_path, text);
	json_decref(o);
	OPENSSL_free(pem);
	OSSL_ENCODER_CTX_free(ec);
	EVP_PKEY_free(key);
	(void)snprintf(url, sizeof(url), "url=%s/dns/v1", f->url);
	(void)snprintf(file, sizeof(file), "credentials_file=%s", key_path);
	return open_with(&provider_google, args, ret, err);
}

static enum status google_get(
	struct http_fake *f, const char *token_uri, struct err *err)
{
	auto_tlsa set = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX] = "";
	void *ctx = NULL;
	enum status st = google_at(f, token_uri, &ctx, err);

	if (!st) {
		st = provider_google.get(ctx, OWNER, &set, zone, err);
		provider_google.close(ctx);
	}
	fake_stop(f);
	return st;
}

#define MANAGED(name, visibility)                               \
	"{\"name\":\"" name "\",\"dnsName\":\"example.test.\"," \
	"\"visibility\":\"" visibility "\"}"

static void test_google_zones(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;

	(void)state;
	f = (struct http_fake){
		.reply = { TOKEN,
			JSON("{\"managedZones\":[" MANAGED("in",
				"private") "," MANAGED("out", "public") "]}"),
			JSON("{\"rrsets\":[]}") }
	};
	assert_int_equal(google_get(&f, "/token", &err), ST_OK);
	assert_non_null(strstr(f.request[0], "POST /token "));
	assert_non_null(strstr(f.request[2],
		"/projects/pro/managedZones/out/rrsets?name=" OWNER));
	/* A name that would leave the path. */
	f = (struct http_fake){ .reply = { TOKEN,
					JSON("{\"managedZones\":[" MANAGED(
						"../../x", "public") "]}") } };
	assert_int_equal(google_get(&f, "/token", &err), ST_REFUSED);
	assert_int_equal(f.n, 2);
}

#define GOOGLE_EMPTY                                                    \
	TOKEN, JSON("{\"managedZones\":[" MANAGED("z", "public") "]}"), \
		JSON("{\"rrsets\":[]}")

#define THEIRS                                                         \
	JSON("{\"rrsets\":[{\"name\":\"" OWNER "\",\"type\":\"TLSA\"," \
	     "\"ttl\":300,\"rrdatas\":[\"3 1 1 "                       \
	     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"                        \
	     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\"]}]}")

/* From nothing to one record. */
static enum status google_add(struct http_fake *f, struct err *err)
{
	auto_tlsa from = TLSA_RRSET_INIT;
	auto_tlsa to = TLSA_RRSET_INIT;
	struct spki k;
	void *ctx = NULL;

	memset(k.d, 0xab, sizeof(k.d));
	assert_int_equal(tlsa_rrset_add_spki(&to, &k, err), ST_OK);
	to.ttl = 3600;
	assert_int_equal(google_at(f, "/token", &ctx, err), ST_OK);
	enum status st = provider_google.replace(ctx, OWNER, &from, &to, err);
	provider_google.close(ctx);
	fake_stop(f);
	return st;
}

static void test_google_follow(void **state)
{
	static struct http_fake f;
	struct err err = ERR_INIT;

	(void)state;
	f = (struct http_fake){
		.reply = { GOOGLE_EMPTY,
			JSON("{\"id\":\"7\",\"status\":\"pending\"}"),
			JSON("{\"id\":\"7\",\"status\":\"pending\"}"),
			JSON("{\"id\":\"7\",\"status\":\"done\"}") }
	};
	assert_int_equal(google_add(&f, &err), ST_OK);
	assert_int_equal(f.n, 6);
	assert_non_null(
		strstr(f.request[5], "GET /dns/v1/projects/pro/managedZones/z/"
				     "changes/7 "));
}

static void test_google_conflict(void **state)
{
	static const char *const reply[] = { HTTP("404 Not Found", "", "{}"),
		HTTP("409 Conflict", "", "{}"),
		HTTP("412 Precondition Failed", "", "{}") };

	(void)state;
	for (size_t i = 0; i < sizeof(reply) / sizeof(reply[0]); i++) {
		static struct http_fake f;
		struct err err = ERR_INIT;
		/* Read once more: somebody else was there. */
		f = (struct http_fake){ .reply = { GOOGLE_EMPTY, reply[i],
						THEIRS } };
		assert_int_equal(google_add(&f, &err), ST_CONFLICT);
		assert_int_equal(f.n, 5);
	}
}

/* What was made for the first login must not be left behind: it is as good as
 * a password for an hour. A sanitizer sees it. */
static void test_google_login_again(void **state)
{
	static struct http_fake f;
	char zone[DNS_NAME_MAX] = "";
	struct err err = ERR_INIT;
	void *ctx = NULL;

	(void)state;
	f = (struct http_fake){ .reply = { HTTP("503 Busy", "", "{}"),
					HTTP("503 Busy", "", "{}") } };
	assert_int_equal(google_at(&f, "/token", &ctx, &err), ST_OK);
	for (int i = 0; i < 2; i++) {
		auto_tlsa set = TLSA_RRSET_INIT;

		err = (struct err)ERR_INIT;
		assert_int_equal(
			provider_google.get(ctx, OWNER, &set, zone, &err),
			ST_RETRY);
	}
	provider_google.close(ctx);
	assert_int_equal(fake_stop(&f), 2);
}

static void test_google_token_uri(void **state)
{
	static const char *const bad[] = { "http://evil.test/token", "token",
		"ftp://127.0.0.1/", "https://a:b@evil.test/" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		static struct http_fake f;
		struct err err = ERR_INIT;
		f = (struct http_fake){ .reply = { NULL } };
		assert_int_equal(google_get(&f, bad[i], &err), ST_CONFIG);
		assert_non_null(strstr(err.text, "token_uri"));
	}
}

static void test_google_file(void **state)
{
	static const char *const bad[] = { "{}", "not json",
		"{\"type\":\"authorized_user\",\"token\":\"hush\"}",
		"{\"type\":\"service_account\",\"private_key\":\"hush\"}" };
	char file[128];
	const char *args[] = { file, NULL };

	(void)state;
	(void)snprintf(file, sizeof(file), "credentials_file=%s", key_path);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		void *ctx = NULL;
		write_file(key_path, bad[i]);
		assert_int_equal(open_with(&provider_google, args, &ctx, &err),
			ST_CONFIG);
		assert_non_null(strstr(err.text, "service account"));
		assert_null(strstr(err.text, "hush"));
	}
}

static int setup(void **state)
{
	(void)state;
	static const char *const env[] = { "AZURE_AUTHORITY_HOST",
		"GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS" };
	for (size_t i = 0; i < sizeof(env) / sizeof(env[0]); i++)
		(void)unsetenv(env[i]);
	if (mkstemp(secret_path) < 0 || mkstemp(key_path) < 0)
		return -1;
	write_file(secret_path, "s&cret+/\n");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)unlink(secret_path);
	(void)unlink(key_path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token_request),
		cmocka_unit_test(test_token_refused),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_link_elsewhere),
		cmocka_unit_test(test_parent_gone),
		cmocka_unit_test(test_upper),
		cmocka_unit_test(test_google_zones),
		cmocka_unit_test(test_google_follow),
		cmocka_unit_test(test_google_conflict),
		cmocka_unit_test(test_google_login_again),
		cmocka_unit_test(test_google_token_uri),
		cmocka_unit_test(test_google_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
