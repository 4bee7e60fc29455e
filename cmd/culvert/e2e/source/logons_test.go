package source

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A wrong password is sent once by a worker, its restarts and commands beside it, whichever of them is refused, and
// also if no home can be written to.
func TestRefusalsAreKept(t *testing.T) {
	t.Parallel()
	run, ping, doctor := []string{"run", "--once"}, []string{"ping", "-s", strings.TrimSuffix(odatatest.SAPPath, "/")},
		[]string{"doctor"}
	for name, c := range map[string]struct {
		environ  []string
		commands [][]string
	}{
		"a worker first":  {nil, [][]string{run, ping, doctor, run}},
		"a command first": {nil, [][]string{ping, run, doctor, ping, run}},
		"no home":         {[]string{"XDG_CACHE_HOME=", "HOME=/dev/null"}, [][]string{ping, run, doctor}},
		"none named":      {[]string{"XDG_CACHE_HOME=", "HOME="}, [][]string{run, ping}},
	} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "me", Password: "right",
				Switches: odatatest.Switches{LockAfter: 3}})
			file := p.File("c.properties", e2etest.AsMe(e2etest.Source("c", address, "Suppliers"))...)
			p.Environ = c.environ
			for _, command := range c.commands {
				args := append(slices.Clone(command), "--data", p.Data, "--plugins", e2etest.Plugins(t))
				if command[0] == "run" {
					args = append(args, file)
				} else {
					args = append(args, "-p", file)
				}
				r := p.Run(args...)
				if r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "401") {
					t.Errorf("%v: expected exit 1 and the refusal, found %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
				}
				e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
				if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
					t.Fatalf("%v: expected one logon in all, the service counts %d in %d requests", args,
						l.FailedLogons, l.Total)
				}
			}
			if len(p.Refusals()) != 1 {
				t.Errorf("expected one refusal, found %v", p.Refusals())
			}
		})
	}
}

// Commands that begin at once send a wrong password once.
func TestCommandsAtOnce(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "me", Password: "right"})
	file := p.File("c.properties", e2etest.AsMe(e2etest.Source("c", address, "Suppliers"))...)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			data := t.TempDir()
			p.Run("ping", "-p", file, "--data", data, "--plugins", e2etest.Plugins(t), "-s",
				strings.TrimSuffix(odatatest.SAPPath, "/")).Exits(1)
		})
	}
	wg.Wait()
	if l := s.Ledger(); l.FailedLogons != 1 {
		t.Errorf("expected one logon, the service counts %d", l.FailedLogons)
	}
}

// One 401 of an application server that restarts shuts the gate for 20 connectors, a command beside them and a restart,
// though the password is right: the service counts one. All go on once an operator says so.
func TestOneRefusalShutsTheGate(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 40, User: "me", Password: e2etest.Password})
	listen := porttest.Address(t)
	args := []string{"run", "--plugins", e2etest.Plugins(t), "--data", p.Data, p.File("worker.properties",
		"bootstrap.servers=embedded", "listeners=http://"+listen)}
	const connectors = 20
	name := func(i int) string { return "c" + string(rune('a'+i)) }
	for i := range connectors {
		args = append(args, p.File(name(i)+".properties", e2etest.AsMe(e2etest.Source(name(i), address, "Customers"),
			"sap.odata#00.topic="+name(i), "sap.odata#00.exec-period=2")...))
	}
	all := func(want connect.State) func() bool {
		return func() bool {
			for i := range connectors {
				if e2etest.TaskOf(t, listen, name(i)).State != want {
					return false
				}
			}
			return true
		}
	}
	c := p.Start(args...)
	c.Eventually("RUNNING", all(connect.Running))
	s.Set("status-count", "1")
	s.Set("status", "401")
	c.Eventually("FAILED", all(connect.Failed))
	p.Run("ping", "-p", args[len(args)-1], "--data", p.Data, "--plugins", e2etest.Plugins(t), "-s",
		strings.TrimSuffix(odatatest.SAPPath, "/")).Exits(1).Says("is not sent again")
	c.MustStop()
	c = p.Start(args...)
	c.Eventually("FAILED after a restart", all(connect.Failed))
	e2etest.Equal(t, "refusals at the service", 1, s.Ledger().Statuses[401])
	p.Run("connectors", "lockouts", "resume", "--url", "http://"+listen).Exits(0)
	c.Eventually("RUNNING after a resume", all(connect.Running))
	c.MustStop()
	e2etest.Equal(t, "refusals at the service", 1, s.Ledger().Statuses[401])
}
