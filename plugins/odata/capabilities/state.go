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

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-sink 12"

// decodedContext is what open worked out.
type Connector struct {
	sinkconfig.Config
	Settings []wit.Setting
	Sets     []entityset.EntitySet
	// services are the paths of all services, each once.
	Services []string
}

// learned is what a service's answers have shown, which need not be shown again.
type Service struct {
	// noBatch: it has no $batch; one: it refuses changesets of several operations; repeats: it knows RequestIDs;
	// versioned: its answers say their version of OData.
	NoBatch, SingleChangesets, RequestIDs, SendsVersion bool
	// most is how many bytes a batch may have, 0 for no limit.
	MaxBatchBytes int
}

// evidence is what answers have shown of an entity set.
type EntitySet struct {
	IfMatch IfMatch
	// numbers: the service has given an entity another key than the record's; fills: the same of a key of which a
	// property was initial, as 0 is.
	Numbers, FillsInitial bool
}

// matching is what is known of whether a service takes If-Match: * for an entity set.
type IfMatch byte

const (
	IfMatchUnknown IfMatch = iota
	IfMatchAccepted
	IfMatchRejected
)

// state is a context: what open worked out, and what was learned of each service since.
type State struct {
	*Connector
	ServiceCapabilities []Service
	// evidence is what was learned of each entity set.
	SetCapabilities []EntitySet
	// packed is what open worked out, packed.
	packed string
}

// pack writes the settings as they were given, and what the services have said.
func (o *Connector) pack() []byte {
	b := pack.Settings(nil, o.Settings)
	for i := range o.Sets {
		b = o.Sets[i].Pack(b)
	}
	return b
}

// unpack reads what pack wrote; ok is false where it did not.
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
		t.CapabilityIndex = slices.IndexFunc(o.Sets, func(other entityset.EntitySet) bool { return other.Path == t.Path })
		if t.CapabilityIndex < 0 {
			t.CapabilityIndex = t.Index
		}
		o.Sets = append(o.Sets, t)
	}
	return r.Done()
}

// newState returns the state of a connector about whose services nothing is known yet.
func New(o *Connector) *State {
	return &State{Connector: o, ServiceCapabilities: make([]Service, len(o.Services)), SetCapabilities: make([]EntitySet, len(o.Sets)),
		packed: string(o.pack())}
}

func (s *State) Pack() []byte {
	var b []byte
	if known := s.known(); known != "" {
		b = append(b, wit.HintKnown+string(known)+"\n"...)
	}
	b = pack.Number(pack.Text(b, contextVersion), len(s.ServiceCapabilities))
	for _, l := range s.ServiceCapabilities {
		b = pack.Flag(pack.Flag(pack.Flag(pack.Flag(b, l.NoBatch), l.SingleChangesets), l.RequestIDs), l.SendsVersion)
		b = pack.Number(b, l.MaxBatchBytes)
	}
	b = pack.Number(b, len(s.SetCapabilities))
	for _, n := range s.SetCapabilities {
		b = pack.Flag(pack.Flag(pack.Number(b, int(n.IfMatch)), n.Numbers), n.FillsInitial)
	}
	return pack.Text(b, s.packed)
}

// clone is a state that can be changed without this one.
func (s *State) clone() *State {
	c := *s
	c.ServiceCapabilities, c.SetCapabilities = slices.Clone(s.ServiceCapabilities), slices.Clone(s.SetCapabilities)
	return &c
}

// same tells whether two states of one connector have learned the same.
func (s *State) equal(o *State) bool {
	return slices.Equal(s.ServiceCapabilities, o.ServiceCapabilities) && slices.Equal(s.SetCapabilities, o.SetCapabilities)
}

// topics are those that records are taken from, with the settings that name them.
func (o *Connector) TopicSettings() string {
	names := make([]string, len(o.Sets))
	for i := range o.Sets {
		names[i] = o.Sets[i].Topic + " (" + config.InGroup(o.Sets[i].Number, sinkconfig.NameTopic) + ")"
	}
	return strings.Join(names, ", ")
}

// setOf finds where a topic's records go.
func (o *Connector) SetOf(topic string) *entityset.EntitySet {
	for i := range o.Sets {
		if o.Sets[i].Topic == topic {
			return &o.Sets[i]
		}
	}
	return nil
}

// contexts are those that the instance has read.
type Cache struct {
	connectors []cachedConnector
	last       lastContext
}

// lastContext is the context that was read last, and the state in it, nil for none: most calls have that of the call
// before. Nobody changes the state.
type lastContext struct {
	context string
	state   *State
}

// cached is what the instance made of a context.
type cachedConnector struct {
	packed    string
	connector *Connector
}

const maxConnectors = 4

// state reads a context. What comes is the caller's to change; as it was, it stands in last.
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

// changed reports whether a state differs from the one that was read last.
func (c *Cache) Changed(s *State) bool { return !s.equal(c.last.state) }

func (c *Cache) decode(context []byte) (*State, error) {
	stale := &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
	if known := wit.KnownIn(context); known != "" {
		context = context[len(wit.HintKnown)+len(known)+1:]
	}
	r := pack.Open(context)
	if r.Text() != contextVersion {
		return nil, stale
	}
	s := &State{}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s.ServiceCapabilities = append(s.ServiceCapabilities, Service{NoBatch: r.Flag(), SingleChangesets: r.Flag(), RequestIDs: r.Flag(), SendsVersion: r.Flag(),
			MaxBatchBytes: r.Number()})
	}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s.SetCapabilities = append(s.SetCapabilities, EntitySet{IfMatch: IfMatch(r.Number()), Numbers: r.Flag(), FillsInitial: r.Flag()})
	}
	s.packed = r.Text()
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
