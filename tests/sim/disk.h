/*
 * A disk in memory, under the real program: the linker sends its system calls
 * here (--wrap, list in tests/sim/wraps). Deterministic, no host call.
 *
 * Inside is every absolute path at or below /sim, and the boot_id of /proc;
 * descriptors of the disk are numbers from DISK_FD on. All else goes to the
 * host. One user, root; umask 022. Errors are those of Linux, but for paths
 * that end in a slash.
 *
 * What a power cut may take (no more than POSIX allows to be lost, and no
 * less): see disk_power_cut. What only killing a process takes: disk_kill.
 *
 * A crash is played by leaving: the hook `before` is called when a call has
 * changed nothing yet, and need not come back (longjmp, or another coroutine).
 * It may also let another process run first: nothing is remembered across it.
 */
#ifndef DANELAW_TEST_SIM_DISK_H
#define DANELAW_TEST_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DISK_FD 1000
#define DISK_NAME_MAX 87  /* longer components: ENAMETOOLONG */
#define DISK_PATH_MAX 512 /* of the paths that are shown to hooks */

struct disk;

/* An empty machine: "/sim" and nothing in it. Memory is the only thing that can
 * fail, and then the program aborts. */
struct disk *disk_new(void);
void disk_free(struct disk *d); /* NULL is fine */
/* As new (settings, hooks, counters too), but keeps its memory: cheap. */
void disk_reset(struct disk *d);
/* The disk that the wrapped calls of this thread work on. NULL: none. */
void disk_use(struct disk *d);
/* The process that is running. Descriptors and locks belong to it; those of
 * others are EBADF for it. */
void disk_process(struct disk *d, int pid);
/* pid died: its descriptors, locks and open listings go, all else stays. */
void disk_kill(struct disk *d, int pid);
/* pid is as good as dead: the call that is under way (when this is called by
 * the hook) and each later one changes nothing and is EIO, without a hook,
 * until disk_kill or disk_power_cut. So the program unwinds by itself and frees
 * its memory, where a longjmp would leak it. */
void disk_die(struct disk *d, int pid);
bool disk_is_dead(const struct disk *d, int pid);
/* The files of the machine as they are (with what is not durable yet), without
 * descriptors, hooks, faults. Deep. dst may be a used disk: its settings and
 * hooks stay, its descriptors go: that is the restore of a snapshot. */
struct disk *disk_clone(const struct disk *d);
void disk_copy(struct disk *dst, const struct disk *src);

/* ---- durability ---- */

typedef uint64_t disk_rnd(void *arg); /* any 64 bits */

/*
 * Chooses a survivor that POSIX allows and makes it the state, durable;
 * every process is dead. Independently of each other:
 *  - a file: what was there at its last successful fsync or fdatasync is safe.
 *    Of what came after: all, nothing, a prefix of any number of octets, the
 *    new size with zeros from anywhere on, or any mixture of 512-octet blocks.
 *    A file that was never synced may be empty. Mode and owner: old or new.
 *  - a folder: its entries at its last fsync are safe. Of the operations since,
 *    each survives or does not, in ANY order (POSIX promises none; see
 *    disk_ordered). One operation is whole: create, link, unlink, and a rename
 *    within one folder. A rename across folders is two operations: the file may
 *    be found under both names, or under none.
 *  - a new folder needs its own fsync for its entries, and an fsync of its
 *    parent for itself.
 *  - fsync of a file does not make its name durable; fsync of a folder does not
 *    make the data of what is in it durable.
 * After an fsync that failed, see DISK_FSYNC.
 */
void disk_power_cut(struct disk *d, disk_rnd *rnd, void *arg);
/* true: only a prefix of the operations of each folder survives, as most file
 * systems do it. Default false. */
void disk_ordered(struct disk *d, bool ordered);

/* ---- hooks and time ---- */

/* Called at the start of each wrapped call that can change anything, before it
 * has changed anything; call is its name ("renameat"), path where it will
 * change something (a rename: the new name). For openat: only with O_CREAT or
 * O_TRUNC. Calls on descriptors: the path it was opened by. Not for close. */
typedef void disk_before(void *arg, const char *call, const char *path);
void disk_hook(struct disk *d, disk_before *before, void *arg);
/* What stat calls mtime from now on. */
void disk_now(struct disk *d, int64_t wall_ms);
/* What /proc/sys/kernel/random/boot_id holds (a newline is added); NULL: it is
 * not there. */
void disk_set_boot_id(struct disk *d, const char *text);

/* True when pid holds a flock(LOCK_EX) on the file that is at path now. */
bool disk_holds_lock(struct disk *d, int pid, const char *path);
/* The lock file that must be held to change path: ".../lineages/NAME/lock" for
 * all below ".../lineages/NAME/" and for ".../live/NAME". False for other
 * paths, for what is done without it (the folder NAME itself, the lock, news,
 * the temp that becomes news) and for temps of live/, which do not say whose
 * they are. */
bool disk_lock_of(const char *path, char ret[DISK_PATH_MAX]);

/* ---- faults ---- */

/* Octets that may still be written (an entry counts 64); then a write is short
 * and the next one ENOSPC, as is what makes an entry. -1: no limit. Nothing is
 * given back by unlink. 0: full at once. */
void disk_space(struct disk *d, int64_t octets);

enum disk_call {
	DISK_READ,  /* read, pread */
	DISK_WRITE, /* write, writev */
	/* fsync, fdatasync. What was not durable then may read as zeros after a
	 * power cut, for ever (the kernel marks it clean: a later fsync that
	 * succeeds does not help it; what is written later is not concerned).
	 * The entries of a folder become durable with the next one that
	 * succeeds. */
	DISK_FSYNC,
	DISK_OPEN, /* open, openat */
	DISK_MAKE, /* mkdirat, mkdtemp, symlinkat, linkat */
	DISK_RENAME,
	DISK_UNLINK,
	DISK_META,  /* fchmod, fchmodat, fchown, fchownat, ftruncate */
	DISK_CLOSE, /* the descriptor is closed all the same */
	DISK_LOCK,
	DISK_LIST, /* readdir */
	DISK_CALLS
};

/* The nth call from now on (1: the next) fails with errnum, once; nth 0 takes
 * it back. times: so many in a row from there; 0 is for ever. */
void disk_fail(struct disk *d, enum disk_call call, int errnum, unsigned nth,
	unsigned times);
/* Of 1000 reads and writes, so many are EINTR or short (one octet at least).
 * rnd is asked at each; NULL with 0, 0 ends it. */
void disk_flaky(struct disk *d, unsigned eintr, unsigned shorter, disk_rnd *rnd,
	void *arg);
/* renameat2 with flags is EINVAL (NFS); linkat is EPERM when no_link too. */
void disk_old(struct disk *d, bool no_renameat2, bool no_link);

/* ---- the world's own hand: no hook, no fault, durable at once ---- */

/* Makes the folder and all above it that are missing (0755). */
void disk_make_dir(struct disk *d, const char *path);
/* Makes or replaces (a new inode) a file, a link; folders above are made. */
void disk_put(struct disk *d, const char *path, const void *data, size_t len,
	mode_t mode);
void disk_put_link(struct disk *d, const char *path, const char *target);
/* A file, a link or a whole folder; absent is fine. */
void disk_remove(struct disk *d, const char *path);
/* All that is there becomes durable. */
void disk_sync(struct disk *d);

/* ---- looking, as it is now. Links in the middle of a path are followed, the
 * last component is not, unless said otherwise. ---- */

/* The content, NULL when there is no such file; follows links. NUL-terminated.
 * Valid until the disk changes. */
const char *disk_file(struct disk *d, const char *path, size_t *ret_len);
/* The target of a link; NULL when it is none. */
const char *disk_link(struct disk *d, const char *path);
bool disk_is_dir(struct disk *d, const char *path);
/* 07777; -1 when there is no such thing. */
int disk_mode(struct disk *d, const char *path);
/* Each entry, in an order that is the same at each run. The callback must not
 * change the disk. False when path is no folder. */
typedef void disk_entry(void *arg, const char *name);
bool disk_each(struct disk *d, const char *path, disk_entry *each, void *arg);

/* ---- looking, as a power cut that takes all it may would leave it ---- */

const char *disk_durable_file(
	struct disk *d, const char *path, size_t *ret_len);
const char *disk_durable_link(struct disk *d, const char *path);
/* True when every legal survivor has at path what is there now: each entry on
 * the way, and the content (for a folder: all entries directly in it, not their
 * content). Absent now and in each survivor is true, too. */
bool disk_is_durable(struct disk *d, const char *path);

/* ---- counting ---- */

unsigned long disk_calls(const struct disk *d); /* wrapped calls so far */
size_t disk_open_count(const struct disk *d, int pid); /* open descriptors */

/* disk_selftest.c: false (and words on stderr) when the disk is not what this
 * header says. */
bool disk_selftest(void);

#endif
