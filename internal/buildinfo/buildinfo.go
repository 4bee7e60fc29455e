// Package buildinfo has the version of this build, and the version of Kafka Connect that the REST API reports.
package buildinfo

import (
	"runtime/debug"
	"sync"
)

// kafkaVersion is the release of Kafka Connect whose REST responses this worker reproduces.
const kafkaVersion = "4.3.1"

// Release is the version that the program sets before anything else runs. If it is empty, the module's version counts.
var Release string

var readBuildInfo = sync.OnceValues(debug.ReadBuildInfo)

// Version returns the version and the commit of this build: "development" and "unknown" if the build has no such data.
func Version() (version, commit string) {
	version = Release
	commit = "unknown"
	info, ok := readBuildInfo()
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

// orDevelopment returns the version, "development" if it is empty.
func orDevelopment(version string) string {
	if version == "" {
		return "development"
	}
	return version
}

// REST returns the version that GET / reports. It begins as Kafka's does, because tools parse it.
func REST() string {
	version, _ := Version()
	return kafkaVersion + "-culvert-" + version
}
