package operate

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/porttest"
)

// sapSource is a configuration for the demo's SAP service, which asks for a logon.
func sapSource(address, password string, more ...string) map[string]string {
	host, port, _ := net.SplitHostPort(address)
	settings := map[string]string{"name": "new", "connector.class": "ODataSource", "sap.odata.host.protocol": "http",
		"sap.odata.host.address": host,
		"sap.odata.host.port":    port, "sap.odata.user.name": "me", "sap.odata.user.pwd": password}
	maps.Copy(settings, e2e.Configuration(more))
	return settings
}

// A check by REST asks the service: what can stand in a setting, which settings come next, what is wrong there. It asks
// each question once in a minute, and shows a wrong password once. A connector has shown that the right one is right.
func TestValidationAsksTheService(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{User: "me", Password: "geheim",
		Switches: service.Switches{Catalogue: 10_000}})
	p.File("conf/known.properties", e2e.Instead(e2e.Source("known", address, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=geheim", "sap.odata#00.exec-period=-1")...)
	f := p.Follows("conf")
	f.Ready()
	f.Eventually("rows", func() bool { return f.Rows("known") == s.Count("Suppliers") })

	root := strings.TrimSuffix(service.SAPPath, "/")
	v, by := f.CheckedInTime(sapSource(address, "geheim"), func(by map[string]check.Validated) bool {
		return len(by["sap.odata#00.service"].Value.Recommended) > 0
	})
	if c := by["sap.odata#00.service"]; !c.Value.Visible || !slices.Contains(c.Value.Recommended, root) ||
		len(c.Value.Recommended) != 1000 {
		t.Errorf("services: %d errors, found %v, %.300v", v.Errors, c.Value.Visible, c.Value.Recommended)
	}
	set := []string{"sap.odata#00.service=" + root, "sap.odata#00.entityset=Orders", "sap.odata#00.topic=orders"}
	v, by = f.CheckedInTime(sapSource(address, "geheim", set...), func(by map[string]check.Validated) bool {
		return len(by["sap.odata#00.select"].Value.Recommended) > 0
	})
	if c := by["sap.odata#00.select"]; v.Errors != 0 || !slices.Contains(c.Value.Recommended, "ShipCity") ||
		!by["sap.odata#01.service"].Value.Visible ||
		by["sap.odata#00.deletes"].Value.Visible || !slices.Contains(v.Groups, "Entity set 01") {
		t.Errorf("%d errors, found %v", v.Errors, c.Value.Recommended)
	}
	asked := s.Ledger().Total
	if f.Checked(sapSource(address, "geheim", set...)); s.Ledger().Total != asked {
		t.Errorf("expected the answers to be remembered, found %d requests after %d", s.Ledger().Total, asked)
	}
	v, by = f.Checked(sapSource(address, "geheim", append(set, "sap.odata#00.entityset=Ordres",
		"sap.odata#00.filter#00.property=x",
		"sap.odata#00.filter#00.option=eq", "sap.odata#00.filter#00.low=1")...))
	if text := strings.Join(by["sap.odata#00.entityset"].Value.Errors, ""); v.Errors != 1 || !strings.Contains(text,
		"the nearest name is Orders") {
		t.Errorf("%d errors, found %s", v.Errors, text)
	}

	// A wrong password is shown to the service once, and the refusal stands at its setting.
	f.CheckedInTime(sapSource(address, "falsch", set...), func(by map[string]check.Validated) bool {
		return len(by["sap.odata.user.pwd"].Value.Errors) > 0
	})
	for range 4 {
		v, by = f.Checked(sapSource(address, "falsch", set...))
		if text := strings.Join(by["sap.odata.user.pwd"].Value.Errors, ""); v.Errors != 1 || !strings.Contains(text,
			"me") ||
			strings.Contains(fmt.Sprint(by), "falsch") {
			t.Errorf("%d errors, found %q", v.Errors, text)
		}
	}
	if n := s.Ledger().FailedLogonsOf["me"]; n != 1 {
		t.Errorf("expected 1 refused logon, found %d", n)
	}

	// Without a password nothing is sent.
	asked = s.Ledger().Total
	if v, _ = f.Checked(sapSource(address, "", set...)); v.Errors != 0 || s.Ledger().Total != asked {
		t.Errorf("%d errors, %d requests after %d", v.Errors, s.Ledger().Total, asked)
	}
	f.Stop()
}

// A form that checks with each letter of a password locks nobody: an unfinished one is not shown to the service, nor
// more than one that two checks in a row brought, or that its sender says is right.
func TestTypingAPasswordLocksNobody(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{User: "me", Password: "sesame", Switches: service.Switches{LockAfter: 3}})
	f := p.Follows("conf")
	f.Ready()
	const setting, untried = "sap.odata.user.pwd", "Logon not tried: "
	set := []string{"sap.odata#00.service=" + strings.TrimSuffix(service.SAPPath, "/"), "sap.odata#00.entityset=Orders",
		"sap.odata#00.topic=orders"}
	offline := func(typed string, by map[string]check.Validated) {
		t.Helper()
		c := by[setting]
		if len(c.Value.Errors) != 0 || !strings.Contains(c.Definition.Documentation, untried) ||
			len(by["sap.odata#00.select"].Value.Recommended) > 0 {
			t.Errorf("%q: expected it not to be tried, found %v, %s", typed, c.Value.Errors, c.Definition.Documentation)
		}
	}
	const password = "sesame"
	for i := range password {
		typed := password[:i+1]
		_, by := f.Checked(sapSource(address, typed, set...))
		offline(typed, by)
	}
	if n := s.Ledger().Total; n != 0 {
		t.Fatalf("expected nothing to be sent, found %d requests", n)
	}
	v, by := f.Checked(sapSource(address, password, set...))
	if c := by[setting]; v.Errors != 0 || strings.Contains(c.Definition.Documentation, untried) ||
		!slices.Contains(by["sap.odata#00.select"].Value.Recommended, "ShipCity") {
		t.Errorf("the second check with the right one: %d errors, %s", v.Errors, c.Definition.Documentation)
	}

	// Of another user a wrong one is refused at the password, and no second one is tried soon, whoever asks.
	other := func(typed string) map[string]string {
		return sapSource(address, typed, append(set, "sap.odata.user.name=you")...)
	}
	_, by = f.CheckedBy("?logon=check", other("wrong"))
	if c := by[setting]; len(c.Value.Errors) != 1 || len(by["sap.odata.user.name"].Value.Errors) != 0 {
		t.Errorf("expected the refusal at the password, found %v, %v", c.Value.Errors,
			by["sap.odata.user.name"].Value.Errors)
	}
	for _, typed := range []string{"w", "w", "wr", "wr"} {
		for _, query := range []string{"", "?logon=check"} {
			_, by = f.CheckedBy(query, other(typed))
			offline(typed, by)
		}
	}
	if l := s.Ledger(); l.FailedLogons != 1 || l.FailedLogonsOf["you"] != 1 {
		t.Errorf("expected one refused logon, found %v", l.FailedLogonsOf)
	}
	f.Must(400, "PUT", "/connector-plugins/ODataSource/config/validate?logon=yes", e2e.AsJSON(t, other("w")))
	f.Stop()
}

// A service that is silent, or that isn't there, costs a check 3 s at most, and is no mistake of the configuration.
func TestValidationOfASilentService(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	f := p.Follows("conf")
	f.Ready()
	var asked atomic.Int64
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-silent:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(silent); server.Close() })
	// Without the 3 s it would wait for an hour.
	set := []string{"sap.odata#00.service=/x", "sap.odata#00.entityset=Orders", "sap.odata#00.topic=orders",
		"sap.odata.connection.read.timeout.ms=3600000"}
	asking := time.Now()
	for _, address := range []string{strings.TrimPrefix(server.URL, "http://"), porttest.Address(t)} {
		v, by := f.CheckedBy("?logon=check", sapSource(address, "geheim", set...))
		if hint := by["sap.odata#00.service"].Definition.Documentation; v.Errors != 0 || !strings.Contains(hint,
			"No services are suggested: ") ||
			!strings.Contains(hint, "504") {
			t.Errorf("%s: %d errors, %s", address, v.Errors, hint)
		}
	}
	before := asked.Load()
	if before == 0 {
		t.Error("expected the silent service to be asked")
	}
	// That it was silent is remembered, too, for ten seconds.
	f.CheckedBy("?logon=check", sapSource(strings.TrimPrefix(server.URL, "http://"), "geheim", set...))
	if time.Since(asking) < 10*time.Second && asked.Load() != before {
		t.Errorf("expected %d requests, found %d", before, asked.Load())
	}
	f.Stop()
}
