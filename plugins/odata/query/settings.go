package query

import (
	"cmp"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/datetime"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Names of the settings, after the prefix of an entity set and, for a condition, the prefix of the condition.
const (
	Select = "select"
	Expand = "expand"
	Raw    = "query"

	Property = "property"
	Option   = "option"
	Low      = "low"
	High     = "high"
)

// Settings are the query settings of one entity set.
type Settings struct {
	Prefix     string // of the settings' names: `sap.odata#00.`
	Select     []string
	Expand     []string
	Conditions []Condition
	Cursor     string         // a further property to read; "" means none
	Raw        string         // query options in URL syntax
	Zone       *datetime.Zone // of Edm.DateTime; nil means UTC
}

// Condition is a condition on rows. All conditions must hold.
type Condition struct {
	Prefix   string // of the settings' names: `sap.odata#00.filter#00.`
	Source   string // the setting that the condition follows from, if it is not one of the user's conditions
	Property string // may be a path through complex and navigation properties
	Option   string // one of [Operators], in lower case
	Low      string // the operand, the lower bound, or a list for in
	High     string // the upper bound of bt and nb
}

// Setting returns the name of the setting that a row contradicts if it does not meet the condition.
func (c *Condition) Setting() string { return cmp.Or(c.Source, c.Prefix+Option) }

// Operators of conditions.
var Operators = []string{"eq", "ne", "le", "lt", "ge", "gt", "bt", "nb", "in"}

// Filters reports whether the user's own options contain a $filter with a value.
func (s *Settings) Filters() bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(s.Raw, "?"), "&") {
		if name, value, _ := strings.Cut(part, "="); strings.EqualFold(optionName(name), "$filter") && value != "" {
			return true
		}
	}
	return false
}

// WithSelect returns settings that select the same rows, with these properties and without expanded ones.
func (s Settings) WithSelect(names []string) Settings {
	s.Select = names
	s.Expand = nil
	options := slices.DeleteFunc(strings.Split(strings.TrimPrefix(s.Raw, "?"), "&"), func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		return strings.EqualFold(optionName(name), "$select") || strings.EqualFold(optionName(name), "$expand")
	})
	s.Raw = strings.Join(options, "&")
	return s
}

func optionName(name string) string { return strings.TrimSpace(uri.Unescape(name)) }

// Empty reports whether the settings neither select nor change rows. Cursor and Zone do not count.
func (s *Settings) Empty() bool {
	return len(s.Select) == 0 && len(s.Expand) == 0 && len(s.Conditions) == 0 && s.Raw == ""
}

func invalid(name, value, reason string) error {
	return odataerror.ForSetting(name, setting.Invalid(name, value, reason))
}
