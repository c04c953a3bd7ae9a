/* Records what a process does to the files below $RECORD_BELOW, in order, into $RECORD_TO: what is written, synced,
 * made, renamed and removed, and the lines on its standard output. Loaded before the C library.
 *
 * An entry: kind (1 byte), lengths of path and data (4 bytes each), offset (8 bytes), path, data. One lock around each
 * call and its entry, so that the order in the record is the order in which things happened. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static const char *below;
static size_t below_length;


static void put_all(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t put = syscall(SYS_write, record, at, length);
        if (put <= 0) abort();
        at += put;
        length -= (size_t)put;
    }
}

static void entry(char kind, const char *path, uint64_t offset, const void *data, size_t length) {
    uint32_t lengths[2] = {(uint32_t)strlen(path), (uint32_t)length};
    put_all(&kind, 1);
    put_all(lengths, sizeof lengths);
    put_all(&offset, sizeof offset);
    put_all(path, lengths[0]);
    put_all(data, length);
}

__attribute__((constructor)) static void start(void) {
    const char *to = getenv("RECORD_TO");
    below = getenv("RECORD_BELOW");
    if (!to || !below) return;
    below_length = strlen(below);
    record = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record < 0) abort();
}

static int is_below(const char *path) {
    return record >= 0 && strncmp(path, below, below_length) == 0;
}

/* The path of an open file, or 0 where it is none of ours. */
static int path_of(int fd, char *path) {
    char link[64];
    if (record < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path) && !strstr(path, " (deleted)");
}

/* The path that a name relative to a directory means. */
static int path_at(int directory, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
    } else {
        char base[PATH_MAX];
        if (directory == AT_FDCWD || !path_of(directory, base)) return 0;
        if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) abort();
    }
    return is_below(path);
}

static int open_recorded(int directory, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    int ours = (flags & (O_CREAT | O_TRUNC)) && path_at(directory, name, path);
    struct stat before;
    int was_there = ours && stat(path, &before) == 0;
    int fd = (int)syscall(SYS_openat, directory, name, flags, mode);
    if (fd >= 0 && ours && !was_there) entry('C', path, 0, "", 0);
    if (fd >= 0 && ours && was_there && (flags & O_TRUNC)) entry('T', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name, directory)                                          \
    va_list rest;                                                      \
    va_start(rest, flags);                                             \
    mode_t mode = (flags & O_CREAT) ? (mode_t)va_arg(rest, int) : 0;   \
    va_end(rest);                                                      \
    return open_recorded(directory, name, flags, mode);

int open(const char *name, int flags, ...) { OPEN(name, AT_FDCWD) }
int open64(const char *name, int flags, ...) { OPEN(name, AT_FDCWD) }
int openat(int directory, const char *name, int flags, ...) { OPEN(name, directory) }
int openat64(int directory, const char *name, int flags, ...) { OPEN(name, directory) }

static ssize_t pwrite_recorded(int fd, const void *data, size_t length, off_t offset) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    ssize_t put = syscall(SYS_pwrite64, fd, data, length, offset);
    if (put > 0 && path_of(fd, path)) entry('W', path, (uint64_t)offset, data, (size_t)put);
    pthread_mutex_unlock(&lock);
    return put;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return pwrite_recorded(fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) {
    return pwrite_recorded(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    ssize_t put = syscall(SYS_write, fd, data, length);
    if (put > 0 && fd == STDOUT_FILENO && record >= 0) {
        entry('O', "", 0, data, (size_t)put);
    } else if (put > 0 && path_of(fd, path)) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        entry('W', path, (uint64_t)(end - put), data, (size_t)put);
    }
    pthread_mutex_unlock(&lock);
    return put;
}

static int truncate_recorded(int fd, off_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0 && path_of(fd, path)) entry('T', path, (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t length) { return truncate_recorded(fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_recorded(fd, length); }

static int sync_recorded(int fd, long number, char kind) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    /* Not done for real: the record is what counts, and it is faster. */
    int result = 0;
    (void)number;
    if (path_of(fd, path)) entry(kind, path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { return sync_recorded(fd, SYS_fsync, 'S'); }
int fdatasync(int fd) { return sync_recorded(fd, SYS_fdatasync, 'D'); }
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    (void)fd, (void)offset, (void)length, (void)flags;
    return 0;
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0 && is_below(from)) entry('R', from, 0, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return result;
}

static int remove_recorded(int directory, const char *name, int flags) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    int ours = path_at(directory, name, path);
    int result = (int)syscall(SYS_unlinkat, directory, name, flags);
    if (result == 0 && ours) entry('U', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *name) { return remove_recorded(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return remove_recorded(AT_FDCWD, name, AT_REMOVEDIR); }
int unlinkat(int directory, const char *name, int flags) {
    return remove_recorded(directory, name, flags);
}

int mkdir(const char *name, mode_t mode) {
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
    if (result == 0 && is_below(name)) entry('M', name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}
