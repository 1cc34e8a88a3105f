/*
 * libunbound behind the look-up interface. One context per object: its caches
 * start empty, its options are set before the first question (libunbound
 * refuses them later), its worker is a thread.
 *
 * Invariants: a bogus answer yields no data at all, whatever libunbound hands
 * out with it (it says rcode 0 and havedata 1); no answer is FAILED, which is
 * not a verdict; nothing is written to stderr; what comes through a
 * forwarder that is not fit for DNSSEC is never BOGUS. (RFC 4035 4.3, RFC 4033
 * 5)
 */
#include "hook/dns/resolver_int.h"

#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "hook/dns/codec_referral.h"

#include <errno.h>
#include <poll.h>
#include <unbound.h>

#define FILE_MAX ((size_t)1 << 20) /* trust anchor, root hints */
#define FORWARDERS_MAX 4096        /* octets of their list */
#define TEST_MS 5000               /* to test one of several forwarders */
#define DEFAULT_TIMEOUT_MS 15000
/* Time that each further look-up of a batch adds to its one deadline. */
#define EXTRA_MS_PER_JOB 2

struct resolver {
	struct ub_ctx *ctx;
	int64_t timeout_ms;
	size_t at_once; /* look-ups handed to libunbound */
	char *anchor, *hints;
	char **forward; /* NULL-terminated; none: we iterate */
	size_t n_forward;
	char *forwarders; /* in one line */
	bool tested;
	char fault[512]; /* "" when it is fit for DNSSEC */
};

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
	rc = ub_ctx_set_option(r->ctx,
		"do-ip6:", resolver_want_ipv6(cfg, hints) ? "yes" : "no");
	if (rc != 0)
		return ub_fail(rc, "option ", "do-ip6", "", err);
	r->at_once = resolver_port_limit();
	(void)snprintf(ports, sizeof(ports), "%zu", r->at_once);
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
	for (size_t i = 0; i < r->n_forward; i++) {
		rc = ub_ctx_set_fwd(r->ctx, cfg->forward[i]);
		if (rc != 0)
			return ub_fail(
				rc, "forward ", cfg->forward[i], "", err);
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

/* For the tests of each forwarder, which need resolvers of their own. */
static enum status keep_config(
	struct resolver *r, const struct resolver_config *cfg, struct err *err)
{
	auto_buf list = BUF_INIT(FORWARDERS_MAX);
	size_t n = 0;

	while (cfg->forward != NULL && cfg->forward[n] != NULL)
		n++;
	r->anchor = strdup(cfg->trust_anchor);
	r->hints = cfg->root_hints != NULL ? strdup(cfg->root_hints) : NULL;
	r->forward = calloc(n + 1, sizeof(*r->forward));
	if (r->anchor == NULL || r->forward == NULL ||
		(cfg->root_hints != NULL && r->hints == NULL))
		return err_set(err, ST_NOMEM, "out of memory");
	for (; r->n_forward < n; r->n_forward++) {
		const char *f = cfg->forward[r->n_forward];

		if (buf_printf(&list, err, "%s%s", list.len > 0 ? ", " : "",
			    f) != ST_OK)
			return err_context(err, "the list of forwarders");
		r->forward[r->n_forward] = strdup(f);
		if (r->forward[r->n_forward] == NULL)
			return err_set(err, ST_NOMEM, "out of memory");
	}
	r->forwarders = buf_take(&list);
	return r->forwarders != NULL ? ST_OK
				     : err_set(err, ST_NOMEM, "out of memory");
}

enum status resolver_new(const struct resolver_config *cfg,
	struct resolver **ret, struct err *err)
{
	auto_buf anchor = BUF_INIT(FILE_MAX);
	auto_buf hints = BUF_INIT(FILE_MAX);
	struct resolver *r;

	if (resolver_files(cfg, &anchor, &hints, err) != ST_OK)
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
	if (keep_config(r, cfg, err) != ST_OK ||
		set_options(r, cfg, buf_str(&hints), err) != ST_OK ||
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
	for (size_t i = 0; i < r->n_forward; i++)
		free(r->forward[i]);
	free(r->forward);
	free(r->forwarders);
	free(r->anchor);
	free(r->hints);
	free(r);
}

/* ---- look-ups ---------------------------------------------------------- */

struct batch;

struct pending {
	struct lookup *lookup;
	struct batch *batch;
	int64_t since_ms;
	int id;
	bool busy;
};

struct batch {
	struct pending *job;
	size_t n, next; /* job[next] is the first that was not submitted */
	size_t open;
	bool nomem;
};

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
	size_t len = res->answer_len > 0 ? (size_t)res->answer_len : 0;
	char text[40];

	l->rcode = res->rcode;
	if (res->bogus) {
		lookup_judge(l, DNS_BOGUS,
			res->why_bogus != NULL ? res->why_bogus : "bogus");
		lookup_packet(l, res->answer_packet, len);
		return true;
	}
	if (res->rcode != 0 && res->rcode != 3) {
		lookup_judge(l, DNS_FAILED, lookup_rcode(res->rcode, text));
		return true;
	}
	if (res->canonname != NULL &&
		name_canon(res->canonname, l->canon, &err) != ST_OK) {
		lookup_judge(l, DNS_FAILED, err.text);
		return true;
	}
	l->security = res->secure ? DNS_SECURE : DNS_INSECURE;
	l->nxdomain = res->nxdomain != 0;
	l->havedata = res->havedata != 0;
	l->ttl = res->ttl > 0 ? (uint32_t)res->ttl : 0;
	if (res->answer_packet != NULL && len > 0)
		codec_zone_hint(res->answer_packet, len, l->canon, l->type,
			res->secure != 0, l->zone);
	lookup_packet(l, res->answer_packet, len);
	return !l->havedata || copy_data(l, res);
}

static void on_answer(void *arg, int code, struct ub_result *res)
{
	struct pending *p = arg;

	p->busy = false;
	p->batch->open--;
	p->lookup->took_ms = (uint32_t)(clock_mono_ms() - p->since_ms);
	if (code != 0 || res == NULL) {
		lookup_judge(p->lookup, DNS_FAILED, ub_strerror(code));
	} else if (!take(p->lookup, res)) {
		lookup_judge(p->lookup, DNS_FAILED, "out of memory");
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
	p->since_ms = clock_mono_ms();
	p->batch->open++;
	rc = ub_resolve_async(
		r->ctx, l->name, l->type, 1, p, on_answer, &p->id);
	if (rc != 0) {
		p->busy = false;
		p->batch->open--;
		lookup_judge(l, DNS_FAILED, ub_strerror(rc));
	}
}

/* What has no port yet waits here: libunbound would spend 25 kB on each. */
static void top_up(struct resolver *r, struct batch *b)
{
	while (b->next < b->n && b->open < r->at_once)
		submit(r, &b->job[b->next++]);
}

static enum status wait_for(
	struct resolver *r, struct batch *b, int64_t deadline, struct err *err)
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
	l->ttl = l->took_ms = 0;
	l->rcode = l->ede = -1;
	l->inception = l->expiration = 0;
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
		if (p[i].busy) {
			(void)ub_cancel(r->ctx, p[i].id);
			jobs[i]->took_ms =
				(uint32_t)(clock_mono_ms() - p[i].since_ms);
		}
		if (p[i].busy || i >= b.next)
			lookup_judge(jobs[i], DNS_FAILED, late);
	}
	if (st == ST_OK && b.nomem)
		st = err_set(err, ST_NOMEM, "out of memory");
	return st;
}

/* ---- fit for DNSSEC? ----------------------------------------------------- */

/* What r says about the root. "" when it is fine. */
static enum status ask_root(struct resolver *r, const char *forwarder,
	char *ret, size_t len, struct err *err)
{
	struct lookup l[ROOT_JOBS];
	struct lookup *job[ROOT_JOBS];
	enum status st;

	resolver_root_jobs(l);
	for (size_t i = 0; i < ROOT_JOBS; i++)
		job[i] = &l[i];
	st = run(r, job, ROOT_JOBS, err);
	if (st == ST_OK)
		resolver_root_fault(l, forwarder, r->anchor, ret, len);
	for (size_t i = 0; i < ROOT_JOBS; i++)
		lookup_release(&l[i]);
	return st;
}

/* libunbound asks whichever of several forwarders it likes: one that strips
 * signatures would show now and then. Each is tested alone. */
static enum status ask_through(const struct resolver *r, const char *forward,
	char *ret, size_t len, struct err *err)
{
	const char *const only[] = { forward, NULL };
	struct resolver_config cfg = { .forward = only,
		.root_hints = r->hints,
		.trust_anchor = r->anchor,
		.timeout_ms =
			r->timeout_ms < TEST_MS ? r->timeout_ms : TEST_MS };
	struct resolver *one;
	enum status st = resolver_new(&cfg, &one, err);

	if (st != ST_OK)
		return st;
	st = ask_root(one, forward, ret, len, err);
	resolver_free(one);
	return st;
}

static enum status test(struct resolver *r, struct err *err)
{
	if (r->tested)
		return ST_OK;
	if (r->n_forward <= 1) {
		if (ask_root(r, r->forward[0], r->fault, sizeof(r->fault),
			    err) != ST_OK)
			return err->st;
	}
	for (size_t i = 0; r->n_forward > 1 && i < r->n_forward; i++) {
		size_t used = strlen(r->fault);
		char one[sizeof(r->fault)] = "";

		if (ask_through(r, r->forward[i], one, sizeof(one), err) !=
			ST_OK)
			return err->st;
		if (one[0] != '\0')
			(void)snprintf(r->fault + used, sizeof(r->fault) - used,
				"%s%s", used > 0 ? "; " : "", one);
	}
	r->tested = true;
	return ST_OK;
}

enum status resolver_selftest(
	struct resolver *r, char *ret_fault, size_t len, struct err *err)
{
	if (test(r, err) != ST_OK)
		return err->st;
	(void)snprintf(ret_fault, len, "%s", r->fault);
	return ST_OK;
}

const char *resolver_forwarders(const struct resolver *r)
{
	return r->forwarders;
}

/* Through a forwarder that spoils signatures everything looks bogus, and the
 * reason that libunbound gives then points at the zone: that is no verdict. */
static void blame_forward(const struct resolver *r, struct lookup *l)
{
	if (l->security != DNS_BOGUS && l->security != DNS_FAILED)
		return;
	l->security = DNS_FAILED;
	lookup_why(l->why, "%.180s (%s)", r->fault, l->why);
}

enum status resolver_lookup(struct resolver *r, struct lookup *const jobs[],
	size_t n, struct err *err)
{
	enum status st;

	if (n == 0)
		return ST_OK;
	if (r->n_forward > 0 && test(r, err) != ST_OK)
		return err->st;
	st = run(r, jobs, n, err);
	for (size_t i = 0; r->n_forward > 0 && r->fault[0] != '\0' && i < n;
		i++)
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
