package examples

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// The guide's Rust code matches the plugin that is built and tested next to it.
func TestRustInTheGuide(t *testing.T) {
	text := func(file string) string {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(data)
	}
	const guest = "../testdata/guests/rust-transform/"
	guide := text("../cmd/culvert/guides/plugins.md")
	version := regexp.MustCompile(`wit-bindgen = "[^"]+"`).FindString(text(guest + "Cargo.toml"))
	target := regexp.MustCompile(`(?m)^target=(\S+)$`).FindStringSubmatch(text(guest + "build.sh"))
	require.True(t, version != "" && target != nil, "expected a version and a target, found %q and %q", version, target)
	for _, want := range []string{version, "rustup target add " + target[1],
		"cargo build --release --target " + target[1] + "\n"} {
		assert.True(t, strings.Contains(guide, want), "expected %q in the guide of plugins", want)
	}
}
