package sourceconfig

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/query"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// Find returns the URL and options for a test request, which are the parameters of a function import.
func (e EntitySetConfig) Find(model *edm.Model) (address, options string, err error) {
	set, _, err := FindSet(&e, model)
	if err != nil {
		return "", "", err
	}
	if model.Set(e.Set) == nil {
		options = e.QueryOptions.Raw
	}
	return document.SetAddress(set), options, nil
}

// FindSet finds an entity set and its type. It returns the entities of a function import, or of a view with parameters,
// as if they were an entity set.
func FindSet(cfg *EntitySetConfig, model *edm.Model) (*edm.Set, *edm.StructuredType, error) {
	i := slices.IndexFunc(model.Functions, func(f *edm.Function) bool { return f.Name == cfg.Set })
	name := config.InGroup(cfg.Number, NameEntitySet)
	if strings.Contains(cfg.Set, "(") {
		return view(cfg, model, name)
	}
	if model.Set(cfg.Set) != nil || i < 0 {
		return document.FindSet(model, cfg.Service, cfg.Set, name)
	}
	function := model.Functions[i]
	subject := "function import " + function.Name + " of " + cfg.Service
	if method := strings.ToUpper(function.Method); method != "" && method != "GET" {
		return nil, nil, odataerror.ForSetting(name,
			subject+" is called by "+method+"; expected one that is called by GET")
	}
	inner, ok := strings.CutPrefix(function.Returns, "Collection(")
	inner = strings.TrimSuffix(inner, ")")
	entityType := model.Structure(inner)
	if entityType == nil {
		entityType = model.Structure(inner[strings.LastIndexByte(inner, '.')+1:]) // qualified by an alias
	}
	if !ok || entityType == nil || entityType.Complex {
		return nil, nil, odataerror.ForSetting(name,
			subject+" returns \""+function.Returns+"\"; expected one that returns entities")
	}
	for _, p := range function.Parameters {
		if _, isSet := uri.Option(cfg.QueryOptions.Raw, p.Name); !isSet && !p.Nullable {
			return nil, nil, odataerror.ForSetting(config.InGroup(cfg.Number, query.Raw),
				subject+" needs the parameter "+p.Name+" ("+p.Type.Name+"): expected "+
					config.InGroup(cfg.Number, query.Raw)+" = "+p.Name+"=..., a literal as in a URL")
		}
	}
	return &edm.Set{Name: function.Name, Default: true, Type: entityType.QualifiedName(), Countable: true,
		Pageable: true, Topable: true, Addressable: true}, entityType, nil
}

// view finds the set of a view with parameters, ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set: a navigation property
// of the entity whose key the parameters are. The name of the result is that URL.
func view(cfg *EntitySetConfig, model *edm.Model, name string) (*edm.Set, *edm.StructuredType, error) {
	reject := func(why string) (*edm.Set, *edm.StructuredType, error) {
		return nil, nil, odataerror.ForSetting(name, "Entity set "+cfg.Set+" of "+cfg.Service+": "+why)
	}
	end := strings.LastIndex(cfg.Set, ")/") + 1
	if end == 0 {
		return reject("expected a navigation property after the parameters, such as " +
			"ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set")
	}
	entitySet, arguments, err := uri.ParsePredicate(cfg.Set[:end])
	if err != nil {
		return reject(err.Error())
	}
	// Write the parameters in the order and the form of the key.
	from, parameters, err := document.FindSet(model, cfg.Service, entitySet, name)
	if err != nil {
		return nil, nil, err
	}
	if len(arguments) == 1 && len(parameters.Key) == 1 && arguments[0].Name == "" {
		arguments[0].Name = parameters.Key[0]
	}
	address := []byte(document.SetAddress(from) + "(")
	for i, key := range parameters.Key {
		index := slices.IndexFunc(arguments, func(k uri.Key) bool { return k.Name == key })
		p := parameters.Property(key)
		if index < 0 || p == nil || len(arguments) != len(parameters.Key) {
			return reject("expected the parameters " + strings.Join(parameters.Key, ", ") + ", each once")
		}
		argument := arguments[index].Literal.Text
		// A literal of these types has a prefix or quotes, as in datetime'…', which value.Literal checks.
		if t := arguments[index].Literal.Type; t >= edm.Guid || t == edm.Binary {
			argument = string(uri.AppendLiteral(nil, arguments[index].Literal))
		}
		literal, err := value.Literal(p, argument)
		if err != nil {
			return reject(key + ": " + err.Error())
		}
		if i > 0 {
			address = append(address, ',')
		}
		address = append(uri.AppendEscaped(address, key), '=')
		address = uri.AppendEscaped(address, string(uri.AppendLiteral(nil, literal)))
	}
	// Find the entities after them.
	n := parameters.Navigation(cfg.Set[end+1:])
	if n == nil || !n.Many || model.Structure(n.Target) == nil {
		var names []string
		for _, n := range parameters.Navigations {
			if n.Many {
				names = append(names, n.Name)
			}
		}
		return reject(parameters.QualifiedName() + " has no navigation property " + cfg.Set[end+1:] +
			" that leads to several entities" + odataerror.Suggest(cfg.Set[end+1:], names, "it has none"))
	}
	set := &edm.Set{Countable: true, Pageable: true, Topable: true}
	if to := model.NavigationTarget(from, n); to != nil {
		*set = *to
	}
	set.Name = string(address) + ")/" + n.Name
	set.Default = true
	set.Type = n.Target
	set.Addressable = true
	return set, model.Structure(n.Target), nil
}
