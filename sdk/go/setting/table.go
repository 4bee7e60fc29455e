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
	// Prefixes of the component's settings. An undeclared name that begins with one of them is an error; other names
	// are ignored. {n} is a placeholder for a number.
	Prefixes []string
	Check    Check // the options of [Table.Validate]

	specs      []wit.ConfigKey
	groupSizes map[string]int32 // the number of settings of each group
	// supported has the supported values of settings that are not fully supported, by declared name.
	supported    map[string][]string
	alternatives map[string]string     // hints what to use instead of some of them, by declared name
	reasons      map[string]string     // why other values are refused for good, by declared name
	index        atomic.Pointer[index] // nil until it is first used
}

// index finds declarations by name.
type index struct {
	exact map[string][]int // the indexes of declarations with a name or alias without placeholders
	// templates has the templates that may match a name, by the end of the name from its last dot. The list of "" has
	// the templates whose end is open; all other lists contain these, too.
	templates map[string][]indexedTemplate
}

// indexedTemplate is a name or alias with placeholders.
type indexedTemplate struct {
	name   string
	spec   int    // the index of the declaration
	prefix string // the text before the first placeholder
	suffix string // the text after the last placeholder
}

// newTemplate splits a name with placeholders. spec is the index of its declaration.
func newTemplate(name string, spec int) indexedTemplate {
	prefix, placeholder, _ := cutPlaceholder(name)
	suffix := name[len(prefix)+len(placeholder):]
	for {
		middle, placeholder, ok := cutPlaceholder(suffix)
		if !ok {
			return indexedTemplate{name: name, spec: spec, prefix: prefix, suffix: suffix}
		}
		suffix = suffix[len(middle)+len(placeholder):]
	}
}

func (t *indexedTemplate) matches(name string) bool {
	return len(name) <= maxTemplateName && strings.HasSuffix(name, t.suffix) && strings.HasPrefix(name, t.prefix) &&
		matches(t.name, name)
}

// NewTable returns a table of declarations.
func NewTable(keys ...wit.ConfigKey) *Table {
	t := &Table{}
	t.Declare(keys...)
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
func (t *Table) Declare(keys ...wit.ConfigKey) {
	if t.groupSizes == nil {
		t.groupSizes = map[string]int32{}
	}
	t.specs = slices.Grow(t.specs, len(keys))
	for _, key := range keys {
		if group := GroupOf(&key); group != "" {
			t.groupSizes[group]++
			order := t.groupSizes[group]
			if !hasOrder(&key) {
				key.Rules = append(slices.Clip(key.Rules), wit.Rule{Order: &order})
			}
		}
		t.specs = append(t.specs, key)
	}
	t.index.Store(nil)
}

func hasOrder(key *wit.ConfigKey) bool {
	return slices.ContainsFunc(key.Rules, func(r wit.Rule) bool { return r.Order != nil })
}

// DeclareUnsupported declares a setting that is not supported yet, except the values harmless, which have no effect.
func (t *Table) DeclareUnsupported(key wit.ConfigKey, harmless ...string) {
	key.Documentation += " Not built yet."
	t.Declare(key)
	t.SupportOnly(key.Name, harmless...)
}

// DeclareRefused declares a setting of a similar component that this one does not have. The values harmless are
// accepted, without effect; other values are refused with the reason.
func (t *Table) DeclareRefused(key wit.ConfigKey, reason string, harmless ...string) {
	key.DefaultValue = nil
	key.Documentation = "Not used: " + reason + "."
	t.Declare(key)
	t.SupportOnly(key.Name, harmless...)
	if t.reasons == nil {
		t.reasons = map[string]string{}
	}
	t.reasons[key.Name] = reason
}

// SupportOnly marks all other values of a declared setting as not supported yet.
func (t *Table) SupportOnly(name string, supported ...string) {
	if t.supported == nil {
		t.supported = map[string][]string{}
	}
	t.supported[name] = supported
}

// Keys returns the declarations in their order, including templates.
func (t *Table) Keys() []wit.ConfigKey { return t.specs }

// SuggestInstead adds a hint to the error of an unsupported setting.
func (t *Table) SuggestInstead(name, text string) {
	if t.alternatives == nil {
		t.alternatives = map[string]string{}
	}
	t.alternatives[name] = text
}

// loadIndex returns the index. It builds the index if it does not exist yet.
func (t *Table) loadIndex() *index {
	if in := t.index.Load(); in != nil {
		return in
	}
	in := &index{exact: make(map[string][]int, len(t.specs)), templates: map[string][]indexedTemplate{}}
	var templates []indexedTemplate
	for i := range t.specs {
		for _, name := range t.specs[i].Names() {
			if !IsTemplate(name) {
				in.exact[name] = append(in.exact[name], i)
				continue
			}
			template := newTemplate(name, i)
			templates = append(templates, template)
			in.templates[lastPart(template.suffix)] = nil // a list that is filled below
		}
	}
	for _, template := range templates {
		end := lastPart(template.suffix)
		for part := range in.templates {
			if end == "" || end == part {
				in.templates[part] = append(in.templates[part], template)
			}
		}
	}
	t.index.Store(in)
	return in
}

// lastPart returns the end of a name from its last dot, "" without a dot.
func lastPart(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i:]
	}
	return ""
}

// templatesFor returns the templates that may match a name, in the order of the declarations.
func (in *index) templatesFor(name string) []indexedTemplate {
	if templates, ok := in.templates[lastPart(name)]; ok {
		return templates
	}
	return in.templates[""]
}

// locate returns the declaration of a name and the template that matches, or "" if the exact name is declared.
func (t *Table) locate(name string) (spec int, templateName string, ok bool) {
	in := t.loadIndex()
	if exact := in.exact[name]; len(exact) > 0 {
		return exact[0], "", true
	}
	for _, template := range in.templatesFor(name) {
		if template.matches(name) {
			return template.spec, template.name, true
		}
	}
	return 0, "", false
}

// Find returns the declaration of a name with its placeholders replaced. Its name is the declared one, not an alias:
// `shop#00.table` finds `shop#{n}.table` as `shop#00.table`.
func (t *Table) Find(name string) (key wit.ConfigKey, ok bool) {
	i, templateName, ok := t.locate(name)
	switch {
	case !ok:
		return key, false
	case templateName == "":
		return t.specs[i], true
	}
	return instantiate(t.specs[i], templateName, name), true
}

// Declares reports whether the exact name is declared. Templates do not count.
func (t *Table) Declares(name string) bool {
	_, ok := t.loadIndex().exact[name]
	return ok
}

// Matching returns all declarations that match a name, unchanged. Several templates may match.
func (t *Table) Matching(name string) (keys []wit.ConfigKey) {
	in := t.loadIndex()
	for _, i := range in.exact[name] {
		keys = append(keys, t.specs[i])
	}
	for _, template := range in.templatesFor(name) {
		if template.matches(name) {
			keys = append(keys, t.specs[template.spec])
		}
	}
	return keys
}

// Prefix returns the prefix of the table with which the name begins, or "". Of a long name it compares a part.
func (t *Table) Prefix(name string) string {
	begin := name[:min(len(name), maxTemplateName)]
	for _, p := range t.Prefixes {
		if hasTemplatePrefix(p, begin) {
			return p
		}
	}
	return ""
}

// NumberIn returns the number after the prefix of the first name that has one, or "".
func (t *Table) NumberIn(names []string) string {
	for _, name := range names {
		if p := t.Prefix(name); p != "" {
			unprefixed := strings.TrimPrefix(name, p)
			if n := min(leadingDigits(unprefixed), maxDigits); n > 0 && unprefixed != name {
				return unprefixed[:n]
			}
		}
	}
	return ""
}
