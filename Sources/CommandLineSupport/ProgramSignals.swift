import Glibc
package import ServiceLifecycle
import Synchronization
package import ZooKeeper

/// The signals by which people and supervisors end, stop and continue the program.
///
/// SIGHUP, SIGINT and SIGQUIT do what SIGTERM does, unless they were ignored when the program was started, as below
/// `nohup` or in the background of a shell script. A second one, a second later or more, ends the grace of commands.
package final class ProgramSignals: Sendable {
    package static let shared = ProgramSignals()

    /// The exit statuses of programs that run until a signal, for a help text.
    package static let statusHelp = """
        Exit status: 0 after a signal, or when nobody reads the output any more; 1 a failure, such as no connection or \
        output that could not be written; 64 an option or an argument is not valid.
        """

    /// The first signal that asked for the end.
    package let endSignal = OneShot<Int32>()

    private struct State {
        var isHandled = false
        var requested: MonotonicInstant?
        var processes: [ObjectIdentifier: any SignalledProcess] = [:]
    }

    private let state = Mutex(State())

    /// Makes the signals wait for ``handle()``, in this thread and all that it starts.
    ///
    /// They are blocked and not caught, so that the commands' signals are what they were when the program was started.
    package static func prepare() {
        // Some parents ignore it; nobody could learn how a child has ended.
        signal(SIGCHLD, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
        var blocked = expected
        // Writing and reading fail instead of ending or stopping the program.
        for number in [SIGPIPE, SIGTTIN, SIGTTOU] { sigaddset(&blocked, number) }
        // Also unblocks what the parent had blocked.
        pthread_sigmask(SIG_SETMASK, &blocked, nil)
    }

    /// Those that are not ignored.
    private static var expected: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP] {
            var action = sigaction()
            sigaction(number, nil, &action)
            if !action.isIgnored { sigaddset(&set, number) }
        }
        return set
    }

    /// Handles the signals on the calling thread.
    package func handle() -> Never {
        var expected = Self.expected
        while true {
            var number: Int32 = 0
            guard sigwait(&expected, &number) == 0 else { continue }
            if number == SIGTSTP { stop() } else { requestEnd(number) }
        }
    }

    /// Asks for the end of the program, as a signal does.
    package func requestEnd(_ number: Int32) {
        let now = SystemMonotonicClock().now
        let (isHandled, impatient) = state.withLock { state -> (Bool, [any SignalledProcess]) in
            defer { state.requested = state.requested ?? now }
            // Some supervisors send it to the program and to its process group at once.
            guard let first = state.requested, now - first >= .seconds(1) else { return (state.isHandled, []) }
            return (state.isHandled, Array(state.processes.values))
        }
        guard isHandled else { return Self.actByDefault(number) }
        endSignal.set(number)
        for process in impatient { process.kill() }
    }

    /// Asks for the end of the program because nobody reads its output any more.
    package func requestEndWithoutReader() {
        guard state.withLock({ $0.isHandled }) else { exit(EXIT_SUCCESS) }
        endSignal.set(SIGPIPE)
    }

    /// Stops the commands and the program, until it is continued.
    private func stop() {
        let processes = state.withLock { Array($0.processes.values) }
        for process in processes { process.stop() }
        Self.actByDefault(SIGTSTP)
        for process in processes { process.proceed() }
    }

    private static func actByDefault(_ number: Int32) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // The first process of a container is not ended by default.
        if number != SIGTSTP { exit(128 + number) }
    }

    /// Starts a process that is stopped, continued and killed with the program, until ``forget(_:)``.
    ///
    /// A signal is handled before the start or after it, never in between, when it would miss the process.
    package func start<Process: SignalledProcess, Failure: Error>(
        _ make: () throws(Failure) -> Process
    ) throws(Failure) -> Process {
        try state.withLock { state throws(Failure) in
            let process = try make()
            state.processes[ObjectIdentifier(process)] = process
            return process
        }
    }

    package func forget(_ process: any SignalledProcess) {
        state.withLock { $0.processes[ObjectIdentifier(process)] = nil }
    }

    /// A service that returns when a signal asks for the end.
    package func service() -> some Service {
        state.withLock { $0.isHandled = true }
        return EndRequest(signal: endSignal)
    }
}

/// A process that is stopped, continued and killed with the program.
package protocol SignalledProcess: AnyObject, Sendable {
    func stop()
    func proceed()
    func kill()
}

private struct EndRequest: Service {
    let signal: OneShot<Int32>

    func run() async {
        _ = try? await cancelWhenGracefulShutdown { try await signal.wait() }
    }
}

extension sigaction {
    fileprivate var isIgnored: Bool {
        unsafeBitCast(__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
