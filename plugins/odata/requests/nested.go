package requests

import (
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
)

// addNestedUpdates adds updates of nested entities. Each is identified by the key in its own content.
func (e *rowEncoder) addNestedUpdates(q *request, nested []encode.NestedContent, from *entityset.LinkedSet) error {
	for _, c := range nested {
		to := from.Targets[c.Navigation.Name]
		if to == nil {
			return fault.Data(c.Path + ": $metadata does not declare an updatable entity set for these entities")
		}
		contents := []rowvalue.Value{c.Value}
		if c.Navigation.Many {
			contents = nil
			items := c.Value.Items()
			for items.Next() {
				contents = append(contents, items.Value)
			}
			if items.Mismatch {
				return encode.Unexpected(c.Path, "an array of "+c.Type.QualifiedName(), "another kind of value")
			}
		}
		for i := range contents {
			item := &contents[i]
			keys, err := c.Type.KeyValues(&e.state.Config, item, false)
			if err != nil {
				return fault.Data(c.Path + ": " + fault.As(err).Message)
			}
			var deeper []encode.NestedContent
			b := encode.Writer{Config: &e.state.Config, Update: true, Nested: &deeper}
			predicate := encode.Predicate(keys)
			u := nestedUpdate{path: to.Path + predicate,
				entityHash: to.EntityHash(encode.CanonicalPredicate(keys, predicate))}
			if u.body, err = b.AppendEntity(nil, c.Type, item, c.Path); err != nil {
				return err
			}
			q.updates = append(q.updates, u)
			q.NestedUpdates = len(q.updates)
			if err := e.addNestedUpdates(q, deeper, to); err != nil {
				return err
			}
		}
	}
	return nil
}
