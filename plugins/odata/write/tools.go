package write

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/wit"
)

// Commands are those that the sink adds to the command line.
func (p *Plugin) Commands() []wit.Command { return []wit.Command{probe.DoctorCommand()} }

// Run runs one of them.
func (p *Plugin) Run(command string, options []wit.Setting, given []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	if command != probe.Doctor {
		return wit.CommandResult{}, &wit.Error{Kind: wit.ErrorUnsupported, Message: "unknown command " + command +
			", expected " + probe.Doctor}
	}
	var services []probe.Service
	v := settings.Values(given)
	for _, e := range configuredSets(v) {
		services = append(services, probe.Service{Path: e.service, Setting: config.InGroup(e.number, nameService),
			Written: true,
			Sets:    []probe.Set{{Name: e.set, Setting: config.InGroup(e.number, nameEntitySet)}}})
	}
	return probe.Steps(services, config.Query(v), options, state, answers)
}
