/*
 * Small texts from people, files and APIs: names, addresses, keys as hex, TLSA
 * in words, servers, URLs, Link headers, what goes into a query. Checked: what
 * is accepted is canonical, and reads again as itself.
 */
#include "hook/base/spki.h"
#include "hook/dns/authority.h"
#include "hook/dns/codec.h"
#include "hook/dns/tlsa.h"
#include "providers/api.h"
#include "providers/rest_curl.h"
#include "providers/rest_said.h"
#include "providers/rfc2136.h"
#include "tests/fuzz/fuzz.h"

static void name(const char *text)
{
	char a[DNS_NAME_MAX], b[DNS_NAME_MAX], host[DNS_NAME_MAX];
	struct codec_name wire, back;
	struct err err = ERR_INIT;
	unsigned int labels = 0;
	uint16_t port;

	if (name_canon(text, a, &err) != ST_OK)
		return;
	must(name_canon(a, b, &err) == ST_OK && strcmp(a, b) == 0);
	must(a[strlen(a) - 1] == '.');
	must(codec_name_set(&wire, a));
	must(strcmp(codec_name_text(&wire, b), a) == 0);
	must(codec_name_read(wire.w, wire.len, 0, &back, NULL));
	must(codec_name_eq(&wire, &back) && codec_name_cmp(&wire, &back) == 0);
	for (const char *up = a; up != NULL; up = name_parent(up), labels++)
		must(name_is_under(a, up));
	must(labels == codec_name_labels(&wire) + 1);
	if (name_split_tlsa(a, &port, host, &err) != ST_OK)
		return;
	(void)snprintf(b, sizeof(b), "_%u._tcp.%s", port, host);
	must(strcmp(a, b) == 0);
}

static void tlsa(const char *text)
{
	struct tlsa_rrset set = TLSA_RRSET_INIT, again = TLSA_RRSET_INIT;
	struct buf b = BUF_INIT(1 << 18);
	struct err err = ERR_INIT;
	struct spki key;
	const char *why;

	if (tlsa_rrset_add_text(&set, text, &err) == ST_OK) {
		must(set.n == 1);
		must(tlsa_text(&set.rr[0], &b, &err) == ST_OK);
		must(tlsa_rrset_add_text(&again, b.data, &err) == ST_OK);
		must(tlsa_rrset_eq(&set, &again));
		if (tlsa_is_spki(&set.rr[0], &key))
			must(tlsa_rrset_has_spki(&set, &key) &&
				tlsa_usable(&set.rr[0], &why) &&
				tlsa_agility_ok(&set, &key, NULL, &why));
	} else {
		must_err(err.st, &err);
		must(set.n == 0);
	}
	tlsa_rrset_release(&set);
	tlsa_rrset_release(&again);
	buf_release(&b);
}

static void numbers(const char *text)
{
	struct dns_addr addr, same;
	struct rfc2136_server sv;
	struct err err = ERR_INIT;
	char hex[SPKI_HEX];
	struct spki key, back;

	if (spki_parse(text, &key))
		must(spki_parse(spki_hex(&key, hex), &back) &&
			spki_eq(&key, &back) && strcasecmp(hex, text) == 0);
	if (dns_addr_parse(text, 53, &addr)) {
		must(dns_addr_parse(addr.text, 53, &same));
		must(strcmp(addr.text, same.text) == 0);
		must(addr.len == same.len &&
			memcmp(&addr.ss, &same.ss, addr.len) == 0);
	}
	if (rfc2136_server_parse(text, &sv, &err) == ST_OK)
		must(strncmp(text, sv.host, strlen(sv.host)) == 0 &&
			strtol(sv.port, NULL, 10) > 0);
	else
		must_err(err.st, &err);
}

/* A query of ours cannot be left by what it holds. */
static void query(const char *text)
{
	struct buf b = BUF_INIT(1 << 18);
	char next[1024], safe[API_SAFE_MAX], canon[DNS_NAME_MAX], *url;
	struct err err = ERR_INIT;
	bool https;

	must(rest_form(&b, &err, "q", text, NULL) == ST_OK);
	for (const char *p = b.data + 2; *p != '\0'; p++)
		must(*p > ' ' && strchr("&=#?/+", *p) == NULL);
	if (name_canon(text, canon, &err) == ST_OK)
		for (const char *p = api_safe(canon, "@", safe); *p; p++)
			must(*p > ' ' && strchr("&=#?/*", *p) == NULL);
	if (api_next_query(text, next, sizeof(next), &err) == ST_OK)
		for (const char *p = next; *p != '\0'; p++)
			must(*p > ' ' && *p != '#' && *p != 0x7f);
	if (rest_take_url(text, &url, &https, &err) == ST_OK) {
		must(https || strncasecmp(text, "http:", 5) == 0);
		must(url[0] != '\0' && url[strlen(url) - 1] != '/');
		free(url);
	}
	buf_release(&b);
}

static void said(const char *text)
{
	char out[REST_SAID_MAX];
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	rest_said(j, text, out);
	must(memchr(out, '\0', sizeof(out)) != NULL);
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = { data, size };
	char *text = in_text(&in, '\0');

	name(text);
	tlsa(text);
	numbers(text);
	query(text);
	said(text);
	free(text);
	return 0;
}
