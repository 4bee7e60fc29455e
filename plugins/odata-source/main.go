// Command odata-source is the guest that reads entity sets of OData v2 services: full loads in verbose JSON or Atom.
package main

import (
	"github.com/culvert-project/culvert/plugins/odata/entry"
	"github.com/culvert-project/culvert/plugins/odata/feed"
	"github.com/culvert-project/culvert/plugins/odata/notify"
	"github.com/culvert-project/culvert/plugins/odata/recommend"
	"github.com/culvert-project/culvert/plugins/odata/retire"

	_ "time/tzdata" // a guest has no files of zones

	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/sdk/go/notifications"
	"github.com/culvert-project/culvert/sdk/go/retirement"
	"github.com/culvert-project/culvert/sdk/go/source"
	"github.com/culvert-project/culvert/sdk/go/tools"
	"github.com/culvert-project/culvert/wit"
)

// version of the plugin; tests set others by the linker.
var version = "0.1.0"

func init() {
	feed.Version = version
	p := &plugin{}
	source.Register(p)
	tools.Register(p)
	notifications.Register(p)
	retirement.Register(p)
}

func main() {}

// plugin is the module's state: caches, and the pages that are being read.
type plugin struct {
	contexts feed.Cache
	pages    pages
}

func (p *plugin) Describe() wit.Description {
	return wit.Description{Name: "odata-source", Version: version,
		Documentation: "Reads entity sets of OData v2 services.",
		Components: []wit.Component{{Name: entry.Component, Kind: wit.ComponentSource, Aliases: []string{entry.Alias},
			Documentation: "Reads entity sets of SAP and other OData v2 services into topics.",
			Settings:      entry.Table.Keys(), Prefixes: config.Prefixes}}}
}

func (p *plugin) Validate(component string, given []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	if err := config.Known(component, entry.Component, entry.Alias); err != nil {
		return wit.ValidateResult{}, err
	}
	if online {
		return recommend.ValidateOnline(given, state, answers)
	}
	examined := entry.Examine(given)
	return wit.ValidateResult{Done: &examined}, nil
}

func (p *plugin) Plan(component string, given []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	return plan(component, given, maxTasks)
}

func (p *plugin) Open(component string, given []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult,
	error) {
	return open(component, given, answers)
}

func (p *plugin) HandleNotification(context []byte, n wit.Notification) ([]wit.Trigger, error) {
	o, err := p.contexts.Get(context)
	if err != nil {
		return nil, err
	}
	return notify.Notified(o, n)
}

func (p *plugin) Subscribe(context []byte, number uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	o, f, err := p.contexts.Feed(context, number)
	if err != nil {
		return wit.CallResult{}, err
	}
	return notify.Subscribe(o, f, address, state, answers)
}

func (p *plugin) Retire(component string, given []wit.Setting, addresses []string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	if err := config.Known(component, entry.Component, entry.Alias); err != nil {
		return wit.CallResult{}, err
	}
	return retire.Retire(given, addresses, state, answers)
}
