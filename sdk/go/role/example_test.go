package role_test

import (
	"fmt"

	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Check reports problems with the roles of a component before the plugin is loaded.
func ExampleCheck() {
	shop := wit.Component{Kind: wit.ComponentSource, Settings: []wit.ConfigKey{
		setting.Define("a.address", wit.KindString, wit.High, nil, "Host.", setting.Role(role.Address)),
		setting.Define("a.password", wit.KindString, wit.High, nil, "Password.", setting.Role(role.Password)),
		setting.Define("via", wit.KindString, wit.Low, nil, "Proxy.", setting.Role("http.proxi.address")),
	}}
	for _, finding := range role.Check(&shop) {
		fmt.Println(finding)
	}
	// Output:
	// setting a.password: has the role http.password: expected the kind password; no plugin sees its value
	// setting via: has the role http.proxi.address, which is unknown: did you mean http.address? See wit/roles.md
}
