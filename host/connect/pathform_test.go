package connect

import (
	"strings"
	"testing"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/wit"
)

// What is an absolute URL in an offset that is refused is to be written as a path, where only a destination knows the
// origin.
func TestPathForm(t *testing.T) {
	component := wit.Component{Kind: wit.ComponentSource, Settings: []wit.ConfigKey{
		{Name: "host", Rules: []wit.Rule{{Role: wit.Ptr(role.Address)}}},
		{Name: "destination", Rules: []wit.Rule{{Role: wit.Ptr(role.Destination)}}},
	}}
	for _, c := range []struct {
		key, at string
		want    bool
	}{
		{"destination", "https://h/x?$skiptoken=1", true},
		{"destination", "/x?$skiptoken=1", false},
		{"host", "https://h/x?$skiptoken=1", false},
	} {
		given, _ := config.NewConnector("c", []config.Entry{config.NewEntry("name", "c", "", 0),
			config.NewEntry(c.key, "h", "", 0)}, nil)
		of := component
		if c.key == "host" {
			of.Settings = of.Settings[:1]
		}
		k := &connector{class: class{declared: config.DeclareComponent(of)}, given: given}
		text := k.pathForm([]wit.OffsetEntry{wit.IntegerEntry("n", 1), wit.StringEntry("url", c.at)})
		if strings.Contains(text, "begins with /") != c.want {
			t.Errorf("%v: found %q", c, text)
		}
	}
}
