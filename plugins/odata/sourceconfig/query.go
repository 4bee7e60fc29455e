package sourceconfig

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// FilterGroup prefixes the settings of a condition.
const FilterGroup = "filter#{m}."

// otherNames are aliases that configurations of similar connectors may use. The original's own names are not public.
var otherNames = map[string][]string{
	query.Select: {"projections", "projection", "properties"},
	query.Expand: {"expands", "expansions", "navigations"},
	FilterGroup:  {"filters#{m}.", "select#{m}.", "selection#{m}.", "selections#{m}."},
}

func declareQueryOptions(t *setting.Table) {
	declareOption := func(name, aliased string, kind wit.SettingKind, documentation string, rules ...wit.Rule) {
		rules = append(rules, setting.InGroup("Entity set {n}"))
		for _, alias := range otherNames[aliased] {
			rules = append(rules, setting.Alias("sap.odata#{n}."+alias+strings.TrimPrefix(name, aliased)))
		}
		t.Declare(setting.Define("sap.odata#{n}."+name, kind, wit.Medium, nil, documentation, rules...))
	}
	declareOption(query.Select, query.Select, wit.KindList,
		"Properties to read, of expanded entities as paths: CustomerID, Order_Details/Quantity. "+
			"Keys are always read. If no property of an entity is named, all are read.",
		setting.Display("Properties"))
	declareOption(query.Expand, query.Expand, wit.KindList,
		"Navigation properties whose entities are read too, nested as paths: Customer, Order_Details/Product. "+
			"One entity becomes a structure, many become an array of structures.",
		setting.Dependents("sap.odata#{n}."+query.Select), setting.Display("Expand"))
	declareOption(query.Raw, query.Raw, wit.KindString,
		"Further options of each request for rows, as in a URL: search=bolt&sap-statistics=false. "+
			"A $filter is combined with the conditions. Parameters of a function import belong here.",
		setting.Display("Query"))
	declareOption(FilterGroup+query.Property, FilterGroup, wit.KindString,
		"Filter condition {m}: the property. A path through a navigation property to many "+
			"entities, such as Order_Details/Quantity, selects among the expanded ones. All conditions must hold.",
		setting.Display("Property"))
	declareOption(FilterGroup+query.Option, FilterGroup, wit.KindString,
		"Filter condition {m}: eq, ne, le, lt, ge, gt, bt (between low and high), nb (not between) "+
			"or in (one of the values in low).", setting.Allowed(query.Operators...), setting.Display("Operator"))
	declareOption(FilterGroup+query.Low, FilterGroup, wit.KindString,
		"Filter condition {m}: the value, or the lower bound; for in, the values separated by commas. Plain, or as in "+
			"a URL: 2024-01-31 or datetime'2024-01-31T00:00:00', Germany or 'Germany'.", setting.Display("Low"))
	declareOption(FilterGroup+query.High, FilterGroup, wit.KindString,
		"Filter condition {m}: the upper bound of bt and nb.", setting.Display("High"))
}

func readQueryOptions(values setting.Values, group setting.Group) query.Settings {
	list := func(name string) []string {
		return slices.DeleteFunc(setting.ParseList(group.String(name)), func(item string) bool { return item == "" })
	}
	s := query.Settings{
		Prefix: config.InGroup(group.Digits, ""),
		Select: list(query.Select),
		Expand: list(query.Expand),
		Raw:    group.String(query.Raw),
		Cursor: group.String(NameCursor),
	}
	for _, c := range values.Groups(config.InGroup(group.Digits, FilterGroup), "") {
		s.Conditions = append(s.Conditions, query.Condition{Prefix: c.Name(""), Property: c.String(query.Property),
			Option: c.Lower(query.Option), Low: c.String(query.Low), High: c.String(query.High)})
	}
	return s
}

// examineConditions reports missing settings of conditions, and upper bounds that the operator does not use.
func examineConditions(v setting.Values, s *query.Settings, examined []wit.ConfigValue) {
	for _, condition := range s.Conditions {
		isSet := func(name string) bool {
			_, ok := v.Lookup(condition.Prefix + name)
			return ok
		}
		// A setting that is missing cannot carry an error of its own.
		complain := func(name, text string) {
			for _, candidate := range []string{name, query.Property, query.Option, query.Low, query.High} {
				if isSet(candidate) {
					setting.AddError(examined, condition.Prefix+candidate, text)
					return
				}
			}
		}
		for _, name := range []string{query.Property, query.Option, query.Low} {
			if !isSet(name) || (name == query.Property && condition.Property == "") {
				complain(name, setting.Missing(condition.Prefix+name))
			}
		}
		switch between := condition.Option == "bt" || condition.Option == "nb"; {
		case between && !isSet(query.High):
			complain(query.High, setting.Missing(condition.Prefix+query.High))
		case !between && condition.High != "" && condition.Option != "":
			complain(query.High, setting.Invalid(condition.Prefix+query.High, condition.High,
				"expected it with the operators bt and nb only, found "+condition.Option))
		}
	}
}

const (
	NameCursor   = "cursor.property"
	NameLookback = "cursor.lookback"
)
