// Package buildinfo has the version of this build, and the version of Kafka Connect with which it is compatible.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
)

// KafkaConnect is the release of Kafka Connect whose REST responses this worker reproduces.
const KafkaConnect = "4.3.1"

// nextRelease is the version of builds without a release's tag.
const nextRelease = "0.1.0"

// Release is git's description of the commit, which the program sets before anything else runs: a tag, a tag with the
// commits since, or only a commit.
var Release string

var readBuildInfo = sync.OnceValues(debug.ReadBuildInfo)

// Version returns the version and the commit of this build. The commit is "unknown" if the build has no such data.
func Version() (version, commit string) {
	if strings.Contains(Release, ".") {
		version = strings.TrimPrefix(Release, "v")
	} else {
		commit = Release
	}
	if info, ok := readBuildInfo(); ok && commit == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value[:min(len(s.Value), 9)]
			}
		}
	}
	return cmp.Or(version, nextRelease), cmp.Or(commit, "unknown")
}

// Product returns version and commit as people read them, such as 0.1.0 (60b532997).
func Product() string {
	version, commit := Version()
	return fmt.Sprintf("%s (%s)", version, commit)
}

// REST returns the version that GET / reports. It begins as Kafka's does, because tools parse it.
func REST() string {
	version, _ := Version()
	return KafkaConnect + "-culvert-" + version
}
