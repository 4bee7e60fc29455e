// Package wit is the contract between host and plugins in Go: the types of culvert.wit under Go names, its function
// sets as interfaces. Host and SDK both stand on it, so it knows neither.
//
// How WIT becomes Go, everywhere in this package:
//
//   - names turn from kebab-case to CamelCase; fields and cases keep the order of the contract, because the order is
//     the layout;
//   - option<T> is *T (nil: none), list<T> is []T, list<u8> is []byte;
//   - an enum is a uint8 type with a method Cases that says how many there are;
//   - a variant is a struct whose first field is [Variant], followed by one pointer for each case, of which exactly
//     one is not nil; a case without payload is a *[Unit], to be set to [Chosen];
//   - result<T, fault> as a function's result is (T, error), the error being a *[Fault].
//
// The canonical ABI of these types is package canon's business; a drift test compares them with culvert.wit.
package wit

// Package and Version are the contract's name and version. In names of imports and exports major and minor must match;
// the patch is ignored.
const (
	Package = "culvert:connect"
	Version = "0.2.0"
)

// Names of the interfaces, as they stand in culvert.wit.
const (
	InterfaceHost          = "host"
	InterfacePlugin        = "plugin"
	InterfaceTools         = "tools"
	InterfaceSource        = "source"
	InterfaceNotifications = "notifications"
	InterfaceRetirement    = "retirement"
	InterfaceSink          = "sink"
	InterfaceTransform     = "transform"
)

// ImportModule is the module name under which a core module imports the functions of an interface:
// `culvert:connect/host@0.2.0`.
func ImportModule(iface string) string { return Package + "/" + iface + "@" + Version }

// ExportName is the name under which a core module exports a function: `culvert:connect/source@0.2.0#plan`.
func ExportName(iface, function string) string { return ImportModule(iface) + "#" + function }

// Tags of calls of decode that bring no text. The host makes them for a page's own body where decode has broken an
// instance with that page.
const (
	// TagComplete has the rows decoded of which all text has come.
	TagComplete = "culvert:complete"
	// TagLeaveOut does too, and has the row that the next byte belongs to not decoded: it becomes a fault.
	TagLeaveOut = "culvert:leave-out"
)

// Variant marks a struct as a variant of the contract.
type Variant struct{}

// Unit is the payload of a case without payload.
type Unit = struct{}

// Chosen is what a case without payload points to when it is the one that holds.
var Chosen = &Unit{}

// Ptr returns a pointer to v: the way to write an option or a case.
func Ptr[T any](v T) *T { return &v }
