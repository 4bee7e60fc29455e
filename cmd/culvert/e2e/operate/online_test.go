package operate

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// sapSource is a configuration for the demo's SAP service, which asks for a logon.
func sapSource(address, password string, more ...string) map[string]string {
	host, port, _ := net.SplitHostPort(address)
	settings := map[string]string{"name": "new", "connector.class": "ODataSource", "sap.odata.host.protocol": "http",
		"sap.odata.host.address": host,
		"sap.odata.host.port":    port, "sap.odata.user.name": "me", "sap.odata.user.pwd": password}
	maps.Copy(settings, e2etest.Configuration(more))
	return settings
}

// A check by REST asks the service: what can stand in a setting, which settings come next, what is wrong there. It
// shows a wrong password once. A connector has shown that the right one is right.
func TestValidationAsksTheService(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{User: "me", Password: "geheim",
		Switches: odatatest.Switches{Catalogue: 10_000}})
	p.File("conf/known.properties", e2etest.Instead(e2etest.Source("known", address, "Suppliers"), "sap.odata.user.name=me",
		"sap.odata.user.pwd=geheim", "sap.odata#00.exec-period=-1")...)
	f := p.Follows("conf")
	f.Ready()
	f.Eventually("rows", func() bool { return f.Rows("known") == s.Count("Suppliers") })

	root := strings.TrimSuffix(odatatest.SAPPath, "/")
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
	v, by = f.Checked(sapSource(address, "geheim", append(set, "sap.odata#00.entityset=Ordres",
		"sap.odata#00.filter#00.property=x",
		"sap.odata#00.filter#00.option=eq", "sap.odata#00.filter#00.low=1")...))
	if text := strings.Join(by["sap.odata#00.entityset"].Value.Errors, ""); v.Errors != 1 || !strings.Contains(text,
		"the nearest name is Orders") {
		t.Errorf("%d errors, found %s", v.Errors, text)
	}

	// A wrong password is shown to the service once, and the refusal stands at its setting.
	f.CheckedBy("?logon=check", sapSource(address, "falsch", set...))
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
	asked := s.Ledger().Total
	if v, _ = f.Checked(sapSource(address, "", set...)); v.Errors != 0 || s.Ledger().Total != asked {
		t.Errorf("%d errors, %d requests after %d", v.Errors, s.Ledger().Total, asked)
	}
	f.Stop()
}

// A form that checks with each letter of a password, and again while it rests, sends none of them: a secret that is
// neither stored nor proven is shown to the service where the caller asks for it, or where it is a reference. The
// setting itself says how to get what needs a logon, and the connector can be created all the same.
func TestTypingAPasswordLocksNobody(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{User: "me", Password: "sesame", Switches: odatatest.Switches{LockAfter: 3}})
	folder := p.Subfolder("secrets")
	f := p.Follows("conf", "config.providers=file",
		"config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths="+folder)
	f.Ready()
	const setting, untried = "sap.odata.user.pwd", "Logon not tried: "
	set := []string{"sap.odata#00.service=" + strings.TrimSuffix(odatatest.SAPPath, "/"), "sap.odata#00.entityset=Orders",
		"sap.odata#00.topic=orders"}
	offline := func(typed string, v check.Validation, by map[string]check.Validated) {
		t.Helper()
		errors := by[setting].Value.Errors
		if v.Errors != 0 || len(errors) != 1 || !strings.Contains(errors[0], untried) ||
			len(by["sap.odata#00.select"].Value.Recommended) > 0 {
			t.Errorf("%q: expected it not to be tried, found %d errors, %q", typed, v.Errors, errors)
		}
	}
	for range 2 { // a user is typed, and no password yet
		f.Checked(sapSource(address, "", set...))
	}
	if l := s.Ledger(); l.Total != 0 {
		t.Fatalf("a user without a password: %d requests, refused logons %v", l.Total, l.FailedLogonsOf)
	}
	for _, typed := range []string{"s", "se", "ses", "ses", "ses", "sesame", "sesame"} {
		v, by := f.Checked(sapSource(address, typed, set...))
		offline(typed, v, by)
		for _, way := range []string{"logon=check", "${file:"} {
			if text := strings.Join(by[setting].Value.Errors, ""); !strings.Contains(text, way) {
				t.Errorf("expected a way to get recommendations, %s, found %s", way, text)
			}
		}
		if len(by["value.converter"].Value.Recommended) == 0 {
			t.Error("expected the recommendations that need no logon")
		}
	}
	if l := s.Ledger(); l.Total != 0 || l.FailedLogons != 0 {
		t.Fatalf("expected nothing to be sent, found %d requests, %d of them refused", l.Total, l.FailedLogons)
	}

	// Nobody types the content of a file.
	p.File("secrets/service.properties", "pw=sesame", "half=ses")
	reference := "${file:" + filepath.Join(folder, "service.properties") + ":pw}"
	for _, half := range []string{"x" + reference, reference + "x", reference[:len(reference)-1]} {
		f.Checked(sapSource(address, half, set...))
	}
	if n := s.Ledger().Total; n != 0 {
		t.Fatalf("expected no half reference to be sent, found %d requests", n)
	}

	// A reference to a provider that there is not is refused where it stands, and sent by no check.
	const unprovided = "${vault:sap:pw}"
	for _, c := range []struct {
		setting, value, query string
	}{{setting, unprovided, ""}, {setting, unprovided, "?logon=check"}, {setting, reference + unprovided, "?logon=check"},
		{"sap.odata.user.name", unprovided, ""}, {"sap.odata.header.APIKey", unprovided, "?logon=check"}} {
		v, by := f.CheckedBy(c.query, sapSource(address, reference, append(set, c.setting+"="+c.value)...))
		if text := strings.Join(by[c.setting].Value.Errors, ""); v.Errors != 1 || !strings.Contains(text,
			"looks like a reference to a config provider that there is not: it is not sent as it stands") {
			t.Errorf("%s=%s: %d errors, %q", c.setting, c.value, v.Errors, text)
		}
		if l := s.Ledger(); l.Total != 0 {
			t.Fatalf("%s=%s: expected nothing to be sent, found %d requests, refused logons %v", c.setting, c.value,
				l.Total, l.FailedLogonsOf)
		}
	}
	logged := func(by map[string]check.Validated) bool {
		return slices.Contains(by["sap.odata#00.select"].Value.Recommended, "ShipCity")
	}
	if v, by := f.CheckedInTime(sapSource(address, reference, set...), logged); v.Errors != 0 ||
		len(by[setting].Value.Errors) != 0 {
		t.Errorf("a reference: %d errors, %q", v.Errors, by[setting].Value.Errors)
	}
	// What the service has taken is proven, whoever sends it.
	if v, by := f.CheckedInTime(sapSource(address, "sesame", set...), logged); v.Errors != 0 ||
		len(by[setting].Value.Errors) != 0 {
		t.Errorf("a proven secret: %d errors, %q", v.Errors, by[setting].Value.Errors)
	}

	// Of another user a wrong one is refused at the password, and is not sent again, whoever asks.
	other := func(typed string) map[string]string {
		return sapSource(address, typed, append(set, "sap.odata.user.name=you")...)
	}
	for _, query := range []string{"?logon=check", "", "?logon=check"} {
		_, by := f.CheckedBy(query, other("wrong"))
		if c := by[setting]; len(c.Value.Errors) != 1 || len(by["sap.odata.user.name"].Value.Errors) != 0 {
			t.Errorf("expected the refusal at the password, found %v, %v", c.Value.Errors,
				by["sap.odata.user.name"].Value.Errors)
		}
	}
	for _, typed := range []string{"w", "wr"} {
		v, by := f.Checked(other(typed))
		offline(typed, v, by)
	}
	if l := s.Ledger(); l.FailedLogons != 1 || l.FailedLogonsOf["you"] != 1 {
		t.Errorf("expected one refused logon, found %v", l.FailedLogonsOf)
	}
	f.Must(400, "PUT", "/connector-plugins/ODataSource/config/validate?logon=yes", e2etest.AsJSON(t, other("w")))

	// That the logon was not tried refuses no connector.
	v, by := f.Checked(sapSource(address, "sesam", append(set, "sap.odata.user.name=third")...))
	offline("sesam", v, by)
	f.Must(201, "POST", "/connectors", e2etest.AsJSON(t, map[string]any{"name": "new",
		"config": sapSource(address, "sesame", append(set, "sap.odata#00.exec-period=-1")...)}))
	f.Eventually("rows of the new connector", func() bool { return f.Rows("new") == s.Count("Orders") })
	f.Stop()
}

// A service that is silent, or that isn't there, costs a check 3 s at most, and is no mistake of the configuration.
func TestValidationOfASilentService(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
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
	for _, address := range []string{strings.TrimPrefix(server.URL, "http://"), porttest.Address(t)} {
		v, by := f.CheckedBy("?logon=check", sapSource(address, "geheim", set...))
		if hint := by["sap.odata#00.service"].Definition.Documentation; v.Errors != 0 || !strings.Contains(hint,
			"No services are suggested: ") ||
			!strings.Contains(hint, "504") {
			t.Errorf("%s: %d errors, %s", address, v.Errors, hint)
		}
	}
	if asked.Load() == 0 {
		t.Error("expected the silent service to be asked")
	}
	f.Stop()
}
