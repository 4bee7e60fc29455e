package entityset

import (
	"encoding/base64"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// NamespaceSAP is the namespace of SAP's annotations.
const NamespaceSAP = "http://www.sap.com/Protocols/SAPData"

// EntitySet is a target of records, with everything that is computed once from settings and metadata.
type EntitySet struct {
	sinkconfig.EntitySet
	Path            string // of the set
	TokenPath       string // where its service returns CSRF tokens
	SAP             bool   // $metadata has SAP's annotations
	ServiceIndex    int    // in the connector's services
	Index           int    // in the connector's sets
	CapabilityIndex int    // index of the first set with the same Path
	Model           *edm.Model
	Type            *encode.Type
	ETagSelect      string       // the query option of a read that returns the ETag, and little else
	hash            uint32       // of Path
	links           []*LinkedSet // the sets that navigation properties lead to. The first one is the set itself.
}

// New finds the set in the metadata and checks that the configured operations are allowed.
func New(configured sinkconfig.EntitySet, model *edm.Model, sinkConfig *sinkconfig.Config) (*EntitySet, error) {
	name := config.InGroup(configured.Number, sinkconfig.NameEntitySet)
	set, entityType, err := document.FindSet(model, configured.Service, configured.Name, name)
	if err != nil {
		return nil, err
	}
	updates := sinkConfig.Mode == sinkconfig.ModeUpdate || sinkConfig.Mode == sinkconfig.ModeMerge ||
		sinkConfig.Mode == sinkconfig.ModePatch || sinkConfig.Mode == sinkconfig.ModeUpsert
	reason := ""
	switch {
	case set.Singleton:
		reason = "a singleton, which has no key and accepts no inserts"
	case !set.Creatable && (sinkConfig.Mode == sinkconfig.ModeInsert || sinkConfig.Mode == sinkconfig.ModeUpsert):
		reason = model.Dialect.NoInserts
	case !set.Updatable && updates:
		reason = model.Dialect.NoUpdates + ", and " + sinkconfig.NameOperationMode + " is " + sinkConfig.Mode
	case len(entityType.Key) == 0 && updates:
		reason = "no key, and " + sinkconfig.NameOperationMode + " is " + sinkConfig.Mode
	case sinkConfig.DeleteTombstones && !set.Deletable:
		reason = model.Dialect.NoDeletes + ", and " + sinkconfig.NameEnableDelete + " is on"
	case sinkConfig.DeleteTombstones && len(entityType.Key) == 0:
		reason = "no key, and " + sinkconfig.NameEnableDelete + " is on"
	case sinkConfig.DeleteRecords && !set.Deletable:
		reason = model.Dialect.NoDeletes + ", and " + sinkconfig.NameDeleteRecords + " is on"
	}
	if reason != "" {
		return nil, odataerror.ForSetting(name, "Entity set "+configured.Name+" of "+configured.Service+
			" cannot be written: $metadata has "+reason)
	}
	target := &EntitySet{EntitySet: configured, Path: configured.Service + "/" + document.SetAddress(set),
		Model: &edm.Model{Dialect: model.Dialect, Structures: model.Closure(entityType, true)}}
	if sinkConfig.NestedUpdates {
		target.links = linksFrom(model, set, configured.Service)
	}
	return target, nil
}

// prepare computes the parts that are not packed.
func (e *EntitySet) prepare() {
	e.TokenPath = e.Query.AppendTo(e.Service + "/")
	e.Type = encode.NewType(e.Model.Dialect, e.Model.Structures)
	// Select the key and the properties that ETags are computed from. Without the latter some services fail (seen at a
	// service of .NET: Simple.OData.Client, issue 177). Assumption: others return no ETag.
	entityType := e.Model.Structures[0]
	option := []byte("$select=")
	for i, name := range entityType.Key {
		if i > 0 {
			option = append(option, ',')
		}
		option = uri.AppendEscaped(option, name)
	}
	for i := range entityType.Properties {
		if property := &entityType.Properties[i]; property.Etag && !entityType.IsKey(property.Name) {
			option = uri.AppendEscaped(append(option, ','), property.Name)
		}
	}
	e.ETagSelect = string(option)
	e.hash = mixHash(hashSeed, e.Path)
}

// Pack appends what [Unpack] needs in addition to the settings.
func (e *EntitySet) Pack(b []byte) []byte {
	b = edm.Pack(pack.Bool(pack.String(b, e.Path), e.SAP), e.Model.Structures)
	b = pack.Int(b, len(e.links))
	for _, set := range e.links {
		b = pack.Int(pack.String(b, set.Path), len(set.Targets))
		for _, name := range slices.Sorted(maps.Keys(set.Targets)) {
			b = pack.Int(pack.String(b, name), slices.Index(e.links, set.Targets[name]))
		}
	}
	return b
}

// Unpack reads what [EntitySet.Pack] wrote. ok is false if the data are invalid.
func Unpack(reader *pack.Reader, dialect *edm.Dialect, configured sinkconfig.EntitySet) (target EntitySet, ok bool) {
	target = EntitySet{EntitySet: configured, Path: reader.String(), SAP: reader.Bool(),
		Model: edm.Unpack(reader, dialect)}
	count := reader.Count()
	for range count {
		target.links = append(target.links, &LinkedSet{Targets: map[string]*LinkedSet{}})
	}
	for _, set := range target.links {
		set.Path = reader.String()
		for n := reader.Count(); n > 0 && !reader.Failed; n-- {
			name := reader.String()
			index := reader.Int()
			reader.Failed = reader.Failed || index < 0 || index >= len(target.links)
			if !reader.Failed {
				set.Targets[name] = target.links[index]
			}
		}
	}
	if reader.Failed || len(target.Model.Structures) == 0 {
		return target, false
	}
	target.prepare()
	return target, true
}

// EntityHash returns a hash of an entity of the set. key is its canonical predicate.
func (e *EntitySet) EntityHash(key string) uint32 { return mixHash(e.hash, key) }

const hashSeed, hashPrime = 2166136261, 16777619 // of FNV-1a

func mixHash(hash uint32, text string) uint32 {
	for i := range len(text) {
		hash = (hash ^ uint32(text[i])) * hashPrime
	}
	return hash
}

// KeyLiterals returns the literals of a predicate in the order of the key properties. ok is false if the predicate has
// other properties.
func (e *EntitySet) KeyLiterals(predicate string) (values []uri.Literal, ok bool) {
	_, keys, err := uri.ParsePredicate(e.Model.Dialect, predicate)
	if err != nil || len(keys) != len(e.Type.Key) {
		return nil, false
	}
	for _, name := range e.Type.Key {
		index := slices.IndexFunc(keys, func(k uri.Key) bool {
			return k.Name == name || (k.Name == "" && len(keys) == 1)
		})
		if index < 0 {
			return nil, false
		}
		values = append(values, keys[index].Literal)
	}
	return values, true
}

// Digest returns a short name of the set for [wit.Known].
func (e *EntitySet) Digest() string {
	h := fnv.New32a()
	h.Write([]byte(e.Path))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:3] // 18 bits
}

// LogOmittedProperties logs the properties that $metadata excludes from requests.
func (e *EntitySet) LogOmittedProperties(mode string) {
	entityType := e.Model.Structures[0]
	var names []string
	add := func(operations string, isOmitted func(property *edm.Property) bool) {
		for i := range entityType.Properties {
			if property := &entityType.Properties[i]; !entityType.IsKey(property.Name) && isOmitted(property) {
				names = append(names, property.Name+" ("+operations+")")
			}
		}
	}
	if mode == sinkconfig.ModeInsert || mode == sinkconfig.ModeUpsert || mode == sinkconfig.ModeDynamic {
		add("inserts", func(property *edm.Property) bool { return !property.Creatable })
	}
	if mode != sinkconfig.ModeInsert {
		add("updates", func(property *edm.Property) bool { return !property.Updatable })
	}
	if len(names) > 0 {
		sdk.Log(wit.LevelWarn, "entity set "+e.Name+" of "+e.Service+": requests do not contain these properties, "+
			"which $metadata marks as set by the service: "+strings.Join(names, ", "))
	}
}
