package delivery

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/cmd/culvert/e2e"
	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A connector's topics are those that records went to or came from, until they are reset or it is deleted.
func TestTopicsInUse(t *testing.T) {
	t.Parallel()
	p := e2e.NewPlace(t)
	_, address := e2e.Demo(t, service.Options{Rows: 5})
	p.File("conf/reads.properties", e2e.Source("reads", address, "Orders", "Customers")...)
	f := p.Follows("conf", "plugin.path="+e2e.Plugins(t, "odata-sink"))
	f.Makes(e2e.SinkOf("writes", address, "Orders", "OrderCopies")...)
	topics := func(connector, want string) {
		t.Helper()
		f.Eventually("topics "+want+" of "+connector, func() bool {
			status, answer := f.Call("GET", "/connectors/"+connector+"/topics", "")
			return status == 200 && strings.Contains(answer, `"topics":[`+want+`]`)
		})
	}
	topics("reads", `"Customers","Orders"`)
	topics("writes", `"Orders"`)
	f.Must(202, "PUT", "/connectors/reads/topics/reset", "")
	topics("reads", "")
	topics("writes", `"Orders"`)
	f.Must(204, "DELETE", "/connectors/writes", "")
	f.Eventually("no topics of a connector that is deleted", func() bool {
		status, answer := f.Call("GET", "/connectors/writes/topics", "")
		return status == 404 || status == 200 && strings.Contains(answer, `"topics":[]`)
	})
}
