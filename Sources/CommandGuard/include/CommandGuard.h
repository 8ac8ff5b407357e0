// Starts a command below a guard: a process that ends the command when the process that asked for it dies.
//
// The guard is forked from the calling process, adopts what the command leaves behind, and starts the command itself.
// It watches a socket whose other end only the caller has: if the caller dies, by SIGKILL too, the socket is closed and
// the guard kills the command and its descendants. If the guard dies, the kernel kills the command.
//
// What the command runs under, such as a lock, is held until a deadline that the caller moves again and again. If the caller
// does not move it in time, because it is stopped or frozen, the guard ends the command by the deadline.
//
// This is C because the code runs between fork and exec in a process that had several threads: it must not allocate and
// must not take a lock, which Swift code cannot promise.

#ifndef COMMAND_GUARD_H
#define COMMAND_GUARD_H

#include <stdint.h>
#include <sys/types.h>

// What was started.
typedef struct {
    pid_t guard;
    // Orders are written to it, one CommandOrder each; reports are read from it. Closing it kills the command.
    int channel;
    // Where checkpoints are read, without blocking; -1 for none.
    int checkpoints;
} GuardedCommand;

enum {
    // SIGTERM, and SIGKILL after the grace.
    CommandOrderTerminate = 'T',
    CommandOrderKill = 'K',
    CommandOrderStop = 'S',
    CommandOrderContinue = 'C',
    // Moves the deadline.
    CommandOrderDeadline = 'D',
};

// Until when the command may run, in nanoseconds of CLOCK_BOOTTIME, which also counts while the machine is suspended.
typedef struct {
    // SIGTERM.
    int64_t terminate;
    // SIGKILL, also during a grace that would last longer.
    int64_t kill;
} CommandDeadline;

typedef struct {
    int64_t kind;
    CommandDeadline deadline;
} CommandOrder;

enum {
    // The value is the command's process id.
    CommandReportStarted,
    // The command could not be started; the value is the error's number.
    CommandReportRefused,
    // The command has reached its deadline: the guard ends it.
    CommandReportDeadline,
    // The value is the status as waitpid has it. The last report.
    CommandReportEnded,
};

typedef struct {
    int32_t kind;
    int32_t value;
} CommandReport;

// Starts a command. Returns 0 or the error's number.
//
// arguments: The command's name and its arguments; the last pointer is NULL.
// variables: Changes of the environment, "NAME=value" to set and "NAME" to remove; the last pointer is NULL.
// inherited: The descriptors from 3 on that the command keeps, in ascending order.
// checkpointNumber: The number of the descriptor, 3 to 9, to which the command writes its checkpoints; 0 for none.
// grace: The nanoseconds from SIGTERM to SIGKILL.
// deadline: The first deadline.
int startGuardedCommand(char *const *arguments, char *const *variables, const int *inherited, int inheritedCount,
                        int checkpointNumber, int64_t grace, CommandDeadline deadline, GuardedCommand *command);

#endif
