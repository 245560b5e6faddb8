// swift-tools-version: 6.2
import PackageDescription

// CShims ◄── PenstockCore ◄── PenstockArchive ◄── Penstock ◄── penstock
//    C          hot: shard       warm: tables,      public      program
//                                query, export      library
//                                                     ▲
//                    CPenstock ◄───────────────── PenstockC
//                    penstock.h               libpenstock.so, for C
//
// The hot path is one module: a generic ~Copyable type instantiated from another module is
// called unspecialised and several times slower.

let house: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "penstock",
  products: [
    .executable(name: "penstock", targets: ["penstock"]),
    .executable(name: "penstock-simulate", targets: ["penstock-simulate"]),
    .library(name: "Penstock", targets: ["Penstock"]),
    // A product 'penstock' is the program already: `make lib` gives this one its name.
    .library(name: "PenstockC", type: .dynamic, targets: ["PenstockC"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(
      name: "CShims", path: "CShims",
      cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
      linkerSettings: [.linkedLibrary("uring"), .linkedLibrary("lz4")]),
    .target(name: "PenstockCore", dependencies: ["CShims"], swiftSettings: house),
    .target(
      name: "PenstockArchive", dependencies: ["PenstockCore", "CShims"], swiftSettings: house),
    .target(
      name: "Penstock", dependencies: ["PenstockArchive", "PenstockCore", "CShims"],
      swiftSettings: house),
    .target(name: "CPenstock", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
    .target(
      name: "PenstockC", dependencies: ["CPenstock", "Penstock"], exclude: ["exports.map"],
      swiftSettings: house,
      linkerSettings: [
        .unsafeFlags([
          "-Xlinker", "-soname=libpenstock.so",
          "-Xlinker",
          "--version-script=\(Context.packageDirectory)/Sources/PenstockC/exports.map",
        ]),
        // The package manager's option for it leaves libraries out.
        .unsafeFlags(["-static-stdlib"], .when(configuration: .release)),
      ]),
    .target(
      name: "PenstockSimulator", dependencies: ["PenstockArchive", "PenstockCore", "CShims"],
      swiftSettings: house),
    .executableTarget(
      name: "penstock-simulate",
      dependencies: [
        "PenstockSimulator", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),
    .target(
      name: "LoadGenerator", path: "Benchmarks/LoadGenerator",
      cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
    .target(
      name: "PenstockBench",
      dependencies: ["LoadGenerator", "Penstock", "PenstockArchive", "PenstockCore", "CShims"],
      path: "Benchmarks/PenstockBench", swiftSettings: house),
    .executableTarget(
      name: "penstock",
      dependencies: [
        "Penstock", "PenstockArchive", "PenstockBench", "PenstockCore", "CShims",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: house),
    .executableTarget(
      name: "LeaseVictim", dependencies: ["PenstockCore", "CShims"], path: "Tests/LeaseVictim",
      swiftSettings: house),
    .executableTarget(
      name: "StoreVictim", dependencies: ["Penstock", "CShims"], path: "Tests/StoreVictim",
      swiftSettings: house),
    .testTarget(
      name: "PenstockCoreTests", dependencies: ["PenstockCore", "CShims", "LeaseVictim"],
      swiftSettings: house),
    .testTarget(
      name: "PenstockSimulatorTests", dependencies: ["PenstockSimulator"], swiftSettings: house),
    .testTarget(
      name: "PenstockArchiveTests", dependencies: ["PenstockArchive", "PenstockCore"],
      swiftSettings: house),
    .testTarget(
      name: "penstockTests",
      dependencies: [
        "penstock", "Penstock", "PenstockArchive", "PenstockBench", "PenstockCore", "StoreVictim",
        "CShims",
      ],
      swiftSettings: house),
  ]
)

// Hostile inputs (make fuzz): a program of libFuzzer's, which only a sanitized build can link.
if Context.environment["PENSTOCK_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "PenstockFuzz", dependencies: ["PenstockArchive", "PenstockCore", "CShims"],
      path: "Tests/Fuzz", exclude: ["Findings"], swiftSettings: house))
}
