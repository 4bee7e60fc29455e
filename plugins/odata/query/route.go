package query

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
)

// route is the way from the rows of a set to the property that a condition is about, step by step: through navigation
// properties first, then through complex ones.
type route struct {
	model *edm.Model
	root  *level
	given *Condition
	// expand is the name of the setting that says what is expanded, for messages.
	expand string
	steps  []string

	// reached: all navigation properties on the way are expanded, so that the rows that come hold the value. level is
	// the last one of the tree that the way comes by, held the property of that level that the value is in, "" as long
	// as none was met.
	reached bool
	level   *level
	held    string
	// structure is the one that the next step is looked for in.
	structure *edm.Structure
	// many is the number of steps up to the last that leads to many entities.
	many int
}

// refuse says what is wrong with the path.
func (r *route) refuse(why string) error {
	return refuse(r.given.Prefix+Property, r.given.Property, why)
}

// walk takes all steps but the last, so that structure is that of the property.
func (r *route) walk() error {
	text := r.given.Property
	r.steps = strings.Split(text, "/")
	if len(r.steps) > maxSteps {
		return refuse(r.given.Prefix+Property, text[:min(len(text), 60)],
			"expected at most "+strconv.Itoa(maxSteps)+" steps")
	}
	for i := range r.steps {
		r.steps[i] = strings.TrimSpace(r.steps[i])
	}
	for i, step := range r.steps[:len(r.steps)-1] {
		var err error
		if n := r.structure.Navigation(step); n != nil && r.held == "" {
			err = r.navigate(n, i+1)
		} else {
			err = r.enter(step)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// navigate goes to the entities that a navigation property leads to; steps are those up to it. To many it has to be
// expanded, because the condition is applied here.
func (r *route) navigate(n *edm.Navigation, steps int) error {
	step := r.steps[steps-1]
	target := r.model.Structure(n.Target)
	if target == nil {
		return r.refuse("$metadata don't say where " + step + " of " + r.structure.QualifiedName() + " leads to")
	}
	inner := (*level)(nil)
	if r.reached {
		inner = r.level.at(step)
	}
	if n.Many {
		if inner == nil {
			return r.refuse(step + " leads to many entities, so the condition is applied to the expanded ones: name " +
				strings.Join(r.steps[:steps], "/") + " in " + r.expand + ", too")
		}
		r.many = steps
	}
	r.structure = target
	if inner == nil {
		r.root.touched = append(r.root.touched, target)
		r.reached = false
		return nil
	}
	r.level = inner
	return nil
}

// enter goes into a complex property.
func (r *route) enter(step string) error {
	s := r.structure
	p := s.Property(step)
	if p == nil {
		return r.refuse(noProperty(s, step, func(p *edm.Property) bool { return p.Filterable }))
	}
	inner := r.model.Structure(p.Type.Name)
	if p.Type.Primitive != edm.NotPrimitive || inner == nil {
		return r.refuse(step + " of " + s.QualifiedName() + " is of type " + p.Type.Name +
			", which has no properties inside")
	}
	if r.held == "" {
		r.held = step
	}
	r.structure = inner
	return nil
}

// property is the one that the last step names. It has to be one with a value and, unless the condition is applied
// here, one that the service filters by.
func (r *route) property() (*edm.Property, error) {
	s, last := r.structure, r.steps[len(r.steps)-1]
	p := s.Property(last)
	filterable := func(p *edm.Property) bool { return p.Filterable && p.Type.Primitive != edm.NotPrimitive }
	switch {
	case p == nil && s.Navigation(last) != nil:
		return nil, r.refuse(last + " is a navigation property; expected a property after it, such as " +
			r.given.Property + "/" + firstName(r.model, s.Navigation(last)))
	case p == nil:
		return nil, r.refuse(noProperty(s, last, filterable))
	case p.Type.Primitive == edm.NotPrimitive:
		return nil, r.refuse(last + " is of type " + p.Type.Name + "; expected a property inside of it")
	case r.many == 0 && !p.Filterable:
		return nil, r.refuse("the service doesn't filter by " + last + " (sap:filterable=false)" +
			odataerror.Suggest("", propertiesOf(s, filterable), "it filters by no property"))
	}
	if r.held == "" {
		r.held = last
	}
	return p, nil
}

// endsAtKey reports whether the property is one of its structure's key.
func (r *route) endsAtKey() bool { return r.structure.IsKey(r.steps[len(r.steps)-1]) }

// show has the service send the value, which the projection may leave out: the condition is looked at here.
func (r *route) show() {
	if l := r.level; r.reached && !l.shown(r.held) && !slices.Contains(l.hidden, r.held) {
		l.hidden = append(l.hidden, r.held)
	}
}

// firstName is the name of a property that a navigation property leads to, as an example.
func firstName(m *edm.Model, n *edm.Navigation) string {
	if s := m.Structure(n.Target); s != nil && len(s.Properties) > 0 {
		return s.Properties[0].Name
	}
	return "ID"
}
