package connect

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/wit"
)

// Plugins lists the classes that connectors can name, in Kafka Connect's order: sinks, sources and, unless
// connectorsOnly is set, transformations, predicates and converters.
func (h *Herder) Plugins(connectorsOnly bool) []Plugin {
	var list []Plugin
	kinds := []wit.ComponentKind{wit.ComponentSink, wit.ComponentSource}
	if !connectorsOnly {
		kinds = append(kinds, wit.ComponentTransformation, wit.ComponentPredicate)
	}
	for _, kind := range kinds {
		var some []Plugin
		for _, info := range h.shared.Plugins.Modules() {
			for _, c := range info.Components {
				if c.Kind == kind {
					some = append(some, Plugin{Class: c.Name, Type: kind.String(), Version: info.Version})
				}
			}
		}
		slices.SortStableFunc(some, func(a, b Plugin) int { return strings.Compare(a.Class, b.Class) })
		list = append(list, some...)
	}
	if !connectorsOnly {
		for _, d := range convert.Declarations() {
			list = append(list, Plugin{Class: d.Class, Type: "converter", Version: h.shared.Version})
		}
		for _, class := range convert.HeaderClasses() {
			list = append(list, Plugin{Class: class, Type: "header_converter", Version: h.shared.Version})
		}
	}
	return list
}
