import Testing
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The catalogue of what has gone wrong in recipes of this kind, one test a hazard, named by it.
///
/// `integration/README.md` lists them all, also those that do not concern this package; `.ci/check-hazards` holds the two
/// together.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct HazardTests {}
