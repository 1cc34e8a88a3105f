/*
 * What every provider promises (providers/provider.h), checked against a real
 * server or API that tests/contract/run has started and seeded:
 *
 *   contract suite TYPE ZONE option=value ...     all promises, in one zone
 *   contract expect STATUS TEXT TYPE open|get|replace|change OWNER opt=value
 * ... one call must fail with STATUS and say TEXT; change is a replace of what
 * get returned contract show TYPE OWNER option=value ...     print what get()
 * returns
 *
 * Prints "ok - ..." and "not ok - ..."; exit status 1 if one is not ok.
 */
#include "providers/provider.h"
#include "hook/dns/name.h"

#include <stdarg.h>

static int failed;
static const char *tag;

static bool check(bool good, const char *what, const struct err *err)
{
	printf("%s - %s: %s%s%s\n", good ? "ok" : "not ok", tag, what,
		!good && err && err->text[0] ? " # " : "",
		!good && err ? err->text : "");
	failed |= !good;
	return good;
}

/* From argv's "name=value" to what the configuration would give. */
static enum status open_provider(const struct provider_ops *ops, char **args,
	void **ret, struct err *err)
{
	const char *value[32] = { NULL };
	struct provider_config cfg = { .name = "contract", .value = value };

	for (size_t i = 0; ops->options[i].name && i < 32; i++) {
		size_t n = strlen(ops->options[i].name);
		value[i] = ops->options[i].def;
		for (char **a = args; *a; a++)
			if (!strncmp(*a, ops->options[i].name, n) &&
				(*a)[n] == '=')
				value[i] = *a + n + 1;
	}
	return ops->open(&cfg, ret, err);
}

struct party {
	const struct provider_ops *ops;
	void *ctx;
};

/* A set of our own records, "ab" = key a and key b. */
static void keys(struct tlsa_rrset *set, const char *names, uint32_t ttl)
{
	struct err err = ERR_INIT;

	for (const char *p = names; *p; p++) {
		struct spki k;
		memset(k.d, *p, sizeof(k.d));
		if (tlsa_rrset_add_spki(set, &k, &err))
			exit(2);
	}
	set->ttl = ttl;
}

static bool get(struct party *p, const char *owner, struct tlsa_rrset *ret,
	struct err *err)
{
	char zone[DNS_NAME_MAX] = "";

	tlsa_rrset_release(ret);
	return p->ops->get(p->ctx, owner, ret, zone, err) == ST_OK;
}

static enum status set(struct party *p, const char *owner, const char *from,
	const char *to, uint32_t ttl, struct err *err)
{
	auto_tlsa f = TLSA_RRSET_INIT;
	auto_tlsa t = TLSA_RRSET_INIT;

	keys(&f, from, ttl);
	keys(&t, to, ttl);
	return p->ops->replace(p->ctx, owner, &f, &t, err);
}

static bool holds(struct party *p, const char *owner, const char *names,
	uint32_t ttl, struct err *err)
{
	auto_tlsa want = TLSA_RRSET_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;

	keys(&want, names, ttl);
	return get(p, owner, &now, err) && tlsa_rrset_eq(&want, &now) &&
	       (!now.n || now.ttl == ttl);
}

static void add_and_remove(struct party *a, const char *owner, const char *zone)
{
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;
	char in[DNS_NAME_MAX] = "";

	check(a->ops->get(a->ctx, owner, &now, in, &err) == ST_OK && !now.n,
		"get of an absent RRset is empty", &err);
	check(!strcmp(in, zone), "get names the zone", &err);
	check(!set(a, owner, "", "ab", 3600, &err) &&
			holds(a, owner, "ab", 3600, &err),
		"first records are added with their TTL", &err);
	check(!set(a, owner, "ab", "ab", 3600, &err) &&
			holds(a, owner, "ab", 3600, &err),
		"the same again changes nothing", &err);
	check(!set(a, owner, "", "ab", 3600, &err) &&
			holds(a, owner, "ab", 3600, &err),
		"a change whose answer was lost can be repeated", &err);
	check(!set(a, owner, "ab", "abc", 3600, &err) &&
			holds(a, owner, "abc", 3600, &err),
		"one more record is added", &err);
	check(!set(a, owner, "abc", "bc", 3600, &err) &&
			holds(a, owner, "bc", 3600, &err),
		"one record is removed", &err);
	check(!set(a, owner, "bc", "cd", 3600, &err) &&
			holds(a, owner, "cd", 3600, &err),
		"one is added and one removed at once", &err);
	check(!set(a, owner, "cd", "xy", 3600, &err) &&
			holds(a, owner, "xy", 3600, &err),
		"all are exchanged at once", &err);
	check(!set(a, owner, "xy", "", 3600, &err) &&
			holds(a, owner, "", 0, &err),
		"an empty set deletes the RRset", &err);
}

static void conflicts(struct party *a, struct party *b, const char *owner)
{
	struct err err = ERR_INIT;

	check(!set(a, owner, "", "ab", 3600, &err) &&
			!set(b, owner, "ab", "abx", 3600, &err),
		"somebody else adds a record", &err);
	check(set(a, owner, "ab", "abc", 3600, &err) == ST_CONFLICT &&
			strstr(err.text, "somebody else"),
		"then our change is a conflict", &err);
	check(set(a, owner, "ab", "b", 3600, &err) == ST_CONFLICT,
		"and our removal", &err);
	check(set(a, owner, "", "c", 3600, &err) == ST_CONFLICT,
		"and our first record", &err);
	check(set(a, owner, "abxz", "abz", 3600, &err) == ST_CONFLICT,
		"and a removal of one too many", &err);
	check(holds(b, owner, "abx", 3600, &err), "and nothing was changed",
		&err);
	check(!set(b, owner, "abx", "", 3600, &err) &&
			set(a, owner, "abx", "abxc", 3600, &err) == ST_CONFLICT,
		"a deleted RRset is a conflict", &err);
	check(holds(a, owner, "", 0, &err), "and stays deleted", &err);
}

/* The runner has put records of others there, with a TTL of 7200. */
static void foreign(struct party *a, const char *owner)
{
	struct err err = ERR_INIT;
	auto_tlsa seed = TLSA_RRSET_INIT;
	auto_tlsa more = TLSA_RRSET_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;

	if (!check(get(a, owner, &seed, &err) && seed.n == 5 &&
			    seed.ttl == 7200,
		    "five foreign records are there", &err) ||
		tlsa_rrset_copy(&seed, &more, &err))
		return;
	keys(&more, "a", 7200);
	check(!a->ops->replace(a->ctx, owner, &seed, &more, &err) &&
			get(a, owner, &now, &err) &&
			tlsa_rrset_eq(&now, &more) && now.n == 6,
		"ours is added, foreign records survive", &err);
	check(now.ttl == 7200, "the TTL is kept", &err);
	check(!a->ops->replace(a->ctx, owner, &more, &seed, &err) &&
			get(a, owner, &now, &err) &&
			tlsa_rrset_eq(&now, &seed) && now.ttl == 7200,
		"ours only is removed again", &err);
}

static void new_ttl(struct party *a, const char *owner)
{
	struct err err = ERR_INIT;
	auto_tlsa from = TLSA_RRSET_INIT;
	auto_tlsa to = TLSA_RRSET_INIT;

	keys(&from, "ab", 3600);
	keys(&to, "abc", 300);
	check(!set(a, owner, "", "ab", 3600, &err) &&
			!a->ops->replace(a->ctx, owner, &from, &to, &err) &&
			holds(a, owner, "abc", 300, &err),
		"a new TTL is set for all records", &err);
	keys(&from, "c", 300);
	to.ttl = 900;
	check(!a->ops->replace(a->ctx, owner, &from, &to, &err) &&
			holds(a, owner, "abc", 900, &err),
		"a new TTL alone is set", &err);
	check(!set(a, owner, "abc", "", 900, &err), "and cleaned up", &err);
}

static void refusals(struct party *a, const char *zone)
{
	char owner[DNS_NAME_MAX];
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;

	(void)snprintf(owner, sizeof(owner), "_25._tcp.alias.%.200s", zone);
	char in[DNS_NAME_MAX] = "untouched";
	check(a->ops->get(a->ctx, owner, &now, in, &err) == ST_REFUSED &&
			strstr(err.text, "CNAME") &&
			strstr(err.text, "_25._tcp.target."),
		"get at a CNAME is refused and says where it points", &err);
	check(!strcmp(in, "untouched") && !now.n,
		"a refused get leaves its outputs alone", &err);
	check(set(a, owner, "", "a", 3600, &err) == ST_REFUSED &&
			strstr(err.text, "CNAME"),
		"a write at a CNAME is refused", &err);
	check(a->ops->get(a->ctx, "_25._tcp.mx.unknown.invalid.", &now, in,
		      &err) == ST_REFUSED &&
			strstr(err.text, "unknown.invalid."),
		"get in an unknown zone is refused", &err);
	check(set(a, "_25._tcp.mx.unknown.invalid.", "", "a", 3600, &err) ==
			ST_REFUSED,
		"a write in an unknown zone is refused", &err);
}

static int suite(const struct provider_ops *ops, const char *zone, char **args)
{
	struct party a = { .ops = ops }, b = { .ops = ops };
	struct err err = ERR_INIT;
	char owner[DNS_NAME_MAX], child[DNS_NAME_MAX];

	if (!check(!open_provider(ops, args, &a.ctx, &err) &&
			    !open_provider(ops, args, &b.ctx, &err),
		    "opens", &err))
		return 1;
	(void)snprintf(owner, sizeof(owner), "_25._tcp.mx.%.200s", zone);
	add_and_remove(&a, owner, zone);
	conflicts(&a, &b, owner);
	new_ttl(&a, owner);
	refusals(&a, zone);
	/* The runner says which zones are seeded with more. */
	if (getenv("CONTRACT_PLAIN"))
		goto out;
	(void)snprintf(owner, sizeof(owner), "_25._tcp.mx.child.%.200s", zone);
	(void)snprintf(child, sizeof(child), "child.%.200s", zone);
	add_and_remove(&a, owner, child);
	(void)snprintf(owner, sizeof(owner), "_25._tcp.foreign.%.200s", zone);
	foreign(&a, owner);
out:
	ops->close(a.ctx);
	ops->close(b.ctx);
	return failed;
}

static int expect(char **argv)
{
	const struct provider_ops *ops = provider_find(argv[2]);
	const char *verb = argv[3], *owner = argv[4];
	struct party p = { .ops = ops };
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;
	auto_tlsa more = TLSA_RRSET_INIT;
	char what[300];
	char zone[DNS_NAME_MAX] = "";

	enum status st = open_provider(ops, argv + 5, &p.ctx, &err);
	if (!st && !strcmp(verb, "get"))
		st = ops->get(p.ctx, owner, &now, zone, &err);
	else if (!st && !strcmp(verb, "replace"))
		st = set(&p, owner, "", "a", 3600, &err);
	else if (!st && get(&p, owner, &now, &err) &&
		 !tlsa_rrset_copy(&now, &more, &err)) {
		keys(&more, "a", now.ttl);
		st = ops->replace(p.ctx, owner, &now, &more, &err);
	}
	(void)snprintf(what, sizeof(what), "%s gives %s and says: %s", verb,
		argv[0], argv[1]);
	check(!strcmp(status_name(st), argv[0]) && strstr(err.text, argv[1]),
		what, &err);
	printf("#   %s: %s\n", status_name(st), err.text);
	ops->close(p.ctx);
	return failed;
}

static int show(char **argv)
{
	const struct provider_ops *ops = provider_find(argv[0]);
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX];
	void *ctx = NULL;

	if (open_provider(ops, argv + 2, &ctx, &err) ||
		ops->get(ctx, argv[1], &now, zone, &err)) {
		printf("# %s\n", err.text);
		return 1;
	}
	for (size_t i = 0; i < now.n; i++) {
		auto_buf text = BUF_INIT(100000);
		(void)tlsa_text(&now.rr[i], &text, &err);
		printf("%s %u %s\n", zone, now.ttl, buf_str(&text));
	}
	ops->close(ctx);
	return 0;
}

int main(int argc, char **argv)
{
	tag = getenv("CONTRACT_TAG") ? getenv("CONTRACT_TAG") : "contract";
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 4 && !strcmp(argv[1], "suite") && provider_find(argv[2]))
		return suite(provider_find(argv[2]), argv[3], argv + 4);
	if (argc >= 7 && !strcmp(argv[1], "expect") && provider_find(argv[4]))
		return expect(argv + 2);
	if (argc >= 4 && !strcmp(argv[1], "show") && provider_find(argv[2]))
		return show(argv + 2);
	fprintf(stderr, "usage: see contract.c\n");
	return 2;
}
