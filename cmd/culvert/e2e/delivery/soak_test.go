package delivery

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// Connectors are created and deleted by REST: with `terminate` no subscription and no queue of changes remains, with
// `keep` all remain.
func TestSoakDeletedConnectors(t *testing.T) {
	t.Parallel()
	p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, Subscriptions: true})
	_, port, _ := net.SplitHostPort(porttest.Address(t))
	f := p.StartWorker("conf")
	isOpen := func() bool { return IsQueueOpen(t, address) }
	connectors := e2etest.LongOrShort(50, 4)
	for _, c := range []struct {
		onDelete      string
		subscriptions int // that remain
	}{
		{onDelete: "terminate", subscriptions: 0},
		{onDelete: "keep", subscriptions: 3 * connectors},
	} {
		names := []string{c.onDelete + "-queue"}
		f.Create(e2etest.DeltaSource(names[0], address, odatatest.ODPPath, "FactsOfProducts",
			"sap.odata.delta.takeover=true", "on.delete="+c.onDelete)...)
		for i := range connectors {
			name := fmt.Sprint(c.onDelete, i)
			f.Create(e2etest.NotificationSource(name, address, port, "sap.odata#00.track-changes=1",
				"sap.odata.user.name="+name, "on.delete="+c.onDelete)...)
			names = append(names, name)
		}
		for _, name := range names {
			f.Await(name, "runs", e2etest.IsRunning)
		}
		f.Eventually("all subscriptions and a queue", func() bool {
			return s.SubscriptionCount() == 3*connectors && isOpen()
		})
		for _, name := range names {
			f.MustCall(204, "DELETE", "/connectors/"+name, "")
		}
		f.Eventually("connectors that are gone", func() bool { return len(f.ConnectorNames()) == 0 })
		f.Eventually(fmt.Sprintf("%d subscriptions", c.subscriptions), func() bool {
			return s.SubscriptionCount() == c.subscriptions && isOpen() == (c.subscriptions > 0)
		})
	}
	f.MustStop()
	if s.SubscriptionCount() != 3*connectors || !isOpen() {
		t.Errorf("expected %d subscriptions and a queue, found %d and %t", 3*connectors, s.SubscriptionCount(),
			isOpen())
	}
	files, err := filepath.Glob(filepath.Join(p.Dir, "conf", "*"))
	assert.True(t, err == nil && len(files) <= 1, "expected only the worker's file, found %v, %v", files, err)
}

// An ODP service needs longer for its first byte than it may be silent otherwise, and the worker is killed in the
// meantime: the extraction continues at the service, and the worker waits for its end.
func TestSoakFirstByteComesLate(t *testing.T) {
	t.Parallel()
	p, worker, _ := e2etest.NewPlaceForNotifications(t)
	s, address := e2etest.StartDemo(t, odatatest.Options{Rows: 300,
		Switches: odatatest.Switches{Job: e2etest.LongOrShort(90*time.Second, 3*time.Second)}})
	lines := e2etest.DeltaSource("late", address, odatatest.ODPPath, "FactsOfProducts",
		fmt.Sprint("sap.odata.connection.read.timeout.ms=", e2etest.LongOrShort(30*time.Second,
			time.Second).Milliseconds()))
	for i, line := range lines {
		if strings.HasPrefix(line, "sap.odata.max.retries=") {
			lines[i] = "sap.odata.max.retries=1000" // other requests may be slow on a busy machine
		}
	}
	file := p.File("late.properties", lines...)
	run := func() *e2etest.Command {
		return p.Start("run", "--data", p.Data, "--plugins", e2etest.Plugins(t), worker, file)
	}
	c := run()
	c.Eventually("a job", func() bool { return s.Ledger().Jobs == 1 })
	<-time.After(e2etest.LongOrShort(60*time.Second, 0))
	c.Kill()
	c = run()
	c.AwaitEqual(p, s, "late", "in the end")
	c.MustStop()
	if l := s.Ledger(); l.Jobs != 1 || l.Terminated != 0 {
		t.Errorf("expected 1 job that was not terminated, found %d jobs, %d terminated", l.Jobs, l.Terminated)
	}
}
