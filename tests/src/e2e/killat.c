/* killat: runs a program and kills it (-9) right before the n-th of its calls that touch something others can see.
 *
 *   killat [-n N | -q FILE] [-w FILE] [-p TEXT]... [-t FILE] -- PROGRAM ARGUMENT...
 *
 *   -n N     kill before the N-th call; 0: never
 *   -q FILE  take N from FILE and remove it; where it is absent, the program runs without a tracer
 *   -w FILE  count only while FILE exists
 *   -p TEXT  count only calls on paths that hold TEXT, and calls that start, signal or reap processes
 *   -t FILE  append a line for every call that counts; the one that was not made is marked "killed"
 *
 * The program keeps the pid and the parent that this tool was started with: the tracer is a process apart, without any
 * descriptor of the program's. Threads are followed, child processes are not. A killed call is not made.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

long ptrace(int request, ...);

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

/* What of a call tells where it acts: a path, a descriptor, on other processes, or on the caller alone. */
enum { OWN, PATH0 = 1, PATH1 = 2, PATH3 = 4, FD0 = 8, START = 16, START3 = 32, OTHERS = 64 };

static const struct { long number; const char *name; int where; } CALLS[] = {
#define CALL(name, where) { SYS_##name, #name, where },
#ifdef SYS_open
    CALL(open, PATH0) CALL(creat, PATH0) CALL(mkdir, PATH0) CALL(rmdir, PATH0) CALL(unlink, PATH0)
    CALL(rename, PATH0 | PATH1) CALL(link, PATH0 | PATH1) CALL(chmod, PATH0) CALL(dup2, OWN) CALL(poll, OWN)
    CALL(fork, OTHERS) CALL(vfork, OTHERS) CALL(pipe, OWN)
#endif
    CALL(openat, PATH1) CALL(mkdirat, PATH1) CALL(unlinkat, PATH1) CALL(renameat, PATH1 | PATH3)
    CALL(renameat2, PATH1 | PATH3) CALL(linkat, PATH1 | PATH3) CALL(fchmodat, PATH1)
    CALL(fsync, FD0) CALL(fdatasync, FD0) CALL(sync_file_range, FD0) CALL(ftruncate, FD0) CALL(fallocate, FD0)
    CALL(flock, FD0) CALL(write, FD0) CALL(pwrite64, FD0) CALL(writev, FD0) CALL(pwritev, FD0) CALL(fchmod, FD0)
    CALL(clone, START) CALL(clone3, START3) CALL(pidfd_open, OTHERS) CALL(pidfd_send_signal, OTHERS)
    CALL(kill, OTHERS) CALL(waitid, OTHERS) CALL(setsid, OWN) CALL(prctl, OWN) CALL(chdir, PATH0)
    CALL(signalfd4, OWN) CALL(dup3, OWN) CALL(ppoll, OWN) CALL(pipe2, OWN)
    CALL(exit_group, OWN)
};

enum { TEXTS = 8, LENGTH = 4096 };

static const char *texts[TEXTS], *wait_file, *trace_file;
static int text_count, trace = -1;
static long wanted, counted;

static void fail(const char *what) {
    fprintf(stderr, "killat: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void tell(const char *format, ...) {
    if (trace < 0) return;
    char line[3 * LENGTH];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line) length = sizeof line;
    if (write(trace, line, length) != length) fail("the trace");
}

/* The text at an address of the program; empty where there is none. */
static void text_at(pid_t pid, uint64_t address, char *text) {
    size_t length = 0;
    while (length < LENGTH - 1) {
        size_t part = 256 - address % 256;
        if (part > LENGTH - 1 - length) part = LENGTH - 1 - length;
        struct iovec here = { text + length, part }, there = { (void *)(uintptr_t)address, part };
        ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);
        if (got <= 0) break;
        char *end = memchr(text + length, 0, got);
        if (end) return;
        length += got;
        address += got;
    }
    text[length] = 0;
}

static void descriptor(pid_t pid, uint64_t fd, char *text) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, (int)fd);
    ssize_t length = readlink(link, text, LENGTH - 1);
    text[length < 0 ? 0 : length] = 0;
}

static int among(const char *path) {
    for (int i = 0; i < text_count; i++)
        if (strstr(path, texts[i])) return 1;
    return 0;
}

/* Kills the program if this call is the one. */
static void entry(pid_t thread) {
    struct ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    size_t at = 0;
    while (at < sizeof CALLS / sizeof *CALLS && CALLS[at].number != (long)info.entry.nr) at++;
    if (at == sizeof CALLS / sizeof *CALLS) return;
    int where = CALLS[at].where;
    uint64_t *arguments = (uint64_t *)info.entry.args;
    char one[LENGTH] = "", two[LENGTH] = "";
    if (where & (START | START3)) {
        uint64_t flags = arguments[0];
        if (where & START3) {
            struct iovec here = { &flags, sizeof flags }, there = { (void *)(uintptr_t)arguments[0], sizeof flags };
            if (process_vm_readv(thread, &here, 1, &there, 1, 0) != sizeof flags) return;
        }
        if (flags & CLONE_THREAD) return;
    }
    /* To open for reading changes nothing: the next call is as good. */
    int flags = O_CREAT;
    if (CALLS[at].number == SYS_openat) flags = arguments[2];
#ifdef SYS_open
    if (CALLS[at].number == SYS_open) flags = arguments[1];
#endif
    if (!(flags & (O_ACCMODE | O_CREAT))) return;
    if (where & PATH0) text_at(thread, arguments[0], one);
    if (where & PATH1) text_at(thread, arguments[1], where & PATH0 ? two : one);
    if (where & PATH3) text_at(thread, arguments[3], two);
    if (where & FD0) descriptor(thread, arguments[0], one);
    if (!strncmp(one, "/proc/", 6)) return;
    if (text_count && !(where & (START | START3 | OTHERS)) && !among(one) && !among(two)) return;
    if (wait_file && access(wait_file, F_OK)) return;
    counted++;
    int now = counted == wanted;
    tell("%ld %s %s %s%s\n", counted, CALLS[at].name, one, two, now ? " killed" : "");
    if (!now) return;
    /* Let go of it first: the end of a program that is traced is told to its tracer before its parent may know it. */
    ptrace(PTRACE_DETACH, thread, 0, SIGKILL);
    _exit(0);
}

static void follow(pid_t program) {
    for (;;) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR) continue;
        if (thread < 0) return;
        if (!WIFSTOPPED(status)) {
            if (thread == program) return;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16, pass = 0;
        if (signal == (SIGTRAP | 0x80)) {
            entry(thread);
        } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
            /* A stop of the whole group: it stays stopped until it is told to go on. */
            ptrace(PTRACE_LISTEN, thread, 0, 0);
            continue;
        } else if (!event) {
            pass = signal;
        }
        /* It may have been killed meanwhile: then its end comes next. */
        ptrace(PTRACE_SYSCALL, thread, 0, pass);
    }
}

static void take(const char *file) {
    char text[32] = "", mine[LENGTH];
    snprintf(mine, sizeof mine, "%s.%d", file, getpid());
    if (rename(file, mine)) return;
    int fd = open(mine, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail(mine);
    close(fd);
    unlink(mine);
    wanted = atol(text);
}

int main(int argc, char **argv) {
    int option, queue = 0;
    while ((option = getopt(argc, argv, "+n:q:w:p:t:")) != -1) {
        switch (option) {
        case 'n': wanted = atol(optarg); break;
        case 'q': wanted = -1; take(optarg); queue = 1; break;
        case 'w': wait_file = optarg; break;
        case 'p': if (text_count < TEXTS) texts[text_count++] = optarg; break;
        case 't': trace_file = optarg; break;
        default: return 99;
        }
    }
    char **program = argv + optind;
    if (!*program) return 99;
    if (queue && wanted < 0) {
        execv(*program, program);
        fail(*program);
    }
    int ready[2], seized[2];
    if (pipe(ready) || pipe(seized)) fail("pipe");
    pid_t own = getpid(), between = fork();
    if (between < 0) fail("fork");
    if (!between) {
        /* The tracer is nobody's child, so that the program does not meet it as one of its own. */
        if (fork()) _exit(0);
        setsid();
        char go;
        close(ready[1]);
        if (read(ready[0], &go, 1) != 1) _exit(99);
        long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
        if (ptrace(PTRACE_SEIZE, own, 0, options) || ptrace(PTRACE_INTERRUPT, own, 0, 0)) _exit(99);
        if (trace_file) trace = open(trace_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (write(seized[1], "", 1) != 1) _exit(99);
        if (trace >= 0 && trace != 3) { dup2(trace, 3); trace = 3; }
        close(0); close(1); close(2);
        syscall(SYS_close_range, trace < 0 ? 3 : 4, ~0U, 0);
        follow(own);
        _exit(0);
    }
    char go;
    waitpid(between, NULL, 0);
#ifdef PR_SET_PTRACER
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
#endif
    close(seized[1]);
    if (write(ready[1], "", 1) != 1 || read(seized[0], &go, 1) != 1) { errno = EPERM; fail("tracing"); }
    close(ready[0]); close(ready[1]); close(seized[0]);
    execv(*program, program);
    fail(*program);
}
