package entityset

import (
	"encoding/base64"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// EntitySet is a target of records, with what is computed once from settings and metadata.
type EntitySet struct {
	sinkconfig.EntitySet
	// Path is the path of the set. TokenPath is where its service returns CSRF tokens.
	Path, TokenPath string
	SAP             bool
	ServiceIndex    int
	Model           *edm.Model
	Type            *encode.Type
	// Index is the index of the set. CapabilityIndex is the index of the first set with the same Path.
	Index, CapabilityIndex int
	hash                   uint32
	// links holds the sets that can be reached by navigation properties. The first one is the set itself.
	links []*LinkedSet
}

// New finds the set in the metadata and checks that the configured operations are allowed.
func New(e sinkconfig.EntitySet, m *edm.Model, c *sinkconfig.Config) (*EntitySet, error) {
	name := config.InGroup(e.Number, sinkconfig.NameEntitySet)
	set, s, err := service.FindSet(m, e.Service, e.Name, name)
	if err != nil {
		return nil, err
	}
	updates := c.Mode == sinkconfig.ModeUpdate || c.Mode == sinkconfig.ModeMerge ||
		c.Mode == sinkconfig.ModePatch || c.Mode == sinkconfig.ModeUpsert
	why := ""
	switch {
	case !set.Creatable && (c.Mode == sinkconfig.ModeInsert || c.Mode == sinkconfig.ModeUpsert):
		why = "sap:creatable=\"false\""
	case !set.Updatable && updates:
		why = "sap:updatable=\"false\", and " + sinkconfig.NameOperationMode + " is " + c.Mode
	case len(s.Key) == 0 && updates:
		why = "no key, and " + sinkconfig.NameOperationMode + " is " + c.Mode
	case c.DeleteTombstones && !set.Deletable:
		why = "sap:deletable=\"false\", and " + sinkconfig.NameEnableDelete + " is on"
	case c.DeleteTombstones && len(s.Key) == 0:
		why = "no key, and " + sinkconfig.NameEnableDelete + " is on"
	case c.DeleteRecords && !set.Deletable:
		why = "sap:deletable=\"false\", and " + sinkconfig.NameDeleteRecords + " is on"
	}
	if why != "" {
		return nil, &wit.Error{Kind: wit.ErrorConfig, Setting: &name, Message: "Entity set " + e.Name + " of " +
			e.Service + " cannot be written: $metadata has " + why}
	}
	t := &EntitySet{EntitySet: e, Path: e.Service + "/" + service.Address(set),
		Model: &edm.Model{Structures: m.Closure(s, true)}}
	if c.NestedUpdates {
		t.links = linksFrom(m, set, e.Service)
	}
	return t, nil
}

// NamespaceSAP is the namespace of SAP's annotations.
const NamespaceSAP = "http://www.sap.com/Protocols/SAPData"

func (t *EntitySet) prepare() {
	t.TokenPath = t.Query.AppendTo(t.Service + "/")
	t.Type = encode.NewType(t.Model.Structures)
	t.hash = mixHash(hashSeed, t.Path)
}

// Pack appends what [Unpack] needs in addition to the settings.
func (t *EntitySet) Pack(b []byte) []byte {
	b = pack.Bool(pack.String(b, t.Path), t.SAP)
	return packLinks(edm.Pack(b, t.Model.Structures), t.links)
}

// Unpack reads what [EntitySet.Pack] wrote. ok is false if the data are invalid.
func Unpack(r *pack.Reader, e sinkconfig.EntitySet) (t EntitySet, ok bool) {
	t = EntitySet{EntitySet: e, Path: r.String(), SAP: r.Bool(), Model: edm.Unpack(r), links: unpackLinks(r)}
	if r.Failed || len(t.Model.Structures) == 0 {
		return t, false
	}
	t.prepare()
	return t, true
}

// EntityHash returns a hash of an entity of the set. key is its canonical predicate.
func (t *EntitySet) EntityHash(key string) uint32 { return mixHash(t.hash, key) }

const hashSeed, hashPrime = 2166136261, 16777619

func mixHash(h uint32, text string) uint32 {
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * hashPrime
	}
	return h
}

// KeyLiterals returns the literals of a predicate in the order of the key properties. ok is false if they differ.
func (t *EntitySet) KeyLiterals(predicate string) (values []uri.Literal, ok bool) {
	_, keys, err := uri.ParsePredicate(predicate)
	if err != nil || len(keys) != len(t.Type.Key) {
		return nil, false
	}
	for _, name := range t.Type.Key {
		at := slices.IndexFunc(keys, func(k uri.Key) bool { return k.Name == name || k.Name == "" && len(keys) == 1 })
		if at < 0 {
			return nil, false
		}
		values = append(values, keys[at].Literal)
	}
	return values, true
}

// Digest returns a short name of the set for [wit.Known].
func (t *EntitySet) Digest() string {
	h := fnv.New32a()
	h.Write([]byte(t.Path))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))[:3]
}

// LogOmittedProperties logs the properties that $metadata excludes from requests.
func (t *EntitySet) LogOmittedProperties(mode string) {
	s := t.Model.Structures[0]
	var names []string
	add := func(operations string, isOmitted func(p *edm.Property) bool) {
		for i := range s.Properties {
			if p := &s.Properties[i]; !s.IsKey(p.Name) && isOmitted(p) {
				names = append(names, p.Name+" ("+operations+")")
			}
		}
	}
	if mode == sinkconfig.ModeInsert || mode == sinkconfig.ModeUpsert || mode == sinkconfig.ModeDynamic {
		add("inserts", func(p *edm.Property) bool { return !p.Creatable })
	}
	if mode != sinkconfig.ModeInsert {
		add("updates", func(p *edm.Property) bool { return !p.Updatable })
	}
	if len(names) > 0 {
		sdk.Log(wit.LevelWarn, "entity set "+t.Name+" of "+t.Service+": requests do not contain these properties, "+
			"which $metadata marks as set by the service: "+strings.Join(names, ", "))
	}
}
