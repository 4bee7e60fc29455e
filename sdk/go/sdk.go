// Package sdk contains what all plugins in Go share: the description, validation of settings, logging and errors.
//
// The main package of a plugin imports sdk and one package for each world that it implements: source, sink, transform
// or tools. A source may also import notifications and retirement. Importing such a package adds the exports of its
// world to the module, so import only the ones that you implement.
//
// A plugin only computes: it has no sockets, files, clock or environment. Build one with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o my-plugin.wasm .
//
// The types of the contract are in package wit.
package sdk

import (
	"strconv"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is implemented by every plugin.
type Plugin interface {
	// Describe returns the name and version of the module and its components. The host calls it once for each load; the
	// result must always be the same.
	Describe() wit.Description
}

// Validator is implemented by plugins that check more than their declarations: settings in combination and, if online
// is set, with the service. For other plugins the SDK calls [setting.Table.Validate].
type Validator interface {
	// Validate is described at [wit.Plugin].
	Validate(component string, settings []wit.Setting, online bool, state []byte,
		answers []wit.Response) (wit.ValidateResult, error)
}

// Log writes a line to the host's log, which adds the plugin, its version and the connector. Outside a host, as in a
// test, it does nothing.
func Log(level wit.Level, message string) { guest.Log(level, message) }

// NewError returns an error that names no setting. Its kind decides how the host handles it.
func NewError(kind wit.ErrorKind, message string) *wit.Error {
	return &wit.Error{Kind: kind, Message: message}
}

// NewConfigError returns an error of kind config for a setting.
func NewConfigError(setting, message string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConfig, Message: message, Setting: &setting}
}

// Register sets the plugin of the module. The packages of the worlds call it.
func Register(p Plugin) { guest.Plugin = adapter{p} }

// adapter implements the contract's interface plugin.
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
