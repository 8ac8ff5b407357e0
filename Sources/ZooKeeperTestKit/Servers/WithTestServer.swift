/// Starts a server, runs `body` with it, and ends it.
///
/// The server listens on loopback, at a port that was free. Its data are in memory where there is some, and are removed
/// in the end. It is ready when `body` begins, after a second or two, and ends with this process, however this one ends.
/// If the server's process ends by itself, the task of `body` is cancelled; ``TestServer/stop()`` and
/// ``TestServer/kill()`` are for a `body` that wants its server to end.
///
/// - Parameters:
///   - configuration: How to set it up.
///   - body: What to do with it.
/// - Returns: What `body` returned.
/// - Throws: ``TestKitError`` with code `.missingJava` or `.missingJars`, whose message names the package to install, or
///   `.startFailed`, as when ``TestServerConfiguration/port`` is in use, or `.ended` when the process has ended by
///   itself; else the error of `body`.
public func withTestServer<Result>(
    configuration: TestServerConfiguration = .init(),
    _ body: (TestServer) async throws -> Result
) async throws -> Result {
    let server = try await startTestServer(configuration: configuration)
    do {
        let result = try await whileServing([server]) { try await body(server) }
        await server.remove()
        return result
    } catch {
        await server.remove()
        throw error
    }
}

/// Starts a server that lives until it is removed.
///
/// - Throws: As ``withTestServer(configuration:_:)``.
package func startTestServer(configuration: TestServerConfiguration) async throws -> TestServer {
    var attempt = 1
    while true {
        let port = try configuration.port ?? Ports.free(1)[0]
        let server = try TestServer(port: port, configuration: configuration)
        do {
            try await server.start()
            return server
        } catch {
            let lostItsPort = server.lostItsPort
            await server.remove()
            guard lostItsPort, configuration.port == nil, attempt < 5 else { throw error }
            attempt += 1
        }
    }
}
