package capabilities

import (
	"bytes"

	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// Cache holds the contexts that this instance has read.
type Cache struct {
	connectors []cachedConnector
	last       lastContext // most calls have the same context as the call before
}

type lastContext struct {
	context string
	state   *State // never changed
}

type cachedConnector struct {
	packed    string
	connector *Connector
}

const maxConnectors = 4 // in the cache

// Read decodes a context. The caller owns the returned state.
func (c *Cache) Read(context []byte) (*State, error) {
	if c.last.state == nil || string(context) != c.last.context {
		state, err := c.decode(context)
		if err != nil {
			return nil, err
		}
		c.last = lastContext{string(context), state}
	}
	return c.last.state.clone(), nil
}

// Changed reports whether the state differs from the context that was read last. [Cache.Read] must have succeeded.
func (c *Cache) Changed(state *State) bool { return !state.equal(c.last.state) }

// decode decodes a context: the facts for the host, the learned capabilities, and the connector.
func (c *Cache) decode(context []byte) (*State, error) {
	stale := &wit.Error{Kind: wit.ErrorStale, Message: "the context is of another version of this plugin"}
	state := &State{}
	context, state.IsFresh = bytes.CutPrefix(context, []byte(wit.ContextFresh))
	if facts := wit.KnownIn(context); facts != "" {
		context = context[len(wit.HintKnown)+len(facts)+1:]
	}
	reader := pack.NewReader(context)
	if reader.String() != contextVersion {
		return nil, stale
	}
	state.learned = readLearned(reader)
	state.packed = reader.String()
	if !reader.Done() {
		return nil, stale
	}
	connector, ok := c.connector(state.packed)
	if !ok || !state.fits(connector) {
		return nil, stale
	}
	state.Connector = connector
	return state, nil
}

// connector returns the connector of a context, decoded once. ok is false if the data are invalid.
func (c *Cache) connector(packed string) (connector *Connector, ok bool) {
	for i := range c.connectors {
		if c.connectors[i].packed == packed {
			return c.connectors[i].connector, true
		}
	}
	connector = &Connector{}
	if !connector.unpack(packed) {
		return nil, false
	}
	if len(c.connectors) == maxConnectors {
		c.connectors = c.connectors[1:]
	}
	c.connectors = append(c.connectors, cachedConnector{packed, connector})
	return connector, true
}
