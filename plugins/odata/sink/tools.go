package sink

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sinkconfig"
	"github.com/culvert-project/culvert/wit"
)

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
			Written: true,
			Sets:    []probe.Set{{Name: e.Name, Setting: config.InGroup(e.Number, sinkconfig.NameEntitySet)}}})
	}
	return probe.Steps(services, config.Query(v), options, state, answers)
}
