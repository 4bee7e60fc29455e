package sourceconfig

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/plugins/odata/value"
)

// resourcePath is a path to entities, resolved segment by segment.
type resourcePath struct {
	config   *EntitySetConfig
	model    *edm.Model
	setting  string  // names the path
	set      edm.Set // of the entities so far
	typ      *edm.StructuredType
	address  []byte // the path so far, as in URLs
	isEntity bool   // the path so far leads to one entity
}

// findPath finds the entities of a path: of a view with parameters, ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set, in
// an entity, Orders(7)/Items, in a singleton, Me/Trips, or of a derived type, Vehicles/NS.Car. The name of the result
// is that URL.
func findPath(cfg *EntitySetConfig, model *edm.Model, name string) (*edm.Set, *edm.StructuredType, error) {
	p := resourcePath{config: cfg, model: model, setting: name}
	for i, segment := range uri.SplitPath(cfg.Set) {
		segmentName, _, hasKey := strings.Cut(segment, "(")
		var err error
		switch {
		case i == 0:
			err = p.start(segmentName)
		case strings.Contains(segmentName, "."):
			err = p.cast(segmentName)
		default:
			err = p.navigate(segmentName)
		}
		if err == nil && hasKey {
			err = p.selectEntity(segment)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if p.isEntity && !p.set.Singleton {
		return nil, nil, p.reject("expected a navigation property after the parameters, such as " +
			"ZC_X(P_Date=datetime'2024-01-31T00:00:00')/Set")
	}
	p.set.Name = string(p.address)
	p.set.Default = true
	p.set.Type = p.typ.QualifiedName()
	p.set.Addressable = true
	return &p.set, p.typ, nil
}

func (p *resourcePath) reject(why string) error {
	return odataerror.ForSetting(p.setting, "Entity set "+p.config.Set+" of "+p.config.Service+": "+why)
}

// start begins with an entity set or a singleton.
func (p *resourcePath) start(name string) error {
	set, typ, err := document.FindSet(p.model, p.config.Service, name, p.setting)
	if err != nil {
		return err
	}
	p.set = *set
	p.typ = typ
	p.isEntity = set.Singleton
	p.address = []byte(document.SetAddress(set))
	return nil
}

// cast continues with the entities of a derived type.
func (p *resourcePath) cast(name string) error {
	derived := p.model.Structure(name)
	base := derived
	for base != nil && base != p.typ {
		base = p.model.Structure(base.Base)
	}
	if base == nil {
		return p.reject(name + " is no type that derives from " + p.typ.QualifiedName())
	}
	p.typ = derived
	p.address = append(append(p.address, '/'), name...)
	return nil
}

// navigate continues with the targets of a navigation property.
func (p *resourcePath) navigate(name string) error {
	if !p.isEntity {
		return p.reject("expected a key in parentheses before /" + name)
	}
	navigation := p.typ.Navigation(name)
	if navigation == nil || !navigation.Many || p.model.Structure(navigation.Target) == nil {
		var names []string
		for _, n := range p.typ.Navigations {
			if n.Many {
				names = append(names, n.Name)
			}
		}
		return p.reject(p.typ.QualifiedName() + " has no navigation property " + name +
			" that leads to several entities" + odataerror.Suggest(name, names, "it has none"))
	}
	set := edm.Set{Countable: true, Pageable: true, Topable: true}
	if target := p.model.NavigationTarget(&p.set, navigation); target != nil {
		set = *target
	}
	p.set = set
	p.typ = p.model.Structure(navigation.Target)
	p.isEntity = false
	p.address = append(append(p.address, '/'), name...)
	return nil
}

// selectEntity continues with the entity that has the key in a segment. The key is written in the order and the form of
// the metadata.
func (p *resourcePath) selectEntity(segment string) error {
	_, arguments, err := uri.ParsePredicate(p.config.Dialect, segment)
	if err != nil {
		return p.reject(err.Error())
	}
	keys := p.typ.Key
	if len(arguments) == 1 && len(keys) == 1 && arguments[0].Name == "" {
		arguments[0].Name = keys[0]
	}
	for i, key := range keys {
		index := slices.IndexFunc(arguments, func(k uri.Key) bool { return k.Name == key })
		property := p.typ.Property(key)
		if index < 0 || property == nil || len(arguments) != len(keys) {
			return p.reject("expected the parameters " + strings.Join(keys, ", ") + ", each once")
		}
		argument := arguments[index].Literal.Text
		// A literal of these types has a prefix or quotes, as in datetime'…', which value.Literal checks.
		if t := arguments[index].Literal.Type; t >= edm.Guid || t == edm.Binary {
			argument = string(uri.AppendLiteral(nil, p.config.Dialect, arguments[index].Literal))
		}
		literal, err := value.Literal(p.config.Dialect, property, argument)
		if err != nil {
			return p.reject(key + ": " + err.Error())
		}
		separator := byte(',')
		if i == 0 {
			separator = '('
		}
		p.address = append(uri.AppendEscaped(append(p.address, separator), key), '=')
		p.address = uri.AppendEscaped(p.address, string(uri.AppendLiteral(nil, p.config.Dialect, literal)))
	}
	p.address = append(p.address, ')')
	p.isEntity = true
	return nil
}
