package inspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/wit"
)

// A command without a service uses the service from which the connector reads the command's set, or the only one that
// it reads.
func TestServiceOfCommands(t *testing.T) {
	for _, test := range []struct {
		name  string
		reads string // service and set of each group
		set   string
		want  string // the path of the first request, or a part of the error
	}{
		{name: "the only service", reads: "/a Orders /a Items", set: "Orders", want: "/a/"},
		{name: "the only service, another set", reads: "/a Orders", set: "Customers", want: "/a/"},
		{name: "one of two services", reads: "/a Orders /b Items", set: "Items", want: "/b/"},
		{name: "two services with the set", reads: "/a Orders /b Orders", set: "Orders",
			want: "peek needs -s, the path of a service; the connector reads: /a, /b"},
		{name: "two services without the set", reads: "/a Orders /b Items", set: "Customers", want: "reads: /a, /b"},
		{name: "no service", set: "Orders", want: "reads: none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := []wit.Setting{}
			fields := strings.Fields(test.reads)
			for i := 0; i < len(fields); i += 2 {
				prefix := fmt.Sprintf("sap.odata#%02d.", i/2)
				settings = append(settings, wit.Setting{Name: prefix + "service", Value: fields[i]},
					wit.Setting{Name: prefix + "entityset", Value: fields[i+1]})
			}
			result, err := Run("peek", []wit.Setting{{Name: "e", Value: test.set}}, settings, nil, nil)
			got := fmt.Sprint(err)
			if result.Pending != nil {
				got = result.Pending.Requests[0].Target
			}
			assert.Contains(t, got, test.want)
		})
	}
}
