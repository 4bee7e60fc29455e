// Package query says which rows of an entity set are read, and what of them: conditions, projection and expansion as
// settings name them, checked against the service's metadata. It makes the query options that ask a service for them,
// and looks whether the rows that come are the ones that were asked for. OData v2 has no $filter inside of $expand, so
// conditions on expanded rows are applied here.
package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/zone"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Names of the settings, after the prefix of an entity set and, of a condition, after the prefix of the condition.
const (
	Select = "select"
	Expand = "expand"
	Raw    = "query"

	Property = "property"
	Option   = "option"
	Low      = "low"
	High     = "high"
)

// Settings are what a user says of one entity set.
type Settings struct {
	// Prefix of the settings' names, for messages: `sap.odata#00.`.
	Prefix         string
	Select, Expand []string
	Conditions     []Condition
	// Cursor is a property that is read besides, "" for none.
	Cursor string
	// Raw are options of a query as they stand in a URL.
	Raw string
	// Zone is that of the clock by which the service writes an Edm.DateTime, nil: UTC. It is not packed.
	Zone *zone.Zone
}

// Condition is one that rows must meet. All of them must be met.
type Condition struct {
	// Prefix of the settings' names, for messages: `sap.odata#00.filter#00.`.
	Prefix string
	// Property may be a path: through complex properties and navigation properties. Option is an operator in lower
	// case.
	Property, Option, Low, High string
}

// Operators of conditions.
var Operators = []string{"eq", "ne", "le", "lt", "ge", "gt", "bt", "nb", "in"}

// Filters reports whether the user's own options hold a $filter.
func (s *Settings) Filters() bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(s.Raw, "?"), "&") {
		if name, value, _ := strings.Cut(part, "="); strings.EqualFold(optionName(name), "$filter") && value != "" {
			return true
		}
	}
	return false
}

// optionName is the name of an option as a service reads it.
func optionName(name string) string { return strings.TrimSpace(uri.Unescape(name)) }

// Empty reports whether nothing was said: the whole set is read as it is.
func (s *Settings) Empty() bool {
	return len(s.Select) == 0 && len(s.Expand) == 0 && len(s.Conditions) == 0 && s.Raw == ""
}

// Query is what [Compile] made of settings.
type Query struct {
	// View is what of each row is read.
	View *edm.View
	// Prefix is that of the settings' names.
	Prefix string

	selected, expanded string
	// filter asks for the conditions that the service applies. raw is the $filter of the user's own, in a URL's form;
	// rest are the user's other options.
	filter, raw string
	rest        []string
	// checked are conditions on what rows show; inner those that are applied to expanded rows.
	checked, inner []condition
	structures     []*edm.Structure
	zone           *zone.Zone
}

// Compile checks settings against the metadata. structure is the entity type of the set. Errors are *wit.Fault and name
// the setting.
func Compile(s Settings, m *edm.Model, structure *edm.Structure) (*Query, error) {
	q := &Query{Prefix: s.Prefix, zone: s.Zone}
	if err := q.readRaw(&s); err != nil {
		return nil, err
	}
	root := &level{structure: structure}
	if err := root.expand(m, s.Expand, s.Prefix+Expand); err != nil {
		return nil, err
	}
	if err := root.choose(s.Select, s.Prefix+Select, s.Prefix+Expand); err != nil {
		return nil, err
	}
	for i := range s.Conditions {
		if err := q.condition(m, root, &s.Conditions[i], s.Prefix+Expand); err != nil {
			return nil, err
		}
	}
	if root.structure.Property(s.Cursor) != nil && !root.shown(s.Cursor) && !slices.Contains(root.hidden, s.Cursor) {
		root.hidden = append(root.hidden, s.Cursor)
	}
	q.View = root.view()
	if root.projects() {
		q.selected = strings.Join(root.selection(nil, ""), ",")
	}
	q.expanded = strings.Join(root.leaves(nil, ""), ",")
	q.gather(m, root)
	return q, nil
}

// readRaw takes the user's own options apart. What the connector says itself cannot be said there.
func (q *Query) readRaw(s *Settings) error {
	for part := range strings.SplitSeq(strings.TrimPrefix(s.Raw, "?"), "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		list := func() []string { return setting.List(uri.Unescape(value)) }
		switch name = optionName(name); {
		case strings.EqualFold(name, "$filter"):
			if q.raw != "" {
				return refuse(s.Prefix+Raw, s.Raw, "expected one $filter, found two")
			}
			q.raw = uri.Sendable(value)
		case strings.EqualFold(name, "$select"):
			if len(s.Select) > 0 {
				return refuse(s.Prefix+Raw, s.Raw, "expected $select in "+s.Prefix+Select+" or here, found both")
			}
			s.Select = list()
		case strings.EqualFold(name, "$expand"):
			if len(s.Expand) > 0 {
				return refuse(s.Prefix+Raw, s.Raw, "expected $expand in "+s.Prefix+Expand+" or here, found both")
			}
			s.Expand = list()
		case slices.ContainsFunc(ours, func(own string) bool { return strings.EqualFold(own, name) }):
			return refuse(s.Prefix+Raw, s.Raw,
				"it holds "+name+", which the connector sets by itself: see format, count, paging and page.size")
		case strings.EqualFold(name, "sap-client"), strings.EqualFold(name, "sap-language"):
			return refuse(s.Prefix+Raw, s.Raw, "it holds "+name+", which does not reach all requests from here: see "+
				"sap.odata.sap.client and sap.odata.sap.language")
		default:
			q.rest = append(q.rest, uri.Sendable(part))
		}
	}
	return nil
}

// ours are options by which the connector pages, and counts.
var ours = []string{"$top", "$skip", "$skiptoken", "$orderby", "$inlinecount", "$format", "$count", "!deltatoken",
	"$deltatoken"}

func refuse(name, value, why string) error {
	return fault.Config(name, setting.Invalid(name, value, why))
}

// Selects reports whether the service alone knows which rows meet the user's own $filter.
func (q *Query) Selects() bool { return q.raw != "" }

// Filter is the value of $filter for rows that meet the conditions and own, a further condition of the connector's,
// percent-encoded; "" where all rows are asked for.
func (q *Query) Filter(own string) string {
	var parts []string
	if q.raw != "" {
		parts = append(parts, q.raw)
	}
	for _, text := range []string{q.filter, own} {
		if text != "" {
			parts = append(parts, string(uri.AppendEscaped(nil, text)))
		}
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	for i, part := range parts {
		parts[i] = "(" + part + ")"
	}
	return strings.Join(parts, "%20and%20")
}

// Options are all other options of a request for rows.
func (q *Query) Options() []string {
	var options []string
	if q.selected != "" {
		options = append(options, "$select="+escapeList(q.selected))
	}
	if q.expanded != "" {
		options = append(options, "$expand="+escapeList(q.expanded))
	}
	return append(options, q.rest...)
}

// escapeList percent-encodes names; commas and slashes between them stay, as services are used to.
func escapeList(list string) string {
	text := string(uri.AppendEscaped(nil, list))
	return strings.NewReplacer("%2C", ",", "%2F", "/").Replace(text)
}

// Fingerprint is what offsets belong to besides the set itself (P7), each part with a blank in front; "" for a whole
// set.
func (q *Query) Fingerprint() string {
	var inner []string
	for _, c := range q.inner {
		inner = append(inner, c.text)
	}
	text := ""
	for _, part := range []struct{ name, value string }{{"select", q.selected}, {"expand", q.expanded},
		{"filter", uri.Unescape(q.Filter(""))},
		{"inner", strings.Join(inner, " and ")}, {"query", strings.Join(q.rest, "&")}} {
		if part.value != "" {
			text += " " + part.name + "=" + whole.Replace(part.value)
		}
	}
	return text
}

// whole writes what separates the parts of a fingerprint so that a part stays one.
var whole = strings.NewReplacer("%", "%25", " ", "%20", "=", "%3D", ";", "%3B", "|", "%7C", "\n", "%0A", "\r", "%0D")

// Structures are the types that [Compile] needs of a model for the same settings, the set's own first.
func (q *Query) Structures() []*edm.Structure { return q.structures }

// gather collects the types that were come by.
func (q *Query) gather(m *edm.Model, l *level) {
	add := func(s *edm.Structure) {
		for _, needed := range m.Closure(s, false) {
			if !slices.Contains(q.structures, needed) {
				q.structures = append(q.structures, needed)
			}
		}
	}
	add(l.structure)
	for _, t := range l.touched {
		add(t)
	}
	for _, e := range l.expanded {
		q.gather(m, e.level)
	}
}

// level is one entity type in the tree of expansions.
type level struct {
	structure *edm.Structure
	// chosen: the projection names properties of the level, those in named.
	chosen bool
	named  []string
	// hidden are properties that conditions look at.
	hidden   []string
	expanded []*expansion
	// touched are types that conditions come by on their way, outside of what is expanded.
	touched []*edm.Structure
}

type expansion struct {
	navigation *edm.Navigation
	level      *level
}

func (l *level) at(name string) *level {
	i := slices.IndexFunc(l.expanded, func(e *expansion) bool { return e.navigation.Name == name })
	if i < 0 {
		return nil
	}
	return l.expanded[i].level
}

// maxSteps bounds a path; schemas nest no deeper.
const maxSteps = 20

// expand grows the tree by paths of navigation properties.
func (l *level) expand(m *edm.Model, paths []string, name string) error {
	for _, path := range paths {
		at, depth := l, 0
		for step := range strings.SplitSeq(path, "/") {
			step = strings.TrimSpace(step)
			if depth++; depth > maxSteps {
				return refuse(name, path[:min(len(path), 60)], "expected at most "+strconv.Itoa(maxSteps)+" steps")
			}
			n := at.structure.Navigation(step)
			if n == nil {
				return refuse(name, path, at.noNavigation(step))
			}
			inner := at.at(step)
			if inner == nil {
				target := m.Structure(n.Target)
				if target == nil {
					return refuse(name, path, "$metadata don't say where "+step+" of "+at.structure.QualifiedName()+
						" leads to")
				}
				inner = &level{structure: target}
				at.expanded = append(at.expanded, &expansion{n, inner})
			}
			at = inner
		}
	}
	l.arrange()
	return nil
}

// arrange puts expansions in the order of the metadata.
func (l *level) arrange() {
	place := func(e *expansion) int {
		return slices.IndexFunc(l.structure.Navigations,
			func(n edm.Navigation) bool { return n.Name == e.navigation.Name })
	}
	slices.SortFunc(l.expanded, func(a, b *expansion) int { return place(a) - place(b) })
	for _, e := range l.expanded {
		e.level.arrange()
	}
}

func (l *level) noNavigation(name string) string {
	var names []string
	for _, n := range l.structure.Navigations {
		names = append(names, n.Name)
	}
	text := name + " is no navigation property of " + l.structure.QualifiedName()
	if l.structure.Property(name) != nil {
		text = name + " is a property of " + l.structure.QualifiedName() + ", which needs no expansion"
	}
	return text + fault.Among(name, names, "it has no navigation property")
}

// choose reads the projection.
func (l *level) choose(paths []string, name, expand string) error {
	for _, path := range paths {
		steps := strings.Split(path, "/")
		at := l
		for i, step := range steps {
			step = strings.TrimSpace(step)
			last := i == len(steps)-1
			p, inner := at.structure.Property(step), at.at(step)
			switch {
			case last && step == "*":
				at.chosen = true
				for _, each := range at.structure.Properties {
					at.named = append(at.named, each.Name)
				}
			case last && inner != nil:
				at.chosen = true
			case inner != nil:
				at = inner
			case last && p != nil:
				at.chosen, at.named = true, append(at.named, step)
			case p != nil:
				return refuse(name, path, "a property inside of "+step+" can't be chosen alone; expected "+
					strings.Join(steps[:i+1], "/"))
			case at.structure.Navigation(step) != nil:
				return refuse(name, path, step+" is a navigation property: name "+strings.Join(steps[:i+1],
					"/")+" in "+expand+", too")
			default:
				return refuse(name, path, at.noProperty(step, func(*edm.Property) bool { return true }))
			}
		}
	}
	return nil
}

func (l *level) noProperty(name string, wanted func(*edm.Property) bool) string {
	return noProperty(l.structure, name, wanted)
}

func noProperty(s *edm.Structure, name string, wanted func(*edm.Property) bool) string {
	return name + " is no property of " + s.QualifiedName() + fault.Among(name, propertiesOf(s, wanted),
		"it has no such property")
}

// shown reports whether a property stands in rows: those of the key always do.
func (l *level) shown(name string) bool {
	return !l.chosen || slices.Contains(l.named, name) || l.structure.IsKey(name)
}

// projects reports whether something is left out, here or inside.
func (l *level) projects() bool {
	return l.chosen || slices.ContainsFunc(l.expanded, func(e *expansion) bool { return e.level.projects() })
}

// selection lists what $select has to name, so that nothing of it hangs on how a service understands the name of an
// expanded entity.
func (l *level) selection(dst []string, prefix string) []string {
	for i := range l.structure.Properties {
		if name := l.structure.Properties[i].Name; l.shown(name) || slices.Contains(l.hidden, name) {
			dst = append(dst, prefix+name)
		}
	}
	for _, e := range l.expanded {
		if len(e.level.expanded) == 0 && !e.level.projects() {
			dst = append(dst, prefix+e.navigation.Name)
			continue
		}
		dst = e.level.selection(dst, prefix+e.navigation.Name+"/")
	}
	return dst
}

// leaves lists the longest paths of the tree; $expand follows all steps of a path.
func (l *level) leaves(dst []string, prefix string) []string {
	for _, e := range l.expanded {
		path := prefix + e.navigation.Name
		if len(e.level.expanded) == 0 {
			dst = append(dst, path)
			continue
		}
		dst = e.level.leaves(dst, path+"/")
	}
	return dst
}

func (l *level) view() *edm.View {
	v := &edm.View{Structure: l.structure}
	for i := range l.structure.Properties {
		switch name := l.structure.Properties[i].Name; {
		case l.shown(name):
		case slices.Contains(l.hidden, name):
			v.Hidden = append(v.Hidden, name)
		default:
			v.Left = append(v.Left, name)
		}
	}
	for _, e := range l.expanded {
		v.Expanded = append(v.Expanded, edm.Expansion{Name: e.navigation.Name, Many: e.navigation.Many,
			View: e.level.view()})
	}
	return v
}
