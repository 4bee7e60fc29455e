package setting

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/culvert-project/culvert/wit"
)

// Table holds declarations in their order: those of a component, of the worker, of a Kafka client. The zero Table is
// ready to use. Once everything is declared it may be read by several goroutines.
type Table struct {
	// Prefixes are the beginnings of the names that belong to the table: a name that begins so and is not declared is
	// wrong rather than somebody else's. {n} in them stands for a number.
	Prefixes []string
	// Check is how [Table.Validate] checks values.
	Check Check

	specs []wit.ConfigKey
	// grouped is how many of them each group has.
	grouped map[string]int32
	// later are settings that are known and not built yet, by declared name: the values that say what is the case
	// anyway.
	later map[string][]string
	// instead is what to use in place of some of them, by declared name.
	instead map[string]string
	index   atomic.Pointer[index]
}

// index finds declarations by name.
type index struct {
	exact     map[string]int
	templates []template
}

// template is a name, or an alias, that stands for many.
type template struct {
	name string
	spec int
	// before and after are what stands before its first placeholder and after its last one.
	before, after string
}

// newTemplate makes the template of a declaration.
func newTemplate(name string, spec int) template {
	before, placeholder, _ := cutPlaceholder(name)
	after := name[len(before)+len(placeholder):]
	for {
		more, placeholder, found := cutPlaceholder(after)
		if !found {
			return template{name, spec, before, after}
		}
		after = after[len(more)+len(placeholder):]
	}
}

// matches tells whether it stands for a name.
func (t *template) matches(name string) bool {
	return strings.HasSuffix(name, t.after) && strings.HasPrefix(name, t.before) && matches(t.name, name)
}

// NewTable makes a table of declarations.
func NewTable(specs ...wit.ConfigKey) *Table {
	t := &Table{}
	t.Declare(specs...)
	return t
}

// NewComponentTable makes the table of a component.
func NewComponentTable(c *wit.Component) *Table {
	t := NewTable(c.Settings...)
	t.Prefixes = c.Prefixes
	return t
}

// Declare adds settings. A name that is declared already goes on standing for the first of them. A setting of a group
// that has no order of its own follows those that the group has by now, counted from 1 as Kafka Connect's ConfigDef
// counts them.
func (t *Table) Declare(specs ...wit.ConfigKey) {
	if t.grouped == nil {
		t.grouped = map[string]int32{}
	}
	for _, spec := range specs {
		if group := GroupOf(&spec); group != "" {
			t.grouped[group]++
			if order := t.grouped[group]; !hasOrder(&spec) {
				spec.Rules = append(slices.Clip(spec.Rules), wit.Rule{Order: &order})
			}
		}
		t.specs = append(t.specs, spec)
	}
	t.index.Store(nil)
}

func hasOrder(spec *wit.ConfigKey) bool {
	return slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Order != nil })
}

// DeclareUnsupported adds a setting that is known and not built yet; harmless are the values that ask for nothing.
func (t *Table) DeclareUnsupported(spec wit.ConfigKey, harmless ...string) {
	spec.Documentation += " Not built yet."
	t.Declare(spec)
	t.SupportOnly(spec.Name, harmless...)
}

// SupportOnly marks values of a declared setting as known and not built yet: all but the given ones.
func (t *Table) SupportOnly(name string, built ...string) {
	if t.later == nil {
		t.later = map[string][]string{}
	}
	t.later[name] = built
}

// Keys are the declarations in their order, templates included.
func (t *Table) Keys() []wit.ConfigKey { return t.specs }

// SuggestInstead says what to use in place of a setting that is known and not built yet.
func (t *Table) SuggestInstead(name, text string) {
	if t.instead == nil {
		t.instead = map[string]string{}
	}
	t.instead[name] = text
}

func (t *Table) indexed() *index {
	if in := t.index.Load(); in != nil {
		return in
	}
	in := &index{exact: make(map[string]int, len(t.specs))}
	for i := range t.specs {
		in.add(t.specs[i].Name, i)
		for _, r := range t.specs[i].Rules {
			if r.Alias != nil {
				in.add(*r.Alias, i)
			}
		}
	}
	t.index.Store(in)
	return in
}

func (in *index) add(name string, spec int) {
	if IsTemplate(name) {
		in.templates = append(in.templates, newTemplate(name, spec))
	} else if _, ok := in.exact[name]; !ok {
		in.exact[name] = spec
	}
}

// locate is the declaration that a name goes by, and the template of it that matches, "" where the name is declared as
// it is.
func (t *Table) locate(name string) (spec int, by string, ok bool) {
	in := t.indexed()
	if i, ok := in.exact[name]; ok {
		return i, "", true
	}
	for _, of := range in.templates {
		if of.matches(name) {
			return of.spec, of.name, true
		}
	}
	return 0, "", false
}

// Find returns the declaration that a name goes by, instantiated and under its own name, never an alias:
// `shop#{n}.table` is found by `shop#00.table` under just that name.
func (t *Table) Find(name string) (spec wit.ConfigKey, ok bool) {
	i, by, ok := t.locate(name)
	switch {
	case !ok:
		return spec, false
	case by == "":
		return t.specs[i], true
	}
	return instantiate(t.specs[i], by, name), true
}

// Declares tells whether the name is declared as it is, rather than by a template.
func (t *Table) Declares(name string) bool {
	_, ok := t.indexed().exact[name]
	return ok
}

// Matching are all declarations of a name, as they were declared: several templates may stand for it.
func (t *Table) Matching(name string) (specs []wit.ConfigKey) {
	for i := range t.specs {
		if spec := &t.specs[i]; spec.Name == name ||
			slices.ContainsFunc(spec.Rules, func(r wit.Rule) bool { return r.Alias != nil && *r.Alias == name }) {
			specs = append(specs, *spec)
		}
	}
	for _, of := range t.indexed().templates {
		if of.matches(name) {
			specs = append(specs, t.specs[of.spec])
		}
	}
	return specs
}

// Prefix is the prefix of the table's own that the name begins with, "" if none.
func (t *Table) Prefix(name string) string {
	for _, p := range t.Prefixes {
		if begins(p, name) {
			return p
		}
	}
	return ""
}

// NumberIn is the number of the first of the names that has one right after its prefix, "" if there is none.
func (t *Table) NumberIn(names []string) string {
	for _, name := range names {
		if p := t.Prefix(name); p != "" {
			rest := strings.TrimPrefix(name, p)
			if n := min(leadingDigits(rest), maxDigits); n > 0 && rest != name {
				return rest[:n]
			}
		}
	}
	return ""
}
