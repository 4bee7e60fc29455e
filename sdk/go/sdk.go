// Package sdk contains what all plugins in Go share: the description, validation of settings, logging and errors.
//
// The main package of a plugin imports one package for each world of the contract that it implements: source, sink,
// transform or tools. A source may also import notifications (it is called when the service notifies of changes),
// retirement (it ends its subscriptions when its connector is deleted) and progress (it reports how far a load is).
// Importing such a package adds the exports of its world to the module, so import only those that you implement. An
// init function passes the implementation to the package's Register; main stays empty, because the host calls exports.
//
// A plugin only computes: it has no sockets, files, clock or environment. It returns requests, which the host sends,
// and is called again with the responses. Build one with
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
	// Describe returns the name and version of the module and its components. It must return the same each time.
	Describe() wit.Description
}

// Validator is implemented by plugins that check more than single settings: settings in combination and, if online is
// set, with the service. It replaces the SDK's own validation by [setting.Table.Validate], so it has to call that too.
type Validator interface {
	// Validate is described at [wit.Plugin].
	Validate(component string, settings []wit.Setting, online bool, state []byte,
		responses []wit.Response) (wit.ValidateResult, error)
}

// Log writes to the host's log, which adds the plugin, its version and the connector. Outside a host it does nothing.
func Log(level wit.Level, message string) { guest.Log(level, message) }

// NewError returns an error that is not about a setting. The host acts on its kind, see [wit.ErrorKind].
func NewError(kind wit.ErrorKind, message string) *wit.Error {
	return &wit.Error{Kind: kind, Message: message}
}

// NewConfigError returns an error of kind config for a setting.
func NewConfigError(name, message string) *wit.Error {
	return &wit.Error{Kind: wit.ErrorConfig, Message: message, Setting: &name}
}

// Register sets the plugin of the module. The Register functions of the worlds' packages call it; plugins do not.
func Register(p Plugin) { guest.Plugin = adapter{p} }

// adapter implements the contract's interface plugin.
type adapter struct{ Plugin }

func (a adapter) Validate(component string, settings []wit.Setting, online bool, state []byte,
	responses []wit.Response) (wit.ValidateResult, error) {
	if v, ok := a.Plugin.(Validator); ok {
		return v.Validate(component, settings, online, state, responses)
	}
	for _, c := range a.Describe().Components {
		if c.Name == component {
			done := setting.NewComponentTable(&c).Validate(settings)
			return wit.ValidateResult{Done: &done}, nil
		}
	}
	return wit.ValidateResult{}, NewError(wit.ErrorConfig, "unknown component "+strconv.Quote(component))
}
