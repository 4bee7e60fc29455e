package resolved

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Find returns the module and the component of a class that is one of these kinds, with an error an empty component. An
// empty version means the newest.
// Kafka Connect's short forms are accepted: the class without its package, and without Connector at its end.
func Find(plugins *plugin.Manager, class, version string,
	kinds ...wit.ComponentKind) (plugin.Info, *plugin.Component, error) {
	var firstErr error
	for _, kind := range kinds {
		fullName, isDeclared, err := fullClass(plugins, kind, class)
		if err != nil {
			return plugin.Info{}, noComponent, err
		}
		info, err := plugins.Find(kind, fullName, version)
		if err == nil {
			return info, component(&info, kind, fullName), nil
		}
		if isDeclared {
			return plugin.Info{}, noComponent, err // it exists, but not in this version
		}
		firstErr = cmp.Or(firstErr, err)
	}
	return plugin.Info{}, noComponent, notFoundError(plugins, class, kinds, firstErr)
}

// noComponent is the component of a class that was not found.
var noComponent = plugin.NewComponent(&wit.Component{})

var errNoPlugins = errors.New("no plugins are loaded")

// notFoundError adds to the cause, which is the error of kinds[0], the other kinds and what the user may have meant.
func notFoundError(plugins *plugin.Manager, class string, kinds []wit.ComponentKind, cause error) error {
	if len(kinds) > 1 { // the user may mean any of them
		var names []string
		for _, kind := range kinds {
			names = append(names, kind.String())
		}
		kindList := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
		// Only the text of the cause contains why files are refused. TestCheck fails if it no longer names the kind.
		text := strings.Replace(cause.Error(), names[0]+" "+class, kindList+" "+class, 1)
		cause = &rewordedError{text: text, cause: cause}
	}
	for _, kind := range []wit.ComponentKind{wit.ComponentSource, wit.ComponentSink, wit.ComponentTransformation,
		wit.ComponentPredicate} {
		fullName, isDeclared, err := fullClass(plugins, kind, class)
		if err == nil && isDeclared && !slices.Contains(kinds, kind) {
			return fmt.Errorf("%w: %s is a %s", cause, fullName, kind)
		}
	}
	offered := Offered(plugins, kinds...)
	if len(offered) == 0 {
		return fmt.Errorf("no plugins are loaded: this program was built without plugins (`make` builds them in), and "+
			"none are in plugin.path or --plugins; %w", cause)
	}
	const listedClasses = 4 // more are not listed
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
	return fmt.Errorf("%w; %s", cause, hint)
}

type rewordedError struct {
	text  string
	cause error
}

func (r *rewordedError) Error() string { return r.text }

func (r *rewordedError) Unwrap() error { return r.cause }

// fullClass returns the declared name of a class or a short form, or the class itself if it is not declared. A
// built-in component outranks every kind of name, so that no plugin file takes over its class, aliases or short forms.
func fullClass(plugins *plugin.Manager, kind wit.ComponentKind,
	class string) (name string, isDeclared bool, err error) {
	const builtInRank = 10 // more than any nameRank
	modules := plugins.Modules()
	builtIn := map[string]bool{}
	for _, info := range modules { // by name: a newer file that replaces a built-in plugin keeps its rank
		builtIn[info.Name] = builtIn[info.Name] || info.BuiltIn
	}
	best := 0
	candidates := map[string]string{} // descriptions of the best-ranked components, by class
	for _, info := range modules {
		for _, c := range info.Components {
			if c.Kind != kind || !slices.Contains(plugin.Names(c), class) {
				continue
			}
			rank := nameRank(c, class)
			if builtIn[info.Name] {
				rank += builtInRank
			}
			if rank > best {
				best = rank
				candidates = map[string]string{}
			}
			if rank == best {
				candidates[c.Name] = fmt.Sprintf("%s of %s (%s)", c.Name, info.Name, info.Path)
			}
		}
	}
	switch names := slices.Sorted(maps.Keys(candidates)); len(names) {
	case 0:
		return class, false, nil
	case 1:
		return names[0], true, nil
	default:
		return "", true, fmt.Errorf("expected one %s that is called %s, there are %s: give the whole class", kind,
			class, strings.Join(slices.Sorted(maps.Values(candidates)), ", "))
	}
}

// nameRank ranks the names of a component: its class, then aliases, then short forms.
func nameRank(c *plugin.Component, class string) int {
	switch {
	case c.Name == class:
		return 3
	case slices.Contains(c.Aliases, class):
		return 2
	}
	return 1
}

// component returns the component with a class name, or else an alias, nil if there is no such component.
func component(info *plugin.Info, kind wit.ComponentKind, class string) *plugin.Component {
	for _, exact := range []bool{true, false} {
		for _, c := range info.Components {
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
