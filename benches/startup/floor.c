/*
 * The floor: what the kernel itself charges for the walls that belljar's `strict` builds, in the leanest order that is known.
 *
 * One clone with seven new namespaces, a root of its own, a PID 1 that reaps, a task without privileges below a filter. No libc, no
 * allocation, no re-execution, no parsing, and nothing is read back: it is a yardstick, not a sandbox (PID 1 shares this memory).
 *
 *   floor FILTER DIRECTORY PROGRAM [ARG]...
 *
 * FILTER is a file with an array of struct sock_filter, or "none"; DIRECTORY is shown as /job.
 *
 * As root the task gets host id 1879048192, else the caller's own. Exit status: the program's, 125 for a failure (with a line).
 * x86-64 only.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/stat.h>
#include <sys/syscall.h>

#define MS_BITS_RDONLY 1UL
#define MS_BITS_NOSUID 2UL
#define MS_BITS_NODEV 4UL
#define MS_BITS_NOEXEC 8UL
#define MS_BITS_REMOUNT 32UL
#define MS_BITS_BIND 4096UL
#define MS_BITS_REC 16384UL
#define MS_BITS_PRIVATE (1UL << 18)
#define DETACH 2
#define OUTSIDE "1879048192"
#define INSIDE "1000"

static long call(long n, long a, long b, long c, long d, long e)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
}
#define CALL5(n, a, b, c, d, e, ...) call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define SYS(...) CALL5(__VA_ARGS__, 0, 0, 0, 0, 0)

static unsigned long length(const char *s)
{
    unsigned long n = 0;
    while (s[n])
        n++;
    return n;
}

static __attribute__((noreturn)) void fail(const char *what, long error)
{
    char number[24], *p = number + sizeof number;
    unsigned long n = (unsigned long)(error < 0 ? -error : error);
    *--p = '\n';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    SYS(SYS_write, 2, "floor: ", 7);
    SYS(SYS_write, 2, what, length(what));
    SYS(SYS_write, 2, ": errno ", 8);
    SYS(SYS_write, 2, p, number + sizeof number - p);
    for (;;)
        SYS(SYS_exit_group, 125);
}
#define CHECK(what, ...)                  \
    ({                                    \
        long r_ = SYS(__VA_ARGS__);       \
        if (r_ < 0)                       \
            fail(what, r_);               \
        r_;                               \
    })

/* Starts entry() on a stack of its own in this memory. */
static long start(struct clone_args *args, void (*entry)(void))
{
    long r;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%[entry]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(r)
                     : "a"(SYS_clone3), "D"(args), "S"(sizeof *args), [entry] "r"(entry)
                     : "rcx", "r11", "memory");
    return r;
}

static char init_stack[16384] __attribute__((aligned(16)));
static char task_stack[16384] __attribute__((aligned(16)));
static struct sock_filter instructions[4096];
static struct sock_fprog filter;
static int go[2];
static int as_root;
static const char *directory;
static char **program;
static char **environment;

static void place(const char *path, const char *text)
{
    long fd = CHECK(path, SYS_open, path, O_WRONLY | O_CLOEXEC);
    CHECK(path, SYS_write, fd, text, length(text));
    SYS(SYS_close, fd);
}

static char *put(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    *at = 0;
    return at;
}

static char *put_number(char *at, unsigned long n)
{
    char digits[24], *p = digits + sizeof digits;
    *--p = 0;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    return put(at, p);
}

/* A host's directory as it is, read-only. */
static void show(const char *source, const char *target)
{
    CHECK("mkdir", SYS_mkdir, target, 0755);
    CHECK("bind", SYS_mount, source, target, 0, MS_BITS_BIND | MS_BITS_REC);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    CHECK("mount_setattr", SYS_mount_setattr, AT_FDCWD, target, 0x8000 /* AT_RECURSIVE */, &attributes, sizeof attributes);
}

static void build_root(void)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const links[] = {"bin", "sbin", "lib", "lib64"};
    CHECK("private", SYS_mount, 0, "/", 0, MS_BITS_REC | MS_BITS_PRIVATE, 0);
    /* Over the old root, which paths still start at; ".." goes up to what is mounted there. */
    CHECK("root", SYS_mount, "tmpfs", "/", "tmpfs", MS_BITS_NOSUID | MS_BITS_NODEV, "size=1m,nr_inodes=1024,mode=755");
    CHECK("chdir", SYS_chdir, "/..");
    show("/usr", "usr");
    show(directory, "job");
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        char target[16];
        put(put(target, "usr/"), links[i]);
        CHECK("symlink", SYS_symlink, target, links[i]);
    }
    CHECK("mkdir", SYS_mkdir, "proc", 0755);
    CHECK("proc", SYS_mount, "proc", "proc", "proc", MS_BITS_NOSUID | MS_BITS_NODEV | MS_BITS_NOEXEC, "subset=pid");
    CHECK("mkdir", SYS_mkdir, "dev", 0755);
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        char source[16], *target = source + 1;
        put(put(source, "/dev/"), nodes[i]);
        SYS(SYS_close, CHECK("node", SYS_open, target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
        CHECK("node", SYS_mount, source, target, 0, MS_BITS_BIND);
    }
    CHECK("mkdir", SYS_mkdir, "dev/shm", 01777);
    CHECK("shm", SYS_mount, "tmpfs", "dev/shm", "tmpfs", MS_BITS_NOSUID | MS_BITS_NODEV | MS_BITS_NOEXEC, "size=64m,mode=1777");
    CHECK("mkdir", SYS_mkdir, "dev/pts", 0755);
    CHECK("devpts", SYS_mount, "devpts", "dev/pts", "devpts", MS_BITS_NOSUID | MS_BITS_NOEXEC, "newinstance,ptmxmode=0666,mode=620");
    CHECK("mkdir", SYS_mkdir, "tmp", 01777);
    CHECK("tmp", SYS_mount, "tmpfs", "tmp", "tmpfs", MS_BITS_NOSUID | MS_BITS_NODEV | MS_BITS_NOEXEC, "size=64m,nr_inodes=4096,mode=1777");
    CHECK("remount", SYS_mount, 0, ".", 0, MS_BITS_REMOUNT | MS_BITS_BIND | MS_BITS_RDONLY | MS_BITS_NOSUID | MS_BITS_NODEV, 0);
    CHECK("pivot_root", SYS_pivot_root, ".", ".");
    CHECK("umount2", SYS_umount2, ".", DETACH);
    CHECK("chdir", SYS_chdir, "/tmp");
}

static void task(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    CHECK("setsid", SYS_setsid);
    CHECK("securebits", SYS_prctl, PR_SET_SECUREBITS,
          SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED);
    CHECK("capset", SYS_capset, &header, none);
    CHECK("no_new_privs", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (filter.len)
        CHECK("seccomp", SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
    fail(program[0], SYS(SYS_execve, program[0], program, environment));
}

static void init(void)
{
    char byte;
    CHECK("death signal", SYS_prctl, PR_SET_PDEATHSIG, 9);
    if (CHECK("read", SYS_read, go[0], &byte, 1) != 1)
        fail("sync", 0);
    if (as_root)
        CHECK("setgroups", SYS_setgroups, 0, 0);
    CHECK("setresgid", SYS_setresgid, 1000, 1000, 1000);
    /* The capabilities are wanted for a while longer. */
    CHECK("securebits", SYS_prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
    CHECK("setresuid", SYS_setresuid, 1000, 1000, 1000);
    CHECK("death signal", SYS_prctl, PR_SET_PDEATHSIG, 9);
    CHECK("sethostname", SYS_sethostname, "floor", 5);
    struct ifreq loopback = {.ifr_name = "lo"};
    long fd = CHECK("socket", SYS_socket, 2 /* AF_INET */, 2 | 02000000, 0);
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    CHECK("loopback", SYS_ioctl, fd, 0x8914 /* SIOCSIFFLAGS */, &loopback);
    SYS(SYS_close, fd);
    build_root();

    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
        .pidfd = (unsigned long)&pidfd,
        .exit_signal = 17,
        .stack = (unsigned long)task_stack,
        .stack_size = sizeof task_stack,
    };
    long pid = start(&args, task);
    if (pid < 0)
        fail("clone3 of the task", pid);
    for (;;) {
        int status = 0;
        long waited = SYS(SYS_wait4, -1, &status, 0, 0);
        if (waited == pid)
            for (;;)
                SYS(SYS_exit_group, status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff);
        if (waited < 0 && waited != -4)
            fail("wait4", waited);
    }
}

static __attribute__((noreturn, used)) void run(long *stack)
{
    char **argv = (char **)(stack + 1);
    environment = argv + stack[0] + 1;
    if (stack[0] < 4)
        fail("usage: floor FILTER|none DIRECTORY PROGRAM [ARG]...", 0);
    directory = argv[2];
    program = argv + 3;
    if (argv[1][0] == '/') {
        long fd = CHECK("filter", SYS_open, argv[1], O_RDONLY | O_CLOEXEC);
        filter.len = (unsigned short)(CHECK("filter", SYS_read, fd, instructions, sizeof instructions) / sizeof *instructions);
        filter.filter = instructions;
        SYS(SYS_close, fd);
    }
    long uid = SYS(SYS_geteuid), gid = SYS(SYS_getegid);
    as_root = uid == 0;
    CHECK("pipe2", SYS_pipe2, go, O_CLOEXEC);

    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET |
                 CLONE_NEWCGROUP,
        .pidfd = (unsigned long)&pidfd,
        .exit_signal = 17,
        .stack = (unsigned long)init_stack,
        .stack_size = sizeof init_stack,
    };
    long pid = start(&args, init);
    if (pid < 0)
        fail("clone3", pid);

    char path[64], map[64], *name = put(put_number(put(path, "/proc/"), (unsigned long)pid), "/");
    if (!as_root) {
        put(name, "setgroups");
        place(path, "deny");
    }
    put(name, "uid_map");
    put(as_root ? put(put(map, INSIDE " "), OUTSIDE) : put_number(put(map, INSIDE " "), (unsigned long)uid), " 1");
    place(path, map);
    put(name, "gid_map");
    put(as_root ? put(put(map, INSIDE " "), OUTSIDE) : put_number(put(map, INSIDE " "), (unsigned long)gid), " 1");
    place(path, map);
    CHECK("sync", SYS_write, go[1], "", 1);

    int status = 0;
    CHECK("wait4", SYS_wait4, pid, &status, 0, 0);
    for (;;)
        SYS(SYS_exit_group, status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff);
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");
