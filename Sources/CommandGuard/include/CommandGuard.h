// Starts a command with a guard: a process that ends the command if the calling process dies.
//
// The guard is forked from the calling process, becomes the parent of orphaned descendants, and starts the command
// itself. It watches a socket whose other end only the caller has. If the caller dies, even by SIGKILL, the socket is
// closed, and the guard kills the command and its descendants. If the guard dies, the kernel kills the command.
//
// The grant of the command, such as a lock, is valid until a deadline that the caller extends repeatedly. If the caller
// does not extend it in time, because it is stopped or frozen, the guard ends the command at the deadline.
//
// This is C because the code runs between fork and exec in a process that had several threads: it must not allocate
// memory and must not take a lock, which Swift code cannot guarantee.

#ifndef COMMAND_GUARD_H
#define COMMAND_GUARD_H

#include <stdint.h>
#include <sys/types.h>

// A started command.
typedef struct {
    pid_t guard;
    // The socket for sending orders, one CommandOrder each, and receiving reports. Closing it kills the command.
    int channel;
    // The non-blocking descriptor for reading checkpoints; -1 for none.
    int checkpoints;
} GuardedCommand;

enum {
    // Sends SIGTERM, and SIGKILL after the grace.
    CommandOrderTerminate = 'T',
    CommandOrderKill = 'K',
    CommandOrderStop = 'S',
    CommandOrderContinue = 'C',
    // Sets the deadline.
    CommandOrderDeadline = 'D',
};

// The instants at which the guard ends the command, in nanoseconds of CLOCK_BOOTTIME, which also counts during a
// suspend.
typedef struct {
    // The instant of SIGTERM.
    int64_t terminate;
    // The instant of SIGKILL, which also ends a grace that would last longer.
    int64_t kill;
} CommandDeadline;

typedef struct {
    int64_t kind;
    CommandDeadline deadline;
} CommandOrder;

enum {
    // The value is the process ID of the command.
    CommandReportStarted,
    // The command could not be started; the value is the error number.
    CommandReportRefused,
    // The command has reached its deadline, and the guard ends it.
    CommandReportDeadline,
    // The command has ended; the value is the status of waitpid. This is the last report.
    CommandReportEnded,
};

typedef struct {
    int32_t kind;
    int32_t value;
} CommandReport;

// Starts a command. Returns 0 or the error number.
//
// arguments: The command's name and its arguments; the last pointer is NULL.
// variables: Changes of the environment: "NAME=value" sets a variable, "NAME" removes it; the last pointer is NULL.
// inherited: The descriptors from 3 on that the command inherits, in ascending order.
// checkpointNumber: The descriptor, 3 to 9, to which the command writes checkpoints; 0 for none.
// grace: The time from SIGTERM to SIGKILL in nanoseconds.
// deadline: The first deadline.
int startGuardedCommand(char *const *arguments, char *const *variables, const int *inherited, int inheritedCount,
                        int checkpointNumber, int64_t grace, CommandDeadline deadline, GuardedCommand *command);

#endif
