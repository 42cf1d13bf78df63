/* The program that everything here runs: without a libc, it ends at once; with PAUSE it waits for a signal instead. */
#ifdef PAUSE
#define CALL 34 /* pause */
#else
#define CALL 231 /* exit_group */
#endif
__attribute__((noreturn)) void _start(void)
{
    for (;;)
        __asm__ volatile("syscall" : : "a"(CALL), "D"(0) : "rcx", "r11", "memory");
}
