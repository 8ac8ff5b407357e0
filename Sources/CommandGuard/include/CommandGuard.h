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
    // The non-blocking descriptor for reading the lines that the command writes; -1 for none.
    int lines;
} GuardedCommand;

enum {
    // Sends SIGTERM, and SIGKILL after the grace.
    CommandOrderTerminate = 'T',
    CommandOrderKill = 'K',
    CommandOrderStop = 'S',
    CommandOrderContinue = 'C',
    // Sets the deadline.
    CommandOrderDeadline = 'D',
    // Sets the deadline, if there is one in the order, and sends a signal to the command alone unless the deadline has
    // passed.
    CommandOrderSignal = 'G',
    // As CommandOrderTerminate, for a command that has paused: a stopped command is not continued, but killed.
    CommandOrderTerminatePaused = 'P',
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
    // The number of the signal.
    int64_t number;
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

// The descriptors of a command from 3 on.
typedef struct {
    // Those that it inherits, in ascending order.
    const int *inherited;
    int inheritedCount;
    // The number, 3 to 9, to which it writes lines, such as checkpoints; 0 for none.
    int linesNumber;
    // The descriptor of createCommandValidity; -1 for none.
    int validity;
    // The number, 3 to 9, from which it reads the validity.
    int validityNumber;
} CommandDescriptors;

// The validity of a command's grant, which the command reads as a file.
typedef struct {
    // The end of the validity in nanoseconds of CLOCK_BOOTTIME; 0 while the grant is not valid.
    int64_t validUntil;
    int64_t token;
} CommandValidity;

// Creates memory that the caller writes and a command can only read. Returns its descriptor; -1 on failure.
int createCommandValidity(CommandValidity **memory);

// Writes the validity.
void publishCommandValidity(CommandValidity *memory, int64_t validUntil, int64_t token);

void destroyCommandValidity(CommandValidity *memory);

// Starts a command. Returns 0 or the error number.
//
// arguments: The command's name and its arguments; the last pointer is NULL.
// variables: Changes of the environment: "NAME=value" sets a variable, "NAME" removes it; the last pointer is NULL.
// descriptors: The descriptors that the command receives.
// grace: The time from SIGTERM to SIGKILL in nanoseconds.
// deadline: The first deadline.
int startGuardedCommand(char *const *arguments, char *const *variables, CommandDescriptors descriptors, int64_t grace,
                        CommandDeadline deadline, GuardedCommand *command);

#endif
