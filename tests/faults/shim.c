/* A file layer that counts, fails, kills and records, put under a process by LD_PRELOAD (so that SQLite's C code meets it too).
 *
 * Only calls on paths under the watched folder count; everything else passes. Linux, glibc. Not for production.
 *
 *   shim_watch(folder)                        from now on, calls under this folder count
 *   shim_arm(op, n, error, mode, sticky)      the n-th call of op (-1: of any) from now on meets its fate
 *   shim_count(op), shim_fired()              how many calls there were; whether the fate came
 *   shim_record(path), shim_mark(number)      write every change to a log (see recording.py), and marks between them
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN, WRITE, SYNC, RENAME, TRUNCATE, MKDIR, UNLINK, MMAP, READ, LOCK, N_OPS, CLOSE, LINK, MARK };
/* FAIL: error. SHORT: half is done, then the next call fails. Then three ways to die. */
enum { FAIL, SHORT, KILL_BEFORE, KILL_AFTER, KILL_HALFWAY };
#define MAX_FDS 4096

static char folder[PATH_MAX];
static size_t folder_length;
static char *names[MAX_FDS]; /* path of each open descriptor under the folder */
static long counts[N_OPS], total, armed_at = -1, seen;
static int armed_op, armed_error, armed_mode, armed_sticky, fired, log_fd = -1;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

void shim_watch(const char *path)
{
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
}

void shim_arm(int op, long n, int error, int mode, int sticky)
{
    armed_op = op, armed_at = n, armed_error = error, armed_mode = mode, armed_sticky = sticky;
    seen = fired = total = 0;
    memset(counts, 0, sizeof counts);
}

long shim_count(int op) { return op < 0 ? total : counts[op]; }
int shim_fired(void) { return fired; }

/* Whether this call is the one: its mode, or -1. */
static int fate(int op)
{
    counts[op]++, total++;
    if (armed_at < 0 || (armed_op >= 0 && armed_op != op)) return -1;
    seen++;
    if (seen != armed_at && !(armed_sticky && seen > armed_at)) return -1;
    fired = 1;
    if (armed_mode == KILL_BEFORE) die();
    return armed_mode;
}

#define MEET(watched, op) \
    int mode = (watched) ? fate(op) : -1; \
    if (mode == FAIL || (mode == SHORT && (op) != WRITE)) { errno = armed_error; return -1; }
#define AFTER() if (mode == KILL_AFTER || (mode == KILL_HALFWAY)) die()

static int inside(const char *path)
{
    return folder_length && !strncmp(path, folder, folder_length)
        && (path[folder_length] == '/' || !path[folder_length]);
}

static const char *name_of(int fd) { return fd >= 0 && fd < MAX_FDS ? names[fd] : NULL; }

/* The absolute path of `path` as seen from `dir`; NULL when it is not ours. */
static const char *ours(int dir, const char *path, char *buffer)
{
    if (!folder_length || !path) return NULL;
    if (path[0] == '/') return inside(path) ? path : NULL;
    if (dir == AT_FDCWD) {
        if (!getcwd(buffer, PATH_MAX)) return NULL;
    } else {
        if (!name_of(dir)) return NULL;
        snprintf(buffer, PATH_MAX, "%s", name_of(dir));
    }
    size_t length = strlen(buffer);
    snprintf(buffer + length, PATH_MAX - length, "/%s", path);
    return inside(buffer) ? buffer : NULL;
}

static void forget(int fd)
{
    if (fd >= 0 && fd < MAX_FDS && names[fd]) { free(names[fd]); names[fd] = NULL; }
}

/* One event: a header, a path or two with their NUL, then data. The -shm file is mapped memory, rebuilt by SQLite: left out. */
static void note(int op, int fd, int flags, int64_t offset, const char *first, const char *second,
                 const void *data, uint32_t length)
{
    if (log_fd < 0) return;
    const char *about = first ? first : name_of(fd);
    size_t n = about ? strlen(about) : 0;
    if (n > 4 && !strcmp(about + n - 4, "-shm")) return;
    struct { int32_t op, fd, flags; uint32_t first, second, length; int64_t offset; } head = {
        op, fd, flags, first ? strlen(first) : 0, second ? strlen(second) : 0, length, offset };
    syscall(SYS_write, log_fd, &head, sizeof head);
    if (first) syscall(SYS_write, log_fd, first, head.first);
    if (second) syscall(SYS_write, log_fd, second, head.second);
    if (length) syscall(SYS_write, log_fd, data, length);
}

void shim_record(const char *path)
{
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void shim_mark(int number) { note(MARK, number, 0, 0, NULL, NULL, NULL, 0); }

static int opened(int fd, const char *path, int flags)
{
    forget(fd);
    if (fd >= 0 && fd < MAX_FDS && path) {
        names[fd] = strdup(path);
        note(OPEN, fd, flags, 0, path, NULL, NULL, 0);
    }
    return fd;
}

static int open_any(int dir, const char *path, int flags, mode_t permissions)
{
    char buffer[PATH_MAX];
    const char *mine = ours(dir, path, buffer);
    MEET(mine, OPEN);
    int fd = (int)syscall(SYS_openat, dir, path, flags | O_LARGEFILE, permissions);
    AFTER();
    return opened(fd, mine, flags);
}

#define PERMISSIONS \
    mode_t permissions = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list list; va_start(list, flags); permissions = va_arg(list, mode_t); va_end(list); \
    }

int open(const char *path, int flags, ...) { PERMISSIONS return open_any(AT_FDCWD, path, flags, permissions); }
int open64(const char *path, int flags, ...) { PERMISSIONS return open_any(AT_FDCWD, path, flags, permissions); }
int openat(int dir, const char *path, int flags, ...) { PERMISSIONS return open_any(dir, path, flags, permissions); }
int openat64(int dir, const char *path, int flags, ...) { PERMISSIONS return open_any(dir, path, flags, permissions); }

DIR *opendir(const char *path)
{
    REAL(opendir);
    char buffer[PATH_MAX];
    if (ours(AT_FDCWD, path, buffer)) {
        int mode = fate(OPEN);
        if (mode == FAIL || mode == SHORT) { errno = armed_error; return NULL; }
        AFTER();
    }
    return real(path);
}

int close(int fd)
{
    REAL(close);
    if (name_of(fd)) { note(CLOSE, fd, 0, 0, NULL, NULL, NULL, 0); forget(fd); }
    return real(fd);
}

static ssize_t write_any(int fd, const void *data, size_t length, off64_t offset)
{
    const char *mine = name_of(fd);
    MEET(mine, WRITE);
    if (mode == SHORT || mode == KILL_HALFWAY) {
        if (mode == SHORT && length < 2) { errno = armed_error; return -1; }
        length = (length + 1) / 2;
        if (mode == SHORT) armed_mode = FAIL, armed_at = seen + 1; /* the rest of it fails */
    }
    int64_t place = offset;
    if (mine && offset < 0) /* -1: at the end, whatever that is */
        place = fcntl(fd, F_GETFL) & O_APPEND ? -1 : (int64_t)lseek64(fd, 0, SEEK_CUR);
    ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, length)
                              : syscall(SYS_pwrite64, fd, data, length, offset);
    AFTER();
    if (mine && done > 0) note(WRITE, fd, 0, place, NULL, NULL, data, (uint32_t)done);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return write_any(fd, data, length, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return write_any(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return write_any(fd, data, length, offset); }

/* Copies inside the kernel are refused, so that Python's shutil copies with read and write. */
ssize_t sendfile(int to, int from, off_t *offset, size_t length)
{
    (void)offset, (void)length;
    if (name_of(to) || name_of(from)) { errno = EINVAL; return -1; }
    return syscall(SYS_sendfile, to, from, offset, length);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) { return sendfile(to, from, offset, length); }
ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t length, unsigned flags)
{
    if (name_of(to) || name_of(from)) { errno = EXDEV; return -1; }
    return syscall(SYS_copy_file_range, from, a, to, b, length, flags);
}

static ssize_t read_any(int fd, void *data, size_t length, off64_t offset)
{
    MEET(name_of(fd), READ);
    ssize_t done = offset < 0 ? syscall(SYS_read, fd, data, length)
                              : syscall(SYS_pread64, fd, data, length, offset);
    AFTER();
    return done;
}

ssize_t read(int fd, void *data, size_t length) { return read_any(fd, data, length, -1); }
ssize_t pread(int fd, void *data, size_t length, off_t offset) { return read_any(fd, data, length, offset); }
ssize_t pread64(int fd, void *data, size_t length, off64_t offset) { return read_any(fd, data, length, offset); }

#define ON_FD(name, op, parameters, arguments, size) \
    int name parameters \
    { \
        REAL(name); \
        MEET(name_of(fd), op); \
        int result = real arguments; \
        AFTER(); \
        if (!result && name_of(fd)) note(op, fd, 0, size, NULL, NULL, NULL, 0); \
        return result; \
    }

ON_FD(fsync, SYNC, (int fd), (fd), 0)
ON_FD(fdatasync, SYNC, (int fd), (fd), 0)
ON_FD(ftruncate, TRUNCATE, (int fd, off_t size), (fd, size), size)
ON_FD(ftruncate64, TRUNCATE, (int fd, off64_t size), (fd, size), size)

/* Locks are counted and may fail; nothing is recorded of them. */
int flock(int fd, int how)
{
    REAL(flock);
    MEET(name_of(fd), LOCK);
    int result = real(fd, how);
    AFTER();
    return result;
}

static int fcntl_any(int fd, int command, void *argument)
{
    MEET(name_of(fd) && (command == F_SETLK || command == F_SETLKW), LOCK);
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    AFTER();
    return result;
}

#define ARGUMENT va_list list; va_start(list, command); void *argument = va_arg(list, void *); va_end(list);
int fcntl(int fd, int command, ...) { ARGUMENT return fcntl_any(fd, command, argument); }
int fcntl64(int fd, int command, ...) { ARGUMENT return fcntl_any(fd, command, argument); }

static int path_call(int op, int number, int dir, const char *path, int to, const char *target, int flags)
{
    char one[PATH_MAX], two[PATH_MAX];
    const char *mine = ours(dir, path, one), *other = target ? ours(to, target, two) : NULL;
    MEET(mine || other, op);
    int result = op == MKDIR ? (int)syscall(SYS_mkdirat, dir, path, flags)
               : op == UNLINK ? (int)syscall(SYS_unlinkat, dir, path, flags)
               : (int)syscall(number, dir, path, to, target, flags);
    AFTER();
    if (!result && (mine || other))
        note(number == SYS_linkat ? LINK : op, -1, flags, 0, mine ? mine : path, other, NULL, 0);
    return result;
}

int rename(const char *a, const char *b) { return path_call(RENAME, SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int from, const char *a, int to, const char *b) { return path_call(RENAME, SYS_renameat2, from, a, to, b, 0); }
int link(const char *a, const char *b) { return path_call(RENAME, SYS_linkat, AT_FDCWD, a, AT_FDCWD, b, 0); }
int linkat(int from, const char *a, int to, const char *b, int flags) { return path_call(RENAME, SYS_linkat, from, a, to, b, flags); }
int mkdir(const char *path, mode_t mode) { return path_call(MKDIR, 0, AT_FDCWD, path, 0, NULL, (int)mode); }
int mkdirat(int dir, const char *path, mode_t mode) { return path_call(MKDIR, 0, dir, path, 0, NULL, (int)mode); }
int unlink(const char *path) { return path_call(UNLINK, 0, AT_FDCWD, path, 0, NULL, 0); }
int unlinkat(int dir, const char *path, int flags) { return path_call(UNLINK, 0, dir, path, 0, NULL, flags); }
int rmdir(const char *path) { return path_call(UNLINK, 0, AT_FDCWD, path, 0, NULL, AT_REMOVEDIR); }

static void *map_any(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
    int mode = name_of(fd) ? fate(MMAP) : -1;
    if (mode == FAIL || mode == SHORT) { errno = armed_error; return MAP_FAILED; }
    void *result = (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
    AFTER();
    return result;
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) { return map_any(at, length, protection, flags, fd, offset); }
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) { return map_any(at, length, protection, flags, fd, offset); }
