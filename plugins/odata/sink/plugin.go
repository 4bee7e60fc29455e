package sink

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/fault"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/responses"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/service"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Plugin is the sink with its commands. Its fields are caches.
type Plugin struct {
	version string
	cache   capabilities.Cache
	schemas rowvalue.Schemas
}

// New returns a plugin that reports the given version.
func New(version string) *Plugin {
	return &Plugin{version: version, schemas: rowvalue.Schemas{}}
}

// Describe implements [wit.Plugin].
func (p *Plugin) Describe() wit.Description {
	return wit.Description{Name: "odata-sink", Version: p.version,
		Documentation: "Writes to entity sets of OData v2 services.",
		Components: []wit.Component{{Name: sinkconfig.Component, Kind: wit.ComponentSink,
			Aliases:       []string{sinkconfig.Alias},
			Documentation: "Writes records to entity sets of SAP and other OData v2 services.",
			Settings:      sinkconfig.Table.Specs(), Prefixes: config.Prefixes}}}
}

// Validate checks settings, with the service if online is true.
func (p *Plugin) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.Inquiry, error) {
	if err := config.Known(component, sinkconfig.Component, sinkconfig.Alias); err != nil {
		return wit.Inquiry{}, err
	}
	if online {
		return validateOnline(settings, state, answers)
	}
	examined := sinkconfig.Validate(settings)
	return wit.Inquiry{Done: &examined}, nil
}

// Open reads the metadata of the services and returns the context.
func (p *Plugin) Open(component string, settings []wit.Setting, _ []byte, answers []wit.Response) (wit.SinkOpening,
	error) {
	if err := config.Known(component, sinkconfig.Component, sinkconfig.Alias); err != nil {
		return wit.SinkOpening{}, err
	}
	if f := setting.First(sinkconfig.Validate(settings)); f != nil {
		return wit.SinkOpening{}, f
	}
	v := sinkconfig.Table.Values(settings)
	all := sinkconfig.EntitySets(v)
	services := sinkconfig.ServicePaths(all)
	if need, err := service.NeedMetadata(services, config.Query(v), answers); need != nil || err != nil {
		return wit.SinkOpening{Ask: need}, err
	}
	models, sap := make([]*edm.Model, len(services)), make([]bool, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SinkOpening{}, err
		}
		models[i], sap[i] = m, bytes.Contains(answers[i].Body, []byte(entityset.NamespaceSAP))
	}
	out := &wit.SinkOpened{}
	c := &capabilities.Connector{Config: sinkconfig.Parse(v), Settings: settings, Services: services}
	var filterErrors []*wit.Fault // the filter has to fit one of the sets
	for _, e := range all {
		index := slices.Index(services, e.Service)
		t, err := entityset.New(e, models[index], &c.Config)
		if err != nil {
			return wit.SinkOpening{}, err
		}
		if why := encode.AtomProblem(t.Model.Structures[0]); why != "" && c.Atom {
			return wit.SinkOpening{}, fault.Config(sinkconfig.NameRequestFormat,
				"Entity set "+t.Name+" of "+t.Service+": "+
					why)
		}
		if f := t.UncheckableError(&c.Config); f != nil {
			return wit.SinkOpening{}, f
		}
		if f := t.FilterError(&c.Config); f != nil {
			filterErrors = append(filterErrors, f)
		}
		t.LogOmittedProperties(c.Mode)
		t.SAP, t.ServiceIndex = sap[index], index
		c.Sets = append(c.Sets, *t)
		out.Topics = append(out.Topics, e.Topic)
	}
	if len(filterErrors) == len(all) {
		return wit.SinkOpening{}, filterErrors[0]
	}
	s := capabilities.New(c)
	for i := range answers {
		responses.LearnVersion(s, i, &answers[i])
	}
	out.Context = s.Pack()
	return wit.SinkOpening{Ready: out}, nil
}

// Encode returns the requests that write the rows.
func (p *Plugin) Encode(context []byte, declared []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string,
	hints []wit.Hint) (wit.Deliveries, error) {
	p.schemas.Add(declared)
	s, err := p.cache.Read(context)
	if err != nil {
		return wit.Deliveries{}, err
	}
	return requests.Encode(s, p.schemas, &requests.Input{Topics: topics, Rows: rows, Data: data, RecordIDs: origins,
		RecordTopics: originTopics, Hints: hints}), nil
}

// Settle returns the result of each row of a delivery.
func (p *Plugin) Settle(context []byte, memo []byte, rows []uint32, response wit.Response) (wit.Settled, error) {
	s, err := p.cache.Read(context)
	if err != nil {
		return wit.Settled{}, err
	}
	d, ok := requests.ReadDelivery(s, memo)
	if !ok || len(d.Targets) != len(rows) {
		return wit.Settled{}, &wit.Fault{Kind: wit.FaultStale,
			Message: "the state of the delivery is of another version of this plugin"}
	}
	verdicts, err := responses.Handle(s, d, &response)
	settled := wit.Settled{Verdicts: verdicts}
	if err == nil && p.cache.Changed(s) {
		settled.Context = wit.Ptr(s.Pack())
	}
	return settled, err
}
