import Testing

/// This package's recipes beside Apache Curator's and kazoo's, in processes of their own, on the same znodes.
@Suite(.interop, .serialized, .timeLimit(.minutes(2)))
enum InteropTests {}
