import CommandLineSupport
import FlyingFox
import FoundationEssentials
import ZooKeeper

/// The HTTP server of the dashboard: the page, the stream of states, and operator commands.
struct DashboardServer: HTTPHandler {
    let feed: DashboardFeed
    let hosts: AllowedHosts
    /// The operator commands, and the token that they need; `nil` if changes are not allowed.
    let changes: (token: AccessToken, actions: DashboardActions)?

    /// The files of the page, by their paths.
    private static let files: [String: (type: String, content: [UInt8])] = [
        "/": ("text/html; charset=utf-8", PackageResources.page_html),
        "/page.css": ("text/css; charset=utf-8", PackageResources.page_css),
        "/page.js": ("text/javascript; charset=utf-8", PackageResources.page_js),
        "/icon.svg": ("image/svg+xml", PackageResources.icon_svg),
    ]

    /// The headers of every answer.
    private static let headers: [(HTTPHeader, String)] = [
        (
            HTTPHeader("Content-Security-Policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
                + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        (HTTPHeader("X-Content-Type-Options"), "nosniff"), (HTTPHeader("Referrer-Policy"), "no-referrer"),
        (HTTPHeader("Cross-Origin-Resource-Policy"), "same-origin"), (.cacheControl, "no-store"),
    ]

    @concurrent
    func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
        var response = await response(to: request, try await request.bodyData)
        for (name, value) in Self.headers { response.headers[name] = value }
        return response
    }

    private func response(to request: HTTPRequest, _ body: Data) async -> HTTPResponse {
        guard hosts.allow(request.headers[.host]) else {
            return text(
                .forbidden,
                "the Host header must be an IP address or localhost; allow another name with --allow-host")
        }
        let isForeign = request.headers[HTTPHeader("Sec-Fetch-Site")] == "cross-site"
        if request.path.hasPrefix("/actions/") {
            guard request.method == .POST else { return notAllowed("POST") }
            guard !isForeign else { return error(.forbidden, "another web site must not send operator commands") }
            return await perform(String(request.path.dropFirst("/actions/".count)), request, body)
        }
        guard request.method == .GET else { return notAllowed("GET") }
        if request.path == "/events" {
            return isForeign ? text(.forbidden, "another web site must not read the states") : events()
        }
        guard let file = Self.files[request.path] else {
            return text(.notFound, "there are /, /page.css, /page.js, /icon.svg and /events")
        }
        return HTTPResponse(statusCode: .ok, headers: [.contentType: file.type], body: Data(file.content))
    }

    private func events() -> HTTPResponse {
        guard let page = feed.open() else {
            return text(
                .serviceUnavailable, "\(DashboardFeed.maximumPages) pages are open: close one, then load this one again"
            )
        }
        return HTTPResponse(
            statusCode: .ok, headers: [.contentType: "text/event-stream; charset=utf-8"],
            body: HTTPBodySequence(from: EventStream(page: page)))
    }

    // MARK: Operator commands

    private func perform(_ name: String, _ request: HTTPRequest, _ body: Data) async -> HTTPResponse {
        guard let (token, actions) = changes else {
            return error(
                .forbidden,
                "changes are not allowed: start `zkrecipes dashboard` with --allow-changes, or use the command line")
        }
        guard token.isPresented(by: request.headers[.authorization]) else {
            var response = error(
                .unauthorized,
                "the token is missing or wrong: open the address that `zkrecipes dashboard` printed, or enter the "
                    + "token of --token-file")
            response.headers[HTTPHeader("WWW-Authenticate")] = "Bearer"
            return response
        }
        guard let verb = DashboardVerb(rawValue: name) else {
            let verbs = DashboardVerb.allCases.map(\.rawValue).joined(separator: ", ")
            return error(.notFound, "there is no verb \(Text.quoted(name)); use one of \(verbs)")
        }
        guard request.headers[.contentType]?.lowercased().hasPrefix("application/json") == true,
            let values = try? JSONDecoder().decode(DashboardRequest.self, from: body)
        else {
            return error(.badRequest, "the body must be a JSON object with path, reason and id, as application/json")
        }
        do {
            return json(.ok, ["done": try await actions.perform(verb, values)])
        } catch let refusal as DashboardRefusal {
            switch refusal.kind {
            case .invalid: return self.error(.unprocessableContent, refusal.text)
            case .failed: return self.error(.conflict, refusal.text)
            case .busy: return self.error(.serviceUnavailable, refusal.text)
            }
        } catch {
            return self.error(.conflict, "\(error)")
        }
    }

    // MARK: Answers

    private func notAllowed(_ method: String) -> HTTPResponse {
        var response = text(.methodNotAllowed, "only \(method) is allowed")
        response.headers[HTTPHeader("Allow")] = method
        return response
    }

    private func text(_ status: HTTPStatusCode, _ text: String) -> HTTPResponse {
        HTTPResponse(
            statusCode: status, headers: [.contentType: "text/plain; charset=utf-8"], body: Data((text + "\n").utf8))
    }

    private func error(_ status: HTTPStatusCode, _ text: String) -> HTTPResponse { json(status, ["error": text]) }

    private func json(_ status: HTTPStatusCode, _ value: [String: String]) -> HTTPResponse {
        HTTPResponse(
            statusCode: status, headers: [.contentType: "application/json"], body: Data(Text.json(value).utf8))
    }
}
