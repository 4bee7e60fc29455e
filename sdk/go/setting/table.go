package setting

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/culvert-project/culvert/wit"
)

// Table holds the declared settings of a component, of the worker or of a Kafka client, in their order, like Kafka's
// ConfigDef. The zero Table is ready to use. Reads are safe for concurrent use once everything is declared.
type Table struct {
	// Prefixes: a name that begins with one of these and is not declared is an error. {n} stands for a number.
	Prefixes []string
	// Check holds the options of [Table.Validate].
	Check Check

	specs []wit.ConfigKey
	// grouped counts the settings of each group.
	grouped map[string]int32
	// later holds the settings that are not, or not fully, supported, by declared name, with their valid values.
	later map[string][]string
	// instead holds what to use in place of some of them, by declared name.
	instead map[string]string
	index   atomic.Pointer[index]
}

// index finds declarations by name.
type index struct {
	exact     map[string]int
	templates []template
}

// template is a name, or an alias, with placeholders.
type template struct {
	name string
	spec int
	// before and after are the texts before the first placeholder and after the last one.
	before, after string
}

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

func (t *template) matches(name string) bool {
	return strings.HasSuffix(name, t.after) && strings.HasPrefix(name, t.before) && matches(t.name, name)
}

// NewTable returns a table of declarations.
func NewTable(specs ...wit.ConfigKey) *Table {
	t := &Table{}
	t.Declare(specs...)
	return t
}

// NewComponentTable returns the table of a component.
func NewComponentTable(c *wit.Component) *Table {
	t := NewTable(c.Settings...)
	t.Prefixes = c.Prefixes
	return t
}

// Declare adds settings. If a name is declared twice, the first declaration counts. A setting of a group without its
// own order follows the settings that the group has so far, counted from 1 like in Kafka's ConfigDef.
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

// DeclareUnsupported declares a known setting that is not supported yet; harmless are the values that have no effect.
func (t *Table) DeclareUnsupported(spec wit.ConfigKey, harmless ...string) {
	spec.Documentation += " Not built yet."
	t.Declare(spec)
	t.SupportOnly(spec.Name, harmless...)
}

// SupportOnly marks all values of a declared setting except these as not supported yet.
func (t *Table) SupportOnly(name string, built ...string) {
	if t.later == nil {
		t.later = map[string][]string{}
	}
	t.later[name] = built
}

// Keys returns the declarations in their order, including templates.
func (t *Table) Keys() []wit.ConfigKey { return t.specs }

// SuggestInstead adds a hint to the error of an unsupported setting.
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

// locate returns the declaration of a name, and the template that matches, or "" if the exact name is declared.
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

// Find returns the declaration of a name, instantiated, under its declared name, never an alias: `shop#00.table` finds
// `shop#{n}.table` as `shop#00.table`.
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

// Declares reports whether the exact name is declared, not a template.
func (t *Table) Declares(name string) bool {
	_, ok := t.indexed().exact[name]
	return ok
}

// Matching returns all declarations that match a name, as they were declared: several templates may match.
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

// Prefix returns the prefix of the table that the name begins with, or "".
func (t *Table) Prefix(name string) string {
	for _, p := range t.Prefixes {
		if begins(p, name) {
			return p
		}
	}
	return ""
}

// NumberIn returns the number after the prefix in the first name that has one, or "".
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
