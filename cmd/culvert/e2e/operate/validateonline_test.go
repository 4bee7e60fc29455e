package operate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// validate --online tells what only the services know, of sources and of sinks, each at its file, line and setting; a
// wrong password is shown once. Without --online nothing is sent.
func TestValidateOnline(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	s, address := e2etest.Demo(t, odatatest.Options{User: "me", Password: "geheim"})
	as := func(lines []string, more ...string) []string {
		return e2etest.Instead(e2etest.Instead(lines, "sap.odata.user.name=me", "sap.odata.user.pwd=geheim"), more...)
	}
	files := []string{
		p.File("good.properties", as(e2etest.Source("good", address, "Orders"))...),
		p.File("set.properties", as(e2etest.Source("set", address, "Ordres"))...),
		p.File("select.properties", as(e2etest.Source("select", address, "Customers"), "sap.odata#00.select=CompanyNam")...),
		p.File("sink.properties", as(e2etest.SinkOf("sink", address, "Orders", "OrderCopys"))...),
		p.File("written.properties", as(e2etest.SinkOf("written", address, "Orders2", "OrderCopies"))...),
		p.File("password.properties", as(e2etest.Source("password", address, "Products"), "sap.odata.user.pwd=falsch")...),
		p.File("offline.properties", as(e2etest.Source("offline", address, "Nowhere"), "sap.odata#00.exec-period=0")...),
	}
	args := append([]string{"validate", "--plugins", e2etest.Plugins(t, "odata-sink"), "--data", p.Data}, files...)
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

// What could not be checked is no success: a service that is down, or that is not there, and a schema registry, each a
// line with the setting that names it.
func TestValidateOnlineWithoutTheService(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	address := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	p.Run("validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--online", "--wait", "2m",
		p.File("down.properties", e2etest.Source("down", address, "Orders")...)).Exits(1).Prints("sap.odata.host.address: ",
		"not checked with the service: GET "+odatatest.NorthwindPath+"$metadata: ", "503")
	_, demo := e2etest.Demo(t, odatatest.Options{})
	nobody := "http://" + porttest.Address(t)
	registry := e2etest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "anna" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte("[]"))
	}))
	avro := func(name string, more ...string) string {
		return p.File(name+".properties", append(e2etest.Source(name, demo, "Orders"), append([]string{
			"value.converter=io.confluent.connect.avro.AvroConverter"}, more...)...)...)
	}
	validate := func(files ...string) e2etest.Result {
		return p.Run(append([]string{"validate", "--plugins", e2etest.Plugins(t), "--data", p.Data, "--online", "--wait",
			"2m"}, files...)...)
	}
	validate(avro("away", "value.converter.schema.registry.url="+nobody)).Exits(1).Prints("away.properties:",
		"value.converter.schema.registry.url: not checked with the schema registry: ", strings.TrimPrefix(nobody, "http://"))
	validate(avro("refused", "value.converter.schema.registry.url=http://"+registry)).Exits(1).Prints(
		"value.converter.schema.registry.url: ", "401")
	validate(avro("good", "value.converter.schema.registry.url=http://anna:pw@"+registry)).Exits(0).Prints().Says(": ok: good")
	worker := p.File("worker.properties", "bootstrap.servers=embedded",
		"value.converter=io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url="+nobody)
	validate(worker, p.File("by-worker.properties", e2etest.Source("by-worker", demo, "Orders")...)).Exits(1).Prints(
		"not checked with the schema registry: ")
	gone := porttest.Address(t)
	validate(p.File("gone.properties", e2etest.Source("gone", gone, "Orders")...)).Exits(1).Prints(
		"sap.odata.host.address: not checked with the service: GET ", "connection refused")
}

// Two connectors that read one set of one system into one topic put each row there twice, which is worth a warning; of
// changes only one connector can have them. That a connector has no set is said at the setting that is missing.
func TestValidateConnectorsOfOneSet(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	source := func(name string, more ...string) string {
		return p.File(name+".properties", e2etest.Instead(e2etest.Source(name, "sap.example:44300", "Orders"), more...)...)
	}
	validate := func(files ...string) e2etest.Result {
		return p.Run(append([]string{"validate", "--plugins", e2etest.Plugins(t, "smt"), source("first")}, files...)...)
	}
	const same = "connector first reads the same into topic Orders"
	one := validate(source("second"), source("elsewhere", "sap.odata#00.topic=other"),
		source("products", "sap.odata#00.entityset=Products", "sap.odata#00.topic=Orders"),
		source("client", "sap.odata.sap.client=200"), source("moved", "transforms=r", "transforms.r.regex=.*",
			"transforms.r.type=org.apache.kafka.connect.transforms.RegexRouter", "transforms.r.replacement=moved"))
	if one.Exits(0).Prints("second.properties:", "warning: ", same); strings.Count(one.Stdout, "\n") != 1 {
		t.Errorf("expected one line, found %s", one.Stdout)
	}
	validate(source("user", "sap.odata.user.name=b", "sap.odata.user.pwd=b")).Exits(0).Prints(same)
	changes := []string{"sap.odata#00.track-changes=1", "sap.odata#00.exec-period=5"}
	validate(source("delta", changes...), source("delta2", changes...), p.File("none.properties", "name=none",
		"connector.class=ODataSource", "sap.odata.host.address=sap.example", "sap.odata.host.port=44300")).Exits(1).Prints(
		"connectors delta and delta2 both claim", "sap.odata#00.service: No entity set is configured: expected ")
}
