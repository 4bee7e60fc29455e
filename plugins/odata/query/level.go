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
	structure *edm.StructuredType
	// isProjected means that the projection names this level, or its properties, which are in properties.
	isProjected bool
	properties  []string
	hidden      []string // properties that only conditions and the cursor use
	expanded    []*expansion
	// visitedTypes are types on the paths of conditions outside of the expanded ones.
	visitedTypes []*edm.StructuredType
}

// expansion is an expanded navigation property and the level of its target.
type expansion struct {
	navigation *edm.Navigation
	level      *level
}

func (l *level) expansion(name string) *level {
	i := slices.IndexFunc(l.expanded, func(e *expansion) bool { return e.navigation.Name == name })
	if i < 0 {
		return nil
	}
	return l.expanded[i].level
}

const maxSteps = 20 // limit for the steps of a path, more than the paths of services have

// expand adds paths of navigation properties to the tree.
func (l *level) expand(model *edm.Model, paths []string, name string) error {
	for _, path := range paths {
		current := l
		depth := 0
		for step := range strings.SplitSeq(path, "/") {
			step = strings.TrimSpace(step)
			depth++
			if depth > maxSteps {
				return invalid(name, path[:min(len(path), maxShown)],
					"expected at most "+strconv.Itoa(maxSteps)+" steps")
			}
			navigation := current.structure.Navigation(step)
			if navigation == nil {
				return invalid(name, path, current.navigationProblem(step))
			}
			inner := current.expansion(step)
			if inner == nil {
				target := model.Structure(navigation.Target)
				if target == nil {
					return invalid(name, path, "$metadata do not declare the target of "+step+" of "+
						current.structure.QualifiedName())
				}
				inner = &level{structure: target}
				current.expanded = append(current.expanded, &expansion{navigation, inner})
			}
			current = inner
		}
	}
	l.sortExpansions()
	return nil
}

// sortExpansions sorts expansions as in the metadata.
func (l *level) sortExpansions() {
	positionOf := func(e *expansion) int {
		return slices.IndexFunc(l.structure.Navigations,
			func(navigation edm.Navigation) bool { return navigation.Name == e.navigation.Name })
	}
	slices.SortFunc(l.expanded, func(a, b *expansion) int { return positionOf(a) - positionOf(b) })
	for _, e := range l.expanded {
		e.level.sortExpansions()
	}
}

func (l *level) navigationProblem(name string) string {
	var names []string
	for _, n := range l.structure.Navigations {
		names = append(names, n.Name)
	}
	problem := name + " is no navigation property of " + l.structure.QualifiedName()
	if l.structure.Property(name) != nil {
		problem = name + " is a property of " + l.structure.QualifiedName() + ", which needs no expansion"
	}
	return problem + odataerror.Suggest(name, names, "it has no navigation property")
}

// project adds the paths of a projection to the tree. name and expand are the names of the settings, for messages.
func (l *level) project(paths []string, name, expand string) error {
	for _, path := range paths {
		steps := strings.Split(path, "/")
		current := l
		for i, step := range steps {
			step = strings.TrimSpace(step)
			isLast := i == len(steps)-1
			property := current.structure.Property(step)
			inner := current.expansion(step)
			switch {
			case isLast && step == "*":
				current.isProjected = true
				for _, property := range current.structure.Properties {
					current.properties = append(current.properties, property.Name)
				}
			case isLast && inner != nil:
				current.isProjected = true
			case inner != nil:
				current = inner
			case isLast && property != nil:
				current.isProjected = true
				current.properties = append(current.properties, step)
			case property != nil:
				return invalid(name, path, "a property inside of "+step+" cannot be selected alone; expected "+
					strings.Join(steps[:i+1], "/"))
			case current.structure.Navigation(step) != nil:
				return invalid(name, path, step+" is a navigation property: name "+strings.Join(steps[:i+1], "/")+
					" in "+expand+", too")
			default:
				return invalid(name, path, current.propertyProblem(step, func(*edm.Property) bool { return true }))
			}
		}
	}
	return nil
}

func (l *level) propertyProblem(name string, wanted func(*edm.Property) bool) string {
	return propertyProblem(l.structure, name, wanted)
}

func propertyProblem(structure *edm.StructuredType, name string, wanted func(*edm.Property) bool) string {
	return name + " is no property of " + structure.QualifiedName() +
		odataerror.Suggest(name, propertiesOf(structure, wanted), "it has no such property")
}

func propertiesOf(structure *edm.StructuredType, wanted func(*edm.Property) bool) []string {
	var names []string
	for i := range structure.Properties {
		if wanted(&structure.Properties[i]) {
			names = append(names, structure.Properties[i].Name)
		}
	}
	return names
}

// isInRows reports whether rows contain a property. They always contain the key.
func (l *level) isInRows(name string) bool {
	return !l.isProjected || slices.Contains(l.properties, name) || l.structure.IsKey(name)
}

// hasProjection reports whether this level, or an expanded one, has a projection.
func (l *level) hasProjection() bool {
	return l.isProjected || slices.ContainsFunc(l.expanded, func(e *expansion) bool { return e.level.hasProjection() })
}

// selection lists all names for $select, because services interpret the name of an expanded entity differently.
func (l *level) selection(dst []string, prefix string) []string {
	for i := range l.structure.Properties {
		if name := l.structure.Properties[i].Name; l.isInRows(name) || slices.Contains(l.hidden, name) {
			dst = append(dst, prefix+name)
		}
	}
	for _, e := range l.expanded {
		if len(e.level.expanded) == 0 && !e.level.hasProjection() {
			dst = append(dst, prefix+e.navigation.Name)
			continue
		}
		dst = e.level.selection(dst, prefix+e.navigation.Name+"/")
	}
	return dst
}

// expandPaths lists the longest paths of the tree; $expand follows all steps of a path.
func (l *level) expandPaths(dst []string, prefix string) []string {
	for _, e := range l.expanded {
		path := prefix + e.navigation.Name
		if len(e.level.expanded) == 0 {
			dst = append(dst, path)
			continue
		}
		dst = e.level.expandPaths(dst, path+"/")
	}
	return dst
}

// view returns the part of each row that is read.
func (l *level) view() *edm.View {
	result := &edm.View{Structure: l.structure, Projected: l.isProjected}
	for i := range l.structure.Properties {
		switch name := l.structure.Properties[i].Name; {
		case l.isInRows(name):
			// neither hidden nor omitted
		case slices.Contains(l.hidden, name):
			result.Hidden = append(result.Hidden, name)
		default:
			result.Omitted = append(result.Omitted, name)
		}
	}
	for _, e := range l.expanded {
		result.Expanded = append(result.Expanded, edm.Expansion{Name: e.navigation.Name, Many: e.navigation.Many,
			View: e.level.view()})
	}
	return result
}
