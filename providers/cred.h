/* Credentials as an option, a systemd credential, the vendor's usual
 * environment variable, or a section of an INI file that the vendor's own tools
 * use. */
#ifndef DANELAW_PROVIDERS_CRED_H
#define DANELAW_PROVIDERS_CRED_H

#include "hook/base/secret.h"
#include "providers/provider.h"

/* The secret of option i (POPT_SECRET_FILE): the file that the configuration
 * names, else the environment variable. ST_CONFIG when neither is there: the
 * text names both. *ret owned (secret_release). */
enum status cred_secret(const struct provider_config *cfg,
	const struct provider_option *options, size_t i, struct secret *ret,
	struct err *err);
/* The same for one that may be absent: then *ret is empty (len 0). */
enum status cred_secret_maybe(const struct provider_config *cfg,
	const struct provider_option *options, size_t i, struct secret *ret,
	struct err *err);
/* A whole file (a PEM key, a JSON key file); the environment variable, if any,
 * holds its PATH. */
enum status cred_file(const struct provider_config *cfg,
	const struct provider_option *options, size_t i, struct secret *ret,
	struct err *err);
/* The text of option i: configuration, environment, default; NULL: none.
 * Borrows. */
const char *cred_text(const struct provider_config *cfg,
	const struct provider_option *options, size_t i);
/* The value of key in [section] of INI text (comments # and ;). ST_NOTFOUND. */
enum status cred_ini(const struct secret *file, const char *section,
	const char *key, struct secret *ret, struct err *err);

#endif
