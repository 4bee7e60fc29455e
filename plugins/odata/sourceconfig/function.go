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

// FindSet finds an entity set and its type. It returns the entities of a function import, or of a path such as a view
// with parameters, as if they were an entity set.
func FindSet(cfg *EntitySetConfig, model *edm.Model) (*edm.Set, *edm.StructuredType, error) {
	i := slices.IndexFunc(model.Functions, func(f *edm.Function) bool { return f.Name == cfg.Set })
	name := config.InGroup(cfg.Number, NameEntitySet)
	if strings.ContainsAny(cfg.Set, "(/") {
		return findPath(cfg, model, name)
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
