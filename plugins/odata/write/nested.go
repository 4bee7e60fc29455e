package write

import "github.com/culvert-project/culvert/plugins/odata/fault"

// nest makes updates of what a row that updates has nested in it, each before those nested in it in turn. They name
// entities by the keys in their content: nothing is assumed about what an entity has of the one around it.
func (e *encoding) nest(q *request, nested []carried, from *linked) error {
	for _, c := range nested {
		to := from.leads[c.navigation.Name]
		if to == nil {
			return fault.Data(c.where + ": $metadata doesn't say in which entity set its entities are, or " +
				"that set can't be updated")
		}
		contents := []field{c.content}
		if c.navigation.Many {
			contents = nil
			items := c.content.items()
			for items.next() {
				contents = append(contents, items.value)
			}
			if items.bad {
				return unexpected(c.where, "an array of "+c.inner.QualifiedName(), "another kind of value")
			}
		}
		for i := range contents {
			item := &contents[i]
			keys, err := c.inner.keys(&e.s.manner, item, false)
			if err != nil {
				return fault.Data(c.where + ": " + fault.As(err).Message)
			}
			var deeper []carried
			b := bodyWriter{how: &e.s.manner, updates: true, nested: &deeper}
			predicate := predicateOf(keys)
			u := nestedUpdate{path: to.path + predicate,
				entity: to.entityHash(laneOf(keys, predicate))}
			if u.body, err = b.entity(nil, c.inner, item, c.where); err != nil {
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
