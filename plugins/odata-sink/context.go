package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/pack"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// contextVersion stands first in a context: one of another version of this plugin is stale, not misread.
const contextVersion = "odata-sink 2"

// opened is what open worked out.
type opened struct {
	deletes bool
	targets []target
}

// target is an entity set that a topic's records go to.
type target struct {
	entry
	// path of the set, post the same with the query, root that of its service with the query, for CSRF tokens.
	path, post, root string
	model            *edm.Model
	entity           *structure
}

// structure is a type made ready for look-ups by name.
type structure struct {
	*edm.Structure
	properties  map[string]*edm.Property
	navigations map[string]*edm.Navigation
	// inner are the types of complex properties and navigation properties.
	inner map[string]*structure
}

// ready makes what is the same for all rows, and indexes the target's types.
func (t *target) ready() {
	t.post, t.root = t.query.On(t.path), t.query.On(t.service+"/")
	all := map[string]*structure{}
	for _, s := range t.model.Structures {
		all[s.QualifiedName()] = &structure{Structure: s, properties: map[string]*edm.Property{}, navigations: map[string]*edm.Navigation{}, inner: map[string]*structure{}}
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
}

func (p *plugin) Open(component string, given []wit.Setting, state []byte, answers []wit.Response) (wit.SinkOpening, error) {
	if err := known(component); err != nil {
		return wit.SinkOpening{}, err
	}
	if f := setting.First(examine(given)); f != nil {
		return wit.SinkOpening{}, f
	}
	v := settings.Values(given)
	all := entries(v)
	var services []string
	for _, e := range all {
		if !slices.Contains(services, e.service) {
			services = append(services, e.service)
		}
	}
	if len(answers) == 0 {
		need := &wit.Need{}
		for _, s := range services {
			need.Requests = append(need.Requests, service.MetadataRequest(s, config.Query(v)))
		}
		return wit.SinkOpening{Ask: need}, nil
	}
	if len(answers) != len(services) {
		return wit.SinkOpening{}, &wit.Fault{Kind: wit.FaultInternal, Message: "expected " + strconv.Itoa(len(services)) + " answers, found " + strconv.Itoa(len(answers))}
	}
	models := make([]*edm.Model, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SinkOpening{}, err
		}
		models[i] = m
	}
	out := &wit.SinkOpened{}
	o := &opened{deletes: v.On(enableDelete)}
	for _, e := range all {
		t, err := newTarget(e, models[slices.Index(services, e.service)], o.deletes)
		if err != nil {
			return wit.SinkOpening{}, err
		}
		o.targets = append(o.targets, *t)
		out.Topics = append(out.Topics, e.topic)
	}
	out.Context = packContext(o)
	return wit.SinkOpening{Ready: out}, nil
}

// newTarget finds the set in the metadata and checks that it can be written.
func newTarget(e entry, m *edm.Model, deletes bool) (*target, error) {
	name := config.InGroup(e.number, nameEntitySet)
	set, s, err := service.FindSet(m, e.service, e.set, name)
	if err != nil {
		return nil, err
	}
	refused := ""
	switch {
	case !set.Creatable:
		refused = "sap:creatable=\"false\""
	case deletes && !set.Deletable:
		refused = "sap:deletable=\"false\", and " + enableDelete + " is on"
	case deletes && len(s.Key) == 0:
		refused = "no key, and " + enableDelete + " is on"
	}
	if refused != "" {
		return nil, &wit.Fault{Kind: wit.FaultConfig, Setting: &name, Message: "Entity set " + e.set + " of " + e.service + " can't be written: its metadata say " + refused}
	}
	return &target{entry: e, path: e.service + "/" + service.Address(set), model: &edm.Model{Structures: m.Closure(s, true)}}, nil
}

func packContext(o *opened) []byte {
	b := pack.Flag(pack.Text(nil, contextVersion), o.deletes)
	b = pack.Number(b, len(o.targets))
	for i := range o.targets {
		t := &o.targets[i]
		for _, s := range []string{t.number, t.service, t.set, t.topic, string(t.query), t.path} {
			b = pack.Text(b, s)
		}
		b = edm.Pack(b, t.model.Structures)
	}
	return b
}

func unpackContext(context []byte) (*opened, error) {
	stale := &wit.Fault{Kind: wit.FaultStale, Message: "the context is of another version of this plugin"}
	r := pack.Open(context)
	if r.Text() != contextVersion {
		return nil, stale
	}
	o := &opened{deletes: r.Flag()}
	for n := r.Count(); n > 0 && !r.Bad; n-- {
		t := target{}
		for _, s := range []*string{&t.number, &t.service, &t.set, &t.topic, (*string)(&t.query), &t.path} {
			*s = r.Text()
		}
		t.model = edm.Unpack(r)
		if r.Bad || len(t.model.Structures) == 0 {
			return nil, stale
		}
		t.ready()
		o.targets = append(o.targets, t)
	}
	if !r.Done() {
		return nil, stale
	}
	return o, nil
}

// cached is what the instance made of a context.
type cached struct {
	context string
	opened  *opened
}

const mostContexts = 4

func (p *plugin) context(context []byte) (*opened, error) {
	for i := range p.contexts {
		if p.contexts[i].context == string(context) {
			return p.contexts[i].opened, nil
		}
	}
	o, err := unpackContext(context)
	if err != nil {
		return nil, err
	}
	if len(p.contexts) == mostContexts {
		p.contexts = p.contexts[1:]
	}
	p.contexts = append(p.contexts, cached{string(context), o})
	return o, nil
}

// target finds where a topic's records go.
func (o *opened) target(topic string) *target {
	for i := range o.targets {
		if o.targets[i].topic == topic {
			return &o.targets[i]
		}
	}
	return nil
}

// learn keeps schemas that the host tells; what the host hands in lies in memory that the next call uses again.
func (p *plugin) learn(schemas []wit.Schema) {
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
