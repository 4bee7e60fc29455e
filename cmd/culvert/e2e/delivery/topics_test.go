package delivery

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
)

// A connector's topics are those that records went to or came from, until they are reset or it is deleted.
func TestTopicsInUse(t *testing.T) {
	t.Parallel()
	p := e2etest.NewPlace(t)
	_, address := e2etest.Demo(t, odatatest.Options{Rows: 5})
	p.File("conf/reads.properties", e2etest.Source("reads", address, "Orders", "Customers")...)
	f := p.Follows("conf", "plugin.path="+e2etest.Plugins(t, "odata-sink"))
	f.Makes(e2etest.SinkOf("writes", address, "Orders", "OrderCopies")...)
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
