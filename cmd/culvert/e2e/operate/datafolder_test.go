package operate

import (
	"fmt"
	"strings"
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
	c.Says("connector started")
	sent := s.Ledger().Total
	r := p.Once(worker, second)
	want := fmt.Sprintf("data folder %s: expected it for this worker alone, found another worker at work in it", p.Data)
	if pid := fmt.Sprintf("(process %d)", c.Process.Process.Pid); r.Code != 2 || !strings.Contains(r.LastLine(),
		want) ||
		!strings.Contains(r.LastLine(), pid) {
		t.Errorf("expected exit 2, %q and %s, found %d and %s", want, pid, r.Code, r.Stderr)
	}
	if strings.Contains(r.Stderr, "connector started") || s.Ledger().Total < sent {
		t.Errorf("expected nothing to be started, found\n%s", r.Stderr)
	}
	for _, args := range [][]string{
		{"validate", "--plugins", e2e.Plugins(t), "--data", p.Data, worker, second},
		{"ping", "-p", second, "-s", service.NorthwindPath, "--plugins", e2e.Plugins(t), "--data", p.Data},
		{"consume", "connect-offsets", "--data", p.Data, "-p", worker},
	} {
		if r := p.Run(args...); r.Code != 0 {
			t.Errorf("%s beside a worker: exit %d\n%s", args[0], r.Code, r.Stderr)
		}
	}
	c.Kill()
	if r := p.Once(worker, second); r.Code != 0 {
		t.Errorf("after kill -9: exit %d\n%s", r.Code, r.Stderr)
	}
}
