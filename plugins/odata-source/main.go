// Command odata-source is the plugin that reads entity sets of OData v2 and v4 services.
package main

import (
	_ "time/tzdata" // a Wasm guest has no zone files

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/delta"
	"github.com/culvert-project/culvert/plugins/odata/feedreader"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/notifications"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	sdknotifications "github.com/culvert-project/culvert/sdk/go/notifications"
	"github.com/culvert-project/culvert/sdk/go/progress"
	"github.com/culvert-project/culvert/sdk/go/retirement"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/sdk/go/tools"
	"github.com/culvert-project/culvert/wit"
)

// version is replaced by the linker in tests.
var version = "0.1.0"

func init() {
	feedreader.Version = version
	p := &plugin{}
	source.Register(p)
	tools.Register(p)
	sdknotifications.Register(p)
	retirement.Register(p)
	progress.Register(p)
}

func main() {}

// plugin is the source with its commands. Apart from the open pages, its fields are caches.
type plugin struct {
	contexts feedreader.Cache
	pages    pages
}

// Describe returns the connector classes and their settings.
func (p *plugin) Describe() wit.Description {
	description := wit.Description{Name: "odata-source", Version: version,
		Documentation: "Reads entity sets of OData v2 and v4 services."}
	for _, c := range sourceconfig.Components {
		description.Components = append(description.Components, wit.Component{Name: c.Class, Kind: wit.ComponentSource,
			Aliases:       []string{c.Alias},
			Documentation: "Reads entity sets of SAP and other OData " + c.Dialect.Version + " services into topics.",
			Settings:      c.Table.Keys(), Prefixes: config.Prefixes})
	}
	return description
}

// Validate checks settings, with the service if online is true.
func (p *plugin) Validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	class, err := sourceconfig.FindComponent(component)
	if err != nil {
		return wit.ValidateResult{}, err
	}
	if online {
		return validateWithService(class, settings, state, answers)
	}
	examined := class.Examine(settings)
	return wit.ValidateResult{Done: &examined}, nil
}

// Plan distributes the entity sets over tasks.
func (p *plugin) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	return plan(component, settings, maxTasks)
}

// Open requests the metadata of the services and returns the context with all feeds.
func (p *plugin) Open(component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	return open(component, settings, answers)
}

// HandleNotification turns a notification of a service into triggers for its feed.
func (p *plugin) HandleNotification(context []byte, n wit.Notification) ([]wit.Trigger, error) {
	opened, err := p.contexts.Get(context)
	if err != nil {
		return nil, err
	}
	return notifications.HandleNotification(opened, n)
}

// Subscribe creates the subscriptions of a feed that are missing. address is the path of the listener.
func (p *plugin) Subscribe(context []byte, number uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	opened, feed, err := p.contexts.Feed(context, number)
	if err != nil {
		return wit.CallResult{}, err
	}
	return notifications.Subscribe(opened, feed, address, state, answers)
}

// Progress returns the progress of a load, as far as its offset contains it.
func (p *plugin) Progress(_ []byte, _ uint32, offset []wit.OffsetEntry) *wit.LoadProgress {
	if delta.IsDeltaOffset(offset) {
		return delta.Progress(offset)
	}
	return feedreader.Progress(offset)
}

// Keys returns how the host uses the keys of the next page: it collects, compares or ignores them.
func (p *plugin) Keys(context []byte, number uint32, offset []wit.OffsetEntry) wit.KeysUse {
	feed := p.deltaFeed(context, number, offset)
	if feed == nil {
		return wit.KeysUse{Ignored: wit.Set}
	}
	use := delta.Set{Feed: feed}.KeysUse(offset)
	use.Compared = withLearned(feed, offset, use.Compared)
	return use
}

// Compared returns where a load continues after the keys of its rows were compared.
func (p *plugin) Compared(context []byte, number uint32, offset []wit.OffsetEntry,
	unknown [][]byte) *[]wit.OffsetEntry {
	feed := p.deltaFeed(context, number, offset)
	if feed == nil {
		return nil
	}
	return withLearned(feed, offset, delta.Set{Feed: feed}.Compared(offset, unknown))
}

// deltaFeed returns a feed in delta mode, or nil.
func (p *plugin) deltaFeed(context []byte, number uint32, offset []wit.OffsetEntry) *feedreader.Feed {
	_, feed, err := p.contexts.Feed(context, number)
	if err != nil || !feed.Tracking.On {
		return nil
	}
	feed.SetFormatRefused(feedreader.FormatRefused(offset))
	return feed
}

// Retire ends the delta queues and subscriptions of a deleted connector.
func (p *plugin) Retire(component string, settings []wit.Setting, addresses []string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	class, err := sourceconfig.FindComponent(component)
	if err != nil {
		return wit.CallResult{}, err
	}
	return retire(class, settings, addresses, state, answers)
}

func (p *plugin) Commands() (commands []wit.Command) {
	for _, c := range inspect.Commands {
		commands = append(commands, c.Command)
	}
	return append(commands, wit.Command{Name: retireCommand, Changes: true,
		Usage: "Ends the ODP delta queues and the subscriptions that a connector has opened at its services. Stop " +
			"the connector first, and delete it or its offsets afterwards."}, probe.DoctorCommand())
}

// Run runs a command of [plugin.Commands].
func (p *plugin) Run(command string, options, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	switch command {
	case probe.Doctor:
		class := sourceconfig.ConfiguredComponent(settings)
		values := class.Values(settings)
		var services []probe.Service // one for each entity set
		for _, cfg := range class.EntitySets(values) {
			set := probe.Set{Name: cfg.Set, Setting: config.InGroup(cfg.Number, sourceconfig.NameEntitySet),
				Atom: cfg.Atom, Find: cfg.Find}
			services = append(services, probe.Service{Path: cfg.Service,
				Setting: config.InGroup(cfg.Number, sourceconfig.NameService), Sets: []probe.Set{set}})
		}
		return probe.Steps(class.Dialect, services, config.Query(values), options, state, answers)
	case retireCommand:
		return runRetire(settings, state, answers)
	}
	return inspect.Run(command, options, settings, state, answers)
}
