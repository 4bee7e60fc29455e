// Package sdk is what every plugin in Go has in common: its description, validation of settings, logging, faults. A
// plugin's main package imports it and one package for each world that it is of: source, sink, transform, tools; beside
// source it may import notifications and retirement. Importing such a package is what gives the module the world's
// exports, so import only those that you implement.
//
// A plugin computes and does nothing else: it has no socket, file, clock or environment. Build one with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o my-plugin.wasm .
//
// The types are those of package wit.
package sdk

import (
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is what every plugin implements.
type Plugin interface {
	// Describe names the module, its version and its components. It is called once for each load and must give the same
	// answer every time.
	Describe() wit.Description
}

// Validator is implemented by plugins that check more than their declarations say: settings together, and, online,
// against the service. A plugin without it gets [setting.Table.Examine].
type Validator interface {
	Validate(component string, settings []wit.Setting, online bool, state []byte,
		answers []wit.Response) (wit.ValidateResult,
		error)
}

// Log writes a line to the host's log, which adds plugin, version and connector. Outside a host (in a test) it goes
// nowhere.
func Log(level wit.Level, message string) { guest.Log(level, message) }

// NewError makes a fault that names no setting; its kind says what the host does about it.
func NewError(kind wit.ErrorKind, message string) *wit.Error {
	return &wit.Error{Kind: kind, Message: message}
}

// NewConfigError makes a fault of kind config that names a setting.
func NewConfigError(setting, message string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConfig, Message: message, Setting: &setting}
}

// Register keeps the plugin for describe and validate; the packages of the worlds call it.
func Register(p Plugin) { guest.Plugin = adapter{p} }

// adapter is a plugin as the contract's interface `plugin` has it.
type adapter struct{ Plugin }

func (e adapter) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	if v, ok := e.Plugin.(Validator); ok {
		return v.Validate(component, settings, online, state, answers)
	}
	for _, c := range e.Describe().Components {
		if c.Name == component {
			done := setting.NewComponentTable(&c).Validate(settings)
			return wit.ValidateResult{Done: &done}, nil
		}
	}
	return wit.ValidateResult{}, NewError(wit.ErrorConfig, "unknown component "+strconv.Quote(component))
}
