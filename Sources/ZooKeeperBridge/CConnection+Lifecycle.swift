import CZooKeeper
import Dispatch
import Synchronization
import ZooKeeperTransport

extension CConnection {
    func open() {
        let isFirst = state.withLock { state in
            guard state.phase == .made else { return false }
            state.phase = .opening
            return true
        }
        if isFirst {
            queue.async { self.makeHandle() }
        }
    }

    func close(_ end: TransportClose) async -> Bool {
        state.withLock { state in
            if state.phase != .closed { state.phase = .closing }
        }
        return await withCheckedContinuation { continuation in
            queue.async {
                let isKept = self.destroyHandle(end)
                self.state.withLock { state in
                    state.phase = .closed
                    state.receive = nil
                }
                continuation.resume(returning: isKept)
            }
        }
    }

    /// Creates the handle.
    ///
    /// It blocks while the library is set up. The threads of the library run, and may call back before it returns.
    private func makeHandle() {
        guard state.withLock({ $0.phase == .opening }) else { return }
        let servers: String
        do throws(InvalidServer) {
            servers = try endpoint.libraryServers()
        } catch {
            return failToOpen(error.text)
        }
        if let password = endpoint.session?.password, password.count != 16 {
            return failToOpen("a session's password has 16 bytes, not \(password.count)")
        }
        guard endpoint.tls == nil || CTransport.supportsTLS else {
            return failToOpen("the ZooKeeper library has no TLS")
        }
        awaitCredentials(endpoint.credentials)

        var error: Int32 = 0
        // The library's own reference, which is released when the handle has been closed.
        let context = unsafe Unmanaged.passRetained(self)
        let pointer = unsafe endpoint.session.withPassword { password in
            unsafe endpoint.tls.withLibraryText { certificates in
                unsafe zkb_open(
                    servers, certificates, connectionWatcher, endpoint.sessionTimeout, endpoint.session?.id ?? 0,
                    password, context.toOpaque(), libraryDidLog, &error)
            }
        }
        if let pointer = unsafe pointer {
            unsafe adopt(Handle(pointer))
        } else {
            unsafe context.release()
            unsafe failToOpen("the ZooKeeper library could not be set up: \(String(cString: strerror(error)))")
        }
    }

    private func failToOpen(_ text: String) {
        let receive = state.withLock { state in
            if state.phase == .opening { state.phase = .failed }
            return state.receive
        }
        receive?(.openFailed(text))
    }

    /// Starts to use the handle.
    ///
    /// It is called by the opening thread or for the library's first event, whichever comes first.
    func adopt(_ handle: Handle) {
        let isKnown = state.withLock { state in
            if state.handle == nil { state.handle = handle }
            return state.phase != .opening
        }
        if isKnown { return }
        addAwaitingCredentials(to: handle)
        state.withLock { state in
            if state.phase == .opening { state.phase = .open }
        }
    }

    /// Closes the handle, blocks until its threads have ended, and then completes the requests that they left
    /// unanswered.
    ///
    /// The phase must be one in which no call can start.
    ///
    /// - Returns: `true` if this call certainly did not end the session at the server.
    @discardableResult
    func destroyHandle(_ end: TransportClose) -> Bool {
        var isKept = end == .keepSession
        let (handle, calls) = state.withLock { state in (state.handle, state.waitForCalls()) }
        calls?.wait()
        if let handle {
            switch end {
            case .endSession: unsafe _ = zookeeper_close(handle.pointer)
            case .keepSession:
                CLibrary.keepingSession { unsafe isKept = zkb_close_keeping_session(handle.pointer) == 1 }
            }
        }
        let deferred = credentials.withLock { credentials in
            defer { credentials = Credentials() }
            return credentials.deferred
        }
        let (rest, code) = state.withLock { state in
            state.handle = nil
            return (state.registry.removeAll(), state.finalCode)
        }
        for request in rest { request.complete(TransportReply(code: code)) }
        // There is no handle any more, so each is refused.
        for perform in deferred { perform() }
        if handle != nil {
            unsafe Unmanaged.passUnretained(self).release()
        }
        return isKept
    }
}

extension TransportTLS? {
    /// Calls `body` with the files as the library accepts them, separated by commas; one call at a time.
    ///
    /// There is always a password. Without one, the library would ask for it on the terminal if the key is encrypted,
    /// and some versions do not use the certificate. The library separates the text with `strtok`, which is not safe
    /// for several threads.
    fileprivate func withLibraryText<Result>(_ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let self else { return body(nil) }
        let parts = [self.certificateAuthority, self.certificate, self.privateKey, self.password ?? "none"]
        return CLibrary.separatingText {
            unsafe parts.joined(separator: ",").withCString { unsafe body($0) }
        }
    }
}

extension TransportSession? {
    fileprivate func withPassword<Result>(_ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let self else { return body(nil) }
        return unsafe self.password.withUnsafeBytes { unsafe body($0.bindMemory(to: CChar.self).baseAddress) }
    }
}
