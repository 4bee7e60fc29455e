package main

import (
	"os"
	"testing"

	"github.com/culvert-project/culvert/host/plugin/guesttest"
)

// maxSize bounds the guest, in bytes: growth is to be noticed. Most of it is Go's runtime, reflection for the cold
// calls, Java's regular expressions for delta.link.regex with Unicode's tables, math/big with fmt behind it, and half a
// megabyte of time zones.
const maxSize = 17 << 19

// TestGuest checks the guest's size. Tests of host/internal/run/source run the guest.
func TestGuest(t *testing.T) {
	info, err := os.Stat(guesttest.Build(t, "."))
	noError(t, err)
	t.Logf("the guest has %d bytes", info.Size())
	if info.Size() > maxSize {
		t.Errorf("expected a guest of at most %d bytes, found %d", maxSize, info.Size())
	}
}
