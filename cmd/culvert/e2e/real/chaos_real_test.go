//go:build real

package real

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
)

// TestRealChaosOfAGroup has workers of a group killed, stopped, cut off, drained and given other plugins, settings,
// clocks and versions of the program, and brokers killed, six times with exactly-once and six times without: 200 times
// with CULVERT_SOAK=1, where who is stopped stands still for 30 seconds. CULVERT_SEED has a seed that failed.
func TestRealChaosOfAGroup(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	b := e2e.Brokers{Servers: c.Servers, Kill: func(w *e2e.Command, node int, meanwhile func()) {
		c.restart(w, node, syscall.SIGKILL, meanwhile)
	}}
	seed, rounds := uint64(26), e2e.ExactRounds(12)
	if text := os.Getenv("CULVERT_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		e2e.NoError(t, err)
		seed = n
	} else if rounds > 12 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, name := range []string{"once", "least"} {
		t.Run(name, func(t *testing.T) { e2e.ChaosOfAGroup(t, b, name, name == "once", seed, rounds/2) })
	}
}
