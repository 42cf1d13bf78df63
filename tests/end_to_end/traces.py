import ctypes, os, platform, shutil, struct, subprocess, sys
os.chdir(sys.argv[1])
os.umask(0)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# x86_64, aarch64; None: it has no such call.
NUMBER = {
    "open": (2, None), "creat": (85, None), "mkdir": (83, None), "chmod": (90, None), "mknod": (133, None),
    "fchmod": (91, 52), "openat": (257, 56), "mkdirat": (258, 34), "mknodat": (259, 33), "fchmodat": (268, 53),
    "openat2": (437, 437), "fchmodat2": (452, 452), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "setxattrat": (463, 463), "io_uring_setup": (425, 425),
}
AT, HIGH = ctypes.c_long(-100), 0xDEADBEEF00000000
tried = 0

def call(name, *args):
    number = NUMBER[name][platform.machine() == "aarch64"]
    if number is None:
        return -1
    wide = [a if not isinstance(a, int) else ctypes.c_ulong(a) for a in args]
    return libc.syscall(ctypes.c_long(number), *wide)

def new():
    global tried
    tried += 1
    return b"file%d" % tried

def made():
    path = new()
    with open(path, "wb") as file:
        file.write(b"#!/bin/sh\n")
    return path

for bits in (0o4755, 0o2755, 0o6755):
    for mode in (bits, bits | HIGH):
        call("chmod", made(), mode)
        call("fchmodat", AT, made(), mode)
        call("fchmodat2", AT, made(), mode, 0)
        call("fchmodat2", AT, made(), mode, 0x100)
        with open(made(), "rb") as file:
            call("fchmod", file.fileno(), mode)
            call("fchmodat2", file.fileno(), b"", mode, 0x1000)
        call("creat", new(), mode)
        for create in (os.O_CREAT | os.O_WRONLY, os.O_CREAT | os.O_RDWR | os.O_EXCL):
            call("open", new(), create, mode)
            call("openat", AT, new(), create, mode)
            call("openat", AT, new(), create | HIGH, mode)
        for name, args in (("open", ()), ("openat", (AT,))):
            fd = call(name, *args, b".", os.O_TMPFILE | os.O_RDWR, mode)
            if fd >= 0:
                os.write(fd, b"#!/bin/sh\n")
                try:
                    os.link("/proc/self/fd/%d" % fd, new(), follow_symlinks=True)
                except OSError:
                    pass
                os.close(fd)
        call("mkdir", new(), mode)
        call("mkdirat", AT, new(), mode)
        call("mknod", new(), mode, 0)
        call("mknodat", AT, new(), mode, 0)
        call("mknodat", AT, new(), 0o100000 | mode, 0)
        call("fchmod", 0, mode)
        call("fchmod", 1, mode)
    how = struct.pack("QQQ", os.O_CREAT | os.O_WRONLY, bits, 0)
    call("openat2", AT, new(), how, len(how))
call("chmod", b".", 0o2777)
call("io_uring_setup", 1, ctypes.create_string_buffer(120))
# VFS_CAP_REVISION_2 and _3, effective: CAP_SYS_ADMIN and all others.
v2 = struct.pack("<5I", 0x02000001, 0xFFFFFFFF, 0, 0x1FF, 0)
for value in (v2, struct.pack("<6I", 0x03000001, 0xFFFFFFFF, 0, 0x1FF, 0, 0)):
    name = b"security.capability"
    call("setxattr", made(), name, value, len(value), 0)
    call("lsetxattr", made(), name, value, len(value), 0)
    with open(made(), "rb") as file:
        call("fsetxattr", file.fileno(), name, value, len(value), 0)
        call("fsetxattr", 0, name, value, len(value), 0)
    pointer = ctypes.create_string_buffer(value, len(value))
    args = struct.pack("QII", ctypes.addressof(pointer), len(value), 0)
    call("setxattrat", AT, made(), 0, name, args, len(args))
for source in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/chage", "/usr/bin/wall"):
    if os.path.exists(source):
        subprocess.run(["cp", "-p", source, new()], stderr=subprocess.DEVNULL)
        subprocess.run(["cp", "-a", source, new()], stderr=subprocess.DEVNULL)
print(sum(os.lstat(name).st_mode & 0o6000 != 0 for name in os.listdir(".")))
