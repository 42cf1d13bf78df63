"""Tries what capabilities are good for; prints the names of what undid a wall, and says at the end that it got there."""
import ctypes, os, resource, signal, socket, sys, time

libc = ctypes.CDLL(None, use_errno=True)
machine = os.uname().machine
arm = machine == "aarch64"


def call(number, *arguments):
    """A system call by its number on x86_64 and aarch64; its result, or minus errno."""
    whole = [ctypes.c_long(a) if isinstance(a, int) else a for a in (number[arm], *arguments)]
    result = libc.syscall(*whole)
    return result if result >= 0 else -ctypes.get_errno()


class Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


PTRACE, SETATTR, UMOUNT, MOUNT = (101, 117), (442, 442), (166, 39), (165, 40)
ENOSYS = -38
undone = []


def undoes(name, succeeded):
    if succeeded:
        undone.append(name)


def quietly(function):
    try:
        return function()
    except OSError:
        return None


def init():
    undoes("trace-init", call(PTRACE, 0x4206, 1, 0, 0) == 0)  # PTRACE_SEIZE
    for file in ("maps", "environ", "mem", "auxv"):
        undoes(f"read-init-{file}", quietly(lambda: open(f"/proc/1/{file}", "rb").close() or True))
    undoes("list-init-descriptors", quietly(lambda: os.listdir("/proc/1/fd")))
    undoes("init-root", quietly(lambda: os.listdir("/proc/1/root/")))
    room = ctypes.create_string_buffer(8)
    here, there = Vector(ctypes.addressof(room), 8), Vector(0x1000, 8)
    # EFAULT: it was allowed, and there is nothing at that place.
    result = call((310, 270), 1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    undoes("memory-of-init", result not in (-1, ENOSYS))
    handle = call((434, 434), 1, 0)
    undoes("descriptor-of-init", handle >= 0 and call((438, 438), handle, 0, 0) >= 0)
    undoes("namespaces-of-init", handle >= 0 and call((308, 268), handle, 0x20000) == 0)
    quietly(lambda: os.kill(1, signal.SIGKILL))


def mounts():
    for path in (b"/", b"/ro", b"/usr", b"/proc", b"/tmp"):
        for name, bit in (("ro", 1), ("nosuid", 2), ("nodev", 4), ("noexec", 8)):
            flags = os.statvfs(path).f_flag
            # ST_RDONLY, ST_NOSUID, ST_NODEV and ST_NOEXEC are the same bits.
            if flags & bit:
                change = Attributes(0, bit, 0, 0)
                result = call(SETATTR, -100, path, 0, ctypes.byref(change), 32)
                undoes(f"{name}-of-{path.decode()}", result == 0)
        # MS_REMOUNT | MS_BIND
        undoes(f"remount-{path.decode()}", call(MOUNT, None, path, None, 0x1020, None) == 0 and not os.statvfs(path).f_flag & 2)
    undoes("write-read-only", quietly(lambda: open("/ro/file", "w").close() or True))
    for mask in (b"/proc/keys", b"/proc/kcore", b"/proc/interrupts", b"/proc", b"/ro", b"/usr", b"/"):
        undoes(f"umount-{mask.decode()}", call(UMOUNT, mask, 2) == 0)
    # A copy of what is below a mask, and a procfs without masks.
    undoes("copy-of-masked-proc", call((428, 428), -100, b"/proc", 1) >= 0)  # OPEN_TREE_CLONE
    os.mkdir("/tmp/p")
    undoes("new-proc", call(MOUNT, b"proc", b"/tmp/p", b"proc", 0, None) == 0)
    if os.fork() == 0:
        call((272, 97), 0x20000000)  # CLONE_NEWPID
        if os.fork() == 0:
            os._exit(0 if call(MOUNT, b"proc", b"/tmp/p", b"proc", 0, None) == 0 else 1)
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    undoes("new-proc-of-own-pids", os.wait()[1] == 0)
    call((272, 97), 0x02000000)  # CLONE_NEWCGROUP
    os.mkdir("/tmp/c")
    for kind, data, file in ((b"cgroup2", None, "cgroup.procs"), (b"cgroup", b"pids", "cgroup.procs")):
        if call(MOUNT, b"cgroup", b"/tmp/c", kind, 0, data) == 0:
            undoes("write-control-group", quietly(lambda: open(f"/tmp/c/{file}", "w").close() or True))


def limits():
    for name in ("NOFILE", "CORE", "NPROC", "MEMLOCK", "MSGQUEUE", "SIGPENDING", "RTPRIO", "NICE"):
        number = getattr(resource, f"RLIMIT_{name}", None)
        number = {"NICE": 13, "RTPRIO": 14, "MSGQUEUE": 12, "SIGPENDING": 11}.get(name, number)
        soft, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY:
            try:
                resource.setrlimit(number, (soft, hard + 1))
                # The filter says that it was done where it lets nothing be changed.
                undoes(f"raise-{name}", resource.getrlimit(number) != (soft, hard))
            except (OSError, ValueError):
                pass
    undoes("nice", quietly(lambda: os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1) or True))
    undoes("real-time", quietly(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or True))


def host():
    undoes("other-user", quietly(lambda: os.setresuid(12345, 12345, 12345) or True))
    undoes("other-group", quietly(lambda: os.setresgid(12345, 12345, 12345) or True))
    undoes("give-away", quietly(lambda: os.chown("/tmp", 12345, 12345) or True))
    undoes("device", quietly(lambda: os.mknod("/tmp/null", 0o20666, os.makedev(1, 3)) or True))
    undoes("clock", quietly(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()) or True))
    undoes("kernel-log", call((103, 116), 3, ctypes.create_string_buffer(64), 64) >= 0)
    undoes("module", call((175, 105), None, 0, b"") not in (-1, ENOSYS))
    undoes("bpf", call((321, 280), 11, ctypes.create_string_buffer(128), 128) not in (-1, ENOSYS))
    undoes("accounting", call((163, 89), b"/tmp/accounts") not in (-1, ENOSYS))
    undoes("swap", call((167, 224), b"/tmp/none", 0) not in (-1, ENOSYS))
    undoes("hang-up", call((153, 58)) not in (-1, ENOSYS))
    undoes("fanotify", call((300, 262), 4, 0) >= 0)
    if not arm:
        undoes("ports", call((172, 0), 3) not in (-1, ENOSYS))
    undoes("audit", quietly(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9).bind((0, 1)) or True))


def own():
    """What the capabilities are kept for: still there in the inner user namespace."""
    held = int(open("/proc/self/status").read().split("CapEff:")[1].split()[0], 16)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    socket.create_connection(listener.getsockname(), timeout=5)
    if held >> 10 & 1:  # NET_BIND_SERVICE
        socket.socket().bind(("127.0.0.1", 80))
    if held >> 13 & 1:  # NET_RAW
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    if held >> 21 & 1:  # SYS_ADMIN
        socket.sethostname("another")
        assert call(MOUNT, b"tmpfs", b"/tmp", b"tmpfs", 0, None) == 0
    if held >> 19 & 1:  # SYS_PTRACE
        child = os.fork()
        if child == 0:
            signal.pause()
        assert call(PTRACE, 0x4206, child, 0, 0) == 0
        os.kill(child, signal.SIGKILL)
        os.wait()
    assert call((240, 180), b"queue", os.O_CREAT | os.O_RDWR, 0o600, None) >= 0
    if os.path.isdir("/dev/mqueue"):
        assert os.listdir("/dev/mqueue") == ["queue"], os.listdir("/dev/mqueue")


if sys.argv[1] == "own":
    own()
else:
    init()
    mounts()
    limits()
    host()
    # LINUX_REBOOT_CMD_RESTART: in a pid namespace it ends the init.
    undoes("reboot", call((169, 142), 0xFEE1DEAD, 672274793, 0x1234567, None) not in (-1, ENOSYS))
print(*undone, "done")
