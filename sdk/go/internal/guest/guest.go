// Package guest is the SDK's side of the canonical ABI: the memory that the host writes arguments to, the area that
// results lie in, and the way from an export to the plugin's method and back.
package guest

import (
	"reflect"
	"runtime"

	"github.com/culvert-project/culvert/wit"
)

// Plugin is the module's plugin, as the packages of the worlds registered it.
var Plugin wit.Plugin

// Arg is an argument as the plugin's method takes it.
func Arg[T any](v reflect.Value) T { return v.Interface().(T) }

// AsFault turns an error into a fault: a *wit.Fault as it is, others as internal.
func AsFault(err error) *wit.Fault {
	if err == nil {
		return nil
	}
	if f, ok := err.(*wit.Fault); ok {
		return f
	}
	return &wit.Fault{Kind: wit.FaultInternal, Message: err.Error()}
}

// Recovered makes the fault that a panic comes to: whose it is, its text, and where it happened.
func Recovered(p any) *wit.Fault {
	stack := make([]byte, 4096)
	stack = stack[:runtime.Stack(stack, false)]
	return &wit.Fault{Kind: wit.FaultInternal, Message: name() + "panic: " + text(p), Detail: wit.Ptr(string(stack))}
}

// name is the plugin's, as the host writes it, for the front of a message.
func name() (name string) {
	defer func() {
		if recover() != nil {
			name = ""
		}
	}()
	d := Plugin.Describe()
	return "plugin " + d.Name + " " + d.Version + ": "
}

func text(p any) string {
	switch p := p.(type) {
	case error:
		return p.Error()
	case string:
		return p
	case interface{ String() string }:
		return p.String()
	}
	return reflect.TypeOf(p).String()
}
