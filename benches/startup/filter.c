/*
 * What a system-call filter costs: to load it, and at each call below it.
 *
 *   filter load|call FILTER       FILTER: an array of struct sock_filter, or "none"
 *
 * For each byte on standard input a child loads the filter; the answer is 8 bytes: the nanoseconds that loading took, or those of
 * 1,000 calls of getppid(2), which every filter here allows with any arguments.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct sock_filter instructions[4096];
    struct sock_fprog program = {0, instructions};
    char byte;
    if (argc != 3)
        return 2;
    if (strcmp(argv[2], "none") != 0) {
        int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, instructions, sizeof instructions);
        if (length <= 0) {
            perror(argv[2]);
            return 1;
        }
        program.len = (unsigned short)(length / (ssize_t)sizeof *instructions);
    }
    while (read(0, &byte, 1) == 1) {
        int ends[2];
        uint64_t took = 0;
        if (pipe(ends) != 0)
            return 1;
        pid_t pid = fork();
        if (pid == 0) {
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
                _exit(1);
            uint64_t before = now();
            if (program.len && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
                _exit(1);
            if (strcmp(argv[1], "call") == 0) {
                before = now();
                for (int i = 0; i < 1000; i++)
                    syscall(SYS_getppid);
            }
            took = now() - before;
            _exit(write(ends[1], &took, sizeof took) != sizeof took);
        }
        close(ends[1]);
        if (pid < 0 || read(ends[0], &took, sizeof took) != sizeof took || waitpid(pid, NULL, 0) != pid)
            return 1;
        close(ends[0]);
        if (write(1, &took, sizeof took) != sizeof took)
            return 1;
    }
    return 0;
}
