package entityset

import (
	"maps"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/pack"
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
		linked[i].Path = root + "/" + service.Address(sets[i])
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

func packLinks(b []byte, sets []*LinkedSet) []byte {
	b = pack.Int(b, len(sets))
	for _, set := range sets {
		b = pack.Int(pack.String(b, set.Path), len(set.Targets))
		for _, name := range slices.Sorted(maps.Keys(set.Targets)) {
			b = pack.Int(pack.String(b, name), slices.Index(sets, set.Targets[name]))
		}
	}
	return b
}

func unpackLinks(reader *pack.Reader) (sets []*LinkedSet) {
	count := reader.Count()
	for range count {
		sets = append(sets, &LinkedSet{Targets: map[string]*LinkedSet{}})
	}
	for _, set := range sets {
		set.Path = reader.String()
		for n := reader.Count(); n > 0 && !reader.Failed; n-- {
			name := reader.String()
			index := reader.Int()
			if reader.Failed = reader.Failed || index < 0 || index >= len(sets); !reader.Failed {
				set.Targets[name] = sets[index]
			}
		}
	}
	return sets
}
