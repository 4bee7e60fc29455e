package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// validate --online tells what only the services know, of sources and of sinks, each at its file, line and setting; a
// wrong password is shown once. Without --online nothing is sent.
func TestValidateOnline(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s, address := demo(t, service.Options{User: "me", Password: "geheim"})
	as := func(lines []string, more ...string) []string {
		return instead(instead(lines, "sap.odata.user.name=me", "sap.odata.user.pwd=geheim"), more...)
	}
	files := []string{
		p.file("good.properties", as(source("good", address, "Orders"))...),
		p.file("set.properties", as(source("set", address, "Ordres"))...),
		p.file("select.properties", as(source("select", address, "Customers"), "sap.odata#00.select=CompanyNam")...),
		p.file("sink.properties", as(sinkOf("sink", address, "Orders", "OrderCopys"))...),
		p.file("written.properties", as(sinkOf("written", address, "Orders2", "OrderCopies"))...),
		p.file("password.properties", as(source("password", address, "Products"), "sap.odata.user.pwd=falsch")...),
		p.file("offline.properties", as(source("offline", address, "Nowhere"), "sap.odata#00.exec-period=0")...),
	}
	args := append([]string{"validate", "--plugins", plugins(t, "odata-sink"), "--data", p.data}, files...)
	if r := p.run(args...); r.code != 1 || strings.Count(r.stdout, "\n") != 1 || s.Ledger().Total != 0 {
		t.Errorf("offline: exit %d, %d requests\n%s%s", r.code, s.Ledger().Total, r.stdout, r.stderr)
	}
	r := p.run(append(args, "--online", "--wait", "2m")...)
	want := []string{
		"set.properties:", "sap.odata#00.entityset: ", "the nearest name is Orders",
		"select.properties:", "sap.odata#00.select: ", "the nearest name is CompanyName",
		"sink.properties:", "sap.odata#00.entityset: ", "the nearest name is OrderCopies",
		"password.properties:", "sap.odata.user.pwd: ", "",
		"offline.properties:", "sap.odata#00.exec-period: ", "Invalid value 0",
	}
	for i := 0; i < len(want); i += 3 {
		found := false
		for line := range strings.Lines(r.stdout) {
			found = found || strings.Contains(line, want[i]) && strings.Contains(line, want[i+1]) &&
				strings.Contains(line, want[i+2])
		}
		if !found {
			t.Errorf("expected a line with %q", want[i:i+3])
		}
	}
	lines := strings.Count(r.stdout, "\n")
	if r.code != 1 || lines != len(want)/3 || strings.Contains(r.stdout+r.stderr, "falsch") {
		t.Errorf("exit %d, expected %d lines, found %d\n%s%s", r.code, len(want)/3, lines, r.stdout, r.stderr)
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
	p := newPlace(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	r := p.run("validate", "--plugins", plugins(t), "--data", p.data, "--online", "--wait", "2m",
		p.file("down.properties", source("down", strings.TrimPrefix(server.URL, "http://"), "Orders")...))
	if r.code != 0 || !strings.Contains(r.stdout, "sap.odata.host.address: ") ||
		!strings.Contains(r.stdout, "not checked with the service: GET "+service.NorthwindPath+"$metadata: ") ||
		!strings.Contains(r.stdout, "503") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
