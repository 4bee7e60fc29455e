package entry

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// FilterGroup is the prefix of a condition's settings, after that of its entity set.
const FilterGroup = "filter#{m}."

// otherNames are names by which other connectors of this kind, or files written for them, may know settings of an
// entity set. No public source has the original's own names of these three.
var otherNames = map[string][]string{
	query.Select: {"projections", "projection", "properties"},
	query.Expand: {"expands", "expansions", "navigations"},
	FilterGroup:  {"filters#{m}.", "select#{m}.", "selection#{m}.", "selections#{m}."},
}

// declareReads declares which rows of an entity set are read, and what of them.
func declareReads(t *setting.Table) {
	one := func(name, other string, kind wit.SettingKind, documentation string, rules ...wit.Rule) {
		rules = append(rules, setting.InGroup("Entity set {n}"))
		for _, alias := range otherNames[other] {
			rules = append(rules, setting.Alias("sap.odata#{n}."+alias+strings.TrimPrefix(name, other)))
		}
		t.Declare(setting.Define("sap.odata#{n}."+name, kind, wit.Medium, nil, documentation, rules...))
	}
	one(query.Select, query.Select, wit.KindList,
		"Properties to read, those of expanded entities as paths: CustomerID, Order_Details/Quantity. "+
			"Keys are always read. Of entities of which no property is named all are read.",
		setting.Display("Properties"))
	one(query.Expand, query.Expand, wit.KindList,
		"Navigation properties whose entities are read along, nested as paths: Customer, Order_Details/Product. "+
			"One entity becomes a structure, many become an array of structures.",
		setting.Dependents("sap.odata#{n}."+query.Select), setting.Display("Expand"))
	one(query.Raw, query.Raw, wit.KindString,
		"Further options of each request for rows, as they stand in a URL: search=bolt&sap-statistics=false. "+
			"A $filter is joined to the conditions, and parameters of a function import stand here.",
		setting.Display("Query"))
	one(FilterGroup+query.Property, FilterGroup, wit.KindString,
		"Filter condition {m}: the property that it looks at. A path through what leads to many "+
			"entities, such as Order_Details/Quantity, chooses among the expanded ones. All conditions must hold.",
		setting.Display("Property"))
	one(FilterGroup+query.Option, FilterGroup, wit.KindString,
		"Filter condition {m}: eq, ne, le, lt, ge, gt, bt (between low and high), nb (not between) "+
			"or in (one of the values in low).", setting.Allowed(query.Operators...), setting.Display("Operator"))
	one(FilterGroup+query.Low, FilterGroup, wit.KindString, "Filter condition {m}: the value, or the lower bound; "+
		"of in the values, with commas between them. As it is, or as it "+
		"stands in a URL: 2024-01-31 or datetime'2024-01-31T00:00:00', Germany or 'Germany'.", setting.Display("Low"))
	one(FilterGroup+query.High, FilterGroup, wit.KindString, "Filter condition {m}: the upper bound of bt and nb.",
		setting.Display("High"))
}

// readsOf reads what is said of an entity set's rows.
func readsOf(v setting.Values, g setting.Group) query.Settings {
	list := func(name string) []string {
		return slices.DeleteFunc(setting.ParseList(g.String(name)), func(item string) bool { return item == "" })
	}
	s := query.Settings{Prefix: config.InGroup(g.Digits, ""), Select: list(query.Select), Expand: list(query.Expand),
		Raw: g.String(query.Raw), Cursor: g.String(NameCursor)}
	for _, c := range v.Groups(config.InGroup(g.Digits, FilterGroup), "") {
		s.Conditions = append(s.Conditions, query.Condition{Prefix: c.Name(""), Property: c.String(query.Property),
			Option: c.Lower(query.Option),
			Low:    c.String(query.Low), High: c.String(query.High)})
	}
	return s
}

// examineReads complains of conditions that are not whole.
func examineReads(v setting.Values, s *query.Settings, examined []wit.ConfigValue) {
	for _, c := range s.Conditions {
		given := func(name string) bool {
			_, ok := v.Lookup(c.Prefix + name)
			return ok
		}
		// A setting that is not given has no place of its own among those that were examined.
		complain := func(name, text string) {
			for _, at := range []string{name, query.Property, query.Option, query.Low, query.High} {
				if given(at) {
					setting.AddError(examined, c.Prefix+at, text)
					return
				}
			}
		}
		for _, name := range []string{query.Property, query.Option, query.Low} {
			if !given(name) || name == query.Property && c.Property == "" {
				complain(name, setting.Missing(c.Prefix+name))
			}
		}
		switch between := c.Option == "bt" || c.Option == "nb"; {
		case between && !given(query.High):
			complain(query.High, setting.Missing(c.Prefix+query.High))
		case !between && c.High != "" && c.Option != "":
			complain(query.High, setting.Invalid(c.Prefix+query.High, c.High,
				"expected it with the operators bt and nb only, found "+c.Option))
		}
	}
}
