package sourceconfig

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// Find returns the URL and options for a test request, which are the parameters of a function import.
func (e EntitySetConfig) Find(m *edm.Model) (address, options string, err error) {
	set, _, err := FindSet(&e, m)
	if err != nil {
		return "", "", err
	}
	if m.Set(e.Set) == nil {
		options = e.QueryOptions.Raw
	}
	return service.Address(set), options, nil
}

// FindSet finds an entity set, or the entities of a function import or of a view with parameters as if they were one.
func FindSet(e *EntitySetConfig, m *edm.Model) (*edm.Set, *edm.Structure, error) {
	i := slices.IndexFunc(m.Functions, func(f *edm.Function) bool { return f.Name == e.Set })
	name := config.InGroup(e.Number, NameEntitySet)
	if strings.Contains(e.Set, "(") {
		return view(e, m, name)
	}
	if m.Set(e.Set) != nil || i < 0 {
		return service.FindSet(m, e.Service, e.Set, name)
	}
	f := m.Functions[i]
	what := "function import " + f.Name + " of " + e.Service
	if method := strings.ToUpper(f.Method); method != "" && method != "GET" {
		return nil, nil, odataerror.ForSetting(name,
			what+" is called by "+method+"; expected one that is called by GET")
	}
	inner, ok := strings.CutPrefix(f.Returns, "Collection(")
	inner = strings.TrimSuffix(inner, ")")
	s := m.Structure(inner)
	if s == nil {
		s = m.Structure(inner[strings.LastIndexByte(inner, '.')+1:]) // qualified by an alias
	}
	if !ok || s == nil || s.Complex {
		return nil, nil, odataerror.ForSetting(name,
			what+" returns \""+f.Returns+"\"; expected one that returns entities")
	}
	for _, p := range f.Parameters {
		if _, isSet := uri.Option(e.QueryOptions.Raw, p.Name); !isSet && !p.Nullable {
			return nil, nil, odataerror.ForSetting(config.InGroup(e.Number, query.Raw),
				what+" needs the parameter "+p.Name+" ("+
					p.Type.Name+"): expected "+
					config.InGroup(e.Number, query.Raw)+" = "+p.Name+"=..., a literal as it stands in a URL")
		}
	}
	return &edm.Set{Name: f.Name, Default: true, Type: s.QualifiedName(), Countable: true, Pageable: true,
		Topable: true, Addressable: true}, s, nil
}

// view finds the set of a view with parameters, ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set: a navigation property
// of the entity whose key the parameters are. The name of the result is that URL.
func view(e *EntitySetConfig, m *edm.Model, name string) (*edm.Set, *edm.Structure, error) {
	refuse := func(why string) (*edm.Set, *edm.Structure, error) {
		return nil, nil, odataerror.ForSetting(name, "Entity set "+e.Set+" of "+e.Service+": "+why)
	}
	end := strings.LastIndex(e.Set, ")/") + 1
	if end == 0 {
		return refuse("expected a navigation property after the parameters, such as " +
			"ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set")
	}
	of, arguments, err := uri.ParsePredicate(e.Set[:end])
	if err != nil {
		return refuse(err.Error())
	}
	from, parameters, err := service.FindSet(m, e.Service, of, name)
	if err != nil {
		return nil, nil, err
	}
	if len(arguments) == 1 && len(parameters.Key) == 1 && arguments[0].Name == "" {
		arguments[0].Name = parameters.Key[0]
	}
	address := []byte(service.Address(from) + "(")
	for i, key := range parameters.Key {
		at := slices.IndexFunc(arguments, func(k uri.Key) bool { return k.Name == key })
		p := parameters.Property(key)
		if at < 0 || p == nil || len(arguments) != len(parameters.Key) {
			return refuse("expected the parameters " + strings.Join(parameters.Key, ", ") + ", each once")
		}
		text := arguments[at].Literal.Text
		if t := arguments[at].Literal.Type; t >= edm.Guid || t == edm.Binary {
			text = string(uri.AppendLiteral(nil, arguments[at].Literal))
		}
		literal, err := value.Literal(p, text)
		if err != nil {
			return refuse(key + ": " + err.Error())
		}
		if i > 0 {
			address = append(address, ',')
		}
		address = append(uri.AppendEscaped(address, key), '=')
		address = uri.AppendEscaped(address, string(uri.AppendLiteral(nil, literal)))
	}
	n := parameters.Navigation(e.Set[end+1:])
	if n == nil || !n.Many || m.Structure(n.Target) == nil {
		var names []string
		for _, n := range parameters.Navigations {
			if n.Many {
				names = append(names, n.Name)
			}
		}
		return refuse(parameters.QualifiedName() + " has no navigation property " + e.Set[end+1:] +
			" that leads to several entities" + odataerror.Suggest(e.Set[end+1:], names, "it has none"))
	}
	set := &edm.Set{Countable: true, Pageable: true, Topable: true}
	if to := m.Leads(from, n); to != nil {
		*set = *to
	}
	set.Name, set.Default, set.Type, set.Addressable = string(address)+")/"+n.Name, true, n.Target, true
	return set, m.Structure(n.Target), nil
}
