package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestBenchmarksAreThere: a section whose benchmark has moved would be noticed when somebody wants figures.
func TestBenchmarksAreThere(t *testing.T) {
	for _, b := range []benchmark{decoding, transforming} {
		out, err := exec.Command("go", "test", "-list", "^"+b.name+"$", "../../"+strings.TrimPrefix(b.folder, "./")).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), b.name+"\n") {
			t.Errorf("%s has no %s: %v\n%s", b.folder, b.name, err, out)
		}
	}
}
