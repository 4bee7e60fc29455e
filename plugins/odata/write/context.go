package write

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
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

// servicesOf are the services of entity sets, each once.
func servicesOf(all []configuredSet) (services []string) {
	for _, e := range all {
		if !slices.Contains(services, e.service) {
			services = append(services, e.service)
		}
	}
	return services
}

// pack writes the settings as they were given, and what the services have said.
func (o *decodedContext) pack() []byte {
	b := pack.Settings(nil, o.given)
	for i := range o.sets {
		t := &o.sets[i]
		b = pack.Bool(pack.String(b, t.path), t.sap)
		b = edm.Pack(b, t.model.Structures)
		b = packLinks(b, t.sets)
	}
	return b
}

// unpack reads what pack wrote; ok is false where it did not.
func (o *decodedContext) unpack(packed string) (ok bool) {
	r := pack.NewReader([]byte(packed))
	o.given = r.Settings()
	v := settings.Values(o.given)
	all := configuredSets(v)
	o.manner, o.services = mannerOf(v), servicesOf(all)
	for _, e := range all {
		t := entitySet{configuredSet: e, path: r.String(), sap: r.Bool(), at: slices.Index(o.services, e.service)}
		t.model = edm.Unpack(r)
		t.sets = unpackLinks(r)
		if r.Failed || len(t.model.Structures) == 0 {
			return false
		}
		t.ready()
		t.place = len(o.sets)
		t.same = slices.IndexFunc(o.sets, func(other entitySet) bool { return other.path == t.path })
		if t.same < 0 {
			t.same = t.place
		}
		o.sets = append(o.sets, t)
	}
	return r.Done()
}

func (s *state) pack() []byte {
	var b []byte
	if known := s.known(); known != "" {
		b = append(b, wit.HintKnown+string(known)+"\n"...)
	}
	b = pack.Int(pack.String(b, contextVersion), len(s.learned))
	for _, l := range s.learned {
		b = pack.Bool(pack.Bool(pack.Bool(pack.Bool(b, l.noBatch), l.one), l.repeats), l.versioned)
		b = pack.Int(b, l.most)
	}
	b = pack.Int(b, len(s.evidence))
	for _, n := range s.evidence {
		b = pack.Bool(pack.Bool(pack.Int(b, int(n.match)), n.numbers), n.fills)
	}
	return pack.String(b, s.packed)
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

func (c *contexts) readState(context []byte) (*state, error) {
	stale := &wit.Error{Kind: wit.ErrorStale, Message: "the context is of another version of this plugin"}
	if known := wit.KnownIn(context); known != "" {
		context = context[len(wit.HintKnown)+len(known)+1:]
	}
	r := pack.NewReader(context)
	if r.String() != contextVersion {
		return nil, stale
	}
	s := &state{}
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		s.learned = append(s.learned, learned{noBatch: r.Bool(), one: r.Bool(), repeats: r.Bool(), versioned: r.Bool(),
			most: r.Int()})
	}
	for n := r.Count(); n > 0 && !r.Failed; n-- {
		s.evidence = append(s.evidence, evidence{match: matching(r.Int()), numbers: r.Bool(), fills: r.Bool()})
	}
	s.packed = r.String()
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
