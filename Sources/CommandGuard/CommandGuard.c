#define _GNU_SOURCE
#include "CommandGuard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The command to start.
typedef struct {
    char *const *arguments;
    char *const *environment;
    CommandDescriptors descriptors;
    int64_t grace;
    CommandDeadline deadline;
} Launch;

// The guard's descriptors start above those that a shell can refer to with one digit.
enum { lowestDescriptor = 10 };

// MARK: Descendants

typedef struct {
    char state;
    pid_t parent;
    pid_t group;
} Process;

static bool readProcess(pid_t pid, Process *process) {
    char path[32], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t count = read(file, text, sizeof(text) - 1);
    close(file);
    if (count <= 0) return false;
    text[count] = 0;
    // The process name is in parentheses and may contain any character.
    const char *rest = strrchr(text, ')');
    return rest != NULL && sscanf(rest + 1, " %c %d %d", &process->state, &process->parent, &process->group) == 3;
}

static bool isDescendant(pid_t pid, pid_t ancestor) {
    for (int attempt = 0; attempt < 3; attempt++) {
        Process process;
        pid_t next = pid;
        while (readProcess(next, &process)) {
            if (process.parent == ancestor) return true;
            if (process.parent <= 1) return false;
            next = process.parent;
        }
        // An intermediate process has ended, so its children have another parent now. Try again.
        if (next == pid) return false;
    }
    return false;
}

// Returns whether /proc shows the process IDs of this process's namespace.
static bool hasOwnNumbers(void) {
    char number[16] = {0};
    return readlink("/proc/self", number, sizeof(number) - 1) > 0 && atoi(number) == getpid();
}

// Sends a signal to the command's process group, if it has one, and to all other descendants of this process.
// Returns the number of targets that could be signalled.
static int signalDescendants(pid_t group, int number) {
    int count = 0;
    // Signals the whole group at once, so that no process of the group escapes by forking.
    if (group > 0 && kill(-group, number) == 0) count += 1;
    if (!hasOwnNumbers()) return count;
    int folder = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return count;
    // Not readdir, because it allocates memory.
    static char entries[32768] __attribute__((aligned(8)));
    long size;
    while ((size = syscall(SYS_getdents64, folder, entries, sizeof(entries))) > 0) {
        for (long offset = 0; offset < size;) {
            // An entry consists of an inode, an offset, its length, a type, and the name.
            unsigned short length;
            memcpy(&length, entries + offset + 16, sizeof(length));
            pid_t pid = atoi(entries + offset + 19);
            offset += length;
            Process process;
            if (pid <= 1 || !readProcess(pid, &process) || process.state == 'Z') continue;
            if ((group > 0 && process.group == group) || !isDescendant(pid, getpid())) continue;
            if (kill(pid, number) == 0) count += 1;
        }
    }
    close(folder);
    return count;
}

// MARK: The guard

static void wake(int number) { (void)number; }

static void report(int channel, int32_t kind, int32_t value) {
    CommandReport report = {kind, value};
    send(channel, &report, sizeof(report), MSG_NOSIGNAL);
}

static void closeBetween(int first, int last) {
    if (first > last) return;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
    long limit = sysconf(_SC_OPEN_MAX);
    for (int number = first; number <= last && number < limit; number++) close(number);
}

// Returns the lowest descriptor, not below `first`, that the guard keeps until it has started the command; INT32_MAX for
// none.
static int nextKept(int first, const CommandDescriptors *descriptors, int channel, int lines) {
    int own[] = {channel, lines, descriptors->validity}, next = INT32_MAX;
    for (int index = 0; index < 3; index++) {
        if (own[index] >= first && own[index] < next) next = own[index];
    }
    for (int index = 0; index < descriptors->inheritedCount; index++) {
        int number = descriptors->inherited[index];
        if (number >= first && number < next) next = number;
    }
    return next;
}

// Closes all descriptors from 3 on, except the guard's own and those that the command receives.
static void closeForeign(const CommandDescriptors *descriptors, int channel, int lines) {
    int first = 3, next;
    while ((next = nextKept(first, descriptors, channel, lines)) < INT32_MAX) {
        closeBetween(first, next - 1);
        first = next + 1;
    }
    closeBetween(first, INT32_MAX);
}

static _Noreturn void becomeCommand(const Launch *launch, pid_t guard, int channel, int lines) {
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard) _exit(128 + SIGKILL);
    // The command's process session has no terminal. Reading from one would take input from the foreground process.
    if (isatty(STDIN_FILENO)) {
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (nothing >= 0) dup2(nothing, STDIN_FILENO);
    }
    if (lines >= 0) dup2(lines, launch->descriptors.linesNumber);
    if (launch->descriptors.validity >= 0) dup2(launch->descriptors.validity, launch->descriptors.validityNumber);
    // The command inherits the signal handling of the program's start, except for the signals that this file depends
    // on.
    signal(SIGTERM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(launch->arguments[0], launch->arguments, launch->environment);
    int code = errno;
    report(channel, CommandReportRefused, code);
    _exit(code == ENOENT ? 127 : 126);
}

static const int64_t second = 1000000000;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * second + time.tv_nsec;
}

static int64_t earlier(int64_t one, int64_t other) { return one < other ? one : other; }

// This timer also counts while the machine is suspended, unlike the timeout of ppoll. Setting it clears an expiration.
static void setTimer(int timer, int64_t instant) {
    if (instant < 1) instant = 1;
    struct itimerspec time = {.it_value = {.tv_sec = instant / second, .tv_nsec = instant % second}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &time, NULL);
}

// Waits until the command has ended, executes orders, and ends the command at its deadline. Returns its wait status.
static int guardCommand(pid_t command, int channel, int64_t grace, CommandDeadline deadline) {
    enum { running, ending, killing } phase = running;
    sigset_t none;
    sigemptyset(&none);
    bool hasEnded = false, hasReported = false;
    int result = 0;
    int64_t graceEnd = 0;
    // All descriptors except the channel are closed, so that one is available.
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer < 0) phase = killing;
    while (true) {
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid != command) continue;
            hasEnded = true;
            result = status;
        }
        bool isAlone = pid < 0;
        // If the command ends by itself, its background processes continue.
        if (hasEnded && (isAlone || phase == running)) return result;

        int64_t time = now();
        bool mustTerminate = phase == running && time >= deadline.terminate;
        if (!hasReported && (mustTerminate || (phase != killing && time >= deadline.kill))) {
            hasReported = true;
            report(channel, CommandReportDeadline, 0);
        }
        if (phase != killing && (time >= deadline.kill || (phase == ending && time >= graceEnd))) phase = killing;
        // Descendants that run as another user cannot be signalled.
        if (phase == killing && signalDescendants(hasEnded ? 0 : command, SIGKILL) == 0 && hasEnded) return result;

        CommandOrder order = {0};
        if (mustTerminate && phase == running) {
            order.kind = CommandOrderTerminate;
        } else {
            int64_t next = phase == running ? earlier(deadline.terminate, deadline.kill) : earlier(graceEnd, deadline.kill);
            if (timer >= 0) setTimer(timer, phase == killing ? time + second / 100 : next);
            struct timespec pause = {0, second / 100};
            struct pollfd inputs[] = {{.fd = channel, .events = POLLIN}, {.fd = timer, .events = POLLIN}};
            // SIGCHLD is blocked at all other times, so that the end of a child is never missed.
            if (ppoll(inputs, 2, timer < 0 ? &pause : NULL, &none) <= 0) continue;
            if (inputs[0].revents == 0) continue;
            ssize_t count = recv(channel, &order, sizeof(order), MSG_DONTWAIT);
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (count <= 0) {
                // The program has died.
                channel = -1;
                phase = killing;
            }
        }
        pid_t group = hasEnded ? 0 : command;
        if (order.kind == CommandOrderDeadline) deadline = order.deadline;
        if (order.kind == CommandOrderSignal) {
            if (order.deadline.kill > 0) deadline = order.deadline;
            // A signal that resumes the command must not arrive after the deadline.
            bool isInTime = now() < earlier(deadline.terminate, deadline.kill);
            if (phase == running && !hasEnded && isInTime) kill(command, (int)order.number);
        }
        if (order.kind == CommandOrderKill) phase = killing;
        if (order.kind == CommandOrderStop) signalDescendants(group, SIGSTOP);
        if (order.kind == CommandOrderContinue) signalDescendants(group, SIGCONT);
        if (order.kind == CommandOrderTerminate && phase == running) {
            phase = ending;
            graceEnd = now() + grace;
            signalDescendants(group, SIGTERM);
            // A stopped process could not handle SIGTERM.
            signalDescendants(group, SIGCONT);
        }
        if (order.kind == CommandOrderTerminatePaused && phase == running) {
            // A command that is stopped must not continue, not even to handle SIGTERM.
            Process process;
            bool isStopped = !hasEnded && readProcess(command, &process) && process.state == 'T';
            phase = isStopped ? killing : ending;
            graceEnd = now() + grace;
            if (!isStopped) signalDescendants(group, SIGTERM);
        }
    }
}

static _Noreturn void becomeGuard(const Launch *launch, int channel, int lines) {
    // Leaves the terminal and the program's process group, so that their signals do not reach the guard.
    setsid();
    prctl(PR_SET_NAME, "command-guard");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    // SIGCHLD must not be ignored; otherwise, the end of a child would not be reported.
    struct sigaction action = {.sa_handler = wake};
    sigaction(SIGCHLD, &action, NULL);
    closeForeign(&launch->descriptors, channel, lines);
    pid_t guard = getpid();
    char order;
    // The program has already died.
    if (recv(channel, &order, 1, MSG_DONTWAIT | MSG_PEEK) == 0) _exit(0);
    pid_t command = fork();
    if (command == 0) becomeCommand(launch, guard, channel, lines);
    if (command < 0) {
        report(channel, CommandReportRefused, errno);
        report(channel, CommandReportEnded, 126 << 8);
        _exit(0);
    }
    // Closes the command's output, so that its readers do not wait for the guard.
    closeBetween(0, channel - 1);
    closeBetween(channel + 1, INT32_MAX);
    // The guard must not wait for a page from the disk at the deadline. This fails without the right to lock so much
    // memory. Only pages in use are locked, because most of the program's are not.
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    report(channel, CommandReportStarted, command);
    report(channel, CommandReportEnded, guardCommand(command, channel, launch->grace, launch->deadline));
    _exit(0);
}

// MARK: The program

extern char **environ;

static bool namesVariable(const char *entry, char *const *variables) {
    size_t length = strcspn(entry, "=");
    for (; *variables != NULL; variables++) {
        if (strcspn(*variables, "=") == length && strncmp(entry, *variables, length) == 0) return true;
    }
    return false;
}

// Returns this process's environment with the changes, without altering any bytes; NULL if there is no memory.
static char **changedEnvironment(char *const *variables) {
    size_t count = 1;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) count++;
    for (char *const *entry = variables; *entry != NULL; entry++) count++;
    char **result = calloc(count, sizeof(char *)), **end = result;
    if (result == NULL) return NULL;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        if (!namesVariable(*entry, variables)) *end++ = *entry;
    }
    for (char *const *entry = variables; *entry != NULL; entry++) {
        if (strchr(*entry, '=') != NULL) *end++ = *entry;
    }
    return result;
}

static void closeIfOpen(int descriptor) {
    if (descriptor >= 0) close(descriptor);
}

// Moves a descriptor above those of the command; returns -1 on failure.
static int moved(int descriptor) {
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, lowestDescriptor);
    int code = errno;
    close(descriptor);
    errno = code;
    return copy;
}

int createCommandValidity(CommandValidity **memory) {
    int file = memfd_create("validity", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0 || (file = moved(file)) < 0) return -1;
    *memory = MAP_FAILED;
    if (ftruncate(file, sizeof(CommandValidity)) == 0) {
        *memory = mmap(NULL, sizeof(CommandValidity), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (*memory == MAP_FAILED) {
        close(file);
        return -1;
    }
    int seals = F_SEAL_GROW | F_SEAL_SHRINK;
#ifdef F_SEAL_FUTURE_WRITE
    seals |= F_SEAL_FUTURE_WRITE;
#endif
    fcntl(file, F_ADD_SEALS, seals);
    return file;
}

void publishCommandValidity(CommandValidity *memory, int64_t validUntil, int64_t token) {
    __atomic_store_n(&memory->token, token, __ATOMIC_SEQ_CST);
    __atomic_store_n(&memory->validUntil, validUntil, __ATOMIC_SEQ_CST);
}

void destroyCommandValidity(CommandValidity *memory) { munmap(memory, sizeof(CommandValidity)); }

int startGuardedCommand(char *const *arguments, char *const *variables, CommandDescriptors descriptors, int64_t grace,
                        CommandDeadline deadline, GuardedCommand *command) {
    int channel[2] = {-1, -1}, pipes[2] = {-1, -1}, code = 0;
    char **environment = changedEnvironment(variables);
    if (environment == NULL) return ENOMEM;
    const Launch launch = {arguments, environment, descriptors, grace, deadline};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0) {
        code = errno;
        goto failed;
    }
    if (descriptors.linesNumber > 0 && pipe2(pipes, O_CLOEXEC) != 0) {
        code = errno;
        goto failed;
    }
    if (pipes[0] >= 0) fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    if ((channel[1] = moved(channel[1])) < 0 || (pipes[1] >= 0 && (pipes[1] = moved(pipes[1])) < 0)) {
        code = errno;
        goto failed;
    }
    // The guard starts with all signals blocked, because it is still in the program's process group.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t guard = fork();
    if (guard == 0) becomeGuard(&launch, channel[1], pipes[1]);
    code = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (guard < 0) goto failed;
    close(channel[1]);
    closeIfOpen(pipes[1]);
    free(environment);
    *command = (GuardedCommand){.guard = guard, .channel = channel[0], .lines = pipes[0]};
    return 0;

failed:
    for (int end = 0; end < 2; end++) {
        closeIfOpen(channel[end]);
        closeIfOpen(pipes[end]);
    }
    free(environment);
    return code;
}
