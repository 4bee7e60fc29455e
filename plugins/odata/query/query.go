package query

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/zone"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Query is the compiled form of [Settings].
type Query struct {
	// View is the part of each row that is read.
	View *edm.View
	// Prefix of the settings' names.
	Prefix string

	selected, expanded string
	// filter asks for the conditions that the service applies. raw is the $filter of the user's own, in a URL's form;
	// rest are the user's other options.
	filter, userFilter string
	otherOptions       []string
	// rowConditions are conditions on what rows show; inner those that are applied to expanded rows.
	rowConditions, expandedConditions []condition
	structures                        []*edm.StructuredType
	zone                              *zone.Zone
}

// Compile checks settings against the metadata; structure is the entity type of the set. Errors are configuration
// errors that name the setting.
func Compile(s Settings, m *edm.Model, structure *edm.StructuredType) (*Query, error) {
	q := &Query{Prefix: s.Prefix, zone: s.Zone}
	if err := q.readRaw(&s); err != nil {
		return nil, err
	}
	root := &level{structure: structure}
	if err := root.expand(m, s.Expand, s.Prefix+Expand); err != nil {
		return nil, err
	}
	if err := root.project(s.Select, s.Prefix+Select, s.Prefix+Expand); err != nil {
		return nil, err
	}
	for i := range s.Conditions {
		if err := q.condition(m, root, &s.Conditions[i], s.Prefix+Expand); err != nil {
			return nil, err
		}
	}
	if root.structure.Property(s.Cursor) != nil && !root.inRows(s.Cursor) && !slices.Contains(root.hidden, s.Cursor) {
		root.hidden = append(root.hidden, s.Cursor)
	}
	q.View = root.view()
	if root.projects() {
		q.selected = strings.Join(root.selection(nil, ""), ",")
	}
	q.expanded = strings.Join(root.expandPaths(nil, ""), ",")
	q.collectTypes(m, root)
	return q, nil
}

// readRaw parses the user's own query options. It rejects options that the connector sets itself.
func (q *Query) readRaw(s *Settings) error {
	for part := range strings.SplitSeq(strings.TrimPrefix(s.Raw, "?"), "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		list := func() []string { return setting.ParseList(uri.Unescape(value)) }
		switch name = optionName(name); {
		case strings.EqualFold(name, "$filter"):
			if q.userFilter != "" {
				return invalid(s.Prefix+Raw, s.Raw, "expected one $filter, found two")
			}
			q.userFilter = uri.EncodeQuery(value)
		case strings.EqualFold(name, "$select"):
			if len(s.Select) > 0 {
				return invalid(s.Prefix+Raw, s.Raw, "expected $select in "+s.Prefix+Select+" or here, found both")
			}
			s.Select = list()
		case strings.EqualFold(name, "$expand"):
			if len(s.Expand) > 0 {
				return invalid(s.Prefix+Raw, s.Raw, "expected $expand in "+s.Prefix+Expand+" or here, found both")
			}
			s.Expand = list()
		case slices.ContainsFunc(reservedOptions, func(own string) bool { return strings.EqualFold(own, name) }):
			return invalid(s.Prefix+Raw, s.Raw,
				"it holds "+name+", which the connector sets by itself: see format, count, paging and page.size")
		case strings.EqualFold(name, "sap-client"), strings.EqualFold(name, "sap-language"):
			return invalid(s.Prefix+Raw, s.Raw, "it holds "+name+", which does not reach all requests from here: see "+
				"sap.odata.sap.client and sap.odata.sap.language")
		default:
			q.otherOptions = append(q.otherOptions, uri.EncodeQuery(part))
		}
	}
	return nil
}

// reservedOptions are options by which the connector pages, and counts.
var reservedOptions = []string{"$top", "$skip", "$skiptoken", "$orderby", "$inlinecount", "$format", "$count", "!deltatoken",
	"$deltatoken"}

// Selects reports whether the user's own $filter selects rows, which only the service can check.
func (q *Query) Selects() bool { return q.userFilter != "" }

// Filter returns the percent-encoded $filter for the conditions and own, a further condition of the connector; empty
// for all rows.
func (q *Query) Filter(own string) string {
	var parts []string
	if q.userFilter != "" {
		parts = append(parts, q.userFilter)
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

// Options returns the other query options of a request.
func (q *Query) Options() []string {
	var options []string
	if q.selected != "" {
		options = append(options, "$select="+escapeList(q.selected))
	}
	if q.expanded != "" {
		options = append(options, "$expand="+escapeList(q.expanded))
	}
	return append(options, q.otherOptions...)
}

// escapeList percent-encodes names but not the commas and slashes between them.
func escapeList(list string) string {
	text := string(uri.AppendEscaped(nil, list))
	return strings.NewReplacer("%2C", ",", "%2F", "/").Replace(text)
}

// Fingerprint identifies the query in offsets (P7): each part after a blank, empty for a whole set.
func (q *Query) Fingerprint() string {
	var inner []string
	for _, c := range q.expandedConditions {
		inner = append(inner, c.text)
	}
	text := ""
	for _, part := range []struct{ name, value string }{{"select", q.selected}, {"expand", q.expanded},
		{"filter", uri.Unescape(q.Filter(""))},
		{"inner", strings.Join(inner, " and ")}, {"query", strings.Join(q.otherOptions, "&")}} {
		if part.value != "" {
			text += " " + part.name + "=" + fingerprintEscaper.Replace(part.value)
		}
	}
	return text
}

// fingerprintEscaper writes what separates the parts of a fingerprint so that a part stays one.
var fingerprintEscaper = strings.NewReplacer("%", "%25", " ", "%20", "=", "%3D", ";", "%3B", "|", "%7C", "\n", "%0A", "\r", "%0D")

// Structures returns the types that [Compile] needs for the same settings, the set's own first.
func (q *Query) Structures() []*edm.StructuredType { return q.structures }

func (q *Query) collectTypes(m *edm.Model, l *level) {
	add := func(s *edm.StructuredType) {
		for _, needed := range m.Closure(s, false) {
			if !slices.Contains(q.structures, needed) {
				q.structures = append(q.structures, needed)
			}
		}
	}
	add(l.structure)
	for _, t := range l.visitedTypes {
		add(t)
	}
	for _, e := range l.expanded {
		q.collectTypes(m, e.level)
	}
}

func (q *Query) condition(m *edm.Model, root *level, spec *Condition, expand string) error {
	r := route{model: m, root: root, condition: spec, expand: expand, expanded: true, level: root,
		structure: root.structure}
	if err := r.resolve(); err != nil {
		return err
	}
	property, err := r.property()
	if err != nil {
		return err
	}
	c := condition{setting: spec.Prefix + Option, operator: spec.Option, property: property, key: r.endsAtKey()}
	c.setRowFormat(edm.Options{Zone: q.zone})
	if err := c.read(spec); err != nil {
		return err
	}
	c.many, c.path = r.steps[:r.many], r.steps[r.many:]
	c.text = c.expression(strings.Join(r.steps, "/"))
	if err := q.addCondition(c, &r); err != nil {
		return err
	}
	r.requestValue()
	return nil
}

// addCondition adds a condition to the ones that the service applies or, since OData v2 cannot express it, to the ones on
// expanded rows. Rows that contain the value are checked in both cases.
func (q *Query) addCondition(c condition, r *route) error {
	if r.many > 0 {
		if !r.expanded {
			return r.invalid("the condition is applied to expanded rows: name " +
				strings.Join(r.steps[:len(r.steps)-1], "/") + " in " + r.expand + ", too")
		}
		q.expandedConditions = append(q.expandedConditions, c)
		return nil
	}
	if q.filter != "" {
		q.filter += " and "
	}
	q.filter += c.text
	if r.expanded {
		q.rowConditions = append(q.rowConditions, c)
	}
	return nil
}
