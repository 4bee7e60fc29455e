package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/connect"
)

// T3: a service locks a user after three failures. Connectors whose tasks go on by themselves, and validations by REST
// beside them, show it a wrong password once; another one in its file has all of them go on. The long form has 20
// connectors and 100 validations.
func TestSoakWrongPassword(t *testing.T) {
	t.Parallel()
	connectors, validations := oneOf(20, 4), oneOf(100, 12)
	p := newPlace(t)
	s, address := demo(t, service.Options{Rows: 20, User: "me", Password: "right",
		Switches: service.Switches{LockAfter: 3}})
	secrets := p.file("secrets.properties", "pwd="+password)
	settings := func(name string) []string {
		return instead(source(name, address, "Suppliers"), "sap.odata.user.name=me",
			"sap.odata.user.pwd=${file:"+secrets+":pwd}",
			"sap.odata#00.topic="+name, "sap.odata.max.retries=3", "sap.odata.min.retry.backoff.ms=1",
			"sap.odata.max.retry.backoff.ms=2")
	}
	p.subfolder("conf")
	for i := range connectors {
		p.file(fmt.Sprintf("conf/c%02d.properties", i), settings(fmt.Sprintf("c%02d", i))...)
	}
	f := p.follows("conf")
	f.ready()
	var beside sync.WaitGroup
	const together = 4
	for n := range together {
		beside.Go(func() {
			for i := n; i < validations; i += together {
				f.call("PUT", "/connector-plugins/ODataSource/config/validate",
					asJSON(t, configuration(settings(fmt.Sprintf("new%d", i)))))
			}
		})
	}
	beside.Wait()
	all := func(state connect.State) {
		t.Helper()
		for i := range connectors {
			f.await(fmt.Sprintf("c%02d", i), string(state), func(s connect.Status) bool {
				return len(s.Tasks) == 1 && s.Tasks[0].State == state
			})
		}
	}
	all(connect.Failed)
	if l := s.Ledger(); l.FailedLogons != 1 {
		t.Fatalf("expected one logon with the wrong password, the service counts %d", l.FailedLogons)
	}
	if err := os.WriteFile(secrets, []byte("pwd=right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all(connect.Running)
	for i := range connectors {
		name := fmt.Sprintf("c%02d", i)
		f.eventually("rows of "+name, func() bool { return f.rows(name) == s.Count("Suppliers") })
	}
	f.signal(syscall.SIGTERM)
	if r := f.wait(); r.code != 0 {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if l := s.Ledger(); l.FailedLogons != 1 || l.SessionsOpen != 0 {
		t.Errorf("expected nothing but the one refusal and no session, found %d, %+v", l.FailedLogons, l.Sessions)
	}
}
