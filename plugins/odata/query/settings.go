package query

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/odataerror"
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

func refuse(name, value, why string) error {
	return odataerror.ForSetting(name, setting.Invalid(name, value, why))
}
