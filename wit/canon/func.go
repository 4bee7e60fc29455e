package canon

import (
	"reflect"

	"github.com/culvert-project/culvert/wit"
)

// maxFlat is the maximum number of core values of parameters.
const maxFlat = 16

// Func is a function of the contract with its signature.
type Func struct {
	Interface string // the interface's name in the contract, such as source
	Name      string // the function's name in the contract, such as check-offset
	Method    string // the function's name in Go, such as CheckOffset
	params    []*typeLayout
	core      []ValueType // the core types of all parameters
	// result is a result<ok, error> for a fallible function, else ok. It is nil for a function without a result.
	result   *typeLayout
	ok       *typeLayout // the result of a call that succeeds, or nil
	fallible bool
}

// Export returns the name under which a module exports the function.
func (f *Func) Export() string { return wit.ExportName(f.Interface, f.Name) }

// Interfaces contains the Go types of the contract's interfaces by name.
var Interfaces = map[string]reflect.Type{
	wit.InterfaceHost:          reflect.TypeFor[wit.Host](),
	wit.InterfacePlugin:        reflect.TypeFor[wit.Plugin](),
	wit.InterfaceTools:         reflect.TypeFor[wit.Tools](),
	wit.InterfaceSource:        reflect.TypeFor[wit.Source](),
	wit.InterfaceNotifications: reflect.TypeFor[wit.Notifications](),
	wit.InterfaceRetirement:    reflect.TypeFor[wit.Retirement](),
	wit.InterfaceProgress:      reflect.TypeFor[wit.Progress](),
	wit.InterfaceSink:          reflect.TypeFor[wit.Sink](),
	wit.InterfaceTransform:     reflect.TypeFor[wit.Transform](),
}

// Functions returns the functions of an interface, sorted by Go name. It panics if the contract does not have it.
func Functions(iface string) []*Func {
	t := Interfaces[iface]
	if t == nil {
		panic("canon: the contract has no interface " + iface)
	}
	var functions []*Func
	for i := range t.NumMethod() {
		m := t.Method(i)
		functions = append(functions, newFunc(iface, m.Name, m.Type, 0))
	}
	return functions
}

// Function returns a function by its Go name. It panics if the interface has no such method.
func Function(iface, method string) *Func {
	for _, f := range Functions(iface) {
		if f.Method == method {
			return f
		}
	}
	panic("canon: interface " + iface + " has no method " + method)
}

// FuncOf returns a function of the contract by its method expression: FuncOf("source", "Plan", wit.Source.Plan). Guests
// use it instead of [Function], because looking up methods by reflection makes the linker keep all methods of all
// types.
func FuncOf(iface, method string, expression any) *Func {
	return newFunc(iface, method, reflect.TypeOf(expression), 1)
}

// newFunc returns the function for a Go function type. The first skip parameters are not part of the contract.
func newFunc(iface, method string, t reflect.Type, skip int) *Func {
	f := &Func{Interface: iface, Name: Kebab(method), Method: method}
	for i := skip; i < t.NumIn(); i++ {
		f.params = append(f.params, layoutOf(t.In(i)))
		f.core = append(f.core, f.params[len(f.params)-1].flat...)
	}
	if len(f.core) > maxFlat {
		panic("canon: too many parameters of " + f.Export())
	}
	for i := range t.NumOut() {
		if out := t.Out(i); out == errorType {
			f.fallible = true
		} else {
			f.ok = layoutOf(out)
		}
	}
	f.result = f.ok
	if f.fallible {
		f.result = (&typeLayout{shape: shapeResult}).setVariant([]part{{name: "ok", layout: f.ok},
			{name: "error", layout: layoutOf(errorRecordType)}})
	}
	return f
}

// Params returns the core types of the parameters.
func (f *Func) Params() []ValueType { return f.core }

// Results returns the core types of the results: none, the type of one value, or the type of a pointer to the result.
func (f *Func) Results() []ValueType {
	switch {
	case f.result == nil:
		return nil
	case f.byPointer():
		return []ValueType{I32}
	}
	return f.result.flat
}

// byPointer reports whether the result, which must exist, is passed in memory.
func (f *Func) byPointer() bool { return len(f.result.flat) > 1 }

// Fallible reports whether the function can return an error.
func (f *Func) Fallible() bool { return f.fallible }

// ResultSize returns the size and alignment in bytes of a result in memory.
func (f *Func) ResultSize() (size, align uint32) { return f.result.size, f.result.align }

// Arguments copies args, which must have the types of the Go method, to a guest's memory and returns the core values.
func (f *Func) Arguments(mem Memory, alloc func(size, align uint32) (uint32, error), args ...any) ([]uint64, error) {
	if len(args) != len(f.params) {
		return nil, newError(f.Export(), " takes ", len(f.params), " arguments, not ", len(args))
	}
	var arguments flatArguments
	for i, p := range f.params {
		if err := arguments.appendFlat(p, reflect.ValueOf(args[i])); err != nil {
			return nil, newError(f.Export(), ", argument ", i+1, ": ", err)
		}
	}
	addresses, err := arguments.Place(mem, alloc)
	if err != nil {
		return nil, err
	}
	for _, a := range arguments.addresses {
		arguments.flats[a.index] = uint64(addresses[a.block])
	}
	return arguments.flats, nil
}

// Result reads the result of a call. core is the core value that the function returned, or 0 if it returns none. dst is
// a pointer to the Go result, or nil if there is none. budget limits the size of the value, see [Lifter]. failure is
// the error that the guest returned; err means that the guest has violated the ABI.
func (f *Func) Result(mem Memory, budget int, core uint64, dst any) (failure *wit.Error, err error) {
	if f.result == nil {
		return nil, nil
	}
	l := Lifter{Memory: mem, Budget: budget}
	if !f.byPointer() {
		return nil, f.wrap(l.liftFlat(f.result, []uint64{core}, reflect.ValueOf(dst).Elem()))
	}
	b, err := l.view(uint32(core), uint64(f.result.size), f.result.align, "result")
	if err != nil {
		return nil, f.wrap(err)
	}
	if !f.fallible {
		return nil, f.wrap(l.lift(f.result, b, reflect.ValueOf(dst).Elem()))
	}
	payload := b[f.result.payload:]
	switch b[0] {
	case 0:
		if f.ok == nil {
			return nil, nil
		}
		return nil, f.wrap(l.lift(f.ok, payload[:f.ok.size], reflect.ValueOf(dst).Elem()))
	case 1:
		failure = new(wit.Error)
		t := layoutOf(errorRecordType)
		return failure, f.wrap(l.lift(t, payload[:t.size], reflect.ValueOf(failure).Elem()))
	}
	return nil, f.wrap(newError("result: expected ok or error, found case ", int(b[0])))
}

// wrap adds the name of the function to an error. It returns nil for nil.
func (f *Func) wrap(err error) error {
	if err == nil {
		return nil
	}
	return newError(f.Export(), ": ", err)
}

// Lift reads the arguments of a call in the guest, as values of the types of the Go method.
func (f *Func) Lift(mem Memory, flats []uint64) ([]reflect.Value, error) {
	l := Lifter{Memory: mem, Budget: 1<<32 - 1}
	args := make([]reflect.Value, len(f.params))
	for i, p := range f.params {
		args[i] = reflect.New(p.rtype).Elem()
	}
	for i, p := range f.params {
		n := len(p.flat)
		if err := l.liftFlat(p, flats[:n], args[i]); err != nil {
			return nil, f.wrap(err)
		}
		flats = flats[n:]
	}
	return args, nil
}

// Lower encodes a result in the guest, itself block 0. result may be nil if there is none; nil failure is success.
func (f *Func) Lower(result any, failure *wit.Error) (Lowered, error) {
	var lowered Lowered
	if !f.fallible {
		return lowered, lowered.addRoot(f.result, reflect.ValueOf(result))
	}
	lowered.Blocks = append(lowered.Blocks, Block{Data: lowered.alloc(int(f.result.size)), Align: f.result.align})
	if failure != nil {
		lowered.Blocks[0].Data[0] = 1
		value := reflect.ValueOf(*failure)
		return lowered, f.wrap(lowered.lowerValue(layoutOf(errorRecordType), value, 0, f.result.payload))
	}
	if f.ok == nil {
		return lowered, nil
	}
	return lowered, f.wrap(lowered.lowerValue(f.ok, reflect.ValueOf(result), 0, f.result.payload))
}
