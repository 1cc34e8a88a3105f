/*
 * What single vendors spell in their own way, against scripted answers. All
 * that vendors have in common is in test_api; whole APIs are in tests/contract.
 */
#include "hook/dns/name.h"
#include "providers/api.h"
#include "providers/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "tests/unit/http_fake.h"

#define MX "_25._tcp.mx.example.test."
#define A64                                \
	"61616161616161616161616161616161" \
	"61616161616161616161616161616161"
#define OURS "3 1 1 " A64

static char secret[] = "/tmp/danelaw-vendor-XXXXXX";
static struct http_fake f;

static void *open_it(const struct provider_ops *ops)
{
	const char *value[16] = { NULL };
	struct provider_config cfg = { .name = "p", .value = value };
	struct err err = ERR_INIT;
	void *ctx;

	for (size_t i = 0; ops->options[i].name; i++) {
		const struct provider_option *o = &ops->options[i];

		value[i] = o->def;
		if (!strcmp(o->name, "url"))
			value[i] = f.url;
		else if (!strcmp(o->name, "access_key_id"))
			value[i] = "AKID";
		else if (o->type == POPT_SECRET_FILE &&
			 !strstr(o->name, "session"))
			value[i] = secret;
	}
	if (ops->open(&cfg, &ctx, &err))
		fail_msg("%s", err.text);
	return ctx;
}

static enum status add_ours(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	enum status st = tlsa_rrset_copy(now, to, err);

	(void)arg;
	(void)i;
	to->ttl = now->n ? now->ttl : 3600;
	return st ? st : tlsa_rrset_add_text(to, OURS, err);
}

/* Adds our record at these names; the number of requests. */
static int edit(const char *type, const char *const replies[],
	struct provider_item *items, size_t n)
{
	const struct provider_ops *ops = provider_find(type);
	void *ctx;

	memset(&f, 0, sizeof(f));
	for (int i = 0; replies[i]; i++)
		f.reply[i] = replies[i];
	fake_start(&f);
	ctx = open_it(ops);
	provider_edit(ops, ctx, items, n, add_ours, NULL);
	ops->close(ctx);
	return fake_stop(&f);
}

static void check_ok(struct provider_item *it)
{
	if (it->err.st != ST_OK)
		fail_msg("%s: %s", it->owner, it->err.text);
	provider_item_release(it);
}

/* An alias at one of many names that are read at once. */
static void cloudflare_alias_among_many(void **state)
{
	struct provider_item it[] = { { .owner = MX },
		{ .owner = "_25._tcp.b.example.test." } };
	const char *const replies[] = {
		JSON("{\"success\":true,\"result\":[{\"name\":\"example.test\","
		     "\"id\":\"z1\",\"status\":\"active\",\"type\":\"full\"}],"
		     "\"result_info\":{\"per_page\":50,\"total_count\":1}}"),
		JSON("{\"success\":true,\"result\":[],\"result_info\":"
		     "{\"per_page\":1000,\"total_count\":0}}"),
		JSON("{\"success\":true,\"result\":[{\"type\":\"CNAME\","
		     "\"name\":\"_25._tcp.mx.example.test\",\"id\":\"r1\","
		     "\"ttl\":300,\"content\":\"x.test\"}],\"result_info\":"
		     "{\"per_page\":1000,\"total_count\":1}}"),
		JSON("{\"success\":true,\"result\":{}}"), NULL
	};

	(void)state;
	assert_int_equal(edit("cloudflare", replies, it, 2), 4);
	assert_int_equal(it[0].err.st, ST_REFUSED);
	assert_non_null(strstr(it[0].err.text, "is a CNAME"));
	check_ok(&it[1]);
	assert_non_null(strstr(f.request[2], "type=CNAME"));
	assert_non_null(strstr(f.request[3], "_25._tcp.b.example.test"));
	assert_null(strstr(f.request[3], "_25._tcp.mx"));
	provider_item_release(&it[0]);
}

/* The apex of a zone is "@", in a path as well. */
static void gandi_apex(void **state)
{
	struct provider_item it = { .owner = "example.test." };
	const char *const replies[] = { JSON("[{\"fqdn\":\"example.test\"}]"),
		JSON("[{\"rrset_name\":\"@\",\"rrset_type\":\"TLSA\","
		     "\"rrset_ttl\":777,\"rrset_values\":"
		     "[\"2 1 1 " A64 "\"]}]"),
		HTTP("201 Created", "", "{\"message\":\"DNS Record Created\"}"),
		NULL };

	(void)state;
	assert_int_equal(edit("gandi", replies, &it, 1), 3);
	assert_int_equal(it.now.n, 1);
	assert_int_equal(it.now.ttl, 777);
	check_ok(&it);
	assert_non_null(strstr(f.request[2],
		"PUT /domains/example.test/records/%40/TLSA HTTP"));
	assert_non_null(strstr(f.request[2], "2 1 1 " A64));
}

/* Somebody made the RRset between our reading and writing. */
static void hetzner_there_already(void **state)
{
	struct provider_item it = { .owner = MX };
	const char *const replies[] = {
		JSON("{\"zones\":[{\"id\":1,\"name\":\"example.test\","
		     "\"ttl\":3600,\"mode\":\"primary\"}]}"),
		JSON("{\"rrsets\":[]}"),
		HTTP("409 Conflict", "",
			"{\"error\":{\"code\":\"uniqueness_error\","
			"\"message\":\"RRSet already exists\"}}"),
		JSON("{\"rrsets\":[{\"name\":\"_25._tcp.mx\",\"type\":\"TLSA\","
		     "\"ttl\":3600,\"records\":[{\"value\":\"" OURS "\"}]}]}"),
		NULL
	};

	(void)state;
	assert_int_equal(edit("hetzner", replies, &it, 1), 4);
	assert_int_equal(it.now.n, 1);
	check_ok(&it);
	/* also with a status that says less */
	const char *const other[] = { replies[0], replies[1],
		HTTP("422 Unprocessable Entity", "",
			"{\"error\":{\"code\":\"uniqueness_error\","
			"\"message\":\"RRSet already exists\"}}"),
		replies[3], NULL };
	it = (struct provider_item){ .owner = MX };
	assert_int_equal(edit("hetzner", other, &it, 1), 4);
	check_ok(&it);
}

/* A wildcard is "\052" there. */
static void route53_star(void **state)
{
	struct provider_item it = { .owner = "*._tcp.mx.example.test." };
	const char *const replies[] = {
		JSON("<?xml version=\"1.0\"?>\n<ListHostedZonesByNameResponse>"
		     "<HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>"
		     "example.test.</Name><Config><PrivateZone>false"
		     "</PrivateZone></Config></HostedZone></HostedZones>"
		     "<IsTruncated>false</IsTruncated>"
		     "</ListHostedZonesByNameResponse>"),
		JSON("<?xml version=\"1.0\"?>\n<ListResourceRecordSetsResponse>"
		     "<ResourceRecordSets><ResourceRecordSet><Name>"
		     "\\052._tcp.mx.example.test.</Name><Type>TLSA</Type>"
		     "<TTL>555</TTL><ResourceRecords><ResourceRecord><Value>"
		     "2 1 1 " A64 "</Value></ResourceRecord></ResourceRecords>"
		     "</ResourceRecordSet></ResourceRecordSets>"
		     "<IsTruncated>false</IsTruncated>"
		     "</ListResourceRecordSetsResponse>"),
		JSON("<?xml version=\"1.0\"?>\n"
		     "<ChangeResourceRecordSetsResponse><ChangeInfo><Id>"
		     "/change/C1</Id><Status>INSYNC</Status></ChangeInfo>"
		     "</ChangeResourceRecordSetsResponse>"),
		JSON("<?xml version=\"1.0\"?>\n<GetChangeResponse><ChangeInfo>"
		     "<Id>/change/C1</Id><Status>INSYNC</Status></ChangeInfo>"
		     "</GetChangeResponse>"),
		NULL
	};

	(void)state;
	assert_int_equal(edit("route53", replies, &it, 1), 4);
	assert_int_equal(it.now.n, 1);
	assert_int_equal(it.now.ttl, 555);
	check_ok(&it);
	/* what was there goes into the transaction, and is there afterwards */
	assert_non_null(strstr(f.request[2], "<Action>DELETE</Action>"));
	assert_non_null(strstr(f.request[2], "<Action>CREATE</Action>"));
	assert_non_null(strstr(f.request[2], OURS));
}

static int setup(void **state)
{
	int fd = mkostemp(secret, O_CLOEXEC);

	(void)state;
	if (fd < 0 || write(fd, "hush\n", 5) != 5)
		return -1;
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cloudflare_alias_among_many),
		cmocka_unit_test(gandi_apex),
		cmocka_unit_test(hetzner_there_already),
		cmocka_unit_test(route53_star),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
