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

// State is the plugin's context: the connector, and the capabilities learned from responses.
type State struct {
	*Connector
	ServiceCapabilities []Service
	SetCapabilities     []EntitySet
	packed              string
}

// New returns the initial state of a connector.
func New(o *Connector) *State {
	return &State{
		Connector:           o,
		ServiceCapabilities: make([]Service, len(o.Services)),
		SetCapabilities:     make([]EntitySet, len(o.Sets)),
		packed:              string(o.pack()),
	}
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
	return slices.Equal(s.ServiceCapabilities, o.ServiceCapabilities) &&
		slices.Equal(s.SetCapabilities, o.SetCapabilities)
}

// Connector is what Open computes from settings and metadata. It never changes.
type Connector struct {
	sinkconfig.Config
	Settings []wit.Setting
	Sets     []entityset.EntitySet
	Services []string
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

// TopicSettings returns the configured topics with the settings that name them.
func (o *Connector) TopicSettings() string {
	names := make([]string, len(o.Sets))
	for i := range o.Sets {
		names[i] = o.Sets[i].Topic + " (" + config.InGroup(o.Sets[i].Number, sinkconfig.NameTopic) + ")"
	}
	return strings.Join(names, ", ")
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

// contextVersion is the first part of a context. A context of another version is stale.
const contextVersion = "odata-sink 12"
