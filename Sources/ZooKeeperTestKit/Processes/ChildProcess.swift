import Glibc
import Synchronization
import SystemSupport

/// A process that ends with this one, however this one ends.
///
/// The process is our direct child, so that its id is known from the first moment and signals hit it alone. A shell that
/// forks off before it becomes the program reads from a pipe that only we hold open: when we end, by SIGKILL too, the
/// pipe does, and that shell kills the process and removes its folder. (The kernel's parent-death signal would not do:
/// it comes when the *thread* that forked ends.)
final class ChildProcess: Sendable {
    /// What to start, and with what.
    struct Launch: Sendable {
        /// The path of the program.
        var executable: String
        /// The arguments after the program's name.
        var arguments: [String]
        /// Variables that are added to this process's environment.
        var environment: [String: String] = [:]
        /// A folder that is removed if this process dies before the child; empty for none.
        var folder = ""
        /// A descriptor for standard input; `nil` for an empty one.
        var standardInput: Int32?
        /// Descriptors for standard output and error; the caller closes its own copies.
        var standardOutput: Int32
        var standardError: Int32
    }

    /// The process id, valid as long as the process has not been seen to end.
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
    /// - Throws: ``TestKitError`` with code `.system` when the operating system refuses.
    static func spawn(_ launch: Launch) throws -> ChildProcess {
        var ends: [Int32] = [-1, -1]
        // A socket pair, because a pipe cannot be made close-on-exec in one step here; a copy of our end in some other
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

    /// How it ended, or `nil` while it lives.
    var exitStatus: ExitStatus? { self.ended.current }

    /// Sends a signal.
    ///
    /// Returns false when the process has ended already.
    @discardableResult
    func send(_ signal: Int32) -> Bool {
        // Under the lock the id cannot be reaped, so it cannot be anybody else's.
        self.reaped.withLock { reaped in !reaped && Glibc.kill(self.id, signal) == 0 }
    }

    /// Stops the process, and returns when none of its threads runs any more.
    ///
    /// A signal is only pending when `kill` returns: on a busy machine a thread runs on for a moment. The wait for its last
    /// thread takes microseconds, so that it may block.
    ///
    /// Returns false when the process has ended already.
    func freeze() -> Bool {
        // Under the lock nobody lets it go on before it has been seen to stop.
        self.reaped.withLock { reaped in
            guard !reaped, Glibc.kill(self.id, SIGSTOP) == 0 else { return false }
            var information = siginfo_t()
            while waitid(P_PID, id_t(self.id), &information, WSTOPPED | WEXITED | WNOWAIT) != 0 {
                guard errno == EINTR else { return false }
            }
            return information.si_code == CLD_STOPPED
        }
    }

    /// Waits for the end, also in a cancelled task: for processes that have been killed.
    func end() async -> ExitStatus {
        await self.ended.firstIgnoringCancellation { $0 }
    }

    /// Waits for the end.
    ///
    /// - Throws: `CancellationError` when the calling task is cancelled.
    func waitForEnd() async throws -> ExitStatus {
        try await self.ended.first { $0 }
    }

    private func awaitEnd() {
        var information = siginfo_t()
        while waitid(P_PID, id_t(self.id), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
        // Tell the shell that there is nobody left to kill, before the id may be used again.
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

/// The arguments of one `posix_spawn`.
private struct SpawnRequest {
    let launch: ChildProcess.Launch
    let lifeline: Int32

    /// Where the shell finds the lifeline.
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
        // A process group of its own: an interrupt from the terminal is ours to handle, not the child's.
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

    /// A copy above the numbers that the actions assign, so that one assignment cannot overwrite another's source.
    private static func highCopy(_ descriptor: Int32) throws -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
        guard copy >= 0 else { throw TestKitError.system("fcntl") }
        return copy
    }

    /// A number that no descriptor of this process exceeds: somebody else may have opened theirs without close-on-exec.
    private static func highestDescriptor() -> Int32 {
        let highest = fileNames(in: "/proc/self/fd").compactMap { Int32($0) }.max() ?? 1_024
        return highest + 64
    }
}
