// Command odata-sink is the plugin that writes records to entity sets of OData v2 and v4 services: inserts, updates and
// deletes, several in a $batch request. It does no I/O: the host sends the requests and passes the responses on. The
// connector class chooses the version, see [edm.Dialect].
//
// Open reads $metadata and returns the context, see package capabilities. Package requests turns rows into deliveries,
// and package responses turns the responses into results. Package sinkconfig has the settings, package entityset the
// entity sets, package encode the bodies and keys, and package rowvalue the values of rows.
//
// Invariants: the plugin keeps caches only, so every call works in every instance.
package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/document"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/encode"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/plugins/odata/odataerror"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/requests"
	"github.com/culvert-project/culvert/plugins/odata/responses"
	"github.com/culvert-project/culvert/plugins/odata/rowvalue"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/sdk/go/setting"
	register "github.com/culvert-project/culvert/sdk/go/sink"
	"github.com/culvert-project/culvert/sdk/go/tools"
	"github.com/culvert-project/culvert/wit"
)

// version of the plugin; tests set others by the linker.
var version = "0.1.0"

func init() {
	p := newPlugin()
	register.Register(p)
	tools.Register(p)
}

func main() {}

// plugin is the sink with its commands. Its fields are caches.
type plugin struct {
	cache   capabilities.Cache
	schemas rowvalue.Schemas
}

// newPlugin returns a plugin with empty caches.
func newPlugin() *plugin { return &plugin{schemas: rowvalue.Schemas{}} }

// Describe returns the connector classes and their settings.
func (p *plugin) Describe() wit.Description {
	description := wit.Description{Name: "odata-sink", Version: version,
		Documentation: "Writes to entity sets of OData v2 and v4 services."}
	for _, c := range sinkconfig.Components {
		description.Components = append(description.Components, wit.Component{Name: c.Class, Kind: wit.ComponentSink,
			Aliases:       []string{c.Alias},
			Documentation: "Writes records to entity sets of SAP and other OData " + c.Dialect.Name() + " services.",
			Settings:      c.Table.Keys(), Prefixes: config.Prefixes})
	}
	return description
}

// Open reads the metadata of the services and returns the context. previous is empty, or the detail of the error by
// which Encode has requested that the metadata are read again.
func (p *plugin) Open(component string, settings []wit.Setting, previous []byte,
	answers []wit.Response) (wit.SinkOpenResult, error) {
	class, err := sinkconfig.FindComponent(component)
	if err != nil {
		return wit.SinkOpenResult{}, err
	}
	if failure := setting.FirstError(class.Validate(settings)); failure != nil {
		return wit.SinkOpenResult{}, failure
	}
	values := class.Values(settings)
	entitySets := sinkconfig.EntitySets(values)
	services := sinkconfig.ServicePaths(entitySets)
	pending, err := document.MetadataRequests(class.Dialect, services, config.Query(values), answers)
	if pending != nil || err != nil {
		if pending != nil {
			pending.State = previous
		}
		return wit.SinkOpenResult{Pending: pending}, err
	}
	// Read the metadata of each service, and find each set in them.
	models := make([]*edm.Model, len(services))
	sap := make([]bool, len(services))
	for i := range services {
		model, err := document.ReadMetadata(class.Dialect, services[i], &answers[i])
		if err != nil {
			return wit.SinkOpenResult{}, err
		}
		models[i] = model
		sap[i] = bytes.Contains(answers[i].Body, []byte(entityset.NamespaceSAP))
	}
	out := &wit.SinkOpened{}
	connector := &capabilities.Connector{Config: class.Parse(values), Settings: settings, Services: services}
	var filterErrors []*wit.Error // of the sets that the filter does not fit; it must fit one set
	for _, configured := range entitySets {
		index := slices.Index(services, configured.Service)
		set, err := entityset.New(configured, models[index], &connector.Config)
		if err != nil {
			return wit.SinkOpenResult{}, err
		}
		if problem := encode.AtomProblem(set.Model.Structures[0]); problem != "" && connector.Config.Atom {
			return wit.SinkOpenResult{}, odataerror.ForSetting(sinkconfig.NameRequestFormat,
				"Entity set "+set.Name+" of "+set.Service+": "+problem)
		}
		if failure := set.UncheckableError(&connector.Config); failure != nil {
			return wit.SinkOpenResult{}, failure
		}
		if failure := set.FilterError(&connector.Config); failure != nil {
			filterErrors = append(filterErrors, failure)
		}
		if len(previous) == 0 { // else it was logged before
			set.LogOmittedProperties(connector.Mode)
		}
		set.SAP = sap[index]
		set.ServiceIndex = index
		connector.Sets = append(connector.Sets, *set)
		out.Topics = append(out.Topics, configured.Topic)
	}
	if len(filterErrors) == len(entitySets) {
		return wit.SinkOpenResult{}, filterErrors[0]
	}
	// Keep what the previous state had learned, and log the fields that the new metadata do not declare either.
	state := capabilities.New(connector)
	ignored := state.Restore(previous, func(field capabilities.UndeclaredField) bool {
		return !slices.ContainsFunc(models, func(model *edm.Model) bool {
			structure := model.Structure(field.Type)
			return structure != nil && structure.Property(field.Name) == nil && structure.Navigation(field.Name) == nil
		})
	})
	if len(ignored) > 0 && connector.IgnoreUnknownFields {
		names := make([]string, len(ignored))
		for i := range ignored {
			names[i] = ignored[i].String()
		}
		sdk.Log(wit.LevelWarn, "fields that $metadata does not declare are not sent ("+sinkconfig.NameUnknownFields+
			" = ignore): "+strings.Join(names, ", "))
	}
	for i := range answers {
		responses.LearnVersion(state, i, &answers[i])
	}
	out.Context = state.Pack()
	return wit.SinkOpenResult{Ready: out}, nil
}

// Encode returns the requests that write the rows.
func (p *plugin) Encode(context []byte, declared []wit.Schema, topics []string, rows []wit.Row, data []byte,
	origins []wit.RecordID, originTopics []string, hints []wit.Hint) (wit.EncodeResult, error) {
	p.schemas.Add(declared)
	state, err := p.cache.Read(context)
	if err != nil {
		return wit.EncodeResult{}, err
	}
	return requests.Encode(state, p.schemas, &requests.Input{Topics: topics, Rows: rows, Data: data, RecordIDs: origins,
		RecordTopics: originTopics, Hints: hints})
}

// HandleResponse returns the result of each row of a delivery.
func (p *plugin) HandleResponse(context, state []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	connectorState, err := p.cache.Read(context)
	if err != nil {
		return wit.ResponseResult{}, err
	}
	delivery, ok := requests.ReadDelivery(connectorState, state)
	if !ok || len(delivery.Targets) != len(rows) {
		return wit.ResponseResult{}, &wit.Error{Kind: wit.ErrorStale,
			Message: "the state of the delivery is of another version of this plugin"}
	}
	results, err := responses.Handle(connectorState, delivery, &response)
	out := wit.ResponseResult{Results: results}
	if err == nil && p.cache.Changed(connectorState) {
		out.Context = wit.Ptr(connectorState.Pack())
	}
	return out, err
}

// Commands returns the sink's commands for the command line.
func (p *plugin) Commands() []wit.Command { return []wit.Command{probe.DoctorCommand()} }

// Run runs a command of [plugin.Commands].
func (p *plugin) Run(command string, options []wit.Setting, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	if command != probe.Doctor {
		return wit.CommandResult{}, &wit.Error{Kind: wit.ErrorUnsupported, Message: "unknown command " + command +
			", expected " + probe.Doctor}
	}
	var services []probe.Service
	class := sinkconfig.ConfiguredComponent(settings)
	values := class.Values(settings)
	for _, configured := range sinkconfig.EntitySets(values) {
		set := probe.Set{Name: configured.Name, Setting: config.InGroup(configured.Number, sinkconfig.NameEntitySet)}
		services = append(services, probe.Service{Path: configured.Service,
			Setting: config.InGroup(configured.Number, sinkconfig.NameService), Writes: true, Sets: []probe.Set{set}})
	}
	return probe.Steps(class.Dialect, services, config.Query(values), options, state, answers)
}
