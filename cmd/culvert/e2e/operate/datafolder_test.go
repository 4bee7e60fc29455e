package operate

import (
	"fmt"
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A data folder is one worker's. What only reads goes on next to it, and a worker that is killed leaves nothing in the
// next one's way.
func TestSecondWorkerOnADataFolder(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{Rows: 10})
	broker := e2e.Embedded(t).Addr()
	worker := p.File("worker.properties", "bootstrap.servers="+broker, "listeners=")
	first := p.File("first.properties", e2e.Source("first", address, "Orders")...)
	second := p.File("second.properties", e2e.Source("second", address, "Products")...)
	c := p.Start("run", "--plugins", e2e.Plugins(t), "--data", p.Data, worker, first)
	c.Awaits("connector started")
	sent := s.Ledger().Total
	p.Once(worker, second).Exits(2).Omits("connector started").LastLineHas(
		fmt.Sprintf("data folder %s: expected it for this worker alone, found another worker at work in it", p.Data),
		fmt.Sprintf("(process %d)", c.Process.Process.Pid))
	if s.Ledger().Total < sent {
		t.Error("expected nothing to be started")
	}
	for _, args := range [][]string{
		{"validate", "--plugins", e2e.Plugins(t), "--data", p.Data, worker, second},
		{"ping", "-p", second, "-s", service.NorthwindPath, "--plugins", e2e.Plugins(t), "--data", p.Data},
		{"consume", "connect-offsets", "--data", p.Data, "-p", worker},
	} {
		p.Run(args...).Exits(0)
	}
	c.Kill()
	p.Once(worker, second).Exits(0)
}
