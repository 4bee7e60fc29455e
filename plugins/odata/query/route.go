package query

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
)

// route is the path from a row to the property of a condition: navigation properties, then complex properties.
type route struct {
	model     *edm.Model
	root      *level
	condition *Condition
	expand    string // name of the expansion setting, for messages
	steps     []string

	// isExpanded means that all navigation properties on the path are expanded, so that rows contain the value. level
	// is the last expanded level, firstProperty the first property of the path on that level.
	isExpanded    bool
	level         *level
	firstProperty string
	structure     *edm.StructuredType // the type that has the next step
	itemSteps     int                 // number of steps up to the last to-many navigation
}

func (r *route) invalid(reason string) error {
	return invalid(r.condition.Prefix+Property, r.condition.Property, reason)
}

// resolve follows all steps of the path but the last one.
func (r *route) resolve() error {
	path := r.condition.Property
	r.steps = strings.Split(path, "/")
	if len(r.steps) > maxSteps {
		return invalid(r.condition.Prefix+Property, path[:min(len(path), maxShown)],
			"expected at most "+strconv.Itoa(maxSteps)+" steps")
	}
	for i := range r.steps {
		r.steps[i] = strings.TrimSpace(r.steps[i])
	}
	for i, step := range r.steps[:len(r.steps)-1] {
		var err error
		if n := r.structure.Navigation(step); n != nil && r.firstProperty == "" {
			err = r.navigate(n, i+1)
		} else {
			err = r.enterComplex(step)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// navigate follows a navigation property. A to-many navigation must be expanded.
func (r *route) navigate(navigation *edm.Navigation, steps int) error {
	step := r.steps[steps-1]
	target := r.model.Structure(navigation.Target)
	if target == nil {
		return r.invalid("$metadata do not declare the target of " + step + " of " + r.structure.QualifiedName())
	}
	inner := (*level)(nil)
	if r.isExpanded {
		inner = r.level.expansion(step)
	}
	if navigation.Many {
		if inner == nil {
			return r.invalid(step + " is a to-many navigation, so the condition applies to expanded entities: name " +
				strings.Join(r.steps[:steps], "/") + " in " + r.expand + ", too")
		}
		r.itemSteps = steps
	}
	r.structure = target
	if inner == nil {
		r.root.visitedTypes = append(r.root.visitedTypes, target)
		r.isExpanded = false
		return nil
	}
	r.level = inner
	return nil
}

// enterComplex follows a complex property.
func (r *route) enterComplex(step string) error {
	structure := r.structure
	property := structure.Property(step)
	if property == nil {
		return r.invalid(propertyProblem(structure, step, func(p *edm.Property) bool { return p.Filterable }))
	}
	if property.Type.Collection {
		return r.invalid(step + " of " + structure.QualifiedName() + " is a collection; expected a condition on it " +
			"in " + Raw + ", as $filter=" + step + "/any(…)")
	}
	inner := r.model.Structure(property.Type.Name)
	if property.Type.Primitive != edm.NotPrimitive || inner == nil {
		return r.invalid(step + " of " + structure.QualifiedName() + " is of type " + property.Type.Name +
			", which has no properties inside")
	}
	if r.firstProperty == "" {
		r.firstProperty = step
	}
	r.structure = inner
	return nil
}

// property returns the property of the last step. The service must filter by it, except on expanded rows.
func (r *route) property() (*edm.Property, error) {
	structure := r.structure
	last := r.steps[len(r.steps)-1]
	property := structure.Property(last)
	isFilterable := func(p *edm.Property) bool { return p.Filterable && p.Type.Primitive != edm.NotPrimitive }
	switch {
	case property == nil && structure.Navigation(last) != nil:
		example := "ID"
		target := r.model.Structure(structure.Navigation(last).Target)
		if target != nil && len(target.Properties) > 0 {
			example = target.Properties[0].Name
		}
		return nil, r.invalid(last + " is a navigation property; expected a property after it, such as " +
			r.condition.Property + "/" + example)
	case property == nil:
		return nil, r.invalid(propertyProblem(structure, last, isFilterable))
	case property.Type.Primitive == edm.NotPrimitive:
		return nil, r.invalid(last + " is of type " + property.Type.Name + "; expected a property inside of it")
	case r.itemSteps == 0 && !property.Filterable:
		return nil, r.invalid("the service doesn't filter by " + last + " (sap:filterable=false)" +
			odataerror.Suggest("", propertiesOf(structure, isFilterable), "it filters by no property"))
	}
	if r.firstProperty == "" {
		r.firstProperty = last
	}
	return property, nil
}
