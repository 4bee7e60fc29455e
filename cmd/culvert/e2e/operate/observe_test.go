package operate

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
	"github.com/culvert-project/culvert/host/porttest"
	"github.com/culvert-project/culvert/host/rest"
)

// Where the time of a source's and a sink's tasks went, by REST and by the command, without a collector of traces.
func TestFlow(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s, address := e2e.Demo(t, service.Options{Rows: 2000, PageSize: 100})
	p.File("conf/in.properties", e2e.Source("in", address, "Orders")...)
	p.File("conf/out.properties", e2e.SinkOf("out", address, "Orders", "OrderCopies")...)
	f := p.FollowsWith(e2e.Plugins(t, "odata-sink"), "conf")
	f.Eventually("all rows", func() bool { return s.Count("OrderCopies") >= s.Count("Orders") })
	for name, stages := range map[string]string{"in": "fetch decode transform produce",
		"out": "consume convert encode send settle"} {
		var flow rest.Flow
		if err := json.Unmarshal([]byte(f.Must(200, "GET", "/culvert/connectors/"+name+"/flow", "")), &flow); err != nil {
			t.Fatal(err)
		}
		worked := map[string]bool{}
		for _, one := range flow.Stages {
			worked[one.Stage] = one.Calls > 0 && one.Work > 0 && one.Share > 0 && one.Share <= 1
		}
		for stage := range strings.FieldsSeq(stages) {
			if !worked[stage] {
				t.Errorf("%s: expected work of stage %s, found %+v", name, stage, flow)
			}
		}
		if flow.Rows <= 0 || flow.Bytes <= 0 || flow.Seconds <= 0 || flow.Seconds > 60 || flow.Tasks != 1 {
			t.Errorf("%s: found %+v", name, flow)
		}
		shown := p.Run("connectors", "flow", name, "--url", f.Url).Exits(0).Stdout
		if !strings.Contains(shown, "rows and ") || !strings.Contains(shown, "STAGE") ||
			len(strings.Split(shown, "\n")) != len(flow.Stages)+3 {
			t.Errorf("found\n%s", shown)
		}
	}
	f.Must(404, "GET", "/culvert/connectors/none/flow", "")
}

// What each connector does, why, and by whose wish; what is used of the services.
func TestObserved(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	s := service.New(service.Options{Rows: 10})
	address := e2e.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/Customers") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.ServeHTTP(w, r)
	}))
	p.File("conf/orders.properties", e2e.Source("orders", address, "Orders")...)
	p.File("conf/held.properties", e2e.Source("held", address, "Products")...)
	p.File("conf/bad.properties", e2e.Source("bad", address, "Customers")...)
	p.File("conf/away.properties", e2e.Source("away", porttest.Address(t), "Orders")...)
	f := p.Follows("conf")
	f.Steer("held", "pause")
	read := func() (l rest.Listing) {
		if err := json.Unmarshal([]byte(f.Must(200, "GET", "/culvert/connectors", "")), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	states := func() string {
		var all []string
		for _, l := range read().Connectors {
			all = append(all, l.Name+"="+l.State)
		}
		return strings.Join(all, " ")
	}
	f.Eventually("states", func() bool {
		return states() == "bad=failed held=paused away=waiting-for-service orders=idle" && f.Rows("orders") == 10
	})
	for _, l := range read().Connectors {
		by, cause := "file ", ""
		switch l.Name {
		case "bad":
			cause = "404"
		case "held":
			by = "REST at 127.0.0.1"
		case "away":
			cause = "connection refused"
		}
		if !strings.HasPrefix(l.By, by) || !strings.Contains(l.Cause, cause) || (l.Advice == "") != (cause == "") ||
			l.Since == nil || l.Type != "source" || l.Class != "ODataSource" ||
			l.Name == "orders" && l.Rows == 0 {
			t.Errorf("expected by %q, because of %q, found %+v", by, cause, l)
		}
	}
	shown := p.Run("connectors", "list", "--state", "failed", "--url", f.Url).Exits(0).Stdout
	if lines := strings.Split(strings.TrimSpace(shown), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "bad ") {
		t.Errorf("found\n%s", shown)
	}
	p.Run("connectors", "list", "--state", "good", "--url", f.Url).Exits(1).Says("expected one of failed, paused")

	var all rest.Origins
	if err := json.Unmarshal([]byte(f.Must(200, "GET", "/culvert/origins", "")), &all); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all.Origins, func(o rest.Origin) bool { return o.Origin == "http://"+address })
	if at < 0 || len(all.Origins) != 2 || all.Origins[at].Requests.Limit == 0 || all.Origins[at].Sessions.Used == 0 ||
		!slices.Contains(all.Origins[at].Connectors, "orders") {
		t.Errorf("found %+v", all)
	}
	if shown := p.Run("origins", "--url", f.Url).Exits(0).Stdout; !strings.Contains(shown, "http://"+address) {
		t.Errorf("found\n%s", shown)
	}
}
