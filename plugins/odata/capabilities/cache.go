package capabilities

import (
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

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
			RequestIDs: r.Bool(), SendsVersion: r.Bool(), MaxBatchBytes: r.Int()})
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
