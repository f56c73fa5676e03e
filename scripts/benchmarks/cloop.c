/* The baseline of every ratio: posix_spawn a program, wait for it, again; nothing is kept of it.
   Prints seconds of wall, and of CPU: of the programs and of the loop itself. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv)
{
    char *command[] = {"/bin/true", NULL};
    struct timespec begin, end;
    struct rusage used, own;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int left = argc > 1 ? atoi(argv[1]) : 500; left > 0; left--) {
        pid_t pid;
        int status;
        if (posix_spawn(&pid, command[0], NULL, NULL, command, environ) != 0)
            return 1;
        if (waitpid(pid, &status, 0) < 0 || status != 0)
            return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    getrusage(RUSAGE_CHILDREN, &used);
    getrusage(RUSAGE_SELF, &own);
    timeradd(&used.ru_utime, &own.ru_utime, &used.ru_utime);
    timeradd(&used.ru_stime, &own.ru_stime, &used.ru_stime);
    printf("%.6f %.6f\n", (end.tv_sec - begin.tv_sec) + (end.tv_nsec - begin.tv_nsec) / 1e9,
           used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
