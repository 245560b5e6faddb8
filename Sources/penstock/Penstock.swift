import ArgumentParser
@main struct Penstock: ParsableCommand { func run() {} }
