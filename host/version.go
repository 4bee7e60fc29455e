package host

import "runtime/debug"

// kafkaVersion is the release of Kafka Connect whose answers REST gives.
const kafkaVersion = "4.3.1"

// Release is the version that the program was built as; it sets this before it does anything else. Empty: the module's
// own.
var Release string

// Version is this build's version and commit, as far as the build knows them.
func Version() (version, commit string) {
	version, commit = Release, "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return orDevelopment(version), commit
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value[:min(len(s.Value), 16)]
		}
	}
	if version == "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	return orDevelopment(version), commit
}

func orDevelopment(version string) string {
	if version == "" {
		return "development"
	}
	return version
}

// restVersion is what tools see: it begins as Kafka's does, because they read it.
func restVersion() string {
	version, _ := Version()
	return kafkaVersion + "-culvert-" + version
}
