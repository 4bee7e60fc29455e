package source

import (
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A worker, its restarts and commands send a wrong password once in all, whichever of them was rejected, and also if no
// home folder can be written to.
func TestRefusalsAreKept(t *testing.T) {
	t.Parallel()
	run := []string{"run", "--once"}
	ping := []string{"ping", "-s", strings.TrimSuffix(odatatest.SAPPath, "/")}
	doctor := []string{"doctor"}
	for name, c := range map[string]struct {
		environ  []string
		commands [][]string
	}{
		"a command first": {commands: [][]string{ping, run, doctor}},
		"no home":         {environ: []string{"XDG_CACHE_HOME=", "HOME=/dev/null"}, commands: [][]string{run, ping}},
	} {
		t.Run(name, func(t *testing.T) {
			p, s, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 10, User: "me", Password: "right",
				Switches: odatatest.Switches{LockAfter: 3}})
			file := p.File("c.properties", e2etest.WithLogon(e2etest.Source("c", address, "Suppliers"))...)
			p.Environ = c.environ
			for _, command := range c.commands {
				args := append(slices.Clone(command), "--data", p.Data, "--plugins", e2etest.Plugins(t))
				if command[0] == "run" {
					args = append(args, file)
				} else {
					args = append(args, "-p", file)
				}
				r := p.Run(args...)
				assert.True(t, r.Code == 1 && strings.Contains(r.Stdout+r.Stderr, "401"),
					"%v: expected exit 1 and the refusal, found %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
				e2etest.CheckNoPassword(t, r.Stdout, r.Stderr)
				if l := s.Ledger(); l.FailedLogons != 1 || l.Total != 1 {
					t.Fatalf("%v: expected one logon in all, the service counts %d in %d requests", args,
						l.FailedLogons, l.Total)
				}
			}
			assert.Len(t, 1, p.Refusals(), "refusal")
		})
	}
}
