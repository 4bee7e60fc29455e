// Package guest is the SDK's side of the canonical ABI: the memory that the host writes arguments to, the area that
// results lie in, and the way from an export to the plugin's method and back.
package guest

import (
	"reflect"

	"github.com/culvert-project/culvert/wit"
)

// Plugin is the module's plugin, as the packages of the worlds registered it.
var Plugin wit.Plugin

// Arg is an argument as the plugin's method takes it.
func Arg[T any](v reflect.Value) T { return v.Interface().(T) }

// AsError turns an error into a fault: a *wit.Fault as it is, others as internal.
func AsError(err error) *wit.Error {
	if err == nil {
		return nil
	}
	if f, ok := err.(*wit.Error); ok {
		return f
	}
	return &wit.Error{Kind: wit.ErrorInternal, Message: err.Error()}
}
