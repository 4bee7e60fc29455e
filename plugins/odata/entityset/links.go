package entityset

import (
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
)

// LinkedSet is an entity set with the updatable sets that its navigation properties target.
type LinkedSet struct {
	Path    string
	Targets map[string]*LinkedSet
}

// EntityHash returns the same hash as [EntitySet.EntityHash].
func (l *LinkedSet) EntityHash(key string) uint32 { return mixHash(mixHash(hashSeed, l.Path), key) }

// LinkedSet returns the set as the root of nested updates.
func (e *EntitySet) LinkedSet() *LinkedSet { return e.links[0] }

// linksFrom returns the set and all updatable sets that its navigation properties lead to.
func linksFrom(model *edm.Model, from *edm.Set, root string) []*LinkedSet {
	sets := []*edm.Set{from}
	linked := []*LinkedSet{{}}
	for i := 0; i < len(sets); i++ {
		linked[i].Path = root + "/" + document.SetAddress(sets[i])
		linked[i].Targets = map[string]*LinkedSet{}
		entityType := model.Structure(sets[i].Type)
		if entityType == nil {
			continue
		}
		for j := range entityType.Navigations {
			targetSet := model.NavigationTarget(sets[i], &entityType.Navigations[j])
			if targetSet == nil || !targetSet.Updatable {
				continue
			}
			index := slices.Index(sets, targetSet)
			if index < 0 {
				index = len(sets)
				sets = append(sets, targetSet)
				linked = append(linked, &LinkedSet{})
			}
			linked[i].Targets[entityType.Navigations[j].Name] = linked[index]
		}
	}
	return linked
}
