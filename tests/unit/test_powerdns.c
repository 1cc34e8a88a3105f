/* The PowerDNS provider against scripted answers: which calls it makes, and
 * that what others put there goes back as it came. */
#include "providers/api.h"
#include "providers/provider.h"
#include "hook/dns/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>

#include "tests/unit/http_fake.h"

#define OWNER "_25._tcp.mx.example.test."
#define NONE JSON("[]")
#define ZONE(kind)                                                    \
	JSON("[{\"id\":\"example.test.\",\"name\":\"example.test.\"," \
	     "\"kind\":\"" kind "\"}]")
/* Owner, three labels above it, then the zone. */
#define FOUND NONE, NONE, NONE, ZONE("Native")
#define RRSET(type, ttl, records)                                    \
	"{\"name\":\"" OWNER "\",\"type\":\"" type "\",\"ttl\":" ttl \
	",\"comments\":[],\"records\":[" records "]}"
#define RRSETS(list) JSON("{\"rrsets\":[" list "]}")
#define REC(content, disabled) \
	"{\"content\":\"" content "\",\"disabled\":" disabled "}"
#define HIT(content, name, zone, disabled)                              \
	"{\"content\":\"" content "\",\"disabled\":" disabled           \
	",\"name\":\"" name "\",\"object_type\":\"record\",\"ttl\":55," \
	"\"type\":\"TLSA\",\"zone\":\"" zone "\"}"
#define A64                                \
	"61616161616161616161616161616161" \
	"61616161616161616161616161616161"
#define B64                                \
	"62626262626262626262626262626262" \
	"62626262626262626262626262626262"

static char key_file[] = "/tmp/danelaw-pdns-XXXXXX";
static struct http_fake f;

static void *open_it(void)
{
	const struct provider_ops *ops = provider_find("powerdns");
	const char *value[8] = { NULL };
	struct provider_config cfg = { .name = "p", .value = value };
	struct err err = ERR_INIT;
	void *ctx;

	for (size_t i = 0; ops->options[i].name; i++)
		value[i] = !strcmp(ops->options[i].name, "url") ? f.url
			   : !strcmp(ops->options[i].name, "api_key_file")
				   ? key_file
				   : ops->options[i].def;
	if (ops->open(&cfg, &ctx, &err))
		fail_msg("%s", err.text);
	return ctx;
}

static void script(const char *const replies[])
{
	memset(&f, 0, sizeof(f));
	for (int i = 0; replies[i]; i++)
		f.reply[i] = replies[i];
	fake_start(&f);
}

static void add(struct tlsa_rrset *set, const char *text)
{
	struct err err = ERR_INIT;

	if (tlsa_rrset_add_text(set, text, &err))
		fail_msg("%s", err.text);
}

static void get_reads_what_is_served(void **state)
{
	(void)state;
	const struct provider_ops *ops = provider_find("powerdns");
	auto_tlsa set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;
	char zone[DNS_NAME_MAX];

	script((const char *const[]){ FOUND,
		RRSETS(RRSET("A", "1", REC("192.0.2.1", "false")) "," RRSET(
			"TLSA", "77",
			REC("3 1 1 " A64, "false") "," REC(
				"3 1 2 aB Cd", "false") "," REC("3 1 1 " B64,
				"true") "," REC("3 1 xx", "false"))),
		NONE, NULL });
	void *ctx = open_it();
	if (ops->get(ctx, OWNER, &set, zone, &err))
		fail_msg("%s", err.text);
	ops->close(ctx);
	assert_int_equal(fake_stop(&f), 6);
	assert_string_equal(zone, "example.test.");
	assert_int_equal(set.n, 2);
	assert_int_equal(set.ttl, 77);
	assert_int_equal(set.rr[1].data[1], 0xcd);
	assert_non_null(strstr(f.request[0],
		"GET /api/v1/servers/localhost/zones?zone=" OWNER " HTTP"));
	assert_non_null(strstr(f.request[4],
		"GET /api/v1/servers/localhost/zones/example.test."
		"?rrset_name=" OWNER " HTTP"));
}

struct refusal {
	const char *reply;
	enum status st;
	const char *says;
};

static void get_refuses(void **state)
{
	(void)state;
	const struct provider_ops *ops = provider_find("powerdns");
	const struct refusal r[] = {
		{ RRSETS(RRSET("CNAME", "1", REC("x.example.", "false"))),
			ST_REFUSED, "is a CNAME for x.example." },
		{ RRSETS(RRSET("TLSA", "2147483648", REC("3 1 1 00", "false"))),
			ST_RETRY, "odd TTL" },
		{ RRSETS(RRSET("TLSA", "-1", REC("3 1 1 00", "false"))),
			ST_RETRY, "odd TTL" },
		{ RRSETS(RRSET("TLSA", "\"x\"", "")), ST_RETRY, "odd TTL" },
		{ RRSETS(RRSET("TLSA", "1", "{}")), ST_RETRY, "content" },
		{ JSON("[]"), ST_RETRY, "no rrsets" },
	};
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		auto_tlsa set = TLSA_RRSET_INIT;
		struct err err = ERR_INIT;
		char zone[DNS_NAME_MAX] = "same";
		script((const char *const[]){ FOUND, r[i].reply, NULL });
		void *ctx = open_it();
		enum status st = ops->get(ctx, OWNER, &set, zone, &err);
		ops->close(ctx);
		(void)fake_stop(&f);
		if (st != r[i].st || !strstr(err.text, r[i].says))
			fail_msg("%s: %s", status_name(st), err.text);
		assert_string_equal(zone, "same");
		assert_int_equal(set.n, 0);
	}
}

static enum status zone_case(
	const char *const replies[], struct err *err, int *ret_n)
{
	const struct provider_ops *ops = provider_find("powerdns");
	auto_tlsa set = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX];

	script(replies);
	void *ctx = open_it();
	enum status st = ops->get(ctx, OWNER, &set, zone, err);
	ops->close(ctx);
	*ret_n = fake_stop(&f);
	return st;
}

static void zones(void **state)
{
	(void)state;
	struct err err = ERR_INIT;
	int n;
	const char *none[] = { NONE, NONE, NONE, NONE, NONE, NULL };
	assert_int_equal(zone_case(none, &err, &n), ST_REFUSED);
	assert_non_null(strstr(err.text, "no zone that holds " OWNER));
	assert_int_equal(n, 5); /* the root is not asked for */
	const char *slave[] = { NONE, NONE, NONE, ZONE("Slave"), NULL };
	assert_int_equal(zone_case(slave, &err, &n), ST_CONFIG);
	assert_non_null(strstr(err.text, "of kind Slave there"));
	assert_int_equal(n, 4);
	const char *other[] = { NONE, NONE,
		JSON("[{\"id\":\"../x\",\"name\":"
		     "\"mx.example.test.\",\"kind\":\"Native\"}]"),
		NULL };
	assert_int_equal(zone_case(other, &err, &n), ST_RETRY);
	const char *gone[] = { HTTP("404 X", "", "Not Found"), NULL };
	assert_int_equal(zone_case(gone, &err, &n), ST_CONFIG);
	assert_non_null(strstr(err.text, "no server \"localhost\""));
}

/* Runs a replace from `served` (+ the search) to `to` and returns the request
 * number `at` as JSON, NULL when there was none. */
static json_t *replace(const char *rrsets, const char *search,
	const char *from[], const char *to[], uint32_t ttl, enum status want)
{
	const struct provider_ops *ops = provider_find("powerdns");
	auto_tlsa f_set = TLSA_RRSET_INIT;
	auto_tlsa t_set = TLSA_RRSET_INIT;
	struct err err = ERR_INIT;

	for (int i = 0; from[i]; i++)
		add(&f_set, from[i]);
	for (int i = 0; to[i]; i++)
		add(&t_set, to[i]);
	f_set.ttl = 77;
	t_set.ttl = ttl;
	script((const char *const[]){
		FOUND, rrsets, search, HTTP("204 X", "", ""), NULL });
	void *ctx = open_it();
	enum status st = ops->replace(ctx, OWNER, &f_set, &t_set, &err);
	ops->close(ctx);
	int n = fake_stop(&f);
	if (st != want)
		fail_msg("%s: %s", status_name(st), err.text);
	if (n < 7)
		return NULL;
	assert_int_equal(
		strncmp(f.request[6],
			"PATCH /api/v1/servers/localhost/zones/example.test. ",
			52),
		0);
	return json_loads(strstr(f.request[6], "\r\n\r\n"), 0, NULL);
}

static void assert_patch(json_t *got, const char *want)
{
	assert_non_null(got);
	json_t *w = json_loads(want, 0, NULL);
	assert_non_null(w);
	if (!json_equal(got, w)) {
		char *text = json_dumps(got, 0);
		fail_msg("%s", text);
	}
	json_decref(got);
	json_decref(w);
}

#define PATCH(more) \
	"{\"rrsets\":[{\"name\":\"" OWNER "\",\"type\":\"TLSA\"," more "}]}"
#define FOREIGN REC("3 1 2 aB Cd", "false") "," REC("2 0 1 00", "true")
#define OURS REC("3 1 1 " A64, "false")

static void replace_keeps_what_is_there(void **state)
{
	(void)state;
	const char *served = RRSETS(
		RRSET("TLSA", "77", REC("3 1 2 aB Cd", "false") "," OURS));
	const char *search = JSON("[" HIT("2 0 1 00", OWNER, "example.test.",
		"true") "," HIT("1 1 1 00", OWNER, "example.test.",
		"false") "," HIT("1 1 1 01", "a." OWNER, "example.test.",
		"true") "," HIT("1 1 1 02", OWNER, "other.test.", "true") "]");
	const char *one[] = { "3 1 2 abcd", "3 1 1 " A64, NULL };
	const char *two[] = { "3 1 2 abcd", "3 1 1 " B64, NULL };

	assert_patch(replace(served, search, one, two, 77, ST_OK),
		PATCH("\"changetype\":\"REPLACE\",\"ttl\":77,\"records\":[" REC(
			"3 1 2 aB Cd", "false") "," REC("2 0 1 00",
			"true") "," REC("3 1 1 " B64, "false") "]"));
	/* The search wants the name without its final dot. */
	assert_non_null(strstr(f.request[5], "/search-data?max=1000&q="
					     "_25._tcp.mx.example.test HTTP"));
	/* What is no TLSA data in our eyes is somebody's: it stays, too. */
	served = RRSETS(RRSET(
		"TLSA", "77", REC("3 1 xx", "false") "," FOREIGN "," OURS));
	assert_patch(replace(served, NONE, one, two, 77, ST_OK),
		PATCH("\"changetype\":\"REPLACE\",\"ttl\":77,\"records\":[" REC(
			"3 1 xx", "false") "," FOREIGN
					   "," REC("3 1 1 " B64, "false") "]"));
	/* The newer API shows disabled ones at once: not twice. */
	served = RRSETS(RRSET("TLSA", "77", FOREIGN "," OURS));
	assert_patch(replace(served, search, one, two, 5, ST_OK),
		PATCH("\"changetype\":\"REPLACE\",\"ttl\":5,\"records\":[" REC(
			"3 1 2 aB Cd", "false") "," REC("2 0 1 00",
			"true") "," REC("3 1 1 " B64, "false") "]"));
}

static void replace_to_nothing(void **state)
{
	(void)state;
	const char *served = RRSETS(RRSET("TLSA", "77", OURS));
	const char *search =
		JSON("[" HIT("2 0 1 00", OWNER, "example.test.", "true") "]");
	const char *one[] = { "3 1 1 " A64, NULL };
	const char *none[] = { NULL };

	assert_patch(replace(served, NONE, one, none, 0, ST_OK),
		PATCH("\"changetype\":\"DELETE\""));
	assert_patch(replace(served, search, one, none, 0, ST_OK),
		PATCH("\"changetype\":\"REPLACE\",\"ttl\":77,\"records\":[" REC(
			"2 0 1 00", "true") "]"));
	/* New beside a disabled one alone. */
	assert_patch(replace(RRSETS(""), search, none, one, 3600, ST_OK),
		PATCH("\"changetype\":\"REPLACE\",\"ttl\":3600,\"records\":"
		      "[" REC("2 0 1 00", "true") "," OURS "]"));
}

static void replace_writes_nothing(void **state)
{
	(void)state;
	const char *served = RRSETS(RRSET("TLSA", "77", OURS));
	const char *same[] = { "3 1 1 " A64, NULL };
	const char *other[] = { "3 1 1 " B64, NULL };
	const char *both[] = { "3 1 1 " A64, "3 1 1 " B64, NULL };

	/* Not what it was planned on. */
	assert_null(replace(served, NONE, other, both, 77, ST_CONFLICT));
	/* Done already. */
	assert_null(replace(served, NONE, both, same, 77, ST_OK));
	assert_int_equal(f.n, 6);
	/* Nothing to do: nothing asked. */
	assert_null(replace(served, NONE, same, same, 77, ST_OK));
	assert_int_equal(f.n, 0);
	/* The operator has disabled what we want to publish. */
	assert_null(replace(served,
		JSON("[" HIT("3 1 1 " B64, OWNER, "example.test.", "true") "]"),
		same, both, 77, ST_REFUSED));
	/* No search, no write: we would not know what we delete. */
	assert_null(replace(
		served, HTTP("500 X", "", ""), same, both, 77, ST_RETRY));
}

static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	(void)arg;
	(void)i;
	if (tlsa_rrset_copy(now, to, err))
		return err->st;
	to->ttl = 60;
	return tlsa_rrset_add_text(to, "3 1 1 " A64, err);
}

/* All names of a zone go in one call; one that cannot be changed holds up
 * nobody. */
static void many_names_are_one_write(void **state)
{
	(void)state;
	const struct provider_ops *ops = provider_find("powerdns");
	struct provider_item it[] = { { .owner = OWNER },
		{ .owner = "_26._tcp.mx.example.test." },
		{ .owner = "_27._tcp.mx.example.test." } };

	/* the first name and what all have in common, the other two; a read
	 * and a search for each */
	script((const char *const[]){ FOUND, NONE, NONE,
		RRSETS(RRSET("TLSA", "77", REC("3 1 2 aB Cd", "false"))), NONE,
		RRSETS("{\"name\":\"_26._tcp.mx.example.test.\","
		       "\"type\":\"CNAME\",\"ttl\":1,\"records\":[" REC(
			       "x.test.", "false") "]}"),
		NONE, RRSETS(""), NONE, HTTP("204 X", "", ""), NULL });
	void *ctx = open_it();
	ops->edit(ctx, it, 3, decide, NULL);
	ops->close(ctx);
	assert_int_equal(fake_stop(&f), 13);
	assert_int_equal(it[0].err.st, ST_OK);
	assert_int_equal(it[1].err.st, ST_REFUSED);
	assert_non_null(strstr(it[1].err.text, "is a CNAME there"));
	assert_int_equal(it[2].err.st, ST_OK);
	assert_true(it[0].changed && !it[1].changed && it[2].changed);
	assert_patch(json_loads(strstr(f.request[12], "\r\n\r\n"), 0, NULL),
		"{\"rrsets\":[{\"name\":\"" OWNER "\",\"type\":\"TLSA\","
		"\"changetype\":\"REPLACE\",\"ttl\":60,\"records\":[" REC(
			"3 1 2 aB Cd",
			"false") "," OURS "]},"
				 "{\"name\":\"_27._tcp.mx.example.test.\","
				 "\"type\":\"TLSA\","
				 "\"changetype\":\"REPLACE\",\"ttl\":60,"
				 "\"records\":[" OURS "]}]}");
	for (size_t i = 0; i < 3; i++)
		provider_item_release(&it[i]);
}

static void says_if_a_zone_is_signed(void **state)
{
	(void)state;
#define SIGNED(value)                                                 \
	JSON("[{\"id\":\"example.test.\",\"name\":\"example.test.\"," \
	     "\"kind\":\"Native\"" value "}]")
	const struct {
		const char *reply;
		enum api_signed is;
	} c[] = {
		{ SIGNED(",\"dnssec\":true"), API_SIGNED },
		{ SIGNED(",\"dnssec\":false"), API_UNSIGNED },
		{ SIGNED(""), API_SIGNED_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct api_zone z;
		struct err err = ERR_INIT;
		script((const char *const[]){
			NONE, NONE, NONE, c[i].reply, NULL });
		void *ctx = open_it();
		if (api_zone_of(ctx, OWNER, &z, &err))
			fail_msg("%s", err.text);
		provider_find("powerdns")->close(ctx);
		(void)fake_stop(&f);
		assert_int_equal(z.dnssec, c[i].is);
	}
}

static int setup(void **state)
{
	(void)state;
	int fd = mkostemp(key_file, O_CLOEXEC);
	if (fd < 0 || write(fd, "key\n", 4) != 4)
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
		cmocka_unit_test(get_reads_what_is_served),
		cmocka_unit_test(get_refuses),
		cmocka_unit_test(zones),
		cmocka_unit_test(replace_keeps_what_is_there),
		cmocka_unit_test(replace_to_nothing),
		cmocka_unit_test(replace_writes_nothing),
		cmocka_unit_test(many_names_are_one_write),
		cmocka_unit_test(says_if_a_zone_is_signed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
