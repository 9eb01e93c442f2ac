/* Counts what a process does to files under one folder, and at one moment lets the disk fail or
   ends the process. Preloaded by tests/forks.py; it sleeps until `fault_begin` is called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char under[PATH_MAX];
static long at, last, count;
static int kind; /* > 0: an errno; < 0: minus a signal */

/* From the operation `first` on, to the operation `end`, fail as `what` says; 0 never. */
void fault_begin(const char *folder, long first, long end, int what) {
    snprintf(under, sizeof under, "%s", folder);
    at = first, last = end, kind = what, count = 0;
}

long fault_count(void) { return count; }

static int inside(const char *path) { return !strncmp(path, under, strlen(under)); }

static int inside_fd(int fd) {
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

/* Whether this operation, one under the folder, is to fail. */
static int fails(int ours) {
    if (!under[0] || !ours) return 0;
    count++;
    if (!at || count < at || count > last) return 0;
    if (kind < 0) {
        kill(getpid(), -kind);
        return 0;
    }
    errno = kind;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t where) {
    return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(pwrite)(fd, data, size, where);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) {
    return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(pwrite64)(fd, data, size, where);
}
int fsync(int fd) { return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(fdatasync)(fd); }
int ftruncate(int fd, off_t size) {
    return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(ftruncate)(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    return fails(under[0] && inside_fd(fd)) ? -1 : NEXT(ftruncate64)(fd, size);
}
int mkdir(const char *path, mode_t mode) {
    return fails(under[0] && inside(path)) ? -1 : NEXT(mkdir)(path, mode);
}
int rename(const char *from, const char *to) {
    return fails(under[0] && inside(to)) ? -1 : NEXT(rename)(from, to);
}

static int opens(const char *path, int flags) {
    return fails(under[0] && (flags & (O_WRONLY | O_RDWR)) && inside(path));
}
#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = va_arg(rest, mode_t);                         \
        va_end(rest);                                               \
        return opens(path, flags) ? -1 : NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
