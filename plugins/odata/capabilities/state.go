package capabilities

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion is the first part of a context. A context of another version is stale.
const contextVersion = "odata-sink 12"

// Connector is what Open computes from settings and metadata. It never changes.
type Connector struct {
	sinkconfig.Config
	Settings []wit.Setting
	Sets     []entityset.EntitySet
	Services []string
}

// Service holds what responses have shown of a service.
type Service struct {
	// NoBatch: it has no $batch. SingleChangesets: it rejects changesets of several operations. RequestIDs: it
	// recognizes repeated requests. SendsVersion: its responses contain the OData version.
	NoBatch, SingleChangesets, RequestIDs, SendsVersion bool
	// MaxBatchBytes is the largest batch that is accepted. Zero means no limit.
	MaxBatchBytes int
}

// EntitySet holds what responses have shown of an entity set.
type EntitySet struct {
	IfMatch IfMatch
	// Numbers: the service replaced the key of a record. FillsInitial: it replaced an initial key such as 0.
	Numbers, FillsInitial bool
}

// IfMatch is whether a service accepts If-Match: * for an entity set.
type IfMatch byte

const (
	IfMatchUnknown IfMatch = iota
	IfMatchAccepted
	IfMatchRejected
)

// State is the plugin's context: the connector, and the capabilities learned from responses.
type State struct {
	*Connector
	ServiceCapabilities []Service
	SetCapabilities     []EntitySet
	packed              string
}

func (o *Connector) pack() []byte {
	b := pack.Settings(nil, o.Settings)
	for i := range o.Sets {
		b = o.Sets[i].Pack(b)
	}
	return b
}

func (o *Connector) unpack(packed string) (ok bool) {
	r := pack.Open([]byte(packed))
	o.Settings = r.Settings()
	v := sinkconfig.Table.Values(o.Settings)
	all := sinkconfig.EntitySets(v)
	o.Config, o.Services = sinkconfig.Parse(v), sinkconfig.ServicePaths(all)
	for _, e := range all {
		t, ok := entityset.Unpack(r, e)
		if !ok {
			return false
		}
		t.ServiceIndex, t.Index = slices.Index(o.Services, e.Service), len(o.Sets)
		t.CapabilityIndex = slices.IndexFunc(o.Sets,
			func(other entityset.EntitySet) bool { return other.Path == t.Path })
		if t.CapabilityIndex < 0 {
			t.CapabilityIndex = t.Index
		}
		o.Sets = append(o.Sets, t)
	}
	return r.Done()
}

// New returns the initial state of a connector.
func New(o *Connector) *State {
	return &State{Connector: o, ServiceCapabilities: make([]Service, len(o.Services)), SetCapabilities: make(
		[]EntitySet, len(o.Sets)),
		packed: string(o.pack())}
}

// Pack encodes the state as a context.
func (s *State) Pack() []byte {
	var b []byte
	if known := s.known(); known != "" {
		b = append(b, wit.HintKnown+string(known)+"\n"...)
	}
	b = pack.Int(pack.String(b, contextVersion), len(s.ServiceCapabilities))
	for _, l := range s.ServiceCapabilities {
		b = pack.Bool(pack.Bool(pack.Bool(pack.Bool(b, l.NoBatch), l.SingleChangesets), l.RequestIDs), l.SendsVersion)
		b = pack.Int(b, l.MaxBatchBytes)
	}
	b = pack.Int(b, len(s.SetCapabilities))
	for _, n := range s.SetCapabilities {
		b = pack.Bool(pack.Bool(pack.Int(b, int(n.IfMatch)), n.Numbers), n.FillsInitial)
	}
	return pack.String(b, s.packed)
}

func (s *State) clone() *State {
	c := *s
	c.ServiceCapabilities, c.SetCapabilities = slices.Clone(s.ServiceCapabilities), slices.Clone(s.SetCapabilities)
	return &c
}

func (s *State) equal(o *State) bool {
	return slices.Equal(s.ServiceCapabilities, o.ServiceCapabilities) && slices.Equal(s.SetCapabilities,
		o.SetCapabilities)
}

// TopicSettings returns the configured topics with the settings that name them.
func (o *Connector) TopicSettings() string {
	names := make([]string, len(o.Sets))
	for i := range o.Sets {
		names[i] = o.Sets[i].Topic + " (" + config.InGroup(o.Sets[i].Number, sinkconfig.NameTopic) + ")"
	}
	return strings.Join(names, ", ")
}

// SetOf returns the entity set for the records of a topic, nil if there is none.
func (o *Connector) SetOf(topic string) *entityset.EntitySet {
	for i := range o.Sets {
		if o.Sets[i].Topic == topic {
			return &o.Sets[i]
		}
	}
	return nil
}

// Cache holds the contexts that this instance has read.
type Cache struct {
	connectors []cachedConnector
	last       lastContext
}

// lastContext is the most recent context, which most calls repeat. Its state is never changed.
type lastContext struct {
	context string
	state   *State
}

type cachedConnector struct {
	packed    string
	connector *Connector
}

const maxConnectors = 4

// Read decodes a context. The caller owns the returned state.
func (c *Cache) Read(context []byte) (*State, error) {
	if c.last.state == nil || string(context) != c.last.context {
		s, err := c.decode(context)
		if err != nil {
			return nil, err
		}
		c.last = lastContext{string(context), s}
	}
	return c.last.state.clone(), nil
}

// Changed reports whether the state differs from the context that was read last.
func (c *Cache) Changed(s *State) bool { return !s.equal(c.last.state) }

func (c *Cache) decode(context []byte) (*State, error) {
	stale := &wit.Error{Kind: wit.ErrorStale, Message: "the context is of another version of this plugin"}
	if known := wit.KnownIn(context); known != "" {
		context = context[len(wit.HintKnown)+len(known)+1:]
	}
	r := pack.Open(context)
	if r.String() != contextVersion {
		return nil, stale
	}
	s := &State{}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s.ServiceCapabilities = append(s.ServiceCapabilities, Service{NoBatch: r.Bool(), SingleChangesets: r.Bool(),
			RequestIDs: r.Bool(), SendsVersion: r.Bool(),
			MaxBatchBytes: r.Int()})
	}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s.SetCapabilities = append(s.SetCapabilities, EntitySet{IfMatch: IfMatch(r.Int()), Numbers: r.Bool(),
			FillsInitial: r.Bool()})
	}
	s.packed = r.String()
	if !r.Done() {
		return nil, stale
	}
	for i := range c.connectors {
		if c.connectors[i].packed == s.packed {
			s.Connector = c.connectors[i].connector
			return s, nil
		}
	}
	s.Connector = &Connector{}
	if !s.Connector.unpack(s.packed) || len(s.ServiceCapabilities) != len(s.Connector.Services) ||
		len(s.SetCapabilities) != len(s.Sets) {
		return nil, stale
	}
	if len(c.connectors) == maxConnectors {
		c.connectors = c.connectors[1:]
	}
	c.connectors = append(c.connectors, cachedConnector{s.packed, s.Connector})
	return s, nil
}
