package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A data folder is one worker's. What only reads goes on beside it, and a worker that is killed leaves nothing in the
// next one's way.
func TestSecondWorkerOnADataFolder(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10})
	broker := embedded(t).Addr()
	worker := p.file("worker.properties", "bootstrap.servers="+broker, "listeners=")
	first := p.file("first.properties", source("first", address, "Orders")...)
	second := p.file("second.properties", source("second", address, "Products")...)
	c := p.start("run", "--plugins", plugins(t), "--data", p.data, worker, first)
	c.says("connector started")
	sent := s.Ledger().Total
	r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, worker, second)
	want := fmt.Sprintf("data folder %s: expected it for this worker alone, found another worker at work in it", p.data)
	if pid := fmt.Sprintf("(process %d)", c.process.Process.Pid); r.code != 2 || !strings.Contains(r.lastLine(),
		want) ||
		!strings.Contains(r.lastLine(), pid) {
		t.Errorf("expected exit 2, %q and %s, found %d and %s", want, pid, r.code, r.stderr)
	}
	if strings.Contains(r.stderr, "connector started") || s.Ledger().Total < sent {
		t.Errorf("expected nothing to be started, found\n%s", r.stderr)
	}
	for _, args := range [][]string{
		{"validate", "--plugins", plugins(t), "--data", p.data, worker, second},
		{"ping", "-p", second, "-s", service.NorthwindPath, "--plugins", plugins(t), "--data", p.data},
		{"consume", "connect-offsets", "--data", p.data, "-p", worker},
	} {
		if r := p.run(args...); r.code != 0 {
			t.Errorf("%s beside a worker: exit %d\n%s", args[0], r.code, r.stderr)
		}
	}
	c.signal(syscall.SIGKILL)
	c.wait()
	if r := p.run("run", "--once", "--plugins", plugins(t), "--data", p.data, worker, second); r.code != 0 {
		t.Errorf("after kill -9: exit %d\n%s", r.code, r.stderr)
	}
}
