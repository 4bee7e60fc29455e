package main

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

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
		var services []probe.Service // one for each entity set
		for _, cfg := range sourceconfig.EntitySets(sourceconfig.Table.Values(settings)) {
			set := probe.Set{Name: cfg.Set, Setting: config.InGroup(cfg.Number, sourceconfig.NameEntitySet),
				Atom: cfg.Atom, Find: cfg.Find}
			services = append(services, probe.Service{Path: cfg.Service,
				Setting: config.InGroup(cfg.Number, sourceconfig.NameService), Sets: []probe.Set{set}})
		}
		return probe.Steps(services, config.Query(sourceconfig.Table.Values(settings)), options, state, answers)
	case retireCommand:
		return runRetire(settings, state, answers)
	}
	return inspect.Run(command, options, settings, state, answers)
}
