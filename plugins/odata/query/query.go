// Package query compiles the settings that select the rows of an entity set: conditions, projection and expansion,
// checked against the service's metadata ([Compile]). It builds the query options of requests and checks the rows of
// responses ([RowChecker]). OData v2 has no $filter inside of $expand, so conditions on expanded rows are applied here,
// in every dialect.
//
// level.go is the tree of expansions, expand.go $expand with options in it, route.go the path to a condition's
// property, compare.go compares values.
package query

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Query is the compiled form of [Settings].
type Query struct {
	View   *edm.View // the part of each row that is read
	Prefix string    // of the settings' names
	// Derives means that the user's own options are applied to rows before $filter and $orderby, so that nothing
	// follows from the key of a row.
	Derives bool

	selectOption string
	expandOption string
	// filter combines the conditions that the service applies. userFilter is $filter of the user's own options,
	// encoded.
	filter       string
	userFilter   string
	otherOptions []string
	// rowConditions check rows, expandedConditions select expanded rows.
	rowConditions      []condition
	expandedConditions []condition
	structures         []*edm.StructuredType
	zone               *datetime.Zone
}

// Compile checks settings against the metadata of a set with this entity type. Errors name the setting.
func Compile(settings Settings, model *edm.Model, structure *edm.StructuredType) (*Query, error) {
	query := &Query{Prefix: settings.Prefix, zone: settings.Zone}
	dialect := cmp.Or(model.Dialect, edm.V2)
	nested, err := query.parseOptions(dialect, &settings)
	if err != nil {
		return nil, err
	}
	root := &level{structure: structure}
	if err := root.expand(model, settings.Expand, settings.Prefix+Expand); err != nil {
		return nil, err
	}
	if err := root.project(settings.Select, settings.Prefix+Select, settings.Prefix+Expand); err != nil {
		return nil, err
	}
	for i := range settings.Conditions {
		if err := query.compileCondition(model, root, &settings.Conditions[i], settings.Prefix+Expand); err != nil {
			return nil, err
		}
	}
	if root.structure.Property(settings.Cursor) != nil && !root.isInRows(settings.Cursor) &&
		!slices.Contains(root.hidden, settings.Cursor) {
		root.hidden = append(root.hidden, settings.Cursor)
	}
	query.View = root.view()
	if dialect.ExpandOptions {
		query.selectOption = strings.Join(root.ownSelection(), ",")
		query.expandOption = root.expandTree(query, nested, nil)
	} else {
		if root.hasProjection() {
			query.selectOption = strings.Join(root.selection(nil, ""), ",")
		}
		query.expandOption = strings.Join(root.expandPaths(nil, ""), ",")
	}
	query.collectTypes(model, root)
	return query, nil
}

// parseOptions parses the user's own query options into the query, and $select and $expand into settings. It rejects
// options that the connector sets itself. nested are the other options in $expand.
func (q *Query) parseOptions(dialect *edm.Dialect, settings *Settings) (nested nestedOptions, err error) {
	isSet := map[string]bool{} // by name, of ownOptions
	hasSelect := len(settings.Select) > 0
	for part := range strings.SplitSeq(strings.TrimPrefix(settings.Raw, "?"), "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		parseList := func() []string { return setting.ParseList(uri.Unescape(value)) }
		name = optionName(name)
		if option := strings.ToLower(name); slices.Contains(ownOptions, option) {
			if isSet[option] {
				return nil, invalid(settings.Prefix+Raw, settings.Raw, "expected one "+option+", found two")
			}
			isSet[option] = true
		}
		switch {
		case strings.EqualFold(name, "$filter"):
			q.userFilter = uri.EncodeQuery(value)
		case strings.EqualFold(name, "$select"):
			if hasSelect {
				return nil, invalid(settings.Prefix+Raw, settings.Raw,
					"expected $select in "+settings.Prefix+Select+" or here, found both")
			}
			settings.Select = append(settings.Select, parseList()...) // $expand may have added paths
		case strings.EqualFold(name, "$expand"):
			if len(settings.Expand) > 0 {
				return nil, invalid(settings.Prefix+Raw, settings.Raw,
					"expected $expand in "+settings.Prefix+Expand+" or here, found both")
			}
			if !dialect.ExpandOptions {
				settings.Expand = parseList()
				break
			}
			settings.Select = slices.Clip(settings.Select)
			nested = nestedOptions{}
			if err := nested.parse(settings, uri.Unescape(value), ""); err != nil {
				return nil, err
			}
		case slices.ContainsFunc(reservedOptions, func(option string) bool { return strings.EqualFold(option, name) }):
			return nil, invalid(settings.Prefix+Raw, settings.Raw,
				"it holds "+name+", which the connector sets by itself: see format, count, paging and page.size")
		case strings.EqualFold(name, "sap-client"), strings.EqualFold(name, "sap-language"):
			return nil, invalid(settings.Prefix+Raw, settings.Raw,
				"it holds "+name+", which does not reach all requests from here: see "+
					"sap.odata.sap.client and sap.odata.sap.language")
		default:
			q.otherOptions = append(q.otherOptions, uri.EncodeQuery(part))
			q.Derives = q.Derives || slices.Contains(derivingOptions, strings.ToLower(name))
		}
	}
	return nested, nil
}

// derivingOptions make rows that are no longer those of the set: a condition on the key may apply before or after them.
var derivingOptions = []string{"$apply", "$search", "$compute"}

// ownOptions are the query options that parseOptions itself reads. Each may occur once.
var ownOptions = []string{"$filter", "$select", "$expand"}

// reservedOptions are set by the connector.
var reservedOptions = []string{"$top", "$skip", "$skiptoken", "$orderby", "$inlinecount", "$format", "$count",
	"!deltatoken", "$deltatoken"}

// Selects reports whether the user's own options contain a $filter, which [RowChecker] cannot check.
func (q *Query) Selects() bool { return q.userFilter != "" }

// Filter returns the encoded $filter for the settings and a further condition, or "" for all rows.
func (q *Query) Filter(extraCondition string) string {
	var parts []string
	if q.userFilter != "" {
		parts = append(parts, q.userFilter)
	}
	for _, filter := range []string{q.filter, extraCondition} {
		if filter != "" {
			parts = append(parts, string(uri.AppendEscaped(nil, filter)))
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
	if q.selectOption != "" {
		options = append(options, "$select="+escapeList(q.selectOption))
	}
	if q.expandOption != "" {
		options = append(options, "$expand="+escapeList(q.expandOption))
	}
	return append(options, q.otherOptions...)
}

// escapeList percent-encodes names but not the commas and slashes between them, nor what surrounds options in $expand.
// It encodes the semicolon there, because proxies written in Go drop queries with one.
func escapeList(list string) string {
	escaped := string(uri.AppendEscaped(nil, list))
	return strings.NewReplacer("%2C", ",", "%2F", "/", "%28", "(", "%29", ")", "%24", "$", "%3D", "=").Replace(escaped)
}

// Fingerprint identifies the query in offsets, which cannot be continued with another one (RATIONALE.md P7).
func (q *Query) Fingerprint() string {
	var itemConditions []string
	for _, c := range q.expandedConditions {
		itemConditions = append(itemConditions, c.text)
	}
	fingerprint := ""
	for _, part := range []struct{ name, value string }{{"select", q.selectOption}, {"expand", q.expandOption},
		{"filter", uri.Unescape(q.Filter(""))},
		{"inner", strings.Join(itemConditions, " and ")}, {"query", strings.Join(q.otherOptions, "&")}} {
		if part.value != "" {
			fingerprint += " " + part.name + "=" + fingerprintEscaper.Replace(part.value)
		}
	}
	return fingerprint
}

// fingerprintEscaper encodes the separators of a fingerprint.
var fingerprintEscaper = strings.NewReplacer("%", "%25", " ", "%20", "=", "%3D", ";", "%3B", "|", "%7C", "\n", "%0A",
	"\r", "%0D")

// Structures returns the types that [Compile] needs for the same settings, the set's type first.
func (q *Query) Structures() []*edm.StructuredType { return q.structures }

// collectTypes adds the types of a level, and of the levels below it, to the query's structures.
func (q *Query) collectTypes(model *edm.Model, current *level) {
	addClosure := func(structure *edm.StructuredType) {
		for _, needed := range model.Closure(structure, false) {
			if !slices.Contains(q.structures, needed) {
				q.structures = append(q.structures, needed)
			}
		}
	}
	addClosure(current.structure)
	for _, visited := range current.visitedTypes {
		addClosure(visited)
	}
	for _, e := range current.expanded {
		q.collectTypes(model, e.level)
	}
}

// compileCondition compiles a condition and adds it to the query, and its property to the levels. expand is the name of
// the expansion setting, for messages.
func (q *Query) compileCondition(model *edm.Model, root *level, spec *Condition, expand string) error {
	target := route{model: model, root: root, condition: spec, expand: expand, isExpanded: true, level: root,
		structure: root.structure}
	if err := target.resolve(); err != nil {
		return err
	}
	property, err := target.property()
	if err != nil {
		return err
	}
	compiled := condition{setting: spec.Setting(), operator: spec.Option, dialect: model.Dialect, property: property,
		isKey: target.structure.IsKey(target.steps[len(target.steps)-1])}
	compiled.setRowFormat(edm.Options{Zone: q.zone})
	if err := compiled.parseOperands(spec); err != nil {
		return err
	}
	compiled.path = target.steps[target.itemSteps:]
	compiled.itemPath = target.steps[:target.itemSteps]
	compiled.text = compiled.expression(strings.Join(target.steps, "/"))
	if err := q.addCondition(compiled, &target); err != nil {
		return err
	}
	// The property is hidden on its level if the projection omits it.
	name := target.firstProperty
	if target.isExpanded && !target.level.isInRows(name) && !slices.Contains(target.level.hidden, name) {
		target.level.hidden = append(target.level.hidden, name)
	}
	return nil
}

// AppliesToExpanded reports whether a condition selects expanded rows, not rows of the set.
func (q *Query) AppliesToExpanded(spec *Condition) bool {
	return slices.ContainsFunc(q.expandedConditions, func(c condition) bool { return c.setting == spec.Setting() })
}

// addCondition adds a condition to $filter, or to the conditions on expanded rows, which OData v2 cannot express. Rows
// that contain the value are checked too.
func (q *Query) addCondition(compiled condition, r *route) error {
	if r.itemSteps > 0 {
		if !r.isExpanded {
			return r.invalid("the condition is applied to expanded rows: name " +
				strings.Join(r.steps[:len(r.steps)-1], "/") + " in " + r.expand + ", too")
		}
		q.expandedConditions = append(q.expandedConditions, compiled)
		return nil
	}
	if q.filter != "" {
		q.filter += " and "
	}
	q.filter += compiled.text
	if r.isExpanded {
		q.rowConditions = append(q.rowConditions, compiled)
	}
	return nil
}
