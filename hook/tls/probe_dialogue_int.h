/* What the dialogues share, and the two that do not come in lines. Inside
 * probe_dialogue.c, probe_ldap.c and probe_xmpp.c only. */
#ifndef DANELAW_TLS_PROBE_DIALOGUE_INT_H
#define DANELAW_TLS_PROBE_DIALOGUE_INT_H

#include "hook/tls/probe_dialogue.h"

/* Sets the verdict and the reason; text from the peer must have gone through
 * dialogue_printable. */
void dialogue_finish_(struct dialogue *d, enum dialogue_verdict v,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Something to send, after which the answer of this step is awaited. */
void dialogue_say_(struct dialogue *d, enum dialogue_step step, const char *fmt,
	...) __attribute__((format(printf, 3, 4)));

/* Keeps one octet in d->line, or ends the dialogue when it is full. */
void dialogue_put_(struct dialogue *d, char c);

void dialogue_ldap_begin_(struct dialogue *d);
void dialogue_ldap_(struct dialogue *d, char c);

void dialogue_xmpp_begin_(struct dialogue *d, const char *host);
void dialogue_xmpp_(struct dialogue *d, char c);

#endif
