package write

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is a sink and its tools. What it holds are caches.
type Plugin struct {
	version string
	cache   contexts
	schemas schemas
}

// New makes the plugin, which says this version of itself.
func New(version string) *Plugin {
	return &Plugin{version: version, schemas: schemas{}}
}

func (p *Plugin) Describe() wit.Description {
	return wit.Description{Name: "odata-sink", Version: p.version,
		Documentation: "Writes to entity sets of OData v2 services.",
		Components: []wit.Component{{Name: Component, Kind: wit.ComponentSink, Aliases: []string{Alias},
			Documentation: "Writes records to entity sets of SAP and other OData v2 services.",
			Settings:      settings.Specs(), Prefixes: config.Prefixes}}}
}

func (p *Plugin) Validate(component string, given []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.Inquiry, error) {
	if err := config.Known(component, Component, Alias); err != nil {
		return wit.Inquiry{}, err
	}
	if online {
		return validateOnline(given, state, answers)
	}
	examined := examine(given)
	return wit.Inquiry{Done: &examined}, nil
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
	all := configuredSets(v)
	services := servicesOf(all)
	if need, err := service.NeedMetadata(services, config.Query(v), answers); need != nil || err != nil {
		return wit.SinkOpening{Ask: need}, err
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
		if why := whyNotAtom(t.model.Structures[0]); why != "" && o.atom {
			return wit.SinkOpening{}, fault.Config(requestFormat, "Entity set "+t.set+" of "+t.service+": "+
				why)
		}
		if f := t.uncheckable(&o.manner); f != nil {
			return wit.SinkOpening{}, f
		}
		if f := t.misnamed(&o.manner); f != nil {
			misnamed = append(misnamed, f)
		}
		t.sayLeftOut(o.mode)
		t.sap, t.at = sap[at], at
		o.sets = append(o.sets, *t)
		out.Topics = append(out.Topics, e.topic)
	}
	if len(misnamed) == len(all) {
		return wit.SinkOpening{}, misnamed[0]
	}
	s := newState(o)
	for i := range answers {
		learnVersion(s, i, &answers[i])
	}
	out.Context = s.pack()
	return wit.SinkOpening{Ready: out}, nil
}

// Encode makes requests of rows, as the settings and, with dynamic, the rows say; several in a batch.
func (p *Plugin) Encode(context []byte, declared []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string,
	hints []wit.Hint) (wit.Deliveries, error) {
	p.schemas.learn(declared)
	s, err := p.cache.state(context)
	if err != nil {
		return wit.Deliveries{}, err
	}
	return encodeRows(s, p.schemas, &callRows{topics: topics, rows: rows, data: data, origins: origins,
		originTopics: originTopics, hints: hints}), nil
}

// Settle says what became of a delivery's rows.
func (p *Plugin) Settle(context []byte, memo []byte, rows []uint32, response wit.Response) (wit.Settled, error) {
	s, err := p.cache.state(context)
	if err != nil {
		return wit.Settled{}, err
	}
	d, ok := readDelivery(s, memo)
	if !ok || len(d.rows) != len(rows) {
		return wit.Settled{}, &wit.Fault{Kind: wit.FaultStale, Message: "the memo is of another version of this plugin"}
	}
	verdicts, err := handle(s, d, &response)
	settled := wit.Settled{Verdicts: verdicts}
	if err == nil && p.cache.changed(s) {
		settled.Context = wit.Ptr(s.pack())
	}
	return settled, err
}
