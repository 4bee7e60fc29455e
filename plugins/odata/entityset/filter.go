package entityset

import (
	"iter"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

// Placeholder is a {Name} in a filter, and the text before it.
type Placeholder struct {
	Before string // the text before it
	Name   string
	Found  bool // false for the text after the last placeholder, which has no Name
}

// Placeholders splits a filter at its placeholders. A filter without braces is the name of a property.
func Placeholders(filter string) iter.Seq[Placeholder] {
	if !strings.Contains(filter, "{") {
		filter += " eq {" + filter + "}"
	}
	return func(yield func(Placeholder) bool) {
		for remaining := filter; ; {
			prefix, after, hasPlaceholder := strings.Cut(remaining, "{")
			placeholder := Placeholder{Before: prefix, Found: hasPlaceholder}
			placeholder.Name, remaining, _ = strings.Cut(after, "}")
			if !yield(placeholder) || !hasPlaceholder {
				return
			}
		}
	}
}

// FilterError returns an error if the configured check filter names an unknown property.
func (e *EntitySet) FilterError(sinkConfig *sinkconfig.Config) *wit.Error {
	if sinkConfig.CheckFilter == "" || (sinkConfig.InsertUncertain != "check" &&
		sinkConfig.InsertUncertain != "repeatable") {
		return nil
	}
	entityType := e.Model.Structures[0]
	for placeholder := range Placeholders(sinkConfig.CheckFilter) {
		property := entityType.Property(placeholder.Name)
		if !placeholder.Found || (property != nil && property.Type.Primitive != edm.NotPrimitive) {
			continue
		}
		var names []string
		for i := range entityType.Properties {
			if entityType.Properties[i].Type.Primitive != edm.NotPrimitive {
				names = append(names, entityType.Properties[i].Name)
			}
		}
		return odataerror.ForSetting(sinkconfig.NameCheckFilter,
			"Entity set "+e.Name+" of "+e.Service+" has no property "+placeholder.Name+" for the filter"+
				odataerror.Suggest(placeholder.Name, names, "it has none"))
	}
	return nil
}

// UncheckableError returns an error if lost inserts cannot be looked up, by their keys or by a filter.
func (e *EntitySet) UncheckableError(sinkConfig *sinkconfig.Config) *wit.Error {
	if sinkConfig.InsertUncertain != "check" || sinkConfig.CheckFilter != "" ||
		(sinkConfig.Mode != sinkconfig.ModeInsert && sinkConfig.Mode != sinkconfig.ModeDynamic) {
		return nil
	}
	entityType := e.Model.Structures[0]
	reason := ""
	if len(entityType.Key) == 0 {
		reason = "has no key"
	}
	for _, name := range entityType.Key {
		if property := entityType.Property(name); property != nil && !property.Creatable {
			reason = "numbers its key property " + name + " (" + e.Model.Dialect.Generated + ")"
		}
	}
	if reason == "" {
		return nil
	}
	return odataerror.ForSetting(sinkconfig.NameInsertUncertain,
		"Entity set "+e.Name+" of "+e.Service+" "+reason+", so that "+sinkconfig.NameInsertUncertain+
			" = check cannot look up an insert without a response: expected "+sinkconfig.NameCheckFilter+
			" to find it by other properties, or another value")
}
