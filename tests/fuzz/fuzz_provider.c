/*
 * What the APIs of all vendors, and the program of type exec, answer. libcurl's
 * easy interface, the sleeping and the clock are replaced here, the rest of the
 * client is as it is. The input is text: a line "TYPE ORDERS" (get, edit, may,
 * signed as letters), then answers in turn, each begun by a line
 * "%% STATUS HEADER|HEADER"; status 0 is a transfer that breaks off. The types
 * come from the registry, so a new vendor is under test at once.
 *
 * Checked: requests go to the configured origin only, and cannot be bent by
 * what was read before; no secret is in an error; results are canonical.
 */
#define CURL_DISABLE_TYPECHECK
#include "providers/provider.h"
#include "providers/rest_curl.h"
#undef curl_easy_setopt
#undef curl_easy_getinfo

/* All of these files but one word of each: then nobody links the real one. */
#define clock_mono_ms clock_mono_real_
#include "hook/base/clock.c"
#undef clock_mono_ms
int64_t clock_mono_ms(void);
#define proc_run proc_run_real_
#include "hook/base/proc.c"
#undef proc_run

#include "hook/base/secret.h"
#include "hook/tls/key.h"
#include "providers/rest.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <stdarg.h>

enum status proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret,
	struct err *err);

#define OWNER "_25._tcp.foreign.example.test."
#define OTHER "_465._tcp.foreign.example.test."
#define SECRET "KEYkeyKEYkey0123456789abcdefABCDEF"
#define CALLS_MAX 60
#define OPTIONS_MAX 20

typedef size_t (*take)(char *data, size_t size, size_t n, void *arg);

static struct handle {
	char url[8192];
	take body, header;
	void *body_arg, *header_arg;
	long http, wait;
	char location[512];
} easy;

static struct in input;
static unsigned calls;
static int64_t clock_ms;
/* A server that gives our own secret for an id or a name in an answer that is
 * good will see it again, and so will who reads of it. */
static bool echoed;
/* Where requests may go: the options that are URLs. */
static const char *origin[OPTIONS_MAX];
static size_t n_origins;

/* ---- the world ---- */

int64_t clock_mono_ms(void)
{
	return clock_ms++;
}

void rest_sleep(int64_t ms)
{
	must(ms >= 0 && ms < (int64_t)1 << 40);
	clock_ms += ms;
}

bool rest_in_company(void)
{
	return false;
}

void rest_together(
	size_t n, unsigned parallel, void (*fn)(void *arg, size_t i), void *arg)
{
	must(parallel > 0);
	for (size_t i = 0; i < n; i++)
		fn(arg, i);
}

/* The next answer: its status, headers (borrowed until the next) and body. */
static bool next(long *ret_status, char **ret_headers, struct in *ret_body)
{
	static char *line;
	const uint8_t *end;

	free(line);
	line = NULL;
	if (input.n < 3 || memcmp(input.p, "%% ", 3) != 0 ||
		calls++ > CALLS_MAX)
		return false;
	line = in_text(&input, '\n');
	*ret_status = strtol(line + 3, ret_headers, 10);
	end = memmem(input.p, input.n, "\n%% ", 4);
	*ret_body = (struct in){ input.p,
		end != NULL ? (size_t)(end - input.p) : input.n };
	input.n -= ret_body->n + (end != NULL);
	input.p += ret_body->n + (end != NULL);
	return true;
}

CURL *curl_easy_init(void)
{
	return &easy;
}

void curl_easy_cleanup(CURL *c)
{
	(void)c;
}

void curl_easy_reset(CURL *c)
{
	memset(c, 0, sizeof(easy));
}

static void check_url(const char *url)
{
	bool known = false;

	for (size_t i = 0; i < n_origins; i++) {
		size_t n = strlen(origin[i]);

		while (n > 0 && origin[i][n - 1] == '/')
			n--;
		known |= strncmp(url, origin[i], n) == 0 &&
			 (url[n] == '/' || url[n] == '?' || url[n] == '\0');
	}
	must(known && strlen(url) < sizeof(easy.url));
	for (const char *p = url; *p != '\0'; p++)
		must(*p > ' ' && *p < 0x7f && *p != '#');
	must(strstr(url, "/../") == NULL);
}

CURLcode curl_easy_setopt(CURL *c, CURLoption option, ...)
{
	struct handle *h = c;
	const struct curl_slist *l;
	va_list ap;

	va_start(ap, option);
	switch ((int)option) {
	case CURLOPT_URL:
		check_url(va_arg(ap, const char *));
		break;
	case CURLOPT_WRITEFUNCTION:
		h->body = va_arg(ap, take);
		break;
	case CURLOPT_WRITEDATA:
		h->body_arg = va_arg(ap, void *);
		break;
	case CURLOPT_HEADERFUNCTION:
		h->header = va_arg(ap, take);
		break;
	case CURLOPT_HEADERDATA:
		h->header_arg = va_arg(ap, void *);
		break;
	case CURLOPT_FOLLOWLOCATION:
		must(va_arg(ap, long) == 0);
		break;
	case CURLOPT_TIMEOUT_MS:
		must(va_arg(ap, long) > 0);
		break;
	case CURLOPT_HTTPHEADER:
		for (l = va_arg(ap, void *); l != NULL; l = l->next)
			must(strpbrk(l->data, "\r\n") == NULL);
		break;
	default:
		break;
	}
	va_end(ap);
	return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *c, CURLINFO info, ...)
{
	const struct handle *h = c;
	va_list ap;

	va_start(ap, info);
	if (info == CURLINFO_RESPONSE_CODE)
		*va_arg(ap, long *) = h->http;
	else if (info == CURLINFO_RETRY_AFTER)
		*va_arg(ap, curl_off_t *) = h->wait;
	else if (info == CURLINFO_REDIRECT_URL)
		*va_arg(ap, const char **) =
			h->location[0] != '\0' ? h->location : NULL;
	va_end(ap);
	return CURLE_OK;
}

/* As libcurl hands them over: one at a time, with the end of the line. */
static bool headers(struct handle *h, char *text)
{
	char line[1024];

	for (char *save, *one = strtok_r(text, "|", &save); one != NULL;
		one = strtok_r(NULL, "|", &save)) {
		int n = snprintf(line, sizeof(line), "%.1000s\r\n", one);

		one += strspn(one, " ");
		if (strncasecmp(one, "Retry-After:", 12) == 0)
			h->wait = strtol(one + 12, NULL, 10);
		if (strncasecmp(one, "Location:", 9) == 0)
			(void)snprintf(h->location, sizeof(h->location), "%s",
				one + 9);
		if (h->header(line + strspn(line, " "), 1,
			    (size_t)n - strspn(line, " "), h->header_arg) == 0)
			return false;
	}
	return true;
}

CURLcode rest_perform(CURL *c)
{
	struct handle *h = c;
	struct in body;
	char *text;

	h->wait = 0;
	h->location[0] = '\0';
	clock_ms += 20;
	if (!next(&h->http, &text, &body))
		return CURLE_OPERATION_TIMEDOUT;
	if (!headers(h, text))
		return CURLE_WRITE_ERROR;
	if (h->http >= 200 && h->http < 300)
		echoed |= memmem(body.p, body.n, "EYkey0", 6) != NULL ||
			  memmem(body.p, body.n, "\\u", 2) != NULL;
	while (body.n > 0) {
		/* what we are given must not be relied on to end in NUL */
		size_t n = body.n < 700 ? body.n : 700;
		uint8_t *piece = exact(body.p, n);
		size_t took = h->body((char *)piece, 1, n, h->body_arg);

		free(piece);
		if (took != n)
			return CURLE_WRITE_ERROR;
		body.p += n;
		body.n -= n;
	}
	return h->http == 0 ? CURLE_RECV_ERROR : CURLE_OK;
}

/* The program of type exec: status, and what it prints. */
enum status proc_run(const char *const argv[], const char *const envp[],
	const struct proc_limits *lim, struct proc_result *ret, struct err *err)
{
	struct in body;
	long status;
	char *text;

	must(argv[0] != NULL && envp != NULL && lim->timeout_ms > 0);
	if (!next(&status, &text, &body))
		return err_set(err, ST_IO, "%s does not start", argv[0]);
	if (body.n > lim->output_max) {
		ret->dropped = body.n - lim->output_max;
		body.n = lim->output_max;
	}
	ret->exit_status = status < 0 || status > 255 ? -1 : (int)status;
	ret->signal = ret->exit_status < 0 ? 9 : 0;
	ret->timed_out = status == -2;
	ret->output = in_text(&body, '\0');
	ret->errors = strdup(text);
	must(ret->errors != NULL);
	return ST_OK;
}

/* ---- a provider ---- */

static const char *secret_file(const char *name, const char *text)
{
	static char *made[64];
	static size_t n;
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/%s", fuzz_dir(), name);
	for (size_t i = 0; i < n; i++)
		if (strcmp(made[i], path) == 0)
			return made[i];
	fuzz_write(path, 0600, text, strlen(text));
	must(n < 64 && (made[n] = strdup(path)) != NULL);
	return made[n++];
}

static const char *pem(void)
{
	static struct buf text = BUF_INIT(8192);
	struct err err = ERR_INIT;
	struct key *k;

	if (text.len > 0)
		return text.data;
	must(key_generate(KEY_RSA_2048, &k, &err) == ST_OK);
	must(key_to_pem(k, &text, &err) == ST_OK);
	key_free(k);
	return text.data;
}

static const char *google(void)
{
	static char *text;
	json_t *j;

	if (text != NULL)
		return text;
	j = json_pack("{ss ss ss ss ss}", "type", "service_account",
		"project_id", "p1", "private_key", pem(), "client_email",
		"d@p1.example", "token_uri",
		"https://oauth2.googleapis.com/token");
	must(j != NULL && (text = json_dumps(j, 0)) != NULL);
	json_decref(j);
	return text;
}

/* SECRET is a credential of this provider (Google's is a key file): then it is
 * never repeated, wherever it came from. */
static bool given;

static const char *value_of(const char *type, const struct provider_option *o)
{
	if (strcmp(o->name, "command") == 0)
		return "/bin/true";
	if (o->type == POPT_FILE)
		return NULL;
	if (o->type == POPT_INT)
		return o->def;
	if (strcmp(o->name, "private_key_file") == 0)
		return secret_file("pem", pem());
	if (strcmp(o->name, "totp_secret_file") == 0)
		return secret_file("totp", "jbswy3dpehpk3pxpjbswy3dpehpk3pxp");
	if (strcmp(type, "google") == 0 && o->type == POPT_SECRET_FILE)
		return secret_file("google", google());
	if (o->type == POPT_SECRET_FILE) {
		given = true;
		return secret_file("secret", SECRET);
	}
	if (o->def != NULL)
		return o->def;
	if (strcmp(o->name, "url") == 0)
		return "http://127.0.0.1:8081";
	return o->required || strcmp(o->name, "access_key_id") == 0 ? "12345678"
								    : NULL;
}

static void *open_it(const struct provider_ops *ops)
{
	const char *value[OPTIONS_MAX] = { NULL };
	const struct provider_config cfg = { .name = "p", .value = value };
	struct err err = ERR_INIT;
	void *ctx = NULL;
	size_t n = 0;

	n_origins = 0;
	given = false;
	for (; ops->options[n].name != NULL; n++) {
		must(n < OPTIONS_MAX);
		value[n] = value_of(ops->type, &ops->options[n]);
		if (value[n] != NULL && strstr(value[n], "://") != NULL)
			origin[n_origins++] = value[n];
	}
	if (strcmp(ops->type, "google") == 0)
		origin[n_origins++] = "https://oauth2.googleapis.com/token";
	if (ops->open(&cfg, &ctx, &err) != ST_OK) {
		(void)fprintf(stderr, "%s: %s\n", ops->type, err.text);
		abort();
	}
	return ctx;
}

static void check(enum status st, const struct err *err)
{
	if (st == ST_OK)
		return;
	must_err(st, err);
	must(echoed || !given || strstr(err->text, SECRET) == NULL);
}

static void check_set(const struct tlsa_rrset *set, const char *zone)
{
	char canon[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	must(set->n <= TLSA_RRSET_MAX);
	must(name_canon(zone, canon, &err) == ST_OK);
	must(strcmp(zone, canon) == 0 && name_is_under(OWNER, zone));
}

/* One key more, and one less. */
static enum status decide(void *arg, size_t i, const struct tlsa_rrset *now,
	struct tlsa_rrset *to, struct err *err)
{
	struct spki add, gone;
	enum status st;

	must(arg == NULL && i < 2);
	memset(&add, 'c', sizeof(add));
	memset(&gone, 'a', sizeof(gone));
	st = tlsa_rrset_copy(now, to, err);
	if (st == ST_OK)
		st = tlsa_rrset_add_spki(to, &add, err);
	(void)tlsa_rrset_remove_spki(to, &gone);
	to->ttl = i == 0 ? 3600 : now->n > 0 ? now->ttl : 300;
	return st;
}

static void edit(const struct provider_ops *ops, void *ctx)
{
	struct provider_item item[2] = { { .owner = OWNER },
		{ .owner = OTHER } };

	provider_edit(ops, ctx, item, 2, decide, NULL);
	for (size_t i = 0; i < 2; i++) {
		const struct provider_item *it = &item[i];

		check(it->err.st, &it->err);
		must(it->retry_after_s >= 0 && it->retry_after_s <= 1 << 20);
		if (it->err.st == ST_OK)
			check_set(&it->now, it->zone);
		provider_item_release(&item[i]);
	}
}

static void order(const struct provider_ops *ops, void *ctx, char what)
{
	struct tlsa_rrset now = TLSA_RRSET_INIT;
	char zone[DNS_NAME_MAX];
	struct err err = ERR_INIT;
	enum status st;
	int yes;

	if (what == 'g' && ops->get != NULL) {
		st = ops->get(ctx, OWNER, &now, zone, &err);
		check(st, &err);
		if (st == ST_OK)
			check_set(&now, zone);
		tlsa_rrset_release(&now);
	} else if (what == 'e') {
		edit(ops, ctx);
	} else if (what == 'm' && ops->may_write != NULL) {
		check(ops->may_write(ctx, OWNER, &err), &err);
	} else if (what == 's' && ops->zone_signed != NULL) {
		yes = ops->zone_signed(ctx, OWNER);
		must(yes >= -1 && yes <= 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct provider_ops *ops = NULL;
	char *line, *orders;
	void *ctx;

	input = (struct in){ data, size };
	line = in_text(&input, '\n');
	orders = strchr(line, ' ');
	if (orders != NULL) {
		*orders++ = '\0';
		ops = provider_find(line);
	}
	/* These speak no HTTP. */
	if (ops == NULL || strcmp(line, "rfc2136") == 0 ||
		strcmp(line, "manual") == 0) {
		free(line);
		return 0;
	}
	calls = 0;
	echoed = false;
	clock_ms = 1000000;
	ctx = open_it(ops);
	for (size_t i = 0; i < 6 && orders[i] != '\0'; i++)
		order(ops, ctx, orders[i]);
	ops->close(ctx);
	free(line);
	return 0;
}
