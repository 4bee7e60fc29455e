package meter

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/culvert-project/culvert/host/internal/base/wasm"
)

const (
	// Module and Name are those of the import that is called when fuel is used up.
	Module, Name = "culvert:meter", "tick"
	// DefaultBudget is some 0.2 ms of plain work, a few ms of the dearest.
	DefaultBudget = 200_000
)

// Options of [Rewrite]. A zero field stands for its default.
type Options struct {
	// Budget is the fuel at the start, in units of sixteen instructions. Default [DefaultBudget].
	Budget int64
	Limits Limits
}

// Limits bound what is taken on. A zero field stands for its default.
type Limits struct {
	// ModuleBytes is the most that a module may have. Default 64 MiB.
	ModuleBytes int
	// FunctionBytes is the most that the body of a function may have. Default 1 MiB.
	FunctionBytes int
	// Functions is how many functions a module may define. Default 100,000.
	Functions int
	// Types is how many types of functions there may be: engines compare each function with them all. Default 2,000.
	Types int
	// Locals is how many locals a function may have: engines give each its place. Default 50,000.
	Locals int
	// Nesting is how deeply blocks may stand in each other. Default 20,000.
	Nesting int
	// Targets is how many labels the br_table instructions of a function may list in all. Default 65,536.
	Targets int
	// Effort bounds, for each function, what compiling it takes in microseconds, as it was measured with shapes made
	// for it: the square of its blocks, its locals and what lies on its stack times its branches, its locals squared
	// times its loops and their depth, and the labels of its tables times the loops around. Functions of a few KiB can
	// take minutes and gigabytes if nothing bounds it. Default 4,000,000; the most that one of a Go guest was seen to
	// need is 160,000.
	Effort int
	// TotalEffort is that of all functions. Default 20,000,000; Go guests of 5 MB need 2,500,000.
	TotalEffort int
	// Values is how many parameters and results the calls, blocks and jumps of a function may pass in all, each call
	// counting eight more; a type may have 1,000 of each. Default 500,000.
	Values int
	// Items is how many imports, globals and exports there may be, of each. Default 100,000.
	Items int
	// Segments is how many segments of data, and of elements, there may be: engines keep some hundred bytes for each.
	// Default 100,000.
	Segments int
	// TableElements is the most that all tables may have at the start, and element segments in all; it is shared out
	// among the tables as their maximum. Default 1,048,576.
	TableElements int
}

// Defaults are what zero fields of [Limits] stand for.
func Defaults() Limits { return Limits{}.filled() }

func (l Limits) filled() Limits {
	for _, f := range []struct {
		field *int
		or    int
	}{{&l.ModuleBytes, 64 << 20}, {&l.FunctionBytes, 1 << 20}, {&l.Functions, 100_000}, {&l.Types, 2_000},
		{&l.Locals, 50_000}, {&l.Nesting, 20_000}, {&l.Targets, 65_536}, {&l.Effort, 4_000_000},
		{&l.TotalEffort, 20_000_000}, {&l.Values, 500_000}, {&l.Items, 100_000}, {&l.Segments, 100_000},
		{&l.TableElements, 1 << 20}} {
		*f.field = cmp.Or(*f.field, f.or)
	}
	return l
}

// Report says what [Rewrite] has added to a module.
type Report struct {
	// BytesIn and BytesOut are the sizes before and after.
	BytesIn, BytesOut int
	// Functions that the module defines, Leaves among them that are not charged at their entry.
	Functions, Leaves int
	// Entries and Loops that are charged, Copies that are charged by size.
	Entries, Loops, Copies int
	// Effort is what compiling all functions takes, Hardest what the hardest of them does: see [Limits.Effort].
	Effort, Hardest int
	// Dropped are the custom sections that were left out.
	Dropped []string
}

// Refusal is a feature that the rewriter does not know.
type Refusal struct {
	// Feature is its name: `SIMD`.
	Feature string
	// Offset is where in the module it was found, in bytes.
	Offset int
	// Function is the index of the function that uses it, -1 outside of code.
	Function int
}

func (r *Refusal) Error() string {
	where := ""
	if r.Function >= 0 {
		where = fmt.Sprintf(" (in function %d)", r.Function)
	}
	return fmt.Sprintf("uses %s at byte %d%s, which cannot be metered", r.Feature, r.Offset, where)
}

// failure carries an error up to [Rewrite].
type failure struct{ err error }

// Exceeded is a limit that the module does not keep to.
type Exceeded struct {
	// What is too much: `the body of function 12 in bytes`.
	What         string
	Found, Limit int
}

func (e *Exceeded) Error() string {
	return fmt.Sprintf("%s: found %d, at most %d are allowed", e.What, e.Found, e.Limit)
}

// Rewrite returns the metered form of a core module. The error is a [*Refusal], an [*Exceeded], the cause of the
// context's end, or says what is malformed and at which byte. module is not changed. A module without code comes back
// as it is.
func Rewrite(ctx context.Context, module []byte, o Options) (out []byte, report Report, err error) {
	o = Options{Budget: cmp.Or(o.Budget, DefaultBudget), Limits: o.Limits.filled()}
	report.BytesIn = len(module)
	if len(module) > o.Limits.ModuleBytes {
		return nil, report, &Exceeded{"the module in bytes", len(module), o.Limits.ModuleBytes}
	}
	m := &rewriter{ctx: ctx, options: o, Reader: wasm.NewReader(module), report: &report}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *wasm.Malformed:
			out, err = nil, r
		case failure:
			if refusal, ok := r.err.(*Refusal); ok && m.inCode() {
				refusal.Function = m.current()
			}
			out, err = nil, r.err
		default:
			panic(r)
		}
	}()
	m.parse()
	if len(m.bodies) == 0 {
		out = bytes.Clone(module)
	} else {
		out = m.emit()
	}
	report.BytesOut = len(out)
	return out, report, nil
}
