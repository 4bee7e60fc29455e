package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
)

// level is one entity type in the tree of expansions.
type level struct {
	structure *edm.Structure
	// chosen: the projection names properties of the level, those in named.
	chosen bool
	named  []string
	// hidden are properties that conditions look at.
	hidden   []string
	expanded []*expansion
	// touched are types that conditions come by on their way, outside of what is expanded.
	touched []*edm.Structure
}

type expansion struct {
	navigation *edm.Navigation
	level      *level
}

func (l *level) at(name string) *level {
	i := slices.IndexFunc(l.expanded, func(e *expansion) bool { return e.navigation.Name == name })
	if i < 0 {
		return nil
	}
	return l.expanded[i].level
}

// maxSteps bounds a path; schemas nest no deeper.
const maxSteps = 20

// expand grows the tree by paths of navigation properties.
func (l *level) expand(m *edm.Model, paths []string, name string) error {
	for _, path := range paths {
		at, depth := l, 0
		for step := range strings.SplitSeq(path, "/") {
			step = strings.TrimSpace(step)
			if depth++; depth > maxSteps {
				return refuse(name, path[:min(len(path), 60)], "expected at most "+strconv.Itoa(maxSteps)+" steps")
			}
			n := at.structure.Navigation(step)
			if n == nil {
				return refuse(name, path, at.noNavigation(step))
			}
			inner := at.at(step)
			if inner == nil {
				target := m.Structure(n.Target)
				if target == nil {
					return refuse(name, path, "$metadata don't say where "+step+" of "+at.structure.QualifiedName()+
						" leads to")
				}
				inner = &level{structure: target}
				at.expanded = append(at.expanded, &expansion{n, inner})
			}
			at = inner
		}
	}
	l.arrange()
	return nil
}

// arrange puts expansions in the order of the metadata.
func (l *level) arrange() {
	place := func(e *expansion) int {
		return slices.IndexFunc(l.structure.Navigations,
			func(n edm.Navigation) bool { return n.Name == e.navigation.Name })
	}
	slices.SortFunc(l.expanded, func(a, b *expansion) int { return place(a) - place(b) })
	for _, e := range l.expanded {
		e.level.arrange()
	}
}

func (l *level) noNavigation(name string) string {
	var names []string
	for _, n := range l.structure.Navigations {
		names = append(names, n.Name)
	}
	text := name + " is no navigation property of " + l.structure.QualifiedName()
	if l.structure.Property(name) != nil {
		text = name + " is a property of " + l.structure.QualifiedName() + ", which needs no expansion"
	}
	return text + odataerror.Suggest(name, names, "it has no navigation property")
}

// choose reads the projection.
func (l *level) choose(paths []string, name, expand string) error {
	for _, path := range paths {
		steps := strings.Split(path, "/")
		at := l
		for i, step := range steps {
			step = strings.TrimSpace(step)
			last := i == len(steps)-1
			p, inner := at.structure.Property(step), at.at(step)
			switch {
			case last && step == "*":
				at.chosen = true
				for _, each := range at.structure.Properties {
					at.named = append(at.named, each.Name)
				}
			case last && inner != nil:
				at.chosen = true
			case inner != nil:
				at = inner
			case last && p != nil:
				at.chosen, at.named = true, append(at.named, step)
			case p != nil:
				return refuse(name, path, "a property inside of "+step+" can't be chosen alone; expected "+
					strings.Join(steps[:i+1], "/"))
			case at.structure.Navigation(step) != nil:
				return refuse(name, path, step+" is a navigation property: name "+strings.Join(steps[:i+1],
					"/")+" in "+expand+", too")
			default:
				return refuse(name, path, at.noProperty(step, func(*edm.Property) bool { return true }))
			}
		}
	}
	return nil
}

func (l *level) noProperty(name string, wanted func(*edm.Property) bool) string {
	return noProperty(l.structure, name, wanted)
}

func noProperty(s *edm.Structure, name string, wanted func(*edm.Property) bool) string {
	return name + " is no property of " + s.QualifiedName() + odataerror.Suggest(name, propertiesOf(s, wanted),
		"it has no such property")
}

// propertiesOf are the names of the properties that are wanted.
func propertiesOf(s *edm.Structure, wanted func(*edm.Property) bool) []string {
	var names []string
	for i := range s.Properties {
		if wanted(&s.Properties[i]) {
			names = append(names, s.Properties[i].Name)
		}
	}
	return names
}

// shown reports whether a property stands in rows: those of the key always do.
func (l *level) shown(name string) bool {
	return !l.chosen || slices.Contains(l.named, name) || l.structure.IsKey(name)
}

// projects reports whether something is left out, here or inside.
func (l *level) projects() bool {
	return l.chosen || slices.ContainsFunc(l.expanded, func(e *expansion) bool { return e.level.projects() })
}

// selection lists what $select has to name, so that nothing of it hangs on how a service understands the name of an
// expanded entity.
func (l *level) selection(dst []string, prefix string) []string {
	for i := range l.structure.Properties {
		if name := l.structure.Properties[i].Name; l.shown(name) || slices.Contains(l.hidden, name) {
			dst = append(dst, prefix+name)
		}
	}
	for _, e := range l.expanded {
		if len(e.level.expanded) == 0 && !e.level.projects() {
			dst = append(dst, prefix+e.navigation.Name)
			continue
		}
		dst = e.level.selection(dst, prefix+e.navigation.Name+"/")
	}
	return dst
}

// leaves lists the longest paths of the tree; $expand follows all steps of a path.
func (l *level) leaves(dst []string, prefix string) []string {
	for _, e := range l.expanded {
		path := prefix + e.navigation.Name
		if len(e.level.expanded) == 0 {
			dst = append(dst, path)
			continue
		}
		dst = e.level.leaves(dst, path+"/")
	}
	return dst
}

func (l *level) view() *edm.View {
	v := &edm.View{Structure: l.structure}
	for i := range l.structure.Properties {
		switch name := l.structure.Properties[i].Name; {
		case l.shown(name):
		case slices.Contains(l.hidden, name):
			v.Hidden = append(v.Hidden, name)
		default:
			v.Left = append(v.Left, name)
		}
	}
	for _, e := range l.expanded {
		v.Expanded = append(v.Expanded, edm.Expansion{Name: e.navigation.Name, Many: e.navigation.Many,
			View: e.level.view()})
	}
	return v
}
