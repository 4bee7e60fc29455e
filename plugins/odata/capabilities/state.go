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
	learned
	// IsFresh means that the undeclared fields were looked up less than a minute ago. The host knows the time.
	IsFresh bool
	packed  string // the connector, encoded
}

// learned is the part of a state that responses and records have shown.
type learned struct {
	ServiceCapabilities []Service
	SetCapabilities     []EntitySet
	Undeclared          []UndeclaredField
	// HasNested means that records have nested entities to update: the settings specify it, or a record had some.
	// Records with different keys may have the same nested entity, so all records are sent in order.
	HasNested bool
}

// OrderingKeyCount returns the number of ordering keys for batches.
func (s *State) OrderingKeyCount() int {
	if s.HasNested {
		return 1
	}
	return s.OrderingKeys
}

// New returns the initial state of a connector.
func New(connector *Connector) *State {
	return &State{
		Connector: connector,
		learned: learned{ServiceCapabilities: make([]Service, len(connector.Services)),
			SetCapabilities: make([]EntitySet, len(connector.Sets)), HasNested: connector.ExpectsNested},
		packed: string(connector.pack()),
	}
}

// Pack encodes the state as a context.
func (s *State) Pack() []byte {
	var b []byte
	if s.IsFresh {
		b = append(b, wit.ContextFresh...)
	}
	if facts := s.known(); facts != "" {
		b = append(b, wit.HintKnown+string(facts)+"\n"...)
	}
	return pack.String(s.appendLearned(pack.String(b, contextVersion)), s.packed)
}

// appendLearned appends the encoded capabilities and fields.
func (l *learned) appendLearned(b []byte) []byte {
	b = pack.Int(b, len(l.ServiceCapabilities))
	for _, service := range l.ServiceCapabilities {
		b = pack.Int(pack.Bool(pack.Bool(b, service.Answered), service.NoBatch), int(service.BatchSupport))
		b = pack.Bool(pack.Bool(pack.Bool(b, service.SingleChangesets), service.RequestIDs), service.SendsVersion)
		b = pack.Bool(pack.Bool(b, service.AcceptsJSON), service.RefusesJSON)
		b = pack.Int(pack.Int(pack.Int(b, service.MaxBatchBytes), service.MaxOperations), int(service.BatchLimit))
	}
	b = pack.Int(b, len(l.SetCapabilities))
	for _, set := range l.SetCapabilities {
		b = pack.Bool(pack.Bool(pack.Int(b, int(set.IfMatch)), set.ReplacesKeys), set.ReplacesInitialKeys)
		b = pack.Bool(pack.Bool(b, set.NoETagSelect), set.InsertsFirst)
	}
	b = pack.Int(b, len(l.Undeclared))
	for _, field := range l.Undeclared {
		b = pack.Int(pack.String(pack.String(b, field.Type), field.Name), field.Rows)
	}
	return pack.Bool(b, l.HasNested)
}

// readLearned reads what appendLearned wrote.
func readLearned(reader *pack.Reader) (l learned) {
	for n := reader.Count(); n > 0 && !reader.Failed; n-- {
		l.ServiceCapabilities = append(l.ServiceCapabilities, Service{Answered: reader.Bool(),
			NoBatch: reader.Bool(), BatchSupport: BatchSupport(reader.Int()), SingleChangesets: reader.Bool(),
			RequestIDs: reader.Bool(), SendsVersion: reader.Bool(), AcceptsJSON: reader.Bool(),
			RefusesJSON: reader.Bool(), MaxBatchBytes: reader.Int(),
			MaxOperations: reader.Int(), BatchLimit: BatchLimit(reader.Int())})
	}
	for n := reader.Count(); n > 0 && !reader.Failed; n-- {
		l.SetCapabilities = append(l.SetCapabilities, EntitySet{IfMatch: IfMatch(reader.Int()),
			ReplacesKeys: reader.Bool(), ReplacesInitialKeys: reader.Bool(), NoETagSelect: reader.Bool(),
			InsertsFirst: reader.Bool()})
	}
	for n := reader.Count(); n > 0 && !reader.Failed; n-- {
		l.Undeclared = append(l.Undeclared, UndeclaredField{Type: reader.String(), Name: reader.String(),
			Rows: reader.Int()})
	}
	l.HasNested = reader.Bool()
	return l
}

// fits reports whether the capabilities are of the services and sets of a connector.
func (l *learned) fits(connector *Connector) bool {
	return len(l.ServiceCapabilities) == len(connector.Services) && len(l.SetCapabilities) == len(connector.Sets)
}

func (s *State) clone() *State {
	c := *s
	c.ServiceCapabilities = slices.Clone(s.ServiceCapabilities)
	c.SetCapabilities = slices.Clone(s.SetCapabilities)
	c.Undeclared = slices.Clone(s.Undeclared)
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
	b := pack.Settings(pack.String(nil, c.Class), c.Settings)
	for i := range c.Sets {
		b = c.Sets[i].Pack(b)
	}
	return b
}

// unpack reads what pack wrote. ok is false if the data are invalid.
func (c *Connector) unpack(packed string) (ok bool) {
	reader := pack.NewReader([]byte(packed))
	class, err := sinkconfig.FindComponent(reader.String())
	if err != nil {
		return false
	}
	c.Settings = reader.Settings()
	values := class.Values(c.Settings)
	entitySets := sinkconfig.EntitySets(values)
	c.Config = class.Parse(values)
	c.Services = sinkconfig.ServicePaths(entitySets)
	for _, configured := range entitySets {
		set, ok := entityset.Unpack(reader, c.Dialect, configured)
		if !ok {
			return false
		}
		set.ServiceIndex = slices.Index(c.Services, configured.Service)
		set.Index = len(c.Sets)
		set.CapabilityIndex = slices.IndexFunc(c.Sets,
			func(other entityset.EntitySet) bool { return other.Path == set.Path })
		if set.CapabilityIndex < 0 { // entries of one set for several topics share capabilities
			set.CapabilityIndex = set.Index
		}
		c.Sets = append(c.Sets, set)
	}
	return reader.Done()
}

const contextVersion = "odata-sink 16" // first part of a context. A context of another version is stale.
