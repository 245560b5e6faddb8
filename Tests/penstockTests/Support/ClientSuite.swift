import Penstock

/// A suite whose clients talk to scripted servers.
protocol ClientSuite {}

extension ClientSuite {
  func connect(
    _ server: ScriptedServer, _ change: (inout Client.Options) -> Void = { _ in }
  ) async throws -> Client {
    var options = Client.Options()
    options.patienceMilliseconds = 20_000
    change(&options)
    return try await Client.connect(to: [LineAddress(url: server.url)], options: options)
  }

  func event(_ payload: String) -> NewEvent { NewEvent(stream: "s", payload: payload) }
}
