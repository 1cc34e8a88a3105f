/* Domain names as text: canonical form is lower case ASCII, absolute, with the
 * trailing dot, labels of letters, digits, '-', '_' (and '*' alone as first
 * label), each 1..63, 253 at most without the dot. Anything else is refused:
 * no escapes, no IDN (give the A-label). */
#ifndef DANELAW_DNS_NAME_H
#define DANELAW_DNS_NAME_H

#include "hook/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DNS_NAME_MAX 256

/* A trailing dot in the input is optional. ret untouched on failure. */
enum status name_canon(
	const char *in, char ret[static DNS_NAME_MAX], struct err *err);
/* Next name up: "_tcp.mx.example." of "_25._tcp.mx.example."; "." of a TLD;
 * NULL of ".". Borrows from name. */
const char *name_parent(const char *name);
/* True when name is zone or below it. Canonical inputs. */
bool name_is_under(const char *name, const char *zone);
/* Splits "_25._tcp.mx1.example.com." into 25 and "mx1.example.com.". Only _tcp;
 * ST_CONFIG otherwise. */
enum status name_split_tlsa(const char *owner, uint16_t *ret_port,
	char ret_host[static DNS_NAME_MAX], struct err *err);

#endif
