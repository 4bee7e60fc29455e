package meter

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/culvert-project/culvert/internal/base/wasm"
)

const (
	Module        = "culvert:meter"
	Name          = "tick"  // a function of Module, which metered modules import
	DefaultBudget = 200_000 // about 0.2 ms of plain work, and a few ms of the slowest instructions
)

// Options of [Rewrite]. Zero fields have their default.
type Options struct {
	Budget int64 // fuel at the start, in units of sixteen instructions; default [DefaultBudget]
	Limits Limits
}

// Limits bound accepted modules. Zero fields have their default.
type Limits struct {
	ModuleBytes   int // a module. Default 64 MiB.
	FunctionBytes int // a function's body. Default 1 MiB.
	Functions     int // the defined functions. Default 100,000.
	Types         int // function types: engines compare each function with all. Default 2,000.
	Locals        int // the locals of a function. Default 50,000.
	Nesting       int // the depth of blocks. Default 20,000.
	Targets       int // the br_table labels of a function. Default 65,536.
	// Effort bounds the compile cost of each function in microseconds, measured with synthetic shapes: squared blocks,
	// locals and stack times branches, squared locals times loops and their depth, and table labels times enclosing
	// loops. Without it some KiB can take minutes and gigabytes. Default 4,000,000; Go guests need at most 160,000.
	Effort      int
	TotalEffort int // the sum. Default 20,000,000; Go guests of 5 MB need 2,500,000.
	// Values bounds the values of all calls, blocks and jumps of a function, plus eight per call. Default 500,000.
	Values int
	Items  int // imports, globals and exports, each. Default 100,000.
	// Segments bounds data and element segments, each: engines need some hundred bytes per segment. Default 100,000.
	Segments int
	// TableElements bounds the initial elements of tables and of segments, and the tables' maxima. Default 1,048,576.
	TableElements int
}

// Defaults returns the defaults of [Limits].
func Defaults() Limits { return Limits{}.withDefaults() }

func (l Limits) withDefaults() Limits {
	l.ModuleBytes = cmp.Or(l.ModuleBytes, 64<<20)
	l.FunctionBytes = cmp.Or(l.FunctionBytes, 1<<20)
	l.Functions = cmp.Or(l.Functions, 100_000)
	l.Types = cmp.Or(l.Types, 2_000)
	l.Locals = cmp.Or(l.Locals, 50_000)
	l.Nesting = cmp.Or(l.Nesting, 20_000)
	l.Targets = cmp.Or(l.Targets, 65_536)
	l.Effort = cmp.Or(l.Effort, 4_000_000)
	l.TotalEffort = cmp.Or(l.TotalEffort, 20_000_000)
	l.Values = cmp.Or(l.Values, 500_000)
	l.Items = cmp.Or(l.Items, 100_000)
	l.Segments = cmp.Or(l.Segments, 100_000)
	l.TableElements = cmp.Or(l.TableElements, 1<<20)
	return l
}

// Report describes a module and what [Rewrite] added to it.
type Report struct {
	BytesIn   int
	BytesOut  int
	Functions int
	Leaves    int      // functions without charge at their entry
	Entries   int      // charged entries
	Loops     int      // charged loops
	Copies    int      // charged bulk operations
	Effort    int      // the compile cost of all functions, see [Limits.Effort]
	MaxEffort int      // the highest compile cost of a function
	Dropped   []string // the names of removed custom sections
}

// UnsupportedError is the error of an unsupported feature.
type UnsupportedError struct {
	Feature  string // a name: `SIMD`
	Offset   int    // in bytes
	Function int    // an index, -1 outside of code
}

func (u *UnsupportedError) Error() string {
	location := ""
	if u.Function >= 0 {
		location = fmt.Sprintf(" (in function %d)", u.Function)
	}
	return fmt.Sprintf("uses %s at byte %d%s, which cannot be metered", u.Feature, u.Offset, location)
}

// abort is the panic value with which parsing ends; [Rewrite] returns its error.
type abort struct{ err error }

// LimitError is the error of a module beyond a limit.
type LimitError struct {
	Subject string // describes the size: `the body of function 12 in bytes`
	Found   int
	Limit   int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: found %d, at most %d are allowed", e.Subject, e.Found, e.Limit)
}

// Rewrite returns the metered form of a core module. It does not change original, and returns a copy of a module
// without code. The error is an [*UnsupportedError], a [*LimitError], a [*wasm.MalformedError] or the context's cause.
func Rewrite(ctx context.Context, original []byte, options Options) (out []byte, report Report, err error) {
	options = Options{Budget: cmp.Or(options.Budget, DefaultBudget), Limits: options.Limits.withDefaults()}
	report.BytesIn = len(original)
	if len(original) > options.Limits.ModuleBytes {
		return nil, report, &LimitError{"the module in bytes", len(original), options.Limits.ModuleBytes}
	}
	module := &rewriter{ctx: ctx, options: options, Reader: wasm.NewReader(original), report: &report}
	defer func() {
		switch r := recover().(type) {
		case nil: // the module was rewritten
		case *wasm.MalformedError:
			out = nil
			err = r
		case abort:
			// In the code section, the function is the one whose body was not finished.
			isInCode := module.bodies != nil && len(module.bodies) < len(module.types)
			if unsupported, ok := r.err.(*UnsupportedError); ok && isInCode {
				unsupported.Function = module.currentFunction()
			}
			out = nil
			err = r.err
		default:
			panic(r)
		}
	}()
	module.parse()
	if len(module.bodies) == 0 {
		out = bytes.Clone(original)
	} else {
		out = module.emit()
	}
	report.BytesOut = len(out)
	return out, report, nil
}
