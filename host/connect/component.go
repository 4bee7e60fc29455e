package connect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/host/convert"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// find returns the module and the component that a class names, as one of these kinds. Kafka Connect's short forms are
// understood: the class without its package, and that without Connector behind it.
func find(m *plugin.Manager, class, version string, kinds ...wit.ComponentKind) (plugin.Info, wit.Component, error) {
	var first error
	for _, kind := range kinds {
		full, declared := fullClass(m, kind, class)
		info, err := m.Find(kind, full, version)
		if err != nil {
			if declared {
				return plugin.Info{}, wit.Component{}, err // it is there, but not in this version
			}
			if first == nil {
				first = err
			}
			continue
		}
		for _, c := range info.Components {
			if c.Kind == kind && named(&c, class) {
				return info, c, nil
			}
		}
	}
	if len(kinds) == 2 { // nobody knows which of the two it was to be
		one, both := kinds[0].String()+" "+class, kinds[0].String()+" or "+kinds[1].String()+" "+class
		first = errors.New(strings.Replace(first.Error(), one, both, 1))
	}
	offered := offered(m, kinds)
	if len(offered) == 0 {
		return plugin.Info{}, wit.Component{}, fmt.Errorf("no plugin has it, and there are none: this program was built without plugins (`make` builds them in), and none are in plugin.path or --plugins; %w", first)
	}
	return plugin.Info{}, wit.Component{}, fmt.Errorf("%w; there are %s", first, strings.Join(offered, ", "))
}

// fullClass is the name under which a component with this class or short form is declared; the class itself if there is none.
func fullClass(m *plugin.Manager, kind wit.ComponentKind, class string) (name string, declared bool) {
	for _, info := range m.Modules() {
		for _, c := range info.Components {
			if c.Kind == kind && named(&c, class) {
				return c.Name, true
			}
		}
	}
	return class, false
}

func named(c *wit.Component, class string) bool {
	if c.Name == class || slices.Contains(c.Aliases, class) {
		return true
	}
	simple := c.Name[strings.LastIndexByte(c.Name, '.')+1:]
	return simple == class || strings.TrimSuffix(simple, "Connector") == class
}

func offered(m *plugin.Manager, kinds []wit.ComponentKind) []string {
	var names []string
	for _, info := range m.Modules() {
		for _, c := range info.Components {
			if slices.Contains(kinds, c.Kind) {
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Plugins lists what connectors can name, in Kafka Connect's order: sinks and sources, then, unless connectorsOnly,
// transformations, predicates and converters.
func (h *Herder) Plugins(connectorsOnly bool) []Plugin {
	var list []Plugin
	kinds := []wit.ComponentKind{wit.ComponentSink, wit.ComponentSource}
	if !connectorsOnly {
		kinds = append(kinds, wit.ComponentTransformation, wit.ComponentPredicate)
	}
	for _, kind := range kinds {
		var some []Plugin
		for _, info := range h.o.Plugins.Modules() {
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
		for _, class := range convert.Classes() {
			list = append(list, Plugin{Class: class, Type: "converter", Version: h.o.Version})
		}
	}
	return list
}
