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
	packed              string // the connector, encoded
}

// New returns the initial state of a connector.
func New(connector *Connector) *State {
	return &State{
		Connector:           connector,
		ServiceCapabilities: make([]Service, len(connector.Services)),
		SetCapabilities:     make([]EntitySet, len(connector.Sets)),
		packed:              string(connector.pack()),
	}
}

// Pack encodes the state as a context.
func (s *State) Pack() []byte {
	var b []byte
	if facts := s.known(); facts != "" {
		b = append(b, wit.HintKnown+string(facts)+"\n"...)
	}
	b = pack.Int(pack.String(b, contextVersion), len(s.ServiceCapabilities))
	for _, service := range s.ServiceCapabilities {
		b = pack.Int(pack.Bool(pack.Bool(b, service.Answered), service.NoBatch), int(service.BatchSupport))
		b = pack.Bool(pack.Bool(pack.Bool(b, service.SingleChangesets), service.RequestIDs), service.SendsVersion)
		b = pack.Int(pack.Int(pack.Int(b, service.MaxBatchBytes), service.MaxOperations), int(service.BatchLimit))
	}
	b = pack.Int(b, len(s.SetCapabilities))
	for _, set := range s.SetCapabilities {
		b = pack.Bool(pack.Bool(pack.Int(b, int(set.IfMatch)), set.ReplacesKeys), set.ReplacesInitialKeys)
		b = pack.Bool(pack.Bool(b, set.NoETagSelect), set.InsertsFirst)
	}
	return pack.String(b, s.packed)
}

func (s *State) clone() *State {
	c := *s
	c.ServiceCapabilities = slices.Clone(s.ServiceCapabilities)
	c.SetCapabilities = slices.Clone(s.SetCapabilities)
	return &c
}

func (s *State) equal(other *State) bool {
	return slices.Equal(s.ServiceCapabilities, other.ServiceCapabilities) &&
		slices.Equal(s.SetCapabilities, other.SetCapabilities)
}

// Connector is the result of Open, computed from settings and metadata. It never changes.
type Connector struct {
	sinkconfig.Config
	Settings []wit.Setting
	Sets     []entityset.EntitySet
	Services []string
}

// SetOf returns the entity set for the records of a topic, nil if there is none.
func (c *Connector) SetOf(topic string) *entityset.EntitySet {
	for i := range c.Sets {
		if c.Sets[i].Topic == topic {
			return &c.Sets[i]
		}
	}
	return nil
}

// TopicSettings returns the configured topics with the settings that name them.
func (c *Connector) TopicSettings() string {
	names := make([]string, len(c.Sets))
	for i := range c.Sets {
		names[i] = c.Sets[i].Topic + " (" + config.InGroup(c.Sets[i].Number, sinkconfig.NameTopic) + ")"
	}
	return strings.Join(names, ", ")
}

func (c *Connector) pack() []byte {
	b := pack.Settings(nil, c.Settings)
	for i := range c.Sets {
		b = c.Sets[i].Pack(b)
	}
	return b
}

// unpack reads what pack wrote. ok is false if the data are invalid.
func (c *Connector) unpack(packed string) (ok bool) {
	reader := pack.NewReader([]byte(packed))
	c.Settings = reader.Settings()
	values := sinkconfig.Table.Values(c.Settings)
	entitySets := sinkconfig.EntitySets(values)
	c.Config = sinkconfig.Parse(values)
	c.Services = sinkconfig.ServicePaths(entitySets)
	for _, configured := range entitySets {
		set, ok := entityset.Unpack(reader, configured)
		if !ok {
			return false
		}
		set.ServiceIndex = slices.Index(c.Services, configured.Service)
		set.Index = len(c.Sets)
		set.CapabilityIndex = slices.IndexFunc(c.Sets,
			func(other entityset.EntitySet) bool { return other.Path == set.Path })
		if set.CapabilityIndex < 0 {
			set.CapabilityIndex = set.Index
		}
		c.Sets = append(c.Sets, set)
	}
	return reader.Done()
}

const contextVersion = "odata-sink 15" // first part of a context. A context of another version is stale.
