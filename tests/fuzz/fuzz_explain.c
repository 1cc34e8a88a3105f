/*
 * Bounces and log lines under hostile input. Checked: every text ends within
 * its field, names are canonical and hosts of the DNS, the address is as
 * inet_ntop writes it, the phrase is printable, the status has its form, and
 * that the same text gives the same result from memory that ends right after
 * it.
 */
#include "hook/check/explain.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void must_end(const char *field, size_t size)
{
	must(memchr(field, '\0', size) != NULL);
}

static void must_name(const char *name)
{
	char canon[DNS_NAME_MAX];
	struct err err = ERR_INIT;

	if (name[0] == '\0')
		return;
	must(name_canon(name, canon, &err) == ST_OK);
	must(strcmp(name, canon) == 0);
	must(strchr(name, '.') != name + strlen(name) - 1);
	must(name[0] != '*' && name[0] != '-');
}

static void must_ip(const char *ip)
{
	unsigned char raw[16];
	char text[64];
	int family = strchr(ip, ':') != NULL ? AF_INET6 : AF_INET;

	if (ip[0] == '\0')
		return;
	must(inet_pton(family, ip, raw) == 1);
	must(inet_ntop(family, raw, text, sizeof(text)) != NULL);
	must(strcmp(ip, text) == 0);
}

static void must_status(const char *s)
{
	int dots = 0;

	if (s[0] == '\0')
		return;
	must(s[0] == '2' || s[0] == '4' || s[0] == '5');
	for (; *s != '\0'; s++) {
		must(*s == '.' || (*s >= '0' && *s <= '9'));
		dots += *s == '.';
	}
	must(dots == 2 && s[-1] != '.');
}

static void check(const struct explained *e)
{
	must_end(e->status, sizeof(e->status));
	must_end(e->domain, sizeof(e->domain));
	must_end(e->host, sizeof(e->host));
	must_end(e->ip, sizeof(e->ip));
	must_end(e->phrase, sizeof(e->phrase));
	must_name(e->domain);
	must_name(e->host);
	must_ip(e->ip);
	must_status(e->status);
	for (const char *p = e->phrase; *p != '\0'; p++)
		must(*p >= ' ' && *p <= '~');
	must(e->meaning != NULL && e->next != NULL);
	must(e->mta <= EXPLAIN_POWERMTA && e->code < CODE__COUNT);
	must(e->understood == (e->phrase[0] != '\0'));
	must(e->understood || (e->code == CODE_NONE && !e->temporary));
	must(!e->success || (e->code == CODE_NONE && !e->temporary));
	must(explain_mta_name(e->mta) != NULL && explain_retry(e) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct explained e, again;
	char *exact = malloc(size > 0 ? size : 1);

	if (exact == NULL)
		return 0;
	if (size > 0)
		memcpy(exact, data, size);
	memset(&e, 0x5a, sizeof(e));
	memset(&again, 0xa5, sizeof(again));
	explain_parse(exact, size, &e);
	explain_parse((const char *)data, size, &again);
	check(&e);
	must(strcmp(e.domain, again.domain) == 0);
	must(strcmp(e.host, again.host) == 0);
	must(strcmp(e.ip, again.ip) == 0 && e.port == again.port);
	must(strcmp(e.phrase, again.phrase) == 0 && e.code == again.code);
	free(exact);
	return 0;
}
