//go:build real

package delivery

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/e2etest"
)

// TestRealChaosOfAGroup has workers of a group killed, stopped, cut off, drained and given other plugins, settings,
// clocks and versions of the program, and brokers killed and started again in turn: half of that with exactly-once, and
// the other half without, which the next day has the other way round. With CULVERT_SOAK=1 there are 200 rounds, and who
// is stopped stands still for 30 seconds. CULVERT_SEED has a seed that failed.
func TestRealChaosOfAGroup(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	b := Brokers{Servers: c.Servers, Restart: c.restart, Whole: c.whole}
	seed, rounds := uint64(time.Now().Unix()/(24*60*60)), ExactRounds(0)
	if text := os.Getenv("CULVERT_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		e2etest.NoError(t, err)
		seed = n
	} else if rounds > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for _, name := range []string{"once", "least"} {
		t.Run(name, func(t *testing.T) { ChaosOfAGroup(t, b, name, name == "once", seed, rounds/2) })
	}
}
