package operate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// validate --online tells what only the services know, of sources and of sinks, each at its file, line and setting; a
// wrong password is shown once. Without --online nothing is sent.
func TestValidateOnline(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{User: "me", Password: "geheim"})
	as := func(lines []string, more ...string) []string {
		return e2e.Instead(e2e.Instead(lines, "sap.odata.user.name=me", "sap.odata.user.pwd=geheim"), more...)
	}
	files := []string{
		p.File("good.properties", as(e2e.Source("good", address, "Orders"))...),
		p.File("set.properties", as(e2e.Source("set", address, "Ordres"))...),
		p.File("select.properties", as(e2e.Source("select", address, "Customers"), "sap.odata#00.select=CompanyNam")...),
		p.File("sink.properties", as(e2e.SinkOf("sink", address, "Orders", "OrderCopys"))...),
		p.File("written.properties", as(e2e.SinkOf("written", address, "Orders2", "OrderCopies"))...),
		p.File("password.properties", as(e2e.Source("password", address, "Products"), "sap.odata.user.pwd=falsch")...),
		p.File("offline.properties", as(e2e.Source("offline", address, "Nowhere"), "sap.odata#00.exec-period=0")...),
	}
	args := append([]string{"validate", "--plugins", e2e.Plugins(t, "odata-sink"), "--data", p.Data}, files...)
	if r := p.Run(args...); r.Code != 1 || strings.Count(r.Stdout, "\n") != 1 || s.Ledger().Total != 0 {
		t.Errorf("offline: exit %d, %d requests\n%s%s", r.Code, s.Ledger().Total, r.Stdout, r.Stderr)
	}
	r := p.Run(append(args, "--online", "--wait", "2m")...)
	want := []string{
		"set.properties:", "sap.odata#00.entityset: ", "the nearest name is Orders",
		"select.properties:", "sap.odata#00.select: ", "the nearest name is CompanyName",
		"sink.properties:", "sap.odata#00.entityset: ", "the nearest name is OrderCopies",
		"password.properties:", "sap.odata.user.pwd: ", "",
		"offline.properties:", "sap.odata#00.exec-period: ", "Invalid value 0",
	}
	for i := 0; i < len(want); i += 3 {
		found := false
		for line := range strings.Lines(r.Stdout) {
			found = found || strings.Contains(line, want[i]) && strings.Contains(line, want[i+1]) &&
				strings.Contains(line, want[i+2])
		}
		if !found {
			t.Errorf("expected a line with %q", want[i:i+3])
		}
	}
	r.Exits(1).Omits("falsch")
	if lines := strings.Count(r.Stdout, "\n"); lines != len(want)/3 {
		t.Errorf("expected %d lines, found %d\n%s", len(want)/3, lines, r.Stdout)
	}
	l := s.Ledger()
	if n := l.FailedLogonsOf["me"]; n != 1 {
		t.Errorf("expected 1 refused logon, found %d", n)
	}
	if l.Pages != 0 || len(l.Writes) != 0 {
		t.Errorf("a check read %d pages and wrote %d entities", l.Pages, len(l.Writes))
	}
}

// A service that is down is no mistake of a connector's, and is said: nobody takes it for checked.
func TestValidateOnlineWithoutTheService(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	address := e2e.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	p.Run("validate", "--plugins", e2e.Plugins(t), "--data", p.Data, "--online", "--wait", "2m",
		p.File("down.properties", e2e.Source("down", address, "Orders")...)).Exits(0).Prints("sap.odata.host.address: ",
		"not checked with the service: GET "+service.NorthwindPath+"$metadata: ", "503")
}
