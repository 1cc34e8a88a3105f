/*
 * Runs certbot for a CSR of ours and believes nothing of what it says.
 *
 * The private key never leaves the store: certbot sees a CSR in a private
 * scratch folder. Invariants: all three output paths are given and new, since
 * an existing file would lose the certificate after the CA has counted it;
 * success is not the exit status but the files, checked against the key, the
 * names and the clock; whether the CA may have been reached is said with every
 * outcome, so that the caller can bound attempts (rate limits).
 */
#include "hook/issue.h"

#include "hook/base/atomicfile.h"
#include "hook/base/auto.h"
#include "hook/base/clock.h"
#include "hook/base/proc.h"
#include "hook/tls/lineage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS (20 * 60 * 1000)
#define OUTPUT_MAX (256 * 1024)
#define TAIL_MAX 700
#define ARGS_MAX 96
#define PEM_MAX (1024 * 1024)
/* How far the CA's clock may be ahead of ours, or now_s stale. Generous: the
 * check before going live is exact, and a certificate thrown away here has been
 * counted by the CA. */
#define CLOCK_SLACK_S 3600

/* What certbot needs to reach the CA and its own configuration. */
static const char *const env_kept[] = {
	"PATH",
	"HOME",
	"REQUESTS_CA_BUNDLE",
	"SSL_CERT_FILE",
	"SSL_CERT_DIR",
	"http_proxy",
	"https_proxy",
	"no_proxy",
	"HTTP_PROXY",
	"HTTPS_PROXY",
	"NO_PROXY",
};
#define N_ENV_KEPT (sizeof(env_kept) / sizeof(env_kept[0]))

struct job {
	const struct issue_request *rq;
	int dir; /* scratch */
	char *config_dir;
	char *csr, *ini, *cert, *chain, *fullchain; /* paths */
	char *env[N_ENV_KEPT + 2];
	const char *argv[ARGS_MAX];
	char directory[256]; /* path of the ACME directory: the first request */
};

static void job_release(struct job *j)
{
	if (j->dir >= 0)
		(void)close(j->dir);
	free(j->config_dir);
	free(j->csr);
	free(j->ini);
	free(j->cert);
	free(j->chain);
	free(j->fullchain);
	for (size_t i = 0; i < N_ENV_KEPT + 2; i++)
		free(j->env[i]);
}

void issue_result_release(struct issue_result *r)
{
	buf_release(&r->cert);
	buf_release(&r->chain);
	buf_release(&r->fullchain);
	cert_info_release(&r->leaf);
}

/* ---- before ---- */

/* The path in server = "https://HOST/PATH" of the options. */
static void find_directory(struct job *j, const char *ini)
{
	static const char key[] = "server = \"https://";
	const char *p = strncmp(ini, key, strlen(key)) == 0 ? ini : NULL;
	size_t n;

	(void)snprintf(j->directory, sizeof(j->directory), "/directory");
	if (p == NULL) {
		p = strstr(ini, "\nserver = \"https://");
		if (p == NULL)
			return;
		p++;
	}
	p += strlen(key);
	p += strcspn(p, "/\"\n");
	n = strcspn(p, "\"\n");
	if (*p == '/' && n < sizeof(j->directory))
		(void)snprintf(
			j->directory, sizeof(j->directory), "%.*s", (int)n, p);
}

static enum status write_inputs(struct job *j, struct err *err)
{
	const struct issue_request *rq = j->rq;
	auto_buf csr = BUF_INIT(PEM_MAX);
	auto_buf ini = BUF_INIT(PEM_MAX);
	enum status st;

	st = key_csr(
		rq->key, rq->names, rq->n_names, rq->must_staple, &csr, err);
	if (st == ST_OK)
		st = lineage_csr_options(rq->live_dir, &ini, err);
	if (st == ST_OK)
		find_directory(j, buf_str(&ini));
	if (st == ST_OK)
		st = atomicfile_write(
			j->dir, "csr.pem", 0600, buf_str(&csr), csr.len, err);
	if (st == ST_OK)
		st = atomicfile_write(j->dir, "options.ini", 0600,
			buf_str(&ini), ini.len, err);
	return st;
}

static char *in_scratch(const struct issue_request *rq, const char *file)
{
	char *p;

	return asprintf(&p, "%s/%s", rq->scratch, file) >= 0 ? p : NULL;
}

static enum status make_paths(struct job *j, struct err *err)
{
	j->csr = in_scratch(j->rq, "csr.pem");
	j->ini = in_scratch(j->rq, "options.ini");
	j->cert = in_scratch(j->rq, "cert.pem");
	j->chain = in_scratch(j->rq, "chain.pem");
	j->fullchain = in_scratch(j->rq, "fullchain.pem");
	if (j->csr == NULL || j->ini == NULL || j->cert == NULL ||
		j->chain == NULL || j->fullchain == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	/* certbot would fail on them only after it has the certificate */
	if (faccessat(j->dir, "cert.pem", F_OK, 0) == 0 ||
		faccessat(j->dir, "chain.pem", F_OK, 0) == 0 ||
		faccessat(j->dir, "fullchain.pem", F_OK, 0) == 0)
		return err_set(err, ST_BUG,
			"scratch folder %s has been used before",
			j->rq->scratch);
	return ST_OK;
}

static enum status make_env(struct job *j, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < N_ENV_KEPT; i++) {
		const char *v = getenv(env_kept[i]);

		if (v == NULL)
			continue;
		if (asprintf(&j->env[n], "%s=%s", env_kept[i], v) < 0) {
			j->env[n] = NULL;
			return err_set(err, ST_NOMEM, "out of memory");
		}
		n++;
	}
	j->env[n] = strdup("LANG=C.UTF-8");
	if (j->env[n] == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

static enum status make_argv(struct job *j, struct err *err)
{
	const struct issue_request *rq = j->rq;
	const char *const fixed[] = {
		rq->certbot != NULL ? rq->certbot : "certbot",
		"certonly",
		/* Not -q: it would hide what the CA says of a failure. */
		"-n",
		"--config",
		j->ini,
		/* work-dir and logs-dir come with the options, if the
		 * lineage has its own */
		"--config-dir",
		j->config_dir,
		"--csr",
		j->csr,
		"--cert-path",
		j->cert,
		"--chain-path",
		j->chain,
		"--fullchain-path",
		j->fullchain,
	};
	size_t n = sizeof(fixed) / sizeof(fixed[0]);

	memcpy(j->argv, fixed, sizeof(fixed));
	for (size_t i = 0; rq->options != NULL && rq->options[i] != NULL; i++) {
		if (n == ARGS_MAX - 1)
			return err_set(err, ST_CONFIG,
				"too many extra certbot options");
		j->argv[n++] = rq->options[i];
	}
	j->argv[n] = NULL;
	return ST_OK;
}

static enum status prepare(struct job *j, struct err *err)
{
	enum status st;

	j->dir = open(j->rq->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir < 0)
		return err_sys(
			err, ST_IO, errno, "cannot open %s", j->rq->scratch);
	st = lineage_config_dir(j->rq->live_dir, &j->config_dir, err);
	if (st == ST_OK)
		st = make_paths(j, err);
	if (st == ST_OK)
		st = write_inputs(j, err);
	if (st == ST_OK)
		st = make_env(j, err);
	if (st == ST_OK)
		st = make_argv(j, err);
	return st;
}

/* ---- certbot failed: why? ---- */

/* What certbot prints around every failure. */
static bool is_noise(const char *line, size_t n)
{
	static const char *const noise[] = {
		"Saving debug log",
		"Ask for help",
		"- - -",
		"Hint:",
		"Requesting a certificate",
		"Certificate not yet due",
	};

	for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
		if (strncmp(line, noise[i], strlen(noise[i])) == 0)
			return true;
	return n == 0;
}

/* The last lines, joined by " | ", as many as fit. */
static void tail_of(const char *output, char ret[static TAIL_MAX])
{
	const char *line[64];
	size_t len[64], n = 0, first, used = 0;

	for (const char *p = output; *p != '\0';) {
		size_t width = strcspn(p, "\r\n");
		size_t indent = strspn(p, " \t");

		if (indent < width && !is_noise(p + indent, width - indent)) {
			line[n % 64] = p + indent;
			len[n % 64] = width - indent;
			n++;
		}
		p += width;
		p += strspn(p, "\r\n");
	}
	for (first = n; first > 0 && n - first < 64; first--) {
		used += len[(first - 1) % 64] + 3;
		if (used >= TAIL_MAX)
			break;
	}
	used = 0;
	/* one line that is too long alone is cut */
	if (first == n && n > 0)
		first = n - 1;
	ret[0] = '\0';
	for (size_t i = first; i < n && used < TAIL_MAX; i++) {
		int w = snprintf(ret + used, TAIL_MAX - used, "%s%.*s",
			used > 0 ? " | " : "", (int)len[i % 64], line[i % 64]);

		if (w > 0)
			used += (size_t)w;
	}
	if (n == 0)
		(void)snprintf(ret, TAIL_MAX, "no output");
}

/* certbot's two ways to say that a connection could not be made at all. Only
 * the first request, for the directory, proves that nothing was ordered
 * before. The second form cuts the path after its first component. */
static bool no_connection(const struct job *j, const char *output)
{
	const char *dir = j->directory, *p, *end;
	size_t len = strlen(dir);
	char text[320];

	(void)snprintf(
		text, sizeof(text), "Max retries exceeded with url: %s ", dir);
	if (strstr(output, text) != NULL)
		return true;
	p = strstr(output, ": Requesting ");
	if (p == NULL || strchr(dir + 1, '/') != NULL)
		return false;
	p += strlen(": Requesting ");
	p += strcspn(p, "/\n");
	end = p + strcspn(p, ":\n");
	return *end == ':' && (size_t)(end - p) == len &&
	       memcmp(p, dir, len) == 0;
}

/* True unless the output shows that certbot stopped before it sent an order.
 * In doubt true: that delays, and spends nothing. */
static bool may_have_reached(const struct job *j, const struct proc_result *r)
{
	static const char *const before[] = {
		"Another instance of Certbot",
		"plugin does not appear to be installed",
		"Missing command line flag",
		"Inconsistent domain requests",
		"unrecognized arguments",
	};

	if (r->timed_out || r->signal != 0)
		return true;
	/* 2: usage; 126, 127: it could not be started */
	if (r->exit_status == 2 || r->exit_status == 126 ||
		r->exit_status == 127)
		return false;
	if (r->output == NULL)
		return true;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		if (strstr(r->output, before[i]) != NULL)
			return false;
	return !no_connection(j, r->output);
}

static enum status explain(const struct job *j, const struct proc_result *r,
	bool *ret_reached, struct err *err)
{
	const char *output = r->output != NULL ? r->output : "";
	char tail[TAIL_MAX];

	*ret_reached = may_have_reached(j, r);
	if (strstr(output, "Another instance of Certbot is already running") !=
		NULL)
		return err_set(err, ST_BUSY,
			"another certbot is running; the certificate is asked "
			"for again later");
	tail_of(output, tail);
	if (r->timed_out)
		return err_set(err, ST_RETRY,
			"certbot did not finish in time and was stopped: %s",
			tail);
	if (r->signal != 0)
		return err_set(err, ST_RETRY, "certbot died of signal %d: %s",
			r->signal, tail);
	return err_set(err, ST_RETRY, "certbot failed with exit status %d: %s",
		r->exit_status, tail);
}

/* ---- certbot succeeded: did it? ---- */

static enum status read_output(
	struct job *j, const char *name, struct buf *ret, struct err *err)
{
	enum status st = atomicfile_read(j->dir, name, ret, err);

	if (st == ST_NOTFOUND)
		st = err_set(err, ST_REFUSED,
			"certbot reported success but wrote no %s", name);
	return st;
}

static enum status check_names(const struct issue_request *rq,
	const struct cert_info *leaf, struct err *err)
{
	for (size_t i = 0; i < rq->n_names; i++)
		if (!cert_covers(leaf, rq->names[i]))
			return err_set(err, ST_REFUSED,
				"the new certificate lacks the name %s",
				rq->names[i]);
	return ST_OK;
}

static enum status check_result(
	struct job *j, struct issue_result *r, int64_t now_s, struct err *err)
{
	auto_buf key = BUF_INIT(PEM_MAX);
	struct cert_info alone = { .names = NULL };
	enum status st;
	int64_t at;

	st = cert_info_read(
		buf_str(&r->fullchain), r->fullchain.len, &r->leaf, err);
	if (st == ST_OK)
		st = cert_info_read(
			buf_str(&r->cert), r->cert.len, &alone, err);
	if (st == ST_OK && !spki_eq(&alone.fingerprint, &r->leaf.fingerprint))
		st = err_set(err, ST_REFUSED,
			"cert.pem and fullchain.pem hold different "
			"certificates");
	cert_info_release(&alone);
	if (st == ST_OK)
		st = key_to_pem(j->rq->key, &key, err);
	if (st != ST_OK)
		return st;
	at = now_s;
	if (r->leaf.not_before > at && r->leaf.not_before <= at + CLOCK_SLACK_S)
		at = r->leaf.not_before;
	st = cert_check(buf_str(&r->fullchain), r->fullchain.len, buf_str(&key),
		key.len, key_spki(j->rq->key), at, err);
	if (st == ST_OK)
		st = check_names(j->rq, &r->leaf, err);
	return st;
}

static enum status collect(
	struct job *j, struct issue_result *r, int64_t now_s, struct err *err)
{
	enum status st;

	st = read_output(j, "cert.pem", &r->cert, err);
	if (st == ST_OK)
		st = read_output(j, "chain.pem", &r->chain, err);
	if (st == ST_OK)
		st = read_output(j, "fullchain.pem", &r->fullchain, err);
	if (st == ST_OK)
		st = check_result(j, r, now_s, err);
	if (st != ST_OK)
		err_context(err, "certificate from certbot is unusable");
	return st;
}

static enum status run(struct job *j, struct issue_result *r, struct err *err)
{
	const struct issue_request *rq = j->rq;
	const struct proc_limits lim = {
		.timeout_ms = rq->timeout_ms > 0 ? rq->timeout_ms : TIMEOUT_MS,
		.output_max = OUTPUT_MAX,
	};
	struct proc_result pr = { .output = NULL };
	int64_t begin = clock_mono_ms(), now_s;
	enum status st;

	st = proc_run(j->argv, (const char *const *)j->env, &lim, &pr, err);
	if (st == ST_NOTFOUND)
		return err_set(err, ST_CONFIG,
			"there is no program %s; install certbot or set "
			"certbot_command",
			j->argv[0]);
	if (st != ST_OK)
		return st;
	now_s = rq->now_s + (clock_mono_ms() - begin + 999) / 1000;
	if (pr.timed_out || pr.signal != 0 || pr.exit_status != 0) {
		st = explain(j, &pr, &r->reached_ca, err);
	} else {
		r->reached_ca = true;
		st = collect(j, r, now_s, err);
	}
	proc_release(&pr);
	return st;
}

enum status issue_csr(const struct issue_request *rq, struct issue_result *ret,
	struct err *err)
{
	struct job j = { .rq = rq, .dir = -1 };
	struct issue_result r = {
		.cert = BUF_INIT(PEM_MAX),
		.chain = BUF_INIT(PEM_MAX),
		.fullchain = BUF_INIT(PEM_MAX),
	};
	enum status st;

	st = prepare(&j, err);
	if (st == ST_OK)
		st = run(&j, &r, err);
	if (st != ST_OK) {
		issue_result_release(&r);
		err_context(err, "certonly --csr for %s", rq->live_dir);
	}
	job_release(&j);
	*ret = r;
	return st;
}
