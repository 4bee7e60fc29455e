package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	host "github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
)

// manySets are the settings of as many sets as their numbers allow.
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

// What the plugin says of the settings of a connector with all sets that it may have, each as wrong as it can be, is no
// more than the host takes.
func TestExaminedSettingsFit(t *testing.T) {
	settings := manySets("track-changes=x", "exec-period=x", "page.size=x", "format=x", "filter#00.option=x",
		"filter#01.option=x", "filter#02.option=x")
	if n := len(sourceconfig.Examine(configuration(settings...))); n < 30_000 || n > host.MaxExamined {
		t.Errorf("expected at most %d settings, found %d", host.MaxExamined, n)
	}
}

// So are the claims of a connector whose file is as large as a file may be (1 MiB).
func TestClaimsFit(t *testing.T) {
	settings := manySets("track-changes=1", "exec-period=60", "filter#00.property=P", "filter#00.option=eq",
		"filter#00.low="+strings.Repeat("v", 600))
	layout, err := plan(sourceconfig.Component, configuration(settings...), 1000)
	noError(t, err)
	file, claims := len(strings.Join(settings, "\n")), len(strings.Join(layout.Claims, ""))
	if len(layout.Claims) != 1000 || file < 800_000 || claims > host.MaxClaimBytes || claims > file {
		t.Errorf("%d claims of %d bytes for a file of %d", len(layout.Claims), claims, file)
	}
}

// maxSize bounds the guest, in bytes: growth is to be noticed. Most of it is Go's runtime, reflection for the cold
// calls, Java's regular expressions for delta.link.regex with Unicode's tables, math/big with fmt behind it, and half a
// megabyte of time zones.
const maxSize = 17 << 19

// TestGuest checks the guest's size. Tests of internal/run/source run the guest.
func TestGuest(t *testing.T) {
	info, err := os.Stat(guesttest.Build(t, "."))
	noError(t, err)
	t.Logf("the guest has %d bytes", info.Size())
	if info.Size() > maxSize {
		t.Errorf("expected a guest of at most %d bytes, found %d", maxSize, info.Size())
	}
}
