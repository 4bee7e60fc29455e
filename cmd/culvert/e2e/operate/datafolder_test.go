package operate

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A data folder is one worker's. What only reads goes on next to it, and a worker that is killed leaves nothing in the
// next one's way.
func TestSecondWorkerOnADataFolder(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10})
	broker := e2etest.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	first := p.File("first.properties", e2etest.Source("first", address, "Orders")...)
	second := p.File("second.properties", e2etest.Source("second", address, "Products")...)
	c := p.Start("run", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, first)
	c.Awaits("connector started")
	sent := s.Ledger().Total
	p.Once(worker, second).Exits(2).Omits("connector started").LastLineHas(
		fmt.Sprintf("data folder %s: expected it for this worker alone, found another worker at work in it", p.Data),
		fmt.Sprintf("(process %d)", c.Process.Process.Pid))
	if s.Ledger().Total < sent {
		t.Error("expected nothing to be started")
	}
	for _, args := range [][]string{
		{"validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker, second},
		{"ping", "-p", second, "-s", odatatest.NorthwindPath, "--plugins", e2etest.Plugins(t), "--data", p.Data},
		{"consume", "connect-offsets", "--data", p.Data, "-p", worker},
	} {
		p.Run(args...).Exits(0)
	}
	c.Kill()
	p.Once(worker, second).Exits(0)
}
