// The plugin smt contains Kafka Connect's transforms and predicates. Build it with GOOS=wasip1 GOARCH=wasm go build
// -buildmode=c-shared -ldflags="-s -w" -trimpath -o smt.wasm ./plugins/smt
package main

import (
	"github.com/culvert-project/culvert/plugins/smt/chain"
	"github.com/culvert-project/culvert/plugins/smt/transforms"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/transform"
	"github.com/culvert-project/culvert/wit"
)

func init() { transform.Register(plugin{chain.New()}) }

func main() {}

// version of the plugin. Tests set another one with the linker.
var version = "0.1.0"

type plugin struct{ *chain.Engine }

var (
	_ transform.Plugin = plugin{}
	_ sdk.Validator    = plugin{}
)

func (plugin) Describe() wit.Description {
	return wit.Description{Name: "smt", Version: version,
		Documentation: "Kafka Connect's single message transforms and predicates.",
		Components:    transforms.Components()}
}

func (plugin) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	list, err := transforms.Validate(component, settings)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	return wit.ValidateResult{Done: &list}, nil
}
