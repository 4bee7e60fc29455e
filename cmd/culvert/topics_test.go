package main

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/examples/demo-service/service"
)

// A connector's topics are those that records went to or came from, until they are reset or it is deleted.
func TestTopicsInUse(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	_, address := demo(t, service.Options{Rows: 5})
	p.subfolder("conf")
	p.file("conf/reads.properties", source("reads", address, "Orders", "Customers")...)
	p.file("conf/writes.properties", sinkOf("writes", address, "Orders", "OrderCopies")...)
	f := p.follows("conf", "plugin.path="+plugins(t, "odata-sink"))
	topics := func(connector, want string) {
		t.Helper()
		f.eventually("topics "+want+" of "+connector, func() bool {
			status, answer := f.call("GET", "/connectors/"+connector+"/topics", "")
			return status == 200 && strings.Contains(answer, `"topics":[`+want+`]`)
		})
	}
	topics("reads", `"Customers","Orders"`)
	topics("writes", `"Orders"`)
	f.must(202, "PUT", "/connectors/reads/topics/reset", "")
	topics("reads", "")
	topics("writes", `"Orders"`)
	f.must(204, "DELETE", "/connectors/writes", "")
	f.eventually("no topics of a connector that is deleted", func() bool {
		status, answer := f.call("GET", "/connectors/writes/topics", "")
		return status == 404 || status == 200 && strings.Contains(answer, `"topics":[]`)
	})
}
