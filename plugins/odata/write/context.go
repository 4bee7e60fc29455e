package write

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-sink 11"

// decodedContext is what open worked out.
type decodedContext struct {
	manner
	given []wit.Setting
	sets  []entitySet
	// services are the paths of all services, each once.
	services []string
}

// entitySet is an entity set that a topic's records go to.
type entitySet struct {
	entry
	// path of the set, root that of its service with the query, for CSRF tokens.
	path, root string
	// sap: the service's $metadata has SAP's namespace. at is the service's place among all.
	sap    bool
	at     int
	model  *edm.Model
	entity *structure
	flat   *flat
	// place is the set's among all, same that of the first one with the same path; lane is the start of the number of
	// its entities' lanes.
	place, same int
	lane        uint32
	// sets are those whose entities can be nested in the entity set's, by navigation properties: the first is its own.
	sets []*linked
}

// linked is an entity set with those that navigation properties of its entities lead to, as far as they can be updated.
type linked struct {
	// path of the set.
	path  string
	leads map[string]*linked
}

// links finds the sets that can be reached from one.
func links(m *edm.Model, from *edm.Set, root string) []*linked {
	sets := []*edm.Set{from}
	all := []*linked{{}}
	for i := 0; i < len(sets); i++ {
		all[i].path, all[i].leads = root+"/"+service.Address(sets[i]), map[string]*linked{}
		s := m.Structure(sets[i].Type)
		if s == nil {
			continue
		}
		for j := range s.Navigations {
			to := m.Leads(sets[i], &s.Navigations[j])
			if to == nil || !to.Updatable {
				continue
			}
			at := slices.Index(sets, to)
			if at < 0 {
				at = len(sets)
				sets, all = append(sets, to), append(all, &linked{})
			}
			all[i].leads[s.Navigations[j].Name] = all[at]
		}
	}
	return all
}

// learned is what a service's answers have shown, which need not be shown again.
type learned struct {
	// noBatch: it has no $batch; one: it refuses changesets of several operations; repeats: it knows RequestIDs;
	// versioned: its answers say their version of OData.
	noBatch, one, repeats, versioned bool
	// most is how many bytes a batch may have, 0 for no limit.
	most int
}

// state is a context: what open worked out, and what was learned of each service since.
type state struct {
	*decodedContext
	learned []learned
	// evidence is what was learned of each entity set.
	evidence []evidence
	// packed is what open worked out, packed.
	packed string
}

// structure is a type made ready for look-ups by name.
type structure struct {
	*edm.Structure
	properties  map[string]*edm.Property
	navigations map[string]*edm.Navigation
	// inner are the types of complex properties and navigation properties.
	inner map[string]*structure
}

// ready makes what is the same for all rows, and indexes the entity set's types. atom: bodies are in Atom.
func (t *entitySet) ready(atom bool) {
	t.root = t.query.On(t.service + "/")
	all := map[string]*structure{}
	for _, s := range t.model.Structures {
		all[s.QualifiedName()] = &structure{Structure: s, properties: map[string]*edm.Property{},
			navigations: map[string]*edm.Navigation{}, inner: map[string]*structure{}}
	}
	for _, s := range all {
		for i := range s.Properties {
			p := &s.Properties[i]
			s.properties[p.Name] = p
			if p.Type.Primitive == edm.NotPrimitive {
				s.inner[p.Name] = all[p.Type.Name]
			}
		}
		for i := range s.Navigations {
			n := &s.Navigations[i]
			s.navigations[n.Name] = n
			s.inner[n.Name] = all[n.Target]
		}
	}
	t.entity = all[t.model.Structures[0].QualifiedName()]
	t.flat = newFlat(t.entity, atom)
	t.lane = mixed(laneSeed, t.path)
}

func (p *Plugin) Open(component string, given []wit.Setting, _ []byte, answers []wit.Response) (wit.SinkOpening,
	error) {
	if err := config.Known(component, Component, Alias); err != nil {
		return wit.SinkOpening{}, err
	}
	if f := setting.First(examine(given)); f != nil {
		return wit.SinkOpening{}, f
	}
	v := settings.Values(given)
	all := entries(v)
	services := servicesOf(all)
	if len(answers) == 0 {
		need := &wit.Need{}
		for _, s := range services {
			need.Requests = append(need.Requests, service.MetadataRequest(s, config.Query(v)))
		}
		return wit.SinkOpening{Ask: need}, nil
	}
	if len(answers) != len(services) {
		return wit.SinkOpening{}, &wit.Fault{Kind: wit.FaultInternal,
			Message: "expected " + strconv.Itoa(len(services)) + " answers, found " +
				strconv.Itoa(len(answers))}
	}
	models, sap := make([]*edm.Model, len(services)), make([]bool, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SinkOpening{}, err
		}
		models[i], sap[i] = m, bytes.Contains(answers[i].Body, []byte(spaceSAP))
	}
	out := &wit.SinkOpened{}
	o := &decodedContext{manner: mannerOf(v), given: given, services: services}
	var misnamed []*wit.Fault // of sets that the filter of the check doesn't fit; it may be meant for the others
	for _, e := range all {
		at := slices.Index(services, e.service)
		t, err := newEntitySet(e, models[at], &o.manner)
		if err != nil {
			return wit.SinkOpening{}, err
		}
		if f := o.uncheckable(t); f != nil {
			return wit.SinkOpening{}, f
		}
		if f := o.misnamed(t); f != nil {
			misnamed = append(misnamed, f)
		}
		t.sap, t.at = sap[at], at
		o.sets = append(o.sets, *t)
		out.Topics = append(out.Topics, e.topic)
	}
	if len(misnamed) == len(all) {
		return wit.SinkOpening{}, misnamed[0]
	}
	s := &state{decodedContext: o, learned: make([]learned, len(services)), evidence: make([]evidence, len(o.sets)),
		packed: string(o.pack())}
	for i := range answers {
		s.learnVersion(i, &answers[i])
	}
	out.Context = s.pack()
	return wit.SinkOpening{Ready: out}, nil
}

// spaceSAP is the namespace of SAP's annotations.
const spaceSAP = "http://www.sap.com/Protocols/SAPData"

// newEntitySet finds the set in the metadata and checks that it can be written.
func newEntitySet(e entry, m *edm.Model, how *manner) (*entitySet, error) {
	name := config.InGroup(e.number, nameEntitySet)
	set, s, err := service.FindSet(m, e.service, e.set, name)
	if err != nil {
		return nil, err
	}
	updates := how.mode == modeUpdate || how.mode == modeMerge || how.mode == modePatch || how.mode == modeUpsert
	refused := ""
	switch {
	case !set.Creatable && (how.mode == modeInsert || how.mode == modeUpsert):
		refused = "sap:creatable=\"false\""
	case !set.Updatable && updates:
		refused = "sap:updatable=\"false\", and " + operationMode + " is " + how.mode
	case len(s.Key) == 0 && updates:
		refused = "no key, and " + operationMode + " is " + how.mode
	case how.deletes && !set.Deletable:
		refused = "sap:deletable=\"false\", and " + enableDelete + " is on"
	case how.deletes && len(s.Key) == 0:
		refused = "no key, and " + enableDelete + " is on"
	case how.deleteRecords && !set.Deletable:
		refused = "sap:deletable=\"false\", and " + deleteRecords + " is on"
	}
	if refused != "" {
		return nil, &wit.Fault{Kind: wit.FaultConfig, Setting: &name, Message: "Entity set " + e.set + " of " +
			e.service + " can't be written: its metadata say " + refused}
	}
	t := &entitySet{entry: e, path: e.service + "/" + service.Address(set),
		model: &edm.Model{Structures: m.Closure(s, true)}}
	if how.nested {
		t.sets = links(m, set, e.service)
	}
	return t, nil
}

// servicesOf are the services of entity sets, each once.
func servicesOf(all []entry) (services []string) {
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
		b = pack.Flag(pack.Text(b, t.path), t.sap)
		b = edm.Pack(b, t.model.Structures)
		b = packLinks(b, t.sets)
	}
	return b
}

func packLinks(b []byte, sets []*linked) []byte {
	b = pack.Number(b, len(sets))
	for _, s := range sets {
		b = pack.Number(pack.Text(b, s.path), len(s.leads))
		for _, name := range slices.Sorted(maps.Keys(s.leads)) {
			b = pack.Number(pack.Text(b, name), slices.Index(sets, s.leads[name]))
		}
	}
	return b
}

func unpackLinks(r *pack.Reader) (sets []*linked) {
	count := r.Count()
	for range count {
		sets = append(sets, &linked{leads: map[string]*linked{}})
	}
	for _, s := range sets {
		s.path = r.Text()
		for n := r.Count(); n > 0 && !r.Bad; n-- {
			name, at := r.Text(), r.Number()
			if r.Bad = r.Bad || at < 0 || at >= len(sets); !r.Bad {
				s.leads[name] = sets[at]
			}
		}
	}
	return sets
}

// unpack reads what pack wrote; ok is false where it did not.
func (o *decodedContext) unpack(packed string) (ok bool) {
	r := pack.Open([]byte(packed))
	o.given = r.Settings()
	v := settings.Values(o.given)
	all := entries(v)
	o.manner, o.services = mannerOf(v), servicesOf(all)
	for _, e := range all {
		t := entitySet{entry: e, path: r.Text(), sap: r.Flag(), at: slices.Index(o.services, e.service)}
		t.model = edm.Unpack(r)
		t.sets = unpackLinks(r)
		if r.Bad || len(t.model.Structures) == 0 {
			return false
		}
		t.ready(o.atom)
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
	b := pack.Number(pack.Text(nil, contextVersion), len(s.learned))
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

// state reads a context. What comes is the caller's to change; as it was, it stands in p.last.
func (p *Plugin) state(context []byte) (*state, error) {
	if p.last.state == nil || string(context) != p.last.context {
		s, err := p.readState(context)
		if err != nil {
			return nil, err
		}
		p.last = lastContext{string(context), s}
	}
	return p.last.state.clone(), nil
}

func (p *Plugin) readState(context []byte) (*state, error) {
	stale := &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
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
	for i := range p.contexts {
		if p.contexts[i].packed == s.packed {
			s.decodedContext = p.contexts[i].opened
			return s, nil
		}
	}
	s.decodedContext = &decodedContext{}
	if !s.decodedContext.unpack(s.packed) || len(s.learned) != len(s.decodedContext.services) ||
		len(s.evidence) != len(s.sets) {
		return nil, stale
	}
	if len(p.contexts) == maxContexts {
		p.contexts = p.contexts[1:]
	}
	p.contexts = append(p.contexts, cached{s.packed, s.decodedContext})
	return s, nil
}

// topics are those that records are taken from, with the settings that name them.
func (o *decodedContext) topics() string {
	names := make([]string, len(o.sets))
	for i := range o.sets {
		names[i] = o.sets[i].topic + " (" + config.InGroup(o.sets[i].number, nameTopic) + ")"
	}
	return strings.Join(names, ", ")
}

// target finds where a topic's records go.
func (o *decodedContext) target(topic string) *entitySet {
	for i := range o.sets {
		if o.sets[i].topic == topic {
			return &o.sets[i]
		}
	}
	return nil
}

// learn keeps schemas that the host tells; what the host hands in lies in memory that the next call uses again.
func (p *Plugin) learn(schemas []wit.Schema) {
	for i := range schemas {
		nodes := make([]wit.Node, len(schemas[i].Nodes))
		for j := range nodes {
			nodes[j] = cloneNode(&schemas[i].Nodes[j])
		}
		p.schemas[schemas[i].ID] = nodes
	}
}

func cloneNode(n *wit.Node) wit.Node {
	c := wit.Node{Kind: n.Kind, Optional: n.Optional, Key: n.Key, Element: n.Element}
	if n.Name != nil {
		c.Name = wit.Ptr(strings.Clone(*n.Name))
	}
	for _, p := range n.Parameters {
		c.Parameters = append(c.Parameters, wit.Setting{Name: strings.Clone(p.Name), Value: strings.Clone(p.Value)})
	}
	for _, m := range n.Members {
		c.Members = append(c.Members, wit.Member{Name: strings.Clone(m.Name), Node: m.Node})
	}
	if n.DefaultValue != nil {
		// It counts for the order of branches.
		c.DefaultValue = wit.Ptr(slices.Clone(*n.DefaultValue))
	}
	return c
}
