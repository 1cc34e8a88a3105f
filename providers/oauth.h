/*
 * The token endpoint of OAuth 2.0: one POST of a form, before anything else,
 * gives a token that all calls of the API carry (RFC 6749 4.4, RFC 7523 2.1).
 * A token lives for about an hour, a provider for one publication: it is never
 * renewed.
 */
#ifndef DANELAW_PROVIDERS_OAUTH_H
#define DANELAW_PROVIDERS_OAUTH_H

#include "hook/base/buf.h"
#include "providers/provider.h"
#include "providers/rest.h"

/* What the struct of a vendor with a token begins with. */
struct oauth {
	struct rest *api, *endpoint;
	/* Set these before oauth_init. */
	struct secret key; /* that the token is bought with */
	rest_judge judge;  /* of the API: gateways speak its language */
	const char *rights;
	struct buf form; /* what is asked; made by oauth_login_jwt */
	/* its own */
	char *path;
	struct secret token;
};

/* Opens the API, as the first options say, and the token endpoint. url: all of
 * it, https or on loopback; what is wrong with it is told of url_option. i: the
 * option of the key. To be released also when this failed. The token goes to
 * the endpoint in answers only, never in requests. */
enum status oauth_init(struct oauth *o, const struct provider_config *cfg,
	const struct provider_option *options, size_t i, const char *url,
	const char *url_option, struct err *err);
void oauth_release(struct oauth *o);
/* Fetches the token for the form; a vendor's login, v is the struct oauth.
 * ST_DENIED when the endpoint refuses the credentials. The API's client waits,
 * too, when the endpoint asks to wait. */
enum status oauth_login(void *v, struct err *err);
/* The same with an assertion that is signed with RS256 (RFC 7523); the key is
 * PEM. */
struct oauth_jwt {
	const char *key_id, *issuer, *audience, *scope;
};
enum status oauth_login_jwt(
	struct oauth *o, const struct oauth_jwt *jwt, struct err *err);

#endif
