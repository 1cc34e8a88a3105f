/* Functions that are never right here; included by force (-include). */
#ifndef DANELAW_BASE_BANNED_H
#define DANELAW_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
#pragma GCC poison gmtime localtime ctime asctime atoi atol atoll mktemp tmpnam
#pragma GCC poison system popen

#endif
