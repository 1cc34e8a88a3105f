/*
 * A lineage with real keys and certificates in a real state directory, a mail
 * server that serves what was live at its last reload, and a network that does
 * what the test says (struct env).
 */
#ifndef DANELAW_TESTS_LIVE_FIXTURE_H
#define DANELAW_TESTS_LIVE_FIXTURE_H

#include "hook/act.h"
#include "hook/base/atomicfile.h"
#include "hook/base/log.h"
#include "hook/base/proc.h"
#include "hook/engine.h"
#include "hook/env.h"
#include "hook/sense.h"

#include "tests/unit/store_fixture.h"

#define OWNER "_25._tcp.mx.example.test."
#define UNUSED __attribute__((unused))
#define CERTS 3

/* What the outside does. */
static struct {
	bool down;              /* no endpoint answers */
	bool gone;              /* nobody can be asked: no network process */
	bool stubborn;          /* the server never reloads */
	int addresses;          /* of the host; the last one lags if */
	bool laggard;           /* it still serves generation 1 */
	bool no_route;          /* to all but the first */
	bool cut_off;           /* no route at all */
	bool no_cert;           /* neither RSA nor ECDSA */
	enum dns_security aaaa; /* of the host's IPv6 addresses */
	int probes, sweeps, edits;
} world;

static struct lineage_version cert[CERTS]; /* [i] on key i; [2] on key 0 */
static struct engine engine;
static struct config cfg;
static struct cfg_lineage cl;
static struct cfg_endpoint endpoint;
static struct session s;

static inline void run(const char *command)
{
	struct proc_limits lim = { .timeout_ms = 30000, .output_max = 4096 };
	struct proc_result r = { .output = NULL };
	char text[4096];

	(void)snprintf(text, sizeof(text), "cd %s && %s", top, command);
	if (proc_shell(text, NULL, &lim, &r, &e) != ST_OK || r.exit_status != 0)
		fail_msg("%s: %s", command, r.output ? r.output : e.text);
	proc_release(&r);
}

static inline void read_pem(const char *file, struct buf *ret)
{
	auto_fd at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = (struct buf)BUF_INIT(64 * 1024);
	if (atomicfile_read(at, file, ret, &e) != ST_OK)
		fail_msg("%s", e.text);
}

/* The generation that the mail software read when it last reloaded. */
static inline unsigned served_gen(void)
{
	auto_buf log = BUF_INIT(4096);
	auto_fd at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *slash;

	if (world.stubborn || atomicfile_read(at, "log", &log, &e) != ST_OK)
		return 1;
	slash = strrchr(buf_str(&log), '/');
	return slash != NULL ? (unsigned)strtoul(slash + 1, NULL, 10) : 1;
}

/* ---- the network ---- */

static inline enum status fake_look_up(
	void *ctx, struct lookup *const jobs[], size_t n, struct err *err)
{
	(void)ctx;
	if (world.gone)
		return err_set(err, ST_RETRY, "the network process is gone");
	for (size_t i = 0; i < n; i++) {
		struct lookup *l = jobs[i];

		l->security = l->type == RRTYPE_A ? DNS_SECURE : world.aaaa;
		if (l->type != RRTYPE_A)
			continue;
		l->havedata = true;
		l->rr = calloc((size_t)world.addresses, sizeof(*l->rr));
		for (int k = 0; k < world.addresses; k++) {
			uint8_t *a = malloc(4);

			memcpy(a, "\xc0\x00\x02\x01", 4);
			a[3] = (uint8_t)(k + 1);
			l->rr[l->n++] = (struct rdata){ a, 4 };
		}
	}
	return ST_OK;
}

static inline enum status fake_probe(void *ctx, struct probe_job *jobs,
	size_t n, const struct probe_limits *lim, struct err *err)
{
	(void)ctx;
	(void)lim;
	(void)err;
	world.probes++;
	for (size_t i = 0; i < n; i++) {
		struct probe_job *j = &jobs[i];
		int address = (int)i / 2;
		bool lags = world.laggard && address == world.addresses - 1;
		const struct state_gen *g =
			state_gen_find(&s.st, lags ? 1 : served_gen());

		j->result = PROBE_NO_CERT;
		if (world.down)
			j->result = PROBE_NO_CONNECT;
		else if (world.cut_off || (world.no_route && address > 0))
			j->result = PROBE_UNTESTABLE;
		else if (j->alg == PROBE_ECDSA && g != NULL && !world.no_cert) {
			j->result = PROBE_SERVED;
			j->spki = g->spki;
			j->not_after = g->not_after_s;
			j->dane_ok = true;
		}
	}
	return ST_OK;
}

static inline enum status fake_sweep(void *ctx, const char *const owner[],
	size_t n, int64_t keep_ms, struct authority *ret_auth,
	struct sweep *ret, struct err *err)
{
	(void)ctx;
	(void)owner;
	(void)n;
	(void)keep_ms;
	(void)ret_auth;
	(void)ret;
	world.sweeps++;
	return err_set(err, ST_RETRY, "the network is down");
}

static const struct env env = {
	.sweep = fake_sweep, .look_up = fake_look_up, .probe = fake_probe
};

/* ---- the lineage ---- */

static inline void make_certs(void)
{
	run("for k in 0 1; do openssl genpkey -algorithm EC -pkeyopt "
	    "ec_paramgen_curve:P-256 -out $k.key; done 2>&1; "
	    "for c in 0:0:30 1:1:30 2:0:60; do IFS=:; set -- $c; unset IFS; "
	    "openssl req -x509 -new -key $2.key -subj /CN=mx.example.test "
	    "-addext subjectAltName=DNS:mx.example.test -days $3 "
	    "-out $1.pem 2>&1 || exit 1; done");
	for (int i = 0; i < CERTS; i++) {
		struct lineage_version *v = &cert[i];
		char file[16];

		(void)snprintf(file, sizeof(file), "%d.key", i % 2);
		read_pem(file, &v->key);
		(void)snprintf(file, sizeof(file), "%d.pem", i);
		read_pem(file, &v->cert);
		read_pem(file, &v->fullchain);
		v->chain = (struct buf)BUF_INIT(16);
		v->n = (unsigned)i + 1;
		assert_int_equal(cert_info_read(buf_str(&v->cert), v->cert.len,
					 &v->leaf, &e),
			ST_OK);
	}
}

/* A generation of certificate i; its number. */
static inline unsigned add_gen(int i)
{
	unsigned n = s.st.next_gen;

	if (act_add_generation(&s, &cert[i], GEN_CERTBOT, 1, &e) != ST_OK)
		fail_msg("%s", e.text);
	return n;
}

static inline struct state_key *add_key(int i, enum key_role role)
{
	struct state_key *k = NULL;
	struct key *key = NULL;

	assert_int_equal(state_key_add(&s.st, &cert[i].leaf.spki,
				 KEY_ECDSA_P256, role, &k, &e),
		ST_OK);
	k->have_file = true;
	assert_int_equal(
		key_from_pem(buf_str(&cert[i].key), cert[i].key.len, &key, &e),
		ST_OK);
	assert_int_equal(store_key_save(s.sl, key, &e), ST_OK);
	key_free(key);
	return k;
}

static inline struct state_key *key_of_cert(int i)
{
	return state_key_find(&s.st, &cert[i].leaf.spki);
}

/* Key 0 is live with generation 1 and published; key 1 is next. The reload
 * command notes what is live at that moment and keeps the state as it was. */
static inline int live_begin(void **state)
{
	static char name[] = NAME, certbot[] = "/nowhere/live/x";
	static char reload[300], owner[1][DNS_NAME_MAX] = { OWNER };
	static char *commands[] = { reload, NULL };
	int64_t now;

	memset(&world, 0, sizeof(world));
	world.addresses = 1;
	log_init(LOG_ALERT_L);
	if (setup(state) != 0)
		return -1;
	make_certs();
	(void)snprintf(reload, sizeof(reload),
		"readlink \"$DANELAW_LIVE\" >>%s/log; "
		"cat %s >>%s/states; test ! -e %s/fail",
		top, path(L "state.json"), top, top);
	endpoint = (struct cfg_endpoint){
		.host = "mx.example.test.", .port = 25, .proto = PROTO_SMTP
	};
	cl = (struct cfg_lineage){ .name = name,
		.certbot = certbot,
		.owner = owner,
		.n_owners = 1,
		.endpoint = &endpoint,
		.n_endpoints = 1,
		.reload = commands,
		.reload_timeout = 20,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
		.mode = 0600 };
	cfg = (struct config){ .lineage = &cl, .n_lineages = 1 };
	engine = (struct engine){
		.cfg = &cfg, .store = store, .mode = MODE_RUN, .env = &env
	};
	memset(&s, 0, sizeof(s));
	s.e = &engine;
	s.cl = &cl;
	s.sl = lock(&s.st);
	s.policy = (struct policy){ .wait_ttls = 2, .poll_max = 900 };
	assert_int_equal(state_set_owners(&s.st,
				 (const char(*)[DNS_NAME_MAX])cl.owner, 1, &e),
		ST_OK);
	assert_int_equal(session_clock(&s, &now, &e), ST_OK);
	(void)add_key(0, KEY_CURRENT);
	(void)add_key(1, KEY_NEXT);
	assert_int_equal(add_gen(0), 1);
	assert_int_equal(store_live_set(s.sl, 1, &e), ST_OK);
	s.st.live_gen = 1;
	s.st.owner[0].publish_ms = now;
	assert_int_equal(session_commit(&s, &e), ST_OK);
	return 0;
}

static inline int live_end(void **state)
{
	session_forget_sweep(&s);
	engine_release(&engine);
	if (s.sl != NULL)
		store_unlock(s.sl);
	state_release(&s.st);
	for (int i = 0; i < CERTS; i++)
		lineage_version_release(&cert[i]);
	return teardown(state);
}

/* What stands in a file below top; "" when it is not there. One at a time. */
static inline const char *text_of(const char *file)
{
	static char text[65536];
	auto_buf b = BUF_INIT(sizeof(text) - 1);
	auto_fd at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	text[0] = '\0';
	if (atomicfile_read(at, file, &b, &e) == ST_OK)
		(void)snprintf(text, sizeof(text), "%s", buf_str(&b));
	return text;
}

static inline unsigned live_now(void)
{
	unsigned n = 0;

	assert_int_equal(store_live_get(s.sl, &n, &e), ST_OK);
	return n;
}

#define LIVE(f) cmocka_unit_test_setup_teardown(f, live_begin, live_end)

#endif
