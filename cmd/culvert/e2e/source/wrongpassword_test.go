package source

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// T3: a service locks a user after three failures. Connectors whose tasks go on by themselves, and validations by REST
// next to them, show it a wrong password once; another one in its file has all of them go on. The long form has 20
// connectors and 100 validations.
func TestSoakWrongPassword(t *testing.T) {
	t.Parallel()
	connectors, validations := e2etest.OneOf(20, 4), e2etest.OneOf(100, 12)
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{Rows: 20, User: "me", Password: "right",
		Switches: odatatest.Switches{LockAfter: 3}})
	secrets := p.File("secrets.properties", "pwd="+e2etest.Password)
	settings := func(name string) []string {
		return e2etest.AsMe(e2etest.Source(name, address, "Suppliers"), "sap.odata.user.pwd=${file:"+secrets+":pwd}",
			"sap.odata#00.topic="+name, "sap.odata.max.retries=3", "sap.odata.min.retry.backoff.ms=1",
			"sap.odata.max.retry.backoff.ms=2")
	}
	for i := range connectors {
		p.File(fmt.Sprintf("conf/c%02d.properties", i), settings(fmt.Sprintf("c%02d", i))...)
	}
	f := p.Follows("conf")
	f.Ready()
	var beside sync.WaitGroup
	const together = 4
	for n := range together {
		beside.Go(func() {
			for i := n; i < validations; i += together {
				f.Call("PUT", "/connector-plugins/ODataSource/config/validate",
					e2etest.AsJSON(t, e2etest.Configuration(settings(fmt.Sprintf("new%d", i)))))
			}
		})
	}
	beside.Wait()
	all := func(state connect.State) {
		t.Helper()
		for i := range connectors {
			f.Await(fmt.Sprintf("c%02d", i), string(state), func(s connect.Status) bool {
				return len(s.Tasks) == 1 && s.Tasks[0].State == state
			})
		}
	}
	all(connect.Failed)
	if l := s.Ledger(); l.FailedLogons != 1 {
		t.Fatalf("expected one logon with the wrong password, the service counts %d", l.FailedLogons)
	}
	e2etest.NoError(t, os.WriteFile(secrets, []byte("pwd=right\n"), 0o600))
	all(connect.Running)
	for i := range connectors {
		name := fmt.Sprintf("c%02d", i)
		f.Eventually("rows of "+name, func() bool { return f.Rows(name) == s.Count("Suppliers") })
	}
	f.MustStop()
	if l := s.Ledger(); l.FailedLogons != 1 || l.SessionsOpen != 0 {
		t.Errorf("expected nothing but the one refusal and no session, found %d, %+v", l.FailedLogons, l.Sessions)
	}
}
