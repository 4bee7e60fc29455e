package write

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// entitySet is an entity set that a topic's records go to.
type entitySet struct {
	configuredSet
	// path of the set, root that of its service with the query, for CSRF tokens.
	path, root string
	// sap: the service's $metadata has SAP's namespace. at is the service's place among all.
	sap    bool
	at     int
	model  *edm.Model
	entity *structure
	// place is the set's among all, same that of the first one with the same path; lane is the start of the number of
	// its entities' lanes.
	place, same int
	lane        uint32
	// sets are those whose entities can be nested in the entity set's, by navigation properties: the first is its own.
	sets []*linked
}

// linked is an entity set with those that navigation properties of its entities lead to, as far as they can be updated.
type linked struct {
	// path of the set.
	path  string
	leads map[string]*linked
}

// linksFrom finds the sets that can be reached from one.
func linksFrom(m *edm.Model, from *edm.Set, root string) []*linked {
	sets := []*edm.Set{from}
	all := []*linked{{}}
	for i := 0; i < len(sets); i++ {
		all[i].path, all[i].leads = root+"/"+service.Address(sets[i]), map[string]*linked{}
		s := m.Structure(sets[i].Type)
		if s == nil {
			continue
		}
		for j := range s.Navigations {
			to := m.Leads(sets[i], &s.Navigations[j])
			if to == nil || !to.Updatable {
				continue
			}
			at := slices.Index(sets, to)
			if at < 0 {
				at = len(sets)
				sets, all = append(sets, to), append(all, &linked{})
			}
			all[i].leads[s.Navigations[j].Name] = all[at]
		}
	}
	return all
}

// ready makes what is the same for all rows, and indexes the entity set's types.
func (t *entitySet) ready() {
	t.root = t.query.On(t.service + "/")
	all := map[string]*structure{}
	for _, s := range t.model.Structures {
		all[s.QualifiedName()] = &structure{Structure: s, properties: map[string]*edm.Property{},
			navigations: map[string]*edm.Navigation{}, inner: map[string]*structure{}}
	}
	for _, s := range all {
		for i := range s.Properties {
			p := &s.Properties[i]
			s.properties[p.Name] = p
			if p.Type.Primitive == edm.NotPrimitive {
				s.inner[p.Name] = all[p.Type.Name]
			}
		}
		for i := range s.Navigations {
			n := &s.Navigations[i]
			s.navigations[n.Name] = n
			s.inner[n.Name] = all[n.Target]
		}
		s.makeColumns()
	}
	t.entity = all[t.model.Structures[0].QualifiedName()]
	t.lane = mixed(laneSeed, t.path)
}

const laneSeed, laneFactor = 2166136261, 16777619

// mixed goes on with the hash FNV-1a.
func mixed(h uint32, text string) uint32 {
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * laneFactor
	}
	return h
}

// spaceSAP is the namespace of SAP's annotations.
const spaceSAP = "http://www.sap.com/Protocols/SAPData"

// newEntitySet finds the set in the metadata and checks that it can be written.
func newEntitySet(e configuredSet, m *edm.Model, how *manner) (*entitySet, error) {
	name := config.InGroup(e.number, nameEntitySet)
	set, s, err := service.FindSet(m, e.service, e.set, name)
	if err != nil {
		return nil, err
	}
	updates := how.mode == modeUpdate || how.mode == modeMerge || how.mode == modePatch || how.mode == modeUpsert
	why := ""
	switch {
	case !set.Creatable && (how.mode == modeInsert || how.mode == modeUpsert):
		why = "sap:creatable=\"false\""
	case !set.Updatable && updates:
		why = "sap:updatable=\"false\", and " + operationMode + " is " + how.mode
	case len(s.Key) == 0 && updates:
		why = "no key, and " + operationMode + " is " + how.mode
	case how.deletes && !set.Deletable:
		why = "sap:deletable=\"false\", and " + enableDelete + " is on"
	case how.deletes && len(s.Key) == 0:
		why = "no key, and " + enableDelete + " is on"
	case how.deleteRecords && !set.Deletable:
		why = "sap:deletable=\"false\", and " + deleteRecords + " is on"
	}
	if why != "" {
		return nil, &wit.Error{Kind: wit.ErrorConfig, Setting: &name, Message: "Entity set " + e.set + " of " +
			e.service + " can't be written: its metadata say " + why}
	}
	t := &entitySet{configuredSet: e, path: e.service + "/" + service.Address(set),
		model: &edm.Model{Structures: m.Closure(s, true)}}
	if how.nested {
		t.sets = linksFrom(m, set, e.service)
	}
	return t, nil
}

// sayLeftOut says which properties requests of a mode never have, as $metadata wants it.
func (t *entitySet) sayLeftOut(mode string) {
	s := t.model.Structures[0]
	var names []string
	add := func(what string, left func(p *edm.Property) bool) {
		for i := range s.Properties {
			if p := &s.Properties[i]; !s.IsKey(p.Name) && left(p) {
				names = append(names, p.Name+" ("+what+")")
			}
		}
	}
	if mode == modeInsert || mode == modeUpsert || mode == modeDynamic {
		add("inserts", func(p *edm.Property) bool { return !p.Creatable })
	}
	if mode != modeInsert {
		add("updates", func(p *edm.Property) bool { return !p.Updatable })
	}
	if len(names) > 0 {
		sdk.Log(wit.LevelWarn, "entity set "+t.set+" of "+t.service+": values of these properties are left out of "+
			"requests, because $metadata says that the service sets them: "+strings.Join(names, ", "))
	}
}

func packLinks(b []byte, sets []*linked) []byte {
	b = pack.Int(b, len(sets))
	for _, s := range sets {
		b = pack.Int(pack.String(b, s.path), len(s.leads))
		for _, name := range slices.Sorted(maps.Keys(s.leads)) {
			b = pack.Int(pack.String(b, name), slices.Index(sets, s.leads[name]))
		}
	}
	return b
}

func unpackLinks(r *pack.Reader) (sets []*linked) {
	count := r.Count()
	for range count {
		sets = append(sets, &linked{leads: map[string]*linked{}})
	}
	for _, s := range sets {
		s.path = r.String()
		for n := r.Count(); n > 0 && !r.Failed; n-- {
			name, at := r.String(), r.Int()
			if r.Failed = r.Failed || at < 0 || at >= len(sets); !r.Failed {
				s.leads[name] = sets[at]
			}
		}
	}
	return sets
}

// blank is a property's place in a filter, with the text before it; not named: the text after the last one.
type blank struct {
	before, name string
	named        bool
}

// templateOf goes through a filter of the settings. One without places is the name of a property.
func templateOf(filter string) iter.Seq[blank] {
	if !strings.Contains(filter, "{") {
		filter += " eq {" + filter + "}"
	}
	return func(yield func(blank) bool) {
		for rest := filter; ; {
			before, after, found := strings.Cut(rest, "{")
			at := blank{before: before, named: found}
			at.name, rest, _ = strings.Cut(after, "}")
			if !yield(at) || !found {
				return
			}
		}
	}
}

// misnamed says that the filter names what is no property of an entity set; nil: it names none such, or isn't looked
// at.
func (m *manner) misnamed(t *entitySet) *wit.Error {
	if m.filter == "" || m.uncertain != "check" && m.uncertain != "repeatable" {
		return nil
	}
	s := t.model.Structures[0]
	for at := range templateOf(m.filter) {
		p := s.Property(at.name)
		if !at.named || p != nil && p.Type.Primitive != edm.NotPrimitive {
			continue
		}
		var names []string
		for i := range s.Properties {
			if s.Properties[i].Type.Primitive != edm.NotPrimitive {
				names = append(names, s.Properties[i].Name)
			}
		}
		return fault.Config(checkFilter, "Entity set "+t.set+" of "+t.service+" has no property "+at.name+" to look by"+
			fault.Among(at.name, names, "it has none"))
	}
	return nil
}

// uncheckable says that metadata show that no record says the key of an entity, and that no filter is set by which
// lost inserts are looked for; nil: they don't.
func (m *manner) uncheckable(t *entitySet) *wit.Error {
	if m.uncertain != "check" || m.filter != "" || m.mode != modeInsert && m.mode != modeDynamic {
		return nil
	}
	s := t.model.Structures[0]
	why := ""
	if len(s.Key) == 0 {
		why = "has no key"
	}
	for _, name := range s.Key {
		if p := s.Property(name); p != nil && !p.Creatable {
			why = "numbers its key property " + name + " (sap:creatable=\"false\")"
		}
	}
	if why == "" {
		return nil
	}
	return fault.Config(insertUncertain, "Entity set "+t.set+" of "+t.service+" "+why+", so that "+insertUncertain+
		" = check can't look whether an insert whose answer was lost was applied: expected "+checkFilter+
		" to say by what else it is found, or another value")
}
