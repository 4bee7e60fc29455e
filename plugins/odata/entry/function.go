package entry

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// Find is where a doctor asks for rows, and with which options: those of a function import are its parameters.
func (e Entry) Find(m *edm.Model) (address, options string, err error) {
	set, _, err := FindSet(&e, m)
	if err != nil {
		return "", "", err
	}
	if m.Set(e.Set) == nil {
		options = e.Reads.Raw
	}
	return service.Address(set), options, nil
}

// FindSet finds what an entry reads: an entity set, or the entities that a function import answers, as if they were
// one.
func FindSet(e *Entry, m *edm.Model) (*edm.Set, *edm.Structure, error) {
	i := slices.IndexFunc(m.Functions, func(f *edm.Function) bool { return f.Name == e.Set })
	name := config.InGroup(e.Number, NameEntitySet)
	if m.Set(e.Set) != nil || i < 0 {
		return service.FindSet(m, e.Service, e.Set, name)
	}
	f := m.Functions[i]
	what := "function import " + f.Name + " of " + e.Service
	if method := strings.ToUpper(f.Method); method != "" && method != "GET" {
		return nil, nil, fault.Config(name, what+" is called by "+method+"; expected one that is called by GET")
	}
	inner, ok := strings.CutPrefix(f.Returns, "Collection(")
	inner = strings.TrimSuffix(inner, ")")
	s := m.Structure(inner)
	if s == nil {
		s = m.Structure(inner[strings.LastIndexByte(inner, '.')+1:]) // by an alias
	}
	if !ok || s == nil || s.Complex {
		return nil, nil, fault.Config(name, what+" returns \""+f.Returns+"\"; expected one that returns entities")
	}
	for _, p := range f.Parameters {
		if _, given := uri.Option(e.Reads.Raw, p.Name); !given && !p.Nullable {
			return nil, nil, fault.Config(config.InGroup(e.Number, query.Raw), what+" needs the parameter "+p.Name+" ("+
				p.Type.Name+"): expected "+
				config.InGroup(e.Number, query.Raw)+" = "+p.Name+"=..., a literal as it stands in a URL")
		}
	}
	return &edm.Set{Name: f.Name, Default: true, Type: s.QualifiedName(), Countable: true, Pageable: true,
		Topable: true, Addressable: true}, s, nil
}
