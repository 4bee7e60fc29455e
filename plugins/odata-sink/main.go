// Command odata-sink is the guest that writes records to entity sets of OData v2 services: inserts, updates and
// deletes, several in a $batch request.
package main

import (
	"github.com/culvert-project/culvert/plugins/odata/sink"
	register "github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/sdk/go/tools"
)

// version of the plugin; tests set others by the linker.
var version = "0.1.0"

func init() {
	p := sink.New(version)
	register.Register(p)
	tools.Register(p)
}

func main() {}
