package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	host "github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// manySets returns the settings of the largest number of sets that a connector can have.
func manySets(each ...string) (settings []string) {
	for i := range 1000 {
		prefix := fmt.Sprintf("sap.odata#%03d.", i)
		settings = append(settings, prefix+"service=/s", fmt.Sprint(prefix, "entityset=X", i), prefix+"topic=t")
		for _, setting := range each {
			settings = append(settings, prefix+setting)
		}
	}
	return settings
}

// The messages of a validation fit into the host's limit, even if every setting of the largest number of sets is wrong.
func TestValidationFitsHostLimit(t *testing.T) {
	settings := manySets("track-changes=x", "exec-period=x", "page.size=x", "format=x", "filter#00.option=x",
		"filter#01.option=x", "filter#02.option=x")
	n := len(sourceconfig.V2.Examine(configuration(settings...)))
	assert.True(t, n >= 30_000 && n <= host.MaxExamined, "expected at most %d settings, found %d", host.MaxExamined, n)
}

// The claims of a connector with a configuration of the largest size (1 MiB) fit into the host's limit.
func TestClaimsFitHostLimit(t *testing.T) {
	settings := manySets("track-changes=1", "exec-period=60", "filter#00.property=P", "filter#00.option=eq",
		"filter#00.low="+strings.Repeat("v", 600))
	layout, err := plan(sourceconfig.V2.Class, configuration(settings...), 1000)
	require.NoError(t, err)
	file := len(strings.Join(settings, "\n"))
	claims := len(strings.Join(layout.Claims, ""))
	assert.True(t, len(layout.Claims) == 1000 && file >= 800_000 && claims <= host.MaxClaimBytes && claims <= file,
		"the %d claims have %d bytes, the configuration %d", len(layout.Claims), claims, file)
}

// maxSize bounds the guest in bytes, so that growth is noticed. Most of it is Go's runtime, reflection for rare calls,
// Java's regular expressions for delta.link.regex with Unicode's tables, math/big, fmt, and half a megabyte of time
// zones.
const maxSize = 80 << 17

// TestGuest checks the guest's size. The tests of internal/run/source run the guest.
func TestGuest(t *testing.T) {
	info, err := os.Stat(guesttest.Build(t, "."))
	require.NoError(t, err)
	t.Logf("the guest has %d bytes", info.Size())
	if info.Size() > maxSize {
		t.Errorf("expected a guest of at most %d bytes, found %d", maxSize, info.Size())
	}
}
