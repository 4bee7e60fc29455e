// Package wit is the contract between host and plugins in Go: the types of culvert.wit under Go names, and its
// interfaces. Host and SDK import it; it imports neither.
//
// How WIT becomes Go, everywhere in this package:
//
//   - names change from kebab-case to CamelCase; fields and cases keep the order of the contract, because the order is
//     the layout in memory;
//   - option<T> is *T (nil: none), list<T> is []T, list<u8> is []byte;
//   - an enum is a uint8 type with a method Cases that returns their number;
//   - a variant is a struct whose first field is [Variant], followed by one pointer for each case, of which exactly
//     one is not nil; a case without payload is a *struct{}, set to [Set];
//   - result<T, error> as a function's result is (T, error), the error being a *[Error].
//
// Package canon implements the canonical ABI of these types; a drift test compares them with culvert.wit.
package wit

// Package and Version are the contract's. In names of imports and exports major and minor must match, not the patch.
const (
	Package = "culvert:connect"
	Version = "0.3.0"
)

// Names of the interfaces in culvert.wit.
const (
	InterfaceHost          = "host"
	InterfacePlugin        = "plugin"
	InterfaceTools         = "tools"
	InterfaceSource        = "source"
	InterfaceNotifications = "notifications"
	InterfaceRetirement    = "retirement"
	InterfaceProgress      = "progress"
	InterfaceSink          = "sink"
	InterfaceTransform     = "transform"
)

// ImportModule returns the module name of an interface's functions: `culvert:connect/host@0.3.0`.
func ImportModule(iface string) string { return Package + "/" + iface + "@" + Version }

// ExportName returns the name under which a core module exports a function: `culvert:connect/source@0.3.0#plan`.
func ExportName(iface, function string) string { return ImportModule(iface) + "#" + function }

// Tags that the host passes to Decode, with an empty piece, after it has trapped with that page.
const (
	// TagComplete decodes the rows whose text is complete.
	TagComplete = "culvert:complete"
	// TagSkipRow does that too, and reports the row at the next byte as an error instead of decoding it.
	TagSkipRow = "culvert:skip-row"
)

// Variant marks a struct as a variant of the contract.
type Variant struct{}

// Set is the value of a case without payload that is chosen.
var Set = &struct{}{}

// Ptr returns a pointer to v, to set an option or a case.
func Ptr[T any](v T) *T { return &v }
