/* An XML service of Amazon Web Services: access keys where their users keep
 * them, requests signed with SigV4, errors in XML. */
#ifndef DANELAW_PROVIDERS_AWS_H
#define DANELAW_PROVIDERS_AWS_H

#include "providers/api.h"
#include "providers/xml.h"

/* The service's option table goes on with these. */
enum {
	AWS_ID = API_TOKEN,
	AWS_KEY,
	AWS_TOKEN,
	AWS_FILE,
	AWS_PROFILE,
	AWS_CALLS
};

struct aws_service {
	const struct provider_option *options;
	const char *sigv4;  /* "aws:amz:REGION:SERVICE" */
	const char *rights; /* said when access is denied */
	/* What an error code of the service's own means; REST_DEFAULT. */
	enum status (*meaning)(const char *code, const char *message);
};

struct aws {
	const struct aws_service *service;
	struct secret id, key, token;
	char *url; /* for messages */
	struct rest *rest;
};

/* Fills a zeroed *a, whose address must not change; aws_release also when this
 * failed. */
enum status aws_open(struct aws *a, const struct aws_service *service,
	const struct provider_config *cfg, struct err *err);
void aws_release(struct aws *a);
/* POST if there is a body, else GET, of a path made from a format; a query must
 * be in sorted order (that is how it is signed). *ret owned; ST_RETRY when it
 * lacks the element `need`. */
enum status aws_call(struct aws *a, const char *body, const char *need,
	struct xml **ret, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

#endif
