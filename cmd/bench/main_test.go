package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestBenchmarksAreThere: a section whose benchmark has moved would be noticed when somebody wants figures.
func TestBenchmarksAreThere(t *testing.T) {
	for _, b := range append(fences, decoding, transforming) {
		out, err := exec.Command("go", "test", "-list", "^"+b.name+"$", "../../"+strings.TrimPrefix(b.folder, "./")).CombinedOutput()
		if name, _, _ := strings.Cut(b.name, "("); err != nil || !strings.HasPrefix(string(out), name) {
			t.Errorf("%s has no %s: %v\n%s", b.folder, b.name, err, out)
		}
	}
}

func TestStagesAreRead(t *testing.T) {
	found, err := stagesOf("level=INFO msg=\"source task ended\" rows=5 at_work.fetch=1.5s at_work.decode=20ms at_work.transform=0s at_work.convert=3µs at_work.produce=1m0s\n")
	if err != nil || !slices.Equal(found, []float64{1.5, 0.02, 0, 0.000003, 60}) {
		t.Errorf("%v %v", found, err)
	}
	if _, err := stagesOf("level=INFO msg=other"); err == nil {
		t.Error("expected an error where the line is missing")
	}
}
