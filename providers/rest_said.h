/* What a server said, for people. */
#ifndef DANELAW_PROVIDERS_REST_SAID_H
#define DANELAW_PROVIDERS_REST_SAID_H

#include <jansson.h>
#include <stddef.h>

#define REST_SAID_MAX 200

/* The message in the JSON (NULL: none), else the body as it is, in one short
 * line of ASCII. */
void rest_said(
	const json_t *json, const char *body, char ret[static REST_SAID_MAX]);

#endif
