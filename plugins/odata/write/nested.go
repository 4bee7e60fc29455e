package write

import (
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// carried is content of a navigation property in a row that updates.
type carried struct {
	navigation *edm.Navigation
	inner      *structure
	content    tree
	where      string
}

// nestedUpdate is the update of an entity that is nested in a row. Its method and headers are those of the row's own.
type nestedUpdate struct {
	path string
	body []byte
	entity
}

// nest makes updates of what a row that updates has nested in it, each before those nested in it in turn. They name
// entities by the keys in their content: nothing is assumed about what an entity has of the one around it.
func (e *encoding) nest(q *request, nested []carried, from *linked) error {
	for _, c := range nested {
		to := from.leads[c.navigation.Name]
		if to == nil {
			return refuse(c.where + ": $metadata doesn't say in which entity set its entities are, or " +
				"that set can't be updated")
		}
		items := []tree{c.content}
		if c.navigation.Many {
			var ok bool
			if items, ok = e.p.items(c.content); !ok {
				return misfit(c.where, "an array of "+c.inner.QualifiedName(), "another kind of value")
			}
		}
		for _, item := range items {
			keys, err := e.p.keys(e.s, c.inner, item, false)
			if err != nil {
				return refuse(c.where + ": " + asFault(err).Message)
			}
			var deeper []carried
			b := body{p: e.p, how: &e.s.manner, updates: true, nested: &deeper}
			predicate := e.p.predicateOf(keys)
			u := nestedUpdate{path: to.path + predicate, entity: entity{to.path, e.p.laneOf(keys, predicate)}}
			if u.body, err = b.entity(c.inner, item, c.where); err != nil {
				return err
			}
			q.updates = append(q.updates, u)
			q.nested = len(q.updates)
			if err := e.nest(q, deeper, to); err != nil {
				return err
			}
		}
	}
	return nil
}
