package write

import (
	"github.com/culvert-project/culvert/plugins/odata/checkup"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/wit"
)

// Commands are those that the sink adds to the command line.
func (p *Plugin) Commands() []wit.Command { return []wit.Command{checkup.Declare()} }

// Run runs one of them.
func (p *Plugin) Run(command string, options []wit.Setting, given []wit.Setting, state []byte,
	answers []wit.Response) (wit.Reply, error) {
	if command != checkup.Command {
		return wit.Reply{}, &wit.Fault{Kind: wit.FaultUnsupported, Message: "unknown command " + command +
			", expected " + checkup.Command}
	}
	var services []checkup.Service
	v := settings.Values(given)
	for _, e := range configuredSets(v) {
		services = append(services, checkup.Service{Path: e.service, Setting: config.InGroup(e.number, nameService),
			Written: true,
			Sets:    []checkup.Set{{Name: e.set, Setting: config.InGroup(e.number, nameEntitySet)}}})
	}
	return checkup.Run(services, config.Query(v), options, answers)
}
