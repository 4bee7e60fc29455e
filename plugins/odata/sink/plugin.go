package sink

import (
	"bytes"
	"slices"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
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
			Settings:      sinkconfig.Table.Keys(), Prefixes: config.Prefixes}}}
}

// Open reads the metadata of the services and returns the context.
func (p *Plugin) Open(component string, settings []wit.Setting, _ []byte, answers []wit.Response) (wit.SinkOpenResult,
	error) {
	if err := config.CheckComponent(component, sinkconfig.Component, sinkconfig.Alias); err != nil {
		return wit.SinkOpenResult{}, err
	}
	if f := setting.FirstError(sinkconfig.Validate(settings)); f != nil {
		return wit.SinkOpenResult{}, f
	}
	v := sinkconfig.Table.Values(settings)
	all := sinkconfig.EntitySets(v)
	services := sinkconfig.ServicePaths(all)
	if need, err := service.MetadataRequests(services, config.Query(v), answers); need != nil || err != nil {
		return wit.SinkOpenResult{Pending: need}, err
	}
	models, sap := make([]*edm.Model, len(services)), make([]bool, len(services))
	for i := range services {
		m, err := service.ReadMetadata(services[i], &answers[i])
		if err != nil {
			return wit.SinkOpenResult{}, err
		}
		models[i], sap[i] = m, bytes.Contains(answers[i].Body, []byte(entityset.NamespaceSAP))
	}
	out := &wit.SinkOpened{}
	c := &capabilities.Connector{Config: sinkconfig.Parse(v), Settings: settings, Services: services}
	var filterErrors []*wit.Error // the filter has to fit one of the sets
	for _, e := range all {
		index := slices.Index(services, e.Service)
		t, err := entityset.New(e, models[index], &c.Config)
		if err != nil {
			return wit.SinkOpenResult{}, err
		}
		if why := encode.AtomProblem(t.Model.Structures[0]); why != "" && c.Atom {
			return wit.SinkOpenResult{}, odataerror.ForSetting(sinkconfig.NameRequestFormat,
				"Entity set "+t.Name+" of "+t.Service+": "+
					why)
		}
		if f := t.UncheckableError(&c.Config); f != nil {
			return wit.SinkOpenResult{}, f
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
		return wit.SinkOpenResult{}, filterErrors[0]
	}
	s := capabilities.New(c)
	for i := range answers {
		responses.LearnVersion(s, i, &answers[i])
	}
	out.Context = s.Pack()
	return wit.SinkOpenResult{Ready: out}, nil
}

// Encode returns the requests that write the rows.
func (p *Plugin) Encode(context []byte, declared []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string,
	hints []wit.Hint) (wit.EncodeResult, error) {
	p.schemas.Add(declared)
	s, err := p.cache.Read(context)
	if err != nil {
		return wit.EncodeResult{}, err
	}
	return requests.Encode(s, p.schemas, &requests.Input{Topics: topics, Rows: rows, Data: data, RecordIDs: origins,
		RecordTopics: originTopics, Hints: hints}), nil
}

// HandleResponse returns the result of each row of a delivery.
func (p *Plugin) HandleResponse(context, state []byte, rows []uint32, response wit.Response) (wit.ResponseResult,
	error) {
	s, err := p.cache.Read(context)
	if err != nil {
		return wit.ResponseResult{}, err
	}
	d, ok := requests.ReadDelivery(s, state)
	if !ok || len(d.Targets) != len(rows) {
		return wit.ResponseResult{}, &wit.Error{Kind: wit.ErrorStale,
			Message: "the state of the delivery is of another version of this plugin"}
	}
	results, err := responses.Handle(s, d, &response)
	out := wit.ResponseResult{Results: results}
	if err == nil && p.cache.Changed(s) {
		out.Context = wit.Ptr(s.Pack())
	}
	return out, err
}

// Commands returns the sink's commands for the command line.
func (p *Plugin) Commands() []wit.Command { return []wit.Command{probe.DoctorCommand()} }

// Run executes a command.
func (p *Plugin) Run(command string, options []wit.Setting, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	if command != probe.Doctor {
		return wit.CommandResult{}, &wit.Error{Kind: wit.ErrorUnsupported, Message: "unknown command " + command +
			", expected " + probe.Doctor}
	}
	var services []probe.Service
	v := sinkconfig.Table.Values(settings)
	for _, e := range sinkconfig.EntitySets(v) {
		services = append(services, probe.Service{Path: e.Service, Setting: config.InGroup(e.Number,
			sinkconfig.NameService),
			Writes: true,
			Sets:   []probe.Set{{Name: e.Name, Setting: config.InGroup(e.Number, sinkconfig.NameEntitySet)}}})
	}
	return probe.Steps(services, config.Query(v), options, state, answers)
}
