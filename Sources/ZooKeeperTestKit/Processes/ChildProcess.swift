import Glibc
import Synchronization
import SystemSupport

/// A child process that ends with this process, however this process ends.
///
/// The process is a direct child, so its ID is known from the start and signals reach only this process. A shell starts
/// the program with `exec`, after it has forked a second shell. The second shell reads from a pipe whose other end only
/// this process holds open. When this process ends, even by SIGKILL, the pipe is closed. The second shell then kills
/// the child and removes its folder. The parent-death signal of the kernel is not suitable, because it is sent when the
/// *thread* that forked ends.
final class ChildProcess: Sendable {
    /// The program to start and its environment.
    struct Launch: Sendable {
        /// The path of the program.
        var executable: String
        /// The arguments after the program's name.
        var arguments: [String]
        /// The variables that are added to the environment of this process.
        var environment: [String: String] = [:]
        /// A folder that is removed if this process dies before the child; empty for none.
        var folder = ""
        /// The descriptor for standard input, or `nil` for an empty input.
        var standardInput: Int32?
        /// The descriptors for standard output and error; the caller closes its own copies.
        var standardOutput: Int32
        var standardError: Int32
    }

    /// The process ID, valid until the end of the process has been observed.
    let id: pid_t

    private let lifeline: Int32
    private let ended = Observed<ExitStatus?>(nil)
    private let reaped = Mutex(false)

    private init(id: pid_t, lifeline: Int32) {
        self.id = id
        self.lifeline = lifeline
    }

    /// Starts a process.
    ///
    /// - Throws: ``TestKitError`` with code `.system` if the operating system refuses.
    static func spawn(_ launch: Launch) throws -> ChildProcess {
        var ends: [Int32] = [-1, -1]
        // A socket pair, because a pipe cannot be created close-on-exec in one step here. A copy of this end in another
        // process would keep the child alive.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw TestKitError.system("socketpair") }
        defer { close(ends[0]) }
        do {
            let id = try SpawnRequest(launch: launch, lifeline: ends[0]).run()
            let child = ChildProcess(id: id, lifeline: ends[1])
            detachThread { child.awaitEnd() }
            return child
        } catch {
            close(ends[1])
            throw error
        }
    }

    /// The exit status, or `nil` while the process is running.
    var exitStatus: ExitStatus? { self.ended.current }

    /// Sends a signal.
    ///
    /// Returns `false` if the process has already ended.
    @discardableResult
    func send(_ signal: Int32) -> Bool {
        // Under the lock the process cannot be reaped, so its ID cannot belong to another process.
        self.reaped.withLock { reaped in !reaped && Glibc.kill(self.id, signal) == 0 }
    }

    /// Stops the process with SIGSTOP, and returns when none of its threads is running any more.
    ///
    /// When `kill` returns, the signal is only pending. On a busy machine, a thread still runs for a moment. Waiting
    /// for the last thread takes microseconds, so this method may block.
    ///
    /// Returns `false` if the process has already ended.
    func freeze() -> Bool {
        // Under the lock, no other thread resumes the process before it has been seen to stop.
        self.reaped.withLock { reaped in
            guard !reaped, Glibc.kill(self.id, SIGSTOP) == 0 else { return false }
            var information = siginfo_t()
            while waitid(P_PID, id_t(self.id), &information, WSTOPPED | WEXITED | WNOWAIT) != 0 {
                guard errno == EINTR else { return false }
            }
            return information.si_code == CLD_STOPPED
        }
    }

    /// Waits for the end of a process that has been killed, even in a cancelled task.
    func end() async -> ExitStatus {
        await self.ended.firstIgnoringCancellation { $0 }
    }

    /// Waits for the end of the process.
    ///
    /// - Throws: `CancellationError` if the calling task is cancelled.
    func waitForEnd() async throws -> ExitStatus {
        try await self.ended.first { $0 }
    }

    private func awaitEnd() {
        var information = siginfo_t()
        while waitid(P_PID, id_t(self.id), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
        // Tells the shell that there is no process to kill any more, before the ID can be reused.
        _ = Glibc.send(self.lifeline, [UInt8(ascii: "\n")], 1, Int32(MSG_NOSIGNAL))
        close(self.lifeline)
        var status: Int32 = 0
        self.reaped.withLock { reaped in
            while waitpid(self.id, &status, 0) == -1 && errno == EINTR {}
            reaped = true
        }
        let signal = status & 0x7f
        let result: ExitStatus = signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
        self.ended.update { $0 = result }
    }
}

/// The arguments of one `posix_spawn` call.
private struct SpawnRequest {
    let launch: ChildProcess.Launch
    let lifeline: Int32

    /// The descriptor at which the shell expects its end of the pipe.
    private static let lifelineNumber: Int32 = 3

    private static let script = """
        (read -r _ <&3 || { kill -9 $$; [ -z "$0" ] || rm -rf -- "$0"; }) </dev/null >/dev/null 2>&1 &
        exec "$@" 3<&-
        """

    func run() throws -> pid_t {
        let input = try self.launch.standardInput.map(Self.highCopy)
        defer { if let input { close(input) } }
        let output = try Self.highCopy(self.launch.standardOutput)
        defer { close(output) }
        let error = try Self.highCopy(self.launch.standardError)
        defer { close(error) }
        let lifeline = try Self.highCopy(self.lifeline)
        defer { close(lifeline) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, error, 2)
        posix_spawn_file_actions_adddup2(&actions, lifeline, Self.lifelineNumber)
        for descriptor in Self.lifelineNumber + 1...Self.highestDescriptor() {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        return try self.spawn(&actions)
    }

    private func spawn(_ actions: inout posix_spawn_file_actions_t) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGCHLD] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        // The child gets its own process group, so that this process handles an interrupt from the terminal, not the
        // child.
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let words = ["/bin/sh", "-c", Self.script, self.launch.folder, self.launch.executable] + self.launch.arguments
        var id: pid_t = 0
        let code = withCStrings(words) { arguments in
            withCStrings(self.environment()) { environment in
                posix_spawn(&id, "/bin/sh", &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else { throw TestKitError.system("posix_spawn of \(self.launch.executable)", code) }
        return id
    }

    private func environment() -> [String] {
        var variables = inheritedEnvironment()
        variables.merge(self.launch.environment) { $1 }
        return variables.map { "\($0.key)=\($0.value)" }
    }

    /// Duplicates a descriptor above the numbers that the actions assign, so that no assignment overwrites another
    /// source.
    private static func highCopy(_ descriptor: Int32) throws -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
        guard copy >= 0 else { throw TestKitError.system("fcntl") }
        return copy
    }

    /// Returns a number above every descriptor of this process.
    ///
    /// Other code may have opened descriptors without close-on-exec.
    private static func highestDescriptor() -> Int32 {
        let highest = fileNames(in: "/proc/self/fd").compactMap { Int32($0) }.max() ?? 1_024
        return highest + 64
    }
}
