package write

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-sink 12"

// decodedContext is what open worked out.
type decodedContext struct {
	manner
	given []wit.Setting
	sets  []entitySet
	// services are the paths of all services, each once.
	services []string
}

// learned is what a service's answers have shown, which need not be shown again.
type learned struct {
	// noBatch: it has no $batch; one: it refuses changesets of several operations; repeats: it knows RequestIDs;
	// versioned: its answers say their version of OData.
	noBatch, one, repeats, versioned bool
	// most is how many bytes a batch may have, 0 for no limit.
	most int
}

// evidence is what answers have shown of an entity set.
type evidence struct {
	match matching
	// numbers: the service has given an entity another key than the record's; fills: the same of a key of which a
	// property was initial, as 0 is.
	numbers, fills bool
}

// matching is what is known of whether a service takes If-Match: * for an entity set.
type matching byte

const (
	notKnown matching = iota
	takes
	takesNone
)

// state is a context: what open worked out, and what was learned of each service since.
type state struct {
	*decodedContext
	learned []learned
	// evidence is what was learned of each entity set.
	evidence []evidence
	// packed is what open worked out, packed.
	packed string
}

// pack writes the settings as they were given, and what the services have said.
func (o *decodedContext) pack() []byte {
	b := pack.Settings(nil, o.given)
	for i := range o.sets {
		b = o.sets[i].pack(b)
	}
	return b
}

// unpack reads what pack wrote; ok is false where it did not.
func (o *decodedContext) unpack(packed string) (ok bool) {
	r := pack.Open([]byte(packed))
	o.given = r.Settings()
	v := settings.Values(o.given)
	all := configuredSets(v)
	o.manner, o.services = mannerOf(v), servicesOf(all)
	for _, e := range all {
		t, ok := unpackEntitySet(r, e)
		if !ok {
			return false
		}
		t.at, t.place = slices.Index(o.services, e.service), len(o.sets)
		t.same = slices.IndexFunc(o.sets, func(other entitySet) bool { return other.path == t.path })
		if t.same < 0 {
			t.same = t.place
		}
		o.sets = append(o.sets, t)
	}
	return r.Done()
}

// newState returns the state of a connector about whose services nothing is known yet.
func newState(o *decodedContext) *state {
	return &state{decodedContext: o, learned: make([]learned, len(o.services)), evidence: make([]evidence, len(o.sets)),
		packed: string(o.pack())}
}

func (s *state) pack() []byte {
	var b []byte
	if known := s.known(); known != "" {
		b = append(b, wit.HintKnown+string(known)+"\n"...)
	}
	b = pack.Number(pack.Text(b, contextVersion), len(s.learned))
	for _, l := range s.learned {
		b = pack.Flag(pack.Flag(pack.Flag(pack.Flag(b, l.noBatch), l.one), l.repeats), l.versioned)
		b = pack.Number(b, l.most)
	}
	b = pack.Number(b, len(s.evidence))
	for _, n := range s.evidence {
		b = pack.Flag(pack.Flag(pack.Number(b, int(n.match)), n.numbers), n.fills)
	}
	return pack.Text(b, s.packed)
}

// clone is a state that can be changed without this one.
func (s *state) clone() *state {
	c := *s
	c.learned, c.evidence = slices.Clone(s.learned), slices.Clone(s.evidence)
	return &c
}

// same tells whether two states of one connector have learned the same.
func (s *state) same(o *state) bool {
	return slices.Equal(s.learned, o.learned) && slices.Equal(s.evidence, o.evidence)
}

// topics are those that records are taken from, with the settings that name them.
func (o *decodedContext) topics() string {
	names := make([]string, len(o.sets))
	for i := range o.sets {
		names[i] = o.sets[i].topic + " (" + config.InGroup(o.sets[i].number, nameTopic) + ")"
	}
	return strings.Join(names, ", ")
}

// setOf finds where a topic's records go.
func (o *decodedContext) setOf(topic string) *entitySet {
	for i := range o.sets {
		if o.sets[i].topic == topic {
			return &o.sets[i]
		}
	}
	return nil
}

// contexts are those that the instance has read.
type contexts struct {
	cached []cached
	last   lastContext
}

// lastContext is the context that was read last, and the state in it, nil for none: most calls have that of the call
// before. Nobody changes the state.
type lastContext struct {
	context string
	state   *state
}

// cached is what the instance made of a context.
type cached struct {
	packed string
	opened *decodedContext
}

const maxContexts = 4

// state reads a context. What comes is the caller's to change; as it was, it stands in last.
func (c *contexts) state(context []byte) (*state, error) {
	if c.last.state == nil || string(context) != c.last.context {
		s, err := c.readState(context)
		if err != nil {
			return nil, err
		}
		c.last = lastContext{string(context), s}
	}
	return c.last.state.clone(), nil
}

// changed reports whether a state differs from the one that was read last.
func (c *contexts) changed(s *state) bool { return !s.same(c.last.state) }

func (c *contexts) readState(context []byte) (*state, error) {
	stale := &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
	if known := wit.KnownIn(context); known != "" {
		context = context[len(wit.HintKnown)+len(known)+1:]
	}
	r := pack.Open(context)
	if r.Text() != contextVersion {
		return nil, stale
	}
	s := &state{}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s.learned = append(s.learned, learned{noBatch: r.Flag(), one: r.Flag(), repeats: r.Flag(), versioned: r.Flag(),
			most: r.Number()})
	}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		s.evidence = append(s.evidence, evidence{match: matching(r.Number()), numbers: r.Flag(), fills: r.Flag()})
	}
	s.packed = r.Text()
	if !r.Done() {
		return nil, stale
	}
	for i := range c.cached {
		if c.cached[i].packed == s.packed {
			s.decodedContext = c.cached[i].opened
			return s, nil
		}
	}
	s.decodedContext = &decodedContext{}
	if !s.decodedContext.unpack(s.packed) || len(s.learned) != len(s.decodedContext.services) ||
		len(s.evidence) != len(s.sets) {
		return nil, stale
	}
	if len(c.cached) == maxContexts {
		c.cached = c.cached[1:]
	}
	c.cached = append(c.cached, cached{s.packed, s.decodedContext})
	return s, nil
}
