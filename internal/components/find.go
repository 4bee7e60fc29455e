package components

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/kafka/security"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Find returns the module and the component of a class that is one of these kinds. An empty version means the newest.
// Kafka Connect's short forms are accepted: the class without its package, and without Connector at its end.
func Find(plugins *plugin.Manager, class, version string,
	kinds ...wit.ComponentKind) (plugin.Info, wit.Component, error) {
	var first error
	for _, kind := range kinds {
		fullName, isDeclared, err := fullClass(plugins, kind, class)
		if err != nil {
			return plugin.Info{}, wit.Component{}, err
		}
		info, err := plugins.Find(kind, fullName, version)
		if err != nil {
			if isDeclared {
				return plugin.Info{}, wit.Component{}, err // it exists, but not in this version
			}
			first = cmp.Or(first, err)
			continue
		}
		if c := component(&info, kind, fullName); c != nil {
			return info, *c, nil
		}
	}
	if len(kinds) > 1 { // the user may mean any of them
		var names []string
		for _, kind := range kinds {
			names = append(names, kind.String())
		}
		last := len(names) - 1
		kindList := strings.Join(names[:last], ", ") + " or " + names[last]
		reworded := strings.Replace(first.Error(), kinds[0].String()+" "+class, kindList+" "+class, 1)
		first = &rewordedError{text: reworded, cause: first}
	}
	for _, kind := range []wit.ComponentKind{wit.ComponentSource, wit.ComponentSink, wit.ComponentTransformation,
		wit.ComponentPredicate} {
		fullName, isDeclared, err := fullClass(plugins, kind, class)
		if err == nil && isDeclared && !slices.Contains(kinds, kind) {
			return plugin.Info{}, wit.Component{}, fmt.Errorf("%w: %s is a %s", first, fullName, kind)
		}
	}
	offered := Offered(plugins, kinds...)
	if len(offered) == 0 {
		return plugin.Info{}, wit.Component{},
			fmt.Errorf("no plugins are loaded: this program was built without plugins (`make` builds them in), and "+
				"none are in plugin.path or --plugins; %w", first)
	}
	hint := "available: " + strings.Join(offered, ", ")
	near := setting.NearestClasses(class, offered)
	switch {
	case len(offered) > listedClasses && len(near) > 0:
		hint = "the most similar of " + strconv.Itoa(len(offered)) + ": " + strings.Join(near, ", ")
	case len(offered) > listedClasses:
		hint = "`culvert plugins list` shows all " + strconv.Itoa(len(offered))
	case len(near) > 0:
		hint = "the nearest one is " + near[0] + "; " + hint
	}
	return plugin.Info{}, wit.Component{}, fmt.Errorf("%w; %s", first, hint)
}

// listedClasses bounds the classes that the error about an unknown class lists.
const listedClasses = 4

type rewordedError struct {
	text  string
	cause error
}

func (r *rewordedError) Error() string { return r.text }

func (r *rewordedError) Unwrap() error { return r.cause }

// fullClass returns the declared name of a class or a short form, or the class itself if none is declared. Built-in
// components are preferred, so that no plugin file takes over their aliases.
func fullClass(plugins *plugin.Manager, kind wit.ComponentKind,
	class string) (name string, isDeclared bool, err error) {
	modules := plugins.Modules()
	builtIn := map[string]bool{}
	for _, info := range modules {
		builtIn[info.Name] = builtIn[info.Name] || info.BuiltIn
	}
	best := 0
	pluginByClass := map[string]string{} // by the class with the best rank
	for _, info := range modules {
		for _, component := range info.Components {
			if component.Kind != kind || !slices.Contains(plugin.Names(&component), class) {
				continue
			}
			rank := nameRank(&component, class)
			if builtIn[info.Name] {
				rank += 10
			}
			if rank > best {
				best = rank
				pluginByClass = map[string]string{}
			}
			if rank == best {
				pluginByClass[component.Name] = fmt.Sprintf("%s of %s (%s)", component.Name, info.Name, info.Path)
			}
		}
	}
	switch names := slices.Sorted(maps.Keys(pluginByClass)); len(names) {
	case 0:
		return class, false, nil
	case 1:
		return names[0], true, nil
	default:
		return "", true, fmt.Errorf("expected one %s that is called %s, there are %s: give the whole class", kind,
			class, strings.Join(slices.Sorted(maps.Values(pluginByClass)), ", "))
	}
}

func nameRank(c *wit.Component, class string) int {
	switch {
	case c.Name == class:
		return 3
	case slices.Contains(c.Aliases, class):
		return 2
	}
	return 1
}

// component returns the component with a class name, or else an alias, nil if there is none.
func component(info *plugin.Info, kind wit.ComponentKind, class string) *wit.Component {
	for _, exact := range []bool{true, false} {
		for i := range info.Components {
			c := &info.Components[i]
			if c.Kind == kind && (c.Name == class || (!exact && slices.Contains(c.Aliases, class))) {
				return c
			}
		}
	}
	return nil
}

// Offered returns the classes of some kinds that connectors can name, sorted.
func Offered(plugins *plugin.Manager, kinds ...wit.ComponentKind) []string {
	var names []string
	for _, info := range plugins.Modules() {
		for _, c := range info.Components {
			if slices.Contains(kinds, c.Kind) {
				names = append(names, c.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Settings that name converters. The converter's own settings follow after a dot.
const (
	KeyConverter    = "key.converter"
	ValueConverter  = "value.converter"
	HeaderConverter = "header.converter"
)

// ConverterSettings lists the settings that name converters.
var ConverterSettings = []string{KeyConverter, ValueConverter, HeaderConverter}

// ConverterOf returns the declaration of the converter class that a setting of [ConverterSettings] names.
func ConverterOf(setting, class string) (convert.Declaration, error) {
	if setting == HeaderConverter {
		return convert.FindHeaders(class)
	}
	return convert.Find(class, setting == KeyConverter)
}

// OpenRegistry opens the client of a schema registry. ctx bounds the reading of its key stores.
func OpenRegistry(ctx context.Context, s registry.Settings, log *slog.Logger) (*registry.Client, error) {
	var secure func(host string) *tls.Config
	if len(s.Security) > 0 {
		var err error
		if secure, err = security.ClientTLS(ctx, s.Security, "schema.registry.", log); err != nil {
			return nil, err
		}
	}
	return registry.Open(s, secure, log)
}
