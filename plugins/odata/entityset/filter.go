package entityset

import (
	"iter"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Placeholder is a {Name} in a filter and the text before it. Found is false for the text after the last one.
type Placeholder struct {
	Before, Name string
	Found        bool
}

// Placeholders splits a filter. A filter without braces is the name of a property.
func Placeholders(filter string) iter.Seq[Placeholder] {
	if !strings.Contains(filter, "{") {
		filter += " eq {" + filter + "}"
	}
	return func(yield func(Placeholder) bool) {
		for rest := filter; ; {
			before, after, found := strings.Cut(rest, "{")
			at := Placeholder{Before: before, Found: found}
			at.Name, rest, _ = strings.Cut(after, "}")
			if !yield(at) || !found {
				return
			}
		}
	}
}

// FilterError returns an error if the configured check filter names an unknown property.
func (t *EntitySet) FilterError(c *sinkconfig.Config) *wit.Error {
	if c.CheckFilter == "" || c.InsertUncertain != "check" && c.InsertUncertain != "repeatable" {
		return nil
	}
	s := t.Model.Structures[0]
	for at := range Placeholders(c.CheckFilter) {
		p := s.Property(at.Name)
		if !at.Found || p != nil && p.Type.Primitive != edm.NotPrimitive {
			continue
		}
		var names []string
		for i := range s.Properties {
			if s.Properties[i].Type.Primitive != edm.NotPrimitive {
				names = append(names, s.Properties[i].Name)
			}
		}
		return odataerror.ForSetting(sinkconfig.NameCheckFilter,
			"Entity set "+t.Name+" of "+t.Service+" has no property "+at.Name+" for the filter"+
				odataerror.Suggest(at.Name, names, "it has none"))
	}
	return nil
}

// UncheckableError returns an error if lost inserts cannot be looked up, by their keys or by a filter.
func (t *EntitySet) UncheckableError(c *sinkconfig.Config) *wit.Error {
	if c.InsertUncertain != "check" || c.CheckFilter != "" || c.Mode != sinkconfig.ModeInsert &&
		c.Mode != sinkconfig.ModeDynamic {
		return nil
	}
	s := t.Model.Structures[0]
	why := ""
	if len(s.Key) == 0 {
		why = "has no key"
	}
	for _, name := range s.Key {
		if p := s.Property(name); p != nil && !p.Creatable {
			why = "numbers its key property " + name + " (sap:creatable=\"false\")"
		}
	}
	if why == "" {
		return nil
	}
	return odataerror.ForSetting(sinkconfig.NameInsertUncertain,
		"Entity set "+t.Name+" of "+t.Service+" "+why+", so that "+sinkconfig.NameInsertUncertain+
			" = check cannot look up an insert without a response: expected "+sinkconfig.NameCheckFilter+
			" to find it by other properties, or another value")
}
