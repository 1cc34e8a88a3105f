/* What the result types of TLS-RPT mean to an operator, and the command that
 * looks at the same thing now. (RFC 8460 4.3, 6.6; dane.md B-32, B-34) */
#include "hook/check/tlsrpt.h"

#include <stdio.h>
#include <string.h>

enum look { LOOK_HOST, LOOK_DOMAIN, LOOK_NOTHING };

static const struct {
	const char *type;
	const char *meaning;
	enum look look;
} types[] = {
	{ "starttls-not-supported",
		"the MX offered no STARTTLS or refused it, or something on the "
		"way took it out",
		LOOK_HOST },
	{ "certificate-host-mismatch",
		"the certificate does not name the MX (matters for MTA-STS and "
		"for usage 2 records)",
		LOOK_HOST },
	{ "certificate-expired",
		"the certificate was outside its dates (ignored for usage 3, "
		"except by Exchange)",
		LOOK_HOST },
	{ "certificate-not-trusted",
		"no chain to an authority that the sender trusts (MTA-STS) or "
		"that a usage 2 record names",
		LOOK_HOST },
	{ "validation-failure",
		"TLS failed in another way; with policy tlsa most often no "
		"record matched the served key",
		LOOK_HOST },
	{ "tlsa-invalid",
		"no usable TLSA record, or none that matches the served key",
		LOOK_HOST },
	{ "dnssec-invalid",
		"the sender could not validate the DNSSEC answers: it defers "
		"the mail",
		LOOK_DOMAIN },
	{ "dane-required",
		"the sender insists on DANE here and found no TLSA records for "
		"all MX hosts",
		LOOK_DOMAIN },
	{ "sts-policy-fetch-error",
		"the MTA-STS policy could not be fetched: look at https://"
		"mta-sts.DOMAIN/.well-known/mta-sts.txt",
		LOOK_NOTHING },
	{ "sts-policy-invalid",
		"the MTA-STS policy is not valid: look at https://"
		"mta-sts.DOMAIN/.well-known/mta-sts.txt",
		LOOK_NOTHING },
	{ "sts-webpki-invalid",
		"the web server of mta-sts.DOMAIN has no certificate that the "
		"sender trusts",
		LOOK_NOTHING },
	{ "", "the sender counted failures and gave no details", LOOK_DOMAIN },
};
#define N_TYPES (sizeof(types) / sizeof(types[0]))

static size_t find(const char *type)
{
	size_t i = 0;

	while (i < N_TYPES && strcmp(types[i].type, type) != 0)
		i++;
	return i;
}

const char *tlsrpt_advice(const char *type)
{
	size_t i = find(type);

	return i < N_TYPES ? types[i].meaning
			   : "not a result type of RFC 8460: the sender knows "
			     "what it means";
}

/* Names come from the report: what is no host name never gets into a line that
 * people paste into a shell. */
static bool safe(const char *name, char ret[static DNS_NAME_MAX])
{
	struct err ignored = ERR_INIT;
	size_t n;

	if (name_canon(name, ret, &ignored) != ST_OK)
		return false;
	n = strlen(ret);
	if (n < 2 || ret[0] == '-' || strchr(ret, '*') != NULL)
		return false;
	ret[n - 1] = '\0';
	return true;
}

bool tlsrpt_command(const struct tlsrpt_type *t, char *ret, size_t len)
{
	size_t i = find(t->type);
	enum look look = i < N_TYPES ? types[i].look : LOOK_DOMAIN;
	char name[DNS_NAME_MAX];

	if (look == LOOK_NOTHING)
		return false;
	if (look == LOOK_HOST && safe(t->mx, name))
		(void)snprintf(ret, len, "danelaw check --host %s", name);
	else if (safe(t->domain, name))
		(void)snprintf(ret, len, "danelaw check %s", name);
	else
		return false;
	return true;
}
