/*
 * What every provider promises (providers/provider.h), checked against a real
 * server or API that tests/contract/run or vendors has started and seeded:
 *
 *   contract list                                 types of the registry
 *   contract caps TYPE                            its capabilities
 *   contract suite TYPE ZONE option=value ...     all promises, in one zone
 *   contract roll TYPE ZONE option=value ...      a rollover at two owners for
 *     each line of stdin, which holds one more option
 *   contract expect STATUS TEXT TYPE open|get|replace|change OWNER opt=value
 *     ... one call must fail with STATUS (or A|B|C) and say TEXT; change is a
 *     replace of what get returned
 *   contract show TYPE OWNER option=value ...     print what get() returns
 *   contract put TYPE OWNER FROM TO option=value ...   replace, silently
 *
 * Prints "ok - ..." and "not ok - ..."; exit status 1 if one is not ok. What
 * cannot be seen from the capabilities is in the environment:
 *   CONTRACT_TAG     before each name
 *   CONTRACT_PLAIN   the zone has no child zone and no foreign records
 *   CONTRACT_NO_CHILD   it has no child zone
 *   CONTRACT_EVIL    another zone's name, that ends like this zone's
 *   CONTRACT_TTLS    "A B C D": ours, that of the foreign records, two more
 *   CONTRACT_CNAME   target: get names it (default); read: get says that there
 *     is one; write: a write is refused; none
 *   CONTRACT_FOREIGN how many foreign records there are (5)
 */
#include "providers/provider.h"
#include "hook/dns/name.h"
#include "providers/rest.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed;
static const char *tag;
static uint32_t ttls[4] = { 3600, 7200, 300, 900 };
#define OURS (ttls[0])
#define SEEDED (ttls[1])

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
	char **args;
};

static bool has_ttl(const struct party *p)
{
	return !(p->ops->caps & PCAP_NO_TTL);
}

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
	       (!now.n || !has_ttl(p) || now.ttl == ttl);
}

static void add_and_remove(struct party *a, const char *owner, const char *zone)
{
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;
	char in[DNS_NAME_MAX] = "";

	check(a->ops->get(a->ctx, owner, &now, in, &err) == ST_OK && !now.n,
		"get of an absent RRset is empty", &err);
	check(!strcmp(in, zone), "get names the zone", &err);
	check(!set(a, owner, "", "ab", OURS, &err) &&
			holds(a, owner, "ab", OURS, &err),
		"first records are added with their TTL", &err);
	check(!set(a, owner, "ab", "ab", OURS, &err) &&
			holds(a, owner, "ab", OURS, &err),
		"the same again changes nothing", &err);
	check(!set(a, owner, "", "ab", OURS, &err) &&
			holds(a, owner, "ab", OURS, &err),
		"a change whose answer was lost can be repeated", &err);
	check(!set(a, owner, "ab", "abc", OURS, &err) &&
			holds(a, owner, "abc", OURS, &err),
		"one more record is added", &err);
	check(!set(a, owner, "abc", "bc", OURS, &err) &&
			holds(a, owner, "bc", OURS, &err),
		"one record is removed", &err);
	check(!set(a, owner, "bc", "cd", OURS, &err) &&
			holds(a, owner, "cd", OURS, &err),
		"one is added and one removed at once", &err);
	check(!set(a, owner, "cd", "xy", OURS, &err) &&
			holds(a, owner, "xy", OURS, &err),
		"all are exchanged at once", &err);
	check(!set(a, owner, "xy", "", OURS, &err) &&
			holds(a, owner, "", 0, &err),
		"an empty set deletes the RRset", &err);
}

static void conflicts(struct party *a, struct party *b, const char *owner)
{
	struct err err = ERR_INIT;

	check(!set(a, owner, "", "ab", OURS, &err) &&
			!set(b, owner, "ab", "abx", OURS, &err),
		"somebody else adds a record", &err);
	check(set(a, owner, "ab", "abc", OURS, &err) == ST_CONFLICT &&
			strstr(err.text, "somebody else"),
		"then our change is a conflict", &err);
	check(set(a, owner, "ab", "b", OURS, &err) == ST_CONFLICT,
		"and our removal", &err);
	check(set(a, owner, "", "c", OURS, &err) == ST_CONFLICT,
		"and our first record", &err);
	check(set(a, owner, "abxz", "abz", OURS, &err) == ST_CONFLICT,
		"and a removal of one too many", &err);
	check(holds(b, owner, "abx", OURS, &err), "and nothing was changed",
		&err);
	check(!set(b, owner, "abx", "", OURS, &err) &&
			set(a, owner, "abx", "abxc", OURS, &err) == ST_CONFLICT,
		"a deleted RRset is a conflict", &err);
	check(holds(a, owner, "", 0, &err), "and stays deleted", &err);
}

/* The runner has put records of others there. */
static void foreign(struct party *a, const char *owner)
{
	struct err err = ERR_INIT;
	auto_tlsa seed = TLSA_RRSET_INIT;
	auto_tlsa more = TLSA_RRSET_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;

	const char *many = getenv("CONTRACT_FOREIGN");
	if (!check(get(a, owner, &seed, &err) &&
			    seed.n == strtoul(many ? many : "5", NULL, 10) &&
			    (!has_ttl(a) || seed.ttl == SEEDED),
		    "the foreign records are there", &err) ||
		tlsa_rrset_copy(&seed, &more, &err))
		return;
	keys(&more, "a", seed.ttl);
	check(!a->ops->replace(a->ctx, owner, &seed, &more, &err) &&
			get(a, owner, &now, &err) &&
			tlsa_rrset_eq(&now, &more) && now.n == seed.n + 1,
		"ours is added, foreign records survive", &err);
	check(now.ttl == seed.ttl, "the TTL is kept", &err);
	check(!a->ops->replace(a->ctx, owner, &more, &seed, &err) &&
			get(a, owner, &now, &err) &&
			tlsa_rrset_eq(&now, &seed) && now.ttl == seed.ttl,
		"ours only is removed again", &err);
}

static void new_ttl(struct party *a, const char *owner)
{
	struct err err = ERR_INIT;
	auto_tlsa from = TLSA_RRSET_INIT;
	auto_tlsa to = TLSA_RRSET_INIT;

	keys(&from, "ab", OURS);
	keys(&to, "abc", ttls[2]);
	check(!set(a, owner, "", "ab", OURS, &err) &&
			!a->ops->replace(a->ctx, owner, &from, &to, &err) &&
			holds(a, owner, "abc", ttls[2], &err),
		"a new TTL is set for all records", &err);
	keys(&from, "c", ttls[2]);
	to.ttl = ttls[3];
	check(!a->ops->replace(a->ctx, owner, &from, &to, &err) &&
			holds(a, owner, "abc", ttls[3], &err),
		"a new TTL alone is set", &err);
	check(!set(a, owner, "abc", "", ttls[3], &err), "and cleaned up", &err);
}

/* How a CNAME is refused depends on what the API shows. */
static void alias(struct party *a, const char *zone)
{
	const char *how = getenv("CONTRACT_CNAME");
	char owner[DNS_NAME_MAX], in[DNS_NAME_MAX] = "untouched";
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;

	how = how ? how : "target";
	if (!strcmp(how, "none"))
		return;
	(void)snprintf(owner, sizeof(owner), "_25._tcp.alias.%.200s", zone);
	enum status st = a->ops->get(a->ctx, owner, &now, in, &err);
	if (!strcmp(how, "target"))
		check(st == ST_REFUSED && strstr(err.text, "CNAME") &&
				strstr(err.text, "_25._tcp.target."),
			"get at a CNAME is refused and says where it points",
			&err);
	else if (!strcmp(how, "read"))
		check(st == ST_REFUSED && strstr(err.text, "CNAME"),
			"get at a CNAME is refused", &err);
	if (strcmp(how, "write"))
		check(!strcmp(in, "untouched") && !now.n,
			"a refused get leaves its outputs alone", &err);
	err = (struct err)ERR_INIT;
	st = set(a, owner, "", "a", OURS, &err);
	check(st == ST_REFUSED &&
			(!strcmp(how, "write") || strstr(err.text, "CNAME")),
		"a write at a CNAME is refused", &err);
}

static void refusals(struct party *a, const char *zone)
{
	char owner[DNS_NAME_MAX], in[DNS_NAME_MAX] = "untouched";
	struct err err = ERR_INIT;
	auto_tlsa now = TLSA_RRSET_INIT;

	alias(a, zone);
	check(a->ops->get(a->ctx, "_25._tcp.mx.unknown.invalid.", &now, in,
		      &err) == ST_REFUSED &&
			strstr(err.text, "unknown.invalid."),
		"get in an unknown zone is refused", &err);
	check(set(a, "_25._tcp.mx.unknown.invalid.", "", "a", OURS, &err) ==
			ST_REFUSED,
		"a write in an unknown zone is refused", &err);
	(void)snprintf(owner, sizeof(owner), "_25._tcp.mx.not%.200s", zone);
	/* Where the zone above is served, too, that one holds it. */
	enum status found = a->ops->get(a->ctx, owner, &now, in, &err);
	check(found == ST_REFUSED ||
			(!found && !strcmp(in, strchr(zone, '.') + 1)),
		"a zone is not found by its last letters", &err);
	if (a->ops->may_write) {
		(void)snprintf(
			owner, sizeof(owner), "_25._tcp.mx.%.200s", zone);
		enum status st = a->ops->may_write(a->ctx, owner, &err);
		check(st == ST_OK || st == ST_NOTFOUND,
			"may_write does not deny", &err);
	}
}

/* ---- provider_edit ---- */

#define ITEMS 6

/* What each item of a batch shall become: "+b", "-a", "" nothing, "!" fails,
 * "=bc" exactly these. */
struct plan {
	struct party *p;
	struct provider_item item[ITEMS];
	char owner[ITEMS][DNS_NAME_MAX];
	size_t n;
	const char *what[ITEMS];
	unsigned asked[ITEMS];
	/* Somebody else's change between read and write: this often */
	unsigned meddle;
};

/* Another process: two handles in one may not be used inside each other. */
static void somebody_else(
	struct party *p, const char *owner, const char *from, const char *to)
{
	char *argv[48] = { (char *)(uintptr_t) "contract",
		(char *)(uintptr_t) "put", (char *)(uintptr_t)p->ops->type,
		(char *)(uintptr_t)owner, (char *)(uintptr_t)from,
		(char *)(uintptr_t)to };
	int status = 0;

	for (size_t i = 0; p->args[i] && i < 40; i++)
		argv[6 + i] = p->args[i];
	pid_t pid = fork();
	if (!pid) {
		(void)execv("/proc/self/exe", argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	check(WIFEXITED(status) && !WEXITSTATUS(status),
		"(somebody else makes a change)", NULL);
}

static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	struct plan *plan = arg;
	const char *what = plan->what[i];
	enum status st = ST_OK;

	plan->asked[i]++;
	if (plan->meddle) {
		plan->meddle--;
		somebody_else(plan->p, plan->item[i].owner,
			plan->asked[i] == 1 ? "a" : "ax",
			plan->asked[i] == 1 ? "ax" : "axy");
	}
	if (*what == '!')
		return err_set(err, ST_BUSY, "decided against");
	if (*what != '=')
		st = tlsa_rrset_copy(now, to, err);
	if (*what == '+' || *what == '=')
		keys(to, what + 1, now->n ? now->ttl : OURS);
	for (const char *c = what + 1; *what == '-' && *c; c++) {
		struct spki k;
		memset(k.d, *c, sizeof(k.d));
		(void)tlsa_rrset_remove_spki(to, &k);
	}
	return st;
}

static void plan_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++)
		provider_item_release(&plan->item[i]);
	memset(plan->asked, 0, sizeof(plan->asked));
}

static void edit(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		memset(&plan->item[i], 0, sizeof(plan->item[i]));
		plan->item[i].owner = plan->owner[i];
	}
	provider_edit(
		plan->p->ops, plan->p->ctx, plan->item, plan->n, decide, plan);
}

/* Item i: its result, and what is held now. */
static bool came_out(struct plan *plan, size_t i, enum status st, bool changed,
	const char *names, struct err *err)
{
	const struct provider_item *it = &plan->item[i];

	if (it->err.st != st || it->changed != changed) {
		(void)err_set(err, ST_BUG, "item %zu: %s%s (%s)", i,
			status_name(it->err.st), it->changed ? ", changed" : "",
			it->err.text);
		return false;
	}
	if (names && !holds(plan->p, it->owner, names, OURS, err)) {
		(void)err_set(
			err, ST_BUG, "item %zu does not hold \"%s\"", i, names);
		return false;
	}
	return true;
}

static void batch(struct party *a, const char *zone, const char *child)
{
	struct err err = ERR_INIT;
	struct plan plan = { .p = a, .n = child ? 6 : 4 };

	for (size_t i = 0; i < ITEMS; i++) {
		(void)snprintf(plan.owner[i], DNS_NAME_MAX,
			"_25._tcp.b%zu.%.200s", i, i < 4 ? zone : child);
		plan.what[i] = i == 2 ? "!" : "=a";
	}
	edit(&plan);
	bool good = true, named = true;
	for (size_t i = 0; i < plan.n; i++) {
		if (i == 2)
			good &= came_out(&plan, i, ST_BUSY, false, "", &err) &&
				strstr(plan.item[i].err.text, "decided");
		else
			good &= came_out(&plan, i, ST_OK, true, "a", &err);
		named &= i == 2 ||
			 !strcmp(plan.item[i].zone, i < 4 ? zone : child);
	}
	check(good, "several owners in one batch, one decided against", &err);
	check(named, "each is told its zone", NULL);
	plan_release(&plan);
	edit(&plan);
	for (size_t i = 0; i < plan.n; i++)
		good &= came_out(&plan, i, i == 2 ? ST_BUSY : ST_OK, false,
			i == 2 ? "" : "a", &err);
	check(good, "the same batch again changes nothing", &err);
	plan_release(&plan);

	/* Each something else, and one in a zone that is not there. */
	plan.what[0] = "-a";
	plan.what[1] = "=b";
	plan.what[2] = "+c";
	plan.what[3] = "";
	plan.what[4] = "+b";
	plan.what[5] = "=a";
	size_t lost = child ? 5 : 3;
	(void)snprintf(
		plan.owner[lost], DNS_NAME_MAX, "_25._tcp.unknown.invalid.");
	edit(&plan);
	good = came_out(&plan, 0, ST_OK, true, "", &err) &&
	       came_out(&plan, 1, ST_OK, true, "b", &err) &&
	       came_out(&plan, 2, ST_OK, true, "c", &err) &&
	       came_out(&plan, lost, ST_REFUSED, false, NULL, &err);
	if (child)
		good &= came_out(&plan, 3, ST_OK, false, "a", &err) &&
			came_out(&plan, 4, ST_OK, true, "ab", &err);
	check(good, "each its own change, one in no zone", &err);
	plan_release(&plan);

	for (size_t i = 0; i < ITEMS; i++) {
		(void)snprintf(plan.owner[i], DNS_NAME_MAX,
			"_25._tcp.b%zu.%.200s", i, i < 4 ? zone : child);
		plan.what[i] = "=";
	}
	edit(&plan);
	for (size_t i = 0; i < plan.n; i++)
		good &= plan.item[i].err.st == ST_OK &&
			holds(a, plan.owner[i], "", 0, &err);
	check(good, "and all are deleted", &err);
	plan_release(&plan);
}

/* Only where a change is a compare-and-swap can it be seen that somebody was
 * there between reading and writing. */
static void meddling(struct party *a, const char *owner)
{
	struct err err = ERR_INIT;
	struct plan plan = { .p = a, .n = 1, .what = { "+b" } };

	if (!(a->ops->caps & PCAP_CAS))
		return;
	(void)snprintf(plan.owner[0], DNS_NAME_MAX, "%s", owner);
	(void)set(a, owner, "", "a", OURS, &err);
	plan.meddle = 1;
	edit(&plan);
	check(came_out(&plan, 0, ST_OK, true, "abx", &err) &&
			plan.asked[0] == 2,
		"a conflict is read and decided again", &err);
	plan_release(&plan);
	(void)set(a, owner, "abx", "a", OURS, &err);
	plan.meddle = 2;
	edit(&plan);
	check(came_out(&plan, 0, ST_CONFLICT, false, "axy", &err) &&
			plan.asked[0] == 2,
		"but only once", &err);
	plan_release(&plan);
	check(!set(a, owner, "axy", "", OURS, &err), "and cleaned up", &err);
}

static int suite(const struct provider_ops *ops, const char *zone, char **args)
{
	struct party a = { .ops = ops, .args = args };
	struct party b = { .ops = ops, .args = args };
	struct err err = ERR_INIT;
	char owner[DNS_NAME_MAX], child[DNS_NAME_MAX];
	const char *evil = getenv("CONTRACT_EVIL");
	bool plain = getenv("CONTRACT_PLAIN");
	bool with_child = !plain && !getenv("CONTRACT_NO_CHILD");

	if (!check(!open_provider(ops, args, &a.ctx, &err) &&
			    !open_provider(ops, args, &b.ctx, &err),
		    "opens", &err))
		return 1;
	(void)snprintf(owner, sizeof(owner), "_25._tcp.mx.%.200s", zone);
	(void)snprintf(child, sizeof(child), "child.%.200s", zone);
	add_and_remove(&a, owner, zone);
	conflicts(&a, &b, owner);
	if (has_ttl(&a))
		new_ttl(&a, owner);
	refusals(&a, zone);
	batch(&a, zone, with_child ? child : NULL);
	meddling(&a, owner);
	if (with_child) {
		(void)snprintf(
			owner, sizeof(owner), "_25._tcp.mx.%.200s", child);
		add_and_remove(&a, owner, child);
	}
	if (evil) {
		(void)snprintf(
			owner, sizeof(owner), "_25._tcp.mx.%.200s", evil);
		add_and_remove(&a, owner, evil);
	}
	if (!plain) {
		(void)snprintf(
			owner, sizeof(owner), "_25._tcp.foreign.%.200s", zone);
		foreign(&a, owner);
	}
	ops->close(a.ctx);
	ops->close(b.ctx);
	return failed;
}

/* ---- a rollover, as the engine would make it of several runs ---- */

/*
 * A contract program that is linked with --wrap=rest_pause follows what goes on
 * in the background 20 times as often, as fakes are that much faster.
 */
enum status __real_rest_pause(struct rest *r, int64_t ms, struct err *err)
	__attribute__((weak));
enum status __wrap_rest_pause(struct rest *r, int64_t ms, struct err *err);
enum status __wrap_rest_pause(struct rest *r, int64_t ms, struct err *err)
{
	return __real_rest_pause(r, ms / 20 + 1, err);
}

struct step {
	struct spki add, drop;
	bool adds;
};

/* Never without the key that is in use: it must be there already. */
static enum status decide_step(void *arg, size_t i,
	const struct tlsa_rrset *now, struct tlsa_rrset *to, struct err *err)
{
	const struct step *step = arg;

	(void)i;
	if (!tlsa_rrset_has_spki(now, step->adds ? &step->drop : &step->add))
		return err_set(err, ST_CONFLICT,
			"contract: the key in use is not there");
	enum status st = tlsa_rrset_copy(now, to, err);
	if (!st && step->adds)
		st = tlsa_rrset_add_spki(to, &step->add, err);
	else if (!st)
		(void)tlsa_rrset_remove_spki(to, &step->drop);
	return st;
}

/* One run: opens, edits, closes. */
static bool attempt(const struct provider_ops *ops, const char *zone,
	char **args, struct step *step, unsigned n)
{
	struct party p = { .ops = ops };
	struct err err = ERR_INIT;
	char owner[2][DNS_NAME_MAX];
	struct provider_item item[2] = { { .owner = owner[0] },
		{ .owner = owner[1] } };
	const char *what = step->adds ? "publish" : "withdraw";
	bool done = true;

	(void)snprintf(owner[0], DNS_NAME_MAX, "_25._tcp.foreign.%.200s", zone);
	(void)snprintf(
		owner[1], DNS_NAME_MAX, "_465._tcp.foreign.%.200s", zone);
	if (open_provider(ops, args, &p.ctx, &err)) {
		printf("failed %s %u %s +0: %s\n", what, n, status_name(err.st),
			err.text);
		return false;
	}
	provider_edit(ops, p.ctx, item, 2, decide_step, step);
	for (size_t i = 0; i < 2; i++) {
		if (item[i].err.st)
			printf("failed %s %u %s +%jd: %s\n", what, n,
				status_name(item[i].err.st),
				(intmax_t)item[i].retry_after_s,
				item[i].err.text);
		done &= !item[i].err.st;
		provider_item_release(&item[i]);
	}
	ops->close(p.ctx);
	return done;
}

#define ATTEMPTS 8

/* "ask publish" when the provider has no complaint. The runner looks at what is
 * served, promotes the key, and says "go"; or "again". */
static bool served(const struct step *step)
{
	char line[16];

	printf("ask %s\n", step->adds ? "publish" : "withdraw");
	return fgets(line, sizeof(line), stdin) && !strcmp(line, "go\n");
}

static void roll(const struct provider_ops *ops, const char *zone, char **args)
{
	struct step step = { .adds = true };

	memset(step.drop.d, 'a', sizeof(step.drop.d));
	memset(step.add.d, 'b', sizeof(step.add.d));
	for (int s = 0; s < 2; s++, step.adds = false) {
		unsigned n = 0;
		while (!attempt(ops, zone, args, &step, ++n) || !served(&step))
			if (n == ATTEMPTS) {
				printf("gave up\n");
				return;
			}
	}
	printf("done\n");
}

/* One for each line of stdin, which holds one more option. */
static int rolls(const struct provider_ops *ops, const char *zone, char **args)
{
	char line[100], *more[48];
	size_t n = 0;

	while (args[n] && n < 46) {
		more[n] = args[n];
		n++;
	}
	more[n] = line; /* the last one counts */
	more[n + 1] = NULL;
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		roll(ops, zone, more);
	}
	return 0;
}

/* Is it in "a|b|c"? */
static bool one_of(const char *name, const char *list)
{
	size_t n = strlen(name);

	for (const char *p = list; p; p = strchr(p, '|')) {
		p += *p == '|';
		if (!strncmp(p, name, n) && (!p[n] || p[n] == '|'))
			return true;
	}
	return false;
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
		st = set(&p, owner, "", "a", OURS, &err);
	else if (!st && get(&p, owner, &now, &err) &&
		 !tlsa_rrset_copy(&now, &more, &err)) {
		keys(&more, "a", now.ttl);
		st = ops->replace(p.ctx, owner, &now, &more, &err);
	}
	(void)snprintf(what, sizeof(what), "%s gives %s and says: %s", verb,
		argv[0], argv[1]);
	check(one_of(status_name(st), argv[0]) && strstr(err.text, argv[1]),
		what, &err);
	printf("#   %s: %s\n", status_name(st), err.text);
	if (p.ctx)
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
		if (ctx)
			ops->close(ctx);
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

static int put(char **argv)
{
	struct party p = { .ops = provider_find(argv[0]) };
	struct err err = ERR_INIT;

	if (open_provider(p.ops, argv + 4, &p.ctx, &err) ||
		set(&p, argv[1], argv[2], argv[3], OURS, &err)) {
		printf("# put: %s\n", err.text);
		if (p.ctx)
			p.ops->close(p.ctx);
		return 1;
	}
	p.ops->close(p.ctx);
	return 0;
}

static int caps(const struct provider_ops *ops)
{
	static const struct {
		unsigned cap;
		const char *name;
	} all[] = { { PCAP_CAS, "cas" }, { PCAP_READ, "read" },
		{ PCAP_ATOMIC, "atomic" }, { PCAP_BULK, "bulk" },
		{ PCAP_ASYNC, "async" }, { PCAP_NO_TTL, "no-ttl" },
		{ PCAP_RRSET, "rrset" } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (ops->caps & all[i].cap)
			puts(all[i].name);
	return 0;
}

static int list(void)
{
	for (size_t i = 0; provider_at(i); i++)
		puts(provider_at(i)->type);
	return 0;
}

int main(int argc, char **argv)
{
	const char *t = getenv("CONTRACT_TTLS");
	const char *verb = argc > 1 ? argv[1] : "";

	tag = getenv("CONTRACT_TAG") ? getenv("CONTRACT_TAG") : "contract";
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (t && sscanf(t, "%u %u %u %u", &ttls[0], &ttls[1], &ttls[2],
			 &ttls[3]) != 4)
		goto usage;
	if (argc == 2 && !strcmp(verb, "list"))
		return list();
	if (argc >= 7 && !strcmp(verb, "expect") && provider_find(argv[4]))
		return expect(argv + 2);
	if (argc == 3 && !strcmp(verb, "caps") && provider_find(argv[2]))
		return caps(provider_find(argv[2]));
	if (argc < 4 || !provider_find(argv[2]))
		goto usage;
	if (!strcmp(verb, "suite"))
		return suite(provider_find(argv[2]), argv[3], argv + 4);
	if (!strcmp(verb, "roll"))
		return rolls(provider_find(argv[2]), argv[3], argv + 4);
	if (!strcmp(verb, "show"))
		return show(argv + 2);
	if (argc >= 6 && !strcmp(verb, "put"))
		return put(argv + 2);
usage:
	fprintf(stderr, "usage: see contract.c\n");
	return 2;
}
