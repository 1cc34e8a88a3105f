/*
 * libunbound behind the look-up interface. One context per object: its caches
 * start empty, its options are set before the first question (libunbound
 * refuses them later), its worker is a thread.
 *
 * Invariants: a bogus answer yields no data at all, whatever libunbound hands
 * out with it (it says rcode 0 and havedata 1); no answer is FAILED, which is
 * not a verdict; nothing is written to stderr. (RFC 4035 4.3, RFC 4033 5)
 */
#include "hook/dns/resolver.h"

#include "hook/base/auto.h"
#include "hook/base/buf.h"
#include "hook/base/clock.h"
#include "hook/dns/codec_referral.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unbound.h>

#define FILE_MAX ((size_t)1 << 20) /* trust anchor, root hints */
#define DEFAULT_TIMEOUT_MS 15000
/* Time that each further look-up of a batch adds to its one deadline. */
#define EXTRA_MS_PER_JOB 2

struct resolver {
	struct ub_ctx *ctx;
	int64_t timeout_ms;
	size_t at_once; /* look-ups handed to libunbound */
	char forward[160]; /* for messages; "" when we iterate */
	bool forward_checked;
	char forward_fault[200]; /* "" when it is fit for DNSSEC */
};

static const char *const security_names[] = {
	[DNS_SECURE] = "secure",
	[DNS_INSECURE] = "insecure",
	[DNS_BOGUS] = "bogus",
	[DNS_FAILED] = "failed",
};
_Static_assert(
	sizeof(security_names) / sizeof(security_names[0]) == DNS_FAILED + 1,
	"security_names");

const char *dns_security_name(enum dns_security s)
{
	return security_names[s];
}

static const char *const options[][2] = {
	{ "module-config:", "validator iterator" },
	{ "do-not-query-localhost:", "no" },
	{ "unblock-lan-zones:", "yes" },
	{ "edns-buffer-size:", "1232" },
	/* A tool that starts anew for each pass would only add noise to the
	 * root servers' statistics. (RFC 8145) */
	{ "trust-anchor-signaling:", "no" },
	/* The library's defaults are for a handful of questions. */
	{ "outgoing-num-tcp:", "16" },
	{ "msg-cache-size:", "16m" },
	{ "rrset-cache-size:", "32m" },
	{ "key-cache-size:", "8m" },
	{ "neg-cache-size:", "4m" },
	{ "infra-cache-numhosts:", "4096" },
};

/* Answered by libunbound itself unless removed. (RFC 6303, 6761, 8375) */
static const char *const local_zones[] = { "localhost.", "test.", "invalid.",
	"onion.", "home.arpa.", "resolver.arpa.", "service.arpa.",
	"127.in-addr.arpa.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	"ip6.arpa.",
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	"ip6.arpa." };

static enum status slurp(
	const char *what, const char *path, struct buf *ret, struct err *err)
{
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat sb;
	char chunk[4096];

	if (fd < 0)
		return err_sys(err, ST_CONFIG, errno,
			"cannot read the %s file %s", what, path);
	if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
		return err_set(err, ST_CONFIG,
			"the %s file %s is not a regular file", what, path);
	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, ST_CONFIG, errno,
				"cannot read the %s file %s", what, path);
		if (got == 0)
			return ST_OK;
		if (buf_append(ret, chunk, (size_t)got, err) != ST_OK) {
			(void)err_context(err, "the %s file %s", what, path);
			err->st = ST_CONFIG;
			return err->st;
		}
	}
}

/* Does a line that is no comment hold this word? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	while (*text != '\0') {
		size_t line = strcspn(text, "\n");
		size_t code = strcspn(text, ";\n");

		for (size_t i = 1; i + len < code; i++)
			if (strncmp(text + i, word, len) == 0 &&
				strchr(" \t", text[i - 1]) != NULL &&
				strchr(" \t", text[i + len]) != NULL)
				return true;
		text += line + (text[line] == '\n');
	}
	return false;
}

/* Connecting a UDP socket sends nothing: it asks the kernel for a route. */
static bool has_route(const struct in6_addr *to)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
		.sin6_port = htons(53),
		.sin6_addr = *to };
	auto_fd fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 &&
	       connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
}

static bool text_routes(const char *text, size_t len)
{
	char addr[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (len == 0 || len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	return inet_pton(AF_INET6, addr, &in6) == 1 && has_route(&in6);
}

/* Unbound loses seconds on servers that it has no route to. A documentation
 * address goes where the default route goes; a private tree has hints. */
static bool want_ipv6(const struct resolver_config *cfg, const char *hints)
{
	if (text_routes("2001:db8::1", 11))
		return true;
	for (size_t i = 0; cfg->forward != NULL && cfg->forward[i] != NULL; i++)
		if (text_routes(cfg->forward[i], strcspn(cfg->forward[i], "@")))
			return true;
	while (*hints != '\0') {
		size_t len = strcspn(hints, " \t\r\n");

		if (text_routes(hints, len))
			return true;
		hints += len + (hints[len] != '\0');
	}
	return false;
}

/* Questions in flight, one descriptor each: half of what we may open. When the
 * servers of one zone are dead, the rest must not queue behind it. */
static unsigned int port_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return 64;
	if (lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur > 2048)
		return 1024;
	return lim.rlim_cur < 64 ? 32 : (unsigned int)lim.rlim_cur / 2;
}

static enum status ub_fail(int code, const char *what, const char *value,
	const char *log, struct err *err)
{
	const char *sep = strstr(log, "error: ");

	if (code == UB_NOMEM)
		return err_set(err, ST_NOMEM, "out of memory");
	if (sep == NULL)
		return err_set(err, ST_CONFIG, "resolver: %s%s: %s", what,
			value, ub_strerror(code));
	sep += strlen("error: ");
	return err_set(err, ST_CONFIG, "resolver: %s%s: %s: %.*s", what, value,
		ub_strerror(code), (int)strcspn(sep, "\n"), sep);
}

static enum status set_options(struct resolver *r,
	const struct resolver_config *cfg, const char *hints, struct err *err)
{
	char ports[16];
	int rc;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		rc = ub_ctx_set_option(r->ctx, options[i][0], options[i][1]);
		if (rc != 0)
			return ub_fail(rc, "option ", options[i][0], "", err);
	}
	rc = ub_ctx_set_option(
		r->ctx, "do-ip6:", want_ipv6(cfg, hints) ? "yes" : "no");
	if (rc != 0)
		return ub_fail(rc, "option ", "do-ip6", "", err);
	r->at_once = port_limit();
	(void)snprintf(ports, sizeof(ports), "%u", port_limit());
	rc = ub_ctx_set_option(r->ctx, "outgoing-range:", ports);
	if (rc != 0)
		return ub_fail(rc, "option ", "outgoing-range", "", err);
	rc = ub_ctx_add_ta_file(r->ctx, cfg->trust_anchor);
	if (rc != 0)
		return ub_fail(rc, "trust anchor ", cfg->trust_anchor, "", err);
	if (cfg->root_hints != NULL) {
		rc = ub_ctx_set_option(r->ctx, "root-hints:", cfg->root_hints);
		if (rc != 0)
			return ub_fail(
				rc, "root hints ", cfg->root_hints, "", err);
	}
	for (size_t i = 0; cfg->forward != NULL && cfg->forward[i] != NULL;
		i++) {
		size_t used = strlen(r->forward);

		rc = ub_ctx_set_fwd(r->ctx, cfg->forward[i]);
		if (rc != 0)
			return ub_fail(
				rc, "forward ", cfg->forward[i], "", err);
		(void)snprintf(r->forward + used, sizeof(r->forward) - used,
			"%s%s", used > 0 ? ", " : "", cfg->forward[i]);
	}
	rc = ub_ctx_async(r->ctx, 1);
	return rc == 0 ? ST_OK : ub_fail(rc, "threads", "", "", err);
}

/* The first removal makes libunbound read the files; what it then finds wrong
 * it only tells its log, which is a stream of ours for that long. */
static enum status finish(struct resolver *r, struct err *err)
{
	char *log = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&log, &len);
	int rc = 0;
	enum status st = ST_OK;

	if (stream == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	(void)ub_ctx_debugout(r->ctx, stream);
	for (size_t i = 0;
		rc == 0 && i < sizeof(local_zones) / sizeof(local_zones[0]);
		i++)
		rc = ub_ctx_zone_remove(r->ctx, local_zones[i]);
	(void)ub_ctx_debugout(r->ctx, NULL);
	(void)fclose(stream);
	if (log == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (rc != 0)
		st = ub_fail(rc, "cannot start", "", log, err);
	free(log);
	return st;
}

static enum status check_files(const struct resolver_config *cfg,
	struct buf *anchor, struct buf *hints, struct err *err)
{
	if (cfg->trust_anchor == NULL)
		return err_set(err, ST_CONFIG,
			"no trust anchor: set trust_anchor in the resolver "
			"section (Debian: /usr/share/dns/root.key of the "
			"package dns-root-data)");
	if (slurp("trust anchor", cfg->trust_anchor, anchor, err) != ST_OK)
		return err->st;
	if (!has_word(buf_str(anchor), "DS") &&
		!has_word(buf_str(anchor), "DNSKEY"))
		return err_set(err, ST_CONFIG,
			"the trust anchor file %s holds neither a DS nor a "
			"DNSKEY record",
			cfg->trust_anchor);
	if (cfg->root_hints == NULL)
		return ST_OK;
	if (slurp("root hints", cfg->root_hints, hints, err) != ST_OK)
		return err->st;
	if (!has_word(buf_str(hints), "NS"))
		return err_set(err, ST_CONFIG,
			"the root hints file %s holds no NS record",
			cfg->root_hints);
	return ST_OK;
}

enum status resolver_new(const struct resolver_config *cfg,
	struct resolver **ret, struct err *err)
{
	auto_buf anchor = BUF_INIT(FILE_MAX);
	auto_buf hints = BUF_INIT(FILE_MAX);
	struct resolver *r;

	if (check_files(cfg, &anchor, &hints, err) != ST_OK)
		return err->st;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	r->timeout_ms =
		cfg->timeout_ms > 0 ? cfg->timeout_ms : DEFAULT_TIMEOUT_MS;
	r->ctx = ub_ctx_create();
	if (r->ctx == NULL) {
		resolver_free(r);
		return err_set(err, ST_NOMEM, "cannot create a resolver");
	}
	(void)ub_ctx_debugout(r->ctx, NULL);
	if (set_options(r, cfg, buf_str(&hints), err) != ST_OK ||
		finish(r, err) != ST_OK) {
		resolver_free(r);
		return err->st;
	}
	*ret = r;
	return ST_OK;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	if (r->ctx != NULL)
		ub_ctx_delete(r->ctx);
	free(r);
}

/* ---- look-ups ---------------------------------------------------------- */

struct batch;

struct pending {
	struct lookup *lookup;
	struct batch *batch;
	int id;
	bool busy;
};

struct batch {
	struct pending *job;
	size_t n, next; /* job[next] is the first that was not submitted */
	size_t open;
	bool nomem;
};

void lookup_release(struct lookup *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->rr[i].data);
	free(l->rr);
	l->rr = NULL;
	l->n = 0;
}

static const char *type_name(uint16_t type, char ret[static 16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} known[] = { { RRTYPE_A, "A" }, { RRTYPE_NS, "NS" },
		{ RRTYPE_CNAME, "CNAME" }, { RRTYPE_SOA, "SOA" },
		{ RRTYPE_MX, "MX" }, { RRTYPE_TXT, "TXT" },
		{ RRTYPE_AAAA, "AAAA" }, { RRTYPE_DS, "DS" },
		{ RRTYPE_DNSKEY, "DNSKEY" }, { RRTYPE_TLSA, "TLSA" } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].type == type)
			return known[i].name;
	(void)snprintf(ret, 16, "TYPE%u", type);
	return ret;
}

static void why_set(char ret[static 256], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Cuts off what is too long. The old text may be among the arguments. */
static void why_set(char ret[static 256], const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(ret, text, sizeof(text));
}

/* Bogus, or no answer: no data, and why. */
static void judge(struct lookup *l, enum dns_security s, const char *why)
{
	char type[16];

	lookup_release(l);
	l->havedata = l->nxdomain = false;
	l->security = s;
	why_set(l->why, "%s of %s: %s", type_name(l->type, type), l->name, why);
}

static const char *rcode_text(int rcode, char ret[static 40])
{
	switch (rcode) {
	case 2:
		return "SERVFAIL (its servers do not answer, or answer with "
		       "errors)";
	case 5:
		return "REFUSED";
	default:
		(void)snprintf(ret, 40, "DNS error code %d", rcode);
		return ret;
	}
}

static bool copy_data(struct lookup *l, const struct ub_result *res)
{
	size_t n = 0;

	while (res->data[n] != NULL)
		n++;
	l->rr = calloc(n > 0 ? n : 1, sizeof(*l->rr));
	if (l->rr == NULL)
		return false;
	for (; l->n < n; l->n++) {
		size_t len = (size_t)res->len[l->n];
		uint8_t *data = malloc(len > 0 ? len : 1);

		if (data == NULL)
			return false;
		memcpy(data, res->data[l->n], len);
		l->rr[l->n] = (struct rdata){ data, len };
	}
	return true;
}

/* False: out of memory. */
static bool take(struct lookup *l, const struct ub_result *res)
{
	struct err err = ERR_INIT;
	char text[40];

	if (res->bogus) {
		judge(l, DNS_BOGUS,
			res->why_bogus != NULL ? res->why_bogus : "bogus");
		return true;
	}
	if (res->rcode != 0 && res->rcode != 3) {
		judge(l, DNS_FAILED, rcode_text(res->rcode, text));
		return true;
	}
	if (res->canonname != NULL &&
		name_canon(res->canonname, l->canon, &err) != ST_OK) {
		judge(l, DNS_FAILED, err.text);
		return true;
	}
	l->security = res->secure ? DNS_SECURE : DNS_INSECURE;
	l->nxdomain = res->nxdomain != 0;
	l->havedata = res->havedata != 0;
	l->ttl = res->ttl > 0 ? (uint32_t)res->ttl : 0;
	if (res->answer_packet != NULL && res->answer_len > 0)
		codec_zone_hint(res->answer_packet, (size_t)res->answer_len,
			l->canon, l->type, res->secure != 0, l->zone);
	return !l->havedata || copy_data(l, res);
}

static void on_answer(void *arg, int code, struct ub_result *res)
{
	struct pending *p = arg;

	p->busy = false;
	p->batch->open--;
	if (code != 0 || res == NULL) {
		judge(p->lookup, DNS_FAILED, ub_strerror(code));
	} else if (!take(p->lookup, res)) {
		judge(p->lookup, DNS_FAILED, "out of memory");
		p->batch->nomem = true;
	}
	ub_resolve_free(res);
}

static void submit(struct resolver *r, struct pending *p)
{
	struct lookup *l = p->lookup;
	int rc;

	/* Counted first: an answer may come before the call returns. */
	p->busy = true;
	p->batch->open++;
	rc = ub_resolve_async(
		r->ctx, l->name, l->type, 1, p, on_answer, &p->id);
	if (rc != 0) {
		p->busy = false;
		p->batch->open--;
		judge(l, DNS_FAILED, ub_strerror(rc));
	}
}

/* What has no port yet waits here: libunbound would spend 25 kB on each. */
static void top_up(struct resolver *r, struct batch *b)
{
	while (b->next < b->n && b->open < r->at_once)
		submit(r, &b->job[b->next++]);
}

static enum status wait_for(struct resolver *r, struct batch *b,
	int64_t deadline, struct err *err)
{
	struct pollfd pfd = { .fd = ub_fd(r->ctx), .events = POLLIN };

	for (top_up(r, b); b->open > 0; top_up(r, b)) {
		int64_t left = deadline - clock_mono_ms();
		int rc;

		if (left <= 0)
			return ST_OK;
		rc = poll(&pfd, 1, left > 60000 ? 60000 : (int)left);
		if (rc < 0 && errno != EINTR)
			return err_sys(err, ST_IO, errno, "resolver: poll");
		if (rc <= 0)
			continue;
		rc = ub_process(r->ctx);
		if (rc != 0)
			return err_set(err, rc == UB_NOMEM ? ST_NOMEM : ST_IO,
				"resolver: %s", ub_strerror(rc));
	}
	return ST_OK;
}

static void begin(struct lookup *l)
{
	lookup_release(l);
	l->nxdomain = l->havedata = false;
	l->ttl = 0;
	l->why[0] = l->zone[0] = '\0';
	memcpy(l->canon, l->name, sizeof(l->canon));
}

static enum status run(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	auto_mem struct pending *p = calloc(n, sizeof(*p));
	struct batch b = { .job = p, .n = n };
	int64_t ms = r->timeout_ms + EXTRA_MS_PER_JOB * (int64_t)n;
	int64_t deadline = clock_mono_ms() + ms;
	char late[64];
	enum status st;

	if (p == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	(void)snprintf(late, sizeof(late), "no answer within %lld s",
		(long long)(ms / 1000));
	for (size_t i = 0; i < n; i++) {
		p[i] = (struct pending){ .lookup = jobs[i], .batch = &b };
		begin(jobs[i]);
	}
	st = wait_for(r, &b, deadline, err);
	/* After ub_cancel no answer is delivered to p, which dies here. */
	for (size_t i = 0; i < n; i++) {
		if (p[i].busy)
			(void)ub_cancel(r->ctx, p[i].id);
		if (p[i].busy || i >= b.next)
			judge(jobs[i], DNS_FAILED, late);
	}
	if (st == ST_OK && b.nomem)
		st = err_set(err, ST_NOMEM, "out of memory");
	return st;
}

/*
 * A forwarder that strips signatures makes every answer bogus, and the reason
 * that libunbound gives then points at the zone. The root's own keys tell the
 * two apart.
 */
static enum status check_forward(struct resolver *r, struct err *err)
{
	struct lookup root = { .name = ".", .type = RRTYPE_DNSKEY };
	struct lookup *job = &root;
	enum status st;

	r->forward_checked = true;
	st = run(r, &job, 1, err);
	if (st != ST_OK)
		return st;
	if (root.security == DNS_FAILED)
		(void)snprintf(r->forward_fault, sizeof(r->forward_fault),
			"the forwarder %.64s does not answer or refuses to: "
			"check 'forward' in the resolver section",
			r->forward);
	else if (root.security == DNS_BOGUS || !root.havedata)
		(void)snprintf(r->forward_fault, sizeof(r->forward_fault),
			"the forwarder %.64s does not pass on DNSSEC (or has "
			"another root key than the trust anchor): use one that "
			"does, or remove 'forward'",
			r->forward);
	lookup_release(&root);
	return ST_OK;
}

static void blame_forward(const struct resolver *r, struct lookup *l)
{
	if (l->security == DNS_BOGUS || l->security == DNS_FAILED)
		why_set(l->why, "%s (%s)", r->forward_fault, l->why);
}

enum status resolver_lookup(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	enum status st;

	if (n == 0)
		return ST_OK;
	if (r->forward[0] != '\0' && !r->forward_checked &&
		check_forward(r, err) != ST_OK)
		return err->st;
	st = run(r, jobs, n, err);
	for (size_t i = 0; r->forward_fault[0] != '\0' && i < n; i++)
		blame_forward(r, jobs[i]);
	return st;
}

enum status resolver_lookup_one(struct resolver *r, const char *name,
	uint16_t type, struct lookup *ret, struct err *err)
{
	struct lookup l = { .type = type };
	struct lookup *job = &l;

	if (name_canon(name, l.name, err) != ST_OK)
		return err->st;
	if (resolver_lookup(r, &job, 1, err) != ST_OK) {
		lookup_release(&l);
		return err->st;
	}
	*ret = l;
	return ST_OK;
}
