package main

import (
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/inspect"
	"github.com/culvert-project/culvert/plugins/odata/probe"
	"github.com/culvert-project/culvert/plugins/odata/retire"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/wit"
)

// Commands returns the commands of the source.
func (p *plugin) Commands() (all []wit.Command) {
	for _, c := range inspect.Commands {
		all = append(all, c.Command)
	}
	return append(all, retire.Declare(), probe.DoctorCommand())
}

// Run runs a command.
func (p *plugin) Run(command string, options []wit.Setting, given []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	switch command {
	case probe.Doctor:
		return probe.Steps(services(given), config.Query(sourceconfig.Table.Values(given)), options, state, answers)
	case retire.Command:
		return retire.Run(given, state, answers)
	}
	return inspect.Run(command, options, given, state, answers)
}

func services(given []wit.Setting) []probe.Service {
	var list []probe.Service
	for _, e := range sourceconfig.EntitySets(sourceconfig.Table.Values(given)) {
		list = append(list, probe.Service{Path: e.Service, Setting: config.InGroup(e.Number, sourceconfig.NameService),
			Sets: []probe.Set{{Name: e.Set, Setting: config.InGroup(e.Number, sourceconfig.NameEntitySet), Atom: e.Atom,
				Find: e.Find}}})
	}
	return list
}
