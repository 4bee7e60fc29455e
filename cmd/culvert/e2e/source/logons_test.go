package source

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A refusal is known to every command of the user, whatever its data folder; where no home can be written, to those
// that share one, and that is said.
func TestRefusalsAreAUsers(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{"home": nil, "no home": {"XDG_CACHE_HOME=", "HOME=/dev/null"},
		"none named": {"XDG_CACHE_HOME=", "HOME="}} {
		t.Run(name, func(t *testing.T) {
			p := e2etest.NewPlace(t)
			s, address := e2etest.Demo(t, odatatest.Options{Rows: 10, User: "me", Password: "right",
				Switches: odatatest.Switches{LockAfter: 3}})
			file := p.File("c.properties", e2etest.AsMe(e2etest.Source("c", address, "Suppliers"))...)
			folder := func(name string) string {
				if environ != nil {
					return p.Data
				}
				return filepath.Join(p.Dir, name)
			}
			p.Environ = environ
			path := strings.TrimSuffix(odatatest.SAPPath, "/")
			for i, args := range [][]string{
				{"ping", "-p", file, "--data", folder("a"), "-s", path},
				{"run", "--once", "--data", folder("b"), file},
				{"doctor", "-p", file, "--data", folder("c")},
				{"ping", "-p", file, "--data", folder("d"), "-s", path},
				{"run", "--once", "--data", folder("b"), file},
			} {
				r := p.Run(append(args, "--plugins", e2etest.Plugins(t))...)
				if r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "401") {
					t.Errorf("%v: expected exit 1 and the refusal, found %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
				}
				e2etest.WithoutPassword(t, r.Stdout, r.Stderr)
				if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
					t.Fatalf("%v: expected one logon in all, the service counts %d in %d requests", args,
						l.FailedLogons, l.Total)
				}
				warned := strings.Contains(r.Stderr, "refused logons are kept in the data folder")
				if quiet := args[0] == "doctor"; warned != (environ != nil && !quiet) {
					t.Errorf("%d %v: warned of the data folder: %v\n%s", i, args, warned, r.Stderr)
				}
			}
			if environ != nil {
				if files, _ := filepath.Glob(filepath.Join(p.Data, "logons", "*.refused")); len(files) != 1 ||
					len(p.Refusals()) != 0 {
					t.Errorf("expected the refusal in the data folder, found %v", files)
				}
				return
			}
			if len(p.Refusals()) != 1 {
				t.Errorf("expected one refusal, found %v", p.Refusals())
			}
			info, err := os.Stat(filepath.Dir(p.Refusals()[0]))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("expected mode 0700, found %v, %v", info.Mode(), err)
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

// One 401 of a password that works, as of an application server that restarts, stops nobody; one that is wrong from now
// on is sent once more, by 20 connectors, a command next to them and a restart together.
func TestOneRefusalStopsNobody(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s := odatatest.New(odatatest.Options{Rows: 40, User: "me", Password: e2etest.Password,
		Switches: odatatest.Switches{Status: 401, StatusCount: 0}})
	// From a poll of the first connector on the password is wrong: all others have just polled and rest for a while, so
	// that nothing is under way next to it.
	var armed atomic.Bool
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Suppliers") && armed.CompareAndSwap(true, false) {
			s.Set("status-count", "1000000")
		}
		s.ServeHTTP(w, r)
	}))
	listen := porttest.Address(t)
	worker := p.File("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	var files []string
	for i := range 20 {
		name, set, period := "c"+string(rune('a'+i)), "Customers", 15
		if i == 0 {
			set, period = "Suppliers", 1
		}
		files = append(files, p.File(name+".properties", e2etest.AsMe(e2etest.Source(name, address, set),
			"sap.odata#00.topic="+name, fmt.Sprint("sap.odata#00.exec-period=", period))...))
	}
	args := append([]string{"run", "--plugins", e2etest.Plugins(t), "--data", p.Data, worker}, files...)
	all := func(want connect.State) func() bool {
		return func() bool {
			for i := range files {
				if e2etest.TaskOf(t, listen, "c"+string(rune('a'+i))).State != want {
					return false
				}
			}
			return true
		}
	}
	c := p.Start(args...)
	c.Eventually("RUNNING", all(connect.Running))
	polls := func(times int) func() bool {
		return func() bool {
			n := 0
			for _, r := range s.Ledger().Requests {
				if strings.HasSuffix(r.Path, "/Customers") && r.Status == http.StatusOK {
					n++
				}
			}
			return n >= times*(len(files)-1)
		}
	}
	c.Eventually("polls of all", polls(1))
	s.Set("status-count", "1")
	c.Awaits("tried once more in a fresh session")
	c.Eventually("more polls of all", polls(2))
	// The doubt stands in a file until the second try was answered.
	c.Eventually("all to go on without a refusal", func() bool {
		return all(connect.Running)() && len(p.Refusals()) == 0
	})
	armed.Store(true)
	c.Eventually("FAILED", all(connect.Failed))
	c.MustStop()
	for _, args := range [][]string{
		{"ping", "-p", files[3], "--data", p.Data, "-s", strings.TrimSuffix(odatatest.SAPPath, "/")},
		{"run", "--once", "--data", p.Data, worker, files[4]},
	} {
		p.Run(append(args, "--plugins", e2etest.Plugins(t))...).Exits(1)
	}
	if n := s.Ledger().Statuses[401]; n != 3 { // one of a server that restarts, two of the password
		t.Errorf("expected 3 refusals in all, the service counts %d", n)
	}
}
