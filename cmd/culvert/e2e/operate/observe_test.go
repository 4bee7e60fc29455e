package operate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
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
