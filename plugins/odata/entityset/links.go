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
func (t *EntitySet) LinkedSet() *LinkedSet { return t.links[0] }

func linksFrom(m *edm.Model, from *edm.Set, root string) []*LinkedSet {
	sets := []*edm.Set{from}
	all := []*LinkedSet{{}}
	for i := 0; i < len(sets); i++ {
		all[i].Path, all[i].Targets = root+"/"+service.Address(sets[i]), map[string]*LinkedSet{}
		s := m.Structure(sets[i].Type)
		if s == nil {
			continue
		}
		for j := range s.Navigations {
			to := m.NavigationTarget(sets[i], &s.Navigations[j])
			if to == nil || !to.Updatable {
				continue
			}
			at := slices.Index(sets, to)
			if at < 0 {
				at = len(sets)
				sets, all = append(sets, to), append(all, &LinkedSet{})
			}
			all[i].Targets[s.Navigations[j].Name] = all[at]
		}
	}
	return all
}

func packLinks(b []byte, sets []*LinkedSet) []byte {
	b = pack.Int(b, len(sets))
	for _, s := range sets {
		b = pack.Int(pack.String(b, s.Path), len(s.Targets))
		for _, name := range slices.Sorted(maps.Keys(s.Targets)) {
			b = pack.Int(pack.String(b, name), slices.Index(sets, s.Targets[name]))
		}
	}
	return b
}

func unpackLinks(r *pack.Reader) (sets []*LinkedSet) {
	count := r.Count()
	for range count {
		sets = append(sets, &LinkedSet{Targets: map[string]*LinkedSet{}})
	}
	for _, s := range sets {
		s.Path = r.String()
		for n := r.Count(); n > 0 && !r.Failed; n-- {
			name, at := r.String(), r.Int()
			if r.Failed = r.Failed || at < 0 || at >= len(sets); !r.Failed {
				s.Targets[name] = sets[at]
			}
		}
	}
	return sets
}
