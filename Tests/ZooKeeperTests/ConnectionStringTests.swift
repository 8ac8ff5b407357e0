import Testing

@testable import ZooKeeper

@Suite
struct ConnectionStringTests {
    @Test func `servers and a chroot are told apart`() throws {
        let parsed = try ConnectionString("zk1.example:2181,10.0.0.2:2182,[2001:db8::1]:2183/app/one")
        #expect(
            parsed.servers == [
                ServerAddress(host: "zk1.example", port: 2181), ServerAddress(host: "10.0.0.2", port: 2182),
                ServerAddress(host: "2001:db8::1", port: 2183),
            ])
        #expect(parsed.chroot?.string == "/app/one")
    }

    @Test(arguments: [
        "localhost:1", "localhost:65535", "zk_1:2181", "zk-1.a.b.:2181", "[::1]:2181", "[fe80::1%eth0]:2181",
        "[::ffff:10.0.0.1]:2181", "1a.example:2181", "LOCALHOST:2181",
    ])
    func `a single server is accepted`(text: String) throws {
        let parsed = try ConnectionString(text)
        #expect(parsed.servers.map(\.description) == [text])
        #expect(parsed.chroot == nil)
    }

    @Test func `a slash alone is no chroot`() throws {
        #expect(try ConnectionString("localhost:2181/").chroot == nil)
    }

    @Test func `a chroot may have a comma`() throws {
        #expect(try ConnectionString("localhost:2181/a,b").chroot?.string == "/a,b")
    }

    @Test(arguments: [
        ("", "it is empty"),
        ("a:1,,b:2", "part 2 is empty"),
        (",a:1", "part 1 is empty"),
        ("a:1,", "part 2 is empty"),
        ("/app", "part 1 is empty"),
        ("localhost", "part 1, \"localhost\", has no port"),
        ("a:1,[::1]", "part 2, \"[::1]\", has no port"),
        ("a:1,b:0", "part 2, \"b:0\", has the port \"0\""),
        ("a:70000", "the port \"70000\""),
        ("a:99999999999999999999", "the port \"99999999999999999999\""),
        ("a:port", "the port \"port\""),
        ("a:", "the port \"\""),
        ("a:+1", "the port \"+1\""),
        ("a:-1", "the port \"-1\""),
        ("a:1٣", "the port \"1٣\""),
        (":2181", "has no host"),
        ("::1:2181", "write an IPv6 address in brackets"),
        ("2001:db8::1", "write an IPv6 address in brackets"),
        ("[::1:2181", "has a bracket that is not closed"),
        ("[::1]2181", "has no colon after its bracket"),
        ("[]:2181", "has no IPv6 address in its brackets"),
        ("[zk1]:2181", "has no IPv6 address in its brackets"),
        ("[10.0.0.1]:2181", "has no IPv6 address in its brackets"),
        ("[::1%]:2181", "has no IPv6 address in its brackets"),
        ("::1]:2181", "more than one colon"),
        ("a:1, b:2", "part 2, \" b:2\", has a space"),
        ("a b:1", "has a space"),
        ("a:1\n", "has a space"),
        ("zk!:1", "U+21"),
        ("zk@a:1", "U+40"),
        ("a\0b:1", "U+0"),
        ("zoö:1", "\"xn--\" form"),
        ("a..b:1", "empty part between its dots"),
        (".:1", "no IPv4 address"),
        ("-a:1", "begins or ends with a hyphen"),
        ("a-.b:1", "begins or ends with a hyphen"),
        ("256.0.0.1:1", "no IPv4 address"),
        ("10.0.1:1", "no IPv4 address"),
        ("\(String(repeating: "a", count: 64)):1", "a part of 64 characters"),
        ("\(Array(repeating: "aaaaaaaaa", count: 26).joined(separator: ".")):1", "of 259 characters"),
        ("a:1/app/", "the chroot \"/app/\" has a trailing slash at position 4"),
        ("a:1//", "the chroot \"//\" has a"),
        ("a:1/a//b", "an empty part (\"//\") at position 3"),
        ("a:1/a/../b", "a part that is \"..\" at position 3"),
        ("a:1/app,b:2/app", "servers follow the chroot \"/app\""),
    ])
    func `what is wrong is named, with an example`(text: String, problem: String) {
        let error = zooKeeperError { _ = try ConnectionString(text) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message?.contains(problem) == true, "\(error?.message ?? "")")
        #expect(error?.message?.contains("an example that is right: \"") == true)
    }

    @Test(arguments: ["zk1.example:2181,zk2.example:2181/app", "[2001:db8::1]:2181", "localhost:2181"])
    func `the examples of the errors are right`(text: String) throws {
        _ = try ConnectionString(text)
    }

    @Test func `random bytes never crash the parser, and what it takes it prints the same`() {
        var generator = SeededGenerator(seed: 1)
        let alphabet = Array("ab1.:[],/%-_ 0٣é\u{301}\0".unicodeScalars)
        for _ in 0..<20_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...12, using: &generator) {
                text.append(alphabet.randomElement(using: &generator) ?? "a")
            }
            guard let parsed = try? ConnectionString(String(text)) else { continue }
            let printed = parsed.servers.map(\.description).joined(separator: ",") + (parsed.chroot?.string ?? "")
            let again = try? ConnectionString(printed)
            #expect(again?.servers == parsed.servers)
            #expect(again?.chroot == parsed.chroot)
            #expect(parsed.servers.allSatisfy { $0.problem == nil })
        }
    }
}
