package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/porttest"
)

// A refusal is known to every command of the user, whatever its data folder; where no home can be written, to those
// that share one, and that is said.
func TestRefusalsAreAUsers(t *testing.T) {
	t.Parallel()
	for name, environ := range map[string][]string{"home": nil, "no home": {"XDG_CACHE_HOME=", "HOME=/dev/null"},
		"none named": {"XDG_CACHE_HOME=", "HOME="}} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			s, address := demo(t, service.Options{Rows: 10, User: "me", Password: "right",
				Switches: service.Switches{LockAfter: 3}})
			file := p.file("c.properties", instead(source("c", address, "Suppliers"), "sap.odata.user.name=me",
				"sap.odata.user.pwd="+password)...)
			folder := func(name string) string {
				if environ != nil {
					return p.data
				}
				return filepath.Join(p.dir, name)
			}
			p.environ = environ
			path := strings.TrimSuffix(service.SAPPath, "/")
			for i, args := range [][]string{
				{"ping", "-p", file, "--data", folder("a"), "-s", path},
				{"run", "--once", "--data", folder("b"), file},
				{"doctor", "-p", file, "--data", folder("c")},
				{"ping", "-p", file, "--data", folder("d"), "-s", path},
				{"run", "--once", "--data", folder("b"), file},
			} {
				r := p.run(append(args, "--plugins", plugins(t))...)
				if r.code != 1 || !strings.Contains(r.stdout+r.stderr, "401") {
					t.Errorf("%v: expected exit 1 and the refusal, found %d\n%s%s", args, r.code, r.stdout, r.stderr)
				}
				withoutPassword(t, r.stdout, r.stderr)
				if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
					t.Fatalf("%v: expected one logon in all, the service counts %d in %d requests", args,
						l.FailedLogons, l.Total)
				}
				warned := strings.Contains(r.stderr, "refused logons are kept in the data folder")
				if quiet := args[0] == "doctor"; warned != (environ != nil && !quiet) {
					t.Errorf("%d %v: warned of the data folder: %v\n%s", i, args, warned, r.stderr)
				}
			}
			if environ != nil {
				if files, _ := filepath.Glob(filepath.Join(p.data, "logons", "*.refused")); len(files) != 1 ||
					len(p.refusals()) != 0 {
					t.Errorf("expected the refusal in the data folder, found %v", files)
				}
				return
			}
			if len(p.refusals()) != 1 {
				t.Errorf("expected one refusal, found %v", p.refusals())
			}
			info, err := os.Stat(filepath.Dir(p.refusals()[0]))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("expected mode 0700, found %v, %v", info.Mode(), err)
			}
		})
	}
}

// Commands that begin at once send a wrong password once.
func TestCommandsAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 10, User: "me", Password: "right"})
	file := p.file("c.properties", instead(source("c", address, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd="+password)...)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			data := t.TempDir()
			if r := p.run("ping", "-p", file, "--data", data, "--plugins", plugins(t), "-s",
				strings.TrimSuffix(service.SAPPath, "/")); r.code != 1 {
				t.Errorf("expected exit 1, found %d\n%s", r.code, r.stderr)
			}
		})
	}
	wg.Wait()
	if l := s.Ledger(); l.FailedLogons != 1 {
		t.Errorf("expected one logon, the service counts %d", l.FailedLogons)
	}
}

// One 401 of a password that works, as of an application server that restarts, stops nobody; one that is wrong from now
// on is sent once more, by 20 connectors, a command beside them and a restart together.
func TestOneRefusalStopsNobody(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := service.New(service.Options{Rows: 40, User: "me", Password: password, Switches: service.Switches{Status: 401,
		StatusCount: 0}})
	// From a poll of the first connector on the password is wrong: all others have just polled and rest for a while, so
	// that nothing is under way beside it.
	var armed atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Suppliers") && armed.CompareAndSwap(true, false) {
			s.Set("status-count", "1000000")
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	listen := porttest.Address(t)
	worker := p.file("worker.properties", "bootstrap.servers=embedded", "listeners=http://"+listen)
	var files []string
	for i := range 20 {
		name, set, period := "c"+string(rune('a'+i)), "Customers", 15
		if i == 0 {
			set, period = "Suppliers", 1
		}
		files = append(files, p.file(name+".properties", instead(source(name, address, set), "sap.odata.user.name=me",
			"sap.odata.user.pwd="+password,
			"sap.odata#00.topic="+name, fmt.Sprint("sap.odata#00.exec-period=", period))...))
	}
	args := append([]string{"run", "--plugins", plugins(t), "--data", p.data, worker}, files...)
	all := func(want connect.State) func() bool {
		return func() bool {
			for i := range files {
				var status connect.Status
				if get(t, "http://"+listen+"/connectors/c"+string(rune('a'+i))+"/status", &status) != 200 ||
					len(status.Tasks) != 1 ||
					status.Tasks[0].State != want {
					return false
				}
			}
			return true
		}
	}
	c := p.start(args...)
	c.eventually("RUNNING", all(connect.Running))
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
	c.eventually("polls of all", polls(1))
	s.Set("status-count", "1")
	c.eventually("the second try", func() bool {
		return strings.Contains(c.stderr.String(),
			"tried once more in a fresh session")
	})
	c.eventually("more polls of all", polls(2))
	// The doubt stands in a file until the second try was answered.
	c.eventually("all to go on without a refusal", func() bool {
		return all(connect.Running)() && len(p.refusals()) == 0
	})
	armed.Store(true)
	c.eventually("FAILED", all(connect.Failed))
	c.signal(syscall.SIGTERM)
	if r := c.wait(); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	for _, args := range [][]string{
		{"ping", "-p", files[3], "--data", p.data, "-s", strings.TrimSuffix(service.SAPPath, "/")},
		{"run", "--once", "--data", p.data, worker, files[4]},
	} {
		if r := p.run(append(args, "--plugins", plugins(t))...); r.code != 1 {
			t.Errorf("%v: expected exit 1, found %d\n%s", args, r.code, r.stderr)
		}
	}
	if n := s.Ledger().Statuses[401]; n != 3 { // one of a server that restarts, two of the password
		t.Errorf("expected 3 refusals in all, the service counts %d", n)
	}
}
