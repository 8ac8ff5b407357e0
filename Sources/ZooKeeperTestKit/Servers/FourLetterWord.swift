import SystemSupport

/// Sends a four-letter-word command to a server and returns the answer.
///
/// - Throws: ``TestKitError`` with code `.noResponse` if the server does not answer within two seconds.
package func fourLetterWord(_ word: String, host: String, port: Int) async throws -> String {
    do {
        return try await answer(toFourLetterWord: word, host: host, port: port)
    } catch let error as SocketError {
        throw TestKitError(.noResponse, error.description)
    }
}
