// Package guest implements the canonical ABI for guests: memory for arguments and results, and calls of the plugin.
package guest

import (
	"reflect"

	"github.com/culvert-project/culvert/wit"
)

// Plugin is the plugin that the packages of the worlds registered.
var Plugin wit.Plugin

// Arg returns an argument with the type that the method of the plugin has.
func Arg[T any](v reflect.Value) T { return v.Interface().(T) }

// AsError returns err as an error of the contract. Other types of errors get the kind internal.
func AsError(err error) *wit.Error {
	if err == nil {
		return nil
	}
	if contractError, ok := err.(*wit.Error); ok {
		return contractError
	}
	return &wit.Error{Kind: wit.ErrorInternal, Message: err.Error()}
}
