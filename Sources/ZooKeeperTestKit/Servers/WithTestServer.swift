/// Starts a server, runs `body` with it, and ends the server.
///
/// The server listens on loopback, on a free port. Its data is in memory if a memory file system is available, and is
/// removed at the end. `body` starts when the server is ready, after one or two seconds. The server ends with this
/// process, however this process ends. If the server's process ends by itself, the task of `body` is cancelled. To end
/// the server in `body`, use ``TestServer/stop()`` or ``TestServer/kill()``.
///
/// - Parameters:
///   - configuration: The configuration of the server.
///   - body: The operation that uses the server.
/// - Returns: The result of `body`.
/// - Throws: ``TestKitError`` with one of these codes: `.missingJava` or `.missingJars`, whose message names the
///   package to install; `.startFailed`, for example if ``TestServerConfiguration/port`` is in use; `.exited` if the
///   server's process ended by itself. Otherwise the error of `body`.
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

/// Starts a server that runs until it is removed.
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
