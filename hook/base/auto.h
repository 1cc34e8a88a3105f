/* Cleanup attributes for locals: auto_str, auto_fd. */
#ifndef DANELAW_BASE_AUTO_H
#define DANELAW_BASE_AUTO_H

#include <stdlib.h>
#include <unistd.h>

static inline void auto_free_cleanup_(void *p)
{
	free(*(void **)p);
}

static inline void auto_close_cleanup_(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define auto_str __attribute__((cleanup(auto_free_cleanup_))) char *
#define auto_mem __attribute__((cleanup(auto_free_cleanup_)))
#define auto_fd __attribute__((cleanup(auto_close_cleanup_))) int

#endif
